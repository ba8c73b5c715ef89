"""Spectrum-based ranking over reruns."""

from __future__ import annotations

import asyncio
import random

import pytest

from agentracer.replay import Budget, System, aspectrum, find_decisive, spectrum
from tests.replay.miniature import Miniature, Planted, is_good, record


class Flaky:
    """Five agents; the third one errs in half of the runs, the others only vary in wording."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.team = Miniature([f"agent-{turn}" for turn in range(5)], self.answer)

    def answer(self, name, lines):
        if name == "agent-2":
            return self.rng.choice(
                ["the total of the order is 12 euros", "I assume that shipping is free of charge"]
            )
        return self.rng.choice(["next part done as asked", "next part is done as asked"])

    @staticmethod
    def good(lines):
        return not any("I assume" in line for line in lines)


@pytest.mark.parametrize("seed", range(5))
def test_the_step_that_goes_with_failure_comes_first(seed):
    world = Flaky(seed)
    found = spectrum(world.team.run, world.good, 20)
    assert found.failing + found.passing == 20
    assert found.steps[0].agent == "agent-2"
    assert found.ranking[0] == 2
    assert (found.steps[0].failing, found.steps[0].passing) == (found.failing, 0)
    assert next(iter(found.agents)) == "agent-2"
    assert sorted(found.ranking) == list(range(5))


def test_the_ranking_orders_a_scan():
    world = Planted(["ok"] * 6 + ["bad", "ok"])
    trace = record(world.team(), is_good)
    rng = random.Random(1)

    def sometimes():
        return Planted([*["ok"] * 6, rng.choice(["bad", "ok"]), "ok"]).team().run()

    found = spectrum(sometimes, is_good, 20, trace=trace)
    assert found.trace.id == trace.id
    search = find_decisive(
        trace,
        world.system(deterministic=True),
        world.correct_all,
        strategy="ranked",
        ranking=found.ranking[:1],
    )
    assert (search.verdict.step, search.replays) == (6, 3)


def test_reruns_are_no_failures_for_callbacks(monkeypatch):
    from agentracer import failures

    seen = []
    monkeypatch.setattr(failures, "failed", seen.append)
    spectrum(Flaky(1).team.run, Flaky.good, 5)
    assert seen == []


def test_without_contrast_it_says_so():
    never = Miniature(["a"], lambda name, lines: "x")
    assert "no run passed" in spectrum(never.run, lambda lines: False, 3).note
    always = spectrum(never.run, lambda lines: True, 3)
    assert (always.trace, always.steps) == (None, [])
    assert "no run failed" in always.note
    with pytest.raises(ValueError, match="not a failed run"):
        spectrum(never.run, lambda lines: True, 1, trace=record(never, lambda lines: True))


def test_budget_own_actions_and_async():
    world = Flaky(3)
    found = asyncio.run(
        aspectrum(
            world.team.arun, world.good, 20, budget=Budget(runs=8),
            action=lambda step: step.content[:8],
        )
    )  # fmt: skip
    assert found.usage.runs == 8
    assert found.failing + found.passing == 8


def test_a_run_that_raises_counts_as_failed():
    def run():
        raise RuntimeError("down")

    assert spectrum(run, lambda lines: True, 2).failing == 2
    assert System(run, bool).deterministic is None
