"""Plots of shares of topics over time and in classes of documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from codebooks.errors import short_repr
from codebooks.interpret.over_time import TopicShares, TopicTrends
from codebooks.plots._notebook import make_axes
from codebooks.plots.style import QUIET, WORD, choose_fonts, shorten_label

__all__ = ["plot_topic_shares", "plot_topic_trends"]

_N_TOPICS = 6  # lines that remain distinct
_N_ROWS, _N_COLUMNS = 20, 20  # of the heat map
# Distinct for color-blind readers too.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_STYLES = ("-", "--", "-.", ":")
_LABEL_HEIGHT = 0.17  # inches


def plot_topic_trends(trends: TopicTrends, *, topics: Sequence[Any] | None = None, ax: Axes | None = None) -> Axes:
    """Plot the mean share of topics over time as lines, with their intervals of 95 % as bands.

    Bins without documents are gaps. Each line ends in the name of its topic.

    Parameters
    ----------
    trends : TopicTrends
        The result of `compute_topic_trends`.
    topics : sequence of topic ids, optional
        The topics to plot. Default: the six whose share changes most, where bins count by their number of documents.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        A topic is unknown, or there is none.

    See Also
    --------
    plot_topic_shares : Classes in place of time.

    Examples
    --------
    >>> from codebooks.interpret import compute_topic_trends
    >>> trends = compute_topic_trends([0, 1, 1, 0], [2001, 2002, 2003, 2004], names=["sport", "economy"])
    >>> [text.get_text() for text in plot_topic_trends(trends, topics=[0]).texts]
    ['sport']
    """
    columns = _choose_changing(trends) if topics is None else _find_topics(trends, topics)
    ax = make_axes(8, 4) if ax is None else ax
    is_time = trends.edges.dtype.kind == "M"
    edges = np.asarray(date2num(trends.edges) if is_time else trends.edges, dtype=np.float64)
    centers = (edges[:-1] + edges[1:]) / 2
    if not is_time and (np.diff(edges) == 1).all() and (edges == np.floor(edges)).all():
        centers = edges[:-1]  # years or positions
    for number, column in enumerate(columns):
        share, lower, upper = (100 * part[:, column] for part in (trends.shares, trends.lower, trends.upper))
        color = _COLORS[number % len(_COLORS)]
        style: dict[str, Any] = {"color": color, "linestyle": _STYLES[number // len(_COLORS) % len(_STYLES)]}
        ax.plot(centers, share, linewidth=1.8, **style)
        alone = _find_isolated(share)
        ax.plot(centers[alone], share[alone], color=color, linestyle="", marker="o", markersize=4)
        ax.fill_between(centers, lower, upper, color=color, alpha=0.15, linewidth=0)
        ax.vlines(centers[alone], lower[alone], upper[alone], color=color, alpha=0.3, linewidth=4)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(*_choose_limits(trends, columns))
    if is_time:
        locator = AutoDateLocator(minticks=3, maxticks=8)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        is_whole = bool((edges == np.floor(edges)).all())
        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=is_whole, min_n_ticks=1))
        ax.ticklabel_format(axis="x", useOffset=False)
    ax.set_ylabel("mean share of documents (%)")
    ax.spines[["top", "right"]].set_visible(False)
    if len(columns) < len(trends.ids) and topics is None:
        title = f"the {len(columns)} of {len(trends.ids)} topics that change most"
        ax.set_title(title, loc="left", fontsize=9, color=QUIET)
    _label_lines(ax, centers, 100 * trends.shares[:, columns], [trends.names[column] for column in columns])
    return ax


def plot_topic_shares(comparison: TopicShares, *, topics: Sequence[Any] | None = None, ax: Axes | None = None) -> Axes:
    """Plot the mean share of topics in each class as a heat map.

    Parameters
    ----------
    comparison : TopicShares
        The result of `compare_topics_by_class`. At most the 20 classes with most documents are drawn.
    topics : sequence of topic ids, optional
        The topics to plot, from top to bottom. Default: at most 20, by the class in which their share is largest.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        A topic is unknown, or there is none.

    See Also
    --------
    plot_topic_trends : Time in place of classes.

    Examples
    --------
    >>> from codebooks.interpret import compare_topics_by_class
    >>> comparison = compare_topics_by_class([0, 1, 1], ["chat", "mail", "mail"], names=["sport", "economy"])
    >>> [label.get_text() for label in plot_topic_shares(comparison).get_yticklabels()]
    ['sport', 'economy']
    """
    classes = np.sort(np.argsort(-comparison.n_documents, kind="stable")[:_N_COLUMNS])
    rows = _sort_by_class(comparison, classes) if topics is None else _find_topics(comparison, topics)
    shares = 100 * comparison.shares[np.ix_(classes, rows)].T
    if ax is None:
        ax = make_axes(2.6 + 0.5 * max(len(classes), 4), 1.1 + 0.26 * max(len(rows), 4))
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=max(shares.max(), 1e-9) / 0.75, aspect="auto")
    middle = shares.max() * 0.75
    for (row, column), share in np.ndenumerate(shares):
        color = "white" if share > middle else WORD
        ax.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=8, color=color)
    labels = [shorten_label(str(label)) for label in comparison.classes[classes].tolist()]
    ax.set_xticks(range(len(classes)), labels, rotation=0 if sum(map(len, labels)) <= 5 * len(labels) else 90)
    ax.set_yticks(range(len(rows)), [shorten_label(comparison.names[row]) for row in rows])
    for text in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        text.set_parse_math(False)
        text.set_fontfamily(choose_fonts())
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    left_out = [
        f"{n_shown} of {n} {what}"
        for n_shown, n, what in (
            (len(rows), len(comparison.ids), "topics"),
            (len(classes), len(comparison.classes), "classes"),
        )
        if n_shown < n
    ]
    ax.set_title("mean share (%)", loc="left", fontsize=9, color=QUIET)
    if left_out:
        ax.set_xlabel(", ".join(left_out), fontsize=9, color=QUIET)
    return ax


def _find_topics(comparison: TopicTrends | TopicShares, topics: Sequence[Any]) -> NDArray[np.intp]:
    """Return the columns of topic ids."""
    column = {id: k for k, id in enumerate(comparison.ids)}
    unknown = [id for id in topics if id not in column]
    if unknown or not len(topics):
        raise ValueError(
            f"`topics` must be at least one of the ids {short_repr(list(comparison.ids))}, got "
            f"{short_repr(unknown[0] if unknown else topics)}."
        )
    return np.array([column[id] for id in topics], dtype=np.intp)


def _choose_changing(trends: TopicTrends) -> NDArray[np.intp]:
    """Return the columns of the topics with the largest variance of their share over bins."""
    weights = trends.n_documents[:, None] / trends.n_documents.sum()
    shares = np.nan_to_num(trends.shares)
    means = (weights * shares).sum(axis=0)
    variances = (weights * (shares - means) ** 2).sum(axis=0)
    order = np.lexsort((-means, -variances.round(12)))
    return order[:_N_TOPICS]


def _sort_by_class(comparison: TopicShares, classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the columns of the topics with the largest shares, in the order of the classes that they prefer."""
    shares = comparison.shares[classes]
    largest = np.argsort(-shares.max(axis=0), kind="stable")[:_N_ROWS]
    return largest[np.lexsort((-shares.max(axis=0)[largest], shares.argmax(axis=0)[largest]))]


