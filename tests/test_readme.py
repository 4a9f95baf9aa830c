"""The README's example runs and prints what it says, its figures are those of the results, its paths lead somewhere."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from benchmarks.readme import PARTS, written

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
EXAMPLE = re.compile(r"<!-- example -->\n```python\n(.*?)```\n<!-- prints -->\n```\n(.*?)```", re.DOTALL)


def test_the_example_runs():
    code, printed = EXAMPLE.search(TEXT).groups()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, str(README), "exec"), {})
    # The words depend on which versions are installed; that there are as many topics and a label does not.
    lines = said.getvalue().splitlines()
    assert len(lines) == len(printed.splitlines()) == 7
    for line in lines:
        assert re.fullmatch(r"(The question is about )?\d+ \(\d+\.\d%\): \w+(, \w+){5}", line), line


@pytest.mark.parametrize("path", re.findall(r"`((?:benchmarks|codebooks|tests|examples)/[\w./]+)`", TEXT))
def test_what_it_points_to_exists(path):
    assert (README.parent / path).exists()


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.name)
def test_figures_are_those_of_the_results(path):
    text = path.read_text(encoding="utf-8")
    assert written(text, PARTS[path], path.name) == text, "run `python -m benchmarks readme`"
