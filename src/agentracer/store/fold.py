"""From the events of a journal to the `Trace` they add up to.

The events, in the order in which a recorder may write them (`e` is the kind):

    run       id, task, framework, started_at, ground_truth, labels, parent, replayable, metadata
              (first line)
    update    some of the same, known only later
    message   id, message               once for each distinct message
    context   parent, messages          a run of links; the first one's parent, then each the next
    agent     agent                     may be repeated: the last one of a name counts
    step      index, step               may be repeated: fields add up
    tool      step, call                may be repeated by `call.id`: fields add up
    outcome   outcome, ended_at, dropped                                         (last line)

A journal may have lost lines anywhere (a torn write, a full backlog). What refers to them gets a
placeholder that says so; nothing else is given up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json

from agentracer.errors import FormatError
from agentracer.trace import Trace

__all__ = ["LOST", "fold", "fold_lines", "parse_lines", "read_events", "unfold"]

LOST: Final = "(lost)"
"""Stands for the agent of a step, or the role of a message, whose event was lost."""

_LONG_CONTENT = 500  # characters from which it pays to look for an equal text
_HEADER_FIELDS = ("ground_truth", "labels", "parent", "replayable", "started_at", "metadata")


def read_events(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The events of a journal file, and how many of its lines could not be read."""
    with path.open("rb") as file:
        return parse_lines(file)


def parse_lines(lines: Iterable[bytes]) -> tuple[list[dict[str, Any]], int]:
    """The events in the lines of a journal, and how many lines could not be read."""
    parsed = list(_parsed(lines))
    events = [event for event in parsed if event is not None]
    return events, len(parsed) - len(events)


def fold(events: Iterable[dict[str, Any]], *, torn: int = 0, source: Path | None = None) -> Trace:
    """Add up events to a trace.

    Args:
        events: as `read_events` gives them.
        torn: unreadable lines, to be counted in `Trace.dropped`.
        source: the journal, for error messages.

    Raises:
        FormatError: the journal does not even say which run it is of, or holds a value that no
            recorder writes.
    """
    state = _Fold()
    for event in events:
        state.add(event)
    if torn:
        state.dropped["torn"] += torn
    return state.trace(source)


def fold_lines(lines: Iterable[bytes], *, source: Path | None = None) -> Trace:
    """Add up the lines of a journal to a trace; one line is in memory at a time.

    Args:
        lines: of a journal, such as its file opened for reading bytes.
        source: the journal, for error messages.

    Raises:
        FormatError: as `fold`.
    """
    state = _Fold()
    for event in _parsed(lines):
        if event is None:
            state.dropped["torn"] += 1
        else:
            state.add(event)
    return state.trace(source)


def _parsed(lines: Iterable[bytes]) -> Iterator[dict[str, Any] | None]:
    """The event in each line that is not blank; None where it cannot be read."""
    for line in lines:
        try:
            event = from_json(line)
        except ValueError:  # stricter than the standard library: nesting, lone surrogates
            if not line.strip():
                continue
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = None
        yield event if isinstance(event, dict) else None


def unfold(trace: Trace) -> Iterator[dict[str, Any]]:
    """The events that add up to a trace: the inverse of `fold`."""
    data = trace.model_dump(mode="json", exclude_defaults=True)
    observed = data["observed"]
    header = {name: data[name] for name in ("id", *_HEADER_FIELDS) if name in data}
    header["replayable"] = trace.replayable
    header.update({name: observed[name] for name in ("task", "framework") if name in observed})
    yield {"e": "run", "schema_version": trace.schema_version, **header}
    for identity, message in observed.get("messages", {}).items():
        yield {"e": "message", "id": identity, "message": message}
    for position, link in enumerate(trace.observed.contexts):
        yield {"e": "context", "first": position, "parent": link.parent, "messages": [link.message]}
    for agent in observed.get("agents", ()):
        yield {"e": "agent", "agent": agent}
    for step in observed.get("steps", ()):
        calls = step.pop("tool_calls", ())
        yield {"e": "step", "index": step["index"], "step": step}
        for number, call in enumerate(calls):
            identity = call.get("id") or f"call-{step['index']}-{number}"
            yield {"e": "tool", "step": step["index"], "call": {**call, "id": identity}}
    ended = {"ended_at": trace.ended_at, "dropped": dict(trace.dropped)}
    yield {"e": "outcome", "outcome": observed.get("outcome", {}), **ended}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


