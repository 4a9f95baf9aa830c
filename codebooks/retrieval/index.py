"""`TermIndex`: the counts, weights and inverted index of documents. It is immutable; additions create another one."""

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

__all__ = ["FUNCTION_WORD_WEIGHT", "TermIndex", "WeightedDocuments", "drop_columns", "find_invalid_counts"]

# Upper bounds of counts for BM25, and of the absolute value of weights: sums of squares stay finite in float32. BM25
# needs one count of at least the lower bound.
_LARGEST_COUNT, _LARGEST_NUMBER = 1e9, 1e15
_SMALLEST_COUNT = 1e-20

# A stop word is a function word if it occurs in more than this share, and in more than this number, of the documents.
_COMMON_SHARE, _COMMON_COUNT = 0.02, 5

# Weight of a function word beside other terms in queries, and in lengths of documents: it only breaks ties.
FUNCTION_WORD_WEIGHT, _FUNCTION_WORD_LENGTH = 1e-3, 1e-4

# Two threads must not compute the same weights. There is one lock for all indexes because it must survive a fork.
_weighting_lock = ForkSafeLock()


class WeightedDocuments(NamedTuple):
    """Arrays that are computed from all counts together."""

    rows: Any  # CSR (n_documents, n_terms), float32, weights of terms
    absent: np.ndarray  # (n_terms,) weight of a term in documents that do not contain it
    reciprocals: np.ndarray  # (n_documents,) 1 / length of each row, 0 for an empty one
    postings: ops.Postings


class TermIndex:
    """Documents as counts of terms, with their ids.

    Parameters
    ----------
    counts : CSR matrix of shape (n_documents, n_terms), float32
    ids : ndarray of shape (n_documents,), int64 or str
    weighting : "bm25", transformer of counts, or None
        Not fitted; a clone of it is fitted to all counts. "bm25" is `BM25Transformer()`; None uses the counts.
    texts : sequence of str, optional
        The documents themselves.
    next_id : int
        The id of the next document that is added without one.
    vectorizer : transformer of text to counts, optional
        The fitted transformer that counted the terms.
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
        self._weighted: WeightedDocuments | None = None
        self._terms: np.ndarray | None = None
        self._stop_columns: tuple[np.ndarray, np.ndarray] | None = None

    def __getstate__(self) -> tuple:
        return self.counts, self.ids, self.weighting, self.texts, self.next_id, self.vectorizer

    def __setstate__(self, state: tuple) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def weighted(self) -> WeightedDocuments:
        """Weights and inverted index, computed at the first access while other threads wait."""
        if self._weighted is None:
            with _weighting_lock:
                if self._weighted is None:
                    self._weighted = self._compute_weights()
        return self._weighted

    @property
    def terms(self) -> np.ndarray:
        """Names of the columns, computed once."""
        if self._terms is None:
            if self.vectorizer is None:
                self._terms = np.arange(self.counts.shape[1]).astype(str)
            else:
                self._terms = self.vectorizer.get_feature_names_out()
        return self._terms

    @property
    def stop_columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the stop words of the language, and of those that are function words here; computed once.

        A stop word in few documents, such as "interest" or "bill" in English, is a content word. A vectorizer of the
        user has no stop words here.
        """
        if self._stop_columns is None:
            stop_words = np.empty(0, np.int64)
            frequency = np.bincount(self.counts.indices, minlength=self.counts.shape[1])
            analyzer = getattr(self.vectorizer, "analyzer", None)
            if isinstance(analyzer, TextAnalyzer) and analyzer.stop_words is None:
                columns = [self.vectorizer.vocabulary_.get(word) for word in analyzer.language_stop_words()]
                stop_words = np.array([column for column in columns if column is not None], np.int64)
            is_common = frequency[stop_words] > max(_COMMON_SHARE * len(self), _COMMON_COUNT)
            self._stop_columns = stop_words, stop_words[is_common]
        return self._stop_columns

    def append_rows(
        self, counts: Any, ids: np.ndarray, texts: Sequence[str] | None, next_id: int, vectorizer: Any
    ) -> TermIndex:
        """Return the index with more documents, which may have more terms."""
        counts = ops.stack_rows([_widen(self.counts, counts.shape[1]), counts])
        texts = None if self.texts is None else [*self.texts, *(texts or ())]
        return TermIndex(counts, np.concatenate([self.ids, ids]), self.weighting, texts, next_id, vectorizer)

    def replace_counts(self, counts: Any) -> TermIndex:
        """Return the index with other counts of the same terms."""
        return TermIndex(counts, self.ids, self.weighting, self.texts, self.next_id, self.vectorizer)

    def select_rows(self, positions: np.ndarray) -> TermIndex:
        """Return the index of the documents at these positions."""
        texts = None if self.texts is None else [self.texts[i] for i in positions]
        counts = ops.take_rows(self.counts, positions)
        return TermIndex(counts, self.ids[positions], self.weighting, texts, self.next_id, self.vectorizer)

    def _compute_weights(self) -> WeightedDocuments:
        """Compute the weights of all terms; function words have little effect on the lengths of documents."""
        _, function_words = self.stop_columns
        counts = self.counts
        if len(function_words):
            others = np.setdiff1d(np.arange(counts.shape[1]), function_words)
            more_rows, more_absent = self._weigh_counts(drop_columns(counts, others))
            counts = counts.copy()
            counts.data[np.isin(counts.indices, function_words)] *= _FUNCTION_WORD_LENGTH
        rows, absent = self._weigh_counts(counts)
        if len(function_words):
            rows, absent = drop_columns(rows, function_words), absent.copy()
            absent[function_words] = 0
            rows, absent = csr_matrix(rows + more_rows), absent + more_absent
            rows.sort_indices()
        return WeightedDocuments(rows, absent, ops.reciprocal(ops.row_norms(rows)), ops.build_postings(rows))

    def _weigh_counts(self, counts: Any) -> tuple[Any, np.ndarray]:
        absent = np.zeros(counts.shape[1], np.float32)
        if self.weighting is None or not counts.data.any():
            return counts, absent
        weighting = BM25Transformer() if isinstance(self.weighting, str) else clone(self.weighting)
        rows = csr_matrix(weighting.fit_transform(counts), dtype=np.float32)
        return rows, np.asarray(getattr(weighting, "absent_", absent), np.float32)


def drop_columns(counts: Any, columns: np.ndarray) -> Any:
    """Return a CSR matrix without the entries of these columns; the same object if there are no columns."""
    if not len(columns):
        return counts
    is_kept = np.ones(counts.shape[1], bool)
    is_kept[columns] = False
    is_kept = is_kept[counts.indices]
    ends = np.concatenate([[0], np.cumsum(is_kept)])
    return csr_matrix((counts.data[is_kept], counts.indices[is_kept], ends[counts.indptr]), shape=counts.shape)


def find_invalid_counts(data: np.ndarray, are_weighted: bool) -> str | None:
    """Describe values that cannot be counts of terms, without a copy; None if all are valid.

    Parameters
    ----------
    data : ndarray
        The stored values of a sparse matrix.
    are_weighted : bool
        Whether a weighting such as BM25 is applied to them, so that they must not be negative.
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
    """Return `X` with empty columns appended."""
    return csr_matrix((X.data, X.indices, X.indptr), shape=(X.shape[0], n_columns))
