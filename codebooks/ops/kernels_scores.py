"""Kernels that score rows with components and select the largest scores."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks.ops.compiler import compile_kernel

# Rows whose scores are summed before they are added to the total.
ROW_BLOCK = 64
# At most this number of scores is selected one after another, if a row has more than `_SHORT` scores.
_FEW = 4
_SHORT = 6
# At most this number of selected scores is kept in a sorted list, more in a heap.
_MANY = 256


class Ranking(NamedTuple):
    """How components are ranked for each row; `margin` and `size` say which scores count as equal."""

    scale: Any  # (n_rows,) factor of the products of a row
    handicap: Any  # (n_components,) subtracted from the scores
    margin: Any  # see `shared.rounding_tolerance`
    size: Any  # largest absolute handicap


class NearestArrays(NamedTuple):
    """Output of `find_nearest`."""

    index: Any  # (n_rows, k)
    score: Any  # (n_rows, k)
    totals: Any  # (n_blocks, n_components)


@compile_kernel
def _score_row(i, X, scale, features_first, row, values):
    """Fill `values[row]` with the dot products of sparse row i and all components, times `scale`."""
    indices, data = X.indices, X.data
    n_components = values.shape[1]
    for k in range(n_components):
        values[row, k] = 0
    p, last = X.starts[i], X.stops[i]
    # Eight features at a time, then two, so that `values` is read and written less often.
    while p + 8 <= last:
        a, b, c, d = indices[p], indices[p + 1], indices[p + 2], indices[p + 3]
        e, f, g, h = indices[p + 4], indices[p + 5], indices[p + 6], indices[p + 7]
        xa, xb, xc, xd = scale * data[p], scale * data[p + 1], scale * data[p + 2], scale * data[p + 3]
        xe, xf, xg, xh = scale * data[p + 4], scale * data[p + 5], scale * data[p + 6], scale * data[p + 7]
        for k in range(n_components):
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
        for k in range(n_components):
            values[row, k] += xa * features_first[a, k] + xb * features_first[b, k]
        p += 2
    if p < last:
        a, xa = indices[p], scale * data[p]
        for k in range(n_components):
            values[row, k] += xa * features_first[a, k]


@compile_kernel
def _find_max(work):
    """Return the largest entry; four independent maxima are faster than one that depends on itself."""
    a = b = c = d = work[0]
    j = 0
    while j + 4 <= len(work):
        a, b, c, d = max(a, work[j]), max(b, work[j + 1]), max(c, work[j + 2]), max(d, work[j + 3])
        j += 4
    while j < len(work):
        a = max(a, work[j])
        j += 1
    return max(max(a, b), max(c, d))


@compile_kernel
def _contains(index, i, n, value):
    """Return whether `value` is among the first n entries of `index[i]`."""
    for m in range(n):
        if index[i, m] == value:
            return True
    return False


@compile_kernel
def _is_ranked_after(work, i, j):
    """Return whether component i ranks after component j; branch-free, because the branch would be mispredicted."""
    return (work[i] < work[j]) | ((work[i] == work[j]) & (i > j))


@compile_kernel
def _sift_down(work, heap, place, n):
    """Restore the order of a heap of n components, with the lowest-ranked on top, below `place`."""
    one, n, place = np.uint64(1), np.uint64(n), np.uint64(place)
    moved, below = heap[place], place + place + one
    while below < n:
        if below + one < n:
            below += np.uint64(_is_ranked_after(work, heap[below + one], heap[below]))
        if not _is_ranked_after(work, heap[below], moved):
            break
        heap[place] = heap[below]
        place, below = below, below + below + one
    heap[place] = moved


@compile_kernel
def _select_top_by_heap(work, best):
    """Fill `best` with the indices of the largest entries of `work` as in `_select_top`, by means of a heap."""
    n_best = len(best)
    for m in range(n_best):
        best[m] = m
    for m in range(n_best // 2 - 1, -1, -1):
        _sift_down(work, best, m, n_best)
    for j in range(n_best, len(work)):
        if work[j] > work[best[0]]:
            best[0] = j
            _sift_down(work, best, 0, n_best)
    for last in range(n_best - 1, 0, -1):
        best[0], best[last] = best[last], best[0]
        _sift_down(work, best, 0, last)


@compile_kernel
def _compute_tie_limit(peak, margin, size):
    """Return the lowest score that counts as equal to `peak`; with a margin of 0, `peak` itself."""
    return peak - margin * (abs(peak) + size) if margin > 0 else peak


@compile_kernel
def _reorder_ties(work, best, margin, size):
    """Reorder `best`, sorted by score, so that of scores that count as equal the lower index comes first."""
    first, n_best = 0, len(best)
    while first < n_best:
        peak = work[best[first]]
        lowest, last = _compute_tie_limit(peak, margin, size), first + 1
        while last < n_best and work[best[last]] >= lowest:
            last += 1
        n_reaching = np.int32(last)
        if last == n_best:
            n_reaching = np.int32(0)
            for j in range(len(work)):
                n_reaching += np.int32(work[j] >= lowest)
        if n_reaching == last:
            _sort(best, first, last)
        else:  # equal scores that were not selected may have a lower index
            place = first
            for j in range(len(work)):
                if lowest <= work[j] <= peak and place < n_best:
                    best[place] = j
                    place += 1
        first = last


@compile_kernel
def _sort(numbers, first, last):
    for t in range(first + 1, last):
        number, place = numbers[t], t
        while place > first and numbers[place - 1] > number:
            numbers[place] = numbers[place - 1]
            place -= 1
        numbers[place] = number


@compile_kernel
def _select_top(work, i, index, margin, size):
    """Fill `index[i]` with the indices of the largest entries of `work`, descending, ties to the lower index.

    Entries within `margin (|entry| + size)` of the largest remaining one count as equal to it. `work` is overwritten.
    """
    n_components, n_best = len(work), index.shape[1]
    if n_best <= _FEW and n_components > _SHORT:
        # Selecting the largest again and again has no branch that could be mispredicted.
        lowest = np.inf
        for m in range(n_best):
            peak = _find_max(work)
            if peak < lowest:  # all entries equal to the previous one are taken
                lowest = _compute_tie_limit(peak, margin, size)
            place = np.int32(n_components)
            for j in range(np.int32(n_components)):
                place = min(place, np.int32(j) if work[j] >= lowest else np.int32(n_components))
            if peak == -np.inf or place == n_components:  # only -inf is left: take the lowest free index
                place = np.int32(0)
                while _contains(index, i, m, place):
                    place += np.int32(1)
            index[i, m] = place
            work[place] = -np.inf
        return
    if n_best > _MANY:
        _select_top_by_heap(work, index[i])
    else:
        n_kept = 0
        for j in range(n_components):
            value = work[j]
            if n_kept < n_best or value > work[index[i, n_best - 1]]:
                place = min(n_kept, n_best - 1)
                while place > 0 and value > work[index[i, place - 1]]:
                    index[i, place] = index[i, place - 1]
                    place -= 1
                index[i, place] = j
                n_kept = min(n_kept + 1, n_best)
    if margin > 0:
        _reorder_ties(work, index[i], margin, size)


@compile_kernel
def find_nearest(start, stop, X, features_first, ranking, out):
    """Score sparse rows, select the best components of each by score minus handicap, and sum the scores of each."""
    index, score, totals = out
    n_components = totals.shape[1]
    values, work = np.empty((1, n_components), totals.dtype), np.empty(n_components, totals.dtype)
    for block in range(start, stop):
        for i in range(block * ROW_BLOCK, min((block + 1) * ROW_BLOCK, len(ranking.scale))):
            _score_row(i, X, ranking.scale[i], features_first, 0, values)
            for j in range(n_components):
                totals[block, j] += values[0, j]
                work[j] = values[0, j] - ranking.handicap[j]
            _select_top(work, i, index, ranking.margin, ranking.size)
            for m in range(index.shape[1]):
                score[i, m] = values[0, index[i, m]]


@compile_kernel
def find_nearest_of_products(start, stop, products, first, ranking, out):
    """Do the same as `find_nearest` for rows whose products with the components are given, from block `first` on."""
    index, score, totals = out
    n_components = totals.shape[1]
    work = np.empty(n_components, totals.dtype)
    for block in range(first + start, first + stop):
        for i in range(block * ROW_BLOCK, min((block + 1) * ROW_BLOCK, len(ranking.scale))):
            row, factor = i - first * ROW_BLOCK, ranking.scale[i]
            for j in range(n_components):
                value = factor * products[row, j]
                products[row, j] = value
                totals[block, j] += value
                work[j] = value - ranking.handicap[j]
            _select_top(work, i, index, ranking.margin, ranking.size)
            for m in range(index.shape[1]):
                score[i, m] = products[row, index[i, m]]


@compile_kernel
def top_k(start, stop, scores, out):
    """Fill each row of `out` with the indices of the largest scores."""
    work = np.empty(scores.shape[1], scores.dtype)
    for i in range(start, stop):
        for j in range(scores.shape[1]):
            work[j] = scores[i, j]
        _select_top(work, i, out, work.dtype.type(0), work.dtype.type(0))


@compile_kernel
def softmax(start, stop, scores, out):
    """Compute the softmax of each row relative to its largest score."""
    for i in range(start, stop):
        peak = scores[i, 0]
        for j in range(1, scores.shape[1]):
            peak = max(peak, scores[i, j])
        total = scores.dtype.type(0)
        for j in range(scores.shape[1]):
            # A row that contains only -inf becomes zeros.
            out[i, j] = np.exp(scores[i, j] - peak) if peak > -np.inf else 0
            total += out[i, j]
        for j in range(scores.shape[1]):
            out[i, j] = out[i, j] / total if total > 0 else 0


@compile_kernel
def similarity(start, stop, X, features_first, out):
    """Compute the dot products of sparse rows with all components."""
    for i in range(start, stop):
        _score_row(i, X, X.data.dtype.type(1), features_first, i, out)
