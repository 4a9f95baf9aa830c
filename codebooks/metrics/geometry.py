"""Geometry of embeddings: anisotropy, and distances of related rows. CuPy arrays are copied to the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logsumexp
from sklearn.utils import check_random_state, gen_batches

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.validation.arrays import check_matrix

# Number of rows whose cosines with all other rows are in memory at once.
_BLOCK = 1024
# A variance below the square of this, relative to the sum of squares, is a rounding error.
_ROUNDING = 8 * np.finfo(np.float64).eps


def average_cosine(X: Any) -> float:
    """Compute the mean cosine of two rows, a measure of the anisotropy of embeddings.

    With u_i the n rows scaled to length 1, the mean over all pairs of different rows is ::

        (|sum_i u_i|^2 - sum_i |u_i|^2) / (n (n - 1)),

    which needs no loop over pairs.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
        Embeddings. A zero row has cosine 0 with every other.

    Returns
    -------
    float
        About 0 if rows have all directions, 1 if all rows have the same direction; nan for one row.

    Raises
    ------
    ValueError
        `X` is empty, or contains NaN or infinity.

    See Also
    --------
    isoscore : The spread of the variance over directions, which does not depend on the mean.
    codebooks.PartialWhitening : Reduces the anisotropy.

    References
    ----------
    K. Ethayarajh, "How contextual are contextualized word representations?", EMNLP 2019.

    Examples
    --------
    >>> average_cosine([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    0.3333333333333333
    """
    X = _check_rows(X, accept_sparse="csr")
    n_rows = X.shape[0]
    total, squares = np.zeros(X.shape[1]), 0.0
    for rows in gen_batches(n_rows, _BLOCK):
        block = rescale_rows(X[rows])
        lengths = ops.row_norms(block).astype(np.float64)
        total += block.T @ ops.reciprocal(lengths)
        squares += np.count_nonzero(lengths)
    return float((total @ total - squares) / (n_rows * (n_rows - 1))) if n_rows > 1 else float("nan")


def isoscore(X: Any) -> float:
    r"""Compute how evenly the variance of the rows is spread over all directions (IsoScore).

    The published definition rotates to principal axes, takes the distance of the variances, scaled to length sqrt(d),
    from a vector of ones, and rescales it twice. With C the covariance and d the number of features this simplifies to

        (t - 1) / (d - 1),    t = trace(C)^2 / trace(C^2),

    with t the effective number of directions. It needs no eigenvalues, and does not depend on the mean and the scale.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Embeddings, dense.

    Returns
    -------
    float
        0 if rows lie on a line, 1 if the variance is equal in all directions, (k - 1) / (d - 1) if it is equal in k of
        d directions and 0 in the others; nan for one feature, and if rows do not vary. The largest possible value for
        n_samples rows is (n_samples - 2) / (d - 1): compare sets of equal size.

    Raises
    ------
    TypeError
        `X` is sparse.
    ValueError
        `X` is empty, or contains NaN or infinity.

    References
    ----------
    W. Rudman, N. Gillman, T. Rayne, C. Eickhoff, "IsoScore: measuring the uniformity of embedding space utilization",
    Findings of ACL 2022.

    Examples
    --------
    >>> disk = [[1.0, 0.0, 5.0], [-1.0, 0.0, 5.0], [0.0, 1.0, 5.0], [0.0, -1.0, 5.0]]
    >>> round(isoscore(disk), 6)
    0.5
    """
    X = _check_rows(X).astype(np.float64)
    X = np.ldexp(X, -np.frexp(np.abs(X).max())[1])  # scaling by a power of two is exact
    n_features, rounding = X.shape[1], np.vdot(X, X) * _ROUNDING**2
    X = X - X.mean(axis=0)
    # X'X and XX' have the same eigenvalues above zero.
    gram = X.T @ X if n_features <= len(X) else X @ X.T
    variance = np.trace(gram)
    if n_features == 1 or variance <= rounding:
        return float("nan")
    gram /= variance
    return float(np.clip((1 / np.vdot(gram, gram) - 1) / (n_features - 1), 0.0, 1.0))


def alignment(A: Any, B: Any, alpha: float = 2.0) -> float:
    """Compute the mean of `d^alpha` over distances d of related rows (lower is better).

    Rows are scaled to length 1 first.

    Parameters
    ----------
    A, B : array of shape (n_pairs, n_features)
        Embeddings. Row i of `A` and row i of `B` are a pair.
    alpha : float, default=2
        Above 0. Larger values emphasise the most distant pairs.

    Returns
    -------
    float
        From 0 (equal directions) to 2^alpha.

    Raises
    ------
    TypeError
        `A` or `B` is sparse.
    ValueError
        The shapes differ, `alpha` is not a finite number above 0, or a row contains NaN or infinity.

    See Also
    --------
    uniformity : The other of the two; a good embedding is low in both.

    References
    ----------
    T. Wang, P. Isola, "Understanding contrastive representation learning through alignment and uniformity on the
    hypersphere", ICML 2020.

    Examples
    --------
    >>> alignment([[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [0.0, -1.0]])
    2.0
    """
    _require_positive("alpha", alpha)
    A, B = _check_rows(A), _check_rows(B)
    if A.shape != B.shape:
        raise ValueError(
            f"`A` and `B` must have the same shape, row i of each a pair, got {A.shape} and {B.shape}. Repeat a row "
            f"that belongs to several pairs."
        )
    blocks = gen_batches(len(A), _BLOCK)
    distances = [ops.row_norms(_normalize(A[rows]) - _normalize(B[rows])) for rows in blocks]
    return float((np.concatenate(distances) ** alpha).mean())


def uniformity(X: Any, t: float = 2.0, *, n_rows: int | None = 5000, random_state: Any = 0) -> float:
    """Compute the log of the mean of `exp(-t d^2)` over distances d of rows (lower is more uniform on the sphere).

    Rows are scaled to length 1 first. A pair consists of two different rows.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Embeddings, dense.
    t : float, default=2
        Above 0. Larger values emphasise near neighbours.
    n_rows : int or None, default=5000
        Number of rows to draw at random if there are more; None uses all rows. Time and memory grow with its square.
    random_state : int, RandomState or None, default=0
        Seed of the random draw.

    Returns
    -------
    float
        0 if all rows have the same direction, about -2t for all directions in many dimensions; nan for one row.

    Raises
    ------
    TypeError
        `X` is sparse.
    ValueError
        `t` is not a finite number above 0, `n_rows` is out of range, or `X` is empty, or contains NaN or infinity.

    See Also
    --------
    alignment : Distance of related rows, with the reference.

    Examples
    --------
    >>> uniformity([[1.0, 0.0], [-2.0, 0.0]])
    -8.0
    """
    _require_positive("t", t)
    if n_rows is not None and n_rows < 2:
        raise ValueError(f"`n_rows` must be an integer >= 2 or None, got {short_repr(n_rows)}. Use None for all rows.")
    X = _check_rows(X)
    if n_rows is not None and len(X) > n_rows:
        X = X[np.sort(check_random_state(random_state).choice(len(X), n_rows, replace=False))]
    n_pairs = len(X) * (len(X) - 1)
    if not n_pairs:
        return float("nan")
    return float(logsumexp([logsumexp(block) for block in _iterate_exponents(X, t)]) - np.log(n_pairs))


def _check_rows(X: Any, accept_sparse: Any = False) -> Any:
    return check_matrix("The metric", ops.to_host(X), accept_sparse=accept_sparse)


def _iterate_exponents(X: NDArray, t: float) -> Iterator[NDArray[np.float64]]:
    """Yield -t |x_i - x_j|^2 for blocks of rows i and all rows j; -inf for i = j."""
    X = _normalize(X)
    squares = np.einsum("ij,ij->i", X, X)  # 1, but 0 for a zero row
    for rows in gen_batches(len(X), _BLOCK):
        distances = (squares[rows, None] + squares - 2 * X[rows] @ X.T).clip(0)
        distances[np.arange(len(distances)), np.arange(len(X))[rows]] = np.inf
        yield -t * distances


def _normalize(X: NDArray) -> NDArray[np.float64]:
    X = rescale_rows(X.astype(np.float64))
    return X * ops.reciprocal(ops.row_norms(X))[:, None]


def rescale_rows(X: Any) -> Any:
    """Multiply rows by powers of two, which is exact, so that no square overflows or underflows."""
    largest = abs(X).max(axis=1)
    exponent = np.frexp(largest.toarray().ravel() if sparse.issparse(X) else largest)[1]
    limit = np.finfo(X.dtype).maxexp - 24  # safely below the largest power of two of the dtype
    return ops.scale_rows(X, np.ldexp(X.dtype.type(1), -exponent.clip(-limit, limit)))


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise ValueError(f"`{name}` must be a finite number > 0, got {short_repr(value)}. The default is 2.")
