"""An AutoGen team that learns from its failures.

    python examples/evolve_autogen.py                                  # a scripted model
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/evolve_autogen.py --model NAME

The team is that of `autogen_team.py`, built anew for every run. The scripted planner obeys the
lesson by construction: the gain shows that the plumbing works. Needs the extra [autogen].
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from contextlib import nullcontext
from typing import Any

from autogen_team import CarelessModel, build_team

import agentracer
from agentracer.evolution import Advice, Attribution, Team, Verified
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, text_of
from agentracer.replay import Override
from agentracer.trace import Trace

TASKS = ["Compute (3+4)*10.", "Compute (2+4)*10.", "Compute (1+2)*10."]


def is_right(task: str, result: Any) -> bool:
    """Whether the team's last message has the right answer."""
    a, b = re.findall(r"\d+", task)[:2]
    return f"ANSWER: {(int(a) + int(b)) * 10}" in result.messages[-1].to_text()


def oracle(trace: Trace, step: int) -> Override | None:
    """What the planner should have said."""
    if trace.steps[step].agent != "planner":
        return None
    a, b = re.findall(r"\d+", trace.task)[:2]
    return Override(step=step, content=f"PLAN: add {a} and {b}, then times 10.")


def lesson(_blamed: Attribution) -> str:
    """Your own wording; a language model could write it from the verdict."""
    return "Copy both numbers from the task, digit by digit, before you write the plan."


class TeachableModel(CarelessModel):
    """Plays all three roles; the planner takes 4 for 5, unless it is taught."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer from the conversation alone."""
        if "You are the planner" not in request.system:
            return super().reply(request)
        asked = next(text_of(m) for m in request.messages if m["role"] == "user")
        a, b = re.findall(r"\d+", asked)[:2]
        taught = "digit by digit" in request.system
        return ChatReply(
            f"PLAN: add {a} and {b if taught else b.replace('4', '5')}, then times 10."
        )


async def run(team: Any, task: str) -> Any:
    """One run of one task."""
    return await team.run(task=task)


async def iterate(base_url: str, model: str, *, deterministic: bool) -> None:
    """Evolve the team for two rounds."""
    team = Team(run, build=lambda: build_team(base_url, model), deterministic=deterministic)
    report = await agentracer.aevolve(
        team, TASKS, is_right, Verified(oracle), rounds=2, strategy=Advice(word=lesson)
    )
    print(report)


def main() -> None:
    """Evolve the team and say what was learned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scripted")
    options = parser.parse_args()
    real = os.environ.get("OPENAI_BASE_URL")
    agentracer.instrument("autogen")
    with nullcontext() if real else ModelServer(TeachableModel()) as server:
        url = real or server.base_url
        asyncio.run(iterate(url, options.model, deterministic=not real))


if __name__ == "__main__":
    main()
