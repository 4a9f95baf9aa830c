"""Trees as text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["draw_tree"]


def draw_tree(labels: Sequence[str], depths: Sequence[int]) -> str:
    """Draw a tree with a line for each node.

    Parameters
    ----------
    labels : sequence of str
        The text of each node, in the order of the lines: each node is followed by those below it.
    depths : sequence of int
        The number of nodes above each node.

    Examples
    --------
    >>> print(draw_tree(["all", "sport", "tennis", "money"], [0, 1, 2, 1]))
    all
    ├── sport
    │   └── tennis
    └── money
    """
    lines: list[str] = []
    continues: dict[int, bool] = {}  # whether a node of this depth follows below, before a node of a lower depth
    for label, depth in zip(reversed(labels), reversed(depths), strict=True):
        indent = "".join("│   " if continues.get(level) else "    " for level in range(1, depth))
        branch = "" if depth == 0 else "├── " if continues.get(depth) else "└── "
        lines.append(f"{indent}{branch}{label}")
        continues = {level: value for level, value in continues.items() if level < depth} | {depth: True}
    return "\n".join(reversed(lines))
