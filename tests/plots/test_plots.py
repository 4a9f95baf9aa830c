import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from codebooks import PartialWhitening
from codebooks.interpret.topics import Topic
from codebooks.metrics import average_cosine, isoscore
from codebooks.plots import (
    plot_accuracy_at_k,
    plot_groups,
    plot_history,
    plot_selection,
    plot_topic,
    plot_topics,
    plot_usage,
    plot_whitening,
)
from codebooks.selection import Selection

WORDS = ("apple", "a_word_that_is_longer_than_its_panel", "$x_1$", "über", "сад", "six", "seven", "eight", "nine")


def topics(n, words=WORDS):
    shares = np.arange(1, n + 1) / (n * (n + 1) / 2)
    return [Topic(k, words, tuple(1 / np.arange(1, len(words) + 1)), shares[k]) for k in range(n)]


def words_of(ax):
    return [text.get_text() for text in ax.texts]


def test_plot_topic_draws_words_on_bars():
    ax = plot_topic(topics(4)[1], coherence=-0.25, n_words=4)
    assert words_of(ax) == ["apple", "a_word_that_is_longer_tha…", "$x_1$", "über"]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [1, 1 / 2, 1 / 3, 1 / 4])
    assert ax.get_title(loc="left") == "topic 1 · 20.0 % · NPMI -.25"
    assert ax.yaxis_inverted()


@pytest.mark.parametrize(
    ("usage", "coherence", "title"),
    [
        (0.074, 0.31, "topic 0 · 7.4 % · NPMI .31"),
        (1.0, 1.0, "topic 0 · 100.0 % · NPMI 1.00"),
        (0.5, float("nan"), "topic 0 · 50.0 %"),
        (float("nan"), None, "topic 0"),
    ],
)
def test_plot_topic_title(usage, coherence, title):
    assert plot_topic(Topic(0, ("a",), (1.0,), usage), coherence).get_title(loc="left") == title


def test_plot_topics_sorts_by_usage():
    figure = plot_topics(topics(3), coherence=[0.1, 0.2, 0.3])
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["topic 2 · 50.0 % · NPMI .30", "topic 1 · 33.3 % · NPMI .20", "topic 0 · 16.7 % · NPMI .10"]


def test_plot_topics_states_the_topics_left_out():
    figure = plot_topics(topics(30), n_topics=20, title="a_$b$.csv")
    assert len(figure.axes) == 20
    assert figure.texts[0].get_text() == "a_$b$.csv · the 20 largest of 30 topics"
    assert not any("largest" in text.get_text() for text in plot_topics(topics(20)).texts)


def test_plot_topics_height_with_and_without_title():
    without, titled = plot_topics(topics(3)), plot_topics(topics(3), title="a.csv")
    heights = [
        (1 - max(ax.get_position().y1 for ax in figure.axes)) * figure.get_figheight() for figure in (without, titled)
    ]
    assert heights == pytest.approx([0.42, 0.8])
    heights = [ax.get_position().height * figure.get_figheight() for figure in (without, titled) for ax in figure.axes]
    np.testing.assert_allclose(heights, heights[0])


@pytest.mark.parametrize(
    ("usage", "coherence", "legend"),
    [
        (0.5, [0.3], ["bar", "%", "NPMI"]),
        (0.5, None, ["bar", "%"]),
        (0.5, [float("nan")], ["bar", "%"]),
        (float("nan"), [0.3], ["bar", "NPMI"]),
        (float("nan"), None, ["bar"]),
    ],
)
def test_plot_topics_legend(usage, coherence, legend):
    figure = plot_topics([Topic(0, ("a",), (1.0,), usage)], coherence)
    assert [part.partition(":")[0] for part in figure.texts[-1].get_text().split(" · ")] == legend


