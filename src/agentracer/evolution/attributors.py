"""Attributors: what says which step made a run fail, and what that costs.

The loop asks an `Attributor` about each failed run. Tracers and functions are made into one;
`Verified` proves its verdicts by replay; the controls are attributors too.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentracer._version import __version__
from agentracer.attribution.tracer import Tracer
from agentracer.errors import InvalidSystem
from agentracer.evolution.accounting import usage_of_search, usage_of_verdict
from agentracer.evolution.changes import Change
from agentracer.evolution.team import Task
from agentracer.replay import (
    Budget,
    Oracle,
    Override,
    Search,
    System,
    afind_decisive,
    find_decisive,
)
from agentracer.replay.search import SearchStrategy
from agentracer.replay.system import as_oracle
from agentracer.trace import Trace
from agentracer.usage import Usage
from agentracer.verdict import Candidate, Provenance, Verdict

__all__ = [
    "Attribution",
    "Attributor",
    "FailedRun",
    "Verified",
    "abstention",
    "as_attributor",
    "verdict_on",
]


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A failed run, and what is needed to look into it.

    Attributes:
        task: what was to be done.
        trace: what was done.
        system: runs the same task again with the same changes in place, for replays.
        runs_left: how many replays may be made; None for any number.
        round: in which round it failed, from 1.
        changes: ids of the changes that are in place.
        latest: by name of each task seen so far, the id of its latest run with these changes.
        alter: the system with further changes in place; see `under`.
    """

    task: Task
    trace: Trace
    system: System
    runs_left: int | None = None
    round: int = 1
    changes: tuple[str, ...] = ()
    latest: Mapping[str, str] = field(default_factory=dict)
    alter: Callable[[Sequence[Change]], System] | None = field(
        default=None, compare=False, repr=False
    )

    def under(self, changes: Sequence[Change]) -> System:
        """The system with further changes in place, for replays.

        Raises:
            ValueError: the failure does not come from an iteration, which alone knows how.
        """
        if self.alter is None:
            raise ValueError("there is no iteration that could change the system")
        return self.alter(changes)


@dataclass(frozen=True, slots=True)
class Attribution:
    """A failure with the verdict on it.

    Attributes:
        failure: the run.
        verdict: who and what is to blame; may abstain.
        cost: what the attribution cost.
        correction: what the step should have done, where a replay showed that it helps.
        fixes: alternatives of the blamed agent that would have done just that.
        together: by agent, alternatives that turned the run into a success when they were in place
            together, where that was tried.
        unaffected: names of tasks that would go exactly as they went, with these in place.
        replays: ids of the traces of replays that whoever attributes learned from.
    """

    failure: FailedRun
    verdict: Verdict
    cost: Usage = field(default_factory=Usage)
    correction: Override | None = None
    fixes: tuple[str, ...] = ()
    together: Mapping[str, str] = field(default_factory=dict)
    unaffected: tuple[str, ...] = ()
    replays: tuple[str, ...] = ()


class Attributor:
    """Base class of what attributes failed runs in an iteration.

    Override `attribute`, and what else applies; the other methods have defaults.

    Attributes:
        name: in reports and journals.
        repeatable: whether it would say the same of the same run in a later round, so that it need
            not be asked again.
    """

    name: str = "attributor"
    repeatable: bool = False

    def attribute(self, failure: FailedRun) -> Attribution:
        """Attribute one failed run; errors end the iteration."""
        raise NotImplementedError(f"{type(self).__name__} does not attribute")

    async def aattribute(self, failure: FailedRun) -> Attribution:
        """Attribute one failed run of a system that is awaited; by default in a thread."""
        return await asyncio.to_thread(self.attribute, failure)

    def observe(self, task: Task, trace: Trace) -> None:
        """Learn from a run. Called after each run, in order; does nothing by default."""
        del task, trace

    def restore(self, attribution: Attribution) -> None:
        """Learn from an earlier `attribute`, which is not repeated when an iteration is resumed."""
        del attribution


