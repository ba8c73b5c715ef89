"""The rounds of an evolution as a page: success with its interval, cost, what changed, and why.

It reads plain data, as `agentracer.evolution.Report.to_json` makes it, and knows nothing of how
an evolution works.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentracer.errors import FormatError
from agentracer.report import page
from agentracer.trace import Text

__all__ = ["Change", "Cost", "Effect", "Evolution", "Rate", "Round", "render", "write"]

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rate(_Record):
    """Runs that succeeded, of how many, with a 95 % interval of the share."""

    successes: Annotated[float, Field(ge=0.0)]
    runs: Count
    low: Share
    high: Share


class Cost(_Record):
    """What something cost."""

    runs: Count = 0
    replays: Count = 0
    model_calls: Count = 0
    tokens: Count = 0


class Effect(_Record):
    """What a change did, task by task: `finding` in words."""

    finding: Text
    wins: Count
    losses: Count
    ties: Count
    p_harm: Share | None = None
    p_help: Share | None = None
    certain: bool = False


class Change(_Record):
    """What was changed about one agent, why, and what became of it. `evidence`: trace ids."""

    agent: Text
    says: Text
    why: Text = ""
    evidence: tuple[Text, ...] = ()
    kept: bool
    effect: Effect | None = None
    note: Text = ""


class Round(_Record):
    """One round. `control` are runs beside it without its changes, `trial` runs with them."""

    round: Count
    success: Rate
    control: Rate | None = None
    trial: Rate | None = None
    failures: Count = 0
    abstained: Count = 0
    cost: Cost = Cost()
    changes: tuple[Change, ...] = ()


class Evolution(_Record):
    """All rounds.

    `first` is before any change; `final` and `unchanged` were measured side by side at the end,
    with what was kept and without anything.
    """

    session: Text = ""
    tracer: Text = ""
    strategy: Text = ""
    first: Rate
    rounds: tuple[Round, ...]
    final: Rate | None = None
    unchanged: Rate | None = None
    effect: Effect | None = None
    cost: Cost = Cost()
    notes: tuple[Text, ...] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any], *, source: Path | None = None) -> Evolution:
        """Read plain data.

        Args:
            data: as `agentracer.evolution.Report.to_json` makes it.
            source: where it was read, for the error.

        Raises:
            FormatError: it is something else.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the data"
            raise FormatError(
                f"not the rounds of an evolution: {where}: {first['msg']}",
                source=source,
                remedy="give the JSON of an evolution's report: json.dumps(report.to_json())",
            ) from error


def render(data: Mapping[str, Any] | Evolution) -> str:
    """The page as the text of one HTML file.

    Args:
        data: the rounds, as `agentracer.evolution.Report.to_json` makes them.

    Raises:
        FormatError: the data are something else.
    """
    evolution = data if isinstance(data, Evolution) else Evolution.of(data)
    return page.page(
        "evolution.html.jinja",
        title="Evolution",
        islands={"data": evolution.model_dump_json()},
        scripts=("text.js", "theme.js", "chart.js", "evolution.js"),
        styles=("report.css", "evolution.css"),
    )


def write(path: str | Path, data: Mapping[str, Any] | Evolution) -> Path:
    """Write the page, all or nothing; returns the path written."""
    return page.write(path, render(data))
