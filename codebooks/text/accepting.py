"""What comes in beside what `codebooks.inputs` checks: texts, counts in their place, embeddings, names of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer

from codebooks.errors import short_repr, shorten
from codebooks.inputs import check_matrix

__all__ = [
    "LARGEST_ID",
    "checked_counts",
    "checked_embeddings",
    "checked_ids",
    "checked_texts",
    "following_id",
    "grown",
    "is_matrix",
    "without_surrogates",
]

LARGEST_ID = 2**63 - 2  # the one after it is an int64 too


def is_matrix(documents: Any) -> bool:
    """Whether these are counts and no texts."""
    return issparse(documents) or (isinstance(documents, np.ndarray) and documents.ndim == 2)


def checked_counts(documents: Any, *, empty: bool = False) -> Any:
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


def checked_texts(documents: Any, method: str, advice: str = "") -> list[str]:
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


def without_surrogates(text: str) -> str:
    """A text with U+FFFD in place of each half of a broken pair, which no encoder takes."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def checked_embeddings(vectors: Any, n_texts: int, giver: str, dtypes: tuple[type, ...]) -> NDArray[Any]:
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
        raise ValueError(f"The {giver} must give an array of numbers; {_kind(vectors)} came: {error}.") from error
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


def _kind(thing: Any) -> str:
    shape = getattr(thing, "shape", None)
    return type(thing).__name__ + (f" of shape {shape}" if shape is not None else "")


def checked_ids(ids: Any, n: int, first: int, there: np.ndarray | None = None) -> np.ndarray:
    """Names of n documents, unlike each other and unlike those that are there; numbers are int64."""
    if ids is None:
        if there is not None and there.dtype.kind == "U":
            raise ValueError("The documents here are named by str: name the new ones too, with ids=.")
        _refuse_large_ids(first + n - 1)
        return np.arange(first, first + n, dtype=np.int64)
    names = _as_array(ids)
    kind = "U" if names.dtype.kind == "U" else "i"
    if names.dtype.kind not in "iuU" or names.shape != (n,):
        raise ValueError(
            f"ids must be {n} whole numbers or str, one for each document; {names.dtype} of shape {names.shape} came."
        )
    if there is not None and len(there) and there.dtype.kind != kind:
        raise ValueError(
            "ids must be of one kind: those that are there are "
            + ("str." if there.dtype.kind == "U" else "whole numbers.")
        )
    if kind == "U" and (names == "").any():
        raise ValueError('ids must not be "", which says that nothing was found. Name each document.')
    if kind == "i" and n:
        if names.min() < 0:
            raise ValueError(f"ids must not be negative, as -1 says that nothing was found; {names.min()} came.")
        _refuse_large_ids(int(names.max()))
        names = names.astype(np.int64)
    values, counts = np.unique(names, return_counts=True)
    twice = values[counts > 1] if there is None else values[(counts > 1) | np.isin(values, there)]
    if len(twice):
        raise ValueError(
            f"ids must name one document each; already taken: {shorten(', '.join(map(str, twice[:10].tolist())), 200)}."
        )
    return names


def _as_array(ids: Any) -> np.ndarray:
    """Ids as they are; of objects, as in a column of pandas, an array of str or of int where all are that."""
    names = np.asarray(ids)
    if names.dtype.kind not in "UO" or (names is ids and names.dtype.kind == "U"):
        return names
    names = np.asarray(ids, dtype=object)  # NumPy makes strings of the numbers beside a string
    entries = names.ravel().tolist()
    if all(isinstance(name, str) for name in entries):
        return names.astype(str)
    if all(isinstance(name, Integral) and not isinstance(name, bool) for name in entries):
        _refuse_large_ids(max(entries))
        return names.clip(min=-1).astype(np.int64)  # none may be negative anyway
    return names


def _refuse_large_ids(largest: int) -> None:
    if largest > LARGEST_ID:
        raise ValueError(f"ids must be at most {LARGEST_ID}, so that another can follow; {largest} came. Use str.")


def following_id(names: np.ndarray, so_far: int) -> int:
    """The first number that no document has had."""
    return max(so_far, int(names.max()) + 1) if names.dtype.kind == "i" and len(names) else so_far


def grown(vectorizer: Any, texts: Sequence[str]) -> Any:
    """A vectorizer that also counts the terms of these texts, where it learned its terms from documents."""
    if type(vectorizer) is not CountVectorizer or vectorizer.fixed_vocabulary_ or not texts:
        return vectorizer
    analyze, vocabulary = vectorizer.build_analyzer(), dict(vectorizer.vocabulary_)
    for text in texts:
        for term in analyze(text):
            vocabulary.setdefault(term, len(vocabulary))
    if len(vocabulary) == len(vectorizer.vocabulary_):
        return vectorizer
    grown = clone(vectorizer)
    grown.fixed_vocabulary_, grown.vocabulary_ = False, vocabulary
    return grown
