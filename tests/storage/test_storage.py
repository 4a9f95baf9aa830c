"""Saved files: round trips, damaged files, and interrupted saves, which leave the old or the new file."""

import errno
import json
import mmap
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from codebooks import storage
from codebooks.storage import (
    DamagedFileError,
    array_file,
    check_place,
    check_strings,
    is_saved_file,
    load_arrays,
    pack_strings,
    save_arrays,
    strings,
    unpack_strings,
)

TEXTS = [
    "",
    "plain",
    "naïve ß",
    "日本語",
    "😀👩‍👩‍👧",
    "\x00 inside",
    "\n\r\u2028",
    "\ud800",
    "\udcff.txt",
    "\ud83d\ude00",
    "e\u0301",
]
PACKAGE = os.path.dirname(storage.__file__) + os.sep

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="forks, signals and locks of POSIX")


def generation(n, size=500):
    """Arrays that all contain the same number."""
    return {"first": np.full(size, n), "second": np.full((7, 3), float(n)), "none": np.zeros((0, n % 5))}


def generation_of(arrays, about):
    """The number in all arrays of a file; fails if they differ."""
    values = {int(value) for array in arrays.values() for value in np.unique(array)} | {about["n"]}
    assert len(values) == 1
    return values.pop()


def save(path, n, **kwargs):
    save_arrays(path, generation(n, **kwargs), {"n": n}, kind="Example")


def load(path, **kwargs):
    return generation_of(*load_arrays(path, kind="Example", **kwargs))


def left_behind(path):
    """Other files in the folder of a saved file."""
    return sorted(name for name in os.listdir(Path(path).parent) if name != Path(path).name)


def reseal(path, change):
    """Rewrite the header of a file with valid checksums; `change` edits the header, or returns bytes."""
    raw = Path(path).read_bytes()
    n_bytes = int.from_bytes(raw[16:24], "little")
    header = json.loads(raw[24 : 24 + n_bytes])
    changed = change(header)
    text = changed if isinstance(changed, bytes) else json.dumps(header).encode("ascii")
    text += b" " * (-(24 + len(text) + 32) % 64)
    sealed = raw[:16] + len(text).to_bytes(8, "little") + text
    Path(path).write_bytes(sealed + sha256(sealed).digest() + raw[24 + n_bytes + 32 :])


@pytest.fixture
def saved(tmp_path):
    save(tmp_path / "index", 1)
    return tmp_path / "index"


