"""LangChain's and LangGraph's objects as the plain data that a recorder takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool
from langgraph.types import Command

from agentracer.encoding import safe_repr
from agentracer.frameworks.registry import LANGGRAPH
from agentracer.replay.session import HANDOFF, ModelAnswer, ToolAnswer, recorded_error

__all__ = [
    "RecordedTool",
    "agent_name",
    "agents_of",
    "answer_text",
    "as_chunk",
    "chat_result",
    "ending",
    "message_fields",
    "message_text",
    "messages_in",
    "model_parameters",
    "node_path",
    "recorded_tool",
    "strings",
    "task_text",
    "tool_result",
    "unsaid",
    "usage",
    "with_advice",
]

_ROLES = {"human": "user", "ai": "assistant"}
_ANSWER_KEYS = ("final_answer", "answer", "output", "result", "response")
_TASK_KEYS = ("task", "question", "query", "input", "problem")
_TEXT_LIMIT = 20_000
_REPORTED = "ToolError"  # the type of an error that a tool reported in a message


# -- who


def node_path(metadata: Mapping[str, Any]) -> str:
    """A node's place without run-specific ids: `solver/model` for `solver:<uuid>|model:<uuid>`."""
    return "/".join(LANGGRAPH.node_names(metadata))


def agent_name(metadata: Mapping[str, Any], graph: str | None) -> str:
    """Who acts at a node: see `GraphKeys.agent_of`; else the graph."""
    return LANGGRAPH.agent_of(metadata) or (
        graph if graph and graph not in LANGGRAPH.unnamed else "agent"
    )


def agents_of(graph: Any) -> list[str]:
    """The agents of a compiled graph: its nodes, and those of its subgraphs."""
    names = [str(name) for name in graph.nodes if name not in LANGGRAPH.inner_nodes]
    for path, subgraph in graph.get_subgraphs(recurse=True):
        if subgraph.name and subgraph.name not in LANGGRAPH.unnamed:
            names.append(subgraph.name)
        names += [str(name) for name in (path.split("|")[-1], *subgraph.nodes)]
    if graph.name and graph.name not in LANGGRAPH.unnamed:
        names.append(graph.name)
    return list(dict.fromkeys(name for name in names if name not in LANGGRAPH.inner_nodes)) or [
        "agent"
    ]


# -- messages and models


def message_text(message: BaseMessage) -> str:
    """The text of a message whose content may be a list of blocks."""
    content = message.content
    if isinstance(content, str):
        return content
    texts = [block if isinstance(block, str) else block.get("text", "") for block in content]
    return "\n".join(text for text in texts if isinstance(text, str) and text)


def message_fields(message: BaseMessage) -> dict[str, Any]:
    """A message as the arguments of `RunRecorder.message`."""
    role = getattr(message, "role", None) or _ROLES.get(message.type, message.type)
    fields: dict[str, Any] = {"role": role, "content": message_text(message)}
    if not isinstance(message.content, str):
        other = [b for b in message.content if isinstance(b, dict) and b.get("type") != "text"]
        fields["parts"] = other or None
    if message.name:
        fields["name"] = message.name
    if isinstance(message, AIMessage):
        fields["tool_calls"] = [
            {"id": call.get("id") or "", "name": call["name"] or "", "arguments": call["args"]}
            for call in (*message.tool_calls, *message.invalid_tool_calls)
        ]
    if isinstance(message, ToolMessage):
        fields["tool_call_id"] = message.tool_call_id
    return fields


def usage(message: BaseMessage) -> dict[str, int] | None:
    """Token counts, where the model reported them."""
    counts = getattr(message, "usage_metadata", None)
    if not counts:
        return None
    return {name: counts[name] for name in ("input_tokens", "output_tokens") if name in counts}


