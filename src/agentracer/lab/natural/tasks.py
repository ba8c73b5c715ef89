"""The natural tasks: 60 word problems, 40 code tasks, 40 questions on documents, 20 plans.

    task = load_tasks()["word-bakery-rolls"]
    task.is_right("There are 66 rolls left.")

What a check needs stays in the package; a team gets `NaturalTask.text` only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from agentracer.lab.natural import data
from agentracer.lab.natural.checks import (
    MAX_QUOTED_WORDS,
    code_passes,
    number_is,
    text_is,
    time_is,
)
from agentracer.lab.natural.plans import PlanTask, plan_is_valid
from agentracer.lab.testbed.data import load

__all__ = [
    "KINDS",
    "CodeTask",
    "Kind",
    "NaturalDocument",
    "NaturalTask",
    "Question",
    "WordProblem",
    "load_code_tasks",
    "load_documents",
    "load_plans",
    "load_questions",
    "load_tasks",
    "load_word_problems",
]

Kind = Literal["word", "code", "document", "plan"]
KINDS: tuple[Kind, ...] = ("word", "code", "document", "plan")
Difficulty = Literal["easy", "medium", "hard"]
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class NaturalTask:
    """One task.

    Attributes:
        id: its name, such as `word-bakery-rolls`.
        kind: `word`, `code`, `document` or `plan`.
        difficulty: a guess of its author, `easy`, `medium` or `hard`; not measured.
        text: what the team is asked.
        is_right: decides on the text that the team ends with.
    """

    id: str
    kind: Kind
    difficulty: Difficulty
    text: str
    is_right: Callable[[str], bool]


@dataclass(frozen=True)
class WordProblem:
    """A word problem; `working` is the calculation as a Python expression."""

    __pydantic_config__ = _STRICT

    id: str
    difficulty: Difficulty
    text: str
    working: str
    answer: float


@dataclass(frozen=True)
class CodeTask:
    """A function to write; `tests` are hidden pairs of a call and its value."""

    __pydantic_config__ = _STRICT

    id: str
    difficulty: Difficulty
    function: str
    text: str
    solution: str
    tests: list[tuple[str, str]]


@dataclass(frozen=True)
class NaturalDocument:
    """A short everyday document."""

    __pydantic_config__ = _STRICT

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Question:
    """A question on a document; `evidence` are the passages that the answer follows from."""

    __pydantic_config__ = _STRICT

    id: str
    difficulty: Difficulty
    document: str
    text: str
    answer_type: Literal["number", "text", "time"]
    answers: list[str]
    evidence: list[str]


@dataclass(frozen=True)
class _WordProblems:
    problems: list[WordProblem]


@dataclass(frozen=True)
class _CodeTasks:
    tasks: list[CodeTask]


@dataclass(frozen=True)
class _Documents:
    documents: list[NaturalDocument]
    questions: list[Question]


@dataclass(frozen=True)
class _Plans:
    tasks: list[PlanTask]


def load_word_problems() -> list[WordProblem]:
    """Read `data/word_problems.toml`."""
    return load("word_problems.toml", _WordProblems, data.__name__).problems


def load_code_tasks() -> list[CodeTask]:
    """Read `data/code_tasks.toml`."""
    return load("code_tasks.toml", _CodeTasks, data.__name__).tasks


def load_documents() -> list[NaturalDocument]:
    """Read the documents of `data/documents.toml`."""
    return load("documents.toml", _Documents, data.__name__).documents


def load_questions() -> list[Question]:
    """Read the questions of `data/documents.toml`."""
    return load("documents.toml", _Documents, data.__name__).questions


def load_plans() -> list[PlanTask]:
    """Read `data/planning_tasks.toml`."""
    return load("planning_tasks.toml", _Plans, data.__name__).tasks


@cache
def load_tasks() -> dict[str, NaturalTask]:
    """Return all tasks by id, in the order of the files.

    Raises:
        FormatError: a data file does not fit; the message has the place.
    """
    tasks = [_word_task(problem) for problem in load_word_problems()]
    tasks += [_code_task(task) for task in load_code_tasks()]
    tasks += [_document_task(question) for question in load_questions()]
    tasks += [_plan_task(task) for task in load_plans()]
    return {task.id: task for task in tasks}


def _word_task(problem: WordProblem) -> NaturalTask:
    check = partial(number_is, expected=problem.answer)
    return NaturalTask(problem.id, "word", problem.difficulty, problem.text, check)


def _code_task(task: CodeTask) -> NaturalTask:
    check = partial(code_passes, function=task.function, tests=task.tests)
    return NaturalTask(task.id, "code", task.difficulty, task.text, check)


def _plan_task(task: PlanTask) -> NaturalTask:
    return NaturalTask(
        task.id, "plan", task.difficulty, task.text, partial(plan_is_valid, task=task)
    )


def _document_task(question: Question) -> NaturalTask:
    check: Callable[[str], bool] = partial(text_is, answers=question.answers)
    if question.answer_type == "number":
        expected = float(question.answers[0])
        check = partial(number_is, expected=expected, max_words=MAX_QUOTED_WORDS)
    elif question.answer_type == "time":
        check = partial(time_is, expected=question.answers[0])
    return NaturalTask(question.id, "document", question.difficulty, question.text, check)
