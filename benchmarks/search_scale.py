"""Latency and memory at scale: a million sets of words, and all of MNIST, each in its own process."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.associative_memory import load_mnist
from benchmarks.memory import read_resident_set
from benchmarks.report import format_table, write
from benchmarks.timing import measure_seconds

N_PATTERNS, N_WORDS, PER_PATTERN, PER_QUERY = 1_000_000, 100_000, 50, 10
N_QUERIES = 30
MEGABYTE = 2**20
ONE_THREAD = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
BLOCK = 256  # queries of the plain product at a time: 60 MB of scores


def run_in_subprocess(code: str, **environment: str) -> Any:
    """Evaluate an expression of this module in a fresh process and return its JSON value."""
    program = f"import json; from benchmarks import search_scale; print(json.dumps(search_scale.{code}))"
    environment = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


# -- a million sets of words -----------------------------------------------------------------------------------------


def draw_word_sets(n_rows: int, n_words: int, per_row: int, seed: int = 0) -> sparse.csr_matrix:
    """Draw rows of `per_row` distinct words by Zipf's law; with few words, some rows are shorter."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_words + 1)
    ends = np.cumsum(share / share.sum())
    blocks = [
        _draw_distinct_words(ends, min(10_000, n_rows - start), per_row, rng) for start in range(0, n_rows, 10_000)
    ]
    indices = np.concatenate([words for words, _ in blocks])
    indptr = np.concatenate([[0], np.cumsum(np.concatenate([sizes for _, sizes in blocks]))]).astype(np.int32)
    return sparse.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(n_rows, n_words))


