"""The package itself: what importing it costs, what it exports, how it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources

import agentracer

HEAVY = (
    "torch", "transformers", "vllm", "numpy", "pandas", "openai", "langgraph", "langchain_core",
    "autogen_core", "autogen_agentchat", "camel", "pydantic", "rich", "jinja2", "click", "wrapt",
)  # fmt: skip


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_it_imports_next_to_nothing():
    code = "import sys, json, agentracer; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.split(".")[0] for name in json.loads(python(code))}
    assert loaded & set(HEAVY) == set()


def test_using_it_imports_no_framework_and_no_model_code():
    code = """
import sys, json, agentracer
agentracer.instrument()
with agentracer.record("t", check=lambda _: False) as run:
    run.recorder.end_step(run.recorder.begin_step("a"), content="x")
agentracer.Tracer().attribute(run.trace)
print(json.dumps(sorted(sys.modules)))
"""
    loaded = {name.split(".")[0] for name in json.loads(python(code))}
    allowed = {"pydantic", "wrapt", "numpy"}
    assert loaded & set(HEAVY) - allowed == set()


def test_importing_it_takes_less_than_a_tenth_of_a_second():
    code = """
import time
start = time.perf_counter()
import agentracer
print(time.perf_counter() - start)
"""
    assert min(float(python(code)) for _ in range(5)) < 0.10


def test_every_public_name_is_there_and_documented():
    for name in agentracer.__all__:
        value = getattr(agentracer, name)
        if name != "__version__":
            assert value.__doc__, name
    assert set(agentracer.__all__) <= set(dir(agentracer))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(agentracer, "nonsense")


def test_it_is_marked_as_typed():
    assert resources.files("agentracer").joinpath("py.typed").is_file()
