"""Choose the prefix whose replay tells most about the decisive step, for what it costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from math import log2
from typing import TypeVar

from agentracer.replay.success_curve.posterior import Answer, CurveSample

__all__ = ["answer_set", "information", "neighbouring", "next_prefixes"]

T = TypeVar("T")

_OVERHEAD = 1.0  # what starting a replay costs, in live steps


def information(sample: CurveSample) -> list[float]:
    """Estimate what one more replay of each prefix is expected to tell about the answer, in bits.

    This is the mutual information between the answer and the outcome of the replay: the entropy of
    the outcome less its mean entropy once the answer is known.
    """
    weights, whole = sample.weights, sum(sample.weights)
    sizes: dict[Answer, float] = defaultdict(float)
    for answer, weight in zip(sample.answers, weights, strict=True):
        sizes[answer] += weight
    sums = dict.fromkeys(sizes, 0.0)  # of V(k) over the curves of each answer
    terms = dict.fromkeys(sizes, 0.0)  # what each answer adds to the mean entropy
    row = [0.0] * sample.size
    conditional, bits = 0.0, [0.0]
    for moved in reversed(sample.moves):
        changed = set()
        for curve, rate in moved:
            answer = sample.answers[curve]
            sums[answer] += (rate - row[curve]) * weights[curve]
            row[curve] = rate
            changed.add(answer)
        for answer in changed:
            if sizes[answer]:
                term = sizes[answer] * _entropy(sums[answer] / sizes[answer]) / whole
                conditional += term - terms[answer]
                terms[answer] = term
        bits.append(max(0.0, _entropy(sum(sums.values()) / whole) - conditional))
    return bits[::-1]


def next_prefixes(
    sample: CurveSample,
    cost: Callable[[int], float],
    *,
    size: int = 1,
    barred: Collection[int] = (),
) -> list[tuple[int, float]]:
    """Choose which prefixes to replay next.

    Args:
        sample: curves of the posterior.
        cost: expected live steps of a replay that keeps so many steps.
        size: how many replays start at once. A prefix may come more than once; each time what is
            left to be learned from it counts half.
        barred: prefixes that are not to be chosen.

    Returns:
        `size` pairs of a prefix and the bits that one replay of it is expected to tell, the most
        telling for its cost first. The full record is never chosen: its rate is known.
    """
    bits = information(sample)[:-1]
    worth = {k: b / (cost(k) + _OVERHEAD) for k, b in enumerate(bits) if k not in barred}
    chosen: list[tuple[int, float]] = []
    for _ in range(size if worth else 0):
        best = max(worth, key=lambda k: (worth[k], k))
        chosen.append((best, bits[best]))
        worth[best] /= 2
    return chosen


def _entropy(rate: float) -> float:
    if rate <= 0.0 or rate >= 1.0:
        return 0.0
    return -(rate * log2(rate) + (1 - rate) * log2(1 - rate))


def answer_set(posterior: Mapping[T, float], level: float) -> tuple[T, ...]:
    """List the most probable answers that together reach a level.

    Args:
        posterior: the probability of each answer, most probable first.
        level: what they reach together.
    """
    total = 0.0
    listed: list[T] = []
    for answer, probability in posterior.items():
        if total >= level:
            break
        listed.append(answer)
        total += probability
    return tuple(listed)


def neighbouring(answers: Sequence[Answer], width: int) -> bool:
    """Whether all answers are steps, at most `width` of them, and follow each other."""
    steps = sorted(a for a in answers if isinstance(a, int))
    return len(steps) == len(answers) <= width and bool(steps) and steps[-1] - steps[0] < width
