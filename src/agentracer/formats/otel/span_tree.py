"""The tree of one run's spans: what encloses what, whose it is, and which spans are one call."""

from __future__ import annotations

from collections.abc import Iterator

from agentracer.formats.otel import attributes
from agentracer.formats.otel.attributes import Kind
from agentracer.formats.otel.otlp import OtlpSpan
from agentracer.frameworks.registry import graph_keys

__all__ = ["SpanTree"]

_UNNAMED_AGENT = "agent"
_MAX_DEPTH = 1_000


class SpanTree:
    """The spans of one run, in order of start, with parents, kinds and agents."""

    def __init__(self, spans: list[OtlpSpan]) -> None:
        self.spans = spans
        self.by_id = {span.span_id: span for span in spans}
        self.kinds = {span.span_id: attributes.kind_of(span) for span in spans}
        self.tops = [span for span in spans if span.parent_id not in self.by_id]
        self._agents: dict[str, str | None] = {}

    def ancestors(self, span: OtlpSpan) -> Iterator[OtlpSpan]:
        """The spans around a span, innermost first; a cycle of parents ends the walk."""
        seen = {span.span_id}
        while (parent := self.by_id.get(span.parent_id or "")) and parent.span_id not in seen:
            if len(seen) > _MAX_DEPTH:
                return
            seen.add(parent.span_id)
            yield parent
            span = parent

    def of_kind(self, *kinds: Kind) -> list[OtlpSpan]:
        """The spans of some kinds, in order of start."""
        return [span for span in self.spans if self.kinds[span.span_id] in kinds]

    def agent(self, span: OtlpSpan) -> str:
        """The agent that a span belongs to: named by it, or by what encloses it."""
        path = []
        name: str | None = None
        for here in (span, *self.ancestors(span)):
            if here.span_id in self._agents:
                name = self._agents[here.span_id]
                break
            path.append(here)
            name = attributes.agent_name(here)
            if name:
                break
        for here in path:
            self._agents[here.span_id] = name
        return name or self._agent_of_enclosing(span)

    def _agent_of_enclosing(self, span: OtlpSpan) -> str:
        enclosing = [span, *self.ancestors(span)]
        agents = [s.name for s in enclosing if self.kinds[s.span_id] == "agent" and s.name]
        root = enclosing[-1]
        if agents:
            return agents[0].removeprefix("invoke_agent ").strip() or _UNNAMED_AGENT
        if self.kinds[root.span_id] == "other" and not _is_unnamed(root.name):
            return root.name
        return _UNNAMED_AGENT

    def same_calls(self, kind: Kind) -> list[list[OtlpSpan]]:
        """The spans of a kind, those of one call together, innermost first."""
        spans = self.of_kind(kind)
        outer = {span.span_id: self._enclosing_call(span, kind) for span in spans}
        inner: dict[str, int] = {}
        for parent in outer.values():
            if parent is not None:
                inner[parent.span_id] = inner.get(parent.span_id, 0) + 1
        groups = []
        for span in spans:
            if span.span_id in inner:
                continue
            group = [span]
            # A span around several calls (retries) says nothing about any single one of them.
            while (parent := outer[group[-1].span_id]) and inner[parent.span_id] == 1:
                group.append(parent)
            groups.append(group)
        return groups

    def _enclosing_call(self, span: OtlpSpan, kind: Kind) -> OtlpSpan | None:
        for ancestor in self.ancestors(span):
            enclosing_kind = self.kinds[ancestor.span_id]
            if enclosing_kind == kind:
                same = kind == "llm" or _same_tool(ancestor, span)
                return ancestor if same else None
            if enclosing_kind in ("llm", "tool", "agent"):
                return None
        return None


def _same_tool(span: OtlpSpan, other: OtlpSpan) -> bool:
    return attributes.tool_call_of(span).name == attributes.tool_call_of(other).name


def _is_unnamed(graph: str) -> bool:
    return not graph or any(graph in keys.unnamed for keys in graph_keys())
