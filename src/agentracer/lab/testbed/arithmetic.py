"""A calculator: plain arithmetic on numbers, written out. It evaluates no other Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite

from agentracer.arithmetic import Grammar, evaluate, without_leading_zeros

__all__ = ["UNDEFINED", "calculate", "same_number", "substituted"]

UNDEFINED = "undefined"
"""What an expression that cannot be worked out gives."""

_MAX_LENGTH = 200
_GRAMMAR = Grammar()  # numbers, parentheses and + - * / alone


def calculate(expression: str) -> str:
    """The value of an expression with + - * / and parentheses, with at most four decimals."""
    plain = without_leading_zeros(expression.strip())
    value = evaluate(plain, _GRAMMAR) if len(plain) <= _MAX_LENGTH else None
    if value is None or not isfinite(value):
        return UNDEFINED
    return f"{value:.4f}".rstrip("0").rstrip(".").replace("-0", "0", int(abs(value) < 5e-5))


def substituted(spec: str, values: Mapping[str, str]) -> str:
    """A spec with the letters of known results replaced by their values."""

    def value(match: re.Match[str]) -> str:
        text = values.get(match[0], match[0])
        return f"({text})" if text.startswith("-") else text

    return re.sub(r"\b[A-Z]\b", value, spec)


def same_number(one: str, other: str) -> bool:
    """Whether two texts are the same number, up to rounding."""
    try:
        a, b = (float(text.replace(",", "").replace("$", "")) for text in (one, other))
    except ValueError:
        return False
    return abs(a - b) <= 1e-3 * max(1.0, abs(b) / 100)
