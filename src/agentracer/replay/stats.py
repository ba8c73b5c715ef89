"""Does correcting a step flip the outcome more often than luck? The exact test, and its stopping.

Two independent samples are compared: replays with the correction, and replays without it (the
control). The test is Boschloo's: Fisher's exact probability orders the tables, and what counts is
the highest chance, over every success rate that both samples might share, of a table as extreme as
the one seen. It is exact for small samples and never less powerful than Fisher's.

A *design* fixes the size of both samples beforehand. Replays stop as soon as the rest of them could
no longer change the conclusion (curtailment), so stopping early decides what the full samples would
have decided, and the error rate is theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

__all__ = ["ALPHA", "Design", "flip_p_value", "smallest_sample"]

ALPHA: Final = 0.05
"""How often, at most, luck alone may confirm anything in one search."""

_RATES: Final = 400  # success rates tried: the maximum between two of them differs by under 1e-4
_TIE = 1e-9


def flip_p_value(flips: int, replays: int, control_flips: int, control_replays: int) -> float:
    """How often luck alone gives the corrected replays so many more of all flips.

    Boschloo's exact test, one-sided. 1.0 where one of the samples is empty.
    """
    if not replays or not control_replays:
        return 1.0
    return _p_values(replays, control_replays)[flips, control_flips]


@cache
def smallest_sample(alpha: float) -> int:
    """The least size of both samples with which a clean sweep shows anything at this level."""
    size = 1
    while flip_p_value(size, size, 0, size) > alpha:
        size += 1
    return size


@dataclass(frozen=True, slots=True)
class Design:
    """How many replays decide about one step.

    Attributes:
        repeats: size of each of the two samples.
        alpha: level at which one step is confirmed.
        certain: the system is known to be deterministic, so that one replay of each kind decides.
        reproducible: whether a rerun without any change gave the same run again; None if untried.
    """

    repeats: int
    alpha: float = ALPHA
    certain: bool = False
    reproducible: bool | None = None

    def shows(self, flips: int, replays: int, control_flips: int, control_replays: int) -> bool:
        """Whether these counts confirm the step."""
        if self.certain:
            return flips == replays > 0 and control_flips == 0 and control_replays > 0
        return flip_p_value(flips, replays, control_flips, control_replays) <= self.alpha


@cache
def _p_values(first: int, second: int) -> dict[tuple[int, int], float]:
    """Boschloo's p for every table with these two sample sizes."""
    tables = [(a, c) for a in range(first + 1) for c in range(second + 1)]
    ordered = sorted(tables, key=lambda t: _fisher(t[0], first, t[1], second))
    rates = [i / _RATES for i in range(1, _RATES)]
    chances = {size: [_binomial(size, rate) for rate in rates] for size in {first, second}}
    reached = [0.0] * len(rates)
    p_values: dict[tuple[int, int], float] = {}
    tied: list[tuple[int, int]] = []
    for position, (a, c) in enumerate(ordered):
        for i in range(len(rates)):
            reached[i] += chances[first][i][a] * chances[second][i][c]
        tied.append((a, c))
        if position + 1 < len(ordered):
            here = _fisher(a, first, c, second)
            following = ordered[position + 1]
            if _fisher(following[0], first, following[1], second) <= here + _TIE:
                continue  # as extreme as this one: both belong to the region of either
        p_values.update(dict.fromkeys(tied, min(1.0, max(reached))))
        tied.clear()
    return p_values


@cache
def _fisher(flips: int, replays: int, control_flips: int, control_replays: int) -> float:
    in_all, size = flips + control_flips, replays + control_replays
    as_many = range(flips, min(replays, in_all) + 1)
    ways = sum(math.comb(replays, k) * math.comb(control_replays, in_all - k) for k in as_many)
    return ways / math.comb(size, in_all)


def _binomial(size: int, rate: float) -> list[float]:
    return [math.comb(size, k) * rate**k * (1.0 - rate) ** (size - k) for k in range(size + 1)]
