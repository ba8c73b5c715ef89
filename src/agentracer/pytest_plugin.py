"""The pytest plugin: name the agent and the step that made a test fail.

The plugin is off by default. Then pytest loads only this module: options, the marker, the fixture.
It imports pytest and the standard library, so that a broken installation of agentracer breaks no
test run. The rest is in `agentracer._pytest`, and is loaded

- for every test, by `--agentracer` or the ini option `agentracer = true`;
- for one test, by `@pytest.mark.agentracer` or the fixture `agentracer_run`.

Outcomes and exit codes never change, even if this plugin fails.
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
    "policy=None, deterministic=None): name the agent and the step that made this test fail; "
    "repeat: run it that many times and report how often it fails, by decisive step (the first run "
    "decides the outcome); run, check, oracle: how --agentracer-verify replays it"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini settings; all begin with `agentracer`."""
    group = parser.getgroup("agentracer", "agentracer: the agent and step that made a test fail")
    group.addoption(
        "--agentracer",
        action="store_true",
        help="Record the agents of every test; in failed tests, name the agent and step to blame.",
    )
    group.addoption(
        "--agentracer-verify",
        action="store_true",
        help="Verify verdicts by replay, in tests that say how to run and check their system.",
    )
    group.addoption("--agentracer-reports", metavar="DIR", help="Folder of the HTML reports.")
    group.addoption("--agentracer-model", metavar="SPEC", help="The tracer, as in the CLI.")
    parser.addini("agentracer", "the same as --agentracer", type="bool", default=False)
    parser.addini("agentracer_reports", "the same as --agentracer-reports", default="")
    parser.addini("agentracer_model", "the same as --agentracer-model", default="embedded")
    parser.addini(
        "agentracer_verify_seconds", "time limit of a verification by replay", default="60"
    )
    parser.addini("agentracer_verify_runs", "limit of replays of a verification", default="40")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; activate the plugin if every test is recorded."""
    config.addinivalue_line("markers", _MARKER)
    if config.getoption("agentracer", default=False) or config.getini("agentracer"):
        _activate(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Activate the plugin if a test opts in."""
    if not config.pluginmanager.has_plugin(_RECORDING) and any(map(_opted_in, items)):
        _activate(config)


@pytest.fixture
def agentracer_run(request: pytest.FixtureRequest) -> AgentRun | _UnrecordedRun:
    """The recorded run of this test: set its task, ground truth, result and how to repeat it.

    See `agentracer._pytest.agent_run.AgentRun`.
    """
    recording = _activate(request.config)
    if recording is None:
        return _UnrecordedRun()
    run: AgentRun | None = recording.agent_run(request.node)
    return run or _UnrecordedRun()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print failures by blamed agent; it reads only the reports, so it works under xdist."""
    own = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if any(str(pair[0]).startswith("agentracer.") for pair in _properties(report))
    ]
    if own:
        try:
            importlib.import_module("agentracer._pytest.summary").write(terminalreporter, own)
        except Exception as error:  # noqa: BLE001 - a summary is not worth a failed session
            terminalreporter.write_line(f"agentracer: no summary: {type(error).__name__}")


def _properties(report: Any) -> list[tuple[str, object]]:
    return getattr(report, "user_properties", None) or []


def _opted_in(item: pytest.Item) -> bool:
    return item.get_closest_marker("agentracer") is not None or (
        "agentracer_run" in getattr(item, "fixturenames", ())
    )


def _activate(config: pytest.Config) -> Any:
    """Return the recording plugin, loaded on first use; None where loading fails."""
    plugins = config.pluginmanager
    if not plugins.has_plugin(_RECORDING) and not plugins.has_plugin(_LOAD_FAILURE):
        try:
            start = importlib.import_module("agentracer._pytest").start
            start(config, _RECORDING, _opted_in)
        except Exception as error:  # noqa: BLE001 - the tests must run without us
            plugins.register(_LoadFailure(f"{type(error).__name__}: {error}"), _LOAD_FAILURE)
    return plugins.get_plugin(_RECORDING)


class _LoadFailure:
    """Report at the end why nothing was recorded; a warning would be an error under `-W error`."""

    def __init__(self, why: str) -> None:
        self._why = why

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line(f"agentracer could not record these tests: {self._why}")


class _UnrecordedRun:
    """Replace an `AgentRun` where nothing can be recorded: accepts every call, does nothing."""

    id = task = ground_truth = result = trace = None

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_kwargs: None
