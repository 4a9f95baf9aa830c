"""Every CUDA kernel compiles for every type, without a warning: by nvcc, or by NVRTC where only that is there."""

import ast
import ctypes
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from codebooks.ops import shared

pytestmark = pytest.mark.slow

OPS = Path(__file__).parents[2] / "codebooks" / "ops"
SOURCE = (OPS / "kernels.cu").read_text(encoding="utf-8")
ARCHITECTURES = ("sm_80", "sm_90")


def kernel_names():
    """The names that `gpu.py` passes to CuPy, by its own function; the module cannot be imported without CuPy."""
    tree = ast.parse((OPS / "gpu.py").read_text(encoding="utf-8"))
    wanted = ("_KERNEL", "kernel_names")
    parts = [
        node
        for node in tree.body
        if getattr(node, "name", None) in wanted
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in wanted)
    ]
    names = {"re": re, "product": __import__("itertools").product}
    exec(compile(ast.Module(parts, []), "gpu.py", "exec"), names)
    return names["kernel_names"](SOURCE)


NAMES = kernel_names()


def nvrtc_library():
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(place) for place in spec.submodule_search_locations] if spec else []
    found = [path for folder in folders for path in sorted(folder.rglob("libnvrtc.so*")) if "builtins" not in path.name]
    return found[0] if found else None


def test_kernel_names_equal_those_of_the_source():
    written = re.findall(r"__global__ void (\w+)", SOURCE)
    assert {name.partition("<")[0] for name in NAMES} == set(written)
    assert len(written) == len(set(written)) > 15


def test_launched_kernels_equal_kernel_names():
    launched = re.findall(
        r'_launch_by_(?:warps|blocks|threads)\(\s*"(\w+)"', (OPS / "gpu.py").read_text(encoding="utf-8")
    )
    assert set(launched) == {name.partition("<")[0] for name in NAMES}


def test_constants_equal_those_of_the_python_files():
    constants = {name: int(value) for name, value in re.findall(r"\b([A-Z][A-Z0-9_]+) = (\d+)[,;]", SOURCE)}
    separations = {name.upper(): number for name, number in shared.SEPARATIONS.items()}
    assert constants.items() >= {name: separations[name] for name in ("SOFTMAX", "ENTMAX15", "MAX")}.items()
    tile = re.search(r"_COMPONENT_TILE = (\d+)", (OPS / "gpu.py").read_text(encoding="utf-8"))
    assert int(tile[1]) == constants["WARP"] * constants["COMPONENTS_PER_LANE"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvcc_compiles_every_kernel(architecture, tmp_path):
    compiler = shutil.which("nvcc")
    if compiler is None:
        pytest.skip("nvcc is not installed")
    references = ",\n".join(f"    (void *){name}" for name in NAMES)
    source = tmp_path / "all.cu"
    source.write_text(f'#include "{OPS / "kernels.cu"}"\nvoid *kernels[] = {{\n{references}\n}};\n', encoding="utf-8")
    options = ["-std=c++17", f"-arch={architecture}", "-cubin", "-Werror", "all-warnings", "-Xptxas", "-v"]
    command = [compiler, *options, "-o", str(tmp_path / "all.cubin"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    compiled = re.findall(rf"Compiling entry function '(\w+)' for '{architecture}'", done.stderr)
    assert len(compiled) == len(NAMES)
    registers = [int(number) for number in re.findall(r"Used (\d+) registers", done.stderr)]
    assert max(registers) <= 64  # else blocks of 1,024 threads could not be launched
    spilled = re.findall(r"[1-9]\d* bytes spill", done.stderr)
    assert not spilled, done.stderr


@pytest.mark.parametrize("architecture", ARCHITECTURES[:1])
def test_nvrtc_compiles_every_kernel(architecture):
    place = nvrtc_library()
    if place is None:
        pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc")
    nvrtc = ctypes.CDLL(str(place))
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), SOURCE.encode(), b"kernels.cu", 0, None, None) == 0
    for name in NAMES:
        assert nvrtc.nvrtcAddNameExpression(program, name.encode()) == 0
    options = [b"--std=c++17", f"--gpu-architecture={architecture}".encode()]
    result = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert result == 0, log.value.decode()
    assert "warning" not in log.value.decode()
    for name in NAMES:
        lowered = ctypes.c_char_p()
        assert nvrtc.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(lowered)) == 0, name
        assert lowered.value
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
