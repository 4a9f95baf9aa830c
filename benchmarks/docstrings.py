"""Docstrings of installed packages as a corpus, collected in a subprocess and cached in the user's cache folder."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import pkgutil
import platform
import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from codebooks.datasets.corpus import Corpus
from codebooks.errors import short_repr

__all__ = ["load_docstrings"]

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # if the import name differs from that of the distribution

# Importing these has effects (GUI toolkits, switched-on experiments, deprecation notices) or yields copies.
_SKIPPED = {"backends", "conftest", "distutils", "experimental", "externals", "pylab", "setup", "sphinxext"}
_SKIPPED |= {"pyplot", "test", "testing", "tests"}


def load_docstrings(
    packages: Iterable[str] = ("numpy", "scipy", "sklearn", "matplotlib"),
    *,
    min_length: int = 200,
    cache: bool = True,
) -> Corpus:
    """Collect the public docstrings of installed packages as a corpus that needs no network.

    The packages are imported with their public submodules in a new interpreter, so that the result does not depend on
    earlier imports and this process imports and prints nothing. Modules that cannot be imported are left out. Modules,
    classes, functions, methods and ufuncs give one document each, under the public module that defines them; duplicate
    texts are kept once. Documents are sorted by qualified name.

    Parameters
    ----------
    packages : iterable of str
        Import names; packages that are not installed are left out.
    min_length : int
        Shorter docstrings are left out (characters, without indentation).
    cache : bool
        Read and write a file in the user's cache folder, valid for these versions of the packages and of Python.

    Returns
    -------
    Corpus
        `labels` are the subpackages, such as "scipy.sparse"; `ids` the qualified names.

    Raises
    ------
    ValueError
        If none of the packages is installed.
    RuntimeError
        If importing one of them ends the interpreter.

    Examples
    --------
    >>> from benchmarks.docstrings import load_docstrings
    >>> corpus = load_docstrings(["textwrap"], cache=False)
    >>> "textwrap.TextWrapper.wrap" in corpus.ids, set(corpus.labels)
    (True, {'textwrap'})
    """
    wanted = sorted({packages} if isinstance(packages, str) else set(map(str, packages)))
    installed = [package for package in wanted if _is_installed(package)]
    if not installed:
        raise ValueError(f"`packages` must contain an installed package, got {short_repr(wanted)}.")
    versions = [_get_version(package) for package in installed]
    file = _get_cache_file(installed, versions, min_length) if cache and all(versions) else None
    corpus = file and _read_cache(file)
    if not corpus:
        corpus = _collect(installed, min_length)
        if file:
            _write_cache(file, corpus)
    return corpus


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # the parent of a dotted name is missing, or a module without a spec
        return False


def _collect(packages: list[str], min_length: int) -> Corpus:
    documents = [doc for doc in _collect_in_subprocess(packages) if len(doc.text) >= min_length]
    return Corpus(
        documents=[doc.text for doc in documents],
        labels=[doc.subpackage for doc in documents],
        name="docstrings",
        ids=[doc.id for doc in documents],
    )


class _Docstring(NamedTuple):
    id: str
    subpackage: str
    text: str

    def rank(self) -> tuple[int, str]:
        return self.id.count("."), self.id


def _collect_in_subprocess(packages: list[str]) -> list[_Docstring]:
    """Collect in a new interpreter, because imports may add names to modules and cannot be undone."""
    if getattr(sys, "frozen", False) or not sys.executable:  # there is no Python interpreter to start
        return _collect_docstrings(packages)
    path = [place for place in sys.path if isinstance(place, str)] + [str(Path(__file__).parents[1])]
    code = (
        f"import sys; sys.path[:] = {path!a}; from {__name__} import _print_collected; _print_collected({packages!a})"
    )
    options = ["-W", "ignore", *["-O"] * sys.flags.optimize]
    done = subprocess.run([sys.executable, *options, "-c", code], stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode or not done.stdout:
        message = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(
            f"Collecting the docstrings of {', '.join(packages)} failed: the interpreter that imported them ended "
            f"with code {done.returncode}: {message[-300:]} Leave out the package that does so."
        )
    return [_Docstring(*row) for row in json.loads(done.stdout)]


def _print_collected(packages: list[str]) -> None:
    """Print the collected docstrings, without the output of imported modules."""
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        out.write(json.dumps(_collect_docstrings(packages)))


def _collect_docstrings(packages: list[str]) -> list[_Docstring]:
    found: dict[str, _Docstring] = {}  # text -> its shortest name, which removes copies and inherited texts
    # All modules are imported before any is read, because an import may add names to earlier modules.
    modules = [module for package in packages for module in _iterate_modules(package)]
    for doc in _iterate_docstrings(modules):
        found[doc.text] = min(doc, found.get(doc.text, doc), key=_Docstring.rank)
    return sorted(found.values())


def _iterate_modules(name: str) -> Iterator[ModuleType]:
    """Yield a module and its public submodules, parents first, in the order of their names."""
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit):  # an optional dependency is missing, or the module is a script
        return
    yield module
    submodules = sorted(info.name for info in pkgutil.iter_modules(getattr(module, "__path__", [])))
    for submodule in submodules:
        if not submodule.startswith("_") and submodule not in _SKIPPED:
            yield from _iterate_modules(f"{name}.{submodule}")


def _iterate_docstrings(modules: list[ModuleType]) -> Iterator[_Docstring]:
    """Yield the docstrings of modules, of the objects that they define, and of their methods."""
    for module in modules:
        subpackage = ".".join(module.__name__.split(".")[:2])
        for id_, thing in _list_members(module):
            text = getattr(thing, "__doc__", None)
            # The text of an instance may be that of its class.
            if isinstance(text, str) and (isinstance(thing, type) or text != type(thing).__doc__):
                yield _Docstring(id_, subpackage, _remove_random_output(inspect.cleandoc(text)))


def _remove_random_output(text: str) -> str:
    """Remove text that differs between runs: SciPy prints random numbers and sets into some docstrings."""
    text = re.sub(r"(?m)^.*# may vary$\n?", "", text)
    return re.sub(r"(?<={)'\w+'(, '\w+')+(?=})", lambda names: ", ".join(sorted(names[0].split(", "))), text)


def _list_members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    yield module.__name__, module
    for name, thing in _list_public_names(module):
        if callable(thing) and _is_defined_in(thing, module):
            yield f"{module.__name__}.{name}", thing
            for method_name, method in _list_public_names(thing) if isinstance(thing, type) else ():
                if callable(
                    getattr(method, "__func__", method)
                ):  # the function that a classmethod or staticmethod wraps
                    yield f"{module.__name__}.{name}.{method_name}", method


def _is_defined_in(thing: Any, module: ModuleType) -> bool:
    """Return whether the module is the public part of the path that defines `thing`, or lies below it."""
    home = re.sub(r"\._.*", "", str(getattr(thing, "__module__", None) or module.__name__))
    return f"{module.__name__}.".startswith(f"{home}.")


def _list_public_names(owner: object) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(owner).items() if not name.startswith("_")]


def _get_version(package: str) -> str | None:
    root = package.partition(".")[0]
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(root, root))
    except importlib.metadata.PackageNotFoundError:
        return None


def _get_cache_file(packages: list[str], versions: list[str | None], min_length: int) -> Path | None:
    """Return a file named after everything that its content depends on; the first number changes with this code."""
    python = [platform.python_version(), sys.flags.optimize]  # python -OO strips docstrings
    key = json.dumps([3, packages, versions, python, min_length])
    folder = _get_cache_folder()
    return folder and folder / f"docstrings-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json.gz"


def _get_cache_folder() -> Path | None:
    if chosen := os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA"):
        return Path(chosen, "codebooks")
    try:
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "codebooks"
    except RuntimeError:  # a user without a home folder, as in some containers
        return None


def _read_cache(file: Path) -> Corpus | None:
    """Read a cached corpus; return None if it is missing or cannot be read."""
    try:
        return Corpus(**json.loads(gzip.decompress(file.read_bytes())))
    except (OSError, EOFError, ValueError, TypeError, zlib.error):
        return None


def _write_cache(file: Path, corpus: Corpus) -> None:
    """Write to a temporary file and rename it, so that other processes never read a part. Ignore a failure to write."""
    packed = gzip.compress(json.dumps(corpus._asdict()).encode(), compresslevel=6, mtime=0)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as aside:
            written = Path(aside, file.name)
            written.write_bytes(packed)
            os.replace(written, file)
