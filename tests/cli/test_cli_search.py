import csv
import gzip
import json
import os
import random
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from codebooks import HopfieldRetriever, TextAnalyzer, cli, datasets
from codebooks.cli.snippets import extract_snippet, join_lines
from codebooks.datasets import Corpus

TEXTS = [
    "The cat chased a mouse through the kitchen.",
    "A mouse and a keyboard lie on the desk.",
    "The keyboard of a piano has black keys.",
    "Eine Katze schläft; the cat and the kitten sleep on the sofa.",
    "A kitten plays with wool.",
    "Bread and onion soup.",
]


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run `codebooks search` in this process, in a temporary folder, on a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["codebooks", "search", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Done(ended.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    return file


@pytest.fixture
def retriever():
    """The expected retriever."""
    return HopfieldRetriever().fit(TEXTS, ids=list("012345"))


def hits(done):
    assert (done.code, done.err) == (0, "")
    return [json.loads(line) for line in done.out.splitlines()]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- what is found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feedback", [0, 1])
def test_search_equals_retriever_search(run, text, retriever, feedback):
    retriever.set_params(feedback=feedback)
    queries = ["cat mouse", "kitten"]
    rows = hits(run(text, *queries, "-k", 3, "--feedback", feedback, "--json"))
    for query, results in zip(queries, zip(*retriever.search(queries, 3), strict=True), strict=True):
        mine = [row for row in rows if row["query"] == query]
        there = [(id, weight) for id, weight in zip(*results, strict=True) if id]
        assert [row["id"] for row in mine] == [id for id, _ in there]
        assert [row["rank"] for row in mine] == list(range(1, len(there) + 1))
        np.testing.assert_allclose([row["weight"] for row in mine], [weight for _, weight in there], rtol=1e-6)
        for row in mine:
            assert (row["matched"], row["added"]) == retriever.explain(query, row["id"])
            assert row["snippet"] == TEXTS[int(row["id"])]
    assert any(row["added"] for row in rows) == bool(feedback)


def test_added_words_are_printed_above_the_table(run, text, retriever):
    done = run(text, "sofa")
    assert (done.code, done.err) == (0, "")
    above, below = done.out.split("document\n" if "document\n" in done.out else "document ", 1)
    assert above.startswith("sofa\nadded words\n")
    for term in retriever.expand("sofa", 6):
        assert term.term in above
        assert f"from {term.because[0][0]}\n" in above
    assert "matched sofa; added " in below
    assert "6 documents, 29 terms; built in " in below
    assert " s, searched in " in below
    assert "Katze schläft; the cat and the kitten" in below

    plain = run(text, "sofa", "--feedback", 0).out
    assert "added words" not in plain
    assert "added" not in plain


def test_quiet_prints_only_results(run, text):
    done = run(text, "sofa", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert done.out.split()[:3] == ["rank", "weight", "document"]
    assert "added words" not in done.out
    assert "built in" not in done.out


def test_hits_above_the_number_of_matches(run, text):
    assert [row["id"] for row in hits(run(text, "piano", "--feedback", 0, "--json"))] == ["2"]
    assert len(hits(run(text, "cat", "-k", 1, "--json"))) == 1
    assert hits(run(text, "cat", "-k", 10**15, "--json")) == hits(run(text, "cat", "--json"))


def test_search_of_an_empty_index(run, retriever):
    retriever.remove(retriever.ids_).save("index")
    done = run("index", "cat")
    assert done.code == 0
    assert "nothing found for 'cat'" in done.out


def test_search_without_matches_exits_with_zero(run, text):
    done = run(text, "zebra", "cat")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("nothing found for 'zebra': no document contains its words\n")
    assert "matched cat" in done.out
    message = "nothing found for 'zebra': no document contains its words\n"
    assert run(text, "zebra", "--json") == Done(0, "", message)


def test_ignored_function_words_are_printed(run, tmp_path):
    (tmp_path / "many.txt").write_text("\n".join(TEXTS * 9), encoding="utf-8")
    assert "ignored: of, the\n" in run("many.txt", "the sound of the piano").out
    assert "ignored" not in run("many.txt", "piano").out
    assert json.loads(run("many.txt", "the", "--json", "-k", 1).out)["matched"]
    assert "ignored" not in run("many.txt", "piano", "--no-stop-words").out


def test_search_of_stop_words(run, text):
    rows = hits(run(text, "the", "--feedback", 0, "--json"))
    by_hand = HopfieldRetriever(CountVectorizer(analyzer=TextAnalyzer(stop_words=None)), feedback=0).fit(TEXTS)
    assert [int(row["id"]) for row in rows] == by_hand.search("the").ids[0].tolist()
    assert "stop words" not in run(text, "zebra", "--no-stop-words").out


# -- where documents come from ---------------------------------------------------------------------------------------


def write_csv(path):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *enumerate(TEXTS)])


def write_folder(path):
    path.mkdir()
    for number, text in enumerate(TEXTS, 1):
        (path / f"é{number}.md").write_text(text, encoding="utf-8")


SOURCES = {
    "a.txt.gz": lambda path: path.write_bytes(gzip.compress("\n".join(TEXTS).encode())),
    "a.csv": write_csv,
    "a.jsonl": lambda path: path.write_text("\n".join(json.dumps({"text": text, "n": 0}) for text in TEXTS)),
    "folder": write_folder,
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_source(run, tmp_path, name):
    SOURCES[name](tmp_path / name)
    column = ("--column", "text") if name == "a.csv" else ()
    rows = hits(run(name, "piano", "--feedback", 0, "--json", *column))
    assert [row["id"] for row in rows] == ["é3.md" if name == "folder" else "2"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_id_column_is_saved_in_an_index(run, tmp_path, name):
    ids = ["cat-1", "desk 2", "007", "é", "-1", "x,y"]
    rows = [{"id": id, "text": text} for id, text in zip(ids, TEXTS, strict=True)]
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *(row.values() for row in rows)])
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    queries = ("piano", "kitten", "sofa")
    made = run(name, *queries, "--column", "text", "--id", "id", "--json", "--save", "index")
    assert {"007", "é", "-1"} <= {row["id"] for row in hits(made)} <= set(ids)
    assert hits(run("index", *queries, "--json")) == hits(made)
    assert HopfieldRetriever.load("index").ids_.tolist() == ids
    shown = run(name, "sofa", "--column", "text", "--id", "id").out
    assert "from é\n" in shown
    assert "desk 2" in run("index", "desk").out


def test_standard_input(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO("\n".join(TEXTS).encode())))
    assert [row["id"] for row in hits(run("-", "piano", "--feedback", 0, "--json"))] == ["2"]


