"""Plain Python with the `openai` client: an expert with tools, a checker and a writer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from openai import OpenAI

from agentracer.adapters.functions import agent, tool
from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.tasks import Kind
from agentracer.lab.natural.teams.prompts import EXPERT, MISSION
from agentracer.lab.natural.tools import tools_for

__all__ = ["checked_expert"]

MAX_TOOL_ROUNDS = 5

Message = dict[str, Any]


def checked_expert(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """Let an expert work with tools, have it checked, and write the answer."""
    chat = _chat_function(endpoint)
    with agent("expert"):
        result = _expert(chat, kind, question)
    so_far = f"Request:\n{question}\n\nResult of the expert:\n{result}"
    checker = f"{MISSION[kind]} Check the result. Say what is wrong, or that it is right."
    with agent("checker"):
        remarks = _text(chat(_messages(checker, so_far), []))
    writer = f"{MISSION[kind]} Write the final answer for the user, in the form that was asked for."
    so_far += f"\n\nRemarks of the checker:\n{remarks}"
    with agent("writer"):
        return _text(chat(_messages(writer, so_far), []))


def _expert(chat: Callable[..., Message], kind: Kind, question: str) -> str:
    functions = {function.__name__: tool(function) for function in tools_for(kind)}
    messages = _messages(EXPERT[kind], question)
    schemas = [_schema(function) for function in functions.values()]
    for _ in range(MAX_TOOL_ROUNDS):
        reply = chat(messages, schemas)
        messages = [*messages, reply]
        if not reply.get("tool_calls"):
            break
        for call in reply["tool_calls"]:
            messages = [*messages, _tool_message(call, functions)]
    return _text(messages[-1])


def _tool_message(call: Message, functions: dict[str, Callable[..., str]]) -> Message:
    function, arguments = functions.get(call["function"]["name"]), call["function"]["arguments"]
    if function is None:
        content = f"No tool {call['function']['name']!r}; use {', '.join(functions)}."
    else:
        try:
            values = json.loads(arguments)
            inspect.signature(function).bind(**values)
        except (ValueError, TypeError) as error:
            content = f"These arguments do not fit: {error}"
        else:
            content = function(**{name: str(value) for name, value in values.items()})
    return {"role": "tool", "tool_call_id": call["id"], "content": content}


def _chat_function(endpoint: Endpoint) -> Callable[[list[Message], list[Message]], Message]:
    client = OpenAI(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        timeout=endpoint.timeout,
        max_retries=0,
    )

    def chat(messages: list[Message], tools: list[Message]) -> Message:
        options: dict[str, Any] = {"tools": tools} if tools else {}
        if endpoint.seed is not None:
            options["seed"] = endpoint.seed
        completion = client.chat.completions.create(
            model=endpoint.model,
            messages=messages,  # type: ignore[arg-type]
            temperature=endpoint.temperature,
            max_tokens=endpoint.max_tokens,
            **options,
        )
        message = completion.choices[0].message
        reply: Message = {"role": "assistant", "content": message.content or ""}
        if message.tool_calls:
            reply["tool_calls"] = [call.model_dump() for call in message.tool_calls]
        return reply

    return chat


def _messages(system: str, user: str) -> list[Message]:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _text(message: Message) -> str:
    return str(message.get("content") or "")


def _schema(function: Callable[..., str]) -> Message:
    names = list(inspect.signature(function).parameters)
    parameters = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": names,
    }
    description = inspect.getdoc(function) or ""
    spec = {"name": function.__name__, "description": description, "parameters": parameters}
    return {"type": "function", "function": spec}
