"""Matching of the topics of two models, so that topics keep their ids when a model is fitted again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from codebooks._tables import build_frame, format_html_table
from codebooks.interpret._matching_input import (
    check_component_labels,
    check_components,
    check_next_id,
    check_old_ids,
)

__all__ = ["TopicChange", "TopicMatching", "match_topics"]

# Pairs of topics with a smaller similarity are different topics.
_SAME = 0.3
# Number of shared documents of a pair of topics at which documents and words have equal weight.
_ENOUGH_DOCUMENTS = 20.0
# A part of a split is more than this share of the old topic, and more than _MAIN of the new one; all parts together are
# more than _MAIN of the old topic. Merges are defined by the same shares, with old and new exchanged.
_PART, _MAIN = 0.2, 0.5
# Similarities are rounded, so that rounding errors do not decide between equal topics.
_N_DECIMALS = 9


class TopicChange(NamedTuple):
    """One row of the table of a `TopicMatching`.

    Attributes
    ----------
    event : {"kept", "born", "died", "split", "merged"}
    old_ids, new_ids : tuple of int
        Ids before and after. In a split the first of `new_ids`, in a merge the first of `old_ids`, is the one that
        stays, if it does.
    n_documents : int
        Number of shared documents of the old topics; of the new topic if it was born.
    share : float
        Share of the shared documents of the old topics that are in the new topics; nan if there are none.
    similarity : float
        Similarity of the most similar pair of the row's topics, 0 to 1. For a topic that was born or died, its largest
        similarity with a topic of the other model.
    """

    event: Literal["kept", "born", "died", "split", "merged"]
    old_ids: tuple[int, ...]
    new_ids: tuple[int, ...]
    n_documents: int
    share: float
    similarity: float

    def __str__(self) -> str:
        old, new = (", ".join(map(str, ids)) for ids in (self.old_ids, self.new_ids))
        share = "" if np.isnan(self.share) else f", {self.share:.0%} of {self.n_documents} documents"
        topics = f"{old} -> {new}" if self.event in ("split", "merged") else old or new
        return f"{self.event} {topics}{share} (similarity {self.similarity:.2f})"


@dataclass(frozen=True)
class TopicMatching:
    """Topic ids after a model was fitted again, and what happened to each topic; the result of `match_topics`.

    Attributes
    ----------
    ids : tuple of int
        The id of each new component, in their order.
    table : tuple of TopicChange
        Each old id is in exactly one row with the event "kept" or "died", or else in a row "merged", which names the
        topic that contains most of its documents. Each id in `ids` is in exactly one row "kept" or "born", or else in
        a row "split", which names the topic that contained most of its documents.
    next_id : int
        The smallest id that no topic has had, for the next call.
    share_kept : float
        Share of the documents that have a topic in both models whose topic id is the same; nan if there are none.

    See Also
    --------
    match_topics : Match the topics of two models.
    """

    ids: tuple[int, ...]
    table: tuple[TopicChange, ...]
    next_id: int
    share_kept: float

    def __str__(self) -> str:
        return "\n".join(map(str, self.table))

    def _repr_html_(self) -> str:
        return format_html_table(self._columns(), n_shown=len(self.table))

    def to_frame(self, library: Literal["pandas", "polars"] = "pandas") -> Any:
        """Return the table as a data frame.

        Parameters
        ----------
        library : {"pandas", "polars"}, default="pandas"
            The library of the data frame, which must be installed.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            Columns `event`, `old_ids`, `new_ids`, `n_documents`, `share` and `similarity`.
        """
        return build_frame(self._columns(), library)

    def _columns(self) -> dict[str, list[Any]]:
        return {name: [getattr(change, name) for change in self.table] for name in TopicChange._fields}


class _Counts(NamedTuple):
    """Shared documents and similarities of pairs of topics."""

    shared: NDArray[Any]  # (n_old, n_new) number of documents
    similarity: NDArray[Any]  # (n_old, n_new)
    old_sizes: NDArray[Any]  # (n_old,) documents of each old topic, including those without a new one
    new_sizes: NDArray[Any]  # (n_new,)


def match_topics(
    old_components: ArrayLike,
    new_components: ArrayLike,
    *,
    old_labels: ArrayLike | None = None,
    new_labels: ArrayLike | None = None,
    old_ids: ArrayLike | None = None,
    next_id: int | None = None,
) -> TopicMatching:
    """Match the topics of two models, so that topics which are still there keep their ids.

    Topics are matched one to one such that the sum of their similarities is largest [1]_. The similarity is a weighted
    mean of the F1 of the two sets of shared documents and the cosine of the components, in which words that are
    frequent in all topics have little weight. With n shared documents in the two topics, on average, the documents
    have the weight n / (n + 20): with many of them the documents decide, with none the words. A pair with a similarity
    below .3 is not matched: the old topic dies, and the new one gets an id that no topic has had.

    A new topic without a match is part of a split if most of its shared documents come from one old topic, of which
    they are more than a fifth, and if the parts of that topic together have most of its documents. Merges are defined
    likewise, with old and new exchanged. Without shared documents there are only kept topics, births and deaths.

    Parameters
    ----------
    old_components : array of shape (n_old, n_features)
        Components of the old model, for instance word distributions.
    new_components : array of shape (n_new, n_features)
        Components of the new model over the same features.
    old_labels, new_labels : int array of shape (n_documents,), optional
        Index of the component of each shared document in the old and in the new model, -1 for none. Pass both if the
        models have documents in common.
    old_ids : int array of shape (n_old,), optional
        Ids of the old topics; None stands for 0, 1, ...
    next_id : int, optional
        The first id for topics that are born. Pass the `next_id` of the last matching, so that the ids of topics that
        died earlier are not used again. None stands for the largest old id plus one.

    Returns
    -------
    TopicMatching

    Raises
    ------
    ValueError
        If the components have different numbers of features, the labels different lengths, only one of the labels is
        passed, a label is not the index of a component, ids are not unique, or `next_id` is not above all old ids.
    TypeError
        If labels or ids are not integers.

    References
    ----------
    .. [1] H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics Quarterly 2 (1955),
       83-97.

    Examples
    --------
    >>> old = [[0.7, 0.3, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    >>> new = [[0.0, 0.1, 0.5, 0.4], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    >>> matching = match_topics(old, new, old_labels=[0, 0, 0, 0, 0, 1, 1], new_labels=[2, 2, 2, 1, 1, 0, 0])
    >>> matching.ids
    (1, 2, 0)
    >>> print(matching)
    kept 0, 60% of 5 documents (similarity 0.94)
    kept 1, 100% of 2 documents (similarity 0.97)
    split 0 -> 0, 2, 100% of 5 documents (similarity 0.94)
    """
    old, new = check_components(old_components, new_components)
    ids = check_old_ids(old_ids, len(old))
    next_id = check_next_id(next_id, ids)
    counts = _count_documents(_measure_words(old, new), old_labels, new_labels)
    matched = _assign(counts.similarity)
    n_born = int((matched < 0).sum())
    new_ids = np.empty(len(new), np.int64)
    new_ids[matched < 0] = np.arange(next_id, next_id + n_born)
    new_ids[matched >= 0] = ids[matched[matched >= 0]]
    n_shared, kept = counts.shared.sum(), np.flatnonzero(matched >= 0)
    share_kept = float(counts.shared[matched[kept], kept].sum() / n_shared) if n_shared else float("nan")
    table = _list_changes(counts, matched, ids, new_ids)
    return TopicMatching(tuple(new_ids.tolist()), tuple(table), next_id + n_born, share_kept)


def _measure_words(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    """Compute the cosines of components; in non-negative ones words count by their share relative to all topics."""
    if old.min() >= 0 and new.min() >= 0:
        old, new = (X / np.maximum(X.sum(axis=1, keepdims=True), np.finfo(float).tiny) for X in (old, new))
        mean = np.maximum((old.mean(axis=0) + new.mean(axis=0)) / 2, np.finfo(float).tiny)
        old, new = (X * np.log1p(X / mean) ** 2 for X in (old, new))
    old, new = (X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(float).tiny) for X in (old, new))
    return np.clip(old @ new.T, 0, 1)


def _count_documents(words: NDArray[Any], old_labels: Any, new_labels: Any) -> _Counts:
    """Count the shared documents of each pair of topics, and combine them with the similarity of words."""
    n_old, n_new = words.shape
    if (old_labels is None) != (new_labels is None):
        missing = "old_labels" if old_labels is None else "new_labels"
        raise ValueError(f"`old_labels` and `new_labels` must both be given, or neither; `{missing}` is None.")
    old = check_component_labels("old_labels", [] if old_labels is None else old_labels, n_old)
    new = check_component_labels("new_labels", [] if new_labels is None else new_labels, n_new)
    if len(old) != len(new):
        raise ValueError(
            f"`old_labels` and `new_labels` must be labels of the same documents, got {len(old)} and {len(new)}. "
            "Select the documents that both models have."
        )
    pairs = np.zeros((n_old + 1, n_new + 1), np.int64)  # the last row and column count documents without a topic
    np.add.at(pairs, (old, new), 1)
    old_sizes, new_sizes, shared = pairs.sum(axis=1)[:-1], pairs.sum(axis=0)[:-1], pairs[:-1, :-1]
    n_both = np.add.outer(old_sizes, new_sizes) / 2
    similarity = (shared + _ENOUGH_DOCUMENTS * words) / (n_both + _ENOUGH_DOCUMENTS)  # shared / n_both is the F1
    return _Counts(shared, similarity.round(_N_DECIMALS), old_sizes, new_sizes)


def _assign(similarity: NDArray[Any]) -> NDArray[Any]:
    """Return the index of the old topic of each new one, -1 for none, by optimal assignment."""
    # Pairs that are not matched have no influence on the others.
    gains = np.where(similarity >= _SAME, similarity, 0)
    old, new = linear_sum_assignment(gains, maximize=True)
    matched = np.full(similarity.shape[1], -1)
    is_same = gains[old, new] > 0
    matched[new[is_same]] = old[is_same]
    return matched


def _list_changes(
    counts: _Counts, matched: NDArray[Any], old_ids: NDArray[Any], new_ids: NDArray[Any]
) -> list[TopicChange]:
    """Return the rows of the table: kept topics, splits, merges, births and deaths."""
    shared, similarity, old_sizes, new_sizes = counts
    partner = np.full(len(old_ids), -1)  # the new topic of each old one
    partner[matched[matched >= 0]] = np.flatnonzero(matched >= 0)

    def describe(event: Any, old: list[int], new: list[int]) -> TopicChange:
        n, pairs = int(old_sizes[old].sum()), np.ix_(old, new)
        share = float(shared[pairs].sum() / n) if n else float("nan")
        named = (tuple(int(id) for id in old_ids[old]), tuple(int(id) for id in new_ids[new]))
        return TopicChange(event, *named, n, share, float(similarity[pairs].max()))

    changes = [describe("kept", [i], [int(j)]) for i, j in enumerate(partner) if j >= 0]
    splits = _find_parts(shared, old_sizes, new_sizes, partner)
    changes += [describe("split", [i], parts) for i, parts in splits]
    merges = _find_parts(shared.T, new_sizes, old_sizes, matched)
    changes += [describe("merged", parts, [j]) for j, parts in merges]
    is_part_of_split = {j for _, parts in splits for j in parts}
    is_part_of_merge = {i for _, parts in merges for i in parts}
    for j in np.flatnonzero(matched < 0).tolist():
        if j not in is_part_of_split:
            n, nearest = int(new_sizes[j]), float(similarity[:, j].max())
            changes.append(TopicChange("born", (), (int(new_ids[j]),), n, float("nan"), nearest))
    for i in np.flatnonzero(partner < 0).tolist():
        if i not in is_part_of_merge:
            n, nearest = int(old_sizes[i]), float(similarity[i].max())
            changes.append(TopicChange("died", (int(old_ids[i]),), (), n, 0.0 if n else float("nan"), nearest))
    return changes


def _find_parts(
    shared: NDArray[Any], sizes: NDArray[Any], other_sizes: NDArray[Any], partner: NDArray[Any]
) -> list[tuple[int, list[int]]]:
    """Return the topics whose documents are in several topics of the other model, and these: the partner first.

    `partner` is the match of each topic in the other model, -1 for none. Other parts have no match.
    """
    is_free = np.ones(len(other_sizes), bool)
    is_free[partner[partner >= 0]] = False
    is_large = shared > _PART * sizes[:, None]
    is_part = is_large & (shared > _MAIN * other_sizes) & is_free
    found = []
    for i, mate in enumerate(partner.tolist()):
        parts = sorted(np.flatnonzero(is_part[i]).tolist(), key=lambda j: (-shared[i, j], j))
        has_part = bool(parts)
        if mate >= 0 and is_large[i, mate]:
            parts = [mate, *parts]
        if has_part and len(parts) > 1 and shared[i, parts].sum() > _MAIN * sizes[i]:
            found.append((i, parts))
    return found
