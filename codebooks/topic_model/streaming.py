"""Learning from a stream of documents, whose words and topics may be new."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from codebooks import ops
from codebooks.topic_model.changes import ComponentChanges
from codebooks.topic_model.components import append_components, is_editable, learn, select_components, store_state
from codebooks.topic_model.fitted import Documents, Stream
from codebooks.topic_model.growth import find_new_groups
from codebooks.topic_model.vocabulary import (
    align_columns,
    can_extend,
    compute_least_count,
    count_candidates,
    count_terms,
    extend_terms,
)
from codebooks.validation.arrays import restore_on_error

if TYPE_CHECKING:
    from typing import Self

__all__ = ["StreamingMixin"]

# Documents that are kept, terms with a column, and terms that are counted until they get one.
_N_DOCUMENTS, _N_TERMS, _N_CANDIDATES = 20_000, 100_000, 200_000
# Beyond the number of terms, this share of it remains. Counts of terms fall to 1/e in this number of documents.
_KEPT_TERMS, _MEMORY = 0.9, 20_000
# Passes over the documents that are kept and those of the chunk.
N_EPOCHS = 3
# New topics are searched for in this number of documents, or in the last chunk, whenever this number has been added.
_RECENT, _PERIOD = 2_000, 250


class StreamingMixin(ComponentChanges):
    """`partial_fit`."""

    def partial_fit(self, documents: Sequence[str], y: Any = None) -> Self:
        """Learn from further documents; the first call is `fit`.

        Topics keep their ids. A word that is new gets a column when it has occurred in two documents, or in the least
        number of the vectorizer. With `grow=True` a theme that is new gets a topic. The model keeps a uniform sample of
        20,000 of all documents and the 100,000 most frequent words, so the memory that it needs is bounded.

        Parameters
        ----------
        documents : sequence of str
            The next documents; one is enough. Documents without words change nothing.
        y : ignored

        Returns
        -------
        self
            `labels_` are the topics of these documents. `topics_` describes the documents that the model keeps, and
            edits learn from them.

        Raises
        ------
        TypeError
            If `documents` are no texts, or `learner` has no `partial_fit`.
        ValueError
            If `fit` raises one for the first documents.

        Examples
        --------
        >>> from codebooks import TopicModel
        >>> model = TopicModel(2, random_state=0).fit(["red car", "fast car", "red apple", "ripe apple"])
        >>> _ = model.partial_fit(["a car with an engine", "the engine of the car"])
        >>> model.labels_[0] == model.predict(["engine"])[0]
        True
        """
        if not self.__sklearn_is_fitted__():
            self._require_partial_fit(self.learner)
            return self.fit(documents)
        self._require_partial_fit(self.learner_)
        texts = self._check_documents(documents)
        self._check_settings()
        with restore_on_error(self):
            stream = self._stream or self._start_stream()
            words, stream = self._count_new_words(texts, stream)
            features = words if self.preparation_ is None else self.preparation_.transform(texts)
            filled = np.flatnonzero(ops.to_host(ops.row_norms(features)) > 0)
            self._stream = stream
            if len(filled):
                chunk = ops.take_rows(features, filled)
                if self.grow and is_editable(self.learner_):
                    self._add_new_topics(chunk)
                self._learn_chunk(chunk)
                self._keep_documents([texts[row] for row in filled], words[filled], chunk)
                self._assign_documents()
            self.labels_ = self._find_topics(features, self.reject_below_)
        return self

    def _require_partial_fit(self, learner: Any) -> None:
        if learner is not None and not hasattr(learner, "partial_fit"):
            raise TypeError(
                f"`learner` must have `partial_fit`, got {type(learner).__name__}. Use MultinomialMixture(), or fit on "
                "all documents."
            )

    def _start_stream(self) -> Stream:
        """Return the stream whose documents so far are those that the model keeps."""
        n, seed, words = len(self._documents.texts), self._draw_seed(), self._documents.words
        counts = np.bincount(words.indices, minlength=words.shape[1]).astype(np.float64)
        candidates: dict[str, int] = {}
        if can_extend(self.vectorizer_):
            candidates = self._count_candidates(self._analyze(self._documents.texts), candidates)
        priorities = np.random.default_rng([seed, 0]).random(n)
        return Stream(n, seed, priorities, np.arange(n), counts, candidates, n, None, n)

    # -- words -------------------------------------------------------------------------------------------------------

    def _analyze(self, texts: Sequence[str]) -> list[list[str]]:
        return [list(terms) for terms in map(self.vectorizer_.build_analyzer(), texts)]

    def _count_candidates(self, tokens: Sequence[Sequence[str]], before: dict[str, int]) -> dict[str, int]:
        analyze, forbidden = self.vectorizer_.build_analyzer(), set(self._restrictions.forbidden)
        for word in self._restrictions.forbidden:
            terms = set(analyze(word))
            forbidden |= terms if len(terms) == 1 else set()
        return count_candidates(tokens, before, (self.vectorizer_.vocabulary_, forbidden), _N_CANDIDATES)

    def _count_new_words(self, texts: Sequence[str], stream: Stream) -> tuple[Any, Stream]:
        """Return the words of texts and the next stream, after the vocabulary has been extended by new words."""
        is_extended = self.preparation_ is not None or is_editable(self.learner_)
        if not can_extend(self.vectorizer_) or not is_extended:
            return self.vectorizer_.transform(texts), stream
        tokens = self._analyze(texts)
        candidates = self._count_candidates(tokens, stream.candidates)
        n_documents = stream.n_documents + len(texts)
        least = compute_least_count(self.vectorizer_, self.vectorizer is None, n_documents)
        added = {term: n for term, n in candidates.items() if n >= least}
        for term in added:
            del candidates[term]
        stream = stream._replace(candidates=candidates)
        if added:
            stream = self._change_vocabulary(tokens, added, stream, n_documents)
        words = count_terms(self.vectorizer_, tokens)
        if words.nnz:
            counts = stream.term_counts * math.exp(-len(texts) / _MEMORY)
            counts += np.bincount(words.indices, minlength=len(counts))
            stream = stream._replace(term_counts=counts)
        return words, stream

    def _change_vocabulary(
        self, tokens: Sequence[Sequence[str]], added: dict[str, int], stream: Stream, n_documents: int
    ) -> Stream:
        """Add columns for new words, and remove those of the rarest ones if there are too many."""
        counts = np.concatenate([stream.term_counts, list(added.values())])
        n_before, limit = len(stream.term_counts), getattr(self.vectorizer_, "max_features", None) or _N_TERMS
        kept = np.ones(len(counts), bool)
        if len(counts) > limit:
            seeded = {term for terms in self._restrictions.seeds.values() for term in terms}
            vocabulary = self.vectorizer_.vocabulary_
            ranked = counts.copy()
            ranked[[vocabulary[term] for term in seeded if term in vocabulary]] = np.inf
            kept[np.argsort(-ranked, kind="stable")[max(int(_KEPT_TERMS * limit), 1) :]] = False
        added = {term: n for (term, n), is_kept in zip(added.items(), kept[n_before:], strict=True) if is_kept}
        columns = np.append(np.flatnonzero(kept[:n_before]), np.full(len(added), -1))
        vectorizer = extend_terms(self.vectorizer_, kept[:n_before], added, n_documents)
        words = align_columns(self._documents.words, columns, vectorizer)
        self.vectorizer_ = vectorizer
        self._documents = self._documents._replace(words=words)
        # The counts of new words are added with the documents of the chunk.
        stream = stream._replace(term_counts=np.append(stream.term_counts[kept[:n_before]], np.zeros(len(added))))
        if self.preparation_ is None:
            self._documents = self._documents._replace(features=words)
            chunk = count_terms(vectorizer, tokens)
            learner = self.learner_
            self.learner_ = store_state(learner, learner._extend_features(chunk, learner._get_state(), columns))
            self.learner_.n_features_in_ = len(columns)
            if stream.recent is not None:
                stream = stream._replace(recent=align_columns(stream.recent, columns, vectorizer))
        return stream

    # -- topics ------------------------------------------------------------------------------------------------------

    def _add_new_topics(self, chunk: Any) -> None:
        """Search for new themes in the last documents, and add a topic for each."""
        stream = self._stream
        n_documents = stream.n_documents + chunk.shape[0]
        recent = chunk if stream.recent is None else ops.stack_rows([stream.recent, chunk])
        n_recent = max(_RECENT, chunk.shape[0])
        recent = ops.take_rows(recent, slice(max(recent.shape[0] - n_recent, 0), recent.shape[0]))
        self._stream = stream._replace(recent=recent)
        if n_documents - stream.n_searched < _PERIOD:
            return
        self._stream = self._stream._replace(n_searched=n_documents)
        past = np.flatnonzero(stream.numbers < n_documents - recent.shape[0])
        rows = ops.take_rows(self._documents.features, past)
        state, n_groups = find_new_groups(self.learner_, recent, rows, [stream.seed, n_documents])
        if n_groups:
            owners = self.topic_ids_[self._component_topics].tolist()
            new = self._create_ids(n_groups)
            self.learner_ = store_state(self.learner_, append_components(self.learner_._get_state(), state))
            self._set_topics([*self.topic_ids_.tolist(), *new], [*owners, *new])

    def _learn_chunk(self, chunk: Any) -> None:
        """Learn from the features of further documents that are not empty, and again from those that are kept."""
        if not is_editable(self.learner_):
            self.learner_ = deepcopy(self.learner_).partial_fit(chunk)
            return
        stream, n_documents = self._stream, self._stream.n_documents + chunk.shape[0]
        X = ops.stack_rows([self._documents.features, chunk])
        is_free = not self.history_ and not any(self._restrictions)
        if is_free and stream.n_started < _N_DOCUMENTS and n_documents >= 2 * stream.n_started:
            self.learner_ = _start_again(self.learner_, X)
            self._stream = stream._replace(n_started=n_documents)
        else:
            self.learner_ = learn(self.learner_, X, self.learner_._get_state(), N_EPOCHS, self._build_constraint())

    # -- sample ------------------------------------------------------------------------------------------------------

    def _keep_documents(self, texts: list[str], words: Any, features: Any) -> None:
        """Add documents to the stream, and keep a uniform sample of them."""
        stream, before = self._stream, self._documents
        n_kept, moved = len(before.texts), self._restrictions.moved
        drawn = np.random.default_rng([stream.seed, stream.n_documents]).random(len(texts))
        priorities = np.concatenate([stream.priorities, drawn])
        numbers = np.concatenate([stream.numbers, stream.n_documents + np.arange(len(texts))])
        priorities[list(moved)] = np.inf  # documents moved by hand stay
        kept = np.sort(np.argsort(-priorities, kind="stable")[:_N_DOCUMENTS])
        old, new = kept[kept < n_kept], kept[kept >= n_kept] - n_kept
        pairs = [(before.words, words)] + ([] if self.preparation_ is None else [(before.features, features)])
        stacked = [ops.stack_rows([ops.take_rows(a, old), ops.take_rows(b, new)]) for a, b in pairs]
        texts = [*[before.texts[row] for row in old], *[texts[row] for row in new]]
        self._documents = Documents(texts, stacked[0], stacked[-1])
        position = {int(row): k for k, row in enumerate(kept)}
        self._restrictions = self._restrictions._replace(
            moved={position[row]: id for row, id in moved.items() if row in position}
        )
        self._stream = stream._replace(
            n_documents=stream.n_documents + len(drawn), priorities=priorities[kept], numbers=numbers[kept]
        )


def _start_again(learner: Any, X: Any) -> Any:
    """Return a copy of a learner fitted on `X`, each component in the place of the one with most rows in common."""
    new = copy(learner)
    before = ops.to_host(learner.predict(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        after = ops.to_host(new.fit(X).labels_)
    shared = np.zeros((len(learner.usage_), len(new.usage_)))
    is_both = (before >= 0) & (after >= 0)
    np.add.at(shared, (before[is_both], after[is_both]), 1)
    _, order = linear_sum_assignment(-shared)
    return store_state(new, select_components(new._get_state(), order))
