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
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from careless_model import QUESTION, CarelessModel, ModelServer
from openai import OpenAI

import agentracer

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
