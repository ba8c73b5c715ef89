"""Forced-prefix replay and feedback in CAMEL, for every construct that the docs list."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

pytest.importorskip("camel", reason="needs the extra [camel]")

import agentracer
from agentracer.adapters.camel import adapter
from agentracer.errors import ReplayDiverged
from agentracer.lab.testbed.server import ApiError
from agentracer.replay import Override, System, find_decisive, rerun
from tests.adapters.arithmetic import (
    ADVICE,
    TASK,
    assert_live_calls_sample_as_told,
    assert_reads_match_server,
    errs_at_random,
    is_right,
)
from tests.adapters.camel_societies import (
    CONSTRUCTS,
    CamelModel,
    agent,
    camel_world,
    run_chain,
    run_role_playing,
    run_workforce,
    team,
    workforce,
)


@pytest.fixture
def world(captured):
    with camel_world() as world:
        yield world


@pytest.fixture(params=CONSTRUCTS.values(), ids=CONSTRUCTS)
def construct(request):
    return request.param


def recorded(construct, world):
    with agentracer.record(check=is_right) as run:
        run.result = construct.once(world)
    return run.trace


def replayed(trace, construct, world, override=None):
    world.forget()
    return rerun(trace, lambda: construct.once(world), override=override, check=is_right)


def step_of(trace, name, *, calling=None, saying=None):
    return next(
        step
        for step in trace.steps
        if step.agent == name
        and (calling is None or any(call.name == calling for call in step.tool_calls))
        and (saying is None or saying in step.content)
    )


def asked(world):
    """How often each prompt reached the server: a prefix call that ran again would be there."""
    return [json.dumps(exchange.body["messages"]) for exchange in world.server.exchanges]


def without_ids(prompts):
    """Prompts that can be compared between runs."""
    return [re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", prompt) for prompt in prompts]


def assert_prefix_not_repeated(trace, again, target, before, world):
    """What the server was asked now is what the rerun says ran live, and it comes after."""
    live = [step for step in again.steps if step.attributes["replay"] == "live"]
    assert len(world.server.exchanges) == len(live)
    assert all(step.index > target for step in live)
    prefix = set(without_ids(before[: target + 1]))
    assert prefix.isdisjoint(without_ids(asked(world)))
    assert_reads_match_server_live(again, world)


def assert_reads_match_server_live(again, world):
    kept = [s for s in again.steps if s.attributes["replay"] == "live"]
    told = [[(m.role, m.content) for m in again.observed.reads(step)] for step in kept]
    served = [
        [(m["role"], m.get("content") or "") for m in exchange.body["messages"]]
        for exchange in world.server.exchanges
    ]
    assert sorted(map(str, told)) == sorted(map(str, served))


def test_the_uncorrected_team_fails_and_every_read_is_what_the_server_saw(construct, world):
    trace = recorded(construct, world)
    assert trace.outcome.success is False
    assert "80" in trace.outcome.answer
    assert trace.task == TASK
    assert_reads_match_server(trace, world)
    assert agentracer._guard.swallowed() == {}


def test_replaying_without_an_override_calls_nothing_and_ends_the_same(construct, world):
    trace = recorded(construct, world)
    again = replayed(trace, construct, world)
    assert (asked(world), world.tool_runs) == ([], [])
    assert again.outcome.success is False
    assert [(s.agent, s.attributes["path"]) for s in again.steps] == [
        (s.agent, s.attributes["path"]) for s in trace.steps
    ]
    assert without_ids(s.content for s in again.steps) == without_ids(
        s.content for s in trace.steps
    )
    assert without_ids([again.outcome.answer]) == without_ids([trace.outcome.answer])
    assert {s.attributes["replay"] for s in again.steps} == {"recorded"}
    assert again.parent == trace.id


def test_correcting_the_plan_flips_the_answer_without_repeating_the_prefix(construct, world):
    trace = recorded(construct, world)
    before = asked(world)
    target = step_of(trace, construct.planner)
    again = replayed(
        trace, construct, world, Override(step=target.index, content=construct.right_plan)
    )
    assert again.outcome.success is True
    assert world.tool_runs == [(3, 4)]
    assert again.steps[target.index].attributes["replay"] == "override"
    assert_prefix_not_repeated(trace, again, target.index, before, world)


def test_correcting_tool_arguments_really_runs_the_tool_with_them(construct, world):
    trace = recorded(construct, world)
    before = asked(world)
    target = step_of(trace, construct.solver, calling="add")
    again = replayed(
        trace, construct, world, Override(step=target.index, arguments={"a": 3, "b": 4})
    )
    assert again.outcome.success is True
    assert world.tool_runs == [(3, 4)]
    assert_prefix_not_repeated(trace, again, target.index, before, world)


def test_correcting_a_tool_result_does_not_run_the_tool(construct, world):
    trace = recorded(construct, world)
    before = asked(world)
    target = step_of(trace, construct.solver, calling="add")
    again = replayed(trace, construct, world, Override(step=target.index, result="7"))
    assert again.outcome.success is True
    assert world.tool_runs == []
    assert_prefix_not_repeated(trace, again, target.index, before, world)


def test_correcting_the_solvers_text_leaves_only_the_rest_to_run(construct, world):
    trace = recorded(construct, world)
    before = asked(world)
    target = step_of(trace, construct.solver, saying="SUM=")
    again = replayed(
        trace, construct, world, Override(step=target.index, content=construct.right_sum)
    )
    assert again.outcome.success is True
    assert world.tool_runs == []
    assert_prefix_not_repeated(trace, again, target.index, before, world)


@pytest.mark.slow
def test_the_planner_is_proved_to_have_lost_the_run_without_an_oracle(construct, world):
    trace = recorded(construct, world)
    errs_at_random(world)
    search = find_decisive(trace, System(lambda: construct.once(world), is_right))
    assert search.verdict.step == step_of(trace, construct.planner).index
    assert search.verdict.verification.status == "confirmed"


def test_a_recorded_assignment_reaches_the_workers_of_the_rerun(world):
    construct = CONSTRUCTS["Workforce AUTO_DECOMPOSE"]
    trace = recorded(construct, world)
    assigned = step_of(trace, "coordinator_agent")
    again = replayed(trace, construct, world)
    ids = [
        {entry["assignee_id"] for entry in json.loads(step.content)["assignments"]}
        for step in (assigned, step_of(again, "coordinator_agent"))
    ]
    assert len(ids[0]) == len(ids[1]) == 3
    assert ids[0].isdisjoint(ids[1])


class _Parallel(CamelModel):
    """Lets independent subtasks run at the same time."""

    def _run_team(self, last: str) -> Any:
        reply = super()._run_team(last)
        if reply.content and "assignments" in reply.content:
            data = json.loads(reply.content)
            data["assignments"][1]["dependencies"] = []
            data["assignments"][2]["dependencies"] = [
                data["assignments"][0]["task_id"],
                data["assignments"][1]["task_id"],
            ]
            reply = type(reply)(json.dumps(data))
        return reply


def test_workers_that_run_at_the_same_time_are_answered_each_with_its_own_words(captured):
    construct = CONSTRUCTS["Workforce AUTO_DECOMPOSE"]
    with camel_world(_Parallel()) as world:
        trace = recorded(construct, world)
        again = replayed(trace, construct, world)
        assert asked(world) == []

    def said(of):
        return sorted((s.agent, *without_ids([s.content])) for s in of.steps)

    assert said(again) == said(trace)


def test_a_model_error_is_raised_again_with_its_type(captured):
    with camel_world(_Broken()) as world:

        def build_and_run():
            try:
                return run_chain(team(world))
            except Exception as error:
                return f"{type(error).__name__} {error}"

        with agentracer.record() as run:
            first = build_and_run()
        world.forget()
        results = []
        again = rerun(run.trace, lambda: results.append(build_and_run()))
        assert first.startswith("InternalServerError")
        assert (results, asked(world)) == ([first], [])
        assert again.steps[-1].error == run.trace.steps[-1].error


class _Broken(CamelModel):
    def reply(self, request: Any) -> Any:
        if "You are reporter" in request.system:
            raise RuntimeError("down")
        return super().reply(request)


def test_a_call_that_camel_tried_again_is_tried_again(captured):
    class Busy(CamelModel):
        calls = 0

        def reply(self, request: Any) -> Any:
            self.calls += 1
            if self.calls == 1:
                raise ApiError(429, "busy", kind="rate_limit")
            return super().reply(request)

    with camel_world(Busy()) as world:

        def once():
            planner = agent(world, "planner")
            planner.retry_delay = 0
            return planner.step(TASK).msg.content

        with agentracer.record() as run:
            first = once()
        world.forget()
        results = []
        rerun(run.trace, lambda: results.append(once()))
        assert (results, asked(world)) == ([first], [])
    assert [step.error and step.error.type for step in run.trace.steps] == ["RateLimitError", None]


def test_a_tool_that_failed_fails_again_without_running(world):
    runs = []

    def divide(a: int) -> str:
        """Divide.

        Args:
            a: by what
        """
        runs.append(a)
        return str(1 // 0)

    def once():
        solver = agent(world, "solver", [_named(divide, "add")])
        solver.step("PLAN: a=3 b=5")
        return solver.step("again").msg.content

    with agentracer.record() as run:
        first = once()
    world.forget()
    runs.clear()
    results = []
    again = rerun(run.trace, lambda: results.append(once()))
    assert (results, runs, asked(world)) == ([first], [], [])
    (call,) = run.trace.steps[0].tool_calls
    assert call.error.type == "ZeroDivisionError"
    assert again.steps[0].tool_calls[0].error == call.error


def _named(function: Any, name: str) -> Any:
    def add(a: int, b: int) -> str:
        """Add.

        Args:
            a: one
            b: two
        """
        return function(a)

    add.__name__ = name
    return add


def test_a_system_that_asks_for_more_than_was_recorded_is_reported(world):
    trace = recorded(CONSTRUCTS["chain of ChatAgents"], world)

    def another():
        agent(world, "stranger").step("hello")
        return run_chain(team(world))

    with pytest.raises(ReplayDiverged, match="stranger makes a model call more"):
        rerun(trace, another, override=Override(step=2, content="SUM=7"))


# -- feedback


def systems(world):
    """A system, how to run it, and who in it plans."""
    yield team(world), run_chain, "planner"
    yield CONSTRUCTS["RolePlaying"].build(world), run_role_playing, "asker"
    yield CONSTRUCTS["OwlRolePlaying-style subclass"].build(world), run_role_playing, "asker"
    yield workforce(world), run_workforce, "the planner"


@pytest.mark.parametrize(
    "which",
    range(4),
    ids=[
        "chain of ChatAgents",
        "RolePlaying",
        "OwlRolePlaying-style subclass",
        "Workforce AUTO_DECOMPOSE",
    ],
)
def test_advice_reaches_one_agent_once_and_is_taken_back_exactly(world, which):
    system, run, name = list(systems(world))[which]
    member = dict(_members(system))[name]
    before, memory = member._system_message, member.memory.get_context()[0]
    advice = adapter.advise(system, name, ADVICE)
    assert is_right(run(system))
    counts = _advised(world)
    assert set(counts.values()) == {0, 1}
    assert {role for role, count in counts.items() if count} == {member.system_message.content}
    advice.retract()
    advice.retract()
    assert member._system_message is before
    member.reset()
    assert member.memory.get_context()[0] == memory
    for other in dict(_members(system)).values():
        other.reset()
    world.forget()
    assert not is_right(run(system))
    assert ADVICE not in str(world.server.exchanges)


def _members(system):
    from agentracer.adapters.camel.scope import members

    return members(system)


def _advised(world):
    """How often the advice is in the prompts of each agent, by its system message."""
    found = {}
    for exchange in world.server.exchanges:
        messages = exchange.body["messages"]
        count = str(messages[0]["content"]).count(ADVICE)
        rest = str([m for m in messages[1:] if m["role"] == "system"]).count(ADVICE)
        assert found.setdefault(messages[0]["content"], count) == count
        assert rest == 0
    return found


def test_advice_keeps_what_an_agent_remembers(world):
    lone = agent(world, "planner")
    lone.step("hello")
    remembered = lone.memory.get_context()[0]
    advice = adapter.advise(lone, "planner", ADVICE)
    assert lone.memory.get_context()[0][1:] == remembered[1:]
    world.forget()
    lone.step("and now?")
    (prompt,) = [exchange.body["messages"] for exchange in world.server.exchanges]
    assert str(prompt).count(ADVICE) == 1
    assert [m["content"] for m in prompt[1:3]] == ["hello", "PLAN: a=3 b=5"]
    advice.retract()
    assert lone.memory.get_context()[0][: len(remembered)] == remembered


def test_advice_to_managers_and_to_pools_that_are_not_rebuilt(world):
    built = CONSTRUCTS["Workforce PIPELINE"].build(world)
    task_agent = built.task_agent._system_message
    for name in ("task_agent", "the planner"):
        adapter.advise(built, name, ADVICE)
    assert is_right(run_workforce(built))
    advised = {prompt: count for prompt, count in _advised(world).items() if count}
    assert len(advised) == 2
    assert built.task_agent._system_message is not task_agent


def test_a_pool_forgets_retracted_advice_even_in_clones_made_since(world):
    built = CONSTRUCTS["Workforce PIPELINE"].build(world)
    advice = adapter.advise(built, "the planner", ADVICE)
    built._children[0].agent_pool._available_agents.clear()  # so the run makes a new clone
    assert is_right(run_workforce(built))
    advice.retract()
    (clone,) = built._children[0].agent_pool._available_agents
    assert ADVICE not in str(clone.memory.get_context()[0])
    assert clone._system_message is built._children[0].worker._system_message


def test_two_lessons_go_independently(world):
    lone = agent(world, "planner")
    original = lone._system_message
    first = adapter.advise(lone, "planner", "one")
    second = adapter.advise(lone, "planner", "two")
    first.retract()
    assert lone.system_message.content == "You are planner.\n\ntwo"
    second.retract()
    assert lone._system_message is original


def test_advice_for_an_unknown_agent_names_the_known_ones(world):
    with pytest.raises(ValueError, match=r"no agent 'nobody'.*coordinator_agent, task_agent"):
        adapter.advise(workforce(world), "nobody", "listen")


def test_what_an_advised_agent_read_is_recorded_with_the_advice(world):
    agents = team(world)
    adapter.advise(agents, "planner", ADVICE)
    with agentracer.record() as run:
        run_chain(agents)
    assert_reads_match_server(run.trace, world)
    assert ADVICE in run.trace.agents[0].system_prompt


def test_live_calls_of_a_replay_sample_as_it_says(construct, world):
    trace = recorded(construct, world)
    assert_live_calls_sample_as_told(trace, world, lambda: construct.once(world))