# -- what goes in comes out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    "array",
    [
        *[np.arange(6).astype(dtype) for dtype in "?bBhHiIqQefdFD"],
        np.arange(6, dtype=">f8"),
        np.arange(6, dtype=">i2"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(20)[::-2],
        np.array(2.5),
        np.zeros(0, np.float32),
        np.zeros((0, 5), np.int64),
        np.zeros((3, 0, 2), order="F"),
        np.array([np.nan, -0.0, np.inf]),
        np.arange(3_000_000),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_save_and_load_arrays(tmp_path, array, verify):
    save_arrays(tmp_path / "index", {"a": array}, {}, kind="Example")
    (name, found), *others = load_arrays(tmp_path / "index", kind="Example", verify=verify)[0].items()
    assert (name, others) == ("a", [])
    assert (found.dtype.str, found.shape) == (array.dtype.str, array.shape)
    assert found.tobytes() == array.tobytes()
    assert found.flags.f_contiguous or not array.flags.f_contiguous
    assert not found.flags.writeable
    if array.size:
        with pytest.raises(ValueError):
            found.flags.writeable = True


def test_loaded_arrays_are_aligned(tmp_path):
    save_arrays(tmp_path / "index", {"a": np.zeros(3, np.int8), "b": np.zeros(5, np.complex128)}, {}, kind="Example")
    arrays = load_arrays(tmp_path / "index", kind="Example")[0]
    assert all(array.ctypes.data % 64 == 0 for array in arrays.values())


def test_loaded_arrays_are_memory_mapped_plain_arrays(saved):
    found = load_arrays(saved, kind="Example")[0]["first"]
    assert type(found) is np.ndarray
    assert isinstance(found.base, mmap.mmap)
    assert found.flags.aligned


def test_save_and_load_description(tmp_path):
    about = {"none": None, "yes": True, "n": 2**70, "x": 0.1, "texts": TEXTS[:-2], "deep": {"a": [{}, [], ""]}, "": 1}
    save_arrays(tmp_path / "index", {}, about, kind="Example")
    assert load_arrays(tmp_path / "index", kind="Example") == ({}, about)


def test_order_of_arrays_is_preserved(tmp_path):
    names = ["z", "a", "m_2", "0"]
    save_arrays(tmp_path / "index", {name: np.zeros(1) for name in names}, {}, kind="Example")
    assert list(load_arrays(tmp_path / "index", kind="Example")[0]) == names


def test_pack_and_unpack_strings():
    assert unpack_strings(*pack_strings(TEXTS)) == TEXTS
    assert unpack_strings(*pack_strings([])) == []
    assert unpack_strings(*pack_strings([""])) == [""]
    draw = random.Random(0)
    many = ["".join(chr(draw.randrange(sys.maxunicode + 1)) for _ in range(draw.randrange(9))) for _ in range(2000)]
    assert unpack_strings(*pack_strings(many)) == many


def test_save_and_load_packed_strings(tmp_path):
    text, offsets = pack_strings(TEXTS)
    save_arrays(tmp_path / "index", {"text": text, "offsets": offsets}, {}, kind="Example")
    arrays = load_arrays(tmp_path / "index", kind="Example")[0]
    assert unpack_strings(arrays["text"], arrays["offsets"]) == TEXTS


@pytest.mark.parametrize(
    ("text", "offsets"),
    [
        ([97, 98], [0, 1]),
        ([97, 98], [1, 2]),
        ([97, 98], [0, 2, 1, 2]),
        ([97, 98], [0, -1, 2]),
        ([97], []),
        ([97], [[0, 1]]),
        ([97, 98], [0.0, 2.0]),
        ([255], [0, 1]),
        ([195, 169], [0, 1, 2]),
        ([97, 98], [0, 2**63 - 1, -2, 2]),
        ([97, 98], np.array([0, 2], np.int32)),
    ],
)
def test_unpack_strings_of_invalid_arrays(text, offsets):
    for function in (unpack_strings, check_strings):
        with pytest.raises(ValueError, match="Pack the strings again"):
            function(np.array(text, np.uint8), np.array(offsets))


@pytest.mark.parametrize("chunk", [1, 7, 50])
def test_check_strings_in_chunks(monkeypatch, chunk):
    monkeypatch.setattr(strings, "_CHUNK", chunk)
    text, offsets = pack_strings(TEXTS * 3)
    check_strings(text, offsets)
    for place in np.flatnonzero(text >= 0xC0):  # the first byte of a character of several
        damaged = text.copy()
        damaged[place] = 97
        with pytest.raises(ValueError, match="UTF-8"):
            check_strings(damaged, offsets)


@pytest.mark.parametrize("strings", ["abc", [b"abc"], ["a", None]])
def test_pack_strings_of_other_types(strings):
    with pytest.raises(TypeError, match="`strings` must"):
        pack_strings(strings)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (np.array([{}, []], object), "needs pickle"),
        (np.array(["a"]), "pack_strings"),
        (np.array([b"a"]), "pack_strings"),
        (np.zeros(2, [("a", "f8"), ("b", object)]), "needs pickle"),
        (np.zeros(2, "M8[s]"), "dtype datetime64"),
        (np.ma.array([1, 2], mask=[0, 1]), "MaskedArray"),
        ([1, 2], "got list"),
    ],
)
def test_save_arrays_that_are_not_numeric(saved, array, advice):
    with pytest.raises(TypeError, match=advice):
        save_arrays(saved, {"a": array}, {}, kind="Example")
    assert load(saved) == 1


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a/b", "a.npy", "é", "a\n", "a" * 101, "-", 3])
def test_save_arrays_with_invalid_names(tmp_path, name):
    with pytest.raises(ValueError, match="Rename it"):
        save_arrays(tmp_path / "index", {name: np.zeros(1)}, {}, kind="Example")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "value", [(1, 2), {1: 2}, float("nan"), [float("inf")], {1, 2}, np.float32(1), np.zeros(2), b"", "\ud83d\ude00"]
)
def test_save_description_that_json_would_change(tmp_path, value):
    with pytest.raises(TypeError, match="as 'key'"):
        save_arrays(tmp_path / "index", {}, {"fine": 1, "key": value}, kind="Example")


