"""Cosines of embeddings with the nearest embeddings of the documents of a `TopicModel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from codebooks import ops

__all__ = ["draw_reference", "draw_sample", "fit_in_steps", "score_rows", "transform_in_steps"]

# Embeddings with which others are compared, and the number of the nearest ones that count.
_N_ROWS, _N_NEAREST = 5_000, 10
_BLOCK = 1000


def draw_sample(n: int, largest: int) -> NDArray[Any]:
    """Return the numbers below `n`, or a sample of them, always the same, if there are more than `largest`."""
    return np.arange(n) if n <= largest else np.sort(np.random.RandomState(0).choice(n, largest, replace=False))


def fit_in_steps(preparation: Any, texts: Sequence[str]) -> tuple[Any, Any]:
    """Fit the preparation, and return the embeddings of texts and the features."""
    if not _has_steps(preparation):
        features = preparation.fit_transform(texts)
        return features, features
    rows = preparation[:1].fit_transform(texts)
    features = preparation[1:].fit_transform(rows)
    return (features if ops.is_sparse(rows) else rows), features


def transform_in_steps(preparation: Any, texts: Sequence[str]) -> tuple[Any, Any]:
    """Return the embeddings of texts, and the features, which are centered, whitened and smoothed embeddings."""
    if not _has_steps(preparation):
        features = preparation.transform(texts)
        return features, features
    rows = preparation[0].transform(texts)
    features = preparation[1:].transform(rows)
    return (features if ops.is_sparse(rows) else rows), features


def draw_reference(rows: Any) -> NDArray[Any]:
    """Return a sample of embeddings, scaled to length 1."""
    return _normalize(ops.take_rows(rows, draw_sample(rows.shape[0], _N_ROWS)))


def score_rows(rows: Any, reference: NDArray[Any], own: NDArray[Any] | None = None) -> NDArray[Any]:
    """Compute the mean cosine of rows with the nearest ones of the reference.

    `own` are the numbers of the rows in the reference, if each is to be compared with the others.
    """
    rows = _normalize(rows)
    n_nearest = max(1, min(_N_NEAREST, reference.shape[0] - (own is not None)))
    scores = np.empty(rows.shape[0])
    for start in range(0, len(scores), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(scores)))
        cosines = ops.similarity(ops.take_rows(rows, block), reference)
        if own is not None:
            cosines[block - start, own[block]] = -1
        scores[block] = np.partition(cosines, -n_nearest, axis=1)[:, -n_nearest:].mean(axis=1)
    return scores


def _normalize(rows: Any) -> Any:
    rows = ops.to_host(rows)
    return ops.scale_rows(rows, ops.reciprocal(ops.row_norms(rows)))


def _has_steps(preparation: Any) -> bool:
    is_long = isinstance(preparation, Pipeline) and len(preparation) > 1 and preparation.memory is None
    return is_long and hasattr(preparation[0], "transform")
