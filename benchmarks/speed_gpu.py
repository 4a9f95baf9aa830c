"""Speed on a GPU, compared with two cores of the same machine and with the limits of the device.

One run measures everything in less than eight minutes. A part is a function that yields cases, each a name and a
generator of rows. A case that fails gives a row with the error, and the others continue; results are written after
every case. CuPy and the sizes are arguments, so that tests run every part with NumPy in place of CuPy and small sizes.

The device is synchronised before and after each measurement. First calls, which compile kernels, are separate columns.
"""

import faulthandler
import gc
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numba.core import config
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks import corpora, report
from benchmarks.associative_memory import load_mnist
from benchmarks.models import OURS
from benchmarks.timing import measure_seconds
from codebooks import HopfieldMemory, KrotovHopfield, metrics, ops

COMMAND = "python -m benchmarks speed --device gpu"
# Required figures, set for an H200.
TIMES_TWO_CORES = {"Krotov-Hopfield": 40, "documents": 25}
SHARE_OF_PRODUCT = {1_000: 0.15, 20_000: 0.5}
SHARE_OF_BANDWIDTH = 0.4
SHARE_OF_RECALL = 0.6
NMI_DIFFERENCE = 0.01

FRUGAL_AFTER = 420  # seconds after which everything is measured once
STOP_AFTER = 450  # seconds after which no case is started
END_AFTER = 478  # seconds after which the process ends; finished rows are written
REPEATS = 5
WARM_ROWS, WARM_PASSES = 100_000, 5  # rows and epochs of a model before whole epochs
COMPILING_ROWS = 2_000  # enough to compile every kernel of the CPU
SCHEDULES_ENDED = 10_000  # updates after which all schedules have ended
NOISE = 1.0  # of queries, in standard deviations of the memories
DENSITY = 0.19  # of MNIST: the share of pixels that are not zero
COLUMNS = ("part", "what", "required", "measured", "met", "seconds", "first call seconds", "CPU seconds")


class Sizes(NamedTuple):
    """Sizes of the data; the required figures refer to the defaults."""

    copy_bytes: int = 4 * 2**30
    images: tuple[int, int] = (60_000, 784)
    components: int = 2_000
    image_batches: tuple[int, ...] = (1_000, 20_000)
    documents: int = 1_000_000
    words: int = 50_000
    per_document: int = 60
    topics: int = 100
    document_batches: tuple[Any, ...] = ("auto", 250_000)
    memories: int = 1_000_000
    dimensions: int = 384
    queries: int = 10_000
    query_block: int = 1_000  # block of the plain product, with 4 GB of scores
    top: int = 10
    fit_components: int = 50


class Budget:
    """Elapsed time, and the number of repetitions that it allows."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def get_seconds(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self._start

    def get_repeats(self, wanted: int = REPEATS) -> int:
        """Return the wanted number of repetitions, or 1 if time is short."""
        return wanted if self.get_seconds() < FRUGAL_AFTER else 1

    def is_spent(self) -> bool:
        """Return whether no further case may start."""
        return self.get_seconds() > STOP_AFTER


class LeftOutError(Exception):
    """Reason why a case is not measured on this machine, which is not a failure."""


Figures = dict[str, float]  # figures of earlier cases, for comparison
Rows = Iterator[dict[str, Any]]
Cases = Iterator[tuple[str, Rows]]


# -- arithmetic --------------------------------------------------------------------------------------------------------


def compute_ratio(seconds_of_other: float | None, seconds_of_ours: float | None) -> float | None:
    """Compute the ratio of two times; None if one is missing.

    If the other is one product and ours contains this product, the ratio is our share of its rate.
    """
    if not seconds_of_other or not seconds_of_ours:
        return None
    return seconds_of_other / seconds_of_ours


def compute_bandwidth_share(n_bytes: float, taken: float, bandwidth: float | None) -> float | None:
    """Compute the share of a bandwidth, in bytes per second, that a transfer reaches; None if it is missing."""
    return n_bytes / taken / bandwidth if bandwidth else None


def require_at_least(measured: float | None, bar: float | None, unit: str) -> dict[str, Any]:
    """Compare a figure with the smallest allowed one; without a bar only the unit is reported."""
    return _compare_with_bar(measured, bar, "at least", unit, lambda: measured >= bar)


def require_at_most(measured: float | None, bar: float | None, unit: str) -> dict[str, Any]:
    """Compare a figure with the largest allowed one."""
    return _compare_with_bar(measured, bar, "at most", unit, lambda: measured <= bar)


def require_below(measured: float | None, bar: float | None, unit: str) -> dict[str, Any]:
    """Compare a figure with a bar that must not be reached."""
    return _compare_with_bar(measured, bar, "below", unit, lambda: measured < bar)


def _compare_with_bar(measured: Any, bar: Any, word: str, unit: str, is_met: Callable[[], bool]) -> dict[str, Any]:
    if bar is None:
        return {"required": f"({unit})", "measured": measured, "met": ""}
    met = "unknown" if measured is None else "yes" if is_met() else "no"
    return {"required": f"{word} {bar:g} {unit}", "measured": measured, "met": met}


# -- timing ------------------------------------------------------------------------------------------------------------


def measure_call(where: Any, work: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result and the seconds of a call, with the device of `where` synchronised before and after."""
    results: list[Any] = []

    def work_and_wait() -> None:
        results.append(work())
        ops.synchronize(where)

    ops.synchronize(where)
    taken = measure_seconds(work_and_wait)
    return results[0], taken


