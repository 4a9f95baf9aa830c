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
from sklearn import config_context, datasets
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from codebooks import HopfieldMemory
from codebooks.memory import _pattern_store as patterns

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
        ids, weights = memory.recall(FORMS[form](Q), n_patterns=len(X))
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
            HopfieldMemory("containment", separation="max").fit(s * X).recall(s * Q, 1)[0] for s in (1, scale)
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
    memory = HopfieldMemory().fit(X[:4]).remove([1, 3]).partial_fit(X[4:])
    np.testing.assert_array_equal(memory.ids_, [0, 2, 4, 5])
    assert memory.recall(X[[4]], 1)[0] == 4
    assert memory.kneighbors(X[[5]], 1, return_distance=False) == 5
    memory.remove(5).partial_fit(X[[1]])
    np.testing.assert_array_equal(memory.ids_, [0, 2, 4, 6])
    restored = pickle.loads(pickle.dumps(memory)).partial_fit(X[[5]])
    np.testing.assert_array_equal(restored.ids_, [0, 2, 4, 6, 7])


def test_remove_of_unknown_ids_changes_nothing():
    memory = HopfieldMemory().fit(np.eye(4))
    with pytest.raises(ValueError, match="got 9, -1"):
        memory.remove([1, 9, -1])
    np.testing.assert_array_equal(memory.ids_, [0, 1, 2, 3])


@pytest.mark.parametrize("mask", [[False, True, True], np.array([False, True, True], object), np.ones(3, bool)])
def test_remove_refuses_a_mask(mask):
    memory = HopfieldMemory().fit(np.eye(3))
    with pytest.raises(TypeError, match=r"remove expected ids, got a mask. Use ids_\[mask\]"):
        memory.remove(mask)
    np.testing.assert_array_equal(memory.ids_, [0, 1, 2])
    np.testing.assert_array_equal(memory.remove(memory.ids_[[False, True, True]]).ids_, [0])


def test_ids_may_be_of_any_type_of_numbers():
    for dtype in (np.int8, np.uint64, np.float32, object):
        np.testing.assert_array_equal(HopfieldMemory().fit(np.eye(4)).remove(np.array([1, 2], dtype)).ids_, [0, 3])
    memory = HopfieldMemory().fit(np.eye(2)).remove([])
    for strange in (0.5, np.nan, 2**63, np.uint64(2**63), 1e300, "1", None):
        with pytest.raises(ValueError, match="expected stored ids"):
            memory.remove(strange)
    np.testing.assert_array_equal(memory.ids_, [0, 1])


@pytest.mark.parametrize("form", FORMS)
def test_an_emptied_memory_recalls_nothing(form):
    memory = HopfieldMemory().fit(FORMS[form](np.eye(3))).remove([0, 1, 2])
    assert not dense(memory.transform(np.eye(3))).any()
    np.testing.assert_array_equal(memory.recall(np.eye(3), 2)[0], -1)
    memory.partial_fit(FORMS[form](np.eye(3)[:1]))
    np.testing.assert_array_equal(memory.recall(np.eye(3)[:1], 1)[0], [[3]])


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
    with pytest.raises(error, match=r"partial_fit expected .*(one type|the stored kind)"):
        memory.partial_fit(np.eye(4)[2:], second)
    np.testing.assert_array_equal(memory.ids_, [0, 1])
    with pytest.raises(TypeError, match="score expected labels of one type") if error is TypeError else nullcontext():
        memory.score(np.eye(4)[:2], second)
    emptied = memory.remove([0, 1]).partial_fit(np.eye(4)[2:], second)  # nothing is stored that it has to go with
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
    ids, weights = often.recall(X[[4]], 3)
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
    with pytest.raises(ValueError, match="200, got 201"):
        memory.kneighbors(Q, 201)
    with pytest.raises(ValueError, match="199, got 200"):
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
    with pytest.raises(ValueError, match="fitted with y"):
        HopfieldMemory().fit(X).predict(X)


def test_rows_of_whole_numbers_are_averaged():
    y = np.array([[0, 1], [1, 0], [4, 2]])
    memory = HopfieldMemory("cosine", separation="softmax", beta=1e-9).fit(np.eye(3), y)
    np.testing.assert_allclose(memory.predict([[1, 1, 1]]), [y.mean(axis=0)])


