"""How good a codebook is: coherence, diversity, redundancy and usage without labels, agreement with them.

No score stands in for reading the topics: Hoyle et al. (2021, "Is automated topic model evaluation broken?")
found coherence telling models apart that people did not. Use several, and print the words beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.utils.validation import check_array, check_consistent_length

from codebooks import ops
from codebooks.topics import Topic, codebook, split, top_columns, winners, wins

__all__ = [
    "Agreement",
    "agreement",
    "diversity_scorer",
    "npmi",
    "npmi_per_topic",
    "npmi_scorer",
    "purity",
    "redundancy",
    "topic_diversity",
    "usage",
]

N_WORDS = 10  # words a topic in the two scorers, as in most published tables


def npmi(topics: Sequence[Any], X: Any, *, terms: Sequence[str] | None = None, epsilon: float | None = None) -> float:
    """Coherence: do the words of a topic occur in the same documents? The mean of `npmi_per_topic`.

    Parameters
    ----------
    topics, X, terms, epsilon
        As for `npmi_per_topic`, with the same errors.

    Returns
    -------
    float
        -1 where no two words ever meet, 0 where they meet as chance has it, 1 where they always meet. Topics
        of fewer than two words have no pair to judge and are left out; where none is left, nan.

    Examples
    --------
    >>> X = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    >>> npmi([["goal", "team"], ["bank", "loan"]], X, terms=["goal", "team", "bank", "loan"])
    0.0
    """
    scores = npmi_per_topic(topics, X, terms=terms, epsilon=epsilon)
    judged = scores[~np.isnan(scores)]
    return float(judged.mean()) if len(judged) else float("nan")


def npmi_per_topic(
    topics: Sequence[Any], X: Any, *, terms: Sequence[str] | None = None, epsilon: float | None = None
) -> NDArray[np.float64]:
    """Normalised pointwise mutual information of each topic's words, averaged over its pairs.

    With p_i the share of documents that have word i and p_ij the share that have both (Bouma 2009),

        npmi(i, j) = log(p_ij / (p_i p_j)) / -log p_ij,

    -1 for two words that never meet, and 1 for two that stand in every document. A document is a whole row
    of X, also an empty one, and a word is in it where the value is above zero.

    Parameters
    ----------
    topics : sequence of topics
        Each a `Topic`, a sequence of words, or a sequence of column indices. A repeated word counts once.
    X : array or sparse matrix of shape (n_documents, n_features)
        Counts, tf-idf or booleans; a sparse one stays sparse.
    terms : sequence of str, length n_features, optional
        The names of the columns; wanted when topics are words.
    epsilon : float, optional
        Smooth as gensim's "c_npmi" does: log((p_ij + epsilon) / (p_i p_j)) / -log(p_ij + epsilon). At 1e-12,
        and in gensim a window wider than any document, the two agree, even in giving -1 to two words that
        stand in every document. Default: no smoothing.

    Returns
    -------
    float64 array of shape (n_topics,)
        nan for a topic of fewer than two distinct words. A word that no document has, or that is not among
        the terms, makes each of its pairs -1 (gensim: inf), so that a held-out fold can be scored.

    Raises
    ------
    TypeError
        A topic is a single string, or neither words nor column indices.
    ValueError
        Words without terms, a wrong number of terms, a column that X has not, or epsilon <= 0.

    Examples
    --------
    >>> X = [[1, 1, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]]
    >>> npmi_per_topic([[0, 1], [0, 2]], X).tolist()
    [1.0, 0.0]
    """
    if epsilon is not None and not epsilon > 0:
        raise ValueError(f"epsilon must be above zero, for example 1e-12, or None; {epsilon!r} came.")
    X = check_array(ops.to_host(X), accept_sparse=("csr", "csc"))
    columns = _columns(topics, terms, X.shape[1])
    meetings = _count_meetings(columns, X)
    return np.array([_mean_over_pairs(meetings.npmi(words, words, epsilon)) for words in columns])


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
    listed = [word for topic in topics for word in _listed(topic)]
    return len(set(listed)) / len(listed) if listed else float("nan")


def redundancy(components: ArrayLike) -> float:
    """How alike the two most alike units are: the largest |cosine| between two rows.

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
    W = check_array(ops.to_host(components), dtype=np.float64)
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
        A label is n_components or more.

    Examples
    --------
    >>> usage([0, 0, 2, -1, 2], 3).tolist()
    [0.5, 0.0, 0.5]
    """
    labels = np.asarray(ops.to_host(labels), dtype=np.intp)
    if labels.size and labels.max() >= n_components:
        raise ValueError(
            f"labels must lie below n_components={n_components}; {labels.max()} came. "
            "Pass the n_components of the model that made them."
        )
    count = wins(labels, n_components)
    return count / np.maximum(count.sum(), 1)


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
    ValueError
        The two differ in length, or are empty.

    Examples
    --------
    >>> agreement(["a", "a", "b", "b"], [1, 1, 0, 0])
    Agreement(nmi=1.0, ari=1.0, purity=1.0)
    """
    y, labels = np.asarray(y), np.asarray(ops.to_host(labels))
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
    ValueError
        The two differ in length, or are empty.

    Examples
    --------
    >>> purity(["a", "a", "b", "b"], [0, 0, 0, 1])
    0.75
    """
    y, labels = np.asarray(y), np.asarray(ops.to_host(labels))
    check_consistent_length(y, labels)
    if not len(y):
        raise ValueError("at least one labelled row is wanted; none came.")
    return float(contingency_matrix(y, labels).max(axis=0).sum() / len(y))


def npmi_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Coherence on held-out documents that neither splits nor skips topics: a `scoring=` for GridSearchCV.

    A unit k is its ten strongest words by weight. Let npmi(k) be the mean over its pairs, npmi(k, j) that
    over all pairs of a word of k with a word of j (1 for a word with itself), and c_k the share of the rows
    that k wins which have a word of k at all. The score is the mean over units of

        c_k max(-1, npmi(k) - max(0, max over j of npmi(k, j))) - (1 - c_k),

    and rows that no unit wins pull it to -1 by their share; empty rows do not count. So it is plain NPMI
    where topics are unrelated and each row has a word of its topic. Too many units: the halves of a topic
    cohere as well as the whole, but with each other too, and that is taken away. Too few: a unit mixes words
    that never meet, or it names one topic and wins the rows of others, which count -1, as an idle unit does.
    (Ours, in the spirit of the silhouette. Plain NPMI sees none of this; NPMI x diversity, "topic quality"
    in Dieng et al. 2020, sees repeated words alone, and rewards them where NPMI is negative.)

    Parameters
    ----------
    estimator : fitted estimator or fitted Pipeline
        In a Pipeline X goes through all steps but the last, so that raw text can be scored.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        The held-out fold; co-occurrence is counted here, so it must hold enough documents for words to meet.
    y : ignored

    Returns
    -------
    float
        In [-1, 1]; higher is better.

    Raises
    ------
    ValueError
        The matrix has negative values: its columns are not words.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import NMF
    >>> X = np.repeat(np.eye(2), [2, 2], axis=1)[[0, 1, 0, 1]]
    >>> round(npmi_scorer(NMF(2, random_state=0).fit(X), X), 6)
    1.0
    """
    X, labels, columns = _words_in_use(estimator, X)
    X = check_array(ops.to_host(X), accept_sparse=("csr", "csc"))
    if np.any((X.data if sparse.issparse(X) else X) < 0):
        raise ValueError(
            "NPMI wants a matrix of words, never below zero; negative values reach the model. "
            "Score embeddings and SVD features by the model's own score instead."
        )
    filled = np.asarray(X.sum(axis=1)).ravel() > 0
    labels = np.where(filled, labels, -1)
    covered = _covered(columns, X, labels)
    score = (covered * _coherence_beyond_nearest(columns, X) - (1.0 - covered)).mean()
    won = (labels >= 0).sum() / np.maximum(filled.sum(), 1)
    return float(won * score - (1.0 - won))


