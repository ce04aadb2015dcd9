# Everything this project needs is set up inside its own folder: .venv, node_modules, var.
DEMO ?= 1
ROUNDS ?= 20
SEED ?= 1
GATEWAYS ?= 1
KINDS ?=
FLOODS ?= 0
CASES ?= 1000000
# Test files run side by side, more of them than cores: some wait for a broker, a database, a page.
WORKERS ?= 4
# The first Python that is new enough; else python3, and preflight says what to do.
PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
UP := up $(if $(filter 0,$(DEMO)),,--demo)
.DEFAULT_GOAL := help

.PHONY: help run test lint types format chaos fuzz lock bench bench-gateway evaluate clean

help: ## list these
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) deploy/preflight.py
	@echo "Setting up Mizumori in this folder (once; one to three minutes)"
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "  1/2 Python packages"
	@$(BIN)/python deploy/install_packages.py requirements.lock
	@touch $@

api/web/vendor/.done: package-lock.json package.json deploy/build_web.py $(VENV)/.runtime
	@echo "  2/2 map and chart libraries"
	@$(BIN)/python deploy/build_web.py
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime api/web/vendor/.done requirements-dev.lock
	@echo "Setting up the test tools (once; about a minute)"
	@$(BIN)/python deploy/install_packages.py requirements-dev.lock
	@$(BIN)/python deploy/build_web.py --test-tools
	@touch $@

run: $(VENV)/.runtime api/web/vendor/.done ## start everything; DEMO=0 leaves out the demo town
	@exec $(BIN)/python -m deploy.cli $(UP)

test: lint types ## lint, types, arrows and the whole suite; WORKERS=n
	@$(BIN)/python tests/machine.py
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev ## ruff and the import arrows
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy

chaos: $(VENV)/.dev ## random faults, then the audit; ROUNDS=n SEED=s GATEWAYS=n KINDS=kill,freeze,… FLOODS=1
	@$(BIN)/python -m tests.chaos --rounds $(ROUNDS) --seed $(SEED) --gateways $(GATEWAYS) \
		$(if $(KINDS),--kinds $(KINDS)) $(if $(filter-out 0,$(FLOODS)),--floods)

bench: $(VENV)/.dev ## speed of the detection core against others
	@$(BIN)/python -m tests.bench.core

bench-gateway: $(VENV)/.dev ## speed of the gateway against others; PARTS="single many delay memory size"
	@$(BIN)/python -m tests.bench.gateway $(PARTS) $(OPTIONS)

DATA ?= ../shared/data
evaluate: $(VENV)/.dev ## score the detection core on recordings in DATA; writes docs/detection-report.md
	@$(BIN)/python -m tests.evaluate.report $(DATA)

format: $(VENV)/.dev ## let ruff format and mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

fuzz: $(VENV)/.dev ## spoiled messages, pushes and files; CASES=n SEED=s
	@$(BIN)/python -m tests.fuzz --cases $(CASES) --seed $(SEED)

lock: $(VENV)/.dev ## renew the lock files (no addresses in them)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --group build pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --group build --group dev pyproject.toml -o requirements-dev.lock

clean: ## remove what `make` set up; keeps the data in var/
	rm -rf $(VENV) node_modules api/web/vendor
