"""Systems of slots: who acts in which order, and which programs could be in each slot.

A `Family` knows its tasks and its slots; a `Plant` is one system of it: some of the slots are open,
each with some of its variants, and the rest is fixed. Running it goes through `act`, so that every
run is a trace that can be attributed and replayed. The same programs, memoised, give the success of
every configuration on every task (`Plant.table`), which only the benchmark itself may look at.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from agentracer.adapters.functions import act

__all__ = ["Call", "Family", "Plant", "Problem", "Program", "draw"]

Call: TypeAlias = tuple[Any, ...]
"""A slot, and what it is given: `("solver", expressions)`."""

Program: TypeAlias = Generator[Call, Any, str]
"""The wiring of a family: yields calls, is sent what came of them, returns the answer."""


@dataclass(frozen=True)
class Problem:
    """One task: its name, the question, what the system is given, and the right answer."""

    id: str
    question: str
    given: str
    answer: str


@dataclass(frozen=True)
class Family:
    """Systems of one kind.

    Attributes:
        name: such as `gsm8k`.
        slots: by slot, by variant, the programs; the first variant of each is a sound one.
        wiring: given a problem, the calls that its run makes.
        right: whether an answer to a problem is right.
        problems: the tasks.
        prepare: told of the answers that are going to be asked about, where checking many together
            is cheaper than one at a time.
    """

    name: str
    slots: Mapping[str, Mapping[str, Callable[..., Any]]]
    wiring: Callable[[Problem], Program]
    right: Callable[[Problem, str], bool]
    problems: Sequence[Problem]
    prepare: Callable[[Sequence[tuple[Problem, str]]], None] | None = None


@dataclass
class Plant:
    """One system.

    Attributes:
        family: its kind.
        options: the open slots, and the variants that each may hold, in the order in which they
            are offered.
        start: the configuration that it begins with.
        tasks: what it has to do.
        slots: what is in each slot now; all open and fixed ones.
    """

    family: Family
    options: dict[str, tuple[str, ...]]
    start: dict[str, str]
    tasks: tuple[Problem, ...]
    slots: dict[str, Callable[..., Any]] = field(default_factory=dict)
    _memo: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Put the start into the slots."""
        for slot, programs in self.family.slots.items():
            name = self.start.get(slot, next(iter(programs)))
            self.slots[slot] = programs[name]

    def run(self, problem: Problem) -> str:
        """Run the system once, through the seam where it is recorded and replayed."""
        calls = self.family.wiring(problem)
        result: Any = None
        try:
            slot, *given = next(calls)
            while True:
                result = act(slot, self.slots[slot], *given)
                slot, *given = calls.send(result)
        except StopIteration as stop:
            return str(stop.value)

    def check(self, problem: Problem, answer: Any) -> bool:
        """Whether the answer is right."""
        return self.family.right(problem, str(answer))

    # -- what only the benchmark may know

    @cached_property
    def configurations(self) -> list[tuple[str, ...]]:
        """All of them, in the order of `options`."""
        return list(itertools.product(*self.options.values()))

    @cached_property
    def table(self) -> dict[tuple[str, ...], tuple[bool, ...]]:
        """Success of every configuration on every task."""
        said = {c: [self.answer(c, task) for task in self.tasks] for c in self.configurations}
        pairs = {
            (task, a) for row in said.values() for task, a in zip(self.tasks, row, strict=True)
        }
        known = [(task, answer) for task, answer in pairs if answer is not None]
        if self.family.prepare is not None:
            self.family.prepare(sorted(known, key=lambda pair: (pair[0].id, pair[1])))
        right = {pair for pair in known if self.family.right(*pair)}
        return {
            c: tuple((t, a) in right for t, a in zip(self.tasks, row, strict=True))
            for c, row in said.items()
        }

    def key(self, names: Mapping[str, str]) -> tuple[str, ...]:
        """A configuration by slot as one of `configurations`."""
        return tuple(names[slot] for slot in self.options)

    def share(self, names: Mapping[str, str]) -> float:
        """Share of the tasks in which a configuration succeeds."""
        row = self.table[self.key(names)]
        return sum(row) / len(row)

    @cached_property
    def best(self) -> float:
        """Share of the tasks in which the best configuration succeeds."""
        return max(sum(row) for row in self.table.values()) / len(self.tasks)

    def answer(self, configuration: tuple[str, ...], problem: Problem) -> str | None:
        """What a run answers, every call taken from memory where it was made before.

        None where a program breaks: a failed run.
        """
        names = dict(zip(self.options, configuration, strict=True))
        calls = self.family.wiring(problem)
        try:
            slot, *given = next(calls)
            while True:
                slot, *given = calls.send(self._call(slot, names.get(slot), given))
        except StopIteration as stop:
            return str(stop.value)
        except Exception:  # noqa: BLE001 - whatever a program breaks with
            return None

    def _call(self, slot: str, name: str | None, given: list[Any]) -> Any:
        programs = self.family.slots[slot]
        name = name if name is not None else next(iter(programs))
        key = slot, name, json.dumps(given, sort_keys=True)
        if key not in self._memo:
            try:
                self._memo[key] = json.loads(json.dumps(programs[name](*given)))
            except Exception as error:  # noqa: BLE001 - raised again each time that it is called
                self._memo[key] = error
        found = self._memo[key]
        if isinstance(found, Exception):
            raise found
        return found


