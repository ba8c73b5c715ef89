"""What is recorded of LangGraph systems as people write them: one test for each class of inputs."""

from __future__ import annotations

import asyncio
import itertools
import operator
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
    wrap_tool_call,
)
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel

import agentracer
from agentracer._guard import swallowed
from agentracer.replay import (
    FunctionOracle,
    Override,
    ReferenceOracle,
    System,
    find_decisive,
    rerun,
)
from agentracer.store import Store
from tests.adapters.scripted_chat import ScriptedChat, WordStream, asks

QUESTION = {"messages": [("user", "Is order 7 paid?")]}


@pytest.fixture(autouse=True)
def nothing_swallowed(captured):
    before = swallowed()
    yield
    assert swallowed() == before


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def recorded(graph, inputs=None, config=None):
    with agentracer.record() as run:
        run.result = graph.invoke(inputs or QUESTION, config)
    return run.trace


def agent(*answers, tools=(), **options):
    return create_agent(ScriptedChat(answers=list(answers)), list(tools), name="clerk", **options)


def graph_of(state, **nodes):
    graph = StateGraph(state)
    for name, node in nodes.items():
        graph.add_node(name, node)
    names = [START, *nodes]
    for before, after in itertools.pairwise(names):
        graph.add_edge(before, after)
    return graph.compile()


def calls_of(step):
    return [(call.arguments, call.result) for call in step.tool_calls]


# -- tool calls


def test_equal_call_ids_of_parallel_agents_keep_their_own_results():
    @tool
    def look(x: str) -> str:
        """Look."""
        time.sleep(0.1 if x == "A" else 0.3)
        return f"saw {x}"

    @wrap_tool_call
    def wait(request, handler):
        time.sleep(0.2)
        return handler(request)

    def member(name):
        model = ScriptedChat(answers=[asks(("look", {"x": name}, "call_0")), "done"])
        return create_agent(model, [look], name=name, middleware=[wait])

    class State(TypedDict):
        out: Annotated[list, operator.add]

    def run(name, delay):
        member_graph = member(name)

        def node(_state):
            time.sleep(delay)
            return {"out": [member_graph.invoke(QUESTION)["messages"][2].content]}

        return node

    graph = StateGraph(State)
    graph.add_node("first", run("A", 0.1)).add_node("second", run("B", 0))
    graph.add_edge(START, "first").add_edge(START, "second")
    trace = recorded(graph.compile(), {"out": []})
    results = {s.agent: calls_of(s) for s in trace.steps if s.tool_calls}
    assert results == {"A": [({"x": "A"}, "saw A")], "B": [({"x": "B"}, "saw B")]}


def test_calls_without_ids_are_kept_apart():
    trace = recorded(agent(asks(("add", {"a": 1, "b": 1}, ""), ("add", {"a": 2, "b": 2}, "")),
                           "2 and 4", tools=[add]))  # fmt: skip
    assert calls_of(trace.steps[0]) == [({"a": 1, "b": 1}, "2"), ({"a": 2, "b": 2}, "4")]


def test_a_tool_node_that_is_written_by_hand_gives_its_result_to_the_call():
    def run_tools(state):
        calls = state["messages"][-1].tool_calls
        return {
            "messages": [
                ToolMessage(str(add.invoke(c["args"])), tool_call_id=c["id"]) for c in calls
            ]
        }

    model = ScriptedChat(answers=[asks(("add", {"a": 2, "b": 4}, "c1")), "It is 6."])
    graph = StateGraph(MessagesState)
    graph.add_node("solver", lambda s: {"messages": [model.invoke(s["messages"])]})
    graph.add_node("run_tools", run_tools)
    graph.add_edge(START, "solver")
    graph.add_conditional_edges(
        "solver", lambda s: "run_tools" if s["messages"][-1].tool_calls else END
    )
    graph.add_edge("run_tools", "solver")
    trace = recorded(graph.compile())
    assert [step.kind for step in trace.steps] == ["llm", "llm"]
    assert calls_of(trace.steps[0]) == [({"a": 2, "b": 4}, 6)]


def test_a_call_that_middleware_answers_has_that_answer():
    class Cache(AgentMiddleware):
        def wrap_tool_call(self, request, handler):
            return ToolMessage("9 (from the cache)", tool_call_id=request.tool_call["id"])

    call = asks(("add", {"a": 1, "b": 1}, "c1"))
    trace = recorded(agent(call, "It is 9.", tools=[add], middleware=[Cache()]))
    assert trace.steps[0].tool_calls[0].result == "9 (from the cache)"