def as_attributor(tracer: Attributor | Tracer | Callable[[Trace], Verdict] | None) -> Attributor:
    """Return an attributor as it is, or one made of a `Tracer` or of a function of a trace.

    Of a `Tracer`, only findings count: where it merely suspects a step, the attributor abstains, so
    that no guess becomes a sentence in a prompt. A function such as `tracer.attribute` is taken at
    its word.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(tracer, Attributor):
        return tracer
    if tracer is None or isinstance(tracer, Tracer):
        tracer = tracer or Tracer()
        return _TracerAttributor(tracer.attribute, tracer.model)
    judge = getattr(tracer, "attribute", tracer)  # a tracer of the user's own, or a function
    if callable(judge):
        return _FunctionAttributor(judge, getattr(judge, "__name__", type(judge).__name__))
    raise TypeError(
        f"evolve() takes a Tracer, an evolution.Attributor or a function of a trace, "
        f"not {type(tracer).__name__}"
    )


class _FunctionAttributor(Attributor):
    """An attributor made of a function of a trace."""

    repeatable = True

    def __init__(self, judge: Callable[[Trace], Verdict], name: str) -> None:
        self._judge, self.name = judge, name

    def attribute(self, failure: FailedRun) -> Attribution:
        verdict = self._judge(failure.trace)
        return Attribution(failure, verdict, usage_of_verdict(verdict))


class _TracerAttributor(_FunctionAttributor):
    """An attributor made of a tracer; abstains where the verdict is only a suspicion."""

    def attribute(self, failure: FailedRun) -> Attribution:
        attribution = super().attribute(failure)
        verdict = attribution.verdict
        if verdict.level != "suspected":
            return attribution
        why = f"a step is only suspected ({verdict.reason}); nothing is learned from a suspicion"
        doubt = {"agent": None, "step": None, "abstained": True, "abstain_reason": why}
        return replace(attribution, verdict=verdict.model_copy(update=doubt))


class Verified(Attributor):
    """Blames only what a replay proves: the step whose correction turns the run into a success.

    Args:
        oracle: knows what a step should have done; see `agentracer.replay.oracles`. Of several, the
            next one is asked where no correction of the one before helps; an interrupted search
            then begins anew, for its journal does not say whose corrections it holds. An `Oracle`
            may also know which alternatives of the blamed agent would have given a correction
            (`Oracle.alternatives`); `TryAlternatives` then takes one of these. What it spends
            itself (`Oracle.usage`) is part of the cost.
        tracer: ranks the steps to search first; None for no ranking.
        strategy: how the replays search; see `agentracer.replay.search`.
        longest: replays for one failed run at most; None for no limit.
        otherwise: the attributor that is asked where no replay proves anything; None to abstain.
            Strategies prefer what is proved.
    """

    repeatable = True

    def __init__(
        self,
        oracle: Any,
        tracer: Tracer | None = None,
        *,
        strategy: SearchStrategy = "ranked",
        longest: int | None = None,
        otherwise: Attributor | Tracer | Callable[[Trace], Verdict] | None = None,
    ) -> None:
        self._otherwise = as_attributor(otherwise) if otherwise is not None else None
        self.name = f"verified ({tracer.model if tracer is not None else strategy})"
        self._oracles = list(oracle) if isinstance(oracle, (list, tuple)) else [oracle]
        self._tracer, self._strategy, self._longest = tracer, strategy, longest

    def attribute(self, failure: FailedRun) -> Attribution:
        """Search with replays; abstains where no single correction helps."""
        ranking, cost = self._look(failure)
        attribution = Attribution(failure, _not_asked(failure.trace), cost)
        for oracle in self._oracles:
            recording = _RecordingOracle(oracle)
            try:
                search = find_decisive(
                    failure.trace, failure.system, recording,
                    **self._options(failure, ranking, attribution.cost),
                )  # fmt: skip
            except InvalidSystem as error:
                return self._unproved(_unreplayable(attribution, error))
            attribution = _attribution(failure, search, recording, attribution.cost)
            if not attribution.verdict.abstained:
                return attribution
        return self._unproved(attribution)

    async def aattribute(self, failure: FailedRun) -> Attribution:
        """Do the same for a system that is awaited."""
        ranking, cost = await asyncio.to_thread(self._look, failure)
        attribution = Attribution(failure, _not_asked(failure.trace), cost)
        for oracle in self._oracles:
            recording = _RecordingOracle(oracle)
            try:
                search = await afind_decisive(
                    failure.trace, failure.system, recording,
                    **self._options(failure, ranking, attribution.cost),
                )  # fmt: skip
            except InvalidSystem as error:
                return self._unproved(_unreplayable(attribution, error))
            attribution = _attribution(failure, search, recording, attribution.cost)
            if not attribution.verdict.abstained:
                return attribution
        return self._unproved(attribution)

    def _options(self, failure: FailedRun, ranking: tuple[int, ...], cost: Usage) -> dict[str, Any]:
        return {
            "strategy": self._strategy,
            "ranking": ranking,
            "budget": self._budget(failure, cost),
            "resume": len(self._oracles) == 1,
        }

    def _unproved(self, attribution: Attribution) -> Attribution:
        """What the other attributor says, where there is one; it proves nothing."""
        if self._otherwise is None:
            return attribution
        other = self._otherwise.attribute(attribution.failure)
        return replace(other, cost=attribution.cost + other.cost)

    def _look(self, failure: FailedRun) -> tuple[tuple[int, ...], Usage]:
        """Where to search first."""
        if self._tracer is None:
            return (), Usage()
        verdict = self._tracer.attribute(failure.trace)
        ranking = tuple(dict.fromkeys(candidate.step for candidate in verdict.candidates))
        return ranking, usage_of_verdict(verdict)

    def _budget(self, failure: FailedRun, cost: Usage) -> Budget:
        limits = [limit for limit in (self._longest, failure.runs_left) if limit is not None]
        return Budget(runs=max(0, min(limits) - cost.replays) if limits else None)


def _attribution(
    failure: FailedRun, search: Search, oracle: _RecordingOracle, before: Usage
) -> Attribution:
    verdict = search.verdict
    correction = oracle.correction(failure.trace, verdict.step)
    fixes: tuple[str, ...] = ()
    if correction is not None:
        fixes = tuple(oracle.alternatives(failure.trace, correction))
    cost = before + usage_of_search(search.usage)
    return Attribution(failure, verdict, cost, correction, fixes)


def _unreplayable(attribution: Attribution, error: InvalidSystem) -> Attribution:
    """An iteration goes on where one failed run cannot be replayed; the verdict says why."""
    verdict = abstention(attribution.failure.trace, str(error), method="replay")
    return replace(attribution, verdict=verdict)


def _not_asked(trace: Trace) -> Verdict:
    return abstention(trace, "there is no oracle to ask", method="replay")


class _RecordingOracle(Oracle):
    """An oracle that remembers what it proposed."""

    def __init__(self, oracle: Any) -> None:
        self._oracle = as_oracle(oracle)
        self.results_of_agents = self._oracle.results_of_agents
        self._proposals: dict[int, Override] = {}

    def correction(self, trace: Trace, step: int | None) -> Override | None:
        """Return what it proposed for a step, or proposes now if a journal had the answer."""
        if step is not None and step not in self._proposals:
            proposal = self._oracle(trace, step)
            return proposal if isinstance(proposal, Override) else None
        return self._proposals.get(step) if step is not None else None

    @property
    def usage(self) -> Usage:
        return self._oracle.usage

    def alternatives(self, trace: Trace, correction: Override) -> Sequence[str]:
        return self._oracle.alternatives(trace, correction)

    def __call__(self, trace: Trace, step: int, /) -> Any:
        proposal = self._oracle(trace, step)
        if inspect.isawaitable(proposal):
            return self._awaited(step, proposal)
        if isinstance(proposal, Override):
            self._proposals[step] = proposal
        return proposal

    async def _awaited(self, step: int, pending: Any) -> Any:
        proposal = await pending
        if isinstance(proposal, Override):
            self._proposals[step] = proposal
        return proposal


def verdict_on(trace: Trace, step: int, reason: str, *, method: str, calls: int = 0) -> Verdict:
    """Return a verdict on one step that was not made by a tracer."""
    agent = trace.steps[step].agent
    return Verdict(
        trace_id=trace.id,
        agent=agent,
        step=step,
        reason=reason,
        candidates=(Candidate(agent=agent, step=step, reason=reason),),
        provenance=_provenance(method, calls),
    )


def abstention(trace: Trace, why: str, *, method: str, calls: int = 0) -> Verdict:
    """Return a verdict that abstains."""
    provenance = _provenance(method, calls)
    return Verdict(trace_id=trace.id, abstained=True, abstain_reason=why, provenance=provenance)


def _provenance(method: str, calls: int) -> Provenance:
    versions = {"agentracer": __version__}
    usage = Usage(model_calls=calls)
    return Provenance(model="control", method=method, versions=versions, usage=usage)


def blamable_steps(trace: Trace) -> Sequence[int]:
    """Return the steps that can be blamed: no plain code where there are others."""
    return [s.index for s in trace.steps if s.kind != "node"] or [s.index for s in trace.steps]
