import csv
import errno
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import zipfile
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import pytest
import skops.io

import codebooks.cli.topics
from codebooks import MultinomialMixture, cli, datasets
from codebooks.cli.models import load_model
from codebooks.datasets import Corpus

THEMES = {
    "sport": ["goal", "match", "team", "league", "striker", "referee", "penalty", "stadium"],
    "money": ["loan", "bank", "rate", "credit", "savings", "cheque", "mortgage", "deposit"],
    "food": ["brødre", "soup", "bread", "pepper", "onion", "garlic", "crème", "oven"],
}


def texts(n=30):
    rng = random.Random(0)
    return [" ".join(rng.choices(words, k=7)) for _, words in zip(range(n), list(THEMES.values()) * n, strict=False)]


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in this process, in a temporary folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["codebooks", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Done(ended.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("\n".join(texts()), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that another process saved, and its documents."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "text.txt").write_text("\n".join(texts()), encoding="utf-8")
    done = python("-m", "codebooks", "topics", "text.txt", "-k", "3", "--quiet", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder / "topics"


def python(*arguments, cwd, stdout=subprocess.PIPE):
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, *arguments]
    how = {"stdout": stdout, "stderr": subprocess.PIPE, "encoding": "utf-8", "timeout": 1200}
    return subprocess.run(command, cwd=cwd, env=environment, **how)


def table(text):
    return list(csv.DictReader(StringIO(text)))


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- topics ----------------------------------------------------------------------------------------------------------


def test_topics_prints_a_summary_and_writes_files(run, text, tmp_path):
    text.write_text("\n".join([*texts(), "", "!!! 12 3"]), encoding="utf-8")
    done = run("topics", text, "-k", 3)
    assert (done.code, done.err) == (0, "")
    for phrase in ("31 documents, 24 terms; fitted in ", "mean NPMI", "skipped empty documents: 1", "(topic -1): 1"):
        assert phrase in done.out
    assert "codebooks assign topics SOURCE" in done.out

    assert {path.name for path in (tmp_path / "topics").iterdir()} == set(cli.topics.FILES)
    rows = table((tmp_path / "topics/topics.csv").read_text(encoding="utf-8"))
    assert sorted(sorted(row["words"].split()) for row in rows) == sorted(map(sorted, THEMES.values()))
    assert [int(row["documents"]) for row in rows] == [10, 10, 10]
    assert all(row["share"] == "0.3333" and -1 <= float(row["npmi"]) <= 1 for row in rows)
    assert (tmp_path / "topics/topics.png").read_bytes().startswith(b"\x89PNG")


def test_codes_csv_contains_the_topic_of_each_document(run, text, tmp_path):
    text.write_text("\n".join(["", *texts(), "12"]), encoding="utf-8")
    run("topics", text, "-k", 3)
    pipeline = load_model(tmp_path / "topics")
    codes = table((tmp_path / "topics/codes.csv").read_text(encoding="utf-8"))
    assert [row["document"] for row in codes] == [str(number) for number in range(1, 32)]
    assert [int(row["topic"]) for row in codes] == pipeline.predict([*texts(), "12"]).tolist()
    assert codes[-1] == {"document": "31", "topic": "-1", "strength": "0.0000", "words": ""}
    assert all(set(row["words"].split()) <= set(THEMES["sport"]) for row in codes[:-1:3])

    strength = [float(row["strength"]) for row in codes[:-1]]
    np.testing.assert_allclose(strength, pipeline.transform(texts()).max(axis=1), atol=1e-4)

    run("topics", text, "-k", 3, "--model", "krotov-hopfield", "--overwrite")
    pipeline = load_model(tmp_path / "topics")
    codes = table((tmp_path / "topics/codes.csv").read_text(encoding="utf-8"))
    X = pipeline["vectorizer"].transform(texts()).toarray()
    units = pipeline["learner"].components_
    cosines = X @ (units / np.linalg.norm(units, axis=1, keepdims=True)).T
    winners = pipeline.predict(texts())
    np.testing.assert_allclose(
        [float(row["strength"]) for row in codes[:-1]], cosines[np.arange(30), winners], atol=1e-4
    )


def write_csv(path, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(n, f"{text}\nand a line") for n, text in enumerate(texts())]
        csv.writer(file, delimiter=delimiter).writerows([("id", "text"), *rows])


def write_folder(path):
    for number, text in enumerate(texts()):
        path.joinpath("deep" if number % 2 else "").mkdir(parents=True, exist_ok=True)
        path.joinpath("deep" if number % 2 else "", f"é{number:02}.md").write_text(text, encoding="utf-8")


SOURCES = {
    "a.txt": lambda path: path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(texts()).encode()),
    "a.txt.gz": lambda path: path.write_bytes(gzip.compress("\n".join(texts()).encode())),
    "a.csv": write_csv,
    "a.tsv": lambda path: path.write_text("text\tid\n" + "\t0\n".join(texts()) + "\t0\n", encoding="utf-8"),
    "a.jsonl": lambda path: path.write_text("\n".join(json.dumps({"text": t, "n": 0}) for t in texts())),
    "folder": write_folder,
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_source(run, monkeypatch, tmp_path, name):
    monkeypatch.setattr("codebooks.plots.plot_topics", no_figure)
    SOURCES[name](tmp_path / name)
    column = ("--column", "text") if name.endswith(("csv", "tsv")) else ()
    done = run("topics", name, *column, "-k", 3, "--out", "here")
    assert (done.code, done.err) == (0, "")
    codes = table((tmp_path / "here/codes.csv").read_text(encoding="utf-8"))
    names = [row["document"] for row in codes]
    assert len(names) == 30
    assert names[:2] == (["deep/é01.md", "deep/é03.md"] if name == "folder" else ["0", "1"])
    assert len({row["topic"] for row in codes}) == 3


def no_figure(*arguments, **options):
    class Blank:
        def savefig(self, path, dpi):
            path.write_bytes(b"")

    return Blank()


def test_id_column(run, monkeypatch, tmp_path):
    monkeypatch.setattr("codebooks.plots.plot_topics", no_figure)
    records = [{"id": 100 + n if n % 2 else f"é, {n}", "text": text} for n, text in enumerate(texts())]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "id"), *((record["text"], record["id"]) for record in records)])
    names = [str(record["id"]) for record in records]
    for source in ("a.csv", "a.jsonl"):
        done = run("topics", source, "--column", "text", "--id", "id", "-k", 3, "--quiet", "--overwrite")
        assert done == Done(0, "", "")
        codes = (tmp_path / "topics/codes.csv").read_text(encoding="utf-8")
        assert [row["document"] for row in table(codes)] == names
        assert run("assign", "topics", source, "--column", "text", "--id", "id") == Done(0, codes, "")