def test_what_middleware_counts_is_no_step():
    call = asks(("add", {"a": 1, "b": 1}, "c1"))
    limit = ToolCallLimitMiddleware(run_limit=5)
    trace = recorded(agent(call, "It is 2.", tools=[add], middleware=[limit]))
    assert [(step.kind, step.content) for step in trace.steps] == [("llm", ""), ("llm", "It is 2.")]


def test_a_retried_tool_has_the_result_of_the_last_attempt_and_can_be_replayed():
    left = [0]

    @tool
    def fetch(page: int) -> str:
        """Fetch."""
        if left[0]:
            left[0] -= 1
            raise ConnectionError("reset by peer")
        return "page text"

    def ask():
        left[0] = 2
        retry = ToolRetryMiddleware(max_retries=3, initial_delay=0.01)
        asked = asks(("fetch", {"page": 1}, "c1"))
        return agent(asked, "It says nothing.", tools=[fetch], middleware=[retry]).invoke(QUESTION)

    def good(state):
        return "page text" in state["messages"][-1].text

    with agentracer.record(check=good) as run:
        run.result = ask()
    (call,) = run.trace.steps[0].tool_calls
    assert (call.result, call.error) == ("page text", None)
    attempts = run.trace.steps[0].attributes["attempts"]["c1"]
    assert [attempt["type"] for attempt in attempts] == ["ConnectionError"] * 2
    oracle = FunctionOracle(lambda _, step: "It says: page text" if step.index == 1 else None)
    system = System(run=ask, check=good)
    found = find_decisive(run.trace, system, oracle, strategy="ranked", ranking=[1])
    assert found.verdict.step == 1


def test_a_call_that_a_human_edited_has_the_arguments_that_ran():
    clerk = agent(
        *(asks(("add", {"a": 30, "b": 0}, "c1")), "Done."),
        tools=[add],
        middleware=[HumanInTheLoopMiddleware(interrupt_on={"add": True})],
        checkpointer=InMemorySaver(),
    )
    config = {"configurable": {"thread_id": "t"}}
    edit = {"type": "edit", "edited_action": {"name": "add", "args": {"a": 3, "b": 0}}}
    with agentracer.record(task="add") as run:
        clerk.invoke(QUESTION, config)
        run.result = clerk.invoke(Command(resume={"decisions": [edit]}), config)
    assert calls_of(run.trace.steps[0]) == [({"a": 3, "b": 0}, "3")]
    assert [(s.kind, s.content) for s in run.trace.steps] == [
        *(("llm", ""), ("node", ""), ("llm", "Done.")),  # the node waits for the human
    ]


def test_a_node_that_changes_a_call_says_which_call_it_makes():
    def revise(state):
        call = {**state["messages"][-1].tool_calls[0], "args": {"a": 3, "b": 0}}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    model = ScriptedChat(answers=[asks(("add", {"a": 30, "b": 0}, "c1"))])
    steps = recorded(
        graph_of(
            MessagesState,
            ask=lambda s: {"messages": [model.invoke(s["messages"])]},
            keep=lambda s: {"messages": [s["messages"][-1]]},
            revise=revise,
        )
    ).steps
    assert [(s.kind, s.content) for s in steps] == [("llm", ""), ("node", 'add({"a": 3, "b": 0})')]


def test_arguments_that_are_no_json_have_the_reason_as_error():
    bad = {"name": "add", "args": "{a: 1", "id": "c1", "error": "no JSON: line 1 column 2"}
    trace = recorded(agent(AIMessage("", invalid_tool_calls=[bad]), tools=[add]))
    (call,) = trace.steps[0].tool_calls
    assert (call.error.type, call.error.message) == ("InvalidToolCall", "no JSON: line 1 column 2")


def test_a_tool_that_no_model_asked_for_is_a_step_that_ends():
    class State(TypedDict):
        total: int

    trace = recorded(
        graph_of(State, node=lambda s: {"total": add.invoke({"a": s["total"], "b": 1})}),
        {"total": 1},
    )
    assert [(s.kind, s.ended_at is not None) for s in trace.steps] == [("tool", True)]


# -- what a model answers


