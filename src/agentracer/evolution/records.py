"""The report of an iteration as data: the schema of its JSON, for files and pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentracer.errors import FormatError
from agentracer.statistics import Rate
from agentracer.trace import Text
from agentracer.usage import Usage

if TYPE_CHECKING:
    from agentracer.evolution.effect import Effect
    from agentracer.evolution.report import AppliedChange, EvolutionReport, Round

__all__ = [
    "ChangeRecord",
    "CostRecord",
    "EffectRecord",
    "EvolutionRecord",
    "RateRecord",
    "RoundRecord",
]

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _ReportRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RateRecord(_ReportRecord):
    """Runs that succeeded, of how many, with a 95 % interval of the share."""

    successes: Annotated[float, Field(ge=0.0)]
    runs: Count
    low: Share
    high: Share

    @classmethod
    def of(cls, rate: Rate) -> RateRecord:
        """Return a rate as data."""
        low, high = rate.interval
        return cls(successes=rate.hits, runs=rate.n, low=low, high=high)


class CostRecord(_ReportRecord):
    """What something cost. `tokens` is the sum of those read and written."""

    runs: Count = 0
    replays: Count = 0
    steps: Count = 0
    model_calls: Count = 0
    tokens: Count = 0

    @classmethod
    def of(cls, usage: Usage) -> CostRecord:
        """Return a usage as data."""
        return cls(
            runs=usage.runs,
            replays=usage.replays,
            steps=usage.steps,
            model_calls=usage.model_calls,
            tokens=usage.tokens,
        )


class EffectRecord(_ReportRecord):
    """What a change did, task by task: `finding` in words."""

    finding: Text
    wins: Count
    losses: Count
    ties: Count
    p_harm: Share | None = None
    p_help: Share | None = None
    certain: bool = False

    @classmethod
    def of(cls, effect: Effect) -> EffectRecord:
        """Return an effect as data."""
        return cls(
            finding=effect.finding,
            wins=effect.wins,
            losses=effect.losses,
            ties=effect.ties,
            p_harm=effect.p_harm,
            p_help=effect.p_help,
            certain=effect.certain,
        )


class ChangeRecord(_ReportRecord):
    """What was changed about one agent, why, and whether it was kept. `evidence`: trace ids."""

    id: Text = ""
    agent: Text
    says: Text
    why: Text = ""
    evidence: tuple[Text, ...] = ()
    kept: bool
    effect: EffectRecord | None = None
    note: Text = ""

    @classmethod
    def of(cls, applied: AppliedChange) -> ChangeRecord:
        """Return a change that was tried as data."""
        change, effect = applied.change, applied.effect
        return cls(
            id=change.id,
            agent=change.agent,
            says=change.says,
            why=change.why,
            evidence=change.evidence,
            kept=applied.kept,
            effect=EffectRecord.of(effect) if effect is not None else None,
            note=applied.note,
        )


class RoundRecord(_ReportRecord):
    """One round. `control` are runs beside it without its changes, `trial` runs with them."""

    round: Count
    success: RateRecord
    control: RateRecord | None = None
    trial: RateRecord | None = None
    failures: Count = 0
    abstained: Count = 0
    cost: CostRecord = CostRecord()
    changes: tuple[ChangeRecord, ...] = ()

    @classmethod
    def of(cls, one: Round) -> RoundRecord:
        """Return a round as data."""
        return cls(
            round=one.number,
            success=RateRecord.of(one.success),
            control=RateRecord.of(one.control),
            trial=RateRecord.of(one.trial) if one.trial is not None else None,
            failures=one.failures,
            abstained=one.abstained,
            cost=CostRecord.of(one.cost),
            changes=tuple(map(ChangeRecord.of, one.changes)),
        )


class EvolutionRecord(_ReportRecord):
    """All rounds.

    `first` is before any change; `final` and `unchanged` were measured side by side at the end,
    with what was kept and without anything. `kept` has the ids of the changes.
    """

    session: Text = ""
    tracer: Text = ""
    strategy: Text = ""
    first: RateRecord
    rounds: tuple[RoundRecord, ...]
    final: RateRecord | None = None
    unchanged: RateRecord | None = None
    effect: EffectRecord | None = None
    kept: tuple[Text, ...] = ()
    cost: CostRecord = CostRecord()
    resumed: Count = 0
    notes: tuple[Text, ...] = ()

    @classmethod
    def of_report(cls, report: EvolutionReport) -> EvolutionRecord:
        """Return the report of an iteration as data."""
        return cls(
            session=report.session,
            tracer=report.tracer,
            strategy=report.strategy,
            first=RateRecord.of(report.first),
            rounds=tuple(map(RoundRecord.of, report.rounds)),
            final=RateRecord.of(report.final),
            unchanged=RateRecord.of(report.unchanged),
            effect=EffectRecord.of(report.effect),
            kept=tuple(change.id for change in report.kept),
            cost=CostRecord.of(report.cost),
            resumed=report.resumed,
            notes=report.notes,
        )

    @classmethod
    def of(cls, data: Mapping[str, Any], *, source: Path | None = None) -> EvolutionRecord:
        """Read JSON data.

        Args:
            data: as `EvolutionReport.to_json` returns it.
            source: the file it was read from, for the error.

        Raises:
            FormatError: it is something else; the message names the field.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the data"
            raise FormatError(
                f"not the report of an evolution: {where}: {first['msg']}",
                source=source,
                remedy="give the JSON of an evolution's report: json.dumps(report.to_json())",
            ) from error
