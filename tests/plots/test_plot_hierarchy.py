from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from codebooks.interpret import Topic, build_hierarchy, compute_topic_similarity
from codebooks.plots import plot_hierarchy, plot_similarity
from codebooks.plots.style import choose_fonts

NAMES = ("apple, pear", "a name that is much longer than the space that is left of the panel", "$x_1$", "сад, цветы")


def example(n, seed=0):
    rng = np.random.default_rng(seed)
    components, sizes = rng.dirichlet(np.full(40, 0.3), n), rng.integers(0, 5000, n)
    return components, sizes, [NAMES[k % len(NAMES)] for k in range(n)]


def rows_of(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_plot_hierarchy_joins_groups_at_their_distances():
    components, sizes, names = example(9)
    hierarchy = build_hierarchy(components, sizes, names=names)
    ax = plot_hierarchy(hierarchy)
    segments = np.array(ax.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, 1, 0], hierarchy.linkage[:, 2])
    assert rows_of(ax)[0].startswith(f"{hierarchy.leaf_order[0]} ({sizes[hierarchy.leaf_order[0]]:,}): ")
    # Between two merges, as many horizontal lines are crossed as there are groups.
    for n_groups in range(2, 9):
        level = hierarchy.linkage[9 - n_groups - 1 : 9 - n_groups + 1, 2].mean()
        ends = np.concatenate([segments[:, [0, 1], 0], segments[:, [3, 2], 0]])
        assert ((ends[:, 0] <= level) & (level < ends[:, 1])).sum() == n_groups


def test_plot_hierarchy_draws_at_most_n_shown_groups():
    hierarchy = build_hierarchy(*example(30)[:2])
    ax = plot_hierarchy(hierarchy, n_shown=7)
    labels = rows_of(ax)
    n_topics = [int(label.split()[-2]) if label.endswith("topics)") else 1 for label in labels]
    assert sorted(n_topics) == sorted(map(len, hierarchy.cut(7)))
    np.testing.assert_allclose([line[1, 0] for line in ax.collections[0].get_segments()], hierarchy.linkage[-6:, 2])
    with pytest.raises(ValueError, match="`n_shown` must be an integer >= 2, got 1"):
        plot_hierarchy(hierarchy, n_shown=1)


@pytest.mark.parametrize("n", [1, 5, 30])
def test_names_in_plots_are_inside_the_figure_and_do_not_overlap(tmp_path, n):
    components, sizes, names = example(n)
    axes = [
        plot_hierarchy(build_hierarchy(components, sizes, names=names)),
        plot_similarity(compute_topic_similarity(components), names),
    ]
    for ax in axes:
        ax.figure.savefig(tmp_path / "a.png")
        assert len(rows_of(ax)) == n
        boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
        assert all(below.y1 <= above.y0 + 1 for above, below in pairwise(boxes))
        assert all(box.x0 >= 0 and box.y0 >= 0 and box.y1 <= ax.figure.bbox.y1 for box in boxes)
        assert ax.get_window_extent().width > 100
        assert max(ax.figure.get_size_inches()) < 22


def test_plot_similarity_of_many_topics_names_some():
    ax = plot_similarity(np.eye(250), range(250), sort=False)
    assert rows_of(ax) == [str(k) for k in range(0, 250, 3)]
    assert ax.get_xlabel() == "topics, one in 3 named"
    assert max(ax.figure.get_size_inches()) < 16


def test_plot_similarity_draws_rows_in_order_of_similarity():
    similarity = np.array([[1.0, -0.2, 0.8], [-0.2, 1.0, 0.1], [0.8, 0.1, 1.0]])
    ax = plot_similarity(similarity, [Topic(7, ("goal", "team"), (1.0, 0.5), 0.5), "bank", "match"])
    assert rows_of(ax) == ["bank", "7: goal, team", "match"]
    np.testing.assert_array_equal(ax.images[0].get_array(), similarity[np.ix_([1, 0, 2], [1, 0, 2])])
    assert ax.images[0].get_clim() == (0, 0.8)
    ax = plot_similarity(similarity, ["a", "b", "c"], sort=False)
    assert rows_of(ax) == ["a", "b", "c"]
    np.testing.assert_array_equal(ax.images[0].get_array(), similarity)


@pytest.mark.parametrize(
    ("similarity", "names", "message"),
    [
        (np.eye(3), ["a", "b"], "for each of the 2 topics, got shape"),
        (np.ones((2, 3)), ["a", "b"], "for each of the 2 topics, got shape"),
        ([], [], "for each of the 0 topics"),
        ([[1, np.nan], [np.nan, 1]], ["a", "b"], "symmetric matrix of finite numbers"),
        ([[1, 0.5], [0, 1]], ["a", "b"], "symmetric matrix of finite numbers"),
        ([["x", 1], [1, 1]], ["a", "b"], "matrix of numbers"),
    ],
)
def test_plot_similarity_rejects_invalid_matrices(similarity, names, message):
    with pytest.raises(ValueError, match=message):
        plot_similarity(similarity, names)


def test_plots_of_hierarchy_with_ax_and_as_png():
    components, sizes, names = example(4)
    hierarchy, similarity = build_hierarchy(components, sizes), compute_topic_similarity(components)
    mine = Figure().subplots(1, 2)
    assert plot_hierarchy(hierarchy, ax=mine[0]) is mine[0]
    assert plot_similarity(similarity, names, ax=mine[1]) is mine[1]
    for ax in (plot_hierarchy(hierarchy), plot_similarity(similarity, names)):
        assert ax._repr_png_().startswith(b"\x89PNG")


def test_choose_fonts_appends_installed_fonts(monkeypatch):
    monkeypatch.setattr("codebooks.plots.style.get_font_names", lambda: ["Yu Gothic", "Comic Sans MS", "PingFang SC"])
    assert choose_fonts() == ["sans-serif", "PingFang SC", "Yu Gothic"]
