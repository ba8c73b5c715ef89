"""Define small coding tasks with a reference solution, and known ways to get each of them wrong.

The tasks are in `data/coding_tasks.toml`. Each has requirements, the sentence of a good plan for
each requirement, a solution, bugs, a slip, and distorted plans together with the code that follows
from them. Wrong code is stored as edits of the solution, so that the mistake is the only
difference. Which mistake is made is decided in `coding_policy`; code is run by `coding_team`.

The examples in a statement are what the tester of a team may run. By design they miss every bug
and every distorted plan, and catch every slip. The hidden cases decide whether a run succeeded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import ConfigDict

from agentracer.lab.testbed.data import load

__all__ = [
    "TASKS",
    "Bug",
    "CodingTask",
    "ExpectedCall",
    "FlawedPlan",
    "Requirement",
    "code_in",
    "examples_in",
    "task_named_in",
]

Edits = tuple[tuple[str, str], ...]

_STRICT = ConfigDict(extra="forbid")

_EXAMPLE = re.compile(
    r"^    (?P<call>\S.*?)(?: == (?P<value>.+)| raises (?P<error>\w+))$", re.MULTILINE
)
_CODE_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class ExpectedCall:
    """One test: a Python expression and its value, or the exception that it must raise."""

    __pydantic_config__ = _STRICT

    call: str
    value: str = ""
    error: str = ""

    def __str__(self) -> str:
        return f"{self.call} raises {self.error}" if self.error else f"{self.call} == {self.value}"


@dataclass(frozen=True)
class Requirement:
    """A requirement as the task states it, and as a good plan puts it."""

    __pydantic_config__ = _STRICT

    text: str
    plan: str


@dataclass(frozen=True)
class Bug:
    """A mistake in code, as edits that turn the solution into the wrong code."""

    __pydantic_config__ = _STRICT

    mistake: str
    edits: Edits


@dataclass(frozen=True)
class FlawedPlan:
    """A plan that loses or distorts one requirement, and the code that follows it faithfully.

    Attributes:
        mistake: The name of the mistake.
        requirement: Which requirement it is about, counted from 0.
        edits: What the code that follows the plan has different from the solution.
        instead: The plan sentence that replaces the right one; empty when the point is left out.
        keyword: For a point left out: a pattern that a plan matches when it does cover the point.
    """

    __pydantic_config__ = _STRICT

    mistake: str
    requirement: int
    edits: Edits
    instead: str = ""
    keyword: str = ""

    def is_followed_by(self, plan: str) -> bool:
        """Whether code written by this plan text contains this mistake."""
        if self.instead:
            return self.instead in plan
        return re.search(self.keyword, plan, re.IGNORECASE) is None


@dataclass(frozen=True)
class CodingTask:
    """A function to write; see the module docstring for what the parts are for.

    Attributes:
        function: The name of the function, which also names the task.
        signature: The first line of the function.
        summary: What the function is for, in one sentence.
        requirements: What it has to observe.
        approach: How the coder explains the solution; it says nothing about the requirements.
        solution: Code that is right.
        bugs: Mistakes that the examples do not show.
        slip: A mistake that the examples do show.
        flawed_plans: Ways to lose a requirement; at least one has an `instead` sentence.
        examples: The tests in the statement.
        hidden: The further tests that decide.
    """

    __pydantic_config__ = _STRICT

    function: str
    signature: str
    summary: str
    requirements: tuple[Requirement, ...]
    approach: str
    solution: str
    bugs: tuple[Bug, ...]
    slip: Bug
    flawed_plans: tuple[FlawedPlan, ...]
    examples: tuple[ExpectedCall, ...]
    hidden: tuple[ExpectedCall, ...] = field(repr=False)

    @cached_property
    def statement(self) -> str:
        """The task as the team gets it."""
        requirements = "\n".join(
            f"{number}. {requirement.text}"
            for number, requirement in enumerate(self.requirements, start=1)
        )
        examples = "\n".join(f"    {case}" for case in self.examples)
        return (
            f"Write a Python function `{self.signature}`. {self.summary}\n\n"
            f"Requirements:\n{requirements}\n\nExamples:\n{examples}\n"
        )

    def apply(self, edits: Edits) -> str:
        """The solution with some edits made.

        Raises:
            ValueError: The text to replace is not there exactly once.
        """
        code = self.solution
        for old, new in edits:
            if code.count(old) != 1:
                msg = f"{self.function}: {old!r} occurs {code.count(old)} times, not once"
                raise ValueError(msg)
            code = code.replace(old, new)
        return code


def task_named_in(text: str) -> CodingTask | None:
    """The task whose signature the text states, if it is one of `TASKS`."""
    return next((task for task in TASKS if f"`{task.signature}`" in text), None)


def code_in(reply: str) -> str | None:
    """The last code block of a reply, or None when it has none."""
    blocks: list[str] = _CODE_BLOCK.findall(reply)
    return blocks[-1] if blocks else None


def examples_in(statement: str) -> tuple[ExpectedCall, ...]:
    """Read the examples out of a task statement; lines that are no examples are skipped."""
    _, _, listed = statement.partition("Examples:\n")
    return tuple(
        ExpectedCall(match["call"], match["value"] or "", match["error"] or "")
        for match in _EXAMPLE.finditer(listed)
    )


@dataclass(frozen=True)
class _TaskFile:
    __pydantic_config__ = _STRICT

    tasks: tuple[CodingTask, ...]


TASKS: tuple[CodingTask, ...] = load("coding_tasks.toml", _TaskFile).tasks
"""All tasks, in the order of the file."""
