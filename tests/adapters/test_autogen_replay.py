"""Forced-prefix replay and feedback in AutoGen, for every construct that the docs list."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat", reason="needs the extra [autogen]")
pytest.importorskip("autogen_ext.models.openai", reason="needs the extra [autogen]")

from autogen_agentchat.agents import BaseChatAgent, CodeExecutorAgent, UserProxyAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.tools import AgentTool
from autogen_core import CancellationToken
from autogen_core.tools import FunctionTool
from autogen_ext.code_executors.local import LocalCommandLineCodeExecutor

import agentracer
from agentracer._guard import swallowed
from agentracer.adapters.autogen import adapter
from agentracer.adapters.autogen.advice import agents_of
from agentracer.errors import ReplayDiverged
from agentracer.lab.testbed.server import ApiError, ChatReply, ScriptedCall, text_of
from agentracer.replay import Override, System, ToolPolicy, find_decisive, rerun
from tests.adapters import autogen_teams as teams
from tests.adapters.arithmetic import (
    ADVICE,
    RIGHT_PLAN,
    TASK,
    arithmetic_world,
    assert_live_calls_sample_as_told,
    assert_reads_match_server,
    errs_at_random,
    is_right,
)
from tests.adapters.contract import (
    step_of,
    test_correcting_a_tool_result_does_not_run_the_tool,
    test_correcting_tool_arguments_really_runs_the_tool_with_them,
)

__all__ = [
    "test_correcting_a_tool_result_does_not_run_the_tool",
    "test_correcting_tool_arguments_really_runs_the_tool_with_them",
]


@pytest.fixture(autouse=True)
def nothing_swallowed(captured):
    before = swallowed()
    yield
    assert swallowed() == before


@pytest.fixture
def world(captured):
    with arithmetic_world(teams.TeamModel()) as world:
        yield world


@pytest.fixture(params=teams.CONSTRUCTS.values(), ids=teams.CONSTRUCTS)
def build(request):
    return request.param


def run_once(system: Any, task: str = TASK) -> Any:
    return asyncio.run(system.run(task=task))


def recorded(build, world):
    with agentracer.record(check=is_right) as run:
        run_once(build(world))
    return run.trace


def replayed(trace, build, world, override=None):
    world.forget()
    return rerun(trace, lambda: run_once(build(world)), override=override, check=is_right)


@pytest.fixture
def record_run():
    return recorded


@pytest.fixture
def replay_run():
    return replayed


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
    assert sorted((s.agent, s.content) for s in again.steps) == sorted(
        (s.agent, s.content) for s in trace.steps
    )
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
    assert step_of(again, "planner").attributes["replay"] == "override"


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
    assert not {"planner", "solver"} & set(world.callers)
    assert world.tool_runs == []


@pytest.mark.slow
def test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle(build, world):
    trace = recorded(build, world)
    errs_at_random(world)
    search = find_decisive(trace, System(lambda: run_once(build(world)), is_right))
    assert search.verdict.step == step_of(trace, "planner").index
    assert search.verdict.verification.status == "confirmed"


def test_a_graph_with_a_loop_is_replayed_turn_by_turn(world):
    trace = recorded(teams.loop, world)
    assert [s.agent for s in trace.steps if not s.tool_calls] == [
        *("planner", "solver", "checker") * 2,
        "reporter",
    ]
    again = replayed(trace, teams.loop, world, Override(step=0, content=RIGHT_PLAN))
    assert again.outcome.success is True
    second_plan = [step for step in trace.steps if step.agent == "planner"][1]
    again = replayed(trace, teams.loop, world, Override(step=second_plan.index, content=RIGHT_PLAN))
    assert "planner" not in world.callers
    assert again.steps[0].attributes["replay"] == "recorded"


@pytest.mark.parametrize("last", ["critic", "solver"])
def test_answers_to_agents_that_ran_at_once_arrive_in_the_order_of_the_record(last, world):
    class Slow(teams.TeamModel):
        def reply(self, request):
            if f"You are {last}" in request.system:
                time.sleep(0.2)
            return super().reply(request)

    world.server.model = Slow()
    trace = recorded(teams.fan_out, world)
    heard = [m.name for m in trace.observed.reads(step_of(trace, "reporter")) if m.role == "user"]
    assert heard[-1] == last
    assert replayed(trace, teams.fan_out, world).outcome == trace.outcome


def test_a_managers_own_call_can_be_corrected(world):
    trace = recorded(teams.selector, world)
    target = step_of(trace, "SelectorGroupChatManager", saying="solver")
    again = replayed(trace, teams.selector, world, Override(step=target.index, content="reporter"))
    assert again.steps[target.index + 1].agent == "reporter"
    assert world.callers == ["reporter"]


def test_an_orchestrators_ledger_can_be_corrected(world):
    trace = recorded(teams.magentic, world)
    target = step_of(trace, "MagenticOneOrchestrator", saying="next_speaker")
    ledger = target.content.replace("go on", ADVICE)
    again = replayed(trace, teams.magentic, world, Override(step=target.index, content=ledger))
    assert again.outcome.success is True
    assert world.callers[0] == "planner"


class TwoDrafts:
    """Has the writer called twice as a tool, and passes on what came of it."""

    def reply(self, request):
        said = [text_of(message) for message in request.messages]
        if "You are writer" in request.system:
            return ChatReply(f"draft {sum(text.startswith('write') for text in said)}")
        results = [m for m in request.messages if m["role"] == "tool"]
        if len(results) < 2:
            return ChatReply(None, (ScriptedCall("writer", {"task": "write"}),))
        return ChatReply(" and ".join(text_of(result) for result in results))


def test_a_step_inside_an_agents_second_call_as_a_tool_is_reached(world):
    world.server.model = TwoDrafts()

    def build(world):
        writer = AgentTool(teams.agent(world, "writer"))
        return teams.agent(world, "editor", tools=[writer], max_tool_iterations=5)

    trace = recorded(build, world)
    assert trace.outcome.answer == "writer: draft 1 and writer: draft 2"
    target = step_of(trace, "writer", saying="draft 2")
    again = replayed(trace, build, world, Override(step=target.index, content="better"))
    assert again.outcome.answer == "writer: draft 1 and writer: better"
    assert len(world.server.exchanges) == 1


def test_a_recorded_model_error_is_raised_again(world):
    trace = recorded_failure(world)
    again = replayed(trace, teams.round_robin, world)
    assert again.steps[0].error.type == "InternalServerError"
    assert again.outcome.ending == "raised"
    assert world.callers == []


def recorded_failure(world):
    world.server.model = Broken()
    with pytest.raises(RuntimeError), agentracer.record() as run:
        run_once(teams.round_robin(world))
    return run.trace


class Broken:
    def reply(self, request):
        raise ApiError(500, "the model is down")


def test_a_human_is_not_asked_again_and_can_be_corrected(world):
    asked = []

    def answer(prompt):
        asked.append(prompt)
        return "PLAN: a=3 b=5"

    def build(world):
        _, solver, reporter = teams.members(world)
        human = UserProxyAgent("human", input_func=answer)
        return RoundRobinGroupChat([human, solver, reporter], termination_condition=teams.done())

    trace = recorded(build, world)
    assert (trace.steps[0].kind, trace.steps[0].content) == ("message", "PLAN: a=3 b=5")
    assert replayed(trace, build, world).outcome == trace.outcome
    again = replayed(trace, build, world, Override(step=0, result=RIGHT_PLAN))
    assert again.outcome.success is True
    assert len(asked) == 1


def test_a_policy_that_lets_few_tools_run_lets_agents_hand_over(world):
    trace = recorded(teams.swarm, world)
    target = step_of(trace, "planner")
    again = rerun(
        trace,
        lambda: run_once(teams.swarm(world)),
        override=Override(step=target.index, content=RIGHT_PLAN, tool_calls=target.tool_calls),
        check=is_right,
        policy=ToolPolicy.only(["add"]),
    )
    assert again.outcome.success is True
    assert "refused" not in again.metadata["replay"]


def test_a_tool_that_may_not_run_is_an_error_that_the_agent_sees(world):
    trace = recorded(teams.round_robin, world)
    again = rerun(
        trace,
        lambda: run_once(teams.round_robin(world)),
        override=Override(step=0, content=RIGHT_PLAN),
        policy=ToolPolicy("refuse"),
    )
    asked = step_of(again, "solver", calling="add")
    assert asked.tool_calls[0].error.type == "ToolRefused"
    assert "does not let add run" in again.observed.reads(asked.index + 1)[-1].content
    assert again.metadata["replay"]["refused"] == ["add"]


class Adder(BaseChatAgent):
    """Runs its tool itself, as plain code."""

    produced_message_types = (TextMessage,)

    def __init__(self, world):
        super().__init__("adder", "adds")
        self._tool = FunctionTool(world.add, "adds")

    async def on_messages(self, messages, cancellation_token):
        total = await self._tool.run_json({"a": 3, "b": 5}, cancellation_token)
        return Response(chat_message=TextMessage(content=f"SUM={total}", source=self.name))

    async def on_reset(self, cancellation_token):
        pass


def test_a_tool_call_that_no_model_asked_for_can_be_corrected(world):
    def build(world):
        team = [Adder(world), teams.agent(world, "reporter")]
        return RoundRobinGroupChat(team, termination_condition=teams.done())

    trace = recorded(build, world)
    assert [step.kind for step in trace.steps] == ["tool", "node", "llm"]
    assert replayed(trace, build, world).outcome == trace.outcome
    assert (world.callers, world.tool_runs) == ([], [])
    assert replayed(trace, build, world, Override(step=0, result="7")).outcome.success is True
    assert world.tool_runs == []
    right = {"a": 3, "b": 4}
    assert replayed(trace, build, world, Override(step=0, arguments=right)).outcome.success is True
    assert world.tool_runs == [(3, 4)]


@pytest.mark.filterwarnings("ignore:Using LocalCommandLineCodeExecutor")
@pytest.mark.filterwarnings("ignore:No approval function")
def test_code_is_not_run_again_and_its_result_can_be_corrected(world, tmp_path):
    def build(world):
        executor = LocalCommandLineCodeExecutor(work_dir=tmp_path)
        coder = CodeExecutorAgent("coder", code_executor=executor)
        team = [coder, teams.agent(world, "reporter")]
        return RoundRobinGroupChat(team, termination_condition=teams.done())

    script = "```sh\necho run >> log; echo SUM=8\n```"
    with agentracer.record(check=is_right) as run:
        run_once(build(world), script)
    trace = run.trace
    assert trace.steps[0].tool_calls[0].result["exit_code"] == 0
    right = {"exit_code": 0, "output": "SUM=7"}
    again = rerun(
        trace,
        lambda: run_once(build(world), script),
        override=Override(step=0, result=right),
        check=is_right,
    )
    assert again.outcome.success is True
    assert (tmp_path / "log").read_text() == "run\n"


def test_a_system_that_asks_for_more_than_was_recorded_is_reported(world):
    trace = recorded(teams.round_robin, world)

    def build_another(world):
        team = [teams.agent(world, "stranger"), *teams.members(world)]
        return RoundRobinGroupChat(team, termination_condition=teams.done())

    with pytest.raises(ReplayDiverged, match="stranger makes a model call more"):
        replayed(trace, build_another, world, Override(step=2, content="SUM=7"))


# -- feedback


async def reset(system):
    if hasattr(system, "reset"):
        await system.reset()
    else:
        await system.on_reset(CancellationToken())


def prompts(world):
    return [str(exchange.body["messages"]) for exchange in world.server.exchanges]


def test_advice_reaches_one_agent_once_and_is_taken_back_exactly(build, world):
    system = build(world)
    planner = next(owner for name, _, owner in agents_of(system) if name == "planner")
    original = planner._system_messages

    async def scenario():
        advice = adapter.advise(system, "planner", ADVICE)
        assert is_right(await system.run(task=TASK))
        told = [prompt.count(ADVICE) for prompt in prompts(world) if "You are planner" in prompt]
        assert set(told) == {1}
        assert not any(ADVICE in p for p in prompts(world) if "You are planner" not in p)
        advice.retract()
        advice.retract()
        assert planner._system_messages is original
        await reset(system)
        world.forget()
        await system.run(task=TASK)
        assert world.callers
        assert ADVICE not in str(prompts(world))

    asyncio.run(scenario())


def test_advice_adds_up_and_comes_apart_in_any_order(world):
    system = teams.nested(world)
    planner = next(owner for name, _, owner in agents_of(system) if name == "planner")
    original = planner._system_messages
    first = adapter.advise(system, "planner", "one")
    second = adapter.advise(system, "outer/inner/planner", "two")
    assert planner._system_messages[0].content == "You are planner.\n\none\n\ntwo"
    first.retract()
    assert planner._system_messages[0].content == "You are planner.\n\ntwo"
    second.retract()
    assert planner._system_messages is original


@pytest.mark.parametrize(
    ("build", "agent", "mark"),
    [
        (teams.selector, "SelectorGroupChatManager", "role play game"),
        (teams.magentic, "MagenticOneOrchestrator", "team"),
        (teams.society, "society", "Say the SUM."),
    ],
)
def test_managers_and_agents_without_a_system_message_are_advised_at_the_model(
    build, agent, mark, world
):
    system = build(world)

    async def scenario():
        advice = adapter.advise(system, agent, "LESSON")
        async with agentracer.record() as run:
            await system.run(task=TASK)
        assert_reads_match_server(run.trace, world)
        for step in run.trace.steps:
            read = str(run.trace.observed.reads(step))
            assert read.count("LESSON") == (1 if step.agent == agent else 0)
        assert any("LESSON" in prompt and mark in prompt for prompt in prompts(world))
        advice.retract()
        await reset(system)
        world.forget()
        await system.run(task=TASK)
        assert "LESSON" not in str(prompts(world))

    asyncio.run(scenario())


def test_advice_to_one_system_does_not_reach_another(world):
    advised, other = teams.round_robin(world), teams.round_robin(world)
    advice = adapter.advise(advised, "planner", ADVICE)
    assert not is_right(run_once(other))
    assert is_right(run_once(advised))
    advice.retract()


def test_what_an_advised_agent_read_is_recorded_with_the_advice(world):
    system = teams.round_robin(world)
    adapter.advise(system, "planner", ADVICE)
    with agentracer.record() as run:
        run_once(system)
    assert_reads_match_server(run.trace, world)


def test_advice_for_an_unknown_agent_names_the_known_ones(world):
    with pytest.raises(ValueError, match=r"no agent 'nobody'.*planner"):
        adapter.advise(teams.nested(world), "nobody", "listen")


def test_live_calls_of_a_replay_sample_as_it_says(build, world):
    trace = recorded(build, world)
    assert_live_calls_sample_as_told(trace, world, lambda: run_once(build(world)))
