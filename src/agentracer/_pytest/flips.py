"""How often a repeated test failed, in all and by the step that is named."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from agentracer._pytest.diagnosis import Diagnosis
from agentracer.escaping import escape_control_chars
from agentracer.statistics import wilson

__all__ = ["FlipCounts", "flip_lines"]


@dataclass(slots=True)
class FlipCounts:
    """How often a test failed, and why.

    Attributes:
        runs: number of runs with a result.
        failed: number of failed runs.
        blamed: failed runs by the (agent, step) that their verdict names.
        unexplained: failed runs in which no step stands out.
    """

    runs: int = 0
    failed: int = 0
    blamed: Counter[tuple[str, int]] = field(default_factory=Counter)
    unexplained: int = 0

    @classmethod
    def of(cls, runs: Iterable[tuple[bool, Diagnosis | None]]) -> FlipCounts:
        """Count runs, from whether each failed and its diagnosis."""
        flips = cls()
        for failed, diagnosis in runs:
            flips.runs += 1
            flips.failed += failed
            verdict = diagnosis.verdict if diagnosis is not None else None
            if (
                verdict is not None
                and verdict.stands_out
                and verdict.agent is not None
                and verdict.step is not None
            ):
                flips.blamed[verdict.agent, verdict.step] += 1
            elif failed:
                flips.unexplained += 1
        return flips

    def to_json(self) -> str:
        """Return JSON text, for the properties of the report and JUnit XML."""
        blamed = [[agent, step, count] for (agent, step), count in self.blamed.most_common()]
        facts = {"runs": self.runs, "failed": self.failed, "blamed": blamed}
        return json.dumps({**facts, "unexplained": self.unexplained})

    @classmethod
    def from_json(cls, text: str) -> FlipCounts:
        """Read the text of `to_json`."""
        facts = json.loads(text)
        blamed = Counter({(agent, step): count for agent, step, count in facts["blamed"]})
        return cls(facts["runs"], facts["failed"], blamed, facts["unexplained"])


def flip_lines(flips: FlipCounts) -> Iterator[str]:
    """Yield how often a repeated test failed, in all and by the step that is named."""
    yield f"failed in {_rate(flips.failed, flips.runs)}"
    for (agent, step), count in flips.blamed.most_common():
        name, rate = escape_control_chars(agent), _rate(count, flips.runs)
        yield f"{name}, step {step}, is named in {rate}"
    if flips.unexplained:
        yield f"no step stands out in {_rate(flips.unexplained, flips.runs)}"


def _rate(hits: int, n: int) -> str:
    low, high = wilson(hits, n)
    shares = f"{hits / n:.0%}, 95 % interval {low:.0%} to {high:.0%}"
    return f"{hits} of {n} runs ({re.sub('(?<! )%', ' %', shares)})"
