"""Summaries of runs, read from both ends of their journals only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentracer.errors import FormatError
from agentracer.trace import Ending

__all__ = ["Summary", "summarize"]

_TAIL: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of `agentracer list`.

    Attributes:
        id: of the trace.
        started_at: seconds since the epoch.
        framework: what ran it, where known.
        task: what the system was asked to do.
        steps: a lower bound where the end of the journal names no step.
        success: None where it was not decided.
        ending: how the run ended.
        replay_of: the trace that this one replays, if it is a replay.
        agents: the agents that the ends of the journal name, in order of appearance.
        size: of the journal in bytes.
        forked: whether a fork of the process began it, inside of another run.
    """

    id: str
    started_at: float | None
    framework: str | None
    task: str
    steps: int
    success: bool | None
    ending: Ending
    replay_of: str | None = None
    agents: tuple[str, ...] = ()
    size: int = 0
    forked: bool = False


def summarize(path: Path) -> Summary:
    """The summary of one journal.

    Raises:
        FormatError: the file cannot be read, is empty, or does not begin as a journal does.
    """
    try:
        with path.open("rb") as file:
            head = [_event(line) for line in file.readlines(_TAIL)]
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = [_event(line) for line in file.readlines()]
    except OSError as error:
        problem, remedy = error.strerror or str(error), "check the file's permissions"
        raise FormatError(problem, source=path, remedy=remedy) from error
    first = head[0] if head else {}
    if first.get("e") != "run" or not isinstance(first.get("id"), str):
        problem = "not a journal: its first line is none of a run" if size else "the file is empty"
        raise FormatError(problem, source=path, remedy=f"agentracer delete {path.stem}")
    outcome = next((e.get("outcome") or {} for e in reversed(tail) if e.get("e") == "outcome"), {})
    steps = max((int(e.get("index", -1)) for e in tail if e.get("e") == "step"), default=-1) + 1
    later = {k: v for e in tail if e.get("e") == "update" for k, v in e.items()}
    return Summary(
        id=first["id"],
        started_at=first.get("started_at"),
        framework=later.get("framework", first.get("framework")),
        task=str(later.get("task", first.get("task")) or ""),
        steps=steps,
        success=outcome.get("success"),
        ending=outcome.get("ending", "unfinished"),
        replay_of=first.get("parent") if "replay" in (first.get("metadata") or {}) else None,
        agents=tuple(dict.fromkeys(_agents([*head, *tail]))),
        size=size,
        forked=bool((first.get("metadata") or {}).get("forked")),
    )


def _agents(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        part = event.get("agent") if event.get("e") == "agent" else event.get("step")
        name = part.get("name", part.get("agent")) if isinstance(part, dict) else None
        if isinstance(name, str):
            yield name


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
