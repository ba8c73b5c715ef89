"""Decode OTLP JSON into plain spans.

The shape is that of `ExportTraceServiceRequest` and `ExportLogsServiceRequest` in the JSON mapping
of protobuf (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): lower camel case,
ids in hex, 64-bit integers as text. What real writers do otherwise is accepted too: snake case,
base64 ids, enums by name, a list of requests, one request per line.

What the attributes mean is decided in `attributes`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from agentracer.errors import FormatError
from agentracer.formats.source import parse_json

__all__ = ["Event", "OtlpSpan", "is_otlp", "parse_documents", "spans_of"]

_REMEDY = "give OTLP JSON: what an OTLP/HTTP JSON or file exporter writes"
_MAX_DEPTH = 100
_ERROR_CODES = (2, "2", "STATUS_CODE_ERROR")
_DROPPED = ("droppedAttributesCount", "droppedEventsCount", "droppedLinksCount")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a span: a span event, or a log record that names the span."""

    name: str
    time: float | None
    attributes: dict[str, Any]


@dataclass
class OtlpSpan:
    """One span with decoded attributes; times are seconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    scope: str
    start: float
    end: float | None
    attributes: dict[str, Any]
    resource: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)  # ids of traces that its links point into
    failed: bool = False
    status: str = ""
    dropped: int = 0

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The attributes, and those that an emitter put on an event of the span instead."""
        facts: dict[str, Any] = {}
        for event in self.events:
            facts |= {k: v for k, v in event.attributes.items() if k.startswith("gen_ai.")}
        return facts | self.attributes


def is_otlp(data: Any) -> bool:
    """Whether parsed JSON looks like OTLP, or like a list of OTLP requests."""
    first = data[0] if isinstance(data, list) and data else data
    return isinstance(first, dict) and any(
        _get(first, key) is not None for key in ("resourceSpans", "resourceLogs")
    )


def parse_documents(text: str, *, source: Path | None = None) -> list[Any]:
    """Parse one JSON document, or one per line as the file exporter of the collector writes.

    Raises:
        FormatError: not JSON; the place is the line.
    """
    try:
        return [parse_json(text, source=source)]
    except FormatError:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        if len(lines) < 2 or not _is_json(lines[0][1]):
            raise
    return [_parse_line(line, number, source) for number, line in lines]


def _is_json(line: str) -> bool:
    try:
        parse_json(line)
    except FormatError:
        return False
    return True


def _parse_line(line: str, number: int, source: Path | None) -> Any:
    try:
        return parse_json(line, source=source)
    except FormatError as error:
        place, remedy = f"line {number}", error.remedy
        raise FormatError(error.problem, source=source, place=place, remedy=remedy) from error


def spans_of(documents: list[Any], *, source: Path | None = None) -> list[OtlpSpan]:
    """Every span, in order of start; log records are hung on the spans that they name.

    Raises:
        FormatError: a place in the file does not follow OTLP.
    """
    reader = _OtlpReader(source)
    for number, document in enumerate(documents):
        reader.document(document, f"[{number}]" if len(documents) > 1 else "")
    spans = reader.spans
    for key, event in reader.logs:
        if key in spans:
            spans[key].events.append(event)
    for span in spans.values():
        span.events.sort(key=lambda event: event.time or 0.0)
    return sorted(spans.values(), key=lambda span: span.start)


