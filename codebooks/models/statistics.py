"""What rows say while a learner learns: statistics that add over rows, and how they are read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks import ops

__all__ = [
    "Sums",
    "compute_gates",
    "compute_unexplained_share",
    "compute_win_shares",
    "sum_statistics",
    "summarize_epoch",
]


class Sums(NamedTuple):
    """Statistics of some rows. They add: those of two blocks are the sums of their fields."""

    pull: Any  # (n_components, n_features) weighted sums of rows, unit by unit
    wins: Any  # (n_components,) rows won
    scores: Any  # (n_components,) cosines with all rows, summed
    energy: Any  # squared cosines of the rows with their winners, summed
    n_rows: Any  # rows that are not empty


def sum_statistics(found: ops.Nearest, pull: Any) -> Sums:
    """The statistics of rows whose nearest units were `found` and which sum to `pull`; empty rows do not count."""
    filled = found.norms > 0
    return Sums(
        pull=pull,
        wins=ops.sum_by_index(found.index[:, 0], filled, len(found.total)).astype(found.total.dtype),
        scores=found.total,
        energy=(found.score[:, 0] ** 2).sum(),
        n_rows=filled.sum(),
    )


def compute_unexplained_share(sums: Sums) -> Any:
    """The mean share of a row's energy that its winner leaves unexplained: a 0-d array in the dtype of the statistics.

    Differences between the scores of a row are of the order of this number, whatever all rows have in common, so what
    competes with them is measured by it.
    """
    xp = ops.xp(sums.wins)
    return (1 - sums.energy / xp.maximum(sums.n_rows, 1)).clip(0, 1).astype(sums.wins.dtype)


def compute_gates(found: ops.Nearest, inhibition: Any, temperature: Any, n_active: int) -> Any:
    """Shares of each row that its `n_active` nearest units take: `softmax((score - inhibition) / temperature)`."""
    index, score = found.index[:, :n_active], found.score[:, :n_active]
    return ops.softmax((score - inhibition[index]) / ops.xp(score).asarray(temperature, score.dtype))


def compute_win_shares(labels: Any, like: Any) -> Any:
    """The share of rows that each unit wins, rows that nobody wins left out; in the form of `like`."""
    won = ops.to_host(labels)
    wins = np.bincount(won[won >= 0], minlength=len(like))
    return ops.to_device_of((wins / np.maximum(wins.sum(), 1)).astype(like.dtype), like)


def summarize_epoch(epoch_sums: list[Sums]) -> tuple[float, int]:
    """Explained energy per row over an epoch, and how many units won nothing in it. Looks at the device once."""
    xp = ops.xp(epoch_sums[0].wins)
    energy, n_rows = (xp.stack([getattr(s, name) for s in epoch_sums]).sum() for name in ("energy", "n_rows"))
    n_idle = (xp.stack([s.wins for s in epoch_sums]).sum(axis=0) == 0).sum()
    energy, n_rows, n_idle = ops.to_host(xp.stack([x.astype(xp.float64) for x in (energy, n_rows, n_idle)]))
    return float(energy) / max(float(n_rows), 1.0), int(n_idle)
