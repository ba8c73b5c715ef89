"""The rule list as a backend of its own: `embedded:rules`. A baseline, and a second opinion.

Its confidence is the measured hit rate of the rule that applies; on runs of another shape than the
measured ones the verdict is uncalibrated.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentracer.attribution.backends import Judgement
from agentracer.attribution.embedded.explanation import answer_evidence
from agentracer.attribution.embedded.rule_list import FEW_FACTS, MEASURED, Rule, rank_by_rules
from agentracer.attribution.embedded.text.quotes import (
    LONGEST_QUOTE,
    answer_source,
    code_line,
    line_at,
)
from agentracer.attribution.embedded.text.signals import Signals
from agentracer.trace import Observed
from agentracer.verdict import Candidate, Evidence

__all__ = ["RULES_VERSION", "judge_by_rules"]

RULES_VERSION = "1"
"""Changes whenever the same run may get another verdict."""

_EXPLAINED = 10  # candidates with evidence; the rest of the ranking goes without
_EXAMPLES = 4  # facts named in one piece of evidence
_MEASURED_LENGTHS = range(5, 131)  # steps of the logs that the rules were measured on


def judge_by_rules(run: Observed) -> Judgement:
    """Rank the steps of a run by the rule list. O(length of its text)."""
    signals = Signals(run)
    rule, order = rank_by_rules(signals)
    source = answer_source(signals)
    candidates = tuple(
        _candidate(signals, rule, rank, index, source) for rank, index in enumerate(order)
    )
    measured = MEASURED[rule.name]
    hit_rate = measured.rate(0)
    return Judgement(
        basis="ranking",
        candidates=candidates,
        agents=_shares(candidates),
        # Where nothing was measured, the confidence is that of a uniform guess.
        confidence=1 / len(run.steps) if hit_rate is None else hit_rate,
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
        evidence=tuple(_evidence(signals, index, source)) if rank < _EXPLAINED else (),
    )


def _evidence(signals: Signals, index: int, source: int | None) -> Iterator[Evidence]:
    """What is observable about a step; `source` is the result of `answer_source`."""
    step, text = signals.run.steps[index], signals.texts[index]
    if step.error is not None:
        message = step.error.message[:LONGEST_QUOTE]
        yield Evidence(step=index, says=f"raised {step.error.type}: {message}")
    if signals.code[index]:
        act = "calls a tool" if step.tool_calls else "writes code"
        yield Evidence(step=index, says=act, quote=code_line(text))
    facts = signals.new_facts[index]
    if index != signals.briefing and len(facts) >= FEW_FACTS:
        some = ", ".join(facts[:_EXAMPLES]) + (", …" if len(facts) > _EXAMPLES else "")
        says = f"brings {len(facts)} figures or names that do not occur before: {some}"
        yield Evidence(step=index, says=says, quote=line_at(text, text.find(facts[0])))
    after = index if index in signals.failures else index + 1
    if signals.code[index] and after in signals.failures and step.error is None:
        failed = signals.texts[after]
        quote = line_at(failed, failed.find("Error"))
        yield Evidence(step=after, says="its execution failed", quote=quote)
    if index == source:
        yield answer_evidence(signals.run.outcome.answer, text, index)


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
