"""Correct several steps at once, where no single correction would flip a failed run.

The alternatives of all agents are drawn from the posterior over them, given the runs so far, put in
their slots, and the failed run is replayed with them. Each replay improves the next draw, whether
it succeeds or not.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from agentracer.evolution.accounting import usage_of_run
from agentracer.evolution.alternatives import Alternatives
from agentracer.evolution.attributors import (
    Attribution,
    Attributor,
    FailedRun,
    abstention,
    verdict_on,
)
from agentracer.evolution.changes import digest
from agentracer.evolution.posterior import Posterior, StepObservation
from agentracer.evolution.strategies.try_alternatives import ReplaceAgent
from agentracer.evolution.team import Task
from agentracer.replay import Override, arerun, rerun
from agentracer.store import Store
from agentracer.trace import ErrorInfo, Trace
from agentracer.usage import Usage
from agentracer.verdict import Verdict, Verification

__all__ = ["JointCorrection"]

_METHOD: Final = "counterfactual, together"
# Set by hand on other systems of benchmarks/evolution.py than the reported ones; not fitted.
_TRUST: Final = 0.5  # weight of one observed step in the Beta distribution that is drawn from
_DOUBT: Final = (
    0.03  # decay of that weight with each replay that proves nothing, and each idle draw
)
_DRAWS: Final = 30  # draws at most, in search of a set that was not tried


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Alternatives to replay a failed run with.

    Attributes:
        names: by agent, the alternative.
        changed: the steps of the failed run at which they do something else, first to last.
    """

    names: Mapping[str, str]
    changed: Sequence[int]
    swaps: Sequence[ReplaceAgent]
    first: Override


_Program: TypeAlias = Generator[_Candidate, Trace, Attribution]
_T = TypeVar("_T")


