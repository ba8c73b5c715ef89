"""Numbers in a text: narrowly, those that it states as figures, and broadly, all that it may mean.

A step is accused of a figure only where `figures` sees it, and only where nothing that it read
holds it in the broad sense of `values`: `5180`, `5180.0`, `5,180`, `twelve`, `1.2 million`, `15 %`
and `0.15`, `January` and `01` are each one value. Linear in the text.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Figure", "figures", "is_derived", "rounded", "values"]

# They start with a digit and not with a look behind, with which Python takes three times as long to
# find where to try; `figures` checks what is before a number and behind it.
_ANY = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_BEHIND = re.compile(r"[ ]?%|(?![\w/@#^=\\]|[.,:-]\d|-\w)")
_AFTER_MARKER = frozenset({". ", ") ", "."})
_NOT_BEFORE = frozenset(".,:/#@&=?%\\-_")
_SIGNED_ID = re.compile(
    r"(?:#|\bno\.|\bnumber|\bid|\bcode|\bversion|\bstep|\bpage|\bline|\bitem)[ \t]*\Z",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_MAGNITUDE = re.compile(
    r"(?<!\d)(?<!\d,)(?:(\d[\d,]*(?:\.\d+)?)[ -]?(k|thousand|m|mm|million|mio|bn|b|billion|"
    r"trillion|dozen|hundred|percent|%)\b|"
    r"(\d[\d,]*(?:\.\d+)?)[ ]?%)",
    re.IGNORECASE,
)
_SCALED = re.compile(r"%|\d[ -]?[kKmMbB]|[a-z]illion|undred|ousand|ercent|ozen|mio|bn")
_MAGNITUDES = {
    "k": 1e3, "thousand": 1e3, "m": 1e6, "mm": 1e6, "million": 1e6, "mio": 1e6, "b": 1e9,
    "bn": 1e9, "billion": 1e9, "trillion": 1e12, "dozen": 12.0, "hundred": 100.0, "percent": 0.01,
}  # fmt: skip
_NUMBER_WORDS = """zero|one first once single|two second twice double both couple|three third
thrice triple|four fourth|five fifth|six sixth|seven seventh|eight eighth|nine ninth|ten tenth|
eleven eleventh|twelve twelfth|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"""
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_MONTH_NAMES = """jan january|feb february|mar march|apr april|may|jun june|jul july|aug august|
sep sept september|oct october|nov november|dec december"""
_UNITS = {
    name: float(value)
    for value, names in enumerate(_NUMBER_WORDS.split("|"))
    for name in names.split()
}
_TENS = {name: 10.0 * value for value, name in enumerate(_TENS_WORDS.split(), start=2)}
_OTHERS = {
    "half": 0.5, "quarter": 0.25, "dozen": 12.0, "hundred": 100.0, "thousand": 1000.0,
    "million": 1e6, "week": 7.0, "weekly": 7.0, "year": 12.0, "yearly": 12.0, "day": 24.0,
    "hour": 60.0, "minute": 60.0, "pair": 2.0, "decade": 10.0, "century": 100.0,
}  # fmt: skip
_MONTHS = {
    name: float(number)
    for number, names in enumerate(_MONTH_NAMES.split("|"), start=1)
    for name in names.split()
}
_PLURALS = {f"{name}s": value for name, value in _OTHERS.items()}
_SPELLED_VALUES = {**_MONTHS, **_PLURALS, **_OTHERS, **_TENS, **_UNITS}
_SPELLED = frozenset(_SPELLED_VALUES)
_COMPOUND = re.compile(
    rf"\b({'|'.join(_TENS)})[ -]({'|'.join(n for n, v in _UNITS.items() if 0 < v < 10)})\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z]{3,}")
_MOST_TERMS = 60  # values of which sums and products are looked at
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that a text states.

    Attributes:
        value: its value, of a percentage the number before the sign.
        text: as it is written, without currency and percent sign.
        start: where it begins.
    """

    value: float
    text: str
    start: int

    @property
    def digits(self) -> str:
        """Its digits in ascending order: the same for figures that differ in their order alone."""
        return "".join(sorted(self.text.replace(",", "")))


