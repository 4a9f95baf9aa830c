"""Reference implementations in plain loops, with which tests compare the results of `codebooks`.

NumPy only, without imports from `codebooks`. Every function takes dense arrays, computes in float64 and returns new
arrays. Functions named after a primitive of `codebooks.ops` compute the same.
"""

import numpy as np


def wide(a):
    """Copy to float64."""
    return np.array(a, dtype=np.float64, order="C")


# -- the primitives of codebooks.ops ---------------------------------------------------------------------------------


def similarity(X, Y):
    X, Y = wide(X), wide(Y)
    out = np.zeros((len(X), len(Y)))
    for i in range(len(X)):
        for k in range(len(Y)):
            out[i, k] = np.sum(X[i] * Y[k])
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
        # Python's sort is stable, so that the lower index comes first.
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


def chosen_products(Q, X, index):
    Q, X = wide(Q), wide(X)
    return np.array([[0.0 if row < 0 else Q[i] @ X[row] for row in rows] for i, rows in enumerate(index)])


def gather_largest(index, weight, X, n):
    """Sum chosen rows with weights and keep the `n` largest entries; -1 is no row."""
    weight, X = wide(weight), wide(X)
    out = np.zeros((len(index), X.shape[1]))
    for i in range(len(index)):
        total = np.zeros(X.shape[1])
        for m in range(index.shape[1]):
            if index[i, m] != -1:
                total += weight[i, m] * X[index[i, m]]
        for j in top_k(total[None], n)[0]:
            out[i, j] = max(total[j], 0)
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


def weigh_entries(X, weight, length):
    out = wide(X)
    for i in range(len(out)):
        for j in range(out.shape[1]):
            out[i, j] *= weight[j]
        if out[i].any():
            out[i] *= length / np.sqrt(sum(out[i] ** 2))
    return out


def sum_column_logs(X, offset, wanted, sample_weight=None):
    """Sums and counts of `codebooks.ops.sum_column_logs`."""
    X = wide(X)
    sums, counts = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for i, row in enumerate(X):
        count = 1 if sample_weight is None else sample_weight[i]
        filled = np.flatnonzero(row > 0)
        if len(filled) == 0:
            continue
        level = np.log(np.sqrt(np.mean([(row[j] / np.exp(offset[j])) ** 2 for j in filled])))
        for j in filled:
            if wanted[j]:
                sums[j] += count * (np.log(row[j]) - level)
                counts[j] += count
    return sums, counts


def compute_log_lifts(distributions, mass, columns, floor, share, background):
    """Table, saliency and totals of `codebooks.ops.compute_log_lifts`."""
    distributions, mass = wide(distributions), wide(mass)
    n_components, n_features = distributions.shape
    counts = np.zeros((n_components, n_features))
    for k in range(n_components):
        counts[k] = mass[k] * distributions[k]
    n = mass.sum()
    beta = [floor + share * n / n_components * counts[:, v].sum() / n for v in range(n_features)]
    prior = mass / n
    entropy = -sum(p * np.log(p) for p in prior if p > 0)
    table, saliency, totals = np.zeros((n_components, len(columns))), np.zeros(len(columns)), np.zeros(len(columns))
    for u, v in enumerate(columns):
        totals[u] = counts[:, v].sum()
        if totals[u] == 0:
            continue
        divergence = 0.0
        for k in range(n_components):
            table[k, u] = np.log((counts[k, v] + beta[v]) / (mass[k] + sum(beta))) - np.log(totals[u] / n)
            if prior[k] > 0:
                part = (counts[k, v] + background * prior[k]) / (totals[u] + background)
                divergence += part * np.log(part / prior[k])
        saliency[u] = np.sqrt(max(divergence, 0) / entropy) if entropy > 0 else 1
        table[:, u] *= saliency[u]
    return table, saliency, totals


def compute_responsibilities(scores, scale, offset, reach):
    """Gates, winners and their scores, as of `codebooks.ops.compute_responsibilities`."""
    scores = scale * wide(scores) - wide(offset)
    gates = np.zeros_like(scores)
    for i, row in enumerate(scores):
        for k, score in enumerate(row):
            if score >= max(row) - reach:
                gates[i, k] = np.exp(score - max(row))
        gates[i] /= gates[i].sum()
    return gates, scores.argmax(axis=1), scores.max(axis=1)


def fold_in(X, weight, lifts, shares, prior, n_steps, least):
    """The shares of `codebooks.ops.fold_in`."""
    X, lifts, shares, prior = wide(X) * wide(weight), wide(lifts), wide(shares), wide(prior)
    for i, x in enumerate(X):
        theta = shares[i].copy()
        for _ in range(n_steps):
            new = np.where(theta > 0, prior[i], 0)
            for v in np.flatnonzero(x):
                parts = theta * lifts[:, v]
                if parts.sum() > 0:
                    new += x[v] * parts / parts.sum()
            theta = new / new.sum()
            theta[theta < least] = 0
            theta /= theta.sum()
        shares[i] = theta
    return shares


def decay_and_add(distributions, fade, columns, pull, weight):
    out = wide(distributions) * wide(fade)[:, None]
    for u, v in enumerate(columns):
        out[:, v] += wide(weight) * wide(pull)[:, u]
    return out


