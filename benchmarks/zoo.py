"""Learners and the memory at their defaults on the data sets of `tests/zoo.py`, compared with scikit-learn.

Figures of each set and learner: unused components, score, agreement with the true groups and seconds, at the defaults,
with `revive=False` and with `inhibition=None`. The peer is KMeans, the best of ten starts by its own objective, on the
rows scaled to length 1 and on the unscaled rows: its score is that of the scaled rows, its agreement the better of the
two. Streams use `partial_fit`; their peer is MiniBatchKMeans with the same minibatches, the median of ten starts,
because a stream cannot be read twice.

OrthogonalSparseCoding has its own peer, because orthonormal components cannot reach the score of KMeans if groups have
large cosines: the orthonormal matrix nearest to the centres of KMeans, refined by alternating labels and components
(not refined for streams).

MultinomialMixture is fitted to counts and binary rows only, and compared by agreement alone, because its score is a
likelihood.
"""

import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score
from sklearn.metrics.pairwise import cosine_similarity, euclidean_distances
from sklearn.preprocessing import normalize

import codebooks
from benchmarks.report import format_table, write
from codebooks import HopfieldMemory, InhibitedMixture, KrotovHopfield, MultinomialMixture, OrthogonalSparseCoding


def load_sets() -> Any:
    """Import the module `tests/zoo.py`, which is not part of a package."""
    spec = importlib.util.spec_from_file_location("zoo", Path(__file__).parents[1] / "tests" / "zoo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LEARNERS: dict[str, Callable[..., Any]] = {
    "KrotovHopfield": KrotovHopfield,
    "OrthogonalSparseCoding": OrthogonalSparseCoding,
    "InhibitedMixture": InhibitedMixture,
    "MultinomialMixture": MultinomialMixture,
}
DEFAULTS, UNREVIVED, UNINHIBITED = "defaults", "revive=False", "inhibition=None"
VARIANTS: dict[str, dict[str, Any]] = {
    DEFAULTS: {},
    UNREVIVED: {"revive": False},
    UNINHIBITED: {"inhibition": None},
}
PEER, ORTHONORMAL, NEIGHBOURS = "KMeans", "KMeans made orthonormal", "nearest neighbour"
# The floor: largest losses in score against `revive=False` and the peer, and in agreement against the peer.
LARGEST_LOSS_OF_SCORE, LARGEST_LOSS_WHILE_UNUSED, LARGEST_LOSS_OF_AGREEMENT = 0.02, 0.01, 0.05
# The floor of the memory: largest loss against the nearest neighbour.
LARGEST_LOSS_OF_RECALL, RECOGNISABLE = 0.05, 0.5
N_STARTS, MOST_FOR_STARTS = 10, 50  # starts of the peer up to this number of components, else one
MOST_FOR_SEEDS = 200  # one seed for more components
N_STEPS = 30  # steps that refine orthonormal components
N_PATTERNS = 500
NOISE, MASKED = 0.25, 0.3  # length of the noise by the distance to the nearest other pattern; share of entries hidden

COLUMNS = ["data", "K", "groups", "model", "variant", "unused", "score", "NMI", "AMI", "seconds", "faults"]
RECALL_COLUMNS = ["data", "patterns", "model", "stored", "noisy", "masked", "seconds", "faults"]


class Figures(NamedTuple):
    """Figures of one model on one set."""

    unused: int
    score: float
    nmi: float | None
    ami: float | None
    seconds: float


# -- learners and their peers -----------------------------------------------------------------------------------------


def is_refused(learner: str, data: Any) -> bool:
    """Return whether a learner is not fitted to a set: too many orthonormal components, or data without counts."""
    if learner == "MultinomialMixture":
        return data.kind not in ("text", "binary", "stream") or bool(data.X.min() < 0)
    return learner == "OrthogonalSparseCoding" and data.n_components > data.X.shape[1]


def list_variants(learner: str) -> list[str]:
    """List the variants of a learner."""
    return [DEFAULTS] if learner == "MultinomialMixture" else list(VARIANTS)


def measure(learner: str, variant: str, data: Any, seed: int) -> Figures:
    """Fit a learner and compute all figures on the evaluation rows."""
    model = LEARNERS[learner](data.n_components, random_state=seed, **VARIANTS[variant])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about unused components, which are counted here
        start = time.perf_counter()
        learn(model, data)
        seconds = time.perf_counter() - start
    X, y = select_evaluation_rows(data)
    return Figures(*evaluate(model.predict(X), y, data.n_components, model.score(X)), seconds)


def learn(model: Any, data: Any) -> Any:
    """Fit a learner to a set, or to the minibatches of a stream."""
    if data.order == "stream":
        for batch in data.batches:
            model.partial_fit(data.X[batch])
        return model
    if data.order == "given":
        first = data.batches[0]
        model.set_params(shuffle=False, batch_size=first.stop - first.start)
    return model.fit(data.X)