@pytest.mark.parametrize(
    ("message", "attribute", "says"),
    [
        (
            AIMessage([{"type": "thinking", "thinking": "six", "signature": "s"}, "30"]),
            *("reasoning", "six"),
        ),
        (
            AIMessage([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "six"}]},
                       {"type": "text", "text": "30"}]),
            *("reasoning", "six"),
        ),
        (
            AIMessage(
                [
                    {"type": "server_tool_use", "id": "w", "name": "f", "input": {"q": "six"}},
                    {"type": "text", "text": "30"},
                ]
            ),
            *("content_blocks", "six"),
        ),
        (AIMessage("", additional_kwargs={"refusal": "not six"}), "refusal", "six"),
        (AIMessage("It", response_metadata={"finish_reason": "length"}), "finish_reason", "length"),
    ],
    ids=["thinking", "reasoning", "server tool", "refusal", "cut off"],
)  # fmt: skip
def test_what_is_not_text_is_kept_with_the_step(message, attribute, says):
    step = recorded(agent(message)).steps[0]
    assert says in str(step.attributes[attribute])


@pytest.mark.parametrize("breaks_after", [3, None], ids=["broken", "left"])
def test_what_a_stream_said_before_it_ended_early_is_kept(breaks_after):
    model = WordStream(answers=["Order 7 is not paid"], breaks_after=breaks_after)

    async def node(state):
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def main():
        seen = []
        async with agentracer.record() as run:
            try:
                stream = graph_of(MessagesState, clerk=node).astream(
                    QUESTION, stream_mode="messages"
                )
                async for chunk, _ in stream:
                    seen.append(chunk.content)
                    if breaks_after is None and len(seen) == 3:
                        break
                await stream.aclose()
            except ConnectionError:
                pass
        return run, "".join(seen)

    run, seen = asyncio.run(main())
    step = run.trace.steps[0]
    assert seen.startswith("Order 7 is")
    assert step.content.startswith("Order 7 is")
    assert step.attributes["ending"] == ("raised" if breaks_after else "abandoned")


# -- the task and the answer


def test_an_empty_last_message_is_no_answer():
    assert recorded(agent(AIMessage(""))).outcome.answer is None


@pytest.mark.parametrize("kind", ["pydantic", "dataclass", "dict"])
def test_the_task_and_the_answer_of_a_state_of_its_own_are_no_repr(kind):
    class Model(BaseModel):
        question: str = ""
        findings: str = ""

    @dataclass
    class Data:
        question: str = ""
        findings: str = ""

    class Fields(TypedDict):
        question: str
        findings: str

    state: Any = {"pydantic": Model, "dataclass": Data, "dict": Fields}[kind]
    trace = recorded(
        graph_of(state, clerk=lambda s: {"findings": "not paid"}), state(question="Is it paid?")
    )
    assert (trace.task, trace.outcome.answer) == ("Is it paid?", "not paid")


def test_a_resumed_graph_has_the_threads_question_and_id():
    model = ScriptedChat(answers=["PLAN: delete 3 rows", "Deleted 30 rows"])

    def speak(state):
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("planner", speak)
    graph.add_node("gate", lambda s: {"messages": [HumanMessage(interrupt("Go on?"))]})
    graph.add_node("worker", speak)
    for before, after in (("planner", "gate"), ("gate", "worker")):
        graph.add_edge(before, after)
    graph.add_edge(START, "planner")
    compiled, config = graph.compile(InMemorySaver()), {"configurable": {"thread_id": "order-7"}}
    compiled.invoke({"messages": [("user", "Remove the stale rows")]}, config)
    compiled.invoke(Command(resume="yes"), config)
    traces = [Store().load(identity) for identity in Store().ids()]
    assert [trace.task for trace in traces] == ["Remove the stale rows"] * 2
    assert [trace.metadata["thread_id"] for trace in traces] == ["order-7"] * 2


def test_a_value_that_cannot_be_shown_does_not_hide_its_neighbours():
    class Client:
        def __repr__(self):
            raise RuntimeError

        def __deepcopy__(self, memo):
            raise RuntimeError

    class State(TypedDict):
        x: Any
        note: str

    trace = recorded(
        graph_of(State, keeper=lambda s: {"x": Client(), "note": "IMPORTANT"}), {"note": "the task"}
    )
    assert "IMPORTANT" in trace.steps[0].content


def test_what_a_trace_policy_keeps_from_tracers_is_not_recorded():
    types = pytest.importorskip("langgraph.types")
    if not hasattr(types, "TracePolicy"):
        pytest.skip("this LangGraph has no TracePolicy")
    hide = types.TracePolicy(process_inputs=lambda _: {}, process_outputs=lambda _: {})
    graph = StateGraph(MessagesState)
    graph.add_node("n", lambda s: {"messages": [AIMessage("PRIVATE")]}, trace_policy=hide)
    trace = recorded(graph.set_entry_point("n").compile())
    assert all("PRIVATE" not in step.content for step in trace.steps)