def measure_median_seconds(where: Any, work: Callable[[], Any], repeats: int) -> float:
    """Return the median time of some calls; each result is freed before the next call."""
    return median(measure_call(where, work)[1] for _ in range(repeats))


@contextmanager
def limit_to_two_cores() -> Iterator[None]:
    """Limit BLAS and the kernels of this library to two threads."""
    allowed = config.NUMBA_NUM_THREADS
    config.NUMBA_NUM_THREADS = min(2, allowed)  # `codebooks.ops.threads` reads it before every call
    try:
        with threadpool_limits(limits=2):
            yield
    finally:
        config.NUMBA_NUM_THREADS = allowed


# -- data --------------------------------------------------------------------------------------------------------------


def load_images(shape: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Load MNIST, or a random matrix of the same shape and density if it is missing; also return its name."""
    try:
        return load_mnist()[: shape[0]], "MNIST"
    except FileNotFoundError:
        rng = np.random.default_rng(0)
        pixels = rng.random(shape, dtype=np.float32)
        pixels *= rng.random(shape, dtype=np.float32) < DENSITY
        return pixels, "random pixels as dense as MNIST"


def draw_documents(cp: Any, n_rows: int, n_words: int, per_row: int, n_topics: int) -> sparse.csr_matrix:
    """Draw rows of `per_row` distinct words on the device of `cp` and return them on the host.

    The vocabulary is cut into `per_row` slices and a row has one word of each, so that words are distinct and sorted.
    In the first half of the slices the r-th word has a probability proportional to 1 / r, in all rows alike. In the
    second half each topic has its own order of words and prefers low ranks. Without topics, an epoch would mainly
    relocate components.
    """
    rng, width = cp.random.default_rng(0), n_words // per_row
    share = 1 / np.arange(1, width + 1)
    ends = cp.asarray(np.cumsum(share / share.sum()).astype(np.float32))
    chance = rng.random(n_rows * per_row, dtype=np.float32).reshape(n_rows, per_row)
    of_topic = cp.arange(per_row) >= per_row // 2
    rank = cp.searchsorted(ends, cp.where(of_topic, chance**2, chance).ravel()).reshape(n_rows, per_row)
    topic = cp.minimum(rng.random(n_rows, dtype=np.float32) * n_topics, n_topics - 1).astype(np.int64)
    first = (topic * width // n_topics)[:, None] * of_topic
    words = (cp.minimum(rank, width - 1) + first) % width + width * cp.arange(per_row)
    values = rng.random(n_rows * per_row, dtype=np.float32) + np.float32(0.5)
    indices = ops.to_host(words.astype(np.int32).ravel())
    starts = np.arange(0, len(indices) + 1, per_row, dtype=np.int32)
    return sparse.csr_matrix((ops.to_host(values), indices, starts), shape=(n_rows, n_words))


def load_corpus() -> corpora.Matrix:
    """Load 20 Newsgroups, or the corpus that needs no download."""
    try:
        return corpora.load("newsgroups")
    except FileNotFoundError:
        return corpora.load(corpora.OFFLINE[0][0])


# -- 1: ceilings -------------------------------------------------------------------------------------------------------


def measure_ceilings(cp: Any, sizes: Sizes, budget: Budget, figures: Figures) -> Cases:
    """Measure the limits of the device, with which other parts are compared."""
    yield "our kernels", _measure_first_kernel(cp)
    yield "copy", _measure_copy(cp, sizes, budget, figures)
    yield "product", _measure_product(cp, sizes, budget, figures)


def _measure_first_kernel(cp: Any) -> Rows:
    taken = measure_call(cp.zeros(1), lambda: ops.row_norms(cp.ones((2, 2), np.float32)))[1]
    yield {"what": "the first of our kernels (CuPy compiles all, and keeps them on disk)", "first call seconds": taken}


def _measure_copy(cp: Any, sizes: Sizes, budget: Budget, figures: Figures) -> Rows:
    n, once = sizes.copy_bytes // 4, min(sizes.copy_bytes // 4, 2**24)
    source = cp.empty((max(n // once, 1), once), np.float32)
    source[...] = cp.random.default_rng(0).random(once, dtype=np.float32)
    target = cp.empty_like(source)
    measure_call(source, lambda: cp.copyto(target, source))
    taken = measure_median_seconds(source, lambda: cp.copyto(target, source), 2 * budget.get_repeats())
    figures["bandwidth"] = 2 * source.nbytes / taken
    what = f"copy of {source.nbytes / 2**30:.1f} GiB on the device"
    yield {
        "what": what,
        "seconds": taken,
        **require_at_least(figures["bandwidth"] / 1e9, None, "GB/s, read and written"),
    }


def _measure_product(cp: Any, sizes: Sizes, budget: Budget, figures: Figures) -> Rows:
    draw = cp.random.default_rng(0)
    X, W = (draw.random((n, sizes.images[1]), dtype=np.float32) for n in (sizes.images[0], sizes.components))
    first = measure_call(X, lambda: X @ W.T)[1]
    figures["image product"] = measure_median_seconds(X, lambda: X @ W.T, budget.get_repeats())
    (n_rows, n_features), n_components = X.shape, len(W)
    rate = 2 * n_rows * n_features * n_components / figures["image product"]
    yield {
        "what": f"product {n_rows:,} x {n_features} x {n_components:,}, float32 without TF32",
        "seconds": figures["image product"],
        "first call seconds": first,
        **require_at_least(rate / 1e12, None, "TFLOP/s"),
    }


# -- epochs ------------------------------------------------------------------------------------------------------------


class Epoch(NamedTuple):
    """Results of an epoch on the device, after all schedules have ended."""

    start: Any  # state before the epoch
    end: Any  # state after the epoch
    taken: float
    first: float  # seconds of the first epoch, with compilation
    order: float  # seconds for the order of rows, which the host draws
    n_idle: int  # number of unused components at the end; many of them mean unsuitable data


def run_epoch(model: Any, X: Any, state: Any) -> Any:
    """Return the state after an epoch, always over the same minibatches."""
    return model._run_epoch(X, state, 1, np.random.RandomState(1))[0]


def measure_device_epoch(model: Any, X: Any, repeats: int, directions: Any = None) -> Epoch:
    """Time an epoch that starts after another one; `directions` are initial components, if not those of the model.

    Initial components of the model may be similar, so that a few passes over some rows relocate idle ones before; the
    timed epoch relocates none, as in `benchmarks.speed`.
    """
    first_rows = ops.take_rows(X, slice(0, min(WARM_ROWS, X.shape[0])))
    model, rng, state = model.set_params(revive=directions is None), np.random.RandomState(0), None
    for _ in range(WARM_PASSES if directions is None else 1):
        state = model._run_epoch(first_rows, state, 0, rng)[0]
    if directions is not None:
        state = state._replace(components=directions)
    model, state = model.set_params(revive=False), state._replace(n_updates=SCHEDULES_ENDED)
    start, first = measure_call(X, lambda: run_epoch(model, X, state))
    end, second = measure_call(X, lambda: run_epoch(model, X, start))
    taken = median([second, *(measure_call(X, lambda: run_epoch(model, X, start))[1] for _ in range(repeats - 1))])
    order = measure_seconds(lambda: list(model._draw_minibatches(X.shape[0], np.random.RandomState(1))))
    return Epoch(start, end, taken, first, order, int(ops.to_host((end.usage == 0).sum())))


def measure_two_core_epoch(model: Any, X: Any, epoch: Epoch, repeats: int) -> tuple[float, float]:
    """Time the same epoch on two cores; also return the largest difference of components from the device."""
    start = type(epoch.start)(*map(ops.to_host, epoch.start))
    with limit_to_two_cores():
        run_epoch(model, X[:COMPILING_ROWS], start)
        runs = [measure_call(X, lambda: run_epoch(model, X, start)) for _ in range(repeats)]
    ours, theirs = runs[0][0].components, ops.to_host(epoch.end.components)
    return median(taken for _, taken in runs), float(np.abs(ours - theirs).max() / np.abs(ours).max())


def _measure_epoch_rows(
    model: Any,
    X: Any,
    on_host: Any,
    what: str,
    judge: Callable[[float], dict[str, Any]],
    least: float | None,
    repeats: tuple[int, int],
    directions: Any = None,
) -> Rows:
    """Yield two rows: the epoch compared with a limit of the device, then with two cores."""
    epoch = measure_device_epoch(model, X, repeats[0], directions)
    times = {"seconds": epoch.taken, "first call seconds": epoch.first, "order of rows seconds": epoch.order}
    times["idle components"] = epoch.n_idle
    yield {"what": f"{what}: share of the ceiling", **times, **judge(epoch.taken)}
    on_cpu, difference = measure_two_core_epoch(model, on_host, epoch, repeats[1])
    yield {
        "what": f"{what}: against two cores",
        "seconds": epoch.taken,
        "CPU seconds": on_cpu,
        "largest difference of components": difference,
        **require_at_least(compute_ratio(on_cpu, epoch.taken), least, "times two CPU cores"),
    }


# -- 2: Krotov-Hopfield ------------------------------------------------------------------------------------------------


def measure_krotov_hopfield(cp: Any, sizes: Sizes, budget: Budget, figures: Figures) -> Cases:
    """Measure an epoch of many components, in small and large minibatches, and comparable work of torch and cuML."""
    on_host, name = load_images(sizes.images)
    X = cp.asarray(on_host)
    chosen = np.sort(np.random.RandomState(0).permutation(len(on_host))[: sizes.components])
    directions = np.resize(
        on_host[chosen], (sizes.components, on_host.shape[1])
    )  # each is a row, so that none stays idle
    directions = directions / np.maximum(np.linalg.norm(directions, 3, axis=1, keepdims=True), 1e-30)
    start = cp.asarray(directions.astype(np.float32))
    for size in sizes.image_batches:
        yield (
            f"minibatches of {size:,}",
            _measure_components_epoch(X, on_host, name, size, start, sizes, budget, figures),
        )
    size = sizes.image_batches[-1]
    yield "torch, an epoch of k-means", _measure_torch_k_means(X, start, size, budget, figures)
    yield "cuML, a pass of KMeans", _measure_cuml_k_means(X, start, budget, figures)


def _measure_components_epoch(
    X: Any, on_host: Any, name: str, size: int, start: Any, sizes: Sizes, budget: Budget, figures: Figures
) -> Rows:
    model = KrotovHopfield(sizes.components, p=3, batch_size=size, random_state=0)
    share = SHARE_OF_PRODUCT.get(size)

    def judge(taken: float) -> dict[str, Any]:
        figures[f"epoch, {size}"] = taken
        return require_at_least(compute_ratio(figures.get("image product"), taken), share, "of the product's rate")

    what = (
        f"epoch of {name}, {X.shape[0]:,} x {X.shape[1]}, {sizes.components:,} components, p=3, minibatches of {size:,}"
    )
    least, repeats = TIMES_TWO_CORES["Krotov-Hopfield"], (budget.get_repeats(), budget.get_repeats(2))
    yield from _measure_epoch_rows(model, X, on_host, what, judge, least, repeats, start)


def _measure_torch_k_means(X: Any, start: Any, size: int, budget: Budget, figures: Figures) -> Rows:
    torch = _import_torch()
    rows, centres = torch.from_dlpack(X), torch.nn.functional.normalize(torch.from_dlpack(start))

    def epoch() -> Any:
        components, order = centres, torch.randperm(len(rows), device=rows.device)
        for chosen in order.split(size):
            batch = rows[chosen]
            best = torch.topk(batch @ components.T, 2, dim=1).indices[:, 0]
            sums = torch.zeros_like(components).index_add_(0, best, batch)
            components = torch.nn.functional.normalize(components + sums)
        return components

    first, taken = _measure_torch_seconds(torch, rows, epoch, budget.get_repeats())
    what = f"torch: product, top 2 and sums of an epoch of spherical k-means, minibatches of {size:,}"
    yield _make_comparison(what, taken, first, figures.get(f"epoch, {size}"))


def _measure_cuml_k_means(X: Any, start: Any, budget: Budget, figures: Figures) -> Rows:
    k_means = _import_peer("cuml.cluster").KMeans
    how = {"n_clusters": len(start), "init": start, "n_init": 1, "max_iter": 1, "tol": 0.0}
    first = measure_call(X, lambda: k_means(**how).fit(X))[1]
    taken = measure_median_seconds(X, lambda: k_means(**how).fit(X), budget.get_repeats())
    ours = min((value for name, value in figures.items() if name.startswith("epoch, ")), default=None)
    yield _make_comparison("cuML: KMeans, one pass", taken, first, ours)


# -- 3: documents ------------------------------------------------------------------------------------------------------


def measure_topics(cp: Any, sizes: Sizes, budget: Budget, figures: Figures) -> Cases:
    """Measure epochs over many sparse rows."""
    made: list[Any] = []
    taken = measure_seconds(
        lambda: made.append(draw_documents(cp, sizes.documents, sizes.words, sizes.per_document, sizes.topics))
    )
    on_host = made.pop()
    X = ops.to_device_of(on_host, cp.zeros(1))
    yield "documents", iter([{"what": f"making {sizes.documents:,} documents", "seconds": taken}])
    for name in ("OSC", "mixture"):
        for size in sizes.document_batches:
            model = OURS[name].build(sizes.topics, 0).set_params(batch_size=size)
            yield (
                f"{name}, minibatches: {size}",
                _measure_topics_epoch(model, X, on_host, name, size, sizes, budget, figures),
            )


def _measure_topics_epoch(
    model: Any, X: Any, on_host: Any, name: str, size: Any, sizes: Sizes, budget: Budget, figures: Figures
) -> Rows:
    n_bytes = 2 * on_host.nnz * sizes.topics * 4

    def judge(taken: float) -> dict[str, Any]:
        share = compute_bandwidth_share(n_bytes, taken, figures.get("bandwidth"))
        return require_at_least(share, SHARE_OF_BANDWIDTH, "of the copy bandwidth, at 2 nnz K 4 bytes")

    what = f"{name}, epoch of {on_host.shape[0]:,} documents, K={sizes.topics}, minibatches: {size}"
    yield from _measure_epoch_rows(
        model, X, on_host, what, judge, TIMES_TWO_CORES["documents"], (budget.get_repeats(), 1)
    )


# -- 4: recall ---------------------------------------------------------------------------------------------------------


def measure_recall(cp: Any, sizes: Sizes, budget: Budget, figures: Figures) -> Cases:
    """Measure the recall of ten patterns for each noisy copy of a dense pattern."""
    draw = cp.random.default_rng(0)
    memories = draw.standard_normal((sizes.memories, sizes.dimensions), dtype=np.float32)
    meant = np.random.RandomState(0).randint(sizes.memories, size=sizes.queries)
    noise = draw.standard_normal((sizes.queries, sizes.dimensions), dtype=np.float32)
    queries = memories[cp.asarray(meant)] + np.float32(NOISE) * noise
    del noise
    memory = HopfieldMemory(random_state=0)
    yield "product", _measure_blocked_product(memories, queries, sizes, budget, figures)
    yield "fit and beta", _measure_memory_fit(memory, memories)
    yield "recall", _measure_recall(cp, memory, queries, meant, sizes, budget, figures)
    yield "recall on the CPU", _measure_recall_on_cpu(memory, memories, queries, sizes, budget)
    yield "torch, top 10", _measure_torch_recall(memory, memories, queries, sizes, budget, figures)


def _measure_blocked_product(memories: Any, queries: Any, sizes: Sizes, budget: Budget, figures: Figures) -> Rows:
    def product() -> None:
        for start in range(0, len(queries), sizes.query_block):
            queries[start : start + sizes.query_block] @ memories.T

    first = measure_call(queries, product)[1]
    figures["recall product"] = measure_median_seconds(queries, product, budget.get_repeats())
    rate = 2 * len(queries) * memories.size / figures["recall product"]
    yield {
        "what": f"product {len(queries):,} x {memories.shape[1]} x {len(memories):,}, {sizes.query_block:,} at a time",
        "seconds": figures["recall product"],
        "first call seconds": first,
        **require_at_least(rate / 1e12, None, "TFLOP/s"),
    }


def _measure_memory_fit(memory: HopfieldMemory, memories: Any) -> Rows:
    yield {"what": "storing", "seconds": measure_call(memories, lambda: memory.fit(memories))[1]}
    beta, taken = measure_call(memories, lambda: memory.beta_)
    what = f"estimating beta ({memory.similarity_}, sparsemax)"
    yield {"what": what, "first call seconds": taken, **require_at_least(beta, None, "beta")}


def _measure_recall(
    cp: Any, memory: HopfieldMemory, queries: Any, meant: np.ndarray, sizes: Sizes, budget: Budget, figures: Figures
) -> Rows:
    first = measure_call(queries, lambda: memory.recall(queries, sizes.top))[1]
    _free(cp)
    before = _get_pool_bytes(cp, "used_bytes")
    (ids, weights), taken = measure_call(queries, lambda: memory.recall(queries, sizes.top))
    after = _get_pool_bytes(cp, "total_bytes")  # a pool frees nothing by itself, so that this is its peak
    more = [
        measure_call(queries, lambda: memory.recall(queries, sizes.top))[1] for _ in range(budget.get_repeats(3) - 1)
    ]
    figures["recall"] = median([taken, *more])
    yield {
        "what": f"recall of {sizes.queries:,} among {sizes.memories:,}, sparsemax, top {sizes.top}",
        "seconds": figures["recall"],
        "first call seconds": first,
        "share of queries whose original comes first": float((ops.to_host(ids)[:, 0] == meant).mean()),
        "patterns with weight among these": float(ops.to_host((weights > 0).sum(axis=1).mean())),
        **require_at_least(
            compute_ratio(figures.get("recall product"), figures["recall"]), SHARE_OF_RECALL, "of the product's rate"
        ),
    }
    if before is None:
        raise LeftOutError("Memory is counted by the pool of CuPy, which is not in use.")
    whole = sizes.queries * sizes.memories * 4
    share = (after - before) / whole
    yield {
        "what": f"memory taken by recall, in matrices of all scores ({whole / 1e9:.1f} GB)",
        "GB": (after - before) / 1e9,
        "GB in use before": before / 1e9,
        **require_below(share, 1, "of that matrix"),
    }


def _measure_recall_on_cpu(memory: HopfieldMemory, memories: Any, queries: Any, sizes: Sizes, budget: Budget) -> Rows:
    first_queries = queries[: max(sizes.queries // 10, 1)]
    taken = measure_median_seconds(
        first_queries, lambda: memory.recall(first_queries, sizes.top), budget.get_repeats(3)
    )
    patterns, host_queries = ops.to_host(memories), ops.to_host(first_queries)
    host_memory = HopfieldMemory(memory.similarity_, beta=memory.beta_).fit(patterns)
    host_memory.recall(host_queries[:2], sizes.top)  # computes what is derived from the patterns
    on_cpu = measure_seconds(lambda: host_memory.recall(host_queries, sizes.top))
    yield {
        "what": f"recall of {len(first_queries):,}, against all cores",
        "seconds": taken,
        "CPU seconds": on_cpu,
        **require_at_least(compute_ratio(on_cpu, taken), None, "times all CPU cores"),
    }


def _measure_torch_recall(
    memory: HopfieldMemory, memories: Any, queries: Any, sizes: Sizes, budget: Budget, figures: Figures
) -> Rows:
    torch = _import_torch()
    normalize, beta = torch.nn.functional.normalize, memory.beta_
    stored, torch_queries = normalize(torch.from_dlpack(memories)), torch.from_dlpack(queries)

    def top() -> None:
        for block in torch_queries.split(sizes.query_block):
            torch.topk(torch.softmax(beta * (normalize(block) @ stored.T), dim=1), sizes.top, dim=1)

    first, taken = _measure_torch_seconds(torch, torch_queries, top, budget.get_repeats(3))
    what = f"torch: product, softmax and top {sizes.top}, {sizes.query_block:,} queries at a time"
    yield _make_comparison(what, taken, first, figures.get("recall"))


# -- 5: fit and transform ----------------------------------------------------------------------------------------------


def measure_fits(cp: Any, sizes: Sizes, budget: Budget, figures: Figures) -> Cases:
    """Measure our models at their defaults on a corpus, compared with all cores of this machine."""
    data = load_corpus()
    X = ops.to_device_of(data.X, cp.zeros(1))
    for name in OURS:
        yield name, _measure_fit(name, data, X, sizes.fit_components, budget)


def _measure_fit(name: str, data: corpora.Matrix, X: Any, n_components: int, budget: Budget) -> Rows:
    def measure(rows: Any) -> tuple[Any, float, float, float]:
        model, first = measure_call(rows, lambda: OURS[name].build(n_components, 0).fit(rows))
        taken = measure_median_seconds(rows, lambda: OURS[name].build(n_components, 0).fit(rows), budget.get_repeats(3))
        model.transform(rows)
        return model, taken, first, measure_median_seconds(rows, lambda: model.transform(rows), budget.get_repeats())

    model, fit, first, transform = measure(X)
    times = {"seconds": fit, "first call seconds": first}
    yield {"what": f"{name}, fit of {data.name} {data.X.shape}, K={n_components}", **times, "epochs": model.n_iter_}
    cpu_model, cpu_fit, _, cpu_transform = measure(data.X)
    unit = "times all CPU cores"
    for method, ours, theirs in (("fit", fit, cpu_fit), ("transform", transform, cpu_transform)):
        what = f"{name}, {method}, against all cores"
        yield {
            "what": what,
            "seconds": ours,
            "CPU seconds": theirs,
            **require_at_least(compute_ratio(theirs, ours), None, unit),
        }
    nmi = [metrics.agreement(data.labels, ops.to_host(one.labels_)).nmi for one in (model, cpu_model)]
    yield {
        "what": f"{name}, NMI, device and CPU",
        "NMI": nmi,
        "same label": float((ops.to_host(model.labels_) == cpu_model.labels_).mean()),
        **require_at_most(abs(nmi[0] - nmi[1]), NMI_DIFFERENCE, "apart"),
    }


# -- peers -------------------------------------------------------------------------------------------------------------


def _import_peer(name: str) -> Any:
    if find_spec(name.partition(".")[0]) is None:
        raise LeftOutError(f"{name.partition('.')[0]} is not installed.")
    return import_module(name)


def _import_torch() -> Any:
    """Import torch and set full float32 precision."""
    torch = _import_peer("torch")
    torch.set_float32_matmul_precision("highest")
    return torch


def _measure_torch_seconds(torch: Any, where: Any, work: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the seconds of the first call, and the median of later ones."""

    def wait() -> None:
        if where.is_cuda:
            torch.cuda.synchronize()

    def once() -> float:
        wait()
        return measure_seconds(lambda: (work(), wait()))

    first = once()
    return first, median(once() for _ in range(repeats))


def _make_comparison(what: str, taken: float, first: float, ours: float | None) -> dict[str, Any]:
    comparison = require_at_least(compute_ratio(taken, ours), None, "times ours")
    return {"what": what, "seconds": taken, "first call seconds": first, **comparison}


# -- the run -----------------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Any, Sizes, Budget, Figures], Cases]] = {
    "ceilings": measure_ceilings,
    "Krotov-Hopfield": measure_krotov_hopfield,
    "topics": measure_topics,
    "recall": measure_recall,
    "fit": measure_fits,
}


