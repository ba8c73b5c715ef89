"""What the protocols of model providers have in common, and server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from agentracer.replay.session import ModelAnswer

__all__ = [
    "Event",
    "Response",
    "WireProtocol",
    "encode_events",
    "flattened",
    "listed",
    "mark",
    "member",
    "plain",
    "read_events",
]

Event = tuple[str | None, Any]
"""One server-sent event: its name, if it has one, and its data."""

TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text"})


@dataclass(slots=True)
class Response:
    """What a model answered.

    Attributes:
        content: its text.
        tool_calls: `{"id", "name", "arguments"}` each; one that the provider ran has a `result`.
        usage: `input_tokens` and `output_tokens`, where the provider counted them.
        error: of a response that says that it failed.
        id: the provider's.
        items: what it said, as the next request would repeat it; only where the provider keeps
            conversations.
    """

    content: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, int] | None = None
    error: dict[str, str] | None = None
    id: str | None = None
    items: list[Any] = field(default_factory=list)


class WireProtocol(Protocol):
    """One protocol: requests as JSON, responses as JSON or as server-sent events."""

    path: str
    """The end of the address."""
    sampling: frozenset[str]
    """Sampling parameters that a request may set."""
    stream_end: str | None
    """The data of the last event of a stream, where it is no JSON."""
    keeps_conversations: bool
    """Whether the provider keeps them, so that a request may name them and not repeat them."""

    def items(self, body: Mapping[str, Any]) -> list[Any]:
        """The parts of the prompt as the program gave them, oldest first."""

    def fields(self, item: Any) -> list[dict[str, Any]]:
        """A part of the prompt as messages: arguments of `RunRecorder.message`."""

    def system_prompt(self, body: Mapping[str, Any]) -> str:
        """The instructions of the calling agent."""

    def with_advice(self, body: Mapping[str, Any], advice: Sequence[str]) -> dict[str, Any]:
        """The request with advice at the end of its instructions."""

    def read(self, data: Any) -> Response:
        """A response as JSON."""

    def read_stream(self, events: Sequence[Event]) -> Response:
        """A streamed response, which may have ended early."""

    def answer(self, answer: ModelAnswer, body: Mapping[str, Any]) -> dict[str, Any]:
        """A response that says what a replay gives."""

    def answer_stream(self, answer: ModelAnswer, body: Mapping[str, Any]) -> list[Event]:
        """The same as a stream."""


def plain(value: Any) -> Any:
    """A request, or a part of one, as data.

    Programs put the client's own objects into requests, and clients leave marks for arguments that
    were not given. What can be read only once is left alone.
    """
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if not _is_absent(item)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json", exclude_unset=True, by_alias=True)
    return value


def member(item: Any, name: str) -> Any:
    """A member of a part of a prompt, which may be data or an object of the client."""
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def mark(item: Any) -> Any:
    """What is equal where a part of a prompt is the same as before.

    Programs send the same history again and again, so this has to cost little. Data may be changed
    in place, so nothing of them is kept but texts; objects of the client are not changed.
    """
    if not isinstance(item, Mapping):
        return item
    return [(k, v if isinstance(v, str) or v is None else repr(v)) for k, v in item.items()]


def listed(value: Any) -> list[Any]:
    """A list of a request; what can be read only once is left to the client."""
    return list(value) if isinstance(value, (list, tuple)) else []


def _is_absent(value: Any) -> bool:
    return type(value).__name__ in ("Omit", "NotGiven")


def flattened(content: Any) -> tuple[str, list[Any]]:
    """Content as its text, and the parts of it that are no text."""
    if content is None or isinstance(content, str):
        return content or "", []
    texts, others = [], []
    for item in content if isinstance(content, (list, tuple)) else [content]:
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, Mapping) and item.get("type") in TEXT_PARTS:
            texts.append(str(item.get("text") or ""))
        elif isinstance(item, Mapping) and item.get("type") == "refusal":
            texts.append(str(item.get("refusal") or ""))
        else:
            others.append(item)
    return "\n".join(texts), others


def read_events(text: str) -> list[Event]:
    """The events of a stream whose data is JSON; one that was cut off is left out."""
    return list(_events(text.replace("\r\n", "\n").replace("\r", "\n")))


def _events(text: str) -> Iterator[Event]:
    for block in text.split("\n\n"):
        name, data = None, []
        for line in block.split("\n"):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
        try:
            if data:
                yield name, json.loads("\n".join(data))
        except ValueError:  # `[DONE]`, or the rest of a stream that was cut off
            continue


def encode_events(events: Sequence[Event], end: str | None) -> bytes:
    """Events as they are sent, with `end` as the data of the last one."""
    lines = []
    for name, data in events:
        prefix = f"event: {name}\n" if name else ""
        lines.append(f"{prefix}data: {json.dumps(data)}\n\n")
    if end is not None:
        lines.append(f"data: {end}\n\n")
    return "".join(lines).encode()
