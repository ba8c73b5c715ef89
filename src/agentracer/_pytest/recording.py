"""Record each test: begin and end its recording, and attribute its failure.

A recording begins before the fixtures are set up, since agents may run in a fixture, and ends with
the body of the test. The adapters capture what the agents do. This module decides to which run that
belongs and whether the run failed: it failed if the test failed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import pytest

import agentracer
from agentracer._pytest.agent_run import SYSTEM_FACTS, AgentRun, ReplaySpec
from agentracer._pytest.diagnosis import Diagnosis
from agentracer._pytest.settings import PluginSettings
from agentracer._pytest.suppress import cancel_timeout, suppress_errors
from agentracer.attribution import Tracer
from agentracer.errors import AgentracerError, FormatError
from agentracer.instrumentation import instrumented
from agentracer.recorder import describe_error
from agentracer.recording import Run, inside, record
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = ["ItemRecording", "RecordingPlugin", "marker_facts"]

_PARAMETERS: Final = frozenset({"repeat", "task", "ground_truth", *SYSTEM_FACTS})
_NEWEST: Final = 50
"""Newest traces that are searched for one that a test recorded by itself."""


@dataclass(slots=True)
class ItemRecording:
    """One run of one test.

    Attributes:
        block: the `record()` block around the test.
        run: the run of that block.
        agent_run: what the fixture `agentracer_run` returns.
        calling: whether the body of the test is running.
        failure: the error of a failed subtest.
        diagnosis: set when a failed run ends.
        failed: whether it failed; None while it runs, or where it was skipped.
        problems: errors to report to the user.
    """

    block: record
    run: Run
    agent_run: AgentRun
    calling: bool = False
    failure: BaseException | None = None
    diagnosis: Diagnosis | None = None
    failed: bool | None = None
    ended: bool = False
    problems: list[str] = field(default_factory=list)


Observer = Callable[[pytest.Item, ItemRecording, Trace | None], None]

RECORDING = pytest.StashKey[ItemRecording]()


def marker_facts(item: pytest.Item) -> dict[str, Any]:
    """Return the arguments of the markers of a test; the closest marker wins."""
    facts: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("agentracer"))):
        facts.update(marker.kwargs)
    return facts


class RecordingPlugin:
    """The hooks around each phase of a test.

    Args:
        settings: settings of the session.
        opted_in: whether a test asks to be recorded by marker or fixture.

    Attributes:
        settings: settings of the session.
        observer: called after each run of a repeated test; it then adds the diagnosis to the
            report.
    """

    def __init__(self, settings: PluginSettings, opted_in: Callable[[pytest.Item], bool]) -> None:
        self.settings = settings
        self.observer: Observer | None = None
        self._opted_in = opted_in
        self._hooked = False

    @cached_property
    def tracer(self) -> Tracer:
        """The tracer of the session.

        Raises:
            AgentracerError: there is no such model, or it is not installed.
        """
        return Tracer(self.settings.model)

    def agent_run(self, item: pytest.Item) -> AgentRun | None:
        """Return the recorded run of a test, and begin the recording if necessary."""
        with suppress_errors("pytest.agent_run"):
            if RECORDING not in item.stash:
                self._begin(item)
            return item.stash[RECORDING].agent_run
        return None

    # -- hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Begin the recording before the fixtures are set up."""
        with suppress_errors("pytest.begin"):
            if self.settings.everything or self._opted_in(item):
                self._begin(item)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Distinguish the reports of subtests, which come during the call, from the test's own."""
        recording = item.stash.get(RECORDING, None)
        if recording is not None:
            recording.calling = True
        try:
            return (yield)
        finally:
            if recording is not None:
                recording.calling = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """An async test may run in a task that began before it, in the context of another test."""
        recording = pyfuncitem.stash.get(RECORDING, None)
        function = pyfuncitem.obj
        plain = inspect.iscoroutinefunction(function) and not hasattr(function, "hypothesis")
        if recording is None or not plain:
            return (yield)

        @functools.wraps(function)
        async def belonging(*args: Any, **kwargs: Any) -> Any:
            with inside(recording.run):
                return await function(*args, **kwargs)

        pyfuncitem.obj = belonging
        try:
            return (yield)
        finally:
            pyfuncitem.obj = function

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """End, if that was the test's body, or if it will have none."""
        report = yield
        recording = item.stash.get(RECORDING, None)
        if recording is None or recording.ended:
            return report
        error = call.excinfo.value if call.excinfo is not None else None
        if recording.calling:
            if report.failed:
                recording.failure = error
            return report
        if call.when == "call" or (call.when == "setup" and not report.passed):
            with suppress_errors("pytest.end"):
                self._end(item, recording, report, error)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Close the recording where the body of the test never ran."""
        recording = item.stash.get(RECORDING, None)
        if recording is not None:
            del item.stash[RECORDING]
            with suppress_errors("pytest.abandon"):
                if not recording.ended:
                    self._close(recording, "abandoned")
                    if recording.run.recorder.steps == 0:
                        _forget(recording.run)
                if not self.settings.everything:
                    self._unhook()
        return (yield)

    def pytest_unconfigure(self) -> None:
        """Undo the instrumentation of the frameworks."""
        with suppress_errors("pytest.unconfigure"):
            self._unhook()

    # -- one recording

    def _begin(self, item: pytest.Item) -> None:
        self._hook()
        facts = marker_facts(item)
        block = record(store=self.settings.store, metadata={"test": item.nodeid})
        block.warns_without_steps = False  # most tests run no system
        run = block.__enter__()
        recording = item.stash[RECORDING] = ItemRecording(block, run, AgentRun(run))
        if facts.get("task") is not None:
            recording.agent_run.task = facts["task"]
        if facts.get("ground_truth") is not None:
            recording.agent_run.ground_truth = facts["ground_truth"]
        system = {name: facts[name] for name in SYSTEM_FACTS if name in facts}
        recording.agent_run.replay_spec = ReplaySpec(**system)
        unknown = sorted(set(facts) - _PARAMETERS)
        if unknown:
            parameters = ", ".join(sorted(_PARAMETERS))
            recording.problems.append(
                f"unknown parameter of the agentracer marker: {', '.join(unknown)}; "
                f"it has {parameters}"
            )

    def _end(
        self,
        item: pytest.Item,
        recording: ItemRecording,
        report: pytest.TestReport,
        error: BaseException | None,
    ) -> None:
        failed = report.failed or recording.failure is not None
        recording.failed = None if report.skipped and not hasattr(report, "wasxfail") else failed
        expected = report.skipped and hasattr(report, "wasxfail")
        trace = self._finish(recording, error or recording.failure, failed=failed or expected)
        if trace is not None and failed:
            cancel_timeout(item)
            recording.diagnosis = self._diagnose(item, recording, trace)
            if self.observer is None:
                recording.diagnosis.attach(report, item.user_properties, self.settings)
        elif recording.problems:
            properties: list[tuple[str, object]] = [
                ("agentracer.problem", problem) for problem in recording.problems
            ]
            item.user_properties += properties
            report.user_properties += properties
        if self.observer is not None:
            self.observer(item, recording, trace)

    def _finish(
        self, recording: ItemRecording, error: BaseException | None, *, failed: bool
    ) -> Trace | None:
        """End the recording and return its trace; None where no agent did anything."""
        store = self.settings.store
        if recording.run.recorder.steps == 0:
            self._close(recording, None)
            inner = _recorded_inside(recording.run.id, [store, Store()]) if failed else None
            if inner is None:
                _forget(recording.run)
            return inner
        if not failed:
            if not recording.agent_run.decided:
                recording.run.succeed()
            self._close(recording, None)
        elif isinstance(error, Exception) and not isinstance(error, AssertionError):
            recording.ended = True
            recording.block.__exit__(type(error), error, None)
        else:  # the agents finished; an assertion of the test failed
            recording.run.fail(_first_line(error))
            self._close(recording, None)
        return recording.run.trace

    def _diagnose(self, item: pytest.Item, recording: ItemRecording, trace: Trace) -> Diagnosis:
        from agentracer._pytest.verification import verify_by_replay

        diagnosis = Diagnosis(item.nodeid, trace, problems=recording.problems)
        try:
            diagnosis.verdict = self.tracer.attribute(trace)
        except AgentracerError as error:
            diagnosis.problems.append(f"no verdict: {error}")
        else:
            if self.settings.verify:
                spec = recording.agent_run.replay_spec.bound(getattr(item, "funcargs", None) or {})
                repeats_follow = self.observer is not None
                verify_by_replay(diagnosis, spec, self.settings, repeats_follow=repeats_follow)
        diagnosis.save(self.settings)
        return diagnosis

    def _close(self, recording: ItemRecording, ending: str | None) -> None:
        recording.ended = True
        if ending is not None:
            recording.run.finish(ending)
        recording.block.__exit__(None, None, None)

    # -- the frameworks

    def _hook(self) -> None:
        # A test may have undone the capture. What the user's own code instrumented stays so.
        if not instrumented():
            self._hooked = True
        agentracer.instrument()

    def _unhook(self) -> None:
        if self._hooked:
            self._hooked = False
            agentracer.uninstrument()


def _first_line(error: BaseException | None) -> str | None:
    if error is None:
        return None
    message = describe_error(error)["message"].strip()
    return message.splitlines()[0] if message else type(error).__name__


def _recorded_inside(parent: str, stores: list[Store]) -> Trace | None:
    """Return the newest run that a test recorded with its own `record()`; prefer a failed one."""
    traces = []
    for store in stores:
        newer = [i for i in store.ids()[:_NEWEST] if i > parent]
        for identity in newer:
            try:
                trace = store.load(identity)
            except (FormatError, OSError):
                continue
            if trace.parent == parent and trace.steps:
                traces.append(trace)
    failed = [trace for trace in traces if trace.outcome.success is False]
    return max(failed or traces, key=lambda trace: trace.id, default=None)


def _forget(run: Run) -> None:
    """Delete the trace of a test that ran no agents."""
    run.discard()
