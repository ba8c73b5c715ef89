"""Score predictions from a JSON or JSONL file like those of a tracer.

One object a run, named by `id` (of the trace) or `file` (such as `Hand-Crafted/12.json`; for
TracerTraj the question_ID), with `agent` and `step` (0-based), and perhaps `candidates` (a list of
objects with `agent` and `step`, best first), `confidence` (0 to 1), `abstained`, `seconds`, `calls`
and `tokens`. A report written by `agentracer bench` is such a file too. A run that the file does
not name counts as an abstention; a name that no run has is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentracer.errors import FormatError
from agentracer.formats.source import parse_json, read_text
from agentracer.lab.bench.evaluation import BenchmarkReport, file_of, report_of
from agentracer.lab.bench.metrics import Prediction
from agentracer.trace import Trace

__all__ = ["read_predictions", "report_of_predictions"]

_REMEDY = "see agentracer.lab.bench.predictions for the layout"


def report_of_predictions(
    traces: Sequence[Trace],
    predictions: Path | str,
    *,
    benchmark: str,
    source: Path | str,
    subset_of: Callable[[Trace], str],
    scorer: str,
    started: float,
) -> BenchmarkReport:
    """Score a file of predictions on the traces of a benchmark; see `report_of`."""
    return report_of(
        traces,
        read_predictions(predictions, traces),
        benchmark=benchmark,
        source=source,
        subset_of=subset_of,
        scorer=scorer,
        model=str(predictions),
        method="predictions",
        ground_truth=False,
        versions={},
        started=started,
    )


def read_predictions(path: Path | str, traces: Sequence[Trace]) -> list[Prediction | None]:
    """Read the prediction for each trace; None for traces without a label.

    Raises:
        FormatError: the file cannot be read, or a prediction does not fit the traces.
    """
    path = Path(path)
    entries = _entries(path)
    names = {key: trace for trace in traces for key in (trace.id, file_of(trace)) if key}
    by_trace: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries):
        key = str(entry.get("id") or entry.get("file") or "")
        trace = names.get(key) or names.get(str(entry.get("file") or ""))
        if trace is None:
            raise _wrong(path, f"prediction {number}", f"no run is called {key!r}")
        if trace.id in by_trace:
            raise _wrong(path, f"prediction {number}", f"a second prediction for {key!r}")
        by_trace[trace.id] = entry
    return [
        _prediction(trace, by_trace.get(trace.id), path) if trace.labels else None
        for trace in traces
    ]


def _entries(path: Path) -> list[dict[str, Any]]:
    text = read_text(path)
    try:
        data: Any = json.loads(text)
    except ValueError:
        data = [parse_json(line, source=path) for line in text.splitlines() if line.strip()]
    if isinstance(data, dict):
        data = data.get("predictions", [data])
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise _wrong(path, "predictions", "expected a list of objects")
    return data


def _prediction(trace: Trace, entry: dict[str, Any] | None, path: Path) -> Prediction:
    label = trace.labels[0]
    entry = {"abstained": True} if entry is None else entry
    abstained = bool(entry.get("abstained")) or entry.get("step") is None
    try:
        agent = None if abstained else str(entry["agent"])
        step = None if abstained else int(entry["step"])
        listed = [(str(c["agent"]), int(c["step"])) for c in entry.get("candidates") or ()]
        confidence = float(entry.get("confidence") or 0.0)
        spent = int(entry.get("calls") or 0), int(entry.get("tokens") or 0)
        seconds = float(entry.get("seconds") or 0.0)
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong(path, trace.id, f"{type(error).__name__}: {error}") from error
    if not 0 <= confidence <= 1:
        raise _wrong(path, trace.id, f"confidence {confidence} is not between 0 and 1")
    if agent is not None and step is not None and not listed:
        listed = [(agent, step)]
    return Prediction(
        id=trace.id,
        file=file_of(trace),
        agent=agent,
        step=step,
        candidates=tuple(listed),
        label_agent=label.agent,
        label_step=label.step,
        confidence=confidence,
        abstained=abstained,
        length=len(trace.steps),
        seconds=seconds,
        calls=spent[0],
        tokens=spent[1],
    )


def _wrong(path: Path, place: str, problem: str) -> FormatError:
    return FormatError(problem, source=path, place=place, remedy=_REMEDY)
