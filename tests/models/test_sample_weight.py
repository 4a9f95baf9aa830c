"""Sample weights of the learners: a weight is the number of times that a row counts."""

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    check_sample_weight_equivalence_on_sparse_data,
)

from codebooks import InhibitedMixture, KrotovHopfield, MultinomialMixture, OrthogonalSparseCoding
from codebooks.datasets import make_planted_corpus
from codebooks.models.initialization import initialize_directions
from codebooks.models.relocation import find_moves
from codebooks.models.reservoir import add_rows, draw_rows
from codebooks.models.revival import find_widest_directions

pytestmark = pytest.mark.filterwarnings("ignore:The gates (give|share)", "ignore:.*components? wins? no sample")

LEARNERS = [InhibitedMixture, KrotovHopfield, MultinomialMixture, OrthogonalSparseCoding]
BATCH_RULES = [
    (InhibitedMixture, {}),
    (InhibitedMixture, {"n_active": 1}),
    (InhibitedMixture, {"inhibition": "load"}),
    (KrotovHopfield, {}),
    (KrotovHopfield, {"algorithm": "hebbian"}),
    (KrotovHopfield, {"p": 3, "rival_rank": 3}),
    (KrotovHopfield, {"prune": True}),
    (MultinomialMixture, {}),
    (OrthogonalSparseCoding, {}),
    (OrthogonalSparseCoding, {"signed": True}),
    (OrthogonalSparseCoding, {"n_active": None}),
    (OrthogonalSparseCoding, {"threshold": 0.01}),
]


@pytest.fixture(scope="module")
def planted():
    """Rows of five topics, and weights of 0 to 3."""
    X = make_planted_corpus(300, 5, random_state=0).X.astype(np.float64)
    return X, np.random.default_rng(0).integers(0, 4, X.shape[0])


def repeated(X, weights):
    return X[np.repeat(np.arange(X.shape[0]), weights)]


@pytest.mark.parametrize(("learner", "settings"), BATCH_RULES)
@pytest.mark.parametrize(
    "check", [check_sample_weight_equivalence_on_dense_data, check_sample_weight_equivalence_on_sparse_data]
)
def test_scikit_learn_equivalence_of_weights_and_repetitions(learner, settings, check):
    check(learner.__name__, learner(n_components=4, shuffle=False, **settings))


@pytest.mark.parametrize(("learner", "settings"), BATCH_RULES)
def test_whole_weights_equal_repeated_rows_in_a_fit(learner, settings, planted):
    X, weights = planted
    how = {"random_state": 0, "shuffle": False, "batch_size": 1000, **settings}
    model = learner(5, **how).fit(X, sample_weight=weights)
    expected = learner(5, **how).fit(repeated(X, weights))
    np.testing.assert_allclose(model.components_, expected.components_, atol=1e-6)
    np.testing.assert_allclose(model.usage_, expected.usage_, atol=1e-6)
    np.testing.assert_allclose(model.inhibition_, expected.inhibition_, atol=1e-6)
    np.testing.assert_array_equal(model.labels_, expected.predict(X))
    assert model.score(X, sample_weight=weights) == pytest.approx(expected.score(repeated(X, weights)), rel=1e-6)
    if learner is InhibitedMixture:
        np.testing.assert_allclose(model.load_, expected.load_, atol=1e-6)
        assert model.gate_entropy_ == pytest.approx(expected.gate_entropy_, abs=1e-6)


@pytest.mark.parametrize("learner", LEARNERS)
def test_weights_of_1_change_no_bit(learner, planted):
    X, _ = planted
    plain, weighted = (learner(5, random_state=0, max_iter=5, batch_size=100) for _ in range(2))
    np.testing.assert_array_equal(
        plain.fit(X).components_, weighted.fit(X, sample_weight=np.ones(X.shape[0])).components_
    )
    plain.partial_fit(X[:50]), weighted.partial_fit(X[:50], sample_weight=[1] * 50)
    np.testing.assert_array_equal(plain.components_, weighted.components_)


