"""Kernels of the two algorithms that learn orthonormal components row by row, on one thread.

Components are rows of `W`, in C order, and are updated in place. Each row of `X` is scaled and made dense before its
update, because an update changes every feature anyway; a row with scale 0 is skipped. Both algorithms require
orthonormal `W`; `codebooks.ops` defines what they compute.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks.ops.compiler import compile_kernel, compile_reordered_kernel

# Number of rows after which `W` is made orthonormal again, to remove rounding errors.
_REFRESH = 256
# If an update leaves a component less than this share of its squared length, `W` is made orthonormal at once.
_MIN_SHARE = 0.5
# Squared lengths below this count as 0, and squared sines closer than this to 1 count as 1.
_NOTHING = 1e-12


class LearningRule(NamedTuple):
    """Arguments of `codebooks.ops.rotate_to_rows`, and whether to rotate (geodesic) or to deflate (as published)."""

    scale: Any  # (n_rows,)
    rate: float
    handicap: Any  # (n_components,)
    n_active: int
    threshold: float
    signed: bool
    rotate: bool


class Workspace(NamedTuple):
    """Arrays that the updates write to."""

    x: Any  # (n_features,) the row
    projections: Any  # (n_components,) of the row on the components
    order: Any  # (n_components,) the components in the order of their update
    vectors: Any  # (3, n_features) intermediate results


@compile_reordered_kernel
def learn_sparse(X, W, rule):
    """Update orthonormal components with the rows of a CSR matrix, one after another."""
    starts, stops, indices, data = X
    scale = rule.scale
    work = _allocate_workspace(W)
    x = work.x
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
            work.projections[k] = total
        n_kept = _order_components(work, np.sqrt(square), rule.threshold * scale[i], rule)
        _update_components(W, work, n_kept, rule)
        for p in range(starts[i], stops[i]):
            x[indices[p]] = 0
        if i % _REFRESH == _REFRESH - 1:
            _gram_schmidt(W)


@compile_reordered_kernel
def learn_dense(X, W, rule):
    """Update orthonormal components with the rows of an array, one after another."""
    scale = rule.scale
    work = _allocate_workspace(W)
    x = work.x
    for i in range(len(scale)):
        if scale[i] == 0:
            continue
        for j in range(len(x)):
            x[j] = scale[i] * X[i, j]
        for k in range(len(W)):
            work.projections[k] = _dot(W[k], x)
        length = np.sqrt(_dot(x, x))
        n_kept = _order_components(work, length, rule.threshold * scale[i], rule)
        _update_components(W, work, n_kept, rule)
        if i % _REFRESH == _REFRESH - 1:
            _gram_schmidt(W)


@compile_kernel
def _allocate_workspace(W):
    n_components, n_features = W.shape
    return Workspace(
        np.zeros(n_features, W.dtype),
        np.zeros(n_components, np.float64),
        np.zeros(n_components, np.int64),
        np.zeros((3, n_features), W.dtype),
    )


@compile_kernel
def _order_components(work, length, threshold, rule):
    """Sort components by rank, those that keep their projection first, and return the number of these.

    If `threshold` is negative, the `n_active` highest-ranked components keep their projection.
    """
    a, order, signed, handicap = work.projections, work.order, rule.signed, rule.handicap
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
        if (value >= threshold if threshold >= 0 else m < rule.n_active) and (signed or value > 0):
            for place in range(m, n_kept, -1):
                order[place] = order[place - 1]
            order[n_kept] = k
            n_kept += 1
    return n_kept


@compile_reordered_kernel
def _update_components(W, work, n_kept, rule):
    if n_kept == 0:
        return
    if rule.rotate:
        _rotate_components(W, work, n_kept, rule.rate)
    elif _deflate_components(W, work, n_kept, rule.rate) < _MIN_SHARE:
        _gram_schmidt(W)


@compile_reordered_kernel
def _rotate_components(W, work, n_kept, rate):
    """Rotate all components in the plane of the explained part of a row and its residual, towards the residual."""
    x, a, order, vectors = work
    explained, left, turn = vectors[0], vectors[1], vectors[2]
    _sum_components(W, a, order, n_kept, explained)
    for j in range(len(x)):
        left[j] = x[j] - explained[j]
    square = np.float64(_dot(explained, explained))
    if square == 0:
        return
    _add(left, -_dot(explained, left) / square, explained)  # remove rounding errors of orthogonality
    length, rest = np.sqrt(square), np.sqrt(np.float64(_dot(left, left)))
    if rest <= _NOTHING * length:
        return
    angle = rate * length * rest
    along, across = -2 * np.sin(angle / 2) ** 2, np.sin(angle)  # this form of cos(angle) - 1 keeps its digits
    for j in range(len(x)):
        turn[j] = W.dtype.type(along / length) * explained[j] + W.dtype.type(across / rest) * left[j]
    for m in range(n_kept):
        _add(W[order[m]], a[order[m]] / length, turn)
    for j in range(len(x)):
        turn[j] = W.dtype.type(along / rest) * left[j] - W.dtype.type(across / length) * explained[j]
    for m in range(n_kept, len(W)):
        _add(W[order[m]], a[order[m]] / rest, turn)


@compile_reordered_kernel
def _deflate_components(W, work, n_kept, rate):
    """Apply the published rule to one row, with the updates of the components after the kept ones in closed form.

    Return the smallest share of its squared length that such a component keeps.

    The kept components move in the span of themselves and the row, so their update is computed in coordinates of that
    span. For the others, the rule is Gram-Schmidt on components that were orthonormal before they lost `c_j p`. Here p
    is the part, within the new kept components, of the direction e that the row has outside the old ones, and c_j is
    the projection of component j on e. Their Gram matrix is `I - |p|^2 c c'`, whose factor is known. A component
    therefore costs one pass instead of one for each component before it.
    """
    x, a, order, vectors = work
    n_components, n_features = W.shape
    outside, shed, gathered = vectors[0], vectors[1], vectors[2]
    _sum_components(W, a, order, n_kept, shed)
    for j in range(n_features):
        outside[j] = x[j] - shed[j]
    for m in range(n_kept):  # a second time, to remove rounding errors
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
    passed, least = 0.0, 1.0  # passed: sum of c_l^2 over the components updated so far
    for m in range(n_kept, n_components):
        component = W[order[m]]
        c = a[order[m]] / beyond
        before = max(1 - sine * passed, _NOTHING)
        passed += c * c
        after = max(1 - sine * passed, _NOTHING)
        _remove_shared_part(component, shed, gathered, c, sine / before, np.sqrt(before / after))
        least = min(least, after / before)
    return least


@compile_kernel
def _update_in_coordinates(a, order, n_kept, beyond, rate):
    """Apply the rule to the kept components, in coordinates of the old ones and, last, the direction outside them."""
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
        if length > _NOTHING:  # otherwise the retraction replaces it
            for j in range(n_kept + 1):
                C[m, j] /= length
        _add(residual, -_dot(C[m], residual), C[m])
    return C


@compile_kernel
def _apply_coordinates(W, turned, order, n_kept, outside):
    """Replace the kept components by combinations of the old ones and the direction outside them."""
    old = np.empty((n_kept, W.shape[1]), W.dtype)
    for m in range(n_kept):
        old[m] = W[order[m]]
    for m in range(n_kept):
        component = W[order[m]]
        share = W.dtype.type(turned[m, n_kept])
        for j in range(len(component)):
            component[j] = share * outside[j]
        other = 0
        while other + 4 <= n_kept:  # four at a time, so that the component is read and written less often
            _add_four(component, turned[m, other : other + 4], old[other : other + 4])
            other += 4
        while other < n_kept:
            _add(component, turned[m, other], old[other])
            other += 1


@compile_kernel
def _remove_shared_part(component, shed, gathered, c, part, stretch):
    """Subtract from a component what it shares with all before it, whose sum weighted by their `c` is `gathered`."""
    kind = component.dtype.type
    weight, bend, scale = kind(c), kind(c * part), kind(stretch)
    for j in range(len(component)):
        lower = component[j] - weight * shed[j]
        component[j] = scale * (lower + bend * gathered[j])
        gathered[j] += weight * lower


@compile_reordered_kernel
def _gram_schmidt(W):
    """Make the components orthonormal again after rounding errors."""
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
    """Fill `out` with the sum of the kept components, weighted by their projections."""
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
