"""Figures of a codebook: the words of each topic, how documents are shared out among them, how many units to take.

And of embeddings: the cone in which they lie, before and after it was opened.

Figures are made without pyplot, so that nothing global changes and no display is needed; `figure.savefig(path)` writes
one, and `ax=` draws into a figure of yours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array

from codebooks import ops
from codebooks.scores import isoscore
from codebooks.selection import Selection
from codebooks.topics import Topic

__all__ = ["plot_groups", "plot_history", "plot_isotropy", "plot_selection", "plot_topic", "plot_topics", "plot_usage"]

_BAR, _WORD, _QUIET = "#b9d3ea", "#1a1a1a", "#6b6b6b"  # told apart by lightness alone
_OLD = "#6f9fc9"  # a line of what is drawn in _BAR, thin as it is
_LEAST_VARIANCE = 1e-12  # of the largest: what is smaller is rounding
_LONGEST_WORD = 26  # characters that fit a panel
_LEGEND = "bar: what a word weighs in the topic · %: share of documents · NPMI: how often its words meet, 1 at best"


def plot_topic(topic: Topic, coherence: float | None = None, n_words: int = 8, *, ax: Axes | None = None) -> Axes:
    """Draw the strongest words of one topic, each on a bar as long as its weight.

    Parameters
    ----------
    topic : Topic
        From `codebooks.topics`.
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
    ax = Figure(figsize=(3, 2)).add_subplot() if ax is None else ax
    rows = np.arange(min(n_words, len(topic.terms)))
    ax.barh(rows, topic.weights[:n_words], height=0.86, color=_BAR)
    for row in rows:
        # The word stands on its bar and may run past it: no label is ever outside its panel.
        ax.annotate(
            _shortened(topic.terms[row]),
            (0, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=9,
            color=_WORD,
            parse_math=False,
        )
    ax.set_title(_title(topic, coherence), loc="left", fontsize=9, fontweight="bold", color=_WORD, pad=4)
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
        From `codebooks.topics`.
    coherence : array of shape (len(topics),), optional
        The NPMI of each, as `codebooks.scores.npmi_per_topic` gives it.
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
        raise ValueError("at least one topic is wanted; none came. Get them from codebooks.topics.")
    scores = [None] * len(topics) if coherence is None else [float(score) for score in np.asarray(coherence)]
    if len(scores) != len(topics):
        raise ValueError(f"coherence must have one value for each of the {len(topics)} topics; {len(scores)} came.")
    shown = sorted(zip(topics, scores, strict=True), key=lambda pair: -np.nan_to_num(pair[0].usage))[:n_topics]

    n_columns = 5 if len(shown) > 12 else 4 if len(shown) > 6 else 3
    n_rows = -(-len(shown) // n_columns)
    # All in inches, so that words are as large in a figure of five panels as in one of twenty.
    width, height, gap, margin, head, foot = 2.5, 0.19 * n_words + 0.1, 0.42, 0.25, 0.8, 0.5
    figure = Figure(figsize=(n_columns * (width + margin) + margin, n_rows * (height + gap) - gap + head + foot))
    across, up = figure.get_size_inches()
    for place, (topic, score) in enumerate(shown):
        row, column = divmod(place, n_columns)
        left, top = margin + column * (width + margin), up - head - row * (height + gap)
        ax = figure.add_axes((left / across, (top - height) / up, width / across, height / up))
        plot_topic(topic, score, n_words, ax=ax)

    left_out = f"the {len(shown)} largest of {len(topics)} topics" if len(shown) < len(topics) else ""
    heading = " · ".join(filter(None, [title, left_out]))
    figure.text(margin / across, 1 - 0.32 / up, heading, fontsize=12, color=_WORD, va="center", parse_math=False)
    figure.text(margin / across, 0.22 / up, _LEGEND, fontsize=8, color=_QUIET, va="center")
    return figure


def plot_usage(topics: Sequence[Topic], *, ax: Axes | None = None) -> Axes:
    """Draw the share of the documents that each topic has, the largest first.

    Parameters
    ----------
    topics : sequence of Topic
        From `codebooks.topics`; those whose share is not known count as 0.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

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
    ax = Figure(figsize=(max(4, 0.3 * len(topics)), 2.5), layout="constrained").add_subplot() if ax is None else ax
    shares = np.nan_to_num([topic.usage for topic in topics])
    order = np.argsort(-shares, kind="stable")
    ax.bar(np.arange(len(topics)), 100 * shares[order], color=_BAR)
    ax.axhline(100 / max(len(topics), 1), color=_QUIET, linewidth=1, linestyle="--")  # an even share
    ax.set_xticks(np.arange(len(topics)), [str(topics[k].index) for k in order])
    ax.set_xlabel("topic")
    ax.set_ylabel("documents (%)")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_selection(selection: Selection, *, ax: Axes | None = None) -> Axes:
    """Draw what speaks for each number of units, and mark the one recommended.

    The merit has a band of its standard error; under it lie the two that it is made of, separation and half of the
    agreement.

    Parameters
    ----------
    selection : Selection
        From `codebooks.choose_n_components`.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from codebooks.selection import Selection
    >>> row = {"n_components": 2, "separation": 0.3, "agreement": 1.0, "merit": 0.8, "error": 0.1}
    >>> plot_selection(Selection(2, "", [row, {**row, "n_components": 3, "merit": 0.6}])).get_title(loc="left")
    '2 units'
    """
    ax = Figure(figsize=(6, 3.2), layout="constrained").add_subplot() if ax is None else ax
    columns = ("n_components", "separation", "agreement", "merit", "error")
    number, separation, agreement, merit, error = (
        np.array([row[name] for row in selection.table], dtype=float) for name in columns
    )
    ax.axvline(selection.n_components, color=_BAR, linewidth=6, zorder=0)
    ax.fill_between(number, merit - error, merit + error, color=_QUIET, alpha=0.25, linewidth=0)
    ax.plot(number, merit, color=_WORD, linewidth=2, marker="o", markersize=4, label="merit, the sum")
    ax.plot(number, separation, color=_WORD, linewidth=1, linestyle="--", label="separation")
    ax.plot(number, agreement / 2, color=_QUIET, linewidth=1, label="half the agreement")
    ax.set_title(f"{selection.n_components} units", loc="left", fontsize=11, fontweight="bold", color=_WORD)
    ax.set_xlabel("units")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.spines[["top", "right"]].set_visible(False)
    # Above the panel, where no line can run through it.
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8, borderaxespad=0.3)
    return ax


def plot_history(head: Any, *, ax: Axes | None = None) -> Axes:
    """Draw what became of a head while it learned: loss, distance to centroid, MRR and isoscore, epoch by epoch.

    Each as a share of where it began, so that one sees at once whether ranking (MRR of groups held out) went along when
    loss and distances fell. Epoch 0 is no head.

    Parameters
    ----------
    head : PairedHead
        Fitted.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        There is no history: the head could not be judged.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> entry = {"epoch": 0, "loss": 2.0, "distance": 0.8, "mrr": 0.5, "isoscore": 0.1}
    >>> head = SimpleNamespace(history_=[entry, {**entry, "epoch": 1, "mrr": 0.6}], improved_=True, n_iter_=1)
    >>> plot_history(head).get_title(loc="left")
    'MRR .500 → .600, kept'
    """
    if not head.history_:
        raise ValueError(
            "A head with a history is wanted; this one could not be judged: fit it on four groups or more."
        )
    ax = Figure(figsize=(6, 3.2), layout="constrained").add_subplot() if ax is None else ax
    columns = {name: np.array([entry[name] for entry in head.history_], dtype=float) for name in head.history_[0]}
    looks: dict[str, tuple[str, dict[str, Any]]] = {
        "mrr": ("MRR", {"color": _WORD, "linewidth": 2.5}),
        "loss": ("loss", {"color": _QUIET, "linestyle": "-"}),
        "distance": ("distance to centroid", {"color": _QUIET, "linestyle": "--"}),
        "isoscore": ("isoscore", {"color": _QUIET, "linestyle": ":"}),
    }
    ax.axhline(100, color=_BAR, linewidth=1, zorder=0)
    ax.axvline(head.n_iter_, color=_BAR, linewidth=6, zorder=0)
    for name, (label, style) in looks.items():
        known = np.isfinite(columns[name])
        if known.any():
            began = columns[name][known][0]
            ax.plot(
                columns["epoch"][known], 100 * columns[name][known] / (began or 1.0), label=label, marker=".", **style
            )
    first, last = (f"{columns['mrr'][epoch]:.3f}".lstrip("0") for epoch in (0, head.n_iter_))
    kept = "kept" if head.improved_ else "not kept"
    ax.set_title(f"MRR {first} → {last}, {kept}", loc="left", fontsize=11, fontweight="bold", color=_WORD, pad=20)
    ax.set_xlabel("epoch")
    ax.set_ylabel("% of where it began")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=8, borderaxespad=0.1)
    return ax


def plot_groups(before: ArrayLike, after: ArrayLike, groups: ArrayLike, n_groups: int = 8) -> Figure:
    """Draw the largest groups before and behind a head, each on its own two principal axes.

    A picture of two directions, at unit length of rows: clusters that look tighter need not rank better; MRR says that.

    Parameters
    ----------
    before, after : array of shape (n_samples, n_features)
        Embeddings, and what `PairedHead.transform` makes of them.
    groups : array of shape (n_samples,)
        Which rows belong together.
    n_groups : int, default=8
        At most so many groups; 10 can be told apart.

    Returns
    -------
    Figure
        Not known to pyplot; `figure.savefig(path)` writes it.

    Raises
    ------
    ValueError
        There are not as many rows in each, or fewer than two features.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((20, 4))
    >>> [ax.get_title(loc="left") for ax in plot_groups(X, 2 * X, np.repeat(["a", "b"], 10)).axes]
    ['before', 'after']
    """
    before, after, groups = np.asarray(before), np.asarray(after), np.asarray(groups)
    if not len(before) == len(after) == len(groups):
        lengths = f"{len(before)}, {len(after)} and {len(groups)}"
        raise ValueError(f"before, after and groups must have one row each for the same things; {lengths} rows came.")
    names, sizes = np.unique(groups, return_counts=True)
    largest = names[np.argsort(-sizes, kind="stable")[:n_groups]]
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for place, (title, rows) in enumerate((("before", before), ("after", after))):
        ax = figure.add_subplot(1, 2, place + 1)
        shown = np.isin(groups, largest)
        points = PCA(2, random_state=0).fit_transform(normalize(rows[shown]))
        for number, name in enumerate(largest):
            here = groups[shown] == name
            style: dict[str, Any] = {"color": f"C{number % 10}", "marker": "o^svDP*X<>"[number % 10], "alpha": 0.7}
            ax.scatter(points[here, 0], points[here, 1], s=12, linewidth=0, label=_shortened(str(name)), **style)
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_WORD)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def plot_isotropy(
    before: ArrayLike,
    after: ArrayLike,
    *,
    n_rows: int = 1000,
    random_state: int = 0,
    axes: Sequence[Axes] | None = None,
) -> tuple[Axes, Axes]:
    """Draw how embeddings fill their space before and after a change, for instance by `codebooks.Isotropy`.

    On the left the cosines of all pairs of some rows: in a narrow cone they pile up far from zero. On the right the
    variances along the principal axes, relative to their mean: a few large ones and many small ones in a narrow cone,
    all on the dashed line where rows vary alike in all directions. IsoScore, from 0 to 1, sums the right panel up.

    Parameters
    ----------
    before, after : array of shape (n_samples, n_features)
        The same rows twice, dense; the number of features may differ.
    n_rows : int, default=1000
        Cosines are taken of at most so many rows, drawn at random.
    random_state : int, default=0
        For the draw.
    axes : two Axes, optional
        Where to draw; default: a figure of their own.

    Returns
    -------
    tuple of two Axes
        Cosines and variances; `axes[0].figure.savefig(path)` writes both.

    Raises
    ------
    ValueError
        The two have different numbers of rows, or fewer than two, or hold NaN or infinity; `n_rows` is below 2.
    TypeError
        One of them is sparse.

    Examples
    --------
    >>> from codebooks import Isotropy
    >>> X = 3 + np.random.default_rng(0).standard_normal((100, 8)) * [4, 2, 1, 1, 1, 1, 1, 1]
    >>> cosines, variances = plot_isotropy(X, Isotropy().fit_transform(X))
    >>> [text.get_text() for text in variances.get_legend().get_texts()]
    ['before, IsoScore .27', 'after, IsoScore .36']
    """
    pair = [check_array(ops.to_host(X), dtype=np.float64, ensure_min_samples=2) for X in (before, after)]
    if len(pair[0]) != len(pair[1]):
        raise ValueError(
            f"before and after must hold the same rows; {len(pair[0])} and {len(pair[1])} came. "
            f"Transform the rows that you give as before."
        )
    if n_rows < 2:
        raise ValueError(f"n_rows must be 2 or more, for there to be a pair; {n_rows!r} came.")
    n_drawn = min(n_rows, len(pair[0]))
    rows = np.sort(check_random_state(random_state).choice(len(pair[0]), n_drawn, replace=False))
    if axes is None:
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = [figure.add_subplot(1, 2, place) for place in (1, 2)]
    left, right = axes
    _draw_cosines(left, [_cosines(X[rows]) for X in pair])
    _draw_variances(right, [_variances(X) for X in pair], [isoscore(X) for X in pair])
    return left, right


def _draw_cosines(ax: Axes, cosines: Sequence[NDArray]) -> None:
    low, high = min(map(np.min, cosines)), max(map(np.max, cosines))
    bins = np.linspace(low, max(high, low + 1e-3), 61).tolist()
    weights = [np.full(len(values), 100 / len(values)) for values in cosines]
    ax.hist(cosines[0], bins, weights=weights[0], color=_BAR)
    ax.hist(cosines[1], bins, weights=weights[1], histtype="step", color=_WORD, linewidth=1.5)
    top = ax.get_ylim()[1]
    for values, color in zip(cosines, (_OLD, _WORD), strict=True):
        ax.plot([values.mean()] * 2, [0, top], color=color, linewidth=1, linestyle=":")
    ax.set_ylim(0, top)
    means = " → ".join(_short(values.mean()) for values in cosines)
    ax.set_title(f"mean cosine {means}", loc="left", fontsize=10, fontweight="bold", color=_WORD)
    ax.set_xlabel("cosine of two rows")
    ax.set_ylabel("pairs (%)")
    ax.spines[["top", "right"]].set_visible(False)


def _draw_variances(ax: Axes, variances: Sequence[NDArray], scores: Sequence[float]) -> None:
    ax.axhline(1, color=_QUIET, linewidth=1, linestyle="--")
    looks = (("before", _BAR, 4.0), ("after", _WORD, 1.5))
    for (name, color, width), values, score in zip(looks, variances, scores, strict=True):
        known = values > _LEAST_VARIANCE * values[0]
        label = f"{name}, IsoScore {_short(score)}"
        ax.plot(np.arange(1, len(values) + 1)[known], values[known], label=label, color=color, linewidth=width)
    ax.set_yscale("log")
    ax.set_title("variance, relative to its mean", loc="left", fontsize=10, fontweight="bold", color=_WORD)
    ax.set_xlabel("principal axis")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper right", frameon=False, fontsize=9)


def _cosines(X: NDArray) -> NDArray:
    """Of all pairs of different rows."""
    X = X * ops.reciprocal(ops.row_norms(X))[:, None]
    return (X @ X.T)[np.triu_indices(len(X), 1)]


def _variances(X: NDArray) -> NDArray:
    """Along the principal axes, descending, with mean 1."""
    X = X - X.mean(axis=0)
    values = ops.principal_axes(X.T @ X)[0].clip(0)
    return values / values.mean() if values.any() else values


def _short(score: float) -> str:
    """A number up to 1 without the zero in front."""
    return f"{score + 0.0:.2f}".replace("-0.00", "0.00").replace("0.", ".") if np.isfinite(score) else "unknown"


def _title(topic: Topic, coherence: float | None) -> str:
    share = "" if np.isnan(topic.usage) else f"{topic.usage:.1%}".replace("%", " %")
    judged = coherence is not None and not np.isnan(coherence)
    score = f"NPMI {coherence:.2f}".replace("0.", ".") if judged else ""
    return " · ".join(filter(None, [f"topic {topic.index}", share, score]))


def _shortened(word: str) -> str:
    return word if len(word) <= _LONGEST_WORD else word[: _LONGEST_WORD - 1] + "…"
