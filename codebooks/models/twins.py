"""Units that have learned one thing twice, and rows that no unit has learned: what the first could do for the second.

A codebook that explains as much as it can puts two units into a large group before it gives one to a small group: half
of many small gains outweighs a few large ones. So explained energy never tells that a unit is wasted; its twin does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.models.rows import cosine_scores, directions_of, unit_rows

# Units are twins when the directions of what they win, less what all have in common, have a cosine above: halves of one
# group, and parts of a large group among many small ones.
_TWINS = 0.5
# Rows that are tried as a new unit: those that are explained worst.
_N_CANDIDATES = 100
# Samples that are looked at, at most, drawn at random where there are more.
_N_SAMPLES = 50_000
# Cosines with these are held for so many rows at once.
_BLOCK = 8192
# A new unit has to be nearer to so many rows than any other is: fewer are odd rows, not a group.
_FEWEST = 3


class Move(NamedTuple):
    """A unit that leaves its twin, and where it goes."""

    unit: int
    twin: int
    together: Any  # (n_features,) direction of what both have won
    elsewhere: Any  # (n_features,) direction of the rows that it will win
    n_rows: int  # how many these are


def moves(X: Any, units: Any, labels: Any) -> list[Move]:
    """The moves that would leave no unit with a twin, as long as there are groups to go to.

    Parameters
    ----------
    X : array or CSR matrix of shape (n_rows, n_features)
    units : array of shape (n_units, n_features)
    labels : int array of shape (n_rows,)
        The unit that wins each row, -1 for none.
    """
    xp = ops.xp(units)
    n_rows = X.shape[0]
    if n_rows > _N_SAMPLES:
        drawn = np.sort(np.random.default_rng(n_rows).choice(n_rows, _N_SAMPLES, replace=False))
        X, labels = ops.take_rows(X, drawn), labels[ops.to_device_of(drawn, labels)]
    sums, counts = _sums(X, labels, units)
    centres = unit_rows(sums)
    pairs = _twins(_likeness(ops.to_host(centres @ centres.T).astype(np.float64)), ops.to_host(counts))
    if not pairs:
        return []
    covered = ops.nearest(X, xp.asfortranarray(unit_rows(units)), xp.zeros(len(units), units.dtype), 1).score[:, 0]
    gainers, cosines = _reached(X, directions_of(X, _worst_explained(X, covered)), covered)
    rows, covered = ops.take_rows(X, gainers), covered[gainers]
    found = []
    for unit, twin in pairs:
        gain = xp.maximum(cosines - covered[:, None], 0)
        best = int(ops.to_host(gain.sum(axis=0).argmax()))
        won = ops.to_host(gain[:, best] > 0)
        if won.sum() < _FEWEST:
            break
        elsewhere, _ = _sums(rows, ops.to_device_of(np.where(won, 0, -1), covered), units[:1])
        together = unit_rows((sums[unit] + sums[twin])[None])[0]
        n_won = int(won.sum()) * n_rows // X.shape[0]
        found.append(Move(unit, twin, together, unit_rows(elsewhere)[0], n_won))
        covered = xp.maximum(covered, cosines[:, best])
    return found


def _reached(X: Any, candidates: Any, covered: Any) -> tuple[np.ndarray, Any]:
    """Numbers of the rows to which some candidate is nearer than any unit, and their cosines with all candidates."""
    rows, cosines = [], []
    for start in range(0, X.shape[0], _BLOCK):
        near, _ = cosine_scores(ops.take_rows(X, slice(start, start + _BLOCK)), candidates)
        gains = (near > covered[start : start + _BLOCK, None]).any(axis=1)
        rows.append(start + np.flatnonzero(ops.to_host(gains)))
        cosines.append(near[gains])
    return np.concatenate(rows), ops.xp(covered).concatenate(cosines)


def _likeness(gram: np.ndarray) -> np.ndarray:
    """Cosines of the centres a and b, from each of which m, what the others have in common, is taken; by dot products.

    In embeddings and images all rows point more or less one way; that is no likeness. The sum of the others is divided
    by one more than their number: one or two of them are no measure of what is common.
    """
    share = 1 / max(len(gram) - 1, 1)
    own, to_all = np.diagonal(gram), gram.sum(axis=1)
    a_m = share * (to_all - own)[:, None] - share * gram  # a . m; its transpose is b . m
    m_m = share**2 * (gram.sum() + own[:, None] + own + 2 * gram - 2 * to_all[:, None] - 2 * to_all)
    squared = own[:, None] - 2 * a_m + m_m  # |a - m|^2; its transpose is |b - m|^2
    lengths = np.sqrt(np.maximum(squared * squared.T, np.finfo(np.float64).tiny))
    return (gram - a_m - a_m.T + m_m) / lengths


def _twins(cosines: np.ndarray, counts: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (lighter, heavier) of units alike, each unit in one at most, the closest first."""
    np.fill_diagonal(cosines, 0)
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for place in np.argsort(-cosines, axis=None, kind="stable"):
        a, b = divmod(int(place), len(cosines))
        if cosines[a, b] <= _TWINS:
            break
        if not {a, b} & taken and counts[a] and counts[b]:  # a unit that wins nothing is nobody's twin
            taken |= {a, b}
            pairs.append((a, b) if counts[a] < counts[b] else (b, a))
    return pairs


def _sums(X: Any, labels: Any, like: Any) -> tuple[Any, Any]:
    """For each unit the sum of the rows with its label, scaled to length 1, and how many they are."""
    xp = ops.xp(like)
    weight = ops.reciprocal(ops.row_norms(X)) * (labels >= 0)
    index = xp.maximum(labels, 0)
    sums = ops.scatter_rows(xp.zeros(like.shape, like.dtype), index[:, None], weight[:, None], X)
    return sums, ops.sum_by_index(index, weight > 0, len(like))


def _worst_explained(X: Any, covered: Any) -> np.ndarray:
    """Numbers of the rows whose nearest unit is farthest; empty rows, which no unit can explain, are none of them."""
    order = np.argsort(ops.to_host(covered), kind="stable")
    return order[ops.to_host(ops.row_norms(X))[order] > 0][:_N_CANDIDATES]