def test_predict_says_that_all_were_forgotten():
    memory = HopfieldMemory().fit(np.eye(3), [1, 2, 3]).remove([0, 1, 2])
    for ask in (memory.predict, lambda X: memory.score(X, [1, 2, 3])):
        with pytest.raises(ValueError, match="predict expected stored patterns, got an empty memory"):
            ask(np.eye(3))


@pytest.mark.parametrize(("stored", "asked"), [(np.arange(5.0), np.eye(5)), (np.eye(5), np.arange(5.0))])
def test_score_refuses_numbers_of_another_shape(stored, asked):
    memory = HopfieldMemory().fit(np.eye(5), stored)
    assert memory.score(np.eye(5), stored) == 1
    with pytest.raises(ValueError, match=r"score expected y of shape \(5,( 5)?\), as predict returns it"):
        memory.score(np.eye(5), asked)


def test_counts_are_whole_numbers():
    X = np.eye(5)
    memory = HopfieldMemory().fit(X)
    for n in (-1, 2.5, None, "3", True):
        with pytest.raises(ValueError, match="`n_patterns` must be an integer >= 0"):
            memory.recall(X, n)
        with pytest.raises(ValueError, match="`n_neighbors` must be an integer >= 1"):
            memory.kneighbors(X, n)
    assert memory.recall(X, 0)[1].shape == (5, 0)
    assert memory.recall(X, np.int8(2))[1].shape == memory.kneighbors(X, np.int8(2))[0].shape == (5, 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("similarity", ["dot", "euclidean", "containment"])
def test_rows_whose_squares_underflow_are_refused(form, similarity):
    X = np.random.default_rng(0).random((50, 8))
    for dtype, small, fine in ((np.float32, 2e-22, 1e-17), (np.float64, 1e-160, 1e-140)):
        for separation in ("sparsemax", "softmax", "entmax15"):
            memory = HopfieldMemory(similarity, separation=separation).fit(FORMS[form]((small * X).astype(dtype)))
            with pytest.raises(ValueError, match=r"rows whose squares differ in float\d\d"):
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
        assert (memory.recall(Q)[0] == -1).all()


def test_pickle_clone_and_seed():
    X = words()
    memory = HopfieldMemory(random_state=3).fit(X)
    Q = masked(X, 0.7)
    wanted = memory.transform(Q)
    for other in (pickle.loads(pickle.dumps(memory)), clone(memory).fit(X)):
        np.testing.assert_array_equal(other.transform(Q), wanted)
        assert other.beta_ == memory.beta_
        assert other.score(X) == memory.score(X)


def test_queries_while_other_threads_add_and_remove_patterns(query_in_threads):
    X = words(400, 300)
    memory = HopfieldMemory("cosine", separation="max").fit(sparse.csr_matrix(X[:200]))

    def search():
        np.testing.assert_array_equal(memory.transform(X[:150]).toarray(), X[:150])

    with query_in_threads(search) as failures:
        for i in range(200, len(X), 20):
            memory.partial_fit(sparse.csr_matrix(X[i : i + 20]))
            memory.remove(memory.ids_[-5:])
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
            memory.remove(i)

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
    two.partial_fit(np.eye(3)).remove([0])
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
inside, enough, invert = threading.Event(), threading.Event(), ops.build_postings
def slow(rows):
    inside.set()
    enough.wait()
    return invert(rows)
memory = HopfieldMemory("dot", beta=1.0).fit(np.eye(3))
ops.build_postings = slow
threading.Thread(target=lambda: memory.transform(np.eye(3))).start()
inside.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    ops.build_postings = invert
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


def test_waiting_threads_do_not_stack_rows_again(monkeypatch):
    store = patterns.Patterns.of(np.eye(3)).append_rows(np.eye(3))
    stacked = np.vstack([np.eye(3), np.eye(3)])

    class Busy:  # another thread stacks them until it lets go
        def __enter__(self):
            store._blocks = [stacked]

        def __exit__(self, *ignored):
            pass

    monkeypatch.setattr(patterns, "_computing", Busy())
    assert store.rows is stacked


# -- stored rows come back -------------------------------------------------------------------------------------------


def measured(name):
    """A data set of scikit-learn without the rows that come twice."""
    return np.unique(getattr(datasets, f"load_{name}")().data, axis=0)


def cone(n=300, n_features=64, spread=0.4, seed=0):
    """Embeddings around one direction."""
    X = np.random.default_rng(seed).standard_normal((n, n_features))
    X = spread * X / np.linalg.norm(X, axis=1, keepdims=True) + n_features**-0.5
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def tf_idf(n=300, n_features=200, seed=0):
    X = np.random.default_rng(seed).poisson(0.04, (n, n_features)) * np.linspace(1, 5, n_features)
    X = np.unique(X[X.any(axis=1)], axis=0)
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    return np.unique(X, axis=0)


def scales(n=400, seed=0):
    """Columns as in tables of houses: years, rooms, inhabitants, degrees."""
    rng = np.random.default_rng(seed)
    columns = (
        rng.integers(1, 53, n),
        rng.lognormal(1.6, 0.3, n),
        np.round(rng.lognormal(7, 0.7, n)),
        rng.uniform(-124, -114, n),
    )
    return np.column_stack(columns)


def normal(centre, spread, shape, dtype=float, seed=0):
    return np.random.default_rng(seed).normal(centre, spread, shape).astype(dtype)


def twins(difference):
    X = normal(0, 1, (100, 20))
    return np.vstack([X, difference(X)])


DISTINCT = {
    "three measurements": np.array([[20.0, 101, 300], [21, 99, 301], [19, 100, 299]]),
    "offset": normal(100, 1, (300, 64)),
    "offset float32": normal(100, 1, (300, 64), np.float32),
    "large offset float32": normal(1e4, 1, (300, 64), np.float32),
    "offset CSR": sparse.csr_matrix(normal(100, 1, (200, 20))),
    "centred": normal(0, 1, (300, 32)),
    "negative": -np.random.default_rng(0).gamma(2, 1, (300, 20)),
    **{name: measured(name) for name in ("iris", "wine", "breast_cancer", "digits", "diabetes")},
    "scaled iris": StandardScaler().fit_transform(measured("iris")),
    "scales": scales(),
    "scales float32": np.unique(scales().astype(np.float32), axis=0),
    "counts": np.unique(np.random.default_rng(0).poisson(0.1, (300, 40)), axis=0).astype(float),  # with a row of zeros
    "short counts CSR": sparse.csr_matrix(np.unique(np.random.default_rng(1).poisson(0.03, (400, 30)), axis=0)[1:]),
    "tf-idf": sparse.csr_matrix(tf_idf()),
    "tf-idf float32": sparse.csr_matrix(np.unique(tf_idf().astype(np.float32), axis=0)),
    "cone": cone(),
    "narrow cone float32": cone(spread=1e-3).astype(np.float32),
    "one-hot": np.eye(20),
    "one-hot of several": np.unique(np.hstack([np.eye(k)[normal(0, 9, 200).astype(int) % k] for k in (3, 5)]), axis=0),
    "nested sets": np.tril(np.ones((40, 40))),
    "nested sets CSR": sparse.csr_matrix(np.tril(np.ones((40, 40)))),
    "sets": words(200, 60),
    "multiples": np.arange(1, 31)[:, None] * np.array([1.0, 2, 3]),
    "multiples CSR": sparse.csr_matrix(np.kron(np.eye(9), np.arange(1, 6)[:, None])),
    "multiples among others": np.vstack([np.arange(1, 9)[:, None] * np.ones(30), normal(0, 1, (100, 30))]),
    "tiny": normal(0, 1e-100, (100, 20)),
    "tiny float32": normal(0, 1e-15, (100, 20), np.float32),
    "huge": normal(5e100, 1e100, (100, 20)),
    "huge float32": normal(3e15, 1e15, (100, 20), np.float32),
    "one feature": np.arange(1.0, 80)[:, None],
    "one feature float32": (1e5 + np.arange(80)[:, None]).astype(np.float32),
    "two far clusters float32": np.vstack([normal(c, 1, (100, 16)) for c in (0, 1e5)]).astype(np.float32),
    "near twins": twins(lambda X: X + 1e-9),
    "twins in float32": np.vstack([x := normal(0, 1, (100, 20), np.float32), np.nextafter(x, np.float32(9))]),
    "nearly equal rows float32": np.unique(
        (np.repeat(normal(0, 1, (30, 2)), 5, axis=0) + normal(0, 1e-6, (150, 2))).astype(np.float32), axis=0
    ),
    "multiples of all lengths float32": np.unique(
        np.outer(np.random.default_rng(0).lognormal(0, 2, 200), normal(0, 1, 20)).astype(np.float32), axis=0
    ),
    "one row": np.array([[3.0, 4]]),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", DISTINCT)
def test_stored_rows_come_back_alone_at_the_defaults(name):
    X = DISTINCT[name]
    n = X.shape[0]
    for n_steps in (1, 20):
        memory = HopfieldMemory(n_steps=n_steps).fit(X, np.arange(n))
        np.testing.assert_array_equal(dense(memory.transform(X)), dense(X))
    filled = np.flatnonzero(dense(X).any(axis=1))  # an empty query has nothing to compare by
    ids = memory.recall(X, 2)[0]
    np.testing.assert_array_equal(ids[filled], np.column_stack([np.arange(n), np.full(n, -1)])[filled])
    np.testing.assert_array_equal(memory.predict(X), np.arange(n))
    assert memory.retrievable_ == 1


@pytest.mark.parametrize("separation", ["entmax15", "max"])
@pytest.mark.parametrize(
    "name", ["offset float32", "iris", "counts", "multiples CSR", "nested sets", "twins in float32"]
)
def test_stored_rows_come_back_alone_by_all_sparse_separations(name, separation):
    X = DISTINCT[name]
    np.testing.assert_array_equal(dense(HopfieldMemory(separation=separation).fit(X).transform(X)), dense(X))


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits"])
def test_predict_of_training_rows(name):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    assert HopfieldMemory().fit(X, y).score(X, y) == 1
    stored = X[::2]
    peer = NearestNeighbors(n_neighbors=1).fit(stored).kneighbors(X[1::2], return_distance=False)[:, 0]
    assert HopfieldMemory().fit(stored, y[::2]).score(X[1::2], y[1::2]) >= (y[::2][peer] == y[1::2]).mean() - 0.02


@pytest.mark.parametrize("name", ["iris", "offset", "wine", "cone", "scaled iris"])
def test_steps_do_not_collapse_noisy_queries(name):
    X = DISTINCT[name]
    Q = X + 0.1 * X.std(axis=0) * normal(0, 1, X.shape, seed=5)
    nearest = NearestNeighbors(n_neighbors=1).fit(X).kneighbors(Q, return_distance=False)
    completed = np.unique(HopfieldMemory(n_steps=20).fit(X).transform(Q).round(6), axis=0)
    assert len(completed) >= 0.9 * len(np.unique(nearest))


@pytest.mark.parametrize(
    ("X", "similarity"),
    [
        (DISTINCT["iris"], "euclidean"),
        (DISTINCT["offset"], "euclidean"),
        (DISTINCT["offset CSR"], "euclidean"),
        (DISTINCT["scaled iris"], "euclidean"),
        (DISTINCT["multiples"], "euclidean"),
        (DISTINCT["one feature"], "euclidean"),
        (DISTINCT["digits"], "cosine"),
        (DISTINCT["tf-idf"], "cosine"),
        (DISTINCT["cone"], "cosine"),
        (DISTINCT["centred"], "cosine"),
        (DISTINCT["nested sets"], "containment"),
    ],
)
def test_similarity_auto(X, similarity):
    assert HopfieldMemory().fit(X).similarity_ == similarity


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("separation", ["softmax", "sparsemax", "entmax15"])
def test_beta_auto_rises_near_patterns(similarity, separation):
    X, Q = normal(0, 1, (40, 6)), normal(0, 1, (20, 6), seed=1)
    Q[:5] = X[:5] + 0.01 * Q[:5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of patterns that others outscore
        memory = HopfieldMemory(similarity, separation=separation, length_penalty=0.2).fit(X)
        completed = memory.transform(Q)
    margin = {"sparsemax": 1.0, "entmax15": 2.0, "softmax": np.log(40 / 0.01)}[separation]
    for q, row in zip(Q, completed, strict=True):
        beta = oracles.memory_beta(q, X, similarity, 0.2, margin, memory.beta_)
        wanted = oracles.memory_step(q, X, similarity, 0.2, separation, beta)[1]
        np.testing.assert_allclose(row, wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["one-hot", "one-hot of several", "sets", "offset", "cone", "digits", "centred"])
def test_noisy_rows_come_back(name):
    X = DISTINCT[name]
    Q = X + 0.1 * X.std(axis=0) * normal(0, 1, X.shape, seed=5)
    assert (HopfieldMemory().fit(X).transform(Q) == X).all(axis=1).mean() >= 0.95


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_energy_falls_with_beta_auto(similarity):
    X, Q = normal(0, 1, (60, 6)), normal(0, 1.5, (100, 6), seed=1)
    X /= np.linalg.norm(X, axis=1, keepdims=True) if similarity == "cosine" else 1
    memory = HopfieldMemory(similarity).fit(X)
    once = memory.transform(Q)
    energies = [memory.energy(state) for state in (Q, once, memory.transform(once))]
    assert (np.diff(energies, axis=0) <= 1e-9).all()
    assert (energies[0] - energies[1]).max() > 0.01


def test_an_empty_query_recalls_an_empty_pattern():
    X = np.array([[0.0, 0, 0, 0], [1, 2, 0, 3], [0, 4, 1, 0]])
    for form in FORMS.values():
        for similarity in ("auto", "cosine", "containment"):
            memory = HopfieldMemory(similarity, beta=1.0).fit(form(X), ["none", "a", "b"])
            assert memory.predict(form(X[:1])).tolist() == ["none"]
            assert memory.recall(form(X[:1]), 1)[0].tolist() == [[0]]


# -- warnings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("similarity", "X"),
    [
        ("cosine", DISTINCT["multiples"]),
        ("cosine", DISTINCT["twins in float32"]),
        ("dot", np.array([[1.0, 0], [3, 1]])),
        ("containment", np.array([[1.0, 2], [2, 4]])),
    ],
)
@pytest.mark.parametrize("separation", ["sparsemax", "max"])
def test_a_similarity_that_cannot_separate_patterns_warns_once(similarity, X, separation):
    memory = HopfieldMemory(similarity, separation=separation).fit(X)
    with pytest.warns(UserWarning, match=f'similarity="{similarity}", .* Use similarity="auto"') as caught:
        memory.transform(X)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        memory.transform(X)
        memory.recall(X)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_patterns_that_can_be_separated_and_copies_do_not_warn(similarity):
    X = DISTINCT["centred"]
    HopfieldMemory(similarity).fit(np.vstack([X, X[:9]])).transform(X)


# -- missing values --------------------------------------------------------------------------------------------------


def with_gaps(X, share=0.5, seed=0):
    Q = np.array(X, dtype=float)
    Q[np.random.default_rng(seed).random(Q.shape) < share] = np.nan
    return Q


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("separation", KINDS)
def test_missing_values_against_the_oracle(form, similarity, separation):
    X = np.round(normal(0.5, 1, (40, 12)) * (normal(0, 1, (40, 12), seed=1) > 0), 1)
    Q = with_gaps(normal(0, 1, (12, 12), seed=2))
    Q[3], Q[4] = np.nan, X[5]  # all is missing, and nothing
    settings = {"separation": separation, "beta": 0.7, "length_penalty": 0.2}
    memory = HopfieldMemory(similarity, keep_observed=False, **settings).fit(FORMS[form](X))
    completed, filled = (
        dense(memory.transform(FORMS[form](Q))),
        dense(clone(memory).set_params(keep_observed=True).fit(FORMS[form](X)).transform(FORMS[form](Q))),
    )
    for q, row, kept in zip(Q, completed, filled, strict=True):
        wanted = oracles.memory_step(q, X, similarity, 0.2, separation, 0.7)[1]
        np.testing.assert_allclose(row, wanted, atol=1e-12)
        there = ~np.isnan(q) & np.isnan(q).any()
        np.testing.assert_array_equal(kept[there], q[there])
        np.testing.assert_allclose(kept[~there], wanted[~there], atol=1e-12)
    assert not completed[3].any()
    assert (memory.recall(FORMS[form](Q[3:4]), 2)[0] == -1).all()


def garments(n, seed=0):
    """Filled grey shapes of 28 x 28: a body of some width and slope, with sleeves and a texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28]
    images = np.zeros((n, 28, 28), np.float32)
    for image in images:
        half = rng.uniform(3, 10) + rng.uniform(-0.3, 0.3) * (y - 14)
        top, bottom = rng.integers(1, 9), rng.integers(18, 27)
        reach = np.where(y < top + rng.integers(2, 12), half + rng.uniform(0, 7), half)
        shape = (abs(x - 13.5) < reach) & (y >= top) & (y <= bottom)
        texture = 1 + 0.15 * np.sin(y / rng.uniform(1, 5)) * np.cos(x / rng.uniform(1, 5))
        image[:] = shape * rng.uniform(0.3, 0.8) * texture
    return images.reshape(n, -1)


@pytest.mark.parametrize("form", FORMS)
def test_the_missing_half_of_an_image(form):
    X = garments(1000)
    chosen = np.random.default_rng(1).choice(len(X), 200, replace=False)
    Q = X[chosen].copy()
    Q[:, 392:] = np.nan
    memory = HopfieldMemory().fit(FORMS[form](X), np.arange(len(X)))
    assert (dense(memory.transform(FORMS[form](Q))) == X[chosen]).all(axis=1).mean() >= 0.99
    assert (memory.predict(FORMS[form](Q)) == chosen).mean() >= 0.99
    assert (memory.kneighbors(FORMS[form](Q), 1, return_distance=False)[:, 0] == chosen).mean() >= 0.99


@pytest.mark.parametrize(
    "name", ["iris", "wine", "breast_cancer", "scales", "offset float32", "diabetes", "nested sets"]
)
def test_stored_rows_with_gaps_are_completed_as_by_the_nearest(name):
    X = DISTINCT[name]
    Q = with_gaps(X, 0.3).astype(X.dtype)
    Q[np.isnan(Q).all(axis=1), 0] = X[np.isnan(Q).all(axis=1), 0]
    peer = NearestNeighbors(n_neighbors=2, metric="nan_euclidean").fit(X)
    distances, nearest = peer.kneighbors(Q)
    clear = distances[:, 1] > 1e-6 * np.abs(X).max()  # only one pattern agrees with what is there
    completed = HopfieldMemory().fit(X).transform(Q)
    np.testing.assert_array_equal(completed[clear], X[nearest[clear, 0]])
    assert clear.mean() > 0.3


def test_neighbours_of_rows_with_missing_values_are_those_of_scikit_learn():
    X, Q = normal(3, 1, (100, 8)), with_gaps(normal(3, 1, (30, 8), seed=1), 0.4)
    Q = Q[~np.isnan(Q).all(axis=1)]
    wanted = NearestNeighbors(metric="nan_euclidean").fit(X).kneighbors(Q)
    for form in FORMS.values():
        distances, ids = HopfieldMemory("euclidean").fit(form(X)).kneighbors(form(Q))
        np.testing.assert_array_equal(ids, wanted[1])
        np.testing.assert_allclose(distances, wanted[0], atol=1e-7)


def test_rows_beside_rows_with_missing_values_are_completed_as_alone():
    X = DISTINCT["wine"]
    Q = with_gaps(X[:20])
    Q[::2] = X[1:21:2] + 0.01
    memory = HopfieldMemory().fit(X)
    together = memory.transform(Q)
    alone = np.vstack([memory.transform(row[None]) for row in Q])
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_missing_values_pass_through_a_pipeline():
    X = DISTINCT["wine"]
    model = make_pipeline(StandardScaler(), HopfieldMemory()).fit(X)
    Q = X[:30].copy()
    Q[:, ::3] = np.nan
    completed = model.transform(Q)
    assert not np.isnan(completed).any()
    np.testing.assert_allclose(model[0].inverse_transform(completed), X[:30])


def test_keep_observed_with_steps_and_threshold():
    X = words(80)
    Q = with_gaps(X[:20], 0.4)
    for form in FORMS.values():
        completed = dense(HopfieldMemory(n_steps=3, threshold=0.5).fit(form(X)).transform(form(Q)))
        there = ~np.isnan(Q)
        np.testing.assert_array_equal(completed[there], Q[there])
        assert set(np.unique(completed)) <= {0, 1}


@pytest.mark.parametrize("form", FORMS)
def test_where_missing_values_and_infinity_are_refused(form):
    X = DISTINCT["wine"]
    gap, infinite = X[:3].copy(), X[:3].copy()
    gap[1, 2], infinite[1, 2] = np.nan, np.inf
    memory = HopfieldMemory().fit(FORMS[form](X))
    for refuse in (HopfieldMemory().fit, memory.partial_fit):
        with pytest.raises(ValueError, match="NaN"):
            refuse(FORMS[form](gap))
    for ask in (memory.score, memory.energy):
        with pytest.raises(ValueError, match="expected X without missing values, got NaN"):
            ask(FORMS[form](gap))
    for ask in (memory.transform, memory.recall, memory.kneighbors):
        with pytest.raises(ValueError, match="infinity"):
            ask(FORMS[form](infinite))
