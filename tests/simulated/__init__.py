"""A stand-in for CuPy that computes on the CPU: `cupy`, `cupyx.scipy.sparse`, and kernels in CUDA C++ with g++.

`install()` puts it where `import cupy` finds it, and `uninstall()` puts back what was there. It offers no more than
CuPy does (`cupy_api.py` says what that is) and refuses what CuPy refuses; numbers come from NumPy and SciPy. What the
code under test asks of the device is counted: `with simulated.counting() as found: ...; found.synchronizations`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from simulated.memory import Counts, counting, counts

__all__ = ["Counts", "counting", "counts", "install", "make_modules", "uninstall"]

VERSION = "14.2.0"


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in ("cupy", "cupyx", "cupy_backends")


def make_modules() -> dict[str, ModuleType]:
    """The modules to be put into `sys.modules`, by name."""
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
    """Make `import cupy` find the simulation; what was imported under these names is kept for `uninstall`."""
    _before.append({name: sys.modules.pop(name) for name in list(sys.modules) if is_ours(name)})
    sys.modules.update(make_modules())
    return sys.modules["cupy"]


def uninstall() -> None:
    """Put back what `install` found."""
    for name in [name for name in sys.modules if is_ours(name)]:
        del sys.modules[name]
    sys.modules.update(_before.pop())
