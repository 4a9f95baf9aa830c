"""Write `cupy_api.py`: the names and signatures of a real CuPy, for the simulation to be no wider than it.

Run it with an interpreter that has CuPy; a device is not needed: `python tests/simulated/record_api.py`.
"""

from __future__ import annotations

import inspect
import pprint
import re
import sys
from pathlib import Path
from typing import Any

HEAD = '''"""What CuPy {version} offers, by name; made by `record_api.py`, not by hand.

A signature is a string of parameter names as `inspect` prints them, without annotations; None where it is not known.
"""
# ruff: noqa: E501
'''


def signature_of(function: Any) -> str | None:
    """The parameters of a function, also of a compiled one that says them in the first line of its docstring."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return _signature_in_docstring(function)
    plain = [p.replace(annotation=inspect.Parameter.empty, default=_plain(p.default)) for p in parameters]
    return str(inspect.Signature(plain))


def _plain(default: Any) -> Any:
    if default is inspect.Parameter.empty or isinstance(default, (bool, int, float, str, tuple)):
        return default
    return None


def _signature_in_docstring(function: Any) -> str | None:
    line = (getattr(function, "__doc__", None) or "").split("\n")[0]
    found = re.match(r"\w+\.\w+(\(.*\))( -> .*)?$", line)
    if not found:
        return None
    # Types of C stand in front of names.
    names = [re.sub(r"^[\w ]+ (?=\w+(=|$))", "", part.strip()) for part in found[1][1:-1].split(",")]
    return f"({', '.join(names)})"


def names_of(owner: Any, private: bool = False) -> list[str]:
    return [name for name in dir(owner) if private or not name.startswith("_")]


def functions_of(module: Any) -> dict[str, str | None]:
    """Signatures of the functions of a module; classes, ufuncs, submodules and constants are left out."""
    found = {name: getattr(module, name) for name in names_of(module)}
    return {
        name: signature_of(value)
        for name, value in found.items()
        if callable(value) and not isinstance(value, type) and type(value).__name__ != "ufunc"
    }


def methods_of(cls: type) -> dict[str, str | None]:
    """Signatures of methods; None for what is not called, such as properties."""
    special = {"__array_ufunc__", "__array_function__", "__init__", "__new__", "__class__", "__dict__"}
    names = [name for name in dir(cls) if name not in special and not re.match(r"_[^_]", name)]
    return {
        name: signature_of(getattr(cls, name)) if callable(getattr(cls, name)) and not name.startswith("__") else None
        for name in names
    }


def record() -> str:
    """The text of `cupy_api.py`."""
    import cupy
    from cupyx.scipy import sparse

    tables = {
        "FUNCTIONS": functions_of(cupy),
        "LINALG": functions_of(cupy.linalg),
        "RANDOM": functions_of(cupy.random),
        "UFUNCS": [name for name in names_of(cupy) if type(getattr(cupy, name)).__name__ == "ufunc"],
        "TYPES": [name for name in names_of(cupy) if isinstance(getattr(cupy, name), type)],
        "CONSTANTS": [
            name
            for name in names_of(cupy)
            if getattr(cupy, name) is None or isinstance(getattr(cupy, name), int | float)
        ],
        "ARRAY": methods_of(cupy.ndarray),
        "CSR": methods_of(sparse.csr_matrix),
        "CSC": methods_of(sparse.csc_matrix),
        "COO": methods_of(sparse.coo_matrix),
        "SPARSE": functions_of(sparse),
    }
    bodies = [f"{name} = {pprint.pformat(value, width=119, sort_dicts=True)}\n" for name, value in tables.items()]
    return HEAD.format(version=cupy.__version__) + "\n" + "\n".join(bodies)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose `cuda` is not the one that CuPy looks for
    Path(__file__).with_name("cupy_api.py").write_text(record())
