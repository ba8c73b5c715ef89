"""What a text defines and what it states: `Step C: A * B`, `C = 42`, `"expression": "6 * 7"`.

Many systems agree on names for the parts of a task and hand values on under them. Structured
outputs are unwrapped first, so that it makes no difference whether a step answers in prose or in
JSON. All is linear in the text, and bounded where a text is built to be slow.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Statement",
    "as_text",
    "evaluate",
    "names_in",
    "number",
    "plain",
    "prose",
    "same_value",
    "statements",
]

_LONGEST = 20_000  # characters of a text that are looked at
_MOST = 60  # statements of one text
_DEPTH = 6  # of nested JSON

_FENCE = re.compile(r"(?ms)^[ \t]*```[^\n]*\n.*?(?:^[ \t]*```|\Z)")
_PRINTED = re.compile(
    r"(?m)^[ \t]*(?:Traceback \(most recent call last\):\n(?:[ \t]+[^\n]*\n)*[^\n]*"
    r"|(?:>>>|assert |E  |@@|PASSED|FAILED|diff --git|\+\+\+ |--- \S+/)[^\n]*"
    r"|[+-][ \t]*(?:def|class|return|import|from|if|for|while|self|assert)\b[^\n]*)$"
)
_JSON_FENCE = re.compile(r"(?s)\A\s*```(?:json)?\s*(.*?)\s*```\s*\Z")
_PART = r"(?:step|part|item|subtask|task|stage|phase|question|result|value)"
_DEFINED = re.compile(
    rf"(?im)^(?:<\w+>)?[ \t>*#-]*(?:[a-z]+[ \t]+){{0,2}}{_PART}[ \t]+((?-i:[A-Z])|\d{{1,2}})\b"
    r"[^\n:=]{0,12}:[ \t]*(\S[^\n]*)"
)
_STATED = re.compile(
    r"(?<![\w.\]'\"])([A-Z]|[A-Za-z_]\w{2,24})[ \t]*=(?!=)[ \t]*"
    r"(\S[^\n=|;]*?)?(?=[ \t]*(?:$|[|;\n]|,[ \t]*[A-Za-z_]\w*[ \t]*=))"
)
_ASIDE = re.compile(r"[ \t]+(?:--|—|–|\||//|#)[ \t]+|[ \t]+given[ \t]|</\w+>")
_PERCENT = re.compile(r"(\d(?:[\d.]*\d)?)[ \t]*%")
_ARITHMETIC = re.compile(r"[-+*/().\d\sA-Za-z_×÷·]{1,120}\Z")
_NAME = re.compile(r"\b(?:[A-Z]|[A-Za-z_]\w{2,24})\b")
_NUMBER = re.compile(r"[-+]?\$?(\d[\d,]*(?:\.\d+)?|\.\d+)[.%]?\Z")
_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that a text says of a name.

    Attributes:
        name: of what.
        text: what it is; empty where a block of code follows.
        defines: whether it says how it is found (`C: A * B`) and not what it is (`C = 42`).
    """

    name: str
    text: str
    defines: bool


def plain(text: str) -> str:
    """The text itself; of a text that is JSON, the texts in it, one a line."""
    text = text[:_LONGEST]
    fenced = _JSON_FENCE.match(text)
    body = fenced[1] if fenced else text.strip()
    if not body.startswith(("{", "[")):
        return text
    try:
        return "\n".join(_strings(json.loads(body), _DEPTH))
    except (ValueError, RecursionError):
        return text


def prose(text: str) -> str:
    """The text without what is no claim of its author: code, diffs, tracebacks, test reports.

    Figures in those are data and expectations of a program; `3 - 1 = 3` in the comment of a failing
    test is no slip of the one who quotes it.
    """
    if "```" in text:
        text = _FENCE.sub("\n", text)
    return _PRINTED.sub("", text)


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item, depth - 1)


def statements(text: str) -> list[Statement]:
    """What a text (see `plain`) defines and states, in order of appearance."""
    found: list[tuple[int, Statement]] = []
    said = prose(text)
    for match in _DEFINED.finditer(said):
        if not _is_value(match[2]):
            meant = _ASIDE.split(match[2], maxsplit=1)[0].strip()
            found.append((match.start(), Statement(match[1], meant, defines=True)))
    if "=" in said:
        for match in _STATED.finditer(said):
            value = (match[2] or "").strip().rstrip(".")
            found.append((match.start(1), Statement(match[1], value, defines=False)))
    found.sort(key=lambda pair: pair[0])
    return [statement for _, statement in found[:_MOST]]


def _is_value(text: str) -> bool:
    """Whether what follows the colon states a value itself (`Result: A = 7`)."""
    return _STATED.match(text) is not None


def number(text: str) -> float | None:
    """The number that a text is; None if it is more or something else."""
    match = _NUMBER.match(text.strip())
    if match is None:
        return None
    value = float(match[1].replace(",", ""))
    return -value if text.strip().startswith("-") else value


def names_in(text: str) -> set[str]:
    """The names that a definition may refer to."""
    return set(_NAME.findall(text))


def evaluate(text: str, values: Mapping[str, float]) -> float | None:
    """What a sum over numbers and known names comes to; None if it is none, or a name is unknown.

    Only the four operations are evaluated: nothing in the text is ever run.
    """
    text = _PERCENT.sub(r"(\1/100)", text.strip().replace("$", ""))
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    if not _ARITHMETIC.match(text):
        return None
    text = text.replace("×", "*").replace("÷", "/").replace("·", "*")
    text = re.sub(r"\b0+(?=\d)", "", text)
    try:
        return _value(ast.parse(text, mode="eval").body, values)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, KeyError, RecursionError):
        return None


def _value(node: ast.expr, values: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, values)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        operation = _OPERATIONS[type(node.op)]
        return float(operation(_value(node.left, values), _value(node.right, values)))
    raise ValueError("not a sum")


def same_value(one: float, other: float) -> bool:
    """Whether two numbers are the same, allowing for rounding to a few digits."""
    return abs(one - other) <= max(0.006, 0.001 * abs(one)) if one % 1 else abs(one - other) < 1e-6


def as_text(value: object) -> str:
    """A value of JSON as text: texts as they are, nothing as an empty one."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
