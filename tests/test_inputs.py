"""The one door: what it lets through, in which form, and what it refuses."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

from codebooks.inputs import check_input


def test_memory_is_shared_where_the_form_allows():
    dense = np.ones((3, 2), np.float32)
    assert np.shares_memory(check_input(PCA(), dense, reset=True), dense)
    csr = sparse.csr_matrix(dense)
    assert np.shares_memory(check_input(PCA(), csr, reset=True).data, csr.data)
    fortran = np.asfortranarray(np.ones((3, 2)))
    assert np.shares_memory(check_input(PCA(), fortran, reset=True), fortran)


@pytest.mark.parametrize("kind", [sparse.csc_matrix, sparse.coo_array, sparse.lil_matrix])
def test_other_formats_become_csr(kind):
    X = np.arange(6.0).reshape(3, 2)
    checked = check_input(PCA(), kind(X), reset=True)
    assert checked.format == "csr"
    np.testing.assert_array_equal(checked.toarray(), X)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, bool, np.float16])
def test_other_numbers_become_float64(dtype):
    assert check_input(PCA(), np.eye(2).astype(dtype), reset=True).dtype == np.float64


def test_what_was_known_survives_a_refusal():
    estimator = PCA()
    check_input(estimator, np.ones((3, 2)), reset=True)
    pandas = pytest.importorskip("pandas")
    for bad in (np.zeros((3, 5)), pandas.DataFrame({"a": [np.nan], "b": [1.0], "c": [2.0]})):
        with pytest.raises(ValueError):
            check_input(estimator, bad, reset=True)
        assert estimator.n_features_in_ == 2
        assert not hasattr(estimator, "feature_names_in_")


def test_zeros_are_fine_for_a_model_that_has_learned():
    estimator = PCA()
    check_input(estimator, np.ones((3, 2)), reset=True)
    np.testing.assert_array_equal(check_input(estimator, np.zeros((1, 2)), reset=False), [[0, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_limit_keeps_squares_finite(dtype):
    largest = np.sqrt(np.finfo(dtype).max / 4) / 4
    X = np.full((2, 2), 0.99 * largest, dtype)
    checked = check_input(PCA(), X, reset=True)
    assert np.isfinite((checked * checked).sum())
    with pytest.raises(ValueError, match="squares would overflow"):
        check_input(PCA(), np.full((2, 2), 1.01 * largest, dtype), reset=True)


def test_tiny_numbers_are_not_zeros():
    X = np.full((3, 2), 1e-30)
    np.testing.assert_array_equal(check_input(PCA(), X, reset=True), X)
