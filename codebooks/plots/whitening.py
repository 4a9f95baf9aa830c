"""Plot of the anisotropy of embeddings before and after a transformation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.metrics import isoscore
from codebooks.plots._notebook import NotebookFigure
from codebooks.plots.style import BAR, QUIET, WORD, format_number
from codebooks.validation.arrays import check_matrix

__all__ = ["plot_whitening"]

_OLD = "#6f9fc9"  # BAR for thin lines
_LEAST_VARIANCE = 1e-12  # relative to the largest; smaller variances are rounding errors


def plot_whitening(
    before: ArrayLike,
    after: ArrayLike,
    *,
    n_rows: int = 1000,
    random_state: int = 0,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Plot the anisotropy of embeddings before and after a transformation, such as `codebooks.PartialWhitening`.

    The left panel shows the cosines of all pairs of a sample of rows, with mean ± standard deviation. Anisotropic
    embeddings have a mean far from zero, and a large deviation if they vary in few directions. The right panel shows
    the variances along the principal axes, relative to their mean; the dashed line is equal variance in all directions.
    IsoScore, from 0 to 1, summarises the right panel.

    Parameters
    ----------
    before, after : array of shape (n_samples, n_features)
        The same rows before and after, dense; the number of features may differ.
    n_rows : int, default=1000
        Maximum number of rows, drawn at random, for the cosines.
    random_state : int, default=0
        Seed of the random draw.
    axes : two Axes, optional
        Axes to draw into; default: those of a new figure.

    Returns
    -------
    Figure
        A notebook displays it. Its axes are the cosines and the variances. With `axes`, the figure of these.

    Raises
    ------
    ValueError
        The numbers of rows differ or are less than two, a value is NaN or infinity, or `n_rows` is below 2.
    TypeError
        One of the arrays is sparse.

    See Also
    --------
    codebooks.metrics.isoscore, codebooks.metrics.average_cosine : The measures.

    Examples
    --------
    >>> from codebooks import PartialWhitening
    >>> X = 3 + np.random.default_rng(0).standard_normal((100, 8)) * [4, 2, 1, 1, 1, 1, 1, 1]
    >>> cosines, variances = plot_whitening(X, PartialWhitening().fit_transform(X)).axes
    >>> cosines.get_title(loc="left")
    'cosine .79 ± .15 → -.01 ± .44'
    >>> [text.get_text() for text in variances.get_legend().get_texts()]
    ['before, IsoScore .27', 'after, IsoScore .36']
    """
    pair = [
        check_matrix("plot_whitening", ops.to_host(X), accept_sparse=False, least_rows=2).astype(np.float64)
        for X in (before, after)
    ]
    if len(pair[0]) != len(pair[1]):
        raise ValueError(
            f"`before` and `after` must have the same rows, got {len(pair[0])} and {len(pair[1])}. Pass X and "
            f"model.transform(X)."
        )
    if n_rows < 2:
        raise ValueError(f"`n_rows` must be an integer >= 2, got {short_repr(n_rows)}. The default is 1000.")
    n_drawn = min(n_rows, len(pair[0]))
    rows = np.sort(check_random_state(random_state).choice(len(pair[0]), n_drawn, replace=False))
    if axes is None:
        axes = NotebookFigure(figsize=(9, 3.6), layout="constrained").subplots(1, 2)
    left, right = axes
    _draw_cosines(left, [_compute_cosines(X[rows]) for X in pair])
    _draw_variances(right, [_compute_variances(X) for X in pair], [isoscore(X) for X in pair])
    return left.figure.figure  # the whole figure if the axes are in a subfigure


def _draw_cosines(ax: Axes, cosines: Sequence[NDArray]) -> None:
    low, high = min(map(np.min, cosines)), max(map(np.max, cosines))
    bins = np.linspace(low, max(high, low + 1e-3), 61).tolist()
    weights = [np.full(len(values), 100 / len(values)) for values in cosines]
    ax.hist(cosines[0], bins, weights=weights[0], color=BAR)
    ax.hist(cosines[1], bins, weights=weights[1], histtype="step", color=WORD, linewidth=1.5)
    top = ax.get_ylim()[1]
    for values, color in zip(cosines, (_OLD, WORD), strict=True):
        ax.plot([values.mean()] * 2, [0, top], color=color, linewidth=1, linestyle=":")
    ax.set_ylim(0, top)
    means = " → ".join(f"{format_number(values.mean())} ± {format_number(values.std())}" for values in cosines)
    ax.set_title(f"cosine {means}", loc="left", fontsize=10, fontweight="bold", color=WORD)
    ax.set_xlabel("cosine of two rows")
    ax.set_ylabel("pairs (%)")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.spines[["top", "right"]].set_visible(False)


def _draw_variances(ax: Axes, variances: Sequence[NDArray], scores: Sequence[float]) -> None:
    ax.axhline(1, color=QUIET, linewidth=1, linestyle="--")
    styles = (("before", BAR, 4.0), ("after", WORD, 1.5))
    for (name, color, width), values, score in zip(styles, variances, scores, strict=True):
        shown = values > _LEAST_VARIANCE * values[0]
        label = f"{name}, IsoScore {format_number(score)}"
        ax.plot(np.arange(1, len(values) + 1)[shown], values[shown], label=label, color=color, linewidth=width)
    ax.set_yscale("log")
    ax.set_title("variance, relative to its mean", loc="left", fontsize=10, fontweight="bold", color=WORD)
    ax.set_xlabel("principal axis")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper right", frameon=False, fontsize=9)


def _compute_cosines(X: NDArray) -> NDArray:
    """Compute the cosines of all pairs of different rows."""
    X = X * ops.reciprocal(ops.row_norms(X))[:, None]
    return (X @ X.T)[np.triu_indices(len(X), 1)]


def _compute_variances(X: NDArray) -> NDArray:
    """Compute the variances along the principal axes, descending, scaled to mean 1."""
    X = X - X.mean(axis=0)
    values = ops.principal_axes(X.T @ X)[0].clip(0)
    return values / values.mean() if values.any() else values
