"""Small data sets of many kinds with known groups, for tests and benchmarks of defaults.

Each generator is a function of a seed and a size, and returns the same `DataSet` for the same arguments. `size=1` is
the size for benchmarks; smaller sizes have fewer rows, and fewer components if there are hundreds. Groups are planted
with margins, so that disagreement is an error of the learner. The module does not import `codebooks`.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.feature_extraction.text import TfidfTransformer


class DataSet(NamedTuple):
    """Samples, their true groups, and the way of fitting a learner to them."""

    name: str
    X: Any  # (n_samples, n_features), dense or CSR
    y: np.ndarray | None  # true group of each row, -1 for a row without group; None if there are no groups
    n_components: int  # number of components of the learner
    kind: str  # "pixels", "patches", "text", "embeddings", "signals", "binary", "table" or "stream"
    order: str = "shuffled"  # "shuffled": fit; "given": fit with shuffle=False; "stream": partial_fit over `batches`
    batches: tuple[slice, ...] = ()  # minibatches in order, if the order is "given" or "stream"
    evaluated: slice = slice(None)  # rows for score and agreement
    same_as: str | None = None  # name of the set with the same result
    notes: str = ""

    @property
    def n_groups(self) -> int:
        """Number of true groups."""
        return 0 if self.y is None else len(np.unique(self.y[self.y >= 0]))


Generator = Callable[[int, float], DataSet]
SIDE = 28  # images are SIDE x SIDE pixels


# -- parts ------------------------------------------------------------------------------------------------------------


def scale_n_rows(n: int, size: float, least: int = 100) -> int:
    """Return the number of rows of a set that has `n` rows at size 1."""
    return max(least, round(n * size))


def draw_labels(rng: np.random.Generator, *group_sizes: int) -> np.ndarray:
    """Draw labels of groups of given sizes, in random order."""
    return rng.permutation(np.repeat(np.arange(len(group_sizes)), group_sizes))


def draw_even_labels(rng: np.random.Generator, n: int, n_groups: int) -> np.ndarray:
    """Draw labels of groups of equal size, in random order."""
    return rng.permutation(np.arange(n) % n_groups)


def draw_directions(rng: np.random.Generator, n: int, n_features: int) -> np.ndarray:
    """Draw vectors of length 1 with cosines of at most .4."""
    directions: list[np.ndarray] = []
    while len(directions) < n:
        vector = rng.standard_normal(n_features)
        vector /= np.linalg.norm(vector)
        if all(abs(vector @ other) <= 0.4 for other in directions):
            directions.append(vector)
    return np.array(directions)


def draw_around(rng: np.random.Generator, centres: np.ndarray, y: np.ndarray, spread: Any) -> np.ndarray:
    """Draw rows around the centre of their group; the noise of a row has about the length `spread`."""
    noise = rng.standard_normal((len(y), centres.shape[1])) / np.sqrt(centres.shape[1])
    return centres[y] + np.broadcast_to(spread, len(y))[:, None] * noise


def scale_to_unit_length(X: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; rows of zeros stay zeros."""
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(norms > 0, norms, 1)


def make_pixel_grid() -> tuple[np.ndarray, np.ndarray]:
    """Return horizontal and vertical positions of the pixels of an image, from -1 to 1, as rows."""
    line = np.linspace(-1, 1, SIDE)
    v, u = np.meshgrid(line, line, indexing="ij")
    return u.ravel(), v.ravel()


# -- pixels -----------------------------------------------------------------------------------------------------------


def digits(seed: int, size: float, n_components: int = 10) -> DataSet:
    """Handwritten digits of scikit-learn, 8 x 8, in random order."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    name = "digits" if n_components == 10 else f"digits, K={n_components}"
    return DataSet(name, X[order], y[order], n_components, "pixels")


def digits_40(seed: int, size: float) -> DataSet:
    """The same with more components than groups."""
    return digits(seed, size, 40)


def digits_in_bytes(seed: int, size: float) -> DataSet:
    """The same as unsigned bytes, as images are stored."""
    base = digits(seed, size)
    return base._replace(name="digits, uint8", X=base.X.astype(np.uint8), same_as="digits")


def bumps(seed: int, size: float, n_components: int = 12) -> DataSet:
    """A smooth bump at one of 12 places on a background of 1: all rows point nearly one way."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 784)
    y = rng.integers(0, 12, scale_n_rows(3000, size))
    X = 1 + 2 * np.exp(-(((t - (y[:, None] + 0.5) / 12) / 0.06) ** 2)) + 0.05 * rng.random((len(y), len(t)))
    name = "bumps" if n_components == 12 else f"bumps, K={n_components}"
    return DataSet(name, X, y, n_components, "pixels", notes="cosines of groups are near .8")