def test_demo(run, monkeypatch):
    ids = [f"a.b{number}" for number in range(len(TEXTS))]
    monkeypatch.setattr(datasets, "load_glosses", lambda: Corpus(TEXTS, ids, "glosses", ids))
    assert [row["id"] for row in hits(run("--demo", "piano", "bread", "-k", 1, "--json"))] == ["a.b2", "a.b5"]


def test_empty_documents_are_counted(run, text):
    text.write_text("\n".join(["", *TEXTS, " "]), encoding="utf-8")
    done = run(text, "piano")
    assert "skipped empty documents: 2" in done.out
    assert [row["id"] for row in hits(run(text, "piano", "-k", 1, "--json"))] == ["3"]


# -- a saved index ---------------------------------------------------------------------------------------------------


def test_saved_index_returns_the_same_results(run, text, tmp_path):
    queries = ("cat mouse", "kitten", "schläft")
    made = run(text, *queries, "--json", "--save", "index")
    text.unlink()
    loaded = run("index", *queries, "--json")
    assert hits(made) == hits(loaded)
    assert len(hits(loaded)) > 3
    done = run("index", "kitten")
    assert "6 documents, 29 terms; loaded in " in done.out
    assert hits(run("index", "sofa", "--feedback", 0, "--json"))[0]["added"] == {}


