"""Inverted index: scores and top k against plain products."""

import functools
from itertools import product

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from codebooks import ops

DTYPES = (np.float32, np.float64)
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def numbers(rng, shape, density, kind):
    """Random values: of both signs, positive, negative, or few distinct ones, so that many sums are equal."""
    values = rng.standard_normal(shape)
    values = {"positive": np.abs(values), "negative": -np.abs(values), "ties": np.rint(values)}.get(kind, values)
    return values * (rng.random(shape) < density)


def with_int64(X):
    X = sparse.csr_matrix(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def unsorted(X):
    """Columns descend in each row."""
    X = sparse.csr_matrix(X)
    ends = np.repeat(X.indptr[:-1] + X.indptr[1:], np.diff(X.indptr))
    order = ends - 1 - np.arange(X.nnz)
    return sparse.csr_matrix((X.data[order], X.indices[order], X.indptr), shape=X.shape)


def with_stored_zeros(X):
    n_rows, n_columns = X.shape
    return sparse.csr_matrix(
        (X.ravel(), np.tile(np.arange(n_columns), n_rows), np.arange(n_rows + 1) * n_columns), shape=X.shape
    )


def with_duplicates(X):
    """Every value as the sum of two entries."""
    X = sparse.csr_matrix(X)
    twice = np.repeat(X.indices, 2)
    data = np.stack([3 * X.data, -2 * X.data], axis=1).ravel()
    return sparse.csr_matrix((data, twice, 2 * X.indptr), shape=X.shape)


def read_only(X):
    X = sparse.csr_matrix(X)
    for part in (X.data, X.indices, X.indptr):
        part.flags.writeable = False
    return X


LAYOUTS = {
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "int64": with_int64,
    "unsorted": unsorted,
    "stored zeros": with_stored_zeros,
    "duplicates": with_duplicates,
    "read-only": read_only,
}


@functools.cache
def matrices(kind, n_rows=300, n_queries=12, n_columns=40):
    """Rows, some of them empty or equal, and queries; later columns are rarer, and the last is empty."""
    rng = np.random.default_rng(list(map(ord, kind)))
    density = 0.8 / np.arange(1, n_columns + 1)
    X = numbers(rng, (n_rows, n_columns), density, kind)
    X[5::7] = 0
    X[3 :: n_rows // 4 + 1] = X[n_rows // 2]
    X[:, -1] = 0
    Q = numbers(rng, (n_queries, n_columns), 0.3, kind)
    Q[1::5] = 0
    Q[2::5, :10] = 0
    return X, Q


KINDS = ("signed", "positive", "negative", "ties")


def assert_best(found, scores, k):
    """Check that the result equals the top k of the scores in every bit."""
    index, score = found
    expected = oracles.top_k(scores, min(k, scores.shape[1]))
    assert index.dtype == np.int64
    assert_array_equal(index, expected, strict=True)
    assert_array_equal(score, np.take_along_axis(scores, expected, axis=1), strict=True)


# -- the index -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_build_postings(layout, dtype):
    dense = matrices("signed")[0].astype(dtype)
    X = LAYOUTS[layout](dense)
    before = [part.tobytes() for part in (X.data, X.indices, X.indptr)]
    found = ops.build_postings(X)
    assert [part.tobytes() for part in (X.data, X.indices, X.indptr)] == before
    assert (found.starts.dtype, found.rows.dtype, found.line.dtype) == (np.int64, np.int32, np.int32)
    assert {a.dtype for a in (found.values, found.highest, found.lowest, found.table)} == {np.dtype(dtype)}
    for c, column in enumerate(dense.T):
        entries = slice(found.starts[c], found.starts[c + 1])
        rows = found.rows[entries]
        assert (np.diff(rows) > 0).all()
        assert_allclose(found.values[entries], column[rows], rtol=TOLERANCE[dtype])
        assert_array_equal(np.flatnonzero(column), rows[found.values[entries] != 0])
        assert_allclose((found.highest[c], found.lowest[c]), (max(column.max(), 0), min(column.min(), 0)), rtol=1e-6)
        if found.line[c] >= 0:
            assert_allclose(found.table[found.line[c]], column, rtol=TOLERANCE[dtype])
    assert found.table.shape == ((found.line >= 0).sum(), len(dense))
    assert found.table.size <= 3 * len(found.rows)
    assert len(found.table) or layout != "csr_matrix"


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0), (3, 2)])
def test_postings_of_empty_matrices(shape):
    found = ops.build_postings(sparse.csr_matrix(shape))
    Q = sparse.csr_matrix((2, shape[1]))
    assert_array_equal(ops.score_postings(Q, found), np.zeros((2, shape[0])), strict=True)
    index, score = ops.search_postings(Q, found, 2)
    assert_array_equal(index, [[0, 1]] * 2 if shape[0] else np.zeros((2, 0)))
    assert_array_equal(score, np.zeros(index.shape))
    assert ops.search_postings(Q[:0], found, 2)[0].shape == (0, min(2, shape[0]))


