"""Whether one tracer is better than another on the same runs, or only luckier.

The same runs are hard for everybody, so differences are taken run by run. It knows lists of
figures, one a run, and nothing of traces.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Comparison", "compare", "paired_difference", "sign_test"]

_RESAMPLES = 2_000


@dataclass(frozen=True)
class Comparison:
    """The difference of two means over the same runs.

    Attributes:
        value: mean of the differences.
        low: lower end of its 95 % interval, and `high` the upper one (paired bootstrap).
        high: see `low`.
        better: runs in which the first did better, and `worse` in which the second did.
        worse: see `better`.
        p_value: of the exact two-sided sign test.
    """

    value: float
    low: float
    high: float
    better: int
    worse: int
    p_value: float


def compare(one: Sequence[float], other: Sequence[float]) -> Comparison:
    """Compare two sets of figures for the same runs, in the same order.

    Raises:
        ValueError: they are not of the same length, or empty.
    """
    differences = [a - b for a, b in zip(one, other, strict=True)]
    if not differences:
        raise ValueError("nothing to compare")
    low, high = paired_difference(differences)
    better = sum(difference > 0 for difference in differences)
    worse = sum(difference < 0 for difference in differences)
    mean = math.fsum(differences) / len(differences)
    return Comparison(mean, low, high, better, worse, sign_test(better, worse))


def paired_difference(differences: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of differences: 2,000 resamples over runs, percentiles."""
    draw = random.Random(seed)  # noqa: S311 - statistics, not secrets
    count = len(differences)
    means = sorted(math.fsum(draw.choices(differences, k=count)) / count for _ in range(_RESAMPLES))
    return means[round(0.025 * (_RESAMPLES - 1))], means[round(0.975 * (_RESAMPLES - 1))]


def sign_test(better: int, worse: int) -> float:
    """Probability of so uneven a split of runs that differ, were both equally good."""
    count, fewer = better + worse, min(better, worse)
    tail: float = sum(math.comb(count, k) for k in range(fewer + 1)) / 2**count
    return min(1.0, 2 * tail)
