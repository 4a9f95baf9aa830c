"""Models of embeddings, read by the words of the documents that their units win."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from codebooks import (
    InhibitedMixture,
    KrotovHopfield,
    OrthogonalSparseCoding,
    expand,
    rank_documents,
    representative_documents,
    topic_words,
)
from codebooks.interpret.assignments import check_given_labels

THEMES = [("goal", "match", "team"), ("bank", "loan", "rate"), ("bread", "oven", "soup")]
# The themes lie far apart, and the mixture says so.
pytestmark = pytest.mark.filterwarnings("ignore:The gates give nearly all rows")

LEARNERS = {
    "KrotovHopfield": KrotovHopfield(3, random_state=0),
    "OrthogonalSparseCoding": OrthogonalSparseCoding(3, random_state=0),
    "InhibitedMixture": InhibitedMixture(3, random_state=0),
    "KMeans": KMeans(3, n_init=3, random_state=0),
}


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(THEMES[i % 3], 4)) for i in range(90)]


def embed(texts):
    """A stand-in for an encoder: a direction for each theme, some noise that the text decides, no word a column."""
    directions = np.random.default_rng(1).standard_normal((3, 16))
    directions -= directions.mean(axis=0)
    words = [set(text.split()) for text in texts]
    strength = np.array([[len(has & set(theme)) for theme in THEMES] for has in words], float)
    noise = np.array([np.random.default_rng(sum(map(ord, text))).standard_normal(16) for text in texts])
    return strength @ directions + 0.1 * noise


@pytest.fixture(scope="module")
def counted(texts):
    vectorizer = TfidfVectorizer()
    return vectorizer.fit_transform(texts), vectorizer.get_feature_names_out()


@pytest.fixture(params=LEARNERS.values(), ids=LEARNERS)
def pipeline(request, texts):
    return make_pipeline(FunctionTransformer(embed), request.param).fit(texts)


@pytest.fixture(scope="module")
def winning(texts):
    return make_pipeline(FunctionTransformer(embed), KrotovHopfield(3, random_state=0)).fit(texts)


def test_every_learner_is_read_in_words(pipeline, texts, counted):
    X, terms = counted
    found = topic_words(pipeline, feature_names=terms, X=X, labels=pipeline.predict(texts), n_words=3)
    assert sorted(tuple(sorted(topic.words)) for topic in found) == sorted(THEMES)
    assert [topic.usage for topic in found] == pytest.approx([1 / 3] * 3)
    assert all(topic.negative_words == () for topic in found)
    assert topic_words(pipeline[-1], X, feature_names=terms, n_words=3, labels=pipeline.predict(texts)) == found


def test_codes_say_what_labels_say(pipeline, texts, counted):
    X, terms = counted
    labels, codes = pipeline.predict(texts), pipeline.transform(texts)
    by_labels = topic_words(pipeline, feature_names=terms, X=X, labels=labels)
    assert topic_words(pipeline, feature_names=terms, X=X, labels=codes) == by_labels
    assert topic_words(pipeline, feature_names=terms, X=X, labels=sparse.csr_array(codes)) == by_labels
    assert topic_words(pipeline, feature_names=list(terms), X=X.toarray(), labels=labels.tolist()) == by_labels


def test_the_same_as_for_a_model_of_the_words_themselves(texts):
    vectorizer = CountVectorizer()
    X = vectorizer.fit_transform(texts).astype(float)
    model = KrotovHopfield(3, random_state=0).fit(X)
    terms = vectorizer.get_feature_names_out()
    assert topic_words(model, feature_names=terms, X=X, labels=model.predict(X)) == topic_words(
        model, feature_names=terms, X=X
    )
    by_weights = topic_words(model, feature_names=terms, X=X, labels=model.predict(X), method="weights")
    assert by_weights == topic_words(model, feature_names=terms, X=X, method="weights")
    assert by_weights == topic_words(model, feature_names=terms, labels=model.predict(X))


def test_units_that_win_nothing_have_no_words_even_where_the_columns_are_as_many(counted):
    X, terms = counted
    model = KMeans(2, n_init=1, random_state=0).fit(np.eye(len(terms)))
    found = topic_words(model, feature_names=terms, X=X, labels=np.zeros(90, int))
    assert found[1].words == ()
    assert [topic.usage for topic in found] == [1.0, 0.0]


def test_signed_codes_win_by_magnitude_and_alike_codes_win_nothing():
    model = OrthogonalSparseCoding(2, signed=True, random_state=0)
    assert check_given_labels(model, [[-3.0, 2.0], [0.0, 0.0], [1.0, 2.0]], 2).tolist() == [0, -1, 1]
    assert check_given_labels(None, [[0.5, 0.5], [0.2, 0.8]], 2).tolist() == [-1, 1]  # a gate of an empty row
    assert check_given_labels(None, [[0.5], [0.0]], 1).tolist() == [0, -1]


def test_top_documents_by_codes(pipeline, texts):
    expected = representative_documents(pipeline, texts, n_documents=4)
    codes = pipeline.transform(texts)
    for found in (
        representative_documents(pipeline, n_documents=4, codes=codes),
        representative_documents(pipeline, texts, n_documents=4, codes=codes),
    ):
        for k, (rows, others) in enumerate(zip(found, expected, strict=True)):
            np.testing.assert_array_equal(codes[rows, k], codes[others, k])  # documents with equal codes may differ


def test_ranking_by_codes_and_by_a_query_in_words(winning, texts):
    codes = winning.transform(texts)
    expected = rank_documents(winning, texts, "bank loan", n_documents=5)
    found = rank_documents(winning, None, "bank loan", n_documents=5, codes=codes)
    assert found.rows.tolist() == expected.rows.tolist()
    assert all(row % 3 == 1 for row in found.rows)


def test_a_query_is_expanded_by_the_words_of_its_concepts(winning, texts, counted):
    X, terms = counted
    found = expand(winning, "bank loan", feature_names=terms, X=X, labels=winning.predict(texts), n_words=2, n_topics=1)
    assert found[0].word == "rate"
    assert "bank" not in {word.word for word in found}
    by_row = expand(
        winning[-1],
        embed(["bank loan"]),
        feature_names=terms,
        X=X,
        labels=winning.predict(texts),
        n_words=3,
        n_topics=1,
    )
    assert {word.word for word in by_row} == set(THEMES[1])


REFUSED = {
    "codes missing": ({"labels": None}, "labels=model.predict"),
    "terms missing": ({"feature_names": None}, "a name for each of the 9 columns of `X`"),
    "terms of others": ({"feature_names": ["a"]}, "must have 9 names, one for each column of `X`, got 1"),
    "fewer labels": ({"labels": np.zeros(89, int)}, "got 90 and 89 rows"),
    "fewer codes": ({"labels": np.eye(3)}, "got 90 and 3 rows"),
    "codes of others": ({"labels": np.ones((90, 4))}, "a column for each of the 3 components"),
    "label above": ({"labels": np.full(90, 3)}, "from 0 to 2, or -1 for none, got 3"),
    "label below": ({"labels": np.full(90, -2)}, "got -2"),
    "labels not integers": ({"labels": np.full(90, 0.5)}, "integers, got float64"),
    "codes not finite": ({"labels": np.full((90, 3), np.nan)}, "finite"),
    "embeddings for counts": ({"X": -np.ones((90, 9))}, "negative values.*counts of the same documents"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_topics_refuse(winning, texts, counted, given, message):
    X, terms = counted
    asked = {"feature_names": terms, "X": X, "labels": winning.predict(texts)} | given
    with pytest.raises(ValueError, match=message):
        topic_words(winning[-1], **asked)


def test_numbered_columns_are_no_words(texts):
    from sklearn.decomposition import TruncatedSVD

    pipeline = make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=0), KrotovHopfield(3, random_state=0))
    pipeline.fit(texts)
    for ask in (topic_words, lambda model: expand(model, "goal")):
        with pytest.raises(ValueError, match=r"numbered columns \(truncatedsvd0, ...\).*labels="):
            ask(pipeline)


def test_other_features_are_refused_in_words(winning, counted):
    X, terms = counted
    with pytest.raises(ValueError, match=r"must have 16 columns.* got 9"):
        representative_documents(winning[-1], X)
    with pytest.raises(ValueError, match="Pass the documents as X=, or their codes="):
        representative_documents(winning)
    with pytest.raises(ValueError, match="Pass the documents as X=, or their codes="):
        rank_documents(winning, None, 0)
    with pytest.raises(ValueError, match="must be given together"):
        expand(winning, "goal", feature_names=terms, X=X)
    with pytest.raises(ValueError, match="row of the 16 features of this model, got words"):
        expand(winning[-1], "goal", feature_names=terms, X=X, labels=np.zeros(90, int))


@pytest.mark.parametrize("form", [list, np.array, lambda texts: np.array(texts, object), lambda texts: texts[0]])
def test_texts_for_counts_are_refused_in_words(winning, texts, counted, form):
    for ask in (topic_words, lambda model, **given: expand(model, "goal", **given)):
        with pytest.raises(
            TypeError, match=r"got text. `X` must be the counts of the documents.*fit_transform\(texts\)"
        ):
            ask(winning, feature_names=counted[1], X=form(texts), labels=winning.predict(texts))


def test_units_and_words_are_not_laid_out_twice():
    n_units, n_words = 50, 20_000
    X = sparse.random(200, n_words, 0.001, format="csr", random_state=0)
    labels = np.arange(200) % n_units
    model = KMeans(n_units, n_init=1, random_state=0).fit(np.eye(n_units))
    terms, size = [str(w) for w in range(n_words)], 8 * n_units * n_words
    for ask, n_times in (
        (lambda: topic_words(model, X, feature_names=terms, labels=labels), 1.5),
        (lambda: _expanded(model, X, labels), 2.5),
    ):
        tracemalloc.start()
        ask()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < n_times * size


def _expanded(model, X, labels):
    return expand(model, np.eye(50)[0], feature_names=list(map(str, range(X.shape[1]))), X=X, labels=labels)
