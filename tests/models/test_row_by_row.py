"""The two rules that learn an orthonormal codebook row by row, as primitives, against the oracle."""

from functools import cache
from itertools import product

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.linalg import expm

from codebooks import ops

RULES = {
    "rotate_to_rows": oracles.geodesic_epoch,
    "deflate_by_rows": oracles.orthogonal_sparse_coding_epoch,
}
KINDS = {
    "wide": (6, 20, 60),
    "square": (5, 5, 60),
    "one unit": (1, 7, 30),
    "one feature": (1, 1, 10),
    "past a refresh": (4, 9, 600),
    "no rows": (3, 4, 0),
}
FORMS = {"dense": np.asarray, "Fortran": np.asfortranarray, "csr": sparse.csr_matrix}


def given(kind, seed=0):
    n_units, n_features, n_rows = KINDS[kind]
    rng = np.random.default_rng(seed)
    W = oracles.nearest_orthonormal(rng.standard_normal((n_units, n_features)))
    X = rng.standard_normal((n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.5)
    X[3:5] = 0
    return W, X, X.any(axis=1).astype(float), np.abs(rng.standard_normal(n_units)) / 5


def learn(rule, W, X, scale, rate, handicap, n_active, threshold=-1, signed=True):
    selection = {"handicap": handicap, "n_active": n_active, "threshold": threshold, "signed": signed}
    return getattr(ops, rule)(W, X, scale, rate, **selection)


@cache
def expect(rule, kind, signed, n_active, threshold, is_handicapped):
    """The result of the oracle, which all forms of the rows share."""
    W, X, _, handicap = given(kind)
    return RULES[rule](W, X, 0.1, n_active, threshold, signed, is_handicapped * handicap)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES)
def test_rows_one_after_another(rule, kind, form):
    W, X, scale, handicap = given(kind)
    before = W.copy()
    for signed, (n_active, threshold) in product((True, False), ((1, None), (3, None), (99, None), (0, 0.6))):
        for is_handicapped in (False, True):
            least, less = -1 if threshold is None else threshold, is_handicapped * handicap
            found = learn(rule, W, FORMS[form](X), scale, 0.1, less, min(n_active, len(W)), least, signed)
            expected = expect(rule, kind, signed, n_active, threshold, is_handicapped)
            assert_allclose(found, expected, rtol=0, atol=1e-9)
            assert_allclose(found @ found.T, np.eye(len(W)), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(W, before)


@pytest.mark.parametrize("rule", RULES)
def test_rows_are_scaled_and_thresholds_are_not(rule):
    W, X, _, handicap = given("wide")
    scale = np.random.default_rng(1).uniform(0.5, 2, len(X)) * X.any(axis=1)
    found = learn(rule, W, X, scale, 0.1, handicap, 2)
    assert_allclose(found, RULES[rule](W, scale[:, None] * X, 0.1, 2, None, True, handicap), atol=1e-10)
    found = learn(rule, W, X, np.full(len(X), 2.0), 0.1, handicap, 0, 0.6)
    assert_allclose(found, RULES[rule](W, 2 * X, 0.1, 0, 1.2, True, handicap), atol=1e-10)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("form", ["read-only", "int64 indices", "view", "float32"])
def test_any_form_of_rows(rule, form):
    W, X, scale, handicap = given("wide")
    arguments = scale, 0.1, handicap, 2
    expected = learn(rule, W, X, *arguments)
    rows = sparse.csr_matrix(X)
    if form == "read-only":
        for part in (rows.data, rows.indices, rows.indptr, W):
            part.flags.writeable = False
    elif form == "int64 indices":
        rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    elif form == "view":
        order = np.random.default_rng(0).permutation(len(X))
        rows = ops.view_rows(sparse.csr_matrix(X[order]), np.argsort(order))
    else:
        W, rows = W.astype(np.float32), rows.astype(np.float32)
    found = learn(rule, W, rows, *arguments)
    assert found.dtype == W.dtype
    assert_allclose(found, expected, rtol=0, atol=1e-4 if form == "float32" else 1e-12)


@pytest.mark.parametrize("n_active", [1, 3, 6])
@pytest.mark.parametrize("rate", [0.01, 0.7, 3.0])
def test_a_rotation_is_the_exponential_of_its_generator(n_active, rate):
    W, X, _, _ = given("wide")
    for x in X[:3]:
        found = ops.rotate_to_rows(
            W, x[None], np.ones(1), rate, handicap=np.zeros(6), n_active=n_active, threshold=-1, signed=True
        )
        explained = oracles.sparse_codes(W, x[None], np.zeros(6), n_active, None, True)[0] @ W
        rotation = expm(-rate * (np.outer(explained, x) - np.outer(x, explained)))
        assert_allclose(found, W @ rotation.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_components_stay_orthonormal_over_thousands_of_rows(rule, dtype):
    rng = np.random.default_rng(0)
    W = ops.nearest_orthonormal(rng.standard_normal((12, 16)).astype(dtype))
    X = (rng.standard_normal((5000, 16)) / 4).astype(dtype)
    found = learn(rule, W, X, np.ones(5000), 0.1, np.zeros(12), 4)
    assert_allclose(found @ found.T, np.eye(12), rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)
    assert np.abs(found - W).max() > 0.1


@pytest.mark.parametrize("rule", RULES)
def test_large_rates_and_explained_rows_give_finite_components(rule):
    W, X, _, handicap = given("square")
    for rate, rows in ((1e6, X), (0.1, W), (0.1, X @ W.T @ W), (1e-300, X)):
        found = learn(rule, W, rows, np.ones(len(rows)), rate, 0 * handicap, 2)
        assert np.isfinite(found).all()
