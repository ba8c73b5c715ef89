"""Find the decisive step of a failed run by replay, with an oracle that corrects steps or without.

Without one, `success_curve` keeps parts of the run and lets the system do the rest. With one, the
decisive error is the earliest step whose correction turns the failure into a success. That
definition is a scan over the steps (arXiv 2509.03312, Algorithm 1), each corrected by an
oracle and replayed in place. The strategies of `search` carry it out, or find the same step for
fewer replays; `conclusion` turns what they found into a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from agentracer._version import __version__
from agentracer.errors import BudgetSpent
from agentracer.replay.budget import UNLIMITED, Budget
from agentracer.replay.conclusion import open_questions, verdict_of
from agentracer.replay.design import ExperimentDesign
from agentracer.replay.engine import Engine, signature
from agentracer.replay.journal import ReplayJournal
from agentracer.replay.search import (
    STRATEGIES,
    Earliest,
    Progress,
    SearchState,
    SearchStrategy,
    pilot,
    within_budget,
)
from agentracer.replay.success_curve.curve import Credit
from agentracer.replay.success_curve.find import CurveSearch, find_by_success_curve
from agentracer.replay.success_curve.search import SearchSettings
from agentracer.replay.system import AsyncOracle, OracleFunction, System
from agentracer.replay.trial import SearchProgram
from agentracer.statistics import ALPHA, smallest_sample
from agentracer.store import Store
from agentracer.trace import Label, Trace
from agentracer.usage import Usage
from agentracer.verdict import Candidate, PrefixRate, Verdict, Verification

__all__ = ["Search", "afind_decisive", "find_decisive"]

Ranking: TypeAlias = Sequence[int] | Sequence[Candidate] | Mapping[int, float]
"""Where to look first: an order of steps, the probability of each, or a verdict's candidates."""

CurveStrategy = Literal["adaptive", "exhaustive"]
CURVE_STRATEGIES: tuple[CurveStrategy, ...] = ("adaptive", "exhaustive")
_EXHAUSTIVE = 12  # replays of each prefix

