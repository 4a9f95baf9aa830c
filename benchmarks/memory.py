"""Growth of the resident set during a fit of a CSR matrix of 500 MB, in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.report import format_table, write

N_ROWS, N_FEATURES, PER_ROW, N_UNITS = 1_300_000, 20_000, 50, 50


def make_sparse_rows(n_rows: int, n_features: int, per_row: int) -> sparse.csr_matrix:
    """Return rows of `per_row` words each, drawn by Zipf's law, without a dense or sorted copy."""
    rng = np.random.default_rng(0)
    indices = np.empty(n_rows * per_row, np.int32)
    # One word from each of `per_row` slices of the vocabulary, so that words are distinct and sorted.
    width = n_features // per_row
    weights = 1 / np.arange(1, width + 1)
    ends = np.cumsum(weights / weights.sum())
    for start in range(0, n_rows, 100_000):
        stop = min(start + 100_000, n_rows)
        drawn = np.minimum(np.searchsorted(ends, rng.random((stop - start, per_row))), width - 1)
        indices[start * per_row : stop * per_row] = (drawn + width * np.arange(per_row)).ravel()
    data = np.ones(len(indices), np.float32)
    indptr = np.arange(0, len(indices) + 1, per_row, dtype=np.int32)
    return sparse.csr_matrix((data, indices, indptr), shape=(n_rows, width * per_row))


def read_resident_set(kind: str) -> float:
    """Return the resident set in MB: "VmRSS" is the current one, "VmHWM" the largest since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(kind)).split()[1]) / 1024


def measure_growth() -> dict[str, Any]:
    """Fit the matrix and return the growth; runs in the fresh process."""
    from codebooks import KrotovHopfield

    X = make_sparse_rows(N_ROWS, N_FEATURES, PER_ROW)
    KrotovHopfield(N_UNITS, max_iter=1, random_state=0).fit(X[:2000])
    before = read_resident_set("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    model = KrotovHopfield(N_UNITS, max_iter=2, random_state=0).fit(X)
    megabyte = 2**20
    minibatch = 10_000 * PER_ROW * 8 / megabyte
    codebook = model.components_.nbytes / megabyte
    return {
        "matrix MB": (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / megabyte,
        "minibatch MB": minibatch,
        "codebook MB": codebook,
        "growth MB": read_resident_set("VmHWM") - before,
        "bar MB": minibatch + 6 * codebook + 64,
    }


def run() -> None:
    code = "import json; from benchmarks import memory; print(json.dumps(memory.measure_growth()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = [json.loads(done.stdout)]
    write("memory", rows, "python -m benchmarks memory")
    print(format_table(rows, list(rows[0])))
