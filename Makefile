# Everything that is done with this repository. `make` alone prints the list.
# Nothing is installed outside this folder: Python packages live in .venv, the demo's data in ~/.local/share/c2s-enrich.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# Written last, so that an interrupted set-up has no stamp and is made again. The name carries a checksum of what it was made from:
# a changed lock is noticed, a lock that only has a newer time is not.
STAMP := $(VENV)/ready-$(shell cat requirements-dev.lock pyproject.toml | cksum | cut -d" " -f1)

.DEFAULT_GOAL := help
.PHONY: help demo drill check test bench spec lint format schema docs lock clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  ARGS="…" is handed on: make demo ARGS="--once --json", make test ARGS="-k claim"'

demo: $(STAMP) ## watch leads arrive, get enriched and answered; brings its own Postgres
	@$(BIN)/c2s-enrich demo $(ARGS)

drill: $(STAMP) ## kill, freeze and cut everything on purpose, then count what was lost, told twice or left behind
	@$(BIN)/c2s-enrich drill $(ARGS)

check: $(STAMP) ## the inner loop: types, style, layers and all tests that need no database
	@$(BIN)/pytest --quiet --numprocesses=2 -m "not database" --ignore=tests/sandbox --ignore=tests/promises $(ARGS)

test: $(STAMP) ## run all tests; types, style and layers are among them
	@$(BIN)/pytest --numprocesses=3 --dist=loadscope --durations=15 $(ARGS)

bench: $(STAMP) ## measure everything beside the peers, or parts: make bench ARGS="drain cost"
	@$(BIN)/python -m bench $(ARGS)

spec: $(STAMP) ## print the tests' names as sentences
	@$(BIN)/pytest --collect-only -q --order=0 $(ARGS) | awk -f tests/spec.awk

lint: $(STAMP) ## types, style and layers only
	@$(BIN)/pytest -q tests/architecture $(ARGS)

format: $(STAMP) ## put the code in its usual form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

schema: $(STAMP) ## write sql/schema.sql from the migrations
	@SCHEMA=write $(BIN)/pytest -q tests/sql/test_migrations.py

docs: $(STAMP) ## write the tables of settings in README, docs and .env.example
	@DOCS=write $(BIN)/pytest -q tests/architecture/test_docs.py

lock: ## choose new versions of all packages (needs a package index)
	@$(PYTHON) -m venv --clear .venv-lock
	@.venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv $(COMPILE) --output-file=requirements.lock
	@.venv-lock/bin/uv $(COMPILE) --extra=sandbox --extra=dev --constraint=requirements.lock --output-file=requirements-dev.lock
	@rm -rf .venv-lock

# No index address in a lock: it would carry one machine's mirror to all others.
COMPILE := pip compile pyproject.toml --quiet --upgrade --python-version=3.11 --generate-hashes --no-emit-index-url

clean: ## remove what was made here, the environment too; the demo's data stays
	@rm -rf $(VENV) .venv-lock build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (make PYTHON=python3.12 …)")'
	@echo "Setting up $(VENV) (once) …" >&2
	@rm -f $(VENV)/ready-*
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
