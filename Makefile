# Thin: each target says what it runs. `make quickstart` and `make test` need nothing but Python >= 3.11.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help quickstart test kernels lint types bench schema clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "robex needs Python >= 3.11")'
	@echo "installing robex and torch into $(VENV): about a minute"
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.base tests/peers.txt
	$(PIP) -e '.[test,dev]'
	$(PIP) --no-deps -r tests/peers.txt
	@touch $@

$(VENV)/.kernels: $(VENV)/.test
	$(PIP) -e '.[kernels]'
	@touch $@

quickstart: $(VENV)/.base ## install, run suites/quickstart.yaml, print the boards
	$(BIN)/robex run suites/quickstart.yaml

test: $(VENV)/.test ## install with the test extras, run the test suite
	$(BIN)/python -m pytest -n $${ROBEX_TEST_JOBS:-2}

kernels: $(VENV)/.kernels ## install Triton, prove the GPU programs; on a GPU time them too
	$(BIN)/python -m pytest -n $${ROBEX_TEST_JOBS:-2} tests/kernels
	if $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
	  $(BIN)/robex kernels bench && $(BIN)/robex kernels report; fi

lint: $(VENV)/.test ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.test ## speed beside bare loops and the peers, in one run
	$(BIN)/python -m pytest tests/benchmarks -p no:xdist --benchmark-only --benchmark-group-by=group \
	  --benchmark-columns=median,iqr,rounds --benchmark-sort=name

schema: $(VENV)/.base ## write suites/schema.json, which editors use
	$(BIN)/robex schema -o suites/schema.json

clean: ## remove what make installed
	rm -rf $(VENV)
