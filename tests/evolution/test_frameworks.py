"""Lessons through the real frameworks, seen where they matter: at the HTTP server.

The scripted model obeys the one lesson that says what it got wrong. So the gains here show that the
plumbing works, and nothing about what advice does to a language model.
"""

from __future__ import annotations

import asyncio

import pytest

import agentracer
from agentracer import evolution
from agentracer.evolution import Advice, LessonStore, Team
from agentracer.evolution.controls import TrueStep
from tests.adapters.arithmetic import ADVICE, TASK, arithmetic_world, is_right

TASKS = ["Compute (3+4)*10", "Please compute (3+4)*10"]


def check(task, result):
    return is_right(result)


def advice():
    return Advice(word=lambda blamed: ADVICE)


def planner(trace):
    """The planner's first step, which is the wrong one."""
    return next(step.index for step in trace.steps if "planner" in step.agent)


def told(world):
    """How often the lesson is in each prompt, by who was asked."""
    counts = {}
    for caller, exchange in zip(world.callers, world.server.exchanges, strict=True):
        counts.setdefault(caller, set()).add(str(exchange.body["messages"]).count(ADVICE))
    return counts


def prompts_of(world, trace):
    """The exchanges of one run, told by what the server saw of it."""
    return [exchange.body["messages"] for exchange in world.server.exchanges]


def assert_learned(report, agent):
    assert (report.first.hits, report.final.hits) == (0, 2)
    (change,) = report.kept
    assert agent in change.agent
    assert report.rounds[0].changes[0].kept
    (lesson,) = LessonStore()
    assert (lesson.state, lesson.agent, lesson.wins, lesson.losses) == ("kept", change.agent, 2, 0)
    assert lesson.used == 2 * 1 or lesson.used > 0


def assert_only_the_planner_is_told(world):
    counts = told(world)
    assert counts.pop("planner") == {1}
    assert set().union(*counts.values()) == {0}


class TestLangGraph:
    @pytest.fixture
    def world(self, captured):
        pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
        with arithmetic_world() as world:
            yield world

    def team(self, world):
        from tests.adapters.langgraph_teams import pipeline

        graph = pipeline(world)

        def run(graph, task):
            return graph.invoke({"messages": [("user", task)]})

        return graph, Team(run=run, build=lambda: graph)

    def test_the_advised_agents_next_prompt_holds_the_lesson_once_and_no_others_do(self, world):
        graph, team = self.team(world)
        original = graph.config
        report = evolution.evolve(
            team, TASKS, check, TrueStep(planner), rounds=1, strategy=advice()
        )
        assert_learned(report, "planner")
        assert graph.config is original
        world.forget()
        applied = report.apply(graph)
        assert is_right(graph.invoke({"messages": [("user", TASK)]}))
        assert_only_the_planner_is_told(world)
        applied.retract()
        world.forget()
        assert not is_right(graph.invoke({"messages": [("user", TASK)]}))
        assert graph.config is original
        assert ADVICE not in str(world.server.exchanges)

    def test_the_trial_is_told_and_its_control_is_not(self, world):
        _, team = self.team(world)
        seen = {}

        def progress(command, _cost):
            if hasattr(command, "purpose"):
                seen.setdefault(command.purpose, []).append(told(world))
            world.forget()

        evolution.evolve(
            team, TASKS, check, TrueStep(planner), rounds=1, strategy=advice(), progress=progress
        )
        for purpose in ("first", "control", "unchanged"):
            assert all(set().union(*counts.values()) == {0} for counts in seen[purpose])
        for purpose in ("trial", "final"):
            assert [counts["planner"] for counts in seen[purpose]] == [{1}, {1}]
            assert all(counts["solver"] == counts["reporter"] == {0} for counts in seen[purpose])


class TestAutoGen:
    @pytest.fixture
    def world(self, captured):
        pytest.importorskip("autogen_agentchat", reason="needs the extra [autogen]")
        from tests.adapters.autogen_teams import TeamModel

        with arithmetic_world(TeamModel()) as world:
            yield world

    def test_the_advised_agents_next_prompt_holds_the_lesson_once_and_no_others_do(self, world):
        from tests.adapters import autogen_teams

        async def run(team, task):
            return await team.run(task=task)

        async def scenario():
            team = Team(run=run, build=lambda: autogen_teams.round_robin(world))
            report = await agentracer.aevolve(
                team, TASKS, check, TrueStep(planner), rounds=1, strategy=advice()
            )
            assert_learned(report, "planner")
            world.forget()
            fresh = autogen_teams.round_robin(world)
            applied = report.apply(fresh)
            assert is_right(await fresh.run(task=TASK))
            assert_only_the_planner_is_told(world)
            applied.retract()
            await fresh.reset()
            world.forget()
            assert not is_right(await fresh.run(task=TASK))
            assert ADVICE not in str(world.server.exchanges)

        asyncio.run(scenario())


class TestCamel:
    @pytest.fixture
    def world(self, captured):
        pytest.importorskip("camel", reason="needs the extra [camel]")
        from tests.adapters.camel_societies import CamelModel

        with arithmetic_world(CamelModel()) as world:
            yield world

    def test_the_advised_agents_next_prompt_holds_the_lesson_once_and_no_others_do(self, world):
        from tests.adapters import camel_societies

        build = camel_societies.CONSTRUCTS["Workforce AUTO_DECOMPOSE"].build
        team = Team(
            run=lambda workforce, task: camel_societies.run_workforce(workforce),
            build=lambda: build(world),
        )
        report = evolution.evolve(
            team, TASKS, check, TrueStep(planner), rounds=1, strategy=advice()
        )
        assert_learned(report, "planner")
        world.forget()
        fresh = build(world)
        applied = report.apply(fresh)
        assert is_right(camel_societies.run_workforce(fresh))
        assert_only_the_planner_is_told(world)
        applied.retract()
        world.forget()
        assert not is_right(camel_societies.run_workforce(build(world)))
        assert ADVICE not in str(world.server.exchanges)
