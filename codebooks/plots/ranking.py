"""Plot of the accuracy at k of rankings."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from codebooks.metrics import accuracy_at
from codebooks.plots._notebook import make_axes
from codebooks.plots.style import QUIET, WORD, choose_fonts

__all__ = ["plot_accuracy_at_k"]

_LINES = ("-", "--", ":", "-.")


def plot_accuracy_at_k(
    rankings: Mapping[str, Any], relevant: Any, *, largest_k: int = 10, ax: Axes | None = None
) -> Axes:
    """Plot the share of queries with a relevant document among the first k, for k = 1 to 10.

    Parameters
    ----------
    rankings : dict of str to sequence of sequences of ids
        For each search engine, the ranked documents of each query, best first, such as `SearchResults.ids`.
    relevant : sequence of collections of ids
        The relevant documents of each query, as for `codebooks.metrics.accuracy_at`.
    largest_k : int, default=10
        Largest k.
    ax : Axes, optional
        Axes to draw into; default: those of a new figure.

    Returns
    -------
    Axes

    See Also
    --------
    codebooks.metrics.accuracy_at : The plotted values.

    Examples
    --------
    >>> ax = plot_accuracy_at_k({"words": [[7, 3, 5], [4, 1]], "memory": [[3], [4]]}, [[3], [4]], largest_k=3)
    >>> [line.get_ydata().tolist() for line in ax.lines]
    [[0.5, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    ks = list(range(1, largest_k + 1))
    ax = make_axes(7, 4) if ax is None else ax
    for (name, ranked), style in zip(rankings.items(), cycle(_LINES)):
        shares = accuracy_at(ranked, relevant, ks=ks)
        color = QUIET if len(ax.lines) >= len(_LINES) else WORD
        ax.plot(ks, shares, marker="o", markersize=4, label=name, color=color, linestyle=style)
    ax.set_xlabel("first k documents")
    ax.set_ylabel("share of queries with a relevant document")
    ax.set_ylim(0, 1.02)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right", frameon=False, prop={"family": choose_fonts(), "size": 9})
    return ax
