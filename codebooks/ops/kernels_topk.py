"""Kernels that find the largest entries of rows of a CSR matrix and of weighted sums of such rows, and products."""

from __future__ import annotations

import numpy as np

from codebooks.ops.compiler import compile_kernel


@compile_kernel
def gather_largest(start, stop, index, weight, starts, stops, indices, data, n_columns, columns, values, counts):
    """Fill `columns[i]`, rising, and `values[i]` with the largest positive entries of sum i; `counts[i]` says how many.

    Equal entries go to the lower column.
    """
    sums = np.zeros(n_columns, values.dtype)
    seen = np.zeros(n_columns, np.bool_)
    touched = np.empty(n_columns, np.int64)
    for i in range(start, stop):
        n_touched = 0
        for m in range(index.shape[1]):
            row, w = index[i, m], weight[i, m]
            if row < 0 or w == 0:
                continue
            for p in range(starts[row], stops[row]):
                c = indices[p]
                if not seen[c]:
                    seen[c] = True
                    touched[n_touched] = c
                    n_touched += 1
                sums[c] += w * data[p]
        n = 0
        for t in range(n_touched):
            c = touched[t]
            value = sums[c]
            sums[c] = 0
            seen[c] = False
            n = _insert_entry(value, c, values[i], columns[i], n)
        counts[i] = n
        _sort_by_column(columns[i], values[i], n)


@compile_kernel
def chosen_products(
    start, stop, q_starts, q_stops, q_indices, q_data, starts, stops, indices, data, n_columns, index, out
):
    """Fill `out[i]` with the products of row i of the queries and the rows that `index[i]` names."""
    query = np.zeros(n_columns)
    for i in range(start, stop):
        for p in range(q_starts[i], q_stops[i]):
            query[q_indices[p]] = q_data[p]
        for m in range(index.shape[1]):
            row, total = index[i, m], 0.0
            if row >= 0:
                for p in range(starts[row], stops[row]):
                    total += query[indices[p]] * data[p]
            out[i, m] = total
        for p in range(q_starts[i], q_stops[i]):
            query[q_indices[p]] = 0


@compile_kernel
def largest_entries(start, stop, starts, stops, indices, data, columns, values):
    """Fill `columns[i]` and `values[i]` with the largest positive entries of row i, descending."""
    for i in range(start, stop):
        n = 0
        for p in range(starts[i], stops[i]):
            n = _insert_entry(data[p], indices[p], values[i], columns[i], n)


@compile_kernel
def _insert_entry(value, column, values, columns, n):
    """Take an entry among the n that are kept, where it belongs there; return how many are kept then."""
    n_kept = len(values)
    if value <= 0 or n_kept == 0:
        return n
    if n == n_kept and not _is_ranked_before(value, column, values[n - 1], columns[n - 1]):
        return n
    place = min(n, n_kept - 1)
    while place > 0 and _is_ranked_before(value, column, values[place - 1], columns[place - 1]):
        values[place], columns[place] = values[place - 1], columns[place - 1]
        place -= 1
    values[place], columns[place] = value, column
    return min(n + 1, n_kept)


@compile_kernel
def _is_ranked_before(value, column, other, other_column):
    return value > other or (value == other and column < other_column)


@compile_kernel
def _sort_by_column(columns, values, n):
    for t in range(1, n):
        column, value, place = columns[t], values[t], t
        while place > 0 and columns[place - 1] > column:
            columns[place], values[place] = columns[place - 1], values[place - 1]
            place -= 1
        columns[place], values[place] = column, value
