"""The options of an iteration, in one place for `evolve` and `aevolve`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from agentracer.evolution.changes import Change
from agentracer.evolution.running import AttributionRequest, RunRequest
from agentracer.evolution.strategies.base import Strategy
from agentracer.replay.budget import UNLIMITED, Budget
from agentracer.store import Store
from agentracer.usage import Usage

__all__ = ["EvolveOptions", "Progress", "options_from"]

Progress = Callable[[RunRequest | AttributionRequest, Usage], None]


@dataclass(frozen=True, kw_only=True)
class EvolveOptions:
    """How `evolve` iterates.

    Attributes:
        rounds: how often something is changed.
        strategy: what verdicts become; `Advice()` if None.
        repeats: runs of each task, each time that it is run.
        batch: tasks that are new in a round; a round attributes, and compares on, the tasks seen so
            far. By default all tasks are seen from the first round on. Small batches make rounds
            cheap, and their comparisons weak.
        failures: failed runs that are newly attributed in a round at most; all of them if None.
        budget: what one round may cost, and will, so that several iterations cost the same. What
            attribution leaves over goes into repetitions of the round's trial and of its control.
            Seconds cannot be limited: an iteration that is resumed has to decide as it did.
        start: changes that are in place from the start, such as `Advice().recall()`.
        ground_truth: given a task, its right answer; kept with its traces.
        store: where traces, lessons and the journal are; the default store if None.
        session: name of the iteration. By default it is made of the tasks and the settings; give
            one where two systems are iterated over the same tasks with the same settings.
        resume: go on with an iteration of this name that was interrupted.
        progress: called after each run and verdict with what it was, and the cost so far.

    Raises:
        ValueError: a number is less than 1, or the budget limits seconds.
    """

    rounds: int = 3
    strategy: Strategy | None = None
    repeats: int = 1
    batch: int | None = None
    failures: int | None = None
    budget: Budget = UNLIMITED
    start: Sequence[Change] = field(default=())
    ground_truth: Callable[[Any], Any] | None = None
    store: Store | None = None
    session: str | None = None
    resume: bool = True
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if min(self.rounds, self.repeats, 1 if self.batch is None else self.batch) < 1:
            raise ValueError("rounds, repeats and batch are at least 1")
        if self.budget.seconds is not None:
            raise ValueError(
                "evolve() cannot limit seconds: an iteration that is resumed has to decide as it "
                "did\n  remedy: limit runs, model_calls or tokens"
            )


def options_from(options: EvolveOptions | None, overrides: dict[str, Any]) -> EvolveOptions:
    """Return the options with some of them replaced.

    Raises:
        TypeError: there is no such option.
    """
    strategies = {
        option.name: getattr(options or _DEFAULTS, option.name) for option in fields(_DEFAULTS)
    }
    unknown = next((name for name in overrides if name not in strategies), None)
    if unknown is not None:
        raise TypeError(
            f"evolve() has no option {unknown!r}\n  remedy: one of {', '.join(sorted(strategies))}"
        )
    return EvolveOptions(**{**strategies, **overrides})


_DEFAULTS = EvolveOptions()
