"""Ward linkage of weighted points, used by `codebooks.interpret.hierarchy`; SciPy has it without weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["merge_by_ward"]

Floats = NDArray[np.float64]

_ROUNDING = 1e-12  # of squared distances of rows of length 1


def merge_by_ward(rows: Floats, weights: Floats) -> Floats:
    """Merge the two groups whose merge adds least to the weighted sum of squared distances to the means of groups.

    For groups of weights u and v this is u v / (u + v) times the squared distance of their weighted means. Of equal
    pairs, the one with the lowest row is merged.

    Parameters
    ----------
    rows : ndarray of shape (n_topics, n_features)
        Of length 1 at most.
    weights : ndarray of shape (n_topics,)
        Positive.

    Returns
    -------
    ndarray of shape (n_topics - 1, 4)
        A linkage matrix of SciPy. The distance is the square root of twice the increase, which is the distance of the
        rows if both weights are 1.
    """
    n, weights = len(rows), weights.copy()
    cost = _compute_costs(rows, weights)
    nodes, counts = np.arange(n), np.ones(n, dtype=np.intp)
    nearest = cost.argmin(axis=1)
    best = cost[np.arange(n), nearest]
    linkage = np.empty((n - 1, 4))
    highest = 0.0  # rounding must not decrease distances
    for step in range(n - 1):
        i = int(best.argmin())
        j = int(nearest[i])
        highest = max(highest, np.sqrt(2 * best[i]))
        linkage[step] = nodes[i], nodes[j], highest, counts[i] + counts[j]

        merged = (weights + weights[i]) * cost[i] + (weights + weights[j]) * cost[j] - weights * cost[i, j]
        merged /= weights + weights[i] + weights[j]
        merged[[i, j]] = np.inf
        cost[i] = cost[:, i] = np.maximum(merged, 0)
        cost[j] = cost[:, j] = best[j] = np.inf
        nodes[i], counts[i], weights[i] = n + step, counts[i] + counts[j], weights[i] + weights[j]
        # Other rows keep their nearest row: the merged group is not nearer than both of those that it replaces.
        stale = np.flatnonzero(((nearest == i) | (nearest == j)) & np.isfinite(best))
        nearest[stale] = cost[stale].argmin(axis=1)
        best[stale] = cost[stale, nearest[stale]]
    return linkage


def _compute_costs(rows: Floats, weights: Floats) -> Floats:
    """Compute the increase for each pair of rows; infinite on the diagonal."""
    squares = (rows**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * (rows @ rows.T)
    distances = (distances + distances.T) / 2
    distances[distances < _ROUNDING] = 0
    cost = distances * weights[:, None] * weights / (weights[:, None] + weights)
    np.fill_diagonal(cost, np.inf)
    return cost
