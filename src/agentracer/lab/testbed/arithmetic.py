"""A calculator: plain arithmetic on numbers, written out. It evaluates no other Python."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from math import isfinite

__all__ = ["UNDEFINED", "calculate", "same_number", "substituted"]

UNDEFINED = "undefined"
"""What an expression that cannot be worked out gives."""

_MAX_LENGTH = 200
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def calculate(expression: str) -> str:
    """The value of an expression with + - * / and parentheses, with at most four decimals."""
    plain = re.sub(r"\b0+(?=\d)", "", expression.strip())
    if len(plain) > _MAX_LENGTH:
        return UNDEFINED
    try:
        value = _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return UNDEFINED
    if not isfinite(value):
        return UNDEFINED
    return f"{value:.4f}".rstrip("0").rstrip(".").replace("-0", "0", int(abs(value) < 5e-5))


def substituted(spec: str, values: Mapping[str, str]) -> str:
    """A spec with the letters of known results replaced by their values."""

    def value(found: re.Match[str]) -> str:
        known = values.get(found[0], found[0])
        return f"({known})" if known.startswith("-") else known

    return re.sub(r"\b[A-Z]\b", value, spec)


def same_number(one: str, other: str) -> bool:
    """Whether two texts are the same number, up to rounding."""
    try:
        a, b = (float(text.replace(",", "").replace("$", "")) for text in (one, other))
    except ValueError:
        return False
    return abs(a - b) <= 1e-3 * max(1.0, abs(b) / 100)


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError("not plain arithmetic")
