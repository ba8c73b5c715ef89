"""Which of AutoGen's methods are wrapped.

Methods are wrapped on every class that defines them, and on classes that are defined later. A
wrapper asks for a frame; without one it only passes the call on. See `kit.wrapping`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping

from autogen_agentchat.base import ChatAgent, Team
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, Workbench

from agentracer.adapters.autogen import models, runs, tools
from agentracer.adapters.autogen.call_stack import innermost
from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.kit.threads import carry_variable
from agentracer.adapters.kit.wrapping import Begin, around

__all__ = ["install"]


def _methods() -> dict[type, dict[str, Begin]]:
    """The families of classes, their methods, and what makes a frame for a call of one."""
    turns = dict.fromkeys(("run", "run_stream", "on_messages", "on_messages_stream"), runs.enter)
    return {
        Team: dict.fromkeys(("run", "run_stream"), runs.enter),
        ChatAgent: {
            **turns,
            "_get_input": tools.enter_question,
            "execute_code_block": tools.enter_code,
        },
        ChatCompletionClient: dict.fromkeys(("create", "create_stream"), models.enter),
        Workbench: dict.fromkeys(("call_tool", "call_tool_stream"), tools.enter_workbench),
        BaseTool: dict.fromkeys(("run_json", "run_json_stream"), tools.enter_tool),
    }


def install(patches: Patches) -> None:
    """Wrap the methods of all classes there are, and will be; all of them, or none."""
    with patches.transaction():
        carry_variable(innermost, patches)
        for family, methods in _methods().items():
            patches.subclasses(family, functools.partial(_wrap, patches, methods))


def _wrap(patches: Patches, methods: Mapping[str, Begin], cls: type) -> None:
    for name, enter in methods.items():
        original, stream = cls.__dict__.get(name), name.endswith("_stream")
        if not inspect.isfunction(original) or getattr(original, "__isabstractmethod__", False):
            continue
        if stream != inspect.iscoroutinefunction(original):
            where = f"autogen.{enter.__module__.rpartition('.')[2]}.{enter.__name__}"
            patches.wrap(cls, name, around(enter, where, stream=stream))
