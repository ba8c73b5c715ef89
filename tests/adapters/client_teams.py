"""The arithmetic team as plain Python functions around a provider's client, in every form.

The server speaks the three protocols; the model behind it is that of `arithmetic`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import agentracer
from agentracer.lab.testbed.server import ChatRequest
from tests.adapters.arithmetic import TASK, ArithmeticModel
from tests.adapters.model_server import ModelServer, Reply, model_server


@dataclass
class ClientWorld:
    """The server, its model, and every run of the tool `add`."""

    model: Any
    server: ModelServer
    tool_runs: list[tuple[int, int]] = field(default_factory=list)
    exchanges: list[tuple[list[dict[str, str]], str]] = field(default_factory=list)

    @property
    def callers(self) -> list[str]:
        """Who called the model, in order."""
        return [_role(messages) for messages, _ in self.exchanges]

    def forget(self) -> None:
        """Empty the logs."""
        self.server.requests.clear()
        self.exchanges.clear()
        self.tool_runs.clear()


@contextmanager
def client_world() -> Iterator[ClientWorld]:
    """An arithmetic world for clients."""
    model = ArithmeticModel()
    number = iter(range(1_000_000))

    def script(body: dict[str, Any]) -> Reply:
        messages, tools = _normal(body)
        reply = world.model.reply(ChatRequest("", messages, {"tools": tools}))
        calls = [(f"call-{next(number)}", c.name, dict(c.arguments)) for c in reply.tool_calls]
        world.exchanges.append((messages, reply.content or ""))
        return Reply(reply.content or "", calls)

    with model_server(script) as server:
        world = ClientWorld(model, server)
        yield world


def _role(messages: list[dict[str, str]]) -> str:
    system = messages[0]["content"]
    return next(r for r in ("supervisor", "planner", "solver", "reporter") if f"are {r}" in system)


def _normal(body: dict[str, Any]) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """The prompt and the tools of a request in one form, whatever the protocol."""
    messages: list[dict[str, str]] = []
    system = body.get("system") or body.get("instructions")
    if isinstance(system, list):
        system = "\n".join(part["text"] for part in system)
    if system:
        messages.append({"role": "system", "content": system})
    for message in body.get("messages") or body.get("input"):
        content = message.get("content")
        if message.get("type") == "function_call":
            messages.append({"role": "assistant", "content": ""})
        elif message.get("type") == "function_call_output":
            messages.append({"role": "tool", "content": message["output"]})
        elif isinstance(content, list) and content and content[0]["type"] == "tool_result":
            messages += [{"role": "tool", "content": part["content"]} for part in content]
        elif isinstance(content, list):
            texts = [part["text"] for part in content if "text" in part]
            messages.append({"role": message["role"], "content": "\n".join(texts)})
        elif message.get("type") != "reasoning":
            messages.append({"role": message["role"], "content": content or ""})
    tools = [
        {"function": {"name": tool.get("name") or tool["function"]["name"]}}
        for tool in body.get("tools") or ()
    ]
    return messages, tools


Message = dict[str, Any]
Calls = list[tuple[str, str, dict[str, Any]]]


class ChatClient:
    """Chat completions, whole or streamed."""

    def __init__(self, url: str, *, stream: bool = False, helper: bool = False) -> None:
        import openai

        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.stream, self.helper = stream, helper

    def ask(self, system: str, messages: list[Message], tools: tuple[str, ...] = ()) -> Any:
        """One call: the text, the tool calls, and the messages that go on from it."""
        given: dict[str, Any] = {
            "model": "scripted",
            "messages": [{"role": "system", "content": system}, *messages],
        }
        if tools:
            given["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": SCHEMA[name]}}
                for name in tools
            ]
        if self.helper:
            with self.client.chat.completions.stream(**given) as events:
                for _ in events:
                    pass
                message = events.get_final_completion().choices[0].message
        elif self.stream:
            message = _joined(self.client.chat.completions.create(**given, stream=True))
        else:
            message = self.client.chat.completions.create(**given).choices[0].message
        calls = [
            (call.id, call.function.name, json.loads(call.function.arguments))
            for call in message.tool_calls or ()
        ]
        return message.content or "", calls, [message]

    @staticmethod
    def result(call_id: str, text: str) -> Message:
        """The result of a tool."""
        return {"role": "tool", "tool_call_id": call_id, "content": text}


def _joined(chunks: Any) -> Any:
    from openai.types.chat import ChatCompletionMessage

    text, calls = "", dict[int, dict[str, Any]]()
    for chunk in chunks:
        delta = chunk.choices[0].delta if chunk.choices else None
        text += (delta and delta.content) or ""
        for piece in (delta and delta.tool_calls) or ():
            call = calls.setdefault(
                piece.index,
                {"type": "function", "id": piece.id, "function": {"name": "", "arguments": ""}},
            )
            call["function"]["name"] += piece.function.name or ""
            call["function"]["arguments"] += piece.function.arguments or ""
    fields = {"tool_calls": list(calls.values())} if calls else {}
    return ChatCompletionMessage.model_validate({"role": "assistant", "content": text, **fields})


class ResponsesClient:
    """OpenAI's Responses API, whole or streamed."""

    def __init__(self, url: str, *, stream: bool = False) -> None:
        import openai

        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.stream = stream

    def ask(self, system: str, messages: list[Message], tools: tuple[str, ...] = ()) -> Any:
        """One call: the text, the tool calls, and the items that go on from it."""
        given: dict[str, Any] = {"model": "scripted", "instructions": system, "input": messages}
        if tools:
            given["tools"] = [
                {"type": "function", "name": name, "parameters": SCHEMA[name], "strict": False}
                for name in tools
            ]
        if self.stream:
            with self.client.responses.stream(**given) as events:
                for _ in events:
                    pass
                response = events.get_final_response()
        else:
            response = self.client.responses.create(**given)
        calls = [
            (item.call_id, item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ]
        kept = [item for item in response.output if item.type != "reasoning"]
        return response.output_text, calls, kept

    @staticmethod
    def result(call_id: str, text: str) -> Message:
        """The result of a tool."""
        return {"type": "function_call_output", "call_id": call_id, "output": text}


class MessagesClient:
    """Anthropic's Messages API, whole or streamed."""

    def __init__(self, url: str, *, stream: bool = False) -> None:
        import anthropic

        self.client = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)
        self.stream = stream

    def ask(self, system: str, messages: list[Message], tools: tuple[str, ...] = ()) -> Any:
        """One call: the text, the tool calls, and the messages that go on from it."""
        given: dict[str, Any] = {
            "model": "scripted",
            "max_tokens": 100,
            "system": system,
            "messages": messages,
        }
        if tools:
            given["tools"] = [{"name": name, "input_schema": SCHEMA[name]} for name in tools]
        if self.stream:
            with self.client.messages.stream(**given) as events:
                message = events.get_final_message()
        else:
            message = self.client.messages.create(**given)
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [(b.id, b.name, b.input) for b in message.content if b.type == "tool_use"]
        return text, calls, [{"role": "assistant", "content": message.content}]

    @staticmethod
    def result(call_id: str, text: str) -> Message:
        """The result of a tool."""
        block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
        return {"role": "user", "content": [block]}


_NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
_A_TASK = {"type": "object", "properties": {"task": {"type": "string"}}}
SCHEMA = {"add": _NUMBERS, "planner": _A_TASK, "solver": _A_TASK, "reporter": _A_TASK}

Team = Callable[[str], str]


def add_tool(world: ClientWorld) -> Callable[..., str]:
    """The tool of the solver."""

    @agentracer.tool
    def add(a: int, b: int) -> str:
        world.tool_runs.append((a, b))
        return str(a + b)

    return add


def user(text: str) -> Message:
    """What is asked."""
    return {"role": "user", "content": text}


def loop(client: Any, system: str, task: str, tools: dict[str, Callable[..., str]]) -> str:
    """Ask, run the tools that are asked for, ask again: the loop that everybody writes."""
    messages: list[Any] = [user(task)]
    while True:
        text, calls, said = client.ask(system, messages, tuple(tools))
        if not calls:
            return text
        messages += said
        messages += [client.result(i, tools[name](**given)) for i, name, given in calls]


def functions(world: ClientWorld, client: Any) -> Team:
    """Three functions; nothing says who acts."""
    add = add_tool(world)

    def planner(task: str) -> str:
        return client.ask("You are planner.", [user(task)])[0]

    def solver(plan: str) -> str:
        messages: list[Any] = [user(plan)]
        while True:
            text, calls, said = client.ask("You are solver.", messages, ("add",))
            if not calls:
                return text
            messages += said
            messages += [client.result(i, add(**given)) for i, _, given in calls]

    def reporter(text: str) -> str:
        return client.ask("You are reporter.", [user(text)])[0]

    return lambda task: reporter(solver(planner(task)))


