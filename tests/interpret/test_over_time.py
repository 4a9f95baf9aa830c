"""Trends of topics against slow loops, the calendar of Python and simulated documents."""

import sys
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy import sparse

from codebooks.interpret import compare_topics_by_class, compute_topic_trends

FIELDS = ("n_documents", "shares", "lower", "upper")


def get_bins(timestamps, bins="day", **options):
    """The labels of the bins with documents."""
    trends = compute_topic_trends(np.zeros(len(timestamps), int), timestamps, bins=bins, **options)
    labels = trends._label_groups()[1]
    return [label for label, n in zip(labels, trends.n_documents, strict=True) for _ in range(n)]


@pytest.fixture
def documents():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([0.3] * 4, 300)
    days = rng.integers(-400, 500, 300)
    days[:5] = [-400, 499, 0, 0, 0]
    X = rng.poisson(0.3, (300, 30)).astype(float)
    return shares, np.datetime64("1970-01-01") + days, sparse.csr_matrix(X)


# -- shares --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dense", "sparse", "labels"])
def test_topic_trends_equal_a_loop_over_documents(documents, form):
    shares, times, _ = documents
    labels = shares.argmax(axis=1) - 1  # -1 is none
    given = {"dense": shares, "sparse": sparse.csr_matrix(shares), "labels": labels}[form]
    expected = np.eye(3)[labels] * (labels >= 0)[:, None] if form == "labels" else shares
    trends = compute_topic_trends(given, times, bins="month")
    months = [f"{day.year}-{day.month:02}" for day in times.tolist()]
    assert len(trends.bins) == 31
    for month, n, share in zip(trends._label_groups()[1], trends.n_documents, trends.shares, strict=True):
        rows = [row for row, other in enumerate(months) if other == month]
        assert n == len(rows)
        np.testing.assert_allclose(share, expected[rows].mean(axis=0) if rows else np.nan, atol=1e-12)
    np.testing.assert_allclose(np.nansum(trends.n_documents[:, None] * trends.shares, axis=0), expected.sum(axis=0))
    assert trends.ids == (tuple(range(expected.shape[1])))


def test_topic_trends_do_not_depend_on_the_order_of_documents(documents):
    shares, times, X = documents
    order = np.random.default_rng(1).permutation(len(times))
    options = {"bins": "month", "feature_names": [f"w{i}" for i in range(30)]}
    first = compute_topic_trends(shares, times, X=X, **options)
    second = compute_topic_trends(shares[order], times[order], X=X[order], **options)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(first, field), getattr(second, field), rtol=1e-9)
    assert first.words == second.words


def test_classes_equal_bins_of_the_same_groups(documents):
    shares, _, X = documents
    groups = np.arange(300) % 3
    words = [f"w{i}" for i in range(30)]
    names = ["c", "a", "b", None, float("nan")]
    missing = np.full((2, 4), 0.25), sparse.csr_matrix((2, 30))
    by_class = compare_topics_by_class(
        np.vstack([shares, missing[0]]),
        [names[group] for group in [*groups, 3, 4]],
        X=sparse.vstack([X, missing[1]]),
        feature_names=words,
        names=list("KLMN"),
        ids=[5, 3, 8, 9],
    )
    trends = compute_topic_trends(shares, (groups + 2) % 3, X=X, feature_names=words)
    assert by_class.classes.tolist() == ["a", "b", "c"]
    assert by_class.n_missing == 2
    for field in FIELDS:
        np.testing.assert_allclose(getattr(by_class, field), getattr(trends, field))
    assert by_class.words == trends.words
    frame = by_class.to_frame()
    assert frame["topic"].tolist() == [5, 3, 8, 9] * 3
    assert frame["name"].tolist() == list("KLMN") * 3
    assert frame["class"].tolist() == [name for name in "abc" for _ in range(4)]


