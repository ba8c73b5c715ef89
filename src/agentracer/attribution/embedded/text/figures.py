"""Checks of the figures in a text: calculations that are wrong, figures that were copied wrongly.

Linear in the text; the number of calculations that are looked at is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentracer.arithmetic import Grammar, evaluate

__all__ = ["Calculation", "miscopied_figure", "wrong_calculations"]

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_CALCULATION = re.compile(
    rf"(?<![\w.,^/])(\(?-?\$?{_NUMBER}%?\)?(?:[ \t]*(?:[-+*/×÷·]|\bx\b|\\times|\\cdot|\\div)"
    rf"[ \t]*\(?\$?{_NUMBER}\)?){{1,20}})[ \t]*=[ \t]*(-?)\$?({_NUMBER})(?![\w^/%]|[ \t]*[-+*/×÷(])"
)
_GRAMMAR = Grammar(
    operators={"\\times": "*", "\\cdot": "*", "\\div": "/", "×": "*", "·": "*", "x": "*", "÷": "/"},
    currency=True,
    thousands=re.compile(","),
)
_HYPHENATED = re.compile(r"\(?\d+(?:-\d+){2,}\)?")  # a date or another number with hyphens
_LIST = re.compile(r"\d,\d(?!\d\d)")  # a list of digits
_YEAR = re.compile(r"(?:19|20)\d\d")
_LEFT_SIDE = 160  # characters before an equals sign in which its left side is looked for
_RIGHT_SIDE = 40  # and behind it
_EQUALS_SIGNS = 60  # looked at in one text
_RELATIVE_TOLERANCE = 0.005


@dataclass(frozen=True)
class Calculation:
    """A calculation as a text states it, and the value of its left side."""

    text: str
    value: float


def wrong_calculations(text: str) -> list[Calculation]:
    """Every `a op b = c` in a text whose sides differ by more than rounding."""
    wrong: list[Calculation] = []
    at = text.find("=")
    for _ in range(_EQUALS_SIGNS):
        if at < 0:
            break
        start, end = max(at - _LEFT_SIDE, 0), min(at + _RIGHT_SIDE, len(text))
        for match in _CALCULATION.finditer(text, start, end):
            value = _value(match[1])
            if value is not None and not _agrees(value, match[2] + match[3]):
                wrong.append(Calculation(match[0].strip(), value))
        at = text.find("=", at + _RIGHT_SIDE)
    return list(dict.fromkeys(wrong))


def _value(expression: str) -> float | None:
    """The value of an expression; None where its meaning is unclear: percentages, lists, dates."""
    unclear = "%" in expression or _LIST.search(expression)
    if unclear or _HYPHENATED.fullmatch(expression.strip()):
        return None
    return evaluate(expression, _GRAMMAR)


def _agrees(value: float, stated: str) -> bool:
    digits = stated.replace(",", "")
    decimals = len(digits.partition(".")[2])
    rounded = decimals or value % 1
    tolerance = max(10.0**-decimals, _RELATIVE_TOLERANCE * abs(value)) if rounded else 1e-9
    return abs(value - float(digits)) <= tolerance


def miscopied_figure(figures: frozenset[str], source: frozenset[str]) -> tuple[str, str] | None:
    """Find a figure that was copied from a source with its digits in another order.

    Figures of fewer than three digits and years are left out: 2012 and 2021 are two years far more
    often than one that was copied wrongly.

    Returns:
        The wrong figure and that of the source; None if there is none.
    """
    by_digits = {
        "".join(sorted(figure)): figure for figure in sorted(source) if _is_comparable(figure)
    }
    for figure in sorted(figures - source):
        if not _is_comparable(figure):
            continue
        original = by_digits.get("".join(sorted(figure)))
        if original is not None and original != figure:
            return figure, original
    return None


def _is_comparable(figure: str) -> bool:
    return len(figure) > 2 and _YEAR.fullmatch(figure) is None
