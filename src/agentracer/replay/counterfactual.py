"""Finds the decisive error: the earliest step whose correction turns the failure into a success.

The definition is a scan over the steps (arXiv 2509.03312, Algorithm 1), each corrected by an
oracle and replayed in place. `sequential` is that scan. `ranked` asks a tracer where to look first,
and then tries only what is earlier than the first step that flipped, which the claim *earliest*
needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agentracer._version import __version__
from agentracer.replay.verify import Oracle, System, flip_p_value, prove
from agentracer.trace import Trace
from agentracer.verdict import Candidate, Provenance, Verdict, Verification

__all__ = ["Search", "find_decisive"]

Strategy = Literal["sequential", "ranked"]


@dataclass(slots=True)
class Search:
    """What a search did.

    Attributes:
        verdict: names the decisive error, or abstains where no single step flips the run.
        proofs: what each step that was replayed showed.
        uncorrected: steps for which the oracle had no correction, so that they were not replayed.
        skipped: steps that were not looked at, because an earlier one decided.
    """

    verdict: Verdict
    proofs: dict[int, Verification] = field(default_factory=dict)
    uncorrected: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)

    @property
    def replays(self) -> int:
        """How many replays it took."""
        return sum(proof.replays + proof.control_replays for proof in self.proofs.values())


def find_decisive(
    trace: Trace,
    system: System,
    oracle: Oracle,
    *,
    strategy: Strategy = "sequential",
    ranking: Sequence[int] = (),
    repeats: int = 3,
    progress: Callable[[int, Verification | None], None] | None = None,
) -> Search:
    """Find the earliest step whose correction flips a failed run.

    Args:
        trace: the failed run, recorded here.
        system: what to run.
        oracle: proposes a minimal correction of a step, or None.
        strategy: `sequential` scans from the first step; `ranked` follows `ranking` first.
        ranking: steps to try first, most suspicious first, such as a verdict's candidates.
        repeats: replays of each correction, and of its control where it flipped anything.
        progress: called with each step tried and what it showed (None: nothing to correct).

    Raises:
        ValueError: the run did not fail, or a step of the ranking does not exist.
    """
    if trace.outcome.success is not False:
        raise ValueError(
            f"trace {trace.id} is not a failed run: its success is {trace.outcome.success}"
        )
    search = Search(_no_single_step(trace, strategy))
    decisive: int | None = None
    order = _ranked(trace, ranking) if strategy == "ranked" else range(len(trace.steps))
    for step in order:
        if decisive is not None and step > decisive:
            search.skipped.append(step)
            continue
        proof = prove(trace, step, system, oracle, repeats=repeats)
        if proof is None:
            search.uncorrected.append(step)
        else:
            search.proofs[step] = proof
            if proof.status == "confirmed":
                decisive = step
        if progress is not None:
            progress(step, proof)
    if decisive is not None:
        search.verdict = _decided(trace, decisive, search, strategy)
    return search


def _ranked(trace: Trace, ranking: Sequence[int]) -> Iterator[int]:
    """The ranked steps, then all others from the first to the last."""
    beyond = [step for step in ranking if not 0 <= step < len(trace.steps)]
    if beyond:
        raise ValueError(f"the ranking names step {beyond[0]}: the trace has {len(trace.steps)}")
    yield from dict.fromkeys([*ranking, *range(len(trace.steps))])


def _decided(trace: Trace, step: int, search: Search, strategy: Strategy) -> Verdict:
    agent, proof = trace.steps[step].agent, search.proofs[step]
    earlier = [s for s in sorted(search.proofs) if s < step]
    reason = (
        f"with this step corrected {proof.flips} of {proof.replays} replays succeed, "
        f"without it {proof.control_flips} of {proof.control_replays}"
    )
    if earlier:
        reason += f"; correcting step {', '.join(map(str, earlier))} before it does not help"
    return Verdict(
        trace_id=trace.id,
        agent=agent,
        step=step,
        reason=reason,
        confidence=1.0 - _error_bound(proof),
        candidates=(Candidate(agent=agent, step=step, reason=reason),),
        calibrated=True,
        provenance=_provenance(strategy),
        verification=proof,
    )


def _error_bound(proof: Verification) -> float:
    """Chance that luck alone gives such counts, which the note of the proof quotes as p."""
    return flip_p_value(proof.flips, proof.replays, proof.control_flips, proof.control_replays)


def _no_single_step(trace: Trace, strategy: Strategy) -> Verdict:
    return Verdict(
        trace_id=trace.id,
        abstained=True,
        abstain_reason="no single step, corrected by this oracle, turns the run into a success",
        provenance=_provenance(strategy),
    )


def _provenance(strategy: Strategy) -> Provenance:
    return Provenance(
        model="replay", method=f"counterfactual, {strategy}", versions={"agentracer": __version__}
    )