def figures(text: str) -> Iterator[Figure]:
    """The numbers of a text that stand for a quantity, in order.

    Left out: numbers inside identifiers, links, dates, times, fractions and versions, the markers
    of list items, and numbers of steps, pages and the like.
    """
    for match in _ANY.finditer(text):
        start = match.start()
        before = text[start - 1] if start else " "
        if before in _NOT_BEFORE or before.isalnum() or not _BEHIND.match(text, match.end()):
            continue
        line = text.rfind("\n", 0, start) + 1
        behind = text[match.end() : match.end() + 2]
        if behind in _AFTER_MARKER and not text[line:start].strip(" \t*#(-"):
            continue
        if _SIGNED_ID.search(text, max(start - 12, 0), start):
            continue
        yield Figure(float(match[0].replace(",", "")), match[0], start)


def rounded(value: float) -> float:
    """One key for equal values, whatever their spelling: nine significant digits."""
    return float(f"{value:.9g}") if math.isfinite(value) else value


def values(text: str) -> set[float]:
    """All values that a text may mean, each as `rounded` gives it.

    Numbers in any place and spelling, the parts of dates, links and identifiers, number words,
    months, percentages as fractions, thousands and millions.
    """
    result: set[float] = set()
    for number in set(_ANY.findall(text)):
        result.add(rounded(float(number.replace(",", ""))))
    result.update(float(number) for number in set(_DIGITS.findall(text)) if len(number) <= 15)
    for match in _MAGNITUDE.finditer(text) if _SCALED.search(text) else ():
        number = float((match[1] or match[3]).replace(",", ""))
        factor = _MAGNITUDES.get((match[2] or "percent").lower(), 0.01)
        result.add(rounded(number * factor))
    result |= _spelled(text)
    return result


def _spelled(text: str) -> set[float]:
    words = _SPELLED.intersection(map(str.lower, _WORD.findall(text)))
    result = {_SPELLED_VALUES[word] for word in words}
    if not words.isdisjoint(_TENS):
        for match in _COMPOUND.finditer(text):
            result.add(_TENS[match[1].lower()] + _UNITS[match[2].lower()])
    return result


def is_derived(value: float, known: set[float]) -> bool:
    """Whether a value is a sum, difference, product, quotient or percentage of two known ones."""
    terms = sorted(known, key=abs)[:_MOST_TERMS]
    if any(
        _close(value, term * factor) for term in terms for factor in (0.01, 100.0, 0.001, 1000.0)
    ):
        return True
    ordered = sorted(terms)
    widest = max(_TOLERANCE, 0.0006 * abs(value))  # what `_close` may accept at most
    for first in terms:
        for partner, combined in _combinations(value, first):
            place = bisect_left(ordered, partner)
            # Each combination is monotonic in its second term, so only the next ones can fit.
            for second in ordered[max(0, place - 1) : place + 1]:
                result = combined(first, second)
                if abs(value - result) <= widest and _close(value, result):
                    return True
    return False


def _combinations(
    value: float, first: float
) -> Iterator[tuple[float, Callable[[float, float], float]]]:
    """For each way to combine two terms: the second one that would give exactly this value."""
    yield value - first, _sum
    yield first - value, _difference
    if first:
        share = value / first
        yield share, _product
        yield 100 * share, _percentage
        yield 100 * (share - 1), _increase
        yield 100 * (1 - share), _decrease
    if value:
        yield first / value, _quotient
        yield 100 * first / value, _share


def _sum(first: float, second: float) -> float:
    return first + second


def _difference(first: float, second: float) -> float:
    return first - second


def _product(first: float, second: float) -> float:
    return first * second


def _percentage(first: float, second: float) -> float:
    return first * second / 100


def _increase(first: float, second: float) -> float:
    return first * (1 + second / 100)


def _decrease(first: float, second: float) -> float:
    return first * (1 - second / 100)


def _quotient(first: float, second: float) -> float:
    return first / second if second else math.nan


def _share(first: float, second: float) -> float:
    return 100 * first / second if second else math.nan


def _close(first: float, second: float) -> bool:
    return abs(first - second) <= max(_TOLERANCE, 0.0005 * abs(second) if first % 1 else _TOLERANCE)
