# Everything sets itself up: a virtual environment in .venv, with the pinned versions.
PYTHON ?= python3.11
BIN := .venv/bin
ROOMS := cli demo expectations flows lake rewards sql transforms

.DEFAULT_GOAL := help
.PHONY: help demo test check bench fuzz

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/ready ## make logs up and build a release from them, in ./sluice-demo
	$(BIN)/sluice demo --out sluice-demo

test: .venv/ready ## run the tests
	$(BIN)/python -m pytest

check: .venv/ready .pkg ## lint, format, types, lengths, layers, and what the wheel holds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p bedrock_sluice
	$(BIN)/mypy tests
	$(BIN)/python -m pytest tests/house

bench: .venv/ready ## measure speed and memory, as ratios within one run
	$(BIN)/python tests/bench/run.py
	$(BIN)/python tests/bench/near.py

fuzz: .venv/ready ## read 100,000 mutated records: each is an exchange or has a reason
	$(BIN)/python tests/bench/fuzz.py
	$(BIN)/python tests/bench/fuzz.py --sizes

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The type checker finds the package by its name through links; at run time the installed map does.
.pkg:
	@mkdir -p .pkg/bedrock_sluice
	@for each in api/*.py api/py.typed; do ln -sfn ../../$$each .pkg/bedrock_sluice/; done
	@for each in $(ROOMS); do ln -sfn ../../$$each .pkg/bedrock_sluice/$$each; done
