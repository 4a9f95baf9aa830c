"""Every primitive of `codebooks.ops` on a device, against the oracle or, if there is none, against the CPU body.

`tests/ops/test_ops.py` tests the CPU bodies and provides the inputs.
"""

import ast
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from test_ops import KINDS, SCORES, distributions_of, given_of, one_at_a_time, some_of_no_row, words_of

import codebooks
from codebooks import ops

pytestmark = pytest.mark.slow

DTYPES = (np.float32, np.float64)
TOLERANCE = {np.float32: {"rtol": 3e-5, "atol": 3e-5}, np.float64: {"rtol": 1e-11, "atol": 1e-11}}
LAYOUTS = ("C", "Fortran", "strided", "csr_matrix")


def moved(cp, a, layout="C"):
    """An array of the host on the device, in the same layout."""
    if sparse.issparse(a):
        from cupyx.scipy.sparse import csr_matrix

        return csr_matrix(a)
    if layout == "strided":
        return cp.repeat(cp.asarray(a), 2, axis=1)[:, ::2]
    return cp.asfortranarray(cp.asarray(a)) if layout == "Fortran" else cp.asarray(a)


def host(found):
    """Copy results to the host, and check that they are on the device."""
    if isinstance(found, tuple):
        return tuple(host(part) for part in found)
    assert ops.is_on_gpu(found)
    found = ops.to_host(found)
    return found.toarray() if sparse.issparse(found) else found


def assert_same(found, expected, dtype):
    found = host(found)
    assert found.dtype == dtype
    assert found.shape == np.shape(expected)
    assert_allclose(found, expected, **TOLERANCE[np.dtype(dtype).type])


@pytest.fixture(params=DTYPES, ids=lambda dtype: dtype.__name__)
def dtype(request):
    return request.param


# Every layout and dtype with one kind, and every kind dense and sparse, each with one dtype.
CASES = [
    *(("signed", layout, dtype) for layout in LAYOUTS for dtype in DTYPES),
    *((kind, "C", np.float32) for kind in KINDS if kind != "signed"),
    *((kind, "csr_matrix", np.float64) for kind in KINDS if kind != "signed"),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2].__name__}")
def case(request, cp):
    """The arrays of `test_ops`, and the same on the device."""
    kind, layout, dtype = request.param
    form = "C" if layout == "strided" else layout
    given = given_of(kind, form, dtype)
    return given, given._replace(
        X=moved(cp, given.X, layout), **{name: moved(cp, getattr(given, name)) for name in given._fields[2:]}
    )


def test_similarity(case):
    given, on = case
    dtype = given.dense.dtype.type
    assert_same(ops.similarity(on.X, on.W), oracles.similarity(given.dense, given.W), dtype)


@pytest.mark.parametrize("layout", ["Fortran", "strided", "csr_matrix"])
def test_similarity_with_components_in_any_layout(cp, dtype, layout):
    given = given_of("signed", "csr_matrix", dtype)
    components = sparse.csr_matrix(given.W) if layout == "csr_matrix" else given.W
    for X in (given.X, given.dense):
        found = ops.similarity(moved(cp, X), moved(cp, components, layout))
        assert_same(found, oracles.similarity(given.dense, given.W), dtype)