def blend_directions(out, weight, W):
    """The new `out`, and the lengths that its rows had before they were scaled."""
    out, weight, W = wide(out), wide(weight), wide(W)
    for k in range(len(out)):
        out[k] += weight[k] * W[k]
    norms = row_norms(out)
    for k in range(len(out)):
        out[k] = out[k] / norms[k] if norms[k] > 0 else W[k]
    return out, norms


def find_nearest(X, W, handicap, k):
    """Index, score, norms and total of `codebooks.ops.find_nearest`."""
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
    """Compute the polar factor by a singular value decomposition; not unique if `M` has not full rank."""
    left, _, right = np.linalg.svd(wide(M), full_matrices=False)
    return left @ right


def distance_to_orthonormal(M):
    """Compute the Frobenius distance of `M` to the nearest matrix with orthonormal rows, unique for any rank."""
    return np.sqrt(np.sum((np.linalg.svd(wide(M), compute_uv=False) - 1) ** 2))


# -- Krotov-Hopfield learning
# --------------------------------------------------------------------------------------------


def metric(W, p):
    """Compute `sgn(W) |W|^(p-1)`, whose dot product with a row is the score of the component."""
    W = wide(W)
    out = np.zeros(W.shape)
    for position, w in np.ndenumerate(W):
        if w != 0:
            out[position] = np.sign(w) * np.abs(w) ** (p - 1)
    return out


def krotov_hopfield_step(W, V, p, rank, repulsion, rate, precision=1e-30):
    """Compute one minibatch of the rule published by Krotov and Hopfield.

    Parameters
    ----------
    W : (n_components, n_features) weights, a component in each row
    V : (n_rows, n_features) the minibatch, a sample in each row, not scaled
    p : exponent of the metric
    rank : rank of the component that is repelled, by score; the winner has rank 1, so that it is at least 2
    repulsion : strength of the repulsion
    rate : size of the largest entry of the step
    precision : smallest divisor of the step

    Returns
    -------
    (n_components, n_features) new weights, not scaled
    """
    W, V = wide(W), wide(V)
    scores = similarity(V, metric(W, p))
    order = top_k(scores, rank)
    step = np.zeros(W.shape)
    for b in range(len(V)):
        for component, gain in ((order[b, 0], 1.0), (order[b, rank - 1], -repulsion)):
            step[component] += gain * (V[b] - scores[b, component] * W[component])
    largest = 0.0
    for entry in step.flat:
        largest = max(largest, abs(entry))
    return W + rate * step / max(largest, precision)


def gates(scores, inhibition, temperature, n_active):
    """Compute the shares of components in each row: softmax over the `n_active` largest scores minus inhibition."""
    ranked = wide(scores) - wide(inhibition)
    order = top_k(ranked, n_active)
    active = np.full(ranked.shape, -np.inf)
    for i in range(len(ranked)):
        for component in order[i]:
            active[i, component] = ranked[i, component] / temperature
    return softmax(active)


def unexplained_energy(X, directions, winners):
    """Compute the mean share of energy that winners leave unexplained, over rows with a winner, in [0, 1]."""
    X, norms, total, n_rows = wide(X), row_norms(X), 0.0, 0
    for x, norm, winner in zip(X, norms, winners, strict=True):
        if winner >= 0:
            total += 1 - (directions[winner] @ x / norm) ** 2
            n_rows += 1
    return min(max(total / n_rows, 0.0), 1.0)


def krotov_hopfield_batch_step(W, mass, inhibition, usage, X, p, rank, repulsion, keep, temperature=None):
    """Compute one minibatch of the batch rule, which moves directly to the fixed point.

    Every row, scaled to length 1, is added to its winner and, times `-repulsion`, to the component at `rank`;
    components are ranked by score minus inhibition. The old sum of a component, `mass` times its weights, has the
    weight `keep`; the sum scaled to p-norm 1 is the new component.

    Parameters
    ----------
    W : (n_components, n_features) weights, a component in each row
    mass : (n_components,) p-norms of the sums of the components
    inhibition : (n_components,) subtracted from the scores before ranking
    usage : (n_components,) share of rows won; a rival smaller than the winner is repelled less
    X : (n_rows, n_features) the minibatch; rows of zeros do not count. With p = 2 the repulsion of a row is scaled by
        the cube root of the sine of its angle to the winner.
    p : exponent of the metric and of the norm
    rank : rank of the rival; the winner has rank 1, so that it is at least 2 (with one component, 1 and no repulsion)
    repulsion : strength of the repulsion
    keep : weight of the old sums, from 0 to 1
    temperature : if given, the three best components share each row by their gates, without a rival

    Returns
    -------
    tuple of the new weights, the new mass and the winner of each row (-1 for rows of zeros)
    """
    W, X, direction, norms = wide(W), wide(X), metric(W, p), row_norms(X)
    total = np.zeros(W.shape)
    for component in range(len(W)):
        total[component] = keep * mass[component] * W[component]
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
        if p == 2:
            size *= max(1 - scores[winner] ** 2, 0.0) ** (1 / 6)
        total[rival] -= repulsion * size * (x - scores[rival] * W[rival])
    new_mass = np.zeros(len(W))
    for component in range(len(W)):
        new_mass[component] = np.sum(np.abs(total[component]) ** p) ** (1 / p)
        if new_mass[component] > 0:
            W[component] = total[component] / new_mass[component]
    return W, new_mass, winners


