"""Extension of the vocabulary of a fitted vectorizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer

__all__ = ["extend_vocabulary"]


def extend_vocabulary(vectorizer: Any, texts: Sequence[str]) -> Any:
    """Return a vectorizer that also counts the terms of these texts, if its vocabulary was learned from documents."""
    if type(vectorizer) is not CountVectorizer or vectorizer.fixed_vocabulary_ or not texts:
        return vectorizer
    analyze, vocabulary = vectorizer.build_analyzer(), dict(vectorizer.vocabulary_)
    for text in texts:
        for term in analyze(text):
            vocabulary.setdefault(term, len(vocabulary))
    if len(vocabulary) == len(vectorizer.vocabulary_):
        return vectorizer
    extended = clone(vectorizer)
    extended.fixed_vocabulary_, extended.vocabulary_ = False, vocabulary
    return extended
