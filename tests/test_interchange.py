"""Our learners inside other packages: the calls that BERTopic and topicwizard make, in the order they make them.

The packages themselves are not installed here. `BERTopicCalls` follows BERTopic 0.17 (`_reduce_dimensionality`,
`_cluster_embeddings`, `transform`, `partial_fit`), `TopicwizardCalls` topicwizard 1.1 (`TopicPipeline`, `TopicData`).
"""

import copy
import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

from codebooks import InhibitedMixture, KrotovHopfield, OrthogonalSparseCoding, PartialWhitening, topic_words

# The groups lie far apart, and the mixture says so.
pytestmark = pytest.mark.filterwarnings("ignore:The gates give nearly all rows")

LEARNERS = {
    "KrotovHopfield": KrotovHopfield(4, random_state=0),
    "OrthogonalSparseCoding": OrthogonalSparseCoding(4, random_state=0),
    "InhibitedMixture": InhibitedMixture(4, random_state=0),
}
WORDS = ["goal", "loan", "soup", "vote"]


@pytest.fixture(params=LEARNERS)
def learner(request):
    return copy.deepcopy(LEARNERS[request.param])


@pytest.fixture(scope="module")
def groups():
    return np.repeat(np.arange(4), 25)


@pytest.fixture(scope="module")
def embeddings(groups):
    """Four groups in a narrow cone."""
    rng = np.random.default_rng(0)
    centers = 2 + rng.standard_normal((4, 24))
    return (centers[groups] + 0.2 * rng.standard_normal((100, 24))).astype(np.float32)


class BERTopicCalls:
    """What BERTopic asks of the models that it is given, and nothing else of BERTopic."""

    def __init__(self, umap_model, hdbscan_model):
        self.umap_model, self.hdbscan_model = umap_model, hdbscan_model

    def fit_transform(self, embeddings, y=None):
        self.labels = list(self._cluster(self._reduce(embeddings, y), y))
        return self.labels

    def transform(self, embeddings):
        reduced = self.umap_model.transform(embeddings)
        known = set(self.labels)
        return [label if label in known else -1 for label in self.hdbscan_model.predict(reduced)]

    def partial_fit(self, embeddings):
        if hasattr(self.umap_model, "partial_fit"):
            self.umap_model = self.umap_model.partial_fit(embeddings)
        else:
            self.umap_model.fit_transform(embeddings)
        reduced = np.nan_to_num(self.umap_model.transform(embeddings))
        assert hasattr(self.hdbscan_model, "partial_fit")
        self.hdbscan_model = self.hdbscan_model.partial_fit(reduced)
        self.labels = list(self.hdbscan_model.labels_)
        return self

    def _reduce(self, embeddings, y):
        y = None if y is None else np.array(y)
        if hasattr(self.umap_model, "fit_transform"):
            reduced = self.umap_model.fit_transform(embeddings, y=y)
        else:
            self.umap_model.fit(embeddings, y=y)
            reduced = self.umap_model.transform(embeddings)
        return np.nan_to_num(reduced)

    def _cluster(self, reduced, y):
        try:
            self.hdbscan_model.fit(reduced, y=y)
        except TypeError:
            self.hdbscan_model.fit(reduced)
        assert not hasattr(self.hdbscan_model, "probabilities_")  # which would be read in HDBSCAN's sense
        assert "hdbscan" not in str(type(self.hdbscan_model)).lower()  # which would be called in HDBSCAN's ways
        return self.hdbscan_model.labels_


@pytest.mark.parametrize("y", [None, list(range(100))], ids=["no targets", "targets"])
def test_a_learner_in_the_place_of_hdbscan(learner, embeddings, groups, y):
    model = BERTopicCalls(PartialWhitening(), learner)
    assert adjusted_rand_score(groups, model.fit_transform(embeddings, y)) == 1
    assert model.transform(embeddings[::5]) == model.labels[::5]
    assert all(isinstance(label, int | np.integer) for label in model.labels)


def test_a_learner_in_the_place_of_umap(learner, embeddings, groups):
    """Its codes are the reduced space. They are read as they are: nothing is centred behind the user's back."""
    model = BERTopicCalls(make_pipeline(PartialWhitening(), learner), KrotovHopfield(4, random_state=1))
    assert adjusted_rand_score(groups, model.fit_transform(embeddings)) == 1
    reduced = model.umap_model.transform(embeddings)
    assert isinstance(reduced, np.ndarray)
    assert reduced.shape == (100, 4)
    assert model.transform(embeddings[:7]) == model.labels[:7]


def test_learning_block_by_block(learner, embeddings, groups):
    """`partial_fit` on one block after another, as `BERTopic.partial_fit` calls it."""
    order = np.random.default_rng(0).permutation(100)
    model = BERTopicCalls(PartialWhitening().fit(embeddings), learner)
    for _ in range(10):
        for rows in np.array_split(order, 2):
            model.partial_fit(embeddings[rows])
            assert len(model.labels) == 50
    assert adjusted_rand_score(groups, model.transform(embeddings)) > 0.6


def test_models_travel_as_bertopic_saves_them(learner, embeddings):
    model = BERTopicCalls(PartialWhitening(), learner)
    labels = model.fit_transform(embeddings)
    for travelled in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert travelled.transform(embeddings) == labels


class TopicwizardCalls:
    """What topicwizard reads of a Pipeline."""

    def __init__(self, pipeline):
        self.vectorizer, self.model = pipeline.steps[0][1], pipeline.steps[-1][1]
        assert hasattr(self.model, "transform")
        assert hasattr(self.vectorizer, "get_feature_names_out")
        assert hasattr(self.model, "components_")

    def topic_data(self, corpus):
        document_term = self.vectorizer.transform(corpus)
        document_topic = np.asarray(self.model.transform(document_term))
        return {
            "document_term_matrix": document_term,
            "document_topic_matrix": document_topic,
            "topic_term_matrix": self.model.components_,
            "vocab": self.vectorizer.get_feature_names_out(),
            "topic_names": self.names(),
        }

    def names(self, n=4):
        vocabulary, names = self.vectorizer.get_feature_names_out(), []
        for k, component in enumerate(self.model.components_):
            names.append(f"{k}_{'_'.join(vocabulary[np.argpartition(-component, n)[:n]])}")
        return names


def test_topicwizard_reads_components(learner):
    corpus = [f"{word} {word}s {word}ed {word}ing" for word in WORDS for _ in range(5)]
    pipeline = make_pipeline(CountVectorizer(), learner).fit(corpus)
    data = TopicwizardCalls(pipeline).topic_data(corpus)
    assert data["topic_term_matrix"].shape == (4, 16)
    assert data["document_topic_matrix"].shape == (20, 4)
    assert np.isfinite(data["topic_term_matrix"]).all()
    own = topic_words(pipeline, n_words=4)
    for name, topic in zip(data["topic_names"], own, strict=True):
        assert set(name.split("_")[1:]) == set(topic.words)


def test_pca_and_a_learner_in_the_places_that_bertopic_documents(learner, embeddings, groups):
    model = BERTopicCalls(PCA(5, random_state=0), learner)  # PCA centres
    assert adjusted_rand_score(groups, model.fit_transform(embeddings)) == 1
