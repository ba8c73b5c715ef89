"""Parse the conversation that a scripted agent is sent, whatever framework sent it.

What matters stands in lines of a fixed form, which the prompts ask for (see `rosters`):

    Step B: 48 + A -- Natalia sold B clips altogether        a point of a plan
    Do step B: 48 + A | given A = 24                         an order of a manager
    Redo step B as: 48 + A                                   a demand of a checker
    Result: B = 72                                           a result (each domain has its own form)
    VERDICT: PASS                                            the end of a check
    FINAL ANSWER: 72                                         the end of the run

Everything else in a message is talk. The speaker of a line does not matter, so one parser serves
frameworks that send the conversation as messages, as one text, or as the results of subtasks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentracer.lab.testbed.problems import Domain, ToolResult
from agentracer.lab.testbed.server import text_of

__all__ = ["Order", "ParsedConversation"]

_LINE = re.compile(
    r"^(?:"
    r"Step (?P<plan>[A-Z]): (?P<plan_spec>.+?)(?: -- .*)?"
    r"|Do step (?P<order>[A-Z]): (?P<order_rest>.+)"
    r"|Redo step (?P<redo>[A-Z]) as: (?P<redo_spec>.+)"
    r"|VERDICT: (?P<verdict>PASS|FAIL)"
    r")\s*$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a manager: the spec, and the results that it passes on."""

    key: str
    spec: str
    given: Mapping[str, str]


@dataclass(slots=True)
class ParsedConversation:
    """The state of the work that a conversation shows.

    Attributes:
        specs: by letter, what is to be done, as the last plan, order or demand has it.
        planned: the letters of the plan, in its order.
        results: by letter, all results so far.
        redone: by letter, how many repairs were demanded.
        open_redos: letters whose repair was demanded after their last result.
        orders: how often each step was ordered.
        order: the last order, if no result for its step came after it.
        verdict: of the last check, if no result came after it.
        checks: how many checks there were.
        unchecked: letters with a result that no check has followed yet.
        tool_results: the tool results at the end of the conversation.
        last_text: the last message that is not about tools.
    """

    specs: dict[str, str] = field(default_factory=dict)
    planned: list[str] = field(default_factory=list)
    results: dict[str, list[str]] = field(default_factory=dict)
    redone: dict[str, int] = field(default_factory=dict)
    open_redos: list[str] = field(default_factory=list)
    orders: dict[str, int] = field(default_factory=dict)
    order: Order | None = None
    verdict: str | None = None
    checks: int = 0
    unchecked: set[str] = field(default_factory=set)
    tool_results: list[ToolResult] = field(default_factory=list)
    last_text: str = ""

    @classmethod
    def read(cls, messages: Sequence[Mapping[str, Any]], domain: Domain) -> ParsedConversation:
        """Read the messages of a request; system messages are instructions, not conversation."""
        conversation = cls()
        for message in messages:
            if message["role"] in ("system", "developer", "tool"):
                continue
            text = text_of(message)
            if text.strip():
                conversation.last_text = text
                conversation._take(text, domain)
        conversation.tool_results = _trailing_tools(messages)
        return conversation

    @property
    def values(self) -> dict[str, str]:
        """The latest result of each step, in the order of the plan."""
        keys = [*self.planned, *(key for key in self.results if key not in self.planned)]
        return {key: self.results[key][-1] for key in keys if key in self.results}

    @property
    def open_keys(self) -> list[str]:
        """Steps that have to be worked out (again), in the order of the plan."""
        return [k for k in self.planned if k not in self.results or k in self.open_redos]

    def _take(self, text: str, domain: Domain) -> None:
        for match in _LINE.finditer(text):
            self._line(match)
        for key, value in domain.results_in(text):
            self.results.setdefault(key, []).append(value)
            self.unchecked.add(key)
            self.verdict = None
            if key in self.open_redos:
                self.open_redos.remove(key)
            if self.order is not None and self.order.key == key:
                self.order = None

    def _line(self, match: re.Match[str]) -> None:
        parts = match.groupdict()
        if key := parts["plan"]:
            self.specs[key] = parts["plan_spec"].strip()
            if key not in self.planned:
                self.planned.append(key)
        elif key := parts["order"]:
            spec, _, handed_over = parts["order_rest"].partition(" -- ")[0].partition(" | given ")
            pairs = (pair.partition(" = ") for pair in handed_over.split("; ") if " = " in pair)
            self.order = Order(key, spec.strip(), {k.strip(): v.strip() for k, _, v in pairs})
            self.orders[key] = self.orders.get(key, 0) + 1
        elif key := parts["redo"]:
            self.specs[key] = parts["redo_spec"].strip()
            self.redone[key] = self.redone.get(key, 0) + 1
            if key not in self.open_redos:
                self.open_redos.append(key)
        else:
            self.verdict = parts["verdict"]
            self.checks += 1
            self.unchecked.clear()


def _trailing_tools(messages: Sequence[Mapping[str, Any]]) -> list[ToolResult]:
    """The tool results at the end of a conversation, each with the call that it answers."""
    texts: dict[str, str] = {}
    results: list[ToolResult] = []
    for message in reversed(messages):
        if message["role"] == "tool":
            texts[str(message.get("tool_call_id"))] = text_of(message)
        elif message["role"] == "assistant" and message.get("tool_calls"):
            calls = [
                ToolResult(c["function"]["name"], _arguments(c), texts.get(str(c.get("id")), ""))
                for c in message["tool_calls"]
            ]
            results = [*calls, *results]
            if "Result:" in text_of(message):
                break  # the calls before it were about an earlier step
        else:
            break
    return results


def _arguments(call: Mapping[str, Any]) -> dict[str, object]:
    raw = call["function"].get("arguments")
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except ValueError:
            raw = {}
    return dict(raw) if isinstance(raw, Mapping) else {}
