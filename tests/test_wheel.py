"""What a wheel contains. It is built from a copy without git, where no tag gives the version."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("build", reason="Wheels are built in the environment of developers.")
pytest.importorskip("setuptools", minversion="77")
pytest.importorskip("setuptools_scm")

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The names of the files in a wheel."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "codebooks", source / "codebooks", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = (source / "dist").glob("codebooks_learn-*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_wheel_contains_every_file_of_the_package(names):
    files = (path.relative_to(ROOT).as_posix() for path in (ROOT / "codebooks").rglob("*") if path.is_file())
    assert {name for name in files if "__pycache__" not in name} <= set(names)


def test_wheel_contains_the_licences(names):
    licences = [name.partition(".dist-info/licenses/")[2] for name in names]
    assert {"LICENSE", "codebooks/datasets/data/LICENSE-WordNet.txt"} <= set(licences)
