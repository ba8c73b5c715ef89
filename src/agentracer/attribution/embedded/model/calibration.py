"""What a probability of the ranker is worth: measured on runs that it was not trained on.

Temperature, conformal step set and abstention thresholds were fitted to held-out predictions (see
`fitting.calibration`). A run that the training runs do not cover is out of distribution, by its
shape or by the kinds of content that it has or lacks: then the probabilities are drawn towards a
uniform guess as far as was measured on such runs (`Shrinkage`), and the verdict is called
uncalibrated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agentracer.attribution.embedded.model.out_of_distribution import DistributionCheck
from agentracer.verdict import LIKELY_STEPS_COVERAGE

__all__ = ["Calibration", "Shrinkage", "calibrated", "log_odds", "softmax"]

_NO_THRESHOLD = 1.01  # a confidence that no verdict reaches
_EXTREME = 1e-4  # probabilities nearer to 0 or 1 are taken for this near


def softmax(scores: Sequence[float], temperature: float) -> list[float]:
    """The distribution over steps that belongs to their scores."""
    top = max(scores)
    raised = [math.exp((score - top) / temperature) for score in scores]
    total = math.fsum(raised)
    return [value / total for value in raised]


def log_odds(probability: float) -> float:
    """The log odds of a probability, which is kept away from 0 and 1."""
    inside = min(max(probability, _EXTREME), 1 - _EXTREME)
    return math.log(inside / (1 - inside))


def calibrated(probability: float, offset: float, slope: float) -> float:
    """The probability whose log odds are `offset + slope * log odds` of another."""
    return 1 / (1 + math.exp(-(offset + slope * log_odds(probability))))


@dataclass(frozen=True)
class Shrinkage:
    """Weights of the model against a uniform guess in runs out of distribution.

    Attributes:
        shape: where the shape of a run is new.
        content: where its kinds of content are (sums, say, where no training run had any).
    """

    shape: float = 1.0
    content: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How scores become probabilities, and what these mean.

    Attributes:
        temperature: scores are divided by it.
        offset: of the confidence curve: the log odds that the first step is right are
            `offset + slope * log odds of its probability`.
        slope: see `offset`.
        coverage: share of held-out runs whose right step is among the likely ones.
        set_mass: a step is among the likely ones if no more mass than this is ranked before it.
        thresholds: target error -> confidence from which the error stayed below the target.
        shrinkage: weights of the model in a run out of distribution.
        distribution: of the runs that all this was measured on.
        runs: how many there were.
    """

    temperature: float = 1.0
    offset: float = 0.0
    slope: float = 1.0
    coverage: float = LIKELY_STEPS_COVERAGE
    set_mass: float = LIKELY_STEPS_COVERAGE
    thresholds: dict[float, float] = field(default_factory=dict)
    shrinkage: Shrinkage = Shrinkage()
    distribution: DistributionCheck = field(default_factory=DistributionCheck)
    runs: int = 0

    def model_weight(self, shape: dict[str, float]) -> float:
        """The weight of the model against a uniform guess in a run out of distribution."""
        if self.distribution.has_new_content(shape):
            return min(self.shrinkage.shape, self.shrinkage.content)
        return self.shrinkage.shape

    def confidence(self, probability: float) -> float:
        """The probability that a first step of this probability is right."""
        return calibrated(probability, self.offset, self.slope)

    def threshold(self, target_error: float) -> float:
        """The confidence from which at most this share was wrong; 1.01 if there is none.

        Between two measured targets the stricter one holds.
        """
        met = [low for target, low in self.thresholds.items() if target <= target_error + 1e-9]
        return min(met, default=_NO_THRESHOLD)

    def as_dict(self) -> dict[str, Any]:
        """As JSON data."""
        check = self.distribution
        return {
            "temperature": round(self.temperature, 4),
            "offset": round(self.offset, 4),
            "slope": round(self.slope, 4),
            "coverage": self.coverage,
            "set_mass": round(self.set_mass, 4),
            "thresholds": {str(k): round(v, 4) for k, v in sorted(self.thresholds.items())},
            "shrinkage": {"shape": self.shrinkage.shape, "content": self.shrinkage.content},
            "runs": self.runs,
            "distribution": {
                "names": check.names,
                "scales": [round(scale, 4) for scale in check.scales],
                "limit": round(check.limit, 4) if check.points else None,
                "contents": check.contents,
                "points": [[round(x, 4) for x in point] for point in check.points],
            },
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """From JSON data.

        Raises:
            KeyError, TypeError, ValueError: it is not what `as_dict` writes.
        """
        check, shrinkage = data["distribution"], data["shrinkage"]
        limit = check["limit"]
        temperature = float(data["temperature"])
        if not temperature > 0:
            raise ValueError("the temperature must be positive")
        return cls(
            temperature=temperature,
            offset=float(data["offset"]),
            slope=float(data["slope"]),
            coverage=float(data["coverage"]),
            set_mass=float(data["set_mass"]),
            thresholds={float(k): float(v) for k, v in data["thresholds"].items()},
            shrinkage=Shrinkage(float(shrinkage["shape"]), float(shrinkage["content"])),
            runs=int(data["runs"]),
            distribution=DistributionCheck(
                names=[str(name) for name in check["names"]],
                scales=[float(scale) for scale in check["scales"]],
                points=[[float(x) for x in point] for point in check["points"]],
                limit=math.inf if limit is None else float(limit),
                contents=[[str(kind) for kind in kinds] for kinds in check["contents"]],
            ),
        )
