"""The ways to search for a good configuration, and the result of each search, run by run.

Arms with blame are `agentracer.evolve` with `TryAlternatives` and another tracer each; arms without
blame choose configurations by themselves. A *curve* gives, after each run that was paid for, how
good the configuration is that the arm would use then: by the table that only the benchmark sees.
"""

from __future__ import annotations

import contextlib
import math
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import agentracer
from agentracer.evolution import (
    JointCorrection,
    LastAgent,
    NoFeedback,
    RandomBlame,
    Strategy,
    Team,
    TryAlternatives,
    Verified,
)
from agentracer.evolution.alternatives import Alternatives
from agentracer.evolution.attributors import FailedRun
from agentracer.evolution.posterior import StepObservation
from agentracer.evolution.strategies import ReplaceAgent
from agentracer.store import Store
from agentracer.trace import Trace
from credit.pipeline import Plant

__all__ = ["ARMS", "BANDITS", "CONTROL", "RANDOM", "VERIFIED", "Curve", "Settings", "search"]

CONTROL = "no feedback"
VERIFIED = "verified by replay"
BLIND = "the same by outcomes alone"
SINGLE = "verified, step by step"
RANDOM = "random blame"
BANDITS = ("Thompson sampling", "UCB")


@dataclass
class Curve:
    """How an arm's configuration got better.

    Attributes:
        points: (runs spent, share of the tasks in which the configuration of then succeeds); every
            replay counts as a run.
        fine: as `points`, but a replay counts as the share of the system's steps that really ran,
            and so does every call that an oracle makes of a program.
        rounds: the share after each round, the one before any change first; empty for arms that
            have no rounds.
        replays: of the runs, how many were replays.
    """

    points: list[tuple[int, float]]
    fine: list[tuple[float, float]]
    rounds: list[float]
    replays: int = 0

    def reached(self, mark: float, *, hold: float = 0, fine: bool = False) -> float | None:
        """Runs until the configuration was as good as `mark`; None if it never was.

        Args:
            mark: share of the tasks.
            hold: for how many runs more it has to stay so, not to have come there by a fluke.
            fine: count replays by what of them really ran.
        """
        points: Sequence[tuple[float, float]] = self.fine if fine else self.points
        for number, (runs, share) in enumerate(points):
            later = [s for r, s in points[number:] if r <= runs + hold]
            if share >= mark - 1e-9 and min(later) >= mark - 1e-9:
                return runs
        return None

    def at(self, runs: int) -> float:
        """How good the configuration is after so many runs."""
        return [share for spent, share in self.points if spent <= runs][-1]


@dataclass(frozen=True)
class Settings:
    """What all arms share.

    Attributes:
        budget: runs.
        batch: tasks that are new in a round.
        failures: failed runs that a round looks into.
        seed: of what is drawn.
        per_round: slots that change in one round.
    """

    budget: int
    batch: int
    failures: int
    seed: int
    per_round: int = 1


Arm = Callable[[Plant, Settings], Curve]
"""Given a system and the settings."""


def _blaming(tracer: Callable[[Plant, int], Any]) -> Arm:
    def arm(plant: Plant, settings: Settings) -> Curve:
        return _evolved(plant, tracer(plant, settings.seed), settings)

    return arm


def _options(plant: Plant) -> dict[str, dict[str, Callable[..., Any]]]:
    programs = plant.family.slots
    return {slot: {n: programs[slot][n] for n in names} for slot, names in plant.options.items()}


