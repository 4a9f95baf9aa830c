"""`NeighborSmoothing` against slow loops, on awkward rows, and before a learner."""

import pickle
import tracemalloc

import numpy as np
import oracles
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import normalized_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from codebooks import KrotovHopfield, NeighborSmoothing, PartialWhitening

SETTINGS = [{}, {"n_neighbors": 3, "weight": 0.8}, {"n_neighbors": 1, "weight": 1.0}, {"n_neighbors": 4, "weight": 0.0}]
ALGORITHMS = ["exact", "approximate"]


def groups(n=200, d=12, n_groups=5, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_groups
    centers = np.random.default_rng(9).standard_normal((n_groups, d))
    return centers[labels] + noise * rng.standard_normal((n, d)), labels


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rows_equal_slow_loops(settings, dtype, algorithm):
    X, new = groups()[0].astype(dtype), groups(30, seed=1)[0].astype(dtype)
    # 200 rows have 28 cells, of which 24 are searched: hardly a neighbor is missed.
    model = NeighborSmoothing(**settings, algorithm=algorithm).fit(X)
    for rows in (X, new):
        found = model.transform(rows)
        assert found.dtype == dtype
        expected = oracles.smooth(X, rows, **{"n_neighbors": 10, "weight": 0.5, **settings})
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fit_transform_equals_fit_then_transform_in_parts(algorithm):
    X, _ = groups(300)
    model = NeighborSmoothing(algorithm=algorithm)
    found = model.fit_transform(X)
    np.testing.assert_allclose(found, model.transform(X), atol=1e-12)
    parts = [model.transform(X[start : start + 7]) for start in range(0, 300, 7)]
    np.testing.assert_allclose(np.vstack(parts), found, atol=1e-12)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_allclose(model.transform(X[order]), found[order], atol=1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_equal_rows_are_neighbors_of_each_other(algorithm):
    X, _ = groups(60)
    X = np.vstack([np.repeat(X[:1], 30, axis=0), X])
    found = NeighborSmoothing(algorithm=algorithm).fit_transform(X)
    np.testing.assert_allclose(found[:31], np.repeat(X[:1], 31, axis=0) / np.linalg.norm(X[0]), atol=1e-12)
    alike = np.full((200, 3), 0.1)
    np.testing.assert_allclose(NeighborSmoothing(algorithm=algorithm).fit_transform(alike), 3**-0.5, atol=1e-12)


def test_cells_without_rows_are_not_searched(monkeypatch):
    monkeypatch.setattr("codebooks.embeddings.neighbor_smoothing._PROBES", 1)
    X, _ = groups(60)
    X = np.vstack([np.repeat(X[:1], 500, axis=0), X])  # most centers begin at the same row
    model = NeighborSmoothing(algorithm="approximate").fit(X)
    assert (np.diff(model.starts_) > 0).all()
    found = model.transform(np.vstack([X, groups(60, seed=1)[0]]))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(found[:500], np.repeat(X[:1], 500, axis=0) / np.linalg.norm(X[0]), atol=1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("n", [1, 2, 9])
def test_fewer_rows_than_neighbors(algorithm, n):
    X, new = groups(n, seed=3)[0], groups(20, seed=4)[0]
    model = NeighborSmoothing(algorithm=algorithm).fit(X)
    np.testing.assert_allclose(model.transform(new), oracles.smooth(X, new, 10, 0.5), atol=1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_zero_rows_stay_zero_and_are_not_neighbors(algorithm, monkeypatch):
    monkeypatch.setattr("codebooks.embeddings.neighbor_smoothing._PROBES", 40)  # all cells
    X, _ = groups(40)
    with_empty = np.insert(X, [0, 20, 40], 0, axis=0)
    model = NeighborSmoothing(algorithm=algorithm).fit(with_empty)
    found = model.transform(with_empty)
    assert len(model.rows_) == 40
    assert not found[[0, 21, 42]].any()
    np.testing.assert_allclose(np.delete(found, [0, 21, 42], axis=0), oracles.smooth(X, X, 10, 0.5), atol=1e-12)


def test_ties_prefer_the_earlier_row():
    X = np.eye(6)
    found = NeighborSmoothing(2).fit_transform(X)
    np.testing.assert_allclose(found, oracles.smooth(X, X, 2, 0.5), atol=1e-12)


def test_auto_is_exact_for_few_rows_and_approximate_for_many(monkeypatch):
    X, labels = groups(600, 32, 6, noise=1.5)
    exact = NeighborSmoothing().fit(X)
    assert exact.centers_ is None
    monkeypatch.setattr("codebooks.embeddings.neighbor_smoothing._MOST_EXACT", 599)
    monkeypatch.setattr("codebooks.embeddings.neighbor_smoothing._PROBES", 6)
    model = NeighborSmoothing().fit(X)
    assert model.starts_[-1] == len(model.rows_) == 600
    # Six of 48 cells are searched, and nearly the same is found, though this noise has no structure to be found by.
    cosines = (model.transform(X) * exact.transform(X)).sum(axis=1)
    assert cosines.mean() > 0.97
    centers = np.stack([(X[labels == k] / np.linalg.norm(X[labels == k], axis=1)[:, None]).mean(0) for k in range(6)])
    nearest = (model.transform(X) @ (centers / np.linalg.norm(centers, axis=1)[:, None]).T).argmax(axis=1)
    assert (nearest == labels).mean() > 0.9


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_memory_is_bounded(algorithm):
    X = np.random.default_rng(0).standard_normal((6000, 8)).astype(np.float32)
    model = NeighborSmoothing(algorithm=algorithm).fit(X)
    model.transform(X[:100])
    with config_context(working_memory=4):
        tracemalloc.start()
        model.transform(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 30 * 2**20  # all cosines would take 137 MB


def test_smoothing_improves_clustering_of_overlapping_groups():
    X, labels = groups(1200, 200, 30, noise=3.0)
    new, new_labels = groups(1200, 200, 30, noise=3.0, seed=5)
    plain = make_pipeline(PartialWhitening(), KrotovHopfield(30, random_state=0)).fit(X)
    smooth = make_pipeline(PartialWhitening(), NeighborSmoothing(), KrotovHopfield(30, random_state=0)).fit(X)
    for rows, truth in ((X, labels), (new, new_labels)):
        gain = [normalized_mutual_info_score(truth, model.predict(rows)) for model in (smooth, plain)]
        assert gain[0] > gain[1] + 0.05


def test_invalid_input_is_rejected_and_attributes_are_restored():
    X, _ = groups()
    model = NeighborSmoothing().fit(X)
    before = model.transform(X)
    for bad in (np.full((2, 12), np.nan), np.zeros((3, 12)), np.empty((0, 12)), [["a", "b"]]):
        with pytest.raises(ValueError):
            model.fit(bad)
    with pytest.raises(ValueError, match="NaN"):
        model.transform(np.full((1, 12), np.nan))
    for call in (model.fit, model.transform):
        with pytest.raises(TypeError, match=r"sparse matrix.*TruncatedSVD"):
            call(sparse.csr_matrix(X))
    np.testing.assert_array_equal(model.transform(X), before)
    with pytest.raises(NotFittedError):
        NeighborSmoothing().transform(X)


@pytest.mark.parametrize("settings", [{"n_neighbors": 0}, {"weight": 1.5}, {"weight": -0.1}, {"algorithm": "fast"}])
def test_parameters_out_of_range_are_rejected(settings):
    with pytest.raises(ValueError, match=f"The '{next(iter(settings))}' parameter of NeighborSmoothing must be"):
        NeighborSmoothing(**settings).fit(groups()[0])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pickle_and_clone(algorithm):
    X, _ = groups()
    model = NeighborSmoothing(5, 0.3, algorithm=algorithm).fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), model.transform(X))
    np.testing.assert_array_equal(clone(model).fit_transform(X), model.transform(X))
    assert clone(model).get_params() == {"n_neighbors": 5, "weight": 0.3, "algorithm": algorithm}


def test_features_keep_their_names():
    table = pd.DataFrame(groups(d=3)[0], columns=["a", "b", "c"])
    model = NeighborSmoothing().set_output(transform="pandas")
    assert model.fit_transform(table).columns.tolist() == ["a", "b", "c"]
    assert model.get_feature_names_out().tolist() == ["a", "b", "c"]


@parametrize_with_checks([NeighborSmoothing(), NeighborSmoothing(algorithm="approximate"), NeighborSmoothing(3, 1.0)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)