@pytest.mark.parametrize("n", [1, 5, 20, 200])
def test_interval_of_the_share_covers_the_mean(n):
    """Labels, and soft shares of which few are large: at least 95 %, up to the error of the simulation."""
    rng = np.random.default_rng(n)
    n_bins = 2000 if n < 100 else 400
    for p in (0.01, 0.05, 0.2, 0.5):
        hits = rng.random(n * n_bins) < p
        for share in (hits.astype(float), rng.beta(p, 1 - p, n * n_bins), np.where(hits, 0.9, 0.002)):
            mean = 0.9 * p + 0.002 * (1 - p) if share.max() == 0.9 else p
            shares = np.stack([share, 1 - share], axis=1)
            trends = compute_topic_trends(shares, np.repeat(np.arange(n_bins), n), bins=np.arange(n_bins + 1))
            covered = (trends.lower <= mean) & (mean <= trends.upper)
            assert covered[:, 0].mean() >= 0.95 - 2.6 * (0.95 * 0.05 / n_bins) ** 0.5
            assert (trends.lower <= trends.shares).all()
            assert (trends.shares <= trends.upper).all()


def test_interval_of_even_shares_is_narrower_than_that_of_labels():
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b"], 100)
    soft = rng.uniform(0.2, 0.4, 200)
    labels = np.tile([1.0] * 3 + [0.0] * 7, 20)
    width = {}
    for name, share in (("soft", soft), ("labels", labels)):
        result = compare_topics_by_class(np.stack([share, 1 - share], axis=1), groups)
        width[name] = (result.upper - result.lower)[0, 0]
    assert width["soft"] < 0.5 * width["labels"]


# -- words ---------------------------------------------------------------------------------------------------------


def test_words_equal_a_loop_over_words(documents):
    shares, times, X = documents
    shares = np.where(shares < 0.001, 0, shares)
    X = X.toarray()
    trends = compute_topic_trends(shares, times, bins="quarter", X=X, feature_names=range(30), n_words=4)
    places = np.searchsorted(trends.edges, times, side="right") - 1
    background = X.sum(axis=0) / X.sum()
    n_bins = len(set(places.tolist()))
    for b, group in enumerate(trends.words):
        for k, words in enumerate(group):
            count = shares[places == b, k] @ X[places == b] + shares[:, k] @ X / n_bins
            share = count / count.sum()
            scores = [s * np.log(s / p) if s else 0 for s, p in zip(share, background, strict=True)]
            expected = sorted((w for w in range(30) if scores[w] > 1e-9), key=lambda w: -scores[w])[:4]
            assert words == tuple(map(str, expected))


def test_words_of_a_bin_are_those_of_the_topic_unless_the_bin_has_many_documents():
    topic = {"goal": 8.0, "match": 6.0, "cup": 4.0, "club": 2.0}
    terms = [*topic, "olympics", "loan", "bank"]
    usual = [[*topic.values(), 0, 0, 0]]
    special = [[4, 3, 2, 1, 10, 0, 0]]
    other = [[0, 0, 0, 0, 0, 5, 5]]
    for n, first in ((2, "goal"), (200, "olympics")):
        X = np.array(usual * 800 + special * n + other * 800)
        years = [2001 + i % 4 for i in range(800)] + [2005] * n + [2001 + i % 4 for i in range(800)]
        labels = [0] * (800 + n) + [1] * 800
        trends = compute_topic_trends(np.array(labels), years, X=X, feature_names=terms, n_words=3)
        assert trends.words[0] == (("goal", "match", "cup"), ("loan", "bank"))
        assert trends.words[-1][0][0] == first
        assert "goal" in trends.words[-1][0]
        assert trends.words[-1][1] == ()  # no documents of this topic


