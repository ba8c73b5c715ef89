"""LangGraph 1.x, with LangChain's prebuilt agents, supervisor and swarm.

    callbacks.py   LangChain's global callback hook: sees every graph, in every thread and task
    hooks.py       below the callbacks: answers calls during a replay, adds advice to prompts
    convert.py     LangChain's objects as plain data, and back

Native checkpoints are not needed and not used: time travel inside a finished subgraph is wrong in
LangGraph 1.2 (langchain-ai/langgraph#8458).
"""

from __future__ import annotations

import contextvars
import secrets
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers import context

from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.kit.scope import hear_inner_steps
from agentracer.adapters.kit.threads import carry
from agentracer.adapters.langgraph.callbacks import CaptureHandler
from agentracer.adapters.langgraph.convert import agents_of
from agentracer.adapters.langgraph.hooks import ADVISED, LangChainHooks
from agentracer.frameworks.base import AppliedAdvice

__all__ = ["adapter"]


class _LangGraphAdapter:
    """See `agentracer.frameworks.base.Adapter`."""

    name = "langgraph"

    def __init__(self) -> None:
        self._patches = Patches(self.name)
        self._hooks: LangChainHooks | None = None
        self._configs: dict[int, tuple[Any, Any]] = {}

    def install(self) -> None:
        handler = CaptureHandler()
        # The default of a context variable is seen by every thread and task, so a fresh variable
        # whose default is the handler reaches runs that start anywhere.
        variable: contextvars.ContextVar[BaseCallbackHandler | None] = contextvars.ContextVar(
            "agentracer_langgraph",
            default=handler,
        )
        with self._patches.transaction():
            earlier_hooks = list(context._configure_hooks)
            context.register_configure_hook(variable, inheritable=True)
            hook = next(hook for hook in context._configure_hooks if hook not in earlier_hooks)
            self._patches.undo_with(lambda: context._configure_hooks.remove(hook))
            hooks = LangChainHooks(handler)
            hooks.install(self._patches)
            carry(handler.carry_node, self._patches)
            hear_inner_steps(handler.inner_step, self._patches)
        self._hooks = hooks

    def uninstall(self) -> None:
        self._patches.undo()
        self._hooks = None

    def advise(self, system: Any, agent: str, text: str) -> AppliedAdvice:
        """Add `text` to the system prompt of one agent of a compiled graph.

        The graph's own `config` carries a mark that says which calls are meant; retracting the
        last advice puts the original object back.
        """
        if self._hooks is None:
            raise RuntimeError("call agentracer.instrument('langgraph') before giving advice")
        agents = agents_of(system)
        if agent not in agents:
            raise ValueError(f"no agent {agent!r} in this graph; there are {', '.join(agents)}")
        self._configs.setdefault(id(system), (system, system.config))
        identity = secrets.token_hex(8)
        self._hooks.advice[identity] = {agent: [text]}
        self._mark(system, [*_marks(system), identity])

        def retract() -> None:
            if self._hooks is not None:
                self._hooks.advice.pop(identity, None)
            self._mark(system, [mark for mark in _marks(system) if mark != identity])

        return AppliedAdvice(agent=agent, text=text, undo=retract)

    def _mark(self, system: Any, marks: list[str]) -> None:
        original = self._configs[id(system)][1]
        if marks:
            metadata = {**((original or {}).get("metadata") or {}), ADVISED: marks}
            system.config = {**(original or {}), "metadata": metadata}
        else:
            system.config = self._configs.pop(id(system))[1]


def _marks(system: Any) -> list[str]:
    return list(((system.config or {}).get("metadata") or {}).get(ADVISED) or ())


adapter: Final = _LangGraphAdapter()
