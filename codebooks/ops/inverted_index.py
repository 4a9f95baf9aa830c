"""An inverted index on the CPU: for every column of a CSR matrix, which rows hold it and with which value.

Products with sparse queries walk down the columns that a query names, a block of rows at a time, so that the sums stay
in the cache that is nearest. A column that many rows hold is kept a second time, with its zeros: it is added without
jumps, and to a few rows as easily as to all. `best` does that only for rows that it could lift among the best.

A sum has its terms in a fixed order: columns kept once, then columns kept with zeros, each in the order of the query.
`match` and `best` therefore find the same bits, with any number of threads.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse

from codebooks.ops import Postings, threads
from codebooks.ops.compiler import compile_kernel as _compiled
from codebooks.ops.compiler import view_read_only

# A column is kept with its zeros too where more than one row in so many holds it.
_COMMON = 3
# Rows whose sums are made at a time.
_BLOCK = 8192
# Of these, rows that are looked at together.
_CHUNK = 32
# The common columns are added to a whole block where more than one row in so many of it asks for them.
_WORTH_ALL = 64
# What a term costs in a step that jumps through memory, in steps of a vectorised loop.
_SCATTERED = 8


def build_postings(X):
    """Body of `codebooks.ops.build_postings`."""
    if not issparse(X):
        return X
    n_rows, n_columns = X.shape
    columns = X.tocsc()
    if not columns.has_canonical_format:  # a row that names a column twice has the sum of both
        columns.sum_duplicates()
    starts = columns.indptr.astype(np.int64)
    rows = columns.indices.astype(np.int64 if n_rows > np.iinfo(np.int32).max else np.int32, copy=False)
    counts = np.diff(starts)
    highest, lowest = np.zeros(n_columns, X.dtype), np.zeros(n_columns, X.dtype)
    held = np.flatnonzero(counts)
    if len(held):
        highest[held] = np.maximum(np.maximum.reduceat(columns.data, starts[held]), 0)
        lowest[held] = np.minimum(np.minimum.reduceat(columns.data, starts[held]), 0)
    common = np.flatnonzero(counts * _COMMON > n_rows)
    line, table = np.full(n_columns, -1, np.int32), np.zeros((len(common), n_rows), X.dtype)
    line[common] = np.arange(len(common))
    for values, column in zip(table, common, strict=True):
        held = slice(starts[column], starts[column + 1])
        values[rows[held]] = columns.data[held]
    return Postings(*map(view_read_only, (starts, rows, columns.data, highest, lowest, line, table)))


def score_postings(Q, postings):
    """Body of `codebooks.ops.score_postings`."""
    if not isinstance(postings, Postings):
        return Q @ postings.T
    queries, index, n_steps = _prepare_kernel_arrays(Q, postings)
    out = np.empty((Q.shape[0], postings.table.shape[1]), postings.values.dtype)
    threads.run(_score_queries, len(out), n_steps, *queries, *index, out)
    return out


def search_postings(Q, postings, k):
    """Body of `codebooks.ops.search_postings`."""
    queries, index, n_steps = _prepare_kernel_arrays(Q, postings)
    n_rows, dtype = postings.table.shape[1], postings.values.dtype
    shape = Q.shape[0], min(int(k), n_rows)
    found, score = np.full(shape, -1, np.int64), np.full(shape, -np.inf, dtype)
    if found.size:
        threads.run(_search_queries, len(found), n_steps, *queries, *index, found, score)
    return found, score


def _prepare_kernel_arrays(Q, postings):
    """The arrays that kernels read, each of one type, and about how many steps the products take."""
    indices = Q.indices.astype(np.int64)
    queries = Q.indptr.astype(np.int64), indices, Q.data.astype(postings.values.dtype)
    counts = postings.starts[indices + 1] - postings.starts[indices]
    n_steps = _SCATTERED * int(counts.sum()) + Q.shape[0] * postings.table.shape[1] // _CHUNK
    return queries, tuple(map(view_read_only, postings)), n_steps


@_compiled
def _split_query(first, last, columns, weights, starts, line, highest, lowest, at, weight):
    """Tell the columns of a query apart: `at[0]` and `at[1]` become where those kept once start and stop, `at[2]` the
    lines of the others, and `weight[0]` and `weight[1]` their weights.

    Returns how many these are, how much the others add to a sum at most, and how large their terms are together.
    """
    n_once = n_common = 0
    most = size = 0.0
    for p in range(first, last):
        c, w = columns[p], weights[p]
        if line[c] < 0:
            at[0, n_once], at[1, n_once], weight[0, n_once] = starts[c], starts[c + 1], w
            n_once += 1
        else:
            at[2, n_common], weight[1, n_common] = line[c], w
            n_common += 1
            high, low = np.float64(w) * highest[c], np.float64(w) * lowest[c]
            most += max(high, low)
            size += max(abs(high), abs(low))
    return n_once, n_common, most, size


@_compiled
def _add_rare_columns(sums, base, last, rows, values, at, weight, n_once):
    """Add the columns kept once to the sums of the rows from `base` to `last`; return how many terms that were."""
    n_terms = 0
    for t in range(n_once):
        start, stop, w = at[0, t], at[1, t], weight[0, t]
        held, value = rows[start:stop], values[start:stop]
        p = 0
        # Rows of a column differ, so that four sums can be read before the first is written.
        while p + 4 <= len(held) and held[p + 3] < last:
            a, b = _offset(held[p], base), _offset(held[p + 1], base)
            c, d = _offset(held[p + 2], base), _offset(held[p + 3], base)
            sum_a, sum_b = sums[a] + w * value[p], sums[b] + w * value[p + 1]
            sum_c, sum_d = sums[c] + w * value[p + 2], sums[d] + w * value[p + 3]
            sums[a], sums[b], sums[c], sums[d] = sum_a, sum_b, sum_c, sum_d
            p += 4
        while p < len(held) and held[p] < last:
            sums[_offset(held[p], base)] += w * value[p]
            p += 1
        at[0, t] = start + p
        n_terms += p
    return n_terms


@_compiled
def _offset(row, base):
    """Where the sum of a row is; a number without a sign needs no check whether it counts from the end."""
    return np.uint64(row - base)


@_compiled
def _add_common_columns(sums, base, last, table, at, weight, n_common):
    """Add the columns kept with zeros to the sums of the rows from `base` to `last`."""
    for t in range(n_common):
        column, w = table[at[2, t], base:last], weight[1, t]
        for j in range(len(column)):
            sums[j] += w * column[j]


@_compiled
def _finish_sum(value, row, table, at, weight, n_common):
    """The sum of one row, after the columns kept with zeros are added to `value`."""
    for t in range(n_common):
        value += weight[1, t] * table[at[2, t], row]
    return value


@_compiled
def _count_longest_row(indptr, start, stop):
    longest = 0
    for i in range(start, stop):
        longest = max(longest, indptr[i + 1] - indptr[i])
    return longest


@_compiled
def _score_queries(start, stop, indptr, columns, weights, starts, rows, values, highest, lowest, line, table, out):
    n_rows = out.shape[1]
    longest = _count_longest_row(indptr, start, stop)
    at, weight = np.empty((3, longest), np.int64), np.empty((2, longest), values.dtype)
    for i in range(start, stop):
        n_once, n_common, _, _ = _split_query(
            indptr[i], indptr[i + 1], columns, weights, starts, line, highest, lowest, at, weight
        )
        for base in range(0, n_rows, _BLOCK):
            last = min(base + _BLOCK, n_rows)
            sums = out[i, base:last]
            for j in range(len(sums)):
                sums[j] = 0
            _add_rare_columns(sums, base, last, rows, values, at, weight, n_once)
            _add_common_columns(sums, base, last, table, at, weight, n_common)


@_compiled
def _search_queries(
    start, stop, indptr, columns, weights, starts, rows, values, highest, lowest, line, table, index, score
):
    n_rows = table.shape[1]
    longest = _count_longest_row(indptr, start, stop)
    at, weight = np.empty((3, longest), np.int64), np.empty((2, longest), values.dtype)
    block = np.empty(min(_BLOCK, n_rows), values.dtype)
    for i in range(start, stop):
        n_once, n_common, most, size = _split_query(
            indptr[i], indptr[i + 1], columns, weights, starts, line, highest, lowest, at, weight
        )
        for base in range(0, n_rows, _BLOCK):
            last = min(base + _BLOCK, n_rows)
            sums = block[: last - base]
            for j in range(len(sums)):
                sums[j] = 0
            n_terms = _add_rare_columns(sums, base, last, rows, values, at, weight, n_once)
            limit = _compute_limit(score[i, 0], n_common, most, size)
            if n_terms == 0 and limit >= 0:
                continue
            n_above, n_late = _count_above(sums, limit), n_common
            if n_above * _WORTH_ALL > len(sums):
                _add_common_columns(sums, base, last, table, at, weight, n_common)
                n_late = 0
            if n_above > 0:
                _update_heap(sums, base, table, at, weight, n_late, most, size, score[i], index[i])
        _sort_heap(score[i], index[i])


@_compiled
def _update_heap(sums, base, table, at, weight, n_common, most, size, score, index):
    """Take the rows of a block among the best that belong there, after the common columns are added.

    The best are a heap with the worst of them on top; at first it is full of nothing, which is worse than any row.
    """
    limit = _compute_limit(score[0], n_common, most, size)
    for start in range(0, len(sums), _CHUNK):
        chunk = sums[start : start + _CHUNK]
        if _count_above(chunk, limit) == 0:
            continue
        for j in range(len(chunk)):
            if chunk[j] > limit:
                row = base + start + j
                value = _finish_sum(chunk[j], row, table, at, weight, n_common)
                if value > score[0]:
                    _sift_down(score, index, len(score), value, row)
                    limit = _compute_limit(score[0], n_common, most, size)


@_compiled
def _compute_limit(worst, n_common, most, size):
    """What a sum has to be above for the common columns to lift it above the worst; rounding is allowed for."""
    if n_common == 0:
        return worst
    slack = (4 * n_common + 8) * np.finfo(type(worst)).eps * (abs(np.float64(worst)) + size)
    return type(worst)(worst - most - slack)


@_compiled
def _count_above(sums, limit):
    n = np.int32(0)
    for j in range(len(sums)):
        n += np.int32(sums[j] > limit)
    return n


@_compiled
def _is_worse(a, i, b, j):
    """Whether score `a` of row `i` comes after score `b` of row `j`; written without a jump that could be guessed."""
    return (a < b) | ((a == b) & (i > j))


@_compiled
def _sift_down(score, index, n, value, row):
    """Put a row in the place of the top of a heap of n, and then where it belongs."""
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


@_compiled
def _sort_heap(score, index):
    """Turn a heap into a list, the best first."""
    for last in range(len(score) - 1, 0, -1):
        value, row = score[last], index[last]
        score[last], index[last] = score[0], index[0]
        _sift_down(score, index, last, value, row)
