"""Adapt the embedded tracer to one system: labelled traces in, a model file and figures out.

The fit starts from the shipped weights and moves away from them as far as the labels ask for. The
adapted model also knows the agents of the system by name and the first steps by number, which mean
something within one system. Labels come from replay, injection or people. The figures before and
after are for runs that the model in question was not fitted to. Needs numpy and scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentracer.attribution.embedded.fitting.cross_validation import (
    HeldOutResult,
    cross_validate,
    judge,
)
from agentracer.attribution.embedded.fitting.fit import Example, example_of, fit_model
from agentracer.attribution.embedded.model.model_file import Model, shipped_model
from agentracer.errors import FormatError
from agentracer.formats import load_any
from agentracer.statistics import bootstrap_interval
from agentracer.trace import Trace

__all__ = ["FEWEST", "Adaptation", "adapt", "adapt_directory"]

FEWEST = 10
"""Labelled traces below which an improvement could not be told from chance."""

_SEEDS = range(3)


@dataclass(frozen=True)
class Adaptation:
    """An adapted model, and how much better it is.

    Attributes:
        model: for `Tracer("embedded:PATH")` once saved.
        runs: labelled runs that it was made from.
        unlabelled: runs that were left out.
        before: outcomes of the model it started from, one per run.
        after: cross-validated outcomes of adapted models, one per seed and run.
    """

    model: Model
    runs: int
    unlabelled: int
    before: list[HeldOutResult]
    after: list[HeldOutResult]

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON data; shares are fractions of 1."""
        return {
            "runs": self.runs,
            "unlabelled": self.unlabelled,
            "before": _figures(self.before),
            "after": _figures(self.after),
            "step_gain": _paired(self.before, self.after),
        }


def adapt_directory(
    directory: Path | str, output: Path | str | None = None, *, start: Model | None = None
) -> Adaptation:
    """Adapt to the labelled traces below a folder; write the model if `output` is given.

    Raises:
        FormatError: a file cannot be read, or there are too few labelled traces or tasks.
        MissingExtra: numpy or scipy is not installed.
    """
    adapted = adapt(load_any(directory), source=directory, start=start)
    if output is not None:
        adapted.model.save(output)
    return adapted


def adapt(
    traces: Sequence[Trace], *, source: Path | str | None = None, start: Model | None = None
) -> Adaptation:
    """Adapt to labelled traces of one system.

    Args:
        traces: of failed runs, with labels; those without are counted and left out.
        source: where they come from, for messages.
        start: the model to start from; the shipped one by default.

    Raises:
        FormatError: there are too few labelled traces, or they are all of one task.
        MissingExtra: numpy or scipy is not installed.
    """
    start = start or shipped_model()
    examples = [e for t in traces if (e := example_of(t, by_name=True)) is not None]
    _check(examples, source)
    after = cross_validate(examples, seeds=_SEEDS, start=start)
    before = [judge(example, start) for example in examples]
    fitted = fit_model(examples, name=f"{start.name}+{len(examples)}", start=start)
    adaptation = Adaptation(fitted.model, len(examples), len(traces) - len(examples), before, after)
    facts = {"start": start.name, "penalty": fitted.penalty, **adaptation.as_dict()}
    return replace(adaptation, model=replace(fitted.model, trained_on={"adapted": facts}))


def _check(examples: Sequence[Example], source: Path | str | None) -> None:
    groups = {example.group for example in examples}
    if len(examples) >= FEWEST and len(groups) > 1:
        return
    raise FormatError(
        f"{len(examples)} labelled traces of {len(groups)} tasks are too few to adapt to",
        source=source,
        remedy=f"give at least {FEWEST} failed runs of 2 or more tasks with labels: "
        "`agentracer.replay.inject` makes labelled runs; add the step that "
        "`agentracer.replay.find_decisive` confirmed, or that a person found, to `Trace.labels`",
    )


def _figures(outcomes: Sequence[HeldOutResult]) -> dict[str, float]:
    count = len(outcomes)
    return {
        "agent_accuracy": sum(o.agent_correct for o in outcomes) / count,
        "step_accuracy": sum(o.step_correct for o in outcomes) / count,
        "step_top3": sum(o.rank < 3 for o in outcomes) / count,
        "step_top5": sum(o.rank < 5 for o in outcomes) / count,
        "confidence": sum(o.ranking.confidence for o in outcomes) / count,
    }


def _paired(before: Sequence[HeldOutResult], after: Sequence[HeldOutResult]) -> dict[str, float]:
    """The gain in step accuracy, with its 95 % interval from resampling the runs."""
    hit_before = {outcome.example.id: float(outcome.step_correct) for outcome in before}
    hits_after: dict[str, list[float]] = {}
    for outcome in after:
        hits_after.setdefault(outcome.example.id, []).append(float(outcome.step_correct))
    gains = [sum(hits) / len(hits) - hit_before[key] for key, hits in hits_after.items()]
    low, high = bootstrap_interval(gains)
    return {"value": sum(gains) / len(gains), "low": low, "high": high}
