"""Topics against slow loops and codebooks made by hand."""

import sys

import numpy as np
import oracles
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import NMF, PCA, LatentDirichletAllocation
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from codebooks.interpret import rank_documents
from codebooks.interpret.model_access import get_components, predict_components, select_top_columns
from codebooks.interpret.topics import Topic, representative_documents, topic_words

TERMS = ["bank", "goal", "loan", "match", "team"]
TEXTS = ["goal match team", "goal match", "goal team", "bank loan", "loan bank bank", "goal"]

# Small NMFs on small data seldom converge; that is not what is judged here.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Fixed(BaseEstimator):
    """A model with a given codebook; the largest dot product wins, and none wins where all are zero."""

    def __init__(self, components):
        self.components = components

    def fit(self, X=None, y=None):
        self.components_ = np.asarray(self.components, dtype=float)
        return self

    def transform(self, X):
        return np.asarray(X @ self.components_.T)

    def predict(self, X):
        codes = self.transform(X)
        return np.where(codes.any(axis=1), codes.argmax(axis=1), -1)


class FixedLabels(Fixed):
    """The same, with given winners."""

    def __init__(self, components, labels):
        self.components, self.labels = components, labels

    def predict(self, X):
        return np.asarray(self.labels)


@pytest.fixture
def documents():
    rng = np.random.default_rng(0)
    X = rng.poisson(0.6, (40, 12)).astype(float)
    X[:, 5] = 0  # a word that nobody uses
    X[8] = 0  # an empty document
    return X


def test_names_by_weights():
    found = topic_words(Fixed([[0, 3, 0, 2, 1], [5, 0, 4, 0, 0]]).fit(), feature_names=TERMS, n_words=2)
    assert found == [
        Topic(0, ("goal", "match"), (3.0, 2.0), pytest.approx(np.nan, nan_ok=True)),
        Topic(1, ("bank", "loan"), (5.0, 4.0), pytest.approx(np.nan, nan_ok=True)),
    ]
    assert type(found[0].words[0]) is str
    assert type(found[0].weights[0]) is float


def test_ties_go_to_the_lower_column_and_only_positive_weights_are_listed():
    W = np.array([[1, 2, 1, 2, 1], [0, 0, 3, 0, 0], [0, 0, 0, 0, 0]])
    found = topic_words(Fixed(W).fit(), feature_names=TERMS, n_words=4)
    assert [topic.words for topic in found] == [("goal", "match", "bank", "loan"), ("loan",), ()]


def test_top_columns_equal_a_full_stable_sort():
    W = np.random.default_rng(0).integers(-2, 4, (20, 50))
    for n in (1, 7, 50, 80):
        for row, found in zip(W, select_top_columns(W, n), strict=True):
            expected = [w for w in sorted(range(50), key=lambda w: (-row[w], w))[:n] if row[w] > 0]
            assert found.tolist() == expected


def test_signed_component_has_negative_words():
    found = topic_words(
        Fixed([[-0.9, 5.0, -2.0, -0.4, -2.0], [-3.0, -1.0, 0.0, 0.0, 0.0]]).fit(), feature_names=TERMS, n_words=2
    )
    assert found[0].negative_words == ("loan", "team")
    assert found[0].negative_weights == (-2.0, -2.0)
    assert found[1].words == ()
    assert found[1].negative_words == ("bank", "goal")
    wide = topic_words(Fixed([[-0.9, 5.0, -2.0, -0.4, -0.5]]).fit(), feature_names=TERMS)[0]
    assert wide.negative_words == ("loan", "bank", "team")  # -.4 is less than a tenth of 5, -.5 is not


def test_negative_words_only_with_method_weights():
    model = FixedLabels([[-1, 5, -2, 0, 0], [-1, 5, -2, 0, 0]], [0] * 5).fit()
    by_weights, by_documents = (
        topic_words(model, np.eye(5), feature_names=TERMS, method="weights"),
        topic_words(model, np.eye(5), feature_names=TERMS),
    )
    assert [topic.negative_words for topic in by_weights] == [("loan", "bank")] * 2
    assert [topic.negative_words for topic in by_documents] == [(), ("loan", "bank")]  # unit 1 wins no document


def test_non_negative_components_have_no_negative_words():
    assert all(
        not topic.negative_words for topic in topic_words(NMF(2, random_state=0).fit(np.eye(5)), feature_names=TERMS)
    )


