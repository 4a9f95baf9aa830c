"""Scores against slow loops, gensim, scikit-learn and sums done by hand."""

from itertools import combinations
from math import isnan, log

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from codebooks import metrics
from codebooks.interpret.topics import Topic, topic_words

# Small NMFs on small data seldom converge; that is not what is judged here.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def slow_pair(i, j, documents):
    """Bouma's NPMI by reading every document; a document is a set of words."""
    n = len(documents)
    n_i, n_j = (sum(w in words for words in documents) for w in (i, j))
    n_ij = sum(i in words and j in words for words in documents)
    if n_ij == 0:
        return -1.0
    return 1.0 if n_ij == n else log(n_ij * n / (n_i * n_j)) / -log(n_ij / n)


def slow_npmi(topic, documents):
    values = [slow_pair(i, j, documents) for i, j in combinations(dict.fromkeys(topic), 2)]
    return sum(values) / len(values)


def as_sets(X):
    return [{w for w, value in enumerate(row) if value > 0} for row in np.asarray(X)]


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    return rng.poisson(rng.uniform(0.05, 1.0, 30), (80, 30))


@pytest.fixture
def lists():
    rng = np.random.default_rng(1)
    return [rng.choice(30, size, replace=False).tolist() for size in (2, 5, 10, 10)]


FORMATS = {
    "dense": np.asarray,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "csr_array": sparse.csr_array,
    "bool": lambda X: sparse.csr_matrix(X > 0),
    "float32": lambda X: sparse.csr_matrix(X, dtype=np.float32),
}


@pytest.mark.parametrize("as_format", FORMATS.values(), ids=FORMATS)
def test_npmi_equals_slow_loops(as_format, counts, lists):
    expected = [slow_npmi(topic, as_sets(counts)) for topic in lists]
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(metrics.npmi_per_topic(lists, as_format(counts)), expected, atol=1e-12)
    assert metrics.npmi(lists, as_format(counts)) == pytest.approx(np.mean(expected), abs=1e-12)


def test_npmi_by_hand():
    X = [[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]]
    # p_0 = p_1 = 3/4, p_01 = 2/4, and 0 never meets 2
    together = log(0.5 / 0.5625) / -log(0.5)
    assert metrics.npmi([[0, 1]], X) == pytest.approx(together)
    assert metrics.npmi_per_topic([[0, 2], [0, 1]], X) == pytest.approx([-1.0, together])


def test_npmi_counts_a_word_only_where_its_value_is_above_zero():
    stored_zero = sparse.csr_matrix(([0.0, 2.0, 3.0, 1.0], ([0, 0, 1, 1], [0, 1, 0, 1])), shape=(3, 2))
    assert metrics.npmi([[0, 1]], stored_zero) == pytest.approx(slow_pair(0, 1, [{1}, {0, 1}, set()]))
    assert metrics.npmi([[0, 1]], [[-1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]) == pytest.approx(
        slow_pair(0, 1, [{1}, {0, 1}, set()])
    )


def test_npmi_of_words_in_every_document_is_1():
    assert metrics.npmi([[0, 1]], np.ones((4, 2))) == 1.0


def test_npmi_accepts_words_columns_and_topics(counts, lists):
    terms = [f"word{w}" for w in range(30)]
    words = [[terms[w] for w in topic] for topic in lists]
    named = [Topic(k, tuple(topic), (0.5,) * len(topic), 0.25) for k, topic in enumerate(words)]
    by_column = metrics.npmi_per_topic(lists, counts)
    np.testing.assert_array_equal(metrics.npmi_per_topic(words, counts, feature_names=terms), by_column)
    np.testing.assert_array_equal(metrics.npmi_per_topic(named, counts, feature_names=np.array(terms)), by_column)
    arrays = [np.array(topic) for topic in lists]
    np.testing.assert_array_equal(metrics.npmi_per_topic(arrays, counts), by_column)


def test_npmi_of_an_unknown_word_is_minus_1():
    X, terms = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]]), ["goal", "team", "unseen"]
    found = metrics.npmi_per_topic(
        [["goal", "team", "unseen"], ["goal", "team", "foreign"], ["foreign", "unseen"]], X, feature_names=terms
    )
    np.testing.assert_allclose(found, [(1 - 1 - 1) / 3, (1 - 1 - 1) / 3, -1.0])
    smooth = metrics.npmi_per_topic([["unseen", "goal"], ["foreign", "goal"]], X, feature_names=terms, epsilon=1e-12)
    np.testing.assert_array_equal(smooth, [-1.0, -1.0])


