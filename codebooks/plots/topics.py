"""Plots of topic words, and of the share of documents of each topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from codebooks.errors import short_repr
from codebooks.interpret.topics import Topic
from codebooks.plots._notebook import NotebookFigure, make_axes
from codebooks.plots.style import BAR, QUIET, WORD, choose_fonts, format_number, shorten_label

__all__ = ["plot_topic", "plot_topics", "plot_usage"]

_LINE = 0.19  # height of a word in inches


def plot_topic(topic: Topic, coherence: float | None = None, n_words: int = 8, *, ax: Axes | None = None) -> Axes:
    """Plot the words of one topic as bars of their weights, the largest first.

    Parameters
    ----------
    topic : Topic
        A topic from `codebooks.topic_words`.
    coherence : float, optional
        NPMI of the topic, for the title.
    n_words : int, default=8
        Maximum number of words.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from codebooks import Topic
    >>> plot_topic(Topic(3, ("goal", "match"), (0.8, 0.6), 0.074), coherence=0.31).get_title(loc="left")
    'topic 3 · 7.4 % · NPMI .31'
    """
    ax = make_axes(3.5, _LINE * n_words + 0.6) if ax is None else ax
    pairs = zip(topic.words[:n_words], topic.weights[:n_words], strict=True)
    for row, (word, weight) in enumerate(sorted(pairs, key=lambda pair: -pair[1])):
        ax.barh(row, weight, height=0.86, color=BAR)
        # The word is on its bar and can be longer than the bar, so that no label is outside of the panel.
        ax.annotate(
            shorten_label(word),
            (0, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=9,
            color=WORD,
            family=choose_fonts(),
            parse_math=False,
        )
    style: dict[str, Any] = {"fontsize": 9, "fontweight": "bold", "color": WORD, "pad": 4, "family": choose_fonts()}
    ax.set_title(_format_title(topic, coherence), loc="left", parse_math=False, **style)
    ax.set_ylim(n_words - 0.5, -0.5)
    ax.set_xlim(0)
    ax.set_axis_off()
    return ax


def plot_topics(
    topics: Sequence[Topic],
    coherence: ArrayLike | None = None,
    n_words: int = 8,
    *,
    n_topics: int = 20,
    title: str = "",
) -> Figure:
    """Plot the words of each topic in a panel, the topic with the largest share of documents first.

    Parameters
    ----------
    topics : sequence of Topic
        Topics from `codebooks.topic_words`.
    coherence : array of shape (len(topics),), optional
        NPMI of each topic, from `codebooks.metrics.npmi_per_topic`.
    n_words : int, default=8
        Maximum number of words of a topic.
    n_topics : int, default=20
        Maximum number of panels. The figure states how many topics are left out.
    title : str, optional
        Title above all panels.

    Returns
    -------
    Figure
        A notebook displays it; `figure.savefig(path)` writes a file.

    Raises
    ------
    ValueError
        There are no topics, or their number differs from that of `coherence`.

    See Also
    --------
    plot_topic : One panel.
    plot_usage : The share of documents of each topic.

    Examples
    --------
    >>> from codebooks import Topic
    >>> figure = plot_topics([Topic(0, ("goal", "match"), (0.8, 0.6), 0.25), Topic(1, ("loan",), (0.5,), 0.75)])
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['topic 1 · 75.0 %', 'topic 0 · 25.0 %']
    """
    if not topics:
        raise ValueError("`topics` must have at least one topic, got none. Use codebooks.topic_words(model).")
    try:
        scores = [None] * len(topics) if coherence is None else [float(score) for score in np.asarray(coherence)]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`coherence` must be a number for each topic, got {short_repr(coherence)}. Use "
            f"codebooks.metrics.npmi_per_topic."
        ) from error
    if len(scores) != len(topics):
        raise ValueError(
            f"`coherence` must have one number for each of the {len(topics)} topics, got {len(scores)}. Compute it for "
            f"the same topics."
        )
    shown = sorted(zip(topics, scores, strict=True), key=lambda pair: -np.nan_to_num(pair[0].usage))[:n_topics]

    n_columns = 5 if len(shown) > 12 else 4 if len(shown) > 6 else 3
    n_rows = -(-len(shown) // n_columns)
    # All sizes are in inches, so that words have the same size for any number of panels.
    left_out = f"the {len(shown)} largest of {len(topics)} topics" if len(shown) < len(topics) else ""
    heading = " · ".join(filter(None, [title, left_out]))
    width, height, gap, margin, head, foot = 2.5, _LINE * n_words + 0.1, 0.42, 0.25, 0.8 if heading else 0.42, 0.5
    figure = NotebookFigure(
        figsize=(n_columns * (width + margin) + margin, n_rows * (height + gap) - gap + head + foot)
    )
    across, up = figure.get_size_inches()
    for place, (topic, score) in enumerate(shown):
        row, column = divmod(place, n_columns)
        left, top = margin + column * (width + margin), up - head - row * (height + gap)
        ax = figure.add_axes((left / across, (top - height) / up, width / across, height / up))
        plot_topic(topic, score, n_words, ax=ax)

    if heading:
        figure.text(
            margin / across,
            1 - 0.32 / up,
            heading,
            fontsize=12,
            color=WORD,
            va="center",
            family=choose_fonts(),
            parse_math=False,
        )
    figure.text(margin / across, 0.22 / up, _format_legend(shown), fontsize=8, color=QUIET, va="center")
    return figure


def plot_usage(topics: Sequence[Topic], *, ax: Axes | None = None) -> Axes:
    """Plot the share of documents of each topic, the largest first.

    Parameters
    ----------
    topics : sequence of Topic
        Topics from `codebooks.topic_words`. A share of nan counts as 0.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure. Some tick labels are left out if there are many topics.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from codebooks import Topic
    >>> ax = plot_usage([Topic(0, ("goal",), (0.8,), 0.25), Topic(1, ("loan",), (0.5,), 0.75)])
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['1', '0']
    """
    if ax is None:
        ax = make_axes(np.clip(len(topics) / 3, 6, 12), 3.5)
    shares = np.nan_to_num([topic.usage for topic in topics])
    order = np.argsort(-shares, kind="stable")
    ax.bar(np.arange(len(topics)), 100 * shares[order], color=BAR)
    ax.margins(x=0.02)
    ax.axhline(100 / max(len(topics), 1), color=QUIET, linewidth=1, linestyle="--")  # equal shares
    number = 0.05 + 0.1 * max((len(str(topic.id)) for topic in topics), default=1)  # inches
    every = int(np.ceil(len(topics) * number * ax.figure.dpi / ax.bbox.width)) or 1
    ax.set_xticks(np.arange(len(topics))[::every], [str(topics[k].id) for k in order[::every]])
    ax.set_xlabel("topic" if every == 1 else f"topic, one in {every} named")
    ax.set_ylabel("share of documents (%)")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _format_title(topic: Topic, coherence: float | None) -> str:
    share = "" if np.isnan(topic.usage) else f"{topic.usage:.1%}".replace("%", " %")
    score = f"NPMI {format_number(coherence)}" if _is_number(coherence) else ""
    if topic.name:
        return f"topic {topic.id}: {shorten_label(topic.name)}\n{' · '.join(filter(None, [share, score]))}".rstrip()
    return " · ".join(filter(None, [f"topic {topic.id}", share, score]))


def _format_legend(shown: Sequence[tuple[Topic, float | None]]) -> str:
    """Explain the bars, and the share and the NPMI if a panel has them."""
    share = "%: share of documents" if any(_is_number(topic.usage) for topic, _ in shown) else ""
    score = "NPMI: co-occurrence of the words, at most 1" if any(_is_number(score) for _, score in shown) else ""
    return " · ".join(filter(None, ["bar: weight of the word in the topic", share, score]))


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and not np.isnan(value)