def test_words_of_the_only_topic_are_the_most_frequent_ones():
    result = compare_topics_by_class([0, 0], ["a", "a"], X=[[1, 3], [1, 2]], feature_names=["rare", "frequent"])
    assert result.words == ((("frequent", "rare"),),)
    empty = compare_topics_by_class([0, 0], ["a", "a"], X=np.zeros((2, 2)), feature_names=["rare", "frequent"])
    assert empty.words == (((),),)


# -- time ----------------------------------------------------------------------------------------------------------


def test_times_are_converted_to_utc():
    new_york = ZoneInfo("America/New_York")
    late = timezone(timedelta(hours=-5))
    # The clock is set forward on 2024-03-10 and back on 2024-11-03.
    times = [
        datetime(2024, 5, 31, 23, 30, tzinfo=late),
        datetime(2024, 3, 9, 19, 30, tzinfo=new_york),
        datetime(2024, 3, 10, 19, 30, tzinfo=new_york),
        datetime(2024, 11, 3, 1, 30, fold=1, tzinfo=new_york),
        datetime(2024, 2, 29, 12),
        date(1969, 12, 31),
        np.datetime64("1900-03-01"),
    ]
    expected = ["2024-06-01", "2024-03-10", "2024-03-10", "2024-11-03", "2024-02-29", "1969-12-31", "1900-03-01"]
    for value, day in zip(times, expected, strict=True):
        assert get_bins([value]) == [day]
    assert get_bins(times, bins="year") == ["1900", "1969"] + ["2024"] * 5
    assert get_bins(times[3:4], bins="hour") == ["2024-11-03T06"]


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2024-05-31T23:30:00-05:00", "2024-06-01T04"),
        ("2024-05-31 23:30:00.123456 -0530", "2024-06-01T05"),
        ("2024-05-31T23:30Z", "2024-05-31T23"),
        ("2024-05-31T23:30:00,5+01", "2024-05-31T22"),
        (" 1969-12-31 ", "1969-12-31T00"),
        ("2024-02", "2024-02-01T00"),
        ("2024", "2024-01-01T00"),
    ],
)
def test_iso_strings(text, hour):
    assert get_bins([text], bins="hour") == [hour]


@pytest.mark.parametrize("text", ["2023-02-29", "31.05.2024", "yesterday", "2024-05-31T25:00"])
def test_strings_that_are_no_times(text):
    with pytest.raises(ValueError, match=f"ISO format, .* got '{text}'"):
        compute_topic_trends([0, 0], ["2024-05-31", text])


def test_pandas_times():
    pandas = pytest.importorskip("pandas")
    aware = pandas.to_datetime(["2024-05-31 23:30", None]).tz_localize("America/New_York")
    for times in (aware, pandas.Series(aware), aware.astype(object), list(aware)):
        trends = compute_topic_trends([0, 0], times, bins="hour")
        assert (trends._label_groups()[1], trends.n_missing) == (["2024-06-01T03"], 1)
    assert get_bins(pandas.Series(["2024-01-01"], dtype="datetime64[ns]")) == ["2024-01-01"]
    numbers = compute_topic_trends([0, 0], pandas.Series([3, None], dtype="Int64"))
    assert (numbers.bins.tolist(), numbers.n_missing) == ([3.0], 1)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("year", ["1968", "1968", "1970", "1972"]),
        ("quarter", ["1968-01", "1968-04", "1970-01", "1972-10"]),
        ("month", ["1968-02", "1968-04", "1970-01", "1972-12"]),
        ("week", ["1968-02-26", "1968-04-01", "1969-12-29", "1972-12-25"]),
        ("day", ["1968-02-29", "1968-04-01", "1970-01-01", "1972-12-31"]),
        ("hour", ["1968-02-29T23", "1968-04-01T00", "1970-01-01T00", "1972-12-31T23"]),
    ],
)
def test_calendar_bins(unit, expected):
    times = ["1968-02-29T23:59:59.999999", "1968-04-01", "1970-01-01", "1972-12-31T23:59:59"]
    if unit == "hour":
        with pytest.raises(ValueError, match="at most 10000 bins, got 42409"):
            get_bins(times, bins=unit)
        assert [get_bins([time], bins=unit)[0] for time in times] == expected
    else:
        assert get_bins(times, bins=unit) == expected