@pytest.mark.parametrize("value", [json.loads("[" * 20 + "]" * 20), {"a": 10**5000}], ids=["deep", "long"])
def test_save_description_that_could_not_be_loaded(tmp_path, value):
    with pytest.raises(TypeError, match="as 'key'"):
        save_arrays(tmp_path / "index", {}, {"key": value}, kind="Example")


def test_save_description_that_is_too_large(saved, monkeypatch):
    monkeypatch.setattr(array_file, "_LARGEST_HEADER", 5000)
    with pytest.raises(ValueError, match="at most 5000 bytes"):
        save_arrays(saved, {}, {"key": "long" * 5000}, kind="Example")
    assert load(saved) == 1
    assert left_behind(saved) == []


def test_load_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file.*nowhere"):
        load_arrays(tmp_path / "nowhere", kind="Example")
    with pytest.raises(OSError, match="not a regular file"):
        load_arrays(tmp_path, kind="Example")
    (tmp_path / "file").touch()
    with pytest.raises(DamagedFileError, match="file is truncated, or was not saved by this library"):
        load_arrays(tmp_path / "file", kind="Example")


@pytest.mark.parametrize(("path", "error"), [("a\0b", ValueError), (b"index", TypeError), (None, TypeError)])
def test_load_invalid_path(path, error):
    for function in (check_place, lambda path: save(path, 1), load):
        with pytest.raises(error, match="`path` must"):
            function(path)


@needs_posix
def test_load_pipe_raises_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        load_arrays(tmp_path / "pipe", kind="Example")
    assert not is_saved_file(tmp_path / "pipe")
    with pytest.raises(FileExistsError):
        save(tmp_path / "pipe", 1)


def test_load_another_kind(saved):
    with pytest.raises(ValueError, match=r"expected a saved Other, got .*index, a saved Example\."):
        load_arrays(saved, kind="Other")


def test_load_newer_format(tmp_path, monkeypatch):
    monkeypatch.setattr(array_file, "_FORMAT", 3)
    save(tmp_path / "index", 1)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"in format 2, got format 3\. .* pip install -U"):
        load(tmp_path / "index")
    save(tmp_path / "index", 2)
    assert load(tmp_path / "index") == 2


def test_load_folder_of_format_1(tmp_path):
    (tmp_path / "index.json").write_bytes(b'{\n "codebooks_format": 1,\n "kind": "Example"\n}')
    with pytest.raises(ValueError, match=r"a folder in format 1 .* Fit the model again"):
        load(tmp_path)
    assert is_saved_file(tmp_path)
    with pytest.raises(FileExistsError, match="a folder"):
        save(tmp_path, 1)


@pytest.mark.parametrize("content", [b"", b"mine", array_file._MAGIC[1:]])
def test_save_does_not_replace_other_files(tmp_path, content):
    (tmp_path / "notes").write_bytes(content)
    assert not is_saved_file(tmp_path / "notes")
    for refused in (check_place, lambda path: save(path, 1)):
        with pytest.raises(FileExistsError, match="Choose another path; the file was not changed"):
            refused(tmp_path / "notes")
    assert (tmp_path / "notes").read_bytes() == content
    assert left_behind(tmp_path / "notes") == []


def test_check_place_of_a_free_path(tmp_path, saved):
    for place in (tmp_path / "nowhere", tmp_path / "a" / "b", saved, str(saved)):
        check_place(place)
    with pytest.raises(FileExistsError, match=r"a folder\. Choose another path"):
        check_place(tmp_path)
    assert os.listdir(tmp_path) == ["index"]


def test_is_saved_file(tmp_path, saved):
    assert is_saved_file(saved)
    assert is_saved_file(str(saved))
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file", tmp_path / "file" / "below", "a\0b"):
        assert not is_saved_file(place)
    saved.write_bytes(saved.read_bytes()[:50])
    assert is_saved_file(saved)  # by its beginning, so that it can be replaced


