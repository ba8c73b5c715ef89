"""Findings in the text of single steps: wrong calculations, figures copied wrongly, values changed.

What is found is read from the facts of each step (`StepFacts`).
"""

from __future__ import annotations

from agentracer.attribution.embedded.checks.findings import FindingLog
from agentracer.attribution.embedded.kinds import FindingKinds
from agentracer.attribution.embedded.text.step_facts import RunFacts

__all__ = ["KINDS", "check_claims"]

KINDS = FindingKinds()
"""What this check reports. The priors are guesses: these are too rare to be measured."""

_WRONG_CALCULATION = KINDS.against(
    "wrong_calculation",
    "states a wrong calculation",
    prior=1.5,
    detail="its left side is {value:g}",
    marks_first=False,
    decides=True,
)
_MISCOPIED_RESULT = KINDS.against(
    "miscopied_result",
    "copies a figure of a result with its digits in another order",
    prior=1.0,
    detail="it says {figure}, the result at step {place} says {original}",
    marks_first=False,
)
# These three are signals of the ranking and no evidence: a name may have several values, and a step
# may go beyond a result, or use none of it, with good reason.
_CHANGED_VALUE = KINDS.against(
    "changed_value",
    "",
    prior=0.0,
    detail="'{name}' is {value}, at step {step} it was {before}",
    marks_first=False,
)
_BEYOND_RESULT = KINDS.against("beyond_result", "", prior=0.0, marks_first=False)
_IGNORES_RESULT = KINDS.against("ignores_result", "", prior=0.0, marks_first=False)


def check_claims(facts: RunFacts) -> FindingLog:
    """Report what the facts of each step hold against it."""
    findings = FindingLog(KINDS, len(facts.steps))
    for index, step in enumerate(facts.steps):
        for wrong in step.wrong_calculations:
            findings.add(index, _WRONG_CALCULATION, quote=wrong.text, value=wrong.value)
        if step.miscopied is not None:
            figure, original = step.miscopied
            findings.add(
                index,
                _MISCOPIED_RESULT,
                anchor=figure,
                figure=figure,
                place=step.source,
                original=original,
            )
        if step.change is not None:
            change = step.change
            findings.add(
                index,
                _CHANGED_VALUE,
                anchor=change.name,
                name=change.name,
                value=change.value,
                step=change.step,
                before=change.before,
            )
        findings.add(index, _BEYOND_RESULT, step.beyond_result)
        findings.add(index, _IGNORES_RESULT, step.ignores_result)
    return findings
