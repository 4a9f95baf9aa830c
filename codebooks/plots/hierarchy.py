"""Plots of the hierarchy of topics and of their similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import leaves_list, linkage

from codebooks.errors import short_repr
from codebooks.interpret.topic_tree import Hierarchy
from codebooks.interpret.topics import Topic
from codebooks.plots._notebook import make_axes
from codebooks.plots.style import BAR, QUIET, WORD, choose_fonts, shorten_label
from codebooks.validation.arrays import check_count

__all__ = ["plot_hierarchy", "plot_similarity"]

_LINE = 0.2  # height of a topic in inches
_LONGEST_NAME = 44  # characters
_WIDTH, _MOST_NAMED = 11.0, 100  # of a heat map: largest width in inches, and number of rows that are named
_COLORS = LinearSegmentedColormap.from_list("similarity", ["white", BAR, "#1b3f66"])


def plot_hierarchy(hierarchy: Hierarchy, *, n_shown: int = 100, ax: Axes | None = None) -> Axes:
    """Plot the hierarchy of topics as a dendrogram, with the names and sizes of the topics.

    Two groups are joined by a vertical line at the distance at which they merge. A line at a distance crosses as many
    horizontal lines as there are groups at that distance.

    Parameters
    ----------
    hierarchy : Hierarchy
        From `codebooks.interpret.build_hierarchy`.
    n_shown : int, default=100
        Largest number of rows. If there are more topics, the most similar ones are drawn as merged groups.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure, whose height grows with the number of topics.

    Returns
    -------
    Axes

    See Also
    --------
    plot_similarity : The similarity of all pairs of topics.

    Examples
    --------
    >>> from codebooks.interpret import build_hierarchy
    >>> components = [[3, 1, 0, 0], [0, 0, 2, 2], [1, 3, 0, 0]]
    >>> ax = plot_hierarchy(build_hierarchy(components, [40, 20, 10], names=["goal", "bank", "match"]))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['0 (40): goal', '2 (10): match', '1 (20): bank']
    """
    check_count("n_shown", n_shown, least=2)
    leaves = hierarchy.find_nodes(min(n_shown, hierarchy.n_topics))
    if ax is None:
        ax = make_axes(8, _LINE * max(len(leaves), 4) + 0.8)
    heights = {leaf: float(row) for row, leaf in enumerate(leaves)}
    distances = dict.fromkeys(leaves, 0.0)
    lines = []
    for node in range(2 * hierarchy.n_topics - len(leaves), 2 * hierarchy.n_topics - 1):
        left, right, distance, _ = hierarchy.linkage[node - hierarchy.n_topics]
        top, bottom = heights[left], heights[right]
        lines.append([(distances[left], top), (distance, top), (distance, bottom), (distances[right], bottom)])
        heights[node], distances[node] = (top + bottom) / 2, distance
    ax.add_collection(LineCollection(lines, colors=QUIET, linewidths=1.2))
    ax.set_xlim(0, 1.03 * max(distances.values()) or 1.0)
    ax.set_ylim(len(leaves) - 0.4, -0.6)
    labels = [shorten_label(hierarchy.format_node(leaf), _LONGEST_NAME) for leaf in leaves]
    _name_rows(ax, range(len(leaves)), labels, fontsize=9)
    ax.set_xlabel("distance at which groups merge")
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def plot_similarity(similarity: ArrayLike, topics: Sequence[Any], *, sort: bool = True, ax: Axes | None = None) -> Axes:
    """Plot the similarity of all pairs of topics as a heat map.

    The darkest color is the largest similarity of two different topics, and negative values are white.

    Parameters
    ----------
    similarity : array of shape (n_topics, n_topics)
        From `codebooks.interpret.compute_topic_similarity`.
    topics : sequence of Topic or of str, length n_topics
        Topics, or their names.
    sort : bool, default=True
        Whether to move similar topics next to each other; otherwise topics keep their order.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure. With more than 100 topics some names are left out.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        `similarity` is not a symmetric matrix of finite numbers with a row for each topic.

    See Also
    --------
    plot_hierarchy : Groups of similar topics.

    Examples
    --------
    >>> similarity = [[1.0, 0.0, 0.8], [0.0, 1.0, 0.1], [0.8, 0.1, 1.0]]
    >>> ax = plot_similarity(similarity, ["goal", "bank", "match"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['bank', 'goal', 'match']
    """
    values = _check_similarity(similarity, len(topics))
    n = len(values)
    order = _sort_by_similarity(values) if sort else np.arange(n)
    values = values[np.ix_(order, order)]
    cell = float(np.clip(_WIDTH / n, _WIDTH / _MOST_NAMED, 0.35))  # inches
    side = max(min(cell * n, _WIDTH), 1.4)
    every = -(-n // _MOST_NAMED)
    labels = [shorten_label(_format_topic(topics[row]), _LONGEST_NAME) for row in order[::every]]
    fontsize = min(9, 60 * cell)
    if ax is None:
        ax = make_axes(side + max(map(len, labels)) * fontsize / 110 + 1.2, side + 0.3)
    others = values[~np.eye(n, dtype=bool)]
    style: dict[str, Any] = {"cmap": _COLORS, "vmin": 0, "vmax": max(others.max(initial=0), 0.1), "aspect": "auto"}
    image = ax.imshow(values, interpolation="nearest", **style)
    _name_rows(ax, range(0, n, every), labels, fontsize)
    ax.set_xticks([])
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)
    if every > 1:
        ax.set_xlabel(f"topics, one in {every} named")
    bar = ax.figure.colorbar(image, ax=ax, shrink=min(1, 2.5 / side), aspect=12, extend="max")
    bar.outline.set_visible(False)
    bar.set_label("similarity")
    return ax


def _name_rows(ax: Axes, positions: Sequence[int], labels: list[str], fontsize: float) -> None:
    ax.set_yticks(positions, labels, fontsize=fontsize, color=WORD, family=choose_fonts(), parse_math=False)


def _format_topic(topic: Any) -> str:
    return f"{topic.id}: {', '.join(topic.words[:4])}" if isinstance(topic, Topic) else str(topic)


def _check_similarity(similarity: Any, n_topics: int) -> NDArray[np.float64]:
    try:
        values = np.asarray(similarity, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`similarity` must be a matrix of numbers, got {short_repr(similarity)}.") from error
    advice = "Use codebooks.interpret.compute_topic_similarity."
    if n_topics < 1 or values.shape != (n_topics, n_topics):
        raise ValueError(
            f"`similarity` must have a row and a column for each of the {n_topics} topics, got shape {values.shape}. "
            f"{advice}"
        )
    if not np.isfinite(values).all() or not np.allclose(values, values.T):
        raise ValueError(f"`similarity` must be a symmetric matrix of finite numbers, got another one. {advice}")
    return values


def _sort_by_similarity(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return an order of the rows in which similar ones are adjacent: that of the leaves of average linkage."""
    if len(values) == 1:
        return np.arange(1)
    pairs = np.triu_indices(len(values), 1)
    return leaves_list(linkage(values.max() - values[pairs], "average")).astype(np.intp)
