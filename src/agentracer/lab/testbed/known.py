"""Runs of the testbed that can be replayed from what their trace says of them.

The demo writes down which task, seed and mishap a run had. That is enough to build the same team
again, give it the same scripted model, and know what each step should have said.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

from agentracer.lab.testbed.coding_policy import MISHAPS, CodingPolicy, Role
from agentracer.lab.testbed.coding_tasks import TASKS
from agentracer.lab.testbed.coding_team import build, check, solve
from agentracer.lab.testbed.demo import Scenario
from agentracer.lab.testbed.server import ModelServer
from agentracer.lab.testbed.truth import request_of
from agentracer.replay import OracleFunction, Override, System
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = ["coding_oracle", "coding_system", "facts_of", "rebuilt"]

KEY = "demo"
"""In a trace's metadata: which run of the demo it is."""

_TURNS = 20  # more than any agent of the team has in one run


def facts_of(scenario: Scenario) -> dict[str, Any]:
    """What a trace has to say, in its metadata, so that its run can be rebuilt."""
    facts = {
        "function": scenario.task.function,
        "seed": scenario.policy.seed,
        "mishap": scenario.mishap,
    }
    return {KEY: facts}


@contextmanager
def rebuilt(trace: Trace, store: Store) -> Iterator[tuple[System, OracleFunction] | None]:
    """The system that made this trace, and an oracle for it; None if the testbed did not."""
    scenario = _scenario(trace.metadata.get(KEY))
    if scenario is None:
        yield None
        return
    with ModelServer(scenario.policy) as server:
        team = build(server.base_url, "scripted", "none")
        yield coding_system(team, scenario, store), coding_oracle(scenario.policy)


def _scenario(facts: Any) -> Scenario | None:
    if not isinstance(facts, dict):
        return None
    task = next((task for task in TASKS if task.function == facts.get("function")), None)
    mishap = next((known for known in MISHAPS if known == facts.get("mishap")), None)
    if task is None or mishap is None or not isinstance(facts.get("seed"), int):
        return None
    return Scenario(task, CodingPolicy(facts["seed"], mishap=mishap), mishap)


def coding_system(team: Any, scenario: Scenario, store: Store) -> System:
    """One task of the coding team, to be replayed."""
    return System(
        run=lambda: solve(team, scenario.task),
        check=lambda code: check(scenario.task, code),
        store=store,
        deterministic=True,  # as the scripted model is
    )


def coding_oracle(policy: CodingPolicy) -> OracleFunction:
    """Corrects a step to what the scripted model says when it makes no mistake there."""

    def correct(trace: Trace, step: int) -> Override | None:
        agent = trace.steps[step].agent
        every = [(role, k) for role in get_args(Role) if role == agent for k in range(_TURNS)]
        if not every:
            return None
        careful = CodingPolicy(policy.seed, mishap=policy.mishap, correct=every)
        reply = careful.reply(request_of(trace, step))
        if reply.tool_calls or reply.content == trace.steps[step].content:
            return None
        return Override(step=step, content=reply.content or "")

    return correct
