"""The journal of a collection: finished items, so that it can be killed and resumed.

The first line says what is being collected; a journal of something else is not continued.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

from agentracer.errors import CollectionMismatch
from agentracer.locked_jsonl import LockedJsonl

__all__ = ["CollectionMismatch", "ItemJournal"]

_IN_USE = "another process collects into this folder\n  remedy: wait for it, or give another --out"


class ItemJournal:
    """The journal of one collection; use it in a `with` block.

    Args:
        path: the file.
        facts: what is being collected: seed, domains, versions.

    Attributes:
        finished: results of finished items, by index.

    Raises:
        CollectionMismatch: the file is about something else, or in use.
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._path, self._facts = path, facts
        self._file = LockedJsonl(path, in_use=_IN_USE, mode=0o644)
        try:
            self.finished = self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, result: dict[str, Any]) -> None:
        """Write a finished item. It survives the death of this process."""
        self.finished[result["index"]] = result
        self._file.append(result)

    def _read(self) -> dict[int, dict[str, Any]]:
        lines = self._file.read()
        if not lines:
            self._file.append({"collection": self._facts})
            return {}
        recorded = lines[0].get("collection")
        if recorded != self._facts:
            raise CollectionMismatch(
                f"{self._path}: this folder holds another collection\n"
                f"  there: {json.dumps(recorded)}\n  now:   {json.dumps(self._facts)}\n"
                "  remedy: give another --out, or the settings of the first collection"
            )
        return {line["index"]: line for line in lines[1:] if "index" in line}
