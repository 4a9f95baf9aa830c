"""Every example runs and says something."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
DRAWING = (
    "choose_n_components",
    "complete_from_a_part",
    "edit_topics",
    "follow_topics",
    "grid_search",
    "topic_pipeline",
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, capsys, monkeypatch, tmp_path):
    picture = tmp_path / "picture.png"
    monkeypatch.setattr(sys, "argv", [str(path), str(picture)])  # some draw
    runpy.run_path(str(path), run_name="__main__")
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) > 5
    assert captured.err == ""
    assert picture.is_file() == (path.stem in DRAWING)
    assert not picture.is_file() or picture.read_bytes().startswith(b"\x89PNG")


def test_there_are_examples():
    assert len(EXAMPLES) >= 2
