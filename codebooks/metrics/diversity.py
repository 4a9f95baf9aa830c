"""Do units differ, and is each in use?"""

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
    """Share of distinct words among all that the topics list (Dieng et al. 2020), in (0, 1].

    Parameters
    ----------
    topics : sequence of topics
        Each a `Topic`, a sequence of words, or a sequence of column indices.

    Returns
    -------
    float
        1 where no word is listed twice, 1 / n_topics where all topics are the same; nan without any word.

    Examples
    --------
    >>> topic_diversity([["goal", "team"], ["team", "bank"]])
    0.75
    """
    listed = [word for words in list_words(topics) for word in words]
    return len(set(listed)) / len(listed) if listed else float("nan")


def redundancy(components: ArrayLike) -> float:
    """Compute the largest absolute cosine between two components.

    The sign is dropped since a signed unit and its mirror image say the same thing.

    Parameters
    ----------
    components : array of shape (n_components, n_features)
        The codebook. A zero row has cosine 0 with every other.

    Returns
    -------
    float
        0 for orthogonal units, and for a single one; 1 where a unit repeats another.

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
    return float(min(cosines.max(), 1.0))  # rounding may carry a repeated unit just above 1


def usage(labels: ArrayLike, n_components: int) -> NDArray[np.float64]:
    """Share of the rows that each unit wins.

    Parameters
    ----------
    labels : int array of shape (n_samples,)
        The winner of each row; rows labelled -1 were rejected and are not counted.
    n_components : int
        Number of units.

    Returns
    -------
    float64 array of shape (n_components,)
        Sums to 1, or to 0 where every row was rejected.

    Raises
    ------
    ValueError
        A label is n_components or more, labels are no integers in one row, or n_components is no whole number from 1.

    Examples
    --------
    >>> usage([0, 0, 2, -1, 2], 3).tolist()
    [0.5, 0.0, 0.5]
    """
    check_count("n_components", n_components)
    labels = np.asarray(ops.to_host(labels))
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise ValueError(
            f"labels must be integers, one for each row; {labels.dtype} of shape {labels.shape} came. Pass "
            "model.predict of the rows."
        )
    labels = labels.astype(np.intp)
    if labels.size and labels.max() >= n_components:
        raise ValueError(
            f"labels must lie below n_components={n_components}; {labels.max()} came. "
            "Pass the n_components of the model that made them."
        )
    count = count_wins(labels, n_components)
    return count / np.maximum(count.sum(), 1)
