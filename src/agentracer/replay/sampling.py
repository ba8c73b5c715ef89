"""Sampling parameters that a replay uses for its live model calls, in place of the system's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from agentracer.trace import Step, Trace

__all__ = ["OWN_SAMPLING", "SamplingParameters", "recorded_temperatures", "sampling_notes"]


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How live model calls sample.

    Attributes:
        temperature: None leaves the system's own.
        seed: of this replay; None leaves the system's own.
    """

    temperature: float | None = None
    seed: int | None = None

    def values(self) -> dict[str, Any]:
        """Return the parameters that are set, by name."""
        pairs = {"temperature": self.temperature, "seed": self.seed}
        return {name: value for name, value in pairs.items() if value is not None}

    def of_replay(self, number: int) -> SamplingParameters:
        """Return those of one replay: each has a seed of its own, or they would all be alike."""
        seed = None if self.seed is None else self.seed + number
        return SamplingParameters(self.temperature, seed)


OWN_SAMPLING: Final = SamplingParameters()
"""Nothing is set: models sample as the system made them."""


def recorded_temperatures(trace: Trace) -> tuple[float, ...]:
    """List the temperatures at which the model calls of a run were made, without repetition."""
    return tuple(sorted(set(_temperatures(trace.steps))))


def _temperatures(steps: Iterable[Step]) -> Iterator[float]:
    for step in steps:
        parameters = step.model.parameters if step.model is not None else None
        value = parameters.get("temperature") if isinstance(parameters, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield float(value)


def sampling_notes(trace: Trace, sampling: SamplingParameters) -> list[str]:
    """Say where replays sample at another temperature than the run; empty where they do not."""
    if sampling.temperature is None:
        return []
    recorded = recorded_temperatures(trace)
    if recorded == (sampling.temperature,):
        return []
    run = (
        f"the run was at {', '.join(f'{value:g}' for value in recorded)}"
        if recorded
        else "the temperature of the run is not in its record"
    )
    return [f"measured at temperature {sampling.temperature:g}; {run}"]
