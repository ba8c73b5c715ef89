"""`instrument()` and `uninstrument()`: which frameworks are captured.

Works before or after a framework is imported: what is imported already is hooked at once, the rest
by a post-import hook, so that nothing is imported that the program would not import itself.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Final

from agentracer._guard import guard
from agentracer.adapters.kit.patching import post_import

if TYPE_CHECKING:
    from agentracer.adapters._base import Adapter

__all__ = ["FRAMEWORKS", "instrument", "instrumented", "uninstrument"]

logger: Final = logging.getLogger("agentracer")


@dataclass(frozen=True, slots=True)
class _Framework:
    """`trigger` is the module whose import means that the framework is in use."""

    trigger: str
    adapter: str


FRAMEWORKS: Final = {
    "autogen": _Framework("autogen_agentchat.base", "agentracer.adapters.autogen"),
    "camel": _Framework("camel.agents.chat_agent", "agentracer.adapters.camel"),
    "langgraph": _Framework("langgraph.pregel", "agentracer.adapters.langgraph"),
    "maas": _Framework("maas", "agentracer.adapters.maas"),
}
"""What can be captured, by the name to give `instrument()`."""

_lock = threading.RLock()
_wanted: set[str] = set()
_installed: dict[str, Adapter] = {}
_hooks: dict[str, Callable[[], None]] = {}


def instrument(*frameworks: str) -> None:
    """Capture every run of the given frameworks, or of all that are known.

    Idempotent, and cheap where a framework is never imported. Nothing that goes wrong in capturing
    reaches the program.

    Args:
        *frameworks: names from `FRAMEWORKS`; all of them if none is given.

    Raises:
        ValueError: a name that is not in `FRAMEWORKS`.
    """
    unknown = set(frameworks) - set(FRAMEWORKS)
    if unknown:
        known = ", ".join(sorted(FRAMEWORKS))
        raise ValueError(f"unknown framework {min(unknown)!r}\n  remedy: one of {known}")
    with _lock:
        for name in frameworks or FRAMEWORKS:
            _wanted.add(name)
            if FRAMEWORKS[name].trigger in sys.modules:
                _install(name)
            else:
                _hook(name)


def uninstrument() -> None:
    """Capture nothing any more, and leave the frameworks exactly as they were."""
    with _lock:
        _wanted.clear()
        while _hooks:
            _hooks.popitem()[1]()
        while _installed:
            name, adapter = _installed.popitem()
            with guard(f"{name}.uninstall"):
                adapter.uninstall()


def instrumented() -> frozenset[str]:
    """The frameworks that `instrument()` was asked to capture."""
    return frozenset(_wanted)


def _hook(name: str) -> None:
    if name in _hooks:
        return

    def imported(_module: ModuleType) -> None:
        with _lock:
            if name in _wanted:
                _install(name)

    _hooks[name] = post_import(FRAMEWORKS[name].trigger, imported)


def _install(name: str) -> None:
    if name in _installed:
        return
    adapter: Adapter | None = None
    try:
        adapter = importlib.import_module(FRAMEWORKS[name].adapter).adapter
        adapter.install()
        _installed[name] = adapter
    except BaseException as error:
        if adapter is not None:
            with guard(f"{name}.roll_back"):
                adapter.uninstall()
        if not isinstance(error, Exception):
            raise
        logger.warning(
            "agentracer cannot capture %s here: %r. Your program is not affected; "
            "`agentracer doctor` shows which versions are supported.",
            name,
            error,
        )
