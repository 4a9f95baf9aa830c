"""Using a codebook: words that a query's concepts add, documents that show a concept, rows like those liked.

A concept is a unit of the codebook. The models are known by what they offer, as in `codebooks.topics`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from string import punctuation
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_array

from codebooks import ops
from codebooks.codes import codes_given, labels_given
from codebooks.naming import name_by_documents
from codebooks.topics import (
    codebook,
    codes_of,
    largest,
    n_rows,
    names_of,
    prepared,
    split,
    top_columns,
    words_beside,
)

__all__ = ["AddedWord", "Ranking", "expand", "rank_documents", "suggest"]

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

# How many rows are compared at once with those liked.
_BLOCK = 8192
# What a disliked row takes off, for one that is liked. A row that was suggested shares most of its concepts with those
# liked, so a large share would take these away too.
_DISLIKE = 0.1


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


class Ranking(NamedTuple):
    """Rows in order, the best first.

    Attributes
    ----------
    rows : int array
        Row numbers; equal scores stand by row number.
    scores : float64 array of the same length
        Their scores, falling.
    """

    rows: Ints
    scores: Floats


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
    _at_least_one("n", n)
    preparation, learner = split(model)
    n_features = codebook(learner).shape[1]
    units, names = _units_in_words(preparation, learner, terms, X, codes)
    if codes is not None and preparation is None and _words(query):
        raise ValueError(
            f"the columns of this model are not words: a query wants a row of its {n_features} features; words came. "
            "Pass the query's embedding, or the Pipeline that makes it."
        )
    row = _query_row(preparation, learner, query, terms, n_features)
    asked = row[0] != 0 if codes is None else _counted(_words(query) or [], names)[0] > 0

    shares = _shares(learner, row, len(units), n_concepts)
    parts = shares[:, None] * units
    scores = np.where(asked, 0.0, parts.sum(axis=0))
    return [AddedWord(names[w], float(scores[w]), int(parts[:, w].argmax())) for w in top_columns(scores[None], n)[0]]


def rank_documents(
    model: Any,
    X: Any,
    concept: Any,
    n: int = 10,
    *,
    terms: Sequence[str] | NDArray[Any] | None = None,
    n_concepts: int = 3,
    codes: Any = None,
) -> Ranking:
    """Rank all documents by how strongly they show a concept, a mixture of concepts, or a query's concepts.

    The score of row i is sum over units k of w_k a_ik, with a_i its code: w_k is 1 for the one unit asked for,
    what a mixture says, or the share of unit k in a query (see `expand`). Unlike `top_documents` this also
    ranks rows that another unit wins.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        As for `topics`, with a `transform`. For a KMeans the code is minus the distance.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        The documents; None will do with codes.
    concept : int, mapping of int to float, or a query
        A unit's index; weights by index, such as {3: 1, 7: -0.5} for unit 3 without unit 7; or a query as for
        `expand`.
    n : int, default=10
        At most so many rows.
    terms : sequence of str, length n_features, optional
        The name of each column, wanted where words are asked of a model without a Pipeline.
    n_concepts : int, default=3
        At most so many concepts of a query.
    codes : array of shape (n_samples, n_components), optional
        The codes of the documents, as `transform` gives them, where they are known: embeddings are not made again.

    Returns
    -------
    Ranking
        (rows, scores). Rows that are empty or share nothing with any unit show no concept and are left out.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError
        The model has not been fitted; it has no codebook.
    ValueError
        A unit that the model has not, an empty mixture or one of weights that are not finite, n < 1, neither X nor
        codes or codes that do not fit, or anything in a query that `expand` refuses.

    Examples
    --------
    >>> from codebooks import KrotovHopfield
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> texts = ["goal match", "goal match team", "loan bank", "loan bank rate"]
    >>> model = make_pipeline(CountVectorizer(), KrotovHopfield(2, random_state=0)).fit(texts)
    >>> rank_documents(model, texts, "team", n=2).rows.tolist()
    [1, 0]
    """
    _at_least_one("n", n)
    preparation, learner = split(model)
    weights = _weights(preparation, learner, concept, terms, n_concepts)
    n_components, n_features = codebook(learner).shape
    if codes is not None:
        strength = codes_given(learner, codes, n_components, n_rows(X))
        filled = np.asarray(strength.any(axis=1))
    elif X is not None:
        X = prepared(preparation, X, n_features)
        strength = codes_of(learner, X)
        filled = _filled(X) & strength.any(axis=1)
    else:
        raise ValueError("documents are wanted and none came. Pass X=, or their codes=.")
    return _ranked(_weighed(strength, weights), filled, n)


def suggest(codes: Any, liked: ArrayLike, n: int = 10, *, disliked: ArrayLike = ()) -> Ranking:
    """Suggest rows that share their concepts with the rows that are liked.

    With cos_ij the cosine between the codes of rows i and j, row i scores

        like_i = (mean over liked j of cos_ij + max over liked j of cos_ij) / 2,

    so that it shares concepts with all of them, and most with one. Where rows are disliked, a tenth of the same
    for them is taken off. A row that was suggested and is disliked shares most concepts with
    those liked: with more than that, they would go too.

    Parameters
    ----------
    codes : array or sparse matrix of shape (n_rows, n_components)
        As `transform` gives them, of any sign; a sparse one stays sparse. Of a KMeans, whose `transform` gives
        distances, pass minus that.
    liked : int array, or bool array of shape (n_rows,)
        Row numbers, or a mask. One number alone will do, and a repeated one counts once. A liked row of zeros
        says nothing.
    n : int, default=10
        At most so many rows.
    disliked : int array, or bool array of shape (n_rows,), default=()
        Rows to keep away from.

    Returns
    -------
    Ranking
        (rows, scores): fewer than n where there are no more. Liked rows, disliked rows and rows of zeros are
        left out.

    Raises
    ------
    ValueError
        No row is liked, all liked rows are zeros, a row is both liked and disliked, a row number lies
        outside 0 to n_rows - 1, a mask has another length, or n < 1; codes that are not finite numbers.
    TypeError
        Row numbers that are not integers.

    Examples
    --------
    >>> codes = [[1.0, 0.0], [0.9, 0.1], [0.0, 2.0], [3.0, 1.0], [0.0, 0.0]]
    >>> suggest(codes, liked=[0], n=2).rows.tolist()
    [1, 3]
    """
    _at_least_one("n", n)
    codes = check_array(ops.to_host(codes), accept_sparse="csr", dtype=[np.float64, np.float32])
    n_rows = codes.shape[0]
    good, bad = _row_numbers("liked", liked, n_rows), _row_numbers("disliked", disliked, n_rows)
    both = np.intersect1d(good, bad)
    if both.size:
        raise ValueError(f"a row is liked or disliked, not both; row {both[0]} came as both. Take it out of one.")
    wanted = _filled(codes)
    if not wanted[good].any():
        raise ValueError(
            f"at least one liked row with a code that is not all zeros is wanted; {len(good)} rows came, and none "
            "has one. Like another row."
        )
    scores = _likeness(codes, good[wanted[good]]) - _DISLIKE * _likeness(codes, bad[wanted[bad]])
    wanted[good] = wanted[bad] = False
    return _ranked(scores, wanted, n)


def _units_in_words(preparation: Pipeline | None, learner: Any, terms: Any, X: Any, codes: Any) -> tuple[Floats, Any]:
    """What each word weighs in each unit, scaled to length 1, and the words."""
    units = codebook(learner).astype(np.float64)
    if (X is None) != (codes is None):
        raise ValueError(
            "X and codes are wanted together, for a model whose columns are not words; one came without the other. "
            "Pass the counts of some documents as X=, and codes=model.predict of the same."
        )
    if codes is None:
        return normalize(units), names_of(preparation, learner, terms, units.shape[1])
    X, names = words_beside(X, terms)
    labels = labels_given(learner, codes, len(units), X.shape[0])
    named = name_by_documents(X, labels, np.zeros((len(units), len(names))), 1)
    return normalize(np.stack([name.scores for name in named])), names


def _weights(preparation: Pipeline | None, learner: Any, concept: Any, terms: Any, n_concepts: int) -> Floats:
    """How much each unit counts, shape (n_components,)."""
    n_components, n_features = codebook(learner).shape
    if not isinstance(concept, Integral | Mapping):
        return _shares(learner, _query_row(preparation, learner, concept, terms, n_features), n_components, n_concepts)
    mixture = concept if isinstance(concept, Mapping) else {concept: 1.0}
    unknown = [k for k in mixture if not isinstance(k, Integral) or int(k) not in range(n_components)]
    if unknown:
        raise ValueError(
            f"a concept is a unit from 0 to {n_components - 1}; {unknown[0]!r} came. Ask for one of these."
        )
    weights = np.zeros(n_components)
    weights[list(mixture)] = list(mixture.values())
    if not np.isfinite(weights).all() or not weights.any():
        raise ValueError(
            f"a mixture wants a finite weight for each of its units, and one that is not 0; {dict(mixture)} came. "
            "Give for example {3: 1, 7: -0.5}."
        )
    return weights


def _shares(learner: Any, row: NDArray[Any], n_components: int, n_concepts: int) -> Floats:
    """The share of each unit in a query, 0 for all but its strongest; all 0 where no unit stands out."""
    _at_least_one("n_concepts", n_concepts)
    with warnings.catch_warnings():
        # A model fitted on a data frame warns that this row has no column names; the terms have checked them.
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        code = codes_of(learner, row)[0].astype(np.float64)
    if n_components == 1:
        return (code != 0).astype(np.float64)
    order = largest(code, n_concepts + 1)
    kept, rest = order[:-1], code[order[-1]]
    shares = np.zeros(n_components)
    shares[kept] = code[kept] - rest
    total = shares.sum()
    return shares / total if total > 0 else shares


def _query_row(preparation: Pipeline | None, learner: Any, query: Any, terms: Any, n_features: int) -> NDArray[Any]:
    """The query as the dense row that reaches the model, shape (1, n_features); it has some word."""
    words = _words(query)
    if words is None:
        row = query if sparse.issparse(query) else np.atleast_2d(np.asarray(ops.to_host(query)))
    elif preparation is None:
        row = _counted(words, names_of(None, learner, terms, n_features))
    else:
        row = [" ".join(words)]
    if preparation is not None:
        row = preparation.transform(row)
    row = check_array(ops.to_host(row), accept_sparse="csr", dtype=[np.float64, np.float32])
    if row.shape != (1, n_features):
        raise ValueError(
            f"one query of {n_features} features is wanted, as the model has; shape {row.shape} came. Ask one by one."
        )
    row = row.toarray() if sparse.issparse(row) else row
    if not row.any():
        asked = "a row of zeros" if words is None else repr(" ".join(words))
        raise ValueError(f"a query wants at least one word that the model knows; {asked} has none. Ask in its words.")
    return row


def _words(query: Any) -> list[str] | None:
    """The words of a query as strings, a text still in one piece; None where it is a row of numbers."""
    if isinstance(query, str):
        return [query]
    if isinstance(query, Sequence | np.ndarray) and all(isinstance(word, str) for word in query):
        return list(query)
    return None


def _counted(words: list[str], names: list[str]) -> NDArray[Any]:
    """How often each term occurs among the words, shape (1, n_features)."""
    # Written from the last to the first, so that the first of equal names stays.
    exact = {name: column for column, name in reversed(list(enumerate(names)))}
    folded = {name.casefold(): column for name, column in exact.items()}
    row = np.zeros((1, len(names)))
    for text in words:
        for word in [text] if text in exact else text.split():
            column = exact.get(word, folded.get(word.strip(punctuation).casefold()))
            if column is not None:
                row[0, column] += 1
    return row


def _likeness(codes: Any, rows: Ints) -> Floats:
    """Mean of the mean and the largest cosine of each row with those of `rows`, zeros where there are none."""
    if not len(rows):
        return np.zeros(codes.shape[0])
    asked = normalize(codes[rows].astype(np.float64))
    asked = asked.toarray() if sparse.issparse(asked) else asked
    likeness = []
    for start in range(0, codes.shape[0], _BLOCK):
        cosines = normalize(codes[start : start + _BLOCK].astype(np.float64)) @ asked.T
        likeness.append((cosines.mean(axis=1) + cosines.max(axis=1)) / 2)
    # Rounding is not to decide between equal rows, nor between dense and sparse.
    return np.round(np.concatenate(likeness), 12)


def _weighed(codes: Any, weights: Floats) -> Floats:
    """Each row's codes, weighed and summed: always in one order, so that equal rows tie to the last bit."""
    return codes @ weights if sparse.issparse(codes) else np.einsum("ik,k->i", codes, weights)


