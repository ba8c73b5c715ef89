"""What is hard for a replay in LangGraph: runs at once, loops, repeated ids, earlier errors."""

from __future__ import annotations

import operator
import time
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
pytest.importorskip("langchain", reason="needs the extra [demo]")

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

import agentracer
from agentracer.replay import Override, ReferenceOracle, System, ToolPolicy, find_decisive, rerun
from agentracer.trace import ErrorInfo

pytestmark = pytest.mark.usefixtures("captured")


class Scripted(BaseChatModel):
    """A model in this process: a function of the prompt; it counts what it is asked."""

    reply: Any
    asked: list[str] = []  # noqa: RUF012 - pydantic copies defaults

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append(str(messages[-1].content))
        answer = self.reply(messages)
        message = answer if isinstance(answer, AIMessage) else AIMessage(answer)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def bind_tools(self, tools, **kwargs):
        return self


class SearchState(TypedDict):
    items: list[str]
    found: Annotated[list[str], operator.add]
    answer: str


def record(graph, inputs, check):
    with agentracer.record(check=check) as run:
        run.result = graph.invoke(inputs)
    return run.trace


def step_saying(trace, text):
    return next(step for step in trace.steps if text in step.content)


# -- at once


def fan_out(model, *, pause=None, depth=1):
    """`worker` runs once for each item, all at once; then `checker` for each; then a summary."""

    def worker(state):
        if pause:
            time.sleep(pause.pop(state["item"], 0.0))
        said = model.invoke([HumanMessage(f"work on {state['item']}")]).content
        for _ in range(depth - 1):
            said = model.invoke([HumanMessage(f"check {said}")]).content
        return {"found": [said]}

    def summary(state):
        return {"answer": model.invoke([HumanMessage(" ".join(sorted(state["found"])))]).content}

    graph = StateGraph(SearchState)
    graph.add_node("worker", worker)
    graph.add_node("summary", summary)
    graph.add_conditional_edges(
        START, lambda state: [Send("worker", {"item": item}) for item in state["items"]], ["worker"]
    )
    graph.add_edge("worker", "summary")
    graph.add_edge("summary", END)
    return graph.compile()


def work(messages):
    text = messages[-1].content
    if text.startswith("work on "):
        item = text.removeprefix("work on ")
        return f"{item}=wrong" if item == "b" else f"{item}=right"
    if text.startswith("check "):
        return f"{text.removeprefix('check ')}!"
    return "all good" if "wrong" not in text else "not good"


def is_good(result):
    return result["answer"] == "all good"


@pytest.mark.parametrize("slow", [{}, {"a": 0.1}, {"b": 0.1}, {"a": 0.2, "b": 0.1}])
def test_workers_that_run_at_once_are_told_apart_by_what_they_read(slow):
    model = Scripted(reply=work)
    inputs = {"items": ["a", "b", "c"], "found": []}
    trace = record(fan_out(model), inputs, is_good)
    assert trace.outcome.success is False
    target = step_saying(trace, "b=wrong")
    graph = fan_out(model, pause=dict(slow))
    again = rerun(
        trace,
        lambda: graph.invoke(inputs),
        override=Override(step=target.index, content="b=right"),
        check=is_good,
    )
    assert again.outcome.success is True
    said = {step.content: step.attributes.get("replay") for step in again.steps}
    assert said["b=right"] == "override"
    assert {"a=right", "c=right"} <= set(said)


@pytest.mark.parametrize("slow", [{}, {"a": 0.15}, {"b": 0.15}])
def test_a_branch_whose_prompt_changed_does_not_take_its_siblings_turn(slow):
    # Both turns of a branch have the same agent and place, and siblings overtake each other.
    model = Scripted(reply=work)
    inputs = {"items": ["a", "b", "c"], "found": []}
    trace = record(fan_out(model, depth=2), inputs, is_good)
    target = step_saying(trace, "b=wrong!")
    graph = fan_out(model, pause=dict(slow), depth=2)
    again = rerun(
        trace,
        lambda: graph.invoke(inputs),
        override=Override(step=target.index, content="b=right!"),
        check=is_good,
    )
    assert again.outcome.success is True
    assert sum(step.content == "b=right!" for step in again.steps) == 1


