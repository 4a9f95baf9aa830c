"""Tests of the simulation of CuPy: valid kernels run, and errors are reported."""

import numpy as np
import pytest
import simulated
from numpy.testing import assert_allclose, assert_array_equal
from simulated import cuda, memory

pytestmark = pytest.mark.slow

KERNELS = r"""
template <class T> __global__ void total(const T* __restrict__ x, T* out, int n) {
    __shared__ T parts[32];
    T sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += x[i];
    #pragma unroll
    for (int by = 16; by; by /= 2) sum += __shfl_down_sync(0xffffffff, sum, by);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < blockDim.x / 32; w++) sum += parts[w];
        atomicAdd(out, sum);
    }
}

// The positions of positive entries, in order; one warp for each row.
__global__ void compact(const float* x, long long* out, int* count, int n) {
    int lane = threadIdx.x, found = 0;
    for (int first = 0; first < n; first += 32) {
        int i = first + lane;
        bool yes = i < n && x[blockIdx.x * n + i] > 0;
        unsigned votes = __ballot_sync(0xffffffff, yes);
        if (yes) out[blockIdx.x * n + found + __popc(votes & ((1u << lane) - 1))] = i;
        found += __popc(votes);
    }
    if (lane == 0) count[blockIdx.x] = found;
}

__global__ void meetings(int* out, double* doubles) {
    int t = threadIdx.x;
    out[t] = __shfl_sync(0xffffffff, t, 5);
    out[64 + t] = __shfl_up_sync(0xffffffff, t, 3);
    out[128 + t] = __shfl_xor_sync(0xffffffff, t, 8, 16);
    out[192 + t] = __syncthreads_count(t % 3 == 0);
    out[256 + t] = __any_sync(0xffffffff, t == 40) + 2 * __all_sync(0xffffffff, t < 32);
    unsigned half = t % 2 ? 0xaaaaaaaa : 0x55555555;
    if (t % 2) out[320 + t] = __shfl_sync(half, t, 1);
    else out[320 + t] = __shfl_sync(half, t, 2);
    doubles[t] = __shfl_down_sync(0xffffffff, t + 0.5, 1, 8);
}

__global__ void shared_on_demand(float* out) {
    extern __shared__ float row[];
    row[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = row[blockDim.x - 1 - threadIdx.x];
}

// Each kernel is named after its error; `wrong` enables it.
__global__ void early_return(int wrong) {
    if (wrong && threadIdx.x < 3) return;
    __syncthreads();
}
__global__ void lane_missing(int wrong) {
    if (wrong && threadIdx.x == 7) return;
    __syncwarp();
}
__global__ void parted(int wrong) {
    if (wrong && threadIdx.x < 16) __ballot_sync(0xffffffff, 1);
    else __shfl_sync(0xffffffff, 1, 0);
}
__global__ void wrong_mask(int wrong) {
    __syncwarp(wrong ? 0x0000ffff : 0xffffffff);
}
__global__ void reads_outside_of_mask(int wrong) {
    if (threadIdx.x < 16) __shfl_sync(0x0000ffff, 1, wrong ? 20 : 3);
}
__global__ void forgotten_barrier(int* out, int wrong) {
    __shared__ int parts[64];
    parts[threadIdx.x] = threadIdx.x;
    if (!wrong) __syncthreads();
    out[threadIdx.x] = parts[63 - threadIdx.x];
    __syncthreads();
    parts[threadIdx.x] = -1;
}
__global__ void outside(float* out, int where) { out[where] = 1; }
__global__ void far_outside(float* out, long long where) { out[where] = 1; }
__global__ void divides(int* out, int by) { out[0] = 7 / by; }
__global__ void deep(int* out, int n) {
    volatile int much[65536 / 4];
    if (n) for (int i = 0; i < 65536 / 4; i++) much[i] = i;
    if (n) out[0] = much[n];
}
__global__ void takes(float* x, int n, float f, bool b) { x[0] = n + f + b; }
__global__ void takes_long(long long* x, long long n, double f) { x[0] = n + (long long)f; }
"""
NAMES = [
    *("total<float>", "total<double>", "compact", "meetings", "shared_on_demand", "early_return", "lane_missing"),
    *("parted", "wrong_mask", "reads_outside_of_mask", "forgotten_barrier", "outside", "far_outside", "divides"),
    *("deep", "takes", "takes_long"),
]


