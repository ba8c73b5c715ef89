"""What happens after a run has failed: attribution and the user's callbacks, out of harm's way.

Nothing here runs on the host's threads. One worker attributes failed runs in order; each callback
runs on a daemon thread of its own, so that one that raises is logged, and one that hangs hurts
nobody. At exit, work under way gets `EXIT_PATIENCE` seconds.
"""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from agentracer._guard import guard
from agentracer.encoding import safe_repr

if TYPE_CHECKING:
    from agentracer.attribution import Tracer
    from agentracer.trace import Trace
    from agentracer.verdict import Verdict

__all__ = ["EndedRun", "FailureCallback", "Registration", "failed", "flush", "on_failure"]

logger: Final = logging.getLogger("agentracer")

FailureCallback = Callable[["Trace", "Verdict"], object]
"""Called with the trace of a failed run and the verdict on it; what it returns is ignored."""

EXIT_PATIENCE = 2.0
MAX_WAITING = 1_000
MAX_CALLBACKS = 64


class EndedRun(Protocol):
    """What this module needs of a run."""

    @property
    def trace(self) -> Trace:
        """The recorded trace."""

    def save_verdict(self, verdict: Verdict) -> object:
        """Keep the verdict where the trace is kept."""


class Registration:
    """A callback that is registered; `remove()` undoes it."""

    def __init__(self, callback: FailureCallback, tracer: Tracer) -> None:
        self.callback, self.tracer = callback, tracer

    def remove(self) -> None:
        """Do not call the callback any more. Removing twice is fine."""
        if self in _registrations:
            _registrations.remove(self)


_registrations: list[Registration] = []
_lock = threading.Lock()
_waiting: queue.Queue[EndedRun] = queue.Queue(MAX_WAITING)
_worker: threading.Thread | None = None
_callbacks: set[threading.Thread] = set()


def on_failure(callback: FailureCallback, *, tracer: Tracer | None = None) -> Registration:
    """Call `callback(trace, verdict)` after every failed run.

    A run has failed if it raised, if its `check` said so, or if `run.fail()` was called.

    Args:
        callback: runs on a thread of its own; what it raises is logged, not raised.
        tracer: who attributes; `Tracer()`, the embedded one, if None.

    Raises:
        TypeError: the callback cannot be called, or is async.

    Returns:
        The registration, to `remove()` it again.
    """
    if not callable(callback):
        raise TypeError(
            f"on_failure() is given {safe_repr(callback, 80)}, which cannot be called\n"
            "  remedy: give a function of the trace and the verdict"
        )
    if inspect.iscoroutinefunction(callback):
        raise TypeError(
            "on_failure() is given an async function, which nothing would await\n"
            "  remedy: give a function; it runs on a thread of its own and may use asyncio.run()"
        )
    # Loaded now: at exit, when the last failure may come, Python refuses to load some modules.
    from agentracer.attribution import Tracer

    registration = Registration(callback, tracer or Tracer())
    _registrations.append(registration)
    return registration


def failed(run: EndedRun) -> None:
    """Note that a run failed. Returns at once."""
    if not _registrations:
        return
    try:
        _waiting.put_nowait(run)
    except queue.Full:
        logger.warning("agentracer: too many failed runs wait for attribution; one is skipped")
        return
    _ensure_worker()


def flush(timeout: float = 10.0) -> bool:
    """Wait until all failed runs are attributed and their callbacks have returned.

    Args:
        timeout: seconds to wait at most.

    Returns:
        Whether everything was done in time.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        # In this order: the worker starts a callback before it reports the run as attributed.
        attributed = not _waiting.unfinished_tasks
        with _lock:
            running = [thread for thread in _callbacks if thread.is_alive()]
            _callbacks.intersection_update(running)
        if attributed and not running:
            return True
        if running:
            running[0].join(min(0.05, max(0.0, deadline - time.monotonic())))
        else:
            time.sleep(0.005)
    return False


def _ensure_worker() -> None:
    global _worker  # noqa: PLW0603 - one worker per process
    with _lock:
        if _worker is None or not _worker.is_alive():
            _worker = threading.Thread(target=_work, name="agentracer-failures", daemon=True)
            _worker.start()


def _work() -> None:
    while True:
        run = _waiting.get()
        try:
            with guard("failures.attribute"):
                _handle(run)
        finally:
            _waiting.task_done()


def _handle(run: EndedRun) -> None:
    trace = run.trace
    for registration in _registrations:
        with guard("failures.tracer"):
            verdict = registration.tracer.attribute(trace)
            with guard("failures.save_verdict"):
                run.save_verdict(verdict)
            if "opentelemetry.sdk" in sys.modules:
                with guard("failures.emit_verdict"):
                    _emit(verdict, trace)
            _call(registration.callback, trace, verdict)


def _emit(verdict: Verdict, trace: Trace) -> None:
    """Tell OpenTelemetry, where the host uses it, so that the verdict shows in its backend."""
    from agentracer.formats.otel.export import emit_verdict

    emit_verdict(verdict, trace)


def _call(callback: FailureCallback, trace: Trace, verdict: Verdict) -> None:
    def run() -> None:
        try:
            callback(trace, verdict)
        except Exception:
            logger.exception("agentracer: an on_failure callback raised")

    thread = threading.Thread(target=run, name="agentracer-callback", daemon=True)
    with _lock:
        _callbacks.intersection_update([t for t in _callbacks if t.is_alive()])
        if len(_callbacks) >= MAX_CALLBACKS:
            logger.warning("agentracer: %d callbacks hang; one is not called", len(_callbacks))
            return
        try:
            thread.start()  # under the lock: a thread that has not started counts as ended
        except RuntimeError:  # there are no more threads, or (from 3.12 on) Python is ending
            started = False
        else:
            started = True
            _callbacks.add(thread)
    if not started:
        run()  # on this thread, the worker's: `flush` waits for it too


def _after_fork() -> None:
    global _lock, _waiting, _worker
    _lock, _waiting, _worker = threading.Lock(), queue.Queue(MAX_WAITING), None
    _callbacks.clear()


atexit.register(flush, EXIT_PATIENCE)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
