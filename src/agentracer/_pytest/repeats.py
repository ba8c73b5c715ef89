"""A test run several times: how often does it fail, and at which decisive step?

    @pytest.mark.agentracer(repeat=5)

The first run is the test: it alone decides whether the test passes. The others are observations,
each with fresh fixtures of function scope; they are neither counted nor logged. The first run is
over before they begin, so that they cannot change it.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from _pytest.runner import get_reraise_exceptions, runtestprotocol

from agentracer._pytest.finding import Finding
from agentracer._pytest.harmless import harmless, restart_clock, stop_clock
from agentracer._pytest.watch import Watch, Watcher, marker_facts
from agentracer.trace import Trace

__all__ = ["SECTION", "Flips", "Repeater"]

SECTION = "agentracer: repeats"


@dataclass(slots=True)
class Flips:
    """How often a test failed, and why.

    Attributes:
        runs: that came to a result.
        failed: of these.
        blamed: of the failed ones, how many have this (agent, step) as the decisive error.
        unexplained: failed ones without a verdict.
    """

    runs: int = 0
    failed: int = 0
    blamed: Counter[tuple[str, int]] = field(default_factory=Counter)
    unexplained: int = 0

    @classmethod
    def of(cls, runs: Iterable[tuple[bool, Finding | None]]) -> Flips:
        """Count runs, given whether each failed and what was found then."""
        flips = cls()
        for failed, finding in runs:
            flips.runs += 1
            flips.failed += failed
            verdict = finding.verdict if finding is not None else None
            if verdict is not None and verdict.agent is not None and verdict.step is not None:
                flips.blamed[verdict.agent, verdict.step] += 1
            elif failed:
                flips.unexplained += 1
        return flips

    def to_json(self) -> str:
        """As a property of the report, for the summary and for JUnit XML."""
        blamed = [[agent, step, count] for (agent, step), count in self.blamed.most_common()]
        facts = {"runs": self.runs, "failed": self.failed, "blamed": blamed}
        return json.dumps({**facts, "unexplained": self.unexplained})

    @classmethod
    def from_json(cls, text: str) -> Flips:
        """The inverse of `to_json`."""
        facts = json.loads(text)
        blamed = Counter({(agent, step): count for agent, step, count in facts["blamed"]})
        return cls(facts["runs"], facts["failed"], blamed, facts["unexplained"])


@dataclass(slots=True)
class _Observed:
    """The runs of one test so far.

    Attributes:
        runs: how each ended: whether it failed, and what was found then.
        reference: one that passed, which may serve as an oracle for those that failed.
    """

    runs: list[tuple[bool, Finding | None]] = field(default_factory=list)
    reference: Trace | None = None

    @property
    def first(self) -> Finding | None:
        """What was found of the run that counts."""
        return self.runs[0][1] if self.runs else None

    @property
    def findings(self) -> list[Finding]:
        """What was found of the runs that failed."""
        return [finding for _, finding in self.runs if finding is not None]


class Repeater:
    """Runs marked tests several times.

    Args:
        watcher: records and attributes each run.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """In place of pytest's own protocol, for tests that are to be repeated."""
        times = _times(item)
        if times < 2:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        observed = _Observed()
        try:
            self._watcher.observer = lambda *what: self._note(observed, *what)
            # With the item's own copy as the next one, only what is its own is torn down.
            reports = runtestprotocol(item, log=False, nextitem=copy.copy(item))
            kept = list(item.user_properties), list(_captured(item))
            try:
                if reports[0].passed:
                    self._observe(item, times - 1)
            finally:
                item.user_properties[:], _captured(item)[:] = kept
                self._watcher.observer = None
                with harmless("pytest.repeats"):
                    self._attach(item, reports, observed)
                _log(item, reports, nextitem)
        finally:
            self._watcher.observer = None
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _observe(self, item: pytest.Item, times: int) -> None:
        for _ in range(times):
            if item.session.shouldstop:
                return
            if getattr(item, "cls", None) is not None:
                for cached in ("_instance", "_obj"):  # an object of its class of its own
                    item.__dict__.pop(cached, None)
            with harmless("pytest.clock"):
                restart_clock(item)
            runtestprotocol(item, log=False, nextitem=copy.copy(item))

    def _note(
        self, observed: _Observed, item: pytest.Item, watch: Watch, trace: Trace | None
    ) -> None:
        if watch.failed is None:
            return
        observed.runs.append((watch.failed, watch.finding))
        if not watch.failed and observed.reference is None:
            observed.reference = trace
        if observed.reference is not None and self._watcher.settings.verify:
            self._prove(observed.findings, item, watch, observed.reference)

    def _prove(
        self, findings: list[Finding], item: pytest.Item, watch: Watch, reference: Trace
    ) -> None:
        """Replay runs that failed, while the fixtures of the latest run are still there."""
        from agentracer._pytest.proof import prove

        given = watch.handle.replayable.bound(getattr(item, "funcargs", None) or {})
        for finding in findings:
            if finding.note:  # that nobody knew better
                stop_clock(item)
                prove(finding, given, self._watcher.settings, reference)
                finding.keep(self._watcher.settings)
                restart_clock(item)

    def _attach(
        self, item: pytest.Item, reports: list[pytest.TestReport], observed: _Observed
    ) -> None:
        from agentracer._pytest.summary import flip_lines

        decided = reports[1] if len(reports) > 2 else reports[0]
        own: list[tuple[str, object]] = []
        if observed.first is not None:
            observed.first.attach(decided, own, self._watcher.settings)
        flips = Flips.of(observed.runs)
        if flips.runs > 1:
            fact = ("agentracer.repeats", flips.to_json())
            own.append(fact)
            decided.user_properties.append(fact)
            decided.sections.append((SECTION, "\n".join(flip_lines(flips))))
        item.user_properties += own
        reports[-1].user_properties = list(item.user_properties)  # where JUnit XML looks


def _times(item: pytest.Item) -> int:
    option = item.config.getoption
    if any(option(name, False) for name in ("usepdb", "setuponly", "setupshow", "setupplan")):
        return 1
    times = marker_facts(item).get("repeat", 1)
    return times if isinstance(times, int) else 1


def _captured(item: pytest.Item) -> list[tuple[str, str, str]]:
    """What was printed so far, which pytest keeps with the item."""
    return item._report_sections


def _log(item: pytest.Item, reports: list[pytest.TestReport], nextitem: pytest.Item | None) -> None:
    """Log the first run, after tearing down what the next test does not need."""
    *before, teardown = reports
    for report in before:
        item.ihook.pytest_runtest_logreport(report=report)
    if item.session.shouldfail or item.session.shouldstop:
        nextitem = None
    call = pytest.CallInfo.from_call(
        lambda: item.session._setupstate.teardown_exact(nextitem),
        when="teardown",
        reraise=get_reraise_exceptions(item.config),
    )
    if call.excinfo is not None:
        wider = item.ihook.pytest_runtest_makereport(item=item, call=call)
        if teardown.failed:
            wider.sections.append(("teardown of the test itself", str(teardown.longrepr)))
        teardown = wider
    item.ihook.pytest_runtest_logreport(report=teardown)
