# Two commands do everything a newcomer needs: `make demo` and `make test`.
# Both make .venv when it is missing and are quick the second time; either may come
# first. `make PYTHON=/path/to/python3` picks another interpreter.
#
# Put further pip options into PIP_ARGS, those for torch alone (another index with
# CPU builds, say) into TORCH_ARGS.

PYTHON ?= python3
PIP_ARGS ?=
TORCH_ARGS ?=
PYTEST_ARGS ?=
FUZZ_ARGS ?=
# Processes that share the tests, each with one BLAS thread: more would only contend.
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
TORCH := $(shell sed -n 's/^ *\(torch==[0-9.]*\) *$$/\1/p' setup.cfg)
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
TEST_ENV := $(ONE_THREAD) MPLBACKEND=Agg

# A stamp is newer than setup.cfg when what setup.cfg asks for is installed.
VENV_STAMP := $(VENV)/.made
DEMO_STAMP := $(VENV)/.installed-demo
TEST_STAMP := $(VENV)/.installed-test
DOCS_STAMP := $(VENV)/.installed-docs

.PHONY: help demo test test-slow test-browser test-kernels fuzz lint format docs bench clean

help:
	@echo "make demo       run the main job on scikit-learn's digits (no torch needed)"
	@echo "make test       run the tests; docstring, README and user guide examples too"
	@echo "make test-slow  run the tests marked slow"
	@echo "make test-browser  look at reports in a headless Chromium, where there is one"
	@echo "make test-kernels  run the numeric tests under SSE, AVX2 and AVX-512"
	@echo "make fuzz       run 5000 generated inputs of every public name"
	@echo "make lint       ruff check and ruff format --check"
	@echo "make format     let ruff mend what it can"
	@echo "make docs       build the documentation into doc/_build/html"
	@echo "make bench      run every script in benchmarks/"
	@echo "make clean      remove .venv and everything built"

demo: $(DEMO_STAMP)
	MPLBACKEND=Agg $(BIN)/python examples/demo.py

test: $(TEST_STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --doctest-modules \
		--doctest-glob='*.rst' tests sklinfluence doc/user_guide $(PYTEST_ARGS)

test-slow: $(TEST_STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) -m slow tests $(PYTEST_ARGS)

# AXE=path/to/axe.min.js (npm install axe-core) checks accessibility too.
test-browser: $(TEST_STAMP)
	$(TEST_ENV) $(BIN)/python -m pytest -m browser -rs tests/browser $(PYTEST_ARGS)

# Sums round differently under other instructions; about an hour on two cores.
test-kernels: $(TEST_STAMP)
	$(BIN)/python tests/kernels.py --workers $(WORKERS) $(PYTEST_ARGS)

# Seeded: what it prints of an input runs that input again. FUZZ_ARGS="--seed 1".
fuzz: $(TEST_STAMP)
	$(TEST_ENV) $(BIN)/python tests/fuzz.py --jobs $(WORKERS) $(FUZZ_ARGS)

lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(TEST_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_STAMP)
	MPLBACKEND=Agg $(BIN)/python -m sphinx -b html doc doc/_build/html

bench: $(TEST_STAMP)
	@set -e; for script in $(sort $(wildcard benchmarks/[a-z]*.py)); do \
		echo "== $$script"; MPLBACKEND=Agg $(BIN)/python $$script; \
	done

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache demo.png
	rm -rf doc/_build doc/auto_examples doc/generated doc/sg_execution_times.rst
	find sklinfluence tests examples benchmarks -name __pycache__ -type d \
		-prune -exec rm -rf {} +

$(VENV_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "sklinfluence needs Python 3.11 or newer, and '$(PYTHON)' is not:" \
			"choose another by 'make PYTHON=python3.11 ...'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make a virtual environment (no venv or ensurepip)." \
			"On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Editable in all three, so that the order in which they are made does not matter.
$(DEMO_STAMP): setup.cfg pyproject.toml | $(VENV_STAMP)
	$(PIP) -e '.[plot]'
	@touch $@

# torch comes first and alone: what another package asks of it later is then already
# satisfied, and nothing pulls in a second, larger build.
$(TEST_STAMP): setup.cfg pyproject.toml | $(VENV_STAMP)
	$(PIP) $(TORCH_ARGS) '$(TORCH)'
	$(PIP) -e '.[test]'
	@touch $@

$(DOCS_STAMP): setup.cfg pyproject.toml | $(VENV_STAMP)
	$(PIP) $(TORCH_ARGS) '$(TORCH)'
	$(PIP) -e '.[docs]'
	@touch $@