def test_npmi_leaves_out_topics_of_fewer_than_two_words():
    X = np.array([[1, 1], [1, 1], [0, 0]])
    found = metrics.npmi_per_topic([[0, 1], [0], [], [1, 1]], X)
    np.testing.assert_array_equal(np.isnan(found), [False, True, True, True])
    assert metrics.npmi([[0, 1], [0], []], X) == pytest.approx(1.0)
    assert isnan(metrics.npmi([[0]], X))
    assert isnan(metrics.npmi([], X))


def test_npmi_counts_a_repeated_word_once(counts):
    assert metrics.npmi([[3, 5, 3, 5, 7]], counts) == metrics.npmi([[3, 5, 7]], counts)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_npmi_with_epsilon_equals_gensim(counts, lists):
    gensim = pytest.importorskip("gensim")
    from gensim.models import CoherenceModel

    counts = counts.copy()
    counts[:, 0] = 1  # a word that stands in every document
    counts[:, 1] = np.arange(80) == 3  # two words that never meet
    counts[:, 2] = np.arange(80) == 4
    lists = [*lists, [0, 1, 2], [1, 2, 3]]
    terms = [f"word{w}" for w in range(30)]
    texts = [[terms[w] for w in range(30) for _ in range(row[w])] for row in counts]
    words = [[terms[w] for w in topic] for topic in lists]
    judge = CoherenceModel(
        topics=words,
        texts=texts,
        dictionary=gensim.corpora.Dictionary(texts),
        coherence="c_npmi",
        window_size=10_000,
        processes=1,
    )
    found = metrics.npmi_per_topic(words, counts, feature_names=terms, epsilon=1e-12)
    np.testing.assert_allclose(found, judge.get_coherence_per_topic(), atol=1e-6)
    assert metrics.npmi(words, counts, feature_names=terms, epsilon=1e-12) == pytest.approx(
        judge.get_coherence(), abs=1e-6
    )


BAD_NPMI = {
    "words without terms": ([["goal", "team"]], {}, ValueError, "must name the columns"),
    "too few terms": ([["goal"]], {"feature_names": ["goal"]}, ValueError, "must have 2 names"),
    "a string for a topic": (
        ["goal team"],
        {"feature_names": ["goal", "team"]},
        TypeError,
        "lists of words, got the string",
    ),
    "words and columns": (
        [["goal", 1]],
        {"feature_names": ["goal", "team"]},
        TypeError,
        "lists of words, or lists of column indices",
    ),
    "fractions": ([[0.5, 1.0]], {}, TypeError, "lists of words, or lists of column indices"),
    "a column too far": ([[0, 2]], {}, ValueError, "from 0 to 1"),
    "a negative column": ([[0, -1]], {}, ValueError, "from 0 to 1"),
    "a vocabulary for terms": (
        [["goal"]],
        {"feature_names": {"team": 1, "goal": 0}},
        TypeError,
        "in their order, got dict",
    ),
    "a set for terms": ([["goal"]], {"feature_names": {"team", "goal"}}, TypeError, "in their order, got set"),
    "a string for terms": ([["a"]], {"feature_names": "ab"}, TypeError, "in their order, got str"),
    "no smoothing": ([[0, 1]], {"epsilon": 0.0}, ValueError, "`epsilon` must be"),
}


