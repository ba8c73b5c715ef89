"""Decides, for each model and tool call of a rerun: from the record, overridden, or live.

This is *forced prefix* replay. The system is run again from its task. Every call of a step that had
finished before the target step began is answered from the record; the target is overridden; what
comes after runs live. Calls are matched by (agent, place, kind) and their turn within it, never by
a global index, and where an agent runs several times at once, by what was read.

It knows traces and no framework: adapters ask it at their seams and translate its answers.
"""

from __future__ import annotations

import builtins
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentracer.trace import ErrorInfo, Message, Step, ToolCall, ToolRequest, Trace, message_shape

__all__ = [
    "HANDOFF",
    "UNSET",
    "ModelAnswer",
    "Override",
    "ReplaySession",
    "ToolAnswer",
    "recorded_error",
]

UNSET: Final = object()
"""Stands for "no result given", since a tool may well return None."""

HANDOFF: Final = "$goto"
"""Key of a tool result that hands over to another agent. Such a tool is part of how the system is
wired, so it runs again in a replay rather than being answered."""

Mode = Literal["recorded", "override"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What one step should have done instead.

    Attributes:
        step: index of the step in the recorded trace.
        content: what it writes (for structured output: the JSON text). It then asks for no tool
            calls, unless `tool_calls` says so.
        tool_calls: all tool calls that it asks for, in place of the recorded ones.
        call: position of the one tool call that `arguments` and `result` are about.
        arguments: that call's arguments; the tool then really runs with them.
        result: what that call returns; the tool does not run.
    """

    step: int
    content: str | None = None
    tool_calls: Sequence[ToolRequest] | None = None
    call: int = 0
    arguments: Any = UNSET
    result: Any = UNSET

    def check(self, trace: Trace) -> None:
        """Raise `ValueError` where the override does not fit the trace."""
        if not 0 <= self.step < len(trace.steps):
            raise ValueError(
                f"there is no step {self.step}: the trace has {len(trace.steps)} steps, 0-based"
            )
        step = trace.steps[self.step]
        if self.arguments is UNSET and self.result is UNSET:
            if self.content is None and self.tool_calls is None:
                raise ValueError(
                    "an override changes something: content, tool_calls, arguments or result"
                )
        elif not 0 <= self.call < len(step.tool_calls):
            raise ValueError(
                f"step {self.step} has {len(step.tool_calls)} tool calls, no {self.call}"
            )
        if step.kind == "node":
            raise ValueError(
                f"step {self.step} is plain code of the system (kind `node`): there is no model or "
                "tool call to answer differently"
            )


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model call is answered with instead of calling the model."""

    step: int
    mode: Mode
    content: str
    tool_calls: tuple[ToolRequest, ...]
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a tool call is answered with instead of running the tool."""

    step: int
    mode: Mode
    result: Any = None
    error: ErrorInfo | None = None


class ReplaySession:
    """One rerun of one trace. Safe for threads.

    Args:
        trace: the record.
        override: what to change; None replays the whole record.

    Attributes:
        divergences: where the rerun asked for something that the record does not have, or read
            something else than was read then; one sentence each.
        answered: how many calls were answered without running anything.
        live: how many calls ran.
    """

    def __init__(self, trace: Trace, override: Override | None = None) -> None:
        self._trace, self._override = trace, override
        self._target = override.step if override is not None else len(trace.steps)
        self._target_reached = override is None
        self._lock = threading.Lock()
        self._models: dict[tuple[str, str], list[Step]] = defaultdict(list)
        self._tools: dict[tuple[str, str], list[tuple[Step, int]]] = defaultdict(list)
        self._calls: dict[str, deque[tuple[Step, int]]] = defaultdict(deque)
        self._shapes = {name: _shape(name, m) for name, m in trace.observed.messages.items()}
        self.divergences: list[str] = []
        self.answered = self.live = 0
        for step in trace.steps:
            self._index(step)

    def model_call(self, agent: str, reads: Sequence[str], *, path: str = "") -> ModelAnswer | None:
        """Answer a model call, or None to let it run.

        Args:
            agent: who calls.
            reads: the messages of the prompt, as `RunRecorder.shapes` gives them.
            path: the place in the system, as in `Step.attributes["path"]`.
        """
        with self._lock:
            lane = self._models.get((agent, path), [])
            step = self._take(lane, list(reads))
            if step is None:
                self._count_live(f"{agent} makes a model call more than was recorded")
                return None
            if not self._answerable(step):
                self._count_live(None)
                return None
            if list(reads) != self._reads(step):
                self._note(f"{agent} reads another prompt than at step {step.index} of the record")
            self.answered += 1
            if step.index == self._target:
                self._target_reached = True
                return self._overridden(step)
            calls = tuple(_request(call) for call in step.tool_calls)
            return ModelAnswer(step.index, "recorded", step.content, calls, step.error)

    def tool_call(
        self, agent: str, name: str, arguments: Any, *, call_id: str | None = None, path: str = ""
    ) -> ToolAnswer | None:
        """Answer a tool call, or None to let the tool run.

        Args:
            agent: on whose behalf it runs.
            name: the tool.
            arguments: as JSON data.
            call_id: the id under which a model asked for it, if one did.
            path: the place in the system.
        """
        with self._lock:
            found = self._find_call(agent, name, arguments, call_id, path)
            if found is None:
                self._count_live(f"{agent} runs {name} more often than was recorded")
                return None
            step, position = found
            if not self._answerable(step):
                self._count_live(None)
                return None
            override = self._override
            if override is not None and step.index == self._target:
                self._target_reached = True
                if override.content is not None or override.tool_calls is not None:
                    self._count_live(None)
                    return None
                if position == override.call and override.result is not UNSET:
                    self.answered += 1
                    return ToolAnswer(step.index, "override", override.result)
                if position == override.call and override.arguments is not UNSET:
                    self._count_live(None)
                    return None
            call = step.tool_calls[position]
            never_finished = call.result is None and call.error is None and call.ended_at is None
            if never_finished or _is_handoff(call.result):
                self._count_live(None)
                return None
            if not _restorable(call.result):
                self._count_live(f"{agent} runs {name}, whose result cannot be restored from JSON")
                return None
            self.answered += 1
            return ToolAnswer(step.index, "recorded", call.result, call.error)

    def finish(self) -> list[str]:
        """All divergences, after the rerun has ended."""
        if not self._target_reached:
            self._note(f"the rerun ended before it came to step {self._target}")
        return self.divergences

    # -- matching

    def _index(self, step: Step) -> None:
        path = str(step.attributes.get("path", ""))
        if step.kind == "llm":
            self._models[step.agent, path].append(step)
        for position, call in enumerate(step.tool_calls):
            if step.kind == "llm":
                self._calls[call.id].append((step, position))
            else:
                self._tools[path or step.agent, call.name].append((step, position))

    def _take(self, lane: list[Step], reads: list[str]) -> Step | None:
        """The recorded turn that this call repeats: one that read the same, else the next."""
        if not lane:
            return None
        same = (i for i, step in enumerate(lane) if self._reads(step) == reads)
        return lane.pop(next(same, 0))

    def _find_call(
        self, agent: str, name: str, arguments: Any, call_id: str | None, path: str
    ) -> tuple[Step, int] | None:
        asked = self._calls.get(call_id) if call_id else None
        if asked:
            return asked.popleft() if len(asked) > 1 else asked[0]
        lane = self._tools.get((path or agent, name), [])
        same = (i for i, (s, p) in enumerate(lane) if s.tool_calls[p].arguments == arguments)
        return lane.pop(next(same, 0)) if lane else None

    def _answerable(self, step: Step) -> bool:
        """Whether a step is the target, or had finished before the target began."""
        if step.index == self._target:
            return True
        if step.index > self._target:
            return False
        if self._target >= len(self._trace.steps):
            return True
        began = self._trace.steps[self._target].started_at
        return began is None or step.ended_at is None or step.ended_at <= began

    def _reads(self, step: Step) -> list[str]:
        observed, position, ids = self._trace.observed, step.reads, []
        while position is not None:
            link = observed.contexts[position]
            ids.append(self._shapes[link.message])
            position = link.parent
        return ids[::-1]

    # -- answers

    def _overridden(self, step: Step) -> ModelAnswer:
        override = self._override
        calls: Sequence[ToolRequest] = [_request(call) for call in step.tool_calls]
        content = step.content
        if override is not None:
            if override.content is not None:
                content, calls = override.content, ()
            if override.tool_calls is not None:
                calls = override.tool_calls
            elif override.arguments is not UNSET:
                calls = [
                    call.model_copy(update={"arguments": override.arguments})
                    if position == override.call
                    else call
                    for position, call in enumerate(calls)
                ]
        return ModelAnswer(step.index, "override", content, tuple(calls))

    def _count_live(self, unrecorded: str | None) -> None:
        """Count a live call; before the target, one that is not in the record is a divergence."""
        self.live += 1
        if unrecorded is not None and not self._target_reached:
            self._note(unrecorded)

    def _note(self, divergence: str) -> None:
        if divergence not in self.divergences:
            self.divergences.append(divergence)


def recorded_error(error: ErrorInfo) -> Exception:
    """A recorded error as an exception to raise: the builtin of that name, or one made for it."""
    known = getattr(builtins, error.type, None)
    if isinstance(known, type) and issubclass(known, Exception):
        return known(error.message)
    made: type[Exception] = type(error.type, (RuntimeError,), {"__doc__": "Raised by a replay."})
    return made(error.message)


def _shape(identity: str, message: Message) -> str:
    if not message.tool_calls and message.tool_call_id is None:
        return identity
    return message_shape(message.model_dump(mode="json", exclude_defaults=True))


def _is_handoff(result: Any) -> bool:
    return isinstance(result, dict) and HANDOFF in result


def _restorable(result: Any) -> bool:
    """Whether a recorded result is what the tool returned, not a description of it."""
    if isinstance(result, dict):
        return not any(key.startswith("$") for key in result) and all(
            _restorable(item) for item in result.values()
        )
    return all(_restorable(item) for item in result) if isinstance(result, list) else True


def _request(call: ToolCall) -> ToolRequest:
    return ToolRequest(id=call.id, name=call.name, arguments=call.arguments)
