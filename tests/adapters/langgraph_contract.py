"""What every LangGraph construct of the docs has to do: capture, forced-prefix replay, advice.

A test module imports these and defines the fixture `build`: the construct.
"""

from __future__ import annotations

import pytest

import agentracer
from agentracer.adapters.langgraph import adapter
from agentracer.replay import Override, System, find_decisive, rerun
from tests.adapters.arithmetic import (
    ADVICE,
    RIGHT_PLAN,
    arithmetic_world,
    assert_live_calls_sample_as_told,
    assert_reads_match_server,
    errs_at_random,
    is_right,
)
from tests.adapters.contract import step_of
from tests.adapters.langgraph_teams import ASK, UNLISTED


@pytest.fixture
def world(captured):
    with arithmetic_world() as world:
        yield world


def run_once(build, world):
    return build(world).invoke(ASK)


def recorded(build, world):
    with agentracer.record(check=is_right) as run:
        run_once(build, world)
    return run.trace


def replayed(trace, build, world, override=None):
    world.forget()
    return rerun(trace, lambda: run_once(build, world), override=override, check=is_right)


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


@pytest.mark.slow
def test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle(build, world):
    trace = recorded(build, world)
    errs_at_random(world)
    search = find_decisive(trace, System(lambda: run_once(build, world), is_right))
    assert search.verdict.step == step_of(trace, "planner").index
    assert search.verdict.verification.status == "confirmed"


def test_advice_reaches_one_agent_once_and_is_taken_back_exactly(build, world):
    if build in UNLISTED:
        pytest.skip("the graph does not list the agents that its code calls")
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


def test_live_calls_of_a_replay_sample_as_it_says(build, world):
    trace = recorded(build, world)
    assert_live_calls_sample_as_told(trace, world, lambda: run_once(build, world))
