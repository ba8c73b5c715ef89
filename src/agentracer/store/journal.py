"""One run's events on disk, one JSON line each, written before the host goes on.

A line is appended to a file in the page cache: about 15 µs, and it survives the death of the
process (SIGKILL), though not a power cut. If the disk stalls, the host must not: as soon as one
write was slow, or another thread is stuck in one, lines go to a bounded backlog that a background
thread writes off, and what does not fit there is dropped and counted.

It knows lines, not what they mean; `agentracer.store.fold` does.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from pathlib import Path

__all__ = ["Journal"]

PATIENCE = 0.05
"""Seconds that a host thread may lose to one write before the backlog takes over."""

BACKLOG_LINES = 10_000
BACKLOG_BYTES = 64 * 2**20


class Journal:
    """An append-only file of lines, safe for threads.

    Args:
        path: created, with its directory; kept private to the user.

    Raises:
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.dropped: Counter[str] = Counter()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._lock = threading.Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._writer: threading.Thread | None = None
        self._torn = False

    def append(self, line: bytes) -> None:
        """Write one line (no newline in it). Never blocks for long, never raises `OSError`."""
        if self._writer is None and self._lock.acquire(timeout=PATIENCE):
            try:
                if self._writer is None:
                    started = time.perf_counter()
                    self._write(line)
                    if self._backlog or time.perf_counter() - started > PATIENCE:
                        self._start_writer()
                    return
            finally:
                self._lock.release()
        self._defer(line)

    def close(self, timeout: float = 2.0) -> None:
        """Write off the backlog, for at most `timeout` seconds, and close the file."""
        writer = self._writer
        if writer is not None:
            writer.join(timeout)
        if not self._lock.acquire(timeout=timeout):
            return
        try:
            if self._writer is None and self._file >= 0:
                while self._backlog:
                    self._write(self._backlog.popleft())
                os.close(self._file)
                self._file = -1
        finally:
            self._lock.release()

    def _write(self, line: bytes) -> None:
        if self._file < 0:
            self.dropped["closed"] += 1
            return
        data = b"\n" + line + b"\n" if self._torn else line + b"\n"
        self._torn = False
        try:
            while data:
                written = os.write(self._file, data)
                data = data[written:]
        except OSError:
            self._torn = True  # a part may be there: the next line starts on a line of its own
            self.dropped["disk"] += 1

    def _defer(self, line: bytes) -> None:
        full = len(self._backlog) >= BACKLOG_LINES or self._backlog_bytes >= BACKLOG_BYTES
        if full:
            self.dropped["queue"] += 1
            return
        self._backlog.append(line)
        self._backlog_bytes += len(line)
        if self._writer is None and self._lock.acquire(blocking=False):
            try:
                self._start_writer()
            finally:
                self._lock.release()

    def _start_writer(self) -> None:
        if self._writer is not None:
            return
        self._writer = threading.Thread(
            target=self._write_off, name="agentracer-journal", daemon=True
        )
        try:
            self._writer.start()
        except RuntimeError:  # no more threads, or the interpreter is going down
            self._writer = None  # `close` writes the backlog off

    def _write_off(self) -> None:
        while True:
            with self._lock:
                try:
                    line = self._backlog.popleft()
                except IndexError:
                    self._writer = None  # the disk has caught up: direct writes again
                    return
                self._backlog_bytes -= len(line)
                self._write(line)