@pytest.fixture(scope="module")
def kernel(cp):
    module = cp.RawModule(code=KERNELS, options=("-std=c++17",), name_expressions=NAMES)
    return module.get_function


@pytest.fixture
def only_simulated(is_simulated):
    if not is_simulated:
        pytest.skip("tests errors that a real device does not report, or that end the process")


# -- kernels that are right ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reduction(cp, kernel, dtype):
    x = np.random.default_rng(0).random(1000).astype(dtype)
    out = cp.zeros(1, dtype)
    name = "total<float>" if dtype == np.float32 else "total<double>"
    for _ in range(2):  # forwards and backwards
        out[:] = 0
        kernel(name)((3,), (128,), (cp.asarray(x), out, np.int32(1000)))
        assert_allclose(out.get(), x.sum(), rtol=1e-5)


def test_ordered_compaction(cp, kernel):
    x = np.random.default_rng(0).standard_normal((5, 77)).astype(np.float32)
    out, count = cp.full((5, 77), -1, np.int64), cp.zeros(5, np.int32)
    kernel("compact")((5,), (32,), (cp.asarray(x), out, count, np.int32(77)))
    for row, found, n in zip(x, out.get(), count.get(), strict=True):
        assert_array_equal(found[:n], np.flatnonzero(row > 0))
        assert (found[n:] == -1).all()


def test_warp_shuffles_and_votes(cp, kernel):
    out, doubles = cp.zeros((6, 64), np.int32), cp.zeros(64)
    kernel("meetings")((1,), (64,), (out, doubles))
    t = np.arange(64)
    lane, first = t % 32, t // 32 * 32
    shfl, up, xor, n, votes, halves = out.get()
    assert_array_equal(shfl, first + 5)
    assert_array_equal(up, np.where(lane < 3, t, t - 3))
    assert_array_equal(xor, t ^ 8)
    assert_array_equal(n, 22)
    assert_array_equal(votes, np.where(t < 32, 2, 1))
    assert_array_equal(halves, first + np.where(t % 2, 1, 2))
    assert_array_equal(doubles.get(), np.where(t % 8 == 7, t, t + 1) + 0.5)


def test_shared_memory_on_demand(cp, kernel):
    out = cp.zeros(40, np.float32)
    kernel("shared_on_demand")((1,), (40,), (out,), shared_mem=160)
    assert_array_equal(out.get(), np.arange(40)[::-1])


def test_python_numbers_have_eight_bytes(cp, kernel):
    out = cp.zeros(1, np.int64)
    kernel("takes_long")((1,), (1,), (out, 2**40, 3.5))
    assert int(out[0]) == 2**40 + 3


def test_elementwise_kernel_broadcasts(cp):
    scaled = cp.ElementwiseKernel("T x, T y, float64 c", "T z", "z = x * y + (T)c", "scaled")
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(3, dtype=np.float32)
    found = scaled(cp.asarray(x), cp.asarray(y), 0.5)
    assert found.dtype == np.float32
    assert_array_equal(found.get(), x * y + np.float32(0.5))


# -- invalid kernels -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("only_simulated")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("early_return", "early_return: threads 3..63 wait at __syncthreads while others have ended"),
        ("lane_missing", "lane_missing: threads 0..6, 8..31 wait at __syncwarp with mask 0xffffffff while others"),
        ("parted", "parted: __\\w+ met __\\w+ in one warp"),
        ("wrong_mask", "wrong_mask: __syncwarp: lane \\d+ is not in its own mask 0x0000ffff"),
        ("reads_outside_of_mask", "reads_outside_of_mask: __shfl_sync of lane 0 reads lane 20, which is not in"),
    ],
)
def test_barrier_without_all_threads_raises(kernel, name, message):
    kernel(name)((2,), (64,), (np.int32(0),))
    for _ in range(2):
        with pytest.raises(cuda.CUDADriverError, match=message):
            kernel(name)((2,), (64,), (np.int32(1),))
    kernel(name)((2,), (64,), (np.int32(0),))  # no state is left


