"""Selection of the words of components, by their weights or jointly from the documents assigned to them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from codebooks import ops

__all__ = [
    "ScoredWords",
    "choose_words_by_documents",
    "choose_words_by_weights",
    "score_words_by_documents",
    "select_largest",
]

Ints = NDArray[np.intp]

# The candidates for n words are the n + 50 of highest score.
_SPARE = 50
# Upper limit of the NPMI of a pair, because words of repeated boilerplate always occur together.
_CEILING = 0.5
# Penalties in units of mean NPMI: for a word with a tenth of the highest score, and for a word of another topic.
_WEAKNESS, _REPETITION = 0.5, 0.65
# Number of passes over the components: the third changes few words.
_N_ROUNDS = 3
# Longer lists are the words of highest score: time and memory of the joint choice grow with the square of their length.
_LONGEST = 200


class ScoredWords(NamedTuple):
    """The words of one component."""

    scores: NDArray[Any]  # (n_words,) descending
    columns: Ints  # (n_words,) column indices of the words


def choose_words_by_weights(weights: NDArray[Any], n: int) -> list[ScoredWords]:
    """Choose the `n` largest positive weights of each component, descending, ties to the lower column."""
    columns = [_select_positive(row, n) for row in weights]
    return [ScoredWords(row[chosen], chosen) for row, chosen in zip(weights, columns, strict=True)]


def choose_words_by_documents(X: Any, labels: Ints, n_components: int, n: int) -> list[ScoredWords | None]:
    """Choose words for all components jointly: words that occur together and that other components do not list.

    The objective is in the docstring of `topic_words`.

    Parameters
    ----------
    X : sparse matrix or array of shape (n_documents, n_features)
        Values >= 0; only which words a document contains matters.
    labels : int array of shape (n_documents,)
        The component of each document, -1 for none.
    n_components : int
    n : int
        Maximum number of words of a component.

    Returns
    -------
    list of (ScoredWords or None), length n_components
        None for a component without documents.
    """
    incidence, starts = _group_documents(X, labels, n_components)
    is_joint = n <= _LONGEST
    columns = np.full((n_components, min(n + _SPARE * is_joint, incidence.shape[1])), -1)
    scores = np.zeros(columns.shape)
    for k, (words, values) in enumerate(_compute_scores(incidence, starts)):
        best = select_largest(values, columns.shape[1])
        columns[k, : len(best)], scores[k, : len(best)] = words[best], values[best]
    chosen = columns >= 0
    if is_joint:
        counts, objective = ops.count_pairs(incidence, columns), (_CEILING, _WEAKNESS, _REPETITION)
        chosen = ops.choose_subsets(
            columns, scores, counts, incidence.shape[0], n, objective=objective, n_rounds=_N_ROUNDS
        )
    words_of = [ScoredWords(scores[k, row], columns[k, row]) for k, row in enumerate(chosen)]
    return [words if n_rows else None for words, n_rows in zip(words_of, np.diff(starts), strict=True)]


def score_words_by_documents(X: Any, labels: Ints, n_components: int) -> NDArray[np.float64]:
    """Compute the score of each word for the documents of each component, shape (n_components, n_features)."""
    incidence, starts = _group_documents(X, labels, n_components)
    out = np.zeros((n_components, incidence.shape[1]))
    for row, (words, values) in zip(out, _compute_scores(incidence, starts), strict=True):
        row[words] = values
    return out


def select_largest(values: NDArray[Any], n: int) -> Ints:
    """Return the indices of the n largest values, descending, ties to the lower index.

    Values that differ by rounding only are ties, because BLAS rounds equal rows or columns differently, depending on
    their position and on the processor.
    """
    margin = ops.rounding_tolerance(values.dtype) if values.dtype.kind == "f" else 0
    index = np.arange(len(values))
    if n < len(values):
        least = np.partition(values, -n)[-n]
        index = np.flatnonzero(values >= least - margin * abs(least))
    index = index[np.argsort(-values[index], kind="stable")]
    negative, first = -values[index], 0
    while first < min(n, len(index)):
        last = int(np.searchsorted(negative, negative[first] + margin * abs(negative[first]), side="right"))
        if last - first > 1:
            index[first:last] = np.sort(index[first:last])
        first = last
    return index[:n]


def _select_positive(row: NDArray[Any], n: int) -> Ints:
    columns = np.flatnonzero(row > 0)
    return columns[select_largest(row[columns], n)]


def _group_documents(X: Any, labels: Ints, n_components: int) -> tuple[Any, Ints]:
    """Return the incidence of words in documents, sorted by component, and the first row of each component."""
    incidence = sparse.csr_matrix(X, dtype=bool, copy=True)
    incidence.sum_duplicates()
    incidence.eliminate_zeros()
    order = np.argsort(labels, kind="stable")
    return incidence[order], np.searchsorted(labels[order], np.arange(n_components + 1))


def _compute_scores(incidence: Any, starts: Ints) -> Iterator[tuple[Ints, NDArray[np.float64]]]:
    """Yield the words of positive score and their scores for each component."""
    n_documents, n_features = incidence.shape
    frequency = np.bincount(incidence.indices, minlength=n_features)
    for first, last in pairwise(starts):
        rows = incidence.indices[incidence.indptr[first] : incidence.indptr[last]]
        inside = np.bincount(rows, minlength=n_features)
        words = np.flatnonzero(inside)
        share = inside[words] / max(last - first, 1)
        # Products of integers, so that equal shares have a ratio of exactly 1.
        lift = np.log((inside[words] * n_documents) / (frequency[words] * (last - first)))
        is_typical = lift > 0
        if is_typical.any():  # no word is, if the component has all documents
            words, share = words[is_typical], share[is_typical] * lift[is_typical]
        yield words, share
