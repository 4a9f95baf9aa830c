"""Wall-clock time of a call."""

import time
from collections.abc import Callable
from typing import Any


def measure_seconds(work: Callable[[], Any]) -> float:
    """Measure the wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
