"""Several rankings of the same documents as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["fused"]

# What keeps the first ranks of one list from deciding alone; 60 since Cormack, Clarke and Buettcher (2009).
_RANK_CONSTANT = 60


def fused(rankings: Sequence[NDArray], k: int) -> tuple[NDArray, NDArray]:
    """Reciprocal rank fusion: a document of rank r gets 1 / (60 + r) from each ranking, and sums decide.

    Parameters
    ----------
    rankings : sequence of int arrays of shape (n_queries, depth)
        Positions of documents, best first; -1 is nothing. Depths may differ.
    k : int
        How many documents come out.

    Returns
    -------
    position : int array of shape (n_queries, k)
        Best first, ties to the lower position; -1 where nothing is left.
    weight : float64 array of shape (n_queries, k)
        The sums; 0 there.

    Examples
    --------
    >>> position, weight = fused([np.array([[7, 3, -1]]), np.array([[3, 5]])], k=4)
    >>> position
    array([[ 3,  7,  5, -1]])
    """
    n_queries = len(rankings[0])
    position, weight = np.full((n_queries, k), -1), np.zeros((n_queries, k))
    for i, lists in enumerate(zip(*rankings, strict=True)):
        scores: dict[int, float] = {}
        for ranked in lists:
            for rank, document in enumerate(ranked[ranked >= 0].tolist(), 1):
                scores[document] = scores.get(document, 0.0) + 1 / (_RANK_CONSTANT + rank)
        first = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        position[i, : len(first)] = [document for document, _ in first]
        weight[i, : len(first)] = [score for _, score in first]
    return position, weight
