"""Advice of the report: topics that are redundant, empty, small, mixed or not coherent, and the edit for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks.interpret.topics import Topic

__all__ = ["Advice", "find_similar", "list_advice"]

_SIMILAR = 0.5  # cosine from which two topics may be one
_FEWEST, _SMALL = 10, 0.05  # documents of a topic that is not small, and their part of the mean size
_N_PER_KIND = 10


class Advice(NamedTuple):
    """A finding about topics, and an edit that may correct it."""

    kind: str
    topics: tuple[int, ...]  # ids
    reason: str
    edit: str  # code


def list_advice(topics: Sequence[Topic], similarity: NDArray[np.float64]) -> list[Advice]:
    """Return at most ten findings of each kind.

    Parameters
    ----------
    topics : sequence of Topic
    similarity : array of shape (n_topics, n_topics)
    """
    empty = tuple(topic.id for topic in topics if not topic.size)
    found = []
    if empty:
        edit = f"model.remove({list(empty)})" if len(empty) < len(topics) else "TopicModel(n_topics=...).fit(documents)"
        found.append(Advice("empty", empty[:_N_PER_KIND], f"{len(empty)} without documents", edit))
    filled = np.array([k for k, topic in enumerate(topics) if topic.size], dtype=np.intp)
    kinds = (_list_redundant, _list_small, _list_mixed, _list_incoherent)
    for list_kind in kinds:
        found += islice(list_kind(topics, filled, similarity), _N_PER_KIND)
    return found


def find_similar(topics: Sequence[Topic], similarity: NDArray[np.float64], k: int, n: int) -> list[int]:
    """Return the positions of at most n topics with documents that are most similar to topic k, and not unlike it."""
    order = np.argsort(-similarity[k], kind="stable").tolist()
    return [j for j in order if j != k and topics[j].size and similarity[k, j] > 0][:n] if topics[k].size else []


def _list_redundant(
    topics: Sequence[Topic], filled: NDArray[np.intp], similarity: NDArray[np.float64]
) -> Iterator[Advice]:
    left, right = np.triu_indices(len(filled), 1)
    left, right = filled[left], filled[right]
    values = similarity[left, right]
    for pair in np.argsort(-values, kind="stable"):
        if values[pair] < _SIMILAR:
            return
        ids = (topics[left[pair]].id, topics[right[pair]].id)
        yield Advice("similar", ids, f"similarity {values[pair]:.2f}", f"model.merge([{list(ids)}])")


def _list_small(topics: Sequence[Topic], filled: NDArray[np.intp], similarity: NDArray[np.float64]) -> Iterator[Advice]:
    sizes = [topics[k].size or 0 for k in filled]
    limit = max(_FEWEST, _SMALL * float(np.mean(sizes))) if sizes else 0.0
    is_small = np.array([size < limit for size in sizes], dtype=bool)
    large = filled[~is_small]
    for k in sorted(filled[is_small].tolist(), key=lambda k: topics[k].size or 0) if len(large) else ():
        topic, nearest = topics[k], topics[large[similarity[k, large].argmax()]]
        value = similarity[k, large].max()
        edit = f"model.merge([[{nearest.id}, {topic.id}]])" if value > 0 else f"model.remove([{topic.id}])"
        reason = f"{topic.size} documents; the most similar larger topic has similarity {value:.2f}"
        yield Advice("small", (topic.id, nearest.id), reason, edit)


def _list_mixed(topics: Sequence[Topic], filled: Iterable[int], _: object) -> Iterator[Advice]:
    for topic in (topics[k] for k in filled):
        if topic.is_mixed:
            yield Advice("mixed", (topic.id,), "its words describe few of its documents", f"model.split({topic.id})")


def _list_incoherent(topics: Sequence[Topic], filled: Iterable[int], _: object) -> Iterator[Advice]:
    for topic in sorted((topics[k] for k in filled), key=lambda topic: topic.coherence):
        if topic.coherence < 0:
            reason = f"coherence {topic.coherence:.2f}: its words seldom occur in the same documents"
            yield Advice("incoherent", (topic.id,), reason, f"model.split({topic.id})")
