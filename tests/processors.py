"""Run the numerical tests with the rounding of other processors: `python tests/processors.py [--quick]`.

Each setting has its own run; with `--quick` the settings that differ most are combined in one run.

OPENBLAS_CORETYPE selects the kernels of OpenBLAS, and NUMBA_CPU_NAME the processor for which Numba compiles. The plugin
`rounding` represents all other processors. Settings that this processor cannot run are skipped and reported. A setting
without effect fails.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

from llvmlite.binding import get_host_cpu_features

TESTS = Path(__file__).parent
# Features of a kind of processor, and the names of its kernels in OpenBLAS.
KINDS = {
    "Prescott": ({"sse3"}, {"Prescott", "Katmai"}),
    "Sandybridge": ({"avx"}, {"Sandybridge"}),
    "Haswell": ({"avx2", "fma"}, {"Haswell"}),
    "Zen": ({"avx2", "fma"}, {"Zen"}),
    "SkylakeX": ({"avx512f", "avx512bw", "avx512dq", "avx512vl"}, {"SkylakeX"}),
}
# These kernels have their own cache, because they would replace those compiled for this processor.
ANY_PROCESSOR = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "NUMBA_CACHE_DIR": str(Path(sys.prefix) / "kernels-for-any-processor"),
}
# Tests of files, plots, processes and imports, with little arithmetic. The checks of scikit-learn are many and compare
# with tolerances.
NOT_NUMERICAL = "benchmarks cli datasets encoder gpu plots storage text embeddings/test_text_embedder"
NOT_NUMERICAL += (
    " models/test_convergence ops/test_threads test_examples test_fork_safe_lock test_interchange test_imports"
)
NOT_NUMERICAL += " test_readme test_validation"
# Disturbed rounding copies arrays.
SELECTED = ["-m", "not slow and not gpu", "-k", "not scikit_learn_contract and not no_copy"]
QUICK = "embeddings interpret/test_concepts interpret/test_labelling memory models/test_inhibited_mixture"
QUICK += " models/test_krotov_hopfield models/test_multinomial_mixture models/test_orthogonal_sparse_coding"
QUICK += " models/test_relocation ops/test_kernels_entmax"
# Prints whether Numba uses vector registers beyond the baseline, and the kernels of each loaded OpenBLAS.
PROBE = """
import numba, numpy, scipy.linalg
from threadpoolctl import threadpool_info

@numba.njit("float64(float64[::1])", fastmath=True)
def energy(a):
    total = 0.0
    for x in a:
        total += x * x
    return total

[assembly] = energy.inspect_asm().values()
print("ymm" in assembly, *(found["architecture"] for found in threadpool_info() if found["internal_api"] == "openblas"))
"""


def run_python(environment, *arguments, **options):
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": path, **environment}, **options
    )


def find_tests(subject):
    """Return the folder or file of the tests of a subject."""
    folder = TESTS / subject
    return folder if folder.is_dir() else folder.with_suffix(".py")


def explain_skip(kind):
    """Explain why this processor cannot run the kernels of a kind; return "" if it can."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"{platform.machine()} is no x86-64 processor"
    missing = KINDS[kind][0] - {name for name, there in get_host_cpu_features().items() if there}
    return f"this processor lacks {', '.join(sorted(missing))}" if missing else ""


def run(name, kind=None, environment=None, options=(), subjects="."):
    """Run the numerical tests under a setting; return "passed", "failed" or the reason for a skip or a failure."""
    environment = dict(environment or {})
    if kind is not None:
        if reason := explain_skip(kind):
            return f"skipped, {reason}"
        environment["OPENBLAS_CORETYPE"] = kind
    wide, *architectures = run_python(
        environment, "-c", PROBE, capture_output=True, text=True, check=True
    ).stdout.split()
    if kind == "Zen" and set(architectures) == {"Haswell"}:
        return "skipped, this OpenBLAS takes the kernels of Haswell"
    if kind is not None and not (len(architectures) >= 2 and set(architectures) <= KINDS[kind][1]):
        return f"failed, NumPy and SciPy run the OpenBLAS kernels {architectures} and not those of {kind}"
    if "NUMBA_CPU_NAME" in environment and wide == "True":
        return "failed, Numba compiles for this processor"
    print(f"== {name}", flush=True)
    ignored = [f"--ignore={find_tests(subject)}" for subject in NOT_NUMERICAL.split()]
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *SELECTED, *ignored]
    files = [str(find_tests(subject)) for subject in subjects.split()]
    return "passed" if run_python(environment, *tests, *files).returncode == 0 else "failed"


if __name__ == "__main__":
    results = {}
    settings = {
        "any BLAS": {"options": ["-p", "rounding"]},
        **{kind: {"kind": kind} for kind in KINDS},
        "Numba for any processor": {"environment": ANY_PROCESSOR},
    }
    if "--quick" in sys.argv:
        combined = {"kind": "Prescott", "environment": ANY_PROCESSOR, "options": ["-p", "rounding"], "subjects": QUICK}
        settings = {"all at once": combined}
    for name, setting in settings.items():
        results[name] = run(name, **setting)
    for name, result in results.items():
        print(f"{name}: {result}")
    sys.exit(any(result.startswith("failed") for result in results.values()))
