"""Which function of the program calls, and so which agent acts."""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

from agentracer.adapters.kit.scope import in_model_call
from agentracer.frameworks.registry import LANGGRAPH, installed, specs

__all__ = ["acting_agents", "calling_agent", "is_captured_elsewhere"]

acting_agents: contextvars.ContextVar[tuple[str, ...] | None] = contextvars.ContextVar(
    "agentracer_acting_agents", default=None
)
"""The names of the `agentracer.agent(name)` blocks around the calling code, outermost first."""

_HELPERS: Final = frozenset(
    (
        *("ask", "call", "chat", "chat_completion", "complete", "completion", "create"),
        *("generate", "get_completion", "get_response", "invoke", "llm", "predict", "prompt"),
        *("query", "request", "respond", "run", "send"),
    )
)
"""Names of functions that only pass a prompt on; also with an underscore before, or with `_llm`,
`_model`, `_openai`, `_claude`, `_gpt` or `_api` behind."""

_WRAPPERS: Final = ("LLM", "Llm", "Client", "Model", "API", "Api", "Provider", "Backend")
"""Ends of the names of classes that wrap a client: their methods are helpers too."""

_OF_A_MODEL: Final = ("_llm", "_model", "_openai", "_anthropic", "_claude", "_gpt", "_api")

_INSTALLED: Final = (
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    "<frozen",
)
"""Begins of the paths of code that is no part of the program."""


def calling_agent() -> str:
    """Name the agent that acts in the calling code.

    1. The agent of the `agentracer.agent(name)` block around it.
    2. In a node of LangGraph, the node.
    3. The innermost function of the program itself: not of an installed package, no lambda, and no
       helper whose name says only that it asks a model (`ask`, `call_llm`, a method of a class
       `LLMClient`), unless nothing else calls. For a method, the `name` of its object, else its
       class. `main` outside of functions.
    """
    agents = acting_agents.get()
    return agents[-1] if agents else _graph_node() or _function()


def is_captured_elsewhere() -> bool:
    """Whether the call comes from a framework that is instrumented, or from a judge of ours."""
    if in_model_call.get():
        return True
    frameworks = [spec for name in tuple(installed) if not (spec := specs()[name]).is_client]
    packages = {p for spec in frameworks for p in (*spec.packages, *spec.model_packages)}
    for frame in _frames():
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("agentracer.attribution."):
            return True
        if module.partition(".")[0] in packages:
            return True
        if _is_of_the_program(frame):
            return False
    return False


def _function() -> str:
    helper: str | None = None
    for frame in _frames():
        if not _is_of_the_program(frame):
            continue
        name = frame.f_code.co_name
        if name.startswith("<") and name != "<module>":
            continue
        if name == "<module>":
            return helper or "main"
        owner = _owner(frame)
        if owner is None and not _is_helper(name):
            return name
        if owner is not None and not type(owner).__name__.endswith(_WRAPPERS):
            return _name_of(owner)
        helper = helper or name
    return helper or "main"


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_of_the_program(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    package = module.partition(".")[0]
    if package == "agentracer":
        return module.startswith("agentracer.lab.")
    return package not in _clients() and not frame.f_code.co_filename.startswith(_INSTALLED)


@functools.cache
def _clients() -> frozenset[str]:
    """The packages of the clients themselves."""
    clients = (spec for spec in specs().values() if spec.is_client)
    return frozenset(package for spec in clients for package in spec.packages)


def _owner(frame: FrameType) -> Any:
    """The object whose method runs; None for a function."""
    code = frame.f_code
    first = code.co_varnames[0] if code.co_argcount else ""
    return frame.f_locals.get(first) if first in ("self", "cls") else None


def _name_of(owner: Any) -> str:
    if inspect.isclass(owner):
        return owner.__name__
    name = vars(owner).get("name") if hasattr(owner, "__dict__") else None
    return name if isinstance(name, str) and name else type(owner).__name__


def _is_helper(name: str) -> bool:
    name = name.strip("_")
    for end in _OF_A_MODEL:
        name = name.removesuffix(end)
    return name in _HELPERS


def _graph_node() -> str | None:
    """The node of LangGraph whose function calls."""
    runnables = sys.modules.get("langchain_core.runnables.config")
    if runnables is None:
        return None
    config = runnables.var_child_runnable_config.get(None) or {}
    metadata = config.get("metadata") or {}
    return LANGGRAPH.agent_of(metadata) if LANGGRAPH.node in metadata else None
