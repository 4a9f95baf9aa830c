"""Agreement of cluster labels with known classes."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.utils.validation import check_consistent_length

from codebooks.validation.arrays import check_labels


class Agreement(NamedTuple):
    """Agreement of cluster labels with known classes: NMI, ARI and purity."""

    nmi: float  # normalised mutual information (arithmetic mean), 0 to 1
    ari: float  # adjusted Rand index, about 0 for random labels, at most 1
    purity: float  # share of samples in the most frequent class of their cluster, up to 1


def agreement(y: ArrayLike, labels: ArrayLike) -> Agreement:
    """Compare cluster labels with known classes by NMI, ARI and purity.

    Samples labelled -1 form one cluster, so that rejected samples still count.

    Parameters
    ----------
    y : array of shape (n_samples,)
        The known classes.
    labels : int array of shape (n_samples,)
        The cluster label of each sample.

    Returns
    -------
    Agreement
        (nmi, ari, purity). All decrease if clusters mix classes. If clusters split classes, purity does not decrease.

    Raises
    ------
    TypeError
        The labels of `y` or of `labels` are of several types, numbers and strings.
    ValueError
        `y` and `labels` differ in length, are empty or not one-dimensional, or a label is missing (None, NaN).

    See Also
    --------
    purity : The third of them alone.

    Examples
    --------
    >>> agreement(["a", "a", "b", "b"], [1, 1, 0, 0])
    Agreement(nmi=1.0, ari=1.0, purity=1.0)
    """
    y, labels = _check_one_dimension("y", y), _check_one_dimension("labels", labels)
    pure = purity(y, labels)  # first, because it raises the errors
    return Agreement(float(normalized_mutual_info_score(y, labels)), float(adjusted_rand_score(y, labels)), pure)


def purity(y: ArrayLike, labels: ArrayLike) -> float:
    """Compute the share of samples that belong to the most frequent class of their cluster.

        sum over clusters j of (max over classes i of n_ij) / n_samples

    Purity increases with the number of clusters, up to 1 for one sample in each: compare it at equal numbers only.
    Samples labelled -1 form one cluster.

    Parameters
    ----------
    y : array of shape (n_samples,)
        The known classes.
    labels : int array of shape (n_samples,)
        The cluster label of each sample.

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    TypeError
        The labels of `y` or of `labels` are of several types, numbers and strings.
    ValueError
        `y` and `labels` differ in length, are empty or not one-dimensional, or a label is missing (None, NaN).

    References
    ----------
    C. D. Manning, P. Raghavan, H. Schütze, "Introduction to information retrieval", 2008, chapter 16.

    Examples
    --------
    >>> purity(["a", "a", "b", "b"], [0, 0, 0, 1])
    0.75
    """
    y, labels = _check_one_dimension("y", y), _check_one_dimension("labels", labels)
    check_consistent_length(y, labels)
    if not len(y):
        raise ValueError("`y` must have at least one label, got none. Check the previous step.")
    return float(contingency_matrix(y, labels).max(axis=0).sum() / len(y))


def _check_one_dimension(name: str, labels: Any) -> NDArray[Any]:
    labels = check_labels(name, labels)
    if labels.ndim != 1:
        raise ValueError(
            f"`{name}` must have one label for each row, got an array of shape {labels.shape}. Use model.predict, not "
            f"model.transform."
        )
    return labels
