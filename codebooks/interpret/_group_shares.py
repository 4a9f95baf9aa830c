"""Mean shares of topics in groups of documents, with intervals and words. Used by `over_time`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import betaincinv

from codebooks import ops
from codebooks._tables import build_frame, format_html_table
from codebooks.errors import short_repr
from codebooks.interpret._labelling import select_largest
from codebooks.interpret.feature_names import check_word_counts
from codebooks.validation.arrays import check_count, check_matrix

__all__ = ["GroupedDocuments", "GroupedShares", "check_documents", "compare_groups"]

Floats = NDArray[np.float64]
GroupWords = tuple[tuple[tuple[str, ...], ...], ...]

_TOLERANCE = 1e-3  # of sums of shares in float32
_TAIL = 0.025  # on each side of an interval
_ROUNDING = 1e-9
_LEAST_SHARE = 1e-3  # smaller ones are ignored for words, which saves most of the time


class GroupedDocuments(NamedTuple):
    """Checked arguments of a comparison of groups."""

    shares: Any  # (n_documents, n_topics) float64, dense or CSR
    ids: tuple[Any, ...]
    names: tuple[str, ...]
    X: Any  # CSR matrix (n_documents, n_features), or None
    terms: list[str]
    n_words: int


@dataclass(frozen=True, repr=False, eq=False)
class GroupedShares:
    """Mean shares of topics in groups; the base of `TopicTrends` and `TopicShares`."""

    n_documents: NDArray[np.int64]
    shares: Floats
    lower: Floats
    upper: Floats
    ids: tuple[Any, ...]
    names: tuple[str, ...]
    words: GroupWords | None
    n_missing: int

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        name, groups = self._label_groups()
        return f"<p>{self}</p>{format_html_table(self._list_columns(name, np.array(groups, dtype=object)))}"

    def to_frame(self, library: Literal["pandas", "polars"] = "pandas") -> Any:
        """Return a data frame with a row for each group and topic.

        Parameters
        ----------
        library : {"pandas", "polars"}, default="pandas"
            The library of the data frame, which must be installed.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            Columns `start` or `class`, `topic` (its id), `name`, `documents` (their number in the group), `share`,
            `lower`, `upper` and, if there are any, `words`.
        """
        return build_frame(self._list_columns(*self._get_groups()), library)

    def _list_columns(self, name: str, groups: NDArray[Any]) -> dict[str, Any]:
        n_groups, n_topics = self.shares.shape
        columns = {
            name: np.repeat(groups, n_topics),
            "topic": list(self.ids) * n_groups,
            "name": list(self.names) * n_groups,
            "documents": np.repeat(self.n_documents, n_topics),
            "share": self.shares.ravel(),
            "lower": self.lower.ravel(),
            "upper": self.upper.ravel(),
        }
        if self.words is not None:
            columns["words"] = [words for group in self.words for words in group]
        return columns

    def _get_groups(self) -> tuple[str, NDArray[Any]]:
        """Return the name and the values of the column of groups."""
        raise NotImplementedError

    def _label_groups(self) -> tuple[str, list[str]]:
        """Return the name of the column of groups, and a short text for each."""
        name, groups = self._get_groups()
        return name, [str(group) for group in groups.tolist()]


def check_documents(
    shares: Any, ids: Any, names: Any, X: Any, feature_names: Any, n_words: int, n_rows: int
) -> GroupedDocuments:
    """Check the arguments that comparisons of groups have in common; `n_rows` is the number of documents."""
    check_count("n_words", n_words)
    is_label = getattr(shares, "ndim", None) == 1 or (not hasattr(shares, "ndim") and np.ndim(shares[:1]) == 1)
    matrix, found = _encode_labels(shares, ids) if is_label else (_check_shares(shares), None)
    n_topics = matrix.shape[1]
    _require_rows(matrix.shape[0], n_rows, "shares")
    if found is None:
        found = tuple(range(n_topics)) if ids is None else _check_ids(ids)
        if len(found) != n_topics:
            raise ValueError(
                f"`ids` must have one id for each of the {n_topics} columns of `shares`, got {len(found)}. Pass "
                "model.topic_ids_."
            )
    titles = tuple(f"topic {id}" for id in found) if names is None else tuple(map(str, names))
    if isinstance(names, str) or len(titles) != n_topics:
        raise ValueError(
            f"`names` must have one name for each of the {n_topics} topics, got {short_repr(names)}. Pass them in the "
            "order of `ids`."
        )
    terms: list[str] = []
    if X is not None:
        if feature_names is None and hasattr(X, "columns"):
            feature_names = list(X.columns)
        X, terms = check_word_counts(X, feature_names)
        _require_rows(X.shape[0], n_rows, "X")
        X = sparse.csr_matrix(X, dtype=np.float64)
    return GroupedDocuments(matrix, found, titles, X, terms, int(n_words))


def _encode_labels(labels: Any, ids: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return an indicator matrix of labels with a column for each id, and the ids; -1 has no column."""
    labels = np.asarray(ops.to_host(labels))
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"`shares` in one dimension must be integer labels, got {labels.dtype}. Pass model.labels_, or shares with "
            "a column for each topic."
        )
    found = tuple(np.unique(labels[labels >= 0]).tolist()) if ids is None else _check_ids(ids)
    column = {id: k for k, id in enumerate(found)}
    values, inverse = np.unique(labels, return_inverse=True)
    unknown = [value for value in values.tolist() if value >= 0 and value not in column]
    if unknown:
        raise ValueError(
            f"`shares` as labels must be in `ids`, or -1 for none, got {unknown[0]}. Pass the ids of the same model."
        )
    columns = np.array([column.get(value, -1) for value in values.tolist()], dtype=np.intp)[inverse]
    rows = np.flatnonzero(columns >= 0)
    entries = (np.ones(len(rows)), (rows, columns[rows]))
    return sparse.csr_matrix(entries, shape=(len(labels), len(found))), found


