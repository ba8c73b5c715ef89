"""deepagents through the LangGraph adapter: its sub-agents are agents that run as a tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("deepagents", reason="needs deepagents: make test-deepagents")
pytest.importorskip("langchain_openai", reason="needs the extra [demo]")

from deepagents import create_deep_agent

import agentracer
from agentracer.lab.testbed.server import ChatReply, ScriptedCall, text_of
from agentracer.replay import Override, arerun
from tests.adapters.arithmetic import ArithmeticModel, arithmetic_world
from tests.adapters.contract import (
    test_correcting_a_tool_result_does_not_run_the_tool,
    test_correcting_tool_arguments_really_runs_the_tool_with_them,
)
from tests.adapters.langgraph_contract import (
    record_run,
    replay_run,
    test_correcting_the_plan_flips_the_answer_without_repeating_the_prefix,
    test_correcting_the_solvers_text_leaves_only_the_rest_to_run,
    test_replaying_without_an_override_calls_nothing_and_ends_the_same,
    test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle,
    test_the_uncorrected_team_fails_and_every_read_is_what_the_server_saw,
    world,
)
from tests.adapters.langgraph_teams import ASK, agent, model, pipeline

__all__ = [
    "record_run",
    "replay_run",
    "test_correcting_a_tool_result_does_not_run_the_tool",
    "test_correcting_the_plan_flips_the_answer_without_repeating_the_prefix",
    "test_correcting_the_solvers_text_leaves_only_the_rest_to_run",
    "test_correcting_tool_arguments_really_runs_the_tool_with_them",
    "test_replaying_without_an_override_calls_nothing_and_ends_the_same",
    "test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle",
    "test_the_uncorrected_team_fails_and_every_read_is_what_the_server_saw",
    "world",
]


def deep_agent(world: Any, subagents: Any) -> Any:
    return create_deep_agent(
        model(world), system_prompt="You are supervisor.", subagents=subagents, name="supervisor"
    )


def subagents(world: Any) -> Any:
    tools = {"planner": [], "solver": [world.add], "reporter": []}
    return deep_agent(
        world,
        [
            {
                "name": name,
                "description": f"The {name}.",
                "system_prompt": f"You are {name}.",
                "tools": its_tools,
            }
            for name, its_tools in tools.items()
        ],
    )


def compiled(world: Any) -> Any:
    members = {
        "planner": agent(world, "planner"),
        "solver": agent(world, "solver", [world.add]),
        "reporter": agent(world, "reporter"),
    }
    return deep_agent(
        world,
        [
            {"name": name, "description": f"The {name}.", "runnable": member}
            for name, member in members.items()
        ],
    )


def whole_graph(world: Any) -> Any:
    team = {"name": "planner", "description": "The whole team.", "runnable": pipeline(world)}
    return deep_agent(world, [team])


CONSTRUCTS = {
    "subagents": subagents,
    "compiled subagents": compiled,
    "a graph as subagent": whole_graph,
}


@pytest.fixture(params=CONSTRUCTS.values(), ids=CONSTRUCTS)
def build(request):
    return request.param


class ParallelModel(ArithmeticModel):
    """A supervisor that asks three researchers at once; the one for wind is wrong."""

    def reply(self, request):
        text = "\n".join(text_of(message) for message in request.messages)
        if "You are supervisor" in request.system:
            outputs = [text_of(m) for m in request.messages if m["role"] == "tool"]
            if outputs:
                return ChatReply(" ".join(sorted(outputs)))
            topics = ("sun", "wind", "water")
            return ChatReply(
                None,
                tuple(
                    ScriptedCall("task", {"description": topic, "subagent_type": "researcher"})
                    for topic in topics
                ),
            )
        facts = {"sun": "sun 4", "wind": "wind 9", "water": "water 2"}
        return ChatReply(next(fact for topic, fact in facts.items() if f"{topic}" in text[-40:]))


@pytest.mark.parametrize("streams", [False, True], ids=["invoke", "stream"])
def test_subagents_that_run_at_once_keep_their_own_steps_and_one_can_be_corrected(
    captured, streams
):
    with arithmetic_world(ParallelModel()) as world:
        researcher = {
            "name": "researcher",
            "description": "Looks something up.",
            "system_prompt": "You are researcher.",
        }
        graph = deep_agent(world, [researcher])

        async def run():
            if not streams:
                return await graph.ainvoke(ASK)
            return [state async for state in graph.astream(ASK, stream_mode="values")][-1]

        def check(state):
            return "wind 3" in state["messages"][-1].text

        async def scenario():
            async with agentracer.record(check=check) as recording:
                recording.result = await run()
            trace = recording.trace
            world.forget()
            wrong = next(step for step in trace.steps if step.content == "wind 9")
            override = Override(step=wrong.index, content="wind 3")
            again = await arerun(trace, run, override=override, check=check)
            return trace, again

        trace, again = asyncio.run(scenario())
        inner = [step for step in trace.steps if step.agent == "researcher"]
        calls = {call.id: call.arguments for call in trace.steps[0].tool_calls}
        assert trace.outcome.success is False
        assert {step.parent for step in inner} == {0}
        assert {calls[s.attributes["inside_call"]]["description"]: s.content for s in inner} == {
            "sun": "sun 4",
            "wind": "wind 9",
            "water": "water 2",
        }
        assert again.outcome.success is True
        modes = {step.content: step.attributes["replay"] for step in again.steps}
        assert modes[""] == "recorded"  # the request of the supervisor
        asked = [text_of(exchange.body["messages"][-1]) for exchange in world.server.exchanges]
        assert not any(prompt == "wind" for prompt in asked)  # the other two ran at the same time