def test_save_creates_missing_folders(tmp_path):
    save(tmp_path / "a" / "b", 1)
    assert load(str(tmp_path / "a" / "b")) == 1


# -- permissions ----------------------------------------------------------------------------------------------------


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@needs_posix
def test_new_file_and_folders_are_always_private(tmp_path, monkeypatch):
    seen, write = set(), array_file._write

    def looked_at(file, *args):
        seen.add(mode(file.fileno()))
        write(file, *args)
        seen.add(mode(file.fileno()))

    before = os.umask(0)
    try:
        monkeypatch.setattr(array_file, "_write", looked_at)
        save(tmp_path / "a" / "b" / "index", 1)
    finally:
        os.umask(before)
    assert seen == {0o600}
    assert mode(tmp_path / "a" / "b" / "index") == 0o600
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


@needs_posix
@pytest.mark.parametrize("chosen", [0o600, 0o640, 0o444])
def test_save_keeps_the_mode_of_a_replaced_file(saved, chosen):
    saved.chmod(chosen)
    folder = mode(saved.parent)
    save(saved, 2)
    assert load(saved) == 2
    assert mode(saved) == chosen
    assert mode(saved.parent) == folder


# -- damage ----------------------------------------------------------------------------------------------------------


def test_load_with_any_byte_changed(saved):
    draw, content = random.Random(0), saved.read_bytes()
    header = 24 + int.from_bytes(content[16:24], "little") + 32
    places = [*range(header), *draw.sample(range(header, len(content)), 50), *range(len(content) - 64, len(content))]
    for trial, place in enumerate(places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8) if trial % 3 else draw.randrange(1, 256)
        saved.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match="index"):
            load_arrays(saved, kind="Example")
        try:  # without reading all: our error, or arrays of the right form
            arrays = load_arrays(saved, kind="Example", verify=False)[0]
        except DamagedFileError:
            assert place < header
        else:
            assert place >= header
            assert [arrays[name].shape for name in arrays] == [array.shape for array in generation(1).values()]
    saved.write_bytes(content)
    assert load(saved) == 1


def test_load_from_a_failing_disk_raises_os_error(saved, monkeypatch):
    """The file is read before it is mapped, because an unreadable page of a map would end the process."""

    class Failing:
        def __init__(self, file):
            self.file, self.left = file, 2

        def readinto(self, buffer):
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.EIO, "Input/output error")
            return self.file.readinto(buffer)

    checksum, failing = array_file._compute_checksum, []

    def fail(file, n_bytes):
        failing.append(failing[0] if failing else Failing(file))
        return checksum(failing[0], n_bytes)

    monkeypatch.setattr(array_file, "_compute_checksum", fail)
    with pytest.raises(OSError, match="Input/output"):
        load(saved)


@pytest.mark.parametrize("verify", [True, False])
def test_load_truncated_or_extended_file(saved, verify):
    content = saved.read_bytes()
    for n_bytes in {*range(100), *range(100, len(content), 97), len(content) - 1}:
        saved.write_bytes(content[:n_bytes])
        with pytest.raises(DamagedFileError, match=r"index .* Restore"):
            load_arrays(saved, kind="Example", verify=verify)
    saved.write_bytes(content + b"\0")
    with pytest.raises(DamagedFileError, match=rf"index has {len(content) + 1} bytes instead of {len(content)}.* Rest"):
        load_arrays(saved, kind="Example", verify=verify)


def test_save_replaces_a_damaged_file(saved):
    saved.write_bytes(saved.read_bytes()[:100])
    save(saved, 2)
    assert load(saved) == 2


FORGED_ARRAYS = [
    {"dtype": "O"},
    {"dtype": "|O8"},
    {"dtype": "|V8"},
    {"dtype": "<U4"},
    {"dtype": "<M8"},
    {"dtype": "<f3"},
    {"dtype": "<f8,<f8"},
    {"dtype": "nonsense"},
    {"dtype": 8},
    {"dtype": None},
    {"shape": [-500]},
    {"shape": [10**12]},
    {"shape": [10**30]},
    {"shape": [0, 10**18, 10**18]},
    {"shape": ["500"]},
    {"shape": [500.0]},
    {"shape": [True, 500]},
    {"shape": [1] * 70},
    {"shape": 500},
    {"shape": {}},
    {"order": "K"},
    {"order": ["C"]},
    {"sha256": 5},
    {"more": 1},
    {"start": 0},
    {"name": "other"},
]


