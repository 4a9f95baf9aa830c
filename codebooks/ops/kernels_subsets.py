"""Kernels that choose columns which occur together: counts of pairs, and a local search over subsets of candidates.

Each row of `columns` is a group of candidates, sorted by descending score and filled with -1 at the end.
`codebooks.interpret` chooses topic words with these kernels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from codebooks.ops.compiler import compile_kernel


class ColumnEntries(NamedTuple):
    """The rows that contain each column: `rows[starts[c]:starts[c + 1]]`, of `n_rows` rows."""

    starts: Any
    rows: Any
    n_rows: int


class CandidateGroups(NamedTuple):
    """Groups of candidate columns with their scores and counts of pairs in `n_rows` rows."""

    columns: Any  # (n_groups, n_candidates)
    scores: Any  # (n_groups, n_candidates)
    counts: Any  # (n_groups, n_candidates, n_candidates)
    n_rows: int


class SubsetSearch(NamedTuple):
    """Parameters of the local search; see `codebooks.ops.choose_subsets`."""

    n: int
    ceiling: float
    weakness: float
    repetition: float
    n_rounds: int
    tolerance: float  # gains below this are rounding errors


@compile_kernel
def count_pairs(start, stop, entries, columns, counts):
    """Set `counts[k, i, j]` to the number of rows that contain both candidates i and j of group k.

    The candidates already found in a row form a linked list.
    """
    starts, rows = entries.starts, entries.rows
    last = np.full(entries.n_rows, -1, np.int64)
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
def choose_subsets(groups, search, chosen):
    """Exchange candidates one for one until no exchange raises the objective of `codebooks.interpret._labelling`.

    `chosen[k]` marks the candidates of group k that the search starts from, and is overwritten with the result.
    """
    columns, scores, counts = groups.columns, groups.scores, groups.counts
    n_groups, n_candidates = columns.shape
    n = search.n
    n_listed = np.zeros(columns.max() + 1, np.int64)  # number of groups that list a column
    for k in range(n_groups):
        for i in range(n_candidates):
            if chosen[k, i]:
                n_listed[columns[k, i]] += 1
    pair_value, own_value = np.zeros((n_candidates, n_candidates)), np.zeros(n_candidates)
    pair_weight = 2.0 / (n * (n - 1)) if n > 1 else 0.0
    for _ in range(search.n_rounds):
        changed = False
        for k in range(n_groups):
            m = 0
            while m < n_candidates and columns[k, m] >= 0:
                m += 1
            if m <= n:
                continue
            for i in range(m):
                for j in range(i):
                    npmi = _compute_npmi(counts[k, i, j], counts[k, i, i], counts[k, j, j], groups.n_rows)
                    pair_value[i, j] = pair_value[j, i] = pair_weight * min(npmi, search.ceiling)
                if chosen[k, i]:
                    n_listed[columns[k, i]] -= 1
                elsewhere = search.repetition if n_listed[columns[k, i]] > 0 else 0.0
                own_value[i] = (search.weakness * np.log10(scores[k, i] / scores[k, 0]) - elsewhere) / n
            changed |= _exchange_candidates(pair_value[:m, :m], own_value[:m], chosen[k, :m], search.tolerance)
            for i in range(m):
                if chosen[k, i]:
                    n_listed[columns[k, i]] += 1
        if not changed:
            break


@compile_kernel
def _compute_npmi(both, one, other, n_rows):
    """Compute normalised pointwise mutual information from a lower confidence bound of the joint count."""
    if both <= 1:
        return -1.0
    share = (both - np.sqrt(both)) / n_rows
    return np.log(share * n_rows * n_rows / (np.float64(one) * other)) / -np.log(share)


@compile_kernel
def _exchange_candidates(pair_value, own_value, chosen, tolerance):
    """Make the exchange with the largest gain until none gains.

    Of equal exchanges, the one that adds the first candidate and removes the last is made.
    """
    m, changed = len(own_value), False
    total = np.empty(m)
    while True:
        for i in range(m):
            total[i] = own_value[i]
            for j in range(m):
                if chosen[j]:
                    total[i] += pair_value[i, j]
        gain, added, removed = 0.0, -1, -1
        for i in range(m):
            if not chosen[i]:
                for j in range(m - 1, -1, -1):
                    if chosen[j] and total[i] - pair_value[i, j] - total[j] > gain + tolerance:
                        gain, added, removed = total[i] - pair_value[i, j] - total[j], i, j
        if added < 0:
            return changed
        chosen[added], chosen[removed], changed = True, False, True
