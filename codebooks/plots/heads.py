"""Plots of a fitted `PairedHead`: its history, and groups of rows before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from codebooks.plots._notebook import NotebookFigure, make_axes
from codebooks.plots.style import BAR, QUIET, WORD, shorten_label

__all__ = ["plot_groups", "plot_history"]

_CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "mrr": ("MRR", {"color": WORD, "linewidth": 2.5}),
    "loss": ("loss", {"color": QUIET, "linestyle": "-"}),
    "distance": ("distance to centroid", {"color": QUIET, "linestyle": "--"}),
    "isoscore": ("isoscore", {"color": QUIET, "linestyle": ":"}),
}


def plot_history(head: Any, *, ax: Axes | None = None) -> Axes:
    """Plot the loss, distance to centroid, MRR and isoscore of a `PairedHead` over its epochs.

    Each is a percentage of its initial value, so that a decreasing loss can be compared with the change in ranking (MRR
    of held-out groups). Epoch 0 is the input without a head. The chosen epoch is marked. With a single epoch, as for
    the closed form, each measure has a row instead, from the initial value to the final one.

    Parameters
    ----------
    head : PairedHead
        A fitted head.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        There is no history, because the head was fitted on too few groups.

    See Also
    --------
    plot_groups : The effect of the head on the largest groups.

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
            "`head` must have a history, got an empty one: there were too few groups. Fit it on at least 4 groups of "
            "two rows."
        )
    ax = make_axes(7, 4) if ax is None else ax
    columns = {name: np.array([entry[name] for entry in head.history_], dtype=float) for name in head.history_[0]}
    single = len(head.history_) == 2
    if single:
        _draw_change(ax, columns)
    else:
        ax.axvline(head.n_iter_, color=BAR, linewidth=6, zorder=0)
        _draw_epochs(ax, columns)
    first, last = (_format_value(columns["mrr"][epoch]) for epoch in (0, head.n_iter_))
    kept = "kept" if head.improved_ else "not kept"
    style: dict[str, Any] = {"fontsize": 11, "fontweight": "bold", "color": WORD, "pad": 6 if single else 24}
    ax.set_title(f"MRR {first} → {last}, {kept}", loc="left", **style)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _draw_epochs(ax: Axes, columns: dict[str, NDArray]) -> None:
    ax.axhline(100, color=BAR, linewidth=1, zorder=0)
    for name, (label, style) in _CURVES.items():
        finite = np.isfinite(columns[name])
        if finite.any():
            values = columns[name][finite]
            ax.plot(columns["epoch"][finite], 100 * values / (values[0] or 1.0), label=label, marker=".", **style)
    ax.set_xlabel("epoch")
    ax.set_ylabel("value, 100 = first value")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9, borderaxespad=0.1)


def _draw_change(ax: Axes, columns: dict[str, NDArray]) -> None:
    """Draw a row from the first to the second entry for each measure that both have."""
    shown = [name for name in _CURVES if np.isfinite(columns[name]).all()]
    ax.axvline(100, color=BAR, linewidth=6, zorder=0)
    for row, name in enumerate(shown):
        first, last = columns[name]
        label, curve_style = _CURVES[name]
        style: dict[str, Any] = {"color": curve_style["color"], "linewidth": 3, "marker": "o", "markersize": 9}
        ax.plot([100, 100 * last / (first or 1.0)], [row, row], label=label, markevery=[1], **style)
    labels = [f"{_CURVES[name][0]}\n{' → '.join(map(_format_value, columns[name]))}" for name in shown]
    ax.set_yticks(range(len(shown)), labels)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 90), max(high, 110))  # so that small changes look small
    ax.set_xlabel("value, 100 = without the head")


def _format_value(number: float) -> str:
    return f"{number:.3f}".lstrip("0") if abs(number) < 10 else f"{number:.1f}"


def plot_groups(before: ArrayLike, after: ArrayLike, groups: ArrayLike, n_groups: int = 8) -> Figure:
    """Plot the largest groups before and after a transformation, each projected to its two principal axes.

    Rows are scaled to length 1. The plot shows two directions only: groups that look denser do not always rank better;
    see the MRR in `plot_history`.

    Parameters
    ----------
    before, after : array of shape (n_samples, n_features)
        Embeddings, and the result of `PairedHead.transform`.
    groups : array of shape (n_samples,)
        The group of each row.
    n_groups : int, default=8
        Maximum number of groups; up to 10 have distinct markers. The figure states how many are left out.

    Returns
    -------
    Figure
        A notebook displays it; `figure.savefig(path)` writes a file.

    Raises
    ------
    ValueError
        The numbers of rows differ, or there are fewer than two features.

    See Also
    --------
    plot_history : Loss and ranking over epochs.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((20, 4))
    >>> [ax.get_title(loc="left") for ax in plot_groups(X, 2 * X, np.repeat(["a", "b"], 10)).axes]
    ['before', 'after']
    """
    before, after, groups = np.asarray(before), np.asarray(after), np.asarray(groups)
    if not len(before) == len(after) == len(groups):
        lengths = f"{len(before)}, {len(after)} and {len(groups)}"
        raise ValueError(
            f"`before`, `after` and `groups` must have the same number of rows, got {lengths}. Pass the same samples."
        )
    names, sizes = np.unique(groups, return_counts=True)
    largest = names[np.argsort(-sizes, kind="stable")[:n_groups]]
    figure = NotebookFigure(figsize=(9, 4.6), layout="constrained")
    for position, (title, rows) in enumerate((("before", before), ("after", after)), 1):
        ax = figure.add_subplot(1, 2, position)
        shown = np.isin(groups, largest)
        points = PCA(2, random_state=0).fit_transform(normalize(rows[shown]))
        for number, name in enumerate(largest):
            in_group = groups[shown] == name
            x, y = points[in_group].T
            style: dict[str, Any] = {"color": f"C{number % 10}", "marker": "o^svDP*X<>"[number % 10], "alpha": 0.7}
            ax.scatter(x, y, s=16, linewidth=0, label=shorten_label(str(name)), **style)
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=WORD)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    left_out = f"the {len(largest)} largest of {len(names)} groups" if len(largest) < len(names) else None
    style = {"ncols": 4, "frameon": False, "fontsize": 9, "title_fontsize": 9, "markerscale": 1.8}
    figure.legend(handles, labels, title=left_out, loc="outside lower center", **style)
    return figure
