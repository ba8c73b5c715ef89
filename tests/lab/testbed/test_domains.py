"""Every domain keeps its promises: right solutions are right, every wrong one is wrong."""

from pathlib import Path

import pytest

from agentracer.lab.testbed.arithmetic import UNDEFINED, calculate, same_number
from agentracer.lab.testbed.math_problems import gsm8k
from agentracer.lab.testbed.problems import shuffled, values_of
from agentracer.lab.testbed.qa_documents import DOCUMENTS, read_text, search_text
from agentracer.lab.testbed.systems import DOMAINS, load_domain

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(not (DATA / "gsm8k").is_dir(), reason="no ../shared/data")
EVERY_DOMAIN = pytest.mark.parametrize("name", DOMAINS)


def sample(domain, count=12):
    return shuffled(domain.problems(), "sample")[:count]


@EVERY_DOMAIN
def test_the_right_solution_is_right(name):
    domain = load_domain(name)
    for problem in sample(domain):
        answer = domain.combine(values_of(domain, problem))
        assert domain.check(problem, answer), problem.id


@EVERY_DOMAIN
def test_what_is_stated_is_read_back(name):
    domain = load_domain(name)
    for problem in sample(domain, 6):
        values = values_of(domain, problem)
        text = "Talk.\n\n" + "\n".join(domain.result_text(k, v) for k, v in values.items())
        assert dict(domain.results_in(text)) == values
        answer = domain.combine(values)
        assert domain.answer_in(f"Talk.\n\n{domain.answer_text(answer)}\n\nNEXT: FINISH") == answer


@EVERY_DOMAIN
def test_a_tool_leads_an_able_worker_to_the_right_value(name):
    domain = load_domain(name)
    tools = {tool.__name__: tool for tool in domain.tools}
    for problem in sample(domain, 4):
        values = values_of(domain, problem)
        for goal in problem.goals:
            done = []
            while call := domain.next_call(goal.spec, values, done):
                said = tools[call.name](**call.arguments)
                done.append(type_of_result()(call.name, dict(call.arguments), said))
            if done:
                assert domain.conclude(goal.spec, values, done) == values[goal.key]


def type_of_result():
    from agentracer.lab.testbed.problems import ToolResult

    return ToolResult


@EVERY_DOMAIN
def test_a_failing_call_is_made_again_and_nothing_is_lost(name):
    domain = load_domain(name)
    tools = {tool.__name__: tool for tool in domain.tools}
    seen = 0
    for problem in sample(domain, 4):
        values = values_of(domain, problem)
        for goal in problem.goals:
            for wrong in domain.failing_calls(problem, goal, values)[:1]:
                first = domain.next_call(goal.spec, values, [])
                said = tools[first.name](**wrong.arguments)
                done = [type_of_result()(first.name, wrong.arguments, said)]
                while call := domain.next_call(goal.spec, values, done):
                    said = tools[call.name](**call.arguments)
                    done.append(type_of_result()(call.name, dict(call.arguments), said))
                assert domain.conclude(goal.spec, values, done) == values[goal.key]
                seen += 1
    assert seen


@EVERY_DOMAIN
def test_wrong_specs_and_values_differ_from_the_right_ones(name):
    domain = load_domain(name)
    for problem in sample(domain, 6):
        values = values_of(domain, problem)
        for goal in problem.goals:
            assert all(spec != goal.spec for _, spec in domain.wrong_specs(problem, goal))
            wrong = [v for _, v in domain.wrong_values(problem, goal, values)]
            assert values[goal.key] not in wrong
            for call in domain.wrong_calls(problem, goal, values):
                right = domain.next_call(goal.spec, values, [])
                assert right is None or call.nth or call.arguments != right.arguments


@EVERY_DOMAIN
def test_no_problem_mixes_tasks_of_train_and_test(name):
    domain = load_domain(name)
    kinds = set()
    for problem in domain.problems():
        held = domain.held_out.intersection(problem.tasks)
        assert len(held) in (0, len(set(problem.tasks)))
        kinds.add(bool(held))
    assert kinds == {True, False}
    assert len({problem.id for problem in domain.problems()}) == len(domain.problems())


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12 * (3 + 4)", "84"),
        ("1 / 3", "0.3333"),
        ("-2 - -2", "0"),
        ("007 + 1", "8"),
        ("1 / 0", UNDEFINED),
        ("2 ** 99", UNDEFINED),
        ("__import__('os')", UNDEFINED),
        ("9" * 300, UNDEFINED),
        ("(" * 150, UNDEFINED),
        ("", UNDEFINED),
        ("\0", UNDEFINED),
        ("1e308 * 10", UNDEFINED),
    ],
)
def test_the_calculator_calculates_and_does_nothing_else(expression, value):
    assert calculate(expression) == value


def test_numbers_are_compared_up_to_rounding():
    assert same_number("1,200", "$1200.0")
    assert not same_number("12", "21")
    assert not same_number("twelve", "12")


def test_every_document_question_has_wrong_values_even_of_one_digit():
    domain = load_domain("qa")
    for problem in domain.problems():
        values = values_of(domain, problem)
        for goal in problem.goals:
            wrong = [value for _, value in domain.wrong_values(problem, goal, values)]
            assert values[goal.key] not in wrong, problem.id


def test_there_are_forty_documents_and_the_search_finds_them():
    assert len(DOCUMENTS) == 40
    for document in DOCUMENTS:
        assert f"| {document.title} |" in search_text(document.title)
        assert read_text(document.id).startswith(document.title)
        assert all(value in document.text for value, _ in document.facts.values())
    assert search_text("zzz") == "Nothing found."
    assert "no document" in read_text("doc-99")


@needs_data
def test_most_of_gsm8k_is_usable_and_every_answer_is_the_stated_one():
    problems = gsm8k(DATA / "gsm8k")
    domain = load_domain("math")
    assert len(problems) > 2_500
    for problem in problems[::50]:
        assert domain.check(problem, domain.combine(values_of(domain, problem)))


@needs_data
def test_bugs_of_mbpp_functions_are_told_apart_by_hidden_tests_only():
    from agentracer.lab.testbed.code_tests import run_cases
    from agentracer.lab.testbed.coding_functions import functions

    external = [f for f in functions(DATA) if f.external]
    assert len(external) > 300
    tried = [f for f in external[:12] if f.bugs and f.hidden][:3]
    assert tried
    for function in tried:
        assert run_cases(function.solution, [*function.examples, *function.hidden]).passed
        for _, code in function.bugs[:2]:
            assert run_cases(code, function.examples).passed
            assert not run_cases(code, function.hidden).passed
