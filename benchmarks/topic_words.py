"""Quality of topic words on documents that did not choose them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from codebooks import metrics
from codebooks.interpret._labelling import choose_words_by_documents

N_WORDS = 10


def evaluate_words(
    labels: np.ndarray,
    X: Any,
    counts: Any,
    terms: Sequence[str] | np.ndarray,
    n_components: int,
    seed: int,
    words: Sequence[Sequence[Any]] | None = None,
    name: Callable[..., list[Any]] = choose_words_by_documents,
) -> dict[str, float]:
    """Choose topic words on a random half of the documents and compute TD and NPMI on both halves.

    Parameters
    ----------
    labels : int array of shape (n_documents,)
        The component of each document, -1 for none.
    X : sparse matrix of shape (n_documents, n_terms)
        The documents that the words are chosen from.
    counts : sparse matrix of shape (n_documents, n_terms)
        The counts of the same documents, for NPMI.
    terms : sequence of str, length n_terms
    n_components : int
    seed : int
        Seed of the random halves.
    words : sequence of (sequence of str, or of column indices), optional
        The words of each topic as the model gives them, evaluated instead of those chosen by documents.
    name : callable, default=choose_words_by_documents
        Another method that chooses words, called as `choose_words_by_documents`.

    Returns
    -------
    dict
        TD, NPMI same half, NPMI other half.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    same, other = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    if words is None:
        named = name(X[same], labels[same], n_components, N_WORDS)
        words = [[] if found is None else found.columns.tolist() for found in named]
    return {
        "TD": metrics.topic_diversity(words),
        "NPMI same half": metrics.npmi(words, counts[same], feature_names=terms),
        "NPMI other half": metrics.npmi(words, counts[other], feature_names=terms),
    }
