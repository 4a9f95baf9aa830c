"""Counted documents, weighted and inverted: what a retriever searches. It never changes; additions make another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import clone

from codebooks import ops
from codebooks._fork_safe_lock import ForkSafeLock
from codebooks.retrieval.bm25 import BM25Transformer
from codebooks.text.analyzer import TextAnalyzer

__all__ = ["FADED", "TermIndex", "Weighted", "drop_columns", "find_invalid_counts"]

# Upper bounds of counts that BM25 weighs, and of the absolute value of numbers that are weights already: sums of
# squares stay finite in float32. BM25 needs one count of at least the lower bound.
_LARGEST_COUNT, _LARGEST_NUMBER = 1e9, 1e15
_SMALLEST_COUNT = 1e-20

# A stop word is a function word where more than this share of the documents, and more than this number of them, have
# it.
_COMMON, _FEWEST_DOCUMENTS = 0.02, 5

# What a function word counts beside others in queries, and in lengths of documents: enough to choose between equals.
FADED, _FADED_LENGTH = 1e-3, 1e-4

# Two threads do not weigh the same at once. One lock for all: it survives a fork, as one in each would not.
_weighing = ForkSafeLock()


class Weighted(NamedTuple):
    """What is derived from all counts together."""

    rows: Any  # CSR (n_documents, n_terms), float32, weights of terms
    absent: np.ndarray  # (n_terms,) what a term gives to documents that lack it
    reciprocals: np.ndarray  # (n_documents,) 1 / length of each row, 0 for an empty one
    postings: ops.Postings


class TermIndex:
    """Documents as counts of terms, with their ids.

    Parameters
    ----------
    counts : CSR matrix of shape (n_documents, n_terms), float32
    ids : ndarray of shape (n_documents,), int64 or str
    weighting : "bm25", transformer of counts, or None
        Not fitted; a clone of it is fitted to all counts. "bm25" is `BM25Transformer()`; None leaves them as they are.
    texts : sequence of str, optional
        The documents themselves.
    next_id : int
        What the next document without a name is called.
    vectorizer : transformer of text to counts, optional
        What has counted the terms, fitted.
    """

    def __init__(
        self,
        counts: Any,
        ids: np.ndarray,
        weighting: Any = None,
        texts: Sequence[str] | None = None,
        next_id: int | None = None,
        vectorizer: Any = None,
    ):
        self.counts = counts
        self.ids = ids
        self.weighting = weighting
        self.texts = texts
        self.next_id = len(ids) if next_id is None else next_id
        self.vectorizer = vectorizer
        self._weighted: Weighted | None = None
        self._terms: np.ndarray | None = None
        self._stop_columns: tuple[np.ndarray, np.ndarray] | None = None

    def __getstate__(self) -> tuple:
        return self.counts, self.ids, self.weighting, self.texts, self.next_id, self.vectorizer

    def __setstate__(self, state: tuple) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def weighted(self) -> Weighted:
        """Weights of all documents, and where to find them; made when first asked for, while other threads wait."""
        if self._weighted is None:
            with _weighing:
                if self._weighted is None:
                    self._weighted = self._weigh()
        return self._weighted

    @property
    def terms(self) -> np.ndarray:
        """Names of the columns, sorted out once."""
        if self._terms is None:
            by_number = self.vectorizer is None
            self._terms = (
                np.arange(self.counts.shape[1]).astype(str) if by_number else self.vectorizer.get_feature_names_out()
            )
        return self._terms

    @property
    def stop_columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the stop words of the language, and of those that are function words here; found once.

        A stop word that few documents have, such as "interest" or "bill" in English, says what they are about. There
        are none where the vectorizer was given by the user.
        """
        if self._stop_columns is None:
            found, frequency = np.empty(0, np.int64), np.bincount(self.counts.indices, minlength=self.counts.shape[1])
            analyzer = getattr(self.vectorizer, "analyzer", None)
            if isinstance(analyzer, TextAnalyzer) and analyzer.stop_words is None:
                columns = [self.vectorizer.vocabulary_.get(word) for word in analyzer.language_stop_words()]
                found = np.array([column for column in columns if column is not None], np.int64)
            is_common = frequency[found] > max(_COMMON * len(self), _FEWEST_DOCUMENTS)
            self._stop_columns = found, found[is_common]
        return self._stop_columns

    def append_rows(
        self, counts: Any, ids: np.ndarray, texts: Sequence[str] | None, next_id: int, vectorizer: Any
    ) -> TermIndex:
        """The index with more documents; they may have more terms."""
        counts = ops.stack_rows([_widen(self.counts, counts.shape[1]), counts])
        texts = None if self.texts is None else [*self.texts, *(texts or ())]
        return TermIndex(counts, np.concatenate([self.ids, ids]), self.weighting, texts, next_id, vectorizer)

    def replace_counts(self, counts: Any) -> TermIndex:
        """The index with other counts of the same terms."""
        return TermIndex(counts, self.ids, self.weighting, self.texts, self.next_id, self.vectorizer)

    def select_rows(self, kept: np.ndarray) -> TermIndex:
        """The index of these documents only, given by position."""
        texts = None if self.texts is None else [self.texts[i] for i in kept]
        counts = ops.take_rows(self.counts, kept)
        return TermIndex(counts, self.ids[kept], self.weighting, texts, self.next_id, self.vectorizer)

    def _weigh(self) -> Weighted:
        """Weights of all terms. Function words hardly count in the lengths of documents."""
        _, function_words = self.stop_columns
        counts = self.counts
        if len(function_words):
            others = np.setdiff1d(np.arange(counts.shape[1]), function_words)
            more_rows, more_absent = self._weigh_counts(drop_columns(counts, others))
            counts = counts.copy()
            counts.data[np.isin(counts.indices, function_words)] *= _FADED_LENGTH
        rows, absent = self._weigh_counts(counts)
        if len(function_words):
            rows, absent = drop_columns(rows, function_words), absent.copy()
            absent[function_words] = 0
            rows, absent = csr_matrix(rows + more_rows), absent + more_absent
            rows.sort_indices()
        return Weighted(rows, absent, ops.reciprocal(ops.row_norms(rows)), ops.build_postings(rows))

    def _weigh_counts(self, counts: Any) -> tuple[Any, np.ndarray]:
        absent = np.zeros(counts.shape[1], np.float32)
        if self.weighting is None or not counts.data.any():
            return counts, absent
        weighting = BM25Transformer() if isinstance(self.weighting, str) else clone(self.weighting)
        rows = csr_matrix(weighting.fit_transform(counts), dtype=np.float32)
        return rows, np.asarray(getattr(weighting, "absent_", absent), np.float32)


