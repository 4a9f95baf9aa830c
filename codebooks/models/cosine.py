"""Rows as directions: what every learner asks of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from codebooks import ops

__all__ = ["compute_cosines", "extract_directions", "normalize_rows"]


def normalize_rows(W: Any) -> Any:
    """`W` with rows of length 1; rows of zeros stay zeros."""
    return W * ops.reciprocal(ops.row_norms(W))[:, None]


def compute_cosines(X: Any, units: Any) -> tuple[Any, Any]:
    """Dot products of the rows of `X`, scaled to length 1, with those of `units`; and the lengths of the rows."""
    norms = ops.row_norms(X)
    scores = ops.similarity(X, units)
    scores *= ops.reciprocal(norms)[:, None]
    return scores, norms


def extract_directions(X: Any, rows: np.ndarray) -> Any:
    """Some rows of `X`, dense and scaled to length 1."""
    picked = ops.take_rows(X, rows)
    index = np.arange(len(rows))[:, None]
    weight = ops.reciprocal(ops.row_norms(picked))[:, None]
    out = ops.xp(weight).zeros((len(rows), X.shape[1]), X.dtype)
    return ops.scatter_rows(out, ops.to_device_of(index, weight), weight, picked)
