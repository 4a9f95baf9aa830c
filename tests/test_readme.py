"""README.md: the example prints the shown lines, figures equal the stored results, and paths exist."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from benchmarks.readme import PARTS, replace_parts

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
EXAMPLE = re.compile(r"<!-- example -->\n```python\n(.*?)```\n<!-- prints -->\n```\n(.*?)```", re.DOTALL)


def test_readme_example_prints_the_topics_shown():
    code, printed = EXAMPLE.search(TEXT).groups()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, str(README), "exec"), {})
    # Versions of scikit-learn and rounding may change single words.
    lines = said.getvalue().splitlines()
    assert len(lines) == len(printed.splitlines()) == 10
    words, expected = (set(re.findall("[a-z]+", text)) for text in (said.getvalue(), printed))
    assert len(words & expected) >= 0.8 * len(expected)


@pytest.mark.parametrize(
    "path", re.findall(r"(?:`|\()((?:benchmarks|codebooks|tests|examples|docs)/[\w./]+(?<!html))[`)]", TEXT)
)
def test_readme_paths_exist(path):
    assert (README.parent / path).exists()


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.name)
def test_tables_equal_the_stored_results(path):
    text = path.read_text(encoding="utf-8")
    assert replace_parts(text, PARTS[path], path.name) == text, "run `python -m benchmarks readme`"
