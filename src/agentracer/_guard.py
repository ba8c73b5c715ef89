"""The one place where agentracer swallows its own errors.

After `instrument()` the user's program comes first: whatever goes wrong in our code is counted
here and reported once, and the program goes on as if we were not there. `BaseException`s that are
not errors (`KeyboardInterrupt`, cancellation) always pass.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import Counter
from types import TracebackType
from typing import Final

__all__ = ["guard", "report_swallowed", "swallowed"]

logger: Final = logging.getLogger("agentracer")

_lock = threading.Lock()
_counts: Counter[str] = Counter()
_first: dict[str, str] = {}
_reported = 0


class guard:  # noqa: N801 - reads as a statement: `with guard("langgraph.on_llm_end"):`
    """Swallow and count any `Exception` raised inside the block.

    Args:
        place: where in agentracer this is, for the report.
    """

    __slots__ = ("place",)

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        count_swallowed(self.place, error)
        return True


def count_swallowed(place: str, error: Exception) -> None:
    """Note an error of ours that the host must not see."""
    with _lock:
        _counts[place] += 1
        if place not in _first:
            _first[place] = f"{type(error).__name__}: {_message(error)}"
    logger.debug("agentracer swallowed an error of its own in %s", place, exc_info=error)


def swallowed() -> dict[str, int]:
    """How many errors were swallowed, by place, since the process started."""
    with _lock:
        return dict(_counts)


def report_swallowed(*, final: bool = False) -> None:
    """Warn once, with counts; once more at exit if there were more since."""
    global _reported  # noqa: PLW0603 - module state is what makes it once per process
    with _lock:
        total = sum(_counts.values())
        if total == _reported or (_reported and not final):
            return
        _reported = total
        detail = "; ".join(f"{place}: {n} x {_first[place]}" for place, n in _counts.items())
    logger.warning(
        "agentracer could not record everything: %d internal error(s) were swallowed (%s). "
        "Your program is not affected.",
        total,
        detail,
    )


def _message(error: Exception) -> str:
    try:
        return str(error)[:200]
    except Exception:  # noqa: BLE001 - an error whose __str__ raises
        return "(unprintable)"


def _forget_parent() -> None:
    global _lock, _reported  # noqa: PLW0603 - the parent may have held the lock at the fork
    _lock = threading.Lock()
    _counts.clear()
    _first.clear()
    _reported = 0


atexit.register(report_swallowed, final=True)
try:
    import os

    os.register_at_fork(after_in_child=_forget_parent)
except AttributeError:  # pragma: no cover - no fork on this platform
    pass
