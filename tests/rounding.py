"""A pytest plugin, `-p rounding`, that disturbs the rounding of BLAS and LAPACK, as on another processor.

Each `a @ b` of dense arrays in the package gets errors of up to two units in the last place, and so does the input of
each decomposition. The errors depend on the shapes of the arguments, so that identical calls agree to the last bit and
others do not, as BLAS guarantees. Exact products, such as those of small integers, stay exact.
"""

import ast
import builtins
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder, SourceFileLoader

import numpy as np

# Numba reads the source of compiled functions, which do not call BLAS.
KERNELS = ("kernels_", "inverted_index")
DECOMPOSITIONS = {"eigh", "eigvalsh", "qr", "svd"}
LARGE = 10_000_000  # larger products take too long in long double and are treated as inexact
n_changed = 0


def draw_errors(shape, dtype, *seed):
    return np.finfo(dtype).eps * np.random.default_rng(seed).integers(-2, 3, shape).astype(dtype)


def multiply(a, b):
    global n_changed
    result = a @ b
    if not (type(a) is type(b) is np.ndarray and isinstance(result, np.ndarray) and result.dtype.kind == "f"):
        return result
    wide = np.float64 if result.dtype == np.float32 else np.longdouble
    is_small = wide is np.float64 or a.size * b.shape[-1] < LARGE
    inexact = a.astype(wide) @ b.astype(wide) != result if is_small else np.ones(result.shape, bool)
    n_changed += np.count_nonzero(inexact)
    return result + inexact * (np.abs(a) @ np.abs(b)) * draw_errors(result.shape, result.dtype, *a.shape, *b.shape)


class Decompositions:
    def __getattr__(self, name):
        function = getattr(np.linalg, name)
        if name not in DECOMPOSITIONS:
            return function

        def decompose(M):
            change = draw_errors(M.shape, M.dtype, *M.shape)
            return function(M * (1 + (change + change.T if name.startswith("eig") else change)))

        return decompose


class ProductTransformer(ast.NodeTransformer):
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
    def get_code(self, fullname):  # never uses cached bytecode
        tree = ProductTransformer().visit(ast.parse(self.get_data(self.path)))
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        spec = PathFinder.find_spec(name, path) if name.partition(".")[0] == "codebooks" else None
        if (
            spec is not None
            and not name.rpartition(".")[2].startswith(KERNELS)
            and isinstance(spec.loader, SourceFileLoader)
        ):
            spec.loader = Loader(name, spec.origin)
        return spec


builtins.rounded_product = multiply
builtins.rounded_linalg = lambda module: Decompositions() if module is np else module.linalg
sys.meta_path.insert(0, Finder())


def pytest_sessionfinish(session):
    if not n_changed:
        session.exitstatus = 1
        print("No product was disturbed: the plugin does not rewrite the calls of BLAS in the package.")
