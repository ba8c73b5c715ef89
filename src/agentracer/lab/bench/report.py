"""Lay out a benchmark report as a terminal table and as JSON. Markdown and plots: see `output`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentracer.lab.bench.evaluation import BenchmarkReport, SubsetReport
from agentracer.lab.bench.metrics import METRICS, Prediction, Scores
from agentracer.lab.bench.published import Published, published
from agentracer.lab.bench.rules import Baseline
from agentracer.statistics import Rate

__all__ = ["HEADINGS", "as_dict", "notes", "published_row", "render", "setting", "title"]

HEADINGS = ("agent", "step", "±1", "±3", "±5", "top-3", "top-5", "MRR")
"""Of the columns, in the order of `METRICS`."""


_NAME_WIDTH, _CELL_WIDTH = 30, 16  # characters, borders included


def as_dict(report: BenchmarkReport) -> dict[str, Any]:
    """The report as JSON data; shares are fractions of 1, steps 0-based."""
    return {
        "benchmark": report.benchmark,
        "directory": report.directory,
        "provenance": {
            "model": report.model,
            "method": report.method,
            "ground_truth": report.ground_truth,
            "setting": setting(report),
            "scorer": report.scorer,
            "versions": report.versions,
            "seconds": report.seconds,
        },
        "subsets": {subset.name: _subset(report, subset) for subset in report.subsets},
        "predictions": [
            _prediction_row(p) for subset in report.subsets for p in subset.predictions
        ],
    }


def render(
    report: BenchmarkReport, *, compare: bool = True, width: int | None = None
) -> RenderableType:
    """Tables for `rich.console.Console.print`, one a subset.

    Args:
        report: of a benchmark.
        compare: add the published numbers.
        width: characters that a line has room for; the less telling columns give way.
    """
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    head = Text(f"{report.model} ({report.method}), {setting(report)}; {versions}", style="bold")
    shown = _columns(width)
    tables = [_table(report, subset, shown, compare=compare) for subset in report.subsets]
    note = Text(" ".join(notes(report, compare=compare)), style="dim")
    if len(shown) < len(HEADINGS):
        hidden = [heading for i, heading in enumerate(HEADINGS) if i not in shown]
        note.append(f" Not shown for want of room: {', '.join(hidden)}.")
    return Group(head, *tables, note)


def setting(report: BenchmarkReport) -> str:
    """`w/ G` or `w/o G`."""
    return "w/ G" if report.ground_truth else "w/o G"


def notes(report: BenchmarkReport, *, compare: bool) -> list[str]:
    """The notes below the table: setting, scorer, and limits of the figures."""
    about = (
        "Share of runs in %, with 95 % Wilson intervals. Rules marked * saw the labels that they "
        "are scored on. Exact matches, 0-based steps; abstentions count as wrong; MRR over the "
        "first 5."
    )
    lines = [about]
    if report.scorer == "official":
        lines.append(
            "agent and step are scored as the authors of Who&When do, by substring: a predicted "
            "step 10 is right for the label 1, so these two columns are too high."
        )
    if compare and any(_published(report, subset) for subset in report.subsets):
        lines.append(
            "Published rows are of the whole benchmark, as published; zero-shot and in-domain "
            "figures are not like for like; ? marks a figure with a caveat (see published.json)."
        )
    return lines


def title(subset: SubsetReport) -> str:
    """A subset in one line: runs, time, calls, tokens, abstentions, calibration."""
    runs = subset.scores.n + subset.unlabelled
    parts = [f"{subset.name}: {subset.scores.n} runs, {1_000 * subset.seconds / runs:.1f} ms each"]
    if subset.seen:
        parts.append(f"TRAINED ON {subset.seen} OF THEM: these figures are not held out")
    if subset.calls:
        parts.append(f"{subset.calls / runs:.1f} calls and {subset.tokens / runs:,.0f} tokens each")
    if subset.abstained:
        parts.append(f"{subset.abstained} abstentions")
    if subset.unlabelled:
        parts.append(f"{subset.unlabelled} without a label left out")
    if subset.reliability is not None:
        stated = subset.reliability
        parts.append(f"ECE {stated.ece:.3f} at mean confidence {stated.mean_confidence:.2f}")
    if subset.difference is not None:
        gap = subset.difference
        ends = f"[{100 * gap.low:+.0f}, {100 * gap.high:+.0f}]"
        parts.append(f"step {100 * gap.value:+.1f} {ends} against the rule '{subset.best_rule}'")
    return ", ".join(parts)


def _columns(width: int | None) -> list[int]:
    """Which columns there is room for, in their order."""
    room = len(HEADINGS) if width is None else max(2, (width - _NAME_WIDTH) // _CELL_WIDTH)
    by_importance = [0, 1, 5, 6, 3, 2, 4, 7]  # agent, step, top-3, top-5, ±3, ±1, ±5, MRR
    return sorted(by_importance[:room])


def _table(
    report: BenchmarkReport, subset: SubsetReport, shown: Sequence[int], *, compare: bool
) -> Table:
    table = Table(title=Text(title(subset)), title_justify="left")
    table.add_column("", min_width=20)
    for column in shown:
        table.add_column(HEADINGS[column], justify="right", no_wrap=True)

    def cells(scores: Scores) -> list[Text]:
        return [cell for i, cell in enumerate(_cells(scores)) if i in shown]

    table.add_row(Text(report.model, style="bold"), *cells(subset.scores), end_section=True)
    for place, rule in enumerate(subset.rules, start=1):
        name = Text(rule.name + (" *" if rule.fitted else ""))
        table.add_row(name, *cells(rule.scores), end_section=place == len(subset.rules))
    for row in _published(report, subset) if compare else ():
        table.add_row(*map(Text, published_row(row)), style="dim")
    return table


def _published(report: BenchmarkReport, subset: SubsetReport) -> Sequence[Published]:
    return published(report.benchmark, subset.name, ground_truth=report.ground_truth)


def published_row(row: Published) -> tuple[str, str, str]:
    """Name, agent and step of a published row, as text."""
    mark = " ?" if row.note else ""
    figures = ["" if value is None else f"{value:.1f}" for value in (row.agent, row.step)]
    return f"{row.method}, {row.kind}{mark}", figures[0], figures[1]


def _cells(scores: Scores) -> list[Text]:
    return [_cell(scores.rates[metric]) for metric in METRICS]


def _cell(rate: Rate) -> Text:
    low, high = rate.interval
    return Text(f"{100 * rate.value:.1f} [{100 * low:.0f}, {100 * high:.0f}]")


def _subset(report: BenchmarkReport, subset: SubsetReport) -> dict[str, Any]:
    runs = subset.scores.n + subset.unlabelled
    return {
        **_scores(subset.scores),
        "abstained": subset.abstained,
        "unlabelled": subset.unlabelled,
        "trained_on": subset.seen,
        "seconds_per_run": subset.seconds / runs,
        "calls_per_run": subset.calls / runs,
        "tokens_per_run": subset.tokens / runs,
        "reliability": subset.reliability and asdict(subset.reliability),
        "best_rule": subset.best_rule,
        "step_difference": subset.difference and asdict(subset.difference),
        "rules": {rule.name: _rule(rule) for rule in subset.rules},
        "published": [asdict(row) for row in _published(report, subset)],
    }


def _rule(rule: Baseline) -> dict[str, Any]:
    return {"fitted": rule.fitted, **_scores(rule.scores)}


def _scores(scores: Scores) -> dict[str, Any]:
    return {"n": scores.n, **{name: _rate(rate) for name, rate in scores.rates.items()}}


def _rate(rate: Rate) -> dict[str, float]:
    low, high = rate.interval
    return {"value": rate.value, "low": low, "high": high, "hits": rate.hits, "n": rate.n}


def _prediction_row(prediction: Prediction) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "file": prediction.file,
        "agent": prediction.agent,
        "step": prediction.step,
        "confidence": prediction.confidence,
        "abstained": prediction.abstained,
        "seconds": prediction.seconds,
        "calls": prediction.calls,
        "tokens": prediction.tokens,
        "candidates": [{"agent": agent, "step": step} for agent, step in prediction.candidates],
        "label": {"agent": prediction.label_agent, "step": prediction.label_step},
        "agent_correct": prediction.agent_correct,
        "step_correct": prediction.step_correct,
    }
