"""Topic coherence: co-occurrence of the words of a topic, as NPMI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.interpret.feature_names import check_feature_names
from codebooks.interpret.topics import Topic
from codebooks.validation.arrays import check_matrix


def npmi(
    topics: Sequence[Any], X: Any, *, feature_names: Sequence[str] | None = None, epsilon: float | None = None
) -> float:
    """Compute topic coherence, the mean of `npmi_per_topic`: do the words of a topic occur in the same documents?

    Topic words are often chosen because they occur together in the documents of a corpus. Their coherence is then
    overestimated on these documents. Use other documents for `X`, with the same terms as columns.

    Parameters
    ----------
    topics, X, feature_names, epsilon
        As for `npmi_per_topic`, with the same errors.

    Returns
    -------
    float
        -1 if no two words ever occur together, 0 if they occur together as often as by chance, 1 if they always do.
        Topics of fewer than two words are left out. If no topic is left, nan.

    See Also
    --------
    npmi_per_topic : The value of each topic.
    npmi_scorer : A score for model selection that also counts repeated and mixed topics.

    Examples
    --------
    >>> X = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    >>> npmi([["goal", "team"], ["bank", "loan"]], X, feature_names=["goal", "team", "bank", "loan"])
    0.0

    Topic words chosen from one half of the documents are less coherent in the other half:

    >>> from sklearn.datasets import make_multilabel_classification
    >>> from codebooks import KrotovHopfield, topic_words
    >>> X, _ = make_multilabel_classification(200, 40, n_classes=4, length=8, random_state=0)
    >>> model = KrotovHopfield(4, random_state=0).fit(X)
    >>> terms = [f"w{column}" for column in range(40)]
    >>> topics = topic_words(model, X[:100], feature_names=terms, n_words=5)
    >>> npmi(topics, X[:100], feature_names=terms) > npmi(topics, X[100:], feature_names=terms)
    True
    """
    scores = npmi_per_topic(topics, X, feature_names=feature_names, epsilon=epsilon)
    scores = scores[~np.isnan(scores)]
    return float(scores.mean()) if len(scores) else float("nan")


def npmi_per_topic(
    topics: Sequence[Any], X: Any, *, feature_names: Sequence[str] | None = None, epsilon: float | None = None
) -> NDArray[np.float64]:
    """Compute the normalised pointwise mutual information (NPMI) of each topic, averaged over pairs of its words.

    With p_i the share of documents that contain word i and p_ij the share that contain both,

        npmi(i, j) = log(p_ij / (p_i p_j)) / -log p_ij,

    -1 for two words that never occur together, and 1 for two words that occur in every document. A document is a
    whole row of `X`; empty rows count. It contains a word if the value is above zero.

    Parameters
    ----------
    topics : sequence of topics
        Each a `Topic`, a sequence of words, or a sequence of column indices. A repeated word counts once.
    X : array or sparse matrix of shape (n_documents, n_features)
        Counts, tf-idf or booleans. A sparse matrix is not converted to dense.
    feature_names : sequence of str, length n_features, optional
        The names of the columns; required if topics are words.
    epsilon : float, optional
        Smoothing as in gensim's "c_npmi": log((p_ij + epsilon) / (p_i p_j)) / -log(p_ij + epsilon). Set 1e-12 to
        compare with gensim, and in gensim a window wider than any document. Both then give -1 to two words that
        occur in every document. Default: no smoothing.

    Returns
    -------
    float64 array of shape (n_topics,)
        nan for a topic of fewer than two distinct words. All pairs of a word that no document contains, or that is not
        among the feature names, are -1 (gensim: inf), so that a held-out fold can be scored.

    Raises
    ------
    TypeError
        A topic is a single string, or neither words nor column indices; or feature names have no order, as in
        `vectorizer.vocabulary_`.
    ValueError
        Words without feature names, a wrong number of feature names, a column that `X` does not have, or epsilon <= 0.

    References
    ----------
    G. Bouma, "Normalized (pointwise) mutual information in collocation extraction", GSCL 2009.

    Examples
    --------
    >>> X = [[1, 1, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]]
    >>> npmi_per_topic([[0, 1], [0, 2]], X).tolist()
    [1.0, 0.0]
    """
    if epsilon is not None and not epsilon > 0:
        raise ValueError(f"`epsilon` must be > 0 or None, got {short_repr(epsilon)}. Use 1e-12 to compare with gensim.")
    X = check_matrix("npmi", ops.to_host(X))
    columns = _find_columns(topics, feature_names, X.shape[1])
    cooccurrences = count_cooccurrences(columns, X)
    return np.array([average_over_pairs(cooccurrences.compute_npmi(words, words, epsilon)) for words in columns])


class Cooccurrences(NamedTuple):
    """Document counts of words and pairs of words. The last row and column, all zero, stand for unknown words."""

    columns: NDArray[np.intp]  # (m,) columns of X, ascending
    counts: sparse.csr_matrix  # (m + 1, m + 1) documents with both words; on the diagonal, documents with the word
    n_documents: int

    def compute_npmi(
        self, first: NDArray[np.intp], second: NDArray[np.intp], epsilon: float | None = None
    ) -> NDArray[np.float64]:
        """Compute the NPMI of each word of `first` with each word of `second`, shape (len(first), len(second))."""
        rows, columns = (
            np.where(words < 0, len(self.columns), np.searchsorted(self.columns, words)) for words in (first, second)
        )
        share = self.counts.diagonal() / self.n_documents
        chance = np.outer(share[rows], share[columns])
        both = self.counts[rows][:, columns].toarray() / self.n_documents
        smooth = both + (epsilon or 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(smooth / chance) / -np.log(smooth)
        if epsilon is None:
            values[both == 0.0], values[both == 1.0] = -1.0, 1.0
        values[chance == 0.0] = -1.0
        return values


def count_cooccurrences(columns: list[NDArray[np.intp]], X: Any) -> Cooccurrences:
    """Count the documents of `X` in which the words of the topics occur together; -1 stands for an unknown word."""
    words = np.unique(np.concatenate([*columns, np.array([], dtype=np.intp)]))
    words = words[words >= 0]
    occurs = sparse.csr_matrix(X[:, words] > 0, dtype=np.int64)
    counts = sparse.csr_matrix(occurs.T @ occurs)
    counts.resize(len(words) + 1, len(words) + 1)
    return Cooccurrences(words, counts, X.shape[0])


def average_over_pairs(values: NDArray[np.float64]) -> float:
    """Return the mean over the pairs of a symmetric matrix, nan if there is none."""
    pairs = values[np.triu_indices(len(values), 1)]
    return float(pairs.mean()) if len(pairs) else float("nan")


def list_words(topics: Any) -> list[list[Any]]:
    """Return the words or columns of each topic as lists."""
    if isinstance(topics, Mapping | str) or not isinstance(topics, Iterable):
        advice = "Use list(topics.values())." if isinstance(topics, Mapping) else "Use [topic] for a single topic."
        raise TypeError(f"`topics` must be a list of topics, got {type(topics).__name__}. {advice}")
    return [_list_topic_words(topic) for topic in topics]


def _list_topic_words(topic: Any) -> list[Any]:
    if isinstance(topic, str):
        raise TypeError(f"`topics` must be lists of words, got the string {short_repr(topic)}. Use topic.split().")
    words = topic.words if isinstance(topic, Topic) else topic
    if not isinstance(words, Iterable):
        raise TypeError(
            f"`topics` must be lists of words or column indices, got {short_repr(topic)}. Use [[...]] for one topic."
        )
    return list(words)


def _find_columns(
    topics: Sequence[Any], feature_names: Sequence[str] | None, n_features: int
) -> list[NDArray[np.intp]]:
    """Return the distinct columns of the words of each topic, -1 for a word that is not among the feature names."""
    advice = "Use the feature names of the vectorizer that made X."
    names = [] if feature_names is None else check_feature_names(feature_names, n_features, "X", advice)
    column_of = {name: column for column, name in enumerate(names)}
    columns = []
    for listed in list_words(topics):
        words = list(dict.fromkeys(listed))  # a repeated word would be a pair with NPMI 1
        if words and all(isinstance(word, str) for word in words):
            if feature_names is None:
                raise ValueError(
                    "`feature_names` must name the columns of `X` if topics are words, got None. Pass "
                    "vectorizer.get_feature_names_out()."
                )
            words = [column_of.get(word, -1) for word in words]
        elif not all(isinstance(word, (int, np.integer)) for word in words):
            raise TypeError(
                f"`topics` must be lists of words, or lists of column indices, got {short_repr(words)}. Use one of the "
                f"two in a topic."
            )
        elif words and (min(words) < 0 or max(words) >= n_features):
            raise ValueError(
                f"`topics` must have column indices from 0 to {n_features - 1}, got {short_repr(words)}. Use the "
                f"columns of X."
            )
        columns.append(np.array(words, dtype=np.intp))
    return columns
