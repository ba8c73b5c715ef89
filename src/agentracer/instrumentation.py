"""`instrument()` and `uninstrument()`: which frameworks are captured.

Works before or after a framework is imported: what is imported already is hooked at once, the rest
by a post-import hook, so that nothing is imported that the program would not import itself.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from agentracer._guard import guard

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
_hooked: set[str] = set()


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
        while _installed:
            name, adapter = _installed.popitem()
            with guard(f"{name}.uninstall"):
                adapter.uninstall()


def instrumented() -> frozenset[str]:
    """The frameworks that `instrument()` was asked to capture."""
    return frozenset(_wanted)


def _hook(name: str) -> None:
    if name in _hooked:  # wrapt has no way to take a hook back, so one hook serves for good
        return
    import wrapt

    def imported(_module: ModuleType) -> None:
        with _lock:
            if name in _wanted:
                _install(name)

    wrapt.register_post_import_hook(imported, FRAMEWORKS[name].trigger)
    _hooked.add(name)


def _install(name: str) -> None:
    if name in _installed:
        return
    try:
        module: Any = importlib.import_module(FRAMEWORKS[name].adapter)
        module.adapter.install()
        _installed[name] = module.adapter
    except Exception as error:  # noqa: BLE001 - a framework we do not know must still work
        logger.warning(
            "agentracer cannot capture %s here: %r. Your program is not affected; "
            "`agentracer doctor` shows which versions are supported.",
            name,
            error,
        )