def _check_ids(ids: Any) -> tuple[Any, ...]:
    found = tuple(np.asarray(ids).tolist())
    if len(set(found)) < len(found):
        raise ValueError(f"`ids` must be unique, got {short_repr(list(found))}.")
    return found


def _check_shares(shares: Any) -> Any:
    shares = check_matrix("`shares`", ops.to_host(shares), "Pass model.transform(documents).", least_rows=0)
    shares = shares.astype(np.float64)
    values, sums = (shares.data if sparse.issparse(shares) else shares), np.asarray(shares.sum(axis=1)).ravel()
    if values.size and (values.min() < -_TOLERANCE or sums.max() > 1 + _TOLERANCE):
        raise ValueError(
            f"`shares` must be at least 0 and sum to at most 1 in each row, got values from {values.min():.3g} and a "
            f"sum of {sums.max():.3g}. Divide each row by its sum, or pass labels."
        )
    return shares


def _require_rows(n: int, n_rows: int, name: str) -> None:
    if n != n_rows:
        raise ValueError(
            f"`{name}` must have a row for each of the {n_rows} documents, got {n}. Make all from the same list of "
            "documents."
        )


def compare_groups(documents: GroupedDocuments, groups: NDArray[np.intp], n_groups: int) -> dict[str, Any]:
    """Compute the fields of `GroupedShares` that depend on the documents of groups.

    Parameters
    ----------
    documents : GroupedDocuments
    groups : int array of shape (n_documents,)
        The group of each document; documents with -1 are left out.
    n_groups : int
    """
    rows = np.flatnonzero(groups >= 0)
    shares, groups = documents.shares[rows], groups[rows]
    member = sparse.csr_matrix((np.ones(len(rows)), (groups, np.arange(len(rows)))), shape=(n_groups, len(rows)))
    squares = shares.multiply(shares) if sparse.issparse(shares) else shares * shares
    n_documents = np.bincount(groups, minlength=n_groups)
    means, lower, upper = _compute_intervals(_make_dense(member @ shares), _make_dense(member @ squares), n_documents)
    words = None
    if documents.X is not None:
        words = _choose_words(documents._replace(shares=shares, X=documents.X[rows]), member)
    return {
        "n_documents": n_documents,
        "shares": means,
        "lower": lower,
        "upper": upper,
        "ids": documents.ids,
        "names": documents.names,
        "words": words,
    }


