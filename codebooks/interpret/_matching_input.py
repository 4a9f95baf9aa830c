"""Validation of the arguments of `match_topics`."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.validation.arrays import check_matrix

__all__ = ["check_component_labels", "check_components", "check_next_id", "check_old_ids"]


def check_components(old: Any, new: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the components of both models as float64 arrays with the same columns."""
    old = np.asarray(ops.to_host(check_matrix("old_components", old, accept_sparse=False)), float)
    new = np.asarray(ops.to_host(check_matrix("new_components", new, accept_sparse=False)), float)
    if old.shape[1] != new.shape[1]:
        raise ValueError(
            f"`new_components` must have the {old.shape[1]} features of `old_components`, got {new.shape[1]}. Bring "
            "the columns of both in the same order, with zeros for words that a model does not have."
        )
    return old, new


def check_integers(name: str, values: Any) -> NDArray[Any]:
    """Return integers as an int64 array of one dimension."""
    array = np.asarray(ops.to_host(values))
    if array.ndim != 1:
        raise ValueError(f"`{name}` must be a one-dimensional array of integers, got shape {array.shape}.")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must be an array of integers, got {short_repr(values)}.")
    return array.astype(np.int64)


def check_component_labels(name: str, labels: Any, n_components: int) -> NDArray[Any]:
    """Return labels as an int64 array; raise an error for one that is not the index of a component, or -1."""
    array = check_integers(name, labels)
    if array.size and not (array.min() >= -1 and array.max() < n_components):
        raise ValueError(
            f"`{name}` must be indices of components from 0 to {n_components - 1}, or -1 for none, got values from "
            f"{array.min()} to {array.max()}."
        )
    return array


def check_old_ids(old_ids: Any, n_old: int) -> NDArray[Any]:
    """Return the ids of the old topics as an array; None stands for 0, 1, ..."""
    if old_ids is None:
        return np.arange(n_old)
    ids = check_integers("old_ids", old_ids)
    if len(ids) != n_old or len(np.unique(ids)) != n_old:
        raise ValueError(
            f"`old_ids` must be {n_old} different integers, one for each old component, got {short_repr(old_ids)}."
        )
    return ids


def check_next_id(next_id: Any, ids: NDArray[Any]) -> int:
    """Return the first id of new topics, which no old topic has."""
    largest = int(ids.max())
    if next_id is None:
        return largest + 1
    if isinstance(next_id, bool) or not isinstance(next_id, Integral):
        raise TypeError(f"`next_id` must be an integer or None, got {short_repr(next_id)}.")
    if next_id <= largest:
        raise ValueError(f"`next_id` must be above all old ids, of which the largest is {largest}, got {next_id}.")
    return int(next_id)
