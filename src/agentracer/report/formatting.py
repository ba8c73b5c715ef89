"""Turn facts of traces and verdicts into the phrases that every kind of report uses.

The results are plain strings without styling. Text of models and tools passes through unchanged:
the caller escapes it (`agentracer.escaping`).
"""

from __future__ import annotations

import datetime

from agentracer.trace import Outcome, Step, Trace
from agentracer.verdict import Provenance, Verdict, Verification

__all__ = [
    "claim",
    "confidence",
    "duration",
    "failure_kind",
    "headline",
    "is_established",
    "likelihood",
    "outcome",
    "percent",
    "plural",
    "provenance",
    "reading_list",
    "run_outcome",
    "seconds",
    "settling",
    "share",
    "summary",
    "timestamp",
    "verification",
]

_READ_FIRST = 3
_LIKELIHOODS = ((0.9, "very likely"), (0.7, "likely"), (0.4, "plausible"), (0.2, "weak"))
_ENDINGS = {
    "finished": "",
    "raised": "the run raised an exception",
    "interrupted": "waiting for a human",
    "cancelled": "cancelled",
    "abandoned": "the caller stopped reading",
    "unfinished": "still running, or the process died",
}
_LEFT_BY_FORK = "left by a fork: that process still runs, or ended inside the run"