def model_parameters(
    invocation: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a model was called, and the tools that it was offered (name, description, parameters)."""
    parameters = {k: v for k, v in (invocation or {}).items() if v is not None and k != "tools"}
    tools = []
    for tool in (invocation or {}).get("tools") or ():
        spec = tool.get("function", tool) if isinstance(tool, Mapping) else {}
        name = spec.get("name") or (tool.get("type") if isinstance(tool, Mapping) else None)
        schema = spec.get("parameters", spec.get("input_schema"))
        described = {"description": spec.get("description"), "parameters": schema}
        tools.append({"name": name or safe_repr(tool, 80)} | described)
    return parameters, tools


def tool_result(output: Any, call_id: str | None) -> tuple[Any, dict[str, str] | None]:
    """What a tool returned, and the error if it reported one (as a message of status `error`)."""
    if isinstance(output, Command):
        answers = [m for m in messages_in(output) if getattr(m, "tool_call_id", None) == call_id]
        said = message_text(answers[-1]) if answers else output.update
        goto = output.goto if isinstance(output.goto, str) else safe_repr(output.goto)
        return {HANDOFF: goto, "content": said}, None
    if isinstance(output, ToolMessage):
        text = message_text(output)
        if output.status == "error":
            return None, {"type": _REPORTED, "message": text}
        return text if text or not output.artifact else output.artifact, None
    return output, None


def chat_result(answer: ModelAnswer) -> ChatResult:
    """A recorded or overridden answer as what a chat model returns."""
    good = [call for call in answer.tool_calls if isinstance(call.arguments, dict)]
    bad = [call for call in answer.tool_calls if not isinstance(call.arguments, dict)]
    message = AIMessage(
        content=answer.content,
        tool_calls=[{"id": c.id, "name": c.name, "args": c.arguments} for c in good],
        invalid_tool_calls=[
            {
                "type": "invalid_tool_call",
                "id": c.id,
                "name": c.name,
                "args": c.arguments,
                "error": None,
            }
            for c in bad
        ],
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def as_chunk(message: BaseMessage) -> AIMessageChunk:
    """A whole message as the only chunk of a stream."""
    fields = message.model_dump(exclude={"type"})
    return AIMessageChunk(**fields, chunk_position="last")


def with_advice(messages: Sequence[BaseMessage], texts: Sequence[str]) -> list[BaseMessage]:
    """The prompt with advice at the end of its system message, or as a system message."""
    advice = "\n\n".join(texts)
    if messages and isinstance(messages[0], SystemMessage):
        system = SystemMessage(f"{message_text(messages[0])}\n\n{advice}")
        return [system, *messages[1:]]
    return [SystemMessage(advice), *messages]


class RecordedTool(BaseTool):
    """Stands in for a tool during a replay: LangChain runs it, with all callbacks, as any other."""

    name: str
    description: str = ""
    returns: Any = None
    raises: Any = None

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if self.raises is not None:
            raise self.raises
        return self.returns

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        return self._run()


def recorded_tool(name: str, answer: ToolAnswer, call_id: str | None) -> RecordedTool:
    """A tool that does what was recorded: returns, raises, or reports an error in a message."""
    if answer.error is None:
        return RecordedTool(name=name, returns=answer.result)
    if answer.error.type == _REPORTED:
        message = ToolMessage(answer.error.message, tool_call_id=call_id or "", status="error")
        return RecordedTool(name=name, returns=message)
    return RecordedTool(name=name, raises=recorded_error(answer.error))


# -- states


def messages_in(value: Any) -> Iterator[BaseMessage]:
    """The messages in what a node returned: a state update, commands, or messages."""
    if isinstance(value, BaseMessage):
        yield value
    elif isinstance(value, Command):
        yield from messages_in(value.update)
    elif isinstance(value, Mapping):
        yield from messages_in(value.get("messages"))
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for item in value:
            yield from messages_in(item)


def strings(value: Any, depth: int = 6) -> Iterator[str]:
    """The texts in a state update, messages by their content; numbers and flags are no texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseMessage):
        yield message_text(value)
    elif isinstance(value, Command):
        yield from strings(value.update, depth)
    elif depth and isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for item in value:
            yield from strings(item, depth - 1)


def unsaid(outputs: Any, said: Sequence[str]) -> str:
    """What a node wrote that the model calls and tools inside it did not say, as text.

    Empty where a node only passes on what was said: that is recorded already.
    """
    if said:
        new = [text for text in strings(outputs) if text.strip()]
        return "\n".join(text for text in new if not any(text in known for known in said))
    messages = [message_text(message) for message in messages_in(outputs)]
    if any(messages):
        return "\n".join(messages)
    return _plain(outputs) if outputs else ""


def task_text(inputs: Any) -> str | None:
    """What a graph was asked: its last human message, or the input that reads like a task."""
    if isinstance(inputs, Mapping) and inputs.get("messages"):
        return _last_text(inputs["messages"])
    return _pick(inputs, _TASK_KEYS)


def answer_text(outputs: Any) -> str | None:
    """What a graph answered: an answer field of its final state, or its last message."""
    if isinstance(outputs, Mapping):
        for key in _ANSWER_KEYS:
            if outputs.get(key) not in (None, ""):
                return _plain(outputs[key])
        if outputs.get("messages"):
            return _last_text(outputs["messages"])
    return _pick(outputs, _ANSWER_KEYS)


def ending(error: BaseException | None) -> str:
    """How a graph run ended, as an `agentracer.trace.Ending`."""
    if error is None:
        return "finished"
    if isinstance(error, GeneratorExit):
        return "abandoned"
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
        return "cancelled"
    return "raised"


def _pick(value: Any, keys: Sequence[str]) -> str | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        for key in keys:
            if isinstance(value.get(key), str):
                return str(value[key])
    return _plain(value)


def _last_text(messages: Any) -> str | None:
    """The text of the last message that has any; accepts LangChain's message shorthands."""
    items = messages if isinstance(messages, (list, tuple)) else [messages]
    for item in reversed(items):
        if isinstance(item, BaseMessage):
            text = message_text(item)
        elif isinstance(item, tuple) and len(item) == 2:
            text = str(item[1])
        elif isinstance(item, Mapping):
            text = str(item.get("content", ""))
        else:
            text = str(item)
        if text:
            return text
    return None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else safe_repr(value, _TEXT_LIMIT)
