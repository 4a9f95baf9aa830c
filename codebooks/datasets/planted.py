"""`make_planted_corpus`: word counts drawn from known topics, to test whether a model finds them."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np
from scipy import sparse

from codebooks.errors import short_repr, shorten_errors

__all__ = ["PlantedCorpus", "make_planted_corpus"]


class PlantedCorpus(NamedTuple):
    """Word counts drawn from known topics.

    Attributes
    ----------
    X : csr_matrix of shape (n_documents, n_terms), float32
        Word counts.
    labels : ndarray of shape (n_documents,), int64
        The topic that each document was drawn from.
    terms : list of str
        A name for each column of `X`.
    topics : ndarray of shape (n_topics, n_terms), float64
        The word distribution of each topic; rows sum to 1.
    """

    X: sparse.csr_matrix
    labels: np.ndarray
    terms: list[str]
    topics: np.ndarray


def make_planted_corpus(
    n_documents: int = 600,
    n_topics: int = 10,
    *,
    words_per_topic: int = 30,
    n_background: int = 50,
    length: int = 40,
    purity: float = 0.7,
    balance: float = 1.0,
    random_state: int | np.random.Generator | None = 0,
) -> PlantedCorpus:
    """Draw a corpus of word counts from known topics, to test whether a model finds them.

    Each topic has its own words, and all topics share the background words; the frequency of both decreases with the
    rank (Zipf). A document has one topic and a Poisson number of words. With the default parameters topics are well
    separated.

    Parameters
    ----------
    n_documents, n_topics : int
        Number of documents and of topics.
    words_per_topic, n_background : int
        Number of words of each topic, and number of words that all topics share.
    length : int
        Mean number of words in a document; no document is empty. Reduce it for short texts.
    purity : float
        Share of words from the topic of the document, in (0, 1]; the others are background. Reduce it for a harder
        problem.
    balance : float
        Ratio of the size of each topic to that of the previous one, in (0, 1]: with 1 all sizes are equal, with less
        they decrease geometrically. Each topic has at least one document.
    random_state : int, Generator or None
        Seed of all random numbers.

    Returns
    -------
    PlantedCorpus
        `X`, `labels`, `terms`, `topics`; the documents are in random order.

    Raises
    ------
    ValueError
        There are fewer documents than topics, `length` is negative, or `purity` or `balance` is not in (0, 1].

    See Also
    --------
    load_glosses : A small corpus of real text.

    Examples
    --------
    >>> from codebooks.datasets import make_planted_corpus
    >>> planted = make_planted_corpus(100, 4)
    >>> planted.X.shape, planted.terms[0], planted.topics.shape
    ((100, 170), 'topic0_word0', (4, 170))
    """
    if n_documents < n_topics:
        raise ValueError(
            f"`n_documents` must be at least n_topics={n_topics}, got {short_repr(n_documents)}. Use more documents or "
            f"fewer topics."
        )
    if not isinstance(length, Real) or not length >= 0:
        raise ValueError(f"`length` must be a mean number of words >= 0, got {short_repr(length)}. The default is 40.")
    for name, share in {"purity": purity, "balance": balance}.items():
        if not 0 < share <= 1:
            raise ValueError(f"`{name}` must be > 0 and <= 1, got {short_repr(share)}. Use 1 for the maximum.")
    with shorten_errors():
        rng = np.random.default_rng(random_state)
    topics = _make_topics(n_topics, words_per_topic, n_background, purity)
    labels = rng.permutation(np.repeat(np.arange(n_topics), _compute_topic_sizes(n_documents, n_topics, balance)))

    rows = np.repeat(np.arange(n_documents), np.maximum(rng.poisson(length, n_documents), 1))  # one per word
    words = np.empty_like(rows)
    for topic, frequencies in enumerate(topics):
        own = labels[rows] == topic
        words[own] = rng.choice(topics.shape[1], own.sum(), p=frequencies)
    ones = np.ones(len(rows), dtype=np.float32)
    X = sparse.csr_matrix((ones, (rows, words)), shape=(n_documents, topics.shape[1]))  # repeated words add up

    terms = [f"topic{topic}_word{word}" for topic in range(n_topics) for word in range(words_per_topic)]
    terms += [f"background_word{word}" for word in range(n_background)]
    return PlantedCorpus(X, labels, terms, topics)


def _make_topics(n_topics: int, words_per_topic: int, n_background: int, purity: float) -> np.ndarray:
    own = np.kron(np.eye(n_topics), _make_zipf_frequencies(words_per_topic))
    shared = np.tile(_make_zipf_frequencies(n_background), (n_topics, 1))
    return np.hstack([purity * own, (1 - purity) * shared]) if n_background else own


def _make_zipf_frequencies(n: int) -> np.ndarray:
    """Return frequencies that are inversely proportional to the rank (Zipf's law)."""
    weight = 1 / np.arange(1, n + 1)
    return weight / weight.sum()


def _compute_topic_sizes(n_documents: int, n_topics: int, balance: float) -> np.ndarray:
    """Return the number of documents of each topic, at least 1; the remainder of rounding goes to large fractions."""
    share = balance ** np.arange(n_topics)
    quota = (n_documents - n_topics) * share / share.sum()
    sizes = 1 + np.floor(quota).astype(int)
    sizes[np.argsort(np.floor(quota) - quota, kind="stable")[: n_documents - sizes.sum()]] += 1
    return sizes
