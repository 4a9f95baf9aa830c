"""How fast on a GPU: against two cores of the same machine, and against what the device can do at all.

Minutes on a GPU are few, so one run does everything, in less than eight of them. A part is a function that yields
cases, a name and a generator of rows each. A case that fails leaves a row that says so, and the others go on; results
are written after every case. CuPy and the sizes are arguments: with NumPy in CuPy's place and small sizes, every part
runs anywhere, and that is how the tests find slips of the pen.

Every time has the device finished before and after. First calls, which compile kernels, stand apart.
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
# The bars, as they were set for an H200.
TIMES_TWO_CORES = {"Krotov-Hopfield": 40, "documents": 25}
SHARE_OF_PRODUCT = {1_000: 0.15, 20_000: 0.5}
SHARE_OF_BANDWIDTH = 0.4
SHARE_OF_RECALL = 0.6
NMI_DIFFERENCE = 0.01

FRUGAL_AFTER = 420  # seconds from which on everything is measured once
STOP_AFTER = 450  # and from which on no case is begun
END_AFTER = 478  # and after which all ends, whatever is under way: what is measured has been written
REPEATS = 5
WARM_ROWS, WARM_PASSES = 100_000, 5  # what a model begins with, before whole epochs
COMPILING_ROWS = 2_000  # enough to compile every kernel of the CPU
SCHEDULES_ENDED = 10_000  # updates after which every schedule has reached its end
NOISE = 1.0  # of queries, in standard deviations of the memories
DENSITY = 0.19  # of MNIST: the share of pixels that are not zero
COLUMNS = ("part", "what", "asked", "measured", "met", "seconds", "first call seconds", "CPU seconds")


class Sizes(NamedTuple):
    """How large everything is; the defaults are those of the bars."""

    copy_bytes: int = 4 * 2**30
    images: tuple[int, int] = (60_000, 784)
    units: int = 2_000
    image_batches: tuple[int, ...] = (1_000, 20_000)
    documents: int = 1_000_000
    words: int = 50_000
    per_document: int = 60
    topics: int = 100
    document_batches: tuple[Any, ...] = ("auto", 250_000)
    memories: int = 1_000_000
    dimensions: int = 384
    queries: int = 10_000
    query_block: int = 1_000  # of the plain product: its scores take 4 GB
    top: int = 10
    fit_units: int = 50


class Budget:
    """How much time has gone, and how often something may be measured still."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def used(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._start

    def repeats(self, wanted: int = REPEATS) -> int:
        """As often as wanted, and once when time runs out."""
        return wanted if self.used() < FRUGAL_AFTER else 1

    def is_spent(self) -> bool:
        """Whether it is too late to begin anything."""
        return self.used() > STOP_AFTER


class LeftOutError(Exception):
    """Why a case is not measured here, where that is nobody's fault."""


Known = dict[str, float]  # figures that later cases are compared with
Rows = Iterator[dict[str, Any]]
Cases = Iterator[tuple[str, Rows]]


# -- arithmetic --------------------------------------------------------------------------------------------------------


def compute_ratio(seconds_of_other: float | None, seconds_of_ours: float | None) -> float | None:
    """How many times as long the other takes; None if one is unknown.

    Where the other is one product and we do that product and more, this is the share of its rate that we reach.
    """
    if not seconds_of_other or not seconds_of_ours:
        return None
    return seconds_of_other / seconds_of_ours


def compute_bandwidth_share(n_bytes: float, taken: float, bandwidth: float | None) -> float | None:
    """The part of a bandwidth, in bytes a second, that moving so many bytes in this time is; None if it is unknown."""
    return n_bytes / taken / bandwidth if bandwidth else None


def require_at_least(measured: float | None, bar: float | None, unit: str) -> dict[str, Any]:
    """What was asked, what was measured, and whether that is enough; without a bar only the unit is told."""
    return _compare_with_bar(measured, bar, "at least", unit, lambda: measured >= bar)


def require_at_most(measured: float | None, bar: float | None, unit: str) -> dict[str, Any]:
    """As `require_at_least`, where less is better."""
    return _compare_with_bar(measured, bar, "at most", unit, lambda: measured <= bar)


def require_below(measured: float | None, bar: float | None, unit: str) -> dict[str, Any]:
    """As `require_at_most`, where the bar itself is too much."""
    return _compare_with_bar(measured, bar, "below", unit, lambda: measured < bar)


