"""What checks report of the steps of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentracer.attribution.embedded.checks.history import Mention
from agentracer.attribution.embedded.kinds import FindingKind, FindingKinds

__all__ = ["Finding", "FindingLog", "StepFindings", "merge"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of one step.

    Attributes:
        kind: what was found.
        amount: how much of it there is; 1 where it is a matter of yes or no.
        detail: what exactly, in words; may be empty.
        anchor: text of the step in whose line the finding is; may be empty.
        quote: text of the step that is the finding itself; may be empty.
        source: what the step contradicts, where that stands in the run.
    """

    kind: FindingKind
    amount: float
    detail: str = ""
    anchor: str = ""
    quote: str = ""
    source: Mention | None = None


StepFindings = dict[FindingKind, Finding]
"""The findings of one step; at most one of a kind, in the order in which they were reported."""


class FindingLog:
    """Collects what one check finds in a run.

    Args:
        kinds: those that the check declares.
        steps: number of steps of the run.

    Attributes:
        steps: the findings of each step.
    """

    def __init__(self, kinds: FindingKinds, steps: int) -> None:
        self._kinds = kinds
        self.steps: list[StepFindings] = [{} for _ in range(steps)]

    def add(
        self,
        index: int,
        kind: FindingKind,
        amount: float = 1.0,
        *,
        anchor: str = "",
        quote: str = "",
        source: Mention | None = None,
        **fields: object,
    ) -> None:
        """Report a finding, unless its amount is 0 or the step has one of this kind already.

        Args:
            index: the step.
            kind: what was found.
            amount: how much of it there is.
            anchor: see `Finding`; by default the detail up to its first comma.
            quote: see `Finding`.
            source: see `Finding`.
            fields: those of the kind's template for the detail.

        Raises:
            ValueError: the check does not declare this kind.
            KeyError: a field of the template is not given.
        """
        if kind not in self._kinds:
            raise ValueError(f"the finding {kind.name!r} is not declared by this check")
        if amount and kind not in self.steps[index]:
            detail = kind.detail.format(**fields)
            anchor = anchor or detail.split(",", 1)[0]
            self.steps[index][kind] = Finding(kind, float(amount), detail, anchor, quote, source)


def merge(logs: Sequence[FindingLog]) -> list[StepFindings]:
    """Merge the findings of several checks of one run, step by step."""
    merged: list[StepFindings] = []
    for findings in zip(*(log.steps for log in logs), strict=True):
        step: StepFindings = {}
        for reported in findings:
            step.update(reported)
        merged.append(step)
    return merged