class _Fold:
    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.contexts: dict[int, dict[str, Any]] = {}
        self.agents: dict[str, Any] = {}
        self.steps: dict[int, dict[str, Any]] = {}
        self.calls: dict[int, dict[str, dict[str, Any]]] = {}
        self.outcome: dict[str, Any] = {"ending": "unfinished"}
        self.ended_at: float | None = None
        self.dropped: Counter[str] = Counter()
        self._contents: dict[str, str] = {}

    def add(self, event: dict[str, Any]) -> None:
        """Take in one event; one that is unknown or damaged is counted."""
        handler = getattr(self, f"on_{event.get('e')}", None)
        if handler is None:
            self.dropped["unknown"] += 1
            return
        try:
            handler(event)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.dropped["damaged"] += 1

    def _share_content(self, part: dict[str, Any]) -> None:
        """Keep one copy of a long text: what a step wrote is often a message that others read."""
        content = part.get("content")
        if isinstance(content, str) and len(content) >= _LONG_CONTENT:
            part["content"] = self._contents.setdefault(content, content)

    def on_run(self, event: dict[str, Any]) -> None:
        self.header.update({key: value for key, value in event.items() if key != "e"})

    on_update = on_run

    def on_message(self, event: dict[str, Any]) -> None:
        self._share_content(event["message"])
        self.messages[event["id"]] = event["message"]

    def on_context(self, event: dict[str, Any]) -> None:
        parent = event["parent"]
        for position, message in enumerate(event["messages"], start=event["first"]):
            self.contexts[position] = {"parent": parent, "message": message}
            parent = position

    def on_agent(self, event: dict[str, Any]) -> None:
        agent = event["agent"]
        self.agents[agent["name"]] = agent

    def on_step(self, event: dict[str, Any]) -> None:
        self._share_content(event["step"])
        step = self.steps.setdefault(int(event["index"]), {})
        attributes = {**step.get("attributes", {}), **event["step"].get("attributes", {})}
        step.update(event["step"])
        if attributes:
            step["attributes"] = attributes

    def on_tool(self, event: dict[str, Any]) -> None:
        call = event["call"]
        calls = self.calls.setdefault(int(event["step"]), {})
        calls.setdefault(call["id"], {"name": LOST}).update(call)

    def on_outcome(self, event: dict[str, Any]) -> None:
        self.outcome = event["outcome"]
        self.ended_at = event.get("ended_at")
        self.dropped.update(event.get("dropped") or {})

    def trace(self, source: Path | None) -> Trace:
        if not self.header and not self.steps and source is not None and not _size(source):
            raise FormatError(
                "the file is empty: the disk was full, or the program ended before the first event",
                source=source,
                remedy=f"remove it: agentracer delete {source.stem}",
            )
        if "id" not in self.header:
            raise FormatError(
                "the journal does not say which run it belongs to",
                source=source,
                place="line 1",
                remedy="the file is not a journal, or its first line was lost; delete it",
            )
        contexts = self._contexts()
        observed = {
            "task": self.header.get("task") or "",
            "framework": self.header.get("framework"),
            "agents": list(self.agents.values()),
            "messages": self.messages,
            "contexts": contexts,
            "steps": self._steps(len(contexts)),
            "outcome": self.outcome,
        }
        fields = {name: self.header[name] for name in _HEADER_FIELDS if name in self.header}
        fields.setdefault("replayable", True)
        try:
            return Trace.model_validate(
                {
                    "schema_version": self.header.get("schema_version", "1.0"),
                    "id": self.header["id"],
                    "observed": observed,
                    "ended_at": self.ended_at,
                    "dropped": dict(self.dropped),
                    **fields,
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise FormatError(
                first["msg"],
                source=source,
                place=".".join(str(part) for part in first["loc"]),
                remedy="the journal was edited or written by another program; delete it",
            ) from error

    def _contexts(self) -> list[dict[str, Any]]:
        length = max(self.contexts, default=-1) + 1
        links = [self.contexts.get(i, {"parent": None, "message": LOST}) for i in range(length)]
        for position, link in enumerate(links):
            if link["message"] not in self.messages:
                self.dropped["message"] += 1
                self.messages[link["message"]] = {"role": LOST}
            if link["parent"] is not None and not 0 <= link["parent"] < position:
                link["parent"] = None
        return links

    def _steps(self, contexts: int) -> list[dict[str, Any]]:
        length = max([*self.steps, *self.calls], default=-1) + 1
        return [self._step(index, contexts, length) for index in range(length)]

    def _step(self, index: int, contexts: int, length: int) -> dict[str, Any]:
        step = self.steps.get(index)
        if step is None or "agent" not in step:
            self.dropped["step"] += 1
            step = {"agent": LOST, "kind": "node", **(step or {})}
        for name, bound in (("reads", contexts), ("parent", length)):
            if step.get(name) is not None and not 0 <= step[name] < bound:
                step = {**step, name: None}
        calls = list(self.calls.get(index, {}).values())
        return {**step, "index": index, **({"tool_calls": calls} if calls else {})}
