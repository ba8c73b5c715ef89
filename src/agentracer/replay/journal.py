"""Finished replays on disk, so that a search that was killed goes on where it was.

One file for each trace, `replays/<trace id>.jsonl` beside the traces, one JSON line for each thing
that was finished:

    begin    a search starts; `search` says with which settings
    oracle   step, override          what the oracle proposed (null: nothing to correct)
    replay   key, result             one replay; the same key may come again, for each repetition
    end      the search is complete

A search resumes the last one in the file if that has the same settings and no `end`. Otherwise it
begins anew: the system may have changed since, so results are not reused from search to search.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agentracer.locked_jsonl import LockedJsonl, last_attempt
from agentracer.replay.override import Override, from_facts, to_facts
from agentracer.replay.trial import ReplayRequest, ReplayResult
from agentracer.usage import Usage

__all__ = ["ReplayJournal", "replay_key"]

_IN_USE = (
    "another search replays this trace\n"
    "  remedy: wait for it to end, or give this search a store of its own"
)


class ReplayJournal:
    """What one search has finished, on disk.

    Args:
        path: the file; made where it is missing.
        settings: what has to be the same for a search to be resumed.
        resume: whether to go on with an interrupted search at all.

    Raises:
        CollectionMismatch: another search holds the file.
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path, settings: dict[str, Any], *, resume: bool = True) -> None:
        self.path = path
        self._file = LockedJsonl(path, in_use=_IN_USE)
        self._replays: dict[str, deque[ReplayResult]] = defaultdict(deque)
        self._answers: dict[int, Override | None] = {}
        self.resumed = resume and self._read(settings)
        if not self.resumed:
            self._write(e="begin", search=settings)

    def replay(self, key: str) -> ReplayResult | None:
        """A finished replay of this kind that was not handed out yet."""
        waiting = self._replays.get(key)
        return waiting.popleft() if waiting else None

    def add_replay(self, key: str, result: ReplayResult) -> None:
        """Note a finished replay."""
        self._write(e="replay", key=key, result=_to_json(result))

    def knows(self, step: int) -> bool:
        """Whether the oracle was asked about a step."""
        return step in self._answers

    def answer(self, step: int) -> Override | None:
        """Return what it proposed."""
        return self._answers[step]

    def add_answer(self, step: int, override: Override | None) -> None:
        """Note what the oracle proposed."""
        facts = None if override is None else to_facts(override)
        self._write(e="oracle", step=step, override=facts)

    def end(self) -> None:
        """The search is complete: nothing is to be resumed."""
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
        events = last_attempt(self._file.read(), "search", settings)
        for event in events or ():
            self._restore(event)
        return events is not None

    def _restore(self, event: dict[str, Any]) -> None:
        if event.get("e") == "oracle":
            facts = event["override"]
            self._answers[event["step"]] = None if facts is None else from_facts(facts)
        elif event.get("e") == "replay":
            self._replays[event["key"]].append(_from_json(event["result"]))


def _to_json(result: ReplayResult) -> dict[str, Any]:
    return {
        "success": result.success,
        "trace": result.trace,
        "problems": list(result.problems),
        "signature": result.signature,
        "start": result.start,
        "score": result.score,
        "usage": result.usage.to_dict(),
    }


def _from_json(data: dict[str, Any]) -> ReplayResult:
    usage = data.get("usage")
    if usage is None:  # written by release 0.1.0
        usage = {name: data.get(name, 0) for name in ("steps", "model_calls", "seconds")}
        usage["unsplit_tokens"] = data.get("tokens", 0)
    return ReplayResult(
        data["success"],
        trace=data["trace"],
        problems=tuple(data["problems"]),
        signature=data["signature"],
        start=data.get("start", ""),
        score=data.get("score"),
        usage=Usage(**usage),
        resumed=True,
    )


def replay_key(request: ReplayRequest) -> str:
    """What makes two replays repetitions of each other."""
    facts: list[Any] = [to_facts(override) for override in request.overrides]
    if request.keep is not None:
        facts = [request.keep.length, request.keep.until]
    text = json.dumps([request.purpose, facts], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
