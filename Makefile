# Every target is a thin line over `bench`; the first one used sets up .venv by itself.
#   make bench METHOD=all DATASET=digits SUITE=quick SEEDS=0,1 DEVICES=1 JOBS=2 OUT=results/runs ARGS="--set method.lr=0.001"
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(name)),$(name))))
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SUITE ?= quick
OUT ?= results/runs
OPTIONS := --out $(OUT) $(if $(METHOD),--method $(METHOD)) $(if $(DATASET),--dataset $(DATASET)) \
	$(if $(SEEDS),--seeds $(SEEDS)) $(if $(DEVICES),--devices $(DEVICES)) $(if $(JOBS),--jobs $(JOBS)) \
	$(if $(LOGGER),--logger $(LOGGER)) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup bench smoke test test-slow fuzz chaos lint docs docs-commands package leaderboard report perf scaling clean

help: ## Show what there is to make.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'make bench takes METHOD, DATASET, SUITE, SEEDS, DEVICES, JOBS, OUT, LOGGER and ARGS:'
	@echo '  make bench METHOD=simclr,vicreg SEEDS=0,1 ARGS="--set method.lr=0.001"'

setup: $(STAMP) ## Install all into .venv; PYTHON=... chooses the interpreter.

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; choose one with PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

bench: $(STAMP) ## Train, judge and rank: METHOD=all (or names) SUITE=quick ...
	$(BIN)/bench run --suite $(SUITE) $(OPTIONS)

smoke: $(STAMP) ## Every method for one epoch, from scratch: does it still run?
	rm -rf results/smoke
	$(BIN)/bench run --suite smoke $(OPTIONS:$(OUT)=results/smoke)

test: $(STAMP) ## The test suite.
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m 'not slow'

test-slow: $(STAMP) ## More seeds of what methods learn, and the large boards.
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m slow tests

fuzz: $(STAMP) ## Hostile requests and files (ARGS="--seed 1 --cases 3000").
	$(BIN)/python -m tests.fuzz $(ARGS)

chaos: $(STAMP) ## Kill commands at random moments (ARGS="--seed 1 --kills 50").
	$(BIN)/python -m tests.chaos $(ARGS)

lint: $(STAMP) ## Lint, format and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP) ## Build the site into build/docs; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs-commands: $(STAMP) ## Run the commands of the documentation (ARGS="quickstart").
	$(BIN)/python -m tools.docs.execute $(ARGS)

package: $(STAMP) ## Build packages into dist/; try each in a fresh environment.
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m tools.package

leaderboard: $(STAMP) ## Print the table of all complete runs in OUT.
	$(BIN)/bench leaderboard --out $(OUT)

report: $(STAMP) ## Build results/report/index.html of the complete runs in OUT.
	$(BIN)/bench report --out $(OUT)

perf: $(STAMP) ## Time parts, each beside what it is compared with.
	$(BIN)/python -m tools.perf $(ARGS)

scaling: $(STAMP) ## How cost grows with batch, image size and so on (minutes).
	$(BIN)/python -m tools.perf.curves $(ARGS)

clean: ## Remove caches and smoke runs; the runs in OUT stay.
	rm -rf results/smoke dist .pytest_cache .mypy_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