@pytest.mark.usefixtures("only_simulated")
def test_missing_barrier_changes_results(cp, kernel):
    right = np.arange(64)[::-1]
    for wrong in (False, True):
        out = cp.zeros((2, 64), np.int32)
        for row in out:
            kernel("forgotten_barrier")((1,), (64,), (row, np.int32(wrong)))
        assert (out.get() == right).all() != wrong


@pytest.mark.usefixtures("only_simulated")
@pytest.mark.parametrize("where", [-1, 10, 70, -64])
def test_write_outside_of_an_array_raises(cp, kernel, where):
    out, other = cp.zeros(10, np.float32), cp.zeros(10, np.float32)
    kernel("outside")((1,), (1,), (out, np.int32(9)))
    for _ in range(2):
        with pytest.raises(cuda.CUDADriverError, match="outside wrote in front of or behind argument 0"):
            kernel("outside")((1,), (1,), (out, np.int32(where)))
    kernel("outside")((1,), (1,), (out, np.int32(0)))
    assert_array_equal(other.get(), 0)


@pytest.mark.usefixtures("only_simulated")
def test_write_outside_of_a_view_raises_outside_of_its_base(cp, kernel):
    out = cp.zeros(10, np.float32)
    kernel("outside")((1,), (1,), (out[4:6], np.int32(3)))  # inside of the base array
    assert out.get()[7] == 1
    with pytest.raises(cuda.CUDADriverError, match="argument 0"):
        kernel("outside")((1,), (1,), (out[4:6], np.int32(6)))


@pytest.mark.usefixtures("only_simulated")
@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("far_outside", np.int64(2**40), "an illegal address"),
        ("divides", np.int32(0), "divided by zero"),
        ("deep", np.int32(1), "more than 64 kB of local memory"),
    ],
)
def test_fatal_errors_of_kernels_raise(cp, kernel, name, argument, message):
    out = cp.zeros(1, np.float32 if name == "far_outside" else np.int32)
    with pytest.raises(cuda.CUDADriverError, match=f"{name}: .*{message}"):
        kernel(name)((1,), (32,), (out, argument))
    kernel("outside")((1,), (1,), (cp.zeros(1, np.float32), np.int32(0)))


@pytest.mark.usefixtures("only_simulated")
def test_write_to_an_empty_array_raises(cp, kernel):
    with pytest.raises(cuda.CUDADriverError, match="an illegal address"):
        kernel("outside")((1,), (1,), (cp.zeros(0, np.float32), np.int32(0)))


@pytest.mark.usefixtures("only_simulated")
@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (1, np.int64(1), "int64 came, and a whole number of 4 bytes"),
        (1, 1, "int64 came, and a whole number of 4 bytes"),
        (1, np.float32(1), "float32 came, and a whole number"),
        (2, 1.0, "float64 came, and a float of 4 bytes"),
        (2, np.int32(1), "int32 came, and a float"),
        (3, np.int8(1), "int8 came, and a bool"),
        (0, np.int32(1), "a pointer is wanted"),
        (0, "float64", "an array of float64 came, and the pointer is to a float of 4 bytes"),
        (0, "int32", "an array of int32 came, and the pointer is to a float"),
        (1, "int32", "an array came, and a value of 4 bytes is wanted"),
        (1, None, "None came"),
        (0, np.zeros(3, np.float32), "You are trying to pass a numpy.ndarray"),
        (1, "list", "Unsupported type"),
    ],
)
def test_kernel_arguments_of_wrong_type_raise(cp, kernel, position, value, message):
    right = [cp.zeros(3, np.float32), np.int32(1), np.float32(1), np.bool_(True)]
    kernel("takes")((1,), (1,), tuple(right))
    if isinstance(value, str):
        value = [1] if value == "list" else cp.zeros(3, value)
    right[position] = value
    with pytest.raises(TypeError, match=message):
        kernel("takes")((1,), (1,), tuple(right))


