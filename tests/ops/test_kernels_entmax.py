"""Separation functions against slow implementations of their definitions, ties, margins and extreme scores."""

import numpy as np
import oracles
import pytest

from codebooks import ops

KINDS = ("softmax", "sparsemax", "entmax15", "max")
MARGINS = {"sparsemax": 1.0, "entmax15": 2.0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize("beta", [0.05, 1.0, 30.0])
def test_separate_equals_the_published_definitions(kind, dtype, tolerance, beta):
    rng = np.random.default_rng(0)
    scores = np.vstack([rng.standard_normal((20, 50)), 5 * rng.integers(0, 4, (20, 50)), np.zeros((1, 50))])
    found = ops.separate(scores.astype(dtype), beta, kind)
    assert found.weights.dtype == dtype
    for row, weights, value in zip(scores.astype(dtype), found.weights.toarray(), found.value, strict=True):
        wanted = oracles.SEPARATIONS[kind](beta * oracles.wide(row))
        np.testing.assert_allclose(weights, wanted, atol=tolerance)
        conjugate = oracles.conjugate(beta * oracles.wide(row), wanted, kind) / beta
        np.testing.assert_allclose(value, conjugate, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_separate_with_one_beta_per_row(kind):
    scores, betas = np.random.default_rng(0).standard_normal((3, 20)), np.array([0.1, 1.0, 20.0])
    together = ops.separate(scores, betas, kind)
    for i, beta in enumerate(betas):
        alone = ops.separate(scores[i : i + 1], float(beta), kind)
        np.testing.assert_array_equal(together.weights[[i]].toarray(), alone.weights.toarray())
        assert together.value[i] == alone.value[0]


@pytest.mark.parametrize("kind", MARGINS)
@pytest.mark.parametrize("beta", [0.5, 1.0, 8.0])
def test_separate_gives_one_weight_iff_the_gap_reaches_the_margin(kind, beta):
    margin = MARGINS[kind] / beta
    at, below = (ops.separate(np.array([[gap, 0, -margin]]), beta, kind) for gap in (margin, 0.99 * margin))
    np.testing.assert_array_equal(at.weights.toarray(), [[1, 0, 0]])
    assert (below.weights.toarray()[0, :2] > 0).all()
    assert below.weights.toarray().sum() == pytest.approx(1)


def test_separate_max_ties_go_to_the_lower_index():
    found = ops.separate(np.array([[1.0, 3, 3], [2, 2, 2]]), 1.0, "max")
    np.testing.assert_array_equal(found.weights.toarray(), [[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_separate_max_ties_within_rounding(dtype):
    eps = np.finfo(dtype).eps
    scores = np.array(
        [[0, 3 - 16 * eps, 3], [-2 - 16 * eps, -2, -3], [1 - 40 * eps, 1, 0], [0, 1000 * (1 - 16 * eps), 1000]], dtype
    )
    found = ops.separate(scores, 1.0, "max").weights.toarray()
    np.testing.assert_array_equal(found, [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize("kind", KINDS)
def test_separate_of_minus_infinity(kind):
    scores = np.array([[-np.inf, 1.0, -np.inf], [-np.inf, -np.inf, -np.inf]])
    found = ops.separate(scores, 2.0, kind)
    np.testing.assert_allclose(found.weights.toarray(), [[0, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(found.value, [1, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 0), (0, 3)])
def test_separate_of_empty_scores(kind, shape):
    found = ops.separate(np.zeros(shape), 1.0, kind)
    assert found.weights.shape == shape
    assert found.weights.nnz == 0


@pytest.mark.parametrize("kind", KINDS)
def test_separate_of_extreme_scores(kind):
    scores = np.array([[1e6, 1e6 - 1e-3, -1e6], [-1e30, -1e30, 1e30]])
    weights = ops.separate(scores, 1e3, kind).weights.toarray()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights[0], oracles.SEPARATIONS[kind](1e3 * scores[0]), atol=1e-6)
    np.testing.assert_array_equal(weights[1], [0, 0, 1])


def test_separate_softmax_drops_only_weights_below_rounding():
    scores = np.linspace(0, 60, 400)[None, :]
    found = ops.separate(scores, 1.0, "softmax")
    assert found.weights.nnz < 400
    np.testing.assert_allclose(found.weights.toarray()[0], oracles.softmax_weights(scores[0]), atol=1e-15)
