from itertools import combinations

import numpy as np
import pytest

from codebooks.interpret.topics import Topic
from codebooks.plots import plot_document_map, plot_topic


@pytest.mark.parametrize("n", [3, 100])
def test_plot_document_map_names_do_not_overlap(tmp_path, n):
    rng = np.random.default_rng(0)
    labels = np.append(np.repeat(np.arange(n), 5), [-1, -1])
    points = rng.standard_normal((n, 2))[labels] + 0.02 * rng.standard_normal((len(labels), 2))
    points[0] = np.nan
    topics = [Topic(k, ("$x_1$", "сад", "a_very_long_word_of_a_topic"), (3, 2, 1), 1 / n) for k in range(n - 1)]
    ax = plot_document_map(points, labels, topics)
    ax.figure.savefig(tmp_path / "a.png")
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 3 if n == 3 else 20 < len(boxes) < 100
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert (f"{len(boxes)} of {n} topics named" in ax.get_xlabel()) == (len(boxes) < n)
    assert "gray: no topic" in ax.get_xlabel()


def test_plot_document_map_without_topics_and_invalid_arguments():
    assert not plot_document_map(np.zeros((2, 2)), [-1, -1]).texts
    with pytest.raises(ValueError, match="`positions` must have shape"):
        plot_document_map(np.zeros((2, 3)), [0, 1])
    with pytest.raises(ValueError, match="`labels` must be an integer for each of the 2 documents"):
        plot_document_map(np.zeros((2, 2)), [0])


def test_plot_topic_title_has_the_name():
    ax = plot_topic(Topic(3, ("rate",), (1.0,), 0.5, name="interest $ $, bank"))
    assert ax.get_title(loc="left") == "topic 3: interest $ $, bank\n50.0 %"
