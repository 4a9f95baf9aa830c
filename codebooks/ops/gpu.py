"""CuPy bodies of the primitives. None is written yet; this is the seam where they go.

The interface, and what each function promises, stands in `codebooks.ops`; `cpu` is the twin to follow.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotImplementedError(
        "codebooks computes NumPy arrays and SciPy CSR matrices; a CuPy array came, and its code is not "
        "written yet. Move it to the host first, with cupy.asnumpy(X) or X.get()."
    )
