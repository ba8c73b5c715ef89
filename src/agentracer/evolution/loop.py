"""The loop: run the tasks, attribute the failures, change, run again, keep only what helps.

What is done and decided is one program, a generator that yields requests for runs and verdicts and
is sent the results; `running` carries them out, awaiting or not. It makes the same decisions from
the same results, so a journal of results is enough to go on after a crash.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from agentracer._version import __version__
from agentracer.attribution.tracer import Tracer
from agentracer.evolution.attributors import Attribution, Attributor, as_attributor
from agentracer.evolution.changes import Change, digest, in_place
from agentracer.evolution.effect import Effect
from agentracer.evolution.journal import EvolutionJournal
from agentracer.evolution.options import EvolveOptions, options_from
from agentracer.evolution.report import AppliedChange, EvolutionReport, Round
from agentracer.evolution.running import (
    AttributionRequest,
    Purpose,
    Runner,
    RunRequest,
    RunResult,
)
from agentracer.evolution.strategies.advice import Advice
from agentracer.evolution.strategies.base import RoundState, Strategy
from agentracer.evolution.team import Task, Team, as_team, name_tasks
from agentracer.replay.budget import UNLIMITED
from agentracer.statistics import Rate
from agentracer.store import Store
from agentracer.trace import Trace
from agentracer.usage import Usage
from agentracer.verdict import Verdict

__all__ = ["aevolve", "evolve"]

_Program: TypeAlias = Generator[RunRequest | AttributionRequest, Any, Any]
Results: TypeAlias = dict[str, list[RunResult]]
"""By name of the task, its runs."""


def evolve(
    system: Team | Callable[[Any], Any],
    tasks: Iterable[Any],
    check: Callable[[Any, Any], Any],
    tracer: Attributor | Tracer | Callable[[Trace], Verdict] | None = None,
    options: EvolveOptions | None = None,
    **overrides: Any,
) -> EvolutionReport:
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
        tracer: attributes the failures; `Tracer()`, the embedded one, if None. See also
            `evolution.Verified`, and `evolution.controls` for what to compare with.
        options: how to iterate.
        **overrides: single options by name, such as `rounds=5`; see `EvolveOptions`.

    Returns:
        What was done, what it did, and what it cost. Nothing stays in place:
        `EvolutionReport.apply` puts what was kept into a system for good.

    Raises:
        ValueError: there are no tasks, or two of one name, or an option has no such value.
        TypeError: the system is neither a team nor a function, or is async, or cannot be advised,
            or there is no such option.
        CollectionMismatch: another process is at work on the same iteration.
    """
    iteration = _Iteration(system, tasks, check, tracer, options_from(options, overrides))
    with iteration.journal() as journal:
        runner = iteration.runner(journal, check)
        program = iteration.program()
        try:
            request = next(program)
            while True:
                result = runner.do(request)
                iteration.note(request, result)
                request = program.send(result)
        except StopIteration as stop:
            journal.end()
            report: EvolutionReport = stop.value
            return replace(report, resumed=runner.resumed)


async def aevolve(
    system: Team | Callable[[Any], Any],
    tasks: Iterable[Any],
    check: Callable[[Any, Any], Any],
    tracer: Attributor | Tracer | Callable[[Trace], Verdict] | None = None,
    options: EvolveOptions | None = None,
    **overrides: Any,
) -> EvolutionReport:
    """As `evolve`, for a system that is run by awaiting it; `build` and `check` may be async."""
    iteration = _Iteration(system, tasks, check, tracer, options_from(options, overrides))
    with iteration.journal() as journal:
        runner = iteration.runner(journal, check)
        program = iteration.program()
        try:
            request = next(program)
            while True:
                result = await runner.ado(request)
                iteration.note(request, result)
                request = program.send(result)
        except StopIteration as stop:
            journal.end()
            report: EvolutionReport = stop.value
            return replace(report, resumed=runner.resumed)


