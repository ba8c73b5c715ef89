"""One run's events on disk, one JSON line each, written before the host goes on.

A line is appended to a file in the page cache: about 15 µs, and it survives the death of the
process (SIGKILL), though not a power cut. If the disk stalls, the host must not: as soon as one
write was slow, or another thread is stuck in one, lines go to a bounded backlog that a background
thread writes, and what does not fit there is dropped and counted.

If the disk fails (full, over quota, unplugged) or the folder is removed, lines are kept in memory.
They are written as soon as the disk takes them, in order and without gaps, so a file that holds the
last event of a run holds all of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

__all__ = ["Journal"]

PATIENCE = 0.05
"""Seconds that a host thread may lose to one write before the backlog takes over."""

BACKLOG_LINES = 10_000
BACKLOG_BYTES = 64 * 2**20

MEMORY_BYTES = 256 * 2**20
"""What is kept of a run whose disk has failed."""

RETRY_SECONDS = 1.0
"""How long a disk that has failed is left alone before it is tried again."""


class Journal:
    """An append-only file of lines, safe for threads.

    Args:
        path: created, with its directory; kept private to the user.
        on_failure: called once with the error when the disk fails and lines stay in memory.
        on_recovery: called when the disk has taken all of them after all.

    Attributes:
        dropped: lines that were lost, by reason.

    Raises:
        OSError: the file cannot be created.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_failure: Callable[[OSError], None] | None = None,
        on_recovery: Callable[[], None] | None = None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.dropped: Counter[str] = Counter()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._size = os.fstat(self._file).st_size  # what is there in whole lines
        self._on_failure, self._on_recovery = on_failure, on_recovery
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0
        self._next_try = 0.0
        self._rescued: list[bytes] | None = None
        self._lock = threading.Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._writer: threading.Thread | None = None

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
        """Write the backlog, for at most `timeout` seconds, and close the file."""
        writer = self._writer
        if writer is not None:
            writer.join(timeout)
        if not self._lock.acquire(timeout=timeout):
            return
        try:
            if self._writer is None and self._file >= 0:
                while self._backlog:
                    self._write(self._backlog.popleft())
                self._flush()
                self._rescued = self._memory_lines()
                if self._rescued is not None and self._size == 0:
                    with contextlib.suppress(OSError):  # an empty file says nothing of the run
                        self.path.unlink(missing_ok=True)
                os.close(self._file)
                self._file = -1
        finally:
            self._lock.release()

    def memory_lines(self) -> list[bytes] | None:
        """All lines of the run where the disk does not hold them all; None where it does."""
        with self._lock:
            return self._memory_lines() if self._file >= 0 else self._rescued

    def _memory_lines(self) -> list[bytes] | None:
        removed = os.fstat(self._file).st_nlink == 0
        if removed and not self._unwritten:
            self._report(OSError(errno.ENOENT, "the folder was removed while the run went on"))
        if not removed and not self._unwritten:
            return None
        written = os.pread(self._file, self._size, 0).splitlines()
        return [*written, *self._unwritten]

    def _write(self, line: bytes) -> None:
        if self._file < 0:
            self.dropped["closed"] += 1
        elif self._unwritten:
            self._keep(line)
            if time.monotonic() >= self._next_try:
                self._flush()
        else:
            try:
                self._write_all(line + b"\n")
            except OSError as error:
                self._keep(line)
                self._next_try = time.monotonic() + RETRY_SECONDS
                self._report(error)

    def _write_all(self, data: bytes) -> None:
        """Write whole lines or nothing.

        Raises:
            OSError: the disk did not take them; a part that it took is cut off again.
        """
        rest = data
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                self._unwritten.insert(0, b"")  # what is next begins on a line of its own
            raise
        self._size += len(data)

    def _keep(self, line: bytes) -> None:
        if self._unwritten_bytes + len(line) > MEMORY_BYTES:
            self.dropped["disk"] += 1
            return
        self._unwritten.append(line)
        self._unwritten_bytes += len(line)

    def _flush(self) -> None:
        """Write what the disk did not take before, if it takes it now."""
        if not self._unwritten:
            return
        try:
            self._write_all(b"\n".join(self._unwritten) + b"\n")
        except OSError:
            self._next_try = time.monotonic() + RETRY_SECONDS
        else:
            self._unwritten.clear()
            self._unwritten_bytes = 0
            if self._on_recovery is not None:
                self._on_recovery()

    def _report(self, error: OSError) -> None:
        if self._on_failure is not None:
            self._on_failure(error)
            self._on_failure = None

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
            target=self._write_backlog, name="agentracer-journal", daemon=True
        )
        try:
            self._writer.start()
        except RuntimeError:  # no more threads, or the interpreter is going down
            self._writer = None  # `close` writes the backlog

    def _write_backlog(self) -> None:
        while True:
            with self._lock:
                try:
                    line = self._backlog.popleft()
                except IndexError:
                    self._writer = None  # the disk has caught up: direct writes again
                    return
                self._backlog_bytes -= len(line)
                self._write(line)
