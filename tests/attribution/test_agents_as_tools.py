"""The result of an agent that was used as a tool is read after the steps that made it."""

import pytest

import agentracer
from agentracer.attribution.embedded.text.quotes import answer_source
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.rendering import TraceView
from agentracer.trace import ErrorInfo, Observed, Outcome, Step, ToolCall, Trace

ANSWER = "The fare is EUR 95.90 per person each way."


def asked(result=ANSWER, **fields):
    arguments = {"question": "fare?"}
    return ToolCall(id="a", name="ask_desk", arguments=arguments, result=result, **fields)


def run_of(call, *, recorded_parent):
    place = {"parent": 0, "attributes": {"inside_call": "a"}} if recorded_parent else {}
    found = "RJ 257 to Vienna, second class EUR 59.90 per person one way."
    search = ToolCall(id="b", name="search", arguments={"to": "Vienna"}, result=found)
    steps = (
        Step(index=0, agent="supervisor", kind="llm", tool_calls=(call,)),
        Step(index=1, agent="desk", kind="llm", tool_calls=(search,), **place),
        Step(index=2, agent="desk", kind="llm", content=ANSWER, **place),
        Step(index=3, agent="supervisor", kind="llm", content="The trip costs EUR 95.90."),
    )
    outcome = Outcome(success=False, answer="95.90")
    return Observed(task="What is the fare to Vienna?", steps=steps, outcome=outcome)


@pytest.mark.parametrize("recorded_parent", [True, False])
def test_the_agent_inside_is_blamed_for_the_digits_that_it_swapped(recorded_parent):
    trace = Trace(id="x", observed=run_of(asked(), recorded_parent=recorded_parent))
    verdict = agentracer.Tracer().attribute(trace)
    assert (verdict.agent, verdict.step) == ("desk", 2)
    assert "59.90" in verdict.reason


def test_the_answer_comes_from_the_step_inside_and_not_from_the_call():
    assert answer_source(Signals(run_of(asked(), recorded_parent=True))) == 2


def test_an_error_inside_a_call_is_no_failure_of_the_caller():
    error = ErrorInfo(type="TimeoutError", message="no answer")
    run = run_of(asked(None, error=error), recorded_parent=True)
    broken = run.steps[2].model_copy(update={"error": error})
    failed_inside = run.model_copy(update={"steps": (*run.steps[:2], broken, run.steps[3])})
    assert Signals(failed_inside).failures == (2,)
    assert Signals(failed_inside).unrecovered_calls == ()
    assert Signals(run).failures == (0,)  # no step inside failed: the call itself did


@pytest.mark.parametrize("defended", [True, False])
def test_a_judge_reads_the_result_after_the_steps_that_made_it(defended):
    result = f"Desk says: {ANSWER}"
    view = TraceView(run_of(asked(result), recorded_parent=True), defended=defended)
    shown = view.steps()
    assert shown.count(result) == 1
    assert shown.index("RJ 257") < shown.index(result) < shown.index("The trip costs")
    assert f"inside ask_desk, called in [{view.labels[0]}]" in shown


def test_a_judge_may_quote_the_result_at_the_call():
    view = TraceView(run_of(asked(), recorded_parent=True))
    assert view.verbatim("EUR 95.90 per person", 0) == "EUR 95.90 per person"
    assert view.verbatim("EUR 95.90 per person", 2) == "EUR 95.90 per person"
    assert view.verbatim("EUR 95.90 per person", 1) == ""