def select_evaluation_rows(data: Any) -> tuple[Any, np.ndarray | None]:
    """Select the evaluation rows that are not empty, and their groups."""
    rows = np.zeros(data.X.shape[0], bool)
    rows[data.evaluated] = True
    rows &= np.asarray(abs(data.X).sum(axis=1)).ravel() > 0
    return data.X[rows], None if data.y is None else data.y[rows]


def evaluate(labels: np.ndarray, y: np.ndarray | None, n_components: int, score: float) -> tuple[Any, ...]:
    """Return unused components, score, and normalised and adjusted mutual information with the true groups."""
    unused = int((np.bincount(labels[labels >= 0], minlength=n_components) == 0).sum())
    if y is None:
        return unused, score, None, None
    return (
        unused,
        score,
        float(normalized_mutual_info_score(y, labels)),
        float(adjusted_mutual_info_score(y, labels)),
    )


def measure_peers(data: Any, seed: int) -> dict[str, Figures]:
    """Measure KMeans, with the better agreement of scaled and unscaled rows, and KMeans made orthonormal."""
    X, y = select_evaluation_rows(data)
    Z = normalize(X)
    centres, labels, seconds = fit_peer(data, scaled=True, seed=seed)
    own = Figures(*evaluate(labels, y, data.n_components, compute_explained_energy(Z, normalize(centres))), seconds)
    if y is not None:
        _, labels, _ = fit_peer(data, scaled=False, seed=seed)
        raw = Figures(*evaluate(labels, y, data.n_components, 0.0), seconds)
        own = own._replace(nmi=max(own.nmi, raw.nmi), ami=max(own.ami, raw.ami))
    if data.n_components > X.shape[1]:
        return {PEER: own}
    start = time.perf_counter()
    basis = refine_orthonormal(Z, normalize(centres), 0 if data.order == "stream" else N_STEPS)
    seconds += time.perf_counter() - start
    labels = np.asarray(Z @ basis.T).argmax(axis=1)
    return {
        PEER: own,
        ORTHONORMAL: Figures(*evaluate(labels, y, data.n_components, compute_explained_energy(Z, basis)), seconds),
    }


