"""Tool calls as text, for models whose server does not get them out of what the model writes.

A proxy on loopback stands between a team and its server. The team speaks the ordinary protocol with
`tools`; the model reads and writes this instead:

- the system message ends with the list of tools, and with how to use one: reply with
  `{"name": "calculate", "arguments": {"expression": "3 * 4"}}`;
- earlier calls are such replies of the assistant; results are messages of the user that begin with
  `Result of calculate:` and end with a reminder not to ask again;
- messages of the same role that follow each other are put together, since chat templates of small
  models expect roles in turn.

A reply with such an object (in a code block or in tags, and text before it) becomes a call of that
tool; what follows it is dropped, since the model can only guess the result. An object that names no
tool, or is no JSON, stays text. Streamed requests are refused.
"""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from typing import Any

from agentracer.lab.natural.endpoint import Endpoint

__all__ = ["request_as_text", "response_with_calls", "text_tools"]

Json = dict[str, Any]

_INSTRUCTIONS = (
    "You have these tools:\n{tools}\n\nTo use one, reply with nothing but a JSON object such as\n"
    "{example}\nYou then get its result, and can use another one. Once you know what you need, "
    "reply in plain words."
)
_AFTER_RESULT = (
    "(Reply in plain words if you know enough now; do not ask for the same thing twice.)"
)


def request_as_text(request: Json) -> Json:
    """Return a chat completion request without tools: they are described in the messages.

    Args:
        request: as a client sends it; it is not changed.
    """
    tools = [tool["function"] for tool in request.get("tools") or []]
    dropped = ("tools", "tool_choice", "parallel_tool_calls")
    result = {key: value for key, value in request.items() if key not in dropped}
    messages = _plain_messages(request.get("messages", []))
    if tools:
        messages = _with_instructions(messages, tools)
    return {**result, "messages": _roles_in_turn(messages)}


def response_with_calls(response: Json, request: Json) -> Json:
    """Return a chat completion in which replies that are tool calls are calls.

    Args:
        response: what the server answered; it is not changed.
        request: what the client sent, with its tools.
    """
    names = {tool["function"]["name"] for tool in request.get("tools") or []}
    # Ids count the calls of the conversation, so that a replay gives a call the id it had.
    earlier = sum(len(m.get("tool_calls") or []) for m in request.get("messages", []))
    return {**response, "choices": [_choice(c, names, earlier) for c in response["choices"]]}


def _plain_messages(messages: Sequence[Json]) -> list[Json]:
    name_of_call = {
        call["id"]: call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls") or []
    }
    return [_plain_message(message, name_of_call) for message in messages]


def _plain_message(message: Json, name_of_call: dict[str, str]) -> Json:
    content = _text(message.get("content"))
    if message["role"] == "tool":
        name = name_of_call.get(message.get("tool_call_id", ""), "the tool")
        return {"role": "user", "content": f"Result of {name}:\n{content}\n\n{_AFTER_RESULT}"}
    calls = [
        json.dumps({"name": call["function"]["name"], "arguments": _arguments(call)})
        for call in message.get("tool_calls") or []
    ]
    return {
        "role": message["role"],
        "content": "\n".join(part for part in (content, *calls) if part),
    }


def _text(content: Any) -> str:
    """The text of a message, whose content may be a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _arguments(call: Json) -> Any:
    try:
        return json.loads(call["function"]["arguments"])
    except ValueError:
        return call["function"]["arguments"]


def _with_instructions(messages: list[Json], tools: Sequence[Json]) -> list[Json]:
    described = "\n".join(_described(tool) for tool in tools)
    arguments = dict.fromkeys(_parameters(tools[0]), "...")
    example = json.dumps({"name": tools[0]["name"], "arguments": arguments})
    text = _INSTRUCTIONS.format(tools=described, example=example)
    if messages and messages[0]["role"] == "system":
        system = {"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}
        return [system, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _described(tool: Json) -> str:
    return f"- {tool['name']}({', '.join(_parameters(tool))}): {tool.get('description', '')}"


def _parameters(tool: Json) -> list[str]:
    return list(tool.get("parameters", {}).get("properties", {}))


def _roles_in_turn(messages: Sequence[Json]) -> list[Json]:
    return [
        {"role": role, "content": "\n\n".join(message["content"] for message in group)}
        for role, group in groupby(messages, key=lambda message: message["role"])
    ]


def _choice(choice: Json, names: set[str], earlier: int) -> Json:
    message = choice["message"]
    content = _text(message.get("content"))
    located = _find_call(content, names)
    if located is None:
        return choice
    start, call = located
    before = content[:start].rstrip().removesuffix("<tool_call>").rstrip()
    before = before.removesuffix("json").removesuffix("```").rstrip() if "```" in before else before
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    calls = [{"id": f"call_{earlier}", "type": "function", "function": function}]
    return {
        **choice,
        "finish_reason": "tool_calls",
        "message": {**message, "content": before or None, "tool_calls": calls},
    }


def _find_call(text: str, names: set[str]) -> tuple[int, Json] | None:
    """The first JSON object in a text that calls one of these tools, and where it begins."""
    decoder = json.JSONDecoder(strict=False)  # models write line breaks into strings
    start = text.find("{")
    while names and start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except ValueError:
            value, end = None, start + 1
        if (
            isinstance(value, dict)
            and value.get("name") in names
            and isinstance(value.get("arguments"), dict)
        ):
            return start, value
        start = text.find("{", end)
    return None


# -- the proxy


@contextlib.contextmanager
def text_tools(endpoint: Endpoint) -> Iterator[Endpoint]:
    """Run the proxy for an endpoint, and give the endpoint that teams shall use."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(endpoint))
    server.daemon_threads = True
    thread = threading.Thread(
        target=server.serve_forever, args=(0.02,), name="text-tools", daemon=True
    )
    thread.start()
    try:
        yield replace(endpoint, base_url=f"http://127.0.0.1:{server.server_port}/v1")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            if request.get("stream"):
                return self._reply(400, _error("streamed requests are not supported here"))
            status, answer = _forward(endpoint, request_as_text(request))
            if status == 200:
                answer = response_with_calls(answer, request)
            return self._reply(status, answer)

        def _reply(self, status: int, answer: Json) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    return Handler


def _forward(endpoint: Endpoint, request: Json) -> tuple[int, Json]:
    """Ask the server; returns its status and what it says."""
    call = urllib.request.Request(  # noqa: S310  (the user's own endpoint)
        f"{endpoint.base_url.rstrip('/')}/chat/completions",
        data=json.dumps(request).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {endpoint.api_key}"},
    )
    try:
        with urllib.request.urlopen(call, timeout=endpoint.timeout) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, _error(text)
    except OSError as error:
        return 502, _error(f"{endpoint.base_url}: the model server does not answer: {error}")


def _error(message: str) -> Json:
    return {"error": {"message": message, "type": "text_tools"}}