def test_similarity_with_more_components_than_a_tile(cp, dtype):
    rng = np.random.default_rng(0)
    X, W = (rng.random((n, 40)).astype(dtype) * (rng.random((n, 40)) < 0.3) for n in (9, 300))
    found = ops.similarity(moved(cp, sparse.csr_matrix(X)), moved(cp, W))
    assert_same(found, oracles.similarity(X, W), dtype)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_find_nearest(case, k):
    given, on = case
    dtype = given.dense.dtype.type
    k = min(k, len(given.W))
    found = ops.find_nearest(on.X, on.W, on.handicap, k)
    index, score, norms, total = oracles.find_nearest(given.dense, given.W, given.handicap, k)
    assert_array_equal(host(found.index), index)
    assert host(found.index).dtype == np.int64
    for name, expected in (("score", score), ("norms", norms), ("total", total)):
        assert_same(getattr(found, name), np.reshape(expected, host(getattr(found, name)).shape), dtype)


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
def test_find_nearest_ties_within_rounding(cp, dtype, layout):
    eps = np.finfo(dtype).eps
    W = np.array([[1 - 8 * eps, 0.5, 1, 0.25, 1 - 4 * eps, 0.5 + 4 * eps], [0, 1, 0, 0, 0, 2]], dtype).T
    X = moved(cp, np.array([[2, 0], [0, 2]], dtype), layout)
    for k in range(1, 7):
        index = host(ops.find_nearest(X, moved(cp, W), moved(cp, np.zeros(6, dtype)), k).index)
        assert_array_equal(index, [[0, 2, 4, 1, 5, 3][:k], [5, 1, 0, 2, 3, 4][:k]])
    halves = moved(cp, np.full(6, 0.5, dtype))
    assert_array_equal(host(ops.find_nearest(X, moved(cp, W), halves, 4).index)[0], [0, 2, 4, 1])


def test_find_nearest_in_blocks(cp, dtype, monkeypatch):
    given = given_of("many rows", "csr_matrix", dtype)
    whole = ops.find_nearest(*(moved(cp, a) for a in (given.X, given.W, given.handicap)), 3)
    monkeypatch.setattr("codebooks.ops.gpu._BLOCK_BYTES", 3000)
    parts = ops.find_nearest(*(moved(cp, a) for a in (given.X, given.W, given.handicap)), 3)
    for one, other in zip(whole, parts, strict=True):
        assert_allclose(host(one), host(other), **TOLERANCE[dtype])


def test_accumulate(case):
    given, on = case
    dtype = given.dense.dtype.type
    assert_same(ops.accumulate(on.G, on.X), oracles.accumulate(given.G, given.dense), dtype)


@pytest.mark.parametrize("order", ["C", "F"])
def test_scatter_rows(cp, case, order):
    given, on = case
    dtype = given.dense.dtype.type
    out = cp.array(on.W, order=order)
    found = ops.scatter_rows(out, on.index, on.weight, on.X)
    assert found is out
    assert_same(out, oracles.scatter_rows(given.W.copy(), given.index, given.weight, given.dense), dtype)


@pytest.mark.parametrize("layout", ["C", "Fortran", "strided"])
def test_gather_rows(cp, dtype, layout):
    given = given_of("signed", "C", dtype)
    index, weight = moved(cp, given.index), moved(cp, given.weight)
    found = ops.gather_rows(index, weight, moved(cp, given.W, layout))
    assert_same(found, oracles.gather_rows(given.index, given.weight, given.W), dtype)


@pytest.mark.parametrize("n", [0, 1, 4, 20])
def test_gather_largest(cp, dtype, n):
    given = given_of("many rows", "csr_matrix", dtype)
    index, weight = given.index[:30], given.weight[:30]
    found = ops.gather_largest(moved(cp, index), moved(cp, weight), moved(cp, given.X), n)
    expected = ops.gather_largest(index, weight, given.X, n)
    assert_same(found, expected.toarray(), dtype)
    assert (np.diff(ops.to_host(found.indptr)) <= n).all()


@pytest.mark.parametrize("n", [1, 4, 10])
def test_gather_largest_skips_index_minus_one(cp, dtype, n):
    dense, index, weight = some_of_no_row(dtype)
    found = ops.gather_largest(moved(cp, index), moved(cp, weight), moved(cp, sparse.csr_matrix(dense)), n)
    assert_same(found, oracles.gather_largest(index, weight, dense, n), dtype)


def test_sum_by_index(cp, dtype):
    given = given_of("many rows", "C", dtype)
    index, weight = given.index[:, 0], given.weight[:, 0]
    found = ops.sum_by_index(moved(cp, index), moved(cp, weight), 40)
    assert_same(found, np.bincount(index, weights=weight, minlength=40), np.float64)
    found = ops.sum_by_index(moved(cp, index), moved(cp, weight > 0), 40)
    assert_same(found, np.bincount(index, weights=weight > 0, minlength=40), np.float64)


