"""Orthogonal sparse coding against plain transcriptions of its rules, and what its codes promise."""

from itertools import combinations

import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import normalized_mutual_info_score

from codebooks import OrthogonalSparseCoding, ops
from codebooks.datasets import make_planted_corpus

FORMATS = {"dense": np.asarray, "csr": sparse.csr_matrix}
ALGORITHMS = ("procrustes", "geodesic", "online")


@pytest.fixture(scope="module")
def planted():
    corpus = make_planted_corpus(300, 6, random_state=3)
    return TfidfTransformer(sublinear_tf=True).fit_transform(corpus.X.astype(np.float64)), corpus.labels


@pytest.fixture(scope="module")
def signals():
    """Rows of very different lengths, some of them empty, in no preferred direction."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((200, 12)) @ rng.standard_normal((12, 12)) * rng.uniform(0.1, 3, (200, 1))
    X[[0, 50, 51]] = 0
    return X


def planted_basis(seed, n_active):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    codes = np.zeros((400, 16))
    for row in codes:
        row[rng.choice(16, n_active, replace=False)] = rng.standard_normal(n_active)
    return codes @ basis, basis


def recovered(model, basis):
    return (np.abs(model.components_ @ basis.T).max(axis=0) > 0.99).mean()


def assert_orthonormal(W):
    tolerance = 1e-5 if W.dtype == np.float32 else 1e-10
    np.testing.assert_allclose(W.astype(np.float64) @ W.T, np.eye(len(W)), rtol=0, atol=tolerance)


# -- the rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("inhibition", [None, "mean", "auto"])
@pytest.mark.parametrize("kept", [{"n_active": 1}, {"n_active": 3}, {"n_active": None}, {"threshold": 0.3}], ids=str)
@pytest.mark.parametrize("signed", [False, True])
def test_procrustes_steps(planted, signals, signed, kept, inhibition, form):
    """Four minibatches, each from the state that the model had, against the plain loops of the oracle."""
    X = signals if signed else planted[0].toarray()[:200] * np.linspace(0.5, 3, 200)[:, None]
    model = OrthogonalSparseCoding(5, signed=signed, **kept, inhibition=inhibition, revive=False, random_state=0)
    n_active, threshold = model.n_active, model.threshold
    if inhibition == "auto":
        inhibition = None if signed else "mean"
    state = model._initialize_state(FORMATS[form](X[:50]), 5, np.random.RandomState(0))
    W, moment, handicap = state.components, state.moment, state.inhibition
    for step in range(4):
        batch = X[50 * step : 50 * step + 50]
        model.partial_fit(FORMATS[form](batch))
        keep = 1 - batch.any(axis=1).sum() / 250  # memory: fifty rows for each unit
        filled = batch[batch.any(axis=1)]
        cosines = filled @ W.T / np.linalg.norm(filled, axis=1, keepdims=True)
        W, moment = oracles.procrustes_step(
            W, moment, handicap, batch, n_active, signed, keep, 1e-3, threshold, state.scale
        )
        np.testing.assert_allclose(model.moment_, moment, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(model.components_, W, rtol=0, atol=1e-9)
        if inhibition == "mean":  # in full, however well rows are explained
            strength = np.abs(cosines) if signed else cosines
            handicap = keep * handicap + (1 - keep) * 0.75 * strength.mean(axis=0)
        np.testing.assert_allclose(model.inhibition_, handicap, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("n_units", "kept", "picks"),
    [
        (5, {}, True),
        (5, {"n_active": 4}, True),
        (1, {}, True),
        (5, {"n_active": None}, False),
        (5, {"threshold": 1}, False),
    ],
)
def test_rows_are_scattered_only_for_some_of_several_components(planted, monkeypatch, n_units, kept, picks):
    """One product of all is many times faster where all units are kept, and slower where few are."""
    asked = []
    for name in ("scatter_rows", "accumulate"):
        body = getattr(ops, name)
        monkeypatch.setattr(ops, name, lambda *given, name=name, body=body: asked.append(name) or body(*given))
    model = OrthogonalSparseCoding(n_units, **kept, random_state=0)
    state = model._initialize_state(planted[0], n_units, np.random.RandomState(0))
    asked.clear()
    model._compute_statistics(planted[0], state)
    assert asked == ["scatter_rows" if picks else "accumulate"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("settings", [{"n_active": 3}, {"threshold": 0.5}], ids=["K-sparse", "threshold"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("algorithm", "rule"), [("online", oracles.orthogonal_sparse_coding_epoch), ("geodesic", oracles.geodesic_epoch)]
)
def test_an_epoch_row_by_row(signals, algorithm, rule, signed, settings, form):
    model = OrthogonalSparseCoding(
        5, algorithm=algorithm, signed=signed, **settings, max_iter=1, shuffle=False, revive=False, random_state=0
    )
    state = model._initialize_state(FORMATS[form](signals), 5, np.random.RandomState(0))
    model.set_params(batch_size=1000).fit(FORMATS[form](signals))
    filled = signals[signals.any(axis=1)]
    norms = np.linalg.norm(filled, axis=1)
    mean_energy = np.cumsum(norms**2) / np.arange(1, len(filled) + 1)
    scale = 1 / np.sqrt(mean_energy) if signed else 1 / norms
    rate = {"online": 0.1, "geodesic": 0.8}[algorithm]
    expected = state.components
    for x, share in zip(filled, scale, strict=True):
        threshold = settings["threshold"] * share if "threshold" in settings else None
        expected = rule(expected, share * x[None], rate, settings.get("n_active"), threshold, signed, state.inhibition)
    np.testing.assert_allclose(model.components_, expected, rtol=0, atol=1e-8)
    assert model.n_rows_ == len(filled)
    assert model.energy_ == pytest.approx(mean_energy[-1])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("n_active", [4, 8])
def test_the_geodesic_rule_recovers_a_basis_that_is_used_densely(n_active, seed):
    X, basis = planted_basis(seed, n_active)
    model = OrthogonalSparseCoding(
        16, algorithm="geodesic", n_active=n_active, signed=True, max_iter=25, random_state=seed
    )
    assert recovered(model.fit(X), basis) == 1


def test_the_other_rules_recover_a_basis_that_is_used_sparsely():
    X, basis = planted_basis(0, 2)
    for algorithm in ("procrustes", "online"):
        model = OrthogonalSparseCoding(16, algorithm=algorithm, n_active=2, signed=True, random_state=0, tol=0)
        assert recovered(model.fit(X), basis) > 0.7


def test_learning_rates_of_fit_and_partial_fit(planted):
    X, _ = planted
    model = OrthogonalSparseCoding(5, algorithm="geodesic", max_iter=5, random_state=0)
    np.testing.assert_allclose([model._compute_rate(e / 4) for e in range(5)], 0.8 * 0.1 ** (np.arange(5) / 4))
    assert model.set_params(learning_rate=0.2)._compute_rate(1) == pytest.approx(0.02)
    assert model.set_params(final_learning_rate=0.1)._compute_rate(1) == pytest.approx(0.1)
    assert model.partial_fit(X).annealed_ == 0
    assert model.fit(X).annealed_ == 1
    assert model.partial_fit(X).annealed_ == 1


@pytest.mark.parametrize("algorithm", ["geodesic", "online"])
def test_rules_with_schedules_make_all_passes(planted, algorithm):
    assert OrthogonalSparseCoding(5, algorithm=algorithm, max_iter=7, tol=1).fit(planted[0]).n_iter_ == 7


def test_procrustes_stops_on_a_plateau(planted):
    assert OrthogonalSparseCoding(5, tol=1, random_state=0).fit(planted[0]).n_iter_ == 4


# -- orthonormality --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_components_are_orthonormal_after_every_call(planted, algorithm, signed, dtype):
    X = planted[0].astype(dtype)
    model = OrthogonalSparseCoding(8, algorithm=algorithm, signed=signed, random_state=0)
    same = sparse.vstack([X[7]] * 40).tocsr()  # most units win nothing
    for batch in (X[:1], X[1:2], X[:100], same, same, same, X[:1]):
        assert_orthonormal(model.partial_fit(batch).components_)
    assert_orthonormal(model.set_params(max_iter=4).fit(X).components_)


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample")
def test_large_steps_give_orthonormal_components(signals):
    for algorithm in ("geodesic", "online"):
        model = OrthogonalSparseCoding(12, algorithm=algorithm, learning_rate=1e4, max_iter=3, random_state=0)
        for signed in (False, True):
            assert_orthonormal(model.set_params(signed=signed).fit(signals).components_)


def test_revived_components_win_samples_and_are_orthonormal(planted):
    X, labels = planted
    model = OrthogonalSparseCoding(6, n_active=1, random_state=0).fit(X)
    away = -np.abs(np.random.default_rng(0).standard_normal((3, X.shape[1])))
    model.components_ = oracles.nearest_orthonormal(np.vstack([model.components_[:3], away]))
    model.moment_ = model.components_.copy()
    model.usage_ = np.r_[np.full(3, 1 / 3), np.zeros(3)]
    for _ in range(30):
        assert_orthonormal(model.partial_fit(X).components_)
    assert (np.bincount(model.labels_, minlength=6) > 0).all()
    assert normalized_mutual_info_score(labels, model.labels_) > 0.8


def test_nothing_is_revived_where_codes_are_signed(signals):
    centred = signals - signals.mean(axis=1, keepdims=True)  # one direction holds nothing
    model = OrthogonalSparseCoding(12, signed=True, n_active=1, random_state=0, tol=1)
    with pytest.warns(UserWarning, match=r"12 components win no sample: .* Raise n_active"):
        model.fit(centred)
    assert model.n_iter_ == 4
    model.set_params(n_active=2).fit(centred)  # and does not warn


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kept", [{"n_active": 4}, {"n_active": None}, {"threshold": 0.1}])
def test_no_warning_of_components_that_are_used_without_winning(signals, kept):
    model = OrthogonalSparseCoding(12, signed=True, random_state=0, tol=1, **kept)
    model.fit(signals - signals.mean(axis=1, keepdims=True))
    assert (model.usage_ == 0).any()


def test_more_components_than_features_are_refused():
    with pytest.raises(ValueError, match=r"number of features, 4, .* got 5.*KrotovHopfield"):
        OrthogonalSparseCoding(5).fit(np.eye(4))
    assert OrthogonalSparseCoding().fit(np.eye(4)).components_.shape == (4, 4)


# -- codes -----------------------------------------------------------------------------------------------------------


def fitted(signed=True, n_units=6, **settings):
    X = np.random.default_rng(0).standard_normal((80, 9))
    model = OrthogonalSparseCoding(n_units, signed=signed, max_iter=3, random_state=0, **settings).fit(X)
    return model, np.random.default_rng(1).standard_normal((30, 9))


@pytest.mark.parametrize("n_active", [1, 2, 6, None])
def test_codes_are_the_largest_projections(n_active):
    for signed in (True, False):
        model, X = fitted(signed, n_active=n_active)
        assert model.inhibition_.any() == (not signed)
        expected = oracles.inhibited_codes(model.components_, X, model.inhibition_, n_active or 6, None, signed)
        np.testing.assert_allclose(model.transform(X), expected, atol=1e-12)


def test_codes_minimise_the_error_of_n_active_terms():
    model, X = fitted(n_active=2)
    rebuilt = model.inverse_transform(model.transform(X))
    for x, found in zip(X, rebuilt, strict=True):
        errors = []
        for chosen in combinations(model.components_, 2):
            part = np.array(chosen)
            errors.append(((x - part.T @ (part @ x)) ** 2).sum())
        assert ((x - found) ** 2).sum() == pytest.approx(min(errors))


def test_threshold_is_the_square_root_of_the_penalty():
    theta = 0.9
    model, X = fitted(threshold=theta)
    codes = model.transform(X)
    assert (np.abs(codes[codes != 0]) >= theta).all()
    for x, code in zip(X, codes, strict=True):
        found = ((x - code @ model.components_) ** 2).sum() + theta**2 * (code != 0).sum()
        projections = model.components_ @ x
        for n in range(7):
            for kept in combinations(range(6), n):
                other = x @ x - (projections[list(kept)] ** 2).sum() + theta**2 * n
                assert found <= other + 1e-12
    labels = model.predict(X)
    assert (labels == -1).sum() == (~codes.any(axis=1)).sum()
    assert (model.predict(X / 100) == -1).all()
    assert not model.transform(X / 100).any()


def test_codes_by_hand():
    model = OrthogonalSparseCoding(3, n_active=2, inhibition=None, random_state=0).fit(np.eye(3))
    model.components_, model.inhibition_ = np.eye(3), np.array([0.1, 0.6, 0.0])
    X = np.array([[3.0, 4.0, 0.0], [-3.0, -4.0, 0.0], [0, 0, 0]])
    trace = 5 * np.finfo(float).eps
    np.testing.assert_allclose(model.transform(X), [[3, 4, 0], [0, 0, trace], [0, 0, 0]])
    np.testing.assert_array_equal(model.predict(X), [1, 2, -1])
    model.set_params(inhibition="mean")
    np.testing.assert_allclose(model.transform(X), [[2.5, 1, 0], [0, 0, trace], [0, 0, 0]])
    np.testing.assert_array_equal(model.predict(X), [0, 2, -1])
    model.set_params(signed=True)
    np.testing.assert_allclose(model.transform(X), [[2.5, 1, 0], [-2.5, -1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(model.predict(X), [0, 0, -1])


def test_codes_of_rows_with_negative_projections():
    model, _ = fitted(signed=False, inhibition=None)
    X = -np.abs(np.random.default_rng(2).uniform(1, 2, (20, 6))) @ model.components_
    codes = model.transform(X)
    assert ((codes > 0).sum(axis=1) == 1).all()
    np.testing.assert_array_equal(codes.argmax(axis=1), (X @ model.components_.T).argmax(axis=1))
    np.testing.assert_array_equal(codes.argmax(axis=1), model.predict(X))
    assert np.abs(model.inverse_transform(codes)).max() < 1e-14


# -- sizes of rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_long_rows_do_not_outweigh_short_ones(planted, algorithm):
    X, _ = planted
    lengths = np.random.default_rng(0).uniform(1e-3, 1e3, X.shape[0])
    one, two = (OrthogonalSparseCoding(6, algorithm=algorithm, max_iter=5, random_state=0) for _ in range(2))
    one.fit(X), two.fit(sparse.diags(lengths) @ X)
    np.testing.assert_array_equal(one.labels_, two.labels_)
    np.testing.assert_allclose(one.components_, two.components_, atol=1e-8)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signals_of_any_scale(signals, algorithm):
    one, two = (
        OrthogonalSparseCoding(6, algorithm=algorithm, signed=True, max_iter=5, random_state=0) for _ in range(2)
    )
    one.fit(signals), two.fit(1e4 * signals)
    np.testing.assert_allclose(one.components_, two.components_, atol=1e-8)


@pytest.mark.filterwarnings("ignore:.*components? wins? no sample", "error::RuntimeWarning")
@pytest.mark.parametrize("kept", [{"n_active": 1}, {"n_active": 3}, {"n_active": None}], ids=str)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [1e-22, 1e-21, 1e-20, 1e15])
def test_signed_components_do_not_depend_on_the_size_of_float32_data(signals, algorithm, kept, size):
    """Squares of numbers of size 1e-20 are too small for float32."""
    power = 2.0 ** np.round(np.log2(size))  # exact, so that nothing is rounded otherwise
    model = OrthogonalSparseCoding(6, algorithm=algorithm, signed=True, **kept, max_iter=5, random_state=0)
    expected = model.fit(signals.astype(np.float32)).components_
    scaled = (power * signals).astype(np.float32)
    np.testing.assert_allclose(model.fit(scaled).components_, expected, atol=1e-5)
    np.testing.assert_allclose(model.transform(scaled) / power, model.transform(signals.astype(np.float32)), atol=1e-4)