def bumps_6(seed: int, size: float) -> DataSet:
    """The same with fewer components than groups."""
    return bumps(seed, size, 6)


def bumps_20(seed: int, size: float) -> DataSet:
    """The same with more components than groups."""
    return bumps(seed, size, 20)


def strokes(seed: int, size: float, n_components: int = 10) -> DataSet:
    """Polylines of three strokes: 10 characters, with small random displacements of their points."""
    rng = np.random.default_rng(seed)
    templates: list[np.ndarray] = []
    drawn: list[np.ndarray] = []
    while len(templates) < 10:
        points = rng.uniform(-0.8, 0.8, (1, 4, 2))
        image = scale_to_unit_length(draw_polylines(points))[0]
        if all(image @ other < 0.5 for other in drawn):
            templates.append(points[0])
            drawn.append(image)
    y = draw_even_labels(rng, scale_n_rows(3000, size), 10)
    points = np.array(templates)[y] + rng.normal(0, 0.05, (len(y), 4, 2))
    X = draw_polylines(points).astype(np.float32)
    name = "strokes" if n_components == 10 else f"strokes, K={n_components}"
    return DataSet(name, X, y, n_components, "pixels", notes="characters overlap")


def strokes_40(seed: int, size: float) -> DataSet:
    """The same with more components than groups."""
    return strokes(seed, size, 40)


def draw_polylines(points: np.ndarray) -> np.ndarray:
    """Draw images (n, SIDE^2) of polylines through `points` (n, n_points, 2), pixels from 0 to 1."""
    pixels = np.stack(make_pixel_grid(), axis=1)
    images = np.zeros((len(points), len(pixels)))
    for i, polyline in enumerate(points):
        nearest = np.full(len(pixels), np.inf)
        for a, b in pairwise(polyline):
            along = b - a
            share = np.clip((pixels - a) @ along / max(along @ along, 1e-12), 0, 1)
            nearest = np.minimum(nearest, ((pixels - a - share[:, None] * along) ** 2).sum(axis=1))
        images[i] = np.exp(-nearest / (2 * 0.09**2))
    return images


