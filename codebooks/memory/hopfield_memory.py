"""A modern Hopfield network as a memory: store patterns, get them back from a part of them."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix, issparse

from codebooks import ops
from codebooks._fork_safe_lock import ForkSafeLock
from codebooks.base import ArrayTransformer, Interval, OneToOneFeatureMixin, StrOptions, check_random_state, fit_context
from codebooks.memory._pattern_store import Patterns, draw_fragments, select_ids
from codebooks.memory._recall import Association
from codebooks.validation.arrays import check_count, check_input, check_labels, check_targets, restore_on_error

__all__ = ["HopfieldMemory"]

# One change at a time; searches do not wait.
_changing = ForkSafeLock()
# Completions that differ from a pattern by less, relative to it, equal it.
_ROUNDING = 1e-5


class HopfieldMemory(OneToOneFeatureMixin, ArrayTransformer):
    """Stored patterns that come back from a part of them: a modern Hopfield network.

    A query is compared with all stored patterns, the scores become weights, and the weighted sum of the patterns is the
    completed query::

        p = separation(beta * similarity(query, patterns))      completed = p @ patterns

    One such step lowers the energy of the network ([1]_ for softmax, [2]_ for sparse separations), and one is usually
    enough. With the sparse separations, a pattern whose score lies at least `1 / beta` (sparsemax) or `2 / beta`
    (1.5-entmax) above all others comes back alone, to the last bit; where several are nearer than that, they are
    mixed. At the defaults, a stored pattern that is given as the query comes back alone. Nothing is learned: fitting
    stores. Patterns can be appended and forgotten at any time and keep their ids.

    NaN in a query is a missing value: patterns are compared with the query by the other features alone, and
    `transform` replaces only the missing values. Zero is a value like any other, except to `"cosine"`, `"dot"` and
    `"containment"`, which take little or no notice of it.

    Parameters
    ----------
    similarity : {"auto", "dot", "cosine", "euclidean", "containment"}, default="auto"
        How a query q is compared with a pattern x:

        - `"dot"`: `q'x`. For patterns of one length; longer ones score higher whatever the query;
        - `"cosine"`: `q'x / (|q| |x|)`. For tf-idf, counts, embeddings and pixels: queries may lack entries (zeros) or
          have another length than their pattern. It cannot tell a pattern from its multiples;
        - `"euclidean"`: `q'x - |x|^2 / 2`, the rank of the distance. For measurements, whose columns have an offset or
          of which there are few: queries may be noisy, but zeros are values and not gaps; write NaN for a gap;
        - `"containment"`: `q'x - length_penalty |x|_1`. For sets, coded as zeros and ones: of two patterns that hold
          the query the shorter is meant;
        - `"auto"`: `"containment"` where all stored patterns are zeros and ones. Else `"cosine"` where, in a sample of
          at most 500 patterns, it recognises fragments of them, and recognises fragments and mixtures with other
          patterns as often as `"euclidean"`, which is chosen otherwise.
    length_penalty : float or "auto", default="auto"
        Price of an entry in `"containment"`. `"auto"` lets it grow with the part of a pattern that a query seems to
        hold, so that large fragments do not recall longer patterns and small ones still recall any:
        `min(1, |q|^2 / m2) m2 / (4 m1)`, with m1 and m2 the medians of `|x|_1` and of `|x|^2` over the patterns. It
        scales with the data.
    separation : {"sparsemax", "softmax", "entmax15", "max"}, default="sparsemax"
        How scores become weights. Only softmax gives weight to all patterns; `"max"` gives all to the best one.
    beta : float or "auto", default="auto"
        Inverse temperature: the larger, the closer to `"max"`. A number is used as it is. `"auto"` has two parts:

        - `beta_`, the same for all queries. Of random fifths of a sample of the patterns, those that are nearest to
          their own pattern bring it back alone in 99.5 % of cases (with 99 % of the weight, for softmax). By Euclidean
          distance, for which fragments are far away, it takes points on the way to the nearest other pattern, where a
          fifth of the way to the middle is left.
        - A larger one for a query that is close to a pattern. A pattern lacks the difference between its score and
          that of a pattern that equals the query. The best pattern comes back alone where all others lack at least
          twice as much. Patterns that equal the query up to rounding are told apart by their distance from it.
    n_steps : int, default=1
        Most steps of a completion; it ends when nothing changes.
    threshold : float, optional
        Makes completions binary after each step: 1 where they reach it, else 0. For patterns of zeros and ones, .5.
    keep_observed : bool, default=True
        Whether `transform` leaves values as they are that a query with missing values (NaN) has. Set it to False where
        these values are noisy, so that the completed pattern replaces them too. Queries without missing values are
        replaced as a whole in either case.
    random_state : int, RandomState or None, default=None
        Draws the sample for `similarity="auto"`, `beta="auto"`, `retrievable_` and `score`; None always draws the same.

    Attributes
    ----------
    patterns_ : ndarray or CSR matrix of shape (n_patterns, n_features)
        What is stored, in the order of `ids_`; not to be written to.
    ids_ : ndarray of shape (n_patterns,), int64
        Names of the patterns: 0, 1, ... in the order of storing. A forgotten one is not used again.
    targets_ : ndarray of shape (n_patterns, ...) or None
        The `y` of each.
    similarity_ : str
        The similarity in use. Chosen when first needed, and again when patterns came or went.
    beta_ : float
        The inverse temperature in use; with `beta="auto"`, the least that a query gets. Estimated likewise. A warning
        is given then if the sample has patterns that another pattern scores as high as when they are the query.
    retrievable_ : float
        Share of the patterns, in a sample of at most 2,000, that one step leaves where they are. Estimated likewise.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Notes
    -----
    Equal patterns are one to the separation, and share its weight evenly, so storing a pattern twice changes no
    completion. A query that is empty, or shares no feature with any pattern, recalls nothing: its completion and its
    weights are zero. By Euclidean distance zero is a point like any other, and where an empty pattern is stored, an
    empty query recalls it. A query in which everything is missing recalls nothing.

    In a sparse query, NaN has to be a stored entry; an entry that is not stored is zero. Each missing value of a sparse
    query costs as much as a value does.

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
    >>> ids, weights = memory.recall([[0, 0, 0, 1, 1]], n_patterns=1)
    >>> ids, weights
    (array([[1]]), array([[1.]]))

    Measurements of which some are missing:

    >>> memory = HopfieldMemory().fit([[20.0, 101, 300], [21, 99, 301], [19, 100, 299]])
    >>> memory.transform([[21.2, np.nan, np.nan]])
    array([[ 21.2,  99. , 301. ]])
    """

    _parameter_constraints: ClassVar[dict] = {
        "similarity": [StrOptions({"auto", "dot", "cosine", "euclidean", "containment"})],
        "length_penalty": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "separation": [StrOptions({"softmax", "sparsemax", "entmax15", "max"})],
        "beta": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Interval(Real, 0, None, closed="neither"), None],
        "keep_observed": ["boolean"],
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
        keep_observed: bool = True,
        random_state: Any = None,
    ):
        self.similarity = similarity
        self.length_penalty = length_penalty
        self.separation = separation
        self.beta = beta
        self.n_steps = n_steps
        self.threshold = threshold
        self.keep_observed = keep_observed
        self.random_state = random_state

    # -- storing -----------------------------------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> HopfieldMemory:
        """Store the rows of `X`, and nothing else.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_patterns, n_features)
            A copy is kept, in the form and dtype of `X` and on its device: see `codebooks.to_host`.
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
        with _changing, restore_on_error(self):
            X = super()._check(X, reset=True)
            y = check_targets(self, y, X.shape[0])
            self._seed = self._draw_seed()
            self._store = Patterns.of(ops.copy_matrix(X), y)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> HopfieldMemory:
        """Store the rows of `X` beside what is stored already; they get the next ids.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_patterns, n_features)
            Kept in the form and dtype of the first patterns.
        y : array-like of shape (n_patterns,) or (n_patterns, n_values), optional
            Needed where the first patterns had theirs, and of their kind: labels, or numbers.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If labels are of another kind than those stored, such as strings beside numbers.
        ValueError
            If `X` does not fit what is stored, or `y` is missing, of another shape, or numbers beside labels.
        """
        with _changing, restore_on_error(self):
            if not self.__sklearn_is_fitted__():
                return self.fit(X, y)
            X = super()._check(X)  # without NaN
            y = self._check_targets(check_targets(self, y, X.shape[0]))
            self._store = self._store.append_rows(ops.copy_matrix(self._get_snapshot().convert(X)), y)
        return self

    def remove(self, ids: Any) -> HopfieldMemory:
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
        TypeError
            If a mask came; nothing is removed then, nor in the next case.
        ValueError
            If an id is not stored.
        """
        with _changing:
            self._check_fitted()
            store = self._store
            self._store = store.select_rows(np.flatnonzero(~select_ids(ids, store.ids, "remove")))
            return self

    @classmethod
    def from_store(cls, patterns: Any, **settings: Any) -> HopfieldMemory:
        """A memory of checked patterns that are not copied: they may lie in a file, and there may be none.

        Parameters
        ----------
        patterns : ndarray or CSR matrix of shape (n_patterns, n_features)
            float32 or float64, finite; nobody may write to them afterwards.
        **settings
            As the constructor takes them.

        Returns
        -------
        HopfieldMemory
        """
        memory = cls(**settings)
        memory.n_features_in_ = int(patterns.shape[1])
        memory._seed = memory._draw_seed()
        memory._store = Patterns.of(patterns)
        return memory

    # -- recalling ---------------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Complete the rows of `X`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            NaN is a missing value.

        Returns
        -------
        ndarray or CSR matrix of shape (n_queries, n_features)
            In the form and dtype of the stored patterns. Rows with missing values keep their other values, see
            `keep_observed`.
        """
        return self._complete(self._check(X))

    def recall(self, X: Any, n_patterns: int = 10) -> tuple[Any, Any]:
        """Find the stored patterns that the completion of each row of `X` is made of, and their weights.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            NaN is a missing value.
        n_patterns : int, default=10
            How many at most.

        Returns
        -------
        ids : ndarray of shape (n_queries, n_patterns), int64
            As in `ids_`; -1, with weight 0, where fewer patterns have a weight.
        weights : ndarray of shape (n_queries, n_patterns)
            Descending. All weights of a row sum to 1; the rest is on patterns that are not listed.
        """
        X, now = self._check(X), self._get_snapshot()
        check_count("n_patterns", n_patterns, least=0)
        found = [now.find_largest(block, n_patterns) for block in now.blocks(X)]
        ids, weights = (ops.xp(parts[0]).concatenate(parts) for parts in zip(*found, strict=True))
        return ids, weights

    def kneighbors(self, X: Any = None, n_neighbors: int = 5, return_distance: bool = True) -> Any:
        """The stored patterns nearest to each row of `X`, as `sklearn.neighbors.NearestNeighbors` gives them.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features), optional
            Left out, the stored patterns themselves, of which none is its own neighbour. NaN is a missing value.
        n_neighbors : int, default=5
        return_distance : bool, default=True

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            Ascending. Euclidean distance, for queries with missing values that of
            `sklearn.metrics.pairwise.nan_euclidean_distances`; or 1 - cosine; for `"dot"` and `"containment"`, which
            are no distances, the negative score. Only with `return_distance`.
        ids : ndarray of shape (n_queries, n_neighbors), int64
            As in `ids_`; ties go to the older pattern.

        Raises
        ------
        ValueError
            If there are fewer patterns than neighbours wanted.
        """
        now, themselves = self._get_snapshot(), X is None
        check_count("n_neighbors", n_neighbors)
        X = now.store.rows if themselves else self._check(X)
        n_others = len(now.store) - themselves
        if n_neighbors > n_others:
            raise ValueError(f"n_neighbors={n_neighbors} wants as many patterns; there are {n_others} to choose from.")
        found, start = [], 0
        for block in now.blocks(X):
            found.append(now.find_neighbours(block, n_neighbors, start if themselves else None))
            start += block.shape[0]
        distances, ids = (ops.xp(parts[0]).concatenate(parts) for parts in zip(*found, strict=True))
        return (distances, ids) if return_distance else ids

    def predict(self, X: Any) -> np.ndarray:
        """What belongs to each row of `X`, by the `y` of the patterns that it recalls.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            NaN is a missing value.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_values)
            With labels (one for each pattern, and not floating-point) the one with most weight; with floating-point
            numbers, or a row of any numbers for each pattern, their weighted mean. A row that recalls nothing gets the
            commonest label, or the mean of all.

        Raises
        ------
        ValueError
            If the memory was fitted without `y`, or all patterns were forgotten.
        """
        return self._predict(self._check(X))

    def score(self, X: Any, y: Any = None) -> float:
        """How well the memory answers. Higher is better.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            With `y`, NaN is a missing value.
        y : array-like, optional
            What `predict` should give.

        Returns
        -------
        float
            With `y`: the share of right labels, or the coefficient of determination of numbers. Without: the share of
            rows that come back exactly when a random half of their entries is taken away.

        Raises
        ------
        TypeError
            If labels are of another kind than those stored, such as strings beside numbers.
        ValueError
            If `y` is of another shape than what `predict` gives, or `X` holds NaN and there is no `y`.
        """
        X = self._check(X)
        if y is not None:
            return _score_predictions(self._predict(X), check_targets(self, y, X.shape[0]))
        self._refuse_missing("score without y", X)
        X = self._get_snapshot().convert(X)
        completed = self._complete(draw_fragments(X, 0.5, check_random_state(self._seed)))
        ones = ops.xp(X).ones(X.shape[1], X.dtype)
        return float((abs(completed - X) @ ones <= _ROUNDING * (abs(X) @ ones)).mean())

    def energy(self, X: Any) -> np.ndarray:
        """The energy of the network at each row of `X`, which a step of completion does not raise.

        `E(q) = -Omega*(beta s(q)) / beta + |q|^2 / 2 + (M^2 / 2 + Omega*(0) / beta)`, with `Omega*` the convex
        conjugate of what the separation penalises (the log-sum-exp for softmax) and M the length of the longest
        pattern; the last term only makes it positive (Ramsauer et al. 2021, eq. 2; Santos et al. 2024, eq. 6).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)

        Returns
        -------
        ndarray of shape (n_queries,)
            It never rises over steps for dot product, Euclidean distance, and containment with a fixed penalty, with a
            number for `beta` and without a threshold. For cosine, queries are taken at length 1, and it never rises
            where all patterns have one length. With `beta="auto"` each query has the inverse temperature that a step
            gives it, and the energy does not rise while that does not fall.

        Raises
        ------
        ValueError
            If `X` holds NaN: the energy is that of a complete state.
        """
        X, now = self._check(X), self._get_snapshot()
        self._refuse_missing("energy", X)
        energies = [now.energy(block) for block in now.blocks(X)]
        return ops.xp(energies[0]).concatenate(energies)

    # -- what is stored ----------------------------------------------------------------------------------------------

    @property
    def patterns_(self) -> Any:
        """The stored rows."""
        return self._get_snapshot().store.rows

    @property
    def ids_(self) -> np.ndarray:
        """The names of the stored rows."""
        return self._get_snapshot().store.ids

    @property
    def targets_(self) -> Any:
        """What belongs to the stored rows."""
        return self._get_snapshot().store.targets

    @property
    def similarity_(self) -> str:
        """The similarity in use."""
        return self._get_snapshot().similarity

    @property
    def beta_(self) -> float:
        """The inverse temperature in use."""
        return self._get_snapshot().beta

    @property
    def retrievable_(self) -> float:
        """The share of the stored rows that one step leaves where they are."""
        return self._get_snapshot().retrievable

    def __sklearn_is_fitted__(self) -> bool:
        return "_store" in vars(self)

    def _get_learned_array(self) -> Any:
        return self._store.form

    @property
    def _n_features_out(self) -> int:
        return int(self.n_features_in_)

    # -- below the surface -------------------------------------------------------------------------------------------

    def _check(self, X: Any, *, reset: bool = False) -> Any:
        """Checked queries, in which NaN is a missing value."""
        self._check_fitted()
        return check_input(self, X, reset=False, like=self._get_learned_array(), allow_nan=True)

    def _refuse_missing(self, method: str, X: Any) -> None:
        if ops.split_missing(X)[1] is not None:
            raise ValueError(f"{method} expected X without missing values, got NaN. Complete X by transform first.")

    def _get_snapshot(self) -> Association:
        """The memory as it is now, whatever other threads store or forget meanwhile."""
        self._check_fitted()
        return Association(self._store, self.similarity, self.length_penalty, self.separation, self.beta, self._seed)

    def _complete(self, X: Any) -> Any:
        """What `transform` gives, of checked rows."""
        now = self._get_snapshot()
        return ops.stack_rows(
            [now.complete(block, self.n_steps, self.threshold, self.keep_observed) for block in now.blocks(X)]
        )

    def _predict(self, X: Any) -> np.ndarray:
        """What `predict` gives, of checked rows."""
        now = self._get_snapshot()
        targets = now.store.targets
        if targets is None:
            raise ValueError("predict wants targets, and none are stored. Give fit a y: a label or a number per row.")
        if not len(now.store):
            raise ValueError("predict wants stored patterns, and all were forgotten. Store some with partial_fit.")
        values, labels = _encode_targets(targets)
        of_all = np.asarray(values.mean(axis=0)).ravel()
        answers = []
        for block in now.blocks(X):
            weights = ops.to_host(now.compute_shared_weights(block))
            known = np.diff(weights.indptr) > 0
            totals = weights @ values
            totals = np.where(known[:, None], totals.toarray() if issparse(totals) else totals, of_all)
            answers.append(totals if labels is None else labels[totals.argmax(axis=1)])
        found = np.concatenate(answers)
        return found if labels is not None else found.reshape(-1, *targets.shape[1:])

    def _check_targets(self, y: Any) -> Any:
        """Targets of further patterns, if they go with those of the first."""
        old = self._store.targets
        if (y is None) != (old is None):
            wanted = "no y, as the first patterns have none" if old is None else "a y, as the first patterns have one"
            raise ValueError(f"partial_fit wants {wanted}. Fit anew to change that.")
        if y is not None and y.shape[1:] != old.shape[1:]:
            raise ValueError(f"partial_fit wants a y of shape (n, {old.shape[1:]}) and got {y.shape}.")
        if y is not None and len(old):
            _check_kinds("partial_fit", old, y)
            if _are_numbers(old) != _are_numbers(y):
                raise ValueError(
                    f"partial_fit wants a y of the kind that is stored, floating-point numbers or labels: {old.dtype} "
                    f"is stored and {y.dtype} came. Convert it, or fit anew."
                )
        return y

    def _draw_seed(self) -> int:
        seed = 0 if self.random_state is None else self.random_state
        return int(check_random_state(seed).randint(2**31 - 1))


