"""Suggestion of rows whose topics resemble those of liked rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.preprocessing import normalize

from codebooks import ops
from codebooks.interpret.document_ranking import Ranking, find_non_empty_rows, rank_rows
from codebooks.validation.arrays import check_count, check_matrix

__all__ = ["suggest"]

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

# Number of rows that are compared at once with the liked ones.
_BLOCK = 8192
# Weight of disliked rows. A suggested row shares most of its topics with the liked rows, so a larger weight would
# remove these as well.
_DISLIKE = 0.1


def suggest(codes: Any, liked: ArrayLike, *, n_suggestions: int = 10, disliked: ArrayLike = ()) -> Ranking:
    """Suggest rows whose topics resemble those of liked rows.

    With cos_ij the cosine between the codes of rows i and j, row i scores

        like_i = (mean over liked j of cos_ij + max over liked j of cos_ij) / 2,

    so it shares topics with all of them, and most with one. A tenth of the same quantity for disliked rows is
    subtracted. A suggested row that is then disliked shares most topics with the liked rows, so a larger part would
    remove these as well.

    Parameters
    ----------
    codes : array or sparse matrix of shape (n_rows, n_components)
        As `transform` returns them, of any sign; a sparse matrix is not converted to dense. For KMeans, whose
        `transform` returns distances, pass the negative distances.
    liked : int array, or bool array of shape (n_rows,)
        Row indices, or a mask. One index is enough, and a repeated one counts once. A liked row of zeros is ignored.
    n_suggestions : int, default=10
        The largest number of rows.
    disliked : int array, or bool array of shape (n_rows,), default=()
        Rows that the suggestions should not resemble.

    Returns
    -------
    Ranking
        Rows and scores; fewer if there are no more rows. Liked rows, disliked rows and rows of zeros are left out.

    Raises
    ------
    ValueError
        No row is liked, all liked rows are zeros, a row is both liked and disliked, a row index is outside of 0 to
        n_rows - 1, a mask has another length, `n_suggestions` is below 1, or a code is not a finite number.
    TypeError
        Row indices are not integers.

    See Also
    --------
    rank_documents : Documents for a topic or a query.

    Examples
    --------
    >>> codes = [[1.0, 0.0], [0.9, 0.1], [0.0, 2.0], [3.0, 1.0], [0.0, 0.0]]
    >>> suggest(codes, liked=[0], n_suggestions=2).rows.tolist()
    [1, 3]
    """
    check_count("n_suggestions", n_suggestions)
    codes = check_matrix("suggest", ops.to_host(codes))
    n_rows = codes.shape[0]
    good, bad = _check_row_numbers("liked", liked, n_rows), _check_row_numbers("disliked", disliked, n_rows)
    both = np.intersect1d(good, bad)
    if both.size:
        raise ValueError(f"A row must be liked or disliked, not both, got row {both[0]} in both. Remove it from one.")
    is_candidate = find_non_empty_rows(codes)
    if not is_candidate[good].any():
        raise ValueError(
            f"`liked` must have at least one row whose code is not all zeros, got {len(good)} rows without one. Choose "
            "another row."
        )
    affinity = _compute_affinity(codes, good[is_candidate[good]])
    scores = affinity - _DISLIKE * _compute_affinity(codes, bad[is_candidate[bad]])
    is_candidate[good] = is_candidate[bad] = False
    return rank_rows(scores.astype(codes.dtype), is_candidate, n_suggestions)


def _compute_affinity(codes: Any, rows: Ints) -> Floats:
    """Return the mean of the mean and the largest cosine of each row with `rows`; zeros without any."""
    if not len(rows):
        return np.zeros(codes.shape[0])
    selected = normalize(codes[rows].astype(np.float64))
    selected = selected.toarray() if sparse.issparse(selected) else selected
    affinity = []
    for start in range(0, codes.shape[0], _BLOCK):
        cosines = normalize(codes[start : start + _BLOCK].astype(np.float64)) @ selected.T
        affinity.append((cosines.mean(axis=1) + cosines.max(axis=1)) / 2)
    # Rounded, so that equal rows are ties, and dense and sparse codes give the same order.
    return np.round(np.concatenate(affinity), 12)


def _check_row_numbers(name: str, rows: Any, n_rows: int) -> Ints:
    """Return the distinct row indices of a list or a mask, ascending."""
    rows = np.atleast_1d(np.asarray(ops.to_host(rows)))
    if rows.size == 0:
        return np.array([], dtype=np.intp)
    if rows.dtype == bool:
        if rows.shape != (n_rows,):
            raise ValueError(
                f"`{name}` as a mask must have one entry for each of the {n_rows} rows, got shape {rows.shape}. Pass "
                "a mask over the rows of `codes`."
            )
        return np.flatnonzero(rows)
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise TypeError(
            f"`{name}` must be row indices or a mask, got {rows.dtype} of shape {rows.shape}. Pass a list of int."
        )
    if rows.min() < 0 or rows.max() >= n_rows:
        outside = rows[(rows < 0) | (rows >= n_rows)][0]
        raise ValueError(
            f"`{name}` must be row indices of `codes`, 0 to {n_rows - 1}, got {outside}. Pass indices of these rows."
        )
    return np.unique(rows).astype(np.intp)