def clothing(seed: int, size: float, n_components: int = 8) -> DataSet:
    """Filled shapes of 8 kinds of clothing in grey, with random size, position, brightness and shading."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(3000 if n_components == 8 else 5000, size), 8)
    name = "clothing" if n_components == 8 else "clothing, many components"
    return DataSet(name, draw_clothing(rng, y), y, n_components, "pixels", notes="shapes overlap")


def clothing_1000(seed: int, size: float) -> DataSet:
    """The same with a component for every fifth row: 1,000 at size 1."""
    return clothing(seed, size, scale_n_rows(1000, size))


def draw_clothing(rng: np.random.Generator, y: np.ndarray) -> np.ndarray:
    """Draw images (n, SIDE^2), float32, of the kinds `y` of clothing, pixels from 0 to 1."""
    n = len(y)
    grid_u, grid_v = make_pixel_grid()
    place = rng.normal(0, 0.03, (2, n, 1))
    width, height = rng.normal(1, 0.08, (2, n, 1)).clip(0.7, 1.3)
    u, v = (grid_u - place[0]) / width, (grid_v - place[1]) / height
    w = np.abs(u)
    torso = (w < 0.42) & (np.abs(v) < 0.75)
    sleeves = (w < 0.95) & (np.abs(v + 0.75 - 0.5 * (w - 0.4) - 0.2) < 0.2)
    shapes = [
        (w < 0.4) & (np.abs(v) < 0.9) & ~((w < 0.08) & (v > -0.5)),  # trousers
        torso | sleeves,  # shirt
        w < np.where(np.abs(v) < 0.9, 0.12 + 0.28 * (v + 0.9), 0),  # dress
        (v > 0.1) & (v < 0.55) & (w < 0.9) & (v > 0.1 - 0.35 * (u + 0.4)),  # shoe
        ((v > -0.2) & (v < 0.8) & (w < 0.85)) | (np.abs(np.hypot(u, v + 0.2) - 0.5) < 0.08) & (v < 0),  # bag
        ((u > -0.2) & (u < 0.35) & (np.abs(v) < 0.85)) | ((w < 0.85) & (u < 0.35) & (v > 0.45) & (v < 0.85)),  # boot
        ((w < 0.5) & (np.abs(v) < 0.9)) | ((w > 0.6) & (w < 0.85) & (v > -0.8) & (v < 0.7)),  # coat
        (np.hypot(u / 0.55, (v - 0.2) / 0.5) < 1) & (v < 0.2) | (w < 0.95) & (v >= 0.2) & (v < 0.4),  # hat
    ]
    inside = np.choose(y[:, None], shapes)
    light = rng.uniform(0.4, 1, (n, 1)) * (1 + rng.normal(0, 0.15, (n, 1)) * u + rng.normal(0, 0.15, (n, 1)) * v)
    pattern = 1 + rng.uniform(0, 0.3, (n, 1)) * np.sin(rng.uniform(3, 15, (n, 1)) * v)  # horizontal stripes
    grey = light * pattern + rng.normal(0, 0.02, inside.shape)
    return np.where(inside, grey, 0).clip(0, 1).astype(np.float32)


def natural_patches(seed: int, size: float, centred: bool = False) -> DataSet:
    """Patches, 8 x 8, of images whose amplitude spectrum falls as 1/f; centred ones have negative values."""
    rng = np.random.default_rng(seed)
    n, width, side = scale_n_rows(4000, size), 128, 8
    frequency = np.hypot(np.fft.fftfreq(width)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectra = np.fft.rfft2(rng.standard_normal((10, width, width))) / frequency
    images = np.fft.irfft2(spectra, s=(width, width))
    images = (images - images.min()) / np.ptp(images)
    windows = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
    picked = tuple(rng.integers(length, size=n) for length in windows.shape[:3])
    X = windows[picked].reshape(n, side * side)
    if centred:
        X = X - X.mean(axis=1, keepdims=True)
    name = "natural patches, centred" if centred else "natural patches"
    return DataSet(name, X, None, 16, "patches", notes="no groups, directions are continuous")


def centred_patches(seed: int, size: float) -> DataSet:
    """The same without the mean of each patch."""
    return natural_patches(seed, size, centred=True)


# -- text -------------------------------------------------------------------------------------------------------------


def draw_counts(
    rng: np.random.Generator,
    mixture: np.ndarray,
    length: int,
    *,
    share: float = 0.6,
    words_per_topic: int = 40,
    n_background: int = 200,
) -> sparse.csr_matrix:
    """Draw counts of words of documents, (n, n_topics * words_per_topic + n_background), float64.

    Row i of `mixture` contains the shares of topics in document i. A share of the words comes from these topics, the
    rest from common words. The first word always comes from a topic.
    """
    n, n_topics = mixture.shape
    lengths = np.maximum(rng.poisson(length, n), 2)
    document = np.repeat(np.arange(n), lengths)
    is_first = np.r_[True, document[1:] != document[:-1]]
    is_own = (rng.random(len(document)) < share) | is_first
    topic = (rng.random(len(document))[:, None] > np.cumsum(mixture, axis=1)[document, :-1]).sum(axis=1)
    own = topic * words_per_topic + draw_zipf(rng, words_per_topic, len(document))
    other = n_topics * words_per_topic + draw_zipf(rng, n_background, len(document))
    word = np.where(is_own, own, other)
    shape = n, n_topics * words_per_topic + n_background
    return sparse.csr_matrix((np.ones(len(word)), (document, word)), shape=shape)


def draw_zipf(rng: np.random.Generator, n_words: int, n: int) -> np.ndarray:
    """Draw words by Zipf's law."""
    frequency = 1 / np.arange(1, n_words + 1)
    return rng.choice(n_words, n, p=frequency / frequency.sum())


