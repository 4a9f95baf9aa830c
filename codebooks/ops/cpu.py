"""CPU bodies of the primitives: SciPy and BLAS where they are good, Numba loops where those are better.

What each function promises stands in `codebooks.ops`. Kernels come last; each is a scalar loop over a range of items
whose results it owns, so any number of threads gives the same bits (see `threads`).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, issparse, vstack

from codebooks.ops import completion, separation, sequential, shared, threads
from codebooks.ops.compiler import compiled as _compiled
from codebooks.ops.compiler import read_only
from codebooks.ops.postings import best, invert, match
from codebooks.ops.views import RowView, parts, view

xp = np

# Results on the way that still stay near the processor.
_BLOCK_BYTES = 64 * 2**20
# Columns of a result that one piece of `accumulate` owns: whole cache lines, so that threads do not share any.
_COLUMN_BLOCK = 16
# Rows whose scores `nearest` adds up before they join the others.
_ROW_BLOCK = 64
# So many of these blocks of a dense X are multiplied at once.
_DENSE_BLOCKS = 64
# Features whose squares `blend_directions` adds up before they join the others.
_FEATURE_BLOCK = 128
# What a step that jumps through memory costs, in steps that do not.
_SCATTERED = 16
# What an exponential costs, in steps of a vectorised loop.
_EXPONENTIAL = 16
# Up to so many best of a row are found one after another.
_FEW = 4
# From this share of weights that are not zero on, BLAS with all of them is faster.
_DENSE_SHARE = 0.05


def to_device(a):
    return a


def synchronize(a):
    pass


def block_bytes(a):
    return _BLOCK_BYTES


def runs_ahead(a):
    return False


def similarity(X, Y):
    if issparse(Y):
        return (X @ Y.T).toarray() if issparse(X) else np.ascontiguousarray(similarity(Y, X).T)
    if not is_sparse(X):
        return X @ Y.T
    out = np.empty((X.shape[0], Y.shape[0]), np.result_type(X.dtype, Y.dtype))
    features_first = np.ascontiguousarray(Y.T)  # the innermost loop runs over the rows of Y
    threads.run(_similarity, X.shape[0], X.nnz * Y.shape[0], *parts(X), features_first, out)
    return out


def nearest(X, W, handicap, k):
    n_rows, dtype = X.shape[0], np.result_type(X.dtype, W.dtype)
    index, score = np.empty((n_rows, k), np.int64), np.empty((n_rows, k), dtype)
    # Totals of blocks of rows, added in order afterwards: the same bits for any number of threads.
    totals = np.zeros((-(-n_rows // _ROW_BLOCK), len(W)), dtype)
    norms = row_norms(X)
    rest = np.asarray(handicap, dtype), index, score, totals
    scale = shared.reciprocal(np, norms).astype(dtype)
    if is_sparse(X):
        features_first = np.ascontiguousarray(W.T)
        steps = X.nnz * len(W)
        threads.run(_nearest, len(totals), steps, *parts(X), features_first, scale, *rest)
    else:
        for first in range(0, len(totals), _DENSE_BLOCKS):
            last = min(first + _DENSE_BLOCKS, len(totals))
            products = _in_rows(X[first * _ROW_BLOCK : last * _ROW_BLOCK] @ W.T)
            threads.run(_nearest_of, last - first, products.size, products, first, scale, *rest)
    return index, score, norms, totals.sum(axis=0)


def blend_directions(out, weight, W):
    columns, old = out.T, W.T
    if not columns.flags.c_contiguous:
        columns = np.ascontiguousarray(columns)
    n_blocks = -(-len(columns) // _FEATURE_BLOCK)
    squares = np.zeros((n_blocks, len(out)), out.dtype)
    weight = np.asarray(weight, out.dtype)
    threads.run(_blend, n_blocks, out.size, columns, np.ascontiguousarray(old), weight, squares)
    norms = np.sqrt(squares.sum(axis=0, dtype=np.float64)).astype(out.dtype)
    scale = 1 / np.where(norms > 0, norms, 1)
    threads.run(_scale, n_blocks, out.size, columns, scale)
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
    n_blocks = -(-G.shape[1] // _COLUMN_BLOCK)
    threads.run(_accumulate, n_blocks, X.nnz * G.shape[1], *parts(X), _in_rows(G), out)
    return out.T


def softmax(scores):
    out = np.empty(scores.shape, scores.dtype)
    threads.run(_softmax, len(scores), _EXPONENTIAL * scores.size, _in_rows(scores), out)
    return out


def top_k(scores, k):
    out = np.empty((len(scores), k), np.int64)
    threads.run(_top_k, len(scores), scores.size, _in_rows(scores), out)
    return out


def scatter_rows(out, index, weight, X):
    order, starts = _sort_by_owner(index, len(out))
    row = order // index.shape[1]
    share = _in_rows(weight).ravel()[order]
    if is_sparse(X):
        steps = _SCATTERED * X.nnz * index.shape[1]
        threads.run(_scatter_sparse, len(out), steps, starts, row, share, *parts(X), out)
    else:
        threads.run(_scatter_dense, len(out), index.size * X.shape[1], starts, row, share, X, out)
    return out


def gather_rows(index, weight, W):
    out = np.zeros((len(index), W.shape[1]), np.result_type(weight.dtype, W.dtype))
    threads.run(_gather, len(out), index.size * W.shape[1], index, weight, _in_rows(W), out)
    return out


def gather_largest(index, weight, X, n):
    n_rows, n_kept = len(index), min(int(n), X.shape[1])
    columns, values = np.empty((n_rows, n_kept), np.int64), np.empty((n_rows, n_kept), X.dtype)
    counts = np.zeros(n_rows, np.int64)
    steps = _SCATTERED * index.size * (X.nnz // max(X.shape[0], 1))
    how = index, np.asarray(weight, X.dtype), *map(read_only, parts(X)), X.shape[1], columns, values, counts
    threads.run(completion.gather_largest, n_rows, steps, *how)
    kept = np.arange(n_kept) < counts[:, None]
    firsts = np.concatenate([[0], np.cumsum(counts)])
    return csr_matrix((values[kept], columns[kept], firsts), shape=(n_rows, X.shape[1]))


def sum_by_index(index, weight, n):
    return np.bincount(index, weights=weight, minlength=n)


def largest_entries(X, n):
    columns, values = np.full((X.shape[0], n), -1, np.int64), np.zeros((X.shape[0], n), X.dtype)
    how = *map(read_only, parts(X)), columns, values
    threads.run(completion.largest_entries, X.shape[0], _SCATTERED * X.nnz, *how)
    return columns, values


def minibatches(X, batches):
    for rows in batches:
        yield view_rows(X, rows)


def take_rows(X, rows):
    if not is_sparse(X):
        return X[rows]
    if isinstance(rows, slice):
        start, stop, _ = rows.indices(X.shape[0])
        stop = max(start, stop)
        first, last = X.indptr[start], X.indptr[stop]
        taken = X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first
        return _csr_of(type(X), taken, X.shape[1])
    chosen = view_rows(X, rows)
    indptr = np.zeros(len(rows) + 1, chosen.starts.dtype)
    np.cumsum(chosen.stops - chosen.starts, out=indptr[1:])
    indices, data = np.empty(indptr[-1], X.indices.dtype), np.empty(indptr[-1], X.dtype)
    threads.run(_take, len(rows), _SCATTERED * len(data), *parts(chosen), indptr, indices, data)
    return _csr_of(chosen.form, (data, indices, indptr), X.shape[1])


def view_rows(X, rows):
    if not is_sparse(X):
        return X[rows]
    return view(X, rows)


def stack_sparse(blocks):
    return csr_matrix(vstack([csr_matrix(block) for block in blocks]))


def stack_rows(blocks):
    return csr_matrix(vstack(blocks)) if issparse(blocks[0]) else np.concatenate(blocks)


def entries(X):
    return X.data if issparse(X) else X


def is_sparse(X):
    return isinstance(X, RowView) or issparse(X)


def as_matrix(X):
    if issparse(X):
        X = X if X.format == "csr" else csr_matrix(X)
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def cast(X, dtype):
    return X.astype(dtype, copy=False)


def scale_rows(X, scale):
    if not issparse(X):
        return X * scale[:, None]
    data = X.data * np.repeat(scale, np.diff(X.indptr))
    return _csr_of(type(X), (data, X.indices, X.indptr), X.shape[1])


def reciprocal(norms):
    return shared.reciprocal(np, norms)


def row_norms(X):
    if not is_sparse(X):
        return np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64)).astype(X.dtype)
    out = np.empty(X.shape[0], X.dtype)
    starts, stops, _, data = parts(X)
    threads.run(_row_norms, X.shape[0], 4 * X.nnz, starts, stops, data, out)
    return out


def nearest_orthonormal(M):
    with threads.blas_alone():
        return shared.nearest_orthonormal(np, M)


def pull_apart(W, amount):
    with threads.blas_alone():
        return shared.pull_apart(np, W, amount)


def principal_axes(C):
    with threads.blas_alone():
        return shared.principal_axes(np, C)


def rotate_to_rows(W, X, scale, rate, handicap, n_active, threshold, signed):
    return _learned_row_by_row(W, X, scale, rate, handicap, n_active, threshold, signed, rotate=True)


def deflate_by_rows(W, X, scale, rate, handicap, n_active, threshold, signed):
    return _learned_row_by_row(W, X, scale, rate, handicap, n_active, threshold, signed, rotate=False)


def separate(scores, beta, kind):
    n_rows, n_scores = scores.shape
    peaks, values = np.empty(n_rows, scores.dtype), np.zeros(n_rows, scores.dtype)
    firsts = np.zeros(n_rows + 1, np.int64)
    if n_scores:
        scores = _in_rows(scores)
        reach = scores.dtype.type(shared.reach(kind, beta, n_scores, scores.dtype))
        how = scores, reach, kind == "max", peaks, firsts[1:]
        threads.run(separation.find_candidates, n_rows, scores.size, *how)
    np.cumsum(firsts, out=firsts)
    indices, weights = np.empty(firsts[-1], np.int32), np.empty(firsts[-1], scores.dtype)
    if len(indices):
        how = scores, reach, float(beta), shared.SEPARATIONS[kind], peaks, firsts, indices, weights, values
        threads.run(separation.weigh_candidates, n_rows, scores.size + _EXPONENTIAL * len(indices), *how)
    found = csr_matrix((weights, indices, firsts), shape=scores.shape)
    found.eliminate_zeros()
    return found, values


def combine(weights, X):
    if issparse(X):
        return csr_matrix(weights @ X)
    if weights.nnz > _DENSE_SHARE * weights.shape[0] * weights.shape[1]:
        return weights.toarray() @ X
    return weights @ X


def in_form_of(X, like):
    if issparse(like):
        return X if issparse(X) else csr_matrix(X)
    return X.toarray() if issparse(X) else X


def own(X):
    if not issparse(X):
        return np.array(X, order="C")
    X = csr_matrix(X, copy=True)
    X.eliminate_zeros()
    return X


def ones_from(X, threshold):
    if not issparse(X):
        return (threshold <= X).astype(X.dtype)
    reached = X.copy()
    reached.data = (threshold <= X.data).astype(X.dtype)
    reached.eliminate_zeros()
    return reached


def row_hashes(X):
    # Sums of whole numbers that wrap around do not depend on their order. Adding 0.0 makes one zero of two.
    factors = np.random.default_rng(0).integers(2**63, size=X.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    if issparse(X):
        sums = np.zeros(X.nnz + 1, np.uint64)
        np.cumsum(_bits(X.data) * factors[X.indices], out=sums[1:])
        return sums[X.indptr[1:]] - sums[X.indptr[:-1]]
    return _bits(X) @ factors


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
            nearest(X, dense, dense[0], 2)
            accumulate(dense, X)
            take_rows(X, rows)
            row_norms(X)
            for order in "CF":
                scatter_rows(np.zeros((3, 3), dtype, order), index, weight, X)
            if row_by_row:
                rotate_to_rows(dense, X, dense[0], 0.1, dense[0], 1, -1, True)
        blend_directions(dense.copy(order="F"), dense[0], dense)
        gather_rows(index, weight, dense)


def _warm_up_memory(dense, index, weight):
    sparse = csr_matrix(dense)
    postings = invert(sparse)
    match(sparse, postings)
    best(sparse, postings, 2)
    separate(dense, 1.0, "sparsemax")
    gather_largest(index, weight, sparse, 2)
    largest_entries(sparse, 2)


def _csr_of(form, arrays, n_features):
    """A CSR matrix of these arrays; its constructor would copy a small part of a large array."""
    X = form((len(arrays[2]) - 1, n_features), dtype=arrays[0].dtype)
    X.data, X.indices, X.indptr = arrays
    return X


def _learned_row_by_row(W, X, scale, rate, handicap, n_active, threshold, signed, rotate):
    learned = np.array(W, order="C")
    scale, handicap = np.asarray(scale, W.dtype), np.asarray(handicap, W.dtype)
    how = learned, scale, float(rate), handicap, int(n_active), float(threshold), bool(signed), rotate
    if is_sparse(X):
        sequential.learn_sparse(*parts(X), *how)
    else:
        sequential.learn_dense(_in_rows(X), *how)
    return learned


def _bits(a):
    """The bits of floats, with those of one zero for both, as whole numbers."""
    return (np.ascontiguousarray(a) + a.dtype.type(0)).view(f"u{a.dtype.itemsize}").astype(np.uint64)


def _in_rows(a):
    """`a` in C order, so that a kernel is compiled for one layout only."""
    return np.ascontiguousarray(a)


def _sort_by_owner(index, n_owners):
    """Positions in the flattened `index`, sorted by the value there, equals in order; and where each value starts."""
    flat = _in_rows(index).ravel()
    order, starts = np.empty(len(flat), np.int64), np.zeros(n_owners + 1, np.int64)
    _counting_sort(flat, order, starts)
    return order, starts


@_compiled
def _score_row(i, starts, stops, indices, data, scale, features_first, row, values):
    """`values[row]` becomes the dot products of row i, times `scale`."""
    n_units = values.shape[1]
    for k in range(n_units):
        values[row, k] = 0
    p, last = starts[i], stops[i]
    # Eight features at a time, then two: `values` is read and written so many times less.
    while p + 8 <= last:
        a, b, c, d = indices[p], indices[p + 1], indices[p + 2], indices[p + 3]
        e, f, g, h = indices[p + 4], indices[p + 5], indices[p + 6], indices[p + 7]
        xa, xb, xc, xd = scale * data[p], scale * data[p + 1], scale * data[p + 2], scale * data[p + 3]
        xe, xf, xg, xh = scale * data[p + 4], scale * data[p + 5], scale * data[p + 6], scale * data[p + 7]
        for k in range(n_units):
            values[row, k] += (
                (xa * features_first[a, k] + xb * features_first[b, k])
                + (xc * features_first[c, k] + xd * features_first[d, k])
            ) + (
                (xe * features_first[e, k] + xf * features_first[f, k])
                + (xg * features_first[g, k] + xh * features_first[h, k])
            )
        p += 8
    while p + 2 <= last:
        a, b, xa, xb = indices[p], indices[p + 1], scale * data[p], scale * data[p + 1]
        for k in range(n_units):
            values[row, k] += xa * features_first[a, k] + xb * features_first[b, k]
        p += 2
    if p < last:
        a, xa = indices[p], scale * data[p]
        for k in range(n_units):
            values[row, k] += xa * features_first[a, k]


@_compiled
def _peak(work):
    """The largest entry. Four runners, since one would wait for itself at every step."""
    a = b = c = d = work[0]
    j = 0
    while j + 4 <= len(work):
        a, b, c, d = max(a, work[j]), max(b, work[j + 1]), max(c, work[j + 2]), max(d, work[j + 3])
        j += 4
    while j < len(work):
        a = max(a, work[j])
        j += 1
    return max(max(a, b), max(c, d))


@_compiled
def _holds(index, i, n, value):
    """Whether `value` is among the first n of `index[i]`."""
    for m in range(n):
        if index[i, m] == value:
            return True
    return False


@_compiled
def _choose(work, i, index):
    """`index[i]` becomes where `work` is largest, descending, ties to the lower index; `work` may lose its peaks."""
    n_units, n_best = len(work), index.shape[1]
    if n_best <= _FEW:
        # Taking the largest off again and again has no branch to guess wrong.
        for m in range(n_best):
            peak = _peak(work)
            place = np.int32(n_units)
            for j in range(np.int32(n_units)):
                place = min(place, np.int32(j) if work[j] == peak else np.int32(n_units))
            if peak == -np.inf or place == n_units:  # nothing finite is left: the lowest index that is not taken
                place = np.int32(0)
                while _holds(index, i, m, place):
                    place += np.int32(1)
            index[i, m] = place
            work[place] = -np.inf
        return
    n_kept = 0
    for j in range(n_units):
        value = work[j]
        if n_kept < n_best or value > work[index[i, n_best - 1]]:
            place = min(n_kept, n_best - 1)
            while place > 0 and value > work[index[i, place - 1]]:
                index[i, place] = index[i, place - 1]
                place -= 1
            index[i, place] = j
            n_kept = min(n_kept + 1, n_best)


@_compiled
def _nearest(start, stop, starts, stops, indices, data, features_first, scale, handicap, index, score, totals):
    n_units = totals.shape[1]
    values, work = np.empty((1, n_units), totals.dtype), np.empty(n_units, totals.dtype)
    for block in range(start, stop):
        for i in range(block * _ROW_BLOCK, min((block + 1) * _ROW_BLOCK, len(scale))):
            _score_row(i, starts, stops, indices, data, scale[i], features_first, 0, values)
            for j in range(n_units):
                totals[block, j] += values[0, j]
                work[j] = values[0, j] - handicap[j]
            _choose(work, i, index)
            for m in range(index.shape[1]):
                score[i, m] = values[0, index[i, m]]


@_compiled
def _nearest_of(start, stop, products, first, scale, handicap, index, score, totals):
    n_units = totals.shape[1]
    work = np.empty(n_units, totals.dtype)
    for block in range(first + start, first + stop):
        for i in range(block * _ROW_BLOCK, min((block + 1) * _ROW_BLOCK, len(scale))):
            row = i - first * _ROW_BLOCK
            for j in range(n_units):
                products[row, j] *= scale[i]
                totals[block, j] += products[row, j]
                work[j] = products[row, j] - handicap[j]
            _choose(work, i, index)
            for m in range(index.shape[1]):
                score[i, m] = products[row, index[i, m]]


@_compiled
def _top_k(start, stop, scores, out):
    work = np.empty(scores.shape[1], scores.dtype)
    for i in range(start, stop):
        for j in range(scores.shape[1]):
            work[j] = scores[i, j]
        _choose(work, i, out)


@_compiled
def _softmax(start, stop, scores, out):
    for i in range(start, stop):
        peak = scores[i, 0]
        for j in range(1, scores.shape[1]):
            peak = max(peak, scores[i, j])
        total = scores.dtype.type(0)
        for j in range(scores.shape[1]):
            # A row of nothing but -inf has no peak to be measured from, and no shares.
            out[i, j] = np.exp(scores[i, j] - peak) if peak > -np.inf else 0
            total += out[i, j]
        for j in range(scores.shape[1]):
            out[i, j] = out[i, j] / total if total > 0 else 0


@_compiled
def _similarity(start, stop, starts, stops, indices, data, features_first, out):
    for i in range(start, stop):
        _score_row(i, starts, stops, indices, data, data.dtype.type(1), features_first, i, out)


@_compiled
def _accumulate(start, stop, starts, stops, indices, data, G, out):
    first, last = start * _COLUMN_BLOCK, min(stop * _COLUMN_BLOCK, out.shape[1])
    for i in range(len(starts)):
        for p in range(starts[i], stops[i]):
            j, x = indices[p], data[p]
            for k in range(first, last):
                out[j, k] += x * G[i, k]


@_compiled
def _counting_sort(owner, order, firsts):
    for k in owner:
        firsts[k + 1] += 1
    for k in range(len(firsts) - 1):
        firsts[k + 1] += firsts[k]
    place = firsts.copy()
    for i in range(len(owner)):
        order[place[owner[i]]] = i
        place[owner[i]] += 1


@_compiled
def _scatter_sparse(start, stop, firsts, row, share, starts, stops, indices, data, out):
    for k in range(start, stop):
        for s in range(firsts[k], firsts[k + 1]):
            if share[s] != 0:
                for p in range(starts[row[s]], stops[row[s]]):
                    out[k, indices[p]] += share[s] * data[p]


@_compiled
def _scatter_dense(start, stop, firsts, row, share, X, out):
    for k in range(start, stop):
        for s in range(firsts[k], firsts[k + 1]):
            if share[s] != 0:
                for j in range(out.shape[1]):
                    out[k, j] += share[s] * X[row[s], j]


@_compiled
def _gather(start, stop, index, weight, W, out):
    for i in range(start, stop):
        for m in range(index.shape[1]):
            for j in range(out.shape[1]):
                out[i, j] += weight[i, m] * W[index[i, m], j]


@_compiled
def _row_norms(start, stop, starts, stops, data, out):
    for i in range(start, stop):
        # Four sums side by side, as each step would wait for the one before.
        a = b = c = d = 0.0
        p, last = starts[i], stops[i]
        while p + 4 <= last:
            xa, xb = np.float64(data[p]), np.float64(data[p + 1])
            xc, xd = np.float64(data[p + 2]), np.float64(data[p + 3])
            a, b, c, d = a + xa * xa, b + xb * xb, c + xc * xc, d + xd * xd
            p += 4
        while p < last:
            a += np.float64(data[p]) ** 2
            p += 1
        out[i] = np.sqrt((a + b) + (c + d))


@_compiled
def _take(start, stop, starts, stops, indices, data, new_starts, new_indices, new_data):
    for i in range(start, stop):
        shift = new_starts[i] - starts[i]
        for p in range(starts[i], stops[i]):
            new_indices[p + shift], new_data[p + shift] = indices[p], data[p]


@_compiled
def _blend(start, stop, columns, old, weight, squares):
    n_units = columns.shape[1]
    for block in range(start, stop):
        for j in range(block * _FEATURE_BLOCK, min((block + 1) * _FEATURE_BLOCK, len(columns))):
            for k in range(n_units):
                value = columns[j, k] + weight[k] * old[j, k]
                columns[j, k] = value
                squares[block, k] += value * value


@_compiled
def _scale(start, stop, columns, scale):
    for j in range(start * _FEATURE_BLOCK, min(stop * _FEATURE_BLOCK, len(columns))):
        for k in range(columns.shape[1]):
            columns[j, k] *= scale[k]
