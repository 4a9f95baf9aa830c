"""Additive statistics of a minibatch, and sample weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks import ops

__all__ = [
    "Sums",
    "compute_gates",
    "compute_unexplained_share",
    "compute_win_shares",
    "multiply_weights",
    "rank_components",
    "select_weighted_rows",
    "sum_statistics",
    "sum_weights",
    "summarize_epoch",
]


class Sums(NamedTuple):
    """Statistics of some rows. Those of two blocks of rows are the sums of their fields."""

    pull: Any  # (n_components, n_features) weighted sums of rows, by component
    wins: Any  # (n_components,) rows won
    scores: Any  # (n_components,) cosines with all rows, summed
    energy: Any  # squared cosines of the rows with their winners, summed
    n_rows: Any  # rows that are not empty, or the sum of their sample weights


def multiply_weights(values: Any, sample_weight: Any) -> Any:
    """Return `values`, of which the first axis is rows, times the weights of the rows; None stands for weights of 1."""
    if sample_weight is None:
        return values
    return values * sample_weight.reshape(-1, *[1] * (values.ndim - 1))


def sum_weights(filled: Any, sample_weight: Any) -> Any:
    """Return the number of rows for which the mask `filled` is true, or the sum of their weights: a 0-d array."""
    return filled.sum() if sample_weight is None else (filled * sample_weight).sum()


def select_weighted_rows(X: Any, sample_weight: Any, *, is_complete: bool = False) -> tuple[Any, Any]:
    """Return the rows whose weight is above zero, and their weights; None stands for weights of 1.

    A weight is a number of rows. If the rows are all that a model learns from (`is_complete`), a mean weight below 1 is
    raised to 1, because statistics of few rows hardly change components.
    """
    if sample_weight is None:
        return X, None
    xp = ops.xp(sample_weight)
    has_weight = sample_weight > 0
    if not bool(has_weight.all()):
        rows = np.flatnonzero(ops.to_host(has_weight))
        X, sample_weight = ops.take_rows(X, rows), sample_weight[has_weight]
    mean = float(ops.to_host(sample_weight.mean(dtype=xp.float64)))
    if is_complete and mean < 1:
        sample_weight = (sample_weight / mean).astype(sample_weight.dtype)
    return X, None if bool((sample_weight == 1).all()) else sample_weight


def rank_components(X: Any, W: Any, handicap: Any, k: int, sample_weight: Any) -> ops.Nearest:
    """Return `ops.find_nearest`, with `total` weighted by the weights of the rows."""
    found = ops.find_nearest(X, W, handicap, k)
    if sample_weight is None:
        return found
    # Scores are linear in the rows, so their sum is the score of the sum of the rows.
    row = ops.accumulate((sample_weight * ops.reciprocal(found.norms))[:, None], X)
    return found._replace(total=ops.similarity(row, W)[0].astype(found.total.dtype))


def sum_statistics(found: ops.Nearest, pull: Any, sample_weight: Any = None) -> Sums:
    """Return the statistics of rows with the nearest components `found` and the sums `pull`; empty rows do not count.

    `pull` and `found.total` are weighted by `sample_weight` already.
    """
    filled = found.norms > 0
    return Sums(
        pull=pull,
        wins=ops.sum_by_index(found.index[:, 0], multiply_weights(filled, sample_weight), len(found.total)).astype(
            found.total.dtype
        ),
        scores=found.total,
        energy=multiply_weights(found.score[:, 0] ** 2, sample_weight).sum(),
        n_rows=sum_weights(filled, sample_weight),
    )


def compute_unexplained_share(sums: Sums) -> Any:
    """Compute the mean share of a row's energy that its winner leaves unexplained: a 0-d array.

    The differences between the scores of a row are of the order of this number, so inhibition and temperature are
    measured in it.
    """
    xp = ops.xp(sums.wins)
    n_rows = xp.where(sums.n_rows > 0, sums.n_rows, 1)
    return (1 - sums.energy / n_rows).clip(0, 1).astype(sums.wins.dtype)


def compute_gates(found: ops.Nearest, inhibition: Any, temperature: Any, n_active: int) -> Any:
    """Compute the gates of the `n_active` nearest components: `softmax((score - inhibition) / temperature)`."""
    index, score = found.index[:, :n_active], found.score[:, :n_active]
    return ops.softmax((score - inhibition[index]) / ops.xp(score).asarray(temperature, score.dtype))


def compute_win_shares(labels: Any, like: Any, sample_weight: Any = None) -> Any:
    """Compute the share of the labelled rows, or of their weight, that each component wins; in the form of `like`."""
    labels = ops.to_host(labels)
    has_label = labels >= 0
    weights = None if sample_weight is None else ops.to_host(sample_weight)[has_label]
    wins = np.bincount(labels[has_label], weights=weights, minlength=len(like))
    total = wins.sum()
    return ops.to_device_of((wins / (total if total > 0 else 1)).astype(like.dtype), like)


def summarize_epoch(epoch_sums: list[Sums]) -> tuple[float, int]:
    """Compute the explained energy per row of an epoch and the number of components that won no row in it.

    The results of the device are read once.
    """
    xp = ops.xp(epoch_sums[0].wins)
    energy, n_rows = (xp.stack([getattr(s, name) for s in epoch_sums]).sum() for name in ("energy", "n_rows"))
    n_idle = (xp.stack([s.wins for s in epoch_sums]).sum(axis=0) == 0).sum()
    energy, n_rows, n_idle = ops.to_host(xp.stack([x.astype(xp.float64) for x in (energy, n_rows, n_idle)]))
    return float(energy) / float(n_rows) if n_rows else 0.0, int(n_idle)
