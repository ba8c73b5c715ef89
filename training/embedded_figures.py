"""The figures of the model card: accuracy, calibration, differences from rules, permutations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from agentracer.attribution.embedded.fitting.cross_validation import (
    HeldOutResult,
    cross_validate,
    shuffled,
)
from agentracer.attribution.embedded.fitting.fit import Example
from agentracer.lab.bench.metrics import METRICS, Prediction, score
from agentracer.lab.bench.reliability import reliability
from agentracer.lab.bench.rules import Baseline, baselines
from agentracer.statistics import compare_paired
from agentracer.trace import Trace

__all__ = ["SHUFFLES", "evaluate", "figures_of", "permutation_test"]

SHUFFLES = 10
"""Draws of the permutation test."""


def evaluate(logs: Sequence[Trace], outcomes: Sequence[HeldOutResult]) -> dict[str, Any]:
    """Figures by subset: of the ranker, of the rules, and their paired differences."""
    figures: dict[str, Any] = {}
    for subset in sorted({str(trace.metadata["subset"]) for trace in logs}):
        traces = [trace for trace in logs if trace.metadata["subset"] == subset]
        ids = {trace.id for trace in traces}
        outcomes_of_subset = [outcome for outcome in outcomes if outcome.example.id in ids]
        rules = baselines(traces)
        figures[subset] = {
            "n": len(traces),
            "ranker": figures_of(outcomes_of_subset),
            "rules": {rule.name: {"fitted": rule.fitted, **rates(rule)} for rule in rules},
            "differences": differences(traces, outcomes_of_subset, rules),
        }
    figures["both"] = {"ranker": figures_of(outcomes)}
    return figures


def predictions_of(outcomes: Sequence[HeldOutResult]) -> list[Prediction]:
    """Outcomes as the benchmark scores them."""
    return [
        Prediction(
            id=o.example.id,
            file="",
            agent=o.agent,
            step=o.step,
            candidates=tuple((o.example.speakers[i], i) for i in o.ranking.order[:5]),
            label_agent=o.example.agent,
            label_step=o.example.step,
            confidence=o.ranking.confidence,
        )
        for o in outcomes
    ]


def figures_of(outcomes: Sequence[HeldOutResult]) -> dict[str, Any]:
    """Means over seeds, their spread, intervals for the number of runs, and calibration."""
    if not outcomes:
        return {}
    seeds = sorted({outcome.seed for outcome in outcomes})
    by_seed = [predictions_of([o for o in outcomes if o.seed == seed]) for seed in seeds]
    scores = [score(predictions) for predictions in by_seed]
    figures: dict[str, Any] = {}
    for metric in METRICS:
        values = [one.rates[metric].value for one in scores]
        mean = sum(values) / len(values)
        spread = (sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)) ** 0.5
        low, high = replace(scores[0].rates[metric], hits=mean * scores[0].n).interval
        figures[metric] = {"value": mean, "sd_seeds": spread, "low": low, "high": high}
    pooled = reliability([p for predictions in by_seed for p in predictions])
    half = next(point.accuracy for point in pooled.curve if point.coverage == 0.5)
    figures["ece"] = pooled.ece
    figures["ece_mean_of_seeds"] = sum(reliability(p).ece for p in by_seed) / len(by_seed)
    figures["ece_by_chance"] = chance_ece(outcomes)
    figures["confidence"] = pooled.mean_confidence
    figures["accuracy_at_half_coverage"] = half
    figures["set_coverage"] = sum(o.example.step in o.ranking.likely for o in outcomes) / len(
        outcomes
    )
    sizes = sorted(len(o.ranking.likely) for o in outcomes)
    figures["set_median_size"] = sizes[len(sizes) // 2]
    new = sum(o.ranking.out_of_distribution is not None for o in outcomes)
    figures["out_of_distribution"] = new / len(outcomes)
    return figures


def rates(rule: Baseline) -> dict[str, Any]:
    """The figures of a rule."""
    return {
        metric: {"value": rate.value, "low": rate.interval[0], "high": rate.interval[1]}
        for metric, rate in rule.scores.rates.items()
    }


def differences(
    traces: Sequence[Trace], outcomes: Sequence[HeldOutResult], rules: Sequence[Baseline]
) -> dict[str, Any]:
    """Ranker less the best rule, run by run: of all rules, and of those that saw no labels."""
    by_run: dict[str, list[Prediction]] = {trace.id: [] for trace in traces}
    for prediction in predictions_of(outcomes):
        by_run[prediction.id].append(prediction)
    figures: dict[str, Any] = {}
    for metric in ("agent_accuracy", "step_accuracy", "step_top3", "step_top5"):
        test = METRICS[metric]
        outcomes_of_subset = [
            sum(map(test, predictions)) / len(predictions) for predictions in by_run.values()
        ]
        for which, allowed in (
            ("any rule", rules),
            ("no label", [r for r in rules if not r.fitted]),
        ):
            best = max(
                (rule for rule in allowed if rule.predictions),
                key=lambda rule: rule.scores.rates[metric].value,
            )
            theirs = [float(test(prediction)) for prediction in best.predictions]
            against = asdict(compare_paired(outcomes_of_subset, theirs))
            figures[f"{metric} against {which}"] = {"rule": best.name, **against}
    return figures


def permutation_test(logs: Sequence[Trace], examples: Sequence[Example]) -> dict[str, Any]:
    """What cross-validation reaches when the labels are drawn at random: chance, if all is well."""
    subset = {trace.id: str(trace.metadata["subset"]) for trace in logs}
    figures: dict[str, Any] = {}
    for number in range(SHUFFLES):
        drawn = shuffled(examples, number)
        outcomes = cross_validate(drawn, seeds=[number])
        for name in sorted(set(subset.values())):
            outcomes_of_subset = [o for o in outcomes if subset[o.example.id] == name]
            cell = figures.setdefault(name, {"step_accuracy": [], "step_top3": [], "chance": 0.0})
            cell["step_accuracy"].append(
                sum(o.step_correct for o in outcomes_of_subset) / len(outcomes_of_subset)
            )
            cell["step_top3"].append(
                sum(o.rank < 3 for o in outcomes_of_subset) / len(outcomes_of_subset)
            )
            cell["chance"] = sum(1 / len(o.example.rows) for o in outcomes_of_subset) / len(
                outcomes_of_subset
            )
    return figures


def chance_ece(outcomes: Sequence[HeldOutResult]) -> float:
    """The ECE that perfect calibration would show on so many runs: a mean of simulations."""
    draw = random.Random(0)
    stated = predictions_of([o for o in outcomes if o.seed == outcomes[0].seed])
    figures = []
    for _ in range(max(20_000 // len(stated), 5)):
        played = [
            replace(p, label_step=-1 if p.step is None or draw.random() >= p.confidence else p.step)
            for p in stated
        ]
        figures.append(reliability(played).ece)
    return sum(figures) / len(figures)