def test_save_without_query_and_over_an_index(run, text, tmp_path):
    done = run(text, "--save", "new index")
    assert (done.code, done.err) == (0, "")
    assert "saved the index new index\nsearch it again: codebooks search 'new index' QUERY\n" in done.out
    (tmp_path / "other.txt").write_text("one zebra", encoding="utf-8")
    assert run("other.txt", "--save", "new index", "--quiet") == Done(0, "", "")
    assert [row["snippet"] for row in hits(run("new index", "zebra", "--json"))] == ["one zebra"]
    assert run("new index", "zebra", "--save", "new index").code == 0  # onto itself
    assert len(hits(run("new index", "zebra", "--json"))) == 1


def test_folder_of_texts_with_an_index_json(run, tmp_path):
    write_folder(tmp_path / "site")
    (tmp_path / "site" / "index.json").write_text('{"pages": 6}')
    assert [row["id"] for row in hits(run("site", "piano", "--feedback", 0, "--json"))] == ["é3.md"]


def test_save_over_another_file_is_refused_before_reading(run, monkeypatch, text, tmp_path):
    monkeypatch.setattr(HopfieldRetriever, "fit", None)
    write_folder(tmp_path / "mine")
    done = run(text, "cat", "--save", "mine")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: --save: expected a file to save into, got mine, a folder. Choose another path.")


def test_feedback_option_of_a_saved_index(run, text):
    run(text, "--feedback", 0, "--save", "index")
    assert HopfieldRetriever.load("index").feedback == 1


def test_an_index_without_texts(run, retriever):
    retriever.save("index")
    done = run("index", "piano", "--feedback", 0)
    assert done.code == 0
    assert "matched piano" in done.out
    assert hits(run("index", "piano", "-k", 1, "--json"))[0]["snippet"] == ""


def test_integer_ids(run):
    HopfieldRetriever(keep_texts=True).fit(TEXTS).save("index")
    assert [row["id"] for row in hits(run("index", "cat", "--feedback", 0, "--json"))] == [0, 3]
    assert "A mouse and a keyboard" in run("index", "desk").out


# -- columns of tables -------------------------------------------------------------------------------------------------

TABLE = [
    {"id": "a", "title": "red lamp", "body": "it shines", "lang": "en", "n": "1"},
    {"id": "b", "title": "old chair", "body": "beside the red lamp", "lang": "", "n": "2"},
    {"id": "c", "title": "", "body": "blue table", "lang": "fr", "n": ""},
]


def write_table(file, rows=TABLE):
    if file.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    else:
        lines = [json.dumps({**row, "n": int(row["n"]) if row["n"] else None}) for row in rows]
    file.write_text("\n".join(lines), encoding="utf-8")


def weights(done):
    return {row["id"]: row["weight"] for row in hits(done)}


@pytest.mark.parametrize("file", ["rows.csv", "rows.jsonl"])
def test_column_weights(run, tmp_path, file):
    write_table(tmp_path / file)
    repeated = [{"id": row["id"], "text": f"{row['title']}\n" * 3 + row["body"]} for row in TABLE]
    (tmp_path / "repeated.jsonl").write_text("\n".join(map(json.dumps, repeated)), encoding="utf-8")
    options = ("lamp", "--id", "id", "--json", "--feedback", 0)
    expected = weights(run("repeated.jsonl", *options, "--column", "text"))
    columns = ("--column", "title:3", "--column", "body")
    done = run(file, *options, *columns, "--save", "index")
    assert weights(done) == pytest.approx(expected)
    assert next(iter(expected)) == "a"
    assert hits(done)[0]["text"] == "red lamp\nit shines"
    assert weights(run("index", "lamp", "--json", "--feedback", 0)) == pytest.approx(expected)
    first = weights(run(file, *options, "--column", "title", "--column", "body:3"))
    assert next(iter(first)) == "b"


