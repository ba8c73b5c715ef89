"""What the loop asks of a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentracer.evolution.blame import Blamed
from agentracer.evolution.changes import Change
from agentracer.evolution.effect import Effect

__all__ = ["Known", "Strategy", "Watches"]


@dataclass(frozen=True, slots=True)
class Known:
    """What the iteration knows when it asks for changes.

    Attributes:
        session: name of the iteration.
        round: counted from 1.
        kept: changes that are in place.
        retracted: ids of changes that were tried and taken back.
    """

    session: str
    round: int
    kept: tuple[Change, ...] = ()
    retracted: frozenset[str] = frozenset()


class Strategy(Protocol):
    """Turns verdicts into changes. The same verdicts must give the same changes, for resuming.

    Attributes:
        name: in reports and journals.
    """

    name: str

    def propose(self, blamed: Sequence[Blamed], known: Known, /) -> Sequence[Change]:
        """Changes to try together in this round; none is fine."""


class Watches(Protocol):
    """A strategy that wants to know what became of its changes. It may be told a thing twice."""

    def used(self, changes: Sequence[Change], trace: str, *, success: bool) -> None:
        """A run was made with these changes in place."""

    def settled(self, change: Change, effect: Effect, known: Known, *, kept: bool) -> None:
        """A change was tried, and kept or retracted."""
