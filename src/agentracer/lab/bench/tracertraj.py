"""Score a tracer on TracerTraj rows, a JSONL or parquet file.

Reads the public schema and our own (`formats.tracertraj`). Natural and injected failures are never
pooled: an injected step carries its own name in the public file (`attacked_solution`), and a
tracer that has learnt that name finds it without having understood anything. The public file also
calls agents by a persona in the history and by a role in the label; `PERSONAS` joins the two.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from agentracer.attribution import Tracer
from agentracer.errors import FormatError
from agentracer.formats import tracertraj
from agentracer.lab.bench.evaluation import BenchmarkReport, Progress, evaluate
from agentracer.lab.bench.predictions import report_of_predictions
from agentracer.trace import Trace

__all__ = ["PERSONAS", "origin", "run", "score_predictions"]

NAME = "TracerTraj"

PERSONAS = {
    "Alex": "Engineer",
    "Alice": "Product Manager",
    "Mike": "Team Leader",
    "Bob": "Architect",
    "David": "Data Analyst",
}
"""Speakers of the public file, and the roles that its labels name them by."""

_LEAK = "attacked_solution"


def run(
    file: Path | str,
    tracer: Tracer | None = None,
    *,
    split: str | None = None,
    scorer: str = "strict",
    progress: Progress | None = None,
) -> BenchmarkReport:
    """Attribute every run of a file and score the verdicts.

    Args:
        file: JSONL, or parquet where pyarrow is installed.
        tracer: the embedded one by default.
        split: take the runs of this split only, such as `test`.
        scorer: see `metrics`.
        progress: called after each run with the number done and the number of all.

    Raises:
        FormatError: the file cannot be read, or has no labelled run.
        MissingExtra: it is parquet, and pyarrow is not installed.
        BackendError: the tracer's backend failed.
        ValueError: the tracer lists fewer than 5 candidates, or there is no such scorer.
    """
    return evaluate(
        _load(file, split),
        tracer or Tracer(),
        benchmark=NAME,
        source=file,
        subset_of=origin,
        scorer=scorer,
        progress=progress,
    )


def score_predictions(
    file: Path | str,
    predictions: Path | str,
    *,
    split: str | None = None,
    scorer: str = "strict",
) -> BenchmarkReport:
    """Score predictions that were made elsewhere; see `predictions`.

    Raises:
        FormatError: a file cannot be read, or the two do not fit.
        ValueError: there is no such scorer.
    """
    started = time.perf_counter()
    traces = _load(file, split)
    return report_of_predictions(
        traces,
        predictions,
        benchmark=NAME,
        source=file,
        subset_of=origin,
        scorer=scorer,
        started=started,
    )


def origin(trace: Trace) -> str:
    """`natural` or `injected`: as the row says, else as its label or its text betrays."""
    stated = str(trace.metadata.get("origin") or "")
    if stated:
        return "injected" if "inject" in stated else stated
    if trace.labels and trace.labels[0].source == "injection":
        return "injected"
    leaks = any(_LEAK in step.content for step in trace.steps)
    return "injected" if leaks else "natural"


def _load(file: Path | str, split: str | None) -> list[Trace]:
    traces = tracertraj.load(file)
    if split is not None:
        traces = [trace for trace in traces if trace.metadata.get("split") == split]
        if not traces:
            raise FormatError(
                f"no run is in the split {split!r}",
                source=file,
                place="split",
                remedy="give a split that the file has, or none",
            )
    return [_with_speaker(trace) for trace in traces]


def _with_speaker(trace: Trace) -> Trace:
    """The trace with its label's agent called as it is called in the history."""
    names: Sequence[str] = trace.observed.agent_names
    if not trace.labels or trace.labels[0].agent in names:
        return trace
    label = trace.labels[0]
    for persona, role in PERSONAS.items():
        for spoken, other in ((persona, role), (role, persona)):
            if label.agent == other and spoken in names:
                renamed = label.model_copy(update={"agent": spoken})
                return trace.model_copy(update={"labels": (renamed, *trace.labels[1:])})
    return trace
