"""All adapters: the built-in ones and those of plug-ins.

A plug-in is a package with an entry point in the group `agentracer.adapters` that refers to an
`AdapterSpec`. Everything that differs between frameworks is asked here: what `instrument()` hooks,
what `doctor` looks at, which framework a system belongs to, and how spans name their agents.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final

from agentracer.frameworks.base import Adapter
from agentracer.frameworks.spec import AdapterSpec, GraphKeys, TestedDistribution

__all__ = ["ENTRY_POINT_GROUP", "LANGGRAPH", "installed", "load", "spec_of", "specs"]

logger: Final = logging.getLogger("agentracer")

ENTRY_POINT_GROUP: Final = "agentracer.adapters"

LANGGRAPH: Final = GraphKeys(
    node="langgraph_node",
    agent="lc_agent_name",
    namespaces=("langgraph_checkpoint_ns", "checkpoint_ns"),
    inner_nodes=frozenset({"agent", "model", "tools", "call_model", "__start__", "__end__"}),
    inner_suffixes=(".before_model", ".after_model", ".before_agent", ".after_agent"),
    unnamed=frozenset({"LangGraph", "RunnableSequence", ""}),
)

installed: Final[dict[str, Adapter]] = {}
"""The adapters that are in place now, by name; `agentracer.instrumentation` keeps it."""

_BUILT_IN: Final = (
    AdapterSpec(
        name="anthropic",
        module="agentracer.adapters.anthropic",
        trigger="anthropic",
        packages=("anthropic",),
        distribution="anthropic",
        tested=("0.40.0", "2.14"),
        extra="anthropic",
        is_client=True,
    ),
    AdapterSpec(
        name="autogen",
        module="agentracer.adapters.autogen",
        trigger="autogen_agentchat.base",
        packages=("autogen_agentchat", "autogen_core", "autogen_ext"),
        distribution="autogen-agentchat",
        tested=("0.7.0", "0.7.5"),
        extra="autogen",
    ),
    AdapterSpec(
        name="camel",
        module="agentracer.adapters.camel",
        trigger="camel.agents.chat_agent",
        packages=("camel",),
        distribution="camel-ai",
        tested=("0.2.84", "0.2.90"),
        extra="camel",
    ),
    AdapterSpec(
        name="langgraph",
        module="agentracer.adapters.langgraph",
        trigger="langgraph.pregel",
        packages=("langgraph",),
        distribution="langgraph",
        tested=("1.1.10", "1.2"),
        extra="langgraph",
        graph=LANGGRAPH,
        model_packages=("langchain", "langchain_core", "langchain_openai"),
        built_on_it=(
            TestedDistribution(
                distribution="deepagents", tested=("0.7.32", "0.7.32"), extra="deepagents"
            ),
        ),
    ),
    AdapterSpec(
        name="maas",
        module="agentracer.adapters.maas",
        trigger="maas",
        packages=("maas",),
    ),
    AdapterSpec(
        name="openai",
        module="agentracer.adapters.openai",
        trigger="openai",
        packages=("openai",),
        distribution="openai",
        tested=("2.0.0", "3.57"),
        extra="openai",
        is_client=True,
    ),
)


@functools.cache
def specs() -> Mapping[str, AdapterSpec]:
    """The adapters by name: the built-in ones, then those of plug-ins.

    A plug-in that cannot be loaded, or whose name is taken, is left out with a warning.
    """
    registered = {spec.name: spec for spec in _BUILT_IN}
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: (p.name, p.value)):
        try:
            spec = point.load()
            if not isinstance(spec, AdapterSpec):
                raise TypeError(f"it is no AdapterSpec but {type(spec).__name__}")
        except Exception as error:  # noqa: BLE001 - the code of another package
            logger.warning(
                "agentracer: the adapter plug-in %s=%s is left out: %s: %s",
                *(point.name, point.value, type(error).__name__, error),
            )
            continue
        if registered.setdefault(spec.name, spec) is not spec:
            logger.warning("agentracer: the adapter plug-in %s is left out: name taken", spec.name)
    return MappingProxyType(registered)


def load(name: str) -> Adapter:
    """The adapter of that name. Imports its framework.

    Raises:
        KeyError: there is no such adapter.
        ImportError: the framework is not installed.
    """
    return importlib.import_module(specs()[name].module).adapter  # type: ignore[no-any-return]


def spec_of(system: Any) -> AdapterSpec | None:
    """The framework that a system belongs to, by its classes.

    Args:
        system: an object or class of a framework, or a list, tuple or dict of them.
    """
    members = system.values() if isinstance(system, dict) else system
    first = next(iter(members), None) if isinstance(system, (dict, list, tuple)) else system
    classes = first.__mro__ if isinstance(first, type) else type(first).__mro__
    by_package = {package: spec for spec in specs().values() for package in spec.packages}
    packages = (cls.__module__.partition(".")[0] for cls in classes)
    return next((by_package[package] for package in packages if package in by_package), None)


def graph_keys() -> Iterator[GraphKeys]:
    """What spans of the known graph frameworks say."""
    return (spec.graph for spec in specs().values() if spec.graph is not None)
