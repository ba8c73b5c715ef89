"""Build one page of many runs: counts by blamed agent and by kind of failure, and every run.

Each run is a data island of its own inside the file, read when it is opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer.report import formatting, html, page
from agentracer.report.replays import Replay
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["RunEntry", "render", "write"]

_TASK_LENGTH = 200
_MOST_CHARACTERS = 120_000_000
"""Limit for all runs together, which a browser can still open from a file."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One run of the page.

    Attributes:
        trace: the run.
        verdict: the result of its attribution, if there is one.
        replays: runs that replayed it.
        problem: why attribution failed; empty where it did not.
    """

    trace: Trace
    verdict: Verdict | None = None
    replays: Sequence[Replay] = field(default=())
    problem: str = ""


def render(runs: Iterable[RunEntry]) -> str:
    """Return the page as the text of one HTML file.

    Args:
        runs: in the order in which they are listed. Those that would make the file larger than
            a browser can open are listed without their steps, and the page counts them.

    Returns:
        HTML that refers to nothing outside itself.
    """
    rows: list[dict[str, Any]] = []
    islands: dict[str, str] = {}
    size = 0
    curve = False
    for number, run in enumerate(runs):
        text = html.data(run.trace, run.verdict, run.replays)
        size += len(text)
        inside = size <= _MOST_CHARACTERS
        if inside:
            islands[f"data-{number}"] = text
            curve = curve or html.has_curve(run.verdict)
        rows.append({**_row(run), "inside": inside})
    return page.page(
        "index.html.jinja",
        title=formatting.plural(len(rows), "run"),
        islands={"index-data": json.dumps(rows, ensure_ascii=False), **islands},
        scripts=html.scripts("index.js", "runs.js", curve=curve),
        styles=html.styles(curve=curve),
    )


def write(path: str | Path, runs: Iterable[RunEntry]) -> Path:
    """Write the page atomically and return its path."""
    return page.write(path, render(runs))


def _row(run: RunEntry) -> dict[str, Any]:
    trace, verdict = run.trace, run.verdict
    blamed = verdict is not None and verdict.stands_out
    proof = verdict.verification if verdict is not None else None
    return {
        "id": trace.id,
        "task": page.title(trace.task, trace.id, _TASK_LENGTH),
        "when": formatting.timestamp(trace.started_at),
        "steps": len(trace.steps),
        "success": trace.outcome.success,
        "kind": formatting.failure_kind(trace.outcome),
        "agent": verdict.agent if verdict is not None and blamed else None,
        "step": verdict.step if verdict is not None and blamed else None,
        "confidence": formatting.confidence(verdict) if verdict is not None and blamed else "",
        "status": proof.status if proof is not None else "",
        "why": run.problem if verdict is None else _why(verdict),
    }


def _why(verdict: Verdict) -> str:
    """Why no step is named, or why one is."""
    if verdict.abstained or verdict.stands_out:
        return verdict.abstain_reason or verdict.reason
    return f"no step stands out; {formatting.reading_list(verdict)}"
