"""What all tests share: a store of their own, and capture that is undone."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path

import pytest

import agentracer
from agentracer import _guard

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # the environment of one framework's tests
    pass
else:  # how fast examples are drawn says something of the machine, not of the code
    settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")

WHOWHEN = Path(__file__).parents[1].parent / "shared" / "data" / "whowhen"


@pytest.fixture(scope="session", autouse=True)
def stack_without_source():
    """CAMEL inspects the stack in each step: looking for lines of source takes most of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "stack", _stack)
        yield


def _stack(context: int = 0) -> list[inspect.FrameInfo]:
    del context  # no lines of source, however many are asked for
    frame, frames = inspect.currentframe(), []
    while frame is not None and (frame := frame.f_back) is not None:
        code = frame.f_code
        frames.append(
            inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None)
        )
    return frames


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Every test has a store of its own."""
    path = tmp_path / "agentracer-home"
    monkeypatch.setenv("AGENTRACER_HOME", str(path))
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    return path


@pytest.fixture
def captured():
    """Frameworks are instrumented during the test, and left as they were after it."""
    agentracer.instrument()
    yield
    agentracer.uninstrument()


@pytest.fixture
def internal_errors(monkeypatch):
    """The internal errors that the test provokes are counted apart, and not reported at exit."""
    monkeypatch.setattr(_guard, "_counts", Counter())
    monkeypatch.setattr(_guard, "_first", {})
    monkeypatch.setattr(_guard, "_reported", 0)


@pytest.fixture(scope="session")
def whowhen_logs() -> Path:
    """The folder of the development half; other people's data is not part of this repository."""
    if not WHOWHEN.is_dir():
        pytest.skip(f"the Who&When logs are not at {WHOWHEN}")
    return WHOWHEN