def _are_numbers(targets: np.ndarray) -> bool:
    """Whether targets are averaged; others are labels."""
    return targets.dtype.kind == "f" or targets.ndim > 1


def _check_kinds(method: str, *targets: np.ndarray) -> None:
    """Check that labels which are of one kind each are of the same kind."""
    check_labels(method, np.array([label for some in targets for label in some.flat[:1]], dtype=object))


def _encode_targets(targets: np.ndarray) -> tuple[Any, np.ndarray | None]:
    """Numbers as they are, or one column per label, then with the labels."""
    if _are_numbers(targets):
        return targets.reshape(len(targets), -1).astype(float), None
    labels, code = np.unique(targets, return_inverse=True)
    n = len(targets)
    return csr_matrix((np.ones(n), (np.arange(n), code.ravel())), shape=(n, len(labels))), labels


def _score_predictions(predicted: np.ndarray, y: np.ndarray) -> float:
    if predicted.shape != y.shape:
        raise ValueError(f"score wants a y of shape {predicted.shape}, as predict gives it, and got {y.shape}.")
    _check_kinds("score", predicted, y)
    if not _are_numbers(predicted):
        return float((predicted == y).mean())
    rest, spread = ((y - predicted) ** 2).sum(), ((y - y.mean(axis=0)) ** 2).sum()
    return float(1 - rest / spread) if spread else float(rest == 0)
