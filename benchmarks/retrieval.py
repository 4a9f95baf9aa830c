"""Quality and speed of retrieval: ours compared with BM25, two classical kinds of feedback, and vectors.

Every engine reads the same counts. MAP and MRR are over rankings of 1,000 documents. Engines are compared query by
query: a bootstrap interval of the mean difference, and the p-value of a paired randomisation test.
"""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks import engines, retrieval_collections
from benchmarks.engines import ENGINES, Found
from benchmarks.report import format_table, read, write
from benchmarks.retrieval_collections import Collection
from benchmarks.timing import measure_seconds
from codebooks import metrics

DEPTH = 1000
FIGURES = ["nDCG@10", "MAP", "MRR", "recall@100", "accuracy@1", "accuracy@10"]
OURS, WITHOUT_FEEDBACK = "ours, feedback=1", "ours, feedback=0"
RIVALS = ("BM25", "BM25 + RM3", "BM25 + RM3, tuned", "BM25 + Rocchio")
SPEED = "queries per second"
PEERS = ("bm25s", "faiss-cpu")
N_DRAWS = 10_000


def measure(build: Callable[[Any], Any], collection: Collection) -> tuple[dict[str, float], np.ndarray, Found]:
    """Return all figures of an engine, the average precision of each query, and its ten best documents."""
    build(collection.counts[:50]).search(collection.queries[:5], 10)  # compiles kernels
    engine = build(collection.counts)
    # Ours builds its index at the first search.
    to_index = measure_seconds(lambda: build(collection.counts).search(collection.queries[:1], 10))
    ten = engine.search(collection.queries, 10)
    taken = median(measure_seconds(lambda: engine.search(collection.queries, 10)) for _ in range(3))
    ids = engine.search(collection.queries, DEPTH).ids
    figures = metrics.ranking_scores(ids, collection.relevant)
    figures = {name: value for name, value in figures.items() if not name.startswith(("recall@", "precision@"))}
    figures["recall@100"] = float(metrics.recall_at(ids, collection.relevant, ks=100))
    speed = {"seconds to index": to_index, SPEED: collection.queries.shape[0] / taken}
    return figures | speed, np.asarray(metrics.average_precision(ids, collection.relevant, per_query=True)), ten


def measure_collection(collection: Collection, names: Sequence[str] = tuple(ENGINES)) -> list[dict[str, Any]]:
    """Measure engines on a collection, and compare our feedback with each of its rivals."""
    rows, precision, found = [], {}, {}
    for name in names:
        figures, precision[name], found[name] = measure(ENGINES[name], collection)
        rows.append({"collection": collection.name, "engine": name, **figures})
        print(format_table(rows[-1:], ["collection", "engine", *FIGURES, SPEED]).splitlines()[-1], flush=True)
    for rival in RIVALS:
        if OURS in precision and rival in precision:
            gain = compare(precision[OURS], precision[rival])
            rows.append({"collection": collection.name, "engine": OURS, "against": rival, **gain})
    for one, other in (("BM25", WITHOUT_FEEDBACK), ("LSA + faiss", "LSA + HopfieldMemory")):
        if one in found and other in found:
            share = float(engines.are_equal_up_to_ties(found[one], found[other]).mean())
            rows.append({"collection": collection.name, "engine": other, "same ten as": one, "share": share})
    return rows


def compare(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Compute the mean difference of two scores per query, its 95 % bootstrap interval and its p-value."""
    difference = ours - theirs
    low, high = metrics.bootstrap_interval(difference)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (N_DRAWS, len(difference)))
    as_large = np.abs(signs @ difference) >= np.abs(difference.sum()) * (1 - 1e-12)
    chance = (1 + int(as_large.sum())) / (1 + N_DRAWS)
    return {"MAP gain": float(difference.mean()), "low": low, "high": high, "p": chance}


def run(on: str = "report", names: Sequence[str] = tuple(ENGINES)) -> None:
    """Measure engines on the collections for choosing or for reporting; keep the rows of other engines."""
    result, rows = f"retrieval-{on}", []
    before = [row for row in read(result) if row["engine"] not in names and "against" not in row]
    for name in {"choosing": retrieval_collections.CHOOSING, "report": retrieval_collections.REPORT}[on]:
        new = measure_collection(retrieval_collections.load(name), names)
        rows += sorted([row for row in before if row["collection"] == name] + new, key=_get_sort_key)
    write(result, rows, f"python -m benchmarks retrieval --part quality --on {on}", PEERS)
    print("\n" + format_table([row for row in rows if "MAP" in row], ["collection", "engine", *FIGURES, SPEED]))
    print(
        "\n"
        + format_table([row for row in rows if "p" in row], ["collection", "against", "MAP gain", "low", "high", "p"])
    )
    print(
        "\n" + format_table([row for row in rows if "share" in row], ["collection", "engine", "same ten as", "share"])
    )


def _get_sort_key(row: dict[str, Any]) -> tuple[bool, bool, int]:
    """Sort figures in the order of the engines, before comparisons."""
    return "against" in row, "share" in row, list(ENGINES).index(row["engine"])