def diversity_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Diversity of the units' ten strongest words by weight: a `scoring=` for GridSearchCV.

    Distinct words over places, 10 a unit or n_features where that is less. The places of an idle unit, one
    that wins no row of X, stay empty. A single unit scores 1: do not choose how many units by this alone.

    Parameters
    ----------
    estimator, X, y
        As for `npmi_scorer`; negative values are welcome.

    Returns
    -------
    float
        In [0, 1]; higher is better.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import NMF
    >>> X = np.repeat(np.eye(2), [2, 2], axis=1)[[0, 1, 0, 1]]
    >>> diversity_scorer(NMF(2, random_state=0).fit(X), X)
    0.5
    """
    _, _, columns = _words_in_use(estimator, X)
    n_features = codebook(split(estimator)[1]).shape[1]
    return len(np.unique(np.concatenate(columns))) / (len(columns) * min(N_WORDS, n_features))


class _Meetings(NamedTuple):
    """How often words meet. The last row and column stand for the words that X does not know: always zero."""

    columns: NDArray[np.intp]  # (m,) columns of X, ascending
    together: sparse.csr_matrix  # (m + 1, m + 1) documents that have both words; one has, on the diagonal
    n_documents: int

    def npmi(
        self, some: NDArray[np.intp], others: NDArray[np.intp], epsilon: float | None = None
    ) -> NDArray[np.float64]:
        """NPMI of every word of `some` with every word of `others`, shape (len(some), len(others))."""
        rows, columns = (
            np.where(words < 0, len(self.columns), np.searchsorted(self.columns, words)) for words in (some, others)
        )
        share = self.together.diagonal() / self.n_documents
        chance = np.outer(share[rows], share[columns])
        both = self.together[rows][:, columns].toarray() / self.n_documents
        smooth = both + (epsilon or 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(smooth / chance) / -np.log(smooth)
        if epsilon is None:
            values[both == 0.0], values[both == 1.0] = -1.0, 1.0
        values[chance == 0.0] = -1.0
        return values


def _count_meetings(columns: list[NDArray[np.intp]], X: Any) -> _Meetings:
    listed = np.unique(np.concatenate([*columns, np.array([], dtype=np.intp)]))
    known = listed[listed >= 0]
    occurs = sparse.csr_matrix(X[:, known] > 0, dtype=np.int64)
    together = sparse.csr_matrix(occurs.T @ occurs)
    together.resize(len(known) + 1, len(known) + 1)
    return _Meetings(known, together, X.shape[0])


def _coherence_beyond_nearest(columns: list[NDArray[np.intp]], X: Any) -> NDArray[np.float64]:
    """npmi(k) - max(0, max over j of npmi(k, j)), at least -1, and -1 for fewer than two words."""
    sizes = [len(words) for words in columns]
    listed, owner = np.concatenate(columns), np.repeat(np.arange(len(columns)), sizes)
    meetings = _count_meetings(columns, X)
    coherence = np.full(len(columns), -1.0)
    for k, words in enumerate(columns):
        if len(words) > 1:
            meet = meetings.npmi(words, listed)
            nearness = np.bincount(owner, meet.mean(axis=0), len(columns)) / np.maximum(sizes, 1)
            nearness[k] = 0.0  # not its own neighbour; and the floor, since an unrelated topic earns nothing
            coherence[k] = max(_mean_over_pairs(meet[:, owner == k]) - nearness.max(), -1.0)
    return coherence


def _covered(columns: list[NDArray[np.intp]], X: Any, labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Share of the rows a unit wins that have a word of its list; 0 for a unit that wins none. X >= 0."""
    listed, owner = np.concatenate(columns), np.repeat(np.arange(len(columns)), [len(c) for c in columns])
    lists = sparse.csr_matrix((np.ones(len(listed)), (listed, owner)), shape=(X.shape[1], len(columns)))
    rows = np.flatnonzero(labels >= 0)
    won = sparse.csr_matrix((np.ones(len(rows)), (rows, labels[rows])), shape=(X.shape[0], len(columns)))
    named = sparse.csr_matrix(won.multiply(X @ lists)) > 0
    return np.asarray(named.sum(axis=0)).ravel() / np.maximum(wins(labels, len(columns)), 1)


