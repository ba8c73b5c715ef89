"""A small world for adapter tests: compute (3+4)*10, where the planner wrongly writes b=5.

The model behind the HTTP server is a pure function of the request, so that correcting a step
changes what follows just as it would with a deterministic model, and nothing else can. The right
answer is 70; uncorrected, the team answers 80.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall, text_of
from agentracer.trace import Trace

TASK = "Compute (3+4)*10"
WRONG_PLAN, RIGHT_PLAN = "PLAN: a=3 b=5", "PLAN: a=3 b=4"
ADVICE = "ADVICE: b is 4"


class ArithmeticModel:
    """Plans, adds with a tool, reports; also manages teams and hands over in swarms."""

    def reply(self, request: ChatRequest) -> ChatReply:
        text = "\n".join(text_of(message) for message in request.messages)
        role = role_of(request)
        handover = [name for name in request.tool_names if "transfer_to" in name]
        if role == "supervisor":
            return self._manage(text, handover)
        if role == "planner":
            plan = RIGHT_PLAN if ADVICE in text else WRONG_PLAN
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
        after = "reporter" if "SUM=" in text else "solver" if "PLAN: a=" in text else "planner"
        return ChatReply("", self._to(after, handover))

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


def role_of(request: ChatRequest) -> str | None:
    """The role that the system prompt gives, by `You are <role>`."""
    for role in ("supervisor", "planner", "solver", "reporter"):
        if f"You are {role}" in request.system:
            return role
    return None


@dataclass
class World:
    """The server, and every run of the tool `add`."""

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
    with ModelServer(model or ArithmeticModel()) as server:
        yield World(server, [])


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
