"""What `import codebooks` loads. The layers stand in pyproject.toml, under importlinter and ruff."""


def test_importing_the_package_loads_nothing_heavy(fresh_python):
    heavy = {"numba", "llvmlite", "cupy", "cupyx", "torch", "dask", "distributed", "matplotlib"}
    code = "import sys, codebooks; print(*{name.partition('.')[0] for name in sys.modules})"
    assert heavy.isdisjoint(fresh_python(code).split())


def test_public_names_exist():
    import codebooks

    assert set(codebooks.__all__) <= set(dir(codebooks))
    assert len(codebooks.__all__) == len(set(codebooks.__all__))
