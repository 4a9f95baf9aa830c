"""Learning from a stream of documents, whose words and topics may be new."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from copy import copy, deepcopy
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from codebooks import ops
from codebooks.topic_model.changes import ComponentChanges
from codebooks.topic_model.components import append_components, is_editable, select_components, store_state
from codebooks.topic_model.fitted import Documents, Stream, translate_moves
from codebooks.topic_model.growth import find_new_components
from codebooks.topic_model.vocabulary import (
    align_columns,
    can_extend,
    compute_least_count,
    extend_terms,
    list_candidates,
    list_forbidden_terms,
    transform_texts,
    weigh_terms,
)
from codebooks.validation.arrays import restore_on_error

if TYPE_CHECKING:
    from typing import Self

__all__ = ["StreamingMixin"]

# Documents that are kept: the last ones, and a sample of all others.
_N_RECENT, _N_SAMPLED = 2_000, 18_000
# Terms with a column, and terms that are counted until they get one.
_N_TERMS, _N_CANDIDATES = 100_000, 200_000
# Beyond the number of terms, this share of it remains. Counts of terms fall to 1/e in this number of documents.
_KEPT_TERMS, _MEMORY = 0.9, 20_000
# Passes over the documents that are kept for each chunk.
_N_EPOCHS = 3
# The learner starts again whenever the number of documents has grown by this factor, until they are not all kept.
_GROWTH = 1.8
# New topics are searched for whenever this number of documents has been added, in these and at least in this number.
_PERIOD, _N_SEARCHED = 250, 1_000


class StreamingMixin(ComponentChanges):
    """`partial_fit`."""

    def partial_fit(self, documents: Sequence[str], y: Any = None) -> Self:
        """Learn from further documents; the first call is `fit`.

        Topics keep their ids. A word that is new gets a column when it has occurred in two documents, or in the least
        number of the vectorizer. With `grow=True` a theme that is new gets a topic. Memory is bounded: the model keeps
        the last 2,000 documents, a uniform sample of 18,000 of the others, and the 100,000 most frequent words.

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
        >>> model = model.partial_fit(["a car with an engine", "the engine of the car"])
        >>> bool(model.labels_[0] == model.predict(["engine"])[0])
        True
        """
        is_first = not self.__sklearn_is_fitted__()
        learner = self.learner if is_first else self.learner_
        if learner is not None and not hasattr(learner, "partial_fit"):
            raise TypeError(
                f"`learner` must have `partial_fit`, got {type(learner).__name__}. Use MultinomialMixture(), or fit on "
                "all documents."
            )
        if is_first:
            return self.fit(documents)
        texts = self._check_documents(documents)
        self._check_settings()
        with restore_on_error(self):
            if self._stream is None:
                self._stream = self._start_stream()
            words = self._count_words(texts)
            features = words if self.preparation_ is None else self.preparation_.transform(texts)
            filled = np.flatnonzero(ops.to_host(ops.row_norms(features)) > 0)
            if len(filled):
                self._keep_documents(texts, words, features, filled)
                self._learn_from_kept(ops.take_rows(features, filled))
                self._assign_documents()
            self._stream = self._stream._replace(n_documents=self._stream.n_documents + len(texts))
            self.labels_ = self._predict(texts)
        return self

    def _start_stream(self) -> Stream:
        """Return the stream whose documents so far are those that the model keeps."""
        n, seed, words = len(self._documents.texts), self._draw_seed(), self._documents.words
        counts = np.bincount(words.indices, minlength=words.shape[1]).astype(np.float64)
        priorities = np.random.default_rng([seed, 0]).random(n)
        stream = Stream(n, n, seed, priorities, np.arange(n), counts, {}, n, n)
        if can_extend(self.vectorizer_):
            stream = stream._replace(candidates=self._list_candidates(self._analyze(self._documents.texts), 0, {}))
        return stream

    # -- words -------------------------------------------------------------------------------------------------------

    def _analyze(self, texts: Sequence[str]) -> list[list[str]]:
        return [list(terms) for terms in map(self.vectorizer_.build_analyzer(), texts)]

    def _list_candidates(
        self, tokens: Sequence[Sequence[str]], first: int, before: dict[str, list[int]]
    ) -> dict[str, list[int]]:
        forbidden = list_forbidden_terms(self.vectorizer_, self._restrictions.forbidden)
        return list_candidates(tokens, first, before, (self.vectorizer_.vocabulary_, forbidden), _N_CANDIDATES)

    def _count_words(self, texts: Sequence[str]) -> Any:
        """Return the words of texts, after the vocabulary has been extended by new words."""
        is_extended = self.preparation_ is not None or is_editable(self.learner_)
        if not can_extend(self.vectorizer_) or not is_extended:
            return transform_texts(self.vectorizer_, texts)
        stream, tokens = self._stream, self._analyze(texts)
        candidates = self._list_candidates(tokens, stream.n_documents, stream.candidates)
        least = compute_least_count(self.vectorizer_, self.vectorizer is None, stream.n_documents + len(texts))
        added = {term: numbers for term, numbers in candidates.items() if len(numbers) >= least}
        for term in added:
            del candidates[term]
        self._stream = stream._replace(candidates=candidates)
        if added:
            self._change_vocabulary(added, tokens)
        words = weigh_terms(self.vectorizer_, tokens)
        if words.nnz:
            counts = self._stream.term_counts * math.exp(-len(texts) / _MEMORY)
            counts += np.bincount(words.indices, minlength=len(counts))
            self._stream = self._stream._replace(term_counts=counts)
        return words

    def _change_vocabulary(self, added: dict[str, list[int]], tokens: Sequence[Sequence[str]]) -> None:
        """Add columns for new words, and remove those of the rarest ones if there are too many."""
        stream, n_before = self._stream, len(self._stream.term_counts)
        counts = np.concatenate([stream.term_counts, list(map(len, added.values()))])
        limit = getattr(self.vectorizer_, "max_features", None) or _N_TERMS
        kept = np.ones(len(counts), bool)
        if len(counts) > limit:
            seeds = chain.from_iterable(self._restrictions.seeds.values())
            seeded = [self.vectorizer_.vocabulary_.get(term, -1) for term in seeds]
            ranked = counts.copy()
            ranked[[column for column in seeded if column >= 0]] = np.inf
            kept[np.argsort(-ranked, kind="stable")[max(int(_KEPT_TERMS * limit), 1) :]] = False
        added = {term: found for (term, found), is_kept in zip(added.items(), kept[n_before:], strict=True) if is_kept}
        before = kept[:n_before]
        columns = np.append(np.flatnonzero(before), np.full(len(added), -1))
        n_documents = stream.n_documents + len(tokens)
        self.vectorizer_ = extend_terms(self.vectorizer_, before, added, n_documents)
        words = align_columns(self._documents.words, columns, self.vectorizer_)
        # Rows of documents that contain the new words are counted again.
        numbers = np.array(list(chain.from_iterable(added.values())), dtype=np.int64)
        rows = np.flatnonzero(np.isin(stream.numbers, numbers))
        again = weigh_terms(self.vectorizer_, self._analyze([self._documents.texts[row] for row in rows]))
        order = np.arange(len(stream.numbers))
        order[rows] = len(order) + np.arange(len(rows))
        words = ops.take_rows(ops.stack_rows([words, again]), order)
        self._documents = self._documents._replace(words=words)
        new_counts = np.bincount(again.indices, minlength=len(columns))[columns < 0]
        self._stream = stream._replace(term_counts=np.append(counts[:n_before][before], new_counts))
        if self.preparation_ is None:
            self._documents = self._documents._replace(features=words)
            used = ops.stack_rows([again, weigh_terms(self.vectorizer_, tokens)])
            state = self.learner_._extend_features(used, self.learner_._get_state(), columns)
            self.learner_ = store_state(self.learner_, state)
            self.learner_.n_features_in_ = len(columns)

    # -- topics ------------------------------------------------------------------------------------------------------

    def _learn_from_kept(self, chunk: Any) -> None:
        """Learn from the documents that are kept, or from the last ones if the learner cannot be edited."""
        if not is_editable(self.learner_):
            self.learner_ = deepcopy(self.learner_).partial_fit(chunk)
            return
        stream = self._stream
        n_documents = int(stream.numbers[-1]) + 1
        if self.grow and n_documents - stream.n_searched >= _PERIOD:
            self._add_new_topics()
        if n_documents >= _GROWTH * stream.n_started and stream.n_started < _N_SAMPLED and not self._is_edited():
            self._start_again()
            self._stream = self._stream._replace(n_started=n_documents)
        else:
            self._learn_again(_N_EPOCHS)

    def _is_edited(self) -> bool:
        return bool(self.history_) or any(self._restrictions)

    def _add_new_topics(self) -> None:
        """Search for new themes in the last documents, and add a topic for each."""
        stream, features = self._stream, self._documents.features
        n_documents = int(stream.numbers[-1]) + 1
        self._stream = stream._replace(n_searched=n_documents)
        start = max(min(stream.n_searched, n_documents - _N_SEARCHED), stream.n_first, n_documents - _N_RECENT)
        first = int(np.searchsorted(stream.numbers, start))
        past, recent = (ops.take_rows(features, rows) for rows in (slice(0, first), slice(first, len(stream.numbers))))
        found = find_new_components(self.learner_, recent, past, [stream.seed, n_documents])
        if found is not None:
            owners = self.topic_ids_[self._component_topics].tolist()
            ids = self._create_ids(len(found.usage))
            self.learner_ = store_state(self.learner_, append_components(self.learner_._get_state(), found))
            self._set_topics([*self.topic_ids_.tolist(), *ids], [*owners, *ids])

    def _start_again(self) -> None:
        """Fit the learner again, and put each component in the place of the one with most rows in common."""
        X, new = self._documents.features, copy(self.learner_)
        before = ops.to_host(self.learner_.predict(X))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # components without documents show in `topics_`
            after = ops.to_host(new.fit(X).labels_)
        shared = np.zeros((len(new.usage_), len(new.usage_)))
        has_label = (before >= 0) & (after >= 0)
        np.add.at(shared, (before[has_label], after[has_label]), 1)
        _, order = linear_sum_assignment(-shared)
        self.learner_ = store_state(new, select_components(new._get_state(), order))

    # -- documents ---------------------------------------------------------------------------------------------------

    def _keep_documents(self, texts: list[str], words: Any, features: Any, filled: Any) -> None:
        """Keep these rows of further documents as the last ones, and a uniform sample of the others."""
        stream, before = self._stream, self._documents
        moved = self._restrictions.moved
        drawn = np.random.default_rng([stream.seed, stream.n_documents]).random(len(filled))
        priorities = np.concatenate([stream.priorities, drawn])
        numbers = np.concatenate([stream.numbers, stream.n_documents + filled])
        ranked = priorities.copy()
        ranked[list(moved)] = np.inf  # documents moved by hand stay
        ranked[max(len(ranked) - _N_RECENT, 0) :] = np.inf
        kept = np.sort(np.argsort(-ranked, kind="stable")[: _N_SAMPLED + _N_RECENT])
        old = kept[kept < len(before.texts)]
        new = filled[kept[len(old) :] - len(before.texts)]
        pairs = [(before.words, words)] + ([] if self.preparation_ is None else [(before.features, features)])
        stacked = [ops.stack_rows([ops.take_rows(a, old), ops.take_rows(b, new)]) for a, b in pairs]
        texts = [*[before.texts[row] for row in old], *[texts[row] for row in new]]
        evidence = before.evidence
        if evidence is not None:
            evidence = np.append(evidence[old], self._compare(texts[len(old) :]).evidence)
        self._documents = Documents(texts, stacked[0], stacked[-1], evidence, before.reference)
        position = {int(row): k for k, row in enumerate(kept)}
        self.history_ = translate_moves(self.history_, position)
        self._restrictions = self._restrictions._replace(
            moved={position[row]: id for row, id in moved.items() if row in position}
        )
        self._stream = stream._replace(priorities=priorities[kept], numbers=numbers[kept])
