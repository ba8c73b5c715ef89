"""What a span says, whichever emitter wrote it: its kind, agent, messages, calls and errors.

The names of attributes are in `conventions`; in each row the first that a span carries is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentracer.formats.otel import conventions
from agentracer.formats.otel.conventions import Kind
from agentracer.formats.otel.messages import (
    decode,
    messages_of,
    tool_answers,
    tool_request,
)
from agentracer.formats.otel.otlp import Event, OtlpSpan
from agentracer.frameworks.registry import graph_keys
from agentracer.trace import ErrorInfo, Message, ModelCall, TokenUsage, ToolInfo, ToolRequest

__all__ = [
    "Kind",
    "agent_name",
    "agent_role",
    "error_of",
    "input_messages",
    "input_value",
    "kind_of",
    "model_of",
    "node_name",
    "output_messages",
    "output_value",
    "response_id",
    "service_of",
    "session_of",
    "tool_call_of",
    "tool_outcome",
    "tools_of",
    "usage_of",
]


def _first(span: OtlpSpan, names: Sequence[str]) -> Any:
    """The value of the first of the names that the span carries, flattened or whole."""
    for name in names:
        value = span.facts.get(name)
        if value in (None, "") and name in conventions.FLATTENED:
            value = _unflatten(span.facts, name)
        if value not in (None, "", [], {}):
            return value
    return None


def _text(span: OtlpSpan, names: Sequence[str]) -> str | None:
    value = _first(span, names)
    return str(value) if isinstance(value, (str, int)) else None


def _number(span: OtlpSpan, names: Sequence[str]) -> int | None:
    value = _first(span, names)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    return int(value) if re.fullmatch(r"\d{1,15}(\.0*)?", str(value)) else None


def _unflatten(attributes: Mapping[str, Any], name: str) -> Any:
    """`name.0.role`, `name.0.tool_calls.0.id` ... as nested lists and objects."""
    prefix = f"{name}."
    tree: dict[str, Any] = {}
    for key, value in attributes.items():
        if not key.startswith(prefix):
            continue
        path = key[len(prefix) :].split(".")
        if not path[0].isdigit() or len(path) > 20:
            continue
        node = tree
        for part in path[:-1]:
            inner = node.setdefault(part, {})
            node = inner if isinstance(inner, dict) else {}
        node[path[-1]] = value
    return _lists(tree)


def _lists(tree: Any) -> Any:
    if not isinstance(tree, dict) or not tree:
        return tree
    if all(key.isdigit() for key in tree):
        return [_lists(tree[key]) for key in sorted(tree, key=lambda key: (len(key), key))]
    return {key: _lists(value) for key, value in tree.items()}


# -- what a span is, and whose


def kind_of(span: OtlpSpan) -> Kind:
    """What a span stands for; `setup` describes an agent without running it."""
    for name in conventions.KIND:
        kind = conventions.KINDS.get(str(span.facts.get(name, "")).lower())
        if kind == "agent" and any(keys.node in _metadata(span) for keys in graph_keys()):
            # OpenInference calls every LangChain run an agent whose name has "agent" in it.
            return "other"
        if kind is not None:
            return kind
    return "other"


def agent_name(span: OtlpSpan) -> str | None:
    """The agent that a span names, whatever encloses it; None if it names none."""
    named = _text(span, conventions.AGENT)
    if named and not any(named in keys.inner_nodes for keys in graph_keys()):
        return named
    metadata = _metadata(span)
    by_node = next((agent for keys in graph_keys() if (agent := keys.agent_of(metadata))), None)
    return by_node or _text(span, conventions.LAST_RESORT_AGENT)


def agent_role(span: OtlpSpan) -> str | None:
    """The description of the agent that a span names."""
    return _text(span, conventions.ROLE)


def node_name(span: OtlpSpan) -> str | None:
    """The node of a graph that a span is a run of; None for spans inside a node."""
    metadata, label = _metadata(span), _text(span, conventions.NODE_LABEL) or span.name
    for keys in graph_keys():
        node = metadata.get(keys.node)
        hidden = not node or node.startswith("__") or node.endswith(keys.inner_suffixes)
        if node == label and not hidden:
            return node
    return None


def _metadata(span: OtlpSpan) -> dict[str, str]:
    values: dict[str, Any] = {}
    for name in conventions.METADATA_JSON:
        data = decode(span.facts.get(name))
        if isinstance(data, dict):
            values |= data
    for key in (key for keys in graph_keys() for key in keys.keys):
        for prefix in conventions.METADATA_PREFIXES:
            if prefix + key in span.facts:
                values[key] = span.facts[prefix + key]
    return {key: value for key, value in values.items() if isinstance(value, str)}


def session_of(span: OtlpSpan) -> str | None:
    """The conversation that a span belongs to."""
    return _text(span, conventions.SESSION)


def service_of(span: OtlpSpan) -> str | None:
    """The service that emitted a span."""
    name = next((span.resource[key] for key in conventions.SERVICE if key in span.resource), None)
    return str(name) if name is not None else None


def response_id(span: OtlpSpan) -> str | None:
    """The id that the model's server gave to its answer."""
    return _text(span, conventions.RESPONSE)


