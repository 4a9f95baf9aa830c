"""Validation of document ids: unique integers or strings."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from codebooks.errors import shorten

__all__ = ["LARGEST_ID", "check_ids", "compute_next_id"]

LARGEST_ID = 2**63 - 2  # the next id must fit into int64 too


def check_ids(ids: Any, n: int, first: int, existing: np.ndarray | None = None) -> np.ndarray:
    """Return `n` unique ids that are not among the `existing` ones: strings, or int64 numbers.

    If `ids` is None, number the documents from `first` on.
    """
    if ids is None:
        if existing is not None and existing.dtype.kind == "U":
            raise ValueError(
                f"`ids` must be {n} strings, because the existing ids are strings, got None. Pass ids=[...]."
            )
        _refuse_large_ids(first + n - 1)
        return np.arange(first, first + n, dtype=np.int64)
    names = _convert_to_array(ids)
    kind = "U" if names.dtype.kind == "U" else "i"
    if names.dtype.kind not in "iuU" or names.shape != (n,):
        raise ValueError(
            f"`ids` must be {n} integers or {n} strings, one for each document, got {names.dtype} of shape "
            f"{names.shape}. Pass a list of integers or a list of strings."
        )
    if existing is not None and len(existing) and existing.dtype.kind != kind:
        received, expected = ("strings", "integers") if kind == "U" else ("integers", "strings")
        conversion = "str" if kind == "i" else "int"
        raise ValueError(
            f"`ids` must be {expected}, as the existing ids are, got {received}. Convert them with {conversion}(...)."
        )
    if kind == "U" and (names == "").any():
        raise ValueError('`ids` must be non-empty strings, got "". Give each document an id.')
    if kind == "i" and n:
        if names.min() < 0:
            raise ValueError(f"`ids` must be integers >= 0, got {names.min()}. Use other numbers, or strings.")
        _refuse_large_ids(int(names.max()))
        names = names.astype(np.int64)
    values, counts = np.unique(names, return_counts=True)
    duplicates = values[counts > 1] if existing is None else values[(counts > 1) | np.isin(values, existing)]
    if len(duplicates):
        listed = shorten(", ".join(map(str, duplicates[:10].tolist())), 200)
        raise ValueError(f"`ids` must be unique, got ids that would occur twice: {listed}. Use other ids for these.")
    return names


def _convert_to_array(ids: Any) -> np.ndarray:
    """Convert ids to an array, and one of objects to strings or int64 if all entries are of that type."""
    names = np.asarray(ids)
    if names.dtype.kind not in "UO" or (names is ids and names.dtype.kind == "U"):
        return names
    names = np.asarray(ids, dtype=object)  # NumPy converts numbers to strings if another entry is a string
    entries = names.ravel().tolist()
    if all(isinstance(name, str) for name in entries):
        return names.astype(str)
    if all(isinstance(name, Integral) and not isinstance(name, bool) for name in entries):
        _refuse_large_ids(max(entries))
        return names.clip(min=-1).astype(np.int64)  # numbers below -1 may not fit; check_ids rejects -1 too
    return names


def _refuse_large_ids(largest: int) -> None:
    if largest > LARGEST_ID:
        raise ValueError(f"`ids` must be at most {LARGEST_ID}, got {largest}. Use strings.")


def compute_next_id(names: np.ndarray, minimum: int) -> int:
    """Return the first number, at least `minimum`, that is larger than all ids in `names`."""
    return max(minimum, int(names.max()) + 1) if names.dtype.kind == "i" and len(names) else minimum