def blocks(world: ClientWorld, client: Any) -> Team:
    """One loop for all, and blocks that say who acts."""
    add = add_tool(world)

    def team(task: str) -> str:
        with agentracer.agent("planner"):
            plan = loop(client, "You are planner.", task, {})
        with agentracer.agent("solver"):
            found = loop(client, "You are solver.", plan, {"add": add})
        with agentracer.agent("reporter"):
            return loop(client, "You are reporter.", found, {})

    return team


def decorated(world: ClientWorld, client: Any) -> Team:
    """The same with decorators; the functions have other names."""
    add = add_tool(world)

    @agentracer.agent("planner")
    def first(task: str) -> str:
        return loop(client, "You are planner.", task, {})

    @agentracer.agent("solver")
    def second(plan: str) -> str:
        return loop(client, "You are solver.", plan, {"add": add})

    @agentracer.agent("reporter")
    def third(found: str) -> str:
        return loop(client, "You are reporter.", found, {})

    return lambda task: third(second(first(task)))


class Worker:
    """An agent as an object with a name."""

    def __init__(self, name: str, client: Any, **tools: Callable[..., str]) -> None:
        self.name, self.client, self.tools = name, client, tools

    def work(self, task: str) -> str:
        messages: list[Any] = [user(task)]
        while True:
            text, calls, said = self.client.ask(
                f"You are {self.name}.", messages, tuple(self.tools)
            )
            if not calls:
                return text
            messages += said
            messages += [self.client.result(i, self.tools[n](**given)) for i, n, given in calls]


def objects(world: ClientWorld, client: Any) -> Team:
    """Three objects of one class."""
    planner, reporter = Worker("planner", client), Worker("reporter", client)
    solver = Worker("solver", client, add=add_tool(world))
    return lambda task: reporter.work(solver.work(planner.work(task)))


def agents_as_tools(world: ClientWorld, client: Any) -> Team:
    """A supervisor whose tools are the other agents."""
    add = add_tool(world)

    @agentracer.tool
    @agentracer.agent("planner")
    def planner(task: str) -> str:
        return loop(client, "You are planner.", task, {})

    @agentracer.tool
    @agentracer.agent("solver")
    def solver(task: str) -> str:
        return loop(client, "You are solver.", task, {"add": add})

    @agentracer.tool
    @agentracer.agent("reporter")
    def reporter(task: str) -> str:
        return loop(client, "You are reporter.", task, {})

    members = {"planner": planner, "solver": solver, "reporter": reporter}

    @agentracer.agent("supervisor")
    def team(task: str) -> str:
        return loop(client, "You are supervisor.", task, members)

    return team


def in_threads(world: ClientWorld, client: Any) -> Team:
    """Each agent in a thread of a pool."""
    team = functions(world, client)
    planner, solver, reporter = _members(team)

    def run(task: str) -> str:
        with ThreadPoolExecutor(1) as pool:
            plan = pool.submit(planner, task).result()
            found = pool.submit(solver, plan).result()
            return pool.submit(reporter, found).result()

    return run


def _members(team: Any) -> tuple[Any, Any, Any]:
    cells = dict(zip(team.__code__.co_freevars, team.__closure__, strict=True))
    return tuple(cells[name].cell_contents for name in ("planner", "solver", "reporter"))  # type: ignore[return-value]


