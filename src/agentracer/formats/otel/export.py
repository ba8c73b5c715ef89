"""A verdict out to OpenTelemetry, as the `gen_ai.evaluation.result` event of the blamed span.

The convention (https://github.com/open-telemetry/semantic-conventions-genai, events) wants the
event parented to the span that was evaluated. That span has ended by then, and an ended span takes
no events, so the verdict goes out in each of the ways that are open:

    log record   with the trace id and span id of the blamed span: the event proper
    span event   on the span that records right now, with both ids as attributes
    span         where neither of these is possible: a child of the blamed span that links to it

The ids are those that `formats.otel` keeps in `Step.attributes["otel"]`; a verdict on a trace that
did not come from OpenTelemetry goes out without them. Only the
API package of OpenTelemetry is used: without an SDK, every way above does nothing.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from agentracer._version import __version__
from agentracer.errors import MissingExtra

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["EVENT", "emit_verdict"]

EVENT = "gen_ai.evaluation.result"
_EVALUATION = "agentracer.failure_attribution"
_BLAMED, _ABSTAINED = "decisive_error", "abstained"


def emit_verdict(verdict: Verdict, trace: Trace) -> bool:
    """Send a verdict to whatever OpenTelemetry SDK the program has configured.

    Args:
        verdict: of `trace`.
        trace: best one that was read with `formats.otel`, so that its spans are known.

    Returns:
        Whether anything took it; False where no SDK is configured.

    Raises:
        MissingExtra: the API package of OpenTelemetry is not installed.
    """
    try:
        import opentelemetry.trace  # noqa: F401
    except ImportError as error:
        raise MissingExtra("otel", needed_for="emit_verdict()") from error
    attributes = _attributes(verdict, trace)
    blamed = _blamed_span(verdict, trace)
    logged = _log(attributes, blamed)
    noted = _note(attributes)
    return logged or noted or _own_span(attributes, blamed)


def _attributes(verdict: Verdict, trace: Trace) -> dict[str, Any]:
    """Primitive values only, as attributes must be."""
    candidates = [
        {"agent": c.agent, "step": c.step, "probability": c.probability, "reason": c.reason}
        for c in verdict.candidates
    ]
    checked = verdict.verification
    otel = _ids(verdict, trace)
    attributes = {
        "gen_ai.evaluation.name": _EVALUATION,
        "gen_ai.evaluation.score.value": verdict.confidence,
        "gen_ai.evaluation.score.label": _ABSTAINED if verdict.abstained else _BLAMED,
        "gen_ai.evaluation.explanation": verdict.abstain_reason or verdict.reason,
        "gen_ai.response.id": otel.get("response_id"),
        "agentracer.trace.id": verdict.trace_id,
        "agentracer.agent": verdict.agent,
        "agentracer.step": verdict.step,
        "agentracer.candidates": json.dumps(candidates, ensure_ascii=False),
        "agentracer.level": verdict.level,
        "agentracer.calibrated": verdict.calibrated,
        "agentracer.model": verdict.provenance.model,
        "agentracer.method": verdict.provenance.method,
        "agentracer.verification": checked.status if checked is not None else None,
        "agentracer.span.trace_id": otel.get("trace_id"),
        "agentracer.span.id": otel.get("span_id"),
    }
    return {key: value for key, value in attributes.items() if value not in (None, "")}


def _ids(verdict: Verdict, trace: Trace) -> dict[str, str]:
    if verdict.step is None or verdict.step >= len(trace.steps):
        return {}
    kept = trace.steps[verdict.step].attributes.get("otel")
    if not isinstance(kept, dict):
        return {}
    return {key: value for key, value in kept.items() if isinstance(value, str)}


def _blamed_span(verdict: Verdict, trace: Trace) -> SpanContext | None:
    from opentelemetry.trace import SpanContext, TraceFlags

    ids = _ids(verdict, trace)
    try:
        trace_id, span_id = int(ids["trace_id"], 16), int(ids["span_id"], 16)
    except (KeyError, ValueError):
        return None
    # Marked as sampled: it was exported once, and a sampler that follows its parent must not drop
    # what is said about it.
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(1))
    return context if context.is_valid else None


def _log(attributes: dict[str, Any], blamed: SpanContext | None) -> bool:
    try:
        from opentelemetry import _logs as logs  # still underscored upstream
    except ImportError:
        return False
    provider = logs.get_logger_provider()
    # A provider of the API package only is a stand-in: there is no SDK behind it.
    if type(provider).__module__.startswith("opentelemetry._logs"):
        return False
    now = time.time_ns()
    try:
        record = logs.LogRecord(
            timestamp=now,
            observed_timestamp=now,
            context=_context(blamed),
            severity_number=logs.SeverityNumber.INFO,
            attributes=attributes,
            event_name=EVENT,
        )
    except TypeError:  # an API package whose log records cannot be events yet
        return False
    provider.get_logger(__name__, __version__).emit(record)
    return True


def _context(blamed: SpanContext | None) -> Context | None:
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return set_span_in_context(NonRecordingSpan(blamed)) if blamed is not None else None


def _note(attributes: dict[str, Any]) -> bool:
    from opentelemetry import trace as api

    span = api.get_current_span()
    if not span.is_recording():
        return False
    span.add_event(EVENT, attributes)
    return True


def _own_span(attributes: dict[str, Any], blamed: SpanContext | None) -> bool:
    from opentelemetry import trace as api

    links = [api.Link(blamed)] if blamed is not None else []
    tracer = api.get_tracer(__name__, __version__)
    span = tracer.start_span("agentracer verdict", context=_context(blamed), links=links)
    recording = span.is_recording()
    span.add_event(EVENT, attributes)
    span.end()
    return recording
