"""Rebuild the system that made a run of `agentracer demo`, from the metadata of its trace.

The demo stores task, seed and kind of error of each run. That is enough to build the same team
again with the same scripted model, and to compute the right reply of each step.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

from agentracer.lab.testbed.coding_policy import ERROR_KINDS, CodingPolicy, Role
from agentracer.lab.testbed.coding_tasks import TASKS
from agentracer.lab.testbed.coding_team import build, check, solve
from agentracer.lab.testbed.demo_runs import DemoRun
from agentracer.lab.testbed.ground_truth import request_of
from agentracer.lab.testbed.server import ModelServer
from agentracer.replay import OracleFunction, Override, System
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = [
    "coding_oracle",
    "coding_system",
    "fallible_coding_system",
    "rebuild_metadata",
    "rebuild_system",
]

KEY = "demo"
"""In a trace's metadata: which run of the demo it is."""

_TURNS = 20  # more than any agent of the team has in one run


def rebuild_metadata(scenario: DemoRun) -> dict[str, Any]:
    """Return the metadata from which the run of a scenario can be rebuilt."""
    facts = {
        "function": scenario.task.function,
        "seed": scenario.policy.seed,
        "mishap": scenario.error_kind,
    }
    return {KEY: facts}


@contextmanager
def rebuild_system(trace: Trace, store: Store) -> Iterator[tuple[System, OracleFunction] | None]:
    """The system that made this trace, and an oracle for it; None if the testbed did not."""
    scenario = _demo_run(trace.metadata.get(KEY))
    if scenario is None:
        yield None
        return
    with ModelServer(scenario.policy) as server:
        team = build(server.base_url, "scripted", "none")
        yield coding_system(team, scenario, store), coding_oracle(scenario.policy)


def _demo_run(facts: Any) -> DemoRun | None:
    if not isinstance(facts, dict):
        return None
    task = next((task for task in TASKS if task.function == facts.get("function")), None)
    error_kind = next((kind for kind in ERROR_KINDS if kind == facts.get("mishap")), None)
    if task is None or error_kind is None or not isinstance(facts.get("seed"), int):
        return None
    return DemoRun(task, CodingPolicy(facts["seed"], error_kind=error_kind), error_kind)


def coding_system(team: Any, scenario: DemoRun, store: Store) -> System:
    """One task of the coding team, to be replayed."""
    return System(
        run=lambda: solve(team, scenario.task),
        check=lambda code: check(scenario.task, code),
        store=store,
        deterministic=True,  # as the scripted model is
    )


def fallible_coding_system(
    team: Any, scenario: DemoRun, server: ModelServer, store: Store, *, error_rate: float
) -> System:
    """One task of the coding team, to be replayed with a model that errs at random.

    Args:
        team: asks the model of `server`.
        scenario: the run; where the model errs, it does so as it did there.
        server: gets the model of each run.
        store: where replayed traces go.
        error_rate: share of the runs in which it errs.
    """
    rng = random.Random(scenario.policy.seed)  # noqa: S311 - no secrets

    def run() -> Any:
        seed, kind = scenario.policy.seed, scenario.error_kind
        errs = rng.random() < error_rate
        server.model = CodingPolicy(seed, error_kind=kind if errs else "none")
        return solve(team, scenario.task)

    return System(run=run, check=lambda code: check(scenario.task, code), store=store)


def coding_oracle(policy: CodingPolicy) -> OracleFunction:
    """Corrects a step to what the scripted model says when it makes no mistake there."""

    def correct(trace: Trace, step: int) -> Override | None:
        agent = trace.steps[step].agent
        every = [(role, k) for role in get_args(Role) if role == agent for k in range(_TURNS)]
        if not every:
            return None
        careful = CodingPolicy(policy.seed, error_kind=policy.error_kind, correct=every)
        reply = careful.reply(request_of(trace, step))
        if reply.tool_calls or reply.content == trace.steps[step].content:
            return None
        return Override(step=step, content=reply.content or "")

    return correct