def measure_parts(cp: Any, sizes: Sizes, budget: Budget, parts: Iterable[str] | None = None) -> Rows:
    """Yield all rows as they are measured; failures are rows too."""
    figures: Figures = {}
    for part in PARTS if parts is None else parts:
        cases = PARTS[part](cp, sizes, budget, figures)
        while True:
            case = None
            try:
                if budget.is_spent():
                    raise LeftOutError("No time was left.")
                case, rows = next(cases)
                for row in rows:
                    yield {"part": part, **_convert_scalars(row), "at second": budget.get_seconds()}
            except StopIteration:
                break
            except Exception as error:  # other cases continue after any failure
                yield {"part": part, "what": case or part, **_describe_error(error), "at second": budget.get_seconds()}
                if case is None:
                    break  # the part cannot yield further cases
            del rows  # frees the data of the case
            _free(cp)
        cases.close()  # frees the data of the part
        _free(cp)


def _convert_scalars(row: dict[str, Any]) -> dict[str, Any]:
    """Convert NumPy scalars of a row, so that it can be written as JSON."""
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()}


def _describe_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, LeftOutError):
        return {"met": f"left out: {error}"}
    words = " ".join(f"{type(error).__name__}: {error}".split()).replace("|", "/")
    trace = "".join(traceback.format_exception(error))
    return {"met": f"failed: {words[:300]}", "traceback": trace[-4000:]}