@pytest.mark.parametrize("n", [0, 1, 3, 12])
def test_largest_entries(cp, dtype, n):
    X = np.random.default_rng(0).integers(-2, 4, size=(20, 9)).astype(dtype)  # with ties
    X[4] = 0
    found = host(ops.largest_entries(moved(cp, sparse.csr_matrix(X)), n))
    for one, other in zip(found, ops.largest_entries(sparse.csr_matrix(X), n), strict=True):
        assert_array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.mark.parametrize(
    ("name", "k", "dtype"),
    [*((name, k, np.float64) for name in SCORES for k in (1, 4, 40)), *(("ties", k, np.float32) for k in (1, 2, 40))],
)
def test_top_k(cp, name, k, dtype):
    scores = SCORES[name].astype(dtype)
    k = min(k, scores.shape[1])
    found = ops.top_k(moved(cp, scores), k)
    assert_array_equal(host(found), oracles.top_k(scores, k))
    assert host(found).dtype == np.int64


@pytest.mark.parametrize("k", [1, 10, 33, 200])
def test_top_k_of_many(cp, dtype, k):
    scores = np.random.default_rng(0).integers(300, size=(4, 3000)).astype(dtype)
    assert_array_equal(host(ops.top_k(moved(cp, scores), k)), oracles.top_k(scores, k))


@pytest.mark.parametrize("name", [name for name in SCORES if name != "infinite"])
def test_softmax(cp, dtype, name):
    scores = SCORES[name].astype(dtype)
    assert_same(ops.softmax(moved(cp, scores)), oracles.softmax(scores), dtype)


def test_softmax_of_minus_infinity_only(cp, dtype):
    scores = np.array([[-np.inf, 1, -np.inf], [-np.inf] * 3], dtype)
    assert_same(ops.softmax(moved(cp, scores)), [[0, 1, 0], [0, 0, 0]], dtype)


@pytest.mark.parametrize("kind", ["softmax", "sparsemax", "entmax15", "max"])
@pytest.mark.parametrize("beta", [0.1, 1.0, 30.0])
def test_separate(cp, dtype, kind, beta):
    scores = np.random.default_rng(0).standard_normal((7, 50)).astype(dtype)
    scores[2, 3:] = -np.inf
    scores[4] = -np.inf
    scores[5] = 1
    found = ops.separate(moved(cp, scores), beta, kind)
    expected = ops.separate(scores, beta, kind)
    assert_same(found.weights, expected.weights.toarray(), dtype)
    assert_same(found.value, expected.value, dtype)
    weights = ops.to_host(found.weights)
    assert weights.data.all()
    assert weights.has_sorted_indices


