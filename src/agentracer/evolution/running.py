"""Carry out what an iteration asks for: runs with changes in place, and verdicts on failed runs.

Each finished one is journaled; one that is in the journal is not done again.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agentracer.evolution.accounting import usage_from_json, usage_of_run
from agentracer.evolution.attributors import Attribution, Attributor, FailedRun
from agentracer.evolution.changes import Change, digest
from agentracer.evolution.journal import EvolutionJournal
from agentracer.evolution.team import Task, Team
from agentracer.recording import record
from agentracer.replay import Override, System, arerun, rerun
from agentracer.replay.override import from_facts, to_facts
from agentracer.store import Store
from agentracer.trace import Trace
from agentracer.usage import Usage
from agentracer.verdict import Verdict

__all__ = ["AttributionRequest", "Purpose", "RunRequest", "RunResult", "Runner"]

Purpose = Literal["first", "trial", "control", "final", "unchanged"]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Ask for one run of a task with these changes in place.

    Attributes:
        repeat: tells equal runs of one round apart.
    """

    task: Task
    changes: tuple[Change, ...]
    purpose: Purpose
    round: int
    repeat: int = 0

    @property
    def key(self) -> str:
        """Return what makes two requests request for the same run."""
        changes = [change.id for change in self.changes]
        return digest(self.task.id, changes, self.purpose, self.round, self.repeat)


@dataclass(frozen=True, slots=True)
class AttributionRequest:
    """Ask for the verdict on a failed run."""

    task: Task
    trace: str
    changes: tuple[Change, ...]
    round: int
    runs_left: int | None
    latest: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return what makes two requests request for the same verdict."""
        return digest(self.task.id, self.trace, self.round)


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run. `problem` says why it could not even begin."""

    task: Task
    success: bool
    trace: str
    cost: Usage
    problem: str = ""


