"""Checks of what a text claims that need no model: its sums, its code, its copied figures.

Each takes text and says what it found; which step the text belongs to, and what a finding is worth,
is decided elsewhere. All are linear in the text, and bounded where a text is built to be slow.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

__all__ = ["CodeFacts", "Sum", "code_blocks", "inspect_code", "misread", "wrong_sums"]

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

_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL
)
_LONGEST_CODE = 20_000
_BLOCKS = 4
_PYTHON = frozenset({"", "py", "python", "python3", "tool_code"})
_BAD_ESCAPE = re.compile(r"\\([^\n'\"\\abfnrtvxuUN0-3])|\\.", re.DOTALL)
_UNFILLED = re.compile(
    r"your[_ -](?:\w+[_ -])?(?:key|token|id|path|file|name|url)|path/to|example\.(?:com|org)"
    r"|placeholder|<[a-z_]+>|replace (?:this|with)",
    re.IGNORECASE,
)


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


def code_blocks(text: str) -> list[tuple[str, str]]:
    """The fenced code blocks of a text as (language, code)."""
    if "```" not in text:
        return []
    return [(match[1].lower(), match[2]) for match in _BLOCK.finditer(text)]


@dataclass(frozen=True)
class CodeFacts:
    """What is visible in code without running it.

    Attributes:
        blocks: number of blocks.
        broken: Python blocks that do not parse.
        literals: values written out in lists, sets and dictionaries: data made up in the code.
        unfilled: whether a placeholder was left in it.
        silent: whether it is Python that prints nothing.
        lines: number of lines.
    """

    blocks: int = 0
    broken: int = 0
    literals: int = 0
    unfilled: bool = False
    silent: bool = False
    lines: int = 0


def inspect_code(text: str) -> CodeFacts:
    """Parse the code blocks of a text. Nothing is run."""
    blocks = code_blocks(text)
    if not blocks:
        return CodeFacts()
    broken = literals = 0
    silent = True
    for language, code in blocks[:_BLOCKS]:
        if "print" in code or "return" in code or language not in _PYTHON:
            silent = False
        if language not in _PYTHON or len(code) > _LONGEST_CODE:
            continue
        tree = _parsed(code)
        if tree is None:
            broken += bool(language)  # a block without a language may be anything
            continue
        literals += sum(_literals(node) for node in ast.walk(tree))
    return CodeFacts(
        blocks=len(blocks),
        broken=broken,
        literals=literals,
        unfilled=any(_UNFILLED.search(code[:_LONGEST_CODE]) for _, code in blocks[:_BLOCKS]),
        silent=silent,
        lines=sum(code.count("\n") for _, code in blocks),
    )


def _parsed(code: str) -> ast.Module | None:
    # Python warns of unknown escapes while it parses; the host program must not see that.
    quiet = _BAD_ESCAPE.sub(lambda m: "/" + m[1] if m[1] else m[0], code)
    try:
        return ast.parse(quiet)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _literals(node: ast.AST) -> int:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return sum(isinstance(item, ast.Constant) for item in node.elts)
    if isinstance(node, ast.Dict):
        return sum(isinstance(item, ast.Constant) for item in node.values)
    return 0


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
