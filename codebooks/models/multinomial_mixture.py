"""Multinomial mixture for text, in which words count by their saliency."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from codebooks import ops
from codebooks.base import iterate_row_blocks
from codebooks.models.base import CodebookLearner, Progress
from codebooks.models.initialization import initialize_directions
from codebooks.models.reservoir import Reservoir, add_rows, draw_rows, mark_start
from codebooks.models.statistics import multiply_weights, sum_weights
from codebooks.validation.arrays import check_counts, check_sample_weight

# Length of each row after scaling: a text of six words has the weight six, and the weight grows as the square root of
# the number of words, because the words of a long text are not independent.
_ROW_NORM = math.sqrt(6)
# Smoothing of counts: a constant, and a part of the mean count that a word has in a component.
_FLOOR, _SHARE = 0.1, 0.3
# Counts of this weight, divided as the components are, are added to those of a word before its saliency is computed.
_BACKGROUND = 3.0
# The factor of the logarithm of a component's number of rows in the score, and what is added to that number.
_PRIOR, _FEWEST_ROWS = 0.5, 0.1
# In learning, gates whose scores are this far below the largest are zero.
_REACH = math.log(100)
# Shares of a row are computed in this number of steps, which start from the gates and the sizes of components in equal
# parts. The gates have the weight of one word. Shares below this one, or below this part of an even share, are zero.
_N_SHARE_STEPS, _GATE_WEIGHT, _LEAST_SHARE, _LEAST_PART = 10, 1.0, 1e-2, 0.5
# Counts go back two minibatches, and at least 25 rows for each component on average.
_MEMORY_BATCHES, _MEMORY_ROWS = 2, 25
# The scale of a column is the mean over about this number of its first entries, computed in this number of rounds.
_ENOUGH_ENTRIES, _N_SCALE_ROUNDS = 50, 3
# Lower bound of mean saliencies.
_LEAST_SALIENCY = 1e-6
# Starts that are compared, updates of each from rows of the first minibatch, and the number of these rows: this number,
# or this number for each component if that is more. Energies with a smaller relative difference are equal, so that
# rounding does not choose.
_N_STARTS, _N_START_UPDATES, _ROUNDING = 3, 3, 1e-5
_START_ROWS, _START_ROWS_EACH = 2_000, 25
# On a stream counts go back a half of the rows so far, as in `fit`, up to half of this number of rows.
_STREAM_PART, _LONGEST_STREAM = 2, 40_000
# Rows of a stream that are kept, updates from them after a new start, and rows drawn from them for each new row.
_RESERVOIR, _N_RESTART_UPDATES, _REPLAY = 10_000, 20, 3
# batch_size="auto" is a quarter of the rows, but at least this number. With smaller minibatches more components become
# empty.
_SMALLEST_BATCH = 500


class State(NamedTuple):
    """State after `n_updates` minibatches."""

    components: Any  # (n_components, n_features) share of each word in the counts of a component
    mass: Any  # (n_components,) decayed counts of words
    n_rows: Any  # (n_components,) decayed numbers of rows
    usage: Any  # (n_components,) share of rows won, a running mean
    inhibition: Any  # (n_components,) minus the logarithm of the prior, which is subtracted from scores
    log_scale: Any  # (n_features,) float64, mean logarithm of the entries of a column less the levels of their rows
    scale_counts: Any  # (n_features,) float64, numbers of entries of these means
    mean_saliency: Any  # () mean saliency of the words of recent rows
    reservoir: Reservoir | None  # sample of the rows so far, if minibatches may be in any order
    seed: int  # of every random draw after initialisation
    n_updates: int


class Sums(NamedTuple):
    """Statistics of some rows. Those of two blocks of rows are the sums of their fields."""

    columns: Any  # (n_columns,) words of the rows, or all
    pull: Any  # (n_components, n_columns) counts of these words, weighted by the gates
    shares: Any  # (n_components,) gates, summed
    wins: Any  # (n_components,) rows won
    energy: Any  # scores of the winners, summed
    saliency: Any  # saliency of all words, summed
    n_words: Any  # weights of all words, summed
    log_sums: Any  # (n_features,) logarithms of entries less the levels of their rows
    log_counts: Any  # (n_features,) numbers of these entries
    n_rows: Any  # rows that are not empty, or the sum of their sample weights


class MultinomialMixture(CodebookLearner):
    r"""Find topics in text; use it like `LatentDirichletAllocation` or `NMF`.

    `transform` returns the shares of topics in each document, `codebooks.topic_words` the words of each topic, and
    `predict` the topic with the largest share. It is the learner to prefer for text as counts, tf-idf or BM25 weights,
    in particular for short text. For embeddings, images and other data that is dense or has negative values, use
    `KrotovHopfield`.

    Each document is drawn from one of several word distributions, and words that distinguish topics count for more.
    Each row is first divided by the scale of its columns, which removes an idf, and scaled to the Euclidean norm
    :math:`\sqrt 6`. With :math:`x` such a row, :math:`N_{kv}` the decayed counts of word v in component k, and
    :math:`M_k` the decayed number of its rows, the score of component k is

    .. math:: S_k = \sum_v x_v \omega_v \ln \frac{\theta_{kv}}{p_v} + \tfrac12 \ln(M_k + 0.1),

    where :math:`\theta_{kv}` is the smoothed share of word v in component k, :math:`p_v` its share in all components,
    and :math:`\omega_v`, its saliency, grows with how unevenly components use the word. With the gates
    :math:`g = \mathrm{softmax}(S)` the update is :math:`N_k \leftarrow \rho N_k + \sum_x g_k x`: online expectation
    maximisation [1]_ of a mixture of multinomials [2]_ [3]_, in which counts go back about two minibatches.

    In learning each document has one topic; `transform` then divides the words of a document among all topics, as LDA
    and PLSA [4]_ do. Its shares :math:`s` sum to 1 and are computed by ten steps of

    .. math:: s_k \propto g_k + \sum_v x_v \omega_v \frac{s_k \theta_{kv}}{\sum_j s_j \theta_{jv}},

    so that a document about two topics has two large shares. Shares below .01 (for more than 50 components, below half
    an even share) are zero.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of topics; "auto" is min(10, n_features). `codebooks.choose_n_components` estimates it from data.
    max_iter : int, default=50
        Largest number of passes over the rows.
    batch_size : int or "auto", default="auto"
        Rows per update; "auto" is a quarter of the rows, but at least 500 and at most 10,000.
    shuffle : bool, default=True
        Whether each pass visits the rows in a new order. Set False to learn in exactly the order of `partial_fit`.
    tol : float, default=1e-3
        Learning stops when the mean score of the winners has not risen by this share for three passes.
    sparse_output : bool, default=False
        Whether `transform` returns a CSR matrix of the same shares. Use it for many components: most shares are zero.
    random_state : int, RandomState or None, default=None
        Seed of the initialisation and of the order of rows.
    verbose : int, default=0
        1 prints a line per pass, 2 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Word distributions, one a row; each sums to 1.
    labels_ : ndarray of shape (n_samples,), int64
        The component with the largest share of each row of the last `fit` or `partial_fit`; -1 for empty rows.
    usage_ : ndarray of shape (n_components,)
        Share of rows won, weighted by `sample_weight`.
    mass_ : ndarray of shape (n_components,)
        Decayed counts of the words of each component.
    n_rows_ : ndarray of shape (n_components,)
        Decayed numbers of the rows of each component.
    inhibition_ : ndarray of shape (n_components,)
        Minus the prior term of the score.
    log_scale_ : ndarray of shape (n_features,)
        Logarithms of the scales of columns: for tf-idf the logarithm of idf, up to a constant.
    scale_counts_ : ndarray of shape (n_features,)
        Numbers of entries from which these are computed.
    mean_saliency_ : ndarray of shape ()
        Divisor of saliencies.
    n_iter_, n_updates_ : int
        Passes and minibatches.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, if the input has names

    See Also
    --------
    KrotovHopfield : For embeddings, images and other dense or signed data.
    codebooks.topic_words : Words of each topic.
    codebooks.choose_n_components : Estimate the number of topics.

    Notes
    -----
    `partial_fit` and unshuffled passes also keep a uniform sample of at most 10,000 of the rows so far, from which they
    learn again, so that a stream may begin with few rows or be sorted. If there are more components than topics, some
    may become empty: `usage_` shows them, and a warning names them.

    References
    ----------
    .. [1] B. Nessler, M. Pfeiffer, W. Maass, "STDP enables spiking neurons to detect hidden causes of their inputs",
       NIPS 2009, on winner-take-all circuits as online expectation maximisation.
    .. [2] K. Nigam, A. McCallum, S. Thrun, T. Mitchell, "Text classification from labeled and unlabeled documents using
       EM", Machine Learning 39 (2000), 103-134.
    .. [3] J. Yin, J. Wang, "A Dirichlet multinomial mixture model-based approach for short text clustering", KDD 2014.
    .. [4] T. Hofmann, "Probabilistic latent semantic indexing", SIGIR 1999, on folding in.

    Examples
    --------
    >>> from codebooks import MultinomialMixture
    >>> X = [[3, 1, 0, 0], [2, 1, 0, 0], [0, 0, 1, 2], [0, 0, 1, 3]]
    >>> model = MultinomialMixture(2, random_state=0).fit(X)
    >>> bool(model.labels_[0] == model.labels_[1] != model.labels_[2] == model.labels_[3])
    True
    >>> model.components_.sum(axis=1).round(6).tolist()
    [1.0, 1.0]
    """

    _State = State
    _score_name = "mean score"
    _smallest_batch = _SMALLEST_BATCH
    _lowest_confidence = 0.0
    _confidence_name = "gate"
    _revives = False
    _inhibition = None
    _n_starts: ClassVar[int] = _N_STARTS  # `choose_n_components` fits many models with one start each
    _parameter_constraints: ClassVar[dict] = {
        name: CodebookLearner._parameter_constraints[name]
        for name in (
            "n_components",
            "max_iter",
            "batch_size",
            "shuffle",
            "tol",
            "sparse_output",
            "random_state",
            "verbose",
        )
    }

    def __init__(
        self,
        n_components: int | Literal["auto"] = "auto",
        *,
        max_iter: int = 50,
        batch_size: int | Literal["auto"] = "auto",
        shuffle: bool = True,
        tol: float = 1e-3,
        sparse_output: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.tol = tol
        self.sparse_output = sparse_output
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _check(self, X: Any, *, reset: bool = False) -> Any:
        return check_counts(self, super()._check(X, reset=reset))

    # -- the four hooks ------------------------------------------------------------------------------------------

    def _initialize_state(self, X: Any, n_components: int, rng: Any, sample_weight: Any = None) -> State:
        """Return the best of several starts, by the scores of the winners after some updates from the same rows."""
        n_features, xp = X.shape[1], ops.xp(X)
        filled = np.flatnonzero(ops.to_host(ops.row_norms(X)) > 0)
        n_rows = _count_rows(filled, sample_weight)
        size = max(_START_ROWS, _START_ROWS_EACH * n_components)
        if len(filled) > size:
            filled = np.sort(rng.choice(filled, size, replace=False))
        n_used = _count_rows(filled, sample_weight)
        columns, X = ops.select_used_columns(ops.weigh_entries(ops.take_rows(X, filled), xp.ones(n_features), 1.0))
        weight = None if sample_weight is None else sample_weight[ops.to_device_of(filled, sample_weight)]
        scale = _compute_scale(X, weight)
        best: tuple[float, Any] = (-math.inf, None)
        for _ in range(self._n_starts):
            state = self._initialize_state_once(X, scale, n_components, rng, weight)
            for _ in range(_N_START_UPDATES):
                sums = self._compute_statistics(X, state, weight)
                state = self._update(state, sums, Progress(1.0, 0, self.max_iter))
            energy = float(ops.to_host(self._compute_statistics(X, state, weight).energy))
            if energy > best[0] + _ROUNDING * abs(energy):
                best = energy, state
        state = best[1]
        factor = _count_remembered_rows(n_rows, n_components) / _count_remembered_rows(n_used, n_components)
        rows = (state.n_rows * factor).astype(X.dtype)
        return state._replace(
            components=_expand_columns(state.components, columns, n_features),
            mass=state.mass * X.dtype.type(factor),
            n_rows=rows,
            inhibition=_negative_log_prior(rows),
            log_scale=_expand_columns(state.log_scale, columns, n_features),
            scale_counts=_expand_columns(state.scale_counts, columns, n_features),
            n_updates=0,
        )

    def _initialize_state_once(
        self, X: Any, scale: tuple[Any, Any], n_components: int, rng: Any, sample_weight: Any
    ) -> State:
        log_scale, counts = scale
        xp, n_features = ops.xp(log_scale), X.shape[1]
        n_rows = X.shape[0] if sample_weight is None else float(ops.to_host(sample_weight.sum()))
        rarity = xp.log((1 + n_rows) / (1 + counts)) + 1
        weighted = ops.weigh_entries(X, xp.exp(-log_scale) * rarity, 1.0)
        directions = initialize_directions(weighted, n_components, rng, sample_weight)
        found = ops.find_nearest(weighted, directions, xp.zeros(n_components, X.dtype), 1)
        words = ops.weigh_entries(X, xp.exp(-log_scale), _ROW_NORM)
        pull = xp.zeros((n_components, n_features), X.dtype)
        weight = xp.ones(X.shape[0], X.dtype) if sample_weight is None else sample_weight
        ops.scatter_rows(pull, found.index, weight[:, None], words)
        rows = ops.sum_by_index(found.index[:, 0], weight, n_components)
        factor = _count_remembered_rows(n_rows, n_components) / n_rows
        mass = pull.sum(axis=1)
        components = xp.where(mass[:, None] > 0, pull * ops.reciprocal(mass)[:, None], X.dtype.type(1 / n_features))
        rows = (rows * factor).astype(X.dtype)
        state = State(
            components=xp.asfortranarray(components),
            mass=mass * X.dtype.type(factor),
            n_rows=rows,
            usage=(rows / rows.sum()).astype(X.dtype),
            inhibition=_negative_log_prior(rows),
            log_scale=log_scale,
            scale_counts=counts,
            mean_saliency=xp.ones((), X.dtype),
            reservoir=None,
            seed=int(rng.randint(np.iinfo(np.int32).max)),
            n_updates=0,
        )
        sums = self._compute_statistics(X, state, sample_weight)
        return state._replace(mean_saliency=_divide(sums.saliency, sums.n_words, X.dtype))

    def _compute_statistics(self, X: Any, state: State, sample_weight: Any = None) -> Sums:
        words, columns, (_, saliency, _), found = self._score_components(X, state, _REACH)
        is_filled = ops.row_norms(words) > 0
        filled = multiply_weights(is_filled.astype(words.dtype), sample_weight)
        pull = ops.accumulate(multiply_weights(found.gates, sample_weight), words)
        counts = pull.sum(axis=0)
        is_needed = state.scale_counts < _ENOUGH_ENTRIES
        log_sums, log_counts = ops.sum_column_logs(X, state.log_scale, is_needed, sample_weight)
        return Sums(
            columns=columns,
            pull=pull,
            shares=filled @ found.gates,
            wins=ops.sum_by_index(found.winner, filled, len(state.mass)).astype(words.dtype),
            energy=filled @ found.peak,
            saliency=counts @ saliency,
            n_words=counts.sum(),
            log_sums=log_sums,
            log_counts=log_counts,
            n_rows=sum_weights(is_filled, sample_weight),
        )

    def _update(self, state: State, sums: Sums, progress: Progress) -> State:
        xp, dtype, n_components = ops.xp(sums.wins), sums.wins.dtype, len(sums.wins)
        n_seen = state.reservoir.n_seen if state.reservoir else 0
        memory = xp.maximum(
            _count_remembered_rows(sums.n_rows, n_components), min(n_seen, _LONGEST_STREAM) / _STREAM_PART
        )
        recent = (sums.n_rows / memory).astype(dtype)
        keep = 1 - recent
        n_rows = xp.where(sums.n_rows > 0, sums.n_rows, 1)
        usage = keep * state.usage + recent * sums.wins / n_rows.astype(dtype)
        mass = keep * state.mass + sums.pull.sum(axis=1)
        weight = ops.reciprocal(mass)
        fade = xp.where(mass > 0, keep * state.mass * weight, 1).astype(dtype)  # without counts nothing changes
        rows = keep * state.n_rows + sums.shares
        counts = state.scale_counts + sums.log_counts
        log_scale = (state.scale_counts * state.log_scale + sums.log_sums) / xp.where(counts > 0, counts, 1)
        saliency = _divide(sums.saliency, sums.n_words, dtype)
        return State(
            components=ops.decay_and_add(state.components, fade, sums.columns, sums.pull, weight),
            mass=mass,
            n_rows=rows,
            usage=usage,
            inhibition=_negative_log_prior(rows),
            log_scale=log_scale,
            scale_counts=counts,
            mean_saliency=(keep * state.mean_saliency + recent * saliency).astype(dtype),
            reservoir=state.reservoir,
            seed=state.seed,
            n_updates=state.n_updates + 1,
        )

    def _step(self, X: Any, state: State, progress: Progress, sample_weight: Any = None) -> tuple[State, Any]:
        """Learn from one minibatch, and from a sample of earlier ones if minibatches may be in any order.

        A stream may be sorted, and its first minibatch may be small. Therefore a uniform sample of all rows is kept
        during the first pass. Three rows are drawn from it for each new one and learned from as well, and whenever
        the number of rows has doubled, learning starts anew from the sample, if that explains the sample better.
        """
        is_first_pass = progress.epoch == 0 and (state.reservoir is not None or state.n_updates == 0)
        is_small = X.shape[0] < _MEMORY_ROWS * len(state.mass)
        if not is_first_pass or (progress.is_shuffled and not is_small):
            return super()._step(X, state._replace(reservoir=None), progress, sample_weight)
        rng = np.random.default_rng([state.seed, state.n_updates])
        size = max(_RESERVOIR, _MEMORY_ROWS * len(state.mass))
        reservoir = add_rows(state.reservoir, X, size, rng, sample_weight)
        n_before = state.reservoir.n_rows if state.reservoir else 0
        if state.reservoir is None:  # the state is initialised from these rows
            reservoir = mark_start(reservoir)
        elif reservoir.n_seen >= 2 * reservoir.n_started:
            reservoir = mark_start(reservoir)
            weight = reservoir.sample_weight
            weight = None if weight is None else ops.to_device_of(weight.astype(X.dtype), X)
            state = self._restart(ops.to_device_of(reservoir.rows, X), state, progress, weight)
        rows, weight = X, sample_weight
        if n_before and reservoir.n_rows > n_before:
            drawn, weight_of_drawn = draw_rows(reservoir, _REPLAY * (reservoir.n_rows - n_before), rng)
            rows = ops.stack_rows([ops.take_rows(X, np.arange(X.shape[0])), ops.to_device_of(drawn, X)])
            weight = _join_weights(X, sample_weight, drawn, weight_of_drawn)
        state = state._replace(reservoir=reservoir)
        sums = self._compute_statistics(rows, state, weight)
        return self._update(state, sums, progress), sums

    def _restart(self, X: Any, state: State, progress: Progress, weight: Any = None) -> State:
        """Start anew from the rows of a reservoir, unless the given state explains them better."""
        rng = np.random.RandomState([state.seed, state.n_updates % 2**32])
        new = self._initialize_state(X, len(state.mass), rng, weight)
        for _ in range(_N_RESTART_UPDATES):
            new = self._update(new, self._compute_statistics(X, new, weight), progress)
        if bool(self._compute_statistics(X, state, weight).energy >= self._compute_statistics(X, new, weight).energy):
            return state
        order = _match_components(*(self._encode(X, one)[0] for one in (state, new)))
        moved = {name: getattr(new, name)[order] for name in ("components", "mass", "n_rows", "usage", "inhibition")}
        moved["components"] = ops.xp(new.mass).asfortranarray(moved["components"])
        return new._replace(**moved, seed=state.seed, n_updates=state.n_updates)

    def _encode(self, X: Any, state: State) -> tuple[Any, Any]:
        words, _, (table, saliency, totals), (gates, _, _) = self._score_components(X, state)
        has_label = ops.similarity(words, (totals > 0).astype(words.dtype)[None])[:, 0] > 0
        xp, n_components = ops.xp(gates), gates.shape[1]
        weight = saliency / xp.maximum(state.mean_saliency, _LEAST_SALIENCY)
        lifts = xp.exp(table * ops.reciprocal(saliency))
        shares = 0.5 * (gates + state.n_rows / state.n_rows.sum())
        least = min(_LEAST_SHARE, _LEAST_PART / n_components)
        shares = ops.fold_in(words, weight, lifts, shares, _GATE_WEIGHT * gates, n_steps=_N_SHARE_STEPS, least=least)
        shares[~has_label] = 1 / n_components
        return shares, has_label

    def _describe_groups(self, X: Any, labels: Any, n_groups: int, state: State, n_samples: int) -> State:
        xp, dtype = ops.xp(state.components), state.components.dtype
        words = ops.weigh_entries(X, xp.exp(-state.log_scale), _ROW_NORM)
        # The same part of the rows that counts of other components go back to.
        part = (state.n_rows.sum() / max(n_samples, 1)).astype(dtype)
        pull = xp.zeros((n_groups, X.shape[1]), dtype)
        index = ops.to_device_of(labels[:, None], state.components)
        ops.scatter_rows(pull, index, xp.full(index.shape, part), words)
        rows = ops.to_device_of(np.bincount(labels, minlength=n_groups), state.components).astype(dtype)
        mass = pull.sum(axis=1)
        return state._replace(
            components=xp.asfortranarray(pull * ops.reciprocal(mass)[:, None]),
            mass=mass,
            n_rows=rows * part,
            usage=rows / max(len(labels), 1),
            inhibition=_negative_log_prior(rows * part),
        )

    def _align_features(self, X: Any, state: State, columns: Any) -> State:
        aligned = super()._align_features(X, state, columns)
        log_scale, counts = _compute_scale(X, None)
        return aligned._replace(log_scale=log_scale, scale_counts=counts, reservoir=None)

    def _extend_features(self, X: Any, state: State, columns: Any) -> State:
        aligned, xp = super()._align_features(X, state, columns), ops.xp(state.components)
        is_new = ops.to_device_of(columns < 0, state.components)
        before = ops.to_device_of(np.maximum(columns, 0), state.components)
        log_scale = xp.where(is_new, 0, state.log_scale[before])
        counts = xp.where(is_new, 0, state.scale_counts[before])
        for _ in range(_N_SCALE_ROUNDS):
            sums, n_entries = ops.sum_column_logs(X, log_scale, is_new)
            log_scale = xp.where(is_new, sums / xp.maximum(n_entries, 1), log_scale)
        lost = state.components.sum(axis=1) - (state.components[:, before] * ~is_new).sum(axis=1)
        return aligned._replace(
            mass=(state.mass * (1 - lost)).astype(state.mass.dtype),
            log_scale=log_scale,
            scale_counts=counts,
            reservoir=None,
        )

    def _compute_lengths(self, components: Any) -> Any:
        return components.sum(axis=1)

    def _assign_words(self, state: State, columns: Any, components: Any) -> State:
        """Move all counts of the words `columns` to these components, one for each word."""
        xp = ops.xp(state.components)
        mass, distributions = state.mass.copy(), state.components.copy(order="F")
        counts = mass[:, None] * distributions[:, columns]
        moved = xp.zeros_like(counts)
        moved[components, xp.arange(len(columns))] = counts.sum(axis=0)
        mass += (moved - counts).sum(axis=1)
        distributions *= (state.mass * ops.reciprocal(mass))[:, None]
        distributions[:, columns] = moved * ops.reciprocal(mass)[:, None]
        return state._replace(components=distributions, mass=mass)

    # -- the rule ------------------------------------------------------------------------------------------------

    def _score_components(
        self, X: Any, state: State, reach: float = math.inf
    ) -> tuple[Any, Any, Any, ops.Responsibilities]:
        """Compute the gates of rows and what they are computed from.

        The results are the rows without the scale of columns, the columns that they contain (all columns if there are
        few), the results of `lift` for these columns, and the gates.
        """
        xp = ops.xp(state.log_scale)
        words = ops.weigh_entries(X, xp.exp(-state.log_scale), _ROW_NORM)
        columns = xp.arange(X.shape[1])
        if words.nnz < X.shape[1]:
            columns, words = ops.select_used_columns(words)
        lifted = ops.compute_log_lifts(state.components, state.mass, columns, _FLOOR, _SHARE, _BACKGROUND)
        scale = 1 / xp.maximum(state.mean_saliency, _LEAST_SALIENCY)
        scores = ops.similarity(words, lifted[0])
        return words, columns, lifted, ops.compute_responsibilities(scores, scale, state.inhibition, reach)

    def _score_rows(self, X: Any, state: State) -> tuple[Any, Any]:
        """Compute the component with the largest score and the log likelihood of the salient words of each row.

        The likelihood is relative to that of the same words in all components together: it is 0 for one component.
        `choose_n_components` uses both.
        """
        words, _, (table, _, _), found = self._score_components(X, state)
        xp = ops.xp(table)
        lifts = ops.similarity(words, table) / xp.maximum(state.mean_saliency, _LEAST_SALIENCY)
        joint = lifts + xp.log(state.n_rows / state.n_rows.sum() + 1e-12)
        peaks = joint.max(axis=1)
        return found.winner, peaks + xp.log(xp.exp(joint - peaks[:, None]).sum(axis=1))

    # -- prediction ----------------------------------------------------------------------------------------------

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        r"""Compute the mean log likelihood per word: higher is better, also on held-out rows.

        With :math:`x` a row without the scale of columns, of Euclidean norm :math:`\sqrt 6`, it is
        :math:`\sum_x \ln \sum_k \pi_k \exp(\sum_v x_v \ln \theta_{kv}) / \sum_x \sum_v x_v`, the natural logarithm of
        the probability that a row has these words, for each of them. It does not use saliency. Compare models of the
        same features only.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
            The number of times that each sample counts, zero or more.

        Returns
        -------
        float
            At most 0. Empty rows are left out; 0 if there are no others.
        """
        X, state = self._check(X), self._get_state()
        sample_weight = check_sample_weight(self, sample_weight, X)
        xp = ops.xp(state.components)
        logs, prior = self._log_distributions(state), xp.log(state.n_rows / state.n_rows.sum() + 1e-12)
        total, n_words = 0.0, 0.0
        for block, weight in self._iterate_weighted_blocks(X, sample_weight):
            words = ops.weigh_entries(block, xp.exp(-state.log_scale), _ROW_NORM)
            scores = (ops.similarity(words, logs) + prior).astype(xp.float64)
            peaks = scores.max(axis=1)
            # An empty row adds the logarithm of 1.
            likelihood = peaks + xp.log(xp.exp(scores - peaks[:, None]).sum(axis=1))
            total += float(ops.to_host(multiply_weights(likelihood, weight).sum()))
            counts = words if weight is None else ops.scale_rows(words, weight)
            n_words += float(ops.to_host(counts.sum()))
        return total / n_words if n_words else 0.0

    def perplexity(self, X: Any, X_observed: Any = None) -> float:
        r"""Compute the perplexity of the counts `X` under the mixture of word distributions: lower is better.

        It is :math:`\exp(-\sum_{dv} x_{dv} \ln \sum_k s_{dk} \theta_{kv} / \sum_{dv} x_{dv})` with the shares
        :math:`s` of the rows of `X_observed`. To compare with other models, such as `LatentDirichletAllocation`, divide
        the words of each unseen document into two halves, infer the shares of topics with each model from one half, and
        compute this number for the other half from the shares and the word distributions of each model (document
        completion [1]_).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Counts of the words to predict.
        X_observed : array-like or sparse matrix of shape (n_samples, n_features), optional
            Counts of the words from which shares are inferred. None stands for `X`, which gives a lower perplexity.

        Returns
        -------
        float
            At least 1; 1 if `X` has no words.

        References
        ----------
        .. [1] H. Wallach, I. Murray, R. Salakhutdinov, D. Mimno, "Evaluation methods for topic models", ICML 2009.
        """
        X = self._check(X)
        observed = X if X_observed is None else self._check(X_observed)
        if observed.shape[0] != X.shape[0]:
            raise ValueError(
                f"`X_observed` must have the {X.shape[0]} rows of X, got {observed.shape[0]}. Give both halves of the "
                f"same documents."
            )
        state = self._get_state()
        xp = ops.xp(state.components)
        distributions = xp.exp(self._log_distributions(state))
        total, n_words = 0.0, 0.0
        for rows in iterate_row_blocks(X, 4 * X.shape[1] * X.dtype.itemsize):
            shares, _ = self._encode(ops.take_rows(observed, rows), state)
            mixed = xp.log(shares @ distributions)
            counts = ops.convert_to_format_of(ops.take_rows(X, rows), mixed)
            total += float(ops.to_host((counts * mixed).sum()))
            n_words += float(ops.to_host(counts.sum()))
        return math.exp(-total / n_words) if n_words else 1.0

    def _log_distributions(self, state: State) -> Any:
        """Compute the logarithms of the smoothed word distributions."""
        xp = ops.xp(state.components)
        counts = state.mass[:, None] * state.components
        counts += _FLOOR + _SHARE / len(counts) * counts.sum(axis=0)
        return xp.log(counts / counts.sum(axis=1, keepdims=True))

    def _compute_confidence(self, X: Any, codes: Any, winners: Any, state: State) -> Any:
        gates = self._score_components(X, state)[-1].gates
        return ops.xp(gates).take_along_axis(gates, winners[:, None], axis=1)[:, 0]

    def _advise_on_idle(self, X: Any, n_used: int) -> str:
        return (
            f"The other components describe their samples too, so n_components={n_used} is enough. Another "
            f"random_state may use all components."
        )


def _count_rows(rows: np.ndarray, sample_weight: Any) -> float:
    """Return the number of some rows, or the sum of their weights."""
    return len(rows) if sample_weight is None else float(ops.to_host(sample_weight)[rows].sum())


def _join_weights(X: Any, sample_weight: Any, drawn: Any, weight_of_drawn: Any) -> Any:
    """Return the weights of the rows of `X` and of the rows drawn from a reservoir; None stands for weights of 1."""
    if sample_weight is None and weight_of_drawn is None:
        return None
    pairs = ((X, sample_weight), (drawn, weight_of_drawn))
    parts = [np.ones(rows.shape[0]) if weight is None else ops.to_host(weight) for rows, weight in pairs]
    return ops.to_device_of(np.concatenate(parts).astype(X.dtype), X)


def _compute_scale(X: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Compute the logarithms of the scales of columns, and the number of entries of each column."""
    xp = ops.xp(X)
    log_scale, everything = xp.zeros(X.shape[1]), xp.ones(X.shape[1], bool)
    for _ in range(_N_SCALE_ROUNDS):
        sums, counts = ops.sum_column_logs(X, log_scale, everything, sample_weight)
        log_scale = sums / xp.where(counts > 0, counts, 1)
    return log_scale, counts


def _count_remembered_rows(n_rows: Any, n_components: int) -> Any:
    """Compute the number of rows to which counts go back, from the number of rows in a minibatch."""
    return np.maximum(_MEMORY_BATCHES * n_rows, _MEMORY_ROWS * n_components)


def _match_components(old: Any, new: Any) -> Any:
    """Return the order of new components in which each has the position of the old one with most rows in common."""
    shared = ops.to_host(old.T @ new)
    return ops.to_device_of(linear_sum_assignment(-shared)[1], old)


def _negative_log_prior(rows: Any) -> Any:
    return -_PRIOR * ops.xp(rows).log(rows + rows.dtype.type(_FEWEST_ROWS))


def _expand_columns(a: Any, columns: Any, n_features: int) -> Any:
    """Return `a` with its last axis spread over these of `n_features` columns, zeros elsewhere."""
    xp = ops.xp(a)
    out = xp.zeros((*a.shape[:-1], n_features), a.dtype, order="F")
    out[..., columns] = a
    return out


def _divide(part: Any, whole: Any, dtype: Any) -> Any:
    """Return `part / whole` as a 0-d array, 0 if both are 0."""
    return (part / ops.xp(part).maximum(whole, np.finfo(dtype).tiny)).astype(dtype)
