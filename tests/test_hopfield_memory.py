"""The memory: every similarity and separation against the oracle, exactness, appending, forgetting, energy."""

import os
import pickle
import sys
import threading
import warnings
from contextlib import nullcontext, suppress

import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.estimator_checks import parametrize_with_checks

from codebooks import HopfieldMemory
from codebooks.models import patterns

SIMILARITIES = ("dot", "cosine", "euclidean", "containment")
KINDS = ("softmax", "sparsemax", "entmax15", "max")
FORMS = {"dense": np.asarray, "CSR": sparse.csr_matrix}


def dense(a):
    return a.toarray() if sparse.issparse(a) else np.asarray(a)


def words(n=300, n_features=200, seed=0, rate=8):
    """Sets of words, the common ones in many of them."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_features + 1)
    X = np.zeros((n, n_features))
    for row in X:
        row[rng.choice(n_features, max(1, rng.poisson(rate)), p=share / share.sum())] = 1
    return np.unique(X, axis=0)[rng.permutation(len(np.unique(X, axis=0)))]


def masked(X, share, seed=0):
    """Rows that have lost this share of their entries, but not all."""
    rng = np.random.default_rng(seed)
    Q = X.copy()
    for row in Q:
        there = np.flatnonzero(row)
        row[rng.choice(there, min(len(there) - 1, round(share * len(there))), replace=False)] = 0
    return Q


def recovered(memory, Q, X):
    return float((dense(memory.transform(Q)) == X).all(axis=1).mean())


@parametrize_with_checks(
    [
        HopfieldMemory(),
        HopfieldMemory("dot", separation="softmax", beta=1.0),
        HopfieldMemory("euclidean", separation="max", n_steps=3),
        HopfieldMemory("containment", separation="entmax15", threshold=0.5),
    ],
    expected_failed_checks=lambda estimator: {
        "check_estimators_nan_inf": "NaN in a query is a missing value; fit refuses NaN, and all methods infinity"
    },
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("separation", KINDS)
class TestAgainstTheOracle:
    def test_weights_and_completions(self, form, similarity, separation):
        rng = np.random.default_rng(1)
        X = np.round(rng.standard_normal((40, 15)) * (rng.random((40, 15)) < 0.5), 1)
        X[7], X[20] = X[3], X[3]  # copies
        Q = np.vstack([rng.standard_normal((10, 15)), X[[3, 5]], np.zeros(15)])
        memory = HopfieldMemory(similarity, separation=separation, beta=0.7, length_penalty=0.2).fit(FORMS[form](X))
        completed = memory.transform(FORMS[form](Q))
        assert sparse.issparse(completed) == (form == "CSR")
        weights, ids = memory.recall(FORMS[form](Q), n_patterns=len(X))
        for q, row, w, names in zip(Q, dense(completed), weights, ids, strict=True):
            wanted, pattern = oracles.memory_step(q, X, similarity, 0.2, separation, 0.7)
            np.testing.assert_allclose(row, pattern, atol=1e-12)
            found = np.zeros(len(X))
            found[names[names >= 0]] = w[names >= 0]
            np.testing.assert_allclose(found, wanted, atol=1e-12)
            assert (np.diff(w) <= 0).all()

    def test_energy(self, form, similarity, separation):
        if similarity == "cosine":
            pytest.skip("is the oracle's for queries and patterns of length 1; tested below")
        rng = np.random.default_rng(2)
        X, Q = rng.standard_normal((30, 8)), rng.standard_normal((10, 8))
        memory = HopfieldMemory(similarity, separation=separation, beta=1.5, length_penalty=0.2).fit(FORMS[form](X))
        beta = 1.0 if separation == "max" else 1.5
        wanted = [oracles.memory_energy(q, X, similarity, 0.2, separation, beta) for q in Q]
        np.testing.assert_allclose(memory.energy(Q), wanted, rtol=1e-9)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("separation", KINDS)
@pytest.mark.parametrize("beta", [0.1, 1.0, 5.0])
def test_no_step_raises_the_energy(similarity, separation, beta):
    rng = np.random.default_rng(3)
    X, Q = rng.standard_normal((60, 10)), 2 * rng.standard_normal((40, 10))
    if similarity == "cosine":
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    energies = [HopfieldMemory(similarity, separation=separation, beta=beta, length_penalty=0.1).fit(X).energy(Q)]
    for n_steps in (1, 2, 3, 5, 8):
        memory = HopfieldMemory(similarity, separation=separation, beta=beta, length_penalty=0.1, n_steps=n_steps).fit(
            X
        )
        energies.append(memory.energy(memory.transform(Q)))
    assert (np.diff(energies, axis=0) <= 1e-9).all()
    assert (energies[0] - energies[-1]).max() > 0.1  # and falls
    assert (np.array(energies) >= -1e-9).all()


@pytest.mark.parametrize(("separation", "margin"), [("sparsemax", 1.0), ("entmax15", 2.0)])
def test_a_pattern_comes_back_alone_iff_its_gap_reaches_the_margin(separation, margin):
    X = np.array([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 1.0]])
    beta = margin / 3
    for gap, alone in ((3.0, True), (2.99, False)):
        q = np.array([[1 + gap / 2, 1.0, 0]])  # scores 2 + gap, 2, 0
        completed = HopfieldMemory("dot", separation=separation, beta=beta).fit(X).transform(q)
        assert (completed == X[:1]).all() == alone


def test_the_sample_for_beta_and_the_retrievable_share():
    X = words()
    for separation in ("sparsemax", "entmax15", "softmax"):
        memory = HopfieldMemory("dot", separation=separation).fit(X)
        enough = 0.99 if separation == "softmax" else 1 - 1e-9
        scores = X @ X.T * memory.beta_
        own = [oracles.SEPARATIONS[separation](z)[i] for i, z in enumerate(scores)]
        assert memory.retrievable_ == pytest.approx(np.mean(np.array(own) >= enough))
        assert 0 < memory.retrievable_ <= 1
    # Overlaps are whole numbers, so a gap of one word is the least: 1 / beta for sparsemax.
    assert HopfieldMemory("dot").fit(X).beta_ == pytest.approx(1)
    assert HopfieldMemory("dot", separation="entmax15").fit(X).beta_ == pytest.approx(2)


def test_estimates_are_stale_after_an_append():
    X = words()
    nothing = np.zeros_like(X)
    large, small = np.hstack([10 * X, nothing]), np.hstack([nothing, X])
    memory = HopfieldMemory("dot").fit(large)
    assert memory.beta_ == pytest.approx(0.01)
    assert memory.retrievable_ > 0
    memory.partial_fit(small)
    assert memory.beta_ == pytest.approx(1)
    again = HopfieldMemory("dot").fit(np.vstack([large, small]))
    assert (memory.beta_, memory.retrievable_) == (again.beta_, again.retrievable_)
    assert HopfieldMemory("dot", beta=3).fit(X).beta_ == 3


def test_the_estimates_follow_settings_changed_after_fitting():
    memory = HopfieldMemory("dot").fit(words())
    assert memory.set_params(separation="entmax15").beta_ == pytest.approx(
        2 * memory.set_params(separation="sparsemax").beta_
    )


@pytest.mark.parametrize("form", FORMS)
def test_fragments_of_sets_of_words_come_back(form):
    X = words(rate=15, n_features=1000)
    memory = HopfieldMemory(threshold=0.5).fit(FORMS[form](X))
    seeds_way = HopfieldMemory("dot", separation="softmax", beta=2.5, threshold=0.5).fit(FORMS[form](X))
    assert memory.similarity_ == "containment"
    for share, least in ((0.3, 0.95), (0.6, 0.85), (0.8, 0.4)):
        Q = FORMS[form](masked(X, share))
        assert recovered(memory, Q, X) >= max(least, recovered(seeds_way, Q, X))


def test_the_defaults_suit_numbers_too():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 64)) * rng.lognormal(size=(500, 1))
    memory = HopfieldMemory().fit(X)
    assert memory.similarity_ == "cosine"
    assert recovered(memory, masked(X, 0.5), X) > 0.95
    assert memory.score(X) > 0.95
    assert recovered(HopfieldMemory().fit(1000 * X), 1000 * masked(X, 0.5), 1000 * X) > 0.95


def test_the_penalty_scales_with_the_data():
    X = words()
    Q = masked(X, 0.6)
    for scale in (0.01, 100.0):
        small, large = (
            HopfieldMemory("containment", separation="max").fit(s * X).recall(s * Q, 1)[1] for s in (1, scale)
        )
        np.testing.assert_array_equal(small, large)


# -- appending and forgetting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_appending_equals_storing_at_once(form):
    X, Q = words(), masked(words(), 0.5, seed=5)
    at_once = HopfieldMemory(beta=3).fit(FORMS[form](X))
    step_by_step = HopfieldMemory(beta=3).partial_fit(FORMS[form](X[:1]))
    for rows in (slice(1, 2), slice(2, 100), slice(100, None)):
        step_by_step.transform(Q[:3])  # the index is there, and has to be made again
        step_by_step.partial_fit(X[rows] if rows.start == 2 else FORMS[form](X[rows]))
    np.testing.assert_array_equal(dense(step_by_step.transform(Q)), dense(at_once.transform(Q)))
    np.testing.assert_array_equal(step_by_step.ids_, np.arange(len(X)))


def test_ids_are_stable_and_never_used_again():
    X = np.eye(6)
    memory = HopfieldMemory().fit(X[:4]).forget([1, 3]).partial_fit(X[4:])
    np.testing.assert_array_equal(memory.ids_, [0, 2, 4, 5])
    assert memory.recall(X[[4]], 1)[1] == 4
    assert memory.kneighbors(X[[5]], 1, return_distance=False) == 5
    memory.forget(5).partial_fit(X[[1]])
    np.testing.assert_array_equal(memory.ids_, [0, 2, 4, 6])
    restored = pickle.loads(pickle.dumps(memory)).partial_fit(X[[5]])
    np.testing.assert_array_equal(restored.ids_, [0, 2, 4, 6, 7])


def test_forgetting_what_is_not_there_changes_nothing():
    memory = HopfieldMemory().fit(np.eye(4))
    with pytest.raises(ValueError, match="got others: 9, -1"):
        memory.forget([1, 9, -1])
    np.testing.assert_array_equal(memory.ids_, [0, 1, 2, 3])


@pytest.mark.parametrize("mask", [[False, True, True], np.array([False, True, True], object), np.ones(3, bool)])
def test_a_mask_is_not_read_as_ids(mask):
    memory = HopfieldMemory().fit(np.eye(3))
    with pytest.raises(TypeError, match=r"forget wants ids and got a mask. Give ids_\[mask\]"):
        memory.forget(mask)
    np.testing.assert_array_equal(memory.ids_, [0, 1, 2])
    np.testing.assert_array_equal(memory.forget(memory.ids_[[False, True, True]]).ids_, [0])


def test_ids_may_be_of_any_type_of_numbers():
    for dtype in (np.int8, np.uint64, np.float32, object):
        np.testing.assert_array_equal(HopfieldMemory().fit(np.eye(4)).forget(np.array([1, 2], dtype)).ids_, [0, 3])
    memory = HopfieldMemory().fit(np.eye(2)).forget([])
    for strange in (0.5, np.nan, 2**63, np.uint64(2**63), 1e300, "1", None):
        with pytest.raises(ValueError, match="got others"):
            memory.forget(strange)
    np.testing.assert_array_equal(memory.ids_, [0, 1])


@pytest.mark.parametrize("form", FORMS)
def test_an_emptied_memory_recalls_nothing(form):
    memory = HopfieldMemory().fit(FORMS[form](np.eye(3))).forget([0, 1, 2])
    assert not dense(memory.transform(np.eye(3))).any()
    np.testing.assert_array_equal(memory.recall(np.eye(3), 2)[1], -1)
    memory.partial_fit(FORMS[form](np.eye(3)[:1]))
    np.testing.assert_array_equal(memory.recall(np.eye(3)[:1], 1)[1], [[3]])


def test_a_failed_append_changes_nothing():
    X = np.eye(4)
    memory = HopfieldMemory().fit(X, y=list("abcd"))
    for bad, y in ((np.eye(3), list("abc")), (X * np.nan, list("abcd")), (X, None), (X, list("abc")), (X, np.eye(4))):
        with pytest.raises(ValueError):
            memory.partial_fit(bad, y)
    np.testing.assert_array_equal(memory.ids_, [0, 1, 2, 3])
    np.testing.assert_array_equal(memory.transform(X), X)


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        ([0, 1], [2.0, 3.0], ValueError),
        ([0.5, 1.0], [2, 3], ValueError),
        ([0, 1], ["a", "b"], TypeError),
        (["a", "b"], [0, 1], TypeError),
        ([0.5, 1.0], ["a", "b"], TypeError),
        (np.array(["a", "b"], object), [0.5, 1.0], TypeError),
    ],
)
def test_targets_of_another_kind_are_refused(first, second, error):
    memory = HopfieldMemory().fit(np.eye(4)[:2], first)
    with pytest.raises(error, match=r"partial_fit wants .* of (one|the) kind"):
        memory.partial_fit(np.eye(4)[2:], second)
    np.testing.assert_array_equal(memory.ids_, [0, 1])
    with pytest.raises(TypeError, match="score wants labels of one kind") if error is TypeError else nullcontext():
        memory.score(np.eye(4)[:2], second)
    emptied = memory.forget([0, 1]).partial_fit(np.eye(4)[2:], second)  # nothing is stored that it has to go with
    np.testing.assert_array_equal(emptied.targets_, second)
    assert emptied.targets_.dtype == np.asarray(second).dtype


def test_strings_of_any_length_and_form_are_one_kind():
    memory = HopfieldMemory().fit(np.eye(4)[:2], ["a", "b"])
    memory.partial_fit(np.eye(4)[2:3], ["a long name"]).partial_fit(np.eye(4)[3:], np.array(["c"], object))
    assert memory.predict(np.eye(4)).tolist() == ["a", "b", "a long name", "c"]
    assert memory.score(np.eye(4), np.array(["a", "b", "a long name", "d"], object)) == 0.75


def test_what_the_caller_does_to_the_array_does_not_reach_the_memory():
    X = np.eye(4)
    memory = HopfieldMemory().fit(X)
    X[:] = 7
    np.testing.assert_array_equal(memory.transform(np.eye(4)), np.eye(4))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("separation", KINDS)
def test_copies_change_no_completion_and_share(form, separation):
    X = words(60, 40)
    Q = masked(X, 0.5)
    copied = np.vstack([X, X[[4]], X[[9, 4]]])
    once = HopfieldMemory("dot", separation=separation, beta=0.8).fit(FORMS[form](X))
    often = HopfieldMemory("dot", separation=separation, beta=0.8).fit(FORMS[form](copied))
    np.testing.assert_allclose(dense(often.transform(Q)), dense(once.transform(Q)), atol=1e-12)
    weights, ids = often.recall(X[[4]], 3)
    assert set(ids[0][:3]) >= {4, len(X), len(X) + 2} or separation == "softmax"
    np.testing.assert_allclose(weights[0, 0], weights[0, 2])
    assert often.kneighbors(X[[4]], 3, return_distance=False).tolist() == [[4, len(X), len(X) + 2]]
    assert often.retrievable_ == once.retrievable_


# -- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("similarity", "metric"), [("euclidean", "euclidean"), ("cosine", "cosine")])
def test_neighbours_are_those_of_scikit_learn(form, similarity, metric):
    rng = np.random.default_rng(0)
    X, Q = rng.standard_normal((200, 10)), rng.standard_normal((30, 10))
    peer, memory = NearestNeighbors(metric=metric).fit(X), HopfieldMemory(similarity).fit(FORMS[form](X))
    for query in (Q, None):
        wanted, found = peer.kneighbors(query, 7), memory.kneighbors(query, 7)
        np.testing.assert_array_equal(found[1], wanted[1])
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-7)
    np.testing.assert_array_equal(
        memory.kneighbors(Q, return_distance=False), peer.kneighbors(Q, return_distance=False)
    )
    with pytest.raises(ValueError, match="n_neighbors=201"):
        memory.kneighbors(Q, 201)
    with pytest.raises(ValueError, match="n_neighbors=200"):
        memory.kneighbors(None, 200)


def test_distances_far_from_the_origin():
    rng = np.random.default_rng(0)
    X = (10_000 + rng.standard_normal((300, 20))).astype(np.float32)
    Q = (X[:50] + 0.1 * rng.standard_normal((50, 20))).astype(np.float32)
    memory = HopfieldMemory("euclidean").fit(X)
    distances, ids = memory.kneighbors(Q, 3)
    wanted = NearestNeighbors(n_neighbors=3).fit(X.astype(float)).kneighbors(Q.astype(float))
    np.testing.assert_array_equal(ids[:, 0], np.arange(50))
    np.testing.assert_allclose(distances, wanted[0], rtol=1e-2)
    np.testing.assert_array_equal(memory.transform(Q), X[:50])


def test_labels_and_values():
    rng = np.random.default_rng(0)
    centres = 4 * rng.standard_normal((3, 8))
    code = rng.integers(3, size=120)
    X = centres[code] + rng.standard_normal((120, 8))
    names = np.array(["red", "green", "blue"])[code]
    memory = HopfieldMemory("euclidean").fit(X[:80], names[:80])
    assert memory.score(X[80:], names[80:]) > 0.9
    assert memory.predict(X[:1]).dtype == names.dtype
    by_number = HopfieldMemory("euclidean", beta=0.5).fit(X[:80], X[:80, 0])
    assert by_number.predict(X[80:]).shape == (40,)
    assert by_number.score(X[80:], X[80:, 0]) > 0.5
    rows = HopfieldMemory("euclidean", beta=0.5).fit(X[:80], X[:80, :2]).predict(X[80:])
    assert rows.shape == (40, 2)
    np.testing.assert_allclose(rows[:, 0], by_number.predict(X[80:]))
    with pytest.raises(ValueError, match="wants targets"):
        HopfieldMemory().fit(X).predict(X)


def test_rows_of_whole_numbers_are_averaged():
    y = np.array([[0, 1], [1, 0], [4, 2]])
    memory = HopfieldMemory("cosine", separation="softmax", beta=1e-9).fit(np.eye(3), y)
    np.testing.assert_allclose(memory.predict([[1, 1, 1]]), [y.mean(axis=0)])


def test_predict_says_that_all_were_forgotten():
    memory = HopfieldMemory().fit(np.eye(3), [1, 2, 3]).forget([0, 1, 2])
    for ask in (memory.predict, lambda X: memory.score(X, [1, 2, 3])):
        with pytest.raises(ValueError, match="predict wants stored patterns, and all were forgotten"):
            ask(np.eye(3))


@pytest.mark.parametrize(("stored", "asked"), [(np.arange(5.0), np.eye(5)), (np.eye(5), np.arange(5.0))])
def test_score_refuses_numbers_of_another_shape(stored, asked):
    memory = HopfieldMemory().fit(np.eye(5), stored)
    assert memory.score(np.eye(5), stored) == 1
    with pytest.raises(ValueError, match=r"score wants a y of shape \(5,( 5)?\), as predict gives it"):
        memory.score(np.eye(5), asked)


def test_counts_are_whole_numbers():
    X = np.eye(5)
    memory = HopfieldMemory().fit(X)
    for n in (-1, 2.5, None, "3", True):
        with pytest.raises(ValueError, match="n_patterns must be a whole number, 0 or more"):
            memory.recall(X, n)
        with pytest.raises(ValueError, match="n_neighbors must be a whole number, 1 or more"):
            memory.kneighbors(X, n)
    assert memory.recall(X, 0)[0].shape == (5, 0)
    assert memory.recall(X, np.int8(2))[0].shape == memory.kneighbors(X, np.int8(2))[0].shape == (5, 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("similarity", ["dot", "euclidean", "containment"])
def test_rows_whose_squares_underflow_are_refused(form, similarity):
    X = np.random.default_rng(0).random((50, 8))
    for dtype, small, fine in ((np.float32, 2e-22, 1e-17), (np.float64, 1e-160, 1e-140)):
        for separation in ("sparsemax", "softmax", "entmax15"):
            memory = HopfieldMemory(similarity, separation=separation).fit(FORMS[form]((small * X).astype(dtype)))
            with pytest.raises(ValueError, match=r'beta="auto" wants rows whose squares float\d\d can tell apart'):
                memory.transform(small * X)
            scaled = HopfieldMemory(similarity, separation=separation).fit(FORMS[form]((fine * X).astype(dtype)))
            assert scaled.beta_ > 1
            assert np.isfinite(dense(scaled.transform(fine * X)) / fine).all()
    assert HopfieldMemory(similarity).fit(FORMS[form](np.float32(2e-22) * np.float32(X[:1]))).beta_ == 1  # alone
    for small in (1e-20, 3e-20):  # here it was infinite
        memory = HopfieldMemory(similarity).fit(FORMS[form]((small * X).astype(np.float32)))
        with suppress(ValueError):  # it depends on the version of NumPy
            assert np.isfinite(dense(memory.transform(small * X))).all()


def test_a_row_that_recalls_nothing_gets_the_commonest_label():
    memory = HopfieldMemory().fit(np.eye(4), [1, 2, 2, 3])
    np.testing.assert_array_equal(memory.predict([[0, 0, 0, 0], [1, 0, 0, 0]]), [2, 1])


def test_several_steps_and_binary_states():
    X = words(80)
    Q = masked(X, 0.6)[:30]
    memory = HopfieldMemory("dot", separation="softmax", beta=1.0, threshold=0.5, n_steps=4).fit(X)
    state = Q
    for _ in range(4):
        state = (np.array([oracles.memory_step(q, X, "dot", 0, "softmax", 1.0)[1] for q in state]) >= 0.5).astype(float)
    np.testing.assert_array_equal(memory.transform(Q), state)
    np.testing.assert_array_equal(
        HopfieldMemory(**memory.get_params()).fit(sparse.csr_matrix(X)).transform(Q).toarray(), state
    )


# -- laws ------------------------------------------------------------------------------------------------------------


def test_blocks_do_not_matter():
    X = words(300, 500)
    Q = masked(X, 0.5)
    for form in FORMS.values():
        memory = HopfieldMemory(beta=4).fit(form(X))
        whole = dense(memory.transform(Q)), *memory.recall(Q, 3), *memory.kneighbors(Q)
        with config_context(working_memory=0.05):
            parts = dense(memory.transform(Q)), *memory.recall(Q, 3), *memory.kneighbors(Q)
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_forms_and_dtypes_agree(similarity):
    X = words()
    Q = masked(X, 0.5)
    wanted = dense(HopfieldMemory(similarity, beta=2).fit(X).transform(Q))
    for form in (*FORMS.values(), sparse.csr_array, sparse.csc_matrix, sparse.coo_matrix, np.asfortranarray):
        for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 1e-5)):
            memory = HopfieldMemory(similarity, beta=2).fit(form(X.astype(dtype)))
            for asked in (Q, sparse.csr_matrix(Q.astype(np.float32))):
                completed = memory.transform(asked)
                assert completed.dtype == dtype
                np.testing.assert_allclose(dense(completed), wanted, atol=tolerance)


def test_an_empty_query_recalls_nothing():
    X = words()
    X[:, 0] = 0
    Q = np.zeros((2, X.shape[1]))
    Q[1, 0] = 1  # in no pattern
    for similarity in ("dot", "cosine", "containment"):
        memory = HopfieldMemory(similarity).fit(X)
        assert not memory.transform(Q).any()
        assert (memory.recall(Q)[1] == -1).all()


def test_pickle_clone_and_seed():
    X = words()
    memory = HopfieldMemory(random_state=3).fit(X)
    Q = masked(X, 0.7)
    wanted = memory.transform(Q)
    for other in (pickle.loads(pickle.dumps(memory)), clone(memory).fit(X)):
        np.testing.assert_array_equal(other.transform(Q), wanted)
        assert other.beta_ == memory.beta_
        assert other.score(X) == memory.score(X)


def test_searches_while_patterns_come_and_go(asked_meanwhile):
    X = words(400, 300)
    memory = HopfieldMemory("cosine", separation="max").fit(sparse.csr_matrix(X[:200]))

    def search():
        np.testing.assert_array_equal(memory.transform(X[:150]).toarray(), X[:150])

    with asked_meanwhile(search) as failures:
        for i in range(200, len(X), 20):
            memory.partial_fit(sparse.csr_matrix(X[i : i + 20]))
            memory.forget(memory.ids_[-5:])
    assert not failures


@pytest.fixture
def busy_threads():
    """Call functions at once, one in a thread each, which give way to each other all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def call(*functions):
        together, errors = threading.Barrier(len(functions)), []

        def work(function):
            together.wait()
            try:
                function()
            except Exception as error:
                errors.append(error)

        workers = [threading.Thread(target=work, args=(function,)) for function in functions]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not errors

    yield call
    sys.setswitchinterval(interval)


