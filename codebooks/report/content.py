"""Content of the report: what the template shows, and the data that its script shows on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.interpret.hierarchy import build_hierarchy
from codebooks.interpret.over_time import TopicTrends
from codebooks.metrics import topic_diversity
from codebooks.report.advice import find_similar, list_advice
from codebooks.report.document_map import place_documents, sample_documents
from codebooks.report.examples import find_examples
from codebooks.report.label_table import LabelTable
from codebooks.report.tree import Node, build_tree
from codebooks.topic_model.fitted import find_positions

__all__ = ["build_content"]

_N_DOCUMENTS = 5000  # of the map and of the search
_N_REJECTED, _N_SIMILAR = 20, 3
# Characters of the beginnings of documents: of all together, of all examples of topics, and of each.
_ALL_CHARACTERS, _EXAMPLE_CHARACTERS = 2_000_000, 600_000
_FEWEST_CHARACTERS, _MOST_CHARACTERS = 200, 1500
_MAP_SIZE = 1000  # positions are integers from 0 to this


class Figure(NamedTuple):
    """A number of the summary, with what it means."""

    name: str
    value: str
    meaning: str


def build_content(
    model: Any, title: str | None, labels: LabelTable | None, trends: TopicTrends | None, shares: NDArray[Any]
) -> dict[str, Any]:
    """Return the variables of the template; `data` is for the script.

    Parameters
    ----------
    model : fitted TopicModel
    title : str or None
    labels : LabelTable or None
    trends : TopicTrends or None
    shares : array of shape (n_documents, n_topics)
    """
    topics, texts = model.topics_, model._documents.texts
    positions = find_positions(model.topic_ids_, model._kept_labels)
    similarity = model.similarity()
    examples = find_examples(model._documents.features, positions, shares)
    sample = sample_documents(len(texts), _N_DOCUMENTS)
    rejected = np.flatnonzero(positions < 0)
    shown = {row for example in examples for rows in example for row in rows}
    rows = [*sample.tolist(), *sorted(shown - set(sample.tolist()))]
    place = {row: i for i, row in enumerate(rows)}
    length = int(np.clip(_ALL_CHARACTERS // len(rows), _FEWEST_CHARACTERS, _MOST_CHARACTERS))
    longest = int(np.clip(_EXAMPLE_CHARACTERS // max(len(shown), 1), length, _MOST_CHARACTERS))
    data = {
        "topics": [
            {
                "id": topic.id,
                "name": topic.name,
                "size": topic.size,
                "share": round(topic.usage, 5),
                "coherence": None if np.isnan(topic.coherence) else round(topic.coherence, 3),
                "mixed": topic.is_mixed,
                "words": topic.words,
                "weights": _round(np.array(topic.weights), 4),
                "similar": [[j, round(float(similarity[k, j]), 2)] for j in _find_similar(topics, similarity, k)],
                **{name: [place[row] for row in rows] for name, rows in examples[k]._asdict().items()},
            }
            for k, topic in enumerate(topics)
        ],
        "rows": rows,
        "texts": [_shorten(texts[row], longest if row in shown else length) for row in rows],
        "shares": _list_largest(shares[rows], positions[rows]),
        "map": _list_positions(place_documents(ops.take_rows(model._documents.features, sample))),
        "assigned": positions.tolist(),
        "assignedShares": [
            round(100 * float(share)) for share in np.where(positions < 0, 0, shares[np.arange(len(shares)), positions])
        ],
        "trends": None if trends is None else _list_trends(trends),
        "labels": None if labels is None else {"names": labels.names, "counts": labels.counts.tolist()},
    }
    return {
        "title": title or f"Topics of {len(texts):,} documents",
        "figures": _list_figures(model, labels),
        "choice": _explain_number(model),
        "topics": topics,
        "largest_share": max((topic.usage for topic in topics), default=0) or 1,
        "n_documents": len(texts),
        "n_searched": len(rows),
        "n_characters": length,
        "is_shortened": any(len(texts[row]) > length for row in rows),
        "n_mapped": int(sum(x is not None for x in data["map"]["x"])),
        "n_sampled": len(sample),
        "n_empty": sum(not topic.size for topic in topics),
        "tree": _build_tree(model),
        "advice": list_advice(topics, similarity),
        "names": {topic.id: topic.name for topic in topics},
        "rejected": [(int(row), _shorten(" ".join(texts[row].split()), 300)) for row in rejected[:_N_REJECTED]],
        "n_rejected": len(rejected),
        "n_without_words": int((ops.to_host(ops.row_norms(model._documents.features))[rejected] == 0).sum()),
        "labels": labels,
        "trends": trends,
        "data": data,
    }


def _build_tree(model: Any) -> Node | None:
    """Return the hierarchy of the topics with documents, None if there are fewer than two."""
    filled = [k for k, topic in enumerate(model.topics_) if topic.size]
    if len(filled) < 2:
        return None
    topics, components = [model.topics_[k] for k in filled], model._compute_topic_components()[filled]
    sizes, names = [topic.size for topic in topics], [topic.name for topic in topics]
    return build_tree(build_hierarchy(components, sizes, names=names, ids=[topic.id for topic in topics]))


def _find_similar(topics: Sequence[Any], similarity: NDArray[Any], k: int) -> list[int]:
    return find_similar(topics, similarity, k, _N_SIMILAR)


def _list_figures(model: Any, labels: LabelTable | None) -> list[Figure]:
    topics, n = model.topics_, len(model._kept_labels)
    n_rejected = int((model._kept_labels < 0).sum())
    coherent = [topic for topic in topics if not np.isnan(topic.coherence)]
    coherence = np.array([topic.coherence for topic in coherent])
    sizes = np.array([topic.size for topic in coherent])
    n_empty = sum(not topic.size for topic in topics)
    figures = [
        Figure("Documents", f"{n:,}", "Number of documents that the topics were found in."),
        Figure("Topics", f"{len(topics):,}", f"{n_empty} of them without documents." if n_empty else "All in use."),
        Figure(
            "Coherence",
            f"{coherence.mean():.2f}" if len(coherence) else "unknown",
            "Whether the words of a topic occur in the same documents (NPMI): 0 as often as by chance, 1 always. "
            + (f"Weighted by size: {coherence @ sizes / sizes.sum():.2f}. " if sizes.any() else "")
            + "It was measured in these documents, which is optimistic.",
        ),
        Figure(
            "Diversity",
            f"{topic_diversity(topics):.2f}",
            "Share of different words in the lists of words: 1 if no two topics list the same word.",
        ),
        Figure(
            "Without topic",
            f"{n_rejected / n:.1%}",
            f"{n_rejected:,} documents that fit no topic or contain no known word."
            if n_rejected
            else "Every document has a topic.",
        ),
    ]
    if labels is not None:
        meaning = "Normalised mutual information with the known labels: 0 for random topics, 1 for equal groups."
        figures.append(Figure("Agreement with labels", f"{labels.nmi:.2f}", meaning))
    return figures


def _explain_number(model: Any) -> str:
    """Return how the number of topics was chosen, in sentences."""
    if model.selection_ is not None:
        text = f"The number of topics was chosen automatically. {model.selection_.reason}"
    elif isinstance(model.n_topics, str):
        text = "The number of topics was chosen automatically when the model was fitted."
    else:
        text = f"The number of topics was set by hand: n_topics={model.n_topics}."
    if model.seed_words:
        text += f" Topics given by words: {', '.join(map(str, model.seed_words))}."
    if model.history_:
        text += f" Edited since: {', '.join(edit.method for edit in model.history_)}."
    return text


def _list_largest(shares: NDArray[Any], positions: NDArray[Any]) -> list[list[int]]:
    """Return for each document its topic, its share in percent, and the topic of the next largest share and that."""
    rows = np.arange(len(shares))
    first = np.where(positions < 0, shares.argmax(axis=1), positions)
    others = shares.copy()
    others[rows, first] = -1
    second = others.argmax(axis=1)
    columns = positions, 100 * shares[rows, first], second, 100 * np.maximum(others[rows, second], 0)
    return np.column_stack(columns).round().astype(int).tolist()


def _list_positions(positions: NDArray[np.float64]) -> dict[str, list[int | None]]:
    """Return positions as integers, None for documents that are not on the map."""
    values = np.where(np.isnan(positions), -1, positions * _MAP_SIZE).round().astype(int)
    return {axis: [None if v < 0 else v for v in column] for axis, column in zip("xy", values.T.tolist(), strict=True)}


def _list_trends(trends: TopicTrends) -> dict[str, Any]:
    return {
        "starts": trends._label_groups()[1],
        "documents": trends.n_documents.tolist(),
        **{name: [_round(row, 4) for row in getattr(trends, name).T] for name in ("shares", "lower", "upper")},
    }


def _round(values: NDArray[Any], n_digits: int) -> list[float | None]:
    return [None if value != value else round(value, n_digits) for value in np.asarray(values, float).tolist()]


def _shorten(text: str, length: int) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"
