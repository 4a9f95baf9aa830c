"""Validation of labels and codes of documents that the user passes to the functions of this package."""

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
    """Return codes dense, on the host, and oriented so that larger is stronger for every learner."""
    codes = ops.to_host(codes)
    codes = codes.toarray() if sparse.issparse(codes) else np.asarray(codes)
    # `transform` of KMeans returns distances.
    return -codes if hasattr(learner, "cluster_centers_") else codes


def check_given_codes(learner: Any, codes: Any, n_components: int, n_rows: int | None = None) -> NDArray[Any]:
    """Check codes that the user passes, and return them oriented so that larger is stronger.

    Parameters
    ----------
    learner : fitted estimator
        The model that computed them.
    codes : array or sparse matrix of shape (n_documents, n_components)
        As `transform` returns them.
    n_components : int
    n_rows : int, optional
        The number of documents, if known.

    Returns
    -------
    ndarray of shape (n_documents, n_components)

    Raises
    ------
    ValueError
        The codes have another shape or another number of documents, or are not finite.

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
            f"`codes` must have a column for each of the {n_components} components, got shape {strength.shape}. Pass "
            "model.transform(documents)."
        )
    _require_same_length(len(strength), n_rows)
    if strength.dtype.kind not in "iufb" or not np.isfinite(strength).all():
        raise ValueError("`codes` must be finite numbers, got others. Pass model.transform(documents).")
    return strength


def check_given_labels(learner: Any, labels: Any, n_components: int, n_rows: int | None = None) -> Ints:
    """Return the component of each document, -1 for none, from labels or codes that the user passes.

    Parameters
    ----------
    learner : fitted estimator
        The model that computed them.
    labels : int array of shape (n_documents,), or array or sparse matrix of shape (n_documents, n_components)
        Labels as `predict` returns them, or codes as `transform` returns them: see `select_winners`.
    n_components : int
    n_rows : int, optional
        The number of documents, if known.

    Returns
    -------
    int array of shape (n_documents,)

    Raises
    ------
    ValueError
        Labels are not integers, not components of the model or not one for each document, or codes are invalid as for
        `check_given_codes`.

    Examples
    --------
    >>> check_given_labels(None, [[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]], n_components=2).tolist()
    [1, 0, -1]
    """
    if np.ndim(labels) != 1:  # 2, or 0 for a sparse matrix
        return select_winners(learner, check_given_codes(learner, labels, n_components, n_rows))
    labels = np.asarray(ops.to_host(labels))
    _require_same_length(len(labels), n_rows)
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be integers, got {labels.dtype}. Pass model.predict(documents), or codes with a column "
            "for each component."
        )
    if len(labels) and (labels.min() < -1 or labels.max() >= n_components):
        outside = labels[(labels < -1) | (labels >= n_components)][0]
        raise ValueError(
            f"`labels` must be components from 0 to {n_components - 1}, or -1 for none, got {outside}. Pass the "
            "labels of this model."
        )
    return labels.astype(np.intp)


def select_winners(learner: Any, strength: NDArray[Any]) -> Ints:
    """Return the component with the largest code of each document, -1 for none.

    Parameters
    ----------
    learner : fitted estimator
        The model that computed the codes.
    strength : array of shape (n_documents, n_components)
        As `orient_codes` returns it. The component with the largest code is selected, or the largest magnitude if the
        learner is `signed`. A row with equal codes, such as an empty one, has no component.

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
    is_constant = strength.max(axis=1) == (strength.min(axis=1) if strength.shape[1] > 1 else 0)
    return np.where(is_constant, -1, strength.argmax(axis=1))


def _require_same_length(n_codes: int, n_rows: int | None) -> None:
    if n_rows is not None and n_codes != n_rows:
        raise ValueError(
            f"`X` and its labels or codes must have a row for each document, got {n_rows} and {n_codes} rows. Make "
            "both from the same list of documents."
        )
