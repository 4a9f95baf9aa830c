"""Likelihood of the words of documents under the topics of a `TopicModel`, also of words that it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import logsumexp
from sklearn.feature_extraction.text import CountVectorizer

from codebooks.text.analyzer import TextAnalyzer
from codebooks.text.counting import fit_transform

__all__ = ["WordLikelihood", "build_word_likelihood", "count_terms"]

# The weight of the frequencies of the whole corpus in those of a topic, in documents.
_WEIGHT = 2.0
# The number of documents that are assumed to contain a term that the model does not know.
_UNKNOWN = 0.5


class WordLikelihood(NamedTuple):
    """Numbers of documents that contain each term, from which likelihoods are computed.

    The probability of a term in a topic is the share of its documents that contain the term. The score of a document is
    the mean log likelihood of its distinct terms: all have the same topic, which is not known.
    """

    counts: NDArray[Any]  # (n_topics, n_terms) documents of a topic that contain a term
    term_counts: NDArray[Any]  # (n_terms,) documents that contain a term
    sizes: NDArray[Any]  # (n_topics,) documents of a topic
    n_documents: int

    def score(self, words: Any, n_terms: NDArray[Any]) -> NDArray[Any]:
        """Compute the scores of documents, which have `n_terms` distinct terms, known and unknown."""
        contains = _binarize(words)
        return self._average(self._score_topics(contains), contains.getnnz(axis=1), n_terms)

    def score_left_out(self, words: Any, n_terms: NDArray[Any], positions: NDArray[Any]) -> NDArray[Any]:
        """Compute the scores of documents of the model, each as if it were not one of them.

        A term that too few other documents contain is unknown. `positions` are the topics of the documents.
        """
        contains, row, own, _ = self._leave_out(words, positions)
        scores, assigned = self._score_topics(contains), np.flatnonzero(positions >= 0)
        scores[assigned, positions[assigned]] = own[assigned]
        return self._average(scores, np.bincount(row, contains.data, len(positions)), n_terms)

    def compare_left_out(self, words: Any, positions: NDArray[Any]) -> NDArray[Any]:
        """Compute the log odds of documents of the model: the joint probability of their words and their topic, divided
        by the probability of their words in all documents.

        Each is left out in turn. The odds are 1 for documents without a topic.
        """
        _, _, own, common = self._leave_out(words, positions)
        return np.where(positions >= 0, own - common, 0)

    def _leave_out(self, words: Any, positions: NDArray[Any]) -> tuple[Any, Any, NDArray[Any], NDArray[Any]]:
        """Return known terms, the rows of entries, and the log probabilities of documents.

        They are the joint one with their topic, and that in all documents. Each document is left out in turn.
        """
        contains = _binarize(words)
        row = np.repeat(np.arange(contains.shape[0]), contains.getnnz(axis=1))
        column, topic = contains.indices, positions[row]
        others = self.term_counts[column] - 1
        contains.data = (others >= self.term_counts[self.term_counts > 0].min(initial=self.n_documents)) * 1.0
        common = np.maximum(others, _UNKNOWN) / self.n_documents
        shares = (self.counts[topic, column] - 1 + _WEIGHT * common) / (self.sizes[topic] - 1 + _WEIGHT)
        own = np.log(np.where(topic >= 0, shares, 1))
        sums = [np.bincount(row, contains.data * logs, len(positions)) for logs in (own, np.log(common))]
        prior = np.log(np.maximum(self.sizes, 1) / (self.sizes + 1).sum())
        return contains, row, sums[0] + prior[positions], sums[1]

    def _score_topics(self, contains: Any) -> NDArray[Any]:
        """Compute the logarithm of the joint probability of documents and each topic."""
        common = np.maximum(self.term_counts, _UNKNOWN) / self.n_documents
        shares = (self.counts + _WEIGHT * common) / (self.sizes[:, None] + _WEIGHT)
        return contains @ np.log(shares).T + np.log((self.sizes + 1) / (self.sizes + 1).sum())

    def _average(self, scores: NDArray[Any], n_known: NDArray[Any], n_terms: NDArray[Any]) -> NDArray[Any]:
        unknown = (n_terms - n_known) * np.log(_UNKNOWN / self.n_documents)
        return (logsumexp(scores, axis=1) + unknown) / np.maximum(n_terms, 1)


def build_word_likelihood(words: Any, positions: NDArray[Any], n_topics: int) -> WordLikelihood:
    """Count the documents that contain each term. `positions` are the topics of the documents, -1 for none."""
    rows, contains = np.flatnonzero(positions >= 0), _binarize(words)
    groups = csr_matrix((np.ones(len(rows)), (positions[rows], rows)), shape=(n_topics, words.shape[0]))
    return WordLikelihood(
        (groups @ contains).toarray(),
        contains.getnnz(axis=0),
        np.bincount(positions[rows], minlength=n_topics),
        words.shape[0],
    )


def count_terms(vectorizer: Any, texts: Sequence[str], words: Any) -> NDArray[Any]:
    """Count the distinct terms of texts, also those that a fitted vectorizer does not know.

    `words` is the matrix of the texts. A vectorizer without an analyzer is assumed to know all terms.
    """
    known = words.getnnz(axis=1)
    if not hasattr(vectorizer, "build_analyzer"):
        return known
    analyze = vectorizer.build_analyzer()
    if type(getattr(vectorizer, "analyzer", None)) is TextAnalyzer:
        try:
            every = fit_transform(CountVectorizer(analyzer=vectorizer.analyzer), texts).getnnz(axis=1)
        except ValueError:  # there are no terms
            every = known
    else:
        every = np.fromiter((len(set(analyze(text))) for text in texts), np.int64, len(texts))
    return np.maximum(every, known)


def _binarize(words: Any) -> csr_matrix:
    contains = csr_matrix(words, dtype=np.float64, copy=True)
    contains.eliminate_zeros()
    contains.data[:] = 1
    return contains
