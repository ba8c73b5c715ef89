"""Failures known by construction: corrupt one step of a successful run, and replay.

    inject(trace, system, seed=7, operators=operators(["code", "text"])) -> list[LabelledFailure]

A run that succeeded, and now fails with nothing changed but one step, was made to fail by that
step. Corruptions that the team repairs are no failures and are left out.

The traces that come out look like recorded runs: what was answered from the record keeps the times
and token counts of the record, and nothing in a trace but its label says where the error is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentracer.errors import BudgetSpent
from agentracer.replay.budget import UNLIMITED, Budget
from agentracer.replay.design import ExperimentDesign
from agentracer.replay.engine import Engine, signature
from agentracer.replay.operators import Corruption, Operator
from agentracer.replay.operators import operators as all_operators
from agentracer.replay.override import Override, changes_nothing, to_facts, unchanged
from agentracer.replay.stitch import stitch
from agentracer.replay.system import System
from agentracer.replay.trial import ReplayRequest, ReplayResult, SearchProgram
from agentracer.statistics import ALPHA, smallest_sample
from agentracer.store import Store
from agentracer.trace import Label, Trace
from agentracer.usage import Usage

__all__ = ["LabelledFailure", "ainject", "inject"]


@dataclass(frozen=True, slots=True)
class LabelledFailure:
    """A failed run whose decisive error is known.

    Attributes:
        trace: the run, its label in `trace.labels`. Its id is that of the replay in the store.
        label: agent, step and reason; `source` is `injection`, and the attributes say which
            operator it was and which run was corrupted.
        operator: name of the operator.
        override: the corruption; replaying the source with it fails again.
        source: id of the successful run.
        failures: replays with the corruption that failed, of `replays`.
        control_failures: replays without it that failed, of `control_replays`.
    """

    trace: Trace
    label: Label
    operator: str
    override: Override
    source: str
    failures: int
    replays: int
    control_failures: int
    control_replays: int


def inject(
    trace: Trace,
    system: System,
    *,
    seed: int,
    operators: Sequence[Operator] | None = None,
    limit: int | None = None,
    attempts: int | None = None,
    steps: Sequence[int] | None = None,
    repeats: int | None = None,
    budget: Budget = UNLIMITED,
    on_replay: Callable[[Usage], None] | None = None,
) -> list[LabelledFailure]:
    """Corrupt steps of a successful run, one at a time, and keep the runs that fail.

    Args:
        trace: a run that succeeded, recorded here.
        system: what to run.
        seed: decides which steps are corrupted, how, and in which order.
        operators: what may go wrong; all registered ones if None.
        limit: how many failures to make at most.
        attempts: how many corruptions to try at most.
        steps: which steps may be corrupted; any if None.
        repeats: replays with and without the corruption. None: one of each where the system repeats
            itself (one control for all), else as many as show that the corruption matters.
        budget: where to stop.
        on_replay: called after each replay with what was spent so far.

    Returns:
        The failures, in the order in which they were made.

    Raises:
        ValueError: the run did not succeed, or cannot be replayed.
    """
    plan = _plan(trace, system, seed, operators, limit, attempts, steps, repeats)
    made: list[_InjectedFailure] = Engine(trace, system, budget=budget, on_replay=on_replay).drive(
        plan
    )
    return list(_labelled(trace, system, made))


async def ainject(
    trace: Trace,
    system: System,
    *,
    seed: int,
    operators: Sequence[Operator] | None = None,
    limit: int | None = None,
    attempts: int | None = None,
    steps: Sequence[int] | None = None,
    repeats: int | None = None,
    budget: Budget = UNLIMITED,
    on_replay: Callable[[Usage], None] | None = None,
) -> list[LabelledFailure]:
    """As `inject`, for a system that is run by awaiting it."""
    plan = _plan(trace, system, seed, operators, limit, attempts, steps, repeats)
    engine = Engine(trace, system, budget=budget, on_replay=on_replay)
    made: list[_InjectedFailure] = await engine.adrive(plan)
    return list(_labelled(trace, system, made))


def corruptions(
    trace: Trace,
    *,
    seed: int,
    operators: Sequence[Operator] | None = None,
    steps: Sequence[int] | None = None,
) -> Iterator[tuple[Operator, Corruption]]:
    """What would be tried on a run, in order, without trying it.

    Families take turns, so that a run with much code is not corrupted in its code only.
    """
    chosen = all_operators() if operators is None else operators
    record_signature = signature(trace)
    within = range(len(trace.steps)) if steps is None else steps
    seen: set[str] = set()
    for operator, step in _turns(chosen, within, _chance(seed, record_signature)):
        if trace.steps[step].kind not in ("llm", "tool"):
            continue
        proposed = operator(trace, step, _chance(seed, record_signature, step, operator.name))
        if proposed is None or not _fits(trace, proposed.override):
            continue
        facts = repr(to_facts(proposed.override))
        if facts not in seen:
            seen.add(facts)
            yield operator, proposed


def _fits(trace: Trace, override: Override) -> bool:
    """Whether an override can be made, and makes a difference; operators may be anybody's."""
    try:
        override.check(trace)
    except ValueError:
        return False
    return not changes_nothing(trace, override)


