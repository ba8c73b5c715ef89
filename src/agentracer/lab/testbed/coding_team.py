"""A real LangGraph team that writes small Python functions: planner, coder, tester.

The planner and the coder are plain function nodes, the tester is a `create_agent` with a tool, and
a failed test sends the work back to the coder; so one run shows what an adapter has to cope with.
Knows how the team works together. Does not know which model answers (any OpenAI-compatible endpoint
does), and knows nothing of capture, which is added from outside.
"""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import SecretStr

from agentracer.lab.testbed.code_tests import run_cases
from agentracer.lab.testbed.coding_tasks import CodingTask, code_in, examples_in

__all__ = ["PROMPTS", "build", "check", "solve"]

Team = CompiledStateGraph[Any, Any, Any, Any]

PROMPTS = {
    "planner": (
        "You are the planner of a small software team. Read the task and write a short plan for "
        "the coder: one numbered point for each requirement, so that none gets lost. Write no code."
    ),
    "coder": (
        "You are the coder of a small software team. Implement the plan of the planner, point by "
        "point. Explain your approach in a sentence or two and give the whole program in one "
        "```python block. When the tester reports a failure, correct the code and give all of it "
        "again."
    ),
    "tester": (
        "You are the tester of a small software team. Call run_tests with the latest code of the "
        "coder, complete and unchanged. Then report what the tool said, and say what the coder "
        "has to change, if anything. Close with the line VERDICT: PASS or VERDICT: FAIL."
    ),
}


@tool
def run_tests(code: str, runtime: ToolRuntime[Any, Any]) -> str:
    """Run the examples of the task on a complete Python program and report what failed."""
    task = next((m for m in runtime.state["messages"] if isinstance(m, HumanMessage)), None)
    cases = examples_in(str(task.text)) if task is not None else ()
    if not cases:
        return "The task states no examples, so there is nothing to run."
    return run_cases(code, cases).text


def build(base_url: str, model: str, api_key: str, *, max_rounds: int = 2) -> Team:
    """Compile the team for an endpoint.

    Args:
        base_url: The OpenAI-compatible endpoint, `/v1` included.
        model: The name of the model there.
        api_key: The key; local servers take any text.
        max_rounds: How many times the coder may write the program.
    """
    chat = ChatOpenAI(
        model=model, base_url=base_url, api_key=SecretStr(api_key), use_responses_api=False
    )
    tester = create_agent(chat, tools=[run_tests], system_prompt=PROMPTS["tester"], name="tester")

    def planner(state: MessagesState) -> dict[str, list[AIMessage]]:
        return _speak("planner", chat, state)

    def coder(state: MessagesState) -> dict[str, list[AIMessage]]:
        return _speak("coder", chat, state)

    def after_test(state: MessagesState) -> str:
        messages = state["messages"]
        rounds = sum(message.name == "coder" for message in messages)
        failed = "VERDICT: FAIL" in str(messages[-1].text)
        return "coder" if failed and rounds < max_rounds else END

    graph = StateGraph(MessagesState)
    graph.add_node("planner", planner)
    graph.add_node("coder", coder)
    graph.add_node("tester", tester)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "coder")
    graph.add_edge("coder", "tester")
    graph.add_conditional_edges("tester", after_test, ["coder", END])
    return graph.compile(name="coding_team")


def _speak(role: str, chat: ChatOpenAI, state: MessagesState) -> dict[str, list[AIMessage]]:
    """Let an agent read the conversation and add one message."""
    reply = chat.invoke([SystemMessage(PROMPTS[role]), *state["messages"]])
    reply.name = role  # the others have to see who speaks
    return {"messages": [reply]}


def solve(graph: Team, task: CodingTask) -> str:
    """Give the team a task; returns its last program, or "" when it wrote none."""
    final = graph.invoke({"messages": [HumanMessage(task.statement)]})
    messages: list[AnyMessage] = final["messages"]
    programs = [code_in(str(m.text)) for m in messages if m.name == "coder"]
    return next((code for code in reversed(programs) if code is not None), "")


def check(task: CodingTask, code: str) -> bool:
    """Whether a program passes all tests of the task, the hidden ones included."""
    return run_cases(code, [*task.examples, *task.hidden]).passed
