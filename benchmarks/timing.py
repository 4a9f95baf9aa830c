"""How long something takes."""

import time
from collections.abc import Callable
from typing import Any


def measure_seconds(work: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
