"""Which steps ran inside a tool call, and when its result was known."""

import pytest

from agentracer.call_nesting import CallNesting, CallRef
from agentracer.trace import ContextLink, Message, Observed, Step, ToolCall

ANSWER = "The fare is EUR 95.90 per person."


def call(name="ask_desk", result=ANSWER, **fields):
    return ToolCall(id=fields.pop("id", name), name=name, result=result, **fields)


def run_of(*steps, **fields):
    numbered = tuple(step.model_copy(update={"index": i}) for i, step in enumerate(steps))
    return Observed(steps=numbered, **fields)


def step(agent, content="", *calls, **fields):
    fields.setdefault("kind", "llm")
    return Step(index=0, agent=agent, content=content, tool_calls=calls, **fields)


def known_after(run):
    """For each step, the calls whose results became known after it."""
    nesting = CallNesting(run)
    return [[tuple(ref) for ref, _ in nesting.results_after(s.index)] for s in run.steps]


def inside(call_id):
    return {"attributes": {"inside_call": call_id}}


def test_a_result_follows_the_steps_inside_its_call():
    run = run_of(
        step("boss", "", call(), call("search", "a page")),
        step("desk", "", call("look"), parent=0, **inside("ask_desk")),
        step("desk", ANSWER, parent=0, **inside("ask_desk")),
        step("boss", "done"),
    )
    assert known_after(run) == [[(0, 1)], [(1, 0)], [(0, 0)], []]
    assert CallNesting(run).calls_with_inner_steps == {CallRef(0, 0)}


def test_of_nested_calls_the_inner_one_returns_first():
    run = run_of(
        step("chief", "", call("ask_boss")),
        step("boss", "", call("ask_desk"), parent=0, **inside("ask_boss")),
        step("desk", ANSWER, parent=1, **inside("ask_desk")),
        step("chief", "done"),
    )
    assert known_after(run) == [[], [], [(1, 0), (0, 0)], []]
    assert list(CallNesting(run).calls_around(2)) == [CallRef(1, 0), CallRef(0, 0)]


def test_without_ids_the_times_tell_the_call():
    early, late = {"started_at": 1.0, "ended_at": 2.0}, {"started_at": 3.0, "ended_at": 6.0}
    run = run_of(
        step("boss", "", call("search", "x", **early), call("ask_desk", **late)),
        step("desk", ANSWER, parent=0, started_at=4.0),
    )
    assert CallNesting(run).enclosing == {1: CallRef(0, 1)}


def test_without_ids_and_times_what_was_returned_tells_the_call():
    run = run_of(step("boss", "", call("search", "a page"), call()), step("desk", ANSWER, parent=0))
    assert CallNesting(run).enclosing == {1: CallRef(0, 1)}


def test_a_call_that_never_returned_holds_the_steps_that_ran_in_it():
    run = run_of(
        step("boss", "", call(result=None, started_at=1.0)),
        step("desk", "I am", parent=0, started_at=2.0),
    )
    assert CallNesting(run).has_inner_steps(0, 0)


def test_a_step_inside_a_step_without_calls_is_inside_no_call():
    run = run_of(step("boss", "go"), step("desk", ANSWER, parent=0))
    assert known_after(run) == [[], []]


def test_in_an_imported_log_an_agent_answers_the_call_that_returned_its_words():
    run = run_of(
        step("boss", "", call()),
        step("desk", "", call("look", "EUR 59.90 one way, second class")),
        step("desk", ANSWER),
        step("boss", "It is 95.90."),
    )
    assert known_after(run) == [[], [(1, 0)], [(0, 0)], []]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            (step("boss", "", call("count", "42")), step("other", "42")), id="short and by chance"
        ),
        pytest.param(
            (step("boss", "", call()), step("boss", "So."), step("other", ANSWER)),
            id="after the caller's next turn",
        ),
        pytest.param(
            (
                step("boss", "", call(started_at=1.0, ended_at=2.0)),
                step("other", ANSWER, started_at=3.0),
            ),
            id="after the call had ended",
        ),
        pytest.param((step("boss", "", call()), step("boss", ANSWER)), id="the caller itself"),
    ],
)
def test_in_an_imported_log_equal_words_alone_do_not_nest(steps):
    assert not CallNesting(run_of(*steps)).enclosing


def test_in_an_imported_log_who_read_the_result_did_not_make_it():
    run = run_of(
        step("boss", "", call()),
        step("other", ANSWER, reads=0),
        messages={"m": Message(role="tool", content=ANSWER)},
        contexts=(ContextLink(parent=None, message="m"),),
    )
    assert not CallNesting(run).enclosing


def test_a_step_is_shown_as_it_was_when_it_ended_or_when_a_later_step_began():
    run = run_of(
        step("boss", "", call()),
        step("desk", "hm", parent=0, **inside("ask_desk")),
        step("desk", ANSWER, parent=0, **inside("ask_desk")),
        step("boss", "done"),
    )
    nesting = CallNesting(run)
    assert nesting.as_it_ended(run.steps[0]).tool_calls[0].result is None
    assert nesting.as_it_ended(run.steps[0], before=2).tool_calls[0].result is None
    assert nesting.as_it_ended(run.steps[0], before=3) is run.steps[0]
