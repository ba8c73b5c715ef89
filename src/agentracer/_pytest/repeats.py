"""Run a test several times, and count how often it fails and at which decisive step.

    @pytest.mark.agentracer(repeat=5)

The first run is the test: it alone decides whether the test passes. The others are observations,
each with fresh fixtures of function scope; they are neither counted nor logged. The first run is
over before they begin, so that they cannot change it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import pytest
from _pytest.runner import get_reraise_exceptions, runtestprotocol

from agentracer._pytest.diagnosis import Diagnosis
from agentracer._pytest.flips import FlipCounts, flip_lines
from agentracer._pytest.recording import ItemRecording, RecordingPlugin, marker_facts
from agentracer._pytest.suppress import cancel_timeout, restart_timeout, suppress_errors
from agentracer.trace import Trace

__all__ = ["SECTION", "RepeatPlugin"]

SECTION = "agentracer: repeats"


@dataclass(slots=True)
class _RepeatedRuns:
    """The runs of one repeated test so far.

    Attributes:
        times: how many runs there are to be.
        runs: whether each run failed, and the diagnosis if it did.
        reference: a run that passed, which is used as the oracle for those that failed.
    """

    times: int
    runs: list[tuple[bool, Diagnosis | None]] = field(default_factory=list)
    reference: Trace | None = None

    @property
    def first(self) -> Diagnosis | None:
        """The diagnosis of the first run, which decides the outcome of the test."""
        return self.runs[0][1] if self.runs else None

    @property
    def diagnoses(self) -> list[Diagnosis]:
        """The diagnoses of the runs that failed."""
        return [diagnosis for _, diagnosis in self.runs if diagnosis is not None]


class RepeatPlugin:
    """Run marked tests several times.

    Args:
        recording: records and attributes each run.
    """

    def __init__(self, recording: RecordingPlugin) -> None:
        self._recording = recording

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Replace pytest's own protocol for tests that are repeated."""
        times = _times(item)
        if times < 2:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        repeated = _RepeatedRuns(times)
        try:
            self._recording.observer = lambda *what: self._note(repeated, *what)
            # With a copy of the item as the next one, only its own fixtures are torn down.
            reports = runtestprotocol(item, log=False, nextitem=copy.copy(item))
            kept = list(item.user_properties), list(_captured(item))
            try:
                if reports[0].passed:
                    self._observe(item, times - 1)
            finally:
                item.user_properties[:], _captured(item)[:] = kept
                self._recording.observer = None
                with suppress_errors("pytest.repeats"):
                    self._attach(item, reports, repeated)
                _log(item, reports, nextitem)
        finally:
            self._recording.observer = None
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _observe(self, item: pytest.Item, times: int) -> None:
        for _ in range(times):
            if item.session.shouldstop:
                return
            if getattr(item, "cls", None) is not None:
                for cached in ("_instance", "_obj"):  # a new instance of its class
                    item.__dict__.pop(cached, None)
            with suppress_errors("pytest.clock"):
                restart_timeout(item)
            runtestprotocol(item, log=False, nextitem=copy.copy(item))

    def _note(
        self,
        repeated: _RepeatedRuns,
        item: pytest.Item,
        recording: ItemRecording,
        trace: Trace | None,
    ) -> None:
        if recording.failed is None:
            return
        repeated.runs.append((recording.failed, recording.diagnosis))
        if not recording.failed and repeated.reference is None:
            repeated.reference = trace
        if not self._recording.settings.verify:
            return
        if repeated.reference is not None:
            self._verify(repeated.diagnoses, item, recording, repeated.reference)
        elif len(repeated.runs) == repeated.times and repeated.first is not None:
            self._verify([repeated.first], item, recording, None)

    def _verify(
        self,
        diagnoses: list[Diagnosis],
        item: pytest.Item,
        recording: ItemRecording,
        reference: Trace | None,
    ) -> None:
        """Replay runs that failed, while the fixtures of the latest run are still there."""
        from agentracer._pytest.verification import verify_by_replay

        spec = recording.agent_run.replay_spec.bound(getattr(item, "funcargs", None) or {})
        for diagnosis in diagnoses:
            if diagnosis.note:  # not verified yet, for want of an oracle
                cancel_timeout(item)
                verify_by_replay(diagnosis, spec, self._recording.settings, reference)
                diagnosis.save(self._recording.settings)
                restart_timeout(item)

    def _attach(
        self, item: pytest.Item, reports: list[pytest.TestReport], repeated: _RepeatedRuns
    ) -> None:
        decided = reports[1] if len(reports) > 2 else reports[0]
        own: list[tuple[str, object]] = []
        if repeated.first is not None:
            repeated.first.attach(decided, own, self._recording.settings)
        flips = FlipCounts.of(repeated.runs)
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
    """Return the output captured so far, which pytest stores on the item."""
    return item._report_sections


def _log(item: pytest.Item, reports: list[pytest.TestReport], nextitem: pytest.Item | None) -> None:
    """Log the first run, after tearing down the fixtures that the next test does not need."""
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
