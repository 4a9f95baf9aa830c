"""Conversion of models that were fitted on a GPU for use on the CPU."""

from __future__ import annotations

import pickle
from typing import Any

from codebooks import ops

__all__ = ["to_host"]


def to_host(model: Any) -> Any:
    """Copy a model that was fitted on a GPU to the CPU, for use on machines without a GPU.

    Estimators compute on the device of their data: fitted on CuPy arrays, they learn and predict on the GPU. Pickling
    copies the fitted attributes to host memory, and so does this function. There is no function for the other
    direction: fit on CuPy arrays.

    Parameters
    ----------
    model : estimator, Pipeline, search or array
        Any object that can be pickled. A CuPy array or sparse matrix is converted to NumPy or SciPy.

    Returns
    -------
    object of the same type, or ndarray, or SciPy matrix
        A copy, also of a model that is on the CPU already. An array in host memory is returned as it is.

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
