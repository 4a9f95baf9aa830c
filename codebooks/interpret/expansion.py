"""Query expansion by topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize

from codebooks.interpret._labelling import score_words_by_documents
from codebooks.interpret._queries import compute_component_shares, count_words, extract_words, vectorize_query
from codebooks.interpret.assignments import check_given_labels
from codebooks.interpret.feature_names import check_word_counts, resolve_feature_names
from codebooks.interpret.model_access import get_components, select_top_columns, split_pipeline
from codebooks.validation.arrays import check_count

__all__ = ["AddedWord", "expand"]

Floats = NDArray[np.float64]


class AddedWord(NamedTuple):
    """A word that `expand` adds to a query.

    Attributes
    ----------
    word : str
        The word.
    score : float
        How strongly the topics of the query support it, above 0 and at most 1.
    topic : int
        The component that contributes most of the score.

    Examples
    --------
    >>> print(AddedWord("goal", 0.82, 3))
    goal (0.82, topic 3)
    """

    word: str
    score: float
    topic: int

    def __str__(self) -> str:
        return f"{self.word} ({self.score:.2f}, topic {self.topic})"


def expand(
    model: Any,
    query: Any,
    *,
    n_words: int = 10,
    n_topics: int = 3,
    feature_names: Sequence[str] | NDArray[Any] | None = None,
    X: Any = None,
    labels: Any = None,
) -> list[AddedWord]:
    """List words that belong to the topics of a query, for example to extend a search.

    The `n_topics` components with the largest codes a of the query, as `transform` returns them, have shares in
    proportion to their difference from the next largest code a_rest,

        share_k = (a_k - a_rest) / sum over the kept j of (a_j - a_rest),

    which is invariant to inhibition and to codes that are negative distances. The score of word w is

        sum over the kept k of share_k c_kw,

    with c_k the k-th component scaled to length 1. Words of the query itself are left out. Because shares sum to 1,
    scores order the words, but do not measure whether the query belongs to a topic at all.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        As for `topic_words`, with a `transform`.
    query : str, sequence of str, or row of shape (n_features,) or (1, n_features)
        One query. A Pipeline receives a text as one document. For a model without a Pipeline each occurrence of a word
        counts 1: a text is split at white space, and the punctuation around a word and its case are ignored unless a
        feature name has them; in a sequence, each string can be a term of several words.
    n_words : int, default=10
        The largest number of words. Only words with a positive score are listed.
    n_topics : int, default=3
        The largest number of components used; at most one less than the model has, and at least 1.
    feature_names : sequence of str, length n_features, optional
        The word of each column, with the default of `topic_words`.
    X, labels : counts, and labels or codes of the same documents, optional
        For a model whose features are not words, such as embeddings, as for `topic_words`: c_kw is then the score of
        word w for the documents of component k. The query of a model without a Pipeline is a row of its features.

    Returns
    -------
    list of AddedWord
        The largest score first, equal scores by column. Empty if all components have the same code.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError
        The model is not fitted; it has no components.
    ValueError
        No word of the query is a feature name (other unknown words are ignored, as by a vectorizer); the query has
        several rows or a wrong number of features; feature names are missing or too few; one of X and `labels` is
        passed without the other; or `n_words` or `n_topics` is below 1.

    See Also
    --------
    rank_documents : The documents for the topics of a query.

    Examples
    --------
    >>> from codebooks import KrotovHopfield
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> texts = ["goal match", "goal match team", "loan bank", "loan bank rate"]
    >>> model = make_pipeline(CountVectorizer(), KrotovHopfield(2, random_state=0)).fit(texts)
    >>> [added.word for added in expand(model, "Which bank?")]
    ['loan', 'rate']
    """
    check_count("n_words", n_words)
    preparation, learner = split_pipeline(model)
    n_features = get_components(learner).shape[1]
    components, names = _compute_word_weights(preparation, learner, feature_names, X, labels)
    if labels is not None and preparation is None and extract_words(query):
        raise ValueError(
            f"`query` must be a row of the {n_features} features of this model, got words. Pass the embedding of the "
            "query, or use the Pipeline that makes embeddings."
        )
    row = vectorize_query(preparation, learner, query, feature_names, n_features)
    is_in_query = row[0] != 0 if labels is None else count_words(extract_words(query) or [], names)[0] > 0

    shares = compute_component_shares(learner, row, len(components), n_topics)
    parts = shares[:, None] * components
    scores = np.where(is_in_query, 0.0, parts.sum(axis=0))
    return [
        AddedWord(names[w], float(scores[w]), int(parts[:, w].argmax()))
        for w in select_top_columns(scores[None], n_words)[0]
    ]


def _compute_word_weights(
    preparation: Pipeline | None, learner: Any, feature_names: Any, X: Any, labels: Any
) -> tuple[Floats, Any]:
    """Return the weight of each word in each component, scaled to length 1, and the words."""
    components = get_components(learner).astype(np.float64)
    if (X is None) != (labels is None):
        raise ValueError(
            "`X` and `labels` must be given together, got one of them. Pass the counts of some documents as X=, and "
            "labels=model.predict(...) of the same documents."
        )
    if labels is None:
        return normalize(components), resolve_feature_names(preparation, learner, feature_names, components.shape[1])
    X, names = check_word_counts(X, feature_names)
    labels = check_given_labels(learner, labels, len(components), X.shape[0])
    return normalize(score_words_by_documents(X, labels, len(components)), copy=False), names
