"""Closed-form solution of the linear head of `PairedHead`: partial whitening of the within-group covariance (WCCN)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Increase of the ridge with n_features / n_rows, because the noise of the eigenvalues of a covariance grows with it.
_RIDGE_GROWTH = 2.0

Floats = NDArray[np.float64]
Groups = NDArray[np.intp]

__all__ = [
    "Floats",
    "Groups",
    "compute_barlow_loss",
    "compute_centroids",
    "compute_scatter_matrices",
    "fit_closed_form_head",
]


def compute_centroids(X: NDArray, groups: Groups) -> NDArray:
    """Compute the mean of the rows of each group, shape (n_groups, n_features); groups are 0, 1, ... without gaps."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.add.reduceat(X[order], starts, axis=0) / sizes[:, None].astype(X.dtype)


def compute_scatter_matrices(X: NDArray, groups: Groups) -> tuple[Floats, Floats]:
    """Compute the total covariance and the within-group covariance of the rows.

    Both are unbiased: the second is divided by the number of rows minus the number of groups. The difference `total -
    within` is the covariance of two different rows of one group, the cross-covariance of Barlow Twins with pairs drawn
    inside groups.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    groups : ndarray of shape (n_samples,) of int
        0, 1, ... without gaps; at least one group of two rows.

    Returns
    -------
    total, within : ndarray of shape (n_features, n_features), float64

    Examples
    --------
    >>> total, within = compute_scatter_matrices(np.array([[0.0, 1], [0, 3], [4, 1], [4, 3]]), np.array([0, 0, 1, 1]))
    >>> within
    array([[0., 0.],
           [0., 2.]])
    """
    X = X.astype(np.float64, copy=False)
    inside = X - compute_centroids(X, groups)[groups]
    around = X - X.mean(axis=0)
    n_rows, n_groups = len(X), int(groups.max()) + 1
    return around.T @ around / (n_rows - 1), inside.T @ inside / (n_rows - n_groups)


def fit_closed_form_head(X: NDArray, groups: Groups, ridge: float, n_components: int | None, residual: bool) -> Floats:
    """Compute the weights of the linear head that partly whitens the within-group covariance.

    With the within-group covariance S, regularised by a multiple of the identity::

        H = ((S / m + s I) / (1 + s))^(-1/2)        m = trace(S) / n_features
        s = ridge (1 + 2 n_features / (n_samples - n_groups))

    H is symmetric and tends to the identity as the ridge grows (the residual path). The canonical axes are the
    eigenvectors U of H (T - S) H, with the total covariance T, sorted by descending eigenvalue. `U' H` is ridge CCA of
    the two rows of a pair, or ridge LDA, with each axis scaled to the same within-group spread. With all axes it gives
    the same cosines as H.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    groups : ndarray of shape (n_samples,) of int
        0, 1, ... without gaps.
    ridge : float
        Above 0.
    n_components : int or None
        Number of canonical axes; None keeps all.
    residual : bool
        If True and all axes are kept, return H, so that features keep their meaning. If False, multiply each canonical
        axis by the square root of its correlation rho = b / (b + 1), with b its eigenvalue. Directions that the rows of
        a group do not share then become zero, as in the linear Barlow head.

    Returns
    -------
    ndarray of shape (n_components or n_features, n_features), float64

    Examples
    --------
    >>> X = np.array([[0.0, 1], [0, 3], [4, 1], [4, 3]])
    >>> fit_closed_form_head(X, np.array([0, 0, 1, 1]), 1.0, None, True).round(2)
    array([[1.15, 0.  ],
           [0.  , 0.89]])
    """
    total, within = compute_scatter_matrices(X, groups)
    n_features = len(total)
    mean = np.trace(within) / n_features
    if mean <= 0:
        head = np.eye(n_features)  # the rows of each group are equal
    else:
        ridge = ridge * (1 + _RIDGE_GROWTH * n_features / (len(X) - groups.max() - 1))
        values, vectors = np.linalg.eigh(within / mean)
        gains = np.sqrt((1 + ridge) / (np.maximum(values, 0) + ridge))
        head = (vectors * gains) @ vectors.T
    if residual and n_components is None:
        return head
    shared, axes = np.linalg.eigh(head @ (total - within) @ head)
    order = np.argsort(-shared, kind="stable")[:n_components]
    axes = axes[:, order]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    canonical = axes.T @ head
    if residual:
        return canonical
    spread = max(mean, np.finfo(np.float64).tiny)
    shared = np.maximum(shared[order], 0)
    return np.sqrt(shared / (shared + spread))[:, None] * canonical


def compute_barlow_loss(Z: NDArray, groups: Groups, redundancy: float = 0.0051) -> float:
    """Compute the Barlow Twins loss (Zbontar et al. 2021) for an infinite batch with pairs drawn inside groups.

    It is `sum_i (1 - C_ii)^2 + redundancy sum_{i != j} C_ij^2`, with C the correlation of two different rows of a
    group.

    Examples
    --------
    >>> Z = np.array([[0.0, 1], [0, 3], [4, 1], [4, 3]])  # rows of a group agree in the first feature only
    >>> round(compute_barlow_loss(Z, np.array([0, 0, 1, 1]), redundancy=0.0), 2)
    2.25
    """
    total, within = compute_scatter_matrices(Z, groups)
    spread = np.sqrt(np.diag(total))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    shared = (total - within) * scale * scale[:, None]
    diagonal = np.diag(shared)
    return float(((1 - diagonal) ** 2).sum() + redundancy * ((shared**2).sum() - (diagonal**2).sum()))
