"""Write `cupy_api.py`: the names and signatures of a real CuPy, which limit the simulation.

Run it with an interpreter that has CuPy; a device is not needed: `python tests/simulated/record_api.py`.
"""

from __future__ import annotations

import inspect
import pprint
import re
import sys
from pathlib import Path
from typing import Any

HEAD = '''"""Names and signatures of CuPy {version}, written by `record_api.py`.

A signature is a string of parameter names as `inspect` prints them, without annotations; None if it is unknown.
"""
# ruff: noqa: E501
'''


def get_signature(function: Any) -> str | None:
    """Return the signature of a function; compiled functions have it in the first line of their docstring."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return _read_signature_in_docstring(function)
    plain = [p.replace(annotation=inspect.Parameter.empty, default=_simplify_default(p.default)) for p in parameters]
    return str(inspect.Signature(plain))


def _simplify_default(default: Any) -> Any:
    if default is inspect.Parameter.empty or isinstance(default, (bool, int, float, str, tuple)):
        return default
    return None


def _read_signature_in_docstring(function: Any) -> str | None:
    line = (getattr(function, "__doc__", None) or "").split("\n")[0]
    found = re.match(r"\w+\.\w+(\(.*\))( -> .*)?$", line)
    if not found:
        return None
    # C types precede the names.
    names = [re.sub(r"^[\w ]+ (?=\w+(=|$))", "", part.strip()) for part in found[1][1:-1].split(",")]
    return f"({', '.join(names)})"


def list_names(owner: Any, private: bool = False) -> list[str]:
    return [name for name in dir(owner) if private or not name.startswith("_")]


def get_functions(module: Any) -> dict[str, str | None]:
    """Return signatures of the functions of a module, without classes, ufuncs, submodules and constants."""
    found = {name: getattr(module, name) for name in list_names(module)}
    return {
        name: get_signature(value)
        for name, value in found.items()
        if callable(value) and not isinstance(value, type) and type(value).__name__ != "ufunc"
    }


def get_methods(cls: type) -> dict[str, str | None]:
    """Return signatures of methods; None for properties."""
    special = {"__array_ufunc__", "__array_function__", "__init__", "__new__", "__class__", "__dict__"}
    names = [name for name in dir(cls) if name not in special and not re.match(r"_[^_]", name)]
    return {
        name: get_signature(getattr(cls, name)) if callable(getattr(cls, name)) and not name.startswith("__") else None
        for name in names
    }


def record() -> str:
    """Return the text of `cupy_api.py`."""
    import cupy
    from cupyx.scipy import sparse

    tables = {
        "FUNCTIONS": get_functions(cupy),
        "LINALG": get_functions(cupy.linalg),
        "RANDOM": get_functions(cupy.random),
        "UFUNCS": [name for name in list_names(cupy) if type(getattr(cupy, name)).__name__ == "ufunc"],
        "TYPES": [name for name in list_names(cupy) if isinstance(getattr(cupy, name), type)],
        "CONSTANTS": [
            name
            for name in list_names(cupy)
            if getattr(cupy, name) is None or isinstance(getattr(cupy, name), int | float)
        ],
        "ARRAY": get_methods(cupy.ndarray),
        "CSR": get_methods(sparse.csr_matrix),
        "CSC": get_methods(sparse.csc_matrix),
        "COO": get_methods(sparse.coo_matrix),
        "SPARSE": get_functions(sparse),
    }
    bodies = [f"{name} = {pprint.pformat(value, width=119, sort_dicts=True)}\n" for name, value in tables.items()]
    return HEAD.format(version=cupy.__version__) + "\n" + "\n".join(bodies)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder has a module `cuda`, which would hide that of CuPy
    Path(__file__).with_name("cupy_api.py").write_text(record())
