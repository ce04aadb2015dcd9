# Everything this project needs is set up inside its own folder: .venv, node_modules, var.
PYTHON ?= python3
DEMO ?= 1
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

.PHONY: help run test lint types format lock bench evaluate clean

help: ## list these
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) deploy/preflight.py
	@echo "Setting up Mizumori (once; about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "  1/2 Python packages"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

api/web/vendor/.done: package-lock.json package.json $(VENV)/.runtime
	@echo "  2/2 map and chart libraries"
	@$(BIN)/python deploy/build_web.py
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime api/web/vendor/.done requirements-dev.lock
	@echo "Setting up the test tools (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/.runtime api/web/vendor/.done ## start everything; DEMO=0 leaves out the demo town
	@exec $(BIN)/mizumori up $(if $(filter 0,$(DEMO)),,--demo)

test: $(VENV)/.dev ## lint, types, arrows and the whole suite
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/mypy
	@$(BIN)/python -m pytest

format: $(VENV)/.dev ## let ruff format and mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: $(VENV)/.dev ## renew the lock files (no addresses in them)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --group build pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --group build --group dev pyproject.toml -o requirements-dev.lock

clean: ## remove what `make` set up; keeps the data in var/
	rm -rf $(VENV) node_modules api/web/vendor
