"""Documents and their topics: who wins each, how strongly, and the table that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from codebooks.cli.control_characters import shorten_word
from codebooks.cli.readers import Documents


def find_strongest_components(learner: Any, X: Any) -> tuple[Any, Any]:
    """The component that wins each row, and how well it fits: its gate or the cosine of the row with it, 0 for none."""
    import numpy as np
    from sklearn.preprocessing import normalize

    from codebooks import MultinomialMixture
    from codebooks.interpret.model_access import get_components, predict_components

    labels = predict_components(learner, X)
    if isinstance(learner, MultinomialMixture):
        return labels, learner.confidence(X)
    X, strength = normalize(X), np.zeros(len(labels))
    for k, unit in enumerate(normalize(get_components(learner))):
        strength[labels == k] = X[labels == k] @ unit
    return labels, strength


def build_assignment_rows(
    documents: Documents, labels: Any, strength: Any, named: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    """A table with a row per document: its name, its topic, how strongly, and what the topic is about."""
    words = [" ".join(map(shorten_word, topic.words[:5])) for topic in named] + [""]  # the last is that of topic -1
    yield "document", "topic", "strength", "words"
    for name, label, value in zip(documents.names, labels, strength, strict=True):
        yield name, label, f"{value:.4f}", words[label]
