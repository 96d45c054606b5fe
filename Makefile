# Two commands for a fresh machine (git, make, Python 3.11 with pip and venv): `make demo` and `make test`.
# Both do all set-up themselves, and work offline once installed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
JOBS ?= 2
SCALE ?= 20000

.PHONY: setup demo test lint test-long bench clean

setup: .venv/.ready

.venv/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch .venv/.ready

demo: setup
	$(BIN)/migrator demo demo --scale $(SCALE)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

test: setup lint
	$(BIN)/pytest -n $(JOBS) -m "not slow"

test-long: setup
	$(BIN)/pytest -n $(JOBS) --timeout 3600

bench: setup
	$(BIN)/python -m tests.bench.main_job

clean:
	rm -rf .venv demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
