"""List the runs that `agentracer demo` shows: task, kind of error, and the agent to blame.

Each run of the sequence has a policy of its own and an expected decisive agent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agentracer.lab.testbed.coding_policy import ERROR_KINDS, CodingPolicy, ErrorKind, Role
from agentracer.lab.testbed.coding_tasks import TASKS, CodingTask

__all__ = ["EXPECTED_AGENT", "DemoRun", "demo_runs"]

EXPECTED_AGENT: dict[ErrorKind, Role | None] = {
    "none": None,
    "slip": None,
    "plan": "planner",
    "plan_and_slip": "planner",
    "bug": "coder",
    "phantom": "tester",
    "false_pass": "coder",
}
"""Who gives the decisive reply, for each kind of error; None where the run succeeds."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One run to make.

    Attributes:
        task: What the team has to do.
        policy: The scripted model of this run; set it as `ModelServer.model` before the run, and
            read `policy.truth()` after the run and before any replay.
        error_kind: What is going to go wrong.
    """

    task: CodingTask
    policy: CodingPolicy
    error_kind: ErrorKind

    @property
    def expected_agent(self) -> Role | None:
        """Who will give the decisive reply; None when the run is going to succeed."""
        return EXPECTED_AGENT[self.error_kind]


def demo_runs(seed: int, *, count: int = len(ERROR_KINDS)) -> list[DemoRun]:
    """A sequence of runs that has every kind of error in each stretch of seven.

    Args:
        seed: Decides the order, which task has which kind of error, and each detail of it.
        count: How many runs.
    """
    runs: list[DemoRun] = []
    for start in range(0, count, len(ERROR_KINDS)):
        tasks = sorted(TASKS, key=lambda task: _rank(seed, start, task.function))
        error_kinds = sorted(ERROR_KINDS, key=lambda error_kind: _rank(seed, start, error_kind))
        for task, error_kind in zip(tasks, error_kinds, strict=True):
            policy = CodingPolicy(seed * 1_000 + len(runs), error_kind=error_kind)
            runs.append(DemoRun(task, policy, error_kind))
    return runs[:count]


def _rank(*key: object) -> bytes:
    return hashlib.sha256(repr(key).encode()).digest()