@pytest.mark.usefixtures("only_simulated")
@pytest.mark.parametrize(
    ("grid", "block", "shared"),
    [((0,), (1,), 0), ((1,), (0,), 0), ((1,), (1025,), 0), ((1, 65536), (1,), 0), ((1,), (32, 33), 0),
     ((1,), (1, 1, 65), 0), ((1,), (1,), (48 << 10) + 1)],
)  # fmt: skip
def test_launch_sizes_outside_of_limits_raise(cp, kernel, grid, block, shared):
    out = cp.zeros(10, np.float32)
    with pytest.raises(cuda.CUDADriverError, match="outside: CUDA_ERROR_INVALID_VALUE"):
        kernel("outside")(grid, block, (out, np.int32(0)), shared_mem=shared)


@pytest.mark.usefixtures("only_simulated")
def test_wrong_number_of_kernel_arguments_raises(cp, kernel):
    with pytest.raises(cuda.CUDADriverError, match="takes 2 arguments and got 1"):
        kernel("outside")((1,), (1,), (cp.zeros(1, np.float32),))


@pytest.mark.usefixtures("only_simulated")
@pytest.mark.parametrize(
    "body", ["int64_t i = 0; out[i] = 1;", "out[0] = INFINITY;", "out[0] = std::max(1, 2);", "out[0] = min(1, 2ll);"]
)
def test_names_unknown_to_nvrtc_do_not_compile(cp, body):
    module = cp.RawModule(code=f'extern "C" __global__ void f(float* out) {{ {body} }}')
    with pytest.raises(cuda.CompileException):
        module.compile()


# -- arrays ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def a(cp):
    return cp.asarray(np.arange(12.0, dtype=np.float32).reshape(3, 4))


def test_results_are_device_arrays(cp, a):
    from codebooks import ops

    for found in (
        a.sum(),
        a[1, 2],
        a @ a.T,
        np.exp(a),
        np.sum(a, axis=0),
        cp.linalg.norm(a),
        a > 3,
        -a,
        2 * a,
        a[a > 3],
    ):
        assert ops.is_on_gpu(found)
    assert a.sum().shape == ()
    assert (a * 2).dtype == (2.0 * a).dtype == np.float32
    assert (a * np.float64(2)).dtype == np.float64


def test_indexing_one_element_is_a_view(a):
    a[1][2] = 50
    a[0, 3][...] = 40
    assert_array_equal(a.get()[:2], [[0, 1, 2, 40], [4, 5, 50, 7]])


@pytest.mark.parametrize(
    "call",
    [
        lambda cp, a: np.asarray(a),
        lambda cp, a: np.array([a[0], a[1]]),
        lambda cp, a: a + np.ones(4),
        lambda cp, a: np.ones(4) + a,
        lambda cp, a: a + np.array(1.0),
        lambda cp, a: np.add(a, np.ones(4)),
        lambda cp, a: cp.maximum(a, np.ones(4)),
        lambda cp, a: cp.where(a > 1, a, np.ones(4)),
        lambda cp, a: cp.concatenate([a, np.ones((1, 4))]),
        lambda cp, a: a @ np.ones(4),
        lambda cp, a: cp.zeros(a[0, 1]),
        lambda cp, a: list(range(a[0, 1])),
        lambda cp, a: cp.argsort(a, order="x"),
        lambda cp, a: a.sum(where=a > 1),
        lambda cp, a: np.sum(a, where=a > 1),
        lambda cp, a: a.__iadd__(np.ones(4)),
    ],
)
def test_operations_that_cupy_refuses_raise_type_error(cp, a, call):
    with pytest.raises(TypeError):
        call(cp, a)


