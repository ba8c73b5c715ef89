"""What the agents of a CAMEL run do, as events of a recorder.

One step of kind `llm` is one model call of one agent; the tool calls that it asked for are attached
as they run. Everything here is called from the seams, inside a guard.

Step attributes: `path`, the societies and then the agent, such as `team/coordinator_agent`;
`terminated` with the reason where CAMEL ended a turn; `reasoning`; what `societies` adds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentracer.adapters.camel import shapes
from agentracer.adapters.camel.places import HERE, Place, RunState
from agentracer.recorder import RunRecorder, describe_error
from agentracer.recording import Run, current_run, open_run

__all__ = [
    "Call",
    "Capture",
    "Scope",
    "ToolRun",
    "Turn",
    "describe",
    "ending_of",
    "place_of_call",
    "read_ids",
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
    open_call: Call | None = None


@dataclasses.dataclass(slots=True)
class ToolRun:
    """One tool call that runs."""

    step: int
    call_id: str
    error: BaseException | None = None
    answered_error: dict[str, str] | None = None


@dataclasses.dataclass(slots=True)
class Scope:
    """Something of the framework that runs: entered, and to be left.

    Attributes:
        place: where what runs inside is.
        top: no other scope of ours encloses it.
        owned: the run was opened for it, and ends with it.
    """

    place: Place
    top: bool = False
    owned: bool = False
    subject: Any = None


@dataclasses.dataclass(slots=True)
class Call:
    """One model call."""

    place: Place
    recorder: RunRecorder
    step: int
    turn: Turn | None
    ended: bool = False
    text: list[str] = dataclasses.field(default_factory=list)


class Capture:
    """Keeps what spans several calls: the states of runs, and turns that change thread."""

    def __init__(self) -> None:
        self._states: weakref.WeakKeyDictionary[Run, RunState] = weakref.WeakKeyDictionary()
        self._handed_over: dict[int, Place] = {}

    # -- scopes

    def enter(self, task: Callable[[], str | None]) -> Scope:
        """The place that encloses the caller, or a new run."""
        here, ambient = HERE.get(), current_run()
        goes_on = here is not None and not here.state.finished
        if here is not None and goes_on and (ambient is None or ambient is here.ambient):
            return Scope(here)
        owned = ambient is None
        run = open_run(framework="camel", task=task()) if ambient is None else ambient
        if not owned:
            run.describe(task=task(), framework="camel")
        state = self._states.setdefault(run, RunState())
        return Scope(Place(run, state, ambient), top=True, owned=owned)

    def leave(
        self, scope: Scope, result: Any, answer: str | None, error: BaseException | None
    ) -> None:
        """What was entered has ended; the run too, if it was opened for it."""
        run = scope.place.run
        if scope.top and error is None:
            run.framework_ended(result, answer)
        if scope.owned:
            scope.place.state.finished = True
            run.finish(ending_of(error), error if isinstance(error, Exception) else None)

    # -- turns of agents

    def begin_turn(self, agent: Any, message: Any = None, *_: Any, **__: Any) -> Scope:
        """An agent's `step` begins."""
        scope = self.enter(lambda: shapes.message_text(message))
        place = scope.place
        path = place.path
        if place.turn is not None:  # called as a tool, or by CAMEL on behalf of another agent
            path = (*path, place.turn.name)
        place = dataclasses.replace(place, path=path, turn=None)
        name = place.state.name(agent, place)
        turn = Turn(agent, name, "/".join((*path, name)))
        scope.place = dataclasses.replace(place, turn=turn, tool=None)
        scope.subject = turn
        self._handed_over[id(agent)] = scope.place
        return scope

    def end_turn(self, scope: Scope, response: Any, error: BaseException | None) -> None:
        """It ends: with a response, an exception, or because nobody reads its stream further."""
        turn: Turn = scope.subject
        if self._handed_over.get(id(turn.agent)) is scope.place:
            del self._handed_over[id(turn.agent)]
        if turn.open_call is not None:
            self.end_call(turn.open_call)
        if response is not None and getattr(response, "terminated", False):
            _note_termination(scope, turn, response)
        self.leave(scope, response, turn.text or shapes.said(response), error)

    # -- places that are handed over by hand

    def handed_over(self, agent: Any) -> Place | None:
        """The place of an agent's turn, for a thread that CAMEL started without its context."""
        here = HERE.get()
        if here is not None and here.turn is not None and here.turn.agent is agent:
            return None
        return self._handed_over.get(id(agent))

    # -- model calls

    def begin_call(self, place: Place, backend: Any, reads: Sequence[str], **fields: Any) -> Call:
        """A model is called; `fields` are the step's."""
        recorder, turn = place.state.recorder(place.run), place.turn
        name, path = place_of_call(place, backend)
        attributes = {"path": path, **place.attributes, **fields.pop("attributes", {})}
        step = recorder.begin_step(
            name, reads=reads, parent=place.step, attributes=attributes, **fields
        )
        call = Call(place, recorder, step, turn)
        if turn is not None:
            turn.step, turn.open_call = step, call
        if "purpose" in attributes:
            place.state.steps[attributes["purpose"], attributes.get("task")] = step
        return call

    def end_call(
        self, call: Call, response: Any = None, error: BaseException | None = None
    ) -> None:
        """It has answered, raised, or its stream is read no further."""
        if call.ended:
            return
        call.ended = True
        turn = call.turn
        if turn is not None and turn.open_call is call:
            turn.open_call = None
        if isinstance(error, Exception):
            call.recorder.end_step(
                call.step, content="".join(call.text), error=describe_error(error)
            )
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
            shapes.requests_in(message),
            usage=shapes.usage_fields(response.usage),
            attributes={key: value for key, value in extra.items() if value} or None,
        )

    def _close_call(
        self, call: Call, text: str, requests: Sequence[Mapping[str, Any]], **fields: Any
    ) -> None:
        if call.turn is not None:
            call.turn.text = text
            call.turn.calls.update((request["id"], call.step) for request in requests)
        call.recorder.end_step(call.step, content=text, tool_calls=requests, **fields)

    def end_stream(
        self, call: Call, text: str, requests: Sequence[Mapping[str, Any]], thought: str
    ) -> None:
        """A stream has said all; its token counts may follow."""
        if not call.ended:
            call.ended = True
            if call.turn is not None and call.turn.open_call is call:
                call.turn.open_call = None
            attributes = {"reasoning": thought} if thought else None
            self._close_call(call, text, requests, attributes=attributes)

    # -- tools

    def begin_tool(
        self, place: Place, name: str, arguments: Any, call_id: str
    ) -> tuple[Place, ToolRun]:
        """A tool runs."""
        recorder, turn = place.state.recorder(place.run), place.turn
        step = turn.calls.get(call_id) if turn is not None else None
        if step is None:
            step = recorder.begin_step(
                turn.name if turn is not None else "tools",
                kind="tool",
                parent=place.step,
                attributes={"path": turn.path if turn is not None else "", **place.attributes},
            )
            recorder.tool_call(step, id=call_id, name=name, arguments=arguments)
        recorder.tool_call(step, id=call_id, started_at=time.time())
        tool = ToolRun(step, call_id)
        return dataclasses.replace(place, step=step, tool=tool), tool

    def end_tool(self, place: Place, record: Any) -> None:
        """It has returned, or its exception was turned into text."""
        tool = place.tool
        if tool is not None:
            result, error = shapes.tool_result(record, tool.error)
            error = tool.answered_error or error
            place.state.recorder(place.run).tool_call(
                tool.step, id=tool.call_id, result=result, error=error, ended_at=time.time()
            )


