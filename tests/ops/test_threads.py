"""`threads.run` completes all pieces of work once, by the calling thread alone if no other thread can start.

Kernels are Python functions here. Tests of forks and of the end of an interpreter use fresh interpreters.
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


def add_one(start, stop, out):
    time.sleep(0.001)  # a thread does not take two pieces in a row
    for i in range(start, stop):
        out[i] += 1


@pytest.fixture
def fresh_threads(monkeypatch):
    """Four threads are allowed, and none of them has started."""
    monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", 4)
    threads._start_worker.cache_clear()
    yield
    threads._start_worker.cache_clear()


@pytest.fixture
def few_threads(request, monkeypatch):
    """Limit the number of threads that can start."""
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
    def test_run_with_fewer_threads_than_allowed(self, few_threads):
        """A piece whose thread did not start is run by exactly one other thread."""
        out = np.zeros(64)
        for n_calls in range(1, 21):
            threads.run(add_one, len(out), 10**9, out)
            assert_array_equal(out, n_calls)

    def test_run_does_not_wait_for_busy_threads(self):
        """The calling thread runs pieces that busy threads have not started."""
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

    def test_run_raises_errors_of_all_pieces(self):
        together = threading.Barrier(4)

        def fail(start, stop, at):
            together.wait()  # so each piece has its own thread
            if start == at:
                raise ValueError(f"at {at}")

        for at in range(4):
            with pytest.raises(ValueError, match=f"at {at}"):
                threads.run(fail, 4, 10**9, at)


# -- fresh interpreters ----------------------------------------------------------------------------------------------


def run_pieces():
    """Return whether `run` completes all pieces, on several threads if they can start."""
    out = np.zeros(64)
    threads.run(add_one, len(out), 10**9, out)
    return bool((out == 1).all())


def wait_for_the_end():
    """Wait until the main thread has ended and thread pools accept no more jobs."""
    with suppress(RuntimeError):
        while True:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(time.sleep, 0.01)


@pytest.mark.parametrize("before", ["", "test_threads.run_pieces()"], ids=["the first", "a later"])
@pytest.mark.parametrize("when", ["a thread outlives the main one", "at exit"])
def test_run_during_interpreter_shutdown(fresh_python, before, when):
    code = f"""
import atexit, threading, test_threads
{before}
def at_the_end():
    test_threads.wait_for_the_end()
    print(test_threads.run_pieces())
if {when == "at exit"}:
    atexit.register(at_the_end)
else:
    threading.Thread(target=at_the_end).start()
"""
    assert fresh_python(code, NUMBA_NUM_THREADS="4").split() == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_blas_in_a_forked_child_while_another_thread_limits_it(fresh_python):
    """The child has the original number of threads, because a fork waits until the limit ends."""
    code = """
import os, threading
from threadpoolctl import threadpool_info
from codebooks.ops import threads
def how_many():
    return {one["filepath"]: one["num_threads"] for one in threadpool_info()}
before, inside, enough, ended = how_many(), threading.Event(), threading.Event(), []
def compute():
    with threads.limit_blas_to_one_thread():
        inside.set()
        enough.wait(0.5)
        ended.append(True)
threading.Thread(target=compute).start()
inside.wait()
child = os.fork()
if child == 0:
    with threads.limit_blas_to_one_thread():
        pass
    os._exit(7 if ended and how_many() == before else 3)
enough.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert fresh_python(code).split() == ["7"]
