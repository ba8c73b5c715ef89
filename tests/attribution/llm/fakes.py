"""Models that answer by a function, and runs to judge."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from agentracer.attribution.language_models.base import Completion, ContextExceeded, Request
from agentracer.attribution.rendering import TraceView
from agentracer.errors import BackendError
from agentracer.trace import GroundTruth, Observed, Outcome, Step, Trace
from agentracer.usage import Usage

LABEL = re.compile(r"^\[([a-z]+)\]", re.MULTILINE)


def run_of(*contents: str, agents: Sequence[str] = ("Planner", "Solver"), **fields) -> Observed:
    """A failed run in which the agents take turns."""
    steps = tuple(
        Step(index=i, agent=agents[i % len(agents)], content=text)
        for i, text in enumerate(contents)
    )
    return Observed(task="Add.", steps=steps, outcome=Outcome(success=False), **fields)


def trace_of(*contents: str, id: str = "t", **fields) -> Trace:  # noqa: A002
    return Trace(id=id, observed=run_of(*contents, **fields), ground_truth=GroundTruth(answer="54"))


def answer(agent: str, step: str, **fields) -> str:
    said = {"reasoning": "", "agent": agent, "step": step, "quote": "", "also": []}
    return json.dumps(said | fields)


class Fake:
    """A language model in memory; `script` sees a request and says a text, or raises."""

    remote = False
    batch_size = 4
    special_tokens: frozenset[str] = frozenset()

    def __init__(self, script: Callable[[Request], str], *, context=100_000, style="json") -> None:
        self.name, self.answer_format, self.context_length = "fake:1", style, context
        self.versions = {"fake": "1"}
        self.script = script
        self.requests: list[Request] = []
        self.batches: list[int] = []

    def count_tokens(self, text: str) -> int:
        return -(-len(text) // 4)

    def generate(self, requests):
        self.batches.append(len(requests))
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request):
        self.requests.append(request)
        size = sum(self.count_tokens(turn.content) for turn in request.prompt)
        if size > self.context_length:
            return ContextExceeded(f"{size} tokens")
        try:
            return [
                Completion(
                    text=self.script(request),
                    usage=Usage(model_calls=1, input_tokens=size, output_tokens=1),
                )
                for _ in range(request.sampling.n)
            ]
        except BackendError as error:
            return error


def user(request: Request) -> str:
    """The last user turn."""
    return [turn.content for turn in request.prompt if turn.role == "user"][-1]


def shown(request: Request) -> list[str]:
    """Labels of the steps that a prompt shows, in order."""
    return LABEL.findall(user(request))


def blames(position: int, agent: str = "", **fields) -> Callable[[Request], str]:
    """A script that blames the n-th step it is shown."""
    return lambda request: answer(agent, shown(request)[position], **fields)


def view_of(run: Observed, **options) -> TraceView:
    return TraceView(run, **options)
