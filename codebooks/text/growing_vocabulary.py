"""A vectorizer whose vocabulary grows with new texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer

__all__ = ["extend_vocabulary"]


def extend_vocabulary(vectorizer: Any, texts: Sequence[str]) -> Any:
    """A vectorizer that also counts the terms of these texts, where it learned its terms from documents."""
    if type(vectorizer) is not CountVectorizer or vectorizer.fixed_vocabulary_ or not texts:
        return vectorizer
    analyze, vocabulary = vectorizer.build_analyzer(), dict(vectorizer.vocabulary_)
    for text in texts:
        for term in analyze(text):
            vocabulary.setdefault(term, len(vocabulary))
    if len(vocabulary) == len(vectorizer.vocabulary_):
        return vectorizer
    grown = clone(vectorizer)
    grown.fixed_vocabulary_, grown.vocabulary_ = False, vocabulary
    return grown
