"""What every construct around a provider's client has to do: capture, replay, proof, advice.

A test module imports these and defines the fixture `build`: the construct.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import agentracer
from agentracer._guard import swallowed
from agentracer.adapters.openai import adapter
from agentracer.replay import Override, SamplingParameters, System, find_decisive, rerun
from tests.adapters.arithmetic import ADVICE, RIGHT_PLAN, errs_at_random, is_right, spoken
from tests.adapters.client_teams import TASK, client_world
from tests.adapters.contract import step_of


@pytest.fixture(autouse=True)
def nothing_swallowed(captured):
    before = swallowed()
    yield
    assert swallowed() == before


@pytest.fixture
def world(captured):
    with client_world() as world:
        yield world


def recorded(build, world):
    team = build(world)
    with agentracer.record(check=is_right) as run:
        run.result = team(TASK)
    return run.trace


def replayed(trace, build, world, override=None):
    world.forget()
    team = build(world)
    return rerun(trace, lambda: team(TASK), override=override, check=is_right)


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
    assert {"planner", "solver", "reporter"} <= {step.agent for step in trace.steps}
    assert {step.agent for step in trace.steps} <= {"supervisor", "planner", "solver", "reporter"}
    read: Any = Counter((spoken(trace.observed.reads(s)), s.content) for s in trace.steps)
    served = Counter((spoken(messages), text) for messages, text in world.exchanges)
    assert read == served
    call = step_of(trace, "solver", calling="add").tool_calls[0]
    assert (call.arguments, call.result) == ({"a": 3, "b": 5}, "8")
    assert all(s.usage.input_tokens and s.usage.output_tokens for s in trace.steps if s.usage)
    inner = [s for s in trace.steps if s.parent is not None]
    assert not inner or all(s.attributes["inside_call"] for s in inner)


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
    again = replayed(trace, build, world, Override(step=target.index, content=RIGHT_PLAN))
    assert again.outcome.success is True
    assert "planner" not in world.callers
    assert world.tool_runs == [(3, 4)]
    assert again.steps[target.index].attributes["replay"] == "override"


def test_correcting_the_solvers_text_leaves_only_the_rest_to_run(build, world):
    trace = recorded(build, world)
    target = step_of(trace, "solver", saying="SUM=")
    again = replayed(trace, build, world, Override(step=target.index, content="SUM=7"))
    assert again.outcome.success is True
    assert set(world.callers) <= {"reporter", "supervisor"}
    assert world.tool_runs == []


@pytest.mark.slow
def test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle(build, world):
    trace = recorded(build, world)
    errs_at_random(world)
    team = build(world)
    search = find_decisive(trace, System(lambda: team(TASK), is_right))
    assert search.verdict.step == step_of(trace, "planner").index
    assert search.verdict.verification.status == "confirmed"


def test_advice_reaches_one_agent_once_and_is_taken_back_exactly(build, world):
    recorded(build, world)
    world.forget()
    advice = adapter.advise(None, "planner", ADVICE)
    assert is_right(build(world)(TASK))
    prompts = [messages[0]["content"] for messages, _ in world.exchanges]
    assert [prompt.count(ADVICE) for prompt in prompts if "You are planner" in prompt] == [1]
    assert not any(ADVICE in prompt for prompt in prompts if "You are planner" not in prompt)
    advice.retract()
    advice.retract()
    world.forget()
    assert not is_right(build(world)(TASK))
    assert ADVICE not in str(world.exchanges)


def test_live_calls_of_a_replay_sample_as_it_says(build, world):
    trace = recorded(build, world)
    world.forget()
    team = build(world)
    again = rerun(
        trace,
        lambda: team(TASK),
        keep=1,
        check=is_right,
        sampling=SamplingParameters(temperature=0.7),
        on_divergence="report",
    )
    live = [s for s in again.steps if s.attributes.get("replay") == "live"]
    assert len(world.server.requests) == len(live) > 0
    assert {body.get("temperature") for body in world.server.requests} == {0.7}
    assert all(s.attributes["sampling"] == {"temperature": 0.7} for s in live)
