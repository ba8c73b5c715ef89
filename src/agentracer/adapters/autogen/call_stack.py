"""Where a call belongs: which run, which team, whose turn, which tool call.

A *frame* is one call that we are inside of: a run of a team, a turn of an agent, a model call or a
tool call. Frames nest through a context variable, which AutoGen's own runtimes pass on to their
message handlers; handlers of a runtime that the user started are found by the team's id instead.
Nothing here is shared between runs, so any number of them may go on at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from autogen_core import AgentId, MessageHandlerContext

from agentracer.adapters.autogen import convert
from agentracer.adapters.kit.scope import RunScope
from agentracer.adapters.kit.text import PromptCache
from agentracer.adapters.kit.wrapping import Call
from agentracer.recorder import RunRecorder
from agentracer.recording import Run, current_run
from agentracer.replay.session import ReplaySession
from agentracer.trace import Trace

__all__ = [
    "Frame",
    "ReplayOrder",
    "Root",
    "active_teams",
    "around_call",
    "current",
    "innermost",
    "speaker",
]

innermost: contextvars.ContextVar[Frame | None] = contextvars.ContextVar(
    "agentracer_autogen", default=None
)
active_teams: dict[str, Frame] = {}
"""Teams that run now, by their ids, which are unique."""


class Root(RunScope):
    """A top-level framework run, and what is known below it.

    Attributes:
        closed: whether it has ended.
        prompts: what each agent read last; those of clients that put names in front apart.
        tools: what each agent was offered so far.
    """

    def __init__(self, run: Run | None = None) -> None:
        super().__init__("autogen", run)
        self.closed = False
        self.prompts = {
            prefix: PromptCache(
                lambda message, prefix=prefix: convert.message_fields(  # type: ignore[misc]
                    message, prefix_names=prefix
                ),
                lambda message: (message, message.content),
            )
            for prefix in (False, True)
        }
        self.tools: dict[str, dict[str, dict[str, Any]]] = {}

    @property
    def recorder(self) -> RunRecorder:
        """Where events go."""
        if self.run is None:
            raise RuntimeError("the run has not been opened")
        return self.run.recorder


class Frame(Call):
    """One call that we are inside of.

    Attributes:
        kind: what is called.
        owner: the team, agent, model client, tool or workbench.
        name: the team's or agent's.
        path: names of the teams and agents around it, outermost first.
        step: the step that the call is (a model call) or was asked for by (a tool call).
        call_id: of a tool call.
        last_step: in an agent's turn, the step that it took last.
        texts: in an agent's turn, the texts that its steps account for.
        calls: in an agent's turn, the steps that asked for tool calls, by id.
    """

    variable = innermost

    def __init__(
        self,
        kind: Literal["team", "agent", "model", "tool"],
        owner: Any,
        name: str,
        parent: Frame | None,
        root: Root,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(owner, args, kwargs or {})
        self.kind, self.name, self.parent, self.root = kind, name, parent, root
        around = parent.path if parent is not None else ""
        self.path: str = "/".join(part for part in (around, name) if part)
        self.started = time.time()
        self.step: int | None = None
        self.call_id: str | None = None
        self.last_step: int | None = None
        self.texts: list[str] = []
        self.calls: dict[str, int] = {}

    def outwards(self) -> Iterator[Frame]:
        """This frame and those around it."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent

    def enclosing_call(self, **attributes: Any) -> dict[str, Any]:
        """The tool call that this runs in, as fields of a step: an agent that is used as a tool."""
        outer = (f for f in self.outwards() if f is not self and f.step is not None)
        frame = next(outer, None)
        if frame is None:
            return {"attributes": attributes}
        call = {"inside_call": frame.call_id} if frame.call_id else {}
        return {"parent": frame.step, "attributes": {**attributes, **call}}

    def account_for(self, step: int, text: str) -> None:
        """Note in the turns around this call which step was taken, and what it says."""
        turns = [frame for frame in self.outwards() if frame.kind == "agent"]
        for turn in turns:
            turn.texts.append(text)
        if turns:
            turns[0].last_step = step


class ReplayOrder:
    """Has recorded model answers arrive in the order in which they were recorded.

    Agents that ran at the same time finished in an order, and what others read depends on it.
    Answers from a record take no time, so without this the order would be another one.
    """

    _WAIT = 500  # turns of the event loop; a call that has not come by then is not waited for
    _SETTLE = 10  # turns of the event loop that an agent needs to pass on its message

    _of: ClassVar[weakref.WeakKeyDictionary[ReplaySession, ReplayOrder]] = (
        weakref.WeakKeyDictionary()
    )

    @classmethod
    def of(cls, session: ReplaySession) -> ReplayOrder:
        """The order of a replay; all its runs share it."""
        if session not in cls._of:
            cls._of[session] = cls(session.trace)
        return cls._of[session]

    def __init__(self, trace: Trace) -> None:
        models = [step for step in trace.steps if step.kind == "llm" and step.ended_at is not None]
        self._order = sorted(models, key=lambda step: step.ended_at or 0.0)
        self._position = {step.index: position for position, step in enumerate(self._order)}
        self._first, self._arrived = 0, set[int]()

    async def turn(self, step: int) -> None:
        """Wait until the answers that came before this one are there."""
        position = self._position.get(step)
        if position is None:
            return
        if not self._all_arrived(position):
            for _ in range(self._WAIT):
                await asyncio.sleep(0)
                if self._all_arrived(position):
                    break
            for _ in range(self._SETTLE):
                await asyncio.sleep(0)
            self._first = max(self._first, position)
        self._arrived.add(position)

    def _all_arrived(self, position: int) -> bool:
        while self._first in self._arrived:
            self._first += 1
        return self._first >= position


def current() -> Frame | None:
    """The innermost frame around the calling code."""
    frame = innermost.get()
    if frame is not None and frame.root.closed:
        frame = None
    if active_teams and (agent_id := _handler()) is not None:
        team = active_teams.get(agent_id.key)
        inside = frame is not None and any(around is team for around in frame.outwards())
        if team is not None and not inside:
            return team
    return frame


def around_call() -> Frame | None:
    """The frame around a model or tool call.

    Outside of AgentChat, in systems on AutoGen's core, only what a `record()` block encloses
    belongs to a run; the runtime agent whose message is handled acts there.
    """
    frame = current()
    if frame is not None:
        return frame
    run = current_run()
    if run is None:
        return None
    run.describe(framework="autogen")
    agent_id = _handler()
    name = agent_id.type if agent_id is not None else "main"
    return Frame("agent", None, name, None, Root(run))


def speaker(frame: Frame) -> tuple[str, str, Any]:
    """Who acts within a frame: the agent's name, its place, and the object that describes it.

    Within a team's run but outside of its agents' turns it is the team's manager.
    """
    for around in frame.outwards():
        if around.kind == "agent":
            return around.name, around.path, around.owner
        if around.kind == "team":
            team, agent_id = around.owner, _handler()
            name = str(getattr(team, "_group_chat_manager_name", around.name))
            if agent_id is not None and agent_id.key == getattr(team, "_team_id", None):
                name = agent_id.type.removesuffix(f"_{agent_id.key}")
            return name, f"{around.path}/{name}", team
    return frame.name, frame.path, frame.owner


def _handler() -> AgentId | None:
    """The runtime agent whose message handler encloses the calling code."""
    try:
        return MessageHandlerContext.agent_id()
    except RuntimeError:
        return None
