"""Nested, grouped, repeated cross-validation of the ranker: figures for runs it has not seen.

Every fold chooses its own penalty and calibration inside the runs it trains on. Groups are
questions: runs of one question are never in fit and test at once, whatever framework made them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agentracer.attribution.embedded.fitting.fit import Example, fit_model, folds_of, scores_of
from agentracer.attribution.embedded.model.calibration import Trust
from agentracer.attribution.embedded.model.catalogue import CONTENT_LOOSENESS
from agentracer.attribution.embedded.model.model_file import Model
from agentracer.attribution.embedded.model.ranker import Ranking, settle

__all__ = ["Outcome", "cross_validate", "judge", "shuffled"]

OUTER_FOLDS = 5


@dataclass(frozen=True)
class Outcome:
    """What a model that had not seen a run said of it."""

    example: Example
    ranking: Ranking
    seed: int

    @property
    def step(self) -> int:
        """The step that is blamed."""
        return self.ranking.order[0]

    @property
    def agent(self) -> str:
        """The agent that is blamed."""
        return next(iter(self.ranking.agents))

    @property
    def rank(self) -> int:
        """Position of the labelled step in the list, from 0."""
        return self.ranking.order.index(self.example.step)

    @property
    def step_correct(self) -> bool:
        """Whether the labelled step is blamed."""
        return self.rank == 0

    @property
    def agent_correct(self) -> bool:
        """Whether the labelled agent is blamed."""
        return self.agent == self.example.agent


def judge(example: Example, model: Model, seed: int = 0) -> Outcome:
    """Let a model judge one run."""
    scores = scores_of(example, model.weights)
    return Outcome(example, settle(scores, example.speakers, example.shape, model), seed)


def cross_validate(
    examples: Sequence[Example],
    *,
    seeds: Iterable[int] = range(5),
    start: Model | None = None,
    trust: Trust | None = None,
    folds: int = OUTER_FOLDS,
    penalties: Sequence[float] | None = None,
    looseness: float = CONTENT_LOOSENESS,
) -> list[Outcome]:
    """Judge every example, once a seed, by a model that saw no run of its question."""
    outcomes = []
    for seed in seeds:
        place = folds_of(examples, seed, folds)
        for fold in sorted(set(place)):
            seen = [e for e, f in zip(examples, place, strict=True) if f != fold]
            model = fit_model(
                seen,
                name=f"fold {fold}",
                seed=seed,
                start=start,
                trust=trust,
                penalties=penalties,
                looseness=looseness,
            ).model
            held_out = (e for e, f in zip(examples, place, strict=True) if f == fold)
            outcomes += [judge(example, model, seed) for example in held_out]
    return outcomes


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """The same runs, each with a step of its own drawn at random as its label."""
    draw = random.Random(seed)  # noqa: S311 - a permutation test, not a secret
    changed = []
    for example in examples:
        step = draw.randrange(len(example.rows))
        changed.append(replace(example, step=step, agent=example.speakers[step]))
    return changed
