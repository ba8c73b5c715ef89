"""Choose runs of a store by outcome, framework, agent, time, size and text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentracer.store.summary import Summary

__all__ = ["Filter", "OutcomeName", "SortKey", "sort_summaries"]

OutcomeName = Literal["failed", "succeeded", "unknown", "unfinished"]
_AGENT_EVENTS = (b'{"e":"agent', b'{"e":"step')
SortKey = Literal["time", "size", "steps"]


@dataclass(frozen=True)
class Filter:
    """What a run must be like; None asks nothing.

    Attributes:
        outcome: failed, succeeded, of unknown outcome, or unfinished.
        framework: the name of the framework, in any case.
        agent: the name of an agent that acted or was described.
        since: started at or after this time, in seconds since the epoch.
        until: started before this time.
        larger_than: the journal has more bytes than this.
        text: stands somewhere in the journal, in any case.
        replays: whether replays are included.
    """

    outcome: OutcomeName | None = None
    framework: str | None = None
    agent: str | None = None
    since: float | None = None
    until: float | None = None
    larger_than: int | None = None
    text: str | None = None
    replays: bool = False

    def matches(self, summary: Summary, path: Path) -> bool:
        """Whether a run is as asked; its journal is read only for `agent` and `text`.

        Args:
            summary: of the run.
            path: its journal.
        """
        started = summary.started_at or 0.0
        return (
            (self.replays or summary.replay_of is None)
            and self.outcome in (None, outcome_name(summary))
            and (self.framework is None or _same(self.framework, summary.framework))
            and (self.since is None or started >= self.since)
            and (self.until is None or started < self.until)
            and (self.larger_than is None or summary.size > self.larger_than)
            and (self.agent is None or self._has_agent(summary, path))
            and (self.text is None or _has_text(path, self.text))
        )

    def _has_agent(self, summary: Summary, path: Path) -> bool:
        if self.agent in summary.agents:
            return True
        return any(_names(event, self.agent or "") for event in _agent_events(path))


def outcome_name(summary: Summary) -> OutcomeName:
    """The outcome of a run in one word."""
    if summary.ending == "unfinished":
        return "unfinished"
    if summary.success is None:
        return "unknown"
    return "succeeded" if summary.success else "failed"


def sort_summaries(summaries: list[Summary], key: SortKey) -> list[Summary]:
    """The newest, largest or longest run first."""
    if key == "time":
        return sorted(summaries, key=lambda summary: summary.id, reverse=True)
    return sorted(summaries, key=lambda summary: int(getattr(summary, key)), reverse=True)


def _same(one: str, other: str | None) -> bool:
    return other is not None and one.casefold() == other.casefold()


def _has_text(path: Path, text: str) -> bool:
    needle = json.dumps(text)[1:-1].lower().encode()
    try:
        with path.open("rb") as file:
            return any(needle in line.lower() for line in file)
    except OSError:
        return False


def _agent_events(path: Path) -> Iterator[dict[str, object]]:
    try:
        with path.open("rb") as file:
            for line in file:
                if line[:12].replace(b" ", b"").startswith(_AGENT_EVENTS):
                    yield json.loads(line)
    except (OSError, ValueError):
        return


def _names(event: dict[str, object], agent: str) -> bool:
    part = event.get("agent" if event["e"] == "agent" else "step")
    return isinstance(part, dict) and part.get("name", part.get("agent")) == agent
