"""Feedback: a text in front of one agent, until it is retracted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from autogen_agentchat.base import ChatAgent, Team
from autogen_core.models import SystemMessage

from agentracer.adapters.autogen import convert
from agentracer.frameworks.base import AppliedAdvice

__all__ = ["advise", "advised", "agents_of"]


class _Advised:
    """All advice that one agent has now."""

    def __init__(self, owner: Any, original: list[Any] | None) -> None:
        self.owner, self.original = owner, original
        self.texts: list[str] = []

    def apply(self) -> None:
        """Write the advice into the agent's system message, or take it out again."""
        if self.original is None:
            return
        if self.texts:
            self.owner._system_messages = convert.with_advice(
                self.original, "\n\n".join(self.texts)
            )
        else:
            self.owner._system_messages = self.original


_advised: dict[tuple[int, str], _Advised] = {}


def advise(system: Any, agent: str, text: str) -> AppliedAdvice:
    """Give advice to every agent of that name (or at that path) in `system`."""
    agents = list(agents_of(system))
    meant = {(id(owner), name): owner for name, path, owner in agents if agent in (name, path)}
    if not meant:
        names = ", ".join(dict.fromkeys(name for name, _, _ in agents))
        raise ValueError(f"no agent {agent!r} in this system; there are {names}")
    for key, owner in meant.items():
        entry = _advised.setdefault(key, _Advised(owner, _system_messages(owner)))
        entry.texts.append(text)
        entry.apply()

    def retract() -> None:
        for key in meant:
            entry = _advised[key]
            entry.texts.remove(text)
            entry.apply()
            if not entry.texts:
                del _advised[key]

    return AppliedAdvice(agent=agent, text=text, undo=retract)


def advised(owner: Any, agent: str, messages: list[Any]) -> list[Any]:
    """The prompt with advice, where it could not be put into the agent itself."""
    entry = _advised.get((id(owner), agent)) if _advised else None
    if entry is None or entry.original is not None:
        return messages
    return convert.with_advice(messages, "\n\n".join(entry.texts))


def agents_of(system: Any, around: str = "") -> Iterator[tuple[str, str, Any]]:
    """The agents of a team or an agent, at any depth: name, path, and object.

    A manager's object is its team.
    """
    place = f"{around}/{system.name}" if around else str(system.name)
    inner: Sequence[Any]
    if isinstance(system, Team):
        inner = getattr(system, "_participants", ())
        manager = getattr(system, "_group_chat_manager_name", None)
        if manager and getattr(system, "_model_client", None) is not None:
            yield manager, f"{place}/{manager}", system
    elif isinstance(system, ChatAgent):
        yield str(system.name), place, system
        inner = [getattr(system, "_team", None), getattr(system, "_wrapped_agent", None)]
        inner += [tool._task_runner for tool in convert.agent_tools(system)]
    else:
        return
    for part in inner:
        if part is not None:
            yield from agents_of(part, place)


def _system_messages(owner: Any) -> list[Any] | None:
    """The agent's own system messages, where it keeps them in the usual place."""
    messages = getattr(owner, "_system_messages", None)
    if isinstance(messages, list) and all(isinstance(item, SystemMessage) for item in messages):
        return messages
    return None
