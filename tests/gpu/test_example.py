"""The GPU example runs on a device."""

import functools
import runpy
from pathlib import Path

import pytest

import codebooks

pytestmark = pytest.mark.slow


def test_example(cp, capsys, monkeypatch, is_simulated):
    if is_simulated:
        monkeypatch.setattr(
            cp.cuda.runtime, "getDeviceProperties", lambda device: {"name": b"a simulated device"}, raising=False
        )
        short = functools.partial(codebooks.KrotovHopfield, max_iter=2)  # whole fits are slow
        monkeypatch.setattr(codebooks, "KrotovHopfield", short)
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "on_a_gpu.py"))
    printed = capsys.readouterr().out
    assert "since no GPU answers" not in printed
    assert "Labels are cupy arrays" in printed
    assert "without a GPU: 100%" in printed