# -- products --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_score_postings(kind, dtype):
    X, Q = (a.astype(dtype) for a in matrices(kind))
    found = ops.score_postings(sparse.csr_matrix(Q), ops.build_postings(sparse.csr_matrix(X)))
    assert found.dtype == dtype
    assert_allclose(found, oracles.similarity(Q, X), rtol=TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_postings_of_all_sparse_layouts(layout, dtype):
    X, Q = (np.rint(3 * a).astype(dtype) for a in matrices("signed"))  # whole numbers: no sum is rounded
    index = ops.build_postings(LAYOUTS[layout](X))
    assert_array_equal(
        ops.score_postings(LAYOUTS[layout](Q), index), oracles.similarity(Q, X).astype(dtype), strict=True
    )
    assert_best(ops.search_postings(LAYOUTS[layout](Q), index, 7), oracles.similarity(Q, X).astype(dtype), 7)


@pytest.mark.parametrize(("ours", "theirs"), [*product(DTYPES, DTYPES)])
def test_results_have_the_dtype_of_the_postings(ours, theirs):
    X, Q = matrices("ties")
    index = ops.build_postings(sparse.csr_matrix(X.astype(ours)))
    queries = sparse.csr_matrix(Q.astype(theirs))
    assert ops.score_postings(queries, index).dtype == ours
    assert ops.search_postings(queries, index, 3)[1].dtype == ours


# -- top k --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 10, 299, 300, 1000])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_search_postings_equals_sorted_scores(kind, dtype, k):
    X, Q = (sparse.csr_matrix(a.astype(dtype)) for a in matrices(kind))
    index = ops.build_postings(X)
    assert_best(ops.search_postings(Q, index, k), ops.score_postings(Q, index), k)


@pytest.mark.parametrize("k", [1, 30, 3000])
@pytest.mark.parametrize("kind", KINDS)
def test_search_postings_over_many_blocks_of_rows(kind, k):
    X, Q = (sparse.csr_matrix(a.astype(np.float32)) for a in matrices(kind, n_rows=20_011, n_queries=40))
    index = ops.build_postings(X)
    scores = ops.score_postings(Q, index)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found, score = ops.search_postings(Q, index, k)
    assert_array_equal(found, order)
    assert_array_equal(score, np.take_along_axis(scores, order, axis=1))


@pytest.mark.parametrize("seed", range(200))
def test_search_postings_in_random_cases(seed):
    rng = np.random.default_rng(seed)
    n_rows, n_columns = rng.integers(1, 60), rng.integers(1, 20)
    kind, scale = rng.choice(KINDS), 10.0 ** rng.integers(-20, 20)
    X = sparse.csr_matrix(numbers(rng, (n_rows, n_columns), rng.random(n_columns), kind).astype(np.float32))
    Q = sparse.csr_matrix((numbers(rng, (8, n_columns), rng.random(), kind) * scale).astype(np.float32))
    index, k = ops.build_postings(X), int(rng.integers(1, n_rows + 3))
    scores = ops.score_postings(Q, index)
    assert_allclose(scores, oracles.similarity(Q.toarray(), X.toarray()), rtol=1e-4, atol=1e-5 * scale)
    assert_best(ops.search_postings(Q, index, k), scores, k)


def test_search_postings_ties_decided_by_common_columns():
    # Pruned at a bound that is reached: rare columns give every row the same, the common ones the rest.
    n_rows = 9000
    X = np.ones((n_rows, 3), np.float32)
    X[:, 1] = np.arange(n_rows) % 100 == 99
    X[:, 2] = np.where(np.arange(n_rows) == 8999, 2, X[:, 2])
    index = ops.build_postings(sparse.csr_matrix(X))
    Q = sparse.csr_matrix(np.array([[1, 1, 1], [-1, 0, 1], [1, -1, 0]], np.float32))
    found, score = ops.search_postings(Q, index, 4)
    assert_array_equal(found, [[8999, 99, 199, 299], [8999, 0, 1, 2], [0, 1, 2, 3]])
    assert_array_equal(score, [[4, 3, 3, 3], [1, 0, 0, 0], [1, 1, 1, 1]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_search_postings_order_of_zero_scores(dtype):
    X = np.zeros((7, 3), dtype)
    X[2, 0], X[4, 0], X[0, 0] = 1, -1, -2
    index, score = ops.search_postings(
        sparse.csr_matrix(np.eye(1, 3, dtype=dtype)), ops.build_postings(sparse.csr_matrix(X)), 99
    )
    assert_array_equal(index, [[2, 1, 3, 5, 6, 4, 0]])
    assert_array_equal(score, np.array([[1, 0, 0, 0, 0, -1, -2]], dtype), strict=True)


def test_search_postings_never_finds_minus_infinity():
    X, Q = (sparse.csr_matrix(np.array(a, np.float32)) for a in ([[3e38, 0], [0, 1], [3e38, 1]], [[-10, 2]]))
    index, score = ops.search_postings(Q, ops.build_postings(X), 3)
    assert_array_equal(index, [[1, -1, -1]])
    assert_array_equal(score, np.array([[2, -np.inf, -np.inf]], np.float32), strict=True)


def test_memory_mapped_postings(tmp_path):
    X, Q = (sparse.csr_matrix(a.astype(np.float32)) for a in matrices("positive"))
    index = ops.build_postings(X)
    for name, part in zip(index._fields, index, strict=True):
        np.save(tmp_path / f"{name}.npy", part)
    mapped = ops.Postings(*(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in index._fields))
    assert isinstance(mapped.rows, np.memmap)
    assert_array_equal(ops.score_postings(Q, mapped), ops.score_postings(Q, index))
    for found, expected in zip(ops.search_postings(Q, mapped, 9), ops.search_postings(Q, index, 9), strict=True):
        assert_array_equal(found, expected)


def test_search_postings_of_one_query_equals_a_batch():
    X, Q = (sparse.csr_matrix(a.astype(np.float32)) for a in matrices("signed"))
    index = ops.build_postings(X)
    together, scores = ops.search_postings(Q, index, 6), ops.score_postings(Q, index)
    for i in range(Q.shape[0]):
        alone = ops.search_postings(Q[i], index, 6)
        assert_array_equal(alone[0][0], together[0][i])
        assert_array_equal(alone[1][0], together[1][i])
        assert_array_equal(ops.score_postings(Q[i], index)[0], scores[i])
