"""Documents that show what a topic is: representative, typical and ambiguous ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks.topic_model.description import compute_fit, find_representatives

__all__ = ["Examples", "find_examples"]

_N_EXAMPLES = 3
_LEAST_SHARE = 0.2  # of the second topic of an ambiguous document


class Examples(NamedTuple):
    """Rows of documents of a topic."""

    representative: list[int]  # the best fit
    typical: list[int]  # the median fit
    ambiguous: list[int]  # a large share of a second topic


def find_examples(features: Any, positions: NDArray[Any], shares: NDArray[Any]) -> list[Examples]:
    """Choose the examples of each topic; a document is listed once.

    Parameters
    ----------
    features : matrix of shape (n_documents, n_features)
    positions : int array of shape (n_documents,)
        The topic of each document, -1 for none.
    shares : array of shape (n_documents, n_topics)
    """
    n_topics = shares.shape[1]
    fit = compute_fit(features, positions, n_topics)
    second = np.partition(shares, -2, axis=1)[:, -2] if n_topics > 1 else np.zeros(len(shares))
    found = []
    for k, best in enumerate(find_representatives(fit, positions, n_topics)):
        rows = np.setdiff1d(np.flatnonzero(positions == k), best)
        between = rows[second[rows] >= _LEAST_SHARE]
        ambiguous = between[np.argsort(-second[between], kind="stable")[:_N_EXAMPLES]]
        rows = np.setdiff1d(rows, ambiguous)
        rows = rows[np.argsort(fit[rows], kind="stable")]
        middle = max((len(rows) - _N_EXAMPLES) // 2, 0)
        found.append(Examples(best.tolist(), rows[middle : middle + _N_EXAMPLES].tolist(), ambiguous.tolist()))
    return found
