"""Mixture of directions that share each row by softmax, with inhibition of components that score high on all rows."""

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
from codebooks.models.statistics import (
    Sums,
    compute_gates,
    compute_unexplained_share,
    multiply_weights,
    rank_components,
    sum_statistics,
)

# Updates from one orthogonalisation to the next; a shorter period gives no better topics.
_PERIOD = 4
# The cost of the eigenproblem of an orthogonalisation grows with the third power of its order, that of an update does
# not. Above this order, orthogonalisations are this number of rows for each dimension apart, and at most this number of
# updates.
_LARGE_ORDER = 200
_ROWS_PER_DIMENSION = 20
_LONGEST_PERIOD = 20
# The temperature does not fall below that of rows with this unexplained energy.
_LEAST_UNEXPLAINED = 1e-3
# Even gates carry no information, and whole gates no more than labels. Both are judged by the mean of the largest
# gates, on a scale from 0, even among the active components, to 1. At the defaults it is 0.5 at least on text, images,
# counts and embeddings.
_EVEN, _WHOLE, _SHARP = 0.2, 0.99, 0.05
# Rows of minibatches before gates are judged; rows to which diagnostics go back; rows used to find a temperature.
_FEWEST_ROWS, _DESCRIBED_ROWS, _SAMPLED_ROWS = 50, 1000, 1000
# The share of the largest entropy that the advised temperature gives.
_BALANCED = 0.5


class State(NamedTuple):
    """State after `n_updates` minibatches."""

    components: Any  # (n_components, n_features) directions of length 1
    mass: Any  # (n_components,) lengths of the decayed sums whose directions the components are
    usage: Any  # (n_components,) share of rows won, a running mean
    inhibition: Any  # (n_components,) numbers that are subtracted from scores before the gate
    unexplained: Any  # () share of a row's energy that its winner leaves unexplained, a running mean
    seed: int  # of every random draw after initialisation
    n_updates: int


