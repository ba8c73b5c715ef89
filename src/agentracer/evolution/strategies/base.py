"""What the loop asks of a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentracer.evolution.attributors import Attribution
from agentracer.evolution.changes import Change
from agentracer.evolution.effect import Effect

__all__ = ["RoundState", "Strategy"]


@dataclass(frozen=True, slots=True)
class RoundState:
    """The state of the iteration when it asks for changes.

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


class Strategy:
    """Base class of what turns verdicts into changes.

    Override `propose`, and what else applies; the other methods do nothing by default. The same
    verdicts must give the same changes, so that an iteration can be resumed.

    Attributes:
        name: in reports and journals.
    """

    name: str = "strategy"

    def propose(
        self, attributions: Sequence[Attribution], state: RoundState, /
    ) -> Sequence[Change]:
        """Return changes to try together in this round; none is fine."""
        raise NotImplementedError(f"{type(self).__name__} does not propose changes")

    def on_run(self, changes: Sequence[Change], trace: str, *, success: bool) -> None:
        """Note that a run was made with these changes in place; may be called twice for one run."""
        del changes, trace, success

    def on_decision(self, change: Change, effect: Effect, state: RoundState, *, kept: bool) -> None:
        """Note that a change was tried, and kept or retracted; may be called twice."""
        del change, effect, state, kept