def apply_tfidf(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Convert counts to tf-idf with rows of length 1."""
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts)


def make_one_topic_mixture(y: np.ndarray) -> np.ndarray:
    """Return the mixture of documents with one topic each."""
    return np.eye(y.max() + 1)[y]


def counts_balanced(seed: int, size: float) -> DataSet:
    """Counts of words, 8 topics of equal size."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    return DataSet("counts", draw_counts(rng, make_one_topic_mixture(y), 60), y, 8, "text")


def counts_with_stop_words(seed: int, size: float) -> DataSet:
    """Counts of words, 8 topics; most words of a row are among ten common words: mean cosine .9."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    X = draw_counts(rng, make_one_topic_mixture(y), 200, share=0.25, words_per_topic=20, n_background=10)
    return DataSet("counts with stop words", X, y, 8, "text")


def bursty_counts(seed: int, size: float) -> DataSet:
    """Counts of words, 8 topics, with bursts: words that occur often occur many times, and lengths of rows differ."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    X = draw_counts(rng, make_one_topic_mixture(y), 60)
    X.data *= np.ceil(rng.pareto(1.5, X.nnz).clip(0, 30) + 1e-9)
    return DataSet("bursty counts", X, y, 8, "text")


def tfidf_balanced(seed: int, size: float) -> DataSet:
    """tf-idf, 8 topics of equal size."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    return DataSet("tf-idf", apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 60)), y, 8, "text")


def tfidf_few_components(seed: int, size: float) -> DataSet:
    """tf-idf, 12 topics and 6 components."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 12)
    return DataSet("tf-idf, K=6 of 12", apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 60)), y, 6, "text")


def tfidf_many_components(seed: int, size: float) -> DataSet:
    """tf-idf, 8 topics and 30 components."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    return DataSet("tf-idf, K=30 of 8", apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 60)), y, 30, "text")


def tfidf_skewed(seed: int, size: float) -> DataSet:
    """tf-idf, 6 topics whose sizes fall from 100 to 1."""
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(scale_n_rows(2000, size, least=500), scale_n_rows(20, size, least=5), 6).round().astype(int)
    y = draw_labels(rng, *sizes)
    return DataSet("tf-idf, 100 to 1", apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 60)), y, 6, "text")


def one_large_topic(seed: int, size: float) -> DataSet:
    """tf-idf, one topic of 4,000 rows and nine of 40."""
    rng = np.random.default_rng(seed)
    small = scale_n_rows(40, size, least=10)
    y = draw_labels(rng, 100 * small, *[small] * 9)
    return DataSet(
        "tf-idf, one of 4,000 and nine of 40",
        apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 60)),
        y,
        10,
        "text",
    )


def titles(seed: int, size: float) -> DataSet:
    """tf-idf of titles of 6 words, 10 topics."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(4000, size), 10)
    X = apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 6, share=0.7, words_per_topic=30))
    return DataSet("titles", X, y, 10, "text", notes="many titles share no word, so groups are not compact")


def articles(seed: int, size: float, dtype: Any = np.float64) -> DataSet:
    """tf-idf of articles of 300 words, 10 topics."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(1000, size), 10)
    X = apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 300, words_per_topic=100, n_background=1000)).astype(
        dtype
    )
    if dtype is np.float64:
        return DataSet("articles", X, y, 10, "text")
    return DataSet("articles, float32", X, y, 10, "text", same_as="articles")


def articles_float32(seed: int, size: float) -> DataSet:
    """The same in float32."""
    return articles(seed, size, np.float32)


def two_topics_a_row(seed: int, size: float) -> DataSet:
    """tf-idf, 8 topics, two of them in each row: three quarters from the first, which is the label, and a quarter."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    second = (y + rng.integers(1, 8, len(y))) % 8
    mixture = 0.75 * np.eye(8)[y] + 0.25 * np.eye(8)[second]
    return DataSet("two topics in each row", apply_tfidf(draw_counts(rng, mixture, 120)), y, 8, "text")


