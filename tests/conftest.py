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


@pytest.fixture(scope="session")
def fresh_python():
    """Run code in a new interpreter that finds what this one finds; what it prints comes back.

    The function fails the test unless the interpreter ends well. Its other arguments are environment variables.
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
def asked_meanwhile():
    """A block beside which threads ask and ask; each has asked once when it begins. What goes wrong comes as a list."""

    @contextmanager
    def block(ask, n_threads=3):
        failures, stop = [], threading.Event()
        begun = [threading.Event() for _ in range(n_threads)]

        def work(has_begun):
            try:
                while not stop.is_set():
                    ask()
                    has_begun.set()
            except BaseException as error:  # whatever it is, it fails the test
                failures.append(error)
            finally:
                has_begun.set()

        threads = [threading.Thread(target=work, args=(one,)) for one in begun]
        for thread in threads:
            thread.start()
        try:
            for one in begun:
                one.wait()
            yield failures
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    return block
