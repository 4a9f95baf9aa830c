"""Orthogonal sparse coding: an orthonormal codebook, learned from the few codes that each row keeps."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from codebooks import ops
from codebooks.base import Interval, StrOptions
from codebooks.models.base import LARGEST_LOSS, CodebookLearner, Progress
from codebooks.models.initialization import initialize_directions
from codebooks.models.statistics import Sums, sum_statistics

# First and last step of the rules that go row by row, for rows whose mean squared length is 1.
_RATES = {"geodesic": (0.8, 0.08), "online": (0.1, 0.001)}
# A trace of the old units is added to the moment, so that a unit stays where it is when nothing pulls it.
_HOLD = 1e-3


class State(NamedTuple):
    """What the units know after `n_updates` minibatches."""

    components: Any  # (n_components, n_features) orthonormal rows ("U'")
    moment: Any  # (n_components, n_features) decayed sums of rows times their codes ("M")
    usage: Any  # (n_components,) share of rows won, a running mean
    inhibition: Any  # (n_components,) what is taken off a unit's score before units are ranked
    energy: float  # mean squared length of the rows seen so far
    n_rows: int  # how many these are; empty rows do not count
    scale: float  # power of two, near the reciprocal of the mean length of the first rows
    annealed: float  # share of the schedules of the row by row rules that is over
    seed: int  # of every random draw after the start
    n_updates: int


class OrthogonalSparseCoding(CodebookLearner):
    r"""An orthonormal codebook: units that share no direction, so that nothing is learned twice.

    With orthonormal units :math:`U` (one a row) the best code of a row :math:`x` with `n_active` terms is closed form:
    the projections :math:`a = U x`, all but the `n_active` largest set to 0. What is learned is the :math:`U` that
    minimises :math:`\sum \|x - U^\top a\|^2`. Orthonormality to machine precision holds after every update.

    Three rules find it. "procrustes" gathers :math:`M = \sum a x^\top` over minibatches and takes the orthonormal
    matrix nearest to it, :math:`(M M^\top)^{-1/2} M`: block coordinate descent [2]_ that forgets slowly, with no
    learning rate. "geodesic" follows the gradient on the group of rotations [3]_ row by row: with :math:`y` what the
    kept codes explain of :math:`x`, all units turn in the plane of :math:`y` and :math:`x - y` by the angle
    :math:`\epsilon \|y\| \|x - y\|`, which takes two passes over the codebook. It finds bases that are used densely,
    where the other two fail. "online" is the rule as published [1]_: units are visited from the largest projection on,
    made orthogonal to those before, and kept ones take a Hebbian step towards what is left of the row.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of units, at most the number of features; "auto" is min(10, n_features).
    algorithm : {"procrustes", "geodesic", "online"}, default="procrustes"
        "procrustes" learns from sums over rows and is fast on sparse text; the other two go row by row.
    n_active : int or None, default=1
        How many units each row keeps, in learning and in its code; None keeps all. One gives the best topics; signals,
        with `signed=True` and centred, want more: begin with an eighth of the units.
    signed : bool, default=False
        False, for text, counts and other data in which only presence speaks: units are ranked by value, codes are
        never negative, and rows are learned from with length 1. True, for images, sound and other signals: units are
        ranked by magnitude, and rows weigh with their energy, as the squared error of a reconstruction does.
    threshold : float, optional
        Keep the codes whose value (magnitude if `signed`) reaches this, in the units of `X`, instead of the `n_active`
        largest. It is the least of :math:`\|x - U^\top a\|^2 + \lambda \|a\|_0` with :math:`\lambda` its square; the
        authors' code takes one number for both. A row in which no code reaches it has none, and the label -1.
    inhibition : {"auto", "mean", "load"} or None, default="auto"
        What is subtracted from the score of a unit before the ranking, and from its code: "mean" a part of its running
        mean score, "load" a bias that grows while it wins more than an even share. It is kept at prediction. "auto" is
        "mean", and None if `signed`. Without it, one unit that points along what all rows have in common (the
        brightness of images, an offset) wins every row.
    inhibition_strength : float in [0, 1], default=0.75
        The part of it that is subtracted. Raise it to 1 for images and other data with a large common part.
    revive : bool, default=True
        Whether a unit that wins nothing takes a part of the samples of a unit that explains its samples poorly. Nothing
        is revived if `signed`: units of fine detail serve without winning, and a unit that is never kept holds a
        direction that no row has.
    max_iter : int, default=50
        Passes over the rows at most; "procrustes" makes as many again where it revives units.
    batch_size : int or "auto", default="auto"
        Rows per update; "auto" is all of them, but at most 20,000.
    shuffle : bool, default=True
        Whether each pass visits the rows in a new order.
    tol : float, default=1e-3
        "procrustes" stops when the explained energy has not risen by this share for three passes. The other two make
        all passes, as their learning rates fall to the last.
    sparse_output : bool, default=False
        Whether `transform` returns a CSR matrix. The codes are the same; it saves memory, as most of them are 0.
    learning_rate, final_learning_rate : float, optional
        First and last step. "geodesic" goes from 0.8 to a tenth of the first step, "online" from 0.1 to a hundredth,
        as published. They are meant for rows of length 1, or, when `signed`, for rows scaled so that the mean squared
        length of those seen so far is 1. In `fit` the step falls geometrically from pass to pass; `partial_fit` goes
        on with the step of the last pass, which is the first step where no `fit` came before.
    random_state : int, RandomState or None, default=None
        Seed of the start, the order of rows and revival.
    verbose : int, default=0
        1 prints a line per pass, 2 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Orthonormal units, one a row.
    labels_ : ndarray of shape (n_samples,), int64
        Winning unit of each row last learned from; -1 for empty rows.
    usage_ : ndarray of shape (n_components,)
        Share of rows won.
    inhibition_ : ndarray of shape (n_components,)
        What is taken off each unit's score.
    moment_ : ndarray of shape (n_components, n_features)
        Decayed sums of rows times codes, with which `partial_fit` carries on.
    energy_, n_rows_, scale_, annealed_ : float, int, float, float
        Mean squared length of the rows seen, their number (passes counted), a constant factor of `moment_` if `signed`,
        and the share of the schedules behind.
    n_iter_, n_updates_ : int
        Passes made and minibatches seen.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, where the input had names

    Notes
    -----
    Units are never redundant, so `fit` revives idle units only after learning without revival has settled, and
    keeps the result only if the explained energy falls by less than .01. Images and other data with a large common
    part are best centred and coded with `signed=True`; on raw pixels labels of `KrotovHopfield` agree better with
    groups.

    In a stream, `partial_fit` gives new themes to units that have become idle. `moment_` remembers two minibatches
    or 50 rows for each unit, whichever is more, so units of themes that no longer come are free only after some
    three times as many rows. With fewer rows of new themes, or no spare unit, new themes share the units of old
    ones; the other two learners then separate them sooner.

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
    # A retraction costs as much as scoring some thousands of documents, so there is one for many rows.
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

    def _initialize_state(self, X: Any, n_components: int, rng: Any) -> State:
        if n_components > X.shape[1]:
            raise ValueError(
                f"OrthogonalSparseCoding wants at most as many units as features and got n_components={n_components} "
                f"for {X.shape[1]} features: no more directions are orthogonal. Use n_components={X.shape[1]} or "
                f"fewer, or KrotovHopfield or InhibitedMixture, whose units may overlap."
            )
        if self.signed:
            drawn = rng.standard_normal((n_components, X.shape[1])).astype(X.dtype)
            directions = ops.to_device_of(drawn, X)
        else:
            directions = initialize_directions(X, n_components, rng)
        components = ops.nearest_orthonormal(directions)
        xp = ops.xp(components)
        none, even = xp.zeros(n_components, X.dtype), xp.full(n_components, 1 / n_components, X.dtype)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        norms = ops.row_norms(X)
        length = float(ops.to_host(norms.astype(xp.float64).sum() / (norms > 0).sum()))
        scale = float(2.0 ** -np.round(np.log2(length)))
        state = State(components, xp.zeros_like(components), even, none, 0.0, 0, scale, 0.0, seed, 0)
        return self._initialize_usage(X, state)

    def _compute_statistics(self, X: Any, state: State) -> Sums:
        if self.signed:
            found, codes = self._compute_signed_codes(X, state)
            energy = codes * ops.reciprocal(found.norms)[:, None]
            # Rows weigh with their energy; a constant factor keeps the squares of small numbers from vanishing.
            weight = codes * codes.dtype.type(state.scale)
        else:
            found, codes = self._compute_unsigned_codes(X, state)
            energy = found.score * (codes > 0)
            weight = codes * ops.reciprocal(found.norms)[:, None]
        xp, n_units = ops.xp(codes), len(state.components)
        if self.signed or self._n_kept(n_units) == n_units > 1:  # many codes: one product of all beats picking rows
            spread = xp.zeros((X.shape[0], n_units), X.dtype)
            xp.put_along_axis(spread, found.index, weight, axis=1)
            pull = ops.accumulate(spread, X)
        else:
            pull = ops.scatter_rows(xp.zeros_like(state.components), found.index, weight, X)
        return sum_statistics(found, pull)._replace(energy=(energy**2).sum())

    def _update(self, state: State, sums: Sums, progress: Progress) -> State:
        keep = self._compute_retention(sums)
        usage, inhibition = self._update_usage_and_inhibition(state, sums, keep)
        moment, components = sums.pull, state.components
        moment += keep * state.moment
        if self.algorithm == "procrustes":
            components = ops.nearest_orthonormal(_keep_trace(moment, components))
        return state._replace(
            components=components, moment=moment, usage=usage, inhibition=inhibition, n_updates=state.n_updates + 1
        )

    def _step(self, X: Any, state: State, progress: Progress) -> tuple[State, Sums]:
        """Sums over the minibatch and what follows from them; the row by row rules then go through its rows."""
        begun, (state, sums) = state, super()._step(X, state, progress)
        if self.algorithm == "procrustes":
            return state, sums
        annealed = max(state.annealed, progress.annealed)
        scale, energy, n_rows = self._compute_scale(X, state)
        update = ops.rotate_to_rows if self.algorithm == "geodesic" else ops.deflate_by_rows
        n_active, threshold, signed = self._choose_codes(state)
        learned = update(
            begun.components,
            X,
            scale,
            self._compute_rate(annealed),
            handicap=begun.inhibition,
            n_active=n_active,
            threshold=threshold,
            signed=signed,
        )
        state = state._replace(
            components=ops.nearest_orthonormal(learned), energy=energy, n_rows=n_rows, annealed=annealed
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
        index = self._kept(ranks)
        kept = xp.take_along_axis(ranks, index, axis=1)
        won = (kept[:, 0] > -xp.inf) & projections.any(axis=1)
        codes = xp.maximum(kept, 0) * won[:, None]
        # Where no unit points along a row, the nearest one shows that it won by a code of the size of rounding.
        codes[:, 0] = xp.maximum(codes[:, 0], won * norms * xp.finfo(norms.dtype).eps)
        if self.signed:
            codes *= 1 - 2 * (xp.take_along_axis(projections, index, axis=1) < 0)
        out = xp.zeros(projections.shape, X.dtype)
        xp.put_along_axis(out, index, codes.astype(X.dtype, copy=False), axis=1)
        return out, won

    # -- what a row keeps ----------------------------------------------------------------------------------------

    def _orient_scores(self, scores: Any) -> Any:
        return ops.xp(scores).abs(scores) if self.signed else scores

    def _n_kept(self, n_units: int) -> int:
        """How many units come into question for a row."""
        if self.n_active is None or self.threshold is not None:
            return n_units
        return min(self.n_active, n_units)

    def _kept(self, ranks: Any) -> Any:
        """Which units are kept, the winner first."""
        n_kept = self._n_kept(ranks.shape[1])
        return ops.top_k(ranks, n_kept) if n_kept < ranks.shape[1] else (-ranks).argsort(axis=1, kind="stable")

    def _compute_unsigned_codes(self, X: Any, state: State) -> tuple[ops.Nearest, Any]:
        """The units that may be kept, by rank, and their codes for rows of length 1."""
        found = ops.find_nearest(X, state.components, state.inhibition, self._n_kept(len(state.components)))
        # What all rows have in common counts less, or one unit that points there would win every row.
        codes = (found.score - state.inhibition[found.index]).clip(0, None)
        if self.threshold is not None:
            codes *= found.score * found.norms[:, None] >= self.threshold
        return found, codes

    def _compute_signed_codes(self, X: Any, state: State) -> tuple[ops.Nearest, Any]:
        """The units that may be kept, by rank, and their codes for rows as they are."""
        projections, norms = ops.similarity(X, state.components), ops.row_norms(X)
        xp = ops.xp(projections)
        strength, per_length = xp.abs(projections), ops.reciprocal(norms)[:, None]
        index = ops.top_k(strength - norms[:, None] * state.inhibition, self._n_kept(len(state.components)))
        codes = xp.take_along_axis(projections, index, axis=1)
        if self.threshold is not None:
            codes *= xp.abs(codes) >= self.threshold
        total = (strength * per_length).sum(axis=0)
        return ops.Nearest(index, xp.abs(codes) * per_length, norms, total), codes

    def _find_warnings(self, X: Any) -> Iterator[str]:
        # Where rows keep several units, one that never wins may serve all the same.
        if self._n_kept(len(self.components_)) == 1:
            yield from super()._find_warnings(X)

    def _advise_on_idle(self, X: Any, n_used: int) -> str:
        if not self.signed:
            advice = super()._advise_on_idle(X, n_used)
            if self.inhibition_strength < 1 and self._inhibition == "mean" and not advice.startswith("The others"):
                advice += (
                    " If all rows have much in common, raise inhibition_strength to 1, or centre them and set signed."
                )
            return advice
        return "Signed components are not relocated. Raise n_active, with which components serve without winning."

    # -- row by row ----------------------------------------------------------------------------------------------

    def _draw_minibatches(self, n_rows: int, rng: Any) -> Iterator[Any]:
        for rows in super()._draw_minibatches(n_rows, rng):
            # Within a minibatch these come in the order of the file, which a rule that goes row by row would learn.
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

    def _compute_scale(self, X: Any, state: State) -> tuple[Any, float, int]:
        """What each row is multiplied by before its turn, and the mean energy and number of rows with these."""
        norms = ops.row_norms(X)
        xp = ops.xp(norms)
        squares = norms.astype(xp.float64) ** 2
        n_rows = state.n_rows + xp.cumsum(norms > 0)
        energy = (state.energy * state.n_rows + xp.cumsum(squares)) / xp.maximum(n_rows, 1)
        if self.signed:
            scale = xp.where(norms > 0, 1 / xp.sqrt(xp.where(norms > 0, energy, 1)), 0).astype(X.dtype)
        else:
            scale = ops.reciprocal(norms)
        return scale, float(ops.to_host(energy[-1])), int(ops.to_host(n_rows[-1]))

    def _choose_codes(self, state: State) -> tuple[int, float, bool]:
        """How the row by row rules choose what a row keeps: number, threshold (-1 for none), sign."""
        return self._n_kept(len(state.components)), -1.0 if self.threshold is None else self.threshold, self.signed

    # -- revival -------------------------------------------------------------------------------------------------

    def _run_epochs(
        self, X: Any, rng: Any, state: State | None = None, *, revive: bool | None = None
    ) -> tuple[State, int]:
        """Learn without revival first: no direction is free, so an idle unit can take one only from others."""
        if self.algorithm != "procrustes":
            return super()._run_epochs(X, rng, state, revive=revive)
        settled, n_epochs = super()._run_epochs(X, rng, state, revive=False)
        if not self._revives or bool((settled.usage > 0).all()):
            return settled, n_epochs
        revived, n_more = super()._run_epochs(X, rng, settled, revive=True)
        energies = [self._compute_explained_energy(X, found.components) for found in (settled, revived)]
        return (revived if energies[1] > energies[0] - LARGEST_LOSS else settled), n_epochs + n_more

    def _compute_contrast(self, sums: Sums) -> Any:
        return 1.0  # one of several orthonormal units may explain what all rows share: then differences do not shrink

    @property
    def _inhibition(self) -> str | None:
        if self.inhibition == "auto":
            return None if self.signed else "mean"
        return self.inhibition

    @property
    def _revives(self) -> bool:
        return self.revive and not self.signed

    def _find_redundant(self, X: Any, state: State, labels: Any) -> list[Any]:
        return []  # orthonormal units never learn the same

    def _revive_idle(self, X: Any, state: State) -> State:
        revived = super()._revive_idle(X, state)
        if revived is state:
            return state
        return revived._replace(components=ops.nearest_orthonormal(revived.components))

    def _split_component(self, state: State, parent: int, idle: int, offset: Any) -> None:
        super()._split_component(state, parent, idle, offset)
        moment = state.moment
        half, turned = moment[parent] / 2, ops.row_norms(moment[parent : parent + 1]) / 2 * offset
        moment[idle], moment[parent] = half + turned, half - turned


def _keep_trace(moment: Any, components: Any) -> Any:
    """The moment with a trace of the old units, in proportion to what a unit has gathered in its own direction."""
    xp = ops.xp(moment)
    size = xp.vdot(moment.T, components.T) / len(moment)
    return moment + (_HOLD * xp.where(size > 0, size, 1)).astype(moment.dtype) * components
