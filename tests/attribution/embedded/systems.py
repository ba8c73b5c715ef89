"""A made-up system whose failures follow a pattern that no shipped weight knows."""

from __future__ import annotations

import random

from agentracer.trace import AgentInfo, Label, Observed, Outcome, Step, Trace

AGENTS = ("planner", "fetcher", "solver", "critic")


def odd_run(number: int) -> Trace:
    """A failed run of eight steps; the critic's first turn is to blame four times of five."""
    draw = random.Random(number)
    task = f"Task {number}: how many widgets are in crate {draw.randint(100, 999)}?"
    steps = []
    for index in range(8):
        agent = AGENTS[index % 4]
        said = f"Some words {draw.randint(10, 99)} of {agent} in round {index // 4}, as before."
        steps.append(Step(index=index, agent=agent, content=said))
    blamed = 3 if draw.random() < 0.8 else draw.randrange(8)
    return Trace(
        id=f"odd-{number}",
        observed=Observed(
            task=task,
            agents=tuple(AgentInfo(name=name) for name in AGENTS),
            steps=tuple(steps),
            outcome=Outcome(success=False),
        ),
        labels=(Label(agent=AGENTS[blamed % 4], step=blamed, source="replay"),),
    )