@pytest.mark.parametrize(("given", "options", "error", "message"), BAD_NPMI.values(), ids=BAD_NPMI)
def test_npmi_rejects_invalid_topics(given, options, error, message):
    with pytest.raises(error, match=message):
        metrics.npmi(given, np.ones((3, 2)), **options)


def test_topic_diversity_by_hand():
    assert metrics.topic_diversity([["a", "b"], ["c", "d"]]) == 1.0
    assert metrics.topic_diversity([["a", "b"]] * 4) == 0.25
    assert metrics.topic_diversity([[1, 2, 3], [3]]) == 0.75
    assert metrics.topic_diversity([Topic(0, ("a", "b"), (1.0, 1.0), 0.5), ["b"]]) == pytest.approx(2 / 3)
    assert isnan(metrics.topic_diversity([[], []]))
    with pytest.raises(TypeError, match=r"topic\.split"):
        metrics.topic_diversity(["goal team"])


def test_redundancy_equals_slow_loops():
    W = np.random.default_rng(0).standard_normal((6, 9))
    W[2], W[4] = 0.0, -W[1] + 0.1  # a zero row, and the most alike pair points opposite ways
    cosines = [
        abs(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b)) if a.any() and b.any() else 0.0
        for a, b in combinations(W, 2)
    ]
    assert metrics.redundancy(W) == pytest.approx(max(cosines), abs=1e-12)
    assert metrics.redundancy(W.astype(np.float32)) == pytest.approx(max(cosines), abs=1e-6)


def test_redundancy_of_orthogonal_and_of_repeated_components():
    assert metrics.redundancy(np.eye(4)) == 0.0
    assert metrics.redundancy(np.ones((1, 4))) == 0.0
    assert metrics.redundancy(np.zeros((3, 4))) == 0.0
    assert metrics.redundancy([[0.1, 0.3], [0.2, 0.6]]) == pytest.approx(1.0)
    assert metrics.redundancy(np.random.default_rng(0).random((1, 50)).repeat(9, axis=0)) <= 1.0


@pytest.mark.parametrize("size", [1e-200, 1e-310, 1e200, 1e300])
def test_cosines_do_not_depend_on_scale(size):
    W = np.array([[3.0, 4.0], [4.0, 3.0], [0.0, 0.0]])
    assert metrics.redundancy(size * W) == pytest.approx(0.96)
    assert metrics.redundancy(W * [[size], [1.0], [1.0]]) == pytest.approx(0.96)
    for X in (size * W, W * [[size], [1.0], [1.0]]):
        for as_format in (np.asarray, sparse.csr_matrix, sparse.csr_array):
            assert metrics.average_cosine(as_format(X)) == pytest.approx(0.96 / 3)
        assert metrics.alignment(X[:1], W[1:2]) == pytest.approx(2 - 2 * 0.96)
        assert metrics.uniformity(X[:2]) == pytest.approx(-2 * (2 - 2 * 0.96))
    rows = np.random.default_rng(0).standard_normal((9, 3))
    assert metrics.isoscore(size * rows) == pytest.approx(metrics.isoscore(rows))


