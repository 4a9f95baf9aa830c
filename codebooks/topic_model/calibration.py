"""Comparison of the scores of documents with those of unseen documents of the same kind."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["Calibration", "calibrate"]

_LEAST_VARIANCE = 1e-6


class Calibration(NamedTuple):
    """Distribution of the scores of unseen documents.

    The score of a document with n terms has the mean `mean[0] + mean[1] / n` and the variance
    `variance[0] + variance[1] / n`. Lengths outside of `lengths` have the mean of the nearest one.
    """

    mean: NDArray[Any]  # (2,)
    variance: NDArray[Any]  # (2,)
    lengths: NDArray[Any]  # (2,) smallest and largest 1 / n
    quantiles: NDArray[Any]  # (n_sample,) standardized scores, ascending

    def standardize(self, scores: NDArray[Any], n_terms: NDArray[Any]) -> NDArray[Any]:
        """Subtract the mean from scores, and divide by the standard deviation."""
        inverse = 1 / np.maximum(n_terms, 1)
        mean = self.mean[0] + self.mean[1] * np.clip(inverse, *self.lengths)
        return (scores - mean) / np.sqrt(np.maximum(self.variance[0], _LEAST_VARIANCE) + self.variance[1] * inverse)

    def compute_levels(self, scores: NDArray[Any], n_terms: NDArray[Any]) -> NDArray[Any]:
        """Compute the share of unseen documents with a lower score. Below all of the sample it falls to 0."""
        values, levels = self.standardize(scores, n_terms), np.arange(1, len(self.quantiles) + 1)
        below = np.minimum(values - self.quantiles[0], 0)
        return np.interp(values, self.quantiles, levels / (len(levels) + 1)) * np.exp(below)


def calibrate(scores: NDArray[Any], n_terms: NDArray[Any]) -> Calibration:
    """Estimate the distribution of scores from a sample of unseen documents, at least one."""
    inverse = 1 / np.maximum(n_terms, 1)
    design = np.column_stack([np.ones(len(scores)), inverse])
    mean = np.linalg.lstsq(design, scores, rcond=None)[0]
    variance = nnls(design, (scores - design @ mean) ** 2)[0]
    lengths = np.array([inverse.min(), inverse.max()])
    calibration = Calibration(mean, variance, lengths, np.zeros(1))
    return calibration._replace(quantiles=np.sort(calibration.standardize(scores, n_terms)))
