"""Bring what was learned on a GPU back to a machine without one."""

from __future__ import annotations

import pickle
from typing import Any

from codebooks import ops

__all__ = ["to_host"]


def to_host(model: Any) -> Any:
    """A copy of a fitted model that holds nothing on a GPU, and works on machines that have none.

    Estimators compute where their data lies: fitted on CuPy arrays, they learn and answer on the GPU. Pickling moves
    what they have learned to the host, and so does this. The other way there is none: fit on CuPy arrays.

    Parameters
    ----------
    model : estimator, Pipeline, search or array
        Anything that can be pickled; a CuPy array or sparse matrix becomes one of NumPy or SciPy.

    Returns
    -------
    object of the same type, or ndarray, or SciPy matrix
        What was on the host already is copied too, except for arrays.

    Examples
    --------
    >>> import codebooks
    >>> model = codebooks.KrotovHopfield(2, random_state=0).fit([[1.0, 0.0], [0.0, 1.0]])
    >>> codebooks.to_host(model).components_.tolist() == model.components_.tolist()
    True
    """
    if ops.is_on_gpu(model):
        return ops.to_host(model)
    return pickle.loads(pickle.dumps(model, protocol=pickle.HIGHEST_PROTOCOL))
