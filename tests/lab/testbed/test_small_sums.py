"""One-digit sums: every mistake of a run can be seen in the run itself."""

import json
import re

import pytest

from agentracer.lab.collect import collect
from agentracer.lab.collect.plan import items
from agentracer.lab.testbed.problems import values_of
from agentracer.lab.testbed.rosters import TOPOLOGIES
from agentracer.lab.testbed.systems import DOMAINS, load_domain

pytestmark = pytest.mark.slow


def test_no_right_result_leaves_one_digit():
    domain = load_domain("sums")
    problems = domain.problems()
    assert len(problems) > 900
    for problem in problems:
        values = values_of(domain, problem)
        assert len(values) == 3
        assert all(re.fullmatch(r"\d", value) for value in values.values())
        assert domain.check(problem, problem.answer)


def test_the_task_says_every_sum():
    for problem in load_domain("sums").problems()[:50]:
        said = dict(re.findall(r"([A-Z]) = ([^,.]+)", problem.question))
        assert said == {goal.key: goal.spec for goal in problem.goals}
        assert problem.question.endswith(f"What is {problem.goals[-1].key}?")


def test_every_sum_is_left_to_the_calculator():
    domain = load_domain("sums")
    assert not any(
        domain.may_skip_tools(goal.spec)
        for problem in domain.problems()[:50]
        for goal in problem.goals
    )


def test_it_is_collected_only_where_it_is_named():
    assert "sums" not in DOMAINS


def test_a_topology_can_be_chosen_and_a_longer_plan_begins_with_the_same_runs():
    few, many = (list(items(["sums"], ["langgraph"], n, 3, ["pipeline"])) for n in (10, 30))
    assert many[:10] == few
    assert {item.topology for item in many} == {"pipeline"}
    everywhere = items(["sums"], ["langgraph"], 30, 3)
    assert {item.topology for item in everywhere} == set(TOPOLOGIES)


def test_an_unknown_topology_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown topology 'ring'"):
        collect("sums", "langgraph", "ring", n=1, out=tmp_path)


def test_its_failures_are_labelled_as_they_were_planted(tmp_path):
    pytest.importorskip("langgraph")
    done = collect("sums", "langgraph", "pipeline", n=8, out=tmp_path, seed=2, workers=0)
    assert done.labelled > 0
    assert done.audited == done.agreeing > 0
    for line in (tmp_path / "train.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert (row["domain"], row["topology"]) == ("sums", "pipeline")
