import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

# Importing the plugin changes how the package is loaded, and --doctest-modules imports what it collects.
collect_ignore = ["rounding.py", "processors.py"]

TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items):
    """Mark the tests that start processes by means of `fresh_python`."""
    for item in items:
        if "fresh_python" in getattr(item, "fixturenames", ()):
            item.add_marker("process")


@pytest.fixture(scope="session")
def fresh_python():
    """Return a function that runs code in a new interpreter with the same import path and returns the output.

    The function fails the test if the exit code is not 0. Keyword arguments are environment variables.
    """

    def run(code, timeout=1200, **environment):
        path = os.pathsep.join([str(TESTS), str(TESTS.parent), *filter(None, sys.path)])
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def query_in_threads():
    """Return a context manager under which threads query repeatedly, and which yields the list of their errors.

    The block starts after each thread has queried once.
    """

    @contextmanager
    def run_threads(query, n_threads=3):
        failures, stop = [], threading.Event()
        started = [threading.Event() for _ in range(n_threads)]

        def work(has_started):
            try:
                while not stop.is_set():
                    query()
                    has_started.set()
            except BaseException as error:  # any error fails the test
                failures.append(error)
            finally:
                has_started.set()

        threads = [threading.Thread(target=work, args=(event,)) for event in started]
        for thread in threads:
            thread.start()
        try:
            for event in started:
                event.wait()
            yield failures
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    return run_threads
