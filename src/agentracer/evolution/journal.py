"""What an iteration has finished, on disk, so that it can be killed and goes on where it was.

One file for each iteration, `evolution/<session>.jsonl` beside the traces, one JSON line each:

    begin    an iteration starts; `settings` says what it is
    start    ids of the changes that were in place from the start
    run      key, result             one finished run
    blame    key, result             one verdict, and what it cost
    end      the iteration is complete

The loop makes the same decisions from the same results, so results are all that is kept. A run that
was under way is made again. An iteration resumes the last one in the file if that has the same
settings and no `end`, as replay searches do (`replay.journal`).
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agentracer.locked_jsonl import LockedJsonl, last_attempt

__all__ = ["EvolutionJournal"]

_IN_USE = (
    "another process is at work on this iteration\n"
    "  remedy: wait for it, or give evolve(session=...) another name"
)


class EvolutionJournal:
    """The journal of one iteration; use it in a `with` block.

    Args:
        path: the file; made where it is missing.
        settings: what has to be the same for an iteration to be resumed, as JSON data.
        start: ids of the changes that are in place from the start. Of an iteration that is resumed,
            those of then count.
        resume: whether to go on with an interrupted iteration at all.

    Attributes:
        resumed: whether it goes on with one.
        start: see above.

    Raises:
        CollectionMismatch: another process is at work on the same iteration.
        StoreError: the file cannot be written.
    """

    def __init__(
        self, path: Path, settings: dict[str, Any], start: list[str], *, resume: bool = True
    ) -> None:
        self.path, self.start = path, start
        self._known: dict[tuple[str, str], dict[str, Any]] = {}
        self._file = LockedJsonl(path, in_use=_IN_USE)
        self.resumed = resume and self._read(settings)
        if not self.resumed:
            self._write(e="begin", settings=settings)
            self._write(e="start", changes=start)

    def known(self, kind: str, key: str) -> dict[str, Any] | None:
        """The result of a finished run or verdict."""
        return self._known.get((kind, key))

    def add(self, kind: str, key: str, result: dict[str, Any]) -> None:
        """Keep a finished run or verdict."""
        self._write(e=kind, key=key, result=result)

    def end(self) -> None:
        """The iteration is complete: nothing is to be resumed."""
        self._write(e="end")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def _write(self, **event: Any) -> None:
        self._file.append(event)

    def _read(self, settings: dict[str, Any]) -> bool:
        events = last_attempt(self._file.read(), "settings", settings)
        for event in events or ():
            if event.get("e") == "start":
                self.start = list(event["changes"])
            elif event.get("e") in ("run", "blame"):
                self._known[event["e"], event["key"]] = event["result"]
        return events is not None