def test_no_change_of_several_threads_is_lost(busy_threads):
    X = np.eye(90)
    memory = HopfieldMemory("dot").fit(X)

    def forget(ids):
        for i in ids:
            memory.forget(i)

    def add():
        for row in X[:30]:
            memory.partial_fit(row[None])

    busy_threads(lambda: forget(range(30)), lambda: forget(range(30, 60)), add, add)
    np.testing.assert_array_equal(memory.ids_, range(60, 150))


def test_the_first_patterns_of_several_threads_are_all_stored(busy_threads):
    X = np.eye(6)
    for _ in range(60):
        memory = HopfieldMemory("dot")
        busy_threads(*[lambda: memory.partial_fit(X)] * 4)  # noqa: B023
        np.testing.assert_array_equal(memory.ids_, range(24))


def test_a_fit_that_fails_takes_nothing_back_that_another_thread_stored():
    X, memory = np.eye(3), HopfieldMemory("dot").fit(np.eye(3))
    other = threading.Thread(target=lambda: memory.partial_fit(X))

    class Unreadable:
        def __array__(self, *ignored, **more):
            other.start()
            other.join(0.2)  # it may wait until this fit has failed
            raise ValueError("unreadable")

    with pytest.raises(ValueError, match="unreadable"):
        memory.fit(Unreadable())
    other.join()
    np.testing.assert_array_equal(memory.ids_, range(6))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks nothing")
