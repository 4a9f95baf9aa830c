"""Imports point down only: the table of layers, walked with `ast`, and what `import codebooks` may load."""

import ast
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "codebooks"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


class May(NamedTuple):
    """What a file may import beside the standard library. Patterns of `fnmatch`."""

    ours: tuple[str, ...] = ()  # modules of this package, without its name in front; "" is the package itself
    others: tuple[str, ...] = ()  # packages of others
    late: tuple[str, ...] = ()  # packages of others that are imported inside functions only
    private: bool = False  # whether it may use what scikit-learn keeps to itself


ARRAYS = ("numpy", "scipy")
LEARNING = (*ARRAYS, "sklearn")

# The first pattern that fits a file counts. A file that none fits fails the test: give it a row.
LAYERS = {
    "__init__.py": May(ours=("*",)),
    "__main__.py": May(ours=("*",), others=("*",)),
    "cli/*.py": May(ours=("*",), others=("*",)),
    # How to compute.
    "ops/cpu.py": May(("ops", "ops.*"), (*ARRAYS, "numba")),
    "ops/compiler.py": May((), ("numba", "numpy")),
    "ops/sequential.py": May(("ops.compiler",), ("numpy",)),
    "ops/threads.py": May(("forks", "ops", "ops.*"), (*ARRAYS, "numba", "threadpoolctl")),
    "ops/gpu.py": May(("ops", "ops.*"), (*ARRAYS, "cupy", "cupyx")),
    "ops/*.py": May(("ops", "ops.*"), ARRAYS),
    # Of the process, not of the data: below everything.
    "forks.py": May(),
    # What comes in.
    "inputs.py": May(("ops",), LEARNING),
    "device.py": May(("ops",)),
    "datasets/*.py": May(("datasets.*", "forks"), ARRAYS),
    "errors.py": May(),
    "decoding.py": May(("errors",), late=("charset_normalizer",)),
    "tables.py": May(("errors",)),
    "documents.py": May(("decoding", "errors", "tables")),
    "storage/*.py": May(("storage.*",), ("numpy",)),
    # What is learned. `start` and `monitor` are helpers that every model shares.
    "models/__init__.py": May(),
    "models/monitor.py": May((), ARRAYS, late=("rich",)),
    "models/rows.py": May(("ops",), ARRAYS),
    "models/relocation.py": May(("ops", "models.rows"), ARRAYS),
    "models/initialization.py": May(("ops", "models.rows", "models.sums"), ARRAYS),
    "models/sums.py": May(("ops",), ARRAYS),
    "models/pruning.py": May(("ops", "models.rows", "models.monitor"), ARRAYS),
    "models/patterns.py": May(("forks", "ops"), ARRAYS),
    "models/association.py": May(("ops", "models.base", "models.patterns"), ARRAYS),
    "models/hopfield_memory.py": May(
        ("forks", "ops", "inputs", "models.association", "models.base", "models.patterns"), ARRAYS
    ),
    "models/base.py": May(
        ("ops", "inputs", "models.monitor", "models.rows", "models.sums", "models.relocation"), LEARNING, private=True
    ),
    "models/krotov_hopfield.py": May(
        ("ops", "models.base", "models.initialization", "models.monitor", "models.pruning"), ARRAYS
    ),
    "models/multinomial_mixture.py": May(
        ("ops", "inputs", "models.base", "models.initialization", "models.reservoir"), ARRAYS
    ),
    "models/reservoir.py": May(("ops",), ARRAYS),
    "models/*.py": May(("ops", "models.base", "models.initialization", "models.monitor"), ARRAYS),
    # Words to vectors.
    "text/weighting.py": May(("ops", "inputs"), LEARNING),
    "text/heads_sgd.py": May(("text.heads_eigen",), ("numpy",), late=("torch",)),
    "text/languages.py": May(("text.characters",), ("sklearn",), late=("snowballstemmer", "stopwordsiso")),
    "text/segmentation.py": May(("text.characters",), late=("budoux",)),
    "text/term_table.py": May(("forks", "ops.tokens", "text.compounds"), ("numpy",)),
    "text/encoders.py": May(late=("sentence_transformers", "transformers", "torch")),
    "text/*.py": May(("forks", "inputs", "models.*", "ops", "scores", "storage", "text.*"), LEARNING),
    # What is made of it.
    "naming.py": May(("ops",), ARRAYS),
    "codes.py": May(("ops", "inputs"), ARRAYS),
    "topics.py": May(("ops", "codes", "inputs", "naming", "text.weighting"), LEARNING),
    "concepts/*.py": May(("ops", "codes", "concepts.*", "inputs", "naming", "topics"), LEARNING),
    "scores/__init__.py": May(("scores.*",)),
    "scores/judgements.py": May(("ops",), ARRAYS),
    "scores/ranking.py": May(("inputs", "scores.judgements"), ARRAYS),
    "scores/resampling.py": May(("ops", "inputs"), ARRAYS),
    "scores/*.py": May(("ops", "inputs", "scores.coherence", "scores.geometry", "text.weighting", "topics"), LEARNING),
    "_mixture_selection.py": May(("ops",), LEARNING),
    "selection.py": May(("_mixture_selection", "ops", "inputs", "scores", "topics"), LEARNING),
    "plots/*.py": May(("ops", "inputs", "plots.*", "scores", "selection", "topics"), (*LEARNING, "matplotlib")),
    "report.py": May(("ops", "plots", "scores", "topics"), (*LEARNING, "matplotlib"), late=("jinja2",)),
    # The same fit elsewhere.
    "streams.py": May(("ops", "inputs", "models.base"), ARRAYS),
    "distributed.py": May(("ops", "inputs", "models.base"), ARRAYS, late=("dask", "distributed")),
}


