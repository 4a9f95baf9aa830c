"""How to compute: the one interface behind which NumPy, SciPy, Numba and CuPy stand.

The array says where. Every function reads the device off its arguments and leaves its result there; float32 stays
float32. `X` and `Y` may be dense or CSR, everything else is dense. Arguments are assumed valid:
`codebooks.validation.arrays` has checked them. Functions that NumPy and CuPy spell alike are written once in `shared`;
others, and those with a compiled loop, have a body in `cpu` and one in `gpu`, which are imported at the first call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from types import ModuleType
from typing import Any, NamedTuple

from codebooks.ops import shared
from codebooks.ops.views import RowView

Array = Any
"""A NumPy or CuPy array, or a SciPy or CuPy CSR matrix where a function says so."""

__all__ = [
    "Nearest",
    "Postings",
    "Responsibilities",
    "Separated",
    "accumulate",
    "as_matrix",
    "binarize",
    "blend_directions",
    "block_bytes",
    "build_postings",
    "cast",
    "choose_subsets",
    "chosen_products",
    "combine_rows",
    "compute_log_lifts",
    "compute_responsibilities",
    "convert_to_format_of",
    "copy_matrix",
    "count_pairs",
    "decay_and_add",
    "deflate_by_rows",
    "entries",
    "find_nearest",
    "find_sparse_fault",
    "fold_in",
    "gather_largest",
    "gather_rows",
    "is_asynchronous",
    "is_on_gpu",
    "is_sparse",
    "largest_entries",
    "minibatches",
    "nearest_orthonormal",
    "orthogonalize_partially",
    "principal_axes",
    "reciprocal",
    "rotate_to_rows",
    "rounding_tolerance",
    "row_hashes",
    "row_norms",
    "scale_rows",
    "scatter_rows",
    "score_postings",
    "search_postings",
    "select_used_columns",
    "separate",
    "similarity",
    "softmax",
    "split_missing",
    "stack_rows",
    "stack_sparse",
    "sum_by_index",
    "sum_column_logs",
    "synchronize",
    "take_rows",
    "to_device_of",
    "to_host",
    "top_k",
    "view_rows",
    "warmup",
    "weigh_entries",
    "xp",
    "zero_entries",
]


class Nearest(NamedTuple):
    """What `find_nearest` finds."""

    index: Array  # (n_rows, k) int64, rows of W by descending score minus handicap, ties to the lower index
    score: Array  # (n_rows, k) their scores, without the handicap; 0 for an empty row
    norms: Array  # (n_rows,) lengths of the rows of X
    total: Array  # (n_units,) scores of each row of W, summed over the rows of X


class Postings(NamedTuple):
    """What `build_postings` makes of a CSR matrix: for every column, which rows hold it and with which value.

    Its arrays may be memory-mapped. A GPU has no use for the last four: it leaves them out, and the table empty.
    """

    starts: Array  # (n_columns + 1,) int64, column c is `starts[c]:starts[c + 1]` of `rows` and `values`
    rows: Array  # rising in each column; int32 where that is enough
    values: Array
    highest: Array  # (n_columns,) largest value of each column, 0 at least
    lowest: Array  # (n_columns,) smallest value of each column, 0 at most
    line: Array  # (n_columns,) int32, line of `table` for a column that many rows hold, else -1
    table: Array  # (n_lines, n_rows) those columns once more, with their zeros


class Responsibilities(NamedTuple):
    """What `compute_responsibilities` finds."""

    gates: Array  # (n_rows, n_components) sum 1 in each row
    winner: Array  # (n_rows,) int64, the component with the highest score, ties to the lower index
    peak: Array  # (n_rows,) its score


class Separated(NamedTuple):
    """What `separate` finds."""

    weights: Array  # CSR (n_rows, n_scores), weights that are not zero
    value: Array  # (n_rows,) convex conjugate of the penalty at `beta scores`, over beta; 0 without a finite score


def is_on_gpu(a: Array) -> bool:
    """True for CuPy arrays, `cupyx` sparse matrices and views of their rows."""
    if isinstance(a, RowView):
        a = a.data
    return type(a).__module__.partition(".")[0] in ("cupy", "cupyx")


def xp(a: Array) -> ModuleType:
    """The module that spells elementwise maths for `a`: numpy or cupy."""
    return _body(a).xp


def to_host(a: Array) -> Array:
    """`a` in host memory; the same object when it is there already."""
    return a.get() if is_on_gpu(a) else a


def to_device_of(a: Array, like: Array) -> Array:
    """`a` on the device of `like`; the same object when it is there already."""
    return _body(like).to_device(a)


def synchronize(a: Array) -> None:
    """Wait until the device of `a` has finished; nothing to wait for on the CPU."""
    _body(a).synchronize(a)


def is_asynchronous(a: Array) -> bool:
    """Whether work on the device of `a` is only ordered, so that looking at a number waits for all that was ordered."""
    return _body(a).is_asynchronous(a)


def block_bytes(a: Array) -> int:
    """So many bytes of results on the way make full speed on the device of `a`; more of them bring nothing."""
    return _body(a).block_bytes(a)


def is_sparse(X: Array) -> bool:
    """Whether `X` is a sparse matrix, or a view of rows of one."""
    return _body(X).is_sparse(X)


def find_sparse_fault(X: Array) -> str | None:
    """What makes the arrays of a sparse matrix no matrix of its shape, in words; None where they are one.

    Nothing else may be done with a sparse matrix of unknown origin before: SciPy and compiled loops trust indices, and
    write or read outside of arrays where these are wrong.
    """
    return _body(X).find_sparse_fault(X)


def as_matrix(X: Array) -> Array:
    """`X`, dense or in any sparse format, as `codebooks.ops` takes it: dense, or CSR without entries that come twice.

    Numbers other than float32 become float64. The same object where nothing has to change.
    """
    return _body(X).as_matrix(X)


def cast(X: Array, dtype: Any) -> Array:
    """`X`, dense or CSR, with numbers of this type; the same object where it has them already."""
    return _body(X).cast(X, dtype)


def similarity(X: Array, Y: Array) -> Array:
    """All dot products of rows, `X Y'`, shape (len(X), len(Y)), dense. No copy is made of a Fortran-ordered `Y`."""
    return _body(X).similarity(X, Y)


def find_nearest(X: Array, W: Array, handicap: Array, k: int) -> Nearest:
    """Score every row of `X`, scaled to length 1, with every row of `W`, and keep the `k` best after a handicap.

    One pass over `X` that holds a small block of scores at a time: `similarity`, `row_norms` and `top_k` at once.
    Scores that differ by `rounding_tolerance` alone are equal, so equal rows of `X` have the same order of units wherever they
    stand. (On the GPU with more than 32 wanted, only scores with the same bits are equal.)
    """
    return Nearest(*_body(X).find_nearest(X, W, handicap, k))


def build_postings(X: Array) -> Postings | Array:
    """The rows of the CSR matrix `X` by the columns that they hold, for `score_postings` and `search_postings`; a dense one as it is."""
    return _body(X).build_postings(X)


def score_postings(Q: Array, postings: Postings | Array) -> Array:
    """All dot products of the rows of `Q`, CSR or dense as `X` was, with the rows that were inverted, `Q X'`, dense."""
    return _body(Q).score_postings(Q, postings)


def search_postings(Q: Array, postings: Postings, k: int) -> tuple[Array, Array]:
    """The `k` rows with the largest product for each row of `Q`, descending, ties to the lower row: index and score.

    What `score_postings` and `top_k` would find, to the last bit, without a table of all products. There are as many columns as
    rows can be asked for, `min(k, n_rows)`. A product that has overflowed to `-inf` is never found: where no more than
    such are left, the index is -1 and the score `-inf`.
    """
    return _body(Q).search_postings(Q, postings, k)


def chosen_products(Q: Array, X: Array, index: Array) -> Array:
    """Dot products of the rows of `Q` with chosen rows of `X`, both CSR: entry (i, m) is `Q[i] X[index[i, m]]'`.

    They are summed in float64 and returned in the dtype of `Q`. An index of -1 names no row and gives 0.
    """
    return _body(Q).chosen_products(Q, X, index)


def count_pairs(X: Array, columns: Array) -> Array:
    """How many rows of the CSR matrix `X` hold both of two columns, for every pair in each row of `columns`.

    `columns` (n_groups, n_candidates) names distinct columns in each row and has -1 behind the last. The result is
    int32 (n_groups, n_candidates, n_candidates), on the diagonal the number of rows that hold the column. Host arrays.
    """
    from codebooks.ops import cpu

    return cpu.count_pairs(X, columns)


def choose_subsets(
    columns: Array,
    scores: Array,
    counts: Array,
    n_rows: int,
    n: int,
    objective: tuple[float, float, float],
    n_rounds: int,
) -> Array:
    """Choose `n` columns for each group that occur together, score high and are chosen for no other group.

    Parameters
    ----------
    columns, counts : arguments and result of `count_pairs`
    scores : float64 array of shape (n_groups, n_candidates)
        Above zero and descending in each row.
    n_rows : int
        The number of rows in which `counts` were made.
    n : int
        The number of columns wanted. Groups of fewer candidates keep all.
    objective : (float, float, float)
        The largest NPMI of a pair that counts, what a column with a tenth of its group's highest score loses, and what
        a column loses that is chosen for another group.
    n_rounds : int
        At most so many passes over the groups.

    Returns
    -------
    bool array of shape (n_groups, n_candidates)
        True for the candidates chosen. Each group starts from its first `n` and makes the single exchange that raises
        the coherence of the chosen terms most, until none does. Of exchanges whose gains differ by `rounding_tolerance` alone
        the one is made that brings in the earliest candidate and takes out the latest. Host arrays.
    """
    from codebooks.ops import cpu

    return cpu.choose_subsets(columns, scores, counts, n_rows, n, objective, n_rounds)


def rounding_tolerance(dtype: Any) -> float:
    """How far apart two products that are equal but for rounding may come out, relative to their size.

    BLAS gives a product other last digits on another processor, in another place of a block and in a block of another
    size. A rule for ties compares with this much tolerance.
    """
    return shared.rounding_tolerance(dtype)


def accumulate(G: Array, X: Array) -> Array:
    """Sums of the rows of `X` weighted by the columns of `G`: `G' X`, shape (columns of G, columns of X)."""
    return _body(X).accumulate(G, X)


def top_k(scores: Array, k: int) -> Array:
    """Column indices of the `k` largest of each row, descending, int64; equal scores go to the lower index."""
    return _body(scores).top_k(scores, k)


def scatter_rows(out: Array, index: Array, weight: Array, X: Array) -> Array:
    """Add weighted rows of `X` to chosen rows of `out`: `out[index[i, m]] += weight[i, m] X[i]`, in place."""
    return _body(X).scatter_rows(out, index, weight, X)


def gather_rows(index: Array, weight: Array, W: Array) -> Array:
    """Weighted sums of chosen rows: row i of the result is `sum_m weight[i, m] W[index[i, m]]`."""
    return _body(W).gather_rows(index, weight, W)


def sum_by_index(index: Array, weight: Array, n: int) -> Array:
    """Sums of weights by the number that each carries: `out[index[i]] += weight[i]`, shape (n,), float64."""
    return _body(weight).sum_by_index(index, weight, n)


def largest_entries(X: Array, n: int) -> tuple[Array, Array]:
    """The `n` largest entries above zero of each row of a CSR matrix, descending, ties to the lower column.

    Columns, of shape (n_rows, n) and int64, -1 where there are fewer; and values, there 0.
    """
    return _body(X).largest_entries(X, n)


def gather_largest(index: Array, weight: Array, X: Array, n: int) -> Array:
    """Weighted sums of chosen rows of a CSR matrix, of each the `n` largest entries above zero, as CSR.

    Equal entries go to the lower column. An index of -1 names no row, whatever its weight: so `search_postings` fills its lists.
    """
    return _body(X).gather_largest(index, weight, X, n)


def blend_directions(out: Array, weight: Array, W: Array) -> Array:
    """Add weighted rows of `W` to those of `out` and scale these to length 1, in place; return the lengths before.

    `out[k] += weight[k] W[k]`, then `out[k] /= |out[k]|`; where nothing but zeros comes of it, `out[k] = W[k]`. Squares
    are taken in the dtype of `out`, and Fortran order is fastest.
    """
    return _body(out).blend_directions(out, weight, W)


def take_rows(X: Array, rows: Array) -> Array:
    """The rows of `X` that `rows` names, in its order: an index array makes a copy, a slice of step 1 a view."""
    return _body(X).take_rows(X, rows)


def minibatches(X: Array, batches: Iterable[Array]) -> Iterator[Array]:
    """The rows of `X` that each of `batches` names, one minibatch after another, as `view_rows` gives them.

    Row numbers are slices or index arrays on the host. A device may copy the rows of several minibatches at a time,
    those of the first by themselves.
    """
    return _body(X).minibatches(X, batches)


def view_rows(X: Array, rows: Array) -> Array:
    """The rows that `take_rows` takes, without a copy of a CSR matrix: only the primitives above understand it."""
    return _body(X).view_rows(X, rows)


def softmax(scores: Array) -> Array:
    """Each row exponentiated and scaled to sum 1; `-inf` gives 0, and a row of nothing but `-inf` gives zeros."""
    return _body(scores).softmax(scores)


def separate(scores: Array, beta: Array | float, kind: str) -> Separated:
    """Turn each row of scores into weights that sum to 1, with `z = beta scores`; `beta` may be one number per row.

    `kind` is `"softmax"`, `"sparsemax"` (the nearest point of the simplex), `"entmax15"` (between the two) or `"max"`
    (all on the best, ties to the lower index; scores that differ by `rounding_tolerance` alone tie). A score of `-inf` has no
    weight, and a row of nothing else has none at all. Weights of a softmax that rounding would not show are left out.
    """
    return Separated(*_body(scores).separate(scores, beta, kind))


def combine_rows(weights: Array, X: Array) -> Array:
    """Weighted sums of rows, `weights X`, with `weights` a CSR matrix; the result has the form of `X`."""
    return _body(X).combine_rows(weights, X)


def convert_to_format_of(X: Array, like: Array) -> Array:
    """`X` as CSR where `like` is CSR, and dense where `like` is dense; the same object where it is so already."""
    return _body(like).convert_to_format_of(X, like)


def copy_matrix(X: Array) -> Array:
    """A copy of `X` that nobody else holds: dense in C order, or CSR without stored zeros."""
    return _body(X).copy_matrix(X)


def binarize(X: Array, threshold: float) -> Array:
    """1 where `X` is at least `threshold`, which is positive, and 0 elsewhere; the form and dtype of `X`."""
    return _body(X).binarize(X, threshold)


def split_missing(X: Array) -> tuple[Array, Array | None]:
    """`X` with 0 in place of NaN, and an array of the same form with 1 where NaN was and 0 elsewhere.

    Without NaN, `X` itself and None.
    """
    return _body(X).split_missing(X)


def zero_entries(X: Array, where: Array) -> Array:
    """`X` with 0 at the entries where `where`, of the same form, is not 0."""
    return _body(X).zero_entries(X, where)


def scale_rows(X: Array, scale: Array) -> Array:
    """Each row of `X`, dense or CSR, times its number."""
    return _body(X).scale_rows(X, scale)


def weigh_entries(X: Array, weight: Array, length: float) -> Array:
    """Copy `X` as CSR with each entry times the weight of its column, and each row scaled to Euclidean norm `length`.

    `weight` is float64. Products are taken in float64 and stored in the dtype of `X`; an empty row stays empty.
    """
    return _body(X).weigh_entries(X, weight, length)


def sum_column_logs(X: Array, offset: Array, wanted: Array) -> tuple[Array, Array]:
    """Sum the logarithms of the positive entries of each column, less the levels of their rows, and count them.

    The level of a row is the logarithm of the root mean square of its entries, each divided by the exponential of the
    offset of its column. Columns where `wanted` is false get sums and counts of 0. Results are float64.
    """
    return _body(X).sum_column_logs(X, offset, wanted)


def select_used_columns(X: Array) -> tuple[Array, Array]:
    """Find the columns of a CSR matrix that have stored entries, and return them with `X` reduced to these."""
    return _body(X).select_used_columns(X)


def compute_log_lifts(
    distributions: Array, mass: Array, columns: Array, floor: float, share: float, background: float
) -> tuple[Array, Array, Array]:
    """Compute how much likelier each component makes some words, and how much each of these words says.

    With the counts `N = mass[:, None] * distributions`, their row sums `n_k`, column sums `N_v` and total n, the
    smoothing `beta_v = floor + share (n / K) N_v / n` and the prior `pi_k = n_k / n`, the log lift is

        l_kv = ln((N_kv + beta_v) / (n_k + sum_v beta_v)) - ln(N_v / n).

    The saliency of a word is the square root of the divergence of `P_kv = (N_kv + background pi_k) / (N_v +
    background)` from `pi_k`, over the entropy of `pi_k`; it is 1 for a single component.

    Returns
    -------
    table : array of shape (n_components, len(columns))
        Log lift times saliency; 0 for a word without counts. In the dtype of `distributions`.
    saliency, totals : arrays of shape (len(columns),)
        Saliency and `N_v` of each word.
    """
    return _body(distributions).compute_log_lifts(distributions, mass, columns, floor, share, background)


def compute_responsibilities(scores: Array, scale: Array | float, offset: Array, reach: float) -> Responsibilities:
    """Softmax of each row of `scale scores - offset`, over the entries that lie at most `reach` below its largest.

    All other entries become 0. `scores` (n_rows, n_components) is overwritten with the result.
    """
    return Responsibilities(*_body(scores).compute_responsibilities(scores, scale, offset, reach))


def fold_in(X: Array, weight: Array, lifts: Array, shares: Array, prior: Array, n_steps: int, least: float) -> Array:
    """Share out the entries of each row of a CSR matrix to components, and return the shares of the rows.

    With `x` a row of `X` times `weight`, `theta` its shares, at first those given, and `a` its row of `prior`, each
    step of expectation maximisation is

        theta_k <- a_k + sum_v x_v theta_k lifts_kv / sum_j theta_j lifts_jv,

    scaled to sum 1, after which shares below `least`, which is less than an even share, become 0 and stay so. An entry
    whose `lifts` are 0 wherever `theta` is not adds nothing.

    Parameters
    ----------
    X : CSR matrix of shape (n_rows, n_features)
    weight : array of shape (n_features,)
    lifts : array of shape (n_components, n_features)
        Not negative. No copy is made of a Fortran-ordered one.
    shares, prior : arrays of shape (n_rows, n_components)
        `shares` is overwritten with the result.
    """
    return _body(X).fold_in(X, weight, lifts, shares, prior, n_steps, least)


def decay_and_add(distributions: Array, fade: Array, columns: Array, pull: Array, weight: Array) -> Array:
    """Compute `fade_k distributions_kv`, plus `weight_k pull_ku` in the columns v = `columns[u]`, which rise.

    The result (n_components, n_features) is Fortran-ordered. Numbers that have faded below 1e-30 become 0.
    """
    return _body(distributions).decay_and_add(distributions, fade, columns, pull, weight)


def row_hashes(X: Array) -> Array:
    """A whole number for each row, uint64: the same for equal rows, and hardly ever for others."""
    return _body(X).row_hashes(X)


def row_norms(X: Array) -> Array:
    """Euclidean length of each row, dense or CSR; accumulated in float64, returned in the dtype of `X`."""
    return _body(X).row_norms(X)


def reciprocal(norms: Array) -> Array:
    """`1 / norms`, never infinite, and 0 for 0: what scales rows to length 1 and leaves empty ones empty."""
    return _body(norms).reciprocal(norms)


def nearest_orthonormal(M: Array) -> Array:
    """The matrix with orthonormal rows that lies nearest to `M` in the Frobenius norm: its polar factor.

    Where `M` has lost rank, the missing directions are filled with some orthonormal completion, so the answer is
    always orthonormal. `M` has at most as many rows as columns; the result is Fortran-ordered.
    """
    return _body(M).nearest_orthonormal(M)


def orthogonalize_partially(W: Array, amount: float) -> Array:
    """Rows of length 1 on the way from `W` to its nearest orthonormal set, `(1 - amount) W + amount polar(W)`.

    `W` has rows of length 1. With more rows than columns no orthonormal set exists, and `polar(W)` is the nearest tight
    frame up to scale, `W (W' W)^-1/2`: its columns are orthonormal.
    """
    return _body(W).orthogonalize_partially(W, amount)


def principal_axes(C: Array) -> tuple[Array, Array]:
    """Eigenvalues of the symmetric matrix `C`, descending, and its eigenvectors as rows in the same order.

    The entry of largest magnitude of each eigenvector is positive. Only the lower triangle of `C` is read.
    """
    return _body(C).principal_axes(C)


def stack_rows(blocks: list[Array]) -> Array:
    """Blocks of rows, all dense or all CSR, one below another."""
    return _body(blocks[0]).stack_rows(blocks)


def entries(X: Array) -> Array:
    """The numbers that `X` holds: itself where it is dense, those that are stored where it is CSR. Not a copy."""
    return _body(X).entries(X)


def stack_sparse(blocks: Iterable[Array]) -> Array:
    """Dense blocks of rows, one below another, as one CSR matrix. One block is held at a time."""
    remaining = iter(blocks)
    first = next(remaining)
    return _body(first).stack_sparse(chain([first], remaining))


def rotate_to_rows(
    W: Array, X: Array, scale: Array, rate: float, handicap: Array, n_active: int, threshold: float, signed: bool
) -> Array:
    """Turn orthonormal units towards one row after another; the rows of the result are orthonormal again.

    With `x = scale[i] X[i]`, `y` the part of it that the kept units explain and r the rest, a step multiplies the units
    by `expm(rate (x y' - y x'))`: a rotation by `rate |y| |r|` in the plane of y and r, in closed form.

    Units are ranked by projection on x (its magnitude when `signed`) minus `handicap |x|`. The `n_active` first are
    kept, or those whose projection on `X[i]` reaches `threshold` where that is not negative; without `signed`, only
    positive projections are. A row whose scale is 0 is passed over.
    """
    return _body(W).rotate_to_rows(W, X, scale, rate, handicap, n_active, threshold, signed)


def deflate_by_rows(
    W: Array, X: Array, scale: Array, rate: float, handicap: Array, n_active: int, threshold: float, signed: bool
) -> Array:
    """Orthogonal sparse coding as published, one row after another; arguments as in `rotate_to_rows`.

    For each row, units are visited in the order of their rank, the kept ones first. A unit is made orthogonal to those
    visited before, moved by `rate (w'r) r` where r is what these have left of the row (if it is kept), scaled to length
    1, and takes its part off r. The units that come in are orthonormal, and so are those that come out.
    """
    return _body(W).deflate_by_rows(W, X, scale, rate, handicap, n_active, threshold, signed)


def warmup(*, row_by_row: bool = False, memory: bool = True) -> None:
    """Compile the CPU kernels ahead of their first use.

    They compile when first called, once per type of array, and are kept on disk where a folder can be written
    (`NUMBA_CACHE_DIR`, beside the sources, or the user's cache folder). This pays for that when it suits you.

    Parameters
    ----------
    row_by_row : bool, default=False
        Whether to compile the long kernels too that learn row after row: those of `OrthogonalSparseCoding` with
        `algorithm="geodesic"` and `"online"`.
    memory : bool, default=True
        Whether to compile those of `HopfieldMemory` and `HopfieldRetriever` too.

    Examples
    --------
    >>> import codebooks
    >>> codebooks.warmup()
    """
    from codebooks.ops import cpu

    cpu.warmup(row_by_row=row_by_row, memory=memory)


def _body(a: Array) -> ModuleType:
    """The module of bodies for the device of `a`, imported here so that `import codebooks` compiles nothing."""
    if is_on_gpu(a):
        from codebooks.ops import gpu

        return gpu
    from codebooks.ops import cpu

    return cpu
