"""What a model says of documents, when it is handed over instead of computed: their labels, or their codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from codebooks import ops
from codebooks.validation.arrays import check_structure

__all__ = ["check_given_codes", "check_given_labels", "orient_codes", "select_winners"]

Ints = NDArray[np.intp]


def orient_codes(learner: Any, codes: Any) -> NDArray[Any]:
    """Codes as `transform` gives them, dense and on the host, turned so that more is stronger for every learner."""
    codes = ops.to_host(codes)
    codes = codes.toarray() if sparse.issparse(codes) else np.asarray(codes)
    # What the KMeans family calls transform is a distance: there the nearest unit is the smallest one.
    return -codes if hasattr(learner, "cluster_centers_") else codes


def check_given_codes(learner: Any, codes: Any, n_components: int, n_rows: int | None = None) -> NDArray[Any]:
    """The strength of each unit in each document, from codes that the user gives.

    Parameters
    ----------
    learner : fitted estimator
        What made them.
    codes : array or sparse matrix of shape (n_documents, n_components)
        As `transform` gives them.
    n_components : int
    n_rows : int, optional
        How many documents there are, where that is known.

    Returns
    -------
    ndarray of shape (n_documents, n_components)

    Raises
    ------
    ValueError
        Another shape, another number of documents, or values that are not finite.

    Examples
    --------
    >>> check_given_codes(None, [[0.0, 2.0], [1.0, 0.0]], n_components=2)
    array([[0., 2.],
           [1., 0.]])
    """
    check_structure("codes", codes)
    strength = orient_codes(learner, codes)
    if strength.ndim != 2 or strength.shape[1] != n_components:
        raise ValueError(
            f"codes wants a column for each of the {n_components} units; shape {strength.shape} came. "
            "Pass model.transform of these documents."
        )
    _require_same_length(len(strength), n_rows)
    if strength.dtype.kind not in "iufb" or not np.isfinite(strength).all():
        raise ValueError("codes wants finite numbers; others came. Pass model.transform of these documents.")
    return strength


def check_given_labels(learner: Any, codes: Any, n_components: int, n_rows: int | None = None) -> Ints:
    """The unit that wins each document, -1 for none, from labels or codes that the user gives.

    Parameters
    ----------
    learner : fitted estimator
        What made them.
    codes : int array of shape (n_documents,), or array or sparse matrix of shape (n_documents, n_components)
        Labels as `predict` gives them, or codes as `transform` does: see `select_winners`.
    n_components : int
    n_rows : int, optional
        How many documents there are, where that is known.

    Returns
    -------
    int array of shape (n_documents,)

    Raises
    ------
    ValueError
        Labels that are not integers or name no unit, another number of documents, and what `check_given_codes` refuses.

    Examples
    --------
    >>> check_given_labels(None, [[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]], n_components=2).tolist()
    [1, 0, -1]
    """
    if np.ndim(codes) != 1:  # of a sparse matrix it is 2, or 0
        return select_winners(learner, check_given_codes(learner, codes, n_components, n_rows))
    labels = np.asarray(ops.to_host(codes))
    _require_same_length(len(labels), n_rows)
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"codes in one row are labels, which are integers; {labels.dtype} came. Pass model.predict of these "
            "documents, or their codes with a column for each unit."
        )
    if len(labels) and (labels.min() < -1 or labels.max() >= n_components):
        outside = labels[(labels < -1) | (labels >= n_components)][0]
        raise ValueError(
            f"labels are units from 0 to {n_components - 1}, or -1 for none; {outside} came. Pass the labels that this "
            "model gives."
        )
    return labels.astype(np.intp)


def select_winners(learner: Any, strength: NDArray[Any]) -> Ints:
    """The unit that wins each document by its code, -1 for none.

    Parameters
    ----------
    learner : fitted estimator
        What made the codes.
    strength : array of shape (n_documents, n_components)
        As `orient_codes` gives it. The largest wins, the largest magnitude if the learner is `signed`; nothing wins
        where all units answer alike, as an empty row makes them.

    Returns
    -------
    int array of shape (n_documents,)

    Examples
    --------
    >>> import numpy as np
    >>> select_winners(None, np.array([[0.2, 0.8], [0.5, 0.5]])).tolist()
    [1, -1]
    """
    strength = np.abs(strength) if getattr(learner, "signed", False) else strength
    best = strength.max(axis=1)
    silent = best == (strength.min(axis=1) if strength.shape[1] > 1 else 0)
    return np.where(silent, -1, strength.argmax(axis=1))


def _require_same_length(n_codes: int, n_rows: int | None) -> None:
    if n_rows is not None and n_codes != n_rows:
        raise ValueError(
            f"codes and X speak of the same documents, a row for each; codes of {n_codes} and X of {n_rows} came. "
            "Make both from one list of texts."
        )
