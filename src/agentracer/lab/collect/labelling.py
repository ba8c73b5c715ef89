"""Label failed runs by counterfactual replay, with the policy as the oracle.

Natural failures are scanned with `find_decisive` (`sequential`, the definition itself). Runs that
succeed are made to fail by `agentracer.replay.inject`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentracer.replay import OracleFunction, System, find_decisive
from agentracer.replay.inject import inject
from agentracer.trace import Trace

__all__ = ["LabelledRun", "UndecidedRun", "injected", "label_failure"]


@dataclass(frozen=True, slots=True)
class LabelledRun:
    """A failed run with its decisive error.

    Attributes:
        trace: the failed run.
        step: the decisive error.
        reason: why it is decisive, in words.
        origin: `natural` or `injected`.
        operator: what was injected; empty for a natural failure.
        verification: counts of replays with and without the correction, and what was tried.
    """

    trace: Trace
    step: int
    reason: str
    origin: str
    operator: str
    verification: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UndecidedRun:
    """A failed run of which no single step was found to be decisive."""

    trace: Trace
    reason: str
    verification: dict[str, Any]


def label_failure(
    trace: Trace, system: System, oracle: OracleFunction
) -> LabelledRun | UndecidedRun:
    """Scan a failed run for its decisive error, first step to last."""
    search = find_decisive(trace, system, oracle, strategy="sequential")
    verdict = search.verdict
    tried = {
        "tried": sorted(search.proofs),
        "uncorrected": len(search.uncorrected),
        "skipped": len(search.skipped),
        "all_replays": search.replays,
    }
    if verdict.step is None:
        return UndecidedRun(trace, verdict.abstain_reason or "", tried)
    proof = search.proofs[verdict.step]
    counts = {
        "status": proof.status,
        "flips": proof.flips,
        "replays": proof.replays,
        "control_flips": proof.control_flips,
        "control_replays": proof.control_replays,
    }
    correction = oracle(trace, verdict.step)
    reason = _reason(trace, verdict.step, correction)
    return LabelledRun(trace, verdict.step, reason, "natural", "", counts | tried)


def _reason(trace: Trace, step: int, correction: Any) -> str:
    """The difference between what was said and what should have been, as a sentence."""
    recorded = trace.steps[step]
    recorded_lines = _lines(recorded.content, recorded.tool_calls)
    right_lines = _lines(correction.content or "", correction.tool_calls or ())
    wrong = [line for line in recorded_lines if line not in right_lines]
    right = [line for line in right_lines if line not in recorded_lines]
    return (
        f"{recorded.agent} wrote {_quoted(wrong)} where {_quoted(right)} was right; "
        "with that corrected, the run succeeds"
    )


def _lines(content: str, calls: Any) -> list[str]:
    return [line for line in content.splitlines() if line.strip()] + [
        f"{call.name}({', '.join(map(str, dict(call.arguments or {}).values()))})" for call in calls
    ]


def _quoted(lines: list[str], limit: int = 300) -> str:
    text = " / ".join(lines) or "nothing"
    return f'"{text if len(text) <= limit else text[:limit] + "..."}"'


def injected(trace: Trace, system: System, seed: int, count: int) -> Iterator[LabelledRun]:
    """Failures made from a run that succeeded, by corrupting one step of it.

    A corruption that only another run of the same step brings to light is not looked for: each
    run is given a few attempts.
    """
    if count < 1:
        return
    for failure in inject(trace, system, seed=seed, limit=count, attempts=4 * count):
        label = failure.label
        counts = {
            "status": "confirmed",
            "failures": failure.failures,
            "replays": failure.replays,
            "control_failures": failure.control_failures,
            "control_replays": failure.control_replays,
        }
        yield LabelledRun(
            failure.trace, label.step, label.reason or "", "injected", failure.operator, counts
        )
