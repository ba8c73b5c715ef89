"""A model server on loopback that speaks chat completions, responses and messages, from a script.

What it sends is written from the providers' documents, not with the code that is tested. A script
is given the prompt as texts and says text, tool calls, or a status.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the model says."""

    text: str = ""
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # id, name, args
    status: int = 200
    cut: int | None = None  # bytes of a stream after which the connection ends


@dataclass
class ModelServer:
    """Where it listens, and what it was asked."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    script: Callable[[dict[str, Any]], Reply] = lambda body: Reply("fine")


class _Handler(BaseHTTPRequestHandler):
    server_state: ModelServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server_state.requests.append({"path": self.path, **body})
        reply = self.server_state.script(body)
        if reply.status != 200:
            self._send(json.dumps({"error": {"message": "no", "type": "x"}}), status=reply.status)
            return
        number = len(self.server_state.requests)
        if self.path.endswith("/chat/completions"):
            whole, events = _chat(reply, number), _chat_events(reply, number)
        elif self.path.endswith("/responses"):
            whole, events = _response(reply, number), _response_events(reply, number)
        else:
            whole, events = _message(reply, number), _message_events(reply, number)
        if not body.get("stream"):
            self._send(json.dumps(whole))
            return
        lines = [
            (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"
            for name, data in events
        ]
        if self.path.endswith("/chat/completions"):
            lines.append("data: [DONE]\n\n")
        text = "".join(lines)
        if reply.cut is not None:
            self._send(text[: reply.cut], kind="text/event-stream", promised=len(text))
        else:
            self._send(text, kind="text/event-stream")

    def _send(
        self,
        text: str,
        *,
        status: int = 200,
        kind: str = "application/json",
        promised: int | None = None,
    ) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(promised or len(data)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)
        if promised is not None:
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def model_server(script: Callable[[dict[str, Any]], Reply]) -> Iterator[ModelServer]:
    """A server that answers from a script until the block ends."""
    state = ModelServer(script=script)
    handler = type("Handler", (_Handler,), {"server_state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def prompt_text(body: dict[str, Any]) -> str:
    """All text of a request's prompt, in any protocol."""
    return json.dumps([body.get(k) for k in ("system", "instructions", "input", "messages")])


def _pieces(text: str) -> list[str]:
    return [text[k : k + 4] for k in range(0, len(text), 4)]


def _chat(reply: Reply, number: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = [_chat_call(call) for call in reply.calls]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if reply.calls else "stop",
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def _chat_call(call: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    identity, name, arguments = call
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": identity, "type": "function", "function": function}


def _chat_events(reply: Reply, number: int) -> list[tuple[str | None, Any]]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> tuple[None, dict[str, Any]]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return None, {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": piece}) for piece in _pieces(reply.text)]
    for index, (identity, name, arguments) in enumerate(reply.calls):
        head = {"index": index, "id": identity, "type": "function"}
        events.append(
            chunk({"tool_calls": [{**head, "function": {"name": name, "arguments": ""}}]})
        )
        events += [
            chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            for piece in _pieces(json.dumps(arguments))
        ]
    events.append(chunk({}, "tool_calls" if reply.calls else "stop"))
    usage = {**events[-1][1], "choices": [], "usage": _chat(reply, number)["usage"]}
    return [*events, (None, usage)]


def _response(reply: Reply, number: int) -> dict[str, Any]:
    output: list[dict[str, Any]] = [{"id": "rs_1", "type": "reasoning", "summary": []}]
    if reply.text or not reply.calls:
        part = {"type": "output_text", "text": reply.text, "annotations": []}
        output.append(
            {
                "id": f"msg_{number}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    for identity, name, arguments in reply.calls:
        output.append(
            {
                "id": f"fc_{identity}",
                "type": "function_call",
                "call_id": identity,
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
        )
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 7,
            "output_tokens": 3,
            "total_tokens": 10,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _response_events(reply: Reply, number: int) -> list[tuple[str | None, Any]]:
    whole = _response(reply, number)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun})]
    for place, item in enumerate(whole["output"]):
        at = {"output_index": place, "item_id": item["id"]}
        if item["type"] == "message":
            inside, part = {**at, "content_index": 0}, item["content"][0]
            events += [
                (
                    "response.output_item.added",
                    {"output_index": place, "item": {**item, "content": []}},
                ),
                ("response.content_part.added", {**inside, "part": {**part, "text": ""}}),
                *(
                    ("response.output_text.delta", {**inside, "delta": piece, "logprobs": []})
                    for piece in _pieces(part["text"])
                ),
                ("response.output_text.done", {**inside, "text": part["text"], "logprobs": []}),
                ("response.content_part.done", {**inside, "part": part}),
            ]
        else:
            events.append(("response.output_item.added", {"output_index": place, "item": item}))
        events.append(("response.output_item.done", {"output_index": place, "item": item}))
    events.append(("response.completed", {"response": whole}))
    return [
        (name, {"type": name, "sequence_number": k, **data})
        for k, (name, data) in enumerate(events)
    ]


def _message(reply: Reply, number: int) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    if reply.text or not reply.calls:
        blocks.append({"type": "text", "text": reply.text})
    blocks += [
        {"type": "tool_use", "id": identity, "name": name, "input": arguments}
        for identity, name, arguments in reply.calls
    ]
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": blocks,
        "stop_reason": "tool_use" if reply.calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }


def _message_events(reply: Reply, number: int) -> list[tuple[str | None, Any]]:
    whole = _message(reply, number)
    begun = {
        **whole,
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 7, "output_tokens": 1},
    }
    events: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": begun})]
    for index, block in enumerate(whole["content"]):
        if block["type"] == "text":
            empty = {**block, "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        else:
            empty = {**block, "input": {}}
            deltas = [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in _pieces(json.dumps(block["input"]))
            ]
        events.append(("content_block_start", {"index": index, "content_block": empty}))
        events += [("content_block_delta", {"index": index, "delta": delta}) for delta in deltas]
        events.append(("content_block_stop", {"index": index}))
    events.append(
        (
            "message_delta",
            {
                "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
                "usage": {"output_tokens": 3},
            },
        )
    )
    events.append(("message_stop", {}))
    return [(name, {"type": name, **data}) for name, data in events]
