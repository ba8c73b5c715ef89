"""What the pytest plugin does once it is wanted; see `agentracer.pytest_plugin`.

What is in it:

    settings    options and ini, read once
    watch       begins and ends the recording around each test
    handle      what a test holds of its own recording: the fixture `agentracer_run`
    finding     a failed test's trace and verdict, and how they get into its report
    proof       the verdict, proved by replay
    repeats     a test run several times; how often it fails, by decisive step
    summary     failures by blamed agent, at the end of the session
    harmless    the wall between all that and the outcome of a test
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentracer._pytest.repeats import Repeater
from agentracer._pytest.settings import Settings
from agentracer._pytest.watch import Watcher

__all__ = ["start"]


def start(config: pytest.Config, name: str, asks: Callable[[pytest.Item], bool]) -> Watcher:
    """Register the hooks.

    Args:
        config: of the session.
        name: under which the plugin is registered.
        asks: whether a test asks to be watched by itself.
    """
    settings = Settings.of(config)
    watcher = Watcher(settings, asks)
    config.pluginmanager.register(watcher, name)
    config.pluginmanager.register(Repeater(watcher), f"{name}-repeats")
    return watcher