def test_plot_topic_bars_are_in_order_of_length_among_the_first_words():
    ax = plot_topic(Topic(0, ("goal", "match", "loan", "bank"), (0.9, 0.2, 0.5, 0.8), 0.1), n_words=3)
    assert words_of(ax) == ["goal", "loan", "match"]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [0.9, 0.5, 0.2])
    np.testing.assert_allclose([bar.get_y() + bar.get_height() / 2 for bar in ax.patches], [0, 1, 2])


def test_plot_topic_words_do_not_overlap(tmp_path):
    ax = plot_topic(Topic(0, WORDS * 4, tuple(range(36, 0, -1)), 0.1), n_words=36)
    ax.figure.savefig(tmp_path / "a.png")
    boxes = [text.get_window_extent() for text in ax.texts]
    assert all(below.y1 <= above.y0 + 3 for above, below in pairwise(boxes))


@pytest.mark.parametrize(("n", "n_words"), [(1, 3), (5, 8), (12, 3), (20, 8)])
def test_plot_topics_texts_do_not_overlap(tmp_path, n, n_words):
    figure = plot_topics(topics(n), np.linspace(-1, 1, n), n_words, title="documents.csv · 1,234,567 documents")
    figure.savefig(tmp_path / "a.png")
    texts = [text for ax in figure.axes for text in [*ax.texts, ax.title, ax._left_title]] + figure.texts
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    low, high = np.array([box.min for box in boxes]), np.array([box.max for box in boxes])
    apart = ((low[:, None] >= high[None] - 1) | (high[:, None] <= low[None] + 1)).any(axis=2)  # up to a pixel
    assert apart[~np.eye(len(boxes), dtype=bool)].all()
    assert (low >= 0).all()
    assert (high <= figure.bbox.max).all()


def test_plot_topic_with_ax():
    mine = Figure().add_subplot()
    assert plot_topic(topics(1)[0], ax=mine) is mine
    assert plot_usage(topics(1), ax=mine) is mine


def test_plot_topic_without_words():
    figure = plot_topics([Topic(0, (), (), 0.0)])
    assert words_of(figure.axes[0]) == []


def test_plot_usage_is_sorted_and_in_percent():
    ax = plot_usage([*topics(3), Topic(3, (), (), float("nan"))])
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [50, 100 / 3, 100 / 6, 0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "1", "0", "3"]


@pytest.mark.parametrize("n", [1, 10, 30, 120, 1200])
def test_plot_usage_tick_labels_do_not_overlap(tmp_path, n):
    ax = plot_usage(topics(n))
    ax.figure.savefig(tmp_path / "a.png")
    assert 6 <= ax.figure.get_figwidth() <= 12
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert len(ax.patches) == n
    assert (ax.get_xlabel() == "topic") == (len(boxes) == n) == (n <= 30)
    assert len(boxes) >= min(n, 20)


def test_plot_topics_rejects_invalid_arguments():
    with pytest.raises(ValueError, match="at least one topic"):
        plot_topics([])
    with pytest.raises(ValueError, match="each of the 3 topics, got 2"):
        plot_topics(topics(3), [0.1, 0.2])


def test_pyplot_is_not_imported(fresh_python):
    code = "import sys; from codebooks.plots import plot_topics; print('matplotlib.pyplot' in sys.modules)"
    assert fresh_python(code).split() == ["False"]
    assert sys.modules.get("matplotlib.pyplot") is None or not sys.modules["matplotlib.pyplot"].get_fignums()


def selection(best, numbers, error=0.1):
    row = {"separation": 0.2, "agreement": 0.8, "merit": 0.6, "error": error}
    return Selection(best, "", [{**row, "n_components": n} for n in numbers])


def test_plot_selection_draws_merit_and_its_parts():
    ax = plot_selection(selection(5, [2, 5, 30]))
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["merit, the sum"].get_xydata(), [[2, 0.6], [5, 0.6], [30, 0.6]])
    np.testing.assert_allclose(lines["separation"].get_ydata(), 0.2)
    np.testing.assert_allclose(lines["half the agreement"].get_ydata(), 0.4)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.5, 0.7))
    assert ax.get_title(loc="left") == "5 components"
    assert ax.lines[0].get_xdata()[0] == 5  # the mark