@pytest.mark.parametrize("change", FORGED_ARRAYS, ids=str)
def test_load_forged_array(saved, change):
    reseal(saved, lambda header: header["arrays"]["first"].update(change))
    with pytest.raises(DamagedFileError, match="index"):
        load_arrays(saved, kind="Example", verify="sha256" in change)


FORGED_HEADERS = {
    "no JSON": lambda header: b"{",
    "a list": lambda header: b"[]",
    "no text": lambda header: b'{"kind": "\xff"}',
    "deep": lambda header: b"[" * 100_000 + b"]" * 100_000,
    "rather deep": lambda header: header["about"].update(a=json.loads("[" * 20 + "]" * 20)),
    "NaN": lambda header: json.dumps(header).encode().replace(b'"n": 1', b'"n": NaN'),
    "infinite": lambda header: json.dumps(header).encode().replace(b'"n": 1', b'"n": 1e999'),
    "endless": lambda header: json.dumps(header).encode().replace(b'"n": 1', b'"n": 1' + b"0" * 10_000),
    "twice": lambda header: json.dumps(header).encode().replace(b'"n": 1', b'"n": 1, "n": 2'),
    "missing": lambda header: header.pop("about") and None,
    "more": lambda header: header.update(more=1),
    "about": lambda header: header.update(about=[1]),
    "arrays": lambda header: header.update(arrays=None),
    "array": lambda header: header["arrays"].update(first=1),
    "no array": lambda header: header["arrays"].clear(),
    "name": lambda header: header["arrays"].update({"../x": header["arrays"].pop("first")}),
    "kind": lambda header: header.update(kind=1),
    "kind that moves the cursor": lambda header: header.update(kind="\x1b[2J"),
}


@pytest.mark.parametrize("change", FORGED_HEADERS.values(), ids=FORGED_HEADERS)
def test_load_forged_header(saved, change):
    reseal(saved, change)
    with pytest.raises(DamagedFileError, match="index"):
        load_arrays(saved, kind="Example", verify=False)


def test_load_rewritten_header_with_the_same_content(saved):
    """The forging of the tests above does not itself cause their errors."""
    reseal(saved, lambda header: None)
    assert load(saved) == 1


def test_load_header_with_a_huge_length(saved):
    raw = saved.read_bytes()
    for n_bytes in (2**63, 2**40, 2**24 + 1, len(raw)):
        saved.write_bytes(raw[:16] + n_bytes.to_bytes(8, "little") + raw[24:])
        with pytest.raises(DamagedFileError, match="header"):
            load_arrays(saved, kind="Example")


# -- a save that does not end ----------------------------------------------------------------------------------------


class FullDisk:
    """A file that raises at its n-th write."""

    def __init__(self, file, n, error):
        self.file, self.n, self.error = file, n, error

    def write(self, data):
        self.n -= 1
        if self.n < 0:
            raise self.error
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "stop"])
@pytest.mark.parametrize("at", range(6))
def test_save_to_a_full_disk_keeps_the_old_file(saved, tmp_path, monkeypatch, at, error):
    write = array_file._write
    monkeypatch.setattr(array_file, "_write", lambda file, *args: write(FullDisk(file, at, error), *args))
    for path in (saved, tmp_path / "above" / "new"):
        with pytest.raises(type(error), match=path.name if isinstance(error, OSError) else None):
            save(path, 2)
    assert load(saved) == 1
    assert left_behind(saved) == ["above"]
    assert list((tmp_path / "above").iterdir()) == []


def test_save_with_a_changed_working_directory(tmp_path, monkeypatch):
    """Another thread changes the working directory meanwhile."""
    write = array_file._write
    (tmp_path / "elsewhere").mkdir()

    def moving(*args):
        monkeypatch.chdir(tmp_path / "elsewhere")
        return write(*args)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(array_file, "_write", moving)
    save("index", 1)
    assert load(tmp_path / "index") == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


