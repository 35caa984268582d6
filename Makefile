# Every target sets itself up: a virtual environment in .venv, with the versions of constraints.txt.
# Any Python from 3.11 on will do; to choose one: `make test PYTHON=/path/to/python`.
BIN := .venv/bin
ROOMS := cli demo expectations flows lake rewards sql transforms

# With pyenv, a name may exist without a Python behind it, so each candidate has to run.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

# uv takes seconds where pip takes a minute or more, but nobody has to have it.
define install
	@if command -v uv >/dev/null; then \
		echo "make: installing $(1) with uv"; \
		uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '$(2)'; \
	else \
		echo "make: installing $(1) with pip; the first time takes a minute or more"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '$(2)'; \
	fi
endef

.DEFAULT_GOAL := help
.PHONY: help demo test check lint docs readme test-oldest test-newest bench fuzz .pkg

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/run ## generate sample logs and build a release from them, in ./sluice-demo
	@echo "make: building a release from sample logs in ./sluice-demo"
	@$(BIN)/sluice demo --out sluice-demo

test: .venv/ready ## run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: lint docs ## lint, types, documentation site, house rules, the wheel
	$(BIN)/python -m pytest tests/house

lint: .venv/ready ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p bedrock_sluice
	$(BIN)/mypy tests

docs: .venv/ready ## build the documentation site in ./site
	$(BIN)/mkdocs build --strict --quiet

readme: .venv/ready ## rewrite the generated parts of the documentation
	$(BIN)/python tests/house/generated.py

test-oldest: ## try the oldest versions that pyproject.toml admits, in a fresh environment
	$(PYTHON) .ci/dependencies.py oldest

test-newest: ## try the newest versions, and the wheel alone, in a fresh environment
	$(PYTHON) .ci/dependencies.py newest

bench: .venv/ready ## measure speed and memory, as ratios within one run
	$(BIN)/python tests/bench/run.py
	$(BIN)/python tests/bench/build.py
	$(BIN)/python tests/bench/objects.py
	$(BIN)/python tests/bench/derive.py
	$(BIN)/python tests/bench/near.py
	$(BIN)/python tests/bench/lines.py
	$(BIN)/python tests/bench/privacy.py

fuzz: .venv/ready ## read 100,000 mutated records: each is an exchange or has a reason
	$(BIN)/python tests/bench/fuzz.py
	$(BIN)/python tests/bench/fuzz.py --sizes

.venv/bin/python:
	@test -n '$(PYTHON)' || { echo 'make: no Python 3.11 or newer found; name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@echo "make: creating .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv

# What `sluice` needs to run, and no more.
.venv/run: pyproject.toml constraints.txt | .venv/bin/python
	$(call install,the run-time packages,.)
	@touch $@

# Everything that development needs.
.venv/ready: pyproject.toml constraints.txt | .venv/bin/python .pkg
	$(call install,the development packages,.[dev])
	@touch .venv/run $@

# Editors and type checkers find the package by its name through links; at run time the installed map does.
.pkg:
	@mkdir -p .pkg/bedrock_sluice
	@find .pkg -xtype l -delete
	@for each in api/*.py api/py.typed; do ln -sfn ../../$$each .pkg/bedrock_sluice/; done
	@for each in $(ROOMS); do ln -sfn ../../$$each .pkg/bedrock_sluice/$$each; done
