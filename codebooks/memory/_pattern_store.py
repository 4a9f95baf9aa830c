"""Immutable store of the patterns of a memory, with ids, targets and cached properties.

Appending and removing rows create another store, so a query in another thread continues with its own state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from codebooks import ops
from codebooks._fork_safe_lock import ForkSafeLock
from codebooks.errors import shorten

__all__ = ["Patterns", "draw_fragments", "select_ids", "sum_magnitudes"]

# Two threads do not compute the same property. One lock serves all stores, because it has to survive a fork.
_computing = ForkSafeLock()

# A remainder of a sum that is smaller than this number of units in the last place of the sum is 0.
_UNITS_IN_LAST_PLACE = 16
# The number of rows that are compared at a time.
_BLOCK = 4096


class Patterns:
    """Stored rows with ids and targets.

    Parameters
    ----------
    blocks : list of ndarray or CSR matrices
        All dense or all sparse, of one dtype; they are stacked at the first access to `rows`.
    ids : ndarray of shape (n_patterns,), int64, ascending
    targets : ndarray of shape (n_patterns, ...), optional
    next_id : int
        Id of the next appended row. Ids of removed rows are not used again.
    """

    def __init__(self, blocks: list[Any], ids: np.ndarray, targets: Any = None, next_id: int | None = None):
        self._blocks = blocks
        self.ids = ids
        self.targets = targets
        self.next_id = len(ids) if next_id is None else next_id
        self._derived: dict[str, Any] = {}

    @classmethod
    def of(cls, rows: Any, targets: Any = None) -> Patterns:
        """Create a store of these rows, with ids from 0."""
        return cls([rows], np.arange(rows.shape[0]), targets)

    def __getstate__(self) -> tuple:
        return [ops.to_host(self.rows)], self.ids, self.targets, self.next_id

    def __setstate__(self, state: tuple) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self.ids)

    def get_or_compute(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the cached result of `make`; other threads wait while it is computed."""
        if name not in self._derived:
            with _computing:
                if name not in self._derived:
                    self._derived[name] = make()
        return self._derived[name]

    @property
    def form(self) -> Any:
        """An array with the format, dtype and device of the rows."""
        return self._blocks[0]

    @property
    def rows(self) -> Any:
        """All stored rows, of shape (n_patterns, n_features)."""
        if len(self._blocks) > 1:
            with _computing:
                if len(self._blocks) > 1:
                    self._blocks = [ops.stack_rows(self._blocks)]
        return self._blocks[0]

    # -- other stores ------------------------------------------------------------------------------------------------

    def append_rows(self, rows: Any, targets: Any = None) -> Patterns:
        """Return the store with more rows, which get the next ids."""
        n_new = rows.shape[0]
        ids = np.concatenate([self.ids, np.arange(self.next_id, self.next_id + n_new)])
        if self.targets is not None and len(self):
            targets = np.concatenate([self.targets, targets])
        return Patterns([*self._blocks, rows], ids, targets, self.next_id + n_new)

    def select_rows(self, kept: np.ndarray) -> Patterns:
        """Return the store of the rows at these positions."""
        targets = None if self.targets is None else self.targets[kept]
        return Patterns([ops.take_rows(self.rows, kept)], self.ids[kept], targets, self.next_id)

    # -- cached properties -------------------------------------------------------------------------------------------

    @property
    def index(self) -> Any:
        """Inverted index of the rows."""
        return self.get_or_compute("index", lambda: ops.build_postings(self.rows))

    @property
    def around_centre(self) -> tuple[Any, Patterns]:
        """The mean row, and the store of dense rows less the mean, with which distances are more precise."""
        return self.get_or_compute("around centre", self._centre)

    @property
    def lengths(self) -> Any:
        """Euclidean length of each row."""
        return self.get_or_compute("lengths", lambda: ops.row_norms(self.rows))

    @property
    def longest(self) -> float:
        """Length of the longest row; 0 if there are no rows."""
        return self.get_or_compute("longest", lambda: float(ops.to_host(self.lengths).max(initial=0)))

    def compute_lengths_without(self, missing: Any) -> Any:
        """Compute the lengths of rows over the features that are not missing, of shape (n_queries, n_patterns).

        `missing` has a row for each query, in the form of the rows: 1 where a feature is missing, else 0.
        """
        squares = self._compute_totals_without(missing, "squares", _sum_squares, self.lengths**2)
        return ops.xp(squares).sqrt(squares)

    def compute_sums_without(self, missing: Any) -> Any:
        """Compute the sums of magnitudes over the features that are not missing."""
        return self._compute_totals_without(missing, "magnitudes", abs, self.sums)

    def _compute_totals_without(self, missing: Any, name: str, measure: Callable[[Any], Any], totals: Any) -> Any:
        """Sum the results of `measure` on the entries of rows over the features that are not missing."""
        if not ops.is_sparse(missing):
            present = 1 - missing
            parts = [ops.score_postings(present, measure(block)) for block in self._iterate_blocks()]
            return ops.xp(present).concatenate(parts, axis=1)
        index = self.get_or_compute(f"index of {name}", lambda: ops.build_postings(measure(self.rows)))
        rest = totals - ops.score_postings(missing, index)
        return ops.xp(rest).where(rest > _UNITS_IN_LAST_PLACE * np.finfo(rest.dtype).eps * totals, rest, 0)

    @property
    def sums(self) -> Any:
        """Sum of magnitudes in each row."""
        return self.get_or_compute("sums", lambda: self._compute_by_blocks(sum_magnitudes))

    @property
    def medians(self) -> tuple[float, float]:
        """The median row's sum of magnitudes and squared length."""
        return self.get_or_compute("medians", lambda: (_compute_median(self.sums), _compute_median(self.lengths**2)))

    @property
    def is_binary(self) -> bool:
        """Whether all entries are 0 or 1."""
        return self.get_or_compute("is_binary", lambda: all(map(_is_binary, self._iterate_blocks())))

    @property
    def leaders(self) -> np.ndarray:
        """Position of the first row that equals each row."""
        return self.get_or_compute("leaders", self._find_leaders)

    @property
    def copies(self) -> np.ndarray:
        """Positions of the rows that equal an earlier one."""
        return self.get_or_compute("copies", lambda: np.flatnonzero(self.leaders != np.arange(len(self))))

    @property
    def sharing(self) -> Any:
        """Matrix that divides the weight of the first of several equal rows among them; None if no rows are equal."""
        return self.get_or_compute("sharing", lambda: self._share_evenly() if len(self.copies) else None)

    def _centre(self) -> tuple[Any, Patterns]:
        xp, rows = ops.xp(self.rows), self.rows
        centre = (
            rows.mean(axis=0, dtype=xp.float64).astype(rows.dtype) if len(self) else xp.zeros(rows.shape[1], rows.dtype)
        )
        return centre, Patterns.of(rows - centre)

    def _share_evenly(self) -> Any:
        n = len(self)
        shares = (1 / np.bincount(self.leaders, minlength=n)[self.leaders]).astype(self.rows.dtype)
        return ops.to_device_of(csr_matrix((shares, (self.leaders, np.arange(n))), shape=(n, n)), self.rows)

    def _find_leaders(self) -> np.ndarray:
        hashes = ops.to_host(self._compute_by_blocks(ops.row_hashes))
        _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
        leaders = first[group.ravel()]
        suspects = np.flatnonzero(leaders != np.arange(len(self)))
        if len(suspects):
            starts = range(_BLOCK, len(suspects), _BLOCK)
            equal = [self._are_equal(some, leaders[some]) for some in np.split(suspects, starts)]
            different = suspects[~np.concatenate(equal)]  # different rows with the same hash
            leaders[different] = different
        return leaders

    def _iterate_blocks(self) -> Iterator[Any]:
        """Iterate over blocks of rows, because intermediate results must not be as large as all rows."""
        for start in range(0, max(len(self), 1), _BLOCK):
            yield ops.take_rows(self.rows, slice(start, start + _BLOCK))

    def _compute_by_blocks(self, measure: Callable[[Any], Any]) -> Any:
        """Compute a number for each row."""
        parts = [measure(block) for block in self._iterate_blocks()]
        return ops.xp(parts[0]).concatenate(parts)

    def _are_equal(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        rows = self.rows
        return ops.to_host(sum_magnitudes(ops.take_rows(rows, some) - ops.take_rows(rows, others))) == 0


def _is_binary(rows: Any) -> bool:
    values = ops.entries(rows)
    return bool(((values == 0) | (values == 1)).all())


def _compute_median(values: Any) -> float:
    return float(np.median(ops.to_host(values)))


def _sum_squares(rows: Any) -> Any:
    return rows.multiply(rows).tocsr() if ops.is_sparse(rows) else rows * rows


def sum_magnitudes(rows: Any) -> Any:
    """Compute the sum of magnitudes of each row."""
    return abs(rows) @ ops.xp(rows).ones(rows.shape[1], rows.dtype)


def select_ids(ids: Any, stored: np.ndarray, method: str) -> np.ndarray:
    """Return the mask of the stored ids that are among those given to a method.

    Raises
    ------
    TypeError
        `ids` is a mask.
    ValueError
        An id is not stored.
    """
    ids = np.atleast_1d(np.asarray(ids))
    kind = ids.dtype.kind
    if kind == "b" or (ids.size and all(isinstance(id, bool | np.bool_) for id in ids.flat)):
        raise TypeError(f"{method} expected ids, got a mask. Use ids_[mask]. Nothing is removed.")
    names = ids
    if stored.dtype.kind == "i" and kind in "fu":
        with np.errstate(invalid="ignore"):
            names = ids.astype(stored.dtype)  # NumPy would compare them as float64, and round large ones
    is_other_kind = kind in "iufU" and (kind == "U") != (stored.dtype.kind == "U")  # NumPy may compare 7 with "7"
    is_stored = np.zeros(ids.shape, bool) if is_other_kind else np.isin(names, stored) & (names == ids)
    if not is_stored.all():
        missing = shorten(", ".join(map(str, ids[~is_stored][:10].tolist())), 200)
        raise ValueError(f"{method} expected stored ids, got {missing}. Use ids in ids_. Nothing is removed.")
    return np.isin(stored, names)


def draw_fragments(rows: Any, share: float, rng: Any) -> Any:
    """Return rows with a random share of their entries, at least one each; the others are zero."""
    left = csr_matrix(ops.to_host(rows), copy=True)
    n_entries = np.diff(left.indptr)
    row = np.repeat(np.arange(len(n_entries)), n_entries)
    order = np.lexsort((rng.random_sample(left.nnz), row))
    rank = np.empty(left.nnz, np.int64)
    rank[order] = np.arange(left.nnz) - left.indptr[row]
    left.data[rank >= np.ceil(share * n_entries)[row]] = 0
    left.eliminate_zeros()
    return ops.convert_to_format_of(ops.to_device_of(left, rows), rows)
