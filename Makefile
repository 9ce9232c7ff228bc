# The only entry to this repository. It needs a `python3` (>= 3.11); everything else it fetches itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
UV := $(BIN)/uv
UV_PIN := $(shell sed -n 's/^ *"\(uv==[0-9.]*\)",$$/\1/p' pyproject.toml)
PROJECTS := $(wildcard pyproject.toml kernel/pyproject.toml proto/pyproject.toml sdk/*/pyproject.toml plugins/*/pyproject.toml)
SOURCES := $(wildcard kernel/src proto/src sdk/python/src plugins/*/src)
FAULTS := plugins/journal/tests/test_crash.py $(patsubst %,tests/faults/test_%.py,bit_rot chaos \
	full_disk io_errors journal_model journal_simulation poison power_cut two_kernels)
APPS := $(wildcard sdk/apps/*/)
empty :=
space := $(empty) $(empty)

export UV_PYTHON_DOWNLOADS := never
# Where the system has certificates, they count, as they do for pip: a network may add its own.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt),)
export UV_SYSTEM_CERTS ?= true
endif
unexport VIRTUAL_ENV PYTHONPATH
# Images of containers set this; but hundreds of interpreters are started here, and each would compile anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check fix types test-isolated faults bench ledger docs reference proto dist pins sync clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

demo: .venv/.synced ## See Loom work, offline and without a key
	$(BIN)/python scripts/demo.py

test: .venv/.synced ## Run every test (ARGS="-k bus" narrows it)
	$(BIN)/python -m pytest -n logical --dist loadfile $(ARGS)

check: .venv/.synced ## Formatting, lint, types, import contracts, .proto files, pins
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(MAKE) types
	$(BIN)/python scripts/import_contracts.py
	$(BIN)/python scripts/buf.py
	$(BIN)/python scripts/pins.py --check
	$(BIN)/python scripts/reference.py --check

fix: .venv/.synced ## Format, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: .venv/.synced
	MYPYPATH="scripts:$(subst $(space),:,$(strip $(SOURCES)))" $(BIN)/mypy kernel proto sdk/python plugins scripts tests conftest.py
	for app in $(APPS); do (cd "$$app" && "$(CURDIR)/$(BIN)/mypy" --config-file "$(CURDIR)/pyproject.toml" --cache-dir "$(CURDIR)/.mypy_cache" .); done

test-isolated: .venv/.synced ## Test each distribution alone, with only what it declares
	$(BIN)/python scripts/test_isolated.py $(ARGS)

faults: .venv/.synced ## Break the journal in full: kills, power cuts, disk errors, chaos (an hour)
	LOOM_TEST_LONG=1 $(BIN)/python -m pytest $(FAULTS) $(ARGS)

bench: .venv/.synced ## Measure speed, memory and start-up beside the machine's raw limits
	$(BIN)/python -m tests.bench $(ARGS)

ledger: .venv/.synced ## List every feature with the tests that prove it (ARGS=--run runs them)
	$(BIN)/python scripts/ledger.py $(ARGS)

docs: .venv/.synced ## Build the documentation into site/
	$(BIN)/zensical build --clean --strict

reference: ## Write the page about plugins from their manifests
	$(PYTHON) scripts/reference.py

proto: .venv/.synced ## Generate the Python of every .proto file
	$(BIN)/python scripts/protos.py

dist: .venv/.synced ## Build every wheel and source archive into dist/ (they are never uploaded)
	rm -rf dist
	$(UV) build --quiet --all-packages --out-dir dist

pins: .venv/.synced ## Resolve anew and rewrite the pins (ARGS=--upgrade takes newer versions)
	$(BIN)/python scripts/pins.py $(ARGS)
	$(MAKE) sync

sync: .venv/.synced
	@:

clean: ## Remove everything that can be made again
	rm -rf .bench .venv build dist site uv.lock .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf sdk/js/node_modules sdk/js/types plugins/mcp/tests/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Loom needs Python 3.11 or newer; say which with: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(UV_PIN)"

.venv/.synced: $(PROJECTS) | .venv/bin/uv
	$(UV) sync --quiet --all-packages --all-groups --compile-bytecode
	@touch $@
