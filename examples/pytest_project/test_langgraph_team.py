"""A LangGraph team that gets it wrong, always or sometimes."""

from __future__ import annotations

import pytest

langgraph_team = pytest.importorskip("langgraph_team", reason="needs the extra [langgraph]")


@pytest.fixture
def server():
    with langgraph_team.ModelServer(langgraph_team.CarelessModel()) as server:
        yield server


@pytest.fixture
def team(server):
    return langgraph_team.build_team(server.base_url)


def ask(team):
    return team.invoke({"messages": [("user", langgraph_team.QUESTION)]})


def is_right(state):
    return "70" in state["messages"][-1].text


def test_the_answer_is_right(team, right_plan, agentracer_run):
    agentracer_run.system(lambda: ask(team), is_right, right_plan)
    assert is_right(ask(team))


def test_the_team_reports_a_number(team):
    assert "ANSWER:" in ask(team)["messages"][-1].text


def test_that_has_nothing_to_do_with_agents():
    assert sum([3, 4]) * 10 == 80


class MoodyModel(langgraph_team.CarelessModel):
    """Careful every second time that it is asked to plan, over all runs of a test."""

    plans = 0

    def reply(self, request):
        reply = super().reply(request)
        if "You are the planner" not in request.system:
            return reply
        MoodyModel.plans += 1
        careful = langgraph_team.ChatReply("PLAN: add 3 and 4, then times 10.")
        return reply if MoodyModel.plans % 2 else careful


@pytest.mark.agentracer(repeat=4)
def test_the_answer_is_right_every_time(server, team, agentracer_run):
    server.model = MoodyModel()
    agentracer_run.system(lambda: ask(team), is_right)
    assert is_right(ask(team))
