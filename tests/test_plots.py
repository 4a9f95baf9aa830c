import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from codebooks import Isotropy
from codebooks.plots import plot_isotropy, plot_selection, plot_topic, plot_topics, plot_usage
from codebooks.scores import average_cosine, isoscore
from codebooks.selection import Selection
from codebooks.topics import Topic

WORDS = ("apple", "a_word_that_is_longer_than_its_panel", "$x_1$", "über", "сад", "six", "seven", "eight", "nine")


def topics(n, words=WORDS):
    shares = np.arange(1, n + 1) / (n * (n + 1) / 2)
    return [Topic(k, words, tuple(1 / np.arange(1, len(words) + 1)), shares[k]) for k in range(n)]


def words_of(ax):
    return [text.get_text() for text in ax.texts]


def test_a_topic_is_bars_under_words():
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
def test_the_title_says_what_is_known(usage, coherence, title):
    assert plot_topic(Topic(0, ("a",), (1.0,), usage), coherence).get_title(loc="left") == title


def test_the_largest_come_first_with_their_coherence():
    figure = plot_topics(topics(3), coherence=[0.1, 0.2, 0.3])
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["topic 2 · 50.0 % · NPMI .30", "topic 1 · 33.3 % · NPMI .20", "topic 0 · 16.7 % · NPMI .10"]


def test_topics_left_out_are_told():
    figure = plot_topics(topics(30), n_topics=20, title="a_$b$.csv")
    assert len(figure.axes) == 20
    assert figure.texts[0].get_text() == "a_$b$.csv · the 20 largest of 30 topics"
    assert plot_topics(topics(20)).texts[0].get_text() == ""


@pytest.mark.parametrize("n_words", [3, 8])
@pytest.mark.parametrize("n", [1, 5, 12, 20])
def test_no_text_overlaps_another_or_leaves_the_figure(tmp_path, n, n_words):
    figure = plot_topics(topics(n), np.linspace(-1, 1, n), n_words, title="documents.csv · 1,234,567 documents")
    figure.savefig(tmp_path / "a.png")
    texts = [text for ax in figure.axes for text in [*ax.texts, ax.title, ax._left_title]] + figure.texts
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    low, high = np.array([box.min for box in boxes]), np.array([box.max for box in boxes])
    apart = ((low[:, None] >= high[None] - 1) | (high[:, None] <= low[None] + 1)).any(axis=2)  # up to a pixel
    assert apart[~np.eye(len(boxes), dtype=bool)].all()
    assert (low >= 0).all()
    assert (high <= figure.bbox.max).all()


def test_one_may_draw_into_a_figure_of_ones_own():
    mine = Figure().add_subplot()
    assert plot_topic(topics(1)[0], ax=mine) is mine
    assert plot_usage(topics(1), ax=mine) is mine


def test_a_topic_without_words_is_an_empty_panel():
    figure = plot_topics([Topic(0, (), (), 0.0)])
    assert words_of(figure.axes[0]) == []


def test_usage_is_sorted_and_in_percent():
    ax = plot_usage([*topics(3), Topic(3, (), (), float("nan"))])
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [50, 100 / 3, 100 / 6, 0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "1", "0", "3"]


def test_bad_arguments():
    with pytest.raises(ValueError, match="at least one topic"):
        plot_topics([])
    with pytest.raises(ValueError, match="each of the 3 topics; 2 came"):
        plot_topics(topics(3), [0.1, 0.2])


def test_pyplot_is_not_touched(fresh_python):
    code = "import sys; from codebooks.plots import plot_topics; print('matplotlib.pyplot' in sys.modules)"
    assert fresh_python(code).split() == ["False"]
    assert sys.modules.get("matplotlib.pyplot") is None or not sys.modules["matplotlib.pyplot"].get_fignums()


def selection(best, numbers, error=0.1):
    row = {"separation": 0.2, "agreement": 0.8, "merit": 0.6, "error": error}
    return Selection(best, "", [{**row, "n_components": n} for n in numbers])


