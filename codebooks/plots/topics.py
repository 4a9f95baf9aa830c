"""The words of each topic, and how documents are shared out among topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from codebooks.errors import short_repr
from codebooks.interpret.topics import Topic
from codebooks.plots.style import BAR, QUIET, WORD, format_number, shorten_label

__all__ = ["plot_topic", "plot_topics", "plot_usage"]

_LINE = 0.19  # inches for a word


def plot_topic(topic: Topic, coherence: float | None = None, n_words: int = 8, *, ax: Axes | None = None) -> Axes:
    """Draw the strongest words of one topic, each on a bar as long as its weight, the longest first.

    Parameters
    ----------
    topic : Topic
        From `codebooks.interpret.topics`.
    coherence : float, optional
        Its NPMI, for the title.
    n_words : int, default=8
        At most so many words.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from codebooks import Topic
    >>> plot_topic(Topic(3, ("goal", "match"), (0.8, 0.6), 0.074), coherence=0.31).get_title(loc="left")
    'topic 3 · 7.4 % · NPMI .31'
    """
    ax = Figure(figsize=(3.5, _LINE * n_words + 0.6), layout="constrained").add_subplot() if ax is None else ax
    named = zip(topic.words[:n_words], topic.weights[:n_words], strict=True)
    for row, (word, weight) in enumerate(sorted(named, key=lambda pair: -pair[1])):
        ax.barh(row, weight, height=0.86, color=BAR)
        # The word stands on its bar and may run past it: no label is ever outside its panel.
        ax.annotate(
            shorten_label(word),
            (0, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=9,
            color=WORD,
            parse_math=False,
        )
    ax.set_title(_title(topic, coherence), loc="left", fontsize=9, fontweight="bold", color=WORD, pad=4)
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
    """Draw a panel for each topic, the largest share of documents first.

    Parameters
    ----------
    topics : sequence of Topic
        From `codebooks.interpret.topics`.
    coherence : array of shape (len(topics),), optional
        The NPMI of each, as `codebooks.metrics.npmi_per_topic` gives it.
    n_words : int, default=8
        At most so many words a topic.
    n_topics : int, default=20
        At most so many panels; where there are more topics, the figure says so.
    title : str, optional
        Stands above all panels.

    Returns
    -------
    Figure
        Not known to pyplot; `figure.savefig(path)` writes it.

    Raises
    ------
    ValueError
        There are no topics, or not one coherence for each.

    Examples
    --------
    >>> from codebooks import Topic
    >>> figure = plot_topics([Topic(0, ("goal", "match"), (0.8, 0.6), 0.25), Topic(1, ("loan",), (0.5,), 0.75)])
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['topic 1 · 75.0 %', 'topic 0 · 25.0 %']
    """
    if not topics:
        raise ValueError("at least one topic is wanted; none came. Get them from codebooks.interpret.topics.")
    try:
        scores = [None] * len(topics) if coherence is None else [float(score) for score in np.asarray(coherence)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"`coherence` must be a number for each topic, got {short_repr(coherence)}.") from error
    if len(scores) != len(topics):
        raise ValueError(f"coherence must have one value for each of the {len(topics)} topics; {len(scores)} came.")
    shown = sorted(zip(topics, scores, strict=True), key=lambda pair: -np.nan_to_num(pair[0].usage))[:n_topics]

    n_columns = 5 if len(shown) > 12 else 4 if len(shown) > 6 else 3
    n_rows = -(-len(shown) // n_columns)
    # All in inches, so that words are as large in a figure of five panels as in one of twenty.
    left_out = f"the {len(shown)} largest of {len(topics)} topics" if len(shown) < len(topics) else ""
    heading = " · ".join(filter(None, [title, left_out]))
    width, height, gap, margin, head, foot = 2.5, _LINE * n_words + 0.1, 0.42, 0.25, 0.8 if heading else 0.42, 0.5
    figure = Figure(figsize=(n_columns * (width + margin) + margin, n_rows * (height + gap) - gap + head + foot))
    across, up = figure.get_size_inches()
    for place, (topic, score) in enumerate(shown):
        row, column = divmod(place, n_columns)
        left, top = margin + column * (width + margin), up - head - row * (height + gap)
        ax = figure.add_axes((left / across, (top - height) / up, width / across, height / up))
        plot_topic(topic, score, n_words, ax=ax)

    if heading:
        figure.text(margin / across, 1 - 0.32 / up, heading, fontsize=12, color=WORD, va="center", parse_math=False)
    figure.text(margin / across, 0.22 / up, _legend(shown), fontsize=8, color=QUIET, va="center")
    return figure


def plot_usage(topics: Sequence[Topic], *, ax: Axes | None = None) -> Axes:
    """Draw the share of the documents that each topic has, the largest first.

    Parameters
    ----------
    topics : sequence of Topic
        From `codebooks.interpret.topics`; those whose share is not known count as 0.
    ax : Axes, optional
        Where to draw; default: a figure of its own. Where it has no room for all numbers of topics, some are left out.

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
        ax = Figure(figsize=(np.clip(len(topics) / 3, 6, 12), 3.5), layout="constrained").add_subplot()
    shares = np.nan_to_num([topic.usage for topic in topics])
    order = np.argsort(-shares, kind="stable")
    ax.bar(np.arange(len(topics)), 100 * shares[order], color=BAR)
    ax.margins(x=0.02)
    ax.axhline(100 / max(len(topics), 1), color=QUIET, linewidth=1, linestyle="--")  # an even share
    number = 0.05 + 0.1 * max((len(str(topic.id)) for topic in topics), default=1)  # inches
    every = int(np.ceil(len(topics) * number * ax.figure.dpi / ax.bbox.width)) or 1
    ax.set_xticks(np.arange(len(topics))[::every], [str(topics[k].id) for k in order[::every]])
    ax.set_xlabel("topic" if every == 1 else f"topic, one in {every} named")
    ax.set_ylabel("documents (%)")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _title(topic: Topic, coherence: float | None) -> str:
    share = "" if np.isnan(topic.usage) else f"{topic.usage:.1%}".replace("%", " %")
    score = f"NPMI {format_number(coherence)}" if _known(coherence) else ""
    return " · ".join(filter(None, [f"topic {topic.id}", share, score]))


def _legend(shown: Sequence[tuple[Topic, float | None]]) -> str:
    """Of what the panels have."""
    share = "%: share of documents" if any(_known(topic.usage) for topic, _ in shown) else ""
    score = "NPMI: how often its words meet, 1 at best" if any(_known(score) for _, score in shown) else ""
    return " · ".join(filter(None, ["bar: what a word weighs in the topic", share, score]))


def _known(number: float | None) -> TypeGuard[float]:
    return number is not None and not np.isnan(number)
