"""Whether a run is like the training runs, by its shape and its kinds of content."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

__all__ = ["CONTENT", "Shapes", "fit_shapes"]

CONTENT = "content: "
"""Prefix of what tells of a run that it has a kind of content, and not of its shape."""

_MARGIN = 0.05  # beyond the range of a training figure that still counts as inside
_NEIGHBOUR = 3
_SLACK = 1.25
_TIGHTEST = 0.2  # runs of one system may be all but equal; the next one need not be
_POINTS = 150  # training runs whose shapes are kept
_KNOWN = 0.02  # share of the training runs from which their kinds of content are known


@dataclass(frozen=True)
class Shapes:
    """The shapes of the training runs, by the figures of `Features.shape`.

    Attributes:
        names: of the figures.
        scales: by which differences are divided.
        points: one a training run.
        limit: distance to the third nearest run from which a run is strange.
        contents: sets of kinds of content that training runs had.
    """

    names: list[str] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    limit: float = math.inf
    contents: list[list[str]] = field(default_factory=list)

    def strangeness(self, shape: dict[str, float]) -> str | None:
        """How a run differs from all of these; None if it does not."""
        if not self.points:
            return None
        if self.strange_content(shape):
            kinds = " and ".join(_contents(shape)) or "nothing"
            return f"hardly a training run has {kinds} to check, and nothing else"
        point = [shape.get(name, 0.0) for name in self.names]
        for position, (name, value) in enumerate(zip(self.names, point, strict=True)):
            column = [other[position] for other in self.points]
            if not min(column) - _MARGIN <= value <= max(column) + _MARGIN:
                return f"its share or number of '{name}' is outside that of the training runs"
        distances = sorted(self._distance(point, other) for other in self.points)
        if distances[min(_NEIGHBOUR, len(distances)) - 1] > self.limit:
            return "no training run has a similar mix of agents, lengths and kinds of steps"
        return None

    def strange_content(self, shape: dict[str, float]) -> bool:
        """Whether hardly a training run has the same kinds of content."""
        return bool(self.contents) and _contents(shape) not in self.contents

    def _distance(self, one: Sequence[float], other: Sequence[float]) -> float:
        scaled = zip(one, other, self.scales, strict=True)
        return math.sqrt(sum(((a - b) / scale) ** 2 for a, b, scale in scaled) / len(self.scales))


def fit_shapes(shapes: Sequence[dict[str, float]], groups: Sequence[str]) -> Shapes:
    """Remember the shapes of runs; the limit lets each through when its group is left out."""
    names = sorted({name for shape in shapes for name in shape if not name.startswith(CONTENT)})
    common = Counter(tuple(_contents(shape)) for shape in shapes)
    contents = [list(kinds) for kinds in sorted(common) if common[kinds] >= _KNOWN * len(shapes)]
    points = [[shape.get(name, 0.0) for name in names] for shape in shapes]
    scales = [max(_deviation([point[i] for point in points]), 0.1) for i in range(len(names))]
    kept = _spread(Shapes(names, scales, points))
    points, groups = [points[i] for i in kept], [groups[i] for i in kept]
    known = Shapes(names, scales, points)
    nearest = []
    for point, group in zip(points, groups, strict=True):
        others = [p for p, g in zip(points, groups, strict=True) if g != group]
        distances = sorted(known._distance(point, other) for other in others)
        nearest.append(distances[min(_NEIGHBOUR, len(distances)) - 1] if distances else 0.0)
    limit = max(_SLACK * max(nearest, default=math.inf), _TIGHTEST)
    return Shapes(names, scales, points, limit, contents)


def _contents(shape: dict[str, float]) -> list[str]:
    return sorted(name.removeprefix(CONTENT) for name in shape if name.startswith(CONTENT))


def _spread(shapes: Shapes) -> list[int]:
    """Positions of the points that lie farthest apart, for neighbours say nothing new."""
    if len(shapes.points) <= _POINTS:
        return list(range(len(shapes.points)))
    np: Any = import_module("numpy")  # here, since only fitting may need it
    points = np.array(shapes.points) / np.array(shapes.scales)
    kept = [0]
    away = np.linalg.norm(points - points[0], axis=1)
    while len(kept) < _POINTS:
        farthest = int(away.argmax())
        kept.append(farthest)
        away = np.minimum(away, np.linalg.norm(points - points[farthest], axis=1))
    return sorted(kept)


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
