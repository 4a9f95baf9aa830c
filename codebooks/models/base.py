"""Training loop and prediction methods of all learners."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from itertools import repeat
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.base import (
    ArrayTransformer,
    CallbackSupportMixin,
    FitTasks,
    Interval,
    StrOptions,
    fit_context,
    with_callbacks,
)
from codebooks.errors import short_repr
from codebooks.models.convergence import Plateau, Reporter
from codebooks.models.cosine import compute_cosines, normalize_rows
from codebooks.models.relocation import Move, Standstill, find_moves, relocate
from codebooks.models.revival import SMALLEST_ERROR, compute_idle_threshold, revive_idle
from codebooks.models.statistics import (
    Sums,
    compute_unexplained_share,
    compute_win_shares,
    multiply_weights,
    select_weighted_rows,
    sum_weights,
    summarize_epoch,
)
from codebooks.validation.arrays import check_codes, check_sample_weight, restore_on_error

if TYPE_CHECKING:
    from typing import Self

__all__ = ["CodebookLearner", "Progress"]

# The number of rows whose codes are in memory at once if only labels or a score are computed.
_BLOCK = 8192
# batch_size="auto": about four updates an epoch, because each one makes several passes over the components.
_BATCHES, _SMALLEST_BATCH, _LARGEST_BATCH = 4, 1_000, 10_000
# Running means go back this number of minibatches, and at least this number of rows for each component.
_MEMORY_BATCHES = 2
_MEMORY_ROWS = 50
_MOST_ROUNDS = 5  # relocations of redundant components
# Gain per update of the inhibition that evens out loads, for scores within [-1, 1] (Wang et al. 2024, arXiv 2408.15664,
# in its form for softmax gates).
_LOAD_GAIN = 0.02
# Frames between `fit` and its caller: `fit` itself and its decorators.
_FIT_FRAMES = 4 if hasattr(CallbackSupportMixin, "set_callbacks") else 3


class Progress(NamedTuple):
    """Progress of training."""

    annealed: float  # 0 at the first update, 1 when every schedule has reached its end
    epoch: int  # number of the epoch in `fit`, 0 in `partial_fit`
    n_epochs: int  # largest number of epochs of `fit`
    is_shuffled: bool = False  # whether minibatches are random samples of all rows


class CodebookLearner(CallbackSupportMixin, ClusterMixin, ArrayTransformer):
    """Training loop and prediction methods of all learners.

    A learner defines a state, a NamedTuple with at least the fields `components`, `usage`, `inhibition`, `seed` and
    `n_updates` (each becomes an attribute with an underscore at the end of its name), and four methods:

    - `_initialize_state(X, n_components, rng, sample_weight)`: the state before the first update, computed from the
      first minibatch, independent of the order of its rows;
    - `_compute_statistics(X, state, sample_weight)`: a `Sums` over rows. It is the only code of an update that reads
      data (between epochs, `relocation` and `pruning` read all rows);
    - `_update(state, sums, progress)`: the next state;
    - `_encode(X, state)`: codes of rows, and a mask of the rows that share a feature with a component.

    `sample_weight` contains one number above zero for each row of `X`, the number of times that the row counts. None
    stands for weights of 1.

    A rule that is sequential by nature overrides `_step` instead of `_compute_statistics` and `_update`. A learner with
    signed codes overrides `_orient_scores`.
    """

    _State: ClassVar[Any]
    _n_batches: ClassVar[int] = _BATCHES  # approximate number per epoch with batch_size="auto"
    _largest_batch: ClassVar[int] = _LARGEST_BATCH
    _smallest_batch: ClassVar[int] = _SMALLEST_BATCH
    _halved: ClassVar[tuple[str, ...]] = ("usage",)  # fields of the state that a split divides by half
    _turned: ClassVar[tuple[str, ...]] = ()  # fields of the state that a split divides as it divides the component
    _score_name: ClassVar[str] = "explained energy"  # name of an epoch's score
    _lowest_confidence: ClassVar[float] = -1.0  # smallest value of `reject_below`; the largest is 1
    _confidence_name: ClassVar[str] = "cosine"
    sparse_output: bool = False  # whether codes are a CSR matrix
    annealing_updates: int = 0  # minibatches until the schedules reach their ends; none by default
    # Applied to the state after each update, if set. `TopicModel` fixes words and components with it.
    _constrain: Callable[[Any], Any] | None = None

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "n_active": [Interval(Integral, 1, None, closed="left"), None],
        "inhibition": [StrOptions({"mean", "load"}), None],
        "inhibition_strength": [Interval(Real, 0, 1, closed="both")],
        "revive": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "shuffle": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "sparse_output": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]  # ClusterMixin removes them
        return tags

    # -- training ------------------------------------------------------------------------------------------------

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn components from the rows of `X`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Samples; float32 is kept. The components of a CuPy array or sparse matrix are computed and stored on its
            device: see `codebooks.to_host`.
        y : ignored
            Present for consistency with scikit-learn.
        sample_weight : array-like of shape (n_samples,), optional
            The number of times that each sample counts, zero or more. None stands for weights of 1. If the
            mean of the weights above zero is below 1, all are divided by it.

        Returns
        -------
        self
            With `components_`, `labels_`, `usage_`, `inhibition_`, `n_iter_` and `n_updates_`.

        Raises
        ------
        ValueError
            If `X` is empty, all zeros, or contains NaN or infinity, or if a weight is negative, missing or not finite,
            or all are zero.
        """
        tasks = FitTasks(self, self._n_epochs)
        with restore_on_error(self):
            X = self._check(X, reset=True)
            sample_weight = check_sample_weight(self, sample_weight, X, reset=True)
            tasks.begin(X, y, sample_weight)
            rows, weights = select_weighted_rows(X, sample_weight, is_complete=True)
            rng = check_random_state(self.random_state)
            state, self.n_iter_ = self._run_epochs(rows, rng, sample_weight=weights, tasks=tasks)
            summaries: list[Any] = []
            self.labels_ = self._find_winners(X, state, summaries=summaries, sample_weight=sample_weight)
            usage = compute_win_shares(self.labels_, state.usage, sample_weight)
            self._store_state(state._replace(usage=usage))
            self._store_summary(X, summaries)
            tasks.end(dict)
        for message in self._find_warnings(rows):
            warnings.warn(message, UserWarning, stacklevel=_FIT_FRAMES)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one minibatch; start a new model if there is none.

        Calls with the minibatches of an unshuffled epoch, one after another, give the components that `fit` has after
        that epoch.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            One minibatch; one row is enough. If all its rows are empty, the model does not change.
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            The number of times that each sample counts, zero or more; 1 on average over the minibatches. The smaller
            the sum of the weights, the less a minibatch changes the components.

        Returns
        -------
        self
            `labels_` are the labels of this minibatch, -1 for empty rows.

        Raises
        ------
        ValueError
            If `fit` raises one for the same arguments. The first minibatch needs a row that is not empty; leave out
            the minibatches before it.
        """
        first = not self.__sklearn_is_fitted__()
        with restore_on_error(self):
            X = self._check(X, reset=first)
            sample_weight = check_sample_weight(self, sample_weight, X, reset=first)
            rows, weights = select_weighted_rows(X, sample_weight)
            rng = check_random_state(self.random_state)
            state = self._initialize(rows, rng, weights) if first else self._get_state()
            state, sums = self._partial_step(rows, state, epoch=0, sample_weight=weights)
            if self._revives and bool(sums.n_rows):
                state = self._revive_idle(rows, state, weights)
            self._store_state(state)
            self.n_iter_ = 1
            summaries: list[Any] = []
            self.labels_ = self._find_winners(X, state, summaries=summaries, sample_weight=sample_weight)
            self._store_summary(X, summaries, in_parts=True)
        for message in self._find_minibatch_warnings():
            warnings.warn(message, UserWarning, stacklevel=3)
        return self

    @property
    def _n_epochs(self) -> int:
        """The largest number of epochs of `fit`."""
        return self.max_iter

    def _run_epochs(
        self,
        X: Any,
        rng: Any,
        state: Any = None,
        *,
        revive: bool | None = None,
        sample_weight: Any = None,
        tasks: FitTasks | None = None,
    ) -> tuple[Any, int]:
        """Train until convergence, from the given state or a new one; return the state and the number of epochs."""
        plateau = Plateau(self.tol)
        reporter = Reporter(type(self).__name__, self.max_iter, self.verbose, self._score_name)
        revive = self._revives if revive is None else revive
        n_rows = X.shape[0] if sample_weight is None else float(ops.to_host(sample_weight.sum()))
        before, best, n_rounds = Standstill(None, -math.inf, 0, 0), -math.inf, 0
        for epoch in reporter.epochs():
            if tasks is not None:
                tasks.begin_epoch()
            state, score, n_idle = self._run_epoch(X, state, epoch, rng, revive, sample_weight)
            reporter.report(epoch, score, n_idle)
            if tasks is not None and tasks.end_epoch(lambda state=state: self._list_attributes(state)):
                break
            if self._compute_annealing(state, epoch) < 1 or not plateau(score):
                continue
            labels = self._find_winners(X, state)
            state = state._replace(usage=compute_win_shares(labels, state.usage, sample_weight))
            if not revive:
                break
            n_idle = int(ops.to_host((state.usage == 0).sum()))
            moves = [] if n_idle else self._find_redundant(X, state, labels, sample_weight)
            now = Standstill(state, score, n_idle, len(moves))
            best, n_rounds = max(best, score), n_rounds + 1
            if not now.is_acceptable_after(before, best):
                if before.n_redundant:
                    # The relocated components were needed: groups are similar, and poorly explained samples are none.
                    state = before.state
                    break
                # The last epochs revive nothing, so that components which cannot win leave no trace in others.
                revive = False
            elif not n_idle and (not moves or n_rounds > _MOST_ROUNDS):
                break
            # The next update revives idle components. Most components have converged already, so fewer epochs decide
            # on the next standstill.
            state = relocate(state, moves, n_rows, self._halved, self._compute_lengths)
            before, plateau = now, Plateau(self.tol, patience=2)
        return state, epoch + 1

    def _run_epoch(
        self, X: Any, state: Any, epoch: int, rng: Any, revive: bool | None = None, sample_weight: Any = None
    ) -> tuple[Any, float, int]:
        """Return the state after one epoch, its explained energy per row, and the number of idle components."""
        revive = self._revives if revive is None else revive
        batches: Any = self._draw_minibatches(X.shape[0], rng)
        if state is None or not ops.is_asynchronous(X):
            return self._run_minibatches(X, state, epoch, batches, rng, revive, sample_weight)
        # To see after every update whether a component is idle or all rows were empty, the host would wait for the
        # device each time. Both are rare, so the epoch runs without looking, and again if one of them has happened.
        batches = list(batches)
        lowest: list[Any] = []
        unchecked = self._run_minibatches(X, state, epoch, batches, rng, False, sample_weight, lowest)
        least_usage, least_rows = ops.to_host(ops.xp(lowest[0]).stack(lowest).min(axis=0))
        if least_rows > 0 and (least_usage >= compute_idle_threshold(state) or not revive):
            return unchecked
        return self._run_minibatches(X, state, epoch, batches, rng, revive, sample_weight)

    def _run_minibatches(
        self,
        X: Any,
        state: Any,
        epoch: int,
        batches: Any,
        rng: Any,
        revive: bool,
        sample_weight: Any = None,
        lowest: list[Any] | None = None,
    ) -> tuple[Any, float, int]:
        """Run an epoch over these minibatches; the result is that of `_run_epoch`.

        With a list `lowest` the host does not wait for the device: empty minibatches are learned from, and the lowest
        usage after each update and its number of rows are appended to the list.
        """
        epoch_sums = []
        weights: Any = repeat(None)
        if sample_weight is not None:
            batches = list(batches)
            weights = (ops.take_rows(sample_weight[:, None], rows)[:, 0] for rows in batches)
        for batch, weight in zip(ops.minibatches(X, batches), weights, strict=False):
            if state is None:
                if not ops.row_norms(batch).any():
                    continue  # there is nothing to start from
                state = self._initialize(batch, rng, weight)
            state, sums = self._partial_step(
                batch, state, epoch, wait=lowest is None, is_shuffled=self.shuffle, sample_weight=weight
            )
            if lowest is not None:
                xp = ops.xp(state.usage)
                lowest.append(xp.stack([state.usage.min().astype(xp.float64), sums.n_rows.astype(xp.float64)]))
            if revive and bool(sums.n_rows):
                state = self._revive_idle(batch, state, weight)
            epoch_sums.append(sums._replace(pull=None))
        return state, *summarize_epoch(epoch_sums)

    def _initialize(self, batch: Any, rng: Any, sample_weight: Any = None) -> Any:
        if isinstance(self.n_components, str):
            n_components = min(10, batch.shape[1])
        else:
            n_components = self.n_components
        return self._initialize_state(batch, n_components, rng, sample_weight)

    def _partial_step(
        self,
        batch: Any,
        state: Any,
        epoch: int,
        *,
        wait: bool = True,
        is_shuffled: bool = False,
        sample_weight: Any = None,
    ) -> tuple[Any, Sums]:
        """Return the state after one update, the same one if all rows are empty, and the statistics of the minibatch.

        Without `wait` the host does not check whether all rows are empty.
        """
        progress = Progress(self._compute_annealing(state, epoch), epoch, self.max_iter, is_shuffled)
        updated, sums = self._step(batch, state, progress, sample_weight)
        if self._constrain is not None:
            updated = self._constrain(updated)
        return (state if wait and not bool(sums.n_rows) else updated), sums

    def _step(self, X: Any, state: Any, progress: Progress, sample_weight: Any = None) -> tuple[Any, Sums]:
        """Learn from one minibatch: compute the statistics of its rows, and update the state with their sums."""
        sums = self._compute_statistics(X, state, sample_weight)
        return self._update(state, sums, progress), sums

    def _compute_annealing(self, state: Any, epoch: int) -> float:
        """Compute the share of the schedules that is over, from the number of updates."""
        return min(state.n_updates / self.annealing_updates, 1.0) if self.annealing_updates else 1.0

    def _compute_temperature(self, state: Any, start: float, end: float) -> float:
        """Compute a temperature that falls geometrically from `start` to `end`."""
        return end * (start / end) ** (1 - self._compute_annealing(state, 0))

    def _draw_minibatches(self, n_rows: int, rng: Any) -> Iterator[Any]:
        """Return the row numbers of the minibatches of one epoch: shuffled, or slices in the given order."""
        size = self.batch_size
        if isinstance(size, str):
            size = min(max(-(-n_rows // self._n_batches), self._smallest_batch), self._largest_batch)
        return self._split_into_batches(size, n_rows, rng)

    def _split_into_batches(self, size: int, n_rows: int, rng: Any) -> Iterator[Any]:
        """Return the row numbers of the minibatches of one epoch, of a given size."""
        starts = range(0, n_rows, size)
        if not self.shuffle:
            yield from (slice(start, min(start + size, n_rows)) for start in starts)
            return
        batch_of = np.empty(n_rows, np.uint16 if len(starts) < 2**16 else np.int64)
        batch_of[rng.permutation(n_rows)] = np.arange(n_rows) // size
        # Inside a minibatch the order does not matter, and ascending row numbers are read faster.
        order = np.argsort(batch_of, kind="stable")
        yield from (order[start : start + size] for start in starts)

    def _compute_retention(self, sums: Sums) -> Any:
        """Compute the share of a running mean that remains after a minibatch, from its rows that are not empty."""
        xp = ops.xp(sums.wins)
        memory = xp.maximum(_MEMORY_BATCHES * sums.n_rows, _MEMORY_ROWS * len(sums.wins))
        return (1 - sums.n_rows / memory).astype(sums.wins.dtype)

    def _update_usage_and_inhibition(self, state: Any, sums: Sums, keep: Any) -> tuple[Any, Any]:
        """Compute the next `usage` and `inhibition`, which are running means."""
        xp = ops.xp(sums.wins)
        n_rows = xp.where(sums.n_rows > 0, sums.n_rows, 1).astype(sums.wins.dtype)
        shares, fade = sums.wins / n_rows, 1 - keep
        usage = keep * state.usage + fade * shares
        if self._inhibition == "mean":
            strength = self.inhibition_strength * self._compute_contrast(sums)
            inhibition = keep * state.inhibition + fade * strength * sums.scores / n_rows
        elif self._inhibition == "load":
            inhibition = state.inhibition + self.inhibition_strength * _LOAD_GAIN * (shares - 1 / len(shares))
        else:
            inhibition = state.inhibition
        return usage, inhibition

    def _compute_contrast(self, sums: Sums) -> Any:
        """Compute the factor that brings mean scores to the order of the differences between the scores of a row."""
        return compute_unexplained_share(sums)

    @property
    def _inhibition(self) -> str | None:
        """The kind of inhibition that is used."""
        return self.inhibition

    @property
    def _revives(self) -> bool:
        """Whether idle components are revived."""
        return bool(self.revive)

    def _blend(self, state: Any, pull: Any, keep: Any) -> tuple[Any, Any]:
        """Compute directions and lengths of the decayed sums; the sums before are `mass * components`."""
        pull = ops.xp(pull).asfortranarray(pull)  # the components of one feature are read together
        mass = ops.blend_directions(pull, keep * state.mass, state.components)
        return pull, mass

    def _initialize_usage(self, X: Any, state: Any, sample_weight: Any) -> Any:
        """Initialise usage and inhibition from the first minibatch; the first ranking of components needs them."""
        usage, inhibition = self._update_usage_and_inhibition(
            state, self._compute_statistics(X, state, sample_weight), state.usage.dtype.type(0)
        )
        return state._replace(usage=usage, inhibition=inhibition)

    def _revive_idle(self, X: Any, state: Any, sample_weight: Any = None) -> Any:
        """Return the state in which each idle component has taken samples of another one."""
        return revive_idle(X, state, self._halved, self._turned, self._compute_lengths, sample_weight)

    def _compute_lengths(self, components: Any) -> Any:
        """Compute the norms that the learner keeps at 1."""
        return ops.row_norms(components)

    def _find_redundant(self, X: Any, state: Any, labels: Any, sample_weight: Any = None) -> list[Move]:
        """Find redundant components and the samples to which they move."""
        return find_moves(X, state.components, labels, sample_weight)

    # -- prediction ----------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Compute the codes of the rows of `X`: one number for each component, the winner's the largest.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray, or CSR matrix with `sparse_output`, of shape (n_samples, n_components)
            In the dtype and on the device of `X`. The code of a row that is empty or shares no feature with any
            component is zero; a gate of `InhibitedMixture` or `MultinomialMixture` is then even over all components.

        Raises
        ------
        ValueError
            If `X` has other features than the model, or if `sparse_output` is set and `set_output` selects a table,
            which cannot contain a sparse matrix.
        """
        X, state = self._check(X), self._get_state()
        codes = (self._encode(block, state)[0] for block in self._iterate_blocks(X))
        if self.sparse_output:
            return ops.stack_sparse(codes)
        if X.shape[0] <= _BLOCK or ops.is_asynchronous(X):
            return self._encode(X, state)[0]
        # The same blocks as in `predict`: rounding depends on the shapes of products.
        first = next(codes)
        out = np.empty((X.shape[0], first.shape[1]), first.dtype)
        out[: len(first)] = first
        for start, block in zip(range(len(first), len(out), _BLOCK), codes, strict=True):
            out[start : start + _BLOCK] = block
        return out

    def predict(self, X: Any, *, reject_below: float | None = None) -> Any:
        """Return the index of the component that wins each row of `X`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        reject_below : float in [-1, 1], optional
            Rows whose cosine with their component is smaller are labelled -1. Set it to exclude outliers.

        Returns
        -------
        ndarray of shape (n_samples,), int64
            -1 for a row that is empty or shares no feature with any component.

        Raises
        ------
        ValueError
            If `reject_below` is out of range, or `X` has other features than the model.
        """
        lowest, name = self._lowest_confidence, self._confidence_name
        is_number = isinstance(reject_below, Real) and not isinstance(reject_below, bool)
        if reject_below is not None and not (is_number and lowest <= reject_below <= 1):
            raise ValueError(
                f"`reject_below` must be a {name}, a number from {lowest:g} to 1, or None, got "
                f"{short_repr(reject_below)}. The method `confidence` returns the values that it is compared with."
            )
        return self._find_winners(self._check(X), self._get_state(), reject_below)

    def confidence(self, X: Any) -> Any:
        """Compute how well the winning component fits each row of `X`. `predict` compares it with `reject_below`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            The cosine of each row with its component; for `MultinomialMixture` the probability of the component. 0 for
            a row without a label.
        """
        X, state = self._check(X), self._get_state()
        values = []
        for block in self._iterate_blocks(X):
            codes, has_code = self._encode(block, state)
            winners = self._orient_scores(codes).argmax(axis=1)
            values.append(self._compute_confidence(block, codes, winners, state) * has_code)
        return ops.xp(values[0]).concatenate(values)

    def fit_predict(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Learn from `X` and return `labels_`, the winning component of each row."""
        return self.fit(X, y, **fit_params).labels_

    def inverse_transform(self, X: Any) -> Any:
        """Reconstruct samples from codes: `X components_`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_components)
            Codes as `transform` returns them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Dense, also for sparse codes.

        Raises
        ------
        ValueError
            If the codes are not finite numbers, or do not have one column for each component.
        """
        check_is_fitted(self)
        codes = check_codes(self, X, len(self.components_), like=self.components_)
        return codes @ self.components_

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Compute the explained energy per row: the mean squared cosine with the nearest component. Higher is better.

        It does not depend on temperature, inhibition or `n_active`, so settings of these can be compared, also on
        held-out rows. It rises with `n_components`, as every reconstruction does; choose the number of components by
        `codebooks.choose_n_components` or another score, for instance `codebooks.metrics.npmi_scorer`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the mean, zero or more.

        Returns
        -------
        float in [0, 1]
            Empty rows are left out; 0 if there are no others.
        """
        X = self._check(X)
        return self._compute_explained_energy(X, self.components_, check_sample_weight(self, sample_weight, X))

    def _compute_explained_energy(self, X: Any, components: Any, sample_weight: Any = None) -> float:
        """Compute `score` for these components."""
        directions = normalize_rows(components)
        energy, n_rows = 0.0, 0.0
        for block, weight in self._iterate_weighted_blocks(X, sample_weight):
            cosines, norms = compute_cosines(block, directions)
            squares = self._orient_scores(cosines).max(axis=1).clip(0, None) ** 2
            energy += float(ops.to_host(multiply_weights(squares, weight).sum()))
            n_rows += float(ops.to_host(sum_weights(norms > 0, weight)))
        return energy / n_rows if n_rows else 0.0

    def _find_winners(
        self,
        X: Any,
        state: Any,
        reject_below: float | None = None,
        summaries: list[Any] | None = None,
        sample_weight: Any = None,
    ) -> Any:
        """Return the winning component of each row, -1 for none.

        The results of `_summarize_codes` for each block of rows are appended to the list `summaries`.
        """
        labels = []
        for block, weight in self._iterate_weighted_blocks(X, sample_weight):
            codes, has_label = self._encode(block, state)
            winners = self._orient_scores(codes).argmax(axis=1)
            if summaries is not None:
                summaries.append(self._summarize_codes(block, codes, weight))
            if reject_below is not None:
                has_label &= self._compute_confidence(block, codes, winners, state) >= reject_below
            winners[~has_label] = -1
            labels.append(winners)
        return ops.xp(labels[0]).concatenate(labels)

    def _compute_confidence(self, X: Any, codes: Any, winners: Any, state: Any) -> Any:
        """Compute `confidence` for the winner of each row."""
        cosines = self._orient_scores(compute_cosines(X, normalize_rows(state.components))[0])
        return ops.xp(winners).take_along_axis(cosines, winners[:, None], axis=1)[:, 0]

    def _get_directions(self, state: Any) -> Any:
        """Return the vectors whose dot products with a row are its scores."""
        return state.components

    def _orient_scores(self, scores: Any) -> Any:
        """Return scores or codes as they are ranked: the winner has the largest one."""
        return scores

    def _iterate_blocks(self, X: Any) -> Iterator[Any]:
        """Iterate over blocks of the rows of `X`, so that the codes of one block at a time are in memory."""
        return (block for block, _ in self._iterate_weighted_blocks(X, None))

    def _iterate_weighted_blocks(self, X: Any, sample_weight: Any) -> Iterator[tuple[Any, Any]]:
        """Iterate over slices of rows and their weights."""
        for start in range(0, X.shape[0], _BLOCK):
            rows = slice(start, min(start + _BLOCK, X.shape[0]))
            yield ops.take_rows(X, rows), None if sample_weight is None else sample_weight[rows]

    # -- state ---------------------------------------------------------------------------------------------------

    def _describe_groups(self, X: Any, labels: Any, n_groups: int, state: Any, n_samples: int) -> Any:
        """Return a state with a component for each group of rows, comparable with the components of `state`.

        `labels` are the groups of the rows, a host array without -1; `n_samples` is the number of rows from which these
        were selected.
        """
        xp, index = ops.xp(state.components), ops.to_device_of(labels[:, None], state.components)
        scale = ops.reciprocal(ops.row_norms(X))[:, None]
        sums = xp.zeros((n_groups, X.shape[1]), state.components.dtype)
        ops.scatter_rows(sums, index, scale.astype(sums.dtype), X)
        lengths = self._compute_lengths(sums)
        rows = ops.to_device_of(np.bincount(labels, minlength=n_groups), state.components).astype(sums.dtype)
        described = {
            "components": xp.asfortranarray(sums * ops.reciprocal(lengths)[:, None]),
            "usage": rows / max(len(labels), 1),
            "inhibition": xp.zeros(n_groups, sums.dtype),
        }
        if "mass" in state._fields:
            described["mass"] = rows * (state.mass.sum() / max(n_samples, 1)).astype(sums.dtype)
        return state._replace(**described)

    def _align_features(self, X: Any, state: Any, columns: Any) -> Any:
        """Return the state for the features of `X`, of which feature j was the feature `columns[j]`, -1 for none."""
        found = np.flatnonzero(columns >= 0)
        components = np.zeros((len(state.usage), len(columns)), state.components.dtype)
        components[:, found] = ops.to_host(state.components)[:, columns[found]]
        components = ops.to_device_of(components, state.components)
        components *= ops.reciprocal(self._compute_lengths(components))[:, None]
        return state._replace(components=ops.xp(components).asfortranarray(components))

    def _extend_features(self, X: Any, state: Any, columns: Any) -> Any:
        """Return the state for the features of `X`, as `_align_features`; only new features are learned from `X`."""
        return self._align_features(X, state, columns)

    def _get_state(self) -> Any:
        return self._State(*(getattr(self, field + "_") for field in self._State._fields))

    def _list_attributes(self, state: Any) -> dict[str, Any]:
        """Return the attributes that contain the state."""
        return {field + "_": value for field, value in state._asdict().items()}

    def _store_state(self, state: Any) -> None:
        for name, value in self._list_attributes(state).items():
            setattr(self, name, value)

    def _summarize_codes(self, X: Any, codes: Any, sample_weight: Any) -> Any:
        """Compute statistics of the codes of a block of rows, for `_store_summary`."""

    def _store_summary(self, X: Any, summaries: list[Any], *, in_parts: bool = False) -> None:
        """Set further attributes from the summaries of the blocks of `X`, one minibatch of several if `in_parts`."""

    def _find_minibatch_warnings(self) -> Iterator[str]:
        """Yield the warnings after `partial_fit`."""
        yield from ()

    def _find_warnings(self, X: Any) -> Iterator[str]:
        """Yield the warnings after `fit`."""
        usage = ops.to_host(self.usage_)
        idle = np.flatnonzero(usage == 0)
        if len(idle) > 0:
            named = ", ".join(map(str, idle[:10])) + (", ..." if len(idle) > 10 else "")
            advice = self._advise_on_idle(X, len(usage) - len(idle))
            yield f"{len(idle)} of {len(usage)} components win no sample: {named}. {advice}"

    def _advise_on_idle(self, X: Any, n_used: int) -> str:
        """Return the advice on components that win no sample."""
        if 1 - self._compute_explained_energy(X, self.components_) < SMALLEST_ERROR:
            return f"The others explain all samples, so n_components={n_used} is enough."
        if not self._revives:
            return "Set revive=True to relocate them to samples that are explained poorly."
        if self.n_iter_ >= self.max_iter:
            return f"Learning ended before it converged: raise max_iter, which is {self.max_iter}."
        remedies = "Another random_state or a smaller batch_size may find samples for them"
        if self._inhibition is not None:
            remedies += ", and so may inhibition=None"
        return f"{remedies}. If the score stays the same, n_components={n_used} is enough."
