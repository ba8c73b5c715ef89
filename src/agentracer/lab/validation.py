"""Hold the proof without an oracle to failures of which the truth is known.

*Planted faults*: teams of each installed framework solve a problem; one step of a run that
succeeded is corrupted, by an operator of each family of `agentracer.replay.operators`, so that the
run fails. The model of the replays errs at random, as a real one does. The proof has to name the
planted step.

*Controls*: runs without a decisive step, of a system of plain functions whose success curve is
known exactly: a check that decides by chance, a chance that declines a little with every step, a
system that never succeeds. No step may be confirmed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from math import comb
from pathlib import Path
from typing import Any, Final, Literal

import agentracer
from agentracer.adapters.functions import act
from agentracer.lab.testbed.rosters import Topology
from agentracer.lab.testbed.scenarios import Scenario, scenario
from agentracer.lab.testbed.systems import FRAMEWORKS, TeamHost, load_domain
from agentracer.replay import System, find_decisive, inject
from agentracer.replay.operators import operators
from agentracer.replay.prefix import answer_order
from agentracer.replay.success_curve.definition import decisive_step, lasting_losses
from agentracer.statistics import wilson
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = ["CONTROLS", "FAMILIES", "Case", "Result", "Validation", "controls", "faults", "validate"]

FAMILIES: Final = ("code", "text", "tool_call", "tool_result", "orchestration")
"""Families of operators; a fault of each is planted in each framework."""

CONTROLS: Final = 21
"""How many controls there are, a third of each kind."""

MOST_CONFIRMED_CONTROLS: Final = 1
"""More confirmed controls than this, and the proof does not hold."""

_MODULES: Final = {"langgraph": "langgraph", "autogen": "autogen_agentchat", "camel": "camel"}
_ERROR_RATE: Final = 0.1  # share of the replays in which the scripted model makes a mistake
_MOST_GOALS: Final = 3  # short runs, so that the whole takes less than a minute
_SEEDS: Final = 12  # problems tried until an operator of a family applies

Kind = Literal["fault", "control"]


@dataclass(frozen=True, slots=True)
class Case:
    """A failed run of which the truth is known.

    Attributes:
        kind: whether a fault was planted.
        name: framework and operator, or what kind of control it is.
        trace: the failed run.
        system: what is replayed.
        step: the planted step; None for a control.
    """

    kind: Kind
    name: str
    trace: Trace
    system: System
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What the proof said of a case.

    Attributes:
        kind: see `Case`.
        name: see `Case`.
        planted: the planted step; None for a control.
        named: the step that the verdict names; None where it abstains.
        status: of the verification; empty where the verdict abstains.
        replays: how many it took.
        seconds: how long it took.
        reason: why it abstains, or what the counts are.
    """

    kind: Kind
    name: str
    planted: int | None
    named: int | None
    status: str
    replays: int
    seconds: float
    reason: str

    @property
    def confirmed(self) -> bool:
        """Whether a step was confirmed."""
        return self.status == "confirmed"


@dataclass(frozen=True, slots=True)
class Validation:
    """The results of all cases.

    Attributes:
        results: one for each case.
        missing: frameworks that are not installed, and faults that no run could be given.
        seconds: how long everything took.
    """

    results: tuple[Result, ...]
    missing: tuple[str, ...]
    seconds: float

    @property
    def faults(self) -> list[Result]:
        """The results of the planted faults."""
        return [result for result in self.results if result.kind == "fault"]

    @property
    def controls(self) -> list[Result]:
        """The results of the controls."""
        return [result for result in self.results if result.kind == "control"]

    @property
    def right(self) -> list[Result]:
        """The faults of which the planted step was named."""
        return [result for result in self.faults if result.named == result.planted]

    @property
    def confirmed_controls(self) -> list[Result]:
        """The controls in which a step was confirmed."""
        return [result for result in self.controls if result.confirmed]

    @property
    def holds(self) -> bool:
        """Whether at most one control was confirmed, and 80 % of the planted steps were named."""
        named = not self.faults or len(self.right) >= 0.8 * len(self.faults)
        return named and len(self.confirmed_controls) <= MOST_CONFIRMED_CONTROLS

    def lines(self) -> Iterator[str]:
        """Yield the summary as text."""
        for name, found, results in (
            ("planted step named", self.right, self.faults),
            ("planted step confirmed", [r for r in self.right if r.confirmed], self.faults),
            ("controls with a confirmed step", self.confirmed_controls, self.controls),
        ):
            low, high = wilson(len(found), len(results)) if results else (0.0, 1.0)
            interval = f"95 % interval {low:.0%} to {high:.0%}"
            yield f"{name}: {len(found)} of {len(results)} ({interval})"
        for missing in self.missing:
            yield f"not validated: {missing}"

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        return {
            "holds": self.holds,
            "faults": len(self.faults),
            "named": len(self.right),
            "controls": len(self.controls),
            "confirmed_controls": len(self.confirmed_controls),
            "missing": list(self.missing),
            "seconds": round(self.seconds, 1),
            "results": [asdict(result) for result in self.results],
        }