class Runner:
    """Runs tasks, and has failed runs attributed.

    Args:
        team: the system.
        check: given a task and the result, whether it succeeded.
        attributor: attributes failed runs.
        store: where the traces are.
        journal: what is finished.
        ground_truth: the right answer of a task, kept with its traces.
        session: name of the iteration, in the metadata of its traces.
    """

    def __init__(
        self,
        team: Team,
        check: Callable[[Any, Any], Any],
        attributor: Attributor,
        *,
        store: Store,
        journal: EvolutionJournal,
        ground_truth: Callable[[Any], Any] | None,
        session: str,
    ) -> None:
        self._team, self._check, self._attributor = team, check, attributor
        self._store, self._journal = store, journal
        self._truth, self._session = ground_truth, session
        self.resumed = 0

    def do(self, request: RunRequest | AttributionRequest) -> RunResult | Attribution:
        """Carry out one request."""
        finished = self._from_journal(request)
        if finished is not None:
            return finished
        if isinstance(request, AttributionRequest):
            return self._finish_attribution(
                request, self._attributor.attribute(self._failure(request, sync=True))
            )
        system = self._team.build()
        try:
            with _in_place(request, system):
                return self._finish(request, self._run(request, system))
        except _DoesNotFit as problem:
            return RunResult(
                request.task, success=False, trace="", cost=Usage(), problem=str(problem)
            )

    async def ado(self, request: RunRequest | AttributionRequest) -> RunResult | Attribution:
        """Carry out one request, for a team whose `run` is awaited."""
        finished = self._from_journal(request)
        if finished is not None:
            return finished
        if isinstance(request, AttributionRequest):
            failure = self._failure(request, sync=False)
            return self._finish_attribution(request, await self._attributor.aattribute(failure))
        system = await _value(self._team.build())
        try:
            with _in_place(request, system):
                return self._finish(request, await self._arun(request, system))
        except _DoesNotFit as problem:
            return RunResult(
                request.task, success=False, trace="", cost=Usage(), problem=str(problem)
            )

    # -- runs

    def _run(self, request: RunRequest, system: Any) -> Trace:
        rerun_of = _replayed(request)
        if rerun_of is not None:
            return rerun(
                self._store.load(rerun_of[0]),
                lambda: self._team.run(system, request.task.value),
                override=rerun_of[1],
                check=lambda result: self._check(request.task.value, result),
                store=self._store,
                policy=self._team.policy,
                on_divergence="report",
            )
        try:
            with self._recording(request) as recorded:
                result = self._team.run(system, request.task.value)
                if inspect.isawaitable(result):
                    if inspect.iscoroutine(result):
                        result.close()
                    raise _Awaitable
                if result is not None:
                    recorded.result = result
        except _Awaitable:
            raise TypeError(
                "the team's run is async\n  remedy: await agentracer.aevolve(...)"
            ) from None
        except Exception:  # noqa: BLE001, S110 - it is in the trace: a failed run like any other
            pass
        return recorded.trace

    async def _arun(self, request: RunRequest, system: Any) -> Trace:
        rerun_of = _replayed(request)
        if rerun_of is not None:
            return await arerun(
                self._store.load(rerun_of[0]),
                lambda: self._team.run(system, request.task.value),
                override=rerun_of[1],
                check=lambda result: self._check(request.task.value, result),
                store=self._store,
                policy=self._team.policy,
                on_divergence="report",
            )
        try:
            async with self._recording(request) as recorded:
                result = await self._team.run(system, request.task.value)
                if result is not None:
                    recorded.result = result
        except Exception:  # noqa: BLE001, S110 - it is in the trace: a failed run like any other
            pass
        return recorded.trace

    def _recording(self, request: RunRequest) -> record:
        task = request.task
        facts = {
            "session": self._session,
            "task": task.id,
            "round": request.round,
            "purpose": request.purpose,
            "changes": [change.id for change in request.changes],
        }
        return record(
            task.text,
            ground_truth=self._truth(task.value) if self._truth is not None else None,
            check=lambda result: self._check(task.value, result),
            metadata={"evolution": facts},
            store=self._store,
        )

    def _finish(self, request: RunRequest, trace: Trace) -> RunResult:
        replay = trace.parent is not None and "replay" in trace.metadata
        cost = usage_of_run(trace, replay=replay)
        success = trace.outcome.success is True
        result = {"success": success, "trace": trace.id, "cost": cost.to_dict()}
        self._journal.add("run", request.key, result)
        self._attributor.observe(request.task, trace)
        return RunResult(request.task, success, trace.id, cost)

    # -- verdicts

    def _failure(self, request: AttributionRequest, *, sync: bool) -> FailedRun:
        def under(changes: Sequence[Change]) -> System:
            return self._system(replace(request, changes=(*request.changes, *changes)), sync=sync)

        return FailedRun(
            request.task,
            self._store.load(request.trace),
            self._system(request, sync=sync),
            runs_left=request.runs_left,
            round=request.round,
            changes=tuple(change.id for change in request.changes),
            latest=request.latest,
            alter=under,
        )

    def _system(self, request: AttributionRequest, *, sync: bool) -> System:
        return System(
            run=self._replay_call(request) if sync else self._again_async(request),
            check=lambda result: self._check(request.task.value, result),
            store=self._store,
            policy=self._team.policy,
            deterministic=self._team.deterministic or None,
        )

    def _replay_call(self, request: AttributionRequest) -> Callable[[], Any]:
        def run() -> Any:
            system = self._team.build()
            with _in_place(request, system):
                return self._team.run(system, request.task.value)

        return run

    def _again_async(self, request: AttributionRequest) -> Callable[[], Any]:
        async def run() -> Any:
            system = await _value(self._team.build())
            with _in_place(request, system):
                return await self._team.run(system, request.task.value)

        return run

    def _finish_attribution(
        self, request: AttributionRequest, attribution: Attribution
    ) -> Attribution:
        self._store.save_verdict(attribution.verdict)
        correction = attribution.correction
        result = {
            "verdict": attribution.verdict.model_dump(mode="json"),
            "cost": attribution.cost.to_dict(),
            "correction": to_facts(correction) if correction is not None else None,
            "fixes": list(attribution.fixes),
            "together": dict(attribution.together),
            "unaffected": list(attribution.unaffected),
            "replays": list(attribution.replays),
        }
        self._journal.add("blame", request.key, result)
        return attribution

    # -- the journal

    def _from_journal(
        self, request: RunRequest | AttributionRequest
    ) -> RunResult | Attribution | None:
        kind = "run" if isinstance(request, RunRequest) else "blame"
        entry = self._journal.known(kind, request.key)
        if entry is None:
            return None
        self.resumed += 1
        cost = usage_from_json(entry["cost"])
        if isinstance(request, RunRequest):
            self._attributor.observe(request.task, self._store.load(entry["trace"]))
            return RunResult(request.task, entry["success"], entry["trace"], cost)
        correction: Override | None = None
        if entry["correction"] is not None:
            correction = from_facts(entry["correction"])
        attribution = Attribution(
            self._failure(request, sync=True),
            Verdict.model_validate(entry["verdict"]),
            cost,
            correction,
            tuple(entry["fixes"]),
            entry["together"],
            tuple(entry["unaffected"]),
            tuple(entry["replays"]),
        )
        self._attributor.restore(attribution)
        return attribution


class _DoesNotFit(Exception):
    """A change cannot be put in place: the system has no such agent."""


class _Awaitable(Exception):
    """The team's `run` has to be awaited."""


@contextlib.contextmanager
def _in_place(request: RunRequest | AttributionRequest, system: Any) -> Iterator[None]:
    """The changes, while the block runs; after it the system is what it was."""
    with contextlib.ExitStack() as stack:
        for change in request.changes:
            try:
                stack.callback(change.put(system, request.task))
            except ValueError as error:
                raise _DoesNotFit(str(error)) from error
        yield


def _replayed(request: RunRequest) -> tuple[str, Override] | None:
    """The run that has to be made again, and from where; the latest such change counts."""
    replays = (change.replays(request.task) for change in reversed(request.changes))
    return next((replay for replay in replays if replay is not None), None)


async def _value(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found
