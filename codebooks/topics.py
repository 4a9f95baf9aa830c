"""A codebook in words: what each unit is about, how much it wins, and which documents show it best.

The models are known by what they offer, not by their class: ``components_`` (or ``cluster_centers_``),
``transform``, and ``predict`` where there is one. Ours, scikit-learn's NMF, KMeans and LDA, and a Pipeline
that ends in any of them are read alike. A model whose columns are not words, as one of embeddings, is read by the
words of the documents that its units win: see ``codes`` of `topics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.codes import as_strength, codes_given, labels_given, strongest
from codebooks.errors import short_repr
from codebooks.inputs import check_count, check_matrix, check_structure
from codebooks.naming import Name, largest, name_by_documents, name_by_weights

__all__ = [
    "Topic",
    "codebook",
    "codes_of",
    "largest",
    "names_of",
    "prepared",
    "split",
    "terms_given",
    "top_columns",
    "top_documents",
    "topics",
    "winners",
    "wins",
]

Ints = NDArray[np.intp]
Naming = Literal["weights", "documents"]

_OF_OTHER_FEATURES = (
    "A model of embeddings or of other features is read by the words of its documents: pass terms=, X= their counts, "
    "and codes= model.predict of the same documents."
)


class Topic(NamedTuple):
    """One unit of a codebook in words.

    Parameters
    ----------
    index : int
        Which row of the codebook it is.
    terms : tuple of str
        Its words, the strongest first.
    weights : tuple of float
        The score of each word under the naming that chose it.
    usage : float
        Share of the documents that the unit wins, 0 to 1; nan where it is not known.
    opposed : tuple of str
        Words that speak against a signed unit, the strongest first; empty for non-negative units.
    opposed_weights : tuple of float
        Their weights, all below zero.

    Examples
    --------
    >>> print(Topic(3, ("goal", "match"), (0.8, 0.6), 0.125))
    3 (12.5%): goal, match
    >>> print(Topic(0, ("warm",), (0.9,), float("nan"), ("cold",), (-0.4,)))
    0: warm | against: cold
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a topic
    terms: tuple[str, ...]
    weights: tuple[float, ...]
    usage: float
    opposed: tuple[str, ...] = ()
    opposed_weights: tuple[float, ...] = ()

    def __str__(self) -> str:
        share = "" if np.isnan(self.usage) else f" ({self.usage:.1%})"
        against = f" | against: {', '.join(self.opposed)}" if self.opposed else ""
        return f"{self.index}{share}: {', '.join(self.terms) or '(no words)'}{against}"


