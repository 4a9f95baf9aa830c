"""GPU bodies of the primitives: CuPy where it is fast, the kernels in `kernels.cu` elsewhere.

`codebooks.ops` documents each function, and `cpu` contains the CPU bodies. A function waits for the device only if the
size of its result depends on values (`take_rows` of a sparse matrix, `separate`), or if it solves an eigenproblem.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import product
from pathlib import Path

import cupy as cp
import numpy as np
from cupyx.scipy import sparse

from codebooks.ops import Postings, shared
from codebooks.ops.views import RowView, csr_arrays, view_csr_rows

xp = cp

# Size of blocks of intermediate results in bytes: enough to keep a device busy.
_BLOCK_BYTES = 2**30
# Size in bytes of the rows that are copied together, in the order of their minibatches.
_WINDOW_BYTES = 2**28
# Rows per block of threads, in kernels that give a row to a warp.
_WARPS = 8
# Threads per block, in kernels that give an element to a thread.
_THREADS = 256
# Elements per thread, about, in kernels that give a row to a block of whole warps.
_ELEMENTS = 8
# Components per warp of `sparse_products`, as in `kernels.cu`.
_COMPONENT_TILE = 128
# Columns per segment of a row of scores.
_SEGMENT = 16_384
# If more than this number of scores of a row are selected, the row is sorted.
_FEW = 32
# Above this share of weights that are not zero, a dense product is faster.
_DENSE_SHARE = 0.05
# Decayed values below this become 0.
_SMALLEST = 1e-30


# -- devices -----------------------------------------------------------------------------------------------------------


def to_device(a):
    if _is_device_array(a) or isinstance(a, RowView):
        return a
    return _copy_to_device(a) if hasattr(a, "indptr") else cp.asarray(a)


def synchronize(a):
    cp.cuda.get_current_stream().synchronize()


def block_bytes(a):
    return _BLOCK_BYTES


def is_asynchronous(a):
    return True


# -- products and sums of rows -----------------------------------------------------------------------------------------


def similarity(X, Y):
    if sparse.issparse(Y):
        Y = Y.toarray()
    if not is_sparse(X):
        return X @ Y.T
    return _sparse_products(X, cp.ascontiguousarray(Y.T))


def find_nearest(X, W, handicap, k):
    n_rows, dtype = X.shape[0], np.result_type(X.dtype, W.dtype)
    index, score = cp.empty((n_rows, k), np.int64), cp.empty((n_rows, k), dtype)
    norms, total = row_norms(X), cp.zeros(len(W), dtype)
    scale, handicap = reciprocal(norms).astype(dtype, copy=False), cp.asarray(handicap, dtype)
    equal = dtype.type(shared.rounding_tolerance(dtype)), cp.abs(handicap).max()
    for rows in _iterate_blocks(n_rows, len(W) * dtype.itemsize):
        products = similarity(view_rows(X, rows), W)
        total += scale[rows] @ products
        _select_top(products, scale[rows], handicap, equal, index[rows], score[rows])
    return index, score, norms, total


def accumulate(G, X):
    if not is_sparse(X):
        return G.T @ X
    dtype = np.result_type(X.dtype, G.dtype)
    starts, stops, indices, data = _cast_csr_arrays(X, dtype)
    out = cp.zeros((X.shape[1], G.shape[1]), dtype)
    _launch_by_warps("sparse_accumulate", data, indices, X.shape[0])(
        starts, stops, indices, data, _as_c_order(G, dtype), _as_int64(X.shape[0]), _as_int64(G.shape[1]), out
    )
    return out.T


def scatter_rows(out, index, weight, X):
    index, weight = _as_c_order(index, np.int64), _as_c_order(weight, out.dtype)
    n_rows, n_chosen = index.shape
    if is_sparse(X):
        starts, stops, indices, data = _cast_csr_arrays(X, out.dtype)
        _launch_by_warps("scatter_sparse", data, indices, n_rows)(
            index,
            weight,
            _as_int64(n_chosen),
            starts,
            stops,
            indices,
            data,
            _as_int64(n_rows),
            out,
            *_element_strides(out),
        )
    else:
        X = X.astype(out.dtype, copy=False)
        _launch_by_blocks("scatter_dense", X, X.shape[1], (n_rows,))(
            index,
            weight,
            _as_int64(n_chosen),
            X,
            _as_int64(X.shape[1]),
            *_element_strides(X),
            out,
            *_element_strides(out),
        )
    return out


def gather_rows(index, weight, W):
    dtype = np.result_type(weight.dtype, W.dtype)
    index, weight, W = _as_c_order(index, np.int64), _as_c_order(weight, dtype), W.astype(dtype, copy=False)
    out = cp.zeros((len(index), W.shape[1]), dtype)
    _launch_by_blocks("gather_dense", W, W.shape[1], (len(index),))(
        index, weight, _as_int64(index.shape[1]), W, _as_int64(W.shape[1]), *_element_strides(W), out
    )
    return out


def gather_largest(index, weight, X, n):
    n_rows, n_chosen = index.shape
    starts = cp.arange(n_rows + 1, dtype=np.int32) * n_chosen
    weight, index = cp.where(index < 0, 0, weight), cp.maximum(index, 0)
    chosen = weight.astype(X.dtype).ravel(), index.astype(np.int32).ravel(), starts
    weights = sparse.csr_matrix(chosen, shape=(n_rows, X.shape[0]))
    weights.sum_duplicates()
    columns, values = largest_entries(combine_rows(weights, X), min(int(n), X.shape[1]))
    return _build_csr_of_kept(columns, values, (n_rows, X.shape[1]))


def chosen_products(Q, X, index):
    chosen = take_rows(X, cp.maximum(index, 0).ravel())
    queries = take_rows(Q, cp.repeat(cp.arange(len(index)), index.shape[1]))
    products = chosen.astype(np.float64).multiply(queries.astype(np.float64)).sum(axis=1)
    return cp.where(index < 0, 0, products.reshape(index.shape)).astype(Q.dtype)


def sum_by_index(index, weight, n):
    out = cp.zeros(n, np.float64)
    weight = _as_c_order(weight, weight.dtype if weight.dtype in (np.float32, np.float64) else np.float32)
    _launch_by_threads("sum_by_index", weight, len(index))(
        _as_c_order(index, np.int64), weight, _as_int64(len(index)), out
    )
    return out


def combine_rows(weights, X):
    if sparse.issparse(X):
        found = sparse.csr_matrix(weights @ X)
        found.sort_indices()  # the order of a product is undefined, and decides ties
        return found
    if weights.nnz > _DENSE_SHARE * weights.shape[0] * weights.shape[1]:
        return weights.toarray() @ X
    return _sparse_products(weights, cp.ascontiguousarray(X))


# -- choosing ----------------------------------------------------------------------------------------------------------


def top_k(scores, k):
    index = cp.empty((len(scores), k), np.int64)
    _select_top(_as_c_order(scores), None, None, (scores.dtype.type(0), None), index, None)
    return index


def largest_entries(X, n):
    n_rows = X.shape[0]
    columns, values = cp.empty((n_rows, n), np.int64), cp.empty((n_rows, n), X.dtype)
    starts, stops, indices, data = csr_arrays(X)
    if n:
        width = X.nnz // max(n_rows, 1)
        _launch_by_blocks("largest_entries", data, width, (n_rows,), indices)(
            starts, stops, indices, data, _as_int64(n), columns, values
        )
    return columns, values


def softmax(scores):
    scores = _as_c_order(scores)
    out = cp.empty_like(scores)
    _launch_by_blocks("softmax_rows", scores, scores.shape[1], (len(scores),))(scores, _as_int64(scores.shape[1]), out)
    return out


def separate(scores, beta, kind):
    scores = _as_c_order(scores)
    n_rows, n_scores = scores.shape
    dtype = scores.dtype
    values = cp.zeros(n_rows, dtype)
    starts = cp.zeros(n_rows + 1, np.int64)
    if not scores.size:
        return sparse.csr_matrix(scores.shape, dtype=dtype), values
    beta = cp.zeros(n_rows, np.float64) + cp.asarray(beta, np.float64)
    reach = shared.compute_candidate_margin(cp, kind, beta, n_scores, dtype)
    n_segments = -(-n_scores // _SEGMENT)
    places = scores, _as_int64(n_scores), _as_int64(_SEGMENT)
    peaks, counts = cp.empty((n_rows, n_segments), dtype), cp.empty((n_rows, n_segments), np.int64)
    grid, width = (n_rows, n_segments), min(n_scores, _SEGMENT)
    _launch_by_blocks("segment_peaks", scores, width, grid)(*places, peaks)
    row_peaks = peaks.max(axis=1)
    lowest = row_peaks - (reach * abs(row_peaks) if kind == "max" else reach)
    _launch_by_blocks("count_candidates", scores, width, grid)(*places, peaks, lowest, counts)
    ends = cp.cumsum(counts.ravel())
    starts[1:] = ends[n_segments - 1 :: n_segments]
    n_candidates = int(ends[-1])
    columns, z = cp.empty(n_candidates, np.int32), cp.empty(n_candidates, np.float64)
    weights = cp.empty(n_candidates, dtype)
    _launch_by_blocks("list_candidates", scores, width, grid)(*places, lowest, counts, ends, columns)
    _launch_by_blocks("weigh_candidates", scores, n_candidates // n_rows, (n_rows,))(
        scores,
        _as_int64(n_scores),
        row_peaks,
        starts,
        columns,
        beta,
        np.int32(shared.SEPARATIONS[kind]),
        z,
        weights,
        values,
    )
    found = _build_csr((weights, columns, starts.astype(np.int32)), scores.shape)
    return _drop_zeros(found), values


def _select_top(scores, scale, handicap, equal, index, score):
    """Fill `index` and `score` with the largest scores of each row; if many are selected, only equal bits are ties."""
    n_rows, k = index.shape
    n_components = scores.shape[1]
    if k <= _FEW:
        how = _as_int64(n_components), scale, handicap, *equal, _as_int64(k), index, score
        _launch_by_blocks("choose", scores, n_components, (n_rows,))(scores, *how)
        return
    scores = scores if scale is None else scores * scale[:, None]
    ranked = scores if handicap is None else scores - handicap
    index[...] = cp.argsort(-ranked, axis=1, kind="stable")[:, :k]
    if score is not None:
        score[...] = cp.take_along_axis(scores, index, axis=1)


# -- rows --------------------------------------------------------------------------------------------------------------


def minibatches(X, batches):
    window, size, is_first = [], 0, True
    n_bytes_of = _build_row_bytes(X)
    for rows in batches:
        if isinstance(rows, slice):
            yield view_rows(X, rows)
            continue
        window.append(rows)
        size += n_bytes_of(rows)
        # The initialisation of a model draws random numbers between the first and the second minibatch.
        if is_first or size >= _WINDOW_BYTES:
            yield from _yield_batches(X, window)
            window, size, is_first = [], 0, False
    yield from _yield_batches(X, window)


def _build_row_bytes(X):
    """Return a function that computes the size of some rows in bytes without waiting for the device."""
    if is_sparse(X):
        starts, stops, indices, data = csr_arrays(X)
        lengths = cp.asnumpy(stops) - cp.asnumpy(starts)
        width = indices.dtype.itemsize + data.dtype.itemsize
        return lambda rows: int(lengths[rows].sum()) * width
    return lambda rows: len(rows) * X.shape[1] * X.dtype.itemsize


def _yield_batches(X, window):
    """Copy the rows of some minibatches at once, and yield a view for each."""
    if not window:
        return
    copied = take_rows(X, np.concatenate(window))
    start = 0
    for rows in window:
        yield view_rows(copied, slice(start, start + len(rows)))
        start += len(rows)


def take_rows(X, rows):
    if not is_sparse(X):
        return X[rows if isinstance(rows, slice) else cp.asarray(rows)]
    if isinstance(rows, slice) and not isinstance(X, RowView):
        start, stop, _ = rows.indices(X.shape[0])
        stop = max(start, stop)
        first, last = (int(p) for p in cp.asnumpy(X.indptr[cp.asarray([start, stop])]))
        taken = X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first
        return _build_csr(taken, (stop - start, X.shape[1]))
    chosen = view_rows(X, rows)
    indptr = cp.zeros(len(chosen.starts) + 1, chosen.starts.dtype)
    indptr[1:] = cp.cumsum(chosen.stops - chosen.starts)
    n_entries = int(indptr[-1])
    indices, data = cp.empty(n_entries, chosen.indices.dtype), cp.empty(n_entries, X.dtype)
    _launch_by_warps("take_sparse", data, indices, len(chosen.starts))(
        *chosen[:4], _as_int64(len(chosen.starts)), indptr, indices, data
    )
    return _build_csr((data, indices, indptr), (len(chosen.starts), X.shape[1]))


def view_rows(X, rows):
    rows = rows if isinstance(rows, slice) else cp.asarray(rows)
    return view_csr_rows(X, rows) if is_sparse(X) else X[rows]


def stack_sparse(blocks):
    return sparse.vstack([sparse.csr_matrix(block) for block in blocks], format="csr")


def stack_rows(blocks):
    return sparse.vstack(blocks, format="csr") if sparse.issparse(blocks[0]) else cp.concatenate(blocks)


def entries(X):
    return X.data if sparse.issparse(X) else X


def is_sparse(X):
    return isinstance(X, RowView) or sparse.issparse(X)


def cast(X, dtype):
    return X if X.dtype == dtype else X.astype(dtype)


def convert_to_format_of(X, like):
    if sparse.issparse(like):
        return X if sparse.issparse(X) else sparse.csr_matrix(X)
    return X.toarray() if sparse.issparse(X) else X


def copy_matrix(X):
    if not sparse.issparse(X):
        return cp.array(X, order="C")
    return _drop_zeros(X.copy())


def find_sparse_fault(X):
    return shared.find_sparse_fault(cp, X)


def as_matrix(X):
    if sparse.issparse(X):
        X = X.tocsr()
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def binarize(X, threshold):
    if not sparse.issparse(X):
        return (threshold <= X).astype(X.dtype)
    reached = X.copy()
    reached.data = (threshold <= X.data).astype(X.dtype)
    return _drop_zeros(reached)


def split_missing(X):
    gone = cp.isnan(entries(X))
    if not bool(gone.any()):
        return X, None
    if not sparse.issparse(X):
        return cp.where(gone, X.dtype.type(0), X), gone.astype(X.dtype)
    given = _build_csr((cp.where(gone, X.dtype.type(0), X.data), X.indices, X.indptr), X.shape)
    missing = _build_csr((gone.astype(X.dtype), X.indices, X.indptr), X.shape)
    return _drop_zeros(given), _drop_zeros(missing)


def zero_entries(X, where):
    if not sparse.issparse(X):
        return cp.where(where != 0, X.dtype.type(0), X)
    return _drop_zeros((X - X.multiply(where)).tocsr())


def weigh_entries(X, weight, length):
    X = _as_csr(X)
    wide = _build_csr((X.data.astype(np.float64) * weight[X.indices], X.indices, X.indptr), X.shape)
    scale = length * reciprocal(row_norms(wide))
    return _build_csr(((wide.data * scale[_find_entry_rows(X)]).astype(X.dtype), X.indices, X.indptr), X.shape)


def sum_column_logs(X, offset, wanted, sample_weight=None):
    X = _as_csr(X)
    row, is_positive = _find_entry_rows(X), X.data > 0
    wide = X.data.astype(np.float64)
    without_scale = cp.where(is_positive, wide, 0) * cp.exp(-offset[X.indices])
    norms = row_norms(_build_csr((without_scale, X.indices, X.indptr), X.shape))
    n = cp.maximum(sum_by_index(row, is_positive, X.shape[0]), 1)
    level = cp.log(cp.where(norms > 0, norms, 1) / cp.sqrt(n))
    counted = (is_positive & wanted[X.indices] & (norms > 0)[row]).astype(np.float64)
    if sample_weight is not None:
        counted *= sample_weight[row]
    logs = cp.log(cp.where(is_positive, wide, 1)) - level[row]
    return sum_by_index(X.indices, counted * logs, X.shape[1]), sum_by_index(X.indices, counted, X.shape[1])


def select_used_columns(X):
    columns, place = cp.unique(X.indices, return_inverse=True)
    return columns, sparse.csr_matrix((X.data, place.astype(np.int32), X.indptr), shape=(X.shape[0], len(columns)))


def compute_log_lifts(distributions, mass, columns, floor, share, background):
    smoothing = {"floor": floor, "share": share, "background": background}
    return shared.compute_log_lifts(cp, distributions, mass, columns, **smoothing)


def compute_responsibilities(scores, scale, offset, margin):
    scores *= scale
    scores -= offset
    winner = scores.argmax(axis=1)
    peak = cp.take_along_axis(scores, winner[:, None], axis=1)
    scores -= peak
    scores[...] = cp.where(scores >= -margin, cp.exp(scores), 0)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores, winner, peak[:, 0]


def fold_in(X, weight, lifts, shares, prior, *, n_steps, least):
    features_first = cp.ascontiguousarray(lifts.T)
    for rows in _iterate_blocks(len(shares), _count_product_bytes(X, shares)):
        part = take_rows(X, rows)
        row, theta, data = _find_entry_rows(part), shares[rows], part.data * weight[part.indices]
        for _ in range(n_steps):
            whole = (theta[row] * features_first[part.indices]).sum(axis=1)
            ratio = _build_csr((data * reciprocal(whole), part.indices, part.indptr), part.shape)
            theta = cp.where(theta > 0, theta * _sparse_products(ratio, features_first) + prior[rows], 0)
            theta /= theta.sum(axis=1, keepdims=True)
            theta = cp.where(theta < least, 0, theta)
            theta /= theta.sum(axis=1, keepdims=True)
        shares[rows] = theta
    return shares


def _count_product_bytes(X, shares):
    return (X.nnz // max(len(shares), 1) + 1) * shares.shape[1] * shares.itemsize


def decay_and_add(distributions, factor, columns, added, weight):
    out = cp.asfortranarray(distributions * factor[:, None])
    out[out < _SMALLEST] = 0
    out[:, columns] += added * weight[:, None]
    return out


def scale_rows(X, scale):
    if not sparse.issparse(X):
        return X * scale[:, None]
    return _build_csr((X.data * scale[_find_entry_rows(X)], X.indices, X.indptr), X.shape)


def row_norms(X):
    n_rows = X.shape[0]
    norms = cp.empty(n_rows, X.dtype)
    if is_sparse(X):
        starts, stops, indices, data = csr_arrays(X)
        _launch_by_warps("sparse_norms", data, indices, n_rows)(starts, stops, data, _as_int64(n_rows), norms)
    else:
        _launch_by_warps("dense_norms", X, None, n_rows)(
            X, _as_int64(n_rows), _as_int64(X.shape[1]), *_element_strides(X), norms
        )
    return norms


def row_hashes(X):
    n_rows, n_columns = X.shape
    draw = np.random.default_rng(0)
    factors = cp.asarray(draw.integers(2**63, size=n_columns, dtype=np.uint64) * np.uint64(2) + np.uint64(1))
    hashes = cp.empty(n_rows, np.uint64)
    if is_sparse(X):
        starts, stops, indices, data = csr_arrays(X)
        _launch_by_warps("sparse_hashes", data, indices, n_rows)(
            starts, stops, indices, data, _as_int64(n_rows), factors, hashes
        )
    else:
        _launch_by_warps("dense_hashes", X, None, n_rows)(
            X, _as_int64(n_rows), _as_int64(n_columns), *_element_strides(X), factors, hashes
        )
    return hashes


def reciprocal(norms):
    norms = cp.ascontiguousarray(norms)
    out = cp.empty_like(norms)
    least = norms.dtype.type(4 / np.finfo(norms.dtype).max)
    _launch_by_threads("reciprocals", norms, norms.size)(norms, _as_int64(norms.size), least, out)
    return out


# -- searching ---------------------------------------------------------------------------------------------------------


def build_postings(X):
    if not sparse.issparse(X):
        return X
    columns = X.tocsc()
    return Postings(columns.indptr, columns.indices, columns.data, *[None] * 3, cp.empty((0, X.shape[0]), X.dtype))


def score_postings(Q, postings):
    if not isinstance(postings, Postings):
        return Q @ postings.T
    n_rows, values = postings.table.shape[1], postings.values
    out = cp.zeros((Q.shape[0], n_rows), values.dtype)
    width = len(values) // max(len(postings.starts) - 1, 1)
    _launch_by_blocks("match_postings", values, max(width, _THREADS * _ELEMENTS), (Q.shape[0],), postings.rows)(
        Q.indptr.astype(postings.rows.dtype, copy=False),
        Q.indices.astype(postings.rows.dtype, copy=False),
        Q.data.astype(values.dtype, copy=False),
        postings.starts,
        postings.rows,
        values,
        _as_int64(n_rows),
        out,
    )
    return out


def search_postings(Q, postings, k):
    n_rows, dtype = postings.table.shape[1], postings.values.dtype
    shape = Q.shape[0], min(int(k), n_rows)
    index, score = cp.full(shape, -1, np.int64), cp.full(shape, -np.inf, dtype)
    for rows in _iterate_blocks(Q.shape[0] if index.size else 0, n_rows * dtype.itemsize):
        scores = score_postings(take_rows(Q, rows), postings)
        found = top_k(scores, shape[1])
        score[rows] = cp.take_along_axis(scores, found, axis=1)
        index[rows] = cp.where(score[rows] > -np.inf, found, -1)
    return index, score


# -- directions and small algebra --------------------------------------------------------------------------------------


def blend_directions(out, weight, W):
    weight, W = _as_c_order(weight, out.dtype), W.astype(out.dtype, copy=False)
    components_inside = out.strides[0] < out.strides[1]
    order = slice(None) if components_inside else slice(None, None, -1)
    sizes, steps, old_steps = (tuple(pair)[order] for pair in (out.shape, _element_strides(out), _element_strides(W)))
    where = (
        out,
        _as_int64(sizes[0]),
        _as_int64(sizes[1]),
        *steps,
        _as_int64(components_inside),
        _as_int64(not components_inside),
        W,
        *old_steps,
    )
    _launch_by_threads("blend", out, out.size)(*where, weight)
    norms = row_norms(out)
    _launch_by_threads("rescale", out, out.size)(*where, norms)
    return norms


def nearest_orthonormal(M):
    return shared.nearest_orthonormal(cp, M)


def orthogonalize_partially(W, amount):
    # In float64 the condition need not be checked, so nothing waits for the device.
    return shared.orthogonalize_partially(cp, W.astype(np.float64), amount).astype(W.dtype, copy=False)


def principal_axes(C):
    return shared.principal_axes(cp, C)


def rotate_to_rows(W, X, scale, rate, *, handicap, n_active, threshold, signed):
    selection = {"handicap": handicap, "n_active": n_active, "threshold": threshold, "signed": signed}
    return _run_on_host("rotate_to_rows", W, X, scale, rate, **selection)


def deflate_by_rows(W, X, scale, rate, *, handicap, n_active, threshold, signed):
    selection = {"handicap": handicap, "n_active": n_active, "threshold": threshold, "signed": signed}
    return _run_on_host("deflate_by_rows", W, X, scale, rate, **selection)


def _run_on_host(name, W, X, scale, rate, *, handicap, **selection):
    """Run a rule that updates the components row by row on the CPU, because it has no parallel work."""
    from codebooks.ops import cpu

    if isinstance(X, RowView):
        X = take_rows(X, slice(None))
    W, X, scale, handicap = (a.get() if _is_device_array(a) else a for a in (W, X, scale, handicap))
    return cp.asarray(getattr(cpu, name)(W, X, scale, rate, handicap=handicap, **selection))


# -- forms -------------------------------------------------------------------------------------------------------------


def _is_device_array(a):
    return isinstance(a, cp.ndarray) or sparse.issparse(a)


def _cast_csr_arrays(X, dtype):
    """Return the arrays of a CSR matrix or a view of one, with values of a data type."""
    starts, stops, indices, data = csr_arrays(X)
    return starts, stops, indices, data.astype(dtype, copy=False)


def _copy_to_device(X):
    """Copy a host matrix to the device."""
    if X.nnz > np.iinfo(np.int32).max:
        raise ValueError(
            f"`X` on a GPU must have at most {np.iinfo(np.int32).max} entries, got {X.nnz}. Use partial_fit on a part "
            f"of the rows at a time."
        )
    return sparse.csr_matrix(X)


def _as_csr(X):
    """Convert dense rows, a CSR matrix or a view of one to a CSR matrix."""
    if isinstance(X, RowView):
        return take_rows(X, slice(None))
    return X if sparse.issparse(X) else sparse.csr_matrix(X)


def _find_entry_rows(X):
    """Return the row of each entry of a CSR matrix."""
    return cp.searchsorted(X.indptr, cp.arange(len(X.data), dtype=X.indptr.dtype), side="right") - 1


def _build_csr(arrays, shape):
    """Build a CSR matrix of arrays without checks, which would wait for the device."""
    X = sparse.csr_matrix(shape, dtype=arrays[0].dtype)
    X.data, X.indices, X.indptr = arrays
    return X


def _build_csr_of_kept(columns, values, shape):
    """Build a CSR matrix of the entries of each row, sorted by column; a column of -1 is no entry."""
    columns = cp.where(columns < 0, shape[1], columns)
    order = cp.argsort(columns, axis=1)
    columns, values = cp.take_along_axis(columns, order, axis=1), cp.take_along_axis(values, order, axis=1)
    kept = columns < shape[1]
    starts = cp.zeros(shape[0] + 1, np.int32)
    starts[1:] = cp.cumsum(kept.sum(axis=1))
    return _build_csr((values[kept], columns[kept].astype(np.int32), starts), shape)


def _drop_zeros(X):
    """Return `X` without stored zeros."""
    kept = X.data != 0
    before = cp.zeros(len(kept) + 1, np.int32)
    before[1:] = cp.cumsum(kept)
    return _build_csr((X.data[kept], X.indices[kept], before[X.indptr]), X.shape)


def _as_c_order(a, dtype=None):
    return cp.ascontiguousarray(a if dtype is None else a.astype(dtype, copy=False))


def _sparse_products(X, features_first):
    dtype = np.result_type(X.dtype, features_first.dtype)
    starts, stops, indices, data = _cast_csr_arrays(X, dtype)
    n_rows, n_components = X.shape[0], features_first.shape[1]
    out = cp.empty((n_rows, n_components), dtype)
    _launch_by_warps("sparse_products", data, indices, n_rows, -(-n_components // _COMPONENT_TILE))(
        starts,
        stops,
        indices,
        data,
        features_first.astype(dtype, copy=False),
        _as_int64(n_rows),
        _as_int64(n_components),
        out,
    )
    return out


def _iterate_blocks(n_rows, row_bytes):
    """Iterate over slices of rows whose results fit in a block."""
    size = max(1, _BLOCK_BYTES // max(row_bytes, 1))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


# -- launching kernels -------------------------------------------------------------------------------------------------

_CUDA_TYPES = {"f4": "float", "f8": "double", "i4": "int", "i8": "Long"}
_KERNEL = re.compile(r"^template <typename T(, typename I)?>\s+__global__ void (\w+)\(", re.MULTILINE)


def kernel_names(source):
    """Return the C++ names of all kernels of the source for all types."""
    values, indices = ("float", "double"), ("int", "Long")
    names = []
    for is_sparse_one, name in _KERNEL.findall(source):
        types = [", ".join(pair) for pair in product(values, indices)] if is_sparse_one else values
        names += [f"{name}<{of}>" for of in types]
    return names


@cache
def _compile_module():
    source = Path(__file__).with_name("kernels.cu").read_text(encoding="utf-8")
    return cp.RawModule(code=source, options=("--std=c++17",), name_expressions=kernel_names(source))


@cache
def _get_kernel(name, values, indices):
    types = _CUDA_TYPES[values] if indices is None else f"{_CUDA_TYPES[values]}, {_CUDA_TYPES[indices]}"
    return _compile_module().get_function(f"{name}<{types}>")


def _build_launcher(name, values, indices, grid, block):
    """Return a function that launches a kernel for some types; it does nothing if the grid is empty."""
    kernel = _get_kernel(name, values.dtype.str[1:], None if indices is None else indices.dtype.str[1:])
    return lambda *arguments: kernel(grid, block, arguments) if all(grid) else None


def _launch_by_warps(name, values, indices, n_rows, n_tiles=1):
    return _build_launcher(name, values, indices, (-(-n_rows // _WARPS), n_tiles), (32, _WARPS))


def _launch_by_blocks(name, values, width, grid, indices=None):
    """Give each row a number of warps such that a thread has a few of its `width` elements."""
    n_warps = min(max(-(-int(width) // (32 * _ELEMENTS)), 1), 32)
    return _build_launcher(name, values, indices, grid, (32 * n_warps,))


def _launch_by_threads(name, values, n):
    return _build_launcher(name, values, None, (-(-int(n) // _THREADS),), (_THREADS,))


def _as_int64(number):
    """Convert an integer to the type that kernels expect."""
    return np.int64(number)


def _element_strides(a):
    """Return the strides of a matrix in elements."""
    return tuple(np.int64(stride // a.itemsize) for stride in a.strides)