UNSTEADY_REPEATS = 8
"""Replays of each kind for a system that gives another run each time. Chosen by power: eight tell a
correction that helps in four of five runs from a control that succeeds in one of ten."""


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
        success_curve: of a search without an oracle, how often replays succeeded with each prefix
            kept that was tried, shortest first.
        posterior: of such a search, the probability of each answer: a step by its index, "no single
            step" or "never succeeds".
        credits: of such a search, where the chance of success fell or rose.
        usage: what it cost.
        reproducible: whether a rerun without any change gave the same run again; None if untried.
        journal: where the finished replays are kept.
    """

    verdict: Verdict
    proofs: dict[int, Verification] = field(default_factory=dict)
    uncorrected: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    together: list[int] = field(default_factory=list)
    may_have_missed: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    reproducible: bool | None = None
    journal: Path | None = None
    success_curve: tuple[PrefixRate, ...] = ()
    posterior: dict[int | str, float] = field(default_factory=dict)
    credits: tuple[Credit, ...] = ()

    def label(self) -> Label | None:
        """Return the confirmed step as a label of the trace, with the probability of each step.

        Returns:
            None where no step is confirmed. `attributes["probabilities"]` holds the posterior of a
            search without an oracle; other searches give the confirmed step alone.
        """
        verdict = self.verdict
        proof = verdict.verification
        if verdict.agent is None or verdict.step is None or proof is None:
            return None
        if proof.status != "confirmed":
            return None
        shares = {str(k): p for k, p in self.posterior.items() if isinstance(k, int)}
        return Label(
            agent=verdict.agent,
            step=verdict.step,
            reason=verdict.reason or None,
            source="replay",
            attributes={"probabilities": shares or {str(verdict.step): 1.0}},
        )

    @property
    def replays(self) -> int:
        """How many replays it took, those of an interrupted search among them."""
        return self.usage.replays + self.usage.resumed


def find_decisive(
    trace: Trace,
    system: System,
    oracle: OracleFunction | None = None,
    *,
    strategy: SearchStrategy | CurveStrategy | None = None,
    ranking: Ranking = (),
    repeats: int | None = None,
    earliest: Earliest = "together",
    level: float = 0.9,
    workers: int = 1,
    budget: Budget = UNLIMITED,
    resume: bool = True,
    progress: Progress | None = None,
    on_replay: Callable[[Usage], None] | None = None,
) -> Search:
    """Find the step that made a run fail, by replaying it.

    Without an oracle, nothing is needed but the system and its check: the first k steps are kept as
    recorded, the rest runs live, and successes are counted (see `agentracer.replay.success_curve`).
    The step with the largest lasting loss is named if its posterior reaches `level`, and confirmed
    if fresh replays without it succeed more often than with it, by an exact test.

    With an oracle, the earliest step whose correction flips the run is found. A step is confirmed
    only if its correction flips the outcome more often than rerunning it unchanged does, by an
    exact test whose level is shared among all steps, so that luck confirms anything at all in at
    most 5 % of searches.

    Args:
        trace: the failed run, recorded here.
        system: what to run.
        oracle: proposes a minimal correction of a step, or None. Without an oracle, see above.
        strategy: with an oracle `sequential` (the default), `ranked` or `bisect`, see
            `agentracer.replay.search`; without one `adaptive` (the default), or `exhaustive`, which
            replays every prefix `repeats` times (12).
        ranking: where to look first: steps, most suspicious first; the probability of each; or
            `verdict.candidates`, whose probabilities are used where every candidate has one.
        repeats: replays of each kind for a step that flips. None: as few as can confirm anything,
            or 8 where the system turns out not to repeat itself. Never fewer than can confirm.
        level: posterior probability at which the search without an oracle names a step.
        workers: replays that run at once in the search without an oracle: threads, or tasks of an
            async system. The system's runs must not disturb each other.
        earliest: how `ranked` excludes earlier steps: `together` corrects them in one replay;
            `each` tries them one by one, which costs what `sequential` does.
        budget: where to stop.
        resume: go on with a search of the same settings that was interrupted.
        progress: called with each step done with and what it showed (None: nothing to correct).
        on_replay: called after each replay with what was spent so far.

    Raises:
        ValueError: the run did not fail, cannot be replayed, a step of the ranking does not exist,
            or there is no such strategy.
        InvalidSystem: the system cannot be replayed at all: `run` is async, or it raises, or
            `check` raises, whatever is corrected.
    """
    if oracle is None:
        weights = _weighed(ranking)
        curve = _CurveProgram(trace, system, strategy, weights, repeats, level, workers)
        with curve.journal(resume=resume) as journal:
            engine = Engine(trace, system, budget=budget, journal=journal, on_replay=on_replay)
            return curve.result(engine.drive(curve.program()), engine, journal)
    state = _state(trace, strategy, ranking, earliest, progress)
    with _journal(system, state, repeats, resume=resume) as journal:
        engine = Engine(trace, system, oracle, budget=budget, journal=journal, on_replay=on_replay)
        engine.drive(_program(state, system, repeats))
        return _finish(state, engine, journal, system)


async def afind_decisive(
    trace: Trace,
    system: System,
    oracle: OracleFunction | AsyncOracle | None = None,
    *,
    strategy: SearchStrategy | CurveStrategy | None = None,
    ranking: Ranking = (),
    repeats: int | None = None,
    earliest: Earliest = "together",
    level: float = 0.9,
    workers: int = 1,
    budget: Budget = UNLIMITED,
    resume: bool = True,
    progress: Progress | None = None,
    on_replay: Callable[[Usage], None] | None = None,
) -> Search:
    """As `find_decisive`, for a system that is run by awaiting it; the oracle may be async too."""
    if oracle is None:
        weights = _weighed(ranking)
        curve = _CurveProgram(trace, system, strategy, weights, repeats, level, workers)
        with curve.journal(resume=resume) as journal:
            engine = Engine(trace, system, budget=budget, journal=journal, on_replay=on_replay)
            return curve.result(await engine.adrive(curve.program()), engine, journal)
    state = _state(trace, strategy, ranking, earliest, progress)
    with _journal(system, state, repeats, resume=resume) as journal:
        engine = Engine(trace, system, oracle, budget=budget, journal=journal, on_replay=on_replay)
        await engine.adrive(_program(state, system, repeats))
        return _finish(state, engine, journal, system)


@dataclass(frozen=True, slots=True)
class _CurveProgram:
    """A search without an oracle: its settings, its journal and its result."""

    trace: Trace
    system: System
    strategy: str | None
    weights: dict[int, float]
    repeats: int | None
    level: float
    workers: int

    def __post_init__(self) -> None:
        _check_failed(self.trace)
        if self.strategy not in (None, *CURVE_STRATEGIES):
            names = ", ".join(CURVE_STRATEGIES)
            raise ValueError(
                f"strategy {self.strategy!r} needs an oracle; without one: {names}"
                if self.strategy in STRATEGIES
                else f"strategy {self.strategy!r} is none of {names}"
            )
        if not 0.5 <= self.level < 1:
            raise ValueError(f"level must be at least 0.5 and below 1, not {self.level}")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        _check_steps(self.trace, self.weights)

    def program(self) -> SearchProgram:
        """Return what the engine is to carry out."""
        repeats = (self.repeats or _EXHAUSTIVE) if self.strategy == "exhaustive" else None
        settings = SearchSettings(level=self.level, workers=self.workers)
        return find_by_success_curve(
            self.trace,
            weights=self.weights,
            settings=settings,
            repeats=repeats,
            sampling=self.system.sampling,
        )

    def journal(self, *, resume: bool) -> ReplayJournal:
        """Open the journal, with the settings that a resumed search must share."""
        settings: dict[str, Any] = {
            "strategy": self.strategy or "adaptive",
            "repeats": self.repeats,
            "level": self.level,
            **self.system.sampling.values(),
        }
        return _open_journal(self.trace, self.system, self.weights, settings, resume=resume)

    def result(self, found: CurveSearch, engine: Engine, journal: ReplayJournal) -> Search:
        """Return what was found."""
        if found.complete:
            journal.end()
        return Search(
            found.verdict(),
            usage=engine.usage,
            journal=journal.path,
            success_curve=found.rates,
            posterior=found.posterior,
            credits=found.credits,
        )


def _check_failed(trace: Trace) -> None:
    if trace.outcome.success is not False:
        raise ValueError(
            f"trace {trace.id} is not a failed run: its success is {trace.outcome.success}"
        )
    if not trace.replayable:
        raise ValueError(f"trace {trace.id} was imported: it can be attributed but not replayed")


def _check_steps(trace: Trace, weights: Mapping[int, float]) -> None:
    beyond = [step for step in weights if not 0 <= step < len(trace.steps)]
    if beyond:
        raise ValueError(f"the ranking names step {beyond[0]}: the trace has {len(trace.steps)}")


def _state(
    trace: Trace,
    strategy: SearchStrategy | CurveStrategy | None,
    ranking: Ranking,
    earliest: Earliest,
    progress: Progress | None,
) -> SearchState:
    strategy = strategy or "sequential"
    _check_failed(trace)
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy {strategy!r} is none of {', '.join(STRATEGIES)}")
    if earliest not in ("together", "each"):
        raise ValueError(f"earliest {earliest!r} is none of together, each")
    weights = _weighed(ranking)
    _check_steps(trace, weights)
    return SearchState(trace, ExperimentDesign(1), strategy, weights, earliest, progress)


def _weighed(ranking: Ranking) -> dict[int, float]:
    """A ranking with a probability for each step.

    Where only an order is given, each step has half of what the steps before it leave.
    """
    if not isinstance(ranking, Mapping):
        ranking = _by_step(ranking)
    if isinstance(ranking, Mapping):
        wrong = [value for value in ranking.values() if not 0.0 <= value <= 1.0]
        if wrong:
            raise ValueError(f"the ranking gives a step the probability {wrong[0]}")
        return dict(sorted(ranking.items(), key=lambda item: -item[1]))
    return {step: 0.5**place for place, step in enumerate(dict.fromkeys(ranking), start=1)}


def _by_step(ranking: Sequence[int] | Sequence[Candidate]) -> list[int] | dict[int, float]:
    """The steps of a ranking; with their probabilities if these are candidates that have them."""
    candidates = [item for item in ranking if isinstance(item, Candidate)]
    if not candidates:
        steps = list(ranking)
        wrong = next((s for s in steps if not isinstance(s, int) or isinstance(s, bool)), None)
        if wrong is not None:
            raise TypeError(
                f"the ranking holds {type(wrong).__name__}: give step numbers, candidates of a "
                "verdict, or a mapping from step to probability"
            )
        return [step for step in steps if isinstance(step, int)]
    shares: dict[int, float | None] = {}
    for candidate in candidates:
        shares.setdefault(candidate.step, candidate.probability)
    given_shares = {step: share for step, share in shares.items() if share is not None}
    return given_shares if len(given_shares) == len(shares) else list(shares)


def _journal(
    system: System, state: SearchState, repeats: int | None, *, resume: bool
) -> ReplayJournal:
    settings: dict[str, Any] = {
        "strategy": state.strategy,
        "earliest": state.earliest,
        "repeats": repeats,
        "deterministic": system.deterministic,
    }
    return _open_journal(state.trace, system, state.ranking, settings, resume=resume)


def _open_journal(
    trace: Trace,
    system: System,
    ranking: Mapping[int, float],
    settings: dict[str, Any],
    *,
    resume: bool,
) -> ReplayJournal:
    """Open the journal of a trace, with the settings that a resumed search must share."""
    shared = {"version": __version__, "ranking": [list(item) for item in ranking.items()]}
    path = (system.store or Store()).home / "replays" / f"{trace.id}.jsonl"
    return ReplayJournal(path, shared | settings, resume=resume)


def _program(state: SearchState, system: System, repeats: int | None) -> SearchProgram:
    """Choose the design that fits the system, then carry out the strategy."""
    try:
        yield from _choose_design(state, system, repeats)
    except BudgetSpent as error:
        state.stopped = str(error)
        return
    yield from within_budget(state, STRATEGIES[state.strategy](state))


def _choose_design(state: SearchState, system: System, repeats: int | None) -> SearchProgram:
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


def _finish(state: SearchState, engine: Engine, journal: ReplayJournal, system: System) -> Search:
    if state.stopped is None:
        journal.end()
    attempted = set(state.trials) | set(state.uncorrected) | set(state.failed)
    return Search(
        verdict_of(state),
        proofs={step: trial.verification() for step, trial in sorted(state.trials.items())},
        uncorrected=sorted(state.uncorrected),
        skipped=[step for step in state.steps if step not in attempted],
        together=sorted(state.together),
        may_have_missed=list(open_questions(state)),
        usage=engine.usage,
        reproducible=None if system.deterministic else state.design.reproducible,
        journal=journal.path,
    )
