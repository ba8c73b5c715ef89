"""What the attributes of a span mean: one table for all semantic conventions and emitters.

The names are those that the emitters wrote in November 2026 (versions in `tests/formats`), and
those of the conventions that define them. All of it is still in development and its constants are
deprecated in the semantic-conventions package, so they are written out here:

    GenAI           https://github.com/open-telemetry/semantic-conventions-genai (and the names
                    of its earlier versions: gen_ai.system, gen_ai.prompt, events per message)
    OpenInference   https://github.com/Arize-ai/openinference/tree/main/spec
    LangSmith       langsmith/_internal/otel/_otel_exporter.py
    Traceloop       https://github.com/traceloop/openllmetry (traceloop.*, llm.request.*)

In each row the first name that a span carries wins. This is the only place that knows emitters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from agentracer.formats._otel_messages import (
    decode,
    messages_of,
    tool_answers,
    tool_request,
)
from agentracer.formats._otel_spans import Event, Span
from agentracer.trace import ErrorInfo, Message, ModelCall, ToolInfo, ToolRequest, Usage

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

Kind = Literal["llm", "tool", "agent", "setup", "other"]

_KIND = (
    "openinference.span.kind",
    "gen_ai.operation.name",
    "langsmith.span.kind",
    "traceloop.span.kind",
    "llm.request.type",
)
_KINDS: dict[str, Kind] = {
    "llm": "llm",
    "chat": "llm",
    "generate_content": "llm",
    "text_completion": "llm",
    "completion": "llm",
    "tool": "tool",
    "execute_tool": "tool",
    "retriever": "tool",
    "retrieval": "tool",
    "agent": "agent",
    "invoke_agent": "agent",
    "create_agent": "setup",
}
_AGENT = ("agent.name", "gen_ai.agent.name", "graph.node.name", "graph.node.id")
# The class of AutoGen's group chat managers, whose own model calls no agent span encloses.
_LAST_RESORT_AGENT = ("recipient_agent_class",)
_ROLE = ("gen_ai.agent.description", "agent.description")
_SESSION = (
    "gen_ai.conversation.id",
    "session.id",
    "langsmith.trace.session_id",
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.session_id",
)
_RESPONSE = ("gen_ai.response.id",)
_SYSTEM = ("gen_ai.system_instructions",)
_INPUT = (
    "gen_ai.input.messages",
    "llm.input_messages",
    "gen_ai.prompt",
    "llm.prompts",
    "input.value",
    "traceloop.entity.input",
)
_OUTPUT = (
    "gen_ai.output.messages",
    "llm.output_messages",
    "gen_ai.completion",
    "llm.completions",
    "output.value",
    "traceloop.entity.output",
)
_INPUT_VALUE = (
    "input.value",
    "gen_ai.task.input",
    "traceloop.entity.input",
    "gen_ai.prompt",
    "gen_ai.input.messages",
    "llm.input_messages",
)
_OUTPUT_VALUE = (
    "output.value",
    "gen_ai.task.output",
    "traceloop.entity.output",
    "gen_ai.completion",
    "gen_ai.output.messages",
    "llm.output_messages",
)
_INPUT_EVENTS = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
_OUTPUT_EVENT = "gen_ai.choice"
_FLATTENED = frozenset(
    {
        "llm.input_messages",
        "llm.output_messages",
        "llm.prompts",
        "llm.tools",
        "llm.completions",
        "llm.request.functions",
        "gen_ai.prompt",
        "gen_ai.completion",
        "retrieval.documents",
    }
)
_INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
_OUTPUT_TOKENS = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
_MODEL = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "llm.request.model")
_PARAMETERS = ("llm.invocation_parameters",)
_PARAMETER_PREFIX = "gen_ai.request."
_NO_PARAMETERS = frozenset({"model", "messages", "tools", "functions", "input"})
_TOOLS = ("gen_ai.tool.definitions", "llm.tools", "llm.request.functions")
_TOOL_NAME = ("gen_ai.tool.name", "tool.name", "tool_call.function.name", "traceloop.entity.name")
_CALL_ID = ("gen_ai.tool.call.id", "tool_call.id", "tool.id")
_ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "tool_call.function.arguments",
    "input.value",
    "traceloop.entity.input",
    "gen_ai.prompt",
    "tool.parameters",
)
_RESULT = (
    "gen_ai.tool.call.result",
    "output.value",
    "traceloop.entity.output",
    "gen_ai.completion",
    "retrieval.documents",
)
_ERROR_TYPE = ("error.type", "exception.type")
_SERVICE = ("service.name",)

# LangGraph's own metadata, as a JSON attribute or behind a prefix.
_METADATA_JSON = ("metadata",)
_METADATA_PREFIXES = ("langsmith.metadata.", "traceloop.association.properties.")
_NODE, _NAMED = "langgraph_node", "lc_agent_name"
_NAMESPACES = ("langgraph_checkpoint_ns", "checkpoint_ns")
_NODE_LABEL = ("traceloop.entity.name",)
# Nodes of prebuilt agents: their names say what happens, not who acts. The same rule as in
# `adapters.langgraph.shapes`, which cannot be imported without LangChain.
_INNER_NODES = frozenset({"agent", "model", "tools", "call_model", "__start__", "__end__"})
_MIDDLEWARE = (".before_model", ".after_model", ".before_agent", ".after_agent")
# Traceloop wraps a runnable's input with its callback's arguments.
_ENVELOPE = frozenset({"input_str", "tags", "metadata", "inputs", "kwargs", "name"})


# -- looking up


def _first(span: Span, names: Sequence[str]) -> Any:
    """The value of the first of the names that the span carries, flattened or whole."""
    for name in names:
        value = span.facts.get(name)
        if value in (None, "") and name in _FLATTENED:
            value = _unflatten(span.facts, name)
        if value not in (None, "", [], {}):
            return value
    return None


def _text(span: Span, names: Sequence[str]) -> str | None:
    value = _first(span, names)
    return str(value) if isinstance(value, (str, int)) else None


def _number(span: Span, names: Sequence[str]) -> int | None:
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


def kind_of(span: Span) -> Kind:
    """What a span stands for; `setup` describes an agent without running it."""
    for name in _KIND:
        kind = _KINDS.get(str(span.facts.get(name, "")).lower())
        if kind == "agent" and _NODE in _metadata(span):
            # OpenInference calls every LangChain run an agent whose name has "agent" in it.
            return "other"
        if kind is not None:
            return kind
    return "other"


def agent_name(span: Span) -> str | None:
    """The agent that a span names, whatever encloses it; None if it names none."""
    named = _text(span, _AGENT)
    if named and named not in _INNER_NODES:
        return named
    return _langgraph_agent(_metadata(span)) or _text(span, _LAST_RESORT_AGENT)


def agent_role(span: Span) -> str | None:
    """The description of the agent that a span names."""
    return _text(span, _ROLE)


def node_name(span: Span) -> str | None:
    """The node of a graph that a span is a run of; None for spans inside a node."""
    node = _metadata(span).get(_NODE)
    label = _text(span, _NODE_LABEL) or span.name
    if not node or node != label or node.startswith("__") or node.endswith(_MIDDLEWARE):
        return None
    return node


def _metadata(span: Span) -> dict[str, str]:
    found: dict[str, Any] = {}
    for name in _METADATA_JSON:
        data = decode(span.facts.get(name))
        if isinstance(data, dict):
            found |= data
    for key in (_NODE, _NAMED, *_NAMESPACES):
        for prefix in _METADATA_PREFIXES:
            if prefix + key in span.facts:
                found[key] = span.facts[prefix + key]
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _langgraph_agent(metadata: Mapping[str, str]) -> str | None:
    """The node, or for the inner nodes of a prebuilt agent that agent's name or outer node."""
    namespace = next((metadata[key] for key in _NAMESPACES if metadata.get(key)), "")
    path = [part.partition(":")[0] for part in namespace.split("|") if part]
    names = path or [metadata.get(_NODE, "")]
    node = names[-1]
    if node and node not in _INNER_NODES and not node.endswith(_MIDDLEWARE):
        return node
    outer = [name for name in names[:-1] if name and name not in _INNER_NODES]
    return metadata.get(_NAMED) or (outer[-1] if outer else None)


