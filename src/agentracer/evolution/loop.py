"""The loop: run the tasks, attribute the failures, change, run again, keep only what helps.

What is done and decided is one plan, a generator that yields the runs and verdicts it wants and is
sent what came of them; `running` carries it out, awaiting or not. It makes the same decisions from
the same results, so a journal of results is all that it takes to go on after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from agentracer._version import __version__
from agentracer.attribution.tracer import Tracer
from agentracer.evolution.blame import Blamed, Blamer, as_blamer
from agentracer.evolution.changes import Change, digest, in_place
from agentracer.evolution.cost import Allowance, Cost
from agentracer.evolution.effect import Effect
from agentracer.evolution.journal import EvolutionJournal
from agentracer.evolution.report import Done, Report, Round
from agentracer.evolution.running import Ask, Play, Played, Purpose, Runner
from agentracer.evolution.strategies.advice import Advice
from agentracer.evolution.strategies.base import Known, Strategy
from agentracer.evolution.team import Task, Team, as_team, named
from agentracer.statistics import Rate
from agentracer.store import Store
from agentracer.trace import Trace
from agentracer.verdict import Verdict

__all__ = ["aevolve", "evolve"]

Plan: TypeAlias = Generator[Play | Ask, Any, Any]
Progress = Callable[[Play | Ask, Cost], None]
Results: TypeAlias = dict[str, list[Played]]
"""By name of the task, its runs."""


def evolve(
    system: Team | Callable[[Any], Any],
    tasks: Iterable[Any],
    check: Callable[[Any, Any], Any],
    tracer: Blamer | Tracer | Callable[[Trace], Verdict] | None = None,
    *,
    rounds: int = 3,
    strategy: Strategy | None = None,
    repeats: int = 1,
    batch: int | None = None,
    failures: int | None = None,
    allowance: Allowance | None = None,
    start: Sequence[Change] = (),
    ground_truth: Callable[[Any], Any] | None = None,
    store: Store | None = None,
    session: str | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Let verdicts on failed runs change the system, and keep what helps.

    Every round attributes the failures of the round before, asks the strategy for changes, runs the
    tasks with them (trial) and without them (control), and compares the two task by task. Changes
    that lost more tasks than they won are taken back exactly. At the end, the system as it is left
    and the system as it was run side by side once more; if it lost on balance, everything is taken
    back. In a system that is declared deterministic, runs that were made already are the control.

    Args:
        system: a `Team`, or a function that runs the system on one task. `Advice` needs a `Team`
            whose `build` returns the framework's object.
        tasks: what to run, the same in every round. Tasks with an `id` are called by it.
        check: given a task and what `run` returned, whether it succeeded.
        tracer: who attributes; `Tracer()`, the embedded one, if None. See also
            `evolution.Verified`, and `evolution.controls` for whom to compare with.
        rounds: how often to change something.
        strategy: what verdicts become; `Advice()` if None.
        repeats: runs of each task, each time that it is run.
        batch: tasks that are new in a round; a round attributes, and compares on, the tasks seen so
            far. By default all tasks are seen from the first round on. Small batches make rounds
            cheap, and their comparisons weak.
        failures: failed runs that are newly attributed in a round at most; all of them if None.
        allowance: what one round may cost, and will, so that several iterations cost the same.
        start: changes that are in place from the start, such as `Advice().recall()`.
        ground_truth: the right answer of a task, kept with its traces.
        store: where traces, lessons and the journal are; the default store if None.
        session: name of the iteration. By default it is made of the tasks and the settings; give
            one where two systems are iterated over the same tasks with the same settings.
        resume: go on with an iteration of this name that was interrupted.
        progress: called after each run and verdict with what it was, and the cost so far.

    Returns:
        What was done, what it did, and what it cost. Nothing stays in place: `Report.apply` puts
        what was kept into a system for good.

    Raises:
        ValueError: there are no tasks, or two of one name.
        TypeError: the system is neither a team nor a function, or is async, or cannot be advised.
        CollectionMismatch: another process is at work on the same iteration.
    """
    iteration = _Iteration(
        system, tasks, check, tracer, rounds, strategy, repeats, batch, failures,
        allowance, start, session,
    )  # fmt: skip
    with iteration.journal(store, resume=resume) as journal:
        runner = iteration.runner(store, journal, check, ground_truth)
        plan = iteration.plan()
        try:
            command = next(plan)
            while True:
                result = runner.do(command)
                iteration.note(command, result, progress)
                command = plan.send(result)
        except StopIteration as stop:
            journal.end()
            report: Report = stop.value
            return replace(report, resumed=runner.resumed)