def topics(
    model: Any,
    terms: Sequence[str] | NDArray[Any] | None = None,
    X: Any = None,
    n: int = 10,
    *,
    naming: Naming | None = None,
    codes: Any = None,
) -> list[Topic]:
    """Describe every component of a fitted model by words, chosen from its weights or, with X, from its documents.

    There are two namings. "weights" ranks word w for component k by the codebook itself, c_kw. "documents" uses only
    the documents and the component that wins each, so it serves any model. With p_kw the share of the documents of
    component k that contain word w, and p_w its share in all of X, the score of a word is

        s_kw = p_kw log(p_kw / p_w),

    or p_kw where no word is more frequent in the component than in X. The n words of a component are chosen together,
    among the n + 50 of highest score, to maximise

        mean over pairs i, j of min(c_ij, 0.5) + mean over words i of (0.5 log10(s_ki / max s_k) - 0.65 r_i).

    Here c_ij is the NPMI of two words over all of X (see `codebooks.scores.npmi_per_topic`), computed from m - sqrt(m)
    in place of the number m of documents that contain both, which is a lower confidence bound, and -1 if m <= 1;
    r_i is 1 if another component lists word i, else 0. The search starts from the n words of highest score and makes
    the single exchange that gains most until none gains, for one component after another, in at most three rounds.
    Words are listed by their score. Lists of more than 200 words are chosen by the score alone.

    The rule is ours; its constants were chosen on five corpora. It favours words that occur together in X, so NPMI
    on the same documents overestimates its coherence: choose the words on some documents, and compute NPMI on others
    (see the example of `codebooks.scores.npmi`). A component that wins no document is named by its weights.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        It has `components_` or `cluster_centers_`, of shape (n_components, n_features). In a Pipeline the
        last step is the model, and the steps before it make its matrix.
    terms : sequence of str, length n_features, optional
        The name of each column. Default: what the Pipeline's other steps call them, or the column names of
        the data frame that the model was fitted on.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline, optional
        Documents to name and to count by. With `codes`: counts or tf-idf of the documents that these speak of,
        with a column for each of `terms`.
    n : int, default=10
        At most so many words a topic. Only words with a positive score are listed, so there may be fewer.
    naming : {"weights", "documents"}, optional
        Default: "documents" when X is given, else "weights".
    codes : int array of shape (n_samples,), or array of shape (n_samples, n_components), optional
        What the model says of the documents: their labels as `predict` gives them (-1 for none), or their codes
        as `transform` does. For a model fitted on something else than words, such as embeddings: X, which then
        does not pass through the model, brings the words. A unit that wins no document has none.

    Returns
    -------
    list of Topic, length n_components
        Equal scores go to the lower column. `usage` is the share of X's rows that the unit wins, rejected
        rows (-1) left out; without X it is the model's own `usage_`, or nan. `opposed` has words only for a
        unit named by weights: those below zero, and in size at least a tenth of the unit's largest weight.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The model has not been fitted.
    TypeError
        The model has no codebook, or terms are not in an order, as in `vectorizer.vocabulary_`.
    ValueError
        No terms, a wrong number of them, an unknown naming, naming by documents without X or with an X that
        has negative values, an X of other features than the model's without codes, codes that do not fit X and
        the model, or an n that is no whole number from 1.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> texts = ["goal match", "goal match team", "loan bank", "loan bank rate"]
    >>> model = make_pipeline(CountVectorizer(), KMeans(2, n_init=5, random_state=0)).fit(texts)
    >>> sorted(topic.terms for topic in topics(model, X=texts, n=2))
    [('bank', 'loan'), ('goal', 'match')]

    A model of embeddings, here of two numbers a text; the words come from counts of the same texts:

    >>> import numpy as np
    >>> embeddings = np.array([[1.0, 0.1], [0.9, 0.0], [0.1, 1.0], [0.0, 0.9]])
    >>> words = CountVectorizer()
    >>> counts = words.fit_transform(texts)
    >>> model = KMeans(2, n_init=5, random_state=0).fit(embeddings)
    >>> found = topics(model, words.get_feature_names_out(), X=counts, n=2, codes=model.predict(embeddings))
    >>> sorted(topic.terms for topic in found)
    [('bank', 'loan'), ('goal', 'match')]
    """
    naming = _naming(naming, has_documents=X is not None)
    check_count("n", n)
    preparation, learner = split(model)
    weights = codebook(learner)
    n_components, n_features = weights.shape
    if codes is not None and naming == "documents":  # columns of the codebook are not words, or need not be
        X, names = words_beside(X, terms)
        weights = np.broadcast_to(0.0, (n_components, len(names)))  # of units that win no document
    else:
        names = names_of(preparation, learner, terms, n_features)

    labels = None
    if codes is not None:
        labels = labels_given(learner, codes, n_components, n_rows(X))
    elif X is not None:
        X = prepared(preparation, X, n_features)
        labels = winners(learner, X)
    usage = _usage(learner, labels, n_components)
    found: Sequence[Name | None] = [None] * n_components
    if labels is not None and naming == "documents":
        found = name_by_documents(_counted(X), labels, n_components, n)
    units = zip(weights, found, usage, strict=True)
    return [_topic(k, row, name, share, names, n) for k, (row, name, share) in enumerate(units)]


def top_documents(model: Any, X: Any = None, n: int = 3, *, codes: Any = None) -> list[Ints]:
    """The documents that show each unit best: of those it wins, the n with the largest code.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        As for `topics`, with a `transform`. For a KMeans the code is minus the distance.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        The documents; needless with codes.
    n : int, default=3
        At most so many a unit.
    codes : array of shape (n_samples, n_components), optional
        The codes of the documents, as `transform` gives them, where they are known: embeddings are not made again.

    Returns
    -------
    list of int arrays, length n_components
        Row numbers of X, the best first, equal codes by row number; fewer than n where the unit wins fewer.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError, ValueError
        The model has not been fitted; it has no codebook; n is no whole number from 1, neither X nor codes, codes
        that do not fit, or an X of other features than the model's.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> X = [[0.0], [0.1], [0.3], [9.0]]
    >>> model = KMeans(2, init=[[0.0], [9.0]], n_init=1).fit(X)
    >>> [rows.tolist() for rows in top_documents(model, X, n=2)]
    [[1, 0], [3]]
    """
    check_count("n", n)
    preparation, learner = split(model)
    n_components, n_features = codebook(learner).shape
    if codes is not None:
        strength = codes_given(learner, codes, n_components, n_rows(X))
        labels = strongest(learner, strength)
    elif X is not None:
        X = prepared(preparation, X, n_features)
        strength = codes_of(learner, X)
        labels = _labels(learner, X, strength)
    else:
        raise ValueError("documents are wanted and none came. Pass X=, or their codes=.")

    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(n_components + 1))
    won = (order[start:stop] for start, stop in pairwise(bounds))
    return [rows[largest(strength[rows, k], n)] for k, rows in enumerate(won)]


