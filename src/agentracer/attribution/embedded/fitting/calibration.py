"""Fit the calibration of a ranker to its scores of runs that it was not trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from agentracer.attribution.embedded.model.calibration import (
    Calibration,
    Shrinkage,
    calibrated,
    log_odds,
    softmax,
)
from agentracer.attribution.embedded.model.features import CONTENT
from agentracer.attribution.embedded.model.out_of_distribution import (
    COMMON_CONTENT,
    NEIGHBOUR,
    DistributionCheck,
    content_kinds,
)
from agentracer.verdict import LIKELY_STEPS_COVERAGE

__all__ = ["HeldOut", "fit_calibration", "fit_distribution"]

_PULL = 10.0  # holds the confidence curve to leaving the probability as it is
_OFFSET_PULL = 0.3  # of it holds the offset
_LEAST_SLOPE = 0.05
_NEWTON_STEPS = 25
_TARGETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_TEMPERATURES = [0.5 * 1.05**power for power in range(45)]  # 0.5 to 4.3
_FEWEST_RUNS = 8  # above a threshold for it to be kept

_SLACK = 1.25  # by which a new run may be farther away than any training run
_LEAST_LIMIT = 0.2  # runs of one system may be all but equal; the next one need not be
_LEAST_SCALE = 0.1
_MOST_POINTS = 150  # training runs whose shapes are kept


@dataclass(frozen=True)
class HeldOut:
    """The scores that a model gave to the steps of a run it had not seen, and the right step."""

    scores: Sequence[float]
    step: int


def fit_calibration(
    held_out: Sequence[HeldOut],
    *,
    distribution: DistributionCheck | None = None,
    shrinkage: Shrinkage | None = None,
) -> Calibration:
    """Fit to the scores of runs that the model behind them had not seen.

    Raises:
        ValueError: there are none.
    """
    if not held_out:
        raise ValueError("calibration needs held-out predictions")
    temperature = min(_TEMPERATURES, key=lambda t: (_loss(held_out, t), abs(math.log(t))))
    tops, masses = [], []
    for run in held_out:
        probabilities = softmax(run.scores, temperature)
        best = max(range(len(probabilities)), key=lambda i: (probabilities[i], -i))
        tops.append((probabilities[best], best == run.step))
        masses.append(_mass_before(probabilities, run.step))
    offset, slope = _fit_curve(tops)
    tops = [(calibrated(top, offset, slope), right) for top, right in tops]
    return Calibration(
        temperature=temperature,
        offset=offset,
        slope=slope,
        coverage=LIKELY_STEPS_COVERAGE,
        set_mass=_conformal_quantile(masses, LIKELY_STEPS_COVERAGE),
        thresholds=_thresholds(tops),
        shrinkage=shrinkage or Shrinkage(),
        distribution=distribution or DistributionCheck(),
        runs=len(held_out),
    )


def _loss(held_out: Sequence[HeldOut], temperature: float) -> float:
    """Mean negative log probability of the right step."""
    total = 0.0
    for run in held_out:
        top = max(run.scores)
        normalizer = math.fsum(math.exp((score - top) / temperature) for score in run.scores)
        total += math.log(normalizer) - (run.scores[run.step] - top) / temperature
    return total / len(held_out)


def _fit_curve(tops: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """Logistic regression of being right on the log odds, by Newton's method."""
    offset, slope = 0.0, 1.0
    points = [(log_odds(top), float(right)) for top, right in tops]
    for _ in range(_NEWTON_STEPS):
        g0, g1 = _OFFSET_PULL * _PULL * offset, _PULL * (slope - 1)
        h00, h01, h11 = _OFFSET_PULL * _PULL, 0.0, _PULL
        for odds, right in points:
            stated = 1 / (1 + math.exp(-(offset + slope * odds)))
            variance = stated * (1 - stated)
            g0, g1 = g0 + stated - right, g1 + (stated - right) * odds
            h00, h01, h11 = (
                h00 + variance,
                h01 + variance * odds,
                h11 + variance * odds * odds,
            )
        determinant = h00 * h11 - h01 * h01
        offset -= (h11 * g0 - h01 * g1) / determinant
        slope -= (h00 * g1 - h01 * g0) / determinant
    return offset, max(slope, _LEAST_SLOPE)


def _mass_before(probabilities: Sequence[float], step: int) -> float:
    """Mass of the steps that are ranked before the right one."""
    own = probabilities[step]
    return math.fsum(p for i, p in enumerate(probabilities) if (-p, i) < (-own, step))


def _conformal_quantile(masses: Sequence[float], coverage: float) -> float:
    """The split-conformal quantile: covers that share of new runs, not only of these."""
    rank = math.ceil((len(masses) + 1) * coverage)
    return 1.0 if rank > len(masses) else sorted(masses)[rank - 1]


def _thresholds(tops: Sequence[tuple[float, bool]]) -> dict[float, float]:
    """For every target error the lowest confidence from which the error stays below it."""
    ranked = sorted(tops, reverse=True)
    thresholds: dict[float, float] = {}
    for target in _TARGETS:
        wrong = 0
        for count, (confidence, right) in enumerate(ranked, start=1):
            wrong += not right
            if count >= _FEWEST_RUNS and wrong <= target * count:
                thresholds[target] = confidence
    return thresholds


def fit_distribution(
    shapes: Sequence[dict[str, float]], groups: Sequence[str]
) -> DistributionCheck:
    """Remember the shapes of runs; the limit lets each pass when its group is left out.

    Args:
        shapes: of the runs; see `Features.shape`.
        groups: the group of each run.

    Raises:
        ModuleNotFoundError: numpy is not installed, and there are more than 150 runs.
    """
    names = sorted({name for shape in shapes for name in shape if not name.startswith(CONTENT)})
    counts = Counter(tuple(content_kinds(shape)) for shape in shapes)
    contents = [
        list(kinds) for kinds in sorted(counts) if counts[kinds] >= COMMON_CONTENT * len(shapes)
    ]
    points = [[shape.get(name, 0.0) for name in names] for shape in shapes]
    scales = [
        max(_deviation([point[i] for point in points]), _LEAST_SCALE) for i in range(len(names))
    ]
    kept = _spread_out(points, scales)
    points, groups = [points[i] for i in kept], [groups[i] for i in kept]
    check = DistributionCheck(names, scales, points)
    nearest = []
    for point, group in zip(points, groups, strict=True):
        others = [p for p, g in zip(points, groups, strict=True) if g != group]
        distances = sorted(check.distance(point, other) for other in others)
        nearest.append(distances[min(NEIGHBOUR, len(distances)) - 1] if distances else 0.0)
    limit = max(_SLACK * max(nearest, default=math.inf), _LEAST_LIMIT)
    return DistributionCheck(names, scales, points, limit, contents)


def _spread_out(points: list[list[float]], scales: list[float]) -> list[int]:
    """Positions of the points that lie farthest apart; close neighbours add nothing."""
    if len(points) <= _MOST_POINTS:
        return list(range(len(points)))
    np: Any = import_module("numpy")
    scaled = np.array(points) / np.array(scales)
    kept = [0]
    distances = np.linalg.norm(scaled - scaled[0], axis=1)
    while len(kept) < _MOST_POINTS:
        farthest = int(distances.argmax())
        kept.append(farthest)
        distances = np.minimum(distances, np.linalg.norm(scaled - scaled[farthest], axis=1))
    return sorted(kept)


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