def test_separate_max_ties_within_rounding(cp, dtype):
    eps = np.finfo(dtype).eps
    scores = np.array([[0, 3 - 16 * eps, 3], [-2 - 16 * eps, -2, -3], [-np.inf] * 3], dtype)
    found = ops.separate(moved(cp, scores), 1.0, "max").weights
    assert_array_equal(host(found.toarray()), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("kind", ["softmax", "sparsemax", "entmax15", "max"])
def test_separate_with_one_beta_per_row(cp, dtype, kind):
    scores, betas = np.random.default_rng(0).standard_normal((3, 50)).astype(dtype), np.array([0.1, 1.0, 30.0])
    found, expected = ops.separate(moved(cp, scores), cp.asarray(betas), kind), ops.separate(scores, betas, kind)
    assert_same(found.weights, expected.weights.toarray(), dtype)
    assert_same(found.value, expected.value, dtype)


def test_separate_in_segments(cp, dtype, monkeypatch):
    monkeypatch.setattr("codebooks.ops.gpu._SEGMENT", 70)
    scores = np.random.default_rng(0).standard_normal((3, 1000)).astype(dtype)
    for kind in ("softmax", "sparsemax", "max"):
        found, expected = ops.separate(moved(cp, scores), 5.0, kind), ops.separate(scores, 5.0, kind)
        assert_same(found.weights, expected.weights.toarray(), dtype)
        assert_same(found.value, expected.value, dtype)


@pytest.mark.parametrize("kind", ["softmax", "sparsemax", "entmax15", "max"])
def test_separate_with_several_warps_per_row(cp, dtype, kind):
    scores = np.random.default_rng(0).random((3, 3000)).astype(dtype)
    found, expected = ops.separate(moved(cp, scores), 0.01, kind), ops.separate(scores, 0.01, kind)
    assert_same(found.weights, expected.weights.toarray(), dtype)
    assert_same(found.value, expected.value, dtype)


def test_separate_of_empty_scores(cp, dtype):
    for shape in ((0, 4), (3, 0)):
        found = ops.separate(cp.zeros(shape, dtype), 1.0, "sparsemax")
        assert found.weights.shape == shape
        assert_same(found.value, np.zeros(shape[0]), dtype)


def test_chosen_products(cp, dtype):
    given = given_of("many rows", "csr_matrix", dtype)
    index = np.random.default_rng(0).integers(-1, len(given.dense), size=(len(given.dense), 5))
    found = ops.chosen_products(moved(cp, given.X), moved(cp, given.X), moved(cp, index))
    assert_same(found, oracles.chosen_products(given.dense, given.dense, index), dtype)


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_combine_rows(cp, dtype, share):
    rng = np.random.default_rng(0)
    weights = sparse.csr_matrix((rng.random((6, 40)) * (rng.random((6, 40)) < share)).astype(dtype))
    X = rng.standard_normal((40, 9)).astype(dtype) * (rng.random((40, 9)) < 0.4)
    for form in (np.asarray, np.asfortranarray, sparse.csr_matrix):
        found = ops.combine_rows(moved(cp, weights), moved(cp, form(X)))
        assert_same(found, weights.toarray() @ X, dtype)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "layout", "dtype"), [*CASES, ("signed", "stored zeros", np.float64)])
def test_weigh_entries_sum_column_logs_and_select_used_columns(cp, kind, layout, dtype):
    given, dense, weight = words_of(kind, "C" if layout == "strided" else layout, dtype)
    X, wanted = moved(cp, given, layout), np.arange(dense.shape[1]) % 3 != 1
    found = ops.weigh_entries(X, cp.asarray(weight), 2.5)
    assert ops.is_sparse(found)
    assert_same(found, oracles.weigh_entries(dense, weight, 2.5), dtype)
    again = ops.weigh_entries(X, cp.asarray(weight), 2.5)
    assert_array_equal(host(again), host(found))
    if ops.is_sparse(X):
        assert_array_equal(host(X), dense)
    for sample_weight in (None, np.arange(len(dense)) % 4 / 2):
        counts = None if sample_weight is None else cp.asarray(sample_weight)
        logs = ops.sum_column_logs(X, cp.asarray(np.log(weight)), cp.asarray(wanted), counts)
        expected = oracles.sum_column_logs(dense, np.log(weight), wanted, sample_weight)
        for one, other in zip(logs, expected, strict=True):
            assert_same(one, other, np.float64)
    columns, fewer = ops.select_used_columns(found)
    kept = host(columns)
    assert_array_equal(kept, np.unique(ops.to_host(found).indices))
    assert_array_equal(host(fewer), host(found)[:, kept])


def test_weigh_entries_and_sum_column_logs_of_row_views(cp, dtype):
    given, dense, weight = words_of("many rows", "csr_matrix", dtype)
    rows = np.array([4, 0, 130, 4, 9])
    view, weight_there = ops.view_rows(moved(cp, given), cp.asarray(rows)), cp.asarray(weight)
    assert_same(ops.weigh_entries(view, weight_there, 2), oracles.weigh_entries(dense[rows], weight, 2), dtype)
    found = ops.sum_column_logs(view, cp.log(weight_there), cp.ones(10, bool))
    for one, other in zip(found, oracles.sum_column_logs(dense[rows], np.log(weight), np.ones(10, bool)), strict=True):
        assert_same(one, other, np.float64)


