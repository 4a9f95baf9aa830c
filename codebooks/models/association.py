"""One state of a memory, and what it makes of queries: scores, weights, completions, and the estimates behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.models.base import check_random_state, row_blocks
from codebooks.models.patterns import Patterns, fragments

__all__ = ["Association"]

# How many patterns beta is estimated from: at most, at least, and so that they meet about so many others.
_LARGEST_SAMPLE, _SMALLEST_SAMPLE, _MEETINGS = 2_000, 200, 20_000_000
# beta="auto" looks at fragments that hold this share of their pattern.
_FRAGMENT = 0.2
# beta="auto" lets all but this share of the fragments that can be told apart bring back their pattern alone.
_AMBIGUOUS = 0.005
# A softmax never gives all weight to one pattern; this much counts as all.
_NEARLY_ALL = 0.99
# length_penalty="auto": this part of the share of an ordinary pattern that the query holds.
_PENALTY = 0.25
# Differences smaller than this, relative to what is compared, are rounding.
_ROUNDING = 1e-5


class Association(NamedTuple):
    """Patterns, and how queries are compared with them. It never changes, so a search sees one state."""

    store: Patterns
    similarity_wanted: str
    length_penalty: float | str
    separation: str
    beta_wanted: float | str
    seed: int

    # -- settings in use ---------------------------------------------------------------------------------------------

    @property
    def similarity(self) -> str:
        """The similarity in use."""
        if self.similarity_wanted != "auto":
            return self.similarity_wanted
        return "containment" if self.store.is_binary else "cosine"

    @property
    def beta(self) -> float:
        """The inverse temperature in use."""
        if not isinstance(self.beta_wanted, str):
            return float(self.beta_wanted)
        if self.separation == "max":
            return 1.0  # the best is the best at any temperature
        return self.store.derived(f"beta {self[1:4]}", self._estimated_beta)

    @property
    def retrievable(self) -> float:
        """The share of the patterns that one step leaves where they are."""
        return self.store.derived(f"retrievable {self[1:]}", self._estimated_share)

    # -- scores and weights ------------------------------------------------------------------------------------------

    def scores(self, Q: Any) -> tuple[Any, Any]:
        """Scores of all patterns, and which queries have any say: the others share nothing with any pattern."""
        store, similarity = self.store, self.similarity
        if similarity == "euclidean":
            Q, store = self._around_centre(Q)
            scores = ops.match(Q, store.index)
            scores -= store.lengths**2 / 2
            return scores, ops.xp(scores).ones(len(scores), bool)
        if similarity == "cosine":
            Q = ops.scale_rows(Q, ops.reciprocal(ops.row_norms(Q)))
        scores = ops.match(Q, store.index)
        known = scores.any(axis=1)
        if similarity == "cosine":
            scores *= ops.reciprocal(store.lengths)
        elif similarity == "containment":
            scores -= self._penalties(Q)[:, None] * store.sums
        return scores, known

    def _around_centre(self, Q: Any) -> tuple[Any, Patterns]:
        """Queries and patterns less the mean pattern, which changes no distance; sparse ones as they are."""
        if ops.is_sparse(Q):
            return Q, self.store
        centre, store = self.store.around_centre
        return Q - centre, store

    def rivals(self, Q: Any) -> Any:
        """Scores of the patterns that compete for each query: `-inf` for those that do not."""
        scores, known = self.scores(Q)
        if not known.all():
            scores[~known] = -np.inf
        return self._without_copies(scores)

    def _without_copies(self, scores: Any) -> Any:
        if len(self.store.copies):
            scores[:, ops.to_device_of(self.store.copies, scores)] = -np.inf
        return scores

    def _penalties(self, Q: Any) -> Any:
        """What an entry of a pattern costs, for each query."""
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
        """Weights of the patterns, CSR; those that equal an earlier one have none."""
        return ops.separate(self.rivals(Q), self.beta, self.separation).weights

    def shared_weights(self, Q: Any) -> Any:
        """Weights of the patterns, CSR; equal ones share."""
        weights, sharing = self.weights(Q), self.store.sharing
        return weights if sharing is None else ops.combine(weights, sharing)

    def completed(self, block: Any, n_steps: int, threshold: float | None) -> Any:
        """Rows after so many steps, or fewer where nothing changes any more."""
        state, before = block, None
        for _ in range(n_steps):
            if before is not None and not ops.entries(state - before).any():
                break
            before, state = state, ops.combine(self.weights(state), self.store.rows)
            if threshold is not None:
                state = ops.ones_from(state, threshold)
        return state

    def energy(self, block: Any) -> Any:
        """The energy at each row."""
        n, by_direction = max(len(self.store) - len(self.store.copies), 1), self.similarity == "cosine"
        at_rest = {
            "softmax": np.log(n),
            "sparsemax": (1 - 1 / n) / 2,
            "entmax15": 4 / 3 * (1 - n**-0.5),
            "max": 0.0,
        }[self.separation]
        longest = 1.0 if by_direction else self._longest
        scores = self._without_copies(self.scores(block)[0])
        value = ops.separate(scores, self.beta, self.separation).value
        placed = self._around_centre(block)[0] if self.similarity == "euclidean" else block
        lengths = ops.row_norms(placed)
        lengths = (lengths > 0).astype(lengths.dtype) if by_direction else lengths
        return lengths**2 / 2 - value + (longest**2 / 2 + at_rest / self.beta)

    def largest(self, block: Any, n: int) -> tuple[Any, Any]:
        """The `n` largest weights of each row, and the ids of their patterns."""
        place, top = ops.largest_entries(self.shared_weights(block), n)
        return top, self._ids(place)

    def _ids(self, place: Any) -> Any:
        """The ids of patterns by position, -1 for -1; on the device of `place`."""
        at = ops.to_host(place)
        ids = np.where(at < 0, -1, self.store.ids[at]) if len(self.store) else np.full(at.shape, -1)
        return ops.to_device_of(ids, place)

    def neighbours(self, block: Any, n: int, others_than: int | None) -> tuple[Any, Any]:
        """Distances and ids of the `n` nearest patterns, the first row itself being pattern `others_than`, if any."""
        scores, _ = self.scores(block)
        if others_than is not None:
            xp = ops.xp(scores)
            scores[xp.arange(len(scores)), xp.arange(others_than, others_than + len(scores))] = -np.inf
        index = ops.top_k(scores, n)
        near = ops.xp(scores).take_along_axis(scores, index, axis=1)
        return self._distances(block, near), self._ids(index)

    def _distances(self, Q: Any, scores: Any) -> Any:
        xp = ops.xp(scores)
        if self.similarity == "cosine":
            return (1 - scores).clip(0, None)
        if self.similarity == "euclidean":
            squares = ops.row_norms(self._around_centre(Q)[0]).astype(scores.dtype) ** 2
            return xp.sqrt((squares[:, None] - 2 * scores).clip(0, None))
        return -scores

    # -- estimates ---------------------------------------------------------------------------------------------------

    def _sample(self) -> np.ndarray:
        """Positions of some patterns, no two of them equal and none empty."""
        n = len(self.store)
        filled = np.flatnonzero(ops.to_host(self.store.lengths))
        distinct = np.setdiff1d(filled, self.store.copies)
        size = int(np.clip(_MEETINGS // max(n, 1), _SMALLEST_SAMPLE, _LARGEST_SAMPLE))
        if len(distinct) <= size:
            return distinct
        return np.sort(check_random_state(self.seed).choice(distinct, size, replace=False))

    def _estimated_beta(self) -> float:
        sample = self._sample()
        rows = ops.take_rows(self.store.rows, sample)
        if self.similarity == "euclidean":
            # Where a fifth of the way is left to the middle between a pattern and another one, so is of the gap.
            gaps = _FRAGMENT * self._gaps(rows, sample)
        else:
            gaps = self._gaps(fragments(rows, _FRAGMENT, check_random_state(self.seed)), sample)
        gaps = gaps[np.isfinite(gaps)]
        told_apart = gaps[gaps > _ROUNDING * np.abs(gaps).max(initial=0)]
        beta = 1.0  # one pattern, or patterns that nobody can tell apart: it does not matter
        if len(told_apart):
            n = len(self.store)
            margin = {"sparsemax": 1.0, "entmax15": 2.0}.get(self.separation, np.log(n / (1 - _NEARLY_ALL)))
            with np.errstate(over="ignore"):
                beta = float(margin / np.quantile(told_apart, _AMBIGUOUS))
        if np.isinf(beta) or (len(sample) > 1 and self._underflows):
            raise ValueError(
                f'beta="auto" wants rows whose squares {self.store.form.dtype} can tell apart, and the longest has '
                f"length {self._longest:.1e}. Scale the data, for instance X / abs(X).max()."
            )
        return beta

    @property
    def _longest(self) -> float:
        """Length of the longest pattern."""
        return float(ops.to_host(self.store.lengths).max(initial=0))

    @property
    def _underflows(self) -> bool:
        """Whether scores, which are as large as squares of lengths, are too small to have enough digits."""
        least = float(np.finfo(self.store.form.dtype).smallest_subnormal)
        return self.similarity != "cosine" and self._longest**2 * _ROUNDING < least

    def _gaps(self, Q: Any, own: np.ndarray) -> np.ndarray:
        """By how much the score of each row's own pattern exceeds that of the best other one."""
        gaps, start = [], 0
        for block in self.blocks(Q):
            scores = self.rivals(block)
            at = ops.xp(scores).arange(len(scores)), ops.to_device_of(own[start : start + len(scores)], scores)
            start += len(scores)
            mine = scores[at]
            scores[at] = -np.inf
            with np.errstate(invalid="ignore"):  # a fragment that shares nothing has no gap
                gaps.append(ops.to_host(mine - scores.max(axis=1)))
        return np.concatenate(gaps) if gaps else np.zeros(0)

    def _estimated_share(self) -> float:
        sample = self._sample()
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
        """Rows of `X` in the form of the patterns, so many that their scores can be held."""
        row_bytes = (len(self.store) + X.shape[1]) * X.dtype.itemsize
        for rows in row_blocks(X, row_bytes):
            yield self.adapted(ops.take_rows(X, rows))

    def adapted(self, X: Any) -> Any:
        """`X` in the form and dtype of the patterns."""
        form = self.store.form
        return ops.cast(ops.in_form_of(X, form), form.dtype)
