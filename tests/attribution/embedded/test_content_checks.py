"""What the checks of plans, sources and code versions report at a step."""

import pytest

from agentracer.attribution.embedded.model.features import Features
from agentracer.trace import ErrorInfo, Observed, Outcome, Step, ToolCall

from .findings import by_name

TASK = "Ann has 12 apples and buys 5 more. She sells each for 3 coins. How many coins is that?"
PLAN = "Step A: 12 + 5\nStep B: A * 3"


def findings_of(*steps, task=TASK, answer=None):
    made = tuple(Step(index=index, **step) for index, step in enumerate(steps))
    run = Observed(task=task, steps=made, outcome=Outcome(success=False, answer=answer))
    return by_name(Features(run).context.findings)


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
    findings = findings_of(said(PLAN, "planner"), said("A = 71"), said("B = 213"))
    assert findings[1]["differs_from_formula"].detail == "A = 71, but 12 + 5 is 17"
    assert "agrees_with_formula" in findings[2]  # it follows from what it was given
    assert "differs_from_formula" not in findings[2]


def test_another_value_for_the_same_name_is_noted_where_it_first_differs():
    findings = findings_of(
        said(PLAN, "planner"), said("A = 17"), said("B: given A = 16", "manager")
    )
    assert findings[2]["contradicts_earlier_value"].detail == "A = 16, at step 1 it was 17"


def test_a_claim_unlike_the_result_of_its_own_tool_is_noted():
    findings = findings_of(said(PLAN, "planner"), calculated("12 + 5", "17"), said("A = 71"))
    assert "its tool returned 17" in findings[2]["differs_from_tool"].detail


def test_a_tool_that_computes_wrongly_and_a_sum_nobody_planned_are_noted():
    findings = findings_of(
        said(PLAN, "planner"), calculated("12 + 5", "18"), calculated("12 + 15", "27")
    )
    assert findings[1]["wrong_tool_result"].detail == "12 + 5 is 17, not 18"
    assert "planned_calculation" in findings[1]
    assert "unplanned_calculation" in findings[2]


def test_a_conclusion_with_parts_open_is_noted_with_the_parts():
    plan = "Step A: 12 + 5\nStep B: A * 3\nStep C: B - 1"
    findings = findings_of(said(plan, "planner"), said("A = 17"), said("It is 17."), answer="17")
    assert findings[2]["concludes_with_open_parts"].detail == "B"
    assert findings[2]["answer_is_earlier_value"].detail == "that of A"


def test_a_plan_is_measured_against_the_figures_of_its_task():
    good, bad = (
        findings_of(said(plan, "planner"))[0] for plan in (PLAN, "Step A: 12\nStep B: A * 9")
    )
    assert "plan_omits_figures" not in good
    assert bad["plan_omits_figures"].amount == pytest.approx(2 / 3)
    assert bad["plan_figures_not_in_task"].amount == 0.5
    assert bad["plan_idle_parts"].amount == 0.5


def test_a_plan_in_words_is_put_together_and_compared_with_the_words_of_its_task():
    task = "Who is the mayor of the birthplace of the founder of Sorel Cannery?"
    good = (
        "Step A: the founder of Sorel Cannery\nStep B: the birthplace of A\nStep C: the mayor of B"
    )
    findings = findings_of(said(good), task=task)
    assert "plan_unlike_task" not in findings[0]
    bad = good.replace("the birthplace of A", "the teacher of A")
    findings = findings_of(said(bad), task=task)
    assert findings[0]["plan_unlike_task"].amount > 0.1


def test_a_correction_that_makes_a_plan_worse_is_told_from_one_that_mends_it():
    broken = "Step A: 12\nStep B: A * 3"
    alarm = findings_of(said(PLAN, "planner"), said("Redo step A as: 12", "critic"))
    mended = findings_of(said(broken, "planner"), said("Redo step A as: 12 + 5", "critic"))
    assert {"redefines_other_agents_part", "plan_fits_less"} <= set(alarm[1])
    assert "plan_fits_better" in mended[1]
    assert "plan_fits_no_better" not in mended[1]
    assert "redefined_later" in mended[0]


FUNCTIONS = """Write one module.

1. Write `split(cents, people)`. It splits an amount among people.
2. The larger shares come first in the list.
3. Fewer than one person raises ValueError.
"""


def test_an_order_for_code_need_not_repeat_the_words_of_the_task():
    plan = "Step A: write `split(cents, people)`. Divide with remainder, larger shares first."
    findings = findings_of(said(f"{plan}\nStep B: write `show(A)`."), task=FUNCTIONS)
    for name in ("plan_unlike_task", "plan_words_not_in_task", "plan_unused_parts"):
        assert name not in findings[0]


def test_requirements_that_a_plan_leaves_out_are_noted():
    whole = (
        "Step A: write `split(cents, people)`. Split the amount among people, larger shares "
        "first in the list; raise ValueError for fewer than one person.\nStep B: test `split`."
    )
    made = said("A = done", "coder")
    findings = findings_of(said(whole), made, task=FUNCTIONS)
    assert "plan_omits_requirements" not in findings[0]
    dropped = whole.replace("; raise ValueError for fewer than one person", "")
    findings = findings_of(said(dropped), made, task=FUNCTIONS)
    assert findings[0]["plan_omits_requirements"].amount == pytest.approx(1 / 3)


