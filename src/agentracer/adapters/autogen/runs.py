"""Runs of teams and turns of agents.

The outermost of them is a run: it belongs to `current_run()`, or else is a trace of its own. A turn
becomes a step only where no model or tool call accounts for what was said: an agent of plain code,
a human, or text that an agent made of what its model said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from autogen_agentchat.base import Team
from autogen_agentchat.messages import HandoffMessage, TextMessage, ToolCallExecutionEvent

from agentracer._guard import guard
from agentracer.adapters.autogen import shapes
from agentracer.adapters.autogen.frames import Frame, Root, active_teams, current
from agentracer.recorder import describe_error
from agentracer.recording import current_run, open_run

__all__ = ["RunnerFrame", "describe_agent", "enter"]


def enter(owner: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RunnerFrame | None:
    """A frame for a call of a team's or an agent's method; None if one is open for it already.

    `run` calls `run_stream` and `on_messages`, those call each other, and overriding methods call
    what they override: the outermost call counts.
    """
    parent = current()
    if parent is not None and parent.owner is owner:
        return None
    given = kwargs.get("task", kwargs.get("messages", args[0] if args else None))
    root = parent.root if parent is not None else _new_root(given)
    return RunnerFrame(owner, parent, root, given)


def _new_root(given: Any) -> Root:
    run, task = current_run(), shapes.task_text(given)
    if run is None:
        return Root(open_run(framework="autogen", task=task), owned=True)
    run.describe(task=task, framework="autogen")
    return Root(run, owned=False)


class RunnerFrame(Frame):
    """A run of a team, or a turn of an agent (a lone agent's run is one turn)."""

    __slots__ = ("given",)

    def __init__(self, owner: Any, parent: Frame | None, root: Root, given: Any) -> None:
        is_team = isinstance(owner, Team)
        super().__init__("team" if is_team else "agent", owner, str(owner.name), parent, root)
        # A copy, for the caller empties its buffer of messages after the turn.
        several = isinstance(given, Sequence) and not isinstance(given, str)
        self.given = list(given) if several else [] if given is None else [given]
        if is_team and hasattr(owner, "_team_id"):
            active_teams[owner._team_id] = self

    def saw(self, item: Any) -> None:
        """Keep what has to be known at the end."""
        if self.kind == "agent" and isinstance(item, ToolCallExecutionEvent):
            self._answer_unrun_calls([item])

    def close(self, result: Any, error: BaseException | None) -> None:
        """The team or the agent is done."""
        if self.kind == "team":
            active_teams.pop(getattr(self.owner, "_team_id", ""), None)
            if error is not None and self.parent is not None:
                self.root.errors.append(error)  # it wraps one that a step accounts for
        else:
            with guard("autogen.turn"):
                self._end_turn(result, error)
        if self.parent is None:
            self.root.closed = True
            with guard("autogen.end_run"):
                self._end_run(result, error)

    # -- turns

    def _end_turn(self, result: Any, error: BaseException | None) -> None:
        if error is not None:
            if self.root.is_new(error):
                self._step("", error=describe_error(error))
            return
        inner = getattr(result, "inner_messages", None) or getattr(result, "messages", None) or ()
        self._answer_unrun_calls(inner)
        message = shapes.final_message(result)
        if message is None:
            return
        if isinstance(message, HandoffMessage) and self.last_step is not None:
            self.root.recorder.update_step(self.last_step, to=message.target)
        text = shapes.chat_message(message)
        if not self.said or (
            type(message) is TextMessage and not any(text in known for known in self.said)
        ):
            self._step(text, to=message.target if isinstance(message, HandoffMessage) else None)

    def _step(self, text: str, **fields: Any) -> None:
        recorder = self.root.recorder
        describe_agent(self.root, self.name, self.owner)
        step = recorder.begin_step(
            self.name,
            kind="node",
            reads=[
                recorder.message("user", shapes.task_text(item), name=getattr(item, "source", None))
                for item in self.given
            ],
            parent=self.enclosing_step,
            started_at=self.started,
            attributes={"path": self.path},
        )
        recorder.end_step(step, content=text, **fields)
        self.account_for(step, text)

    def _answer_unrun_calls(self, items: Sequence[Any]) -> None:
        """Attach errors of calls that no tool saw: unknown tools, arguments that are no JSON."""
        for result in shapes.executed_calls(items):
            step = self.calls.get(result.call_id)
            if step is not None and result.is_error:
                self.calls.pop(result.call_id)
                failure = {"type": "ToolError", "message": result.content}
                self.root.recorder.tool_call(step, id=result.call_id, error=failure)

    # -- runs

    def _end_run(self, result: Any, error: BaseException | None) -> None:
        run, ending = self.root.run, "finished"
        if error is None:
            if shapes.waits_for_a_human(result, self.owner):
                ending = "interrupted"
            run.framework_ended(result, shapes.answer_text(result), ending)
            if reason := getattr(result, "stop_reason", None):
                run.annotate(stop_reason=reason)
        elif isinstance(error, GeneratorExit):
            ending = "abandoned"
        elif isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
            ending = "cancelled"
        else:
            ending = "raised"
        if self.root.owned:
            run.finish(ending, error if isinstance(error, Exception) else None)
        elif ending == "abandoned":
            run.framework_ended(None, None, ending)


def describe_agent(
    root: Root, name: str, owner: Any, *, system: str | None = None, tools: Sequence[Any] = ()
) -> None:
    """Say who an agent is, and the tools that it was offered so far."""
    known = root.tools.setdefault(name, {})
    fresh = [tool for tool in tools if shapes.tool_name(tool) not in known]
    if not fresh and root.described.get(name) == (system,):
        return
    for tool in fresh:
        known[shapes.tool_name(tool)] = shapes.tool_spec(tool)
    root.described[name] = (system,)
    root.recorder.agent(
        name,
        role=getattr(owner, "description", None) or None,
        system_prompt=system or None,
        tools=list(known.values()),
    )