def test_sum_column_logs_skips_rows_too_small_to_be_squared(cp):
    X = np.array([[2, 0, 4], [1e-170, 1e-170, 0]])
    found = ops.sum_column_logs(moved(cp, sparse.csr_matrix(X)), cp.zeros(3), cp.ones(3, bool))
    for one, other in zip(found, oracles.sum_column_logs(X[:1], np.zeros(3), np.ones(3, bool)), strict=True):
        assert_same(one, other, np.float64)


@pytest.mark.parametrize("columns", [np.arange(12), np.array([7, 3, 0])], ids=len)
@pytest.mark.parametrize("n_components", [1, 2, 6])
def test_compute_log_lifts(cp, dtype, n_components, columns):
    distributions, mass = distributions_of(n_components, dtype)
    expected = oracles.compute_log_lifts(distributions, mass, columns, 0.1, 0.3, 3.0)
    for layout in ("C", "Fortran"):
        how = moved(cp, distributions, layout), cp.asarray(mass), cp.asarray(columns)
        for one, other in zip(ops.compute_log_lifts(*how, 0.1, 0.3, 3.0), expected, strict=True):
            assert_same(one, other, dtype)


@pytest.mark.parametrize("reach", [0, 1.5, np.inf])
def test_compute_responsibilities(cp, dtype, reach):
    rng = np.random.default_rng(0)
    scores, offset = (3 * rng.standard_normal((40, 9))).astype(dtype), rng.standard_normal(9).astype(dtype)
    expected = oracles.compute_responsibilities(scores, 0.7, offset, reach)
    found = ops.compute_responsibilities(moved(cp, scores), cp.asarray(0.7, dtype), cp.asarray(offset), reach)
    assert_array_equal(host(found.winner), expected[1])
    assert_same(found.gates, expected[0], dtype)
    assert_same(found.peak, expected[2], dtype)


@pytest.mark.parametrize(("least", "n_steps"), [(0, 1), (0.02, 7)])
def test_fold_in(cp, dtype, least, n_steps):
    X, dense, weight = words_of("many rows", "csr_matrix", dtype)
    rng, n_components = np.random.default_rng(0), 6
    lifts, shares, prior = (
        rng.gamma(0.5, size=(n_components, dense.shape[1])),
        *rng.random((2, len(dense), n_components)),
    )
    shares[0, 1:], lifts[:, 2] = 0, 0
    weight, lifts, shares, prior = (a.astype(dtype) for a in (weight, lifts, shares, prior))
    expected = oracles.fold_in(dense, weight, lifts, shares, prior, n_steps, least)
    how = cp.asarray(weight), moved(cp, lifts), moved(cp, shares), moved(cp, prior)
    found = ops.fold_in(moved(cp, X), *how, n_steps=n_steps, least=least)
    assert_allclose(host(found), expected, rtol=1e-4 if dtype == np.float32 else 1e-10, atol=1e-6)


def test_decay_and_add(cp, dtype):
    distributions, weight = distributions_of(6, dtype)
    fade, columns = np.linspace(0, 1, 6, dtype=dtype), np.array([0, 3, 11])
    pull = np.random.default_rng(0).random((6, 3)).astype(dtype)
    how = moved(cp, distributions), cp.asarray(fade), cp.asarray(columns), moved(cp, pull), cp.asarray(weight)
    expected = oracles.decay_and_add(distributions, fade, columns, pull, weight)
    assert_same(ops.decay_and_add(*how), expected, dtype)


# -- rows --------------------------------------------------------------------------------------------------------------

