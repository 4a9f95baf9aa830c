"""What a `PairedHead` learned, and what it did to the groups of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from codebooks.plots.style import BAR, QUIET, WORD, shorten_label

__all__ = ["plot_groups", "plot_history"]

_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "mrr": ("MRR", {"color": WORD, "linewidth": 2.5}),
    "loss": ("loss", {"color": QUIET, "linestyle": "-"}),
    "distance": ("distance to centroid", {"color": QUIET, "linestyle": "--"}),
    "isoscore": ("isoscore", {"color": QUIET, "linestyle": ":"}),
}


def plot_history(head: Any, *, ax: Axes | None = None) -> Axes:
    """Draw what became of a head while it learned: loss, distance to centroid, MRR and isoscore, epoch by epoch.

    Each as a share of where it began, so that one sees at once whether ranking (MRR of groups held out) went along when
    loss and distances fell. Epoch 0 is no head; the mark is at the epoch of the head that was judged. Where there is
    but one epoch, as in closed form, each has a row instead: from no head, at the mark, to this one.

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
    ax = Figure(figsize=(7, 4), layout="constrained").add_subplot() if ax is None else ax
    columns = {name: np.array([entry[name] for entry in head.history_], dtype=float) for name in head.history_[0]}
    single = len(head.history_) == 2
    if single:
        _draw_change(ax, columns)
    else:
        ax.axvline(head.n_iter_, color=BAR, linewidth=6, zorder=0)
        _draw_epochs(ax, columns)
    first, last = (_short(columns["mrr"][epoch]) for epoch in (0, head.n_iter_))
    kept = "kept" if head.improved_ else "not kept"
    look: dict[str, Any] = {"fontsize": 11, "fontweight": "bold", "color": WORD, "pad": 6 if single else 24}
    ax.set_title(f"MRR {first} → {last}, {kept}", loc="left", **look)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _draw_epochs(ax: Axes, columns: dict[str, NDArray]) -> None:
    ax.axhline(100, color=BAR, linewidth=1, zorder=0)
    for name, (label, style) in _LOOKS.items():
        known = np.isfinite(columns[name])
        if known.any():
            values = columns[name][known]
            ax.plot(columns["epoch"][known], 100 * values / (values[0] or 1.0), label=label, marker=".", **style)
    ax.set_xlabel("epoch")
    ax.set_ylabel("% of where it began")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9, borderaxespad=0.1)


def _draw_change(ax: Axes, columns: dict[str, NDArray]) -> None:
    """From the first to the second of two entries, a row for each number that both have."""
    shown = [name for name in _LOOKS if np.isfinite(columns[name]).all()]
    ax.axvline(100, color=BAR, linewidth=6, zorder=0)
    for row, name in enumerate(shown):
        first, last = columns[name]
        label, look = _LOOKS[name]
        style: dict[str, Any] = {"color": look["color"], "linewidth": 3, "marker": "o", "markersize": 9}
        ax.plot([100, 100 * last / (first or 1.0)], [row, row], label=label, markevery=[1], **style)
    told = [f"{_LOOKS[name][0]}\n{' → '.join(map(_short, columns[name]))}" for name in shown]
    ax.set_yticks(range(len(shown)), told)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 90), max(high, 110))  # a change of a percent is to look like one
    ax.set_xlabel("% of where it began")


def _short(number: float) -> str:
    return f"{number:.3f}".lstrip("0") if abs(number) < 10 else f"{number:.1f}"


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
        At most so many groups; 10 can be told apart. Where there are more, the figure says so.

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
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    for place, (title, rows) in enumerate((("before", before), ("after", after))):
        ax = figure.add_subplot(1, 2, place + 1)
        shown = np.isin(groups, largest)
        points = PCA(2, random_state=0).fit_transform(normalize(rows[shown]))
        for number, name in enumerate(largest):
            here = groups[shown] == name
            style: dict[str, Any] = {"color": f"C{number % 10}", "marker": "o^svDP*X<>"[number % 10], "alpha": 0.7}
            ax.scatter(points[here, 0], points[here, 1], s=16, linewidth=0, label=shorten_label(str(name)), **style)
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=WORD)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    left_out = f"the {len(largest)} largest of {len(names)} groups" if len(largest) < len(names) else None
    look: dict[str, Any] = {"ncols": 4, "frameon": False, "fontsize": 9, "title_fontsize": 9, "markerscale": 1.8}
    figure.legend(handles, labels, title=left_out, loc="outside lower center", **look)
    return figure
