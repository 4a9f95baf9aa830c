"""Do clusters agree with known classes?"""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.utils.validation import check_consistent_length

from codebooks.validation.arrays import check_labels


class Agreement(NamedTuple):
    """How well a labelling agrees with known classes."""

    nmi: float  # normalised mutual information (arithmetic mean), 0 to 1
    ari: float  # adjusted Rand index: 0 where chance does as well, 1 at best
    purity: float  # share of rows in the commonest class of their cluster, up to 1


def agreement(y: ArrayLike, labels: ArrayLike) -> Agreement:
    """Compare cluster labels with known classes in three ways at once.

    Rows labelled -1 are one cluster of their own: whoever rejects a row still answers for it.

    Parameters
    ----------
    y : array of shape (n_samples,)
        The known classes.
    labels : int array of shape (n_samples,)
        The winner of each row.

    Returns
    -------
    Agreement
        (nmi, ari, purity). All fall where clusters mix classes; where they split them, purity does not.

    Raises
    ------
    TypeError
        The labels of one side are of several kinds, numbers and strings.
    ValueError
        The two differ in length, are empty or no single rows, or a label is missing (None, NaN).

    Examples
    --------
    >>> agreement(["a", "a", "b", "b"], [1, 1, 0, 0])
    Agreement(nmi=1.0, ari=1.0, purity=1.0)
    """
    y, labels = _check_one_dimension("y", y), _check_one_dimension("labels", labels)
    share = purity(y, labels)
    return Agreement(float(normalized_mutual_info_score(y, labels)), float(adjusted_rand_score(y, labels)), share)


def purity(y: ArrayLike, labels: ArrayLike) -> float:
    """Share of rows that belong to the commonest class of their cluster (Manning et al. 2008, ch. 16).

        sum over clusters j of (max over classes i of n_ij) / n_samples

    It rises with the number of clusters, up to 1 for one row each: compare it at equal numbers only. Rows
    labelled -1 are one cluster of their own.

    Parameters
    ----------
    y : array of shape (n_samples,)
        The known classes.
    labels : int array of shape (n_samples,)
        The winner of each row.

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    TypeError
        The labels of one side are of several kinds, numbers and strings.
    ValueError
        The two differ in length, are empty or no single rows, or a label is missing (None, NaN).

    Examples
    --------
    >>> purity(["a", "a", "b", "b"], [0, 0, 0, 1])
    0.75
    """
    y, labels = _check_one_dimension("y", y), _check_one_dimension("labels", labels)
    check_consistent_length(y, labels)
    if not len(y):
        raise ValueError("at least one labelled row is wanted; none came.")
    return float(contingency_matrix(y, labels).max(axis=0).sum() / len(y))


def _check_one_dimension(name: str, labels: Any) -> NDArray[Any]:
    labels = check_labels(name, labels)
    if labels.ndim != 1:
        raise ValueError(
            f"{name} wants one label for each row, and an array of shape {labels.shape} came. Of codes take "
            "model.predict."
        )
    return labels