# -- orthogonal sparse coding ----------------------------------------------------------------------------------------


def kept_first(projections, length, handicap, n_active, threshold, signed):
    """Sort components by decreasing rank, those with a kept projection first, and count these."""
    values = np.abs(projections) if signed else wide(projections)
    ranked = top_k((values - wide(handicap) * length)[None], len(values))[0]
    if threshold is None:
        kept = [k for k in ranked[:n_active] if signed or values[k] > 0]
    else:
        kept = [k for k in ranked if values[k] >= threshold and (signed or values[k] > 0)]
    return kept + [k for k in ranked if k not in kept], len(kept)


def sparse_codes(W, X, handicap, n_active, threshold, signed):
    """Compute projections of rows on orthonormal components, zero if not kept."""
    W, X = wide(W), wide(X)
    codes = np.zeros((len(X), len(W)))
    for i, x in enumerate(X):
        order, n_kept = kept_first(W @ x, np.sqrt(x @ x), handicap, n_active, threshold, signed)
        for k in order[:n_kept]:
            codes[i, k] = W[k] @ x
    return codes


def orthogonal_sparse_coding_epoch(W, X, rate, n_active, threshold=None, signed=True, handicap=0.0):
    """Run the rule published by Schuetze, Barth and Martinetz, row by row.

    Parameters
    ----------
    W : (n_components, n_features) orthonormal components, one in each row
    X : (n_rows, n_features) the rows, not scaled; rows of zeros do not count
    rate : step of a kept component towards the residual of a row
    n_active : number of kept components if there is no threshold
    threshold : smallest projection of a kept component, or None
    signed : whether projections are compared by magnitude, as published, or by value
    handicap : (n_components,) or number, subtracted from the cosines before ranking

    Returns
    -------
    (n_components, n_features) new components
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
    """Rotate components along geodesics, row by row, by the series of the exponential; arguments as above.

    The components are multiplied by the exponential of `rate (x y' - y x')`, with y the reconstruction of the row.
    """
    W = wide(W)
    handicap = np.broadcast_to(wide(handicap), len(W))
    for x in wide(X):
        explained = sparse_codes(W, x[None], handicap, n_active, threshold, signed)[0] @ W
        generator = rate * (np.outer(x, explained) - np.outer(explained, x))
        # Halved until the series converges fast, then squared the same number of times.
        halvings = max(0, int(np.ceil(np.log2(max(np.abs(generator).sum(), 1e-300)))) + 3)
        term, rotation = np.eye(len(x)), np.eye(len(x))
        for n in range(1, 20):
            term = term @ generator / 2**halvings / n
            rotation += term
        for _ in range(halvings):
            rotation = rotation @ rotation
        W = W @ rotation.T
    return W


def inhibited_codes(W, X, handicap, n_active, threshold, signed):
    """Compute sparse codes, with magnitudes reduced by `handicap` times the length of the row, at least to 0."""
    codes, handicap = sparse_codes(W, X, handicap, n_active, threshold, signed), np.broadcast_to(handicap, len(W))
    for i, norm in enumerate(row_norms(X)):
        for k in range(len(W)):
            codes[i, k] = np.sign(codes[i, k]) * max(abs(codes[i, k]) - norm * handicap[k], 0)
    return codes


def procrustes_step(W, moment, handicap, X, n_active, signed, keep, hold, threshold=None, scale=1.0):
    """Compute the new components, the polar factor of decayed sums of rows times weights, and the new moment.

    Rows are scaled to length 1, and the weight of a row for a component is its code minus the handicap. If `signed`,
    rows are not scaled, and weights are codes times `scale`. The old components are added with the weight `hold` times
    the mean projection of the sums on them, so that components without rows do not move.
    """
    X, norms = wide(X), row_norms(X)
    if signed:
        weights = scale * sparse_codes(W, X, handicap, n_active, threshold, signed)
    else:
        weights = inhibited_codes(W, X, handicap, n_active, threshold, signed)
        for i in range(len(X)):
            if norms[i] > 0:
                X[i] /= norms[i]
                weights[i] /= norms[i]
    moment = keep * wide(moment) + accumulate(weights, X)
    gathered = np.mean([moment[k] @ W[k] for k in range(len(W))])
    return nearest_orthonormal(moment + hold * gathered * wide(W)), moment


# -- inhibited mixture -----------------------------------------------------------------------------------------------


def orthogonalize_partially(W, amount):
    """Compute `(1 - amount) W + amount polar(W)`, rows scaled to length 1."""
    return blend_directions((1 - amount) * wide(W), np.full(len(W), amount), nearest_orthonormal(W))[0]


def inhibited_mixture_step(W, mass, inhibition, X, n_active, temperature, orthogonality, keep):
    """Compute one minibatch of the mixture, in which components share rows by their gates.

    Every row, scaled to length 1, is added to each component with its gate as weight. The old sum of a component,
    `mass` times its direction, has the weight `keep`; the sum scaled to length 1 is the new component. Then components
    move towards the nearest orthonormal set, as the learner does at every fourth minibatch.

    Parameters
    ----------
    W : (n_components, n_features) directions of length 1
    mass : (n_components,) lengths of the sums of the components
    inhibition : (n_components,) subtracted from the scores before the gate
    X : (n_rows, n_features) the minibatch; rows of zeros do not count
    n_active : number of components that share a row
    temperature : divisor in the gate
    orthogonality : weight of the orthonormal set, from 0 to 1
    keep : weight of the old sums, from 0 to 1

    Returns
    -------
    tuple of the new directions, the new mass, the mean score of each component, the share of rows that it wins, and the
    mean share of energy that winners leave unexplained
    """
    W, X, norms = wide(W), wide(X), row_norms(X)
    total, scores, wins, n_rows, rest = np.zeros(W.shape), np.zeros(len(W)), np.zeros(len(W)), 0, 0.0
    for x, norm in zip(X, norms, strict=True):
        if norm == 0:
            continue
        score = similarity(x[None] / norm, W)
        gate = gates(score, inhibition, temperature, n_active)
        for component in range(len(W)):
            total[component] += gate[0, component] * x / norm
        scores += score[0]
        winner = top_k(score - wide(inhibition), 1)[0, 0]
        wins[winner] += 1
        rest += 1 - score[0, winner] ** 2
        n_rows += 1
    W, mass = blend_directions(total, keep * wide(mass), W)
    return orthogonalize_partially(W, orthogonality), mass, scores / n_rows, wins / n_rows, rest / n_rows


# -- multinomial mixture, relocation
# ---------------------------------------------------------------------------------------------------------


def multinomial_mixture_step(state, X):
    """Update a mixture of word distributions, a dictionary of arrays, from the rows of a minibatch.

    Return the next state, and the score of the winner of each row, 0 for empty rows.
    """
    old, X = {name: wide(value) for name, value in state.items()}, wide(X)
    n_components, n_features = old["components"].shape
    words = weigh_entries(X, np.exp(-old["log_scale"]), np.sqrt(6))
    table, saliency, _ = compute_log_lifts(old["components"], old["mass"], range(n_features), 0.1, 0.3, 3.0)
    counts, shares, wins = np.zeros((n_components, n_features)), np.zeros(n_components), np.zeros(n_components)
    winning, n_rows = np.zeros(len(X)), 0
    for i, x in enumerate(words):
        if not x.any():
            continue
        n_rows += 1
        scores = [[np.sum(x * table[k]) for k in range(n_components)]]
        prior = 0.5 * np.log(old["n_rows"] + 0.1)
        gates, winner, peak = compute_responsibilities(scores, 1 / old["mean_saliency"], -prior, np.log(100))
        winning[i] = peak[0]
        wins[winner[0]] += 1
        shares += gates[0]
        counts += np.outer(gates[0], x)
    new = {}
    memory = max(2 * n_rows, 25 * n_components)
    recent = n_rows / memory
    total = (1 - recent) * old["mass"][:, None] * old["components"] + counts
    new["mass"] = total.sum(axis=1)
    new["components"] = old["components"].copy()
    for k in range(n_components):
        if new["mass"][k] > 0:
            new["components"][k] = total[k] / new["mass"][k]
    new["n_rows"] = (1 - recent) * old["n_rows"] + shares
    new["usage"] = (1 - recent) * old["usage"] + recent * wins / n_rows
    mean = sum(counts.sum(axis=0) * saliency) / counts.sum()
    new["mean_saliency"] = (1 - recent) * old["mean_saliency"] + recent * mean
    new["inhibition"] = np.array([-0.5 * np.log(n + 0.1) for n in new["n_rows"]])
    sums, found = sum_column_logs(X, old["log_scale"], old["scale_counts"] < 50)
    new["scale_counts"] = old["scale_counts"] + found
    new["log_scale"] = np.zeros(n_features)
    for v in range(n_features):
        if new["scale_counts"][v] > 0:
            new["log_scale"][v] = (old["scale_counts"][v] * old["log_scale"][v] + sums[v]) / new["scale_counts"][v]
    return new, winning


def errors_of_components(X, W, inhibition, usage):
    """Compute usage times the mean unexplained energy of the rows won, with the mean over all rows added once."""
    index, score, norms, _ = find_nearest(X, W, inhibition, 1)
    errors = [(index[i, 0], min(max(1 - score[i, 0] ** 2, 0.0), 1.0)) for i in range(len(norms)) if norms[i] > 0]
    overall = sum(error for _, error in errors) / len(errors)
    out = np.zeros(len(W))
    for k in range(len(W)):
        own = [error for component, error in errors if component == k]
        out[k] = usage[k] * (sum(own) + overall) / (len(own) + 1)
    return out


def pairs_by_error(errors, idle):
    """Return pairs (parent, idle): the component with the largest error is divided repeatedly while it has rows."""
    errors, pairs, without_rows = dict(enumerate(errors)), [], set()
    for component in idle:
        parent = max(errors, key=lambda k: (errors[k], -k))
        if parent in without_rows or errors[parent] <= 0:
            return pairs
        errors[parent] /= 2
        errors[component] = errors[parent]
        without_rows |= {parent, component}
        pairs.append((parent, component))
    return pairs


def principal_direction(rows, component):
    """Return the direction of largest variance beside `component`, and the sine of the mean cosine."""
    rows = wide(rows) / row_norms(rows)[:, None]
    beside = rows - np.outer(rows @ component, component)
    _, vectors = np.linalg.eigh(covariance(beside))
    return vectors[:, -1], np.sqrt(1 - np.mean(rows @ component) ** 2)


# -- words of components
# --------------------------------------------------------------------------------------------------


def word_scores(X, labels, n_components):
    """Compute the score of words for components: share of the documents times the log of the lift, at least 0."""
    has, labels, scores = wide(X) != 0, np.asarray(labels), np.zeros((n_components, np.shape(X)[1]))
    for component in range(n_components):
        share, overall = np.zeros(has.shape[1]), has.mean(axis=0)
        if (labels == component).any():
            share = has[labels == component].mean(axis=0)
        for w in np.flatnonzero(share):
            lift = share[w] / overall[w]
            scores[component, w] = share[w] * np.log(lift) if lift > 1 + 1e-12 else 0
        if not scores[component].any():
            scores[component] = share
    return scores


def cautious_npmi(has):
    """Compute NPMI of all pairs of columns from n - sqrt(n) common rows, and -1 if n is 0 or 1."""
    n_rows, n_words = has.shape
    values = np.full((n_words, n_words), -1.0)
    for a in range(n_words):
        for b in range(n_words):
            both = (has[:, a] & has[:, b]).sum()
            if a != b and both > 1:
                p = (both - np.sqrt(both)) / n_rows
                values[a, b] = np.log(p / has[:, a].mean() / has[:, b].mean()) / -np.log(p)
    return values


def choose_words_by_documents(
    X, labels, n_components, n, n_candidates=None, ceiling=0.5, weakness=0.5, repetition=0.65, n_rounds=3
):
    """Return the scores of all words and the chosen words, best first, for each component; None without documents.

    The objective of the words of a component is the mean NPMI of their pairs, at most `ceiling` each, plus the mean of
    `weakness` times the decimal log of their scores relative to the best, minus `repetition` for each word that another
    component lists. Components take turns in exchanging the word that raises the objective most, until none does.
    """
    scores, npmi = word_scores(X, labels, n_components), cautious_npmi(wide(X) != 0)
    pools = [
        sorted(np.flatnonzero(row).tolist(), key=lambda w, row=row: (-row[w].round(12), w))[: n_candidates or n + 50]
        for row in scores
    ]
    listed = [pool[:n] for pool in pools]

    def objective(component, words):
        elsewhere = {w for other, list_ in enumerate(listed) if other != component for w in list_}
        own = [
            weakness * np.log10(scores[component, w] / scores[component].max()) - repetition * (w in elsewhere)
            for w in words
        ]
        coherence = [min(npmi[a, b], ceiling) for place, a in enumerate(words) for b in words[:place]]
        return sum(own) / n + (sum(coherence) * 2 / (n * (n - 1)) if n > 1 else 0)

    for _ in range(n_rounds):
        for component, pool in enumerate(pools):
            while True:
                words, found = listed[component], []
                now = objective(component, words)
                for added in [w for w in pool if w not in words]:
                    for removed in sorted(words, key=pool.index, reverse=True):
                        changed = [w for w in words if w != removed] + [added]
                        found.append((objective(component, changed) - now, sorted(changed, key=pool.index)))
                most = max((gain for gain, _ in found), default=0)
                if most < 1e-12:
                    break
                listed[component] = next(words for gain, words in found if gain > most - 1e-12)
    return [
        (scores[component], listed[component]) if component in labels else None for component in range(n_components)
    ]


# -- BM25 weights -----------------------------------------------------------------------------------------------------


def bm25(X, variant, k1=1.5, b=0.75, delta=0.5, k1_of_terms=None):
    """Compute the contribution of each term to the score of each document; the rows of X are the corpus.

    "bm25-adpt" needs the k1 of each term.
    """
    X = wide(X)
    n_documents, n_terms = X.shape
    mean_length = sum(sum(row) for row in X) / n_documents

    def ratio(part, whole):
        return part / whole if part > 0 else 0.0  # 0 / 0 in empty documents, and if k1 is 0

    out = np.zeros(X.shape)
    for t in range(n_terms):
        df = sum(f > 0 for f in X[:, t])
        if df == 0:
            continue
        gain = max(0.0, information_gains(X, t, b)[1]) if variant == "bm25-adpt" else None
        for d in range(n_documents):
            f, length = X[d, t], 1 - b + b * np.sum(X[d]) / mean_length
            if variant == "lucene":
                idf, worth = np.log(1 + (n_documents - df + 0.5) / (df + 0.5)), ratio(f, k1 * length + f)
            elif variant == "robertson":
                idf, worth = np.log(max(1, (n_documents - df + 0.5) / (df + 0.5))), ratio(f, k1 * length + f)
            elif variant == "atire":
                idf, worth = np.log(n_documents / df), (k1 + 1) * ratio(f, k1 * length + f)
            elif variant == "bm25l":
                c = ratio(f, length)
                idf, worth = np.log((n_documents + 1) / (df + 0.5)), (k1 + 1) * ratio(c + delta, k1 + c + delta)
            elif variant == "bm25+":
                idf, worth = np.log((n_documents + 1) / df), (k1 + 1) * ratio(f, k1 * length + f) + delta
            else:
                k = k1_of_terms[t]
                idf, worth = gain, (k + 1) * ratio(f, k * length + f)
            out[d, t] = idf * worth
    return out


def information_gains(X, t, b):
    """Compute G_0, G_1, ... of term t up to its largest number of occurrences, at least 2 and at most 20."""
    X = wide(X)
    n_documents, lengths = len(X), X.sum(axis=1)
    occurrences = [row[t] / (1 - b + b * n / lengths.mean()) for row, n in zip(X, lengths, strict=True) if row[t] > 0]

    def n_having(r):
        return n_documents if r == 0 else len(occurrences) if r == 1 else sum(c >= r - 0.5 for c in occurrences)

    gains = []
    for r in range(21):
        if r > 1 and n_having(r) == 0:
            break
        first = np.log2((n_having(1) + 0.5) / (n_documents + 1))
        gains.append(np.log2((n_having(r + 1) + 0.5) / (n_having(r) + 1)) - first)
    return gains


def adapted_k1(X, t, k1, b):
    """Find k in [0.01, 100] whose saturation curve is nearest to the gains of term t, by successively finer grids."""
    gains = information_gains(X, t, b)
    if len(gains) < 3 or gains[1] <= 0:
        return k1

    def error(k):
        return sum((gain / gains[1] - (k + 1) * r / (k + r)) ** 2 for r, gain in enumerate(gains))

    low, high = 0.01, 100.0
    for _ in range(10):
        grid = np.geomspace(low, high, 101)
        best = min(range(101), key=lambda i: error(grid[i]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 100)]
    return np.sqrt(low * high)


# -- rankings --------------------------------------------------------------------------------------------------------
# For one query: a ranking is a list of ids or -1, `grades` a dictionary with at least one relevant document.


def dcg(grades, exponential=False):
    return sum((2**g - 1 if exponential else g) / np.log2(rank + 1) for rank, g in enumerate(grades, 1) if g > 0)


def ndcg(ranking, grades, k, exponential=False):
    best = sorted(grades.values(), reverse=True)
    return dcg([grades.get(d, 0) for d in ranking[:k]], exponential) / dcg(best[:k], exponential)


def is_relevant(document, grades):
    return document != -1 and grades.get(document, 0) > 0


def n_relevant(grades):
    return sum(g > 0 for g in grades.values())


def average_precision(ranking, grades, k):
    total, hits = 0.0, 0
    for rank, document in enumerate(ranking[:k], 1):
        if is_relevant(document, grades):
            hits += 1
            total += hits / rank
    return total / n_relevant(grades)


def reciprocal_rank(ranking, grades, k):
    for rank, document in enumerate(ranking[:k], 1):
        if is_relevant(document, grades):
            return 1 / rank
    return 0.0


def hits_at(ranking, grades, k):
    return sum(is_relevant(document, grades) for document in ranking[:k])


# -- the Hopfield memory ---------------------------------------------------------------------------------------------


def softmax_weights(z):
    shifted = np.exp(wide(z) - np.max(z))
    return shifted / shifted.sum()


def sparsemax_weights(z):
    """Compute sparsemax by algorithm 1 of Martins and Astudillo (2016): support, then threshold."""
    z = wide(z)
    falling = sorted(z, reverse=True)
    for n in range(1, len(z) + 1):
        if 1 + n * falling[n - 1] > sum(falling[:n]):
            size = n
    tau = (sum(falling[:size]) - 1) / size
    return np.maximum(z - tau, 0)


def entmax15_weights(z):
    """Compute 1.5-entmax (Peters, Niculae and Martins 2019) by bisection of the sum of squares."""
    half = wide(z) / 2
    low, high = half.max() - 1, half.max()
    for _ in range(200):
        tau = (low + high) / 2
        if (np.maximum(half - tau, 0) ** 2).sum() >= 1:
            low = tau
        else:
            high = tau
    weights = np.maximum(half - low, 0) ** 2
    return weights / weights.sum()


def max_weights(z):
    weights = np.zeros(len(z))
    weights[int(np.argmax(z))] = 1
    return weights


SEPARATIONS = {
    "softmax": softmax_weights,
    "sparsemax": sparsemax_weights,
    "entmax15": entmax15_weights,
    "max": max_weights,
}


def conjugate(z, weights, kind):
    """Compute `p'z` minus the penalty of p, at the weights p that maximise it."""
    p = wide(weights)
    if kind == "softmax":
        penalty = sum(v * np.log(v) for v in p if v > 0)
    elif kind == "sparsemax":
        penalty = (p @ p - 1) / 2
    elif kind == "entmax15":
        penalty = 4 / 3 * (sum(p**1.5) - sum(p))
    else:
        penalty = 0.0
    return p @ wide(z) - penalty


def memory_scores(q, patterns, similarity, penalty):
    """Compute the score of each pattern over the features of the query that are not NaN."""
    scores, observed = [], ~np.isnan(q)
    q = wide(q)[observed]
    for x in wide(patterns)[:, observed]:
        score = float(wide(q) @ x)
        if similarity == "cosine":
            score /= np.sqrt(q @ q) * np.sqrt(x @ x) or 1
        elif similarity == "euclidean":
            score -= x @ x / 2
        elif similarity == "containment":
            score -= penalty * np.abs(x).sum()
        scores.append(score)
    return np.array(scores)


def memory_step(q, patterns, similarity, penalty, kind, beta):
    """Compute the weights of all patterns and the completed query; equal patterns count once and share the weight."""
    patterns = wide(patterns)
    distinct = np.unique(patterns, axis=0)
    scores = memory_scores(q, distinct, similarity, penalty)
    if np.isnan(q).all() or (not (distinct @ np.nan_to_num(wide(q))).any() and similarity != "euclidean"):
        return np.zeros(len(patterns)), np.zeros(len(q))
    by_pattern = SEPARATIONS[kind](beta * scores)
    weights = np.zeros(len(patterns))
    for pattern, weight in zip(distinct, by_pattern, strict=True):
        same = (patterns == pattern).all(axis=1)
        weights[same] = weight / same.sum()
    return weights, weights @ patterns


def memory_beta(q, patterns, similarity, penalty, margin, least):
    """Compute the inverse temperature that selects one pattern if the score gap of others is twice as large."""
    own = memory_scores(q, np.nan_to_num(q)[None], similarity, penalty)[0]
    lacking = abs(own - memory_scores(q, patterns, similarity, penalty).max())
    return max(least, margin / max(lacking, 1e-12))


def memory_energy(q, patterns, similarity, penalty, kind, beta):
    q, distinct = wide(q), np.unique(wide(patterns), axis=0)
    z, zeros = beta * memory_scores(q, distinct, similarity, penalty), np.zeros(len(distinct))
    value = conjugate(z, SEPARATIONS[kind](z), kind)
    at_zero = conjugate(zeros, SEPARATIONS[kind](zeros), kind)
    longest = max(x @ x for x in distinct)
    return -value / beta + q @ q / 2 + longest / 2 + at_zero / beta


# -- the retriever ---------------------------------------------------------------------------------------------------


def feedback_step(q, W, n_documents, n_terms, weight):
    """Complete a query from its counts q and weighted documents W."""
    q, W = wide(q), wide(W)
    scores = [max(float(w @ q), 0.0) for w in W]
    order = sorted(range(len(W)), key=lambda i: (-scores[i], i))
    left_out = scores[order[n_documents]] if len(W) > n_documents else 0.0
    shares = {i: scores[i] - left_out for i in order[:n_documents]}
    if not any(shares.values()):
        shares = {i: float(scores[i] > 0) for i in order[:n_documents]}
    added = np.zeros(len(q))
    for i, share in shares.items():
        length = np.sqrt(W[i] @ W[i])
        if share > 0 and length > 0:
            added += share / sum(shares.values()) * W[i] / length
    kept = sorted(range(len(q)), key=lambda j: (-added[j], j))[:n_terms]
    added = np.array([value if j in kept and value > 0 else 0.0 for j, value in enumerate(added)])
    return _unit(q) + weight * _unit(added)


def _unit(v):
    length = np.sqrt(v @ v)
    return v / length if length > 0 else v


def limited_scores(query, completed, W):
    """Compute scores of documents for a completed query, with a limit on the score of added terms."""
    W = wide(W)
    own = wide(query) / max(np.sqrt(wide(query) @ wide(query)), 1e-300)
    plain, added = W @ own, W @ (wide(completed) - own)
    first = [d for d in np.argsort(-plain, kind="stable")[:2] if plain[d] > 0]
    limit = min([added[d] for d in first], default=0)
    return plain + np.minimum(added, min(limit, 3 * max(plain, default=0)))


def hybrid_scores(query, completed, W, embedded, E, weight):
    """Average scores by words, relative to the largest possible score, and cosines with weights."""
    own = wide(query) / max(np.sqrt(wide(query) @ wide(query)), 1e-300)
    words = limited_scores(query, completed, W).clip(0) / max(4 * (own @ wide(W).max(axis=0)), 1e-300)
    lengths = np.sqrt((wide(E) ** 2).sum(axis=1)) * np.sqrt((wide(embedded) ** 2).sum())
    cosines = wide(E) @ wide(embedded) / np.where(lengths > 0, lengths, np.inf)
    return (1 - weight) * words + weight * cosines.clip(0)


# -- geometry --------------------------------------------------------------------------------------------------------


def covariance(X):
    """Average the outer products of centred rows."""
    X = wide(X)
    mean, out = X.mean(axis=0), np.zeros((X.shape[1], X.shape[1]))
    for x in X:
        out += np.outer(x - mean, x - mean) / len(X)
    return out


def whiten(fitted, X, power, shrinkage, n_remove=0):
    """Centre rows by the fitted mean, scale principal directions by eigenvalues and remove the leading ones."""
    fitted, X = wide(fitted), wide(X)
    values, vectors = np.linalg.eigh(covariance(fitted))
    out = np.zeros(X.shape)
    for place in range(len(values) - n_remove):  # eigenvalues ascend
        direction = vectors[:, place]
        gain = (values[place] + shrinkage * values.mean()) ** (-power / 2)
        for i, x in enumerate(X):
            out[i] += gain * (direction @ (x - fitted.mean(axis=0))) * direction
    return out


def smooth(fitted, X, n_neighbors, weight):
    """Average each row of X with the fitted rows of largest cosine; among equal cosines the first are taken."""
    rows = [_unit(row) for row in wide(fitted) if row.any()]
    out = np.zeros(wide(X).shape)
    for i, x in enumerate(wide(X)):
        if x.any():
            u = _unit(x)
            nearest = sorted(range(len(rows)), key=lambda j, u=u: -round(float(u @ rows[j]), 9))[:n_neighbors]
            mean = sum(rows[j] for j in nearest) / len(nearest)
            out[i] = _unit((1 - weight) * u + weight * mean)
    return out


def isoscore(X):
    """Compute IsoScore by its published steps: rotate, take variances, scale to length sqrt(d), distance from ones."""
    X = wide(X)
    d = X.shape[1]
    _, vectors = np.linalg.eigh(covariance(X))
    rotated = (X - X.mean(axis=0)) @ vectors
    variances = np.array([np.mean(column**2) for column in rotated.T])
    scaled = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(scaled - np.ones(d)) / np.sqrt(2 * (d - np.sqrt(d)))
    in_use = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d
    return (in_use - 1) / (d - 1)


def average_cosine(X):
    rows = np.array([_unit(x) for x in wide(X)])
    return np.mean([np.delete(rows, i, axis=0) @ a for i, a in enumerate(rows)])


def alignment(A, B, alpha=2):
    return np.mean([np.linalg.norm(_unit(a) - _unit(b)) ** alpha for a, b in zip(wide(A), wide(B), strict=True)])


def uniformity(X, t=2):
    rows = np.array([_unit(x) for x in wide(X)])
    pairs = [np.exp(-t * np.sum((rows[:i] - a) ** 2, axis=1)) for i, a in enumerate(rows)]
    return np.log(np.mean(np.concatenate(pairs)))


# -- heads over embeddings ---------------------------------------------------------------------------------------------


def spread_inside_groups(X, groups):
    """Compute the covariance of rows within groups, divided by the number of rows minus groups."""
    X = wide(X)
    names = sorted(set(groups))
    out = np.zeros((X.shape[1], X.shape[1]))
    for name in names:
        members = [X[i] for i in range(len(X)) if groups[i] == name]
        mean = sum(members) / len(members)
        for member in members:
            out += np.outer(member - mean, member - mean)
    return out / (len(X) - len(names))


def first_rank(Z, groups, i):
    """Compute the rank of the first other row of the group of row i, by cosine; rows of other groups win ties."""
    Z = wide(Z)
    cosines = [Z[i] @ Z[j] / (np.sqrt(Z[i] @ Z[i]) * np.sqrt(Z[j] @ Z[j])) for j in range(len(Z))]
    best = max(cosines[j] for j in range(len(Z)) if j != i and groups[j] == groups[i])
    return 1 + sum(groups[j] != groups[i] and cosines[j] >= best for j in range(len(Z)))


def barlow_loss(one, two, redundancy):
    """Compute the Barlow Twins loss of two views with standardised features."""
    one, two = wide(one), wide(two)
    loss = 0.0
    for i in range(one.shape[1]):
        for j in range(one.shape[1]):
            a, b = one[:, i] - one[:, i].mean(), two[:, j] - two[:, j].mean()
            c = (a @ b) / np.sqrt((a @ a) * (b @ b))
            loss += (1 - c) ** 2 if i == j else redundancy * c**2
    return loss


def contrast(one, two, groups, temperature):
    """Compute the mean negative log-probability of the partner of a row, without partners of its group."""
    loss = 0.0
    for i in range(len(one)):
        chances = []
        for j in range(len(two)):
            cosine = one[i] @ two[j] / (np.linalg.norm(one[i]) * np.linalg.norm(two[j]))
            chances.append(np.exp(cosine / temperature) if i == j or groups[i] != groups[j] else 0.0)
        loss -= np.log(chances[i] / sum(chances)) / len(one)
    return loss


def marginal_contrast(Z, groups, temperature):
    """Compute the mean negative log-probability of the group of a row, by softmax of cosines with all other rows."""
    loss = 0.0
    for i in range(len(Z)):
        chances = np.zeros(len(Z))
        for j in range(len(Z)):
            if j != i:
                chances[j] = np.exp(Z[i] @ Z[j] / (np.linalg.norm(Z[i]) * np.linalg.norm(Z[j])) / temperature)
        same_group = [groups[j] == groups[i] for j in range(len(Z))]
        loss -= np.log(chances[same_group].sum() / chances.sum()) / len(Z)
    return loss
