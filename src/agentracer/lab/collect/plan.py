"""Plan the runs to make: a list that depends on the seed only, so any worker may make any item.

Tasks are split into train and test here; nothing is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from agentracer.lab.testbed.problems import Domain, Problem, pick, rank
from agentracer.lab.testbed.rosters import TOPOLOGIES, Topology
from agentracer.lab.testbed.scenarios import Pattern, Scenario, scenario
from agentracer.lab.testbed.systems import load_domain

__all__ = ["Item", "Split", "items", "resolve", "split_of"]

Split = Literal["train", "test"]

TEST_SHARE = 0.1
"""Of the runs, as in the paper (9:1); a tenth of the tasks is held out for them."""

# How often each pattern is meant to come, in parts of 100. Where a topology has no such run (a
# pipeline has no checker), the next pattern takes its place.
_SHARES: tuple[tuple[Pattern, int], ...] = (
    ("clean", 12),
    ("repaired", 7),
    ("harmless", 5),
    ("single", 24),
    ("missed", 20),
    ("alarm", 10),
    ("decoy", 17),
    ("two", 5),
)
_TRIES = 16
_CHOOSY = 12


@dataclass(frozen=True, slots=True)
class Item:
    """One run to make and label.

    Attributes:
        index: its place in the plan.
        domain: see `agentracer.lab.testbed.systems.DOMAINS`.
        framework: see `agentracer.lab.testbed.systems.FRAMEWORKS`.
        topology: see `agentracer.lab.testbed.rosters.TOPOLOGIES`.
        seed: where all chance of the run comes from.
    """

    index: int
    domain: str
    framework: str
    topology: Topology
    seed: int

    def to_json(self) -> dict[str, Any]:
        """The item as JSON data."""
        return asdict(self)


def items(
    domains: Sequence[str],
    frameworks: Sequence[str],
    n: int,
    seed: int,
    topologies: Sequence[Topology] = TOPOLOGIES,
) -> Iterator[Item]:
    """The first `n` items of the plan; a longer plan begins with the same ones.

    Domains, frameworks and topologies take turns, so that every stretch of the plan has them all.
    """
    for index in range(n):
        turn, framework = divmod(index, len(frameworks))
        turn, topology = divmod(turn, len(topologies))
        number = int.from_bytes(rank("collect", seed, index)[:6])
        yield Item(
            index,
            domains[turn % len(domains)],
            frameworks[framework],
            topologies[topology],
            number,
        )


def split_of(domain: Domain, problem: Problem) -> Split:
    """Train or test, by task."""
    return "test" if domain.held_out.intersection(problem.tasks) else "train"


def resolve(item: Item, data: Path | None) -> tuple[Domain, Scenario]:
    """The run that an item stands for.

    Raises:
        ValueError: no problem of the domain has a run for this item.
    """
    domain, sides = _by_split(item.domain, data)
    tenths = int.from_bytes(rank("split", item.seed)[:4]) / 2**32
    problems = sides["test" if tenths < TEST_SHARE else "train"]
    shares = [pattern for pattern, share in _SHARES for _ in range(share)]
    for attempt in range(_TRIES):
        problem = pick(problems, item.seed, "problem", attempt)
        if attempt < _CHOOSY and not _fits(problem, item.topology):
            continue
        for retry in range(4):
            pattern = pick(shares, item.seed, "pattern", attempt, retry)
            run = scenario(domain, item.topology, problem, item.seed, pattern, item.framework)
            if run is not None:
                return domain, run
    raise ValueError(f"no run for item {item.index} ({item.domain}, {item.topology})")


def _fits(problem: Problem, topology: Topology) -> bool:
    """Whether a run has about 5 to 60 steps."""
    goals = len(problem.goals)
    return goals <= 10 if topology == "hub" else goals >= 3 or topology != "pipeline"


@lru_cache(maxsize=8)
def _by_split(name: str, data: Path | None) -> tuple[Domain, dict[Split, list[Problem]]]:
    domain = load_domain(name, data)
    sides: dict[Split, list[Problem]] = {"train": [], "test": []}
    for problem in domain.problems():
        sides[split_of(domain, problem)].append(problem)
    return domain, sides