@pytest.mark.parametrize(
    "call",
    [
        lambda cp, a: cp.sort(a, kind="quicksort"),
        lambda cp, a: a.argsort(kind="mergesort"),
        lambda cp, a: a.__setitem__(slice(None), np.ones(4)),
        lambda cp, a: a.__setitem__(0, [1, 2, 3, 4]),
        lambda cp, a: bool(a),
        lambda cp, a: cp.asarray(np.array(["text"])),
    ],
)
def test_values_that_cupy_refuses_raise_value_error(cp, a, call):
    with pytest.raises(ValueError):
        call(cp, a)


def test_names_missing_in_cupy_are_missing(cp, a):
    for of, name in ((a, "sums"), (a, "__index__"), (a, "searchsort"), (cp, "fromregex"), (cp.linalg, "multi_dot_")):
        assert not hasattr(of, name)
    with pytest.raises(NotImplementedError):
        cp.maximum.reduce(a)


def test_casts_in_place(cp, a):
    with pytest.raises(TypeError):
        cp.arange(3).__iadd__(0.5)
    whole = cp.arange(3)
    whole[:] = cp.asarray([1.7, 2.7, 3.7])
    assert_array_equal(whole.get(), [1, 2, 3])


@pytest.mark.usefixtures("only_simulated")
def test_assignment_of_several_values_to_one_element_raises(cp, a):
    a[cp.asarray([0, 0])] = cp.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match="several values"):
        a[cp.asarray([0, 0]), 0] = cp.asarray([1, 2], np.float32)


def test_memory_layouts_of_results(cp, a):
    f = cp.asfortranarray(a)
    assert f.flags.f_contiguous
    assert not f.flags.c_contiguous
    assert (f + 1).flags.c_contiguous  # results of ufuncs are in C order
    assert a.T.flags.f_contiguous
    assert (a.T * 2).flags.c_contiguous
    assert f.astype(np.float64).flags.f_contiguous
    assert f.copy().flags.c_contiguous
    assert cp.empty_like(f).flags.f_contiguous
    assert cp.ascontiguousarray(a) is a
    assert a.astype(np.float32, copy=False) is a
    _, vectors = cp.linalg.eigh(a @ a.T)
    assert vectors.flags.f_contiguous


@pytest.mark.usefixtures("only_simulated")
def test_new_memory_is_filled_with_nan(cp, a):
    for found in (cp.empty((2, 3)), cp.empty(3, np.float32), cp.empty_like(a), cp.ndarray((2,))):
        assert np.isnan(found.get()).all()
    assert (cp.empty(3, np.int32).get() == -1).all()


@pytest.mark.usefixtures("only_simulated")
def test_allocation_above_the_limit_raises(cp):
    free, total = cp.cuda.Device().mem_info
    used = cp.get_default_memory_pool().used_bytes()
    assert free + used == total
    kept = cp.zeros(1000)
    assert cp.get_default_memory_pool().used_bytes() == used + kept.nbytes
    del kept
    assert cp.get_default_memory_pool().used_bytes() == used
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        cp.zeros(total)


# -- sparse matrices -------------------------------------------------------------------------------------------------


