"""The closed form of a head: how rows vary inside their groups, and what undoes it. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# How fast a covariance of few rows is trusted less: the noise of its eigenvalues grows with features over rows.
_DOUBT = 2.0

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
    """The mean of the rows of each group, shape (n_groups, n_features); groups are numbered 0, 1, ... without gaps."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.add.reduceat(X[order], starts, axis=0) / sizes[:, None].astype(X.dtype)


def compute_scatter_matrices(X: NDArray, groups: Groups) -> tuple[Floats, Floats]:
    """Covariance of the rows, and of the rows inside their groups.

    Both are unbiased: the second divides by the rows less the groups. What is between them, `total - within`, is the
    covariance of two different rows of one group, Barlow's cross-covariance with pairs drawn inside groups.

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
    """Weights of the linear head under which rows of a group vary alike in all directions, partly.

    With the covariance S inside groups, shrunk towards a multiple of the identity::

        H = ((S / m + s I) / (1 + s))^(-1/2)        m = trace(S) / n_features
        s = ridge (1 + 2 n_features / (n_samples - n_groups))

    H is symmetric and tends to the identity as the ridge grows: that is the residual path. Canonical axes come of
    the covariance T of all rows, which is S and what two rows of a group share: the eigenvectors U of H (T - S) H,
    the most shared first. `U' H` is ridge CCA between the two rows of a pair, or ridge LDA, each axis scaled
    to the same spread inside groups; kept whole it gives the cosines of H.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    groups : ndarray of shape (n_samples,) of int
        0, 1, ... without gaps.
    ridge : float
        Above 0.
    n_components : int or None
        Keep so many canonical axes; None: all.
    residual : bool
        With True and all axes: H itself, so that features keep their places. With False: canonical axes, each also
        weighed by the square root of its correlation rho = b / (b + 1), where b is its eigenvalue: what pairs do not
        share at all goes to zero, as in the linear Barlow head.

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
        head = np.eye(n_features)  # rows of a group are equal already
    else:
        ridge = ridge * (1 + _DOUBT * n_features / (len(X) - groups.max() - 1))
        values, vectors = np.linalg.eigh(within / mean)
        worth = np.sqrt((1 + ridge) / (np.maximum(values, 0) + ridge))
        head = (vectors * worth) @ vectors.T
    if residual and n_components is None:
        return head
    shared, axes = np.linalg.eigh(head @ (total - within) @ head)
    strongest = np.argsort(-shared, kind="stable")[:n_components]
    axes = axes[:, strongest]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    canonical = axes.T @ head
    if residual:
        return canonical
    spread = max(mean, np.finfo(np.float64).tiny)
    common = np.maximum(shared[strongest], 0)
    return np.sqrt(common / (common + spread))[:, None] * canonical


def compute_barlow_loss(Z: NDArray, groups: Groups, redundancy: float = 0.0051) -> float:
    """Barlow's loss where batches are endless and pairs are drawn inside groups, `sum_i (1 - C_ii)^2 + redundancy
    sum_{i != j} C_ij^2` (Zbontar et al. 2021), C being the covariance that two rows of a group share over the spread of
    the features.

    Examples
    --------
    >>> Z = np.array([[0.0, 1], [0, 3], [4, 1], [4, 3]])  # groups share the first feature and not the second
    >>> round(compute_barlow_loss(Z, np.array([0, 0, 1, 1]), redundancy=0.0), 2)
    2.25
    """
    total, within = compute_scatter_matrices(Z, groups)
    spread = np.sqrt(np.diag(total))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    shared = (total - within) * scale * scale[:, None]
    diagonal = np.diag(shared)
    return float(((1 - diagonal) ** 2).sum() + redundancy * ((shared**2).sum() - (diagonal**2).sum()))