@pytest.mark.parametrize("learner", LEARNERS)
def test_rows_of_weight_0_have_a_label_and_no_influence(learner, planted):
    X, weights = planted
    rows = np.flatnonzero(weights)
    how = {"n_components": 5, "random_state": 0, "max_iter": 5, "batch_size": 100}
    expected = learner(**how).fit(X[rows], sample_weight=weights[rows])
    model = learner(**how).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(model.components_, expected.components_)
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    shares = np.bincount(model.labels_, weights=weights, minlength=5) / weights.sum()
    np.testing.assert_allclose(model.usage_, shares)


@pytest.mark.parametrize("learner", [InhibitedMixture, KrotovHopfield, OrthogonalSparseCoding])
def test_the_scale_of_weights_has_no_influence_on_large_minibatches(learner, planted):
    X, weights = planted
    model = learner(5, random_state=0)
    found = []
    for weight in (weights + 1.0, 8 * (weights + 1.0), None):
        state = model._initialize_state(X, 5, np.random.RandomState(0))
        for _ in range(3):
            state, _ = model._partial_step(X, state, 0, sample_weight=weight)
        found.append(state.components)
    np.testing.assert_allclose(found[1], found[0], atol=1e-8)
    assert not np.allclose(found[2], found[0])


@pytest.mark.parametrize("learner", LEARNERS)
def test_fit_raises_a_small_mean_weight_to_1(learner, planted):
    X, weights = planted
    one, two = (learner(5, random_state=0).fit(X, sample_weight=factor * (weights > 1)) for factor in (1, 1e-5))
    np.testing.assert_allclose(two.components_, one.components_, atol=1e-8)


@pytest.mark.parametrize("algorithm", ["geodesic", "online"])
@pytest.mark.parametrize("signed", [False, True])
def test_the_weight_of_a_row_is_a_factor_of_its_step(algorithm, signed, planted):
    X = planted[0].toarray()
    one, two = (
        OrthogonalSparseCoding(
            3, algorithm=algorithm, signed=signed, learning_rate=rate, inhibition=None, random_state=0
        )
        for rate in (0.1, 0.3)
    )
    for model in (one, two):  # the start
        model.partial_fit(X[:50])
    two._store_state(one._get_state()._replace(energy=0.0, n_rows=0))
    one._store_state(two._get_state())
    one.partial_fit(X[50:51], sample_weight=[3.0])
    two.partial_fit(X[50:51])
    np.testing.assert_allclose(one.components_, two.components_, atol=1e-12)
    assert one.n_rows_ == 3
    # A large weight makes no step beyond the row.
    assert np.isfinite(one.partial_fit(X[50:60], sample_weight=np.full(10, 1e6)).components_).all()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "CSR"])
def test_whole_weights_equal_repeated_rows_in_every_step_over_rows(form):
    rng = np.random.default_rng(1)
    X, weights = np.eye(4, 12).repeat(15, axis=0) + 0.2 * rng.random((60, 12)), rng.integers(1, 4, 60)
    many, weight = np.repeat(X, weights, axis=0), weights.astype(float)
    one, two = (
        initialize_directions(form(rows), 4, np.random.RandomState(0), w) for rows, w in ((X, weight), (many, None))
    )
    np.testing.assert_allclose(one, two, atol=1e-8)
    components = np.eye(4, 12)[[0, 0, 1, 2]] + 0.1  # the first two are redundant, and the fourth group has none
    labels = np.repeat([0, 1, 2, 3, 3], [7, 8, 15, 15, 15])
    moves = find_moves(form(X), components, labels, weight)
    expected = find_moves(form(many), components, np.repeat(labels, weights))
    assert [(move.component, move.partner, move.n_rows) for move in moves] == [
        (m.component, m.partner, m.n_rows) for m in expected
    ]
    assert moves
    for move, other in zip(moves, expected, strict=True):
        np.testing.assert_allclose(move.new_direction, other.new_direction, atol=1e-8)
        np.testing.assert_allclose(move.common_direction, other.common_direction, atol=1e-8)
    noise = rng.standard_normal((4, 12))
    owner = np.repeat([0, 1, 2], 20)
    found = find_widest_directions(form(X), one, owner, noise, weight)
    expected = find_widest_directions(form(many), one, np.repeat(owner, weights), noise)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-8)
    np.testing.assert_allclose(np.repeat(found[2], weights), expected[2], atol=1e-6)


