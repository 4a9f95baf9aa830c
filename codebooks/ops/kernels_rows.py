"""Kernels that sum, copy, weight and measure rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks.ops.compiler import compile_kernel

# Columns of a result that one piece of `accumulate` owns: whole cache lines, so that threads do not share any.
COLUMN_BLOCK = 16
# Features whose squares are summed before they are added to the total.
FEATURE_BLOCK = 128


class OwnedShares(NamedTuple):
    """Weights of rows, sorted by the output row that they are added to: those of k are at `firsts[k]:firsts[k + 1]`."""

    firsts: Any  # (n_owners + 1,)
    row: Any
    share: Any


@compile_kernel
def accumulate(start, stop, X, G, out):
    """Add `G.T X` for sparse rows to `out[feature, column]`, in blocks of `COLUMN_BLOCK` columns."""
    first, last = start * COLUMN_BLOCK, min(stop * COLUMN_BLOCK, out.shape[1])
    for i in range(len(X.starts)):
        for p in range(X.starts[i], X.stops[i]):
            j, x = X.indices[p], X.data[p]
            for k in range(first, last):
                out[j, k] += x * G[i, k]


@compile_kernel
def sort_by_owner(owner, order, firsts):
    """Fill `order` with the items sorted by owner, stably; those of owner k begin at `firsts[k]`."""
    for k in owner:
        firsts[k + 1] += 1
    for k in range(len(firsts) - 1):
        firsts[k + 1] += firsts[k]
    place = firsts.copy()
    for i in range(len(owner)):
        order[place[owner[i]]] = i
        place[owner[i]] += 1


@compile_kernel
def scatter_sparse(start, stop, shares, X, out):
    """Add weighted sparse rows to the rows `start` to `stop` of `out`."""
    for k in range(start, stop):
        for s in range(shares.firsts[k], shares.firsts[k + 1]):
            i, weight = shares.row[s], shares.share[s]  # read once: the compiler cannot exclude that `out` overlaps
            if weight != 0:
                for p in range(X.starts[i], X.stops[i]):
                    out[k, X.indices[p]] += weight * X.data[p]


@compile_kernel
def scatter_dense(start, stop, shares, X, out):
    """Add weighted dense rows to the rows `start` to `stop` of `out`."""
    for k in range(start, stop):
        for s in range(shares.firsts[k], shares.firsts[k + 1]):
            i, weight = shares.row[s], shares.share[s]
            if weight != 0:
                for j in range(out.shape[1]):
                    out[k, j] += weight * X[i, j]


@compile_kernel
def gather_rows(start, stop, index, weight, W, out):
    """Add to `out[i]` the rows `W[index[i]]`, weighted."""
    for i in range(start, stop):
        for m in range(index.shape[1]):
            k, share = index[i, m], weight[i, m]
            for j in range(out.shape[1]):
                out[i, j] += share * W[k, j]


@compile_kernel
def compute_sparse_row_norms(start, stop, starts, stops, data, out):
    """Compute the Euclidean norms of sparse rows; squares are summed in float64."""
    for i in range(start, stop):
        # Four independent sums, because each addition would wait for the one before.
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


@compile_kernel
def compute_dense_row_norms(start, stop, X, out):
    """Compute the Euclidean norms of dense rows in the same order of sums as `compute_sparse_row_norms`."""
    n_features = X.shape[1]
    for i in range(start, stop):
        a = b = c = d = 0.0
        j = 0
        while j + 4 <= n_features:
            xa, xb = np.float64(X[i, j]), np.float64(X[i, j + 1])
            xc, xd = np.float64(X[i, j + 2]), np.float64(X[i, j + 3])
            a, b, c, d = a + xa * xa, b + xb * xb, c + xc * xc, d + xd * xd
            j += 4
        while j < n_features:
            a += np.float64(X[i, j]) ** 2
            j += 1
        out[i] = np.sqrt((a + b) + (c + d))


@compile_kernel
def copy_rows(start, stop, X, new_starts, new_indices, new_data):
    """Copy the entries of sparse rows to their new places."""
    for i in range(start, stop):
        shift = new_starts[i] - X.starts[i]
        for p in range(X.starts[i], X.stops[i]):
            new_indices[p + shift], new_data[p + shift] = X.indices[p], X.data[p]


@compile_kernel
def blend(start, stop, columns, old, weight, squares):
    """Add `weight[k] * old[:, k]` to each column, and sum the squares of the result by block of features."""
    n_components = columns.shape[1]
    for block in range(start, stop):
        for j in range(block * FEATURE_BLOCK, min((block + 1) * FEATURE_BLOCK, len(columns))):
            for k in range(n_components):
                value = columns[j, k] + weight[k] * old[j, k]
                columns[j, k] = value
                squares[block, k] += value * value


@compile_kernel
def rescale(start, stop, columns, scale):
    """Multiply each column by its scale."""
    for j in range(start * FEATURE_BLOCK, min(stop * FEATURE_BLOCK, len(columns))):
        for k in range(columns.shape[1]):
            columns[j, k] *= scale[k]
