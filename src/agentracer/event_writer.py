"""Writes events without blocking an event loop.

In synchronous code an event is in its sink before the host goes on. On an event loop neither a file
is opened nor a line written: a thread does both, within milliseconds. Lines of one run stay in
order, whoever writes them.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import threading
import time
import weakref
from _thread import start_new_thread
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, Protocol

from agentracer._guard import guard

__all__ = ["EventWriter", "on_event_loop", "write_pending"]

BACKLOG_LINES: Final = 20_000
"""Lines of one run that wait for the thread at most; more are dropped and counted."""

EXIT_PATIENCE: Final = 2.0
"""Seconds that the end of the process waits for lines that are not written yet."""


def on_event_loop() -> bool:
    """Whether the calling code runs on an event loop, which must not be blocked."""
    return asyncio._get_running_loop() is not None


class _Sink(Protocol):
    """Where lines go."""

    @property
    def dropped(self) -> Counter[str]: ...

    def append(self, line: bytes) -> None: ...

    def close(self) -> None: ...

    def memory_lines(self) -> list[bytes] | None: ...


class EventWriter:
    """A sink that opens another one when the first line comes, and never blocks an event loop.

    Args:
        open_sink: makes the real sink; called once, in synchronous code or by the thread.
    """

    def __init__(self, open_sink: Callable[[], _Sink]) -> None:
        self._open_sink = open_sink
        self._sink: _Sink | None = None
        self._lines: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._late: Counter[str] = Counter()
        self._closing = self._closed = False
        _open_writers.add(self)

    @property
    def dropped(self) -> Counter[str]:
        """Lines that were lost, by reason."""
        return self._late + (self._sink.dropped if self._sink is not None else Counter())

    @property
    def sink(self) -> _Sink | None:
        """The real sink, once it is open."""
        return self._sink

    @property
    def is_pending(self) -> bool:
        """Whether lines, or the end, wait for the thread."""
        return bool(self._lines) or (self._closing and not self._closed)

    def append(self, line: bytes) -> None:
        """Keep one line: written when this returns, or soon after it on an event loop."""
        if self._closing or len(self._lines) >= BACKLOG_LINES:
            self._late["closed" if self._closing else "queue"] += 1
            return
        self._lines.append(line)
        if on_event_loop():
            _thread.wake(self)
        else:
            self.flush()

    def memory_lines(self) -> list[bytes] | None:
        """All lines, where the disk does not hold them all; None where it does."""
        self.flush()
        return self._sink.memory_lines() if self._sink is not None else []

    def close(self) -> None:
        """No more lines will come."""
        self._closing = True
        if on_event_loop():
            _thread.wake(self)
        else:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Blocks: not to be called on an event loop."""
        if not self._lock.acquire(timeout=EXIT_PATIENCE):
            return  # another thread is stuck in a write: what waits is written by it, or lost
        try:
            while self._lines:
                if self._sink is None:
                    self._sink = self._open_sink()
                self._sink.append(self._lines.popleft())
            if self._closing and not self._closed:
                self._closed = True
                _open_writers.discard(self)
                if self._sink is not None:
                    self._sink.close()
        finally:
            self._lock.release()


class _Thread:
    """The thread that writes for event loops; it is started by the first line that needs it."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[EventWriter] = queue.SimpleQueue()
        self._started = False

    def wake(self, writer: EventWriter) -> None:
        """Have a writer flushed."""
        self._waiting.put(writer)
        if not self._started:
            with guard("event_writer.start"):
                # Not `Thread.start()`, which waits until the thread runs.
                start_new_thread(self._work, ())
                self._started = True

    def _work(self) -> None:
        while True:
            writer = self._waiting.get()
            with guard("event_writer"):
                writer.flush()
            del writer


_thread = _Thread()
_open_writers: weakref.WeakSet[EventWriter] = weakref.WeakSet()


def _snapshot() -> list[EventWriter]:
    """The writers that are open; another thread may open one meanwhile."""
    while True:
        try:
            return list(_open_writers)
        except RuntimeError:
            continue


def write_pending() -> None:
    """Write what waits for the thread: before a store is read, and when the process ends."""
    deadline = time.monotonic() + EXIT_PATIENCE
    for writer in _snapshot():
        if time.monotonic() < deadline and writer.is_pending:
            with guard("event_writer.pending"):
                writer.flush()


def _after_fork() -> None:
    global _thread  # noqa: PLW0603 - the parent's thread does not run in the child
    _thread = _Thread()
    for writer in list(_open_writers):  # what waits there is written by the parent
        writer._lines.clear()
        writer._lock = threading.Lock()


atexit.register(write_pending)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
