"""AutoGen's objects as the plain data that a recorder takes, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autogen_agentchat.base import Response, TaskResult, Team
from autogen_agentchat.messages import (
    BaseChatMessage,
    HandoffMessage,
    StopMessage,
    ToolCallExecutionEvent,
)
from autogen_core import FunctionCall, Image
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    RequestUsage,
    SystemMessage,
    UserMessage,
)
from autogen_core.tools import TextResultContent, ToolResult
from pydantic import BaseModel

from agentracer.adapters.kit.text import advised, parsed_arguments, written
from agentracer.adapters.kit.text import tool_spec as describe_tool
from agentracer.encoding import safe_repr, to_json
from agentracer.replay.session import ModelAnswer

__all__ = [
    "accepts_parameter",
    "agent_tools",
    "answer_text",
    "as_sent",
    "chat_message",
    "create_result",
    "executed_calls",
    "final_message",
    "innermost_client",
    "message_fields",
    "model_info",
    "model_parameters",
    "result_fields",
    "runs_agents",
    "task_text",
    "tool_name",
    "tool_result",
    "tool_spec",
    "waits_for_a_human",
    "with_advice",
]


# -- prompts


def message_fields(message: Any, *, prefix_names: bool = False) -> list[dict[str, Any]]:
    """A prompt message as arguments of `RunRecorder.message`: one for each message on the wire."""
    if isinstance(message, SystemMessage):
        return [{"role": "system", "content": message.content}]
    if isinstance(message, UserMessage):
        return [_user_fields(message, prefix_names=prefix_names)]
    if isinstance(message, AssistantMessage):
        if isinstance(message.content, str):
            return [{"role": "assistant", "content": message.content}]
        return [
            {
                "role": "assistant",
                "content": message.thought or "",
                "tool_calls": [call_fields(call) for call in message.content],
            }
        ]
    if isinstance(message, FunctionExecutionResultMessage):
        return [
            {"role": "tool", "content": result.content, "tool_call_id": result.call_id}
            for result in message.content
        ]
    return [{"role": str(getattr(message, "type", "unknown")), "content": safe_repr(message)}]


def _user_fields(message: UserMessage, *, prefix_names: bool) -> dict[str, Any]:
    prefix = f"{message.source} said:\n" if prefix_names else ""
    if isinstance(message.content, str):
        return {"role": "user", "content": prefix + message.content, "name": message.source}
    texts = [part for part in message.content if isinstance(part, str)]
    images = [part.to_openai_format() for part in message.content if isinstance(part, Image)]
    return {
        "role": "user",
        "content": prefix + "".join(texts),
        "name": message.source,
        "parts": images or None,
    }


def with_advice(messages: Sequence[Any], text: str) -> list[Any]:
    """The prompt with advice at the end of its system message, or as a system message."""
    if messages and isinstance(messages[0], SystemMessage):
        return [SystemMessage(content=advised(messages[0].content, [text])), *messages[1:]]
    return [SystemMessage(content=text), *messages]


def as_sent(
    client: Any, messages: Sequence[Any], systems: Sequence[SystemMessage]
) -> Sequence[Any]:
    """The prompt with its system messages joined into one, stripped at its end.

    That is what clients do whose model takes only one.
    """
    if not systems or model_info(client).get("multiple_system_messages"):
        return messages
    text = "\n".join(message.content for message in systems).rstrip()
    if len(systems) == 1 and text == systems[0].content:
        return messages
    first = next(i for i, message in enumerate(messages) if isinstance(message, SystemMessage))
    rest = [message for message in messages if not isinstance(message, SystemMessage)]
    if text:
        rest.insert(first, SystemMessage(content=text))
    return rest


# -- models


def innermost_client(client: Any) -> Any:
    """The client that a wrapper, such as a cache, passes calls on to; a client itself if none."""
    while isinstance(inner := getattr(client, "client", None), ChatCompletionClient):
        client = inner
    return client


def model_info(client: ChatCompletionClient) -> Mapping[str, Any]:
    """What a client says about its model; clients may not know."""
    try:
        return client.model_info or {}
    except Exception:  # noqa: BLE001 - a client of the user's
        return {}


def model_parameters(
    client: Any, call: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any] | None]:
    """The model's name, and what it was called with besides messages and tools."""
    made = getattr(client, "_create_args", None)
    parameters = dict(made) if isinstance(made, Mapping) else {}
    parameters.update(call.get("extra_create_args") or {})
    json_output = call.get("json_output")
    if json_output is not None:
        parameters["json_output"] = getattr(json_output, "__name__", json_output)
    choice = call.get("tool_choice", "auto")
    if choice != "auto":
        parameters["tool_choice"] = choice if isinstance(choice, str) else tool_name(choice)
    name = parameters.pop("model", None) or getattr(client, "model", None)
    return (str(name) if name else type(client).__name__), parameters or None


def accepts_parameter(client: Any, name: str) -> bool:
    """Whether a client takes a sampling parameter in the `extra_create_args` of a call.

    Clients of model servers keep the arguments of their requests and refuse those that the server
    does not know; others, such as clients that replay recorded answers, ignore them.
    """
    wire = innermost_client(client)
    if not isinstance(getattr(wire, "_create_args", None), Mapping):
        return False
    return name != "seed" or "anthropic" not in type(wire).__module__


