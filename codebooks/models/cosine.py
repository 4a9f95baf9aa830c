"""Cosines and directions of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from codebooks import ops

__all__ = ["compute_cosines", "extract_directions", "normalize_rows"]


def normalize_rows(W: Any) -> Any:
    """Return `W` with rows of length 1; rows of zeros stay zeros."""
    return W * ops.reciprocal(ops.row_norms(W))[:, None]


def compute_cosines(X: Any, components: Any) -> tuple[Any, Any]:
    """Compute the dot products of the rows of `X`, scaled to length 1, with components, and the lengths of the rows."""
    norms = ops.row_norms(X)
    scores = ops.similarity(X, components)
    scores *= ops.reciprocal(norms)[:, None]
    return scores, norms


def extract_directions(X: Any, rows: np.ndarray) -> Any:
    """Return some rows of `X` as a dense array, scaled to length 1."""
    selected = ops.take_rows(X, rows)
    index = np.arange(len(rows))[:, None]
    weight = ops.reciprocal(ops.row_norms(selected))[:, None]
    out = ops.xp(weight).zeros((len(rows), X.shape[1]), X.dtype)
    return ops.scatter_rows(out, ops.to_device_of(index, weight), weight, selected)
