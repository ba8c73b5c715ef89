"""Write benchmark reports to a folder: JSON, Markdown, and plots if matplotlib is installed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from agentracer.errors import MissingExtra
from agentracer.lab.bench.evaluation import BenchmarkReport, SubsetReport
from agentracer.lab.bench.metrics import METRICS, Scores
from agentracer.lab.bench.published import published
from agentracer.lab.bench.report import (
    HEADINGS,
    as_dict,
    notes,
    published_row,
    setting,
    title,
)

__all__ = ["markdown", "plot", "write_folder"]

_TOLERANCES = (
    (0, "step_accuracy"),
    (1, "step_within_1"),
    (3, "step_within_3"),
    (5, "step_within_5"),
)


def write_folder(
    reports: Sequence[BenchmarkReport], folder: Path | str, *, plots: bool | None = None
) -> list[Path]:
    """Write every report; returns the files written.

    Args:
        reports: such as one w/ G and one w/o G.
        folder: is made if it is not there.
        plots: draw them too; None draws them where matplotlib is installed.

    Raises:
        MissingExtra: plots were asked for, and matplotlib is not installed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for report in reports:
        stem = _stem(report)
        data = json.dumps(as_dict(report), indent=2, ensure_ascii=False, allow_nan=False)
        for suffix, text in ((".json", data + "\n"), (".md", markdown(report))):
            written.append(folder / f"{stem}{suffix}")
            written[-1].write_text(text, encoding="utf-8")
    if plots is None:
        plots = _matplotlib() is not None
    return written + (plot(reports, folder) if plots else [])


def markdown(report: BenchmarkReport, *, compare: bool = True) -> str:
    """A report as Markdown: one table a subset."""
    head = f"# {report.benchmark}: `{_cell_text(report.model)}`, {setting(report)}\n"
    parts = [_subset(report, subset, compare=compare) for subset in report.subsets]
    return "\n".join([head, *parts, *notes(report, compare=compare), ""])


def _subset(report: BenchmarkReport, subset: SubsetReport, *, compare: bool) -> str:
    lines = [
        f"## {subset.name}\n",
        f"{_cell_text(title(subset))}\n",
        "| | " + " | ".join(HEADINGS) + " |",
        "|---|" + "---:|" * len(HEADINGS),
        f"| **{_cell_text(report.model)}** | {_row(subset.scores)} |",
    ]
    names = [rule.name + (" \\*" if rule.fitted else "") for rule in subset.rules]
    scores = [_row(rule.scores) for rule in subset.rules]
    lines += [f"| {name} | {row} |" for name, row in zip(names, scores, strict=True)]
    rows = published(report.benchmark, subset.name, ground_truth=report.ground_truth)
    for row in rows if compare else ():
        name, agent, step = published_row(row)
        blank = " |" * (len(HEADINGS) - 2)
        lines.append(f"| *{name}* ({row.source}) | {agent} | {step} |{blank}")
    return "\n".join(lines) + "\n"


def _row(scores: Scores) -> str:
    cells = []
    for metric in METRICS:
        rate = scores.rates[metric]
        low, high = rate.interval
        cells.append(f"{100 * rate.value:.1f} [{100 * low:.0f}, {100 * high:.0f}]")
    return " | ".join(cells)


def _cell_text(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


def _stem(report: BenchmarkReport) -> str:
    words = f"{report.benchmark} {Path(report.model).name or report.model} {setting(report)}"
    scorer = "" if report.scorer == "strict" else f" {report.scorer}"
    return re.sub(r"[^a-z0-9]+", "-", f"{words}{scorer}".lower().replace("w/", "w")).strip("-")


def plot(reports: Sequence[BenchmarkReport], folder: Path) -> list[Path]:
    """Accuracy by tolerance, risk-coverage and calibration, each with one panel a subset.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    pyplot = _matplotlib()
    if pyplot is None:
        raise MissingExtra("plots", needed_for="drawing benchmark plots")
    drawings = (
        ("accuracy-by-tolerance", _draw_tolerance),
        ("risk-coverage", _draw_coverage),
        ("calibration", _draw_calibration),
    )
    names = sorted({subset.name for report in reports for subset in report.subsets})
    written = []
    for name, draw in drawings:
        figure, panels = pyplot.subplots(
            1, len(names), figsize=(5 * len(names), 4), squeeze=False, layout="constrained"
        )
        for panel, subset_name in zip(panels[0], names, strict=True):
            panel.set_title(subset_name)
            for report in reports:
                for subset in report.subsets:
                    if subset.name == subset_name:
                        draw(panel, subset, f"{Path(report.model).name} {setting(report)}")
            panel.set_ylim(0, 1)
            panel.legend(fontsize=7)
        written.append(folder / f"{name}.png")
        figure.savefig(written[-1], dpi=120, metadata={"Software": None})
        pyplot.close(figure)
    return written


def _matplotlib() -> Any:
    try:
        import_module("matplotlib").use("Agg")
        return import_module("matplotlib.pyplot")
    except ImportError:
        return None


def _draw_tolerance(panel: Any, subset: SubsetReport, label: str) -> None:
    widths = [width for width, _ in _TOLERANCES]
    for name, scores in ((label, subset.scores), *((r.name, r.scores) for r in subset.rules)):
        if name in {label, "random", subset.best_rule}:
            values = [scores.rates[metric].value for _, metric in _TOLERANCES]
            panel.plot(widths, values, marker="o", label=name)
    panel.set(xlabel="steps off at most", ylabel="share of runs")


def _draw_coverage(panel: Any, subset: SubsetReport, label: str) -> None:
    if subset.reliability is None:
        return
    curve = subset.reliability.curve
    panel.plot([p.coverage for p in curve], [p.accuracy for p in curve], marker=".", label=label)
    panel.set(xlabel="share of runs kept, surest first", ylabel="exact steps among them")


def _draw_calibration(panel: Any, subset: SubsetReport, label: str) -> None:
    if subset.reliability is None:
        return
    bins = subset.reliability.bins
    panel.plot([0, 1], [0, 1], linestyle=":", color="grey", label="perfect")
    panel.scatter(
        [b.confidence for b in bins],
        [b.accuracy for b in bins],
        s=[8 * b.n for b in bins],
        label=label,
        alpha=0.6,
    )
    panel.set(xlabel="stated confidence", ylabel="share of exact steps")
