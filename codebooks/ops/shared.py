"""What both devices share: elementwise maths and small dense algebra, spelled alike, and facts that kernels go by."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

# Below this ratio of smallest to largest eigenvalue the Gram matrix no longer tells small directions from noise well
# enough: rows made orthonormal by it would be so to the rounding of float64, 2e-16, over this ratio.
_TRUSTED_CONDITION = 1e-5
# Rows that differ by less than this, by the same ratio, are not pulled apart any harder.
_LEAST_SPREAD = 1e-6
# Above this one, a product in float32 keeps rows orthonormal to 1e-6 or so.
_BENIGN_CONDITION = 1e-3

# How weights are made of scores, as kernels count the ways.
SEPARATIONS = {"softmax": 0, "sparsemax": 1, "entmax15": 2, "max": 3}


def reach(xp: ModuleType, kind: str, beta: Any, n_scores: int, dtype: np.dtype) -> Any:
    """How far below the best of its row a score may lie and still have a weight; for softmax, one that can be seen.

    `beta` holds a number for each row, and so does the result, in the dtype of the scores.
    """
    if kind == "max":
        return xp.zeros(len(beta), dtype)
    margin = {"sparsemax": 1.0, "entmax15": 2.0}.get(kind)
    if margin is None:
        margin = float(np.log(n_scores) - np.log(np.finfo(dtype).eps))
    return (margin / beta).astype(dtype)


def reciprocal(xp: ModuleType, norms: Any) -> Any:
    """See `codebooks.ops.reciprocal`."""
    positive = norms > 0
    with_limit = xp.maximum(norms, 4 / xp.finfo(norms.dtype).max)  # beyond that the answer would be infinite
    return xp.where(positive, 1 / with_limit, 0).astype(norms.dtype)


def nearest_orthonormal(xp: ModuleType, M: Any) -> Any:
    """See `codebooks.ops.nearest_orthonormal`.

    With `M M' = V diag(s) V'` the polar factor is `V diag(s)^-1/2 V' M`: one small eigenproblem instead of a singular
    value decomposition of the wide matrix. Ill-conditioned input takes an orthonormal basis of its rows, and then the
    decomposition of what is left, which is small. All is done in float64 but the last product of well-conditioned
    float32, whose rounding that condition cannot enlarge much.
    """
    wide = _of_moderate_size(xp, M)
    values, vectors = xp.linalg.eigh(wide @ wide.T)
    condition = values[0] / xp.maximum(values[-1], xp.finfo(xp.float64).tiny)
    if not bool(condition > _TRUSTED_CONDITION):
        basis, small = xp.linalg.qr(wide.T)
        left, _, right = xp.linalg.svd(small.T)
        return (basis @ (left @ right).T).T.astype(M.dtype)
    root = (vectors / xp.sqrt(values)) @ vectors.T
    if M.dtype == xp.float32 and bool(condition > _BENIGN_CONDITION):
        return (M.T @ root.astype(xp.float32)).T
    return (wide.T @ root).T.astype(M.dtype)


def pull_apart(xp: ModuleType, W: Any, amount: float) -> Any:
    """See `codebooks.ops.pull_apart`.

    All of it is one small matrix times `W`, made of the Gram matrix `G = W W'`: `polar(W) = G^-1/2 W`, and a row of
    `B W` has the squared length `(B G B')_kk`.
    """
    gram = (W @ W.T).astype(xp.float64)
    values, vectors = xp.linalg.eigh(gram)
    if W.dtype == xp.float32 and not bool(values[0] > _BENIGN_CONDITION * values[-1]):
        return pull_apart(xp, W.astype(xp.float64), amount).astype(W.dtype)  # the rounding of G would show in lengths
    trusted = xp.maximum(values, _LEAST_SPREAD * values[-1])
    root = (vectors / xp.sqrt(trusted)) @ vectors.T
    mix = (1 - amount) * xp.eye(len(W)) + amount * root
    mix /= xp.sqrt(((mix @ gram) * mix).sum(axis=1))[:, None]
    return (W.T @ mix.T.astype(W.dtype)).T


def principal_axes(xp: ModuleType, C: Any) -> tuple[Any, Any]:
    """See `codebooks.ops.principal_axes`."""
    values, vectors = xp.linalg.eigh(C)
    values, axes = values[::-1], vectors.T[::-1]
    strongest = xp.take_along_axis(axes, xp.abs(axes).argmax(axis=1)[:, None], axis=1)
    return xp.ascontiguousarray(values), xp.ascontiguousarray(axes * xp.where(strongest < 0, -1, 1).astype(C.dtype))


def _of_moderate_size(xp: ModuleType, M: Any) -> Any:
    """`M` in float64, so that its squares are no larger than that; those of float32 never are."""
    wide = M.astype(xp.float64)
    if M.dtype == xp.float32 or not wide.size:
        return wide
    peak = xp.abs(wide).max()
    return wide / xp.where(peak > 0, peak, 1.0)
