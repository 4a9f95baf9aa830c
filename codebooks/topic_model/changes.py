"""Changes of the components and topics of a model, of which edits consist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.topic_model.components import (
    append_components,
    learn,
    require_editable,
    select_components,
    store_state,
)
from codebooks.topic_model.fitted import FittedTopics
from codebooks.topic_model.vocabulary import drop_columns, drop_terms, list_forbidden_terms, resolve_terms

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ComponentChanges", "list_words", "require_list"]

# Passes over the documents after an edit that changes what all topics learn from.
_N_EPOCHS = 3


class ComponentChanges(FittedTopics):
    """Methods that change a model in place: `_start_edit` returns a copy to change."""

    def _check_ids(self, ids: Any, parameter: str) -> list[int]:
        """Return ids of topics as a list of integers; raise an error for others than those of the model."""
        listed = [ids] if isinstance(ids, Integral) else require_list(ids, parameter, "[3, 7]")
        if any(isinstance(id, bool) or not isinstance(id, Integral) for id in listed):
            raise TypeError(f"`{parameter}` must be ids of topics, integers, got {short_repr(ids)}.")
        known = self.topic_ids_.tolist()
        for id in listed:
            if id not in known:
                raise ValueError(
                    f"`{parameter}` must be ids of topics, got {short_repr(id)}. This model has the ids "
                    f"{', '.join(map(str, known[:20]))}{', ...' if len(known) > 20 else ''}."
                )
        if not listed or len(set(listed)) < len(listed):
            raise ValueError(f"`{parameter}` must list at least one topic, and each once, got {short_repr(ids)}.")
        return [int(id) for id in listed]

    def _check_id(self, id: Any, parameter: str) -> int:
        """Return the id of a topic as an integer; raise an error for others than those of the model."""
        if not isinstance(id, Integral):
            raise TypeError(f"`{parameter}` must be the id of one topic, an integer, got {short_repr(id)}.")
        return self._check_ids(id, parameter)[0]

    def _require_editable(self, method: str) -> None:
        require_editable(
            self.learner_, f"{method} expected a model whose learner", "Use merge, reduce or rename, or another learner"
        )

    def _create_ids(self, n: int) -> list[int]:
        first = self._next_id
        self._next_id = first + n
        return list(range(first, first + n))

    def _set_names(self, names: Mapping[int, str]) -> Self:
        self._restrictions = self._restrictions._replace(names={**self._restrictions.names, **names})
        self._describe_topics()
        return self

    def _merge_groups(self, groups: Sequence[Sequence[int]]) -> None:
        """Give the components of the topics of each group to its largest topic."""
        sizes = {topic.id: topic.size or 0 for topic in self.topics_}
        ids, kept_of = self.topic_ids_, {}
        for group in groups:
            kept = max(group, key=lambda id: (sizes[id], -id))
            kept_of.update(dict.fromkeys(group, kept))
        owners = [kept_of.get(id, id) for id in ids[self._component_topics].tolist()]
        kept_ids = [id for id in ids.tolist() if kept_of.get(id, id) == id]
        self._set_topics(kept_ids, owners)
        limits = self._restrictions
        seeds: dict[int, list[str]] = {}
        for id, terms in limits.seeds.items():
            seeds.setdefault(kept_of.get(id, id), []).extend(terms)
        self._restrictions = limits._replace(
            seeds=seeds,
            moved={row: kept_of.get(id, id) for row, id in limits.moved.items()},
            pinned=frozenset(kept_of.get(id, id) for id in limits.pinned),
            names={id: name for id, name in limits.names.items() if kept_of.get(id, id) == id},
        )

    def _set_topics(self, ids: Sequence[int], owners: Sequence[int]) -> None:
        """Set the topics, and the id of the topic of each component."""
        self.topic_ids_ = np.array(ids, dtype=np.int64)
        self._component_topics = self._get_positions(owners)

    def _drop_topics(self, topics: set[int]) -> None:
        owners = self.topic_ids_[self._component_topics]
        kept = np.flatnonzero(~np.isin(owners, list(topics)))
        self.learner_ = store_state(self.learner_, select_components(self.learner_._get_state(), kept))
        self._set_topics([id for id in self.topic_ids_.tolist() if id not in topics], owners[kept].tolist())
        self._keep_restrictions(set(self.topic_ids_.tolist()))

    def _keep_restrictions(self, ids: set[int]) -> None:
        """Remove what was set for other topics than these."""
        limits = self._restrictions
        self._restrictions = limits._replace(
            seeds={id: terms for id, terms in limits.seeds.items() if id in ids},
            moved={row: id for row, id in limits.moved.items() if id in ids or id == -1},
            pinned=limits.pinned & ids,
            names={id: name for id, name in limits.names.items() if id in ids},
        )

    def _replace_components(
        self, topics: set[int], rows: NDArray[Any], labels: NDArray[Any], ids: Sequence[int]
    ) -> None:
        """Replace the components of topics by one for each group of rows; `ids` are the topics of the groups."""
        learner, state = self.learner_, self.learner_._get_state()
        owners = self.topic_ids_[self._component_topics]
        kept = np.flatnonzero(~np.isin(owners, list(topics)))
        features = self._documents.features
        described = learner._describe_groups(ops.take_rows(features, rows), labels, len(ids), state, features.shape[0])
        share = described.usage.dtype.type(len(rows) / len(self._documents.texts))
        described = described._replace(usage=described.usage * share)
        self.learner_ = store_state(learner, append_components(select_components(state, kept), described))
        new = [id for id in dict.fromkeys(ids) if id not in self.topic_ids_]
        self._set_topics([*self.topic_ids_.tolist(), *new], [*owners[kept].tolist(), *ids])

    def _describe_again(self, labels: NDArray[Any], topics: set[int]) -> None:
        """Replace the components of topics by the means of their documents under these labels."""
        owners = self.topic_ids_[self._component_topics]
        groups = np.flatnonzero(np.isin(owners, list(topics)))  # components
        rows = np.flatnonzero(np.isin(labels, list(topics)))
        if not len(rows):
            return
        codes = ops.to_host(self.learner_.transform(ops.take_rows(self._documents.features, rows)))
        codes = codes.toarray() if hasattr(codes, "toarray") else codes
        is_own = owners[groups][None, :] == labels[rows][:, None]
        nearest = np.where(is_own, codes[:, groups], -np.inf).argmax(axis=1)
        used, index = np.unique(nearest, return_inverse=True)
        ids = owners[groups[used]].tolist()
        if topics <= set(ids):  # a topic without documents keeps its components
            self._replace_components(topics, rows, index, ids)

    def _check_seeds(self, seed_words: Any) -> dict[Any, list[str]]:
        """Return the terms of each seeded topic, by id or by the name of a new topic."""
        if not isinstance(seed_words, Mapping) or not seed_words:
            raise TypeError(
                f"`seed_words` must be a dict of topics to words, such as {{'economy': ['bank']}}, got "
                f"{short_repr(seed_words)}."
            )
        by_name = {topic.name: topic.id for topic in getattr(self, "topics_", ())}
        seeds: dict[Any, list[str]] = {}
        owner: dict[str, Any] = {}
        occurs = self._documents.words.getnnz(axis=0) > 0
        for key, words in seed_words.items():
            words = list_words(words)
            if isinstance(key, Integral):
                key = self._check_id(key, "seed_words")
            elif not isinstance(key, str):
                raise TypeError(f"`seed_words` must have names or ids of topics as keys, got {short_repr(key)}.")
            if not all(isinstance(word, str) for word in words):
                raise TypeError(f"`seed_words` must be strings, got {short_repr(words)}.")
            found = dict.fromkeys(chain.from_iterable(resolve_terms(self.vectorizer_, words)))
            terms = [term for term in found if occurs[self.vectorizer_.vocabulary_[term]]]
            if not terms:
                raise ValueError(
                    f"`seed_words` of {short_repr(key)} must be words of the documents, got {short_repr(words)}, which "
                    "do not occur, or are left out as rare, frequent or stop words. Use others, or a `vectorizer` that "
                    "keeps them."
                )
            for term in terms:
                if owner.setdefault(term, key) != key:
                    raise ValueError(
                        f"`seed_words` must belong to one topic each, got {short_repr(term)} for "
                        f"{short_repr(owner[term])} and {short_repr(key)}."
                    )
            if by_name.get(key, key) in seeds:
                raise ValueError(f"`seed_words` must list each topic once, got {short_repr(key)} by name and by id.")
            seeds[by_name.get(key, key)] = terms
        return seeds

    def _add_seeds(self, seeds: Mapping[Any, Sequence[str]]) -> None:
        """Set the seeds, and add a component and a topic for each key that is a name."""
        limits, columns = self._restrictions, self.vectorizer_.vocabulary_
        names = [key for key in seeds if isinstance(key, str)]
        new_ids = dict(zip(names, self._create_ids(len(names)), strict=True))
        if names:
            words = self._documents.words
            sums = [words[:, [columns[term] for term in seeds[name]]].sum(axis=1) for name in names]
            strength = np.concatenate([np.asarray(part).reshape(-1, 1) for part in sums], axis=1)
            rows = np.flatnonzero(strength.max(axis=1) > 0)
            labels = strength[rows].argmax(axis=1)
            for k in set(range(len(names))).difference(labels.tolist()):  # no document has mainly these words
                own = np.flatnonzero(strength[:, k] > 0)
                rows, labels = np.append(rows, own), np.append(labels, np.full(len(own), k))
            self._replace_components(set(), rows, labels, [new_ids[name] for name in names])
        taken = {term for terms in seeds.values() for term in terms}
        kept = {id: [term for term in terms if term not in taken] for id, terms in limits.seeds.items()}
        for key, terms in seeds.items():
            kept[new_ids.get(key, key)] = [*kept.get(new_ids.get(key, key), ()), *terms]
        self._restrictions = limits._replace(
            seeds=kept, names={**limits.names, **{id: name for name, id in new_ids.items()}}
        )

    def _drop_forbidden(self) -> bool:
        """Remove forbidden words from the vocabulary and from the documents; return whether there were any."""
        if not self._restrictions.forbidden:
            return False
        terms = self.vectorizer_.get_feature_names_out()
        forbidden = list_forbidden_terms(self.vectorizer_, self._restrictions.forbidden)
        kept = np.array([term not in forbidden for term in terms])
        if kept.all():
            return False
        if not kept.any():
            raise ValueError(
                "The documents must leave a word that is not forbidden, got none. Forbid fewer words, or add documents."
            )
        self.vectorizer_ = drop_terms(self.vectorizer_, kept)
        columns = drop_columns(self._documents.words, kept, self.vectorizer_)
        features = columns if self.preparation_ is None else self._documents.features
        self._documents = self._documents._replace(words=columns, features=features)
        if self._stream is not None:
            self._stream = self._stream._replace(term_counts=self._stream.term_counts[kept])
        return True

    def _align_components(self, terms: Sequence[str]) -> None:
        """Change the columns of the components from `terms` to the present vocabulary, if they are words."""
        if self.preparation_ is None:
            column = {term: k for k, term in enumerate(terms)}
            columns = np.array([column.get(term, -1) for term in self.vectorizer_.get_feature_names_out()])
            state = self.learner_._align_features(self._documents.features, self.learner_._get_state(), columns)
            self.learner_ = store_state(self.learner_, state)
            self.learner_.n_features_in_ = len(columns)

    def _learn_again(self, n_epochs: int = _N_EPOCHS) -> Self:
        """Learn for some epochs from the present components; seeded words and pinned topics stay."""
        self.learner_ = learn(
            self.learner_, self._documents.features, self.learner_._get_state(), n_epochs, self._build_constraint()
        )
        return self

    def _build_constraint(self) -> Callable[[Any], Any] | None:
        """Return the function that keeps seeded words and pinned components in a state, or None."""
        limits, owners = self._restrictions, self.topic_ids_[self._component_topics]
        before, vocabulary = self.learner_._get_state(), getattr(self.vectorizer_, "vocabulary_", {})
        pinned = np.flatnonzero(np.isin(owners, list(limits.pinned)))
        seeds = [
            (vocabulary[term], int(np.flatnonzero(owners == id)[0]))
            for id, terms in limits.seeds.items()
            for term in terms
            if term in vocabulary and id in owners
        ]
        if self.preparation_ is not None or not hasattr(self.learner_, "_assign_words"):
            seeds = []
        if not len(pinned) and not seeds:
            return None
        columns, components = np.array(seeds, dtype=np.intp).reshape(-1, 2).T

        def constrain(state: Any) -> Any:
            if len(columns):
                state = self.learner_._assign_words(state, columns, components)
            for name in ("components", "mass", "n_rows", "inhibition"):
                if len(pinned) and name in state._fields:
                    value = getattr(state, name).copy(order="K")
                    value[pinned] = getattr(before, name)[pinned]
                    state = state._replace(**{name: value})
            return state

        return constrain


def list_words(words: Any) -> list[Any]:
    """Return the words of a seeded topic as a list."""
    return [words] if isinstance(words, str) else require_list(words, "seed_words", "['bank', 'loan']")


def require_list(value: Any, parameter: str, example: str) -> list[Any]:
    """Return an iterable as a list; raise an error for a text and for other values."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"`{parameter}` must be a list, such as {example}, got {short_repr(value)}.")
    return list(value)