def repeated_rows(seed: int, size: float, n_copies: int = 160) -> DataSet:
    """Six distinct rows, orthogonal; one has many copies, the others 20."""
    y = np.repeat(np.arange(6), [n_copies, 20, 20, 20, 20, 20])
    return DataSet(f"six distinct rows, {n_copies} copies", np.eye(6)[y], y, 6, "text")


def repeated_rows_1000(seed: int, size: float) -> DataSet:
    """The same with 1,000 copies."""
    return repeated_rows(seed, size, 1000)


def fewer_rows_than_components(seed: int, size: float) -> DataSet:
    """Five distinct rows and eight components, of which three cannot be used."""
    y = draw_even_labels(np.random.default_rng(seed), scale_n_rows(200, size, least=50), 5)
    rows = draw_directions(np.random.default_rng(seed), 5, 32)
    return DataSet("five distinct rows, K=8", rows[y], y, 8, "embeddings")


def repeated_sentence(seed: int, size: float, part: float = 0.1) -> DataSet:
    """tf-idf of titles, 8 topics; a share of the rows is one repeated sentence, which is a separate group."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    counts = draw_counts(rng, make_one_topic_mixture(y), 15, words_per_topic=30).tolil()
    copies = np.sort(rng.choice(len(y), round(part * len(y)), replace=False))
    counts[copies] = 0
    sentence = counts.shape[1] - 1 - np.arange(0, 100, 10)  # rare words
    for row in copies:
        counts[row, sentence] = 1
    y = y.copy()
    y[copies] = 8
    name = f"one sentence in {100 * part:.0f} % of the rows"
    return DataSet(name, apply_tfidf(counts.tocsr()), y, 9, "text")


def repeated_sentence_30(seed: int, size: float) -> DataSet:
    """The same in 30 % of the rows."""
    return repeated_sentence(seed, size, 0.3)


def repeated_sentence_50(seed: int, size: float) -> DataSet:
    """The same in half of the rows."""
    return repeated_sentence(seed, size, 0.5)


def nearly_repeated_rows(seed: int, size: float) -> DataSet:
    """tf-idf of titles, 8 topics, and a template of 8 words with a changing number in 40 % of the rows."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    n_copies = round(0.4 * len(y))
    counts = draw_counts(rng, make_one_topic_mixture(y), 15, words_per_topic=30)
    template = np.zeros((n_copies, 8 + 300))
    template[:, :8] = 1
    template[np.arange(n_copies), 8 + rng.integers(0, 300, n_copies)] = 1
    wider = sparse.hstack([counts[n_copies:], sparse.csr_matrix((len(y) - n_copies, template.shape[1]))])
    copies = sparse.hstack([sparse.csr_matrix((n_copies, counts.shape[1])), sparse.csr_matrix(template)])
    y = np.r_[y[n_copies:], np.full(n_copies, 8)]
    order = rng.permutation(len(y))
    X = apply_tfidf(sparse.csr_matrix(sparse.vstack([wider, copies]))[order])
    return DataSet("a template with a changing number", X, y[order], 9, "text")


def with_empty_rows(seed: int, size: float) -> DataSet:
    """tf-idf, 8 topics; a fifth of the rows is empty."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    filled = rng.random(len(y)) > 0.2
    X = apply_tfidf(
        sparse.csr_matrix(sparse.diags(filled.astype(float)) @ draw_counts(rng, make_one_topic_mixture(y), 60))
    )
    X.eliminate_zeros()
    return DataSet("tf-idf, a fifth of the rows empty", X, np.where(filled, y, -1), 8, "text")


def very_wide(seed: int, size: float) -> DataSet:
    """Counts of 40,000 words in few documents, 6 topics."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(300, size, least=120), 6)
    X = draw_counts(rng, make_one_topic_mixture(y), 300, words_per_topic=2_000, n_background=28_000)
    return DataSet("very wide, sparse", X.astype(np.float32), y, 6, "text")


# -- embeddings -------------------------------------------------------------------------------------------------------


