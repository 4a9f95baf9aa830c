"""Hierarchy of topics: which topics are similar, and how they merge into fewer, broader topics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codebooks.errors import short_repr
from codebooks.interpret._ward_linkage import merge_by_ward
from codebooks.interpret.topic_similarity import Metric, check_sizes, check_unit_rows
from codebooks.interpret.topic_tree import Hierarchy, compute_node_sizes

__all__ = ["Hierarchy", "build_hierarchy"]

_LEAST_SIZE = 0.01  # relative to the mean size
_LONGEST_PART = 24  # characters of the name of a topic in the name of a merged node


def build_hierarchy(
    components: ArrayLike,
    sizes: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    ids: Sequence[Any] | None = None,
    describe: Callable[[list[Any]], str] | None = None,
    metric: Metric = "auto",
) -> Hierarchy:
    r"""Build the hierarchy of topics: repeatedly merge the two most similar groups of topics, small ones first.

    Each topic is a point :math:`r_k` of length 1: the square roots of its word distribution, or its centroid. Its
    weight :math:`w_k` is the square root of its size, divided by the mean of these roots. Ward's method [1]_ merges the
    groups A and B with the smallest distance

    .. math:: d(A, B) = \sqrt{\frac{2 w_A w_B}{w_A + w_B}} \lVert r_A - r_B \rVert,

    where :math:`r_A` is the weighted mean of the points of A, and :math:`w_A` the sum of their weights. Words that are
    equally common in both groups do not count. With the sizes as weights (information loss) large similar topics are
    not merged, and with equal weights small topics are left over.

    Parameters
    ----------
    components : array of shape (n_topics, n_features)
        A row for each topic: its word distribution or word weights, such as `components_` of `MultinomialMixture`, or
        its centroid, which may have negative values.
    sizes : array of shape (n_topics,)
        Number of documents of each topic, or other weights >= 0. Sizes below 1 % of the mean count as 1 %.
    names : sequence of str, length n_topics, optional
        Names of the topics, for the tree and for plots.
    ids : sequence, length n_topics, optional
        Different ids of the topics, which `cut` returns; default: their rows.
    describe : callable, optional
        It receives the list of ids of the topics of a merged node and returns the name of the node. Default: the names
        of the largest topics of the two groups that are merged.
    metric : {"auto", "words", "cosine"}, default="auto"
        "words" compares word distributions, "cosine" centroids. "auto" is "words" if no value is negative.

    Returns
    -------
    Hierarchy
        It does not depend on the order of the rows, except for ties: among equal distances the lowest row is first.

    Raises
    ------
    TypeError, ValueError
        `components` is not a matrix of finite numbers, or has negative values although `metric="words"`; `sizes`,
        `names` or `ids` do not have one entry for each topic; a size is negative or not finite; ids are repeated;
        `describe` is not callable, or `metric` is unknown.

    See Also
    --------
    compute_topic_similarity : The similarity of all pairs of topics.
    codebooks.plots.plot_hierarchy : Plot the hierarchy.

    References
    ----------
    .. [1] J. H. Ward, "Hierarchical grouping to optimize an objective function", Journal of the American Statistical
       Association 58 (1963), 236-244.

    Examples
    --------
    The columns are the words goal, match, loan, bank, and "said", which is common in all topics.

    >>> from codebooks.interpret import build_hierarchy
    >>> components = [[3, 1, 0, 0, 6], [0, 0, 2, 2, 6], [1, 3, 0, 0, 6], [0, 0, 3, 1, 6]]
    >>> hierarchy = build_hierarchy(components, [40, 20, 10, 30], names=["goal", "bank", "match", "loan"])
    >>> hierarchy.cut(2)
    [[0, 2], [1, 3]]
    >>> print(hierarchy)
    all (100, 4 topics)
    ├── goal / match (50, 2 topics)
    │   ├── 0 (40): goal
    │   └── 2 (10): match
    └── loan / bank (50, 2 topics)
        ├── 3 (30): loan
        └── 1 (20): bank
    """
    rows, _ = check_unit_rows("build_hierarchy", components, metric)
    checked_sizes = check_sizes(sizes, len(rows))
    ids = tuple(_check_entries("ids", ids, len(rows), range(len(rows))))
    if len(set(ids)) < len(ids):
        raise ValueError(f"`ids` must be different for each topic, got {short_repr(list(ids))}. Remove duplicates.")
    names = tuple(map(str, _check_entries("names", names, len(rows), [""] * len(rows))))
    if describe is not None and not callable(describe):
        raise TypeError(f"`describe` must be a function of a list of ids, got {short_repr(describe)}.")

    linkage = merge_by_ward(rows, _compute_weights(checked_sizes))
    node_sizes = compute_node_sizes(linkage, checked_sizes)
    children = linkage[:, :2].astype(np.intp)
    is_smaller = node_sizes[children[:, 0]] < node_sizes[children[:, 1]]
    linkage[is_smaller, :2] = linkage[is_smaller, 1::-1]
    for array in (linkage, checked_sizes):
        array.setflags(write=False)
    hierarchy = Hierarchy(linkage, ids, names, checked_sizes, ("",) * len(linkage))
    return replace(hierarchy, node_names=_name_nodes(hierarchy, describe))


def _compute_weights(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the square roots of sizes, with mean 1."""
    if not sizes.any():
        return np.ones(len(sizes))
    shares = sizes / sizes.max()  # the sum of large sizes may overflow
    weights = np.sqrt(np.maximum(shares, _LEAST_SIZE * shares.mean()))
    return weights / weights.mean()


def _check_entries(name: str, values: Any, n_topics: int, default: Sequence[Any]) -> Sequence[Any]:
    if values is None:
        return default
    if isinstance(values, str) or not hasattr(values, "__len__") or not hasattr(values, "__iter__"):
        raise TypeError(f"`{name}` must be a list with one entry for each topic, got {short_repr(values)}.")
    if len(values) != n_topics:
        raise ValueError(f"`{name}` must have one entry for each of the {n_topics} topics, got {len(values)}.")
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _name_nodes(hierarchy: Hierarchy, describe: Callable[[list[Any]], str] | None) -> tuple[str, ...]:
    """Return a name for each merged node."""
    n, rows, names = hierarchy.n_topics, hierarchy._find_rows, []
    if describe is not None:
        merged = range(n, n + len(hierarchy.linkage))
        return tuple(str(describe([hierarchy.ids[row] for row in np.sort(rows(node))])) for node in merged)
    largest = [*range(n)]
    labels = [name or str(id) for name, id in zip(hierarchy.names, hierarchy.ids, strict=True)]
    for left, right in hierarchy._children:
        pair = sorted((largest[left], largest[right]), key=lambda row: (-hierarchy.sizes[row], row))
        largest.append(pair[0])
        names.append(" / ".join(_abbreviate(labels[row]) for row in pair))
    return tuple(names)


def _abbreviate(name: str) -> str:
    """Shorten a name after a word, or in its first word if that is long."""
    if len(name) <= _LONGEST_PART:
        return name
    start = name[:_LONGEST_PART]
    return (start.rpartition(" ")[0] or start).rstrip(" ,;:-_") + "…"
