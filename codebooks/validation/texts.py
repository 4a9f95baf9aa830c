"""Validation of texts, count matrices of documents, and embeddings from an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from codebooks.errors import short_repr, shorten
from codebooks.validation.arrays import check_matrix

__all__ = ["check_count_matrix", "check_encoder_output", "check_texts", "is_matrix", "replace_surrogates"]


def is_matrix(documents: Any) -> bool:
    """Whether `documents` is a matrix of counts, not a sequence of texts."""
    return issparse(documents) or (isinstance(documents, np.ndarray) and documents.ndim == 2)


def check_count_matrix(documents: Any, *, empty: bool = False) -> Any:
    """Return a copy of the counts as a CSR matrix of float32. With `empty`, a matrix without rows is accepted."""
    if not is_matrix(documents):
        raise TypeError(
            f"The retriever was fitted on a matrix of counts and expected another one, with a row for each text, got "
            f"{type(documents).__name__}. Use the vectorizer that made the first."
        )
    matrix = check_matrix("The retriever", documents, least_rows=0 if empty else 1)
    with np.errstate(over="ignore"):
        counts = csr_matrix(matrix, dtype=np.float32, copy=True)
    if not np.isfinite(counts.data).all():
        largest = float(abs(matrix).max())
        raise ValueError(f"The retriever expected counts below 3.4e38 (float32), got {largest:.1e}. Scale the counts.")
    return counts


def check_texts(documents: Any, method: str, advice: str = "") -> list[str]:
    """Return the documents as a list of strings. `advice` is added to the error for a table or a set."""
    if isinstance(documents, str | bytes):
        raise TypeError(f"{method} expected a list of texts, got one text. Use a list: [text].")
    if not hasattr(documents, "__iter__"):
        raise TypeError(
            f"{method} expected a list of texts, got {type(documents).__name__}. Use a list or an array of strings."
        )
    if issparse(documents) or isinstance(documents, Mapping | Set) or getattr(documents, "ndim", 1) != 1:
        raise TypeError(
            f"{method} expected a list of texts, got {_describe(documents)}. Pass an ordered sequence, or one column "
            f"of a table, such as table['text'].{advice}"
        )
    texts = list(documents)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"{method} expected a list of texts, got {type(text).__name__} at index {i}: {short_repr(text)}. "
                f"Remove it, or convert it with str."
            )
    return texts


def replace_surrogates(text: str) -> str:
    """Replace each lone surrogate of a text by U+FFFD, because encoders raise an error for them."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check_encoder_output(vectors: Any, n_texts: int, parameter: str, dtypes: tuple[type, ...]) -> NDArray[Any]:
    """Return the output of an encoder as a matrix of finite numbers, one row for each text.

    Other dtypes than `dtypes` are converted to the first of them. `parameter` is the parameter that gave the encoder.
    """
    try:
        if isinstance(vectors, np.ma.MaskedArray):
            raise TypeError("the mask would be ignored")
        rows = _from_torch(vectors) if hasattr(vectors, "detach") else np.asarray(vectors)
        if rows.dtype.kind in "cmM":
            raise TypeError(f"{rows.dtype} is not a real number")
        with np.errstate(over="ignore"):  # values beyond the dtype become infinity, which is rejected below
            rows = rows if rows.dtype in dtypes else rows.astype(dtypes[0])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The {parameter} must return an array of numbers, got {_describe(vectors)}: {shorten(str(error), 200)}. "
            f"Return a float array with a row for each text."
        ) from error
    if rows.ndim != 2 or len(rows) != n_texts or not rows.shape[1]:
        raise ValueError(
            f"The {parameter} must return an array of shape ({n_texts}, n_dims), a row for each text, got shape "
            f"{rows.shape}. Check that it encodes a list of texts."
        )
    n_bad = np.count_nonzero(~np.isfinite(rows).all(axis=1))
    if n_bad:
        raise ValueError(
            f"The {parameter} must return finite numbers, got NaN or infinity for {n_bad} of {n_texts} texts. Check "
            f"it, or remove these texts."
        )
    return rows


def _from_torch(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # NumPy has no bfloat16
        return tensor.float().numpy()


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {shape}" if shape is not None else "")
