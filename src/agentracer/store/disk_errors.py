"""Say once that a store cannot be written, and count the runs that this concerns."""

from __future__ import annotations

import atexit
import logging
import threading
from collections import defaultdict
from pathlib import Path
from typing import Final

__all__ = ["report_disk_error", "reset_disk_errors", "withdraw_disk_error"]

logger: Final = logging.getLogger("agentracer")

_lock = threading.Lock()
_runs: dict[Path, set[str]] = defaultdict(set)
_reasons: dict[Path, str] = {}


def report_disk_error(home: Path, trace_id: str, error: Exception) -> None:
    """Warn at the first run of a store that the disk does not take; count the others.

    Args:
        home: the folder of the store.
        trace_id: the run that is kept in memory instead.
        error: what went wrong.
    """
    reason = getattr(error, "strerror", None) or str(error)
    with _lock:
        is_first = home not in _reasons
        _runs[home].add(trace_id)
        _reasons[home] = reason
    if is_first:
        logger.warning(
            "agentracer: %s: cannot be written (%s); runs are kept in memory only until it can\n"
            "  remedy: free space, or set AGENTRACER_HOME to a writable directory",
            home,
            reason,
        )


def withdraw_disk_error(home: Path, trace_id: str) -> None:
    """Take a run back from the count: the disk has taken it after all."""
    with _lock:
        _runs[home].discard(trace_id)


def reset_disk_errors() -> None:
    """Forget what was reported: after a fork, and between tests."""
    global _lock  # noqa: PLW0603 - the parent may have held it at the fork
    _lock = threading.Lock()
    _runs.clear()
    _reasons.clear()


def _report_at_exit() -> None:
    for home, runs in _runs.items():
        if len(runs) > 1:
            logger.warning(
                "agentracer: %s: %d runs were not written (%s) and are lost",
                home,
                len(runs),
                _reasons[home],
            )


atexit.register(_report_at_exit)