def _row_numbers(name: str, rows: Any, n_rows: int) -> Ints:
    """Return the distinct row numbers that a list or a mask stands for, rising."""
    rows = np.atleast_1d(np.asarray(ops.to_host(rows)))
    if rows.size == 0:
        return np.array([], dtype=np.intp)
    if rows.dtype == bool:
        if rows.shape != (n_rows,):
            raise ValueError(
                f"{name} as a mask wants one entry for each of the {n_rows} rows; shape {rows.shape} came."
            )
        return np.flatnonzero(rows)
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise TypeError(
            f"{name} wants row numbers or a mask; {rows.dtype} of shape {rows.shape} came. Give a list of int."
        )
    if rows.min() < 0 or rows.max() >= n_rows:
        outside = rows[(rows < 0) | (rows >= n_rows)][0]
        raise ValueError(f"{name} wants rows from 0 to {n_rows - 1}, as codes has them; {outside} came.")
    return np.unique(rows).astype(np.intp)


def _filled(X: Any) -> NDArray[np.bool_]:
    """Which rows have anything in them."""
    X = check_array(ops.to_host(X), accept_sparse=("csr", "csc"))
    return np.asarray(abs(X).sum(axis=1)).ravel() > 0


def _ranked(scores: Floats, wanted: NDArray[np.bool_], n: int) -> Ranking:
    rows = np.flatnonzero(wanted)
    rows = rows[largest(scores[rows], n)]
    return Ranking(rows, np.asarray(scores[rows], dtype=np.float64))


def _at_least_one(name: str, number: int) -> None:
    if number < 1:
        raise ValueError(f"{name} must be at least 1; {number} came.")
