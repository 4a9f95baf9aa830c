"""Quality of topic models: every model at its defaults, on one thread, medians over seeds.

Labels are used for scoring only. NPMI takes whole documents as windows; a pair that never occurs together counts -1
(Bouma). Words are evaluated in two ways:

- "all named alike": a random half of the documents chooses the words of every model from its labels, by
  `codebooks.topic_words(..., method="documents")`. NPMI is computed on that half and on the other half;
- "as a user sees each": the words of each model itself. Those of peers are the ten with the largest
  weights, ours those of `codebooks.topic_words(pipeline, documents)`. All documents took part in the fit, so that there
  is no other half, and NPMI is computed on all of them.

Components without documents have no words in either.
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score

import codebooks
from benchmarks import corpora
from benchmarks.model_fits import Fit, fit_or_load, measure_peak_memory
from benchmarks.models import MODELS, PEERS, RECOMMENDED, is_installed
from benchmarks.report import format_table, read, write
from benchmarks.topic_words import evaluate_words
from codebooks import metrics


class View(NamedTuple):
    """One of the two tables: the way of choosing words and the figures that are compared."""

    title: str
    figures: tuple[str, ...]
    beside: tuple[str, ...] = ()  # shown without comparison


AGREEMENT = ("NMI", "ARI", "purity")
ALIKE = View("all named alike", (*AGREEMENT, "TD", "NPMI other half"), ("NPMI same half",))
OWN = View("as a user sees each", (*AGREEMENT, "own TD", "own NPMI"))
COLUMNS = [
    *("corpus", "K", "model", "NMI", "AMI", "ARI", "purity", "TD", "NPMI same half", "NPMI other half"),
    *("own TD", "own NPMI", "used", "seconds", "memory MB", "passes", "seeds"),
]
TIE = 0.005  # smaller differences are noise of the seeds
SLOW_SECONDS, N_SLOW_SEEDS = 60, 3  # peers that take longer are fitted with fewer seeds
LEGEND = (
    "TD and NPMI: words by documents, chosen on one half; own: the words that a model itself gives, NPMI on all "
    "documents. used: components that win a document. seconds: processor time, one thread. memory: growth during the "
    "fit, of one seed. Medians."
)


def evaluate(fit: Fit, corpus: corpora.Matrix, k: int, seed: int) -> dict[str, float]:
    """Compute all figures of one fit."""
    agreement = metrics.agreement(corpus.labels, fit.labels)
    used = np.unique(fit.labels[fit.labels >= 0])
    words = [fit.words[component] for component in used]  # components without documents are not topics
    return {
        "NMI": agreement.nmi,
        "AMI": float(adjusted_mutual_info_score(corpus.labels, fit.labels)),
        "ARI": agreement.ari,
        "purity": agreement.purity,
        **evaluate_words(fit.labels, corpus.X, corpus.counts, corpus.terms, k, seed),
        "own TD": metrics.topic_diversity(words),
        "own NPMI": metrics.npmi(words, corpus.counts, feature_names=corpus.terms),
        "used": float(len(used)),
        "seconds": fit.cpu_seconds,
        "wall-clock seconds": fit.seconds,
        "passes": fit.passes,
    }


def measure(name: str, corpus: corpora.Matrix, k: int, n_seeds: int) -> dict[str, Any]:
    """Return a row with medians over seeds and the range of each figure."""
    runs: list[dict[str, float]] = []
    for seed in range(n_seeds):
        if name in PEERS and seed >= N_SLOW_SEEDS and runs[0]["seconds"] > SLOW_SECONDS:
            break
        runs.append(evaluate(fit_or_load(name, corpus, k, seed), corpus, k, seed))
    columns = {key: [run[key] for run in runs] for key in runs[0]}
    package = MODELS[name].package
    return {
        "corpus": corpus.name,
        "K": k,
        "labels": corpus.n_labels,
        "model": name,
        **{key: float(np.median(values)) for key, values in columns.items()},
        "memory MB": measure_peak_memory(name, corpus, k),
        "seeds": len(runs),
        "package": f"{package} {version(package)}" if name in PEERS else "",
        "range": {key: [min(values), max(values)] for key, values in columns.items()},
    }


def run(cases: Sequence[tuple[str, int]], models: Iterable[str], n_seeds: int, result: str, command: str) -> None:
    """Measure `models` on cases (corpus, number of components), write and print the rows; keep those of other models.

    Fits of peers are loaded from `results/fits` if they exist; remove the folder to repeat them.
    """
    requested = list(models)
    if unknown := [name for name in requested if name not in MODELS]:
        raise ValueError(f"`models` must be among {', '.join(MODELS)}, got {', '.join(unknown)}.")
    codebooks.warmup()
    missing = [name for name in requested if not is_installed(name)]
    for name in missing:
        print(f"{name} is not installed, its earlier rows are kept: pip install {MODELS[name].package}")
    models = [name for name in requested if name not in missing]
    before = {(row["corpus"], row["K"], row["model"]): row for row in read(result)}
    for name, k in cases:
        corpus = corpora.load(name)
        for model in models:
            before[name, k, model] = row = measure(model, corpus, k, n_seeds)
            print(format_table([row], COLUMNS).splitlines()[-1], flush=True)
        rows = [before[case, n, model] for case, n in cases for model in MODELS if (case, n, model) in before]
        write(result, rows, command)
    print("\n" + format_table(rows, COLUMNS) + "\n\n" + LEGEND)
    for model in models:
        if model not in PEERS:
            print(f"\n{model} less the best of its peers:")
            for view in (ALIKE, OWN):
                print(
                    f"\n{view.title}\n"
                    + format_table(compare_with_peers(rows, view, model), ["corpus", "K", *view.figures])
                )
                print(summarize_cells(rows, view, model))


def compare_with_peers(rows: list[dict[str, Any]], view: View = OWN, model: str = RECOMMENDED) -> list[dict[str, Any]]:
    """Return the difference of `model` and the best peer in each figure, a row for each corpus."""
    cells = []
    for name, k in dict.fromkeys((row["corpus"], row["K"]) for row in rows):
        group = {row["model"]: row for row in rows if (row["corpus"], row["K"]) == (name, k)}
        peers = [group[peer] for peer in PEERS if peer in group]
        if model in group and peers:
            gains = {key: group[model][key] - max(peer[key] for peer in peers) for key in view.figures}
            cells.append({"corpus": name, "K": k, **gains})
    return cells


def summarize_cells(rows: list[dict[str, Any]], view: View = OWN, model: str = RECOMMENDED) -> str:
    """Summarise in how many cells (corpus by figure) `model` is at least the best peer less `TIE`, and its worst cell.

    Corpora of `NEW_FORMS` are not counted.
    """
    rows = [row for row in rows if row["corpus"] not in corpora.NEW_FORMS]
    gains = {
        f"{row['corpus']} {row['K']} {key}": row[key]
        for row in compare_with_peers(rows, view, model)
        for key in view.figures
    }
    if not gains:
        return "no peer to compare with"
    worst = min(gains, key=gains.__getitem__)
    n_level = sum(gain >= -TIE for gain in gains.values())
    peers = [peer for peer in PEERS if any(row["model"] == peer for row in rows)]
    return (
        f"{model}, {view.title}: at least the best of {len(peers)} peers less {TIE} in {n_level} of {len(gains)} cells "
        f"({n_level / len(gains):.0%}); worst cell {worst} {gains[worst]:+.3f}"
    )
