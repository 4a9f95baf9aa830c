import bz2
import csv
import gzip
import json
import os
import random
import sys
import threading
import zipfile
from io import BytesIO, TextIOWrapper

import pytest

from codebooks.cli.readers import Documents, UserError, read_documents

TEXTS = ["Ein Bär", 'say "hi", twice', "two\nlines", "日本"]
NUMBERED = Documents(TEXTS, ["0", "1", "2", "3"], 0)


def table(path, rows, **dialect):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, **dialect).writerows(rows)
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["", "bom"])
def test_lines(tmp_path, newline, start):
    file = tmp_path / "a.txt"
    file.write_bytes(start + newline.join(["first", "", " \t", "naïve\x0b\u2028still"]).encode())
    assert read_documents(file) == Documents(["first", "naïve\x0b\u2028still"], ["0", "3"], 2)


def test_trailing_newline_adds_no_document(tmp_path):
    (tmp_path / "a.txt").write_text("first\nsecond\n")
    assert read_documents(tmp_path / "a.txt") == Documents(["first", "second"], ["0", "1"], 0)


@pytest.mark.parametrize("lineterminator", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_csv_with_newlines_in_quotes(tmp_path, delimiter, lineterminator):
    rows = [("id", "text"), *enumerate(TEXTS)]
    file = table(tmp_path / "a.csv", rows, delimiter=delimiter, lineterminator=lineterminator)
    assert read_documents(file, "text") == NUMBERED


@pytest.mark.parametrize(
    ("header", "row", "text"),
    [
        ('"id";"the body, text"', '1;"a, b"', "a, b"),
        ('id;"the body, text"', "1;a, b", "a, b"),
        ('"id; number","the body, text"', '1,"a; b"', "a; b"),
        ('"say ""id"", please";"the body, text"', "1;a", "a"),
    ],
)
def test_separators_within_quotes(tmp_path, header, row, text):
    (tmp_path / "a.csv").write_text(f"{header}\n{row}\n")
    assert read_documents(tmp_path / "a.csv", "the body, text").texts == [text]


def test_other_separators_in_column_names(tmp_path):
    (tmp_path / "a.csv").write_text("title | body\nsea | tree\n")
    assert read_documents(tmp_path / "a.csv", "title | body").texts == ["sea | tree"]
    (tmp_path / "b.csv").write_text('"title; body"\nsea, tree\n')
    assert read_documents(tmp_path / "b.csv").texts == ["sea, tree"]
    (tmp_path / "c.tsv").write_text("title | body\nsea | tree\n")
    assert read_documents(tmp_path / "c.tsv").texts == ["sea | tree"]


def test_csv_of_one_column_needs_no_name(tmp_path):
    file = table(tmp_path / "a.csv", [["text"], *([text] for text in TEXTS), [""]])
    assert read_documents(file) == NUMBERED._replace(n_empty=1)


def test_csv_with_a_byte_order_mark_and_blank_lines(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext,n\n\na,1\n\nb,2\n\n")
    assert read_documents(tmp_path / "a.csv", "text") == Documents(["a", "b"], ["0", "1"], 0)


def test_long_fields_keep_the_csv_limit(tmp_path):
    limit = csv.field_size_limit()
    file = table(tmp_path / "a.csv", [["text"], ["word " * 100_000]])
    assert len(read_documents(file).texts[0]) == 500_000
    assert csv.field_size_limit() == limit


def test_quotes_in_tsv_are_text(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"open\ta\nclose"\tb\n')
    assert read_documents(tmp_path / "a.tsv", "text").texts == ['"open', 'close"']


def test_jsonl(tmp_path):
    records = [{"id": n, "text": text} for n, text in enumerate(TEXTS)] + [{"id": 4, "text": None}, {"id": 5}]
    (tmp_path / "a.jsonl").write_text("\r\n".join(map(json.dumps, records)) + "\n\n")
    assert read_documents(tmp_path / "a.jsonl") == read_documents(tmp_path / "a.jsonl", "text")
    assert read_documents(tmp_path / "a.jsonl") == NUMBERED._replace(n_empty=2)


def test_gzip(tmp_path):
    (tmp_path / "a.TXT.gz").write_bytes(gzip.compress("Bär\nzwei".encode()))
    assert read_documents(tmp_path / "a.TXT.gz") == Documents(["Bär", "zwei"], ["0", "1"], 0)


def test_bz2_zip_and_compressed_pipes(tmp_path, monkeypatch):
    content = b"id,text\n1,one\n2,two\n"
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress(content))
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("data/a.csv", content)
        archive.writestr("__MACOSX/data/._a.csv", b"")
    for name in ("a.csv.bz2", "export.zip"):
        assert read_documents(tmp_path / name, "text") == Documents(["one", "two"], ["0", "1"], 0)
    with zipfile.ZipFile(tmp_path / "export.zip", "a") as archive:
        archive.writestr("b.csv", content)
    with pytest.raises(UserError, match="must contain one file, got 2"):
        read_documents(tmp_path / "export.zip", "text")
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(gzip.compress(b"one\ntwo"))))
    assert read_documents("-").texts == ["one", "two"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "63")
    writer = threading.Thread(target=lambda: (tmp_path / "63").write_text("one\ntwo"), daemon=True)
    writer.start()
    assert read_documents(tmp_path / "63").texts == ["one", "two"]
    writer.join()


