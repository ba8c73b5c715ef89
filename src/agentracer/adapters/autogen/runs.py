"""Runs of teams and turns of agents.

The outermost of them is a run: it belongs to `current_run()`, or else is a trace of its own. A turn
becomes a step only where no model or tool call accounts for what was said: an agent of plain code,
a human, or text that an agent made of what its model said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from autogen_agentchat.base import Team
from autogen_agentchat.messages import HandoffMessage, TextMessage, ToolCallExecutionEvent

from agentracer._guard import guard
from agentracer.adapters.autogen import convert
from agentracer.adapters.autogen.call_stack import Frame, Root, active_teams, current
from agentracer.recorder import describe_error

__all__ = ["RunnerFrame", "describe_agent", "enter"]


def enter(owner: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> RunnerFrame | None:
    """A frame for a call of a team's or an agent's method; None if one is open for it already.

    `run` calls `run_stream` and `on_messages`, those call each other, and overriding methods call
    what they override: the outermost call counts.
    """
    parent = current()
    if parent is not None and parent.owner is owner:
        return None
    task = kwargs.get("task", kwargs.get("messages", args[0] if args else None))
    if parent is not None:
        return RunnerFrame(owner, parent, parent.root, task, args, kwargs)
    root = Root()
    root.open(convert.task_text(task))
    return RunnerFrame(owner, None, root, task, args, kwargs)


class RunnerFrame(Frame):
    """A run of a team, or a turn of an agent (a lone agent's run is one turn)."""

    def __init__(
        self,
        owner: Any,
        parent: Frame | None,
        root: Root,
        given: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        is_team = isinstance(owner, Team)
        kind: Literal["team", "agent"] = "team" if is_team else "agent"
        super().__init__(kind, owner, str(getattr(owner, "name", None) or type(owner).__name__),
                         parent, root, args, kwargs)  # fmt: skip
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
        message = convert.final_message(result)
        if message is None:
            return
        if isinstance(message, HandoffMessage) and self.last_step is not None:
            self.root.recorder.update_step(self.last_step, to=message.target)
        text = convert.chat_message(message)
        if not self.texts or (
            type(message) is TextMessage and not any(text in recorded for recorded in self.texts)
        ):
            self._step(text, to=message.target if isinstance(message, HandoffMessage) else None)

    def _step(self, text: str, **fields: Any) -> None:
        recorder = self.root.recorder
        describe_agent(self.root, self.name, self.owner)
        step = recorder.begin_step(
            self.name,
            kind="node",
            reads=[
                recorder.message(
                    "user", convert.task_text(item), name=getattr(item, "source", None)
                )
                for item in self.given
            ],
            started_at=self.started,
            **self.enclosing_call(path=self.path),
        )
        recorder.end_step(step, content=text, **fields)
        self.account_for(step, text)

    def _answer_unrun_calls(self, items: Sequence[Any]) -> None:
        """Attach errors of calls that no tool saw: unknown tools, arguments that are no JSON."""
        for result in convert.executed_calls(items):
            step = self.calls.get(result.call_id)
            if step is not None and result.is_error:
                self.calls.pop(result.call_id)
                failure = {"type": "ToolError", "message": result.content}
                self.root.recorder.tool_call(step, id=result.call_id, error=failure)

    # -- runs

    def _end_run(self, result: Any, error: BaseException | None) -> None:
        if error is not None:
            self.root.end(error=error)
            return
        waits = convert.waits_for_a_human(result, self.owner)
        if (reason := getattr(result, "stop_reason", None)) and self.root.run is not None:
            self.root.run.annotate(stop_reason=reason)
        answer = convert.answer_text(result, self.given)
        self.root.end(result, answer, ending="interrupted" if waits else "finished")


def describe_agent(
    root: Root, name: str, owner: Any, *, system: str | None = None, tools: Sequence[Any] = ()
) -> None:
    """Say who an agent is, and the tools that it was offered so far."""
    offered = root.tools.setdefault(name, {})
    for tool in tools:
        if convert.tool_name(tool) not in offered:
            offered[convert.tool_name(tool)] = convert.tool_spec(tool)
    root.recorder.agent(
        name,
        role=getattr(owner, "description", None) or None,
        system_prompt=system or None,
        tools=list(offered.values()),
    )
