"""Topics against labels and against each other: every contender at its defaults, medians over seeds.

Labels are used to score only. NPMI counts whole documents as windows, a pair that never occurs together as -1 (Bouma);
each model's words are named in both ways of `codebooks.topics`, so that like meets like.
"""

import time
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import codebooks
from benchmarks import corpora
from benchmarks.contenders import CONTENDERS, Contender, labels_of, matrix_for
from benchmarks.report import table, write
from codebooks import scores

COLUMNS = ["corpus", "K", "model", "NMI", "ARI", "purity", "TD", "NPMI", "TD*", "NPMI*", "used", "seconds", "passes"]
LEGEND = "TD and NPMI: words by the unit's weights; TD* and NPMI*: words by its documents. Medians of {n} seeds."


def measure(contender: Contender, corpus: corpora.Matrix, k: int, seed: int) -> dict[str, float]:
    """Fit once and take every figure."""
    X = matrix_for(contender, corpus)
    model = contender.build(k, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        model.fit(X)
        seconds = time.perf_counter() - start
    labels = labels_of(model, X)
    agreement = scores.agreement(corpus.labels, labels)
    figures = {"NMI": agreement.nmi, "ARI": agreement.ari, "purity": agreement.purity}
    for mark, naming in (("", "weights"), ("*", "documents")):
        topics = codebooks.topics(model, corpus.terms, X=X, naming=naming)
        figures["TD" + mark] = scores.topic_diversity(topics)
        figures["NPMI" + mark] = scores.npmi(topics, corpus.counts, terms=corpus.terms)
    figures["used"] = float((scores.usage(labels, k) > 0).mean())
    return {**figures, "seconds": seconds, "passes": float(model.n_iter_)}


def run(names: dict[str, int], models: list[str], n_seeds: int, result: str, command: str) -> None:
    """Measure `models` on the corpora `names` (name -> number of units) and report."""
    codebooks.warmup()
    rows: list[dict[str, Any]] = []
    for name, k in names.items():
        corpus = corpora.load(name)
        for model in models:
            runs = [measure(CONTENDERS[model], corpus, k, seed) for seed in range(n_seeds)]
            medians = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
            rows.append({"corpus": name, "K": k, "model": model, **medians})
            print(table(rows[-1:], COLUMNS).splitlines()[-1], flush=True)
    write(result, rows, command)
    print("\n" + table(rows, COLUMNS) + "\n\n" + LEGEND.format(n=n_seeds))
    _compare(rows)


def _compare(rows: list[dict[str, Any]]) -> None:
    """Ours against the better of NMF and KMeans, corpus by corpus."""
    compared = []
    for name in dict.fromkeys(row["corpus"] for row in rows):
        by_model = {row["model"]: row for row in rows if row["corpus"] == name}
        if {"Krotov-Hopfield", "NMF", "KMeans"} <= by_model.keys():
            ours, peers = by_model["Krotov-Hopfield"], [by_model["NMF"], by_model["KMeans"]]
            gains = {key: ours[key] - max(peer[key] for peer in peers) for key in COLUMNS[3:10]}
            compared.append({"corpus": name, **gains})
    if compared:
        means = {key: float(np.mean([row[key] for row in compared])) for key in COLUMNS[3:10]}
        print("\nKrotov-Hopfield less the better of NMF and KMeans:\n")
        print(table([*compared, {"corpus": "mean", **means}], ["corpus", *COLUMNS[3:10]]))
