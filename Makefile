# Two commands for a fresh machine (git, make, Python 3.11 with pip and venv): `make demo` and `make test`.
# Both do all set-up themselves, and work offline once installed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
JOBS ?= 2
SCALE ?= 20000

.PHONY: setup constraints chromium demo drill test test-spark test-live test-kill test-crash test-faults lint mappings test-long test-search bench bench-scale clean simulate simulate-crashes simulate-some test-mutants

setup: .venv/.ready

# The versions that were tested together: a clone made next year runs what was proven, not what came out since.
.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch .venv/.ready

# The newest versions that pyproject.toml allows together; commit them when all suites pass on them.
constraints:
	$(PYTHON) -m venv --clear .venv/newest
	.venv/newest/bin/pip install --quiet --disable-pip-version-check --editable '.[dev,spark,shared]'
	.venv/newest/bin/pip freeze --exclude-editable >constraints.txt
	rm -rf .venv/newest

demo: setup
	$(BIN)/migrator demo demo --scale $(SCALE)

# The shipped cutover on a Salesforce and a Fxiaoke sandbox over HTTP, with users in both: a failure before the switch, one
# after it, the way back, then to the end.
drill: setup
	$(BIN)/migrator runbook drill

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The browser tests drive Debian's Chromium. What is there is not asked for again, so a second run needs no network.
chromium:
	@if command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) \
	  || echo "WARNING: chromium could not be installed; the browser tests will be skipped" >&2; \
	else echo "WARNING: chromium is missing and only root with apt-get can install it; the browser tests will be skipped" >&2; fi

test: setup chromium lint
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not slow and not live and not kill and not spark"

# The laws again, on examples drawn anew each time.
test-search: setup
	HYPOTHESIS_PROFILE=search $(BIN)/pytest -n $(JOBS) --dist worksteal -m "not slow and not live and not kill" tests/property

# Every shipped mapping run whole on synthetic data of its system.
mappings: setup
	$(BIN)/pytest -n $(JOBS) --dist loadscope tests/e2e/test_shipped_mappings.py

test-long: setup chromium
	$(BIN)/pytest -n $(JOBS) -o faulthandler_timeout=3600

# The same mappings on Spark: needs Java 17. The suite is counted: a process that dies silently is not a success.
test-spark: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,spark]'
	$(BIN)/pytest -m spark tests/spark -p no:xdist -rs --junitxml .pytest_cache/spark.xml
	@grep -q 'errors="0" failures="0" skipped="0"' .pytest_cache/spark.xml || { echo "the Spark suite did not run whole" >&2; exit 1; }

# Sandboxes over HTTP, the vendors' own clients against them, and real servers of others.
test-live: setup
	$(BIN)/pytest -n $(JOBS) --dist loadscope -m "live and not slow" tests/live

# Processes killed at the boundaries of every effect, and a disk that is full: what CI can afford of the lists below.
test-kill: setup
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "kill and not slow and not live"

# Killed at every passing of every boundary, then at random moments of the command line: minutes to an hour.
test-crash: setup
	$(BIN)/python -m tests.faults.crash_matrix --jobs $(JOBS)
	$(BIN)/python -m tests.faults.random_kills --kills 200 --jobs $(JOBS)

# Targets that misbehave in every way at every stage, and loads killed in one process.
test-faults: setup
	$(BIN)/pytest -n $(JOBS) --dist loadscope -m slow -o faulthandler_timeout=3600 tests/faults

# The two-way sync against two simulated systems: 200 half-years under all faults and every kind of compare-and-set.
SEEDS ?= 1-200
simulate: setup
	$(BIN)/python -m migrator.testing.simulation --mixed --seeds $(SEEDS) --jobs $(JOBS)

# Every crash point of small worlds, more than 20,000; then deaths of what restarted after one, as many again.
CRASH_SEEDS ?= 1-60
simulate-crashes: setup
	$(BIN)/python -m migrator.testing.simulation --crash-points --seeds $(CRASH_SEEDS) --jobs $(JOBS)
	$(BIN)/python -m migrator.testing.simulation --crash-points --nested 6 --every 5 --seeds $(CRASH_SEEDS) --jobs $(JOBS)

# A part of both that fits a CI run.
simulate-some: setup
	$(BIN)/python -m migrator.testing.simulation --mixed --seeds 1-20 --jobs $(JOBS)
	$(BIN)/python -m migrator.testing.simulation --crash-points --every 7 --seeds 1-20 --jobs $(JOBS)

# Every broken variant of the sync must be caught, each by the invariant named beside it.
test-mutants: setup
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m slow -o faulthandler_timeout=3600 tests/simulation/test_mutants.py tests/simulation/test_failure_modes_bite.py

bench: setup
	$(BIN)/python -m tests.bench.main_job

# The whole job step by step at each size, with the growth between them: make bench-scale ROWS="1000000 5000000" TARGET=postgres
ROWS ?= 1000000
TARGET ?= sqlite
MEMORY ?= 4GB
bench-scale: setup
	$(BIN)/python -m tests.bench.bench_scale --rows $(ROWS) --target $(TARGET) --memory $(MEMORY) $(if $(KEEP),--keep $(KEEP))

clean:
	rm -rf .venv demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
