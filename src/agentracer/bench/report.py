"""A benchmark report for people (a terminal table) and for programs (a JSON object).

It knows how figures are laid out, and computes none.
"""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agentracer.bench.metrics import METRICS, Prediction, Rate, Scores
from agentracer.bench.rules import Baseline
from agentracer.bench.whowhen import Report, SubsetReport

__all__ = ["as_dict", "render"]

_HEADINGS = ("agent", "step", "±1", "±3", "top-3", "top-5")


def as_dict(report: Report) -> dict[str, Any]:
    """The report as JSON data; shares are fractions of 1, steps 0-based."""
    return {
        "benchmark": "Who&When",
        "directory": report.directory,
        "provenance": {
            "model": report.model,
            "method": report.method,
            "ground_truth": report.ground_truth,
            "setting": _setting(report),
            "versions": report.versions,
            "seconds": report.seconds,
        },
        "subsets": {subset.name: _subset(subset) for subset in report.subsets},
        "predictions": [_said(p) for subset in report.subsets for p in subset.predictions],
    }


def render(report: Report) -> RenderableType:
    """Tables for `rich.console.Console.print`, one a subset."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    head = Text(f"{report.model} ({report.method}), {_setting(report)}; {versions}", style="bold")
    note = Text(
        "Share of runs in %, with 95 % Wilson intervals. Rules marked * saw the labels that they "
        "are scored on. Exact matches, 0-based steps; abstentions count as wrong.",
        style="dim",
    )
    return Group(head, *(_table(report, subset) for subset in report.subsets), note)


def _setting(report: Report) -> str:
    return "w/ G" if report.ground_truth else "w/o G"


def _table(report: Report, subset: SubsetReport) -> Table:
    runs = subset.scores.n + subset.unlabelled
    title = f"{subset.name}: {subset.scores.n} runs, {1_000 * subset.seconds / runs:.1f} ms each"
    if subset.abstained:
        title += f", {subset.abstained} abstentions"
    if subset.unlabelled:
        title += f", {subset.unlabelled} without a label left out"
    table = Table(title=Text(title), title_justify="left")
    table.add_column("")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row(Text(report.model, style="bold"), *_cells(subset.scores), end_section=True)
    for rule in subset.rules:
        table.add_row(Text(rule.name + (" *" if rule.fitted else "")), *_cells(rule.scores))
    return table


def _cells(scores: Scores) -> list[Text]:
    return [_cell(scores.rates[metric]) for metric in METRICS]


def _cell(rate: Rate) -> Text:
    low, high = rate.interval
    return Text(f"{100 * rate.value:.1f} [{100 * low:.0f}, {100 * high:.0f}]")


def _subset(subset: SubsetReport) -> dict[str, Any]:
    return {
        **_scores(subset.scores),
        "abstained": subset.abstained,
        "unlabelled": subset.unlabelled,
        "seconds_per_run": subset.seconds / (subset.scores.n + subset.unlabelled),
        "rules": {rule.name: _rule(rule) for rule in subset.rules},
    }


def _rule(rule: Baseline) -> dict[str, Any]:
    return {"fitted": rule.fitted, **_scores(rule.scores)}


def _scores(scores: Scores) -> dict[str, Any]:
    return {"n": scores.n, **{name: _rate(rate) for name, rate in scores.rates.items()}}


def _rate(rate: Rate) -> dict[str, float]:
    low, high = rate.interval
    return {"value": rate.value, "low": low, "high": high, "hits": rate.hits, "n": rate.n}


def _said(prediction: Prediction) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "file": prediction.file,
        "agent": prediction.agent,
        "step": prediction.step,
        "confidence": prediction.confidence,
        "abstained": prediction.abstained,
        "candidates": [{"agent": agent, "step": step} for agent, step in prediction.candidates],
        "label": {"agent": prediction.label_agent, "step": prediction.label_step},
        "agent_correct": prediction.agent_correct,
        "step_correct": prediction.step_correct,
    }
