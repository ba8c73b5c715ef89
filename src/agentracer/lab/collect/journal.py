"""What a collection has finished, one JSON line each, so that it can be killed and go on.

The first line says what is being collected; a journal of something else is not continued. Lines are
appended by one process, whole, and a last line that was cut off is done again.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any, Self

from agentracer.errors import CollectionMismatch

__all__ = ["CollectionMismatch", "ItemJournal"]


class ItemJournal:
    """The journal of one collection; use it in a `with` block.

    Args:
        path: the file.
        facts: what is being collected: seed, domains, versions.

    Raises:
        CollectionMismatch: the file is about something else, or in use.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._facts = path, facts
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise CollectionMismatch(
                f"{path}: another process collects into this folder\n"
                "  remedy: wait for it, or give another --out"
            ) from error
        self.finished = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def add(self, result: dict[str, Any]) -> None:
        """Keep a finished item. It survives the death of this process."""
        self.finished[result["index"]] = result
        self._write(result)

    def _write(self, value: dict[str, Any]) -> None:
        data = json.dumps(value, ensure_ascii=False).encode() + b"\n"
        while data:
            data = data[os.write(self._file, data) :]

    def _read(self) -> dict[int, dict[str, Any]]:
        content = self._path.read_bytes()
        lines = content.split(b"\n")
        if content and not content.endswith(b"\n"):  # cut off: what follows starts a line anew
            os.write(self._file, b"\n")
        known = [value for value in map(_parsed, lines) if value is not None]
        if not known:
            self._write({"collection": self._facts})
            return {}
        found = known[0].get("collection")
        if found != self._facts:
            raise CollectionMismatch(
                f"{self._path}: this folder holds another collection\n"
                f"  there: {json.dumps(found)}\n  now:   {json.dumps(self._facts)}\n"
                "  remedy: give another --out, or the settings of then"
            )
        return {value["index"]: value for value in known[1:] if "index" in value}


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
