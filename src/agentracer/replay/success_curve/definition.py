"""Define which step of a failed run lost it, given the chance of success along the run.

`values[k]` is V(k), the probability that the run succeeds when its first k steps are kept as
recorded and everything after them is done live by the system; k = 0..T. The best chance still open
after k steps is M(k), the largest V(j) with j >= k. The *lasting loss* of step k is
M(k) - M(k + 1): what was lost with that step and did not come back later. Lasting losses are never
negative and add up to max V - V(T).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["MIN_LOSS", "MIN_SHARE", "decisive_step", "lasting_losses"]

MIN_LOSS: Final = 0.2
"""The least lasting loss, as a difference of probabilities, that makes a step decisive."""

MIN_SHARE: Final = 0.5
"""The least share of the whole loss that a decisive step has."""

_ROUNDING = 1e-9


def lasting_losses(values: Sequence[float]) -> list[float]:
    """Compute the lasting loss of each step.

    Args:
        values: V(0)..V(T), each in [0, 1].

    Returns:
        T losses; the k-th belongs to step k. A fall that a later step repairs is none.
    """
    best = values[-1]
    losses = []
    for value in reversed(values[:-1]):
        losses.append(max(0.0, value - best))
        best = max(best, value)
    return losses[::-1]


def decisive_step(values: Sequence[float]) -> int | None:
    """Find the step with the largest lasting loss, if it is large enough to be decisive.

    Args:
        values: V(0)..V(T), each in [0, 1].

    Returns:
        The step (of equals the first), or None where no loss reaches both `MIN_LOSS` and
        `MIN_SHARE` of the sum of all losses.
    """
    losses = lasting_losses(values)
    largest = max(losses, default=0.0)
    if largest < MIN_LOSS - _ROUNDING or largest < MIN_SHARE * sum(losses) - _ROUNDING:
        return None
    return next(step for step, loss in enumerate(losses) if loss >= largest - _ROUNDING)
