"""What work costs: model calls, tokens, steps, runs and time, in one type for the whole package."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

__all__ = ["Usage"]

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What some work cost. Values add up with `+`; `-` gives what was added since.

    Attributes:
        model_calls: calls of language models; each sample and each prefill is one.
        input_tokens: tokens that models read, cached ones among them.
        cached_tokens: of these, tokens that were not computed again.
        output_tokens: tokens that models wrote.
        unsplit_tokens: tokens of which only the sum of input and output is known.
        steps: steps of agents that really ran.
        runs: whole runs of a system.
        replays: runs that were answered from a record up to some step; not among `runs`.
        resumed: replays whose result came from a journal; not among `replays`.
        seconds: wall time.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    model_calls: Count = 0
    input_tokens: Count = 0
    cached_tokens: Count = 0
    output_tokens: Count = 0
    unsplit_tokens: Count = 0
    steps: Count = 0
    runs: Count = 0
    replays: Count = 0
    resumed: Count = 0
    seconds: Annotated[float, Field(ge=0.0)] = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def __sub__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) - getattr(other, name) for name in _NAMES})

    @property
    def tokens(self) -> int:
        """All tokens, read and written."""
        return self.input_tokens + self.output_tokens + self.unsplit_tokens

    @property
    def all_runs(self) -> int:
        """Runs and replays, each replay counted as a whole run."""
        return self.runs + self.replays

    @property
    def prefilled_tokens(self) -> int:
        """Input tokens that were really computed."""
        return self.input_tokens - self.cached_tokens

    def to_dict(self) -> dict[str, int | float]:
        """Return the counts that are not zero, as JSON data."""
        return {name: value for name in _NAMES if (value := getattr(self, name))}


_NAMES = tuple(field.name for field in fields(Usage))