def _topic(index: int, row: NDArray[Any], name: Name | None, share: float, terms: list[str], n: int) -> Topic:
    """The component with the weights `row`, described by `name`, or by its weights where it has none."""
    against = Name(row[:0], np.array([], dtype=np.intp))
    if name is None:
        [name], columns = name_by_weights(row[None], n), _opposed(row, n)
        against = Name(row[columns], columns)
    words, others = (tuple(terms[w] for w in part.columns) for part in (name, against))
    return Topic(index, words, tuple(name.scores.tolist()), float(share), others, tuple(against.scores.tolist()))


def split(model: Any) -> tuple[Pipeline | None, Any]:
    """Part a fitted model into (the steps that make its matrix, or None; the learner)."""
    if isinstance(model, type) or not hasattr(model, "fit"):  # scikit-learn's error would show all documents
        raise TypeError(
            f"expected a fitted model first, got {type(model).__name__}. Pass the model, then its terms or documents: "
            "topics(model, terms) or topics(pipeline, X=documents)."
        )
    check_is_fitted(model)
    if not isinstance(model, Pipeline):
        return None, model
    return (model[:-1] if len(model) > 1 else None), model[-1]


def codebook(learner: Any) -> NDArray[Any]:
    """Return the units of a fitted learner, shape (n_components, n_features)."""
    for name in ("components_", "cluster_centers_"):
        if hasattr(learner, name):
            return np.asarray(ops.to_host(getattr(learner, name)))
    raise TypeError(
        "a model with a codebook is wanted, in components_ or cluster_centers_; "
        f"{type(learner).__name__} has neither. Give one of codebooks' learners, or scikit-learn's NMF, "
        "KMeans or LatentDirichletAllocation."
    )


def winners(learner: Any, X: Any) -> Ints:
    """Which unit wins each row of X, -1 for none: `predict`, or the strongest by its code where there is none."""
    return _labels(learner, X, None if hasattr(learner, "predict") else codes_of(learner, X))


def wins(labels: Ints, n_components: int) -> Ints:
    """How many rows each unit wins, shape (n_components,); rows labelled -1 are nobody's."""
    return np.bincount(labels[labels >= 0], minlength=n_components)


def top_columns(scores: NDArray[Any], n: int) -> list[Ints]:
    """For each row, the columns of its n largest positive entries, descending, ties to the lower column."""
    return [name.columns for name in name_by_weights(scores, n)]


def codes_of(learner: Any, X: Any) -> NDArray[Any]:
    """Codes of the rows of X, dense and on the host: more is stronger, for every kind of learner."""
    return as_strength(learner, learner.transform(X))


def _labels(learner: Any, X: Any, codes: NDArray[Any] | None) -> Ints:
    if codes is None or hasattr(learner, "predict"):
        return np.asarray(ops.to_host(learner.predict(X)))
    return strongest(learner, codes)


def _counted(X: Any) -> Any:
    """X, if its columns can be words."""
    advice = "X is the counts of the documents here, a column for each of the terms: vectorizer.fit_transform(texts)."
    X = check_matrix("naming by documents", ops.to_host(X), advice)
    if np.any((X.data if sparse.issparse(X) else X) < 0):
        raise ValueError(
            "naming by documents wants counts or tf-idf, never below zero; X has negative values. Use "
            'naming="weights"; of embeddings pass counts of the same documents, and codes=model.predict(embeddings).'
        )
    return X


