"""`codebooks report`: the page, existing files, and errors."""

import pytest
from typer.testing import CliRunner

from codebooks.cli.app import app

pytest.importorskip("jinja2")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("topics")
    texts = ["goal match team player", "bank loan interest credit"] * 10
    (folder / "news.txt").write_text("\n".join(texts))
    assert run("topics", folder / "news.txt", "--topics", 2, "--out", folder / "out", "--quiet").exit_code == 0
    return folder / "out"


def test_report_is_written(folder, tmp_path):
    file = tmp_path / "new" / "page.html"
    result = run("report", folder, "--out", file, "--title", "<b>News</b>")
    assert result.exit_code == 0, result.output
    page = file.read_text()
    assert "&lt;b&gt;News&lt;/b&gt;" in page
    assert "goal" in page
    assert "<b>News" not in page


def test_existing_report_is_kept(folder, tmp_path):
    file = tmp_path / "page.html"
    file.write_text("mine")
    result = run("report", folder, "--out", file)
    assert result.exit_code == 2
    assert file.read_text() == "mine"
    assert run("report", folder, "--out", file, "--overwrite").exit_code == 0
    assert file.read_text() != "mine"


def test_missing_model(tmp_path):
    result = run("report", tmp_path / "none")
    assert result.exit_code == 2
    assert "there is no model" in result.output
