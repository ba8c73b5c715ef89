"""What is replayed, how its success is told, and who knows what a step should have done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from agentracer.replay.override import Override
from agentracer.replay.policy import LIVE, ToolPolicy
from agentracer.store import Store
from agentracer.trace import Trace

__all__ = ["AsyncOracle", "Oracle", "System"]


class Oracle(Protocol):
    """Knows what a step should have done."""

    def __call__(self, trace: Trace, step: int, /) -> Override | None:
        """A minimal correction of one step, or None where there is nothing to correct."""


class AsyncOracle(Protocol):
    """An oracle that is awaited; the async searches take either kind."""

    def __call__(self, trace: Trace, step: int, /) -> Awaitable[Override | None]:
        """See `Oracle`."""


@dataclass(frozen=True, slots=True)
class System:
    """What is replayed, and how its success is told.

    Attributes:
        run: runs the system once, from the task, on fresh or reset objects. For the async
            searches: a function that returns an awaitable.
        check: given what `run` returned, says whether it succeeded.
        store: where the replayed traces go; the default store if None.
        policy: which tools may really run in a replay.
        deterministic: True if the same prompts always get the same answers, so that nothing needs
            repeating; False if they do not; None if that is for the search to find out. A search
            that is told True and then sees two replays of the same thing end differently says so
            and confirms nothing.
    """

    run: Callable[[], Any]
    check: Callable[[Any], Any]
    store: Store | None = None
    policy: ToolPolicy = LIVE
    deterministic: bool | None = None
