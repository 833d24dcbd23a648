# Nothing here needs an activated environment: scripts/run.sh finds what scripts/setup.sh made.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

RUN := scripts/run.sh
GOPUB := scripts/gopub
PYTEST := $(RUN) python -m pytest
# Caches of Go and Python stay where they are by default; everything else lies below $GOPUB_CACHE.
LAB ?= lab

.PHONY: help setup tools demo check test unit e2e soak ha bench lab-check lab-up lab-down clean

help: ## Say what there is to make.
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Install what is missing (Debian packages, Python environment, Go toolchain).
	@scripts/setup.sh

tools: ## The same, and what only tests and PARTS=real need (MinIO, cosign, Sigstore's services, PostgreSQL, Redis).
	@scripts/setup.sh tools

demo: $(if $(filter real,$(PARTS)),tools,setup) ## Show the main job on the lab; PARTS=real, KEEP=1 or ARGS=... change it.
	@$(GOPUB) demo $(if $(PARTS),--parts $(PARTS)) $(if $(KEEP),--keep) $(ARGS)

check: setup ## Lint, types, imports, shell and Lua.
	@$(RUN) scripts/check.sh

# The units compute, the other tests mostly wait (for hosts, bakes, servers), so seven parts run at once, three of them
# with a lab of their own. A lab that is off may leave a part without a test: then there is one part, and one with ARGS,
# which whoever gave them looks at. What fails beside the others gets a second chance alone, and is told: parts.sh.
STORIES := $(wildcard tests/e2e/test_rollout_*.py) tests/e2e/test_triggers.py
LONG := $(wildcard tests/e2e/test_rollout_[b-k]*.py)
PARTS_OF_TEST := hosts units contracts servers held long-stories stories
PARTS_HERE := $(if $(filter off,$(GOPUB_LAB)),whole,$(PARTS_OF_TEST))
test: tools lab-check ## All tests: units, contracts, flows, and end to end on the lab.
	@$(if $(ARGS),$(PYTEST) tests $(ARGS),folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(MAKE) --no-print-directory --jobs=7 FOLDER="$$folder" $(PARTS_HERE:%=test-%); \
	scripts/parts.sh end "$$folder" $(PARTS_HERE))

.PHONY: $(PARTS_OF_TEST:%=test-%) test-whole
test-units: REPORT := nice $(PYTEST) tests/unit
test-servers: REPORT := $(PYTEST) tests/flows --ignore=tests/flows/held
test-held: REPORT := $(PYTEST) tests/flows/held
test-contracts: REPORT := $(PYTEST) tests/contracts
test-hosts: REPORT := $(PYTEST) tests --ignore=tests/unit --ignore=tests/flows --ignore=tests/contracts $(STORIES:%=--ignore=%)
test-long-stories: REPORT := $(PYTEST) $(LONG)
test-stories: REPORT := $(PYTEST) $(filter-out $(LONG),$(STORIES))
test-whole: REPORT := $(PYTEST) tests
test-stories test-whole: export FOLLOW := 1 # The other reports come in one piece each; these are seen as they go.
$(PARTS_OF_TEST:%=test-%) test-whole: test-%:
	@$(if $(FOLDER),scripts/parts.sh run "$(FOLDER)" $*) $(REPORT)

unit: setup ## The tests that need no lab and no server.
	@$(PYTEST) tests/unit $(ARGS)

e2e: tools lab-check ## The tests on the lab only.
	@$(PYTEST) tests/e2e $(ARGS)

soak: tools lab-check ## The crash tests with many more kills (GOPUB_KILLS says how many).
	@GOPUB_SOAK=1 GOPUB_SEED=$${GOPUB_SEED:-new} GOPUB_KILLS=$${GOPUB_KILLS:-50} $(PYTEST) tests/e2e -k kill $(ARGS)

ha: tools ## Prefect's server in parts (PostgreSQL, Redis, two of all else), each of which dies in turn.
	@$(PYTEST) -s tests/flows/high_availability.py $(ARGS)

bench: tools ## Measure, each against a named peer.
	@for bench in tests/bench/bench_*.py; do echo "--- $$bench"; $(RUN) python "$$bench"; done

lab-check:
	@if [[ "$${GOPUB_LAB:-}" == off ]]; then echo "GOPUB_LAB=off: the tests on the lab are left out"; \
	else $(GOPUB) lab check; fi

lab-up: setup ## Boot the lab: 4 hosts, an edge, Prometheus; LAB=name for another one.
	@$(GOPUB) lab up --name $(LAB) $(ARGS)

lab-down: setup ## Take it down; nothing stays.
	@$(GOPUB) lab down --name $(LAB)

clean: ## Remove what builds and checks left in the checkout (the caches outside it stay).
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
