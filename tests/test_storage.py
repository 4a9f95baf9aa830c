"""Saved folders: what goes in comes out, damage is an error, and a kill at any moment leaves the old or the new."""

import errno
import json
import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from codebooks import storage
from codebooks.storage import (
    DamagedFileError,
    check_place,
    is_saved_folder,
    load_folder,
    locks,
    pack_strings,
    save_folder,
    unpack_strings,
    writing,
)
from codebooks.storage.manifest import START, parsed, sealed

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
OWN = {"notes.txt": b"mine", "data/deep.npy": b"mine too"}

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="forks, signals and locks of POSIX")


def generation(n, size=500):
    """Arrays that all tell the same number."""
    return {"first": np.full(size, n), "second": np.full((7, 3), float(n)), "none": np.zeros((0, n % 5))}


def generation_of(arrays, about):
    """The number that a whole folder tells; fails the test on a mixture."""
    told = {int(value) for array in arrays.values() for value in np.unique(array)} | {about["n"]}
    assert len(told) == 1
    return told.pop()


def save(path, n, **kwargs):
    save_folder(path, generation(n, **kwargs), {"n": n}, kind="Example")


def load(path, **kwargs):
    return generation_of(*load_folder(path, kind="Example", **kwargs))


def files_of(folder):
    return sorted(path for path in Path(folder).iterdir() if path.is_file())


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
def test_arrays_come_back(tmp_path, array, verify):
    save_folder(tmp_path / "index", {"a": array}, {}, kind="Example")
    (name, found), *others = load_folder(tmp_path / "index", kind="Example", verify=verify)[0].items()
    assert (name, others) == ("a", [])
    assert (found.dtype.str, found.shape) == (array.dtype.str, array.shape)
    assert found.tobytes() == array.tobytes()
    assert found.flags.f_contiguous or not array.flags.f_contiguous
    assert not found.flags.writeable
    if array.size:
        with pytest.raises(ValueError):
            found.flags.writeable = True


def test_arrays_are_mapped_and_plain(saved):
    found = load_folder(saved, kind="Example")[0]["first"]
    assert type(found) is np.ndarray
    assert isinstance(found.base, mmap.mmap)
    assert found.flags.aligned


def test_numpy_reads_the_files_too(saved):
    found = np.load(next(saved.glob("*-second.npy")), allow_pickle=False)
    np.testing.assert_array_equal(found, generation(1)["second"])


def test_the_manifest_is_json(saved):
    manifest = json.loads((saved / "index.json").read_text(encoding="ascii"))
    assert list(manifest["arrays"]) == ["first", "second", "none"]
    assert (manifest["kind"], manifest["about"], manifest["codebooks_format"]) == ("Example", {"n": 1}, 1)


def test_about_comes_back(tmp_path):
    about = {"none": None, "yes": True, "n": 2**70, "x": 0.1, "texts": TEXTS[:-2], "deep": {"a": [{}, [], ""]}, "": 1}
    save_folder(tmp_path, {}, about, kind="Example")
    assert load_folder(tmp_path, kind="Example") == ({}, about)


def test_order_of_arrays_is_kept(tmp_path):
    names = ["z", "a", "m_2", "0"]
    save_folder(tmp_path, {name: np.zeros(1) for name in names}, {}, kind="Example")
    assert list(load_folder(tmp_path, kind="Example")[0]) == names


def test_strings_come_back():
    assert unpack_strings(*pack_strings(TEXTS)) == TEXTS
    assert unpack_strings(*pack_strings([])) == []
    assert unpack_strings(*pack_strings([""])) == [""]
    draw = random.Random(0)
    many = ["".join(chr(draw.randrange(sys.maxunicode + 1)) for _ in range(draw.randrange(9))) for _ in range(2000)]
    assert unpack_strings(*pack_strings(many)) == many


def test_strings_come_back_from_a_folder(tmp_path):
    text, offsets = pack_strings(TEXTS)
    save_folder(tmp_path, {"text": text, "offsets": offsets}, {}, kind="Example")
    arrays = load_folder(tmp_path, kind="Example")[0]
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
    ],
)
def test_damaged_strings_are_refused(text, offsets):
    with pytest.raises(ValueError, match="Pack the strings again"):
        unpack_strings(np.array(text, np.uint8), np.array(offsets))


