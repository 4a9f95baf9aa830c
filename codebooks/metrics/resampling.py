"""Bootstrap confidence interval of a mean over queries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from codebooks import ops
from codebooks.errors import short_repr, shorten_errors
from codebooks.validation.arrays import check_count

__all__ = ["bootstrap_interval"]

_BLOCK = 2_000_000  # random numbers in memory at once


def bootstrap_interval(
    values: ArrayLike, *, level: float = 0.95, n_resamples: int = 10_000, random_state: Any = 0
) -> tuple[float, float]:
    """Compute a confidence interval of the mean over queries by the percentile bootstrap.

    To compare two rankings of the same queries, pass the differences of their values, `a - b`, and see whether the
    interval contains 0. This is more sensitive than to see whether the two intervals overlap.

    Parameters
    ----------
    values : array of shape (n_queries,)
        The values of a ranking metric with `per_query=True`. nan is left out.
    level : float, default=0.95
        Share of the resampled means that lie in the interval.
    n_resamples : int, default=10000
        Number of resamples, each of n_queries values drawn with replacement.
    random_state : int, Generator or None, default=0
        Seed of the draws.

    Returns
    -------
    tuple of two floats
        The lower and the upper end.

    Raises
    ------
    ValueError
        `values` is not one-dimensional or has no number, `level` is not between 0 and 1, or `n_resamples` is below 1.

    References
    ----------
    B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979.

    Examples
    --------
    >>> low, high = bootstrap_interval([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0])
    >>> print(low, high)
    0.25 0.875
    """
    try:
        given = np.asarray(ops.to_host(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"`values` must be numbers, one for each query, got {short_repr(values)}.") from error
    if given.ndim != 1:
        raise ValueError(
            f"`values` must have one number for each query, got an array of shape {given.shape}. Use one column of it."
        )
    given = given[~np.isnan(given)]
    if not len(given):
        raise ValueError("`values` must have at least one number that is not nan, got none. Check the judgements.")
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1, got {short_repr(level)}. Use 0.95 for 95 %.")
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
