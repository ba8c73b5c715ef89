"""The common shape of the testbed's domains: a problem is a chain of small goals.

A `Problem` is split into `Goal`s, each with a letter for a name and a *spec*: what is to be done,
in terms of what the task says and of earlier results (`48 / 2`, `48 + A`, `the birthplace of A`).
A `Domain` knows its problems, how a goal is worked out with its real tools, and the typical ways to
get it wrong. It knows no agent, no topology and no framework; `team_policy` plays the agents,
`rosters` says who there is, and the `*_teams` modules put them to work.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from agentracer.lab.testbed.server import ScriptedCall

__all__ = [
    "Action",
    "Domain",
    "Goal",
    "InjectedError",
    "Problem",
    "ToolResult",
    "WrongCall",
    "depends_on",
    "held_out",
    "pick",
    "rank",
    "shuffled",
    "values_of",
]

Action = Literal["plan", "assign", "call", "state", "check", "report"]
"""What an agent does in one reply: split the task, hand over one goal, call a tool, state a
result, check results, give the final answer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Goal:
    """One step of a solution: its letter, what to do, and what the result is."""

    key: str
    spec: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A task and its right solution.

    Attributes:
        id: unique within the domain; train and test are split by it.
        question: the task as the team reads it.
        goals: the steps of the right solution, in an order in which they can be worked out.
        answer: the right final answer, as a checker or a judge w/ G reads it.
        parts: the ids of the problems that it was put together from; () if it is one of its own.
    """

    id: str
    question: str
    goals: tuple[Goal, ...]
    answer: str
    parts: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The ids of the tasks in it: what must not be in train and test at once."""
        return self.parts or (self.id,)

    def goal(self, key: str) -> Goal | None:
        """The goal with this letter."""
        return next((goal for goal in self.goals if goal.key == key), None)


@dataclass(frozen=True, slots=True)
class InjectedError:
    """One mistake that a policy is going to make.

    Attributes:
        action: in which kind of reply.
        key: about which goal; empty for `report`.
        kind: its name, such as `misread tool result`.
        replacement: what is written instead: a spec (plan, check), the rest of an order (assign),
            tool arguments as JSON (call), a value (state), an answer (report). Empty: the action is
            skipped (a check that sees nothing, a manager that stops too early).
        value: what the goal's result becomes if it is not repaired; None where the spec says it.
        nth: for `call`, which call of the goal.
    """

    action: Action
    key: str
    kind: str
    replacement: str
    value: str | None = None
    nth: int = 0


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool call, and what the tool said."""

    name: str
    arguments: Mapping[str, object]
    text: str


@dataclass(frozen=True, slots=True)
class WrongCall:
    """A tool call that goes wrong: which call of the goal, how, and what comes of it."""

    kind: str
    arguments: Mapping[str, object]
    value: str
    nth: int = 0


class Domain(Protocol):
    """Problems of one kind, with real tools and known mistakes. Everything here is pure.

    Attributes:
        name: `math`, `qa` or `coding`.
        mission: what a team of this domain does, as its prompts say it.
        tools: the functions that workers may call, with docstrings and annotations.
        misread: the kind of error when a worker states something else than its tools returned.
    """

    name: str
    mission: str
    tools: tuple[Callable[..., str], ...]
    misread: str

    @property
    def held_out(self) -> frozenset[str]:
        """The tasks that are for tests only, a tenth; no problem has tasks of both kinds."""

    def problems(self) -> Sequence[Problem]:
        """All problems, in a fixed order."""

    def evaluate(self, spec: str, values: Mapping[str, str]) -> str:
        """What an able worker gets for a spec, given the earlier results."""

    def needs(self, spec: str) -> tuple[str, ...]:
        """The letters of the earlier results that a spec needs."""

    def next_call(
        self, spec: str, values: Mapping[str, str], tool_results: Sequence[ToolResult]
    ) -> ScriptedCall | None:
        """The next tool call of an able worker; None when nothing more needs to be asked."""

    def conclude(
        self, spec: str, values: Mapping[str, str], tool_results: Sequence[ToolResult]
    ) -> str:
        """The result that the answers of the tools give."""

    def result_text(self, key: str, value: str) -> str:
        """A result as a worker states it."""

    def results_in(self, text: str) -> Iterator[tuple[str, str]]:
        """The results that a message states."""

    def combine(self, values: Mapping[str, str]) -> str:
        """The final answer that all results, in their order, add up to."""

    def answer_text(self, answer: str) -> str:
        """The final answer as a message states it."""

    def answer_in(self, text: str) -> str | None:
        """The final answer that a message states, if it does."""

    def check(self, problem: Problem, answer: str) -> bool:
        """Whether an answer is right."""

    def may_skip_tools(self, spec: str) -> bool:
        """Whether an able worker can do without tools."""

    def wrong_specs(self, problem: Problem, goal: Goal) -> Sequence[tuple[str, str]]:
        """Ways to get a spec wrong: (kind, wrong spec)."""

    def wrong_values(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """Ways to state a wrong result: (kind, wrong value)."""

    def wrong_calls(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[WrongCall]:
        """Ways to call a tool wrongly."""

    def failing_calls(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[WrongCall]:
        """Ways to call a tool so that it fails and an able worker calls it again."""

    def wrong_answers(
        self, problem: Problem, values: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """Ways to report a wrong answer from right results: (kind, answer)."""


def depends_on(spec: str) -> tuple[str, ...]:
    """The letters of the earlier results that a spec needs."""
    return tuple(dict.fromkeys(re.findall(r"\b[A-Z]\b", spec)))


def values_of(domain: Domain, problem: Problem) -> dict[str, str]:
    """The right result of every goal."""
    values: dict[str, str] = {}
    for goal in problem.goals:
        values[goal.key] = domain.evaluate(goal.spec, values)
    return values


def held_out(domain: str, tasks: Iterable[str]) -> frozenset[str]:
    """The tenth of some tasks that is for tests, one at least."""
    ordered = sorted(set(tasks), key=lambda task: rank("held out", domain, task))
    return frozenset(ordered[: max(1, round(len(ordered) / 10))])


def rank(*key: object) -> bytes:
    """A hash to sort by, so that order is chance but the same everywhere."""
    return hashlib.sha256(repr(key).encode()).digest()


def pick(options: Sequence[T], *key: object) -> T:
    """Choose by a hash of the key, so that the same question always gets the same answer."""
    return options[int.from_bytes(rank(*key)[:8]) % len(options)]


def shuffled(options: Sequence[T], *key: object) -> list[T]:
    """The options in an order that the key decides."""
    order = sorted(range(len(options)), key=lambda index: rank(*key, index))
    return [options[index] for index in order]
