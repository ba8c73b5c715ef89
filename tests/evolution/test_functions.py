"""Systems of plain functions: captured, replayed, and looked into with their alternatives."""

from __future__ import annotations

import pytest

import agentracer
from agentracer._guard import swallowed
from agentracer.adapters.functions import act
from agentracer.evolution.alternatives import Alternatives
from agentracer.replay import Override, rerun
from tests.evolution import worlds
from tests.evolution.worlds import OPTIONS, Adders


@pytest.fixture
def world():
    before = swallowed()
    yield Adders()
    assert swallowed() == before


def recorded(world, task="10+2"):
    with agentracer.record(task, check=lambda result: result == "ANSWER 12") as run:
        run.result = world.run(task)
    return run.trace


def test_each_call_is_a_step_of_its_agent_with_arguments_and_result(world):
    trace = recorded(world)
    assert [step.agent for step in trace.steps] == ["reader", "adder", "speaker"]
    (call,) = trace.steps[0].tool_calls
    assert (call.name, call.arguments, call.result) == ("read_first", ["10+2"], [10, 10])
    assert (trace.outcome.success, trace.outcome.answer) == (False, "ANSWER 20")


def test_outside_of_a_run_only_the_function_is_called():
    assert act("adder", sum, [1, 2]) == 3


def test_a_replay_without_override_calls_nothing(world):
    trace = recorded(world)
    world.slots["reader"] = _named(worlds.read_first)
    again = rerun(trace, lambda: world.run("10+2"), check=lambda result: False)
    assert {step.attributes["replay"] for step in again.steps} == {"recorded"}
    assert again.outcome.answer == "ANSWER 20"


def _named(function):
    def never(*arguments):
        raise AssertionError("it was called again")

    never.__name__ = function.__name__
    return never


def test_correcting_a_result_runs_what_comes_after_it(world):
    trace = recorded(world)
    again = rerun(
        trace, lambda: world.run("10+2"), override=Override(step=0, result=[10, 2]),
        check=lambda result: result == "ANSWER 12",
    )  # fmt: skip
    assert again.outcome.success is True
    assert [s.attributes["replay"] for s in again.steps] == ["override", "live", "live"]


def test_an_error_keeps_its_type_and_is_raised_again_in_a_replay(world):
    def broken(text):
        raise KeyError(text)

    world.slots["reader"] = broken
    with pytest.raises(KeyError), agentracer.record("x") as run:
        world.run("x")
    assert run.trace.outcome.error.type == "KeyError"
    world.slots["reader"] = _named(broken)
    assert rerun(run.trace, lambda: world.run("x")).outcome.error.type == "KeyError"


class TestAlternatives:
    def test_it_proposes_what_the_other_alternatives_would_have_done(self, world):
        trace = recorded(world)
        first, second = (Alternatives(OPTIONS, rank=rank)(trace, 0) for rank in (0, 1))
        assert {str(first.result), str(second.result)} == {"[1, 0, 2]", "[10, 2]"}
        assert Alternatives(OPTIONS, rank=2)(trace, 0) is None

    def test_it_names_the_alternatives_that_would_have_done_it(self, world):
        trace = recorded(world)
        named = Alternatives(OPTIONS).alternatives(trace, Override(step=0, result=[10, 2]))
        assert named == ["right"]

    def test_where_all_do_the_same_it_proposes_nothing(self, world):
        trace = recorded(world)
        same = {"adder": {"one": worlds.add, "other": sum}}
        assert Alternatives(same)(trace, 1) is None

    def test_its_calls_are_counted(self, world):
        oracle = Alternatives(OPTIONS)
        trace = recorded(world)
        oracle(trace, 0)
        oracle(trace, 0)
        assert oracle.steps == 2

    def test_with_a_vote_it_proposes_only_what_outvotes_the_step(self, world):
        trace = recorded(world)
        assert Alternatives(OPTIONS, outvoted=True)(trace, 0) is None
        two = {"reader": {"a": worlds.read_right, "b": lambda text: [10, 2]}}
        assert Alternatives(two, outvoted=True)(trace, 0).result == [10, 2]
