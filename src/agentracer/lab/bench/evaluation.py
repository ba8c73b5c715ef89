"""Attribute traces and score the verdicts by subset.

A subset is a group of runs that is never pooled with another: the two of Who&When are different
tasks, and injected failures are not natural ones. Scoring is in `metrics`, rules in `rules`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer._version import __version__
from agentracer.attribution import Tracer
from agentracer.errors import FormatError
from agentracer.lab.bench.metrics import SCORERS, Prediction, Scores, score
from agentracer.lab.bench.reliability import Reliability, reliability
from agentracer.lab.bench.rules import Baseline, baselines
from agentracer.statistics import PairedComparison, compare_paired
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["BenchmarkReport", "Progress", "SubsetReport", "attribute_all", "evaluate", "report_of"]

Progress = Callable[[int, int], None]
"""Called after each run with the number done and the number of all."""

LISTED = 5
"""Candidates that a tracer must be able to name for top-5 to be measured."""


@dataclass(frozen=True, kw_only=True)
class SubsetReport:
    """The scores of one subset.

    Attributes:
        name: of the subset.
        scores: of the tracer.
        abstained: runs in which it named no agent.
        unlabelled: runs that were attributed but cannot be scored.
        seconds: time of attribution, without reading files.
        calls: model calls made.
        tokens: that they read and wrote.
        reliability: what its confidence is worth; None for predictions without any.
        seen: labelled runs that the tracer's weights were trained on, as far as it tells.
        rules: the baselines.
        best_rule: name of the rule with the best step accuracy.
        difference: tracer less that rule in step accuracy, run by run.
        predictions: one a labelled run.
    """

    name: str
    scores: Scores
    abstained: int
    unlabelled: int
    seconds: float
    calls: int = 0
    tokens: int = 0
    reliability: Reliability | None = None
    seen: int = 0
    rules: list[Baseline]
    best_rule: str = ""
    difference: PairedComparison | None = None
    predictions: list[Prediction]


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """A run of a benchmark.

    Attributes:
        benchmark: its name.
        directory: that was read.
        subsets: in order of name.
        model: the spec of the tracer, or the file of predictions.
        method: of its backend.
        ground_truth: True for the setting w/ G, False for w/o G.
        versions: of agentracer and the backend.
        seconds: wall time of the whole run.
        scorer: `strict` or `official`.
    """

    benchmark: str = "Who&When"
    directory: str
    subsets: list[SubsetReport]
    model: str
    method: str
    ground_truth: bool
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float
    scorer: str = "strict"


def evaluate(
    traces: Sequence[Trace],
    tracer: Tracer,
    *,
    benchmark: str,
    source: Path | str,
    subset_of: Callable[[Trace], str],
    scorer: str = "strict",
    progress: Progress | None = None,
) -> BenchmarkReport:
    """Attribute every trace and score the verdicts.

    Raises:
        FormatError: a subset has no labelled run.
        BackendError: the tracer's backend failed.
        ValueError: the tracer lists fewer than 5 candidates, or there is no such scorer.
    """
    if tracer.top_k < LISTED:
        raise ValueError(f"the benchmark needs Tracer(top_k={LISTED}) or more")
    _check_scorer(scorer)
    started = time.perf_counter()
    verdicts = attribute_all(traces, tracer, progress)
    versions = {"agentracer": __version__}
    for verdict in verdicts:
        versions |= verdict.provenance.versions
    predictions = [_prediction(t, v) for t, v in zip(traces, verdicts, strict=True)]
    return report_of(
        traces,
        predictions,
        benchmark=benchmark,
        source=source,
        subset_of=subset_of,
        scorer=scorer,
        model=tracer.model,
        method=tracer.backend.method,
        ground_truth=tracer.ground_truth,
        versions=versions,
        started=started,
        trained_ids=tracer.backend.trained_ids,
    )


def attribute_all(
    traces: Sequence[Trace], tracer: Tracer, progress: Progress | None = None
) -> list[Verdict]:
    """A verdict on every trace, in order."""
    verdicts = []
    for done, trace in enumerate(traces, start=1):
        verdicts.append(tracer.attribute(trace))
        if progress is not None:
            progress(done, len(traces))
    return verdicts


def report_of(
    traces: Sequence[Trace],
    said: Sequence[Prediction | None],
    *,
    benchmark: str,
    source: Path | str,
    subset_of: Callable[[Trace], str],
    scorer: str,
    model: str,
    method: str,
    ground_truth: bool,
    versions: dict[str, str],
    started: float,
    trained_ids: frozenset[str] = frozenset(),
) -> BenchmarkReport:
    """Score what was said of traces; None stands for a trace without a label.

    Raises:
        FormatError: a subset has no labelled run.
        ValueError: there is no such scorer.
    """
    _check_scorer(scorer)
    groups: dict[str, list[tuple[Trace, Prediction | None]]] = {}
    for trace, prediction in zip(traces, said, strict=True):
        groups.setdefault(subset_of(trace), []).append((trace, prediction))
    return BenchmarkReport(
        benchmark=benchmark,
        directory=str(source),
        subsets=[
            _subset(source, name, groups[name], scorer, trained_ids) for name in sorted(groups)
        ],
        model=model,
        method=method,
        ground_truth=ground_truth,
        versions=versions,
        seconds=time.perf_counter() - started,
        scorer=scorer,
    )


def _check_scorer(scorer: str) -> None:
    if scorer not in SCORERS:
        raise ValueError(f"the scorer must be one of {', '.join(SCORERS)}, not {scorer!r}")


def _subset(
    source: Path | str,
    name: str,
    pairs: Sequence[tuple[Trace, Prediction | None]],
    scorer: str,
    trained_ids: frozenset[str],
) -> SubsetReport:
    labelled = [(trace, prediction) for trace, prediction in pairs if prediction is not None]
    if not labelled:
        raise FormatError(
            f"no run of {name} has a label",
            source=source,
            place="mistake_agent, mistake_step",
            remedy="a benchmark needs labelled runs; use Tracer.attribute for others",
        )
    predictions = [prediction for _, prediction in labelled]
    rules = baselines([trace for trace, _ in labelled], scorer)
    best = _best(rules)
    return SubsetReport(
        name=name,
        scores=score(predictions, scorer),
        abstained=sum(prediction.abstained for prediction in predictions),
        unlabelled=len(pairs) - len(labelled),
        seconds=sum(prediction.seconds for prediction in predictions),
        calls=sum(prediction.calls for prediction in predictions),
        tokens=sum(prediction.tokens for prediction in predictions),
        reliability=reliability(predictions) if any(p.confidence for p in predictions) else None,
        seen=sum(prediction.id in trained_ids for prediction in predictions),
        rules=rules,
        best_rule=best.name,
        difference=_difference(predictions, best, scorer),
        predictions=predictions,
    )


def _best(rules: Sequence[Baseline]) -> Baseline:
    guessing = [rule for rule in rules if rule.predictions]
    return max(guessing, key=lambda rule: rule.scores.rates["step_accuracy"].hits)


def _difference(predictions: Sequence[Prediction], rule: Baseline, scorer: str) -> PairedComparison:
    test = SCORERS[scorer]["step_accuracy"]
    mine = [float(test(prediction)) for prediction in predictions]
    return compare_paired(mine, [float(test(prediction)) for prediction in rule.predictions])


def _prediction(trace: Trace, verdict: Verdict) -> Prediction | None:
    if not trace.labels:
        return None
    label, usage = trace.labels[0], verdict.provenance.usage
    return Prediction(
        id=trace.id,
        file=file_of(trace),
        agent=verdict.agent,
        step=verdict.step,
        candidates=tuple((c.agent, c.step) for c in verdict.candidates),
        label_agent=label.agent,
        label_step=label.step,
        confidence=verdict.confidence,
        abstained=verdict.abstained,
        length=len(trace.steps),
        seconds=usage.seconds,
        calls=usage.model_calls,
        tokens=usage.tokens,
    )


def file_of(trace: Trace) -> str:
    """Return the file that a trace was read from, where its format keeps it."""
    facts: dict[str, Any] = trace.metadata
    if "subset" in facts:
        return f"{facts['subset']}/{facts.get('file', '')}"
    return str(facts.get("file", facts.get("question_ID", "")))
