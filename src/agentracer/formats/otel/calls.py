"""Match calls of models and tools: which spans are one call, which step a tool run answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from agentracer.formats.otel import attributes
from agentracer.formats.otel.otlp import OtlpSpan
from agentracer.trace import Message, StepKind, ToolCall, ToolInfo

__all__ = ["PendingCalls", "StepDraft", "answer_from_prompts", "merge_twins", "start_of"]


@dataclass
class StepDraft:
    """A step in the making. `views` are the spans of one and the same call, innermost first."""

    views: list[OtlpSpan]
    agent: str
    kind: StepKind
    prompt: list[Message] = field(default_factory=list)
    content: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    tools: tuple[ToolInfo, ...] = ()
    index: int = -1

    @cached_property
    def start(self) -> float:
        """When the call start_of."""
        return start_of(self.views)


def merge_twins(groups: list[list[OtlpSpan]]) -> list[list[OtlpSpan]]:
    """Join the calls that two instrumentors saw side by side, so that neither nests the other."""
    kept: list[list[OtlpSpan]] = []
    by_output: dict[tuple[str, ...], list[list[OtlpSpan]]] = {}
    for group in groups:
        replies = next((m for v in group if (m := attributes.output_messages(v))), [])
        key = tuple(text for m in replies for text in (m.content, *(c.name for c in m.tool_calls)))
        like = by_output.setdefault(key, [])
        twin = next((other for other in like if any(key) and _twins(other[0], group[0])), None)
        if twin is None:
            kept.append(group)
            like.append(group)
        else:
            twin += group
            twin.sort(key=_duration)
    return kept


def _twins(one: OtlpSpan, other: OtlpSpan) -> bool:
    if one.scope == other.scope or one.end is None or other.end is None:
        return False
    short, long = sorted((one, other), key=_duration)
    return long.start <= short.start and (short.end or 0.0) <= (long.end or 0.0)


def start_of(views: list[OtlpSpan]) -> float:
    """When the first of several spans start_of."""
    return min(view.start for view in views)


def _duration(span: OtlpSpan) -> float:
    return (span.end or span.start) - span.start


_CallIndex = dict[str, list[tuple[StepDraft, int]]]
"""Steps and places among their calls, by call id or by tool name."""


class PendingCalls:
    """The tool calls that were asked for and have not run yet, as time goes by."""

    def __init__(self, drafts: Sequence[StepDraft]) -> None:
        self._future = sorted(drafts, key=lambda draft: draft.start, reverse=True)
        self.by_id: _CallIndex = {}
        self.by_name: _CallIndex = {}

    def take(self, run: ToolCall, agent: str) -> tuple[StepDraft, int] | None:
        """The step that a tool run belongs to and the place among its calls: by id, else by name.

        Runs must be given in order of start.
        """
        self._request_until(run.started_at)
        if run.id and (requests := self._open(self.by_id, run.id)):
            return requests[0]
        named = self._open(self.by_name, run.name)
        if run.id:  # another id is another call
            named = [(draft, place) for draft, place in named if not draft.calls[place].id]
        own = [entry for entry in named if entry[0].agent == agent]
        alike = [
            (draft, place)
            for draft, place in (*own, *named)
            if draft.calls[place].arguments == run.arguments
        ]
        # Another agent's call only where the arguments agree: in some teams an executor runs tools.
        return next(iter((*alike, *own)), None)

    def _request_until(self, moment: float | None) -> None:
        while self._future and (moment is None or self._future[-1].start <= moment):
            draft = self._future.pop()
            for place, call in enumerate(draft.calls):
                self.by_name.setdefault(call.name, []).append((draft, place))
                if call.id:
                    self.by_id.setdefault(call.id, []).append((draft, place))

    @staticmethod
    def _open(
        index: dict[str, list[tuple[StepDraft, int]]], key: str
    ) -> list[tuple[StepDraft, int]]:
        requests = [f for f in index.get(key, ()) if f[0].calls[f[1]].started_at is None]
        index[key] = requests
        # The latest step first, and its calls in the order in which it wrote them.
        return sorted(requests, key=lambda found: -found[0].start)


def answer_from_prompts(drafts: Sequence[StepDraft]) -> None:
    """Give calls whose run left no result the one that the next prompts show."""
    shown: dict[str, list[tuple[int, str]]] = {}
    for position, draft in enumerate(drafts):
        for message in draft.prompt:
            if message.role == "tool" and message.tool_call_id:
                shown.setdefault(message.tool_call_id, []).append((position, message.content))
    for position, draft in enumerate(drafts):
        for place, call in enumerate(draft.calls):
            if call.result is not None or call.error is not None or not call.id:
                continue
            later = [seen for seen in shown.get(call.id, ()) if seen[0] > position]
            if later:
                draft.calls[place] = call.model_copy(update={"result": later[0][1]})