def test_the_search_finds_the_worker_among_its_siblings():
    model = Scripted(reply=work)
    inputs = {"items": ["a", "b", "c"], "found": []}
    graph = fan_out(model)
    trace = record(graph, inputs, is_good)

    def oracle(trace, step):
        if "wrong" not in trace.steps[step].content:
            return None
        return Override(step=step, content="b=right")

    search = find_decisive(trace, System(run=lambda: graph.invoke(inputs), check=is_good), oracle)
    assert search.verdict.step == step_saying(trace, "b=wrong").index
    assert search.verdict.agent == "worker"


# -- loops


class Loop(TypedDict):
    said: Annotated[list[str], operator.add]


def looping(model, turns=4, *, remembers=True):
    """One node that calls the model again and again; it may not remember what it said before."""

    def speak(state):
        history = " ".join(state["said"]) if remembers else "go on"
        return {"said": [model.invoke([HumanMessage(history)]).content]}

    graph = StateGraph(Loop)
    graph.add_node("speaker", speak)
    graph.add_edge(START, "speaker")
    graph.add_conditional_edges(
        "speaker", lambda state: "speaker" if len(state["said"]) < turns else END, ["speaker", END]
    )
    return graph.compile()


def test_the_k_th_of_several_identical_prompts_is_overridden():
    count = iter(range(100))
    model = Scripted(reply=lambda messages: f"turn {next(count)}")
    graph = looping(model, remembers=False)
    trace = record(graph, {"said": []}, lambda result: False)
    again = rerun(
        trace,
        lambda: graph.invoke({"said": []}),
        override=Override(step=2, content="changed"),
        check=lambda result: True,
    )
    assert [step.content for step in again.steps] == ["turn 0", "turn 1", "changed", "turn 4"]


def test_a_loop_that_remembers_goes_on_live_from_the_override():
    model = Scripted(reply=lambda messages: str(len(messages[-1].content.split())))
    graph = looping(model)
    trace = record(graph, {"said": []}, lambda result: False)
    model.asked.clear()
    again = rerun(
        trace,
        lambda: graph.invoke({"said": []}),
        override=Override(step=1, content="one two three"),
        check=lambda result: True,
    )
    assert [step.content for step in again.steps] == ["0", "one two three", "4", "5"]
    assert len(model.asked) == 2


# -- tool calls


@pytest.fixture
def look():
    runs = []

    @tool
    def look_up(word: str) -> str:
        """Look a word up."""
        runs.append(word)
        if word == "fault":
            raise ValueError("no such word")
        return f"meaning of {word}"

    look_up.metadata = {"runs": runs}
    return look_up


def asking(*plan):
    """A model that asks for one tool call after the other, always under the same id."""

    def reply(messages):
        done = sum(message.type == "tool" for message in messages)
        if done < len(plan):
            call = {"id": "call_0", "name": "look_up", "args": {"word": plan[done]}}
            return AIMessage("", tool_calls=[call])
        return AIMessage(" / ".join(str(m.content) for m in messages if m.type == "tool"))

    return reply


def agent_run(model, look):
    agent = create_agent(model, [look], name="reader")
    return lambda: agent.invoke({"messages": [("user", "go")]})


def last_text(result):
    return str(result["messages"][-1].content)


def test_tool_calls_that_share_an_id_get_each_their_own_result(look):
    run = agent_run(Scripted(reply=asking("one", "two", "three")), look)
    with agentracer.record(check=lambda r: False) as handle:
        handle.result = run()
    trace = handle.trace
    look.metadata["runs"].clear()
    again = rerun(trace, run, check=lambda r: "one / meaning of two / meaning" in last_text(r))
    assert again.outcome.success is True
    assert look.metadata["runs"] == []


