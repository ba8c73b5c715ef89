"""A LangGraph team that learns from its failures: blame proved by replay, lessons for one agent.

    python examples/evolve_langgraph.py                                  # a scripted model
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/evolve_langgraph.py --model NAME

The team is that of `langgraph_team.py`; its scripted planner takes every 4 for a 5, until it is
taught. That the script obeys is written into it, so the gain shows that the plumbing works, and
nothing about advice. Needs the extra [langgraph].
"""

from __future__ import annotations

import argparse
import os
import re
from contextlib import nullcontext
from typing import Any

from langgraph_team import CarelessModel, build_team

import agentracer
from agentracer.evolution import Advice, Team, Verified
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, text_of
from agentracer.replay import Override
from agentracer.trace import Trace

TASKS = ["Compute (3+4)*10.", "Compute (2+4)*10.", "Compute (1+2)*10."]


def answer_to(task: str) -> int:
    """The right answer."""
    a, b = re.findall(r"\d+", task)[:2]
    return (int(a) + int(b)) * 10


def is_right(task: str, state: Any) -> bool:
    """Whether the team's last message has it."""
    return f"ANSWER: {answer_to(task)}" in state["messages"][-1].text


def oracle(trace: Trace, step: int) -> Override | None:
    """What the planner should have said: the only thing that we know better."""
    if trace.steps[step].agent != "planner":
        return None
    a, b = re.findall(r"\d+", trace.task)[:2]
    return Override(step=step, content=f"PLAN: add {a} and {b}, then times 10.")


class TeachableModel(CarelessModel):
    """Plays all three roles; the planner takes 4 for 5, unless a lesson shows it the right plan."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer from the conversation alone."""
        if "You are the planner" not in request.system:
            return super().reply(request)
        asked = next(text_of(m) for m in request.messages if m["role"] == "user")
        a, b = re.findall(r"\d+", asked)[:2]
        taught = "A lesson from an earlier run" in request.system
        return ChatReply(
            f"PLAN: add {a} and {b if taught else b.replace('4', '5')}, then times 10."
        )


def main() -> None:
    """Evolve the team for two rounds, and use what it learned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scripted")
    options = parser.parse_args()
    real = os.environ.get("OPENAI_BASE_URL")
    agentracer.instrument("langgraph")
    with nullcontext() if real else ModelServer(TeachableModel()) as server:
        graph = build_team(real or server.base_url, options.model)
        team = Team(
            run=lambda graph, task: graph.invoke({"messages": [("user", task)]}),
            build=lambda: graph,
            deterministic=not real,
        )
        report = agentracer.evolve(
            team, TASKS, is_right, Verified(oracle), rounds=2, strategy=Advice()
        )
        print(report)
        with_lessons = report.apply(graph)  # for good: the graph now works with what was kept
        state = graph.invoke({"messages": [("user", TASKS[0])]})
        print(state["messages"][-1].text)
        with_lessons.retract()


if __name__ == "__main__":
    main()