def tool_name(tool: Any) -> str:
    """The name of a tool, given as an object or as a schema."""
    return str(tool["name"]) if isinstance(tool, Mapping) else str(tool.name)


def tool_spec(tool: Any) -> dict[str, Any]:
    """A tool as it is described to a model."""
    return describe_tool(tool if isinstance(tool, Mapping) else tool.schema)


def call_fields(call: FunctionCall) -> dict[str, Any]:
    """A tool call as a model wrote it; arguments that are no JSON object stay as text."""
    return {"id": call.id, "name": call.name, "arguments": parsed_arguments(call.arguments)}


def result_fields(result: CreateResult) -> dict[str, Any]:
    """What a model answered, as arguments of `RunRecorder.end_step`.

    Text beside tool calls is what AutoGen calls their thought; beside text it is the reasoning.
    """
    fields: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    if isinstance(result.content, str):
        fields["content"] = result.content
        if result.thought:
            attributes["reasoning"] = result.thought
    else:
        fields["content"] = result.thought or ""
        fields["tool_calls"] = [call_fields(call) for call in result.content]
    if result.finish_reason not in ("stop", "function_calls"):
        attributes["finish_reason"] = result.finish_reason
    if result.cached:
        attributes["cached"] = True
    usage = result.usage
    if usage is not None and (usage.prompt_tokens or usage.completion_tokens):
        fields["usage"] = {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
        }
    return {**fields, "attributes": attributes} if attributes else fields


def create_result(answer: ModelAnswer) -> CreateResult:
    """A recorded or overridden answer as what a model client returns."""
    calls = [
        FunctionCall(
            id=call.id or f"replayed-{answer.step}-{position}",
            name=call.name,
            arguments=written(call.arguments),
        )
        for position, call in enumerate(answer.tool_calls)
    ]
    usage = getattr(answer, "usage", None)
    return CreateResult(
        finish_reason="function_calls" if calls else "stop",
        content=calls or answer.content,
        thought=(answer.content or None) if calls else None,
        usage=RequestUsage(
            prompt_tokens=getattr(usage, "input_tokens", None) or 0,
            completion_tokens=getattr(usage, "output_tokens", None) or 0,
        ),
        cached=False,
    )


# -- tools


def tool_result(name: str, result: Any, *, is_error: bool = False) -> ToolResult:
    """A recorded or overridden result as what a workbench returns."""
    content = [TextResultContent(content=written(result))]
    return ToolResult(name=name, result=content, is_error=is_error)


def runs_agents(owner: Any, name: str) -> bool:
    """Whether a tool, or a workbench's tool of that name, runs an agent or a team."""
    tools = [owner, *(getattr(owner, "_tools", None) or ())]
    return any(hasattr(tool, "_task_runner") and tool.name == name for tool in tools)


def agent_tools(agent: Any) -> list[Any]:
    """The tools of an agent that run another agent or a team: `AgentTool`, `TeamTool`."""
    workbenches = getattr(agent, "_workbench", None)
    if not isinstance(workbenches, (list, tuple)):
        workbenches = [workbenches]
    tools = [tool for workbench in workbenches for tool in getattr(workbench, "_tools", ())]
    return [tool for tool in tools if hasattr(tool, "_task_runner")]


def executed_calls(items: Iterable[Any]) -> list[FunctionExecutionResult]:
    """The tool results in a turn's events: also of calls that never reached a tool."""
    return [r for item in items if isinstance(item, ToolCallExecutionEvent) for r in item.content]


# -- tasks and results


def task_text(task: Any) -> str | None:
    """What a team or an agent was asked: a text, a message, or several."""
    if task is None or isinstance(task, str):
        return task
    if isinstance(task, BaseChatMessage):
        return chat_message(task)
    if isinstance(task, Sequence):
        return "\n".join(text for item in task if (text := task_text(item))) or None
    return None


def chat_message(message: Any) -> str:
    """The text of a chat message; structured content as JSON."""
    content = getattr(message, "content", "")
    if isinstance(content, str):
        return content
    if isinstance(content, BaseModel):
        return json.dumps(to_json(content), ensure_ascii=False)
    return str(message.to_text()) if isinstance(message, BaseChatMessage) else safe_repr(content)


def final_message(result: Any) -> BaseChatMessage | None:
    """The last thing said in a response or a task result."""
    if isinstance(result, Response):
        return result.chat_message
    if isinstance(result, TaskResult):
        chat_messages = [m for m in result.messages if isinstance(m, BaseChatMessage)]
        plain = [m for m in chat_messages if not isinstance(m, StopMessage)]
        return plain[-1] if plain else chat_messages[-1] if chat_messages else None
    return None


def answer_text(result: Any, given: Sequence[Any] = ()) -> str | None:
    """What a run answered; a message that it was given, or that says nothing, is no answer."""
    message = final_message(result)
    if message is None or message.source == "user" or any(message is item for item in given):
        return None
    return chat_message(message) or None


def waits_for_a_human(result: Any, owner: Any) -> bool:
    """Whether a team has stopped because it handed over to someone who is not in it."""
    message = final_message(result)
    if not isinstance(owner, Team) or not isinstance(message, HandoffMessage):
        return False
    return message.target not in getattr(owner, "_participant_names", [message.target])
