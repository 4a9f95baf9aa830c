"""Description of topics: words, names, coherence, representative documents, and the mark of mixed topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.interpret._labelling import choose_words_by_documents, choose_words_by_weights
from codebooks.interpret.model_access import count_wins
from codebooks.interpret.topics import Topic, TopicList
from codebooks.metrics import npmi_per_topic
from codebooks.topic_model.nearest import draw_sample
from codebooks.topic_model.word_likelihood import build_word_likelihood

__all__ = ["compute_fit", "describe_topics", "find_representatives"]

N_WORDS, N_DOCUMENTS, N_WORDS_OF_NAME = 10, 3, 3
# Two words are forms of one word if they begin with this number of equal letters, at least this part of the longer.
_STEM, _STEM_PART = 3, 0.6
_DOCUMENT_LENGTH = 2000  # characters of a representative document that are kept
# A topic describes a document if the logarithm of its odds against all documents is above this number. It is mixed if
# the share of its documents that it describes is below this part of the median of the topics. Topics with fewer
# documents than this are not mixed. To save time, a sample of this number of documents is used.
_ODDS, _MIXED_PART, _FEWEST_DOCUMENTS, _N_SAMPLE = 2.0, 0.6, 10, 5000


def describe_topics(
    words: Any,
    texts: Sequence[str],
    features: Any,
    positions: NDArray[Any],
    *,
    ids: Sequence[int],
    terms: Sequence[str],
    names: Mapping[int, str],
    weights: Any = None,
) -> TopicList:
    """Describe topics by their documents.

    Parameters
    ----------
    words : CSR matrix of shape (n_documents, n_terms)
    texts : sequence of str
    features : matrix of shape (n_documents, n_features)
        The input of the learner; representative documents are near the mean of the topic in it.
    positions : int array of shape (n_documents,)
        The topic of each document, a position in `ids`; -1 for none.
    ids : sequence of int
    terms : sequence of str
    names : dict of int to str
        Names given by the user, by id.
    weights : array of shape (n_topics, n_terms), optional
        Weights of the words, for topics without documents.
    """
    sizes = count_wins(positions, len(ids))
    chosen = choose_words_by_documents(words, positions, len(ids), N_WORDS)
    nearest = find_representatives(compute_fit(features, positions, len(ids)), positions, len(ids))
    topics = []
    for k, (id, found, rows) in enumerate(zip(ids, chosen, nearest, strict=True)):
        if found is None and weights is not None:
            [found] = choose_words_by_weights(weights[k][None], N_WORDS)
        topics.append(
            Topic(
                id=int(id),
                words=tuple(terms[w] for w in found.columns) if found else (),
                weights=tuple(found.scores.tolist()) if found else (),
                usage=float(sizes[k] / max(sizes.sum(), 1)),
                size=int(sizes[k]),
                documents=tuple(texts[row][:_DOCUMENT_LENGTH] for row in rows),
            )
        )
    coherence = npmi_per_topic(topics, words, feature_names=terms)
    made, mixed = _make_names(topics), _find_mixed(words, positions, sizes)
    return TopicList(
        _replace(topic, name=names.get(topic.id, name), coherence=float(value), is_mixed=bool(is_mixed))
        for topic, name, value, is_mixed in zip(topics, made, coherence, mixed, strict=True)
    )


def _replace(topic: Topic, **fields: Any) -> Topic:
    return Topic(**{**vars(topic), **fields})


def compute_fit(features: Any, positions: NDArray[Any], n_topics: int) -> NDArray[np.float64]:
    """Return the cosine of each document with the mean of its topic, nan for a document without a topic."""
    rows = np.flatnonzero(positions >= 0)
    index, X = positions[rows], ops.take_rows(features, rows)
    unit = ops.scale_rows(X, ops.reciprocal(ops.row_norms(X)))
    means = np.zeros((n_topics, X.shape[1]), X.dtype)
    ops.scatter_rows(means, index[:, None], np.ones((len(rows), 1), X.dtype), unit)
    norms = np.linalg.norm(means, axis=1)
    cosines = np.empty(len(rows))
    for start in range(0, len(rows), 8192):
        block = slice(start, start + 8192)
        products = ops.similarity(ops.take_rows(unit, np.arange(len(rows))[block]), means)
        cosines[block] = np.take_along_axis(products, index[block, None], axis=1)[:, 0]
    fit = np.full(len(positions), np.nan)
    fit[rows] = np.round(cosines / np.where(norms > 0, norms, 1)[index], 6)
    return fit


def find_representatives(fit: NDArray[Any], positions: NDArray[Any], n_topics: int) -> list[NDArray[Any]]:
    """Return for each topic the documents that fit it best, the best first, without repetition."""
    rows = np.flatnonzero(positions >= 0)
    index, cosines = positions[rows], fit[rows]
    order = np.lexsort((-cosines, index))
    starts = np.searchsorted(index[order], np.arange(n_topics + 1))
    found = []
    for first, last in pairwise(starts):
        inside = order[first:last]
        # Equal documents have equal cosines: one of them is enough.
        _, kept = np.unique(cosines[inside[: 10 * N_DOCUMENTS]], return_index=True)
        found.append(rows[inside[np.sort(kept)[:N_DOCUMENTS]]])
    return found


def _find_mixed(words: Any, positions: NDArray[Any], sizes: NDArray[Any]) -> NDArray[Any]:
    """Return which topics describe few of their documents, compared with the other topics.

    A topic describes a document if the document's words and the topic are more likely together than the words in all
    documents, both without the document itself.
    """
    likelihood, sample = build_word_likelihood(words, positions, len(sizes)), draw_sample(len(positions), _N_SAMPLE)
    positions = positions[sample]
    odds, sizes = likelihood.compare_left_out(words[sample], positions), count_wins(positions, len(sizes))
    described = count_wins(np.where(odds > _ODDS, positions, -1), len(sizes)) / np.maximum(sizes, 1)
    is_large = sizes >= _FEWEST_DOCUMENTS
    typical = np.median(described[is_large]) if is_large.any() else 0.0
    return is_large & (described < _MIXED_PART * typical)


def _make_names(topics: Sequence[Topic]) -> list[str]:
    """Return a name for each topic: its first words, without forms of the same word, and unlike the other names."""
    names: list[str] = []
    for topic in topics:
        distinct: list[str] = []
        for word in topic.words:
            if not any(_are_forms(word, other) for other in distinct):
                distinct.append(word)
        name = ", ".join(distinct[:N_WORDS_OF_NAME]) or f"topic {topic.id}"
        if name in names:
            name = f"{name} ({topic.id})"
        names.append(name)
    return names


def _are_forms(word: str, other: str) -> bool:
    """Whether two words have most letters in common, from the first one on, as `game` and `games` have."""
    n_equal = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    return n_equal >= max(_STEM, _STEM_PART * max(len(word), len(other)))
