"""The cone opened: against slow loops, by its laws, and on data that leave directions unknown."""

import pickle

import numpy as np
import oracles
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from codebooks import KrotovHopfield, PartialWhitening
from codebooks.metrics import average_cosine, isoscore

SETTINGS = [
    {},
    {"power": 0.5, "shrinkage": 0.1},
    {"power": 1.0, "shrinkage": 0.0},
    {"power": 0.0, "n_remove": 2},
    {"n_remove": 1},
]


def cone(n=200, d=12, seed=0):
    """Rows in a narrow cone, turned so that no feature is a direction of its own."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(9).standard_normal((d, d)))[0]
    return 2 + (rng.standard_normal((n, d)) * np.geomspace(3, 0.1, d)) @ turn


def covariance(X):
    return np.cov(X.T, bias=True)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_equal_slow_loops(settings, dtype):
    X, new = cone().astype(dtype), cone(30, seed=1).astype(dtype)
    model = PartialWhitening(**settings).fit(X)
    expected = oracles.whiten(X, new, **{"power": 0.25, "shrinkage": 1.0, **settings})
    found = model.transform(new)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("shape", [(200, 12), (9, 40), (1, 3)])
def test_few_rows_are_enough(shape):
    X, new = cone(*shape), cone(20, shape[1], seed=1)
    found = PartialWhitening().fit(X).transform(new)
    assert found.shape == new.shape
    if len(X) > 1:
        np.testing.assert_allclose(found, oracles.whiten(X, new, 0.25, 1.0), rtol=0, atol=1e-8)
    else:
        np.testing.assert_array_equal(found, new - X)


def test_attributes_equal_numpy():
    X = cone()
    model = PartialWhitening(0.5, 0.5, 1).fit(X)
    np.testing.assert_allclose(model.mean_, X.mean(axis=0))
    np.testing.assert_allclose(model.eigenvalues_, np.linalg.eigvalsh(covariance(X))[::-1])
    np.testing.assert_allclose(covariance(X) @ model.components_.T, model.components_.T * model.eigenvalues_, atol=1e-9)
    expected = (model.eigenvalues_ + 0.5 * model.eigenvalues_.mean()) ** -0.25
    np.testing.assert_allclose(model.gains_, [0, *expected[1:]])
    assert model.n_samples_seen_ == 200
    assert model.n_features_in_ == 12


def test_full_whitening_makes_the_covariance_the_identity():
    X = cone()
    np.testing.assert_allclose(covariance(PartialWhitening(1.0, 0.0).fit_transform(X)), np.eye(12), atol=1e-9)
    assert isoscore(PartialWhitening(1.0, 0.0).fit_transform(X)) == pytest.approx(1)


def test_isoscore_increases_with_power():
    X = cone()
    found = [isoscore(X)] + [isoscore(PartialWhitening(power).fit_transform(X)) for power in (0.25, 0.5, 1.0)]
    assert (np.diff(found) > 0).all()
    assert average_cosine(X) > 0.3
    assert abs(average_cosine(PartialWhitening().fit_transform(X))) < 0.02


def test_power_0_only_centers():
    X = cone()
    np.testing.assert_allclose(PartialWhitening(power=0).fit_transform(X), X - X.mean(axis=0), atol=1e-12)


def test_removed_directions_have_zero_variance():
    X = cone()
    model = PartialWhitening(power=0, n_remove=3)
    found = model.fit_transform(X)
    assert np.abs(found @ model.components_[:3].T).max() < 1e-12
    np.testing.assert_allclose(covariance(found).trace(), model.eigenvalues_[3:].sum())


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(200, 12), (30, 40)])
def test_partial_fit_over_blocks_equals_fit(settings, shape):
    X = cone(*shape)
    whole, parts = PartialWhitening(**settings).fit(X), PartialWhitening(**settings)
    for start, stop in ((0, 1), (1, 3), (3, 20), (20, len(X))):
        parts.partial_fit(X[start:stop])
    assert parts.n_samples_seen_ == len(X)
    np.testing.assert_allclose(parts.mean_, whole.mean_, rtol=1e-12)
    np.testing.assert_allclose(parts.eigenvalues_, whole.eigenvalues_, atol=1e-12 * whole.eigenvalues_[0])
    if shape[0] > shape[1] or settings.get("shrinkage") != 0:  # else what is noise lies at the edge of rounding
        np.testing.assert_allclose(parts.transform(X), whole.transform(X), atol=1e-8)


def test_fit_in_many_blocks(monkeypatch):
    X = cone(1000, 20)
    expected = PartialWhitening().fit_transform(X)
    monkeypatch.setattr("codebooks.ops.cpu._BLOCK_BYTES", 10_000)
    np.testing.assert_allclose(PartialWhitening().fit_transform(X), expected, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"power": 1.0, "shrinkage": 0.0}, {"power": 0}], ids=str)
def test_inverse_transform(settings):
    X, new = cone(), cone(10, seed=1)
    model = PartialWhitening(**settings).fit(X)
    np.testing.assert_allclose(model.inverse_transform(model.transform(new)), new, atol=1e-10)
    small = model.inverse_transform(model.transform(new).astype(np.float32))
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, new, atol=1e-4)


def test_inverse_transform_of_removed_directions_is_the_mean():
    X = cone()
    model = PartialWhitening(n_remove=2).fit(X)
    back = model.inverse_transform(model.transform(X))
    top = model.components_[:2]
    np.testing.assert_allclose(back @ top.T, np.tile(top @ model.mean_, (200, 1)))
    np.testing.assert_allclose(back - back @ top.T @ top, X - X @ top.T @ top, atol=1e-12)


def test_normalize_has_no_inverse_transform():
    X = cone()
    model = PartialWhitening(normalize=True).fit(X)
    found, plain = model.transform(X), PartialWhitening().fit_transform(X)
    np.testing.assert_allclose(found, plain / np.linalg.norm(plain, axis=1, keepdims=True))
    assert not model.transform([model.mean_]).any()
    assert not hasattr(model, "inverse_transform")
    with pytest.raises(AttributeError, match="inverse_transform"):
        model.inverse_transform(found)


# -- data that leave directions unknown ------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("value", [0.1, 1e-20, 1e20])
@pytest.mark.parametrize("n", [1, 2, 57])
def test_equal_rows_are_only_centered(n, value, settings):
    X = np.full((n, 5), value)
    model = PartialWhitening(**settings).fit(X)
    assert np.abs(model.transform(X)).max() <= 1e-14 * value
    new = value * np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    np.testing.assert_allclose(model.transform(new), new - value, rtol=1e-12, atol=1e-12 * value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_shrinkage_directions_without_variance_have_gain_0(dtype):
    X = cone().astype(dtype)
    X[:, 3] = X[:, 5] = 7
    model = PartialWhitening(1.0, 0.0).fit(X)
    assert (model.gains_[-2:] == 0).all()
    new = X[:4].copy()
    new[:, 3] += 100
    np.testing.assert_allclose(model.transform(new), model.transform(X[:4]), atol=1e-3 if dtype == np.float32 else 1e-9)
    assert np.isfinite(model.inverse_transform(model.transform(new))).all()


def test_with_shrinkage_directions_without_variance_have_a_finite_gain():
    X = cone()
    X[:, 3] = 7
    new = X[:1] + np.eye(12)[[3]]
    model = PartialWhitening().fit(X)
    step = model.transform(new) - model.transform(X[:1])
    gain = model.eigenvalues_.mean() ** -0.125
    np.testing.assert_allclose(step, gain * np.eye(12)[[3]], atol=1e-9)


def test_directions_without_variance_are_not_removed():
    line = np.outer(np.arange(5.0), [1, 2, 3])
    model = PartialWhitening(power=0, n_remove=2).fit(line)
    aside = np.cross([1, 2, 3], [1, 0, 0]).astype(float)
    np.testing.assert_allclose(model.transform(line), 0, atol=1e-12)
    np.testing.assert_allclose(model.transform([aside]), [aside], atol=1e-12)


def test_repeated_rows_and_their_order_change_nothing():
    X = cone(60)
    expected = PartialWhitening().fit(X).transform(X)
    np.testing.assert_allclose(PartialWhitening().fit(np.vstack([X, X])).transform(X), expected, atol=1e-10)
    np.testing.assert_allclose(PartialWhitening().fit(X[::-1]).transform(X), expected, atol=1e-10)


def test_large_means_do_not_change_the_result():
    X = cone()
    expected = PartialWhitening().fit_transform(X)
    np.testing.assert_allclose(PartialWhitening().fit_transform(X + 1e6), expected, atol=1e-6)
    small = PartialWhitening().fit_transform((X + 1e3).astype(np.float32))
    np.testing.assert_allclose(small, expected, atol=2e-2)


# -- laws of a transformer -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asfortranarray, lambda X: X.tolist(), lambda X: np.repeat(X, 2, axis=1)[:, ::2]])
def test_dense_input_types(form):
    X = cone()
    np.testing.assert_allclose(
        PartialWhitening().fit_transform(form(X)), PartialWhitening().fit_transform(X), atol=1e-10
    )


def test_read_only_and_memory_mapped_input_is_not_modified(tmp_path):
    X = cone().astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_allclose(
        PartialWhitening().fit_transform(mapped), PartialWhitening().fit_transform(X), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(X, cone().astype(np.float32))


def test_sparse_input_error_names_truncated_svd():
    X = sparse.random(50, 30, 0.3, format="csr", random_state=0)
    for call in (PartialWhitening().fit, PartialWhitening().partial_fit, PartialWhitening().fit(X.toarray()).transform):
        with pytest.raises(TypeError, match=r"sparse matrix.*TruncatedSVD"):
            call(X)
    pipeline = make_pipeline(TruncatedSVD(5, random_state=0), PartialWhitening())
    assert pipeline.fit_transform(X).shape == (50, 5)


def test_failed_fit_restores_attributes():
    X = cone()
    model = PartialWhitening().fit(X)
    before = model.transform(X)
    for bad in (np.full((2, 12), np.nan), np.zeros((3, 12)), np.empty((0, 12)), [["a", "b"]]):
        for method in (model.fit, PartialWhitening().fit):
            with pytest.raises(ValueError):
                method(bad)
    with pytest.raises(ValueError, match="expecting 12 features"):
        model.partial_fit(X[:, :3])
    np.testing.assert_array_equal(model.transform(X), before)
    with pytest.raises(NotFittedError):
        PartialWhitening().transform(X)
    with pytest.raises(NotFittedError):
        PartialWhitening().inverse_transform(X)


@pytest.mark.parametrize("settings", [{"power": 1.5}, {"power": -0.1}, {"shrinkage": -1}, {"n_remove": -1}], ids=str)
def test_parameters_out_of_range_are_rejected(settings):
    with pytest.raises(ValueError, match=f"The '{next(iter(settings))}' parameter of PartialWhitening must be"):
        PartialWhitening(**settings).fit(cone())


def test_n_remove_must_be_less_than_n_features():
    with pytest.raises(ValueError, match=r"n_remove=12.*got 12"):
        PartialWhitening(n_remove=12).fit(cone())


def test_pickle_and_clone():
    X = cone()
    model = PartialWhitening(0.4, 0.3, 1, normalize=True).fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), model.transform(X))
    np.testing.assert_array_equal(clone(model).fit_transform(X), model.transform(X))
    assert clone(model).get_params() == {"power": 0.4, "shrinkage": 0.3, "n_remove": 1, "normalize": True}


def test_features_keep_their_names():
    table = pd.DataFrame(cone(d=3), columns=["a", "b", "c"])
    model = PartialWhitening().set_output(transform="pandas")
    assert model.fit_transform(table).columns.tolist() == ["a", "b", "c"]
    assert model.get_feature_names_out().tolist() == ["a", "b", "c"]


def test_pipeline_with_a_learner():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 50)
    X = 5 + 3 * np.eye(3, 10)[groups] + 0.3 * rng.standard_normal((150, 10))
    found = make_pipeline(PartialWhitening(), KrotovHopfield(3, random_state=0)).fit_predict(X)
    assert len({*zip(groups, found, strict=True)}) == 3


@parametrize_with_checks(
    [
        PartialWhitening(),
        *(PartialWhitening(**settings) for settings in SETTINGS[1:3]),
        PartialWhitening(normalize=True),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
