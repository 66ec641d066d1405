# make run    installs what is locked and starts bouncer
# make test   the same set-up, then every test
# make fuzz   a hundred thousand mutated reports and twenty thousand spoilt SMTP sessions, others
#             each time; FUZZ_SEED=..., which is printed, has the same ones again
# make check  what CI runs: format, lint, types, import contract, tests
# make faults SCALE=full   every fault run at its full figure, which takes hours; stop it, call it
#             again, and it goes on where it was (.faults/)
# It needs Python 3.11 or newer with pip, make and git, and writes only to .venv.

# The first that runs, is new enough, and has pip.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
# pip works on another environment, so neither ensurepip nor leave to change the system is needed.
PIP = $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python install -q

# The tests start bouncer hundreds of times: what is compiled once is not compiled again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test faults check lint format docs lock clean
.DELETE_ON_ERROR:

run: .venv/run
	@$(BIN)/bouncer serve $(if $(CONFIG),--config $(CONFIG))

test: .venv/dev
	$(BIN)/pytest $(TESTS)

SCALE ?= ci
faults: .venv/dev
	FAULTS_SCALE=$(SCALE) $(BIN)/pytest -s $(or $(TESTS),tests/faults tests/ingest/test_pressure.py)

fuzz: export FUZZ_MUTANTS ?= 100000
fuzz: export FUZZ_SESSIONS ?= 20000
fuzz: export FUZZ_SEED ?= $(shell date +%s)
fuzz: .venv/dev
	$(BIN)/pytest -q -s tests/reports/test_fuzz.py tests/ingest/test_fuzz.py

check: lint test

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/dev
	$(BIN)/python -m tests.reference --write

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'bouncer needs Python 3.11 or newer with pip; set PYTHON=...' >&2; exit 1; }
	$(PYTHON) -m venv --without-pip .venv

.venv/run: $(BIN)/python requirements/run.txt pyproject.toml
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements/dev.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

# Newest versions that pyproject.toml allows, with the hashes of every file.
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile -q --upgrade --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links pyproject.toml --group build
lock: .venv/dev
	$(LOCK) -o requirements/run.txt
	$(LOCK) --group dev -o requirements/dev.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