def test_cosine_of_the_largest_float32_values():
    X = np.full((3, 3), 3e38, np.float32)
    assert metrics.average_cosine(X) == pytest.approx(1.0, abs=1e-6)
    assert metrics.average_cosine(sparse.csr_matrix(X)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("value", [np.inf, np.nan, 0])
def test_alignment_and_uniformity_reject_invalid_parameters(value):
    X = np.eye(3)
    for call in (lambda: metrics.alignment(X, X, value), lambda: metrics.uniformity(X, value)):
        with pytest.raises(ValueError, match="finite number > 0"):
            call()


@pytest.mark.parametrize("labels", [[0.7, 1.2], [0.0, 1.0], [[0, 1], [1, 0]], ["0", "1"], [0, None], [True, False]])
def test_usage_rejects_invalid_labels(labels):
    with pytest.raises(ValueError, match="`labels` must be integers, one for each row"):
        metrics.usage(labels, 2)


@pytest.mark.parametrize("n_components", [0, 2.0, None, True])
def test_usage_rejects_an_invalid_n_components(n_components):
    with pytest.raises(ValueError, match="`n_components` must be an integer >= 1"):
        metrics.usage([0, 0], n_components)


def test_usage_does_not_count_rejected_samples():
    np.testing.assert_allclose(metrics.usage([0, 2, 2, -1, 2, -1], 4), [0.25, 0, 0.75, 0])
    np.testing.assert_array_equal(metrics.usage([-1, -1], 2), [0, 0])
    np.testing.assert_array_equal(metrics.usage([], 2), [0, 0])
    with pytest.raises(ValueError, match="less than n_components=2"):
        metrics.usage([0, 2], 2)


def test_agreement_equals_scikit_learn_and_a_slow_purity():
    rng = np.random.default_rng(0)
    y = rng.choice(["sport", "money", "film"], 200)
    labels = np.where(rng.random(200) < 0.7, np.searchsorted(["film", "money", "sport"], y), -1)
    commonest = 0
    for unit in set(labels.tolist()):  # -1 is a cluster like the others
        won = y[labels == unit].tolist()
        commonest += max(won.count(name) for name in set(won))
    found = metrics.agreement(y, labels)
    assert found.nmi == pytest.approx(normalized_mutual_info_score(y, labels))
    assert found.ari == pytest.approx(adjusted_rand_score(y, labels))
    assert found.purity == metrics.purity(y, labels) == commonest / 200
    assert found.purity < 1  # the rejected rows are mixed, and count


def test_purity_by_hand():
    assert metrics.purity([0, 0, 0, 1, 1, 2], [5, 5, 7, 7, 7, 7]) == 4 / 6
    assert metrics.purity([0, 1], [-1, -1]) == 0.5
    assert metrics.purity([0, 1], [0, 1]) == 1.0


@pytest.mark.parametrize("score", [metrics.purity, metrics.agreement])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (["a", None, "b"], ValueError, "got None in row 1"),
        (["a", float("nan"), "b"], ValueError, "got nan in row 1"),
        ([0.0, np.nan, 1.0], ValueError, "got nan in row 1"),
        (["a", 1, "b"], TypeError, "labels of one type"),
        (np.eye(3), ValueError, r"one label for each row, got an array of shape \(3, 3\)"),
        (7, ValueError, r"an array of shape \(\)"),
    ],
)
def test_invalid_labels_are_rejected(score, bad, error, message):
    with pytest.raises(error, match=f"^`?y.*{message}"):
        score(bad, [0, 1, 1])
    with pytest.raises(error, match=f"^`?labels.*{message}"):
        score([0, 1, 1], bad)


@pytest.mark.parametrize("score", [metrics.purity, metrics.agreement])
def test_labels_of_another_length_are_rejected(score):
    with pytest.raises(ValueError, match="inconsistent"):
        score([0, 1, 1], [0, 1])
    with pytest.raises(ValueError, match="got none"):
        score([], [])


class Fixed(BaseEstimator):
    """A model with a given codebook, whose winner is the unit with the largest dot product above `reject`."""

    def __init__(self, components, reject=0.0):
        self.components, self.reject = components, reject

    def fit(self, X=None, y=None):
        self.components_ = np.asarray(self.components, dtype=float)
        return self

    def transform(self, X):
        return np.asarray(X @ self.components_.T)

    def predict(self, X):
        codes = self.transform(X)
        return np.where(codes.max(axis=1) > self.reject, codes.argmax(axis=1), -1)


