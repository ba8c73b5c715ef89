"""Verify a verdict by replay: does correcting this step turn the failure into a success?

A correction counts only against a *control*: the same replays with the step as it was. Both are
repeated, and the two counts are compared with Boschloo's exact test, so that a system that
sometimes succeeds anyway cannot confirm a verdict.
"""

from __future__ import annotations

from agentracer.errors import BudgetSpent, OracleFailed
from agentracer.replay.budget import UNLIMITED, Budget
from agentracer.replay.design import ExperimentDesign
from agentracer.replay.engine import Engine
from agentracer.replay.system import AsyncOracle, OracleFunction, System
from agentracer.replay.trial import OracleRequest, SearchProgram, Trial, confirm, prefilter
from agentracer.statistics import ALPHA
from agentracer.trace import Trace
from agentracer.verdict import Verdict, Verification

__all__ = ["averify", "verify"]


def verify(
    trace: Trace,
    verdict: Verdict,
    system: System,
    oracle: OracleFunction,
    *,
    repeats: int = 3,
    budget: Budget = UNLIMITED,
) -> Verdict:
    """Replay the blamed step, corrected and uncorrected, and add what that shows to the verdict.

    Args:
        trace: the failed run, recorded here.
        verdict: names the step to correct.
        system: what to run.
        oracle: knows the correction.
        repeats: replays of each kind. Three is the least that can confirm anything, except where
            the system is declared deterministic: then one of each decides.
        budget: where to stop; what is open then is inconclusive.

    Returns:
        The verdict with its `verification`: *confirmed* if the correction succeeds more often than
        the control, by more than luck; *refuted* if it never succeeds, and that in replays which
        are all alike or at least five; else *inconclusive*.

    Raises:
        ValueError: the verdict abstains, or is about another trace.
    """
    step = _blamed(trace, verdict)
    plan = _proof(trace, step, _design(system, repeats))
    proof = Engine(trace, system, oracle, budget=budget).drive(plan)
    return verdict.model_copy(update={"verification": proof})


async def averify(
    trace: Trace,
    verdict: Verdict,
    system: System,
    oracle: OracleFunction | AsyncOracle,
    *,
    repeats: int = 3,
    budget: Budget = UNLIMITED,
) -> Verdict:
    """As `verify`, for a system that is run by awaiting it."""
    step = _blamed(trace, verdict)
    plan = _proof(trace, step, _design(system, repeats))
    proof = await Engine(trace, system, oracle, budget=budget).adrive(plan)
    return verdict.model_copy(update={"verification": proof})


def _blamed(trace: Trace, verdict: Verdict) -> int:
    if verdict.step is None:
        raise ValueError("the verdict abstains: there is no step to correct")
    if verdict.trace_id != trace.id:
        raise ValueError(f"the verdict is about trace {verdict.trace_id}, not {trace.id}")
    return verdict.step


def _design(system: System, repeats: int) -> ExperimentDesign:
    if system.deterministic:
        return ExperimentDesign(1, certain=True, reproducible=True)
    reproducible = None if system.deterministic is None else False
    return ExperimentDesign(repeats, ALPHA, reproducible=reproducible)


def _proof(trace: Trace, step: int, design: ExperimentDesign) -> SearchProgram:
    try:
        override = yield OracleRequest(step)
    except (OracleFailed, BudgetSpent) as error:
        return _nothing(str(error))
    if override is None:
        return _nothing("the oracle has no correction for this step")
    trial = Trial((override,), design)
    try:
        yield from prefilter(trial)
        yield from confirm(trial, trace)
    except BudgetSpent as error:
        trial.remark = str(error)
    return trial.verification()


def _nothing(note: str) -> Verification:
    return Verification(
        status="inconclusive", flips=0, replays=0, control_flips=0, control_replays=0, note=note
    )
