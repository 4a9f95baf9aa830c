"""Topics against labels and against each other: every contender at its defaults, medians over seeds.

Labels are used to score only. NPMI counts whole documents as windows, a pair that never occurs together as -1 (Bouma);
each model's words are named in both ways of `codebooks.topics`, so that like meets like.
"""

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import codebooks
from benchmarks import corpora
from benchmarks.contenders import CONTENDERS, PEERS, RECOMMENDED, Contender, labels_of, matrix_for
from benchmarks.report import read, table, write
from codebooks import scores

COLUMNS = ["corpus", "K", "model", "NMI", "ARI", "purity", "TD", "NPMI", "TD*", "NPMI*", "used", "seconds", "passes"]
FIGURES = ["NMI", "ARI", "purity", "TD*", "NPMI*"]  # words named as the library recommends, for every model alike
TIE = 0.005  # medians of few seeds do not tell less apart
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


def run(cases: Sequence[tuple[str, int]], models: list[str], n_seeds: int, result: str, command: str) -> None:
    """Measure `models` on the corpora of `cases`, (name, number of units), and report; keep other models' results."""
    codebooks.warmup()
    before = {(row["corpus"], row["K"], row["model"]): row for row in read(result)}
    rows: list[dict[str, Any]] = []
    for name, k in cases:
        corpus = corpora.load(name)
        for model in CONTENDERS:
            if model not in models:
                rows += [before[name, k, model]] if (name, k, model) in before else []
                continue
            runs = [measure(CONTENDERS[model], corpus, k, seed) for seed in range(n_seeds)]
            medians = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
            rows.append({"corpus": name, "K": k, "labels": corpus.n_labels, "model": model, **medians})
            print(table(rows[-1:], COLUMNS).splitlines()[-1], flush=True)
    write(result, rows, command)
    print("\n" + table(rows, COLUMNS) + "\n\n" + LEGEND.format(n=n_seeds))
    known = {row["model"] for row in rows}
    for model in models:
        if model not in PEERS and set(PEERS) & known:
            print(f"\n{model} less the best of its peers, and cells not behind:\n")
            print(table(compared(rows, model), ["corpus", "K", *FIGURES, "seconds"]))
            print(summary(rows, model))


def compared(rows: list[dict[str, Any]], model: str = RECOMMENDED) -> list[dict[str, Any]]:
    """What `model` is ahead of the best peer, corpus by corpus; seconds as a multiple of KMeans' where it was run."""
    result = []
    for name, k in dict.fromkeys((row["corpus"], row["K"]) for row in rows):
        group = {row["model"]: row for row in rows if (row["corpus"], row["K"]) == (name, k)}
        peers = [group[peer] for peer in PEERS if peer in group]
        gains = {key: group[model][key] - max(peer[key] for peer in peers) for key in FIGURES}
        seconds = {"seconds": group[model]["seconds"] / group["KMeans"]["seconds"]} if "KMeans" in group else {}
        result.append({"corpus": name, "K": k, **gains, **seconds})
    return result


def summary(rows: list[dict[str, Any]], model: str = RECOMMENDED) -> str:
    """In how many cells, corpus by figure, `model` is not behind the best peer, and in how many not behind NMF."""
    gains = [row[key] for row in compared(rows, model) for key in FIGURES]
    text = f"not behind the best peer in {sum(gain >= -TIE for gain in gains)} of {len(gains)} cells"
    nmf = [row for row in rows if row["model"] in (model, "NMF")]
    if any(row["model"] == "NMF" for row in nmf):
        gains = [row[key] for row in compared(nmf, model) for key in FIGURES]
        text += f", not behind NMF in {sum(gain >= -TIE for gain in gains)}"
    return f"{text} (a tie is {TIE})"
