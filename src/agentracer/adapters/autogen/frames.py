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
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from autogen_core import AgentId, MessageHandlerContext

from agentracer.recorder import RunRecorder
from agentracer.recording import Run, current_run
from agentracer.replay.session import ReplaySession
from agentracer.trace import Trace

__all__ = [
    "Delivery",
    "Frame",
    "Pace",
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


class Root:
    """A top-level framework run: the `Run` that it belongs to, and what is known below it.

    Attributes:
        owned: whether the run was opened for it alone.
        errors: exceptions that some step accounts for already.
        prompts: what each agent read last.
        tools: what each agent was offered so far.
        described: what was said of each agent last.
    """

    __slots__ = ("_recorder", "closed", "described", "errors", "owned", "prompts", "run", "tools")

    def __init__(self, run: Run, *, owned: bool) -> None:
        self.run, self.owned, self.closed = run, owned, False
        self.errors: list[BaseException] = []
        self._recorder = run.recorder
        self.prompts: dict[Any, Any] = {}
        self.tools: dict[str, dict[str, dict[str, Any]]] = {}
        self.described: dict[str, Any] = {}

    @property
    def recorder(self) -> RunRecorder:
        """Where events go now; another recorder after a fork."""
        if self._recorder is not self.run.recorder:
            self._recorder = self.run.recorder
            self.prompts.clear()
            self.described.clear()
        return self._recorder

    def is_new(self, error: BaseException) -> bool:
        """Whether an exception is a failure that no step accounts for; from now on one does."""
        if not isinstance(error, Exception):
            return False
        cause: BaseException | None = error
        while cause is not None:
            if any(known is cause for known in self.errors):
                return False
            cause = cause.__cause__
        self.errors.append(error)
        return True


class Frame:
    """One call that we are inside of.

    Attributes:
        kind: what is called.
        owner: the team, agent, model client, tool or workbench.
        name: the team's or agent's.
        path: names of the teams and agents around it, outermost first.
        step: the step that the call is (a model call) or was asked for by (a tool call).
        last_step: in an agent's turn, the step that it took last.
        said: in an agent's turn, the texts that its steps account for.
        calls: in an agent's turn, the steps that asked for tool calls, by id.
        delivery: what is to be delivered in place of calling, during a replay.
        arguments: what to call with instead, if that has changed.
    """

    __slots__ = (
        "arguments",
        "calls",
        "delivery",
        "kind",
        "last_step",
        "name",
        "owner",
        "parent",
        "path",
        "root",
        "said",
        "started",
        "step",
    )

    def __init__(
        self,
        kind: Literal["team", "agent", "model", "tool"],
        owner: Any,
        name: str,
        parent: Frame | None,
        root: Root,
    ) -> None:
        self.kind, self.owner, self.name = kind, owner, name
        self.parent, self.root = parent, root
        around = parent.path if parent is not None else ""
        self.path: str = "/".join(part for part in (around, name) if part)
        self.started = time.time()
        self.step: int | None = None
        self.last_step: int | None = None
        self.said: list[str] = []
        self.calls: dict[str, int] = {}
        self.delivery: Delivery | None = None
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def outwards(self) -> Iterator[Frame]:
        """This frame and those around it."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.parent

    def saw(self, item: Any) -> None:
        """The call has yielded something."""

    def close(self, result: Any, error: BaseException | None) -> None:
        """The call has ended."""

    @property
    def enclosing_step(self) -> int | None:
        """The step inside whose tool call this one happens: an agent that is called as a tool."""
        return next((f.step for f in self.outwards() if f is not self and f.step is not None), None)

    def account_for(self, step: int, text: str) -> None:
        """Note in the turns around this call which step was taken, and what it says."""
        turns = [frame for frame in self.outwards() if frame.kind == "agent"]
        for turn in turns:
            turn.said.append(text)
        if turns:
            turns[0].last_step = step


class Delivery:
    """What a call gives instead of running.

    Attributes:
        items: the items of a stream, the last of them the result.
        error: what it raises instead.
        step: the recorded step that this comes from.
        pace: who says when it is that step's turn, if the order matters.
    """

    __slots__ = ("error", "items", "pace", "step")

    def __init__(
        self,
        *items: Any,
        error: Exception | None = None,
        step: int = 0,
        pace: Pace | None = None,
    ) -> None:
        self.items, self.error, self.step, self.pace = items, error, step, pace


class Pace:
    """Has recorded model answers arrive in the order in which they came then.

    Agents that ran at the same time had an order in which they got done, and what others read
    depends on it. Answers from a record take no time, so that order would be another one.
    """

    _PATIENCE = 500  # turns of the event loop; who is not there by then will not come
    _HEADWAY = 10  # turns of the event loop that an agent needs to pass on what it says

    _of: ClassVar[weakref.WeakKeyDictionary[ReplaySession, Pace]] = weakref.WeakKeyDictionary()

    @classmethod
    def of(cls, session: ReplaySession) -> Pace:
        """The pace of a replay; all its runs share it."""
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
            for _ in range(self._PATIENCE):
                await asyncio.sleep(0)
                if self._all_arrived(position):
                    break
            for _ in range(self._HEADWAY):
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
    return Frame("agent", None, name, None, Root(run, owned=False))


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
