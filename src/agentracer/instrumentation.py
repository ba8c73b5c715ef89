"""`instrument()` and `uninstrument()`: which frameworks are captured.

Works before or after a framework is imported: what is imported already is hooked at once, the rest
by a post-import hook, so that nothing is imported that the program would not import itself.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Final

from agentracer._guard import guard
from agentracer.adapters.kit.patching import Patches, post_import
from agentracer.adapters.kit.threads import install_pool_threads
from agentracer.frameworks.base import Adapter
from agentracer.frameworks.registry import installed, load, specs
from agentracer.frameworks.spec import AdapterSpec
from agentracer.recording import prepare

__all__ = ["instrument", "instrumented", "uninstrument"]

logger: Final = logging.getLogger("agentracer")


_lock = threading.RLock()
_requested: set[str] = set()
_warned: set[str] = set()  # frameworks of an untested version: said once per process
_hooks: dict[str, Callable[[], None]] = {}
_pool_threads = Patches("pool threads")


def instrument(*frameworks: str) -> None:
    """Capture every run of the given frameworks, or of all that are known.

    Idempotent, and cheap where a framework is never imported. Nothing that goes wrong in capturing
    reaches the program.

    Args:
        *frameworks: names of adapters, such as "langgraph"; all that are known if none is given.

    Raises:
        ValueError: there is no adapter of that name.
    """
    registered = specs()
    unknown = set(frameworks) - set(registered)
    if unknown:
        names = ", ".join(sorted(registered))
        raise ValueError(f"unknown framework {min(unknown)!r}\n  remedy: one of {names}")
    with guard("instrumentation.store"):
        prepare()
    with _lock:
        with guard("instrumentation.threads"):
            install_pool_threads(_pool_threads)
        for name in frameworks or registered:
            _requested.add(name)
            if registered[name].trigger in sys.modules:
                _install(registered[name])
            else:
                _hook(registered[name])


def uninstrument() -> None:
    """Capture nothing any more, and leave the frameworks exactly as they were."""
    with _lock:
        _requested.clear()
        while _hooks:
            _hooks.popitem()[1]()
        while installed:
            name, adapter = installed.popitem()
            with guard(f"{name}.uninstall"):
                adapter.uninstall()
        _pool_threads.undo()


def instrumented() -> frozenset[str]:
    """The frameworks that `instrument()` was asked to capture."""
    return frozenset(_requested)


def _hook(spec: AdapterSpec) -> None:
    if spec.name in _hooks:
        return

    def imported(_module: ModuleType) -> None:
        with _lock:
            if spec.name in _requested:
                _install(spec)

    _hooks[spec.name] = post_import(spec.trigger, imported)


def _install(spec: AdapterSpec) -> None:
    name = spec.name
    if name in installed:
        return
    adapter: Adapter | None = None
    try:
        adapter = load(name)
        adapter.install()
        installed[name] = adapter
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
    else:
        with guard(f"{name}.version"):
            _warn_if_untested(spec)


def _warn_if_untested(spec: AdapterSpec) -> None:
    version = spec.installed_version()
    if version is not None and not spec.is_tested(version) and spec.name not in _warned:
        _warned.add(spec.name)
        logger.warning(
            "agentracer: %s %s is installed; capture was tested with %s. What it records may be "
            "incomplete; `agentracer doctor` shows the tested versions.",
            *(spec.distribution, version, spec.tested_text),
        )
