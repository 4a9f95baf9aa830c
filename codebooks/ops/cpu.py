"""CPU bodies of the primitives: SciPy and BLAS where they are fast, Numba kernels elsewhere.

`codebooks.ops` documents each function. Kernels are in the modules `kernels_*` and `inverted_index`. Each is a scalar
loop over a range of items whose results it alone writes, so any number of threads gives the same bits (see `threads`).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, issparse, vstack

from codebooks.ops import (
    kernels_entmax,
    kernels_likelihood,
    kernels_online,
    kernels_rows,
    kernels_scores,
    kernels_subsets,
    kernels_topk,
    shared,
    threads,
    to_host,
)
from codebooks.ops.compiler import view_read_only
from codebooks.ops.inverted_index import build_postings, score_postings, search_postings
from codebooks.ops.views import CSRArrays, RowView, csr_arrays, view_csr_rows

xp = np

# Size of intermediate results, in bytes, that still stay in a cache.
_BLOCK_BYTES = 64 * 2**20
# Number of blocks of dense rows that are multiplied at once; more if their products are no more than `_PRODUCTS`.
_DENSE_BLOCKS, _PRODUCTS = 64, 2**18
# Costs in steps of a vectorised loop: a scattered memory access, an exponential, two logarithms.
_SCATTERED = 16
_EXPONENTIAL = 16
_LOGARITHM = 32
# Minibatches of rows with at most this mean number of entries are copied, because several primitives read them.
_SHORT_ROW = 8
# Below this share of weights that are not zero, sums of rows skip the zeros.
_FEW_SHARES = 0.5
# Above this share of weights that are not zero, a BLAS product with all of them is faster.
_DENSE_SHARE = 0.05


def to_device(a):
    return to_host(a)


def synchronize(a):
    pass


def block_bytes(a):
    return _BLOCK_BYTES


def is_asynchronous(a):
    return False


def similarity(X, Y):
    if issparse(Y):
        return (X @ Y.T).toarray() if issparse(X) else np.ascontiguousarray(similarity(Y, X).T)
    if not is_sparse(X):
        return X @ Y.T
    out = np.empty((X.shape[0], Y.shape[0]), np.result_type(X.dtype, Y.dtype))
    features_first = np.ascontiguousarray(Y.T)  # the innermost loop runs over the rows of Y
    threads.run(kernels_scores.similarity, X.shape[0], X.nnz * Y.shape[0], csr_arrays(X), features_first, out)
    return out


def find_nearest(X, W, handicap, k):
    n_rows, dtype = X.shape[0], np.result_type(X.dtype, W.dtype)
    index, score = np.empty((n_rows, k), np.int64), np.empty((n_rows, k), dtype)
    # Blocks of rows have totals of their own, summed in order at the end: the same bits for any number of threads.
    totals = np.zeros((-(-n_rows // kernels_scores.ROW_BLOCK), len(W)), dtype)
    norms = row_norms(X)
    handicap = np.asarray(handicap, dtype)
    margin, size = dtype.type(shared.rounding_tolerance(dtype)), np.abs(handicap).max(initial=0)
    scale = shared.reciprocal(np, norms).astype(dtype, copy=False)
    ranking = kernels_scores.Ranking(scale, handicap, margin, size)
    out = kernels_scores.NearestArrays(index, score, totals)
    if is_sparse(X):
        features_first = np.ascontiguousarray(W.T)
        steps = X.nnz * len(W)
        threads.run(kernels_scores.find_nearest, len(totals), steps, csr_arrays(X), features_first, ranking, out)
    else:
        n_blocks = max(_DENSE_BLOCKS, _PRODUCTS // (kernels_scores.ROW_BLOCK * len(W)))
        for first in range(0, len(totals), n_blocks):
            last = min(first + n_blocks, len(totals))
            products = _as_c_order(X[first * kernels_scores.ROW_BLOCK : last * kernels_scores.ROW_BLOCK] @ W.T)
            arguments = products, first, ranking, out
            threads.run(kernels_scores.find_nearest_of_products, last - first, products.size, *arguments)
    return index, score, norms, totals.sum(axis=0)


def blend_directions(out, weight, W):
    columns, old = out.T, W.T
    if not columns.flags.c_contiguous:
        columns = np.ascontiguousarray(columns)
    n_blocks = -(-len(columns) // kernels_rows.FEATURE_BLOCK)
    squares = np.zeros((n_blocks, len(out)), out.dtype)
    weight = np.asarray(weight, out.dtype)
    threads.run(kernels_rows.blend, n_blocks, out.size, columns, np.ascontiguousarray(old), weight, squares)
    norms = np.sqrt(squares.sum(axis=0, dtype=np.float64)).astype(out.dtype)
    scale = 1 / np.where(norms > 0, norms, 1)
    threads.run(kernels_rows.rescale, n_blocks, out.size, columns, scale)
    if not np.shares_memory(columns, out):
        out[...] = columns.T
    if not norms.all():
        nothing = norms == 0
        out[nothing] = W[nothing]
    return norms


def accumulate(G, X):
    if not is_sparse(X):
        return G.T @ X
    out = np.zeros((X.shape[1], G.shape[1]), np.result_type(X.dtype, G.dtype))
    arguments = csr_arrays(X), _as_c_order(G), out
    if np.count_nonzero(G) < _FEW_SHARES * G.size:
        threads.run(kernels_likelihood.accumulate_few, G.shape[1], G.size + _SCATTERED * X.nnz, *arguments)
    else:
        n_blocks = -(-G.shape[1] // kernels_rows.COLUMN_BLOCK)
        threads.run(kernels_rows.accumulate, n_blocks, X.nnz * G.shape[1], *arguments)
    return out.T


def softmax(scores):
    out = np.empty(scores.shape, scores.dtype)
    threads.run(kernels_scores.softmax, len(scores), _EXPONENTIAL * scores.size, _as_c_order(scores), out)
    return out


def top_k(scores, k):
    out = np.empty((len(scores), k), np.int64)
    threads.run(kernels_scores.top_k, len(scores), scores.size, _as_c_order(scores), out)
    return out


def scatter_rows(out, index, weight, X):
    order, firsts = _sort_by_owner(index, len(out))
    shares = kernels_rows.OwnedShares(firsts, order // index.shape[1], _as_c_order(weight).ravel()[order])
    if is_sparse(X):
        steps = _SCATTERED * X.nnz * index.shape[1]
        threads.run(kernels_rows.scatter_sparse, len(out), steps, shares, csr_arrays(X), out)
    else:
        threads.run(kernels_rows.scatter_dense, len(out), index.size * X.shape[1], shares, X, out)
    return out


def gather_rows(index, weight, W):
    out = np.zeros((len(index), W.shape[1]), np.result_type(weight.dtype, W.dtype))
    threads.run(kernels_rows.gather_rows, len(out), index.size * W.shape[1], index, weight, _as_c_order(W), out)
    return out


def gather_largest(index, weight, X, n):
    n_rows, n_kept = len(index), min(int(n), X.shape[1])
    columns, values = np.empty((n_rows, n_kept), np.int64), np.empty((n_rows, n_kept), X.dtype)
    counts = np.zeros(n_rows, np.int64)
    steps = _SCATTERED * index.size * (X.nnz // max(X.shape[0], 1))
    chosen = kernels_topk.ChosenRows(index, np.asarray(weight, X.dtype), X.shape[1])
    out = kernels_topk.LargestEntries(columns, values, counts)
    threads.run(kernels_topk.gather_largest, n_rows, steps, chosen, _read_only_arrays(X), out)
    kept = np.arange(n_kept) < counts[:, None]
    firsts = np.concatenate([[0], np.cumsum(counts)])
    return csr_matrix((values[kept], columns[kept], firsts), shape=(n_rows, X.shape[1]))


def chosen_products(Q, X, index):
    out = np.zeros(index.shape, Q.dtype)
    chosen = kernels_topk.ChosenRows(_as_c_order(index), None, X.shape[1])
    steps = _SCATTERED * (index.size * (X.nnz // max(X.shape[0], 1)) + Q.nnz)
    arguments = _read_only_arrays(Q), _read_only_arrays(X), chosen, out
    threads.run(kernels_topk.chosen_products, len(index), steps, *arguments)
    return out


def sum_by_index(index, weight, n):
    return np.bincount(index, weights=weight, minlength=n)


def largest_entries(X, n):
    columns, values = np.full((X.shape[0], n), -1, np.int64), np.zeros((X.shape[0], n), X.dtype)
    threads.run(kernels_topk.largest_entries, X.shape[0], _SCATTERED * X.nnz, _read_only_arrays(X), columns, values)
    return columns, values


def minibatches(X, batches):
    # Short rows that are far apart in memory cost more to read several times than to copy once.
    has_short_rows = is_sparse(X) and X.nnz <= _SHORT_ROW * X.shape[0]
    for rows in batches:
        yield take_rows(X, rows) if has_short_rows else view_rows(X, rows)


def take_rows(X, rows):
    if not is_sparse(X):
        return _take_dense_rows(X, rows)
    if isinstance(rows, slice):
        start, stop, _ = rows.indices(X.shape[0])
        stop = max(start, stop)
        first, last = X.indptr[start], X.indptr[stop]
        taken = X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first
        return _build_csr(type(X), taken, X.shape[1])
    chosen = view_rows(X, rows)
    indptr = np.zeros(len(rows) + 1, chosen.starts.dtype)
    np.cumsum(chosen.stops - chosen.starts, out=indptr[1:])
    indices, data = np.empty(indptr[-1], X.indices.dtype), np.empty(indptr[-1], X.dtype)
    arguments = csr_arrays(chosen), indptr, indices, data
    threads.run(kernels_rows.copy_rows, len(rows), _SCATTERED * len(data), *arguments)
    return _build_csr(chosen.form, (data, indices, indptr), X.shape[1])


def view_rows(X, rows):
    if not is_sparse(X):
        return _take_dense_rows(X, rows)
    return view_csr_rows(X, rows)


def stack_sparse(blocks):
    return csr_matrix(vstack([csr_matrix(block) for block in blocks]))


def stack_rows(blocks):
    return csr_matrix(vstack(blocks)) if issparse(blocks[0]) else np.concatenate(blocks)


def entries(X):
    return X.data if issparse(X) else X


def is_sparse(X):
    return isinstance(X, RowView) or issparse(X)


def find_sparse_fault(X):
    if X.format == "lil":
        lengths = [[len(row) for row in rows] for rows in (X.rows, X.data)]
        if lengths[0] != lengths[1] or len(lengths[0]) != X.shape[0]:
            return "a row has different numbers of columns and values"
        X = csr_matrix(X)  # this conversion checks nothing else
    return shared.find_sparse_fault(np, X)


def as_matrix(X):
    if issparse(X):
        X = X if X.format == "csr" else csr_matrix(X)
        if len(X.data) > X.indptr[-1] or not _is_canonical(X):
            X = X.copy()  # the copy does not inherit an outdated cached flag that `X` is canonical
            X.sum_duplicates()
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def _is_canonical(X):
    """Return whether the column indices of each row of a CSR matrix are strictly increasing."""
    rises = X.indices[1:] > X.indices[:-1]
    starts = X.indptr[:-1][np.diff(X.indptr) > 0]  # of rows with entries
    falls = len(rises) - np.count_nonzero(rises)
    return falls == 0 or falls == np.count_nonzero(~rises[starts[1:] - 1])


def cast(X, dtype):
    return X.astype(dtype, copy=False)


def split_missing(X):
    if not np.isnan(entries(X).sum()):  # the sum of validated finite numbers is finite
        return X, None
    gone = np.isnan(entries(X))
    if not issparse(X):
        return np.where(gone, X.dtype.type(0), X), gone.astype(X.dtype)
    given, missing = X.copy(), X.copy()
    given.data, missing.data = np.where(gone, X.dtype.type(0), X.data), gone.astype(X.dtype)
    given.eliminate_zeros()
    missing.eliminate_zeros()
    return given, missing


def zero_entries(X, where):
    if not issparse(X):
        return np.where(where != 0, X.dtype.type(0), X)
    left = csr_matrix(X - X.multiply(where))
    left.eliminate_zeros()
    return left


def weigh_entries(X, weight, length):
    if not is_sparse(X):
        X = csr_matrix(X)
    arrays = _read_only_arrays(X)
    firsts = np.zeros(X.shape[0] + 1, arrays.indices.dtype if X.nnz < 2**31 else np.int64)
    np.cumsum(arrays.stops - arrays.starts, out=firsts[1:])
    out = kernels_likelihood.WeightedRows(
        firsts, np.empty(firsts[-1], arrays.indices.dtype), np.empty(firsts[-1], arrays.data.dtype)
    )
    arguments = arrays, view_read_only(weight), float(length), out
    threads.run(kernels_likelihood.weigh_rows, X.shape[0], 4 * len(out.data), *arguments)
    return _build_csr(csr_matrix, (out.data, out.indices, out.starts), X.shape[1])


def sum_column_logs(X, offset, wanted, sample_weight=None):
    sums, counts = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    if not wanted.any():
        return sums, counts
    if not is_sparse(X):
        X = csr_matrix(X)
    weight = np.empty(0) if sample_weight is None else sample_weight.astype(np.float64)
    arrays = _read_only_arrays(X), *map(view_read_only, (offset, wanted, weight))
    kernels_likelihood.sum_column_logs(*arrays, sums, counts)
    return sums, counts


def select_used_columns(X):
    used = np.zeros(X.shape[1], bool)
    used[X.indices] = True
    columns = np.flatnonzero(used)
    place = np.cumsum(used, dtype=X.indices.dtype) - 1
    return columns, _build_csr(csr_matrix, (X.data, place[X.indices], X.indptr), len(columns))


def compute_log_lifts(distributions, mass, columns, floor, share, background):
    counts = kernels_likelihood.TermCounts(_as_c_order(distributions.T), mass)
    smoothing = kernels_likelihood.LiftSmoothing(float(floor), float(share), float(background))
    n_columns, dtype = len(columns), distributions.dtype
    table = np.empty((n_columns, len(mass)), dtype)
    out = kernels_likelihood.LogLifts(table, np.empty(n_columns, dtype), np.empty(n_columns, dtype))
    arguments = columns, counts, smoothing, out
    threads.run(kernels_likelihood.compute_log_lifts, n_columns, _LOGARITHM * table.size, *arguments)
    return table.T, out.saliency, out.totals


def compute_responsibilities(scores, scale, offset, margin):
    winner, peak = np.empty(len(scores), np.int64), np.empty(len(scores), scores.dtype)
    scaling = kernels_likelihood.ScoreScaling(scores.dtype.type(scale), offset, scores.dtype.type(margin))
    arguments = scaling, scores, winner, peak
    threads.run(kernels_likelihood.compute_responsibilities, len(scores), 2 * scores.size, *arguments)
    return scores, winner, peak


def fold_in(X, weight, lifts, shares, prior, *, n_steps, least):
    parameters = kernels_likelihood.FoldInParameters(
        weight, _as_c_order(lifts.T), prior, int(n_steps), shares.dtype.type(least)
    )
    steps = 4 * X.nnz * shares.shape[1]
    threads.run(kernels_likelihood.fold_in, len(shares), steps, _read_only_arrays(X), parameters, shares)
    return shares


def decay_and_add(distributions, factor, columns, added, weight):
    features_first = _as_c_order(distributions.T)
    out = np.empty_like(features_first)
    added = kernels_likelihood.AddedColumns(columns, _as_c_order(added.T), weight)
    threads.run(kernels_likelihood.decay_and_add, len(out), out.size, features_first, factor, added, out)
    return out.T


def scale_rows(X, scale):
    if not issparse(X):
        return X * scale[:, None]
    data = X.data * np.repeat(scale, np.diff(X.indptr))
    return _build_csr(type(X), (data, X.indices, X.indptr), X.shape[1])


def reciprocal(norms):
    return shared.reciprocal(np, norms)


def row_norms(X):
    out = np.empty(X.shape[0], X.dtype)
    if not is_sparse(X):
        if not X.flags.c_contiguous:
            return np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64)).astype(X.dtype)
        threads.run(kernels_rows.compute_dense_row_norms, len(X), 4 * X.size, view_read_only(X), out)
        return out
    starts, stops, _, data = csr_arrays(X)
    threads.run(kernels_rows.compute_sparse_row_norms, X.shape[0], 4 * X.nnz, starts, stops, data, out)
    return out


def nearest_orthonormal(M):
    with threads.limit_blas_to_one_thread():
        return shared.nearest_orthonormal(np, M)


def orthogonalize_partially(W, amount):
    with threads.limit_blas_to_one_thread():
        return shared.orthogonalize_partially(np, W, amount)


def principal_axes(C):
    with threads.limit_blas_to_one_thread():
        return shared.principal_axes(np, C)


def rotate_to_rows(W, X, scale, rate, *, handicap, n_active, threshold, signed):
    selection = {"handicap": handicap, "n_active": n_active, "threshold": threshold, "signed": signed}
    return _learn_row_by_row(W, X, scale, rate, rotate=True, **selection)


def deflate_by_rows(W, X, scale, rate, *, handicap, n_active, threshold, signed):
    selection = {"handicap": handicap, "n_active": n_active, "threshold": threshold, "signed": signed}
    return _learn_row_by_row(W, X, scale, rate, rotate=False, **selection)


def separate(scores, beta, kind):
    n_rows, n_scores = scores.shape
    peaks, values = np.empty(n_rows, scores.dtype), np.zeros(n_rows, scores.dtype)
    firsts = np.zeros(n_rows + 1, np.int64)
    if n_scores:
        scores, beta = _as_c_order(scores), np.full(n_rows, beta, np.float64)
        margin = shared.compute_candidate_margin(np, kind, beta, n_scores, scores.dtype)
        separation = kernels_entmax.Separation(margin, beta, shared.SEPARATIONS[kind])
        threads.run(kernels_entmax.find_candidates, n_rows, scores.size, scores, separation, peaks, firsts[1:])
    np.cumsum(firsts, out=firsts)
    indices, weights = np.empty(firsts[-1], np.int32), np.empty(firsts[-1], scores.dtype)
    if len(indices):
        candidates = kernels_entmax.Candidates(peaks, firsts, indices)
        arguments = scores, separation, candidates, (weights, values)
        steps = scores.size + _EXPONENTIAL * len(indices)
        threads.run(kernels_entmax.weigh_candidates, n_rows, steps, *arguments)
    result = csr_matrix((weights, indices, firsts), shape=scores.shape)
    result.eliminate_zeros()
    return result, values


def combine_rows(weights, X):
    if issparse(X):
        return csr_matrix(weights @ X)
    if weights.nnz > _DENSE_SHARE * weights.shape[0] * weights.shape[1]:
        return weights.toarray() @ X
    return weights @ X


def convert_to_format_of(X, like):
    if issparse(like):
        return X if issparse(X) else csr_matrix(X)
    return X.toarray() if issparse(X) else X


def copy_matrix(X):
    if not issparse(X):
        return np.array(X, order="C")
    X = csr_matrix(X, copy=True)
    X.eliminate_zeros()
    return X


def binarize(X, threshold):
    if not issparse(X):
        return (threshold <= X).astype(X.dtype)
    reached = X.copy()
    reached.data = (threshold <= X.data).astype(X.dtype)
    reached.eliminate_zeros()
    return reached


def row_hashes(X):
    # Integer sums with overflow do not depend on their order. `_convert_to_bits` maps both zeros to one.
    factors = np.random.default_rng(0).integers(2**63, size=X.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    if issparse(X):
        sums = np.zeros(X.nnz + 1, np.uint64)
        np.cumsum(_convert_to_bits(X.data) * factors[X.indices], out=sums[1:])
        return sums[X.indptr[1:]] - sums[X.indptr[:-1]]
    return _convert_to_bits(X) @ factors


def count_pairs(X, columns):
    by_column, columns = X.tocsc(), _as_c_order(np.asarray(columns, np.int64))
    starts = by_column.indptr.astype(np.int64)
    entries = kernels_subsets.ColumnEntries(starts, view_read_only(by_column.indices), X.shape[0])
    counts = np.zeros((*columns.shape, columns.shape[1]), np.int32)
    n_entries = int(np.diff(starts)[columns[columns >= 0]].sum())
    threads.run(kernels_subsets.count_pairs, len(columns), n_entries * _SCATTERED, entries, columns, counts)
    return counts


def choose_subsets(columns, scores, counts, n_rows, n, *, objective, n_rounds):
    columns, scores = _as_c_order(np.asarray(columns, np.int64)), _as_c_order(np.asarray(scores, np.float64))
    chosen = (columns >= 0) & (np.arange(columns.shape[1]) < n)
    tolerance = shared.rounding_tolerance(np.float64)
    search = kernels_subsets.SubsetSearch(int(n), *map(float, objective), int(n_rounds), tolerance)
    groups = kernels_subsets.CandidateGroups(columns, scores, counts, int(n_rows))
    kernels_subsets.choose_subsets(groups, search, chosen)
    return chosen


def warmup(*, row_by_row=False, memory=True):
    """Compile kernels for the usual types: float32 and float64 values, int32 indices."""
    rows = np.arange(3)
    for dtype in (np.float32, np.float64):
        dense = np.eye(3, dtype=dtype)
        index = top_k(dense, 2)
        softmax(dense)
        weight = np.ones(index.shape, dtype)
        if memory:
            _warm_up_memory(dense, index, weight)
        for X in (dense, csr_matrix(dense)):
            similarity(X, dense)
            find_nearest(X, dense, dense[0], 2)
            accumulate(np.ones_like(dense), X)
            take_rows(X, rows)
            row_norms(X)
            for order in "CF":
                scatter_rows(np.zeros((3, 3), dtype, order), index, weight, X)
            if row_by_row:
                selection = {"handicap": dense[0], "n_active": 1, "threshold": -1, "signed": True}
                rotate_to_rows(dense, X, dense[0], 0.1, **selection)
        blend_directions(dense.copy(order="F"), dense[0], dense)
        gather_rows(index, weight, dense)
        _warm_up_likelihood(dense)
    counts = count_pairs(csr_matrix(np.eye(3)), rows[None])
    choose_subsets(rows[None], np.ones((1, 3)), counts, 3, 2, objective=(1.0, 1.0, 1.0), n_rounds=1)


def _warm_up_likelihood(dense):
    weight = np.ones(3)
    words = weigh_entries(csr_matrix(dense), weight, 1.0)
    sum_column_logs(words, weight, weight > 0)
    compute_log_lifts(dense, dense[0], np.arange(3), 1.0, 1.0, 1.0)
    accumulate(np.eye(8, 3, dtype=dense.dtype)[:3] * dense[0], words)
    compute_responsibilities(dense.copy(), 1.0, dense[0], 1.0)
    fold_in(words, dense[0], dense, dense.copy(), dense, n_steps=1, least=0.0)
    decay_and_add(dense, dense[0], np.arange(3), dense, dense[0])


def _warm_up_memory(dense, index, weight):
    sparse = csr_matrix(dense)
    postings = build_postings(sparse)
    score_postings(sparse, postings)
    search_postings(sparse, postings, 2)
    separate(dense, 1.0, "sparsemax")
    gather_largest(index, weight, sparse, 2)
    chosen_products(sparse, sparse, index)
    largest_entries(sparse, 2)


def _take_dense_rows(X, rows):
    # `take` is several times faster than indexing for short rows, but would copy an array that is not in C order.
    return X[rows] if isinstance(rows, slice) or not X.flags.c_contiguous else X.take(rows, axis=0)


def _read_only_arrays(X):
    """Return the arrays of a CSR matrix or a view of one as read-only views."""
    return CSRArrays(*map(view_read_only, csr_arrays(X)))


def _build_csr(form, arrays, n_features):
    """Build a CSR matrix of arrays without a copy; its constructor would copy a small part of a large array."""
    X = form((len(arrays[2]) - 1, n_features), dtype=arrays[0].dtype)
    X.data, X.indices, X.indptr = arrays
    return X


def _learn_row_by_row(W, X, scale, rate, *, handicap, n_active, threshold, signed, rotate):
    learned = np.array(W, order="C")
    scale, handicap = np.asarray(scale, W.dtype), np.asarray(handicap, W.dtype)
    rule = kernels_online.LearningRule(
        scale, float(rate), handicap, int(n_active), float(threshold), bool(signed), rotate
    )
    if is_sparse(X):
        kernels_online.learn_sparse(csr_arrays(X), learned, rule)
    else:
        kernels_online.learn_dense(_as_c_order(X), learned, rule)
    return learned


def _convert_to_bits(a):
    """Return the bits of floats as uint64; negative zero has the bits of zero."""
    return (np.ascontiguousarray(a) + a.dtype.type(0)).view(f"u{a.dtype.itemsize}").astype(np.uint64)


def _as_c_order(a):
    """Return `a` in C order, so that a kernel is compiled for one layout only."""
    return np.ascontiguousarray(a)


def _sort_by_owner(index, n_owners):
    """Return the stable argsort of the flattened `index`, and where each value begins in it."""
    flat = _as_c_order(index).ravel()
    order, starts = np.empty(len(flat), np.int64), np.zeros(n_owners + 1, np.int64)
    kernels_rows.sort_by_owner(flat, order, starts)
    return order, starts