@pytest.mark.parametrize(
    ("span", "resolution", "n_bins", "width"),
    [
        (timedelta(days=3650), "s", 10, timedelta(days=366)),
        (timedelta(days=700), "s", 24, timedelta(days=31)),
        (timedelta(days=10), "s", 21, timedelta(hours=12)),
        (timedelta(days=4), "D", 5, timedelta(days=1)),  # no bins shorter than the resolution
        (timedelta(seconds=59), "us", 31, timedelta(seconds=2)),
        (timedelta(milliseconds=1), "us", 21, timedelta(microseconds=50)),
        (timedelta(0), "us", 1, timedelta(days=1)),
    ],
)
def test_auto_bins_of_times(span, resolution, n_bins, width):
    start = datetime(2020, 1, 1, 0, 0) if resolution == "D" else datetime(2020, 1, 1, 0, 0, 0, 1)
    trends = compute_topic_trends([0, 0], [start, start + span])
    assert abs(len(trends.bins) - n_bins) <= 1
    assert trends.edges.tolist()[1] - trends.edges.tolist()[0] == width
    assert trends.n_documents.sum() == 2


@pytest.mark.parametrize(
    ("numbers", "edges"),
    [
        ([1990, 2013], np.arange(1990, 2015)),
        ([2, 4, 4], [2, 3, 4, 5]),
        ([0.3, 1.0], np.arange(6, 22) / 20),
        ([-5e6, 1e7], np.arange(-5, 12) * 1e6),
        ([7.5], [7.5, 8.5]),
    ],
)
def test_auto_bins_of_numbers(numbers, edges):
    trends = compute_topic_trends(np.zeros(len(numbers), int), numbers)
    np.testing.assert_array_equal(trends.edges, edges)
    assert trends.n_documents.sum() == len(numbers)


def test_number_of_bins_and_edges():
    trends = compute_topic_trends([0, 0, 0, 0], [0.1, 0.2, 0.4, 0.7], bins=3)
    np.testing.assert_allclose(trends.edges, [0.1, 0.3, 0.5, 0.7])
    assert trends.n_documents.tolist() == [2, 1, 1]
    times = compute_topic_trends([0, 0], ["2024-01-01", "2024-01-03"], bins=2)
    assert times._label_groups()[1] == ["2024-01-01T00:00:00", "2024-01-02T00:00:00"]
    assert times.n_documents.tolist() == [1, 1]
    given = compute_topic_trends([0, 1, 0, 1], [0, 1, 2, 3], bins=[1, 2])
    assert (given.n_documents.tolist(), given.n_outside) == ([2], 2)
    assert compute_topic_trends([0], ["2024-01-01"], bins=[date(2023, 1, 1), date(2025, 1, 1)]).n_outside == 0


def test_missing_times_are_left_out_and_counted():
    times = ["2024-01-01", "", None, float("nan"), np.datetime64("NaT"), "2024-01-02"]
    trends = compute_topic_trends([0, 1, 1, 1, 1, 0], times)
    assert (trends.n_documents.tolist(), trends.n_missing) == ([1, 1], 4)
    assert trends.shares.tolist() == [[1, 0], [1, 0]]
    assert (
        str(trends) == "TopicTrends: 2 topics, 2 bins (2024-01-01 to 2024-01-02), 2 documents (4 without a timestamp)"
    )
    assert repr(trends) == str(trends)


