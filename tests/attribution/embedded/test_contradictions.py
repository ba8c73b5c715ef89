"""Findings that decide: contradictions that stand in a run on both sides, and what is none."""

import json
from pathlib import Path

import pytest

from agentracer.attribution import Tracer
from agentracer.attribution.embedded.model.features import Features
from agentracer.trace import (
    AgentInfo,
    ErrorInfo,
    Observed,
    Outcome,
    Step,
    TokenUsage,
    ToolCall,
    Trace,
)

from .findings import by_name

CASES = Path(__file__).parents[4] / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases")


def run_of(*steps, task="", answer=None, success=False, agents=()):
    made = tuple(Step(index=index, **step) for index, step in enumerate(steps))
    outcome = Outcome(success=success, answer=answer)
    return Observed(task=task, steps=made, outcome=outcome, agents=agents)


def findings_of(*steps, **facts):
    return by_name(Features(run_of(*steps, **facts)).context.findings)


def verdict_on(*steps, **facts):
    return Tracer().attribute(Trace(id="t", observed=run_of(*steps, **facts)))


def said(content, agent="worker"):
    return {"agent": agent, "kind": "llm", "content": content}


def called(name, arguments, result=None, agent="worker", error=None, content=""):
    failed = ErrorInfo(type="E", message=error) if error else None
    call = ToolCall(name=name, arguments=arguments, result=result, error=failed)
    return {"agent": agent, "kind": "llm", "content": content, "tool_calls": (call,)}


def decisive(findings):
    kinds = {
        "swapped_digits", "changed_identifier", "replaced_figure", "misreported_result",
        "drops_answer", "changes_answer", "states_after_failure", "states_after_empty_result",
        "wrong_calculation", "invents_data", "ends_with_nothing",
    }  # fmt: skip
    return {(index, name) for index, step in enumerate(findings) for name in step if name in kinds}


# --- values that are passed on

PRICE = called("get_price", {"item": "lamp"}, '{"item": "lamp", "total": 5931.90}', "clerk")


def test_two_swapped_digits_are_found_and_quoted_on_both_sides():
    verdict = verdict_on(
        said("Ask for the total.", "planner"),
        PRICE,
        said("The total of the lamp is 5391.90.", "clerk"),
        task="What does the lamp cost in total?",
    )
    assert (verdict.level, verdict.agent, verdict.step) == ("found", "clerk", 2)
    assert "it passes on 5391.90; the result at step 1 says 5931.90" in verdict.reason
    quotes = [(piece.step, piece.quote) for piece in verdict.candidates[0].evidence]
    assert (2, "The total of the lamp is 5391.90.") in quotes
    assert any(step == 1 and "5931.90" in quote for step, quote in quotes)


@pytest.mark.parametrize(
    "text",
    [
        "The total of the lamp is 5931.90.",
        "The total is 5931.90, that is 5391.90 without the shade.",  # it has the right one too
        "If the total were 5391.90, we would buy it.",
        "Is the total 5391.90?",
    ],
)
def test_a_figure_in_another_role_is_no_slip(text):
    task = "What does the lamp cost in total?"
    assert not decisive(findings_of(PRICE, said(text, "clerk"), task=task))


def test_an_identifier_that_nothing_contains_is_found_beside_the_one_it_resembles():
    flights = called("search", {"to": "SEA"}, "HAT136 at 11:05, ABC245 at 13:30", "agent")
    booked = called("book", {"flight": "HAT163"}, "ok", "agent")
    found = findings_of(flights, booked, task="Book the first flight to SEA.")
    assert found[1]["changed_identifier"].detail == (
        "it passes on HAT163, which nothing before it contains; the result at step 0 says HAT136"
    )
    known = called("book", {"flight": "ABC245"}, "ok", "agent")
    assert not decisive(findings_of(flights, known, task="Book the first flight to SEA."))


TASK = "Compute (3+4)*10."


def test_a_plan_with_another_figure_than_the_task_is_found():
    found = findings_of(said("PLAN: add 3 and 5, then times 10.", "planner"), task=TASK)
    assert "with 5 where the task says 4" in found[0]["replaced_figure"].detail
    for plan in ("add 3 and 4, then times 10", "add 3 and 4", "7 times 10", "3, 4, 10 and 2 more"):
        assert not decisive(findings_of(said(f"PLAN: {plan}.", "planner"), task=TASK)), plan


