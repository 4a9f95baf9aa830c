"""Similarity of topics by what distinguishes each from the mean of all topics."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.validation.arrays import check_matrix

__all__ = ["Metric", "check_sizes", "check_unit_rows", "compute_topic_similarity"]

Metric = Literal["auto", "words", "cosine"]
Floats = NDArray[np.float64]

_ROUNDING = 1e-6  # rows of length 1 that differ from the mean by less are equal to it


def compute_topic_similarity(
    components: ArrayLike, sizes: ArrayLike | None = None, *, metric: Metric = "auto"
) -> NDArray[np.float64]:
    r"""Compute the similarity of all pairs of topics by what distinguishes each from the mean of all topics.

    Words that are common in all topics do not make topics similar. With :math:`\theta_k` the word distribution of topic
    k, and :math:`p` the mean of all distributions, weighted by size, the similarity is the cosine of the directions

    .. math:: d_{kv} = \sqrt{\theta_{kv}} - \sqrt{p_v}.

    For centroids of embeddings the direction is the row, scaled to length 1, less the weighted mean of all such rows.

    Parameters
    ----------
    components : array of shape (n_topics, n_features)
        A row for each topic: its word distribution or word weights, such as `components_` of `MultinomialMixture`, or
        its centroid, which may have negative values.
    sizes : array of shape (n_topics,), optional
        Number of documents of each topic, or other weights >= 0; default: equal sizes.
    metric : {"auto", "words", "cosine"}, default="auto"
        "words" compares word distributions, "cosine" centroids. "auto" is "words" if no value is negative.

    Returns
    -------
    ndarray of shape (n_topics, n_topics)
        Symmetric, from -1 to 1: 1 on the diagonal and for equal topics, about 0 for unrelated ones. A topic that equals
        the mean has the similarity 0 with others that do not.

    Raises
    ------
    TypeError, ValueError
        `components` is not a matrix of finite numbers, or has negative values although `metric="words"`; `sizes` are
        not one for each topic, negative or not finite; or `metric` is unknown.

    See Also
    --------
    build_hierarchy : Merge similar topics.
    codebooks.plots.plot_similarity : Plot the matrix.

    Examples
    --------
    The columns are the words goal, match, loan, bank, and "said", which is common in all topics.

    >>> from codebooks.interpret import compute_topic_similarity
    >>> compute_topic_similarity([[3, 1, 0, 0, 6], [1, 3, 0, 0, 6], [0, 0, 2, 2, 6]]).round(2)
    array([[ 1.  ,  0.68, -0.61],
           [ 0.68,  1.  , -0.61],
           [-0.61, -0.61,  1.  ]])
    """
    rows, are_words = check_unit_rows("compute_topic_similarity", components, metric)
    shares = np.ones(len(rows)) if sizes is None else check_sizes(sizes, len(rows))
    shares = shares / shares.max() if shares.any() else np.ones(len(rows))  # the sum of large sizes may overflow
    shares /= shares.sum()
    rows -= np.sqrt(shares @ rows**2) if are_words else shares @ rows
    lengths = np.linalg.norm(rows, axis=1)
    is_mean = lengths < _ROUNDING
    rows = _scale_rows(rows, np.where(is_mean, 0, lengths))
    similarity = (rows @ rows.T).clip(-1, 1)
    similarity = (similarity + similarity.T) / 2
    similarity[np.ix_(is_mean, is_mean)] = 1
    np.fill_diagonal(similarity, 1)
    return similarity


def check_unit_rows(function: str, components: Any, metric: str) -> tuple[Floats, bool]:
    """Validate components and scale them to length 1; of word weights, scale the square roots.

    Returns
    -------
    rows : ndarray of shape (n_topics, n_features)
        A new array. Rows without a value other than 0 are equal to the mean of the others.
    are_words : bool
    """
    if metric not in ("auto", "words", "cosine"):
        raise ValueError(f"`metric` must be 'auto', 'words' or 'cosine', got {short_repr(metric)}.")
    matrix = check_matrix(function, components, "Pass the numbers of a fitted model, such as components_.")
    matrix = np.asarray(ops.to_host(matrix.toarray() if ops.is_sparse(matrix) else matrix), dtype=np.float64)
    is_signed = bool((matrix < 0).any())
    if metric == "words" and is_signed:
        raise ValueError(
            f"`components` must be >= 0 with metric='words', got {matrix.min():g}. Use metric='cosine' for centroids."
        )
    are_words = metric == "words" or (metric == "auto" and not is_signed)
    rows = _scale_rows(matrix, np.abs(matrix).max(axis=1))  # squares and sums may overflow
    rows = np.sqrt(rows) if are_words else rows
    rows = _scale_rows(rows, np.linalg.norm(rows, axis=1))
    is_empty = ~rows.any(axis=1)
    if is_empty.any() and not is_empty.all():
        others = rows[~is_empty]
        rows[is_empty] = np.sqrt((others**2).mean(axis=0)) if are_words else others.mean(axis=0)
    return rows, are_words


def check_sizes(sizes: Any, n_topics: int) -> Floats:
    """Return a new array of sizes, or raise a ValueError if they are not one for each topic, finite and >= 0."""
    try:
        checked = np.array(ops.to_host(sizes), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`sizes` must be a number for each topic, got {short_repr(sizes)}.") from error
    if checked.shape != (n_topics,):
        raise ValueError(f"`sizes` must have one number for each of the {n_topics} topics, got shape {checked.shape}.")
    if not (np.isfinite(checked) & (checked >= 0)).all():
        raise ValueError(f"`sizes` must be finite and >= 0, got {short_repr(checked.tolist())}. Use document counts.")
    return checked


def _scale_rows(rows: Floats, divisors: Floats) -> Floats:
    """Divide each row; rows whose divisor is 0 become 0."""
    return np.divide(rows, divisors[:, None], out=np.zeros_like(rows), where=divisors[:, None] > 0)
