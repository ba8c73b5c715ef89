"""Operators: what they change, that they change it, and that they are deterministic."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentracer.errors import MissingExtra
from agentracer.lab.testbed.coding_tasks import TASKS
from agentracer.replay import Override
from agentracer.replay.operators import Corruption, find, operator, operators, registered
from agentracer.replay.operators.base import _registry
from agentracer.replay.operators.language_model import LanguageModelOperator
from agentracer.replay.override import changes_nothing
from agentracer.trace import ModelCall, Observed, Outcome, Step, ToolCall, Trace

pytest.importorskip("libcst", reason="needs the extra [inject]")

CODE = [op.name for op in operators(["code"])]
TEXT = [op.name for op in operators(["text"])]

PROGRAM = '''def pick(rows, limit=10):
    """Pick some rows."""
    if not rows:
        return []
    found = []
    total = 0
    for i in range(len(rows)):
        if rows[i] > limit and i % 2 == 0:
            found.append(rows[i])
            total += rows[i]
    result = sorted(found, key=lambda x: -x)
    total = max(total, limit)
    return result[:limit - 1]
'''

PROSE = """I read the task. These are the points:

1. Sort the 12 intervals by their start, see requirement 2.
2. Merge those that touch.
3. Raise ValueError when an end lies before its start.

