"""Units that learned one thing twice: the moves that `twins` proposes, by hand, and what they are for."""

import numpy as np
import pytest
from scipy import sparse

from codebooks import InhibitedMixture, KrotovHopfield
from codebooks.datasets import planted_corpus
from codebooks.models import relocation
from codebooks.models.relocation import moves

FORMATS = {"dense": np.asarray, "csr": sparse.csr_matrix}
# Units 0 and 1 share one group, unit 2 has another, and a third group has nobody, so unit 2 wins it as well.
SHARED = [[1, 0.2, 0, 0, 0, 0]] * 4 + [[2, 0, 0.4, 0, 0, 0]] * 3
OWN = [[0, 0, 0, 1, 0, 0]] * 9
UNCOVERED = [[0, 0, 0, 0.3, 1, 0], [0, 0, 0, 0.3, 1.1, 0], [0, 0, 0, 0.6, 2, 0], [0, 0, 0, 0.3, 0.9, 0]]
UNITS = np.array([[1, 0.2, 0, 0, 0, 0], [1, 0, 0.2, 0, 0, 0], [0, 0, 0, 1, 0, 0]])


def scaled(W):
    W = np.asarray(W, dtype=float)
    return W / np.linalg.norm(W, axis=-1, keepdims=True)


def setting(n_uncovered=4):
    X = np.array(SHARED + OWN + UNCOVERED[:n_uncovered])
    return X, np.array([0] * 4 + [1] * 3 + [2] * (9 + n_uncovered))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMATS)
def test_a_twin_goes_where_rows_are_explained_worst(form, dtype):
    X, labels = setting()
    (move,) = moves(FORMATS[form](X.astype(dtype)), scaled(UNITS).astype(dtype), labels)
    assert (move.unit, move.twin, move.n_rows) == (1, 0, 4)  # the lighter one goes
    np.testing.assert_allclose(move.together, scaled(scaled(SHARED).sum(axis=0)), atol=1e-6)
    np.testing.assert_allclose(move.elsewhere, scaled(scaled(UNCOVERED).sum(axis=0)), atol=1e-6)
    assert move.together.dtype == move.elsewhere.dtype == dtype


@pytest.mark.parametrize("form", FORMATS)
def test_the_lighter_one_goes_whichever_it_is(form):
    X, labels = setting()
    labels[:7] = 1 - labels[:7]
    (move,) = moves(FORMATS[form](X), scaled(UNITS)[[1, 0, 2]], labels)
    assert (move.unit, move.twin) == (0, 1)


@pytest.mark.parametrize("form", FORMATS)
def test_it_goes_there_block_by_block_too(form, monkeypatch):
    X, labels = setting()
    whole = moves(FORMATS[form](X), scaled(UNITS), labels)
    monkeypatch.setattr(
        relocation, "_BLOCK", 3
    )  # the uncovered rows fall into two blocks, and others hold none of them
    (found,), (expected,) = moves(FORMATS[form](X), scaled(UNITS), labels), whole
    assert found.n_rows == expected.n_rows == 4
    np.testing.assert_allclose(found.elsewhere, expected.elsewhere, atol=1e-12)


@pytest.mark.parametrize("form", FORMATS)
def test_moves_of_many_rows_are_found_in_a_sample(form, monkeypatch):
    X, labels = setting()
    X, labels = np.tile(X, (40, 1)), np.tile(labels, 40)
    (whole,) = moves(FORMATS[form](X), scaled(UNITS), labels)
    monkeypatch.setattr(relocation, "_N_SAMPLES", 200)
    (found,) = moves(FORMATS[form](X), scaled(UNITS), labels)
    assert (found.unit, found.twin) == (whole.unit, whole.twin)
    np.testing.assert_allclose(found.elsewhere, whole.elsewhere, atol=0.1)
    assert found.n_rows == pytest.approx(whole.n_rows, rel=0.4)  # of all rows, not of the sample


def test_two_pairs_go_to_two_groups():
    lines = np.repeat(np.eye(8)[:4], 10, axis=0)  # two groups that have two units each, and two that have none
    X = np.vstack([lines[:20], 0.2 * lines[:20] + lines[20:], np.zeros((2, 8))])
    labels = np.r_[[0] * 6, [1] * 4, [2] * 7, [3] * 3, [-1] * 22]
    found = moves(X, np.eye(8)[[0, 0, 1, 1]], labels)
    assert sorted((move.unit, move.twin) for move in found) == [(1, 0), (3, 2)]
    goals = sorted(int(move.elsewhere.argmax()) for move in found)
    assert goals == [2, 3]
    assert [move.n_rows for move in found] == [10, 10]


