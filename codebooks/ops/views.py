"""Some rows of a CSR matrix without a copy of it, on any device."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["RowView", "csr_arrays", "view_csr_rows"]


class RowView(NamedTuple):
    """Some rows of a CSR matrix, in place: where each starts and stops in the arrays of the whole."""

    starts: Any
    stops: Any
    indices: Any
    data: Any
    n_features: int
    form: type  # of the matrix that it is a view of

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return len(self.starts), self.n_features

    @property
    def dtype(self) -> Any:
        """Of the values."""
        return self.data.dtype

    @property
    def nnz(self) -> int:
        """How many entries the rows have together. On a device, asking waits for it."""
        return int((self.stops - self.starts).sum())


def csr_arrays(X: Any) -> tuple[Any, Any, Any, Any]:
    """The arrays of a CSR matrix or a view of one: where rows start, where they stop, columns, values."""
    return X[:4] if isinstance(X, RowView) else (X.indptr[:-1], X.indptr[1:], X.indices, X.data)


def view_csr_rows(X: Any, rows: Any) -> RowView:
    """The rows of a CSR matrix, or a view of one, that `rows` names: a slice, or an index array of its device."""
    starts, stops, indices, data = csr_arrays(X)
    form = X.form if isinstance(X, RowView) else type(X)
    return RowView(starts[rows], stops[rows], indices, data, X.shape[1], form)
