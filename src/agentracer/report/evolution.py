"""The rounds of an evolution as a page: success with its interval, cost, what changed, and why.

It reads JSON data, as `EvolutionReport.to_json` returns it; `EvolutionRecord` is the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentracer.evolution.records import EvolutionRecord
from agentracer.report import page

__all__ = ["render", "write"]


def render(data: Mapping[str, Any] | EvolutionRecord) -> str:
    """The page as the text of one HTML file.

    Args:
        data: the rounds, as `EvolutionReport.to_json` makes them.

    Raises:
        FormatError: the data are something else.
    """
    evolution = data if isinstance(data, EvolutionRecord) else EvolutionRecord.of(data)
    return page.page(
        "evolution.html.jinja",
        title="Evolution",
        islands={"data": evolution.model_dump_json()},
        scripts=("text.js", "theme.js", "chart.js", "evolution.js"),
        styles=("report.css", "evolution.css"),
    )


def write(path: str | Path, data: Mapping[str, Any] | EvolutionRecord) -> Path:
    """Write the page, all or nothing; returns the path written."""
    return page.write(path, render(data))