def _compare_with_bar(measured: Any, bar: Any, word: str, unit: str, is_met: Callable[[], bool]) -> dict[str, Any]:
    if bar is None:
        return {"asked": f"({unit})", "measured": measured, "met": ""}
    met = "unknown" if measured is None else "yes" if is_met() else "no"
    return {"asked": f"{word} {bar:g} {unit}", "measured": measured, "met": met}


# -- clocks ------------------------------------------------------------------------------------------------------------


def measure_call(where: Any, work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives and how long it takes, with the device of `where` idle before and after."""
    given: list[Any] = []

    def work_and_wait() -> None:
        given.append(work())
        ops.synchronize(where)

    ops.synchronize(where)
    taken = measure_seconds(work_and_wait)
    return given[0], taken


def measure_median_seconds(where: Any, work: Callable[[], Any], repeats: int) -> float:
    """The median time of some calls; results are dropped before the next."""
    return median(measure_call(where, work)[1] for _ in range(repeats))


@contextmanager
def limit_to_two_cores() -> Iterator[None]:
    """Work as on a machine of two cores: so many threads of ours, and of BLAS."""
    allowed = config.NUMBA_NUM_THREADS
    config.NUMBA_NUM_THREADS = min(2, allowed)  # `codebooks.ops.threads` looks at it before every piece of work
    try:
        with threadpool_limits(limits=2):
            yield
    finally:
        config.NUMBA_NUM_THREADS = allowed


# -- data --------------------------------------------------------------------------------------------------------------


def load_images(shape: tuple[int, int]) -> tuple[np.ndarray, str]:
    """MNIST, or a matrix of that shape and density where it is not at hand; and which of the two it is."""
    try:
        return load_mnist()[: shape[0]], "MNIST"
    except FileNotFoundError:
        rng = np.random.default_rng(0)
        pixels = rng.random(shape, dtype=np.float32)
        pixels *= rng.random(shape, dtype=np.float32) < DENSITY
        return pixels, "random pixels as dense as MNIST"


def draw_documents(cp: Any, n_rows: int, n_words: int, per_row: int, n_topics: int) -> sparse.csr_matrix:
    """Rows of `per_row` different words, on the host, drawn where `cp` computes: a device draws 60 million at once.

    The vocabulary is cut into `per_row` slices and a row has one word of each, so words differ and are sorted as they
    come. In the first half of the slices the r-th word has a probability like 1 / r: these are the words that all rows
    have in common. In the second half each topic has an order of its own, and low ranks are likelier still: without
    topics, units would find nothing to share, and an epoch would be one of repairs.
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
    """20 Newsgroups, or what everybody has."""
    try:
        return corpora.load("newsgroups")
    except FileNotFoundError:
        return corpora.load(corpora.OFFLINE[0][0])


# -- 1: ceilings -------------------------------------------------------------------------------------------------------


def measure_ceilings(cp: Any, sizes: Sizes, budget: Budget, known: Known) -> Cases:
    """What the device can do: everything else is held against that."""
    yield "our kernels", _measure_first_kernel(cp)
    yield "copy", _measure_copy(cp, sizes, budget, known)
    yield "product", _measure_product(cp, sizes, budget, known)


def _measure_first_kernel(cp: Any) -> Rows:
    taken = measure_call(cp.zeros(1), lambda: ops.row_norms(cp.ones((2, 2), np.float32)))[1]
    yield {"what": "the first of our kernels (CuPy compiles all, and keeps them on disk)", "first call seconds": taken}


def _measure_copy(cp: Any, sizes: Sizes, budget: Budget, known: Known) -> Rows:
    n, once = sizes.copy_bytes // 4, min(sizes.copy_bytes // 4, 2**24)
    source = cp.empty((max(n // once, 1), once), np.float32)
    source[...] = cp.random.default_rng(0).random(once, dtype=np.float32)
    target = cp.empty_like(source)
    measure_call(source, lambda: cp.copyto(target, source))
    taken = measure_median_seconds(source, lambda: cp.copyto(target, source), 2 * budget.repeats())
    known["bandwidth"] = 2 * source.nbytes / taken
    what = f"copy of {source.nbytes / 2**30:.1f} GiB on the device"
    yield {"what": what, "seconds": taken, **require_at_least(known["bandwidth"] / 1e9, None, "GB/s, read and written")}


def _measure_product(cp: Any, sizes: Sizes, budget: Budget, known: Known) -> Rows:
    draw = cp.random.default_rng(0)
    X, W = (draw.random((n, sizes.images[1]), dtype=np.float32) for n in (sizes.images[0], sizes.units))
    first = measure_call(X, lambda: X @ W.T)[1]
    known["image product"] = measure_median_seconds(X, lambda: X @ W.T, budget.repeats())
    (n_rows, n_features), n_units = X.shape, len(W)
    rate = 2 * n_rows * n_features * n_units / known["image product"]
    yield {
        "what": f"product {n_rows:,} x {n_features} x {n_units:,}, float32 without TF32",
        "seconds": known["image product"],
        "first call seconds": first,
        **require_at_least(rate / 1e12, None, "TFLOP/s"),
    }


# -- epochs ------------------------------------------------------------------------------------------------------------


class Epoch(NamedTuple):
    """An epoch on the device, after the schedules have ended."""

    start: Any  # the state that it begins with
    end: Any  # and that it ends with
    taken: float
    first: float  # seconds of the first one, with what it compiles
    order: float  # seconds of it that go into the order of rows, which the host makes
    n_idle: int  # units that nothing is left of at the end: many of them would say that the data is odd


def run_epoch(model: Any, X: Any, state: Any) -> Any:
    """The state after an epoch, always over the same minibatches."""
    return model._run_epoch(X, state, 1, np.random.RandomState(1))[0]


def measure_device_epoch(model: Any, X: Any, repeats: int, directions: Any = None) -> Epoch:
    """Time an epoch from the state after another one; `directions` is where units begin, if not where they choose.

    Units that choose may begin alike, so they get a few passes over some rows in which idle ones are revived; later
    none are, as in `benchmarks.speed`.
    """
    few = ops.take_rows(X, slice(0, min(WARM_ROWS, X.shape[0])))
    model, rng, state = model.set_params(revive=directions is None), np.random.RandomState(0), None
    for _ in range(WARM_PASSES if directions is None else 1):
        state = model._run_epoch(few, state, 0, rng)[0]
    if directions is not None:
        state = state._replace(components=directions)
    model, state = model.set_params(revive=False), state._replace(n_updates=SCHEDULES_ENDED)
    start, first = measure_call(X, lambda: run_epoch(model, X, state))
    end, second = measure_call(X, lambda: run_epoch(model, X, start))
    taken = median([second, *(measure_call(X, lambda: run_epoch(model, X, start))[1] for _ in range(repeats - 1))])
    order = measure_seconds(lambda: list(model._draw_minibatches(X.shape[0], np.random.RandomState(1))))
    return Epoch(start, end, taken, first, order, int(ops.to_host((end.usage == 0).sum())))


def measure_two_core_epoch(model: Any, X: Any, epoch: Epoch, repeats: int) -> tuple[float, float]:
    """Seconds of the same epoch on two cores of the CPU, and how far the units that come out lie from the device's."""
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
    """Two rows: the epoch against a ceiling, then against two cores."""
    epoch = measure_device_epoch(model, X, repeats[0], directions)
    times = {"seconds": epoch.taken, "first call seconds": epoch.first, "order of rows seconds": epoch.order}
    times["idle units"] = epoch.n_idle
    yield {"what": f"{what}: share of the ceiling", **times, **judge(epoch.taken)}
    on_cpu, difference = measure_two_core_epoch(model, on_host, epoch, repeats[1])
    yield {
        "what": f"{what}: against two cores",
        "seconds": epoch.taken,
        "CPU seconds": on_cpu,
        "largest difference of units": difference,
        **require_at_least(compute_ratio(on_cpu, epoch.taken), least, "times two CPU cores"),
    }


# -- 2: Krotov-Hopfield ------------------------------------------------------------------------------------------------


def measure_krotov_hopfield(cp: Any, sizes: Sizes, budget: Budget, known: Known) -> Cases:
    """An epoch of many units, in small and in large minibatches, and what torch and cuML need for their nearest."""
    on_host, name = load_images(sizes.images)
    X = cp.asarray(on_host)
    chosen = np.sort(np.random.RandomState(0).permutation(len(on_host))[: sizes.units])
    directions = np.resize(on_host[chosen], (sizes.units, on_host.shape[1]))  # a row each: none stays idle
    directions = directions / np.maximum(np.linalg.norm(directions, 3, axis=1, keepdims=True), 1e-30)
    start = cp.asarray(directions.astype(np.float32))
    for size in sizes.image_batches:
        yield f"minibatches of {size:,}", _measure_components_epoch(X, on_host, name, size, start, sizes, budget, known)
    size = sizes.image_batches[-1]
    yield "torch, an epoch of k-means", _measure_torch_k_means(X, start, size, budget, known)
    yield "cuML, a pass of KMeans", _measure_cuml_k_means(X, start, budget, known)


def _measure_components_epoch(
    X: Any, on_host: Any, name: str, size: int, start: Any, sizes: Sizes, budget: Budget, known: Known
) -> Rows:
    model = KrotovHopfield(sizes.units, p=3, batch_size=size, random_state=0)
    share = SHARE_OF_PRODUCT.get(size)

    def judge(taken: float) -> dict[str, Any]:
        known[f"epoch, {size}"] = taken
        return require_at_least(compute_ratio(known.get("image product"), taken), share, "of the product's rate")

    what = f"epoch of {name}, {X.shape[0]:,} x {X.shape[1]}, {sizes.units:,} units, p=3, minibatches of {size:,}"
    least, repeats = TIMES_TWO_CORES["Krotov-Hopfield"], (budget.repeats(), budget.repeats(2))
    yield from _measure_epoch_rows(model, X, on_host, what, judge, least, repeats, start)


def _measure_torch_k_means(X: Any, start: Any, size: int, budget: Budget, known: Known) -> Rows:
    torch = _import_torch()
    rows, centres = torch.from_dlpack(X), torch.nn.functional.normalize(torch.from_dlpack(start))

    def epoch() -> Any:
        units, order = centres, torch.randperm(len(rows), device=rows.device)
        for chosen in order.split(size):
            batch = rows[chosen]
            best = torch.topk(batch @ units.T, 2, dim=1).indices[:, 0]
            units = torch.nn.functional.normalize(units + torch.zeros_like(units).index_add_(0, best, batch))
        return units

    first, taken = _measure_torch_seconds(torch, rows, epoch, budget.repeats())
    what = f"torch: product, top 2 and sums of an epoch of spherical k-means, minibatches of {size:,}"
    yield _make_comparison(what, taken, first, known.get(f"epoch, {size}"))


def _measure_cuml_k_means(X: Any, start: Any, budget: Budget, known: Known) -> Rows:
    k_means = _import_peer("cuml.cluster").KMeans
    how = {"n_clusters": len(start), "init": start, "n_init": 1, "max_iter": 1, "tol": 0.0}
    first = measure_call(X, lambda: k_means(**how).fit(X))[1]
    taken = measure_median_seconds(X, lambda: k_means(**how).fit(X), budget.repeats())
    ours = min((value for name, value in known.items() if name.startswith("epoch, ")), default=None)
    yield _make_comparison("cuML: KMeans, one pass", taken, first, ours)


# -- 3: documents ------------------------------------------------------------------------------------------------------


def measure_topics(cp: Any, sizes: Sizes, budget: Budget, known: Known) -> Cases:
    """An epoch over many sparse rows."""
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
                _measure_topics_epoch(model, X, on_host, name, size, sizes, budget, known),
            )


def _measure_topics_epoch(
    model: Any, X: Any, on_host: Any, name: str, size: Any, sizes: Sizes, budget: Budget, known: Known
) -> Rows:
    n_bytes = 2 * on_host.nnz * sizes.topics * 4

    def judge(taken: float) -> dict[str, Any]:
        share = compute_bandwidth_share(n_bytes, taken, known.get("bandwidth"))
        return require_at_least(share, SHARE_OF_BANDWIDTH, "of the copy bandwidth, at 2 nnz K 4 bytes")

    what = f"{name}, epoch of {on_host.shape[0]:,} documents, K={sizes.topics}, minibatches: {size}"
    yield from _measure_epoch_rows(model, X, on_host, what, judge, TIMES_TWO_CORES["documents"], (budget.repeats(), 1))


# -- 4: recall ---------------------------------------------------------------------------------------------------------


def measure_recall(cp: Any, sizes: Sizes, budget: Budget, known: Known) -> Cases:
    """Noisy copies of dense memories, each of which brings back ten."""
    draw = cp.random.default_rng(0)
    memories = draw.standard_normal((sizes.memories, sizes.dimensions), dtype=np.float32)
    meant = np.random.RandomState(0).randint(sizes.memories, size=sizes.queries)
    noise = draw.standard_normal((sizes.queries, sizes.dimensions), dtype=np.float32)
    queries = memories[cp.asarray(meant)] + np.float32(NOISE) * noise
    del noise
    memory = HopfieldMemory(random_state=0)
    yield "product", _measure_blocked_product(memories, queries, sizes, budget, known)
    yield "fit and beta", _measure_memory_fit(memory, memories)
    yield "recall", _measure_recall(cp, memory, queries, meant, sizes, budget, known)
    yield "recall on the CPU", _measure_recall_on_cpu(memory, memories, queries, sizes, budget)
    yield "torch, top 10", _measure_torch_recall(memory, memories, queries, sizes, budget, known)


def _measure_blocked_product(memories: Any, queries: Any, sizes: Sizes, budget: Budget, known: Known) -> Rows:
    def product() -> None:
        for start in range(0, len(queries), sizes.query_block):
            queries[start : start + sizes.query_block] @ memories.T

    first = measure_call(queries, product)[1]
    known["recall product"] = measure_median_seconds(queries, product, budget.repeats())
    rate = 2 * len(queries) * memories.size / known["recall product"]
    yield {
        "what": f"product {len(queries):,} x {memories.shape[1]} x {len(memories):,}, {sizes.query_block:,} at a time",
        "seconds": known["recall product"],
        "first call seconds": first,
        **require_at_least(rate / 1e12, None, "TFLOP/s"),
    }


def _measure_memory_fit(memory: HopfieldMemory, memories: Any) -> Rows:
    yield {"what": "storing", "seconds": measure_call(memories, lambda: memory.fit(memories))[1]}
    beta, taken = measure_call(memories, lambda: memory.beta_)
    what = f"estimating beta ({memory.similarity_}, sparsemax)"
    yield {"what": what, "first call seconds": taken, **require_at_least(beta, None, "beta")}


def _measure_recall(
    cp: Any, memory: HopfieldMemory, queries: Any, meant: np.ndarray, sizes: Sizes, budget: Budget, known: Known
) -> Rows:
    first = measure_call(queries, lambda: memory.recall(queries, sizes.top))[1]
    _free(cp)
    before = _get_pool_bytes(cp, "used_bytes")
    (ids, weights), taken = measure_call(queries, lambda: memory.recall(queries, sizes.top))
    after = _get_pool_bytes(cp, "total_bytes")  # a pool gives nothing back by itself, so this is the most it has held
    more = [measure_call(queries, lambda: memory.recall(queries, sizes.top))[1] for _ in range(budget.repeats(3) - 1)]
    known["recall"] = median([taken, *more])
    yield {
        "what": f"recall of {sizes.queries:,} among {sizes.memories:,}, sparsemax, top {sizes.top}",
        "seconds": known["recall"],
        "first call seconds": first,
        "share of queries whose original comes first": float((ops.to_host(ids)[:, 0] == meant).mean()),
        "patterns with weight among these": float(ops.to_host((weights > 0).sum(axis=1).mean())),
        **require_at_least(
            compute_ratio(known.get("recall product"), known["recall"]), SHARE_OF_RECALL, "of the product's rate"
        ),
    }
    if before is None:
        raise LeftOutError("Memory is counted by CuPy's pool, and this is not CuPy.")
    whole = sizes.queries * sizes.memories * 4
    held = (after - before) / whole
    yield {
        "what": f"memory taken by recall, in matrices of all scores ({whole / 1e9:.1f} GB)",
        "GB": (after - before) / 1e9,
        "GB in use before": before / 1e9,
        **require_below(held, 1, "of that matrix"),
    }


def _measure_recall_on_cpu(memory: HopfieldMemory, memories: Any, queries: Any, sizes: Sizes, budget: Budget) -> Rows:
    few = queries[: max(sizes.queries // 10, 1)]
    taken = measure_median_seconds(few, lambda: memory.recall(few, sizes.top), budget.repeats(3))
    on_host, asked = ops.to_host(memories), ops.to_host(few)
    there = HopfieldMemory(memory.similarity_, beta=memory.beta_).fit(on_host)
    there.recall(asked[:2], sizes.top)  # derives what the stored rows need
    on_cpu = measure_seconds(lambda: there.recall(asked, sizes.top))
    yield {
        "what": f"recall of {len(few):,}, against all cores",
        "seconds": taken,
        "CPU seconds": on_cpu,
        **require_at_least(compute_ratio(on_cpu, taken), None, "times all CPU cores"),
    }


def _measure_torch_recall(
    memory: HopfieldMemory, memories: Any, queries: Any, sizes: Sizes, budget: Budget, known: Known
) -> Rows:
    torch = _import_torch()
    normalize, beta = torch.nn.functional.normalize, memory.beta_
    stored, asked = normalize(torch.from_dlpack(memories)), torch.from_dlpack(queries)

    def top() -> None:
        for block in asked.split(sizes.query_block):
            torch.topk(torch.softmax(beta * (normalize(block) @ stored.T), dim=1), sizes.top, dim=1)

    first, taken = _measure_torch_seconds(torch, asked, top, budget.repeats(3))
    what = f"torch: product, softmax and top {sizes.top}, {sizes.query_block:,} queries at a time"
    yield _make_comparison(what, taken, first, known.get("recall"))


# -- 5: fit and transform ----------------------------------------------------------------------------------------------


def measure_fits(cp: Any, sizes: Sizes, budget: Budget, known: Known) -> Cases:
    """Our models at their defaults on a corpus that people have, against all cores of this machine."""
    data = load_corpus()
    X = ops.to_device_of(data.X, cp.zeros(1))
    for name in OURS:
        yield name, _measure_fit(name, data, X, sizes.fit_units, budget)


def _measure_fit(name: str, data: corpora.Matrix, X: Any, n_units: int, budget: Budget) -> Rows:
    def measured(rows: Any) -> tuple[Any, float, float, float]:
        model, first = measure_call(rows, lambda: OURS[name].build(n_units, 0).fit(rows))
        taken = measure_median_seconds(rows, lambda: OURS[name].build(n_units, 0).fit(rows), budget.repeats(3))
        model.transform(rows)
        return model, taken, first, measure_median_seconds(rows, lambda: model.transform(rows), budget.repeats())

    model, fit, first, transform = measured(X)
    times = {"seconds": fit, "first call seconds": first}
    yield {"what": f"{name}, fit of {data.name} {data.X.shape}, K={n_units}", **times, "epochs": model.n_iter_}
    there, cpu_fit, _, cpu_transform = measured(data.X)
    unit = "times all CPU cores"
    for method, ours, theirs in (("fit", fit, cpu_fit), ("transform", transform, cpu_transform)):
        what = f"{name}, {method}, against all cores"
        yield {
            "what": what,
            "seconds": ours,
            "CPU seconds": theirs,
            **require_at_least(compute_ratio(theirs, ours), None, unit),
        }
    nmi = [metrics.agreement(data.labels, ops.to_host(one.labels_)).nmi for one in (model, there)]
    yield {
        "what": f"{name}, NMI, device and CPU",
        "NMI": nmi,
        "same label": float((ops.to_host(model.labels_) == there.labels_).mean()),
        **require_at_most(abs(nmi[0] - nmi[1]), NMI_DIFFERENCE, "apart"),
    }


# -- others ------------------------------------------------------------------------------------------------------------


def _import_peer(name: str) -> Any:
    if find_spec(name.partition(".")[0]) is None:
        raise LeftOutError(f"{name.partition('.')[0]} is not installed.")
    return import_module(name)


def _import_torch() -> Any:
    """Torch, in full float32."""
    torch = _import_peer("torch")
    torch.set_float32_matmul_precision("highest")
    return torch


def _measure_torch_seconds(torch: Any, where: Any, work: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """The first call, and the median of further ones."""

    def wait() -> None:
        if where.is_cuda:
            torch.cuda.synchronize()

    def once() -> float:
        wait()
        return measure_seconds(lambda: (work(), wait()))

    first = once()
    return first, median(once() for _ in range(repeats))


def _make_comparison(what: str, taken: float, first: float, ours: float | None) -> dict[str, Any]:
    judged = require_at_least(compute_ratio(taken, ours), None, "times ours")
    return {"what": what, "seconds": taken, "first call seconds": first, **judged}


# -- the run -----------------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Any, Sizes, Budget, Known], Cases]] = {
    "ceilings": measure_ceilings,
    "Krotov-Hopfield": measure_krotov_hopfield,
    "topics": measure_topics,
    "recall": measure_recall,
    "fit": measure_fits,
}


def measure_parts(cp: Any, sizes: Sizes, budget: Budget, parts: Iterable[str] | None = None) -> Rows:
    """All rows, as they come; what fails is a row too."""
    known: Known = {}
    for part in PARTS if parts is None else parts:
        cases = PARTS[part](cp, sizes, budget, known)
        while True:
            case = None
            try:
                if budget.is_spent():
                    raise LeftOutError("No time was left.")
                case, rows = next(cases)
                for row in rows:
                    yield {"part": part, **_convert_scalars(row), "at second": budget.used()}
            except StopIteration:
                break
            except Exception as error:  # whatever it is, the others go on
                yield {"part": part, "what": case or part, **_describe_error(error), "at second": budget.used()}
                if case is None:
                    break  # nothing more of this part can be prepared
            del rows  # what it holds can be freed
            _free(cp)
        cases.close()  # drops the data of the part
        _free(cp)


def _convert_scalars(row: dict[str, Any]) -> dict[str, Any]:
    """A row that can be written as JSON."""
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()}


def _describe_error(error: Exception) -> dict[str, Any]:
    if isinstance(error, LeftOutError):
        return {"met": f"left out: {error}"}
    words = " ".join(f"{type(error).__name__}: {error}".split()).replace("|", "/")
    trace = "".join(traceback.format_exception(error))
    return {"met": f"failed: {words[:300]}", "traceback": trace[-4000:]}


def _free(cp: Any) -> None:
    """Give back what nobody holds."""
    gc.collect()
    with suppress(Exception):  # after a fault on the device even this fails, and the fault has been told
        if hasattr(cp, "get_default_memory_pool"):
            cp.get_default_memory_pool().free_all_blocks()
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
            sys.modules["torch"].cuda.empty_cache()


def _get_pool_bytes(cp: Any, what: str) -> int | None:
    """A figure of CuPy's pool; None where there is no pool."""
    return getattr(cp.get_default_memory_pool(), what)() if hasattr(cp, "get_default_memory_pool") else None


def import_cupy() -> Any:
    """CuPy, with a device and without TF32.

    Raises
    ------
    SystemExit
        There is none: exit code 1 and a sentence.
    """
    os.environ.pop("CUPY_TF32", None)
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # which cuBLAS obeys, whoever calls it
    try:
        import cupy
    except ImportError as error:
        raise SystemExit(f"`{COMMAND}` wants CuPy, which cannot be imported here: {error}.") from error
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise SystemExit(f"`{COMMAND}` wants a CUDA device, and CuPy finds none here: {error}.") from error
    if not n_devices:
        raise SystemExit(f"`{COMMAND}` wants a CUDA device, and there is none here.")
    return cupy


def describe_device(cp: Any) -> dict[str, Any]:
    """What the figures were measured on."""
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
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.split()
    except (OSError, subprocess.SubprocessError):
        told = []
    return told[0] if told else "unknown"


def make_slug(name: str) -> str:
    """A name of a device as part of the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def run(sizes: Sizes | None = None) -> None:
    """Measure everything, write it as it comes, and print tables."""
    # What hangs on a device cannot be interrupted from Python: then the process says where it hung, and ends.
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
        write(name, about, rows, budget.used())
    used = budget.used()
    write(name, about, rows, used)
    print(f"\n{format_tables(rows)}\n\n{used:.0f} s in all; results/{name}.json")


def _format_row(row: dict[str, Any]) -> str:
    """A row in one line."""
    values = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}
    return "; ".join(f"{key}: {value}" for key, value in values.items() if value != "" and key != "traceback")


def write(name: str, about: dict[str, Any], rows: list[dict[str, Any]], used: float) -> None:
    """Write rows, the first of which is about the device and how long everything took."""
    report.write(name, [{"part": "device", **about, "total seconds": used}, *rows], COMMAND)


def format_tables(rows: list[dict[str, Any]]) -> str:
    """A table for each part, without columns that say nothing in it."""
    filled = [{key: value for key, value in row.items() if value not in (None, "")} for row in rows]
    by_part = [[row for row in filled if row["part"] == part] for part in dict.fromkeys(row["part"] for row in rows)]
    return "\n\n".join(
        report.format_table(of_part, [column for column in COLUMNS if any(column in row for row in of_part)])
        for of_part in by_part
    )
