"""Validation of texts, count matrices of documents, and embeddings from an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from codebooks.errors import short_repr
from codebooks.validation.arrays import check_matrix

__all__ = ["check_count_matrix", "check_encoder_output", "check_texts", "is_matrix", "replace_surrogates"]


def is_matrix(documents: Any) -> bool:
    """Whether these are counts and no texts."""
    return issparse(documents) or (isinstance(documents, np.ndarray) and documents.ndim == 2)


def check_count_matrix(documents: Any, *, empty: bool = False) -> Any:
    """Counts as a CSR matrix of float32, which shares nothing with what came; with `empty`, of no rows too."""
    if not is_matrix(documents):
        raise TypeError(
            f"This retriever was fitted on a matrix of counts and wants one again, with a row for each text; "
            f"{type(documents).__name__} came."
        )
    given = check_matrix("The retriever", documents, least_rows=0 if empty else 1)
    with np.errstate(over="ignore"):
        counts = csr_matrix(given, dtype=np.float32, copy=True)
    if not np.isfinite(counts.data).all():
        raise ValueError("The retriever expected counts below 3.4e38, the most that float32 holds, got larger ones.")
    return counts


def check_texts(documents: Any, method: str, advice: str = "") -> list[str]:
    """A list of texts, and nothing else among them. `advice` is for who gives a table of something else."""
    if isinstance(documents, str | bytes):
        raise TypeError(f"{method} wants a list of texts and got one text. Put it into a list: [text].")
    if not hasattr(documents, "__iter__"):
        raise TypeError(f"{method} wants a list of texts and got {type(documents).__name__}.")
    if issparse(documents) or isinstance(documents, Mapping | Set) or getattr(documents, "ndim", 1) != 1:
        shape = f" of shape {documents.shape}" if hasattr(documents, "shape") else ""
        raise TypeError(
            f"{method} wants a list of texts and got {type(documents).__name__}{shape}. Give them in their order; of a "
            f"table give one column, as in table['text'].{advice}"
        )
    texts = list(documents)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{method} wants texts, and number {i} is {type(text).__name__}: {short_repr(text)}.")
    return texts


def replace_surrogates(text: str) -> str:
    """A text with U+FFFD in place of each half of a broken pair, which no encoder takes."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check_encoder_output(vectors: Any, n_texts: int, giver: str, dtypes: tuple[type, ...]) -> NDArray[Any]:
    """What an encoder gave, as a row of finite numbers for each text; of the first of these dtypes, unless of another.

    `giver` is the setting that it comes from.
    """
    try:
        if isinstance(vectors, np.ma.MaskedArray):
            raise TypeError("a masked array, whose mask would be ignored")
        rows = _from_torch(vectors) if hasattr(vectors, "detach") else np.asarray(vectors)
        if rows.dtype.kind in "cmM":
            raise TypeError(f"{rows.dtype} is no real number")
        with np.errstate(over="ignore"):  # what is too large becomes infinity, and that is refused
            rows = rows if rows.dtype in dtypes else rows.astype(dtypes[0])
    except (TypeError, ValueError) as error:
        raise ValueError(f"The {giver} must give an array of numbers; {_describe(vectors)} came: {error}.") from error
    if rows.ndim != 2 or len(rows) != n_texts or not rows.shape[1]:
        raise ValueError(
            f"The {giver} must give a row of numbers for each text, shape ({n_texts}, n_dims); shape {rows.shape} came."
        )
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise ValueError(f"The {giver} must give finite numbers; NaN or infinity came for {len(bad)} of its texts.")
    return rows


def _from_torch(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # NumPy has no bfloat16
        return tensor.float().numpy()


def _describe(thing: Any) -> str:
    shape = getattr(thing, "shape", None)
    return type(thing).__name__ + (f" of shape {shape}" if shape is not None else "")
