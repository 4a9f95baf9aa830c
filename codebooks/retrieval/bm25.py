"""Counts to BM25 weights: what a document gives to the score of each term, one number an entry."""

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

# From the number of documents that have a term and the number of all; the first is above zero. "bm25-adpt" has its own.
_IDF: dict[str, Callable[[Floats, int], Floats]] = {
    "lucene": lambda df, n: np.log1p((n - df + 0.5) / (df + 0.5)),
    "atire": lambda df, n: np.log(n / df),
    "robertson": lambda df, n: np.log(np.maximum((n - df + 0.5) / (df + 0.5), 1.0)),
    "bm25l": lambda df, n: np.log((n + 1) / (df + 0.5)),
    "bm25+": lambda df, n: np.log((n + 1) / df),
}
_VARIANTS = (*_IDF, "bm25-adpt")
# "bm25-adpt": so many occurrences of a term are looked at, and its k1 is sought between these two.
_MOST_OCCURRENCES = 20
_LEAST_K1, _LARGEST_K1 = 0.01, 100.0
# Upper bound of `k1` and `delta`: weights stay finite in float32, and larger values would rank no differently.
_LARGEST = 1_000_000


class BM25Transformer(OneToOneFeatureMixin, TransformerMixin, DocumentationLink, BaseEstimator):
    r"""Weigh counts as BM25 does, so that a dot product with the counts of a query is its score.

    A term t that stands f times in a document of length L weighs :math:`\mathrm{idf}_t\, s(f)`. With N documents of
    mean length :math:`\bar L`, :math:`n_t` of them having t, :math:`B = 1 - b + b L / \bar L` and :math:`c = f / B`:

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

    The first five are the formulas of bm25s [1]_, in the names of Kamphuis et al. [2]_. Trained, the variants hardly
    differ [3]_. Fit again after changing a setting.

    "bm25l" and "bm25+" give something to terms that a document lacks. To keep the matrix sparse, `transform` gives what
    a term weighs beyond that, and `absent_` holds what it weighs where it is absent, as bm25s does. The scores of
    queries, rows of counts q, are then `q @ W.T + (q @ absent_)[:, None]` with W the weighted documents; `absent_`
    changes no ranking and is zero for the other variants.

    Parameters
    ----------
    variant : {"lucene", "robertson", "atire", "bm25l", "bm25+", "bm25-adpt"}, default="lucene"
        Which formula.
    k1 : float from 0 to 1e6, default=1.5
        How slowly repeated occurrences lose their worth; 0 counts a term once.
    b : float in [0, 1], default=0.75
        How much long documents are held back.
    delta : float from 0 to 1e6, default=0.5
        What an occurrence is worth at least, in "bm25l" and "bm25+". One default for both, as in bm25s; those who
        proposed "bm25+" used 1.

    Attributes
    ----------
    df_ : int64 array of shape (n_features,)
        Documents that have the term ("document frequency").
    idf_ : float64 array of shape (n_features,)
        0 for a term that no fitted document has, in all variants: nothing is known of it.
    k1_ : float64 array of shape (n_features,)
        `k1`, or in "bm25-adpt" what each term has for it.
    absent_ : float64 array of shape (n_features,)
        What a term weighs in a document without it.
    mean_length_ : float
        Mean sum of a row.
    n_documents_ : int
        Rows fitted, empty ones among them.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, where the input had names

    Notes
    -----
    "bm25-adpt" lets each term have its own k1 (Lv & Zhai 2011, "Adaptive term frequency normalization for BM25"). With
    :math:`D_r` the number of documents where :math:`c \ge r - .5`, but :math:`D_0 = N` and :math:`D_1 = n_t`,

    .. math::

        G_r = \log_2 \frac{D_{r+1} + .5}{D_r + 1} - \log_2 \frac{n_t + .5}{N + 1}, \qquad
        k_t = \arg\min_k \sum_r \Bigl(\frac{G_r}{G_1} - \frac{(k + 1) r}{k + r}\Bigr)^2 .

    The curve is right at r = 0 and 1 for every k; the fit is to repetitions. **The formulas are taken from restatements
    by others of Trotman et al. [3]_, section 3.4, which agree on** :math:`D_r` **and** :math:`G_1` **but not on all
    of** :math:`G_r`**; the paper itself was not at hand. Do not cite results as theirs before you have compared.** Our
    own choices: r runs over the numbers of occurrences that some document has, up to 20; k is sought in [0.01, 100]; a
    term that has nothing to be fitted, or whose :math:`G_1` is not above zero, keeps `k1`, and the latter weighs 0. In
    titles and other short texts terms seldom come twice, so common terms weigh nothing: use another variant there.

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
        """Learn how common each term is and how long documents are.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_documents, n_features)
            Counts, one document a row; they need not be whole.
        y : ignored

        Returns
        -------
        BM25Transformer
            Itself.

        Raises
        ------
        TypeError
            X is text, a Dask collection or a CuPy array.
        ValueError
            A setting is out of range, or X holds a negative number, NaN or infinity, or nothing but zeros. What was
            learned before is kept.
        """
        self._check_settings()
        with restore_on_error(self):
            X = self._counts(X, reset=True)
            n_documents, n_features = X.shape
            lengths = _sum_rows(X)
            self.n_documents_ = n_documents
            self.mean_length_ = float(lengths.mean())
            self.df_ = np.bincount(X.indices, minlength=n_features).astype(np.int64)
            if self.variant == "bm25-adpt":
                occurrences = X.data / np.repeat(self._length_factor(lengths), np.diff(X.indptr))
                having = _documents_by_occurrences(occurrences, X.indices, self.df_, n_documents)
                self.idf_, self.k1_ = _adapt_k1(having, float(self.k1))
            else:
                self.idf_ = _IDF[self.variant](np.maximum(self.df_, 1.0), n_documents)
                self.k1_ = np.full(n_features, float(self.k1))
            self.idf_[self.df_ == 0] = 0.0
            self.absent_ = self.idf_ * self._worth_of_absence()
        return self

    def transform(self, X: Any) -> Any:
        """Weigh counts with what was learned.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_documents, n_features)
            Counts, of the fitted documents or of new ones.

        Returns
        -------
        CSR matrix of shape (n_documents, n_features)
            float32 where X is, else float64; an entry where X has one. Without `absent_`.

        Raises
        ------
        TypeError
            X is text, a Dask collection or a CuPy array.
        ValueError
            X has other features than the fitted documents, or holds a negative number, NaN or infinity.
        NotFittedError
            Before `fit`.
        """
        check_is_fitted(self)
        self._check_settings()
        X = self._counts(X, reset=False)
        factor = self._length_factor(_sum_rows(X)).astype(X.dtype)
        worth = self._worth(X.data, np.repeat(factor, np.diff(X.indptr)), self.k1_.astype(X.dtype)[X.indices])
        worth *= self.idf_.astype(X.dtype)[X.indices]
        return type(X)((worth, X.indices.copy(), X.indptr.copy()), shape=X.shape)

    def _worth(self, counts: NDArray, factor: NDArray, k1: NDArray) -> NDArray:
        """s(f) less s(0) of each entry, which is also right where rounding would spoil the difference."""
        if self.variant == "bm25l":
            # With c = f / B, (c + d) / (k + c + d) - d / (k + d) = f / (B (k + d) + f) k / (k + d). B may be 0.
            total = k1 + self.delta
            rest = np.divide(k1, total, out=np.zeros_like(k1), where=total > 0) if self.delta > 0 else 1.0
            return (k1 + 1) * rest * (counts / (factor * total + counts))
        worth = counts / (k1 * factor + counts)
        return worth if self.variant in ("lucene", "robertson") else (k1 + 1) * worth

    def _worth_of_absence(self) -> float:
        """s(0)."""
        if self.variant == "bm25l":
            return (self.k1 + 1) * self.delta / (self.k1 + self.delta) if self.delta > 0 else 0.0
        return float(self.delta) if self.variant == "bm25+" else 0.0

    def _length_factor(self, lengths: Floats) -> Floats:
        return 1 - self.b + self.b * lengths / self.mean_length_

    def _counts(self, X: Any, *, reset: bool) -> Any:
        """CSR counts above zero."""
        refuse_device(self, X)
        X = check_input(self, X, reset=reset)
        given, X = X, X if sparse.issparse(X) else sparse.csr_matrix(X)
        if X.data.size and X.data.min() < 0:
            raise ValueError(
                f"Negative values in data passed to {type(self).__name__}: it wants counts and got {X.data.min():.6g}. "
                f"Put it right behind a CountVectorizer, before anything that centres or projects."
            )
        if not X.data.all():
            X = X.copy() if X is given else X
            X.eliminate_zeros()
        return X

    def _check_settings(self) -> None:
        name = type(self).__name__
        if self.variant not in _VARIANTS:
            raise ValueError(
                f"The 'variant' parameter of {name} must be one of {', '.join(map(repr, _VARIANTS))}; "
                f"{short_repr(self.variant)} came."
            )
        for setting, largest in (("k1", _LARGEST), ("b", 1), ("delta", _LARGEST)):
            value: Any = getattr(self, setting)
            is_number = isinstance(value, Real) and not isinstance(value, bool)
            if not is_number or not 0 <= value <= largest:
                raise ValueError(
                    f"The '{setting}' parameter of {name} must be a number from 0 to {largest}; "
                    f"{short_repr(value)} came."
                )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _sum_rows(X: Any) -> Floats:
    return np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()


def _documents_by_occurrences(occurrences: Floats, terms: NDArray, df: NDArray, n_documents: int) -> Floats:
    """D_r of each term for r = 0.._MOST_OCCURRENCES + 1, shape (n_terms, _MOST_OCCURRENCES + 2)."""
    last = _MOST_OCCURRENCES + 1
    most = np.minimum(np.floor(occurrences + 0.5), last).astype(np.intp)  # the largest r whose D_r counts the entry
    entries = np.bincount(terms.astype(np.intp) * (last + 1) + most, minlength=len(df) * (last + 1))
    having = entries.reshape(len(df), last + 1)[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float64)
    having[:, 0], having[:, 1] = n_documents, df
    return having


def _adapt_k1(having: Floats, k1: float) -> tuple[Floats, Floats]:
    """Floored G_1 and k_t of each term, from its D_r."""
    gain = np.log2((having[:, 1:] + 0.5) / (having[:, :-1] + 1)) - np.log2((having[:, 1:2] + 0.5) / (having[:, :1] + 1))
    first = gain[:, 1]
    repeated = having[:, 2:-1] > 0  # from r = 2 on: at 0 and 1 the curve is right for every k
    fitted = np.flatnonzero((first > 0) & repeated[:, 0])
    adapted = np.full(len(having), k1)
    adapted[fitted] = _fit_k1(gain[fitted, 2:] / first[fitted, None], repeated[fitted])
    return np.maximum(first, 0.0), adapted


def _fit_k1(targets: Floats, counted: NDArray[np.bool_]) -> Floats:
    """The k whose curve (k + 1) r / (k + r), r = 2, 3, ..., is nearest to each row: on a grid, then by bisection."""
    r = np.arange(2, targets.shape[1] + 2)

    def misfit(k: Floats) -> Floats:
        return np.where(counted, (k[:, None] + 1) * r / (k[:, None] + r) - targets, 0.0)

    grid = np.geomspace(_LEAST_K1, _LARGEST_K1, 81)
    errors = [(misfit(np.full(len(targets), k)) ** 2).sum(axis=1) for k in grid]
    best = np.argmin(errors, axis=0)
    low, high = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
    for _ in range(60):
        k = (low + high) / 2
        falling = (misfit(k) * r * (r - 1) / (k[:, None] + r) ** 2).sum(axis=1) < 0
        low, high = np.where(falling, k, low), np.where(falling, high, k)
    return (low + high) / 2
