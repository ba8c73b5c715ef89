"""Runs of the coding team to show: which task, what goes wrong, and who is to blame.

Knows how to put a varied sequence of runs together, each with a policy of its own and the truth
that is to be expected. Does not know how runs are captured, judged or shown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agentracer.lab.testbed.coding_policy import MISHAPS, CodingPolicy, Mishap, Role
from agentracer.lab.testbed.coding_tasks import TASKS, CodingTask

__all__ = ["EXPECTED_AGENT", "Scenario", "scenarios"]

EXPECTED_AGENT: dict[Mishap, Role | None] = {
    "none": None,
    "slip": None,
    "plan": "planner",
    "plan_and_slip": "planner",
    "bug": "coder",
    "phantom": "tester",
    "false_pass": "coder",
}
"""Who gives the decisive reply, for each kind of mishap; None where the run succeeds."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run to make.

    Attributes:
        task: What the team has to do.
        policy: The scripted model of this run; set it as `ModelServer.model` before the run, and
            read `policy.truth()` after the run and before any replay.
        mishap: What is going to go wrong.
    """

    task: CodingTask
    policy: CodingPolicy
    mishap: Mishap

    @property
    def expected_agent(self) -> Role | None:
        """Who will give the decisive reply; None when the run is going to succeed."""
        return EXPECTED_AGENT[self.mishap]


def scenarios(seed: int, *, count: int = len(MISHAPS)) -> list[Scenario]:
    """A sequence of runs that has every kind of mishap in each stretch of seven.

    Args:
        seed: Decides the order, which task meets which mishap, and each detail of the mistakes.
        count: How many runs.
    """
    runs: list[Scenario] = []
    for start in range(0, count, len(MISHAPS)):
        tasks = sorted(TASKS, key=lambda task: _rank(seed, start, task.function))
        mishaps = sorted(MISHAPS, key=lambda mishap: _rank(seed, start, mishap))
        for task, mishap in zip(tasks, mishaps, strict=True):
            policy = CodingPolicy(seed * 1_000 + len(runs), mishap=mishap)
            runs.append(Scenario(task, policy, mishap))
    return runs[:count]


def _rank(*key: object) -> bytes:
    return hashlib.sha256(repr(key).encode()).digest()