@pytest.mark.parametrize("strings", ["abc", [b"abc"], ["a", None]])
def test_only_strings_are_packed(strings):
    with pytest.raises(TypeError, match="wanted"):
        pack_strings(strings)


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (np.array([{}, []], object), "without pickle"),
        (np.array(["a"]), "pack_strings"),
        (np.array([b"a"]), "pack_strings"),
        (np.zeros(2, [("a", "f8"), ("b", object)]), "without pickle"),
        (np.zeros(2, "M8[s]"), "dtype datetime64"),
        (np.ma.array([1, 2], mask=[0, 1]), "MaskedArray"),
        ([1, 2], "got list"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(saved, array, advice):
    with pytest.raises(TypeError, match=advice):
        save_folder(saved, {"a": array}, {}, kind="Example")
    assert load(saved) == 1


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a/b", "a.npy", "é", "a\n", "a" * 101, "-", 3])
def test_names_are_plain(tmp_path, name):
    with pytest.raises(ValueError, match="Rename it"):
        save_folder(tmp_path, {name: np.zeros(1)}, {}, kind="Example")
    assert not files_of(tmp_path)


@pytest.mark.parametrize(
    "value", [(1, 2), {1: 2}, float("nan"), [float("inf")], {1, 2}, np.float32(1), np.zeros(2), b"", "\ud83d\ude00"]
)
def test_about_that_json_would_change_is_refused(tmp_path, value):
    with pytest.raises(TypeError, match="as 'key'"):
        save_folder(tmp_path, {}, {"fine": 1, "key": value}, kind="Example")


def test_missing_places_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        load_folder(tmp_path / "nowhere", kind="Example")
    with pytest.raises(FileNotFoundError, match=r"holds no index\.json"):
        load_folder(tmp_path, kind="Example")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file"):
        load_folder(tmp_path / "file", kind="Example")


def test_another_kind_is_told(saved):
    with pytest.raises(ValueError, match=r"wanted a saved Other, and .*index is a saved Example\."):
        load_folder(saved, kind="Other")


def test_a_newer_format_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "FORMAT", 2)
    save(tmp_path, 1)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"got 2, written by version .* Upgrade"):
        load(tmp_path)
    save(tmp_path, 2)
    assert load(tmp_path) == 2


@pytest.mark.parametrize("kept", [[*OWN], ["index.json"], ["weights-3f2a.npy"]])
def test_a_folder_of_the_users_own_is_refused(tmp_path, kept):
    for name in kept:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(OWN.get(name, b"{}"))
    with pytest.raises(FileExistsError, match="Choose another path; nothing was changed"):
        save(tmp_path, 1)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        kept
    )
    assert all((tmp_path / name).read_bytes() == OWN.get(name, b"{}") for name in kept)


def test_a_file_in_the_place_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="is a file"):
        save(tmp_path / "file", 1)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_files_of_the_user_beside_a_save_stay(saved):
    (saved / "data").mkdir()
    for name, content in OWN.items():
        (saved / name).write_bytes(content)
    for n in range(2, 5):
        save(saved, n)
    assert all((saved / name).read_bytes() == content for name, content in OWN.items())
    assert load(saved) == 4


def test_what_may_be_saved_over_is_told_before(tmp_path, saved):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for place in (tmp_path / "nowhere", tmp_path / "empty", saved, str(saved)):
        check_place(place)
    with pytest.raises(FileExistsError, match=r"file is a file\. Choose another path"):
        check_place(tmp_path / "file")
    with pytest.raises(FileExistsError, match=r"holds other files \(empty, file, index\)\. Choose another path"):
        check_place(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "index"]
    assert load(saved) == 1


def test_a_saved_folder_is_known(tmp_path, saved):
    assert is_saved_folder(saved)
    assert is_saved_folder(str(saved))
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file", tmp_path / "file" / "below"):
        assert not is_saved_folder(place)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"codebooks_format": 1}', b"[1, 2]\n"])
def test_an_index_of_others_makes_no_saved_folder(tmp_path, content):
    (tmp_path / "index.json").write_bytes(content)
    assert not is_saved_folder(tmp_path)
    with pytest.raises(FileExistsError):
        check_place(tmp_path)


