"""Kernels that choose columns which occur together: counts of pairs, and a local search over subsets of candidates.

Each group of candidates is a row of `columns`, the strongest first and -1 behind the last. `codebooks.interpret`
chooses topic words with them.
"""

from __future__ import annotations

import numpy as np

from codebooks.ops.compiler import compile_kernel


@compile_kernel
def count_pairs(start, stop, starts, rows, n_rows, columns, counts):
    """`counts[k, i, j]` becomes the number of rows that hold both candidates i and j of group k.

    `rows[starts[c]:starts[c + 1]]` hold column c. The candidates that a row has held so far form a linked list.
    """
    last = np.full(n_rows, -1, np.int64)
    for k in range(start, stop):
        n_entries, n_columns = 0, 0
        for column in columns[k]:
            if column >= 0:
                n_entries += starts[column + 1] - starts[column]
                n_columns += 1
        previous, candidate = np.empty(n_entries, np.int64), np.empty(n_entries, np.int64)
        entry = 0
        for i in range(n_columns):
            for p in range(starts[columns[k, i]], starts[columns[k, i] + 1]):
                row = rows[p]
                previous[entry], candidate[entry] = last[row], i
                last[row] = entry
                other = entry
                while other >= 0:
                    counts[k, candidate[other], i] += 1
                    other = previous[other]
                entry += 1
        for i in range(n_columns):
            for p in range(starts[columns[k, i]], starts[columns[k, i] + 1]):
                last[rows[p]] = -1
            for j in range(i):
                counts[k, i, j] = counts[k, j, i]


@compile_kernel
def choose_subsets(columns, scores, counts, n_rows, n, objective, n_rounds, tolerance, chosen):
    """Exchange candidates one for one until no exchange raises the objective of `codebooks.interpret._labelling`.

    On entry `chosen[k]` marks the candidates of group k to begin with, on return those to end with.
    """
    n_groups, n_candidates = columns.shape
    ceiling, weakness, repetition = objective
    n_listed = np.zeros(columns.max() + 1, np.int64)  # how many groups list a column
    for k in range(n_groups):
        for i in range(n_candidates):
            if chosen[k, i]:
                n_listed[columns[k, i]] += 1
    company, own = np.zeros((n_candidates, n_candidates)), np.zeros(n_candidates)
    of_pair = 2.0 / (n * (n - 1)) if n > 1 else 0.0
    for _ in range(n_rounds):
        changed = False
        for k in range(n_groups):
            m = 0
            while m < n_candidates and columns[k, m] >= 0:
                m += 1
            if m <= n:
                continue
            for i in range(m):
                for j in range(i):
                    npmi = _compute_npmi(counts[k, i, j], counts[k, i, i], counts[k, j, j], n_rows)
                    company[i, j] = company[j, i] = of_pair * min(npmi, ceiling)
                if chosen[k, i]:
                    n_listed[columns[k, i]] -= 1
                elsewhere = repetition if n_listed[columns[k, i]] > 0 else 0.0
                own[i] = (weakness * np.log10(scores[k, i] / scores[k, 0]) - elsewhere) / n
            changed |= _exchange_candidates(company[:m, :m], own[:m], chosen[k, :m], tolerance)
            for i in range(m):
                if chosen[k, i]:
                    n_listed[columns[k, i]] += 1
        if not changed:
            break


@compile_kernel
def _compute_npmi(both, one, other, n_rows):
    """Normalised pointwise mutual information, with a lower confidence bound of the number of rows that hold both."""
    if both <= 1:
        return -1.0
    share = (both - np.sqrt(both)) / n_rows
    return np.log(share * n_rows * n_rows / (np.float64(one) * other)) / -np.log(share)


@compile_kernel
def _exchange_candidates(company, own, chosen, tolerance):
    """Make the exchange that gains most, until none gains; equal ones bring in the first and take out the last."""
    m, changed = len(own), False
    total = np.empty(m)
    while True:
        for i in range(m):
            total[i] = own[i]
            for j in range(m):
                if chosen[j]:
                    total[i] += company[i, j]
        gain, comes, goes = 0.0, -1, -1
        for i in range(m):
            if not chosen[i]:
                for j in range(m - 1, -1, -1):
                    if chosen[j] and total[i] - company[i, j] - total[j] > gain + tolerance:
                        gain, comes, goes = total[i] - company[i, j] - total[j], i, j
        if comes < 0:
            return changed
        chosen[comes], chosen[goes], changed = True, False, True