@pytest.mark.parametrize("file", ["rows.csv", "rows.jsonl"])
def test_json_contains_other_columns(run, tmp_path, file):
    write_table(tmp_path / file)
    columns = ("--column", "title", "--column", "body")
    shown = {row["id"]: row["columns"] for row in hits(run(file, "red", *columns, "--id", "id", "--json"))}
    assert shown == {"a": {"lang": "en", "n": "1"}, "b": {"lang": "", "n": "2"}}
    assert hits(run(file, "red", *columns, "--json"))[0]["columns"].keys() == {"id", "lang", "n"}


def test_json_of_texts_without_columns(run, text):
    assert "columns" not in hits(run(text, "cat", "--json"))[0]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (["title", "title:2"], "--column title must be set once"),
        (["title:0"], "the weight of --column must be an integer from 1 to 100, got title:0"),
        (["title:101"], "got title:101"),
        (["title:x"], "has no column 'title:x'"),
    ],
)
def test_invalid_column_weights(run, tmp_path, columns, sentence):
    write_table(tmp_path / "rows.csv")
    done = run("rows.csv", "lamp", *(part for column in columns for part in ("--column", column)))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert sentence in done.err


# -- how it looks ----------------------------------------------------------------------------------------------------


def test_table_width_equals_terminal_width(run, monkeypatch, tmp_path):
    words = [f"word{number}" for number in range(400)]
    random.Random(0).shuffle(words)
    (tmp_path / "long.jsonl").write_text(json.dumps({"text": " ".join(words)}) + '\n{"text": "short"}')
    lines = {}
    for width in (60, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        done = run("long.jsonl", words[200], "-q", "--feedback", 0)
        assert max(map(len, done.out.splitlines())) <= width
        lines[width] = [line for line in done.out.splitlines() if "word" in line]
        assert words[200] in done.out
        assert len(lines[width]) == 3  # two lines of text, and one of matched words
    assert len(lines[120][0]) > 100


def test_control_characters_of_texts_are_removed(run, tmp_path):
    (tmp_path / "evil.jsonl").write_text(json.dumps({"text": "goal \x1b[2J [red]match\x07 \ttab\n\n----------\nend"}))
    done = run("evil.jsonl", "goal", "--no-stop-words")
    assert "goal [2J [red]match tab end" in done.out
    assert not set("\x1b\x07\t\r") & set(done.out)


@pytest.mark.process
def test_output_without_unicode_prints_escapes(text, tmp_path):
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "codebooks", "search", "text.txt", "schläft"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        encoding="ascii",
        timeout=1200,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"schl\xe4ft" in done.stdout


def test_snippet_contains_words_of_largest_weight():
    text = " ".join(["alpha", *["x"] * 100, "alpha", "y", "beta", *["x"] * 100, "alpha", *["x"] * 100, "gamma"])
    snippet = extract_snippet(text, {"alpha": 1, "beta": 1, "gamma": 1.5}, 40)
    assert "alpha y beta" in snippet
    assert snippet.startswith("… x")
    assert snippet.endswith("x …")
    assert len(snippet) <= 40 + 4
    assert extract_snippet(text, {"gamma": 1}, 40).endswith(" x gamma")
    assert extract_snippet(text, {"alpha": 1}, 40).startswith("alpha x")
    assert extract_snippet(text, {}, 40).startswith("alpha x")
    assert extract_snippet("short", {}, 40) == "short"
    assert (
        extract_snippet("猫が眠る。" * 1000 + "犬。" + "猫が眠る。" * 1000, {"犬": 1}, 12)
        == "… 猫が眠る。犬。猫が眠る。 …"
    )


@pytest.mark.parametrize("length", [1, 7, 30, 1000])
def test_snippet_is_a_part_of_the_text(length):
    rng = random.Random(length)
    for _ in range(100):
        words = rng.choices(["a", "bb", "word", "猫" * 9, "supercalifragilistic", "É"], k=rng.randint(0, 60))
        text = join_lines(" ".join(words))
        snippet = extract_snippet(text, {rng.choice(["bb", "word", "é", "none"]): 1.0}, length)
        inner = snippet.removeprefix("… ").removesuffix(" …")
        assert inner in text
        assert len(inner) <= length
        assert (snippet == text) == (len(text) <= length)


# -- what goes wrong -------------------------------------------------------------------------------------------------

BAD = {
    "nothing": ([], "pass DOCS, a file or folder, or --demo, and a QUERY"),
    "empty name": (["", "cat"], "pass DOCS, a file or folder, or --demo, and a QUERY"),
    "empty query of the demo": (["--demo", ""], "QUERY must contain words"),
    "no query": (["good.txt"], "pass a QUERY after good.txt"),
    "no query of the demo": (["--demo"], "pass a QUERY after --demo"),
    "empty query": (["good.txt", "cat", " "], "QUERY must contain words"),
    "missing file": (["none.txt", "cat"], "cannot read none.txt: No such file"),
    "unknown kind": (["a.pdf", "cat"], "a.pdf must be a folder or a .txt"),
    "no column chosen": (["two.csv", "cat"], "select one with --column: id, text"),
    "columns of the demo": (["--demo", "cat", "--column", "text"], "omit --column"),
    "ids of the demo": (["--demo", "cat", "--id", "id"], "--demo has no columns; omit --id."),
    "ids of a text": (["good.txt", "cat", "--id", "id"], "good.txt has no columns; omit --id"),
    "one id twice": (
        ["twice.csv", "cat", "--column", "text", "--id", "id"],
        "lines 2 and 3 of twice.csv both have the id 'a'",
    ),
    "no hits": (["good.txt", "cat", "-k", "0"], "--hits must be an integer >= 1, got 0"),
    "much feedback": (["good.txt", "cat", "--feedback", "2"], "--feedback must be 0 (plain BM25) or 1"),
    "only stop words": (["stop.txt", "cat", "--stop-words", "stop.txt"], "Try --no-stop-words, or add more text"),
    "only signs": (["signs.txt", "cat", "--no-stop-words"], "contains a word to search for. Add more text"),
    "neither texts nor index": (["mine", "cat"], "It is not a saved index either."),
    "folder that is no index": (
        ["foreign", "cat"],
        "foreign contains no .txt, .md, .rst file. It is not a saved index either.",
    ),
    "column of an index": (["index", "cat", "--column", "text"], "omit --column"),
    "ids of an index": (
        ["index", "cat", "--id", "id"],
        "index is a saved index, whose words and ids are fixed; omit --id.",
    ),
    "stop words of an index": (["index", "cat", "--no-stop-words"], "omit --no-stop-words"),
    "damaged index": (["damaged", "cat"], "cannot load the index damaged"),
    "index of an earlier version": (["old", "cat"], "old, a folder in format 1 of an earlier version"),
    "index with a slow pattern": (["slow", "cat"], "is a regular expression that may take exponential time"),
    "index of counts": (["counts", "cat"], "counts was built from counts"),
    "save onto a file": (
        ["good.txt", "cat", "--save", "two.csv"],
        "--save: expected a new file or a saved file to replace, got two.csv, another file. Choose another path",
    ),
    "no source, save onto a file": (["none.txt", "cat", "--save", "two.csv"], "cannot read none.txt"),
    "save onto a folder": (["good.txt", "cat", "--save", "mine"], "got mine, a folder. Choose another"),
    "save below a file": (["good.txt", "cat", "--save", "good.txt/index"], "good.txt/index"),
}
CONTENTS = {
    "good.txt": "\n".join(TEXTS).encode(),
    "two.csv": b"id,text\n1,goal\n",
    "twice.csv": b"id,text\na,goal\na,cat\n",
    "a.pdf": b"%PDF",
    "stop.txt": b"the of and\nand to",
    "signs.txt": b"! !\n?",
    "mine/notes.doc": b"mine",
    "foreign/index.json": b'{"name": "mine"}',
    "old/index.json": b'{\n "codebooks_format": 1',
}


@pytest.fixture
def before(tmp_path, retriever):
    """Files of the user, and their content."""
    for name, content in CONTENTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for name in ("index", "damaged"):
        retriever.save(tmp_path / name)
    HopfieldRetriever().fit(np.eye(3)).save(tmp_path / "counts")
    HopfieldRetriever(CountVectorizer(token_pattern="(a+)+$|cat")).fit(TEXTS).save(tmp_path / "slow")
    damaged = tmp_path / "damaged"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    return files(tmp_path)


@pytest.mark.parametrize("what", BAD)
def test_invalid_input_is_one_sentence_and_changes_no_files(run, before, tmp_path, what):
    arguments, sentence = BAD[what]
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert sentence in done.err.replace("\\", "/")
    assert files(tmp_path) == before


def test_ctrl_c_changes_no_files(run, monkeypatch, before, tmp_path):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(HopfieldRetriever, "fit", interrupted)
    assert run("good.txt", "cat", "--save", "new") == Done(130, "", "codebooks: interrupted\n")
    assert files(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_full_disk_is_one_sentence(run, monkeypatch, before, tmp_path):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HopfieldRetriever, "save", full)
    done = run("good.txt", "cat", "--save", "new")
    assert done == Done(2, "", "error: cannot write to new: No space left on device; choose another --save.\n")
    assert files(tmp_path) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("options", [[], ["--quiet"], ["--json"]], ids=" ".join)
def test_full_disk_of_standard_output_is_one_sentence(run, monkeypatch, text, options):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        done = run(text, "cat", *options)
    assert done == Done(1, "", "error: cannot print: No space left on device; redirect the output to another place.\n")


# -- a saved index that changes ----------------------------------------------------------------------------------------


@pytest.fixture
def index(monkeypatch, capsys, run, text):
    """Run `codebooks index` on an index of the texts."""
    assert run(text, "--save", "saved", "-q").code == 0

    def index(*arguments):
        monkeypatch.setattr(sys, "argv", ["codebooks", "index", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Done(ended.value.code or 0, captured.out, captured.err)

    return index


def found_by(run, query):
    return [json.loads(line)["id"] for line in run("saved", query, "--json", "--feedback", 0).out.splitlines()]


def test_index_add_and_remove(index, run, tmp_path):
    assert "documents   6\n" in index("info", "saved").out
    (tmp_path / "more.txt").write_text("A zebra in the kitchen.\nA zebra eats.\n", encoding="utf-8")
    assert index("add", "saved", "more.txt") == Done(0, "added 2 documents, 8 in total\n", "")
    assert sorted(found_by(run, "zebra")) == ["6", "7"]
    (tmp_path / "named.csv").write_text("id,text\nz,zebra crossing\n", encoding="utf-8")
    assert index("add", "saved", "named.csv", "--id", "id", "--column", "text").code == 0
    assert index("remove", "saved", "7", "0", "7").out == "removed 2 documents, 7 left\n"
    assert sorted(found_by(run, "zebra")) == ["6", "z"]
    assert "0" not in found_by(run, "mouse")
    assert "documents   7\n" in index("info", "saved").out


def test_index_add_with_reading_options(index, run, tmp_path):
    (tmp_path / "more.csv").write_bytes("café zebra;1\nbad\nblue zebra;2\n".encode("cp1252"))
    options = ("--encoding", "cp1252", "--no-header", "--skip-bad-lines", "--column", "0:2", "--id", "1")
    done = index("add", "saved", "more.csv", *options)
    assert (done.code, done.out) == (2, "")
    assert "`ids` must be unique" in done.err
    options = (*options[:-1], "0")
    done = index("add", "saved", "more.csv", *options)
    assert (done.code, done.out) == (0, "added 2 documents, 8 in total\n")
    assert "skipped malformed lines: 1" in done.err
    assert found_by(run, "café") == ["café zebra"]


def test_index_add_with_column_weights(index, run, tmp_path):
    write_table(tmp_path / "all.csv")
    write_table(tmp_path / "first.csv", TABLE[:1])
    write_table(tmp_path / "rest.csv", TABLE[1:])
    columns = ("--id", "id", "--column", "title:3", "--column", "body")
    query = ("red lamp", "--json", "--feedback", 0)
    expected = weights(run("all.csv", *query, *columns))
    assert run("first.csv", *columns, "--save", "grown", "-q").code == 0
    assert index("add", "grown", "rest.csv", *columns).code == 0
    assert weights(run("grown", *query)) == pytest.approx(expected)


@pytest.mark.parametrize("command", [["topics"], ["search"], ["assign"], ["index", "add"]], ids=" ".join)
def test_commands_that_read_text_have_the_same_options(run, monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["codebooks", *command, "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    help_text = capsys.readouterr().out
    for option in ("--column", "--id", "--encoding", "--no-header", "--skip-bad-lines", "--follow-links"):
        assert help_text.count(f"{option} ") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["remove", "saved", "2", "none"], "saved has no document none; nothing was removed"),
        (["add", "saved", "more.csv", "--id", "id", "--column", "text"], "`ids` must be unique, got"),
        (["add", "saved", "nothing.txt"], "nothing.txt"),
        (["info", "text.txt"], "text.txt is not a saved index"),
        (["remove", "text.txt", "1"], "cannot load the index text.txt"),
    ],
)
def test_failed_change_of_an_index_keeps_the_file(index, run, tmp_path, arguments, sentence):
    (tmp_path / "more.csv").write_text("id,text\n2,zebra\nz,zebra\n", encoding="utf-8")
    before = (tmp_path / "saved").read_bytes()
    done = index(*arguments)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1
    assert (tmp_path / "saved").read_bytes() == before


@pytest.mark.parametrize("query", ["+cat -mouse", '"black keys"', "cat AND mouse", "kit*"])
def test_operators_print_a_note(run, text, query):
    assert "are not operators; only words are searched" in run(text, query).err
    assert run(text, query.replace("-", "").replace("+", "").replace("AND", "and").strip('"*')).err == ""


def test_json_contains_the_complete_text(run, tmp_path):
    whole = "cat\n-----\n" + "purr " * 500
    (tmp_path / "long.jsonl").write_text(json.dumps({"text": whole}) + "\n", encoding="utf-8")
    [hit] = map(json.loads, run("long.jsonl", "cat", "--json").out.splitlines())
    assert hit["text"] == whole


@pytest.mark.parametrize("file", ["rows.csv", "rows.jsonl"])
def test_where_selects_rows(run, tmp_path, file):
    rows = [("red lamp", "en", 3), ("red lamp", "fr", 3), ("blue lamp", "en", 4)]
    table = "text,lang,n\n" + "".join(f"{t},{lang},{n}\n" for t, lang, n in rows) + "green lamp,it,\n"
    (tmp_path / "rows.csv").write_text(table)
    lines = [json.dumps({"text": t, "about": {"lang": lang}, "lang": lang, "n": n}) for t, lang, n in rows]
    lines += [json.dumps({"text": "green lamp", "lang": "it", **n}) for n in ({"n": None}, {}, {"n": ""})]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))

    def ids(*where):
        out = run(file, "lamp", "--column", "text", "--json", *where).out
        return sorted(json.loads(line)["id"] for line in out.splitlines())

    assert ids() == ["0", "1", "2", "3", *(["4", "5"] if file == "rows.jsonl" else [])]
    assert ids("--where", "lang=en") == ["0", "2"]
    assert ids("--where", "n=4") == ["2"]
    assert ids("--where", "n=") == ["3", *(["4", "5"] if file == "rows.jsonl" else [])]
    if file == "rows.jsonl":
        assert ids("--where", "about.lang=fr") == ["1"]
    for where, sentence in (
        ("lang=de", "has the value 'de' in the column 'lang'"),
        ("no=en", "has no column 'no'"),
        ("lang", "must be COLUMN="),
    ):
        done = run(file, "lamp", "--column", "text", "--where", where)
        assert (done.code, sentence in done.err) == (2, True)
