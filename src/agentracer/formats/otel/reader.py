"""Files of OTLP JSON into lists of traces: which spans belong to one run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from agentracer.errors import FormatError
from agentracer.formats.otel import attributes
from agentracer.formats.otel.otlp import OtlpSpan, is_otlp, parse_documents, spans_of
from agentracer.formats.otel.trace_builder import TraceBuilder
from agentracer.formats.source import Source
from agentracer.trace import Trace

__all__ = ["accepts", "read", "traces_in", "traces_of"]

_HEAD = re.compile(r'\s*(?:\[\s*)?\{\s*"resource_?(?:[sS]pans|[lL]ogs)"\s*:')


def read(path: Path | str) -> list[Trace]:
    """Read a file of OTLP JSON: one document, a list of them, or one per line.

    Returns:
        One trace per run with at least one step, by start.

    Raises:
        FormatError: it cannot be read, is not OTLP, or holds no step of an agent.
    """
    return traces_in(Source(Path(path)))


def traces_in(source: Source) -> list[Trace]:
    """As `read`, of a file or of what was piped in.

    Raises:
        FormatError: as `read`.
    """
    return _traces(parse_documents(source.text, source=source.path), source.path)


def traces_of(data: Any, *, source: Path | None = None) -> list[Trace]:
    """The traces in parsed OTLP JSON.

    Raises:
        FormatError: as `read`.
    """
    return _traces([data], source)


def accepts(source: Source) -> bool:
    """Whether a file is OTLP JSON, judged without parsing it where its first bytes tell."""
    if _HEAD.match(source.text[:4_096]):
        return True
    return source.path.suffix.lower() != ".jsonl" and is_otlp(source.data)


def _traces(documents: list[Any], source: Path | None) -> list[Trace]:
    spans = spans_of(documents, source=source)
    # An agent is often made in a trace of its own, before the run.
    described = [span for span in spans if attributes.kind_of(span) == "setup"]
    traces = [TraceBuilder(group, described).trace(source) for group in _linked(spans)]
    traces = [trace for trace in traces if trace.steps]
    if not traces:
        raise FormatError(
            f"none of the {len(spans)} spans is a model call, a tool run or an agent's turn",
            source=source,
            remedy="export spans that follow the OpenTelemetry GenAI or OpenInference conventions",
        )
    return traces


def _linked(spans: list[OtlpSpan]) -> list[list[OtlpSpan]]:
    """The spans of each run, in order of start."""
    leader: dict[str, str] = {}

    def find(trace_id: str) -> str:
        while (above := leader.setdefault(trace_id, trace_id)) != trace_id:
            leader[trace_id] = trace_id = leader[above]
        return trace_id

    present = {span.trace_id for span in spans}
    for span in spans:
        for other in span.linked:
            # Two runs that both answer the same request elsewhere stay two.
            if other in present:
                leader[find(span.trace_id)] = find(other)
    groups: dict[str, list[OtlpSpan]] = {}
    for span in spans:
        groups.setdefault(find(span.trace_id), []).append(span)
    return list(groups.values())