def _free(cp: Any) -> None:
    """Free unused memory on the device."""
    gc.collect()
    with suppress(Exception):  # fails after a fault on the device, which is already reported
        if hasattr(cp, "get_default_memory_pool"):
            cp.get_default_memory_pool().free_all_blocks()
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
            sys.modules["torch"].cuda.empty_cache()


def _get_pool_bytes(cp: Any, what: str) -> int | None:
    """Return a figure of the pool of CuPy, or None if there is no pool."""
    return getattr(cp.get_default_memory_pool(), what)() if hasattr(cp, "get_default_memory_pool") else None


def import_cupy() -> Any:
    """Import CuPy, without TF32, and check that it has a device.

    Raises
    ------
    SystemExit
        If CuPy or a device is missing.
    """
    os.environ.pop("CUPY_TF32", None)
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # read by cuBLAS
    try:
        import cupy
    except ImportError as error:
        raise SystemExit(
            f"`{COMMAND}` needs CuPy, which cannot be imported: {error}. Install the extra `gpu`."
        ) from error
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise SystemExit(f"`{COMMAND}` needs a CUDA device, and CuPy finds none: {error}.") from error
    if not n_devices:
        raise SystemExit(f"`{COMMAND}` needs a CUDA device, and CuPy finds none.")
    return cupy


