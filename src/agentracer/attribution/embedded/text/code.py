"""What is visible in code without running it.

Code is parsed, never run. Linear in it; blocks and characters that are looked at are bounded.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

__all__ = ["CodeFacts", "code_blocks", "function_bodies", "inspect_code"]

_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL
)
_LONGEST_CODE = 20_000
_MOST_BLOCKS = 4
_PYTHON = frozenset({"", "py", "python", "python3", "tool_code"})
_BAD_ESCAPE = re.compile(r"\\([^\n'\"\\abfnrtvxuUN0-3])|\\.", re.DOTALL)
_PLACEHOLDER = re.compile(
    r"your[_ -](?:\w+[_ -])?(?:key|token|id|path|file|name|url)|path/to|example\.(?:com|org)"
    r"|placeholder|<[a-z_]+>|replace (?:this|with)",
    re.IGNORECASE,
)


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
        literals: number of constants in lists, sets and dictionaries.
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
    """Look at the code blocks of a text."""
    blocks = code_blocks(text)
    if not blocks:
        return CodeFacts()
    broken = literals = 0
    silent = True
    for language, code in blocks[:_MOST_BLOCKS]:
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
        unfilled=any(
            _PLACEHOLDER.search(code[:_LONGEST_CODE]) for _, code in blocks[:_MOST_BLOCKS]
        ),
        silent=silent,
        lines=sum(code.count("\n") for _, code in blocks),
    )


def _parsed(code: str) -> ast.Module | None:
    # Python warns of unknown escapes while it parses; the host program must not see that.
    escaped = _BAD_ESCAPE.sub(lambda m: "/" + m[1] if m[1] else m[0], code)
    try:
        return ast.parse(escaped)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _literals(node: ast.AST) -> int:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return sum(isinstance(item, ast.Constant) for item in node.elts)
    if isinstance(node, ast.Dict):
        return sum(isinstance(item, ast.Constant) for item in node.values)
    return 0


def function_bodies(code: str) -> dict[str, str]:
    """The functions that Python code defines at its top level -> their syntax trees as text.

    Two functions with the same tree differ in layout and comments only. Empty where the code does
    not parse.
    """
    if "def " not in code or len(code) > _LONGEST_CODE:
        return {}
    try:
        tree = ast.parse(code.replace("\\", "/") if "\\" in code else code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {node.name: ast.dump(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
