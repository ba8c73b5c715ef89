"""The contract of an adapter: capture, replay and advice for one framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Adapter", "AppliedAdvice"]


class AppliedAdvice:
    """A text in front of one agent, until it is retracted.

    Attributes:
        agent: who gets it.
        text: what it says.
    """

    def __init__(self, *, agent: str, text: str, undo: Callable[[], None]) -> None:
        self.agent, self.text = agent, text
        self._undo: Callable[[], None] | None = undo

    def retract(self) -> None:
        """Take the advice back exactly; retracting twice is fine."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()


class Adapter(Protocol):
    """Captures, replays and advises the systems of one framework.

    An adapter module has a module-level `adapter` of this shape; `agentracer.adapters.kit` has what
    adapters need to make one.

    *Capture.* Each top-level framework run belongs to `current_run()`, or, where no `record()`
    block encloses it, to an `open_run()` of its own. Model calls, tool calls and other actions
    go to that run's `recorder`.

    *Replay.* Where the framework calls models and tools, an adapter asks `current_run().replay` (a
    `ReplaySession`), if there is one, and returns its answers instead. What is answered is captured
    like any other call, its step marked with the attribute `replay`: `recorded`, `override` or
    `live`.

    *Host first.* Everything that an adapter does while the host runs happens inside
    `agentracer._guard.guard`.
    """

    name: str

    def install(self) -> None:
        """Hook into the framework. Called once; may raise if the framework has changed."""

    def uninstall(self) -> None:
        """Undo `install`: the framework's own objects are back in place.

        Also called after an `install` that raised, so it has to undo a part of one.
        """

    def advise(self, system: Any, agent: str, text: str) -> AppliedAdvice:
        """Put `text` in front of the named agent of `system`, from its next run on.

        Raises:
            ValueError: the system has no agent of that name.
        """
