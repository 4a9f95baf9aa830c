"""A kernel that sums chosen rows of a CSR matrix and keeps the largest entries of each sum."""

from __future__ import annotations

import numpy as np

from codebooks.ops.compiler import compiled


@compiled
def gather_largest(start, stop, index, weight, starts, stops, indices, data, n_columns, columns, values, counts):
    """Fill `columns[i]`, rising, and `values[i]` with the largest positive entries of sum i; `counts[i]` says how many.

    Equal entries go to the lower column.
    """
    n_kept = columns.shape[1]
    sums = np.zeros(n_columns, values.dtype)
    seen = np.zeros(n_columns, np.bool_)
    touched = np.empty(n_columns, np.int64)
    for i in range(start, stop):
        n_touched = 0
        for m in range(index.shape[1]):
            w = weight[i, m]
            if w == 0:
                continue
            row = index[i, m]
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
            if value <= 0:
                continue
            if n == n_kept and not _comes_before(value, c, values[i, n - 1], columns[i, n - 1]):
                continue
            place = min(n, n_kept - 1)
            while place > 0 and _comes_before(value, c, values[i, place - 1], columns[i, place - 1]):
                values[i, place], columns[i, place] = values[i, place - 1], columns[i, place - 1]
                place -= 1
            values[i, place], columns[i, place] = value, c
            n = min(n + 1, n_kept)
        counts[i] = n
        _sort_by_column(columns[i], values[i], n)


@compiled
def _comes_before(value, column, other, other_column):
    return value > other or (value == other and column < other_column)


@compiled
def _sort_by_column(columns, values, n):
    for t in range(1, n):
        column, value, place = columns[t], values[t], t
        while place > 0 and columns[place - 1] > column:
            columns[place], values[place] = columns[place - 1], values[place - 1]
            place -= 1
        columns[place], values[place] = column, value