def test_a_damaged_folder_is_known_too(saved):
    content = (saved / "index.json").read_bytes()
    for damaged in (b"", b"garbage", b"[" + content[1:], content[: len(START)], content[:-1]):
        (saved / "index.json").write_bytes(damaged)
        assert is_saved_folder(saved)
        check_place(saved)
    for path in saved.glob("*.npy"):
        path.unlink()
    assert is_saved_folder(saved)  # by the beginning of what is left
    check_place(saved)


def test_folders_above_are_made(tmp_path):
    save(tmp_path / "a" / "b", 1)
    assert load(str(tmp_path / "a" / "b")) == 1


# -- damage ----------------------------------------------------------------------------------------------------------


def test_any_byte_flipped_is_an_error(saved):
    draw = random.Random(0)
    files = files_of(saved)
    contents = [path.read_bytes() for path in files]
    # Half the flips by file and half by byte, so that small files get their share too.
    by_byte = [index for index, content in enumerate(contents) for _ in content]
    for trial in range(2000):
        index = draw.choice(by_byte) if trial % 2 else trial // 2 % len(files)
        content = bytearray(contents[index])
        place = draw.randrange(len(content))
        content[place] ^= 1 << draw.randrange(8) if trial % 3 else draw.randrange(1, 256)
        files[index].write_bytes(content)
        with pytest.raises(DamagedFileError, match=files[index].name):
            load_folder(saved, kind="Example")
        try:  # without reading all: our error, or arrays of the right form
            arrays = load_folder(saved, kind="Example", verify=False)[0]
        except DamagedFileError:
            assert files[index].name == "index.json"
        else:
            assert [arrays[name].shape for name in arrays] == [array.shape for array in generation(1).values()]
        files[index].write_bytes(contents[index])
    assert load(saved) == 1


def test_every_byte_of_the_manifest_counts(saved):
    content = (saved / "index.json").read_bytes()
    parsed(saved, content, "Example")
    seal = content.rindex(b'"sha256": "') + 11
    changed = [content[:seal] + content[seal:].upper(), b"", content + b"\n"]
    for place in range(len(content)):
        before, after = content[:place], content[place:]
        changed += [before, before + b" " + after, before + after[1:]]
        changed += [before + bytes([after[0] ^ bit]) + after[1:] for bit in (1, 2, 32, 128)]
    for raw in changed:
        with pytest.raises(DamagedFileError, match=r"index\.json"):
            parsed(saved, raw, "Example")


def test_large_files_are_checked_too(tmp_path):
    names = [f"a{index}" for index in range(6)]
    save_folder(tmp_path, {name: np.arange(300_000) for name in names}, {}, kind="Example")
    assert [*load_folder(tmp_path, kind="Example")[0]] == names
    path = next(tmp_path.glob("*-a4.npy"))
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")
    with pytest.raises(DamagedFileError, match=path.name):
        load_folder(tmp_path, kind="Example")


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("index", range(3))
def test_files_cut_off_grown_or_missing_are_named(saved, index, verify):
    path = sorted(saved.glob("*.npy"))[index]
    content = path.read_bytes()
    for changed in (b"", content[:1], content[:100], content[:-1], content + b"\0"):
        path.write_bytes(changed)
        with pytest.raises(DamagedFileError, match=rf"{path.name} has {len(changed)} bytes where .* Restore"):
            load_folder(saved, kind="Example", verify=verify)
    path.unlink()
    with pytest.raises(DamagedFileError, match=rf"{path.name} is missing\. Restore"):
        load_folder(saved, kind="Example", verify=verify)


def test_saving_over_a_damaged_folder_repairs_it(saved):
    (saved / "index.json").write_bytes(b"garbage")
    save(saved, 2)
    assert load(saved) == 2
    assert len(files_of(saved)) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../../secret.npy"},
        {"file": "/etc/passwd"},
        {"file": "codebooks-" + "0" * 32 + "-second.npy"},
        {"file": "codebooks-" + "0" * 32 + "-first.npy/../x"},
        {"dtype": "O"},
        {"dtype": "|V8"},
        {"dtype": "nonsense"},
        {"shape": [-500]},
        {"shape": [10**30]},
        {"shape": ["500"]},
        {"shape": 500},
        {"offset": -8},
        {"offset": 8},
        {"order": "K"},
        {"size": 10**6},
        {"more": 1},
    ],
    ids=str,
)
def test_a_forged_manifest_reaches_nothing(saved, change):
    manifest = json.loads((saved / "index.json").read_bytes())
    del manifest["sha256"]
    manifest["arrays"]["first"].update(change)
    (saved / "index.json").write_bytes(sealed(manifest))
    with pytest.raises(DamagedFileError, match=r"index\.json"):
        load_folder(saved, kind="Example", verify=False)


