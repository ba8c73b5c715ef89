"""Lessons for agents of CAMEL systems: text at the end of a system message.

The agent gets another system message, and so does the copy of it in its memory; nothing else that
it remembers is touched. Taking the last lesson back puts the very same message object back. A pool
of clones is advised with the agent that it was made from. Works without `instrument()`.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

from agentracer.adapters.camel.scope import members, pooled
from agentracer.frameworks.base import Advice

__all__ = ["give"]


class _Ledger:
    """The lessons of one agent, and the system message that it had before the first."""

    def __init__(self, original: Any) -> None:
        self.original = original
        self.advised = original
        self.texts: list[str] = []


_ledgers: Final[weakref.WeakKeyDictionary[Any, _Ledger]] = weakref.WeakKeyDictionary()


def give(system: Any, name: str, text: str) -> Advice:
    """Advise one agent of a Workforce, a RolePlaying, a ChatAgent, or a collection of them.

    Raises:
        ValueError: the system has no agent of that name.
    """
    known = dict(members(system))
    agent = known.get(name)
    if agent is None:
        raise ValueError(
            f"no agent {name!r} in this system; there are {', '.join(known) or 'none'}"
        )
    for one in (agent, *pooled(system, agent)):
        _add(one, text)

    def retract() -> None:
        # Clones of the pool that were made since have the advised message from the start.
        before = _ledgers[agent].advised
        for one in (agent, *pooled(system, agent)):
            if one is not agent and one not in _ledgers and one._system_message is before:
                _ledgers[one] = _copy(_ledgers[agent])
        for one in (agent, *pooled(system, agent)):
            _remove(one, text)

    return Advice(agent=name, text=text, undo=retract)


def _add(agent: Any, text: str) -> None:
    ledger = _ledgers.get(agent)
    if ledger is None or agent._system_message is not ledger.advised:
        ledger = _ledgers[agent] = _Ledger(agent._system_message)
    ledger.texts.append(text)
    _apply(agent, ledger)


def _remove(agent: Any, text: str) -> None:
    ledger = _ledgers.get(agent)
    if ledger is None or text not in ledger.texts:
        return
    ledger.texts.remove(text)
    if agent._system_message is ledger.advised:  # else the program has given it another one since
        _apply(agent, ledger)
    if not ledger.texts:
        del _ledgers[agent]


def _apply(agent: Any, ledger: _Ledger) -> None:
    before = agent._system_message
    ledger.advised = _message(ledger.original, ledger.texts) if ledger.texts else ledger.original
    agent._system_message = ledger.advised
    _replace_in_memory(agent, before, ledger.advised)


def _message(original: Any, texts: list[str]) -> Any:
    advice = "\n\n".join(texts)
    if original is not None:
        return original.create_new_instance(f"{original.content}\n\n{advice}")
    from camel.messages import BaseMessage

    return BaseMessage.make_system_message(advice)


def _copy(ledger: _Ledger) -> _Ledger:
    copied = _Ledger(ledger.original)
    copied.advised, copied.texts = ledger.advised, list(ledger.texts)
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
    return [found.memory_record for found in agent.memory.retrieve()]
