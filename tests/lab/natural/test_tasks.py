"""Every natural task has a check that accepts its own solution and refuses what is near it."""

from __future__ import annotations

from collections import Counter

import pytest

from agentracer.lab.natural.checks import text_is
from agentracer.lab.natural.plans import plan_is_valid
from agentracer.lab.natural.tasks import (
    load_code_tasks,
    load_documents,
    load_plans,
    load_questions,
    load_tasks,
    load_word_problems,
)

WORD_PROBLEMS = load_word_problems()
CODE_TASKS = load_code_tasks()
QUESTIONS = load_questions()
PLANS = load_plans()


def by_id(values):
    return [pytest.param(value, id=value.id) for value in values]


def test_there_are_160_tasks_of_four_kinds_with_names_of_their_own():
    tasks = load_tasks()
    assert Counter(task.kind for task in tasks.values()) == {
        "word": 60,
        "code": 40,
        "document": 40,
        "plan": 20,
    }
    parts = [WORD_PROBLEMS, CODE_TASKS, QUESTIONS, PLANS]
    assert len(tasks) == sum(len(part) for part in parts)
    assert len({task.text for task in tasks.values()}) == len(tasks)


@pytest.mark.parametrize("problem", by_id(WORD_PROBLEMS))
def test_a_word_problem_has_the_answer_of_its_working(problem):
    result = eval(problem.working, {"__builtins__": {}})
    assert result == pytest.approx(problem.answer, abs=0.006)
    check = load_tasks()[problem.id].is_right
    assert check(f"So we get {problem.answer:g}.")
    assert check(f"First 2 + 2 = 4.\n\nThe answer is {problem.answer:,} in all, out of 99999.")
    assert not check(problem.text)
    assert not check(f"The answer is {problem.answer + 1:g}.")
    assert not check(f"The answer is 1{problem.answer:g}.")


def test_word_problems_refuse_the_answers_of_most_others():
    for problem in WORD_PROBLEMS:
        check = load_tasks()[problem.id].is_right
        accepted = [other for other in WORD_PROBLEMS if check(f"Answer: {other.answer:g}")]
        assert {other.answer for other in accepted} == {problem.answer}


def value_of(task, source, call):
    names = {}
    exec(source, names)
    try:
        return repr(eval(call, names))
    except Exception as error:
        return f"!{type(error).__name__}"


def expected_value(value):
    return value if value.startswith("!") else repr(eval(value))


@pytest.mark.parametrize("task", by_id(CODE_TASKS))
def test_the_reference_solution_of_a_code_task_passes_its_tests_and_an_empty_one_does_not(task):
    empty = f"def {task.function}(*values):\n    return None\n"
    expected = [expected_value(value) for _, value in task.tests]
    assert [value_of(task, task.solution, call) for call, _ in task.tests] == expected
    assert [value_of(task, empty, call) for call, _ in task.tests] != expected


def test_a_code_task_is_checked_in_the_sandbox():
    task = CODE_TASKS[0]
    check = load_tasks()[task.id].is_right
    assert check(f"Here:\n```python\n{task.solution}```\nDone.")
    assert not check(f"```python\n{CODE_TASKS[1].solution}```")


def test_every_example_value_of_a_code_task_is_not_all_that_is_tested():
    for task in CODE_TASKS:
        assert len(task.tests) >= 3, task.id
        assert any(call not in task.text for call, _ in task.tests), task.id


@pytest.mark.parametrize("question", by_id(QUESTIONS))
def test_a_question_follows_from_its_document(question):
    document = {d.id: d for d in load_documents()}[question.document]
    assert question.evidence
    for passage in question.evidence:
        assert passage in document.text
    if question.answer_type == "text" and question.answers != ["no"]:
        assert text_is_in(document.text, question.answers)
    check = load_tasks()[question.id].is_right
    assert all(check(f"I looked it up.\n\nThe answer is {answer}.") for answer in question.answers)
    assert all(check(answer) for answer in question.answers)
    assert not check(question.text)
    assert not check(" ".join(document.text.split()))
    assert not check("I could not find that in the documents.")


def text_is_in(text, answers):
    return any(
        text_is(" ".join(text.split()[i : i + 6]), answers) for i in range(len(text.split()))
    )


@pytest.mark.parametrize("plan", by_id(PLANS))
def test_a_plan_check_accepts_its_plan_and_refuses_wrong_ones(plan):
    assert len(plan.wrong) >= 3
    assert plan_is_valid(plan.plan, plan)
    assert plan_is_valid(f"I thought about it. First try: {plan.wrong[0]}\n\n**{plan.plan}**", plan)
    for wrong in plan.wrong:
        assert not plan_is_valid(wrong, plan), wrong
    assert not plan_is_valid(plan.text, plan)
    assert not plan_is_valid("", plan)


def test_rules_of_plans_name_what_is_in_the_task():
    for plan in PLANS:
        known = {*plan.items, *plan.slots, *(q for v in plan.quantities.values() for q in v)}
        for rule in plan.rules:
            assert {value for value in rule[1:] if isinstance(value, str)} <= known, plan.id