@pytest.mark.parametrize("start", ["\n", " \n\r\n", "sep=;\n", '"sep=;"\r\n', "\nSEP=;\n"])
def test_csv_with_leading_blank_line_or_separator_line(tmp_path, start):
    header = "id, number" if "=" in start else "id"  # the header has a comma, so that only `sep` sets the separator
    (tmp_path / "a.csv").write_bytes(f"{start}{header};text\n1;one\n2;two\n3\n".encode())
    with pytest.raises(UserError, match=f"line {4 + start.count(chr(10))} of .* must have 2 columns"):
        read_documents(tmp_path / "a.csv", "text")
    assert read_documents(tmp_path / "a.csv", "text", skip_bad_lines=True).texts == ["one", "two"]


ENCODED = {
    "de.txt": ("Die Straße führt über die Brücke, schöne Grüße.\n", "cp1252"),
    "short.txt": ("naïve", "cp1252"),
    "ru.txt": ("Привет, как дела? Сегодня хорошая погода.\n", "cp1251"),
    "tr.txt": ("Bugün hava çok güzel, şimdi sinemaya gidiyoruz.\nİstanbul'da yaşıyorum.\n" * 20, "cp1254"),
    "ja.txt": ("今日は天気がいいですね。映画を見に行きましょう。\n", "cp932"),
    "zh.txt": ("今天天气很好，我们去看电影吧。\n北京是中国的首都，人口很多。\n" * 9, "gb18030"),
    **{f"{name}.txt": ("今日は天気。\nThe weather.\n", name) for name in ("utf-16-le", "utf-16-be", "utf-32-le")},
}