@pytest.mark.parametrize("as_format", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_naming_by_documents_equals_slow_loops(as_format, documents):
    labels = np.where(documents.any(axis=1), np.arange(40) % 3, -1)
    model = FixedLabels(np.ones((3, 12)), labels).fit()
    terms = [f"word{w}" for w in range(12)]
    for n in (2, 6, 12):
        found = topic_words(model, as_format(documents), feature_names=terms, n_words=n)
        for topic, (scores, columns) in zip(
            found, oracles.choose_words_by_documents(documents, labels, 3, n), strict=True
        ):
            assert topic.words == tuple(terms[w] for w in columns)
            np.testing.assert_allclose(topic.weights, scores[columns], rtol=1e-12)
            assert "word5" not in topic.words


def test_method_documents_differs_from_method_weights():
    """A word that all topics share weighs much and tells nothing."""
    X = np.array([[3, 2, 0], [3, 2, 0], [3, 0, 2], [3, 0, 2]])
    model = Fixed([[3.0, 2.0, 0.0], [3.0, 0.0, 2.0]]).fit()
    terms = ["all", "left", "right"]
    by_weights, by_documents = (
        topic_words(model, X, feature_names=terms, method="weights"),
        topic_words(model, X, feature_names=terms),
    )
    assert [topic.words[0] for topic in by_weights] == ["all", "all"]
    assert [topic.words for topic in by_documents] == [("left",), ("right",)]
    # Every document of the component has the word, and half of all documents have it.
    assert [topic.weights[0] for topic in by_documents] == pytest.approx([np.log(2)] * 2)
    assert topic_words(model, X, feature_names=terms, method="documents") == by_documents
    assert [topic.usage for topic in by_weights] == [topic.usage for topic in by_documents] == [0.5, 0.5]


def test_component_with_all_documents_has_words():
    X = np.array([[1, 2, 0, 0, 0], [0, 1, 1, 0, 0], [0, 3, 1, 1, 0]])
    (found,) = topic_words(FixedLabels(np.ones((1, 5)), [0, 0, 0]).fit(), X, feature_names=TERMS)
    ((scores, columns),) = oracles.choose_words_by_documents(X, [0, 0, 0], 1, 10)
    assert found.words == tuple(TERMS[w] for w in columns) == ("goal", "loan", "bank", "match")
    np.testing.assert_allclose(found.weights, scores[columns], rtol=1e-12)
    assert found.usage == 1.0


def test_component_without_documents_is_described_by_its_weights():
    X = np.array([[1, 1, 0, 0, 0], [1, 2, 0, 0, 0]])
    found = topic_words(FixedLabels([[1, 1, 0, 0, 0], [0, 0, 1, 0, 7]], [0, 0]).fit(), X, feature_names=TERMS)
    assert found[1] == Topic(1, ("team", "loan"), (7.0, 1.0), 0.0, size=0)
    assert found[0].usage == 1.0


def test_usage_leaves_out_rejected_rows():
    X = np.eye(5)
    found = topic_words(FixedLabels(np.ones((3, 5)), [0, 0, 2, -1, 0]).fit(), X, feature_names=TERMS)
    assert [topic.usage for topic in found] == [0.75, 0.0, 0.25]
    assert [topic.size for topic in found] == [3, 0, 1]
    nobody = topic_words(FixedLabels(np.ones((2, 5)), [-1] * 5).fit(), X, feature_names=TERMS)
    assert [topic.usage for topic in nobody] == [0.0, 0.0]


def test_usage_without_documents_is_that_of_the_model():
    model = Fixed(np.ones((2, 5))).fit()
    assert all(np.isnan(topic.usage) for topic in topic_words(model, feature_names=TERMS))
    model.usage_ = np.array([0.25, 0.75], dtype=np.float32)
    assert [topic.usage for topic in topic_words(model, feature_names=TERMS)] == [0.25, 0.75]
    assert [topic.usage for topic in topic_words(model, np.ones((4, 5)), feature_names=TERMS)] == [1.0, 0.0]


MODELS = {
    "NMF": NMF(2, init="nndsvd", max_iter=2000, random_state=0),
    "LDA": LatentDirichletAllocation(2, random_state=0),
    "KMeans": KMeans(2, n_init=5, random_state=0),
    "MiniBatchKMeans": MiniBatchKMeans(2, n_init=5, random_state=0),
}


@pytest.mark.parametrize("naming", ["weights", "documents"])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_scikit_learn_pipelines_have_feature_names(model, naming):
    pipeline = make_pipeline(CountVectorizer(), TfidfTransformer(), model).fit(TEXTS * 5)
    found = topic_words(pipeline, X=TEXTS, n_words=2, method=naming)
    assert {frozenset(topic.words) for topic in found} >= {frozenset({"bank", "loan"})}
    assert sorted(topic.usage for topic in found) == pytest.approx([1 / 3, 2 / 3])
    assert "goal" in max(found, key=lambda topic: topic.usage).words
    own = topic_words(pipeline[-1], pipeline[:-1].transform(TEXTS), feature_names=TERMS, n_words=2, method=naming)
    assert found == own


def test_labels_without_predict_are_the_largest_codes():
    X = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    model = NMF(2, init="nndsvd", max_iter=2000, random_state=0).fit(X)
    codes = model.transform(X)
    assert predict_components(model, X).tolist() == [codes[0].argmax(), codes[1].argmax(), -1]
    assert predict_components(Fixed(np.eye(3)).fit(), X).tolist() == [0, 2, -1]


def test_feature_names_of_a_pipeline_with_a_step_without_names():
    nameless = make_pipeline(CountVectorizer(), FunctionTransformer(lambda X: X * 2), NMF(2, random_state=0)).fit(TEXTS)
    assert {t for topic in topic_words(nameless, feature_names=TERMS) for t in topic.words} <= set(TERMS)
    with pytest.raises(ValueError, match="must have a name for each"):
        topic_words(nameless)
    german = topic_words(
        make_pipeline(CountVectorizer(), NMF(2, random_state=0)).fit(TEXTS),
        feature_names=["Bank", "Tor", "Kredit", "Spiel", "Elf"],
    )
    assert {"Tor", "Bank"} <= {t for topic in german for t in topic.words}


def test_a_pipeline_of_one_step_is_its_model():
    pipeline = make_pipeline(KMeans(2, n_init=1, random_state=0)).fit(np.eye(5))
    assert topic_words(pipeline, np.eye(5), feature_names=TERMS) == topic_words(
        pipeline[-1], np.eye(5), feature_names=TERMS
    )


def test_model_fitted_on_a_data_frame_has_feature_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.eye(5)[[0, 0, 1, 1]], columns=TERMS)
    model = KMeans(2, n_init=1, random_state=0).fit(frame)
    assert sorted(topic.words for topic in topic_words(model, X=frame)) == [("bank",), ("goal",)]
    assert sorted(rows.tolist() for rows in representative_documents(model, frame)) == [[0, 1], [2, 3]]


