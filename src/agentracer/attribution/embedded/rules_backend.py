"""The rule list as a backend of its own: `embedded:rules`. A baseline, and a second opinion.

Its confidence is the measured hit rate of the rule that fired; on runs of another shape than the
measured ones it says so (`calibrated` is False).
"""

from __future__ import annotations

from agentracer.attribution.backends import Judgement
from agentracer.attribution.embedded.explanation import answer_source, evidence
from agentracer.attribution.embedded.rule_list import MEASURED, Rule, ranking
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.trace import Observed
from agentracer.verdict import Candidate

__all__ = ["RULES_VERSION", "judge_by_rules"]

RULES_VERSION = "1"
"""Changes whenever the same run may get another verdict."""

_EXPLAINED = 10  # candidates with evidence; the rest of the ranking goes without
_MEASURED_LENGTHS = range(5, 131)  # steps of the logs that the rules were measured on


def judge_by_rules(run: Observed) -> Judgement:
    """Rank the steps of a run by the rule list. O(length of its text)."""
    signals = Signals(run)
    rule, order = ranking(signals)
    source = answer_source(signals)
    candidates = tuple(
        _candidate(signals, rule, rank, index, source) for rank, index in enumerate(order)
    )
    measured = MEASURED[rule.name]
    known = measured.rate(0)
    return Judgement(
        candidates=candidates,
        agents=_shares(candidates),
        # Where nothing was measured, the only honest figure is that of a blind guess.
        confidence=1 / len(run.steps) if known is None else known,
        calibrated=measured.runs > 0 and _is_like_the_measured(signals),
        versions={"rules": RULES_VERSION},
    )


def _candidate(
    signals: Signals, rule: Rule, rank: int, index: int, source: int | None
) -> Candidate:
    measured = MEASURED[rule.name]
    if rank == 0:
        reason = f"rule '{rule.name}': {rule.because}"
        if measured.runs:
            reason += f" (right in {measured.first} of {measured.runs} measured runs)"
    else:
        reason = f"rank {rank + 1} of rule '{rule.name}'"
    return Candidate(
        agent=signals.run.steps[index].agent,
        step=index,
        probability=measured.rate(rank),
        reason=reason,
        evidence=evidence(signals, index, source) if rank < _EXPLAINED else (),
    )


def _shares(candidates: tuple[Candidate, ...]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for candidate in candidates:
        if candidate.probability is not None:
            shares[candidate.agent] = shares.get(candidate.agent, 0.0) + candidate.probability
    return shares


def _is_like_the_measured(signals: Signals) -> bool:
    """Whether a run has the shape of those logs: a failed chat of several agents about a task."""
    run = signals.run
    return (
        run.outcome.success is False
        and len(run.steps) in _MEASURED_LENGTHS
        and len(run.agent_names) >= 2
        and all(step.kind == "message" for step in run.steps)
        and (signals.briefing is not None or bool(signals.users))
    )
