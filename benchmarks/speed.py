"""How fast: fit times against scikit-learn, an epoch against one sparse product, coherence, import and compilation.

Everything that is compared runs in one process, turn by turn, and medians are given; compile time stands apart.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info

import codebooks
from benchmarks import corpora
from benchmarks.clock import seconds
from benchmarks.contenders import CONTENDERS, OURS, RECOMMENDED, matrix_for
from benchmarks.report import table, write
from codebooks import KrotovHopfield, scores

# With $CODEBOOKS_DATA the corpora that the README reports; without it the one that everybody has.
HAS_DATA = bool(os.environ.get("CODEBOOKS_DATA"))
CORPUS, COHERENCE_CORPUS = ("newsgroups", "bbc") if HAS_DATA else ("docstrings", "docstrings")
UNITS = (20, 50)
EPOCH_UNITS = 100
REPEATS = {"Krotov-Hopfield": 5, "mixture": 5, "OSC": 5, "NMF": 3, "MiniBatchNMF": 3, "KMeans": 3, "LDA": 1}


def fit_times(corpus: corpora.Matrix) -> list[dict[str, Any]]:
    """Seconds to fit each contender, and how many times longer than ours that is."""
    rows = []
    for k in UNITS:
        taken = {}
        for name, repeats in REPEATS.items():
            X = matrix_for(CONTENDERS[name], corpus)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fits = [CONTENDERS[name].build(k, seed) for seed in range(repeats)]
                taken[name] = median(seconds(lambda fit=fit, X=X: fit.fit(X)) for fit in fits)
            ratio = taken[name] / taken["Krotov-Hopfield"]
            rows.append({"what": f"fit, K={k}", "model": name, "seconds": taken[name], "times ours": ratio})
            print(table(rows[-1:], ["what", "model", "seconds", "times ours"]).splitlines()[-1], flush=True)
    return rows


def fits_against_kmeans(repeats: int = 5) -> list[dict[str, Any]]:
    """Fit times of the recommended model over those of KMeans, on every corpus that is reported, turn by turn."""
    rows = []
    for name, k in corpora.REPORT if HAS_DATA else corpora.OFFLINE:
        X = corpora.load(name).X
        taken = []
        for seed in range(repeats):
            pair = [CONTENDERS[who].build(k, seed) for who in (RECOMMENDED, "KMeans")]
            taken.append([seconds(partial(model.fit, X)) for model in pair])
        ours, theirs = (median(column) for column in zip(*taken, strict=True))
        what = f"fit over KMeans, {name}, K={k}"
        rows.append({"what": what, "model": RECOMMENDED, "seconds": ours, "ratio": ours / theirs})
    return rows


def epoch_against_product(
    corpus: corpora.Matrix, name: str, *, warm: bool = False, n_rounds: int = 25
) -> dict[str, Any]:
    """One epoch, everything included, over one product of the same shapes by SciPy; rounds in turn.

    The epoch is one after all schedules have ended; `warm`, the first.
    """
    X, k = corpus.X, EPOCH_UNITS
    features_first = np.random.default_rng(0).random((X.shape[1], k), dtype=np.float32)
    model, rng = OURS[name].build(k, 0).set_params(revive=False), np.random.RandomState(0)
    state, *_ = model._pass(X, None, 0, rng)
    state = state._replace(n_updates=0 if warm else 10_000)
    rounds = []
    for _ in range(n_rounds):
        product = median(seconds(lambda: X @ features_first) for _ in range(5))
        rounds.append((median(seconds(lambda: model._pass(X, state, 1, rng)) for _ in range(5)), product))
    epoch, product = (median(column) for column in zip(*rounds, strict=True))
    return {
        "what": f"{'first ' if warm else ''}epoch, K={k}, over one SciPy product",
        "model": name,
        "seconds": epoch,
        "product seconds": product,
        "ratio": median(a / b for a, b in rounds),
    }


def coherence(n_topics: int = 20, repeats: int = 7) -> dict[str, Any]:
    """NPMI of all topics of a corpus."""
    corpus = corpora.load(COHERENCE_CORPUS)
    topics = codebooks.topics(KrotovHopfield(n_topics, random_state=0).fit(corpus.X), corpus.terms)
    taken = [seconds(lambda: scores.npmi(topics, corpus.counts, terms=corpus.terms)) for _ in range(repeats)]
    return {"what": f"NPMI of {n_topics} topics, {COHERENCE_CORPUS}", "seconds": median(taken)}


def in_fresh_process(code: str, repeats: int, **environment: str) -> float:
    """Median of what `code` prints, in seconds, over fresh interpreters."""
    environment = {**os.environ, **environment}
    runs = (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        for _ in range(repeats)
    )
    return median(float(run.stdout) for run in runs)


def start_up() -> list[dict[str, Any]]:
    """Import beyond scikit-learn's own, and compilation with an empty cache and with a full one."""
    clock = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
    after = "import sklearn.decomposition; " + clock.format("import codebooks")
    warm = "import codebooks, numba; " + clock.format("codebooks.warmup()")
    with tempfile.TemporaryDirectory() as folder:
        empty = in_fresh_process(warm, 1, NUMBA_CACHE_DIR=folder)
        full = in_fresh_process(warm, 3, NUMBA_CACHE_DIR=folder)
        # As where a package is installed, whose bytecode is there; this shell may forbid to write any.
        installed = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        in_fresh_process(after, 1, **installed)
        imported = in_fresh_process(after, 5, **installed)
    return [
        {"what": "import codebooks after sklearn.decomposition", "seconds": imported},
        {"what": "warmup, empty cache", "seconds": empty},
        {"what": "warmup, full cache", "seconds": full},
    ]


def run() -> None:
    codebooks.warmup()
    corpus = corpora.load(CORPUS)
    print(f"{CORPUS}: {corpus.X.shape[0]} documents, {corpus.X.shape[1]} terms, {corpus.X.nnz} non-zeros, CSR float32")
    blas = ", ".join(f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpool_info())
    print(f"threads: ours {os.environ.get('NUMBA_NUM_THREADS', os.cpu_count())}; {blas}; SciPy's product 1\n")
    rows = fit_times(corpus)
    rows += fits_against_kmeans()
    rows += [epoch_against_product(corpus, name) for name in OURS]
    rows += [epoch_against_product(corpus, RECOMMENDED, warm=True), coherence(), *start_up()]
    write("speed" if HAS_DATA else "speed-offline", rows, "python -m benchmarks speed")
    print("\n" + table(rows, ["what", "model", "seconds", "times ours", "product seconds", "ratio"]))
