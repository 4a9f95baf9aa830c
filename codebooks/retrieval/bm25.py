"""`BM25Transformer`: BM25 weights of term counts."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from codebooks._documentation_link import DocumentationLink
from codebooks.errors import short_repr
from codebooks.validation.arrays import check_input, refuse_device, restore_on_error

if TYPE_CHECKING:
    from typing import Self

__all__ = ["BM25Transformer"]

Floats = NDArray[np.float64]

# Functions of the document frequency of a term, above zero, and of the number of documents. "bm25-adpt" has its own.
_IDF: dict[str, Callable[[Floats, int], Floats]] = {
    "lucene": lambda df, n: np.log1p((n - df + 0.5) / (df + 0.5)),
    "atire": lambda df, n: np.log(n / df),
    "robertson": lambda df, n: np.log(np.maximum((n - df + 0.5) / (df + 0.5), 1.0)),
    "bm25l": lambda df, n: np.log((n + 1) / (df + 0.5)),
    "bm25+": lambda df, n: np.log((n + 1) / df),
}
_VARIANTS = (*_IDF, "bm25-adpt")
# "bm25-adpt": the largest number of occurrences that is fitted, and the range in which k1 is searched.
_MOST_OCCURRENCES = 20
_LEAST_K1, _LARGEST_K1 = 0.01, 100.0
# Upper bound of `k1` and `delta`: weights stay finite in float32, and larger values do not change rankings.
_LARGEST = 1_000_000


class BM25Transformer(OneToOneFeatureMixin, TransformerMixin, DocumentationLink, BaseEstimator):
    r"""Convert term counts to BM25 weights, whose dot product with the counts of a query is the BM25 score.

    The weight of a term t that occurs f times in a document of length L is :math:`\mathrm{idf}_t\, s(f)`. There are N
    documents of mean length :math:`\bar L`, :math:`n_t` of them contain t, :math:`B = 1 - b + b L / \bar L` and
    :math:`c = f / B`:

    ============= =============================================== =====================================================
    variant       :math:`\mathrm{idf}_t`                          :math:`s(f)`
    ============= =============================================== =====================================================
    "lucene"      :math:`\ln(1 + (N - n_t + .5) / (n_t + .5))`    :math:`f / (k_1 B + f)`
    "robertson"   :math:`\ln \max(1, (N - n_t + .5)/(n_t + .5))`  :math:`f / (k_1 B + f)`
    "atire"       :math:`\ln(N / n_t)`                            :math:`(k_1 + 1) f / (k_1 B + f)`
    "bm25l"       :math:`\ln((N + 1) / (n_t + .5))`               :math:`(k_1 + 1)(c + \delta) / (k_1 + c + \delta)`
    "bm25+"       :math:`\ln((N + 1) / n_t)`                      :math:`(k_1 + 1) f / (k_1 B + f) + \delta`
    "bm25-adpt"   :math:`\max(0, G_1)`, see Notes                 :math:`(k_t + 1) f / (k_t B + f)`, see Notes
    ============= =============================================== =====================================================

    The first five are the formulas of bm25s [1]_, with the names of Kamphuis et al. [2]_. The variants hardly differ
    if their parameters are tuned [3]_. Fit again after changing a parameter.

    In "bm25l" and "bm25+", terms that are absent from a document have a positive weight too. To keep the matrix sparse,
    `transform` returns the difference from that weight, and `absent_` contains the weight itself, as in bm25s. The
    scores of queries with counts q are then `q @ W.T + (q @ absent_)[:, None]`, with W the weighted documents.
    `absent_` changes no ranking, and is zero for the other variants.

    Parameters
    ----------
    variant : {"lucene", "robertson", "atire", "bm25l", "bm25+", "bm25-adpt"}, default="lucene"
        The formula. Use another than "bm25-adpt" for titles and other short texts.
    k1 : float from 0 to 1e6, default=1.5
        Saturation of repeated occurrences. Increase it if repetitions matter; 0 counts a term once.
    b : float in [0, 1], default=0.75
        Normalization by document length, 0 for none. Decrease it if long documents are not longer for the same content.
    delta : float from 0 to 1e6, default=0.5
        Lower bound of the weight of an occurrence, in "bm25l" and "bm25+". The default is the same for both, as in
        bm25s; the authors of "bm25+" used 1.

    Attributes
    ----------
    df_ : int64 array of shape (n_features,)
        Document frequency: the number of documents that contain the term.
    idf_ : float64 array of shape (n_features,)
        Inverse document frequency; 0 for a term that occurs in no fitted document, in all variants.
    k1_ : float64 array of shape (n_features,)
        `k1`; in "bm25-adpt" the fitted value of each term.
    absent_ : float64 array of shape (n_features,)
        Weight of a term in a document that does not contain it.
    mean_length_ : float
        Mean sum of a row.
    n_documents_ : int
        Number of fitted rows, including empty ones.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, if the input had feature names

    Notes
    -----
    "bm25-adpt" fits a k1 for each term (Lv & Zhai 2011, "Adaptive term frequency normalization for BM25"). With
    :math:`D_r` the number of documents with :math:`c \ge r - .5`, but :math:`D_0 = N` and :math:`D_1 = n_t`,

    .. math::

        G_r = \log_2 \frac{D_{r+1} + .5}{D_r + 1} - \log_2 \frac{n_t + .5}{N + 1}, \qquad
        k_t = \arg\min_k \sum_r \Bigl(\frac{G_r}{G_1} - \frac{(k + 1) r}{k + r}\Bigr)^2 .

    The curve is exact at r = 0 and 1 for every k; repetitions are fitted. **The formulas are taken from restatements
    of Trotman et al. [3]_, section 3.4, in other publications. These agree on** :math:`D_r` **and** :math:`G_1` **but
    not on all of** :math:`G_r`**; the paper itself was not available. Compare with it before you cite results as
    theirs.** Choices of this implementation: r runs over the numbers of occurrences that some document has, up to 20;
    k is searched in [0.01, 100]; a term without repetitions, or whose :math:`G_1` is not above zero, keeps `k1`, and
    the weight of the latter is 0. Terms of short texts such as titles seldom occur twice, so common terms have a weight
    of zero there: use another variant.

    References
    ----------
    .. [1] X. H. Lù, "BM25S: orders of magnitude faster lexical search via eager sparse scoring", arXiv 2407.03618.
    .. [2] C. Kamphuis, A. P. de Vries, L. Boytsov, J. Lin, "Which BM25 do you mean? A large-scale reproducibility study
       of scoring variants", ECIR 2020.
    .. [3] A. Trotman, A. Puurula, B. Burgess, "Improvements to BM25 and language models examined", ADCS 2014.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> counts = CountVectorizer()
    >>> documents = counts.fit_transform(["a goal for the team", "the bank gave the team a loan", "the bank"])
    >>> weights = BM25Transformer().fit_transform(documents)
    >>> scores = counts.transform(["bank loan"]) @ weights.T
    >>> scores.toarray().round(2)
    array([[0.  , 0.47, 0.24]])
    """

    def __init__(self, variant: str = "lucene", *, k1: float = 1.5, b: float = 0.75, delta: float = 0.5):
        self.variant = variant
        self.k1 = k1
        self.b = b
        self.delta = delta

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute the document frequency of each term and the mean document length.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_documents, n_features)
            Counts of terms, one document a row; they need not be integers.
        y : ignored

        Returns
        -------
        self : BM25Transformer

        Raises
        ------
        TypeError
            If X is text, a Dask collection or a CuPy array.
        ValueError
            If a parameter is out of range, or X contains a negative number, NaN or infinity, or only zeros. An earlier
            fit is kept.
        """
        self._check_settings()
        with restore_on_error(self):
            X = self._check_counts(X, reset=True)
            n_documents, n_features = X.shape
            lengths = _sum_rows(X)
            self.n_documents_ = n_documents
            self.mean_length_ = float(lengths.mean())
            self.df_ = np.bincount(X.indices, minlength=n_features).astype(np.int64)
            if self.variant == "bm25-adpt":
                occurrences = X.data / np.repeat(self._compute_length_factor(lengths), np.diff(X.indptr))
                document_counts = _count_documents_by_occurrences(occurrences, X.indices, self.df_, n_documents)
                self.idf_, self.k1_ = _adapt_k1(document_counts, float(self.k1))
            else:
                self.idf_ = _IDF[self.variant](np.maximum(self.df_, 1.0), n_documents)
                self.k1_ = np.full(n_features, float(self.k1))
            self.idf_[self.df_ == 0] = 0.0
            self.absent_ = self.idf_ * self._compute_absent_weight()
        return self

    def transform(self, X: Any) -> Any:
        """Compute the BM25 weights of counts with the fitted statistics.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_documents, n_features)
            Counts, of the fitted documents or of new ones.

        Returns
        -------
        CSR matrix of shape (n_documents, n_features)
            float32 if X is, else float64. It has the entries of X; `absent_` is not included.

        Raises
        ------
        TypeError
            If X is text, a Dask collection or a CuPy array.
        ValueError
            If X has other features than the fitted documents, or contains a negative number, NaN or infinity.
        NotFittedError
            If it is not fitted.
        """
        check_is_fitted(self)
        self._check_settings()
        X = self._check_counts(X, reset=False)
        factor = self._compute_length_factor(_sum_rows(X)).astype(X.dtype)
        weights = self._compute_weights(
            X.data, np.repeat(factor, np.diff(X.indptr)), self.k1_.astype(X.dtype)[X.indices]
        )
        weights *= self.idf_.astype(X.dtype)[X.indices]
        return type(X)((weights, X.indices.copy(), X.indptr.copy()), shape=X.shape)

    def _compute_weights(self, counts: NDArray, factor: NDArray, k1: NDArray) -> NDArray:
        """Compute s(f) - s(0) of each entry by a formula that does not lose digits to the subtraction."""
        if self.variant == "bm25l":
            # With c = f / B, (c + d) / (k + c + d) - d / (k + d) = f / (B (k + d) + f) k / (k + d). B may be 0.
            total = k1 + self.delta
            rest = np.divide(k1, total, out=np.zeros_like(k1), where=total > 0) if self.delta > 0 else 1.0
            return (k1 + 1) * rest * (counts / (factor * total + counts))
        saturation = counts / (k1 * factor + counts)
        return saturation if self.variant in ("lucene", "robertson") else (k1 + 1) * saturation

    def _compute_absent_weight(self) -> float:
        """Compute s(0)."""
        if self.variant == "bm25l":
            return (self.k1 + 1) * self.delta / (self.k1 + self.delta) if self.delta > 0 else 0.0
        return float(self.delta) if self.variant == "bm25+" else 0.0

    def _compute_length_factor(self, lengths: Floats) -> Floats:
        return 1 - self.b + self.b * lengths / self.mean_length_

    def _check_counts(self, X: Any, *, reset: bool) -> Any:
        """Validate counts, and return them as CSR without stored zeros."""
        refuse_device(self, X)
        X = check_input(self, X, reset=reset)
        original, X = X, X if sparse.issparse(X) else sparse.csr_matrix(X)
        if X.data.size and X.data.min() < 0:
            raise ValueError(
                f"Negative values in data passed to {type(self).__name__}: X must contain counts >= 0, got "
                f"{X.data.min():.6g}. Use it directly after a CountVectorizer, before any centring or projection."
            )
        if not X.data.all():
            X = X.copy() if X is original else X
            X.eliminate_zeros()
        return X

    def _check_settings(self) -> None:
        name = type(self).__name__
        if self.variant not in _VARIANTS:
            raise ValueError(
                f"`variant` of {name} must be one of {', '.join(map(repr, _VARIANTS))}, got {short_repr(self.variant)}."
            )
        for setting, largest in (("k1", _LARGEST), ("b", 1), ("delta", _LARGEST)):
            value: Any = getattr(self, setting)
            is_number = isinstance(value, Real) and not isinstance(value, bool)
            if not is_number or not 0 <= value <= largest:
                raise ValueError(
                    f"`{setting}` of {name} must be a number from 0 to {largest}, got {short_repr(value)}."
                )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _sum_rows(X: Any) -> Floats:
    return np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()


