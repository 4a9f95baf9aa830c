"""The narrow cone in which embeddings lie, opened: centred, whitened in part, leading directions removed."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.utils.metaestimators import available_if

from codebooks import ops
from codebooks.base import ArrayTransformer, Interval, OneToOneFeatureMixin, fit_context, iterate_row_blocks
from codebooks.models.cosine import normalize_rows
from codebooks.validation.arrays import check_codes, refuse_sparse, restore_on_error

__all__ = ["PartialWhitening"]

_EPSILON = float(np.finfo(np.float64).eps)


class _Moments(NamedTuple):
    """What is known of some rows."""

    n_rows: int
    mean: Any  # (n_features,) float64
    scatter: Any  # (n_features, n_features) float64, the sum of (x - mean) (x - mean)'


def _find_missing_normalization(model: PartialWhitening) -> bool:
    if model.normalize:
        raise AttributeError(
            "PartialWhitening(normalize=True) has no inverse_transform: the lengths of rows are lost. Use "
            "normalize=False."
        )
    return True


class PartialWhitening(OneToOneFeatureMixin, ArrayTransformer):
    r"""Open the narrow cone of embeddings, so that cosines tell more of them apart.

    Embeddings of language models point nearly the same way and vary in a few directions only. With the mean
    :math:`\mu` of the fitted rows and the eigenvalues :math:`\lambda_1 \ge \lambda_2 \ge \dots` and eigenvectors
    :math:`v_i` of their covariance,

    .. math::

        \tilde x = \sum_i g_i\, v_i v_i^\top (x - \mu), \qquad
        g_i = (\lambda_i + s \bar\lambda)^{-a / 2}, \qquad g_1 = \dots = g_r = 0,

    with the power a, the shrinkage s, :math:`\bar\lambda` the mean of all eigenvalues and r directions removed.
    a = 1, s = 0 is whitening [1]_: the covariance becomes the identity, and directions of mere noise weigh as much as
    any other, which costs neighbours. So the defaults go a part of the way. a = 0 and r > 0 is all-but-the-top [2]_,
    a = 0 and r = 0 only centres. Rows are turned back into the coordinates that they came in, so that features keep
    their names and close eigenvalues change places without a trace.

    Parameters
    ----------
    power : float in [0, 1], default=0.25
        How far to whiten.
    shrinkage : float, default=1.0
        How much weak directions are held back, as a multiple of the mean eigenvalue.
    n_remove : int, default=0
        So many leading directions are removed; Mu and Viswanath take one for each hundred features. Directions in
        which the fitted rows do not vary are never removed.
    normalize : bool, default=False
        Scale the results to length 1, so that dot products are cosines. Our learners do not need it.

    Attributes
    ----------
    mean_ : float64 array of shape (n_features,)
    eigenvalues_ : float64 array of shape (n_features,)
        Of the covariance, the sum of squares divided by `n_samples_seen_`; descending.
    components_ : float64 array of shape (n_features, n_features)
        Its eigenvectors, a row each, the entry of largest magnitude positive.
    gains_ : float64 array of shape (n_features,)
        :math:`g_i`, by which the part of a row along each of them is multiplied.
    n_samples_seen_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str, where the input had names

    Notes
    -----
    Mean and covariance add over rows and are kept in float64, so `partial_fit` over blocks equals `fit`. One update
    costs O(n_samples n_features^2 + n_features^3).

    Whitening takes from the leading directions, which many rows share. Many fine groups, such as the intents of
    questions, keep their neighbours with the defaults. A few coarse ones, such as the sections of a newspaper, lie
    along those very directions and lose some; with `power=0` they lose none. How much is measured by
    `python -m benchmarks embeddings --part geometry`. Fit on distinct texts, and on many others sooner than on the few
    that are compared.

    CuPy arrays stay on their device, and what is learned from them is there too.

    Fewer rows than features are enough: with shrinkage, a direction that the fitted rows lack has a finite gain as any
    other; without, it is lost (the pseudo-inverse). Rows that are all alike, or one row, are only centred. Fit again
    after changing a setting.

    References
    ----------
    .. [1] J. Su, J. Cao, W. Liu, Y. Ou, "Whitening sentence representations for better semantics and faster retrieval",
       arXiv 2103.15316.
    .. [2] J. Mu, P. Viswanath, "All-but-the-top: simple and effective postprocessing for word representations", ICLR
       2018.

    Examples
    --------
    >>> import numpy as np
    >>> from codebooks.metrics import average_cosine, isoscore
    >>> cone = 3 + np.random.default_rng(0).standard_normal((500, 8)) * [4, 2, 1, 1, 1, 1, 1, 1]
    >>> opened = PartialWhitening().fit_transform(cone)
    >>> round(average_cosine(cone), 2), abs(average_cosine(opened)) < 0.01
    (0.78, True)
    >>> [round(isoscore(X), 2) for X in (cone, opened)]
    [0.23, 0.32]
    """

    _parameter_constraints: ClassVar[dict] = {
        "power": [Interval(Real, 0, 1, closed="both")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "n_remove": [Interval(Integral, 0, None, closed="left")],
        "normalize": ["boolean"],
    }

    def __init__(self, power: float = 0.25, shrinkage: float = 1.0, n_remove: int = 0, *, normalize: bool = False):
        self.power = power
        self.shrinkage = shrinkage
        self.n_remove = n_remove
        self.normalize = normalize

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> PartialWhitening:
        """Learn the mean and the covariance of the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings, one a row.
        y : ignored

        Returns
        -------
        PartialWhitening
            Itself.

        Raises
        ------
        TypeError
            `X` is sparse, text or a Dask collection.
        ValueError
            A setting is out of range, or `X` is empty, all zeros, or holds NaN or infinity. What was learned before is
            kept.
        """
        with restore_on_error(self):
            X = self._check_rows(X, reset=True)
            self._store_state(_compute_moments(X))
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> PartialWhitening:
        """Learn from some more rows, as if all had come in one `fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            One row is enough.
        y : ignored

        Returns
        -------
        PartialWhitening
            Itself.

        Raises
        ------
        TypeError, ValueError
            As `fit` does; and `X` has other features than the rows before.
        """
        first = not self.__sklearn_is_fitted__()
        with restore_on_error(self):
            more = _compute_moments(self._check_rows(X, reset=first))
            self._store_state(more if first else _merge_moments(self._get_moments(), more))
        return self

    def transform(self, X: Any) -> Any:
        """Rows seen from the mean, their parts along the directions evened out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            float32 where `X` is, else float64. With `normalize`, a row that equals the mean is zero.

        Raises
        ------
        TypeError
            `X` is sparse, text or a Dask collection.
        ValueError
            `X` has other features than the fitted rows, or holds NaN or infinity.
        NotFittedError
            Before `fit`.
        """
        X = self._check_rows(X)
        opened = self._scale_along(X - self.mean_.astype(X.dtype), self.gains_)
        return normalize_rows(opened) if self.normalize else opened

    @available_if(_find_missing_normalization)
    def inverse_transform(self, X: Any) -> Any:
        """The rows that `transform` would turn into these; parts in directions that were removed are the mean's.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as `transform` gives them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            The rows are not finite numbers, or have other features than the fitted ones.
        NotFittedError
            Before `fit`.
        """
        self._check_fitted()
        X = check_codes(self, X, self.n_features_in_, like=self.mean_)
        return self._scale_along(X, ops.reciprocal(self.gains_)) + self.mean_.astype(X.dtype)

    def _scale_along(self, X: Any, gains: Any) -> Any:
        """Rows whose parts along the directions have been multiplied."""
        axes = self.components_.astype(X.dtype)
        parts = ops.similarity(X, axes)
        parts *= gains.astype(X.dtype)
        return parts @ axes

    def _check_rows(self, X: Any, *, reset: bool = False) -> Any:
        refuse_sparse(self, X)
        X = self._check(X, reset=reset)
        if self.n_remove >= X.shape[1]:
            raise ValueError(
                f"PartialWhitening(n_remove={self.n_remove}) wants more features than it removes and got {X.shape[1]}. "
                f"Take one for each hundred features, or n_remove=0."
            )
        return X

    def _store_state(self, known: _Moments) -> None:
        self.n_samples_seen_, self.mean_ = known.n_rows, known.mean
        values, self.components_ = ops.principal_axes(known.scatter / known.n_rows)
        self.eigenvalues_ = values.clip(0)  # rounding may have carried some just below
        # The mean is known to some roundings of its size: what varies less than that does not vary.
        noise = len(values) * _EPSILON * self.eigenvalues_[0] + (8 * _EPSILON) ** 2 * known.mean @ known.mean
        self.gains_ = _compute_gains(self.eigenvalues_, noise, self.power, self.shrinkage, self.n_remove)

    def _get_moments(self) -> _Moments:
        scatter = (self.components_.T * (self.eigenvalues_ * self.n_samples_seen_)) @ self.components_
        return _Moments(self.n_samples_seen_, self.mean_, scatter)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


def _compute_moments(X: Any) -> _Moments:
    n_features = X.shape[1]
    total = None
    for rows in iterate_row_blocks(X, 16 * n_features):
        block = X[rows].astype(np.float64)
        mean = block.mean(axis=0)
        block -= mean
        more = _Moments(len(block), mean, ops.accumulate(block, block))
        total = more if total is None else _merge_moments(total, more)
    assert total is not None  # the door lets no empty matrix in
    return total


def _merge_moments(some: _Moments, more: _Moments) -> _Moments:
    n_rows = some.n_rows + more.n_rows
    step = more.mean - some.mean
    between = step[:, None] * step * (some.n_rows * more.n_rows / n_rows)
    return _Moments(n_rows, some.mean + step * (more.n_rows / n_rows), some.scatter + more.scatter + between)


def _compute_gains(values: Any, noise: Any, power: float, shrinkage: float, n_remove: int) -> Any:
    """Factors along directions with these eigenvalues, descending; those up to `noise` count as zero."""
    xp = ops.xp(values)
    if power == 0 or values[0] <= noise:
        gains = xp.ones_like(values)
    else:
        raised = values + shrinkage * values.mean()
        gains = xp.where(raised > noise, xp.maximum(raised, noise) ** (-power / 2), 0)
    gains[:n_remove][values[:n_remove] > noise] = 0
    return gains
