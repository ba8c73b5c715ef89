"""CAMEL 0.2.90 and OWL: ChatAgent, RolePlaying and its subclasses, Workforce in both modes.

    hooks.py      what CAMEL's methods become while the adapter is installed
    calls.py      model calls, and tools.py tool calls: where capture and replay meet
    streams.py    streams of a model, captured as they are read
    capture.py    turns, model calls and tool calls of agents, as events of a recorder
    societies.py  Workforces and RolePlayings: runs, tasks, workers
    scope.py     where code runs: which run, which society, which agent; what agents are called
    answers.py    recorded answers, with the worker ids of the run that goes on
    advice.py     lessons in system messages
    convert.py     CAMEL's objects as plain data, and back

CAMEL's own snapshots are not used: they share and later change the tasks that they hold.
"""

from __future__ import annotations

from typing import Any, Final

from agentracer.adapters.camel import advice
from agentracer.adapters.camel.hooks import CamelHooks
from agentracer.frameworks.base import AppliedAdvice

__all__ = ["adapter"]


class _CamelAdapter:
    """See `agentracer.frameworks.base.Adapter`."""

    name = "camel"

    def __init__(self) -> None:
        self._hooks: CamelHooks | None = None

    def install(self) -> None:
        hooks = CamelHooks()
        hooks.install()
        self._hooks = hooks

    def uninstall(self) -> None:
        if self._hooks is not None:
            self._hooks.patches.undo()
        self._hooks = None

    def advise(self, system: Any, agent: str, text: str) -> AppliedAdvice:
        """Add `text` to the system message of one agent.

        `system` is a Workforce, a RolePlaying, a ChatAgent, or a list or dict of them; `agent` is
        its name in traces. A Workforce works with agents of its own: `coordinator_agent` and
        `task_agent` are those, not the ones that it was built from.
        """
        return advice.give(system, agent, text)


adapter: Final = _CamelAdapter()
