"""OpenAI-compatible servers on loopback: one that is scripted, and one around a model.

A script is a function from the request's body to a `Scripted` answer: it may send garbage, half a
body, an error status, or nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Scripted:
    """What a server sends."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    promised: int | None = None  # bytes announced, where fewer are sent
    drip: float = 0.0  # seconds between single bytes


def says(text: str | None, *, tokens: tuple[int, int] = (0, 0), **message: Any) -> Scripted:
    """A well-formed chat completion."""
    data = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": sum(tokens),
        },
    }
    return Scripted(json.dumps(data).encode())


def fails(status: int, message: str, **headers: str) -> Scripted:
    """An error in the form of the OpenAI API."""
    return Scripted(json.dumps({"error": {"message": message}}).encode(), status, headers=headers)


@dataclass
class Server:
    """A running server, and what it was asked."""

    url: str
    asked: list[dict[str, Any]]
    headers: list[dict[str, str]]

    def spec(self, model: str = "m", **settings: object) -> str:
        query = "&".join(f"{key}={value}" for key, value in settings.items())
        return f"openai:{model}@{self.url}" + (f"?{query}" if query else "")


def _send(handler: BaseHTTPRequestHandler, answer: Scripted, closing: threading.Event) -> None:
    closing.wait(answer.delay)
    try:
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.kind)
        length = len(answer.body) if answer.promised is None else answer.promised
        handler.send_header("Content-Length", str(length))
        for name, value in answer.headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if answer.drip:
            for byte in answer.body:
                if closing.is_set():
                    break
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(answer.drip)
        else:
            handler.wfile.write(answer.body)
    except OSError:
        pass
    if answer.promised is not None:
        handler.close_connection = True


@contextmanager
def serving(
    script: Callable[[dict[str, Any]], Scripted],
    *,
    about: dict[str, Any] | None = None,
    paths: dict[str, Callable[[dict[str, Any] | None], Any]] | None = None,
) -> Iterator[Server]:
    """A server that answers chat completions by a script.

    `about` is added to its entry in `/v1/models`; `paths` are further paths of its root: functions
    from the body (None for a GET) to what is answered as JSON.
    """
    asked: list[dict[str, Any]] = []
    headers: list[dict[str, str]] = []
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            if not self.path.startswith("/v1/"):
                self._send(self._other(None))
                return
            models = [
                {"id": "m", "object": "model", "created": 0, "owned_by": "us", **(about or {})}
            ]
            self._send(Scripted(json.dumps({"object": "list", "data": models}).encode()))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("/chat/completions"):
                self._send(self._other(body))
                return
            asked.append(body)
            headers.append(dict(self.headers))
            self._send(script(body))

        def _other(self, body: dict[str, Any] | None) -> Scripted:
            if self.path not in (paths or {}):
                return fails(404, "not here")
            return Scripted(json.dumps((paths or {})[self.path](body)).encode())

        def _send(self, answer: Scripted) -> None:
            _send(self, answer, closing)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}/v1", asked, headers)
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
