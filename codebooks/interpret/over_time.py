"""Shares of topics over time and in classes of documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codebooks import ops
from codebooks.errors import short_repr
from codebooks.interpret._group_shares import GroupedShares, check_documents, compare_groups
from codebooks.interpret._time_bins import make_bins, parse_timestamps
from codebooks.validation.arrays import check_labels, is_missing

__all__ = ["TopicShares", "TopicTrends", "compare_topics_by_class", "compute_topic_trends"]


@dataclass(frozen=True, repr=False, eq=False)
class TopicTrends(GroupedShares):
    """Mean share of each topic in bins of time. Notebooks show it as a table.

    Attributes
    ----------
    n_documents : int array of shape (n_bins,)
        Number of documents of each bin.
    shares : array of shape (n_bins, n_topics)
        Mean share of each topic in the documents of each bin; nan in bins without documents.
    lower, upper : arrays of shape (n_bins, n_topics)
        Limits of an interval of 95 % for the mean share.
    ids, names : tuples of length n_topics
        The id and the name of each topic.
    words : tuple of tuples of tuples of str, or None
        `words[i][k]` are the words of topic k in bin i; None if no word counts were given. There are none if the topic
        has no share in the bin.
    n_missing : int
        Number of documents without a timestamp.
    edges : array of shape (n_bins + 1,)
        The start of each bin, and the end of the last one: datetime64 in UTC, or float64.
    n_outside : int
        Number of documents before the first or after the last edge.
    unit : str
        The unit of NumPy to which the starts of the bins are whole, such as "M" for months; "" for numbers.
    """

    edges: NDArray[Any]
    n_outside: int
    unit: str

    @property
    def bins(self) -> NDArray[Any]:
        """The start of each bin."""
        return self.edges[:-1]

    def __str__(self) -> str:
        labels = self._label_groups()[1]
        period = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"
        left_out = [
            f"{n} {where}"
            for n, where in ((self.n_missing, "without a timestamp"), (self.n_outside, "outside of the bins"))
            if n
        ]
        return (
            f"TopicTrends: {len(self.ids)} topics, {len(labels)} bins ({period}), {self.n_documents.sum()} documents"
            + (f" ({', '.join(left_out)})" if left_out else "")
        )

    def _get_groups(self) -> tuple[str, NDArray[Any]]:
        return "start", self.bins

    def _label_groups(self) -> tuple[str, list[str]]:
        if not self.unit:
            return "start", [f"{start:.10g}" for start in self.bins]
        is_whole = self.unit == "us" and (self.bins == self.bins.astype("datetime64[s]")).all()
        starts = self.bins.astype(f"datetime64[{'s' if is_whole else self.unit}]")
        return "start", starts.astype(str).tolist()


@dataclass(frozen=True, repr=False, eq=False)
class TopicShares(GroupedShares):
    """Mean share of each topic in classes of documents. Notebooks show it as a table.

    Attributes
    ----------
    n_documents : int array of shape (n_classes,)
        Number of documents of each class.
    shares : array of shape (n_classes, n_topics)
        Mean share of each topic in the documents of each class.
    lower, upper : arrays of shape (n_classes, n_topics)
        Limits of an interval of 95 % for the mean share.
    ids, names : tuples of length n_topics
        The id and the name of each topic.
    words : tuple of tuples of tuples of str, or None
        `words[i][k]` are the words of topic k in class i; None if no word counts were given.
    n_missing : int
        Number of documents without a class.
    classes : array of shape (n_classes,)
        The classes in ascending order.
    """

    classes: NDArray[Any]

    def __str__(self) -> str:
        left_out = f" ({self.n_missing} without a class)" if self.n_missing else ""
        return (
            f"TopicShares: {len(self.ids)} topics, {len(self.classes)} classes, {self.n_documents.sum()} documents"
            + left_out
        )

    def _get_groups(self) -> tuple[str, NDArray[Any]]:
        return "class", self.classes


def compute_topic_trends(
    shares: Any,
    timestamps: Any,
    *,
    bins: Any = "auto",
    ids: Sequence[Any] | NDArray[Any] | None = None,
    names: Sequence[str] | None = None,
    X: Any = None,
    feature_names: Sequence[str] | NDArray[Any] | None = None,
    n_words: int = 5,
) -> TopicTrends:
    """Compute the mean share of each topic in bins of time, with intervals of 95 % and the words of each bin.

    The interval is that of Clopper and Pearson [1]_ for an effective number of documents [2]_: it is as wide as for
    labels if the shares are near 0 and 1, and narrower if they vary less. It holds for a single document too.

    The words of topic k in bin b have the largest q_w log(q_w / p_w). Here p_w is the share of word w in all documents,
    and q_w its share in

        c_w + g_w / n,

    with c_w the counts of w in the documents of the bin, weighted by their shares of topic k, g_w the same in all
    documents, and n the number of bins that contain documents. A bin with few documents therefore lists nearly the
    words of the topic in all documents, and a bin with many lists what is frequent there. Shares below 0.001 do not
    count for words.

    Parameters
    ----------
    shares : array or sparse matrix of shape (n_documents, n_topics), or int array of shape (n_documents,)
        Shares of topics, at least 0, which sum to 1 in each row or to less, as `TopicModel.transform` returns them; or
        the topic of each document, negative for none.
    timestamps : sequence of length n_documents
        Datetimes, dates, strings in ISO format, NumPy or pandas times; or numbers, such as years or positions.
        Times with a time zone are converted to UTC; those without one are UTC. None, NaT, nan and "" are missing:
        these documents are left out.
    bins : int, str or sequence, default="auto"
        "year", "quarter", "month", "week" (from Monday), "day" or "hour"; the number of bins of equal width; or their
        edges, ascending, of the same kind as `timestamps`. "auto" takes the calendar unit, or for numbers the round
        width, that gives about 20 bins. A bin includes its start, and the last one of given edges or a given number
        also its end. If all timestamps are equal, there is one bin with documents.
    ids : sequence of length n_topics, optional
        The id of each column of `shares`. Default: the numbers of the columns, or the labels that occur.
    names : sequence of str, length n_topics, optional
        The name of each topic.
    X : array or sparse matrix of shape (n_documents, n_features), optional
        Word counts or tf-idf of the same documents, for words.
    feature_names : sequence of str, length n_features, optional
        The word of each column of `X`.
    n_words : int, default=5
        The largest number of words of a topic in a bin.

    Returns
    -------
    TopicTrends
        Bins without documents are contained, with shares of nan.

    Raises
    ------
    TypeError
        Timestamps are of several kinds, such as strings and numbers, or labels are not integers.
    ValueError
        There is no timestamp, no document is in the bins, a string is not a time, `bins` is unknown or gives more than
        10,000 bins, or the arguments do not match in length.

    See Also
    --------
    compare_topics_by_class : The same for classes.
    codebooks.plots.plot_topic_trends : Plot the result.

    References
    ----------
    .. [1] C. J. Clopper and E. S. Pearson. The use of confidence or fiducial limits illustrated in the case of the
       binomial. Biometrika 26, 1934.
    .. [2] E. L. Korn and B. I. Graubard. Confidence intervals for proportions with small expected number of positive
       counts estimated from survey data. Survey Methodology 24, 1998.

    Examples
    --------
    >>> from codebooks.interpret import compute_topic_trends
    >>> dates = ["2024-01-30", "2024-02-01", "2024-02-29", "2024-04-01"]
    >>> trends = compute_topic_trends([0, 1, 1, 0], dates, bins="month")
    >>> print(trends)
    TopicTrends: 2 topics, 4 bins (2024-01 to 2024-04), 4 documents
    >>> trends.shares
    array([[ 1.,  0.],
           [ 0.,  1.],
           [nan, nan],
           [ 1.,  0.]])
    """
    times = parse_timestamps(timestamps)
    is_present = ~(np.isnat(times) if times.dtype.kind == "M" else np.isnan(times))
    if not is_present.any():
        raise ValueError(
            f"`timestamps` must have a time for at least one document, got none for {len(times)} documents. Pass "
            "datetimes, dates, ISO strings or numbers."
        )
    documents = check_documents(shares, ids, names, X, feature_names, n_words, len(times))
    found = make_bins(times[is_present], bins)
    groups = np.full(len(times), -1, dtype=np.intp)
    groups[is_present] = found.positions
    if groups.max() < 0:
        raise ValueError(f"`bins` must contain at least one timestamp, got {short_repr(bins)}. Use other edges.")
    n_missing = int((~is_present).sum())
    fields = compare_groups(documents, groups, len(found.edges) - 1)
    n_outside = int((found.positions < 0).sum())
    return TopicTrends(**fields, n_missing=n_missing, edges=found.edges, n_outside=n_outside, unit=found.unit)


def compare_topics_by_class(
    shares: Any,
    classes: Any,
    *,
    ids: Sequence[Any] | NDArray[Any] | None = None,
    names: Sequence[str] | None = None,
    X: Any = None,
    feature_names: Sequence[str] | NDArray[Any] | None = None,
    n_words: int = 5,
) -> TopicShares:
    """Compute the mean share of each topic in classes of documents, with intervals of 95 % and words.

    Intervals and words are those of `compute_topic_trends`, with a class in place of a bin.

    Parameters
    ----------
    shares, ids, names, X, feature_names, n_words
        As for `compute_topic_trends`.
    classes : sequence of length n_documents
        The class of each document, such as its source or author: all strings or all numbers. None and nan are missing:
        these documents are left out.

    Returns
    -------
    TopicShares
        Classes are in ascending order.

    Raises
    ------
    TypeError
        Classes are of several types, or labels are not integers.
    ValueError
        No document has a class, or the arguments do not match in length.

    See Also
    --------
    compute_topic_trends : The same for bins of time.
    codebooks.plots.plot_topic_shares : Plot the result.

    Examples
    --------
    >>> from codebooks.interpret import compare_topics_by_class
    >>> result = compare_topics_by_class([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], ["mail", "mail", "chat"])
    >>> result.classes.tolist(), result.n_documents.tolist()
    (['chat', 'mail'], [1, 2])
    >>> result.shares.round(2)
    array([[0.2, 0.8],
           [0.7, 0.3]])
    """
    if isinstance(classes, str | bytes) or not hasattr(classes, "__len__") or getattr(classes, "ndim", 1) != 1:
        raise TypeError(f"`classes` must be a sequence with a class for each document, got {short_repr(classes)}.")
    documents = check_documents(shares, ids, names, X, feature_names, n_words, len(classes))
    entries = np.asarray(ops.to_host(classes)).tolist() if hasattr(classes, "dtype") else list(classes)
    rows = [row for row, value in enumerate(entries) if not is_missing(value)]
    if not rows:
        raise ValueError(
            f"`classes` must have a class for at least one document, got none for {len(entries)} documents. Pass a "
            "list of strings."
        )
    values, inverse = np.unique(check_labels("`classes`", [entries[row] for row in rows]), return_inverse=True)
    groups = np.full(len(entries), -1, dtype=np.intp)
    groups[rows] = inverse
    return TopicShares(
        **compare_groups(documents, groups, len(values)), n_missing=len(entries) - len(rows), classes=values
    )
