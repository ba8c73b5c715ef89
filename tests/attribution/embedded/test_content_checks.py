"""What is noted at a step: by the books of the run, its sources, and the versions of its code."""

import pytest

from agentracer.attribution.embedded.model.features import Features
from agentracer.trace import ErrorInfo, Observed, Outcome, Step, ToolCall

TASK = "Ann has 12 apples and buys 5 more. She sells each for 3 coins. How many coins is that?"
PLAN = "Step A: 12 + 5\nStep B: A * 3"


def notes_of(*steps, task=TASK, answer=None):
    made = tuple(Step(index=index, **step) for index, step in enumerate(steps))
    run = Observed(task=task, steps=made, outcome=Outcome(success=False, answer=answer))
    return Features(run).notes


def said(content, agent="worker"):
    return {"agent": agent, "kind": "llm", "content": content}


def called(name, arguments, result=None, agent="worker", error=None, content=""):
    failed = ErrorInfo(type="E", message=error) if error else None
    call = ToolCall(name=name, arguments=arguments, result=result, error=failed)
    return {"agent": agent, "kind": "llm", "content": content, "tool_calls": (call,)}


def calculated(expression, result):
    return called("calculate", {"expression": expression}, result)


# --- the books


def test_a_value_that_its_formula_does_not_give_is_noted_and_the_right_one_is_too():
    notes = notes_of(said(PLAN, "planner"), said("A = 71"), said("B = 213"))
    assert notes[1]["off its formula"].detail == "A = 71, but 12 + 5 is 17"
    assert "as its formula" in notes[2]  # it follows from what it was given
    assert "off its formula" not in notes[2]


def test_another_value_for_the_same_name_is_noted_where_it_first_differs():
    notes = notes_of(said(PLAN, "planner"), said("A = 17"), said("B: given A = 16", "manager"))
    assert notes[2]["another value"].detail == "A = 16, at step 1 it was 17"


def test_a_claim_unlike_the_result_of_its_own_tool_is_noted():
    notes = notes_of(said(PLAN, "planner"), calculated("12 + 5", "17"), said("A = 71"))
    assert "its tool gave 17" in notes[2]["unlike its tool"].detail


def test_a_tool_that_computes_wrongly_and_a_sum_nobody_planned_are_noted():
    notes = notes_of(said(PLAN, "planner"), calculated("12 + 5", "18"), calculated("12 + 15", "27"))
    assert notes[1]["result is off"].detail == "12 + 5 is 17, not 18"
    assert "sum as planned" in notes[1]
    assert "sum not in the plan" in notes[2]


def test_a_conclusion_with_parts_open_is_noted_with_the_parts():
    plan = "Step A: 12 + 5\nStep B: A * 3\nStep C: B - 1"
    notes = notes_of(said(plan, "planner"), said("A = 17"), said("It is 17."), answer="17")
    assert notes[2]["concludes with parts open"].detail == "B"
    assert notes[2]["answer is an earlier value"].detail == "that of A"


def test_a_plan_is_measured_against_the_figures_of_its_task():
    good, bad = (notes_of(said(plan, "planner"))[0] for plan in (PLAN, "Step A: 12\nStep B: A * 9"))
    assert "plan: figures left out" not in good
    assert bad["plan: figures left out"].weight == pytest.approx(2 / 3)
    assert bad["plan: figures not of the task"].weight == 0.5
    assert bad["plan: parts that do nothing"].weight == 0.5


def test_a_plan_in_words_is_put_together_and_compared_with_the_words_of_its_task():
    task = "Who is the mayor of the birthplace of the founder of Sorel Cannery?"
    good = (
        "Step A: the founder of Sorel Cannery\nStep B: the birthplace of A\nStep C: the mayor of B"
    )
    notes = notes_of(said(good), task=task)
    assert "plan: unlike the task" not in notes[0]
    bad = good.replace("the birthplace of A", "the teacher of A")
    notes = notes_of(said(bad), task=task)
    assert notes[0]["plan: unlike the task"].weight > 0.1


def test_a_correction_that_makes_a_plan_worse_is_told_from_one_that_mends_it():
    broken = "Step A: 12\nStep B: A * 3"
    alarm = notes_of(said(PLAN, "planner"), said("Redo step A as: 12", "critic"))
    mended = notes_of(said(broken, "planner"), said("Redo step A as: 12 + 5", "critic"))
    assert {"changes another's part", "plan fits less"} <= set(alarm[1])
    assert "plan fits better" in mended[1]
    assert "plan fits no better" not in mended[1]
    assert "part changed later" in mended[0]


FUNCTIONS = """Write one module.

1. Write `split(cents, people)`. It splits an amount among people.
2. The larger shares come first in the list.
3. Fewer than one person raises ValueError.
"""


def test_an_order_for_code_need_not_repeat_the_words_of_the_task():
    plan = "Step A: write `split(cents, people)`. Divide with remainder, larger shares first."
    notes = notes_of(said(f"{plan}\nStep B: write `show(A)`."), task=FUNCTIONS)
    for name in ("unlike the task", "words not of the task", "parts not used"):
        assert f"plan: {name}" not in notes[0]


