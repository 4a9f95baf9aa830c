"""Kernels of the two rules that learn an orthonormal codebook row by row. They run on one thread.

Units are rows of `W`, in C order, and change in place. A row of `X` is made dense and scaled before its turn, as a step
touches every feature anyway; a row with scale 0 is passed over. Both rules rest on `W` being orthonormal, and
`codebooks.ops` says what they compute.
"""

from __future__ import annotations

import numpy as np

from codebooks.ops.compiler import compile_kernel, compile_reordered_kernel

# So many rows are learned from before rounding errors in the orthonormality of `W` are taken out.
_REFRESH = 256
# A unit of which less than this share was left has lost digits, and rounding errors are taken out at once.
_TOO_LITTLE = 0.5
# Squared lengths below this are nothing, and squared sines closer than this to 1 are 1.
_NOTHING = 1e-12


@compile_reordered_kernel
def learn_sparse(starts, stops, indices, data, W, scale, rate, handicap, n_active, threshold, signed, rotate):
    """Learn from the rows of a CSR matrix: rotate towards each, or deflate it as published."""
    x, a, order, work = _allocate_workspace(W)
    for i in range(len(scale)):
        if scale[i] == 0:
            continue
        for p in range(starts[i], stops[i]):
            x[indices[p]] = scale[i] * data[p]
        square = 0.0
        for p in range(starts[i], stops[i]):
            square += np.float64(x[indices[p]]) ** 2
        for k in range(len(W)):
            total = W.dtype.type(0)
            for p in range(starts[i], stops[i]):
                total += W[k, indices[p]] * x[indices[p]]
            a[k] = total
        n_kept = _order_components(a, np.sqrt(square), handicap, n_active, threshold * scale[i], signed, order)
        _update_components(W, x, a, order, n_kept, rate, rotate, work)
        for p in range(starts[i], stops[i]):
            x[indices[p]] = 0
        if i % _REFRESH == _REFRESH - 1:
            _gram_schmidt(W)


@compile_reordered_kernel
def learn_dense(X, W, scale, rate, handicap, n_active, threshold, signed, rotate):
    """Learn from the rows of an array: rotate towards each, or deflate it as published."""
    x, a, order, work = _allocate_workspace(W)
    for i in range(len(scale)):
        if scale[i] == 0:
            continue
        for j in range(len(x)):
            x[j] = scale[i] * X[i, j]
        for k in range(len(W)):
            a[k] = _dot(W[k], x)
        length = np.sqrt(_dot(x, x))
        n_kept = _order_components(a, length, handicap, n_active, threshold * scale[i], signed, order)
        _update_components(W, x, a, order, n_kept, rate, rotate, work)
        if i % _REFRESH == _REFRESH - 1:
            _gram_schmidt(W)


@compile_kernel
def _allocate_workspace(W):
    """What the steps write to: a row, its projections, the units in order, and vectors for what lies between."""
    n_units, n_features = W.shape
    return (
        np.zeros(n_features, W.dtype),
        np.zeros(n_units, np.float64),
        np.zeros(n_units, np.int64),
        np.zeros((3, n_features), W.dtype),
    )


@compile_kernel
def _order_components(a, length, handicap, n_active, threshold, signed, order):
    """Sort units by what they keep of a row, those that keep something first; return how many these are.

    A negative `threshold` is none: then the `n_active` units that rank first keep their projection.
    """
    for k in range(len(a)):
        rank = (abs(a[k]) if signed else a[k]) - handicap[k] * length
        place = k
        while place > 0:
            other = order[place - 1]
            if rank <= (abs(a[other]) if signed else a[other]) - handicap[other] * length:
                break
            order[place] = other
            place -= 1
        order[place] = k
    n_kept = 0
    for m in range(len(a)):
        k = order[m]
        value = abs(a[k]) if signed else a[k]
        if (value >= threshold if threshold >= 0 else m < n_active) and (signed or value > 0):
            for place in range(m, n_kept, -1):
                order[place] = order[place - 1]
            order[n_kept] = k
            n_kept += 1
    return n_kept


@compile_reordered_kernel
def _update_components(W, x, a, order, n_kept, rate, rotate, work):
    if n_kept == 0:
        return
    if rotate:
        _rotate_components(W, x, a, order, n_kept, rate, work)
    elif _deflate_components(W, x, a, order, n_kept, rate, work) < _TOO_LITTLE:
        _gram_schmidt(W)


@compile_reordered_kernel
def _rotate_components(W, x, a, order, n_kept, rate, work):
    """Turn all units in the plane of what the kept ones explain of a row and what they leave, towards the latter."""
    explained, left, turn = work[0], work[1], work[2]
    _sum_components(W, a, order, n_kept, explained)
    for j in range(len(x)):
        left[j] = x[j] - explained[j]
    square = np.float64(_dot(explained, explained))
    if square == 0:
        return
    _add(left, -_dot(explained, left) / square, explained)  # orthogonal to the last digit
    length, rest = np.sqrt(square), np.sqrt(np.float64(_dot(left, left)))
    if rest <= _NOTHING * length:
        return
    angle = rate * length * rest
    along, across = -2 * np.sin(angle / 2) ** 2, np.sin(angle)  # cos(angle) - 1 keeps its digits this way
    for j in range(len(x)):
        turn[j] = W.dtype.type(along / length) * explained[j] + W.dtype.type(across / rest) * left[j]
    for m in range(n_kept):
        _add(W[order[m]], a[order[m]] / length, turn)
    for j in range(len(x)):
        turn[j] = W.dtype.type(along / rest) * left[j] - W.dtype.type(across / length) * explained[j]
    for m in range(n_kept, len(W)):
        _add(W[order[m]], a[order[m]] / rest, turn)


