# Every target sets up .venv by itself; all it needs is a Python 3.11 or 3.12 on the PATH.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: setup demo test lint types imports pytest coverage bench bench-cells experiments experiments-full clean

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Celda needs Python 3.11 or newer, and %s is %s: install one and say  make PYTHON=python3.11" % (sys.executable, sys.version.split()[0]))'
	@echo "Setting up $(VENV): a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(VENV)/.ready  ## .venv, with all that Celda needs

demo: $(VENV)/.ready  ## set up, then train and judge a forecast of electricity demand
	$(BIN)/celda train forecast electricity --h 48 --run runs/demo --overwrite

test: lint types imports pytest  ## all that continuous integration checks

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready
	$(BIN)/mypy

imports: $(VENV)/.ready
	$(BIN)/lint-imports

pytest: $(VENV)/.ready
	$(BIN)/pytest -n 2 --dist worksteal

coverage: $(VENV)/.ready
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered

$(VENV)/.bench: $(VENV)/.ready
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@

bench: $(VENV)/.bench  ## the speed beside the peers, where the contract tests are green: see docs/benchmarks.md
	$(BIN)/python -m benchmarks.cpu --out benchmarks/results

bench-cells: $(VENV)/.ready  ## the speed of every cell, and of the LSTM with every option
	$(BIN)/python -m benchmarks.cells --out benchmarks/results

experiments: $(VENV)/.ready  ## the papers' claims, run again: see docs/results.md; the real data from CELDA_DATA
	$(BIN)/python -m experiments run

experiments-full: $(VENV)/.ready  ## the same with the long runs
	$(BIN)/python -m experiments run --full

clean:
	rm -rf $(VENV) runs dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
