"""Kernels that turn scores into weights: softmax, sparsemax, 1.5-entmax and the maximum, row by row.

A weight can be positive only where a score lies within a known distance of the best one of its row. So the first pass
finds the best score and counts what lies that near, and the second weighs these candidates alone. The sparse kinds
solve `sum over j of [x_j - tau]_+^r = 1`, with r = 1 and x = z for sparsemax (Martins and Astudillo 2016), r = 2 and
x = z / 2 for 1.5-entmax (Peters, Niculae and Martins 2019). That function is convex and falls, so Newton's steps from
its left side rise to the solution and never pass it.
"""

from __future__ import annotations

import numpy as np

from codebooks.ops.compiler import compile_kernel
from codebooks.ops.shared import SEPARATIONS

SOFTMAX, ENTMAX15, MAX = (SEPARATIONS[kind] for kind in ("softmax", "entmax15", "max"))

# Newton's steps; sparsemax needs one for each time that its support shrinks, 1.5-entmax about ten.
_MOST_STEPS = 100
# Below this change of tau, which lies within [-1, 0], nothing changes any more.
_SETTLED = 1e-15


@compile_kernel
def find_candidates(start, stop, scores, reach, only_one, peaks, counts):
    """The best score of each row, and how many scores lie within `reach` of it."""
    n = scores.shape[1]
    for i in range(start, stop):
        a = b = c = d = scores[i, 0]
        j = 0
        while j + 4 <= n:
            a, b = max(a, scores[i, j]), max(b, scores[i, j + 1])
            c, d = max(c, scores[i, j + 2]), max(d, scores[i, j + 3])
            j += 4
        while j < n:
            a = max(a, scores[i, j])
            j += 1
        peak = max(max(a, b), max(c, d))
        peaks[i] = peak
        if peak == -np.inf:
            counts[i] = 0
        elif only_one:
            counts[i] = 1
        else:
            lowest, count = peak - reach[i], 0
            for j in range(n):
                count += 1 if scores[i, j] >= lowest else 0
            counts[i] = count


@compile_kernel
def weigh_candidates(start, stop, scores, reach, beta, kind, peaks, firsts, indices, weights, values):
    """Weights of the candidates of each row, and the largest mean score that these can reach, less what they pay."""
    for i in range(start, stop):
        first, last = firsts[i], firsts[i + 1]
        if first == last:
            continue
        lowest, place = peaks[i] - (reach[i] * abs(peaks[i]) if kind == MAX else reach[i]), first
        for j in range(scores.shape[1]):
            if scores[i, j] >= lowest:
                indices[place] = j
                place += 1
                if place == last:
                    break
        values[i] = peaks[i]
        if kind == MAX:
            weights[first] = 1
            continue
        z = np.empty(last - first)
        for p in range(first, last):
            z[p - first] = beta[i] * (np.float64(scores[i, indices[p]]) - np.float64(peaks[i]))
        values[i] += _compute_weights(z, kind) / beta[i]
        for p in range(first, last):
            weights[p] = z[p - first]


@compile_kernel
def _compute_weights(z, kind):
    """Scores, of which the largest is 0, become weights in place; return the convex conjugate of the penalty at them.

    That is `max over p of z'p - penalty(p)`: of the negative entropy, of `(p'p - 1) / 2`, of
    `4/3 sum(p^1.5 - p)`.
    """
    total = 0.0
    if kind == SOFTMAX:
        for m in range(len(z)):
            z[m] = np.exp(z[m])
            total += z[m]
        for m in range(len(z)):
            z[m] /= total
        return np.log(total)
    squared = kind == ENTMAX15
    unit = 0.5 if squared else 1.0
    tau = _find_threshold(z, unit, squared)
    gain = 0.0
    for m in range(len(z)):
        rest = max(unit * z[m] - tau, 0.0)
        p = rest * rest if squared else rest
        gain += p * z[m] - (4 / 3 * p * rest if squared else 0.5 * p * p)
        z[m] = p
        total += p
    for m in range(len(z)):
        z[m] /= total
    return gain + (4 / 3 if squared else 0.5)


@compile_kernel
def _find_threshold(z, unit, squared):
    tau = -1.0  # the best score alone makes 1 here, so this is not past the solution
    for _ in range(_MOST_STEPS):
        excess, slope = -1.0, 0.0
        for m in range(len(z)):
            rest = unit * z[m] - tau
            if rest > 0:
                excess += rest * rest if squared else rest
                slope += 2 * rest if squared else 1.0
        step = excess / slope
        if step <= _SETTLED:
            break
        tau += step
    return tau