class _Iteration:
    """One iteration: its state, and its decisions."""

    def __init__(
        self,
        system: Any,
        tasks: Iterable[Any],
        check: Callable[[Any, Any], Any],
        tracer: Any,
        options: EvolveOptions,
    ) -> None:
        self.options = options
        self.team, self.tasks = as_team(system), name_tasks(tasks)
        self.attributor = as_attributor(tracer)
        self.strategy = Advice() if options.strategy is None else options.strategy
        if not isinstance(self.strategy, Strategy):
            raise TypeError(
                f"{type(self.strategy).__name__} is no evolution.Strategy\n"
                "  remedy: let it inherit from agentracer.evolution.Strategy"
            )
        self.batch = options.batch or len(self.tasks)
        self.start = tuple(options.start)
        self.settings = self._settings(check)
        self.session = options.session or f"evolve-{digest(self.settings)}"
        self.kept: tuple[Change, ...] = ()
        self.retracted: set[str] = set()
        self.cost = Usage()
        self.begun = Usage()  # what had been spent when the round began
        self._attributions: dict[str, Attribution] = {}
        self._dearest = Usage(runs=1)  # the dearest run so far; the next one may cost as much

    def _settings(self, check: Callable[[Any, Any], Any]) -> dict[str, Any]:
        """What has to be the same for an iteration to be resumed; the keys are those of 0.1.0."""
        options, budget = self.options, self.options.budget
        limits = [budget.runs, budget.model_calls]
        return {
            "version": __version__,
            "system": _name(self.team.run),
            "tasks": [task.id for task in self.tasks],
            "check": _name(check),
            "tracer": self.attributor.name,
            "strategy": self.strategy.name,
            "rounds": options.rounds,
            "repeats": options.repeats,
            "batch": options.batch,
            "failures": options.failures,
            "deterministic": self.team.deterministic,
            "allowance": limits if budget.tokens is None else [*limits, budget.tokens],
        }

    def journal(self) -> EvolutionJournal:
        """Open the journal; it also says which changes are in place from the start."""
        home = (self.options.store or Store()).home
        path = home / "evolution" / f"{_file_name(self.session)}.jsonl"
        ids = [change.id for change in self.start]
        journal = EvolutionJournal(path, self.settings, ids, resume=self.options.resume)
        self.start = tuple(change for change in self.start if change.id in journal.start)
        return journal

    def runner(self, journal: EvolutionJournal, check: Callable[[Any, Any], Any]) -> Runner:
        """Return what carries the requests out."""
        return Runner(
            self.team, check, self.attributor, store=self.options.store or Store(),
            journal=journal, ground_truth=self.options.ground_truth, session=self.session,
        )  # fmt: skip

    def note(
        self, request: RunRequest | AttributionRequest, result: RunResult | Attribution
    ) -> None:
        """Count what was spent, and report it."""
        self.cost += result.cost
        if isinstance(result, RunResult) and isinstance(request, RunRequest):
            self._dearest = Usage(
                runs=1,
                model_calls=max(self._dearest.model_calls, result.cost.model_calls),
                unsplit_tokens=max(self._dearest.tokens, result.cost.tokens),
            )
            if request.changes and result.trace:
                self.strategy.on_run(request.changes, result.trace, success=result.success)
        if self.options.progress is not None:
            self.options.progress(request, self.cost)

    # -- the program

    def program(self) -> _Program:
        """All rounds, and the comparison at the end."""
        self.kept = self.start
        first: Results = {}
        latest: Results = {}
        rounds: list[Round] = []
        for number in range(1, self.options.rounds + 1):
            self.begun = self.cost
            new = self.tasks[len(latest) : number * self.batch]
            seen = yield from self._all("first", number, self.kept, new)
            first = first or seen
            latest, entry = yield from self._round(number, {**latest, **seen})
            rounds.append(entry)
        return (yield from self._conclude(first, latest, rounds))

    def _round(self, number: int, latest: Results) -> _Program:
        attributions = yield from self._attribute(number, latest)
        state = RoundState(self.session, number, self.kept, frozenset(self.retracted))
        proposed = tuple(self.strategy.propose(attributions, state))
        with_changes = in_place(self.kept, proposed)
        control: Results = {}
        trial: Results = {}
        problem = ""
        seen = [task for task in self.tasks if task.id in latest]
        concerned = [task for task in seen if any(c.concerns(task) for c in proposed)]
        if proposed:
            trial = yield from self._trial(number, with_changes, concerned, latest)
            problem = next((p.problem for runs in trial.values() for p in runs if p.problem), "")
        trial = {} if problem else trial
        if not self.team.deterministic:
            control = yield from self._all("control", number, self.kept, seen)
            yield from self._spend_the_rest(number, trial, control, with_changes)
        control = control or latest
        effect = _effect(control, trial, certain=self.team.deterministic) if trial else None
        keep = effect is not None and effect.keep
        applied = tuple(AppliedChange(change, effect, keep, problem) for change in proposed)
        self._decide(proposed, effect, state, keep=keep)
        if keep:
            self.kept = with_changes
        after = {**control, **trial} if keep else control
        abstained = sum(attribution.verdict.abstained for attribution in attributions)
        entry = Round(
            number, _rate(after), _rate(trial) if trial else None, _rate(control), applied,
            len(attributions), abstained, self.cost - self.begun,
        )  # fmt: skip
        return after, entry

    def _decide(
        self, proposed: Sequence[Change], effect: Effect | None, state: RoundState, *, keep: bool
    ) -> None:
        if not keep:
            self.retracted.update(change.id for change in proposed)
        for change in proposed:
            self.strategy.on_decision(change, effect or Effect(0, 0, 0), state, kept=keep)

    def _attribute(self, number: int, latest: Results) -> _Program:
        """The verdicts on tasks that failed, in an order that differs from round to round.

        An earlier verdict on the very same run still holds where the attributor is repeatable, and
        costs nothing.
        """
        failed = [runs for runs in latest.values() if not all(run.success for run in runs)]
        failed.sort(key=lambda runs: digest(number, runs[0].task.id))
        candidates = [next(run for run in runs if not run.success) for runs in failed]
        earlier = self._attributions
        attributions = [earlier[run.trace] for run in candidates if run.trace in earlier]
        fresh = [run for run in candidates if run.trace not in earlier]
        traces = {name: runs[-1].trace for name, runs in latest.items()}
        for run in fresh[: self.options.failures]:
            left = self._left_for_replays()
            if left is not None and left < 1 and attributions:
                break
            attribution = yield AttributionRequest(
                run.task, run.trace, self.kept, number, left, traces
            )
            attributions.append(attribution)
            if self.attributor.repeatable:
                earlier[run.trace] = attribution
        return attributions

    def _left_for_replays(self) -> int | None:
        """What the budget leaves when the trial and its control are set aside."""
        left = self.options.budget.runs_left(self.cost - self.begun)
        aside = len(self.tasks) * self.options.repeats * (1 if self.team.deterministic else 2)
        return None if left is None else max(0, left - aside)

    def _all(
        self, purpose: Purpose, number: int, changes: tuple[Change, ...], wanted: Sequence[Task]
    ) -> _Program:
        """Each of these tasks, as often as it is repeated."""
        results: Results = {task.id: [] for task in wanted}
        for repeat in range(self.options.repeats):
            for task in wanted:
                result = yield RunRequest(task, changes, purpose, number, repeat)
                results[task.id].append(result)
                if result.problem:
                    return results
        return results

    def _trial(
        self,
        number: int,
        tried: tuple[Change, ...],
        concerned: Sequence[Task],
        latest: Results,
    ) -> _Program:
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
    ) -> _Program:
        """More repetitions, trial and control in turn, until the budget is used up."""
        if self.options.budget == UNLIMITED:
            return
        sides: list[tuple[Purpose, Results, tuple[Change, ...]]]
        sides = [("trial", trial, tried)] if trial else []
        sides.append(("control", control, self.kept))
        for repeat in itertools.count(self.options.repeats):
            before = self.cost
            for task in self.tasks:
                for purpose, results, changes in sides:
                    if task.id not in results:
                        continue
                    if not self.options.budget.allows(self.cost - self.begun + self._dearest):
                        return
                    result = yield RunRequest(task, changes, purpose, number, repeat)
                    results[task.id].append(result)
            if not self.options.budget.limits(self.cost - before):
                return  # a pass costs nothing that is limited: it would go on for ever

    def _conclude(self, first: Results, latest: Results, rounds: list[Round]) -> _Program:
        """The system as it is left beside the system as it was."""
        notes = []
        recorded = (latest, first) if self.team.deterministic else ({}, {})
        final = yield from self._rest("final", self.kept, recorded[0])
        same = self.team.deterministic and self.kept == self.start
        unchanged = yield from self._rest("unchanged", self.start, final if same else recorded[1])
        effect = _effect(unchanged, final, certain=self.team.deterministic)
        if not effect.keep and self.kept != self.start:
            notes.append("in the end it was no better than unchanged: everything was taken back")
            state = RoundState(
                self.session, self.options.rounds, self.kept, frozenset(self.retracted)
            )
            gone = [change for change in self.kept if change not in self.start]
            self._decide(gone, effect, state, keep=False)
            self.kept, final = self.start, unchanged
        return EvolutionReport(
            self.session, self.attributor.name, self.strategy.name, _rate(first), tuple(rounds),
            _rate(final), _rate(unchanged), effect, self.kept, self.cost, notes=tuple(notes),
        )  # fmt: skip

    def _rest(self, purpose: Purpose, changes: tuple[Change, ...], known: Results) -> _Program:
        """The tasks whose runs with these changes are not known."""
        open_tasks = [task for task in self.tasks if task.id not in known]
        return {
            **known,
            **(yield from self._all(purpose, self.options.rounds, changes, open_tasks)),
        }


def _effect(control: Results, trial: Results, *, certain: bool) -> Effect:
    def shares(results: Results) -> Mapping[str, list[bool]]:
        return {task: [run.success for run in runs] for task, runs in results.items()}

    return Effect.between(shares(control), shares(trial), certain=certain)


def _rate(results: Results) -> Rate:
    runs = [run for results_of_task in results.values() for run in results_of_task]
    return Rate(sum(run.success for run in runs), len(runs))


def _name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"


def _file_name(session: str) -> str:
    """The session as a file name that reaches no other folder."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in session).lstrip(".")
    return plain if plain == session else f"{plain[:60]}-{digest(session)}"
