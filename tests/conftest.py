import os
import subprocess
import sys
from pathlib import Path

import pytest

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
