"""Topics on sentence embeddings of one encoder, compared with labels and between models.

Models: ours at their defaults after `PartialWhitening`, with and without `NeighborSmoothing`; KMeans on the embeddings
and after the same steps; EVoC, which selects the number of clusters; BERTopic with its default UMAP and HDBSCAN, and
reduced to K topics; the Gaussian mixture over principal components of turftopic, as its manual recommends. Labels are
used for scoring only. Topic words of all models are chosen by documents, so that only the groups are compared. NPMI
takes whole documents as windows; a pair that never occurs together counts -1.

`TopicModel` and BERTopic, each with its default vectorizer and its own topic words, are fitted on the documents and the
same embeddings. `TopicModel` is also fitted on the words alone. Their seconds are those of `fit`, with the vectorizer
and the description of topics, and of `reduce_topics` where the topics are reduced; functions are compiled before.

Outliers of BERTopic and EVoC are assigned to the nearest topic in the embeddings (by `reduce_outliers` of BERTopic, by
the cosine with the mean of a cluster of EVoC); the table contains their share. "NMI with outliers" and "ARI with
outliers" are those of the labels before, with the outliers as one group.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

import codebooks
from benchmarks import corpora
from benchmarks.corpus_folder import load_corpus
from benchmarks.embedding_models import KMEANS, OURS, PEERS, EmbeddedCorpus, Group, Grouping, measure_duration
from benchmarks.report import format_table, write
from codebooks import TextAnalyzer, metrics

COLUMNS = [
    *("corpus", "model", "NMI", "ARI", "NMI with outliers", "purity", "NPMI", "TD", "NPMI of own words"),
    *("TD of own words", "topics", "outliers", "seconds", "CPU seconds", "seeds"),
]
# (data set, number of components). The settings of smoothing were chosen on other data sets.
CASES = (("bbc_news", 5), ("search_snippets", 8), ("stackoverflow_titles", 20), ("newsgroups20", 20))
LEGEND = "NPMI, TD: words named by documents for all. Medians over seeds; seconds without encoding."
N_DOCUMENTS_OF_WARMUP = 5000  # UMAP has another algorithm for fewer than 4,096
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
    embeddings, terms = embed(name, corpus.documents), vectorizer.get_feature_names_out()
    tokens = count_tokens(corpus.documents)
    return EmbeddedCorpus(name, embeddings, X, counts, terms, labels, corpus.documents, *tokens)


def evaluate(grouping: Grouping, corpus: EmbeddedCorpus) -> dict[str, float]:
    """Compute all figures of one grouping."""
    original = grouping.labels if grouping.original is None else grouping.original
    after, before = (metrics.agreement(corpus.labels, labels) for labels in (grouping.labels, original))
    named = codebooks.cluster_words(grouping.labels, corpus.X, corpus.terms)
    figures = {
        "NMI": after.nmi,
        "ARI": after.ari,
        "purity": after.purity,
        "NMI with outliers": before.nmi,
        "ARI with outliers": before.ari,
        "NPMI": metrics.npmi(named, corpus.counts, feature_names=corpus.terms),
        "TD": metrics.topic_diversity(named),
        "topics": float(len(named)),
        "outliers": float((original < 0).mean()),
    }
    if grouping.words:
        figures["NPMI of own words"] = metrics.npmi(grouping.words, corpus.tokens, feature_names=corpus.token_names)
        figures["TD of own words"] = metrics.topic_diversity(grouping.words)
    return figures


def count_tokens(documents: Sequence[str]) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return which documents contain which tokens of BERTopic or of `TopicModel`, and the tokens."""
    split, analyze = CountVectorizer().build_analyzer(), TextAnalyzer(language=None, stop_words=None)
    vectorizer = CountVectorizer(analyzer=lambda text: {*split(text), *analyze(text)}, binary=True, dtype=np.float32)
    tokens = vectorizer.fit_transform(documents)
    return tokens, vectorizer.get_feature_names_out()


def measure(group: Group, corpus: EmbeddedCorpus, k: int, n_seeds: int) -> Iterator[dict[str, Any]]:
    """Yield the medians of each model that `group` fits."""
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(n_seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of peers, and of the mixture, whose gates are one-hot here
            found: dict[str, Grouping] = {}
            whole = measure_duration(lambda: found.update(group(corpus, k, seed)))  # noqa: B023 - called at once
        for model, grouping in found.items():
            seconds = grouping.seconds or whole
            figures = {**evaluate(grouping, corpus), "seconds": seconds.wall, "CPU seconds": seconds.cpu}
            runs.setdefault(model, []).append(figures)
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
        if not rows:
            for group in peers.values():  # compiles functions
                group(_take_documents(corpus, N_DOCUMENTS_OF_WARMUP), k, 0)
        for group, times in groups + [(group, n_peer_seeds) for group in peers.values()]:
            for row in measure(group, corpus, k, times):
                rows.append(row)
                print(format_table([row], COLUMNS).splitlines()[-1], flush=True)
        write(result, rows, "python -m benchmarks embeddings --part topics", list(peers))
    print("\n" + format_table(rows, COLUMNS) + "\n\n" + LEGEND)
    print(format_verdict(rows))


def format_verdict(rows: Sequence[dict[str, Any]]) -> str:
    """Format the differences of ours and their rivals, two lines for each corpus.

    The first has the differences in NMI of the recommended learner, the second those of `TopicModel` and BERTopic.
    """
    lines = []
    for name in dict.fromkeys(row["corpus"] for row in rows):
        nmi = {row["model"]: row["NMI"] for row in rows if row["corpus"] == name}
        ahead = [f"{nmi[RECOMMENDED] - nmi[bar]:+.3f} of {bar}" for bar in BARS if bar in nmi]
        lines.append(f"{name}: {RECOMMENDED} NMI {nmi[RECOMMENDED]:.3f}, ahead {', '.join(ahead)}")
        found = {row["model"]: row for row in rows if row["corpus"] == name}
        for ours, theirs in (("TopicModel", "BERTopic, reduced to K"), ("TopicModel, auto", "BERTopic")):
            if ours in found and theirs in found:
                a, b = found[ours], found[theirs]
                best = max(b["NMI"], b["NMI with outliers"])
                lines.append(
                    f"{name}: {ours} NMI {a['NMI']:.3f}, {theirs} at most {best:.3f}, with {b['outliers']:.0%} "
                    f"outliers; fit {b['CPU seconds'] / a['CPU seconds']:.1f} times faster"
                )
    return "\n".join(lines)


def _take_documents(corpus: EmbeddedCorpus, n: int) -> EmbeddedCorpus:
    """Return the first `n` documents with their embeddings and labels, repeated if there are fewer."""
    rows = np.resize(np.arange(len(corpus.documents)), n)
    parts = {name: getattr(corpus, name)[rows] for name in ("embeddings", "X", "counts", "labels")}
    return corpus._replace(**parts, documents=[corpus.documents[row] for row in rows])


def _embed(name: str, documents: list[str]) -> np.ndarray:
    from benchmarks.encoding import embed_texts

    return embed_texts(documents)
