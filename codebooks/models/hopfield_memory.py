"""A modern Hopfield network as a memory: store patterns, get them back from a part of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from codebooks import ops
from codebooks.inputs import check_targets, unharmed
from codebooks.models.base import (
    ArrayTransformer,
    Interval,
    OneToOneFeatureMixin,
    StrOptions,
    check_random_state,
    fit_context,
    row_blocks,
)
from codebooks.models.patterns import Patterns, fragments

__all__ = ["HopfieldMemory"]

# How many patterns beta is estimated from: at most, at least, and so that they meet about so many others.
_LARGEST_SAMPLE, _SMALLEST_SAMPLE, _MEETINGS = 2_000, 200, 20_000_000
# beta="auto" lets all but this share of the fragments that can be told apart bring back their pattern alone.
_AMBIGUOUS = 0.02
# A softmax never gives all weight to one pattern; this much counts as all.
_NEARLY_ALL = 0.99
# length_penalty="auto": this part of the share of an ordinary pattern that the query holds.
_PENALTY = 0.25
# Completions that differ from a pattern by less, relative to it, equal it.
_ROUNDING = 1e-5


def at_one_moment(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method see the memory as it is when the call begins, whatever other threads store or forget meanwhile."""

    @wraps(method)
    def run(self: HopfieldMemory, *args: Any, **kwargs: Any) -> Any:
        frozen = object.__new__(type(self))
        frozen.__dict__.update(vars(self))
        return method(frozen, *args, **kwargs)

    return run