def test_numbered_headings_that_nobody_takes_up_are_no_parts_of_a_plan():
    headings = "### Step 1: look up the price\n### Step 2: add it all up"
    findings = findings_of(said(headings, "planner"), said("Well, 12 apples it is."), answer="12")
    assert not any(
        name.startswith(("plan", "defines", "concludes_with")) for n in findings for name in n
    )


# --- the sources

LIST = "d1 | Carla Eibner | a printer\nd2 | Karl Eibner | a mechanic"


def looked_up(picked, text):
    return (
        called("search", {"query": "Carla Eibner birthplace"}, LIST),
        called("read", {"document": picked}, text),
    )


def test_the_wrong_document_is_noted():
    right = findings_of(*looked_up("d1", "Carla Eibner was a printer. She was born in Eskil."))
    wrong = findings_of(*looked_up("d2", "Karl Eibner was a mechanic. He was born in Vesterby."))
    assert "picks_best_hit" in right[1]
    assert "result_lacks_queried_names" not in right[1]
    assert wrong[1]["skips_first_hit"].detail.startswith("d1")
    assert wrong[1]["result_lacks_queried_names"].detail == "Carla"


def test_a_claim_is_looked_for_in_the_results_it_rests_on():
    text = "Carla Eibner was a printer. Her birthplace is Port Marren. She died in Eskil."
    for claim, noted in (
        ("Port Marren", "claim_answers_query"),
        ("Eskil", "claim_from_unrelated_sentence"),
        ("Vesterby", "claim_in_no_result"),
        ("Marren", "truncated_name"),
    ):
        findings = findings_of(*looked_up("d1", text), said(f"A = {claim}"))
        assert noted in findings[2], claim


def test_what_was_worked_out_needs_no_source():
    searched = called("search", {"query": "Carla Eibner"}, LIST)
    findings = findings_of(said(PLAN, "planner"), searched, said("A = 17", "other"), said("B = 51"))
    assert "claim_without_lookup" not in findings[2]
    assert "claim_in_no_result" not in findings[3]
    told = findings_of(searched, said("A = Vesterby", "other"))
    assert "claim_without_lookup" in told[1]


def test_code_that_is_tried_is_neither_a_question_nor_a_made_up_figure():
    code = "def f(x):\n    if x is None:\n        return True\n    return x + 8125\n"
    run = called("run_tests", {"code": code}, "All 3 tests passed.")
    made = tuple(Step(index=i, **step) for i, step in enumerate([said("Go."), run]))
    features = Features(Observed(task=TASK, steps=made, outcome=Outcome(success=False)))
    assert "result_lacks_queried_names" not in by_name(features.context.findings)[1]
    assert "invented_argument" not in by_name(features.context.findings)[1]


def test_a_failed_call_and_the_result_of_another_call_are_noted():
    findings = findings_of(
        called("read", {"document": "d1"}, "A long text about something."),
        called("read", {"document": "d2"}, "A long text about something."),
        called("read", {"document": "d3"}, error="timed out"),
    )
    assert "same_result_as_other_call" in findings[1]
    assert "empty_result" in findings[2]


# --- the versions

GOOD = "def double(x):\n    return x * 2\n"
BAD = "def double(x):\n    return x * 3\n"
HALF = "def half(x):\n    return x / 2\n"


def block(*codes):
    return "```python\n" + "\n\n".join(codes) + "```\n"


def test_other_code_than_was_tried_is_noted_and_a_new_layout_is_not_other_code():
    tried = called("run", {"code": GOOD}, "passed")
    same = findings_of(tried, said(block("def double(x):  # twice\n    return x*2\n")))
    other = findings_of(tried, said(block(BAD)))
    assert "unchanged_code" in same[1]
    assert other[1]["differs_from_tested_code"].detail == "double"


def test_a_repair_after_a_failure_is_no_other_code():
    findings = findings_of(called("run", {"code": BAD}, "failed: 6 is not 4"), said(block(GOOD)))
    assert "differs_from_tested_code" not in findings[1]


def test_a_function_that_was_made_and_left_out_is_noted():
    task = "Write `double(x)` and `half(x)`."
    findings = findings_of(
        said(block(GOOD)), said(block(HALF)), said(block(GOOD), "packer"), task=task
    )
    assert findings[2]["omits_written_functions"].detail == "half"


def test_code_is_never_run():
    bomb = "def double(x):\n    return x\nraise SystemExit\n"
    assert findings_of(called("run", {"code": bomb}, "ok"), said(block(bomb)))


def test_the_names_of_agents_change_no_note():
    def run(planner, worker):
        return findings_of(
            said(PLAN, planner),
            calculated("12 + 15", "27") | {"agent": worker},
            said("A = 72", worker),
            said("Redo step B as: A - 3", planner),
            answer="72",
        )

    assert run("planner", "worker") == run("A", "Eibner") == run("x1", "step B")