def describe_device(cp: Any) -> dict[str, Any]:
    """Return the device, the driver, versions and the machine."""
    runtime = cp.cuda.runtime
    name = runtime.getDeviceProperties(cp.cuda.Device().id)["name"]
    machine = report.describe_machine()
    return {
        "device": name.decode() if isinstance(name, bytes) else str(name),
        "driver": _get_driver_version(),
        "CUDA of the driver": _format_cuda_version(runtime.driverGetVersion()),
        "CUDA runtime": _format_cuda_version(runtime.runtimeGetVersion()),
        "CuPy": cp.__version__,
        "TF32": "off",
        "processor": machine["processor"],
        "cores": machine["cores"],
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _format_cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _get_driver_version() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        version = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split()
    except (OSError, subprocess.SubprocessError):
        version = []
    return version[0] if version else "unknown"


def make_slug(name: str) -> str:
    """Convert the name of a device for use in the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def run(sizes: Sizes | None = None) -> None:
    """Measure all parts, write rows as they are measured, and print tables."""
    # Work that hangs on a device cannot be interrupted from Python: the process prints the stack and ends.
    faulthandler.dump_traceback_later(END_AFTER, exit=True, file=sys.__stderr__)
    try:
        _run(sizes or Sizes())
    finally:
        faulthandler.cancel_dump_traceback_later()


def _run(sizes: Sizes) -> None:
    budget, cp = Budget(), import_cupy()
    about = describe_device(cp)
    name, rows = f"speed-gpu-{make_slug(about['device'])}", []
    print(_format_row(about), flush=True)
    for row in measure_parts(cp, sizes, budget):
        rows.append(row)
        print(_format_row(row), flush=True)
        if "traceback" in row:
            print(row["traceback"], file=sys.stderr, flush=True)
        write(name, about, rows, budget.get_seconds())
    used = budget.get_seconds()
    write(name, about, rows, used)
    print(f"\n{format_tables(rows)}\n\n{used:.0f} s in all; results/{name}.json")


def _format_row(row: dict[str, Any]) -> str:
    """Format a row as one line."""
    values = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}
    return "; ".join(f"{key}: {value}" for key, value in values.items() if value != "" and key != "traceback")


def write(name: str, about: dict[str, Any], rows: list[dict[str, Any]], used: float) -> None:
    """Write rows; the first describes the device and the total time."""
    report.write(name, [{"part": "device", **about, "total seconds": used}, *rows], COMMAND)


def format_tables(rows: list[dict[str, Any]]) -> str:
    """Format a table for each part, without empty columns."""
    filled = [{key: value for key, value in row.items() if value not in (None, "")} for row in rows]
    by_part = [[row for row in filled if row["part"] == part] for part in dict.fromkeys(row["part"] for row in rows)]
    return "\n\n".join(
        report.format_table(of_part, [column for column in COLUMNS if any(column in row for row in of_part)])
        for of_part in by_part
    )
