"""Chat messages in every shape that emitters put into attributes, as `agentracer.trace.Message`.

Shapes: GenAI semantic conventions (`role` and `parts`), OpenAI (`role`, `content`, `tool_calls`),
Anthropic's content blocks, OpenInference (`message`, `contents`, `tool_call`), LangChain's three
serialisations (`lc` constructors, `type` with `data`, plain fields) and its pairs `[role, text]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from agentracer.encoding import to_json
from agentracer.trace import Message, ToolRequest

__all__ = ["decode", "messages_of", "reasoning_of", "text_of", "tool_answers", "tool_request"]

_ROLES = {
    "human": "user",
    "humanmessage": "user",
    "humanmessagechunk": "user",
    "ai": "assistant",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "model": "assistant",
    "systemmessage": "system",
    "toolmessage": "tool",
    "function": "tool",
    "functionmessage": "tool",
}
_SPOKEN = frozenset({"user", "assistant", "system", "developer", "tool"})
_CONTAINERS = (
    "messages",
    "generations",
    "choices",
    "update",
    "outputs",
    "output",
    "inputs",
    "input",
    "value",
)
_ALTERNATIVES = ("generations", "choices")  # several candidates for one answer: the first was used
_TEXT = frozenset({"text", "input_text", "output_text"})
_REASONING = frozenset({"reasoning", "thinking"})
_CALL = frozenset({"tool_call", "tool_use", "function_call", "server_tool_call"})
_ANSWER = frozenset({"tool_call_response", "tool_result", "server_tool_call_response"})
_MEDIA = frozenset({"blob", "file", "uri", "image", "image_url", "audio", "input_image"})
_PARTS = _TEXT | _REASONING | _CALL | _ANSWER | _MEDIA
_DEPTH = 12


def decode(value: Any) -> Any:
    """A JSON object or list given as text as what it says; anything else unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def text_of(value: Any) -> str:
    """JSON data as text: text itself, else compact JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)


def reasoning_of(messages: Sequence[Message]) -> str:
    """What the reasoning parts of messages say."""
    parts = [p for m in messages if isinstance(m.parts, list) for p in m.parts]
    reasoned = [p for p in parts if isinstance(p, dict) and p.get("type") == "reasoning"]
    return "\n".join(text for part in reasoned if (text := text_of(part.get("content"))))


def messages_of(value: Any, role: str = "user", depth: int = _DEPTH) -> list[Message]:
    """The messages in a value, in order; `role` where the value itself names none."""
    given, value = value, decode(value)
    if depth == 0:
        return []
    if isinstance(value, str):
        return [Message(role=role, content=value)] if value else []
    messages = _messages_in(value, role, depth)
    if not messages and isinstance(given, str) and depth == _DEPTH and value:
        return [Message(role=role, content=given)]  # an answer that is JSON, not a serialisation
    return messages


def _messages_in(value: Any, role: str, depth: int) -> list[Message]:
    if isinstance(value, list):
        return _of_list(value, role, depth)
    if isinstance(value, dict):
        return _of_dict(value, role, depth)
    return []


def _of_list(value: list[Any], role: str, depth: int) -> list[Message]:
    if _is_pair(value):
        return [Message(role=_role(value[0]), content=value[1])]
    if value and all(_is_part(item) for item in value):
        return _message({"role": role, "parts": value}, role)
    first = value[0] if value else None
    if isinstance(first, list) and not _is_pair(first):  # a batch of one prompt
        return messages_of(first, role, depth - 1)
    return [message for item in value for message in messages_of(item, role, depth - 1)]


def _of_dict(value: dict[str, Any], role: str, depth: int) -> list[Message]:
    fields, said_by = _fields(value)
    if isinstance(fields.get("message"), dict):
        return messages_of(fields["message"], role, depth - 1)
    if not _is_message(fields):
        for key in _CONTAINERS:
            inner = decode(fields.get(key))
            if not inner:
                continue
            if key in _ALTERNATIVES and isinstance(inner, list):
                while isinstance(inner, list) and inner:
                    inner = inner[0]
            return messages_of(inner, role, depth - 1)
        return []
    return _message(fields, said_by or role)


def _fields(value: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """What a LangChain serialisation wraps, and the role that the wrapping names."""
    if "lc" in value and isinstance(value.get("kwargs"), dict):
        path = value.get("id")
        name = path[-1] if isinstance(path, list) and path else None
        return value["kwargs"], _role(name)
    if isinstance(value.get("data"), dict) and isinstance(value.get("type"), str):
        return value["data"], _role(value["type"])
    return value, None


def _is_message(value: dict[str, Any]) -> bool:
    if any(key in value for key in ("role", "parts", "content", "contents", "tool_calls")):
        return True
    return isinstance(value.get("type"), str) and value["type"].lower() in _ROLES


def _is_pair(value: list[Any]) -> bool:
    texts = len(value) == 2 and all(isinstance(item, str) for item in value)
    return texts and _role(value[0]) in _SPOKEN


def _is_part(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    part = value.get("message_content", value)
    return isinstance(part, dict) and "role" not in part and _type(part) in _PARTS


def _type(part: dict[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _role(value: Any) -> str:
    text = str(value or "")
    return _ROLES.get(text.lower(), text)


def _message(fields: dict[str, Any], role: str) -> list[Message]:
    """One message, and one more for each tool answer that it holds as a part."""
    parts = _ContentParts()
    content = next((fields[k] for k in ("parts", "contents", "content") if fields.get(k)), None)
    parts.add(content)
    extra = fields.get("additional_kwargs")
    listed = fields.get("tool_calls") or (extra.get("tool_calls") if isinstance(extra, dict) else 0)
    for call in listed if isinstance(listed, list) else []:
        parts.call(tool_request(call))
    if name := fields.get("function_call_name"):
        arguments = fields.get("function_call_arguments_json")
        parts.call(ToolRequest(name=str(name), arguments=decode(arguments)))
    speaker = _role(fields.get("role") or _spoken(fields.get("type")) or role)
    if parts.answers and not (parts.texts or parts.calls or parts.others):
        return parts.answers
    answered = fields.get("tool_call_id") or (fields.get("id") if speaker == "tool" else None)
    message = Message(
        role=speaker,
        content="\n".join(parts.texts),
        name=fields.get("name") if isinstance(fields.get("name"), str) else None,
        tool_calls=tuple(parts.calls),
        tool_call_id=str(answered) if answered else None,
        parts=parts.others or None,
    )
    return [message, *parts.answers]


def _spoken(value: Any) -> str | None:
    """`type`, where it names a speaker; elsewhere it is `message`, `TextMessage` and so on."""
    role = _role(value)
    return role if role in _SPOKEN else None


class _ContentParts:
    """The parts of one message, sorted by what they are."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.calls: list[ToolRequest] = []
        self.answers: list[Message] = []
        self.others: list[Any] = []

    def add(self, content: Any) -> None:
        if isinstance(content, list):
            for part in content:
                self.part(part)
        elif isinstance(content, dict):
            self.part(content)
        elif content not in (None, ""):
            self.texts.append(str(content))

    def call(self, call: ToolRequest | None) -> None:
        # Emitters list one call twice: as a content block and in `tool_calls`.
        call_keys = {(call_keys.id, call_keys.name) for call_keys in self.calls if call_keys.id}
        if call is not None and (call.id, call.name) not in call_keys:
            self.calls.append(call)

    def part(self, part: Any) -> None:
        if isinstance(part, dict) and isinstance(part.get("message_content"), dict):
            part = part["message_content"]
        if not isinstance(part, dict):
            self.add(part if isinstance(part, str) else None)
            return
        kind = _type(part)
        if kind in _TEXT or (not kind and "text" in part):
            self.texts.append(text_of(part.get("content", part.get("text"))))
        elif kind in _REASONING:
            text = next((part[k] for k in ("content", "thinking", "text") if part.get(k)), "")
            self.others.append({"type": "reasoning", "content": text_of(text)})
        elif kind in _CALL:
            self.call(tool_request(part))
        elif kind in _ANSWER:
            self.answers.append(_answer(part))
        else:
            self.others.append(part)


