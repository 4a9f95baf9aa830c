"""The small primitives of a memory: rows that are stored, compared, stacked and summed."""

import numpy as np
import pytest
from scipy import sparse

from codebooks import ops

FORMS = {"dense": np.asarray, "CSR": sparse.csr_matrix}


def random_rows(n=60, n_features=30, seed=0):
    rng = np.random.default_rng(seed)
    return np.round(rng.standard_normal((n, n_features)) * (rng.random((n, n_features)) < 0.3), 2)


def dense(X):
    return X.toarray() if sparse.issparse(X) else X


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestRows:
    def test_combine(self, form, dtype):
        X = random_rows().astype(dtype)
        for share in (0.02, 0.5):  # few weights, and enough that BLAS is used
            weights = sparse.random(20, 60, share, format="csr", random_state=0, dtype=dtype)
            found = ops.combine_rows(weights, FORMS[form](X))
            assert sparse.issparse(found) == (form == "CSR")
            assert found.dtype == dtype
            tolerance = 1e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(dense(found), weights.toarray() @ X, rtol=tolerance, atol=tolerance)

    def test_in_form_of(self, form, dtype):
        X = random_rows().astype(dtype)
        like = FORMS[form](X[:1])
        for given in (X, sparse.csr_matrix(X)):
            found = ops.convert_to_format_of(given, like)
            assert sparse.issparse(found) == sparse.issparse(like)
            np.testing.assert_array_equal(dense(found), X)

    def test_stack_own_entries_and_ones(self, form, dtype):
        X = random_rows().astype(dtype)
        rows = FORMS[form](X)
        np.testing.assert_array_equal(dense(ops.stack_rows([rows[:7], rows[7:8], rows[8:]])), X)
        mine = ops.copy_matrix(rows)
        ops.entries(mine)[...] = 1
        np.testing.assert_array_equal(dense(rows), X)
        assert sorted(set(ops.entries(rows).ravel()) | {0}) == sorted(set(X.ravel()))
        reached = ops.binarize(rows, 0.5)
        assert reached.dtype == dtype
        np.testing.assert_array_equal(dense(reached), X >= 0.5)

    def test_missing_values_are_split_off_and_erased(self, form, dtype):
        X = random_rows().astype(dtype)
        rows = FORMS[form](X)
        assert ops.split_missing(rows)[0] is rows
        assert ops.split_missing(rows)[1] is None
        gone = np.random.default_rng(1).random(X.shape) < 0.3
        given, missing = ops.split_missing(FORMS[form](np.where(gone, np.nan, X).astype(dtype)))
        for found, wanted in (
            (given, np.where(gone, 0, X)),
            (missing, gone),
            (ops.zero_entries(rows, missing), X * ~gone),
        ):
            assert found.dtype == dtype
            assert ops.is_sparse(found) == ops.is_sparse(rows)
            assert not ops.is_sparse(found) or ops.entries(found).all()
            np.testing.assert_array_equal(dense(found), wanted)

    def test_equal_rows_have_equal_hashes_and_others_do_not(self, form, dtype):
        X = np.vstack([random_rows(), random_rows()[[3, 9]], -random_rows()[:1], random_rows()[:, ::-1]]).astype(dtype)
        hashes = ops.row_hashes(FORMS[form](X))
        n_distinct = len(np.unique(X, axis=0))
        assert len(np.unique(hashes)) == n_distinct
        np.testing.assert_array_equal(hashes[[60, 61]], hashes[[3, 9]])
        many = np.tile(X, (60, 1))  # more than are hashed at once
        np.testing.assert_array_equal(ops.row_hashes(FORMS[form](many)), np.tile(hashes, 60))

    def test_minus_zero_is_zero(self, form, dtype):
        X = np.array([[1, -0.0], [1, 0.0]], dtype)
        assert len(np.unique(ops.row_hashes(FORMS[form](X)))) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 3, 40])
def test_gather_largest(dtype, n):
    rng = np.random.default_rng(0)
    X = np.abs(random_rows()).astype(dtype)
    X[:, 5] = X[:, 2]  # ties
    index, weight = rng.integers(60, size=(25, 4)), rng.random((25, 4)).astype(dtype)
    weight[3] = 0
    found = ops.gather_largest(index, weight, sparse.csr_matrix(X), n)
    assert found.dtype == dtype
    assert found.has_sorted_indices
    for row, where, share in zip(found.toarray(), index, weight, strict=True):
        sums = share @ X[where]
        kept = sorted(np.flatnonzero(sums > 0), key=lambda j, sums=sums: (-sums[j], j))[:n]
        wanted = np.zeros(30)
        wanted[kept] = sums[kept]
        np.testing.assert_allclose(row, wanted, rtol=1e-5)


def test_gather_largest_leaves_out_what_is_not_above_zero():
    X = sparse.csr_matrix([[1.0, -1.0, 2.0], [-1.0, 3.0, 0.0]])
    found = ops.gather_largest(np.array([[0, 1]]), np.array([[1.0, 1.0]]), X, 3)
    np.testing.assert_array_equal(found.toarray(), [[0, 2, 2]])
    assert found.nnz == 2
