# Two environments, made once: .venv holds the newest versions of what we depend on, .venv-oldest the lowest that
# pyproject.toml admits. A stamp file says what is installed; touching pyproject.toml installs again.

PYTHON ?= python3
BIN := .venv/bin
OLDEST := .venv-oldest/bin
PIP := -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-oldest lint bench clean

demo: .venv/.core
	$(BIN)/codebooks topics --demo --topics 30 --out demo
	@echo
	@echo "Look at demo/topics.png: each panel is a topic and its words. demo/topics.csv holds them as a table,"
	@echo "demo/codes.csv says which topic each docstring belongs to. Your own text: $(BIN)/codebooks topics FILE"

test: .venv/.dev lint
	$(BIN)/python -m pytest

test-oldest: .venv-oldest/.test
	$(OLDEST)/python -m pytest -p no:cacheprovider

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python $(PIP) install --editable ".[bench]"
	$(BIN)/python -m benchmarks quality --on $(if $(CODEBOOKS_DATA),report,offline)
	$(BIN)/python -m benchmarks speed
	$(BIN)/python -m benchmarks memory
	$(if $(CODEBOOKS_DATA),$(BIN)/python -m benchmarks images)
	$(BIN)/python -m benchmarks retrieval $(if $(CODEBOOKS_DATA),,--part speed large)

clean:
	rm -rf .venv .venv-oldest demo build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv-oldest/bin/python:
	$(PYTHON) -m venv .venv-oldest

.venv/.core: pyproject.toml | .venv/bin/python
	$(BIN)/python $(PIP) install --editable .
	@touch $@

.venv/.dev: pyproject.toml .venv/.core
	$(BIN)/python $(PIP) install --editable ".[dev]"
	@touch $@

.venv-oldest/.test: pyproject.toml tests/oldest.txt | .venv-oldest/bin/python
	$(OLDEST)/python $(PIP) install --constraint tests/oldest.txt --editable ".[test]"
	@touch $@
