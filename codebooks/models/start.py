"""Where learning begins: directions that lie apart, found in the first minibatch."""

from __future__ import annotations

from typing import Any

import numpy as np

from codebooks import ops
from codebooks.models.rows import cosine_scores, directions_of, unit_rows

_N_ROWS = 1000  # looked at, at most
_N_STARTS = 8  # drawn, and compared after refining
_N_REFINEMENTS = 8  # passes of spherical k-means over the first minibatch
_N_CANDIDATES = 4  # rows tried for each direction
# Starts that differ by less have found one thing, and the first of them is taken: not the one that rounding favours,
# which is another one on another device.
_ROUNDING = 1e-5


def spread_directions(X: Any, n_directions: int, rng: Any) -> Any:
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
    X = _sample_in_canonical_order(X, rng)
    cosines = _cosines(X)
    found: list[tuple[Any, float]] = []
    for _ in range(_N_STARTS):
        found.append(_refined(X, directions_of(X, _drawn_rows(cosines, n_directions, rng))))
        enough = (1 - _ROUNDING) * max(total for _, total in found)
        found = [(directions, total) for directions, total in found if total >= enough]  # no others are kept in memory
    directions, _ = found[0]
    return ops.xp(directions).asfortranarray(directions)


def _sample_in_canonical_order(X: Any, rng: Any) -> Any:
    """Some rows that are not empty, in an order of their own: by their cosine with a random direction."""
    direction = ops.to_device_of(rng.standard_normal((1, X.shape[1])).astype(X.dtype), X)
    cosines, norms = cosine_scores(X, direction)
    order = np.argsort(ops.to_host(cosines[:, 0]), kind="stable")
    order = order[ops.to_host(norms)[order] > 0]
    if len(order) > _N_ROWS:
        order = order[np.sort(rng.choice(len(order), _N_ROWS, replace=False))]
    return ops.take_rows(X, order)


def _cosines(X: Any) -> np.ndarray:
    """Cosines of all rows with all rows, on the host."""
    scale = ops.reciprocal(ops.row_norms(X))
    return ops.to_host(ops.similarity(X, X) * scale[:, None] * scale)


def _drawn_rows(cosines: np.ndarray, n_directions: int, rng: Any) -> np.ndarray:
    """Rows drawn one after another, each the best of a few, likelier the farther they lie from those before."""
    n_rows = len(cosines)
    chosen = [int(rng.randint(n_rows))]
    nearest = cosines[chosen[0]]
    while len(chosen) < min(n_directions, n_rows):
        # A row that is there already keeps a trace of chance, so that equal rows can serve where there are no others.
        reach = np.cumsum((1 - nearest).clip(1e-6, None), dtype=np.float64)
        tried = np.searchsorted(reach, rng.uniform(0, reach[-1], _N_CANDIDATES))
        reached = np.maximum(nearest, cosines[tried])
        best = int(reached.sum(axis=1).argmax())
        nearest = reached[best]
        chosen.append(int(tried[best]))
    return np.resize(chosen, n_directions)


def _refined(X: Any, W: Any) -> tuple[Any, float]:
    """`W` after a few passes of spherical k-means over `X`, and the sum of cosines that these maximise."""
    total = 0.0
    nothing = ops.xp(W).zeros(len(W), W.dtype)
    for _ in range(_N_REFINEMENTS):
        found = ops.nearest(X, W, nothing, 1)
        total = float(ops.to_host(found.score.sum()))
        # A little of the old direction keeps units that win nothing where they are.
        W = unit_rows(ops.scatter_rows(W * 1e-3, found.index, ops.reciprocal(found.norms)[:, None], X))
    return W, total