def validate(
    *,
    frameworks: Sequence[str] | None = None,
    families: Sequence[str] = FAMILIES,
    count: int = CONTROLS,
    seed: int = 0,
    on_result: Callable[[Result], None] | None = None,
) -> Validation:
    """Prove planted faults and controls, and count how often the proof is right.

    Args:
        frameworks: of the faults; all that are installed if None.
        families: of operators, a fault of each in each framework.
        count: how many controls.
        seed: selects problems, faults and chance.
        on_result: called with each result.
    """
    began = time.monotonic()
    installed = [name for name in FRAMEWORKS if importlib.util.find_spec(_MODULES[name])]
    chosen = [name for name in (frameworks or FRAMEWORKS) if name in installed]
    missing = [f"{name} is not installed" for name in FRAMEWORKS if name not in installed]
    results = []
    with tempfile.TemporaryDirectory(prefix="agentracer-validate-") as folder:
        for case in chain(
            controls(Path(folder), count, seed),
            faults(Path(folder), chosen, families, seed, missing),
        ):
            results.append(_prove(case))
            if on_result is not None:
                on_result(results[-1])
    return Validation(tuple(results), tuple(missing), time.monotonic() - began)


def _prove(case: Case) -> Result:
    began = time.monotonic()
    search = find_decisive(case.trace, case.system)
    verdict = search.verdict
    proof = verdict.verification
    return Result(
        kind=case.kind,
        name=case.name,
        planted=case.step,
        named=verdict.step,
        status=proof.status if proof is not None else "",
        replays=search.replays,
        seconds=round(time.monotonic() - began, 2),
        reason=(verdict.abstain_reason if verdict.abstained else verdict.reason) or "",
    )


# -- planted faults


def faults(
    folder: Path,
    frameworks: Sequence[str],
    families: Sequence[str],
    seed: int,
    missing: list[str],
) -> Iterator[Case]:
    """Plant a fault of each family in a team of each framework.

    Args:
        folder: where traces are kept.
        frameworks: of the teams; they are instrumented.
        families: of operators.
        seed: selects problems and faults.
        missing: gets a line for each fault that no run could be given.
    """
    for framework in frameworks:
        agentracer.instrument(framework)
        with contextlib.ExitStack() as hosts:
            teams = {
                domain: hosts.enter_context(TeamHost(load_domain(domain), framework))
                for domain in {_domain_of(family) for family in families}
            }
            for family in families:
                store = Store(folder / framework / family)
                case = _planted(teams[_domain_of(family)], framework, family, store, seed)
                if case is None:
                    missing.append(f"{framework}: no operator of the family {family} applies")
                else:
                    yield case


def _domain_of(family: str) -> str:
    return "coding" if family == "code" else "math"


def _topology_of(family: str) -> Topology:
    return "hub" if family == "orchestration" else "pipeline"  # a manager hands the work over


def _planted(host: TeamHost, framework: str, family: str, store: Store, seed: int) -> Case | None:
    """The first run that fails once an operator of the family has corrupted a step of it."""
    problems = [p for p in host.domain.problems() if len(p.goals) <= _MOST_GOALS]
    topology = _topology_of(family)
    for number in range(seed, seed + _SEEDS):
        rng = random.Random(f"{framework} {family} {number}")  # noqa: S311 - no secrets
        problem = rng.choice(problems)
        clean = scenario(host.domain, topology, problem, number, "clean", framework)
        if clean is None:
            continue
        team = _Team(host, topology, clean, number, store)
        made = inject(
            team.record(),
            team.system(error_rate=0.0),
            seed=number,
            operators=operators([family]),
            limit=1,
            attempts=3,
        )
        if made:
            failure = made[0]
            name = f"{framework}, {failure.operator}"
            system = team.system(error_rate=_ERROR_RATE)
            return Case("fault", name, failure.trace, system, failure.label.step)
    return None


