"""Kernels that turn each row of scores into weights: softmax, sparsemax, 1.5-entmax and the maximum.

A weight can be positive only if the score lies within a known margin of the largest of its row. The first pass finds
the largest score and counts the candidates within the margin; the second computes the weights of the candidates. The
sparse kinds solve `sum over j of [x_j - tau]_+^r = 1`, with r = 1 and x = z for sparsemax (Martins and Astudillo 2016),
r = 2 and x = z / 2 for 1.5-entmax (Peters, Niculae and Martins 2019). The left side is convex and decreasing in tau, so
Newton's method, started below the solution, rises to it and never passes it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks.ops.compiler import compile_kernel
from codebooks.ops.shared import SEPARATIONS

SOFTMAX, ENTMAX15, MAX = (SEPARATIONS[kind] for kind in ("softmax", "entmax15", "max"))

# Newton steps; sparsemax needs one for each time that its support shrinks, 1.5-entmax about ten.
_MAX_STEPS = 100
# Newton's method has converged if tau, which lies within [-1, 0], changes by less than this.
_TOLERANCE = 1e-15


class Separation(NamedTuple):
    """How scores become weights."""

    margin: Any  # (n_rows,) largest distance of a candidate from the largest score of its row
    beta: Any  # (n_rows,)
    kind: int  # as in `shared.SEPARATIONS`


class Candidates(NamedTuple):
    """The candidates of each row: `indices[firsts[i]:firsts[i + 1]]`."""

    peaks: Any  # (n_rows,) largest score
    firsts: Any  # (n_rows + 1,)
    indices: Any


@compile_kernel
def find_candidates(start, stop, scores, separation, peaks, counts):
    """Find the largest score of each row, and count the scores within its margin."""
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
        elif separation.kind == MAX:
            counts[i] = 1
        else:
            lowest, count = peak - separation.margin[i], 0
            for j in range(n):
                count += 1 if scores[i, j] >= lowest else 0
            counts[i] = count


@compile_kernel
def weigh_candidates(start, stop, scores, separation, candidates, out):
    """Compute the weights of the candidates of each row, and the convex conjugate of the penalty; `out` has both."""
    weights, values = out
    for i in range(start, stop):
        first, last, peak = candidates.firsts[i], candidates.firsts[i + 1], candidates.peaks[i]
        if first == last:
            continue
        margin, beta = separation.margin[i], separation.beta[i]
        lowest, place = peak - (margin * abs(peak) if separation.kind == MAX else margin), first
        for j in range(scores.shape[1]):
            if scores[i, j] >= lowest:
                candidates.indices[place] = j
                place += 1
                if place == last:
                    break
        values[i] = peak
        if separation.kind == MAX:
            weights[first] = 1
            continue
        z = np.empty(last - first)
        for p in range(first, last):
            z[p - first] = beta * (np.float64(scores[i, candidates.indices[p]]) - np.float64(peak))
        values[i] += _compute_weights(z, separation.kind) / beta
        for p in range(first, last):
            weights[p] = z[p - first]


@compile_kernel
def _compute_weights(z, kind):
    """Replace scores, of which the largest is 0, by weights; return the convex conjugate of the penalty.

    The conjugate is `max over p of z'p - penalty(p)`. The penalty is the negative entropy, `(p'p - 1) / 2`, or
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
    factor = 0.5 if squared else 1.0
    tau = _find_threshold(z, factor, squared)
    gain = 0.0
    for m in range(len(z)):
        rest = max(factor * z[m] - tau, 0.0)
        p = rest * rest if squared else rest
        gain += p * z[m] - (4 / 3 * p * rest if squared else 0.5 * p * p)
        z[m] = p
        total += p
    for m in range(len(z)):
        z[m] /= total
    return gain + (4 / 3 if squared else 0.5)


@compile_kernel
def _find_threshold(z, factor, squared):
    tau = -1.0  # the largest score alone contributes 1 here, so this is not above the solution
    for _ in range(_MAX_STEPS):
        excess, slope = -1.0, 0.0
        for m in range(len(z)):
            rest = factor * z[m] - tau
            if rest > 0:
                excess += rest * rest if squared else rest
                slope += 2 * rest if squared else 1.0
        step = excess / slope
        if step <= _TOLERANCE:
            break
        tau += step
    return tau
