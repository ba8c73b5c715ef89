"""Measure calibration error, and accuracy when only the most confident predictions are kept.

An abstention counts as stated confidence 0
in the curves, so that it is the first to be left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agentracer.lab.bench.metrics import Prediction
from agentracer.statistics import ConfidenceBin, calibration_error, confidence_bins

__all__ = ["Point", "Reliability", "reliability"]

_COVERAGES = tuple(part / 20 for part in range(1, 21))


@dataclass(frozen=True)
class Point:
    """Share of hits among the surest `coverage` of the runs."""

    coverage: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How confidence relates to exact steps.

    Attributes:
        ece: expected calibration error over ten bins of equal width.
        bins: those with predictions in them.
        curve: accuracy by coverage, surest first.
        mean_confidence: over the runs that were not abstained from.
        coverage: share of those runs.
    """

    ece: float
    bins: list[ConfidenceBin]
    curve: list[Point]
    mean_confidence: float
    coverage: float


def reliability(predictions: Sequence[Prediction]) -> Reliability:
    """Measure the confidence of predictions.

    Raises:
        ValueError: there is none.
    """
    if not predictions:
        raise ValueError("no predictions to measure")
    stated = [p for p in predictions if not p.abstained]
    bins = confidence_bins([(p.confidence, p.step_correct) for p in stated])
    ece = calibration_error(bins)
    mean = math.fsum(p.confidence for p in stated) / max(len(stated), 1)
    return Reliability(ece, bins, _curve(predictions), mean, len(stated) / len(predictions))


def _curve(predictions: Sequence[Prediction]) -> list[Point]:
    def certainty(prediction: Prediction) -> float:
        return -1.0 if prediction.abstained else prediction.confidence

    ranked = sorted(predictions, key=certainty, reverse=True)
    points = []
    for coverage in _COVERAGES:
        kept = ranked[: max(round(coverage * len(ranked)), 1)]
        points.append(Point(coverage, _expected(kept, ranked)))
    return points


def _expected(kept: Sequence[Prediction], ranked: Sequence[Prediction]) -> float:
    """Share of hits; runs tied with the last one kept count with their mean, not by file order."""
    last = kept[-1].confidence
    surer = [p for p in kept if p.confidence > last]
    tied = [p for p in ranked if p.confidence == last]
    mean = sum(p.step_correct for p in tied) / len(tied)
    return (sum(p.step_correct for p in surer) + mean * (len(kept) - len(surer))) / len(kept)
