"""Scores of rankings against slow loops, trec_eval and sums done by hand.

The judge is ir_measures, which asks trec_eval itself (pytrec-eval-terrier). It needs NumPy and SciPy only, has had five
releases in the last year, and its compiled part has wheels for Python 3.8 to 3.15. ranx computes the same anew, and
brings thirteen packages, among them pandas, seaborn and fastparquet.
"""

import ir_measures
import numpy as np
import oracles
import pytest
from ir_measures import AP, RR, P, R, Success, nDCG

from codebooks import metrics

N_QUERIES, N_DOCUMENTS = 40, 60
DEPTHS = [1, 2, 3, 10, 100]


@pytest.fixture(scope="module")
def rankings():
    """Lists of 0 to 30 of 60 documents, and tied grades of some of them: many are not judged, some are below zero."""
    rng = np.random.default_rng(0)
    ranked = [rng.permutation(N_DOCUMENTS)[: rng.integers(0, 31)].tolist() for _ in range(N_QUERIES)]
    relevant = []
    for ranking in ranked:
        judged = rng.choice(N_DOCUMENTS, rng.integers(1, 25), replace=False)
        judged = np.union1d(judged, ranking[: rng.integers(0, 5)]).astype(int)
        relevant.append({int(d): int(g) for d, g in zip(judged, rng.integers(-1, 4, len(judged)), strict=True)})
    relevant[3] = {1: 0, 2: -1}  # judged, but nothing found relevant
    relevant[4] = {}
    ranked[5], relevant[5] = [], {1: 1}
    return ranked, relevant


def known(relevant):
    return [q for q, grades in enumerate(relevant) if any(g > 0 for g in grades.values())]


def as_matrix(ranked):
    matrix = np.full((len(ranked), max(map(len, ranked))), -1)
    for row, ranking in zip(matrix, ranked, strict=True):
        row[: len(ranking)] = ranking
    return matrix


def as_names(ranked, relevant):
    return [[f"d{d}" for d in ranking] for ranking in ranked], [
        {f"d{d}": g for d, g in grades.items()} for grades in relevant
    ]


def by_oracle(score, rankings, *options):
    ranked, relevant = rankings
    found = np.full(len(ranked), np.nan)
    for q in known(relevant):
        found[q] = score(ranked[q], relevant[q], *options)
    return found


def by_trec_eval(measure, rankings):
    ranked, relevant = as_names(*rankings)
    # The rank is all that counts: a score falls from one to the next.
    run = {str(q): {d: float(-rank) for rank, d in enumerate(ranking)} for q, ranking in enumerate(ranked)}
    values = {m.query_id: m.value for m in ir_measures.iter_calc([measure], dict(enumerate_as_str(relevant)), run)}
    # Of an empty ranking trec_eval says nothing, where we say 0.
    return np.array([values.get(str(q), 0.0) if q in known(relevant) else np.nan for q in range(len(ranked))])


def enumerate_as_str(items):
    return ((str(i), item) for i, item in enumerate(items) if item)


SCORES = {
    "nDCG": (lambda *r, k: metrics.ndcg(*r, k=k, per_query=True), oracles.ndcg, lambda k: nDCG @ k),
    "nDCG exponential": (
        lambda *r, k: metrics.ndcg(*r, k=k, gains="exponential", per_query=True),
        lambda ranking, grades, k: oracles.ndcg(ranking, grades, k, exponential=True),
        lambda k: nDCG(gains={1: 1, 2: 3, 3: 7}) @ k,
    ),
    "AP": (
        lambda *r, k: metrics.average_precision(*r, k=k, per_query=True),
        oracles.average_precision,
        lambda k: AP @ k,
    ),
    "RR": (lambda *r, k: metrics.reciprocal_rank(*r, k=k, per_query=True), oracles.reciprocal_rank, lambda k: RR @ k),
    "recall": (
        lambda *r, k: metrics.recall_at(*r, ks=k, per_query=True),
        lambda ranking, grades, k: oracles.hits_at(ranking, grades, k) / oracles.n_relevant(grades),
        lambda k: R @ k,
    ),
    "precision": (
        lambda *r, k: metrics.precision_at(*r, ks=k, per_query=True),
        lambda ranking, grades, k: oracles.hits_at(ranking, grades, k) / k,
        lambda k: P @ k,
    ),
    "accuracy": (
        lambda *r, k: metrics.accuracy_at(*r, ks=k, per_query=True),
        lambda ranking, grades, k: float(oracles.hits_at(ranking, grades, k) > 0),
        lambda k: Success @ k,
    ),
}