def _count_documents_by_occurrences(occurrences: Floats, terms: NDArray, df: NDArray, n_documents: int) -> Floats:
    """Compute D_r of each term for r = 0.._MOST_OCCURRENCES + 1, shape (n_terms, _MOST_OCCURRENCES + 2)."""
    last = _MOST_OCCURRENCES + 1
    most = np.minimum(np.floor(occurrences + 0.5), last).astype(np.intp)  # the largest r whose D_r counts the entry
    entries = np.bincount(terms.astype(np.intp) * (last + 1) + most, minlength=len(df) * (last + 1))
    document_counts = entries.reshape(len(df), last + 1)[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float64)
    document_counts[:, 0], document_counts[:, 1] = n_documents, df
    return document_counts


def _adapt_k1(d: Floats, k1: float) -> tuple[Floats, Floats]:
    """Compute max(0, G_1) and k_t of each term from its D_r."""
    gain = np.log2((d[:, 1:] + 0.5) / (d[:, :-1] + 1)) - np.log2((d[:, 1:2] + 0.5) / (d[:, :1] + 1))
    first = gain[:, 1]
    repeated = d[:, 2:-1] > 0  # from r = 2 on: at 0 and 1 the curve is exact for every k
    fitted = np.flatnonzero((first > 0) & repeated[:, 0])
    adapted = np.full(len(d), k1)
    adapted[fitted] = _fit_k1(gain[fitted, 2:] / first[fitted, None], repeated[fitted])
    return np.maximum(first, 0.0), adapted


def _fit_k1(targets: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Fit k of the curve (k + 1) r / (k + r), r = 2, 3, ..., to each row: on a grid, then by bisection."""
    r = np.arange(2, targets.shape[1] + 2)

    def compute_residuals(k: Floats) -> Floats:
        return np.where(counted, (k[:, None] + 1) * r / (k[:, None] + r) - targets, 0.0)

    grid = np.geomspace(_LEAST_K1, _LARGEST_K1, 81)
    errors = [(compute_residuals(np.full(len(targets), k)) ** 2).sum(axis=1) for k in grid]
    best = np.argmin(errors, axis=0)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    for _ in range(60):
        k = (low + high) / 2
        falling = (compute_residuals(k) * r * (r - 1) / (k[:, None] + r) ** 2).sum(axis=1) < 0
        low, high = np.where(falling, k, low), np.where(falling, high, k)
    return (low + high) / 2
