"""OpenAI's chat completions, as many servers speak them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from agentracer.adapters.clients.wire import (
    Event,
    Response,
    flattened,
    listed,
    member,
    plain,
)
from agentracer.adapters.kit.text import advised, parsed_arguments, written
from agentracer.replay.session import ModelAnswer

__all__ = ["ChatCompletions"]

_INSTRUCTIONS = ("system", "developer")


class ChatCompletions:
    """See `WireProtocol`."""

    path: str = "/chat/completions"
    sampling = frozenset({"temperature", "top_p", "seed"})
    stream_end: str | None = "[DONE]"
    keeps_conversations: bool = False

    def items(self, body: Mapping[str, Any]) -> list[Any]:
        """See `WireProtocol`."""
        return listed(body.get("messages"))

    def fields(self, item: Any) -> list[dict[str, Any]]:
        """See `WireProtocol`."""
        return [_message(plain(item))]

    def system_prompt(self, body: Mapping[str, Any]) -> str:
        """See `WireProtocol`."""
        systems = (m for m in self.items(body) if member(m, "role") in _INSTRUCTIONS)
        return "\n".join(flattened(plain(member(m, "content")))[0] for m in systems)

    def with_advice(self, body: Mapping[str, Any], advice: Sequence[str]) -> dict[str, Any]:
        """See `WireProtocol`."""
        messages = list(body.get("messages") or ())
        if messages and messages[0].get("role") in _INSTRUCTIONS:
            first = messages[0]
            content = first.get("content")
            if isinstance(content, str) or content is None:
                content = advised(content, advice)
            else:
                content = [*content, {"type": "text", "text": advised(None, advice)}]
            return {**body, "messages": [{**first, "content": content}, *messages[1:]]}
        system = {"role": "system", "content": advised(None, advice)}
        return {**body, "messages": [system, *messages]}

    def read(self, data: Any) -> Response:
        """See `WireProtocol`; of several choices, the first."""
        choices = data.get("choices") or [{}]
        message = choices[0].get("message") or {}
        text, _ = flattened(message.get("content"))
        calls = [_call(call) for call in message.get("tool_calls") or ()]
        if function := message.get("function_call"):
            calls.append(_call({"id": function.get("name"), "function": function}))
        return Response(
            text or str(message.get("refusal") or ""), calls, _usage(data), id=data.get("id")
        )

    def read_stream(self, events: Sequence[Event]) -> Response:
        """See `WireProtocol`; of several choices, the first."""
        texts: list[str] = []
        calls: dict[int, dict[str, str]] = {}
        response = Response()
        for _, data in events:
            response.usage = _usage(data) or response.usage
            response.id = data.get("id") or response.id
            for choice in data.get("choices") or ():
                if choice.get("index", 0) != 0:
                    continue
                delta = choice.get("delta") or {}
                texts.append(delta.get("content") or delta.get("refusal") or "")
                for position, piece in enumerate(delta.get("tool_calls") or ()):
                    call = calls.setdefault(
                        piece.get("index", position), {"id": "", "name": "", "arguments": ""}
                    )
                    function = piece.get("function") or {}
                    call["id"] = piece.get("id") or call["id"]
                    call["name"] += function.get("name") or ""
                    call["arguments"] += function.get("arguments") or ""
        response.content = "".join(texts)
        response.tool_calls = [
            _call({"id": call["id"], "function": call}) for _, call in sorted(calls.items())
        ]
        return response

    def answer(self, answer: ModelAnswer, body: Mapping[str, Any]) -> dict[str, Any]:
        """See `WireProtocol`."""
        message: dict[str, Any] = {"role": "assistant", "content": answer.content or None}
        calls = _wire_calls(answer)
        if calls:
            message["tool_calls"] = calls
        elif message["content"] is None:
            message["content"] = ""
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": "tool_calls" if calls else "stop",
            "logprobs": None,
        }
        return {**_envelope("chat.completion", answer, body), "choices": [choice]}

    def answer_stream(self, answer: ModelAnswer, body: Mapping[str, Any]) -> list[Event]:
        """See `WireProtocol`."""
        calls = [{"index": k, **call} for k, call in enumerate(_wire_calls(answer))]
        delta: dict[str, Any] = {"role": "assistant", "content": answer.content}
        if calls:
            delta["tool_calls"] = calls
        reason = "tool_calls" if calls else "stop"
        envelope = _envelope("chat.completion.chunk", answer, body)
        return [
            (None, {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}),
            (None, {**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}),
        ]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    text, others = flattened(message.get("content"))
    return {
        "role": str(message.get("role") or "user"),
        "content": text,
        "name": message.get("name"),
        "tool_calls": [_call(call) for call in message.get("tool_calls") or ()],
        "tool_call_id": message.get("tool_call_id"),
        "parts": others or None,
    }


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or call.get("custom") or {}
    arguments = function.get("arguments", function.get("input"))
    return {
        "id": str(call.get("id") or function.get("name") or "call"),
        "name": str(function.get("name") or ""),
        "arguments": parsed_arguments(arguments),
    }


def _wire_calls(answer: ModelAnswer) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": written(call.arguments)},
        }
        for call in answer.tool_calls
    ]


def _envelope(kind: str, answer: ModelAnswer, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-replay-{answer.step}",
        "object": kind,
        "created": int(time.time()),
        "model": str(body.get("model") or ""),
    }


def _usage(data: Mapping[str, Any]) -> dict[str, int] | None:
    usage = data.get("usage") or {}
    pairs = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
    counted = {ours: usage[key] for ours, key in pairs.items() if usage.get(key) is not None}
    return counted or None