def test_topic_as_text():
    assert str(Topic(3, ("goal", "match"), (0.8, 0.6), 0.125)) == "3 (12.5%): goal, match"
    assert str(Topic(0, (), (), float("nan"))) == "0: (no words)"
    assert str(Topic(1, ("warm",), (1.0,), 1.0, ("cold",), (-0.4,))) == "1 (100.0%): warm | against: cold"


def slow_top_documents(codes, labels, X, n):
    found = []
    for k in range(codes.shape[1]):
        rows = [i for i in range(len(codes)) if labels[i] == k]
        units = {i: X[i] / max(np.linalg.norm(X[i]), 1e-300) for i in rows}
        mean = sum(units.values()) / max(len(rows), 1)
        found.append(sorted(rows, key=lambda i, k=k, u=units, m=mean: (-codes[i, k], -round(u[i] @ m, 6), i))[:n])
    return found


def test_top_documents_equal_slow_loops():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (60, 5)).astype(float)  # few values: many ties
    labels = rng.integers(-1, 3, 60)
    model = FixedLabels([[1, 2, 0, 0, 0], [0, 0, 1, 0, 1], [0, 1, 1, 1, 0], [9, 9, 9, 9, 9]], labels).fit()
    codes = model.transform(X)
    for n in (1, 4, 100):
        found = representative_documents(model, X, n_documents=n)
        assert [rows.tolist() for rows in found] == slow_top_documents(codes, labels, X, n)
    assert found[3].tolist() == []  # wins nothing, though its codes are the largest


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_top_documents_with_codes_that_differ_by_rounding_stand_by_row_number(dtype):
    codes = np.array([[1.0, 0.5], [1.0, 0.5], [2.0, 0.5], [1.0, 0.5]], dtype)
    codes[[1, 3], 0] += np.finfo(dtype).eps * np.array([4, 8])  # as products of equal rows come out of BLAS
    model = Fixed(np.eye(2)).fit()
    assert representative_documents(model, n_documents=4, codes=codes)[0].tolist() == [2, 0, 1, 3]
    found = rank_documents(model, None, 0, codes=codes)
    assert found.rows.tolist() == [2, 0, 1, 3]
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_top_documents_of_scikit_learns_models(model):
    pipeline = make_pipeline(CountVectorizer(), model).fit(TEXTS * 5)
    found = representative_documents(pipeline, TEXTS, n_documents=10)
    assert sorted(sorted(rows.tolist()) for rows in found) == [[0, 1, 2, 5], [3, 4]]
    codes = pipeline.transform(TEXTS)
    strength = -codes if hasattr(model, "n_clusters") else codes  # for KMeans near is good
    for k, rows in enumerate(found):
        assert (np.diff(strength[rows, k]) <= 0).all()


