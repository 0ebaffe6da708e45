# Everything that is done with this repository. `make` alone prints the list.
# Nothing is installed outside this folder: Python packages live in .venv, the demo's data in ~/.local/share/c2s-enrich.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
# Written last, so that an interrupted set-up has no stamp and is made again. The name carries a checksum of what it was made from:
# a changed lock is noticed, a lock that only has a newer time is not.
STAMP := $(VENV)/ready-$(shell cat requirements-dev.lock pyproject.toml | cksum | cut -d" " -f1)

RELEASE_BIN := .venv-release/bin
RELEASE := .venv-release/ready-$(shell cat requirements-release.lock | cksum | cut -d" " -f1)
REVISION ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
BUILDER ?= docker
# What the inner loop leaves to `make test`: whole processes, builds, browsers.
INNER := $(addprefix --ignore=tests/,sandbox promises ship mutants console cli bench)

# Compiled files spare every process that starts here most of a second.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo drill mutants check test test-image test-majors bench spec lint format schema docs screenshots wheel image pin-base release audit lock clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  ARGS="…" is handed on: make demo ARGS="--once --json", make test ARGS="-k claim"'

demo: $(STAMP) ## watch leads arrive, get enriched and answered; brings its own Postgres
	@$(BIN)/c2s-enrich demo $(ARGS)

drill: $(STAMP) ## kill, freeze and cut everything on purpose, then count what was lost, told twice or left behind
	@$(BIN)/c2s-enrich drill $(ARGS)

mutants: $(STAMP) ## change one line at a time and see that the tests notice; ARGS=pure: every operator of the pure modules
	@$(BIN)/python -m proofs.mutants $(ARGS)

check: $(STAMP) ## the inner loop: types, style, layers and all tests that need no database
	@$(BIN)/pytest --quiet --numprocesses=2 -m "not database" $(INNER) $(ARGS)

test: $(STAMP) ## run all tests; types, style and layers are among them
	@$(BIN)/pytest --numprocesses=4 --dist=loadscope --no-loadscope-reorder --durations=15 $(ARGS)

test-image: $(STAMP) ## build and run the container image with Docker, podman or buildah
	@TEST_IMAGE=1 $(BIN)/pytest -q -s tests/ship/test_image.py $(ARGS)

test-majors: $(STAMP) ## run what rests on Postgres on 14 to 18: make test-majors ARGS="14 18"
	@.ci/majors $(ARGS)

bench: $(STAMP) ## measure everything, next to five peers, or parts: make bench ARGS="drain cost"
	@$(BIN)/python -m bench $(ARGS)

spec: $(STAMP) ## print the tests' names as sentences
	@$(BIN)/pytest --collect-only -q --order=0 $(ARGS) | awk -f tests/spec.awk

lint: $(STAMP) ## types, style and layers only
	@$(BIN)/pytest -q tests/architecture $(ARGS)

format: $(STAMP) ## put the code in its usual form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

schema: $(STAMP) ## write sql/schema.sql and the matrix of roles from the migrations
	@SCHEMA=write $(BIN)/pytest -q tests/sql/test_migrations.py tests/sql/test_roles.py

docs: $(STAMP) ## write the tables of settings in README, docs and .env.example
	@DOCS=write $(BIN)/pytest -q tests/architecture/test_docs.py

screenshots: $(STAMP) ## picture each page of the console, with the demo's data, into docs/screenshots (needs chromium-headless-shell)
	@$(BIN)/python -m tests.console.screenshots

wheel: $(STAMP) ## build dist/*.whl; two builds of one commit are the same file
	@rm -rf dist && $(BIN)/hatchling build -t wheel

image: ## build the container image; BUILDER=podman or buildah where there is no Docker
	@$(BUILDER) build --build-arg REVISION=$(REVISION) $(if $(BASE),--build-arg BASE=$(BASE)) -t c2s-enrich:$(REVISION) .

pin-base: ## write the digest behind the Dockerfile's base tag (needs a registry of images)
	@base=$$(sed -n 's/^ARG BASE=\([^@]*\).*/\1/p' Dockerfile) \
	  && $(BUILDER) pull -q $$base >/dev/null \
	  && digest=$$($(BUILDER) image inspect --format '{{index .RepoDigests 0}}' $$base | sed 's/.*@//') \
	  && sed -i "s|^ARG BASE=.*|ARG BASE=$$base@$$digest|" Dockerfile && grep '^ARG BASE' Dockerfile

release: wheel $(RELEASE) ## check, tag v$(VERSION) and write dist/: make release VERSION=1.2.3
	@test -n "$(VERSION)" || { echo "say which: make release VERSION=1.2.3" >&2; exit 2; }
	@test -z "$$(git status --porcelain)" || { echo "commit or stash first" >&2; exit 2; }
	@grep -q '^version = "$(VERSION)"' pyproject.toml || { echo "pyproject.toml has another version" >&2; exit 2; }
	@grep -q '^## $(VERSION)' CHANGELOG.md || { echo "CHANGELOG.md has no section $(VERSION)" >&2; exit 2; }
	@$(RELEASE_BIN)/cyclonedx-py requirements requirements.lock --output-reproducible -o dist/c2s-enrich-$(VERSION).cdx.json
	@git tag -a "v$(VERSION)" -m "c2s-enrich $(VERSION)"
	@cd dist && sha256sum * | tee SHA256SUMS
	@echo "Next: git push origin v$(VERSION), make image, fly deploy"

audit: $(RELEASE) ## look the locked packages up in the advisory database (needs access to it)
	@$(RELEASE_BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

lock: ## choose new versions of all packages (needs a package index)
	@$(PYTHON) -m venv --clear .venv-lock
	@.venv-lock/bin/pip install --quiet uv
	@.venv-lock/bin/uv $(COMPILE) --output-file=requirements.lock
	@.venv-lock/bin/uv $(COMPILE) --extra=sandbox --extra=mcp --extra=dev --constraint=requirements.lock --output-file=requirements-dev.lock
	@rm -rf .venv-lock

# No index address in a lock: it would carry one machine's mirror to all others.
COMPILE := pip compile pyproject.toml --quiet --upgrade --python-version=3.11 --generate-hashes --no-emit-index-url

clean: ## remove what was made here, the environment too; the demo's data stays
	@rm -rf $(VENV) .venv-lock .venv-release .bench build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests bench proofs -name __pycache__ -type d -prune -exec rm -rf {} +

# uv needs a tenth of pip's time. Where it is absent, or finds no index (it reads no settings of pip's),
# pip does it. Both check the hashes.
WITH_UV := uv venv --quiet --clear --python=$(PYTHON) $(VENV) \
  && uv pip install --quiet --python=$(BIN)/python --require-hashes -r requirements-dev.lock \
  && uv pip install --quiet --python=$(BIN)/python --no-deps --no-build-isolation --editable .
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
WITH_PIP := $(PYTHON) -m venv --clear $(VENV) \
  && $(PIP) --require-hashes -r requirements-dev.lock \
  && $(PIP) --no-build-isolation --editable .

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (make PYTHON=python3.12 …)")'
	@echo "Setting up $(VENV) (once) …" >&2
	@rm -f $(VENV)/ready-*
	@($(WITH_UV)) 2>/dev/null || ($(WITH_PIP))
	@touch $@

$(RELEASE):
	@rm -rf .venv-release && $(PYTHON) -m venv .venv-release
	@$(RELEASE_BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-release.lock
	@touch $@
