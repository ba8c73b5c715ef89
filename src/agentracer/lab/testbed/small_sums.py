"""Chains of one-digit sums: the smallest failures that a model can learn to attribute.

The teams, their tools and their ways to err are those of word problems. Every mistake can be seen
in the run itself (the task says each sum, the plan repeats it, the calculator gives its value), so
that a model of a few hundred thousand weights can learn to find it. For training pipelines and
their tests; it is collected only where it is asked for by name.
"""

# ruff: noqa: ARG002 - every domain is asked in the same way, and needs only some of it

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from agentracer.lab.testbed.arithmetic import calculate, substituted
from agentracer.lab.testbed.math_domain import MathDomain
from agentracer.lab.testbed.math_problems import LETTERS
from agentracer.lab.testbed.problems import Goal, Problem, pick

__all__ = ["SmallSums"]

_TASKS = 1_200
_SUMS = 3
_SIGNS = ("+", "-")


class SmallSums(MathDomain):
    """See `agentracer.lab.testbed.problems.Domain`; in everything but its problems it is `math`."""

    @cached_property
    def _own(self) -> list[Problem]:
        by_question = {problem.question: problem for problem in map(_problem, range(_TASKS))}
        return list(by_question.values())

    @cached_property
    def _read(self) -> list[Problem]:
        return []

    @cached_property
    def _problems(self) -> list[Problem]:
        return self._own

    def may_skip_tools(self, spec: str) -> bool:
        """Never: a model this small would have to learn to add before it could judge."""
        return False


def _problem(number: int) -> Problem:
    """Three sums; no result leaves 0 to 9."""
    specs = list(_specs(number))
    goals = tuple(Goal(letter, spec) for letter, spec in zip(LETTERS, specs, strict=False))
    values: dict[str, str] = {}
    for goal in goals:
        values[goal.key] = calculate(substituted(goal.spec, values))
    sums = ", ".join(f"{goal.key} = {goal.spec}" for goal in goals)
    question = f"{sums}. What is {goals[-1].key}?"
    return Problem(f"sums-{number:04d}", question, goals, values[goals[-1].key])


def _specs(number: int) -> Iterator[str]:
    value = pick(range(1, 9), "small sums", number)
    before = str(value)
    for place in range(_SUMS):
        sign = pick(_SIGNS, "sign", number, place)
        if value in {0, 9}:
            sign = "-" if value else "+"
        room = 9 - value if sign == "+" else value
        other = pick(range(1, room + 1), "other", number, place)
        value += other if sign == "+" else -other
        yield f"{before} {sign} {other}"
        before = LETTERS[place]