def test_topic_trends_as_tables():
    trends = compute_topic_trends([3, 7, 7], ["2024-01", "2024-01", "2024-03"], bins="month", names=["<a>", "b"])
    frame = trends.to_frame()
    assert frame["start"].dt.month.tolist() == [1, 1, 2, 2, 3, 3]
    assert frame["topic"].tolist() == [3, 7] * 3
    assert frame["documents"].tolist() == [2, 2, 0, 0, 1, 1]
    assert frame["share"].isna().tolist() == [False, False, True, True, False, False]
    html = trends._repr_html_()
    assert html.count("<tr>") == 7
    assert "<td>2024-02</td><td>3</td><td>&lt;a&gt;</td><td>0</td><td></td>" in html


@pytest.mark.parametrize(
    ("shares", "times", "options", "error", "message"),
    [
        ([0, 0], ["2024-01-01", 3], {}, TypeError, "one kind, .* got numbers and strings"),
        ([0, 0], [datetime(2024, 1, 1), "2024-01-01"], {}, TypeError, "got dates and strings"),
        ([0], [True], {}, TypeError, "one kind, .* got bool"),
        ([0], "2024", {}, TypeError, "must be a sequence"),
        ([0, 0], [None, ""], {}, ValueError, "at least one document, got none for 2 documents"),
        ([], [], {}, ValueError, "at least one document"),
        ([0], [np.inf], {}, ValueError, "got inf"),
        ([0], [[1]], {}, TypeError, "got list"),
        ([0], np.array([[1]]), {}, ValueError, "one dimension"),
        ([0, 0, 0], [1, 2], {}, ValueError, "`shares` must have a row for each of the 2 documents, got 3"),
        ([[0.5, 0.6]], [1], {}, ValueError, "sum to at most 1 .* a sum of 1.1"),
        ([[-0.5, 0.6]], [1], {}, ValueError, "at least 0"),
        ([0.5], [1], {}, TypeError, "integer labels"),
        ([3], [1], {"ids": [1]}, ValueError, "must be in `ids`, .* got 3"),
        ([[1.0]], [1], {"ids": [1, 2]}, ValueError, "one id for each of the 1 columns"),
        ([[0.5, 0.5]], [1], {"ids": [1, 1]}, ValueError, "unique"),
        ([0], [1], {"names": "x y"}, ValueError, "`names` must have one name for each of the 1"),
        ([0], [1], {"bins": "month"}, ValueError, "'auto', an integer or edges for numbers, got 'month'"),
        ([0], ["2024"], {"bins": "decade"}, ValueError, "'year', .*, got 'decade'"),
        ([0], [1], {"bins": 0}, ValueError, "from 1 to 10000, got 0"),
        ([0], [1], {"bins": [2, 1]}, ValueError, "at least two ascending numbers"),
        ([0], [1], {"bins": ["2024", "2025"]}, ValueError, "at least two ascending numbers"),
        ([0], [1], {"bins": [2, 3]}, ValueError, "contain at least one timestamp"),
        ([0], [1], {"X": [[1.0]]}, ValueError, "`feature_names` must"),
        ([0], [1], {"X": [[1.0], [2.0]], "feature_names": ["a"]}, ValueError, "`X` must have a row for each of the 1"),
        ([0], [1], {"n_words": 0}, ValueError, "`n_words` must be an integer >= 1"),
    ],
)
def test_wrong_arguments_of_topic_trends(shares, times, options, error, message):
    with pytest.raises(error, match=message):
        compute_topic_trends(shares, times, **options)


def test_wrong_classes():
    with pytest.raises(TypeError, match="`classes` must be a sequence"):
        compare_topics_by_class([0], "a")
    with pytest.raises(TypeError, match="numbers and strings"):
        compare_topics_by_class([0, 0], ["a", 1])
    with pytest.raises(ValueError, match="at least one document, got none for 1 documents"):
        compare_topics_by_class([0], [None])


def test_topic_trends_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    trends = compute_topic_trends([0, 1], ["2024-01-01", None])
    assert trends.n_missing == 1
    with pytest.raises(ImportError, match="pip install pandas"):
        trends.to_frame()
