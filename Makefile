# Two commands do all set-up: `make quickstart` and `make test`. Both are safe to repeat.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := local,dev
# a busy machine hangs on OpenMP's spinning default
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

SOAK ?= 10
SOAKED ?= tests/e2e/test_kills.py tests/hostile/test_subset_kills.py tests/hostile/test_writers.py \
  tests/fuzz tests/faults tests/hostile/test_isolation.py tests/hostile/test_exhaustion.py tests/hostile/test_verdicts.py \
  tests/e2e/test_sweep_plans.py

.DEFAULT_GOAL := help
.PHONY: coverage test-cluster test-cookbook test-wheel test-versions test-tinker help install quickstart test test-fast test-browser screenshots ci audit soak lint fmt type docs bench clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python >= 3.11 is needed: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $(STAMP)

install: $(STAMP) ## make .venv and install the package with its extras

quickstart: $(STAMP) ## from nothing to a trained, scored model and a page about it
	$(BIN)/ot quickstart

# By files: their fixtures are made once. In the order of the folders: the long ones come first.
test: $(STAMP) ## the whole suite (under 10 minutes on 2 cores)
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m 'not browser and not cluster'

test-fast: $(STAMP) ## units only (a minute or so)
	$(BIN)/python -m pytest -n 2 tests/unit -m 'not slow and not torch and not model and not registry and not browser and not cluster'

test-cluster: $(STAMP) ## sweeps on a Ray cluster of its own on this machine, with killed workers
	$(BIN)/pip install --quiet --editable '.[ray]'
	$(BIN)/python -m pytest -m cluster tests

test-browser: $(STAMP) ## the explorer in Chromium; pictures in build/screenshots
	$(BIN)/python -m pytest -rs tests/browser

screenshots: $(STAMP) ## the same in both themes at both widths
	OT_TEST_ALL_LOOKS=1 $(BIN)/python -m pytest -rs tests/browser -k look

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fmt: $(STAMP) ## ruff, fixing what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(STAMP) ## pyright, strict
	$(BIN)/pyright

coverage: $(STAMP) ## units under coverage; the lines that none runs
	$(BIN)/python -m coverage run --source openthoughts_cli -m pytest tests/unit tests/cli -m 'not slow and not model and not registry and not browser and not cluster'
	$(BIN)/python -m coverage report --skip-covered --show-missing --sort=miss

test-wheel: ## the wheel with its dependencies from the registry, in a new environment, outside the tree
	.ci/wheel

test-versions: ## the core on Python 3.12 and 3.13, and with the oldest versions allowed (needs uv from PyPI)
	.ci/versions 3.12 3.13 lowest

test-tinker: $(STAMP) ## Tinker's tests with the lowest and, when it differs, the newest tinker
	$(BIN)/python -m tests.tinker_versions

# Beside .venv and without what it needs for training: not every registry has its newest tml-renderers.
test-cookbook: $(STAMP) ## exports from Tinker, by the real tinker_cookbook
	rm -rf build/cookbook
	$(BIN)/pip install --quiet --no-deps --target build/cookbook 'tinker_cookbook>=0.6' pyrage
	PYTHONPATH=build/cookbook $(BIN)/python -m pytest tests/unit/test_export_tinker.py

bench: $(STAMP) ## the quick benchmarks (the others: benchmarks/README.md)
	$(BIN)/python benchmarks/cli.py

docs: $(STAMP) ## make the generated pages anew
	$(BIN)/python -m openthoughts_cli.cli.docs

ci: lint type audit test-browser test-cookbook test ## what .ci/run does

audit: $(STAMP) ## dependencies: conflicts, and known vulnerabilities where the registry tells them
	.ci/audit

soak: $(STAMP) ## kills, full disks, faults, bad input: SOAK (10) times as many, counted; not in CI
	@rm -f .soak.jsonl
	OT_TEST_SOAK=$(SOAK) SOAK_REPORT=$(CURDIR)/.soak.jsonl $(BIN)/python -m pytest --timeout 0 -s $(SOAKED); \
	  code=$$?; $(BIN)/python -m tests.tools.tally .soak.jsonl && exit $$code

clean: ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