class _Team:
    """A team at one problem, with a model that may err at random."""

    def __init__(
        self, host: TeamHost, topology: Topology, clean: Scenario, seed: int, store: Store
    ) -> None:
        self._host, self._clean, self._seed, self._store = host, clean, seed, store
        self._team = host.team(topology, 0)
        self._rng = random.Random(seed)  # noqa: S311 - no secrets
        mistakes = (
            scenario(host.domain, topology, clean.problem, other, "single", host.framework)
            for other in range(seed, seed + 4)
        )
        self._mistakes = [mistake for mistake in mistakes if mistake is not None]

    def record(self) -> Trace:
        """Record a run without mistakes."""
        problem = self._clean.problem
        with agentracer.record(
            task=problem.question, ground_truth=problem.answer, check=self.check, store=self._store
        ) as run:
            run.result = self._solve(self._clean)
        return run.trace

    def system(self, *, error_rate: float) -> System:
        """What is replayed; the model makes a mistake in so many of the runs."""

        def run() -> str:
            errs = self._mistakes and self._rng.random() < error_rate
            return self._solve(self._rng.choice(self._mistakes) if errs else self._clean)

        return System(
            run, self.check, self._store, deterministic=True if error_rate == 0.0 else None
        )

    def check(self, answer: str) -> bool:
        """Whether an answer is right."""
        return self._host.domain.check(self._clean.problem, answer)

    def _solve(self, chosen: Scenario) -> str:
        self._host.set_policy(chosen.policy(self._host.domain, self._seed))
        return self._team.solve(self._clean.problem)


# -- controls


def controls(folder: Path, count: int, seed: int) -> Iterator[Case]:
    """Make runs that failed without a decisive step, a third of each kind."""
    makers = (_decided_by_chance, _slow_decline, _never)
    for number in range(count):
        rng = random.Random(f"control {seed} {number}")  # noqa: S311 - no secrets
        yield makers[number % len(makers)](rng, Store(folder / f"control-{number}"))


def _decided_by_chance(rng: random.Random, store: Store) -> Case:
    """The check tosses a coin, whatever the agents wrote."""
    rate = rng.uniform(0.2, 0.7)
    row = _AgentRow(rng, length=rng.choice((6, 9)), error_rate=0.5)
    return Case("control", "decided by chance", *row.failed(lambda _: rng.random() < rate, store))


def _never(rng: random.Random, store: Store) -> Case:
    """No run is ever right."""
    row = _AgentRow(rng, length=rng.choice((6, 9)), error_rate=0.5)
    return Case("control", "never succeeds", *row.failed(lambda _: False, store))


def _slow_decline(rng: random.Random, store: Store) -> Case:
    """Each error lowers the chance a little: the run fails if there are too many of them."""
    allowed = rng.choice((3, 4))
    row = _AgentRow(rng, length=9, error_rate=0.45)
    while True:
        trace, system = row.failed(lambda errors: errors <= allowed, store)
        curve = row.success_curve(trace, allowed)
        losses = lasting_losses(curve)
        if decisive_step(curve) is None and max(losses) <= 0.35 * sum(losses):
            return Case("control", "slow decline", trace, system)


class _AgentRow:
    """Agents in a row, each of which errs at random; what they hand on is the number of errors."""

    def __init__(self, rng: random.Random, *, length: int, error_rate: float) -> None:
        self._rng, self._length, self._error_rate = rng, length, error_rate

    def run(self) -> int:
        """Run all agents; returns the number of errors."""
        errors = 0
        for position in range(self._length):
            errors = act(f"agent {position}", self._work, errors)
        return errors

    def _work(self, errors: int) -> int:
        return errors + (self._rng.random() < self._error_rate)

    def failed(self, check: Callable[[int], bool], store: Store) -> tuple[Trace, System]:
        """Run until it fails; returns the run and what is replayed."""
        while True:
            with agentracer.record("work in a row", check=check, store=store) as run:
                run.result = self.run()
            if run.trace.outcome.success is False:
                return run.trace, System(self.run, check, store)

    def success_curve(self, trace: Trace, allowed: int) -> list[float]:
        """Compute V(k) of a run exactly, where a run succeeds with so many errors at most."""
        counts = [0] + [int(str(trace.steps[i].tool_calls[0].result)) for i in answer_order(trace)]
        return [
            sum(
                comb(left, more) * self._error_rate**more * (1 - self._error_rate) ** (left - more)
                for more in range(min(left, allowed - errors) + 1)
            )
            for errors, left in zip(counts, range(self._length, -1, -1), strict=True)
        ]
