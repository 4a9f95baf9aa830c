"""Do the words of a topic occur in the same documents?"""

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
    """Coherence: do the words of a topic occur in the same documents? The mean of `npmi_per_topic`.

    X may hold other documents than those that chose the words, if its columns are the same terms. Topic words chosen
    by documents are words that occur together in these documents, so only other documents measure their coherence.

    Parameters
    ----------
    topics, X, feature_names, epsilon
        As for `npmi_per_topic`, with the same errors.

    Returns
    -------
    float
        -1 where no two words ever meet, 0 where they meet as chance has it, 1 where they always meet. Topics
        of fewer than two words have no pair to judge and are left out; where none is left, nan.

    Examples
    --------
    >>> X = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    >>> npmi([["goal", "team"], ["bank", "loan"]], X, feature_names=["goal", "team", "bank", "loan"])
    0.0

    Words that were chosen because they occur together are judged on other documents than those that chose them:

    >>> from sklearn.datasets import make_multilabel_classification
    >>> from codebooks import KrotovHopfield, topic_words
    >>> X, _ = make_multilabel_classification(200, 40, n_classes=4, length=8, random_state=0)
    >>> model = KrotovHopfield(4, random_state=0).fit(X)
    >>> terms = [f"w{column}" for column in range(40)]
    >>> found = topic_words(model, X[:100], feature_names=terms, n_words=5)  # one half chooses the words
    >>> npmi(found, X[:100], feature_names=terms) > npmi(found, X[100:], feature_names=terms)
    True
    """
    scores = npmi_per_topic(topics, X, feature_names=feature_names, epsilon=epsilon)
    judged = scores[~np.isnan(scores)]
    return float(judged.mean()) if len(judged) else float("nan")


def npmi_per_topic(
    topics: Sequence[Any], X: Any, *, feature_names: Sequence[str] | None = None, epsilon: float | None = None
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
    feature_names : sequence of str, length n_features, optional
        The names of the columns; required if topics are words.
    epsilon : float, optional
        Smooth as gensim's "c_npmi" does: log((p_ij + epsilon) / (p_i p_j)) / -log(p_ij + epsilon). At 1e-12,
        and in gensim a window wider than any document, the two agree, even in giving -1 to two words that
        stand in every document. Default: no smoothing.

    Returns
    -------
    float64 array of shape (n_topics,)
        nan for a topic of fewer than two distinct words. A word that no document has, or that is not among
        the feature names, makes each of its pairs -1 (gensim: inf), so that a held-out fold can be scored.

    Raises
    ------
    TypeError
        A topic is a single string, or neither words nor column indices; or feature names have no order, as in
        `vectorizer.vocabulary_`.
    ValueError
        Words without feature names, a wrong number of feature names, a column that X does not have, or epsilon <= 0.

    Examples
    --------
    >>> X = [[1, 1, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0]]
    >>> npmi_per_topic([[0, 1], [0, 2]], X).tolist()
    [1.0, 0.0]
    """
    if epsilon is not None and not epsilon > 0:
        raise ValueError(f"epsilon must be above zero, for example 1e-12, or None; {short_repr(epsilon)} came.")
    X = check_matrix("npmi", ops.to_host(X))
    columns = _find_columns(topics, feature_names, X.shape[1])
    cooccurrences = count_cooccurrences(columns, X)
    return np.array([average_over_pairs(cooccurrences.npmi(words, words, epsilon)) for words in columns])


class Cooccurrences(NamedTuple):
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


def count_cooccurrences(columns: list[NDArray[np.intp]], X: Any) -> Cooccurrences:
    """How often the words in some lists of columns, -1 for an unknown word, meet in the documents of X."""
    listed = np.unique(np.concatenate([*columns, np.array([], dtype=np.intp)]))
    known = listed[listed >= 0]
    occurs = sparse.csr_matrix(X[:, known] > 0, dtype=np.int64)
    together = sparse.csr_matrix(occurs.T @ occurs)
    together.resize(len(known) + 1, len(known) + 1)
    return Cooccurrences(known, together, X.shape[0])


def average_over_pairs(values: NDArray[np.float64]) -> float:
    """The mean over the pairs of a symmetric matrix, nan where there is none."""
    pairs = values[np.triu_indices(len(values), 1)]
    return float(pairs.mean()) if len(pairs) else float("nan")


def list_words(topics: Any) -> list[list[Any]]:
    """The words or columns that each topic lists."""
    if isinstance(topics, Mapping | str) or not isinstance(topics, Iterable):
        advice = (
            "Pass list(topics.values())." if isinstance(topics, Mapping) else "Pass a list, also of a single topic."
        )
        raise TypeError(f"expected a list of topics, got {type(topics).__name__}. {advice}")
    return [_list_topic_words(topic) for topic in topics]


def _list_topic_words(topic: Any) -> list[Any]:
    if isinstance(topic, str):
        raise TypeError(f"each topic must be a sequence of words; the string {short_repr(topic)} came. Split it.")
    words = topic.words if isinstance(topic, Topic) else topic
    if not isinstance(words, Iterable):
        raise TypeError(
            f"each topic must be a sequence of words or columns; {short_repr(topic)} came. Put it in a list."
        )
    return list(words)


def _find_columns(
    topics: Sequence[Any], feature_names: Sequence[str] | None, n_features: int
) -> list[NDArray[np.intp]]:
    """The distinct columns of each topic's words, -1 for a word that is not among the terms."""
    advice = "Take them from the vectorizer that made X."
    names = [] if feature_names is None else check_feature_names(feature_names, n_features, "X", advice)
    place = {name: column for column, name in enumerate(names)}
    found = []
    for listed in list_words(topics):
        words = list(dict.fromkeys(listed))  # a word repeated is no evidence for itself
        if words and all(isinstance(word, str) for word in words):
            if feature_names is None:
                raise ValueError(
                    "`feature_names` must name the columns of `X` if topics are words, got None. Pass "
                    "vectorizer.get_feature_names_out()."
                )
            words = [place.get(word, -1) for word in words]
        elif not all(isinstance(word, (int, np.integer)) for word in words):
            raise TypeError(f"a topic must be all words or all column indices; {short_repr(words)} came.")
        elif words and (min(words) < 0 or max(words) >= n_features):
            raise ValueError(f"columns must lie in 0..{n_features - 1}, as X has them; {short_repr(words)} came.")
        found.append(np.array(words, dtype=np.intp))
    return found