def _make_dense(X: Any) -> Floats:
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def _compute_intervals(sums: Floats, squares: Floats, n_documents: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Return mean shares and the limits of their intervals, all of shape (n_groups, n_topics).

    The interval of Clopper and Pearson for the effective number of documents n / r, as of Korn and Graubard. Here r
    is the variance of the shares relative to that of labels with the same mean, p (1 - p). Its estimate is the larger
    of the one in all groups and the one in the group, with one more document of the variance of labels, because few
    shares close to 0 often are a sample from shares that seldom are close to 1.
    """
    n = n_documents[:, None].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.clip(sums / n, 0, 1)
        of_labels = means * (1 - means)
        ratio = (np.maximum(squares - n * means**2, 0) + of_labels) / (n * of_labels)
        total = np.clip(sums.sum(axis=0) / n.sum(), 0, 1)
        overall = (squares.sum(axis=0) / n.sum() - total**2) / (total * (1 - total))
        ratio = np.clip(np.where(of_labels > 0, np.fmax(ratio, overall), 1), 1e-6, 1)
        effective = n / ratio
    hits = means * effective
    misses = effective - hits
    lower, upper = np.zeros(means.shape), np.ones(means.shape)
    lower[hits > 0] = betaincinv(hits[hits > 0], misses[hits > 0] + 1, _TAIL)
    upper[misses > 0] = betaincinv(hits[misses > 0] + 1, misses[misses > 0], 1 - _TAIL)
    lower[n_documents == 0] = upper[n_documents == 0] = np.nan
    return means, np.fmin(lower, means), np.fmax(upper, means)


def _choose_words(documents: GroupedDocuments, member: Any) -> GroupWords:
    """Return the words of each topic in each group; the rule is in the docstring of `compute_topic_trends`."""
    X, n = documents.X, documents.n_words
    shares = sparse.csr_matrix(documents.shares)
    shares.data[shares.data < _LEAST_SHARE] = 0
    shares.eliminate_zeros()
    background = np.asarray(X.sum(axis=0)).ravel()
    background = background / max(background.sum(), np.finfo(np.float64).tiny)
    overall = (shares.T.tocsr() @ X).toarray()  # (n_topics, n_features)
    everywhere = [_rank_words(row, background, n) for row in overall]
    prior = overall / max(int((np.diff(member.indptr) > 0).sum()), 1)  # the counts of an average group
    result = []
    for first, last in pairwise(member.indptr):
        rows = member.indices[first:last]
        counts = shares[rows].T.tocsr() @ X[rows]
        has_words = np.asarray(counts.sum(axis=1)).ravel() > 0
        smoothed = counts.toarray() + prior
        found = [
            _rank_words(row, background, n, known) if present else ()
            for row, known, present in zip(smoothed, everywhere, has_words, strict=True)
        ]
        result.append(tuple(tuple(documents.terms[column] for column in columns) for columns in found))
    return tuple(result)


def _rank_words(counts: Floats, background: Floats, n: int, known: Any = ()) -> Any:
    """Return the columns of the n largest q log(q / background), with q the share of a word in the counts of a topic.

    The scores of `known` columns are a lower limit, which saves computing those of most others.
    """
    total = counts.sum()

    def compute_scores(columns: NDArray[np.intp]) -> Floats:
        return counts[columns] * np.log(counts[columns] / (total * background[columns]))

    least = 0.0
    if len(known) == n:
        largest_factor = -np.log(background[background > 0].min())
        least = compute_scores(known).min() / max(largest_factor, _ROUNDING)
    columns = np.flatnonzero(counts >= least * (1 - _ROUNDING) if least > 0 else counts > 0)
    scores = compute_scores(columns)
    is_typical = scores > _ROUNDING * counts[columns]
    if is_typical.any():  # no word is, if the topic has all documents
        columns, scores = columns[is_typical], scores[is_typical]
    else:
        scores = counts[columns]
    return columns[select_largest(scores, n)]
