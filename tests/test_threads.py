"""Work that is shared among threads is done once and to its end, whoever does it: by the caller alone where it has to.

Kernels are functions of Python here, on threads of the process under test; what ends or forks is a fresh interpreter.
"""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from codebooks.ops import threads
from codebooks.storage import DamagedFileError, load_folder, reading, save_folder


def add_one(start, stop, out):
    time.sleep(0.001)  # who has taken a piece takes no other at once
    for i in range(start, stop):
        out[i] += 1


@pytest.fixture
def fresh_threads(monkeypatch):
    """Four threads are allowed, and none of them has started."""
    monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", 4)
    threads._worker.cache_clear()
    yield
    threads._worker.cache_clear()


@pytest.fixture
def few_threads(request, monkeypatch):
    """So many threads can be started, and no more."""
    start, left = threading.Thread.start, [None] * request.param

    def start_if_allowed(thread):
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_allowed)


@pytest.mark.usefixtures("fresh_threads")
class TestRun:
    def test_pieces_cover_all_items_once(self):
        for n_items in (1, 2, 5, 64):
            pieces = []
            threads.run(lambda start, stop, to=pieces: to.append((start, stop)), n_items, 10**9)
            assert len(pieces) == min(n_items, 4)
            assert sorted(i for piece in pieces for i in range(*piece)) == list(range(n_items))

    @pytest.mark.parametrize("few_threads", [0, 1, 2], indirect=True)
    def test_where_few_threads_can_be_started(self, few_threads):
        """A piece whose thread did not start is done by one of the others, and by one only."""
        out = np.zeros(64)
        for n_calls in range(1, 21):
            threads.run(add_one, len(out), 10**9, out)
            assert_array_equal(out, n_calls)

    def test_a_call_does_not_wait_for_another(self):
        """The caller does what threads that are busy elsewhere have not begun."""
        together, over, out = threading.Barrier(5), threading.Event(), np.zeros(64)
        in_time = []

        def wait(start, stop):
            together.wait()
            in_time.append(over.wait(60))

        other = threading.Thread(target=threads.run, args=(wait, 4, 10**9))
        other.start()
        together.wait()  # all threads are busy
        threads.run(add_one, len(out), 10**9, out)
        over.set()
        other.join()
        assert_array_equal(out, 1)
        assert in_time == [True] * 4

    def test_an_error_in_any_piece_comes_out(self):
        together = threading.Barrier(4)

        def fail(start, stop, at):
            together.wait()  # so each piece has a thread of its own
            if start == at:
                raise ValueError(f"at {at}")

        for at in range(4):
            with pytest.raises(ValueError, match=f"at {at}"):
                threads.run(fail, 4, 10**9, at)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Some files, which count as worth several threads."""
    monkeypatch.setattr(reading, "_WORTH_THREADS", 0)
    monkeypatch.setattr(reading, "_READERS", 4)
    save_folder(tmp_path / "saved", {f"a{i}": np.full(1000, i) for i in range(20)}, {}, kind="test")
    return tmp_path / "saved"


class TestLoading:
    def assert_right(self, folder):
        arrays, _ = load_folder(folder, kind="test")
        assert [int(arrays[f"a{i}"].sum()) for i in range(20)] == [1000 * i for i in range(20)]

    @pytest.mark.parametrize("few_threads", [0, 1, 2], indirect=True)
    def test_where_few_threads_can_be_started(self, folder, few_threads):
        self.assert_right(folder)

    def test_a_file_is_read_once(self, folder, monkeypatch):
        read, checksum = [], reading._checksum
        monkeypatch.setattr(reading, "_checksum", lambda file: read.append(file.name) or checksum(file))
        self.assert_right(folder)
        assert len(read) == len(set(read)) == 20

    @pytest.mark.parametrize("few_threads", [0, 8], indirect=True)
    def test_damage_is_found_and_named(self, folder, few_threads):
        damaged = sorted(file for file in folder.rglob("*") if file.is_file() and file.stat().st_size >= 8000)[7]
        content = bytearray(damaged.read_bytes())
        content[-1] ^= 1
        damaged.write_bytes(content)
        with pytest.raises(DamagedFileError, match=damaged.name):
            load_folder(folder, kind="test")

    @pytest.mark.parametrize("caller_fails", [True, False])
    def test_a_disk_that_fails_is_an_error_whoever_reads(self, folder, monkeypatch, caller_fails):
        caller, together = threading.current_thread(), threading.Barrier(4)
        first_files, checksum = iter(range(4)), reading._checksum

        def fail(file):
            if next(first_files, None) is not None:
                together.wait()  # so that each thread has one
            if (threading.current_thread() is caller) == caller_fails:
                raise OSError("the disk fails")
            return checksum(file)

        monkeypatch.setattr(reading, "_checksum", fail)
        with pytest.raises(OSError, match="the disk fails"):
            load_folder(folder, kind="test")

    def test_an_interrupted_load_reads_no_more(self, folder, monkeypatch):
        caller, read = threading.current_thread(), []

        def interrupted(file):
            read.append(file)
            if threading.current_thread() is caller:
                raise KeyboardInterrupt
            time.sleep(0.1)
            return ""

        monkeypatch.setattr(reading, "_checksum", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_folder(folder, kind="test")
        assert len(read) < 20


# -- fresh interpreters ----------------------------------------------------------------------------------------------


def work_to_be_done(folder):
    """What `run` and `load_folder` give, on several threads where these can be had."""
    out = np.zeros(64)
    threads.run(add_one, len(out), 10**9, out)
    reading._WORTH_THREADS = 0
    arrays, _ = load_folder(folder, kind="test")
    return out.sum() == 64 and all((arrays[f"a{i}"] == i).all() for i in range(20))


def wait_for_the_end():
    """Return when the main thread has ended, and no thread pool takes jobs any more."""
    with suppress(RuntimeError):
        while True:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(time.sleep, 0.01)


@pytest.mark.parametrize("before", ["", "test_threads.work_to_be_done(folder)"], ids=["the first", "a later"])
@pytest.mark.parametrize("when", ["a thread outlives the main one", "at exit"])
def test_work_is_done_when_the_interpreter_ends(fresh_python, folder, before, when):
    code = f"""
import atexit, threading, test_threads
folder = {str(folder)!r}
{before}
def at_the_end():
    test_threads.wait_for_the_end()
    print(test_threads.work_to_be_done(folder))
if {when == "at exit"}:
    atexit.register(at_the_end)
else:
    threading.Thread(target=at_the_end).start()
"""
    assert fresh_python(code, NUMBA_NUM_THREADS="4").split() == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks nothing")
def test_a_child_may_use_blas_where_another_thread_did(fresh_python):
    """And on as many threads as before: a fork waits until BLAS has them again."""
    code = """
import os, threading
from threadpoolctl import threadpool_info
from codebooks.ops import threads
def how_many():
    return {one["filepath"]: one["num_threads"] for one in threadpool_info()}
before, inside, enough, ended = how_many(), threading.Event(), threading.Event(), []
def compute():
    with threads.blas_alone():
        inside.set()
        enough.wait(0.5)
        ended.append(True)
threading.Thread(target=compute).start()
inside.wait()
child = os.fork()
if child == 0:
    with threads.blas_alone():
        pass
    os._exit(7 if ended and how_many() == before else 3)
enough.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert fresh_python(code).split() == ["7"]
