"""Associative memory: store patterns and retrieve them from partial or noisy queries."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix, issparse

from codebooks import ops
from codebooks._fork_safe_lock import ForkSafeLock
from codebooks.base import ArrayTransformer, Interval, OneToOneFeatureMixin, StrOptions, check_random_state, fit_context
from codebooks.memory._pattern_store import Patterns, draw_fragments, select_ids
from codebooks.memory._recall import Association
from codebooks.validation.arrays import check_count, check_input, check_labels, check_targets, restore_on_error

if TYPE_CHECKING:
    from typing import Self

__all__ = ["HopfieldMemory"]

# Changes run one at a time; queries do not wait.
_changing = ForkSafeLock()
# Completions that differ from a pattern by less, relative to it, equal it.
_ROUNDING = 1e-5


class HopfieldMemory(OneToOneFeatureMixin, ArrayTransformer):
    """Complete partial or noisy samples from stored patterns: an associative memory (modern Hopfield network).

    Use it like `KNNImputer` to fill in missing values, like `KNeighborsClassifier` to predict labels, or like
    `NearestNeighbors` to find patterns. Prefer it if queries contain only a part of a pattern (a few words of a
    document, a part of an image), if patterns come and go (`partial_fit`, `remove`), or if nothing may be trained:
    `fit` only stores. For documents as text, use `HopfieldRetriever`.

    A query is compared with all stored patterns, the scores become weights, and the weighted sum of the patterns is the
    completed query::

        p = separation(beta * similarity(query, patterns))      completed = p @ patterns

    One such step lowers the energy of the network ([1]_ for softmax, [2]_ for sparse separations), and one is usually
    enough. With the sparse separations, a pattern whose score lies at least `1 / beta` (sparsemax) or `2 / beta`
    (1.5-entmax) above all others is returned alone, to the last bit; if several are nearer than that, they are mixed.
    At the defaults, a query that equals a stored pattern returns that pattern alone. Patterns can be appended and
    removed at any time and keep their ids.

    NaN in a query is a missing value: patterns are compared with the query by the other features alone, and
    `transform` replaces only the missing values. Zero is a value like any other, except for `"cosine"`, `"dot"` and
    `"containment"`, to which it contributes little or nothing.

    Parameters
    ----------
    similarity : {"auto", "dot", "cosine", "euclidean", "containment"}, default="auto"
        How a query q is compared with a pattern x:

        - `"dot"`: `q'x`. For patterns of equal length; longer ones score higher for every query;
        - `"cosine"`: `q'x / (|q| |x|)`. For tf-idf, counts, embeddings and pixels: queries may lack entries (zeros) or
          have another length than their pattern. Multiples of a pattern have the same score;
        - `"euclidean"`: `q'x - |x|^2 / 2`, the rank of the distance. For measurements, whose columns have an offset or
          of which there are few: queries may be noisy. Zeros are values; use NaN for missing values;
        - `"containment"`: `q'x - length_penalty |x|_1`. For sets, coded as zeros and ones: of two patterns that
          contain the query the shorter one scores higher;
        - `"auto"`: `"containment"` if all stored patterns are zeros and ones. Else `"cosine"` if, in a sample of at
          most 500 patterns, it recognises fragments of them, and recognises fragments and mixtures with other patterns
          as often as `"euclidean"`; else `"euclidean"`.
    length_penalty : float or "auto", default="auto"
        Penalty of each entry of a pattern in `"containment"`. Raise it to prefer shorter patterns. With `"auto"` it
        grows with the estimated part of a pattern that a query contains, so that large fragments do not recall longer
        patterns and small ones still recall any: `min(1, |q|^2 / m2) m2 / (4 m1)`, with m1 and m2 the medians of
        `|x|_1` and of `|x|^2` over the patterns. It scales with the data.
    separation : {"sparsemax", "softmax", "entmax15", "max"}, default="sparsemax"
        How scores become weights. Only `"softmax"` gives weight to all patterns; `"max"` gives all to the best one.
    beta : float or "auto", default="auto"
        Inverse temperature: the larger, the closer to `"max"`. A number is used as it is. `"auto"` has two parts:

        - `beta_`, the same for all queries. Of random fifths of a sample of the patterns, those that are nearest to
          their own pattern return it alone in 99.5 % of cases (with 99 % of the weight, for softmax). By Euclidean
          distance, for which fragments are far away, it uses points on the way to the nearest other pattern, at which a
          fifth of the way to the middle is left.
        - A larger one for a query that is close to a pattern. The deficit of a pattern is the difference between its
          score and that of a pattern that equals the query. The best pattern is returned alone if the deficits of all
          others are at least twice as large. Patterns that equal the query up to rounding are ranked by their distance
          from it.

        Raise it if completions mix patterns; lower it to average over more of them.
    n_steps : int, default=1
        Largest number of steps of a completion; it ends when nothing changes. More steps help for very noisy queries.
    threshold : float, optional
        Makes completions binary after each step: 1 for values that reach it, else 0. Use .5 for zeros and ones.
    keep_observed : bool, default=True
        Whether `transform` keeps the other values of a query with missing values (NaN). Set it to False if these values
        are noisy, so that the completed pattern replaces them too. Queries without missing values are replaced as a
        whole in either case.
    random_state : int, RandomState or None, default=None
        Seed of the samples for `similarity="auto"`, `beta="auto"`, `retrievable_` and `score`; None stands for 0.

    Attributes
    ----------
    patterns_ : ndarray or CSR matrix of shape (n_patterns, n_features)
        Stored patterns, in the order of `ids_`. Do not write to it.
    ids_ : ndarray of shape (n_patterns,), int64
        Ids of the patterns: 0, 1, ... in the order of storing. Ids of removed patterns are not used again.
    targets_ : ndarray of shape (n_patterns, ...) or None
        The `y` of each pattern.
    similarity_ : str
        The similarity that is used. Chosen at its first use, and again after patterns are added or removed.
    beta_ : float
        The inverse temperature that is used; with `beta="auto"`, the smallest one of a query. Estimated at the same
        times, with a warning if another pattern scores as high as a sampled pattern that is the query.
    retrievable_ : float
        Share of the patterns, in a sample of at most 2,000, that one step does not change. Estimated at the same times.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, if the input has names

    See Also
    --------
    HopfieldRetriever : Store and search documents.
    sklearn.impute.KNNImputer : Missing values as means of neighbours.

    Notes
    -----
    Equal patterns count once in the separation, and share its weight evenly, so storing a pattern twice changes no
    completion. A query that is empty, or shares no feature with any pattern, recalls nothing: its completion and its
    weights are zero. By Euclidean distance zero is a point like any other, and if an empty pattern is stored, an empty
    query recalls it. A query in which all values are missing recalls nothing.

    In a sparse query, NaN has to be a stored entry; an entry that is not stored is zero. Each missing value of a sparse
    query takes as much time as a value.

    Scores of a block of queries are computed at a time, within scikit-learn's `working_memory`. For sparse patterns an
    inverted index is built at the first query, which takes as much memory as the patterns.

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

    Measurements with missing values:

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
    def fit(self, X: Any, y: Any = None) -> Self:
        """Store the rows of `X` as the patterns of a new memory.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_patterns, n_features)
            A copy is kept, in the form and dtype of `X` and on its device: see `codebooks.to_host`.
        y : array-like of shape (n_patterns,) or (n_patterns, n_values), optional
            Label or numbers of each pattern, for `predict`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` is empty, all zeros, or contains NaN or infinity, or `y` has another number of rows.
        """
        with _changing, restore_on_error(self):
            X = check_input(self, X, reset=True, allow_nan=True)
            self._refuse_missing("fit", X)
            y = check_targets(self, y, X.shape[0])
            self._seed = self._draw_seed()
            self._store = Patterns.of(ops.copy_matrix(X), y)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Store the rows of `X` as further patterns; they get the next ids.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_patterns, n_features)
            Kept in the form and dtype of the first patterns.
        y : array-like of shape (n_patterns,) or (n_patterns, n_values), optional
            Required if the first patterns have one, and of the same kind: labels, or numbers.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If labels are of another kind than those stored, such as strings beside numbers.
        ValueError
            If `X` has other features than the patterns, or `y` is missing, has another shape, or is numbers beside
            labels.
        """
        with _changing, restore_on_error(self):
            if not self.__sklearn_is_fitted__():
                return self.fit(X, y)
            X = self._check(X)
            self._refuse_missing("partial_fit", X)
            y = self._check_targets(check_targets(self, y, X.shape[0]))
            self._store = self._store.append_rows(ops.copy_matrix(self._get_snapshot().convert(X)), y)
        return self

    def remove(self, ids: Any) -> Self:
        """Remove patterns.

        Parameters
        ----------
        ids : int or array-like of int
            As in `ids_`. All other patterns keep their ids.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `ids` is a mask. Nothing is removed.
        ValueError
            If an id is not stored. Nothing is removed.
        """
        with _changing:
            self._check_fitted()
            store = self._store
            self._store = store.select_rows(np.flatnonzero(~select_ids(ids, store.ids, "remove")))
            return self

    @classmethod
    def from_store(cls, patterns: Any, **settings: Any) -> Self:
        """Create a memory of validated patterns without a copy; they may be memory-mapped, and there may be none.

        Parameters
        ----------
        patterns : ndarray or CSR matrix of shape (n_patterns, n_features)
            float32 or float64, finite. Do not write to them afterwards.
        **settings
            Parameters of the constructor.

        Returns
        -------
        HopfieldMemory
        """
        memory = cls(**settings)
        memory.n_features_in_ = int(patterns.shape[1])
        memory._seed = memory._draw_seed()
        memory._store = Patterns.of(patterns)
        return memory

    # -- queries -----------------------------------------------------------------------------------------------------

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
        """Find the stored patterns in the completion of each row of `X`, and their weights.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            NaN is a missing value.
        n_patterns : int, default=10
            Largest number of patterns for each query.

        Returns
        -------
        ids : ndarray of shape (n_queries, n_patterns), int64
            As in `ids_`; -1, with weight 0, if fewer patterns have a weight.
        weights : ndarray of shape (n_queries, n_patterns)
            Descending. All weights of a row sum to 1; the rest is on patterns that are not listed.
        """
        X, now = self._check(X), self._get_snapshot()
        check_count("n_patterns", n_patterns, least=0)
        found = [now.find_largest(block, n_patterns) for block in now.blocks(X)]
        ids, weights = (ops.xp(parts[0]).concatenate(parts) for parts in zip(*found, strict=True))
        return ids, weights

    def kneighbors(self, X: Any = None, n_neighbors: int = 5, return_distance: bool = True) -> Any:
        """Find the stored patterns nearest to each row of `X`, as `sklearn.neighbors.NearestNeighbors` does.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features), optional
            None stands for the stored patterns, of which none is its own neighbour. NaN is a missing value.
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
            If there are fewer patterns than `n_neighbors`.
        """
        now, themselves = self._get_snapshot(), X is None
        check_count("n_neighbors", n_neighbors)
        X = now.store.rows if themselves else self._check(X)
        n_others = len(now.store) - themselves
        if n_neighbors > n_others:
            raise ValueError(
                f"`n_neighbors` must be at most the number of patterns to choose from, {n_others}, got {n_neighbors}."
            )
        found, start = [], 0
        for block in now.blocks(X):
            found.append(now.find_neighbours(block, n_neighbors, start if themselves else None))
            start += block.shape[0]
        distances, ids = (ops.xp(parts[0]).concatenate(parts) for parts in zip(*found, strict=True))
        return (distances, ids) if return_distance else ids

    def predict(self, X: Any) -> np.ndarray:
        """Predict the label or the numbers of each row of `X` from the `y` of the patterns that it recalls.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)
            NaN is a missing value.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_values)
            With labels (one for each pattern, and not floating-point) the one with the largest weight; with
            floating-point numbers, or a row of any numbers for each pattern, their weighted mean. A row that recalls
            nothing gets the most frequent label, or the mean of all.

        Raises
        ------
        ValueError
            If the memory was fitted without `y`, or all patterns are removed.
        """
        return self._predict(self._check(X))

    def score(self, X: Any, y: Any = None) -> float:
        """Compute the accuracy of predictions, or of completions without `y`. Higher is better.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            With `y`, NaN is a missing value.
        y : array-like, optional
            True values of `predict`.

        Returns
        -------
        float
            With `y`: the share of correct labels, or the coefficient of determination of numbers. Without: the share of
            rows that are completed exactly after a random half of their entries is set to 0.

        Raises
        ------
        TypeError
            If labels are of another kind than those stored, such as strings beside numbers.
        ValueError
            If `y` has another shape than the result of `predict`, or `X` contains NaN and there is no `y`.
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
        """Compute the energy of the network at each row of `X`, which a step of completion does not raise.

        `E(q) = -Omega*(beta s(q)) / beta + |q|^2 / 2 + (M^2 / 2 + Omega*(0) / beta)`, with `Omega*` the convex
        conjugate of the penalty of the separation (the log-sum-exp for softmax) and M the length of the longest
        pattern; the last term only makes it positive (Ramsauer et al. 2021, eq. 2; Santos et al. 2024, eq. 6).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_queries, n_features)

        Returns
        -------
        ndarray of shape (n_queries,)
            It never rises over steps for dot product, Euclidean distance, and containment with a fixed penalty, with a
            number for `beta` and without a threshold. For cosine, queries are scaled to length 1, and it never rises if
            all patterns have the same length. With `beta="auto"` each query has the inverse temperature of its step,
            and the energy does not rise while that does not fall.

        Raises
        ------
        ValueError
            If `X` contains NaN, because the energy is that of a complete state.
        """
        X, now = self._check(X), self._get_snapshot()
        self._refuse_missing("energy", X)
        energies = [now.energy(block) for block in now.blocks(X)]
        return ops.xp(energies[0]).concatenate(energies)

    # -- attributes --------------------------------------------------------------------------------------------------

    @property
    def patterns_(self) -> Any:
        """The stored rows."""
        return self._get_snapshot().store.rows

    @property
    def ids_(self) -> np.ndarray:
        """The ids of the stored rows."""
        return self._get_snapshot().store.ids

    @property
    def targets_(self) -> Any:
        """The labels or numbers of the stored rows."""
        return self._get_snapshot().store.targets

    @property
    def similarity_(self) -> str:
        """The similarity that is used."""
        return self._get_snapshot().similarity

    @property
    def beta_(self) -> float:
        """The inverse temperature that is used."""
        return self._get_snapshot().beta

    @property
    def retrievable_(self) -> float:
        """The share of the stored rows that one step does not change."""
        return self._get_snapshot().retrievable

    def __sklearn_is_fitted__(self) -> bool:
        return "_store" in vars(self)

    def _get_learned_array(self) -> Any:
        return self._store.form

    @property
    def _n_features_out(self) -> int:
        return int(self.n_features_in_)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _check(self, X: Any, *, reset: bool = False) -> Any:
        """Validate queries, in which NaN is a missing value."""
        self._check_fitted()
        return check_input(self, X, reset=False, like=self._get_learned_array(), allow_nan=True)

    def _refuse_missing(self, method: str, X: Any) -> None:
        if ops.split_missing(X)[1] is None:
            return
        if method in ("fit", "partial_fit"):
            raise ValueError(
                f"{type(self).__name__}.{method} expected complete patterns, got NaN. Only queries may have missing "
                f"values: remove these rows, or use sklearn.impute.SimpleImputer."
            )
        raise ValueError(f"{method} expected X without missing values, got NaN. Complete X by transform first.")

    def _get_snapshot(self) -> Association:
        """Return the present state of the memory, which changes by other threads do not affect."""
        self._check_fitted()
        self._validate_params()  # `set_params` may have changed them
        return Association(self._store, self.similarity, self.length_penalty, self.separation, self.beta, self._seed)

    def _complete(self, X: Any) -> Any:
        """Compute `transform` for validated rows."""
        now = self._get_snapshot()
        return ops.stack_rows(
            [now.complete(block, self.n_steps, self.threshold, self.keep_observed) for block in now.blocks(X)]
        )

    def _predict(self, X: Any) -> np.ndarray:
        """Compute `predict` for validated rows."""
        now = self._get_snapshot()
        targets = now.store.targets
        if targets is None:
            raise ValueError("predict expected a memory fitted with y, got none. Call fit with a label for each row.")
        if not len(now.store):
            raise ValueError("predict expected stored patterns, got an empty memory. Store some with partial_fit.")
        values, labels = _encode_targets(targets)
        mean = np.asarray(values.mean(axis=0)).ravel()
        predicted = []
        for block in now.blocks(X):
            weights = ops.to_host(now.compute_shared_weights(block))
            has_weights = np.diff(weights.indptr) > 0
            totals = weights @ values
            totals = np.where(has_weights[:, None], totals.toarray() if issparse(totals) else totals, mean)
            predicted.append(totals if labels is None else labels[totals.argmax(axis=1)])
        everything = np.concatenate(predicted)
        return everything if labels is not None else everything.reshape(-1, *targets.shape[1:])

    def _check_targets(self, y: Any) -> Any:
        """Return the targets of further patterns, after a comparison with those of the first ones."""
        old = self._store.targets
        if (y is None) != (old is None):
            expected, received, fix = ("no y", "one", "Leave it out.") if old is None else ("a y", "none", "Pass y.")
            raise ValueError(f"partial_fit expected {expected}, as for the first patterns, got {received}. {fix}")
        if y is not None and y.shape[1:] != old.shape[1:]:
            raise ValueError(f"partial_fit expected y of shape {(len(y), *old.shape[1:])}, got {y.shape}.")
        if y is not None and len(old):
            _check_kinds("partial_fit", old, y)
            if _are_numbers(old) != _are_numbers(y):
                raise ValueError(
                    f"partial_fit expected y of the stored kind, floating-point numbers or labels ({old.dtype}), got "
                    f"{y.dtype}. Convert it, or use fit."
                )
        return y

    def _draw_seed(self) -> int:
        seed = 0 if self.random_state is None else self.random_state
        return int(check_random_state(seed).randint(2**31 - 1))