def fit_peer(data: Any, *, scaled: bool, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return centres and labels of the best of several starts (streams: the median), and the seconds of one."""
    X, evaluated = data.X, select_evaluation_rows(data)[0]
    if scaled:
        X, evaluated = normalize(X), normalize(evaluated)
    found, taken = [], []
    for i in range(N_STARTS if data.n_components <= MOST_FOR_STARTS else 1):
        settings = {"n_init": 1, "random_state": 1000 * seed + i}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about fewer distinct rows than components
            start = time.perf_counter()
            if data.order == "stream":
                model = MiniBatchKMeans(data.n_components, **settings)
                for batch in data.batches:
                    model.partial_fit(X[batch])
            else:
                model = KMeans(data.n_components, **settings).fit(evaluated)
        taken.append(time.perf_counter() - start)
        found.append((-model.score(evaluated), i, model))
    model = sorted(found)[len(found) // 2 if data.order == "stream" else 0][2]
    return model.cluster_centers_, model.predict(evaluated), median(taken)


def compute_explained_energy(Z: Any, components: np.ndarray) -> float:
    """Compute the score of learners independently, for rows and components of length 1."""
    return float(np.mean(np.asarray(Z @ components.T).max(axis=1).clip(0, None) ** 2))


def refine_orthonormal(Z: Any, centres: np.ndarray, n_steps: int) -> np.ndarray:
    """Return the best orthonormal components while labels and components are improved in turn."""
    basis = find_nearest_orthonormal(np.asarray(centres, np.float64))
    best, best_energy = basis, compute_explained_energy(Z, basis)
    for _ in range(n_steps):
        codes = np.asarray(Z @ basis.T)
        winner = codes.argmax(axis=1)
        kept = np.zeros_like(codes)
        rows = np.arange(len(codes))
        kept[rows, winner] = codes[rows, winner].clip(0, None)
        basis = find_nearest_orthonormal(np.asarray(kept.T @ Z) + 1e-3 * basis)
        energy = compute_explained_energy(Z, basis)
        if energy > best_energy:
            best, best_energy = basis, energy
    return best


def find_nearest_orthonormal(M: np.ndarray) -> np.ndarray:
    """Return the matrix with orthonormal rows nearest to `M`."""
    left, _, right = np.linalg.svd(M, full_matrices=False)
    return left @ right


def find_faults(learner: str, figures: dict[str, Figures], peers: dict[str, Figures], data: Any) -> list[str]:
    """Return violations of the floor as sentences.

    - The score at the defaults is at most .02 below that of `revive=False` and of the peer.
    - No component is unused if the score is more than .01 below that of the peer, which uses as many as it can.
    - The agreement is at most .05 below that of the peer.

    For OrthogonalSparseCoding the bounds are the agreement of KMeans as far as the orthonormal peer reaches it, the
    score of `revive=False` alone, and the unused components of these two. If all rows have nearly the same direction,
    the orthonormal components with the best score describe all rows by one component and do not separate groups, so
    that score and agreement cannot both be good.
    """
    own, peer = figures[DEFAULTS], peers[PEER]
    if learner == "MultinomialMixture":
        return find_agreement_faults(own, peer)
    unrevived = figures[UNREVIVED]
    needless = data.n_components if own.score > peer.score - LARGEST_LOSS_WHILE_UNUSED else 0
    rivals = {UNREVIVED: unrevived, "peer": peer}
    if learner == "OrthogonalSparseCoding":
        bound = peers[ORTHONORMAL]
        needless = max(needless, bound.unused, unrevived.unused)
        del rivals["peer"]
        if peer.nmi is not None and bound.nmi is not None:
            peer = peer._replace(nmi=min(peer.nmi, bound.nmi))
    faults = [
        f"score {own.score:.3f}, {name} {other.score:.3f}"
        for name, other in rivals.items()
        if own.score < other.score - LARGEST_LOSS_OF_SCORE
    ]
    if own.unused > needless:
        faults.append(f"{own.unused} of {data.n_components} components are unused")
    return faults + find_agreement_faults(own, peer)


def find_agreement_faults(own: Figures, peer: Figures) -> list[str]:
    """Return a sentence if the agreement violates the floor."""
    if own.nmi is None or peer.nmi is None or own.nmi >= peer.nmi - LARGEST_LOSS_OF_AGREEMENT:
        return []
    return [f"NMI {own.nmi:.3f}, peer {peer.nmi:.3f}"]


# -- the memory -------------------------------------------------------------------------------------------------------


class Recall(NamedTuple):
    """Shares of patterns that are recovered, unchanged and unmixed."""

    patterns: int
    stored: float  # queries equal to the patterns
    noisy: float  # with noise of a quarter of the distance to the nearest other pattern
    masked: float  # with a part of the entries set to zero
    seconds: float


def measure_memory(data: Any, seed: int) -> dict[str, Recall]:
    """Measure HopfieldMemory at its defaults, and nearest patterns by distance (noisy) or cosine (masked)."""
    patterns = select_distinct_rows(data.X, N_PATTERNS)
    if patterns.dtype.kind != "f":
        patterns = patterns.astype(np.float64)  # noise is not an integer
    dense = patterns.toarray() if sparse.issparse(patterns) else patterns
    wide = dense.astype(np.float64)
    distances = euclidean_distances(wide)
    np.fill_diagonal(distances, np.inf)
    gap = distances.min(axis=1, initial=np.linalg.norm(wide, axis=1).max())
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(wide.shape) * (wide != 0)
    noisy = wide + NOISE * gap[:, None] * normalize(noise)
    hidden = rng.random(wide.shape) < MASKED
    hidden[np.arange(len(wide)), np.abs(wide).argmax(axis=1)] = False  # no query is empty
    masked = np.where(hidden, 0, wide)

    tolerance = np.maximum(0.01 * gap, 1e-5 * np.linalg.norm(wide, axis=1))

    def compute_recovered_share(rows: Any) -> float:
        completed = rows.toarray() if sparse.issparse(rows) else rows
        return float((np.linalg.norm(completed - wide, axis=1) <= tolerance).mean())

    start = time.perf_counter()
    memory = HopfieldMemory(random_state=seed).fit(patterns)
    as_stored = type(patterns) if sparse.issparse(patterns) else np.asarray
    shares = [
        compute_recovered_share(memory.transform(as_stored(rows.astype(dense.dtype)))) for rows in (wide, noisy, masked)
    ]
    seconds = time.perf_counter() - start
    by_distance = compute_share_nearest(-euclidean_distances(noisy, wide))
    by_cosine = compute_share_nearest(cosine_similarity(masked, wide))
    neighbours = Recall(len(wide), 1.0, by_distance, by_cosine, 0.0)
    return {"HopfieldMemory": Recall(len(wide), *shares, seconds), NEIGHBOURS: neighbours}


def compute_share_nearest(scores: np.ndarray) -> float:
    """Compute the share of queries whose own pattern is nearer than any other; ties do not count."""
    own = np.diagonal(scores).copy()
    others = scores.copy()
    np.fill_diagonal(others, -np.inf)
    return float((own > others.max(axis=1) + 1e-9 * np.abs(own)).mean())


def select_distinct_rows(X: Any, n: int) -> Any:
    """Select the first `n` distinct rows that are not empty."""
    found: dict[bytes, int] = {}
    for i in range(X.shape[0]):
        row = X[[i]].toarray()[0] if sparse.issparse(X) else X[i]
        if row.any():
            found.setdefault(row.tobytes(), i)
        if len(found) == n:
            break
    return X[list(found.values())]


def find_memory_faults(recall: dict[str, Recall]) -> list[str]:
    """Return violations of the floor: every stored row is recovered, and of damaged rows nearly the share of the peer.

    Damage after which less than half of the rows have their own pattern nearest is ignored.
    """
    own, neighbours = recall["HopfieldMemory"], recall[NEIGHBOURS]
    faults = [f"{own.stored:.3f} of the stored rows come back"] if own.stored < 1 else []
    for what in ("noisy", "masked"):
        back, nearest = getattr(own, what), getattr(neighbours, what)
        if nearest >= RECOGNISABLE and back < nearest - LARGEST_LOSS_OF_RECALL:
            faults.append(f"{back:.3f} of the {what} rows come back, {nearest:.3f} have their own nearest")
    return faults


# -- the benchmark ----------------------------------------------------------------------------------------------------


def run(n_seeds: int = 3, size: float = 1.0, names: Sequence[str] = ()) -> None:
    """Measure the sets, write results/zoo.json if all sets are measured, and print the tables."""
    codebooks.warmup()
    sets = [make for make in load_sets().ZOO if not names or make.__name__ in names]
    rows: list[dict[str, Any]] = []
    for make in sets:
        new = [*measure_learner_rows(make, n_seeds, size), *measure_memory_rows(make, n_seeds, size)]
        rows += new
        for row in new:
            print(format_table([row], COLUMNS if "score" in row else RECALL_COLUMNS).splitlines()[-1], flush=True)
    if not names:
        write("zoo", rows, f"python -m benchmarks zoo --seeds {n_seeds} --size {size:g}")
    print("\n" + format_table([row for row in rows if "score" in row], COLUMNS))
    print("\n" + format_table([row for row in rows if "stored" in row], RECALL_COLUMNS))
    broken = [row for row in rows if row.get("faults")]
    print(f"\n{len(broken)} cells below the floor:\n")
    print(format_table(broken, ["data", "model", "faults"]))


def measure_learner_rows(make: Callable[[int, float], Any], n_seeds: int, size: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each learner, variant and peer: medians over seeds, and the faults of all seeds."""
    figures: dict[tuple[str, str], list[Figures]] = {}
    faults: dict[str, list[str]] = {}
    for seed in range(n_seeds):
        data = make(seed, size)
        peers = measure_peers(data, seed)
        for learner in LEARNERS:
            if is_refused(learner, data):
                continue
            own = {variant: measure(learner, variant, data, seed) for variant in list_variants(learner)}
            faults.setdefault(learner, []).extend(
                f"seed {seed}: {fault}" for fault in find_faults(learner, own, peers, data)
            )
            for variant, found in own.items():
                figures.setdefault((learner, variant), []).append(found)
        for name, found in peers.items():
            figures.setdefault((name, ""), []).append(found)
        if data.n_components > MOST_FOR_SEEDS:
            break
    for (model, variant), runs in figures.items():
        yield {
            "data": data.name,
            "kind": data.kind,
            "rows": data.X.shape[0],
            "features": data.X.shape[1],
            "K": data.n_components,
            "groups": data.n_groups,
            "model": model,
            "variant": variant,
            "unused": median(run.unused for run in runs),
            "score": median(run.score for run in runs),
            "NMI": "" if runs[0].nmi is None else median(run.nmi for run in runs),
            "AMI": "" if runs[0].ami is None else median(run.ami for run in runs),
            "seconds": median(run.seconds for run in runs),
            "faults": "; ".join(faults.get(model, [])) if variant == DEFAULTS else "",
        }


def measure_memory_rows(make: Callable[[int, float], Any], n_seeds: int, size: float) -> Iterator[dict[str, Any]]:
    """Yield a row for the memory and one for the nearest neighbour: medians over seeds."""
    found = []
    faults = []
    for seed in range(n_seeds):
        data = make(seed, size)
        found.append(measure_memory(data, seed))
        faults += [f"seed {seed}: {fault}" for fault in find_memory_faults(found[-1])]
    for model in found[0]:
        runs = [recall[model] for recall in found]
        medians = {what: median(getattr(run, what) for run in runs) for what in Recall._fields}
        yield {
            "data": data.name,
            "kind": data.kind,
            "model": model,
            **medians,
            "faults": "; ".join(faults) if model == "HopfieldMemory" else "",
        }
