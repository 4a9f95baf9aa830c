"""Fast term counts of many documents. `HopfieldRetriever` and `TopicModel` use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from codebooks.text.analyzer import TextAnalyzer, build_table
from codebooks.text.term_table import TermTable

__all__ = ["fit_transform"]

_MANY_CHARACTERS = 1_000_000  # for fewer, loading the compiler costs more time than it saves


def fit_transform(vectorizer: Any, texts: Sequence[str]) -> Any:
    """Compute `vectorizer.fit_transform(texts)`, in half the time for a `TextAnalyzer` and many texts.

    Parameters
    ----------
    vectorizer : transformer of text to counts
        The counting method of a `CountVectorizer` or `TfidfVectorizer` is replaced during the call.
    texts : sequence of str

    Returns
    -------
    matrix of shape (n_texts, n_terms)
    """
    table = _build_term_table(vectorizer) if sum(map(len, texts)) >= _MANY_CHARACTERS else None
    if table is None:
        return vectorizer.fit_transform(texts)
    vectorizer._count_vocab = lambda documents, _: _count(vectorizer, table, documents)
    try:
        return vectorizer.fit_transform(texts)
    finally:
        del vectorizer._count_vocab


def _build_term_table(vectorizer: Any) -> TermTable | None:
    analyzer = getattr(vectorizer, "analyzer", None)
    if not hasattr(vectorizer, "_count_vocab") or type(analyzer) is not TextAnalyzer:
        return None
    if vectorizer.vocabulary is not None or vectorizer.input != "content":
        return None
    return build_table(analyzer)


def _count(vectorizer: Any, table: TermTable, texts: Sequence[str]) -> tuple[dict[str, int], Any]:
    """Return the vocabulary of texts and the counts of its terms, in the format of scikit-learn."""
    indices, counts, indptr = table.count(map(vectorizer.analyzer.clean, texts))
    if not table.vocabulary:  # raises the error of scikit-learn
        return type(vectorizer)._count_vocab(vectorizer, [], False)
    terms = sorted(table.vocabulary)  # scikit-learn sorts them too, and is fast for sorted terms
    columns = np.empty(len(terms), np.int32)
    columns[[table.vocabulary[term] for term in terms]] = np.arange(len(terms))
    X = csr_matrix((counts.astype(vectorizer.dtype), columns[indices], indptr), shape=(len(texts), len(terms)))
    X.sort_indices()
    return {term: column for column, term in enumerate(terms)}, X
