"""Whether a trace can be judged: what makes it abstain, and what is said to be missing."""

import pytest

from agentracer.attribution import Tracer, judgeability
from agentracer.trace import Observed, Outcome, Step, ToolCall, Trace


def trace_of(*contents, success=False, kind="message", agents=("a", "b"), **facts):
    steps = tuple(
        Step(index=i, agent=agents[i % len(agents)], content=content, kind=kind)
        for i, content in enumerate(contents)
    )
    return Trace(id="t", observed=Observed(steps=steps, outcome=Outcome(success=success)), **facts)


@pytest.mark.parametrize(
    ("trace", "problem"),
    [
        (trace_of("x", "y", success=True), "the run succeeded"),
        (trace_of(), "the trace has no steps"),
        (trace_of("", " "), "no step has any content: record the texts of the messages"),
    ],
)
def test_where_nothing_can_be_judged_the_verdict_abstains_with_the_reason(trace, problem):
    found = judgeability(trace)
    assert not found
    assert found.problem.startswith(problem)
    for tracer in (Tracer(), Tracer("embedded:rules")):
        verdict = tracer.attribute(trace)
        assert (verdict.abstained, verdict.agent, verdict.level) == (True, None, "none")
        assert verdict.abstain_reason == found.problem
    first, second = Tracer().attribute_batch([trace, trace])
    assert first.abstain_reason == second.abstain_reason == found.problem


@pytest.mark.parametrize(
    ("scope", "switch"),
    [
        ("openinference.instrumentation.langchain", "OPENINFERENCE_HIDE_INPUTS"),
        ("opentelemetry.instrumentation.openai_v2", "OTEL_INSTRUMENTATION_GENAI_CAPTURE"),
        ("opentelemetry.instrumentation.langchain", "TRACELOOP_TRACE_CONTENT=true"),
        ("gcp.vertex.agent", "ADK_CAPTURE_MESSAGE_CONTENT_IN_SPANS=true"),
        ("pydantic-ai", "include_content=True"),
        ("an.emitter.of.its.own", "OTEL_INSTRUMENTATION_GENAI_CAPTURE"),
    ],
)
def test_missing_contents_are_reported_with_the_switch_of_their_emitter(scope, switch):
    metadata = {"format": "otel", "scopes": [scope]}
    assert switch in judgeability(trace_of("", "", metadata=metadata)).problem
    (note,) = judgeability(trace_of("x", "", metadata=metadata)).notes
    assert note.startswith("1 of 2 steps have no content")
    assert switch in note


def test_what_else_is_missing_is_a_note_of_the_verdict():
    trace = trace_of(
        "x", "y... [truncated]", success=None, kind="llm", agents=("a",), dropped={"otel": 3}
    )
    notes = Tracer().attribute(trace).notes
    for part in (
        "1 of 2 texts are cut",
        "3 recorded events or attributes were lost",
        "a single agent",
        "what the model calls read was not recorded",
        "does not say whether the run failed",
    ):
        assert any(part in note for note in notes), part


def test_a_whole_trace_has_no_notes():
    assert judgeability(trace_of("x", "y")).notes == ()


def test_a_call_alone_is_content():
    call = ToolCall(name="search", arguments={"q": "x"})
    step = Step(index=0, agent="a", tool_calls=(call,))
    other = Step(index=1, agent="b", content="")
    trace = Trace(id="t", observed=Observed(steps=(step, other), outcome=Outcome(success=False)))
    assert judgeability(trace)


def test_a_run_of_one_step_is_not_blamed_on_it():
    verdict = Tracer().attribute(trace_of("x"))
    assert not verdict.stands_out
    assert "the run has a single step" in verdict.reason
    assert "the run has a single step: there is none to tell it from" in verdict.notes