class HopfieldMemory(OneToOneFeatureMixin, ArrayTransformer):
    """Stored patterns that come back from a part of them: a modern Hopfield network.

    A query is compared with all stored patterns, the scores become weights, and the weighted sum of the patterns is the
    completed query::

        p = separation(beta * similarity(query, patterns))      completed = p @ patterns

    One such step lowers the energy of the network ([1]_ for softmax, [2]_ for sparse separations), and one is usually
    enough. With the sparse separations, a pattern whose score lies at least `1 / beta` (sparsemax) or `2 / beta`
    (1.5-entmax) above all others comes back alone, to the last bit; where several are nearer than that, they are
    mixed. Nothing is learned: fitting stores. Patterns can be appended and forgotten at any time and keep their ids.

    Parameters
    ----------
    similarity : {"auto", "dot", "cosine", "euclidean", "containment"}, default="auto"
        How a query q is compared with a pattern x:

        - `"dot"`: `q'x`;
        - `"cosine"`: `q'x / (|q| |x|)`, good for fragments and for noise alike;
        - `"euclidean"`: `q'x - |x|^2 / 2`, the rank of the distance; for noise, never for fragments, since it takes
          what is missing for zero;
        - `"containment"`: `q'x - length_penalty |x|_1`; of two patterns that hold the query the shorter is meant, so
          it is the best for sets of words;
        - `"auto"`: `"containment"` where all stored patterns are zeros and ones, else `"cosine"`.
    length_penalty : float or "auto", default="auto"
        Price of an entry in `"containment"`. The best one is about a quarter of the share of its pattern that a query
        holds; `"auto"` takes the median pattern for it: `min(1, |q|^2 / m2) m2 / (4 m1)`, with m1 and m2 the medians
        of `|x|_1` and of `|x|^2`, which scales with the data.
    separation : {"sparsemax", "softmax", "entmax15", "max"}, default="sparsemax"
        How scores become weights. Only softmax gives weight to all patterns; `"max"` gives all to the best one.
    beta : float or "auto", default="auto"
        Inverse temperature: the larger, the closer to `"max"`. `"auto"` halves a sample of the patterns and chooses it
        so that 98 % of those halves that can be told from all other patterns bring back their own alone (99 % of the
        weight with softmax).
    n_steps : int, default=1
        Most steps of a completion; it ends when nothing changes.
    threshold : float, optional
        Makes completions binary after each step: 1 where they reach it, else 0. For patterns of zeros and ones, .5.
    random_state : int, RandomState or None, default=None
        Draws the sample for `beta="auto"`, `retrievable_` and `score`; None always draws the same.

    Attributes
    ----------
    patterns_ : ndarray or CSR matrix of shape (n_patterns, n_features)
        What is stored, in the order of `ids_`; not to be written to.
    ids_ : ndarray of shape (n_patterns,), int64
        Names of the patterns: 0, 1, ... in the order of storing. A forgotten one is not used again.
    targets_ : ndarray of shape (n_patterns, ...) or None
        The `y` of each.
    similarity_ : str
        The similarity in use.
    beta_ : float
        The inverse temperature in use. Estimated when first needed, and again when patterns came or went.
    retrievable_ : float
        Share of the patterns, in a sample of at most 2,000, that one step leaves where they are. Estimated likewise.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Notes
    -----
    Equal patterns are one to the separation, and share its weight evenly, so storing a pattern twice changes no
    completion. A query that is empty, or shares no feature with any pattern, recalls nothing: its completion and its
    weights are zero (except by Euclidean distance, where zero is a point like any other).

    Scores are held for a block of queries at a time, within scikit-learn's `working_memory`. Sparse patterns get an
    inverted index at the first query, which takes as much memory as they do.

    References
    ----------
    .. [1] H. Ramsauer et al., "Hopfield Networks is All You Need", ICLR 2021 (arXiv 2008.02217).
    .. [2] S. Santos et al., "Sparse and Structured Hopfield Networks", ICML 2024 (arXiv 2402.13725).

    Examples
    --------
    >>> import numpy as np
    >>> from codebooks import HopfieldMemory
    >>> patterns = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 0, 0, 1]])
    >>> memory = HopfieldMemory().fit(patterns)
    >>> memory.transform([[1, 1, 0, 0, 0]])
    array([[1., 1., 1., 0., 0.]])
    >>> weights, ids = memory.recall([[0, 0, 0, 1, 1]], n_patterns=1)
    >>> weights, ids
    (array([[1.]]), array([[1]]))
    """

    _parameter_constraints: ClassVar[dict] = {
        "similarity": [StrOptions({"auto", "dot", "cosine", "euclidean", "containment"})],
        "length_penalty": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "separation": [StrOptions({"softmax", "sparsemax", "entmax15", "max"})],
        "beta": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        similarity: str = "auto",
        *,
        length_penalty: float | str = "auto",
        separation: str = "sparsemax",
        beta: float | str = "auto",
        n_steps: int = 1,
        threshold: float | None = None,
        random_state: Any = None,
    ):
        self.similarity = similarity
        self.length_penalty = length_penalty
        self.separation = separation
        self.beta = beta
        self.n_steps = n_steps
        self.threshold = threshold
        self.random_state = random_state

    # -- storing -----------------------------------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> HopfieldMemory:
        """Store the rows of `X`, and nothing else.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_patterns, n_features)
            A copy is kept, in the form and dtype of `X`.
        y : array-like of shape (n_patterns,) or (n_patterns, n_values), optional
            What belongs to each pattern, for `predict`: labels, or numbers.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` is empty, all zeros, or holds NaN or infinity, or `y` does not fit it.
        """
        with unharmed(self):
            X = self._check(X, reset=True)
            y = check_targets(self, y, X.shape[0])
            self._seed = self._drawn_seed()
            self._store = Patterns.of(ops.own(X), y)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> HopfieldMemory:
        """Store the rows of `X` beside what is stored already; they get the next ids.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_patterns, n_features)
            Kept in the form and dtype of the first patterns.
        y : array-like of shape (n_patterns,) or (n_patterns, n_values), optional
            Needed where the first patterns had theirs.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` does not fit what is stored, or `y` is missing or of another shape.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(X, y)
        with unharmed(self):
            X = self._check(X)
            y = self._matching(check_targets(self, y, X.shape[0]))
            self._store = self._store.appended(ops.own(self._adapted(X)), y)
        return self

    def forget(self, ids: Any) -> HopfieldMemory:
        """Remove patterns.

        Parameters
        ----------
        ids : int or array-like of int
            As in `ids_`. All others keep theirs.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an id is not stored; then nothing is removed.
        """
        self._check_fitted()
        ids, store = np.atleast_1d(np.asarray(ids)), self._store
        missing = ids[~np.isin(ids, store.ids)]
        if len(missing):
            named = ", ".join(map(str, missing[:10].tolist()))
            raise ValueError(
                f"forget wants ids that are stored, see ids_, and got others: {named}. Nothing is removed."
            )
        self._store = store.without(np.flatnonzero(~np.isin(store.ids, ids)))
        return self

    # -- recalling ---------------------------------------------------------------------------------------------------

    @at_one_moment
    def transform(self, X: Any) -> Any:
        """Complete the rows of `X`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)

        Returns
        -------
        ndarray or CSR matrix of shape (n_queries, n_features)
            In the form and dtype of the stored patterns.
        """
        return ops.stack_rows([self._completed(block) for block in self._blocks(self._check(X))])

    @at_one_moment
    def recall(self, X: Any, n_patterns: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The patterns that the completion of each row of `X` is made of, and their weights.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
        n_patterns : int, default=10
            How many at most.

        Returns
        -------
        weights : ndarray of shape (n_queries, n_patterns)
            Descending. All weights of a row sum to 1; what is missing here is on patterns further down.
        ids : ndarray of shape (n_queries, n_patterns), int64
            As in `ids_`; -1, with weight 0, where fewer patterns have a weight.
        """
        X = self._check(X)
        found = [self._largest(self._shared_weights(block), n_patterns) for block in self._blocks(X)]
        weights, ids = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return weights, ids

    @at_one_moment
    def kneighbors(self, X: Any = None, n_neighbors: int = 5, return_distance: bool = True) -> Any:
        """The stored patterns nearest to each row of `X`, as `sklearn.neighbors.NearestNeighbors` gives them.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features), optional
            Left out, the stored patterns themselves, of which none is its own neighbour.
        n_neighbors : int, default=5
        return_distance : bool, default=True

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            Ascending. Euclidean distance, or 1 - cosine; for `"dot"` and `"containment"`, which are no distances, the
            negative score. Only with `return_distance`.
        ids : ndarray of shape (n_queries, n_neighbors), int64
            As in `ids_`; ties go to the older pattern.

        Raises
        ------
        ValueError
            If there are fewer patterns than neighbours wanted.
        """
        themselves = X is None
        X = self._own_rows() if themselves else self._check(X)
        store, n_others = self._store, len(self._store) - themselves
        if not 1 <= n_neighbors <= n_others:
            raise ValueError(f"n_neighbors={n_neighbors} wants as many patterns; there are {n_others} to choose from.")
        distances, ids, start = [], [], 0
        for block in self._blocks(X):
            scores, _ = self._scores(block)
            if themselves:
                scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
            start += len(scores)
            index = ops.top_k(scores, n_neighbors)
            ids.append(store.ids[ops.to_host(index)])
            distances.append(self._distances(block, ops.xp(scores).take_along_axis(scores, index, axis=1)))
        found = np.concatenate(ids)
        return (ops.xp(distances[0]).concatenate(distances), found) if return_distance else found

    @at_one_moment
    def predict(self, X: Any) -> np.ndarray:
        """What belongs to each row of `X`, by the `y` of the patterns that it recalls.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_values)
            With labels (any `y` that is not floating-point) the one with most weight; with floating-point numbers their
            weighted mean. A row that recalls nothing gets the commonest label, or the mean of all.

        Raises
        ------
        ValueError
            If the memory was fitted without `y`.
        """
        X, targets = self._check(X), self._store.targets
        if targets is None:
            raise ValueError("predict wants targets, and none are stored. Give fit a y: a label or a number per row.")
        values, labels = self._values()
        totals = []
        for block in self._blocks(X):
            weights = self._shared_weights(block)
            known = np.diff(ops.to_host(weights.indptr)) > 0
            totals.append(np.where(known[:, None], ops.to_host(weights @ values), values.mean(axis=0)))
        total = np.concatenate(totals)
        if labels is not None:
            return labels[total.argmax(axis=1)]
        return total.reshape(-1, *targets.shape[1:])

    @at_one_moment
    def score(self, X: Any, y: Any = None) -> float:
        """How well the memory answers. Higher is better.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like, optional
            What `predict` should give.

        Returns
        -------
        float
            With `y`: the share of right labels, or the coefficient of determination of numbers. Without: the share of
            rows that come back exactly when a random half of their entries is taken away.
        """
        X = self._check(X)
        if y is not None:
            return self._agreement(self.predict(X), check_targets(self, y, X.shape[0]))
        X = self._adapted(X)
        completed = self.transform(fragments(X, check_random_state(self._seed)))
        ones = ops.xp(X).ones(X.shape[1], X.dtype)
        return float((abs(completed - X) @ ones <= _ROUNDING * (abs(X) @ ones)).mean())

    @at_one_moment
    def energy(self, X: Any) -> np.ndarray:
        """The energy of the network at each row of `X`, which a step of completion does not raise.

        `E(q) = -Omega*(beta s(q)) / beta + |q|^2 / 2 + (M^2 / 2 + Omega*(0) / beta)`, with `Omega*` the convex
        conjugate of what the separation penalises (the log-sum-exp for softmax) and M the length of the longest
        pattern; the last term only makes it positive ([1]_, eq. 2; [2]_, eq. 6).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)

        Returns
        -------
        ndarray of shape (n_queries,)
            It never rises over steps for dot product, Euclidean distance, and containment with a fixed penalty, without
            a threshold. For cosine, queries are taken at length 1, and it never rises where all patterns have one
            length.
        """
        X, store = self._check(X), self._store
        kind, n = self.separation, len(store) - len(store.copies)
        at_rest = {
            "softmax": np.log(max(n, 1)),
            "sparsemax": (1 - 1 / max(n, 1)) / 2,
            "entmax15": 4 / 3 * (1 - max(n, 1) ** -0.5),
            "max": 0.0,
        }[kind]
        by_direction = self.similarity_ == "cosine"
        longest = 1.0 if by_direction else float(store.lengths.max(initial=0))
        energies = []
        for block in self._blocks(X):
            scores = self._without_copies(self._scores(block)[0])
            value = ops.separate(scores, self._inverse_temperature, kind).value
            lengths = ops.row_norms(block)
            lengths = (lengths > 0).astype(lengths.dtype) if by_direction else lengths
            energies.append(lengths**2 / 2 - value + (longest**2 / 2 + at_rest / self._inverse_temperature))
        return ops.xp(energies[0]).concatenate(energies)

    # -- what is stored ----------------------------------------------------------------------------------------------

    @property
    def patterns_(self) -> Any:
        """The stored rows."""
        return self._stored.rows

    @property
    def ids_(self) -> np.ndarray:
        """The names of the stored rows."""
        return self._stored.ids

    @property
    def targets_(self) -> Any:
        """What belongs to the stored rows."""
        return self._stored.targets

    @property
    def similarity_(self) -> str:
        """The similarity in use."""
        store = self._stored
        if self.similarity != "auto":
            return self.similarity
        return "containment" if store.is_binary else "cosine"

    @property
    @at_one_moment
    def beta_(self) -> float:
        """The inverse temperature in use."""
        store = self._stored
        if not isinstance(self.beta, str):
            return float(self.beta)
        return store.derived(f"beta {self._settings()}", self._estimated_beta)

    @property
    @at_one_moment
    def retrievable_(self) -> float:
        """The share of the stored rows that one step leaves where they are."""
        store = self._stored
        return store.derived(f"retrievable {self._settings()} {self.beta_}", self._estimated_share)

    @property
    def _stored(self) -> Patterns:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} has stored nothing yet: call fit first")
        return self._store

    def __sklearn_is_fitted__(self) -> bool:
        return "_store" in vars(self)

    @property
    def _n_features_out(self) -> int:
        return int(self.n_features_in_)

    # -- scores and weights ------------------------------------------------------------------------------------------

    def _scores(self, Q: Any) -> tuple[Any, Any]:
        """Scores of all patterns, and which queries have any say: the others share nothing with any pattern."""
        store, similarity = self._store, self.similarity_
        scores = ops.match(Q, store.index)
        if similarity == "euclidean":
            scores -= store.lengths**2 / 2
            return scores, ops.xp(scores).ones(len(scores), bool)
        known = scores.any(axis=1)
        if similarity == "cosine":
            scores *= ops.reciprocal(store.lengths)
            scores *= ops.reciprocal(ops.row_norms(Q))[:, None]
        elif similarity == "containment":
            scores -= self._penalties(Q)[:, None] * store.sums
        return scores, known

    def _rivals(self, Q: Any) -> Any:
        """Scores of the patterns that compete for each query: `-inf` for those that do not."""
        scores, known = self._scores(Q)
        if not known.all():
            scores[~known] = -np.inf
        return self._without_copies(scores)

    def _without_copies(self, scores: Any) -> Any:
        if len(self._store.copies):
            scores[:, self._store.copies] = -np.inf
        return scores

    def _penalties(self, Q: Any) -> Any:
        """What an entry of a pattern costs, for each query."""
        squares = ops.row_norms(Q) ** 2
        if not isinstance(self.length_penalty, str):
            return ops.xp(squares).full(len(squares), self.length_penalty, squares.dtype)
        store = self._store
        if not len(store):
            return squares
        magnitude, square = store.medians
        if magnitude == 0:
            return 0 * squares
        return _PENALTY * ops.xp(squares).minimum(squares, square) / magnitude

    @property
    def _inverse_temperature(self) -> float:
        return 1.0 if self.separation == "max" else self.beta_  # the best is the best at any temperature

    def _weights(self, Q: Any) -> Any:
        """Weights of the patterns, CSR; those that equal an earlier one have none."""
        return ops.separate(self._rivals(Q), self._inverse_temperature, self.separation).weights

    def _shared_weights(self, Q: Any) -> Any:
        """Weights of the patterns, CSR; equal ones share."""
        weights, sharing = self._weights(Q), self._store.sharing
        return weights if sharing is None else weights @ sharing

    def _completed(self, block: Any) -> Any:
        state, before = block, None
        for _ in range(self.n_steps):
            if before is not None and not ops.entries(state - before).any():
                break
            before, state = state, ops.combine(self._weights(state), self._store.rows)
            if self.threshold is not None:
                state = ops.ones_from(state, self.threshold)
        return state

    def _largest(self, weights: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The `n` largest weights of each row, and the ids of their patterns."""
        weights = ops.to_host(weights)
        n_kept = np.diff(weights.indptr)
        row = np.repeat(np.arange(len(n_kept)), n_kept)
        order = np.lexsort((weights.indices, -weights.data, row))
        rank = np.arange(len(order)) - weights.indptr[row]
        order, rank = order[rank < n], rank[rank < n]
        top, ids = np.zeros((len(n_kept), n), weights.dtype), np.full((len(n_kept), n), -1)
        top[row[order], rank] = weights.data[order]
        ids[row[order], rank] = self._store.ids[weights.indices[order]]
        return top, ids

    def _distances(self, Q: Any, scores: Any) -> Any:
        xp = ops.xp(scores)
        if self.similarity_ == "cosine":
            return (1 - scores).clip(0, None)
        if self.similarity_ == "euclidean":
            squares = ops.row_norms(Q).astype(scores.dtype) ** 2
            return xp.sqrt((squares[:, None] - 2 * scores).clip(0, None))
        return -scores

    def _values(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Numbers to be averaged: those given, or one column per label, then with the labels."""
        targets = self._store.targets
        if targets.dtype.kind == "f" or targets.ndim > 1:
            return targets.reshape(len(targets), -1).astype(float), None
        labels, code = np.unique(targets, return_inverse=True)
        return np.eye(len(labels))[code.ravel()], labels

    def _agreement(self, predicted: np.ndarray, y: np.ndarray) -> float:
        if self._values()[1] is not None:
            return float((predicted == y).mean())
        rest, spread = ((y - predicted) ** 2).sum(), ((y - y.mean(axis=0)) ** 2).sum()
        return float(1 - rest / spread) if spread else float(rest == 0)

    # -- estimates ---------------------------------------------------------------------------------------------------

    def _settings(self) -> str:
        """What the estimates depend on beside the patterns."""
        return f"{self.similarity_} {self.length_penalty} {self.separation}"

    def _sample(self) -> np.ndarray:
        """Positions of some patterns, no two of them equal and none empty."""
        n = len(self._store)
        filled = np.flatnonzero(ops.to_host(self._store.lengths))
        distinct = np.setdiff1d(filled, self._store.copies)
        size = int(np.clip(_MEETINGS // max(n, 1), _SMALLEST_SAMPLE, _LARGEST_SAMPLE))
        if len(distinct) <= size:
            return distinct
        return np.sort(check_random_state(self._seed).choice(distinct, size, replace=False))

    def _estimated_beta(self) -> float:
        sample = self._sample()
        rows = ops.take_rows(self._store.rows, sample)
        gaps = self._gaps(fragments(rows, check_random_state(self._seed)), sample)
        gaps = gaps[np.isfinite(gaps)]
        told_apart = gaps[gaps > _ROUNDING * np.abs(gaps).max(initial=0)]
        if len(told_apart) == 0:
            return 1.0  # one pattern, or patterns that nobody can tell apart: it does not matter
        n = len(self._store)
        margin = {"sparsemax": 1.0, "entmax15": 2.0}.get(self.separation, np.log(n / (1 - _NEARLY_ALL)))
        return float(margin / np.quantile(told_apart, _AMBIGUOUS))

    def _gaps(self, Q: Any, own: np.ndarray) -> np.ndarray:
        """By how much the score of each row's own pattern exceeds that of the best other one."""
        gaps, start = [], 0
        for block in self._blocks(Q):
            scores = self._rivals(block)
            at = np.arange(len(scores)), own[start : start + len(scores)]
            start += len(scores)
            mine = scores[at]
            scores[at] = -np.inf
            gaps.append(ops.to_host(mine - scores.max(axis=1)))
        return np.concatenate(gaps) if gaps else np.zeros(0)

    def _estimated_share(self) -> float:
        sample = self._sample()
        rows, kept, start = ops.take_rows(self._store.rows, sample), [], 0
        enough = _NEARLY_ALL if self.separation == "softmax" else 1 - _ROUNDING
        for block in self._blocks(rows):
            weights = ops.to_host(self._weights(block))
            own = sample[start : start + block.shape[0]]
            start += block.shape[0]
            kept.append(np.asarray(weights[np.arange(len(own)), own]).ravel() >= enough)
        return float(np.concatenate(kept).mean()) if kept else 1.0

    # -- forms -------------------------------------------------------------------------------------------------------

    def _blocks(self, X: Any) -> Iterator[Any]:
        """Rows of `X` in the form of the patterns, so many that their scores can be held."""
        row_bytes = (len(self._store) + X.shape[1]) * X.dtype.itemsize
        for rows in row_blocks(X.shape[0], row_bytes):
            yield self._adapted(ops.take_rows(X, rows))

    def _adapted(self, X: Any) -> Any:
        """`X` in the form and dtype of the patterns."""
        form = self._store.form
        return ops.in_form_of(X, form).astype(form.dtype, copy=False)

    def _own_rows(self) -> Any:
        self._check_fitted()
        return self._store.rows

    def _matching(self, y: Any) -> Any:
        """Targets of further patterns, if they go with those of the first."""
        old = self._store.targets
        if (y is None) != (old is None):
            wanted = "no y, as the first patterns have none" if old is None else "a y, as the first patterns have one"
            raise ValueError(f"partial_fit wants {wanted}. Fit anew to change that.")
        if y is not None and y.shape[1:] != old.shape[1:]:
            raise ValueError(f"partial_fit wants a y of shape (n, {old.shape[1:]}) and got {y.shape}.")
        return y

    def _drawn_seed(self) -> int:
        seed = 0 if self.random_state is None else self.random_state
        return int(check_random_state(seed).randint(2**31 - 1))
