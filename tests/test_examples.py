"""Every example runs and says something."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, capsys):
    runpy.run_path(str(path), run_name="__main__")
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) > 5
    assert captured.err == ""


def test_there_are_examples():
    assert len(EXAMPLES) >= 2
