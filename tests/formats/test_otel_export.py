"""A verdict reaches whatever SDK is configured, on the blamed span, and nothing else happens."""

import json
import sys

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import _logs as logs_api
from opentelemetry import trace as trace_api
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs import export as logs_export
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentracer.errors import MissingExtra
from agentracer.formats import otel
from agentracer.formats.otel.export import EVENT, emit_verdict
from agentracer.trace import Observed, Step, Trace
from agentracer.verdict import Candidate, Provenance, Verdict

PROVENANCE = Provenance(model="rules", method="all-at-once")
LogExporter = next(  # renamed in 2025
    getattr(logs_export, name)
    for name in ("InMemoryLogRecordExporter", "InMemoryLogExporter")
    if hasattr(logs_export, name)
)


@pytest.fixture
def spans(monkeypatch):
    """The spans that a configured SDK exports."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace_api, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(trace_api, "get_tracer", provider.get_tracer)
    return exporter


@pytest.fixture
def records(monkeypatch):
    """The log records that a configured SDK exports."""
    exporter, provider = LogExporter(), LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(logs_api, "get_logger_provider", lambda: provider)
    return exporter


def imported_trace():
    """A run of two steps, as an importer makes it."""
    spans = [
        {
            "traceId": f"{7:032x}",
            "spanId": f"{n:016x}",
            "startTimeUnixNano": str(n),
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                {"key": "gen_ai.agent.name", "value": {"stringValue": f"agent{n}"}},
                {"key": "gen_ai.response.id", "value": {"stringValue": f"answer{n}"}},
            ],
        }
        for n in (1, 2)
    ]
    [trace] = otel.traces_of({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
    return trace


def verdict_on(trace, step=1):
    agent = trace.steps[step].agent
    return Verdict(
        trace_id=trace.id,
        agent=agent,
        step=step,
        reason="it guessed",
        confidence=0.75,
        candidates=(Candidate(agent=agent, step=step, probability=0.75),),
        provenance=PROVENANCE,
    )


def check_event(attributes):
    assert attributes["gen_ai.evaluation.name"] == "agentracer.failure_attribution"
    assert attributes["gen_ai.evaluation.score.value"] == 0.75
    assert attributes["gen_ai.evaluation.score.label"] == "decisive_error"
    assert attributes["gen_ai.evaluation.explanation"] == "it guessed"
    assert attributes["gen_ai.response.id"] == "answer2"
    assert (attributes["agentracer.agent"], attributes["agentracer.step"]) == ("agent2", 1)
    assert json.loads(attributes["agentracer.candidates"])[0]["agent"] == "agent2"
    assert attributes["agentracer.span.id"] == f"{2:016x}"
    assert attributes["agentracer.span.trace_id"] == f"{7:032x}"


def test_log_record_on_the_blamed_span(records, spans):
    trace = imported_trace()
    assert emit_verdict(verdict_on(trace), trace)
    [data] = records.get_finished_logs()
    record = data.log_record
    assert (record.trace_id, record.span_id) == (7, 2)
    assert record.event_name == EVENT
    check_event(record.attributes)
    assert not spans.get_finished_spans()


def test_event_on_the_current_span(spans):
    trace = imported_trace()
    with trace_api.get_tracer("test").start_as_current_span("evaluation"):
        assert emit_verdict(verdict_on(trace), trace)
    [span] = spans.get_finished_spans()
    [event] = span.events
    assert (span.name, event.name) == ("evaluation", EVENT)
    check_event(event.attributes)


def test_span_of_its_own(spans):
    trace = imported_trace()
    assert emit_verdict(verdict_on(trace), trace)
    [span] = spans.get_finished_spans()
    assert (span.context.trace_id, span.parent.span_id) == (7, 2)
    assert [link.context.span_id for link in span.links] == [2]
    check_event(span.events[0].attributes)


def test_trace_from_elsewhere(spans):
    step = Step(index=0, agent="a", content="x")
    trace = Trace(id="t", observed=Observed(steps=(step,)))
    assert emit_verdict(verdict_on(trace, 0), trace)
    [span] = spans.get_finished_spans()
    assert span.parent is None
    assert "agentracer.span.id" not in span.events[0].attributes


@pytest.mark.parametrize("kept", ["text", {"trace_id": "xyz", "span_id": "1"}, {"trace_id": 5}])
def test_ids_that_are_none(spans, kept):
    step = Step(index=0, agent="a", attributes={"otel": kept})
    trace = Trace(id="t", observed=Observed(steps=(step,)))
    assert emit_verdict(verdict_on(trace, 0), trace)
    assert spans.get_finished_spans()[0].parent is None


def test_abstention(records):
    trace = imported_trace()
    abstained = Verdict(
        trace_id=trace.id, abstained=True, abstain_reason="it succeeded", provenance=PROVENANCE
    )
    assert emit_verdict(abstained, trace)
    [data] = records.get_finished_logs()
    attributes = data.log_record.attributes
    assert attributes["gen_ai.evaluation.score.label"] == "abstained"
    assert attributes["gen_ai.evaluation.explanation"] == "it succeeded"
    assert "agentracer.agent" not in attributes
    assert not data.log_record.span_id


def test_no_sdk():
    trace = imported_trace()
    assert not emit_verdict(verdict_on(trace), trace)


def test_no_api_package(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    trace = imported_trace()
    with pytest.raises(MissingExtra, match="pip install"):
        emit_verdict(verdict_on(trace), trace)
