"""What attribution returns: agent, step, reason, confidence and evidence."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_serializer, model_validator

from agentracer.notebook_display import render_html
from agentracer.statistics import wilson
from agentracer.trace import FrozenRecord, Text
from agentracer.usage import Usage

__all__ = [
    "LIKELY_STEPS_COVERAGE",
    "LISTED_LIKELY_STEPS",
    "Basis",
    "Candidate",
    "Evidence",
    "Level",
    "PrefixRate",
    "Provenance",
    "Verdict",
    "Verification",
]

LIKELY_STEPS_COVERAGE = 0.8
"""The default of `Verdict.coverage`."""

LISTED_LIKELY_STEPS = 12
"""How many of `Verdict.likely_steps` a report lists; of the others it gives the number."""

Basis = Literal["finding", "ranking", "judge", "replay"]
"""What names the step of a verdict: a contradiction that stands in the run (`finding`), the order
of a ranking (`ranking`), a language model or a function of the user's (`judge`), or replays."""

Level = Literal["proved", "found", "suspected", "none"]
"""How far a verdict is established: `proved` by replay; `found`, a checked contradiction; only
`suspected`; `none`, where no step is blamed."""

_STANDS_OUT = 0.5
"""The calibrated confidence from which the first step of a ranking is named on its own."""

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Evidence(FrozenRecord):
    """One observation in support of a candidate; `quote` is verbatim from step `step`."""

    step: int = Field(ge=0)
    says: Text
    quote: Text = ""


class Candidate(FrozenRecord):
    """A step that may be the decisive error. `probability` is None where a method has none."""

    agent: Text
    step: int = Field(ge=0)
    probability: Probability | None = None
    reason: Text = ""
    evidence: tuple[Evidence, ...] = ()


_FLAT_COUNTS = {
    "seconds": "seconds",
    "calls": "model_calls",
    "input_tokens": "input_tokens",
    "cached_tokens": "cached_tokens",
    "output_tokens": "output_tokens",
}
"""Counts of a 0.1.0 provenance, and their names in `Usage`."""


class Provenance(FrozenRecord):
    """How a verdict came about, so that it can be reproduced.

    Attributes:
        model: the spec that `Tracer` was given.
        method: the strategy, such as `rules` or `all-at-once`.
        ground_truth: whether the judge saw it (w/ G) or not (w/o G).
        versions: agentracer and whatever the backend depends on (weights, prompt hashes).
        usage: model calls, tokens and wall time of the attribution.
    """

    model: str
    method: str
    ground_truth: bool = False
    versions: dict[str, str] = Field(default_factory=dict)
    usage: Usage = Usage()

    @model_validator(mode="before")
    @classmethod
    def _read_flat_counts(cls, data: Any) -> Any:
        """Accept the verdict files of 0.1.0, which hold the counts beside the model."""
        if not isinstance(data, dict) or "usage" in data or not data.keys() & _FLAT_COUNTS.keys():
            return data
        usage = {name: data[key] for key, name in _FLAT_COUNTS.items() if key in data}
        return {key: data[key] for key in data if key not in _FLAT_COUNTS} | {"usage": usage}

    @field_serializer("usage")
    def _usage_without_zeros(self, usage: Usage) -> dict[str, int | float]:
        return usage.to_dict()


