# `make help` lists what can be done. Everything is kept below .venv/ and .stillhouse/.
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
HOUSE := $(BIN)/python -m flows.house

.DEFAULT_GOAL := help
.PHONY: help install demo ui serve compare stop test audit clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## Make .venv with the pinned requirements (done by every target that needs it)
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not found; install Python 3.11, or name it: make PYTHON=/path/to/python3.11 demo" >&2; exit 2; }
	@$(PYTHON) -m flows.install

demo: install ## Release the workload sentiment and watch it, here and in the Prefect UI
	@$(HOUSE) demo

ui: install ## Start the Prefect server again if needed, and say where its UI is
	@$(HOUSE) ui

serve: install ## Serve the newest Bento on loopback
	@$(HOUSE) serve

compare: install ## Two releases side by side: make compare A=v0.0.1 B=sentiment-quick-3 [WORKLOAD=sentiment]
	@$(BIN)/python -m flows.compare "$(A)" "$(B)" --workload "$(or $(WORKLOAD),sentiment)"

stop: ## End what was started here, and nothing else
	@if [ -x $(BIN)/python ]; then $(HOUSE) stop; else echo "Nothing was running."; fi

test: install ## Format, lint, types, import rules, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

# A version that the database does not know fails, too: it was not audited.
audit: install ## Ask PyPI's database of advisories about every pinned version (needs the internet)
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt \
		--requirement bentos/generator/requirements-vllm.txt

clean: stop ## Remove scratch files, logs and tool caches; runs, caches and packages stay
	rm -rf .stillhouse/scratch .stillhouse/logs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
