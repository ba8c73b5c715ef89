"""Who says what made a run fail, and what asking costs.

A `Blamer` is asked about each failed run. A `Tracer` is one; so is a `Tracer` whose verdicts are
proved by replay (`Verified`); so are the controls. The loop treats all of them alike.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from agentracer._version import __version__
from agentracer.attribution.tracer import Tracer
from agentracer.evolution.changes import Change
from agentracer.evolution.cost import Cost
from agentracer.evolution.team import Task
from agentracer.replay import Budget, Override, Search, System, afind_decisive, find_decisive
from agentracer.replay.search import SearchStrategy
from agentracer.trace import Trace
from agentracer.usage import Usage
from agentracer.verdict import Candidate, Provenance, Verdict

__all__ = ["Blamed", "Blamer", "Failure", "Verified", "as_blamer", "blaming", "nobody"]


@dataclass(frozen=True, slots=True)
class Failure:
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
class Blamed:
    """A failure with the verdict on it.

    Attributes:
        failure: the run.
        verdict: who and what is to blame; may abstain.
        cost: of finding that out.
        correction: what the step should have done, where a replay showed that it helps.
        fixes: alternatives of the blamed agent that would have done just that.
        together: by agent, alternatives that turned the run into a success when they were in place
            together, where that was tried.
        unaffected: names of tasks that would go exactly as they went, with these in place.
        replays: ids of the traces of replays that whoever attributes learned from.
    """

    failure: Failure
    verdict: Verdict
    cost: Cost = field(default_factory=Cost)
    correction: Override | None = None
    fixes: tuple[str, ...] = ()
    together: Mapping[str, str] = field(default_factory=dict)
    unaffected: tuple[str, ...] = ()
    replays: tuple[str, ...] = ()


class Blamer(Protocol):
    """Whoever attributes. One that can be awaited has `ablame` too.

    Attributes:
        name: in reports and journals.
        lasting: (if there is one) whether it would say the same of the same run in a later round,
            so that it need not be asked again.

    One that learns from runs has `saw(task, trace)`, which is called after each run, in order, and
    `recall(blamed)`, which is called in place of `blame` where an interrupted iteration goes on.
    """

    name: str

    def blame(self, failure: Failure) -> Blamed:
        """Attribute one failed run; errors end the iteration."""


def as_blamer(tracer: Blamer | Tracer | Callable[[Trace], Verdict] | None) -> Blamer:
    """What the user gave as a blamer: a `Tracer`, a blamer, or a function of a trace.

    Raises:
        TypeError: it is none of these.
    """
    if tracer is None or isinstance(tracer, Tracer):
        return _ByTracer(tracer or Tracer())
    known: Any = tracer
    if hasattr(known, "blame"):
        blamer: Blamer = known
        return blamer
    if hasattr(known, "attribute"):  # a tracer of the user's own
        return _ByFunction(known.attribute)
    if callable(tracer):
        return _ByFunction(tracer)
    raise TypeError(f"a tracer is a Tracer, a Blamer or a function, not {type(tracer).__name__}")


class _ByTracer:
    lasting = True

    def __init__(self, tracer: Tracer) -> None:
        self._tracer, self.name = tracer, tracer.model

    def blame(self, failure: Failure) -> Blamed:
        verdict = self._tracer.attribute(failure.trace)
        return Blamed(failure, verdict, Cost.of_verdict(verdict))


class _ByFunction:
    lasting = True

    def __init__(self, judge: Callable[[Trace], Verdict]) -> None:
        self._judge, self.name = judge, getattr(judge, "__name__", type(judge).__name__)

    def blame(self, failure: Failure) -> Blamed:
        verdict = self._judge(failure.trace)
        return Blamed(failure, verdict, Cost.of_verdict(verdict))


class Verified:
    """Blames only what a replay proves: the step whose correction turns the run into a success.

    Args:
        oracle: knows what a step should have done; see `agentracer.replay.oracles`. Of several, the
            next one is asked where no correction of the one before helps; an interrupted search
            then begins anew, for its journal does not say whose corrections it holds. One that has
            a method `named(trace, override)` also says which alternatives of the blamed agent would
            have given that correction, and `Variant` then takes one of these. What it spends itself
            it may count, as `tokens`, `model_calls` and `steps`.
        tracer: says where to look first; nobody if None.
        strategy: how the replays search; see `agentracer.replay.search`.
        longest: replays for one failed run at most; None for no limit.
        otherwise: who is asked where no replay proves anything, so that a search goes on; nobody if
            None. Strategies prefer what is proved.
    """

    lasting = True

    def __init__(
        self,
        oracle: Any,
        tracer: Tracer | None = None,
        *,
        strategy: SearchStrategy = "ranked",
        longest: int | None = None,
        otherwise: Blamer | None = None,
    ) -> None:
        self._otherwise = otherwise
        self.name = f"verified ({tracer.model if tracer is not None else strategy})"
        self._oracles = list(oracle) if isinstance(oracle, (list, tuple)) else [oracle]
        self._tracer, self._strategy, self._longest = tracer, strategy, longest

    def blame(self, failure: Failure) -> Blamed:
        """Search with replays; abstains where no single correction helps."""
        ranking, cost = self._look(failure)
        blamed = Blamed(failure, _not_asked(failure.trace), cost)
        for oracle in self._oracles:
            noted = _Noting(oracle)
            found = find_decisive(
                failure.trace, failure.system, noted, strategy=self._strategy, ranking=ranking,
                budget=self._budget(failure, blamed.cost), resume=len(self._oracles) == 1,
            )  # fmt: skip
            blamed = _blamed(failure, found, noted, blamed.cost)
            if not blamed.verdict.abstained:
                return blamed
        return self._unproved(blamed)

    async def ablame(self, failure: Failure) -> Blamed:
        """As `blame`, for a system that is awaited."""
        ranking, cost = await asyncio.to_thread(self._look, failure)
        blamed = Blamed(failure, _not_asked(failure.trace), cost)
        for oracle in self._oracles:
            noted = _Noting(oracle)
            found = await afind_decisive(
                failure.trace, failure.system, noted, strategy=self._strategy, ranking=ranking,
                budget=self._budget(failure, blamed.cost), resume=len(self._oracles) == 1,
            )  # fmt: skip
            blamed = _blamed(failure, found, noted, blamed.cost)
            if not blamed.verdict.abstained:
                return blamed
        return self._unproved(blamed)

    def _unproved(self, blamed: Blamed) -> Blamed:
        """What somebody else says, who proves nothing."""
        if self._otherwise is None:
            return blamed
        other = self._otherwise.blame(blamed.failure)
        return replace(other, cost=blamed.cost + other.cost)

    def _look(self, failure: Failure) -> tuple[tuple[int, ...], Cost]:
        """Where to search first."""
        if self._tracer is None:
            return (), Cost()
        verdict = self._tracer.attribute(failure.trace)
        ranking = tuple(dict.fromkeys(candidate.step for candidate in verdict.candidates))
        return ranking, Cost.of_verdict(verdict)

    def _budget(self, failure: Failure, spent: Cost) -> Budget:
        limits = [limit for limit in (self._longest, failure.runs_left) if limit is not None]
        return Budget(runs=max(0, min(limits) - spent.replays) if limits else None)


def _blamed(failure: Failure, found: Search, noted: _Noting, before: Cost) -> Blamed:
    verdict = found.verdict
    correction = noted.correction(failure.trace, verdict.step)
    names = getattr(noted.oracle, "named", None)
    fixes = tuple(names(failure.trace, correction)) if names and correction else ()
    cost = before + Cost.of_search(found.usage) + noted.cost()
    return Blamed(failure, verdict, cost, correction, fixes)


def _not_asked(trace: Trace) -> Verdict:
    return nobody(trace, "there is no oracle to ask", method="replay")


class _Noting:
    """An oracle that remembers what it proposed, and what it cost."""

    def __init__(self, oracle: Any) -> None:
        self.oracle = oracle
        self._said: dict[int, Override] = {}
        self._before = self._spent()

    def correction(self, trace: Trace, step: int | None) -> Override | None:
        """What it proposed for a step, or proposes now if the search knew it from its journal."""
        if step is not None and step not in self._said:
            proposed = self.oracle(trace, step)
            return proposed if isinstance(proposed, Override) else None
        return self._said.get(step) if step is not None else None

    @property
    def tokens(self) -> int:
        """Tokens that the oracle has used, for the budget of the search."""
        return int(getattr(self.oracle, "tokens", 0))

    def _spent(self) -> tuple[int, int]:
        made = getattr(self.oracle, "model_calls", 0), getattr(self.oracle, "steps", 0)
        return int(made[0]), int(made[1])

    def cost(self) -> Cost:
        """What it cost beside the tokens, which the search counts."""
        calls, steps = self._spent()
        return Cost(model_calls=calls - self._before[0], steps=steps - self._before[1])

    def __call__(self, trace: Trace, step: int, /) -> Any:
        said = self.oracle(trace, step)
        if inspect.isawaitable(said):
            return self._awaited(step, said)
        if isinstance(said, Override):
            self._said[step] = said
        return said

    async def _awaited(self, step: int, said: Any) -> Any:
        found = await said
        if isinstance(found, Override):
            self._said[step] = found
        return found


def blaming(trace: Trace, step: int, reason: str, *, method: str, calls: int = 0) -> Verdict:
    """A verdict on one step that no tracer made."""
    agent = trace.steps[step].agent
    return Verdict(
        trace_id=trace.id,
        agent=agent,
        step=step,
        reason=reason,
        candidates=(Candidate(agent=agent, step=step, reason=reason),),
        provenance=_provenance(method, calls),
    )


def nobody(trace: Trace, why: str, *, method: str, calls: int = 0) -> Verdict:
    """A verdict that names nobody."""
    provenance = _provenance(method, calls)
    return Verdict(trace_id=trace.id, abstained=True, abstain_reason=why, provenance=provenance)


def _provenance(method: str, calls: int) -> Provenance:
    versions = {"agentracer": __version__}
    usage = Usage(model_calls=calls)
    return Provenance(model="control", method=method, versions=versions, usage=usage)


def acting(trace: Trace) -> Sequence[int]:
    """The steps that somebody can be blamed for, plain code left out where there are others."""
    return [s.index for s in trace.steps if s.kind != "node"] or [s.index for s in trace.steps]
