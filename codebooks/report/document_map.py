"""Positions of documents in the plane, for the map of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from codebooks import ops

__all__ = ["place_documents", "sample_documents"]

_N_DIMENSIONS = 50  # of the reduced features
_FEWEST = 5  # documents of a map
_PERPLEXITY = 30
_N_ITERATIONS = 500  # twice as many change little


def sample_documents(n_documents: int, limit: int) -> NDArray[np.intp]:
    """Return the rows of all documents, or of a random sample of `limit`, the same at each call."""
    if n_documents <= limit:
        return np.arange(n_documents)
    return np.sort(np.random.default_rng(0).choice(n_documents, limit, replace=False))


def place_documents(features: Any) -> NDArray[np.float64]:
    """Return positions from 0 to 1 in which similar documents are near each other, by t-SNE.

    Parameters
    ----------
    features : array or CSR matrix of shape (n_documents, n_features)
        Rows are scaled to length 1.

    Returns
    -------
    ndarray of shape (n_documents, 2)
        nan for rows without a value other than 0; all nan if there are too few different rows.
    """
    with threadpool_limits(1):  # several threads add in another order, and t-SNE amplifies rounding
        return _place(ops.to_host(features))


def _place(X: Any) -> NDArray[np.float64]:
    positions = np.full((X.shape[0], 2), np.nan)
    rows = np.flatnonzero(ops.row_norms(X) > 0)
    if len(rows) < _FEWEST:
        return positions
    X = ops.take_rows(X, rows)
    X = ops.scale_rows(X, ops.reciprocal(ops.row_norms(X)))
    n_dimensions = min(_N_DIMENSIONS, X.shape[1] - 1, len(rows) - 1)
    if ops.is_sparse(X) and n_dimensions >= 2:
        X = TruncatedSVD(n_dimensions, random_state=0).fit_transform(X)
    elif n_dimensions >= 2:
        X = PCA(n_dimensions, random_state=0).fit_transform(X)
    else:
        X = np.asarray(X.toarray() if ops.is_sparse(X) else X)
        X = np.column_stack([X, np.zeros(len(X))])
    if len(np.unique(X, axis=0)) < _FEWEST:
        return positions
    tsne = TSNE(perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3), init="pca", random_state=0, max_iter=_N_ITERATIONS)
    found = tsne.fit_transform(X).astype(np.float64)
    lowest, highest = found.min(axis=0), found.max(axis=0)
    positions[rows] = (found - lowest) / np.where(highest > lowest, highest - lowest, 1)
    return positions
