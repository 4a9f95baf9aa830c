"""Plot of the choice of the number of components."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from codebooks.plots._notebook import make_axes
from codebooks.plots.style import BAR, QUIET, WORD
from codebooks.selection import Selection

__all__ = ["plot_selection"]


def plot_selection(selection: Selection, *, ax: Axes | None = None) -> Axes:
    """Plot the merit of each number of components, and mark the recommended number.

    The merit has a band of its standard error. Its two parts, separation and half of the agreement, are shown too, or,
    for `MultinomialMixture`, the merit of broad components.

    Parameters
    ----------
    selection : Selection
        From `codebooks.choose_n_components`.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure.

    Returns
    -------
    Axes

    See Also
    --------
    codebooks.choose_n_components : Definition of the plotted values.

    Examples
    --------
    >>> from codebooks.selection import Selection
    >>> row = {"n_components": 2, "separation": 0.3, "agreement": 1.0, "merit": 0.8, "error": 0.1}
    >>> plot_selection(Selection(2, "", [row, {**row, "n_components": 3, "merit": 0.6}])).get_title(loc="left")
    '2 components'
    """
    ax = make_axes(7, 4) if ax is None else ax
    number, merit, error = (
        np.array([row[name] for row in selection.table], dtype=float) for name in ("n_components", "merit", "error")
    )
    if selection.n_broad is None:
        curves = {"separation": ("separation", 1.0), "half the agreement": ("agreement", 0.5)}
    else:
        curves = {"merit of broad components": ("broad", 1.0)}
    ax.axvline(selection.n_components, color=BAR, linewidth=6, zorder=0)
    ax.fill_between(number, merit - error, merit + error, color=QUIET, alpha=0.25, linewidth=0)
    label = "merit, the sum" if selection.n_broad is None else "merit"
    ax.plot(number, merit, color=WORD, linewidth=2, marker="o", markersize=4, label=label)
    for (label, (name, factor)), (color, style) in zip(curves.items(), ((WORD, "--"), (QUIET, "-")), strict=False):
        values = np.array([factor * row[name] for row in selection.table])
        ax.plot(number, values, color=color, linewidth=1, linestyle=style, label=label)
    ax.set_title(f"{selection.n_components} components", loc="left", fontsize=11, fontweight="bold", color=WORD)
    ax.set_xlabel("number of components")
    ax.set_ylabel("merit (higher is better)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.spines[["top", "right"]].set_visible(False)
    # Above the panel, so that no line crosses it.
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=9, borderaxespad=0.3)
    return ax
