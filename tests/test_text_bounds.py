"""A very large run keeps its short texts; its long ones are cut to one length."""

from __future__ import annotations

import pytest

from agentracer.text_bounds import bound_texts
from agentracer.trace import ErrorInfo, Message, Observed, Outcome, Step, ToolCall


def head(text: str, length: int) -> str:
    return text[:length]


def a_run(*contents: str, messages: tuple[str, ...] = (), **fields) -> Observed:
    steps = tuple(Step(index=i, agent="a", content=text) for i, text in enumerate(contents))
    named = {str(i): Message(role="user", content=text) for i, text in enumerate(messages)}
    return Observed(steps=steps, messages=named, **fields)


def kept(bounded) -> list[int]:
    return [len(step.content) for step in bounded.run.steps]


def test_a_run_that_fits_is_returned_as_it_is():
    run = a_run("x" * 60, "y" * 40)
    bounded = bound_texts(run, 100, cut=head, repeats=True)
    assert bounded.run is run
    assert (bounded.characters, bounded.cut) == (100, 0)


def test_short_texts_stay_whole_and_long_ones_share_what_is_left():
    run = a_run("s" * 10, "l" * 500, "m" * 30, "k" * 900)
    bounded = bound_texts(run, 240, cut=head, repeats=True)
    assert kept(bounded) == [10, 100, 30, 100]
    assert (bounded.cut, bounded.longest, bounded.characters) == (2, 100, 1440)


@pytest.mark.parametrize(("repeats", "most"), [(False, 100), (True, 200)])
def test_a_message_that_repeats_a_step_counts_once_or_twice(repeats, most):
    run = a_run("x" * 100, messages=("x" * 100,))
    assert bound_texts(run, most, cut=head, repeats=repeats).cut == 0
    assert bound_texts(run, most - 1, cut=head, repeats=repeats).cut > 0


def test_equal_texts_stay_equal():
    run = a_run("x" * 100, messages=("x" * 100,))
    bounded = bound_texts(run, 50, cut=head, repeats=True)
    assert bounded.run.messages["0"].content == bounded.run.steps[0].content


def test_what_calls_and_errors_hold_is_cut_wherever_it_is_nested():
    call = ToolCall(
        id="c",
        name="read",
        arguments={"paths": ["p" * 1000]},
        result=[{"text": "r" * 1000}],
        error=ErrorInfo(type="E", message="e" * 1000),
    )
    step = Step(
        index=0, agent="a", tool_calls=(call,), error=ErrorInfo(type="E", message="f" * 1000)
    )
    run = Observed(steps=(step,), outcome=Outcome(answer="a" * 1000))
    bounded = bound_texts(run, 500, cut=head, repeats=True)
    (cut_step,) = bounded.run.steps
    (cut_call,) = cut_step.tool_calls
    lengths = [
        len(cut_call.arguments["paths"][0]),
        len(cut_call.result[0]["text"]),
        len(cut_call.error.message),
        len(cut_step.error.message),
        len(bounded.run.outcome.answer),
    ]
    assert lengths == [100] * 5
    assert bounded.cut == 5
    assert bounded.characters == 5000


def test_steps_that_are_to_stay_whole_do():
    run = a_run("x" * 1000, "y" * 1000)
    assert kept(bound_texts(run, 400, cut=head, repeats=True, whole=[1])) == [400, 1000]