def async_chat(world: ClientWorld, url: str) -> Team:
    """Coroutines with the asynchronous client; the reporter streams."""
    import openai

    @agentracer.tool
    async def add(a: int, b: int) -> str:
        world.tool_runs.append((a, b))
        await asyncio.sleep(0)
        return str(a + b)

    async def planner(client: Any, task: str) -> str:
        raw = await client.chat.completions.with_raw_response.create(
            model="scripted",
            messages=[{"role": "system", "content": "You are planner."}, user(task)],
        )
        return raw.parse().choices[0].message.content or ""

    async def solver(client: Any, plan: str) -> str:
        messages: list[Any] = [{"role": "system", "content": "You are solver."}, user(plan)]
        tools: Any = [{"type": "function", "function": {"name": "add", "parameters": _NUMBERS}}]
        while True:
            reply = await client.chat.completions.create(
                model="scripted", messages=messages, tools=tools
            )
            message = reply.choices[0].message
            if not message.tool_calls:
                return message.content or ""
            messages.append(message)
            for call in message.tool_calls:
                text = await add(**json.loads(call.function.arguments))
                messages.append(ChatClient.result(call.id, text))

    async def reporter(client: Any, found: str) -> str:
        stream = await client.chat.completions.create(
            model="scripted",
            messages=[{"role": "system", "content": "You are reporter."}, user(found)],
            stream=True,
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        return "".join(pieces)

    async def team(task: str) -> str:
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key="none", max_retries=0
        ) as client:
            return await reporter(client, await solver(client, await planner(client, task)))

    return lambda task: asyncio.run(team(task))


def async_messages(world: ClientWorld, url: str) -> Team:
    """Coroutines with Anthropic's asynchronous client; the reporter streams."""
    import anthropic

    add = add_tool(world)

    async def planner(client: Any, task: str) -> str:
        message = await client.messages.create(
            model="scripted", max_tokens=9, system="You are planner.", messages=[user(task)]
        )
        return message.content[0].text

    async def solver(client: Any, plan: str) -> str:
        messages: list[Any] = [user(plan)]
        tools: Any = [{"name": "add", "input_schema": _NUMBERS}]
        while True:
            message = await client.messages.create(
                model="scripted",
                max_tokens=9,
                system="You are solver.",
                messages=messages,
                tools=tools,
            )
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                return message.content[0].text
            messages.append({"role": "assistant", "content": message.content})
            messages += [MessagesClient.result(c.id, add(**c.input)) for c in calls]

    async def reporter(client: Any, found: str) -> str:
        async with client.messages.stream(
            model="scripted", max_tokens=9, system="You are reporter.", messages=[user(found)]
        ) as stream:
            return "".join([text async for text in stream.text_stream])

    async def team(task: str) -> str:
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as client:
            return await reporter(client, await solver(client, await planner(client, task)))

    return lambda task: asyncio.run(team(task))


OPENAI: dict[str, Callable[[ClientWorld], Team]] = {
    "functions": lambda w: functions(w, ChatClient(w.server.url)),
    "`agentracer.agent` blocks": lambda w: blocks(w, ChatClient(w.server.url)),
    "`agentracer.agent` decorators": lambda w: decorated(w, ChatClient(w.server.url)),
    "objects with a name": lambda w: objects(w, ChatClient(w.server.url)),
    "agents as tools": lambda w: agents_as_tools(w, ChatClient(w.server.url)),
    "threads of a pool": lambda w: in_threads(w, ChatClient(w.server.url)),
    "`create(stream=True)`": lambda w: functions(w, ChatClient(w.server.url, stream=True)),
    "`chat.completions.stream`": lambda w: functions(w, ChatClient(w.server.url, helper=True)),
    "`AsyncOpenAI`, raw and streamed": lambda w: async_chat(w, w.server.url),
    "`responses.create`": lambda w: functions(w, ResponsesClient(w.server.url)),
    "`responses.stream`": lambda w: functions(w, ResponsesClient(w.server.url, stream=True)),
}

ANTHROPIC: dict[str, Callable[[ClientWorld], Team]] = {
    "`messages.create`": lambda w: functions(w, MessagesClient(w.server.url)),
    "`messages.stream`": lambda w: functions(w, MessagesClient(w.server.url, stream=True)),
    "`AsyncAnthropic`, streamed": lambda w: async_messages(w, w.server.url),
    "agents as tools": lambda w: agents_as_tools(w, MessagesClient(w.server.url)),
}

__all__ = ["ANTHROPIC", "OPENAI", "TASK", "ClientWorld", "client_world"]
