"""The primitives of `codebooks.ops` against the oracle, and with several threads, after forks and from the disk cache.

Code that runs in a fresh interpreter is a function of this file, which that interpreter imports.
"""

import errno
import functools
import hashlib
import inspect
import json
import multiprocessing
import os
import sys
import threading
import time
import tracemalloc
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import oracles
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

import codebooks
from codebooks import ops
from codebooks.interpret._labelling import choose_words_by_documents

DTYPES = (np.float32, np.float64)
TOLERANCE = {np.float32: {"rtol": 2e-5, "atol": 2e-5}, np.float64: {"rtol": 1e-12, "atol": 1e-12}}


# -- inputs ----------------------------------------------------------------------------------------------------------


def with_int64_indices(dense):
    X = sparse.csr_matrix(dense)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def strided(dense):
    """Every second column of an array with twice as many."""
    return np.repeat(dense, 2, axis=1)[:, ::2]


def slice_of_csr(dense):
    """A view of a larger matrix, like a minibatch."""
    more = np.pad(dense, ((2, 1), (0, 0)), constant_values=7)
    return ops.take_rows(sparse.csr_matrix(more), slice(2, 2 + len(dense)))


def with_stored_zeros(dense):
    return sparse.csr_matrix(
        (dense.ravel(), np.tile(np.arange(dense.shape[1]), len(dense)), np.arange(len(dense) + 1) * dense.shape[1]),
        shape=dense.shape,
    )


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "int64 indices": with_int64_indices,
    "slice of CSR": slice_of_csr,
    "stored zeros": with_stored_zeros,
}
# Layout, dtype, read-only. Each combination that Numba compiles a kernel for, but not each layout with each dtype.
FORMS = [
    *((layout, np.float64, False) for layout in LAYOUTS),
    *((layout, np.float32, False) for layout in ("C", "csr_matrix")),
    *((layout, np.float64, True) for layout in ("C", "csr_matrix")),
]


class Kind(NamedTuple):
    n_rows: int
    n_features: int
    n_components: int
    density: float = 0.4


KINDS = {
    "signed": Kind(13, 9, 5),
    "full rows": Kind(6, 23, 4, density=1),
    "one component": Kind(13, 9, 1),
    "one row": Kind(1, 9, 5),
    "one feature": Kind(7, 1, 3),
    "no rows": Kind(0, 9, 5),
    "zeros": Kind(4, 9, 3, density=0),
    "many rows": Kind(131, 10, 35),
}


# Every form with one kind, and every kind dense and sparse, each with one dtype.
CASES = [
    *(("signed", form) for form in FORMS),
    *(
        (kind, form)
        for kind in KINDS
        for form in (("C", np.float32, False), ("csr_matrix", np.float64, False))
        if kind != "signed"
    ),
    ("many rows", ("C", np.float64, False)),
    ("many rows", ("csr_matrix", np.float32, False)),
]


def id_of(value):
    """The id of a parameter: values of a tuple joined, types by name."""
    if isinstance(value, tuple):
        return "-".join(map(id_of, value)) or "empty"
    return getattr(value, "__name__", str(value))


def one_at_a_time(*axes):
    """Return the first values of all axes together, and every other value of each axis with the first of the others."""
    axes = [list(axis) for axis in axes]
    first = [axis[0] for axis in axes]
    return [
        tuple(first),
        *((*first[:i], value, *first[i + 1 :]) for i, axis in enumerate(axes) for value in axis[1:]),
    ]


class Given(NamedTuple):
    """Consistent arguments of the primitives."""

    X: Any  # rows in the layout under test; some are empty
    dense: np.ndarray  # the same rows for the oracle
    W: np.ndarray  # components
    G: np.ndarray  # a weight for each row and component
    index: np.ndarray  # some components for each row, some of them twice
    weight: np.ndarray  # a weight for each of these, some 0
    handicap: np.ndarray  # one for each component


