"""Finds the decisive error: the earliest step whose correction turns the failure into a success.

The definition is a scan over the steps (arXiv 2509.03312, Algorithm 1), each corrected by an
oracle and replayed in place. The strategies of `search` carry it out, or find the same step for
less; this module starts them and says what their result is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from agentracer._version import __version__
from agentracer.replay.design import ExperimentDesign
from agentracer.replay.engine import UNLIMITED, Budget, BudgetSpent, Engine, Spent, signature
from agentracer.replay.journal import ReplayJournal
from agentracer.replay.search import (
    STRATEGIES,
    Earliest,
    Progress,
    State,
    Strategy,
    pilot,
    within_budget,
)
from agentracer.replay.system import AsyncOracle, Oracle, System
from agentracer.replay.trial import Plan
from agentracer.statistics import ALPHA, smallest_sample
from agentracer.store import Store
from agentracer.trace import Trace
from agentracer.verdict import Candidate, Provenance, Verdict, Verification

__all__ = ["Search", "afind_decisive", "find_decisive"]

Ranking: TypeAlias = Sequence[int] | Mapping[int, float]
"""Where to look first: an order of steps, or the probability of each."""

UNSTEADY_REPEATS = 8
"""Replays of each kind for a system that gives another run each time: enough to tell a correction
that helps in four of five runs from a control that succeeds in one of ten."""


@dataclass(slots=True)
class Search:
    """What a search did.

    Attributes:
        verdict: names the decisive error, or abstains and says why.
        proofs: what each step that was replayed showed.
        uncorrected: steps for which the oracle had no correction, so that they were not replayed.
        skipped: steps that were not tried one by one: later than the decisive one, passed over by
            the strategy, or left when the budget was spent.
        together: of these, the ones that were corrected in one replay, which failed.
        may_have_missed: what the search cannot exclude, one sentence each; empty where the result
            is what the definition says.
        spent: what it cost.
        reproducible: whether a rerun without any change gave the same run again; None if untried.
        journal: where the finished replays are kept.
    """

    verdict: Verdict
    proofs: dict[int, Verification] = field(default_factory=dict)
    uncorrected: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    together: list[int] = field(default_factory=list)
    may_have_missed: list[str] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    reproducible: bool | None = None
    journal: Path | None = None

    @property
    def replays(self) -> int:
        """How many replays it took, those of an interrupted search among them."""
        return self.spent.runs + self.spent.resumed


def find_decisive(
    trace: Trace,
    system: System,
    oracle: Oracle,
    *,
    strategy: Strategy = "sequential",
    ranking: Ranking = (),
    repeats: int | None = None,
    earliest: Earliest = "together",
    budget: Budget = UNLIMITED,
    resume: bool = True,
    progress: Progress | None = None,
    on_replay: Callable[[Spent], None] | None = None,
) -> Search:
    """Find the earliest step whose correction flips a failed run.

    A step is confirmed only if its correction flips the outcome more often than rerunning it
    unchanged does, by an exact test whose level is shared among all steps, so that luck confirms
    anything at all in at most 5 % of searches.

    Args:
        trace: the failed run, recorded here.
        system: what to run.
        oracle: proposes a minimal correction of a step, or None.
        strategy: see `agentracer.replay.search`.
        ranking: where to look first: steps, most suspicious first, or the probability of each,
            such as `{c.step: c.probability for c in verdict.candidates}`.
        repeats: replays of each kind for a step that flips. None: as few as can confirm anything,
            or 8 where the system turns out not to repeat itself. Never fewer than can confirm.
        earliest: how `ranked` excludes earlier steps: `together` corrects them in one replay;
            `each` tries them one by one, which costs what `sequential` does.
        budget: where to stop.
        resume: go on with a search of the same settings that was interrupted.
        progress: called with each step done with and what it showed (None: nothing to correct).
        on_replay: called after each replay with what was spent so far.

    Raises:
        ValueError: the run did not fail, cannot be replayed, or a step of the ranking does not
            exist.
    """
    state = _state(trace, ranking, earliest, progress)
    with ExitStack() as stack:
        journal = _journal(trace, system, strategy, state, repeats, resume=resume)
        stack.enter_context(journal)
        engine = Engine(trace, system, oracle, budget=budget, journal=journal, on_replay=on_replay)
        engine.drive(_plan(state, strategy, system, repeats))
        return _finish(state, strategy, engine, journal, system)


async def afind_decisive(
    trace: Trace,
    system: System,
    oracle: Oracle | AsyncOracle,
    *,
    strategy: Strategy = "sequential",
    ranking: Ranking = (),
    repeats: int | None = None,
    earliest: Earliest = "together",
    budget: Budget = UNLIMITED,
    resume: bool = True,
    progress: Progress | None = None,
    on_replay: Callable[[Spent], None] | None = None,
) -> Search:
    """As `find_decisive`, for a system that is run by awaiting it; the oracle may be async too."""
    state = _state(trace, ranking, earliest, progress)
    with ExitStack() as stack:
        journal = _journal(trace, system, strategy, state, repeats, resume=resume)
        stack.enter_context(journal)
        engine = Engine(trace, system, oracle, budget=budget, journal=journal, on_replay=on_replay)
        await engine.adrive(_plan(state, strategy, system, repeats))
        return _finish(state, strategy, engine, journal, system)


def _state(trace: Trace, ranking: Ranking, earliest: Earliest, progress: Progress | None) -> State:
    if trace.outcome.success is not False:
        raise ValueError(
            f"trace {trace.id} is not a failed run: its success is {trace.outcome.success}"
        )
    if not trace.replayable:
        raise ValueError(f"trace {trace.id} was imported: it can be attributed but not replayed")
    beyond = [step for step in ranking if not 0 <= step < len(trace.steps)]
    if beyond:
        raise ValueError(f"the ranking names step {beyond[0]}: the trace has {len(trace.steps)}")
    return State(trace, ExperimentDesign(1), _weighed(ranking), earliest, progress)


def _weighed(ranking: Ranking) -> dict[int, float]:
    """A ranking with a probability for each step.

    Where only an order is given, each step has half of what the steps before it leave.
    """
    if isinstance(ranking, Mapping):
        wrong = [value for value in ranking.values() if not 0.0 <= value <= 1.0]
        if wrong:
            raise ValueError(f"the ranking gives a step the probability {wrong[0]}")
        return dict(sorted(ranking.items(), key=lambda item: -item[1]))
    return {step: 0.5**place for place, step in enumerate(dict.fromkeys(ranking), start=1)}


def _journal(
    trace: Trace,
    system: System,
    strategy: Strategy,
    state: State,
    repeats: int | None,
    *,
    resume: bool,
) -> ReplayJournal:
    settings: dict[str, Any] = {
        "version": __version__,
        "strategy": strategy,
        "ranking": [[step, share] for step, share in state.ranking.items()],
        "earliest": state.earliest,
        "repeats": repeats,
        "deterministic": system.deterministic,
    }
    home = (system.store or Store()).home
    return ReplayJournal(home / "replays" / f"{trace.id}.jsonl", settings, resume=resume)


def _plan(state: State, strategy: Strategy, system: System, repeats: int | None) -> Plan:
    """The design that fits the system, then the strategy."""
    try:
        yield from _choose_design(state, system, repeats)
    except BudgetSpent as error:
        state.stopped = str(error)
        return
    yield from within_budget(state, STRATEGIES[strategy](state))


def _choose_design(state: State, system: System, repeats: int | None) -> Plan:
    """Fix the size of the samples before any of them is drawn, as the exact test needs it."""
    if system.deterministic:
        state.design = ExperimentDesign(1, certain=True, reproducible=True)
        return
    level = ALPHA / max(1, len(state.steps))
    size, reproducible = max(repeats or 0, smallest_sample(level)), None
    if system.deterministic is None:
        first = yield from pilot(state)
        usable = first is not None and not first.problems
        reproducible = usable and first.signature == signature(state.trace)
    if repeats is None and not reproducible:
        size = max(size, UNSTEADY_REPEATS)
    state.design = ExperimentDesign(size, level, reproducible=bool(reproducible))


# -- what it is worth


def _finish(
    state: State, strategy: Strategy, engine: Engine, journal: ReplayJournal, system: System
) -> Search:
    if state.stopped is None:
        journal.end()
    tried = set(state.trials) | set(state.uncorrected) | set(state.failed)
    return Search(
        _verdict(state, strategy),
        proofs={step: trial.verification() for step, trial in sorted(state.trials.items())},
        uncorrected=sorted(state.uncorrected),
        skipped=[step for step in state.steps if step not in tried],
        together=sorted(state.together),
        may_have_missed=list(_missed(state, strategy)),
        spent=replace(engine.spent),
        reproducible=None if system.deterministic else state.design.reproducible,
        journal=journal.path,
    )


def _verdict(state: State, strategy: Strategy) -> Verdict:
    provenance = Provenance(
        model="replay", method=f"counterfactual, {strategy}", versions={"agentracer": __version__}
    )
    trace, step = state.trace, state.decisive
    if step is None:
        hints = [step for step in state.promising if state.trials[step].flips]
        return Verdict(
            trace_id=trace.id,
            abstained=True,
            abstain_reason="; ".join(_why_nobody(state)),
            candidates=tuple(
                Candidate(agent=trace.steps[s].agent, step=s, reason=_counts(state, s))
                for s in hints
            ),
            provenance=provenance,
        )
    agent, proof = trace.steps[step].agent, state.trials[step]
    missed = list(_missed(state, strategy))
    reason = "; ".join([_counts(state, step), *_before(state, step), *missed])
    # The level was divided among the steps, so what luck may do is summed over them.
    luck = min(1.0, proof.p_value * max(1, len(state.steps)))
    return Verdict(
        trace_id=trace.id,
        agent=agent,
        step=step,
        reason=reason,
        confidence=1.0 - luck,
        candidates=(Candidate(agent=agent, step=step, reason=reason),),
        calibrated=not missed,
        provenance=provenance,
        verification=proof.verification(),
    )


def _counts(state: State, step: int) -> str:
    trial = state.trials[step]
    return (
        f"with this step corrected {trial.flips} of {trial.replays} replays succeed, "
        f"without it {trial.control_flips} of {trial.control_replays}"
    )


def _before(state: State, step: int) -> Iterator[str]:
    earlier = [s for s, t in sorted(state.trials.items()) if s < step and not t.flips]
    if earlier:
        yield f"correcting step {_listed(earlier)} before it does not help"


def _why_nobody(state: State) -> Iterator[str]:
    tried = dict(sorted(state.trials.items()))
    if state.stopped is not None:
        left = len(state.steps) - len(tried) - len(state.uncorrected) - len(state.failed)
        yield f"{state.stopped} with {left} of {len(state.steps)} steps left to try"
    open_ones = [step for step, trial in tried.items() if trial.status == "inconclusive"]
    if open_ones:
        yield f"inconclusive: correcting step {_listed(open_ones)} shows nothing beyond luck"
    elif state.stopped is None and tried:
        yield "no single step, corrected by this oracle, turns the run into a success"
    elif state.stopped is None and not state.failed:
        yield "the oracle has no correction for any step"
    if state.everything:
        yield (
            f"correcting step {_listed(tried)} together does: there are several errors, "
            "each enough to make the run fail"
        )
    yield from state.failed.values()


def _missed(state: State, strategy: Strategy) -> Iterator[str]:
    """What the strategy cannot exclude. What comes after the decisive step does not matter."""
    end = state.decisive if state.decisive is not None else len(state.trace.steps)
    for step, trial in sorted(state.trials.items()):
        if step < end and trial.status == "inconclusive" and state.decisive is not None:
            yield (
                f"step {step} before it is open: {trial.flips} of {trial.replays} corrected "
                "replays succeed"
            )
    for step, problem in sorted(state.failed.items()):
        if step < end and state.decisive is not None:
            yield problem
    together = [step for step in state.together if step < end]
    if together and state.decisive is not None:
        yield (
            f"step {_listed(together)} before it were corrected together, not one by one, which "
            "does not help; that misses a step only if another's correction undoes its effect"
        )
    tried = {*state.trials, *state.uncorrected, *state.failed, *together}
    passed = [step for step in state.steps if step < end and step not in tried]
    if passed and state.decisive is not None:
        why = "binary search passed over it" if strategy == "bisect" else "not tried"
        yield f"step {_listed(passed)} before it: {why}"


def _listed(steps: Sequence[int] | dict[int, Any]) -> str:
    found = list(steps)
    if len(found) > 8:
        return f"{', '.join(map(str, found[:8]))} and {len(found) - 8} more"
    return ", ".join(map(str, found))
