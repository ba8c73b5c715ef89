"""Evaluate plain arithmetic that is written in a text. Nothing in the text is ever run.

Every caller states its `Grammar`: which spellings it accepts beside numbers, parentheses and the
operators `+ - * /`. Powers, remainders, calls and every other Python expression are refused.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Grammar", "evaluate", "without_leading_zeros"]

_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LEADING_ZEROS = re.compile(r"(?<![\w.])0+(?=\d)")
_PERCENTAGE = re.compile(r"(?<![\d.])(\.*)(\d(?:[\d.]*\d)?)[ \t]*%")


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """What an expression may hold beside numbers, parentheses and `+ - * /`.

    Attributes:
        operators: other spellings of an operator -> the operator.
        currency: whether a `$` is skipped.
        percentages: whether `5%` means `(5/100)`.
        thousands: what separates groups of digits and is skipped; None if nothing does.
        alphabet: what the whole expression must match, once `$`, `%` and separators are resolved.
    """

    operators: Mapping[str, str] = field(default_factory=dict)
    currency: bool = False
    percentages: bool = False
    thousands: re.Pattern[str] | None = None
    alphabet: re.Pattern[str] | None = None

    def normalized(self, text: str) -> str | None:
        """The expression in Python's spelling; None if it is not of this grammar."""
        text = text.strip()
        if self.currency:
            text = text.replace("$", "")
        if self.percentages:
            text = _PERCENTAGE.sub(r"\1(\2/100)", text)
        if self.thousands is not None:
            text = self.thousands.sub("", text)
        if self.alphabet is not None and not self.alphabet.fullmatch(text):
            return None
        for spelling, sign in self.operators.items():
            text = text.replace(spelling, sign)
        return without_leading_zeros(text)


def without_leading_zeros(text: str) -> str:
    """The text with `007` written as `7`, as Python asks for; `0.05` stays as it is."""
    return _LEADING_ZEROS.sub("", text)


def evaluate(
    text: str, grammar: Grammar, variables: Mapping[str, float] | None = None
) -> float | None:
    """Evaluate an expression.

    Args:
        text: the expression.
        grammar: what it may hold.
        variables: the values of the names that may occur in it.

    Returns:
        The value, which may be infinite; None if the text is no expression of the grammar, names
        an unknown variable, or divides by zero.
    """
    expression = grammar.normalized(text)
    if expression is None:
        return None
    try:
        return _value(ast.parse(expression, mode="eval").body, variables or {})
    except (
        SyntaxError,
        ValueError,
        ZeroDivisionError,
        OverflowError,
        KeyError,
        RecursionError,
        MemoryError,
    ):
        return None


def _value(node: ast.expr, variables: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return variables[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, variables)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        operation = _OPERATIONS[type(node.op)]
        return float(operation(_value(node.left, variables), _value(node.right, variables)))
    raise ValueError("no arithmetic")
