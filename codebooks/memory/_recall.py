"""Scores, weights and completions of queries for one state of a memory, and the estimates of its parameters."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.base import check_random_state, iterate_row_blocks
from codebooks.memory._pattern_store import Patterns, draw_fragments, sum_magnitudes

__all__ = ["Association"]

# The number of patterns from which beta is estimated: at most, at least, and for about this number of comparisons.
_LARGEST_SAMPLE, _SMALLEST_SAMPLE, _COMPARISONS = 2_000, 200, 20_000_000
# Fragments for beta="auto" contain this share of their pattern.
_FRAGMENT = 0.2
# With beta="auto" all but this share of the fragments with a nearest pattern return that pattern alone.
_AMBIGUOUS = 0.005
# A softmax never gives all weight to one pattern; this weight counts as all.
_NEARLY_ALL = 0.99
# length_penalty="auto": this part of the share of a median pattern that the query contains.
_PENALTY = 0.25
# Differences smaller than this, relative to what is compared, are rounding.
_ROUNDING = 1e-5
# Scores are sums over features: their error is this number of units in the last place, and more with many features.
_UNITS_IN_LAST_PLACE = 16
# similarity="auto" is chosen by this number of patterns at most and of queries at least: fragments with these shares
# of a pattern, and mixtures with this share of another one. Fragments decide nothing if fewer than this share of them
# are recognised beyond chance.
_CHOOSING_SAMPLE, _CHOOSING_QUERIES, _FRAGMENTS, _FOREIGN, _FEW = 500, 200, (0.2, 0.5), 0.3, 0.1
# Lower bound of differences of scores, which keeps their reciprocals finite.
_LEAST = 1e-300
# The number of pairs of rows that are subtracted at a time.
_PAIRS = 4096


class Compared(NamedTuple):
    """Scores of queries with all patterns."""

    scores: Any  # (n_queries, n_patterns)
    peaks: Any  # (n_queries,) the best score
    recalls: Any  # (n_queries,) whether a query recalls anything; others share no feature with any pattern
    own: Any  # (n_queries,) float64, the score of a pattern that equals the query
    rounding: Any  # (n_queries,) float64, the rounding error of scores


class Association(NamedTuple):
    """Immutable state of a memory: patterns and parameters."""

    store: Patterns
    requested_similarity: str
    length_penalty: float | str
    separation: str
    requested_beta: float | str
    seed: int

    # -- parameters --------------------------------------------------------------------------------------------------

    @property
    def similarity(self) -> str:
        """The similarity that is used."""
        if self.requested_similarity != "auto":
            return self.requested_similarity
        if self.store.is_binary:
            return "containment"
        return self.store.get_or_compute(f"similarity {self.seed}", self._choose_similarity)

    @property
    def beta(self) -> float:
        """The inverse temperature that is used; `"auto"` raises it for queries close to a pattern."""
        if not isinstance(self.requested_beta, str):
            return float(self.requested_beta)
        return self.store.get_or_compute(f"beta {self[1:4]}", self._estimate_beta)

    @property
    def retrievable(self) -> float:
        """The share of the patterns that one step does not change."""
        return self.store.get_or_compute(f"retrievable {self[1:]}", self._estimate_retrievable)

    # -- scores and weights ------------------------------------------------------------------------------------------

    def compare(self, Q: Any) -> Compared:
        """Compute the scores of all patterns. Features that are NaN in a query are left out for all patterns."""
        store, similarity = self.store, self.similarity
        if similarity == "euclidean":
            Q, store = self._around_centre(Q)
        given, missing = ops.split_missing(Q)
        xp, norms = ops.xp(given), ops.row_norms(given)
        own = norms.astype(xp.float64) ** 2
        size = own + float(np.finfo(norms.dtype).eps) * store.longest**2
        if similarity == "cosine":
            given = ops.scale_rows(given, ops.reciprocal(norms))
            own, size = xp.ones_like(own), xp.ones_like(own)
        scores = ops.score_postings(given, store.index)
        if similarity == "cosine":
            scores *= ops.reciprocal(store.lengths if missing is None else store.compute_lengths_without(missing))
        elif similarity == "euclidean":
            scores -= (store.lengths if missing is None else store.compute_lengths_without(missing)) ** 2 / 2
            own = own / 2
        elif similarity == "containment":
            penalties = self._compute_penalties(given)
            scores -= penalties[:, None] * (store.sums if missing is None else store.compute_sums_without(missing))
            own = own - penalties * sum_magnitudes(given)
        limits, n_features = np.finfo(norms.dtype), given.shape[1]
        rounding = float(limits.eps) * (_UNITS_IN_LAST_PLACE + n_features**0.5) * size
        rounding += float(limits.smallest_subnormal) * n_features
        recalls = xp.ones(len(scores), bool)
        peaks = scores.max(axis=1) if scores.size else xp.full(len(scores), -np.inf, scores.dtype)
        if similarity != "euclidean" and scores.size:
            recalls = self._share_features(given, peaks)
        if missing is not None:
            recalls &= _count_missing(missing) < missing.shape[1]
        return Compared(scores, peaks, recalls, own, rounding)

    def _around_centre(self, Q: Any) -> tuple[Any, Patterns]:
        """Return queries and patterns less the mean pattern, with the same distances; sparse ones as they are."""
        if ops.is_sparse(Q):
            return Q, self.store
        centre, store = self.store.around_centre
        return Q - centre, store

    def _share_features(self, given: Any, peaks: Any) -> Any:
        """Return the mask of the queries that share a feature with any pattern."""
        xp = ops.xp(peaks)
        shares = peaks > 0
        unclear = xp.flatnonzero(~shares)  # their scores may be negative
        if len(unclear):
            shares[unclear] = ops.score_postings(ops.take_rows(given, unclear), self.store.index).any(axis=1)
        return shares

    def _assign_empty_queries(self, Q: Any, compared: Compared) -> None:
        """Set the scores of queries without entries so that they recall empty patterns, if there are any."""
        xp = ops.xp(compared.scores)
        given, missing = ops.split_missing(Q)
        empty = ~compared.recalls & (ops.row_norms(given) == 0)
        if missing is not None:
            empty &= _count_missing(missing) < missing.shape[1]
        rows = xp.flatnonzero(empty)
        if not len(rows):
            return
        if missing is None:
            lengths = xp.broadcast_to(self.store.lengths, (len(rows), len(self.store)))
        else:
            lengths = self.store.compute_lengths_without(ops.take_rows(missing, rows))
        compared.scores[rows] = xp.where(lengths == 0, 0, -np.inf).astype(compared.scores.dtype)
        compared.recalls[rows] = (lengths == 0).any(axis=1)
        compared.peaks[rows] = 0

    def compare_competing(self, Q: Any) -> Compared:
        """Run `compare`, and set the scores of copies, and of queries that recall nothing, to `-inf`."""
        compared = self.compare(Q)
        if not compared.recalls.all():
            if self.similarity != "euclidean":
                self._assign_empty_queries(Q, compared)
            compared.scores[~compared.recalls] = compared.peaks[~compared.recalls] = -np.inf
        self._mask_copies(compared.scores)
        return compared

    def _mask_copies(self, scores: Any) -> Any:
        if len(self.store.copies):
            scores[:, ops.to_device_of(self.store.copies, scores)] = -np.inf
        return scores

    @property
    def _is_adaptive(self) -> bool:
        """Whether the temperature depends on the query."""
        return isinstance(self.requested_beta, str) or self.separation == "max"

    def _compute_betas(self, compared: Compared) -> Any:
        """Compute the inverse temperature of each query: at least `beta`, and small enough to hide rounding errors.

        The deficit of a pattern is the difference between its score and that of a pattern that equals the query. The
        best pattern is returned alone if the deficits of all others are at least twice as large, which is always so if
        the query is a stored pattern. By dot product and containment a pattern may also exceed that score, for instance
        if the query is noisy: then the excess counts.
        """
        xp = ops.xp(compared.peaks)
        deficits = xp.maximum(abs(compared.own - compared.peaks), _LEAST)
        largest = self._margin / xp.maximum(2 * compared.rounding, _LEAST)
        return xp.minimum(xp.maximum(self._margin / deficits, self.beta), largest)

    def _resolve_ties(self, Q: Any, compared: Compared, rows: Any) -> bool:
        """Set the scores of all but the nearest of several patterns that equal a query up to rounding to `-inf`.

        `rows` are the numbers of the queries to treat. Return whether there were such patterns.
        """
        scores = compared.scores
        lowest = compared.peaks[rows] - 4 * compared.rounding[rows].astype(scores.dtype)
        row, pattern = map(ops.to_host, ops.xp(scores).nonzero(scores[rows] >= lowest[:, None]))
        of_several = (np.bincount(row) > 1)[row]
        row, pattern = ops.to_host(rows)[row[of_several]], pattern[of_several]
        if not len(row):
            return False
        distances = self._compute_pair_distances(Q, row, pattern)
        first = np.flatnonzero(np.diff(row, prepend=-1))
        least = np.repeat(np.minimum.reduceat(distances, first), np.diff(first, append=len(row)))
        farther = distances > least * (1 + _ROUNDING)
        scores[tuple(ops.to_device_of(positions[farther], scores) for positions in (row, pattern))] = -np.inf
        return bool(farther.any())

    def _compute_pair_distances(self, Q: Any, row: np.ndarray, pattern: np.ndarray) -> np.ndarray:
        """Compute Euclidean distances of queries to patterns from their differences, which is precise for near ones."""
        given, missing = ops.split_missing(Q)
        distances = []
        for start in range(0, len(row), _PAIRS):
            some = slice(start, start + _PAIRS)
            differences = ops.take_rows(given, row[some]) - ops.take_rows(self.store.rows, pattern[some])
            if missing is not None:
                differences = ops.zero_entries(differences, ops.take_rows(missing, row[some]))
            distances.append(ops.to_host(ops.row_norms(differences)))
        return np.concatenate(distances)

    def _compute_penalties(self, Q: Any) -> Any:
        """Compute the penalty of an entry of a pattern, for each query."""
        squares = ops.row_norms(Q) ** 2
        if not isinstance(self.length_penalty, str):
            return ops.xp(squares).full(len(squares), self.length_penalty, squares.dtype)
        store = self.store
        if not len(store):
            return squares
        magnitude, square = store.medians
        if magnitude == 0:
            return 0 * squares
        return _PENALTY * ops.xp(squares).minimum(squares, square) / magnitude

    def weights(self, Q: Any) -> Any:
        """Compute the weights of the patterns, CSR; patterns that equal an earlier one have none."""
        compared = self.compare_competing(Q)
        scores, xp = compared.scores, ops.xp(compared.scores)
        if not self._is_adaptive or not scores.size:
            return ops.separate(scores, self.beta, self.separation).weights
        betas = self._compute_betas(compared)
        weights = ops.separate(scores, betas, self.separation).weights
        if self.requested_similarity in ("auto", "euclidean"):
            exact = abs(compared.own - compared.peaks) <= compared.rounding
            if self.separation != "max":
                exact &= xp.diff(weights.indptr) > 1
            rows = xp.flatnonzero(exact)
            if len(rows) and self._resolve_ties(Q, compared, rows):
                weights = ops.separate(scores, betas, self.separation).weights
        return weights

    def compute_shared_weights(self, Q: Any) -> Any:
        """Compute the weights of the patterns, CSR; equal ones share their weight evenly."""
        weights, sharing = self.weights(Q), self.store.sharing
        return weights if sharing is None else ops.combine_rows(weights, sharing)

    def complete(self, block: Any, n_steps: int, threshold: float | None, keep_observed: bool) -> Any:
        """Complete rows in at most `n_steps` steps, which end when nothing changes.

        With `keep_observed`, rows with missing values keep their other values.
        """
        state, before = block, None
        given, missing = ops.split_missing(block)
        if missing is not None:
            incomplete = (_count_missing(missing) > 0).astype(missing.dtype)
            given = ops.scale_rows(given, incomplete)
        for _ in range(n_steps):
            if before is not None and not ops.entries(state - before).any():
                break
            before, state = state, ops.combine_rows(self.weights(state), self.store.rows)
            if threshold is not None:
                state = ops.binarize(state, threshold)
            if keep_observed and missing is not None:
                overwritten = ops.scale_rows(state - ops.zero_entries(state, missing), incomplete)
                state = given + overwritten + ops.scale_rows(state, 1 - incomplete)
        return state

    def energy(self, block: Any) -> Any:
        """Compute the energy at each row."""
        n, by_direction = max(len(self.store) - len(self.store.copies), 1), self.similarity == "cosine"
        at_rest = {
            "softmax": np.log(n),
            "sparsemax": (1 - 1 / n) / 2,
            "entmax15": 4 / 3 * (1 - n**-0.5),
            "max": 0.0,
        }[self.separation]
        longest = 1.0 if by_direction else self.store.longest
        compared = self.compare(block)
        scores = self._mask_copies(compared.scores)
        beta: Any = self.beta
        if self._is_adaptive and scores.size:
            beta = self._compute_betas(compared)
        value = ops.separate(scores, beta, self.separation).value
        placed = self._around_centre(block)[0] if self.similarity == "euclidean" else block
        lengths = ops.row_norms(placed)
        lengths = (lengths > 0).astype(lengths.dtype) if by_direction else lengths
        return lengths**2 / 2 - value + (longest**2 / 2 + at_rest / beta)

    def find_largest(self, block: Any, n: int) -> tuple[Any, Any]:
        """Return the ids of the `n` patterns with the largest weights for each row, and these weights."""
        place, top = ops.largest_entries(self.compute_shared_weights(block), n)
        return self._get_ids(place), top

    def _get_ids(self, place: Any) -> Any:
        """Return the ids of patterns by position, -1 for -1, on the device of `place`."""
        at = ops.to_host(place)
        ids = np.where(at < 0, -1, self.store.ids[at]) if len(self.store) else np.full(at.shape, -1)
        return ops.to_device_of(ids, place)

    def find_neighbours(self, block: Any, n: int, first_pattern: int | None) -> tuple[Any, Any]:
        """Compute distances and ids of the `n` nearest patterns.

        If the rows are stored patterns, from position `first_pattern` on, none is its own neighbour.
        """
        scores = self.compare(block).scores
        if first_pattern is not None:
            xp = ops.xp(scores)
            scores[xp.arange(len(scores)), xp.arange(first_pattern, first_pattern + len(scores))] = -np.inf
        index = ops.top_k(scores, n)
        near = ops.xp(scores).take_along_axis(scores, index, axis=1)
        return self._compute_distances(block, near), self._get_ids(index)

    def _compute_distances(self, Q: Any, scores: Any) -> Any:
        xp = ops.xp(scores)
        if self.similarity == "cosine":
            return (1 - scores).clip(0, None)
        if self.similarity == "euclidean":
            given, missing = ops.split_missing(self._around_centre(Q)[0])
            squares = (ops.row_norms(given).astype(scores.dtype) ** 2)[:, None] - 2 * scores
            if missing is not None:  # as in nan_euclidean_distances of scikit-learn
                n_given = missing.shape[1] - _count_missing(missing)
                squares *= xp.where(n_given > 0, missing.shape[1] / n_given.clip(1, None), np.nan)[:, None]
            return xp.sqrt(squares.clip(0, None))
        return -scores

    # -- estimates ---------------------------------------------------------------------------------------------------

    def _draw_sample(self) -> np.ndarray:
        """Draw the positions of patterns, no two of them equal and none empty."""
        n = len(self.store)
        filled = np.flatnonzero(ops.to_host(self.store.lengths))
        distinct = np.setdiff1d(filled, self.store.copies)
        size = int(np.clip(_COMPARISONS // max(n, 1), _SMALLEST_SAMPLE, _LARGEST_SAMPLE))
        if len(distinct) <= size:
            return distinct
        return np.sort(check_random_state(self.seed).choice(distinct, size, replace=False))

    def _estimate_beta(self) -> float:
        if self.separation == "max":
            sample = self._draw_sample()
            self._warn_of_confusion(ops.take_rows(self.store.rows, sample), sample)
            return 1.0  # the best pattern does not depend on the temperature
        sample = self._draw_sample()
        rows = ops.take_rows(self.store.rows, sample)
        if self.similarity == "euclidean":
            # If a fifth of the way to the middle between two patterns is left, so is a fifth of the gap.
            gaps = _FRAGMENT * self._compute_gaps(rows, sample)
        else:
            gaps = self._compute_gaps(draw_fragments(rows, _FRAGMENT, check_random_state(self.seed)), sample)
        gaps = gaps[np.isfinite(gaps)].astype(float)
        positive = gaps[gaps > _ROUNDING * np.abs(gaps).max(initial=0)]
        beta = 1.0  # one pattern, or equal scores of all patterns: any number serves
        if len(positive):
            with np.errstate(over="ignore"):
                beta = float(self._margin / np.quantile(positive, _AMBIGUOUS))
        if np.isinf(beta) or (len(sample) > 1 and self._has_underflow):
            raise ValueError(
                f'`beta="auto"` expected rows whose squares differ in {self.store.form.dtype}, got rows of length '
                f"{self.store.longest:.1e} at most. Scale the data, for instance X / abs(X).max()."
            )
        self._warn_of_confusion(rows, sample)
        return beta

    @property
    def _margin(self) -> float:
        """The difference of scores, times beta, from which a pattern is returned alone."""
        return {"sparsemax": 1.0, "entmax15": 2.0}.get(
            self.separation, float(np.log(max(len(self.store), 2) / (1 - _NEARLY_ALL)))
        )

    def _choose_similarity(self) -> str:
        """Return "cosine" if it recognises fragments, and fragments and mixtures as often as "euclidean" does."""
        sample, rng = self._draw_sample(), check_random_state(self.seed)
        n = min(len(sample), _CHOOSING_SAMPLE)
        if n < 2:
            return "cosine"
        patterns = ops.take_rows(self.store.rows, sample[np.linspace(0, len(sample) - 1, n).astype(int)])
        own = np.resize(np.arange(n), max(n, _CHOOSING_QUERIES))
        rows, others = (ops.take_rows(patterns, positions) for positions in (own, rng.permutation(own)))
        queries = [
            *(draw_fragments(rows, share, rng) for share in _FRAGMENTS),
            (1 - _FOREIGN) * rows + _FOREIGN * others,
        ]
        sampled = self._replace(store=Patterns.of(patterns))
        by_cosine, by_distance = (
            [float((by._compute_gaps(Q, own) > 0).mean()) for Q in queries]
            for by in (sampled._replace(requested_similarity=name) for name in ("cosine", "euclidean"))
        )
        recognised = max(by_cosine[:-1]) >= _FEW + 1 / n and sum(by_cosine) >= sum(by_distance)
        return "cosine" if recognised else "euclidean"

    def _warn_of_confusion(self, rows: Any, sample: np.ndarray) -> None:
        """Warn if the requested similarity scores other patterns as high as a pattern that is the query."""
        if self.similarity == "euclidean" or (self.requested_similarity == "auto" and self.length_penalty == "auto"):
            return
        n_confused = int((self._compute_gaps(rows, sample) <= 0).sum())
        if n_confused:
            _warn(
                f"HopfieldMemory expected a similarity with the largest score for the pattern that equals the query, "
                f'got similarity="{self.similarity}", for which {n_confused} of {len(sample)} patterns score no higher '
                f'than another one. Use similarity="auto" or "euclidean", or remove such patterns.'
            )

    @property
    def _has_underflow(self) -> bool:
        """Whether scores, which are of the order of squared lengths, underflow."""
        least = float(np.finfo(self.store.form.dtype).smallest_subnormal)
        return self.similarity != "cosine" and self.store.longest**2 * _ROUNDING < least

    def _compute_gaps(self, Q: Any, own: np.ndarray) -> np.ndarray:
        """Compute how much the score of each row's own pattern exceeds the best other one, 0 up to rounding."""
        gaps, start = [], 0
        for block in self.blocks(Q):
            compared = self.compare_competing(block)
            scores, rounding = compared.scores, ops.to_host(compared.rounding)
            at = ops.xp(scores).arange(len(scores)), ops.to_device_of(own[start : start + len(scores)], scores)
            start += len(scores)
            mine = scores[at]
            scores[at] = -np.inf
            with np.errstate(invalid="ignore"):  # a fragment without common features has no gap
                gap = ops.to_host(mine - scores.max(axis=1))
            gaps.append(np.where(abs(gap) <= rounding, 0, gap))
        return np.concatenate(gaps) if gaps else np.zeros(0)

    def _estimate_retrievable(self) -> float:
        sample = self._draw_sample()
        rows, kept, start = ops.take_rows(self.store.rows, sample), [], 0
        enough = _NEARLY_ALL if self.separation == "softmax" else 1 - _ROUNDING
        for block in self.blocks(rows):
            weights = ops.to_host(self.weights(block))
            own = sample[start : start + block.shape[0]]
            start += block.shape[0]
            kept.append(np.asarray(weights[np.arange(len(own)), own]).ravel() >= enough)
        return float(np.concatenate(kept).mean()) if kept else 1.0

    # -- forms -------------------------------------------------------------------------------------------------------

    def blocks(self, X: Any) -> Iterator[Any]:
        """Iterate over blocks of rows of `X` in the form of the patterns, with scores within the working memory."""
        row_bytes = (len(self.store) + X.shape[1]) * X.dtype.itemsize
        for rows in iterate_row_blocks(X, row_bytes):
            yield self.convert(ops.take_rows(X, rows))

    def convert(self, X: Any) -> Any:
        """Convert `X` to the form and dtype of the patterns."""
        form = self.store.form
        return ops.cast(ops.convert_to_format_of(X, form), form.dtype)


def _count_missing(missing: Any) -> Any:
    """Count the missing features of each query."""
    return missing @ ops.xp(missing).ones(missing.shape[1], missing.dtype)


def _warn(message: str) -> None:
    """Warn with the stack level of the first caller outside of this package and scikit-learn."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("codebooks", "sklearn"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