# -- prompts


def place_of_call(place: Place, backend: Any) -> tuple[str, str]:
    """Who makes a model call, and where; code outside of any agent goes by the model's name."""
    if place.turn is not None:
        return place.turn.name, place.turn.path
    name = shapes.short(getattr(backend, "model_type", None) or type(backend).__name__)
    return name, "/".join((*place.path, name))


def describe(place: Place, name: str, system: str | None, tools: Sequence[Any]) -> list[str]:
    """Describe an agent where it says something new; the names of the tools offered."""
    names = [shapes.tool_name(tool) for tool in tools]
    fingerprint = (system, *names)
    if place.state.described.get(name) != fingerprint:
        place.state.described[name] = fingerprint
        role = getattr(place.turn.agent, "role_name", None) if place.turn is not None else None
        place.state.recorder(place.run).agent(
            name, role=role, system_prompt=system, tools=shapes.tools_offered(tools)
        )
    return names


def read_ids(place: Place, name: str, sent: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of a prompt; what the agent read before in the same words is only compared."""
    recorder = place.state.recorder(place.run)
    before, known = place.state.prompts.get(name, ((), ()))
    same = 0
    for then, now in zip(before, sent, strict=False):
        if then != now or isinstance(now.get("content"), list):
            break
        same += 1
    fresh = [recorder.message(**shapes.message_fields(message)) for message in sent[same:]]
    reads = [*known[:same], *fresh]
    # Copies: a backend may yet write how it wants the output into the last message.
    place.state.prompts[name] = ([*before[:same], *map(dict, sent[same:])], reads)
    return reads


# -- small pieces


def _note_termination(scope: Scope, turn: Turn, response: Any) -> None:
    info = getattr(response, "info", None) or {}
    reason = ", ".join(map(str, info.get("termination_reasons") or ())) or info.get("error")
    recorder = scope.place.state.recorder(scope.place.run)
    if turn.step is not None:
        recorder.update_step(turn.step, attributes={"terminated": reason or True})
        return
    recorder.agent(turn.name)
    attributes = {"path": turn.path, **scope.place.attributes, "terminated": reason or True}
    step = recorder.begin_step(turn.name, kind="node", attributes=attributes)
    recorder.end_step(step, error={"type": "StepTerminated", "message": str(reason or "")})


def ending_of(error: BaseException | None) -> str | None:
    """How a run ended, as an `agentracer.trace.Ending`; None if all went well."""
    if error is None:
        return None
    if isinstance(error, GeneratorExit):
        return "abandoned"
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
        return "cancelled"
    return "raised"
