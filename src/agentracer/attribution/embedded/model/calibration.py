"""What a probability of the ranker is worth: measured on runs that it was not trained on.

Temperature, conformal step set and abstention thresholds are fitted to held-out predictions
(`HeldOut`). A run that the training runs do not cover is *strange*, by its shape or by the kinds of
content that it has or lacks: then the probabilities are drawn towards a blind guess as far as was
measured on such runs (`Trust`), and the verdict is called uncalibrated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentracer.attribution.embedded.model.out_of_distribution import Shapes

__all__ = ["Calibration", "HeldOut", "Trust", "fit_calibration"]

_COVERAGE = 0.8
_DRAW = 10.0  # pulls the confidence curve towards leaving the probability as it is
_TARGETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_TEMPERATURES = [0.5 * 1.05**power for power in range(45)]  # 0.5 to 4.3
_FEWEST = 8  # held-out runs above a threshold that a promise may rest on


@dataclass(frozen=True)
class HeldOut:
    """The scores that a model gave to the steps of a run it had not seen, and the right step."""

    scores: Sequence[float]
    step: int


@dataclass(frozen=True)
class Trust:
    """Weights of the model against a blind guess in strange runs.

    Attributes:
        shape: where the shape is strange.
        content: where a kind of content is (sums, say, where no training run had any).
    """

    shape: float = 1.0
    content: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How scores become probabilities, and what they promise.

    Attributes:
        temperature: scores are divided by it.
        offset: of the confidence curve: the log odds that the first step is right are
            `offset + slope * log odds of its probability`.
        slope: see `offset`.
        set_mass: a step belongs to the 80 % set if no more mass than this is ranked before it.
        thresholds: target error -> confidence from which the error stayed below the target.
        trust: weights of the model against a blind guess in a strange run.
        shapes: of the runs that all this was measured on.
        runs: how many there were.
    """

    temperature: float = 1.0
    offset: float = 0.0
    slope: float = 1.0
    set_mass: float = _COVERAGE
    thresholds: dict[float, float] = field(default_factory=dict)
    trust: Trust = Trust()
    shapes: Shapes = field(default_factory=Shapes)
    runs: int = 0

    def strangeness(self, shape: dict[str, float]) -> str | None:
        """How a run differs from those that this was measured on; None if it does not."""
        return self.shapes.strangeness(shape)

    def trusted(self, shape: dict[str, float]) -> float:
        """How far to trust the model on a strange run."""
        strange_content = self.shapes.strange_content(shape)
        return min(self.trust.shape, self.trust.content) if strange_content else self.trust.shape

    def confidence(self, probability: float) -> float:
        """How sure to be of a first step that has this probability."""
        return _curve(_log_odds(probability), self.offset, self.slope)

    def threshold(self, target_error: float) -> float:
        """The confidence from which at most this share was wrong; 1.01 if there is none.

        Between two measured targets the stricter one holds.
        """
        met = [low for target, low in self.thresholds.items() if target <= target_error + 1e-9]
        return min(met, default=1.01)

    def as_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "temperature": round(self.temperature, 4),
            "offset": round(self.offset, 4),
            "slope": round(self.slope, 4),
            "set_mass": round(self.set_mass, 4),
            "thresholds": {str(k): round(v, 4) for k, v in sorted(self.thresholds.items())},
            "trust": {"shape": self.trust.shape, "content": self.trust.content},
            "runs": self.runs,
            "shapes": {
                "names": self.shapes.names,
                "scales": [round(scale, 4) for scale in self.shapes.scales],
                "limit": round(self.shapes.limit, 4) if self.shapes.points else None,
                "contents": self.shapes.contents,
                "points": [[round(x, 4) for x in point] for point in self.shapes.points],
            },
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """From JSON data.

        Raises:
            KeyError, TypeError, ValueError: it is not what `as_dict` writes.
        """
        shapes = data["shapes"]
        limit = shapes["limit"]
        temperature = float(data["temperature"])
        if not temperature > 0:
            raise ValueError("the temperature must be positive")
        return cls(
            temperature=temperature,
            offset=float(data["offset"]),
            slope=float(data["slope"]),
            set_mass=float(data["set_mass"]),
            thresholds={float(k): float(v) for k, v in data["thresholds"].items()},
            trust=Trust(float(data["trust"]["shape"]), float(data["trust"]["content"])),
            runs=int(data["runs"]),
            shapes=Shapes(
                names=[str(name) for name in shapes["names"]],
                scales=[float(scale) for scale in shapes["scales"]],
                points=[[float(x) for x in point] for point in shapes["points"]],
                limit=math.inf if limit is None else float(limit),
                contents=[[str(kind) for kind in kinds] for kinds in shapes["contents"]],
            ),
        )


