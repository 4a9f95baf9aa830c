"""How embeddings fill their space: in a narrow cone or evenly, and whether what belongs together lies together.

Each measure is one number of type float, so CuPy arrays are moved to the host and measured there.
"""

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

# Rows whose cosines with all others are held at once.
_BLOCK = 1024
# Variance that is smaller than this, relative to the size of the rows and squared, is an error of rounding.
_ROUNDING = 8 * np.finfo(np.float64).eps


def average_cosine(X: Any) -> float:
    """The mean cosine of two rows: how narrow the cone is in which embeddings lie (Ethayarajh 2019, "anisotropy").

    With u_i the n rows scaled to length 1, the mean over all pairs of different rows is ::

        (|sum_i u_i|^2 - sum_i |u_i|^2) / (n (n - 1)),

    so that no pair has to be looked at.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
        Embeddings. A zero row has cosine 0 with every other.

    Returns
    -------
    float
        About 0 where rows point everywhere, 1 where all point the same way; nan for one row.

    Raises
    ------
    ValueError
        X is empty, or holds NaN or infinity.

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
    r"""How evenly the variance of rows is spread over all directions (Rudman et al. 2022, IsoScore).

    Published as a rotation to principal axes, the distance of the variances, scaled to length sqrt(d), from all ones,
    and two changes of scale. These cancel: with C the covariance and d the number of features it is

        (t - 1) / (d - 1),    t = trace(C)^2 / trace(C^2),

    where t counts the directions that are in use. No eigenvalue has to be known, the mean does not matter and
    neither does the scale.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Embeddings, dense.

    Returns
    -------
    float
        0 where rows lie on a line, 1 where they vary alike in all directions, (k - 1) / (d - 1) where they vary alike
        in k of d directions; nan for one feature, and where rows do not vary. With n_samples rows it is at most
        (n_samples - 2) / (d - 1): compare samples of one size.

    Raises
    ------
    TypeError
        X is sparse.
    ValueError
        X is empty, or holds NaN or infinity.

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
    X = np.ldexp(X, -np.frexp(np.abs(X).max())[1])  # a power of two: no digit changes
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
    """Compute the alignment of rows that belong together: the mean of `|a_i - b_i|^alpha` (Wang & Isola 2020).

    Rows are scaled to length 1 before.

    Parameters
    ----------
    A, B : array of shape (n_pairs, n_features)
        Embeddings of the two sides; row i of one belongs to row i of the other.
    alpha : float, default=2
        Above zero; larger ones look more at the worst pairs.

    Returns
    -------
    float
        0 at best, 2^alpha at worst.

    Raises
    ------
    TypeError
        A or B is sparse.
    ValueError
        The shapes differ, alpha is not a finite number above zero, or the rows hold others.

    Examples
    --------
    >>> alignment([[1.0, 0.0], [0.0, 2.0]], [[3.0, 0.0], [0.0, -1.0]])
    2.0
    """
    _require_positive("alpha", alpha)
    A, B = _check_rows(A), _check_rows(B)
    if A.shape != B.shape:
        raise ValueError(
            f"alignment wants two arrays of one shape, row i of each a pair; {A.shape} and {B.shape} came. "
            f"Repeat a row that belongs to several."
        )
    blocks = gen_batches(len(A), _BLOCK)
    distances = [ops.row_norms(_normalize(A[rows]) - _normalize(B[rows])) for rows in blocks]
    return float((np.concatenate(distances) ** alpha).mean())


def uniformity(X: Any, t: float = 2.0, *, n_rows: int | None = 5000, random_state: Any = 0) -> float:
    """Compute the uniformity of directions: the log of the mean of `exp(-t |x_i - x_j|^2)` (Wang & Isola 2020).

    Rows are scaled to length 1 before; a pair has two different rows.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Embeddings, dense.
    t : float, default=2
        Above zero; larger ones look more at near neighbours.
    n_rows : int or None, default=5000
        Where there are more rows, so many are drawn and their pairs compared; None compares all.
    random_state : int, RandomState or None, default=0
        For the draw.

    Returns
    -------
    float
        Lower is more even: 0 where all rows point the same way, about -2t where they point everywhere in many
        dimensions; nan for one row.

    Raises
    ------
    TypeError
        X is sparse.
    ValueError
        t is not a finite number above zero, n_rows is out of range, or X is empty, or holds NaN or infinity.

    Examples
    --------
    >>> uniformity([[1.0, 0.0], [-2.0, 0.0]])
    -8.0
    """
    _require_positive("t", t)
    if n_rows is not None and n_rows < 2:
        raise ValueError(f"n_rows must be 2 or more, or None for all rows; {short_repr(n_rows)} came.")
    X = _check_rows(X)
    if n_rows is not None and len(X) > n_rows:
        X = X[np.sort(check_random_state(random_state).choice(len(X), n_rows, replace=False))]
    n_pairs = len(X) * (len(X) - 1)
    if not n_pairs:
        return float("nan")
    return float(logsumexp([logsumexp(block) for block in _iterate_repulsions(X, t)]) - np.log(n_pairs))


def _check_rows(X: Any, accept_sparse: Any = False) -> Any:
    return check_matrix("the measure", ops.to_host(X), accept_sparse=accept_sparse)


def _iterate_repulsions(X: NDArray, t: float) -> Iterator[NDArray[np.float64]]:
    """-t |x_i - x_j|^2 of all pairs, some rows after another; -inf for a row with itself."""
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
    """Rows times powers of two: their directions keep each digit, and no square overflows or underflows."""
    largest = abs(X).max(axis=1)
    exponent = np.frexp(largest.toarray().ravel() if sparse.issparse(X) else largest)[1]
    limit = np.finfo(X.dtype).maxexp - 24  # the largest power of two that the dtype has, with room to spare
    return ops.scale_rows(X, np.ldexp(X.dtype.type(1), -exponent.clip(-limit, limit)))


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be above zero and finite, for example 2; {short_repr(value)} came.")
