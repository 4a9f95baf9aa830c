"""Simulation of CuPy on the CPU: `cupy`, `cupyx.scipy.sparse`, and kernels in CUDA C++ compiled by g++.

`install()` replaces `cupy` in `sys.modules`, and `uninstall()` restores it. The simulation has only the functions of
CuPy (listed in `cupy_api.py`) and raises the same errors; NumPy and SciPy compute the results. Synchronisations,
launches and transfers are counted: `with simulated.counting() as found: ...; found.synchronizations`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from simulated.memory import Counts, counting, counts

__all__ = ["Counts", "counting", "counts", "install", "make_modules", "uninstall"]

VERSION = "14.2.0"


def is_cupy_module(name: str) -> bool:
    return name.partition(".")[0] in ("cupy", "cupyx", "cupy_backends")


def make_modules() -> dict[str, ModuleType]:
    """Return the modules for `sys.modules`, by name."""
    from simulated import arrays, cuda, sparse

    class Cupy(ModuleType):
        def __getattr__(self, name: str) -> Any:
            found = arrays.find(name)
            setattr(self, name, found)
            return found

    modules: dict[str, ModuleType] = {
        "cupy": Cupy("cupy"),
        **cuda.make_modules(),
        **{name: ModuleType(name) for name in ("cupy.linalg", "cupy.random", "cupyx", "cupyx.scipy")},
        **sparse.make_modules(),
    }
    modules["cupy"].__dict__.update(
        __version__=VERSION,
        __path__=[],
        ndarray=arrays.ndarray,
        ufunc=arrays.ufunc,
        RawModule=cuda.RawModule,
        RawKernel=cuda.RawKernel,
        ElementwiseKernel=cuda.ElementwiseKernel,
        get_default_memory_pool=cuda.get_default_memory_pool,
        get_default_pinned_memory_pool=cuda.get_default_pinned_memory_pool,
    )
    modules["cupy.linalg"].__dict__.update(arrays.linalg_contents())
    modules["cupy.random"].__dict__.update(arrays.random_contents())
    modules["cupyx"].__dict__.update(
        scatter_add=lambda a, slices, value: a.scatter_add(slices, value),
        scatter_max=lambda a, slices, value: a.scatter_max(slices, value),
        scatter_min=lambda a, slices, value: a.scatter_min(slices, value),
    )
    modules["cupyx.scipy"].__dict__["get_array_module"] = arrays.get_array_module
    for name, module in modules.items():
        parent = name.rpartition(".")[0]
        if parent:
            module.__dict__.setdefault("__path__", [])
            setattr(modules[parent], name.rpartition(".")[2], module)
        else:
            module.__dict__.setdefault("__path__", [])
    return modules


_before: list[dict[str, ModuleType]] = []


def install() -> ModuleType:
    """Replace `cupy` by the simulation; keep the replaced modules for `uninstall`."""
    _before.append({name: sys.modules.pop(name) for name in list(sys.modules) if is_cupy_module(name)})
    sys.modules.update(make_modules())
    return sys.modules["cupy"]


def uninstall() -> None:
    """Restore the modules that `install` replaced."""
    for name in [name for name in sys.modules if is_cupy_module(name)]:
        del sys.modules[name]
    sys.modules.update(_before.pop())
