"""Topics on sentence embeddings of one encoder, compared with labels and between models.

Models: ours at their defaults after `PartialWhitening`, with and without `NeighborSmoothing`; KMeans on the embeddings
and after the same steps; EVoC, which selects the number of clusters; BERTopic with its default UMAP and HDBSCAN, and
reduced to K topics; the Gaussian mixture over principal components of turftopic, as its manual recommends. Labels are
used for scoring only. Topic words of all models are chosen by documents, so that only the groups are compared. NPMI
takes whole documents as windows; a pair that never occurs together counts -1.

Outliers of BERTopic and EVoC are assigned to the nearest topic in the embeddings (by `reduce_outliers` of BERTopic, by
the cosine with the mean of a cluster of EVoC); the table contains their share.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

import codebooks
from benchmarks import corpora
from benchmarks.corpus_folder import load_corpus
from benchmarks.report import format_table, write
from codebooks import InhibitedMixture, KrotovHopfield, NeighborSmoothing, PartialWhitening, metrics

COLUMNS = ["corpus", "model", "NMI", "ARI", "purity", "NPMI", "TD", "topics", "outliers", "seconds", "seeds"]
# (data set, number of components). The settings of smoothing were chosen on other data sets.
CASES = (("bbc_news", 5), ("search_snippets", 8), ("stackoverflow_titles", 20), ("newsgroups20", 20))
LEGEND = "NPMI, TD: words named by documents for all. Medians over seeds; seconds without encoding."


class EmbeddedCorpus(NamedTuple):
    """A corpus as embeddings and as counts of words."""

    name: str
    embeddings: np.ndarray  # (n_documents, n_dims) float32
    X: sparse.csr_matrix  # tf-idf
    counts: sparse.csr_matrix
    terms: np.ndarray
    labels: np.ndarray
    documents: list[str]


class Grouping(NamedTuple):
    """The group of each document, and the share of outliers before they were assigned."""

    labels: np.ndarray
    outliers: float = 0.0


Group = Callable[[EmbeddedCorpus, int, int], dict[str, Grouping]]  # (corpus, n_groups, seed) -> groupings, by model


# -- models ----------------------------------------------------------------------------------------------------------


def _fit(build: Callable[[int, int], Any], name: str, corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    return {name: Grouping(np.asarray(build(k, seed).fit_predict(corpus.embeddings)))}


def run_bertopic(corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    """Run BERTopic with its own number of topics, then reduced to `k`; only the seed of UMAP is set."""
    from bertopic import BERTopic
    from umap import UMAP

    umap = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", low_memory=False, random_state=seed)
    model = BERTopic(umap_model=umap, embedding_model=None)
    model.fit(corpus.documents, corpus.embeddings)
    groupings = {"BERTopic": _assign_outliers(model, corpus)}
    n_topics = len(model.get_topic_info())  # including the topic of outliers
    if n_topics - model._outliers > k:
        model.reduce_topics(corpus.documents, nr_topics=k + model._outliers)
    groupings["BERTopic, reduced to K"] = _assign_outliers(model, corpus)
    return groupings


def _assign_outliers(model: Any, corpus: EmbeddedCorpus) -> Grouping:
    labels = np.asarray(model.topics_)
    outliers = float((labels < 0).mean())
    if outliers:
        labels = model.reduce_outliers(corpus.documents, labels, strategy="embeddings", embeddings=corpus.embeddings)
    return Grouping(np.asarray(labels, dtype=np.int64), outliers)


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

    labels = np.asarray(EVoC(random_state=seed).fit_predict(corpus.embeddings))
    is_outlier = labels < 0
    if is_outlier.any() and not is_outlier.all():
        directions = normalize(corpus.embeddings)
        means = normalize(np.stack([directions[labels == label].mean(axis=0) for label in range(labels.max() + 1)]))
        labels = np.where(is_outlier, (directions @ means.T).argmax(axis=1), labels)
    return {"EVoC": Grouping(np.maximum(labels, 0).astype(np.int64), float(is_outlier.mean()))}


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
RECOMMENDED = "Krotov-Hopfield, smoothed"
BARS = ("KMeans", "KMeans, smoothed", "EVoC", "BERTopic", "BERTopic, reduced to K", "turftopic GMM")


# -- measurements ----------------------------------------------------------------------------------------------------


def load(name: str, embed: Callable[[str, list[str]], np.ndarray]) -> EmbeddedCorpus:
    """Load a data set with embeddings and with counts of words as in `corpora`."""
    corpus = load_corpus(name)
    vectorizer = CountVectorizer(dtype=np.float32, **corpora.RAW)
    counts = vectorizer.fit_transform(corpus.documents)
    X = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    labels = np.unique(corpus.labels, return_inverse=True)[1]
    embeddings = embed(name, corpus.documents)
    return EmbeddedCorpus(name, embeddings, X, counts, vectorizer.get_feature_names_out(), labels, corpus.documents)


def evaluate(grouping: Grouping, corpus: EmbeddedCorpus) -> dict[str, float]:
    """Compute all figures of one grouping."""
    agreement = metrics.agreement(corpus.labels, grouping.labels)
    named = codebooks.cluster_words(grouping.labels, corpus.X, corpus.terms)
    return {
        "NMI": agreement.nmi,
        "ARI": agreement.ari,
        "purity": agreement.purity,
        "NPMI": metrics.npmi(named, corpus.counts, feature_names=corpus.terms),
        "TD": metrics.topic_diversity(named),
        "topics": float(len(named)),
        "outliers": grouping.outliers,
    }


def measure(group: Group, corpus: EmbeddedCorpus, k: int, n_seeds: int) -> Iterator[dict[str, Any]]:
    """Yield the medians of each model that `group` fits."""
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(n_seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of peers, and of the mixture, whose gates are one-hot here
            start = time.perf_counter()
            found = group(corpus, k, seed)
            seconds = time.perf_counter() - start
        for model, grouping in found.items():
            runs.setdefault(model, []).append({**evaluate(grouping, corpus), "seconds": seconds})
    for model, measured in runs.items():
        medians = {key: float(np.median([run[key] for run in measured])) for key in measured[0]}
        yield {"corpus": corpus.name, "K": k, "model": model, **medians, "seeds": n_seeds}


def run(
    embed: Callable[[str, list[str]], np.ndarray] | None = None,
    cases: Sequence[tuple[str, int]] = CASES,
    n_seeds: int = 5,
    n_peer_seeds: int = 1,
    result: str = "embeddings-topics",
) -> None:
    """Measure ours, KMeans and installed peers on every corpus and write results; peers use fewer seeds."""
    codebooks.warmup()
    peers = {package: group for package, group in PEERS.items() if find_spec(package)}
    for package in PEERS.keys() - peers.keys():
        print(f"{package} is not installed: make bench-peers")
    rows: list[dict[str, Any]] = []
    for name, k in cases:
        corpus = load(name, embed or _embed)
        groups = [(group, n_seeds) for group in (OURS | KMEANS).values()]
        for group, times in groups + [(group, n_peer_seeds) for group in peers.values()]:
            for row in measure(group, corpus, k, times):
                rows.append(row)
                print(format_table([row], COLUMNS).splitlines()[-1], flush=True)
        write(result, rows, "python -m benchmarks embeddings --part topics", list(peers))
    print("\n" + format_table(rows, COLUMNS) + "\n\n" + LEGEND)
    print(format_verdict(rows))


def format_verdict(rows: Sequence[dict[str, Any]]) -> str:
    """Format the difference in NMI of the recommended learner and each of its rivals, a line for each corpus."""
    lines = []
    for name in dict.fromkeys(row["corpus"] for row in rows):
        nmi = {row["model"]: row["NMI"] for row in rows if row["corpus"] == name}
        ahead = [f"{nmi[RECOMMENDED] - nmi[bar]:+.3f} of {bar}" for bar in BARS if bar in nmi]
        lines.append(f"{name}: {RECOMMENDED} NMI {nmi[RECOMMENDED]:.3f}, ahead {', '.join(ahead)}")
    return "\n".join(lines)


def _embed(name: str, documents: list[str]) -> np.ndarray:
    from benchmarks.encoding import embed_texts

    return embed_texts(documents)
