"""LangChain's and LangGraph's objects as the plain data that a recorder takes, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from pydantic import BaseModel

from agentracer.adapters.kit.text import advised, tool_spec, written
from agentracer.encoding import safe_repr
from agentracer.frameworks.registry import LANGGRAPH
from agentracer.replay.session import HANDOFF, ModelAnswer, ToolAnswer, recorded_error

__all__ = [
    "RecordedTool",
    "agent_name",
    "agents_of",
    "answer_attributes",
    "answer_text",
    "as_chunk",
    "chat_result",
    "edited_arguments",
    "invalid_calls",
    "mark",
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
_ENDED_WELL = frozenset({"stop", "end_turn", "stop_sequence", "tool_calls", "tool_use", "STOP"})
_TASK_KEYS = ("task", "question", "query", "input", "problem")
_TEXT_LIMIT = 20_000
_REPORTED = "ToolError"  # the type of an error that a tool reported in a message


# -- who


def node_path(metadata: Mapping[str, Any]) -> str:
    """A node's place without run-specific ids: `solver/model` for `solver:<uuid>|model:<uuid>`."""
    return "/".join(LANGGRAPH.node_names(metadata))


def agent_name(metadata: Mapping[str, Any], graph: str | None, inherited: str | None = None) -> str:
    """Who acts at a node: see `GraphKeys.agent_of`; else the graph."""
    return LANGGRAPH.agent_of(metadata, inherited) or (
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


def mark(message: BaseMessage) -> Any:
    """What has to be equal for a message to be the one that was read before."""
    if not isinstance(message.content, str):
        return object()
    return (message, message.content, getattr(message, "tool_calls", None))


def answer_attributes(message: BaseMessage) -> dict[str, Any]:
    """What a model answered besides text and tool calls, as attributes of its step."""
    blocks = [] if isinstance(message.content, str) else message.content
    other = [b for b in blocks if isinstance(b, Mapping) and b.get("type") != "text"]
    thoughts = [text for block in other for text in _thoughts(block)]
    extra = message.additional_kwargs
    reason = message.response_metadata.get("finish_reason") or message.response_metadata.get(
        "stop_reason"
    )
    fields = {
        "reasoning": extra.get("reasoning_content") or "\n".join(thoughts),
        "content_blocks": blocks if other else None,
        "refusal": extra.get("refusal"),
        "finish_reason": None if reason in _ENDED_WELL else reason,
    }
    return {key: value for key, value in fields.items() if value}


def _thoughts(block: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a block of reasoning, in the forms of Anthropic and OpenAI."""
    if block.get("type") in ("thinking", "reasoning"):
        summary = block.get("summary")
        parts = summary if isinstance(summary, list) else ()
        texts = [block.get("thinking"), block.get("reasoning"), *(p.get("text") for p in parts)]
        yield from (text for text in texts if isinstance(text, str))


def invalid_calls(message: BaseMessage) -> list[str]:
    """Why LangChain could not read the arguments of calls, last call first."""
    calls = getattr(message, "invalid_tool_calls", ())
    return [call.get("error") or "the arguments are no JSON object" for call in reversed(calls)]


def edited_arguments(requested: Any, arguments: Any) -> dict[str, Any] | None:
    """The arguments that a tool runs with, if they are not those that the model asked for."""
    if not isinstance(requested, Mapping) or not isinstance(arguments, Mapping):
        return None
    if all(key in arguments and arguments[key] == value for key, value in requested.items()):
        return None
    return dict(arguments)


def model_parameters(
    invocation: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a model was called, and the tools that it was offered (name, description, parameters)."""
    parameters = {k: v for k, v in (invocation or {}).items() if v is not None and k != "tools"}
    return parameters, [tool_spec(tool) for tool in (invocation or {}).get("tools") or ()]


def tool_result(output: Any, call_id: str | None) -> tuple[Any, dict[str, str] | None]:
    """What a tool returned, and the error if it reported one (as a message of status `error`)."""
    if isinstance(output, Command):
        answers = [m for m in messages_in(output) if getattr(m, "tool_call_id", None) == call_id]
        answer = message_text(answers[-1]) if answers else output.update
        goto = output.goto or ""  # empty: it only updates the state
        goto = goto if isinstance(goto, str) else safe_repr(goto)
        return {HANDOFF: goto, "content": answer}, None
    if isinstance(output, ToolMessage):
        text = message_text(output)
        if output.status == "error":
            return None, {"type": _REPORTED, "message": text}
        return text if text or not output.artifact else output.artifact, None
    return output, None


def chat_result(answer: ModelAnswer, blocks: Any = None) -> ChatResult:
    """A recorded or overridden answer as what a chat model returns.

    Args:
        answer: the replay's.
        blocks: the content blocks of the record, where the answer is not only text.
    """
    good = [call for call in answer.tool_calls if isinstance(call.arguments, dict)]
    bad = [call for call in answer.tool_calls if not isinstance(call.arguments, dict)]
    message = AIMessage(
        content=answer.content if blocks is None else blocks,
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
    if messages and isinstance(messages[0], SystemMessage):
        return [SystemMessage(advised(message_text(messages[0]), texts)), *messages[1:]]
    return [SystemMessage(advised(None, texts)), *messages]


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


def unsaid(
    outputs: Any, said: Sequence[str], asked: Callable[[Any], bool], *, hook: bool = False
) -> str:
    """What a node wrote that the model calls and tools inside it did not say, as text.

    Empty where a node only passes on what was said: that is recorded already.

    Args:
        outputs: what the node returned.
        said: what the model calls and tools inside it said.
        asked: whether a tool call is one that a model asked for, unchanged.
        hook: whether it is a hook of middleware: what it counts is nothing that anybody says.
    """
    messages = [] if said else list(messages_in(outputs))
    if messages:
        return "\n".join(filter(None, (_message_line(message, asked) for message in messages)))
    if said or hook:
        new = [text for text in strings(outputs) if text.strip()]
        return "\n".join(text for text in new if not any(text in recorded for recorded in said))
    return _plain(outputs) if outputs else ""


def _message_line(message: BaseMessage, asked: Callable[[Any], bool]) -> str:
    """What a message says; of one without text, the calls that no model asked for in this form."""
    calls = [call for call in getattr(message, "tool_calls", None) or () if not asked(call)]
    return message_text(message) or "\n".join(f"{c['name']}({written(c['args'])})" for c in calls)


def task_text(inputs: Any) -> str | None:
    """What a graph was asked, by a rule.

    A text is the task itself. Of a state (a mapping, a dataclass or a pydantic model): its last
    human message; else the first field that is named like a task; else its first text.
    """
    if isinstance(inputs, str):
        return inputs
    if isinstance(inputs, Command):
        return None
    if isinstance(inputs, (list, tuple, BaseMessage)):
        return _last_human(inputs)
    fields = _fields(inputs)
    if fields.get("messages"):
        return _last_human(fields["messages"])
    texts = {key: value for key, value in fields.items() if isinstance(value, str) and value}
    return next(
        (texts[key] for key in _TASK_KEYS if key in texts), next(iter(texts.values()), None)
    )


def answer_text(outputs: Any, inputs: Any = None) -> str | None:
    """What a graph answered, by a rule.

    A text is the answer itself. Of a final state: the first field that is named like an answer;
    else its last message, if that is no input and says something; else the last text, in the order
    of the schema, that the input did not have.
    """
    if isinstance(outputs, (str, int, float)):
        return str(outputs)
    fields, given = _fields(outputs), _fields(inputs)
    for key in _ANSWER_KEYS:
        value = fields.get(key)
        if value not in (None, "") and value != given.get(key):
            return _plain(value)
    if fields.get("messages"):
        return _last_answer(fields["messages"], given.get("messages"))
    texts = [value for key, value in fields.items() if value != given.get(key)]
    return next((text for text in reversed(texts) if isinstance(text, str) and text), None)


def _fields(state: Any) -> Mapping[str, Any]:
    """A state as a mapping."""
    if isinstance(state, Mapping):
        return state
    if isinstance(state, BaseModel):
        return {name: getattr(state, name, None) for name in type(state).model_fields}
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        return {field.name: getattr(state, field.name, None) for field in dataclasses.fields(state)}
    return {}


def _last_human(messages: Any) -> str | None:
    """The text of the last message of a human, or of the last one that has any."""
    items = _messages(messages)
    human = [text for role, text in items if role in ("human", "user") and text]
    return next(iter(human[::-1] or [text for _, text in items[::-1] if text]), None)


def _last_answer(messages: Any, given: Any) -> str | None:
    """The text of the last message, unless it is one that the graph was given."""
    items, asked = _messages(messages), _messages(given or ())
    if not items or (items[-1] in asked and items[-1][0] in ("human", "user")):
        return None
    return items[-1][1] or None


def _messages(value: Any) -> list[tuple[str, str]]:
    """Roles and texts of messages; accepts LangChain's message shorthands."""
    items = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if isinstance(item, BaseMessage):
            items.append((item.type, message_text(item)))
        elif isinstance(item, tuple) and len(item) == 2:
            items.append((str(item[0]), str(item[1])))
        elif isinstance(item, Mapping):
            role = item.get("role") or item.get("type") or "user"
            items.append((str(role), str(item.get("content", ""))))
        else:
            items.append(("user", str(item)))
    return items


def _plain(value: Any) -> str:
    """A value as text; of a mapping, one that cannot be shown does not hide its neighbours."""
    if isinstance(value, str):
        return value
    if type(value) is dict:
        pairs = (f"{safe_repr(k)}: {safe_repr(v, _TEXT_LIMIT)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"[:_TEXT_LIMIT]
    return safe_repr(value, _TEXT_LIMIT)
