"""Overrides: what one step of a rerun does instead of what was recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentracer.trace import ErrorInfo, Step, ToolCall, ToolRequest, Trace

__all__ = ["UNSET", "Override", "from_facts", "to_facts", "unchanged"]

UNSET: Final = object()
"""Stands for "no value given", since a tool may well return None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What one step should have done instead.

    Attributes:
        step: index of the step in the recorded trace.
        content: what it writes. It then asks for no tool calls, unless `tool_calls` says so.
        tool_calls: all tool calls that it asks for, in place of the recorded ones.
        structured: its structured output, as JSON data. It goes to where the recorded answer had
            it: into the arguments of the one tool call that nothing ran, else into the content.
        call: position of the one tool call that `arguments`, `result` and `error` are about.
        arguments: that call's arguments; the tool then really runs with them.
        result: what that call returns; the tool does not run.
        error: what that call fails with; the tool does not run. For a step without tool calls:
            what the model call fails with.
    """

    step: int
    content: str | None = None
    tool_calls: Sequence[ToolRequest] | None = None
    structured: Any = UNSET
    call: int = 0
    arguments: Any = UNSET
    result: Any = UNSET
    error: ErrorInfo | None = None

    def __post_init__(self) -> None:
        if self.step < 0:
            raise ValueError(
                f"there is no step {self.step}: steps are counted from 0, and not from the end"
            )
        about_call = self.arguments is not UNSET or self.result is not UNSET
        if not about_call and self.error is None and not self.changes_message:
            raise ValueError(
                "an override changes something: content, tool_calls, structured, arguments, "
                "result or error"
            )

    @property
    def changes_message(self) -> bool:
        """Whether it changes what the model writes, rather than the outcome of one tool call."""
        return (
            self.content is not None or self.tool_calls is not None or self.structured is not UNSET
        )

    def check(self, trace: Trace) -> None:
        """Raise `ValueError` where the override does not fit the trace."""
        if not 0 <= self.step < len(trace.steps):
            raise ValueError(
                f"there is no step {self.step}: the trace has {len(trace.steps)} steps, 0-based"
            )
        step = trace.steps[self.step]
        _check_kind(step, self)
        about_call = self.arguments is not UNSET or self.result is not UNSET
        whole_step = self.error is not None and not step.tool_calls and step.kind == "llm"
        needs_call = (about_call or self.error is not None) and not whole_step
        if needs_call and not 0 <= self.call < len(step.tool_calls):
            raise ValueError(
                f"step {self.step} has {len(step.tool_calls)} tool calls, no {self.call}"
            )
        if self.result is not UNSET and self.arguments is not UNSET:
            raise ValueError(
                "give either the arguments (the tool runs with them) or the result (it does not)"
            )

    def answer(self, step: Step) -> tuple[str, tuple[ToolRequest, ...]]:
        """What a model step says under this override: its text and its tool calls."""
        calls = [_request(call) for call in step.tool_calls]
        content = step.content
        if self.structured is not UNSET:
            content, calls = self._structured(step)
        if self.content is not None:
            content, calls = self.content, []
        if self.tool_calls is not None:
            calls = list(self.tool_calls)
        if self.arguments is not UNSET and self.call < len(calls):
            changed = {"arguments": self.arguments}
            calls[self.call] = calls[self.call].model_copy(update=changed)
        return content, tuple(calls)

    def _structured(self, step: Step) -> tuple[str, list[ToolRequest]]:
        unrun = [call for call in step.tool_calls if never_ran(call)]
        if len(step.tool_calls) == 1 and unrun:
            call = _request(unrun[0]).model_copy(update={"arguments": self.structured})
            return step.content, [call]
        return json.dumps(self.structured, ensure_ascii=False), []


def _check_kind(step: Step, override: Override) -> None:
    if step.kind == "node":
        raise ValueError(
            f"step {step.index} is plain code of the system (kind `node`): there is no model or "
            "tool call to answer differently\n"
            "  remedy: override the step that it reads, or the next model call that reads it"
        )
    if step.kind == "tool" and override.changes_message:
        raise ValueError(
            f"step {step.index} is a tool run that no model asked for (kind `tool`): it can be "
            "given other arguments, a result or an error, but it says nothing"
        )


def unchanged(trace: Trace, step: int, like: Override | None = None) -> Override:
    """The override that changes nothing: the control of another one.

    Args:
        trace: the record.
        step: which step.
        like: what it is the control of. What runs live there has to run live here: the control of
            a changed result answers the call as it was answered; that of a changed message says
            the same again, and the tools that it asks for run.
    """
    recorded = trace.steps[step]
    about_result = like is not None and (like.result is not UNSET or like.error is not None)
    if recorded.tool_calls and (about_result or recorded.kind == "tool"):
        position = like.call if like is not None else 0
        call = recorded.tool_calls[position]
        if like is not None and like.arguments is not UNSET:
            return Override(step=step, call=position, arguments=call.arguments)
        if call.error is not None:
            return Override(step=step, call=position, error=call.error)
        return Override(step=step, call=position, result=call.result)
    if recorded.error is not None and not recorded.tool_calls:
        return Override(step=step, error=recorded.error)
    calls = [_request(call) for call in recorded.tool_calls]
    return Override(step=step, content=recorded.content, tool_calls=calls)


def changes_nothing(trace: Trace, override: Override) -> bool:
    """Whether a step under this override does just what it did in the record."""
    step = trace.steps[override.step]
    if override.error is not None:
        error = step.tool_calls[override.call].error if step.tool_calls else step.error
        return error == override.error
    if override.result is not UNSET:
        call = step.tool_calls[override.call]
        return call.error is None and call.result == override.result
    if step.error is not None:
        return False
    if step.kind == "tool":
        return bool(step.tool_calls[override.call].arguments == override.arguments)
    content, calls = override.answer(step)
    requests = [(call.name, call.arguments) for call in step.tool_calls]
    return content == step.content and [(call.name, call.arguments) for call in calls] == requests


def to_facts(override: Override) -> dict[str, Any]:
    """An override as JSON data; what it leaves unset is left out."""
    facts: dict[str, Any] = {"step": override.step}
    for name in ("content", "call"):
        if (value := getattr(override, name)) not in (None, 0):
            facts[name] = value
    if override.content == "":
        facts["content"] = ""
    for name in ("structured", "arguments", "result"):
        if (value := getattr(override, name)) is not UNSET:
            facts[name] = value
    if override.tool_calls is not None:
        facts["tool_calls"] = [call.model_dump(mode="json") for call in override.tool_calls]
    if override.error is not None:
        facts["error"] = override.error.model_dump(mode="json", exclude_none=True)
    return facts


def from_facts(facts: Mapping[str, Any]) -> Override:
    """The override that `to_facts` described."""
    fields = dict(facts)
    if "tool_calls" in fields:
        fields["tool_calls"] = [ToolRequest.model_validate(call) for call in fields["tool_calls"]]
    if "error" in fields:
        fields["error"] = ErrorInfo.model_validate(fields["error"])
    return Override(**fields)


def never_ran(call: ToolCall) -> bool:
    """Return whether a call has no result: it did not run, or the run ended before it did."""
    return call.result is None and call.error is None and call.ended_at is None


def _request(call: ToolRequest) -> ToolRequest:
    return ToolRequest(id=call.id, name=call.name, arguments=call.arguments)
