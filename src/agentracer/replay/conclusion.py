"""What a finished search shows: the verdict, its reason, and what stays open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from agentracer._version import __version__
from agentracer.replay.search import SearchState
from agentracer.replay.trial import Trial
from agentracer.verdict import Candidate, Provenance, Verdict, Verification

__all__ = ["open_questions", "verdict_of"]


def verdict_of(state: SearchState) -> Verdict:
    """Return the verdict of a finished search; it abstains where no step was confirmed."""
    provenance = Provenance(
        model="replay",
        method=f"counterfactual, {state.strategy}",
        versions={"agentracer": __version__},
    )
    trace, step = state.trace, state.decisive
    if step is None:
        hints = [step for step in state.promising if state.trials[step].flips]
        return Verdict(
            trace_id=trace.id,
            abstained=True,
            abstain_reason="; ".join(_why_none(state)),
            candidates=tuple(
                Candidate(agent=trace.steps[s].agent, step=s, reason=_counts(state, s))
                for s in hints
            ),
            provenance=provenance,
        )
    agent, proof = trace.steps[step].agent, state.trials[step]
    open_points = list(open_questions(state))
    reason = "; ".join([_counts(state, step), *_before(state, step), *open_points])
    # The level was divided among the steps, so what luck may do is summed over them.
    luck = min(1.0, proof.p_value * max(1, len(state.steps)))
    untried = [*_untried(state), *_failed_before(state)]
    return Verdict(
        trace_id=trace.id,
        agent=agent,
        step=step,
        reason=reason,
        confidence=1.0 - luck,
        candidates=(Candidate(agent=agent, step=step, reason=reason),),
        calibrated=not open_points,
        basis="replay",
        provenance=provenance,
        verification=_verification(proof, untried),
    )


def _verification(proof: Trial, untried: Sequence[str]) -> Verification:
    """The proof of the decisive step, which shows nothing if an earlier one could not be tried."""
    verification = proof.verification()
    if not untried:
        return verification
    note = "; ".join(filter(None, [*untried, verification.note]))
    return verification.model_copy(update={"status": "inconclusive", "note": note})


def _counts(state: SearchState, step: int) -> str:
    trial = state.trials[step]
    return (
        f"with this step corrected {trial.flips} of {trial.replays} replays succeed, "
        f"without it {trial.control_flips} of {trial.control_replays}"
    )


def _before(state: SearchState, step: int) -> Iterator[str]:
    trials = sorted(state.trials.items())
    earlier = [s for s, t in trials if s < step and t.replays and not (t.flips or t.problems)]
    if earlier:
        yield f"correcting step {_listed(earlier)} before it does not help"


def _why_none(state: SearchState) -> Iterator[str]:
    tried = dict(sorted(state.trials.items()))
    if state.stopped is not None:
        left = len(state.steps) - len(tried) - len(state.uncorrected) - len(state.failed)
        yield f"{state.stopped} with {left} of {len(state.steps)} steps left to try"
    untried = list(_untried(state))
    yield from untried
    undecided = [step for step, t in tried.items() if t.status == "inconclusive" and not t.problems]
    if undecided:
        yield f"inconclusive: correcting step {_listed(undecided)} shows nothing beyond luck"
    elif state.stopped is None and tried and not untried:
        yield "no single step, corrected by this oracle, turns the run into a success"
    elif state.stopped is None and not (state.failed or untried):
        yield "the oracle has no correction for any step"
    if state.everything:
        yield (
            f"correcting step {_listed(tried)} together does: there are several errors, "
            "each enough to make the run fail"
        )
    yield from state.failed.values()
    yield from state.declined.values()


def _untried(state: SearchState) -> Iterator[str]:
    """Say which corrections before the decisive step could not be replayed, and why."""
    end = state.decisive if state.decisive is not None else len(state.trace.steps)
    for step, trial in sorted(state.trials.items()):
        if step < end and trial.problems:
            yield f"a correction of step {step} could not be tried: {trial.problems[0]}"


def _failed_before(state: SearchState) -> Iterator[str]:
    end = state.decisive if state.decisive is not None else len(state.trace.steps)
    yield from (problem for step, problem in sorted(state.failed.items()) if step < end)


def open_questions(state: SearchState) -> Iterator[str]:
    """Say what the strategy cannot exclude; steps after the decisive one do not matter."""
    end = state.decisive if state.decisive is not None else len(state.trace.steps)
    if state.decisive is not None:
        yield from _untried(state)
        for step, trial in sorted(state.trials.items()):
            if step < end and trial.status == "inconclusive" and not trial.problems:
                yield (
                    f"step {step} before it is open: {trial.flips} of {trial.replays} corrected "
                    "replays succeed"
                )
        yield from _failed_before(state)
    jointly = [step for step in state.together if step < end]
    if jointly and state.decisive is not None:
        yield (
            f"step {_listed(jointly)} before it were corrected together, not one by one, which "
            "does not help; that misses a step only if another's correction undoes its effect"
        )
    tried = {*state.trials, *state.uncorrected, *state.failed, *jointly}
    passed = [step for step in state.steps if step < end and step not in tried]
    if passed and state.decisive is not None:
        why = "binary search passed over it" if state.strategy == "bisect" else "not tried"
        yield f"step {_listed(passed)} before it: {why}"


def _listed(steps: Sequence[int] | dict[int, Any]) -> str:
    listed = list(steps)
    if len(listed) > 8:
        return f"{', '.join(map(str, listed[:8]))} and {len(listed) - 8} more"
    return ", ".join(map(str, listed))