@pytest.mark.parametrize("k", DEPTHS)
@pytest.mark.parametrize(("score", "oracle", "measure"), SCORES.values(), ids=SCORES)
def test_scores_equal_slow_loops_and_trec_eval(score, oracle, measure, k, rankings):
    found = score(*rankings, k=k)
    assert found.shape == (N_QUERIES,)
    assert np.nanstd(found) > 0.01
    np.testing.assert_allclose(found, by_oracle(oracle, rankings, k), atol=1e-12)
    np.testing.assert_allclose(found, by_trec_eval(measure(k), rankings), atol=1e-12)


@pytest.mark.parametrize("name", ["nDCG", "AP", "RR"])
def test_whole_rankings_equal_slow_loops_and_trec_eval(name, rankings):
    score, oracle, _ = SCORES[name]
    found = score(*rankings, k=None)
    np.testing.assert_allclose(found, by_oracle(oracle, rankings, None), atol=1e-12)
    np.testing.assert_allclose(found, by_trec_eval({"nDCG": nDCG, "AP": AP, "RR": RR}[name], rankings), atol=1e-12)


@pytest.mark.parametrize("score", [entry[0] for entry in SCORES.values()], ids=SCORES)
def test_equal_rankings_in_other_types_have_equal_scores(score, rankings):
    ranked, relevant = rankings
    expected = score(ranked, relevant, k=10)
    np.testing.assert_array_equal(score(as_matrix(ranked), relevant, k=10), expected)
    np.testing.assert_array_equal(score(as_matrix(ranked).astype(np.int32), relevant, k=10), expected)
    np.testing.assert_array_equal(score([np.array(r, dtype=int) for r in ranked], relevant, k=10), expected)
    np.testing.assert_array_equal(score(*as_names(ranked, relevant), k=10), expected)
    numpy_keys = [{np.int64(d): np.float32(g) for d, g in grades.items()} for grades in relevant]
    np.testing.assert_array_equal(score(as_matrix(ranked), numpy_keys, k=10), expected)


def test_ids_alone_have_grade_1():
    ranked = [[4, 1, 2], [0, 3, 5]]
    graded = metrics.ranking_scores(ranked, [{1: 1}, {5: 1, 9: 1}])
    for relevant in ([[1], [5, 9]], [{1}, {5, 9}], [np.array([1]), np.array([9, 5])], [(1, 1), (5, 9, 5)]):
        assert metrics.ranking_scores(ranked, relevant) == graded


def test_empty_ranks_are_counted():
    assert metrics.reciprocal_rank([[-1, -1, 7]], [[7]]) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank([[7, -1, -1]], [[7]]) == 1.0
    assert metrics.ndcg([[-1, -1]], [{-1: 3, 2: 1}]) == 0.0  # -1 is nobody's id


@pytest.mark.parametrize("ranked", [[["a", "", ""], ["", "b", ""]], np.array([["a", "", ""], ["", "b", ""]])])
def test_empty_string_and_minus_1_are_empty_ranks(ranked):
    relevant = [["a", "c"], {"b": 2, "c": 1}]
    by_number = [[0, -1, -1], [-1, 1, -1]], [[0, 2], {1: 2, 2: 1}]
    for score in (
        metrics.ndcg,
        metrics.average_precision,
        metrics.reciprocal_rank,
        metrics.recall_at,
        metrics.accuracy_at,
        metrics.precision_at,
    ):
        np.testing.assert_array_equal(score(ranked, relevant), score(*by_number))
    assert metrics.ranking_scores(ranked, relevant) == metrics.ranking_scores(*by_number)


