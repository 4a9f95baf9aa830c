"""Words that the project avoids, in all tracked text."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AVOIDED = ("told", "door", "who only asks", "brings back", "keep company", "mend", "so many", "whoever", "room for")
SUFFIXES = (".py", ".md", ".rst", ".toml", ".cu", ".yml", ".cff", "Makefile")
PATTERN = re.compile(rf"\b({'|'.join(AVOIDED)})\b", re.IGNORECASE)


def tracked_files():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        return []  # a source archive
    return [name for name in listed.stdout.splitlines() if name.endswith(SUFFIXES) and name != "tests/test_style.py"]


def test_tracked_text_avoids_the_listed_words():
    if not (names := tracked_files()):
        pytest.skip("git does not list the files")
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in names
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if PATTERN.search(line)
    ]
    assert not found, "\n".join(found)