def draw(family: Family, seed: int, *, tasks: int, largest: int = 6_600) -> Plant | None:
    """A random system: 4 to 8 open slots of 3 to 6 variants, tasks, and where it starts.

    A slot in which most variants do as well as any is no choice, so at least half of the variants
    that are drawn into a slot are weak ones (see `weak`). The start is drawn from the
    configurations that succeed in a tenth to six tenths of what the best one reaches: a system that
    works sometimes. None where a draw has no such configuration, or the best one fails half of the
    tasks.
    """
    rng = random.Random(f"{family.name}/{seed}")
    offered = {slot: names for slot, names in weak(family).items() if len(names) >= 2}
    chosen = rng.sample(list(offered), rng.randint(4, min(8, len(offered))))
    sizes = {
        slot: rng.randint(3, min(6, 2 * len(offered[slot]), len(family.slots[slot])))
        for slot in sorted(chosen, key=list(family.slots).index)
    }
    while math.prod(sizes.values()) > largest:
        if max(sizes.values()) == 3:
            return None
        sizes[max(sizes, key=lambda slot: (sizes[slot], slot))] -= 1
    options: dict[str, tuple[str, ...]] = {}
    for slot, size in sizes.items():
        good = [name for name in family.slots[slot] if name not in offered[slot]]
        least = max((size + 1) // 2, size - len(good))
        bad = rng.sample(offered[slot], rng.randint(least, min(len(offered[slot]), size - 1)))
        names = [*bad, *rng.sample(good, size - len(bad))]
        options[slot] = tuple(rng.sample(names, len(names)))
    problems = tuple(rng.sample(list(family.problems), min(tasks, len(family.problems))))
    plant = Plant(family, options, {s: names[0] for s, names in options.items()}, problems)
    low, high = (share * plant.best * len(problems) for share in (0.1, 0.6))
    fitting = [c for c, row in plant.table.items() if low <= sum(row) <= high]
    if plant.best < 0.5 or not fitting:
        return None
    plant.start = dict(zip(options, rng.choice(fitting), strict=True))
    plant.reset()
    return plant


def weak(family: Family) -> dict[str, list[str]]:
    """By slot, the variants that cost a twentieth of the success, all other slots being sound."""
    if family.name not in _WEAK:
        _WEAK[family.name] = _weak_ones(family)
    return _WEAK[family.name]


_SAMPLE = 80
_WEAK: dict[str, dict[str, list[str]]] = {}


def _weak_ones(family: Family) -> dict[str, list[str]]:
    sound = {slot: next(iter(programs)) for slot, programs in family.slots.items()}
    rng = random.Random("weak")
    sample = tuple(rng.sample(list(family.problems), min(_SAMPLE, len(family.problems))))
    found: dict[str, list[str]] = {}
    for slot, programs in family.slots.items():
        options = {s: (name,) for s, name in sound.items()} | {slot: tuple(programs)}
        plant = Plant(family, options, dict(sound), sample)
        shares = {name: plant.share({**sound, slot: name}) for name in programs}
        found[slot] = [n for n, share in shares.items() if share <= 0.95 * max(shares.values())]
    return found
