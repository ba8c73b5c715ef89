"""The part of the pytest plugin that is loaded once a session uses it.

`agentracer.pytest_plugin` is what pytest always loads. The modules:

    settings      options and ini settings, read once a session
    recording     the hooks that record each test
    agent_run     what the fixture `agentracer_run` returns
    diagnosis     trace and verdict of a failed test, and how they get into its report
    verification  the verdict, verified by replay
    repeats       a test run several times
    flips         how often a repeated test failed, by decisive step
    summary       failures by blamed agent, at the end of the session
    suppress      keeps our errors and time limits away from the outcome of a test
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentracer._pytest.recording import RecordingPlugin
from agentracer._pytest.repeats import RepeatPlugin
from agentracer._pytest.settings import PluginSettings

__all__ = ["start"]


def start(
    config: pytest.Config, name: str, opted_in: Callable[[pytest.Item], bool]
) -> RecordingPlugin:
    """Register the hooks.

    Args:
        config: of the session.
        name: under which the plugin is registered.
        opted_in: whether a test asks to be recorded by marker or fixture.
    """
    settings = PluginSettings.of(config)
    recording = RecordingPlugin(settings, opted_in)
    config.pluginmanager.register(recording, name)
    config.pluginmanager.register(RepeatPlugin(recording), f"{name}-repeats")
    return recording
