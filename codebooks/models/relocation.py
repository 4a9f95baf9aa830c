"""Where components that are not needed go: to a part of a heavy component's samples, or to poorly explained samples.

A component is not needed if it wins nothing (idle), or if it stands in one group with another one (redundant). A
codebook that explains as much energy as it can puts two components into a large group before it gives one to a small
group, because half of many small gains outweighs a few large ones. Hence the explained energy does not show that a
component is redundant; its likeness to another component does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.models.cosine import compute_cosines, extract_directions, normalize_rows

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
# Steps of the power method; more of them change no result.
_N_POWER_STEPS = 3
# Squared sines below this are rounding.
_ROUNDING = 1e-6


class Move(NamedTuple):
    """A unit that leaves its twin, and where it goes."""

    unit: int
    twin: int
    together: Any  # (n_features,) direction of what both have won
    elsewhere: Any  # (n_features,) direction of the rows that it will win
    n_rows: int  # how many these are


def find_moves(X: Any, units: Any, labels: Any) -> list[Move]:
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
    centres = normalize_rows(sums)
    pairs = _twins(_likeness(ops.to_host(centres @ centres.T).astype(np.float64)), ops.to_host(counts))
    if not pairs:
        return []
    covered = ops.find_nearest(X, xp.asfortranarray(normalize_rows(units)), xp.zeros(len(units), units.dtype), 1).score[
        :, 0
    ]
    gainers, cosines = _reached(X, extract_directions(X, _worst_explained(X, covered)), covered)
    rows, covered = ops.take_rows(X, gainers), covered[gainers]
    found = []
    for unit, twin in pairs:
        gain = xp.maximum(cosines - covered[:, None] - ops.rounding_tolerance(cosines.dtype), 0)
        best = int(ops.to_host(gain.sum(axis=0).argmax()))
        won = ops.to_host(gain[:, best] > 0)
        if won.sum() < _FEWEST:
            break
        elsewhere, _ = _sums(rows, ops.to_device_of(np.where(won, 0, -1), covered), units[:1])
        together = normalize_rows((sums[unit] + sums[twin])[None])[0]
        n_won = int(won.sum()) * n_rows // X.shape[0]
        found.append(Move(unit, twin, together, normalize_rows(elsewhere)[0], n_won))
        covered = xp.maximum(covered, cosines[:, best])
    return found


def _reached(X: Any, candidates: Any, covered: Any) -> tuple[np.ndarray, Any]:
    """Numbers of the rows to which some candidate is nearer than any unit, and their cosines with all candidates."""
    rows, cosines = [], []
    for start in range(0, X.shape[0], _BLOCK):
        near, _ = compute_cosines(ops.take_rows(X, slice(start, start + _BLOCK)), candidates)
        gains = (near > covered[start : start + _BLOCK, None] + ops.rounding_tolerance(near.dtype)).any(axis=1)
        rows.append(start + np.flatnonzero(ops.to_host(gains)))
        cosines.append(near[gains])
    return np.concatenate(rows), ops.xp(covered).concatenate(cosines)


def _likeness(gram: np.ndarray) -> np.ndarray:
    """Cosines of centres less the mean of all centres, by their dot products; of two centres as they are.

    In embeddings, images and counts all rows point more or less one way, and so do all centres; that is no likeness.
    Two centres less their mean are opposite whatever they are.
    """
    if len(gram) > 2:
        mean = gram.mean(axis=1)
        gram = gram - mean - mean[:, None] + mean.mean()
    lengths = np.sqrt(np.maximum(np.diagonal(gram), np.finfo(np.float64).tiny))
    return gram / (lengths * lengths[:, None])


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


def pair_by_error(errors: np.ndarray, idle: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (parent, idle): each idle component, in turn, takes half of the error of the component that has most of it.

    The list ends where a parent would be a component that is already in it, since that has no samples of its own yet,
    and where no error is left.

    Examples
    --------
    >>> pair_by_error(np.array([8.0, 3.0, 0.0, 0.0, 0.0]), np.array([2, 3, 4]))
    [(0, 2)]
    >>> pair_by_error(np.array([8.0, 6.0, 0.0, 0.0, 0.0]), np.array([2, 3, 4]))
    [(0, 2), (1, 3)]
    """
    errors = errors.copy()
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for unit in idle.tolist():
        parent = int(errors.argmax())
        if parent in taken or errors[parent] <= 0:
            break
        errors[parent] = errors[unit] = errors[parent] / 2
        taken |= {parent, unit}
        pairs.append((parent, unit))
    return pairs


def find_widest_directions(X: Any, units: Any, owner: Any, noise: Any) -> tuple[Any, Any, Any]:
    """For each unit the direction in which the samples that it owns differ most, orthogonal to the unit.

    Three steps of the power method on the samples scaled to length 1, less their mean [1]_. In contrast to this, a
    random direction is orthogonal to nearly all differences between samples, and divides nothing.

    Parameters
    ----------
    X : array, CSR matrix or view of its rows, of shape (n_rows, n_features)
        No row is empty.
    units : array of shape (n_units, n_features)
        Rows of length 1.
    owner : int array of shape (n_rows,)
        The unit that owns each row.
    noise : array of shape (n_units, n_features)
        Where the search begins. It is also the answer for a unit that owns fewer than three rows, or equal ones.

    Returns
    -------
    directions : array of shape (n_units, n_features)
        Rows of length 1.
    widths : array of shape (n_units,)
        Sine of the angle between a unit and the samples that it owns, by the mean of their cosines.
    side : array of shape (n_rows,)
        Projection of each row on the direction of its owner, less the mean of these projections.

    References
    ----------
    .. [1] D. Boley, "Principal direction divisive partitioning", Data Mining and Knowledge Discovery 2 (1998), 325-344.
    """
    xp, n = ops.xp(units), len(units)
    scale = ops.reciprocal(ops.row_norms(X))
    counts = ops.sum_by_index(owner, scale > 0, n)
    share = 1 / xp.maximum(counts, 1)

    def projections(directions: Any) -> Any:
        return scale * xp.take_along_axis(ops.similarity(X, directions), owner[:, None], axis=1)[:, 0]

    def means(values: Any) -> Any:
        return (share * ops.sum_by_index(owner, values, n)).astype(units.dtype)

    def beside_units(directions: Any) -> Any:
        return normalize_rows(directions - (directions * units).sum(axis=1)[:, None] * units)

    first = directions = beside_units(noise)
    for _ in range(_N_POWER_STEPS):
        side = projections(directions)
        side -= means(side)[owner]
        spread = ops.scatter_rows(xp.zeros_like(units), owner[:, None], (side * scale)[:, None], X)
        directions = beside_units(spread)
    certain = (counts >= _FEWEST) & (ops.row_norms(spread) > _ROUNDING * counts)
    directions = xp.where(certain[:, None], directions, first)
    side = projections(directions)
    cosines = xp.where(counts > 0, means(projections(units)), 1)
    widths = xp.sqrt(xp.maximum(1 - cosines**2, _ROUNDING))
    return directions, widths, side - means(side)[owner]
