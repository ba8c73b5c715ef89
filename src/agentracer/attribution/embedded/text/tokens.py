"""The words, figures and names of a text.

Only plain words count: identifiers such as `WebSurfer`, `math_expert` or `agent_2` are left out,
whether they name an agent or a variable, so that renaming agents changes nothing. Facts are figures
of two digits or more, and names inside sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Tokens", "letter_runs", "share", "tokens", "without_list_markers"]

_WORD = re.compile(r"\b[^\W\d_][^\W\d_A-Z]+\b")
# What stands before the figure is looked at after its first digit: a pattern that begins with a
# digit is found several times faster.
_NUMBER = re.compile(r"\d(?<![\w.,]\d)[\d,]*(?:\.\d+)?(?!\w)")
_NAME = re.compile(r"(?<=[a-z,;:] )[\"'(*]{0,3}([A-Z][a-z]+)(?!\w)")
_MARKER = re.compile(r"^[ \t]*(?:\d{1,3}[.)]|[-*#>]+)[ \t]*|\b[Ss]tep \d+")  # of one line
_MARKER_STARTS = frozenset("-*#>")
# ASCII text is split by translation, which takes a tenth of the time of an expression.
_WORD_CHARACTERS = {c: chr(c) if chr(c).isalnum() or c == ord("_") else " " for c in range(128)}
_LETTERS = {c: chr(c) if chr(c).isalpha() else " " for c in range(128)}
_ANY_LETTERS = re.compile(r"[^\W\d_]+")


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
    words = frozenset(map(str.lower, _plain_words(text)))
    body = without_list_markers(text)
    numbers = frozenset(number.replace(",", "") for number in _NUMBER.findall(body))
    names = frozenset(map(str.lower, _NAME.findall(body)))
    facts = names.union([number for number in numbers if len(number) > 1])
    return Tokens(words, numbers, facts, words.union(numbers, names))


def letter_runs(text: str) -> set[str]:
    """The distinct runs of letters in a text."""
    if text.isascii():
        return set(text.translate(_LETTERS).split())
    return set(_ANY_LETTERS.findall(text))


def without_list_markers(text: str) -> str:
    """The text without the numbers and bullets that lines of a list begin with."""
    return "\n".join(map(_without_marker, text.split("\n")))


def _plain_words(text: str) -> set[str]:
    if not text.isascii():
        return set(_WORD.findall(text))
    runs = set(text.translate(_WORD_CHARACTERS).split())
    return {run for run in runs if run.isalpha() and run[1:].islower()}


def _without_marker(line: str) -> str:
    first = line.lstrip(" \t")[:1]
    may_have_one = first in _MARKER_STARTS or first.isdecimal() or "tep " in line
    return _MARKER.sub(" ", line) if may_have_one else line


def share(part: frozenset[str], whole: frozenset[str]) -> float:
    """Share of `whole` that is in `part`; 0 if `whole` is empty."""
    return len(part & whole) / len(whole) if whole else 0.0