def test_empty_rankings_score_0():
    for ranked in ([[], []], np.empty((2, 0), dtype=int), np.full((2, 5), -1)):
        found = metrics.ranking_scores(ranked, [[1], []])
        assert found.pop("n_queries") == 1
        assert not any(found.values())


def test_by_hand():
    ranked, relevant = [[5, 1, 2, 3], [1, 2, 3, 4]], [{1: 3, 3: 1, 8: 2}, {1: 1}]
    best = 3 / np.log2(2) + 2 / np.log2(3) + 1 / np.log2(4)
    assert metrics.ndcg(ranked, relevant, k=4, per_query=True)[0] == pytest.approx(
        (3 / np.log2(3) + 1 / np.log2(5)) / best
    )
    assert metrics.average_precision(ranked, relevant, per_query=True) == pytest.approx([(1 / 2 + 2 / 4) / 3, 1])
    assert metrics.reciprocal_rank(ranked, relevant) == 0.75
    assert metrics.recall_at(ranked, relevant, [1, 2, 4, 9]) == pytest.approx([1 / 2, 2 / 3, 5 / 6, 5 / 6])
    assert metrics.precision_at(ranked, relevant, [1, 10]) == pytest.approx([1 / 2, (2 + 1) / 20])
    assert metrics.accuracy_at(ranked, relevant, [1, 2]).tolist() == [0.5, 1.0]


def test_mean_leaves_out_queries_without_relevant_documents(rankings):
    ranked, relevant = rankings
    judged = known(relevant)
    assert len(judged) < N_QUERIES
    per_query = metrics.ndcg(ranked, relevant, per_query=True)
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(per_query)), judged)
    mean = metrics.ndcg(ranked, relevant)
    assert type(mean) is float
    assert mean == pytest.approx(np.nanmean(per_query))
    assert metrics.ranking_scores(ranked, relevant)["n_queries"] == len(judged)


@pytest.mark.parametrize("score", [metrics.recall_at, metrics.accuracy_at, metrics.precision_at])
def test_several_ks_equal_one_call_for_each_k(score, rankings):
    curve = score(*rankings)
    assert curve.shape == (10,)
    np.testing.assert_allclose(curve, [score(*rankings, ks=k) for k in range(1, 11)])
    np.testing.assert_allclose(score(*rankings, ks=[10, 3]), curve[[9, 2]])
    per_query = score(*rankings, per_query=True)
    assert per_query.shape == (N_QUERIES, 10)
    np.testing.assert_allclose(np.nanmean(per_query, axis=0), curve)
    assert type(score(*rankings, ks=3)) is float


def test_all_scores_at_once(rankings):
    found = metrics.ranking_scores(*rankings)
    assert found.pop("n_queries") == len(known(rankings[1]))
    assert found.pop("nDCG@10") == metrics.ndcg(*rankings)
    assert found.pop("MAP") == metrics.average_precision(*rankings)
    assert found.pop("MRR") == metrics.reciprocal_rank(*rankings)
    assert found.pop("precision@10") == metrics.precision_at(*rankings, ks=10)
    assert found.pop("recall@10") == metrics.recall_at(*rankings, ks=10)
    depth = max(map(len, rankings[0]))
    assert found.pop(f"recall@{depth}") == metrics.recall_at(*rankings, ks=depth)
    curve = metrics.accuracy_at(*rankings)
    assert list(found) == [f"accuracy@{k}" for k in range(1, 11)]
    assert list(found.values()) == pytest.approx(curve)
    assert all(type(value) is float for value in found.values())
    assert "recall@3" not in metrics.ranking_scores([[1, 2, 3]], [[1]])