def test_another_value_than_the_only_one_the_tool_returned_is_found():
    added = called("add", {"a": 3, "b": 4}, "7")
    found = findings_of(added, said("The sum is 9."), task=TASK)
    assert (
        found[1]["misreported_result"].detail == "it states 9; the result at step 0, of add, is 7"
    )
    for report in (
        "{'run_tool_call_count': {'__all__': 2}}",
        "The sum is 7.",
        "7 * 10 = 70",
        "That makes 70.",
        "seven",
        "Then 3 more: 10.",
    ):
        assert not decisive(findings_of(added, said(report), task=TASK)), report


# --- the end of a run


def test_an_answer_that_was_agreed_on_and_dropped_is_found_at_the_last_message():
    steps = (
        said("The answer is 18.", "solver"),
        said("I recomputed it. The result is 18.", "checker"),
        said("I'll be happy to help! Please provide the next task.", "reporter"),
    )
    verdict = verdict_on(*steps, task="How many eggs does she sell?")
    assert (verdict.level, verdict.agent, verdict.step) == ("found", "reporter", 2)
    assert "18 is concluded at step 0 and step 1" in verdict.reason
    changed = (*steps[:2], said("The final answer is 81.", "reporter"))
    assert "changes_answer" in findings_of(*changed, task="How many eggs?")[2]
    kept = (*steps[:2], said("She sells 18 eggs.", "reporter"))
    spelled = (*steps[:2], said("She sells eighteen eggs.", "reporter"))
    disputed = (steps[0], said("The result is 17.", "checker"), steps[2])
    for run in (kept, spelled, disputed):
        assert not decisive(findings_of(*run, task="How many eggs does she sell?"))


def test_a_run_that_ends_with_an_empty_message_is_found():
    worked, empty = said("14 * 24 = 336, so 66 are left.", "expert"), said("", "writer")
    verdict = verdict_on(worked, empty, task="How many rolls are left?", answer="")
    assert (verdict.level, verdict.step) == ("found", 1)
    assert "ends the run with an empty message" in verdict.reason
    told = {"task": "How many rolls are left?", "answer": "66"}
    assert not decisive(findings_of(worked, empty, **told))  # the answer came another way
    lost = empty | {"usage": TokenUsage(output_tokens=40)}  # its text was not recorded
    message = empty | {"kind": "message"}
    for last in (lost, message):
        assert not decisive(findings_of(worked, last, task="How many?"))


# --- results that hold nothing


def test_a_figure_after_a_failed_or_empty_result_is_found():
    for result in ({"error": "timed out"}, {"result": "[]"}, {"result": "Error: no such city"}):
        looked = called("population", {"city": "Bergen"}, **result)
        found = findings_of(looked, said("Bergen has 285601 inhabitants."), task="Bergen?")
        assert {name for _, name in decisive(found)} <= {
            "states_after_failure",
            "states_after_empty_result",
        }
        assert found[1], result
        honest = said("I could not look it up; from memory it is 285601.")
        assert not decisive(findings_of(looked, honest, task="Bergen?"))


# --- data that are made up


@pytest.mark.parametrize(
    "text",
    [
        "First, let's create a sample dataset and process it.",
        "The site is down; we can simulate the red and green numbers for now.",
        "Assuming the following prices: 3, 5 and 8.",
        "# Dummy list of eateries\neateries = ['a', 'b']",
    ],
)
def test_data_that_a_step_says_are_not_real_are_found_where_they_first_occur(text):
    plan, wrong = said("Collect the data.", "planner"), said(text, "analyst")
    quoted = said("The analyst's sample dataset gives 7.", "writer")
    found = findings_of(plan, wrong, quoted, task="Which country had fewest athletes?")
    assert decisive(found) == {(1, "invents_data")}
    assert found[1]["invents_data"].quote in text


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Do not use placeholder values; take real data.", "?"),
        ("We replaced the mock data with what the page says.", "?"),
        ("Draw a random number from the sample data.", "Use the sample data to test it."),
        ("The sample size was 20 and the sample mean 3.", "?"),
    ],
)
def test_data_that_are_rejected_or_given_by_the_task_are_not_invented(text, task):
    assert not decisive(findings_of(said("Go.", "planner"), said(text), task=task))


