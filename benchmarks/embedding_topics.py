"""Topics on sentence embeddings, against labels and against each other: one encoder for all.

Ours at their defaults after `PartialWhitening`, with and without `NeighborSmoothing`; KMeans on the same embeddings,
and with the same steps before; EVoC, which chooses the number of clusters itself; BERTopic with UMAP and HDBSCAN as it
sets them, and reduced to as many topics; turftopic's Gaussian mixture over principal components, as its manual advises.
Labels are used to score only. Whoever found the groups, they are named in one way, by their documents: what is judged
is which documents stand together. NPMI counts whole documents as windows, a pair that never occurs together as -1.

BERTopic and EVoC leave many documents out. They are given to the topic nearest to them in the embeddings (by BERTopic's
own `reduce_outliers`, by the cosine with the mean of a cluster of EVoC), and their share stands in the table.
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
# (data set, units). The settings of smoothing were chosen on others.
CASES = (("bbc_news", 5), ("search_snippets", 8), ("stackoverflow_titles", 20), ("newsgroups20", 20))
LEGEND = "NPMI, TD: words named by documents for all. Medians over seeds; seconds without encoding."


class EmbeddedCorpus(NamedTuple):
    """A corpus as embeddings, and its words to name groups by."""

    name: str
    embeddings: np.ndarray  # (n_documents, n_dims) float32, as the encoder gives them
    X: sparse.csr_matrix  # tf-idf
    counts: sparse.csr_matrix
    terms: np.ndarray
    labels: np.ndarray
    documents: list[str]


class Grouping(NamedTuple):
    """What a model found: the group of each document, and the share that it left out at first."""

    labels: np.ndarray
    outliers: float = 0.0


Group = Callable[[EmbeddedCorpus, int, int], dict[str, Grouping]]  # (corpus, n_groups, seed) -> groupings, by model


# -- who is compared -------------------------------------------------------------------------------------------------


def _fit(build: Callable[[int, int], Any], name: str, corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    return {name: Grouping(np.asarray(build(k, seed).fit_predict(corpus.embeddings)))}


def run_bertopic(corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    """BERTopic with as many topics as it finds, and with `k`: the same run, reduced. UMAP gets a seed, no more."""
    from bertopic import BERTopic
    from umap import UMAP

    umap = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", low_memory=False, random_state=seed)
    model = BERTopic(umap_model=umap, embedding_model=None)
    model.fit(corpus.documents, corpus.embeddings)
    found = {"BERTopic": _assign_outliers(model, corpus)}
    n_topics = len(model.get_topic_info())  # with that of the outliers
    if n_topics - model._outliers > k:
        model.reduce_topics(corpus.documents, nr_topics=k + model._outliers)
    found["BERTopic, reduced to K"] = _assign_outliers(model, corpus)
    return found


def _assign_outliers(model: Any, corpus: EmbeddedCorpus) -> Grouping:
    labels = np.asarray(model.topics_)
    outliers = float((labels < 0).mean())
    if outliers:
        labels = model.reduce_outliers(corpus.documents, labels, strategy="embeddings", embeddings=corpus.embeddings)
    return Grouping(np.asarray(labels, dtype=np.int64), outliers)


def run_turftopic(corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    """A Gaussian mixture over 20 principal components."""
    from sklearn.decomposition import PCA
    from turftopic import GMM

    model = GMM(k, encoder=_NoEncoder(), dimensionality_reduction=PCA(20, random_state=seed), random_state=seed)
    model.fit_transform(corpus.documents, embeddings=corpus.embeddings)
    return {"turftopic GMM": Grouping(np.asarray(model.labels_))}


class _NoEncoder:
    """Stands where a model wants an encoder, and is never asked: the embeddings are there."""

    def encode(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        raise AssertionError("embeddings are given")


def run_evoc(corpus: EmbeddedCorpus, k: int, seed: int) -> dict[str, Grouping]:
    """EVoC at its defaults; `k` is not used, because it takes the most stable of its levels."""
    from evoc import EVoC

    labels = np.asarray(EVoC(random_state=seed).fit_predict(corpus.embeddings))
    left_out = labels < 0
    if left_out.any() and not left_out.all():
        units = normalize(corpus.embeddings)
        means = normalize(np.stack([units[labels == label].mean(axis=0) for label in range(labels.max() + 1)]))
        labels = np.where(left_out, (units @ means.T).argmax(axis=1), labels)
    return {"EVoC": Grouping(np.maximum(labels, 0).astype(np.int64), float(left_out.mean()))}


def _make_whitened(model: Any) -> Any:
    return make_pipeline(PartialWhitening(), model)


def _make_smoothed(model: Any) -> Any:
    return make_pipeline(PartialWhitening(), NeighborSmoothing(), model)


OURS: dict[str, Group] = {
    "Krotov-Hopfield": partial(
        _fit, lambda k, seed: _make_whitened(KrotovHopfield(k, random_state=seed)), "Krotov-Hopfield"
    ),
    "mixture": partial(_fit, lambda k, seed: _make_whitened(InhibitedMixture(k, random_state=seed)), "mixture"),
    "Krotov-Hopfield, smoothed": partial(
        _fit, lambda k, seed: _make_smoothed(KrotovHopfield(k, random_state=seed)), "Krotov-Hopfield, smoothed"
    ),
    "mixture, smoothed": partial(
        _fit, lambda k, seed: _make_smoothed(InhibitedMixture(k, random_state=seed)), "mixture, smoothed"
    ),
}
KMEANS: dict[str, Group] = {
    "KMeans": partial(_fit, lambda k, seed: KMeans(k, n_init=10, random_state=seed), "KMeans"),
    "KMeans after PartialWhitening": partial(
        _fit, lambda k, seed: _make_whitened(KMeans(k, n_init=10, random_state=seed)), "KMeans after PartialWhitening"
    ),
    "KMeans, smoothed": partial(
        _fit, lambda k, seed: _make_smoothed(KMeans(k, n_init=10, random_state=seed)), "KMeans, smoothed"
    ),
}
PEERS: dict[str, Group] = {
    "evoc": run_evoc,
    "bertopic": run_bertopic,
    "turftopic": run_turftopic,
}  # by the package that each needs
RECOMMENDED = "Krotov-Hopfield, smoothed"
BARS = ("KMeans", "KMeans, smoothed", "EVoC", "BERTopic", "BERTopic, reduced to K", "turftopic GMM")


# -- what is measured ------------------------------------------------------------------------------------------------


def load(name: str, embed: Callable[[str, list[str]], np.ndarray]) -> EmbeddedCorpus:
    """All documents of a data set, embedded, and their words counted as in `corpora`."""
    corpus = load_corpus(name)
    vectorizer = CountVectorizer(dtype=np.float32, **corpora.RAW)
    counts = vectorizer.fit_transform(corpus.documents)
    X = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    labels = np.unique(corpus.labels, return_inverse=True)[1]
    embeddings = embed(name, corpus.documents)
    return EmbeddedCorpus(name, embeddings, X, counts, vectorizer.get_feature_names_out(), labels, corpus.documents)


def evaluate(grouping: Grouping, corpus: EmbeddedCorpus) -> dict[str, float]:
    """Every figure of one grouping."""
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
    """The medians of each model that `group` fits."""
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(n_seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of peers; and the mixture's, that its gates are labels here
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
    """Measure ours, KMeans and the peers that are installed on every corpus, and report; peers on fewer seeds."""
    codebooks.warmup()
    peers = {package: group for package, group in PEERS.items() if find_spec(package)}
    for package in PEERS.keys() - peers.keys():
        print(f"{package} is not installed and stays out: make bench-peers")
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
    """What the recommended learner is ahead in NMI of each that it must beat, corpus by corpus."""
    lines = []
    for name in dict.fromkeys(row["corpus"] for row in rows):
        nmi = {row["model"]: row["NMI"] for row in rows if row["corpus"] == name}
        ahead = [f"{nmi[RECOMMENDED] - nmi[bar]:+.3f} of {bar}" for bar in BARS if bar in nmi]
        lines.append(f"{name}: {RECOMMENDED} NMI {nmi[RECOMMENDED]:.3f}, ahead {', '.join(ahead)}")
    return "\n".join(lines)


def _embed(name: str, documents: list[str]) -> np.ndarray:
    from benchmarks.encoding import embed_texts

    return embed_texts(documents)
