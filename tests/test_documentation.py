"""The documentation: its examples run, every public name is in the reference, every example in the gallery."""

import doctest
import re
from pathlib import Path

import pytest

import codebooks
from codebooks import datasets, metrics, plots

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for page in sorted([*(ROOT / "docs").glob("*.rst"), *(ROOT / "docs/guide").glob("*.rst")])
    if ">>> " in page.read_text(encoding="utf-8")
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_documentation_pages(page):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.testfile(str(page), module_relative=False, optionflags=flags, encoding="utf-8")
    assert failed == 0


@pytest.mark.parametrize("module", [codebooks, metrics, plots, datasets], ids=lambda module: module.__name__)
def test_reference_lists_every_public_name(module):
    listed = set()
    for block in (ROOT / "docs/api.rst").read_text(encoding="utf-8").split(".. currentmodule:: ")[1:]:
        if block.startswith(f"{module.__name__}\n"):
            listed |= set(re.findall(r"^   (\w+)$", block, re.MULTILINE))
    assert listed == set(module.__all__)


def test_estimators_link_to_their_page_of_the_reference():
    for name in codebooks.__all__:
        public = getattr(codebooks, name)
        if isinstance(public, type) and hasattr(public, "get_params"):
            link = public()._get_doc_link()
            assert link == f"https://codebooks-learn.github.io/codebooks/reference/codebooks.{name}.html"


def test_every_example_begins_with_a_title_for_the_gallery():
    for path in (ROOT / "examples").glob("*.py"):
        lines = path.read_text(encoding="utf-8").split('"""')[1].strip().splitlines()
        assert len(lines) >= 4, path
        assert lines[1] == "=" * len(lines[0]), path
