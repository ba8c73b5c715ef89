"""Forced-prefix replay and feedback in LangGraph, for every construct that the docs list."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
pytest.importorskip("langchain_openai", reason="needs the extra [demo]")

from langchain_core.messages import SystemMessage
from langgraph.graph import START, MessagesState, StateGraph

import agentracer
from agentracer.adapters.langgraph import adapter
from agentracer.errors import ReplayDiverged
from agentracer.replay import Override, arerun, rerun
from tests.adapters.arithmetic import ADVICE, RIGHT_PLAN, assert_reads_match_server, is_right
from tests.adapters.contract import (
    test_correcting_a_tool_result_does_not_run_the_tool,
    test_correcting_tool_arguments_really_runs_the_tool_with_them,
)
from tests.adapters.langgraph_contract import (
    record_run,
    recorded,
    replay_run,
    replayed,
    test_advice_reaches_one_agent_once_and_is_taken_back_exactly,
    test_correcting_the_plan_flips_the_answer_without_repeating_the_prefix,
    test_correcting_the_solvers_text_leaves_only_the_rest_to_run,
    test_live_calls_of_a_replay_sample_as_it_says,
    test_replaying_without_an_override_calls_nothing_and_ends_the_same,
    test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle,
    test_the_uncorrected_team_fails_and_every_read_is_what_the_server_saw,
    world,
)
from tests.adapters.langgraph_teams import ASK, CONSTRUCTS, agent, model, pipeline, speaker

__all__ = [
    "record_run",
    "replay_run",
    "test_advice_reaches_one_agent_once_and_is_taken_back_exactly",
    "test_correcting_a_tool_result_does_not_run_the_tool",
    "test_correcting_the_plan_flips_the_answer_without_repeating_the_prefix",
    "test_correcting_the_solvers_text_leaves_only_the_rest_to_run",
    "test_correcting_tool_arguments_really_runs_the_tool_with_them",
    "test_live_calls_of_a_replay_sample_as_it_says",
    "test_replaying_without_an_override_calls_nothing_and_ends_the_same",
    "test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle",
    "test_the_uncorrected_team_fails_and_every_read_is_what_the_server_saw",
    "world",
]


@pytest.fixture(params=CONSTRUCTS.values(), ids=CONSTRUCTS)
def build(request):
    return request.param


def test_async_systems_replay_the_same_way(world):
    graph = pipeline(world, is_async=True)

    async def scenario():
        async with agentracer.record(check=is_right) as run:
            await graph.ainvoke(ASK)
        world.forget()
        override = Override(step=0, content=RIGHT_PLAN)
        return await arerun(
            run.trace, lambda: graph.ainvoke(ASK), override=override, check=is_right
        )

    again = asyncio.run(scenario())
    assert again.outcome.success is True
    assert world.callers == ["solver", "solver", "reporter"]


def test_a_streamed_model_is_answered_from_the_record_too(world):
    llm = model(world)

    def planner(state):
        chunks = list(llm.stream([SystemMessage("You are planner."), *state["messages"]]))
        return {"messages": [("assistant", "".join(str(chunk.content) for chunk in chunks))]}

    def build(world):
        graph = StateGraph(MessagesState)
        graph.add_node("planner", planner)
        graph.add_node("solver", agent(world, "solver", [world.add]))
        graph.add_node("reporter", speaker(world, "reporter"))
        graph.add_edge(START, "planner")
        graph.add_edge("planner", "solver")
        graph.add_edge("solver", "reporter")
        return graph.compile()

    trace = recorded(build, world)
    again = replayed(trace, build, world, Override(step=0, content=RIGHT_PLAN))
    assert again.outcome.success is True
    assert "planner" not in world.callers


def test_a_system_that_asks_for_more_than_was_recorded_is_reported(world):
    trace = recorded(pipeline, world)

    def build_another(world):
        graph = StateGraph(MessagesState)
        graph.add_node("stranger", speaker(world, "planner"))
        graph.add_node("team", pipeline(world))
        graph.add_edge(START, "stranger")
        graph.add_edge("stranger", "team")
        return graph.compile()

    with pytest.raises(ReplayDiverged, match="stranger makes a model call more"):
        replayed(trace, build_another, world, Override(step=2, content="SUM=7"))


def test_divergence_can_be_reported_instead_of_raised(world):
    trace = recorded(pipeline, world)
    again = rerun(
        trace,
        lambda: pipeline(world).invoke({"messages": [("user", "Compute (3+4)*10, quickly")]}),
        override=Override(step=1, result="7"),
        on_divergence="report",
    )
    assert again.metadata["replay"]["divergences"][0]["kind"] == "other_prompt"


def test_advice_to_one_system_does_not_reach_another(world):
    advised, other = pipeline(world), pipeline(world)
    with_advice = adapter.advise(advised, "planner", ADVICE)
    assert not is_right(other.invoke(ASK))
    assert is_right(advised.invoke(ASK))
    with_advice.retract()


def test_what_an_advised_agent_read_is_recorded_with_the_advice(world):
    system = pipeline(world)
    adapter.advise(system, "planner", ADVICE)
    with agentracer.record() as run:
        system.invoke(ASK)
    assert_reads_match_server(run.trace, world)


def test_advice_for_an_unknown_agent_names_the_known_ones(world):
    with pytest.raises(ValueError, match=r"no agent 'nobody'.*planner"):
        adapter.advise(pipeline(world), "nobody", "listen")