@pytest.mark.parametrize("name", ENCODED)
def test_encodings_are_detected_with_a_note(tmp_path, name):
    text, encoding = ENCODED[name]
    (tmp_path / name).write_bytes(text.encode(encoding))
    documents = read_documents(tmp_path / name)
    assert documents.texts == text.splitlines()
    assert name in documents.notes[0]
    assert "was read as" in documents.notes[0]
    assert read_documents(tmp_path / name, encoding=encoding)[:4] == (text.splitlines(), documents.names, 0, ())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_byte_order_marks(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes("text\nBär\n".encode(encoding))
    assert read_documents(tmp_path / "a.csv")[:4] == (["Bär"], ["0"], 0, ())


def test_unknown_encoding(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"na\xefve")
    for encoding, sentence in (("latin-99", "got 'latin-99'"), ("hex", "got 'hex'"),
                               ("ascii", "is not ascii (at byte 2); set another --encoding")):  # fmt: skip
        with pytest.raises(UserError) as caught:
            read_documents(tmp_path / "a.txt", encoding=encoding)
        assert sentence in str(caught.value)


def test_bad_lines_are_skipped_and_counted(tmp_path):
    (tmp_path / "a.csv").write_text('id,text\n1,one\n2\n3,"b"c\n4,four\n5,"open\n6,six\n')
    assert read_documents(tmp_path / "a.csv", "text", skip_bad_lines=True)[:4] == (
        (["one", "four", "six"], ["0", "1", "2"], 0, ("skipped malformed lines: 3",))
    )
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text"\n["two"]\n{"text": 5}\n')
    assert read_documents(tmp_path / "a.jsonl", skip_bad_lines=True).notes == ("skipped malformed lines: 3",)


def test_tsv_with_newlines_in_quotes(tmp_path):
    file = table(tmp_path / "a.tsv", [("id", "text"), *enumerate(TEXTS)], delimiter="\t")
    assert read_documents(file, "text") == NUMBERED


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_header_detection_adds_a_note(tmp_path, name):
    (tmp_path / name).write_text("the parcel never came\nred lamp\n")
    documents = read_documents(tmp_path / name)
    assert documents.texts == ["the parcel never came", "red lamp"]
    assert "is read as a document; if it is a header, set --column." in documents.notes[0]
    assert read_documents(tmp_path / name, "the parcel never came").texts == ["red lamp"]
    (tmp_path / name).write_text("red lamp\nblue lamp\n")
    assert (
        "'red lamp', is read as a header; if it is a document, use --no-header."
        in read_documents(tmp_path / name).notes[0]
    )
    assert read_documents(tmp_path / name, has_header=False) == Documents(["red lamp", "blue lamp"], ["0", "1"], 0)
    (tmp_path / "b.csv").write_text("1,red\n2,blue\n")
    assert read_documents(tmp_path / "b.csv", "1", has_header=False).texts == ["red", "blue"]


def test_nested_json_fields(tmp_path):
    records = [{"id": {"n": 7}, "post": {"body": {"text": "one"}}}, {"id": {"n": 8}, "post": {"body": None}}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    assert read_documents(tmp_path / "a.jsonl", "post.body.text", "id.n")[:4] == (["one"], ["7"], 1, ())
    assert read_documents(tmp_path / "a.jsonl").texts == ["one"]
    (tmp_path / "b.jsonl").write_text('{"a.b": "whole", "a": {"b": "parts"}}')
    assert read_documents(tmp_path / "b.jsonl", "a.b").texts == ["whole"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_follow_links(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/secret.txt").write_text("secret")
    (tmp_path / "in/a.txt").write_text("a")
    (tmp_path / "in/link.txt").symlink_to(tmp_path / "out/secret.txt")
    (tmp_path / "in/folder").symlink_to(tmp_path / "out")
    (tmp_path / "in/itself").symlink_to(tmp_path / "in")
    documents = read_documents(tmp_path / "in")
    assert (documents.texts, "skipped symbolic links" in documents.notes[0]) == (["a"], True)
    followed = read_documents(tmp_path / "in", follow_links=True)
    assert followed.names == ["a.txt", "folder/secret.txt", "link.txt"]


def test_folder(tmp_path):
    files = {"b.txt": "bee", "a/z.md": "zed", "a/é.rst": "eh", "c.txt": " \n", "c.py": "no", ".git/x.txt": "no"}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "folder.txt").mkdir()
    assert read_documents(str(tmp_path)) == Documents(["zed", "eh", "bee"], ["a/z.md", "a/é.rst", "b.txt"], 1)


BAD = {
    "random.txt": (random.Random(0).randbytes(4096), "is not text in a recognized encoding"),
    "torn utf16.txt": ("text".encode("utf-16") + b"a", "is not utf-16 (at byte 10); set another --encoding."),
    "tabs.csv": (b"id\ttext\n1\ta\n", r"has only one column, 'id\ttext'; rename the file to .tsv"),
    "bars.csv": (b"id|text\n1|a\n", "has only one column, 'id|text'; separate columns by commas"),
    "blank names.csv": (b"id, body\n1,a\n", "one with --column: id, ' body'"),
    "tab and comma.csv": (b"id\ta,b\n1,a\n", r"one with --column: 'id\ta', b"),
    "blank.txt": (b"\n \n", "must contain text, got only 2 empty documents"),
    "nothing.csv": (b"", "must contain text"),
    "nothing.jsonl": (b"", "must contain text"),
    "header.csv": (b"text\n", "must contain text"),
    "columns.csv": (b"id,title\n1,a\n", "one with --column: id, title"),
    "ragged.csv": (b'text\n"a\nb"\nc,d\n', "line 4 of"),
    "open.csv": (b'text\na\n"b\nc\nd\n', "line 3 of"),
    "stray.csv": (b'text\n"b"c\n', "line 2 of"),
    "ragged.tsv": (b"text\na\tb\n", "line 2 of"),
    "broken.jsonl": (b'{"text": "a"}\n\n{"text": \n', "line 3 of"),
    "deep.jsonl": (b"[" * 100_000, "line 1 of"),
    "list.jsonl": (b'["a"]\n', "line 1 of"),
    "number.jsonl": (b'{"text": "a"}\n{"text": 5}\n', "must have a string in 'text', got 5"),
    "fields.jsonl": (b'{"text": "a", "title": "b"}\n', "text, title"),
    "numbers.jsonl": (b'{"n": 1}\n', "must have a field with text"),
    "picture.png": (b"", "must be a folder or a .txt, .csv"),
    "torn.txt.gz": (gzip.compress(b"text" * 999)[:-9], "not a complete gzip file"),
    "false.txt.gz": (b"text", "not a complete gzip file"),
    "false.txt.bz2": (b"text", "not a complete bz2 file"),
    "false.zip": (b"text", "not a complete zip file"),
    "wide.csv": (",".join(f"column {n}" for n in range(999)).encode(), "has several columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_files_are_one_sentence(tmp_path, name):
    content, sentence = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_documents(tmp_path / name)
    message = str(caught.value)
    assert sentence in message
    assert name in message
    assert "\n" not in message
    assert len(message) <= 500


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "id,title\n1,a\n", "has no column 'text'; use one of: id, title"),
        ("a.csv", "id, text\n1,a\n", "has no column 'text'; use one of: id, ' text'"),
        ("a.csv", "id\ttext\n1\ta\n", r"has no column 'text'; use one of: 'id\\ttext'"),
        ("a.csv", "id,text,text\n1,a,b\n", "has 2 columns 'text'; make the names unique"),
        ("a.tsv", "text\tid\ttext\n1\ta\tb\n", "has 2 columns 'text'"),
        ("a.jsonl", '{"n": 1}\n', "must have a field with text"),
        ("a.jsonl", '{"title": "a"}\n', "has no column 'text'; use one of: title"),
        ("a.txt", "a\n", "omit --column"),
    ],
)
def test_missing_column(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=sentence):
        read_documents(tmp_path / name, "text")


# -- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_ids_of_a_table(tmp_path, name):
    delimiter = "\t" if name == "a.tsv" else ","
    rows = [("id", "text"), ("x 1", "first"), ("7", ""), ("é", "third")]
    file = table(tmp_path / name, rows, delimiter=delimiter)
    assert read_documents(file, "text", "id") == Documents(["first", "third"], ["x 1", "é"], 1)


def test_ids_in_jsonl_may_be_numbers(tmp_path):
    ids = ["a", 7, 10**18, -1, 0.5, "8"]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"id": id, "text": "word"}) for id in ids))
    names = ["a", "7", str(10**18), "-1", "0.5", "8"]
    assert read_documents(tmp_path / "a.jsonl", "text", "id").names == names


