"""A local OpenAI-compatible chat server, answered by a scripted model.

Knows the HTTP side of `/v1/models` and `/v1/chat/completions`: JSON, server-sent events, tool
calls, error bodies, and a log of what was asked and answered. Does not know what the replies mean,
and is no model of load: it listens on the loopback interface only, and counts tokens by guess.

Answers are reproducible: ids are made from the request, and no clock is read.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol, Self

__all__ = [
    "ApiError",
    "ChatReply",
    "ChatRequest",
    "Exchange",
    "ModelServer",
    "ScriptedCall",
    "ScriptedModel",
    "text_of",
]

_MAX_BODY_BYTES = 32 * 1024**2
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


class ApiError(Exception):
    """An error that the client gets as an HTTP status with an OpenAI error body.

    Args:
        status: The HTTP status, 4xx or 5xx.
        message: What the client reads.
        kind: The `type` of the error body.
        param: The request field at fault, if one is.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {
            "error": {"message": message, "type": kind, "param": param, "code": None}
        }


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call in a reply; `arguments` given as text is sent as it is, valid JSON or not."""

    name: str
    arguments: Mapping[str, Any] | str

    @property
    def arguments_json(self) -> str:
        """The arguments as the wire carries them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What the model says: text, tool calls, or both."""

    content: str | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A well-formed chat request; `body` is all of it, as it was sent."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any]

    @property
    def system(self) -> str:
        """The text of all system and developer messages."""
        return "\n".join(
            text_of(message)
            for message in self.messages
            if message["role"] in ("system", "developer")
        )

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names of the tools that the model may call."""
        return tuple(tool["function"]["name"] for tool in self.body.get("tools") or ())


class ScriptedModel(Protocol):
    """Anything that answers a request; the answer must depend on the request (and a seed) only."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer, or raise `ApiError`. Called from many threads at once."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer; a stream is logged as the completion that it adds up to."""

    body: Any
    status: int
    reply: Mapping[str, Any]


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whether its content is a string, a list of parts, or nothing."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


