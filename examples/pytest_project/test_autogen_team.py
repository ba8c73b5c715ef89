"""An AutoGen team that gets it wrong, in an async test."""

from __future__ import annotations

import pytest

pytest.importorskip("autogen_agentchat", reason="needs the extra [autogen]")
autogen_team = pytest.importorskip("autogen_team", reason="needs the extra [autogen]")


@pytest.fixture
def url():
    with autogen_team.ModelServer(autogen_team.CarelessModel()) as server:
        yield server.base_url


@pytest.mark.asyncio
async def test_the_answer_is_right(url, right_plan, agentracer_run):
    async def run():
        return await autogen_team.build_team(url).run(task=autogen_team.QUESTION)

    agentracer_run.system(run, autogen_team.is_right, right_plan)
    assert autogen_team.is_right(await run())


@pytest.mark.asyncio
async def test_every_agent_speaks(url):
    result = await autogen_team.build_team(url).run(task=autogen_team.QUESTION)
    assert {message.source for message in result.messages} >= {"planner", "solver", "reporter"}
