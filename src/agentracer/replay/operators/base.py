"""What an operator is, and where operators are registered."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Protocol

from agentracer.errors import MissingExtra
from agentracer.replay.override import Override
from agentracer.trace import Trace

__all__ = ["Corruption", "Operator", "find", "operator", "operators", "registered"]


@dataclass(frozen=True, slots=True)
class Corruption:
    """A corrupted action.

    Attributes:
        override: what the step does instead.
        reason: what is wrong with it, in a few words; the reason of the label.
    """

    override: Override
    reason: str


Rule = Callable[[Trace, int, random.Random], Corruption | None]


class Operator(Protocol):
    """Corrupts one step.

    Attributes:
        name: `family.name`, such as `code.off_by_one`.
        says: what the error is, in a few words.
    """

    name: str
    says: str

    def __call__(self, trace: Trace, step: int, rng: random.Random, /) -> Corruption | None:
        """A corrupted action for a step, or None where the operator does not apply."""
        ...


@dataclass(slots=True)
class _Registered:
    name: str
    says: str
    rule: Rule

    def __call__(self, trace: Trace, step: int, rng: random.Random, /) -> Corruption | None:
        return self.rule(trace, step, rng)


_FAMILIES: Final = ("code", "text", "tool_call", "tool_result", "orchestration")
_MODULES: Final = {"tool_call": "tools", "tool_result": "tools"}
_registry: dict[str, Operator] = {}


def operator(name: str, *, says: str) -> Callable[[Rule], Operator]:
    """Register a function as an operator.

    Args:
        name: `family.name`; the family groups operators, and may be new.
        says: what the error is, in a few words.

    Raises:
        ValueError: the name has no family, or is taken.
    """

    def add(rule: Rule) -> Operator:
        if "." not in name:
            raise ValueError(f"the operator {name!r} needs a name of the form family.name")
        if name in _registry:
            raise ValueError(f"there is an operator {name!r} already")
        _registry[name] = found = _Registered(name, says, rule)
        return found

    return add


def operators(families: Iterable[str] | None = None) -> list[Operator]:
    """The operators of some families, or of all of them, by name.

    Without a choice, families whose extra is not installed are left out.

    Raises:
        MissingExtra: a family was asked for whose extra is not installed.
        ValueError: there is no such family.
    """
    selected = None if families is None else set(families)
    for family in _FAMILIES:
        if selected is None or family in selected:
            try:
                _load(family)
            except MissingExtra:
                if selected is not None:
                    raise
    operators = [
        op for _, op in sorted(_registry.items()) if selected is None or _family(op) in selected
    ]
    missing = sorted((selected or set()) - {_family(op) for op in operators})
    if missing:
        raise ValueError(f"there is no family of operators {missing[0]!r}")
    return operators


def find(name: str) -> Operator:
    """The operator of this name.

    Raises:
        ValueError: there is none.
        MissingExtra: its family needs an extra that is not installed.
    """
    if name not in _registry and name.partition(".")[0] in _FAMILIES:
        _load(name.partition(".")[0])
    if name not in _registry:
        raise ValueError(f"there is no operator {name!r}; there are {', '.join(registered())}")
    return _registry[name]


def registered() -> tuple[str, ...]:
    """The names of all operators that can be used here."""
    return tuple(op.name for op in operators())


def _load(family: str) -> None:
    import_module(f"agentracer.replay.operators.{_MODULES.get(family, family)}")


def _family(op: Operator) -> str:
    return op.name.partition(".")[0]