def error_of(span: OtlpSpan) -> ErrorInfo | None:
    """The error that a span ended with: its exception event, else its status."""
    if not span.failed:
        return None
    thrown = [e.attributes for e in span.events if "exception.type" in e.attributes]
    about = thrown[-1] if thrown else {}
    stack = about.get("exception.stacktrace")
    return ErrorInfo(
        type=str(about.get("exception.type") or _text(span, conventions.ERROR_TYPE) or "Error"),
        message=str(about.get("exception.message") or span.status),
        traceback=str(stack) if stack else None,
    )


# -- model calls


def input_messages(span: OtlpSpan) -> list[Message]:
    """The prompt that a model call read, oldest message first."""
    system = messages_of(_first(span, conventions.SYSTEM), "system")
    prompt = _of_events(span, conventions.INPUT_EVENTS)
    for name in () if prompt else conventions.INPUT:
        prompt = messages_of(_first(span, (name,)))
        if prompt:
            break
    # Emitters that repeat the instructions as the first message do so verbatim.
    return prompt if prompt[: len(system)] == system else [*system, *prompt]


def output_messages(span: OtlpSpan) -> list[Message]:
    """What a model call wrote, nearly always one message."""
    replies = _of_events(span, {conventions.OUTPUT_EVENT: "assistant"})
    for name in () if replies else conventions.OUTPUT:
        replies = messages_of(_first(span, (name,)), "assistant")
        if replies:
            break
    return replies


def _of_events(span: OtlpSpan, roles: Mapping[str, str]) -> list[Message]:
    messages = []
    for event in span.events:
        if event.name in roles and event.attributes.get("index", 0) in (0, "0"):
            messages += _of_event(event, roles[event.name])
    return messages


def _of_event(event: Event, role: str) -> list[Message]:
    # The body of the log record, or the whole message as JSON in one attribute of a span event.
    whole = decode(event.attributes.get("gen_ai.event.content"))
    fields = whole if isinstance(whole, dict) else dict(event.attributes)
    for key in ("message", "tool_calls"):  # not `content`: text that is JSON stays text
        fields[key] = decode(fields.get(key))
    return messages_of({key: value for key, value in fields.items() if value is not None}, role)


def model_of(span: OtlpSpan) -> ModelCall | None:
    """Which model was called, how, and with which tools on offer."""
    parameters = decode(_first(span, conventions.PARAMETERS))
    parameters = dict(parameters) if isinstance(parameters, dict) else {}
    for key, value in span.facts.items():
        if key.startswith(conventions.PARAMETER_PREFIX):
            parameters[key.removeprefix(conventions.PARAMETER_PREFIX)] = value
    kept = {
        k: v for k, v in parameters.items() if k not in conventions.NO_PARAMETERS and v is not None
    }
    name = _text(span, conventions.MODEL)
    tools = tuple(tool.name for tool in tools_of(span))
    if name is None and not kept and not tools:
        return None
    return ModelCall(name=name, parameters=kept or None, tools=tools)