def test_a_selection_shows_the_merit_and_its_parts():
    ax = plot_selection(selection(5, [2, 5, 30]))
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["merit, the sum"].get_xydata(), [[2, 0.6], [5, 0.6], [30, 0.6]])
    np.testing.assert_allclose(lines["separation"].get_ydata(), 0.2)
    np.testing.assert_allclose(lines["half the agreement"].get_ydata(), 0.4)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((0.5, 0.7))
    assert ax.get_title(loc="left") == "5 units"
    assert ax.lines[0].get_xdata()[0] == 5  # the mark


@pytest.mark.parametrize("numbers", [[7], [2, 3], range(2, 31), range(2, 200, 20)])
def test_a_selection_fits_its_figure(tmp_path, numbers):
    ax = plot_selection(selection(numbers[0], numbers))
    ax.figure.savefig(tmp_path / "a.png")
    title, legend = ax._left_title.get_window_extent(), ax.get_legend().get_window_extent()
    assert title.x1 < legend.x0
    assert legend.x1 <= ax.figure.bbox.x1
    assert legend.y1 <= ax.figure.bbox.y1
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


def test_a_selection_may_be_drawn_into_a_figure_of_ones_own():
    mine = Figure().add_subplot()
    assert plot_selection(selection(2, [2, 3]), ax=mine) is mine


def cone(n=300, d=12):
    return 2 + np.random.default_rng(0).standard_normal((n, d)) * np.geomspace(3, 0.1, d)


def test_isotropy_shows_cosines_and_variances():
    X = cone()
    cosines, variances = plot_isotropy(X, X - X.mean(axis=0))
    means = [f"{average_cosine(Y) + 0:.2f}" for Y in (X, X - X.mean(axis=0))]
    assert cosines.get_title(loc="left") == "mean cosine " + " → ".join(means).replace("-0.00", "0.00").replace(
        "0.", "."
    )
    assert sum(bar.get_height() for bar in cosines.containers[0]) == pytest.approx(100)
    labels = [text.get_text() for text in variances.get_legend().get_texts()]
    assert labels == [f"{name}, IsoScore {isoscore(X):.2f}".replace("0.", ".") for name in ("before", "after")]
    expected = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    for line in variances.lines[1:]:
        np.testing.assert_allclose(line.get_ydata(), expected / expected.mean())
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 13))


@pytest.mark.parametrize(("n", "d"), [(2, 2), (5, 400), (2000, 3), (50, 1)])
def test_isotropy_of_any_shape_fits_its_figure(tmp_path, n, d):
    X = cone(n, d).astype(np.float32)
    pair = plot_isotropy(X, Isotropy().fit_transform(X))
    pair[0].figure.savefig(tmp_path / "a.png")
    boxes = [ax.get_tightbbox() for ax in pair]
    assert boxes[0].x1 <= boxes[1].x0 + 1
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= pair[0].figure.bbox.x1 + 1 for box in boxes)


def test_isotropy_where_nothing_varies(tmp_path):
    X = np.full((20, 3), 0.5)
    cosines, variances = plot_isotropy(X, Isotropy().fit_transform(X))
    cosines.figure.savefig(tmp_path / "a.png")
    assert cosines.get_title(loc="left") == "mean cosine 1.00 → .00"
    assert "unknown" in variances.get_legend().get_texts()[0].get_text()


def test_isotropy_may_be_drawn_into_axes_of_ones_own():
    X, mine = cone(), Figure().subplots(1, 2)
    assert plot_isotropy(X, X, n_rows=50, axes=mine) == tuple(mine)


def test_isotropy_wants_the_same_rows():
    X = cone()
    with pytest.raises(ValueError, match=r"same rows; 300 and 299 came"):
        plot_isotropy(X, X[1:])
    with pytest.raises(ValueError, match="n_rows must be 2 or more"):
        plot_isotropy(X, X, n_rows=1)
    with pytest.raises(ValueError, match="minimum of 2"):
        plot_isotropy(X[:1], X[:1])
