"""A small world for adapter tests: compute (3+4)*10, where the planner wrongly writes b=5.

The model behind the HTTP server is a pure function of the request, so that correcting a step
changes what follows just as it would with a deterministic model, and nothing else can. The right
answer is 70; uncorrected, the team answers 80.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of
from agentracer.replay import SamplingParameters, rerun
from agentracer.trace import Trace

TASK = "Compute (3+4)*10"
WRONG_PLAN, RIGHT_PLAN = "PLAN: a=3 b=5", "PLAN: a=3 b=4"
ADVICE = "ADVICE: b is 4"


class ArithmeticModel:
    """Plans, adds with a tool, reports; also manages teams and hands over in swarms.

    Attributes:
        errs: asked whenever a plan is made; whether it is the wrong one.
    """

    errs: Callable[[], bool] = staticmethod(lambda: True)

    def reply(self, request: ChatRequest) -> ChatReply:
        text = "\n".join(text_of(message) for message in request.messages)
        role = role_of(request)
        handover = [name for name in request.tool_names if "transfer_to" in name]
        if role == "supervisor" and (handover or not request.tool_names):
            return self._manage(text, handover)
        if role == "supervisor":
            return self._delegate(request, text)
        if role == "planner":
            plan = RIGHT_PLAN if ADVICE in text or not self.errs() else WRONG_PLAN
            return ChatReply(plan, self._to("solver", handover))
        if role == "solver":
            return self._solve(request, text, handover)
        if role == "reporter":
            sums = re.findall(r"SUM=(-?\d+)", text)
            answer = int(sums[-1]) * 10 if sums else "unknown"
            return ChatReply(f"ANSWER: {answer} TERMINATE")
        return ChatReply("ok")

    def _manage(self, text: str, handover: Sequence[str]) -> ChatReply:
        answers = re.findall(r"ANSWER: \S+", text)
        if answers:
            return ChatReply(f"done {answers[-1]}")
        return ChatReply("", self._to(next_speaker(text), handover))

    @staticmethod
    def _delegate(request: ChatRequest, text: str) -> ChatReply:
        """Agents that are tools: one tool for each, one for a whole team, or one for all."""
        if answers := re.findall(r"ANSWER: \S+", text):
            return ChatReply(f"done {answers[-1]} TERMINATE")
        outputs = re.findall(r"PLAN: a=-?\d+ b=-?\d+|SUM=-?\d+", text) or ["go"]
        speaker = next_speaker(text)
        if speaker in request.tool_names:
            return ChatReply(None, (ScriptedCall(speaker, {"task": outputs[-1]}),))
        if "task" in request.tool_names:
            arguments = {"description": outputs[-1], "subagent_type": speaker}
            return ChatReply(None, (ScriptedCall("task", arguments),))
        return ChatReply(None, (ScriptedCall(request.tool_names[0], {"task": outputs[-1]}),))

    def _solve(self, request: ChatRequest, text: str, handover: Sequence[str]) -> ChatReply:
        results = [
            text_of(message).strip() for message in request.messages if message["role"] == "tool"
        ]
        numbers = [result for result in results if re.fullmatch(r"-?\d+", result)]
        if numbers:
            return ChatReply(f"SUM={numbers[-1]}", self._to("reporter", handover))
        plans = re.findall(r"PLAN: a=(-?\d+) b=(-?\d+)", text)
        if not plans:
            return ChatReply("no plan")
        a, b = plans[-1]
        return ChatReply(None, (ScriptedCall("add", {"a": int(a), "b": int(b)}),))

    @staticmethod
    def _to(agent: str, handover: Sequence[str]) -> tuple[ScriptedCall, ...]:
        return tuple(ScriptedCall(name, {}) for name in handover if agent in name)[:1]


def next_speaker(text: str) -> str:
    """Whose turn it is in the team."""
    return "reporter" if "SUM=" in text else "solver" if "PLAN: a=" in text else "planner"


def role_of(request: ChatRequest) -> str | None:
    """The role that the system prompt gives, by `You are <role>`."""
    for role in ("supervisor", "planner", "solver", "reporter"):
        if f"You are {role}" in request.system:
            return role
    return None


@dataclass
class World:
    """The server with its model, and every run of the tool `add`."""

    model: Any
    server: ModelServer
    tool_runs: list[tuple[int, int]]

    @property
    def url(self) -> str:
        return self.server.base_url

    @property
    def callers(self) -> list[str | None]:
        """Who called the model, in order."""
        return [
            role_of(ChatRequest("", exchange.body["messages"], exchange.body))
            for exchange in self.server.exchanges
        ]

    def add(self, a: int, b: int) -> str:
        """Add two integers."""
        self.tool_runs.append((a, b))
        return str(a + b)

    def forget(self) -> None:
        """Empty both logs."""
        self.server.clear()
        self.tool_runs.clear()


@contextmanager
def arithmetic_world(model: Any = None) -> Iterator[World]:
    model = model or ArithmeticModel()
    with ModelServer(model) as server:
        yield World(model, server, [])


def errs_at_random(world: World, rate: float = 0.15) -> None:
    """From now on the planner is mistaken in this share of its calls only."""
    rng = random.Random(0)
    world.model.errs = lambda: rng.random() < rate


def is_right(result: Any) -> bool:
    """The check: whether 70 is the last answer in whatever a framework returned."""
    answers = re.findall(r"ANSWER: (-?\w+)", str(result))
    return bool(answers) and answers[-1] == "70"


def reply_text(reply: Any) -> str:
    """What the server answered, as text."""
    return text_of(reply["choices"][0]["message"])


def spoken(messages: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    """Messages as (role, text), however they are represented."""
    return tuple(
        (m["role"], text_of(m)) if isinstance(m, dict) else (m.role, m.content) for m in messages
    )


def assert_reads_match_server(trace: Trace, world: World) -> None:
    """What every model step read and wrote is what the server was sent and answered."""
    recorded = Counter(
        (spoken(trace.observed.reads(step)), step.content)
        for step in trace.steps
        if step.kind == "llm" and step.attributes.get("replay") != "recorded"
    )
    served = Counter(
        (spoken(exchange.body["messages"]), reply_text(exchange.reply))
        for exchange in world.server.exchanges
    )
    assert recorded == served


def assert_live_calls_sample_as_told(
    trace: Trace, world: World, once: Callable[[], object]
) -> None:
    """Live calls of a replay send its sampling parameters and say so; kept ones know of none."""
    world.forget()
    again = rerun(
        trace,
        once,
        keep=1,
        check=is_right,
        sampling=SamplingParameters(temperature=0.7, seed=11),
        on_divergence="report",
    )
    live = [step for step in again.steps if step.attributes.get("replay") == "live"]
    calls = [step for step in live if step.kind == "llm"]
    bodies = [exchange.body for exchange in world.server.exchanges]
    assert len(bodies) == len(calls) > 0
    assert {(body.get("temperature"), body.get("seed")) for body in bodies} == {(0.7, 11)}
    assert all(s.attributes["sampling"] == {"temperature": 0.7, "seed": 11} for s in calls)
    kept = [step for step in again.steps if step.attributes.get("replay") == "recorded"]
    assert not any("sampling" in step.attributes for step in kept)
