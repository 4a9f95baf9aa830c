"""Recall of an associative memory: sets of words from a part of them, images from masked or noisy copies.

Words: 1,000 binary patterns over about 7,000 words (softmax at beta 2.5, threshold .5), and short sets of words,
similar to queries. Images: the protocol of Millidge et al., "Universal Hopfield Networks" (ICML 2022), on MNIST with
noise and masks of several sizes; success is a squared error of at most 50 over 784 pixels.
"""

import gzip
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.neighbors import NearestNeighbors

from benchmarks.corpora import get_data_folder
from benchmarks.corpus_folder import load_corpus
from benchmarks.report import format_table, write
from codebooks import HopfieldMemory

SIMILARITIES = ("dot", "cosine", "containment", "euclidean")
SEPARATIONS = ("softmax", "sparsemax", "entmax15", "max")
MASKED = (0.3, 0.6, 0.8)
SEEDS = range(5)
PLAIN_RULE: dict[str, Any] = {"separation": "softmax", "beta": 2.5}
DEFAULTS = "defaults"
PEER = "NearestNeighbors(1)"


# -- sets of words ---------------------------------------------------------------------------------------------------


def draw_word_sets(n_patterns: int, n_words: int, per_pattern: float, seed: int) -> sparse.csr_matrix:
    """Draw sets of distinct words by Zipf's law; sizes are Poisson distributed and at least 1."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_words + 1)
    sizes = np.clip(rng.poisson(per_pattern, n_patterns), 1, n_words)
    words = [np.sort(rng.choice(n_words, size, replace=False, p=share / share.sum())) for size in sizes]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return sparse.csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(words), ends), (n_patterns, n_words))


def load_articles(n_patterns: int = 1000, n_words: int = 7000) -> sparse.csr_matrix:
    """Load BBC articles as sets of their most frequent words."""
    documents = load_corpus("bbc_news").documents
    chosen = np.random.default_rng(0).permutation(len(documents))[:n_patterns]
    words = CountVectorizer(stop_words="english", max_features=n_words, binary=True, dtype=np.float32)
    return words.fit_transform([documents[i] for i in chosen])


def mask_words(patterns: sparse.csr_matrix, share: float, seed: int) -> sparse.csr_matrix:
    """Remove a share of the words of each pattern; at least one word is left."""
    rng = np.random.default_rng(seed)
    left = patterns.copy()
    for start, stop in zip(left.indptr[:-1], left.indptr[1:], strict=True):
        n_lost = min(round(share * (stop - start)), stop - start - 1)
        left.data[start + rng.permutation(stop - start)[: max(n_lost, 0)]] = 0
    left.eliminate_zeros()
    return left


def compute_recovery(memory: HopfieldMemory, patterns: sparse.csr_matrix, queries: sparse.csr_matrix) -> float:
    """Compute the share of patterns that are recovered exactly."""
    differ = abs(memory.transform(queries) - patterns)
    return float((np.asarray(differ.sum(axis=1)).ravel() == 0).mean())


def make_word_memories(separations: Sequence[str] = SEPARATIONS) -> dict[str, HopfieldMemory]:
    """Make memories: the defaults, softmax at beta 2.5 with every similarity, all similarities and separations."""
    memories = {DEFAULTS: HopfieldMemory(threshold=0.5)}
    for similarity in SIMILARITIES:
        memories[f"{similarity}, softmax, beta 2.5"] = HopfieldMemory(similarity, threshold=0.5, **PLAIN_RULE)
    for similarity in SIMILARITIES:
        for separation in separations:
            memories[f"{similarity}, {separation}"] = HopfieldMemory(similarity, separation=separation, threshold=0.5)
    return memories


def measure_words(
    what: str, sets: Sequence[sparse.csr_matrix], memories: dict[str, HopfieldMemory]
) -> list[dict[str, Any]]:
    """Return a result for each memory: exact recovery at each mask, the mean over sets of patterns."""
    shares: dict[str, dict[str, float]] = {name: {} for name in memories}
    for share in MASKED:
        queries = [mask_words(patterns, share, seed) for seed, patterns in enumerate(sets)]
        for name, memory in memories.items():
            recovery = [compute_recovery(memory.fit(X), X, Q) for X, Q in zip(sets, queries, strict=True)]
            shares[name][f"{share:.0%} masked"] = float(np.mean(recovery))
    return [{"what": what, "memory": name, **found} for name, found in shares.items()]


def run_words() -> None:
    """Write the recovery of sets of words."""
    everything = make_word_memories()
    rows = measure_words(
        "1,000 patterns of some 30 among 7,000 words", [draw_word_sets(1000, 7000, 30, s) for s in SEEDS], everything
    )
    rows += measure_words("1,000 BBC articles, 7,000 words", [load_articles()], everything)
    short = [draw_word_sets(4000, 3000, 10, seed) for seed in SEEDS]
    rows += measure_words("4,000 patterns of some 10 among 3,000 words", short, everything)
    write("retrieval-words", rows, "python -m benchmarks retrieval --part words")
    print(format_table(rows, list(rows[0])), flush=True)


# -- images ----------------------------------------------------------------------------------------------------------


class Trial(NamedTuple):
    """Number of stored images, and noise and mask of the queries."""

    what: str
    n_stored: int
    noise: float = 0.0
    masked: float = 0.0


N_STORED = (10, 20, 50, 100, 200, 300, 500, 700, 1000)
NOISES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5)
MASKS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TRIALS = (
    *(Trial("stored, noise .5", n, noise=0.5) for n in N_STORED),
    *(Trial("stored, half masked", n, masked=0.5) for n in N_STORED),
    *(Trial("noise, 100 stored", 100, noise=noise) for noise in NOISES),
    *(Trial("masked, 50 stored", 50, masked=share) for share in MASKS),
)
LARGEST_ERROR = 50 / 784  # a pixel


def load_mnist(part: str = "train") -> np.ndarray:
    """Load MNIST images as rows of float32 between 0 and 1."""
    file = get_data_folder("mnist") / f"{'t10k' if part == 'test' else part}-images-idx3-ubyte.gz"
    with gzip.open(file) as opened:
        return np.frombuffer(opened.read(), np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255


def corrupt_images(images: np.ndarray, trial: Trial, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise, clip to the range of pixels and set the lower part to zero."""
    queries = images
    if trial.noise:
        queries = np.clip(images + trial.noise * rng.standard_normal(images.shape, np.float32), 0, 1)
    queries = queries.copy()
    queries[:, images.shape[1] - round(trial.masked * images.shape[1]) :] = 0
    return queries