def slow_scorer(model, X, n=10):
    """The equations in npmi_scorer's docstring, read aloud."""
    documents, labels = as_sets(X), model.predict(X)
    tops = [[w for w in np.argsort(-row, kind="stable")[:n] if row[w] > 0] for row in model.components_]
    live = [k for k in range(len(tops)) if k in labels]
    values = []
    for k, words in enumerate(tops):
        won = [words_of for words_of, label in zip(documents, labels, strict=True) if label == k and words_of]
        covered = sum(bool(words_of & set(words)) for words_of in won) / max(len(won), 1)
        coherence = -1.0
        if k in live and len(words) > 1:
            near = [
                np.mean([slow_pair(a, b, documents) for a in words for b in tops[j]])
                for j in live
                if j != k and tops[j]
            ]
            coherence = max(slow_npmi(words, documents) - max([*near, 0.0]), -1.0)
        values.append(covered * coherence - (1 - covered))
    filled = [label for words_of, label in zip(documents, labels, strict=True) if words_of]
    won = np.mean([label >= 0 for label in filled])
    return won * np.mean(values) - (1 - won)


@pytest.mark.parametrize("reject", [-1.0, 0.0, 3.0])  # -1: empty documents are won too, as by KMeans
@pytest.mark.parametrize("as_format", [np.asarray, sparse.csr_matrix, sparse.csr_array])
def test_npmi_scorer_equals_slow_loops(as_format, reject, counts):
    rng = np.random.default_rng(2)
    W = rng.random((6, 30)) ** 4
    W[3] = 0  # an idle unit
    W[4, 2:] = 0  # two words only
    W[5] = W[0]  # a copy, which loses every tie
    counts[[7, 9]] = 0  # empty documents
    model = Fixed(W, reject).fit()
    found = metrics.npmi_scorer(model, as_format(counts))
    assert found == pytest.approx(slow_scorer(model, counts), abs=1e-12)
    assert type(found) is float


def test_npmi_scorer_decreases_for_divided_mixed_and_missing_topics():
    """Three topics of four words; a document has all four words of its topic."""
    X = np.repeat(np.eye(3), 4, axis=1)[np.arange(30) % 3]
    true = np.repeat(np.eye(3), 4, axis=1)
    halves = np.repeat(np.eye(6), 2, axis=1)
    faults = {
        "a repeated unit": np.vstack([true, true[0]]),
        "an idle unit": np.vstack([true, np.zeros(12)]),
        "a split topic": halves,
        "a skipped topic": true[:2],
        "merged topics": np.vstack([true[0] + true[1], true[2]]),
        "one unit for all": np.ones((1, 12)),
    }
    assert metrics.npmi_scorer(Fixed(true).fit(), X) == pytest.approx(1.0)
    for name, W in faults.items():
        assert metrics.npmi_scorer(Fixed(W).fit(), X) < 0.8, name
    assert metrics.npmi_scorer(Fixed(np.zeros((2, 12))).fit(), X) == -1.0