ROWS = {
    "all": slice(None),
    "middle": slice(3, 8),
    "from the end": slice(-4, None),
    "past the end": slice(9, 99),
    "none": slice(3, 3),
    "backwards": slice(5, 2),
    "array": np.array([4, 0, 12, 2]),
    "array with repeats": np.array([1, 1, 7, 1]),
    "array of nothing": np.array([], np.int64),
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_take_rows(cp, dtype, layout, rows):
    given = given_of("signed", "C" if layout == "strided" else layout, dtype)
    X = moved(cp, given.X, layout)
    found = ops.take_rows(X, rows)
    assert type(found) is type(X)
    assert_same(found, oracles.take_rows(given.dense, rows), dtype)


@pytest.mark.parametrize("window", [1, 10**9])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_minibatches(cp, dtype, layout, window, monkeypatch):
    monkeypatch.setattr("codebooks.ops.gpu._WINDOW_BYTES", window)
    given = given_of("many rows", "C" if layout == "strided" else layout, dtype)
    X, W = moved(cp, given.X, layout), moved(cp, given.W)
    batches = [np.array([4, 0, 130]), np.array([7]), np.array([5, 5]), np.arange(40)]
    for some in (batches, [slice(0, 3), slice(3, 9), slice(9, 9)]):
        for batch, rows in zip(ops.minibatches(X, iter(some)), some, strict=True):
            assert_same(ops.row_norms(batch), oracles.row_norms(given.dense[rows]), dtype)
            assert_same(ops.similarity(batch, W), oracles.similarity(given.dense[rows], given.W), dtype)


def test_row_norms(case):
    given, on = case
    dtype = given.dense.dtype.type
    assert_same(ops.row_norms(on.X), oracles.row_norms(given.dense), dtype)


def test_reciprocal(cp, dtype):
    norms = np.array([0, 1, 4, 1e-30, np.finfo(dtype).tiny / 4], dtype)
    assert_same(ops.reciprocal(cp.asarray(norms)), ops.reciprocal(norms), dtype)


def test_row_hashes(case):
    given, on = case
    assert_array_equal(host(ops.row_hashes(on.X)), ops.row_hashes(given.dense))
    assert host(ops.row_hashes(on.X)).dtype == np.uint64


def test_row_hashes_of_negative_zero(cp, dtype):
    found = host(ops.row_hashes(cp.asarray(np.array([[0.0, 1.0], [-0.0, 1.0]], dtype))))
    assert found[0] == found[1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_format_conversions(cp, dtype, layout):
    given = given_of("signed", "C" if layout == "strided" else layout, dtype)
    X = moved(cp, given.X, layout)
    dense, csr = moved(cp, given.dense), moved(cp, sparse.csr_matrix(given.dense))
    scale = np.linspace(-1, 2, len(given.dense)).astype(dtype)
    assert_same(ops.copy_matrix(X), given.dense, dtype)
    assert_same(ops.convert_to_format_of(X, dense), given.dense, dtype)
    assert ops.is_sparse(ops.convert_to_format_of(X, csr))
    assert_same(ops.convert_to_format_of(X, csr), given.dense, dtype)
    assert_same(ops.binarize(X, 0.5), given.dense >= 0.5, dtype)
    assert_same(ops.scale_rows(X, moved(cp, scale)), given.dense * scale[:, None], dtype)
    gone = np.random.default_rng(0).random(given.dense.shape) < 0.3
    with_gaps = np.where(gone, np.nan, given.dense).astype(dtype)
    with_gaps = sparse.csr_matrix(with_gaps) if layout == "csr_matrix" else with_gaps
    found, missing = ops.split_missing(moved(cp, with_gaps, layout))
    assert_same(found, np.where(gone, 0, given.dense), dtype)
    assert_same(missing, gone, dtype)
    assert_same(ops.zero_entries(X, missing), np.where(gone, 0, given.dense), dtype)
    assert ops.split_missing(X)[1] is None
    assert_same(ops.cast(X, np.float64), given.dense, np.float64)
    assert ops.cast(X, dtype) is X
    assert_same(ops.stack_rows([X, X]), np.vstack([given.dense] * 2), dtype)
    assert ops.is_sparse(X) == (layout == "csr_matrix")
    assert ops.entries(X).size == (sparse.csr_matrix(given.dense).nnz if ops.is_sparse(X) else given.dense.size)
    assert_same(ops.stack_sparse([dense, dense]), np.vstack([given.dense] * 2), dtype)


def test_copy_matrix_drops_stored_zeros(cp, dtype):
    X = sparse.csr_matrix((np.array([1, 0, 2, 0], dtype), [0, 2, 1, 1], [0, 2, 3, 4]), shape=(3, 3))
    found = ops.copy_matrix(moved(cp, X))
    assert found.nnz == 2
    assert_same(found, X.toarray(), dtype)


def test_as_matrix(cp):
    import cupyx.scipy.sparse as on_device

    twice = sparse.coo_matrix((np.ones(3, np.float32), ([0, 0, 1], [2, 2, 0])), shape=(2, 3))
    found = ops.as_matrix(on_device.coo_matrix(twice))
    assert_same(found, twice.toarray(), np.float32)
    assert found.nnz == 2
    assert_same(ops.as_matrix(cp.asarray([[1, 2]])), [[1, 2]], np.float64)
    X = cp.zeros((2, 2), np.float32)
    assert ops.as_matrix(X) is X


# -- searching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3, 200])
def test_score_and_search_postings(cp, dtype, k):
    rng = np.random.default_rng(0)
    X, Q = (rng.integers(1, 5, (n, 12)) * (rng.random((n, 12)) < 0.3) for n in (60, 7))
    X, Q = sparse.csr_matrix(X.astype(dtype)), sparse.csr_matrix(Q.astype(dtype))
    postings, queries = ops.build_postings(moved(cp, X)), moved(cp, Q)
    assert_same(ops.score_postings(queries, postings), (Q @ X.T).toarray(), dtype)
    for one, other in zip(
        ops.search_postings(queries, postings, k), ops.search_postings(Q, ops.build_postings(X), k), strict=True
    ):
        if one.dtype == np.int64:
            assert_array_equal(host(one), other)
        else:
            assert_allclose(host(one), other, **TOLERANCE[dtype])


def test_search_postings_never_finds_minus_infinity(cp):
    X, Q = (sparse.csr_matrix(np.array(a, np.float32)) for a in ([[3e38, 0], [0, 1], [3e38, 1]], [[-10, 2]]))
    index, score = host(ops.search_postings(moved(cp, Q), ops.build_postings(moved(cp, X)), 3))
    assert_array_equal(index, [[1, -1, -1]])
    assert_array_equal(score, [[2, -np.inf, -np.inf]])


def test_score_postings_of_dense_rows(cp, dtype):
    given = given_of("signed", "C", dtype)
    postings = ops.build_postings(moved(cp, given.dense))
    assert_same(ops.score_postings(moved(cp, given.W), postings), given.W @ given.dense.T, dtype)


# -- directions and small algebra --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dtype", "layout", "old_layout"),
    [
        *one_at_a_time([(3, 300), (5, 9), (1, 9), (4, 1)], DTYPES, ["C", "Fortran"], ["C", "Fortran", "strided"]),
        ((3, 300), np.float64, "Fortran", "strided"),
    ],
)
def test_blend_directions(cp, shape, dtype, layout, old_layout):
    rng = np.random.default_rng(0)
    start, W = rng.standard_normal((2, *shape)).astype(dtype)
    weight = rng.standard_normal(len(W)).astype(dtype)
    start[-1] = weight[-1] = 0
    out = moved(cp, start, layout)
    norms = ops.blend_directions(out, moved(cp, weight), moved(cp, W, old_layout))
    directions, lengths = oracles.blend_directions(start, weight, W)
    assert_same(out, directions, dtype)
    assert_same(norms, lengths, dtype)


@pytest.mark.parametrize("shape", [(4, 9), (1, 5), (6, 6)])
def test_nearest_orthonormal(cp, dtype, shape):
    M = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    assert_same(ops.nearest_orthonormal(moved(cp, M)), oracles.nearest_orthonormal(M), dtype)


def test_nearest_orthonormal_without_full_rank(cp, dtype):
    M = np.ones((3, 7), dtype)
    found = host(ops.nearest_orthonormal(moved(cp, M)))
    assert_allclose(found @ found.T, np.eye(3), atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
def test_orthogonalize_partially(cp, dtype, amount):
    W = np.random.default_rng(0).standard_normal((4, 9)).astype(dtype)
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    assert_same(ops.orthogonalize_partially(moved(cp, W), amount), oracles.orthogonalize_partially(W, amount), dtype)


def test_principal_axes(cp, dtype):
    C = np.cov(np.random.default_rng(0).standard_normal((6, 50)) * np.arange(1, 7)[:, None]).astype(dtype)
    values, axes = ops.principal_axes(moved(cp, C))
    expected_values, expected_axes = ops.principal_axes(C)
    tolerance = {"rtol": 0, "atol": 2e-4 if dtype == np.float32 else 1e-11}
    assert_allclose(host(values), expected_values, **tolerance)
    assert_allclose(host(axes), expected_axes, **tolerance)


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
@pytest.mark.parametrize("function", [ops.rotate_to_rows, ops.deflate_by_rows])
def test_row_by_row(cp, dtype, function, layout):
    given = given_of("signed", layout, dtype)
    W = np.linalg.qr(given.W.T)[0].T.astype(dtype)
    scale = np.ones(len(given.dense), dtype)
    handicap, selection = given.handicap * 0, {"n_active": 2, "threshold": -1, "signed": True}
    arrays = moved(cp, W), moved(cp, given.X), moved(cp, scale)
    found = function(*arrays, 0.05, handicap=moved(cp, handicap), **selection)
    expected = function(W, given.X, scale, 0.05, handicap=handicap, **selection)
    assert_allclose(host(found), expected, **TOLERANCE[dtype])


# -- where arrays live -------------------------------------------------------------------------------------------------


def test_copies_between_host_and_device(cp):
    dense, csr = np.eye(3), sparse.csr_matrix(np.eye(3))
    like = cp.zeros(1)
    assert ops.xp(like) is cp
    assert ops.is_asynchronous(like)
    assert ops.block_bytes(like) > ops.block_bytes(dense)
    for a in (dense, csr):
        there = ops.to_device_of(a, like)
        assert ops.is_on_gpu(there)
        assert ops.to_device_of(there, like) is there
        assert_array_equal(host(there), np.eye(3))
        for on_host in (dense, csr):
            assert type(ops.to_device_of(there, on_host)) is type(a)
    assert type(ops.to_host(ops.to_device_of(csr, like))) is sparse.csr_matrix
    ops.synchronize(like)


def test_to_device_of_too_many_entries(cp):
    large = SimpleNamespace(indptr=None, nnz=2**31)
    with pytest.raises(ValueError, match=r"at most 2147483647 entries, got 2147483648\. Use partial_fit"):
        ops.to_device_of(large, cp.zeros(1))


def strings_of(path):
    return path.read_text(encoding="utf-8")


def test_gpu_bodies_have_the_parameters_of_the_cpu_bodies():
    """Read with `ast`, so that it needs neither Numba nor CuPy."""
    folder = Path(codebooks.__file__).parent / "ops"

    def bodies(*files):
        found = {}
        for file in files:
            for node in ast.parse(strings_of(folder / file)).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    found[node.name] = ast.unparse(node.args)
        return found

    on_cpu, on_gpu = bodies("cpu.py", "inverted_index.py"), bodies("gpu.py")
    asked = {
        node.func.attr
        for node in ast.walk(ast.parse(strings_of(folder / "__init__.py")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value).startswith("_body(")
    }
    assert len(asked) > 35
    assert {name: on_gpu.get(name) for name in asked} == {name: on_cpu.get(name) for name in asked}
    assert set(on_gpu) - asked == {"kernel_names"}