def drop_columns(counts: Any, columns: np.ndarray) -> Any:
    """A CSR matrix without the entries of these columns; the same object where there are none."""
    if not len(columns):
        return counts
    is_kept = np.ones(counts.shape[1], bool)
    is_kept[columns] = False
    is_kept = is_kept[counts.indices]
    ends = np.concatenate([[0], np.cumsum(is_kept)])
    return csr_matrix((counts.data[is_kept], counts.indices[is_kept], ends[counts.indptr]), shape=counts.shape)


def find_invalid_counts(data: np.ndarray, are_weighted: bool) -> str | None:
    """Describe the numbers that cannot be counts of terms; None if there are none. Nothing is copied.

    Parameters
    ----------
    data : ndarray
        The stored numbers of a sparse matrix.
    are_weighted : bool
        Whether a weighting is applied to them, as BM25 is: then they must not be negative.
    """
    if not len(data):
        return None
    lowest, highest = data.min(), data.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        return "NaN or infinite numbers"
    if are_weighted and lowest < 0:
        return f"negative numbers ({lowest:.6g})"
    if are_weighted and 0 < highest < _SMALLEST_COUNT:
        return f"no number above {_SMALLEST_COUNT} ({highest:.3g})"
    limit = _LARGEST_COUNT if are_weighted else _LARGEST_NUMBER
    if max(-lowest, highest) > limit:
        return f"numbers above {limit:.0e} ({max(-lowest, highest):.3g})"
    return None


def _widen(X: Any, n_columns: int) -> Any:
    """`X` with more columns, which are empty."""
    return csr_matrix((X.data, X.indices, X.indptr), shape=(X.shape[0], n_columns))
