"""Where learning begins: directions that lie apart, found in the first minibatch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from codebooks import ops
from codebooks.models.cosine import compute_cosines, extract_directions, normalize_rows

_N_ROWS, _ROWS_PER_DIRECTION = 1000, 4  # looked at, at most: so many in all, or for each direction if that is more
_N_STARTS = 8  # drawn, and compared after refining
_ONE_START_FROM = 100  # directions: so many from one draw are as good as the best of several
_N_REFINEMENTS = 8  # passes of spherical k-means over the first minibatch
_N_CANDIDATES = 4  # rows tried for each direction
# Starts that differ by less have found one thing, and the first of them is taken: not the one that rounding favours,
# which is another one on another device.
_ROUNDING = 1e-5


def initialize_directions(X: Any, n_directions: int, rng: Any) -> Any:
    """Unit vectors near which the rows of `X` lie, whatever the order of the rows.

    Several times, rows are drawn by greedy k-means++ [1]_ on cosines and refined by a few passes of spherical k-means;
    the first set with the largest sum of cosines is kept. Where there are fewer rows than directions, rows serve again;
    units that begin alike are told apart by `revive`.

    Parameters
    ----------
    X : array or CSR matrix of shape (n_rows, n_features)
        The first minibatch; at least one row is not empty.
    n_directions : int
    rng : RandomState

    Returns
    -------
    array of shape (n_directions, n_features)
        In the dtype and on the device of `X`.

    References
    ----------
    .. [1] D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    X = _sample_in_canonical_order(X, max(_N_ROWS, _ROWS_PER_DIRECTION * n_directions), rng)
    few = n_directions <= _ONE_START_FROM
    cosines_with = _precompute_cosines(X) if few else partial(_compute_cosines_with, X)
    found: list[tuple[Any, float]] = []
    for _ in range(_N_STARTS if few else 1):
        found.append(_refine(X, extract_directions(X, _draw_rows(cosines_with, X.shape[0], n_directions, rng))))
        enough = (1 - _ROUNDING) * max(total for _, total in found)
        found = [(directions, total) for directions, total in found if total >= enough]  # no others are kept in memory
    directions, _ = found[0]
    return ops.xp(directions).asfortranarray(directions)


def _sample_in_canonical_order(X: Any, size: int, rng: Any) -> Any:
    """Some rows that are not empty, in an order of their own: by their cosine with a random direction."""
    direction = ops.to_device_of(rng.standard_normal((1, X.shape[1])).astype(X.dtype), X)
    cosines, norms = compute_cosines(X, direction)
    order = np.argsort(ops.to_host(cosines[:, 0]), kind="stable")
    order = order[ops.to_host(norms)[order] > 0]
    if len(order) > size:
        order = order[np.sort(rng.choice(len(order), size, replace=False))]
    return ops.take_rows(X, order)


def _precompute_cosines(X: Any) -> Callable[[Any], np.ndarray]:
    """The function of `_compute_cosines_with`, from one product."""
    scale = ops.reciprocal(ops.row_norms(X))
    cosines = ops.to_host(ops.similarity(X, X) * scale[:, None] * scale)
    return lambda rows: cosines[rows]


def _compute_cosines_with(X: Any, rows: Any) -> np.ndarray:
    """Cosines of some rows with all rows, of shape (n_chosen, n_rows), on the host."""
    return ops.to_host(compute_cosines(X, extract_directions(X, np.asarray(rows)))[0]).T


def _draw_rows(cosines_with: Callable[[Any], np.ndarray], n_rows: int, n_directions: int, rng: Any) -> np.ndarray:
    """Rows drawn a few at a time, the best of several, likelier the farther they lie from those before.

    Up to a hundred directions are drawn one by one; of more, a hundredth at a time.
    """
    chosen = [int(rng.randint(n_rows))]
    nearest = cosines_with(chosen)[0]
    at_once = -(-n_directions // _ONE_START_FROM)
    while len(chosen) < min(n_directions, n_rows):
        n_drawn = min(at_once, min(n_directions, n_rows) - len(chosen))
        # A row that is there already keeps a trace of chance, so that equal rows can serve where there are no others.
        reach = np.cumsum((1 - nearest).clip(1e-6, None), dtype=np.float64)
        tried = np.searchsorted(reach, rng.uniform(0, reach[-1], _N_CANDIDATES * n_drawn))
        cosines = cosines_with(tried)
        for _ in range(n_drawn):
            reached = np.maximum(nearest, cosines)
            best = int(reached.sum(axis=1).argmax())
            nearest = reached[best]
            chosen.append(int(tried[best]))
    return np.resize(chosen, n_directions)


def _refine(X: Any, W: Any) -> tuple[Any, float]:
    """`W` after a few passes of spherical k-means over `X`, and the sum of cosines that these maximise."""
    total = 0.0
    nothing = ops.xp(W).zeros(len(W), W.dtype)
    for _ in range(_N_REFINEMENTS):
        found = ops.find_nearest(X, W, nothing, 1)
        total = float(ops.to_host(found.score.sum()))
        # A little of the old direction keeps units that win nothing where they are.
        W = normalize_rows(ops.scatter_rows(W * 1e-3, found.index, ops.reciprocal(found.norms)[:, None], X))
    return W, total
