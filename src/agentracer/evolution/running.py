"""Carries out what an iteration plans: runs with changes in place, and verdicts on failed ones.

Each finished one is journaled; one that a journal knows is not done again.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agentracer.evolution.blame import Blamed, Blamer, Failure
from agentracer.evolution.changes import Change, digest
from agentracer.evolution.cost import Cost
from agentracer.evolution.journal import EvolutionJournal
from agentracer.evolution.team import Task, Team
from agentracer.recording import record
from agentracer.replay import Override, System, arerun, rerun
from agentracer.replay.override import from_facts, to_facts
from agentracer.store import Store
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["Ask", "Play", "Played", "Purpose", "Runner"]

Purpose = Literal["first", "trial", "control", "final", "unchanged"]


@dataclass(frozen=True, slots=True)
class Play:
    """Wanted: one run of a task with these changes in place.

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
        """What makes two runs the same one."""
        changes = [change.id for change in self.changes]
        return digest(self.task.id, changes, self.purpose, self.round, self.repeat)


@dataclass(frozen=True, slots=True)
class Ask:
    """Wanted: the verdict on a failed run."""

    task: Task
    trace: str
    changes: tuple[Change, ...]
    round: int
    runs_left: int | None
    latest: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What makes two verdicts the same one."""
        return digest(self.task.id, self.trace, self.round)


@dataclass(frozen=True, slots=True)
class Played:
    """A finished run. `problem` says why it could not even begin."""

    task: Task
    success: bool
    trace: str
    cost: Cost
    problem: str = ""


class Runner:
    """Runs tasks and asks who is to blame.

    Args:
        team: the system.
        check: given a task and the result, whether it succeeded.
        blamer: who attributes.
        store: where the traces are.
        journal: what is finished.
        ground_truth: the right answer of a task, kept with its traces.
        session: name of the iteration, in the metadata of its traces.
    """

    def __init__(
        self,
        team: Team,
        check: Callable[[Any, Any], Any],
        blamer: Blamer,
        *,
        store: Store,
        journal: EvolutionJournal,
        ground_truth: Callable[[Any], Any] | None,
        session: str,
    ) -> None:
        self._team, self._check, self._blamer = team, check, blamer
        self._saw: Callable[[Task, Trace], None] | None = getattr(blamer, "saw", None)
        self._store, self._journal = store, journal
        self._truth, self._session = ground_truth, session
        self.resumed = 0

    def do(self, command: Play | Ask) -> Played | Blamed:
        """Carry out one command."""
        known = self._known(command)
        if known is not None:
            return known
        if isinstance(command, Ask):
            return self._judged(command, self._blamer.blame(self._failure(command, sync=True)))
        system = self._team.build()
        try:
            with _in_place(command, system):
                return self._played(command, self._run(command, system))
        except _DoesNotFit as problem:
            return Played(command.task, success=False, trace="", cost=Cost(), problem=str(problem))

    async def ado(self, command: Play | Ask) -> Played | Blamed:
        """Carry out one command, for a team whose `run` is awaited."""
        known = self._known(command)
        if known is not None:
            return known
        if isinstance(command, Ask):
            failure = self._failure(command, sync=False)
            ablame = getattr(self._blamer, "ablame", None)
            if ablame is not None:
                return self._judged(command, await ablame(failure))
            return self._judged(command, await asyncio.to_thread(self._blamer.blame, failure))
        system = await _value(self._team.build())
        try:
            with _in_place(command, system):
                return self._played(command, await self._arun(command, system))
        except _DoesNotFit as problem:
            return Played(command.task, success=False, trace="", cost=Cost(), problem=str(problem))

    # -- runs

    def _run(self, play: Play, system: Any) -> Trace:
        again = _replayed(play)
        if again is not None:
            return rerun(
                self._store.load(again[0]),
                lambda: self._team.run(system, play.task.value),
                override=again[1],
                check=lambda result: self._check(play.task.value, result),
                store=self._store,
                policy=self._team.policy,
                on_divergence="report",
            )
        try:
            with self._recording(play) as recorded:
                result = self._team.run(system, play.task.value)
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

    async def _arun(self, play: Play, system: Any) -> Trace:
        again = _replayed(play)
        if again is not None:
            return await arerun(
                self._store.load(again[0]),
                lambda: self._team.run(system, play.task.value),
                override=again[1],
                check=lambda result: self._check(play.task.value, result),
                store=self._store,
                policy=self._team.policy,
                on_divergence="report",
            )
        try:
            async with self._recording(play) as recorded:
                result = await self._team.run(system, play.task.value)
                if result is not None:
                    recorded.result = result
        except Exception:  # noqa: BLE001, S110 - it is in the trace: a failed run like any other
            pass
        return recorded.trace

    def _recording(self, play: Play) -> record:
        task = play.task
        facts = {
            "session": self._session,
            "task": task.id,
            "round": play.round,
            "purpose": play.purpose,
            "changes": [change.id for change in play.changes],
        }
        return record(
            task.text,
            ground_truth=self._truth(task.value) if self._truth is not None else None,
            check=lambda result: self._check(task.value, result),
            metadata={"evolution": facts},
            store=self._store,
        )

    def _played(self, play: Play, trace: Trace) -> Played:
        replay = trace.parent is not None and "replay" in trace.metadata
        cost = Cost.of_run(trace, replay=replay)
        success = trace.outcome.success is True
        result = {"success": success, "trace": trace.id, "cost": cost.to_json()}
        self._journal.add("run", play.key, result)
        if self._saw is not None:
            self._saw(play.task, trace)
        return Played(play.task, success, trace.id, cost)

    # -- verdicts

    def _failure(self, ask: Ask, *, sync: bool) -> Failure:
        def under(changes: Sequence[Change]) -> System:
            return self._system(replace(ask, changes=(*ask.changes, *changes)), sync=sync)

        return Failure(
            ask.task,
            self._store.load(ask.trace),
            self._system(ask, sync=sync),
            runs_left=ask.runs_left,
            round=ask.round,
            changes=tuple(change.id for change in ask.changes),
            latest=ask.latest,
            alter=under,
        )

    def _system(self, ask: Ask, *, sync: bool) -> System:
        return System(
            run=self._again(ask) if sync else self._again_async(ask),
            check=lambda result: self._check(ask.task.value, result),
            store=self._store,
            policy=self._team.policy,
            deterministic=self._team.deterministic or None,
        )

    def _again(self, ask: Ask) -> Callable[[], Any]:
        def run() -> Any:
            system = self._team.build()
            with _in_place(ask, system):
                return self._team.run(system, ask.task.value)

        return run

    def _again_async(self, ask: Ask) -> Callable[[], Any]:
        async def run() -> Any:
            system = await _value(self._team.build())
            with _in_place(ask, system):
                return await self._team.run(system, ask.task.value)

        return run

    def _judged(self, ask: Ask, blamed: Blamed) -> Blamed:
        self._store.save_verdict(blamed.verdict)
        correction = blamed.correction
        result = {
            "verdict": blamed.verdict.model_dump(mode="json"),
            "cost": blamed.cost.to_json(),
            "correction": to_facts(correction) if correction is not None else None,
            "fixes": list(blamed.fixes),
            "together": dict(blamed.together),
            "unaffected": list(blamed.unaffected),
            "replays": list(blamed.replays),
        }
        self._journal.add("blame", ask.key, result)
        return blamed

    # -- what is finished

    def _known(self, command: Play | Ask) -> Played | Blamed | None:
        kind = "run" if isinstance(command, Play) else "blame"
        found = self._journal.known(kind, command.key)
        if found is None:
            return None
        self.resumed += 1
        cost = Cost(**found["cost"])
        if isinstance(command, Play):
            if self._saw is not None:
                self._saw(command.task, self._store.load(found["trace"]))
            return Played(command.task, found["success"], found["trace"], cost)
        correction: Override | None = None
        if found["correction"] is not None:
            correction = from_facts(found["correction"])
        blamed = Blamed(
            self._failure(command, sync=True),
            Verdict.model_validate(found["verdict"]),
            cost,
            correction,
            tuple(found["fixes"]),
            found["together"],
            tuple(found["unaffected"]),
            tuple(found["replays"]),
        )
        recall = getattr(self._blamer, "recall", None)
        if recall is not None:
            recall(blamed)
        return blamed


class _DoesNotFit(Exception):
    """A change cannot be put in place: the system has no such agent."""


class _Awaitable(Exception):
    """The team's `run` has to be awaited."""


@contextlib.contextmanager
def _in_place(command: Play | Ask, system: Any) -> Iterator[None]:
    """The changes, while the block runs; after it the system is what it was."""
    with contextlib.ExitStack() as stack:
        for change in command.changes:
            try:
                stack.callback(change.put(system, command.task))
            except ValueError as error:
                raise _DoesNotFit(str(error)) from error
        yield


def _replayed(play: Play) -> tuple[str, Override] | None:
    """The run that has to be made again, and from where; the latest such change counts."""
    found = (change.replays(play.task) for change in reversed(play.changes))
    return next((one for one in found if one is not None), None)


async def _value(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found
