"""Plots of topics, their hierarchy, similarity and trends, of the number of components, of rankings and embeddings.

Figures do not use pyplot: no global state changes, and no display is needed. Functions that draw one panel accept
`ax=`, to draw into an existing figure, and return the Axes; its figure is `ax.figure`. Functions that draw several
panels return the Figure. A notebook displays both. `figure.savefig(path)` writes a file.
"""

from codebooks.plots.document_map import plot_document_map
from codebooks.plots.heads import plot_groups, plot_history
from codebooks.plots.hierarchy import plot_hierarchy, plot_similarity
from codebooks.plots.ranking import plot_accuracy_at_k
from codebooks.plots.selection import plot_selection
from codebooks.plots.topics import plot_topic, plot_topics, plot_usage
from codebooks.plots.trends import plot_topic_shares, plot_topic_trends
from codebooks.plots.whitening import plot_whitening

__all__ = [
    "plot_accuracy_at_k",
    "plot_document_map",
    "plot_groups",
    "plot_hierarchy",
    "plot_history",
    "plot_selection",
    "plot_similarity",
    "plot_topic",
    "plot_topic_shares",
    "plot_topic_trends",
    "plot_topics",
    "plot_usage",
    "plot_whitening",
]
