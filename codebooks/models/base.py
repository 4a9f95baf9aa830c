"""What every estimator shares: the door, the tags, the training loop and the reading of codes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils._param_validation import Interval as AnyInterval
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from codebooks import ops
from codebooks.errors import short_repr, shorten_errors
from codebooks.inputs import check_codes, check_input, unharmed
from codebooks.models.monitor import Plateau, Reporter
from codebooks.models.relocation import Move, moves, paired_by_error, widest_directions
from codebooks.models.rows import cosine_scores, unit_rows
from codebooks.models.sums import Sums, explained, gates, shares, tally, unexplained

__all__ = [
    "LARGEST_LOSS",
    "ArrayTransformer",
    "CodebookLearner",
    "Interval",
    "OneToOneFeatureMixin",
    "Progress",
    "StrOptions",
    "Sums",
    "check_random_state",
    "cosine_scores",
    "fit_context",
    "gates",
    "row_blocks",
    "tally",
    "unexplained",
    "unit_rows",
]

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


fit_context = _fit_context


class Interval(AnyInterval):
    """A range of numbers, of which True and False are none."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value lies in the range."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


def row_blocks(X: Any, row_bytes: int) -> Iterator[slice]:
    """Slices of the rows of `X` of which each needs so many bytes, within scikit-learn's `working_memory`."""
    memory = int(min(get_config()["working_memory"] * 2**20, ops.block_bytes(X)))
    if X.shape[0]:
        yield from gen_batches(X.shape[0], max(1, memory // max(row_bytes, 1)))


def _least_usage(state: Any) -> float:
    """The share of wins below which a unit counts as idle."""
    return _IDLE / len(state.usage)


def _errors(found: ops.Nearest, usage: np.ndarray) -> tuple[np.ndarray, float]:
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

    def is_no_worse_than(self, before: Standstill, best: float) -> bool:
        """Whether the last relocation may stay: fewer components are idle, or none and nearly as much is explained."""
        if before.state is None:
            return True
        if self.n_idle or before.n_idle:
            return self.n_idle < before.n_idle
        loss = max(before.score - self.score, 0)
        if len(self.state.usage) == 2:
            return loss == 0  # of two components it is not known what all rows have in common
        return loss <= _LOSS_BY_RELOCATION * (1 - before.score) and best - self.score <= LARGEST_LOSS


class ArrayTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A transformer of arrays: one door, sparse input, dtype preserved, names for its output, host pickles."""

    def _check(self, X: Any, *, reset: bool = False) -> Any:
        if not reset:
            check_is_fitted(self)
        return check_input(self, X, reset=reset, like=None if reset else self._something_learned())

    def _validate_params(self) -> None:
        with shorten_errors():
            super()._validate_params()

    def _something_learned(self) -> Any:
        """An array that shows on which device this has learned."""
        return next(filter(ops.is_on_gpu, vars(self).values()), np.empty(0))

    def _check_fitted(self) -> None:
        check_is_fitted(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return {name: ops.to_host(value) for name, value in super().__getstate__().items()}

    def __sklearn_is_fitted__(self) -> bool:
        return "components_" in vars(self)

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])


class CodebookLearner(ClusterMixin, ArrayTransformer):
    """The loop that all learners share; it knows none of them.

    A learner brings a state, a NamedTuple with at least the fields `components`, `usage`, `inhibition`, `seed` and
    `n_updates` (each becomes an attribute with an underscore behind its name), and four hooks:

    - `_start(X, n_components, rng)`: the first state, from the first minibatch, whatever the order of its rows;
    - `_statistics(X, state)`: a `Sums` over rows; the only code that touches data in an update (between passes, `twins`
      and `pruning` look at all rows);
    - `_update(state, sums, progress)`: the next state;
    - `_encode(X, state)`: codes of rows, and which rows share something with a unit.

    A rule that is sequential by nature overrides `_learn` instead of the middle two. A learner whose codes are signed
    overrides `_strength`.
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

    @_fit_context(prefer_skip_nested_validation=True)
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
        with unharmed(self):
            X = self._check(X, reset=True)
            state, self.n_iter_ = self._learned(X, check_random_state(self.random_state))
            observed: list[Any] = []
            self.labels_ = self._winners(X, state, observed=observed)
            self._publish(state._replace(usage=shares(self.labels_, state.usage)))
            self._describe(X, observed)
        for complaint in self._complaints(X):
            warnings.warn(complaint, UserWarning, stacklevel=3)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
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
        with unharmed(self):
            X = self._check(X, reset=first)
            state = self._begin(X, check_random_state(self.random_state)) if first else self._state()
            state, sums = self._updated(X, state, epoch=0)
            self._publish(self._revived(X, state) if self._revives and bool(sums.n_rows) else state)
            self.n_iter_ = 1
            observed: list[Any] = []
            self.labels_ = self._winners(X, self._state(), observed=observed)
            self._describe(X, observed, in_parts=True)
        for complaint in self._complaints_of_minibatch():
            warnings.warn(complaint, UserWarning, stacklevel=3)
        return self

    def _learned(self, X: Any, rng: Any, state: Any = None, *, revive: bool | None = None) -> tuple[Any, int]:
        """The state after as many epochs as it takes, from the given one or a new one, and how many these are."""
        plateau = Plateau(self.tol)
        reporter = Reporter(type(self).__name__, self.max_iter, self.verbose, self._score_name)
        revive = self._revives if revive is None else revive
        before, best, n_rounds = Standstill(None, -math.inf, 0, 0), -math.inf, 0
        for epoch in reporter.epochs():
            state, score, n_idle = self._pass(X, state, epoch, rng, revive)
            reporter.tell(epoch, score, n_idle)
            if self._annealed(state, epoch) < 1 or not plateau(score):
                continue
            labels = self._winners(X, state)
            state = state._replace(usage=shares(labels, state.usage))
            if not revive:
                break
            n_idle = int(ops.to_host((state.usage == 0).sum()))
            found = [] if n_idle else self._redundant(X, state, labels)
            now = Standstill(state, score, n_idle, len(found))
            best, n_rounds = max(best, score), n_rounds + 1
            if not now.is_no_worse_than(before, best):
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
            state, before, plateau = self._relocated(X, state, found), now, Plateau(self.tol, patience=2)
        return state, epoch + 1

    def _pass(self, X: Any, state: Any, epoch: int, rng: Any, revive: bool | None = None) -> tuple[Any, float, int]:
        """The state after one epoch, the energy explained per row in it, and how many units won nothing in it."""
        revive = self._revives if revive is None else revive
        batches: Any = self._minibatches(X.shape[0], rng)
        if state is None or not ops.runs_ahead(X):
            return self._visited(X, state, epoch, batches, rng, revive)
        # Whether a component is idle, or all rows were empty, is asked after every update, and to look for the answer
        # would wait for the device every time. Hardly ever is it so. The epoch is therefore made without looking, and
        # once more if there was anything to see.
        batches = list(batches)
        lowest: list[Any] = []
        hasty = self._visited(X, state, epoch, batches, rng, False, lowest)
        least_usage, least_rows = ops.to_host(ops.xp(lowest[0]).stack(lowest).min(axis=0))
        if least_rows > 0 and (least_usage >= _least_usage(state) or not revive):
            return hasty
        return self._visited(X, state, epoch, batches, rng, revive)

    def _visited(
        self, X: Any, state: Any, epoch: int, batches: Any, rng: Any, revive: bool, lowest: list[Any] | None = None
    ) -> tuple[Any, float, int]:
        """As `_pass`, over these minibatches.

        With a list the device is not waited for: empty minibatches are learned from, and the lowest usage after each
        update and its number of rows go into the list.
        """
        epoch_sums = []
        for batch in ops.minibatches(X, batches):
            if state is None:
                if not ops.row_norms(batch).any():
                    continue  # nothing to begin with
                state = self._begin(batch, rng)
            state, sums = self._updated(batch, state, epoch, wait=lowest is None, is_shuffled=self.shuffle)
            if lowest is not None:
                xp = ops.xp(state.usage)
                lowest.append(xp.stack([state.usage.min().astype(xp.float64), sums.n_rows.astype(xp.float64)]))
            if revive and bool(sums.n_rows):
                state = self._revived(batch, state)
            epoch_sums.append(sums._replace(pull=None))
        return state, *explained(epoch_sums)

    def _begin(self, batch: Any, rng: Any) -> Any:
        if isinstance(self.n_components, str):
            n_components = min(10, batch.shape[1])
        else:
            n_components = self.n_components
        return self._start(batch, n_components, rng)

    def _updated(
        self, batch: Any, state: Any, epoch: int, *, wait: bool = True, is_shuffled: bool = False
    ) -> tuple[Any, Sums]:
        """The state after one update, the same one if all rows are empty, and the statistics of the minibatch.

        Without `wait` the device is not asked whether all rows are empty.
        """
        progress = Progress(self._annealed(state, epoch), epoch, self.max_iter, is_shuffled)
        learned, sums = self._learn(batch, state, progress)
        return (state if wait and not bool(sums.n_rows) else learned), sums

    def _learn(self, X: Any, state: Any, progress: Progress) -> tuple[Any, Sums]:
        """Learn from one minibatch: the statistics of its rows, then an update from their total."""
        sums = self._statistics(X, state)
        return self._update(state, sums, progress), sums

    def _annealed(self, state: Any, epoch: int) -> float:
        """The share of its schedules that a learner has behind it, by the updates that it has made."""
        return min(state.n_updates / self.annealing_updates, 1.0) if self.annealing_updates else 1.0

    def _temperature(self, state: Any, start: float, end: float) -> float:
        """Falls geometrically from `start` to `end`: slowly where differences between scores begin to count."""
        return end * (start / end) ** (1 - self._annealed(state, 0))

    def _minibatches(self, n_rows: int, rng: Any) -> Iterator[Any]:
        """Row numbers of one epoch: shuffled, or slices in the given order."""
        size = self.batch_size
        if isinstance(size, str):
            size = min(max(-(-n_rows // self._n_batches), self._smallest_batch), self._largest_batch)
        return self._batches_of(size, n_rows, rng)

    def _batches_of(self, size: int, n_rows: int, rng: Any) -> Iterator[Any]:
        """As `_minibatches`, of a given size."""
        starts = range(0, n_rows, size)
        if not self.shuffle:
            yield from (slice(start, min(start + size, n_rows)) for start in starts)
            return
        batch_of = np.empty(n_rows, np.uint16 if len(starts) < 2**16 else np.int64)
        batch_of[rng.permutation(n_rows)] = np.arange(n_rows) // size
        # Inside a minibatch the order does not matter, and rising row numbers are read faster.
        order = np.argsort(batch_of, kind="stable")
        yield from (order[start : start + size] for start in starts)

    def _keep(self, sums: Sums) -> Any:
        """The share of a running mean that survives a minibatch; memory is counted in rows that are not empty."""
        xp = ops.xp(sums.wins)
        memory = xp.maximum(_MEMORY_BATCHES * sums.n_rows, _MEMORY_ROWS * len(sums.wins))
        return (1 - sums.n_rows / memory).astype(sums.wins.dtype)

    def _habits(self, state: Any, sums: Sums, keep: Any) -> tuple[Any, Any]:
        """The next `usage` and `inhibition`, means over the rows that memory holds."""
        xp = ops.xp(sums.wins)
        n_rows = xp.maximum(sums.n_rows, 1).astype(sums.wins.dtype)
        shares, fade = sums.wins / n_rows, 1 - keep
        usage = keep * state.usage + fade * shares
        if self._inhibition == "mean":
            strength = self.inhibition_strength * self._contrast(sums)
            inhibition = keep * state.inhibition + fade * strength * sums.scores / n_rows
        elif self._inhibition == "load":
            inhibition = state.inhibition + self.inhibition_strength * _LOAD_GAIN * (shares - 1 / len(shares))
        else:
            inhibition = state.inhibition
        return usage, inhibition

    def _contrast(self, sums: Sums) -> Any:
        """What mean scores are multiplied by to be of the order of the differences between the scores of a row."""
        return unexplained(sums)

    @property
    def _inhibition(self) -> str | None:
        """The kind of inhibition in use."""
        return self.inhibition

    @property
    def _revives(self) -> bool:
        """Whether idle units come back."""
        return bool(self.revive)

    def _blended(self, state: Any, pull: Any, keep: Any) -> tuple[Any, Any]:
        """Directions and lengths of the decayed sums; the sums of the past are `mass * components`."""
        pull = ops.xp(pull).asfortranarray(pull)  # as it is read, by the units of one feature
        mass = ops.blend_directions(pull, keep * state.mass, state.components)
        return pull, mass

    def _accustomed(self, X: Any, state: Any) -> Any:
        """A first state with the habits of its units: the first ranking needs them, before anything is learned."""
        usage, inhibition = self._habits(state, self._statistics(X, state), state.usage.dtype.type(0))
        return state._replace(usage=usage, inhibition=inhibition)

    def _revived(self, X: Any, state: Any) -> Any:
        """The state in which each idle component has taken a part of the samples of a poorly explaining one.

        The samples are those of the minibatch `X`.
        """
        usage = ops.to_host(state.usage)
        idle = np.flatnonzero(usage < _least_usage(state))
        if len(idle) == 0:
            return state
        rng = np.random.default_rng([state.seed, state.n_updates])
        found = ops.nearest(X, unit_rows(state.components), state.inhibition, 1)
        errors, mean = _errors(found, usage)
        owner = np.where(ops.to_host(found.norms) > 0, ops.to_host(found.index[:, 0]), -1)
        arrays = {name: value for name, value in state._asdict().items() if getattr(value, "ndim", 0) > 0}
        state = state._replace(**{name: value.copy(order="K") for name, value in arrays.items()})
        while pairs := paired_by_error(errors, idle):
            parents, partners = np.array(pairs).T
            place = np.full(len(usage), -1)
            place[parents] = np.arange(len(parents))
            rows = np.flatnonzero((owner >= 0) & (place[owner] >= 0))
            components = state.components
            units = unit_rows(components[ops.to_device_of(parents, components)])
            noise = ops.to_device_of(rng.standard_normal(units.shape).astype(units.dtype), units)
            numbers = place[owner[rows]]
            n_owned = np.bincount(numbers, minlength=len(pairs))
            directions, widths, side = widest_directions(
                ops.view_rows(X, rows), units, ops.to_device_of(numbers, units), noise * units
            )
            for unit, (parent, partner) in enumerate(pairs):
                width = widths[unit] if n_owned[unit] else math.sqrt(mean)
                self._split(state, parent, partner, _HALF_WIDTH * width * directions[unit])
            moving = ops.to_host(side) > 0
            owner[rows[moving]] = partners[place[owner[rows[moving]]]]
            errors[parents] /= 2
            errors[partners] = errors[parents]
            idle = idle[len(pairs) :]
        return state

    def _split(self, state: Any, parent: int, idle: int, offset: Any) -> None:
        """Let two components stand on either side of the first one, and share what that has, in place."""
        components = state.components
        row = components[parent : parent + 1]
        length = self._lengths(row)
        halves = unit_rows(unit_rows(row) + ops.xp(offset).stack([offset, -offset]))
        halves *= (length / self._lengths(halves))[:, None]
        components[idle], components[parent] = halves[0], halves[1]
        state.inhibition[idle] = state.inhibition[parent]
        for name in self._halved:
            field = getattr(state, name)
            field[idle] = field[parent] = field[parent] / 2

    def _lengths(self, components: Any) -> Any:
        """The norm of components that the learner keeps."""
        return ops.row_norms(components)

    def _redundant(self, X: Any, state: Any, labels: Any) -> list[Move]:
        """The redundant components, and where each of them is needed more."""
        return moves(X, state.components, labels)

    def _relocated(self, X: Any, state: Any, found: list[Move]) -> Any:
        """The state after redundant components have left their likes to these, and stand where they are needed."""
        if not found:
            return state
        shared = tuple(name for name in self._halved if name != "usage")
        fields = {name: getattr(state, name).copy() for name in ("components", "usage", "inhibition", *shared)}
        for move in found:
            for unit, direction in ((move.twin, move.together), (move.unit, move.elsewhere)):
                fields["components"][unit] = direction / self._lengths(direction[None])[0]
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
        X, state = self._check(X), self._state()
        codes = (self._encode(block, state)[0] for block in self._blocks(X))
        if self.sparse_output:
            return ops.stack_sparse(codes)
        if X.shape[0] <= _BLOCK or ops.runs_ahead(X):
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
        return self._winners(self._check(X), self._state(), reject_below)

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
        X, state = self._check(X), self._state()
        found = []
        for block in self._blocks(X):
            codes, known = self._encode(block, state)
            found.append(self._confide(block, codes, self._strength(codes).argmax(axis=1), state) * known)
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
        instance `codebooks.scores.npmi_scorer`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float in [0, 1]
            Empty rows are left out; 0 when there are no others.
        """
        return self._explained_energy(self._check(X), self.components_)

    def _explained_energy(self, X: Any, components: Any) -> float:
        """`score` of these components."""
        units = unit_rows(components)
        energy, n_rows = 0.0, 0
        for block in self._blocks(X):
            cosines, norms = cosine_scores(block, units)
            energy += float(ops.to_host((self._strength(cosines).max(axis=1).clip(0, None) ** 2).sum()))
            n_rows += int(ops.to_host((norms > 0).sum()))
        return energy / max(n_rows, 1)

    def _winners(self, X: Any, state: Any, reject_below: float | None = None, observed: list[Any] | None = None) -> Any:
        """The unit that wins each row, -1 for none; `observed` collects what `_observe` returns for blocks of rows."""
        labels = []
        for block in self._blocks(X):
            codes, known = self._encode(block, state)
            winners = self._strength(codes).argmax(axis=1)
            if observed is not None:
                observed.append(self._observe(block, codes))
            if reject_below is not None:
                known &= self._confide(block, codes, winners, state) >= reject_below
            winners[~known] = -1
            labels.append(winners)
        return ops.xp(labels[0]).concatenate(labels)

    def _confide(self, X: Any, codes: Any, winners: Any, state: Any) -> Any:
        """How well the winner of each row fits it: what `reject_below` is compared with."""
        cosines = self._strength(cosine_scores(X, unit_rows(state.components))[0])
        return ops.xp(winners).take_along_axis(cosines, winners[:, None], axis=1)[:, 0]

    def _directions(self, state: Any) -> Any:
        """What the dot product with a row is its score."""
        return state.components

    def _strength(self, scores: Any) -> Any:
        """How strongly scores or codes speak for their units: the winner is where this is largest."""
        return scores

    def _blocks(self, X: Any) -> Iterator[Any]:
        """Slices of rows, where the codes of all of them need not be held at once."""
        for start in range(0, X.shape[0], _BLOCK):
            yield ops.take_rows(X, slice(start, min(start + _BLOCK, X.shape[0])))

    # -- state ---------------------------------------------------------------------------------------------------

    def _state(self) -> Any:
        return self._State(*(getattr(self, field + "_") for field in self._State._fields))

    def _publish(self, state: Any) -> None:
        for field, value in state._asdict().items():
            setattr(self, field + "_", value)

    def _observe(self, X: Any, codes: Any) -> Any:
        """What a learner reads off the codes of a block of the rows last learned from, for `_describe`."""

    def _describe(self, X: Any, observed: list[Any], *, in_parts: bool = False) -> None:
        """Set further attributes by what was observed of the blocks of `X`, a minibatch of several if `in_parts`."""

    def _complaints_of_minibatch(self) -> Iterator[str]:
        """Yield what the user should be warned of after `partial_fit`, and can act on."""
        yield from ()

    def _complaints(self, X: Any) -> Iterator[str]:
        """What the user should be warned of after `fit`, and can act on."""
        usage = ops.to_host(self.usage_)
        idle = np.flatnonzero(usage == 0)
        if len(idle) > 0:
            named = ", ".join(map(str, idle[:10])) + (", ..." if len(idle) > 10 else "")
            advice = self._advice_for_idle(X, len(usage) - len(idle))
            yield f"{len(idle)} of {len(usage)} components win no sample: {named}. {advice}"

    def _advice_for_idle(self, X: Any, n_used: int) -> str:
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
