"""Edits of a fitted `TopicModel`: each returns a new model, and leaves the old one unchanged."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.interpret.topics import Topic
from codebooks.topic_model.changes import ComponentChanges, list_words, require_list
from codebooks.topic_model.components import is_editable
from codebooks.validation.arrays import check_count

if TYPE_CHECKING:
    from typing import Self

__all__ = ["EditingMixin"]


class EditingMixin(ComponentChanges):
    """Methods that change topics."""

    def merge(self, groups: Sequence[Sequence[int]]) -> Self:
        """Merge topics: their shares are added, and the largest of each group keeps its id.

        Parameters
        ----------
        groups : sequence of sequences of int
            Ids of the topics that become one, for example `[[3, 7], [1, 4, 5]]`.

        Returns
        -------
        TopicModel
            A new model; this one does not change.

        Raises
        ------
        TypeError, ValueError
            If `groups` are no ids of topics, or list a topic twice.
        """
        check_is_fitted(self)
        given = require_list(groups, "groups", "[[3, 7]]")
        if given and all(isinstance(id, Integral) for id in given):
            given = [given]  # one group
        listed = [self._check_ids(group, "groups") for group in given]
        self._check_ids([id for group in listed for id in group], "groups")
        edited = self._start_edit("merge", groups=listed)
        edited._merge_groups(listed)
        return edited._assign_documents()

    def reduce(self, n_topics: int) -> Self:
        """Merge the most similar topics until this number is left.

        Parameters
        ----------
        n_topics : int
            Number of topics, at most the present one.

        Returns
        -------
        TopicModel
            A new model; `hierarchy` shows the order in which topics are merged.
        """
        check_is_fitted(self)
        check_count("n_topics", n_topics)
        if n_topics > len(self.topic_ids_):
            raise ValueError(
                f"`n_topics` must be at most the {len(self.topic_ids_)} topics of the model, got {n_topics}. Use split "
                f"to divide a topic, or fit again with TopicModel({n_topics})."
            )
        edited = self._start_edit("reduce", n_topics=int(n_topics))
        edited._merge_groups(self.hierarchy().cut(n_topics))
        return edited._assign_documents()

    def split(self, topic: int, n: int = 2) -> Self:
        """Divide a topic into several; the largest part keeps its id.

        Parameters
        ----------
        topic : int
            Id of the topic.
        n : int, default=2
            Number of parts.

        Returns
        -------
        TopicModel
            A new model, in which the other parts have new ids.

        Raises
        ------
        ValueError
            If the topic has too few documents, or they are too similar.
        """
        check_is_fitted(self)
        topic = self._check_id(topic, "topic")
        check_count("n", n, least=2)
        edited = self._start_edit("split", topic=topic, n=int(n))
        self._require_editable("split")
        rows = np.flatnonzero(self._kept_labels == topic)
        X = ops.take_rows(self._documents.features, rows)
        if len(rows) < n:
            raise ValueError(
                f"Topic {topic} has {len(rows)} documents, so it cannot have {n} parts. Use a smaller `n`, or another "
                "topic."
            )
        part = clone(self.learner_).set_params(n_components=n, batch_size=len(rows), random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # idle components are left out below
            labels = part.fit_predict(ops.select_used_columns(X)[1] if ops.is_sparse(X) else X)
        used, labels = np.unique(np.maximum(labels, 0), return_inverse=True)
        if len(used) < n:
            raise ValueError(
                f"Topic {topic} has {len(used)} kinds of documents, so it cannot have {n} parts. Use a smaller `n`, or "
                "another topic."
            )
        order = np.argsort(-np.bincount(labels), kind="stable")
        labels = np.argsort(order)[labels]  # the largest part first
        new_ids = edited._create_ids(n - 1)
        edited._replace_components({topic}, rows, labels, [topic, *new_ids])
        return edited._assign_documents()

    def remove(self, topics: int | Sequence[int]) -> Self:
        """Remove topics; their documents go to the topics that describe them best among the others.

        Parameters
        ----------
        topics : int or sequence of int
            Ids of topics.

        Returns
        -------
        TopicModel
            A new model; this one does not change.
        """
        check_is_fitted(self)
        topics = self._check_ids(topics, "topics")
        if len(topics) == len(self.topic_ids_):
            raise ValueError(f"`topics` must leave a topic, got all {len(topics)}. Fit a new model instead.")
        self._require_editable("remove")
        edited = self._start_edit("remove", topics=topics)
        edited._drop_topics(set(topics))
        return edited._assign_documents()

    def move(self, documents: int | Sequence[int], topic: int) -> Self:
        """Assign documents to a topic by hand; the topics concerned learn from it.

        Parameters
        ----------
        documents : int or sequence of int
            Positions of documents in the list that the model was fitted on; after `partial_fit` in the sample that it
            keeps, which `retriever().texts_` shows.
        topic : int
            Id of a topic, or -1 for no topic.

        Returns
        -------
        TopicModel
            A new model. `labels_` of these documents stay as they are in later edits.
        """
        check_is_fitted(self)
        topic = -1 if isinstance(topic, Integral) and topic == -1 else self._check_id(topic, "topic")
        n_documents = len(self._kept_labels)
        rows = [documents] if isinstance(documents, Integral) else require_list(documents, "documents", "[0, 5]")
        for row in rows:
            if isinstance(row, bool) or not isinstance(row, Integral) or not 0 <= int(row) < n_documents:
                raise ValueError(
                    f"`documents` must be positions of documents, integers from 0 to {n_documents - 1}, got "
                    f"{short_repr(row)}."
                )
        rows = [int(row) for row in rows]
        edited = self._start_edit("move", documents=rows, topic=topic)
        moved = {**self._restrictions.moved, **dict.fromkeys(rows, topic)}
        edited._restrictions = self._restrictions._replace(moved=moved)
        if is_editable(self.learner_):
            labels = self._kept_labels.copy()
            concerned = ({*labels[rows].tolist(), topic} - {-1}) - self._restrictions.pinned
            labels[rows] = topic
            edited._describe_again(labels, concerned)
        return edited._assign_documents()

    def seed(self, seed_words: Mapping[Any, Sequence[str]]) -> Self:
        """Guide topics by words: the words of a topic belong to no other one, and all topics learn again.

        Parameters
        ----------
        seed_words : dict of str or int to sequence of str
            Words of each topic. The key is the name of a new topic, or the name or id of a present one.

        Returns
        -------
        TopicModel
            A new model, in which new topics have these names.

        Raises
        ------
        ValueError
            If a topic has no word that the documents contain, or a word belongs to two topics.
        """
        check_is_fitted(self)
        self._require_editable("seed")
        if isinstance(seed_words, Mapping):  # a generator of words can be read once
            seed_words = {
                int(key) if isinstance(key, np.integer) else key: list_words(words) for key, words in seed_words.items()
            }
        terms = self._check_seeds(seed_words)
        edited = self._start_edit("seed", seed_words=seed_words)
        edited._add_seeds(terms)
        return edited._learn_again()._assign_documents()

    def forbid(self, words: Sequence[str]) -> Self:
        """Leave out words, and learn again without them.

        Parameters
        ----------
        words : sequence of str

        Returns
        -------
        TopicModel
            A new model; this one does not change.

        Raises
        ------
        ValueError
            If no word is left.
        """
        check_is_fitted(self)
        words = [words] if isinstance(words, str) else require_list(words, "words", '["said"]')
        if not all(isinstance(word, str) for word in words):
            raise TypeError(f"`words` must be strings, got {short_repr(words)}.")
        edited = self._start_edit("forbid", words=words)
        forbidden = (*self._restrictions.forbidden, *words)
        edited._restrictions = self._restrictions._replace(forbidden=tuple(dict.fromkeys(forbidden)))
        if edited._drop_forbidden():
            if self.preparation_ is None:
                self._require_editable("forbid")
                edited._align_components(self.vectorizer_.get_feature_names_out())
                edited._learn_again()
                return edited._assign_documents()
            edited._describe_topics()
        return edited

    def pin(self, topics: int | Sequence[int]) -> Self:
        """Keep the components of topics as they are in later edits and refits.

        Parameters
        ----------
        topics : int or sequence of int
            Ids of topics.

        Returns
        -------
        TopicModel
            A new model; this one does not change.
        """
        check_is_fitted(self)
        topics = self._check_ids(topics, "topics")
        self._require_editable("pin")
        edited = self._start_edit("pin", topics=topics)
        edited._restrictions = self._restrictions._replace(pinned=self._restrictions.pinned | set(topics))
        return edited

    def rename(self, names: Mapping[int, str]) -> Self:
        """Name topics.

        Parameters
        ----------
        names : dict of int to str
            The name of each id. Topics that are not listed keep their names.

        Returns
        -------
        TopicModel
            A new model; this one does not change.
        """
        check_is_fitted(self)
        if not isinstance(names, Mapping) or not all(isinstance(name, str) for name in names.values()):
            raise TypeError(f"`names` must be a dict of ids to names, such as {{3: 'sport'}}, got {short_repr(names)}.")
        ids = self._check_ids(list(names), "names")
        edited = self._start_edit("rename", names=dict(zip(ids, names.values(), strict=True)))
        return edited._set_names(dict(zip(ids, names.values(), strict=True)))

    def label_topics(self, label: Callable[[Topic], str]) -> Self:
        """Name all topics by a function, for example one that queries a language model.

        Parameters
        ----------
        label : callable
            Receives a `Topic` with its `words` and `documents`, and returns a name.

        Returns
        -------
        TopicModel
            A new model; this one does not change.
        """
        check_is_fitted(self)
        if not callable(label):
            raise TypeError(f"`label` must be a function of a topic, got {short_repr(label)}.")
        names = {topic.id: label(topic) for topic in self.topics_}
        for name in names.values():
            if not isinstance(name, str):
                raise TypeError(f"`label` must return a str, got {short_repr(name)}.")
        return self.rename(names)
