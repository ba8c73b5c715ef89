"""AutoGen AgentChat 0.7: teams of every kind, nested teams, agents on their own and as tools.

    call_stack.py   where a call belongs: which run, team, turn and tool call it is part of
    runs.py     runs of teams and turns of agents
    models.py   model calls: what is recorded, and what a replay delivers instead
    tools.py    tool calls, questions to humans, code that is run
    advice.py   feedback
    hooks.py    the wrapped methods of AutoGen's classes
    convert.py   AutoGen's objects as plain data, and back

A step is one model call of one agent, with the tool calls that it asked for. A team's manager that
asks a model (the selector, the Magentic-One orchestrator) is an agent of that name. A turn without
a model is a step of kind `node`. The step attribute `path` names the teams and agents around the
call, outermost first, as in `RoundRobinGroupChat/inner/planner`.

Saved states of teams are not needed and not used: resuming a GraphFlow with a loop from its state
is silently wrong in AutoGen 0.7.5, and Magentic-One cannot be resumed at all.
"""

from __future__ import annotations

from typing import Any, Final

from agentracer.adapters.autogen.advice import advise
from agentracer.adapters.autogen.hooks import install
from agentracer.adapters.kit.patching import Patches
from agentracer.frameworks.base import AppliedAdvice

__all__ = ["adapter"]


class _AutoGenAdapter:
    """See `agentracer.frameworks.base.Adapter`."""

    name = "autogen"

    def __init__(self) -> None:
        self._patches = Patches(self.name)
        self._installed = False

    def install(self) -> None:
        install(self._patches)
        self._installed = True

    def uninstall(self) -> None:
        self._patches.undo()
        self._installed = False

    def advise(self, system: Any, agent: str, text: str) -> AppliedAdvice:
        """Add `text` to the system prompt of one agent of a team, at any depth.

        Where the agent has a system message, it is extended in place, and the very same list comes
        back when the advice is retracted. Managers and agents without one get the text at each
        model call. What an agent has said before stays in its memory: reset the team, or build it
        anew, where the next run is to start afresh.
        """
        if not self._installed:
            raise RuntimeError("call agentracer.instrument('autogen') before giving advice")
        return advise(system, agent, text)


adapter: Final = _AutoGenAdapter()
