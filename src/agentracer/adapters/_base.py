"""The contract that all adapters share."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Adapter"]


class Adapter(Protocol):
    """Captures the runs of one framework.

    An adapter module has a module-level `adapter` of this shape. Everything that it does while the
    host runs happens inside `agentracer._guard.guard`.
    """

    name: str

    def install(self) -> None:
        """Hook into the framework. Called once; may raise if the framework has changed."""

    def uninstall(self) -> None:
        """Undo `install` exactly: the framework's own objects are back in place."""
