"""Checks of the figures in a text: sums that do not add up, figures copied wrongly."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

__all__ = ["Sum", "misread", "wrong_sums"]

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_SUM = re.compile(
    rf"(?<![\w.,^/])(\(?-?\$?{_NUMBER}%?\)?(?:[ \t]*(?:[-+*/×÷·]|\bx\b|\\times|\\cdot|\\div)"
    rf"[ \t]*\(?\$?{_NUMBER}\)?){{1,20}})[ \t]*=[ \t]*(-?)\$?({_NUMBER})(?![\w^/%]|[ \t]*[-+*/×÷(])"
)
_HYPHENATED = re.compile(r"\(?\d+(?:-\d+){2,}\)?")
_YEAR = re.compile(r"(?:19|20)\d\d")
_REACH = 160  # characters before an equals sign that can belong to its left side
_SIGNS = 60  # equals signs looked at in one text
_SIGN_WORDS = {"×": "*", "·": "*", "x": "*", "\\times": "*", "\\cdot": "*", "÷": "/", "\\div": "/"}
_PLAIN = re.compile(r"\\times|\\cdot|\\div|[×·x÷]")


@dataclass(frozen=True)
class Sum:
    """A sum in a text, as it stands there, and what it really comes to."""

    text: str
    value: float


def wrong_sums(text: str) -> list[Sum]:
    """Every `a op b = c` in a text that is not so, allowing for rounding."""
    found: list[Sum] = []
    at = text.find("=")
    for _ in range(_SIGNS):
        if at < 0:
            break
        start = max(at - _REACH, 0)
        for match in _SUM.finditer(text, start, min(at + 40, len(text))):
            value = _value(match[1])
            if value is not None and not _agrees(value, match[2] + match[3]):
                found.append(Sum(match[0].strip(), value))
        at = text.find("=", at + 40)
    return list(dict.fromkeys(found))


def _value(expression: str) -> float | None:
    plain = _PLAIN.sub(lambda match: _SIGN_WORDS[match[0]], expression)
    if "%" in plain or re.search(r"\d,\d(?!\d\d)", plain) or _HYPHENATED.fullmatch(plain.strip()):
        return None  # a percentage, a list of digits, a date: it is not clear what is meant
    plain = re.sub(r"\b0+(?=\d)", "", plain.replace(",", "").replace("$", ""))
    try:
        return _arithmetic(ast.parse(plain.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _arithmetic(node: ast.expr) -> float:
    """Evaluate the four operations on numbers, and nothing else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_arithmetic(node.operand)
    if not isinstance(node, ast.BinOp):
        raise ValueError("not a sum")
    left, right = _arithmetic(node.left), _arithmetic(node.right)
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.Div):
        return left / right
    raise ValueError("not a sum")


def _agrees(value: float, stated: str) -> bool:
    shown = stated.replace(",", "")
    decimals = len(shown.partition(".")[2])
    tolerance = max(10.0**-decimals, 0.005 * abs(value)) if decimals or value % 1 else 1e-9
    return abs(value - float(shown)) <= tolerance


def misread(numbers: frozenset[str], source: frozenset[str]) -> tuple[str, str] | None:
    """A figure that is not in the source, and one in the source that it was made of by a slip.

    A slip is digits swapped in a figure of at least three. Years are left out: 2012 and 2021 are
    two years far more often than one and its slip.
    """
    figures = [number for number in sorted(source) if _may_slip(number)]
    spellings = {"".join(sorted(number)): number for number in figures}
    for number in sorted(numbers - source):
        if not _may_slip(number):
            continue
        twin = spellings.get("".join(sorted(number)))
        if twin is not None and twin != number:
            return number, twin
    return None


def _may_slip(number: str) -> bool:
    return len(number) > 2 and _YEAR.fullmatch(number) is None
