"""Locks, and what a forked child finds of them. Each test forks in a process of its own, beside no other threads."""

import os
import threading

import pytest

from codebooks._fork_safe_lock import ForkSafeLock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks nothing")

HELD_BY_ANOTHER = """
import os, threading, time
from codebooks._fork_safe_lock import ForkSafeLock
lock, taken, enough = ForkSafeLock(delays_forks={delays}), threading.Event(), threading.Event()
def hold():
    with lock:
        taken.set()
        enough.wait({seconds})
        ended.append(True)
ended = []
threading.Thread(target=hold, daemon=True).start()
taken.wait()
child = os.fork()
if child == 0:
    with lock, lock:
        os._exit(7 if ended else 3)
enough.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_finds_free_what_another_thread_held(fresh_python):
    assert fresh_python(HELD_BY_ANOTHER.format(delays=False, seconds=600)).split() == ["3"]


def test_a_fork_waits_where_it_has_to(fresh_python):
    assert fresh_python(HELD_BY_ANOTHER.format(delays=True, seconds=0.5)).split() == ["7"]


@pytest.mark.parametrize("delays", [False, True])
def test_who_forks_while_holding_it_holds_it_in_both(fresh_python, delays):
    code = """
import os, threading
from codebooks._fork_safe_lock import ForkSafeLock
lock = ForkSafeLock(delays_forks={delays})
def is_free():
    found = []
    thread = threading.Thread(target=lambda: found.append(lock._lock.acquire(blocking=False)))
    thread.start(), thread.join()
    return found[0]
with lock, lock:
    child = os.fork()
    within = is_free()
after = is_free()
if child == 0:
    os._exit(2 * within + after)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 2 * within + after)
"""
    assert fresh_python(code.format(delays=delays)).split() == ["1", "1"]


def test_one_thread_at_a_time():
    lock, inside, most = ForkSafeLock(), [], []

    def work():
        for _ in range(200):
            with lock, lock:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 800
