"""The same run in each framework, and the instrumentation that each has from OpenInference.

An agent calls a tool `LLM_CALLS` times and says that it is done. LangGraph's model is in-process;
the others speak to a local HTTP server through the OpenAI client, for OpenInference sees
their model calls only there. The server's work is in the base that all variants share.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from agentracer.lab.testbed.server import ChatReply, ChatRequest, ModelServer, ScriptedCall

__all__ = ["LLM_CALLS", "WORKLOADS", "Workload", "openinference"]

LLM_CALLS = 25
SAID = "I add one. " * 20


@dataclass(frozen=True)
class Workload:
    """A run to measure.

    Attributes:
        start: prepares what is not measured; gives the run.
        instrumentors: classes of OpenInference, as `module:class`.
    """

    start: Callable[[], contextlib.AbstractContextManager[Callable[[], None]]]
    instrumentors: tuple[str, ...]


def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: the first
        b: the second
    """
    return str(a + b)


class Counting:
    """A scripted model that calls the tool until it has done so often enough."""

    def reply(self, request: ChatRequest) -> ChatReply:
        """Answer from the number of tool results in the prompt."""
        done = sum(message["role"] == "tool" for message in request.messages)
        if done >= LLM_CALLS:
            return ChatReply("done")
        return ChatReply(SAID, (ScriptedCall("add", {"a": done, "b": 1}),))


@contextmanager
def langgraph() -> Iterator[Callable[[], None]]:
    """A prebuilt agent with a model in this process."""
    from langchain.agents import create_agent
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class CountingModel(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "counting"

        def bind_tools(self, *_: Any, **__: Any) -> Any:
            return self

        def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
            done = sum(message.type == "tool" for message in messages)
            message = AIMessage("done")
            if done < LLM_CALLS:
                call = {"name": "add", "args": {"a": done, "b": 1}, "id": f"call-{done}"}
                message = AIMessage(SAID, tool_calls=[call])
            return ChatResult(generations=[ChatGeneration(message=message)])

    question: Any = {"messages": [("user", "count")]}

    def run() -> None:
        agent = create_agent(CountingModel(), [add], system_prompt="You add.", name="adder")
        agent.invoke(question, {"recursion_limit": 200})

    yield run


@contextmanager
def autogen() -> Iterator[Callable[[], None]]:
    """An AssistantAgent with the OpenAI client."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    info: Any = {
        "vision": False,
        "function_calling": True,
        "json_output": False,
        "structured_output": False,
        "family": "unknown",
    }
    with ModelServer(Counting()) as server, asyncio.Runner() as loop:
        client = OpenAIChatCompletionClient(
            model="m", api_key="-", base_url=server.base_url, model_info=info
        )

        def run() -> None:
            agent = AssistantAgent("adder", client, tools=[add], max_tool_iterations=LLM_CALLS + 1)
            loop.run(agent.run(task="count"))

        yield run


@contextmanager
def camel() -> Iterator[Callable[[], None]]:
    """A ChatAgent with the OpenAI client."""
    with contextlib.redirect_stdout(io.StringIO()):
        from camel.agents import ChatAgent
        from camel.models import ModelFactory
        from camel.models.stub_model import StubTokenCounter
        from camel.toolkits import FunctionTool
        from camel.types import ModelPlatformType
    logging.getLogger("camel").setLevel(logging.ERROR)
    with ModelServer(Counting()) as server:
        model = ModelFactory.create(
            model_platform=ModelPlatformType.OPENAI_COMPATIBLE_MODEL,
            model_type="m",
            url=server.base_url,
            api_key="-",
            token_counter=StubTokenCounter(),
        )

        def run() -> None:
            agent = ChatAgent("You add.", model=model, tools=[FunctionTool(add)])
            agent.step("count")

        yield run


@contextmanager
def openai() -> Iterator[Callable[[], None]]:
    """A loop of plain Python around the OpenAI client."""
    from openai import OpenAI

    import agentracer

    tool = agentracer.tool(add)
    numbers = {"a": {"type": "integer"}, "b": {"type": "integer"}}
    schema: Any = {"name": "add", "parameters": {"type": "object", "properties": numbers}}

    with ModelServer(Counting()) as server:
        client = OpenAI(base_url=server.base_url, api_key="-")

        def adder(question: str) -> None:
            messages: list[Any] = [
                {"role": "system", "content": "You add."},
                {"role": "user", "content": question},
            ]
            while True:
                reply = client.chat.completions.create(
                    model="m", messages=messages, tools=[{"type": "function", "function": schema}]
                )
                message: Any = reply.choices[0].message
                if not message.tool_calls:
                    return
                messages.append(message)
                for call in message.tool_calls:
                    text = tool(**json.loads(call.function.arguments))
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": text})

        # In a context of its own, which is a run of its own.
        yield lambda: contextvars.copy_context().run(adder, "count")


WORKLOADS = {
    "openai": Workload(openai, ("openinference.instrumentation.openai:OpenAIInstrumentor",)),
    "langgraph": Workload(
        langgraph, ("openinference.instrumentation.langchain:LangChainInstrumentor",)
    ),
    "autogen": Workload(
        autogen,
        (
            "openinference.instrumentation.autogen_agentchat:AutogenAgentChatInstrumentor",
            "openinference.instrumentation.openai:OpenAIInstrumentor",
        ),
    ),
    "camel": Workload(camel, ("openinference.instrumentation.openai:OpenAIInstrumentor",)),
}


@contextmanager
def openinference(names: tuple[str, ...]) -> Iterator[None]:
    """OpenInference in place, exporting to memory."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    # Its spans of long prompts exceed OpenTelemetry's limit of 128 attributes: the SDK warns, and
    # drops the rest. The limit stays as users have it.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
    active = []
    for name in names:
        module, _, attribute = name.partition(":")
        active.append(getattr(import_module(module), attribute)())
        active[-1].instrument(tracer_provider=provider)
    try:
        yield
    finally:
        for instrumentor in active:
            instrumentor.uninstrument()
