"""The report of an iteration: per round the success, the cost, the changes, and their effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentracer.evolution.changes import Change
from agentracer.evolution.effect import Effect
from agentracer.evolution.records import EvolutionRecord
from agentracer.evolution.team import Task
from agentracer.statistics import Rate
from agentracer.usage import Usage

__all__ = ["AppliedChange", "ChangesInPlace", "EvolutionReport", "Round"]


@dataclass(frozen=True, slots=True)
class AppliedChange:
    """A change that was tried.

    Attributes:
        change: what was changed, and why.
        effect: what the trial showed; None where it could not be put in place.
        kept: whether it stayed.
        note: why it could not be put in place, or went later.
    """

    change: Change
    effect: Effect | None
    kept: bool
    note: str = ""

    def __str__(self) -> str:
        decision = "kept" if self.kept else "retracted"
        reason = str(self.effect) if self.effect is not None else self.note
        return f"{self.change.agent}: {self.change.says}: {decision}, {reason}"


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Attributes:
        number: from 1.
        success: of the system as the round left it.
        trial: with the round's changes in place; None where nothing was tried. In a system that
            repeats itself, a trial ends when the changes can no longer win.
        control: without them, in the same round; where the system repeats itself, the runs of the
            round before.
        changes: what was tried.
        failures: failed tasks that were attributed, and `abstained`: without naming anybody.
        abstained: see `failures`.
        cost: of this round.
    """

    number: int
    success: Rate
    trial: Rate | None
    control: Rate
    changes: tuple[AppliedChange, ...]
    failures: int
    abstained: int
    cost: Usage


class ChangesInPlace:
    """Changes that were put in place for good, until they are retracted."""

    def __init__(self, undo: Sequence[Any]) -> None:
        self._undo = list(undo)

    def retract(self) -> None:
        """Take all of them back exactly, the last one first; twice is fine."""
        while self._undo:
            self._undo.pop()()


@dataclass(frozen=True, slots=True)
class EvolutionReport:
    """What an iteration did.

    Attributes:
        session: its name.
        tracer: what attributed.
        strategy: what verdicts became.
        first: success before any change.
        rounds: one entry for each round.
        final: success of the system as it is left, in runs of their own that decided nothing else.
        unchanged: success of the system as it was, in runs made beside those.
        effect: the two, compared task by task.
        kept: what is in place in the end.
        cost: of everything.
        resumed: results that were taken from the journal of an interrupted iteration.
    """

    session: str
    tracer: str
    strategy: str
    first: Rate
    rounds: tuple[Round, ...]
    final: Rate
    unchanged: Rate
    effect: Effect
    kept: tuple[Change, ...]
    cost: Usage
    resumed: int = 0
    notes: tuple[str, ...] = field(default=())

    def apply(self, system: Any) -> ChangesInPlace:
        """Put what was kept in place for good. Changes of single runs have nothing to put.

        Changes that hold for some tasks only are left out: outside of the loop, no task has a name.
        """
        nowhere = Task("", "", None)
        return ChangesInPlace([change.put(system, nowhere) for change in self.kept])

    def __str__(self) -> str:
        lines = [f"{self.strategy} by {self.tracer}: {_rate(self.first)} before any change"]
        for row in self.rounds:
            lines.append(
                f"round {row.number}: {_rate(row.success)}; {row.failures} failures attributed, "
                f"{row.abstained} without a verdict; {_cost(row.cost)}"
            )
            lines += [f"  {change}" for change in row.changes] or ["  nothing was changed"]
        lines.append(
            f"in the end {_rate(self.final)}, unchanged {_rate(self.unchanged)}: {self.effect}"
        )
        lines += [*self.notes, f"in all {_cost(self.cost)}"]
        if self.resumed:
            lines.append(f"{self.resumed} results came from an interrupted iteration")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data; `EvolutionRecord` is its schema."""
        return EvolutionRecord.of_report(self).model_dump(mode="json")


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    return f"{rate.hits:g} of {rate.n} succeed ({rate.value:.0%} [{low:.0%}, {high:.0%}])"


def _cost(cost: Usage) -> str:
    replays = f" and {cost.replays} replays" if cost.replays else ""
    return f"{cost.runs} runs{replays}, {cost.model_calls} model calls, {cost.tokens} tokens"