# -- a save that does not end ----------------------------------------------------------------------------------------


def failing(function, at, error):
    """`function`, but its call number `at` raises."""
    calls = iter(range(10**9))

    def wrapped(*args, **kwargs):
        if next(calls) == at:
            raise error
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "stop"])
@pytest.mark.parametrize("at", range(3))
def test_a_full_disk_changes_nothing(saved, tmp_path, monkeypatch, at, error):
    before = files_of(saved)
    for path in (saved, tmp_path / "above" / "new"):
        monkeypatch.setattr(writing._Hashed, "write", failing(writing._Hashed.write, at, error))
        with pytest.raises(type(error), match=path.name if isinstance(error, OSError) else None):
            save(path, 2)
        monkeypatch.undo()
    assert files_of(saved) == before
    assert load(saved) == 1
    assert not (tmp_path / "above").exists()


@pytest.mark.parametrize("n_times", [1, 10**9])
@pytest.mark.parametrize("inside", [False, True])
def test_a_new_folder_that_another_save_takes_away_is_made_again(tmp_path, monkeypatch, inside, n_times):
    """Another save has made the folder and fails, when this one is before or behind its lock."""
    path, enter, times = tmp_path / "above" / "index", locks.Lock.__enter__, iter(range(n_times))
    path.mkdir(parents=True)

    def take_away():
        path.rmdir()
        path.parent.rmdir()

    def entering(lock):
        taken = next(times, None) is not None
        if taken and not inside:
            take_away()
        entered = enter(lock)
        if taken and inside:
            take_away()
        return entered

    monkeypatch.setattr(locks.Lock, "__enter__", entering)
    if n_times == 1:
        save(path, 1)
        assert load(path) == 1
    else:
        with pytest.raises(FileNotFoundError):
            save(path, 1)
        assert list(tmp_path.iterdir()) == []


def test_a_place_where_a_folder_comes_and_goes_is_free(tmp_path):
    def come_and_go():
        (tmp_path / "index").mkdir()
        (tmp_path / "index").rmdir()

    assert not at_once(come_and_go, lambda: check_place(tmp_path / "index"))


def test_a_save_stays_where_it_was_begun(tmp_path, monkeypatch):
    """Another thread changes the working directory meanwhile."""
    written = writing._written
    (tmp_path / "elsewhere").mkdir()

    def moving(*args):
        monkeypatch.chdir(tmp_path / "elsewhere")
        return written(*args)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(writing, "_written", moving)
    save("index", 1)
    assert load(tmp_path / "index") == 1
    assert list((tmp_path / "elsewhere").iterdir()) == []


@needs_posix
def test_a_folder_above_need_not_be_readable(tmp_path, monkeypatch):
    opened = os.open

    def barred(path, *args, **kwargs):
        if Path(path) == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", barred)
    save(tmp_path / "index", 1)
    assert load(tmp_path / "index") == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_line_leaves_one_whole(tmp_path, monkeypatch):
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
        assert len(files_of(path)) == 4, "the next save did not remove what was left"
        save(path, line := line + 1)
    assert line > 100
    assert outcomes == {0, 2}


# Takes "n delay" by line: forks, and the child saves n, n + 1, ... until it is killed after the time of so many saves.
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
def test_a_kill_at_any_moment_leaves_one_whole(tmp_path, begun):
    path, draw, found, left = tmp_path / "index", random.Random(0), -1, 0
    if begun:
        save(path, 0, size=20_000)
    code = SAVER.format(tests=str(Path(__file__).parent), path=str(path))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as saver:
        for n_kills in range(600):
            if n_kills >= 60 and found >= 0 and left > 4:
                break
            saver.stdin.write(f"{found + 1} {draw.uniform(0, 3)}\n")
            saver.stdin.flush()
            assert saver.stdout.readline() == "killed\n"
            if not begun and not (path / "index.json").exists():
                continue  # no first save has ended yet
            now = load(path)
            assert now >= found
            found, left = now, max(left, len(files_of(path)))
        saver.stdin.close()
    save(path, found + 1)
    assert found >= 0, "no save ended before a kill"
    assert left > 4, "no kill fell into a save"
    assert len(files_of(path)) == 4, "the next save did not remove what was left"


