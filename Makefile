# `make` alone lists the targets. Everything happens in a virtual environment that the targets make themselves.

VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
# Tests that run beside each other. Those that kill processes come afterwards; those that claim seconds of the real clock are
# run alone in the end.
WORKERS ?= 2
# Requests that `make fuzz` makes up for each test.
FUZZ   ?= 1000
# What resetsvc is measured against, in an environment of its own: one of them wants an older SQLAlchemy than ours. In it
# stands another one with resetsvc as it is installed to be run: what the tests want besides would count as its memory.
BENCH_VENV := .venv-bench
# The frameworks that resetsvc is put beside, in environments of their own.
FRAMEWORKS_VENV := .venv-frameworks
FRAMEWORKS := $(FRAMEWORKS_VENV)/.done .frameworks/debian/.done tests/conformance/frameworks/node_modules/.done

.DEFAULT_GOAL := help
.PHONY: help run test coverage check lint types docs docs-check messages pictures audit examples fuzz bench bench-scale frameworks conformance clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

run: $(VENV)/.run ## Start everything on this machine: service, demo account, mailbox
	$(BIN)/resetsvc dev

test: $(VENV)/.test ## Run the whole test suite that this machine can run; say what was skipped, and why
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope -m 'not wall_clock' $(PYTEST_ARGS) --ignore=tests/faults
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope -m 'not wall_clock' tests/faults $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m wall_clock $(PYTEST_ARGS) || [ $$? -eq 5 ]  # 5: none of those that were asked for looks at a clock

# Not in `test`: counting lines makes what it counts half as slow again, and the tests that look at a clock with it.
coverage: $(VENV)/.test ## Run the whole test suite, and list the lines and branches that none of it reaches
	$(BIN)/coverage erase
	$(MAKE) test PYTEST_ARGS="--cov --cov-append --cov-report= $(PYTEST_ARGS)"
	$(BIN)/coverage report

check: lint types docs-check test ## Lint, types, docs and tests: what CI runs

lint: $(VENV)/.test ## Look for what ruff finds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test ## Check the types (mypy --strict)
	$(BIN)/mypy

docs: $(VENV)/.test ## Write the generated pages of the reference
	$(BIN)/python docs/generate.py

docs-check: $(VENV)/.test ## See that the generated pages are up to date
	$(BIN)/python docs/generate.py --check

messages: $(VENV)/.test ## Write the sentences for translators to src/resetsvc/locales/resetsvc.pot
	$(BIN)/python docs/generate.py --messages

pictures: $(VENV)/.test ## Make the README's pictures anew, docs/images/*.png (needs Chromium)
	$(BIN)/python -m tests.browser.pictures

audit: $(VENV)/.test ## Look for weak spots: our code by bandit, the dependencies by what can be known here
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src
	$(BIN)/python -m pip check
	@if [ -x $(BIN)/pip-audit ]; then $(BIN)/pip-audit --local --skip-editable; else \
	  echo "Whether a dependency has a known vulnerability was NOT looked up: that is asked of a server on the network."; \
	  echo "To do so: $(BIN)/python -m pip install pip-audit && make audit"; fi

examples: ## Install what the samples for Node.js need, so that their tests run, too
	npm install --prefix examples/accounts_webhook_express --no-package-lock --ignore-scripts --no-audit --no-fund --silent

fuzz: $(VENV)/.test ## Throw hostile HTTP at the service for some minutes, new each time (FUZZ=10000: longer)
	RESETSVC_TEST_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/hostile $(PYTEST_ARGS)

bench: $(VENV)/.test $(BENCH_VENV)/.done ## Measure it all, beside what people do today, in about 15 minutes; ends in bench/results/ (needs wrk and postfix)
	$(BIN)/python -m bench $(BENCH_ARGS)

bench-scale: $(VENV)/.test $(BENCH_VENV)/.done ## Measure several processes over PostgreSQL, and a million people elsewhere; ends in bench/results/scale/
	$(BIN)/python -m bench --scale $(BENCH_ARGS)

frameworks: $(FRAMEWORKS) ## Fetch the frameworks that the conformance kit puts beside resetsvc (1 minute)

conformance: $(VENV)/.test $(FRAMEWORKS) ## Reset beside every framework and write what they say to docs/reference/conformance.md
	$(BIN)/python -m tests.conformance

clean: ## Remove the virtual environment and what tools left behind
	rm -rf $(VENV) $(BENCH_VENV) $(FRAMEWORKS_VENV) .frameworks examples/*/node_modules tests/conformance/frameworks/node_modules .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

# What was installed is told by a file whose name says for what: running needs less than testing.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "resetsvc needs Python 3.11 or later: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,speed]'
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,speed,redis,postgres,mysql]'
	touch $@ $(VENV)/.run

$(BENCH_VENV)/.done: bench/contenders/requirements.txt pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement bench/contenders/requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)/resetsvc
	$(BENCH_VENV)/resetsvc/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[speed,redis,postgres]'
	touch $@

$(FRAMEWORKS_VENV)/.done: tests/conformance/requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(FRAMEWORKS_VENV)
	$(FRAMEWORKS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/conformance/requirements.txt
	touch $@

# PHP's come as Debian's packages, unpacked and not installed: nobody has to be root, and nothing of the machine changes.
.frameworks/debian/.done: tests/conformance/debian.txt tests/conformance/unpack.sh
	tests/conformance/unpack.sh .frameworks/debian
	touch $@

tests/conformance/frameworks/node_modules/.done: tests/conformance/frameworks/package-lock.json
	npm ci --prefix tests/conformance/frameworks --ignore-scripts --no-audit --no-fund --silent
	touch $@
