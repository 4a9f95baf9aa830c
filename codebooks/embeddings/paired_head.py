"""`PairedHead`: a linear transformation of embeddings, learned from pairs or groups of related rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

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
    FoldMetrics,
    Improvement,
    choose_epoch,
    describe_collapse,
    evaluate_fold,
    evaluate_improvement,
    split_groups,
    summarize_epoch,
)
from codebooks.errors import short_repr
from codebooks.validation.arrays import check_targets, refuse_sparse, restore_on_error

if TYPE_CHECKING:
    from typing import Self

__all__ = ["PairedHead"]


class PairedHead(ArrayTransformer):
    """Improve embeddings by known pairs or groups of related rows, such as questions with the same answer.

    The rows of a group differ in directions that do not matter for the group. A linear head reduces these directions.
    It is used only if it improves the ranking of held-out groups.

    The default solver uses a closed form, within-class covariance normalisation (WCCN) [1]_. With S the covariance of
    rows around the centroid of their group, m its mean eigenvalue, mu the mean of all rows and s the ridge::

        z = H (x - mu)        H = ((S / m + s I) / (1 + s))^(-1/2)

    This is partial whitening inside groups; H tends to the identity as s grows. With `residual=False` or
    `n_components`, the result is given in canonical axes, which is the linear Barlow head and shrinkage LDA. With
    `solver="sgd"` the head is learned by gradient descent in torch, `z = (I + W) (x - mu)`, with one of three
    objectives:

    - "barlow" [1]_: make the cross-correlation of the two rows of a pair, with each feature standardised over the
      batch, equal to the identity, `sum_i (1 - C_ii)^2 + redundancy sum_{i != j} C_ij^2`;
    - "simcse" [2]_: find the partner of each row among all rows of the batch, `-log softmax_j(cos(z_i, z'_j) /
      temperature)` at j = i. Rows of the same group are not used as negatives;
    - "marginal" [3]_: find any row of the group among all others, `-log sum_{j in group(i)} softmax_{j != i}(cos(z_i,
      z_j) / temperature)`.

    A lower loss does not imply a better ranking. Each head is therefore cross-validated in five folds over groups: for
    rows of the held-out groups, all rows are ranked by cosine, and the reciprocal rank of the first row of the same
    group is measured. The head is used if its mean gain exceeds one standard error and the ranking is better than
    chance. Otherwise `transform` returns `X` unchanged, `improved_` is False, and `fit` gives a warning.

    Parameters
    ----------
    objective : {"barlow", "simcse", "marginal"}, default="barlow"
        The loss. "simcse" and "marginal" require `solver="sgd"`.
    solver : {"eigen", "sgd"}, default="eigen"
        "eigen" is the closed form: deterministic, takes seconds, needs NumPy only. "sgd" is gradient descent; it
        requires torch for `fit` (not for `transform`).
    n_components : int, optional
        Number of output features; default: the number of input features.
    residual : bool, default=True
        Whether to learn a change of the identity. If False, or with fewer components, the head consists of canonical
        axes ("eigen") or starts from random axes ("sgd").
    ridge : float, default=3.0
        For "eigen": regularisation of the within-group covariance, as a multiple of its mean eigenvalue. Larger values
        are closer to the identity. With few rows s is larger, `ridge * (1 + 2 n_features / (rows - groups))`, because
        their covariance is less certain.
    temperature : float, optional
        For "simcse" (default .05) and "marginal" (default .07).
    redundancy : float, default=0.0051
        For "barlow": weight of the correlations between features, lambda in [1]_. The solution of "eigen" does not
        depend on it; only the loss in `history_` does.
    decay : float, default=0.0
        For "sgd": penalty on the squared distance of the weights from their initial values.
    learning_rate : float, default=1e-3
        For "sgd": learning rate of Adam.
    batch_size : int, default=512
        For "sgd": approximate number of rows in a batch, in small bags of one group each.
    max_iter : int, default=15
        For "sgd": maximum number of epochs. The head of the last epoch is used whose ranking of held-out groups is
        within one standard error of the best.
    random_state : int, RandomState instance or None, default=None
        For "sgd": seed of the batches and the initial weights. The folds do not depend on it.

    Attributes
    ----------
    components_ : ndarray of shape (n_features_out, n_features)
        The head, `transform(X) = (X - mean_) @ components_.T`; the identity if `improved_` is False.
    mean_ : ndarray of shape (n_features,)
        Mean of the training rows; zeros if `improved_` is False.
    candidate_ : ndarray of shape (n_components or n_features, n_features)
        The learned head, used or not; the identity if there were too few groups.
    improved_ : bool
        Whether the head is used.
    gain_, gain_error_ : float
        Mean gain in reciprocal rank over the folds, and its standard error; nan if there were too few groups.
    history_ : list of dict
        `epoch` (0 is the input; the closed form has epoch 1 only), `loss` on the training rows (nan for epoch 0 of
        "sgd"), and for held-out groups `distance` (mean distance of a row of length 1 to the centroid of its group),
        `mrr` and `isoscore`, all means over the folds.
    n_iter_ : int
        Number of epochs of the learned head.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    See Also
    --------
    PartialWhitening : Whitening without groups.
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis : Few classes with many rows each.

    Notes
    -----
    Rows that are alone in their group do not influence the head; in validation they are rows of other groups.
    Validation needs at least four groups of two rows. It uses at most 2,000 queries in each fold, and about 20,000
    rows.

    A warning describes a collapsed head (all outputs at one point or along one direction, or half of the dimensions
    lost).

    CuPy arrays are transformed on their device. `fit` copies them to the host, learns there, and moves the result to
    their device.

    References
    ----------
    .. [1] J. Zbontar et al., "Barlow Twins", ICML 2021 (arXiv 2103.03230). The closed form follows from its loss for a
       linear head, with pairs drawn inside groups: it is regularised canonical correlation analysis of the two rows.
    .. [2] T. Gao et al., "SimCSE", EMNLP 2021 (arXiv 2104.08821).
    .. [3] K. Guu et al., "REALM", ICML 2020 (arXiv 2002.08909): the likelihood of the answer, summed over the
       retrieved documents.

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
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the head from groups of related rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings. float32 is kept.
        y : array-like of shape (n_samples,)
            The group of each row (its answer or intent, for example), as numbers or strings.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` is empty, all zeros, or contains NaN or infinity, `y` or a label is missing, `X` and `y` differ in
            length, or the parameters are not compatible.
        TypeError
            If `X` is sparse or text, or labels are of several types.
        ImportError
            If `solver="sgd"` and torch is not installed.
        """
        with restore_on_error(self):
            self._check_settings()
            X = self._check_dense(X, reset=True)
            self._check_components(X)
            messages = self._fit(ops.to_host(X), self._number_groups(y, len(X)))
            self._move_to_device_of(X)
        for message in messages:
            warnings.warn(message, UserWarning, stacklevel=3)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_pairs(self, A: Any, B: Any) -> Self:
        """Learn the head from pairs: row i of `A` is related to row i of `B`.

        Equal rows are merged, so that a question with three answers becomes one group of four rows.

        Parameters
        ----------
        A, B : array-like of shape (n_pairs, n_features)
            Embeddings of the same encoder.

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
                    f"PairedHead expected `A` and `B` of the same shape, row i of each a pair, got {A.shape} and "
                    f"{B.shape}. Use fit(X, y) for groups of other sizes."
                )
            self._check_components(A)
            messages = self._fit(*_merge_pairs(ops.to_host(A), ops.to_host(B)))
            self._move_to_device_of(A)
        for message in messages:
            warnings.warn(message, UserWarning, stacklevel=3)
        return self

    def transform(self, X: Any) -> NDArray:
        """Apply the head to the rows of `X`; return a copy of `X` if `improved_` is False.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components or n_features)
            float32 if `X` is float32.
        """
        X = self._check_dense(X, reset=False)
        if not self.improved_:
            return X.copy()
        return (X - self.mean_.astype(X.dtype)) @ self.components_.T.astype(X.dtype)

    def _fit(self, X: NDArray, groups: Groups) -> list[str]:
        """Learn and validate the head, set the attributes, and return the warnings."""
        seed = int(check_random_state(self.random_state).randint(2**31)) if self.solver == "sgd" else 0
        folds = split_groups(groups)
        if not folds:
            self._keep_identity(X)
            n_shared = int((np.bincount(groups) > 1).sum())
            return [
                f"PairedHead does not change the embeddings (improved_ is False): it expected at least 4 groups of two "
                f"rows, got {n_shared} among {int(groups.max()) + 1} groups of {len(X)} rows. Add pairs or groups."
            ]
        raw = [evaluate_fold(X, groups, fold) for fold in folds]
        metrics, losses = self._cross_validate(X, groups, folds, seed)
        mean = X.mean(axis=0)
        best = choose_epoch(raw, metrics)
        improvement = evaluate_improvement(raw, metrics[best], groups, folds)
        head = self._fit_head(X - mean, groups, best + 1, seed).astype(X.dtype)
        collapse = describe_collapse(X, (X - mean) @ head.T)
        self._keep_identity(X)
        losses = [self._compute_initial_loss(X, groups, folds), *losses]
        epochs = enumerate(zip(losses, [raw, *metrics], strict=True))
        self.history_ = [summarize_epoch(epoch, loss, fold_metrics) for epoch, (loss, fold_metrics) in epochs]
        self.n_iter_, self.gain_, self.gain_error_ = best + 1, improvement.gain, improvement.error
        self.candidate_ = head
        if improvement.improved:
            self.components_, self.mean_, self.improved_ = head, mean, True
        return self._build_warnings(improvement, collapse)

    def _move_to_device_of(self, X: Any) -> None:
        """Move the fitted arrays to the device of `X`."""
        for name in ("components_", "candidate_", "mean_"):
            setattr(self, name, ops.to_device_of(getattr(self, name), X))

    def _build_warnings(self, improvement: Improvement, collapse: str) -> list[str]:
        messages = []
        if collapse:
            advice = "a larger ridge" if self.solver == "eigen" else "residual=True, or a smaller learning_rate"
            messages.append(f"PairedHead collapsed: {collapse}. Use {advice}.")
        if not improvement.improved:
            messages.append(f"PairedHead does not change the embeddings (improved_ is False): {improvement.reason}.")
        return messages

    def _keep_identity(self, X: NDArray) -> None:
        self.components_ = self.candidate_ = np.eye(X.shape[1], dtype=X.dtype)
        self.mean_ = np.zeros(X.shape[1], dtype=X.dtype)
        self.improved_, self.history_, self.n_iter_ = False, [], 1
        self.gain_ = self.gain_error_ = float("nan")

    def _compute_initial_loss(self, X: NDArray, groups: Groups, folds: list[Fold]) -> float:
        """Compute the loss without a head on the training rows, the mean over folds."""
        if self.solver == "sgd":
            return np.nan  # the loss is defined for batches, and none has been drawn
        losses = [compute_barlow_loss(X[fold.train], _renumber_groups(groups, fold), self.redundancy) for fold in folds]
        return float(np.mean(losses))

    def _cross_validate(
        self, X: NDArray, groups: Groups, folds: list[Fold], seed: int
    ) -> tuple[list[list[FoldMetrics]], list[float]]:
        """Compute the metrics of each epoch in each fold, and the mean loss of each epoch."""
        metrics: list[list[FoldMetrics]] = []
        losses: list[list[float]] = []
        for fold in folds:
            train_groups = _renumber_groups(groups, fold)
            centered = X - X[fold.train].mean(axis=0)
            heads = self._fit_heads(centered[fold.train], train_groups, self.max_iter, seed)
            for epoch, (head, loss) in enumerate(heads):
                if epoch == len(metrics):
                    metrics.append([])
                    losses.append([])
                metrics[epoch].append(evaluate_fold(centered @ head.T.astype(X.dtype), groups, fold))
                losses[epoch].append(loss)
        return metrics, [float(np.mean(loss)) for loss in losses]

    def _fit_head(self, X: NDArray, groups: Groups, n_epochs: int, seed: int) -> NDArray:
        """Return the head after `n_epochs` epochs on all rows."""
        *_, (head, _) = self._fit_heads(X, groups, n_epochs, seed)
        return head

    def _fit_heads(self, X: NDArray, groups: Groups, n_epochs: int, seed: int) -> Iterator[tuple[NDArray, float]]:
        """Yield the head after each epoch, with its loss; the closed form yields one."""
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

    # -- validation --------------------------------------------------------------------------------------------------

    def _check_dense(self, X: Any, *, reset: bool) -> Any:
        refuse_sparse(self, X)
        return self._check(X, reset=reset)

    def _number_groups(self, y: Any, n_rows: int) -> Groups:
        """Return the groups as 0, 1, ... without gaps."""
        if y is None:
            raise ValueError(
                "PairedHead requires y to be passed, but the target y is None. Pass the group of each row, or use "
                "fit_pairs for pairs."
            )
        y = check_targets(self, y, n_rows)
        if y.ndim != 1:
            raise ValueError(
                f"PairedHead expected one group for each row, got y of shape {y.shape}. Use y[:, 0], or fit_pairs for "
                f"pairs."
            )
        return np.unique(y, return_inverse=True)[1].ravel()

    def _check_settings(self) -> None:
        if self.solver == "eigen" and self.objective != "barlow":
            raise ValueError(
                f"`objective` must be 'barlow' with solver='eigen', got {short_repr(self.objective)}, which has no "
                f"closed form. Use solver='sgd', which requires torch, or objective='barlow'."
            )

    def _check_components(self, X: NDArray) -> None:
        if self.n_components is not None and self.n_components > X.shape[1]:
            raise ValueError(
                f"`n_components` must be at most the number of features, {X.shape[1]}, got {self.n_components}. Use a "
                f"smaller number, or None for all."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.target_tags.required = True
        return tags


def _renumber_groups(groups: Groups, fold: Fold) -> Groups:
    """Return the groups of the training rows of a fold as 0, 1, ... without gaps."""
    return np.unique(groups[fold.train], return_inverse=True)[1]


def _merge_pairs(A: NDArray, B: NDArray) -> tuple[NDArray, Groups]:
    """Return the distinct rows of both arrays, and their groups: the connected components of the pairs."""
    rows, index = np.unique(np.vstack([A, B]), axis=0, return_inverse=True)
    first, second = np.split(index.ravel(), 2)
    links = csr_matrix((np.ones(len(first), dtype=bool), (first, second)), shape=(len(rows), len(rows)))
    return rows, connected_components(links, directed=False)[1].astype(np.intp)
