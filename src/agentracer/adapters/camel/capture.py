"""What the agents of a CAMEL run do, as events of a recorder.

One step of kind `llm` is one model call of one agent; the tool calls that it asked for are attached
as they run. Everything here is called from the seams, inside a guard.

Step attributes: `path`, the societies and then the agent, such as `team/coordinator_agent`;
`terminated` with the reason where CAMEL ended a turn; `reasoning`; what `societies` adds.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from agentracer.adapters.camel import convert
from agentracer.adapters.camel.scope import RunState, Scope, current_scope
from agentracer.adapters.kit.calls import ModelStep, ToolStep
from agentracer.adapters.kit.scope import RunScope
from agentracer.adapters.kit.text import tool_spec
from agentracer.adapters.kit.wrapping import Call
from agentracer.recording import Run, current_run
from agentracer.replay.session import ModelAnswer

__all__ = [
    "Capture",
    "End",
    "EnteredCall",
    "Entry",
    "OpenModelCall",
    "ToolRun",
    "Turn",
    "describe",
    "place_of_call",
]


@dataclasses.dataclass(slots=True)
class Turn:
    """One `step` of one agent: its model calls and tools."""

    agent: Any
    name: str
    path: str
    calls: dict[str, int] = dataclasses.field(default_factory=dict)
    step: int | None = None
    text: str = ""
    open_call: OpenModelCall | None = None


@dataclasses.dataclass(slots=True)
class ToolRun:
    """One tool call that runs."""

    call: ToolStep
    error: BaseException | None = None
    answered_error: dict[str, str] | None = None


@dataclasses.dataclass(slots=True)
class Entry:
    """Something of the framework that runs: entered, and to be left.

    Attributes:
        place: where what runs inside is.
        root: the run that ends with it; None if another entry of ours encloses it.
        subject: what is entered.
    """

    place: Scope
    root: RunScope | None = None
    subject: Any = None


End: TypeAlias = Callable[[Entry, Any, BaseException | None], None]
"""Told how what was entered has ended: with a result or an error."""


class EnteredCall(Call):
    """A call of a method that enters something of the framework."""

    variable = current_scope

    def __init__(
        self, entry: Entry, end: End, owner: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        super().__init__(owner, args, kwargs)
        self._entry, self._end, self.value = entry, end, entry.place

    def close(self, result: Any, error: BaseException | None) -> None:
        """It is left."""
        self._end(self._entry, result, error)


@dataclasses.dataclass(slots=True)
class OpenModelCall:
    """One model call."""

    place: Scope
    step: ModelStep
    turn: Turn | None
    ended: bool = False
    text: list[str] = dataclasses.field(default_factory=list)

    def close(self) -> bool:
        """Note that it has ended; False if it had before."""
        ended, self.ended = self.ended, True
        if self.turn is not None and self.turn.open_call is self:
            self.turn.open_call = None
        return not ended

    @property
    def answer(self) -> ModelAnswer | None:
        """What a replay gives instead."""
        return self.step.answer


class Capture:
    """Keeps what spans several calls: the states of runs."""

    def __init__(self) -> None:
        self._states: weakref.WeakKeyDictionary[Run, RunState] = weakref.WeakKeyDictionary()

    # -- scopes

    def enter(self, task: Callable[[], str | None]) -> Entry:
        """The place that encloses the caller, or a new run."""
        here, ambient = current_scope.get(), current_run()
        goes_on = here is not None and not here.state.finished
        if here is not None and goes_on and (ambient is None or ambient is here.ambient):
            return Entry(here)
        root = RunScope("camel", ambient)
        run = root.open(task())
        state = self._states.setdefault(run, RunState())
        return Entry(Scope(run, state, ambient), root)

    def leave(
        self, entry: Entry, result: Any, answer: str | None, error: BaseException | None
    ) -> None:
        """What was entered has ended; the run too, if it was opened for it."""
        if entry.root is not None:
            entry.place.state.finished = entry.root.owned
            entry.root.end(result, answer, error)

    # -- turns of agents

    def begin_turn(self, agent: Any, message: Any = None, *_: Any, **__: Any) -> Entry:
        """An agent's `step` begins."""
        entry = self.enter(lambda: convert.message_text(message))
        place = entry.place
        path = place.path
        if place.turn is not None:  # called as a tool, or by CAMEL on behalf of another agent
            path = (*path, place.turn.name)
        place = dataclasses.replace(place, path=path, turn=None)
        name = place.state.name(agent, place)
        turn = Turn(agent, name, "/".join((*path, name)))
        entry.place = dataclasses.replace(place, turn=turn, tool=None)
        entry.subject = turn
        return entry

    def end_turn(self, entry: Entry, response: Any, error: BaseException | None) -> None:
        """It ends: with a response, an exception, or because its stream is read no further."""
        turn: Turn = entry.subject
        if turn.open_call is not None:
            self.end_call(turn.open_call)
        if response is not None and getattr(response, "terminated", False):
            _note_termination(entry, turn, response)
        self.leave(entry, response, turn.text or convert.response_text(response), error)

    # -- model calls

    def begin_call(
        self, place: Scope, backend: Any, reads: Sequence[str], **fields: Any
    ) -> OpenModelCall:
        """A model is called; `fields` are those of `ModelStep`."""
        turn = place.turn
        name, path = place_of_call(place, backend)
        step = ModelStep(
            place.run,
            name,
            reads,
            path=path,
            parent=place.step,
            attributes={**place.attributes, **place.inside_call},
            **fields,
        )
        call = OpenModelCall(place, step, turn)
        if turn is not None:
            turn.step, turn.open_call = step.index, call
        if "purpose" in place.attributes:
            task = place.attributes.get("task")
            place.state.steps[place.attributes["purpose"], task] = step.index
        return call

    def end_call(
        self, call: OpenModelCall, response: Any = None, error: BaseException | None = None
    ) -> None:
        """It has answered, raised, or its stream is read no further."""
        if not call.close():
            return
        if isinstance(error, Exception):
            call.step.end(error, content="".join(call.text))
            return
        choices = getattr(response, "choices", None)
        if not choices:
            self._close_call(call, "".join(call.text), ())
            return
        message = choices[0].message
        thought = getattr(message, "reasoning_content", None)
        others = [choice.message.content for choice in choices[1:]]
        extra = {"reasoning": thought, "other_choices": others}
        self._close_call(
            call,
            message.content or "",
            convert.requests_in(message),
            usage=convert.usage_fields(response.usage),
            attributes={key: value for key, value in extra.items() if value} or None,
        )

    def _close_call(
        self, call: OpenModelCall, text: str, requests: Sequence[Mapping[str, Any]], **fields: Any
    ) -> None:
        if call.turn is not None:
            call.turn.text = text
            call.turn.calls.update((request["id"], call.step.index) for request in requests)
        call.step.end(content=text, tool_calls=requests, **fields)

    def end_stream(
        self, call: OpenModelCall, text: str, requests: Sequence[Mapping[str, Any]], thought: str
    ) -> None:
        """A stream has said all; its token counts may follow."""
        if call.close():
            attributes = {"reasoning": thought} if thought else None
            self._close_call(call, text, requests, attributes=attributes)

    # -- tools

    def begin_tool(self, place: Scope, name: str, arguments: Any, call_id: str) -> Scope:
        """A tool runs; gives the place inside it."""
        turn = place.turn
        step = ToolStep(
            place.run,
            turn.name if turn is not None else "tools",
            name,
            arguments,
            call_id=call_id,
            step=turn.calls.get(call_id) if turn is not None else None,
            path=turn.path if turn is not None else "",
            parent=place.step,
            attributes={**place.attributes, **place.inside_call},
        )
        inside = {"inside_call": step.call_id}
        return dataclasses.replace(place, step=step.index, inside_call=inside, tool=ToolRun(step))

    def end_tool(self, place: Scope, record: Any) -> None:
        """It has returned, or its exception was turned into text."""
        tool = place.tool
        if tool is not None:
            result, error = convert.tool_result(record, tool.error)
            tool.call.end(result, tool.answered_error or error)


