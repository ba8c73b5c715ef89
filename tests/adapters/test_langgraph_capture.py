"""What is captured of LangGraph runs, for every construct that the docs list."""

from __future__ import annotations

import asyncio
import operator
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
pytest.importorskip("langchain_openai", reason="needs the extra [demo]")

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Send, interrupt

import agentracer
from agentracer._guard import swallowed
from agentracer.lab.testbed.server import ApiError, ChatReply, ModelServer, ScriptedCall
from agentracer.replay import Override, rerun
from agentracer.store import Store
from tests.adapters.arithmetic import TASK, arithmetic_world, assert_reads_match_server
from tests.adapters.langgraph_teams import ASK, model, pipeline, speaker, supervisor, swarm


@pytest.fixture(autouse=True)
def nothing_swallowed(captured):
    before = swallowed()
    yield
    assert swallowed() == before


@pytest.fixture
def world():
    with arithmetic_world() as world:
        yield world


def latest():
    return Store().load("latest")


def facts(trace):
    return [(step.agent, step.kind, step.content) for step in trace.steps]


def graph_of(*nodes, state=MessagesState, edges=None, **compiled):
    graph = StateGraph(state)
    for name, node in nodes:
        graph.add_node(name, node)
    names = [START, *(name for name, _ in nodes), END]
    for left, right in edges or pairwise(names):
        graph.add_edge(left, right)
    return graph.compile(**compiled)