def make_image_memories() -> Iterator[tuple[str, HopfieldMemory]]:
    """Yield memories: the defaults, and all similarities and separations."""
    yield DEFAULTS, HopfieldMemory()
    for similarity in SIMILARITIES:
        for separation in SEPARATIONS:
            yield f"{similarity}, {separation}", HopfieldMemory(similarity, separation=separation)


def compute_success_rate(completed: np.ndarray, images: np.ndarray) -> float:
    return float((((completed - images) ** 2).sum(axis=1) <= LARGEST_ERROR * images.shape[1]).mean())


def measure_images(trial: Trial, images: np.ndarray, seeds: Sequence[int] = SEEDS) -> dict[str, float]:
    """Compute for each memory the share of recovered images, the mean over draws of images."""
    shares: dict[str, list[float]] = {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        stored = images[rng.choice(len(images), trial.n_stored, replace=False)]
        queries = corrupt_images(stored, trial, rng)
        for name, memory in make_image_memories():
            shares.setdefault(name, []).append(compute_success_rate(memory.fit(stored).transform(queries), stored))
        nearest = NearestNeighbors(n_neighbors=1).fit(stored).kneighbors(queries, return_distance=False)
        shares.setdefault(PEER, []).append(compute_success_rate(stored[nearest[:, 0]], stored))
    return {name: float(np.mean(found)) for name, found in shares.items()}


def run_images() -> None:
    """Write the share of recovered images in each trial."""
    images, rows = load_mnist(), []
    for trial in TRIALS:
        found = measure_images(trial, images)
        rows += [{**trial._asdict(), "memory": name, "recovered": share} for name, share in found.items()]
        shown = {name: found[name] for name in (DEFAULTS, "euclidean, max", "dot, softmax", PEER)}
        print(format_table([{**trial._asdict(), **shown}], [*trial._fields, *shown]).splitlines()[-1], flush=True)
    write("retrieval-images", rows, "python -m benchmarks retrieval --part images")