def given_of(kind, layout, dtype, frozen=False):
    rng = np.random.default_rng(list(map(ord, kind)))
    n_rows, n_features, n_components, density = KINDS[kind]

    def numbers(*shape, density=1.0):
        return (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(dtype)

    dense = numbers(n_rows, n_features, density=density)
    dense[[i for i in (2, 9, 12) if i < n_rows]] = 0
    given = Given(
        X=LAYOUTS[layout](dense.copy()),
        dense=dense,
        W=numbers(n_components, n_features),
        G=numbers(n_rows, n_components),
        index=rng.integers(n_components, size=(n_rows, 3)),
        weight=numbers(n_rows, 3, density=0.8),
        handicap=np.abs(numbers(n_components)),
    )
    return Given(*map(read_only, given)) if frozen else given


def some_of_no_row(dtype):
    """Integers for `gather_largest`: rows, and indices, some of them -1, and weights for their sums."""
    given = given_of("many rows", "C", dtype)
    dense, index, weight = np.rint(3 * given.dense), given.index.copy(), np.rint(3 * given.weight)
    dense[-1] = 1  # the row that -1 would select as a Python index
    index[::3, 1] = index[4] = -1
    return dense, index, weight


def parts_of(a):
    return (a.data, a.indices, a.indptr) if sparse.issparse(a) else (a,)


def read_only(a):
    for part in parts_of(a):
        part.flags.writeable = False
    return a


def name_of(case):
    kind, (layout, dtype, frozen) = case
    return f"{kind}-{layout}-{dtype.__name__}" + ("-read-only" if frozen else "")


@pytest.fixture(params=CASES, ids=name_of)
def given(request):
    kind, form = request.param
    return given_of(kind, *form)


def untouched(function, *arguments):
    """Call the function, and check that it does not modify its arguments."""

    def contents():
        return [part.tobytes() for a in arguments if hasattr(a, "dtype") for part in parts_of(a)]

    before = contents()
    found = function(*arguments)
    assert contents() == before
    return found


def assert_same(found, expected, dtype):
    assert isinstance(found, np.ndarray)
    assert found.dtype == dtype
    assert found.shape == np.shape(expected)
    assert_allclose(found, expected, **TOLERANCE[np.dtype(dtype).type])


def peak_memory(function, *arguments):
    function(*arguments)  # compiles
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# -- sums of products ------------------------------------------------------------------------------------------------


def test_similarity(given):
    found = untouched(ops.similarity, given.X, given.W)
    assert_same(found, oracles.similarity(given.dense, given.W), given.W.dtype)


@pytest.mark.parametrize(
    ("layout", "form", "dtype"),
    [
        *product(("C", "csr_matrix"), ("Fortran", "strided", "csr_matrix", "csr_array", "int64 indices"), [np.float64]),
        *product(("Fortran", "strided", "int64 indices"), ("Fortran", "csr_matrix"), [np.float32]),
    ],
)
def test_similarity_with_components_in_any_layout(layout, form, dtype):
    given = given_of("signed", layout, dtype)
    components = given.W * (given.W > 0)
    found = untouched(ops.similarity, given.X, LAYOUTS[form](components))
    assert_same(found, oracles.similarity(given.dense, components), dtype)


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
def test_similarity_makes_no_copy_of_fortran_ordered_components(layout):
    X, components = LAYOUTS[layout](np.eye(3, 2000)), np.ones((1000, 2000), order="F")
    assert peak_memory(ops.similarity, X, components) < components.nbytes / 4


def test_accumulate(given):
    found = untouched(ops.accumulate, given.G, given.X)
    assert_same(found, oracles.accumulate(given.G, given.dense), given.G.dtype)


@pytest.mark.parametrize("form", ["Fortran", "strided"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_accumulate_with_weights_in_any_layout(layout, form):
    given = given_of("signed", layout, np.float64)
    found = untouched(ops.accumulate, LAYOUTS[form](given.G), given.X)
    assert_same(found, oracles.accumulate(given.G, given.dense), np.float64)


# -- chosen rows -----------------------------------------------------------------------------------------------------


def test_scatter_rows(given):
    out = given.W.copy()  # initial values that the function adds to
    expected = oracles.scatter_rows(out, given.index, given.weight, given.dense)
    untouched(functools.partial(ops.scatter_rows, out), given.index, given.weight, given.X)
    assert_same(out, expected, given.W.dtype)


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
def test_scatter_rows_into_strided_output(layout):
    given = given_of("signed", layout, np.float64)
    around = np.ones((7, 18))
    out = around[1:-1, ::2]
    index, weight = np.asfortranarray(given.index)[:, ::2], strided(given.weight)[:, ::2]
    expected = oracles.scatter_rows(out, index, weight, given.dense)
    untouched(functools.partial(ops.scatter_rows, out), index, weight, given.X)
    assert_same(out, expected, np.float64)
    assert_array_equal(around[[0, -1]], 1)
    assert_array_equal(around[:, 1::2], 1)


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_scatter_rows_with_a_repeated_index(layout, dtype):
    X = LAYOUTS[layout](np.array([[1, 0, 2], [0, 3, 0]], dtype))
    out = np.zeros((3, 3), dtype)
    ops.scatter_rows(out, np.array([[1, 1], [1, 0]]), np.array([[1, 2], [-1, 4]], dtype), X)
    assert_array_equal(out, [[0, 12, 0], [3, -3, 6], [0, 0, 0]])


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gather_rows(kind, frozen):
    given = given_of(kind, "C", np.float64, frozen)
    found = untouched(ops.gather_rows, given.index, given.weight, given.W)
    assert_same(found, oracles.gather_rows(given.index, given.weight, given.W), given.W.dtype)


@pytest.mark.parametrize("form", ["C", "Fortran", "strided"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_rows_with_any_layout(form, dtype):
    given, change = given_of("signed", "C", dtype), LAYOUTS[form]
    found = untouched(ops.gather_rows, change(given.index), change(given.weight), change(given.W))
    assert_same(found, oracles.gather_rows(given.index, given.weight, given.W), dtype)


@pytest.mark.parametrize(
    ("n", "layout", "dtype"),
    one_at_a_time([4, 1, 10], ["csr_matrix", "csr_array", "int64 indices", "stored zeros"], DTYPES),
    ids=id_of,
)
def test_gather_largest_skips_index_minus_one(dtype, layout, n):
    dense, index, weight = some_of_no_row(dtype)
    found = untouched(ops.gather_largest, index, weight, LAYOUTS[layout](dense), n)
    assert found.dtype == dtype
    assert_array_equal(found.toarray(), oracles.gather_largest(index, weight, dense, n))


def test_gather_largest_after_calls_with_another_layout():
    # Numba before 0.61 took kernels compiled for another layout, depending on what lay in freed memory.
    dense, index, weight = some_of_no_row(np.float64)
    X, wide = sparse.csr_matrix(dense), np.pad(index, ((0, 0), (0, 1)))[:, :-1]
    expected = oracles.gather_largest(index, weight, dense, 4)
    for call in range(100):
        n_rows = 1 + 5 * (call % 2)  # the first row alone counts as contiguous
        found = ops.gather_largest(wide[:n_rows], weight[:n_rows], X, 4)
        assert_array_equal(found.toarray(), expected[:n_rows])


@pytest.mark.parametrize(
    ("shape", "dtype", "form", "frozen"),
    [
        *one_at_a_time(
            [(20, 257), (5, 9), (1, 9), (4, 1), (3, 300)], DTYPES, ["C", "Fortran", "strided"], [False, True]
        ),
        ((3, 300), np.float64, "Fortran", True),
    ],
    ids=id_of,
)
def test_blend_directions(shape, dtype, form, frozen):
    rng = np.random.default_rng(0)
    start, W = rng.standard_normal((2, *shape))
    weight = rng.standard_normal(len(W))
    start[shape[0] // 2] = weight[shape[0] // 2] = 0  # the sum is 0, so the row keeps its value
    out, W, weight = (a.astype(dtype) for a in (start, W, weight))
    directions, norms = oracles.blend_directions(out, weight, W)
    out, W = LAYOUTS[form](out), LAYOUTS[form](W)
    if frozen:
        read_only(W), read_only(weight)
    found = untouched(functools.partial(ops.blend_directions, out), weight, W)
    assert_same(out, directions, dtype)
    assert_same(found, norms, dtype)
    assert found[shape[0] // 2] == 0
    assert_array_equal(out[shape[0] // 2], W[shape[0] // 2])


ROWS = {
    "all": slice(None),
    "middle": slice(3, 8),
    "with a step of 1": slice(3, 8, 1),
    "from the end": slice(-4, None),
    "past the end": slice(9, 99),
    "none": slice(3, 3),
    "backwards": slice(5, 2),
    "array": np.array([4, 0, 12, 2]),
    "array with repeats": np.array([1, 1, 7, 1]),
    "array of nothing": np.array([], np.int64),
}


@pytest.mark.parametrize(
    ("rows", "layout", "dtype", "frozen"),
    [
        *((rows, layout, np.float64, False) for rows, layout in product(ROWS, ("C", "csr_matrix"))),
        *((rows, *form) for rows, form in product(("middle", "array"), FORMS) if form[1:] != (np.float64, False)),
        *product(("middle", "array"), sorted({*LAYOUTS} - {"C", "csr_matrix"}), [np.float64], [False]),
    ],
)
def test_take_rows(rows, layout, dtype, frozen):
    rows = ROWS[rows]
    given = given_of("signed", layout, dtype, frozen)
    found = untouched(ops.take_rows, given.X, rows)
    assert type(found) is type(given.X)
    dense = found.toarray() if sparse.issparse(found) else found
    assert_same(dense, oracles.take_rows(given.dense, rows), dtype)
    is_view = np.shares_memory(parts_of(found)[0], parts_of(given.X)[0])
    assert is_view == (isinstance(rows, slice) and len(dense) > 0)


def test_primitives_accept_rows_taken_from_csr():
    given = given_of("many rows", "csr_matrix", np.float64)
    rows = ops.take_rows(given.X, slice(40, 90))
    assert_same(ops.row_norms(rows), oracles.row_norms(given.dense[40:90]), np.float64)
    assert_same(
        ops.accumulate(given.G[40:90], rows), oracles.accumulate(given.G[40:90], given.dense[40:90]), np.float64
    )


@pytest.mark.parametrize("form", ["C", "strided"])
@pytest.mark.parametrize("dtype", [*DTYPES, bool])
def test_sum_by_index(form, dtype):
    given = given_of("many rows", "C", np.float64)
    index, weight = given.index[:, :1], (given.weight[:, :1] * 4).round().astype(dtype)
    index, weight = (LAYOUTS[form](a)[:, 0] for a in (index, weight))
    expected = [weight[index == k].sum(dtype=float) for k in range(40)]
    assert_same(untouched(ops.sum_by_index, index, weight, 40), expected, np.float64)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_scale_rows(layout, dtype):
    given = given_of("signed", layout, dtype)
    scale = np.linspace(-1, 2, 13).astype(dtype)
    found = untouched(ops.scale_rows, given.X, scale)
    assert type(found) is type(given.X)
    dense = found.toarray() if sparse.issparse(found) else found
    assert_same(dense, given.dense * scale[:, None], dtype)


@pytest.mark.parametrize("short_row", [0, 1000], ids=["views", "copies"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_minibatches(layout, short_row, monkeypatch):
    monkeypatch.setattr("codebooks.ops.cpu._SHORT_ROW", short_row)
    given = given_of("many rows", layout, np.float64)
    batches = [np.array([4, 0, 130]), slice(3, 9), np.array([7]), slice(9, 9), np.array([5, 5])]
    for batch, rows in zip(ops.minibatches(given.X, iter(batches)), batches, strict=True):
        assert_same(ops.row_norms(batch), oracles.row_norms(given.dense[rows]), np.float64)
        assert_same(ops.similarity(batch, given.W), oracles.similarity(given.dense[rows], given.W), np.float64)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, np.asarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, bool])
def test_as_matrix(form, dtype):
    dense = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 1]], dtype)
    found = ops.as_matrix(form(dense))
    assert found.dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert sparse.issparse(found) == (form is not np.asarray)
    assert_array_equal(found.toarray() if sparse.issparse(found) else found, dense)


def test_as_matrix_sums_duplicate_entries():
    twice = sparse.csr_matrix((np.ones(4), [2, 0, 2, 1], [0, 3, 4]), shape=(2, 3))
    found = ops.as_matrix(twice)
    assert found.has_canonical_format
    assert_array_equal(found.toarray(), [[1, 0, 2], [0, 1, 0]])
    assert twice.nnz == 4
    assert ops.as_matrix(found) is found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cast(layout):
    X = LAYOUTS[layout](np.eye(3))
    assert ops.cast(X, np.float64).dtype == np.float64
    found = ops.cast(X, np.float32)
    assert found.dtype == np.float32
    assert type(found) is type(X)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_is_sparse(layout):
    X = LAYOUTS[layout](np.eye(4))
    assert ops.is_sparse(X) == ops.is_sparse(ops.view_rows(X, slice(1, 3))) == sparse.issparse(X)


def test_numpy_is_not_asynchronous():
    assert not ops.is_asynchronous(np.zeros(1))
    assert ops.block_bytes(np.zeros(1)) > 0


# -- words -----------------------------------------------------------------------------------------------------------


def words_of(kind, layout, dtype, frozen=False):
    """Rows without negative values in the layout under test, the same for the oracle, and a weight for each column."""
    given = given_of(kind, "C", dtype)
    dense = np.abs(given.dense)
    X, weight = LAYOUTS[layout](dense.copy()), np.random.default_rng(0).random(dense.shape[1]) + 0.1
    return (read_only(X), dense, read_only(weight)) if frozen else (X, dense, weight)


@pytest.fixture(params=CASES, ids=name_of)
def words(request):
    kind, form = request.param
    return words_of(kind, *form)


def test_weigh_entries(words):
    X, dense, weight = words
    found = untouched(ops.weigh_entries, X, weight, 2.5)
    assert isinstance(found, sparse.csr_matrix)
    assert_same(found.toarray(), oracles.weigh_entries(dense, weight, 2.5), dense.dtype)
    assert_allclose(np.linalg.norm(found.toarray(), axis=1), 2.5 * dense.any(axis=1), rtol=1e-6)
    parts = parts_of(X)
    assert not any(np.shares_memory(found.data, part) for part in parts)


def test_sum_column_logs(words):
    X, dense, weight = words
    wanted = np.arange(dense.shape[1]) % 3 != 1
    for sample_weight in (None, np.arange(len(dense)) % 4 / 2):
        how = np.log(weight), wanted, sample_weight
        expected = oracles.sum_column_logs(dense, *how)
        for found, same in zip(untouched(ops.sum_column_logs, X, *how), expected, strict=True):
            assert_same(found, same, np.float64)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("C", "Fortran", "strided")])
def test_weigh_entries_and_sum_column_logs_of_row_views(layout):
    X, dense, weight = words_of("many rows", layout, np.float64)
    rows = np.array([4, 0, 130, 4, 9])
    view, wanted = ops.view_rows(X, rows), np.ones(10, bool)
    assert_same(ops.weigh_entries(view, weight, 2).toarray(), oracles.weigh_entries(dense[rows], weight, 2), np.float64)
    found, expected = (
        ops.sum_column_logs(view, np.log(weight), wanted),
        oracles.sum_column_logs(dense[rows], np.log(weight), wanted),
    )
    assert_allclose(found, expected, rtol=1e-12)
    few = np.zeros((5, 20))
    few[[0, 2, 3], [1, 5, 5]] = 0.5, 2, 1
    assert_same(ops.accumulate(few, view), oracles.accumulate(few, dense[rows]), np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sum_column_logs_skips_rows_too_small_to_be_squared(dtype):
    X = np.array([[2, 0, 4], [0, 0, 0], [1, 1, 1]], dtype)
    with_tiny = np.vstack([X, np.full((1, 3), 1e-170)])
    offset, wanted = np.zeros(3), np.ones(3, bool)
    expected = oracles.sum_column_logs(X, offset, wanted)
    for found, same in zip(ops.sum_column_logs(sparse.csr_matrix(with_tiny), offset, wanted), expected, strict=True):
        assert_allclose(found, same, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "layout"), [*product(KINDS, ["csr_matrix"]), *product(["signed"], ["int64 indices", "stored zeros"])]
)
def test_select_used_columns(kind, layout):
    X, dense, _ = words_of(kind, layout, np.float64)
    columns, found = untouched(ops.select_used_columns, X)
    assert_array_equal(columns, np.unique(X.indices))
    assert_same(found.toarray(), dense[:, columns], dense.dtype)
    assert_array_equal(np.delete(dense, columns, axis=1), 0)


@pytest.mark.parametrize(("layout", "dtype", "frozen"), [form for form in FORMS if form[0].startswith("csr")])
def test_chosen_products(layout, dtype, frozen):
    given = given_of("many rows", layout, dtype, frozen)
    index = np.random.default_rng(0).integers(-1, len(given.dense), size=(len(given.dense), 5))
    found = untouched(ops.chosen_products, given.X, given.X, index)
    assert_same(found, oracles.chosen_products(given.dense, given.dense, index), dtype)
    assert not found[index < 0].any()


@pytest.mark.parametrize(
    ("share", "form", "given_form"), one_at_a_time([0.2, 0, 0.1], ["C", "Fortran"], FORMS[::-1]), ids=id_of
)
def test_accumulate_with_few_shares(share, form, given_form):
    layout, dtype, frozen = given_form
    given = given_of("many rows", layout, dtype, frozen)
    few = given.G * (np.random.default_rng(0).random(given.G.shape) < share)
    found = untouched(ops.accumulate, LAYOUTS[form](few), given.X)
    assert_same(found, oracles.accumulate(few, given.dense), dtype)


def distributions_of(n_components, dtype):
    """Term distributions, one of them without mass, and terms that are in none."""
    rng = np.random.default_rng(n_components)
    counts = rng.gamma(0.3, size=(n_components, 12)) * (rng.random((n_components, 12)) < 0.7)
    counts[:, [3, 8]], counts[:, 0] = 0, 1 + np.arange(n_components)
    mass = counts.sum(axis=1) * 7
    if n_components > 2:
        mass[1] = 0
    return (counts / counts.sum(axis=1, keepdims=True)).astype(dtype), mass.astype(dtype)


@pytest.mark.parametrize(
    ("n_components", "dtype", "form", "columns", "frozen"),
    one_at_a_time([6, 1, 2], DTYPES, ["C", "Fortran"], [range(12), (7, 3, 0), ()], [False, True]),
    ids=id_of,
)
def test_compute_log_lifts(n_components, dtype, form, columns, frozen):
    columns = np.array(columns, np.int64)
    distributions, mass = distributions_of(n_components, dtype)
    distributions = LAYOUTS[form](distributions)
    if frozen:
        for a in (distributions, mass, columns):
            read_only(a)
    expected = oracles.compute_log_lifts(distributions, mass, columns, 0.1, 0.3, 3.0)
    found = untouched(ops.compute_log_lifts, distributions, mass, columns, 0.1, 0.3, 3.0)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other, dtype)
    from codebooks.ops import shared

    on_device = shared.compute_log_lifts(np, distributions, mass, columns, floor=0.1, share=0.3, background=3.0)
    for one, other in zip(on_device, expected, strict=True):
        assert_same(one, other, dtype)
    unseen = np.isin(columns, [3, 8])
    assert not found[0][:, unseen].any()
    assert not found[1][unseen].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_compute_log_lifts_of_terms_equally_likely_in_all_components(dtype):
    """Their saliency is about 0, and the saliency of a term of one component is about 1."""
    distributions = np.array([[0.5, 0.5, 0], [0.5, 0.3, 0.2]], dtype)
    table, saliency, _ = ops.compute_log_lifts(distributions, np.full(2, 1e4, dtype), np.arange(3), 0.1, 0.3, 3.0)
    assert 0 <= saliency[0] < 1e-3
    assert np.abs(table[:, 0]).max() < 1e-3
    assert saliency[1] < saliency[2]
    assert saliency[2] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("reach", [0, 1.5, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_compute_responsibilities(dtype, reach):
    rng = np.random.default_rng(0)
    scores, offset = (3 * rng.standard_normal((40, 9))).astype(dtype), rng.standard_normal(9).astype(dtype)
    scores[3] = 1e4 * np.arange(9)  # exponentials would overflow
    expected = oracles.compute_responsibilities(scores, 0.7, offset, reach)
    found = ops.compute_responsibilities(scores, 0.7, offset, reach)
    assert_array_equal(found.winner, expected[1])
    assert_same(found.gates, expected[0], dtype)
    assert_same(found.peak, expected[2], dtype)
    assert found.gates is scores
    assert_allclose(found.gates.sum(axis=1), 1, rtol=1e-6)
    equal = ops.compute_responsibilities(np.ones((2, 3), dtype), 1.0, np.zeros(3, dtype), reach)
    assert_array_equal(equal.winner, 0)
    assert_allclose(equal.gates, 1 / 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("given_form", "least_and_steps", "form"),
    one_at_a_time(
        [form for form in FORMS if form[0].startswith("csr")], [(0.02, 7), (0, 1), (0.15, 3)], ["C", "Fortran"]
    ),
    ids=id_of,
)
def test_fold_in(given_form, least_and_steps, form):
    (layout, dtype, frozen), (least, n_steps) = given_form, least_and_steps
    X, dense, weight = words_of("many rows", layout, dtype)
    rng, n_components = np.random.default_rng(0), 6
    lifts = rng.gamma(0.5, size=(n_components, dense.shape[1])) * (rng.random((n_components, dense.shape[1])) < 0.8)
    lifts[:, 2], weight[4] = 0, 0
    shares, prior = rng.random((2, len(dense), n_components))
    shares[0, 1:], shares[1, 2] = 0, 0
    shares /= shares.sum(axis=1, keepdims=True)
    lifts, weight, shares, prior = (a.astype(dtype) for a in (lifts, weight, shares, prior))
    expected = oracles.fold_in(dense, weight, lifts, shares, prior, n_steps, least)
    if frozen:
        for a in (weight, lifts, prior):
            read_only(a)
    found = ops.fold_in(X, weight, LAYOUTS[form](lifts), shares, prior, n_steps=n_steps, least=least)
    assert found is shares
    assert_allclose(found, expected, rtol=1e-4 if dtype == np.float32 else 1e-10, atol=1e-6)
    assert (found[0] > 0).tolist() == [True] + 5 * [False]
    assert ((found == 0) | (found >= least)).all()


@pytest.mark.parametrize(
    ("dtype", "columns", "form"), one_at_a_time(DTYPES, [(0, 3, 11), range(12), ()], ["C", "Fortran"]), ids=id_of
)
def test_decay_and_add(dtype, columns, form):
    columns = np.array(columns, np.int64)
    distributions, weight = distributions_of(6, dtype)
    fade, pull = np.linspace(0, 1, 6, dtype=dtype), np.random.default_rng(0).random((6, len(columns))).astype(dtype)
    how = LAYOUTS[form](distributions), fade, columns, LAYOUTS[form](pull), weight
    found = untouched(ops.decay_and_add, *how)
    assert_same(found, oracles.decay_and_add(*how), dtype)
    assert found.flags.f_contiguous
    faded = ops.decay_and_add(
        np.full((1, 3), 1e-20, dtype), fade[:1] + dtype(1e-11), np.arange(0), pull[:1, :0], fade[:1]
    )
    assert_array_equal(faded, 0)


# -- choosing --------------------------------------------------------------------------------------------------------

inf = np.inf
SCORES = {
    "random": np.random.default_rng(0).standard_normal((40, 9)),
    "negative": -np.random.default_rng(1).random((7, 5)),
    "ties": np.random.default_rng(2).integers(3, size=(60, 8)),
    "all equal": np.zeros((3, 6)),
    "zeros of both signs": np.array([[-0.0, 0.0, -0.0], [0.0, -0.0, 1.0]]),
    "falling": np.arange(12)[None, ::-1],
    "rising": np.arange(12)[None],
    "one column": np.ones((4, 1)),
    "no rows": np.zeros((0, 4)),
    "infinite": np.array([[-inf, 1, -inf, 2], [-inf, -inf, -inf, -inf], [inf, 0, inf, -inf]]),
}
# More scores than a sorted list keeps during the selection.
MANY_SCORES = {
    "many": np.random.default_rng(3).standard_normal((3, 700)),
    "many ties": np.random.default_rng(4).integers(5, size=(3, 600)),
    "many, rising": np.arange(601)[None],
    "many, falling": np.arange(602)[None, ::-1],
    "many, infinite": np.where(np.arange(3 * 600).reshape(3, 600) % [[9], [600], [2]] == 5, [[1], [2], [inf]], -inf),
}


@pytest.mark.parametrize(
    ("name_and_kept", "dtype", "form"),
    one_at_a_time(product([*SCORES, *MANY_SCORES], ["some", "one", "all"]), DTYPES[::-1], ["C", "Fortran", "strided"]),
    ids=id_of,
)
def test_top_k(name_and_kept, dtype, form):
    name, kept = name_and_kept
    scores = (SCORES | MANY_SCORES)[name]
    k = {"one": 1, "some": (scores.shape[1] + 1) // 2, "all": scores.shape[1]}[kept]
    scores = LAYOUTS[form](scores.astype(dtype))
    found = untouched(ops.top_k, scores, k)
    assert found.dtype == np.int64
    assert_array_equal(found, oracles.top_k(scores, k), strict=True)


def test_top_k_of_read_only_scores():
    scores = read_only(SCORES["ties"].astype(np.float64))
    assert_array_equal(ops.top_k(scores, 3), oracles.top_k(scores, 3))


def test_find_nearest(given):
    dtype, n_components = given.W.dtype, len(given.W)
    for k in {1, (n_components + 1) // 2, n_components}:
        found = untouched(ops.find_nearest, given.X, given.W, given.handicap, k)
        index, score, norms, total = oracles.find_nearest(given.dense, given.W, given.handicap, k)
        assert found.index.dtype == np.int64
        assert_array_equal(found.index, index)
        assert_same(found.score, score, dtype)
        assert_same(found.norms, norms, dtype)
        assert_allclose(found.total, total, **{**TOLERANCE[dtype.type], "atol": TOLERANCE[dtype.type]["atol"] * 20})
        assert found.total.dtype == dtype
        assert_array_equal(found.score[norms == 0], 0)


def test_find_nearest_of_dense_rows_in_several_products(monkeypatch):
    monkeypatch.setattr("codebooks.ops.cpu._DENSE_BLOCKS", 1)
    monkeypatch.setattr("codebooks.ops.cpu._PRODUCTS", 0)
    given = given_of("many rows", "C", np.float64)
    found = ops.find_nearest(given.X, given.W, given.handicap, 3)
    index, score, _, total = oracles.find_nearest(given.dense, given.W, given.handicap, 3)
    assert_array_equal(found.index, index)
    assert_same(found.score, score, np.float64)
    assert_allclose(found.total, total, rtol=1e-11, atol=1e-11)


def test_find_nearest_equals_similarity_row_norms_and_top_k(given):
    k = min(3, len(given.W))
    found = ops.find_nearest(given.X, given.W, given.handicap, k)
    norms = ops.row_norms(given.X)
    scores = ops.similarity(given.X, given.W)
    scores[norms > 0] /= norms[norms > 0, None]
    index = ops.top_k(scores - given.handicap, k)
    assert_array_equal(found.index, index)
    assert_array_equal(found.norms, norms)
    assert_same(found.score, np.take_along_axis(scores, index, axis=1), given.W.dtype)
    tolerance = TOLERANCE[given.W.dtype.type]["atol"] * max(len(norms), 1)
    assert_allclose(found.total, scores.sum(axis=0), atol=tolerance)


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_find_nearest_ties_after_the_handicap(layout, dtype):
    X = LAYOUTS[layout](np.array([[0, 2, 0], [0, 0, 0], [0, 0, 4]], dtype))
    W = np.array([[0, 1, 0], [0, 2, 1], [0, 1, 0], [0, 2, 1]], dtype)
    found = ops.find_nearest(X, W, np.array([0, 1, 0, 0.5], dtype), 4)
    # After the handicap the rows score (1, 1, 1, 1.5), (0, -1, 0, -0.5) and (0, 0, 0, 0.5).
    assert_array_equal(found.index, [[3, 0, 1, 2], [0, 2, 3, 1], [3, 0, 1, 2]])
    assert_array_equal(found.score, [[2, 1, 2, 1], [0, 0, 0, 0], [1, 0, 1, 0]])
    assert_array_equal(found.norms, [2, 0, 4])
    assert_array_equal(found.total, [1, 3, 1, 3])


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_find_nearest_ties_within_rounding(layout, dtype):
    X, eps = LAYOUTS[layout](np.array([[2, 0], [0, 2]], dtype)), np.finfo(dtype).eps
    W = np.array([[1 - 8 * eps, 0.5, 1, 0.25, 1 - 4 * eps, 0.5 + 4 * eps], [0, 1, 0, 0, 0, 2]], dtype).T
    for k in range(1, 7):
        index = ops.find_nearest(X, W, np.zeros(6, dtype), k).index
        assert_array_equal(index, [[0, 2, 4, 1, 5, 3][:k], [5, 1, 0, 2, 3, 4][:k]])
    # A score minus a handicap has the rounding error of the score.
    assert_array_equal(ops.find_nearest(X, W, np.full(6, 0.5, dtype), 4).index[0], [0, 2, 4, 1])
    many = np.array([1 - eps * (np.arange(400) % 9), np.zeros(400)], dtype).T
    for k in (1, 5, 300):
        assert_array_equal(ops.find_nearest(X, many[::-1], np.zeros(400, dtype), k).index[0], np.arange(k))


@pytest.mark.parametrize("dtype", DTYPES)
def test_find_nearest_of_equal_rows_does_not_depend_on_their_position(dtype):
    rng = np.random.default_rng(0)
    W = rng.standard_normal((20, 300)).astype(dtype)
    W[[7, 19]] = W[3]
    X = np.tile(rng.standard_normal(300) + 3 * W[3], (517, 1)).astype(dtype)
    for rows in (X, X[:1], X[5:8], np.asfortranarray(X)):
        assert_array_equal(ops.find_nearest(rows, W, np.zeros(20, dtype), 3).index, [[3, 7, 19]] * len(rows))


@pytest.mark.parametrize("k", [4, 5, 256, 257])
def test_top_k_at_the_limits_of_its_algorithms(k):
    for scores in MANY_SCORES.values():
        assert_array_equal(ops.top_k(scores.astype(np.float64), k), oracles.top_k(scores, k))


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_find_nearest_with_large_k(layout, dtype):
    rng = np.random.default_rng(0)
    dense, W = np.eye(5, dtype=dtype)[[0, 3, 4, 0]] * 2, rng.integers(6, size=(400, 5)).astype(dtype)
    dense[3], handicap = 0, rng.integers(3, size=400).astype(dtype)
    found = ops.find_nearest(LAYOUTS[layout](dense), W, handicap, 300)
    for one, other in zip(found, oracles.find_nearest(dense, W, handicap, 300), strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("layout", ["C", "csr_matrix"])
def test_find_nearest_and_norms_of_very_long_and_very_short_rows(layout):
    # Their squares are beyond float32.
    dense = np.array([[3e30, 4e30], [3e-30, 4e-30]], np.float32)
    found = ops.find_nearest(LAYOUTS[layout](dense), np.eye(2, dtype=np.float32), np.zeros(2, np.float32), 1)
    assert_allclose(found.norms, [5e30, 5e-30], rtol=1e-6)
    assert_allclose(found.score, [[0.8], [0.8]], rtol=1e-6)
    assert_array_equal(found.index, [[1], [1]])


def test_find_nearest_memory_is_below_a_table_of_scores():
    X, W = sparse.random(20_000, 50, 0.05, "csr", random_state=0), np.ones((60, 50))
    assert peak_memory(ops.find_nearest, X, W, np.zeros(60), 1) < X.shape[0] * len(W) * 8 / 4


# -- rows and small dense algebra ------------------------------------------------------------------------------------


def test_row_norms(given):
    found = untouched(ops.row_norms, given.X)
    assert_same(found, oracles.row_norms(given.dense), given.W.dtype)


LOGITS = {
    **SCORES,
    "infinite": np.array([[-inf, 1, -inf, 2], [-inf, -inf, -inf, -inf], [0, 0, 0, -inf]]),
    "far apart": np.array([[1e5, -1e5, 0], [1e30, 1e30, -1e30], [-1e30, -1e30, -1e30]]),
}


@pytest.mark.parametrize(
    ("name", "dtype", "form"),
    [*product(LOGITS, DTYPES, ["C"]), *product(["random"], [np.float64], ["Fortran", "strided"])],
)
def test_softmax(name, dtype, form):
    scores = LOGITS[name]
    scores = read_only(LAYOUTS[form](scores.astype(dtype)))
    found = untouched(ops.softmax, scores)
    assert_same(found, oracles.softmax(scores), dtype)
    assert_array_equal(found[np.isneginf(scores)], 0)
    assert_allclose(found.sum(axis=1), (scores > -inf).any(axis=1), atol=1e-6)


def with_singular_values(*values, n_columns=None, seed=0):
    rng, n = np.random.default_rng(seed), len(values)
    left = np.linalg.qr(rng.standard_normal((n, n)))[0]
    right = np.linalg.qr(rng.standard_normal((n_columns or n + 3, n)))[0]
    return left @ np.diag(values) @ right.T


MATRICES = {
    "wide": np.random.default_rng(0).standard_normal((4, 30)),
    "square": np.random.default_rng(1).standard_normal((6, 6)),
    "one row": np.array([[3.0, -4.0]]),
    "one number": np.array([[-2.0]]),
    "orthonormal": np.eye(4)[::-1],
    "reflection": np.diag([1.0, -2.0, 3.0]),
    "huge": 1e30 * np.random.default_rng(2).standard_normal((3, 5)),
    "tiny": 1e-30 * np.random.default_rng(3).standard_normal((3, 5)),
    "condition 1e3": with_singular_values(1, 0.1, 1e-3),
    "condition 1e4": with_singular_values(1, 0.1, 1e-4),
}
ILL = {
    "condition 3e4": with_singular_values(1, 0.1, 3.2e-5),
    "condition 1e6": with_singular_values(1, 0.1, 1e-6),
    "condition 1e12": with_singular_values(1, 1e-6, 1e-12),
    "square, condition 1e12": with_singular_values(1, 1e-6, 1e-12, n_columns=3),
    "rows alike": np.ones((3, 7)),
    "one row of zeros": np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]),
    "all zero": np.zeros((3, 5)),
    "all zero, square": np.zeros((4, 4)),
    "one row, all zero": np.zeros((1, 4)),
}


@pytest.mark.parametrize(
    ("name", "dtype", "form"),
    [
        *product([*MATRICES, *ILL], DTYPES, ["C"]),
        *product(["wide", "condition 1e6"], [np.float64], ["Fortran", "strided"]),
    ],
)
def test_nearest_orthonormal_is_orthonormal_and_nearest(name, dtype, form):
    M = (MATRICES | ILL)[name]
    M = read_only(LAYOUTS[form](M.astype(dtype)))
    found = untouched(ops.nearest_orthonormal, M)
    assert found.dtype == dtype
    assert found.shape == M.shape
    wide = found.astype(np.float64)
    assert_allclose(wide @ wide.T, np.eye(len(M)), atol=1e-5 if dtype == np.float32 else 1e-10)
    assert_allclose(np.linalg.norm(wide - M), oracles.distance_to_orthonormal(M), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("M", MATRICES.values(), ids=MATRICES)
def test_nearest_orthonormal_is_the_polar_factor(M, dtype):
    M = M.astype(dtype)
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert_allclose(ops.nearest_orthonormal(M), oracles.nearest_orthonormal(M), rtol=0, atol=tolerance)


def unit_rows(shape, seed=0):
    W = np.random.default_rng(seed).standard_normal(shape)
    return W / np.linalg.norm(W, axis=1, keepdims=True)


APART = {
    "wide": unit_rows((6, 40)),
    "square": unit_rows((5, 5)),
    "one row": unit_rows((1, 9)),
    "orthonormal": np.eye(4)[::-1],
    "close": unit_rows((4, 30)) * 0.05 + unit_rows((1, 30), seed=1),
}
APART["close"] /= np.linalg.norm(APART["close"], axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "amount", "dtype", "form"),
    [
        *product(APART, [0, 0.25, 1], [np.float64], ["C"]),
        *product(APART, [0.7], [np.float32], ["C"]),
        *product(["wide"], [0.7], [np.float64], ["Fortran", "strided"]),
    ],
)
def test_orthogonalize_partially(name, amount, dtype, form):
    W = APART[name]
    W = read_only(LAYOUTS[form](W.astype(dtype)))
    found = untouched(ops.orthogonalize_partially, W, amount)
    assert found.dtype == dtype
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    assert_allclose(found, oracles.orthogonalize_partially(W, amount), rtol=0, atol=tolerance)
    if amount == 0:
        assert_allclose(found, W, rtol=0, atol=tolerance)
    if amount == 1:
        assert_allclose(found @ found.T, np.eye(len(W)), atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "amount", "dtype"),
    [*product([(100, 5), (40, 30), (8, 1)], [0, 0.9, 1], [np.float64]), *product([(100, 5)], [0.25, 1], [np.float32])],
)
def test_orthogonalize_partially_of_more_rows_than_columns_leaves_unit_rows(shape, amount, dtype):
    found = untouched(ops.orthogonalize_partially, unit_rows(shape).astype(dtype), amount)
    assert found.dtype == dtype
    assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    if shape == (8, 1):  # the polar factor has one direction
        assert_allclose(found, unit_rows(shape), atol=1e-5)
    assert_allclose(
        found, oracles.orthogonalize_partially(unit_rows(shape), amount), atol=1e-4 if dtype == np.float32 else 1e-10
    )


def test_orthogonalize_partially_decomposes_the_smaller_gram_matrix(monkeypatch):
    decompose, orders = np.linalg.eigh, []
    monkeypatch.setattr(np.linalg, "eigh", lambda gram: orders.append(len(gram)) or decompose(gram))
    for shape in ((300, 7), (7, 300)):
        ops.orthogonalize_partially(unit_rows(shape).astype(np.float32), 0.5)
    assert orders == [7, 7]


@pytest.mark.parametrize("dtype", DTYPES)
def test_orthogonalize_partially_separates_close_rows_and_keeps_equal_ones(dtype):
    close = np.array([[1, 1e-2, 0], [1, -1e-2, 0], [0, 0, 1]], dtype)
    close /= np.linalg.norm(close, axis=1, keepdims=True)
    assert_allclose(ops.orthogonalize_partially(close, 1)[:2] @ close[:2].T, [[0.5**0.5] * 2] * 2, atol=0.02)
    equal = np.array([[0.6, 0.8, 0], [0.6, 0.8, 0], [0, 0, 1]], dtype)
    assert_allclose(ops.orthogonalize_partially(equal, 1), equal, atol=1e-5)


def spread(n_rows, n_features):
    X = np.random.default_rng(0).standard_normal((n_rows, n_features)) * np.geomspace(1, 1e-2, n_features)
    return X.T @ X


SYMMETRIC = {
    "well-conditioned": spread(50, 6),
    "of lost rank": spread(3, 7),
    "equal eigenvalues": np.eye(5),
    "negative eigenvalues": np.array([[0.0, 2.0], [2.0, 0.0]]),
    "zero": np.zeros((4, 4)),
    "one": np.array([[3.0]]),
}


@pytest.mark.parametrize(
    ("name", "dtype", "form"),
    [*product(SYMMETRIC, DTYPES, ["C"]), *product(["well-conditioned"], [np.float64], ["Fortran", "strided"])],
)
def test_principal_axes(name, dtype, form):
    C = SYMMETRIC[name]
    C = read_only(LAYOUTS[form](C.astype(dtype)))
    values, axes = untouched(ops.principal_axes, C)
    assert values.dtype == axes.dtype == dtype
    assert (np.diff(values) <= 0).all()
    tolerance = {"rtol": 0, "atol": (1e-5 if dtype == np.float32 else 1e-12) * max(np.abs(C).max(), 1)}
    assert_allclose(axes @ axes.T, np.eye(len(C)), **tolerance)
    assert_allclose((axes.T * values) @ axes, C, **tolerance)
    assert all(axis[np.argmax(np.abs(axis))] > 0 for axis in axes)


@pytest.mark.parametrize(
    ("n", "dtype", "layout"),
    one_at_a_time([3, 0, 1, 12], DTYPES, ["csr_matrix", "csr_array", "int64 indices", "stored zeros"]),
    ids=id_of,
)
def test_largest_entries(layout, dtype, n):
    rng = np.random.default_rng(0)
    dense = rng.integers(-2, 4, size=(20, 9)).astype(dtype)  # with ties
    dense[4] = 0
    columns, values = untouched(ops.largest_entries, LAYOUTS[layout](dense), n)
    assert columns.dtype == np.int64
    assert values.dtype == dtype
    for row, found, value in zip(dense, columns, values, strict=True):
        wanted = [j for j in np.argsort(-row, kind="stable") if row[j] > 0][:n]
        nothing = n - len(wanted)
        assert found.tolist() == wanted + [-1] * nothing
        assert value.tolist() == row[wanted].tolist() + [0] * nothing


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["C", "Fortran", "strided"])
def test_stack_sparse(form, dtype):
    dense = given_of("signed", "C", dtype).dense
    blocks = [LAYOUTS[form](dense[rows]) for rows in (slice(0, 5), slice(5, 5), slice(5, None))]
    found = ops.stack_sparse(blocks)
    assert type(found) is sparse.csr_matrix
    assert found.dtype == dtype
    assert found.nnz == np.count_nonzero(dense)
    assert_array_equal(found.toarray(), dense)
    assert_array_equal(ops.stack_sparse(blocks[:1]).toarray(), dense[:5])


# -- where arrays live -----------------------------------------------------------------------------------------------

FUNCTIONS = [name for name in ops.__all__ if inspect.isfunction(getattr(ops, name))]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_host_arrays_are_not_copied_by_device_functions(layout):
    a = LAYOUTS[layout](np.eye(3))
    assert not ops.is_on_gpu(a)
    assert ops.xp(a) is np
    assert ops.to_host(a) is a
    assert ops.to_device_of(a, np.zeros(1)) is a
    assert ops.synchronize(a) is None


def array_of(module):
    return type("ndarray", (), {"__module__": module, "get": lambda self: "in host memory"})()


def test_to_host_of_a_cupy_array():
    assert ops.to_host(array_of("cupy")) == "in host memory"


def test_to_device_of_a_numpy_array_moves_cupy_to_host():
    assert ops.to_device_of(array_of("cupy"), np.zeros(1)) == "in host memory"


def test_is_on_gpu_is_false_for_modules_with_similar_names():
    assert not ops.is_on_gpu(array_of("cupy_like.core"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_cpu_bodies_have_the_parameters_of_the_interface(name):
    from codebooks.ops import cpu

    body = getattr(cpu, name, None)
    if not inspect.isfunction(body):
        pytest.skip("has one body for both devices")
    assert list(inspect.signature(body).parameters) == list(inspect.signature(getattr(ops, name)).parameters)


# -- threads, forks, the disk cache ----------------------------------------------------------------------------------


def test_count_pairs_equals_a_product():
    dense = np.random.default_rng(0).random((40, 12)) < 0.3
    columns = np.array([[3, 0, 7, 11], [1, 2, -1, -1], [-1, -1, -1, -1]])
    found = untouched(ops.count_pairs, sparse.csr_matrix(dense), columns)
    for counts, group in zip(found, columns, strict=True):
        known, expected = group[group >= 0], np.zeros((4, 4))
        expected[: len(known), : len(known)] = dense[:, known].T.astype(int) @ dense[:, known]
        assert_array_equal(counts, expected)


def test_choose_subsets_does_not_modify_its_arguments():
    dense = np.random.default_rng(0).random((40, 12)) < 0.3
    columns, scores = np.arange(12)[None], np.linspace(1, 0.1, 12)[None]
    counts = ops.count_pairs(sparse.csr_matrix(dense), columns)
    choose = functools.partial(ops.choose_subsets, objective=(0.5, 0.5, 0.65), n_rounds=3)
    chosen = untouched(choose, columns, scores, counts, 40, 3)
    assert chosen.sum() == 3
    assert chosen.dtype == bool


def jobs(n_rows):
    """Every kernel and every CSR path, on inputs large enough for several threads."""
    rng = np.random.default_rng(0)
    n_features, n_components = 500, 160
    dense = rng.standard_normal((n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.4)
    dense[5::50] = 0
    components, weights = rng.standard_normal((n_components, n_features)), rng.standard_normal((n_rows, n_components))
    index, handicap = rng.integers(n_components, size=(n_rows, 2)), rng.random(n_components)
    chosen = rng.integers(-1, n_rows, size=(n_rows, 12))
    weight, order, every = rng.random(400), rng.permutation(n_rows), np.arange(n_features)
    rare = dense * (rng.random(dense.shape) < np.linspace(0, 1, n_features))  # columns from empty to common
    groups = np.argsort(rng.random((9, n_features)))[:, :60]
    todo = {"count_pairs": functools.partial(ops.count_pairs, sparse.csr_matrix(dense), groups)}
    for dtype in DTYPES:
        X, W, G, h, w = (a.astype(dtype) for a in (dense, components, weights, handicap, weight))
        share, wide = np.ascontiguousarray(G[:, :2]), dense[:, :400].astype(dtype)

        def scattered(rows, share=share, like=W):
            out = np.zeros_like(like)
            ops.scatter_rows(out, index, share, rows)
            return out

        def blended(start, weight=w):
            out = start.copy(order="F")
            return ops.blend_directions(out, weight, start[::-1]), out

        faded = np.tile(W, 32), w[:160], np.arange(32 * n_features), np.tile(W, 32), w[:160]

        def folded(rows, W=W, G=G):
            shares = np.abs(G) / np.abs(G).sum(axis=1, keepdims=True)
            return ops.fold_in(abs(rows), np.abs(W[0]), np.abs(W), shares, 0 * shares + 1, n_steps=3, least=0.001)

        postings, queries = ops.build_postings(sparse.csr_matrix(rare.astype(dtype))), sparse.csr_matrix(W[:40])

        # Sums of small integers are exact, so the bits do not depend on BLAS.
        whole, whole_components = np.rint(3 * X), np.rint(3 * X[:400])
        todo |= {
            f"softmax {dtype.__name__}": functools.partial(ops.softmax, wide),
            f"top_k {dtype.__name__}": functools.partial(ops.top_k, wide, 3),
            f"top_k, many {dtype.__name__}": functools.partial(ops.top_k, wide, 9),
            f"blend_directions {dtype.__name__}": functools.partial(blended, np.ascontiguousarray(wide.T)),
            f"gather_rows {dtype.__name__}": functools.partial(ops.gather_rows, index, share, W),
            f"scatter_rows, dense {dtype.__name__}": functools.partial(scattered, X),
            f"nearest, dense {dtype.__name__}": functools.partial(ops.find_nearest, whole, whole_components, w, 2),
            f"match {dtype.__name__}": functools.partial(ops.score_postings, queries, postings),
            f"best {dtype.__name__}": functools.partial(ops.search_postings, queries, postings, 20),
            f"separate {dtype.__name__}": functools.partial(ops.separate, wide, 0.5, "sparsemax"),
            f"lift {dtype.__name__}": functools.partial(
                ops.compute_log_lifts, np.abs(W), w[:160], every, 0.1, 0.3, 3.0
            ),
            f"responsibilities {dtype.__name__}": lambda wide=wide, w=w: ops.compute_responsibilities(
                wide.copy(), 2.0, w, 1.0
            ),
            f"fade_and_add {dtype.__name__}": functools.partial(ops.decay_and_add, *faded),
        }
        for layout in ("csr_matrix", "int64 indices") if dtype == np.float64 else ("csr_matrix",):
            rows, which = LAYOUTS[layout](X), f"{layout} {dtype.__name__}"
            todo |= {
                f"similarity, {which}": functools.partial(ops.similarity, rows, W),
                f"similarity with CSR components, {which}": functools.partial(ops.similarity, W, rows),
                f"accumulate, {which}": functools.partial(ops.accumulate, G, rows),
                f"accumulate few shares, {which}": functools.partial(ops.accumulate, G * (G > 1), rows),
                f"fold_in, {which}": functools.partial(folded, rows),
                f"weigh_entries, {which}": functools.partial(ops.weigh_entries, rows, rng.random(n_features), 2.0),
                f"scatter_rows, {which}": functools.partial(scattered, rows),
                f"take_rows, {which}": functools.partial(ops.take_rows, rows, order),
                f"row_norms, {which}": functools.partial(ops.row_norms, rows),
                f"nearest, {which}": functools.partial(ops.find_nearest, rows, W, h, 2),
                f"chosen_products, {which}": functools.partial(ops.chosen_products, rows, rows, chosen),
                f"gather_largest, {which}": functools.partial(ops.gather_largest, index, share, rows, 20),
                f"largest_entries, {which}": functools.partial(ops.largest_entries, rows, 20),
            }
    return todo


def fingerprints(todo):
    """A hash of the bytes of the result of each job."""

    def fingerprint(found):
        arrays = found if isinstance(found, tuple) else (found,)
        return hashlib.sha256(b"".join(part.tobytes() for a in arrays for part in parts_of(a))).hexdigest()

    return {name: fingerprint(job()) for name, job in todo.items()}


def kernels():
    """The kernels that work on a range of items, by name."""
    from codebooks.ops import (
        inverted_index,
        kernels_entmax,
        kernels_likelihood,
        kernels_rows,
        kernels_scores,
        kernels_subsets,
        kernels_topk,
    )

    modules = (
        inverted_index,
        kernels_entmax,
        kernels_likelihood,
        kernels_rows,
        kernels_scores,
        kernels_subsets,
        kernels_topk,
    )
    found = {name: f for module in modules for name, f in vars(module).items() if hasattr(f, "py_func")}
    return {name: f for name, f in found.items() if [*inspect.signature(f.py_func).parameters][:2] == ["start", "stop"]}


def report_threads():
    """Print the results of the jobs, and the smallest number of pieces that each kernel was split into."""
    from codebooks.ops import threads

    run, pieces = threads.run, {}

    def counted(kernel, n_items, steps, *arguments):
        calls = []

        def called(start, stop, *arguments):
            calls.append(start)
            kernel(start, stop, *arguments)

        run(called, n_items, steps, *arguments)
        pieces[kernel.__name__] = min(len(calls), pieces.get(kernel.__name__, len(calls)))

    threads.run = counted
    found = fingerprints(jobs(4003))
    print(json.dumps({"fingerprints": found, "pieces": pieces, "kernels": sorted(kernels())}))


@pytest.fixture(scope="module")
def with_threads(fresh_python):
    return functools.cache(
        lambda n: json.loads(fresh_python("import test_ops; test_ops.report_threads()", NUMBA_NUM_THREADS=str(n)))
    )


@pytest.mark.parametrize("n_threads", [3])
def test_results_do_not_depend_on_the_number_of_threads(with_threads, n_threads):
    alone, together = with_threads(1), with_threads(n_threads)
    assert sorted(together["pieces"]) == together["kernels"]
    assert set(alone["pieces"].values()) == {1}
    assert min(together["pieces"].values()) >= n_threads, "the inputs are too small for several threads"
    assert together["fingerprints"] == alone["fingerprints"]


def call_from_two_threads_and_a_fork():
    """Call every primitive from two Python threads at once, first before it is compiled or loaded; then from a fork."""
    todo, found = jobs(1501), []
    together, until = threading.Barrier(2), time.monotonic() + 1.5

    def work():
        together.wait()
        found.append(fingerprints(todo))
        while time.monotonic() < until:
            found.append(fingerprints(todo))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    alone = fingerprints(todo)
    assert len(found) >= 2
    assert all(one == alone for one in found)

    def same():
        assert fingerprints(todo) == alone

    if "fork" in multiprocessing.get_all_start_methods():
        child = multiprocessing.get_context("fork").Process(target=same)
        child.start()
        child.join()  # `fresh_python` has a time limit
        assert child.exitcode == 0
        same()


def test_primitives_from_two_python_threads_and_in_a_forked_child(fresh_python):
    fresh_python("import test_ops; test_ops.call_from_two_threads_and_a_fork()", NUMBA_NUM_THREADS="2")


def compile_without_a_place_for_files():
    import numba
    from numba.core import caching

    assert "codebooks.ops.cpu" not in sys.modules
    for locator in vars(caching).values():
        if isinstance(locator, type) and hasattr(locator, "from_function"):
            locator.from_function = classmethod(lambda *ignored: None)
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(parts_of)

    given = given_of("signed", "csr_matrix", np.float64)
    assert_array_equal(ops.top_k(given.G, 2), oracles.top_k(given.G, 2))
    out = np.zeros_like(given.W)
    ops.scatter_rows(out, given.index, given.weight, given.X)
    assert_same(out, oracles.scatter_rows(np.zeros_like(out), given.index, given.weight, given.dense), np.float64)
    assert not any(kernel.stats.cache_path for kernel in kernels().values())


def test_kernels_compile_without_a_cache_folder(fresh_python):
    fresh_python("import test_ops; test_ops.compile_without_a_place_for_files()")


def double(x):
    return 2 * x


@pytest.mark.parametrize(("fails", "why"), [("save", errno.ENOSPC), ("load", errno.EIO)])
def test_kernels_run_if_cache_files_cannot_be_used(monkeypatch, tmp_path, fails, why):
    from numba.core import caching, config

    from codebooks.ops.compiler import compile_kernel

    tried = []

    def fail(*ignored):
        tried.append(fails)
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caching.IndexDataCacheFile, fails, fail)
    assert compile_kernel(double)(2.5) == 5
    assert tried


def report_cache():
    """Print the hits and misses of the disk cache."""
    given = given_of("signed", "csr_matrix", np.float64)
    assert_same(ops.row_norms(given.X), oracles.row_norms(given.dense), np.float64)
    assert_array_equal(ops.top_k(given.G, 2), oracles.top_k(given.G, 2))
    stats = [kernels()[name].stats for name in ("compute_sparse_row_norms", "top_k")]
    hits, misses = (sum(sum(of.values()) for of in counts) for counts in zip(*[s[1:] for s in stats], strict=True))
    print(json.dumps({"hits": hits, "misses": misses}))


def test_second_process_loads_kernels_from_the_disk_cache(fresh_python, tmp_path):
    code = "import test_ops; test_ops.report_cache()"
    first, second = (json.loads(fresh_python(code, NUMBA_CACHE_DIR=str(tmp_path))) for _ in range(2))
    assert first == {"hits": 0, "misses": 2}
    assert second == {"hits": 2, "misses": 0}


def warm_up_and_use():
    codebooks.warmup(row_by_row=True)

    def compiled():
        return {name: set(kernel.signatures) for name, kernel in kernels().items()}

    warm = compiled()
    of_any_values = {"count_pairs"}
    assert all(len(signatures) >= (name in of_any_values or len(DTYPES)) for name, signatures in warm.items())
    for layout, dtype in product(("C", "csr_matrix", "csr_array", "slice of CSR"), DTYPES):
        given = given_of("signed", layout, dtype)
        found = ops.find_nearest(given.X, given.W, given.handicap, 2)
        ops.similarity(given.X, given.W)
        ops.accumulate(given.G, given.X)
        for order in "CF":
            ops.scatter_rows(np.zeros_like(given.W, order=order), found.index, found.score, given.X)
        ops.row_norms(given.X)
        ops.take_rows(given.X, np.array([3, 1]))
        ops.blend_directions(given.W.copy(order="F"), given.handicap, given.W)
        ops.top_k(given.G, 2)
        ops.gather_rows(found.index, found.score, given.W)
        if layout != "C":
            postings = ops.build_postings(given.X)
            ops.score_postings(given.X, postings)
            ops.search_postings(given.X, postings, 2)
            ops.gather_largest(found.index, found.score, given.X, 2)
            ops.chosen_products(given.X, given.X, found.index)
        ops.separate(given.G, 1.0, "softmax")
        words = ops.weigh_entries(abs(given.X), np.ones(given.X.shape[1]), 2.0)
        ops.sum_column_logs(abs(given.X), np.zeros(given.X.shape[1]), np.ones(given.X.shape[1], bool))
        ops.accumulate(given.G * (np.abs(given.G) > 2), words)
        ops.compute_log_lifts(np.abs(given.W), np.ones(len(given.W), dtype), np.arange(given.W.shape[1]), 0.1, 0.3, 3.0)
        found = ops.compute_responsibilities(given.G.copy(), 1.0, given.handicap, 2.0)
        ops.fold_in(words, given.W[0], np.abs(given.W), found.gates, found.gates.copy(), n_steps=2, least=0.1)
        ops.decay_and_add(given.W, given.handicap, np.arange(given.W.shape[1]), given.W, given.handicap)
    choose_words_by_documents(sparse.csr_matrix(np.eye(4)), np.array([0, 0, 1, 1]), 2, 1)
    new = {name: found - warm[name] for name, found in compiled().items() if found != warm[name]}
    assert not new, f"compiled after warmup: {new}"


def test_warmup_compiles_all_kernels_of_the_usual_types(fresh_python):
    fresh_python("import test_ops; test_ops.warm_up_and_use()")