def test_a_stream_keeps_the_weights_of_its_sampled_rows(planted):
    X = np.arange(1, 101.0)[:, None]
    reservoir, rng = None, np.random.default_rng(0)
    for start in range(0, 100, 10):
        rows = X[start : start + 10]
        reservoir = add_rows(reservoir, rows, 30, rng, None if start < 20 else rows[:, 0])
    kept = reservoir.rows[:, 0]
    np.testing.assert_array_equal(reservoir.sample_weight, np.where(kept <= 20, 1, kept))
    assert (reservoir.n_seen, reservoir.n_rows) == (20 + X[20:].sum(), 100)
    drawn, weights = draw_rows(reservoir, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(weights, np.where(drawn[:, 0] <= 20, 1, drawn[:, 0]))
    X, weights = planted
    model = MultinomialMixture(5, random_state=0)
    for start in range(0, 300, 20):
        model.partial_fit(X[start : start + 20], sample_weight=weights[start : start + 20] + 0.5)
    assert normalized_mutual_info_score(model.predict(X), MultinomialMixture(5, random_state=0).fit_predict(X)) > 0.9


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1, -1, 1, 1], "Negative"),
        ([1, np.nan, 1, 1], "NaN"),
        ([1, np.inf, 1, 1], "infinity"),
        ([0, 0, 0, 0], "zero"),
        ([1, 1], "4 rows of X"),
        (np.ones((4, 2)), "1D"),
        (["a", "b", "c", "d"], "convert"),
        ([1e200, 1e308, 1e308, 1], "their sum is inf"),
    ],
)
def test_invalid_sample_weight(learner, weights, words):
    X = np.eye(4) + 0.1
    model = learner(2, random_state=0).fit(X)
    for method in (model.fit, model.partial_fit, model.score):
        with pytest.raises(ValueError, match=rf"^`sample_weight` must be a number >= 0 .*{words}"):
            method(X, sample_weight=weights)


@pytest.mark.parametrize("learner", LEARNERS)
def test_all_weight_on_empty_rows(learner):
    X = np.vstack([np.eye(3), np.zeros((2, 3))])
    for method in (learner(2).fit, learner(2).partial_fit):
        with pytest.raises(ValueError, match="has a weight above zero"):
            method(X, sample_weight=[0, 0, 0, 1, 1])
    model = learner(2, random_state=0).partial_fit(X)
    before = model.components_.copy()
    model.partial_fit(X, sample_weight=[0, 0, 0, 1, 1])
    np.testing.assert_array_equal(model.components_, before)


@pytest.mark.parametrize("learner", LEARNERS)
def test_metadata_routing_of_sample_weight(learner, planted):
    X, weights = planted
    with sklearn.config_context(enable_metadata_routing=True):
        model = learner(random_state=0, max_iter=3).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True).set_partial_fit_request(sample_weight=True)
        search = GridSearchCV(model, {"n_components": [3]}, cv=2).fit(X, sample_weight=weights)
        unweighted = GridSearchCV(model, {"n_components": [3]}, cv=2).fit(X)
    assert search.best_score_ != unweighted.best_score_
    expected = learner(3, random_state=0, max_iter=3).fit(X, sample_weight=weights).components_
    np.testing.assert_array_equal(search.best_estimator_.components_, expected)