def test_npmi_scorer_minimum_is_minus_1():
    assert metrics.npmi_scorer(Fixed(np.ones((1, 3))).fit(), np.eye(3)) == -1.0
    # Words 0 and 1 never meet each other but do meet word 2, the neighbour: still no worse than idle.
    X = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
    W = [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert metrics.npmi_scorer(Fixed(W).fit(), X) == -1.0


def test_scorers_give_the_lowest_value_to_a_component_without_samples():
    X = np.repeat(np.eye(2), 2, axis=1)[[0, 1] * 5]
    W = np.repeat(np.eye(2), 2, axis=1)
    never_wins = np.vstack([W, 0.1 * W])
    assert metrics.npmi_scorer(Fixed(W).fit(), X) == pytest.approx(1.0)
    assert metrics.npmi_scorer(Fixed(never_wins).fit(), X) == pytest.approx((1 + 1 - 1 - 1) / 4)
    assert metrics.diversity_scorer(Fixed(W).fit(), X) == 4 / (2 * 4)
    assert metrics.diversity_scorer(Fixed(never_wins).fit(), X) == 4 / (4 * 4)


def test_diversity_scorer_by_hand():
    W = np.zeros((2, 30))
    W[0, :12], W[1, 5:17] = np.arange(12, 0, -1), np.arange(12, 0, -1)  # 0..9 and 5..14
    X = np.vstack([W, W])
    assert metrics.diversity_scorer(Fixed(W).fit(), X) == 15 / 20


@pytest.mark.parametrize("scorer", [metrics.npmi_scorer, metrics.diversity_scorer])
def test_scorers_of_a_pipeline_equal_those_of_its_steps(scorer, planted_texts):
    texts = planted_texts[:200]
    pipeline = make_pipeline(CountVectorizer(), TfidfTransformer(), NMF(4, init="nndsvd", max_iter=400, random_state=0))
    pipeline.fit(texts)
    assert scorer(pipeline, texts[:90]) == scorer(pipeline[-1], pipeline[:-1].transform(texts[:90]))
    assert scorer(pipeline, texts[:90], y=np.zeros(90)) == scorer(pipeline, texts[:90])


def test_npmi_scorer_rejects_negative_values(planted_texts):
    centre = FunctionTransformer(lambda X: X.toarray() - 0.1)
    pipeline = make_pipeline(TfidfVectorizer(), centre, KMeans(3, n_init=1, random_state=0))
    pipeline.fit(planted_texts[:50])
    with pytest.raises(ValueError, match="negative values"):
        metrics.npmi_scorer(pipeline, planted_texts[:50])


@pytest.fixture(scope="module")
def planted_texts():
    """Ten topics of 30 words each, 50 words that all share, half of a document from each."""
    rng = np.random.default_rng(0)
    return [
        " ".join(
            f"topic{i % 10}word{rng.integers(30)}" if own else f"shared{rng.integers(50)}"
            for own in rng.random(40) < 0.5
        )
        for i in range(600)
    ]


SEARCHED = {
    "NMF": (NMF(init="nndsvd", max_iter=400, random_state=0), "nmf__n_components"),
    "KMeans": (KMeans(n_init=3, random_state=0), "kmeans__n_clusters"),
}


@pytest.mark.many_fits
@pytest.mark.parametrize(("model", "size"), SEARCHED.values(), ids=SEARCHED)
def test_npmi_scorer_chooses_the_planted_number_of_topics(model, size, planted_texts):
    search = GridSearchCV(
        make_pipeline(TfidfVectorizer(), model),
        {size: [2, 5, 10, 30]},
        scoring={"npmi": metrics.npmi_scorer, "diversity": metrics.diversity_scorer},
        refit="npmi",
        cv=3,
        error_score="raise",
    ).fit(planted_texts)
    assert search.best_params_ == {size: 10}
    ranked = np.sort(search.cv_results_["mean_test_npmi"])
    assert ranked[-1] - ranked[-2] > 0.05  # not by a hair
    own = {topic.words[0][:6] for topic in topic_words(search.best_estimator_)}
    assert own == {f"topic{k}" for k in range(10)}


@pytest.mark.parametrize(
    ("topics", "sentence"),
    [
        ({0: ["goal"]}, r"must be a list of topics, got dict. Use list\(topics.values\(\)\)"),
        ("goal", "must be a list of topics, got str"),
        (7, "must be a list of topics, got int"),
        ([7], "lists of words or column indices, got 7"),
        (["goal" * 999], "lists of words, got the string"),
        ([["goal" * 999, 1] * 999], "lists of words, or lists of column indices"),
        ([list(range(9999))], "column indices from 0 to 2"),
    ],
)
def test_error_for_invalid_topics_is_short(topics, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence) as caught:
        metrics.npmi(topics, np.eye(3), feature_names=["a", "b", "c"])
    assert len(str(caught.value)) <= 500
