"""Findings on work that the run does not get, and what is none."""

import json

import pytest

from agentracer.trace import AgentInfo, ModelCall, TokenUsage, ToolInfo

from .test_contradictions import called, findings_of, said, verdict_on

TASK = "Write `middle(numbers)` that returns the median of a list."
CODE = "```python\ndef middle(numbers):\n    return sorted(numbers)[len(numbers) // 2]\n```"
KINDS = {
    "drops_code",
    "runs_without_definition",
    "call_as_text",
    "starts_loop",
    "cut_at_limit",
    "repeats_call",
}
TOOLS = (AgentInfo(name="worker", tools=(ToolInfo(name="run_code"),)),)


def lost(*steps, **facts):
    found = findings_of(*steps, **facts)
    return {(index, name) for index, step in enumerate(found) for name in step if name in KINDS}


# --- code that is not handed in


def test_an_answer_without_the_function_that_was_written_is_reported_where_it_is_handed_in():
    steps = said(CODE), said("The final answer is: 2", agent="writer")
    verdict = verdict_on(*steps, task=TASK, answer="The final answer is: 2")
    assert (verdict.step, verdict.level) == (1, "found")
    assert "step 0 defines `middle`; here it is missing" in verdict.reason


@pytest.mark.parametrize(
    ("last", "answer"),
    [
        (f"Here it is:\n{CODE}", None),
        ("middle = lambda numbers: sorted(numbers)[0]", None),
        ("APPROVE", CODE),
        ("The file is written.", f"I wrote:\n{CODE}\nThe file is written."),
    ],
)
def test_an_answer_with_the_function_is_not(last, answer):
    assert not lost(said(CODE), said(last, agent="writer"), task=TASK, answer=answer or last)


def test_a_function_that_nobody_wrote_or_asked_for_is_not_missed():
    assert not lost(
        said("I think."), said("It is 2.", agent="writer"), task=TASK, answer="It is 2."
    )
    asked = "What is the median of 1, 2 and 3?"
    assert not lost(said(CODE), said("It is 2.", agent="writer"), task=asked, answer="It is 2.")


def test_a_function_that_was_written_to_a_file_is_handed_in():
    write = called("write_file", {"path": "a.py", "text": CODE})
    assert not lost(said(CODE), write, said("Done."), task=TASK, answer="Done.")


def test_code_that_runs_without_its_definition_is_where_the_function_was_lost():
    steps = (
        called(
            "run_code",
            {"code": "print(middle([1]))"},
            "Traceback:\nNameError: name 'middle' is not defined",
            content=CODE,
        ),
        said("You need to define the function."),
        said("APPROVE", agent="reviewer"),
    )
    facts = {"task": TASK, "answer": "You need to define the function."}
    assert lost(*steps, **facts) == {(0, "runs_without_definition"), (1, "drops_code")}
    verdict = verdict_on(*steps, **facts)
    assert (verdict.step, verdict.level) == (0, "found")
    recovered = (*steps[:1], said(CODE))
    assert not lost(*recovered, task=TASK, answer=CODE)


# --- answers that were cut


def written(content, tokens, agent="worker", **parameters):
    model, usage = ModelCall(parameters=parameters), TokenUsage(output_tokens=tokens)
    return {**said(content, agent), "model": model, "usage": usage}


def test_an_answer_that_ends_where_the_model_had_to_stop_is_reported():
    steps = written("The median is the mid", 250, max_completion_tokens=250), said("APPROVE", "b")
    verdict = verdict_on(*steps, answer="The median is the mid")
    assert (verdict.step, verdict.level) == (0, "found")
    assert "it has 250 tokens, as many as the model was allowed to write" in verdict.reason


@pytest.mark.parametrize(
    "step",
    [
        written("The median is 2.", 249, max_tokens=250),
        written("The median is 2.", 250),
        written("The median is 2.", 0, max_tokens=0),
        written("The median is 2.", 250, max_tokens=None),
        said("The median is 2."),
    ],
)
def test_an_answer_of_another_length_is_not(step):
    assert not lost(said("Begin.", "b"), step, answer="The median is 2.")


