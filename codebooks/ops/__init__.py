"""Array primitives of the library: one interface with a CPU body (NumPy, SciPy, Numba) and a GPU body (CuPy).

Each function runs on the device of its arguments and returns results there. float32 input gives float32 results. `X`
and `Y` may be dense or CSR; all other arguments are dense. Arguments are assumed valid, because
`codebooks.validation.arrays` has checked them. Functions that NumPy and CuPy write alike are in `shared`; others have
a body in `cpu` and one in `gpu`, which are imported at the first call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from types import ModuleType
from typing import Any, NamedTuple

from codebooks.ops import shared
from codebooks.ops.views import RowView

Array = Any
"""A NumPy or CuPy array, or a SciPy or CuPy CSR matrix if the function accepts one."""

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
    """Result of `find_nearest`."""

    index: Array  # (n_rows, k) int64, rows of W by descending score minus handicap, ties to the lower index
    score: Array  # (n_rows, k) their scores, without the handicap; 0 for an empty row
    norms: Array  # (n_rows,) Euclidean norms of the rows of X
    total: Array  # (n_components,) scores of each row of W, summed over the rows of X


class Postings(NamedTuple):
    """Inverted index of a CSR matrix, as `build_postings` returns it: the rows that contain each column.

    The arrays may be memory-mapped. On a GPU, `highest`, `lowest` and `line` are None, and `table` is empty.
    """

    starts: Array  # (n_columns + 1,) int64, column c is `starts[c]:starts[c + 1]` of `rows` and `values`
    rows: Array  # ascending in each column; int32 if that is enough
    values: Array
    highest: Array  # (n_columns,) largest value of each column, at least 0
    lowest: Array  # (n_columns,) smallest value of each column, at most 0
    line: Array  # (n_columns,) int32, line of `table` for a column that many rows contain, else -1
    table: Array  # (n_lines, n_rows) those columns again, dense


class Responsibilities(NamedTuple):
    """Result of `compute_responsibilities`."""

    gates: Array  # (n_rows, n_components) each row sums to 1
    winner: Array  # (n_rows,) int64, the component with the highest score, ties to the lower index
    peak: Array  # (n_rows,) its score


class Separated(NamedTuple):
    """Result of `separate`."""

    weights: Array  # CSR (n_rows, n_scores), weights that are not zero
    value: Array  # (n_rows,) convex conjugate of the penalty at `beta scores`, over beta; 0 without a finite score


def is_on_gpu(a: Array) -> bool:
    """Return True for CuPy arrays, `cupyx` sparse matrices and views of their rows."""
    if isinstance(a, RowView):
        a = a.data
    return type(a).__module__.partition(".")[0] in ("cupy", "cupyx")


def xp(a: Array) -> ModuleType:
    """Return the module for elementwise mathematics on `a`: numpy or cupy."""
    return _body(a).xp


def to_host(a: Array) -> Array:
    """Copy `a` to host memory; return the same object if it is there already."""
    return a.get() if is_on_gpu(a) else a


def to_device_of(a: Array, like: Array) -> Array:
    """Copy `a` to the device of `like`; return the same object if it is there already."""
    return _body(like).to_device(a)


def synchronize(a: Array) -> None:
    """Wait until the device of `a` has finished its work; on the CPU, do nothing."""
    _body(a).synchronize(a)


def is_asynchronous(a: Array) -> bool:
    """Return whether the device of `a` only queues work, so that reading a number waits for the whole queue."""
    return _body(a).is_asynchronous(a)


def block_bytes(a: Array) -> int:
    """Return the size of intermediate results, in bytes, above which the device of `a` gets no faster."""
    return _body(a).block_bytes(a)


def is_sparse(X: Array) -> bool:
    """Return whether `X` is a sparse matrix, or a view of rows of one."""
    return _body(X).is_sparse(X)


def find_sparse_fault(X: Array) -> str | None:
    """Describe what is wrong with the arrays of a sparse matrix of its shape; return None if they are valid.

    Call this before any other use of a sparse matrix of unknown origin: SciPy and compiled loops trust the indices, and
    read or write outside of arrays if these are wrong.
    """
    return _body(X).find_sparse_fault(X)


def as_matrix(X: Array) -> Array:
    """Convert `X`, dense or in any sparse format, to a dense array or a CSR matrix without duplicate entries.

    Data types other than float32 become float64. Return the same object if nothing changes.
    """
    return _body(X).as_matrix(X)


def cast(X: Array, dtype: Any) -> Array:
    """Convert the values of `X`, dense or CSR, to a data type; return the same object if they have it already."""
    return _body(X).cast(X, dtype)


def similarity(X: Array, Y: Array) -> Array:
    """Compute the dot products of all pairs of rows, `X Y'`: dense, shape (len(X), len(Y)).

    A Fortran-ordered `Y` is not copied.
    """
    return _body(X).similarity(X, Y)


def find_nearest(X: Array, W: Array, handicap: Array, k: int) -> Nearest:
    """Find the `k` rows of `W` with the highest score minus handicap for each row of `X`.

    The score is the dot product with the row of `X` scaled to length 1. The function does the work of `row_norms`,
    `similarity` and `top_k` in one pass over `X` with a small block of scores at a time. Scores that differ by less
    than `rounding_tolerance` count as equal, so equal rows of `X` get the same order of components at any position. (On
    a GPU with `k` above 32, only scores with the same bits are equal.)
    """
    return Nearest(*_body(X).find_nearest(X, W, handicap, k))


def build_postings(X: Array) -> Postings | Array:
    """Build an inverted index of a CSR matrix for `score_postings` and `search_postings`; return dense `X`."""
    return _body(X).build_postings(X)


def score_postings(Q: Array, postings: Postings | Array) -> Array:
    """Compute the dot products of all rows of `Q` with all rows of the indexed `X`: dense `Q X'`.

    `Q` is CSR or dense as `X` was.
    """
    return _body(Q).score_postings(Q, postings)


def search_postings(Q: Array, postings: Postings, k: int) -> tuple[Array, Array]:
    """Find the `k` indexed rows with the largest dot product for each row of `Q`; return their indices and scores.

    Rows are sorted by descending score, ties by ascending index. The result has `min(k, n_rows)` columns, and the same
    bits as `score_postings` followed by `top_k`, without a table of all products. A product that has overflowed to
    `-inf` is never found: places without a row contain the index -1 and the score `-inf`.
    """
    return _body(Q).search_postings(Q, postings, k)


def chosen_products(Q: Array, X: Array, index: Array) -> Array:
    """Compute the dot products of rows of `Q` with chosen rows of `X`, both CSR: `out[i, m] = Q[i] X[index[i, m]]'`.

    Products are summed in float64 and returned in the dtype of `Q`. The product with an index of -1 is 0.
    """
    return _body(Q).chosen_products(Q, X, index)


def count_pairs(X: Array, columns: Array) -> Array:
    """Count the rows of a CSR matrix that contain both columns of a pair, for all pairs within groups of columns.

    `columns` (n_groups, n_candidates) contains distinct columns in each row, and -1 after the last. The result is
    int32 (n_groups, n_candidates, n_candidates); its diagonals count the rows that contain a column. Host arrays.
    """
    from codebooks.ops import cpu

    return cpu.count_pairs(X, columns)


def choose_subsets(
    columns: Array,
    scores: Array,
    counts: Array,
    n_rows: int,
    n: int,
    *,
    objective: tuple[float, float, float],
    n_rounds: int,
) -> Array:
    """Choose `n` columns for each group that occur together, have high scores and are chosen for no other group.

    Each group starts from its first `n` columns and makes the single exchange that raises the coherence of the chosen
    columns most, until none does. Of exchanges whose gains differ by less than `rounding_tolerance`, the one that adds
    the earliest candidate and removes the latest is made.

    Parameters
    ----------
    columns, counts : arrays
        Argument and result of `count_pairs`.
    scores : float64 array of shape (n_groups, n_candidates)
        Positive and descending in each row.
    n_rows : int
        Number of rows that `counts` was computed from.
    n : int
        Number of columns to choose. Groups with fewer candidates keep all.
    objective : (float, float, float)
        The largest NPMI of a pair that counts, the loss for a column with a tenth of the highest score of its group,
        and the loss for a column that another group has chosen.
    n_rounds : int
        Largest number of passes over the groups.

    Returns
    -------
    bool array of shape (n_groups, n_candidates)
        True for the chosen candidates, in host memory.
    """
    from codebooks.ops import cpu

    return cpu.choose_subsets(columns, scores, counts, n_rows, n, objective=objective, n_rounds=n_rounds)


def rounding_tolerance(dtype: Any) -> float:
    """Return the largest relative difference between two products that are equal except for rounding.

    The last digits of a BLAS product depend on the processor and on the position and size of the block. Comparisons
    for ties allow this much difference.
    """
    return shared.rounding_tolerance(dtype)


def accumulate(G: Array, X: Array) -> Array:
    """Sum the rows of `X` with the weights in each column of `G`: `G' X`, shape (columns of G, columns of X)."""
    return _body(X).accumulate(G, X)


def top_k(scores: Array, k: int) -> Array:
    """Return the column indices of the `k` largest scores of each row, descending; ties go to the lower index.

    The result is int64 of shape (n_rows, k).
    """
    return _body(scores).top_k(scores, k)


def scatter_rows(out: Array, index: Array, weight: Array, X: Array) -> Array:
    """Add weighted rows of `X` to chosen rows of `out` in place: `out[index[i, m]] += weight[i, m] X[i]`."""
    return _body(X).scatter_rows(out, index, weight, X)


def gather_rows(index: Array, weight: Array, W: Array) -> Array:
    """Compute weighted sums of chosen rows: row i of the result is `sum_m weight[i, m] W[index[i, m]]`."""
    return _body(W).gather_rows(index, weight, W)


def sum_by_index(index: Array, weight: Array, n: int) -> Array:
    """Sum weights by index: `out[index[i]] += weight[i]`, shape (n,), float64."""
    return _body(weight).sum_by_index(index, weight, n)


def largest_entries(X: Array, n: int) -> tuple[Array, Array]:
    """Return columns and values of the `n` largest positive entries of each row of a CSR matrix, descending.

    Both have shape (n_rows, n); columns are int64. Ties go to the lower column. Places without an entry contain the
    column -1 and the value 0.
    """
    return _body(X).largest_entries(X, n)


def gather_largest(index: Array, weight: Array, X: Array, n: int) -> Array:
    """Compute weighted sums of chosen rows of a CSR matrix, and keep the `n` largest positive entries of each, as CSR.

    Ties go to the lower column. An index of -1 stands for no row, whatever its weight, as in `search_postings`.
    """
    return _body(X).gather_largest(index, weight, X, n)


def blend_directions(out: Array, weight: Array, W: Array) -> Array:
    """Add weighted rows of `W` to those of `out`, scale these to length 1 in place, and return the previous lengths.

    `out[k] += weight[k] W[k]`, then `out[k] /= |out[k]|`. If the sum is zero, `out[k] = W[k]`. Squares are computed in
    the dtype of `out`. Fortran order is fastest.
    """
    return _body(out).blend_directions(out, weight, W)


def take_rows(X: Array, rows: Array) -> Array:
    """Return some rows of `X` in the order of `rows`: a copy for an index array, a view for a slice of step 1."""
    return _body(X).take_rows(X, rows)


def minibatches(X: Array, batches: Iterable[Array]) -> Iterator[Array]:
    """Iterate over minibatches of rows of `X`, each as `view_rows` returns it.

    `batches` contains slices, or index arrays on the host. A device may copy the rows of several minibatches at a time,
    but copies the first one alone.
    """
    return _body(X).minibatches(X, batches)


def view_rows(X: Array, rows: Array) -> Array:
    """Return some rows of `X` without a copy of a CSR matrix; only the functions of this module accept the result."""
    return _body(X).view_rows(X, rows)


def softmax(scores: Array) -> Array:
    """Compute the softmax of each row; `-inf` gives 0, and a row that contains only `-inf` gives zeros."""
    return _body(scores).softmax(scores)


def separate(scores: Array, beta: Array | float, kind: str) -> Separated:
    """Turn each row of scores into weights that sum to 1, by a separation function of `z = beta scores`.

    `beta` is a number, or an array of one number per row. `kind` is `"softmax"`, `"sparsemax"` (the nearest point of
    the simplex), `"entmax15"` (between the two) or `"max"` (weight 1 for the largest score, ties to the lower index;
    scores that differ by less than `rounding_tolerance` tie). A score of `-inf` has weight 0, and a row that contains
    only `-inf` has no weights. Weights of a softmax below the rounding error of their sum are left out.
    """
    return Separated(*_body(scores).separate(scores, beta, kind))


def combine_rows(weights: Array, X: Array) -> Array:
    """Compute weighted sums of rows, `weights X`, with a CSR matrix of weights; the result has the format of `X`."""
    return _body(X).combine_rows(weights, X)


def convert_to_format_of(X: Array, like: Array) -> Array:
    """Convert `X` to CSR if `like` is CSR, else to a dense array; return the same object if nothing changes."""
    return _body(like).convert_to_format_of(X, like)


def copy_matrix(X: Array) -> Array:
    """Copy `X`: a dense array in C order, or a CSR matrix without stored zeros."""
    return _body(X).copy_matrix(X)


def binarize(X: Array, threshold: float) -> Array:
    """Return 1 for entries of at least `threshold`, which is positive, else 0, in the format and dtype of `X`."""
    return _body(X).binarize(X, threshold)


def split_missing(X: Array) -> tuple[Array, Array | None]:
    """Return `X` with 0 in place of NaN, and a matrix of the same format with 1 at each NaN.

    If there is no NaN, return `X` itself and None.
    """
    return _body(X).split_missing(X)


def zero_entries(X: Array, where: Array) -> Array:
    """Return a copy of `X` with 0 at the entries that are not 0 in `where`, which has the format of `X`."""
    return _body(X).zero_entries(X, where)


def scale_rows(X: Array, scale: Array) -> Array:
    """Multiply each row of `X`, dense or CSR, by its entry of `scale` (n_rows,)."""
    return _body(X).scale_rows(X, scale)


def weigh_entries(X: Array, weight: Array, length: float) -> Array:
    """Multiply each column of `X` by its weight, scale each row to Euclidean norm `length`, and return CSR.

    `weight` (n_features,) is float64. Products are computed in float64 and stored in the dtype of `X`. An empty row
    stays empty.
    """
    return _body(X).weigh_entries(X, weight, length)


def sum_column_logs(X: Array, offset: Array, wanted: Array, sample_weight: Array | None = None) -> tuple[Array, Array]:
    """Sum the logarithms of the positive entries of each column, minus the level of their rows, and count them.

    The level of a row is the logarithm of the root mean square of its entries, each divided by the exponential of the
    offset of its column. Columns that are False in `wanted` get sums and counts of 0. `offset`, `wanted` and both
    results have shape (n_features,); results are float64. An entry counts `sample_weight` times, which has shape
    (n_rows,).
    """
    return _body(X).sum_column_logs(X, offset, wanted, sample_weight)


def select_used_columns(X: Array) -> tuple[Array, Array]:
    """Return the indices of the columns of a CSR matrix that have stored entries, and `X` reduced to these columns."""
    return _body(X).select_used_columns(X)


def compute_log_lifts(
    distributions: Array, mass: Array, columns: Array, floor: float, share: float, background: float
) -> tuple[Array, Array, Array]:
    """Compute how much likelier each component makes some terms, times the saliency of each term.

    With the counts `N = mass[:, None] * distributions`, their row sums `n_k`, column sums `N_v` and total n, the
    smoothing `beta_v = floor + share (n / K) N_v / n` and the prior `pi_k = n_k / n`, the log lift is

        l_kv = ln((N_kv + beta_v) / (n_k + sum_v beta_v)) - ln(N_v / n).

    The saliency of a term is the square root of the divergence of `P_kv = (N_kv + background pi_k) / (N_v +
    background)` from `pi_k`, over the entropy of `pi_k`; it is 1 for a single component.

    Returns
    -------
    table : array of shape (n_components, len(columns))
        Log lift times saliency; 0 for a term without counts. In the dtype of `distributions`.
    saliency, totals : arrays of shape (len(columns),)
        Saliency and `N_v` of each term.
    """
    return _body(distributions).compute_log_lifts(distributions, mass, columns, floor, share, background)


def compute_responsibilities(scores: Array, scale: Array | float, offset: Array, margin: float) -> Responsibilities:
    """Compute the softmax of each row of `scale scores - offset` over the entries near the largest.

    Entries more than `margin` below the largest of their row become 0. `scores` (n_rows, n_components) is overwritten
    with the result.
    """
    return Responsibilities(*_body(scores).compute_responsibilities(scores, scale, offset, margin))


def fold_in(X: Array, weight: Array, lifts: Array, shares: Array, prior: Array, *, n_steps: int, least: float) -> Array:
    """Estimate the shares of components in each row of a CSR matrix by expectation maximisation, with fixed lifts.

    With `x` a row of `X` times `weight`, `theta` its shares, initially those given, and `a` its row of `prior`, each
    step is

        theta_k <- a_k + sum_v x_v theta_k lifts_kv / sum_j theta_j lifts_jv,

    scaled to sum 1. Shares below `least`, which is less than an even share, become 0 and remain 0. An entry whose
    `lifts` are 0 for all components with a share adds nothing.

    Parameters
    ----------
    X : CSR matrix of shape (n_rows, n_features)
    weight : array of shape (n_features,)
    lifts : array of shape (n_components, n_features)
        Not negative. A Fortran-ordered array is not copied.
    shares, prior : arrays of shape (n_rows, n_components)
        `shares` is overwritten with the result.
    n_steps : int
        Number of steps.
    least : float
        Smallest share that is kept.
    """
    return _body(X).fold_in(X, weight, lifts, shares, prior, n_steps=n_steps, least=least)


def decay_and_add(distributions: Array, factor: Array, columns: Array, added: Array, weight: Array) -> Array:
    """Multiply each component by a factor, and add weighted values to some of its columns.

    The result is `factor_k distributions_kv`, plus `weight_k added_ku` in the columns v = `columns[u]`, which ascend.
    It has shape (n_components, n_features) and Fortran order. Products below 1e-30 become 0.
    """
    return _body(distributions).decay_and_add(distributions, factor, columns, added, weight)


def row_hashes(X: Array) -> Array:
    """Compute a uint64 hash of each row; equal rows have equal hashes, and others almost never."""
    return _body(X).row_hashes(X)


def row_norms(X: Array) -> Array:
    """Compute the Euclidean norm of each row, dense or CSR; summed in float64, returned in the dtype of `X`."""
    return _body(X).row_norms(X)


def reciprocal(norms: Array) -> Array:
    """Compute `1 / norms`, never infinite, and 0 for 0, so that empty rows stay empty when scaled."""
    return _body(norms).reciprocal(norms)


def nearest_orthonormal(M: Array) -> Array:
    """Return the matrix with orthonormal rows that is nearest to `M` in the Frobenius norm: its polar factor.

    If the rows of `M` are linearly dependent, the missing directions are filled with an orthonormal completion, so the
    result is always orthonormal. `M` has at most as many rows as columns; the result is Fortran-ordered.
    """
    return _body(M).nearest_orthonormal(M)


def orthogonalize_partially(W: Array, amount: float) -> Array:
    """Move rows of length 1 towards the nearest orthonormal set: `(1 - amount) W + amount polar(W)`, rows scaled to 1.

    `W` has rows of length 1. With more rows than columns no orthonormal set exists, and `polar(W)` is the nearest tight
    frame up to scale, `W (W' W)^-1/2`: its columns are orthonormal.
    """
    return _body(W).orthogonalize_partially(W, amount)


def principal_axes(C: Array) -> tuple[Array, Array]:
    """Return the eigenvalues of the symmetric matrix `C`, descending, and its eigenvectors as rows in the same order.

    The entry of largest magnitude of each eigenvector is positive. Only the lower triangle of `C` is read.
    """
    return _body(C).principal_axes(C)


def stack_rows(blocks: list[Array]) -> Array:
    """Concatenate blocks of rows, all dense or all CSR."""
    return _body(blocks[0]).stack_rows(blocks)


def entries(X: Array) -> Array:
    """Return the values of `X` without a copy: `X` itself if it is dense, the stored values if it is CSR."""
    return _body(X).entries(X)


def stack_sparse(blocks: Iterable[Array]) -> Array:
    """Concatenate dense blocks of rows to one CSR matrix, with one dense block in memory at a time."""
    remaining = iter(blocks)
    first = next(remaining)
    return _body(first).stack_sparse(chain([first], remaining))


def rotate_to_rows(
    W: Array, X: Array, scale: Array, rate: float, *, handicap: Array, n_active: int, threshold: float, signed: bool
) -> Array:
    """Rotate orthonormal components towards one row of `X` after another, and return the orthonormal result.

    With `x = scale[i] X[i]`, `y` the part of it that the kept components explain, and r the residual, a step multiplies
    the components by `expm(rate (x y' - y x'))`: a rotation by `rate |y| |r|` in the plane of y and r, in closed form.

    Components are ranked by their projection on x (its magnitude if `signed`) minus `handicap |x|`. The first
    `n_active` are kept; if `threshold` is not negative, those whose projection on `X[i]` reaches it are kept instead.
    Without `signed`, only positive projections are kept. A row whose scale is 0 is skipped.

    Parameters
    ----------
    W : array of shape (n_components, n_features)
        Orthonormal rows.
    X : dense or CSR matrix of shape (n_rows, n_features)
    scale : array of shape (n_rows,)
    rate : float
        Learning rate.
    handicap : array of shape (n_components,)
    n_active : int
    threshold : float
        Negative for none.
    signed : bool
    """
    selection = {"handicap": handicap, "n_active": n_active, "threshold": threshold, "signed": signed}
    return _body(W).rotate_to_rows(W, X, scale, rate, **selection)


def deflate_by_rows(
    W: Array, X: Array, scale: Array, rate: float, *, handicap: Array, n_active: int, threshold: float, signed: bool
) -> Array:
    """Apply Orthogonal Sparse Coding as published to one row after another; arguments as in `rotate_to_rows`.

    For each row, components are updated in the order of their rank, the kept ones first. A component is made orthogonal
    to those before it, moved by `rate (w'r) r` if it is kept, with r the residual of the row so far, and scaled to
    length 1; then its projection is subtracted from r. The components are orthonormal before and after each row.
    """
    selection = {"handicap": handicap, "n_active": n_active, "threshold": threshold, "signed": signed}
    return _body(W).deflate_by_rows(W, X, scale, rate, **selection)


def warmup(*, row_by_row: bool = False, memory: bool = True) -> None:
    """Compile the CPU kernels before their first use.

    Kernels compile at their first call, once for each type of array, and are cached on disk if a folder can be written
    (`NUMBA_CACHE_DIR`, the folder of the sources, or the user's cache folder). Call this in an installation step or
    before a measurement, so that no later call waits for the compiler.

    Parameters
    ----------
    row_by_row : bool, default=False
        Whether to also compile the kernels of `OrthogonalSparseCoding` with `algorithm="geodesic"` and `"online"`,
        which take long to compile. Set it if you use these algorithms.
    memory : bool, default=True
        Whether to also compile the kernels of `HopfieldMemory` and `HopfieldRetriever`. Unset it if you use only the
        other estimators.

    Examples
    --------
    >>> import codebooks
    >>> codebooks.warmup()
    """
    from codebooks.ops import cpu

    cpu.warmup(row_by_row=row_by_row, memory=memory)


def _body(a: Array) -> ModuleType:
    """Return the module for the device of `a`, imported here so that `import codebooks` compiles nothing."""
    if is_on_gpu(a):
        from codebooks.ops import gpu

        return gpu
    from codebooks.ops import cpu

    return cpu
