"""A mixture of experts that share each row by softmax, and hold back those that always speak first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.base import Interval
from codebooks.models.base import CodebookLearner, Progress
from codebooks.models.cosine import compute_cosines
from codebooks.models.initialization import initialize_directions
from codebooks.models.statistics import Sums, compute_gates, compute_unexplained_share, sum_statistics

# Updates from one leaning to the next: more frequent leaning gives no better topics.
_LEANING = 4
# The eigenproblem of a leaning grows with the third power of its order, and an update does not. Above this order,
# leanings are this number of rows for each dimension apart, but never more than this number of updates.
_LARGE_ORDER = 200
_ROWS_PER_DIMENSION = 20
_LONGEST_LEANING = 20
# Where rows are explained better than this, gates are as sharp as if they were not.
_LEAST_UNEXPLAINED = 1e-3
# Gates carry no information when they are even, and no more than labels when they are whole. Both are judged by how far
# the mean of the largest gates has come from what is even among the active experts, 0, to 1. At the defaults that is
# 0.5 at least on text, images, counts and embeddings.
_EVEN, _WHOLE, _SHARP = 0.2, 0.99, 0.05
# Minibatches together have to have so many rows before they are judged; their diagnostics go back so many rows; and a
# temperature is found on so many rows.
_FEWEST_ROWS, _DESCRIBED_ROWS, _SAMPLED_ROWS = 50, 1000, 1000
# The share of the largest entropy that the temperature advised gives.
_BALANCED = 0.5


class State(NamedTuple):
    """What the experts know after `n_updates` minibatches."""

    components: Any  # (n_components, n_features) directions of length 1
    mass: Any  # (n_components,) lengths of the decayed sums behind them
    usage: Any  # (n_components,) share of rows won, a running mean
    inhibition: Any  # (n_components,) what is taken off an expert's score before the gate
    unexplained: Any  # () share of a row's energy that its winner leaves unexplained, a running mean
    seed: int  # of every random draw after the start
    n_updates: int


class InhibitedMixture(CodebookLearner):
    r"""Experts that share each row: soft topics, of which none dies.

    For a row :math:`x` of length 1 expert k, a direction :math:`W_k` of length 1, scores :math:`s_k = W_k x`. The
    `n_active` experts with the largest :math:`s_k - \mu_k` take shares

    .. math:: g_k = \frac{\exp((s_k - \mu_k) / T)}{\sum_j \exp((s_j - \mu_j) / T)},

    where :math:`\mu_k` (`inhibition_`), a running mean of the expert's own scores, holds back those that speak to
    everything [1]_. Learning climbs :math:`\sum_x T \log \sum_k \exp((s_k - \mu_k) / T)`, the negative free energy,
    whose best directions for given shares are :math:`W_k \propto \sum_x g_k x`: no gradient, no learning rate. Sums
    decay over minibatches. After every fourth, experts lean towards the nearest orthonormal set by `orthogonality`
    (less often, down to every twentieth, where both dimensions of the codebook exceed 200), and meanwhile :math:`T`
    falls geometrically from `start_temperature` [2]_: while it is high every row counts for several experts, which
    finds better optima than deciding at once.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of experts; "auto" is min(10, n_features).
    n_active : int or None, default=3
        Experts that may share one row, in learning and in its gates; None lets all.
    temperature : float, default=0.05
        The divisor T at the end of learning and in `transform`, in units of `unexplained_`: differences between scores
        shrink as rows are explained better, so one number serves text, images and embeddings. Raise it for softer
        gates; at 1 shares are almost even.
    start_temperature : float, default=0.5
        T at the first update, itself.
    annealing_updates : int, default=20
        Minibatches until T has come down, in `fit` and in `partial_fit`; 0 begins with `temperature`. A `max_iter` that
        allows fewer ends learning while it is warm.
    orthogonality : float in [0, 1], default=0.5
        How far experts lean towards the nearest orthonormal set each time, in units of `unexplained_`: 0 not at all, 1
        all the way. More gives topics with fewer words in common.
    inhibition : {"mean", "load"} or None, default="mean"
        What is subtracted from the score of an expert before the gate: "mean" a part of its running mean score, "load"
        a bias that grows while it wins more than an even share. It is kept at prediction.
    inhibition_strength : float in [0, 1], default=0.5
        The part of it that is subtracted. For "mean" it is multiplied by the mean unexplained energy of the rows, since
        differences between scores shrink with that. Lower it where groups differ much in size.
    revive : bool, default=True
        Whether an expert that wins nothing takes a part of the samples of one that explains its samples poorly, and one
        of two redundant experts moves to samples that are explained poorly.
    max_iter : int, default=50
        Passes over the rows at most.
    batch_size : int or "auto", default="auto"
        Rows per update; "auto" is a quarter of the rows, but at least 1,000 and at most 10,000.
    shuffle : bool, default=True
        Whether each pass visits the rows in a new order.
    tol : float, default=1e-3
        Once T has come down, learning stops when the explained energy has not risen by this share for three passes.
    sparse_output : bool, default=False
        Whether `transform` returns a CSR matrix. The gates are the same; use it for many components and a small
        `n_active`.
    random_state : int, RandomState or None, default=None
        Seed of the start, the order of rows and revival.
    verbose : int, default=0
        1 prints a line per pass, 2 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Experts, one a row, of length 1.
    labels_ : ndarray of shape (n_samples,), int64
        The expert with the largest share of each row last learned from; -1 for empty rows.
    usage_ : ndarray of shape (n_components,)
        Share of rows won.
    inhibition_ : ndarray of shape (n_components,)
        What is taken off each expert's score.
    load_ : ndarray of shape (n_components,)
        Mean gate of each expert over the rows that `fit` saw, or over the last 1,000 that `partial_fit` saw (at least
        the last minibatch); sums to 1. Empty rows do not count.
    max_violation_ : float
        How far the heaviest load lies above an even one, in even loads: 0 is perfect balance ("MaxVio" in [3]_).
    gate_entropy_ : float in [0, 1]
        Mean entropy of the gates of these rows over the largest that `n_active` experts could have: 1 is even, 0 is
        whole.
    unexplained_ : ndarray of shape ()
        Mean of one less the squared cosine of a row with its winner, over recent rows.
    mass_ : ndarray of shape (n_components,)
        Lengths of the decayed sums, with which `partial_fit` carries on.
    n_iter_, n_updates_ : int
        Passes made and minibatches seen.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, where the input had names

    Warns
    -----
    UserWarning
        When the gates are even (the mean largest gate has come less than 0.2 of the way from an even one to 1): the
        codes say no more than a constant. Or when, at a temperature below 0.05, they give each row to one expert (it
        has come more than 0.99 of the way): the codes say no more than labels. The warning names a temperature at which
        the gates of the experts found have half of the largest entropy. After `partial_fit` it comes once, when the
        temperature has come down and 50 rows were seen.

    References
    ----------
    .. [1] K. Chen, O. Chen, A. Ragni, M. Gales, "Active memory networks for language modeling", Interspeech 2018,
       3338-3342, on annealed gates; the running mean that inhibits is from a blog post on topic models without names.
    .. [2] K. Rose, "Deterministic annealing for clustering, compression, classification, regression, and related
       optimization problems", Proceedings of the IEEE 86 (1998), 2210-2239.
    .. [3] L. Wang et al., "Auxiliary-loss-free load balancing strategy for mixture-of-experts", arXiv 2408.15664, 2024.

    Examples
    --------
    >>> from codebooks import InhibitedMixture
    >>> X = [[3, 1, 0, 0], [2, 1, 0, 0], [0, 0, 1, 2], [0, 0, 1, 3], [1, 1, 1, 1]]
    >>> gates = InhibitedMixture(2, temperature=0.2, random_state=0).fit_transform(X)
    >>> gates.sum(axis=1).round(6).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    >>> bool(gates[:4].max(axis=1).min() > 0.9 > gates[4].max())
    True
    """

    _State = State
    _halved = ("usage", "mass")
    _n_gates: float  # rows that the diagnostics are of
    _largest_gate: float  # their mean largest gate
    _collapse: str  # "", "even" or "whole", of which the user was warned last
    _newly_collapsed: bool
    _advised: float | None  # a better temperature
    load_: Any
    gate_entropy_: float
    _parameter_constraints: ClassVar[dict] = {
        **CodebookLearner._parameter_constraints,
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "start_temperature": [Interval(Real, 0, None, closed="neither")],
        "annealing_updates": [Interval(Integral, 0, None, closed="left")],
        "orthogonality": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        n_components: int | Literal["auto"] = "auto",
        *,
        n_active: int | None = 3,
        temperature: float = 0.05,
        start_temperature: float = 0.5,
        annealing_updates: int = 20,
        orthogonality: float = 0.5,
        inhibition: Literal["mean", "load"] | None = "mean",
        inhibition_strength: float = 0.5,
        revive: bool = True,
        max_iter: int = 50,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        tol: float = 1e-3,
        sparse_output: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_active = n_active
        self.temperature = temperature
        self.start_temperature = start_temperature
        self.annealing_updates = annealing_updates
        self.orthogonality = orthogonality
        self.inhibition = inhibition
        self.inhibition_strength = inhibition_strength
        self.revive = revive
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.tol = tol
        self.sparse_output = sparse_output
        self.random_state = random_state
        self.verbose = verbose

    # -- the four hooks ------------------------------------------------------------------------------------------

    def _initialize_state(self, X: Any, n_components: int, rng: Any) -> State:
        experts = initialize_directions(X, n_components, rng)
        xp = ops.xp(experts)
        none, even = xp.zeros(n_components, X.dtype), xp.full(n_components, 1 / n_components, X.dtype)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        return self._initialize_usage(X, State(experts, none, even, none, xp.ones((), X.dtype), seed, 0))

    def _compute_statistics(self, X: Any, state: State) -> Sums:
        n_active = self._n_active(state)
        found = ops.find_nearest(X, state.components, state.inhibition, n_active)
        temperature = self._compute_temperature(state, self.start_temperature, self._compute_final_temperature(state))
        share = compute_gates(found, state.inhibition, temperature, n_active) * ops.reciprocal(found.norms)[:, None]
        pull = ops.xp(share).zeros(state.components.shape, share.dtype)  # row by row, as it is written
        return sum_statistics(found, ops.scatter_rows(pull, found.index, share, X))

    def _update(self, state: State, sums: Sums, progress: Progress) -> State:
        keep = self._compute_retention(sums)
        components, mass = self._blend(state, sums.pull, keep)
        if self._is_orthogonalizing(state, sums):
            components = ops.orthogonalize_partially(components, self.orthogonality * state.unexplained)
        usage, inhibition = self._update_usage_and_inhibition(state, sums, keep)
        rest = keep * state.unexplained + (1 - keep) * compute_unexplained_share(sums)
        return State(components, mass, usage, inhibition, rest, state.seed, state.n_updates + 1)

    def _initialize_usage(self, X: Any, state: State) -> State:
        state = super()._initialize_usage(X, state)
        return state._replace(unexplained=compute_unexplained_share(self._compute_statistics(X, state)))

    def _compute_final_temperature(self, state: State) -> Any:
        """The divisor of scores once learning is no longer warm."""
        return self.temperature * ops.xp(state.unexplained).maximum(state.unexplained, _LEAST_UNEXPLAINED)

    def _is_orthogonalizing(self, state: State, sums: Sums) -> bool:
        """Whether the experts lean towards the nearest orthonormal set after this update."""
        n_updates, order = state.n_updates + 1, min(state.components.shape)
        if self.orthogonality == 0 or n_updates % _LEANING != 0:
            return False
        if order <= _LARGE_ORDER:
            return True
        n_rows = max(int(ops.to_host(sums.n_rows)), 1)  # the eigenproblem waits for the device as well
        period = min(_ROWS_PER_DIMENSION * order / n_rows, _LONGEST_LEANING)
        return n_updates % (_LEANING * math.ceil(period / _LEANING)) == 0

    def _encode(self, X: Any, state: State) -> tuple[Any, Any]:
        scores, _ = compute_cosines(X, state.components)
        xp = ops.xp(scores)
        known = scores.any(axis=1)
        scores -= state.inhibition
        temperature, n_active = xp.asarray(self._compute_final_temperature(state), scores.dtype), self._n_active(state)
        if n_active < scores.shape[1]:
            kept = ops.top_k(scores, n_active)
            codes = xp.zeros_like(scores)
            gates_of_kept = ops.softmax(xp.take_along_axis(scores, kept, axis=1) / temperature)
            xp.put_along_axis(codes, kept, gates_of_kept, axis=1)
        else:
            codes = ops.softmax(scores / temperature)
        codes[~known] = 1 / codes.shape[1]  # nothing is known, so nothing is preferred
        return codes.astype(X.dtype, copy=False), known

    def _n_active(self, state: State) -> int:
        return self._count_sharing(len(state.components))

    def _count_sharing(self, n_components: int) -> int:
        """How many of so many experts share a row."""
        return n_components if self.n_active is None else min(self.n_active, n_components)

    # -- diagnostics ---------------------------------------------------------------------------------------------

    def _summarize_codes(self, X: Any, codes: Any) -> tuple[Any, Any]:
        """Sums over the rows that are not empty: entropy, largest gate and number; and the gates of each expert."""
        xp, filled = ops.xp(codes), ops.row_norms(X) > 0
        entropies = -(codes * xp.log(xp.maximum(codes, xp.finfo(codes.dtype).tiny))).sum(axis=1)
        # A row that shares nothing with any expert is even over all of them.
        n_active = self._count_sharing(codes.shape[1])
        entropies = (entropies / np.log(max(n_active, 2))).clip(0, 1)
        largest = codes.max(axis=1).clip(1 / n_active, 1)
        sums = [(entropies * filled).sum(), (largest * filled).sum(), filled.sum()]
        return xp.stack([x.astype(xp.float64) for x in sums]), filled.astype(codes.dtype) @ codes

    def _store_summary(self, X: Any, observed: list[Any], *, in_parts: bool = False) -> None:
        entropy, largest, n_rows = ops.to_host(sum(sums for sums, _ in observed)).tolist()
        self._newly_collapsed = False
        if not n_rows:
            return  # an empty minibatch after others
        load: Any = sum(loads for _, loads in observed)
        carry_on = in_parts and hasattr(self, "load_")
        if carry_on:
            n_before = min(self._n_gates, max(_DESCRIBED_ROWS - n_rows, 0))
            load = load + n_before * self.load_
            entropy, largest = entropy + n_before * self.gate_entropy_, largest + n_before * self._largest_gate
            n_rows += n_before
        self.load_ = (load / n_rows).astype(load.dtype)
        self.max_violation_ = float(ops.to_host(load.max() / load.mean())) - 1.0
        self.gate_entropy_, self._largest_gate, self._n_gates = entropy / n_rows, largest / n_rows, n_rows
        known = self._collapse if carry_on else ""
        found = self._find_collapse() if not in_parts or self._is_settled() else ""
        self._newly_collapsed = found not in ("", known)
        self._collapse = found or known
        self._advised = self._suggest_temperature(X) if self._newly_collapsed else None

    def _is_settled(self) -> bool:
        """Whether minibatches have gone on for long enough to be judged."""
        return self._n_gates >= _FEWEST_ROWS and self._compute_annealing(self._get_state(), 0) >= 1

    def _find_collapse(self) -> str:
        """Whether gates are "even" or "whole" for nearly all rows, by what the number of active experts allows."""
        n_active = self._n_active(self._get_state())
        if n_active == 1:
            return ""  # one expert a row was asked for
        reached = (n_active * self._largest_gate - 1) / (n_active - 1)
        if reached < _EVEN:
            return "even"
        return "whole" if reached > _WHOLE and self.temperature < _SHARP else ""

    def _suggest_temperature(self, X: Any) -> float | None:
        """The temperature at which the gates of these experts have half of the largest entropy; None without one."""
        state = self._get_state()
        rows = np.unique(np.linspace(0, X.shape[0] - 1, _SAMPLED_ROWS).astype(np.intp))
        scores, norms = compute_cosines(ops.take_rows(X, rows), state.components)
        scores = ops.to_host(scores - state.inhibition)[ops.to_host(norms) > 0].astype(np.float64)
        scores = -np.sort(-scores, axis=1)[:, : self._n_active(state)]
        low, high = np.log(1e-6), np.log(10.0)
        if not _compute_mean_entropy(scores, np.exp(low)) < _BALANCED < _compute_mean_entropy(scores, np.exp(high)):
            return None
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if _compute_mean_entropy(scores, np.exp(middle)) < _BALANCED else (low, middle)
        return float(np.exp(low) * self.temperature / ops.to_host(self._compute_final_temperature(state)))

    def _find_warnings(self, X: Any) -> Iterator[str]:
        unused = list(super()._find_warnings(X))
        # Copies of a component share rows evenly at any temperature.
        yield from unused or self._find_minibatch_warnings()

    def _find_minibatch_warnings(self) -> Iterator[str]:
        if not self._newly_collapsed:
            return
        n_active = self._n_active(self._get_state())
        advice = f"for instance to {self._advised:.2g}" if self._advised else "or scale the features"
        if self._collapse == "even":
            yield (
                f"The gates share nearly all rows evenly among {n_active} components (mean largest gate "
                f"{self._largest_gate:.3f}, where even ones are {1 / n_active:.3f}), so they say nothing. Lower the "
                f"temperature, which is {self.temperature:g}, {advice}."
            )
        else:
            yield (
                f"The gates give nearly all rows to one component alone (mean largest gate {self._largest_gate:.3f}), "
                f"so they say no more than labels do. Raise the temperature, which is {self.temperature:g}, {advice}; "
                f"or use KrotovHopfield."
            )


def _compute_mean_entropy(scores: np.ndarray, temperature: float) -> float:
    """Mean entropy of the softmax of descending scores, over the largest that is possible."""
    gates = np.exp((scores - scores[:, :1]) / temperature)
    gates /= gates.sum(axis=1, keepdims=True)
    entropies = -(gates * np.log(np.maximum(gates, np.finfo(float).tiny))).sum(axis=1)
    return float(entropies.mean() / np.log(scores.shape[1])) if len(scores) else 0.0