@needs_posix
def test_save_below_an_unreadable_folder(tmp_path, monkeypatch):
    opened = os.open

    def barred(path, *args, **kwargs):
        if Path(path) == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", barred)
    save(tmp_path / "index", 1)
    assert load(tmp_path / "index") == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_interrupted_save_leaves_a_complete_file(tmp_path, monkeypatch):
    """Stop a save at every line of the package in turn."""

    def stopped_at(line, path):
        seen = iter(range(10**9))

        def trace(frame, event, _):
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return None
            if event == "line" and next(seen) == line:
                sys.settrace(None)
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            save(path, line + 2)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    line, path, outcomes = 0, tmp_path / "index", set()
    monkeypatch.setattr(os, "fsync", lambda _: None)  # three saves a line
    save(path, 0)
    while stopped_at(line, path):
        outcomes.add(load(path) - line)
        save(path, line + 2)
        assert left_behind(path) == [], "the next save did not remove what was left"
        save(path, line := line + 1)
    assert line > 100
    assert outcomes == {0, 2}


# Reads lines "n delay". For each, forks a child that saves n, n + 1, ... until it is killed after the delay.
SAVER = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_storage import save, load

def saving(path, numbers):
    child = os.fork()
    if child == 0:
        try:
            for n in numbers:
                save(path, n, size=20_000)
        finally:
            os._exit(1)
    return child

started = time.monotonic()
os.waitpid(saving({path!r} + "-timed", [0]), 0)
os.unlink({path!r} + "-timed")
seconds = time.monotonic() - started
for line in sys.stdin:
    n, delay = line.split()
    child = saving({path!r}, range(int(n), 10**9))
    time.sleep(float(delay) * seconds)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    print("killed", flush=True)
"""


@pytest.mark.slow
@needs_posix
@pytest.mark.parametrize("begun", [True, False])
def test_killed_save_leaves_a_complete_file(tmp_path, begun):
    path, draw, found, left = tmp_path / "index", random.Random(0), -1, 0
    if begun:
        save(path, 0, size=20_000)
    code = SAVER.format(tests=str(Path(__file__).parents[1]), path=str(path))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as saver:
        for n_kills in range(600):
            if n_kills >= 20 and found >= 0 and left:
                break
            saver.stdin.write(f"{found + 1} {draw.uniform(0, 3)}\n")
            saver.stdin.flush()
            assert saver.stdout.readline() == "killed\n"
            left = max(left, len(left_behind(path)))
            if not begun and not path.exists():
                continue  # no first save has ended yet
            now = load(path)
            assert now >= found
            found = now
        saver.stdin.close()
    save(path, found + 1)
    assert found >= 0, "no save ended before a kill"
    assert left, "no kill fell into a save"
    assert left_behind(path) == [], "the next save did not remove what was left"


# Forks for each line of the package that a save runs, and ends the child there as a kill would.
KILLED_AT_EVERY_LINE = """
import os, sys
sys.path.insert(0, {tests!r})
from test_storage import save, load, left_behind, PACKAGE

def ended_at(line):
    seen = iter(range(10**9))
    def trace(frame, event, _):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and next(seen) == line:
            os._exit(9)
        return trace
    child = os.fork()
    if child == 0:
        sys.settrace(trace)
        try:
            save({path!r}, line + 2)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

os.fsync = lambda _: None  # two saves a line
line, outcomes, left = 0, set(), 0
save({path!r}, 0)
while (code := ended_at(line)) == 9:
    outcomes.add(load({path!r}) - line)
    left = max(left, len(left_behind({path!r})))
    save({path!r}, line := line + 1)
    assert left_behind({path!r}) == [], left_behind({path!r})
