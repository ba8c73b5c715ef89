"""OpenAI's Responses API."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentracer.adapters.clients.wire import (
    Event,
    Response,
    flattened,
    listed,
    plain,
)
from agentracer.adapters.kit.text import advised, parsed_arguments, written
from agentracer.replay.session import ModelAnswer

__all__ = ["Responses"]

_ENDED = ("response.completed", "response.incomplete", "response.failed")


class Responses:
    """See `WireProtocol`."""

    path: str = "/responses"
    sampling = frozenset({"temperature", "top_p"})
    stream_end: str | None = None
    keeps_conversations: bool = True

    def items(self, body: Mapping[str, Any]) -> list[Any]:
        """See `WireProtocol`."""
        items: list[Any] = []
        if instructions := self.system_prompt(body):
            items.append({"role": "system", "content": instructions})
        prompt = body.get("input")
        return [*items, prompt] if isinstance(prompt, str) else [*items, *listed(prompt)]

    def fields(self, item: Any) -> list[dict[str, Any]]:
        """See `WireProtocol`."""
        return [_message(plain(item))]

    def system_prompt(self, body: Mapping[str, Any]) -> str:
        """See `WireProtocol`."""
        return str(body.get("instructions") or "")

    def with_advice(self, body: Mapping[str, Any], advice: Sequence[str]) -> dict[str, Any]:
        """See `WireProtocol`."""
        return {**body, "instructions": advised(self.system_prompt(body), advice)}

    def read(self, data: Any) -> Response:
        """See `WireProtocol`."""
        response = Response(usage=_usage(data), id=data.get("id"))
        output = data.get("output") or ()
        response.items = [item for item in output if item.get("type") != "reasoning"]
        _read_items(output, response)
        if failure := data.get("error"):
            response.error = {
                "type": str(failure.get("code") or "error"),
                "message": str(failure.get("message") or ""),
            }
        return response

    def read_stream(self, events: Sequence[Event]) -> Response:
        """See `WireProtocol`."""
        response = Response()
        items: list[Mapping[str, Any]] = []
        texts: list[str] = []
        for name, data in events:
            kind = data.get("type") or name
            if kind in _ENDED:
                return self.read(data.get("response") or {})
            if kind == "response.output_item.done":
                items.append(data.get("item") or {})
                texts = []
            elif kind == "response.output_text.delta":
                texts.append(str(data.get("delta") or ""))
        _read_items(items, response)
        response.content += "".join(texts)
        return response

    def answer(self, answer: ModelAnswer, body: Mapping[str, Any]) -> dict[str, Any]:
        """See `WireProtocol`."""
        return {
            "id": f"resp-replay-{answer.step}",
            "object": "response",
            "created_at": time.time(),
            "status": "completed",
            "model": str(body.get("model") or ""),
            "output": _items(answer),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "metadata": {},
        }

    def answer_stream(self, answer: ModelAnswer, body: Mapping[str, Any]) -> list[Event]:
        """See `WireProtocol`."""
        whole = self.answer(answer, body)
        begun = {**whole, "status": "in_progress", "output": []}
        events: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun})]
        for place, item in enumerate(whole["output"]):
            at = {"output_index": place, "item_id": item["id"]}
            if item["type"] == "message":
                events += _message_events(item, at)
            else:
                empty = {**item, "arguments": "", "status": "in_progress"}
                events += [
                    ("response.output_item.added", {"output_index": place, "item": empty}),
                    (
                        "response.function_call_arguments.delta",
                        {**at, "delta": item["arguments"]},
                    ),
                    (
                        "response.function_call_arguments.done",
                        {**at, "arguments": item["arguments"], "name": item["name"]},
                    ),
                ]
            events.append(("response.output_item.done", {"output_index": place, "item": item}))
        events.append(("response.completed", {"response": whole}))
        return [
            (kind, {"type": kind, "sequence_number": number, **data})
            for number, (kind, data) in enumerate(events)
        ]


def _message(item: Any) -> dict[str, Any]:
    if isinstance(item, str):
        return {"role": "user", "content": item}
    kind = item.get("type", "message")
    if kind == "function_call":
        return {"role": "assistant", "tool_calls": [_call(item)]}
    if kind.endswith("_call_output"):
        text, others = flattened(item.get("output"))
        return {
            "role": "tool",
            "content": text,
            "tool_call_id": item.get("call_id"),
            "parts": others or None,
        }
    if kind == "message":
        text, others = flattened(item.get("content"))
        return {"role": str(item.get("role")), "content": text, "parts": others or None}
    return {"role": "assistant", "parts": item}


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(item.get("call_id") or item.get("id") or "call"),
        "name": str(item.get("name") or ""),
        "arguments": parsed_arguments(item.get("arguments", item.get("input"))),
    }


def _read_items(items: Iterable[Mapping[str, Any]], response: Response) -> None:
    texts = []
    for item in items:
        kind = item.get("type", "")
        if kind == "message":
            texts.append(flattened(item.get("content"))[0])
        elif kind in ("function_call", "custom_tool_call"):
            response.tool_calls.append(_call(item))
        elif kind.endswith("_call"):  # a tool that the provider ran: web search, code, MCP
            not_arguments = {"id", "type", "status"}
            response.tool_calls.append(
                {
                    "id": str(item.get("id")),
                    "name": str(item.get("name") or kind.removesuffix("_call")),
                    "arguments": {k: v for k, v in item.items() if k not in not_arguments},
                    "result": item.get("output", item.get("status")),
                }
            )
    response.content += "\n".join(texts)


def _items(answer: ModelAnswer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.content or not answer.tool_calls:
        part = {"type": "output_text", "text": answer.content, "annotations": [], "logprobs": []}
        items.append(
            {
                "id": f"msg-replay-{answer.step}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    items += [
        {
            "id": f"fc-{call.id}",
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": written(call.arguments),
            "status": "completed",
        }
        for call in answer.tool_calls
    ]
    return items


def _message_events(item: dict[str, Any], at: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    part = item["content"][0]
    place = {**at, "content_index": 0}
    empty = {**item, "content": [], "status": "in_progress"}
    return [
        ("response.output_item.added", {"output_index": at["output_index"], "item": empty}),
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
        ("response.output_text.delta", {**place, "delta": part["text"], "logprobs": []}),
        ("response.output_text.done", {**place, "text": part["text"], "logprobs": []}),
        ("response.content_part.done", {**place, "part": part}),
    ]


def _usage(data: Mapping[str, Any]) -> dict[str, int] | None:
    usage = data.get("usage") or {}
    names = ("input_tokens", "output_tokens")
    return {name: usage[name] for name in names if usage.get(name) is not None} or None