@pytest.mark.parametrize("numbers", [[7], [2, 3], range(2, 31), range(2, 200, 20)])
def test_plot_selection_legend_and_title_do_not_overlap(tmp_path, numbers):
    ax = plot_selection(selection(numbers[0], numbers))
    ax.figure.savefig(tmp_path / "a.png")
    title, legend = ax._left_title.get_window_extent(), ax.get_legend().get_window_extent()
    assert title.x1 < legend.x0
    assert legend.x1 <= ax.figure.bbox.x1
    assert legend.y1 <= ax.figure.bbox.y1
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


def test_plot_selection_with_ax():
    mine = Figure().add_subplot()
    assert plot_selection(selection(2, [2, 3]), ax=mine) is mine


def cone(n=300, d=12):
    return 2 + np.random.default_rng(0).standard_normal((n, d)) * np.geomspace(3, 0.1, d)


def test_plot_whitening_draws_cosines_and_variances():
    X = cone()
    cosines, variances = plot_whitening(X, X - X.mean(axis=0)).axes
    labels = []
    for Y in (X, X - X.mean(axis=0)):
        unit = Y / np.linalg.norm(Y, axis=1, keepdims=True)
        spread = (unit @ unit.T)[np.triu_indices(len(Y), 1)].std()
        labels.append(f"{average_cosine(Y) + 0:.2f} ± {spread:.2f}".replace("-0.00", "0.00"))
    assert cosines.get_title(loc="left") == "cosine " + " → ".join(labels).replace("0.", ".")
    assert sum(bar.get_height() for bar in cosines.containers[0]) == pytest.approx(100)
    labels = [text.get_text() for text in variances.get_legend().get_texts()]
    assert labels == [f"{name}, IsoScore {isoscore(X):.2f}".replace("0.", ".") for name in ("before", "after")]
    expected = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    for line in variances.lines[1:]:
        np.testing.assert_allclose(line.get_ydata(), expected / expected.mean())
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))


@pytest.mark.parametrize(("n", "d"), [(2, 2), (5, 400), (2000, 3), (50, 1)])
def test_plot_whitening_texts_are_inside_the_figure(tmp_path, n, d):
    X = cone(n, d).astype(np.float32)
    figure = plot_whitening(X, PartialWhitening().fit_transform(X))
    figure.savefig(tmp_path / "a.png")
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    assert boxes[0].x1 <= boxes[1].x0 + 1
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 + 1 for box in boxes)


def test_plot_whitening_tick_labels_do_not_overlap(tmp_path):
    X = cone()
    figure = plot_whitening(X - X.mean(axis=0), X)
    figure.savefig(tmp_path / "a.png")
    low, high = figure.axes[0].get_xlim()
    labels = [label for label in figure.axes[0].get_xticklabels() if low <= label.get_position()[0] <= high]
    boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) >= 3
    assert all(left.x1 + left.height < right.x0 for left, right in pairwise(boxes))


def test_plot_whitening_without_variance(tmp_path):
    X = np.full((20, 3), 0.5)
    figure = plot_whitening(X, PartialWhitening().fit_transform(X))
    figure.savefig(tmp_path / "a.png")
    cosines, variances = figure.axes
    assert cosines.get_title(loc="left") == "cosine 1.00 ± .00 → .00 ± .00"
    assert "unknown" in variances.get_legend().get_texts()[0].get_text()


def test_plot_whitening_with_axes():
    X, mine = cone(), Figure()
    assert plot_whitening(X, X, n_rows=50, axes=mine.subplots(1, 2)) is mine
    part = mine.subfigures()
    assert plot_whitening(X, X, n_rows=50, axes=part.subplots(1, 2)) is mine


