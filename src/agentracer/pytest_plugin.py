"""The pytest plugin: which agent, and which step, made a test fail? Off unless asked for.

This module is all that pytest loads where nobody asks: options, the marker, the fixture. It imports
pytest and the standard library, so that a broken installation of ours breaks no test run. The rest
is in `agentracer._pytest`, and is loaded

- for every test, by `--agentracer` or the ini option `agentracer = true`;
- for one test, by `@pytest.mark.agentracer` or by asking for the fixture `agentracer_run`.

Outcomes and exit codes never change, whatever happens in here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from agentracer._pytest.agent_run import AgentRun

__all__ = ["agentracer_run"]

_RECORDING: Final = "agentracer-recording"
_LOAD_FAILURE: Final = "agentracer-load-failure"
_MARKER: Final = (
    "agentracer(repeat=1, task=None, ground_truth=None, run=None, check=None, oracle=None, "
    "policy=None, deterministic=None): say which agent and which step made this test fail; "
    "repeat: run it so many times and report how often it fails, by decisive step (the first run "
    "is the one that counts); run, check, oracle: how --agentracer-verify replays it"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini settings; all begin with `agentracer`."""
    group = parser.getgroup("agentracer", "agentracer: who made a test of agents fail")
    group.addoption(
        "--agentracer",
        action="store_true",
        help="Record the agents of every test, and say which agent and step made it fail.",
    )
    group.addoption(
        "--agentracer-verify",
        action="store_true",
        help="Prove verdicts by replay, in tests that say how to run and check their system.",
    )
    group.addoption("--agentracer-reports", metavar="DIR", help="Where HTML reports are written.")
    group.addoption("--agentracer-model", metavar="SPEC", help="Who attributes, as in the CLI.")
    parser.addini("agentracer", "the same as --agentracer", type="bool", default=False)
    parser.addini("agentracer_reports", "the same as --agentracer-reports", default="")
    parser.addini("agentracer_model", "the same as --agentracer-model", default="embedded")
    parser.addini("agentracer_verify_seconds", "what one proof by replay may take", default="60")
    parser.addini("agentracer_verify_runs", "how many replays one proof may take", default="40")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker; begin, if every test is to be watched."""
    config.addinivalue_line("markers", _MARKER)
    if config.getoption("agentracer", default=False) or config.getini("agentracer"):
        _activate(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin, if a test asks for it."""
    if not config.pluginmanager.has_plugin(_RECORDING) and any(map(_opted_in, items)):
        _activate(config)


@pytest.fixture
def agentracer_run(request: pytest.FixtureRequest) -> AgentRun | _UnrecordedRun:
    """The recorded run of this test: set its task, ground truth and result; say how to repeat it.

    See `agentracer._pytest.agent_run.AgentRun`.
    """
    recording = _activate(request.config)
    if recording is None:
        return _UnrecordedRun()
    run: AgentRun | None = recording.agent_run(request.node)
    return run or _UnrecordedRun()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Group failures by who is blamed, from the reports alone: xdist makes no difference."""
    told = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if any(str(pair[0]).startswith("agentracer.") for pair in _properties(report))
    ]
    if told:
        try:
            importlib.import_module("agentracer._pytest.summary").write(terminalreporter, told)
        except Exception as error:  # noqa: BLE001 - a summary is not worth a failed session
            terminalreporter.write_line(f"agentracer: no summary: {type(error).__name__}")


def _properties(report: Any) -> list[tuple[str, object]]:
    return getattr(report, "user_properties", None) or []


def _opted_in(item: pytest.Item) -> bool:
    return item.get_closest_marker("agentracer") is not None or (
        "agentracer_run" in getattr(item, "fixturenames", ())
    )


def _activate(config: pytest.Config) -> Any:
    """The plugin that does the work, loaded on first use; None where that fails."""
    plugins = config.pluginmanager
    if not plugins.has_plugin(_RECORDING) and not plugins.has_plugin(_LOAD_FAILURE):
        try:
            start = importlib.import_module("agentracer._pytest").start
            start(config, _RECORDING, _opted_in)
        except Exception as error:  # noqa: BLE001 - the tests must run without us
            plugins.register(_LoadFailure(f"{type(error).__name__}: {error}"), _LOAD_FAILURE)
    return plugins.get_plugin(_RECORDING)


class _LoadFailure:
    """Says at the end why nothing was watched. A warning would be an error under `-W error`."""

    def __init__(self, why: str) -> None:
        self._why = why

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line(f"agentracer could not recording these tests: {self._why}")


class _UnrecordedRun:
    """Stands in for an `AgentRun` where nothing can be recorded: takes everything, says nothing."""

    id = task = ground_truth = result = trace = None

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_kwargs: None
