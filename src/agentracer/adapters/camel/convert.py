"""CAMEL's and OpenAI's objects as the plain data that a recorder takes, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import openai
from camel.models.stub_model import StubModel
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_message_tool_call import (
    ChatCompletionMessageToolCall,
    Function,
)

from agentracer.adapters.kit.text import parsed_arguments, written
from agentracer.recorder import describe_error
from agentracer.replay.session import ModelAnswer, recorded_error
from agentracer.trace import ErrorInfo, Step

__all__ = [
    "accepts_parameter",
    "answer_error",
    "completion",
    "mark",
    "message_fields",
    "message_text",
    "model_parameters",
    "offered_tools",
    "prompt_text",
    "requests_in",
    "response_text",
    "short",
    "tool_result",
    "usage_fields",
]

FAILED = "Tool execution failed: "
"""How CAMEL begins the text that an agent reads where a tool raised or does not exist."""

_NOT_FOUND = "not found in registered tools"
_NAME_LIMIT = 80


# -- texts


def short(text: Any) -> str:
    """A name in one line: descriptions may be whole paragraphs."""
    line = re.sub(r"\s+", " ", str(text)).strip()
    return line if len(line) <= _NAME_LIMIT else f"{line[: _NAME_LIMIT - 1]}…"


def prompt_text(message: Any) -> str | None:
    """The text of a system message."""
    content = getattr(message, "content", None)
    return content if isinstance(content, str) else None


def message_text(message: Any) -> str | None:
    """What an agent is given: a string or a message."""
    return message if isinstance(message, str) else prompt_text(message)


def response_text(response: Any) -> str | None:
    """The text of a response of an agent, if it says anything."""
    messages = getattr(response, "msgs", None)
    return prompt_text(messages[0]) if messages else None


# -- prompts


def message_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    """One message of a request as the arguments of `RunRecorder.message`."""
    content = message.get("content")
    fields: dict[str, Any] = {"role": str(message.get("role") or "user")}
    if isinstance(content, str):
        fields["content"] = content
    elif isinstance(content, list):
        parts = [part if isinstance(part, Mapping) else {"text": part} for part in content]
        fields["content"] = "\n".join(str(part["text"]) for part in parts if part.get("text"))
        fields["parts"] = [part for part in parts if not part.get("text")] or None
    elif content is not None:
        fields["parts"] = content
    for key in ("name", "tool_call_id"):
        if message.get(key):
            fields[key] = str(message[key])
    if calls := message.get("tool_calls"):
        fields["tool_calls"] = [_request(call) for call in calls]
    return fields


def _request(call: Any) -> dict[str, Any]:
    if not isinstance(call, Mapping):
        call = call.model_dump()
    function = call.get("function") or {}
    return {
        "id": call.get("id") or "",
        "name": function.get("name") or "",
        "arguments": parsed_arguments(function.get("arguments")),
    }


# -- models


def model_parameters(config: Mapping[str, Any] | None, response_format: Any) -> dict[str, Any]:
    """How a model is called."""
    parameters = {k: v for k, v in (config or {}).items() if v is not None and k != "tools"}
    requested = response_format or parameters.get("response_format")
    if requested is not None:
        parameters["response_format"] = getattr(requested, "__name__", None) or requested
    return parameters


def accepts_parameter(backend: Any, name: str) -> bool:
    """Whether a backend sends its configuration to a model server, and may send this parameter."""
    del name  # CAMEL passes on whatever the configuration holds
    return not isinstance(backend, StubModel)


def offered_tools(backend: Any, tools: Any) -> Any:
    """The tools of a request: those given, else those of the backend; an empty list is none.

    `_resolve_tools` is new in CAMEL 0.2.90.
    """
    resolve = getattr(backend, "_resolve_tools", None)
    if resolve is not None:
        return resolve(tools)
    return (backend.model_config_dict.get("tools") if tools is None else tools) or None


def mark(message: Mapping[str, Any]) -> Any:
    """What has to be equal for a message to be the one that was read before."""
    return object() if isinstance(message.get("content"), list) else dict(message)


def usage_fields(usage: Any) -> dict[str, int] | None:
    """Token counts, where the model reported them."""
    if usage is None:
        return None
    counts = {
        "input_tokens": getattr(usage, "prompt_tokens", None),
        "output_tokens": getattr(usage, "completion_tokens", None),
    }
    return {name: count for name, count in counts.items() if isinstance(count, int)} or None


def requests_in(message: Any) -> list[dict[str, Any]]:
    """The tool calls that a model asked for."""
    return [_request(call) for call in getattr(message, "tool_calls", None) or ()]


def completion(answer: ModelAnswer, step: Step, response_format: Any) -> ChatCompletion:
    """A recorded or overridden answer as what a backend returns."""
    calls = [
        ChatCompletionMessageToolCall(
            id=call.id or f"call_{step.index}_{position}",
            type="function",
            function=Function(
                name=call.name,
                arguments=written(call.arguments),
            ),
        )
        for position, call in enumerate(answer.tool_calls)
    ]
    message = ChatCompletionMessage(
        role="assistant", content=answer.content or None, tool_calls=calls or None
    )
    if (thought := step.attributes.get("reasoning")) and answer.mode == "recorded":
        message.reasoning_content = thought  # type: ignore[attr-defined]
    if isinstance(response_format, type) and answer.content:
        message.parsed = _parsed(response_format, answer.content)  # type: ignore[attr-defined]
    reason: Any = "tool_calls" if calls else "stop"
    return ChatCompletion(
        id=f"replay-{step.index}",
        object="chat.completion",
        created=0,
        model=(step.model.name if step.model else None) or "recorded",
        choices=[Choice(index=0, finish_reason=reason, message=message, logprobs=None)],
        usage=_usage(step),
    )


def _usage(step: Step) -> CompletionUsage:
    input_tokens = (step.usage.input_tokens if step.usage else None) or 0
    wrote = (step.usage.output_tokens if step.usage else None) or 0
    return CompletionUsage(
        prompt_tokens=input_tokens, completion_tokens=wrote, total_tokens=input_tokens + wrote
    )


def _parsed(response_format: Any, content: str) -> Any:
    try:
        return response_format.model_validate_json(content)
    except ValueError:  # what the model wrote did not fit then either
        return None


def answer_error(error: ErrorInfo) -> Exception:
    """A recorded error of a model as an exception that CAMEL treats as it treated the first."""
    openai_class = getattr(openai, error.type, None)
    if not (isinstance(openai_class, type) and issubclass(openai_class, openai.OpenAIError)):
        return recorded_error(error)
    made = openai_class.__new__(
        openai_class
    )  # their constructors want the HTTP response, which is gone
    Exception.__init__(made, error.message)
    for name, value in (("message", error.message), ("body", None), ("response", None)):
        setattr(made, name, value)
    return made


# -- tools


def tool_result(record: Any, raised: BaseException | None) -> tuple[Any, dict[str, str] | None]:
    """What a tool call came to: what the agent reads, and the error if it failed.

    CAMEL gives an agent the text of an exception as if the tool had returned it.
    """
    result = getattr(record, "result", record)
    text = result.get("error") if isinstance(result, dict) and len(result) == 1 else result
    if not isinstance(text, str) or not _says_failed(text, result, raised):
        return (result if _is_json(result) else str(result)), None
    if raised is None:
        kind = "ToolNotFound" if text.endswith(_NOT_FOUND) else "ToolError"
        return result, {"type": kind, "message": text.removeprefix(FAILED)}
    cause = raised.__context__ if "Execution of function" in str(raised) else None
    return result, describe_error(cause or raised)


def _says_failed(text: str, result: Any, raised: BaseException | None) -> bool:
    if raised is not None or text.startswith(FAILED):
        return True
    return isinstance(result, dict) and text.endswith(_NOT_FOUND)


def _is_json(value: Any, depth: int = 8) -> bool:
    """Whether a tool's result survives a trip through JSON; others are kept as agents read them."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return type(value) in (type(None), str, bool, int, float)
    if depth and type(value) is dict:
        return all(type(k) is str and _is_json(v, depth - 1) for k, v in value.items())
    return depth > 0 and type(value) is list and all(_is_json(v, depth - 1) for v in value)
