"""Your own AutoGen team, captured and attributed.

    python examples/autogen_team.py                                  # a scripted model
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/autogen_team.py --model NAME

The team is planner -> solver (with a tool) -> reporter. The scripted planner reads the task wrong,
so the answer is 80 and not 70. Needs the extra [autogen].
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
from contextlib import nullcontext
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

import agentracer
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of

QUESTION = "Compute (3+4)*10."


def add(a: int, b: int) -> str:
    """Add two integers."""
    return str(a + b)


def build_team(base_url: str, model: str = "scripted") -> RoundRobinGroupChat:
    """A team of three agents; nothing in it knows of agentracer."""
    client = OpenAIChatCompletionClient(
        model=model,
        base_url=base_url,
        api_key=os.environ.get("OPENAI_API_KEY", "-"),
        model_info={
            "vision": False,
            "function_calling": True,
            "json_output": True,
            "structured_output": False,
            "family": "unknown",
        },
    )

    def agent(name: str, duty: str, **settings: Any) -> AssistantAgent:
        return AssistantAgent(
            name, client, system_message=f"You are the {name}: {duty}", **settings
        )

    return RoundRobinGroupChat(
        [
            agent("planner", "write the plan as a sum times a factor."),
            agent("solver", "use add.", tools=[add], reflect_on_tool_use=True),
            agent("reporter", "end with ANSWER: and the number."),
        ],
        max_turns=3,
    )


class CarelessModel:
    """Plays all three roles; the planner takes the 4 for a 5.

    Args:
        error_rate: how often it does so, after the first time.
    """

    def __init__(self, error_rate: float = 1.0) -> None:
        self._error_rate, self._rng, self._plans = error_rate, random.Random(0), 0

    def _plan(self) -> str:
        self._plans += 1
        errs = self._plans == 1 or self._rng.random() < self._error_rate
        return f"PLAN: add 3 and {5 if errs else 4}, then times 10."

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer from the conversation alone."""
        said = "\n".join(text_of(message) for message in request.messages)
        if "You are the planner" in request.system:
            return ChatReply(self._plan())
        if "You are the solver" in request.system:
            results = [text_of(m) for m in request.messages if m["role"] == "tool"]
            if results:
                return ChatReply(f"The sum is {results[-1]}.")
            numbers = re.findall(r"add (\d+) and (\d+)", said)[-1]
            return ChatReply(
                None, (ScriptedCall("add", {"a": int(numbers[0]), "b": int(numbers[1])}),)
            )
        total = re.findall(r"The sum is (\d+)", said)[-1]
        return ChatReply(f"ANSWER: {int(total) * 10}")


def is_right(result: TaskResult) -> bool:
    """Whether the team's last message gives the right answer."""
    return "70" in result.messages[-1].to_text()


async def run(team: RoundRobinGroupChat) -> agentracer.Run:
    """Record one run of the team."""
    async with agentracer.record(check=is_right) as recorded:
        await team.run(task=QUESTION)
    return recorded


def main() -> None:
    """Run the team once and say who made it fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scripted")
    options = parser.parse_args()
    real = os.environ.get("OPENAI_BASE_URL")
    with nullcontext() if real else ModelServer(CarelessModel()) as server:
        agentracer.instrument()
        trace = asyncio.run(run(build_team(real or server.base_url, options.model))).trace

        verdict = agentracer.Tracer().attribute(trace)
        print(verdict.agent, verdict.step, f"{verdict.confidence:.0%}", verdict.reason)
        for candidate in verdict.candidates:
            print(" ", candidate.step, candidate.agent, *(e.quote for e in candidate.evidence))


if __name__ == "__main__":
    main()