# --- what is no finding


@needs_cases
@pytest.mark.parametrize(
    "name",
    [
        "sum_decimal_zero",
        "sum_window_cut",
        "sum_many_terms",
        "sum_left_operator",
        "evidence_result_without_name",
        "evidence_figure_in_url",
        "evidence_plan_concludes",
    ],
)
def test_a_run_in_which_nothing_is_wrong_has_no_finding(name):
    data = json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))
    findings = by_name(Features(Trace.model_validate(data).observed).context.findings)
    accused = {"result_lacks_queried_names", "invented_argument", "concludes_without_lookup"}
    assert not decisive(findings)
    assert not any(accused & set(step) for step in findings)
    assert "concludes" not in findings[0]


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("Convert 5180 lb to kilograms.", {"pounds": 5180.0}),
        ("Convert 5,180 lb to kilograms.", {"pounds": "5180"}),
        ("Shipments of January 2024?", {"month": "2024-01"}),
        ("Trains on 12 June 2024?", {"date": "2024-06-12"}),
        ("Take 15 % of the amount.", {"rate": 0.15}),
        ("Take fifteen percent of it.", {"rate": 15}),
        ("Coffee for 30 people, 3 cups each.", {"cups": 90}),
        ("Order twelve chairs.", {"count": 12}),
        ("Order twenty-five chairs.", {"chairs": 25}),
        ("A budget of 1.2 million euros.", {"budget": 1200000}),
        ("Pay 250 and 130.", {"amount": 380}),
        ("What does the picture show?", {"url": "https://x.org/a/4/47/dice_280px.png"}),
        ("What does the picture show?", {"picture": "dice", "timeout": 30, "max_results": 50}),
    ],
)
def test_a_figure_that_was_given_in_another_spelling_is_not_invented(task, arguments):
    findings = findings_of(
        said("Use the tool.", "planner"), called("t", arguments, "ok"), task=task
    )
    assert "invented_argument" not in findings[1]


def test_a_figure_that_nothing_gives_is_noted():
    findings = findings_of(called("pay", {"amount": 4711}, "ok"), task="Pay 250 to Ann.")
    assert findings[0]["invented_argument"].detail == "4711"


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("weather in Bergen", "11°C, light rain"),
        ("Double rooms for two nights?", "A room costs EUR 112."),
        ("Carla Eibner birthplace", "born in Eskil in 1871"),
        ("carla eibner birthplace", "CARLA EIBNER was born in Eskil."),
    ],
)
def test_a_result_need_not_repeat_what_was_asked(query, result):
    findings = findings_of(called("look_up", {"query": query}, result), task="?")
    assert "result_lacks_queried_names" not in findings[0]


@pytest.mark.parametrize(
    "text",
    [
        "3. Provide the final answer using the final_answer tool.",
        "Once you have it, state that the answer is complete.",
        "If the lake is deeper, then the answer is Lake A.",
        "Please say what the final answer is.",
        "What is the final answer?",
    ],
)
def test_plans_requests_and_conditions_are_no_conclusions(text):
    assert "concludes" not in findings_of(said(text, "manager"), task="Which lake is deeper?")[0]
    stated = findings_of(said("The answer is Lake A."), task="Which lake is deeper?")
    assert "concludes" in stated[0]


def test_who_repeats_a_wrong_calculation_of_another_is_not_accused_of_it():
    wrong = said("12 * 12 = 142", "solver")
    quoted = said("As the solver has it: 12 * 12 = 142", "checker")
    assert decisive(findings_of(wrong, quoted, task="?")) == {(0, "wrong_calculation")}


def test_what_a_sub_agent_returned_is_unknown_before_it_has_spoken():
    outer = called("ask_desk", {"question": "the total"}, "The total is 5931.90.", "supervisor")
    inner = said("The total is 5391.90.", "desk") | {"parent": 0}
    agents = (AgentInfo(name="supervisor"), AgentInfo(name="desk"))
    findings = findings_of(outer, inner, task="What is the total?", agents=agents)
    assert "swapped_digits" not in findings[1]
