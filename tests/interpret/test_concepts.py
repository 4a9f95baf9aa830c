"""Query expansion, ranking and suggestion: against slow loops, hand-made components, and invariances."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, LatentDirichletAllocation
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from codebooks import KrotovHopfield, expand, rank_documents, representative_documents, suggest
from codebooks.datasets import make_planted_corpus
from codebooks.interpret import AddedWord

TERMS = ["bank", "goal", "loan", "match", "team"]
MONEY, SPORT = [3.0, 0.0, 4.0, 0.0, 0.0], [0.0, 2.0, 0.0, 2.0, 1.0]
BOTH = [0.0, 1.0, 1.0, 0.0, 0.0]
TEXTS = ["goal match team", "goal match", "goal team", "bank loan", "loan bank bank", "goal"]

# Small NMFs on small data seldom converge; that is not what is judged here.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Fixed(BaseEstimator):
    """A model with a given codebook, whose codes are dot products plus an offset; as `form` if given."""

    def __init__(self, components, offset=0.0, form=np.asarray):
        self.components, self.offset, self.form = components, offset, form

    def fit(self, X=None, y=None):
        self.components_ = np.asarray(self.components, dtype=float)
        return self

    def transform(self, X):
        X = X.toarray() if sparse.issparse(X) else np.asarray(X)
        return self.form(X @ self.components_.T + self.offset)


@pytest.fixture
def model():
    return Fixed([MONEY, SPORT, BOTH]).fit()


def terms_of(words):
    return [word.word for word in words]


# --- expand ---------------------------------------------------------------------------------------------------


def slow_expand(W, code, known, n, n_concepts):
    """The equation of `expand`, one number at a time; (term index, weight, concept)."""
    ranked = sorted(range(len(W)), key=lambda k: (-code[k], k))
    kept, rest = ranked[:n_concepts], code[ranked[n_concepts]]
    above = {k: code[k] - rest for k in kept}
    found = []
    for w in range(len(W[0])):
        parts = {k: above[k] / sum(above.values()) * W[k][w] / sum(v * v for v in W[k]) ** 0.5 for k in sorted(kept)}
        if w not in known and sum(parts.values()) > 0:
            found.append((w, sum(parts.values()), max(parts, key=parts.get)))
    return sorted(found, key=lambda word: (-word[1], word[0]))[:n]


def test_expand_equals_slow_loops():
    rng = np.random.default_rng(0)
    W, X = rng.standard_normal((6, 12)), rng.random((5, 12)) * (rng.random((5, 12)) < 0.3)
    terms = [f"word{w}" for w in range(12)]
    for row in X:
        for n, n_concepts in [(4, 2), (20, 3), (5, 5)]:
            expected = slow_expand(W, W @ row, set(np.flatnonzero(row)), n, n_concepts)
            found = expand(Fixed(W).fit(), row, feature_names=terms, n_words=n, n_topics=n_concepts)
            assert [(word.word, word.topic) for word in found] == [(terms[w], k) for w, _, k in expected]
            np.testing.assert_allclose([word.score for word in found], [weight for _, weight, _ in expected])


def test_added_word_has_score_and_topic(model):
    found = expand(model, "bank", feature_names=TERMS, n_topics=1)
    assert found == [AddedWord("loan", pytest.approx(0.8), 0)]
    assert type(found[0].word) is str
    assert type(found[0].topic) is int
    assert str(found[0]) == "loan (0.80, topic 0)"


def test_topic_of_an_added_word_contributes_most(model):
    found = {word.word: word.topic for word in expand(model, ["goal", "bank"], feature_names=TERMS, n_topics=2)}
    assert found == {"loan": 0, "match": 1, "team": 1}  # "loan" is in units 0 and 2, and 2 is left out


def test_expand_leaves_out_query_words_and_limits_n_words(model):
    assert terms_of(expand(model, "goal team", feature_names=TERMS, n_topics=1)) == ["match"]
    assert terms_of(expand(model, "goal", feature_names=TERMS, n_words=1, n_topics=1)) == ["match"]


def test_expand_ties_go_to_the_lower_column():
    model = Fixed([[1.0, 1, 1, 1, 1], [0, 0, 0, 0, 1]]).fit()
    assert terms_of(expand(model, "match", feature_names=TERMS)) == ["bank", "goal", "loan", "team"]


def test_expand_adds_words_with_positive_scores_only():
    model = Fixed([[-1.0, 2.0, -3.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]]).fit()
    assert terms_of(expand(model, "goal", feature_names=TERMS)) == ["team"]


@pytest.mark.parametrize("query", ["Goal, team?", ["goal", "team"], ("TEAM", "goal"), np.array(["team", "goal"])])
def test_expand_equal_queries_of_other_types(model, query):
    assert expand(model, query, feature_names=TERMS) == expand(model, [0, 1, 0, 0, 1], feature_names=TERMS)


def test_expand_row_types(model):
    row = np.array([[0.0, 1.0, 0.0, 0.0, 1.0]])
    expected = expand(model, "goal team", feature_names=TERMS)
    assert expected
    for query in (row, row[0], row.astype(np.float32), sparse.csr_matrix(row), sparse.csc_array(row)):
        assert expand(model, query, feature_names=TERMS) == expected


def test_expand_repeated_word_counts_twice(model):
    once, twice = (
        expand(model, query, feature_names=TERMS, n_topics=2) for query in ("goal bank", "goal goal goal goal bank")
    )
    assert terms_of(once)[0] == "loan"
    assert terms_of(twice)[0] == "match"


def test_terms_of_several_words_and_of_two_cases():
    terms = ["bank", "Bank", "goal keeper", "match", "team"]
    model = Fixed([[1, 0, 0, 0, 2.0], [0, 1, 0, 2.0, 0], [0, 0, 1.0, 1, 1]]).fit()
    assert terms_of(expand(model, "bank", feature_names=terms, n_words=1)) == ["team"]
    assert terms_of(expand(model, "Bank", feature_names=terms, n_words=1)) == ["match"]
    assert terms_of(expand(model, "BANK!", feature_names=terms, n_words=1)) == ["team"]  # the first that fits
    assert terms_of(expand(model, ["goal keeper"], feature_names=terms)) == ["match", "team"]


def test_expand_ignores_unknown_words_beside_known_ones(model):
    assert expand(model, "goal of zebra", feature_names=TERMS) == expand(model, "goal", feature_names=TERMS)


@pytest.mark.parametrize("query", ["zebra", "", [], "?!", np.zeros(5), sparse.csr_matrix((1, 5))])
def test_query_without_a_known_word_is_rejected(model, query):
    with pytest.raises(ValueError, match="at least one word of the model"):
        expand(model, query, feature_names=TERMS)
    with pytest.raises(ValueError, match="at least one word of the model"):
        rank_documents(model, np.eye(5), query, feature_names=TERMS)


def test_unknown_text_is_rejected_by_a_pipeline():
    """The code of an empty row may be anything: the nearest centre of a KMeans, a uniform gate."""
    for learner in (KMeans(2, n_init=1, random_state=0), LatentDirichletAllocation(2, random_state=0)):
        pipeline = make_pipeline(CountVectorizer(), learner).fit(TEXTS)
        with pytest.raises(ValueError, match=r"got 'zebra'"):
            expand(pipeline, "zebra")


def test_expand_word_without_component_adds_nothing():
    assert expand(Fixed([MONEY, [0, 2.0, 0, 0, 0]]).fit(), "match", feature_names=TERMS) == []
    assert expand(Fixed([MONEY]).fit(), "match", feature_names=TERMS) == []


def test_expand_with_one_component():
    assert terms_of(expand(Fixed([MONEY]).fit(), "loan", feature_names=TERMS)) == ["bank"]


def test_expand_is_invariant_to_offset_and_scale_of_codes(model):
    expected = expand(model, "goal bank", feature_names=TERMS, n_topics=2)
    shifted = expand(Fixed([MONEY, SPORT, BOTH], offset=-100.0).fit(), "goal bank", feature_names=TERMS, n_topics=2)
    longer = expand(model, [7, 7, 0, 0, 0], feature_names=TERMS, n_topics=2)
    for found in (shifted, longer):
        assert [(word.word, word.topic) for word in found] == [(word.word, word.topic) for word in expected]
        np.testing.assert_allclose([word.score for word in found], [word.score for word in expected])


def test_expand_normalizes_components():
    short, long = (Fixed([MONEY, np.multiply(scale, SPORT)]).fit() for scale in (1, 10))
    assert expand(short, "goal", feature_names=TERMS, n_topics=1)[0].score == pytest.approx(2 / 3)
    assert expand(long, "goal", feature_names=TERMS, n_topics=1)[0].score == pytest.approx(2 / 3)


def test_expand_sparse_codes_equal_dense_codes(model):
    gates = Fixed([MONEY, SPORT, BOTH], form=sparse.csr_matrix).fit()
    assert expand(gates, "goal", feature_names=TERMS) == expand(model, "goal", feature_names=TERMS)
    X = np.random.default_rng(0).random((20, 5))
    for concept in (1, {0: 1, 2: -1}, np.eye(5)[1]):
        found, expected = (rank_documents(m, X, concept, n_documents=20) for m in (gates, model))
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.scores, expected.scores)


LEARNERS = {
    "KrotovHopfield": KrotovHopfield(2, random_state=0),
    "NMF": NMF(2, init="nndsvd", max_iter=2000, random_state=0),
    "LDA": LatentDirichletAllocation(2, random_state=0),
    "KMeans": KMeans(2, n_init=5, random_state=0),
}


@pytest.fixture(params=LEARNERS.values(), ids=LEARNERS)
def pipeline(request):
    return make_pipeline(TfidfVectorizer(), request.param).fit(TEXTS * 5)


def test_expand_pipeline_query_is_text(pipeline):
    assert terms_of(expand(pipeline, "Which bank?", n_words=1)) == ["loan"]
    assert set(terms_of(expand(pipeline, ["goal"], n_words=2))) == {"match", "team"}
    assert expand(pipeline, ["goal", "match"]) == expand(pipeline, "goal match")
    english = dict(zip(TERMS, ["Bank", "Tor", "Kredit", "Spiel", "Elf"], strict=True))
    assert terms_of(expand(pipeline, "bank", feature_names=list(english.values()), n_words=1)) == ["Kredit"]


def test_expand_pipeline_equals_its_model_on_the_transformed_row(pipeline):
    row, X = (pipeline[:-1].transform(texts) for texts in (["goal team"], TEXTS))
    assert expand(pipeline, "goal team") == expand(pipeline[-1], row, feature_names=TERMS)
    for concept in ("goal team", 0, {1: 2.0}):
        found = rank_documents(pipeline, TEXTS, concept)
        same = rank_documents(pipeline[-1], X, row if concept == "goal team" else concept)
        np.testing.assert_array_equal(found.rows, same.rows)
        np.testing.assert_array_equal(found.scores, same.scores)


def test_planted_topics_expand_to_their_own_words():
    corpus = make_planted_corpus(random_state=0)
    model = KrotovHopfield(len(corpus.topics), random_state=0).fit(corpus.X)
    for topic in corpus.topics:
        first, *others = np.argsort(-topic)[:15]
        found = terms_of(expand(model, corpus.terms[first], feature_names=corpus.terms, n_words=5, n_topics=1))
        assert len(set(found) & {corpus.terms[w] for w in others}) >= 4


def test_expand_model_fitted_on_a_data_frame_gives_no_warning():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.eye(5)[[0, 0, 1, 1]] + np.eye(5)[[2, 2, 3, 3]], columns=TERMS)
    model = KMeans(2, n_init=1, random_state=0).fit(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert terms_of(expand(model, "bank")) == ["loan"]
        assert rank_documents(model, frame, "goal", n_documents=2).rows.tolist() == [2, 3]


def test_expand_does_not_change_warning_filters():
    """They are of all threads."""
    pandas = pytest.importorskip("pandas")
    seen = []

    class Watched(KMeans):
        def transform(self, X):
            seen.append(list(warnings.filters))
            return super().transform(X)

    model = Watched(2, n_init=1, random_state=0).fit(pandas.DataFrame(np.eye(5), columns=TERMS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expand(model, "bank")
        assert seen == [list(warnings.filters)]
    assert model.feature_names_in_.tolist() == TERMS


BAD_QUERIES = {
    "no terms": ({"query": "goal"}, "a name for each of the 5 columns"),
    "too few terms": ({"query": "goal", "feature_names": TERMS[:4]}, "must have 5 names.*got 4"),
    "a row too short": ({"query": [1.0, 0.0], "feature_names": TERMS}, r"5 features.*got shape \(1, 2\)"),
    "two rows": ({"query": np.eye(5)[:2], "feature_names": TERMS}, r"got shape \(2, 5\)"),
    "nan": ({"query": [np.nan, 0, 0, 0, 0], "feature_names": TERMS}, "NaN"),
    "no words": (
        {"query": "goal", "feature_names": TERMS, "n_words": 0},
        "`n_words` must be an integer >= 1, got 0",
    ),
    "part of a word": (
        {"query": "goal", "feature_names": TERMS, "n_words": 2.5},
        "`n_words` must be an integer >= 1, got 2.5",
    ),
    "no concepts": (
        {"query": "goal", "feature_names": TERMS, "n_topics": 0},
        "`n_topics` must be an integer >= 1",
    ),
}


@pytest.mark.parametrize(("given", "message"), BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_expand_rejects_invalid_arguments(model, given, message):
    with pytest.raises(ValueError, match=message):
        expand(model, **given)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, r"`query` must be a text, a sequence of strings or a row of numbers, got None\."),
        (["goal", None], r"a row of numbers, got \['goal', None\]"),
        ([1.0, 2.0], r"`query` must be a text for a Pipeline .*, got \[1.0, 2.0\]"),
    ],
)
def test_queries_of_other_types_are_rejected(query, message):
    pipeline = make_pipeline(CountVectorizer(), KrotovHopfield(2, random_state=0)).fit(TEXTS)
    with pytest.raises(TypeError, match=message):
        expand(pipeline, query)
    with pytest.raises(TypeError, match=message):
        rank_documents(pipeline, TEXTS, query)


def test_unfitted_models_and_models_without_components_are_rejected():
    X = np.eye(5)
    for ask in (lambda model: expand(model, X[0], feature_names=TERMS), lambda model: rank_documents(model, X, 0)):
        with pytest.raises(NotFittedError):
            ask(NMF(2))
        with pytest.raises(TypeError, match="got StandardScaler"):
            ask(StandardScaler().fit(X))


# --- rank_documents -------------------------------------------------------------------------------------------


def slow_ranking(scores, wanted, n, X, query=None):
    """Rows by score, ties by the cosine with the query or with the mean of the rows weighted by positive scores."""
    unit_rows = [x / max(np.linalg.norm(x), 1e-300) for x in X]
    target = query if query is not None else sum(max(s, 0) * x for s, x in zip(scores, unit_rows, strict=True))
    cosines = [round(x @ target / np.linalg.norm(target), 6) for x in unit_rows]
    return sorted((i for i in range(len(scores)) if wanted[i]), key=lambda i: (-scores[i], -cosines[i], i))[:n]


@pytest.fixture
def documents():
    X = np.random.default_rng(0).integers(0, 3, (60, 5)).astype(float)  # few values: many ties
    X[7] = 0
    return X


@pytest.mark.parametrize("as_format", [np.asarray, sparse.csr_matrix, sparse.csc_array, np.ndarray.tolist])
def test_rank_documents_equals_slow_loops(model, documents, as_format):
    codes = documents @ model.components_.T
    for concept, weights in [(1, (0, 1, 0)), ({0: 1, 2: -0.5}, (1, 0, -0.5)), (np.int64(2), (0, 0, 1))]:
        scores = [sum(a * w for a, w in zip(code, weights, strict=True)) for code in codes]
        for n in (1, 9, 100):
            rows, strengths = rank_documents(model, as_format(documents), concept, n_documents=n)
            assert rows.tolist() == slow_ranking(scores, codes.any(axis=1), n, documents)
            np.testing.assert_allclose(strengths, np.array(scores)[rows], rtol=1e-12)


def test_rank_documents_uses_the_shares_of_a_query(model, documents):
    # "goal" has the codes 0, 2, 1: above unit 0, unit 1 stands twice as far as unit 2.
    found = rank_documents(model, documents, "goal", n_documents=60, feature_names=TERMS, n_topics=2)
    expected = rank_documents(model, documents, {1: 2 / 3, 2: 1 / 3}, n_documents=60)
    np.testing.assert_allclose(found.scores, expected.scores)
    scores = documents @ model.components_.T @ [0, 2 / 3, 1 / 3]
    goal = np.array([float(term == "goal") for term in TERMS])
    assert found.rows.tolist() == slow_ranking(np.round(scores, 9), documents.any(axis=1), 60, documents, goal)
    alone = rank_documents(model, documents, "goal", n_documents=60, feature_names=TERMS, n_topics=1)
    np.testing.assert_allclose(alone.scores, rank_documents(model, documents, 1, n_documents=60).scores)


def test_rank_documents_orders_equal_shares_by_the_query():
    texts = ["red wine", "cheese soup", "wine cheese", "loan bank"] * 5
    pipeline = make_pipeline(CountVectorizer(), Fixed(np.eye(2, 6))).fit(texts)
    pipeline[-1].transform = lambda X: np.tile([1.0, 0.0], (X.shape[0], 1))
    found = rank_documents(pipeline, texts, "wine cheese", n_documents=5)
    assert [texts[row] for row in found.rows] == ["wine cheese"] * 5


def test_representative_documents_are_the_ranked_rows_of_the_component(pipeline):
    labels = pipeline.predict(TEXTS) if hasattr(pipeline[-1], "predict") else pipeline.transform(TEXTS).argmax(axis=1)
    for unit, best in enumerate(representative_documents(pipeline, TEXTS, n_documents=6)):
        rows = rank_documents(pipeline, TEXTS, unit, n_documents=6).rows
        assert len(rows) == 6
        assert rows[labels[rows] == unit].tolist() == best.tolist()


def test_permuting_documents_permutes_the_ranking(model):
    X = np.random.default_rng(1).random((30, 5))
    order = np.random.default_rng(2).permutation(30)
    found, permuted = (rank_documents(model, rows, {0: 1, 1: 0.3}, n_documents=30) for rows in (X, X[order]))
    np.testing.assert_array_equal(order[permuted.rows], found.rows)
    np.testing.assert_allclose(permuted.scores, found.scores, rtol=1e-12)


def test_rank_documents_leaves_out_empty_documents(pipeline):
    found = rank_documents(pipeline, ["", "zebra", *TEXTS], 0, n_documents=10)
    assert sorted(found.rows.tolist()) == list(range(2, 8))
    assert len(rank_documents(pipeline, ["", "zebra"], 0).rows) == 0


def test_rank_documents_leaves_out_documents_without_a_common_feature():
    X = np.array([MONEY, SPORT, np.negative(MONEY)])
    assert rank_documents(Fixed([MONEY]).fit(), X, 0).rows.tolist() == [0, 2]


BAD_CONCEPTS = {
    "a unit too high": (3, "from 0 to 2.*got 3"),
    "a negative unit": (-1, "from 0 to 2.*got -1"),
    "a mixture of unknown units": ({0: 1, 5: 1}, "from 0 to 2.*got 5"),
    "a mixture of names": ({"goal": 1}, "from 0 to 2.*got 'goal'"),
    "an empty mixture": ({}, "at least one of them not 0, got {}"),
    "a mixture of zeros": ({1: 0.0}, "at least one of them not 0"),
    "an infinite weight": ({1: np.inf}, "finite weights"),
}


@pytest.mark.parametrize(("concept", "message"), BAD_CONCEPTS.values(), ids=BAD_CONCEPTS)
def test_rank_documents_rejects_invalid_queries(model, concept, message):
    with pytest.raises(ValueError, match=message):
        rank_documents(model, np.eye(5), concept)


def test_rank_documents_rejects_missing_documents_and_feature_names(model):
    with pytest.raises(ValueError, match="`n_documents` must be an integer >= 1, got 0"):
        rank_documents(model, np.eye(5), 0, n_documents=0)
    with pytest.raises(ValueError, match="a name for each of the 5 columns"):
        rank_documents(model, np.eye(5), "goal")


# --- suggest --------------------------------------------------------------------------------------------------


def cosine(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True)) / (sum(p * p for p in a) * sum(q * q for q in b)) ** 0.5


def slow_suggest(codes, liked, n, disliked=()):
    """(rows, scores) by the equation, one pair at a time."""
    filled = [any(code) for code in codes]
    liked, disliked = ([j for j in dict.fromkeys(rows) if filled[j]] for rows in (liked, disliked))

    def likeness(code, rows):
        cosines = [cosine(code, codes[j]) for j in rows] or [0.0]
        return (sum(cosines) / len(cosines) + max(cosines)) / 2

    score = {
        i: likeness(code, liked) - 0.1 * likeness(code, disliked)
        for i, code in enumerate(codes)
        if filled[i] and i not in liked and i not in disliked
    }
    rows = sorted(score, key=lambda i: (-score[i], i))[:n]
    return rows, [score[i] for i in rows]


@pytest.fixture
def codes():
    codes = np.random.default_rng(0).standard_normal((40, 6))
    codes[[3, 11]] = 0
    return codes


@pytest.mark.parametrize("as_format", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_suggest_equals_slow_loops(codes, as_format):
    for liked, disliked in [([5], []), ([5, 9, 20], []), ([5, 9, 5, 3], [1]), ([5, 9], [30, 31, 11])]:
        for n in (1, 7, 100):
            rows, scores = suggest(as_format(codes), liked, n_suggestions=n, disliked=disliked)
            expected, expected_scores = slow_suggest(codes.tolist(), liked, n, disliked)
            assert rows.tolist() == expected
            np.testing.assert_allclose(scores, expected_scores, atol=1e-12)


def test_suggest_dense_and_sparse_gates_give_the_same_rows():
    gates = np.random.default_rng(0).random((200, 8)) ** 20
    gates[gates < 0.05] = 0
    gates /= np.maximum(gates.sum(axis=1, keepdims=True), 1e-9)
    gates[100:] = gates[:100]  # each twice: ties
    liked = np.flatnonzero(gates.any(axis=1))[:3]
    dense, rows = (suggest(form(gates), liked, n_suggestions=200) for form in (np.asarray, sparse.csr_matrix))
    assert dense.rows.tolist() == rows.rows.tolist()
    np.testing.assert_allclose(dense.scores, rows.scores, atol=1e-12)


def test_suggest_in_blocks_equals_one_block(codes, monkeypatch):
    expected = suggest(codes, [5, 9, 20], n_suggestions=40, disliked=[1])
    monkeypatch.setattr("codebooks.interpret.suggestion._BLOCK", 7)
    found = suggest(codes, [5, 9, 20], n_suggestions=40, disliked=[1])
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-11)


def test_suggest_combines_mean_and_largest_cosine():
    """A row between the two liked ones, one beside the first, and one that is like neither."""
    codes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.1, 0.0], [0.5, 0.5, 1.0]]
    found = suggest(codes, [0, 1])
    assert found.rows.tolist() == [3, 2, 4]
    assert found.scores[1] == pytest.approx(0.5**0.5)


def test_suggest_ties_are_in_row_order():
    rng = np.random.default_rng(0)
    codes = np.tile(rng.standard_normal((1, 7)), (101, 1)).astype(np.float32)
    assert suggest(codes, [50], n_suggestions=100).rows.tolist() == [i for i in range(101) if i != 50]
    assert suggest(sparse.csr_matrix(codes), [50], n_suggestions=100).rows.tolist() == [
        i for i in range(101) if i != 50
    ]


def test_permuting_rows_permutes_the_suggestions(codes):
    order = np.random.default_rng(1).permutation(40)
    place = np.argsort(order)
    found, permuted = suggest(codes, [5, 9], n_suggestions=40), suggest(codes[order], place[[5, 9]], n_suggestions=40)
    np.testing.assert_array_equal(order[permuted.rows], found.rows)
    np.testing.assert_allclose(permuted.scores, found.scores, atol=1e-12)


def test_permuting_concepts_and_scaling_rows_change_nothing(codes):
    found = suggest(codes, [5, 9], n_suggestions=40)
    scale = np.random.default_rng(1).uniform(0.1, 10, (40, 1))
    for other in (codes[:, ::-1], codes * scale):
        same = suggest(other, [5, 9], n_suggestions=40)
        np.testing.assert_array_equal(same.rows, found.rows)
        np.testing.assert_allclose(same.scores, found.scores, atol=1e-12)


def test_suggest_liked_rows_in_any_order_or_as_a_mask(codes):
    found = suggest(codes, [5, 9, 20], disliked=[1, 2])
    mask, against = np.zeros(40, dtype=bool), np.zeros(40, dtype=bool)
    mask[[5, 9, 20]] = against[[1, 2]] = True
    for liked, disliked in [((20, 5, 9, 9), (2, 1)), (mask, against), (mask.tolist(), np.array([1, 2], np.uint8))]:
        same = suggest(codes, liked, disliked=disliked)
        np.testing.assert_array_equal(same.rows, found.rows)
        np.testing.assert_array_equal(same.scores, found.scores)


def test_one_liked_row_ranks_by_its_cosines(codes):
    found = suggest(codes, 5, n_suggestions=37)
    assert found.scores.tolist() == pytest.approx([cosine(codes[i], codes[5]) for i in found.rows])
    np.testing.assert_array_equal(found.rows, suggest(codes, [5], n_suggestions=37).rows)


def test_signed_codes_an_opposite_row_comes_last():
    codes = [[1.0, -2.0], [2.0, -4.1], [-1.0, 2.0], [2.0, 1.0]]
    assert suggest(codes, [0]).rows.tolist() == [1, 3, 2]


def test_suggest_avoids_rows_similar_to_disliked_ones():
    codes = [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.9, 0.1], [0.9, 0.0, 0.1]]
    assert suggest(codes, [0]).rows.tolist() == [1, 2, 3, 4]
    assert suggest(codes, [0], disliked=[1]).rows.tolist() == [2, 3, 4]


def test_suggestions_share_the_label_on_planted_topics():
    corpus = make_planted_corpus(random_state=0)
    codes = KrotovHopfield(10, random_state=0).fit_transform(corpus.X)
    rng = np.random.default_rng(0)
    for label in range(10):
        liked = rng.choice(np.flatnonzero(corpus.labels == label), 3, replace=False)
        assert (corpus.labels[suggest(codes, liked).rows] == label).mean() >= 0.9


BAD_LIKES = {
    "nobody": (ValueError, {"liked": []}, "at least one row"),
    "an empty mask": (ValueError, {"liked": np.zeros(40, bool)}, "at least one row"),
    "only zeros": (ValueError, {"liked": [3, 11]}, "got 2 rows without one"),
    "a row too high": (ValueError, {"liked": [5, 40]}, "`liked` must be row indices of `codes`, 0 to 39, got 40"),
    "a negative row": (ValueError, {"liked": [5, -1]}, "`liked` must be row indices of `codes`, 0 to 39, got -1"),
    "a disliked row too high": (ValueError, {"liked": [5], "disliked": [99]}, "`disliked` must be row indices.*got 99"),
    "a short mask": (ValueError, {"liked": [True, False]}, r"each of the 40 rows, got shape \(2,\)"),
    "fractions": (TypeError, {"liked": [1.5]}, "row indices or a mask, got float64"),
    "names": (TypeError, {"liked": ["a"]}, "row indices or a mask"),
    "a table": (TypeError, {"liked": [[1, 2]]}, r"got int64 of shape \(1, 2\)"),
    "both": (ValueError, {"liked": [5, 6], "disliked": [6]}, "got row 6 in both"),
    "no suggestion": (
        ValueError,
        {"liked": [5], "n_suggestions": 0},
        "`n_suggestions` must be an integer >= 1, got 0",
    ),
}


@pytest.mark.parametrize(("error", "given", "message"), BAD_LIKES.values(), ids=BAD_LIKES)
def test_suggest_rejects_invalid_rows(codes, error, given, message):
    with pytest.raises(error, match=message):
        suggest(codes, **given)


def test_suggest_rejects_codes_that_are_not_finite(codes):
    codes[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        suggest(codes, [5])
    with pytest.raises(ValueError, match="2D"):
        suggest(codes[1], [5])
