"""The posterior over alternatives and steps, given the outcomes of the runs so far.

Two kinds of evidence are brought together. Alternatives that were given the same and return the
same are right or wrong together; a run succeeds if each of its steps is right. So a success shows
that its steps were right, and with them every alternative that agrees with one of them; a failure
shows that one step at least was wrong, and blames each by how likely that was before (noisy-AND).
How often an alternative is right follows from its steps, and what is likely of a step follows from
its alternatives: the two are worked out in turn, as labels and the skill of the annotators are in
Dawid and Skene (1979).
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["Posterior", "StepObservation"]

Item: TypeAlias = tuple[str, str, str]
"""A task, an agent, and what the agent was given."""

Result: TypeAlias = tuple[Item, str]

# Set by hand while benchmarks/evolution.py was developed, on other systems than the reported ones
# (see docs/evolution.md). Not fitted; how much results depend on them was not measured.
_TURNS: Final = 4  # of the two estimates for each update; they go on from where they were
_LEAK: Final = 0.1  # chance that a run fails though every step that was looked into is right
_LEAST, _MOST = 0.01, 0.98  # bounds of a probability that no success has confirmed
_CONFIRMED: Final = 0.995  # of a result that was part of a run that succeeded; it may be luck
_RIVALS: Final = 0.1  # weight of "none of these results is right"
_BROKEN: Final = 0.02  # weight of a call that raised
_ENOUGH: Final = 30  # steps; more make an estimate no firmer, for the model is a rough one


@dataclass(frozen=True, slots=True)
class StepObservation:
    """One step of a run, beside what the alternatives of its agent do with the same input.

    Attributes:
        agent: the agent that acted.
        arguments: what it was called with, as JSON text.
        result: what it returned, as JSON text; None where it raised.
        results: by result, the alternatives that give it, the one in the slot among them; those
            that break are under "".
    """

    agent: str
    arguments: str
    result: str | None
    results: Mapping[str, tuple[str, ...]]


class Posterior:
    """Estimates how likely each alternative of each agent is to do the right thing.

    Args:
        options: by agent, the names of its alternatives.
    """

    def __init__(self, options: Mapping[str, Iterable[str]]) -> None:
        self._options = {agent: tuple(names) for agent, names in options.items()}
        self._right = {(a, name): 0.5 for a, names in self._options.items() for name in names}
        self._steps: dict[tuple[str, str], float] = {}
        self._items: dict[Item, Mapping[str, tuple[str, ...]]] = {}
        self._sure: set[Result] = set()
        self._failed: dict[tuple[Result, ...], None] = {}
        self._chance: dict[Result, float] = {}
        self._is_current = False

    def observe(self, task: str, steps: Sequence[StepObservation], *, success: bool) -> None:
        """Learn from one run of a task."""
        path = []
        for step in steps:
            item = (task, step.agent, step.arguments)
            self._items[item] = step.results
            path.append((item, step.result or ""))
        if success:
            self._sure.update(path)
        else:
            self._failed[tuple(sorted(set(path)))] = None
        self._is_current = False

    def p_right(self, agent: str, alternative: str) -> float:
        """Return the share of its steps that an alternative is estimated to get right."""
        self._update()
        return self._right[agent, alternative]

    def p_wrong(self, task: str, step: StepObservation) -> float:
        """Return the probability that a step of an observed run is wrong."""
        self._update()
        return 1.0 - self._chance.get(((task, step.agent, step.arguments), step.result or ""), 0.5)

    def draw(self, rng: random.Random, trust: float | None = None) -> dict[str, str]:
        """An alternative for each agent.

        Args:
            rng: for ties and draws.
            trust: how much to go by the estimates: each alternative's share is drawn from a Beta
                distribution with this weight for each step (Thompson sampling). None: the best of
                each.
        """
        self._update()
        return {
            agent: max(names, key=lambda name: self._drawn(rng, agent, name, trust))
            for agent, names in self._options.items()
        }

    def _drawn(self, rng: random.Random, agent: str, name: str, trust: float | None) -> float:
        right = self._right[agent, name]
        if trust is None:
            return right + 1e-6 * rng.random()
        weight = min(self._steps.get((agent, name), 0.0), _ENOUGH) * trust
        return rng.betavariate(1 + right * weight, 1 + (1 - right) * weight)

    # -- the estimates

    def _update(self) -> None:
        if self._is_current:
            return
        for _ in range(_TURNS):
            self._chance = self._of_results()
            self._right, self._steps = self._of_alternatives()
        self._is_current = True

    def _of_results(self) -> dict[Result, float]:
        """The chance that each result is right, given the alternatives and the runs."""
        prior = self._before()
        chance = {key: _CONFIRMED if key in self._sure else value for key, value in prior.items()}
        odds: dict[Result, float] = {}
        for path in self._failed:
            open_ones = [key for key in path if key not in self._sure]
            whole = math.prod(chance[key] for key in open_ones)
            for key in open_ones:
                others = whole / chance[key] * (1 - _LEAK)
                odds[key] = odds.get(key, 1.0) * max(1e-3, 1.0 - others)
        for key, factor in odds.items():
            after = prior[key] / (1 - prior[key]) * factor
            # Half of the way: what two results are blamed with depends on each other.
            chance[key] = (chance[key] + min(_MOST, max(0.003, after / (1 + after)))) / 2
        return chance

    def _before(self) -> dict[Result, float]:
        """What to expect of a result from the alternatives that give it.

        Mostly one result is right and the others are not, but sometimes a difference does not
        matter: half of the one, half of the other.
        """
        logit = {key: math.log(p / (1 - p)) for key, p in self._right.items()}
        totals: dict[Result, float] = {}
        for item, results in self._items.items():
            agent = item[1]
            weights = {
                result: _weight([logit[agent, name] for name in names]) if result else _BROKEN
                for result, names in results.items()
            }
            total = sum(weights.values()) + _RIVALS
            decided = any((item, result) in self._sure for result in results)
            for result, weight in weights.items():
                share = (weight / total + weight / (1 + weight)) / 2
                share = share / 2 if decided else share
                totals[item, result] = min(_MOST, max(_LEAST, share))
        return totals

    def _of_alternatives(
        self,
    ) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
        """The share that each alternative gets right, and of how many steps."""
        right: dict[tuple[str, str], float] = defaultdict(float)
        steps: dict[tuple[str, str], float] = defaultdict(float)
        for item, results in self._items.items():
            for result, names in results.items():
                chance = self._chance[item, result]
                for name in names:
                    right[item[1], name] += chance
                    steps[item[1], name] += 1
        shares = {key: (1 + right[key]) / (2 + steps[key]) for key in self._right}
        return {k: min(0.99, max(0.01, s)) for k, s in shares.items()}, dict(steps)


def _weight(logits: Sequence[float]) -> float:
    """The odds of a result, given those of its alternatives; that many err alike is less likely."""
    return len(logits) * math.exp(sum(logits) / len(logits))
