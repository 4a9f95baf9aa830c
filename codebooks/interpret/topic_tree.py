"""The result of `build_hierarchy`: a tree of topics."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codebooks._tables import build_frame
from codebooks.errors import shorten
from codebooks.interpret._tree_text import draw_tree
from codebooks.validation.arrays import check_count

__all__ = ["Hierarchy", "compute_node_sizes"]

_N_SHOWN = 100  # largest number of topics or groups of topics in the tree as text
_LEVEL_RATIO = 3  # each level of the tree as text has about this factor fewer groups than the level below
_LONGEST_NAME = 60  # characters of a name in the tree as text


@dataclass(frozen=True, eq=False, repr=False)
class Hierarchy:
    """Topics and the order in which they merge into broader topics.

    `print` shows it as a tree; `cut` returns the groups of a level. `build_hierarchy` makes it.

    Attributes
    ----------
    linkage : ndarray of shape (n_topics - 1, 4)
        Linkage matrix of SciPy, for example for `scipy.cluster.hierarchy.dendrogram`. Row i merges the nodes in its
        first two columns, the larger first, into node n_topics + i; nodes 0 to n_topics - 1 are the topics. The third
        column is the distance of the two, the fourth the number of topics of the new node.
    ids : tuple, length n_topics
        Ids of the topics.
    names : tuple of str, length n_topics
        Their names; empty if unknown.
    sizes : ndarray of shape (n_topics,)
        Numbers of documents, or weights.
    node_names : tuple of str, length n_topics - 1
        The name of each merged node.

    See Also
    --------
    build_hierarchy : Build the hierarchy of topics; it has an example.
    codebooks.plots.plot_hierarchy : Plot it as a dendrogram.
    """

    linkage: NDArray[np.float64]
    ids: tuple[Any, ...]
    names: tuple[str, ...]
    sizes: NDArray[np.float64]
    node_names: tuple[str, ...]

    @property
    def n_topics(self) -> int:
        """Number of topics."""
        return len(self.ids)

    @cached_property
    def leaf_order(self) -> NDArray[np.intp]:
        """Rows of the topics in the order of the tree: topics that merge early are adjacent, larger groups are first.

        Use it to sort a similarity matrix: ``similarity[np.ix_(order, order)]``.
        """
        order = np.empty(self.n_topics, dtype=np.intp)
        order[self._first[: self.n_topics]] = np.arange(self.n_topics)
        return order

    def cut(self, n_topics: int) -> list[list[Any]]:
        """Return the groups that are left when topics are merged until there are `n_topics` groups.

        Parameters
        ----------
        n_topics : int
            Number of groups, from 1 to the number of topics.

        Returns
        -------
        list of lists of ids
            Topics in the order of their rows, and groups in the order of their first topics. `ids` are the rows if
            no others were given.

        Raises
        ------
        ValueError
            `n_topics` is not an integer from 1 to the number of topics.
        """
        check_count("n_topics", n_topics)
        if n_topics > self.n_topics:
            raise ValueError(
                f"`n_topics` must be at most the number of topics, {self.n_topics}, got {n_topics}. Use a lower number."
            )
        groups = sorted(np.sort(self._find_rows(node)).tolist() for node in self.find_nodes(n_topics))
        return [[self.ids[row] for row in rows] for rows in groups]

    def find_nodes(self, n_groups: int) -> list[int]:
        """Return the nodes that are left when topics are merged until there are `n_groups` groups, in tree order."""
        end = 2 * self.n_topics - n_groups  # later nodes do not exist yet
        is_left = (self._parents[:end] >= end) | (self._parents[:end] == -1)
        nodes = np.flatnonzero(is_left)
        return nodes[np.argsort(self._first[nodes])].tolist()

    def format_node(self, node: int) -> str:
        """Return the text of a node: id, size and name of a topic, or name, size and number of topics of a group."""
        size = self.node_sizes[node]
        size_text = f"{size:,.0f}" if size == np.round(size) and size < 1e15 else f"{size:,.4g}"
        if node < self.n_topics:
            name = f": {shorten(self.names[node], _LONGEST_NAME)}" if self.names[node] else ""
            return f"{self.ids[node]} ({size_text}){name}"
        name = "all" if self._parents[node] == -1 else self.node_names[node - self.n_topics]
        return f"{shorten(name, _LONGEST_NAME)} ({size_text}, {self._counts[node]} topics)"

    def to_frame(self, library: Literal["pandas", "polars"] = "pandas") -> Any:
        """Return the merges as a data frame, a row for each, in the order in which they happen.

        Parameters
        ----------
        library : {"pandas", "polars"}, default="pandas"
            The library of the data frame, which must be installed.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            Columns `node`, its `parent` (-1 for the last), `left` and `right`, numbered as in `linkage`; `distance`;
            `n_groups`, the number of groups after the merge; `size`; `ids`, the topics of the node; and `name`.
        """
        n, merged = self.n_topics, range(self.n_topics, 2 * self.n_topics - 1)
        columns = {
            "node": list(merged),
            "parent": self._parents[n:].tolist(),
            "left": self._children[:, 0].tolist(),
            "right": self._children[:, 1].tolist(),
            "distance": self.linkage[:, 2].tolist(),
            "n_groups": list(range(n - 1, 0, -1)),
            "size": self.node_sizes[n:].tolist(),
            "ids": [[self.ids[row] for row in np.sort(self._find_rows(node))] for node in merged],
            "name": list(self.node_names),
        }
        return build_frame(columns, library)

    @cached_property
    def node_sizes(self) -> NDArray[np.float64]:
        """Sizes of all nodes: of the topics, then of the merged nodes."""
        return compute_node_sizes(self.linkage, self.sizes)

    def __str__(self) -> str:
        levels = [min(self.n_topics, _N_SHOWN)]
        while levels[-1] > 2:
            levels.append(max(round(levels[-1] / _LEVEL_RATIO), 2))
        shown = {node for level in [*levels, 1] for node in self.find_nodes(level)}
        depths = np.zeros(2 * self.n_topics, dtype=np.intp)  # the last entry is for the parent of the root
        for node in reversed(range(len(depths) - 1)):
            depths[node] = depths[self._parents[node]] + (node in shown)
        # A node is before the nodes below it, and these are in the order of the leaves.
        nodes = sorted(shown, key=lambda node: (self._first[node], -self._counts[node]))
        return draw_tree([self.format_node(node) for node in nodes], (depths[nodes] - 1).tolist())

    def __repr__(self) -> str:
        return f"<Hierarchy of {self.n_topics} topics>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    @cached_property
    def _children(self) -> NDArray[np.intp]:
        return self.linkage[:, :2].astype(np.intp)

    @cached_property
    def _counts(self) -> NDArray[np.intp]:
        """Numbers of topics of all nodes."""
        return np.concatenate([np.ones(self.n_topics), self.linkage[:, 3]]).astype(np.intp)

    @cached_property
    def _parents(self) -> NDArray[np.intp]:
        """Parents of all nodes; -1 for the last."""
        parents = np.full(2 * self.n_topics - 1, -1)
        parents[self._children] = np.arange(self.n_topics, len(parents))[:, None]
        return parents

    @cached_property
    def _first(self) -> NDArray[np.intp]:
        """The position of the first topic of each node in the order of the tree."""
        first = np.zeros(2 * self.n_topics - 1, dtype=np.intp)
        for i in reversed(range(len(self.linkage))):
            left, right = self._children[i]
            first[left] = first[self.n_topics + i]
            first[right] = first[left] + self._counts[left]
        return first

    def _find_rows(self, node: int) -> NDArray[np.intp]:
        """Return the rows of the topics of a node."""
        start = self._first[node]
        return self.leaf_order[start : start + self._counts[node]]


def compute_node_sizes(linkage: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sizes of the topics, then those of the merged nodes: the sums over their topics."""
    n = len(sizes)
    node_sizes = np.concatenate([sizes, np.zeros(len(linkage))])
    for i, (left, right) in enumerate(linkage[:, :2].astype(np.intp)):
        node_sizes[n + i] = node_sizes[left] + node_sizes[right]
    return node_sizes
