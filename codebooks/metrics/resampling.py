"""How sure a mean over queries is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from codebooks import ops
from codebooks.errors import short_repr, shorten_errors
from codebooks.validation.arrays import check_count

__all__ = ["bootstrap_interval"]

_BLOCK = 2_000_000  # draws held at once


def bootstrap_interval(
    values: ArrayLike, *, level: float = 0.95, n_resamples: int = 10_000, random_state: Any = 0
) -> tuple[float, float]:
    """Where the mean over queries would lie with other queries of their kind: the percentile bootstrap (Efron 1979).

    To compare two rankings of the same queries give it the differences of their values, `a - b`: their interval says
    more than whether the intervals of each overlap.

    Parameters
    ----------
    values : array of shape (n_queries,)
        What a score gives with `per_query=True`; nan is left out.
    level : float, default=0.95
        How many of the resampled means lie in the interval.
    n_resamples : int, default=10000
        How often queries are drawn, as many as there are, with replacement.
    random_state : int, Generator or None, default=0
        Seed of the draws.

    Returns
    -------
    tuple of two floats
        The lower and the upper end.

    Raises
    ------
    ValueError
        Values are not one row, none is left, level is not between 0 and 1, or n_resamples is below 1.

    Examples
    --------
    >>> low, high = bootstrap_interval([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    >>> print(low, high)
    0.25 0.875
    """
    try:
        given = np.asarray(ops.to_host(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"values must be numbers, one for each query; {short_repr(values)} came.") from error
    if given.ndim != 1:
        raise ValueError(f"one value a query is wanted; an array of shape {given.shape} came. Give one column of it.")
    given = given[~np.isnan(given)]
    if not len(given):
        raise ValueError("at least one value that is not nan is wanted; none came.")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, for example 0.95; {short_repr(level)} came.")
    check_count("n_resamples", n_resamples)
    with shorten_errors():
        rng = np.random.default_rng(random_state)
    means = np.empty(n_resamples)
    block = max(1, _BLOCK // len(given))
    for start in range(0, n_resamples, block):
        part = means[start : start + block]
        part[:] = given[rng.integers(len(given), size=(len(part), len(given)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
