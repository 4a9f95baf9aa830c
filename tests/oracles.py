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


def gates(scores, inhibition, temperature, n_active):
    """Shares that units take of each row: softmax over the `n_active` with the largest score less inhibition."""
    ranked = wide(scores) - wide(inhibition)
    order = top_k(ranked, n_active)
    shown = np.full(ranked.shape, -np.inf)
    for i in range(len(ranked)):
        for unit in order[i]:
            shown[i, unit] = ranked[i, unit] / temperature
    return softmax(shown)


def krotov_hopfield_batch_step(W, mass, inhibition, usage, X, p, rank, repulsion, keep, temperature=None):
    """One minibatch of the rule that goes to the fixed point at once.

    Every row, scaled to length 1, is added to the unit that wins it and, times `-repulsion`, to the unit at `rank`;
    units are ranked by score minus inhibition. What a unit has gathered before, `mass` times its weights, counts
    `keep`; the sum scaled to p-norm 1 is the new unit.

    Parameters
    ----------
    W : (n_units, n_features) weights, one unit a row
    mass : (n_units,) p-norms of the sums that the units stand for
    inhibition : (n_units,) what is taken off the scores before units are ranked
    usage : (n_units,) share of rows won; a rival smaller than the winner is pushed less
    X : (n_rows, n_features) the minibatch; rows of zeros do not count
    p : exponent of the metric and of the norm
    rank : place of the rival; the winner has place 1, so 2 at least (with one unit, 1 and no repulsion)
    repulsion : how hard it is pushed
    keep : share of the old sums that stays, from 0 to 1
    temperature : where given, the three best units share each row by their gates, and there is no rival

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
        scores = direction @ x
        order = top_k((scores - wide(inhibition))[None], rank)[0]
        winners[b] = order[0]
        if temperature is not None:
            total += np.outer(gates(scores[None], inhibition, temperature, min(3, len(W)))[0], x)
            continue
        total[order[0]] += x
        winner, rival = order[0], order[rank - 1]
        size = min(1.0, usage[rival] / usage[winner]) if usage[winner] > 0 else 0.0
        total[rival] -= repulsion * size * (x - scores[rival] * W[rival])
    new_mass = np.zeros(len(W))
    for unit in range(len(W)):
        new_mass[unit] = np.sum(np.abs(total[unit]) ** p) ** (1 / p)
        if new_mass[unit] > 0:
            W[unit] = total[unit] / new_mass[unit]
    return W, new_mass, winners


# -- orthogonal sparse coding ----------------------------------------------------------------------------------------


def kept_first(projections, length, handicap, n_active, threshold, signed):
    """Units by falling rank, those that keep their projection first, and how many these are."""
    values = np.abs(projections) if signed else wide(projections)
    ranked = top_k((values - wide(handicap) * length)[None], len(values))[0]
    if threshold is None:
        kept = [k for k in ranked[:n_active] if signed or values[k] > 0]
    else:
        kept = [k for k in ranked if values[k] >= threshold and (signed or values[k] > 0)]
    return kept + [k for k in ranked if k not in kept], len(kept)


def sparse_codes(W, X, handicap, n_active, threshold, signed):
    """Projections of rows on orthonormal units, zero where they are not kept."""
    W, X = wide(W), wide(X)
    codes = np.zeros((len(X), len(W)))
    for i, x in enumerate(X):
        order, n_kept = kept_first(W @ x, np.sqrt(x @ x), handicap, n_active, threshold, signed)
        for k in order[:n_kept]:
            codes[i, k] = W[k] @ x
    return codes


def orthogonal_sparse_coding_epoch(W, X, rate, n_active, threshold=None, signed=True, handicap=0.0):
    """The rule that Schuetze, Barth and Martinetz published, for one row after another.

    Parameters
    ----------
    W : (n_units, n_features) orthonormal units, one a row
    X : (n_rows, n_features) the rows, used as they are; rows of zeros do not count
    rate : how far a kept unit moves towards what is left of a row
    n_active : how many units are kept, where there is no threshold
    threshold : least projection of a kept unit, or None
    signed : whether projections are compared by magnitude, as published, or by value
    handicap : (n_units,) or number, what is taken off the cosines before units are ranked

    Returns
    -------
    (n_units, n_features) new units
    """
    W = wide(W)
    handicap = np.broadcast_to(wide(handicap), len(W))
    for x in wide(X):
        if not x.any():
            continue
        order, n_kept = kept_first(W @ x, np.sqrt(x @ x), handicap, n_active, threshold, signed)
        if n_kept == 0:
            continue
        residual = x.copy()
        for place, i in enumerate(order):
            for before in order[:place]:
                W[i] -= (W[i] @ W[before]) * W[before]
            if place < n_kept:
                W[i] += rate * (W[i] @ residual) * residual
            W[i] /= np.sqrt(W[i] @ W[i])
            residual -= (W[i] @ residual) * W[i]
    return W


def geodesic_epoch(W, X, rate, n_active, threshold=None, signed=True, handicap=0.0):
    """Steps along geodesics of the rotations, one row after another, by their series; arguments as above.

    The units are multiplied by the exponential of `rate (x y' - y x')`, with y what the kept units explain of the row.
    """
    W = wide(W)
    handicap = np.broadcast_to(wide(handicap), len(W))
    for x in wide(X):
        explained = sparse_codes(W, x[None], handicap, n_active, threshold, signed)[0] @ W
        generator = rate * (np.outer(x, explained) - np.outer(explained, x))
        # Halved until the series converges fast, then squared as often.
        halvings = max(0, int(np.ceil(np.log2(max(np.abs(generator).sum(), 1e-300)))) + 3)
        term, rotation = np.eye(len(x)), np.eye(len(x))
        for n in range(1, 20):
            term = term @ generator / 2**halvings / n
            rotation += term
        for _ in range(halvings):
            rotation = rotation @ rotation
        W = W @ rotation.T
    return W


def procrustes_step(W, moment, handicap, X, n_active, signed, keep, hold):
    """The new units and the new moment: the polar factor of decayed sums of rows times codes.

    Rows count with length 1, or, when `signed`, as they are. A trace `hold` of the old units, measured in what a unit
    has gathered along itself on average, keeps units where they are that nothing pulls.
    """
    X, norms = wide(X), row_norms(X)
    if not signed:
        for i in range(len(X)):
            if norms[i] > 0:
                X[i] /= norms[i]
    moment = keep * wide(moment) + accumulate(sparse_codes(W, X, handicap, n_active, None, signed), X)
    gathered = np.mean([moment[k] @ W[k] for k in range(len(W))])
    return nearest_orthonormal(moment + hold * gathered * wide(W)), moment


# -- inhibited mixture -----------------------------------------------------------------------------------------------


def pull_apart(W, amount):
    """`(1 - amount) W + amount polar(W)`, rows scaled to length 1."""
    return blend_directions((1 - amount) * wide(W), np.full(len(W), amount), nearest_orthonormal(W))[0]


def inhibited_mixture_step(W, mass, inhibition, X, n_active, temperature, orthogonality, keep):
    """One minibatch of experts that share rows by their gates.

    Every row, scaled to length 1, is added to each expert as often as its gate says. What an expert has gathered
    before, `mass` times its direction, counts `keep`; the sum scaled to length 1 is the new expert. Then experts lean
    towards the nearest orthonormal set, which the learner does at every fourth minibatch.

    Parameters
    ----------
    W : (n_experts, n_features) directions of length 1
    mass : (n_experts,) lengths of the sums that the experts stand for
    inhibition : (n_experts,) what is taken off the scores before the gate
    X : (n_rows, n_features) the minibatch; rows of zeros do not count
    n_active : how many experts share a row
    temperature : divisor in the gate
    orthogonality : how far experts lean, from 0 to 1; 0 where they do not
    keep : share of the old sums that stays, from 0 to 1

    Returns
    -------
    tuple of the new directions, the new mass, the mean score of each expert and the share of rows that it wins
    """
    W, X, norms = wide(W), wide(X), row_norms(X)
    total, scores, wins, n_rows = np.zeros(W.shape), np.zeros(len(W)), np.zeros(len(W)), 0
    for x, norm in zip(X, norms, strict=True):
        if norm == 0:
            continue
        score = similarity(x[None] / norm, W)
        gate = gates(score, inhibition, temperature, n_active)
        for expert in range(len(W)):
            total[expert] += gate[0, expert] * x / norm
        scores += score[0]
        wins[top_k(score - wide(inhibition), 1)[0, 0]] += 1
        n_rows += 1
    W, mass = blend_directions(total, keep * wide(mass), W)
    return pull_apart(W, orthogonality), mass, scores / n_rows, wins / n_rows


# -- words for units -------------------------------------------------------------------------------------------------


def name_by_documents(X, labels, n_units, n):
    """The score of every word and the words chosen, the best first, for each unit; None where it wins no document.

    What counts is which words a document has. A word's place among those that occur together (three steps of the power
    iteration, from the share of the unit's documents that have it) is multiplied by the squared log of how much more
    frequent it is there than in all documents. Of the best 4 n words each is taken that shares a document with at least
    four fifths of those taken before; the others wait, and fill up.
    """
    has, named = wide(X) != 0, []
    for unit in range(n_units):
        documents = [words for words, label in zip(has, labels, strict=True) if label == unit]
        if not documents:
            named.append(None)
            continue
        n_words = has.shape[1]
        together = np.zeros((n_words, n_words))
        for words in documents:
            for a in np.flatnonzero(words):
                for b in np.flatnonzero(words):
                    together[a, b] += 1
        share = [together[w, w] / len(documents) for w in range(n_words)]
        place = share
        for _ in range(3):
            place = [sum(together[a, b] * place[b] for b in range(n_words)) for a in range(n_words)]
            length = sum(x * x for x in place) ** 0.5
            place = [x / length for x in place]
        lift = [share[w] / (sum(has[:, w]) / len(has)) if share[w] > 0 else 1.0 for w in range(n_words)]
        preference = [np.log(max(x, 1.0)) ** 2 for x in lift]
        if not any(preference):
            preference = [1.0] * n_words
        scores = [place[w] * preference[w] for w in range(n_words)]
        taken, waiting = [], []
        for word in sorted((w for w in range(n_words) if scores[w] > 0), key=lambda w: -scores[w])[: 4 * n]:
            n_met = sum(together[word, other] > 0 for other in taken)
            (taken if len(taken) < n and 5 * n_met >= 4 * len(taken) else waiting).append(word)
        named.append((np.array(scores), (taken + waiting)[:n]))
    return named
