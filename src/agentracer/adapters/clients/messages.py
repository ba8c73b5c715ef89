"""Anthropic's Messages API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentracer.adapters.clients.wire import (
    Event,
    Response,
    flattened,
    listed,
    plain,
)
from agentracer.adapters.kit.text import advised, written
from agentracer.replay.session import ModelAnswer

__all__ = ["Messages"]


class Messages:
    """See `WireProtocol`."""

    path: str = "/v1/messages"
    sampling = frozenset({"temperature", "top_p"})
    stream_end: str | None = None
    keeps_conversations: bool = False

    def items(self, body: Mapping[str, Any]) -> list[Any]:
        """See `WireProtocol`."""
        system = self.system_prompt(body)
        first = [{"role": "system", "content": system}] if system else []
        return [*first, *listed(body.get("messages"))]

    def fields(self, item: Any) -> list[dict[str, Any]]:
        """See `WireProtocol`."""
        return _messages(plain(item))

    def system_prompt(self, body: Mapping[str, Any]) -> str:
        """See `WireProtocol`."""
        return flattened(plain(body.get("system")))[0]

    def with_advice(self, body: Mapping[str, Any], advice: Sequence[str]) -> dict[str, Any]:
        """See `WireProtocol`."""
        system = body.get("system")
        if system is None or isinstance(system, str):
            return {**body, "system": advised(system, advice)}
        return {**body, "system": [*system, {"type": "text", "text": advised(None, advice)}]}

    def read(self, data: Any) -> Response:
        """See `WireProtocol`."""
        response = Response(usage=_usage(data.get("usage")), id=data.get("id"))
        _read_blocks(data.get("content") or (), response)
        return response

    def read_stream(self, events: Sequence[Event]) -> Response:
        """See `WireProtocol`."""
        response, blocks = Response(), dict[int, dict[str, Any]]()
        usage: dict[str, int] = {}
        for name, data in events:
            kind = data.get("type") or name
            if kind == "message_start":
                message = data.get("message") or {}
                response.id = message.get("id")
                usage |= _usage(message.get("usage")) or {}
            elif kind == "content_block_start":
                blocks[data["index"]] = {**(data.get("content_block") or {}), "json": ""}
            elif kind == "content_block_delta":
                _add_delta(blocks.setdefault(data["index"], {"json": ""}), data.get("delta") or {})
            elif kind == "message_delta":
                usage |= _usage(data.get("usage")) or {}
            elif kind == "error":
                failure = data.get("error") or {}
                response.error = {
                    "type": str(failure.get("type") or "error"),
                    "message": str(failure.get("message") or ""),
                }
        _read_blocks((block for _, block in sorted(blocks.items())), response)
        response.usage = usage or None
        return response

    def answer(self, answer: ModelAnswer, body: Mapping[str, Any]) -> dict[str, Any]:
        """See `WireProtocol`."""
        blocks: list[dict[str, Any]] = []
        if answer.content or not answer.tool_calls:
            blocks.append({"type": "text", "text": answer.content, "citations": None})
        for call in answer.tool_calls:
            arguments = call.arguments if isinstance(call.arguments, dict) else {}
            block = {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}
            blocks.append(block)
        return {
            "id": f"msg-replay-{answer.step}",
            "type": "message",
            "role": "assistant",
            "model": str(body.get("model") or ""),
            "content": blocks,
            "stop_reason": "tool_use" if answer.tool_calls else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }

    def answer_stream(self, answer: ModelAnswer, body: Mapping[str, Any]) -> list[Event]:
        """See `WireProtocol`."""
        whole = self.answer(answer, body)
        begun = {**whole, "content": [], "stop_reason": None}
        events: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": begun})]
        for index, block in enumerate(whole["content"]):
            if block["type"] == "text":
                empty = {**block, "text": ""}
                delta = {"type": "text_delta", "text": block["text"]}
            else:
                empty = {**block, "input": {}}
                delta = {"type": "input_json_delta", "partial_json": written(block["input"])}
            events += [
                ("content_block_start", {"index": index, "content_block": empty}),
                ("content_block_delta", {"index": index, "delta": delta}),
                ("content_block_stop", {"index": index}),
            ]
        ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        events += [
            ("message_delta", {"delta": ended, "usage": {"output_tokens": 0}}),
            ("message_stop", {}),
        ]
        return [(kind, {"type": kind, **data}) for kind, data in events]


def _messages(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message; the results of tools that it carries are messages of their own."""
    role, content = str(message.get("role") or "user"), message.get("content")
    if content is None or isinstance(content, str):
        return [{"role": role, "content": content or ""}]
    results: list[dict[str, Any]] = []
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    others: list[Any] = []
    for part in content:
        block = part
        kind = block.get("type")
        if kind == "text":
            texts.append(str(block.get("text") or ""))
        elif kind == "tool_use":
            calls.append(_call(block))
        elif kind == "tool_result":
            text, rest = flattened(block.get("content"))
            results.append(
                {
                    "role": "tool",
                    "content": text,
                    "tool_call_id": block.get("tool_use_id"),
                    "parts": rest or None,
                }
            )
        elif kind not in ("thinking", "redacted_thinking"):
            others.append(block)
    rest_of_it = {
        "role": role,
        "content": "\n".join(texts),
        "tool_calls": calls,
        "parts": others or None,
    }
    return [*results, rest_of_it] if texts or calls or others else results


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(block.get("id") or "call"),
        "name": str(block.get("name") or ""),
        "arguments": block.get("input"),
    }


def _add_delta(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if delta.get("type") == "text_delta":
        block.setdefault("type", "text")
        block["text"] = str(block.get("text") or "") + str(delta.get("text") or "")
    elif delta.get("type") == "input_json_delta":
        block["json"] += str(delta.get("partial_json") or "")


def _read_blocks(blocks: Iterable[Mapping[str, Any]], response: Response) -> None:
    texts = []
    for block in blocks:
        kind = str(block.get("type"))
        if kind == "text":
            texts.append(str(block.get("text") or ""))
        elif kind.endswith("tool_use"):
            call = _call(block)
            if block.get("json"):
                call["arguments"] = _parsed(block["json"])
            response.tool_calls.append(call)
        elif kind.endswith("_tool_result"):  # of a tool that the provider ran
            for call in response.tool_calls:
                if call["id"] == block.get("tool_use_id"):
                    call["result"] = block.get("content")
    response.content += "".join(texts)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _usage(usage: Mapping[str, Any] | None) -> dict[str, int] | None:
    usage = usage or {}
    read = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    counted: dict[str, int] = {}
    if usage.get("input_tokens") is not None:
        counted["input_tokens"] = sum(usage.get(name) or 0 for name in read)
    if usage.get("output_tokens") is not None:
        counted["output_tokens"] = usage["output_tokens"]
    return counted or None
