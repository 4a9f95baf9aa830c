"""Uniform sample of all rows of a stream, for learners that are given minibatches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codebooks import ops

__all__ = ["Reservoir", "add_rows", "draw_rows", "mark_start"]


@dataclass(frozen=True, eq=False)
class Reservoir:
    """Sampled rows. Each row of the stream gets a random priority, and the rows with the highest ones are kept."""

    rows: Any  # array or CSR matrix of shape (n_kept, n_features), on the host
    priorities: np.ndarray  # (n_kept,)
    n_seen: float  # rows of the stream that are not empty, or the sum of their sample weights
    n_started: float  # the same when the learner was last started from the sample
    n_rows: int  # rows of the stream that are not empty
    sample_weight: np.ndarray | None = None  # (n_kept,) weights of the sampled rows; None for weights of 1


def add_rows(reservoir: Reservoir | None, X: Any, size: int, rng: Any, sample_weight: Any = None) -> Reservoir:
    """Return the sample after the rows of `X` are added to the stream; at most `size` rows are kept.

    Parameters
    ----------
    reservoir : Reservoir or None
        None before the first minibatch.
    X : array, CSR matrix or view of its rows, of shape (n_rows, n_features)
        Empty rows are left out.
    size : int
    rng : numpy.random.Generator
    sample_weight : array of shape (n_rows,), optional
        Rows are sampled uniformly, with their weights.
    """
    filled = np.flatnonzero(ops.to_host(ops.row_norms(X)) > 0)
    priorities = rng.random(len(filled))
    weight = None if sample_weight is None else ops.to_host(sample_weight)[filled]
    n_seen = len(filled) if weight is None else float(weight.sum())
    n_before = 0 if reservoir is None else len(reservoir.priorities)
    if reservoir is not None:
        priorities = np.concatenate([reservoir.priorities, priorities])
    kept = np.sort(np.argsort(-priorities, kind="stable")[:size])
    rows = ops.to_host(ops.take_rows(X, filled[kept[kept >= n_before] - n_before]))
    if reservoir is None:
        return Reservoir(rows, priorities[kept], n_seen, 0, len(filled), None if weight is None else weight[kept])
    if weight is not None or reservoir.sample_weight is not None:
        before = np.ones(n_before) if reservoir.sample_weight is None else reservoir.sample_weight
        weight = np.concatenate([before, np.ones(len(filled)) if weight is None else weight])[kept]
    rows = ops.stack_rows([ops.take_rows(reservoir.rows, kept[kept < n_before]), rows])
    return replace(
        reservoir,
        rows=rows,
        priorities=priorities[kept],
        n_seen=reservoir.n_seen + n_seen,
        n_rows=reservoir.n_rows + len(filled),
        sample_weight=weight,
    )


def mark_start(reservoir: Reservoir) -> Reservoir:
    """Return the sample marked as used to start the learner."""
    return replace(reservoir, n_started=reservoir.n_seen)


def draw_rows(reservoir: Reservoir, n: int, rng: Any) -> tuple[Any, Any]:
    """Return `n` rows of the sample, drawn without replacement, or all if there are no more; and their weights."""
    n_kept = len(reservoir.priorities)
    if n >= n_kept:
        return reservoir.rows, reservoir.sample_weight
    drawn = np.sort(rng.choice(n_kept, n, replace=False))
    weight = reservoir.sample_weight
    return ops.take_rows(reservoir.rows, drawn), None if weight is None else weight[drawn]