def _usage(learner: Any, labels: Ints | None, n_components: int) -> NDArray[Any]:
    """The share of documents that each unit wins; where no labels are known what the model says, or nan."""
    if labels is None:
        return ops.to_host(getattr(learner, "usage_", np.full(n_components, np.nan)))
    count = wins(labels, n_components)
    return count / np.maximum(count.sum(), 1)


def _opposed(row: NDArray[Any], n: int) -> Ints:
    least = max(0.1 * np.abs(row).max(), np.finfo(np.float64).tiny)
    against = np.flatnonzero(-row >= least)
    return against[largest(-row[against], n)]


def prepared(preparation: Pipeline | None, X: Any, n_features: int) -> Any:
    """What reaches the learner of X: a matrix with the columns that the learner knows."""
    X = X if preparation is None else preparation.transform(X)
    check_structure("X", X)
    shape = np.shape(X)
    if len(shape) == 2 and shape[1] != n_features:
        raise ValueError(
            f"X with {n_features} columns is wanted, as the model has; {shape[1]} came. Prepare it as the training "
            f"matrix was. {_OF_OTHER_FEATURES}"
        )
    return X


def n_rows(X: Any) -> int | None:
    """How many documents X holds, None where there is no X."""
    return None if X is None else X.shape[0] if hasattr(X, "shape") else len(X)


def words_beside(X: Any, terms: Any) -> tuple[Any, list[str]]:
    """Counts of documents that a model has read by other features, and the word of each column."""
    X = _counted(X)
    if terms is None:
        raise ValueError(
            f"the names of the {X.shape[1]} columns of X are wanted and none came: codes are given for models whose "
            "columns are not words. Pass terms=, for example vectorizer.get_feature_names_out()."
        )
    return X, terms_given(terms, X.shape[1], "X", "Take them from the vectorizer that made X.")


def names_of(preparation: Pipeline | None, learner: Any, terms: Any, n_features: int) -> list[str]:
    """Return the word of each column: the terms given, or what the Pipeline's steps or the learner know."""
    if terms is None and preparation is not None:
        with suppress(AttributeError):  # a step that cannot name its columns
            terms = preparation.get_feature_names_out()
        _refuse_numbers(preparation, terms)
    elif terms is None:
        terms = getattr(learner, "feature_names_in_", None)
    if terms is None:
        raise ValueError(
            f"the names of the {n_features} columns are wanted and none came. Pass terms=, for example "
            "vectorizer.get_feature_names_out(), or a Pipeline whose steps can name their columns. "
            + _OF_OTHER_FEATURES
        )
    advice = "Take them from the vectorizer that made the training matrix. " + _OF_OTHER_FEATURES
    return terms_given(terms, n_features, "the codebook", advice)


def terms_given(terms: Any, n_columns: int, whose: str, advice: str) -> list[str]:
    """Terms that the user gives, checked: a name for each column, in the order of the columns."""
    is_list = hasattr(terms, "__len__") and getattr(terms, "ndim", 1) == 1
    if not is_list or isinstance(terms, str | Mapping | Set) or hasattr(terms, "get_feature_names_out"):
        raise TypeError(
            f"terms wants the names of the columns of {whose} in their order, and {type(terms).__name__} came. Pass "
            "vectorizer.get_feature_names_out(), or another list."
        )
    if len(terms) != n_columns:
        raise ValueError(f"{n_columns} terms are wanted, one for each column of {whose}; {len(terms)} came. {advice}")
    return [str(term) for term in terms]


def _refuse_numbers(preparation: Pipeline, terms: Any) -> None:
    """Refuse names of columns that only count them, as steps that make embeddings give: they are not words."""
    steps = {type(step).__name__.lower() for _, step in preparation.steps}
    for prefix in {"x", *steps}:
        if terms is not None and len(terms) and all(term == f"{prefix}{place}" for place, term in enumerate(terms)):
            raise ValueError(
                f"words are wanted, and the columns of this Pipeline are numbered ({terms[0]}, ...). "
                + _OF_OTHER_FEATURES
            )


def _naming(naming: Naming | None, has_documents: bool) -> Naming:
    if naming is None:
        return "documents" if has_documents else "weights"
    if naming not in ("weights", "documents"):
        raise ValueError(f'naming is "weights", "documents" or None; {short_repr(naming)} came.')
    if naming == "documents" and not has_documents:
        raise ValueError('naming="documents" wants documents and none came. Pass X=, or naming="weights".')
    return naming
