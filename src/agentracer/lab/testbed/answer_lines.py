"""How teams on math and documents state their results: a line for each, and one for the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

__all__ = ["AnswerLines"]


class AnswerLines:
    """The part of a `Domain` that writes and reads such lines.

    Attributes:
        result_line: a result, as (letter, value).
        answer_line: the final answer.
        nothing: what is answered where there is no result.
    """

    result_line: ClassVar[re.Pattern[str]]
    answer_line: ClassVar[re.Pattern[str]]
    nothing: ClassVar[str]

    def result_text(self, key: str, value: str) -> str:
        """`Result: A = 24`."""
        return f"Result: {key} = {value}"

    def results_in(self, text: str) -> Iterator[tuple[str, str]]:
        """All such lines."""
        return ((match[1], match[2]) for match in self.result_line.finditer(text))

    def combine(self, values: Mapping[str, str]) -> str:
        """The last result is the answer."""
        return list(values.values())[-1] if values else self.nothing

    def answer_text(self, answer: str) -> str:
        """`FINAL ANSWER: 72`."""
        return f"FINAL ANSWER: {answer}"

    def answer_in(self, text: str) -> str | None:
        """The last such line."""
        answers = self.answer_line.findall(text)
        return answers[-1] if answers else None
