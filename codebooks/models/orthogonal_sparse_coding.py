"""Orthogonal sparse coding: orthonormal components, learned from the few codes that each row keeps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.base import FitTasks, Interval, StrOptions
from codebooks.models.base import CodebookLearner, Progress
from codebooks.models.initialization import initialize_directions
from codebooks.models.relocation import LARGEST_LOSS
from codebooks.models.statistics import Sums, multiply_weights, rank_components, sum_statistics, sum_weights

# First and last learning rate of the rules that go row by row, for rows whose mean squared length is 1.
_RATES = {"geodesic": (0.8, 0.08), "online": (0.1, 0.001)}
# A small part of the components before is added to the moment, so that a component without samples stays as it is.
_OLD_PART = 1e-3


class State(NamedTuple):
    """State after `n_updates` minibatches."""

    components: Any  # (n_components, n_features) orthonormal rows ("U'")
    moment: Any  # (n_components, n_features) decayed sums of rows times their codes ("M")
    usage: Any  # (n_components,) share of rows won, a running mean
    inhibition: Any  # (n_components,) numbers that are subtracted from scores before the ranking
    energy: float  # mean squared length of the rows so far
    n_rows: float  # the number of these rows without empty ones, or the sum of their weights
    scale: float  # power of two, near the reciprocal of the mean length of the first rows
    annealed: float  # share of the schedules of the row by row rules that is over
    seed: int  # of every random draw after initialisation
    n_updates: int


class OrthogonalSparseCoding(CodebookLearner):
    r"""Learn orthonormal components and sparse, decorrelated codes; use it like `DictionaryLearning` or `PCA`.

    `transform` returns codes with few entries that are not zero, and `inverse_transform` reconstructs samples from
    them. Prefer it if codes are features of other models, for compression and denoising (`signed=True`, on centred
    images, sound and other signals), or for topics without common words. Components never overlap, so groups that are
    similar share a component; to separate them, use `KrotovHopfield` or `InhibitedMixture`.

    With orthonormal components :math:`U` (one a row) the best code of a row :math:`x` with `n_active` terms has a
    closed form: the projections :math:`a = U x`, all but the `n_active` largest set to 0. Learning minimises
    :math:`\sum \|x - U^\top a\|^2`. Components are orthonormal to machine precision after every update.

    Three rules are available. "procrustes" sums :math:`M = \sum a x^\top` over minibatches, with a slow decay, and
    takes the orthonormal matrix nearest to it, :math:`(M M^\top)^{-1/2} M`: block coordinate descent [2]_ without a
    learning rate. "geodesic" follows the gradient on the group of rotations [3]_ row by row: with :math:`y` the part of
    :math:`x` that the kept codes explain, all components rotate in the plane of :math:`y` and :math:`x - y` by the
    angle :math:`\epsilon \|y\| \|x - y\|`, which takes two passes over the components. It finds bases that are used
    densely, where the other two fail. "online" is the rule as published [1]_: components are visited in descending
    order of their projections, made orthogonal to those before, and kept ones take a Hebbian step towards the residual
    of the row.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of components, at most the number of features; "auto" is min(10, n_features).
    algorithm : {"procrustes", "geodesic", "online"}, default="procrustes"
        "procrustes" learns from sums over rows and is fast on sparse text; the other two learn from one row after
        another. Use "geodesic" for signals with a large `n_active`, and "online" to reproduce the paper.
    n_active : int or None, default=1
        Number of components that each row keeps, in learning and in its code; None keeps all. One gives the best
        topics. For signals, with `signed=True` and centred, begin with an eighth of the components.
    signed : bool, default=False
        False, for text, counts and other data in which only presence is informative: components are ranked by value,
        codes are never negative, and rows are scaled to length 1. True, for images, sound and other signals: components
        are ranked by magnitude, and rows count by their energy, as in the squared error of a reconstruction.
    threshold : float, optional
        Keep the codes whose value (magnitude if `signed`) reaches this number, in the units of `X`, instead of the
        `n_active` largest. It minimises :math:`\|x - U^\top a\|^2 + \lambda \|a\|_0` with :math:`\lambda` its square;
        the authors' code uses one number for both. A row in which no code reaches it has the label -1.
    inhibition : {"auto", "mean", "load"} or None, default="auto"
        What is subtracted from the score of a component before the ranking, and from its code: "mean" a part of its
        running mean score, "load" a bias that grows while it wins more than an even share. It is subtracted at
        prediction too. "auto" is "mean", and None if `signed`. Without it, one component in the direction that all rows
        have in common (the brightness of images, an offset) wins every row.
    inhibition_strength : float in [0, 1], default=0.75
        The part of it that is subtracted. Raise it to 1 for images and other data with a large common part.
    revive : bool, default=True
        Whether a component that wins nothing takes a part of the samples of a component that explains its samples
        poorly. Nothing is revived if `signed`: components of fine detail are used without winning, and a component that
        is never kept has a direction that no row has.
    max_iter : int, default=50
        Largest number of passes over the rows; twice as many if "procrustes" revives components.
    batch_size : int or "auto", default="auto"
        Rows per update; "auto" is all of them, but at most 20,000.
    shuffle : bool, default=True
        Whether each pass visits the rows in a new order. Set False to learn in exactly the order of `partial_fit`.
    tol : float, default=1e-3
        "procrustes" stops when the explained energy has not risen by this share for three passes. The other two make
        all passes, because their learning rates fall to the last.
    sparse_output : bool, default=False
        Whether `transform` returns a CSR matrix of the same codes. It saves memory, because most codes are 0.
    learning_rate, final_learning_rate : float, optional
        First and last step. "geodesic" goes from 0.8 to a tenth of the first step, "online" from 0.1 to a hundredth,
        as published. They are meant for rows of length 1, or, if `signed`, for rows scaled so that the mean squared
        length of the rows so far is 1. In `fit` the step falls geometrically from pass to pass; `partial_fit` continues
        with the step of the last pass, or with the first step if there was no `fit`.
    random_state : int, RandomState or None, default=None
        Seed of the initialisation, the order of rows and revival.
    verbose : int, default=0
        1 prints a line per pass, 2 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Orthonormal components, one a row.
    labels_ : ndarray of shape (n_samples,), int64
        Winning component of each row of the last `fit` or `partial_fit`; -1 for empty rows.
    usage_ : ndarray of shape (n_components,)
        Share of rows won, weighted by `sample_weight`.
    inhibition_ : ndarray of shape (n_components,)
        Number that is subtracted from the score of each component.
    moment_ : ndarray of shape (n_components, n_features)
        Decayed sums of rows times codes, from which `partial_fit` continues.
    energy_, n_rows_, scale_, annealed_ : float, int, float, float
        Mean squared length of the rows so far, their number (in all passes), a constant factor of `moment_` if
        `signed`, and the share of the schedules that is over.
    n_iter_, n_updates_ : int
        Passes and minibatches.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, if the input has names

    See Also
    --------
    KrotovHopfield : Components that may overlap.
    PartialWhitening : Decorrelation of embeddings without components.

    Notes
    -----
    `sample_weight` multiplies the sums of "procrustes". In "geodesic" and "online" it multiplies the step of each row,
    up to a step of 1, so there a weight of 2 is nearly, but not exactly, two equal rows.

    Components are never redundant, so `fit` revives idle ones only after learning without revival has converged, and
    keeps the result only if the explained energy falls by less than .01. Images and other data with a large common
    part are best centred and coded with `signed=True`; on raw pixels the labels of `KrotovHopfield` agree better with
    groups.

    In a stream, `partial_fit` gives new themes to components that have become idle. `moment_` goes back two minibatches
    or 50 rows for each component, whichever is more, so the components of themes that no longer occur become free only
    after some three times as many rows. With fewer rows of new themes, or no idle component, new themes share the
    components of old ones; the other learners then separate them sooner.

    References
    ----------
    .. [1] H. Schuetze, E. Barth, T. Martinetz, "Learning efficient data representations with orthogonal sparse coding",
       IEEE Transactions on Computational Imaging 2 (2016), 177-189.
    .. [2] C. Bao, J. Cai, H. Ji, "Fast sparsity-based orthogonal dictionary learning for image restoration", ICCV 2013.
    .. [3] H. Schuetze, E. Barth, T. Martinetz, "Learning orthogonal sparse representations by using geodesic flow
       optimization", IJCNN 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from codebooks import OrthogonalSparseCoding
    >>> X = np.array([[3.0, 1, 0, 0], [2, 1, 0, 0], [0, 0, 1, 2], [0, 0, 1, 3]])
    >>> model = OrthogonalSparseCoding(2, inhibition=None, random_state=0).fit(X)
    >>> bool(np.allclose(model.components_ @ model.components_.T, np.eye(2)))
    True
    >>> bool(np.abs(model.inverse_transform(model.transform(X)) - X).max() < 0.3)
    True
    """

    _State = State
    _turned = ("moment",)
    # A retraction costs as much as the scores of some thousands of documents, so there is one for many rows.
    _n_batches, _largest_batch = 1, 20_000
    _parameter_constraints: ClassVar[dict] = {
        **CodebookLearner._parameter_constraints,
        "algorithm": [StrOptions({"procrustes", "geodesic", "online"})],
        "inhibition": [StrOptions({"auto", "mean", "load"}), None],
        "signed": ["boolean"],
        "threshold": [Interval(Real, 0, None, closed="neither"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "final_learning_rate": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        n_components: int | Literal["auto"] = "auto",
        *,
        algorithm: Literal["procrustes", "geodesic", "online"] = "procrustes",
        n_active: int | None = 1,
        signed: bool = False,
        threshold: float | None = None,
        inhibition: Literal["auto", "mean", "load"] | None = "auto",
        inhibition_strength: float = 0.75,
        revive: bool = True,
        max_iter: int = 50,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        tol: float = 1e-3,
        sparse_output: bool = False,
        learning_rate: float | None = None,
        final_learning_rate: float | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.n_active = n_active
        self.signed = signed
        self.threshold = threshold
        self.inhibition = inhibition
        self.inhibition_strength = inhibition_strength
        self.revive = revive
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.tol = tol
        self.sparse_output = sparse_output
        self.learning_rate = learning_rate
        self.final_learning_rate = final_learning_rate
        self.random_state = random_state
        self.verbose = verbose

    # -- the hooks -----------------------------------------------------------------------------------------------

    def _initialize_state(self, X: Any, n_components: int, rng: Any, sample_weight: Any = None) -> State:
        if n_components > X.shape[1]:
            raise ValueError(
                f"`n_components` of OrthogonalSparseCoding must be at most the number of features, {X.shape[1]}, "
                f"because no more directions are orthogonal, got {n_components}. Use n_components={X.shape[1]} or "
                f"fewer, or KrotovHopfield or InhibitedMixture, whose components may overlap."
            )
        if self.signed:
            drawn = rng.standard_normal((n_components, X.shape[1])).astype(X.dtype)
            directions = ops.to_device_of(drawn, X)
        else:
            directions = initialize_directions(X, n_components, rng, sample_weight)
        components = ops.nearest_orthonormal(directions)
        xp = ops.xp(components)
        none, even = xp.zeros(n_components, X.dtype), xp.full(n_components, 1 / n_components, X.dtype)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        norms = ops.row_norms(X)
        total = multiply_weights(norms.astype(xp.float64), sample_weight).sum()
        length = float(ops.to_host(total / sum_weights(norms > 0, sample_weight)))
        scale = float(2.0 ** -np.round(np.log2(length)))
        state = State(components, xp.zeros_like(components), even, none, 0.0, 0, scale, 0.0, seed, 0)
        return self._initialize_usage(X, state, sample_weight)

    def _compute_statistics(self, X: Any, state: State, sample_weight: Any = None) -> Sums:
        if self.signed:
            found, codes = self._compute_signed_codes(X, state, sample_weight)
            energy = codes * ops.reciprocal(found.norms)[:, None]
            # Rows count by their energy; a constant factor prevents the underflow of squares.
            weight = codes * codes.dtype.type(state.scale)
        else:
            found, codes = self._compute_unsigned_codes(X, state, sample_weight)
            energy = found.score * (codes > 0)
            weight = codes * ops.reciprocal(found.norms)[:, None]
        weight = multiply_weights(weight, sample_weight)
        xp, n_components = ops.xp(codes), len(state.components)
        # One product of all rows is faster if there are many codes.
        if self.signed or self._count_kept(n_components) == n_components > 1:
            spread = xp.zeros((X.shape[0], n_components), X.dtype)
            xp.put_along_axis(spread, found.index, weight, axis=1)
            pull = ops.accumulate(spread, X)
        else:
            pull = ops.scatter_rows(xp.zeros_like(state.components), found.index, weight, X)
        energy = multiply_weights(energy**2, sample_weight).sum()
        return sum_statistics(found, pull, sample_weight)._replace(energy=energy)

    def _update(self, state: State, sums: Sums, progress: Progress) -> State:
        keep = self._compute_retention(sums)
        usage, inhibition = self._update_usage_and_inhibition(state, sums, keep)
        moment, components = sums.pull, state.components
        moment += keep * state.moment
        if self.algorithm == "procrustes":
            components = ops.nearest_orthonormal(_add_components(moment, components))
        return state._replace(
            components=components, moment=moment, usage=usage, inhibition=inhibition, n_updates=state.n_updates + 1
        )

    def _step(self, X: Any, state: State, progress: Progress, sample_weight: Any = None) -> tuple[State, Sums]:
        """Update usage and inhibition; then update the components with the sums, or with one row after another."""
        before, (state, sums) = state, super()._step(X, state, progress, sample_weight)
        if self.algorithm == "procrustes":
            return state, sums
        annealed = max(state.annealed, progress.annealed)
        rate = self._compute_rate(annealed)
        scale, energy, n_rows = self._compute_scale(X, state, rate, sample_weight)
        update = ops.rotate_to_rows if self.algorithm == "geodesic" else ops.deflate_by_rows
        updated = update(
            before.components, X, scale, rate, handicap=before.inhibition, **self._get_selection(len(state.components))
        )
        state = state._replace(
            components=ops.nearest_orthonormal(updated), energy=energy, n_rows=n_rows, annealed=annealed
        )
        return state, sums

    def _encode(self, X: Any, state: State) -> tuple[Any, Any]:
        projections, norms = ops.similarity(X, state.components), ops.row_norms(X)
        xp = ops.xp(projections)
        ranks = self._orient_scores(projections)
        if self.threshold is not None:
            ranks = xp.where(ranks >= self.threshold, ranks, -xp.inf)
        if self._inhibition is not None:
            ranks = ranks - norms[:, None] * state.inhibition
        index = self._rank_kept(ranks)
        kept = xp.take_along_axis(ranks, index, axis=1)
        has_code = (kept[:, 0] > -xp.inf) & projections.any(axis=1)
        codes = xp.maximum(kept, 0) * has_code[:, None]
        # If all projections of a row are negative, the nearest component gets a code of the size of rounding, so that
        # the largest code is that of the winner.
        codes[:, 0] = xp.maximum(codes[:, 0], has_code * norms * xp.finfo(norms.dtype).eps)
        if self.signed:
            codes *= 1 - 2 * (xp.take_along_axis(projections, index, axis=1) < 0)
        out = xp.zeros(projections.shape, X.dtype)
        xp.put_along_axis(out, index, codes.astype(X.dtype, copy=False), axis=1)
        return out, has_code

    # -- codes ---------------------------------------------------------------------------------------------------

    def _orient_scores(self, scores: Any) -> Any:
        return ops.xp(scores).abs(scores) if self.signed else scores

    def _count_kept(self, n_components: int) -> int:
        """Return the largest number of components that a row can keep."""
        if self.n_active is None or self.threshold is not None:
            return n_components
        return min(self.n_active, n_components)

    def _rank_kept(self, ranks: Any) -> Any:
        """Return the components that rows keep, the winner first."""
        n_kept = self._count_kept(ranks.shape[1])
        return ops.top_k(ranks, n_kept) if n_kept < ranks.shape[1] else (-ranks).argsort(axis=1, kind="stable")

    def _compute_unsigned_codes(self, X: Any, state: State, sample_weight: Any) -> tuple[ops.Nearest, Any]:
        """Compute the components that may be kept, by rank, and their codes for rows of length 1."""
        n_kept = self._count_kept(len(state.components))
        found = rank_components(X, state.components, state.inhibition, n_kept, sample_weight)
        # Inhibition lowers the codes of a component that points along the mean row, or it would win every row.
        codes = (found.score - state.inhibition[found.index]).clip(0, None)
        if self.threshold is not None:
            codes *= found.score * found.norms[:, None] >= self.threshold
        return found, codes

    def _compute_signed_codes(self, X: Any, state: State, sample_weight: Any) -> tuple[ops.Nearest, Any]:
        """Compute the components that may be kept, by rank, and their codes for rows as they are."""
        projections, norms = ops.similarity(X, state.components), ops.row_norms(X)
        xp = ops.xp(projections)
        magnitudes, per_length = xp.abs(projections), ops.reciprocal(norms)[:, None]
        index = ops.top_k(magnitudes - norms[:, None] * state.inhibition, self._count_kept(len(state.components)))
        codes = xp.take_along_axis(projections, index, axis=1)
        if self.threshold is not None:
            codes *= xp.abs(codes) >= self.threshold
        total = multiply_weights(magnitudes * per_length, sample_weight).sum(axis=0)
        return ops.Nearest(index, xp.abs(codes) * per_length, norms, total), codes

    def _find_warnings(self, X: Any) -> Iterator[str]:
        # If rows keep several components, one that never wins may be used all the same.
        if self._count_kept(len(self.components_)) == 1:
            yield from super()._find_warnings(X)

    def _advise_on_idle(self, X: Any, n_used: int) -> str:
        if not self.signed:
            advice = super()._advise_on_idle(X, n_used)
            if self.inhibition_strength < 1 and self._inhibition == "mean" and not advice.startswith("The others"):
                advice += (
                    " If all rows have a large part in common, raise inhibition_strength to 1, or centre the rows and "
                    "set signed=True."
                )
            return advice
        return "Signed components are not relocated. Raise n_active: then components are used without winning."

    # -- row by row ----------------------------------------------------------------------------------------------

    def _draw_minibatches(self, n_rows: int, rng: Any) -> Iterator[Any]:
        for rows in super()._draw_minibatches(n_rows, rng):
            # The rows of a minibatch are in the order of the file, which would bias a rule that goes row by row.
            yield rng.permutation(rows) if self.shuffle and self.algorithm != "procrustes" else rows

    def _compute_annealing(self, state: State | None, epoch: int) -> float:
        if self.algorithm == "procrustes":
            return 1.0
        return epoch / max(self.max_iter - 1, 1)

    def _compute_rate(self, annealed: float) -> float:
        first, last = _RATES[self.algorithm]
        if self.learning_rate is not None:
            first, last = self.learning_rate, self.learning_rate * last / first
        if self.final_learning_rate is not None:
            last = self.final_learning_rate
        return float(first * (last / first) ** annealed)

    def _compute_scale(self, X: Any, state: State, rate: float, sample_weight: Any) -> tuple[Any, float, float]:
        """Compute the factor of each row, and the mean energy and the number of the rows up to the last one."""
        norms = ops.row_norms(X)
        xp = ops.xp(norms)
        squares = multiply_weights(norms.astype(xp.float64) ** 2, sample_weight)
        n_rows = state.n_rows + xp.cumsum(multiply_weights(norms > 0, sample_weight))
        energy = (state.energy * state.n_rows + xp.cumsum(squares)) / xp.where(n_rows > 0, n_rows, 1)
        if self.signed:
            scale = xp.where(norms > 0, 1 / xp.sqrt(xp.where(norms > 0, energy, 1)), 0).astype(X.dtype)
        else:
            scale = ops.reciprocal(norms)
        if sample_weight is not None:
            # A step is proportional to the rate and to the square of the factor. No step is larger than 1.
            scale = (scale * xp.sqrt(xp.minimum(sample_weight, max(1 / rate, 1)))).astype(X.dtype)
        return scale, float(ops.to_host(energy[-1])), ops.to_host(n_rows[-1]).item()

    def _get_selection(self, n_components: int) -> dict[str, Any]:
        """Return the arguments of the row by row rules that select codes."""
        threshold = -1.0 if self.threshold is None else self.threshold
        return {"n_active": self._count_kept(n_components), "threshold": threshold, "signed": self.signed}

    # -- revival -------------------------------------------------------------------------------------------------

    @property
    def _n_epochs(self) -> int:
        return self.max_iter * (1 + (self.algorithm == "procrustes" and self._revives))

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
        """Train without revival first: an idle component can take a direction only from other components."""
        run = partial(super()._run_epochs, X, rng, sample_weight=sample_weight, tasks=tasks)
        if self.algorithm != "procrustes":
            return run(state, revive=revive)
        settled, n_epochs = run(state, revive=False)
        if not self._revives or bool((settled.usage > 0).all()):
            return settled, n_epochs
        revived, n_more = run(settled, revive=True)
        energies = [self._compute_explained_energy(X, one.components, sample_weight) for one in (settled, revived)]
        return (revived if energies[1] > energies[0] - LARGEST_LOSS else settled), n_epochs + n_more

    def _compute_contrast(self, sums: Sums) -> Any:
        # One of the components may explain the part that all rows have in common; then differences do not shrink.
        return 1.0

    @property
    def _inhibition(self) -> str | None:
        if self.inhibition == "auto":
            return None if self.signed else "mean"
        return self.inhibition

    @property
    def _revives(self) -> bool:
        return self.revive and not self.signed

    def _find_redundant(self, X: Any, state: State, labels: Any, sample_weight: Any = None) -> list[Any]:
        return []  # orthonormal components are never redundant

    def _revive_idle(self, X: Any, state: State, sample_weight: Any = None) -> State:
        revived = super()._revive_idle(X, state, sample_weight)
        if revived is state:
            return state
        return revived._replace(components=ops.nearest_orthonormal(revived.components))


def _add_components(moment: Any, components: Any) -> Any:
    """Add a small part of the components before to the moment, in proportion to its size in their directions."""
    xp = ops.xp(moment)
    size = xp.vdot(moment.T, components.T) / len(moment)
    return moment + (_OLD_PART * xp.where(size > 0, size, 1)).astype(moment.dtype) * components