def test_requirements_that_a_plan_leaves_out_are_noted():
    whole = (
        "Step A: write `split(cents, people)`. Split the amount among people, larger shares "
        "first in the list; raise ValueError for fewer than one person.\nStep B: test `split`."
    )
    made = said("A = done", "coder")
    notes = notes_of(said(whole), made, task=FUNCTIONS)
    assert "plan: requirements left out" not in notes[0]
    dropped = whole.replace("; raise ValueError for fewer than one person", "")
    notes = notes_of(said(dropped), made, task=FUNCTIONS)
    assert notes[0]["plan: requirements left out"].weight == pytest.approx(1 / 3)


def test_numbered_headings_that_nobody_takes_up_are_no_parts_of_a_plan():
    headings = "### Step 1: look up the price\n### Step 2: add it all up"
    notes = notes_of(said(headings, "planner"), said("Well, 12 apples it is."), answer="12")
    assert not any(name.startswith(("plan", "sets", "concludes with")) for n in notes for name in n)


# --- the sources

LIST = "d1 | Carla Eibner | a printer\nd2 | Karl Eibner | a mechanic"


def looked_up(picked, text):
    return (
        called("search", {"query": "Carla Eibner birthplace"}, LIST),
        called("read", {"document": picked}, text),
    )


def test_the_wrong_document_is_noted():
    right = notes_of(*looked_up("d1", "Carla Eibner was a printer. She was born in Eskil."))
    wrong = notes_of(*looked_up("d2", "Karl Eibner was a mechanic. He was born in Vesterby."))
    assert "takes the best hit" in right[1]
    assert "result lacks what was asked" not in right[1]
    assert wrong[1]["passes over the first hit"].detail.startswith("d1")
    assert wrong[1]["result lacks what was asked"].detail == "Carla"


def test_a_claim_is_looked_for_in_the_results_it_rests_on():
    text = "Carla Eibner was a printer. Her birthplace is Port Marren. She died in Eskil."
    for claim, noted in (
        ("Port Marren", "claim answers the question"),
        ("Eskil", "claim of another sentence"),
        ("Vesterby", "claim in no result"),
        ("Marren", "cuts a name short"),
    ):
        notes = notes_of(*looked_up("d1", text), said(f"A = {claim}"))
        assert noted in notes[2], claim


def test_what_was_worked_out_needs_no_source():
    searched = called("search", {"query": "Carla Eibner"}, LIST)
    notes = notes_of(said(PLAN, "planner"), searched, said("A = 17", "other"), said("B = 51"))
    assert "claims without a look" not in notes[2]
    assert "claim in no result" not in notes[3]
    told = notes_of(searched, said("A = Vesterby", "other"))
    assert "claims without a look" in told[1]


def test_code_that_is_tried_is_neither_a_question_nor_a_made_up_figure():
    code = "def f(x):\n    if x is None:\n        return True\n    return x + 8125\n"
    run = called("run_tests", {"code": code}, "All 3 tests passed.")
    made = tuple(Step(index=i, **step) for i, step in enumerate([said("Go."), run]))
    features = Features(Observed(task=TASK, steps=made, outcome=Outcome(success=False)))
    assert "result lacks what was asked" not in features.notes[1]
    assert features.reading.steps[1].invented_argument is None


def test_a_failed_call_and_the_result_of_another_call_are_noted():
    notes = notes_of(
        called("read", {"document": "d1"}, "A long text about something."),
        called("read", {"document": "d2"}, "A long text about something."),
        called("read", {"document": "d3"}, error="timed out"),
    )
    assert "result of another call" in notes[1]
    assert "gets nothing" in notes[2]


# --- the versions

GOOD = "def double(x):\n    return x * 2\n"
BAD = "def double(x):\n    return x * 3\n"
HALF = "def half(x):\n    return x / 2\n"


def block(*codes):
    return "```python\n" + "\n\n".join(codes) + "```\n"


def test_other_code_than_was_tried_is_noted_and_a_new_layout_is_not_other_code():
    tried = called("run", {"code": GOOD}, "passed")
    same = notes_of(tried, said(block("def double(x):  # twice\n    return x*2\n")))
    other = notes_of(tried, said(block(BAD)))
    assert "same code" in same[1]
    assert other[1]["other code than tried"].detail == "double"


def test_a_repair_after_a_failure_is_no_other_code():
    notes = notes_of(called("run", {"code": BAD}, "failed: 6 is not 4"), said(block(GOOD)))
    assert "other code than tried" not in notes[1]


def test_a_function_that_was_made_and_left_out_is_noted():
    task = "Write `double(x)` and `half(x)`."
    notes = notes_of(said(block(GOOD)), said(block(HALF)), said(block(GOOD), "packer"), task=task)
    assert notes[2]["leaves out made code"].detail == "half"


def test_code_is_never_run():
    bomb = "def double(x):\n    return x\nraise SystemExit\n"
    assert notes_of(called("run", {"code": bomb}, "ok"), said(block(bomb)))


def test_the_names_of_agents_change_no_note():
    def run(planner, worker):
        return notes_of(
            said(PLAN, planner),
            calculated("12 + 15", "27") | {"agent": worker},
            said("A = 72", worker),
            said("Redo step B as: A - 3", planner),
            answer="72",
        )

    assert run("planner", "worker") == run("A", "Eibner") == run("x1", "step B")
