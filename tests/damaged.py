"""Sparse matrices with invalid arrays."""

import numpy as np
from scipy import sparse


def _make_csr(kind=sparse.csr_matrix):
    return kind(np.array([[1.0, 0, 2, 0], [0, 3, 0, 0], [4, 0, 0, 5]]))


def _set_arrays(X, **arrays):
    for name, values in arrays.items():
        setattr(X, name, values)
    return X


def _make_lil(rows=None, data=None):
    X = _make_csr().tolil()
    if rows is not None:
        X.rows[0] = rows
    if data is not None:
        X.data[0] = data
    return X


def _list_damages(make):
    """Return each kind of damage to a CSR or CSC matrix with one dimension of at most 4, as functions by name."""
    n, last = len(make().indptr), make().nnz
    return {
        "an index beyond the shape": lambda: _set_arrays(make(), indices=np.array([0, 9, 1, 0, 2], np.int32)),
        "an index far beyond": lambda: _set_arrays(make(), indices=np.array([0, 2**31 - 1, 1, 0, 2], np.int32)),
        "an index beyond int32": lambda: _set_arrays(
            make(), indices=np.array([0, 2**32, 1, 0, 2]), indptr=make().indptr.astype(np.int64)
        ),
        "a negative index": lambda: _set_arrays(make(), indices=np.array([0, -1, 1, 0, 2], np.int32)),
        "indices of float": lambda: _set_arrays(make(), indices=make().indices.astype(float)),
        "indices in two dimensions": lambda: _set_arrays(make(), indices=make().indices[:, None]),
        "too few indices": lambda: _set_arrays(make(), indices=make().indices[:-1]),
        "too many indices": lambda: _set_arrays(make(), indices=np.append(make().indices, 0).astype(np.int32)),
        "too few values": lambda: _set_arrays(make(), data=make().data[:-2]),
        "values in two dimensions": lambda: _set_arrays(make(), data=make().data[:, None]),
        "pointers that fall": lambda: _set_arrays(make(), indptr=np.array([0, 4, 2] + [last] * (n - 3), np.int32)),
        "a negative pointer": lambda: _set_arrays(make(), indptr=np.array([0, -4] + [last] * (n - 2), np.int32)),
        "pointers that begin late": lambda: _set_arrays(make(), indptr=np.array([1] + [last] * (n - 1), np.int32)),
        "pointers beyond the end": lambda: _set_arrays(
            make(), indptr=np.array([0] * (n - 1) + [last + 1000], np.int32)
        ),
        "too few pointers": lambda: _set_arrays(make(), indptr=make().indptr[:-1]),
        "too many pointers": lambda: _set_arrays(make(), indptr=np.append(make().indptr, last).astype(np.int32)),
        "no pointers": lambda: _set_arrays(make(), indptr=make().indptr[:0]),
        "pointers of float": lambda: _set_arrays(make(), indptr=make().indptr.astype(float)),
    }


DAMAGED = {
    f"{name}, {form}": damage
    for form, make in {
        "csr_matrix": _make_csr,
        "csr_array": lambda: _make_csr(sparse.csr_array),
        "csc_matrix": lambda: _make_csr().T.tocsc().T.tocsc(),
        "csc_array": lambda: _make_csr(sparse.csc_array),
    }.items()
    for name, damage in _list_damages(make).items()
} | {
    "a row beyond the shape, coo": lambda: _set_arrays(_make_csr().tocoo(), row=np.array([0, 0, 1, 2, 9], np.int32)),
    "a column beyond the shape, coo": lambda: _set_arrays(
        _make_csr().tocoo(), col=np.array([0, 2, 1, 0, 99_999], np.int32)
    ),
    "a negative row, coo": lambda: _set_arrays(_make_csr().tocoo(), row=np.array([0, -1, 1, 2, 2], np.int32)),
    "too few rows, coo": lambda: _set_arrays(_make_csr().tocoo(), row=np.array([0, 0], np.int32)),
    "too few values, coo": lambda: _set_arrays(_make_csr().tocoo(), data=np.ones(2)),
    "an index beyond the shape, bsr": lambda: _set_arrays(
        sparse.bsr_matrix(np.eye(4), blocksize=(2, 2)), indices=np.array([0, 9])
    ),
    "pointers beyond the end, bsr": lambda: _set_arrays(
        sparse.bsr_matrix(np.eye(4), blocksize=(2, 2)), indptr=np.array([0, 1, 99])
    ),
    "too few blocks, bsr": lambda: _set_arrays(sparse.bsr_matrix(np.eye(4), blocksize=(2, 2)), data=np.ones((1, 2, 2))),
    "blocks of another shape, bsr": lambda: _set_arrays(
        sparse.bsr_matrix(np.eye(4), blocksize=(2, 2)), data=np.ones((2, 3, 3))
    ),
    "too few diagonals, dia": lambda: _set_arrays(sparse.dia_matrix(np.eye(4)), data=np.ones((0, 4))),
    "too many offsets, dia": lambda: _set_arrays(sparse.dia_matrix(np.eye(4)), offsets=np.arange(3)),
    "an offset twice, dia": lambda: _set_arrays(
        sparse.dia_matrix(np.eye(4)), offsets=np.zeros(2, int), data=np.ones((2, 4))
    ),
    "a column beyond the shape, lil": lambda: _make_lil(rows=[0, 77]),
    "a column far beyond the shape, lil": lambda: _make_lil(rows=[0, 2**40]),
    "a negative column, lil": lambda: _make_lil(rows=[-3, 0]),
    "too few values, lil": lambda: _make_lil(data=[1.0]),
    "too many values, lil": lambda: _make_lil(data=[1.0] * 100_000),
}
if sparse.coo_array(np.ones(2)).ndim == 1:  # since SciPy 1.13
    DAMAGED["one dimension, coo"] = lambda: sparse.coo_array(np.ones(2))
