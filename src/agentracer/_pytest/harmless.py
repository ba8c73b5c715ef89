"""The wall between what we do and how a test ends."""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import Any

import pytest

from agentracer._guard import count_swallowed

__all__ = ["harmless", "restart_clock", "stop_clock"]


class harmless:  # noqa: N801 - reads as a statement: `with harmless("pytest.begin"):`
    """As `agentracer._guard.guard`, and more: in a test run, other things are raised than errors.

    `pytest.fail()` and `pytest.skip()`, which the user's checks may call and timeouts do, are no
    `Exception`s; a warning is one under `-W error`. Only what ends the session passes.

    Args:
        place: where in agentracer this is, for the report.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._warnings: Any = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._warnings.__exit__(kind, error, traceback)
        if error is None or isinstance(error, (KeyboardInterrupt, pytest.exit.Exception)):
            return False
        counted = error if isinstance(error, Exception) else RuntimeError(repr(error))
        count_swallowed(self._place, counted)
        return True


def stop_clock(item: pytest.Item) -> None:
    """Let the time limit that pytest-timeout sets a test not count what we do.

    Some limits end the whole process. Where a test failed, pytest-timeout itself stops its clock a
    moment later, so that this takes nothing away.
    """
    if item.config.pluginmanager.has_plugin("timeout"):
        item.ihook.pytest_timeout_cancel_timer(item=item)


def restart_clock(item: pytest.Item) -> None:
    """Give a test that is run again its time limit again."""
    timer = item.config.pluginmanager.get_plugin("timeout")
    if timer is not None and hasattr(timer, "_get_item_settings"):
        settings = timer._get_item_settings(item)  # there is no public way
        if settings.timeout is not None and settings.timeout > 0:
            item.ihook.pytest_timeout_cancel_timer(item=item)
            item.ihook.pytest_timeout_set_timer(item=item, settings=settings)