def _find_isolated(share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which bins have a share while their neighbors have none, so that a line does not show them."""
    known = np.concatenate([[False], np.isfinite(share), [False]])
    return known[1:-1] & ~known[:-2] & ~known[2:]


def _choose_limits(trends: TopicTrends, columns: NDArray[np.intp]) -> tuple[float, float]:
    """Return limits that show all shares; wide intervals of bins with few documents may be cut."""
    shares, upper = 100 * trends.shares[:, columns], 100 * trends.upper[:, columns]
    high = max(np.nanmax(shares) * 1.08, min(np.nanmax(upper), 2 * np.nanmax(shares)), 1.0)
    return 0.0, min(high, 102.0)


def _label_lines(ax: Axes, x: NDArray[np.float64], shares: NDArray[np.float64], names: Sequence[str]) -> None:
    """Write the name of each line to the right of the axes, as near to its end as the others permit."""
    last = np.array([np.flatnonzero(np.isfinite(column))[-1] for column in shares.T])
    ends = shares[last, np.arange(len(names))]
    low, high = ax.get_ylim()
    gap = (high - low) * _LABEL_HEIGHT / max(0.8 * ax.bbox.height / ax.figure.dpi, _LABEL_HEIGHT)
    for number, place in enumerate(_spread(ends, gap, low, high)):
        color = _COLORS[number % len(_COLORS)]
        right = ax.get_xlim()[1]
        line: dict[str, Any] = {"color": color, "linewidth": 0.8, "clip_on": False, "solid_capstyle": "butt"}
        ax.plot([x[last[number]], right], [ends[number], place], alpha=0.6, **line)
        ax.annotate(
            shorten_label(names[number]),
            (right, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=WORD,
            annotation_clip=False,
            family=choose_fonts(),
            parse_math=False,
        )


def _spread(places: NDArray[np.float64], gap: float, low: float, high: float) -> NDArray[np.float64]:
    """Move places apart to at least `gap`, by as little as possible, within the limits if they are wide enough."""
    order = np.argsort(places, kind="stable")
    offsets = gap * np.arange(len(places))
    # Isotonic regression of the places less their offsets: blocks of places that are too near share their mean.
    blocks: list[list[float]] = []
    for value in places[order] - offsets:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    fitted = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    result = np.empty(len(places))
    result[order] = np.clip(fitted, low, max(high - offsets[-1], low)) + offsets
    return result