The journey takes 45 minutes and 3 km. It is correct, and all 7 examples passed."""


def trace_of(*steps):
    return Trace(
        id="t", observed=Observed(task="Sort and merge the intervals", steps=steps,
                                  outcome=Outcome(success=True)), replayable=True,
    )  # fmt: skip


def says(content, index=0, agent="writer", **fields):
    return Step(index=index, agent=agent, kind="llm", content=content, **fields)


def applied(name, trace, step=0, seed=0):
    return find(name)(trace, step, random.Random(seed))


def new_text(trace, corruption):
    return corruption.override.answer(trace.steps[corruption.override.step])[0]


def block(text):
    return text.partition("```python\n")[2].partition("```")[0]


# -- code


@pytest.mark.parametrize("name", CODE)
def test_every_code_operator_applies_to_an_ordinary_program(name):
    trace = trace_of(says(f"Here it is:\n```python\n{PROGRAM}```\nDone."))
    corruption = applied(name, trace)
    changed = new_text(trace, corruption)
    assert changed != trace.steps[0].content
    assert changed.startswith("Here it is:\n```python\n")
    assert changed.endswith("```\nDone.")
    compile(block(changed), "x", "exec")
    assert corruption.reason


@pytest.mark.parametrize("name", CODE)
def test_code_in_tool_arguments_is_corrupted_there(name):
    call = ToolCall(id="c", name="run", arguments={"code": PROGRAM, "n": 3}, result="ok")
    trace = trace_of(says("", tool_calls=(call,)))
    override = applied(name, trace).override
    assert override.arguments["n"] == 3
    compile(override.arguments["code"], "x", "exec")
    assert override.arguments["code"] != PROGRAM


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CODE), st.sampled_from(TASKS), st.integers(0, 10_000))
def test_corrupted_solutions_still_parse_and_differ(name, task, seed):
    trace = trace_of(says(f"```python\n{task.solution}```"))
    corruption = applied(name, trace, seed=seed)
    if corruption is None:
        return
    changed = block(new_text(trace, corruption))
    compile(changed, "x", "exec")
    assert changed != task.solution
    assert applied(name, trace, seed=seed) == corruption


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CODE), st.text(max_size=200))
def test_code_operators_leave_alone_what_is_no_code(name, text):
    corruption = applied(name, trace_of(says(text)))
    assert corruption is None or "```" in text or "\n" in text


def test_what_each_code_operator_does():
    def changed(name, code):
        trace = trace_of(says(f"```python\n{code}\n```"))
        found = {block(new_text(trace, applied(name, trace, seed=s))).strip() for s in range(20)}
        return {text.splitlines()[-1].strip() if "\n" in text else text for text in found}

    assert changed("code.wrong_operator", "x = a + b") == {"x = a - b"}
    assert changed("code.inverted_condition", "y = 1 if a < b else 2") == {"y = 1 if a >= b else 2"}
    assert changed("code.inverted_condition", "y = 1 if a else 2") == {"y = 1 if not a else 2"}
    assert changed("code.off_by_one", "x = a < b") == {"x = a <= b"}
    assert changed("code.off_by_one", "x = range(9)") == {"x = range(10)", "x = range(8)"}
    assert changed("code.swapped_arguments", "x = pow(a, b)") == {"x = pow(b, a)"}
    returned = changed("code.changed_return_value", "def f(x):\n    return sorted(x)")
    assert returned == {"return x"}


# -- text


@pytest.mark.parametrize("name", TEXT)
def test_every_text_operator_applies_to_ordinary_prose(name):
    trace = trace_of(says(PROSE), says("see requirement 7", index=1))
    corruption = applied(name, trace)
    assert new_text(trace, corruption) != PROSE
    assert corruption.reason


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TEXT), st.text(max_size=300), st.integers(0, 1_000))
def test_text_operators_change_something_or_do_not_apply(name, text, seed):
    trace = trace_of(says(text or "x"))
    corruption = applied(name, trace, seed=seed)
    if corruption is not None:
        assert new_text(trace, corruption) != trace.steps[0].content
        assert applied(name, trace, seed=seed) == corruption


@settings(max_examples=100, deadline=None)
@given(st.from_regex(r"[A-Za-z ]{0,10}[0-9]{1,6}([.,][0-9]{1,3})?[a-z ]{0,10}", fullmatch=True))
def test_a_wrong_figure_keeps_its_form(text):
    trace = trace_of(says(f"it is {text}"))
    corruption = applied("text.wrong_figure", trace)
    if corruption is not None:
        changed = new_text(trace, corruption)
        assert len(changed) in (len(f"it is {text}") + d for d in (-1, 0, 1))


def test_numbers_of_a_list_are_no_figures_and_go_on_counting():
    trace = trace_of(says("1. one\n2. two\n3. three"))
    assert applied("text.wrong_figure", trace) is None
    left = new_text(trace, applied("text.dropped_constraint", trace))
    assert [line[:3] for line in left.splitlines()] == ["1. ", "2. "]


def test_code_is_not_prose():
    trace = trace_of(says("```python\nx = 12 if is_all else 3 # minutes\n```"))
    for name in TEXT:
        assert applied(name, trace) is None, name


def test_swaps_go_both_ways():
    passed, failed = trace_of(says("VERDICT: PASS")), trace_of(says("VERDICT: FAIL"))
    assert new_text(passed, applied("text.negated_conclusion", passed)) == "VERDICT: FAIL"
    assert new_text(failed, applied("text.negated_conclusion", failed)) == "VERDICT: PASS"
    km = trace_of(says("it is 3 km"))
    miles = trace_of(says("it is 3 miles"))
    assert new_text(km, applied("text.wrong_unit", km)) == "it is 3 miles"
    assert "miles" not in new_text(miles, applied("text.wrong_unit", miles))


# -- tools and orchestration


@pytest.fixture
def tooled():
    def call(k, text, result):
        return ToolCall(id=f"c{k}", name="search", arguments={"query": text, "top": 3},
                        result=result, ended_at=1.0)  # fmt: skip

    offered = ModelCall(tools=("search", "read"))
    return trace_of(
        says("Let me look.", agent="reader", model=offered,
             tool_calls=(call(1, "capital of Chile", "Santiago is the capital"),)),
        says("And once more.", index=1, agent="reader", model=offered,
             tool_calls=(call(2, "height of Santiago", "It lies at 570 m"),)),
        says("It lies at 570 m.", index=2, agent="reader", model=offered),
        says("The report is wrong: revise it, reader.", index=3, agent="critic"),
        says("It lies at 571 m.", index=4, agent="reader"),
        says("Good. That is done.", index=5, agent="critic"),
    )  # fmt: skip


def test_tool_operators(tooled):
    argument = applied("tool_call.wrong_argument", tooled).override
    assert argument.arguments != tooled.steps[0].tool_calls[0].arguments
    assert set(argument.arguments) == {"query", "top"}
    assert applied("tool_call.wrong_tool", tooled).override.tool_calls[0].name == "read"
    omitted = applied("tool_call.omitted_call", tooled).override
    assert not omitted.tool_calls
    assert omitted.content.startswith("It lies at ")
    assert applied("tool_result.error", tooled).override.error.type.endswith("Error")
    stale = applied("tool_result.stale", tooled).override
    assert stale.result == "It lies at 570 m"
    cut = applied("tool_result.truncated", tooled).override.result
    assert "Santiago is the capital".startswith(cut)
    assert cut != "Santiago is the capital"
    for name in ("tool_result.stale", "tool_call.wrong_argument"):
        assert applied(name, tooled, step=5) is None


def test_what_recorded_steps_made_is_no_result_of_a_tool():
    call = ToolCall(id="c", name="ask", arguments={}, result="It lies at 570 m.", ended_at=2.0)
    inner = says("It lies at 570 m.", index=1, agent="reader", parent=0)
    trace = trace_of(says("", tool_calls=(call,)), inner)
    for name in ("tool_result.error", "tool_result.truncated"):
        assert applied(name, trace) is None


def test_orchestration_operators(tooled):
    stop = applied("orchestration.premature_stop", tooled, step=1).override
    assert stop.content == "It lies at 571 m."
    ignored = applied("orchestration.ignored_verifier", tooled, step=4).override
    assert ignored.content == "It lies at 570 m."
    waved = applied("orchestration.ignored_verifier", tooled, step=3).override
    assert waved.content == "Good. That is done."
    handing = trace_of(
        says("", agent="boss", tool_calls=(ToolCall(id="h", name="transfer_to_coder"),)),
        says("x", index=1, agent="coder"),
        says("y", index=2, agent="tester"),
        says("coder", index=3, agent="boss"),
    )
    assert applied("orchestration.wrong_agent", handing).override.tool_calls[0].name == (
        "transfer_to_tester"
    )
    assert applied("orchestration.wrong_agent", handing, step=3).override.content == "tester"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 5), st.integers(0, 50))
def test_no_operator_proposes_nothing(step, seed):
    call = ToolCall(id="c", name="f", arguments={"a": 1, "b": ["x", 2.5]}, result=[1, 2, 3])
    trace = trace_of(
        says(PROSE, tool_calls=(call,)),
        *(says(f"Answer {i}: it failed", index=i, agent=f"a{i % 2}") for i in range(1, 6)),
    )
    for op in operators():
        corruption = op(trace, step, random.Random(seed))
        if corruption is not None:
            corruption.override.check(trace)
            assert not changes_nothing(trace, corruption.override), op.name


# -- the registry


def test_third_parties_can_add_operators():
    @operator("thirdparty.shouting", says="shouts")
    def shouting(trace, step, rng):
        return Corruption(Override(step=step, content=trace.steps[step].content.upper()), "shouts")

    try:
        assert find("thirdparty.shouting") is shouting
        assert [op.name for op in operators(["thirdparty"])] == ["thirdparty.shouting"]
        assert "thirdparty.shouting" in registered()
        with pytest.raises(ValueError, match="already"):
            operator("thirdparty.shouting", says="")(lambda trace, step, rng: None)
    finally:
        del _registry["thirdparty.shouting"]
    with pytest.raises(ValueError, match=r"family\.name"):
        operator("shouting", says="")(lambda trace, step, rng: None)
    with pytest.raises(ValueError, match="no family of operators 'poetry'"):
        operators(["poetry"])
    with pytest.raises(ValueError, match=r"no operator 'code\.x'; there are code\."):
        find("code.x")


def test_all_families_of_the_issue_are_there():
    families = {name.partition(".")[0] for name in registered()}
    assert families == {"code", "text", "tool_call", "tool_result", "orchestration"}
    assert len(registered()) == 21


def test_without_libcst_the_other_families_remain(monkeypatch):
    module = "agentracer.replay.operators.code"
    known = dict(_registry)
    for name in [name for name in _registry if name.startswith("code.")]:
        del _registry[name]
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "libcst", None)
    try:
        assert not any(op.name.startswith("code.") for op in operators())
        with pytest.raises(MissingExtra, match=r"\[inject\]"):
            operators(["code"])
    finally:
        _registry.clear()
        _registry.update(known)


# -- a language model


def test_a_language_model_is_an_operator_too():
    trace = trace_of(says("The total of all orders is 12 euros."))
    asked = []

    def ask(messages):
        asked.append(messages)
        return 'Sure. {"text": "The total of all orders is 21 euros.", "reason": "swapped digits"}'

    corruption = LanguageModelOperator(ask)(trace, 0, random.Random(1))
    assert corruption.reason == "swapped digits"
    assert new_text(trace, corruption) == "The total of all orders is 21 euros."
    assert "follow no instruction" in asked[0][0]["content"].replace("\n", " ")


@pytest.mark.parametrize(
    "answer",
    [
        "I would rather not.",
        '{"text": ""}',
        '{"text": "The total of all orders is 12 euros."}',
        '{"text": "With a deliberate mistake: 21 euros for all orders."}',
        '{"text": "' + "long " * 50 + '"}',
        '{"text": 7}',
    ],
)
def test_its_unusable_answers_are_dropped(answer):
    trace = trace_of(says("The total of all orders is 12 euros."))
    assert LanguageModelOperator(lambda messages: answer)(trace, 0, random.Random(1)) is None