class InhibitedMixture(CodebookLearner):
    r"""Soft clustering of documents, images or embeddings: `transform` returns the shares of each sample in components.

    Use it like `GaussianMixture`. Prefer it to `KrotovHopfield` if a sample belongs to several groups, or if other
    models use the shares as features; for topics of text, `MultinomialMixture` is the better choice. It is a mixture of
    experts in which inhibition prevents that a component wins every sample or none.

    For a row :math:`x` of length 1 component k, a direction :math:`W_k` of length 1, scores :math:`s_k = W_k x`. The
    `n_active` components with the largest :math:`s_k - \mu_k` take shares

    .. math:: g_k = \frac{\exp((s_k - \mu_k) / T)}{\sum_j \exp((s_j - \mu_j) / T)},

    where :math:`\mu_k` (`inhibition_`), a running mean of the component's own scores, holds back components that score
    high on all rows [1]_. Learning ascends :math:`\sum_x T \log \sum_k \exp((s_k - \mu_k) / T)`, the negative free
    energy, whose best directions for given shares are :math:`W_k \propto \sum_x g_k x`: no gradient, no learning rate.
    Sums decay over minibatches. After every fourth one, components move towards the nearest orthonormal set by
    `orthogonality` (less often, down to every twentieth, if both dimensions of `components_` exceed 200), and meanwhile
    :math:`T` falls geometrically from `start_temperature` [2]_: while it is high every row counts for several
    components, which finds better optima than early decisions.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of components; "auto" is min(10, n_features). `codebooks.choose_n_components` estimates it from data.
    n_active : int or None, default=3
        Largest number of components that share one row, in learning and in `transform`; None stands for all.
    temperature : float, default=0.05
        The divisor T at the end of learning and in `transform`, relative to `unexplained_`: differences between scores
        shrink as rows are explained better, so one number suits text, images and embeddings. Raise it for more even
        shares; at 1 they are almost equal.
    start_temperature : float, default=0.5
        T at the first update, not relative to `unexplained_`.
    annealing_updates : int, default=20
        Minibatches until T has reached its end, in `fit` and in `partial_fit`; 0 begins with `temperature`. If
        `max_iter` allows fewer, learning ends with a higher temperature.
    orthogonality : float in [0, 1], default=0.5
        How far components move towards the nearest orthonormal set each time, relative to `unexplained_`: 0 not at all,
        1 all the way. Raise it for topics with fewer words in common.
    inhibition : {"mean", "load"} or None, default="mean"
        What is subtracted from the score of a component before the gate: "mean" a part of its running mean score,
        "load" a bias that grows while it wins more than an even share. It is subtracted at prediction too.
    inhibition_strength : float in [0, 1], default=0.5
        The part of it that is subtracted. For "mean" it is multiplied by the mean unexplained energy of the rows,
        because differences between scores shrink with that. Lower it if groups differ much in size.
    revive : bool, default=True
        Whether a component that wins nothing takes a part of the samples of one that explains its samples poorly, and
        one of two redundant components moves to samples that are explained poorly.
    max_iter : int, default=50
        Largest number of passes over the rows.
    batch_size : int or "auto", default="auto"
        Rows per update; "auto" is a quarter of the rows, but at least 1,000 and at most 10,000.
    shuffle : bool, default=True
        Whether each pass visits the rows in a new order. Set False to learn in exactly the order of `partial_fit`.
    tol : float, default=1e-3
        Once T has reached its end, learning stops when the explained energy has not risen by this share for three
        passes.
    sparse_output : bool, default=False
        Whether `transform` returns a CSR matrix of the same shares. Use it for many components and a small `n_active`.
    random_state : int, RandomState or None, default=None
        Seed of the initialisation, the order of rows and revival.
    verbose : int, default=0
        1 prints a line per pass, 2 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Components, one a row, of length 1.
    labels_ : ndarray of shape (n_samples,), int64
        The component with the largest share of each row of the last `fit` or `partial_fit`; -1 for empty rows.
    usage_ : ndarray of shape (n_components,)
        Share of rows won, weighted by `sample_weight`.
    inhibition_ : ndarray of shape (n_components,)
        Number that is subtracted from the score of each component.
    load_ : ndarray of shape (n_components,)
        Mean share of each component in the rows of `fit`, or in the last 1,000 rows of `partial_fit` (at least the last
        minibatch); sums to 1. Empty rows do not count.
    max_violation_ : float
        The difference between the largest load and an even one, in even loads: 0 is perfect balance ("MaxVio" in [3]_).
    gate_entropy_ : float in [0, 1]
        Mean entropy of the shares of these rows, relative to the largest that `n_active` components can have: 1 for
        equal shares, 0 if one component has all.
    unexplained_ : ndarray of shape ()
        Mean of one less the squared cosine of a row with its winner, over recent rows.
    mass_ : ndarray of shape (n_components,)
        Lengths of the decayed sums, from which `partial_fit` continues.
    n_iter_, n_updates_ : int
        Passes and minibatches.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, if the input has names

    Warns
    -----
    UserWarning
        If the shares are even (the mean largest share has come less than 0.2 of the way from an even one to 1), because
        then they carry no information. Or if, at a temperature below 0.05, they give each row to one component (it has
        come more than 0.99 of the way), because then they carry no more information than labels. The warning names a
        temperature at which the shares have half of the largest entropy. After `partial_fit` it is raised once, when
        the temperature has reached its end and there were 50 rows.

    See Also
    --------
    MultinomialMixture : Topics of text as word counts or tf-idf.
    KrotovHopfield : Hard assignments, and fewer components than given (`prune=True`).

    References
    ----------
    .. [1] K. Chen, O. Chen, A. Ragni, M. Gales, "Active memory networks for language modeling", Interspeech 2018,
       3338-3342, on annealed gates; the running mean as inhibition is from a blog post on topic models without names.
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
    _n_gates: float  # rows of the diagnostics
    _largest_gate: float  # their mean largest gate
    _collapse: str  # "", "even" or "whole": the last warning
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

    def _initialize_state(self, X: Any, n_components: int, rng: Any, sample_weight: Any = None) -> State:
        components = initialize_directions(X, n_components, rng, sample_weight)
        xp = ops.xp(components)
        none, even = xp.zeros(n_components, X.dtype), xp.full(n_components, 1 / n_components, X.dtype)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        state = State(components, none, even, none, xp.ones((), X.dtype), seed, 0)
        return self._initialize_usage(X, state, sample_weight)

    def _compute_statistics(self, X: Any, state: State, sample_weight: Any = None) -> Sums:
        n_active = self._count_active(state)
        found = rank_components(X, state.components, state.inhibition, n_active, sample_weight)
        temperature = self._compute_temperature(state, self.start_temperature, self._compute_final_temperature(state))
        share = compute_gates(found, state.inhibition, temperature, n_active) * ops.reciprocal(found.norms)[:, None]
        share = multiply_weights(share, sample_weight)
        pull = ops.xp(share).zeros(state.components.shape, share.dtype)  # in C order, as it is written row by row
        return sum_statistics(found, ops.scatter_rows(pull, found.index, share, X), sample_weight)

    def _update(self, state: State, sums: Sums, progress: Progress) -> State:
        keep = self._compute_retention(sums)
        components, mass = self._blend(state, sums.pull, keep)
        if self._is_orthogonalizing(state, sums):
            components = ops.orthogonalize_partially(components, self.orthogonality * state.unexplained)
        usage, inhibition = self._update_usage_and_inhibition(state, sums, keep)
        rest = keep * state.unexplained + (1 - keep) * compute_unexplained_share(sums)
        return State(components, mass, usage, inhibition, rest, state.seed, state.n_updates + 1)

    def _initialize_usage(self, X: Any, state: State, sample_weight: Any) -> State:
        state = super()._initialize_usage(X, state, sample_weight)
        sums = self._compute_statistics(X, state, sample_weight)
        return state._replace(unexplained=compute_unexplained_share(sums))

    def _compute_final_temperature(self, state: State) -> Any:
        """Compute the divisor of scores at the end of annealing."""
        return self.temperature * ops.xp(state.unexplained).maximum(state.unexplained, _LEAST_UNEXPLAINED)

    def _is_orthogonalizing(self, state: State, sums: Sums) -> bool:
        """Return whether this update moves the components towards the nearest orthonormal set."""
        n_updates, order = state.n_updates + 1, min(state.components.shape)
        if self.orthogonality == 0 or n_updates % _PERIOD != 0:
            return False
        if order <= _LARGE_ORDER:
            return True
        n_rows = max(int(ops.to_host(sums.n_rows)), 1)  # the eigenproblem waits for the device as well
        period = min(_ROWS_PER_DIMENSION * order / n_rows, _LONGEST_PERIOD)
        return n_updates % (_PERIOD * math.ceil(period / _PERIOD)) == 0

    def _encode(self, X: Any, state: State) -> tuple[Any, Any]:
        scores, _ = compute_cosines(X, state.components)
        xp = ops.xp(scores)
        has_code = scores.any(axis=1)
        scores -= state.inhibition
        temperature = xp.asarray(self._compute_final_temperature(state), scores.dtype)
        n_active = self._count_active(state)
        if n_active < scores.shape[1]:
            kept = ops.top_k(scores, n_active)
            codes = xp.zeros_like(scores)
            gates_of_kept = ops.softmax(xp.take_along_axis(scores, kept, axis=1) / temperature)
            xp.put_along_axis(codes, kept, gates_of_kept, axis=1)
        else:
            codes = ops.softmax(scores / temperature)
        codes[~has_code] = 1 / codes.shape[1]
        return codes.astype(X.dtype, copy=False), has_code

    def _count_active(self, state: State) -> int:
        """Return the number of components that share a row."""
        n_components = len(state.components)
        return n_components if self.n_active is None else min(self.n_active, n_components)

    # -- diagnostics ---------------------------------------------------------------------------------------------

    def _summarize_codes(self, X: Any, codes: Any, sample_weight: Any) -> tuple[Any, Any]:
        """Sum entropy, largest gate and number of the rows that are not empty, and the gates of each component."""
        xp, filled = ops.xp(codes), multiply_weights(ops.row_norms(X) > 0, sample_weight)
        entropies = -(codes * xp.log(xp.maximum(codes, xp.finfo(codes.dtype).tiny))).sum(axis=1)
        # The gates of a row that shares no feature with any component are even over all of them, not `n_active`.
        n_active = min(self.n_active or codes.shape[1], codes.shape[1])
        entropies = (entropies / np.log(max(n_active, 2))).clip(0, 1)
        largest = codes.max(axis=1).clip(1 / n_active, 1)
        sums = [(entropies * filled).sum(), (largest * filled).sum(), filled.sum()]
        return xp.stack([x.astype(xp.float64) for x in sums]), filled.astype(codes.dtype) @ codes

    def _store_summary(self, X: Any, summaries: list[Any], *, in_parts: bool = False) -> None:
        entropy, largest, n_rows = ops.to_host(sum(sums for sums, _ in summaries)).tolist()
        self._newly_collapsed = False
        if not n_rows:
            return  # an empty minibatch after others
        load: Any = sum(loads for _, loads in summaries)
        continues = in_parts and hasattr(self, "load_")
        if continues:
            n_before = min(self._n_gates, max(_DESCRIBED_ROWS - n_rows, 0))
            load = load + n_before * self.load_
            entropy, largest = entropy + n_before * self.gate_entropy_, largest + n_before * self._largest_gate
            n_rows += n_before
        self.load_ = (load / n_rows).astype(load.dtype)
        self.max_violation_ = float(ops.to_host(load.max() / load.mean())) - 1.0
        self.gate_entropy_, self._largest_gate, self._n_gates = entropy / n_rows, largest / n_rows, n_rows
        before = self._collapse if continues else ""
        now = self._find_collapse() if not in_parts or self._is_settled() else ""
        self._newly_collapsed = now not in ("", before)
        self._collapse = now or before
        self._advised = self._suggest_temperature(X) if self._newly_collapsed else None

    def _is_settled(self) -> bool:
        """Return whether the temperature has reached its end and there are enough rows to judge the gates."""
        return self._n_gates >= _FEWEST_ROWS and self._compute_annealing(self._get_state(), 0) >= 1

    def _find_collapse(self) -> str:
        """Return whether gates are "even" or "whole" for nearly all rows, or neither ("")."""
        n_active = self._count_active(self._get_state())
        if n_active == 1:
            return ""  # whole gates are the setting
        reached = (n_active * self._largest_gate - 1) / (n_active - 1)
        if reached < _EVEN:
            return "even"
        return "whole" if reached > _WHOLE and self.temperature < _SHARP else ""

    def _suggest_temperature(self, X: Any) -> float | None:
        """Find the temperature at which the gates have half of the largest entropy; None if there is none."""
        state = self._get_state()
        rows = np.unique(np.linspace(0, X.shape[0] - 1, _SAMPLED_ROWS).astype(np.intp))
        scores, norms = compute_cosines(ops.take_rows(X, rows), state.components)
        scores = ops.to_host(scores - state.inhibition)[ops.to_host(norms) > 0].astype(np.float64)
        scores = -np.sort(-scores, axis=1)[:, : self._count_active(state)]
        low, high = np.log(1e-6), np.log(10.0)
        if not _compute_mean_entropy(scores, np.exp(low)) < _BALANCED < _compute_mean_entropy(scores, np.exp(high)):
            return None
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if _compute_mean_entropy(scores, np.exp(middle)) < _BALANCED else (low, middle)
        return float(np.exp(low) * self.temperature / ops.to_host(self._compute_final_temperature(state)))

    def _find_warnings(self, X: Any) -> Iterator[str]:
        unused = list(super()._find_warnings(X))
        # Equal components share rows evenly at any temperature.
        yield from unused or self._find_minibatch_warnings()

    def _find_minibatch_warnings(self) -> Iterator[str]:
        if not self._newly_collapsed:
            return
        n_active = self._count_active(self._get_state())
        advice = f"for instance to {self._advised:.2g}" if self._advised else "or scale the features"
        if self._collapse == "even":
            yield (
                f"The gates share nearly all rows evenly among {n_active} components (mean largest gate "
                f"{self._largest_gate:.3f}, even gates are {1 / n_active:.3f}), so they carry no information. Lower "
                f"the temperature, which is {self.temperature:g}, {advice}."
            )
        else:
            yield (
                f"The gates give nearly all rows to one component alone (mean largest gate {self._largest_gate:.3f}), "
                f"so they carry no more information than labels. Raise the temperature, which is "
                f"{self.temperature:g}, {advice}; or use KrotovHopfield."
            )


def _compute_mean_entropy(scores: np.ndarray, temperature: float) -> float:
    """Compute the mean entropy of the softmax of descending scores, relative to the largest possible one."""
    gates = np.exp((scores - scores[:, :1]) / temperature)
    gates /= gates.sum(axis=1, keepdims=True)
    entropies = -(gates * np.log(np.maximum(gates, np.finfo(float).tiny))).sum(axis=1)
    return float(entropies.mean() / np.log(scores.shape[1])) if len(scores) else 0.0