def test_plot_whitening_rejects_different_rows():
    X = cone()
    with pytest.raises(ValueError, match=r"same rows, got 300 and 299"):
        plot_whitening(X, X[1:])
    with pytest.raises(ValueError, match="`n_rows` must be an integer >= 2"):
        plot_whitening(X, X, n_rows=1)
    with pytest.raises(ValueError, match="minimum of 2"):
        plot_whitening(X[:1], X[:1])


def head(*mrr, loss=(2.0, 1.0), improved=True):
    numbers = np.interp(np.arange(len(mrr)), [0, len(mrr) - 1], loss)
    entry = {"distance": 0.8, "isoscore": 12.25}
    history = [{**entry, "epoch": k, "loss": numbers[k], "mrr": value} for k, value in enumerate(mrr)]
    return SimpleNamespace(history_=history, n_iter_=int(np.argmax(mrr[1:])) + 1, improved_=improved)


def test_plot_history_of_one_and_of_several_epochs(tmp_path):
    ax = plot_history(head(0.5, 0.6))
    ax.figure.savefig(tmp_path / "a.png")
    lines = {line.get_label(): line for line in ax.lines}
    for row, (name, share) in enumerate({"MRR": 120, "loss": 50, "distance to centroid": 100, "isoscore": 100}.items()):
        np.testing.assert_allclose(lines[name].get_xydata(), [[100, row], [share, row]])
    labels = [label.get_text().split("\n") for label in ax.get_yticklabels()]
    assert labels[:2] == [["MRR", ".500 → .600"], ["loss", "2.000 → 1.000"]]
    assert labels[3] == ["isoscore", "12.2 → 12.2"]
    assert ax.get_title(loc="left") == "MRR .500 → .600, kept"
    assert ax.yaxis_inverted()

    ax = plot_history(head(0.5, 0.7, 0.6, improved=False))
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["MRR"].get_xydata(), [[0, 100], [1, 140], [2, 120]])
    assert ax.get_title(loc="left") == "MRR .500 → .700, not kept"
    assert ax.get_xlabel() == "epoch"


def test_plot_history_axis_has_a_minimum_width():
    low, high = plot_history(head(0.500, 0.501, loss=(1.0, 1.001))).get_xlim()
    assert low <= 90 < 110 <= high


def test_plot_history_leaves_out_measures_without_an_initial_value():
    ax = plot_history(head(0.5, 0.6, loss=(np.nan, 1.0)))
    assert [label.get_text().split("\n")[0] for label in ax.get_yticklabels()] == [
        "MRR",
        "distance to centroid",
        "isoscore",
    ]


def test_plot_groups_states_the_groups_left_out():
    X, groups = cone(60), np.repeat(np.arange(10), 6)
    assert plot_groups(X, X, groups).legends[0].get_title().get_text() == "the 8 largest of 10 groups"
    assert plot_groups(X, X, groups, n_groups=10).legends[0].get_title().get_text() == ""


def test_plot_accuracy_at_k_draws_a_line_for_each_ranking():
    relevant, mine = [[3], [9], [1, 2]], Figure().add_subplot()
    rankings = {f"engine {i}": [[7, 3], [], [2]] for i in range(6)}
    ax = plot_accuracy_at_k(rankings, relevant, ax=mine)
    assert ax is mine
    assert [line.get_label() for line in ax.lines] == list(rankings)
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 6
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1 / 3] + 9 * [2 / 3])
    assert ax.lines[0].get_xdata().tolist() == list(range(1, 11))


def test_figures_and_axes_have_a_png_for_notebooks():
    shown = [
        plot_topics(topics(2)),
        plot_topic(topics(1)[0]),
        plot_usage(topics(2)),
        plot_selection(selection(2, [2, 3])),
        plot_history(head(0.5, 0.6)),
        plot_groups(cone(9), cone(9), np.repeat([0, 1, 2], 3)),
        plot_whitening(cone(9), cone(9)),
        plot_accuracy_at_k({"words": [[1]]}, [[1]]),
    ]
    assert all(plot._repr_png_().startswith(b"\x89PNG") for plot in shown)