async def aevolve(
    system: Team | Callable[[Any], Any],
    tasks: Iterable[Any],
    check: Callable[[Any, Any], Any],
    tracer: Blamer | Tracer | Callable[[Trace], Verdict] | None = None,
    *,
    rounds: int = 3,
    strategy: Strategy | None = None,
    repeats: int = 1,
    batch: int | None = None,
    failures: int | None = None,
    allowance: Allowance | None = None,
    start: Sequence[Change] = (),
    ground_truth: Callable[[Any], Any] | None = None,
    store: Store | None = None,
    session: str | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> Report:
    """As `evolve`, for a system that is run by awaiting it; `build` and `check` may be async."""
    iteration = _Iteration(
        system, tasks, check, tracer, rounds, strategy, repeats, batch, failures,
        allowance, start, session,
    )  # fmt: skip
    with iteration.journal(store, resume=resume) as journal:
        runner = iteration.runner(store, journal, check, ground_truth)
        plan = iteration.plan()
        try:
            command = next(plan)
            while True:
                result = await runner.ado(command)
                iteration.note(command, result, progress)
                command = plan.send(result)
        except StopIteration as stop:
            journal.end()
            report: Report = stop.value
            return replace(report, resumed=runner.resumed)


class _Iteration:
    """One iteration: what it knows, and what it decides."""

    def __init__(
        self,
        system: Any,
        tasks: Iterable[Any],
        check: Callable[[Any, Any], Any],
        tracer: Any,
        rounds: int,
        strategy: Strategy | None,
        repeats: int,
        batch: int | None,
        failures: int | None,
        allowance: Allowance | None,
        start: Sequence[Change],
        session: str | None,
    ) -> None:
        if min(rounds, repeats, 1 if batch is None else batch) < 1:
            raise ValueError("rounds, repeats and batch are at least 1")
        self.team, self.tasks = as_team(system), named(tasks)
        self.blamer, self.strategy = as_blamer(tracer), strategy or Advice()
        self.rounds, self.repeats, self.failures = rounds, repeats, failures
        self.batch = batch or len(self.tasks)
        self.allowance, self.start = allowance or Allowance(), tuple(start)
        self.settings = {
            "version": __version__,
            "system": _name(self.team.run),
            "tasks": [task.id for task in self.tasks],
            "check": _name(check),
            "tracer": self.blamer.name,
            "strategy": self.strategy.name,
            "rounds": rounds,
            "repeats": repeats,
            "batch": batch,
            "failures": failures,
            "deterministic": self.team.deterministic,
            "allowance": [self.allowance.runs, self.allowance.model_calls],
        }
        self.session = session or f"evolve-{digest(self.settings)}"
        self.kept: tuple[Change, ...] = ()
        self.retracted: set[str] = set()
        self.cost = Cost()
        self.begun = Cost()  # what had been spent when the round began
        self._verdicts: dict[str, Blamed] = {}
        self._dearest = Cost(runs=1)  # the dearest run so far, which the next one may be as dear as

    def journal(self, store: Store | None, *, resume: bool) -> EvolutionJournal:
        """What is finished; also settles which changes are in place from the start."""
        home = (store or Store()).home
        path = home / "evolution" / f"{_file_name(self.session)}.jsonl"
        ids = [change.id for change in self.start]
        journal = EvolutionJournal(path, self.settings, ids, resume=resume)
        self.start = tuple(change for change in self.start if change.id in journal.start)
        return journal

    def runner(
        self,
        store: Store | None,
        journal: EvolutionJournal,
        check: Callable[[Any, Any], Any],
        ground_truth: Callable[[Any], Any] | None,
    ) -> Runner:
        """Who carries the plan out."""
        return Runner(
            self.team, check, self.blamer, store=store or Store(), journal=journal,
            ground_truth=ground_truth, session=self.session,
        )  # fmt: skip

    def note(self, command: Play | Ask, result: Played | Blamed, progress: Progress | None) -> None:
        """Count what was spent, and tell whoever wants to know."""
        self.cost += result.cost
        if isinstance(result, Played) and isinstance(command, Play):
            self._dearest = Cost(
                runs=1, model_calls=max(self._dearest.model_calls, result.cost.model_calls)
            )
            used = getattr(self.strategy, "used", None)
            if used is not None and command.changes and result.trace:
                used(command.changes, result.trace, success=result.success)
        if progress is not None:
            progress(command, self.cost)

    # -- the plan

    def plan(self) -> Plan:
        """All rounds, and the comparison at the end."""
        self.kept = self.start
        first: Results = {}
        latest: Results = {}
        rounds: list[Round] = []
        for number in range(1, self.rounds + 1):
            self.begun = self.cost
            new = self.tasks[len(latest) : number * self.batch]
            seen = yield from self._all("first", number, self.kept, new)
            first = first or seen
            latest, entry = yield from self._round(number, {**latest, **seen})
            rounds.append(entry)
        return (yield from self._conclude(first, latest, rounds))

    def _round(self, number: int, latest: Results) -> Plan:
        blamed = yield from self._attribute(number, latest)
        known = Known(self.session, number, self.kept, frozenset(self.retracted))
        proposed = tuple(self.strategy.propose(blamed, known))
        tried = in_place(self.kept, proposed)
        control: Results = {}
        trial: Results = {}
        problem = ""
        seen = [task for task in self.tasks if task.id in latest]
        concerned = [task for task in seen if any(c.concerns(task) for c in proposed)]
        if proposed:
            trial = yield from self._trial(number, tried, concerned, latest)
            problem = next((p.problem for runs in trial.values() for p in runs if p.problem), "")
        trial = {} if problem else trial
        if not self.team.deterministic:
            control = yield from self._all("control", number, self.kept, seen)
            yield from self._spend_the_rest(number, trial, control, tried)
        control = control or latest
        effect = _effect(control, trial, certain=self.team.deterministic) if trial else None
        keep = effect is not None and effect.keep
        done = tuple(Done(change, effect, keep, problem) for change in proposed)
        self._settle(proposed, effect, known, keep=keep)
        if keep:
            self.kept = tried
        after = {**control, **trial} if keep else control
        abstained = sum(one.verdict.abstained for one in blamed)
        entry = Round(
            number, _rate(after), _rate(trial) if trial else None, _rate(control), done,
            len(blamed), abstained, _since(self.begun, self.cost),
        )  # fmt: skip
        return after, entry

    def _settle(
        self, proposed: Sequence[Change], effect: Effect | None, known: Known, *, keep: bool
    ) -> None:
        if not keep:
            self.retracted.update(change.id for change in proposed)
        settled = getattr(self.strategy, "settled", None)
        if settled is not None:
            for change in proposed:
                settled(change, effect or Effect(0, 0, 0), known, kept=keep)

    def _attribute(self, number: int, latest: Results) -> Plan:
        """The verdicts on tasks that failed, in an order that differs from round to round.

        What was said of the very same run before still holds, if its blamer says so, and is free.
        """
        failed = [runs for runs in latest.values() if not all(run.success for run in runs)]
        failed.sort(key=lambda runs: digest(number, runs[0].task.id))
        wanted = [next(run for run in runs if not run.success) for runs in failed]
        blamed = [self._verdicts[run.trace] for run in wanted if run.trace in self._verdicts]
        fresh = [run for run in wanted if run.trace not in self._verdicts]
        traces = {name: runs[-1].trace for name, runs in latest.items()}
        for run in fresh[: self.failures]:
            left = self._left_for_replays()
            if left is not None and left < 1 and blamed:
                break
            one = yield Ask(run.task, run.trace, self.kept, number, left, traces)
            blamed.append(one)
            if getattr(self.blamer, "lasting", False):
                self._verdicts[run.trace] = one
        return blamed

    def _left_for_replays(self) -> int | None:
        """What the allowance leaves when the trial and its control are set aside."""
        left = self.allowance.left(_since(self.begun, self.cost))
        aside = len(self.tasks) * self.repeats * (1 if self.team.deterministic else 2)
        return None if left is None else max(0, left - aside)

    def _all(
        self, purpose: Purpose, number: int, changes: tuple[Change, ...], wanted: Sequence[Task]
    ) -> Plan:
        """Each of these tasks, as often as it is repeated."""
        results: Results = {task.id: [] for task in wanted}
        for repeat in range(self.repeats):
            for task in wanted:
                played = yield Play(task, changes, purpose, number, repeat)
                results[task.id].append(played)
                if played.problem:
                    return results
        return results

    def _trial(
        self,
        number: int,
        tried: tuple[Change, ...],
        concerned: Sequence[Task],
        latest: Results,
    ) -> Plan:
        """The tasks with the changes; no more of them than it takes to see that they lose.

        Only a system that repeats itself is known to lose before all tasks have run.
        """
        if not self.team.deterministic:
            return (yield from self._all("trial", number, tried, concerned))
        trial: Results = {}
        for done, task in enumerate(concerned, start=1):
            trial |= yield from self._all("trial", number, tried, [task])
            effect = _effect(latest, trial, certain=True)
            rest = concerned[done:]
            hopes = sum(not all(run.success for run in latest[task.id]) for task in rest)
            if trial[task.id][-1].problem or effect.losses > effect.wins + hopes:
                break
        return trial

    def _spend_the_rest(
        self, number: int, trial: Results, control: Results, tried: tuple[Change, ...]
    ) -> Plan:
        """More repetitions, trial and control in turn, until the allowance is used up."""
        if self.allowance == Allowance():
            return
        sides: list[tuple[Purpose, Results, tuple[Change, ...]]]
        sides = [("trial", trial, tried)] if trial else []
        sides.append(("control", control, self.kept))
        for repeat in range(self.repeats, 10**6):
            for task in self.tasks:
                for purpose, results, changes in sides:
                    if task.id not in results:
                        continue
                    spent = _since(self.begun, self.cost)
                    if not self.allowance.allows(spent, self._dearest):
                        return
                    played = yield Play(task, changes, purpose, number, repeat)
                    results[task.id].append(played)
            if self.allowance.runs is None and self.allowance.model_calls is None:
                return

    def _conclude(self, first: Results, latest: Results, rounds: list[Round]) -> Plan:
        """The system as it is left beside the system as it was."""
        notes = []
        known = (latest, first) if self.team.deterministic else ({}, {})
        final = yield from self._rest("final", self.kept, known[0])
        same = self.team.deterministic and self.kept == self.start
        unchanged = yield from self._rest("unchanged", self.start, final if same else known[1])
        effect = _effect(unchanged, final, certain=self.team.deterministic)
        if not effect.keep and self.kept != self.start:
            notes.append("in the end it was no better than unchanged: everything was taken back")
            facts = Known(self.session, self.rounds, self.kept, frozenset(self.retracted))
            gone = [change for change in self.kept if change not in self.start]
            self._settle(gone, effect, facts, keep=False)
            self.kept, final = self.start, unchanged
        return Report(
            self.session, self.blamer.name, self.strategy.name, _rate(first), tuple(rounds),
            _rate(final), _rate(unchanged), effect, self.kept, self.cost, notes=tuple(notes),
        )  # fmt: skip

    def _rest(self, purpose: Purpose, changes: tuple[Change, ...], known: Results) -> Plan:
        """The tasks whose runs with these changes are not known."""
        wanted = [task for task in self.tasks if task.id not in known]
        return {**known, **(yield from self._all(purpose, self.rounds, changes, wanted))}


def _effect(control: Results, trial: Results, *, certain: bool) -> Effect:
    def shares(results: Results) -> Mapping[str, list[bool]]:
        return {task: [run.success for run in runs] for task, runs in results.items()}

    return Effect.between(shares(control), shares(trial), certain=certain)


def _rate(results: Results) -> Rate:
    runs = [run for found in results.values() for run in found]
    return Rate(sum(run.success for run in runs), len(runs))


def _since(before: Cost, now: Cost) -> Cost:
    return Cost(**{name: now.to_json()[name] - value for name, value in before.to_json().items()})


def _name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"


def _file_name(session: str) -> str:
    """The session as a file name that reaches no other folder."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in session).lstrip(".")
    return plain if plain == session else f"{plain[:60]}-{digest(session)}"