def test_of_three_units_on_one_group_two_are_paired():
    X = np.repeat(np.eye(8), [9, 5, 5, 5, 5, 0, 0, 0], axis=0)
    labels = np.r_[[0] * 2, [1] * 4, [2] * 3, [3] * 5, [4] * 5, [-1] * 10]
    (move,) = moves(X, np.eye(8)[[0, 0, 0, 1, 2]], labels)
    assert (move.unit, move.twin) == (0, 1)


def test_what_all_rows_have_in_common_makes_no_twins():
    """As in embeddings: any two of these groups have a cosine of .9, and one of them has no unit."""
    X = np.repeat(np.eye(8)[:6], 5, axis=0) + 3 * np.eye(8)[7]
    labels = np.repeat([0, 1, 2, 3, 4, -1], 5)
    units = scaled(np.eye(8)[:5] + 3 * np.eye(8)[7])
    assert moves(X, units, labels) == []
    labels[:5] = [0, 0, 0, 1, 1]  # while two units on one group still are
    (move,) = moves(X, units[[0, 0, 2, 3, 4]], np.where(labels == 1, np.where(X[:, 0] > 0, 1, -1), labels))
    assert (move.unit, move.twin) == (1, 0)
    assert move.n_rows >= 5  # a row on a unit counts too where rounding puts it nearer to the candidate


def test_without_twins_nobody_moves():
    X, labels = setting()
    labels[4:7] = 0
    assert moves(X, scaled(UNITS), labels) == []  # unit 1 has won nothing: idle, but nobody's twin
    X[4:7] = [0, 0, 1, 0, 0, 0]
    labels[4:7] = 1
    assert moves(X, scaled([UNITS[0], [0, 0, 1, 0, 0, 0], UNITS[2]]), labels) == []


@pytest.mark.parametrize(("n_uncovered", "n_moves"), [(0, 0), (2, 0), (3, 1)])
def test_odd_rows_are_no_group_to_go_to(n_uncovered, n_moves):
    X, labels = setting(n_uncovered)
    assert len(moves(X, scaled(UNITS), labels)) == n_moves


@pytest.mark.parametrize("form", FORMATS)
def test_empty_rows_are_ignored(form):
    X, labels = setting()
    (expected,) = moves(FORMATS[form](X), scaled(UNITS), labels)
    nothing = np.zeros((300, 6))  # more than there are candidates
    for place in (0, 3, len(X)):
        more, marked = np.insert(X, [place], nothing, axis=0), np.insert(labels, [place], np.full(300, -1))
        (found,) = moves(FORMATS[form](more), scaled(UNITS), marked)
        assert found[:2] == expected[:2]
        assert found.n_rows == expected.n_rows
        np.testing.assert_allclose(found.together, expected.together, atol=1e-12)
        np.testing.assert_allclose(found.elsewhere, expected.elsewhere, atol=1e-12)


def n_topics_found(learner, seed):
    """How many of ten planted topics, the largest a hundred times the smallest, have a unit of their own."""
    corpus = planted_corpus(2000, 10, balance=100 ** (-1 / 9), random_state=seed)
    labels = learner(random_state=seed).fit(corpus.X).labels_
    table = np.zeros((10, 10))
    np.add.at(table, (corpus.labels, labels), 1)
    main = table.argmax(axis=1)
    held = table.max(axis=1)
    return int(np.sum((held >= table.sum(axis=1) / 2) & (held >= table.sum(axis=0)[main] / 2)))


@pytest.mark.parametrize("learner", [KrotovHopfield, InhibitedMixture])
class TestSkewedTopics:
    @pytest.mark.parametrize("seed", range(3))
    def test_every_topic_has_its_unit(self, learner, seed):
        assert n_topics_found(learner, seed) == 10

    def test_without_the_moves_topics_are_lost(self, learner, monkeypatch):
        monkeypatch.setattr(learner, "_separated", lambda self, X, state, labels: state)
        assert min(n_topics_found(learner, seed) for seed in range(3)) < 10
