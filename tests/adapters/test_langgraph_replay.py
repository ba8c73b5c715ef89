"""Forced-prefix replay and feedback in LangGraph, for every construct that the docs list."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
pytest.importorskip("langchain_openai", reason="needs the extra [demo]")

from langchain.agents import create_agent
from langchain_core.messages import SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

import agentracer
from agentracer.adapters.langgraph import adapter
from agentracer.errors import ReplayDiverged
from agentracer.replay import Override, arerun, rerun
from tests.adapters.arithmetic import (
    ADVICE,
    RIGHT_PLAN,
    TASK,
    World,
    arithmetic_world,
    assert_reads_match_server,
    is_right,
)

ASK = {"messages": [("user", TASK)]}


@pytest.fixture
def world(captured):
    with arithmetic_world() as world:
        yield world


def model(world: World) -> ChatOpenAI:
    return ChatOpenAI(model="scripted", base_url=world.url, api_key="none", max_retries=0)


def agent(world: World, name: str, tools: Any = ()) -> Any:
    return create_agent(model(world), list(tools), system_prompt=f"You are {name}.", name=name)


def speaker(world: World, name: str, *, is_async: bool = False) -> Callable[..., Any]:
    system, llm = SystemMessage(f"You are {name}."), model(world)

    def speak(state: Any) -> Any:
        return {"messages": [llm.invoke([system, *state["messages"]])]}

    async def speak_async(state: Any) -> Any:
        return {"messages": [await llm.ainvoke([system, *state["messages"]])]}

    return speak_async if is_async else speak


def pipeline(world: World, *, is_async: bool = False) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("planner", speaker(world, "planner", is_async=is_async))
    graph.add_node("solver", agent(world, "solver", [world.add]))
    graph.add_node("reporter", speaker(world, "reporter", is_async=is_async))
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "solver")
    graph.add_edge("solver", "reporter")
    graph.add_edge("reporter", END)
    return graph.compile()


def nested(world: World) -> Any:
    outer = StateGraph(MessagesState)
    outer.add_node("team", pipeline(world))
    outer.add_edge(START, "team")
    outer.add_edge("team", END)
    return outer.compile()


def supervisor(world: World) -> Any:
    workers = [
        agent(world, "planner"),
        agent(world, "solver", [world.add]),
        agent(world, "reporter"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create_supervisor(
            workers, model=model(world), prompt="You are supervisor."
        ).compile()


def swarm(world: World) -> Any:
    planner = agent(world, "planner", [create_handoff_tool(agent_name="solver")])
    solver = agent(world, "solver", [world.add, create_handoff_tool(agent_name="reporter")])
    members = [planner, solver, agent(world, "reporter")]
    return create_swarm(members, default_active_agent="planner").compile()


def functional(world: World) -> Any:
    speak = {name: speaker(world, name) for name in ("planner", "reporter")}
    solver = agent(world, "solver", [world.add])

    @task
    def planner(messages: Any) -> Any:
        return speak["planner"]({"messages": messages})["messages"]

    @task
    def reporter(messages: Any) -> Any:
        return speak["reporter"]({"messages": messages})["messages"]

    @entrypoint()
    def team(inputs: Any) -> Any:
        messages = [*inputs["messages"]]
        messages += planner(messages).result()
        messages = solver.invoke({"messages": messages})["messages"]
        return {"messages": [*messages, *reporter(messages).result()]}

    return team


CONSTRUCTS = {
    "StateGraph with create_agent": pipeline,
    "nested subgraphs": nested,
    "supervisor": supervisor,
    "swarm": swarm,
    "functional API": functional,
}


@pytest.fixture(params=CONSTRUCTS.values(), ids=CONSTRUCTS)
def build(request):
    return request.param


def run_once(build, world):
    return build(world).invoke(ASK)


def recorded(build, world):
    with agentracer.record(check=is_right) as run:
        run_once(build, world)
    return run.trace


def replayed(trace, build, world, override=None):
    world.forget()
    return rerun(trace, lambda: run_once(build, world), override=override, check=is_right)


def step_of(trace, agent, *, calling=None, saying=None):
    return next(
        step
        for step in trace.steps
        if step.agent == agent
        and step.kind == "llm"
        and (calling is None or any(call.name == calling for call in step.tool_calls))
        and (saying is None or saying in step.content)
    )


def test_the_uncorrected_team_fails_and_every_read_is_what_the_server_saw(build, world):
    trace = recorded(build, world)
    assert trace.outcome.success is False
    assert "80" in trace.outcome.answer
    assert_reads_match_server(trace, world)


def test_replaying_without_an_override_calls_nothing_and_ends_the_same(build, world):
    trace = recorded(build, world)
    again = replayed(trace, build, world)
    assert (world.callers, world.tool_runs) == ([], [])
    assert again.outcome == trace.outcome
    assert [(s.agent, s.content) for s in again.steps] == [
        (s.agent, s.content) for s in trace.steps
    ]
    assert again.parent == trace.id


def test_correcting_the_plan_flips_the_answer_without_repeating_the_prefix(build, world):
    trace = recorded(build, world)
    target = step_of(trace, "planner")
    again = replayed(
        trace,
        build,
        world,
        Override(step=target.index, content=RIGHT_PLAN, tool_calls=target.tool_calls),
    )
    assert again.outcome.success is True
    assert "planner" not in world.callers
    assert world.tool_runs == [(3, 4)]
    assert again.steps[target.index].attributes["replay"] == "override"


def test_correcting_tool_arguments_really_runs_the_tool_with_them(build, world):
    trace = recorded(build, world)
    target = step_of(trace, "solver", calling="add")
    again = replayed(trace, build, world, Override(step=target.index, arguments={"a": 3, "b": 4}))
    assert again.outcome.success is True
    assert world.tool_runs == [(3, 4)]
    assert "planner" not in world.callers
    assert world.callers.count("solver") == 1


def test_correcting_a_tool_result_does_not_run_the_tool(build, world):
    trace = recorded(build, world)
    target = step_of(trace, "solver", calling="add")
    again = replayed(trace, build, world, Override(step=target.index, result="7"))
    assert again.outcome.success is True
    assert world.tool_runs == []


def test_correcting_the_solvers_text_leaves_only_the_rest_to_run(build, world):
    trace = recorded(build, world)
    target = step_of(trace, "solver", saying="SUM=")
    again = replayed(
        trace,
        build,
        world,
        Override(step=target.index, content="SUM=7", tool_calls=target.tool_calls),
    )
    assert again.outcome.success is True
    assert set(world.callers) <= {"reporter", "supervisor"}
    assert world.tool_runs == []


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


def test_advice_reaches_one_agent_once_and_is_taken_back_exactly(build, world):
    if build is functional:
        pytest.skip("a functional entrypoint lists no agents to advise")
    system = build(world)
    original = system.config
    advice = adapter.advise(system, "planner", ADVICE)
    assert is_right(system.invoke(ASK))
    prompts = [exchange.body["messages"][0]["content"] for exchange in world.server.exchanges]
    assert [prompt.count(ADVICE) for prompt in prompts if "You are planner" in prompt] == [1]
    assert not any(ADVICE in prompt for prompt in prompts if "You are planner" not in prompt)
    advice.retract()
    advice.retract()
    assert system.config is original
    world.forget()
    assert not is_right(system.invoke(ASK))
    assert ADVICE not in str(world.server.exchanges)


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