def test_a_live_call_is_not_answered_from_the_prefix_because_of_its_id(look):
    run = agent_run(Scripted(reply=asking("one", "two", "three")), look)
    with agentracer.record(check=lambda r: False) as handle:
        handle.result = run()
    look.metadata["runs"].clear()
    again = rerun(
        handle.trace,
        run,
        override=Override(step=1, arguments={"word": "other"}),
        check=lambda r: last_text(r) == "meaning of one / meaning of other / meaning of three",
    )
    assert again.outcome.success is True
    assert look.metadata["runs"] == ["other", "three"]


def test_a_policy_keeps_tools_of_the_suffix_from_running(look):
    run = agent_run(Scripted(reply=asking("one", "two", "three")), look)
    with agentracer.record(check=lambda r: False) as handle:
        handle.result = run()
    look.metadata["runs"].clear()
    override = Override(step=1, arguments={"word": "other"})
    refused = rerun(
        handle.trace, run, override=override, check=last_text, policy=ToolPolicy("refuse")
    )
    assert refused.metadata["replay"]["refused"] == ["look_up"]
    known = Override(step=1, arguments={"word": "three"})
    answered = rerun(
        handle.trace,
        run,
        override=known,
        check=lambda r: last_text(r).count("three") == 2,
        policy=ToolPolicy("recorded"),
    )
    assert answered.outcome.success is True
    assert look.metadata["runs"] == []
    rerun(
        handle.trace, run, override=override, check=last_text, policy=ToolPolicy.only(["look_up"])
    )
    assert look.metadata["runs"] == ["other", "three"]


# -- errors


def test_a_model_error_that_the_system_caught_is_raised_again_as_what_it_was():
    class Overloaded(RuntimeError):
        def __init__(self, status: int, *, body: str) -> None:
            super().__init__(f"{status}: {body}")
            self.status = status

    broken = [True]

    def reply(messages):
        if "first" in messages[-1].content and broken:
            broken.clear()
            raise Overloaded(503, body="busy")
        return "ok" if "second" in messages[-1].content else "tried again"

    model = Scripted(reply=reply)

    def first(state):
        try:
            return {"said": [model.invoke([HumanMessage("first")]).content]}
        except Overloaded:
            return {"said": [model.invoke([HumanMessage("first, again")]).content]}

    def second(state):
        return {"said": [model.invoke([HumanMessage(f"second {state['said'][-1]}")]).content]}

    graph = StateGraph(Loop)
    graph.add_node("first", first)
    graph.add_node("second", second)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", END)
    run = graph.compile().invoke
    trace = record(graph.compile(), {"said": []}, lambda result: False)
    assert [step.error is not None for step in trace.steps] == [True, False, False]
    model.asked.clear()
    again = rerun(
        trace,
        lambda: run({"said": []}),
        override=Override(step=2, content="better"),
        check=lambda result: result["said"] == ["tried again", "better"],
    )
    assert again.outcome.success is True
    assert model.asked == []


@pytest.mark.parametrize("handled", [True, False])
def test_a_tool_error_in_the_prefix_happens_again(look, handled):
    look.handle_tool_error = handled
    tolerant = create_agent(
        Scripted(reply=asking("fault", "two")), [look], name="reader", middleware=[_Tolerant()]
    )

    def run():
        return tolerant.invoke({"messages": [("user", "go")]})

    with agentracer.record(check=lambda r: False) as handle:
        handle.result = run()
    trace = handle.trace
    assert trace.steps[0].tool_calls[0].error is not None
    assert trace.outcome.error is None
    look.metadata["runs"].clear()
    again = rerun(trace, run, override=Override(step=2, content="done"), check=lambda r: True)
    assert [step.content for step in again.steps][-1] == "done"
    assert look.metadata["runs"] == []


