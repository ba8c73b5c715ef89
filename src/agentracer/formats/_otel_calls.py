"""Calls of models and tools, matched: which spans are one call, and which step a tool run answers.

It knows drafts of steps and what `_otel_attributes` says of a span, and nothing of trees of spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from agentracer.formats import _otel_attributes as semconv
from agentracer.formats._otel_spans import Span
from agentracer.trace import Message, StepKind, ToolCall, ToolInfo

__all__ = ["Draft", "Waiting", "answer_from_prompts", "began", "merged"]


@dataclass
class Draft:
    """A step in the making. `views` are the spans of one and the same call, innermost first."""

    views: list[Span]
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
        """When the call began."""
        return began(self.views)


def merged(groups: list[list[Span]]) -> list[list[Span]]:
    """Join the calls that two instrumentors saw side by side, so that neither nests the other."""
    kept: list[list[Span]] = []
    by_said: dict[tuple[str, ...], list[list[Span]]] = {}
    for group in groups:
        said = next((m for v in group if (m := semconv.output_messages(v))), [])
        key = tuple(text for m in said for text in (m.content, *(c.name for c in m.tool_calls)))
        like = by_said.setdefault(key, [])
        twin = next((other for other in like if any(key) and _twins(other[0], group[0])), None)
        if twin is None:
            kept.append(group)
            like.append(group)
        else:
            twin += group
            twin.sort(key=_duration)
    return kept


def _twins(one: Span, other: Span) -> bool:
    if one.scope == other.scope or one.end is None or other.end is None:
        return False
    short, long = sorted((one, other), key=_duration)
    return long.start <= short.start and (short.end or 0.0) <= (long.end or 0.0)


def began(views: list[Span]) -> float:
    """When the first of several spans began."""
    return min(view.start for view in views)


def _duration(span: Span) -> float:
    return (span.end or span.start) - span.start


class Waiting:
    """The tool calls that were asked for and have not run yet, as time goes by."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self.coming = sorted(drafts, key=lambda draft: draft.start, reverse=True)
        self.by_id: dict[str, list[tuple[Draft, int]]] = {}
        self.by_name: dict[str, list[tuple[Draft, int]]] = {}

    def take(self, ran: ToolCall, agent: str) -> tuple[Draft, int] | None:
        """The step that a tool run belongs to and the place among its calls: by id, else by name.

        Runs must be given in order of start.
        """
        self._ask_until(ran.started_at)
        if ran.id and (asked := self._open(self.by_id, ran.id)):
            return asked[0]
        named = self._open(self.by_name, ran.name)
        if ran.id:  # another id is another call
            named = [(draft, place) for draft, place in named if not draft.calls[place].id]
        own = [found for found in named if found[0].agent == agent]
        alike = [
            (draft, place)
            for draft, place in (*own, *named)
            if draft.calls[place].arguments == ran.arguments
        ]
        # Another agent's call only where the arguments agree: in some teams an executor runs tools.
        return next(iter((*alike, *own)), None)

    def _ask_until(self, moment: float | None) -> None:
        while self.coming and (moment is None or self.coming[-1].start <= moment):
            draft = self.coming.pop()
            for place, call in enumerate(draft.calls):
                self.by_name.setdefault(call.name, []).append((draft, place))
                if call.id:
                    self.by_id.setdefault(call.id, []).append((draft, place))

    @staticmethod
    def _open(index: dict[str, list[tuple[Draft, int]]], key: str) -> list[tuple[Draft, int]]:
        asked = [f for f in index.get(key, ()) if f[0].calls[f[1]].started_at is None]
        index[key] = asked
        # The latest step first, and its calls in the order in which it wrote them.
        return sorted(asked, key=lambda found: -found[0].start)


def answer_from_prompts(drafts: Sequence[Draft]) -> None:
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
