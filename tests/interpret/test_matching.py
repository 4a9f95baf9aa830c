"""Matching of topics: planted changes, assignments by brute force, and bad input."""

from itertools import permutations
from math import isnan, nan

import numpy as np
import pytest

from codebooks.interpret.matching import TopicChange, match_topics


@pytest.fixture
def topics():
    """Components of six topics: twelve words of their own each, over twenty words that are frequent in all."""
    rng = np.random.default_rng(0)
    own = np.kron(np.eye(6), np.ones((1, 12))) * rng.gamma(1, 1, (6, 72))
    return normalize(np.hstack([own, rng.gamma(1, 2, (1, 20)) * rng.gamma(20, 0.05, (6, 20))]))


def normalize(X):
    return X / X.sum(axis=1, keepdims=True)


def list_rows(matching, *events):
    return [(row.event, row.old_ids, row.new_ids) for row in matching.table if row.event in events]


@pytest.mark.parametrize("has_documents", [False, True])
def test_ids_follow_permuted_components(topics, has_documents):
    order = np.array([3, 0, 5, 1, 2, 4])
    new = normalize(topics[order] * np.random.default_rng(1).gamma(5, 0.2, topics.shape))
    old_labels = np.repeat(range(6), 30)
    labels = {"old_labels": old_labels, "new_labels": np.argsort(order)[old_labels]} if has_documents else {}
    matching = match_topics(topics, new, old_ids=[10, 11, 12, 4, 14, 15], **labels)
    assert matching.ids == (4, 10, 15, 11, 12, 14)
    assert matching.next_id == 16
    assert [row.event for row in matching.table] == ["kept"] * 6
    assert matching.share_kept == 1 if has_documents else isnan(matching.share_kept)


def test_frequent_words_do_not_make_topics_equal(topics):
    # Half of the weight of each component and more is in words that all topics have.
    assert topics[:, 72:].sum(axis=1).min() > 0.5
    assert match_topics(topics[:3], topics[3:]).ids == (3, 4, 5)


def test_same_components_keep_their_ids(topics):
    for X in (topics, topics[:1], np.ones((4, 3)), np.vstack([topics, topics]), -topics, np.zeros((2, 2)) + np.eye(2)):
        matching = match_topics(X, X)
        assert matching.ids == tuple(range(len(X)))
        assert [row.similarity for row in matching.table] == pytest.approx([1] * len(X))


def test_documents_decide_if_there_are_many_and_words_if_there_are_few(topics):
    swapped = topics[[1, 0]]
    for n, expected in ((0, (1, 0)), (1, (1, 0)), (50, (0, 1))):
        labels = np.repeat([0, 1], n)
        assert match_topics(topics[:2], swapped, old_labels=labels, new_labels=labels).ids == expected


def test_assignment_is_the_best_of_all_permutations():
    rng = np.random.default_rng(0)
    for _ in range(20):
        old_labels, new_labels = rng.integers(0, 4, 400), rng.integers(0, 5, 400)
        new_labels = np.where(rng.random(400) < 0.6, old_labels, new_labels)
        # Components without a feature in common, so that only documents count: F1 n / (n + 20).
        old, new = np.eye(9)[:4], np.eye(9)[4:]
        shared = np.array([[np.sum((old_labels == i) & (new_labels == j)) for j in range(5)] for i in range(4)])
        sizes = np.add.outer(np.bincount(old_labels, minlength=4), np.bincount(new_labels, minlength=5)) / 2
        gains = shared / (sizes + 20)
        gains[gains < 0.3] = 0
        best = max(sum(gains[i, j] for i, j in enumerate(order)) for order in permutations(range(5), 4))
        matching = match_topics(old, new, old_labels=old_labels, new_labels=new_labels)
        kept = [(id, j) for j, id in enumerate(matching.ids) if id < 4]
        assert sum(gains[i, j] for i, j in kept) == pytest.approx(best)
        assert all(gains[i, j] > 0 for i, j in kept)
        assert matching.share_kept == pytest.approx(sum(shared[i, j] for i, j in kept) / 400)


def test_split(topics):
    # Topic 1 is divided in three; the third part is less than a fifth of it, so it was born.
    new = topics[[0, 1, 1, 2, 3]]
    old_labels = np.repeat([0, 1, 2], [50, 100, 50])
    new_labels = np.repeat([0, 2, 1, 4, 3], [50, 55, 35, 10, 50])
    matching = match_topics(topics[:3], new, old_labels=old_labels, new_labels=new_labels, next_id=7)
    assert matching.ids == (0, 7, 1, 2, 8)
    assert list_rows(matching, "split", "born") == [("split", (1,), (1, 7)), ("born", (), (8,))]
    row = next(row for row in matching.table if row.event == "split")
    assert (row.n_documents, row.share) == (100, pytest.approx(0.9))
    assert len(list_rows(matching, "kept")) == 3
    assert matching.share_kept == pytest.approx(155 / 200)


def test_merge(topics):
    # Topics 1 and 2 become one; two documents of a topic that has died are in it too.
    old_labels = np.repeat([0, 1, 2, 3], [50, 40, 60, 2])
    new_labels = np.repeat([0, 1], [50, 102])
    new = [topics[0], 0.4 * topics[1] + 0.6 * topics[2]]
    matching = match_topics(topics[:4], new, old_labels=old_labels, new_labels=new_labels)
    assert matching.ids == (0, 2)
    assert list_rows(matching, "merged", "died") == [("merged", (2, 1), (2,)), ("died", (3,), ())]
    row = next(row for row in matching.table if row.event == "merged")
    assert (row.n_documents, row.share) == (100, pytest.approx(1))


