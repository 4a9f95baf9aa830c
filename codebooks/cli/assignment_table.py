"""The table of documents, their topics and the strength of the assignment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from codebooks.cli.control_characters import shorten_word
from codebooks.cli.readers import Documents

if TYPE_CHECKING:
    from codebooks.topic_model.model import TopicModel


def assign_topics(model: TopicModel, texts: Sequence[str]) -> tuple[Any, Any]:
    """Return the id of the topic of each text, -1 for none, and the share of this topic in the text."""
    _, features = model._compute_features(texts)
    labels = model._find_topics(features) if model.reject_below_ is None else model.predict(texts)
    return labels, compute_strength(model, features)


def compute_strength(model: TopicModel, features: Any) -> Any:
    """Return the largest share of a topic in each row of the input of the learner, 0 for a row without a topic."""
    shares, has_label = model._compute_topic_shares(features)
    return shares.max(axis=1) * has_label


def build_assignment_rows(
    documents: Documents, labels: Any, strength: Any, topics: Sequence[Any]
) -> Iterator[tuple[Any, ...]]:
    """Yield a header, then a row for each document: its name, its topic, its strength, and the words of the topic."""
    words = {topic.id: " ".join(map(shorten_word, topic.words[:5])) for topic in topics}
    yield "document", "topic", "strength", "words"
    for name, label, value in zip(documents.names, labels.tolist(), strength, strict=True):
        yield name, label, f"{value:.4f}", words.get(label, "")
