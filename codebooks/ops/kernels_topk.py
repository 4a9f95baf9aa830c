"""Kernels for chosen rows of a CSR matrix: their largest entries, weighted sums of rows, and products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks.ops.compiler import compile_kernel


class ChosenRows(NamedTuple):
    """Rows of a matrix chosen for each output row, and the number of columns of that matrix; -1 stands for no row."""

    index: Any  # (n_rows, n_chosen)
    weight: Any  # (n_rows, n_chosen), or None where rows are not weighted
    n_columns: int


class LargestEntries(NamedTuple):
    """Output of `gather_largest`: the first `counts[i]` places of row i are used."""

    columns: Any
    values: Any
    counts: Any


@compile_kernel
def gather_largest(start, stop, chosen, X, out):
    """Sum the chosen rows of each output row with their weights, and store the largest positive entries by column.

    Equal entries go to the lower column.
    """
    index, weight = chosen.index, chosen.weight
    sums = np.zeros(chosen.n_columns, out.values.dtype)
    seen = np.zeros(chosen.n_columns, np.bool_)
    touched = np.empty(chosen.n_columns, np.int64)
    for i in range(start, stop):
        n_touched = 0
        for m in range(index.shape[1]):
            row, w = index[i, m], weight[i, m]
            if row < 0 or w == 0:
                continue
            for p in range(X.starts[row], X.stops[row]):
                c = X.indices[p]
                if not seen[c]:
                    seen[c] = True
                    touched[n_touched] = c
                    n_touched += 1
                sums[c] += w * X.data[p]
        n = 0
        for t in range(n_touched):
            c = touched[t]
            value = sums[c]
            sums[c] = 0
            seen[c] = False
            n = _insert_entry(value, c, out.values[i], out.columns[i], n)
        out.counts[i] = n
        _sort_by_column(out.columns[i], out.values[i], n)


@compile_kernel
def chosen_products(start, stop, Q, X, chosen, out):
    """Fill `out[i]` with the products of row i of `Q` with its chosen rows of `X`."""
    query = np.zeros(chosen.n_columns)
    for i in range(start, stop):
        for p in range(Q.starts[i], Q.stops[i]):
            query[Q.indices[p]] = Q.data[p]
        for m in range(chosen.index.shape[1]):
            row, total = chosen.index[i, m], 0.0
            if row >= 0:
                for p in range(X.starts[row], X.stops[row]):
                    total += query[X.indices[p]] * X.data[p]
            out[i, m] = total
        for p in range(Q.starts[i], Q.stops[i]):
            query[Q.indices[p]] = 0


@compile_kernel
def largest_entries(start, stop, X, columns, values):
    """Fill `columns[i]` and `values[i]` with the largest positive entries of row i, descending."""
    for i in range(start, stop):
        n = 0
        for p in range(X.starts[i], X.stops[i]):
            n = _insert_entry(X.data[p], X.indices[p], values[i], columns[i], n)


@compile_kernel
def _insert_entry(value, column, values, columns, n):
    """Insert an entry into a sorted list of n entries if it ranks high enough, and return the new length."""
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