class JointCorrection(Attributor):
    """Blames what a replay proves, for any number of steps together.

    For systems of plain functions (`adapters.functions`) that repeat themselves. At every step of
    every run, the alternatives of its agent are called with what the step was given, as
    `Alternatives` does, so they must have no effects beside their result.

    The verdict names the step that is most likely wrong among those that the proved set changes;
    the set itself is in `Attribution.together`, and `TryAlternatives` tries all of it. Tasks in
    whose latest run every step would come to the same with it are not run in that trial. Once a set
    is proved, the other failures of the round wait for its trial. What is learned stays: each
    iteration needs an object of its own.

    Args:
        alternatives: by agent, by name, the functions that could be in its slot, as for
            `TryAlternatives`.
        slots: where the system looks up what each agent is, as for `TryAlternatives`.
        longest: replays for one failed run at most.
        seed: of what is drawn.

    Raises:
        ValueError: `longest` is less than 1, or two alternatives of an agent are functions of the
            same name.
    """

    repeatable = False  # what is learned in between may prove more

    def __init__(
        self,
        alternatives: Mapping[str, Mapping[str, Callable[..., Any]]],
        slots: MutableMapping[str, Any],
        *,
        longest: int = 3,
        seed: int = 0,
    ) -> None:
        if longest < 1:
            raise ValueError("longest is at least 1")
        for agent, options in alternatives.items():
            called = [function.__name__ for function in options.values()]
            if len(set(called)) < len(called):
                raise ValueError(
                    f"two alternatives for {agent!r} have the same __name__, by which a trace "
                    f"tells them apart: {', '.join(called)}"
                )
        self.name = f"verified together (seed {seed})"
        self._options = {agent: dict(options) for agent, options in alternatives.items()}
        self._slots, self._longest, self._seed = slots, longest, seed
        self._oracle = Alternatives(self._options)
        self._posterior = Posterior(self._options)
        self._steps: dict[str, dict[int, StepObservation]] = {}
        self._unread: list[tuple[str, Trace]] = []
        self._failed: set[tuple[str, str]] = set()  # tasks, and sets that do not mend them
        self._proved: set[str] = set()  # sets that had their trial
        self._kept: Sequence[str] = ()
        self._fruitless = 0  # replays since the system was changed last
        self._proved_in = 0  # the latest round in which a set was proved

    @property
    def posterior(self) -> Posterior:
        """The posterior over the alternatives, given the runs so far."""
        self._read()
        return self._posterior

    def observe(self, task: Task, trace: Trace) -> None:
        """See `Attributor`. What it says is worked out when the next verdict is candidate."""
        self._unread.append((task.id, trace))

    def restore(self, attribution: Attribution) -> None:
        """See `Attributor`. The same draws come again, and their replays are known."""
        store, program = (
            attribution.failure.system.store or Store(),
            self._program(attribution.failure),
        )
        with contextlib.suppress(StopIteration):
            next(program)
            for identity in attribution.replays:
                program.send(store.load(identity))

    def attribute(self, failure: FailedRun) -> Attribution:
        """Replay the failed run with sets of alternatives until one makes it succeed."""
        program = self._program(failure)
        try:
            candidate = next(program)
            while True:
                candidate = program.send(_replay(rerun, failure, candidate))
        except StopIteration as stop:
            attribution: Attribution = stop.value
            return attribution

    async def aattribute(self, failure: FailedRun) -> Attribution:
        """As `blame`, for a system that is awaited."""
        program = self._program(failure)
        try:
            candidate = next(program)
            while True:
                candidate = program.send(await _replay(arerun, failure, candidate))
        except StopIteration as stop:
            attribution: Attribution = stop.value
            return attribution

    # -- what to replay, and what it shows

    def _program(self, failure: FailedRun) -> _Program:
        """Draw, replay, learn, up to the first success."""
        self._begin(failure)
        if self._proved_in == failure.round:
            why = "what another failure of this round proved is tried first"
            return Attribution(failure, abstention(failure.trace, why, method=_METHOD))
        called, cost, replays = self._oracle.steps, Usage(), list[str]()
        left = self._longest if failure.runs_left is None else failure.runs_left
        for candidate in self._sets(failure, min(self._longest, left)):
            replay = yield candidate
            replays.append(replay.id)
            cost += usage_of_run(replay, replay=True)
            self._fruitless += 1
            self.observe(failure.task, replay)
            if replay.outcome.success:
                self._proved_in = failure.round
                self._proved.add(digest(candidate.names))
                cost += Usage(steps=self._oracle.steps - called)
                verdict = self._verdict(failure, candidate, replay)
                return Attribution(
                    failure, verdict, cost, together=candidate.names,
                    unaffected=self._unaffected(failure, candidate.names), replays=tuple(replays),
                )  # fmt: skip
            self._failed.add((failure.task.id, digest(candidate.names)))
        self._read()
        cost += Usage(steps=self._oracle.steps - called)
        why = f"with none of {len(replays)} sets of alternatives does the run succeed"
        verdict = abstention(failure.trace, why, method=_METHOD)
        return Attribution(failure, verdict, cost, replays=tuple(replays))

    def _begin(self, failure: FailedRun) -> None:
        """Restore the trust in the posterior where the system was changed since."""
        if failure.changes != self._kept:
            self._kept, self._fruitless = failure.changes, 0

    def _sets(self, failure: FailedRun, count: int) -> Iterator[_Candidate]:
        """The best alternatives that are known, then others, drawn the more freely the less helps.

        Sets with which the run would do the same at every step are not replayed.
        """
        for number in range(count):
            rng = random.Random(  # noqa: S311 - no secret
                digest(self._seed, failure.task.id, failure.round, number)
            )
            for draw in range(_DRAWS):
                best = number == draw == 0
                trust = _TRUST * math.exp(-_DOUBT * (self._fruitless + draw))
                names = self.posterior.draw(rng, None if best else trust)
                candidate = self._set(failure, names)
                if candidate is not None:
                    yield candidate
                    break

    def _set(self, failure: FailedRun, names: Mapping[str, str]) -> _Candidate | None:
        key = digest(names)
        if key in self._proved or (failure.task.id, key) in self._failed:
            return None
        steps = self._observations(failure.trace)
        changed = _changed(steps, names)
        if not changed:
            return None
        swaps = [
            ReplaceAgent(
                id=digest("together", agent, name), agent=agent, says=f"-> {name}",
                alternative=name, value=self._options[agent][name], slots=self._slots,
            )
            for agent, name in names.items()
        ]  # fmt: skip
        result = _result(steps[changed[0]], names[steps[changed[0]].agent])
        first = (
            Override(step=changed[0], result=json.loads(result))
            if result
            else Override(step=changed[0], error=ErrorInfo(type="Exception", message="broke"))
        )
        return _Candidate(names, changed, swaps, first)

    def _read(self) -> None:
        """Update the posterior with the runs that were made since."""
        for task, trace in self._unread:
            if trace.outcome.success is not None:
                self._posterior.observe(task, self._evidence(trace), success=trace.outcome.success)
        self._unread.clear()

    def _unaffected(self, failure: FailedRun, names: Mapping[str, str]) -> tuple[str, ...]:
        """Tasks in whose latest run each step would come to the same, and so the run."""
        if failure.system.deterministic is not True:
            return ()
        return tuple(
            task
            for task, identity in failure.latest.items()
            if identity in self._steps and not _changed(self._steps[identity], names)
        )

    def _evidence(self, trace: Trace) -> Sequence[StepObservation]:
        """What a run says of the alternatives, beside its outcome."""
        return list(self._observations(trace).values())

    def _observations(self, trace: Trace) -> dict[int, StepObservation]:
        """The steps whose agents have alternatives."""
        if trace.id not in self._steps:
            observations = (
                (step.index, self._oracle.observation(trace, step.index)) for step in trace.steps
            )
            self._steps[trace.id] = {step: one for step, one in observations if one is not None}
        return self._steps[trace.id]

    def _verdict(self, failure: FailedRun, proved: _Candidate, replay: Trace) -> Verdict:
        """The likeliest of the changed steps; proved is the set, and the step if it is alone."""
        steps = self._observations(failure.trace)
        wrong = {s: self._posterior.p_wrong(failure.task.id, steps[s]) for s in proved.changed}
        step = max(proved.changed, key=lambda s: wrong[s])
        agents = dict.fromkeys(steps[s].agent for s in proved.changed)
        says = ", ".join(f"{proved.names[agent]!r} as {agent}" for agent in agents)
        reason = f"the run succeeds with {says}"
        notes = []
        if len(agents) > 1:
            notes.append(f"{len(agents)} agents were changed together; which had to be is open")
        if failure.system.deterministic is not True:
            notes.append("the system was not declared deterministic: it may have been luck")
        proof = Verification(
            status="inconclusive" if notes else "confirmed", flips=1, replays=1,
            control_flips=0, control_replays=0, traces=(replay.id,),
            note="; ".join(notes) or "the system was declared deterministic",
        )  # fmt: skip
        facts = {"verification": proof, "confidence": wrong[step], "notes": tuple(notes)}
        return verdict_on(failure.trace, step, reason, method=_METHOD).model_copy(update=facts)


def _replay(how: Callable[..., _T], failure: FailedRun, candidate: _Candidate) -> _T:
    """The failed run again with these alternatives in place; `how` is `rerun` or `arerun`."""
    system = failure.under(candidate.swaps)
    return how(
        failure.trace, system.run, override=candidate.first, check=system.check,
        store=system.store, policy=system.policy, on_divergence="report",
    )  # fmt: skip


def _changed(steps: Mapping[int, StepObservation], names: Mapping[str, str]) -> list[int]:
    """The steps at which these alternatives do something else, first to last."""
    return [s for s, one in steps.items() if _result(one, names[one.agent]) != (one.result or "")]


def _result(step: StepObservation, name: str) -> str:
    """What an alternative does at a step, as JSON text; empty where it breaks."""
    return next(result for result, names in step.results.items() if name in names)