def _answer(part: dict[str, Any]) -> Message:
    # `response` in the convention's text, `result` in its examples, `content` with Anthropic.
    response = next(
        (part[k] for k in ("response", "result", "content") if part.get(k) is not None), ""
    )
    response = (
        "\n".join(m.content for m in messages_of(response))
        if _is_part_list(response)
        else text_of(response)
    )
    answered = part.get("id") or part.get("tool_use_id") or part.get("tool_call_id")
    return Message(role="tool", content=response, tool_call_id=str(answered) if answered else None)


def _is_part_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_part(item) for item in value)


def tool_request(call: Any) -> ToolRequest | None:
    """A tool call in any of the shapes; None if it names no tool."""
    if isinstance(call, dict) and isinstance(call.get("tool_call"), dict):
        call = call["tool_call"]
    if not isinstance(call, dict):
        return None
    inner = call.get("function")
    inner = inner if isinstance(inner, dict) else call
    name = inner.get("name")
    if not isinstance(name, str) or not name:
        return None
    arguments = next((inner[k] for k in ("arguments", "args", "input") if k in inner), None)
    if arguments in (None, ""):
        arguments = {}  # OpenInference leaves empty arguments out; a call has an object of them
    identity = call.get("id") or call.get("call_id") or ""
    return ToolRequest(id=str(identity), name=name, arguments=decode(arguments))


def tool_answers(value: Any, depth: int = _DEPTH) -> Iterator[dict[str, Any]]:
    """The fields of every tool message somewhere in a value, such as a graph's state update."""
    value = decode(value)
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value:
            yield from tool_answers(item, depth - 1)
    elif isinstance(value, dict):
        fields = _fields(value)[0]
        if fields.get("tool_call_id") and "content" in fields:
            yield fields
        else:
            for item in fields.values():
                if isinstance(item, (dict, list)):
                    yield from tool_answers(item, depth - 1)