def test_sparse_matrices_equal_scipy(cp, a):
    from cupyx.scipy import sparse
    from scipy import sparse as on_host

    dense = np.arange(12.0).reshape(3, 4) * (np.arange(12).reshape(3, 4) % 3 > 0)
    X = sparse.csr_matrix(on_host.csr_matrix(dense))
    assert sparse.isspmatrix_csr(X)
    assert type(X.get()) is on_host.csr_matrix
    assert X.indices.dtype == X.indptr.dtype == np.int32
    product = X @ cp.asarray(np.eye(4))
    assert_array_equal(product.get(), dense)
    assert product.flags.f_contiguous
    assert_array_equal((X.T @ X).get().toarray(), dense.T @ dense)
    assert_array_equal((cp.ones((2, 3)) @ X).get(), np.ones((2, 3)) @ dense)
    assert_array_equal(X[1:].toarray().get(), dense[1:])
    assert_array_equal(X[cp.asarray([2, 0])].toarray().get(), dense[[2, 0]])
    assert_array_equal(sparse.vstack([X, X]).tocsr().toarray().get(), np.vstack([dense, dense]))
    assert_array_equal(abs(X - 2 * X).toarray().get(), dense)
    assert_array_equal(X.sum(axis=1).get(), dense.sum(axis=1)[:, None])
    assert X.astype(np.float32).dtype == np.float32
    rebuilt = sparse.csr_matrix((X.data, X.indices.astype(np.int64), X.indptr), shape=(3, 4))
    assert rebuilt.indices.dtype == np.int32
    rebuilt.data = rebuilt.data * (rebuilt.data > 2)
    before = rebuilt.nnz
    rebuilt.eliminate_zeros()
    assert rebuilt.nnz == before - 2


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda sparse, X: sparse.csr_matrix(np.eye(3)), ValueError),
        (lambda sparse, X: sparse.csr_matrix((X.data.get(), X.indices, X.indptr)), ValueError),
        (lambda sparse, X: X + 1, NotImplementedError),
        (lambda sparse, X: X @ np.ones((4, 2)), TypeError),
        (lambda sparse, X: X.expand_dims, AttributeError),
        (lambda sparse, X: sparse.csr_matrix((X.data, X.indices - 1, X.indptr), X.shape) @ X.T, IndexError),
    ],
)
def test_sparse_operations_that_cupy_refuses_raise(cp, a, call, error):
    from cupyx.scipy import sparse

    with pytest.raises(error):
        call(sparse, sparse.csr_matrix(a))


# -- counters --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("only_simulated")
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda cp, a: a @ a.T + 1, 0),
        (lambda cp, a: a[1], 0),
        (lambda cp, a: [row.sum() for row in a], 0),
        (lambda cp, a: cp.where(a > 1, a, 0), 0),
        (lambda cp, a: bool(a[0, 0]), 1),
        (lambda cp, a: float(a.sum()), 1),
        (lambda cp, a: a.get(), 1),
        (lambda cp, a: cp.asnumpy(a), 1),
        (lambda cp, a: a.tolist(), 1),
        (lambda cp, a: a[a > 3], 1),
        (lambda cp, a: a.__setitem__(a > 3, 0), 1),
        (lambda cp, a: a.nonzero(), 1),
        (lambda cp, a: cp.flatnonzero(a), 1),
        (lambda cp, a: cp.unique(a), 1),
        (lambda cp, a: cp.bincount(cp.arange(3)), 1),
        (lambda cp, a: cp.cuda.Device().synchronize(), 1),
        (lambda cp, a: cp.cuda.get_current_stream().synchronize(), 1),
    ],
)
def test_synchronizations_are_counted(cp, a, call, expected):
    with simulated.counting() as found:
        call(cp, a)
    assert found.synchronizations == expected
    assert found.launches == 0


@pytest.mark.usefixtures("only_simulated")
def test_launches_and_transfers_are_counted(cp, kernel):
    with simulated.counting() as found:
        out = cp.asarray(np.zeros(3, np.float32))
        kernel("outside")((1,), (1,), (out, np.int32(0)))
        kernel("outside")((1,), (1,), (out[np.array([0, 1])], np.int32(0)))
        out.get()
    assert found == simulated.Counts(synchronizations=1, launches=2, transfers=4)


@pytest.mark.usefixtures("only_simulated")
def test_memory_is_freed():
    n = len(memory.table.alive)
    kept = [memory.allocate(10, np.float32) for _ in range(5)]
    assert len(memory.table.alive) == n + 5
    assert memory.is_device_memory(kept[0][::2].reshape(5, 1).T)
    del kept
    assert len(memory.table.alive) == n
