"""Words that a query's concepts add to it."""

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
from codebooks.interpret.topics import (
    check_word_counts,
    get_components,
    resolve_feature_names,
    select_top_columns,
    split_pipeline,
)
from codebooks.validation.arrays import check_count

__all__ = ["AddedWord", "expand"]

Floats = NDArray[np.float64]


class AddedWord(NamedTuple):
    """A word that a concept adds to a query.

    Parameters
    ----------
    term : str
        The word.
    weight : float
        How much the query's concepts speak for it, above 0 and at most 1.
    concept : int
        Which row of the codebook it comes from: the one that gives it most of its weight.

    Examples
    --------
    >>> print(AddedWord("goal", 0.82, 3))
    goal (0.82, concept 3)
    """

    term: str
    weight: float
    concept: int

    def __str__(self) -> str:
        return f"{self.term} ({self.weight:.2f}, concept {self.concept})"


def expand(
    model: Any,
    query: Any,
    terms: Sequence[str] | NDArray[Any] | None = None,
    n: int = 10,
    *,
    n_concepts: int = 3,
    X: Any = None,
    codes: Any = None,
) -> list[AddedWord]:
    """List the words that a query's concepts add to it, each with its weight and the concept it comes from.

    The query's strongest concepts, by its code a as `transform` gives it, share it in proportion to how far
    they stand above the first that is left out,

        share_k = (a_k - a_rest) / sum over the kept j of (a_j - a_rest),

    so that neither inhibition nor a code that is minus a distance or a gate changes what is meant; and word w
    scores

        sum over the kept k of share_k c_kw,

    with c_k the k-th unit scaled to length 1. Words of the query itself are left out. Since shares sum to 1,
    weights tell which words come first, not how sure the model is of the query.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        As for `topics`, with a `transform`.
    query : str, sequence of str, or row of shape (n_features,) or (1, n_features)
        One query. To a Pipeline its text goes as one document, or its row as one row, so that the Pipeline's
        own steps weigh the words. To a plain model words count 1 each time they occur: a text is cut at white
        space, punctuation around a word and its case are dropped where the terms have it only without; in a
        sequence each string may be a term of several words.
    terms : sequence of str, length n_features, optional
        The name of each column, found as `topics` finds it where it is not given.
    n : int, default=10
        At most so many words; only words with a positive score are listed.
    n_concepts : int, default=3
        At most so many concepts are kept, and at most one less than the model has (but one).
    X, codes : counts and labels or codes of the same documents, optional
        For a model fitted on something else than words, such as embeddings, as for `topics`: c_kw is then how well
        word w names the documents that unit k wins. The query of a plain model is a row of its features.

    Returns
    -------
    list of AddedWord
        The largest weight first, equal weights by column. Empty where no unit answers more than another.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError
        The model has not been fitted; it has no codebook.
    ValueError
        The query has no word that the model knows: an empty answer would pass for "nothing to add". Words
        that are unknown beside known ones are passed over, as a vectorizer does. Also: several rows, a wrong
        number of features, no terms or a wrong number of them, one of X and codes without the other or such that
        do not fit, n < 1 or n_concepts < 1.

    Examples
    --------
    >>> from codebooks import KrotovHopfield
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> texts = ["goal match", "goal match team", "loan bank", "loan bank rate"]
    >>> model = make_pipeline(CountVectorizer(), KrotovHopfield(2, random_state=0)).fit(texts)
    >>> [word.term for word in expand(model, "Which bank?")]
    ['loan', 'rate']
    """
    check_count("n", n)
    preparation, learner = split_pipeline(model)
    n_features = get_components(learner).shape[1]
    units, names = _describe_components_by_words(preparation, learner, terms, X, codes)
    if codes is not None and preparation is None and extract_words(query):
        raise ValueError(
            f"the columns of this model are not words: a query wants a row of its {n_features} features; words came. "
            "Pass the query's embedding, or the Pipeline that makes it."
        )
    row = vectorize_query(preparation, learner, query, terms, n_features)
    asked = row[0] != 0 if codes is None else count_words(extract_words(query) or [], names)[0] > 0

    shares = compute_component_shares(learner, row, len(units), n_concepts)
    parts = shares[:, None] * units
    scores = np.where(asked, 0.0, parts.sum(axis=0))
    return [
        AddedWord(names[w], float(scores[w]), int(parts[:, w].argmax())) for w in select_top_columns(scores[None], n)[0]
    ]


def _describe_components_by_words(
    preparation: Pipeline | None, learner: Any, terms: Any, X: Any, codes: Any
) -> tuple[Floats, Any]:
    """What each word weighs in each unit, scaled to length 1, and the words."""
    units = get_components(learner).astype(np.float64)
    if (X is None) != (codes is None):
        raise ValueError(
            "X and codes are wanted together, for a model whose columns are not words; one came without the other. "
            "Pass the counts of some documents as X=, and codes=model.predict of the same."
        )
    if codes is None:
        return normalize(units), resolve_feature_names(preparation, learner, terms, units.shape[1])
    X, names = check_word_counts(X, terms)
    labels = check_given_labels(learner, codes, len(units), X.shape[0])
    return normalize(score_words_by_documents(X, labels, len(units)), copy=False), names
