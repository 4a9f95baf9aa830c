"""`TopicModel`: documents in, topics out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.interpret.topics import TopicList
from codebooks.models.inhibited_mixture import InhibitedMixture
from codebooks.models.multinomial_mixture import MultinomialMixture
from codebooks.selection import Selection, choose_n_components
from codebooks.topic_model.analysis import AnalysisMixin
from codebooks.topic_model.components import require_editable, select_components, store_state
from codebooks.topic_model.confidence import AUTO, ConfidenceMixin
from codebooks.topic_model.editing import EditingMixin
from codebooks.topic_model.fitted import Documents, Restrictions
from codebooks.topic_model.interchange import InterchangeMixin
from codebooks.topic_model.nearest import fit_in_steps
from codebooks.topic_model.refitting import RefittingMixin
from codebooks.topic_model.storage import StorageMixin
from codebooks.topic_model.streaming import StreamingMixin
from codebooks.topic_model.vocabulary import count_words
from codebooks.validation.arrays import restore_on_error
from codebooks.validation.texts import check_texts

if TYPE_CHECKING:
    from typing import Self

__all__ = ["TopicModel"]

# With fewer documents than this, "auto" is the square root of half their number.
_FEW_DOCUMENTS = 50
_N_EPOCHS_OF_SEEDS = 15


class TopicModel(
    EditingMixin, RefittingMixin, StreamingMixin, AnalysisMixin, InterchangeMixin, ConfidenceMixin, StorageMixin
):
    """Find the topics of documents, edit them, and assign documents to them.

    Use it like BERTopic or Top2Vec: `fit` takes a list of texts, and `topics_` lists the topics with names, words,
    sizes and representative documents. Every document has shares of all topics (`transform`) and one main topic
    (`predict`, `labels_`). `merge`, `split`, `reduce`, `remove`, `move`, `seed`, `forbid`, `pin` and `rename` return a
    new model with edited topics in a fraction of a second.

    It composes the other parts of this package: a vectorizer with a `TextAnalyzer`, `MultinomialMixture`,
    `choose_n_components` and `topic_words`; with an `embedder`, `TextEmbedder`, `PartialWhitening`,
    `NeighborSmoothing` and `InhibitedMixture`.

    Parameters
    ----------
    n_topics : int or "auto", default="auto"
        Number of topics. "auto" chooses it by `choose_n_components`, which takes some seconds.
    language : "auto", str, sequence of str, or None, default="auto"
        Code or codes of the language, for stop words. Set it if the documents are short. None means no language.
    embedder : str, transformer of texts, callable, or None, default=None
        Groups documents by sentence embeddings instead of words: the name or folder of a sentence-transformers model,
        a `TextEmbedder`, or a function of a list of texts. Its embeddings are whitened and smoothed. A Pipeline is used
        as it is. Words still describe the topics. Set it if documents of a topic use different words. On three of four
        labelled corpora, words alone agreed better with the labels.
    learner : estimator, optional
        Learns the topics, with any `n_components`. The default is `MultinomialMixture` for words and
        `InhibitedMixture` for embeddings.
    vectorizer : CountVectorizer, TfidfVectorizer or similar, optional
        Counts the words. The default is tf-idf of the words of a `TextAnalyzer`, without numbers, single letters and
        rare words: a word must occur in 2 documents if there are at least 50, in 3 if there are at least 500, in 5 if
        there are at least 5000. With at least 50 documents, words in more than half of them are left out.
    stop_words : sequence of str, optional
        Words to leave out besides those of the language. With `vectorizer`, set them there.
    seed_words : dict of str to sequence of str, optional
        Topics that must exist, by name, and words that belong to each. Further topics are found beside them.
    reject_below : float from 0 to 1, "auto" or None, default=None
        Documents with a smaller `confidence` have no topic, -1. It is the share of unseen documents of the same kind
        that are rejected, for example 0.05, which is "auto". Set it if there may be documents of other kinds. With
        None, only documents without known words have no topic.
    grow : bool, default=False
        Whether `partial_fit` adds topics for themes that the first documents do not have.
    random_state : int, RandomState or None, default=None
        Seed of the learner. With an integer, the same documents give the same topics.

    Attributes
    ----------
    topics_ : TopicList
        A `Topic` for each topic, the largest of `fit` first. It shows as a table, and `to_frame` makes a data frame.
    topic_ids_ : ndarray of shape (n_topics,), int64
        Ids in the order of the columns of `transform`. An edit keeps the ids of topics that it does not concern.
    labels_ : ndarray of shape (n_documents,), int64
        Id of the topic of each document of `fit` or of the last `partial_fit`; -1 for none. After an edit, of the
        documents that the model keeps.
    n_topics_ : int
        Number of topics.
    selection_ : Selection or None
        With `n_topics="auto"`: the numbers that were tried, and the reason of the choice.
    history_ : tuple of Edit
        Edits since `fit`.
    vectorizer_, preparation_, learner_ : estimators
        The fitted vectorizer, the steps before the learner (None without `embedder`), and the learner.

    See Also
    --------
    MultinomialMixture : The learner alone, for matrices.
    topic_words : Words for the components of any model.
    HopfieldRetriever : Search documents.

    Examples
    --------
    >>> from codebooks import TopicModel
    >>> from codebooks.datasets import load_glosses
    >>> glosses = load_glosses()
    >>> model = TopicModel(12, random_state=0).fit(glosses.documents)
    >>> print(model.topics_[:2])  # doctest: +SKIP
    >>> edited = model.merge([[0, 1]]).rename({0: "living things"})
    >>> len(edited.topics_), edited.topics_[0].name
    (11, 'living things')
    """

    def __init__(
        self,
        n_topics: int | Literal["auto"] = "auto",
        *,
        language: Any = "auto",
        embedder: Any = None,
        learner: Any = None,
        vectorizer: Any = None,
        stop_words: Sequence[str] | None = None,
        seed_words: Mapping[str, Sequence[str]] | None = None,
        reject_below: float | Literal["auto"] | None = None,
        grow: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_topics = n_topics
        self.language = language
        self.embedder = embedder
        self.learner = learner
        self.vectorizer = vectorizer
        self.stop_words = stop_words
        self.seed_words = seed_words
        self.reject_below = reject_below
        self.grow = grow
        self.random_state = random_state

    # -- fitting -----------------------------------------------------------------------------------------------------

    def fit(self, documents: Sequence[str], y: Any = None) -> Self:
        """Find the topics of documents.

        Parameters
        ----------
        documents : sequence of str
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `documents` are no texts, or a parameter has another type.
        ValueError
            If there are no words, or a parameter is out of range.
        """
        texts = self._check_documents(documents)
        self._check_settings()
        with restore_on_error(self):
            seed = self._draw_seed()
            self.vectorizer_, words = count_words(texts, self.vectorizer, self.language, self.stop_words)
            self.preparation_, self._documents = None, Documents(texts, words, words)
            if self.embedder is not None:
                self.preparation_ = self._build_preparation(len(texts))
                rows, features = fit_in_steps(self.preparation_, texts)
                self._documents = self._add_embeddings(Documents(texts, words, features), rows)
            self._restrictions, self.history_, self._next_id = Restrictions(), (), 0
            self.__dict__.pop("_origin", None)
            self._stream = None
            self.topics_ = TopicList()
            n_topics = self._choose_n_topics(words, seed)
            self._fit_learner(n_topics, seed)
            self._fit_threshold()
            self._assign_documents()
        return self

    def fit_predict(self, documents: Sequence[str], y: Any = None) -> NDArray[Any]:
        """Find the topics of documents, and return `labels_`."""
        return self.fit(documents).labels_

    def _fit_learner(self, n_topics: int, seed: int) -> None:
        """Fit the learner, and number its components by descending size."""
        features, n_seeded = self._documents.features, len(self.seed_words or ())
        learner = self._build_learner(max(n_topics - n_seeded, 1), seed)
        if n_seeded:
            require_editable(learner, "`seed_words` must be None unless `learner`", "Use one of these")
        with warnings.catch_warnings():
            # A topic without documents shows in `topics_`.
            warnings.filterwarnings("ignore", ".* components win no sample")
            warnings.filterwarnings("ignore", "The gates give nearly all rows")
            learner.fit(features)
        self.learner_ = learner
        n_components = self._count_components(learner, features)
        self.topic_ids_ = self._component_topics = np.arange(n_components)
        if n_seeded:
            seeds = self._check_seeds(self.seed_words)
            before = set(self.topic_ids_.tolist()) if n_topics <= n_seeded else set()
            self._next_id = n_components
            self._add_seeds(seeds)
            if before:
                self._drop_topics(before)
            self._learn_again(_N_EPOCHS_OF_SEEDS)
        self._number_by_size()

    def _number_by_size(self) -> None:
        """Number the topics from 0 on, the largest first."""
        labels = self._find_topics(self._documents.features)
        sizes = np.bincount(labels[labels >= 0], minlength=self.topic_ids_.max() + 1)[self.topic_ids_]
        order = np.argsort(-sizes, kind="stable")  # positions
        if self.selection_ is not None and (sizes > 0).any() and hasattr(self.learner_, "_get_state"):
            order = order[sizes[order] > 0]  # the number of topics was not set by the user
            kept = np.flatnonzero(np.isin(self._component_topics, order))
            if len(kept) < len(self._component_topics):
                state = select_components(self.learner_._get_state(), kept)
                self.learner_ = store_state(self.learner_, state)
                self._component_topics = self._component_topics[kept]
        rank = np.full(len(sizes), -1)
        rank[order] = np.arange(len(order))
        limits, old = self._restrictions, {int(self.topic_ids_[k]): int(rank[k]) for k in order}
        self._restrictions = limits._replace(
            names={old[id]: name for id, name in limits.names.items() if id in old},
            seeds={old[id]: terms for id, terms in limits.seeds.items() if id in old},
        )
        self._component_topics = rank[self._component_topics]
        self.topic_ids_ = np.arange(len(order))
        self._next_id = len(order)

    def _count_components(self, learner: Any, features: Any) -> int:
        if hasattr(learner, "usage_"):
            return len(learner.usage_)
        return int(learner.transform(ops.take_rows(features, np.arange(1))).shape[1])

    def _build_learner(self, n_components: int, seed: int) -> Any:
        learner = self.learner
        if learner is None:
            learner = MultinomialMixture() if self.embedder is None else InhibitedMixture()
        learner = clone(learner)
        settings = {"n_components": n_components, "random_state": seed}
        parameters = learner.get_params(deep=False)
        if "n_clusters" in parameters:
            settings["n_clusters"] = settings.pop("n_components")
        if parameters.get("random_state") is not None:
            del settings["random_state"]
        return learner.set_params(**{name: value for name, value in settings.items() if name in parameters})

    def _build_preparation(self, n_documents: int) -> Pipeline:
        """Return the steps that embed texts."""
        from codebooks.embeddings.neighbor_smoothing import NeighborSmoothing
        from codebooks.embeddings.text_embedder import TextEmbedder
        from codebooks.embeddings.whitening import PartialWhitening

        if isinstance(self.embedder, Pipeline):
            return clone(self.embedder)
        is_embedder = hasattr(self.embedder, "transform")
        embedder = clone(self.embedder) if is_embedder else TextEmbedder(self.embedder)
        if n_documents < 3:
            return make_pipeline(embedder)
        # At most a quarter of the documents, because more neighbors belong to other topics.
        n_neighbors = max(1, min(NeighborSmoothing().n_neighbors, n_documents // 4))
        return make_pipeline(embedder, PartialWhitening(), NeighborSmoothing(n_neighbors))

    def _choose_n_topics(self, words: Any, seed: int) -> int:
        """Return the number of topics, and set `selection_`."""
        self.selection_: Selection | None = None
        if not isinstance(self.n_topics, str):
            return int(self.n_topics)
        n_documents = int((words.getnnz(axis=1) > 0).sum())
        if n_documents < _FEW_DOCUMENTS:
            return max(1, round((n_documents / 2) ** 0.5))
        self.selection_ = choose_n_components(MultinomialMixture(random_state=seed), words, random_state=seed)
        return self.selection_.n_components

    @property
    def n_topics_(self) -> int:
        """Number of topics."""
        check_is_fitted(self)
        return len(self.topic_ids_)

    # -- prediction --------------------------------------------------------------------------------------------------

    def transform(self, documents: Sequence[str]) -> NDArray[Any]:
        """Compute the share of each topic in documents.

        Parameters
        ----------
        documents : sequence of str

        Returns
        -------
        ndarray of shape (n_documents, n_topics)
            Shares in the order of `topic_ids_`; each row sums to 1. They are even for a document without known words.
        """
        check_is_fitted(self)
        texts = self._check_documents(documents, empty=True)
        if not texts:
            return np.empty((0, len(self.topic_ids_)), np.float32)
        return self._compute_topic_shares(self._compute_features(texts)[1])[0]

    def fit_transform(self, documents: Sequence[str], y: Any = None) -> NDArray[Any]:
        """Find the topics of documents, and compute their shares in each."""
        return self.fit(documents)._compute_topic_shares(self._documents.features)[0]

    def predict(self, documents: Sequence[str]) -> NDArray[Any]:
        """Return the id of the topic with the largest share in each document.

        Parameters
        ----------
        documents : sequence of str

        Returns
        -------
        ndarray of shape (n_documents,), int64
            -1 for a document without known words, or rejected by `reject_below`.
        """
        check_is_fitted(self)
        texts = self._check_documents(documents, empty=True)
        if not texts:
            return np.empty(0, np.int64)
        return self._predict(texts)

    def score(self, documents: Sequence[str], y: Any = None) -> float:
        """Compute the score of the learner on documents: higher is better.

        Parameters
        ----------
        documents : sequence of str
        y : ignored

        Returns
        -------
        float
            For words the log likelihood per word. Compare models of the same words only.
        """
        check_is_fitted(self)
        if not hasattr(self.learner_, "score"):
            raise TypeError(
                f"score expected a learner with `score`, got {type(self.learner_).__name__}. Use MultinomialMixture()."
            )
        _, features = self._compute_features(self._check_documents(documents))
        return float(self.learner_.score(features))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the columns of `transform`: `topic_` and the id."""
        check_is_fitted(self)
        return np.array([f"topic_{id}" for id in self.topic_ids_.tolist()], dtype=object)

    def _fit_threshold(self) -> None:
        auto = isinstance(self.reject_below, str)
        self.reject_below_ = AUTO if auto else None if self.reject_below is None else float(self.reject_below)

    # -- validation --------------------------------------------------------------------------------------------------

    def _check_documents(self, documents: Any, *, empty: bool = False) -> list[str]:
        texts = check_texts(documents, "TopicModel")
        if not texts and not empty:
            raise ValueError("TopicModel expected at least one document, got none. Pass a list of texts.")
        return texts

    def _check_settings(self) -> None:
        n_topics = self.n_topics
        is_count = isinstance(n_topics, Integral) and not isinstance(n_topics, bool) and n_topics >= 1
        if not is_count and not (isinstance(n_topics, str) and n_topics == "auto"):
            raise ValueError(f'`n_topics` must be an integer >= 1 or "auto", got {short_repr(n_topics)}.')
        rejects = self.reject_below
        is_number = isinstance(rejects, Real) and not isinstance(rejects, bool) and 0 <= rejects <= 1
        if rejects is not None and not is_number and not (isinstance(rejects, str) and rejects == "auto"):
            raise ValueError(f'`reject_below` must be a number from 0 to 1, "auto" or None, got {short_repr(rejects)}.')
        if not isinstance(self.grow, bool | np.bool_):
            raise TypeError(f"`grow` must be True or False, got {short_repr(self.grow)}.")
        words = self.stop_words
        is_list = words is None or (isinstance(words, Iterable) and not isinstance(words, str))
        if not is_list or not all(isinstance(word, str) for word in words or ()):
            raise TypeError(f"`stop_words` must be a list of strings or None, got {short_repr(words)}.")
        if words is not None and self.vectorizer is not None:
            raise ValueError("`stop_words` must be None with a `vectorizer`, got both. Set them in the vectorizer.")
        seeds = self.seed_words
        if seeds is not None and not (isinstance(seeds, Mapping) and all(isinstance(name, str) for name in seeds)):
            raise TypeError(
                f"`seed_words` must be a dict of names of topics to words, such as {{'economy': ['bank']}}, got "
                f"{short_repr(seeds)}."
            )
        if self.vectorizer is not None and not hasattr(self.vectorizer, "get_feature_names_out"):
            raise TypeError(
                f"`vectorizer` must have `get_feature_names_out`, got {short_repr(self.vectorizer)}. Use "
                "CountVectorizer() or TfidfVectorizer()."
            )
        is_embedder = callable(self.embedder) or any(hasattr(self.embedder, name) for name in ("transform", "encode"))
        if not (self.embedder is None or isinstance(self.embedder, str | PathLike) or is_embedder):
            raise TypeError(
                "`embedder` must be the name or folder of an encoder, a transformer of texts, a function or None, got "
                f"{short_repr(self.embedder)}. Use TextEmbedder()."
            )
        if self.learner is not None and not (hasattr(self.learner, "fit") and hasattr(self.learner, "transform")):
            raise TypeError(
                f"`learner` must be an estimator with `fit` and `transform`, got {short_repr(self.learner)}. Use "
                "MultinomialMixture() or NMF()."
            )

    def _draw_seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        try:
            return int(check_random_state(self.random_state).randint(2**31 - 1))
        except ValueError as error:
            raise ValueError(
                f"`random_state` must be an integer, a RandomState or None, got {short_repr(self.random_state)}."
            ) from error

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        return tags
