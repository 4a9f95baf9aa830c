"""The first components of a codebook: `initialize_directions`."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits

from codebooks.models import initialization
from codebooks.models.initialization import initialize_directions

FORMATS = {"dense": np.asarray, "csr": sparse.csr_matrix}


def scaled(W):
    return W / np.linalg.norm(W, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def rows():
    """Three thousand rows in 300 groups that lie apart, some rows empty."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 40))[np.arange(3000) % 300] + 0.1 * rng.standard_normal((3000, 40))
    X[[5, 1700]] = 0
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMATS)
def test_directions_have_length_1_and_differ(rows, form, dtype):
    W = initialize_directions(FORMATS[form](rows.astype(dtype)), 300, np.random.RandomState(0))
    assert W.shape == (300, 40)
    assert W.dtype == dtype
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1, rtol=1e-5)
    cosines = W @ W.T - 2 * np.eye(300)
    assert cosines.max() < 0.9999


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("n_directions", [1, 10, 100, 300])
def test_directions_do_not_depend_on_the_order_of_rows(rows, n_directions, form):
    expected = initialize_directions(FORMATS[form](rows), n_directions, np.random.RandomState(0))
    order = np.random.default_rng(1).permutation(len(rows))
    found = initialize_directions(FORMATS[form](rows[order]), n_directions, np.random.RandomState(0))
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("n_directions", [300, 1000])
def test_many_directions_cover_the_rows(rows, n_directions):
    """As well as 300 groups allow: rows of most groups have a direction of their own."""
    filled = scaled(rows[rows.any(axis=1)])
    W = initialize_directions(rows, n_directions, np.random.RandomState(0))
    nearest = (filled @ W.T).max(axis=1)
    assert (nearest > 0.9).mean() > 0.85
    drawn = filled[np.random.RandomState(0).choice(len(filled), n_directions, replace=False)]
    assert (nearest**2).mean() > ((filled @ drawn.T).max(axis=1) ** 2).mean()


def test_images_start_with_directions_that_all_win():
    X = load_digits().data
    W = initialize_directions(X, 300, np.random.RandomState(0))
    won = (scaled(X) @ W.T).argmax(axis=1)
    assert len(set(won)) > 290


@pytest.mark.parametrize(("n_directions", "size"), [(3, 1000), (250, 1000), (251, 1004), (500, 2000), (900, 2998)])
def test_rows_looked_at_grow_with_the_directions(rows, n_directions, size, monkeypatch):
    looked_at = []
    refined = initialization._refine
    monkeypatch.setattr(initialization, "_refine", lambda X, *how: looked_at.append(X.shape[0]) or refined(X, *how))
    initialize_directions(rows, n_directions, np.random.RandomState(0))
    assert set(looked_at) == {size}
    assert len(looked_at) == (8 if n_directions <= 100 else 1)


@pytest.mark.parametrize("n_directions", [7, 250])
def test_more_directions_than_rows(n_directions):
    X = np.eye(5, 8)
    W = initialize_directions(X, n_directions, np.random.RandomState(0))
    assert W.shape == (n_directions, 8)
    np.testing.assert_allclose((W @ X.T).max(axis=0), 1)
    np.testing.assert_allclose((W @ X.T).max(axis=1), 1)