# Forks for each line of the package that a save runs, and ends the child there as a kill would.
KILLED_AT_EVERY_LINE = """
import os, sys
sys.path.insert(0, {tests!r})
from test_storage import save, load, files_of, PACKAGE

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
    left = max(left, len(files_of({path!r})))
    save({path!r}, line := line + 1)
    assert len(files_of({path!r})) == 4, files_of({path!r})
assert code == 0, code
print(line, sorted(outcomes), left)
"""


@pytest.mark.slow
@needs_posix
def test_a_kill_at_every_line_leaves_one_whole(tmp_path, fresh_python):
    code = KILLED_AT_EVERY_LINE.format(tests=str(Path(__file__).parent), path=str(tmp_path / "index"))
    n_lines, *outcomes, left = fresh_python(code).replace(",", " ").split()
    assert int(n_lines) > 100
    assert outcomes == ["[0", "2]"]
    assert int(left) == 8  # killed between the renaming and the sweep: all of the old, all of the new


@needs_posix
def test_leftovers_of_a_first_save_do_not_bar_the_next(tmp_path):
    (tmp_path / f"codebooks-{'0' * 32}-first.npy").write_bytes(b"part")
    (tmp_path / f"codebooks-{'0' * 32}.json").write_bytes(b"")
    save(tmp_path, 1)
    assert load(tmp_path) == 1
    assert len(files_of(tmp_path)) == 4


# -- several at once -------------------------------------------------------------------------------------------------


def at_once(*functions, until=lambda: True, least=2.0, most=600.0):
    """Run each over and over in its own thread, for some seconds and `until`; what they raised comes back."""
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


def test_readers_find_one_whole_while_others_save(saved):
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
    if sys.platform != "win32":
        assert len(files_of(saved)) == 4


@needs_posix
def test_a_sweep_spares_a_save_under_way(saved, monkeypatch):
    """A save begins, another one ends meanwhile, then the first ends: it wins, whole."""
    written = writing._written
    under_way, go_on = threading.Event(), threading.Event()

    def slowly(folder, token, name, array):
        done = written(folder, token, name, array)
        if threading.current_thread() is slow and name == "first":
            under_way.set()
            assert go_on.wait(60)
        return done

    monkeypatch.setattr(writing, "_written", slowly)
    slow = threading.Thread(target=save, args=[saved, 2])
    slow.start()
    assert under_way.wait(60)
    save(saved, 3)
    assert load(saved) == 3
    go_on.set()
    slow.join()
    assert load(saved) == 2
    assert len(files_of(saved)) == 4


def test_without_locks_only_old_leftovers_go(saved, monkeypatch):
    monkeypatch.setattr(locks.Lock, "_flock", lambda *_: False)
    young, old = (saved / f"codebooks-{digit * 32}-first.npy" for digit in "01")
    for path in (young, old):
        path.write_bytes(b"part")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    save(saved, 2)
    assert load(saved) == 2
    assert young.exists()
    assert not old.exists()
    assert len(files_of(saved)) == 5  # what was saved before went at once


@needs_posix
def test_a_sweep_without_end_is_told(saved, monkeypatch):
    monkeypatch.setattr(locks, "_PATIENCE", 0.05)
    with locks.Lock(saved) as other:
        assert other.is_alone()
        with pytest.raises(TimeoutError, match="another save"):
            save(saved, 2)
    assert load(saved) == 1
    save(saved, 2)
    assert load(saved) == 2


@needs_posix
def test_what_was_loaded_outlives_a_save(saved):
    arrays, about = load_folder(saved, kind="Example")
    save(saved, 2)
    assert generation_of(arrays, about) == 1
    shutil.rmtree(saved)
    assert generation_of(arrays, about) == 1


@needs_posix
def test_a_symbolic_link_to_a_folder_is_that_folder(saved, tmp_path):
    (tmp_path / "link").symlink_to(saved)
    save(tmp_path / "link", 2)
    assert load(saved) == 2
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        save(tmp_path / "dangling", 1)


@pytest.mark.slow
@needs_posix
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_live_interrupt_is_a_keyboard_interrupt(saved):
    """The real signal, at random moments."""
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
