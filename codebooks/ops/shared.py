"""Bodies that are the same on both devices: elementwise mathematics, small dense algebra, constants of kernels."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

# Smallest ratio of the extreme eigenvalues of a Gram matrix with which rows may be made orthonormal: the error of the
# result is the rounding of float64, 2e-16, divided by this ratio.
_TRUSTED_CONDITION = 1e-5
# Eigenvalues below this share of the largest count as this share, so that nearly equal rows are not separated further.
_LEAST_SPREAD = 1e-6
# Above this ratio, a product in float32 keeps rows orthonormal to about 1e-6.
_BENIGN_CONDITION = 1e-3

# Equal products of BLAS differ by up to 11 machine epsilons, depending on their place in a block and on the processor;
# `rounding_tolerance` allows for this number.
_UNITS_OF_ROUNDING = 32

# Numbers of the separation functions in kernels.
SEPARATIONS = {"softmax": 0, "sparsemax": 1, "entmax15": 2, "max": 3}


def rounding_tolerance(dtype: Any) -> float:
    """See `codebooks.ops.rounding_tolerance`."""
    return float(_UNITS_OF_ROUNDING * np.finfo(dtype).eps)


def compute_candidate_margin(xp: ModuleType, kind: str, beta: Any, n_scores: int, dtype: np.dtype) -> Any:
    """Compute the largest distance from the best score of its row at which a score has a weight above rounding errors.

    `beta` and the result contain one number per row; the result has the dtype of the scores. For `"max"`, the result is
    the largest relative distance of a score that counts as equal to the best.
    """
    if kind == "max":
        return xp.full(len(beta), rounding_tolerance(dtype), dtype)
    margin = {"sparsemax": 1.0, "entmax15": 2.0}.get(kind)
    if margin is None:
        margin = float(np.log(n_scores) - np.log(np.finfo(dtype).eps))
    return (margin / beta).astype(dtype)


def reciprocal(xp: ModuleType, norms: Any) -> Any:
    """See `codebooks.ops.reciprocal`."""
    least = norms.dtype.type(4 / xp.finfo(norms.dtype).max)  # below this the result would be infinite
    out = 1 / xp.maximum(norms, least)
    xp.copyto(out, 0, where=norms <= 0)
    return out


def nearest_orthonormal(xp: ModuleType, M: Any) -> Any:
    """See `codebooks.ops.nearest_orthonormal`.

    With `M M' = V diag(s) V'` the polar factor is `V diag(s)^-1/2 V' M`: one small eigenproblem instead of a singular
    value decomposition of the wide matrix. For ill-conditioned input, a QR decomposition reduces the problem to the
    singular value decomposition of a small matrix. Everything is computed in float64, except for the last product of
    well-conditioned float32 input, whose rounding errors stay small.
    """
    wide = _scale_to_moderate_size(xp, M)
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


def orthogonalize_partially(xp: ModuleType, W: Any, amount: float) -> Any:
    """See `codebooks.ops.orthogonalize_partially`.

    `polar(W) = (W W')^-1/2 W = W (W' W)^-1/2`, so the smaller of the two Gram matrices is decomposed. With more rows
    than columns, the rows of the polar factor form the nearest tight frame. Everything is computed in float64, except
    for the last product of well-conditioned float32 input, whose rounding errors stay small.
    """
    wide = W.astype(xp.float64, copy=False)
    has_more_rows = len(W) > W.shape[1]
    gram = wide.T @ wide if has_more_rows else wide @ wide.T
    values, vectors = xp.linalg.eigh(gram)
    trusted = xp.maximum(values, _LEAST_SPREAD * values[-1])
    mix = (1 - amount) * xp.eye(len(gram)) + amount * ((vectors / xp.sqrt(trusted)) @ vectors.T)
    if not has_more_rows:
        mix /= xp.sqrt(((mix @ gram) * mix).sum(axis=1))[:, None]  # the squared lengths of the rows of `mix W`
    if W.dtype == xp.float32 and bool(values[0] > _BENIGN_CONDITION * values[-1]):
        wide, mix = W, mix.astype(xp.float32)
    if not has_more_rows:
        return (wide.T @ mix.T).T.astype(W.dtype, copy=False)
    columns = mix @ wide.T
    lengths = xp.sqrt(xp.square(columns).sum(axis=0, dtype=xp.float64))
    return (columns / lengths.astype(columns.dtype)).T.astype(W.dtype, copy=False)


def principal_axes(xp: ModuleType, C: Any) -> tuple[Any, Any]:
    """See `codebooks.ops.principal_axes`."""
    values, vectors = xp.linalg.eigh(C)
    values, axes = values[::-1], vectors.T[::-1]
    strongest = xp.take_along_axis(axes, xp.abs(axes).argmax(axis=1)[:, None], axis=1)
    return xp.ascontiguousarray(values), xp.ascontiguousarray(axes * xp.where(strongest < 0, -1, 1).astype(C.dtype))


def compute_log_lifts(
    xp: ModuleType, distributions: Any, mass: Any, columns: Any, *, floor: float, share: float, background: float
) -> Any:
    """See `codebooks.ops.compute_log_lifts`; computes all columns at once in float64."""
    n_features = distributions.shape[1]
    mass = mass.astype(xp.float64)
    counts = mass[:, None] * distributions[:, columns].astype(xp.float64)
    total, totals = mass.sum(), counts.sum(axis=0)
    prior, frequency = mass / total, xp.maximum(totals / total, xp.finfo(xp.float64).tiny)
    share = share * total / len(mass)
    table = xp.log(counts + floor + share * frequency)
    table -= xp.log(mass + floor * n_features + share)[:, None] + xp.log(frequency)
    parts = (counts + background * prior[:, None]) / (totals + background)
    least = xp.maximum(prior, xp.finfo(xp.float64).tiny)
    ratios = xp.where(parts > 0, parts / least[:, None], 1.0)
    entropy = -(prior * xp.log(least)).sum()
    gain = (parts * xp.log(ratios)).sum(axis=0).clip(0, None)
    saliency = xp.where(entropy > 0, xp.sqrt(gain / xp.where(entropy > 0, entropy, 1.0)), 1.0) * (totals > 0)
    table *= saliency
    dtype = distributions.dtype
    return table.astype(dtype), saliency.astype(dtype), totals.astype(dtype)


def _scale_to_moderate_size(xp: ModuleType, M: Any) -> Any:
    """Return `M` in float64, divided by its largest entry if its squares could overflow, as those of float32 cannot."""
    wide = M.astype(xp.float64)
    if M.dtype == xp.float32 or not wide.size:
        return wide
    peak = xp.abs(wide).max()
    return wide / xp.where(peak > 0, peak, 1.0)


def find_sparse_fault(xp: ModuleType, X: Any) -> str | None:
    """See `codebooks.ops.find_sparse_fault`; for all formats except LIL and DOK."""
    if X.format == "coo":
        lengths = {len(X.row), len(X.col), len(X.data)}
        if len(lengths) > 1:
            return f"row, col and data have {len(X.row)}, {len(X.col)} and {len(X.data)} entries"
        return _find_range_fault("row number", X.row, X.shape[0]) or _find_range_fault(
            "column number", X.col, X.shape[1]
        )
    if X.format == "dia":
        if X.offsets.ndim != 1 or X.data.ndim != 2 or len(X.offsets) != len(X.data):
            return f"offsets of shape {X.offsets.shape} do not fit data of shape {X.data.shape}"
        if X.offsets.dtype.kind not in "iu" or len(xp.unique(X.offsets)) < len(X.offsets):
            return "its offsets are not distinct integers"
        return None
    if X.format not in ("csr", "csc", "bsr"):
        return None
    n_major, n_minor = X.shape if X.format != "csc" else X.shape[::-1]
    if X.format == "bsr":
        if X.data.ndim != 3 or 0 in X.data.shape[1:] or X.shape[0] % X.data.shape[1] or X.shape[1] % X.data.shape[2]:
            return f"its blocks have the shape {X.data.shape[1:]}"
        n_major, n_minor = n_major // X.data.shape[1], n_minor // X.data.shape[2]
    elif X.data.ndim != 1:
        return f"its data has the shape {X.data.shape}"
    return _find_compressed_fault(xp, X, n_major, n_minor)


def _find_compressed_fault(xp: ModuleType, X: Any, n_major: int, n_minor: int) -> str | None:
    indptr, indices = X.indptr, X.indices
    if indptr.ndim != 1 or indices.ndim != 1 or indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        return (
            f"indptr and indices are {indptr.dtype} of shape {indptr.shape} and {indices.dtype} of shape "
            f"{indices.shape}, and must be one-dimensional arrays of integers"
        )
    if len(indptr) != n_major + 1:
        return f"indptr has {len(indptr)} entries instead of {n_major + 1}"
    if len(indices) != len(X.data):
        return f"there are {len(indices)} indices for {len(X.data)} values"
    first, last = int(indptr[0]), int(indptr[-1])
    if first != 0 or last > len(indices):
        return f"indptr runs from {first} to {last} instead of from 0 to at most {len(indices)}"
    if not bool((indptr[1:] >= indptr[:-1]).all()):
        return "indptr decreases"
    what = "row number" if X.format == "csc" else "column number"
    return _find_range_fault(what, indices[:last], n_minor)


def _find_range_fault(what: str, index: Any, n: int) -> str | None:
    if index.dtype.kind not in "iu":
        return f"{what}s are {index.dtype} instead of integers"
    if not len(index):
        return None
    lowest, highest = int(index.min()), int(index.max())
    if lowest >= 0 and highest < n:
        return None
    return f"the {what} {lowest if lowest < 0 else highest} lies outside 0 to {n - 1}"
