"""Fusion of word scores and embedding scores for hybrid search."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["merge_candidates", "rank_candidates", "rescore_by_embedding"]


def merge_candidates(one: NDArray, other: NDArray) -> NDArray:
    """Merge two lists of positions for each query without duplicates; -1 is padding.

    Examples
    --------
    >>> merge_candidates(np.array([[7, 3, -1]]), np.array([[3, 5]]))
    array([[ 7,  3, -1, -1,  5]])
    """
    is_duplicate = (other[:, :, None] == one[:, None, :]).any(axis=2)
    return np.concatenate([one, np.where(is_duplicate, -1, other)], axis=1)


def rescore_by_embedding(position: NDArray, queries: NDArray, documents: NDArray) -> NDArray:
    """Compute cosines of queries with selected documents, at least 0; 0 for padding and for zero vectors."""
    cosines = np.zeros(position.shape)
    for i, candidates in enumerate(position):
        is_document = candidates >= 0
        rows = documents[candidates[is_document]]
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(queries[i])
        cosines[i, is_document] = rows @ queries[i] / np.where(lengths > 0, lengths, np.inf)
    return cosines.clip(0, None)


def rank_candidates(position: NDArray, score: NDArray, k: int) -> tuple[NDArray, NDArray]:
    """Sort documents by descending score, ties to the lower position, and keep the first `k` with a score above 0.

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