# -- prompts


def place_of_call(place: Scope, backend: Any) -> tuple[str, str]:
    """Who makes a model call, and where; code outside of any agent goes by the model's name."""
    if place.turn is not None:
        return place.turn.name, place.turn.path
    name = convert.short(getattr(backend, "model_type", None) or type(backend).__name__)
    return name, "/".join((*place.path, name))


def describe(place: Scope, name: str, system: str | None, tools: Sequence[Any]) -> list[str]:
    """Describe an agent; gives the names of the tools that it is offered."""
    specs = [tool_spec(tool) for tool in tools]
    names, recorder = [spec["name"] for spec in specs], place.run.recorder
    role = getattr(place.turn.agent, "role_name", None) if place.turn is not None else None
    recorder.agent(name, role=role, system_prompt=system, tools=specs)
    return names


# -- small pieces


def _note_termination(entry: Entry, turn: Turn, response: Any) -> None:
    info = getattr(response, "info", None) or {}
    reason = ", ".join(map(str, info.get("termination_reasons") or ())) or info.get("error")
    recorder = entry.place.run.recorder
    if turn.step is not None:
        recorder.update_step(turn.step, attributes={"terminated": reason or True})
        return
    recorder.agent(turn.name)
    attributes = {"path": turn.path, **entry.place.attributes, "terminated": reason or True}
    step = recorder.begin_step(turn.name, kind="node", attributes=attributes)
    recorder.end_step(step, error={"type": "StepTerminated", "message": str(reason or "")})