def fit_calibration(
    held_out: Sequence[HeldOut], *, shapes: Shapes | None = None, trust: Trust | None = None
) -> Calibration:
    """Fit to predictions of runs that the model behind them had not seen.

    Raises:
        ValueError: there is none.
    """
    if not held_out:
        raise ValueError("calibration needs held-out predictions")
    temperature = min(_TEMPERATURES, key=lambda t: (_loss(held_out, t), abs(math.log(t))))
    tops, masses = [], []
    for run in held_out:
        probabilities = _softmax(run.scores, temperature)
        best = max(range(len(probabilities)), key=lambda i: (probabilities[i], -i))
        tops.append((probabilities[best], best == run.step))
        masses.append(_mass_before(probabilities, run.step))
    offset, slope = _fit_curve(tops)
    tops = [(_curve(_log_odds(top), offset, slope), right) for top, right in tops]
    return Calibration(
        temperature=temperature,
        offset=offset,
        slope=slope,
        set_mass=_conformal(masses),
        thresholds=_thresholds(tops),
        trust=trust or Trust(),
        shapes=shapes or Shapes(),
        runs=len(held_out),
    )


def _softmax(scores: Sequence[float], temperature: float) -> list[float]:
    top = max(scores)
    raised = [math.exp((score - top) / temperature) for score in scores]
    total = math.fsum(raised)
    return [value / total for value in raised]


def _loss(held_out: Sequence[HeldOut], temperature: float) -> float:
    """Mean of -log of what the right step was given."""
    total = 0.0
    for run in held_out:
        top = max(run.scores)
        spread = math.fsum(math.exp((score - top) / temperature) for score in run.scores)
        total += math.log(spread) - (run.scores[run.step] - top) / temperature
    return total / len(held_out)


def _log_odds(probability: float) -> float:
    inside = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(inside / (1 - inside))


def _curve(odds: float, offset: float, slope: float) -> float:
    return 1 / (1 + math.exp(-(offset + slope * odds)))


def _fit_curve(tops: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """Logistic regression of being right on the log odds, by Newton's method."""
    offset, slope = 0.0, 1.0
    points = [(_log_odds(top), float(right)) for top, right in tops]
    for _ in range(25):
        g0, g1 = 0.3 * _DRAW * offset, _DRAW * (slope - 1)
        h00, h01, h11 = 0.3 * _DRAW, 0.0, _DRAW
        for odds, right in points:
            stated = _curve(odds, offset, slope)
            bend = stated * (1 - stated)
            g0, g1 = g0 + stated - right, g1 + (stated - right) * odds
            h00, h01, h11 = h00 + bend, h01 + bend * odds, h11 + bend * odds * odds
        determinant = h00 * h11 - h01 * h01
        offset -= (h11 * g0 - h01 * g1) / determinant
        slope -= (h00 * g1 - h01 * g0) / determinant
    return offset, max(slope, 0.05)


def _mass_before(probabilities: Sequence[float], step: int) -> float:
    """Mass of the steps that are ranked before the right one."""
    own = probabilities[step]
    return math.fsum(p for i, p in enumerate(probabilities) if (-p, i) < (-own, step))


def _conformal(masses: Sequence[float]) -> float:
    """The split-conformal quantile: covers 80 % of new runs, not only of these."""
    rank = math.ceil((len(masses) + 1) * _COVERAGE)
    return 1.0 if rank > len(masses) else sorted(masses)[rank - 1]


def _thresholds(tops: Sequence[tuple[float, bool]]) -> dict[float, float]:
    """For every target error the lowest confidence from which the error stays below it."""
    ranked = sorted(tops, reverse=True)
    found: dict[float, float] = {}
    for target in _TARGETS:
        wrong = 0
        for count, (confidence, right) in enumerate(ranked, start=1):
            wrong += not right
            if count >= _FEWEST and wrong <= target * count:
                found[target] = confidence
    return found
