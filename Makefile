# Two commands are enough on a bare machine with Python 3.11, pip, make and gcc: `make demo` and `make test`.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check --quiet
DATA := data/demo

# Neither dbt nor Prefect is to tell anybody about our runs.
export DO_NOT_TRACK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false

# What Python has compiled is kept, also where an image says otherwise: the tests start hundreds of processes that import
# the same.
export PYTHONDONTWRITEBYTECODE :=

# A file of tests stays on one worker, for its fixtures build; the longest come first (tests/conftest.py).
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test torture testnext check bench lock clean

help: ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 10

demo: $(VENV)/run.stamp ## Play a small SaaS company: land a year, run some days, deliver to files
	$(VENV)/bin/tailrace demo --data-dir $(DATA)

test: $(VENV)/dev.stamp ## Run the tests: every promise, in minutes
	$(PYTHON) $(PYTEST) -m "not torture"

torture: $(VENV)/dev.stamp ## Run the tests that take long: every kill, every order, real data, all examples
	$(PYTHON) $(PYTEST) -m "torture or hypothesis" --hypothesis-profile=torture
	TAILRACE_TEST_KILLS=100 $(PYTHON) $(PYTEST) tests/delivery/test_torture.py

# DuckDB 2.0 is not used in production yet (its files cannot be opened by 1.5 again); all tests must pass on it all the same.
testnext: $(VENV)/next.stamp ## Run all tests on DuckDB 2.0, in an environment of their own
	$(VENV)/next/bin/python $(PYTEST)

check: $(VENV)/dev.stamp ## Lint, types, the dependency rule, SQL style, the definitions
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy flows
	$(VENV)/bin/lint-imports
	$(VENV)/bin/sqlfluff lint --processes 2 dbt_project/models
	$(VENV)/bin/tailrace check --data-dir $(VENV)/check

bench: $(VENV)/dev.stamp ## Run the benchmarks; they print ratios
	$(PYTHON) -m tests.benchmarks.bench_landing
	$(PYTHON) -m tests.benchmarks.bench_segments
	$(PYTHON) -m tests.benchmarks.bench_diff
	$(PYTHON) -m tests.benchmarks.bench_quiet_run
	$(PYTHON) -m tests.benchmarks.bench_delivery

# --no-deps: the locks name every package, so nothing is left to resolve.
$(VENV)/run.stamp: requirements/run.lock pyproject.toml | $(PYTHON)
	$(PIP) install --no-deps --require-hashes -r requirements/run.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/dev.stamp: requirements/dev.lock pyproject.toml | $(PYTHON)
	$(PIP) install --no-deps --require-hashes -r requirements/dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/next.stamp: requirements/dev.lock pyproject.toml | $(PYTHON)
	python3 -m venv $(VENV)/next
	$(VENV)/next/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r requirements/dev.lock
	$(VENV)/next/bin/python -m pip --disable-pip-version-check --quiet install --no-deps duckdb==2.0.0
	$(VENV)/next/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .
	touch $@

$(PYTHON):
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tailrace needs Python 3.11 or newer")'
	python3 -m venv $(VENV)

lock: ## Resolve the dependencies anew (needs uv on the PATH)
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --no-strip-extras \
		--no-emit-index-url --no-emit-find-links --extra dev pyproject.toml requirements/build.in -o requirements/dev.lock
	uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --no-strip-extras \
		--no-emit-index-url --no-emit-find-links -c requirements/dev.lock pyproject.toml requirements/build.in \
		-o requirements/run.lock

clean: ## Remove the virtual environment and the demo's data
	rm -rf $(VENV) $(DATA)
