"""Take the text of interest out of what a step wrote: out of JSON, and from between code and logs.

Structured output is unwrapped, so that it makes no difference whether a step answers in prose or in
JSON. All is linear in the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["argument_texts", "as_text", "unwrap_json", "without_code_and_logs"]

_LONGEST = 20_000  # characters of a text that are looked at
_DEPTH = 6  # of nested JSON

_JSON_FENCE = re.compile(r"(?s)\A\s*```(?:json)?\s*(.*?)\s*```\s*\Z")
_FENCE = re.compile(r"(?ms)^[ \t]*```[^\n]*\n.*?(?:^[ \t]*```|\Z)")
_LOG = re.compile(
    r"(?m)^[ \t]*(?:Traceback \(most recent call last\):\n(?:[ \t]+[^\n]*\n)*[^\n]*"
    r"|(?:>>>|assert |E  |@@|PASSED|FAILED|diff --git|\+\+\+ |--- \S+/)[^\n]*"
    r"|[+-][ \t]*(?:def|class|return|import|from|if|for|while|self|assert)\b[^\n]*)$"
)


def unwrap_json(text: str) -> str:
    """The text itself; where it is JSON, the strings in it, one a line."""
    text = text[:_LONGEST]
    fenced = _JSON_FENCE.match(text)
    body = fenced[1] if fenced else text.strip()
    if not body.startswith(("{", "[")):
        return text
    try:
        return "\n".join(_strings(json.loads(body), _DEPTH))
    except (ValueError, RecursionError):
        return text


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item, depth - 1)


def without_code_and_logs(text: str) -> str:
    """The text without code blocks, diffs, tracebacks and test reports.

    Figures in those are data and expectations of a program and no claims of the author: `3 - 1 = 3`
    in the comment of a failing test is no mistake of the agent that quotes it.
    """
    if "```" in text:
        text = _FENCE.sub("\n", text)
    return _LOG.sub("", text)


def argument_texts(arguments: object, *, numbers: bool = False) -> Iterator[str]:
    """The texts among the arguments of a tool call.

    Args:
        arguments: a text, or a dict of arguments; anything else holds no texts.
        numbers: whether numbers in a dict count as texts.
    """
    types = str | int | float if numbers else str
    if isinstance(arguments, str):
        yield arguments
    elif isinstance(arguments, dict):
        yield from (str(item) for item in arguments.values() if isinstance(item, types))


def as_text(value: object) -> str:
    """A JSON value as text: strings as they are, None as an empty one, the rest as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
