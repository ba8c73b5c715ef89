# `make demo` and `make test` set up all that they need, given Python 3.11 or newer and PyPI.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
DEMO := .venv-demo
TEST := .venv-test

.PHONY: demo test test-slow lint format docs-frameworks bench clean

demo: $(DEMO)/ready ## run a real team that fails: capture, verdict, proof by replay, report
	$(DEMO)/bin/agentracer demo

test: $(TEST)/ready ## run the tests
	$(TEST)/bin/python -m pytest -m "not slow"

test-slow: $(TEST)/ready ## run the tests that take longer
	$(TEST)/bin/python -m pytest -m slow

lint: $(TEST)/ready ## linters and type checks
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/mypy

format: $(TEST)/ready
	$(TEST)/bin/ruff format .
	$(TEST)/bin/ruff check --fix .

docs-frameworks: $(TEST)/ready ## the tables of docs/frameworks.md, from test results
	$(TEST)/bin/python -m pytest -q tests/adapters --write-frameworks docs/frameworks.md

bench: $(TEST)/ready ## the figures in docs/benchmarks.md and docs/performance.md
	$(TEST)/bin/python benchmarks/capture.py

$(DEMO)/ready: pyproject.toml
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(TEST)/ready: pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python -m pip install --quiet --editable '.[dev,bench,autogen,camel]'
	touch $@

clean:
	rm -rf $(DEMO) $(TEST)
