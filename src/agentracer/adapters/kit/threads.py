"""Carry the run that work belongs to into the threads of pools.

A thread of a pool knows nothing of the context in which work was handed to it. So the variables
that say where the calling code belongs, and no others, are set again around the work. Threads that
a program starts itself are left alone: they may outlive the run.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Final, TypeAlias

from agentracer._guard import guard
from agentracer.adapters.kit.patching import Patches
from agentracer.adapters.kit.scope import using
from agentracer.recording import Run, current_run, inside

__all__ = ["Carrier", "carry", "carry_variable", "enclosing_run", "install_pool_threads"]

Carrier: TypeAlias = Callable[[], Callable[[], AbstractContextManager[None]] | None]
"""Asked where work is handed over: what to enter around it, or None where there is nothing."""


def _carry_run() -> Callable[[], AbstractContextManager[None]] | None:
    run = current_run()
    return functools.partial(inside, run) if run is not None else None


_carriers: Final[list[Carrier]] = [_carry_run]


def carry(carrier: Carrier, patches: Patches) -> None:
    """Ask `carrier` whenever work is handed to a pool, until the patches are undone."""
    _carriers.append(carrier)
    patches.undo_with(lambda: _carriers.remove(carrier))


def carry_variable(variable: contextvars.ContextVar[Any], patches: Patches) -> None:
    """Carry the value of a context variable whose default is None."""

    def carrier() -> Callable[[], AbstractContextManager[None]] | None:
        value = variable.get()
        return functools.partial(using, variable, value) if value is not None else None

    carry(carrier, patches)


def enclosing_run() -> Run | None:
    """The run that the calling code belongs to, of a `record()` block or of any framework."""
    for carrier in _carriers:
        scope = carrier()
        if scope is not None:
            with scope():
                if (run := current_run()) is not None:
                    return run
    return None


def install_pool_threads(patches: Patches) -> None:
    """Have pools of threads carry over what the carriers say; `loop.run_in_executor` too."""
    if not patches.is_patched(ThreadPoolExecutor, "submit"):
        patches.wrap(ThreadPoolExecutor, "submit", _wrap_submit)


def _wrap_submit(original: Any) -> Any:
    def submit(pool: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        scopes: list[Callable[[], AbstractContextManager[None]]] = []
        with guard("threads.submit"):
            scopes = [scope for carrier in _carriers if (scope := carrier()) is not None]
        if scopes:
            fn = functools.partial(_run_inside, scopes, fn)
        return original(pool, fn, *args, **kwargs)

    return submit


def _run_inside(
    scopes: list[Callable[[], AbstractContextManager[None]]], fn: Any, /, *args: Any, **kwargs: Any
) -> Any:
    with contextlib.ExitStack() as stack:
        with guard("threads.enter"):
            for scope in scopes:
                stack.enter_context(scope())
        return fn(*args, **kwargs)
