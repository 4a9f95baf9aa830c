"""A linear head over embeddings that draws together what is known to belong together, and never harms ranking."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from codebooks import ops
from codebooks.base import ArrayTransformer, Interval, StrOptions, check_random_state, fit_context
from codebooks.embeddings._head_closed_form import Groups, compute_barlow_loss, fit_closed_form_head
from codebooks.embeddings._head_sgd import TEMPERATURES, Settings, fit_sgd_heads
from codebooks.embeddings._head_validation import (
    Fold,
    Look,
    Verdict,
    choose_epoch,
    decide,
    describe_collapse,
    evaluate_fold,
    split_groups,
    summarize_epoch,
)
from codebooks.errors import short_repr
from codebooks.validation.arrays import check_targets, refuse_sparse, restore_on_error

__all__ = ["PairedHead"]


class PairedHead(ArrayTransformer):
    """Learn from known pairs or groups which directions of an embedding matter, and keep that only if it helps.

    Rows with the same answer vary among themselves in directions that say nothing of the answer. A linear head weighs
    these down. By default it is a closed form [1]_: with S the covariance of rows around the centroid of their group,
    m its mean eigenvalue, mu the mean of all rows and s the ridge::

        z = H (x - mu)        H = ((S / m + s I) / (1 + s))^(-1/2)

    that is partial whitening inside groups, where H tends to the identity as s grows, or the same directions as
    canonical axes (`residual=False` or `n_components`), which is the linear Barlow head and shrinkage LDA. With
    `solver="sgd"` the head is learned by gradient descent in torch, `z = (I + W) (x - mu)`, from one of three
    objectives:

    - "barlow" [1]_: the cross-correlation of the two rows of a pair, each feature standardised over the batch, is to be
      the identity, `sum_i (1 - C_ii)^2 + redundancy sum_{i != j} C_ij^2`;
    - "simcse" [2]_: the partner of each row among all rows of the batch, `-log softmax_j(cos(z_i, z'_j) / temperature)`
      at j = i, where rows of one group are no negatives;
    - "marginal" [3]_: any row of the group among all others, `-log sum_{j in group(i)} softmax_{j != i}(cos(z_i, z_j) /
      temperature)`.

    A loss that falls, and clusters that shrink, do not say that ranking improves. So each head is learned five times
    without a fifth of the groups, and asked for the first other row of the same group, by cosine among all rows, for
    rows of the groups held out. It is kept if its mean gain in reciprocal rank exceeds one standard error and it ranks
    above chance; otherwise `transform` gives rows back as they are, with a warning and `improved_` False.

    Parameters
    ----------
    objective : {"barlow", "simcse", "marginal"}, default="barlow"
        What is learned. The closed form is Barlow's; the others want `solver="sgd"`.
    solver : {"eigen", "sgd"}, default="eigen"
        The closed form, in NumPy, deterministic and done in seconds; or gradient descent, which wants torch for `fit`
        (not for `transform`).
    n_components : int, optional
        How many features come out; default: as many as come in.
    residual : bool, default=True
        Whether what is learned is added to what was there. Without it, or with fewer components, the head is canonical
        axes ("eigen") or starts from random ones ("sgd").
    ridge : float, default=3.0
        Of "eigen": how much of the mean variance inside groups is added to each direction's; more is closer to the
        identity. It is what many rows get: with few, s is `ridge * (1 + 2 n_features / (rows - groups))`, as their
        covariance is known less well.
    temperature : float, optional
        Of "simcse" (default .05) and "marginal" (default .07).
    redundancy : float, default=0.0051
        Of "barlow": what correlations between features weigh, lambda in [1]_. "sgd" learns by it; the closed form does
        not depend on it, and tells its loss by it in `history_`.
    decay : float, default=0.0
        Of "sgd": a penalty on the squared distance of the weights from where they began.
    learning_rate : float, default=1e-3
        Of "sgd", with Adam.
    batch_size : int, default=512
        Of "sgd": about so many rows at a time, taken as small bags of one group.
    max_iter : int, default=15
        Of "sgd": at most so many epochs. The head is that of the last epoch which ranked held-out groups within one
        standard error of the best: what is known is learned as long as what is new does not suffer.
    random_state : int, RandomState instance or None, default=None
        Of "sgd": batches and first weights. The folds are always the same.

    Attributes
    ----------
    components_ : ndarray of shape (n_features_out, n_features)
        The head, `transform(X) = (X - mean_) @ components_.T`; the identity where no head was kept.
    mean_ : ndarray of shape (n_features,)
        Of the rows learned from; zeros where no head was kept.
    candidate_ : ndarray of shape (n_components or n_features, n_features)
        The head as it was learned, kept or not; the identity where none could be judged.
    improved_ : bool
        Whether a head was kept.
    gain_, gain_error_ : float
        Mean gain in reciprocal rank over the folds, and its standard error; nan where it could not be judged.
    history_ : list of dict
        `epoch` (0 is no head; the closed form has epoch 1 only), `loss` on the rows learned from (nan for 0 of "sgd"),
        and of held-out groups `distance` (mean distance of a row to its group's centroid, at length 1), `mrr` and
        `isoscore`, all means over the folds.
    n_iter_ : int
        Epochs of the head that was judged.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Notes
    -----
    Rows that are alone in their group teach nothing, and stand among the others as strangers. Judging wants four groups
    of two rows; with fewer the identity is kept. It asks for at most 2,000 rows a fold, among some 20,000.

    A collapsed head (all outputs at one point or along one direction, or half of the dimensions lost) is named in a
    warning.

    CuPy arrays are transformed on their device. `fit` moves them to the host, where heads are learned and judged, and
    the head that it kept back to theirs.

    References
    ----------
    .. [1] J. Zbontar et al., "Barlow Twins", ICML 2021 (arXiv 2103.03230). The closed form follows from its loss for a
       linear head, with pairs drawn inside groups: it is regularised canonical correlation analysis of the two rows.
    .. [2] T. Gao et al., "SimCSE", EMNLP 2021 (arXiv 2104.08821).
    .. [3] K. Guu et al., "REALM", ICML 2020 (arXiv 2002.08909): the answer's likelihood, summed over what is retrieved.

    Examples
    --------
    >>> import numpy as np
    >>> from codebooks import PairedHead
    >>> rng = np.random.default_rng(0)
    >>> answers = np.repeat(np.arange(40), 5)
    >>> X = rng.standard_normal((40, 8))[answers] + rng.standard_normal((200, 8)) * [3, 3, 3, 3, 0.1, 0.1, 0.1, 0.1]
    >>> head = PairedHead(ridge=0.1).fit(X, answers)
    >>> head.improved_
    True
    >>> before, after = head.history_
    >>> after["mrr"] > before["mrr"] + 0.1
    True
    >>> head.transform(X).shape
    (200, 8)
    """

    _parameter_constraints: ClassVar[dict] = {
        "objective": [StrOptions({"barlow", "simcse", "marginal"})],
        "solver": [StrOptions({"eigen", "sgd"})],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "residual": ["boolean"],
        "ridge": [Interval(Real, 0, None, closed="neither")],
        "temperature": [Interval(Real, 0, None, closed="neither"), None],
        "redundancy": [Interval(Real, 0, None, closed="left")],
        "decay": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 4, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        objective: str = "barlow",
        *,
        solver: str = "eigen",
        n_components: int | None = None,
        residual: bool = True,
        ridge: float = 3.0,
        temperature: float | None = None,
        redundancy: float = 0.0051,
        decay: float = 0.0,
        learning_rate: float = 1e-3,
        batch_size: int = 512,
        max_iter: int = 15,
        random_state: Any = None,
    ):
        self.objective = objective
        self.solver = solver
        self.n_components = n_components
        self.residual = residual
        self.ridge = ridge
        self.temperature = temperature
        self.redundancy = redundancy
        self.decay = decay
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.random_state = random_state

    # -- learning ----------------------------------------------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> PairedHead:
        """Learn from rows of which those with the same `y` belong together.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings; float32 stays float32.
        y : array-like of shape (n_samples,)
            Which group (answer, intent) a row belongs to: numbers or strings.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` is empty, all zeros, or holds NaN or infinity, `y` or one of its groups is missing, `y` does not fit
            `X`, or the settings do not go together.
        TypeError
            If `X` is sparse or text, or groups are of several kinds.
        ImportError
            If `solver="sgd"` and there is no torch.
        """
        with restore_on_error(self):
            self._check_settings()
            X = self._check_dense(X, reset=True)
            self._check_components(X)
            complaints = self._fit(ops.to_host(X), self._number_groups(y, len(X)))
            self._move_to_device_of(X)
        for complaint in complaints:
            warnings.warn(complaint, UserWarning, stacklevel=3)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_pairs(self, A: Any, B: Any) -> PairedHead:
        """Learn from pairs: row i of `A` and row i of `B` belong together.

        Equal rows are one row, so that a question with three answers makes one group of four.

        Parameters
        ----------
        A, B : array-like of shape (n_pairs, n_features)
            Embeddings by the same encoder.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `A` and `B` differ in length or features, or as for `fit`.
        TypeError, ImportError
            As for `fit`.
        """
        with restore_on_error(self):
            self._check_settings()
            A = self._check_dense(A, reset=True)
            B = self._check_dense(B, reset=True)
            if A.shape != B.shape:
                raise ValueError(
                    f"PairedHead wants two rows for each pair and got A of shape {A.shape} and B of shape {B.shape}. "
                    f"Row i of both must belong together; groups of other sizes go to fit(X, y)."
                )
            self._check_components(A)
            complaints = self._fit(*_merge_pairs(ops.to_host(A), ops.to_host(B)))
            self._move_to_device_of(A)
        for complaint in complaints:
            warnings.warn(complaint, UserWarning, stacklevel=3)
        return self

    def transform(self, X: Any) -> NDArray:
        """Rows behind the head; as they are where no head was kept.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components or n_features)
            float32 where `X` is.
        """
        X = self._check_dense(X, reset=False)
        if not self.improved_:
            return X.copy()
        return (X - self.mean_.astype(X.dtype)) @ self.components_.T.astype(X.dtype)

    def _fit(self, X: NDArray, groups: Groups) -> list[str]:
        """Learn, judge, publish; gives what the user should hear."""
        seed = int(check_random_state(self.random_state).randint(2**31)) if self.solver == "sgd" else 0
        folds = split_groups(groups)
        if not folds:
            self._keep_identity(X)
            n_shared = int((np.bincount(groups) > 1).sum())
            return [
                f"PairedHead keeps embeddings as they are (improved_ is False): judging a head wants at least 4 groups "
                f"of two rows, and {n_shared} of the {int(groups.max()) + 1} groups in {len(X)} rows have two."
            ]
        raw = [evaluate_fold(X, groups, fold) for fold in folds]
        looks, losses = self._run_trials(X, groups, folds, seed)
        mean = X.mean(axis=0)
        best = choose_epoch(raw, looks)
        verdict = decide(raw, looks[best], groups, folds)
        head = self._fit_head(X - mean, groups, best + 1, seed).astype(X.dtype)
        collapse = describe_collapse(X, (X - mean) @ head.T)
        self._keep_identity(X)
        told = zip([self._compute_initial_loss(X, groups, folds), *losses], [raw, *looks], strict=True)
        self.history_ = [summarize_epoch(epoch, loss, look) for epoch, (loss, look) in enumerate(told)]
        self.n_iter_, self.gain_, self.gain_error_ = best + 1, verdict.gain, verdict.error
        self.candidate_ = head
        if verdict.improved:
            self.components_, self.mean_, self.improved_ = head, mean, True
        return self._build_warnings(verdict, collapse)

    def _move_to_device_of(self, X: Any) -> None:
        """What was learned on the host goes where the rows are."""
        for name in ("components_", "candidate_", "mean_"):
            setattr(self, name, ops.to_device_of(getattr(self, name), X))

    def _build_warnings(self, verdict: Verdict, collapse: str) -> list[str]:
        complaints = []
        if collapse:
            advice = "a larger ridge" if self.solver == "eigen" else "residual=True, or a smaller learning_rate"
            complaints.append(f"PairedHead collapsed: {collapse}. Try {advice}.")
        if not verdict.improved:
            complaints.append(f"PairedHead keeps embeddings as they are (improved_ is False): {verdict.complaint}.")
        return complaints

    def _keep_identity(self, X: NDArray) -> None:
        self.components_ = self.candidate_ = np.eye(X.shape[1], dtype=X.dtype)
        self.mean_ = np.zeros(X.shape[1], dtype=X.dtype)
        self.improved_, self.history_, self.n_iter_ = False, [], 1
        self.gain_ = self.gain_error_ = float("nan")

    def _compute_initial_loss(self, X: NDArray, groups: Groups, folds: list[Fold]) -> float:
        """The loss without a head, told as that of a head is: on the rows learned from, the mean over folds."""
        if self.solver == "sgd":
            return np.nan  # a loss of batches, and none has been drawn
        losses = [
            compute_barlow_loss(X[fold.learned], _renumber_groups(groups, fold), self.redundancy) for fold in folds
        ]
        return float(np.mean(losses))

    def _run_trials(
        self, X: NDArray, groups: Groups, folds: list[Fold], seed: int
    ) -> tuple[list[list[Look]], list[float]]:
        """After each epoch: what held-out groups look like in each fold, and the mean loss."""
        looks: list[list[Look]] = []
        losses: list[list[float]] = []
        for fold in folds:
            learned = _renumber_groups(groups, fold)
            centred = X - X[fold.learned].mean(axis=0)
            for epoch, (head, loss) in enumerate(self._fit_heads(centred[fold.learned], learned, self.max_iter, seed)):
                if epoch == len(looks):
                    looks.append([])
                    losses.append([])
                looks[epoch].append(evaluate_fold(centred @ head.T.astype(X.dtype), groups, fold))
                losses[epoch].append(loss)
        return looks, [float(np.mean(loss)) for loss in losses]

    def _fit_head(self, X: NDArray, groups: Groups, n_epochs: int, seed: int) -> NDArray:
        """The head after so many epochs on all rows."""
        *_, (head, _) = self._fit_heads(X, groups, n_epochs, seed)
        return head

    def _fit_heads(self, X: NDArray, groups: Groups, n_epochs: int, seed: int) -> Iterator[tuple[NDArray, float]]:
        """The head after each epoch, with its loss; one of the closed form."""
        if self.solver == "eigen":
            head = fit_closed_form_head(X, groups, self.ridge, self.n_components, self.residual)
            yield head, compute_barlow_loss(X @ head.T.astype(X.dtype), groups, self.redundancy)
            return
        settings = Settings(
            self.objective,
            self.n_components,
            self.residual,
            TEMPERATURES[self.objective] if self.temperature is None else self.temperature,
            self.redundancy,
            self.decay,
            self.learning_rate,
            self.batch_size,
            n_epochs,
        )
        length = np.linalg.norm(X, axis=1).mean()
        yield from fit_sgd_heads(X / length if length > 0 else X, groups, settings, seed)

    # -- what comes in -----------------------------------------------------------------------------------------------

    def _check_dense(self, X: Any, *, reset: bool) -> Any:
        refuse_sparse(self, X)
        return self._check(X, reset=reset)

    def _number_groups(self, y: Any, n_rows: int) -> Groups:
        """Groups as 0, 1, ..."""
        if y is None:
            raise ValueError(
                "PairedHead requires y to be passed, but the target y is None. Give the group of each row, or give "
                "pairs to fit_pairs."
            )
        y = check_targets(self, y, n_rows)
        if y.ndim != 1:
            raise ValueError(f"PairedHead wants one group for each row and got y of shape {y.shape}.")
        return np.unique(y, return_inverse=True)[1].ravel()

    def _check_settings(self) -> None:
        if self.solver == "eigen" and self.objective != "barlow":
            raise ValueError(
                f"objective={short_repr(self.objective)} has no closed form. "
                f"Use PairedHead({short_repr(self.objective)}, solver='sgd'), "
                f"which wants torch, or objective='barlow'."
            )

    def _check_components(self, X: NDArray) -> None:
        if self.n_components is not None and self.n_components > X.shape[1]:
            raise ValueError(
                f"PairedHead wants n_components of at most the {X.shape[1]} features of X and got {self.n_components}."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.target_tags.required = True
        return tags


def _renumber_groups(groups: Groups, fold: Fold) -> Groups:
    """The groups of the rows that a fold learns from as 0, 1, ... without gaps."""
    return np.unique(groups[fold.learned], return_inverse=True)[1]


def _merge_pairs(A: NDArray, B: NDArray) -> tuple[NDArray, Groups]:
    """The different rows of both, and the groups that pairs link them to."""
    rows, index = np.unique(np.vstack([A, B]), axis=0, return_inverse=True)
    first, second = np.split(index.ravel(), 2)
    links = csr_matrix((np.ones(len(first), dtype=bool), (first, second)), shape=(len(rows), len(rows)))
    return rows, connected_components(links, directed=False)[1].astype(np.intp)
