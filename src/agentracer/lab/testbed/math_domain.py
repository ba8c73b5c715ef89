"""Word problems: goals are calculations, the tool is a calculator, the final number decides."""

# ruff: noqa: ARG002 - every domain is asked in the same way, and needs only some of it

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from agentracer.lab.testbed.answer_lines import AnswerLines
from agentracer.lab.testbed.arithmetic import UNDEFINED, calculate, same_number, substituted
from agentracer.lab.testbed.math_problems import combined, gsm8k, own_problems
from agentracer.lab.testbed.problems import (
    Goal,
    Problem,
    ToolResult,
    WrongCall,
    depends_on,
    held_out,
    shuffled,
)
from agentracer.lab.testbed.server import ScriptedCall

__all__ = ["MathDomain", "calculator"]

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
_SWAPPED = {"+": "-", "-": "+", "*": "/", "/": "*"}


def calculator(expression: str) -> str:
    """Work out an arithmetic expression with + - * / and parentheses.

    Args:
        expression: the expression, such as `12 * (3 + 4)`.
    """
    return calculate(expression)


class MathDomain(AnswerLines):
    """See `agentracer.lab.testbed.problems.Domain`.

    Args:
        data: a folder with `gsm8k/`; without it there are our own problems, and pairs of them.
    """

    name = "math"
    mission = "solves word problems"
    tools = (calculator,)
    misread = "misread tool result"
    result_line = re.compile(r"^Result: ([A-Z]) = (-?[\d.]+|undefined)\s*$", re.MULTILINE)
    answer_line = re.compile(r"^FINAL ANSWER: (-?[\d.,]+|undefined)\s*$", re.MULTILINE)
    nothing = UNDEFINED

    def __init__(self, data: Path | None = None) -> None:
        self._data = data

    @cached_property
    def _own(self) -> list[Problem]:
        return own_problems()

    @cached_property
    def _read(self) -> list[Problem]:
        return gsm8k(self._data / "gsm8k") if self._data is not None else []

    @cached_property
    def held_out(self) -> frozenset[str]:
        """The tasks that are for tests only."""
        return held_out(self.name, (problem.id for problem in (*self._own, *self._read)))

    @cached_property
    def _problems(self) -> list[Problem]:
        problems = [*self._own, *self._read]
        for test in (False, True):
            own = [p for p in self._own if (p.id in self.held_out) is test]
            read = [p for p in self._read if (p.id in self.held_out) is test]
            pairs = [
                (one, own[(i + step) % len(own)]) for step in (1, 3, 7) for i, one in enumerate(own)
            ]
            # GSM8K's problems have three steps on average: pairs of them make the long runs.
            pairs += zip(read[::4], read[1::4], strict=False)
            problems += [combined(*pair) for pair in _distinct(pairs)]
        return problems

    def problems(self) -> Sequence[Problem]:
        """All problems."""
        return self._problems

    def evaluate(self, spec: str, values: Mapping[str, str]) -> str:
        """The value of a calculation."""
        return calculate(substituted(spec, values))

    def needs(self, spec: str) -> tuple[str, ...]:
        """The letters in it."""
        return depends_on(spec)

    def next_call(
        self, spec: str, values: Mapping[str, str], tool_results: Sequence[ToolResult]
    ) -> ScriptedCall | None:
        """One call of the calculator, and another one where it could make nothing of it."""
        if tool_results and (tool_results[-1].text != UNDEFINED or len(tool_results) > 2):
            return None
        return ScriptedCall("calculator", {"expression": substituted(spec, values)})

    def conclude(
        self, spec: str, values: Mapping[str, str], tool_results: Sequence[ToolResult]
    ) -> str:
        """What the calculator said."""
        numbers = (
            re.findall(r"-?\d+(?:\.\d+)?|undefined", tool_results[-1].text) if tool_results else []
        )
        return numbers[-1] if numbers else UNDEFINED

    def check(self, problem: Problem, answer: str) -> bool:
        """Whether the number is right."""
        return same_number(answer, problem.answer)

    def may_skip_tools(self, spec: str) -> bool:
        """Small sums can be done in one's head."""
        return len(re.findall(r"[+\-*/]", spec)) <= 2

    def wrong_specs(self, problem: Problem, goal: Goal) -> Sequence[tuple[str, str]]:
        """A wrong operation, a wrong quantity of the task, a condition that is lost."""
        wrong = []
        for sign in re.finditer(r" ([+\-*/]) ", goal.spec):
            changed = f"{goal.spec[: sign.start(1)]}{_SWAPPED[sign[1]]}{goal.spec[sign.end(1) :]}"
            wrong.append(("wrong operation in the plan", changed))
        for number in _NUMBER.finditer(goal.spec):
            task_numbers = {
                calculate(n) for n in _NUMBER.findall(problem.question.replace(",", ""))
            }
            others = sorted(task_numbers - {calculate(number[0])})
            for other in shuffled(others, problem.id, goal.key, number.start())[:1]:
                changed = f"{goal.spec[: number.start()]}{other}{goal.spec[number.end() :]}"
                wrong.append(("wrong quantity in the plan", changed))
        lost = re.fullmatch(r"(.+) [+\-*/] [\w.]+", goal.spec)
        if lost and lost[1].count("(") == lost[1].count(")"):
            wrong.append(("lost condition in the plan", lost[1]))
        return wrong

    def wrong_values(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """Numbers that look like the right one."""
        return [("wrong number", value) for value in _lookalikes(values[goal.key])]

    def wrong_calls(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[WrongCall]:
        """The right expression with one number mistyped."""
        right = substituted(goal.spec, values)
        wrong = []
        for number in _NUMBER.finditer(right):
            for typo in _lookalikes(number[0])[:2]:
                changed = f"{right[: number.start()]}{typo}{right[number.end() :]}"
                wrong.append(
                    WrongCall(
                        "wrong argument of a tool", {"expression": changed}, calculate(changed)
                    )
                )
        return wrong

    def failing_calls(
        self, problem: Problem, goal: Goal, values: Mapping[str, str]
    ) -> Sequence[WrongCall]:
        """An expression that is cut off."""
        right = substituted(goal.spec, values)
        cut = re.match(r".*[+\-*/]", right)
        return [WrongCall("malformed tool call", {"expression": cut[0]}, "")] if cut else []

    def wrong_answers(
        self, problem: Problem, values: Mapping[str, str]
    ) -> Sequence[tuple[str, str]]:
        """An intermediate result instead of the last one, or the last one copied wrongly."""
        earlier = [("intermediate result reported", v) for v in list(values.values())[:-1]]
        copied = [("result miscopied", v) for v in _lookalikes(self.combine(values))]
        return [*earlier[-2:], *copied[:2]]


def _distinct(pairs: Iterable[tuple[Problem, Problem]]) -> Iterator[tuple[Problem, Problem]]:
    """Pairs of two problems that are not too long together, each once."""
    seen = set()
    for one, other in pairs:
        key = frozenset((one.id, other.id))
        if len(key) == 2 and key not in seen and len(one.goals) + len(other.goals) < 20:
            seen.add(key)
            yield one, other


def _lookalikes(number: str) -> list[str]:
    """Numbers that are easily written instead: digits swapped, lost or one off."""
    digits = number.lstrip("-").partition(".")[0]
    if not digits.isdigit():
        return ["0", "1"]
    tail = number.lstrip("-")[len(digits) :]
    swapped = [
        digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :] for i in range(len(digits) - 1)
    ]
    nearby = [str(int(digits) + step) for step in (10, 1, -1, 100) if int(digits) + step > 0]
    shorter = [digits[:-1]] if len(digits) > 1 else []
    return [
        text + tail
        for text in dict.fromkeys([*swapped, *nearby, *shorter])
        if int(text) != int(digits) and not (text.startswith("0") and text != "0")
    ]
