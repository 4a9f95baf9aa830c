"""Why a search finds what it finds: which documents bring a word, and which words a document is found by."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from codebooks.retrieval.index import TermIndex

__all__ = ["AddedTerm", "compute_contributions", "find_added_terms"]

# A word is brought by so many documents at most that are named.
_NAMED = 3


class AddedTerm(NamedTuple):
    """A term that the memory adds to a query, and why."""

    term: str
    weight: float  # in the completed query; the terms of the query itself have length 1 together
    because: list[tuple[Any, float]]  # ids of the documents that bring it, and the share of its weight each gives


def find_added_terms(
    counts: Any, completed: Any, position: np.ndarray, share: np.ndarray, index: TermIndex, terms: Any, n: int
) -> list[AddedTerm]:
    """The strongest terms that a completed query has and the query has not.

    Parameters
    ----------
    counts, completed : CSR matrices of shape (1, n_terms)
        The query before and after.
    position, share : arrays of shape (n_documents_asked,)
        The documents that completed it, and their shares.
    index : TermIndex
    terms : sequence of str
        Names of the columns.
    n : int
        How many terms at most.

    Returns
    -------
    list of AddedTerm
        By falling weight, ties to the lower column.
    """
    weighted = index.weighted
    position, share = position[share > 0], share[share > 0]
    own = set(counts.indices)
    added = [(c, w) for c, w in zip(completed.indices, completed.data, strict=True) if c not in own]
    added.sort(key=lambda pair: (-pair[1], pair[0]))
    bring = (weighted.rows[position] if len(position) else weighted.rows[:0]).tocsc()
    result = []
    for column, weight in added[:n]:
        parts = np.asarray(bring[:, [column]].todense()).ravel()
        parts = share * weighted.reciprocals[position] * parts
        most = np.argsort(-parts, kind="stable")[:_NAMED]
        because = [(index.ids[position[i]].item(), float(parts[i] / parts.sum())) for i in most if parts[i] > 0]
        result.append(AddedTerm(str(terms[column]), float(weight), because))
    return result


def compute_contributions(
    counts: Any, completed: Any, row: Any, terms: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """What each term gives to the score of one document: terms of the query, and terms that were added to it.

    Parameters
    ----------
    counts, completed, row : CSR matrices of shape (1, n_terms)
        The query before and after, and the document.
    terms : sequence of str
        Names of the columns.

    Returns
    -------
    matched, added : dict of str to float
        The largest first.
    """
    gives = csr_matrix(completed.multiply(row))
    own = set(counts.indices)
    order = np.argsort(-gives.data, kind="stable")
    named = [(int(gives.indices[p]), float(gives.data[p])) for p in order if gives.data[p] > 0]
    matched = {str(terms[c]): value for c, value in named if c in own}
    added = {str(terms[c]): value for c, value in named if c not in own}
    return matched, added
