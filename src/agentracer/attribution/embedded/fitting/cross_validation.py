"""Nested, grouped, repeated cross-validation of the ranker: figures for runs it has not seen.

Every fold chooses its own penalty and calibration inside the runs it trains on. Groups are
questions: runs of one question are never in fit and test at once, whatever framework made them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agentracer.attribution.embedded.fitting.fit import Example, fit_model, folds_of, scores_of
from agentracer.attribution.embedded.model.calibration import Shrinkage
from agentracer.attribution.embedded.model.catalogue import CONTENT_PENALTY_SCALE
from agentracer.attribution.embedded.model.model_file import Model
from agentracer.attribution.embedded.model.ranker import Ranking, ranking_of_scores

__all__ = ["HeldOutResult", "cross_validate", "judge", "shuffled"]

OUTER_FOLDS = 5


@dataclass(frozen=True)
class HeldOutResult:
    """The ranking that a model gave to a labelled run.

    Attributes:
        example: the run.
        ranking: of its steps.
        seed: of the cross-validation.
    """

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


def judge(example: Example, model: Model, seed: int = 0) -> HeldOutResult:
    """Rank the steps of one run with a model."""
    scores = scores_of(example, model.weights)
    ranking = ranking_of_scores(scores, example.speakers, example.shape, model)
    return HeldOutResult(example, ranking, seed)


def cross_validate(
    examples: Sequence[Example],
    *,
    seeds: Iterable[int] = range(5),
    start: Model | None = None,
    shrinkage: Shrinkage | None = None,
    folds: int = OUTER_FOLDS,
    penalties: Sequence[float] | None = None,
    content_scale: float = CONTENT_PENALTY_SCALE,
) -> list[HeldOutResult]:
    """Judge every example, once a seed, by a model that was fitted to no run of its question."""
    outcomes = []
    for seed in seeds:
        fold_of = folds_of(examples, seed, folds)
        for fold in sorted(set(fold_of)):
            seen = [e for e, f in zip(examples, fold_of, strict=True) if f != fold]
            model = fit_model(
                seen,
                name=f"fold {fold}",
                seed=seed,
                start=start,
                shrinkage=shrinkage,
                penalties=penalties,
                content_scale=content_scale,
            ).model
            held_out = (e for e, f in zip(examples, fold_of, strict=True) if f == fold)
            outcomes += [judge(example, model, seed) for example in held_out]
    return outcomes


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """The same runs, each labelled with one of its steps at random."""
    draw = random.Random(seed)  # noqa: S311 - a permutation test, not a secret
    relabelled = []
    for example in examples:
        step = draw.randrange(len(example.rows))
        relabelled.append(replace(example, step=step, agent=example.speakers[step]))
    return relabelled