def test_empty_documents_need_no_id(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\na,first\na, \n,\nb,last\n")
    assert read_documents(tmp_path / "a.csv", "text", "id") == Documents(["first", "last"], ["a", "b"], 2)
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "first"}\n{"text": null}\n{"id": "a"}')
    assert read_documents(tmp_path / "a.jsonl", "text", "id") == Documents(["first"], ["a"], 2)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "name,text\n1,a\n", "a.csv has no column 'id'; use one of: name, text."),
        ("a.csv", "id,text,id\n1,a,2\n", "a.csv has 2 columns 'id'; make the names unique."),
        ("a.csv", "id,text\n1,a\n ,b\n", "line 3 of a.csv has no id in the column 'id'; add one, or omit --id."),
        (
            "a.csv",
            'id,text\nx,"a\nb"\n\ny,c\nx,d\n',
            "lines 2 and 6 of a.csv both have the id 'x' in the column 'id'; make the ids unique, or omit --id.",
        ),
        ("a.tsv", "id\ttext\nx\ta\nx\tb\n", "lines 2 and 3 of a.tsv both have the id 'x'"),
        (
            "a.jsonl",
            '{"id": 7, "text": "a"}\n\n{"id": "7", "text": "b"}',
            "lines 1 and 3 of a.jsonl both have the id '7'",
        ),
        (
            "a.jsonl",
            '{"id": "a\\u0000", "text": "a"}\n{"id": "a", "text": "b"}',
            "lines 1 and 2 of a.jsonl both have the id 'a'",
        ),
        ("a.jsonl", '{"id": "a", "text": "a"}\n{"text": "b"}', "line 2 of a.jsonl has no id in the column 'id'"),
        ("a.jsonl", '{"id": null, "text": "a"}', "line 1 of a.jsonl has no id in the column 'id'"),
        ("a.jsonl", '{"n": 1, "text": "a"}', "a.jsonl has no column 'id'; use one of: n, text."),
        ("a.jsonl", '{"id": true, "text": "a"}', "the id on line 1 of a.jsonl must be a string or a number, got True"),
        (
            "a.jsonl",
            '{"id": ["a"], "text": "a"}',
            "the id on line 1 of a.jsonl must be a string or a number, got ['a']",
        ),
    ],
)
def test_invalid_ids_are_one_sentence(tmp_path, monkeypatch, name, content, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as caught:
        read_documents(name, "text", "id")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("source", ["a.txt", "folder", "-"])
def test_id_column_of_a_source_without_columns(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("a.txt", "folder/a.txt"):
        (tmp_path / name).write_text("a\n")
    message = f"{'standard input' if source == '-' else source} has no columns; omit --id, which is for .csv"
    with pytest.raises(UserError, match=message):
        read_documents(source, id_column="id")


# -- standard input --------------------------------------------------------------------------------------------------


def test_hyphen_is_standard_input_unless_a_folder_has_this_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO("\ufefffirst\r\n\r\nnaïve\n".encode()), encoding="ascii"))
    assert read_documents("-") == Documents(["first", "naïve"], ["0", "2"], 1)
    (tmp_path / "-").mkdir()
    (tmp_path / "-" / "a.txt").write_text("a")
    assert read_documents("./-").names == ["a.txt"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (gzip.compress(b"text", mtime=0)[:-9], "standard input is not a complete gzip file"),
        (b"", "standard input must contain text"),
        (None, "cannot read standard input: it is closed; redirect text to it, or name a file."),
    ],
)
def test_invalid_standard_input_is_one_sentence(monkeypatch, content, sentence):
    monkeypatch.setattr(sys, "stdin", None if content is None else TextIOWrapper(BytesIO(content)))
    with pytest.raises(UserError) as caught:
        read_documents("-")
    assert str(caught.value).startswith(sentence)


# -- nothing ---------------------------------------------------------------------------------------------------------


def test_missing_files_and_empty_folders(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none.txt: No such file"):
        read_documents(tmp_path / "none.txt")
    with pytest.raises(UserError, match=r"contains no .txt, .md, .rst file"):
        read_documents(tmp_path)
    with pytest.raises(UserError, match="omit --column"):
        read_documents(tmp_path, "text")


@pytest.mark.parametrize("text", ["عصير التفاح حلو جدا", "ประเทศไทยมีอาหารอร่อย", "भारत की राजधानी", "plain words here"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_byte_order_mark(tmp_path, text, encoding):
    (tmp_path / "text.txt").write_bytes(f"{text}\n{text}\n".encode(encoding))
    documents = read_documents(tmp_path / "text.txt")
    assert documents.texts == [text, text]
    assert "was read as" in documents.notes[0]