def _evolved(plant: Plant, tracer: Any, settings: Settings) -> Curve:
    """`evolve`, one round after the other, until the runs are spent or nothing more is proposed."""
    plant.reset()
    options = _options(plant)
    strategy = TryAlternatives(options, plant.slots, per_round=settings.per_round)
    curve = Curve([(0, plant.share(plant.start))], [(0.0, plant.share(plant.start))], [])
    rounds = max(3, settings.budget // settings.batch)
    with tempfile.TemporaryDirectory() as home:
        watch = _Watch(plant, settings.budget, settings.batch)
        with contextlib.suppress(_Spent):
            agentracer.evolve(
                Team(run=lambda _, task: plant.run(task), deterministic=True),
                plant.tasks,
                plant.check,
                tracer,
                rounds=rounds,
                strategy=watch.around(strategy),
                batch=settings.batch,
                failures=settings.failures,
                store=Store(home),
                progress=watch,
            )
    plant.reset()
    curve.points += watch.points
    curve.fine += watch.fine
    curve.rounds = watch.rounds
    curve.replays = watch.replays
    return curve


class _Spent(Exception):
    """The runs are spent."""


class _Watch(Strategy):
    """Notes what an iteration keeps, and what it had spent by then."""

    def __init__(self, plant: Plant, budget: int, batch: int) -> None:
        self._plant, self._budget = plant, budget
        self._whole = math.ceil(len(plant.tasks) / batch)  # rounds until all tasks are seen
        self._cost = agentracer.evolution.Usage()
        self._now = dict(plant.start)
        self._strategy: Any = None
        self._idle = self._before = 0
        self.name = "variant"
        self.points: list[tuple[int, float]] = []
        self.fine: list[tuple[float, float]] = []
        self.rounds: list[float] = []
        self.replays = 0

    def around(self, strategy: TryAlternatives) -> _Watch:
        self._strategy = strategy
        return self

    def propose(self, attributions: Any, state: Any, /) -> Any:
        share = self._plant.share(self._now)
        self.rounds.append(share)
        proposed = self._strategy.propose(attributions, state)
        spent, self._before = self._cost.all_runs - self._before, self._cost.all_runs
        self._idle = 0 if proposed or spent else self._idle + 1
        # The best one cannot be lost any more once a change is held against all tasks.
        best = share >= self._plant.best and len(self.rounds) > self._whole
        over = self._cost.all_runs >= self._budget or self._idle > 10 or best
        if len(self.rounds) > 3 and over:
            raise _Spent
        return proposed

    def on_decision(self, change: Any, _effect: Any, _known: Any, *, kept: bool) -> None:
        if kept and isinstance(change, ReplaceAgent):
            self._now[change.agent] = change.alternative
        self._note()

    def __call__(self, _command: Any, cost: Any) -> None:
        self._cost, self.replays = cost, cost.replays

    def _note(self) -> None:
        share = self._plant.share(self._now)
        whole = len(self._plant.family.slots)
        self.points.append((self._cost.all_runs, share))
        self.fine.append((self._cost.steps / whole, share))


# -- without blame


def _exhaustive(plant: Plant, settings: Settings) -> Curve:
    """Configurations in random order, each on all tasks; the best one so far is used."""
    rng = random.Random(f"exhaustive/{settings.seed}")
    order = rng.sample(plant.configurations, len(plant.configurations))
    best, points, spent = plant.share(plant.start), [(0, plant.share(plant.start))], 0
    for configuration in order:
        spent += len(plant.tasks)
        if spent > settings.budget:
            break
        share = sum(plant.table[configuration]) / len(plant.tasks)
        if share > best:
            best = share
            points.append((spent, best))
    return Curve(points, [(float(r), s) for r, s in points], [])


def _bandit(choose: Callable[[random.Random, list[float], int], float], name: str) -> Arm:
    """A bandit for each slot: every run tries one variant in each, and all share its outcome."""

    def arm(plant: Plant, settings: Settings) -> Curve:
        rng = random.Random(f"{name}/{settings.seed}")
        counts = {(s, v): [1.0, 1.0] for s, names in plant.options.items() for v in names}
        points = [(0, plant.share(plant.start))]
        for run in range(1, settings.budget + 1):
            chosen = tuple(
                max(names, key=lambda v: choose(rng, counts[slot, v], run))
                for slot, names in plant.options.items()
            )
            won = plant.table[chosen][rng.randrange(len(plant.tasks))]
            for slot, variant in zip(plant.options, chosen, strict=True):
                counts[slot, variant][0 if won else 1] += 1
            means = {key: a / (a + b) for key, (a, b) in counts.items()}
            used = {s: max(names, key=lambda v: means[s, v]) for s, names in plant.options.items()}
            share = plant.share(used)
            if share != points[-1][1]:
                points.append((run, share))
        return Curve(points, [(float(r), s) for r, s in points], [])

    return arm


def _thompson(rng: random.Random, outcomes: list[float], _run: int) -> float:
    return rng.betavariate(*outcomes)


def _ucb(rng: random.Random, outcomes: list[float], run: int) -> float:
    tried = sum(outcomes)
    return outcomes[0] / tried + math.sqrt(2 * math.log(run + 1) / tried) + 1e-9 * rng.random()


def _verified(plant: Plant, seed: int) -> Verified:
    """Replays what most of the alternatives would have done, and then what the next most would.

    Where that proves nothing, it blames at random, so that it does not stop there.
    """
    options = _options(plant)
    oracles = [Alternatives(options, rank=rank) for rank in range(2)]
    return Verified(oracles, strategy="sequential", otherwise=RandomBlame(seed))


def _together(plant: Plant, seed: int) -> JointCorrection:
    """Replays what the runs so far make likely, in all slots at once."""
    return JointCorrection(_options(plant), plant.slots, seed=seed)


class _Blind(JointCorrection):
    """The same search by outcomes alone: what it is worth to look into the steps.

    It knows which alternatives were in place, and not what any of them did.
    """

    def _unaffected(self, failure: FailedRun, names: Mapping[str, str]) -> tuple[str, ...]:
        del failure, names
        return ()

    def _evidence(self, trace: Trace) -> Sequence[StepObservation]:
        found: dict[str, StepObservation] = {}
        for step in trace.steps:
            names = {
                program.__name__: n for n, program in self._options.get(step.agent, {}).items()
            }
            if names and step.tool_calls:
                name = names[step.tool_calls[0].name]
                found[step.agent] = StepObservation(
                    step.agent, "", name, {n: (n,) for n in names.values()}
                )
        return list(found.values())


ARMS: Mapping[str, Arm] = {
    VERIFIED: _blaming(_together),
    BLIND: _blaming(lambda plant, seed: _Blind(_options(plant), plant.slots, seed=seed)),
    SINGLE: _blaming(_verified),
    "embedded tracer": _blaming(lambda _, __: None),
    RANDOM: _blaming(lambda _, seed: RandomBlame(seed)),
    "last agent": _blaming(lambda _, __: LastAgent()),
    CONTROL: _blaming(lambda _, __: NoFeedback()),
    "Thompson sampling": _bandit(_thompson, "thompson"),
    "UCB": _bandit(_ucb, "ucb"),
    "exhaustive": _exhaustive,
}


def search(arm: str, plant: Plant, settings: Settings) -> Curve:
    """What an arm comes to on a system."""
    return ARMS[arm](plant, settings)
