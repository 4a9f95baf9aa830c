"""Explanations of search results: sources of the terms added to a query, and contributions of terms to a score."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from codebooks.retrieval.index import TermIndex

__all__ = ["AddedTerm", "compute_contributions", "find_added_terms"]

# Largest number of source documents that are returned for an added term.
_N_SOURCES = 3


class AddedTerm(NamedTuple):
    """A term that relevance feedback adds to a query, with the documents that it comes from.

    Attributes
    ----------
    term : str
    weight : float
        Weight in the completed query, whose original terms have length 1 together.
    because : list of (id, float)
        The documents that contribute most to the weight, at most three, and the share of each.
    """

    term: str
    weight: float
    because: list[tuple[Any, float]]


def find_added_terms(
    counts: Any, completed: Any, position: np.ndarray, share: np.ndarray, index: TermIndex, n: int
) -> list[AddedTerm]:
    """Find the terms of largest weight that completion adds to a query.

    Parameters
    ----------
    counts, completed : CSR matrices of shape (1, n_terms)
        The query before and after completion.
    position, share : arrays of shape (n_feedback_documents,)
        The documents that completed it, and their shares.
    index : TermIndex
    n : int
        Largest number of terms.

    Returns
    -------
    list of AddedTerm
        By descending weight, ties to the lower column.
    """
    weighted = index.weighted
    position, share = position[share > 0], share[share > 0]
    own = set(counts.indices)
    added = [(c, w) for c, w in zip(completed.indices, completed.data, strict=True) if c not in own]
    added.sort(key=lambda pair: (-pair[1], pair[0]))
    sources = (weighted.rows[position] if len(position) else weighted.rows[:0]).tocsc()
    result = []
    for column, weight in added[:n]:
        parts = np.asarray(sources[:, [column]].todense()).ravel()
        parts = share * weighted.reciprocals[position] * parts
        largest = np.argsort(-parts, kind="stable")[:_N_SOURCES]
        because = [(index.ids[position[i]].item(), float(parts[i] / parts.sum())) for i in largest if parts[i] > 0]
        result.append(AddedTerm(str(index.terms[column]), float(weight), because))
    return result


def compute_contributions(
    counts: Any, completed: Any, row: Any, terms: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """Compute the contribution of each term to the score of one document.

    Parameters
    ----------
    counts, completed, row : CSR matrices of shape (1, n_terms)
        The query before and after completion, and the document.
    terms : sequence of str
        Names of the columns.

    Returns
    -------
    matched, added : dict of str to float
        Contributions of the terms of the query, and of the terms added to it, the largest first.
    """
    contributions = csr_matrix(completed.multiply(row))
    own = set(counts.indices)
    order = np.argsort(-contributions.data, kind="stable")
    pairs = [(int(contributions.indices[p]), float(contributions.data[p])) for p in order]
    pairs = [(column, value) for column, value in pairs if value > 0]
    matched = {str(terms[c]): value for c, value in pairs if c in own}
    added = {str(terms[c]): value for c, value in pairs if c not in own}
    return matched, added
