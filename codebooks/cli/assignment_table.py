"""The table of documents, their topics and the strength of the assignment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from codebooks.cli.control_characters import shorten_word
from codebooks.cli.readers import Documents


def find_strongest_components(model: Any, X: Any) -> tuple[Any, Any]:
    """Return the winning component of each row and its strength: its gate or cosine with the row, 0 if none wins."""
    import numpy as np
    from sklearn.preprocessing import normalize

    from codebooks import MultinomialMixture
    from codebooks.interpret.model_access import get_components, predict_components

    labels = predict_components(model, X)
    if isinstance(model, MultinomialMixture):
        return labels, model.confidence(X)
    X, strength = normalize(X), np.zeros(len(labels))
    for k, component in enumerate(normalize(get_components(model))):
        strength[labels == k] = X[labels == k] @ component
    return labels, strength


def build_assignment_rows(
    documents: Documents, labels: Any, strength: Any, topics: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    """Yield a header, then a row for each document: its name, its topic, its strength, and the words of the topic."""
    words = [" ".join(map(shorten_word, topic.words[:5])) for topic in topics] + [""]  # the last is that of topic -1
    yield "document", "topic", "strength", "words"
    for name, label, value in zip(documents.names, labels, strength, strict=True):
        yield name, label, f"{value:.4f}", words[label]
