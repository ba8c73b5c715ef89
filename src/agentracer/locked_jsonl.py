"""An append-only file of JSON lines that one writer at a time holds locked.

Searches by replay, iterations of `evolve` and collections keep what they finished in such a file,
so that they can be killed and resumed. A line is in the page cache when `append` returns: it
survives the death of the process, though not a power cut. A last line that was cut off is skipped
when the file is read, and what is appended after it starts on a line of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agentracer.errors import CollectionMismatch, StoreError

__all__ = ["LockedJsonl", "last_attempt"]


class LockedJsonl:
    """A locked file of JSON objects, one a line; use it in a `with` block.

    Args:
        path: the file; made, with its folder, where it is missing.
        in_use: what to say where another writer holds it: what is going on there, and the remedy.
        mode: permissions of a new file.

    Raises:
        CollectionMismatch: another writer holds the file.
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path, *, in_use: str, mode: int = 0o600) -> None:
        self.path = path
        self._mutex = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise CollectionMismatch(f"{path}: {in_use}") from error
        self._starts_line = self._ends_with_newline()

    def read(self) -> list[dict[str, Any]]:
        """Return the objects in the file, in order; lines that are no JSON object are skipped."""
        with self.path.open("rb") as lines:
            return [value for line in lines if (value := _parse(line)) is not None]

    def append(self, value: dict[str, Any]) -> None:
        """Write one object as a line.

        Raises:
            StoreError: the line cannot be written, as when the disk is full.
        """
        data = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        with self._mutex:
            self._write(data if self._starts_line else b"\n" + data)
            self._starts_line = True

    def close(self) -> None:
        """Close the file and give up the lock; closing twice does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _ends_with_newline(self) -> bool:
        size = os.fstat(self._file).st_size
        return size == 0 or os.pread(self._file, 1, size - 1) == b"\n"


def last_attempt(
    events: list[dict[str, Any]], field: str, settings: dict[str, Any]
) -> list[dict[str, Any]] | None:
    """Return the events of the last attempt after its `begin`, if it can be resumed.

    A journal of attempts has a `begin` line with the settings of each (`{"e": "begin", ...}`),
    lines for what was finished, and an `end` line where the attempt was completed.

    Args:
        events: the lines of the journal.
        field: key under which a `begin` line has its settings.
        settings: what the attempt must have had; they are compared as JSON data.

    Returns:
        None where there is no attempt, the last one was completed, or it had other settings.
    """
    starts = [i for i, event in enumerate(events) if event.get("e") == "begin"]
    last = events[starts[-1] :] if starts else []
    finished = any(event.get("e") == "end" for event in last)
    if not last or finished or last[0].get(field) != json.loads(json.dumps(settings)):
        return None
    return last[1:]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
