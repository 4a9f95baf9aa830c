"""Tests of this folder run with CuPy simulated on the CPU, and with `-m gpu` on a device."""

import sys

import pytest
import simulated
from simulated.cuda import has_compiler

OURS = "codebooks.ops"


def _is_of_cupy(name):
    return simulated.is_cupy_module(name) or name == f"{OURS}.gpu"


def _forget_gpu():
    """Remove the GPU bodies from the imported modules, so that they are imported again with the current CuPy."""
    sys.modules.pop(f"{OURS}.gpu", None)
    if OURS in sys.modules:
        vars(sys.modules[OURS]).pop("gpu", None)


def _simulated():
    if not has_compiler():
        pytest.skip("the simulation of kernels needs g++")
    return simulated.install()


def _cuda():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # the type depends on whether the driver, the device or a library is missing
        pytest.skip(f"no CUDA device: {error}")
    if not n_devices:
        pytest.skip("no CUDA device")
    return cupy


@pytest.fixture(scope="session", params=["simulated", pytest.param("cuda", marks=pytest.mark.gpu)])
def cp(request):
    """CuPy: the simulation, or the real one with `-m gpu`."""
    before = {name: module for name, module in sys.modules.items() if _is_of_cupy(name)}
    _forget_gpu()
    is_simulated = request.param == "simulated"
    cupy = _simulated() if is_simulated else _cuda()
    yield cupy
    _forget_gpu()
    if is_simulated:
        simulated.uninstall()
    if f"{OURS}.gpu" in before:
        sys.modules[f"{OURS}.gpu"] = sys.modules[OURS].gpu = before[f"{OURS}.gpu"]


@pytest.fixture
def is_simulated(cp):
    """Whether the device of this test is the simulation."""
    return cp.ndarray is simulated.arrays.ndarray