@pytest.mark.parametrize("n", [0, 40])
def test_birth_and_death(topics, n):
    labels = np.repeat([0, 1], n)
    matching = match_topics(
        topics[:3], topics[[0, 1, 4, 5]], old_labels=labels, new_labels=labels, old_ids=[5, 2, 9], next_id=20
    )
    assert matching.ids == (5, 2, 20, 21)
    assert matching.next_id == 22
    assert list_rows(matching, "born", "died") == [("born", (), (20,)), ("born", (), (21,)), ("died", (9,), ())]


def test_every_topic_is_in_one_row():
    rng = np.random.default_rng(0)
    for _ in range(30):
        n_old, n_new = rng.integers(1, 7, 2)
        components = rng.gamma(0.2, 1, (n_old, 8)), rng.gamma(0.2, 1, (n_new, 8))
        groups = rng.integers(0, 8, 400)  # documents of a group stay together, so there are splits and merges
        labels = rng.integers(-1, n_old, 8)[groups], rng.integers(-1, n_new, 8)[groups]
        matching = match_topics(*components, old_labels=labels[0], new_labels=labels[1])
        assert len(set(matching.ids)) == n_new
        kept = [id for row in matching.table if row.event == "kept" for id in row.new_ids]
        assert kept == sorted(set(matching.ids) & set(range(n_old)))
        for event, name, ids in (("split", "new_ids", matching.ids), ("merged", "old_ids", range(n_old))):
            single = "born" if event == "split" else "died"
            listed = [id for row in matching.table if row.event in (event, single) for id in getattr(row, name)]
            assert sorted(set(listed) - set(kept)) == sorted(set(ids) - set(kept))
            assert sum(id not in kept for id in listed) == len(set(ids) - set(kept))
        for row in matching.table:
            assert isnan(row.share) or 0 <= row.share <= 1
            assert 0 <= row.similarity <= 1


def test_documents_without_a_topic(topics):
    # They count as documents that left the topic, but not in the share of kept ones.
    labels = np.repeat([0, -1], [20, 20])
    matching = match_topics(topics[:1], topics[:1], old_labels=np.zeros(40, int), new_labels=labels)
    assert matching.table == (TopicChange("kept", (0,), (0,), 40, 0.5, pytest.approx((20 + 20) / (30 + 20))),)
    assert matching.share_kept == 1
    assert isnan(match_topics(topics, topics, old_labels=[-1], new_labels=[-1]).share_kept)


def test_text_html_and_frame(topics):
    labels = {"old_labels": [0] * 20 + [1] * 20, "new_labels": [0] * 20 + [1, 2] * 10}
    matching = match_topics(topics[:2], topics[[0, 1, 1]], **labels)
    assert str(matching).splitlines() == [
        "kept 0, 100% of 20 documents (similarity 1.00)",
        "kept 1, 50% of 20 documents (similarity 0.86)",
        "split 1 -> 1, 2, 100% of 20 documents (similarity 0.86)",
    ]
    assert str(TopicChange("born", (), (4,), 3, nan, 0.125)) == "born 4 (similarity 0.12)"
    assert matching._repr_html_().count("<tr>") == 4
    pytest.importorskip("pandas")
    frame = matching.to_frame()
    assert list(frame.columns) == ["event", "old_ids", "new_ids", "n_documents", "share", "similarity"]
    assert frame["new_ids"].tolist() == [(0,), (1,), (1, 2)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"old_labels": [0, 1], "new_labels": [0]}, ValueError, "same documents, got 2 and 1"),
        ({"old_labels": [0]}, ValueError, "`new_labels` is None"),
        ({"old_labels": [2], "new_labels": [0]}, ValueError, "`old_labels` must be indices of components from 0 to 1"),
        ({"old_labels": [0], "new_labels": [-2]}, ValueError, "`new_labels` must be indices"),
        ({"old_labels": [0.5], "new_labels": [0]}, TypeError, "`old_labels` must be an array of integers"),
        ({"old_labels": [[0]], "new_labels": [0]}, ValueError, "`old_labels` must be a one-dimensional array"),
        ({"old_ids": [1, 1]}, ValueError, "`old_ids` must be 2 different integers"),
        ({"old_ids": [1]}, ValueError, "`old_ids` must be 2 different integers"),
        ({"old_ids": ["a", "b"]}, TypeError, "`old_ids` must be an array of integers"),
        ({"next_id": 1}, ValueError, "`next_id` must be above all old ids, of which the largest is 1, got 1"),
        ({"next_id": 2.0}, TypeError, "`next_id` must be an integer"),
        ({"new_components": np.eye(3)}, ValueError, "the 2 features of `old_components`, got 3"),
        ({"new_components": [[np.nan, 1]]}, ValueError, "NaN"),
        ({"new_components": np.zeros((0, 2))}, ValueError, "new_components"),
    ],
)
def test_bad_input(options, error, message):
    arguments = {"old_components": np.eye(2), "new_components": np.eye(2), **options}
    old, new = arguments.pop("old_components"), arguments.pop("new_components")
    with pytest.raises(error, match=message):
        match_topics(old, new, **arguments)
