"""The Who&When benchmark (arXiv 2505.00212): a folder of logs and a tracer in, a `Report` out.

It knows how the benchmark is run and grouped (by subset, never pooled: the two are different
tasks). Scoring is in `metrics`, trivial rules in `rules`, printing in `report`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentracer._version import __version__
from agentracer.attribution import Tracer
from agentracer.bench.metrics import Prediction, Scores, score
from agentracer.bench.rules import Baseline, baselines
from agentracer.errors import FormatError
from agentracer.formats import whowhen
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["Report", "SubsetReport", "run"]

_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class SubsetReport:
    """The scores of one subset. `seconds` is the time of attribution, without reading files."""

    name: str
    scores: Scores
    abstained: int
    unlabelled: int
    seconds: float
    rules: list[Baseline]
    predictions: list[Prediction]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run of the benchmark.

    Attributes:
        directory: that was read.
        subsets: in order of name.
        model: the spec of the tracer.
        method: of its backend.
        ground_truth: True for the setting w/ G, False for w/o G.
        versions: of agentracer and the backend.
        seconds: wall time of the whole run.
    """

    directory: str
    subsets: list[SubsetReport]
    model: str
    method: str
    ground_truth: bool
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float


def run(
    directory: Path | str,
    tracer: Tracer | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Attribute every log below a folder and score the verdicts.

    Args:
        directory: a subset's folder, or one with subsets as folders in it.
        tracer: the embedded one by default.
        progress: called after each log with the number done and the number of all.

    Raises:
        FormatError: a log cannot be read, or a subset has no labelled log.
        BackendError: the tracer's backend failed.
        ValueError: the tracer lists fewer than 5 candidates, so top-5 cannot be measured.
    """
    tracer = tracer or Tracer()
    if tracer.top_k < _LISTED:
        raise ValueError(f"the benchmark needs Tracer(top_k={_LISTED}) or more")
    started = time.perf_counter()
    traces = whowhen.load_directory(directory)
    verdicts = []
    for done, trace in enumerate(traces, start=1):
        verdicts.append(tracer.attribute(trace))
        if progress is not None:
            progress(done, len(traces))
    versions = {"agentracer": __version__}
    for verdict in verdicts:
        versions |= verdict.provenance.versions
    return Report(
        directory=str(directory),
        subsets=_by_subset(directory, traces, verdicts),
        model=tracer.model,
        method=tracer.backend.method,
        ground_truth=tracer.ground_truth,
        versions=versions,
        seconds=time.perf_counter() - started,
    )


def _by_subset(
    directory: Path | str, traces: Sequence[Trace], verdicts: Sequence[Verdict]
) -> list[SubsetReport]:
    groups: dict[str, list[tuple[Trace, Verdict]]] = {}
    for trace, verdict in zip(traces, verdicts, strict=True):
        groups.setdefault(str(trace.metadata["subset"]), []).append((trace, verdict))
    return [_subset(directory, name, groups[name]) for name in sorted(groups)]


def _subset(
    directory: Path | str, name: str, pairs: Sequence[tuple[Trace, Verdict]]
) -> SubsetReport:
    labelled = [(trace, verdict) for trace, verdict in pairs if trace.labels]
    if not labelled:
        raise FormatError(
            f"no log of {name} has a label",
            source=directory,
            place="mistake_agent, mistake_step",
            remedy="a benchmark needs labelled logs; use Tracer.attribute for others",
        )
    predictions = [_prediction(trace, verdict) for trace, verdict in labelled]
    return SubsetReport(
        name=name,
        scores=score(predictions),
        abstained=sum(prediction.abstained for prediction in predictions),
        unlabelled=len(pairs) - len(labelled),
        seconds=sum(verdict.provenance.seconds for _, verdict in pairs),
        rules=baselines([trace for trace, _ in labelled]),
        predictions=predictions,
    )


def _prediction(trace: Trace, verdict: Verdict) -> Prediction:
    label = trace.labels[0]
    return Prediction(
        id=trace.id,
        file=f"{trace.metadata['subset']}/{trace.metadata['file']}",
        agent=verdict.agent,
        step=verdict.step,
        candidates=tuple((c.agent, c.step) for c in verdict.candidates),
        label_agent=label.agent,
        label_step=label.step,
        confidence=verdict.confidence,
        abstained=verdict.abstained,
    )
