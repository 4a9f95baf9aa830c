"""`PartialWhitening`: center and partly whiten embeddings, to reduce their anisotropy."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from sklearn.utils.metaestimators import available_if

from codebooks import ops
from codebooks.base import ArrayTransformer, Interval, OneToOneFeatureMixin, fit_context, iterate_row_blocks
from codebooks.models.cosine import normalize_rows
from codebooks.validation.arrays import check_codes, refuse_sparse, restore_on_error

if TYPE_CHECKING:
    from typing import Self

__all__ = ["PartialWhitening"]

_EPSILON = float(np.finfo(np.float64).eps)


class _Moments(NamedTuple):
    """Number, mean and scatter matrix of rows."""

    n_rows: int
    mean: Any  # (n_features,) float64
    scatter: Any  # (n_features, n_features) float64, the sum of (x - mean) (x - mean)'


def _has_inverse(model: PartialWhitening) -> bool:
    if model.normalize:
        raise AttributeError(
            "PartialWhitening(normalize=True) has no inverse_transform, because the lengths of rows are lost. Use "
            "normalize=False."
        )
    return True


class PartialWhitening(OneToOneFeatureMixin, ArrayTransformer):
    r"""Center and partly whiten embeddings, so that cosines distinguish them better.

    Embeddings of language models have nearly the same direction (anisotropy), and vary in a few directions only. Use
    this transformer before `NeighborSmoothing`, clustering or search by cosine. With the mean :math:`\mu` of the fitted
    rows and the eigenvalues :math:`\lambda_1 \ge \lambda_2 \ge \dots` and eigenvectors :math:`v_i` of their covariance,

    .. math::

        \tilde x = \sum_i g_i\, v_i v_i^\top (x - \mu), \qquad
        g_i = (\lambda_i + s \bar\lambda)^{-a / 2}, \qquad g_1 = \dots = g_r = 0,

    with the power a, the shrinkage s, :math:`\bar\lambda` the mean of all eigenvalues and r directions removed.
    a = 1, s = 0 is whitening [1]_: the covariance becomes the identity. Directions of noise then have the same weight
    as all others, which makes neighbours worse, so the defaults whiten in part. a = 0 and r > 0 is all-but-the-top
    [2]_; a = 0 and r = 0 only centers. The result is in the original coordinates, so that features keep their names and
    the order of close eigenvalues does not matter.

    Parameters
    ----------
    power : float in [0, 1], default=0.25
        Degree of whitening, from none (0) to full (1). Reduce it if groups are few and large.
    shrinkage : float, default=1.0
        Regularisation of weak directions, as a multiple of the mean eigenvalue. Increase it if there are few rows.
    n_remove : int, default=0
        Number of leading directions to remove. Mu and Viswanath use one for each hundred features. Directions in which
        the fitted rows do not vary are never removed.
    normalize : bool, default=False
        Scale the results to length 1, so that dot products are cosines. The models of this package do not need it.

    Attributes
    ----------
    mean_ : float64 array of shape (n_features,)
    eigenvalues_ : float64 array of shape (n_features,)
        Eigenvalues of the covariance (normalised by `n_samples_seen_`), descending.
    components_ : float64 array of shape (n_features, n_features)
        Its eigenvectors as rows, with the entry of largest magnitude positive.
    gains_ : float64 array of shape (n_features,)
        :math:`g_i`, the factor of each direction.
    n_samples_seen_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str, if the input had names

    See Also
    --------
    NeighborSmoothing : Average embeddings with their nearest neighbors, usually after this transformer.
    PairedHead : Learn from known pairs or groups which directions matter.
    codebooks.metrics.isoscore, codebooks.metrics.average_cosine : Measure anisotropy.

    Notes
    -----
    Mean and covariance are sums over rows in float64, so `partial_fit` over blocks equals `fit`. One update costs
    O(n_samples n_features^2 + n_features^3).

    Whitening reduces the leading directions, which many rows share. Many fine groups, such as the intents of questions,
    keep their neighbours with the defaults. A few coarse groups, such as the sections of a newspaper, differ along
    these directions and lose neighbours; with `power=0` they lose none. `python -m benchmarks embeddings --part
    geometry` measures this. Fit on distinct texts, and on a large set of texts rather than the few to compare.

    CuPy arrays stay on their device, and the fitted attributes are on it too.

    Fewer rows than features are enough. With shrinkage, a direction in which the fitted rows do not vary has a finite
    gain; without, its gain is 0 (pseudo-inverse). Equal rows, or a single row, are only centered. Fit again after
    changing a parameter.

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
    >>> whitened = PartialWhitening().fit_transform(cone)
    >>> round(average_cosine(cone), 2), abs(average_cosine(whitened)) < 0.01
    (0.78, True)
    >>> [round(isoscore(X), 2) for X in (cone, whitened)]
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
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the mean and the covariance of the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Embeddings, one in each row.
        y : ignored

        Returns
        -------
        PartialWhitening
            The fitted transformer.

        Raises
        ------
        TypeError
            `X` is sparse, text or a Dask collection.
        ValueError
            A parameter is out of range, or `X` is empty, all zeros, or contains NaN or infinity. A previous fit is
            kept.
        """
        with restore_on_error(self):
            X = self._check_rows(X, reset=True)
            self._store_state(_compute_moments(X))
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Update the mean and the covariance with the rows of `X`; several calls equal one `fit` on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            At least one row.
        y : ignored

        Returns
        -------
        PartialWhitening
            The fitted transformer.

        Raises
        ------
        TypeError, ValueError
            As for `fit`, or `X` has other features than the previous rows.
        """
        first = not self.__sklearn_is_fitted__()
        with restore_on_error(self):
            more = _compute_moments(self._check_rows(X, reset=first))
            self._store_state(more if first else _merge_moments(self._get_moments(), more))
        return self

    def transform(self, X: Any) -> Any:
        """Center the rows of `X` and multiply their parts along each direction by `gains_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            float32 if `X` is float32, else float64. With `normalize`, a row that equals the mean is zero.

        Raises
        ------
        TypeError
            `X` is sparse, text or a Dask collection.
        ValueError
            `X` has other features than the fitted rows, or contains NaN or infinity.
        NotFittedError
            The transformer is not fitted.
        """
        X = self._check_rows(X)
        whitened = self._scale_directions(X - self.mean_.astype(X.dtype), self.gains_)
        return normalize_rows(whitened) if self.normalize else whitened

    @available_if(_has_inverse)
    def inverse_transform(self, X: Any) -> Any:
        """Invert `transform`. In removed directions the result equals the mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows returned by `transform`.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            The rows are not finite numbers, or have other features than the fitted rows.
        NotFittedError
            The transformer is not fitted.
        """
        self._check_fitted()
        X = check_codes(self, X, self.n_features_in_, like=self.mean_)
        return self._scale_directions(X, ops.reciprocal(self.gains_)) + self.mean_.astype(X.dtype)

    def _scale_directions(self, X: Any, gains: Any) -> Any:
        """Multiply the parts of the rows along each direction by `gains`."""
        axes = self.components_.astype(X.dtype)
        parts = ops.similarity(X, axes)
        parts *= gains.astype(X.dtype)
        return parts @ axes

    def _check_rows(self, X: Any, *, reset: bool = False) -> Any:
        refuse_sparse(self, X)
        X = self._check(X, reset=reset)
        if self.n_remove >= X.shape[1]:
            raise ValueError(
                f"PartialWhitening(n_remove={self.n_remove}) expected X with more than {self.n_remove} features, got "
                f"{X.shape[1]}. Use one direction for each hundred features, or n_remove=0."
            )
        return X

    def _store_state(self, moments: _Moments) -> None:
        self.n_samples_seen_, self.mean_ = moments.n_rows, moments.mean
        values, self.components_ = ops.principal_axes(moments.scatter / moments.n_rows)
        self.eigenvalues_ = values.clip(0)  # rounding may give slightly negative values
        # A variance below the rounding error of the mean or of the largest eigenvalue counts as 0.
        noise = len(values) * _EPSILON * self.eigenvalues_[0] + (8 * _EPSILON) ** 2 * moments.mean @ moments.mean
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
    assert total is not None  # validated input has at least one row
    return total


def _merge_moments(first: _Moments, second: _Moments) -> _Moments:
    n_rows = first.n_rows + second.n_rows
    difference = second.mean - first.mean
    between = difference[:, None] * difference * (first.n_rows * second.n_rows / n_rows)
    mean = first.mean + difference * (second.n_rows / n_rows)
    return _Moments(n_rows, mean, first.scatter + second.scatter + between)


def _compute_gains(values: Any, noise: Any, power: float, shrinkage: float, n_remove: int) -> Any:
    """Compute the factor of each direction from its eigenvalue, descending; values up to `noise` count as zero."""
    xp = ops.xp(values)
    if power == 0 or values[0] <= noise:
        gains = xp.ones_like(values)
    else:
        raised = values + shrinkage * values.mean()
        gains = xp.where(raised > noise, xp.maximum(raised, noise) ** (-power / 2), 0)
    gains[:n_remove][values[:n_remove] > noise] = 0
    return gains