def _tolerant_middleware():
    from langchain.agents.middleware import AgentMiddleware
    from langchain_core.messages import ToolMessage

    class Tolerant(AgentMiddleware):
        def wrap_tool_call(self, request, handler):
            try:
                return handler(request)
            except ValueError as error:
                return ToolMessage(str(error), tool_call_id=request.tool_call["id"], status="error")

    return Tolerant


_Tolerant = _tolerant_middleware()


# -- standalone tools


def with_retriever(look, model):
    """A node that runs a tool by itself, and then asks the model about what it found."""

    def read(state):
        found = look.invoke({"word": "one"})
        return {"said": [model.invoke([HumanMessage(found)]).content]}

    graph = StateGraph(Loop)
    graph.add_node("reader", read)
    graph.add_edge(START, "reader")
    graph.add_edge("reader", END)
    return graph.compile()


def test_the_result_of_a_tool_that_no_model_asked_for_can_be_overridden(look):
    graph = with_retriever(look, Scripted(reply=lambda messages: messages[-1].content.upper()))
    trace = record(graph, {"said": []}, lambda result: False)
    assert [step.kind for step in trace.steps] == ["tool", "llm"]
    look.metadata["runs"].clear()
    again = rerun(
        trace,
        lambda: graph.invoke({"said": []}),
        override=Override(step=0, result="another meaning"),
        check=lambda result: result["said"] == ["ANOTHER MEANING"],
    )
    assert again.outcome.success is True
    assert look.metadata["runs"] == []
    broken = rerun(
        trace,
        lambda: graph.invoke({"said": []}),
        override=Override(step=0, error=ErrorInfo(type="TimeoutError", message="too slow")),
    )
    assert broken.outcome.error.type == "TimeoutError"


def test_other_arguments_for_such_a_tool_run_it_or_say_that_they_cannot(look):
    graph = with_retriever(look, Scripted(reply=lambda messages: messages[-1].content))
    trace = record(graph, {"said": []}, lambda result: False)
    override = Override(step=0, arguments={"word": "two"})
    again = rerun(
        trace, lambda: graph.invoke({"said": []}), override=override, on_divergence="report"
    )
    divergences = again.metadata["replay"]["divergences"]
    if divergences:  # the adapter does not rewrite arguments (yet)
        assert "override its result instead" in divergences[0]["message"]
    else:
        assert again.steps[-1].content == "meaning of two"


def test_what_cannot_be_overridden_is_said_clearly(look):
    def plain(state):
        return {"said": ["from code"]}

    graph = StateGraph(Loop)
    graph.add_node("plain", plain)
    graph.add_edge(START, "plain")
    graph.add_edge("plain", END)
    trace = record(graph.compile(), {"said": []}, lambda result: False)
    assert trace.steps[0].kind == "node"
    with pytest.raises(ValueError, match="plain code of the system"):
        rerun(trace, lambda: None, override=Override(step=0, content="x"))
    tools = with_retriever(look, Scripted(reply=lambda messages: "x"))
    other = record(tools, {"said": []}, lambda result: False)
    with pytest.raises(ValueError, match="it says nothing"):
        rerun(other, lambda: None, override=Override(step=0, content="x"))
    with pytest.raises(ValueError, match="no 3"):
        rerun(other, lambda: None, override=Override(step=0, call=3, result="x"))


# -- oracles on a real framework


def test_a_successful_run_of_the_same_task_is_a_reference():
    inputs = {"items": ["a", "b", "c"], "found": []}
    right = Scripted(reply=lambda messages: work(messages).replace("b=wrong", "b=right"))
    reference = record(fan_out(right), inputs, is_good)
    graph = fan_out(Scripted(reply=work))
    trace = record(graph, inputs, is_good)
    search = find_decisive(
        trace,
        System(run=lambda: graph.invoke(inputs), check=is_good, deterministic=True),
        ReferenceOracle(reference),
    )
    assert search.verdict.step == step_saying(trace, "b=wrong").index
    assert search.replays == 2
