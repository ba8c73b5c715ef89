"""AppliedAdvice for agents of CAMEL systems: text at the end of a system message.

The agent gets another system message, and so does the copy of it in its memory; nothing else that
it remembers is touched. Taking the last advice back puts the very same message object back. A pool
of clones is advised with the agent that it was made from. Works without `instrument()`.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from agentracer.adapters.camel.scope import members, pooled
from agentracer.frameworks.base import AppliedAdvice

__all__ = ["give"]


class _AgentAdvice:
    """The advice of one agent, and the system message that it had before the first."""

    def __init__(self, original: Any) -> None:
        self.original = original
        self.advised = original
        self.texts: list[str] = []


_advice_by_agent: Final[weakref.WeakKeyDictionary[Any, _AgentAdvice]] = weakref.WeakKeyDictionary()


def give(system: Any, name: str, text: str) -> AppliedAdvice:
    """Advise one agent of a Workforce, a RolePlaying, a ChatAgent, or a collection of them.

    Raises:
        ValueError: the system has no agent of that name.
    """
    agents = dict(members(system))
    agent = agents.get(name)
    if agent is None:
        raise ValueError(
            f"no agent {name!r} in this system; there are {', '.join(agents) or 'none'}"
        )
    for member in (agent, *pooled(system, agent)):
        _add(member, text)

    def retract() -> None:
        # Clones of the pool that were made since have the advised message from the start.
        before = _advice_by_agent[agent].advised
        for member in (agent, *pooled(system, agent)):
            if (
                member is not agent
                and member not in _advice_by_agent
                and member._system_message is before
            ):
                _advice_by_agent[member] = _copy(_advice_by_agent[agent])
        for member in (agent, *pooled(system, agent)):
            _remove(member, text)

    return AppliedAdvice(agent=name, text=text, undo=retract)


def _add(agent: Any, text: str) -> None:
    entry = _advice_by_agent.get(agent)
    if entry is None or agent._system_message is not entry.advised:
        entry = _advice_by_agent[agent] = _AgentAdvice(agent._system_message)
    entry.texts.append(text)
    _apply(agent, entry)


def _remove(agent: Any, text: str) -> None:
    entry = _advice_by_agent.get(agent)
    if entry is None or text not in entry.texts:
        return
    entry.texts.remove(text)
    if agent._system_message is entry.advised:  # else the program has given it another one since
        _apply(agent, entry)
    if not entry.texts:
        del _advice_by_agent[agent]


def _apply(agent: Any, entry: _AgentAdvice) -> None:
    before = agent._system_message
    entry.advised = _message(entry.original, entry.texts) if entry.texts else entry.original
    agent._system_message = entry.advised
    _replace_in_memory(agent, before, entry.advised)


def _message(original: Any, texts: list[str]) -> Any:
    advice = "\n\n".join(texts)
    if original is not None:
        return original.create_new_instance(f"{original.content}\n\n{advice}")
    from camel.messages import BaseMessage

    return BaseMessage.make_system_message(advice)


def _copy(entry: _AgentAdvice) -> _AgentAdvice:
    copied = _AgentAdvice(entry.original)
    copied.advised, copied.texts = entry.advised, list(entry.texts)
    return copied


def _replace_in_memory(agent: Any, before: Any, after: Any) -> None:
    """Exchange the system message at the start of what an agent remembers."""
    from camel.memories import MemoryRecord
    from camel.types import OpenAIBackendRole

    records = _records(agent)
    if before is not None and not any(_is_system(record, before) for record in records):
        return  # this memory keeps none; the next reset of the agent puts the new one in
    kept = [record for record in records if before is None or not _is_system(record, before)]
    agent.memory.clear()
    if after is not None:
        fresh = MemoryRecord(
            message=after, role_at_backend=OpenAIBackendRole.SYSTEM, agent_id=agent.agent_id
        )
        agent.memory.write_record(fresh)
    if kept:
        agent.memory.write_records(kept)


def _is_system(record: Any, message: Any) -> bool:
    at_start: bool = record.role_at_backend.value == "system"
    return at_start and record.message.content == message.content


def _records(agent: Any) -> list[Any]:
    """Everything that an agent remembers; not only what fits its window."""
    from camel.memories import MemoryRecord

    storage = getattr(getattr(agent.memory, "_chat_history_block", None), "storage", None)
    if storage is not None:
        return [MemoryRecord.from_dict(record) for record in storage.load()]
    return [record.memory_record for record in agent.memory.retrieve()]