def _mean_over_pairs(values: NDArray[np.float64]) -> float:
    pairs = values[np.triu_indices(len(values), 1)]
    return float(pairs.mean()) if len(pairs) else float("nan")


def _listed(topic: Any) -> list[Any]:
    if isinstance(topic, str):
        raise TypeError(f"each topic must be a sequence of words; the string {topic!r} came. Split it.")
    return list(topic.terms if isinstance(topic, Topic) else topic)


def _columns(topics: Sequence[Any], terms: Sequence[str] | None, n_features: int) -> list[NDArray[np.intp]]:
    """The distinct columns of each topic's words, -1 for a word that is not among the terms."""
    if terms is not None and len(terms) != n_features:
        raise ValueError(f"{n_features} terms are wanted, one a column of X; {len(terms)} came.")
    place = {} if terms is None else {str(term): column for column, term in enumerate(terms)}
    found = []
    for topic in topics:
        words = list(dict.fromkeys(_listed(topic)))  # a word repeated is no evidence for itself
        if words and all(isinstance(word, str) for word in words):
            if terms is None:
                raise ValueError("topics of words want terms=, the name of each column of X; none came.")
            words = [place.get(word, -1) for word in words]
        elif not all(isinstance(word, (int, np.integer)) for word in words):
            raise TypeError(f"a topic must be all words or all column indices; {words!r} came.")
        elif words and (min(words) < 0 or max(words) >= n_features):
            raise ValueError(f"columns must lie in 0..{n_features - 1}, as X has them; {words!r} came.")
        found.append(np.array(words, dtype=np.intp))
    return found


def _words_in_use(estimator: Any, X: Any) -> tuple[Any, Any, list[NDArray[np.intp]]]:
    """The matrix that reaches the model, its winners, and each unit's top columns: none for an idle unit."""
    preparation, learner = split(estimator)
    if preparation is not None:
        X = preparation.transform(X)
    labels = winners(learner, X)
    columns = top_columns(codebook(learner), N_WORDS)
    count = wins(labels, len(columns))
    return X, labels, [words if won else words[:0] for words, won in zip(columns, count, strict=True)]