def _chance(*key: object) -> random.Random:
    """Chance that depends on the key and nothing else: not on what was drawn before."""
    return random.Random("/".join(map(str, key)))  # noqa: S311 - test data, not secrets


def _turns(
    operators: Sequence[Operator], steps: Sequence[int], rng: random.Random
) -> Iterator[tuple[Operator, int]]:
    if not steps:
        return
    families: dict[str, list[tuple[Operator, int]]] = {}
    for operator in operators:
        waiting = families.setdefault(operator.name.partition(".")[0], [])
        waiting += [(operator, step) for step in steps]
    for waiting in families.values():
        rng.shuffle(waiting)
    while families:
        for family in rng.sample(sorted(families), len(families)):
            yield families[family].pop()
            if not families[family]:
                del families[family]


@dataclass(frozen=True, slots=True)
class _InjectedFailure:
    operator: Operator
    corruption: Corruption
    results: tuple[ReplayResult, ...]
    controls: tuple[ReplayResult, ...]


def _plan(
    trace: Trace,
    system: System,
    seed: int,
    operators: Sequence[Operator] | None,
    limit: int | None,
    attempts: int | None,
    steps: Sequence[int] | None,
    repeats: int | None,
) -> SearchProgram:
    if trace.outcome.success is not True:
        raise ValueError(f"trace {trace.id} is not a successful run: there is nothing to spoil")
    if not trace.replayable:
        raise ValueError(f"trace {trace.id} was imported, so it cannot be replayed")
    proposals = corruptions(trace, seed=seed, operators=operators, steps=steps)
    return _tries(trace, system, proposals, limit, attempts, repeats)


def _tries(
    trace: Trace,
    system: System,
    proposals: Iterator[tuple[Operator, Corruption]],
    limit: int | None,
    attempts: int | None,
    repeats: int | None,
) -> Generator[ReplayRequest, ReplayResult, list[_InjectedFailure]]:
    made: list[_InjectedFailure] = []
    tried = 0
    try:
        shared = yield from _shared_control(trace, system)
        size = repeats or (1 if shared else smallest_sample(ALPHA))
        for operator, corruption in proposals:
            if tried == attempts or len(made) == limit:
                break
            tried += 1
            failure = yield from _try(trace, operator, corruption, size, shared)
            if failure is not None:
                made.append(failure)
    except BudgetSpent:
        pass
    return made


def _shared_control(
    trace: Trace, system: System
) -> Generator[ReplayRequest, ReplayResult, list[ReplayResult]]:
    """One replay of everything without a change, which serves all where the system repeats itself.

    Empty where it does not: then every corruption needs controls of its own.
    """
    first = next((step.index for step in trace.steps if step.kind == "llm"), None)
    if first is None or system.deterministic is False:
        return []
    control = yield ReplayRequest((unchanged(trace, first),), "control")
    same = not control.problems and control.success is True
    alike = system.deterministic or control.signature == signature(trace)
    return [control] if same and alike else []


def _try(
    trace: Trace, operator: Operator, corruption: Corruption, size: int, shared: list[ReplayResult]
) -> Generator[ReplayRequest, ReplayResult, _InjectedFailure | None]:
    """Replay one corruption; None unless every replay fails, and fails because of it."""
    override = corruption.override
    results: list[ReplayResult] = []
    controls = list(shared)
    while len(results) < size:
        result = yield ReplayRequest((override,), "injection")
        if result.success is not False or result.problems:
            return None
        results.append(result)
    while not shared and len(controls) < size:
        control = yield ReplayRequest((unchanged(trace, override.step, override),), "control")
        if control.problems:
            return None
        controls.append(control)
    fails = sum(control.success is False for control in controls)
    if not shared and not ExperimentDesign(size).confirms(
        len(results), len(results), fails, len(controls)
    ):
        return None
    return _InjectedFailure(operator, corruption, tuple(results), tuple(controls))


def _labelled(
    trace: Trace, system: System, made: list[_InjectedFailure]
) -> Iterator[LabelledFailure]:
    for failure in made:
        override = failure.corruption.override
        attributes: dict[str, Any] = {"operator": failure.operator.name, "source": trace.id}
        store = system.store or Store()
        failed, at = stitch(store.load(failure.results[0].trace), trace, override)
        label = Label(
            agent=trace.steps[override.step].agent,
            step=at,
            reason=failure.corruption.reason,
            source="injection",
            attributes=attributes,
        )
        yield LabelledFailure(
            trace=failed.model_copy(update={"labels": (label,)}),
            label=label,
            operator=failure.operator.name,
            override=override,
            source=trace.id,
            failures=sum(result.success is False for result in failure.results),
            replays=len(failure.results),
            control_failures=sum(control.success is False for control in failure.controls),
            control_replays=len(failure.controls),
        )