def session_of(span: Span) -> str | None:
    """The conversation that a span belongs to."""
    return _text(span, _SESSION)


def service_of(span: Span) -> str | None:
    """The service that emitted a span."""
    name = next((span.resource[key] for key in _SERVICE if key in span.resource), None)
    return str(name) if name is not None else None


def response_id(span: Span) -> str | None:
    """The id that the model's server gave to its answer."""
    return _text(span, _RESPONSE)


def error_of(span: Span) -> ErrorInfo | None:
    """The error that a span ended with: its exception event, else its status."""
    if not span.failed:
        return None
    thrown = [e.attributes for e in span.events if "exception.type" in e.attributes]
    about = thrown[-1] if thrown else {}
    stack = about.get("exception.stacktrace")
    return ErrorInfo(
        type=str(about.get("exception.type") or _text(span, _ERROR_TYPE) or "Error"),
        message=str(about.get("exception.message") or span.status),
        traceback=str(stack) if stack else None,
    )


# -- model calls


def input_messages(span: Span) -> list[Message]:
    """The prompt that a model call read, oldest message first."""
    system = messages_of(_first(span, _SYSTEM), "system")
    told = _of_events(span, _INPUT_EVENTS)
    for name in () if told else _INPUT:
        told = messages_of(_first(span, (name,)))
        if told:
            break
    # Emitters that repeat the instructions as the first message do so verbatim.
    return told if told[: len(system)] == system else [*system, *told]