assert code == 0, code
print(line, sorted(outcomes), left)
"""


@pytest.mark.slow
@needs_posix
def test_save_killed_at_every_line_leaves_a_complete_file(tmp_path, fresh_python):
    code = KILLED_AT_EVERY_LINE.format(tests=str(Path(__file__).parents[1]), path=str(tmp_path / "index"))
    n_lines, *outcomes, left = fresh_python(code).replace(",", " ").split()
    assert int(n_lines) > 100
    assert outcomes == ["[0", "2]"]
    assert int(left) == 1


def test_save_keeps_other_files_in_the_folder(saved):
    (saved.parent / ".codebooks-mine.tmp").write_bytes(b"mine")
    (saved.parent / f".codebooks-{'0' * 32}.tmp").mkdir()
    for n in range(2, 5):
        save(saved, n)
    assert (saved.parent / ".codebooks-mine.tmp").read_bytes() == b"mine"
    assert len(left_behind(saved)) == 2
    assert load(saved) == 4


# -- several at once -------------------------------------------------------------------------------------------------


def at_once(*functions, until=lambda: True, least=0.5, most=600.0):
    """Run each function repeatedly in its own thread, for some seconds and `until`; return the errors."""
    started, raised = time.monotonic(), []

    def goes_on():
        seconds = time.monotonic() - started
        return not raised and seconds < most and (seconds < least or not until())

    def over_and_over(function):
        try:
            while goes_on():
                function()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=over_and_over, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@needs_posix
def test_load_during_concurrent_saves(saved):
    numbers = iter(range(2, 10**9))
    lock, seen = threading.Lock(), set()

    def saving():
        with lock:
            n = next(numbers)
        save(saved, n)

    def reading(verify):
        seen.add(load(saved, verify=verify))

    reads = (lambda: reading(True)), (lambda: reading(False))
    raised = at_once(saving, saving, saving, *reads, until=lambda: len(seen) > 5)
    assert not raised
    assert len(seen) > 5
    last = next(numbers)
    save(saved, last)
    assert load(saved) == last
    assert left_behind(saved) == []


@needs_posix
def test_save_keeps_temporary_files_of_running_saves(saved, monkeypatch):
    """A save that begins before and ends after another one wins."""
    write = array_file._write
    under_way, go_on = threading.Event(), threading.Event()

    def slowly(*args):
        if threading.current_thread() is slow:
            under_way.set()
            assert go_on.wait(60)
        write(*args)

    monkeypatch.setattr(array_file, "_write", slowly)
    slow = threading.Thread(target=save, args=[saved, 2])
    slow.start()
    assert under_way.wait(60)
    save(saved, 3)
    assert load(saved) == 3
    assert len(left_behind(saved)) == 1
    go_on.set()
    slow.join()
    assert load(saved) == 2
    assert left_behind(saved) == []


@needs_posix
def test_save_recreates_a_temporary_file_removed_before_the_lock(saved, monkeypatch):
    lock, taken = array_file._lock, []

    def removed_first(file):
        if not taken:
            taken.append([path.unlink() for path in saved.parent.glob(".codebooks-*")])
        return lock(file)

    monkeypatch.setattr(array_file, "_lock", removed_first)
    save(saved, 2)
    assert load(saved) == 2
    assert len(taken[0]) == 1


def test_save_without_locks_removes_old_temporary_files_only(saved, monkeypatch):
    monkeypatch.setattr(array_file, "_lock", lambda _: None)
    young, old = (saved.parent / f".codebooks-{digit * 32}.tmp" for digit in "01")
    for path in (young, old):
        path.write_bytes(b"part")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    save(saved, 2)
    assert load(saved) == 2
    assert left_behind(saved) == [young.name]


@needs_posix
def test_loaded_arrays_remain_valid_after_a_save(saved):
    arrays, about = load_arrays(saved, kind="Example")
    save(saved, 2)
    assert generation_of(arrays, about) == 1
    saved.unlink()
    assert generation_of(arrays, about) == 1


@needs_posix
def test_save_follows_symbolic_links(saved, tmp_path):
    (tmp_path / "link").symlink_to(saved)
    save(tmp_path / "link", 2)
    assert load(saved) == load(tmp_path / "link") == 2
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="link to a missing file"):
        save(tmp_path / "dangling", 1)


@pytest.mark.slow
@needs_posix
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_keyboard_interrupt_during_a_save(saved):
    """Real signals at random moments."""
    draw = random.Random(1)
    before = signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    n = 1
    try:
        for _ in range(30):
            delay = draw.uniform(0.0005, 0.01)
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                for _ in range(50):  # an interrupt that comes while the interpreter clears up may go unheard
                    save(saved, n + 1)
                    n += 1
            except KeyboardInterrupt:
                assert load(saved) in (n, n + 1)
                n = load(saved)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
