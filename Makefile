# What a person runs, the hook runs and CI runs.
PYTHON ?= python3
BIN = .venv/bin
STAMP = .venv/.installed
BENCH = .cache/bench

.PHONY: setup demo test prove static check bench docs lock clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: setup  ## The main job on real input.
	$(BIN)/settle demo

test: setup
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

prove: setup  ## The two evaluators against each other, on ten times as many examples as `make test`.
	$(BIN)/pytest tests/rules/test_two_evaluators.py --hypothesis-profile=prove

static: setup  ## Format, lint, types, import contracts, generated documents.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/write_wire.py --check

check: static test

docs: setup  ## Writes what is generated: JSON Schemas, the AsyncAPI document, what pages show of commands.
	$(BIN)/python docs/write_wire.py
	$(BIN)/python docs/write_pages.py

bench: setup $(BENCH)/.installed
	$(BIN)/python -m bench

# What the engine is measured beside, in an environment of its own: none of it is installed with the engine.
$(BENCH)/.installed: bench/requirements.lock | $(STAMP)
	$(PYTHON) -m venv --clear $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r bench/requirements.lock
	@touch $@

lock:  ## Pins everything anew. Needs uv.
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra demo --extra dev \
		--quiet --output-file requirements.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet \
		--output-file bench/requirements.lock bench/requirements.in

clean:
	rm -rf .venv .cache .settle
