"""The training loop and the prediction methods that all learners share."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.base import ArrayTransformer, Interval, StrOptions, fit_context
from codebooks.errors import short_repr
from codebooks.models.convergence import Plateau, Reporter
from codebooks.models.cosine import compute_cosines, normalize_rows
from codebooks.models.relocation import Move, find_moves, find_widest_directions, pair_by_error
from codebooks.models.statistics import Sums, compute_unexplained_share, compute_win_shares, summarize_epoch
from codebooks.validation.arrays import check_codes, restore_on_error

__all__ = ["LARGEST_LOSS", "CodebookLearner", "Progress"]

# How many rows of codes are held at once where only labels or a score are wanted.
_BLOCK = 8192
# batch_size="auto": about four updates an epoch, which pays for the passes over the codebook that each one makes.
_BATCHES, _SMALLEST_BATCH, _LARGEST_BATCH = 4, 1_000, 10_000
# Running means remember so many minibatches, and at least so many rows for each unit.
_MEMORY_BATCHES = 2
_MEMORY_ROWS = 50
# A unit counts as idle when its share of wins has faded below this part of an even share.
_IDLE = 0.02
# The two halves of a divided component stand so far from it, in units of the spread of its samples.
_HALF_WIDTH = 0.3
# Relocation of redundant components may raise the unexplained energy by this share each time and lower the explained
# energy by this much in all, and is made so often at most.
_LOSS_BY_RELOCATION, LARGEST_LOSS, _MOST_ROUNDS = 0.05, 0.01, 5
# A mean unexplained energy below this is rounding: there is nothing to learn.
_EXPLAINED = 1e-6
# Gain per update of the inhibition that evens out loads, for scores within [-1, 1] (Wang et al. 2024, arXiv 2408.15664,
# in its form for softmax gates).
_LOAD_GAIN = 0.02


def _compute_idle_threshold(state: Any) -> float:
    """The share of wins below which a unit counts as idle."""
    return _IDLE / len(state.usage)


def _compute_component_errors(found: ops.Nearest, usage: np.ndarray) -> tuple[np.ndarray, float]:
    """For each component the energy that it leaves unexplained, per sample of all, and the mean over samples.

    Both are on the host. The first is the usage of a component times the mean error of the samples that it wins in a
    minibatch, with the mean over all samples counted as one more of them: a minibatch may hold none of its samples.
    """
    filled = found.norms > 0
    errors = (1 - found.score[:, 0] ** 2).clip(0, 1) * filled
    sums = (ops.sum_by_index(found.index[:, 0], values, len(usage)) for values in (errors, filled))
    total, count = map(ops.to_host, sums)
    mean = float(total.sum() / max(count.sum(), 1))
    return usage * (total + mean) / (count + 1) * (mean > _EXPLAINED), mean


class Progress(NamedTuple):
    """How far learning has come."""

    annealed: float  # 0 at the first update, 1 when every schedule has reached its end
    epoch: int  # number of the epoch in `fit`, 0 in `partial_fit`
    n_epochs: int  # how many epochs `fit` makes at most
    is_shuffled: bool = False  # whether minibatches are random samples of all rows


class Standstill(NamedTuple):
    """Where learning has come to rest."""

    state: Any
    score: float
    n_idle: int
    n_redundant: int

    def is_acceptable_after(self, before: Standstill, best: float) -> bool:
        """Whether the last relocation may stay: fewer components are idle, or none and nearly as much is explained."""
        if before.state is None:
            return True
        if self.n_idle or before.n_idle:
            return self.n_idle < before.n_idle
        loss = max(before.score - self.score, 0)
        if len(self.state.usage) == 2:
            return loss == 0  # of two components it is not known what all rows have in common
        return loss <= _LOSS_BY_RELOCATION * (1 - before.score) and best - self.score <= LARGEST_LOSS


class CodebookLearner(ClusterMixin, ArrayTransformer):
    """The training loop and the prediction methods that all learners share.

    A learner defines a state, a NamedTuple with at least the fields `components`, `usage`, `inhibition`, `seed` and
    `n_updates` (each becomes an attribute with an underscore at the end of its name), and four hooks:

    - `_initialize_state(X, n_components, rng)`: the state before the first update, computed from the first minibatch,
      independent of the order of its rows;
    - `_compute_statistics(X, state)`: a `Sums` over rows, the only code of an update that reads data (between epochs,
      `relocation` and `pruning` read all rows);
    - `_update(state, sums, progress)`: the next state;
    - `_encode(X, state)`: codes of rows, and which rows share a feature with a component.

    A rule that is sequential by nature overrides `_step` instead of `_compute_statistics` and `_update`. A learner with
    signed codes overrides `_orient_scores`.
    """

    _State: ClassVar[Any]
    _n_batches: ClassVar[int] = _BATCHES  # an epoch makes about so many with batch_size="auto"
    _largest_batch: ClassVar[int] = _LARGEST_BATCH
    _halved: ClassVar[tuple[str, ...]] = ("usage",)  # fields of the state that two units share when one is split
    _smallest_batch: ClassVar[int] = _SMALLEST_BATCH
    _score_name: ClassVar[str] = "explained energy"  # what an epoch's score is
    _lowest_confidence: ClassVar[float] = -1.0  # least value of `reject_below`, whose largest is 1
    _confidence_name: ClassVar[str] = "cosine"
    sparse_output: bool = False  # whether codes are a CSR matrix
    annealing_updates: int = 0  # minibatches until the schedules of a learner reach their ends; none by default

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
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]  # which ClusterMixin has taken away
        return tags

    # -- learning ------------------------------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn a codebook from the rows of `X`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows to learn from; float32 stays float32. A CuPy array or sparse matrix is learned from on its device, and
            what is learned stays there: see `codebooks.to_host`.
        y : ignored
            Present because scikit-learn asks for it.

        Returns
        -------
        self
            With `components_`, `labels_`, `usage_`, `inhibition_`, `n_iter_` and `n_updates_`.

        Raises
        ------
        ValueError
            If `X` is empty, all zeros, or holds NaN or infinity.
        """
        with restore_on_error(self):
            X = self._check(X, reset=True)
            state, self.n_iter_ = self._run_epochs(X, check_random_state(self.random_state))
            observed: list[Any] = []
            self.labels_ = self._find_winners(X, state, observed=observed)
            self._store_state(state._replace(usage=compute_win_shares(self.labels_, state.usage)))
            self._store_summary(X, observed)
        for complaint in self._find_warnings(X):
            warnings.warn(complaint, UserWarning, stacklevel=3)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Any:
        """Learn from one minibatch, beginning a model or carrying one on.

        Calling it with the minibatches of an unshuffled epoch, one after another, gives the codebook that `fit` has
        after that epoch.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            One minibatch; one row is enough. If all its rows are empty, nothing is learned and no schedule advances.
        y : ignored

        Returns
        -------
        self
            `labels_` are those of this minibatch, -1 for empty rows.

        Raises
        ------
        ValueError
            If `X` is what `fit` refuses. The first minibatch needs a row that is not empty, because a model cannot
            begin without one; leave out those before it.
        """
        first = not self.__sklearn_is_fitted__()
        with restore_on_error(self):
            X = self._check(X, reset=first)
            state = self._initialize(X, check_random_state(self.random_state)) if first else self._get_state()
            state, sums = self._partial_step(X, state, epoch=0)
            self._store_state(self._revive_idle(X, state) if self._revives and bool(sums.n_rows) else state)
            self.n_iter_ = 1
            observed: list[Any] = []
            self.labels_ = self._find_winners(X, self._get_state(), observed=observed)
            self._store_summary(X, observed, in_parts=True)
        for complaint in self._find_minibatch_warnings():
            warnings.warn(complaint, UserWarning, stacklevel=3)
        return self

    def _run_epochs(self, X: Any, rng: Any, state: Any = None, *, revive: bool | None = None) -> tuple[Any, int]:
        """The state after as many epochs as it takes, from the given one or a new one, and how many these are."""
        plateau = Plateau(self.tol)
        reporter = Reporter(type(self).__name__, self.max_iter, self.verbose, self._score_name)
        revive = self._revives if revive is None else revive
        before, best, n_rounds = Standstill(None, -math.inf, 0, 0), -math.inf, 0
        for epoch in reporter.epochs():
            state, score, n_idle = self._run_epoch(X, state, epoch, rng, revive)
            reporter.tell(epoch, score, n_idle)
            if self._compute_annealing(state, epoch) < 1 or not plateau(score):
                continue
            labels = self._find_winners(X, state)
            state = state._replace(usage=compute_win_shares(labels, state.usage))
            if not revive:
                break
            n_idle = int(ops.to_host((state.usage == 0).sum()))
            found = [] if n_idle else self._find_redundant(X, state, labels)
            now = Standstill(state, score, n_idle, len(found))
            best, n_rounds = max(best, score), n_rounds + 1
            if not now.is_acceptable_after(before, best):
                if before.n_redundant:
                    # What looked redundant was needed: groups are alike, and the samples explained poorly are none.
                    state = before.state
                    break
                # The last passes revive nothing, so that components which cannot win leave no trace in others.
                revive = False
            elif not n_idle and (not found or n_rounds > _MOST_ROUNDS):
                break
            # The next update revives idle components. Most have learned already, so the next standstill is believed
            # sooner.
            state, before, plateau = self._relocate(X, state, found), now, Plateau(self.tol, patience=2)
        return state, epoch + 1

    def _run_epoch(
        self, X: Any, state: Any, epoch: int, rng: Any, revive: bool | None = None
    ) -> tuple[Any, float, int]:
        """The state after one epoch, the energy explained per row in it, and how many units won nothing in it."""
        revive = self._revives if revive is None else revive
        batches: Any = self._draw_minibatches(X.shape[0], rng)
        if state is None or not ops.is_asynchronous(X):
            return self._run_minibatches(X, state, epoch, batches, rng, revive)
        # Whether a component is idle, or all rows were empty, is asked after every update, and to look for the answer
        # would wait for the device every time. Hardly ever is it so. The epoch is therefore made without looking, and
        # once more if there was anything to see.
        batches = list(batches)
        lowest: list[Any] = []
        hasty = self._run_minibatches(X, state, epoch, batches, rng, False, lowest)
        least_usage, least_rows = ops.to_host(ops.xp(lowest[0]).stack(lowest).min(axis=0))
        if least_rows > 0 and (least_usage >= _compute_idle_threshold(state) or not revive):
            return hasty
        return self._run_minibatches(X, state, epoch, batches, rng, revive)

    def _run_minibatches(
        self, X: Any, state: Any, epoch: int, batches: Any, rng: Any, revive: bool, lowest: list[Any] | None = None
    ) -> tuple[Any, float, int]:
        """As `_run_epoch`, over these minibatches.

        With a list the device is not waited for: empty minibatches are learned from, and the lowest usage after each
        update and its number of rows go into the list.
        """
        epoch_sums = []
        for batch in ops.minibatches(X, batches):
            if state is None:
                if not ops.row_norms(batch).any():
                    continue  # nothing to begin with
                state = self._initialize(batch, rng)
            state, sums = self._partial_step(batch, state, epoch, wait=lowest is None, is_shuffled=self.shuffle)
            if lowest is not None:
                xp = ops.xp(state.usage)
                lowest.append(xp.stack([state.usage.min().astype(xp.float64), sums.n_rows.astype(xp.float64)]))
            if revive and bool(sums.n_rows):
                state = self._revive_idle(batch, state)
            epoch_sums.append(sums._replace(pull=None))
        return state, *summarize_epoch(epoch_sums)

    def _initialize(self, batch: Any, rng: Any) -> Any:
        if isinstance(self.n_components, str):
            n_components = min(10, batch.shape[1])
        else:
            n_components = self.n_components
        return self._initialize_state(batch, n_components, rng)

    def _partial_step(
        self, batch: Any, state: Any, epoch: int, *, wait: bool = True, is_shuffled: bool = False
    ) -> tuple[Any, Sums]:
        """The state after one update, the same one if all rows are empty, and the statistics of the minibatch.

        Without `wait` the device is not asked whether all rows are empty.
        """
        progress = Progress(self._compute_annealing(state, epoch), epoch, self.max_iter, is_shuffled)
        learned, sums = self._step(batch, state, progress)
        return (state if wait and not bool(sums.n_rows) else learned), sums

    def _step(self, X: Any, state: Any, progress: Progress) -> tuple[Any, Sums]:
        """Learn from one minibatch: the statistics of its rows, then an update from their total."""
        sums = self._compute_statistics(X, state)
        return self._update(state, sums, progress), sums

    def _compute_annealing(self, state: Any, epoch: int) -> float:
        """The share of its schedules that a learner has behind it, by the updates that it has made."""
        return min(state.n_updates / self.annealing_updates, 1.0) if self.annealing_updates else 1.0

    def _compute_temperature(self, state: Any, start: float, end: float) -> float:
        """Falls geometrically from `start` to `end`: slowly where differences between scores begin to count."""
        return end * (start / end) ** (1 - self._compute_annealing(state, 0))

    def _draw_minibatches(self, n_rows: int, rng: Any) -> Iterator[Any]:
        """Row numbers of one epoch: shuffled, or slices in the given order."""
        size = self.batch_size
        if isinstance(size, str):
            size = min(max(-(-n_rows // self._n_batches), self._smallest_batch), self._largest_batch)
        return self._split_into_batches(size, n_rows, rng)

    def _split_into_batches(self, size: int, n_rows: int, rng: Any) -> Iterator[Any]:
        """As `_draw_minibatches`, of a given size."""
        starts = range(0, n_rows, size)
        if not self.shuffle:
            yield from (slice(start, min(start + size, n_rows)) for start in starts)
            return
        batch_of = np.empty(n_rows, np.uint16 if len(starts) < 2**16 else np.int64)
        batch_of[rng.permutation(n_rows)] = np.arange(n_rows) // size
        # Inside a minibatch the order does not matter, and rising row numbers are read faster.
        order = np.argsort(batch_of, kind="stable")
        yield from (order[start : start + size] for start in starts)

    def _compute_retention(self, sums: Sums) -> Any:
        """The share of a running mean that survives a minibatch; memory is counted in rows that are not empty."""
        xp = ops.xp(sums.wins)
        memory = xp.maximum(_MEMORY_BATCHES * sums.n_rows, _MEMORY_ROWS * len(sums.wins))
        return (1 - sums.n_rows / memory).astype(sums.wins.dtype)

    def _update_usage_and_inhibition(self, state: Any, sums: Sums, keep: Any) -> tuple[Any, Any]:
        """The next `usage` and `inhibition`, means over the rows that memory holds."""
        xp = ops.xp(sums.wins)
        n_rows = xp.maximum(sums.n_rows, 1).astype(sums.wins.dtype)
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
        """What mean scores are multiplied by to be of the order of the differences between the scores of a row."""
        return compute_unexplained_share(sums)

    @property
    def _inhibition(self) -> str | None:
        """The kind of inhibition in use."""
        return self.inhibition

    @property
    def _revives(self) -> bool:
        """Whether idle units come back."""
        return bool(self.revive)

    def _blend(self, state: Any, pull: Any, keep: Any) -> tuple[Any, Any]:
        """Directions and lengths of the decayed sums; the sums of the past are `mass * components`."""
        pull = ops.xp(pull).asfortranarray(pull)  # as it is read, by the units of one feature
        mass = ops.blend_directions(pull, keep * state.mass, state.components)
        return pull, mass

    def _initialize_usage(self, X: Any, state: Any) -> Any:
        """A first state with the habits of its units: the first ranking needs them, before anything is learned."""
        usage, inhibition = self._update_usage_and_inhibition(
            state, self._compute_statistics(X, state), state.usage.dtype.type(0)
        )
        return state._replace(usage=usage, inhibition=inhibition)

    def _revive_idle(self, X: Any, state: Any) -> Any:
        """The state in which each idle component has taken a part of the samples of a poorly explaining one.

        The samples are those of the minibatch `X`.
        """
        usage = ops.to_host(state.usage)
        idle = np.flatnonzero(usage < _compute_idle_threshold(state))
        if len(idle) == 0:
            return state
        rng = np.random.default_rng([state.seed, state.n_updates])
        found = ops.find_nearest(X, normalize_rows(state.components), state.inhibition, 1)
        errors, mean = _compute_component_errors(found, usage)
        owner = np.where(ops.to_host(found.norms) > 0, ops.to_host(found.index[:, 0]), -1)
        arrays = {name: value for name, value in state._asdict().items() if getattr(value, "ndim", 0) > 0}
        state = state._replace(**{name: value.copy(order="K") for name, value in arrays.items()})
        while pairs := pair_by_error(errors, idle):
            parents, partners = np.array(pairs).T
            place = np.full(len(usage), -1)
            place[parents] = np.arange(len(parents))
            rows = np.flatnonzero((owner >= 0) & (place[owner] >= 0))
            components = state.components
            units = normalize_rows(components[ops.to_device_of(parents, components)])
            noise = ops.to_device_of(rng.standard_normal(units.shape).astype(units.dtype), units)
            numbers = place[owner[rows]]
            n_owned = np.bincount(numbers, minlength=len(pairs))
            directions, widths, side = find_widest_directions(
                ops.view_rows(X, rows), units, ops.to_device_of(numbers, units), noise * units
            )
            for unit, (parent, partner) in enumerate(pairs):
                width = widths[unit] if n_owned[unit] else math.sqrt(mean)
                self._split_component(state, parent, partner, _HALF_WIDTH * width * directions[unit])
            moving = ops.to_host(side) > 0
            owner[rows[moving]] = partners[place[owner[rows[moving]]]]
            errors[parents] /= 2
            errors[partners] = errors[parents]
            idle = idle[len(pairs) :]
        return state

    def _split_component(self, state: Any, parent: int, idle: int, offset: Any) -> None:
        """Let two components stand on either side of the first one, and share what that has, in place."""
        components = state.components
        row = components[parent : parent + 1]
        length = self._compute_lengths(row)
        halves = normalize_rows(normalize_rows(row) + ops.xp(offset).stack([offset, -offset]))
        halves *= (length / self._compute_lengths(halves))[:, None]
        components[idle], components[parent] = halves[0], halves[1]
        state.inhibition[idle] = state.inhibition[parent]
        for name in self._halved:
            field = getattr(state, name)
            field[idle] = field[parent] = field[parent] / 2

    def _compute_lengths(self, components: Any) -> Any:
        """The norm of components that the learner keeps."""
        return ops.row_norms(components)

    def _find_redundant(self, X: Any, state: Any, labels: Any) -> list[Move]:
        """The redundant components, and where each of them is needed more."""
        return find_moves(X, state.components, labels)

    def _relocate(self, X: Any, state: Any, found: list[Move]) -> Any:
        """The state after redundant components have left their likes to these, and stand where they are needed."""
        if not found:
            return state
        shared = tuple(name for name in self._halved if name != "usage")
        fields = {name: getattr(state, name).copy() for name in ("components", "usage", "inhibition", *shared)}
        for move in found:
            for unit, direction in ((move.twin, move.together), (move.unit, move.elsewhere)):
                fields["components"][unit] = direction / self._compute_lengths(direction[None])[0]
            for name in ("usage", *shared):
                fields[name][move.twin] += fields[name][move.unit]
            for name in shared:
                fields[name][move.unit] = 0  # nothing is behind it yet
            fields["usage"][move.unit] = move.n_rows / X.shape[0]
            fields["inhibition"][move.unit] = fields["inhibition"].min()
        return state._replace(**fields)

    # -- reading -------------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Codes of the rows of `X`: one number per unit, the winner's the largest.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray, or CSR matrix with `sparse_output`, of shape (n_samples, n_components)
            In the dtype and on the device of `X`. The code of a row that is empty or shares nothing with any unit is
            zero; a gate of `InhibitedMixture` is then even over all of them.

        Raises
        ------
        ValueError
            If `X` does not fit the model, or `set_output` asks for a table and `sparse_output` is set: tables hold no
            sparse matrix.
        """
        X, state = self._check(X), self._get_state()
        codes = (self._encode(block, state)[0] for block in self._iterate_blocks(X))
        if self.sparse_output:
            return ops.stack_sparse(codes)
        if X.shape[0] <= _BLOCK or ops.is_asynchronous(X):
            return self._encode(X, state)[0]
        # In the same blocks: products of other shapes are rounded otherwise.
        first = next(codes)
        out = np.empty((X.shape[0], first.shape[1]), first.dtype)
        out[: len(first)] = first
        for start, block in zip(range(len(first), len(out), _BLOCK), codes, strict=True):
            out[start : start + _BLOCK] = block
        return out

    def predict(self, X: Any, *, reject_below: float | None = None) -> Any:
        """The index of the unit that wins each row of `X`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        reject_below : float in [-1, 1], optional
            Rows whose cosine with their winning unit lies below are labelled -1.

        Returns
        -------
        ndarray of shape (n_samples,), int64
            -1 for a row that is empty or shares nothing with any unit.

        Raises
        ------
        ValueError
            If `reject_below` is no cosine, or `X` does not fit the model.
        """
        lowest, name = self._lowest_confidence, self._confidence_name
        is_number = isinstance(reject_below, Real) and not isinstance(reject_below, bool)
        if reject_below is not None and not (is_number and lowest <= reject_below <= 1):
            raise ValueError(
                f"reject_below must be a {name}, a number from {lowest:g} to 1, or None; "
                f"{short_repr(reject_below)} came."
            )
        return self._find_winners(self._check(X), self._get_state(), reject_below)

    def confidence(self, X: Any) -> Any:
        """How well the winning component fits each row of `X`: what `reject_below` of `predict` is compared with.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            The cosine of each row with its component; for `MultinomialMixture` the probability that the component has
            written it. 0 for a row without a label.
        """
        X, state = self._check(X), self._get_state()
        found = []
        for block in self._iterate_blocks(X):
            codes, known = self._encode(block, state)
            found.append(
                self._compute_confidence(block, codes, self._orient_scores(codes).argmax(axis=1), state) * known
            )
        return ops.xp(found[0]).concatenate(found)

    def fit_predict(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Learn from `X` and return `labels_`, the winning unit of each row."""
        return self.fit(X, y, **fit_params).labels_

    def inverse_transform(self, X: Any) -> Any:
        """Rows made of codes: `X components_`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_components)
            Codes as `transform` gives them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Dense, of sparse codes too.

        Raises
        ------
        ValueError
            If the codes are not finite numbers, or do not have one column per unit.
        """
        check_is_fitted(self)
        codes = check_codes(self, X, len(self.components_), like=self.components_)
        return codes @ self.components_

    def score(self, X: Any, y: Any = None) -> float:
        """Explained energy per row: the mean squared cosine of a row with the unit nearest to it. Higher is better.

        It does not depend on temperature, inhibition or `n_active`, so settings of these can be compared, on held-out
        rows too. It rises with `n_components`, as every reconstruction does: choose their number by other means, for
        instance `codebooks.metrics.npmi_scorer`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float in [0, 1]
            Empty rows are left out; 0 when there are no others.
        """
        return self._compute_explained_energy(self._check(X), self.components_)

    def _compute_explained_energy(self, X: Any, components: Any) -> float:
        """`score` of these components."""
        units = normalize_rows(components)
        energy, n_rows = 0.0, 0
        for block in self._iterate_blocks(X):
            cosines, norms = compute_cosines(block, units)
            energy += float(ops.to_host((self._orient_scores(cosines).max(axis=1).clip(0, None) ** 2).sum()))
            n_rows += int(ops.to_host((norms > 0).sum()))
        return energy / max(n_rows, 1)

    def _find_winners(
        self, X: Any, state: Any, reject_below: float | None = None, observed: list[Any] | None = None
    ) -> Any:
        """Return the winning component of each row, -1 for none.

        `observed`, a list, receives what `_summarize_codes` returns for each block of rows.
        """
        labels = []
        for block in self._iterate_blocks(X):
            codes, known = self._encode(block, state)
            winners = self._orient_scores(codes).argmax(axis=1)
            if observed is not None:
                observed.append(self._summarize_codes(block, codes))
            if reject_below is not None:
                known &= self._compute_confidence(block, codes, winners, state) >= reject_below
            winners[~known] = -1
            labels.append(winners)
        return ops.xp(labels[0]).concatenate(labels)

    def _compute_confidence(self, X: Any, codes: Any, winners: Any, state: Any) -> Any:
        """How well the winner of each row fits it: what `reject_below` is compared with."""
        cosines = self._orient_scores(compute_cosines(X, normalize_rows(state.components))[0])
        return ops.xp(winners).take_along_axis(cosines, winners[:, None], axis=1)[:, 0]

    def _get_directions(self, state: Any) -> Any:
        """What the dot product with a row is its score."""
        return state.components

    def _orient_scores(self, scores: Any) -> Any:
        """How strongly scores or codes speak for their units: the winner is where this is largest."""
        return scores

    def _iterate_blocks(self, X: Any) -> Iterator[Any]:
        """Slices of rows, where the codes of all of them need not be held at once."""
        for start in range(0, X.shape[0], _BLOCK):
            yield ops.take_rows(X, slice(start, min(start + _BLOCK, X.shape[0])))

    # -- state ---------------------------------------------------------------------------------------------------

    def _get_state(self) -> Any:
        return self._State(*(getattr(self, field + "_") for field in self._State._fields))

    def _store_state(self, state: Any) -> None:
        for field, value in state._asdict().items():
            setattr(self, field + "_", value)

    def _summarize_codes(self, X: Any, codes: Any) -> Any:
        """What a learner reads off the codes of a block of the rows last learned from, for `_store_summary`."""

    def _store_summary(self, X: Any, observed: list[Any], *, in_parts: bool = False) -> None:
        """Set further attributes by what was observed of the blocks of `X`, a minibatch of several if `in_parts`."""

    def _find_minibatch_warnings(self) -> Iterator[str]:
        """Yield what the user should be warned of after `partial_fit`, and can act on."""
        yield from ()

    def _find_warnings(self, X: Any) -> Iterator[str]:
        """What the user should be warned of after `fit`, and can act on."""
        usage = ops.to_host(self.usage_)
        idle = np.flatnonzero(usage == 0)
        if len(idle) > 0:
            named = ", ".join(map(str, idle[:10])) + (", ..." if len(idle) > 10 else "")
            advice = self._advise_on_idle(X, len(usage) - len(idle))
            yield f"{len(idle)} of {len(usage)} components win no sample: {named}. {advice}"

    def _advise_on_idle(self, X: Any, n_used: int) -> str:
        """What to do about components that win nothing."""
        if 1 - self.score(X) < _EXPLAINED:
            return f"The others explain all samples, so n_components={n_used} is enough."
        if not self._revives:
            return "Set revive=True to relocate them to samples that are explained poorly."
        if self.n_iter_ >= self.max_iter:
            return f"Learning ended before it converged: raise max_iter, which is {self.max_iter}."
        remedies = "Another random_state or a smaller batch_size may find samples for them"
        if self._inhibition is not None:
            remedies += ", and so may inhibition=None"
        return f"{remedies}. If the score stays the same, n_components={n_used} is enough."
