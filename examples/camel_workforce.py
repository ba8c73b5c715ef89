"""Your own CAMEL Workforce, in the shape that OWL gives it, captured and attributed.

    python examples/camel_workforce.py                                  # a scripted model
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/camel_workforce.py --model NAME

A coordinator, a task agent and three workers: planner, solver (with a tool), reporter. The scripted
planner reads the task wrong, so the answer is 80 and not 70. Needs the extra [camel].
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
from contextlib import nullcontext
from typing import Any

from camel.agents import ChatAgent
from camel.messages import BaseMessage
from camel.models import ModelFactory
from camel.models.stub_model import StubTokenCounter
from camel.societies.workforce import Workforce
from camel.tasks import Task
from camel.types import ModelPlatformType

import agentracer
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of

QUESTION = "Compute (3+4)*10."


def add(a: int, b: int) -> str:
    """Add two integers.

    Args:
        a (int): the first
        b (int): the second
    """
    return str(a + b)


def build_team(base_url: str, model: str = "scripted") -> Workforce:
    """A workforce of three workers; nothing in it knows of agentracer."""
    backend = ModelFactory.create(
        model_platform=ModelPlatformType.OPENAI_COMPATIBLE_MODEL,
        model_type=model,
        url=base_url,
        api_key=os.environ.get("OPENAI_API_KEY", "-"),
        token_counter=StubTokenCounter(),  # CAMEL's own one downloads a file
    )

    def agent(role: str, prompt: str, tools: Any = None) -> ChatAgent:
        message = BaseMessage.make_assistant_message(role_name=role, content=prompt)
        return ChatAgent(message, model=backend, tools=tools, token_limit=100_000)

    team = Workforce(
        "calculators",
        coordinator_agent=agent("Coordinator", "You assign tasks to workers."),
        task_agent=agent("Task Planner", "You decompose tasks."),
        graceful_shutdown_timeout=0.1,
    )
    workers = {
        "planner": agent("planner", "You are the planner: write the plan as a sum times a factor."),
        "solver": agent("solver", "You are the solver: use add.", [add]),
        "reporter": agent("reporter", "You are the reporter: end with ANSWER: and the number."),
    }
    for name, worker in workers.items():
        team.add_single_agent_worker(f"The {name} of the team", worker=worker)
    return team


class CarelessModel:
    """Plays all roles; the planner takes the 4 for a 5.

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
        asked = "\n".join(text_of(m) for m in request.messages if m["role"] == "user")
        if "You are the" not in request.system:
            return ChatReply(self._manage(asked))
        results = [text_of(m) for m in request.messages if m["role"] == "tool"]
        if "You are the planner" in request.system:
            said = self._plan()
        elif "You are the reporter" in request.system:
            total = re.findall(r"The sum is (\d+)", asked)[-1]
            said = f"ANSWER: {int(total) * 10}"
        elif results:
            said = f"The sum is {results[-1]}."
        else:
            a, b = re.findall(r"add (\d+) and (\d+)", asked)[-1]
            return ChatReply(None, (ScriptedCall("add", {"a": int(a), "b": int(b)}),))
        return ChatReply(json.dumps({"content": said, "failed": False}))

    @staticmethod
    def _manage(asked: str) -> str:
        if "assign multiple tasks" in asked:
            workers = re.findall(r"<(\S+)>:<The \w+ of the team>", asked)
            tasks = re.findall(r"Task ID: (\S+)", asked)
            before: list[list[str]] = [[], *([task] for task in tasks)]
            found = [
                {"task_id": task, "assignee_id": worker, "dependencies": earlier}
                for task, worker, earlier in zip(tasks, workers, before, strict=False)
            ]
            return json.dumps({"assignments": found})
        if "quality_score" in asked:
            return json.dumps({"reasoning": "fine", "issues": [], "quality_score": 90})
        return "<tasks><task>Plan it</task><task>Add up</task><task>Report it</task></tasks>"


def main() -> None:
    """Run the team once and say who made it fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scripted")
    options = parser.parse_args()
    real = os.environ.get("OPENAI_BASE_URL")
    with nullcontext() if real else ModelServer(CarelessModel()) as server:
        team = build_team(real or server.base_url, options.model)

        agentracer.instrument()
        with (
            contextlib.redirect_stdout(io.StringIO()),  # CAMEL prints all that its workers do
            agentracer.record(check=lambda task: "ANSWER: 70" in task.result) as run,
        ):
            team.process_task(Task(content=QUESTION, id="0"))

        print("\n".join(f"{s.index} {s.agent}: {s.content[:70]}" for s in run.trace.steps))
        verdict = agentracer.Tracer().attribute(run.trace)
        print(verdict.agent, verdict.step, f"{verdict.confidence:.0%}", verdict.reason)
        for candidate in verdict.candidates:
            print(" ", candidate.step, candidate.agent, *(e.quote for e in candidate.evidence))


if __name__ == "__main__":
    main()