class _OtlpReader:
    """One walk over the documents of one file."""

    def __init__(self, source: Path | None) -> None:
        self.source = source
        # A retried export repeats spans: one per id is kept.
        self.spans: dict[tuple[str, str], OtlpSpan] = {}
        self.logs: list[tuple[tuple[str, str], Event]] = []

    def wrong(self, place: str, problem: str) -> FormatError:
        return FormatError(problem, source=self.source, place=place or None, remedy=_REMEDY)

    def document(self, data: Any, place: str) -> None:
        if isinstance(data, list):
            for number, item in enumerate(data):
                self.document(item, f"{place}[{number}]")
            return
        if not is_otlp(data):
            raise self.wrong(place, "neither resourceSpans nor resourceLogs")
        prefix = f"{place}." if place else ""
        for here, resource in self.objects(data, "resourceSpans", prefix):
            about = self.attributes(_get(resource, "resource") or {}, f"{here}.resource")
            for inner, scope in self.objects(resource, "scopeSpans", f"{here}."):
                name = self.scope(scope)
                for place_, span in self.objects(scope, "spans", f"{inner}."):
                    self.span(span, place_, name, about)
        for here, resource in self.objects(data, "resourceLogs", prefix):
            for inner, scope in self.objects(resource, "scopeLogs", f"{here}."):
                for place_, record in self.objects(scope, "logRecords", f"{inner}."):
                    self.log(record, place_)

    def objects(self, data: Any, key: str, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        place = f"{prefix}{key}"
        items = _get(data, key)
        if items is None:
            return
        if not isinstance(items, list):
            raise self.wrong(place, f"expected a list, found {type(items).__name__}")
        for number, item in enumerate(items):
            if not isinstance(item, dict):
                kind = type(item).__name__
                raise self.wrong(f"{place}[{number}]", f"expected an object, found {kind}")
            yield f"{place}[{number}]", item

    def scope(self, data: dict[str, Any]) -> str:
        about = _get(data, "scope")
        return str(about.get("name") or "") if isinstance(about, dict) else ""

    def span(self, data: dict[str, Any], place: str, scope: str, resource: dict[str, Any]) -> None:
        key = self.key(data, place)
        status = _get(data, "status")
        status = status if isinstance(status, dict) else {}
        events = [
            Event(
                name=str(event.get("name") or ""),
                time=self.time(event, "timeUnixNano", here),
                attributes=self.attributes(event, here),
            )
            for here, event in self.objects(data, "events", f"{place}.")
        ]
        links = self.objects(data, "links", f"{place}.")
        linked = [_identity(_get(link, "traceId"), 32) for _, link in links]
        self.spans[key] = OtlpSpan(
            trace_id=key[0],
            span_id=key[1],
            parent_id=_identity(_get(data, "parentSpanId"), 16),
            name=str(data.get("name") or ""),
            scope=scope,
            start=self.time(data, "startTimeUnixNano", place) or 0.0,
            end=self.time(data, "endTimeUnixNano", place),
            attributes=self.attributes(data, place),
            resource=resource,
            events=events,
            linked=[trace_id for trace_id in linked if trace_id and trace_id != key[0]],
            failed=status.get("code") in _ERROR_CODES,
            status=str(status.get("message") or ""),
            dropped=sum(count for name in _DROPPED if isinstance(count := _get(data, name), int)),
        )

    def log(self, data: dict[str, Any], place: str) -> None:
        trace_id, span_id = (
            _identity(_get(data, "traceId"), 32),
            _identity(_get(data, "spanId"), 16),
        )
        if not trace_id or not span_id:
            return
        attributes = self.attributes(data, place)
        name = _get(data, "eventName") or attributes.get("event.name") or ""
        body = self.value(data.get("body") or {}, f"{place}.body", 0)
        if isinstance(body, dict):
            attributes = body | attributes
        time = self.time(data, "timeUnixNano", place)
        self.logs.append(((trace_id, span_id), Event(str(name), time, attributes)))

    def key(self, data: dict[str, Any], place: str) -> tuple[str, str]:
        trace_id = _identity(_get(data, "traceId"), 32)
        span_id = _identity(_get(data, "spanId"), 16)
        if not trace_id:
            raise self.wrong(f"{place}.traceId", "missing, or no id of 16 bytes")
        if not span_id:
            raise self.wrong(f"{place}.spanId", "missing, or no id of 8 bytes")
        return trace_id, span_id

    def time(self, data: dict[str, Any], key: str, place: str) -> float | None:
        value = _get(data, key)
        if value in (None, 0, "0", ""):
            return None
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,20}", str(value)):
            raise self.wrong(f"{place}.{key}", f"expected nanoseconds, found {value!r}")
        return int(value) / 1e9

    def attributes(self, data: Mapping[str, Any], place: str) -> dict[str, Any]:
        return self.pairs(_get(data, "attributes"), f"{place}.attributes", 0)

    def pairs(self, data: Any, place: str, depth: int) -> dict[str, Any]:
        if data is None:
            return {}
        if not isinstance(data, list):
            raise self.wrong(place, f"expected a list of pairs, found {type(data).__name__}")
        attributes = {}
        for number, pair in enumerate(data):
            here = f"{place}[{number}]"
            if not isinstance(pair, dict) or not isinstance(pair.get("key"), str):
                raise self.wrong(here, "expected an object with key and value")
            attributes[pair["key"]] = self.value(pair.get("value"), here, depth)
        return attributes

    def value(self, data: Any, place: str, depth: int) -> Any:
        """An `AnyValue`: an object with one key that names its type."""
        if depth > _MAX_DEPTH:
            raise self.wrong(place, f"nested deeper than {_MAX_DEPTH} levels")
        if not isinstance(data, dict) or not data:
            return data if isinstance(data, (str, int, float)) else None
        kind, value = next(iter(data.items()))
        kind = _camel(kind)
        if kind == "intValue":
            return int(value) if re.fullmatch(r"-?\d{1,20}", str(value)) else None
        if kind in ("arrayValue", "kvlistValue"):
            values = value.get("values") if isinstance(value, dict) else None
            if kind == "kvlistValue":
                return self.pairs(values, place, depth + 1)
            values = values if isinstance(values, list) else []
            return [self.value(item, place, depth + 1) for item in values]
        return value


def _get(data: Mapping[str, Any], key: str) -> Any:
    value = data.get(key)
    return data.get(_snake(key)) if value is None else value


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _identity(value: Any, digits: int) -> str | None:
    """An id as lower-case hex; None if absent, all zeros or of another length."""
    if not isinstance(value, str) or not value.strip("0"):
        return None
    if re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value):
        return value.lower()
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) * 2 == digits else None
