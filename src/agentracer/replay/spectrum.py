"""Which agents and actions go with failure: spectrum-based fault localisation over reruns.

For a system that may simply be run again, no oracle is needed. The steps of a failed run are ranked
by how often what they did occurs in reruns that fail and in reruns that pass (FAMAS,
arXiv 2509.13782). The score of an action is

    alpha * K * (1 + beta) * (1 + gamma)

    K      Kulczynski2 over the runs, (f / F + f / (f + p)) / 2, where f and p are the failing and
           passing runs that have the action, and F is all failing runs. An action that occurs
           several times in a run counts 1 + 0.9 + 0.81 + ..., as a share of what that could be.
    alpha  the share of the failing runs in which the action's agent takes part
    beta   the share of the action among all actions of its agent, in failing runs
    gamma  the share of the action among all actions of the failed run itself

The form and the decay of 0.9 are the paper's; the factors are our reading of its words. FAMAS has a
large model put steps into words that can be counted. Here two steps are the same action if agent
and tools are the same and their texts share most of their words; pass `action` to say otherwise.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agentracer.errors import BudgetSpent
from agentracer.replay.budget import UNLIMITED, Budget
from agentracer.replay.engine import Engine
from agentracer.replay.policy import LIVE, ToolPolicy
from agentracer.replay.system import System
from agentracer.replay.trial import ReplayRequest, ReplayResult, SearchProgram
from agentracer.store import Store
from agentracer.trace import Step, Trace
from agentracer.usage import Usage

__all__ = ["Spectrum", "Suspicion", "aspectrum", "spectrum"]

DECAY: Final = 0.9
ALIKE: Final = 0.6
"""Share of words that two texts of one action have in common at least."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """How much a step goes with failure.

    Attributes:
        step: index in the failed run.
        agent: who took it.
        score: see the module.
        failing: failing runs in which its action occurs.
        passing: passing runs in which it does.
    """

    step: int
    agent: str
    score: float
    failing: int
    passing: int


@dataclass(slots=True)
class Spectrum:
    """What reruns show.

    Attributes:
        trace: the failed run whose steps are ranked; None if no run failed.
        steps: all of its steps, most suspicious first.
        agents: the highest score of each agent's steps, highest first.
        failing: runs that failed, the ranked one among them.
        passing: runs that succeeded.
        usage: what it cost.
        note: what keeps the ranking from saying much, if anything does.
    """

    trace: Trace | None
    steps: list[Suspicion] = field(default_factory=list)
    agents: dict[str, float] = field(default_factory=dict)
    failing: int = 0
    passing: int = 0
    usage: Usage = field(default_factory=Usage)
    note: str = ""

    @property
    def ranking(self) -> list[int]:
        """The steps, most suspicious first, as `find_decisive(ranking=...)` takes them."""
        return [suspicion.step for suspicion in self.steps]


def spectrum(
    run: Callable[[], Any],
    check: Callable[[Any], Any],
    n: int = 20,
    *,
    trace: Trace | None = None,
    store: Store | None = None,
    policy: ToolPolicy = LIVE,
    action: Callable[[Step], Hashable] | None = None,
    budget: Budget = UNLIMITED,
    on_replay: Callable[[Usage], None] | None = None,
) -> Spectrum:
    """Run a system n times, from scratch, and rank the steps of a failed run.

    Args:
        run: runs the system once, from the task, on fresh or reset objects.
        check: given what `run` returned, says whether it succeeded.
        n: how many times; FAMAS uses 20.
        trace: the failed run to rank; the first rerun that fails, if None.
        store: where the new traces go.
        policy: which tools may really run.
        action: what a step did, as something that can be compared; see the module.
        budget: where to stop; the ranking then rests on fewer runs.
        on_replay: called after each run with what was spent so far.

    Raises:
        ValueError: `trace` is not a failed run.
    """
    system = System(run, check, store, policy)
    engine = Engine(_failed(trace), system, budget=budget, on_replay=on_replay)
    return _ranked(trace, engine.drive(_reruns(n)), system, action, engine.usage)


async def aspectrum(
    run: Callable[[], Any],
    check: Callable[[Any], Any],
    n: int = 20,
    *,
    trace: Trace | None = None,
    store: Store | None = None,
    policy: ToolPolicy = LIVE,
    action: Callable[[Step], Hashable] | None = None,
    budget: Budget = UNLIMITED,
    on_replay: Callable[[Usage], None] | None = None,
) -> Spectrum:
    """As `spectrum`, for a system that is run by awaiting it."""
    system = System(run, check, store, policy)
    engine = Engine(_failed(trace), system, budget=budget, on_replay=on_replay)
    return _ranked(trace, await engine.adrive(_reruns(n)), system, action, engine.usage)


def _failed(trace: Trace | None) -> Trace | None:
    if trace is not None and trace.outcome.success is not False:
        raise ValueError(f"trace {trace.id} is not a failed run")
    return trace


def _reruns(n: int) -> SearchProgram:
    results: list[ReplayResult] = []
    try:
        for _ in range(n):
            results.append((yield ReplayRequest((), "rerun")))  # noqa: PERF401 - ends where the budget does
    except BudgetSpent:
        pass
    return results


def _ranked(
    trace: Trace | None,
    results: Sequence[ReplayResult],
    system: System,
    action: Callable[[Step], Hashable] | None,
    usage: Usage,
) -> Spectrum:
    usable = [result for result in results if result.success is not None and result.trace]
    store = system.store or Store()
    failing = [store.load(result.trace) for result in usable if not result.success]
    passing = [store.load(result.trace) for result in usable if result.success]
    if trace is None:
        if not failing:
            note = "no run failed, so there is nothing to rank"
            return Spectrum(None, passing=len(passing), usage=usage, note=note)
        trace = failing[0]
    else:
        failing = [trace, *failing]
    kinds = _Kinds(action)
    failed_counts = [kinds.counts(run) for run in failing]
    passed_counts = [kinds.counts(run) for run in passing]
    own = kinds.counts(trace)
    suspicions = [
        _suspicion(step, kinds.of(step), own, failed_counts, passed_counts) for step in trace.steps
    ]
    suspicions.sort(key=lambda suspicion: (-suspicion.score, suspicion.step))
    agents: dict[str, float] = {}
    for suspicion in suspicions:
        agents.setdefault(suspicion.agent, suspicion.score)
    note = "" if passing else "no run passed: the ranking cannot tell causes from habits"
    return Spectrum(trace, suspicions, agents, len(failing), len(passing), usage, note)


Kind = tuple[str, Hashable]
"""An agent and what it did."""


def _suspicion(
    step: Step, kind: Kind, own: Counter[Kind], failing: list[Counter[Kind]],
    passing: list[Counter[Kind]],
) -> Suspicion:  # fmt: skip
    agent = step.agent
    most = max(run[kind] for run in (*failing, *passing, own))
    f = sum(_weight(run[kind], most) for run in failing)
    p = sum(_weight(run[kind], most) for run in passing)
    kulczynski = (f / len(failing) + (f / (f + p) if f else 0.0)) / 2
    takes_part = sum(any(who == agent for who, _ in run) for run in failing) / len(failing)
    of_agent = sum(n for run in failing for (who, _), n in run.items() if who == agent)
    frequency = sum(run[kind] for run in failing) / of_agent if of_agent else 0.0
    locally = own[kind] / sum(own.values())
    return Suspicion(
        step=step.index,
        agent=agent,
        score=takes_part * kulczynski * (1 + frequency) * (1 + locally),
        failing=sum(run[kind] > 0 for run in failing),
        passing=sum(run[kind] > 0 for run in passing),
    )


def _weight(times: int, most: int) -> float:
    """Repetitions in one run, each worth less, as a share of what the most frequent run has."""
    return (1 - DECAY**times) / (1 - DECAY**most) if most else 0.0


class _Kinds:
    """Puts steps that did the same together: the first of them stands for all."""

    def __init__(self, action: Callable[[Step], Hashable] | None) -> None:
        self._action = action
        self._known: dict[tuple[str, str], list[frozenset[str]]] = {}

    def of(self, step: Step) -> Kind:
        if self._action is not None:
            return step.agent, self._action(step)
        requests = [[call.name, call.arguments] for call in step.tool_calls]
        tools = json.dumps(requests, sort_keys=True)
        words = frozenset(re.findall(r"\w+", step.content.lower()))
        group = self._known.setdefault((step.agent, tools), [])
        for position, known in enumerate(group):
            if _share(known, words) >= ALIKE:
                return step.agent, (tools, position)
        group.append(words)
        return step.agent, (tools, len(group) - 1)

    def counts(self, run: Trace) -> Counter[Kind]:
        return Counter(self.of(step) for step in run.steps)


def _share(one: frozenset[str], two: frozenset[str]) -> float:
    return len(one & two) / len(one | two) if one or two else 1.0
