"""The default vectorizer of `TopicModel`, and changes of the terms of a fitted vectorizer."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from copy import copy
from numbers import Integral
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from codebooks.errors import shorten
from codebooks.text.analyzer import TextAnalyzer
from codebooks.text.counting import fit_transform

__all__ = [
    "align_columns",
    "build_vectorizers",
    "can_extend",
    "compute_least_count",
    "count_words",
    "drop_columns",
    "drop_terms",
    "extend_terms",
    "list_candidates",
    "list_forbidden_terms",
    "replace_terms",
    "resolve_terms",
    "transform_texts",
    "weigh_terms",
]

# A term must occur in this number of documents if there are fewer documents than the limit.
_LEAST_DOCUMENTS, _LEAST_OF_MANY = ((1, 50), (2, 500), (3, 5000)), 5
# With at least this number of documents, terms in a larger share of them are left out.
_FEW_DOCUMENTS, _LARGEST_SHARE = 50, 0.5
_MOST_WITHOUT_WORDS = 0.2  # largest share of documents without a word left


def count_words(
    texts: Sequence[str], vectorizer: Any, language: Any, stop_words: Sequence[str] | None
) -> tuple[Any, csr_matrix]:
    """Fit a copy of the vectorizer, or the default one, and return it with the matrix of the texts."""
    candidates = [clone(vectorizer)] if vectorizer is not None else build_vectorizers(texts, language, stop_words)
    reason = ""
    for candidate in candidates:
        try:
            words = _convert_to_floats(fit_transform(candidate, texts))
        except ValueError as error:  # scikit-learn: "empty vocabulary", "no terms remain"
            reason = shorten(str(error), 120)
            continue
        # Of many equal documents, the first candidate leaves out all words.
        if candidate is candidates[-1] or (words.getnnz(axis=1) == 0).mean() <= _MOST_WITHOUT_WORDS:
            return candidate, words
    raise ValueError(
        f"TopicModel expected documents with words that are no stop words, got {len(texts)} without ({reason}). Check "
        "`language`, `stop_words` and `vectorizer`, or add documents."
    )


def transform_texts(vectorizer: Any, texts: Sequence[str]) -> csr_matrix:
    """Return the matrix of texts from a fitted vectorizer."""
    return _convert_to_floats(vectorizer.transform(texts))


def _convert_to_floats(words: Any) -> csr_matrix:
    return csr_matrix(words, dtype=words.dtype if words.dtype in (np.float32, np.float64) else np.float32)


def build_vectorizers(texts: Sequence[str], language: Any, stop_words: Sequence[str] | None) -> list[TfidfVectorizer]:
    """Return the default vectorizer, and others that keep more words, for documents that are much alike or too few."""
    analyzer = TextAnalyzer(language=language, numbers=False, parts=False)
    analyzer.detect(texts)
    if stop_words is not None:
        analyzer.set_params(stop_words=[*analyzer.language_stop_words(), *stop_words])
    few = _get_least_documents(len(texts))
    most = 1.0 if len(texts) < _FEW_DOCUMENTS else _LARGEST_SHARE
    every = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, analyzer=analyzer.resolve())
    bounds = ((few, most), (few, 1.0), (1, 1.0))
    return [clone(every).set_params(min_df=least, max_df=largest) for least, largest in bounds]


def _get_least_documents(n_documents: int) -> int:
    return next((least for least, limit in _LEAST_DOCUMENTS if n_documents < limit), _LEAST_OF_MANY)


def can_extend(vectorizer: Any) -> bool:
    """Whether the terms of a fitted vectorizer were learned from documents, so that further ones may be added."""
    return not getattr(vectorizer, "fixed_vocabulary_", True) and hasattr(vectorizer, "build_analyzer")


def compute_least_count(vectorizer: Any, is_default: bool, n_documents: int) -> int:
    """Return the number of documents in which a new term must occur, at least 2."""
    least = _get_least_documents(n_documents) if is_default else vectorizer.min_df
    return max(2, int(least) if isinstance(least, Integral) else math.ceil(least * n_documents))


def list_candidates(
    tokens: Sequence[Sequence[str]],
    first: int,
    before: Mapping[str, list[int]],
    excluded: Sequence[Container[str]],
    size: int,
) -> dict[str, list[int]]:
    """Return the numbers of the documents that contain each term that is not excluded; terms seen last come last.

    The number of the first document is `first`. Beyond `size` terms, those in the fewest documents are left out, the
    oldest first.
    """
    found = dict(before)
    for number, terms in enumerate(tokens, first):
        for term in dict.fromkeys(terms):
            if not any(term in others for others in excluded):
                found[term] = [*found.pop(term, ()), number]
    if len(found) > size:
        kept = set(sorted(found, key=lambda term: len(found[term]))[-size:])
        found = {term: numbers for term, numbers in found.items() if term in kept}
    return found


def weigh_terms(vectorizer: Any, tokens: Sequence[Sequence[str]]) -> csr_matrix:
    """Compute `vectorizer.transform` from the terms of documents."""
    counter = copy(vectorizer)
    counter.analyzer = list
    return _convert_to_floats(counter.transform([*tokens, []])[: len(tokens)])  # TfidfVectorizer needs a row


def extend_terms(vectorizer: Any, kept: Any, added: Mapping[str, list[int]], n_documents: int) -> Any:
    """Return a copy of a fitted vectorizer with the terms of these columns, and new ones with their documents."""
    terms, idf = [*vectorizer.get_feature_names_out()[kept].tolist(), *added], getattr(vectorizer, "idf_", None)
    if idf is not None:
        new = np.log((1 + n_documents) / (1 + np.array(list(map(len, added.values())), idf.dtype))) + 1
        idf = np.concatenate([idf[kept], np.clip(new, 1, idf.max())])
    return replace_terms(vectorizer, terms, idf)


def align_columns(words: csr_matrix, columns: Any, vectorizer: Any) -> csr_matrix:
    """Return the matrix whose column j is column `columns[j]`, or zero for -1; all -1 are at the end."""
    kept = columns[columns >= 0]
    if len(kept) < words.shape[1]:
        words = drop_columns(words, kept, vectorizer)
    return csr_matrix((words.data, words.indices, words.indptr), shape=(words.shape[0], len(columns)))


def replace_terms(vectorizer: Any, terms: Sequence[str], idf: Any = None) -> Any:
    """Return a copy of a fitted vectorizer that counts these terms, with these inverse document frequencies."""
    replaced = copy(vectorizer)
    replaced.vocabulary_ = {term: column for column, term in enumerate(terms)}
    if hasattr(vectorizer, "_tfidf") and idf is not None:
        replaced._tfidf = copy(vectorizer._tfidf)
        replaced._tfidf.n_features_in_ = len(terms)
        replaced.idf_ = np.asarray(idf)
    return replaced


def _require_vocabulary(vectorizer: Any) -> None:
    if not hasattr(vectorizer, "vocabulary_") or not hasattr(vectorizer, "build_analyzer"):
        raise TypeError(
            f"`vectorizer` must have a vocabulary_ for this edit, got {type(vectorizer).__name__}. Use CountVectorizer "
            "or TfidfVectorizer."
        )


def resolve_terms(vectorizer: Any, words: Sequence[str]) -> list[list[str]]:
    """Return for each word the terms into which the vectorizer splits it, those of its vocabulary only."""
    _require_vocabulary(vectorizer)
    analyze, vocabulary = vectorizer.build_analyzer(), vectorizer.vocabulary_
    return [[term for term in dict.fromkeys([word, *analyze(word)]) if term in vocabulary] for word in words]


def list_forbidden_terms(vectorizer: Any, words: Sequence[str]) -> set[str]:
    """Return the terms that forbidden words and phrases stand for; the words of a phrase are not forbidden alone."""
    _require_vocabulary(vectorizer)
    analyze, forbidden = vectorizer.build_analyzer(), set(words)
    for word in words:
        terms = set(analyze(word))
        forbidden |= {term for term in terms if len(terms) == 1 or term.casefold() == word.casefold()}
    return forbidden


def drop_terms(vectorizer: Any, kept: Any) -> Any:
    """Return a copy of a fitted vectorizer with the terms of these columns only."""
    idf = getattr(vectorizer, "idf_", None)
    return replace_terms(
        vectorizer, vectorizer.get_feature_names_out()[kept].tolist(), None if idf is None else idf[kept]
    )


def drop_columns(words: csr_matrix, kept: Any, vectorizer: Any) -> csr_matrix:
    """Return the matrix of these columns, with rows scaled as the vectorizer scales them."""
    words = words[:, kept]
    norm = getattr(vectorizer, "norm", None)
    return csr_matrix(normalize(words, norm) if norm else words)
