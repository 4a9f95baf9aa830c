"""Validation of document ids: unique integers or strings."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from codebooks.errors import shorten

__all__ = ["LARGEST_ID", "check_ids", "compute_next_id"]

LARGEST_ID = 2**63 - 2  # the one after it is an int64 too


def check_ids(ids: Any, n: int, first: int, there: np.ndarray | None = None) -> np.ndarray:
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
        taken = shorten(", ".join(map(str, twice[:10].tolist())), 200)
        raise ValueError(f"ids must name one document each; already taken: {taken}.")
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


def compute_next_id(names: np.ndarray, so_far: int) -> int:
    """The first number that no document has had."""
    return max(so_far, int(names.max()) + 1) if names.dtype.kind == "i" and len(names) else so_far