class PrefixRate(FrozenRecord):
    """How often the run succeeded with a part of it kept and the rest done live.

    Attributes:
        prefix: how many steps were kept, in the order of their answers.
        step: index of the last step kept; None where none was.
        successes: replays that succeeded.
        replays: replays that could be used.
        unusable: replays that did not follow the record, or were not checked.
        mean_score: of the replays, where the check gives a score from 0 to 1. Each score then
            counts as a success with a probability that grows with it, see `docs/proof.md`.
    """

    prefix: int = Field(ge=0)
    step: int | None = Field(default=None, ge=0)
    successes: int = Field(ge=0)
    replays: int = Field(ge=0)
    unusable: int = Field(default=0, ge=0)
    mean_score: float | None = Field(default=None, ge=0, le=1)

    @property
    def estimate(self) -> float:
        """Share of the replays that succeeded, or their mean score; 0 without replays."""
        if self.mean_score is not None:
            return self.mean_score
        return self.successes / self.replays if self.replays else 0.0

    @property
    def counted(self) -> str:
        """The counts as text: `5 of 8`, or `mean 0.62 of 8` for scores."""
        if self.mean_score is not None:
            return f"mean {self.mean_score:.2f} of {self.replays}"
        return f"{self.successes} of {self.replays}"

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the rate of success, or of the mean score."""
        return wilson(self.estimate * self.replays, self.replays)


class Verification(FrozenRecord):
    """What replays of the run showed, compared with a control.

    Attributes:
        status: *confirmed* by an exact test; *likely* by the posterior alone; *refuted* where a
            correction never helped; else *inconclusive*.
        method: `correction`: the step was corrected, and the control reran it unchanged.
            `prefixes`: the steps before it were kept, and the control kept the step too.
        flips: successes without the step as it was, of `replays`.
        control_flips: successes with it, of `control_replays`.
        traces: ids of the replays.
        note: what else is to be known of the test.
    """

    status: Literal["confirmed", "likely", "refuted", "inconclusive"]
    method: Literal["correction", "prefixes"] = "correction"
    flips: int = Field(ge=0)
    replays: int = Field(ge=0)
    control_flips: int = Field(ge=0)
    control_replays: int = Field(ge=0)
    traces: tuple[str, ...] = ()
    note: Text = ""


class Verdict(FrozenRecord):
    """The answer to "which agent and which step made this run fail?".

    A verdict that abstains names nobody: `agent` and `step` are None, and `abstain_reason` says
    why. Otherwise they are those of the first candidate, the most likely decisive error, except
    where a method names the agent by summing over its steps (`agents`).

    Attributes:
        confidence: probability that agent *and* step are right, as far as the method can tell.
        candidates: ranked shortlist, best first; kept where the verdict abstains.
        likely_steps: the smallest set of steps that holds the decisive error with probability
            `coverage`, as measured on held-out runs; empty where the method has no such
            measurement. A reader is shown the first `LISTED_LIKELY_STEPS`.
        coverage: see `likely_steps`. Files of version 0.1.0 lack it; it was always 0.8 there.
        agents: share of the blame by agent, summing to at most 1.
        calibrated: False where the method has no measured relation of confidence to accuracy
            on runs of this shape.
        notes: what the reader should know of how it was reached: windows, retries, cut text.
        verification: the proof by replay, where one was made.
        success_curve: how often replays succeeded with each prefix kept that was tried, shortest
            first; empty where no prefix was replayed.
        basis: see `Basis`.
        outcome_known: whether the run is known to have failed; else all of this holds only if it
            did.
    """

    trace_id: Text
    agent: Text | None = None
    step: int | None = Field(default=None, ge=0)
    reason: Text = ""
    confidence: Probability = 0.0
    candidates: tuple[Candidate, ...] = ()
    likely_steps: tuple[Annotated[int, Field(ge=0)], ...] = ()
    coverage: Probability = LIKELY_STEPS_COVERAGE
    agents: dict[Text, Probability] = Field(default_factory=dict)
    abstained: bool = False
    abstain_reason: Text | None = None
    calibrated: bool = False
    notes: tuple[Text, ...] = ()
    provenance: Provenance
    verification: Verification | None = None
    success_curve: tuple[PrefixRate, ...] = ()
    basis: Basis = "judge"
    outcome_known: bool = True

    @property
    def level(self) -> Level:
        """How far the verdict is established. A refuted finding is a suspicion."""
        if self.abstained:
            return "none"
        status = self.verification.status if self.verification is not None else ""
        if status == "confirmed":
            return "proved"
        return "found" if self.basis == "finding" and status != "refuted" else "suspected"

    @property
    def stands_out(self) -> bool:
        """Whether one step is named; else the candidates are an order in which to read."""
        if self.level == "suspected" and self.basis in {"ranking", "finding"}:
            return self.calibrated and self.confidence >= _STANDS_OUT
        return not self.abstained

    @property
    def speaker(self) -> str | None:
        """Who acted at `step`: another agent than `agent` where the blame was summed by agent."""
        first = self.candidates[0] if self.candidates else None
        return first.agent if first is not None and first.step == self.step else self.agent

    def __str__(self) -> str:
        """The verdict in one line, for `print`."""
        if self.abstained:
            return f"no verdict: {self.abstain_reason}"
        condition = "" if self.outcome_known else "if this run failed: "
        if not self.stands_out:
            steps = ", ".join(f"{c.step} ({c.agent})" for c in self.candidates[:3])
            return f"{condition}no step stands out; read these first: {steps}"
        if self.level == "found":
            return f"{condition}{self.agent}, step {self.step} (found): {self.reason}"
        doubt = "" if self.calibrated else ", uncalibrated"
        proof = f", {self.verification.status} by replay" if self.verification else ""
        by = f" by {self.speaker}" if self.speaker != self.agent else ""
        sure = f"{self.confidence:.0%}{doubt}{proof}"
        return f"{condition}{self.agent}, step {self.step}{by} ({sure}): {self.reason}"

    def _repr_html_(self) -> str:
        """The verdict in a notebook."""
        return render_html(self)

    @model_validator(mode="before")
    @classmethod
    def _read_without_basis(cls, data: Any) -> Any:
        """Take a verdict of the embedded tracer that was written without a basis for a ranking."""
        if not isinstance(data, dict) or "basis" in data:
            return data
        provenance = data.get("provenance")
        model = provenance.get("model") if isinstance(provenance, dict) else None
        embedded = isinstance(model, str) and model.partition(":")[0] == "embedded"
        replayed = data.get("verification") is not None
        return {**data, "basis": "ranking"} if embedded and not replayed else data

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.abstained and (self.agent is not None or self.step is not None):
            raise ValueError("a verdict that abstains names no agent and no step")
        if self.abstained and not self.abstain_reason:
            raise ValueError("a verdict that abstains says why")
        if not self.abstained and (self.agent is None or self.step is None):
            raise ValueError("a verdict that does not abstain names an agent and a step")
        return self
