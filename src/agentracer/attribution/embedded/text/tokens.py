"""The words, figures and names of a text.

Only plain words count: identifiers such as `WebSurfer`, `math_expert` or `agent_2` are left out,
whether they name an agent or a variable, so that renaming agents changes nothing. Facts are figures
of two digits or more, and names inside sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Tokens", "share", "tokens", "without_list_markers"]

_WORD = re.compile(r"\b[^\W\d_][^\W\d_A-Z]+\b")
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?!\w)")
_NAME = re.compile(r"(?<=[a-z,;:] )[\"'(*]{0,3}([A-Z][a-z]+)(?!\w)")
_MARKER = re.compile(r"(?m)^[ \t]*(?:\d{1,3}[.)]|[-*#>]+)[ \t]*|\b[Ss]tep \d+")


@dataclass(slots=True)
class Tokens:
    """The distinct words, figures and names of a text; words and names in lower case.

    Attributes:
        words: plain words.
        numbers: figures, without commas.
        facts: figures of two digits or more, and names.
        all: all of these.
    """

    words: frozenset[str]
    numbers: frozenset[str]
    facts: frozenset[str]
    all: frozenset[str]


def tokens(text: str) -> Tokens:
    """Split a text. Linear in its length."""
    words = frozenset(map(str.lower, _WORD.findall(text)))
    body = without_list_markers(text)
    numbers = frozenset(number.replace(",", "") for number in _NUMBER.findall(body))
    names = frozenset(map(str.lower, _NAME.findall(body)))
    facts = names.union([number for number in numbers if len(number) > 1])
    return Tokens(words, numbers, facts, words.union(numbers, names))


def without_list_markers(text: str) -> str:
    """The text without the numbers and bullets that lines of a list begin with."""
    return _MARKER.sub(" ", text)


def share(part: frozenset[str], whole: frozenset[str]) -> float:
    """Share of `whole` that is in `part`; 0 if `whole` is empty."""
    return len(part & whole) / len(whole) if whole else 0.0
