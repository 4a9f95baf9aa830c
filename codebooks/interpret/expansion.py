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
    """List words that belong to the topics of a query, for example to widen a search.

    The components with the largest code a of the query, as `transform` returns it, share the query in proportion to
    how far they exceed the largest code that is left out,

        share_k = (a_k - a_rest) / sum over the kept j of (a_j - a_rest),

    which is invariant to inhibition and to codes that are negative distances. The score of word w is

        sum over the kept k of share_k c_kw,

    with c_k the k-th component scaled to length 1. Words of the query itself are left out. Because shares sum to 1,
    scores order the words; they do not say how certain the model is of the query.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        As for `topic_words`, with a `transform`.
    query : str, sequence of str, or row of shape (n_features,) or (1, n_features)
        One query. A Pipeline receives its text as one document, or its row as one row. For a model without a Pipeline
        each occurrence of a word counts 1: a text is split at white space, and the punctuation around a word and its
        case are ignored unless a feature name has them; in a sequence, each string may be a term of several words.
    n_words : int, default=10
        The largest number of words. Only words with a positive score are listed.
    n_topics : int, default=3
        The largest number of components that share the query; at most one less than the model has, and at least 1.
    feature_names : sequence of str, length n_features, optional
        The word of each column, with the default of `topic_words`.
    X, labels : counts, and labels or codes of the same documents, optional
        For a model whose features are not words, such as embeddings, as for `topic_words`: c_kw is then how well word w
        describes the documents of component k. The query of a model without a Pipeline is a row of its features.

    Returns
    -------
    list of AddedWord
        The largest score first, equal scores by column. Empty if all components have the same code.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError
        The model is not fitted; it has no components.
    ValueError
        The model knows no word of the query. Unknown words beside known ones are ignored, as by a vectorizer. Also:
        several rows, a wrong number of features, feature names that are missing or too few, one of X and `labels`
        without the other, or `n_words` or `n_topics` below 1.

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
    units, names = _describe_components_by_words(preparation, learner, feature_names, X, labels)
    if labels is not None and preparation is None and extract_words(query):
        raise ValueError(
            f"`query` must be a row of the {n_features} features of this model, got words. Pass the embedding of the "
            "query, or use the Pipeline that makes embeddings."
        )
    row = vectorize_query(preparation, learner, query, feature_names, n_features)
    asked = row[0] != 0 if labels is None else count_words(extract_words(query) or [], names)[0] > 0

    shares = compute_component_shares(learner, row, len(units), n_topics)
    parts = shares[:, None] * units
    scores = np.where(asked, 0.0, parts.sum(axis=0))
    return [
        AddedWord(names[w], float(scores[w]), int(parts[:, w].argmax()))
        for w in select_top_columns(scores[None], n_words)[0]
    ]


def _describe_components_by_words(
    preparation: Pipeline | None, learner: Any, feature_names: Any, X: Any, labels: Any
) -> tuple[Floats, Any]:
    """Return the weight of each word in each component, scaled to length 1, and the words."""
    units = get_components(learner).astype(np.float64)
    if (X is None) != (labels is None):
        raise ValueError(
            "`X` and `labels` must be given together, got one of them. Pass the counts of some documents as X=, and "
            "labels=model.predict(...) of the same documents."
        )
    if labels is None:
        return normalize(units), resolve_feature_names(preparation, learner, feature_names, units.shape[1])
    X, names = check_word_counts(X, feature_names)
    labels = check_given_labels(learner, labels, len(units), X.shape[0])
    return normalize(score_words_by_documents(X, labels, len(units)), copy=False), names
