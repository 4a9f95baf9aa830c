from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from codebooks.interpret import compare_topics_by_class, compute_topic_trends
from codebooks.plots import plot_topic_shares, plot_topic_trends
from codebooks.plots.trends import _spread

NAMES = ["сад", "$x_1$", "a name that is longer than its label", "über", "five", "six", "seven", "eight"]


def make_trends(n_bins, **options):
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(8), 20 * n_bins)
    months = np.datetime64("2019-01") + np.arange(20 * n_bins) % n_bins
    return compute_topic_trends(shares, months, bins="month", names=NAMES, **options)


def get_lines(ax):
    """The lines of topics, without the connections to their labels."""
    return [line for line in ax.lines if line.get_linewidth() == 1.8]


@pytest.mark.parametrize("n_bins", [3, 40])
def test_plot_topic_trends_draws_shares_and_labels(tmp_path, n_bins):
    trends = make_trends(n_bins)
    ax = plot_topic_trends(trends, topics=[1, 0, 2])
    ax.figure.savefig(tmp_path / "a.png")
    for line, column in zip(get_lines(ax), [1, 0, 2], strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100 * trends.shares[:, column])
    assert [text.get_text() for text in ax.texts] == ["$x_1$", "сад", "a name that is longer tha…"]
    assert len(ax.collections) >= 3  # bands
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 2 for below, above in pairwise(boxes))
    assert all(box.x1 <= ax.figure.bbox.x1 for box in boxes)


def test_plot_topic_trends_shows_the_topics_that_change_most():
    first, second = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 0.0], [0.0, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.0]
    ax = plot_topic_trends(compute_topic_trends([first, second], [2001, 2002], names=NAMES))
    assert {text.get_text() for text in ax.texts} == {
        "сад",
        "$x_1$",
        "a name that is longer tha…",
        "über",
        "five",
        "seven",
    }
    assert ax.get_title(loc="left") == "the 6 of 8 topics that change most"


def test_plot_topic_trends_has_gaps_and_points_for_isolated_bins():
    trends = compute_topic_trends([0, 0, 1, 0], [2001, 2002, 2004, 2006])
    ax = plot_topic_trends(trends, topics=[0])
    [line] = get_lines(ax)
    np.testing.assert_array_equal(line.get_xdata(), np.arange(2001, 2007))
    np.testing.assert_array_equal(line.get_ydata(), [100, 100, np.nan, 0, np.nan, 100])
    [points] = [line for line in ax.lines if line.get_marker() == "o"]
    assert points.get_xdata().tolist() == [2004, 2006]


def test_plot_topic_shares_draws_a_cell_for_each_class_and_topic():
    comparison = compare_topics_by_class([[0.7, 0.3], [0.2, 0.8]], ["b", "$a$"], ids=[4, 2], names=["first", "second"])
    ax = plot_topic_shares(comparison)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["second", "first"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["$a$", "b"]
    assert [text.get_text() for text in ax.texts] == ["80", "30", "20", "70"]
    mine = Figure().add_subplot()
    assert plot_topic_shares(comparison, topics=[4], ax=mine) is mine
    assert [text.get_text() for text in mine.texts] == ["20", "70"]


def test_plot_topic_shares_states_what_is_left_out():
    classes = np.repeat(np.arange(30), 2)
    ax = plot_topic_shares(compare_topics_by_class(np.arange(60) % 25, classes))
    assert ax.get_xlabel() == "20 of 25 topics, 20 of 30 classes"


def test_plots_of_unknown_topics():
    for topics in ([3, 9], []):
        with pytest.raises(ValueError, match="`topics` must be at least one of the ids"):
            plot_topic_trends(make_trends(3), topics=topics)


def test_labels_are_moved_apart_by_little():
    np.testing.assert_allclose(_spread(np.array([5.0, 5.0, 1.0]), 1, 0, 10), [4.5, 5.5, 1])
    np.testing.assert_allclose(_spread(np.array([10.0, 10.0]), 1, 0, 10), [9, 10])
    np.testing.assert_allclose(_spread(np.array([0.0, 0.1]), 1, 0, 10), [0, 1])
    assert np.diff(_spread(np.zeros(30), 1, 0, 10)).min() >= 1
