"""Rows that share their concepts with rows that are liked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.preprocessing import normalize

from codebooks import ops
from codebooks.interpret.document_ranking import Ranking, find_filled_rows, rank_rows
from codebooks.validation.arrays import check_count, check_matrix

__all__ = ["suggest"]

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

# How many rows are compared at once with those liked.
_BLOCK = 8192
# What a disliked row takes off, for one that is liked. A row that was suggested shares most of its concepts with those
# liked, so a large share would take these away too.
_DISLIKE = 0.1


def suggest(codes: Any, liked: ArrayLike, n: int = 10, *, disliked: ArrayLike = ()) -> Ranking:
    """Suggest rows that share their concepts with the rows that are liked.

    With cos_ij the cosine between the codes of rows i and j, row i scores

        like_i = (mean over liked j of cos_ij + max over liked j of cos_ij) / 2,

    so that it shares concepts with all of them, and most with one. Where rows are disliked, a tenth of the same
    for them is taken off. A row that was suggested and is disliked shares most concepts with
    those liked: with more than that, they would go too.

    Parameters
    ----------
    codes : array or sparse matrix of shape (n_rows, n_components)
        As `transform` gives them, of any sign; a sparse one stays sparse. Of a KMeans, whose `transform` gives
        distances, pass minus that.
    liked : int array, or bool array of shape (n_rows,)
        Row numbers, or a mask. One number alone will do, and a repeated one counts once. A liked row of zeros
        says nothing.
    n : int, default=10
        At most so many rows.
    disliked : int array, or bool array of shape (n_rows,), default=()
        Rows to keep away from.

    Returns
    -------
    Ranking
        (rows, scores): fewer than n where there are no more. Liked rows, disliked rows and rows of zeros are
        left out.

    Raises
    ------
    ValueError
        No row is liked, all liked rows are zeros, a row is both liked and disliked, a row number lies
        outside 0 to n_rows - 1, a mask has another length, or n < 1; codes that are not finite numbers.
    TypeError
        Row numbers that are not integers.

    Examples
    --------
    >>> codes = [[1.0, 0.0], [0.9, 0.1], [0.0, 2.0], [3.0, 1.0], [0.0, 0.0]]
    >>> suggest(codes, liked=[0], n=2).rows.tolist()
    [1, 3]
    """
    check_count("n", n)
    codes = check_matrix("suggest", ops.to_host(codes))
    n_rows = codes.shape[0]
    good, bad = _check_row_numbers("liked", liked, n_rows), _check_row_numbers("disliked", disliked, n_rows)
    both = np.intersect1d(good, bad)
    if both.size:
        raise ValueError(f"a row is liked or disliked, not both; row {both[0]} came as both. Take it out of one.")
    wanted = find_filled_rows(codes)
    if not wanted[good].any():
        raise ValueError(
            f"at least one liked row with a code that is not all zeros is wanted; {len(good)} rows came, and none "
            "has one. Like another row."
        )
    scores = _compute_affinity(codes, good[wanted[good]]) - _DISLIKE * _compute_affinity(codes, bad[wanted[bad]])
    wanted[good] = wanted[bad] = False
    return rank_rows(scores.astype(codes.dtype), wanted, n)


def _compute_affinity(codes: Any, rows: Ints) -> Floats:
    """Mean of the mean and the largest cosine of each row with those of `rows`, zeros where there are none."""
    if not len(rows):
        return np.zeros(codes.shape[0])
    asked = normalize(codes[rows].astype(np.float64))
    asked = asked.toarray() if sparse.issparse(asked) else asked
    likeness = []
    for start in range(0, codes.shape[0], _BLOCK):
        cosines = normalize(codes[start : start + _BLOCK].astype(np.float64)) @ asked.T
        likeness.append((cosines.mean(axis=1) + cosines.max(axis=1)) / 2)
    # Rounding is not to decide between equal rows, nor between dense and sparse.
    return np.round(np.concatenate(likeness), 12)


def _check_row_numbers(name: str, rows: Any, n_rows: int) -> Ints:
    """Return the distinct row numbers that a list or a mask stands for, rising."""
    rows = np.atleast_1d(np.asarray(ops.to_host(rows)))
    if rows.size == 0:
        return np.array([], dtype=np.intp)
    if rows.dtype == bool:
        if rows.shape != (n_rows,):
            raise ValueError(
                f"{name} as a mask wants one entry for each of the {n_rows} rows; shape {rows.shape} came."
            )
        return np.flatnonzero(rows)
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise TypeError(
            f"{name} wants row numbers or a mask; {rows.dtype} of shape {rows.shape} came. Give a list of int."
        )
    if rows.min() < 0 or rows.max() >= n_rows:
        outside = rows[(rows < 0) | (rows >= n_rows)][0]
        raise ValueError(f"{name} wants rows from 0 to {n_rows - 1}, as codes has them; {outside} came.")
    return np.unique(rows).astype(np.intp)