class Scripted:
    """Answers every request with the next of its replies."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.lock = threading.Lock()

    def reply(self, request):
        with self.lock:
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


def scripted(*replies):
    return ModelServer(Scripted(*replies))


def chat(server):
    return ChatOpenAI(model="m", base_url=server.base_url, api_key="none", max_retries=0)


# -- what a run is


def test_without_a_record_block_each_top_level_run_is_a_trace_of_its_own(world):
    graph = pipeline(world)
    graph.invoke(ASK)
    graph.invoke(ASK)
    store = Store()
    assert len(store.ids()) == 2
    trace = latest()
    assert trace.task == TASK
    assert trace.observed.framework == "langgraph"
    assert trace.outcome.success is None
    assert trace.outcome.answer == "ANSWER: 80 TERMINATE"


def test_all_graphs_inside_a_record_block_are_one_trace(world):
    with agentracer.record("twice") as run:
        pipeline(world).invoke(ASK)
        pipeline(world).invoke(ASK)
    assert len(Store().ids()) == 1
    assert [step.agent for step in run.trace.steps] == [
        "planner",
        "solver",
        "solver",
        "reporter",
    ] * 2
    assert run.trace.task == "twice"


def test_a_bare_model_call_is_no_run_but_is_recorded_inside_one(world):
    model(world).invoke("hello")
    assert Store().ids() == []
    with agentracer.record("t") as run:
        model(world).invoke("hello")
    assert [(s.kind, s.content) for s in run.trace.steps] == [("llm", "ok")]


def test_every_step_says_who_what_and_with_what(world):
    with agentracer.record() as run:
        pipeline(world).invoke(ASK)
    trace = run.trace
    planner, calling, summing, _ = trace.steps
    assert [m.role for m in trace.observed.reads(planner)] == ["system", "user"]
    (call,) = calling.tool_calls
    assert (call.name, call.arguments, call.result) == ("add", {"a": 3, "b": 5}, "8")
    assert call.started_at <= call.ended_at
    assert [m.role for m in trace.observed.reads(summing)][-2:] == ["assistant", "tool"]
    assert planner.model.name == "scripted"
    assert calling.model.tools == ("add",)
    assert planner.usage.input_tokens > 0
    assert planner.started_at <= planner.ended_at
    solver = next(agent for agent in trace.agents if agent.name == "solver")
    assert solver.system_prompt == "You are solver."
    assert solver.tools[0].name == "add"
    assert "properties" in solver.tools[0].parameters
    assert_reads_match_server(trace, world)


# -- shapes of graphs


def test_parallel_branches_are_steps_of_their_own_agents():
    def node(name):
        return lambda state: {"messages": [AIMessage(f"from {name}")]}

    edges = [(START, "left"), (START, "right"), ("left", "join"), ("right", "join"), ("join", END)]
    graph = graph_of(*((n, node(n)) for n in ("left", "right", "join")), edges=edges)
    graph.invoke(ASK)
    assert sorted(facts(latest())[:2]) == [
        ("left", "node", "from left"),
        ("right", "node", "from right"),
    ]
    assert facts(latest())[2] == ("join", "node", "from join")


def test_async_nodes_and_subgraphs_are_captured_like_others(world):
    inner = graph_of(("planner", speaker(world, "planner", is_async=True)))
    outer = graph_of(("team", inner), ("reporter", speaker(world, "reporter", is_async=True)))
    asyncio.run(outer.ainvoke(ASK))
    trace = latest()
    assert [(s.agent, s.attributes["path"]) for s in trace.steps] == [
        ("planner", "team/planner"),
        ("reporter", "reporter"),
    ]
    assert_reads_match_server(trace, world)


def test_handoffs_are_not_errors_and_say_to_whom(world):
    for build in (swarm, supervisor):
        with agentracer.record() as run:
            build(world).invoke(ASK)
        trace = run.trace
        assert all(step.error is None for step in trace.steps)
        assert all(call.error is None for step in trace.steps for call in step.tool_calls)
        assert trace.outcome.ending == "finished"
        assert "solver" in {step.to for step in trace.steps}


def test_fan_out_with_send_keeps_every_branch_and_replays_by_content(world):
    class State(TypedDict):
        number: int
        seen: Annotated[list[str], operator.add]

    llm = model(world)

    def worker(state: Any) -> Any:
        reply = llm.invoke(
            [("system", "You are solver."), ("user", f"PLAN: a={state['number']} b=1")]
        )
        return {"seen": [str(reply.tool_calls[0]["args"])]}

    def build():
        graph = StateGraph(State)
        graph.add_node("worker", worker)
        graph.add_conditional_edges(
            START, lambda state: [Send("worker", {"number": n}) for n in range(8)]
        )
        return graph.compile()

    with agentracer.record("fan out") as run:
        wanted = build().invoke({"number": 0, "seen": []})
    trace = run.trace
    assert [step.agent for step in trace.steps if step.kind == "llm"] == ["worker"] * 8
    world.forget()
    again = rerun(trace, lambda: build().invoke({"number": 0, "seen": []}))
    assert world.callers == []
    assert again.metadata["replay"]["divergences"] == []
    assert "'seen'" in str(wanted)


def test_an_agent_called_as_a_tool_knows_the_step_it_runs_in():
    with scripted(
        ChatReply(None, (ScriptedCall("ask_expert", {"question": "why"}),)),
        ChatReply("because"),
        ChatReply("the expert says: because"),
    ) as server:
        expert = create_agent(chat(server), [], system_prompt="You know.", name="expert")

        @tool
        def ask_expert(question: str) -> str:
            """Ask the expert."""
            return str(expert.invoke({"messages": [("user", question)]})["messages"][-1].content)

        boss = create_agent(chat(server), [ask_expert], system_prompt="You ask.", name="boss")
        boss.invoke(ASK)
    trace = latest()
    assert [(s.agent, s.parent) for s in trace.steps] == [
        ("boss", None),
        ("expert", 0),
        ("boss", None),
    ]
    assert trace.steps[0].tool_calls[0].result == "because"


def test_a_function_node_is_a_step_only_where_it_says_something_of_its_own(world):
    graph = graph_of(
        ("planner", speaker(world, "planner")),
        ("silent", lambda state: {}),
        ("editor", lambda state: {"messages": [AIMessage("edited")]}),
    )
    graph.invoke(ASK)
    assert [(agent, kind) for agent, kind, _ in facts(latest())] == [
        ("planner", "llm"),
        ("editor", "node"),
    ]


def test_what_a_node_makes_of_its_models_words_is_a_step_of_its_own(world):
    llm = model(world)

    def planner(state: Any) -> Any:
        reply = llm.invoke([("system", "You are planner."), *state["messages"]])
        return {"messages": [AIMessage(str(reply.content).replace("b=5", "b=9"))]}

    graph_of(("planner", planner)).invoke(ASK)
    assert [content for _, _, content in facts(latest())] == ["PLAN: a=3 b=5", "PLAN: a=3 b=9"]


def test_a_retriever_is_a_tool():
    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> Any:
            return [Document(f"about {query}")]

    def node(state: Any) -> Any:
        return {"messages": [AIMessage(Shelf().invoke("bees")[0].page_content)]}

    graph_of(("librarian", node)).invoke(ASK)
    step = latest().steps[0]
    assert (step.agent, step.kind, step.tool_calls[0].arguments) == (
        "librarian",
        "tool",
        {"query": "bees"},
    )
    assert "about bees" in str(step.tool_calls[0].result)


# -- what goes wrong


@tool
def explode(x: int) -> str:
    """Always raises."""
    raise ValueError("tool exploded")


def test_a_tool_that_raises_is_an_error_of_the_call_and_of_the_run():
    with scripted(
        ChatReply(None, (ScriptedCall("explode", {"x": 1}),)), ChatReply("done")
    ) as server:
        agent = create_agent(chat(server), [explode], name="boss")
        with pytest.raises(ValueError, match="exploded"):
            agent.invoke(ASK)
    trace = latest()
    (call,) = trace.steps[0].tool_calls
    assert (call.error.type, call.error.message) == ("ValueError", "tool exploded")
    assert (trace.outcome.success, trace.outcome.ending) == (False, "raised")
    assert trace.outcome.error.type == "ValueError"
    assert len(trace.steps) == 1, "the same exception is not recorded again on its way up"


def test_a_tool_error_that_is_handled_is_an_error_of_the_call_only():
    with scripted(ChatReply(None, (ScriptedCall("explode", {"x": 1}),)), ChatReply("ok")) as server:
        llm = chat(server).bind_tools([explode])
        tools = ToolNode([explode], handle_tool_errors=True)
        graph = graph_of(
            ("caller", lambda s: {"messages": [llm.invoke(s["messages"])]}), ("tools", tools)
        )
        graph.invoke(ASK)
    trace = latest()
    assert "exploded" in trace.steps[0].tool_calls[0].error.message
    assert trace.outcome.success is None


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (ScriptedCall("nonsense", {}), "nonsense is not a valid tool"),
        (ScriptedCall("explode", {"x": "zz"}), "valid integer"),
    ],
    ids=["unknown tool", "bad arguments"],
)
def test_calls_that_never_run_get_the_answer_that_the_model_got(request_, complaint):
    with scripted(ChatReply(None, (request_,)), ChatReply("sorry")) as server:
        create_agent(chat(server), [explode], name="boss").invoke(ASK)
    (call,) = latest().steps[0].tool_calls
    assert complaint in call.error.message
    assert latest().steps[1].content == "sorry"


def test_a_model_error_keeps_its_type_and_message():
    with scripted(ApiError(500, "overloaded")) as server:
        agent = create_agent(chat(server), [], name="boss")
        with pytest.raises(Exception, match="overloaded") as caught:
            agent.invoke(ASK)
    trace = latest()
    assert trace.steps[0].error.type == type(caught.value).__name__
    assert "overloaded" in trace.steps[0].error.message
    assert trace.outcome.success is False
    assert len(trace.steps) == 1


def test_an_error_in_a_nodes_own_code_is_a_step_with_that_error():
    def broken(state: Any) -> Any:
        return {}["missing"]

    with pytest.raises(KeyError):
        graph_of(("broken", broken)).invoke(ASK)
    (step,) = latest().steps
    assert (step.agent, step.kind, step.error.type) == ("broken", "node", "KeyError")


def test_an_interrupt_waits_for_a_human_and_is_not_an_error():
    def ask(state: Any) -> Any:
        return {"messages": [AIMessage(f"human said {interrupt({'ask': 'go on?'})}")]}

    graph = graph_of(("asker", ask), checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    graph.invoke(ASK, config)
    trace = latest()
    (step,) = trace.steps
    assert (step.agent, step.error) == ("asker", None)
    assert step.attributes["interrupt"] == [{"ask": "go on?"}]
    assert (trace.outcome.ending, trace.outcome.success) == ("interrupted", None)
    graph.invoke(Command(resume="yes"), config)
    assert facts(latest()) == [("asker", "node", "human said yes")]
    assert latest().outcome.ending == "finished"


def test_a_resumed_run_inside_one_record_block_ends_as_finished():
    def ask(state: Any) -> Any:
        return {"messages": [AIMessage(interrupt("?"))]}

    graph = graph_of(("asker", ask), checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    with agentracer.record() as run:
        graph.invoke(ASK, config)
        graph.invoke(Command(resume="yes"), config)
    assert run.trace.outcome.ending == "finished"
    assert [step.attributes.get("interrupt") for step in run.trace.steps] == [["?"], None]


# -- ways of running


def test_a_stream_that_is_read_to_its_end_is_a_finished_run(world):
    for _ in pipeline(world).stream(ASK, stream_mode=["updates", "messages"], subgraphs=True):
        pass
    assert latest().outcome.ending == "finished"
    assert_reads_match_server(latest(), world)


def test_leaving_a_stream_early_is_no_failure_and_the_next_run_is_another_trace(world):
    graph = pipeline(world)
    for _ in graph.stream(ASK):
        break
    first = latest()
    assert (first.outcome.ending, first.outcome.success) == ("abandoned", None)
    graph.invoke(ASK)
    assert latest().id != first.id
    assert len(latest().steps) == 4


def test_leaving_an_async_stream_early_is_no_failure(world):
    async def scenario():
        stream = pipeline(world, is_async=True).astream(ASK)
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(scenario())
    assert latest().outcome.ending in ("abandoned", "cancelled")
    assert latest().outcome.success is None


def test_a_batch_is_as_many_runs(world):
    pipeline(world).batch([ASK, ASK, ASK])
    store = Store()
    assert [len(store.load(trace_id).steps) for trace_id in store.ids()] == [4, 4, 4]


@pytest.mark.slow
def test_50_concurrent_runs_stay_apart(world):
    graph = pipeline(world, is_async=True)

    async def one(number):
        async with agentracer.record(f"run {number}") as run:
            await graph.ainvoke({"messages": [("user", f"{TASK} #{number}")]})
        return number, run

    async def scenario():
        return await asyncio.gather(*(one(number) for number in range(50)))

    for number, run in asyncio.run(scenario()):
        trace = run.trace
        assert [s.agent for s in trace.steps] == ["planner", "solver", "solver", "reporter"]
        for step in trace.steps:
            assert trace.observed.reads(step)[1].content == f"{TASK} #{number}"


def test_runs_in_threads_stay_apart(world):
    graph = pipeline(world)

    def one(number):
        graph.invoke({"messages": [("user", f"{TASK} #{number}")]})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(16)))
    store = Store()
    traces = [store.load(trace_id) for trace_id in store.ids()]
    assert {trace.task for trace in traces} == {f"{TASK} #{number}" for number in range(16)}
    assert {len(trace.steps) for trace in traces} == {4}


def test_a_checkpointer_changes_nothing(world):
    graph = StateGraph(MessagesState)
    graph.add_node("planner", speaker(world, "planner"))
    graph.add_edge(START, "planner")
    compiled = graph.compile(checkpointer=InMemorySaver())
    compiled.invoke(ASK, {"configurable": {"thread_id": "1"}})
    assert facts(latest()) == [("planner", "llm", "PLAN: a=3 b=5")]


def test_the_users_own_callbacks_still_get_everything(world):
    from langchain_core.callbacks import BaseCallbackHandler

    class Mine(BaseCallbackHandler):
        models = 0

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            Mine.models += 1

    pipeline(world).invoke(ASK, {"callbacks": [Mine()]})
    assert Mine.models == 4
    assert len(latest().steps) == 4


def test_the_result_given_to_the_check_is_the_graphs_own(world):
    seen = []
    with agentracer.record(check=lambda result: seen.append(result) or True):
        expected = pipeline(world).invoke(ASK)
    assert seen == [expected]


def test_multimodal_messages_keep_their_other_parts(world):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "what is this?"}, image]
    with agentracer.record() as run:
        model(world).invoke([HumanMessage(content)])
    (message,) = run.trace.observed.reads(0)
    assert message.content == "what is this?"
    assert message.parts == [image]


def test_a_node_step_cannot_be_overridden_and_the_error_says_why(world):
    graph = graph_of(("editor", lambda state: {"messages": [AIMessage("edited")]}))
    with agentracer.record() as run:
        graph.invoke(ASK)
    with pytest.raises(ValueError, match="plain code of the system"):
        rerun(run.trace, lambda: graph.invoke(ASK), override=Override(step=0, content="x"))
