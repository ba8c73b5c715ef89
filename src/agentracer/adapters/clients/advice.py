"""Lessons for agents that are functions: they join the agent's next prompts."""

from __future__ import annotations

import threading

from agentracer.frameworks.base import AppliedAdvice

__all__ = ["advice_for", "advise", "note_agent"]

_lock = threading.Lock()
_texts: dict[str, list[str]] = {}
_agents: dict[str, None] = {}
_MOST_AGENTS = 1_000


def note_agent(name: str) -> None:
    """Remember that an agent of that name has called a model."""
    if name not in _agents and len(_agents) < _MOST_AGENTS:
        _agents[name] = None


def advice_for(agent: str) -> list[str]:
    """The advice that an agent has now, oldest first."""
    return list(_texts.get(agent, ()))


def advise(agent: str, text: str) -> AppliedAdvice:
    """Give advice to the agent of that name, in the whole process.

    Agents are known once they have called a model: before the first call, any name is taken.

    Raises:
        ValueError: agents have called a model, but none of that name.
    """
    if _agents and agent not in _agents:
        names = ", ".join(_agents)
        raise ValueError(f"no agent {agent!r} has called a model; those that have: {names}")
    with _lock:
        _texts.setdefault(agent, []).append(text)

    def retract() -> None:
        with _lock:
            texts = _texts.get(agent, [])
            if text in texts:
                texts.remove(text)
            if not texts:
                _texts.pop(agent, None)

    return AppliedAdvice(agent=agent, text=text, undo=retract)