def output_messages(span: Span) -> list[Message]:
    """What a model call wrote, nearly always one message."""
    said = _of_events(span, {_OUTPUT_EVENT: "assistant"})
    for name in () if said else _OUTPUT:
        said = messages_of(_first(span, (name,)), "assistant")
        if said:
            break
    return said


def _of_events(span: Span, roles: Mapping[str, str]) -> list[Message]:
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


def model_of(span: Span) -> ModelCall | None:
    """Which model was called, how, and with which tools on offer."""
    parameters = decode(_first(span, _PARAMETERS))
    parameters = dict(parameters) if isinstance(parameters, dict) else {}
    for key, value in span.facts.items():
        if key.startswith(_PARAMETER_PREFIX):
            parameters[key.removeprefix(_PARAMETER_PREFIX)] = value
    kept = {k: v for k, v in parameters.items() if k not in _NO_PARAMETERS and v is not None}
    name = _text(span, _MODEL)
    tools = tuple(tool.name for tool in tools_of(span))
    if name is None and not kept and not tools:
        return None
    return ModelCall(name=name, parameters=kept or None, tools=tools)


def tools_of(span: Span) -> tuple[ToolInfo, ...]:
    """The tools that were offered to a model, or that an agent was made with."""
    listed = decode(_first(span, _TOOLS))
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


def usage_of(span: Span) -> Usage | None:
    """The tokens of a model call."""
    read, written = _number(span, _INPUT_TOKENS), _number(span, _OUTPUT_TOKENS)
    if read is None and written is None:
        return None
    return Usage(input_tokens=read, output_tokens=written)


# -- tools


def tool_call_of(span: Span) -> ToolRequest:
    """Which tool a span ran, on what, and for which call."""
    raw = decode(_first(span, _ARGUMENTS))
    arguments, identity = raw, _text(span, _CALL_ID)
    if isinstance(raw, dict) and "inputs" in raw and raw.keys() <= _ENVELOPE:
        arguments = raw["inputs"]
        if identity is None and isinstance(raw.get("kwargs"), dict):
            identity = raw["kwargs"].get("tool_call_id")
    if isinstance(arguments, dict) and tool_request(arguments) and "args" in arguments:
        identity, arguments = identity or arguments.get("id"), arguments["args"]
    if identity is None:
        answers = list(tool_answers(_first(span, _RESULT)))
        # A hand-over returns the whole conversation: its own answer is the last in it.
        identity = answers[-1]["tool_call_id"] if answers else None
    name = _text(span, _TOOL_NAME) or span.name.removeprefix("execute_tool ") or "tool"
    return ToolRequest(id=str(identity or ""), name=name, arguments=arguments)


def tool_outcome(span: Span, call_id: str) -> tuple[Any, ErrorInfo | None]:
    """What a tool returned, and the error if it failed or reported one."""
    raw = decode(_first(span, _RESULT))
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


def input_value(span: Span) -> Any:
    """What a run was given, as data."""
    return decode(_first(span, _INPUT_VALUE))


def output_value(span: Span) -> Any:
    """What a run returned, as data."""
    return decode(_first(span, _OUTPUT_VALUE))