def _draw_distinct_words(
    ends: np.ndarray, n_rows: int, per_row: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `per_row` distinct words of a stream of draws for each row, sorted, and their number."""
    drawn = np.searchsorted(ends, rng.random((n_rows, 4 * per_row))).clip(max=len(ends) - 1).astype(np.int32)
    order = np.argsort(drawn, axis=1, kind="stable")
    sorted_words = np.take_along_axis(drawn, order, axis=1)
    first = np.ones(drawn.shape, bool)
    np.put_along_axis(first, order[:, 1:], sorted_words[:, 1:] != sorted_words[:, :-1], axis=1)
    kept = first & (first.cumsum(axis=1) <= per_row)
    in_order = np.take_along_axis(kept, order, axis=1)
    return sorted_words[in_order], kept.sum(axis=1)


# Methods that are timed, with their arguments after the query.
QUERY_METHODS: dict[str, dict[str, tuple]] = {
    "HopfieldMemory": {"recall": (10,), "transform": (), "kneighbors": (10,)},
    "HopfieldRetriever, feedback=0": {"search": (10,)},
    "HopfieldRetriever, feedback=1": {"search": (10,)},
}


def measure_large(which: str, n_patterns: int = N_PATTERNS) -> dict[str, float]:
    """Store patterns and time single queries, each with some words of a pattern; return medians and memory growth."""
    from codebooks import HopfieldMemory, HopfieldRetriever, warmup

    def build() -> Any:
        if which == "HopfieldMemory":
            return HopfieldMemory(threshold=0.5)
        return HopfieldRetriever(feedback=int(which[-1]))

    warmup()
    X = draw_word_sets(n_patterns, N_WORDS, PER_PATTERN)
    queries = [_select_words(X, row) for row in np.random.default_rng(1).integers(n_patterns, size=N_QUERIES)]
    small, model = build().fit(X[:1000]), build()
    for method, arguments in QUERY_METHODS[which].items():
        getattr(small, method)(queries[0], *arguments)  # compiles
    before = read_resident_set("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    figures = {"seconds to fit": measure_seconds(lambda: model.fit(X))}
    for method, arguments in QUERY_METHODS[which].items():
        search = getattr(model, method)
        first, *taken = (measure_seconds(partial(search, query, *arguments)) for query in queries)
        figures.setdefault("seconds of the first query", first)  # includes what is derived from the patterns
        figures |= {f"{method} ms": 1000 * median(taken), f"{method} ms, slowest": 1000 * max(taken)}
    matrix = (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / MEGABYTE
    return {
        **figures,
        "matrix MB": matrix,
        "growth MB": read_resident_set("VmHWM") - before,
        "peak MB": read_resident_set("VmHWM"),
    }


def _select_words(X: sparse.csr_matrix, row: int) -> sparse.csr_matrix:
    query = X[row].copy()
    removed = np.random.default_rng(row).permutation(query.nnz)[PER_QUERY:]
    query.data[removed] = 0
    query.eliminate_zeros()
    return query


def run_large() -> None:
    """Write latency and memory with a million patterns, on one thread."""
    rows = []
    for which in QUERY_METHODS:
        rows.append(
            {"what": which, "patterns": N_PATTERNS, **run_in_subprocess(f"measure_large({which!r})", **ONE_THREAD)}
        )
        print(json.dumps(rows[-1]), flush=True)
    write("retrieval-large", rows, "python -m benchmarks retrieval --part large")


# -- all of MNIST ----------------------------------------------------------------------------------------------------


def measure_half_masked(n_stored: int = 60_000, n_queries: int = 10_000, n_rounds: int = 2) -> dict[str, float]:
    """Complete the upper halves of test images from all training images, and time one product of the same size."""
    from codebooks import HopfieldMemory, warmup

    warmup()
    stored, queries = load_mnist()[:n_stored], load_mnist("test")[:n_queries].copy()
    queries[:, 392:] = 0
    Path("/proc/self/clear_refs").write_text("5")
    memory = HopfieldMemory(separation="sparsemax")
    figures = {"seconds to fit": measure_seconds(lambda: memory.fit(stored))}
    figures["seconds to choose beta"] = measure_seconds(lambda: memory.beta_)
    rounds = [
        (measure_seconds(lambda: memory.transform(queries)), measure_product_seconds(queries, stored))
        for _ in range(n_rounds)
    ]
    figures["seconds of transform"] = median(ours for ours, _ in rounds)
    figures["seconds of the product"] = median(product for _, product in rounds)
    figures["ratio"] = median(ours / product for ours, product in rounds)
    figures["peak MB"] = read_resident_set("VmHWM")
    figures["largest difference from the oracle"] = compute_largest_difference(memory, stored, queries[:200])
    return figures


def measure_product_seconds(queries: np.ndarray, stored: np.ndarray) -> float:
    """Time one BLAS product in blocks that are written to the same array."""
    out = np.empty((BLOCK, len(stored)), np.float32)
    blocks = [queries[start : start + BLOCK] for start in range(0, len(queries), BLOCK)]
    return measure_seconds(lambda: [np.dot(block, stored.T, out=out[: len(block)]) for block in blocks])


def compute_largest_difference(memory: Any, stored: np.ndarray, queries: np.ndarray) -> float:
    """Compute the largest difference of a pixel from completions by plain NumPy in float64, without blocks."""
    stored, queries = stored.astype(np.float64), queries.astype(np.float64)
    scores = queries @ stored.T
    scores /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-300)
    scores /= np.maximum(np.linalg.norm(stored, axis=1), 1e-300)
    completed = np.stack([compute_sparsemax(memory.beta_ * row) for row in scores]) @ stored
    return float(np.abs(completed - memory.transform(queries)).max())


def compute_sparsemax(z: np.ndarray) -> np.ndarray:
    """Project onto the simplex by sorting."""
    falling = np.sort(z)[::-1]
    excess = falling.cumsum() - 1
    n_kept = int((falling * np.arange(1, len(z) + 1) > excess).sum())
    return np.maximum(z - excess[n_kept - 1] / n_kept, 0)


def run_mnist() -> None:
    """Write time, memory and accuracy with 60,000 images."""
    rows = [{"what": "60,000 stored, 10,000 half masked, sparsemax", **run_in_subprocess("measure_half_masked()")}]
    write("retrieval-mnist", rows, "python -m benchmarks retrieval --part mnist")
    print(format_table(rows, list(rows[0])), flush=True)