@compile_reordered_kernel
def _deflate_components(W, x, a, order, n_kept, rate, work):
    """One row of the published rule, with the visits to the units after the kept ones in closed form.

    Returns the least share of its squared length that such a unit had left after losing what it shared with others.

    The kept units move in the span of themselves and of the row: in coordinates of so many dimensions. What follows is
    Gram-Schmidt on units that were orthonormal before they lost `c_j p`, where p is the part in the new kept units of
    the direction e that the row has outside the old ones, and c_j the projection of unit j on e. Their Gram matrix is
    `I - |p|^2 c c'`, whose factor is known, so a unit costs one pass instead of one for each before it.
    """
    n_units, n_features = W.shape
    outside, shed, gathered = work[0], work[1], work[2]
    _sum_components(W, a, order, n_kept, shed)
    for j in range(n_features):
        outside[j] = x[j] - shed[j]
    for m in range(n_kept):  # again, as digits were lost
        _add(outside, -_dot(W[order[m]], outside), W[order[m]])
    square, whole = np.float64(_dot(outside, outside)), np.float64(_dot(x, x))
    beyond = np.sqrt(square) if square > _NOTHING * whole else 0.0
    if beyond > 0:
        for j in range(n_features):
            outside[j] *= W.dtype.type(1 / beyond)
    turned = _update_in_coordinates(a, order, n_kept, beyond, rate)
    _apply_coordinates(W, turned, order, n_kept, outside)

    sine = 0.0  # |p|^2
    shed[:] = 0
    for m in range(n_kept):
        sine += turned[m, n_kept] ** 2
        _add(shed, turned[m, n_kept], W[order[m]])
    if sine == 0:
        return 1.0
    gathered[:] = 0
    passed, least = 0.0, 1.0  # passed: sum of c_l^2 over the units visited so far
    for m in range(n_kept, n_units):
        unit = W[order[m]]
        c = a[order[m]] / beyond
        before = max(1 - sine * passed, _NOTHING)
        passed += c * c
        after = max(1 - sine * passed, _NOTHING)
        _remove_shared_part(unit, shed, gathered, c, sine / before, np.sqrt(before / after))
        least = min(least, after / before)
    return least


@compile_kernel
def _update_in_coordinates(a, order, n_kept, beyond, rate):
    """The rule for the kept units, in coordinates: the old ones and, last, the direction outside them."""
    C = np.zeros((n_kept, n_kept + 1))
    residual = np.zeros(n_kept + 1)
    for m in range(n_kept):
        C[m, m], residual[m] = 1, a[order[m]]
    residual[n_kept] = beyond
    for m in range(n_kept):
        for before in range(m):
            _add(C[m], -_dot(C[m], C[before]), C[before])
        _add(C[m], rate * _dot(C[m], residual), residual)
        length = np.sqrt(_dot(C[m], C[m]))
        if length > _NOTHING:  # else it has nowhere to go, and the retraction gives it a place
            for j in range(n_kept + 1):
                C[m, j] /= length
        _add(residual, -_dot(C[m], residual), C[m])
    return C


@compile_kernel
def _apply_coordinates(W, turned, order, n_kept, outside):
    """The kept units become combinations of what they were and of the direction outside."""
    old = np.empty((n_kept, W.shape[1]), W.dtype)
    for m in range(n_kept):
        old[m] = W[order[m]]
    for m in range(n_kept):
        unit = W[order[m]]
        share = W.dtype.type(turned[m, n_kept])
        for j in range(len(unit)):
            unit[j] = share * outside[j]
        other = 0
        while other + 4 <= n_kept:  # four at a time: the unit is read and written so many times less
            _add_four(unit, turned[m, other : other + 4], old[other : other + 4])
            other += 4
        while other < n_kept:
            _add(unit, turned[m, other], old[other])
            other += 1


@compile_kernel
def _remove_shared_part(unit, shed, gathered, c, part, stretch):
    """Take off a unit what it shares with all units visited before, whose sum weighted by their `c` is `gathered`."""
    kind = unit.dtype.type
    weight, bend, scale = kind(c), kind(c * part), kind(stretch)
    for j in range(len(unit)):
        lower = unit[j] - weight * shed[j]
        unit[j] = scale * (lower + bend * gathered[j])
        gathered[j] += weight * lower


@compile_reordered_kernel
def _gram_schmidt(W):
    """Take out of each unit what rounding has left in it of those before."""
    for k in range(len(W)):
        for before in range(k):
            _add(W[k], -_dot(W[before], W[k]), W[before])
        length = np.sqrt(np.float64(_dot(W[k], W[k])))
        if length > _NOTHING:
            scale = W.dtype.type(1 / length)
            for j in range(W.shape[1]):
                W[k, j] *= scale


@compile_kernel
def _sum_components(W, a, order, n_kept, out):
    """`out` becomes the sum of the kept units, weighted by their projections."""
    out[:] = 0
    for m in range(n_kept):
        _add(out, a[order[m]], W[order[m]])


@compile_kernel
def _add(out, weight, vector):
    share = out.dtype.type(weight)
    for j in range(len(out)):
        out[j] += share * vector[j]


@compile_kernel
def _add_four(out, weights, vectors):
    kind = out.dtype.type
    a, b, c, d = kind(weights[0]), kind(weights[1]), kind(weights[2]), kind(weights[3])
    for j in range(len(out)):
        out[j] += (a * vectors[0, j] + b * vectors[1, j]) + (c * vectors[2, j] + d * vectors[3, j])


@compile_reordered_kernel
def _dot(a, b):
    total = a.dtype.type(0)
    for j in range(len(a)):
        total += a[j] * b[j]
    return total
