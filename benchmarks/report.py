"""Results of benchmarks as JSON files and as Markdown tables."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy
import sklearn
from numba.core import config

RESULTS = Path(__file__).parents[1] / "results"


def describe_machine() -> dict[str, Any]:
    """Return the processor, the number of cores and the versions of packages."""
    return {
        "processor": _get_processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": config.NUMBA_NUM_THREADS,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "numba": numba.__version__,
    }


def write(name: str, rows: Sequence[dict[str, Any]], command: str, peers: Sequence[str] = ()) -> None:
    """Write rows with the machine, the versions of further packages and the command."""
    RESULTS.mkdir(exist_ok=True)
    content = {
        "command": command,
        "machine": describe_machine() | {peer: version(peer) for peer in peers},
        "rows": rows,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def read(name: str) -> list[dict[str, Any]]:
    """Read the rows of earlier results; return an empty list if there are none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["rows"] if path.exists() else []


def format_table(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> str:
    """Format rows as a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_format_cell(row.get(column, "")) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _format_cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)


def _get_processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