def test_representative_documents_with_equal_codes_are_the_most_central():
    X = sparse.csr_matrix([[1.0, 0, 0, 5], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    model = FixedLabels(np.eye(1, 4), [0, 0, 0, 0]).fit()
    model.transform = lambda X: np.ones((4, 1))
    assert representative_documents(model, X)[0].tolist() == [2, 1, 0]


def test_top_documents_of_sparse_codes():
    model = Fixed(np.eye(3)).fit()
    dense = representative_documents(model, np.diag([3.0, 2.0, 1.0]))

    class SparseCodes(Fixed):
        def transform(self, X):
            return sparse.csr_matrix(X)

        def predict(self, X):
            return np.asarray(X).argmax(axis=1)

    found = representative_documents(SparseCodes(np.eye(3)).fit(), np.diag([3.0, 2.0, 1.0]))
    assert [rows.tolist() for rows in found] == [rows.tolist() for rows in dense] == [[0], [1], [2]]


BAD_TOPICS = {
    "no terms": ({}, "a name for each of the 5 columns"),
    "too few terms": ({"feature_names": TERMS[:4]}, "must have 5 names.*got 4"),
    "documents missing": ({"feature_names": TERMS, "method": "documents"}, "Pass X="),
    "another naming": ({"feature_names": TERMS, "method": "magic"}, "got 'magic'"),
    "no words": ({"feature_names": TERMS, "n_words": 0}, "`n_words` must be an integer >= 1, got 0"),
    "half a word": ({"feature_names": TERMS, "n_words": 2.5}, ">= 1, got 2.5"),
    "no number of words": ({"feature_names": TERMS, "n_words": None}, ">= 1, got None"),
    "true words": ({"feature_names": TERMS, "n_words": True}, ">= 1, got True"),
    "negative documents": ({"feature_names": TERMS, "X": -np.eye(5)}, "method='weights'"),
}


@pytest.mark.parametrize(("given", "message"), BAD_TOPICS.values(), ids=BAD_TOPICS)
def test_topic_words_rejects_invalid_arguments(given, message):
    with pytest.raises(ValueError, match=message):
        topic_words(Fixed(np.ones((2, 5))).fit(), **given)


VOCABULARY = {term: TERMS.index(term) for term in reversed(TERMS)}  # as a vectorizer's: not by column
UNORDERED = {
    "vocabulary": VOCABULARY,
    "keys": VOCABULARY.keys(),
    "set": set(TERMS),
    "string": "abcde",
    "matrix": np.array([TERMS]).T,
    "generator": (term for term in TERMS),
}


@pytest.mark.parametrize("terms", UNORDERED.values(), ids=UNORDERED)
def test_terms_come_in_the_order_of_the_columns(terms):
    model = Fixed(np.eye(2, 5)).fit()
    message = r"names of the columns of .* in their order, got .*. Pass vectorizer.get_feature_names_out\(\)"
    with pytest.raises(TypeError, match=message):
        topic_words(model, feature_names=terms)
    with pytest.raises(TypeError, match=message):
        topic_words(model, feature_names=terms, X=np.eye(5), labels=[0, 1, 0, 1, 0])


@pytest.mark.parametrize("terms", [TERMS, tuple(TERMS), np.array(TERMS), np.array(TERMS, object)])
def test_feature_names_of_any_sequence_type(terms):
    assert topic_words(Fixed(np.eye(2, 5)).fit(), feature_names=terms)[1].words == ("goal",)


def test_negative_documents_can_be_named_by_weights():
    model = PCA(2).fit(np.random.default_rng(0).standard_normal((9, 5)))
    assert len(topic_words(model, -np.eye(5), feature_names=TERMS, method="weights")) == 2


@pytest.mark.parametrize("ask", [topic_words, representative_documents])
def test_unfitted_models_and_models_without_components_are_rejected(ask):
    X = np.eye(5)
    with pytest.raises(NotFittedError):
        ask(NMF(2), X=X)
    with pytest.raises(NotFittedError):
        ask(make_pipeline(CountVectorizer(), NMF(2, random_state=0)), X=TEXTS)
    with pytest.raises(TypeError, match="got StandardScaler"):
        ask(StandardScaler().fit(X), X=X)


def test_representative_documents_rejects_missing_documents():
    for n in (0, 1.5, None, True):
        with pytest.raises(ValueError, match=f"`n_documents` must be an integer >= 1, got {n}"):
            representative_documents(Fixed(np.eye(3)).fit(), np.eye(3), n_documents=n)


def test_components_are_read_from_either_attribute():
    model = KMeans(2, n_init=1, random_state=0).fit(np.eye(3))
    np.testing.assert_array_equal(get_components(model), model.cluster_centers_)
    np.testing.assert_array_equal(get_components(Fixed([[1, 2]]).fit()), [[1, 2]])


def test_labels_from_codes_equal_predict():
    X = np.vstack([CountVectorizer().fit_transform(TEXTS).toarray(), np.zeros((1, 5))])
    model = LatentDirichletAllocation(3, random_state=0).fit(X)
    labels = predict_components(model, X)
    codes = model.transform(X)
    assert codes[-1].tolist() == [codes[-1, 0]] * 3
    assert labels.tolist() == [*codes[:-1].argmax(axis=1), -1]
    assert topic_words(model, X, feature_names=TERMS) == topic_words(model, X, feature_names=TERMS, labels=codes)
    for found, same in zip(
        representative_documents(model, X, n_documents=9),
        representative_documents(model, n_documents=9, codes=codes),
        strict=True,
    ):
        np.testing.assert_array_equal(found, same)


def test_negative_words_equal_a_full_stable_sort(monkeypatch):
    of_topics = sys.modules["codebooks.interpret.topics"]  # the package has a function of this name
    sorted_, largest = [], of_topics.select_largest

    def noted(values, n):
        sorted_.append(values)
        return largest(values, n)

    monkeypatch.setattr(of_topics, "select_largest", noted)
    weights = np.random.default_rng(0).integers(-12, 20, (40, 30)).astype(float)  # many ties
    weights[3] = 0
    terms = [str(j) for j in range(30)]
    for n in (1, 3, 30):
        for row, topic in zip(weights, topic_words(Fixed(weights).fit(), feature_names=terms, n_words=n), strict=True):
            least = 0.1 * np.abs(row).max()
            against = sorted((j for j in range(30) if row[j] < 0 and -row[j] >= least), key=lambda j, r=row: (r[j], j))
            assert topic.negative_words == tuple(map(str, against[:n]))
    assert all((values > 0).all() for values in sorted_)  # the others were not sorted


def test_pipeline_as_feature_names_is_rejected():
    with pytest.raises(TypeError, match=r"columns of the model .* got Pipeline. Pass .*get_feature_names_out\(\)"):
        topic_words(Fixed(np.eye(1, 5)).fit(), feature_names=make_pipeline(CountVectorizer()).fit(TEXTS))


def test_missing_model_has_a_short_error():
    documents = ["goal match team"] * 10_000
    for wrong in (documents, np.zeros((1000, 1000)), KMeans):
        with pytest.raises(TypeError, match="must be a fitted model, got") as caught:
            topic_words(wrong)
        assert len(str(caught.value)) <= 500
