# Works on a machine with Python 3.11 or newer and make; the rest goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := service clients/python tests tools

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Install everything into .venv; again only when the inputs changed

$(READY): requirements.lock pyproject.toml clients/python/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e clients/python -e .
	@touch $@

.PHONY: lock
lock: $(READY) ## Write requirements.lock anew from pyproject.toml, keeping versions that still fit
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --quiet \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-package kraiter \
	  --output-file requirements.lock

.PHONY: proto
proto: $(READY) ## Generate the Python stubs from protos/
	$(BIN)/python -m tools.contract generate

.PHONY: proto-check
proto-check: $(READY) ## Fail if the committed stubs are not what protos/ gives
	$(BIN)/python -m tools.contract check

.PHONY: proto-accept
proto-accept: $(READY) ## Make protos/ the landed contract that `buf breaking` compares with; do it with the release of a change
	$(BIN)/python -m tools.contract accept

.PHONY: fmt
fmt: $(READY) ## Format the code, and mend what ruff can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: lint
lint: $(READY) ## Check style, types, layers, the contract's style and history, and that stubs are fresh
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.contract lint
	$(BIN)/python -m tools.contract breaking
	$(BIN)/python -m tools.contract check

.PHONY: test
test: $(READY) ## Run all tests; `make test ARGS="tests/unit -k name"` for some
	$(BIN)/python -m pytest $(ARGS)

.PHONY: bench
bench: $(READY) ## Run the benchmarks
	$(BIN)/python -m tests.bench $(ARGS)

.PHONY: run
run: $(READY) ## Serve on 127.0.0.1:50051 with SQLite in var/
	$(BIN)/python -m service serve $(ARGS)

.PHONY: demo
demo: $(READY) ## Show a domain being created, verified and watched
	$(BIN)/python -m service demo $(ARGS)

.PHONY: clean
clean: ## Remove .venv, caches and what builds leave behind; var/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf *.egg-info clients/python/*.egg-info clients/python/build
	find service clients/python tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
