"""Kernels of a mixture of word distributions: weights of words, log lifts, and sums of rows by component."""

from __future__ import annotations

import numpy as np

from codebooks.ops.compiler import compiled


@compiled
def weigh_rows(start, stop, starts, stops, indices, data, weight, length, new_starts, new_indices, new_data):
    """Copy sparse rows with each entry times the weight of its column, scaled to Euclidean norm `length`."""
    for i in range(start, stop):
        shift = new_starts[i] - starts[i]
        squares = 0.0
        for p in range(starts[i], stops[i]):
            value = np.float64(data[p]) * weight[indices[p]]
            squares += value * value
        scale = length / np.sqrt(squares) if squares > 0 else 0.0
        for p in range(starts[i], stops[i]):
            new_indices[p + shift] = indices[p]
            new_data[p + shift] = np.float64(data[p]) * weight[indices[p]] * scale


@compiled
def add_logs(starts, stops, indices, data, offset, wanted, sums, counts):
    """Add, for each wanted column, the logarithms of its positive entries less the level of their rows.

    The level of a row is the logarithm of the root mean square of its entries, each divided by `exp(offset)`. One
    thread does all, because many rows add to one column.
    """
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
            continue  # the entries are too small to be squared
        level = 0.5 * np.log(squares / n)
        for p in range(starts[i], stops[i]):
            j = indices[p]
            if wanted[j] and data[p] > 0:
                sums[j] += np.log(np.float64(data[p])) - level
                counts[j] += 1


@compiled
def lift(start, stop, columns, distributions, mass, floor, share, background, table, saliency, totals):
    """Fill the rows `start` to `stop` of `table` with the log lifts of some columns, times their saliency."""
    n_components, n_features = len(mass), len(distributions)
    total = 0.0
    for k in range(n_components):
        total += mass[k]
    share = share * total / n_components
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
            if value > 0:
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


@compiled
def accumulate_few(start, stop, starts, stops, indices, data, G, out):
    """Columns `start` to `stop` of `G.T X`, where most entries of `G` are zero, written as `out[feature, column]`."""
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
