"""What all tests share: a store of their own, and capture that is undone."""

from __future__ import annotations

import pytest

import agentracer


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
