"""Decide what a report shows of a verdict's candidates.

Terminal, HTML page, notebook, Markdown, GitHub and JUnit all render the one `Shortlist` made here:
which candidates are shown and how many, which reasons are left out as repeated, how much evidence
is shown, and the set of likely steps with its level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from agentracer.report import formatting
from agentracer.verdict import LISTED_LIKELY_STEPS, Candidate, Evidence, Verdict

__all__ = ["Shortlist", "ShortlistEntry", "StepSet", "shortlist_of"]

_CANDIDATES: Final = 5
_EVIDENCE: Final = 3


@dataclass(frozen=True, slots=True)
class ShortlistEntry:
    """One candidate as every report shows it.

    Attributes:
        rank: 1 for the most likely one.
        agent: the agent that acted at the step.
        step: index of the step.
        decisive: whether the verdict names this step.
        share: its probability or uncalibrated score as text; empty where the method has none.
        reason: why it is a candidate; empty where the verdict's reason or the evidence says so.
        evidence: the pieces that are shown.
        more_evidence: the pieces that are counted, or shown on demand.
    """

    rank: int
    agent: str
    step: int
    decisive: bool
    share: str
    reason: str
    evidence: tuple[Evidence, ...]
    more_evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class StepSet:
    """The steps of which one is the decisive one with a measured probability.

    Attributes:
        level: that probability.
        steps: those that are listed.
        more: how many more belong to the set.
    """

    level: float
    steps: tuple[int, ...]
    more: int

    @property
    def lead(self) -> str:
        """`with a probability of 80 %, the decisive step is one of`."""
        level = formatting.percent(self.level)
        return f"with a probability of {level}, the decisive step is one of"

    @property
    def text(self) -> str:
        """The lead and the steps: `... is one of 4, 8, 12 and 3 more`."""
        listed = ", ".join(map(str, self.steps)) + (f" and {self.more:,} more" if self.more else "")
        return f"{self.lead} {listed}"


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The candidates of a verdict as every report shows them.

    Attributes:
        entries: the candidates that are shown, best first.
        more: the candidates that are counted, or shown on demand.
        likely: the set of likely steps; None where the method measured none.
    """

    entries: tuple[ShortlistEntry, ...]
    more: tuple[ShortlistEntry, ...]
    likely: StepSet | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, for the script of the HTML page."""
        likely = self.likely
        return {
            "entries": [_entry_json(entry) for entry in self.entries],
            "more": [_entry_json(entry) for entry in self.more],
            "likely": likely
            and {"lead": likely.lead, "steps": list(likely.steps), "more": likely.more},
        }


def shortlist_of(verdict: Verdict) -> Shortlist:
    """Return what reports show of a verdict's candidates.

    Args:
        verdict: with or without candidates.
    """
    entries = tuple(
        _entry(verdict, candidate, rank) for rank, candidate in enumerate(verdict.candidates, 1)
    )
    steps = verdict.likely_steps
    listed = steps[:LISTED_LIKELY_STEPS]
    likely = StepSet(verdict.coverage, listed, len(steps) - len(listed)) if steps else None
    return Shortlist(entries[:_CANDIDATES], entries[_CANDIDATES:], likely)


def _entry(verdict: Verdict, candidate: Candidate, rank: int) -> ShortlistEntry:
    return ShortlistEntry(
        rank=rank,
        agent=candidate.agent,
        step=candidate.step,
        decisive=candidate.step == verdict.step,
        share=_share(verdict, candidate),
        reason="" if _is_repeated(verdict, candidate) else candidate.reason,
        evidence=candidate.evidence[:_EVIDENCE],
        more_evidence=candidate.evidence[_EVIDENCE:],
    )


def _share(verdict: Verdict, candidate: Candidate) -> str:
    """A measured probability, or the score of a judge; a ranking has neither."""
    if verdict.basis in {"ranking", "finding"} and not verdict.calibrated:
        return ""
    return formatting.share(candidate.probability, calibrated=verdict.calibrated)


def _is_repeated(verdict: Verdict, candidate: Candidate) -> bool:
    """Whether the verdict's own reason, shown above the list, or the evidence says the same."""
    findings = [piece.says for piece in candidate.evidence if piece.says]
    return candidate.reason in (verdict.reason + "".join(findings)) or any(
        finding in candidate.reason for finding in findings
    )


def _entry_json(entry: ShortlistEntry) -> dict[str, Any]:
    return {
        "agent": entry.agent,
        "step": entry.step,
        "decisive": entry.decisive,
        "share": entry.share,
        "reason": entry.reason,
        "evidence": [piece.model_dump(mode="json") for piece in entry.evidence],
        "more_evidence": [piece.model_dump(mode="json") for piece in entry.more_evidence],
    }
