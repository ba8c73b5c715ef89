"""Score predictions: strictly by default, with 95 % intervals.

Agent: the predicted name equals the label's. Both are cut at " (" and stripped, as Hand-Crafted
speakers carry a remark there; upper and lower case differ, for predictions are taken from the
trace's own names. Step: the 0-based numbers are equal, or at most 1, 3 or 5 apart, or the label's
is among the first 3 or 5 candidates. `step_mrr` is the mean of 1 / rank of the label's step among
the first 5 candidates, 0 where it is not among them; its interval is that of a share, which is a
little wide.

The scorer published with Who&When tests for substrings instead (its issue 14): a predicted step 10
is right for the label 1, and "Web" is found in "WebSurfer". 22 of its 184 labels have steps that a
wrong prediction can contain; the constant "150" scores 54 % on Algorithm-Generated. `OFFICIAL`
is that test, for comparing with figures that were made with it; it changes `agent_accuracy` and
`step_accuracy` alone.

It knows nothing of traces, files or tracers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentracer.statistics import Rate

__all__ = [
    "METRICS",
    "OFFICIAL",
    "SCORERS",
    "Prediction",
    "Scores",
    "normal_name",
    "score",
]

_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction for one run, and its label.

    Attributes:
        id: of the trace.
        file: it was read from.
        agent: blamed; None where the tracer abstained.
        step: blamed, 0-based; None where the tracer abstained.
        candidates: (agent, step), best first.
        label_agent: who is to blame according to the label.
        label_step: the labelled step, 0-based.
        confidence: as the verdict gave it, 0 to 1.
        abstained: whether the tracer named no agent.
        length: steps of the run, where that is known.
        seconds: that the attribution took.
        calls: model calls that it made.
        tokens: that they read and wrote.
    """

    id: str
    file: str
    agent: str | None
    step: int | None
    candidates: tuple[tuple[str, int], ...] = ()
    label_agent: str
    label_step: int
    confidence: float = 0.0
    abstained: bool = False
    length: int = 0
    seconds: float = 0.0
    calls: int = 0
    tokens: int = 0

    @property
    def agent_correct(self) -> bool:
        """Whether the right agent is blamed."""
        return self.agent is not None and normal_name(self.agent) == normal_name(self.label_agent)

    @property
    def step_correct(self) -> bool:
        """Whether the right step is blamed."""
        return self.step_within(0)

    def step_within(self, tolerance: int) -> bool:
        """Whether the blamed step is at most `tolerance` steps from the label's."""
        return self.step is not None and abs(self.step - self.label_step) <= tolerance

    def step_listed(self, top: int) -> bool:
        """Whether the label's step is among the first `top` candidates."""
        return any(step == self.label_step for _, step in self.candidates[:top])

    @property
    def reciprocal_rank(self) -> float:
        """1 / rank of the label's step among the first five candidates, else 0."""
        listed = [step for _, step in self.candidates[:_LISTED]]
        return 1 / (listed.index(self.label_step) + 1) if self.label_step in listed else 0.0


@dataclass(frozen=True)
class Scores:
    """All metrics over the same `n` runs, by name (see `METRICS`)."""

    n: int
    rates: dict[str, Rate]


METRICS: dict[str, Callable[[Prediction], float]] = {
    "agent_accuracy": lambda p: p.agent_correct,
    "step_accuracy": lambda p: p.step_correct,
    "step_within_1": lambda p: p.step_within(1),
    "step_within_3": lambda p: p.step_within(3),
    "step_within_5": lambda p: p.step_within(5),
    "step_top3": lambda p: p.step_listed(3),
    "step_top5": lambda p: p.step_listed(5),
    "step_mrr": lambda p: p.reciprocal_rank,
}

OFFICIAL: dict[str, Callable[[Prediction], float]] = METRICS | {
    "agent_accuracy": lambda p: p.agent is not None and p.label_agent in p.agent,
    "step_accuracy": lambda p: p.step is not None and str(p.label_step) in str(p.step),
}
"""As `METRICS`, with the substring test of the authors of Who&When."""

SCORERS = {"strict": METRICS, "official": OFFICIAL}


def score(predictions: Sequence[Prediction], scorer: str = "strict") -> Scores:
    """Score predictions; an abstention is wrong in every metric.

    Raises:
        ValueError: there is no such scorer.
    """
    if scorer not in SCORERS:
        raise ValueError(f"the scorer must be one of {', '.join(SCORERS)}, not {scorer!r}")
    n = len(predictions)
    hits = {name: math.fsum(map(test, predictions)) for name, test in SCORERS[scorer].items()}
    return Scores(n, {name: Rate(count, n) for name, count in hits.items()})


def normal_name(agent: str) -> str:
    """An agent's name as it is compared: `Orchestrator (thought)` is `Orchestrator`."""
    return agent.split(" (", 1)[0].strip()
