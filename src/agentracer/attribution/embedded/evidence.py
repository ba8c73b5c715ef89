"""What speaks for a candidate, in words and with a verbatim quote.

It knows the signals of a run and how to quote; which step is suspected is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentracer.attribution.embedded.rules import FEW_FACTS
from agentracer.attribution.embedded.signals import Signals
from agentracer.verdict import Evidence

__all__ = ["answer_source", "evidence"]

_QUOTE = 160  # characters
_LONGEST_ANSWER = 200  # characters; a whole paragraph is never repeated word by word


def evidence(signals: Signals, index: int, source: int | None) -> tuple[Evidence, ...]:
    """What is observable about step `index`; `source` is the result of `answer_source`."""
    found = [*_own(signals, index), *_failed(signals, index)]
    if index == source:
        found.append(_answer(signals, index))
    return tuple(found)


def answer_source(signals: Signals) -> int | None:
    """The first step after the task was given that holds the final answer word by word."""
    whole = _answer_pattern(signals)
    if whole is None:
        return None
    for step, text in zip(signals.run.steps, signals.texts, strict=True):
        tells = step.agent not in signals.users and step.index != signals.briefing
        if tells and whole.search(text):
            return step.index
    return None


def _answer_pattern(signals: Signals) -> re.Pattern[str] | None:
    answer = (signals.run.outcome.answer or "").strip()
    if len(answer) > _LONGEST_ANSWER or not any(map(str.isalnum, answer)):
        return None
    return re.compile(rf"(?<![\w.,=&-]){re.escape(answer)}(?![\w=&-]|[.,]\d)", re.IGNORECASE)


def _own(signals: Signals, index: int) -> Iterator[Evidence]:
    step, text = signals.run.steps[index], signals.texts[index]
    if step.error is not None:
        yield Evidence(step=index, says=f"raised {step.error.type}: {step.error.message[:_QUOTE]}")
    if signals.code[index]:
        act = "calls a tool" if step.tool_calls else "writes code"
        yield Evidence(step=index, says=act, quote=_code_line(text))
    facts = signals.new_facts[index]
    if index != signals.briefing and len(facts) >= FEW_FACTS:
        some = ", ".join(facts[:4]) + (", …" if len(facts) > 4 else "")
        says = f"brings {len(facts)} figures or names that nothing before it held: {some}"
        yield Evidence(step=index, says=says, quote=_line_at(text, text.find(facts[0])))


def _failed(signals: Signals, index: int) -> Iterator[Evidence]:
    if not signals.code[index]:
        return
    after = index if index in signals.failures else index + 1
    if after in signals.failures and signals.run.steps[index].error is None:
        text = signals.texts[after]
        yield Evidence(
            step=after, says="its execution failed", quote=_line_at(text, text.find("Error"))
        )


def _answer(signals: Signals, index: int) -> Evidence:
    answer = (signals.run.outcome.answer or "").strip()
    whole, text = _answer_pattern(signals), signals.texts[index]
    found = whole.search(text) if whole else None
    says = f"the final answer {answer!r} first appears at step {index}"
    return Evidence(step=index, says=says, quote=_line_at(text, found.start() if found else 0))


def _line_at(text: str, position: int) -> str:
    """The line of `text` around a position (its first line, if negative); cut, but verbatim."""
    position = max(position, 0)
    start = text.rfind("\n", 0, position) + 1
    if position - start > _QUOTE // 2:
        start = position
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    return text[start : min(end, start + _QUOTE)].strip()


def _code_line(text: str) -> str:
    """The first line inside the first code block; without one, of the text."""
    fence = text.find("```")
    start = text.find("\n", fence) + 1 if fence >= 0 else 0
    lines = (line.strip() for line in text[start : start + 2_000].split("\n"))
    return next((line for line in lines if line), "")[:_QUOTE]
