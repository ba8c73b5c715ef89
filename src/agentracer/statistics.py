"""Exact tests, intervals and calibration error, each in one place and without dependencies.

All functions take plain numbers. Tests are exact, for samples here are small: tens of replays, tens
of tasks.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

__all__ = [
    "ALPHA",
    "ConfidenceBin",
    "PairedComparison",
    "Rate",
    "binomial_tail",
    "bootstrap_interval",
    "boschloo_p_value",
    "boschloo_power",
    "calibration_error",
    "compare_paired",
    "confidence_bins",
    "sign_test",
    "smallest_sample",
    "wilson",
]

ALPHA: Final = 0.05
"""Significance level used throughout: the largest accepted chance of a false positive."""

_Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution
_RESAMPLES = 2_000  # bootstrap; the ends of a 95 % interval then rest on 50 resamples each
_SUCCESS_RATES: Final = 400  # grid of Boschloo's nuisance parameter; its maximum errs by < 1e-4
_TIE = 1e-9  # tables whose Fisher probabilities differ by less are equally extreme
_BINS = 10  # of the expected calibration error, as in Guo et al., ICML 2017


@dataclass(frozen=True)
class Rate:
    """A share of hits with its 95 % Wilson interval.

    Attributes:
        hits: a count, or a fraction where hits are expectations.
        n: number of trials.
    """

    hits: float
    n: int

    @property
    def value(self) -> float:
        """Hits per trial, 0 to 1; 0 without trials."""
        return self.hits / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % interval."""
        return wilson(self.hits, self.n)


def wilson(hits: float, n: int, z: float = _Z95) -> tuple[float, float]:
    """Return the Wilson score interval of `hits` out of `n` (E. B. Wilson, JASA 22, 1927).

    Args:
        hits: successes; may be a fraction.
        n: trials; 0 gives (0, 1).
        z: quantile of the normal distribution; the default gives 95 %.

    Raises:
        ValueError: `hits` is not between 0 and `n`.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} hits out of {n}")
    if n == 0:
        return 0.0, 1.0
    share, square = hits / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # Rounding must not push an end past the share itself, nor past 0 and 1.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


# -- paired samples


def binomial_tail(successes: int, failures: int) -> float:
    """Return the chance of at least `successes` heads in `successes + failures` fair coin tosses.

    As a one-sided sign test: pairs that differ in one direction against pairs that differ in the
    other. Where each pair is one run, this is McNemar's exact test.
    """
    count = successes + failures
    ways: float = sum(math.comb(count, k) for k in range(successes, count + 1)) / 2**count
    return min(1.0, ways)


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided p-value of the exact sign test; 1.0 where no pair differs."""
    return min(1.0, 2 * binomial_tail(max(better, worse), min(better, worse)))


@dataclass(frozen=True)
class PairedComparison:
    """The difference of two means over the same runs.

    Attributes:
        value: mean of the differences.
        low: lower end of its 95 % interval (paired bootstrap).
        high: upper end of that interval.
        better: number of runs in which the first did better.
        worse: number of runs in which the second did better.
        p_value: of the exact two-sided sign test.
    """

    value: float
    low: float
    high: float
    better: int
    worse: int
    p_value: float


def compare_paired(first: Sequence[float], second: Sequence[float]) -> PairedComparison:
    """Compare two lists of figures for the same runs, in the same order.

    Raises:
        ValueError: the lists differ in length, or are empty.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if not differences:
        raise ValueError("nothing to compare")
    low, high = bootstrap_interval(differences)
    better = sum(difference > 0 for difference in differences)
    worse = sum(difference < 0 for difference in differences)
    mean = math.fsum(differences) / len(differences)
    return PairedComparison(mean, low, high, better, worse, sign_test(better, worse))


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean of `values` (2,000 resamples)."""
    draw = random.Random(seed)  # noqa: S311 - statistics, not secrets
    count = len(values)
    means = sorted(math.fsum(draw.choices(values, k=count)) / count for _ in range(_RESAMPLES))
    return means[round(0.025 * (_RESAMPLES - 1))], means[round(0.975 * (_RESAMPLES - 1))]


# -- two independent samples


def boschloo_p_value(flips: int, replays: int, control_flips: int, control_replays: int) -> float:
    """Return the one-sided p-value of Boschloo's exact test of `flips` against `control_flips`.

    Fisher's exact probability orders the tables; the p-value is the largest chance, over every
    success rate that both samples might share, of a table at least as extreme as the one seen.
    Exact for small samples and never less powerful than Fisher's test.

    Args:
        flips: successes of the first sample, of `replays`.
        replays: size of the first sample.
        control_flips: successes of the second sample, of `control_replays`.
        control_replays: size of the second sample.

    Returns:
        0 to 1; 1.0 where one of the samples is empty.
    """
    if not replays or not control_replays:
        return 1.0
    return _boschloo_table(replays, control_replays)[flips, control_flips]


def boschloo_power(size: int, rate: float, control_rate: float, alpha: float = ALPHA) -> float:
    """Return the chance that Boschloo's test of two samples of this size is below `alpha`.

    Args:
        size: of each sample, at least 1.
        rate: success rate of the first.
        control_rate: success rate of the second.
        alpha: level of the test.
    """
    first, second = _binomial(size, rate), _binomial(size, control_rate)
    return sum(
        first[flips] * second[control]
        for flips in range(size + 1)
        for control in range(size + 1)
        if boschloo_p_value(flips, size, control, size) < alpha
    )


@cache
def smallest_sample(alpha: float) -> int:
    """Return the least size of two equal samples that can reach a p-value of `alpha` at all."""
    size = 1
    while boschloo_p_value(size, size, 0, size) > alpha:
        size += 1
    return size


@cache
def _boschloo_table(first: int, second: int) -> dict[tuple[int, int], float]:
    """Boschloo's p-value of every table with these two sample sizes."""
    tables = [(a, c) for a in range(first + 1) for c in range(second + 1)]
    ordered = sorted(tables, key=lambda t: _fisher(t[0], first, t[1], second))
    rates = [i / _SUCCESS_RATES for i in range(1, _SUCCESS_RATES)]
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
    total, size = flips + control_flips, replays + control_replays
    at_least = range(flips, min(replays, total) + 1)
    ways = sum(math.comb(replays, k) * math.comb(control_replays, total - k) for k in at_least)
    return ways / math.comb(size, total)


def _binomial(size: int, rate: float) -> list[float]:
    return [math.comb(size, k) * rate**k * (1.0 - rate) ** (size - k) for k in range(size + 1)]


# -- calibration


@dataclass(frozen=True)
class ConfidenceBin:
    """Predictions of similar confidence: how many, their mean confidence, their share of hits."""

    n: int
    confidence: float
    accuracy: float


def confidence_bins(predictions: Sequence[tuple[float, bool]]) -> list[ConfidenceBin]:
    """Sort (confidence, correct) pairs into ten bins of equal width; empty bins are left out."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
    for confidence, correct in predictions:
        members[min(int(confidence * _BINS), _BINS - 1)].append((confidence, correct))
    return [
        ConfidenceBin(
            n=len(pairs),
            confidence=math.fsum(confidence for confidence, _ in pairs) / len(pairs),
            accuracy=sum(correct for _, correct in pairs) / len(pairs),
        )
        for pairs in members
        if pairs
    ]


def calibration_error(bins: Sequence[ConfidenceBin]) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy, by bin size.

    0.0 without predictions.
    """
    count = sum(b.n for b in bins)
    return math.fsum(b.n * abs(b.confidence - b.accuracy) for b in bins) / max(count, 1)
