"""A uniform sample of all rows that a stream has brought so far, for learners that are given minibatches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codebooks import ops

__all__ = ["Reservoir", "add_rows", "draw_rows", "mark_start"]


@dataclass(frozen=True, eq=False)
class Reservoir:
    """Sampled rows. Each row of the stream gets a random priority, and those with the highest stay."""

    rows: Any  # array or CSR matrix of shape (n_kept, n_features), on the host
    priorities: np.ndarray  # (n_kept,)
    n_seen: int  # rows of the stream that are not empty
    n_started: int  # the same when the learner was last started from the sample


def add_rows(reservoir: Reservoir | None, X: Any, size: int, rng: Any) -> Reservoir:
    """Return the sample after the rows of `X` have been offered to it; at most `size` rows are kept.

    Parameters
    ----------
    reservoir : Reservoir or None
        None before the first minibatch.
    X : array, CSR matrix or view of its rows, of shape (n_rows, n_features)
        Empty rows are left out.
    size : int
    rng : numpy.random.Generator
    """
    filled = np.flatnonzero(ops.to_host(ops.row_norms(X)) > 0)
    priorities = rng.random(len(filled))
    n_before = 0 if reservoir is None else len(reservoir.priorities)
    everything = priorities if reservoir is None else np.concatenate([reservoir.priorities, priorities])
    kept = np.sort(np.argsort(-everything, kind="stable")[:size])
    rows = ops.to_host(ops.take_rows(X, filled[kept[kept >= n_before] - n_before]))
    if reservoir is None:
        return Reservoir(rows, everything[kept], len(filled), 0)
    rows = ops.stack_rows([ops.take_rows(reservoir.rows, kept[kept < n_before]), rows])
    return replace(reservoir, rows=rows, priorities=everything[kept], n_seen=reservoir.n_seen + len(filled))


def mark_start(reservoir: Reservoir) -> Reservoir:
    """Return the sample with the note that the learner has been started from all rows so far."""
    return replace(reservoir, n_started=reservoir.n_seen)


def draw_rows(reservoir: Reservoir, n: int, rng: Any) -> Any:
    """Return `n` rows of the sample, drawn without replacement; all of them if there are no more."""
    n_kept = len(reservoir.priorities)
    if n >= n_kept:
        return reservoir.rows
    return ops.take_rows(reservoir.rows, np.sort(rng.choice(n_kept, n, replace=False)))
