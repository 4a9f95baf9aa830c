"""Primitives with one body: elementwise maths and small dense algebra, which NumPy and CuPy spell alike."""

from __future__ import annotations

from types import ModuleType
from typing import Any

# Below this ratio of smallest to largest eigenvalue the Gram matrix no longer tells the small directions from noise.
_TRUSTED_CONDITION = 1e-6


def softmax(xp: ModuleType, scores: Any) -> Any:
    """See `codebooks.ops.softmax`."""
    peak = scores.max(axis=1, keepdims=True)
    # A row without a finite entry would give inf - inf; measured from 0 it gives exp(-inf) = 0 instead.
    powers = xp.exp(scores - xp.where(xp.isfinite(peak), peak, 0))
    total = powers.sum(axis=1, keepdims=True)
    return powers / xp.where(total > 0, total, 1)


def reciprocal(xp: ModuleType, norms: Any) -> Any:
    """See `codebooks.ops.reciprocal`."""
    positive = norms > 0
    with_limit = xp.maximum(norms, 4 / xp.finfo(norms.dtype).max)  # beyond that the answer would be infinite
    return xp.where(positive, 1 / with_limit, 0).astype(norms.dtype)


def nearest_orthonormal(xp: ModuleType, M: Any) -> Any:
    """See `codebooks.ops.nearest_orthonormal`.

    With `M M' = V diag(s) V'` the polar factor is `V diag(s)^-1/2 V' M`: one small eigenproblem instead of a singular
    value decomposition of the wide matrix. Ill-conditioned input takes the decomposition.
    """
    wide = M.astype(xp.float64)
    peak = xp.abs(wide).max() if wide.size else 0.0
    wide = wide / xp.where(peak > 0, peak, 1.0)
    values, vectors = xp.linalg.eigh(wide @ wide.T)
    if bool(values[0] > _TRUSTED_CONDITION * values[-1]):
        polar = (vectors / xp.sqrt(values)) @ (vectors.T @ wide)
    else:
        left, _, right = xp.linalg.svd(wide, full_matrices=False)
        polar = left @ right
    return polar.astype(M.dtype)
