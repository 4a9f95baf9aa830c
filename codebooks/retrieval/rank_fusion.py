"""Scores by words and by embeddings as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["merge_candidates", "rank_candidates", "rescore_by_embedding"]


def merge_candidates(one: NDArray, other: NDArray) -> NDArray:
    """Join two lists of positions for each query; -1 is nothing, and what is in both is there once.

    Examples
    --------
    >>> merge_candidates(np.array([[7, 3, -1]]), np.array([[3, 5]]))
    array([[ 7,  3, -1, -1,  5]])
    """
    is_known = (other[:, :, None] == one[:, None, :]).any(axis=2)
    return np.concatenate([one, np.where(is_known, -1, other)], axis=1)


def rescore_by_embedding(position: NDArray, queries: NDArray, documents: NDArray) -> NDArray:
    """Cosines of queries with chosen documents, negative ones as 0; 0 where there is no document or no direction."""
    cosines = np.zeros(position.shape)
    for i, chosen in enumerate(position):
        there = chosen >= 0
        rows = documents[chosen[there]]
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(queries[i])
        cosines[i, there] = rows @ queries[i] / np.where(lengths > 0, lengths, np.inf)
    return cosines.clip(0, None)


def rank_candidates(position: NDArray, score: NDArray, k: int) -> tuple[NDArray, NDArray]:
    """Sort documents by falling score, ties to the lower position, and keep the first `k` with a score above 0.

    Examples
    --------
    >>> position, score = rank_candidates(np.array([[7, 3, -1]]), np.array([[0.5, 0.9, 0.0]]), k=3)
    >>> position
    array([[ 3,  7, -1]])
    """
    position = np.where(score > 0, position, -1)
    order = np.lexsort((position, -score), axis=1)[:, :k]
    position, score = np.take_along_axis(position, order, axis=1), np.take_along_axis(score, order, axis=1)
    return position, np.where(position >= 0, score, 0)
