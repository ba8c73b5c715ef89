"""Whether a run is like the training runs, by its shape and its kinds of content."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentracer.attribution.embedded.model.features import CONTENT

__all__ = ["COMMON_CONTENT", "NEIGHBOUR", "DistributionCheck", "content_kinds"]

COMMON_CONTENT = 0.02
"""Share of the training runs from which a set of kinds of content counts as covered."""

NEIGHBOUR = 3
"""The distance to the how-many-th nearest training run decides."""

_MARGIN = 0.05  # beyond the range of a training figure that still counts as inside


@dataclass(frozen=True)
class DistributionCheck:
    """The shapes of the training runs, by the figures of `Features.shape`.

    Attributes:
        names: of the figures.
        scales: by which differences are divided.
        points: the figures of each training run that is kept.
        limit: largest distance to the third nearest of them at which a run is like them.
        contents: sets of kinds of content that training runs had.
    """

    names: list[str] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    limit: float = math.inf
    contents: list[list[str]] = field(default_factory=list)

    def difference(self, shape: dict[str, float]) -> str | None:
        """How a run differs from all training runs, in words; None if it does not."""
        if not self.points:
            return None
        if self.has_new_content(shape):
            kinds = " and ".join(content_kinds(shape))
            content = f"{kinds} to check and nothing else" if kinds else "nothing to check"
            return f"under {COMMON_CONTENT:.0%} of the training runs have {content}"
        point = [shape.get(name, 0.0) for name in self.names]
        for position, (name, value) in enumerate(zip(self.names, point, strict=True)):
            column = [other[position] for other in self.points]
            if not min(column) - _MARGIN <= value <= max(column) + _MARGIN:
                return f"its share or number of '{name}' is outside that of the training runs"
        distances = sorted(self.distance(point, other) for other in self.points)
        if distances[min(NEIGHBOUR, len(distances)) - 1] > self.limit:
            return "no training run has a similar mix of agents, lengths and kinds of steps"
        return None

    def has_new_content(self, shape: dict[str, float]) -> bool:
        """Whether hardly a training run has the same kinds of content."""
        return bool(self.contents) and content_kinds(shape) not in self.contents

    def distance(self, first: Sequence[float], second: Sequence[float]) -> float:
        """Root mean square difference of two points, in units of `scales`."""
        scaled = zip(first, second, self.scales, strict=True)
        return math.sqrt(sum(((a - b) / scale) ** 2 for a, b, scale in scaled) / len(self.scales))


def content_kinds(shape: dict[str, float]) -> list[str]:
    """The kinds of checkable content that a run has."""
    return sorted(name.removeprefix(CONTENT) for name in shape if name.startswith(CONTENT))