def test_an_answer_whose_code_is_complete_may_lack_the_end_of_its_remarks():
    explained = f"{CODE}\n\nThe function sorts the"
    assert not lost(written(explained, 250, max_tokens=250), task=TASK, answer=explained)
    more = f"{CODE}\n\n```python\nprint(middle("
    assert not lost(written(more, 250, max_tokens=250), task=TASK, answer=more)
    cut = "```python\ndef middle(numbers):\n    return sor"
    assert lost(written(cut, 250, max_tokens=250), task=TASK, answer=cut)


def test_a_cut_message_that_is_not_the_answer_is_not():
    steps = written("I look at the", 50, max_tokens=50), said("It is 2.", "b")
    assert not lost(*steps, answer="It is 2.")


# --- calls as text

CALL = json.dumps({"name": "solve", "arguments": {"n": 987}})


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"```json\n{CALL}\n```",
        f"```json\n{CALL}\n```\n\n```json\n{json.dumps({'result': 40})}\n```",
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"[{CALL}, {CALL}]",
        '{"name": "run_code", "parameters": {"code": "1"}}',
        '{"name": "run_code", "arguments": {"code": "1"}',
    ],
)
def test_calls_that_are_written_as_text_are_reported(text):
    assert lost(said(text), said("APPROVE"), agents=TOOLS) == {(0, "call_as_text")}


def test_the_sentence_says_whether_there_is_such_a_tool():
    verdict = verdict_on(said(CALL), said("APPROVE"), agents=TOOLS)
    assert "`solve`, no tool that it was offered" in verdict.reason
    known = CALL.replace("solve", "run_code")
    assert "no tool" not in verdict_on(said(known), said("APPROVE"), agents=TOOLS).reason


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"name": "Ann", "age": 3}),
        json.dumps({"result": 4}),
        f"I would call {CALL}",
        f"{CALL} is what I would call.",
        "{" * 50,
        "",
    ],
)
def test_other_text_is_no_call(text):
    assert not lost(said(text), said("APPROVE"), agents=TOOLS)


def test_agents_without_tools_and_calls_that_ran_are_not_reported():
    assert not lost(said(CALL), said("APPROVE"))
    ran = called("run_code", {"code": "1"}, "1", content=CALL)
    assert not lost(ran, said("APPROVE"), agents=TOOLS)


# --- loops


def test_the_first_message_of_a_loop_is_reported():
    loop = [step for _ in range(4) for step in (said("Instruction: none"), said("Next?", "tutor"))]
    verdict = verdict_on(said("Begin.", "other"), *loop)
    assert (verdict.step, verdict.level) == (1, "found")
    assert "again at step 3, step 5, step 7" in verdict.reason


def test_a_call_that_is_made_again_and_again_is_reported_if_it_never_ends():
    again = [called("calculate", {"expression": "0"}, "0") for _ in range(3)]
    verdict = verdict_on(said("Plan."), *again)
    assert (verdict.step, verdict.level) == (1, "found")
    assert "calculate again at step 2, step 3" in verdict.reason
    assert not lost(*again, said("It is 0."))
    assert not lost(*(called("status", {}, text) for text in ("pending", "pending", "done")))


def test_a_message_that_is_said_twice_or_between_others_is_no_loop():
    assert not lost(said("yes"), said("no", "b"), said("yes"))
    assert not lost(said("yes"), said("a"), said("yes"), said("b"), said("yes"))
    assert not lost(*(called("look", {"page": page}, "text", content="I look.") for page in "123"))


def test_an_agent_that_gives_the_same_answer_to_different_questions_is_in_no_loop():
    answers = [
        step for text in ("a", "b", "c") for step in (said(text, "planner"), said("fine", "judge"))
    ]
    assert not lost(*answers)
