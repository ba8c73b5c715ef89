"""A CAMEL Workforce in OWL's shape that learns from its failures.

    python examples/evolve_camel_workforce.py                                  # a scripted model
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/evolve_camel_workforce.py --model NAME

As OWL builds it: a coordinator, a task agent, and workers for the web, for documents and for
reasoning, each with tools. The scripted document worker misreads numbers until it is taught; that
the script obeys is written into it, so the gain shows that the plumbing works. Needs the extra
[camel].
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
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
from agentracer.evolution import Advice, Attribution, Team, Verified
from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of
from agentracer.replay import Override
from agentracer.trace import Trace

PRICES = {"tea": "14", "rice": "40", "salt": "3"}
TASKS = [f"What do ten packets of {name} cost?" for name in PRICES]


def read_document(name: str) -> str:
    """Read a document.

    Args:
        name (str): its name
    """
    return f"price list: {name} costs {PRICES.get(name, '?')}"


def search_web(query: str) -> str:
    """Search the web.

    Args:
        query (str): the words
    """
    return f"the price list is a document; look there for: {query}"


def multiply(a: int, b: int) -> str:
    """Multiply two integers.

    Args:
        a (int): the first
        b (int): the second
    """
    return str(a * b)


def build_team(base_url: str, model: str = "scripted") -> Workforce:
    """A Workforce as OWL's example builds it; nothing in it knows of agentracer."""
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
        "owl",
        coordinator_agent=agent("Coordinator Agent", "You assign tasks to workers."),
        task_agent=agent("Task Agent", "You decompose tasks."),
        graceful_shutdown_timeout=0.1,
    )
    workers = {
        "Web Agent": agent("Web Agent", "You are the web worker: say where it is.", [search_web]),
        "Document Processing Agent": agent(
            "Document Processing Agent", "You are the document worker: state the price.",
            [read_document],
        ),
        "Reasoning Coding Agent": agent(
            "Reasoning Coding Agent", "You are the reasoning worker: end with ANSWER: and the sum.",
            [multiply],
        ),
    }  # fmt: skip
    for name, worker in workers.items():
        team.add_single_agent_worker(name, worker=worker)
    return team


class CarelessModel:
    """Plays all roles; the document worker takes every 4 for a 9, unless it is taught."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer from the conversation alone."""
        asked = "\n".join(text_of(m) for m in request.messages if m["role"] == "user")
        results = [text_of(m) for m in request.messages if m["role"] == "tool"]
        if "You are the" not in request.system:
            return ChatReply(_manage(asked))
        if "You are the web worker" in request.system:
            said = "It is in the price list."
        elif "You are the document worker" in request.system:
            if not results:
                name = re.findall(r"packets of (\w+)", asked)[-1]
                return ChatReply(None, (ScriptedCall("read_document", {"name": name}),))
            taught = "digit by digit" in request.system
            price = re.findall(r"costs (\d+)", results[-1])[-1]
            said = f"The price is {price if taught else price.replace('4', '9')}."
        elif not results:
            price = re.findall(r"The price is (\d+)", asked)[-1]
            return ChatReply(None, (ScriptedCall("multiply", {"a": int(price), "b": 10}),))
        else:
            said = f"ANSWER: {results[-1]}"
        return ChatReply(json.dumps({"content": said, "failed": False}))


def _manage(asked: str) -> str:
    if "assign multiple tasks" in asked:
        workers = re.findall(r"<(\S+)>:<(?:Web|Document|Reasoning)[^>]*>", asked)
        tasks = re.findall(r"Task ID: (\S+)", asked)
        before: list[list[str]] = [[], *([task] for task in tasks)]
        found = [
            {"task_id": task, "assignee_id": worker, "dependencies": earlier}
            for task, worker, earlier in zip(tasks, workers, before, strict=False)
        ]
        return json.dumps({"assignments": found})
    if "quality_score" in asked:
        return json.dumps({"reasoning": "fine", "issues": [], "quality_score": 90})
    name = (re.findall(r"packets of (\w+)", asked) or ["tea"])[-1]
    steps = f"Find the list for packets of {name}", f"Read the price of packets of {name}", "Answer"
    return "<tasks>" + "".join(f"<task>{step}</task>" for step in steps) + "</tasks>"


def is_right(task: str, result: Any) -> bool:
    """Whether the answer is ten times the price."""
    name = re.findall(r"packets of (\w+)", task)[-1]
    return f"ANSWER: {int(PRICES[name]) * 10}" in str(result)


def oracle(trace: Trace, step: int) -> Override | None:
    """What the document worker should have said, from what its tool told it."""
    taken = trace.steps[step]
    read = "\n".join(message.content for message in trace.observed.reads(taken))
    prices = re.findall(r"price list: \w+ costs (\d+)", read)
    if "The price is" not in taken.content or not prices:
        return None
    said = {"content": f"The price is {prices[-1]}.", "failed": False}
    return Override(step=step, content=json.dumps(said))


def lesson(_blamed: Attribution) -> str:
    """Your own wording; a language model could write it from the verdict."""
    return "Copy prices from the document digit by digit."


def main() -> None:
    """Evolve the Workforce for two rounds and say what was learned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="scripted")
    options = parser.parse_args()
    real = os.environ.get("OPENAI_BASE_URL")
    agentracer.instrument("camel")
    with nullcontext() if real else ModelServer(CarelessModel()) as server:
        url = real or server.base_url
        team = Team(
            run=lambda workforce, task: workforce.process_task(Task(content=task, id="0")).result,
            build=lambda: build_team(url, options.model),
            deterministic=not real,
        )
        with contextlib.redirect_stdout(io.StringIO()):  # CAMEL prints all that its workers do
            report = agentracer.evolve(
                team, TASKS, is_right, Verified(oracle), rounds=2, strategy=Advice(word=lesson)
            )
    print(report)


if __name__ == "__main__":
    main()
