"""What an iteration costs, in runs, model calls and tokens; and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentracer.trace import Trace
from agentracer.usage import Usage
from agentracer.verdict import Verdict

__all__ = ["Allowance", "Cost"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent. Costs add up with `+`.

    Attributes:
        runs: runs of the whole system.
        replays: runs that were answered from a record up to some step; not among `runs`.
        steps: steps that really ran, those of replays included.
        model_calls: calls of models by the system and by whoever attributes.
        tokens: read and written in these calls, where they were counted.
    """

    runs: int = 0
    replays: int = 0
    steps: int = 0
    model_calls: int = 0
    tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.runs + other.runs,
            self.replays + other.replays,
            self.steps + other.steps,
            self.model_calls + other.model_calls,
            self.tokens + other.tokens,
        )

    @property
    def in_runs(self) -> int:
        """Runs and replays, each replay counted as a whole run."""
        return self.runs + self.replays

    @classmethod
    def of_run(cls, trace: Trace, *, replay: bool = False) -> Cost:
        """What a recorded run cost; of a replay, what ran live."""
        lived = [s for s in trace.steps if s.attributes.get("replay", "live") == "live"]
        used = [step.usage for step in lived if step.usage is not None]
        return cls(
            runs=0 if replay else 1,
            replays=1 if replay else 0,
            steps=len(lived),
            model_calls=sum(step.kind == "llm" for step in lived),
            tokens=sum((u.input_tokens or 0) + (u.output_tokens or 0) for u in used),
        )

    @classmethod
    def of_verdict(cls, verdict: Verdict) -> Cost:
        """What a tracer's model calls cost."""
        usage = verdict.provenance.usage
        return cls(model_calls=usage.model_calls, tokens=usage.tokens)

    @classmethod
    def of_search(cls, usage: Usage) -> Cost:
        """What the replays of a search cost, those of an interrupted one included."""
        return cls(
            replays=usage.replays + usage.resumed,
            steps=usage.steps,
            model_calls=usage.model_calls,
            tokens=usage.tokens,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "runs": self.runs,
            "replays": self.replays,
            "steps": self.steps,
            "model_calls": self.model_calls,
            "tokens": self.tokens,
        }


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one round may cost, so that arms of a comparison cost the same. None: no limit.

    Runs and replays count alike. What attribution leaves over goes into repetitions of the round's
    trial and of its control, until the next run would be over one of the limits.
    """

    runs: int | None = None
    model_calls: int | None = None

    def left(self, spent: Cost) -> int | None:
        """How many more runs may be made; None for any number."""
        return None if self.runs is None else max(0, self.runs - spent.in_runs)

    def allows(self, spent: Cost, more: Cost) -> bool:
        """Whether something that costs `more` may still be done."""
        after = spent + more
        runs = self.runs is None or after.in_runs <= self.runs
        return runs and (self.model_calls is None or after.model_calls <= self.model_calls)
