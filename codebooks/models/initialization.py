"""Initial directions of components, from the first minibatch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from codebooks import ops
from codebooks.models.cosine import compute_cosines, extract_directions, normalize_rows
from codebooks.models.statistics import multiply_weights

# The number of rows that are used: this many, or this many for each direction if that is more.
_N_ROWS, _ROWS_PER_DIRECTION = 1000, 4
_N_STARTS = 8  # sets of directions that are drawn, refined and compared
# More directions than this are drawn once only: one large set is as good as the best of several.
_ONE_START_FROM = 100
_N_REFINEMENTS = 8  # passes of spherical k-means over the first minibatch
_N_CANDIDATES = 4  # rows tried for each direction
# Sums of cosines with a smaller relative difference are equal, and the first set is used: rounding, which differs
# between devices, does not choose.
_ROUNDING = 1e-5


def initialize_directions(X: Any, n_directions: int, rng: Any, sample_weight: Any = None) -> Any:
    """Find unit vectors near which the rows of `X` lie. The result does not depend on the order of the rows.

    Several times, rows are drawn by greedy k-means++ [1]_ on cosines and refined by a few passes of spherical k-means;
    the first set with the largest sum of cosines is kept. If there are fewer rows than directions, rows are used
    repeatedly; `revive` then separates equal components.

    Parameters
    ----------
    X : array or CSR matrix of shape (n_rows, n_features)
        The first minibatch; at least one row is not empty.
    n_directions : int
    rng : RandomState
    sample_weight : array of shape (n_rows,), optional
        The number of times that each row counts, above zero.

    Returns
    -------
    array of shape (n_directions, n_features)
        In the dtype and on the device of `X`.

    References
    ----------
    .. [1] D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    size = max(_N_ROWS, _ROWS_PER_DIRECTION * n_directions)
    X, sample_weight = _sample_in_canonical_order(X, size, rng, sample_weight)
    weight = None if sample_weight is None else ops.to_host(sample_weight)
    few = n_directions <= _ONE_START_FROM
    cosines_with = _precompute_cosines(X) if few else partial(_compute_cosines_with, X)
    best: list[tuple[Any, float]] = []
    for _ in range(_N_STARTS if few else 1):
        rows = _draw_rows(cosines_with, X.shape[0], n_directions, rng, weight)
        best.append(_refine(X, extract_directions(X, rows), sample_weight))
        least = (1 - _ROUNDING) * max(total for _, total in best)
        best = [(directions, total) for directions, total in best if total >= least]  # no others are kept in memory
    directions, _ = best[0]
    return ops.xp(directions).asfortranarray(directions)


def _sample_in_canonical_order(X: Any, size: int, rng: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Sample rows that are not empty, sorted by their cosine with a random direction, and their weights."""
    direction = ops.to_device_of(rng.standard_normal((1, X.shape[1])).astype(X.dtype), X)
    cosines, norms = compute_cosines(X, direction)
    order = np.argsort(ops.to_host(cosines[:, 0]), kind="stable")
    order = order[ops.to_host(norms)[order] > 0]
    if len(order) > size:
        order = order[np.sort(rng.choice(len(order), size, replace=False))]
    X = ops.take_rows(X, order)
    return X, None if sample_weight is None else sample_weight[ops.to_device_of(order, sample_weight)]


def _precompute_cosines(X: Any) -> Callable[[Any], np.ndarray]:
    """Return the function `_compute_cosines_with` for `X`, computed with one product."""
    scale = ops.reciprocal(ops.row_norms(X))
    cosines = ops.to_host(ops.similarity(X, X) * scale[:, None] * scale)
    return lambda rows: cosines[rows]


def _compute_cosines_with(X: Any, rows: Any) -> np.ndarray:
    """Compute the cosines of some rows with all rows: an array of shape (len(rows), n_rows) on the host."""
    return ops.to_host(compute_cosines(X, extract_directions(X, np.asarray(rows)))[0]).T


def _draw_rows(
    cosines_with: Callable[[Any], np.ndarray], n_rows: int, n_directions: int, rng: Any, weight: np.ndarray | None
) -> np.ndarray:
    """Draw rows by greedy k-means++: several candidates at a time, more probable the farther from the rows before.

    Up to a hundred directions are drawn one by one; of more, a hundredth at a time.
    """
    if weight is not None:
        # Whole weights give the rows that repeated rows would give.
        n_rows = max(n_rows, math.ceil(weight.sum(dtype=np.float64)))
    chosen = [_draw_row(n_rows, rng, weight)]
    nearest = cosines_with(chosen)[0]
    at_once = -(-n_directions // _ONE_START_FROM)
    while len(chosen) < min(n_directions, n_rows):
        n_drawn = min(at_once, min(n_directions, n_rows) - len(chosen))
        # A row that is drawn already has a small probability, so that rows can repeat if there are no others.
        distance = multiply_weights((1 - nearest).clip(1e-6, None), weight)
        reach = np.cumsum(distance, dtype=np.float64)
        tried = np.searchsorted(reach, rng.uniform(0, reach[-1], _N_CANDIDATES * n_drawn))
        cosines = cosines_with(tried)
        for _ in range(n_drawn):
            reached = np.maximum(nearest, cosines)
            best = int((reached.sum(axis=1) if weight is None else reached @ weight).argmax())
            nearest = reached[best]
            chosen.append(int(tried[best]))
    return np.resize(chosen, n_directions)


def _draw_row(n_rows: int, rng: Any, weight: np.ndarray | None) -> int:
    """Draw a row with a probability in proportion to its weight."""
    if weight is None:
        return int(rng.randint(n_rows))
    ends = np.cumsum(weight, dtype=np.float64)
    return int(np.searchsorted(ends[:-1], rng.randint(n_rows) * (ends[-1] / n_rows), side="right"))


def _refine(X: Any, W: Any, sample_weight: Any) -> tuple[Any, float]:
    """Return `W` after a few passes of spherical k-means over `X`, and the sum of cosines that these maximise."""
    total = 0.0
    nothing = ops.xp(W).zeros(len(W), W.dtype)
    for _ in range(_N_REFINEMENTS):
        found = ops.find_nearest(X, W, nothing, 1)
        total = float(ops.to_host(multiply_weights(found.score, sample_weight).sum()))
        weight = multiply_weights(ops.reciprocal(found.norms), sample_weight)
        # A small part of the old direction keeps directions that win no row where they are.
        W = normalize_rows(ops.scatter_rows(W * 1e-3, found.index, weight[:, None], X))
    return W, total