def test_standard_input(run, monkeypatch, tmp_path):
    titles = []
    monkeypatch.setattr("codebooks.plots.plot_topics", lambda *_, title: titles.append(title) or no_figure())
    for command in (("topics", "-", "-k", 3, "--quiet"), ("assign", "topics", "-")):
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO("\n".join(texts()).encode())))
        done = run(*command)
        assert (done.code, done.err) == (0, "")
    assert done.out == (tmp_path / "topics/codes.csv").read_text(encoding="utf-8")
    assert len(table(done.out)) == 30
    assert titles == ["standard input · 30 documents"]


def test_notes_about_assumptions(run, monkeypatch, tmp_path):
    (tmp_path / "b\x1b[31m.csv").write_text("red lamp\n" + "\n".join(texts()) + '\n"open', encoding="cp1252")
    done = run("topics", "b\x1b[31m.csv", "-k", 3, "--skip-bad-lines", "--quiet")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == [
        "codebooks: b [31m.csv is not UTF-8 and was read as cp1252; if letters are wrong, set --encoding.",
        "codebooks: the first line of b [31m.csv, 'red lamp', is read as a header; "
        "if it is a document, use --no-header.",
        "codebooks: skipped malformed lines: 1",
    ]
    assert run("assign", "topics", "b\x1b[31m.csv", "--no-header", "--skip-bad-lines", "--encoding", "cp1252").code == 0


