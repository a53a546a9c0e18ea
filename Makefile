SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PRECISION ?= int8
INVENTORY ?= inventories/local
ARGS ?=
PARTS ?=
RECIPE ?=
VENV := .venv
BASE_ARCHIVE := .cache/base-image-$(shell uname -m).tar
BASE_IMAGE := $(shell sed -n "s/^ARG BASE=//p" benchmark/Dockerfile)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: benchmark
benchmark: setup ## Run the benchmark on this machine: PRECISION=int8 or fp32, ARGS="-e profile=..."
	ansible-playbook run_benchmark.yml -i $(INVENTORY) -e precision=$(PRECISION) $(ARGS)

.PHONY: doctor
doctor: ## Say what a run lacks here and on INVENTORY's hosts, and how to get it
	@tools/doctor.sh $(INVENTORY) -e precision=$(PRECISION) $(ARGS)

.PHONY: setup
setup: ## Make the controller's Python and, if no registry answers, a base image
	@test -e $(VENV)/.complete || tools/find_python.sh >/dev/null
	@$(MAKE) --no-print-directory --jobs=2 $(VENV)/.complete base

# The stamp is written last, so a set-up that was killed is made anew.
$(VENV)/.complete: requirements.txt
	rm -rf $(VENV)
	"$$(tools/find_python.sh | tail -n 1)" -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.txt
	touch $@

.PHONY: base
base:
	@tools/base_archive.sh --if-no-registry "$(BASE_IMAGE)" $(BASE_ARCHIVE)

.PHONY: test
test: setup ## Run the whole suite: lint, unit, container, end to end, clouds, Molecule, fleet, faults
	tools/run_tests.sh

.PHONY: test-long
test-long: setup ## Run the suites that take hours: every fault in every phase, and others
	tools/test_requirements.sh
	for script in tests/long/*.sh; do "$$script"; done

.PHONY: bench
bench: setup ## Measure the native benchmark on this quiet machine: PARTS="speed machine queue start", RECIPE=FILE.py; an hour
	tools/test_requirements.sh
	RECIPE="$(RECIPE)" tools/bench.sh $(PARTS)

.PHONY: fleet-demo
fleet-demo: setup ## Run the whole path on three SSH hosts and a storage node, made of containers
	tools/test_requirements.sh
	PYTHONPATH=tests python -m fleet $(ARGS)

.PHONY: lint
lint: $(VENV)/.complete ## Run ansible-lint, yamllint, ruff, mypy, import-linter and shellcheck
	tools/lint.sh

.PHONY: unit
unit: $(VENV)/.complete ## Run the unit, contract and inventory tests
	tools/run_tests.sh unit

.PHONY: lock
lock: ## Compile the locks anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" --quiet -o requirements.txt

.PHONY: clean
clean: ## Remove the virtual environment and caches, never results
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .ansible
