"""Components in words: topic words, their share of the documents, and representative documents.

`topic_words` and `representative_documents` read learners of codebooks, NMF, KMeans and LatentDirichletAllocation of
scikit-learn, and Pipelines that end in one of them. `cluster_words` reads the labels of any other model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codebooks import ops
from codebooks._tables import build_frame, format_html_table
from codebooks.errors import short_repr
from codebooks.interpret._labelling import (
    ScoredWords,
    choose_words_by_documents,
    choose_words_by_weights,
    select_largest,
)
from codebooks.interpret.assignments import check_given_codes, check_given_labels, select_winners
from codebooks.interpret.feature_names import check_word_counts, require_word_counts, resolve_feature_names
from codebooks.interpret.model_access import (
    apply_preparation,
    compute_codes,
    count_rows,
    count_wins,
    get_components,
    predict_components,
    resolve_labels,
    sort_by_cosine,
    split_pipeline,
)
from codebooks.validation.arrays import check_count

__all__ = ["Topic", "TopicList", "cluster_words", "representative_documents", "topic_words"]

Ints = NDArray[np.intp]
Method = Literal["weights", "documents"]


@dataclass(frozen=True)
class Topic:
    """A component described by words.

    Attributes
    ----------
    id : int
        The row of `components_`; for `cluster_words` the label.
    words : tuple of str
        Its words, the strongest first.
    weights : tuple of float
        The score of each word under the method that chose it.
    usage : float
        Share of the documents assigned to the component, 0 to 1; nan if unknown.
    negative_words : tuple of str
        Words with a negative weight, the strongest first. Only signed components have any.
    negative_weights : tuple of float
        Their weights, all below zero.
    size : int or None
        Number of documents assigned to the component; None if unknown.
    name : str
        A short name; "" if it has none. `TopicModel` names its topics.
    coherence : float
        NPMI of the words in the documents, -1 to 1; nan if unknown.
    documents : tuple of str
        Representative documents, the best first.
    is_mixed : bool
        Whether the topic collects documents that fit no other topic well, so that its words describe few of them.

    Examples
    --------
    >>> print(Topic(3, ("goal", "match"), (0.8, 0.6), 0.125))
    3 (12.5%): goal, match
    >>> print(Topic(0, ("warm",), (0.9,), float("nan"), ("cold",), (-0.4,)))
    0: warm | against: cold
    """

    id: Any
    words: tuple[str, ...]
    weights: tuple[float, ...]
    usage: float
    negative_words: tuple[str, ...] = ()
    negative_weights: tuple[float, ...] = ()
    size: int | None = None
    name: str = ""
    coherence: float = float("nan")
    documents: tuple[str, ...] = ()
    is_mixed: bool = False

    def __str__(self) -> str:
        share = "" if np.isnan(self.usage) else f" ({self.usage:.1%}{', mixed' if self.is_mixed else ''})"
        against = f" | against: {', '.join(self.negative_words)}" if self.negative_words else ""
        # A name that was made from the words adds nothing to them.
        name = f" {self.name}:" if self.name and not set(self.name.split(", ")) <= set(self.words) else ""
        return f"{self.id}{share}:{name} {', '.join(self.words) or '(no words)'}{against}"

    def _repr_html_(self) -> str:
        return TopicList([self])._repr_html_()


class TopicList(list[Topic]):
    """A list of topics that notebooks show as a table.

    Examples
    --------
    >>> topics = TopicList([Topic(0, ("goal", "match"), (0.8, 0.6), 0.75), Topic(1, ("loan",), (0.5,), 0.25)])
    >>> print(topics)
    0 (75.0%): goal, match
    1 (25.0%): loan
    >>> topics.to_frame()
       id  size  usage          words
    0   0  None   0.75  (goal, match)
    1   1  None   0.25        (loan,)
    """

    @overload
    def __getitem__(self, index: SupportsIndex) -> Topic: ...
    @overload
    def __getitem__(self, index: slice) -> TopicList: ...
    def __getitem__(self, index: Any) -> Any:
        item = super().__getitem__(index)
        return TopicList(item) if isinstance(index, slice) else item

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        return format_html_table(self._columns())

    def to_frame(self, library: Literal["pandas", "polars"] = "pandas") -> Any:
        """Return the topics as a data frame with a row for each.

        Parameters
        ----------
        library : {"pandas", "polars"}, default="pandas"
            The library of the data frame, which must be installed.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            Columns `id`, `size`, `usage`, `words`, and of `name`, `coherence`, `is_mixed`, `negative_words` and
            `documents` those that a topic has.
        """
        return build_frame(self._columns(), library)

    def _columns(self) -> dict[str, list[Any]]:
        names = ["id", "size", "usage", "words"]
        if any(topic.name for topic in self):
            names = ["id", "name", "size", "usage", "coherence", "is_mixed", "words"]
        names += [name for name in ("negative_words", "documents") if any(getattr(topic, name) for topic in self)]
        return {name: [getattr(topic, name) for topic in self] for name in names}


def topic_words(
    model: Any,
    X: Any = None,
    *,
    feature_names: Sequence[str] | NDArray[Any] | None = None,
    n_words: int = 10,
    method: Method | None = None,
    labels: Any = None,
) -> TopicList:
    """Describe each component of a fitted model by words, chosen by its documents or, without X, by its weights.

    Two methods choose the words. "weights" ranks word w of component k by the weight c_kw in `components_`.
    "documents" uses only the documents and their labels, so it is available for any model. With p_kw the share of
    the documents of component k that contain word w, and p_w its share in all of X, the score of a word is

        s_kw = p_kw log(p_kw / p_w),

    or p_kw if no word is more frequent in the component than in X. The n words of a component are chosen together,
    among the n + 50 of highest score, to maximise

        mean over pairs i, j of min(c_ij, 0.5) + mean over words i of (0.5 log10(s_ki / max s_k) - 0.65 r_i).

    Here c_ij is the NPMI of two words over all of X (see `codebooks.metrics.npmi_per_topic`), computed from m - sqrt(m)
    in place of the number m of documents that contain both, which is a lower confidence bound, and -1 if m <= 1;
    r_i is 1 if another component lists word i, else 0. The search starts from the n words of highest score and makes
    the single exchange with the largest gain until there is no gain, for one component after another, in at most three
    rounds. Words are listed by their score. Lists of more than 200 words are chosen by the score alone.

    The rule is original to this package; its constants were chosen on five corpora. It favours words that occur
    together in X, so NPMI on the same documents overestimates its coherence: choose the words on some documents, and
    compute NPMI on others (see the example of `codebooks.metrics.npmi`). A component without documents is described by
    its weights.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        A model with `components_` or `cluster_centers_`, of shape (n_components, n_features). In a Pipeline the last
        step is the model, and the steps before it compute its input matrix.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline, optional
        The documents. With `labels`: counts or tf-idf of the labelled documents, a column for each name in
        `feature_names`.
    feature_names : sequence of str, length n_features, optional
        The word of each column. Default: the feature names of the steps of the Pipeline, or the column names of the
        data frame that the model was fitted on.
    n_words : int, default=10
        The largest number of words for a topic. Only words with a positive score are listed, so there may be fewer.
    method : {"weights", "documents"}, optional
        Default: "documents" if X is given, else "weights".
    labels : int array of shape (n_samples,), or array of shape (n_samples, n_components), optional
        The component of each document as `predict` returns it (-1 for none), or codes as `transform` returns them.
        Pass it for a model whose features are not words, such as embeddings: X then contains the word counts of the
        documents and is not passed to the model. A component without documents has no words.

    Returns
    -------
    TopicList
        A `Topic` for each component. Ties are resolved by the lower column. `usage` is the share of the rows of X
        assigned to the component, without rejected rows (-1); without X it is `usage_` of the model, or nan.
        `negative_words` are listed only for a component described by its weights: words with a negative weight of at
        least a tenth of the largest absolute weight.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The model is not fitted.
    TypeError
        The model has no components, or `feature_names` has no order, such as `vectorizer.vocabulary_`.
    ValueError
        Feature names are missing or not one for each column, `method` is unknown or needs X, X has negative values or
        another number of features, `labels` do not match X or the model, or `n_words` is below 1.

    See Also
    --------
    cluster_words : Words for the labels of any other model.
    representative_documents : The documents with the largest codes of each component.
    codebooks.plots.plot_topics : Plot the topics.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> texts = ["goal match", "goal match team", "loan bank", "loan bank rate"]
    >>> model = make_pipeline(CountVectorizer(), KMeans(2, n_init=5, random_state=0)).fit(texts)
    >>> sorted(topic.words for topic in topic_words(model, texts, n_words=2))
    [('bank', 'loan'), ('goal', 'match')]

    A model of embeddings, here with two numbers for each text. The words are counts of the same texts:

    >>> import numpy as np
    >>> embeddings = np.array([[1.0, 0.1], [0.9, 0.0], [0.1, 1.0], [0.0, 0.9]])
    >>> vectorizer = CountVectorizer()
    >>> counts = vectorizer.fit_transform(texts)
    >>> labels = KMeans(2, n_init=5, random_state=0).fit_predict(embeddings)
    >>> names = vectorizer.get_feature_names_out()
    >>> sorted(topic.words for topic in cluster_words(labels, counts, names, n_words=2))
    [('bank', 'loan'), ('goal', 'match')]
    """
    method = _choose_method(method, has_documents=X is not None)
    check_count("n_words", n_words)
    preparation, learner = split_pipeline(model)
    weights = get_components(learner)
    n_components, n_features = weights.shape
    if labels is not None and method == "documents":  # columns of the components need not be words
        X, names = check_word_counts(X, feature_names)
        weights = np.broadcast_to(0.0, (n_components, len(names)))  # of components without documents
    else:
        names = resolve_feature_names(preparation, learner, feature_names, n_features)

    if labels is not None:
        labels = check_given_labels(learner, labels, n_components, count_rows(X))
    elif X is not None:
        X = apply_preparation(preparation, X, n_features)
        labels = predict_components(learner, X)
    words: Sequence[ScoredWords | None] = [None] * n_components
    if labels is not None and method == "documents":
        words = choose_words_by_documents(require_word_counts(X), labels, n_components, n_words)
    usage, sizes = _compute_usage(learner, labels, n_components)
    components = zip(weights, words, usage, sizes, strict=True)
    return TopicList(
        _build_topic(k, row, chosen, (share, size), names, n_words)
        for k, (row, chosen, share, size) in enumerate(components)
    )


def cluster_words(
    labels: ArrayLike, X: Any, feature_names: Sequence[str] | NDArray[Any] | None = None, *, n_words: int = 10
) -> TopicList:
    """Describe the clusters of any model, such as HDBSCAN, by the words of their documents.

    The words are chosen by the method "documents" of `topic_words`.

    Parameters
    ----------
    labels : int or str array of shape (n_samples,)
        The cluster of each document. Negative numbers mark documents without a cluster.
    X : array or sparse matrix of shape (n_samples, n_features)
        Counts or tf-idf of the documents, without negative values.
    feature_names : sequence of str, length n_features, optional
        The word of each column. Default: the column names of X if it is a data frame.
    n_words : int, default=10
        The largest number of words for a cluster.

    Returns
    -------
    TopicList
        A `Topic` for each label that occurs, in ascending order; its `id` is the label.

    Raises
    ------
    TypeError
        `feature_names` has no order, such as `vectorizer.vocabulary_`.
    ValueError
        `labels` are not integers or strings or not one for each row of X, no document has a label, X has negative
        values, or feature names are missing or not one for each column.

    See Also
    --------
    topic_words : Words for the components of a model.

    Examples
    --------
    >>> counts = [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]]
    >>> print(cluster_words([0, 0, 7, -1], counts, ["goal", "match", "loan", "bank"], n_words=2))
    0 (66.7%): goal, match
    7 (33.3%): loan, bank
    """
    check_count("n_words", n_words)
    if feature_names is None and hasattr(X, "columns"):
        feature_names = list(X.columns)
    counts, names = check_word_counts(X, feature_names)
    labels = np.asarray(ops.to_host(labels))
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.ravel()):
        labels = labels.astype(str)
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise ValueError(
            f"`labels` must be integers or strings, one for each document, got {labels.dtype} of shape {labels.shape}. "
            "Pass the labels that the model returned."
        )
    if len(labels) != counts.shape[0]:
        raise ValueError(
            f"`labels` and `X` must have a row for each document, got {len(labels)} labels and {counts.shape[0]} rows. "
            "Make both from the same list of documents."
        )
    has_label = np.ones(len(labels), bool) if labels.dtype.kind == "U" else labels >= 0
    if not has_label.any():
        raise ValueError("`labels` must have a cluster for at least one document, got none. Use another clustering.")
    ids, inverse = np.unique(labels[has_label], return_inverse=True)
    components = np.full(len(labels), -1, dtype=np.intp)
    components[has_label] = inverse
    sizes = count_wins(components, len(ids))
    words = choose_words_by_documents(counts, components, len(ids), n_words)
    no_weights = np.zeros(len(names))
    clusters = zip(ids.tolist(), words, sizes.tolist(), strict=True)
    total = int(sizes.sum())
    return TopicList(
        _build_topic(id, no_weights, chosen, (size / total, size), names, n_words) for id, chosen, size in clusters
    )


def representative_documents(model: Any, X: Any = None, *, n_documents: int = 3, codes: Any = None) -> list[Ints]:
    """Find representative documents of each component: of those assigned to it, the documents with the largest code.

    Parameters
    ----------
    model : fitted estimator or fitted Pipeline
        As for `topic_words`, with a `transform`. For KMeans the code is minus the distance.
    X : array or sparse matrix of shape (n_samples, n_features), or raw documents for a Pipeline
        The documents; not needed with `codes`.
    n_documents : int, default=3
        The largest number of documents for a component.
    codes : array of shape (n_samples, n_components), optional
        The codes of the documents as `transform` returns them, to avoid computing them again.

    Returns
    -------
    list of int arrays, length n_components
        Row indices of X, the best first; fewer if the component has fewer documents. Equal codes, such as shares of 1,
        are ordered by the cosine with the mean of the documents of the component, and without X by row index.

    Raises
    ------
    sklearn.exceptions.NotFittedError, TypeError, ValueError
        The model is not fitted; it has no components; `n_documents` is below 1, neither X nor codes are given, or they
        do not match the model.

    See Also
    --------
    rank_documents : All documents ranked by one component.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> X = [[0.0], [0.1], [0.3], [9.0]]
    >>> model = KMeans(2, init=[[0.0], [9.0]], n_init=1).fit(X)
    >>> [rows.tolist() for rows in representative_documents(model, X, n_documents=2)]
    [[1, 0], [3]]
    """
    check_count("n_documents", n_documents)
    preparation, learner = split_pipeline(model)
    n_components, n_features = get_components(learner).shape
    if codes is not None:
        strength = check_given_codes(learner, codes, n_components, count_rows(X))
        labels = select_winners(learner, strength)
    elif X is not None:
        X = apply_preparation(preparation, X, n_features)
        strength = compute_codes(learner, X)
        labels = resolve_labels(learner, X, strength)
    else:
        raise ValueError("`X` or `codes` must be given, got neither. Pass the documents as X=, or their codes=.")

    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(n_components + 1))
    documents = []
    for k, (start, stop) in enumerate(pairwise(bounds)):
        rows = order[start:stop]
        rows = rows if codes is not None else sort_by_cosine(X, rows)
        documents.append(rows[select_largest(strength[rows, k], n_documents)])
    return documents


def _build_topic(
    id: Any,
    row: NDArray[Any],
    chosen: ScoredWords | None,
    usage: tuple[float, int | None],
    names: list[str],
    n_words: int,
) -> Topic:
    """Build the topic of a component from its `chosen` words, or from its weights `row` if these are None.

    `usage` is the share and the number of its documents.
    """
    against = ScoredWords(row[:0], np.array([], dtype=np.intp))
    if chosen is None:
        [chosen], columns = choose_words_by_weights(row[None], n_words), _select_negative_words(row, n_words)
        against = ScoredWords(row[columns], columns)
    words, negative = (tuple(names[w] for w in part.columns) for part in (chosen, against))
    weights, negative_weights = (tuple(part.scores.tolist()) for part in (chosen, against))
    return Topic(id, words, weights, float(usage[0]), negative, negative_weights, usage[1])


def _compute_usage(learner: Any, labels: Ints | None, n_components: int) -> tuple[NDArray[Any], list[int | None]]:
    """Return the share and the number of documents of each component; nan and None if unknown."""
    if labels is None:
        return ops.to_host(getattr(learner, "usage_", np.full(n_components, np.nan))), [None] * n_components
    sizes = count_wins(labels, n_components)
    return sizes / np.maximum(sizes.sum(), 1), sizes.tolist()


def _select_negative_words(row: NDArray[Any], n: int) -> Ints:
    least = max(0.1 * np.abs(row).max(), np.finfo(np.float64).tiny)
    against = np.flatnonzero(-row >= least)
    return against[select_largest(-row[against], n)]


def _choose_method(method: Method | None, has_documents: bool) -> Method:
    if method is None:
        return "documents" if has_documents else "weights"
    if method not in ("weights", "documents"):
        raise ValueError(f"`method` must be 'weights', 'documents' or None, got {short_repr(method)}.")
    if method == "documents" and not has_documents:
        raise ValueError("`method='documents'` needs documents, got none. Pass X=, or method='weights'.")
    return method
