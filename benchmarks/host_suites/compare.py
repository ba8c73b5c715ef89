"""One suite's run without agentracer and its run with it, beside each other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentracer.errors import AgentracerError
from agentracer.store import Store
from agentracer.store.fold import LOST

from .suites import Suite

__all__ = ["COLUMNS", "Comparison", "Outcomes", "Traces", "inspect_traces"]

COLUMNS = (
    "suite",
    "tests",
    "passed",
    "newly failing",
    "swallowed errors",
    "seconds without",
    "seconds with",
    "traces",
    "steps",
    "left open",
    "unreadable",
    "steps without an agent",
    "descriptors without",
    "descriptors with",
)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What one session of pytest reported; see `recording_plugin.py`."""

    outcomes: dict[str, str]
    failures: dict[str, str]
    seconds: float
    swallowed: dict[str, int]
    descriptors: int

    @classmethod
    def load(cls, file: Path) -> Outcomes:
        """Read a report of the plugin."""
        fields: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return cls(**fields)


@dataclass(slots=True)
class Traces:
    """What the recorded session left in its store.

    Attributes:
        open: ids of traces that do not say how their run ended.
        nameless: steps that name no agent, by trace.
        unreadable: what is wrong with journals that cannot be read, by id.
    """

    count: int = 0
    steps: int = 0
    open: list[str] = field(default_factory=list)
    nameless: Counter[str] = field(default_factory=Counter)
    unreadable: dict[str, str] = field(default_factory=dict)


def inspect_traces(store: Store) -> Traces:
    """Read every trace of a store."""
    traces = Traces()
    for name in store.ids():
        traces.count += 1
        try:
            trace = store.load(name)
        except AgentracerError as error:
            traces.unreadable[name] = str(error)
            continue
        traces.steps += len(trace.steps)
        if trace.outcome.ending == "unfinished":
            traces.open.append(name)
        nameless = sum(step.agent == LOST or not step.agent.strip() for step in trace.steps)
        if nameless:
            traces.nameless[name] = nameless
    return traces


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sessions of a suite.

    Attributes:
        again: outcomes of the tests that differed, run once more in both ways: (without, with).
    """

    suite: Suite
    without: Outcomes
    recorded: Outcomes
    traces: Traces
    again: tuple[dict[str, str], dict[str, str]] = ({}, {})

    @property
    def different(self) -> list[str]:
        """Tests with another outcome in the recorded session."""
        tests = self.without.outcomes.keys() | self.recorded.outcomes.keys()
        return sorted(
            test
            for test in tests
            if self.without.outcomes.get(test) != self.recorded.outcomes.get(test)
        )

    @property
    def newly_failing(self) -> list[str]:
        """Those that differed again in a second pair of sessions, handler lists left out."""
        return [t for t in self.different if self._repeated(t) and not self._lists_handlers(t)]

    @property
    def handler_lists(self) -> list[str]:
        """Tests that see another list of callback handlers; see `Suite.handler_lists`."""
        return [t for t in self.different if self._repeated(t) and self._lists_handlers(t)]

    @property
    def unstable(self) -> list[str]:
        """Tests that differed once, and not in a second pair of sessions."""
        return [test for test in self.different if not self._repeated(test)]

    @property
    def sound(self) -> bool:
        """Whether the host behaves the same, and all that it did is on record."""
        return not (
            self.newly_failing
            or self.recorded.swallowed
            or self.traces.open
            or self.traces.nameless
            or self.traces.unreadable
        )

    def _repeated(self, test: str) -> bool:
        without, recorded = self.again
        return without.get(test) != recorded.get(test)

    def _lists_handlers(self, test: str) -> bool:
        return test.partition("[")[0] in self.suite.handler_lists

    def row(self) -> dict[str, str]:
        """The suite's row of the table."""
        outcomes = self.recorded.outcomes
        cells = (
            self.suite.distribution,
            len(outcomes),
            sum(outcome == "passed" for outcome in outcomes.values()),
            len(self.newly_failing),
            sum(self.recorded.swallowed.values()),
            f"{self.without.seconds:.0f}",
            f"{self.recorded.seconds:.0f}",
            self.traces.count,
            self.traces.steps,
            len(self.traces.open),
            len(self.traces.unreadable),
            self.traces.nameless.total(),
            f"{self.without.descriptors:+d}",
            f"{self.recorded.descriptors:+d}",
        )
        return dict(zip(COLUMNS, map(str, cells), strict=True))

    def remarks(self) -> Iterable[str]:
        """What a reader has to look at, a line each."""
        name = self.suite.distribution
        for test in self.newly_failing:
            before = self.without.outcomes.get(test, "not run")
            after = self.recorded.outcomes.get(test, "not run")
            yield f"{name}: {test}: {before} without, {after} with"
            yield self.recorded.failures.get(test, "").rstrip()
        for test in self.handler_lists:
            yield f"{name}: {test} compares the list of callback handlers, and ours is in it"
        for test in self.unstable:
            yield f"{name}: {test} had different outcomes once, and the same when run again"
        for place, count in self.recorded.swallowed.items():
            yield f"{name}: {count} x {place}"
        for trace in self.traces.open[:5]:
            yield f"{name}: trace {trace} does not say how its run ended"
        for trace, problem in list(self.traces.unreadable.items())[:5]:
            yield f"{name}: trace {trace}: {problem}"
        for trace, count in self.traces.nameless.most_common(5):
            yield f"{name}: trace {trace}: {count} steps without an agent"
