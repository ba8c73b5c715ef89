"""Keep errors and time limits of ours away from the outcome of a test."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agentracer._guard import count_swallowed

__all__ = ["cancel_timeout", "restart_timeout", "suppress_errors"]


@contextmanager
def suppress_errors(place: str) -> Iterator[None]:
    """Swallow and count whatever is raised inside the block, and ignore its warnings.

    This goes further than `agentracer._guard.guard`: `pytest.fail()` and `pytest.skip()`, which
    checks of the user may call and time limits do call, are no `Exception`s, and under `-W error` a
    warning is raised. Only what ends the session passes.

    Args:
        place: where in agentracer this is, for the report.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except Exception as error:  # noqa: BLE001 - a test must not fail by an error of ours
        count_swallowed(place, error)
    except BaseException as error:  # noqa: BLE001 - outcomes of pytest among them
        count_swallowed(place, RuntimeError(repr(error)))


def cancel_timeout(item: pytest.Item) -> None:
    """Stop the time limit that pytest-timeout sets a test before work of ours begins.

    Some limits end the whole process. Where a test failed, pytest-timeout stops its clock itself a
    moment later, so the test is given no extra time.
    """
    if item.config.pluginmanager.has_plugin("timeout"):
        item.ihook.pytest_timeout_cancel_timer(item=item)


def restart_timeout(item: pytest.Item) -> None:
    """Start the time limit anew for a test that is run again."""
    timer = item.config.pluginmanager.get_plugin("timeout")
    if timer is not None and hasattr(timer, "_get_item_settings"):
        settings = timer._get_item_settings(item)  # there is no public way
        if settings.timeout is not None and settings.timeout > 0:
            item.ihook.pytest_timeout_cancel_timer(item=item)
            item.ihook.pytest_timeout_set_timer(item=item, settings=settings)