def narrow_cone(seed: int, size: float) -> DataSet:
    """Embeddings with a mean cosine of .9, as of language models without whitening; 10 groups, float32."""
    rng = np.random.default_rng(seed)
    *centres, common = draw_directions(rng, 11, 64)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 10)
    X = common + 0.35 * draw_around(rng, np.array(centres), y, 0.6)
    return DataSet("narrow cone", X.astype(np.float32), y, 10, "embeddings")


def offset(seed: int, size: float) -> DataSet:
    """Groups around a point far from zero: cosines of all rows are above .99."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 10)
    X = 3 + draw_around(rng, 2 * draw_directions(rng, 10, 64), y, 0.8)
    return DataSet("offset", X, y, 10, "embeddings")


def unit_length(seed: int, size: float, n_components: int = 12, factor: float = 1.0) -> DataSet:
    """Embeddings of length 1, 12 groups."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2400, size), 12)
    X = factor * scale_to_unit_length(draw_around(rng, draw_directions(rng, 12, 64), y, 0.8))
    if factor != 1:
        return DataSet(f"unit length, times {factor:g}", X, y, n_components, "embeddings", same_as="unit length")
    name = "unit length" if n_components == 12 else f"unit length, K={n_components}"
    return DataSet(name, X, y, n_components, "embeddings")


def unit_length_6(seed: int, size: float) -> DataSet:
    """The same with fewer components than groups."""
    return unit_length(seed, size, 6)


def unit_length_30(seed: int, size: float) -> DataSet:
    """The same with more components than groups."""
    return unit_length(seed, size, 30)


def tiny(seed: int, size: float) -> DataSet:
    """The same times 1e-6."""
    return unit_length(seed, size, factor=1e-6)


def huge(seed: int, size: float) -> DataSet:
    """The same times 1e6."""
    return unit_length(seed, size, factor=1e6)


def bumps_huge(seed: int, size: float) -> DataSet:
    """Bumps times 1e6, in float32."""
    base = bumps(seed, size)
    X = (1e6 * base.X).astype(np.float32)
    return base._replace(name="bumps, times 1e6, float32", X=X, same_as="bumps")


def unequal_spread(seed: int, size: float) -> DataSet:
    """Groups whose noise is from .2 to 1.2 times the length of their centre."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 10)
    X = draw_around(rng, draw_directions(rng, 10, 64), y, np.linspace(0.2, 1.2, 10)[y])
    return DataSet("unequal spread", X, y, 10, "embeddings")


def lengths_vary(seed: int, size: float) -> DataSet:
    """Groups of directions; the lengths of rows differ by a factor of 1,000."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 10)
    X = draw_around(rng, draw_directions(rng, 10, 64), y, 0.7) * 10 ** rng.uniform(-1.5, 1.5, (len(y), 1))
    return DataSet("lengths vary", X, y, 10, "embeddings")


def wide_and_dense(seed: int, size: float) -> DataSet:
    """Dense rows of 5,000 features, 5 groups, float32."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(400, size), 5)
    X = draw_around(rng, draw_directions(rng, 5, 5000), y, 1.0)
    return DataSet("very wide, dense", X.astype(np.float32), y, 5, "embeddings")


def very_tall(seed: int, size: float) -> DataSet:
    """100,000 rows of three features, 3 groups."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(100_000, size), 3)
    return DataSet("very tall", np.abs(draw_around(rng, np.eye(3), y, 0.35)), y, 3, "embeddings")


def isotropic_noise(seed: int, size: float) -> DataSet:
    """Noise, N(0, 1), without groups."""
    X = np.random.default_rng(seed).standard_normal((scale_n_rows(1500, size), 32))
    return DataSet("noise", X, None, 10, "embeddings", notes="no groups")


# -- signals, binary rows, tables -------------------------------------------------------------------------------------


