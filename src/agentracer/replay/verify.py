"""Proof by replay: does correcting this step turn the failure into a success, and not by luck?

A correction counts only against a *control*: the same replays with the step as it was. Each is
repeated, and the two counts are compared by Fisher's exact test, so that a system that sometimes
succeeds anyway cannot confirm a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import comb
from typing import Any, Literal, Protocol

from agentracer.errors import ReplayDiverged
from agentracer.replay.rerun import rerun
from agentracer.replay.session import Override
from agentracer.store import Store
from agentracer.trace import ToolRequest, Trace
from agentracer.verdict import Verdict, Verification

__all__ = ["Oracle", "System", "Trial", "flip_p_value", "prove", "unchanged", "verify"]

Status = Literal["confirmed", "refuted", "inconclusive"]

ALPHA = 0.05
"""A verdict is confirmed where luck alone would show such counts at most this often."""


class Oracle(Protocol):
    """Knows what a step should have done."""

    def __call__(self, trace: Trace, step: int) -> Override | None:
        """A minimal correction of one step, or None where there is nothing to correct."""


@dataclass(frozen=True, slots=True)
class System:
    """What is replayed, and how its success is told.

    Attributes:
        run: runs the system once, from the task, on fresh or reset objects.
        check: given what `run` returned, says whether it succeeded.
        store: where the replayed traces go; the default store if None.
    """

    run: Callable[[], Any]
    check: Callable[[Any], Any]
    store: Store | None = None


@dataclass(slots=True)
class Trial:
    """Replays of one override.

    Attributes:
        flips: how many succeeded.
        replays: how many there were.
        traces: their ids.
        problems: why replays could not be used: divergences, or a missing outcome.
    """

    flips: int = 0
    replays: int = 0
    traces: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def run(self, trace: Trace, system: System, override: Override, repeats: int) -> Trial:
        """Replay `repeats` times more; a replay that fails to follow the record ends the trial."""
        for _ in range(repeats):
            try:
                again = rerun(
                    trace, system.run, override=override, check=system.check, store=system.store
                )
            except ReplayDiverged as error:
                self.traces.append(error.trace_id)
                self.problems += error.divergences
                break
            self.traces.append(again.id)
            if again.outcome.success is None:
                self.problems.append("the check did not say whether the replay succeeded")
                break
            self.replays += 1
            self.flips += again.outcome.success
        return self


def verify(
    trace: Trace, verdict: Verdict, system: System, oracle: Oracle, *, repeats: int = 3
) -> Verdict:
    """Replay the blamed step, corrected and uncorrected, and add what that shows to the verdict.

    Args:
        trace: the failed run, recorded here.
        verdict: names the step to correct.
        system: what to run.
        oracle: knows the correction.
        repeats: replays of each kind. Three is the least that can confirm anything.

    Returns:
        The verdict with its `verification`: *confirmed* if the correction succeeds more often than
        the control, by more than luck; *refuted* if it never succeeds; else *inconclusive*.

    Raises:
        ValueError: the verdict abstains, or is about another trace.
    """
    if verdict.step is None:
        raise ValueError("the verdict abstains: there is no step to correct")
    if verdict.trace_id != trace.id:
        raise ValueError(f"the verdict is about trace {verdict.trace_id}, not {trace.id}")
    proof = prove(trace, verdict.step, system, oracle, repeats=repeats)
    if proof is None:
        proof = _conclude(Trial(problems=["the oracle has no correction for this step"]), Trial())
    return verdict.model_copy(update={"verification": proof})


def prove(
    trace: Trace, step: int, system: System, oracle: Oracle, *, repeats: int = 3
) -> Verification | None:
    """What replaying one step corrected, and uncorrected, shows; None: nothing to correct.

    The control is only replayed where the correction flipped anything: a step that never flips is
    refuted whatever the control says.
    """
    override = oracle(trace, step)
    if override is None:
        return None
    trial, control = Trial().run(trace, system, override, repeats), Trial()
    if trial.flips:
        control.run(trace, system, unchanged(trace, step), repeats)
    return _conclude(trial, control)


def unchanged(trace: Trace, step: int) -> Override:
    """The override that changes nothing: the control."""
    recorded = trace.steps[step]
    calls = [
        ToolRequest(id=call.id, name=call.name, arguments=call.arguments)
        for call in recorded.tool_calls
    ]
    return Override(step=step, content=recorded.content, tool_calls=calls)


def flip_p_value(flips: int, replays: int, control_flips: int, control_replays: int) -> float:
    """How often luck alone gives the corrected replays at least that many of all flips.

    Fisher's exact test, one-sided.
    """
    flips_in_all, replays_in_all = flips + control_flips, replays + control_replays
    ways = comb(replays_in_all, flips_in_all)
    as_many = range(flips, min(replays, flips_in_all) + 1)
    hits = sum(comb(replays, k) * comb(control_replays, flips_in_all - k) for k in as_many)
    return hits / ways


def _conclude(trial: Trial, control: Trial) -> Verification:
    p_value = flip_p_value(trial.flips, trial.replays, control.flips, control.replays)
    return Verification(
        status=_status(trial, control, p_value),
        flips=trial.flips,
        replays=trial.replays,
        control_flips=control.flips,
        control_replays=control.replays,
        traces=(*trial.traces, *control.traces),
        note="; ".join(_notes(trial, control, p_value)),
    )


def _status(trial: Trial, control: Trial, p_value: float) -> Status:
    if trial.problems or control.problems or not trial.replays:
        return "inconclusive"
    if trial.flips == 0:
        return "refuted"
    return "confirmed" if p_value <= ALPHA else "inconclusive"


def _notes(trial: Trial, control: Trial, p_value: float) -> Iterator[str]:
    yield from dict.fromkeys([*trial.problems, *control.problems])
    if trial.replays and control.replays and trial.flips:
        yield f"luck alone would show this with p = {p_value:.3g}"
