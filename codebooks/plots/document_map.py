"""Plot of documents as points in the plane, with their topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from codebooks.errors import short_repr, shorten_errors
from codebooks.interpret.topics import Topic
from codebooks.plots._notebook import make_axes
from codebooks.plots.style import QUIET, WORD, choose_fonts, shorten_label

__all__ = ["plot_document_map"]

# Okabe and Ito's colors for color-blind readers.
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_MARKERS = "o^sDvP"
_NO_TOPIC = "#c8c8c8"
_SHIFTS = (0, 1, -1, 2, -2, 3, -3)  # in heights of a label


def plot_document_map(
    positions: ArrayLike, labels: ArrayLike, topics: Sequence[Topic] | None = None, *, ax: Axes | None = None
) -> Axes:
    """Plot documents as points in the plane, colored and labelled by topic.

    A topic is named at the median of its documents. Colors and markers repeat if there are many topics. Names are
    placed in descending order of the number of documents; one that does not fit is left out, and the plot states how
    many are shown.

    Parameters
    ----------
    positions : array of shape (n_documents, 2)
        For example from t-SNE or UMAP. Documents with a position that is nan or infinite are not drawn.
    labels : int array of shape (n_documents,)
        The topic of each document; documents with a negative label have no topic and are gray.
    topics : sequence of Topic, optional
        Topics for the names, found by their `id`. Default: the names are the labels.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        `positions` do not have two columns, or `labels` are not an integer for each row.

    See Also
    --------
    plot_topics : The words of each topic.

    Examples
    --------
    >>> from codebooks import Topic
    >>> topics = [Topic(0, ("goal", "match"), (0.8, 0.6), 0.5), Topic(1, ("loan",), (0.5,), 0.5)]
    >>> ax = plot_document_map([[0, 0], [0, 1], [9, 9], [5, 5]], [0, 0, 1, -1], topics)
    >>> [text.get_text() for text in ax.texts]
    ['topic 0: goal, match', 'topic 1: loan']
    """
    with shorten_errors():
        points, labels = np.asarray(positions, dtype=np.float64), np.asarray(labels)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"`positions` must have shape (n_documents, 2), got {points.shape}. Project them to a plane.")
    if labels.shape != points.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be an integer for each of the {len(points)} documents, got {short_repr(labels)}. Use "
            f"model.labels_."
        )
    ax = make_axes(9, 7) if ax is None else ax
    shown = np.isfinite(points).all(axis=1)
    points, labels = points[shown], labels[shown]
    size = float(np.clip(20000 / max(len(points), 1), 3, 25))
    style: dict[str, Any] = {"s": size, "linewidth": 0, "rasterized": len(points) > 5000}
    ax.scatter(*points[labels < 0].T, color=_NO_TOPIC, zorder=1, **style)
    ids, sizes = np.unique(labels[labels >= 0], return_counts=True)
    ids = ids[np.argsort(-sizes, kind="stable")]
    for number, id in enumerate(ids):
        marker = _MARKERS[number // len(_COLORS) % len(_MARKERS)]
        color = _COLORS[number % len(_COLORS)]
        ax.scatter(*points[labels == id].T, color=color, marker=marker, alpha=0.7, zorder=2, **style)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    words = {topic.id: topic.name or ", ".join(topic.words[:3]) for topic in (topics or ())}
    names = [f"topic {id}: {shorten_label(words[id])}" if words.get(id) else f"topic {id}" for id in ids.tolist()]
    ax.set_xlabel(" ", fontsize=9)  # so that the layout is final before names are placed
    ax.figure.figure.draw_without_rendering()
    n_named = _place_names(ax, [np.median(points[labels == id], axis=0) for id in ids], names)
    parts = [
        f"{n_named} of {len(ids)} topics named" if n_named < len(ids) else "",
        "gray: no topic" if (labels < 0).any() else "",
    ]
    ax.set_xlabel(" · ".join(["near points: similar documents", *filter(None, parts)]), fontsize=9, color=QUIET)
    return ax


def _place_names(ax: Axes, places: Sequence[NDArray], names: Sequence[str]) -> int:
    """Write each name near its place unless it would overlap an earlier one; return the number of names written."""
    taken: list[Any] = []
    for place, name in zip(places, names, strict=True):
        text = ax.annotate(
            name,
            place.tolist(),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold",
            color=WORD,
            family=choose_fonts(),
            parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground="white")],
            zorder=3,
        )
        text.set_in_layout(False)
        for shift in _SHIFTS:
            text.set_position((0, 13 * shift))
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
        else:
            text.remove()
    return len(taken)
