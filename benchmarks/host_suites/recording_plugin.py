"""A pytest plugin that notes the outcome of every test, with each test recorded if asked to.

Loaded by `-p recording_plugin` in the environment of a suite, so it imports nothing of
`benchmarks`, and nothing of agentracer unless tests are recorded.
"""

from __future__ import annotations

import functools
import gc
import inspect
import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

RANK = ("passed", "skipped", "failed", "error")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("host suites")
    group.addoption("--outcomes", type=Path, metavar="FILE", help="where outcomes are written")
    group.addoption("--recorded", action="store_true", help="record each test")


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin where outcomes are asked for."""
    if config.option.outcomes is not None:
        config.pluginmanager.register(HostSuite(config.option.outcomes, config.option.recorded))


class HostSuite:
    """The outcomes of a session.

    Attributes:
        outcomes: by test; the worst of setup, call and teardown.
        failures: the end of what a failed test printed, by test.
    """

    def __init__(self, file: Path, recorded: bool) -> None:
        self.file, self.recorded = file, recorded
        self.outcomes: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.started, self.descriptors = 0.0, 0

    def pytest_sessionstart(self) -> None:
        """Instrument the frameworks before anything of the suite is imported."""
        if self.recorded:
            import agentracer

            agentracer.instrument()
        self.started, self.descriptors = time.perf_counter(), open_descriptors()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Run the body of the test in a `record()` block.

        A coroutine runs in a task whose context was copied before, so the block is inside it.
        """
        function = getattr(item, "obj", None)
        if not self.recorded or function is None:
            return (yield)
        import agentracer

        if not inspect.iscoroutinefunction(function):
            with agentracer.record(task=item.nodeid):
                return (yield)

        @functools.wraps(function)
        async def recorded(*args: Any, **kwargs: Any) -> Any:
            async with agentracer.record(task=item.nodeid):
                return await function(*args, **kwargs)

        item.obj = recorded  # type: ignore[attr-defined]
        try:
            return (yield)
        finally:
            item.obj = function  # type: ignore[attr-defined]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome."""
        outcome = "error" if report.failed and report.when != "call" else report.outcome
        known = self.outcomes.get(report.nodeid, "passed")
        self.outcomes[report.nodeid] = max(known, outcome, key=RANK.index)
        if report.failed:
            self.failures.setdefault(report.nodeid, report.longreprtext[-1500:])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be collected."""
        if report.failed:
            self.outcomes[report.nodeid] = "error"
            self.failures[report.nodeid] = report.longreprtext[-1500:]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        seconds = time.perf_counter() - self.started
        swallowed: dict[str, int] = {}
        if self.recorded:
            from agentracer import _guard

            swallowed = {f"{p}: {_guard._first[p]}": n for p, n in _guard.swallowed().items()}
        gc.collect()
        report = {
            "outcomes": self.outcomes,
            "failures": self.failures,
            "seconds": seconds,
            "swallowed": swallowed,
            "descriptors": open_descriptors() - self.descriptors,
        }
        self.file.write_text(json.dumps(report), encoding="utf-8")


def open_descriptors() -> int:
    """Return how many file descriptors this process has open; 0 where that cannot be seen."""
    folder = Path(f"/proc/{os.getpid()}/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0
