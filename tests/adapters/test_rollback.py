"""An adapter that fails while it installs leaves every object of its framework in place."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import pytest

import agentracer
from agentracer import instrumentation
from agentracer.adapters.kit.patching import Patches, subclasses_of
from agentracer.frameworks.registry import specs

PACKAGES = {
    "langgraph": ("langgraph", "langchain_core"),
    "autogen": ("autogen_agentchat", "autogen_core", "autogen_ext"),
    "camel": ("camel",),
    "maas": ("maas",),
}
MODULES = {
    "langgraph": ("langgraph.pregel", "langchain_core.tracers.context"),
    "autogen": ("autogen_agentchat.teams", "autogen_agentchat.tools"),
    "camel": ("camel.societies.workforce",),
    "maas": ("maas.ext.maas.scripts.optimized.MATH.train.graph", "maas.provider.base_llm"),
}


@pytest.fixture(params=sorted(PACKAGES))
def framework(request, monkeypatch):
    """The name of a framework, all of whose hooked modules are loaded."""
    name = request.param
    agentracer.uninstrument()
    if name == "maas":
        monkeypatch.syspath_prepend(str(Path(__file__).parent / "maas_standin"))
    else:
        pytest.importorskip(MODULES[name][0], reason=f"needs the extra [{name}]")
    for module in (*MODULES[name], specs()[name].module):
        importlib.import_module(module)
    yield name
    agentracer.uninstrument()
    for module in [module for module in sys.modules if module.partition(".")[0] == "maas"]:
        del sys.modules[module]


def objects_of(framework: str) -> dict[object, object]:
    """Every attribute of every class of a framework, and the lists that hooks are added to."""
    loaded = [m for n, m in sys.modules.items() if n.partition(".")[0] in PACKAGES[framework]]
    classes = {
        found
        for module in loaded
        for found in list(vars(module).values())
        if isinstance(found, type) and found.__module__.partition(".")[0] in PACKAGES[framework]
    }
    found: dict[object, object] = {
        (cls, name): value
        for root in classes
        for cls in subclasses_of(root)
        for name, value in vars(cls).items()
        # What classes compute and keep for themselves when they are used.
        if name not in ("_abc_impl", "__doc__", "__annotations__")
    }
    hooks = sys.modules.get("langchain_core.tracers.context")
    found["configure hooks"] = list(hooks._configure_hooks) if hooks else []
    found["finders"] = list(sys.meta_path)
    return found


def assert_identical(after: dict[object, object], before: dict[object, object]) -> None:
    assert after.keys() == before.keys()
    lists = [key for key, value in before.items() if isinstance(value, list)]
    changed = [key for key in before if key not in lists and after[key] is not before[key]]
    assert not changed
    assert all(after[key] == before[key] for key in lists)


def test_a_failure_at_any_patch_leaves_the_very_same_objects(framework, monkeypatch, caplog):
    before = objects_of(framework)
    replace, failing = Patches.replace, 0

    def counting(self, *args):
        nonlocal left
        if left == 0:
            raise AttributeError("the framework has changed")
        left -= 1
        replace(self, *args)

    monkeypatch.setattr(Patches, "replace", counting)
    while True:
        left = failing
        caplog.clear()
        with caplog.at_level(logging.WARNING, "agentracer"):
            agentracer.instrument(framework)
        if framework in instrumentation.installed:
            break
        assert f"cannot capture {framework} here" in caplog.text
        assert_identical(objects_of(framework), before)
        failing += 1
    assert failing >= 6  # each patch has failed once
    agentracer.uninstrument()
    assert_identical(objects_of(framework), before)


@pytest.mark.parametrize("framework", ["langgraph"], indirect=True)
def test_a_method_that_the_framework_no_longer_has_leaves_nothing_patched(framework, monkeypatch):
    from langchain_core.tools import BaseTool

    monkeypatch.delattr(BaseTool, "arun")
    before = objects_of(framework)
    agentracer.instrument("langgraph")
    assert_identical(objects_of(framework), before)


@pytest.mark.parametrize("framework", ["langgraph"], indirect=True)
def test_an_interrupt_while_installing_rolls_back_and_goes_on(framework, monkeypatch):
    def interrupted(*_args):
        raise KeyboardInterrupt

    before = objects_of(framework)
    monkeypatch.setattr(Patches, "wrap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        agentracer.instrument("langgraph")
    assert_identical(objects_of(framework), before)
