"""Learning from other documents: topics that stay keep their ids."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.interpret.matching import TopicMatching, match_topics
from codebooks.topic_model.changes import ComponentChanges
from codebooks.topic_model.components import is_editable
from codebooks.topic_model.fitted import Documents, Restrictions, find_positions, translate_moves
from codebooks.topic_model.nearest import transform_in_steps
from codebooks.topic_model.vocabulary import count_words

if TYPE_CHECKING:
    from typing import Self

__all__ = ["RefittingMixin"]

# Arguments of edits that contain ids of topics.
_ID_ARGUMENTS = ("groups", "topic", "topics", "names", "seed_words")
# More epochs move more documents to other topics: in a window moved by a tenth, 1 to 2 % of them.
_N_EPOCHS = 2
# A model with this number of further topics proposes a new one, which must have this number of documents.
_N_FURTHER, _FEWEST_DOCUMENTS = 2, 10


class RefittingMixin(ComponentChanges):
    """Methods that learn from other documents."""

    matching_: TopicMatching

    def refit(self, documents: Sequence[str]) -> Self:
        """Learn from other documents, for example of the last month; topics that stay keep their ids and names.

        Learning starts from the present components, so that most documents keep their topic. Edits stay in effect:
        merged topics stay merged, and forbidden, seeded, pinned, moved and named ones are as before.

        Parameters
        ----------
        documents : sequence of str
            All documents to learn from. Those of the model are forgotten, unless they are among them.

        Returns
        -------
        TopicModel
            A new model. `matching_` lists topics that stay, begin, end, split or merge.
        """
        check_is_fitted(self)
        texts = self._check_documents(documents)
        self._check_settings()
        refitted = copy(self)
        refitted._stream = None
        vectorizer, words = count_words(texts, self.vectorizer, self.language, self.stop_words)
        refitted.vectorizer_, refitted._documents = vectorizer, Documents(texts, words, words)
        if self.preparation_ is not None:
            rows, features = transform_in_steps(self.preparation_, texts)
            refitted._documents = refitted._add_embeddings(Documents(texts, words, features), rows)
        features = refitted._documents.features
        rows = _find_rows(self._documents.texts, texts)
        refitted._move_rows(rows)
        if is_editable(self.learner_):
            refitted._drop_forbidden()
            refitted._align_components(self.vectorizer_.get_feature_names_out())
            refitted._add_new_topic(self, rows)
            refitted._learn_again(_N_EPOCHS)
        else:
            refitted.learner_ = clone(self.learner_).fit(features)
            refitted._component_topics = np.arange(refitted._count_components(refitted.learner_, features))
            refitted.topic_ids_ = refitted._component_topics.copy()
            refitted._restrictions = Restrictions()
        refitted._fit_threshold()
        refitted._assign_documents()
        refitted._match_topics(self, rows)
        return refitted

    def replay(self, documents: Sequence[str]) -> Self:
        """Learn from other documents as before the first edit, and repeat the edits of `history_`.

        Parameters
        ----------
        documents : sequence of str

        Returns
        -------
        TopicModel
            A new model with the same `history_`, except moves of documents that are not among these, and ids of topics
            that edits create.

        Raises
        ------
        ValueError
            If an edit is about a topic that these documents do not have.

        See Also
        --------
        refit : Learn from other documents with the topics as they are now.
        """
        check_is_fitted(self)
        origin = self._origin if self.history_ else self
        model = origin.refit(documents)
        rows = _find_rows(self._documents.texts, model._documents.texts)
        ids = {id: id for id in range(-1, origin._next_id)}
        for edit in translate_moves(self.history_, rows):
            first = model._next_id
            try:
                model = getattr(model, edit.method)(**_replace_ids(edit.arguments, ids))
            except ValueError as error:
                raise ValueError(
                    f"replay cannot repeat {edit.method} on these documents: {error!s:.300} Use refit, or documents "
                    "about the same topics."
                ) from error
            before = first if edit.next_id is None else edit.next_id
            ids.update({before + k: first + k for k in range(model._next_id - first)})
        return model

    def _move_rows(self, rows: Mapping[int, int]) -> None:
        """Change positions of documents in the restrictions and the history."""
        moved = {rows[row]: id for row, id in self._restrictions.moved.items() if row in rows}
        self._restrictions = self._restrictions._replace(moved=moved)
        self.history_ = translate_moves(self.history_, rows)
        if not self.history_:
            self.__dict__.pop("_origin", None)

    def _add_new_topic(self, before: Self, rows: Mapping[int, int]) -> None:
        """Add the largest topic that a new model finds, and that no topic of another model corresponds to."""
        features, n_components = self._documents.features, len(self._component_topics)
        fresh = clone(self.learner_).set_params(n_components=n_components + _N_FURTHER, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # idle components are left out below
            labels = ops.to_host(fresh.fit_predict(features))
        matching = self._match(before, rows, ops.to_host(fresh.components_), labels)
        is_shared = np.isin(np.arange(len(labels)), list(rows.values()))
        sizes = np.bincount(labels[labels >= 0], minlength=len(matching.ids))
        n_new = np.bincount(labels[(labels >= 0) & ~is_shared], minlength=len(matching.ids))
        is_new = np.array(matching.ids) >= before._next_id
        is_new &= (sizes >= _FEWEST_DOCUMENTS) & (2 * n_new > sizes)
        if is_new.any():
            found = np.flatnonzero(labels == np.where(is_new, sizes, 0).argmax())
            self._replace_components(set(), found, np.zeros(len(found), np.intp), self._create_ids(1))

    def _match_topics(self, before: Self, rows: Mapping[int, int]) -> None:
        """Set `matching_`, and give topics the ids of the topics of another model that they correspond to.

        Topics without documents end, unless they are pinned or seeded.
        """
        limits = self._restrictions
        idle = {topic.id for topic in self.topics_ if not topic.size} - limits.pinned - limits.seeds.keys()
        if idle and len(idle) < len(self.topic_ids_) and is_editable(self.learner_):
            self._drop_topics(idle)
            self._assign_documents()
        positions = find_positions(self.topic_ids_, self._kept_labels)
        self.matching_ = self._match(before, rows, self._compute_topic_components(), positions)
        self._next_id = max(self._next_id, self.matching_.next_id)
        if self.matching_.ids != tuple(self.topic_ids_.tolist()):
            self.topic_ids_ = np.array(self.matching_.ids, dtype=np.int64)
            self._keep_restrictions(set(self.matching_.ids))
            self._assign_documents()

    def _match(
        self, before: Self, rows: Mapping[int, int], components: NDArray[Any], positions: NDArray[Any]
    ) -> TopicMatching:
        """Match components with topics of another model; `positions` are the components of the documents."""
        is_used = np.array([bool(topic.size) for topic in before.topics_])
        is_used |= not is_used.any()
        old, old_ids = before._compute_topic_components()[is_used], before.topic_ids_[is_used]
        if self.preparation_ is None:
            column = {term: k for k, term in enumerate(before.vectorizer_.get_feature_names_out())}
            columns = np.array([column.get(term, -1) for term in self.vectorizer_.get_feature_names_out()])
            old = np.where(columns >= 0, old[:, columns], 0)
        old_rows, new_rows = np.array(list(rows.items()), dtype=np.intp).reshape(-1, 2).T
        return match_topics(
            old,
            components,
            old_labels=find_positions(old_ids, before._kept_labels[old_rows]),
            new_labels=positions[new_rows],
            old_ids=old_ids,
            next_id=before._next_id,
        )


def _find_rows(texts: Sequence[str], others: Sequence[str]) -> dict[int, int]:
    """Return for rows of texts the row of the same text among others; each is used once."""
    places: dict[str, list[int]] = {}
    for row in range(len(others) - 1, -1, -1):
        places.setdefault(others[row], []).append(row)
    return {row: places[text].pop() for row, text in enumerate(texts) if places.get(text)}


def _replace_ids(arguments: Mapping[str, Any], ids: Mapping[int, int]) -> dict[str, Any]:
    """Return the arguments of an edit with other ids of topics; raise an error for an id that has no other."""

    def replace(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {replace(key): entry for key, entry in value.items()}
        if isinstance(value, list):
            return [replace(entry) for entry in value]
        if isinstance(value, int) and value not in ids:
            raise ValueError(f"Topic {value} was created by refit or partial_fit, not by an edit.")
        return ids[value] if isinstance(value, int) else value

    return {name: replace(value) if name in _ID_ARGUMENTS else value for name, value in arguments.items()}
