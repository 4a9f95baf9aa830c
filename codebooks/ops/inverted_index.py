"""An inverted index on the CPU: for every column of a CSR matrix, the rows that contain it and their values.

Products with sparse queries add the columns of the query for one block of rows at a time, so that the sums stay in the
nearest cache. A common column, contained in many rows, is also stored densely, with its zeros: it is added without
scattered access, to a few rows as easily as to all. `search_postings` adds it only to rows that may reach the top k.

A sum has its terms in a fixed order: rare columns, then common columns, each in the order of the query. Therefore
`score_postings` and `search_postings` give the same bits, with any number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from codebooks.ops import Postings, threads
from codebooks.ops.compiler import compile_kernel, view_read_only

# A column is common if more than one of this number of rows contains it.
_COMMON = 3
# Number of rows whose sums are computed at a time.
_BLOCK = 8192
# Number of rows of a block that are compared with the limit together.
_CHUNK = 32
# Common columns are added to a whole block if more than one of this number of its rows is above the limit.
_WORTH_ALL = 64
# Cost of a scattered memory access, in steps of a vectorised loop.
_SCATTERED = 8


class Queries(NamedTuple):
    """Arrays of a CSR matrix of queries."""

    indptr: Any
    columns: Any
    weights: Any


class QueryPlan(NamedTuple):
    """The columns of a query: where the rare ones start and stop in the postings, and the dense lines of the others."""

    at: Any  # (3, n): starts and stops of rare columns, lines of common columns
    weight: Any  # (2, n): weights of rare columns, weights of common columns


class CommonBound(NamedTuple):
    """What the common columns of a query can add to a sum."""

    n: int  # number of common columns
    most: float  # the largest possible sum of their terms
    size: float  # the largest possible sum of the absolute values of their terms


class Heap(NamedTuple):
    """The top k of a query, as a heap with the worst on top."""

    score: Any
    index: Any


def build_postings(X):
    """Body of `codebooks.ops.build_postings`."""
    if not issparse(X):
        return X
    n_rows, n_columns = X.shape
    columns = X.tocsc()
    if not columns.has_canonical_format:  # duplicate entries are summed
        columns.sum_duplicates()
    starts = columns.indptr.astype(np.int64)
    rows = columns.indices.astype(np.int64 if n_rows > np.iinfo(np.int32).max else np.int32, copy=False)
    counts = np.diff(starts)
    highest, lowest = np.zeros(n_columns, X.dtype), np.zeros(n_columns, X.dtype)
    used = np.flatnonzero(counts)
    if len(used):
        highest[used] = np.maximum(np.maximum.reduceat(columns.data, starts[used]), 0)
        lowest[used] = np.minimum(np.minimum.reduceat(columns.data, starts[used]), 0)
    common = np.flatnonzero(counts * _COMMON > n_rows)
    line, table = np.full(n_columns, -1, np.int32), np.zeros((len(common), n_rows), X.dtype)
    line[common] = np.arange(len(common))
    for values, column in zip(table, common, strict=True):
        entries = slice(starts[column], starts[column + 1])
        values[rows[entries]] = columns.data[entries]
    return Postings(*map(view_read_only, (starts, rows, columns.data, highest, lowest, line, table)))


def score_postings(Q, postings):
    """Body of `codebooks.ops.score_postings`."""
    if not isinstance(postings, Postings):
        return Q @ postings.T
    queries, postings, n_steps = _prepare_kernel_arrays(Q, postings)
    out = np.empty((Q.shape[0], postings.table.shape[1]), postings.values.dtype)
    threads.run(_score_queries, len(out), n_steps, queries, postings, out)
    return out


def search_postings(Q, postings, k):
    """Body of `codebooks.ops.search_postings`."""
    queries, postings, n_steps = _prepare_kernel_arrays(Q, postings)
    n_rows, dtype = postings.table.shape[1], postings.values.dtype
    shape = Q.shape[0], min(int(k), n_rows)
    index, score = np.full(shape, -1, np.int64), np.full(shape, -np.inf, dtype)
    if index.size:
        threads.run(_search_queries, len(index), n_steps, queries, postings, index, score)
    return index, score


def _prepare_kernel_arrays(Q, postings):
    """Return queries and postings with the types that kernels are compiled for, and an estimate of the steps."""
    indices = Q.indices.astype(np.int64)
    queries = Queries(Q.indptr.astype(np.int64), indices, Q.data.astype(postings.values.dtype))
    counts = postings.starts[indices + 1] - postings.starts[indices]
    n_steps = _SCATTERED * int(counts.sum()) + Q.shape[0] * postings.table.shape[1] // _CHUNK
    return queries, Postings(*map(view_read_only, postings)), n_steps


@compile_kernel
def _split_query(first, last, queries, postings, plan):
    """Write the rare and the common columns of a query to `plan`.

    Return the number of rare columns, and a bound of what the common ones can add.
    """
    at, weight = plan
    n_rare = n_common = 0
    most = size = 0.0
    for p in range(first, last):
        c, w = queries.columns[p], queries.weights[p]
        if postings.line[c] < 0:
            at[0, n_rare], at[1, n_rare], weight[0, n_rare] = postings.starts[c], postings.starts[c + 1], w
            n_rare += 1
        else:
            at[2, n_common], weight[1, n_common] = postings.line[c], w
            n_common += 1
            high, low = np.float64(w) * postings.highest[c], np.float64(w) * postings.lowest[c]
            most += max(high, low)
            size += max(abs(high), abs(low))
    return n_rare, CommonBound(n_common, most, size)


@compile_kernel
def _add_rare_columns(sums, base, last, postings, plan, n_rare):
    """Add the rare columns to the sums of the rows from `base` to `last`, and return the number of terms added."""
    at, weight = plan
    n_terms = 0
    for t in range(n_rare):
        start, stop, w = at[0, t], at[1, t], weight[0, t]
        row, value = postings.rows[start:stop], postings.values[start:stop]
        p = 0
        # The rows of a column differ, so four sums can be read before the first is written.
        while p + 4 <= len(row) and row[p + 3] < last:
            a, b = _offset(row[p], base), _offset(row[p + 1], base)
            c, d = _offset(row[p + 2], base), _offset(row[p + 3], base)
            sum_a, sum_b = sums[a] + w * value[p], sums[b] + w * value[p + 1]
            sum_c, sum_d = sums[c] + w * value[p + 2], sums[d] + w * value[p + 3]
            sums[a], sums[b], sums[c], sums[d] = sum_a, sum_b, sum_c, sum_d
            p += 4
        while p < len(row) and row[p] < last:
            sums[_offset(row[p], base)] += w * value[p]
            p += 1
        at[0, t] = start + p
        n_terms += p
    return n_terms


@compile_kernel
def _offset(row, base):
    """Return the place of a row in a block; an unsigned index needs no check for negative values."""
    return np.uint64(row - base)


@compile_kernel
def _add_common_columns(sums, base, last, table, plan, n_common):
    """Add the common columns to the sums of the rows from `base` to `last`."""
    for t in range(n_common):
        column, w = table[plan.at[2, t], base:last], plan.weight[1, t]
        for j in range(len(column)):
            sums[j] += w * column[j]


@compile_kernel
def _finish_sum(value, row, table, plan, n_common):
    """Return the sum of one row: `value` plus the common columns."""
    for t in range(n_common):
        value += plan.weight[1, t] * table[plan.at[2, t], row]
    return value


@compile_kernel
def _allocate_plan(queries, start, stop, postings):
    """Allocate a plan for the longest of some queries."""
    longest = 0
    for i in range(start, stop):
        longest = max(longest, queries.indptr[i + 1] - queries.indptr[i])
    return QueryPlan(np.empty((3, longest), np.int64), np.empty((2, longest), postings.values.dtype))


@compile_kernel
def _score_queries(start, stop, queries, postings, out):
    n_rows = out.shape[1]
    plan = _allocate_plan(queries, start, stop, postings)
    for i in range(start, stop):
        n_rare, bound = _split_query(queries.indptr[i], queries.indptr[i + 1], queries, postings, plan)
        for base in range(0, n_rows, _BLOCK):
            last = min(base + _BLOCK, n_rows)
            sums = out[i, base:last]
            for j in range(len(sums)):
                sums[j] = 0
            _add_rare_columns(sums, base, last, postings, plan, n_rare)
            _add_common_columns(sums, base, last, postings.table, plan, bound.n)


@compile_kernel
def _search_queries(start, stop, queries, postings, index, score):
    n_rows = postings.table.shape[1]
    plan = _allocate_plan(queries, start, stop, postings)
    block = np.empty(min(_BLOCK, n_rows), postings.values.dtype)
    for i in range(start, stop):
        n_rare, bound = _split_query(queries.indptr[i], queries.indptr[i + 1], queries, postings, plan)
        for base in range(0, n_rows, _BLOCK):
            last = min(base + _BLOCK, n_rows)
            sums = block[: last - base]
            for j in range(len(sums)):
                sums[j] = 0
            n_terms = _add_rare_columns(sums, base, last, postings, plan, n_rare)
            limit = _compute_limit(score[i, 0], bound)
            if n_terms == 0 and limit >= 0:
                continue
            n_above, n_missing = _count_above(sums, limit), bound.n
            if n_above * _WORTH_ALL > len(sums):
                _add_common_columns(sums, base, last, postings.table, plan, bound.n)
                n_missing = 0
            if n_above > 0:
                missing = CommonBound(n_missing, bound.most, bound.size)
                _update_heap(sums, base, postings.table, plan, missing, Heap(score[i], index[i]))
        _sort_heap(score[i], index[i])


@compile_kernel
def _update_heap(sums, base, table, plan, bound, heap):
    """Put the rows of a block that belong to the top k into the heap, after the common columns are added.

    The heap is initially filled with scores of -inf, which any row replaces.
    """
    score, index = heap
    limit = _compute_limit(score[0], bound)
    for start in range(0, len(sums), _CHUNK):
        chunk = sums[start : start + _CHUNK]
        if _count_above(chunk, limit) == 0:
            continue
        for j in range(len(chunk)):
            if chunk[j] > limit:
                row = base + start + j
                value = _finish_sum(chunk[j], row, table, plan, bound.n)
                if value > score[0]:
                    _sift_down(score, index, len(score), value, row)
                    limit = _compute_limit(score[0], bound)


@compile_kernel
def _compute_limit(worst, bound):
    """Return what a sum must exceed so that common columns can lift it above the worst; rounding is allowed for."""
    if bound.n == 0:
        return worst
    slack = (4 * bound.n + 8) * np.finfo(type(worst)).eps * (abs(np.float64(worst)) + bound.size)
    return type(worst)(worst - bound.most - slack)


@compile_kernel
def _count_above(sums, limit):
    n = np.int32(0)
    for j in range(len(sums)):
        n += np.int32(sums[j] > limit)
    return n


@compile_kernel
def _is_worse(a, i, b, j):
    """Return whether score `a` of row `i` ranks after score `b` of row `j`; branch-free."""
    return (a < b) | ((a == b) & (i > j))


@compile_kernel
def _sift_down(score, index, n, value, row):
    """Replace the top of a heap of n by a row, and restore the order of the heap."""
    place, below = np.uint64(0), np.uint64(1)
    one, n = np.uint64(1), np.uint64(n)
    while below < n:
        if below + one < n:
            below += np.uint64(_is_worse(score[below + one], index[below + one], score[below], index[below]))
        if not _is_worse(score[below], index[below], value, row):
            break
        score[place], index[place] = score[below], index[below]
        place, below = below, below + below + one
    score[place], index[place] = value, row


@compile_kernel
def _sort_heap(score, index):
    """Sort a heap, the best first."""
    for last in range(len(score) - 1, 0, -1):
        value, row = score[last], index[last]
        score[last], index[last] = score[0], index[0]
        _sift_down(score, index, last, value, row)
