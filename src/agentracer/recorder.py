"""Writes one run down, event by event, as it happens.

Adapters call a `RunRecorder`; it interns messages and prompt prefixes, makes everything storable,
takes secrets out, and appends events to a journal. It knows no framework, and decides nothing
about the run: `agentracer.recording` does.

All methods are safe for threads and cheap: what they do is O(what is new), not O(history).
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from agentracer.encoding import Limits, to_json
from agentracer.redaction import Redactor
from agentracer.trace import SCHEMA_VERSION, Ending, StepKind, message_id, message_shape

__all__ = ["LineSink", "MemorySink", "RunRecorder", "describe_error", "ending_of"]

_LIMITS = Limits()


class LineSink(Protocol):
    """Where events go: a `Journal`, or a `MemorySink` where no disk can be written."""

    @property
    def dropped(self) -> Counter[str]:
        """Lines that were lost, by reason."""

    def append(self, line: bytes) -> None:
        """Keep one line."""

    def close(self) -> None:
        """No more lines will come."""

    def memory_lines(self) -> list[bytes] | None:
        """All lines, where the disk does not hold them all; None where it does."""


class MemorySink:
    """Keeps the newest events of a run in memory, where the store cannot be written."""

    def __init__(self, limit: int = 100_000) -> None:
        self.dropped: Counter[str] = Counter()
        self.lines: list[bytes] = []
        self._limit = limit

    def append(self, line: bytes) -> None:
        """Keep a line, unless there are too many already."""
        if len(self.lines) < self._limit:
            self.lines.append(line)
        else:
            self.dropped["queue"] += 1

    def close(self) -> None:
        """Nothing to do."""

    def memory_lines(self) -> list[bytes] | None:
        """All lines."""
        return self.lines


class RunRecorder:
    """One run being recorded.

    Args:
        sink: where the events go.
        redactor: takes secrets out of every string before it is hashed or written.
        trace_id: the run's id.
        header: fields of the `run` event: task, framework, ground_truth, parent, metadata.

    Attributes:
        generation: counts forks: after one, nothing that was stored before is in the trace.
    """

    def __init__(
        self, sink: LineSink, redactor: Redactor, *, trace_id: str, header: Mapping[str, Any]
    ) -> None:
        self.trace_id = trace_id
        self.sink = sink
        self._redactor = redactor
        self.generation = self._first_step = self._steps = 0
        self._reset()
        self._begin(header)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._open: Callable[[], tuple[LineSink, Mapping[str, Any]]] | None = None
        self._known_messages: set[str] = set()
        self._raw_messages: dict[tuple[Any, ...], str] = {}
        self._shapes: dict[str, str] = {}
        self._links: dict[tuple[int | None, str], int] = {}
        self._last_context: dict[str, tuple[list[str], int]] = {}
        self._agents: dict[str, str] = {}
        self._callers: dict[str, int] = {}
        self._open_steps: set[int] = set()

    def _begin(self, header: Mapping[str, Any]) -> None:
        self.started_at = time.time()
        header = {**header, "task": _as_text(header["task"])} if "task" in header else header
        fields = {
            "schema_version": SCHEMA_VERSION,
            "id": self.trace_id,
            "started_at": self.started_at,
        }
        self._event("run", **fields, **self._storable(dict(header)))

    def fork(self, trace_id: str, start: Callable[[], tuple[LineSink, Mapping[str, Any]]]) -> None:
        """Go on, in the child of a fork, as a trace of its own; it begins at its first event.

        Steps that were begun before the fork belong to the parent's trace: what is said of them
        here is not recorded.

        Args:
            trace_id: of the child's trace.
            start: gives its sink and its header.
        """
        self.trace_id = trace_id
        self.generation += 1
        self._first_step, self._steps = self._first_step + self._steps, 0
        self._reset()
        self._open = start

    @property
    def steps(self) -> int:
        """Steps begun so far."""
        return self._steps

    def update(self, **fields: Any) -> None:
        """Set header fields that were not known at the start, such as `task`."""
        self._event("update", **self._storable(fields))

    def message(
        self,
        role: str,
        content: Any = "",
        *,
        name: str | None = None,
        tool_calls: Sequence[Mapping[str, Any]] = (),
        tool_call_id: str | None = None,
        parts: Any = None,
    ) -> str:
        """Store a message, once, and return its id.

        Args:
            role: system, user, assistant, tool...
            content: its text; anything else goes to `parts` as data.
            name: who speaks.
            tool_calls: `{"id", "name", "arguments"}` each.
            tool_call_id: the call that a tool message answers.
            parts: non-text content.
        """
        plain = isinstance(content, str) and not tool_calls and parts is None
        key = (role, content, name, tool_call_id)
        if plain and (known := self._raw_messages.get(key)) is not None:
            return known
        message: dict[str, Any] = {"role": role}
        if not isinstance(content, str):
            content, parts = "", content if parts is None else [content, parts]
        fields = {
            "content": content,
            "name": name,
            "tool_calls": list(tool_calls),
            "tool_call_id": tool_call_id,
            "parts": parts,
        }
        message.update({k: v for k, v in fields.items() if v not in (None, "", [])})
        stored = self._storable(message)
        identity = message_id(stored)
        with self._lock:
            new = identity not in self._known_messages
            self._known_messages.add(identity)
            if plain:
                self._raw_messages[key] = identity
            if new and (tool_calls or tool_call_id):
                self._shapes[identity] = message_shape(stored)
        if new:
            self._event("message", id=identity, message=stored)
        return identity

    def shapes(self, messages: Sequence[str]) -> list[str]:
        """Message ids as shapes, which can be compared between runs: see `message_shape`."""
        return [self._shapes.get(identity, identity) for identity in messages]

    def agent(
        self,
        name: str,
        *,
        role: str | None = None,
        system_prompt: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Describe an agent; repeated descriptions that say nothing new cost nothing."""
        fields = {"role": role, "system_prompt": system_prompt, "tools": list(tools) or None}
        agent = {"name": name, **{k: v for k, v in fields.items() if v is not None}}
        fingerprint = f"{role}\0{system_prompt}\0{[tool.get('name') for tool in tools]}"
        with self._lock:
            if self._agents.get(name) == fingerprint:
                return
            self._agents[name] = fingerprint
        self._event("agent", agent=self._storable(agent))

    def begin_step(
        self,
        agent: str,
        *,
        kind: StepKind = "llm",
        reads: Sequence[str] | None = None,
        parent: int | None = None,
        started_at: float | None = None,
        **fields: Any,
    ) -> int:
        """Begin a step and return its index.

        Args:
            agent: who acts.
            kind: see `agentracer.trace.StepKind`.
            reads: ids of the messages of the prompt, oldest first.
            parent: the step inside which this one runs.
            started_at: seconds since the epoch; now if None.
            **fields: other fields of `agentracer.trace.Step`.
        """
        parent = self._local(parent)
        stored = self._storable({"agent": agent, "kind": kind, "parent": parent, **fields})
        step = {key: value for key, value in stored.items() if value is not None}
        if "content" in step:
            step["content"] = _as_text(step["content"])
        step["started_at"] = time.time() if started_at is None else started_at
        if reads is not None and (context := self._context(agent, reads)) is not None:
            step["reads"] = context
        with self._lock:
            index = self._steps
            self._steps += 1
            self._open_steps.add(index)
        self._event("step", index=index, step=step)
        return index + self._first_step

    def end_step(
        self, index: int, *, tool_calls: Sequence[Mapping[str, Any]] = (), **fields: Any
    ) -> None:
        """Complete a step: `content`, `error`, `usage`, and the tool calls that it asked for."""
        self.update_step(index, ended_at=time.time(), **fields)
        for call in tool_calls:
            self.tool_call(index, **call)

    def update_step(self, index: int, **fields: Any) -> None:
        """Add fields to a step that was begun before."""
        local = self._local(index)
        if local is None:
            return
        stored = self._storable({key: value for key, value in fields.items() if value is not None})
        if "content" in stored:
            stored["content"] = _as_text(stored["content"])
        if "ended_at" in stored:
            self._open_steps.discard(local)
        self._event("step", index=local, step=stored)

    def update_reads(self, index: int, reads: Sequence[str]) -> None:
        """Correct what a step reads: the prompt changed after the step had begun."""
        context = self._context("", reads)
        if context is not None:
            self.update_step(index, reads=context)

    def tool_call(self, step: int, *, id: str, **fields: Any) -> None:  # noqa: A002 - schema name
        """Add what is known of a tool call of a step: name, arguments, result, error, times."""
        local = self._local(step)
        if local is None:
            return
        call_id = str(id)
        self._callers[call_id] = step
        stored = self._storable({key: value for key, value in fields.items() if value is not None})
        self._event("tool", step=local, call={"id": self._redactor.text(call_id), **stored})

    def retry_tool_call(self, step: int, *, id: str) -> None:  # noqa: A002 - schema name
        """Begin a tool call again after an attempt that failed: its error is not the last word."""
        local = self._local(step)
        if local is not None:
            call = {"id": self._redactor.text(str(id)), "error": None, "ended_at": None}
            self._event("tool", step=local, call=call)

    def caller(self, call_id: str | None) -> int | None:
        """The step that asked for a tool call."""
        return self._callers.get(call_id) if call_id else None

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Write the last event and close the sink; a fork that recorded nothing leaves nothing.

        A step that has not ended by then, such as one of a task that nothing waits for, is marked:
        its attribute `ending` is `unfinished`.
        """
        if self._open is not None:
            return
        for index in sorted(self._open_steps):
            self._event("step", index=index, step={"attributes": {"ending": "unfinished"}})
        stored = self._storable(dict(outcome))
        if "answer" in stored:
            stored["answer"] = _as_text(stored["answer"])
        fields = {"outcome": stored, "ended_at": time.time()}
        if self.sink.dropped:
            fields["dropped"] = dict(self.sink.dropped)
        self._event("outcome", **fields)
        self.sink.close()

    def _context(self, agent: str, ids: Sequence[str]) -> int | None:
        """The index of the prompt prefix `ids`, writing the links that are new."""
        with self._lock:
            known, position = 0, None
            last = self._last_context.get(agent)
            if last is not None and list(ids[: len(last[0])]) == last[0]:
                known, position = len(last[0]), last[1]
            fresh: list[str] = []
            parent = position
            for identity in ids[known:]:
                link = self._links.get((position, identity))
                if link is None:
                    if not fresh:
                        parent = position
                    link = self._links[position, identity] = len(self._links)
                    fresh.append(identity)
                position = link
            if position is not None:
                self._last_context[agent] = (list(ids), position)
            first = len(self._links) - len(fresh)
        if fresh:
            self._event("context", first=first, parent=parent, messages=fresh)
        return position

    def _local(self, step: int | None) -> int | None:
        """The index of a step in this trace; None if it was begun before a fork."""
        if step is None or not 0 <= step - self._first_step < self._steps:
            return None
        return step - self._first_step

    def _storable(self, value: Any) -> Any:
        return to_json(value, limits=_LIMITS, text=self._redactor.text, field=self._redactor.field)

    def _event(self, event_kind: str, **fields: Any) -> None:
        if self._open is not None:
            with self._lock:
                start, self._open = self._open, None
            if start is not None:
                self.sink, header = start()
                self._begin(header)
        event = {"e": event_kind, **fields}
        self.sink.append(json.dumps(event, separators=(",", ":"), allow_nan=False).encode())


def _as_text(value: Any) -> str:
    """A value as text: agents may write structured output where others write prose."""
    return value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)


def describe_error(error: BaseException) -> dict[str, str]:
    """An exception as the fields of `agentracer.trace.ErrorInfo`."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an exception whose __str__ raises
        message = "(unprintable)"
    return {"type": type(error).__name__, "message": message}


def ending_of(error: BaseException | None) -> Ending:
    """How a run ended, by what it raised."""
    if error is None:
        return "finished"
    if isinstance(error, GeneratorExit):
        return "abandoned"
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
        return "cancelled"
    return "raised"
