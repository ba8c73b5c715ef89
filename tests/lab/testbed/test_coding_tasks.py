"""The tasks keep their promises: the solution is right, and every wrong variant is wrong."""

import pytest

from agentracer.lab.testbed.code_tests import run_cases
from agentracer.lab.testbed.coding_tasks import TASKS, code_in, examples_in, task_named_in
from agentracer.lab.testbed.coding_team import check

pytestmark = pytest.mark.slow

EVERY_TASK = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.function)


def hidden_mistakes(task):
    return [(m.mistake, task.apply(m.edits)) for m in (*task.bugs, *task.flawed_plans)]


@EVERY_TASK
def test_the_solution_passes_every_test(task):
    assert run_cases(task.solution, [*task.examples, *task.hidden]).text.endswith("tests passed.")
    assert check(task, task.solution)


@EVERY_TASK
def test_the_examples_miss_every_bug_and_every_flawed_plan_and_the_hidden_tests_do_not(task):
    for mistake, code in hidden_mistakes(task):
        assert run_cases(code, task.examples).passed, mistake
        assert not run_cases(code, task.hidden).passed, mistake


@EVERY_TASK
def test_the_examples_catch_the_slip(task):
    assert not run_cases(task.apply(task.slip.edits), task.examples).passed


@EVERY_TASK
def test_the_examples_catch_the_slip_in_code_that_follows_a_flawed_plan(task):
    for flaw in task.flawed_plans:
        code = task.apply((*flaw.edits, *task.slip.edits))
        assert not run_cases(code, task.examples).passed, flaw.mistake


@EVERY_TASK
def test_a_flawed_plan_is_told_from_the_right_one(task):
    points = [requirement.plan for requirement in task.requirements]
    for flaw in task.flawed_plans:
        changed = [*points[: flaw.requirement], flaw.instead, *points[flaw.requirement + 1 :]]
        assert flaw.is_followed_by("\n".join(changed)), flaw.mistake
        assert not flaw.is_followed_by("\n".join(points)), flaw.mistake


@EVERY_TASK
def test_a_flawed_plan_shows_no_other_flaw_of_its_task(task):
    points = [requirement.plan for requirement in task.requirements]
    for flaw in task.flawed_plans:
        changed = [*points[: flaw.requirement], flaw.instead, *points[flaw.requirement + 1 :]]
        assert [f for f in task.flawed_plans if f.is_followed_by("\n".join(changed))] == [flaw]


@EVERY_TASK
def test_each_task_offers_all_kinds_of_mistakes(task):
    assert len(task.requirements) >= 4
    assert len(task.bugs) >= 3
    assert any(flaw.instead for flaw in task.flawed_plans)
    assert any(not flaw.instead for flaw in task.flawed_plans)
    names = [m.mistake for m in (*task.bugs, task.slip, *task.flawed_plans)]
    assert len(set(names)) == len(names)


@EVERY_TASK
def test_the_statement_tells_the_task_and_its_examples_but_no_hidden_test(task):
    assert task_named_in(task.statement) is task
    assert examples_in(task.statement) == task.examples
    assert not [case.call for case in task.hidden if case.call in task.statement]


def test_there_are_at_least_six_tasks():
    assert len({task.function for task in TASKS}) >= 6


def test_an_edit_that_does_not_apply_is_an_error():
    with pytest.raises(ValueError, match="0 times"):
        TASKS[0].apply((("no such text", "x"),))


def test_the_last_code_block_counts():
    assert code_in("```python\na\n```\nno:\n```\nb\n```") == "b\n"
    assert code_in("no code here") is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def merge_intervals(:", "SyntaxError"),
        ("while True: pass", "cpu limit"),
        ("import os; os._exit(0)", "did not finish"),
        ("raise SystemExit", "SystemExit"),
        ("x = 1", "NameError"),
        ("print('All 3 tests passed.')", "NameError"),
        ("\ud800", "could not be loaded"),
    ],
)
def test_a_program_that_breaks_is_a_failed_test_with_a_reason(code, said):
    report = run_cases(code, TASKS[0].examples)
    assert not report.passed
    assert said in report.text
