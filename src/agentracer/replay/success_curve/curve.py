"""What a search found in terms of the trace: success by prefix, credits by step and by agent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from agentracer.replay.success_curve.search import PrefixSearch
from agentracer.trace import Trace
from agentracer.verdict import PrefixRate

__all__ = [
    "AgentCredit",
    "Credit",
    "PrefixRate",
    "credits_by_agent",
    "prefix_rates",
    "step_credits",
]


@dataclass(frozen=True, slots=True)
class Credit:
    """By how much the chance of success fell, or rose, between two measured prefixes.

    Where prefixes between the two were not replayed, the change belongs to all steps of the stretch
    and to none of them alone. It says where the chance was lost, not who is at fault.

    Attributes:
        steps: indices of the steps of the stretch, in the order of their answers.
        agents: who took them, without repetition.
        before: rate of success without them.
        after: rate of success with them kept.
    """

    steps: tuple[int, ...]
    agents: tuple[str, ...]
    before: float
    after: float

    @property
    def loss(self) -> float:
        """V before less V after: positive where the chance fell, negative where it rose."""
        return self.before - self.after


@dataclass(frozen=True, slots=True)
class AgentCredit:
    """Losses and gains of one agent, or of agents that share a stretch.

    Attributes:
        agents: who.
        losses: sum of all falls, at least 0.
        gains: sum of all rises, at least 0.
    """

    agents: tuple[str, ...]
    losses: float
    gains: float


def prefix_rates(
    found: PrefixSearch, order: Sequence[int], scores: Mapping[int, float] = MappingProxyType({})
) -> tuple[PrefixRate, ...]:
    """List the rate of success of every prefix that was tried, shortest first.

    Args:
        found: the counts.
        order: the steps of the trace in the order of their answers.
        scores: the mean score of each prefix, where the check is graded.
    """
    tried = sorted({*found.counts, *found.unusable})
    return tuple(
        PrefixRate(
            prefix=prefix,
            step=order[prefix - 1] if prefix else None,
            successes=found.counts.get(prefix, (0, 0))[0],
            replays=found.counts.get(prefix, (0, 0))[1],
            unusable=found.unusable.get(prefix, 0),
            mean_score=scores.get(prefix),
        )
        for prefix in tried
    )


def step_credits(
    trace: Trace, rates: Iterable[PrefixRate], order: Sequence[int]
) -> tuple[Credit, ...]:
    """Compute the change of the chance of success over each measured stretch."""
    measured = [rate for rate in rates if rate.replays]
    return tuple(_credits(trace, measured, order))


def _credits(
    trace: Trace, measured: Sequence[PrefixRate], order: Sequence[int]
) -> Iterator[Credit]:
    for first, second in pairwise(measured):
        steps = tuple(order[first.prefix : second.prefix])
        agents = tuple(dict.fromkeys(trace.steps[step].agent for step in steps))
        yield Credit(steps, agents, first.estimate, second.estimate)


def credits_by_agent(changes: Iterable[Credit]) -> tuple[AgentCredit, ...]:
    """Sum losses and gains, apart, for each agent and each group that shares a stretch.

    Returns:
        The largest loss first.
    """
    sums: dict[tuple[str, ...], list[float]] = {}
    for credit in changes:
        entry = sums.setdefault(tuple(sorted(credit.agents)), [0.0, 0.0])
        entry[credit.loss < 0] += abs(credit.loss)
    credits_of_agents = [
        AgentCredit(agents, losses, gains) for agents, (losses, gains) in sums.items()
    ]
    return tuple(sorted(credits_of_agents, key=lambda credit: -credit.losses))
