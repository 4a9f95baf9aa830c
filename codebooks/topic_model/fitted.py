"""What a fitted `TopicModel` contains, and the methods that its parts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks._documentation_link import DocumentationLink
from codebooks.interpret.topics import TopicList
from codebooks.topic_model.components import compute_shares, is_editable, store_labels
from codebooks.topic_model.description import describe_topics
from codebooks.topic_model.vocabulary import transform_texts

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Documents", "Edit", "FittedTopics", "Restrictions", "Stream", "find_positions", "translate_moves"]


class Documents(NamedTuple):
    """The documents that a model keeps: edits learn from them."""

    texts: list[str]
    words: Any  # CSR matrix (n_documents, n_terms)
    features: Any  # input of the learner: the same matrix, or embeddings
    # (n_documents,) numbers of distinct terms, or mean cosines with the nearest embeddings; None if not computed
    evidence: Any = None
    reference: Any = None  # sample of the embeddings


class Edit(NamedTuple):
    """An edit of a topic model.

    Parameters
    ----------
    method : str
        Name of the method of `TopicModel`.
    arguments : dict of str to object
        Its arguments.
    next_id : int or None, default=None
        Id of the first topic that it creates, if it creates topics.
    """

    method: str
    arguments: dict[str, Any]
    next_id: int | None = None


class Restrictions(NamedTuple):
    """What the user has set by hand. Each edit replaces entries, and none changes them in place."""

    names: dict[int, str] = {}  # noqa: RUF012 - never changed
    seeds: dict[int, list[str]] = {}  # noqa: RUF012 - terms of each seeded topic
    moved: dict[int, int] = {}  # noqa: RUF012 - topic of each moved document, by row
    pinned: frozenset[int] = frozenset()
    forbidden: tuple[str, ...] = ()


class Stream(NamedTuple):
    """What `partial_fit` keeps of the documents so far, besides some of them, `Documents`."""

    n_first: int  # documents of the first chunk
    n_documents: int  # so far
    seed: int
    priorities: NDArray[Any]  # (n_kept,) random numbers; the documents with the largest ones are kept
    numbers: NDArray[Any]  # (n_kept,) the number of documents before each
    term_counts: NDArray[Any]  # (n_terms,) decayed numbers of documents that contain each term
    candidates: dict[str, list[int]]  # the numbers of the documents that contain each term without a column
    n_started: int  # documents when the learner was started last
    n_searched: int  # documents when new topics were searched for last


class FittedTopics(TransformerMixin, ClusterMixin, DocumentationLink, BaseEstimator):
    """Attributes of a fitted topic model, the assignment of documents, and the copy that edits change."""

    vectorizer_: Any
    preparation_: Any  # Pipeline of embedding steps, or None
    learner_: Any
    topic_ids_: NDArray[Any]
    labels_: NDArray[Any]
    topics_: TopicList
    history_: tuple[Edit, ...]
    _documents: Documents  # after `partial_fit` some of them
    _kept_labels: NDArray[Any]  # ids of the topics of `_documents`
    _stream: Any  # Stream, or None before `partial_fit`
    _restrictions: Restrictions
    _component_topics: NDArray[Any]  # (n_components,) position of the topic of each component
    _next_id: int

    def __sklearn_is_fitted__(self) -> bool:
        return "learner_" in vars(self)

    def _start_edit(self, method: str, **arguments: Any) -> Self:
        """Return a copy of the model, with the edit in its history."""
        check_is_fitted(self)
        edited = copy(self)
        if not self.history_:
            edited._origin = copy(self)  # `fit` and `partial_fit` change this model in place
        edited.history_ = (*self.history_, Edit(method, arguments, self._next_id))
        return edited

    def _get_positions(self, ids: Sequence[int]) -> NDArray[Any]:
        """Return the positions of topics in `topic_ids_`."""
        position = {id: k for k, id in enumerate(self.topic_ids_.tolist())}
        return np.array([position[id] for id in ids], dtype=np.intp)

    def _compute_features(self, texts: Sequence[str]) -> tuple[Any, Any]:
        """Return the words of texts, and the input of the learner, which may be the same matrix."""
        words = transform_texts(self.vectorizer_, texts)
        return words, words if self.preparation_ is None else self.preparation_.transform(texts)

    def _compute_component_shares(self, features: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the shares of components in each document, and which documents have a label."""
        shares = compute_shares(self.learner_, features)
        has_label = ops.to_host(ops.row_norms(features)) > 0
        if shares.shape[1] > 1:
            has_label &= shares.max(axis=1) > shares.min(axis=1)
        return shares, has_label

    def _sum_by_topic(self, shares: NDArray[Any], has_label: NDArray[Any]) -> NDArray[Any]:
        """Return the shares of topics from those of components."""
        n_topics = len(self.topic_ids_)
        if len(self._component_topics) == n_topics:  # one component for each topic
            return shares[:, np.argsort(self._component_topics)]
        membership = np.zeros((len(self._component_topics), n_topics), shares.dtype)
        membership[np.arange(len(membership)), self._component_topics] = 1
        shares = shares @ membership
        shares[~has_label] = 1 / n_topics
        return shares

    def _compute_topic_shares(self, features: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the shares of topics in each document, and which documents have a label."""
        shares, has_label = self._compute_component_shares(features)
        return self._sum_by_topic(shares, has_label), has_label

    def _find_topics(self, features: Any) -> NDArray[Any]:
        """Return the id of the topic with the largest share in each document, -1 for none."""
        return self._select_topics(*self._compute_topic_shares(features))

    def _select_topics(self, shares: NDArray[Any], has_label: NDArray[Any]) -> NDArray[Any]:
        return np.where(has_label, self.topic_ids_[shares.argmax(axis=1)], -1)

    def _reject_documents(self, labels: NDArray[Any]) -> NDArray[Any]:
        raise NotImplementedError

    def _assign_documents(self) -> Self:
        """Set `labels_` and `topics_` from the components."""
        features = self._documents.features
        shares, has_label = self._compute_component_shares(features)
        if is_editable(self.learner_):
            self.learner_ = store_labels(self.learner_, np.where(has_label, shares.argmax(axis=1), -1))
        shares = self._sum_by_topic(shares, has_label)
        labels = self._reject_documents(self._select_topics(shares, has_label))
        for row, id in self._restrictions.moved.items():
            labels[row] = id
        self.labels_ = self._kept_labels = labels
        self._describe_topics()
        return self

    def _describe_topics(self) -> None:
        """Set `topics_` from the labels of the documents that the model keeps."""
        documents, ids = self._documents, self.topic_ids_
        self.topics_ = describe_topics(
            documents.words,
            documents.texts,
            documents.features,
            find_positions(ids, self._kept_labels),
            ids=ids.tolist(),
            terms=self.vectorizer_.get_feature_names_out(),
            names=self._restrictions.names,
        )


def find_positions(ids: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Return the position in `ids` of each label, -1 for none."""
    positions = np.full(len(labels), -1, dtype=np.intp)
    order, has_label = np.argsort(ids), labels >= 0
    positions[has_label] = order[np.searchsorted(ids, labels[has_label], sorter=order)]
    return positions


def translate_moves(history: Sequence[Edit], rows: Mapping[int, int]) -> tuple[Edit, ...]:
    """Return edits with other positions of documents, without moves of documents that have none."""
    edits = []
    for edit in history:
        if edit.method == "move":
            documents = [rows[row] for row in edit.arguments["documents"] if row in rows]
            edit = edit._replace(arguments={**edit.arguments, "documents": documents})
            if not documents:
                continue
        edits.append(edit)
    return tuple(edits)
