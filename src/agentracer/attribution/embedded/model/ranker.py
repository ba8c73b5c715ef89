"""A conditional logit over the steps of a run: scores in, a distribution over steps and agents out.

    P(step i) = exp(w · x_i / T) / sum over all steps j of exp(w · x_j / T)

`x` are the features of a step, `w` the weights of a model, `T` its temperature. The agent head
gives every agent the power mean of its steps' probabilities: with power 1 that is their sum, with a
large one the agent of the likeliest step; the power in between is better than both ends. Plain
Python: a run has few steps, and a dependency less starts faster than a vector product saves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

from agentracer.attribution.embedded.model.catalogue import MANAGED
from agentracer.attribution.embedded.model.features import Features, Row
from agentracer.attribution.embedded.model.model_file import Model

__all__ = ["Ranking", "agent_shares", "likely_steps", "rank", "settle", "softmax", "system_row"]

_STEPS_NAMED = 12  # step numbers that an adapted model may know by themselves
_TURNS_NAMED = 3


@dataclass(frozen=True)
class Ranking:
    """What a model says of one run.

    Attributes:
        order: all steps, most suspicious first.
        probabilities: of each step, calibrated as far as the model is.
        agents: share of the blame by agent, largest first.
        likely: the steps that hold the decisive one in 80 % of runs, most suspicious first.
        strange: how the run differs from those that the model was calibrated on; None if it
            does not.
        confidence: how sure to be of the first step.
        model: that was used.
        means: mean of every feature over the steps of the run.
        weights: of the features in this run.
    """

    order: list[int]
    probabilities: list[float]
    agents: dict[str, float]
    likely: list[int]
    strange: str | None
    confidence: float
    model: Model
    means: Row
    weights: dict[str, float]

    def contributions(self, row: Row) -> dict[str, float]:
        """By how much each feature lifts a step above the mean of the run, in log odds."""
        lifts = {
            name: self.weights.get(name, 0.0) * (row.get(name, 0.0) - mean)
            for name, mean in self.means.items()
        }
        return dict(sorted(lifts.items(), key=lambda item: (-item[1], item[0])))


def rank(features: Features, model: Model) -> Ranking:
    """Rank the steps of a run of at least one step."""
    weights = _effective(model, managed=features.managed)
    scores, means = _scores(features, weights, by_name=model.knows_names)
    speakers = [step.agent for step in features.run.steps]
    return settle(scores, speakers, features.shape(), model, means=means, weights=weights)


def settle(
    scores: list[float],
    speakers: list[str],
    shape: dict[str, float],
    model: Model,
    *,
    means: Row | None = None,
    weights: dict[str, float] | None = None,
) -> Ranking:
    """Turn the scores of a run's steps into a ranking."""
    calibration, blind = model.calibration, 1 / len(scores)
    strange = calibration.strangeness(shape)
    trust = 1.0 if strange is None else calibration.trusted(shape)
    sure = softmax(scores, calibration.temperature)
    probabilities = [trust * p + (1 - trust) * blind for p in sure]
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return Ranking(
        order=order,
        probabilities=probabilities,
        agents=agent_shares(probabilities, speakers, model.agent_power),
        likely=likely_steps(order, probabilities, calibration.set_mass),
        strange=strange,
        confidence=trust * calibration.confidence(max(sure)) + (1 - trust) * blind,
        model=model,
        means=means or {},
        weights=weights or {},
    )


def softmax(scores: list[float], temperature: float) -> list[float]:
    """The distribution that belongs to scores."""
    top = max(scores)
    raised = [math.exp((score - top) / temperature) for score in scores]
    total = math.fsum(raised)
    return [value / total for value in raised]


def agent_shares(probabilities: list[float], speakers: list[str], power: float) -> dict[str, float]:
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
    """What an adapted model also knows of a step: its agent by name, and its number."""
    step = features.run.steps[index]
    turn = features.own_turn(index)
    row = {f"agent: {step.agent}": 1.0}
    if turn <= _TURNS_NAMED:
        row[f"agent: {step.agent}, turn {turn}"] = 1.0
    if index < _STEPS_NAMED:
        row[f"step: {index}"] = 1.0
    return row


def _effective(model: Model, *, managed: bool) -> dict[str, float]:
    """The weights as they apply to one run: in a managed one, those of the copies are added."""
    weights = {k: w for k, w in model.weights.items() if not k.startswith(MANAGED)}
    if managed:
        for name, weight in model.weights.items():
            if name.startswith(MANAGED):
                base = name.removeprefix(MANAGED)
                weights[base] = weights.get(base, 0.0) + weight
    return weights


def _scores(
    features: Features, weights: dict[str, float], *, by_name: bool
) -> tuple[list[float], Row]:
    totals: Row = {}
    scores = []
    for index in range(len(features)):
        row = features.row(index)
        if by_name:
            row |= system_row(features, index)
        score = 0.0
        for name, value in row.items():
            score += weights.get(name, 0.0) * value
            totals[name] = totals.get(name, 0.0) + value
        scores.append(score)
    return scores, {name: total / len(features) for name, total in totals.items()}