def _are_numbers(targets: np.ndarray) -> bool:
    """Return whether targets are averaged; others are labels."""
    return targets.dtype.kind == "f" or targets.ndim > 1


def _check_kinds(method: str, *targets: np.ndarray) -> None:
    """Check that the labels of several arrays are of the same kind."""
    check_labels(method, np.array([label for some in targets for label in some.flat[:1]], dtype=object))


def _encode_targets(targets: np.ndarray) -> tuple[Any, np.ndarray | None]:
    """Return numbers as they are, or one column for each label, and the labels."""
    if _are_numbers(targets):
        return targets.reshape(len(targets), -1).astype(float), None
    labels, code = np.unique(targets, return_inverse=True)
    n = len(targets)
    return csr_matrix((np.ones(n), (np.arange(n), code.ravel())), shape=(n, len(labels))), labels


def _score_predictions(predicted: np.ndarray, y: np.ndarray) -> float:
    if predicted.shape != y.shape:
        raise ValueError(f"score expected y of shape {predicted.shape}, as predict returns it, got {y.shape}.")
    _check_kinds("score", predicted, y)
    if not _are_numbers(predicted):
        return float((predicted == y).mean())
    rest, spread = ((y - predicted) ** 2).sum(), ((y - y.mean(axis=0)) ** 2).sum()
    return float(1 - rest / spread) if spread else float(rest == 0)
