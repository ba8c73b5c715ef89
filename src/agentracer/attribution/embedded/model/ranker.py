"""A conditional logit over the steps of a run: scores in, a distribution over steps and agents out.

    P(step i) = exp(w · x_i / T) / sum over all steps j of exp(w · x_j / T)

`x` are the features of a step, `w` the weights of a model, `T` its temperature. The agent head
gives every agent the power mean of its steps' probabilities: with power 1 that is their sum, with a
large one the agent of the likeliest step; the power in between is better than both ends. Plain
Python: a run has few steps, and one dependency fewer starts faster than a vector product saves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from agentracer.attribution.embedded.model.calibration import softmax
from agentracer.attribution.embedded.model.catalogue import AGENT, STEP
from agentracer.attribution.embedded.model.features import MANAGED, Features, Row
from agentracer.attribution.embedded.model.model_file import Model

__all__ = [
    "Ranking",
    "agent_shares",
    "likely_steps",
    "rank",
    "ranking_of_scores",
    "score",
    "system_row",
]

_NUMBERED_STEPS = 12  # that an adapted model may know by their number
_NUMBERED_TURNS = 3


@dataclass(frozen=True)
class Ranking:
    """What a model says of one run.

    Attributes:
        order: all steps, most suspicious first.
        probabilities: of each step, calibrated as far as the model is.
        agents: share of the blame by agent, largest first.
        likely: the steps that hold the decisive error with probability `Calibration.coverage`,
            most suspicious first.
        out_of_distribution: how the run differs from those that the model was calibrated on; None
            if it does not.
        confidence: probability that the first step is right.
        model: that was used.
        means: mean of every feature over the steps of the run.
        weights: of the features in this run.
    """

    order: list[int]
    probabilities: list[float]
    agents: dict[str, float]
    likely: list[int]
    out_of_distribution: str | None
    confidence: float
    model: Model
    means: Row = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def contributions(self, row: Row) -> dict[str, float]:
        """By how much each feature lifts a step above the mean of the run, in log odds."""
        lifts = {
            name: self.weights.get(name, 0.0) * (row.get(name, 0.0) - mean)
            for name, mean in self.means.items()
        }
        return dict(sorted(lifts.items(), key=lambda item: (-item[1], item[0])))


def rank(features: Features, model: Model) -> Ranking:
    """Rank the steps of a run of at least one step."""
    context = features.context
    weights = _effective_weights(model, managed=context.managed)
    scores, totals = [], Row()
    for index in range(len(features)):
        row = features.row(index)
        if model.is_adapted:
            row |= system_row(features, index)
        scores.append(score(row, weights))
        for name, value in row.items():
            totals[name] = totals.get(name, 0.0) + value
    speakers = [step.agent for step in context.run.steps]
    means = {name: total / len(features) for name, total in totals.items()}
    return ranking_of_scores(
        scores, speakers, features.shape(), model, means=means, weights=weights
    )


def score(row: Row, weights: dict[str, float]) -> float:
    """The score of a step: the sum of its features times their weights."""
    total = 0.0
    for name, value in row.items():
        total += weights.get(name, 0.0) * value
    return total


def ranking_of_scores(
    scores: Sequence[float],
    speakers: Sequence[str],
    shape: dict[str, float],
    model: Model,
    *,
    means: Row | None = None,
    weights: dict[str, float] | None = None,
) -> Ranking:
    """Turn the scores of a run's steps into a ranking.

    Args:
        scores: one per step.
        speakers: the agent of each step.
        shape: see `Features.shape`.
        model: that gave the scores.
        means: see `Ranking`.
        weights: see `Ranking`.
    """
    calibration, uniform = model.calibration, 1 / len(scores)
    difference = calibration.distribution.difference(shape)
    weight = 1.0 if difference is None else calibration.model_weight(shape)
    of_model = softmax(scores, calibration.temperature)
    probabilities = [weight * p + (1 - weight) * uniform for p in of_model]
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    confidence = weight * calibration.confidence(max(of_model)) + (1 - weight) * uniform
    return Ranking(
        order=order,
        probabilities=probabilities,
        agents=agent_shares(probabilities, speakers, model.agent_power),
        likely=likely_steps(order, probabilities, calibration.set_mass),
        out_of_distribution=difference,
        confidence=confidence,
        model=model,
        means=means or {},
        weights=weights or {},
    )


def agent_shares(
    probabilities: Sequence[float], speakers: Sequence[str], power: float
) -> dict[str, float]:
    """Share of the blame by agent, largest first; those of equals in order of appearance."""
    masses: dict[str, float] = {}
    for probability, agent in zip(probabilities, speakers, strict=True):
        masses[agent] = masses.get(agent, 0.0) + probability**power
    means = {agent: mass ** (1 / power) for agent, mass in masses.items()}
    total = math.fsum(means.values())
    return {agent: mean / total for agent, mean in sorted(means.items(), key=lambda m: -m[1])}


def likely_steps(order: list[int], probabilities: list[float], mass: float) -> list[int]:
    """The steps before which no more than a given mass is ranked; always the first."""
    before = accumulate((probabilities[index] for index in order), initial=0.0)
    return [index for index, total in zip(order, before, strict=False) if total <= mass]


def system_row(features: Features, index: int) -> Row:
    """What an adapted model also sees of a step: its agent by name, and its number."""
    agent = features.context.run.steps[index].agent
    turn = features.context.own_turn(index)
    row = {f"{AGENT}{agent}": 1.0}
    if turn <= _NUMBERED_TURNS:
        row[f"{AGENT}{agent}, turn {turn}"] = 1.0
    if index < _NUMBERED_STEPS:
        row[f"{STEP}{index}"] = 1.0
    return row


def _effective_weights(model: Model, *, managed: bool) -> dict[str, float]:
    """The weights as they apply to one run: in a managed one, those of the copies are added."""
    weights = {k: w for k, w in model.weights.items() if not k.startswith(MANAGED)}
    if managed:
        for name, weight in model.weights.items():
            if name.startswith(MANAGED):
                original = name.removeprefix(MANAGED)
                weights[original] = weights.get(original, 0.0) + weight
    return weights
