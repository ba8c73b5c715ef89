"""A CAMEL workforce that gets it wrong. Here the marker says how it is replayed."""

from __future__ import annotations

import pytest

pytest.importorskip("camel", reason="needs the extra [camel]")
camel_workforce = pytest.importorskip("camel_workforce", reason="needs the extra [camel]")


@pytest.fixture
def url():
    with camel_workforce.ModelServer(camel_workforce.CarelessModel()) as server:
        yield server.base_url


def solve(url):
    team = camel_workforce.build_team(url)
    return team.process_task(camel_workforce.Task(content=camel_workforce.QUESTION, id="0"))


def is_right(task):
    assert "ANSWER: 70" in task.result


def right_plan(trace, step):
    """An oracle: only the planner can have made a mistake that we know how to correct."""
    from agentracer.replay import Override

    said = trace.steps[step].content
    right = said.replace("add 3 and 5", "add 3 and 4")
    return Override(step=step, content=right) if right != said else None


@pytest.mark.agentracer(run=solve, check=is_right, oracle=right_plan, ground_truth=70)
def test_the_answer_is_right(url):
    is_right(solve(url))