def waveforms(seed: int, size: float) -> DataSet:
    """Signals of zero mean: 8 waves under a window, amplitudes .5 to 2, and noise."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    X = draw_waves(8)[y] * rng.uniform(0.5, 2, (len(y), 1)) + rng.normal(0, 0.15, (len(y), 128))
    return DataSet("waveforms", X, y, 8, "signals")


def opposite_waveforms(seed: int, size: float) -> DataSet:
    """Signals of zero mean: 4 waves and their negatives, as separate groups."""
    rng = np.random.default_rng(seed)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    X = np.vstack([draw_waves(4), -draw_waves(4)])[y] + rng.normal(0, 0.15, (len(y), 128))
    return DataSet("opposite waveforms", X, y, 8, "signals", notes="cosines of groups are -1")


def draw_waves(n: int) -> np.ndarray:
    """Compute waves of rising frequency under a window, (n, 128)."""
    t = np.linspace(-1, 1, 128)
    return np.array([np.sin(np.pi * (2 + 2 * i) * t + 0.5) * np.exp(-2 * t**2) for i in range(n)])


def binary_rows(seed: int, size: float) -> DataSet:
    """Zeros and ones: 10 prototypes of 20 ones in 100 features, with missing and additional ones."""
    rng = np.random.default_rng(seed)
    prototypes = np.zeros((10, 100), bool)
    for prototype in prototypes:
        prototype[rng.choice(100, 20, replace=False)] = True
    y = draw_even_labels(rng, scale_n_rows(2000, size), 10)
    chance = np.where(prototypes[y], 0.8, 0.03)
    X = (rng.random(chance.shape) < chance).astype(np.float32)
    return DataSet("binary rows", sparse.csr_matrix(X), y, 10, "binary")


def one_hot_columns(seed: int, size: float) -> DataSet:
    """Six categories of six values each, one-hot; 8 groups of similar rows."""
    rng = np.random.default_rng(seed)
    prototypes: list[np.ndarray] = []
    while len(prototypes) < 8:
        values = rng.integers(0, 6, 6)
        if all((values == other).sum() <= 2 for other in prototypes):
            prototypes.append(values)
    y = draw_even_labels(rng, scale_n_rows(2000, size), 8)
    values = np.array(prototypes)[y]
    values = np.where(rng.random(values.shape) < 0.2, rng.integers(0, 6, values.shape), values)
    X = np.eye(6)[values].reshape(len(y), 36)
    return DataSet("one-hot columns", X, y, 8, "binary")


def one_category(seed: int, size: float) -> DataSet:
    """One category of ten values, one-hot; each value is half as frequent as the one before."""
    rng = np.random.default_rng(seed)
    sizes = (scale_n_rows(3000, size, least=1000) * 0.5 ** np.arange(1, 11)).astype(int) + 3
    y = draw_labels(rng, *sizes)
    return DataSet("one category, one-hot", sparse.csr_matrix(np.eye(10)[y]), y, 10, "binary")


def iris(seed: int, size: float) -> DataSet:
    """Lengths and widths of flowers."""
    return draw_table("iris", load_iris, seed, 3)


def wine(seed: int, size: float) -> DataSet:
    """Measurements of wines; one column is a hundred times the others."""
    return draw_table("wine", load_wine, seed, 3)


def breast_cancer(seed: int, size: float) -> DataSet:
    """Measurements of tumours; columns from 1e-3 to 1e3."""
    return draw_table("breast cancer", load_breast_cancer, seed, 2)


def draw_table(name: str, load: Callable[..., Any], seed: int, n_groups: int) -> DataSet:
    """Load a table of scikit-learn with rows in random order."""
    X, y = load(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    notes = "groups are of size and shape, not of direction"
    return DataSet(name, X[order], y[order], n_groups, "table", notes=notes)


# -- orders and streams -----------------------------------------------------------------------------------------------


def cut_batches(n: int, n_batches: int) -> tuple[slice, ...]:
    """Cut rows into minibatches of equal size, in order."""
    edges = np.linspace(0, n, n_batches + 1).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in pairwise(edges))


def sorted_rows(seed: int, size: float) -> DataSet:
    """Embeddings, 10 groups, sorted by group, fitted in minibatches of two groups without shuffling."""
    rng = np.random.default_rng(seed)
    y = np.sort(draw_even_labels(rng, scale_n_rows(2000, size), 10))
    X = draw_around(rng, draw_directions(rng, 10, 64), y, 0.7)
    return DataSet("sorted by group", X, y, 10, "stream", order="given", batches=cut_batches(len(y), 5))


def sorted_text(seed: int, size: float) -> DataSet:
    """tf-idf, 8 topics, sorted by topic, fitted with shuffling."""
    rng = np.random.default_rng(seed)
    y = np.sort(draw_even_labels(rng, scale_n_rows(2000, size), 8))
    return DataSet(
        "tf-idf, sorted by topic", apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 60)), y, 8, "stream"
    )


def late_groups(seed: int, size: float) -> DataSet:
    """A stream of embeddings, 10 groups: five are missing in the first fifth of the minibatches."""
    rng = np.random.default_rng(seed)
    n = scale_n_rows(4000, size)
    first = n // 5
    y = np.r_[draw_even_labels(rng, first, 5), draw_even_labels(rng, n - first, 10)]
    X = draw_around(rng, draw_directions(rng, 10, 64), y, 0.7)
    return DataSet("stream, groups missing at first", X, y, 10, "stream", order="stream", batches=cut_batches(n, 20))


def late_topics(seed: int, size: float) -> DataSet:
    """A stream of tf-idf, 8 topics: two are missing in the first third of the minibatches."""
    rng = np.random.default_rng(seed)
    n = scale_n_rows(4000, size)
    first = n // 3
    y = np.r_[draw_even_labels(rng, first, 6), draw_even_labels(rng, n - first, 8)]
    X = apply_tfidf(draw_counts(rng, make_one_topic_mixture(y), 60))
    return DataSet("stream, topics missing at first", X, y, 8, "stream", order="stream", batches=cut_batches(n, 20))


def sorted_stream(seed: int, size: float) -> DataSet:
    """A stream sorted by group, 6 groups, repeated three times; a minibatch has one group."""
    rng = np.random.default_rng(seed)
    y = np.sort(draw_even_labels(rng, scale_n_rows(1200, size), 6))
    X = draw_around(rng, draw_directions(rng, 6, 32), y, 0.6)
    batches = 3 * cut_batches(len(y), 6)
    return DataSet("stream, sorted by group", X, y, 6, "stream", order="stream", batches=batches)


def drifting_stream(seed: int, size: float) -> DataSet:
    """A stream of embeddings, 8 groups, whose centres rotate by 60 degrees; the last fifth is evaluated."""
    rng = np.random.default_rng(seed)
    n = scale_n_rows(4000, size)
    y = draw_even_labels(rng, n, 8)
    start, end = np.split(np.linalg.qr(rng.standard_normal((64, 16)))[0].T, 2)
    angle = np.linspace(0, np.pi / 3, n)[:, None]
    X = np.cos(angle) * start[y] + np.sin(angle) * end[y]
    X += 0.6 * rng.standard_normal(X.shape) / 8
    batches, evaluated = cut_batches(n, 20), slice(n - n // 5, n)
    return DataSet("stream, drifting", X, y, 8, "stream", order="stream", batches=batches, evaluated=evaluated)


ZOO: tuple[Generator, ...] = (
    digits,
    digits_40,
    digits_in_bytes,
    bumps,
    bumps_6,
    bumps_20,
    bumps_huge,
    strokes,
    strokes_40,
    clothing,
    clothing_1000,
    natural_patches,
    centred_patches,
    counts_balanced,
    counts_with_stop_words,
    bursty_counts,
    tfidf_balanced,
    tfidf_few_components,
    tfidf_many_components,
    tfidf_skewed,
    one_large_topic,
    titles,
    articles,
    articles_float32,
    two_topics_a_row,
    repeated_rows,
    repeated_rows_1000,
    fewer_rows_than_components,
    repeated_sentence,
    repeated_sentence_30,
    repeated_sentence_50,
    nearly_repeated_rows,
    with_empty_rows,
    very_wide,
    narrow_cone,
    offset,
    unit_length,
    unit_length_6,
    unit_length_30,
    tiny,
    huge,
    unequal_spread,
    lengths_vary,
    wide_and_dense,
    very_tall,
    isotropic_noise,
    waveforms,
    opposite_waveforms,
    binary_rows,
    one_hot_columns,
    one_category,
    iris,
    wine,
    breast_cancer,
    sorted_rows,
    sorted_text,
    late_groups,
    late_topics,
    sorted_stream,
    drifting_stream,
)