def test_a_child_may_change_a_memory_while_another_thread_of_its_parent_does(fresh_python):
    code = """
import os, threading
import numpy as np
from codebooks import HopfieldMemory
inside, enough = threading.Event(), threading.Event()
class Slow:
    def __array__(self, *ignored, **more):
        inside.set()
        enough.wait()
        return np.eye(3)
one, two = (HopfieldMemory("dot").fit(np.eye(3)) for _ in range(2))
threading.Thread(target=lambda: one.partial_fit(Slow())).start()
inside.wait()
child = os.fork()
if child == 0:
    two.partial_fit(np.eye(3)).forget([0])
    os._exit(len(two.ids_))
status = os.waitpid(child, 0)[1]
enough.set()
print(os.waitstatus_to_exitcode(status))
"""
    assert fresh_python(code).split() == ["5"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks nothing")
def test_a_child_may_search_a_memory_while_another_thread_of_its_parent_prepares_it(fresh_python):
    code = """
import os, signal, threading
import numpy as np
from codebooks import HopfieldMemory, ops
inside, enough, invert = threading.Event(), threading.Event(), ops.invert
def slow(rows):
    inside.set()
    enough.wait()
    return invert(rows)
memory = HopfieldMemory("dot", beta=1.0).fit(np.eye(3))
ops.invert = slow
threading.Thread(target=lambda: memory.transform(np.eye(3))).start()
inside.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    ops.invert = invert
    os._exit(int(memory.transform(np.eye(3)).sum()))
status = os.waitpid(child, 0)[1]
enough.set()
print(os.waitstatus_to_exitcode(status))
"""
    assert fresh_python(code).split() == ["3"]


def test_score_takes_a_data_frame_as_fit_does():
    pandas = pytest.importorskip("pandas")
    X = words(60, 40).astype(float)
    frame, y = pandas.DataFrame(X, columns=[f"w{j}" for j in range(40)]), np.arange(60) % 3
    memory, plain = HopfieldMemory().fit(frame, y), HopfieldMemory().fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert memory.score(frame) == plain.score(X)
        assert memory.score(frame, y) == plain.score(X, y)


def test_score_looks_at_its_rows_once(monkeypatch):
    X, looked, check = words(60, 40).astype(float), [], HopfieldMemory._check
    memory = HopfieldMemory().fit(X, np.arange(60) % 3)
    monkeypatch.setattr(HopfieldMemory, "_check", lambda self, X: looked.append(X) or check(self, X))
    memory.score(X)
    memory.score(X, np.arange(60) % 3)
    assert len(looked) == 2


def test_who_waited_for_rows_does_not_stack_them_again(monkeypatch):
    store = patterns.Patterns.of(np.eye(3)).appended(np.eye(3))
    stacked = np.vstack([np.eye(3), np.eye(3)])

    class Busy:  # another thread stacks them until it lets go
        def __enter__(self):
            store._blocks = [stacked]

        def __exit__(self, *ignored):
            pass

    monkeypatch.setattr(patterns, "_making", Busy())
    assert store.rows is stacked
