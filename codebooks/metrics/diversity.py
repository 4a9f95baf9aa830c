"""Diversity of topics, redundancy of components, and their share of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codebooks import ops
from codebooks.interpret.model_access import count_wins
from codebooks.metrics.coherence import list_words
from codebooks.metrics.geometry import rescale_rows
from codebooks.validation.arrays import check_count, check_matrix


def topic_diversity(topics: Sequence[Any]) -> float:
    """Compute the share of distinct words among all words of the topics, in (0, 1].

    Parameters
    ----------
    topics : sequence of topics
        Each a `Topic`, a sequence of words, or a sequence of column indices.

    Returns
    -------
    float
        1 if no word occurs twice, 1 / n_topics if all topics have the same words; nan without words.

    References
    ----------
    A. B. Dieng, F. J. R. Ruiz, D. M. Blei, "Topic modeling in embedding spaces", TACL 2020.

    Examples
    --------
    >>> topic_diversity([["goal", "team"], ["team", "bank"]])
    0.75
    """
    listed = [word for words in list_words(topics) for word in words]
    return len(set(listed)) / len(listed) if listed else float("nan")


def redundancy(components: ArrayLike) -> float:
    """Compute the similarity of the two most similar components: the largest absolute cosine of two rows.

    The sign is ignored, because a component and its negative describe the same direction.

    Parameters
    ----------
    components : array of shape (n_components, n_features)
        The `components_` of a model. A zero row has cosine 0 with every other.

    Returns
    -------
    float
        0 for orthogonal components and for a single one; 1 if a component repeats another.

    Examples
    --------
    >>> redundancy([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    1.0
    """
    W = check_matrix("redundancy", ops.to_host(components), accept_sparse=False).astype(np.float64)
    W = rescale_rows(W)
    norms = np.linalg.norm(W, axis=1, keepdims=True)
    W = W / np.where(norms > 0, norms, 1.0)
    cosines = np.abs(W @ W.T)
    np.fill_diagonal(cosines, 0.0)
    return float(min(cosines.max(), 1.0))  # rounding may give a repeated row slightly more than 1


def usage(labels: ArrayLike, n_components: int) -> NDArray[np.float64]:
    """Compute the share of samples that are assigned to each component.

    Parameters
    ----------
    labels : int array of shape (n_samples,)
        The component of each sample. Samples labelled -1 are not counted.
    n_components : int
        Number of components.

    Returns
    -------
    float64 array of shape (n_components,)
        Sums to 1, or to 0 if all labels are -1.

    Raises
    ------
    ValueError
        A label is `n_components` or more, `labels` is not a one-dimensional array of integers, or `n_components` is not
        an integer >= 1.

    Examples
    --------
    >>> usage([0, 0, 2, -1, 2], 3).tolist()
    [0.5, 0.0, 0.5]
    """
    check_count("n_components", n_components)
    labels = np.asarray(ops.to_host(labels))
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise ValueError(
            f"`labels` must be integers, one for each row, got {labels.dtype} of shape {labels.shape}. Use "
            f"model.predict."
        )
    labels = labels.astype(np.intp)
    if labels.size and labels.max() >= n_components:
        raise ValueError(
            f"`labels` must be less than n_components={n_components}, got {labels.max()}. Use the number of components "
            f"of the model that made them."
        )
    count = count_wins(labels, n_components)
    return count / np.maximum(count.sum(), 1)
