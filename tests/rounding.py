"""A pytest plugin, `-p rounding`, under which BLAS and LAPACK round as on a processor that nobody has.

Each `a @ b` of dense arrays in the package gets errors of up to two units of rounding, and so does the input of each
decomposition. They are drawn by the shapes of the arguments, so identical calls agree to the last bit and others do
not, which is all that BLAS promises. Products that are exact, as those of small whole numbers, stay exact.
"""

import ast
import builtins
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader

import numpy as np

# Numba reads the source of its functions, and none of them calls BLAS.
KERNELS = ("adding", "completion", "likelihood", "postings", "scoring", "separation", "sequential", "subsets")
DECOMPOSITIONS = {"eigh", "eigvalsh", "qr", "svd"}
LARGE = 10_000_000  # a product of so many terms takes too long in long double, and passes for inexact
n_changed = 0


def errors(shape, dtype, *seed):
    return np.finfo(dtype).eps * np.random.default_rng(seed).integers(-2, 3, shape).astype(dtype)


def product(a, b):
    global n_changed
    found = a @ b
    if not (type(a) is type(b) is np.ndarray and isinstance(found, np.ndarray) and found.dtype.kind == "f"):
        return found
    wide = np.float64 if found.dtype == np.float32 else np.longdouble
    is_small = wide is np.float64 or a.size * b.shape[-1] < LARGE
    inexact = a.astype(wide) @ b.astype(wide) != found if is_small else np.ones(found.shape, bool)
    n_changed += np.count_nonzero(inexact)
    return found + inexact * (np.abs(a) @ np.abs(b)) * errors(found.shape, found.dtype, *a.shape, *b.shape)


class Decompositions:
    def __getattr__(self, name):
        function = getattr(np.linalg, name)
        if name not in DECOMPOSITIONS:
            return function

        def disturbed(M):
            change = errors(M.shape, M.dtype, *M.shape)
            return function(M * (1 + (change + change.T if name.startswith("eig") else change)))

        return disturbed


class Rewriting(ast.NodeTransformer):
    def visit_BinOp(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.MatMult):
            return node
        return ast.Call(ast.Name("rounded_product", ast.Load()), [node.left, node.right], [])

    def visit_Attribute(self, node):
        self.generic_visit(node)
        is_module = node.attr == "linalg" and isinstance(node.value, ast.Name) and node.value.id in ("np", "xp")
        return ast.Call(ast.Name("rounded_linalg", ast.Load()), [node.value], []) if is_module else node


class Loader(SourceFileLoader):
    def get_code(self, fullname):  # never the bytecode that is kept beside the source
        tree = Rewriting().visit(ast.parse(self.get_data(self.path)))
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        spec = PathFinder.find_spec(name, path) if name.partition(".")[0] == "codebooks" else None
        if spec is not None and name.rpartition(".")[2] not in KERNELS and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(name, spec.origin)
        return spec


builtins.rounded_product = product
builtins.rounded_linalg = lambda module: Decompositions() if module is np else module.linalg
sys.meta_path.insert(0, Finder())


def pytest_sessionfinish(session):
    if not n_changed:
        session.exitstatus = 1
        print("No product was rounded otherwise: the plugin does not see how the package calls BLAS.")