# -- agents as tools


def travel(fare: str):
    """A supervisor whose tool is a train desk, which says what the fare is."""
    desk = create_agent(ScriptedChat(answers=[f"The fare is EUR {fare}."]), [], name="train_desk")

    class Echo(ScriptedChat):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            if isinstance(messages[-1], ToolMessage):
                self.answers = [f"We found: {messages[-1].text}"]
            else:
                self.answers = [asks(("ask_train_desk", {"question": "fare?"}, "c1"))]
            return super()._generate(messages, stop, run_manager, **kwargs)

    @tool
    def ask_train_desk(question: str) -> str:
        """Ask."""
        return desk.invoke({"messages": [HumanMessage(question)]})["messages"][-1].text

    return create_agent(Echo(answers=[""]), [ask_train_desk], name="supervisor")


def is_right(state):
    return "59.90" in str(state)


def alone(supervisor):
    return supervisor


def inside_a_node(supervisor):
    return graph_of(
        MessagesState,
        research=lambda s: {"messages": supervisor.invoke(s)["messages"][-1:]},
    )


def nested_twice(supervisor):
    @tool
    def ask_supervisor(question: str) -> str:
        """Ask."""
        return supervisor.invoke({"messages": [HumanMessage(question)]})["messages"][-1].text

    class Chief(ScriptedChat):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            if isinstance(messages[-1], ToolMessage):
                self.answers = [f"So: {messages[-1].text}"]
            else:
                self.answers = [asks(("ask_supervisor", {"question": "fare?"}, "c0"))]
            return super()._generate(messages, stop, run_manager, **kwargs)

    return create_agent(Chief(answers=[""]), [ask_supervisor], name="chief")


@pytest.mark.parametrize("construct", [alone, inside_a_node, nested_twice])
def test_a_step_inside_an_agent_that_is_a_tool_can_be_corrected(construct):
    system = construct(travel("95.90"))
    with agentracer.record(check=is_right) as run:
        run.result = system.invoke(QUESTION)
    inner = next(step for step in run.trace.steps if step.agent == "train_desk")
    assert run.trace.steps[inner.parent].agent == "supervisor"
    assert inner.attributes["inside_call"] == "c1"
    corrected = Override(step=inner.index, content="The fare is EUR 59.90.")
    again = rerun(run.trace, lambda: system.invoke(QUESTION), override=corrected, check=is_right)
    assert again.outcome.success is True


def test_a_reference_run_names_the_step_inside_not_the_call_of_the_supervisor():
    with agentracer.record(check=is_right) as run:
        run.result = travel("95.90").invoke(QUESTION)
    with agentracer.record(check=is_right) as reference:
        reference.result = travel("59.90").invoke(QUESTION)
    system = System(run=lambda: travel("95.90").invoke(QUESTION), check=is_right)
    oracle = ReferenceOracle(reference.trace)
    found = find_decisive(run.trace, system, oracle, strategy="sequential").verdict
    assert (found.agent, run.trace.steps[found.step].content) == (
        "train_desk",
        "The fare is EUR 95.90.",
    )


def test_a_pool_of_threads_in_a_node_belongs_to_the_run_of_the_node():
    inner = graph_of(MessagesState, say=lambda s: {"messages": [AIMessage("from the pool")]})

    def fan_out(state):
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(inner.invoke, [QUESTION, QUESTION]))
        return {"messages": [AIMessage(f"{len(results)} results")]}

    graph_of(MessagesState, fan_out=fan_out).invoke(QUESTION)
    assert len(Store().ids()) == 1
    steps = Store().load(Store().ids()[0]).steps
    assert sorted(step.content for step in steps) == ["2 results", "from the pool", "from the pool"]


def test_a_model_call_that_nothing_waits_for_is_named_unfinished():
    release = asyncio.Event()

    class Slow(ScriptedChat):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            await release.wait()
            return self._generate(messages, stop, run_manager, **kwargs)

    async def node(state):
        tasks.append(asyncio.create_task(Slow(answers=["late"]).ainvoke("hello")))
        await asyncio.sleep(0.01)
        return {"messages": [AIMessage("at once")]}

    tasks = []

    async def main():
        await graph_of(MessagesState, node=node).ainvoke(QUESTION)
        release.set()
        return await tasks[0]

    assert asyncio.run(main()).text == "late"
    steps = Store().load(Store().ids()[0]).steps
    late = next(step for step in steps if step.kind == "llm")
    assert (late.content, late.attributes["ending"]) == ("", "unfinished")
