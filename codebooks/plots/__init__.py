"""Figures: of a codebook, of how many units to take, of searches, and of embeddings before and after a change.

Figures are made without pyplot, so that nothing global changes and no display is needed. What draws one panel takes
`ax=`, to draw into a figure of yours, and returns the Axes, whose `figure` it is in; what draws several returns the
Figure. `figure.savefig(path)` writes one.
"""

from codebooks.plots.heads import plot_groups, plot_history
from codebooks.plots.ranking import plot_accuracy_at_k
from codebooks.plots.selection import plot_selection
from codebooks.plots.topics import plot_topic, plot_topics, plot_usage
from codebooks.plots.whitening import plot_whitening

__all__ = [
    "plot_accuracy_at_k",
    "plot_groups",
    "plot_history",
    "plot_selection",
    "plot_topic",
    "plot_topics",
    "plot_usage",
    "plot_whitening",
]
