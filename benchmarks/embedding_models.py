"""Models that group the documents of `embedding_topics`: ours, KMeans, and peers."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

from benchmarks.timing import measure_seconds
from codebooks import InhibitedMixture, KrotovHopfield, NeighborSmoothing, PartialWhitening, TopicModel


class EmbeddedCorpus(NamedTuple):
    """A corpus as embeddings and as counts of words."""

    name: str
    embeddings: np.ndarray  # (n_documents, n_dims) float32
    X: sparse.csr_matrix  # tf-idf
    counts: sparse.csr_matrix
    terms: np.ndarray
    labels: np.ndarray
    documents: list[str]
    tokens: sparse.csr_matrix  # which documents contain which words, for the words that models list
    token_names: np.ndarray


class Seconds(NamedTuple):
    """Duration on the clock, and of the processor. The second depends less on other processes of the machine."""

    wall: float
    cpu: float


class Grouping(NamedTuple):
    """The group of each document."""

    labels: np.ndarray
    original: np.ndarray | None = None  # before outliers were assigned, -1 for outliers
    words: list[list[str]] | None = None  # of each topic, as listed by the model
    seconds: Seconds | None = None  # None: the whole group was timed


Group = Callable[[EmbeddedCorpus, int, int], dict[str, Grouping]]  # (corpus, n_groups, seed) -> groupings, by model


# -- models ----------------------------------------------------------------------------------------------------------


def _fit(build: Callable[[int, int], Any], name: str, corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    return {name: Grouping(np.asarray(build(k, seed).fit_predict(corpus.embeddings)))}


def run_topic_model(
    corpus: EmbeddedCorpus, k: int, seed: int, name: str, use_embeddings: bool = True
) -> dict[str, Grouping]:
    """Run `TopicModel` on documents, with `k` topics and with its own number of topics."""
    vectors = dict(zip(corpus.documents, corpus.embeddings, strict=True))
    embedder = (lambda texts: np.stack([vectors[text] for text in texts])) if use_embeddings else None
    groupings = {}
    numbers: tuple[Any, ...] = (k, "auto")
    for model_name, n_topics in zip((name, f"{name}, auto"), numbers, strict=True):
        model = TopicModel(n_topics, embedder=embedder, random_state=seed)
        seconds = measure_duration(partial(model.fit, corpus.documents))
        words = [list(topic.words) for topic in model.topics_]
        groupings[model_name] = Grouping(model.labels_, words=words, seconds=seconds)
    return groupings


def run_bertopic(corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    """Run BERTopic with its own number of topics, then reduced to `k`; only the seed of UMAP is set."""
    from bertopic import BERTopic
    from umap import UMAP

    umap = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", low_memory=False, random_state=seed)
    model = BERTopic(umap_model=umap, embedding_model=None)
    seconds = measure_duration(lambda: model.fit(corpus.documents, corpus.embeddings))
    groupings = {"BERTopic": _assign_outliers(model, corpus, seconds)}
    n_topics = len(model.get_topic_info())  # including the topic of outliers
    if n_topics - model._outliers > k:
        more = measure_duration(lambda: model.reduce_topics(corpus.documents, nr_topics=k + model._outliers))
        seconds = Seconds(*np.add(seconds, more).tolist())
    groupings["BERTopic, reduced to K"] = _assign_outliers(model, corpus, seconds)
    return groupings


def _assign_outliers(model: Any, corpus: EmbeddedCorpus, seconds: Seconds) -> Grouping:
    original = labels = np.asarray(model.topics_)
    if (labels < 0).any():
        labels = model.reduce_outliers(
            corpus.documents, labels.tolist(), strategy="embeddings", embeddings=corpus.embeddings
        )
    words = [[word for word, _ in model.get_topic(id) if word] for id in np.unique(original[original >= 0]).tolist()]
    return Grouping(np.asarray(labels, dtype=np.int64), original, words, seconds)


def measure_duration(work: Callable[[], Any]) -> Seconds:
    """Measure the seconds of one call."""
    cpu = time.process_time()
    wall = measure_seconds(work)
    return Seconds(wall, time.process_time() - cpu)


def run_turftopic(corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    """Run a Gaussian mixture over 20 principal components."""
    from sklearn.decomposition import PCA
    from turftopic import GMM

    model = GMM(k, encoder=_NoEncoder(), dimensionality_reduction=PCA(20, random_state=seed), random_state=seed)
    model.fit_transform(corpus.documents, embeddings=corpus.embeddings)
    return {"turftopic GMM": Grouping(np.asarray(model.labels_))}


class _NoEncoder:
    """Placeholder for the encoder of a model, which is never called because embeddings are given."""

    def encode(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        raise AssertionError("embeddings are given")


def run_evoc(corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    """Run EVoC at its defaults; `k` is not used, because EVoC selects the most stable of its levels."""
    from evoc import EVoC

    original = labels = np.asarray(EVoC(random_state=seed).fit_predict(corpus.embeddings))
    is_outlier = labels < 0
    if is_outlier.any() and not is_outlier.all():
        directions = normalize(corpus.embeddings)
        means = normalize(np.stack([directions[labels == label].mean(axis=0) for label in range(labels.max() + 1)]))
        labels = np.where(is_outlier, (directions @ means.T).argmax(axis=1), labels)
    return {"EVoC": Grouping(np.maximum(labels, 0).astype(np.int64), original)}


def _add_whitening(model: Any) -> Any:
    return make_pipeline(PartialWhitening(), model)


def _add_smoothing(model: Any) -> Any:
    return make_pipeline(PartialWhitening(), NeighborSmoothing(), model)


OURS: dict[str, Group] = {
    "Krotov-Hopfield": partial(
        _fit, lambda k, seed: _add_whitening(KrotovHopfield(k, random_state=seed)), "Krotov-Hopfield"
    ),
    "mixture": partial(_fit, lambda k, seed: _add_whitening(InhibitedMixture(k, random_state=seed)), "mixture"),
    "Krotov-Hopfield, smoothed": partial(
        _fit, lambda k, seed: _add_smoothing(KrotovHopfield(k, random_state=seed)), "Krotov-Hopfield, smoothed"
    ),
    "mixture, smoothed": partial(
        _fit, lambda k, seed: _add_smoothing(InhibitedMixture(k, random_state=seed)), "mixture, smoothed"
    ),
    "TopicModel": partial(run_topic_model, name="TopicModel"),
    "TopicModel, words": partial(run_topic_model, name="TopicModel, words", use_embeddings=False),
}
KMEANS: dict[str, Group] = {
    "KMeans": partial(_fit, lambda k, seed: KMeans(k, n_init=10, random_state=seed), "KMeans"),
    "KMeans after PartialWhitening": partial(
        _fit, lambda k, seed: _add_whitening(KMeans(k, n_init=10, random_state=seed)), "KMeans after PartialWhitening"
    ),
    "KMeans, smoothed": partial(
        _fit, lambda k, seed: _add_smoothing(KMeans(k, n_init=10, random_state=seed)), "KMeans, smoothed"
    ),
}
PEERS: dict[str, Group] = {
    "evoc": run_evoc,
    "bertopic": run_bertopic,
    "turftopic": run_turftopic,
}  # by the package that each needs
