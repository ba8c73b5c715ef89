"""Recognise secrets by their own shape: keys, tokens and webhooks of known providers.

The rules are data: `token_rules.json` holds our own, `gitleaks_rules.json` those of gitleaks (MIT)
that start from a fixed prefix and take linear time. A rule is tried only where one of its keywords
stands in or shortly before a run of at least 15 token characters: prose costs next to nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

__all__ = ["TokenRule", "matching_rules", "token_rules"]

_RUN_LENGTH: Final = 15
_CONTEXT: Final = 32
_AFTER: Final = 24
_FEW: Final = 2_000
_RUN: Final = b"x" * _RUN_LENGTH
_TOKEN_CHARS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_CLASSES: Final = bytes(ord("x") if code in _TOKEN_CHARS else ord(" ") for code in range(256))


@dataclass(frozen=True, slots=True)
class TokenRule:
    """One shape of secret.

    Attributes:
        kind: what the replacement calls it, such as `github-pat`.
        keywords: lower-case text of which one stands in every such secret or just before it, three
            characters at least; none where there is no such text.
        pattern: matches it; the group `secret` is what is replaced.
        source: `agentracer` or `gitleaks`.
    """

    kind: str
    keywords: tuple[bytes, ...]
    pattern: re.Pattern[str]
    source: str


@cache
def token_rules() -> tuple[TokenRule, ...]:
    """All rules, our own first."""
    folder = resources.files("agentracer.redaction")
    rules: list[TokenRule] = []
    for name in ("token_rules.json", "gitleaks_rules.json"):
        data = json.loads(folder.joinpath(name).read_text(encoding="utf-8"))
        rules += [_rule(entry, data["source"]) for entry in data["rules"]]
    return tuple(rules)


def _rule(entry: dict[str, Any], source: str) -> TokenRule:
    pattern = entry["pattern"]
    if "(?P<secret>" not in pattern:
        flags, body = ("(?i)", pattern[4:]) if pattern.startswith("(?i)") else ("", pattern)
        pattern = f"{flags}(?P<secret>{body})"
    keywords = tuple(word.encode() for word in entry["keywords"])
    return TokenRule(entry["kind"], keywords, re.compile(pattern), source)


@cache
def _by_trigram() -> dict[bytes, tuple[tuple[bytes, int], ...]]:
    """Keywords and the numbers of their rules, by the first three characters of the keyword."""
    index: dict[bytes, list[tuple[bytes, int]]] = {}
    for number, rule in enumerate(token_rules()):
        for keyword in rule.keywords:
            index.setdefault(keyword[:3], []).append((keyword, number))
    return {trigram: tuple(entries) for trigram, entries in index.items()}


@cache
def _unconditional() -> frozenset[int]:
    return frozenset(n for n, rule in enumerate(token_rules()) if not rule.keywords)


def matching_rules(value: str, lowered: bytes) -> list[TokenRule]:
    """The rules that match somewhere in a text, in their order.

    Args:
        value: the text.
        lowered: the same in lower case, one byte per character.
    """
    windows = list(_around_runs(lowered))
    if not windows:
        return []
    runs = b"\n".join(lowered[start:end] for start, end in windows)
    index = _by_trigram()
    if len(runs) < _FEW:
        seen = index.keys() & {runs[i : i + 3] for i in range(len(runs) - 2)}
    else:
        seen = {trigram for trigram in index if trigram in runs}
    rule_numbers = {number for t in seen for keyword, number in index[t] if keyword in runs}
    text = "\n".join([value[start:end] for start, end in windows])
    rules = token_rules()
    numbers = sorted(rule_numbers | _unconditional())
    return [rules[n] for n in numbers if rules[n].pattern.search(text)]


def _around_runs(lowered: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each run of token characters with its surroundings; overlaps are joined."""
    classes = lowered.translate(_CLASSES)
    position = classes.find(_RUN)
    start = end = -1
    while position >= 0:
        stop = classes.find(b" ", position + _RUN_LENGTH)
        stop = len(classes) if stop < 0 else stop
        if end >= 0 and position - _CONTEXT <= end:
            end = stop + _AFTER
        else:
            if end >= 0:
                yield start, end
            start, end = max(0, position - _CONTEXT), stop + _AFTER
        position = classes.find(_RUN, stop)
    if end >= 0:
        yield start, end
