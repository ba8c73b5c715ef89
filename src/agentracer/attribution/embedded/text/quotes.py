"""Short verbatim quotes of a text, and where in it to take them from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentracer.attribution.embedded.text.signals import Signals

__all__ = [
    "LONGEST_QUOTE",
    "answer_pattern",
    "answer_source",
    "code_line",
    "first_place",
    "line_at",
]

LONGEST_QUOTE = 160  # characters

_LONGEST_ANSWER = 200  # characters; a whole paragraph is never repeated word by word
_LONGEST_CODE = 2_000  # characters in which the first line of code is looked for


def line_at(text: str, position: int) -> str:
    """The line of a text around a position (its first line, if negative); cut, but verbatim."""
    position = max(position, 0)
    start = text.rfind("\n", 0, position) + 1
    if position - start > LONGEST_QUOTE // 2:
        start = position
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return text[start : min(end, start + LONGEST_QUOTE)].strip()


def code_line(text: str) -> str:
    """The first line inside the first code block; without one, of the text."""
    fence = text.find("```")
    start = text.find("\n", fence) + 1 if fence >= 0 else 0
    lines = (line.strip() for line in text[start : start + _LONGEST_CODE].split("\n"))
    return next((line for line in lines if line), "")[:LONGEST_QUOTE]


def first_place(facts: Sequence[str], text: str) -> int:
    """The position of the first fact that occurs in a text, in any case; -1 if none does."""
    lower = text.lower()
    return next((place for fact in facts if (place := lower.find(fact)) >= 0), -1)


def answer_pattern(answer: str | None) -> re.Pattern[str] | None:
    """Matches a final answer word by word; None if it is empty or too long to be repeated."""
    answer = (answer or "").strip()
    if len(answer) > _LONGEST_ANSWER or not any(map(str.isalnum, answer)):
        return None
    return re.compile(rf"(?<![\w.,=&-]){re.escape(answer)}(?![\w=&-]|[.,]\d)", re.IGNORECASE)


def answer_source(signals: Signals) -> int | None:
    """The first step after the task was stated that holds the final answer word by word."""
    pattern = answer_pattern(signals.run.outcome.answer)
    if pattern is None:
        return None
    for step, text in zip(signals.run.steps, signals.texts, strict=True):
        states_task = step.agent in signals.users or step.index == signals.briefing
        if not states_task and pattern.search(text):
            return step.index
    return None
