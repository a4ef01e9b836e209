# Two commands on a fresh machine: `make demo` and `make test`. They need Python 3.11 or later and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETTINGS := pyproject.toml constraints.txt

.PHONY: demo test lint docs bench campaign dist clean

demo: $(VENV)/.installed
	$(BIN)/backtest demo reports/demo

# A worker per core; a file stays with one worker, and the order of the files is tests/conftest.py's.
test: lint
	$(BIN)/python -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation site, in build/site. Broken links fail.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.docs.site

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# Thousands of bad inputs, faults and drawn configurations, for half an hour: `make campaign TIMES=10` for ten times as many.
TIMES ?= 1
campaign: $(VENV)/.installed-dev
	$(BIN)/python -m tests.campaign --times $(TIMES)

# The wheel and the sdist in dist/, checked, and the demo run from the wheel in an empty environment.
dist: $(VENV)/.installed
	$(PIP) setuptools build twine
	rm -rf dist build/dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv build/dist
	build/dist/bin/python -m pip install --disable-pip-version-check -c constraints.txt dist/*.whl
	cd build/dist && bin/backtest demo demo

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Files that mark what is installed; made again when the settings change.
$(VENV)/.installed: $(SETTINGS) | $(VENV)/bin/python
	$(call install,.)
	@touch $@

$(VENV)/.installed-dev: $(SETTINGS) | $(VENV)/bin/python
	$(call install,.[dev$(,)bench$(,)docs$(,)fetch])
	@touch $@ $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is missing or older than Python 3.11; name a newer one: make PYTHON=python3.12" >&2; \
	  exit 2; }
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "error: $(PYTHON) cannot make a virtual environment; install its venv module (Debian: python3-venv)" >&2; \
	  exit 2; }

# pip says what it downloads and installs: nobody looks at a silent terminal for minutes.
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
# The build tool comes first, pinned like the rest: an isolated build would fetch whatever is newest.
, := ,
define install
@echo "installing $(1) with pinned versions into $(VENV), a minute or two"
@$(PIP) setuptools
@$(PIP) --no-build-isolation -e "$(1)"
@echo "installed"
endef
