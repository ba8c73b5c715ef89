"""Read word problems, those of the package and those of GSM8K, as `Problem`s.

GSM8K (MIT) is read from a folder at run time and is not part of this package. Its calculator
annotations (`<<48/2=24>>24`) give every step and every intermediate value. Problems whose
annotations do not add up to the stated answer are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict

from agentracer.lab.testbed.arithmetic import calculate, same_number, substituted
from agentracer.lab.testbed.data import load
from agentracer.lab.testbed.problems import Goal, Problem

__all__ = ["combined", "gsm8k", "own_problems"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ANNOTATION = re.compile(r"<<([^<>=]+)=([^<>=]+)>>")
# `48/2 = $<<48/2=24>>24`, of which a description keeps only the letter
_EQUATION = re.compile(
    r"(?<![\d\s.,$%+\-*/x×()])([\s,%+\-*/x×)]*)"
    r"[$(\d.][\d\s.,$%+\-*/x×()]*=\s*\$?<<[^<>]*>>\s*\$?-?[\d.,/]*\d"
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")


@dataclass(frozen=True)
class _WordProblemStep:
    __pydantic_config__ = ConfigDict(extra="forbid")

    spec: str
    about: str


@dataclass(frozen=True)
class _WordProblem:
    __pydantic_config__ = ConfigDict(extra="forbid")

    question: str
    steps: tuple[_WordProblemStep, ...]


@dataclass(frozen=True)
class _ProblemFile:
    __pydantic_config__ = ConfigDict(extra="forbid")

    problems: tuple[_WordProblem, ...]


def own_problems() -> list[Problem]:
    """Read the problems that come with the package (`data/math_problems.toml`)."""
    problems = []
    for number, stored in enumerate(load("math_problems.toml", _ProblemFile).problems):
        goals = tuple(
            Goal(letter, step.spec, step.about)
            for letter, step in zip(LETTERS, stored.steps, strict=False)
        )
        problems.append(Problem(f"own-{number:02d}", stored.question, goals, _answer(goals)))
    return problems


def gsm8k(folder: Path) -> list[Problem]:
    """The usable problems of `train_2000.jsonl` and `test.jsonl` in a folder; [] without it."""
    problems = []
    for name in ("train_2000", "test"):
        path = folder / f"{name}.jsonl"
        if not path.is_file():
            continue
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                problem = _read(f"gsm8k-{name.partition('_')[0]}-{number}", json.loads(line))
                if problem is not None:
                    problems.append(problem)
    return problems


def combined(first: Problem, second: Problem) -> Problem:
    """A longer problem: both, and the sum of their answers."""
    shift = len(first.goals)
    moved = {goal.key: LETTERS[shift + i] for i, goal in enumerate(second.goals)}
    later = [
        Goal(moved[goal.key], _renamed(goal.spec, moved), _renamed(goal.about, moved))
        for goal in second.goals
    ]
    key = LETTERS[shift + len(later)]
    ends = f"{first.goals[-1].key} + {later[-1].key}"
    goals = (*first.goals, *later, Goal(key, ends, f"The two answers add up to {key}"))
    question = (
        "Solve both problems and add up their answers.\n\n"
        f"First problem: {first.question}\n\nSecond problem: {second.question}"
    )
    parts = (first.id, second.id)
    return Problem("+".join(parts), question, goals, _answer(goals), parts)


def _renamed(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\b[A-Z]\b", lambda match: names.get(match[0], match[0]), text)


def _answer(goals: Sequence[Goal]) -> str:
    values: dict[str, str] = {}
    for goal in goals:
        values[goal.key] = calculate(substituted(goal.spec, values))
    return values[goals[-1].key]


def _read(name: str, record: dict[str, str]) -> Problem | None:
    """A record as a problem; None where its annotations do not give its answer."""
    reasoning, _, stated = record["answer"].partition("####")
    answer = stated.strip().replace(",", "")
    goals = tuple(_goals(record["question"], reasoning))
    if not 2 <= len(goals) <= 10 or not same_number(_answer(goals), answer):
        return None
    return Problem(name, record["question"].strip(), goals, answer)


def _goals(question: str, reasoning: str) -> Iterator[Goal]:
    task_numbers = {calculate(number) for number in _NUMBER.findall(question.replace(",", ""))}
    values: dict[str, str] = {}
    for line in reasoning.splitlines():
        for expression, stated in _ANNOTATION.findall(line):
            spec = _with_letters(_clean(expression), values, task_numbers)
            result = calculate(substituted(spec, values))
            if not same_number(result, stated) or len(values) >= 20:
                return
            key = LETTERS[len(values)]
            values[key] = result
            yield Goal(key, spec, _about(line, key, expression, task_numbers))


def _with_letters(expression: str, values: dict[str, str], task_numbers: set[str]) -> str:
    """The expression with numbers that are earlier results, not in the task, as letters."""

    def letter(match: re.Match[str]) -> str:
        number = calculate(match[0])
        keys = [
            key for key, value in values.items() if value == number and value not in task_numbers
        ]
        return keys[-1] if keys else match[0]

    return _NUMBER.sub(letter, expression)


def _clean(expression: str) -> str:
    plain = expression.replace("$", "").replace(",", "").replace("x", "*").replace("×", "*")
    plain = re.sub(r"(?<!\d)(\d+(?:\.\d+)?)%", r"\1/100", plain)
    return re.sub(r"(?:(?<!\s)\s+)?([+\-*/])\s*", r" \1 ", plain).strip()


def _about(line: str, key: str, expression: str, task_numbers: set[str]) -> str:
    """What a step finds, from the sentence that holds it: `Natalia sold A clips in May`."""
    sentences = re.split(r"(?<=[a-z>)\d])\. ", line)
    sentence = next((s for s in sentences if f"<<{expression}=" in s), line)
    text = (
        _EQUATION.sub(lambda match: match[1] + key, sentence) if sentence.count("<<") == 1 else ""
    )
    text = _ANNOTATION.sub("", text).strip().rstrip(".")
    tells = any(calculate(n) not in task_numbers for n in _NUMBER.findall(text.replace(",", "")))
    return "" if tells or re.search(r"=|--|\||\n", text) or not 8 <= len(text) <= 160 else text
