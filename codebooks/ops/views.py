"""The arrays of CSR matrices, and views of some of their rows without a copy, on any device."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["CSRArrays", "RowView", "csr_arrays", "view_csr_rows"]


class CSRArrays(NamedTuple):
    """The arrays that kernels read of a CSR matrix: row i is `starts[i]:stops[i]` of `indices` and `data`."""

    starts: Any
    stops: Any
    indices: Any
    data: Any


class RowView(NamedTuple):
    """Some rows of a CSR matrix: the start and stop of each in the arrays of the whole matrix."""

    starts: Any
    stops: Any
    indices: Any
    data: Any
    n_features: int
    form: type  # class of the whole matrix

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of features."""
        return len(self.starts), self.n_features

    @property
    def dtype(self) -> Any:
        """Data type of the values."""
        return self.data.dtype

    @property
    def nnz(self) -> int:
        """Number of stored entries of the rows. On a GPU, this waits for the device."""
        return int((self.stops - self.starts).sum())


def csr_arrays(X: Any) -> CSRArrays:
    """Return the arrays of a CSR matrix or of a view of its rows."""
    if isinstance(X, RowView):
        return CSRArrays(*X[:4])
    return CSRArrays(X.indptr[:-1], X.indptr[1:], X.indices, X.data)


def view_csr_rows(X: Any, rows: Any) -> RowView:
    """View some rows of a CSR matrix or of a view; `rows` is a slice, or an index array on the same device."""
    arrays = csr_arrays(X)
    form = X.form if isinstance(X, RowView) else type(X)
    return RowView(arrays.starts[rows], arrays.stops[rows], arrays.indices, arrays.data, X.shape[1], form)
