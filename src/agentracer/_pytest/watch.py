"""Begins and ends the recording around each test.

A recording begins before the fixtures are set up, for many a test runs its agents in one, and ends
with the test's body. What the agents do is captured by the adapters; here is only decided which
run it belongs to, and whether that run failed: it did if the test did.
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
from agentracer._pytest.finding import Finding
from agentracer._pytest.handle import SYSTEM_FACTS, AgentRun, Replayable
from agentracer._pytest.harmless import harmless, stop_clock
from agentracer._pytest.settings import Settings
from agentracer.attribution import Tracer
from agentracer.errors import AgentracerError, FormatError
from agentracer.instrumentation import instrumented
from agentracer.recorder import describe_error
from agentracer.recording import Run, inside, record
from agentracer.store import Journal, Store
from agentracer.trace import Trace

__all__ = ["Watch", "Watcher", "marker_facts"]

_KNOWN: Final = frozenset({"repeat", "task", "ground_truth", *SYSTEM_FACTS})
_NEWEST: Final = 50
"""How many of the newest traces are looked through for one that a test recorded by itself."""


@dataclass(slots=True)
class Watch:
    """One run of one test.

    Attributes:
        block: the `record()` block around it.
        run: what the block gave.
        handle: what the test is given, if it asks.
        calling: whether the test's body is running.
        failure: what a subtest of it failed with.
        finding: of a run that failed; set when it ends.
        failed: how it ended; None while it runs, or where it was skipped.
        problems: what the user has to know.
    """

    block: record
    run: Run
    handle: AgentRun
    calling: bool = False
    failure: BaseException | None = None
    finding: Finding | None = None
    failed: bool | None = None
    ended: bool = False
    problems: list[str] = field(default_factory=list)


Observer = Callable[[pytest.Item, Watch, Trace | None], None]

WATCH = pytest.StashKey[Watch]()


def marker_facts(item: pytest.Item) -> dict[str, Any]:
    """The arguments of the markers of a test; the closest one counts."""
    facts: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("agentracer"))):
        facts.update(marker.kwargs)
    return facts


class Watcher:
    """The hooks around each phase of a test.

    Args:
        settings: of the session.
        asks: whether a test asks to be watched by itself.

    Attributes:
        settings: of the session.
        observer: told how each run ended while a test is repeated; it then puts the finding into
            the report.
    """

    def __init__(self, settings: Settings, asks: Callable[[pytest.Item], bool]) -> None:
        self.settings = settings
        self.observer: Observer | None = None
        self._asks = asks
        self._hooked = False

    @cached_property
    def tracer(self) -> Tracer:
        """Who attributes.

        Raises:
            AgentracerError: there is no such model, or it is not installed.
        """
        return Tracer(self.settings.model)

    def handle(self, item: pytest.Item) -> AgentRun | None:
        """What a test holds of its recording, which begins now if it has not yet."""
        with harmless("pytest.handle"):
            if WATCH not in item.stash:
                self._begin(item)
            return item.stash[WATCH].handle
        return None

    # -- hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Begin."""
        with harmless("pytest.begin"):
            if self.settings.everything or self._asks(item):
                self._begin(item)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Tell the reports of subtests, which come during the call, from that of the test."""
        watch = item.stash.get(WATCH, None)
        if watch is not None:
            watch.calling = True
        try:
            return (yield)
        finally:
            if watch is not None:
                watch.calling = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """An async test may run in a task that began before it, in the context of another test."""
        watch = pyfuncitem.stash.get(WATCH, None)
        function = pyfuncitem.obj
        plain = inspect.iscoroutinefunction(function) and not hasattr(function, "hypothesis")
        if watch is None or not plain:
            return (yield)

        @functools.wraps(function)
        async def belonging(*args: Any, **kwargs: Any) -> Any:
            with inside(watch.run):
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
        watch = item.stash.get(WATCH, None)
        if watch is None or watch.ended:
            return report
        error = call.excinfo.value if call.excinfo is not None else None
        if watch.calling:
            if report.failed:
                watch.failure = error
            return report
        if call.when == "call" or (call.when == "setup" and not report.passed):
            with harmless("pytest.end"):
                self._end(item, watch, report, error)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Leave nothing open where no body ran."""
        watch = item.stash.get(WATCH, None)
        if watch is not None:
            del item.stash[WATCH]
            with harmless("pytest.abandon"):
                if not watch.ended:
                    self._close(watch, "abandoned")
                    if watch.run.recorder.steps == 0:
                        _forget(watch.run)
                if not self.settings.everything:
                    self._unhook()
        return (yield)

    def pytest_unconfigure(self) -> None:
        """Leave the frameworks as they were."""
        with harmless("pytest.unconfigure"):
            self._unhook()

    # -- one recording

    def _begin(self, item: pytest.Item) -> None:
        self._hook()
        facts = marker_facts(item)
        block = record(store=self.settings.store, metadata={"test": item.nodeid})
        run = block.__enter__()
        watch = item.stash[WATCH] = Watch(block, run, AgentRun(run))
        if facts.get("task") is not None:
            watch.handle.task = facts["task"]
        if facts.get("ground_truth") is not None:
            watch.handle.ground_truth = facts["ground_truth"]
        watch.handle.replayable = Replayable(**{k: facts[k] for k in SYSTEM_FACTS if k in facts})
        unknown = sorted(set(facts) - _KNOWN)
        if unknown:
            known = ", ".join(sorted(_KNOWN))
            watch.problems.append(f"the marker has no {', '.join(unknown)}; it has {known}")

    def _end(
        self,
        item: pytest.Item,
        watch: Watch,
        report: pytest.TestReport,
        error: BaseException | None,
    ) -> None:
        failed = report.failed or watch.failure is not None
        watch.failed = None if report.skipped and not hasattr(report, "wasxfail") else failed
        expected = report.skipped and hasattr(report, "wasxfail")
        trace = self._traced(watch, error or watch.failure, failed=failed or expected)
        if trace is not None and failed:
            stop_clock(item)
            watch.finding = self._found(item, watch, trace)
            if self.observer is None:
                watch.finding.attach(report, item.user_properties, self.settings)
        elif watch.problems:
            notes: list[tuple[str, object]] = [("agentracer.problem", p) for p in watch.problems]
            item.user_properties += notes
            report.user_properties += notes
        if self.observer is not None:
            self.observer(item, watch, trace)

    def _traced(self, watch: Watch, error: BaseException | None, *, failed: bool) -> Trace | None:
        """End the recording; its trace, unless no agent did anything."""
        store = self.settings.store
        if watch.run.recorder.steps == 0:
            self._close(watch, None)
            inner = _recorded_inside(watch.run.id, [store, Store()]) if failed else None
            if inner is None:
                _forget(watch.run)
            return inner
        if not failed:
            if not watch.handle.decided:
                watch.run.succeed()
            self._close(watch, None)
        elif isinstance(error, Exception) and not isinstance(error, AssertionError):
            watch.ended = True
            watch.block.__exit__(type(error), error, None)
        else:  # the agents came to an end; it is the test that does not like it
            watch.run.fail(_first_line(error))
            self._close(watch, None)
        return watch.run.trace

    def _found(self, item: pytest.Item, watch: Watch, trace: Trace) -> Finding:
        from agentracer._pytest.proof import prove

        finding = Finding(item.nodeid, trace, problems=watch.problems)
        try:
            finding.verdict = self.tracer.attribute(trace)
        except AgentracerError as error:
            finding.problems.append(f"no verdict: {error}")
        else:
            if self.settings.verify:
                fixtures = getattr(item, "funcargs", None) or {}
                prove(finding, watch.handle.replayable.bound(fixtures), self.settings)
        finding.keep(self.settings)
        return finding

    def _close(self, watch: Watch, ending: str | None) -> None:
        watch.ended = True
        if ending is not None:
            watch.run.finish(ending)
        watch.block.__exit__(None, None, None)

    # -- the frameworks

    def _hook(self) -> None:
        # A test may have undone the capture; where the user's own code began it, it stays.
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
    """The newest run that a test recorded with a `record()` of its own, a failed one if any."""
    found = []
    for store in stores:
        newer = [i for i in store.ids()[:_NEWEST] if i > parent]
        for identity in newer:
            try:
                trace = store.load(identity)
            except (FormatError, OSError):
                continue
            if trace.parent == parent and trace.steps:
                found.append(trace)
    failed = [trace for trace in found if trace.outcome.success is False]
    return max(failed or found, key=lambda trace: trace.id, default=None)


def _forget(run: Run) -> None:
    """Leave no trace of a test that ran no agents."""
    sink = run.recorder.sink
    if isinstance(sink, Journal):
        sink.path.unlink(missing_ok=True)