def plural(count: int, noun: str) -> str:
    """`1 step`, `1,204 steps`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def seconds(value: float) -> str:
    """Format a duration with two or three significant digits."""
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def timestamp(at: float | None) -> str:
    """Format a time as `2026-11-22 10:04 UTC`; empty where it is unknown or out of range."""
    if at is None:
        return ""
    try:
        when = datetime.datetime.fromtimestamp(at, tz=datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return ""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def duration(record: Trace | Step) -> str:
    """Return how long a run or a step took; empty where that was not recorded."""
    if record.started_at is None or record.ended_at is None:
        return ""
    return seconds(max(0.0, record.ended_at - record.started_at))


def run_outcome(trace: Trace) -> str:
    """Return the outcome of a run as words, see `outcome`."""
    return outcome(trace.outcome, forked=bool(trace.metadata.get("forked")))


def outcome(result: Outcome, *, forked: bool = False) -> str:
    """Return `failed`, `succeeded` or `outcome unknown`, and how the run ended if abnormally.

    Args:
        result: the outcome.
        forked: whether a fork of the process began the trace inside of another run.
    """
    if forked and result.ending == "unfinished":
        return _LEFT_BY_FORK
    word = {True: "succeeded", False: "failed", None: "outcome unknown"}[result.success]
    ending = _ENDINGS[result.ending]
    return f"{word}: {ending}" if ending else word


def failure_kind(result: Outcome) -> str:
    """Return the kind of failure, to count runs by; `succeeded` where the run did not fail."""
    if result.success:
        return "succeeded"
    if result.ending == "raised":
        return f"raised {result.error.type}" if result.error is not None else "raised an exception"
    if result.ending != "finished":
        return f"not finished: {_ENDINGS[result.ending]}"
    if result.success is None:
        return "outcome unknown"
    return "wrong answer" if result.answer else "no answer"


def summary(trace: Trace) -> str:
    """Return one line of facts: steps, agents, time, framework, lost events."""
    facts = [
        plural(len(trace.steps), "step"),
        plural(len(trace.observed.agent_names), "agent"),
        duration(trace),
        trace.observed.framework or "",
        timestamp(trace.started_at),
    ]
    lost = sum(trace.dropped.values())
    if lost:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in trace.dropped.items())
        facts.append(f"{plural(lost, 'event')} lost ({reasons})")
    return " · ".join(fact for fact in facts if fact)


def likelihood(probability: float) -> str:
    """Return a probability in one or two words."""
    return next((word for floor, word in _LIKELIHOODS if probability >= floor), "a guess")


def percent(value: float) -> str:
    """`72 %`."""
    return f"{value:.0%}".replace("%", " %")


def share(value: float | None, *, calibrated: bool) -> str:
    """Return `72 %` for a measured probability, `0.72` for a score that was never measured."""
    if value is None:
        return ""
    return percent(value) if calibrated else f"{value:.2f}"


def confidence(verdict: Verdict) -> str:
    """How sure a verdict is, in words.

    `likely, 72 %` where calibrated; `checked in the run itself` for a finding; `a ranking only` for
    an order of steps; `uncalibrated score 0.72` for a judge. The score of a run's only candidate is
    1 whatever the candidate did, so it is not shown.
    """
    if verdict.level == "found":
        return "checked in the run itself; not proved"
    if verdict.calibrated:
        return f"{likelihood(verdict.confidence)}, {percent(verdict.confidence)}"
    if verdict.basis in {"ranking", "finding"}:
        return "a ranking only, uncalibrated"
    if len(verdict.candidates) == 1 and verdict.candidates[0].probability == 1.0:
        return "uncalibrated: the only candidate"
    return f"uncalibrated score {share(verdict.confidence, calibrated=False)}"


def is_established(verdict: Verdict, result: Outcome | None) -> bool:
    """Whether a report may state that the step made the run fail: only where a replay proved it.

    Args:
        verdict: a verdict that may abstain.
        result: the outcome of the run; None where the caller does not have it.
    """
    del result
    return verdict.level == "proved"


def _is_conditional(verdict: Verdict, result: Outcome | None) -> bool:
    """Whether it is not known that the run failed."""
    return not verdict.outcome_known if result is None else result.success is None


def claim(verdict: Verdict, result: Outcome | None) -> str:
    """Return what is stated of the blamed agent and step: `made this run fail`, or less."""
    if is_established(verdict, result):
        return "made this run fail"
    condition = ", if this run failed (its outcome is not known)"
    condition = condition if _is_conditional(verdict, result) else ""
    if verdict.level == "found":
        return f"contradicts the run{condition}"
    return f"is suspected{condition or ' of making this run fail'}"


def headline(verdict: Verdict, result: Outcome | None) -> str:
    """Return a title for the verdict: a decisive error, a contradiction, a suspicion, or none."""
    if verdict.abstained:
        return "No step is blamed"
    if is_established(verdict, result):
        return "Decisive error"
    if not verdict.stands_out:
        condition = "If this run failed, no" if _is_conditional(verdict, result) else "No"
        return f"{condition} step stands out"
    title = "Contradiction found" if verdict.level == "found" else "Suspected decisive error"
    if _is_conditional(verdict, result):
        return f"{title} (whether the run failed is not known)"
    return title


def reading_list(verdict: Verdict) -> str:
    """Return the steps to read first: `read these first: step 3 (planner), step 5 (solver)`."""
    first = verdict.candidates[:_READ_FIRST]
    named = ", ".join(f"step {candidate.step} ({candidate.agent})" for candidate in first)
    return f"read {'these' if len(first) > 1 else 'this'} first: {named}"


def settling(verdict: Verdict, *, replayable: bool | None = None) -> str:
    """Return the command that would settle a suspicion or a finding; empty where one is proved.

    Args:
        verdict: a verdict.
        replayable: whether the run can be replayed; None if that is not known.
    """
    if verdict.abstained or verdict.verification is not None:
        return ""
    prove = f"agentracer attribute {verdict.trace_id} --verify --system MODULE:FUNCTION"
    judge = f"agentracer attribute {verdict.trace_id} --model openai:MODEL@URL"
    if replayable is False:
        return f"a language model can judge it: {judge}" if verdict.basis != "judge" else ""
    return f"to prove it: {prove}"


def proof_status(proof: Verification) -> str:
    """Return the status with the number of replays: `confirmed by 16 replays`, `likely, by 9 ...`.

    Both kinds of replays count: without the step as it was, and with it.
    """
    comma = "" if proof.status == "confirmed" else ","
    return f"{proof.status}{comma} by {plural(proof.replays + proof.control_replays, 'replay')}"


def verification(proof: Verification) -> str:
    """Return the counts of a verification by replay, with its control."""
    if proof.method == "prefixes":
        return (
            f"{proof_status(proof)}: succeeded in {proof.flips} of {proof.replays} reruns that "
            f"kept only the steps before this one, in {proof.control_flips} of "
            f"{proof.control_replays} that kept the step too"
        )
    return (
        f"{proof_status(proof)}: succeeded in {proof.flips} of {proof.replays} reruns with the "
        f"step corrected, in {proof.control_flips} of {proof.control_replays} without"
    )


def provenance(source: Provenance) -> str:
    """Return one line: model, method, w/ G or w/o G, time, calls, tokens, versions."""
    usage = source.usage
    facts = [
        source.model,
        source.method,
        "w/ G" if source.ground_truth else "w/o G",
        seconds(usage.seconds),
    ]
    if usage.model_calls:
        facts.append(plural(usage.model_calls, "call"))
    if usage.tokens:
        facts.append(f"{usage.input_tokens:,} + {usage.output_tokens:,} tokens")
    facts += [f"{name} {version}" for name, version in source.versions.items()]
    return " · ".join(facts)
