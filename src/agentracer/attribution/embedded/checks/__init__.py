"""Checks of a run that need no language model, one module each.

A check declares the kinds of findings that it reports (`KINDS`) and returns a `FindingLog`.
"""

from agentracer.attribution.embedded.checks import (
    claimed_actions,
    code_history,
    copied_values,
    final_answer,
    grounding,
    lost_work,
    plan_consistency,
    step_claims,
    unusable_results,
)
from agentracer.attribution.embedded.checks.findings import Finding, FindingLog, StepFindings, merge
from agentracer.attribution.embedded.checks.history import Known, events
from agentracer.attribution.embedded.kinds import FindingKinds
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.attribution.embedded.text.step_facts import RunFacts
from agentracer.attribution.embedded.text.unwrap import unwrap_json

__all__ = ["KINDS", "Finding", "StepFindings", "check_run"]

KINDS = FindingKinds(
    plan_consistency.KINDS,
    grounding.KINDS,
    code_history.KINDS,
    claimed_actions.KINDS,
    step_claims.KINDS,
    copied_values.KINDS,
    unusable_results.KINDS,
    final_answer.KINDS,
    lost_work.KINDS,
)
"""What all checks can report."""


def check_run(signals: Signals, facts: RunFacts) -> list[StepFindings]:
    """Run every check.

    Args:
        signals: of the run.
        facts: of the run.

    Returns:
        The findings of each step.
    """
    run = signals.run
    texts = [unwrap_json(step.content) for step in run.steps]
    new_facts = [step.new_facts for step in facts.steps]
    logs = (
        plan_consistency.check_plan(run, texts),
        grounding.check_sources(run, texts),
        code_history.check_code(run, texts),
        claimed_actions.check_actions(signals, texts, new_facts),
        step_claims.check_claims(facts),
        *_follow(signals),
        final_answer.check_answer(signals),
        lost_work.check_lost_work(signals),
    )
    return merge(logs)


def _follow(signals: Signals) -> tuple[FindingLog, ...]:
    """Run the checks that follow what was known at each point of a run."""
    checks = copied_values.ValuesCheck(signals), unusable_results.ResultsCheck(signals)
    known = Known.at_start(signals)
    for event in events(signals):
        known.read(event.step)
        for check in checks:
            check.take(event, known)
        known.learn(event)
    return tuple(check.findings for check in checks)
