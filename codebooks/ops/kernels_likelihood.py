"""Kernels of `MultinomialMixture`: term weights, log lifts, responsibilities and expectation-maximisation steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks.ops.compiler import compile_kernel, compile_reordered_kernel

# Decayed values below this become 0, because processors are slow with subnormal numbers.
_SMALLEST = 1e-30
# Counts below this share of their smoothing change no digit of a logarithm.
_UNSEEN = 1e-14


class WeightedRows(NamedTuple):
    """Output of `weigh_rows`: the arrays of a CSR matrix."""

    starts: Any
    indices: Any
    data: Any


class TermCounts(NamedTuple):
    """Counts of terms in components as `distributions * mass`."""

    distributions: Any  # (n_features, n_components)
    mass: Any  # (n_components,)


class LiftSmoothing(NamedTuple):
    """Smoothing of log lifts and saliency; see `codebooks.ops.compute_log_lifts`."""

    floor: float
    share: float
    background: float


class LogLifts(NamedTuple):
    """Output of `compute_log_lifts`."""

    table: Any  # (n_columns, n_components)
    saliency: Any  # (n_columns,)
    totals: Any  # (n_columns,)


class ScoreScaling(NamedTuple):
    """Scores become `scale * score - offset`; those further than `margin` below the largest get no responsibility."""

    scale: Any
    offset: Any  # (n_components,)
    margin: Any


class FoldInParameters(NamedTuple):
    """Arguments of `codebooks.ops.fold_in`."""

    weight: Any  # (n_features,)
    lifts: Any  # (n_features, n_components)
    prior: Any  # (n_rows, n_components)
    n_steps: int
    least: Any


class AddedColumns(NamedTuple):
    """Columns that are added to a table, with a weight for each component."""

    columns: Any  # ascending
    values: Any  # (n_columns, n_components)
    weight: Any  # (n_components,)


@compile_kernel
def weigh_rows(start, stop, X, weight, length, out):
    """Copy sparse rows with each entry multiplied by the weight of its column, scaled to Euclidean norm `length`."""
    starts, stops, indices, data = X
    for i in range(start, stop):
        shift = out.starts[i] - starts[i]
        squares = 0.0
        for p in range(starts[i], stops[i]):
            value = np.float64(data[p]) * weight[indices[p]]
            squares += value * value
        scale = length / np.sqrt(squares) if squares > 0 else 0.0
        for p in range(starts[i], stops[i]):
            out.indices[p + shift] = indices[p]
            out.data[p + shift] = np.float64(data[p]) * weight[indices[p]] * scale


@compile_kernel
def sum_column_logs(X, offset, wanted, sample_weight, sums, counts):
    """Sum the logarithms of the positive entries of each wanted column, minus the level of their rows, and count them.

    The level of a row is the logarithm of the root mean square of its entries, each divided by `exp(offset)`. The
    kernel runs on one thread, because many rows add to one column. An empty `sample_weight` stands for 1 in every row.
    """
    starts, stops, indices, data = X
    for i in range(len(starts)):
        is_wanted = False
        for p in range(starts[i], stops[i]):
            is_wanted |= wanted[indices[p]] and data[p] > 0
        if not is_wanted:
            continue
        squares, n = 0.0, 0
        for p in range(starts[i], stops[i]):
            if data[p] > 0:
                squares += (np.float64(data[p]) * np.exp(-offset[indices[p]])) ** 2
                n += 1
        if squares == 0:
            continue  # the squares underflow
        level = 0.5 * np.log(squares / n)
        count = sample_weight[i] if len(sample_weight) else 1.0
        for p in range(starts[i], stops[i]):
            j = indices[p]
            if wanted[j] and data[p] > 0:
                sums[j] += count * (np.log(np.float64(data[p])) - level)
                counts[j] += count


@compile_kernel
def compute_log_lifts(start, stop, columns, counts, smoothing, out):
    """Fill rows `start` to `stop` of the output table with the log lifts of some columns times their saliency."""
    distributions, mass = counts
    floor, background = smoothing.floor, smoothing.background
    table, saliency, totals = out
    n_components, n_features = len(mass), len(distributions)
    total = 0.0
    for k in range(n_components):
        total += mass[k]
    share = smoothing.share * total / n_components
    entropy = 0.0
    norm, prior, inverse = np.empty(n_components), np.empty(n_components), np.empty(n_components)
    for k in range(n_components):
        norm[k] = np.log(mass[k] + floor * n_features + share)
        prior[k] = mass[k] / total
        inverse[k] = total / mass[k] if mass[k] > 0 else 0.0
        if prior[k] > 0:
            entropy -= prior[k] * np.log(prior[k])
    log_background = np.log(background)
    for u in range(start, stop):
        v = columns[u]
        count = 0.0
        for k in range(n_components):
            count += mass[k] * distributions[v, k]
        totals[u] = count
        if count <= 0:
            saliency[u] = 0
            for k in range(n_components):
                table[u, k] = 0
            continue
        beta = floor + share * count / total
        log_beta, log_frequency, log_all = np.log(beta), np.log(count / total), np.log(count + background)
        gain = 0.0
        for k in range(n_components):
            value = mass[k] * distributions[v, k]
            if value > _UNSEEN * beta:
                table[u, k] = np.log(value + beta) - norm[k] - log_frequency
                gain += (value + background * prior[k]) * (np.log(value * inverse[k] + background) - log_all)
            else:
                table[u, k] = log_beta - norm[k] - log_frequency
                gain += background * prior[k] * (log_background - log_all)
        gain /= count + background
        weight = np.sqrt(max(gain / entropy, 0.0)) if entropy > 0 else 1.0
        saliency[u] = weight
        for k in range(n_components):
            table[u, k] *= weight


@compile_kernel
def accumulate_few(start, stop, X, G, out):
    """Add columns `start` to `stop` of `G.T X` to `out[feature, column]`; fast if most entries of `G` are zero."""
    starts, stops, indices, data = X
    columns, shares = np.empty(stop - start, np.int64), np.empty(stop - start, G.dtype)
    for i in range(len(starts)):
        n = 0
        for k in range(start, stop):
            if G[i, k] != 0:
                columns[n], shares[n] = k, G[i, k]
                n += 1
        for p in range(starts[i], stops[i]):
            j, x = indices[p], data[p]
            for m in range(n):
                out[j, columns[m]] += shares[m] * x


@compile_kernel
def compute_responsibilities(start, stop, scaling, scores, winner, peak):
    """Replace each row of scores by the softmax over those within the margin of the largest; store the largest."""
    n_components = scores.shape[1]
    scale, offset, margin = scaling
    for i in range(start, stop):
        best, place = scores[i, 0] * scale - offset[0], 0
        for k in range(n_components):
            value = scores[i, k] * scale - offset[k]
            scores[i, k] = value
            if value > best:
                best, place = value, k
        winner[i], peak[i] = place, best
        total = scores.dtype.type(0)
        for k in range(n_components):
            below = best - scores[i, k]
            if below <= margin:
                scores[i, k] = np.exp(-below)
                total += scores[i, k]
            else:
                scores[i, k] = 0
        for k in range(n_components):
            scores[i, k] /= total


@compile_reordered_kernel  # each row is computed by one thread, always in the same order
def fold_in(start, stop, X, parameters, shares):
    """Distribute the entries of sparse rows over the components that have a share of the row, several times."""
    starts, stops, indices, data = X
    weight, lifts, prior, n_steps, least = parameters
    n_components = shares.shape[1]
    active, theta = np.empty(n_components, np.int64), np.empty(n_components, shares.dtype)
    sums = np.empty(n_components, shares.dtype)
    for i in range(start, stop):
        n_terms, n = stops[i] - starts[i], n_components
        local = np.empty((n_terms, n_components), lifts.dtype)  # lifts of the terms of the row, active components first
        for p in range(n_terms):
            for k in range(n_components):
                local[p, k] = lifts[indices[starts[i] + p], k]
        for k in range(n_components):
            active[k], theta[k] = k, shares[i, k]
            shares[i, k] = 0
        for _ in range(n_steps):
            for m in range(n):
                sums[m] = 0
            for p in range(n_terms):
                whole = shares.dtype.type(0)
                for m in range(n):
                    whole += theta[m] * local[p, m]
                if whole > 0:
                    ratio = data[starts[i] + p] * weight[indices[starts[i] + p]] / whole
                    for m in range(n):
                        sums[m] += ratio * local[p, m]
            total = shares.dtype.type(0)
            for m in range(n):
                theta[m] = theta[m] * sums[m] + (prior[i, active[m]] if theta[m] > 0 else 0)
                total += theta[m]
            n_left, left = 0, shares.dtype.type(0)
            for m in range(n):
                if theta[m] > 0 and theta[m] >= least * total:
                    sums[n_left], active[n_left], theta[n_left] = m, active[m], theta[m]
                    left += theta[m]
                    n_left += 1
            if n_left < n:
                for p in range(n_terms):
                    for m in range(n_left):
                        local[p, m] = local[p, np.int64(sums[m])]
            n = n_left
            for m in range(n):
                theta[m] /= left
        for m in range(n):
            shares[i, active[m]] = theta[m]


@compile_kernel
def decay_and_add(start, stop, distributions, factor, added, out):
    """Fill rows `start` to `stop` of `out` with `factor * distributions`, plus the weighted added columns."""
    n_components = len(factor)
    u = np.searchsorted(added.columns, start)
    for v in range(start, stop):
        for k in range(n_components):
            value = distributions[v, k] * factor[k]
            out[v, k] = value if value >= _SMALLEST else 0
        if u < len(added.columns) and added.columns[u] == v:
            for k in range(n_components):
                out[v, k] += added.weight[k] * added.values[u, k]
            u += 1
