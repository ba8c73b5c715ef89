"""Checks of a run that need no language model, one module each.

A check declares the kinds of findings that it reports (`KINDS`) and returns a `FindingLog`.
"""

from agentracer.attribution.embedded.checks import (
    claimed_actions,
    code_history,
    grounding,
    plan_consistency,
    step_claims,
)
from agentracer.attribution.embedded.checks.findings import Finding, StepFindings, merge
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
    )
    return merge(logs)
