"""The host's own behaviour is the same with and without us: one test for each class of cases."""

from __future__ import annotations

import asyncio
import inspect
from typing import TypedDict

import pytest

import agentracer
from agentracer._guard import swallowed


@pytest.fixture(autouse=True)
def nothing_swallowed(captured):
    before = swallowed()
    yield
    assert swallowed() == before


def langgraph_run():
    pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
    from langchain_core.language_models import FakeListChatModel
    from langgraph.graph import StateGraph

    class State(TypedDict):
        q: str

    async def node(state):
        return {"q": (await FakeListChatModel(responses=["hi"]).ainvoke(state["q"])).content}

    graph = StateGraph(State).add_node("n", node).set_entry_point("n").compile()
    return lambda: graph.ainvoke({"q": "x"})


def autogen_run():
    pytest.importorskip("autogen_agentchat", reason="needs the extra [autogen]")
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.models.replay import ReplayChatCompletionClient

    agent = AssistantAgent("a", ReplayChatCompletionClient(["hi"] * 20))
    return lambda: agent.run(task="x")


def camel_run():
    pytest.importorskip("camel.agents", reason="needs the extra [camel]")
    from camel.agents import ChatAgent
    from camel.models import ModelFactory
    from camel.types import ModelPlatformType, ModelType

    model = ModelFactory.create(ModelPlatformType.OPENAI, ModelType.STUB)
    agent = ChatAgent("You are a clerk.", model=model)
    return lambda: agent.astep("x")


@pytest.mark.parametrize("make", [langgraph_run, autogen_run, camel_run])
def test_nothing_of_ours_blocks_an_event_loop(make):
    detector = pytest.importorskip("blockbuster", reason="needs BlockBuster")
    run = make()
    asyncio.run(run())  # what frameworks load when they are first used is their own affair

    async def main():
        await run()
        async with agentracer.record(task="t"):
            await run()

    # Scanned are our modules alone: frameworks may block, and some do.
    with detector.blockbuster_ctx("agentracer"):
        asyncio.run(main())
    steps = [len(agentracer.Store().load(name).steps) for name in agentracer.Store().ids()]
    assert len(steps) == 3
    assert all(steps)


def test_other_handlers_and_event_streams_of_completion_models_see_all_events():
    pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.language_models import FakeListLLM
    from langgraph.graph import StateGraph

    class State(TypedDict):
        q: str

    class Mine(BaseCallbackHandler):
        def __init__(self):
            self.seen = []

        def on_llm_start(self, *args, **kwargs):
            self.seen.append("start")

        def on_llm_end(self, *args, **kwargs):
            self.seen.append("end")

    async def node(state):
        return {"q": await FakeListLLM(responses=["hi"]).ainvoke(state["q"])}

    graph = StateGraph(State).add_node("n", node).set_entry_point("n").compile()

    async def main():
        mine = Mine()
        async with agentracer.record() as run:
            await graph.ainvoke({"q": "x"}, {"callbacks": [mine]})
        events = [e["event"] async for e in graph.astream_events({"q": "x"}, version="v2")]
        return mine.seen, [event for event in events if "llm" in event], run

    seen, events, run = asyncio.run(main())
    assert seen == ["start", "end"]
    assert events == ["on_llm_start", "on_llm_end"]
    assert [(step.kind, step.content) for step in run.trace.steps] == [("llm", "hi")]


def test_a_client_whose_stream_is_an_async_iterable_works():
    pytest.importorskip("autogen_agentchat", reason="needs the extra [autogen]")
    from autogen_agentchat.agents import AssistantAgent
    from autogen_core.models import CreateResult, RequestUsage
    from autogen_ext.models.replay import ReplayChatCompletionClient

    class Stream:
        async def __aiter__(self):
            yield "tok"
            yield CreateResult(
                finish_reason="stop", content="tok", usage=RequestUsage(1, 1), cached=False
            )

    class Client(ReplayChatCompletionClient):
        def create_stream(self, *args, **kwargs):
            return Stream()

    async def main():
        agent = AssistantAgent("a", Client(["x"]), model_client_stream=True)
        return [message async for message in agent.run_stream(task="q")][-1]

    with agentracer.record() as run:
        result = asyncio.run(main())
    assert result.messages[-1].content == "tok"
    assert [step.content for step in run.trace.steps] == ["tok"]


@pytest.fixture
def backend():
    """A CAMEL backend of the user's own, which returns its `value`."""
    pytest.importorskip("camel.agents", reason="needs the extra [camel]")
    from camel.models import BaseModelBackend
    from camel.types import ModelType

    class Backend(BaseModelBackend):
        token_counter = None

        def _run(self, messages, response_format=None, tools=None):
            return self.value

        async def _arun(self, *args):
            return self.value

    return Backend(ModelType.STUB)


@pytest.mark.parametrize("value", [["chunk1", "chunk2"], {"answer": 1}, "text"], ids=type)
def test_what_a_backend_returns_is_left_as_it_is_unless_it_is_an_iterator(backend, value):
    backend.value = value
    with agentracer.record():
        assert backend.run([{"role": "user", "content": "hi"}]) is value


def test_leaving_a_stream_closes_that_of_the_backend(backend):
    class Events:
        entered = closed = False

        def __iter__(self):
            return self

        def __next__(self):
            return "chunk"

        def __enter__(self):
            self.entered = True
            return self

        def __exit__(self, *_):
            self.closed = True

    events = backend.value = Events()
    with agentracer.record(), backend.run([{"role": "user", "content": "hi"}]) as stream:
        assert next(stream) == "chunk"
    assert (events.entered, events.closed) == (True, True)


def test_methods_keep_their_kinds():
    pytest.importorskip("camel.agents", reason="needs the extra [camel]")
    from camel.agents import ChatAgent

    names = ("_stream", "_astream", "step", "astep", "_execute_tool", "_aexecute_tool")
    kinds = (inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.iscoroutinefunction)
    for name in names:
        method = vars(ChatAgent)[name]
        assert [kind(method) for kind in kinds] == [kind(method.__wrapped__) for kind in kinds]