class Import(NamedTuple):
    line: int
    module: str
    late: bool  # inside a function


def imports_of(file, tree):
    """Every import of a file, with the module that is really meant."""
    found = []

    def walk(node, late):
        if isinstance(node, ast.Import):
            found.extend(Import(node.lineno, name.name, late) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = ["codebooks", *Path(file).parent.parts]
                base = ".".join([*above[: len(above) + 1 - node.level], *filter(None, [base])])
            found.extend(Import(node.lineno, meant(base, name.name), late) for name in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            named = (word.value for word in node.args[:1] if isinstance(word, ast.Constant))
            found.extend(Import(node.lineno, str(name), late) for name in named)
        for child in ast.iter_child_nodes(node):
            walk(child, late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    walk(tree, False)
    return found


def meant(base, name):
    """`from base import name` as a module: `name` itself where it is one of ours or something private of others."""
    inner = f"{base}.{name}"
    if base.partition(".")[0] != "codebooks":
        return inner if name.startswith("_") else base
    path = PACKAGE.joinpath(*inner.split(".")[1:])
    return inner if path.is_dir() or path.with_suffix(".py").is_file() else base


def violations(file, source):
    """One sentence for each import that the layer of a file does not allow."""
    rule = next((may for pattern, may in LAYERS.items() if fnmatchcase(file, pattern)), None)
    if rule is None:
        return [f"codebooks/{file} is in no layer: add a row for it to LAYERS in tests/test_layers.py"]
    return [
        f"codebooks/{file}:{found.line} may not import {found.module}{'' if found.late else ' at its top'}"
        for found in imports_of(file, ast.parse(source))
        if not allowed(rule, found)
    ]


def allowed(rule, found):
    package, _, inner = found.module.partition(".")
    if package in sys.stdlib_module_names:
        return True
    if package == "codebooks":
        return inner == "errors" or any(fnmatchcase(inner, pattern) for pattern in rule.ours)
    if package == "sklearn" and "._" in found.module and not rule.private:
        return False
    packages = rule.others + rule.late if found.late else rule.others
    return any(fnmatchcase(package, pattern) for pattern in packages)


@pytest.mark.parametrize("file", FILES)
def test_imports_point_down(file):
    found = violations(file, (PACKAGE / file).read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ops/shared.py", "import numba"),
        ("ops/threads.py", "import cupy"),
        ("ops/cpu.py", "from sklearn.utils import check_array"),
        ("ops/cpu.py", "from codebooks.inputs import check_input"),
        ("ops/cpu.py", "from ..inputs import check_input"),
        ("inputs.py", "from codebooks import models"),
        ("inputs.py", "from .models.base import CodebookLearner"),
        ("inputs.py", "from codebooks.ops import cpu"),
        ("inputs.py", "from sklearn.utils._param_validation import Interval"),
        ("models/base.py", "def f():\n    import dask.array"),
        ("models/base.py", "from codebooks.models.krotov_hopfield import KrotovHopfield"),
        ("models/monitor.py", "from rich.progress import track"),
        ("models/a.py", "from codebooks.models.b import B"),
        ("models/a.py", "from . import krotov_hopfield"),
        ("models/a.py", "from codebooks import inputs"),
        ("models/a.py", "import sklearn"),
        ("models/a.py", "from codebooks.ops.cpu import top_k"),
        ("scores/coherence.py", "from codebooks.models.krotov_hopfield import KrotovHopfield"),
        ("scores/coherence.py", "from codebooks import KrotovHopfield"),
        ("scores/ranking.py", "from sklearn.metrics import ndcg_score"),
        ("topics.py", "def f():\n    import matplotlib.pyplot as plt"),
        ("concepts/expansion.py", "from codebooks.models.krotov_hopfield import KrotovHopfield"),
        ("plots/topics.py", "import codebooks.ops.gpu"),
        ("report.py", "from codebooks.ops import cpu"),
        ("text/paired_head.py", "import torch"),
        ("text/encoders.py", "from transformers import AutoModel"),
        ("text/embedder.py", "def f():\n    from transformers import AutoModel"),
        ("text/vector_cache.py", "def f():\n    import torch"),
        ("text/isotropy.py", "def f():\n    import torch"),
        ("text/isotropy.py", "import importlib\ndef f():\n    importlib.import_module('torch')"),
        ("streams.py", "def f():\n    import dask"),
        ("storage/array_file.py", "from codebooks.inputs import check_input"),
        ("storage/strings.py", "from scipy import sparse"),
        ("text/saving.py", "from codebooks.storage.array_file import _MAGIC"),
        ("brand_new.py", ""),
    ],
)
def test_the_walk_sees(file, source):
    assert len(violations(file, source)) == 1


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ops/__init__.py", "from codebooks.ops import shared\ndef f():\n    from . import cpu"),
        ("models/base.py", "from sklearn.base import _fit_context"),
        ("models/a.py", "import os.path\nfrom codebooks import ops\nfrom .base import Sums"),
        ("models/monitor.py", "def f():\n    from rich.progress import track"),
        ("distributed.py", "def f():\n    from dask import array"),
    ],
)
def test_the_walk_lets_through(file, source):
    assert violations(file, source) == []


def test_importing_the_package_loads_nothing_heavy(fresh_python):
    heavy = {"numba", "llvmlite", "cupy", "cupyx", "torch", "dask", "distributed", "matplotlib"}
    code = "import sys, codebooks; print(*{name.partition('.')[0] for name in sys.modules})"
    assert heavy.isdisjoint(fresh_python(code).split())


def test_public_names_exist():
    import codebooks

    assert set(codebooks.__all__) <= set(dir(codebooks))
    assert len(codebooks.__all__) == len(set(codebooks.__all__))
