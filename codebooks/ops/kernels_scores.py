"""Kernels that score rows against units, and choose the best."""

from __future__ import annotations

import numpy as np

from codebooks.ops.compiler import compile_kernel

# Rows whose scores are added up before they join the others.
ROW_BLOCK = 64
# Up to so many best of a row are found one after another, where a row has more than `_SHORT` scores.
_FEW = 4
_SHORT = 6
# Up to so many are kept in a list while they are found, and more in a heap.
_MANY = 256


@compile_kernel
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


@compile_kernel
def _find_max(work):
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


@compile_kernel
def _contains(index, i, n, value):
    """Whether `value` is among the first n of `index[i]`."""
    for m in range(n):
        if index[i, m] == value:
            return True
    return False


@compile_kernel
def _is_ranked_after(work, i, j):
    """Whether unit i has a place behind unit j; written without a jump that could be guessed."""
    return (work[i] < work[j]) | ((work[i] == work[j]) & (i > j))


@compile_kernel
def _sift_down(work, heap, place, n):
    """Move the unit at `place` of a heap of n, whose top is the last of them, down to where it belongs."""
    one, n, place = np.uint64(1), np.uint64(n), np.uint64(place)
    unit, below = heap[place], place + place + one
    while below < n:
        if below + one < n:
            below += np.uint64(_is_ranked_after(work, heap[below + one], heap[below]))
        if not _is_ranked_after(work, heap[below], unit):
            break
        heap[place] = heap[below]
        place, below = below, below + below + one
    heap[place] = unit


@compile_kernel
def _select_top_by_heap(work, best):
    """`best` becomes where `work` is largest, as in `_select_top`: a heap with the last of them on top, which is sorted."""
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
    """The least score that counts as equal to `peak`: see `shared.rounding_tolerance`. With a margin of 0, `peak` itself."""
    return peak - margin * (abs(peak) + size) if margin > 0 else peak


@compile_kernel
def _reorder_ties(work, best, margin, size):
    """Reorder `best`, sorted by score, so that among scores that count as equal the lower index comes first."""
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
        else:  # some that are equal were left out, and may have a lower index than those chosen
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
    """`index[i]` becomes where `work` is largest, descending, ties to the lower index; `work` may lose its peaks.

    Scores within `margin (|score| + size)` of the best that is left count as equal to it.
    """
    n_units, n_best = len(work), index.shape[1]
    if n_best <= _FEW and n_units > _SHORT:
        # Taking the largest off again and again has no branch to guess wrong.
        lowest = np.inf
        for m in range(n_best):
            peak = _find_max(work)
            if peak < lowest:  # all that were equal to the one before are taken
                lowest = _compute_tie_limit(peak, margin, size)
            place = np.int32(n_units)
            for j in range(np.int32(n_units)):
                place = min(place, np.int32(j) if work[j] >= lowest else np.int32(n_units))
            if peak == -np.inf or place == n_units:  # nothing finite is left: the lowest index that is not taken
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
        for j in range(n_units):
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
def find_nearest(
    start, stop, starts, stops, indices, data, features_first, scale, handicap, margin, size, index, score, totals
):
    """Score sparse rows, choose their best units by score minus handicap, and total the scores by block of rows."""
    n_units = totals.shape[1]
    values, work = np.empty((1, n_units), totals.dtype), np.empty(n_units, totals.dtype)
    for block in range(start, stop):
        for i in range(block * ROW_BLOCK, min((block + 1) * ROW_BLOCK, len(scale))):
            _score_row(i, starts, stops, indices, data, scale[i], features_first, 0, values)
            for j in range(n_units):
                totals[block, j] += values[0, j]
                work[j] = values[0, j] - handicap[j]
            _select_top(work, i, index, margin, size)
            for m in range(index.shape[1]):
                score[i, m] = values[0, index[i, m]]


@compile_kernel
def find_nearest_of_products(start, stop, products, first, scale, handicap, margin, size, index, score, totals):
    """As `find_nearest`, of rows whose products with the units are there already, from block `first` on."""
    n_units = totals.shape[1]
    work = np.empty(n_units, totals.dtype)
    for block in range(first + start, first + stop):
        for i in range(block * ROW_BLOCK, min((block + 1) * ROW_BLOCK, len(scale))):
            row, factor = i - first * ROW_BLOCK, scale[i]
            for j in range(n_units):
                value = factor * products[row, j]
                products[row, j] = value
                totals[block, j] += value
                work[j] = value - handicap[j]
            _select_top(work, i, index, margin, size)
            for m in range(index.shape[1]):
                score[i, m] = products[row, index[i, m]]


@compile_kernel
def top_k(start, stop, scores, out):
    """Where the largest scores of each row stand."""
    work = np.empty(scores.shape[1], scores.dtype)
    for i in range(start, stop):
        for j in range(scores.shape[1]):
            work[j] = scores[i, j]
        _select_top(work, i, out, work.dtype.type(0), work.dtype.type(0))


@compile_kernel
def softmax(start, stop, scores, out):
    """Shares of each row, measured from its peak."""
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


@compile_kernel
def similarity(start, stop, starts, stops, indices, data, features_first, out):
    """Dot products of sparse rows with all units."""
    for i in range(start, stop):
        _score_row(i, starts, stops, indices, data, data.dtype.type(1), features_first, i, out)
