"""The same iteration under several tracers and controls, so that gains mean something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer.evolution.controls import NoFeedback
from agentracer.evolution.loop import evolve
from agentracer.evolution.report import EvolutionReport
from agentracer.evolution.strategies.base import Strategy
from agentracer.evolution.team import Team, as_team, name_tasks
from agentracer.replay.budget import Budget
from agentracer.statistics import Rate
from agentracer.store import Store

__all__ = ["Arm", "Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to attribute, with a strategy of its own.

    Attributes:
        tracer: what attributes; as for `evolve`.
        strategy: makes the strategy; a fresh one, for what an arm learns belongs to it. It is given
            the arm's store.
    """

    tracer: Any
    strategy: Callable[[Store], Strategy]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The reports of all arms.

    Attributes:
        reports: by name of the arm.
        control: the arm without feedback.
    """

    reports: Mapping[str, EvolutionReport]
    control: str = field(default="no feedback")

    def table(self) -> str:
        """Success after each round and in the end, with what each arm cost, as Markdown."""
        rounds = max(len(report.rounds) for report in self.reports.values())
        heads = ["arm", "first", *[f"round {n + 1}" for n in range(rounds)], "end [95 %]"]
        heads += ["runs", "of these replays", "model calls"]
        lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        for name, report in self.reports.items():
            cells = [name, _share(report.first), *[_share(row.success) for row in report.rounds]]
            low, high = report.final.interval
            cells.append(f"{report.final.value:.0%} [{low:.0%}, {high:.0%}]")
            cost = report.cost
            cells += [str(cost.all_runs), str(cost.replays), str(cost.model_calls)]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)


def compare(
    system: Team | Callable[[Any], Any],
    tasks: Iterable[Any],
    check: Callable[[Any, Any], Any],
    arms: Mapping[str, Arm],
    *,
    rounds: int = 3,
    budget: Budget | None = None,
    folder: Path | str | None = None,
    **settings: Any,
) -> Comparison:
    """Run one iteration for each arm, each with a store of its own and the same budget a round.

    Args:
        system: as for `evolve`.
        tasks: as for `evolve`.
        check: as for `evolve`.
        arms: by name. An arm `no feedback` is added where there is none: what
            running the tasks again does by itself.
        rounds: as for `evolve`.
        budget: runs and model calls that each arm spends in each round. By default the runs of
            four evaluations of all tasks, so that replays have to come out of repetitions.
        folder: holds a store for each arm; `comparison` in the default store if None.
        settings: further options of `evolve`.

    Returns:
        A report for each arm.
    """
    team, listed = as_team(system), list(tasks)
    count = len(name_tasks(listed)) * int(settings.get("repeats", 1))
    budget = budget or Budget(runs=4 * count)
    home = Path(folder) if folder is not None else Store().home / "comparison"
    reports: dict[str, EvolutionReport] = {}
    for name, arm in _with_control(arms).items():
        store = Store(home / "".join(c if c.isalnum() else "-" for c in name))
        reports[name] = evolve(
            team, listed, check, arm.tracer, rounds=rounds, strategy=arm.strategy(store),
            budget=budget, store=store, session=name, **settings,
        )  # fmt: skip
    return Comparison(reports)


class _NoChange(Strategy):
    name = "nothing"

    def propose(self, _attributions: Sequence[Any], _state: Any, /) -> tuple[()]:
        return ()


def _with_control(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    control = NoFeedback()
    return {"no feedback": Arm(control, lambda _store: _NoChange()), **arms}


def _share(rate: Rate) -> str:
    return f"{rate.value:.0%}"
