"""The hierarchy of topics as nested groups, with fewer levels than merges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from codebooks.interpret.topic_tree import Hierarchy

__all__ = ["Node", "build_tree"]

_LEVEL_RATIO = 3  # each level has about this factor fewer groups than the level below


@dataclass
class Node:
    """A topic, or a group of topics."""

    name: str
    size: float
    id: Any = None  # of a topic
    children: list[Node] = field(default_factory=list)
    n_topics: int = 1


def build_tree(hierarchy: Hierarchy) -> Node:
    """Return the group of all topics, which contains the others."""
    n = hierarchy.n_topics
    levels = [n]
    while levels[-1] > 2:
        levels.append(max(round(levels[-1] / _LEVEL_RATIO), 2))
    parents = {int(child): n + i for i, row in enumerate(hierarchy.linkage) for child in row[:2]}
    root = 2 * n - 2
    nodes = {root: Node("All topics", float(hierarchy.node_sizes[root]), n_topics=n)}
    for level in reversed(levels):
        for number in hierarchy.find_nodes(level):
            if number in nodes:
                continue
            size = float(hierarchy.node_sizes[number])
            if number < n:
                node = Node(hierarchy.names[number], size, hierarchy.ids[number])
            else:
                node = Node(hierarchy.node_names[number - n], size, n_topics=int(hierarchy.linkage[number - n, 3]))
            nodes[number] = node
            parent = parents[number]
            while parent not in nodes:
                parent = parents[parent]
            nodes[parent].children.append(node)
    return nodes[root]
