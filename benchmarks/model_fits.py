"""Fits of all models on one thread. Fits of peers are cached in `results/fits` as labels and words."""

import ctypes
import gc
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba.core import config
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import codebooks
from benchmarks import report
from benchmarks.corpora import Matrix
from benchmarks.memory import read_resident_set
from benchmarks.models import MODELS, PEERS, get_labels, select_matrix

N_WORDS = 10
N_WARM_UP_ROWS = 300


class Fit(NamedTuple):
    """Labels and words of one fitted model.

    Attributes
    ----------
    labels : ndarray of shape (n_documents,)
        The component of each document, -1 for none.
    words : list of list of int
        Columns of the words of each component, as a user of the model sees them.
    seconds : float
        Wall-clock time of the fit alone, on one thread; tokens and matrices are ready.
    cpu_seconds : float
        Processor time of the same.
    passes : float
        Number of passes over the documents.
    """

    labels: np.ndarray
    words: list[list[int]]
    seconds: float
    cpu_seconds: float
    passes: float


@contextmanager
def limit_to_one_thread() -> Iterator[None]:
    """Limit BLAS, OpenMP and the kernels of this library to one thread."""
    allowed = config.NUMBA_NUM_THREADS
    config.NUMBA_NUM_THREADS = 1
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        config.NUMBA_NUM_THREADS = allowed


def prepare(model: Any, X: Any) -> Callable[[], Any]:
    """Return a function that fits `model`; tokenisation is done before."""
    return partial(model.train, model.tokenize(X)) if hasattr(model, "train") else partial(model.fit, X)


def fit(name: str, corpus: Matrix, k: int, seed: int) -> Fit:
    """Fit one model and measure the time."""
    model, X = MODELS[name].build(k, seed), select_matrix(MODELS[name], corpus)
    train = prepare(model, X)
    with warnings.catch_warnings(), limit_to_one_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", ".*components? wins? no sample")  # the column "used" reports it
        start, cpu_start = time.perf_counter(), time.process_time()
        train()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    own = {"method": "weights"} if name in PEERS else {"X": X}  # ours as `topic_words(pipeline, documents)` does
    named = codebooks.topic_words(model, feature_names=corpus.terms, n_words=N_WORDS, **own)
    column = {term: i for i, term in enumerate(corpus.terms)}
    words = [[column[term] for term in topic.words] for topic in named]
    return Fit(get_labels(model, X), words, seconds, cpu_seconds, float(model.n_iter_))


def fit_or_load(name: str, corpus: Matrix, k: int, seed: int) -> Fit:
    """Fit a model, or load the cached fit of a peer."""
    if name not in PEERS:
        return fit(name, corpus, k, seed)
    path = _get_path(name, corpus.name, k, f"{seed}.npz")
    if not path.exists():
        made = fit(name, corpus, k, seed)
        words = np.full((len(made.words), N_WORDS), -1)
        for row, columns in zip(words, made.words, strict=True):
            row[: len(columns)] = columns
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **{**made._asdict(), "words": words})
    with np.load(path) as kept:
        words = [row[row >= 0].tolist() for row in kept["words"]]
        return Fit(kept["labels"], words, *(float(kept[key]) for key in Fit._fields[2:]))


def measure_peak_memory(name: str, corpus: Matrix, k: int) -> float:
    """Measure the growth of the resident set in MB during a fit in a fresh process; NaN outside Linux.

    The matrix or the tokens are loaded before, and a small fit has loaded and compiled the code.
    """
    path = _get_path(name, corpus.name, k, "memory.json")
    if name in PEERS and path.exists():
        return float(json.loads(path.read_text()))
    if not Path("/proc/self/clear_refs").exists():
        return float("nan")
    with tempfile.TemporaryDirectory() as folder:
        sparse.save_npz(f"{folder}/X.npz", select_matrix(MODELS[name], corpus))
        code = "import sys; from benchmarks import model_fits; print(model_fits.measure_growth(*sys.argv[1:]))"
        command = [sys.executable, "-W", "ignore", "-c", code, name, f"{folder}/X.npz", str(k)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth = float(done.stdout)
    if name in PEERS:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(growth))
    return growth


def measure_growth(name: str, file: str, k: str) -> float:
    """Fit the model and return the growth in MB; runs in the fresh process."""
    X = sparse.load_npz(file)
    build = MODELS[name].build
    with limit_to_one_thread():
        prepare(build(2, 0), X[:N_WARM_UP_ROWS])()
        train = prepare(build(int(k), 0), X)
        gc.collect()
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)  # freed memory of the tokens would hide the growth
        before = read_resident_set("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        train()
        return read_resident_set("VmHWM") - before


def _get_path(name: str, corpus: str, k: int, what: str) -> Path:
    return report.RESULTS / "fits" / f"{corpus}-{k}" / name.replace(" ", "-") / what