class ModelServer:
    """Serves a scripted model on a free loopback port while its `with` block runs.

    Attributes:
        model: The model that answers. It may be replaced between runs.

    Args:
        model: The first model to serve.
        model_name: The one name that `/v1/models` lists; requests may use any name.
    """

    def __init__(self, model: ScriptedModel, *, model_name: str = "scripted") -> None:
        self.model = model
        self.model_name = model_name
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []
        self._http = _HttpServer(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.02,), name="model-server", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._http.close_connections()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All chat requests so far with their answers, in the order of the answers."""
        with self._lock:
            return tuple(self._exchanges)

    def clear(self) -> None:
        """Forget the logged exchanges."""
        with self._lock:
            self._exchanges.clear()

    def answer(self, raw: bytes) -> Exchange:
        """Answer one chat request body; every failure becomes an OpenAI error body."""
        body: Any = None
        try:
            body = _parse_json(raw)
            request = _parse_request(body)
            exchange = Exchange(body, 200, _completion(request, self.model.reply(request)))
        except ApiError as error:
            exchange = Exchange(body, error.status, error.body)
        except Exception as error:  # noqa: BLE001  (the one guard: a broken model is a 500)
            failure = ApiError(500, f"the scripted model failed: {error!r}", kind="server_error")
            exchange = Exchange(body, failure.status, failure.body)
        with self._lock:
            self._exchanges.append(exchange)
        return exchange


# ---------------------------------------------------------------- requests


def _parse_json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        msg = f"We could not parse the JSON body of your request: {error}"
        raise ApiError(400, msg) from error


def _parse_request(body: Any) -> ChatRequest:
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise ApiError(400, "you must provide a model parameter", param="model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "'messages' must be a non-empty array", param="messages")
    if body.get("n") not in (None, 1):
        raise ApiError(400, "only n = 1 is supported here", param="n")
    if not isinstance(body.get("stream") or False, bool):
        raise ApiError(400, "'stream' must be a boolean", param="stream")
    if not isinstance(body.get("stream_options") or {}, dict):
        raise ApiError(400, "'stream_options' must be an object", param="stream_options")
    _check_tools(body.get("tools"))
    known_calls: set[str] = set()
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]", known_calls)
    return ChatRequest(model=body["model"], messages=messages, body=body)


def _check_tools(tools: Any) -> None:
    if tools is None:
        return
    if not isinstance(tools, list):
        raise ApiError(400, "'tools' must be an array", param="tools")
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ApiError(400, "a tool needs function.name", param=f"tools[{index}]")


def _check_message(message: Any, where: str, known_calls: set[str]) -> None:
    """Check one message; collect the ids of its tool calls, which tool messages must answer."""
    if not isinstance(message, dict):
        raise ApiError(400, "a message must be an object", param=where)
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise ApiError(400, f"invalid role: {role!r}", param=f"{where}.role")
    if not isinstance(message.get("content"), str | list | None):
        raise ApiError(400, "invalid content", param=f"{where}.content")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise ApiError(400, "invalid tool_calls", param=f"{where}.tool_calls")
    known_calls.update(str(call.get("id")) for call in calls)
    if role == "tool" and message.get("tool_call_id") not in known_calls:
        msg = "messages with role 'tool' must answer a preceding message with 'tool_calls'"
        raise ApiError(400, msg, param=f"{where}.tool_call_id")


# ---------------------------------------------------------------- replies


def _completion(request: ChatRequest, reply: ChatReply) -> dict[str, Any]:
    # The id depends on the request alone, so that equal runs are equal to the byte.
    prompt_text = json.dumps([request.model, request.messages], sort_keys=True)
    digest = hashlib.sha256(prompt_text.encode()).hexdigest()[:24]
    message: dict[str, Any] = {"role": "assistant", "content": reply.content, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": f"call_{digest[:20]}{index:02d}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_json},
            }
            for index, call in enumerate(reply.tool_calls)
        ]
    prompt_tokens = len(prompt_text) // 4
    reply_text = (reply.content or "") + "".join(call.arguments_json for call in reply.tool_calls)
    completion_tokens = len(reply_text) // 4 + 1
    return {
        "id": f"chatcmpl-{digest}",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if reply.tool_calls else "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def _chunks(completion: Mapping[str, Any], *, include_usage: bool) -> Iterator[dict[str, Any]]:
    """The stream of chunks that adds up to a completion."""
    base = {
        "id": completion["id"],
        "object": "chat.completion.chunk",
        "created": completion["created"],
        "model": completion["model"],
    }
    if include_usage:
        base["usage"] = None

    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return {**base, "choices": [choice]}

    choice = completion["choices"][0]
    message = choice["message"]
    yield chunk({"role": "assistant", "content": "" if message["content"] is not None else None})
    for piece in re.findall(r"\S+\s*|\s+", message["content"] or ""):
        yield chunk({"content": piece})
    for index, call in enumerate(message.get("tool_calls", ())):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        opened = {**call, "index": index, "function": {"name": name, "arguments": ""}}
        yield chunk({"tool_calls": [opened]})
        for piece in re.findall(r"(?s).{1,40}", arguments):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, choice["finish_reason"])
    if include_usage:
        yield {**base, "choices": [], "usage": completion["usage"]}


# ---------------------------------------------------------------- HTTP


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: ModelServer) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news: the base class would print a traceback."""

    def close_connections(self) -> None:
        """End the kept-alive connections, which would be served past the end of the server."""
        for connection in tuple(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # already gone
                continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; Nagle would hold the second
    server: _HttpServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the exchanges are the log."""

    def do_GET(self) -> None:
        """List the one model."""
        if self._path() != "/v1/models":
            self._refuse(ApiError(404, f"Unknown request URL: GET {self.path}"))
            return
        name = self.server.owner.model_name
        model = {"id": name, "object": "model", "created": 0, "owned_by": "agentracer"}
        self._send_json(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        """Answer a chat request."""
        try:
            raw = self._read_body()
        except ApiError as error:
            self.close_connection = True  # what was sent is not read, so it would be read as HTTP
            self._refuse(error)
            return
        if self._path() != "/v1/chat/completions":
            self._refuse(ApiError(404, f"Unknown request URL: POST {self.path}"))
            return
        exchange = self.server.owner.answer(raw)
        if exchange.status == 200 and exchange.body.get("stream"):
            options = exchange.body.get("stream_options") or {}
            self._send_stream(exchange.reply, include_usage=bool(options.get("include_usage")))
        else:
            self._send_json(exchange.status, exchange.reply)

    def _path(self) -> str:
        return self.path.partition("?")[0].rstrip("/")

    def _read_body(self) -> bytes:
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            raise ApiError(411, "a Content-Length header is needed")
        if int(length) > _MAX_BODY_BYTES:
            raise ApiError(413, f"the body may have {_MAX_BODY_BYTES} bytes at most")
        return self.rfile.read(int(length))

    def _refuse(self, error: ApiError) -> None:
        self._send_json(error.status, error.body)

    def _send_json(self, status: int, payload: Mapping[str, Any]) -> None:
        data = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_stream(self, completion: Mapping[str, Any], *, include_usage: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        events = [json.dumps(chunk) for chunk in _chunks(completion, include_usage=include_usage)]
        for event in [*events, "[DONE]"]:
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")
