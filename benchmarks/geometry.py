"""Isotropy of MiniLM embeddings before and after `PartialWhitening`, and its effect on nearest neighbours.

IsoScore and mean cosine of the fitted rows, and 1-nearest-neighbour accuracy by cosine: BANKING77, test rows among
training rows; BBC, each article among all others, on the raw texts and on the lemmas of OCTIS. STS-B: Spearman's
correlation of cosines with human similarity scores, fitted without labels on the distinct sentences of the same part or
of the training part.
"""

import csv
import gzip
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.corpora import get_data_folder
from benchmarks.corpus_folder import load_corpus
from benchmarks.report import format_table, write
from codebooks import PartialWhitening
from codebooks.metrics import average_cosine, isoscore, uniformity
from codebooks.models.cosine import normalize_rows

Embed = Callable[[Sequence[str]], np.ndarray]

RAW, DEFAULTS, STRONGER = "raw", "PartialWhitening()", "PartialWhitening(power=.5)"
MODELS: dict[str, Callable[[], PartialWhitening] | None] = {
    RAW: None,
    DEFAULTS: PartialWhitening,
    STRONGER: lambda: PartialWhitening(power=0.5),
    "whitened": lambda: PartialWhitening(power=1.0, shrinkage=0.0),
    "all but the top 3": lambda: PartialWhitening(power=0.0, n_remove=3),
    "centred": lambda: PartialWhitening(power=0.0),
}
# (smallest multiple of the IsoScore of raw rows, largest loss of accuracy)
BARS = {DEFAULTS: (1.6, 0.0), STRONGER: (2.5, 0.005)}
LARGEST_LOSS_OF_CORRELATION = 0.002


def load_banking77(part: str) -> tuple[list[str], np.ndarray]:
    """Load questions and their intents."""
    with gzip.open(get_data_folder("banking77") / f"{part}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], np.array([row["category"] for row in rows])


def load_sts(part: str) -> tuple[list[str], list[str], np.ndarray]:
    """Load first sentences, second sentences and human similarity scores."""
    with gzip.open(get_data_folder("stsb_en") / f"stsb-en-{part}.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        first, second, similarity = zip(*csv.reader(lines), strict=True)
    return list(first), list(second), np.array(similarity, dtype=float)


def find_nearest(queries: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Return the row with the largest cosine for each query; without rows, the nearest other query."""
    cosines = normalize_rows(queries) @ normalize_rows(queries if rows is None else rows).T
    if rows is None:
        np.fill_diagonal(cosines, -np.inf)
    return cosines.argmax(axis=1)


def measure_spread(
    data: str, X: np.ndarray, y: np.ndarray, queries: np.ndarray | None = None, wanted: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Return a result for each model: isotropy of the rows and accuracy of nearest neighbours (of queries if given)."""
    rows = []
    for name, make in MODELS.items():
        model = make().fit(X) if make else None
        Z, Q = (part if model is None or part is None else model.transform(part) for part in (X, queries))
        predicted = y[find_nearest(Z)] if Q is None else y[find_nearest(Q, Z)]
        measures = {"IsoScore": isoscore(Z), "mean cosine": average_cosine(Z), "uniformity": uniformity(Z)}
        accuracy = float((predicted == (y if wanted is None else wanted)).mean())
        rows.append({"data": data, "model": name, **measures, "accuracy@1": accuracy})
    for row in rows:
        row["times raw"] = row["IsoScore"] / rows[0]["IsoScore"]
        if row["model"] in BARS:
            times, loss = BARS[row["model"]]
            wanted_of = {"IsoScore": times * rows[0]["IsoScore"], "accuracy@1": rows[0]["accuracy@1"] - loss}
            missed = [measure for measure, bar in wanted_of.items() if row[measure] < bar]
            row["bar"] = f"missed by {' and '.join(missed)}" if missed else "met"
    return rows


def measure_correlation(
    data: str, A: np.ndarray, B: np.ndarray, similarity: np.ndarray, fitted: np.ndarray, on: str
) -> list[dict]:
    """Return a result for each model: Spearman's correlation of cosines with human similarity scores."""
    rows: list[dict[str, Any]] = []
    for name, make in MODELS.items():
        model = make().fit(fitted) if make else None
        sides = (normalize_rows(side if model is None else model.transform(side)) for side in (A, B))
        cosines = np.einsum("ij,ij->i", *sides)
        rows.append(
            {"data": data, "fitted on": on, "model": name, "Spearman": float(spearmanr(cosines, similarity)[0])}
        )
    for row in rows:
        if row["model"] == DEFAULTS:
            is_met = row["Spearman"] >= rows[0]["Spearman"] - LARGEST_LOSS_OF_CORRELATION
            row["bar"] = "met" if is_met else "missed"
    return rows


def measure_spaces(embed: Embed) -> list[dict[str, Any]]:
    """Measure isotropy and accuracy on BANKING77 and BBC."""
    (texts, intents), (test_texts, wanted) = load_banking77("train"), load_banking77("test")
    rows = measure_spread("banking77", embed(texts), intents, embed(test_texts), wanted)
    for name in ("bbc_news", "octis_bbc_news"):
        corpus = load_corpus(name)
        rows += measure_spread(name, embed(corpus.documents), np.asarray(corpus.labels))
    return rows


def measure_correlations(embed: Embed) -> list[dict[str, Any]]:
    """Measure correlations on the dev and test parts of STS-B."""
    rows = []
    training = embed(_list_distinct(*load_sts("train")[:2]))
    for part in ("dev", "test"):
        first, second, similarity = load_sts(part)
        A, B, own = embed(first), embed(second), embed(_list_distinct(first, second))
        for fitted, on in ((own, "its own sentences"), (training, "training sentences")):
            rows += measure_correlation(f"stsb_en {part}", A, B, similarity, fitted, on)
    return rows


def run(embed: Embed | None = None) -> None:
    """Write results/embeddings-geometry.json and print the tables."""
    if embed is None:
        from benchmarks.encoding import embed_texts as embed
    rows = []
    for part in (measure_spaces(embed), measure_correlations(embed)):
        print(format_table(part, list(dict.fromkeys(column for row in part for column in row))), flush=True)
        rows += part
    write("embeddings-geometry", rows, "python -m benchmarks embeddings --part geometry")


def _list_distinct(*texts: Sequence[str]) -> list[str]:
    return sorted({text for side in texts for text in side})