def tools_of(span: OtlpSpan) -> tuple[ToolInfo, ...]:
    """The tools that were offered to a model, or that an agent was made with."""
    listed = decode(_first(span, conventions.TOOLS))
    return tuple(
        tool for item in (listed if isinstance(listed, list) else []) if (tool := _tool(item))
    )


def _tool(item: Any) -> ToolInfo | None:
    item = decode(item)
    for key in ("tool", "json_schema", "function"):
        inner = decode(item.get(key)) if isinstance(item, dict) else None
        item = inner if isinstance(inner, dict) else item
    # OpenInference nests tool.json_schema, and the schema may be OpenAI's wrapper once more.
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return None
    schema = next((item[k] for k in ("parameters", "input_schema") if k in item), None)
    described = item.get("description")
    return ToolInfo(
        name=item["name"],
        description=described if isinstance(described, str) else None,
        parameters=decode(schema),
    )


def usage_of(span: OtlpSpan) -> TokenUsage | None:
    """The tokens of a model call."""
    read, written = (
        _number(span, conventions.INPUT_TOKENS),
        _number(span, conventions.OUTPUT_TOKENS),
    )
    if read is None and written is None:
        return None
    return TokenUsage(input_tokens=read, output_tokens=written)


# -- tools


def tool_call_of(span: OtlpSpan) -> ToolRequest:
    """Which tool a span ran, on what, and for which call."""
    raw = decode(_first(span, conventions.ARGUMENTS))
    arguments, identity = raw, _text(span, conventions.CALL_ID)
    if isinstance(raw, dict) and "inputs" in raw and raw.keys() <= conventions.ENVELOPE:
        arguments = raw["inputs"]
        if identity is None and isinstance(raw.get("kwargs"), dict):
            identity = raw["kwargs"].get("tool_call_id")
    if isinstance(arguments, dict) and tool_request(arguments) and "args" in arguments:
        identity, arguments = identity or arguments.get("id"), arguments["args"]
    if identity is None:
        answers = list(tool_answers(_first(span, conventions.RESULT)))
        # A hand-over returns the whole conversation: its own answer is the last in it.
        identity = answers[-1]["tool_call_id"] if answers else None
    name = _text(span, conventions.TOOL_NAME) or span.name.removeprefix("execute_tool ") or "tool"
    return ToolRequest(id=str(identity or ""), name=name, arguments=arguments)


def tool_outcome(span: OtlpSpan, call_id: str) -> tuple[Any, ErrorInfo | None]:
    """What a tool returned, and the error if it failed or reported one."""
    raw = decode(_first(span, conventions.RESULT))
    error = error_of(span)
    answers = [a for a in tool_answers(raw) if not call_id or a["tool_call_id"] == call_id]
    if not answers:
        return _without_envelope(raw), error
    text = "\n".join(message.content for message in messages_of(answers[-1], "tool"))
    if answers[-1].get("status") == "error":
        return None, error or ErrorInfo(type="ToolError", message=text)
    return text, error


def _without_envelope(raw: Any) -> Any:
    if isinstance(raw, dict) and "output" in raw and raw.keys() <= {"output", "kwargs"}:
        return decode(raw["output"])
    return raw


# -- runs


def input_value(span: OtlpSpan) -> Any:
    """What a run was given, as data."""
    return decode(_first(span, conventions.INPUT_VALUE))


def output_value(span: OtlpSpan) -> Any:
    """What a run returned, as data."""
    return decode(_first(span, conventions.OUTPUT_VALUE))
