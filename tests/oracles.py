"""What the code should compute, written again in plain slow loops: the other side of the comparisons in the tests.

NumPy only. Every function takes dense arrays, computes in float64, gives new arrays, and knows nothing of `codebooks`.
"""

import numpy as np


def wide(a):
    """A float64 copy."""
    return np.array(a, dtype=np.float64, order="C")


# -- the primitives of codebooks.ops ---------------------------------------------------------------------------------


def similarity(X, Y):
    X, Y = wide(X), wide(Y)
    out = np.zeros((len(X), len(Y)))
    for i in range(len(X)):
        for k in range(len(Y)):
            for j in range(X.shape[1]):
                out[i, k] += X[i, j] * Y[k, j]
    return out


def accumulate(G, X):
    G, X = wide(G), wide(X)
    out = np.zeros((G.shape[1], X.shape[1]))
    for i in range(len(X)):
        for k in range(G.shape[1]):
            out[k] += G[i, k] * X[i]
    return out


def top_k(scores, k):
    out = np.zeros((len(scores), k), np.int64)
    for i, row in enumerate(wide(scores)):
        # Python's sort keeps the order of equals, so the lower index comes first.
        out[i] = sorted(range(len(row)), key=lambda j, row=row: -row[j])[:k]
    return out


def scatter_rows(out, index, weight, X):
    out, weight, X = wide(out), wide(weight), wide(X)
    for i in range(len(X)):
        for m in range(index.shape[1]):
            out[index[i, m]] += weight[i, m] * X[i]
    return out


def gather_rows(index, weight, W):
    weight, W = wide(weight), wide(W)
    out = np.zeros((len(index), W.shape[1]))
    for i in range(len(index)):
        for m in range(index.shape[1]):
            out[i] += weight[i, m] * W[index[i, m]]
    return out


def take_rows(X, rows):
    X = wide(X)
    numbers = range(len(X))[rows] if isinstance(rows, slice) else rows
    out = np.zeros((len(numbers), X.shape[1]))
    for place, i in enumerate(numbers):
        out[place] = X[i]
    return out


def softmax(scores):
    out = np.zeros(np.shape(scores))
    for i, row in enumerate(wide(scores)):
        if not np.any(row > -np.inf):
            continue
        for j in np.flatnonzero(row > -np.inf):
            with np.errstate(over="ignore"):
                out[i, j] = 1 / np.sum(np.exp(row - row[j]))
    return out


def row_norms(X):
    out = np.zeros(len(X))
    for i, row in enumerate(wide(X)):
        for x in row:
            out[i] += x * x
    return np.sqrt(out)


def blend_directions(out, weight, W):
    """The new `out`, and the lengths that its rows had before they were scaled."""
    out, weight, W = wide(out), wide(weight), wide(W)
    for k in range(len(out)):
        out[k] += weight[k] * W[k]
    norms = row_norms(out)
    for k in range(len(out)):
        if norms[k] > 0:
            out[k] /= norms[k]
    return out, norms


def nearest(X, W, handicap, k):
    """Index, score, norms and total of `codebooks.ops.nearest`."""
    X, norms = wide(X), row_norms(X)
    for i in range(len(X)):
        if norms[i] > 0:
            X[i] /= norms[i]
    scores = similarity(X, W)
    index = top_k(scores - wide(handicap), k)
    score, total = np.zeros(index.shape), np.zeros(len(W))
    for i in range(len(X)):
        total += scores[i]
        for m in range(k):
            score[i, m] = scores[i, index[i, m]]
    return index, score, norms, total


def nearest_orthonormal(M):
    """The polar factor by a singular value decomposition; one of several where `M` has lost rank."""
    left, _, right = np.linalg.svd(wide(M), full_matrices=False)
    return left @ right


def distance_to_orthonormal(M):
    """Frobenius distance of `M` to the nearest matrix with orthonormal rows, which no loss of rank leaves open."""
    return np.sqrt(np.sum((np.linalg.svd(wide(M), compute_uv=False) - 1) ** 2))


# -- competing hidden units ------------------------------------------------------------------------------------------


def metric(W, p):
    """`sgn(W) |W|^(p-1)`, whose dot product with a row is the unit's score."""
    W = wide(W)
    out = np.zeros(W.shape)
    for position, w in np.ndenumerate(W):
        if w != 0:
            out[position] = np.sign(w) * np.abs(w) ** (p - 1)
    return out


def krotov_hopfield_step(W, V, p, rank, repulsion, rate, precision=1e-30):
    """One minibatch of the rule that Krotov and Hopfield published.

    Parameters
    ----------
    W : (n_units, n_features) weights, one unit a row
    V : (n_rows, n_features) the minibatch, one input a row, used as it is
    p : exponent of the metric
    rank : place of the unit that is pushed away when units are sorted by score; the winner has place 1, so 2 at least
    repulsion : how hard it is pushed
    rate : how far the largest entry of the step moves
    precision : the least that the step is divided by

    Returns
    -------
    (n_units, n_features) new weights, not scaled
    """
    W, V = wide(W), wide(V)
    scores = similarity(V, metric(W, p))
    order = top_k(scores, rank)
    step = np.zeros(W.shape)
    for b in range(len(V)):
        for unit, gain in ((order[b, 0], 1.0), (order[b, rank - 1], -repulsion)):
            step[unit] += gain * (V[b] - scores[b, unit] * W[unit])
    largest = 0.0
    for entry in step.flat:
        largest = max(largest, abs(entry))
    return W + rate * step / max(largest, precision)


def krotov_hopfield_batch_step(W, mass, inhibition, X, p, rank, repulsion, keep):
    """One minibatch of the rule that goes to the fixed point at once.

    Every row, scaled to length 1, is added to the unit that wins it and, times `-repulsion`, to the unit at `rank`;
    units are ranked by score minus inhibition. What a unit has gathered before, `mass` times its weights, counts
    `keep`; the sum scaled to p-norm 1 is the new unit.

    Parameters
    ----------
    W : (n_units, n_features) weights, one unit a row
    mass : (n_units,) p-norms of the sums that the units stand for
    inhibition : (n_units,) what is taken off the scores before units are ranked
    X : (n_rows, n_features) the minibatch; rows of zeros do not count
    p : exponent of the metric and of the norm
    rank : place of the rival; the winner has place 1, so 2 at least (with one unit, 1 and no repulsion)
    repulsion : how hard it is pushed
    keep : share of the old sums that stays, from 0 to 1

    Returns
    -------
    tuple of the new weights, the new mass and the winner of each row (-1 for rows of zeros)
    """
    W, X, direction, norms = wide(W), wide(X), metric(W, p), row_norms(X)
    total = np.zeros(W.shape)
    for unit in range(len(W)):
        total[unit] = keep * mass[unit] * W[unit]
    winners = np.full(len(X), -1)
    for b in range(len(X)):
        if norms[b] == 0:
            continue
        x = X[b] / norms[b]
        order = top_k((direction @ x - wide(inhibition))[None], rank)[0]
        winners[b] = order[0]
        total[order[0]] += x
        total[order[rank - 1]] -= repulsion * x
    new_mass = np.zeros(len(W))
    for unit in range(len(W)):
        new_mass[unit] = np.sum(np.abs(total[unit]) ** p) ** (1 / p)
        if new_mass[unit] > 0:
            W[unit] = total[unit] / new_mass[unit]
    return W, new_mass, winners
