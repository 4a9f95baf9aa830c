"""Competitive learning with penalised rivals (Krotov & Hopfield 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.base import FitTasks, Interval, StrOptions
from codebooks.models.base import CodebookLearner, Progress
from codebooks.models.convergence import Reporter
from codebooks.models.cosine import compute_cosines
from codebooks.models.initialization import initialize_directions
from codebooks.models.pruning import PRUNING_SETTINGS, prune_components, select_components
from codebooks.models.statistics import Sums, compute_gates, multiply_weights, rank_components, sum_statistics

# The number of components that share a row during annealing, and the temperature at its end.
_N_SHARING, _COLD = 3, 0.003
# batch_size="auto" of the Hebbian rule. Its step is divided by the largest entry, so more rows make no larger step.
_HEBBIAN_BATCH = 100
# Norms farther than this from 1 show that the Hebbian rule has not converged.
_NORM_TOLERANCE = 0.1


class State(NamedTuple):
    """State after `n_updates` minibatches."""

    components: Any  # (n_components, n_features) weights of p-norm 1 ("W"); of any norm with the Hebbian rule
    mass: Any  # (n_components,) p-norms of the decayed sums whose directions the weights are
    usage: Any  # (n_components,) share of rows won, a running mean
    inhibition: Any  # (n_components,) numbers that are subtracted from scores before the ranking
    seed: int  # of every random draw after initialisation
    n_updates: int


class KrotovHopfield(CodebookLearner):
    r"""Cluster documents, images or embeddings by competitive learning; use it like `KMeans`.

    `labels_` and `predict` give the cluster of each sample, `transform` one number for each component, as features of
    other models. Prefer it to `KMeans` for directions rather than distances (cosine similarity), for sparse data with
    many features, for streams (`partial_fit`), or if the number of clusters is unknown (`prune=True`). For text alone,
    `MultinomialMixture` finds better topics; for soft assignments, use `InhibitedMixture`.

    For a row :math:`x` of length 1 each component scores
    :math:`s_k = \sum_i \mathrm{sgn}(W_{ki}) |W_{ki}|^{p-1} x_i`. Components are ranked by :math:`s_k` minus their
    inhibition; the first learns with gain 1, the one at `rival_rank` with gain :math:`-\Delta` (`repulsion`). The
    published rule [1]_ changes weights by :math:`g_k (x - s_k W_k)`; its fixed point is :math:`W_k = m_k / \|m_k\|_p`
    with :math:`m_k` the gain-weighted sum of rows. `algorithm="batch"` computes it directly, with sums that decay over
    minibatches: spherical k-means with a penalised rival [2]_. There the rival r of the winner w is pushed by
    :math:`x - s_r W_r`, aside and not back, and by the part :math:`\min(1, u_r / u_w) (1 - s_w^2)^{1/6}` of the
    repulsion. :math:`u` are the shares of rows won; with this factor the rows of a large group do not outweigh the few
    rows of a small one. The last factor is the cube root of the sine of the angle between the row and its winner (for
    p = 2, and 1 for others): a row that is explained well pushes less, so components stay close to their samples on
    images and embeddings. `algorithm="hebbian"` is the rule as published.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of components; "auto" is min(10, n_features). `codebooks.choose_n_components` estimates it from data.
    algorithm : {"batch", "hebbian"}, default="batch"
        "batch" learns from rows scaled to length 1 and needs no learning rate. "hebbian" is the published minibatch
        rule on rows as they are; use it to reproduce the paper. It is initialised near the data, as "batch" is, and not
        with N(0, 1), from which it needs hundreds of passes; the paper's MNIST run has p=3, rival_rank=7,
        learning_rate=0.04, batch_size=100, max_iter=1000, tol=0, inhibition=None, revive=False.
    p : float, default=2
        Lebesgue exponent of the scores, above 1. 2 is the dot product. Larger values emphasise the largest weights,
        until only one feature counts. Near 1 all components have similar scores on non-negative data.
    rival_rank : int, default=2
        Rank of the component that is pushed away ("k" in [1]_); at most `n_components`.
    repulsion : float, default=0.3
        Size of the push ("Delta"). 0 gives spherical k-means; raise it to separate similar components.
    start_temperature : float, default=0.5
        "batch" begins with soft assignments: the three best components share a row by softmax of their scores over a
        temperature, which falls geometrically from here until the winner takes all; only then are rivals pushed away.
        Late decisions find better optima than early ones [3]_.
    annealing_updates : int, default=20
        Minibatches until then, in `fit` and in `partial_fit`; with 0 the winner takes all from the beginning. If
        `max_iter` allows fewer, learning ends with soft assignments.
    transform_n_active : int, optional
        Number of components that are not zero in a row of `transform`; None keeps all. Set it for sparse codes.
    inhibition : {"mean", "load"} or None, default="mean"
        What is subtracted from the score of a component before the ranking: "mean" a part of its running mean score,
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
        Rows per update; "auto" is a quarter of the rows, but at least 1,000 and at most 10,000, and 100 for "hebbian".
    shuffle : bool, default=True
        Whether each pass visits the rows in a new order. Set False to learn in exactly the order of `partial_fit`.
    tol : float, default=1e-3
        Learning stops when the explained energy has not risen by this share for three passes. With `tol=0` "hebbian"
        makes all passes, and its learning rate falls to the last.
    sparse_output : bool, default=False
        Whether `transform` returns a CSR matrix of the same codes. It saves memory if `transform_n_active` is small.
    learning_rate : float, default=0.02
        Step of "hebbian" at the first pass ("epsilon"), which falls linearly over `max_iter`. Raise it if `fit` warns
        that norms of components are not near 1 at the end: then the rule has not converged.
    prune : bool, default=False
        Whether `fit` removes components that are not needed. Then `n_components` is only the initial number; set it to
        two to ten times the expected number. See Notes.
    random_state : int, RandomState or None, default=None
        Seed of the initialisation, the order of rows and revival.
    verbose : int, default=0
        1 prints a line per pass, 2 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Weights, one component a row. A negative weight shows a feature of the rows of a rival.
    labels_ : ndarray of shape (n_samples,), int64
        Winning component of each row of the last `fit` or `partial_fit`; -1 for empty rows.
    usage_ : ndarray of shape (n_components,)
        Share of rows won, weighted by `sample_weight`.
    inhibition_ : ndarray of shape (n_components,)
        Number that is subtracted from the score of each component.
    mass_ : ndarray of shape (n_components,)
        Norms of the decayed sums, from which `partial_fit` continues.
    n_iter_, n_updates_ : int
        Passes and minibatches, including pruning.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, if the input has names

    See Also
    --------
    MultinomialMixture : Topics of text as word counts or tf-idf.
    InhibitedMixture : Soft assignments.
    OrthogonalSparseCoding : Decorrelated codes.
    codebooks.choose_n_components : Estimate the number of components.

    Notes
    -----
    `sample_weight` multiplies the sums of both algorithms.

    With `prune=True` components first compete under stronger repulsion, by the batch rule with `rival_rank=2`,
    `repulsion=0.8` without the two factors above, no inhibition, no annealing and no revival, whatever the settings. Of
    two components in one group each is the other's rival; the stronger drives the weaker away, until that wins almost
    nothing and is removed [2]_. Once five passes remove none, or a removal would leave whole groups without a
    component, the remaining components continue with the settings. From two to ten times as many components as planted
    topics, the number of topics remains, and about the number of themes of long documents. Titles and other short texts
    form many small groups that share a word: there few components are removed, and `codebooks.choose_n_components` is
    the better choice. `partial_fit` removes none; it continues with the components of `fit`, or begins with all.

    References
    ----------
    .. [1] D. Krotov, J. J. Hopfield, "Unsupervised learning by competing hidden units", PNAS 116 (2019), 7723-7731.
    .. [2] L. Xu, A. Krzyzak, E. Oja, "Rival penalized competitive learning for clustering analysis, RBF net, and curve
       detection", IEEE Transactions on Neural Networks 4 (1993), 636-649.
    .. [3] K. Rose, "Deterministic annealing for clustering, compression, classification, regression, and related
       optimization problems", Proceedings of the IEEE 86 (1998), 2210-2239.

    Examples
    --------
    >>> from codebooks import KrotovHopfield
    >>> X = [[3, 1, 0, 0], [2, 1, 0, 0], [0, 0, 1, 2], [0, 0, 1, 3]]
    >>> labels = KrotovHopfield(2, random_state=0).fit_predict(X)
    >>> bool(labels[0] == labels[1] != labels[2] == labels[3])
    True
    """

    _State = State
    _halved = ("usage", "mass")
    _spares_rivals: bool = True  # whether small rivals are pushed less, and none is pushed back
    _parameter_constraints: ClassVar[dict] = {
        **CodebookLearner._parameter_constraints,
        "transform_n_active": [Interval(Integral, 1, None, closed="left"), None],
        "algorithm": [StrOptions({"batch", "hebbian"})],
        "p": [Interval(Real, 1, None, closed="neither")],
        "rival_rank": [Interval(Integral, 2, None, closed="left")],
        "repulsion": [Interval(Real, 0, None, closed="left")],
        "start_temperature": [Interval(Real, 0, None, closed="neither")],
        "annealing_updates": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "prune": ["boolean"],
    }

    def __init__(
        self,
        n_components: int | Literal["auto"] = "auto",
        *,
        algorithm: Literal["batch", "hebbian"] = "batch",
        p: float = 2,
        rival_rank: int = 2,
        repulsion: float = 0.3,
        start_temperature: float = 0.5,
        annealing_updates: int = 20,
        transform_n_active: int | None = None,
        inhibition: Literal["mean", "load"] | None = "mean",
        inhibition_strength: float = 0.5,
        revive: bool = True,
        max_iter: int = 50,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        tol: float = 1e-3,
        sparse_output: bool = False,
        learning_rate: float = 0.02,
        prune: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.p = p
        self.rival_rank = rival_rank
        self.repulsion = repulsion
        self.start_temperature = start_temperature
        self.annealing_updates = annealing_updates
        self.transform_n_active = transform_n_active
        self.inhibition = inhibition
        self.inhibition_strength = inhibition_strength
        self.revive = revive
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.tol = tol
        self.sparse_output = sparse_output
        self.learning_rate = learning_rate
        self.prune = prune
        self.random_state = random_state
        self.verbose = verbose

    # -- the four hooks ------------------------------------------------------------------------------------------

    def _initialize_state(self, X: Any, n_components: int, rng: Any, sample_weight: Any = None) -> State:
        weights = initialize_directions(X, n_components, rng, sample_weight)
        if self.p != 2:
            weights, _ = self._normalize_p(weights)
        xp = ops.xp(weights)
        none, even = xp.zeros(n_components, X.dtype), xp.full(n_components, 1 / n_components, X.dtype)
        state = State(weights, none, even, none, int(rng.randint(np.iinfo(np.int32).max)), 0)
        return self._initialize_usage(X, state, sample_weight)

    def _compute_statistics(self, X: Any, state: State, sample_weight: Any = None) -> Sums:
        n_components = len(state.components)
        rank = min(self.rival_rank, n_components)
        n_sharing = 1 if self._takes_all(state) else min(_N_SHARING, n_components)
        n_ranked = max(rank, n_sharing)
        found = rank_components(X, self._get_directions(state), state.inhibition, n_ranked, sample_weight)
        xp = ops.xp(found.score)
        if n_sharing > 1:  # the nearest components share the row, and no rival is pushed away
            temperature = self._compute_temperature(state, self.start_temperature, _COLD)
            index, gain = found.index[:, :n_sharing], compute_gates(found, state.inhibition, temperature, n_sharing)
            push = None
        else:
            index, gain, push = self._compute_gains(found, state, rank)
        length = (found.norms > 0).astype(X.dtype) if self.algorithm == "hebbian" else ops.reciprocal(found.norms)
        length = multiply_weights(length, sample_weight)
        pull = xp.zeros(state.components.shape, gain.dtype)  # in C order, as it is written row by row
        pull = ops.scatter_rows(pull, index, gain * length[:, None], X)
        if push is not None and self._spares_rivals and self.algorithm == "batch":
            # The rival is pushed aside, not back: it keeps the part that it has in common with the row.
            common = multiply_weights(push * found.score[:, rank - 1], sample_weight)
            common = ops.sum_by_index(index[:, 1], common, n_components)
            pull = xp.asfortranarray(pull)  # in the order of the components
            pull += common.astype(gain.dtype)[:, None] * state.components
        return sum_statistics(found, pull, sample_weight)

    def _update(self, state: State, sums: Sums, progress: Progress) -> State:
        keep = self._compute_retention(sums)
        if self.algorithm == "hebbian":
            rate = self.learning_rate * (1 - progress.epoch / progress.n_epochs)
            components, mass = self._update_hebbian(state, sums.pull, rate), state.mass
        else:
            components, mass = self._update_batch(state, sums.pull, keep)
        usage, inhibition = self._update_usage_and_inhibition(state, sums, keep)
        return State(components, mass, usage, inhibition, state.seed, state.n_updates + 1)

    def _encode(self, X: Any, state: State) -> tuple[Any, Any]:
        scores, norms = compute_cosines(X, self._get_directions(state))
        xp = ops.xp(scores)
        has_code = scores.any(axis=1)
        scores -= state.inhibition
        if self.transform_n_active is not None and self.transform_n_active < scores.shape[1]:
            # The codes that are kept are differences to the largest one that is not, so the winner is always kept.
            largest_dropped = ops.top_k(scores, self.transform_n_active + 1)[:, -1:]
            scores = xp.maximum(scores - xp.take_along_axis(scores, largest_dropped, axis=1), 0)
        scores *= (norms * has_code)[:, None]
        return scores.astype(X.dtype, copy=False), has_code

    # -- the rule ------------------------------------------------------------------------------------------------

    def _get_directions(self, state: State) -> Any:
        """Return `sgn(W) |W|^(p-1)`, whose dot products with a row are its scores."""
        W = state.components
        if self.p == 2:
            return W
        xp = ops.xp(W)
        return xp.sign(W) * xp.abs(W) ** (self.p - 1)

    def _compute_gains(self, found: ops.Nearest, state: State, rank: int) -> tuple[Any, Any, Any]:
        """Compute the components that learn from each row, their gains, and the push of the rival or None."""
        xp = ops.xp(found.score)
        won = xp.ones(len(found.score), found.score.dtype)
        if rank == 1 or self.repulsion == 0:
            return found.index[:, :1], won[:, None], None
        index, push = found.index[:, :: rank - 1], self.repulsion * won  # the winner and its rival
        if self._spares_rivals and self.algorithm == "batch":
            sizes = state.usage[index]
            push *= (sizes[:, 1] * ops.reciprocal(sizes[:, 0])).clip(0, 1)
            if self.p == 2:  # the better a row is explained, the less its rival is pushed away
                push *= (1 - found.score[:, 0] ** 2).clip(0, 1) ** (1 / 6)
        return index, xp.stack([won, -push], axis=1), push

    def _takes_all(self, state: State) -> bool:
        """Return whether a row belongs to its winner alone, as it always does in the published rule."""
        return self.algorithm == "hebbian" or self._compute_annealing(state, 0) >= 1

    def _update_batch(self, state: State, pull: Any, keep: Any) -> tuple[Any, Any]:
        """Compute directions and p-norms of the decayed sums; the sums before are `mass * components`."""
        if self.p == 2:
            return self._blend(state, pull, keep)
        pull += (keep * state.mass)[:, None] * state.components
        weights, norms = self._normalize_p(pull)
        return ops.xp(pull).where(norms[:, None] > 0, weights, state.components), norms

    def _compute_lengths(self, components: Any) -> Any:
        return ops.row_norms(components) if self.p == 2 else self._normalize_p(components)[1]

    def _normalize_p(self, weights: Any) -> tuple[Any, Any]:
        """Scale rows to p-norm 1, and return their norms too."""
        xp = ops.xp(weights)
        # Division by the largest entry prevents the overflow of powers.
        peaks = xp.abs(weights).max(axis=1)
        weights = weights * ops.reciprocal(peaks)[:, None]
        norms = (xp.abs(weights) ** self.p).sum(axis=1) ** (1 / self.p)
        return weights * ops.reciprocal(norms)[:, None], peaks * norms

    def _update_hebbian(self, state: State, pull: Any, rate: float) -> Any:
        """Update the components by the published rule, with a step that is divided by its largest entry.

        The decay `sum_b g_kb s_kb` needs no second pass over the rows: it is the score of the component's own pull.
        """
        W = state.components
        xp = ops.xp(W)
        decay = (self._get_directions(state) * pull).sum(axis=1)
        step = pull - decay[:, None] * W
        return (W + rate * step / xp.maximum(xp.abs(step).max(), 1e-30)).astype(W.dtype)

    def _compute_annealing(self, state: State, epoch: int) -> float:
        if self.algorithm == "hebbian":
            return 1.0 if self.tol > 0 else epoch / self.max_iter
        return super()._compute_annealing(state, epoch)

    def _draw_minibatches(self, n_rows: int, rng: Any) -> Iterator[Any]:
        if self.algorithm == "hebbian" and isinstance(self.batch_size, str):
            return self._split_into_batches(_HEBBIAN_BATCH, n_rows, rng)
        return super()._draw_minibatches(n_rows, rng)

    def _find_warnings(self, X: Any) -> Iterator[str]:
        yield from super()._find_warnings(X)
        far = int(ops.to_host((abs(self._compute_lengths(self.components_) - 1) > _NORM_TOLERANCE).sum()))
        if far:
            yield (
                f"{far} of {len(self.components_)} components have a norm farther than {_NORM_TOLERANCE:g} from 1: the "
                f"Hebbian rule has not converged. Raise max_iter or learning_rate, lower batch_size, or use "
                f'algorithm="batch".'
            )

    # -- pruning -------------------------------------------------------------------------------------------------

    @property
    def _n_epochs(self) -> int:
        return self.max_iter * (1 + self.prune)

    def _run_epochs(
        self,
        X: Any,
        rng: Any,
        state: State | None = None,
        *,
        revive: bool | None = None,
        sample_weight: Any = None,
        tasks: FitTasks | None = None,
    ) -> tuple[State, int]:
        if not self.prune:
            return super()._run_epochs(X, rng, state, revive=revive, sample_weight=sample_weight, tasks=tasks)
        learner = type(self)(**{**self.get_params(deep=False), **PRUNING_SETTINGS, "prune": False})
        learner._spares_rivals = False
        reporter = Reporter(f"{type(self).__name__}, pruning", self.max_iter, self.verbose)
        state, n_before = prune_components(learner, X, rng, reporter, sample_weight)
        # The components are near their groups already, so the winner takes all from now on.
        state = state._replace(n_updates=max(state.n_updates, self.annealing_updates))
        state, n_after = super()._run_epochs(X, rng, state, sample_weight=sample_weight, tasks=tasks)
        labels = ops.to_host(self._find_winners(X, state))
        is_used = np.bincount(labels[labels >= 0], minlength=len(state.components)) > 0
        return select_components(state, is_used) if is_used.any() else state, n_before + n_after
