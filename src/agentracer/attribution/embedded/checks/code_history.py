"""Follows functions through a run: which version was tested, which handed on, which left out.

Code is parsed, never run. Two versions are the same if they differ in layout and comments only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentracer.attribution.embedded.checks.findings import Notes, add_note
from agentracer.attribution.embedded.text.assignments import as_text
from agentracer.attribution.embedded.text.code import code_blocks
from agentracer.trace import Observed, Step

__all__ = ["follow_versions"]

_LONGEST = 20_000
_FUNCTIONS = 100  # names that are followed
_CALLED_FOR = re.compile(r"[`\s]([a-zA-Z_]\w*)\([^()\n]*\)`|\bdef ([a-zA-Z_]\w*)\(")
_BAD = re.compile(r"\b(?:fail|failed|error|exception|traceback|raises)\b", re.IGNORECASE)
_GOOD = re.compile(r"\b(?:pass|passed|ok|success|succeeded)\b", re.IGNORECASE)


@dataclass(slots=True)
class _Version:
    body: str
    step: int
    tried: bool = False
    failed: bool = False


def follow_versions(run: Observed, texts: Sequence[str]) -> list[Notes]:
    """Note for every step how its code relates to the versions before it.

    Args:
        run: the run.
        texts: what each step wrote, unwrapped (see `statements.plain`).
    """
    return _Follower(run, texts).notes


class _Follower:
    def __init__(self, run: Observed, texts: Sequence[str]) -> None:
        self.notes: list[Notes] = [{} for _ in run.steps]
        self.latest: dict[str, _Version] = {}
        self.tries = False
        last: tuple[int, set[str]] | None = None
        for step, text in zip(run.steps, texts, strict=True):
            handed = self._handed(text) if "def " in text else {}
            if handed:
                self._hand(step.index, handed)
                last = step.index, set(handed)
            self._try(step)
        if last is not None:
            self._left_out(run, *last)

    def _note(self, index: int, name: str, weight: float = 1.0, detail: str = "") -> None:
        add_note(self.notes[index], name, weight, detail)

    def _handed(self, text: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for _, code in code_blocks(text)[:8]:
            found.update(_functions(code))
        return found

    def _hand(self, index: int, handed: dict[str, str]) -> None:
        for name, body in handed.items():
            known = self.latest.get(name)
            if known is None:
                if len(self.latest) < _FUNCTIONS:
                    self.latest[name] = _Version(body, index)
                self._note(index, "code never tried" if self.tries else "first code of it", 1, name)
                continue
            if known.body == body:
                self._note(index, "same code", 1, name)
                if known.failed:
                    self._note(index, "hands in what failed", 1, name)
                continue
            if known.tried and not known.failed:
                self._note(index, "other code than tried", 1, name)
            elif not known.tried:
                self._note(index, "other code than before", 1, name)
            self.latest[name] = _Version(body, index)

    def _try(self, step: Step) -> None:
        for call in step.tool_calls:
            for text in _sources(call.arguments):
                for name, body in _functions(text).items():
                    self.tries = True
                    result = as_text(call.result)
                    failed = call.error is not None or bool(_BAD.search(result))
                    known = self.latest.get(name)
                    if (
                        known is not None
                        and known.tried
                        and not known.failed
                        and known.body != body
                    ):
                        self._note(step.index, "rewrites what worked", 1, name)
                    self._note(step.index, "tries code", 1, name)
                    self._note(step.index, "code fails", failed, name)
                    self._note(
                        step.index, "code works", not failed and bool(_GOOD.search(result)), name
                    )
                    if name in self.latest or len(self.latest) < _FUNCTIONS:
                        self.latest[name] = _Version(body, step.index, tried=True, failed=failed)

    def _left_out(self, run: Observed, index: int, held: set[str]) -> None:
        wanted = {one or other for one, other in _CALLED_FOR.findall(run.task[:_LONGEST])}
        missing = sorted((wanted | set(self.latest)) & wanted - held) if wanted else []
        made = [name for name in missing if name in self.latest]
        if made and len(held) > 0:
            self._note(
                index, "leaves out made code", len(made) / max(len(wanted), 1), ", ".join(made)
            )
        rest = [name for name in missing if name not in self.latest]
        if rest:
            self._note(index, "ends without code", len(rest) / max(len(wanted), 1), ", ".join(rest))
        if wanted and not missing:
            self._note(index, "has all code")


def _functions(code: str) -> dict[str, str]:
    if "def " not in code or len(code) > _LONGEST:
        return {}
    try:
        tree = ast.parse(code.replace("\\", "/") if "\\" in code else code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {node.name: ast.dump(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def _sources(arguments: object) -> Iterator[str]:
    values = arguments.values() if isinstance(arguments, dict) else [arguments]
    for value in values:
        if isinstance(value, str) and "def " in value:
            yield value
