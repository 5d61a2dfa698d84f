# What a person runs, the hook runs and CI runs.
PYTHON ?= python3
BIN = .venv/bin
STAMP = .venv/.installed

.PHONY: setup demo test static check bench docs lock clean

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
	$(BIN)/pytest

static: setup  ## Format, lint, types, import contracts, generated documents.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/write_wire.py --check

check: static test

docs: setup  ## Writes what is generated: JSON Schemas and the AsyncAPI document.
	$(BIN)/python docs/write_wire.py

bench: setup
	$(BIN)/python -m bench

lock:  ## Pins everything anew. Needs uv.
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra demo --extra dev \
		--quiet --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .cache .settle