def test_demo(run, monkeypatch, tmp_path):
    ids = [f"a.b{number}" for number in range(30)]
    monkeypatch.setattr(datasets, "load_glosses", lambda: Corpus(texts(), ids, "glosses", ids))
    done = run("topics", "--demo", "--quiet")
    assert done == Done(0, "", "")
    assert [row["document"] for row in table((tmp_path / "topics/codes.csv").read_text(encoding="utf-8"))] == ids
    assert len(table((tmp_path / "topics/topics.csv").read_text(encoding="utf-8"))) == 4  # about sqrt(30 / 2)


def test_the_same_seed_gives_the_same_tables(run, text, tmp_path):
    for out, seed in {"one": 1, "two": 1, "three": 2}.items():
        assert run("topics", text, "--seed", seed, "--out", out).code == 0
    for name in ("topics.csv", "codes.csv"):
        one, two, three = ((tmp_path / out / name).read_bytes() for out in ("one", "two", "three"))
        assert one == two != three


def test_other_languages_and_special_characters_in_names(run, tmp_path):
    source, out = tmp_path / "[bold] мой $x$.txt", tmp_path / "out [red] folder"
    source.write_text("кот спит на окне\nкот и пёс спят\nthe of and 数据\nthe of and 主题", encoding="utf-8")
    done = run("topics", source, "--no-stop-words", "-k", 2, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert "кот" in done.out
    assert "the, " in done.out
    assert f"to {out}\n" in done.out
    assert f"assign '{out}'" in done.out
    assert (
        "the" not in run("topics", source, "-k", 2, "--language", "ru,en").out.split("words")[1].split("documents")[0]
    )


@pytest.mark.parametrize(
    ("n_documents", "n_topics"), [(1, 1), (2, 2), (8, 2), (18, 3), (200, 10), (800, 20), (10**6, 20)]
)
def test_default_number_of_topics(n_documents, n_topics):
    assert cli.topics._choose_n_topics(None, n_documents) == n_topics


def test_topics_without_documents_are_printed(run, text, tmp_path):
    text.write_text("goal match\n" * 9, encoding="utf-8")
    done = run("topics", text, "-k", 4)
    assert (done.code, done.err) == (0, "")
    assert "3 of 4 topics without documents: " in done.out
    assert [row["documents"] for row in table((tmp_path / "topics/topics.csv").read_text())] == ["9", "0", "0", "0"]


def test_a_topic_of_one_word_has_no_coherence(run, text, tmp_path):
    text.write_text("goal\n" * 3, encoding="utf-8")
    done = run("topics", text, "-k", 1)
    assert done.code == 0
    assert "nan" not in done.out + (tmp_path / "topics/topics.csv").read_text()
    assert (tmp_path / "topics/topics.csv").read_text() == "topic,documents,share,npmi,words\n0,3,1.0000,,goal\n"


def test_overwrite_replaces_only_written_files(run, text, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    (out / "topics.csv").write_text("old")
    assert run("topics", text, "--out", out).code == 2
    assert files(out) == {Path("mine.txt"): b"mine", Path("topics.csv"): b"old"}
    assert run("topics", text, "--out", out, "--overwrite").code == 0
    assert {path.name for path in out.iterdir()} == {*cli.topics.FILES, "mine.txt"}
    assert (out / "mine.txt").read_text() == "mine"
    assert (out / "topics.csv").read_text(encoding="utf-8").startswith("topic,")


# -- what goes wrong -------------------------------------------------------------------------------------------------

BAD = {
    "no source": ([], "pass either SOURCE"),
    "two sources": (["good.txt", "--demo"], "pass either SOURCE"),
    "columns of the demo": (["--demo", "--column", "text"], "omit --column"),
    "ids of the demo": (["--demo", "--id", "id"], "--demo has no columns; omit --id."),
    "missing file": (["none.txt"], "cannot read none.txt: No such file"),
    "no column chosen": (["two.csv"], "select one with --column: id, text"),
    "wrong column": (["two.csv", "--column", "body"], "has no column 'body'; use one of: id, text"),
    "column of a text": (["good.txt", "--column", "text"], "omit --column"),
    "wrong column of ids": (
        ["two.csv", "--column", "text", "--id", "key"],
        "has no column 'key'; use one of: id, text",
    ),
    "ids of a text": (["good.txt", "--id", "id"], "good.txt has no columns; omit --id"),
    "ids of a folder": (["topics", "--id", "id"], "topics has no columns; omit --id"),
    "one id twice": (
        ["twice.csv", "--column", "text", "--id", "id"],
        "lines 2 and 4 of twice.csv both have the id 'a'",
    ),
    "no id": (["twice.csv", "--column", "text", "--id", "key"], "line 3 of twice.csv has no id in the column 'key'"),
    "not text": (["latin.txt", "--encoding", "ascii"], "latin.txt is not ascii (at byte 2); set another --encoding"),
    "an option twice": (
        ["two.csv", "--column", "text", "--column", "id"],
        "--column must be set once, got 2 times.",
    ),
    "out is taken": (["good.txt", "--out", "old"], "old/topics.csv would be replaced; choose another --out, or"),
    "empty documents": (["blank.txt"], "blank.txt must contain text"),
    "malformed csv": (["open.csv"], "line 2 of open.csv"),
    "malformed jsonl": (["broken.jsonl"], "line 2 of broken.jsonl"),
    "unknown kind": (["a.pdf"], "a.pdf must be a folder or a .txt"),
    "too many topics": (["good.txt", "-k", "31"], "--topics must be at most the number of documents, 30, got 31"),
    "no topics": (["good.txt", "-k", "0"], "--topics must be an integer >= 1, got 0"),
    "unknown model": (
        ["good.txt", "--model", "lda"],
        "--model must be one of multinomial, krotov-hopfield",
    ),
    "seed": (["good.txt", "--seed", "-1"], "--seed must be an integer from 0 to 4294967295, got -1."),
    "unknown language": (
        ["good.txt", "--language", "xx"],
        """--language must be "auto", "none" or a code of two let""",
    ),
    "no source, out is taken": (["none.txt", "--out", "old"], "cannot read none.txt"),
    "only stop words": (["stop.txt"], "Try --no-stop-words"),
    "only numbers": (["numbers.txt", "--no-stop-words"], "no word of the 2 documents meets"),
    "out is a file": (["good.txt", "--out", "good.txt"], "cannot write to good.txt"),
    "out in a file": (["good.txt", "--out", "good.txt/out"], "cannot write to good.txt/out"),
    "out holds a folder": (["good.txt", "--out", "taken", "--overwrite"], "taken/topics.csv: it is a folder"),
}
CONTENTS = {
    "good.txt": "\n".join(texts()).encode(),
    "two.csv": b"id,text\n1,goal\n",
    "twice.csv": b"id,key,text\na,1,goal\nb,,match\na,3,team\n",
    "latin.txt": b"na\xefve",
    "blank.txt": b"\n \n",
    "open.csv": b'text\n"goal\n',
    "broken.jsonl": b'{"text": "goal"}\n{"text"\n',
    "a.pdf": b"%PDF",
    "stop.txt": b"the of and\nand to",
    "numbers.txt": b"1 2 3\n12 345",
    "topics/mine.txt": b"mine",
    "old/topics.csv": b"an older one",
    "taken/topics.csv/mine.txt": b"mine",
    "taken/codes.csv": b"an older one",
}


@pytest.fixture
def before(tmp_path):
    """Files of the user, and their content."""
    for name, content in CONTENTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return files(tmp_path)


@pytest.mark.parametrize("what", BAD)
def test_invalid_input_is_one_sentence_and_changes_no_files(run, before, tmp_path, what):
    arguments, sentence = BAD[what]
    done = run("topics", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert sentence in done.err.replace("\\", "/")
    assert files(tmp_path) == before


@pytest.mark.process
def test_error_prints_no_traceback(before, tmp_path):
    done = python("-m", "codebooks", "topics", "latin.txt", "--encoding", "ascii", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: latin.txt is not ascii")
    assert (done.stderr.count("\n"), done.stdout) == (1, "")
    assert files(tmp_path) == before


@pytest.mark.parametrize("out", ["topics", "new/folder"])
def test_ctrl_c_changes_no_files(run, monkeypatch, before, tmp_path, out):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(MultinomialMixture, "fit", interrupted)
    assert run("topics", "good.txt", "--out", out) == Done(130, "", "codebooks: interrupted\n")
    assert files(tmp_path) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.process
def test_sigint_of_a_process(before, tmp_path):
    code = """
import os, signal, sys, time
from codebooks import MultinomialMixture, cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores SIGINT by default
MultinomialMixture.fit = lambda *arguments: os.kill(os.getpid(), signal.SIGINT) or time.sleep(60)
sys.argv = ["codebooks", "topics", "good.txt"]
cli.main()"""
    done = python("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "codebooks: interrupted\n")
    assert files(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.parametrize("module", ["typer", "codebooks.cli.topics", "sklearn.pipeline"])
@pytest.mark.process
def test_ctrl_c_during_the_start(before, tmp_path, module):
    code = f"""
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["codebooks", "topics", "good.txt"]
from codebooks.cli import main
main()"""
    done = python("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "codebooks: interrupted\n")
    assert files(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.process
def test_sigterm_removes_temporary_files(before, tmp_path):
    code = """
import os, signal, sys, time
from codebooks import MultinomialMixture, cli
signal.signal(signal.SIGTERM, signal.SIG_DFL)
MultinomialMixture.fit = lambda *arguments: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(60)
sys.argv = ["codebooks", "topics", "good.txt"]
cli.main()"""
    done = python("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")
    assert files(tmp_path) == before
    assert not list(tmp_path.rglob(".codebooks-*"))


def test_sigterm_handler_is_restored(run, monkeypatch, before):
    def terminated(*arguments):
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)

    monkeypatch.setattr(MultinomialMixture, "fit", terminated)
    earlier = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert run("topics", "good.txt") == Done(143, "", "")
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        codes = []
        thread = threading.Thread(target=lambda: codes.append(run("--version").code))  # must not set signal handlers
        thread.start()
        thread.join()
        assert codes == [0]
    finally:
        signal.signal(signal.SIGTERM, earlier)


def test_full_disk_changes_no_files(run, monkeypatch, before, tmp_path):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli.topics, "save_model", full)
    done = run("topics", "good.txt")
    assert done == Done(2, "", "error: cannot write to topics: No space left on device; choose another --out.\n")
    assert files(tmp_path) == before


def test_full_disk_of_another_file_is_one_sentence(run, monkeypatch, before, tmp_path):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", "/elsewhere/cached")

    monkeypatch.setattr(MultinomialMixture, "fit", full)
    sentence = "error: cannot use /elsewhere/cached: No space left on device; correct this and run the command again.\n"
    assert run("topics", "good.txt") == Done(1, "", sentence)
    assert files(tmp_path) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.process
def test_full_disk_of_standard_output_is_one_sentence(run, monkeypatch, model, text, tmp_path):
    sentence = "error: cannot print: No space left on device; redirect the output to another place.\n"
    with open("/dev/full", "w") as full:
        done = python("-m", "codebooks", "assign", model, text, cwd=tmp_path, stdout=full)
        assert (done.returncode, done.stderr) == (1, sentence)
        monkeypatch.setattr(sys, "stdout", full)
        assert run("topics", text, "-k", 3) == Done(1, "", sentence)
    assert {path.name for path in (tmp_path / "topics").iterdir()} == set(cli.topics.FILES)


@pytest.mark.parametrize("bug", [ZeroDivisionError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_bugs_print_a_traceback(run, monkeypatch, before, tmp_path, bug):
    def buggy(*arguments):
        raise bug

    monkeypatch.setattr(cli.topics, "_describe_topics", buggy)
    with pytest.raises(type(bug)):
        run("topics", "good.txt")
    assert files(tmp_path) == before


@pytest.mark.process
def test_terminal_without_unicode_prints_escapes(text, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = python("-m", "codebooks", "topics", "text.txt", "-k", "3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"br\xf8dre" in done.stdout


# -- assign ----------------------------------------------------------------------------------------------------------


def test_assign_equals_predict(run, model, text):
    pipeline = load_model(model)
    done = run("assign", model, text)
    assert (done.code, done.err) == (0, "")
    rows = table(done.out)
    assert [int(row["topic"]) for row in rows] == pipeline.predict(texts()).tolist()
    assert done.out == (model / "codes.csv").read_text(encoding="utf-8")

    words = {str(topic.id): " ".join(topic.words[:5]) for topic in pipeline.topics_}
    assert all(row["words"] == words[row["topic"]] for row in rows)


def test_pickled_models_require_trust(run, model, text, tmp_path):
    with zipfile.ZipFile(model / "model.skops") as archive:
        assert {Path(name).suffix for name in archive.namelist()} <= {".json", ".npy", ".npz"}
    assert run("assign", model / "model.skops", text).out == run("assign", model, text).out
    (tmp_path / "old").mkdir()
    joblib.dump(load_model(model), tmp_path / "old/model.joblib", compress=3)
    assert run("assign", "old", text).code == 2
    assert run("assign", "old", text, "--trust") == run("assign", model, text)


def test_assign_reject_below(run, text, tmp_path):
    run("topics", text, "-k", 3, "--model", "krotov-hopfield")
    model = tmp_path / "topics"
    threshold = float(np.median([float(row["strength"]) for row in table(run("assign", model, text).out)]))
    threshold -= 1e-6  # differs from all strengths
    rows = table(run("assign", model, text, "--reject-below", threshold).out)
    pipeline = load_model(model)
    X = pipeline[:-1].transform(texts())
    expected = pipeline[-1].predict(X, reject_below=threshold)
    assert [int(row["topic"]) for row in rows] == expected.tolist()
    assert {row["words"] for row in rows if row["topic"] == "-1"} == {""}
    assert 0 < (expected < 0).sum() < len(rows)


def test_assign_reject_below_equals_predict(run, model, tmp_path):
    mixed = [f"{one} {other}" for one, other in zip(texts()[:-1], texts()[1:], strict=True)]
    (tmp_path / "mixed.txt").write_text("\n".join(mixed), encoding="utf-8")
    rows = table(run("assign", model, "mixed.txt", "--reject-below", 0.9).out)
    expected = load_model(model).predict(mixed, reject_below=0.9)
    assert [int(row["topic"]) for row in rows] == expected.tolist()
    assert 0 < (expected < 0).sum() < len(rows)


def test_assign_out(run, model, tmp_path):
    (tmp_path / "new.csv").write_text('id,text\n1,"striker\n\n"\n2,\n3,crème\n4,unheard\n', encoding="utf-8")
    done = run("assign", model, "new.csv", "--column", "text", "--out", "there/new.csv")
    assert done == Done(0, "", "codebooks: skipped empty documents: 1\n")
    rows = table((tmp_path / "there/new.csv").read_text(encoding="utf-8"))
    assert [row["document"] for row in rows] == ["0", "2", "3"]
    assert rows[0]["topic"] != rows[1]["topic"] != rows[2]["topic"] == "-1"
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["new.csv"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.skops", "good.txt"], "there is no model none.skops"),
        (["good.txt", "good.txt"], "good.txt is not a model; pass the model.skops that"),
        (["topics", "good.txt"], "the folder topics contains no model.skops"),
        (["pickle.joblib", "good.txt"], "pickle.joblib may be a pickle, and loading a pickle can run any code"),
        (["code.skops", "good.txt"], "code.skops contains posixpath.join"),
        (["stranger.skops", "good.txt"], "stranger.skops is not a model of codebooks"),
        (["good.skops", "none.txt"], "cannot read none.txt"),
        (["good.skops", "none.txt", "--out", "good.txt"], "cannot read none.txt"),
        (["none.skops", "none.txt", "--out", "good.txt"], "there is no model none.skops"),
        (["good.skops", "two.csv"], "select one with --column"),
        (["good.skops", "good.txt", "--id", "id"], "good.txt has no columns; omit --id"),
        (
            ["good.skops", "twice.csv", "--column", "text", "--id", "id"],
            "lines 2 and 4 of twice.csv both have the id 'a'",
        ),
        (
            ["good.skops", "good.txt", "--reject-below", "2"],
            "--reject-below must be a number from -1 to 1, got 2.0",
        ),
        (["good.skops", "good.txt", "--out", "topics"], "topics: it is a folder"),
        (["good.skops", "good.txt", "--out", "good.txt/a"], "cannot write to good.txt"),
    ],
)
def test_invalid_input_of_assign(run, model, before, tmp_path, arguments, sentence):
    (tmp_path / "good.skops").write_bytes((model / "model.skops").read_bytes())
    joblib.dump(load_model(model), tmp_path / "pickle.joblib", compress=3)
    skops.io.dump(MultinomialMixture(), tmp_path / "stranger.skops")
    skops.io.dump(os.path.join, tmp_path / "code.skops")
    before = files(tmp_path)
    done = run("assign", *arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err.replace("\\", "/")
    assert done.err.count("\n") == 1
    assert files(tmp_path) == before


def test_csv_cells_are_escaped_for_spreadsheets(run, model, tmp_path):
    ids = ["=1+1", "+cmd", "-cmd", "@x", "\t=1", " =2", "＝3", "-5", "a=b"]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"id": id, "text": "goal"}) for id in ids))
    rows = table(run("assign", model, "a.jsonl", "--column", "text", "--id", "id").out)
    assert [row["document"] for row in rows] == [f"'{id}" for id in ids[:-2]] + ids[-2:]
    for option in ([], ["--raw"]):
        run("assign", model, "a.jsonl", "--column", "text", "--id", "id", "--out", "new.csv", "--overwrite", *option)
        rows = table((tmp_path / "new.csv").read_text(encoding="utf-8"))
        assert rows[0]["document"] == ("=1+1" if option else "'=1+1")
    assert rows[-1]["words"]
    run("topics", "a.jsonl", "--column", "text", "--id", "id", "-k", 1, "--quiet")
    assert table((tmp_path / "topics/codes.csv").read_text(encoding="utf-8"))[0]["document"] == "'=1+1"


def test_control_characters_are_removed_on_a_terminal(run, model, monkeypatch, capsys, tmp_path):
    name = "a\x1b]0;title\x07\u202eb\x9b31m"
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": name, "text": "goal"}))
    arguments = ("assign", model, "a.jsonl", "--column", "text", "--id", "id")
    assert name in run(*arguments).out
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True)
    assert "a ]0;title  b 31m" in run(*arguments).out
    for arguments in (["assign", model, f"{name}.txt"], ["topics", "--model", name], ["topics", f"--{name}"]):
        error = run(*arguments).err
        assert "title" in error
        assert not set("\u202e\x9b\x1b\x07") & set(error)


def test_long_words_are_shortened_in_output(run, tmp_path):
    long, endless = "x" * 60, "y" * 1_000_000
    (tmp_path / "a.txt").write_text("\n".join([f"goal {long}"] * 3 + [f"goal\n{endless}"]))
    done = run("topics", "a.txt", "-k", 1)
    assert done.code == 0
    written = (tmp_path / "topics/topics.csv").read_text() + (tmp_path / "topics/codes.csv").read_text()
    assert "x" * 20 in done.out
    assert "x" * 41 not in done.out + written
    assert "y" * 20 not in done.out + written  # too long for a word


def test_singular_of_one_document(run, text):
    text.write_text("goal match\n")
    assert "1 document, 2 terms; fitted" in run("topics", text).out
    assert run("search", text, "goal").out.count("1 document, 2 terms") == 1


# -- the rest --------------------------------------------------------------------------------------------------------


def test_version_and_help(run):
    assert run("--version") == Done(0, f"codebooks {codebooks.__version__}\n", "")
    for arguments in ([], ["topics"], ["assign"], ["search"]):
        done = run(*arguments, "--help")
        assert done.code == 0
        assert "Usage: codebooks" in done.out
    assert "can run any code" in " ".join(run("assign", "-h").out.split())


def test_help_imports_no_numerical_packages(fresh_python):
    code = "import sys, codebooks.cli.app; print(*{name.partition('.')[0] for name in sys.modules})"
    assert {"numpy", "scipy", "sklearn", "numba", "matplotlib", "torch", "skops"}.isdisjoint(fresh_python(code).split())


@pytest.mark.parametrize("name", cli.topics.MODELS)
def test_every_model(run, text, tmp_path, name):
    done = run("topics", text, "--model", name, "-k", 3, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert done.err == ""
    assert type(load_model(tmp_path / "out")[-1]).__name__ == cli.topics.MODELS[name]
