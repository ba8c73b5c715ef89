"""Your own functions around the `openai` client, captured and attributed.

    python examples/openai_functions.py                                  # a scripted model
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/openai_functions.py --model NAME

The team is planner -> solver (with a tool) -> reporter. The scripted planner reads the task wrong,
so the answer is 80 and not 70. Needs the extra [openai].
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from openai import OpenAI

import agentracer
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of

QUESTION = "Compute (3+4)*10."

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two integers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


@agentracer.tool
def add(a: int, b: int) -> str:
    """Add two integers."""
    return str(a + b)


def build_team(base_url: str, model: str = "scripted") -> Callable[[str], str]:
    """Three functions; the one line that knows of agentracer is above `add`."""
    client = OpenAI(base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY", "-"))

    def planner(question: str) -> str:
        reply = client.chat.completions.create(
            model=model,
            messages=[
                {
                    "role": "system",
                    "content": "You are the planner: write the plan as a sum times a factor.",
                },
                {"role": "user", "content": question},
            ],
        )
        return reply.choices[0].message.content or ""

    def solver(plan: str) -> str:
        messages: list[Any] = [
            {"role": "system", "content": "You are the solver: use add."},
            {"role": "user", "content": plan},
        ]
        while True:
            reply = client.chat.completions.create(model=model, messages=messages, tools=[ADD])
            message = reply.choices[0].message
            if not message.tool_calls:
                return message.content or ""
            messages.append(message)
            for call in message.tool_calls:
                text = add(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": text})

    def reporter(plan: str, found: str) -> str:
        reply = client.chat.completions.create(
            model=model,
            messages=[
                {
                    "role": "system",
                    "content": "You are the reporter: end with ANSWER: and the number.",
                },
                {"role": "user", "content": f"{plan}\n{found}"},
            ],
        )
        return reply.choices[0].message.content or ""

    def team(question: str) -> str:
        plan = planner(question)
        return reporter(plan, solver(plan))

    return team


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
        conversation = "\n".join(text_of(message) for message in request.messages)
        if "You are the planner" in request.system:
            return ChatReply(self._plan())
        if "You are the solver" in request.system:
            results = [text_of(m) for m in request.messages if m["role"] == "tool"]
            if results:
                return ChatReply(f"The sum is {results[-1]}.")
            numbers = re.findall(r"add (\d+) and (\d+)", conversation)[-1]
            return ChatReply(
                None, (ScriptedCall("add", {"a": int(numbers[0]), "b": int(numbers[1])}),)
            )
        total = re.findall(r"The sum is (\d+)", conversation)[-1]
        return ChatReply(f"ANSWER: {int(total) * 10}")


def main() -> None:
    """Run the team once and say who made it fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scripted")
    options = parser.parse_args()
    real = os.environ.get("OPENAI_BASE_URL")
    with nullcontext() if real else ModelServer(CarelessModel()) as server:
        team = build_team(real or server.base_url, options.model)

        agentracer.instrument("openai")
        with agentracer.record(check=lambda answer: "70" in answer) as run:
            run.result = team(QUESTION)

        verdict = agentracer.Tracer().attribute(run.trace)
        print(verdict)
        for candidate in verdict.candidates:
            print(" ", candidate.step, candidate.agent, f"{candidate.probability or 0:.0%}")


if __name__ == "__main__":
    main()