BAD = {
    "a document twice": ([[1, 2, 1]], [[1]], ValueError, "1 twice for query 0"),
    "a name twice": ([["a"], ["b", "b"]], [["a"], ["b"]], ValueError, "'b' twice for query 1"),
    "too few judgements": ([[1], [2]], [[1]], ValueError, "2 rankings and 1 judgements"),
    "nothing relevant": ([[1]], [{1: 0}], ValueError, "got none"),
    "no queries": ([], [], ValueError, "got none"),
    "a grade of nan": ([[1]], [{1: np.nan}], ValueError, "finite"),
    "names and numbers": ([[1, 2]], [["1", "2"]], TypeError, "numbers in `ranked` and strings"),
    "numbers and names": ([["1"]], [{1: 1}], TypeError, "strings in `ranked` and numbers"),
    "one ranking": (np.array([1, 2]), [[1]], TypeError, r"shape \(2,\)"),
    "one list": ([1, 2], [[1], [2]], TypeError, "got 1 for query 0"),
    "scores": (np.array([[0.5, 0.1]]), [[1]], TypeError, "array of float64"),
    "a string": (["abc"], [["a"]], TypeError, "got 'abc'"),
    "one relevant id": ([[1]], [1], TypeError, "got 1 for query 0"),
}


@pytest.mark.parametrize(("ranked", "relevant", "error", "message"), BAD.values(), ids=BAD)
def test_invalid_rankings_are_rejected(ranked, relevant, error, message):
    with pytest.raises(error, match=message):
        metrics.ndcg(ranked, relevant)


def test_invalid_parameters_are_rejected():
    for call in (
        lambda: metrics.ndcg([[1]], [[1]], k=0),
        lambda: metrics.average_precision([[1]], [[1]], k=1.5),
        lambda: metrics.recall_at([[1]], [[1]], ks=[1, 0]),
        lambda: metrics.accuracy_at([[1]], [[1]], ks=-1),
        lambda: metrics.accuracy_at([[1]], [[1]], ks=2.5),
        lambda: metrics.precision_at([[1]], [[1]], ks=None),
        lambda: metrics.recall_at([[1]], [[1]], ks=[None]),
        lambda: metrics.ndcg([[1]], [[1]], k=True),
    ):
        with pytest.raises(ValueError, match="integer >= 1"):
            call()
    with pytest.raises(ValueError, match="'linear' or 'exponential'"):
        metrics.ndcg([[1]], [[1]], gains="square")


def test_bootstrap_coverage_equals_its_level():
    rng = np.random.default_rng(0)
    draws = rng.beta(2, 5, (300, 80))
    intervals = np.array([metrics.bootstrap_interval(row, n_resamples=400) for row in draws])
    held = (intervals[:, 0] <= 2 / 7) & (intervals[:, 1] >= 2 / 7)
    assert 0.9 < held.mean() < 0.98
    normal = 2 * 1.96 * draws.std(axis=1) / np.sqrt(80)
    np.testing.assert_allclose(np.ptp(intervals, axis=1).mean(), normal.mean(), rtol=0.03)


def test_bootstrap_is_seeded_and_leaves_nan_out(monkeypatch):
    values = np.random.default_rng(1).random(50)
    found = metrics.bootstrap_interval(values)
    assert found == metrics.bootstrap_interval(np.insert(values, [0, 9], np.nan))
    assert found != metrics.bootstrap_interval(values, random_state=1)
    assert found[0] < values.mean() < found[1]
    wide = metrics.bootstrap_interval(values, level=0.99)
    assert wide[0] < found[0] < found[1] < wide[1]
    assert metrics.bootstrap_interval([0.5, 0.5]) == (0.5, 0.5)
    monkeypatch.setattr("codebooks.metrics.resampling._BLOCK", 170)  # draws in many parts are the same draws
    assert metrics.bootstrap_interval(values) == pytest.approx(found)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([[0.1, 0.2]], {}, "one number for each query"),
        ([np.nan], {}, "got none"),
        ([], {}, "got none"),
        ([0.5], {"level": 95}, "between 0 and 1"),
        ([0.5], {"n_resamples": 0}, "`n_resamples` must be an integer"),
    ],
)
def test_bootstrap_rejects_invalid_values(values, options, message):
    with pytest.raises(ValueError, match=message):
        metrics.bootstrap_interval(values, **options)
