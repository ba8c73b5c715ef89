"""LangGraph: a pipeline, a supervisor with sub-agents as tools, and a review loop."""

from __future__ import annotations

import re
from typing import Any, TypedDict

from langchain.agents import create_agent
from langchain.agents.middleware import ToolCallLimitMiddleware
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import SecretStr

from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.tasks import Kind
from agentracer.lab.natural.teams.prompts import EXPERT, MISSION
from agentracer.lab.natural.tools import tools_for

__all__ = ["pipeline", "review", "supervisor"]

MAX_STEPS = 30
MAX_DRAFTS = 3
MAX_TOOL_CALLS = 4


def pipeline(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """Planner, expert with tools, writer: one after the other, over one list of messages."""
    chat = _chat(endpoint)
    planner = "You plan the work. Write a short plan with at most five steps. Do not do the steps."
    writer = "You write the final answer for the user. Take the result from the conversation."
    if kind == "code":
        writer += " Include the whole function in a Python code block."
    graph = StateGraph(MessagesState)
    graph.add_node("planner", _speaker(chat, "planner", f"{MISSION[kind]} {planner}"))
    graph.add_node("expert", _worker(_expert(chat, kind, "expert"), "expert"))
    graph.add_node("writer", _speaker(chat, "writer", f"{MISSION[kind]} {writer}"))
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "expert")
    graph.add_edge("expert", "writer")
    graph.add_edge("writer", END)
    return _run(graph.compile(name="pipeline"), question)


def supervisor(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """A supervisor that calls an expert and a checker as tools."""
    chat = _chat(endpoint)
    expert = _expert(chat, kind, "expert")
    checker = create_agent(
        chat,
        [],
        name="checker",
        system_prompt="You check results for mistakes. Say what is wrong, or that it is correct.",
    )

    def ask_expert(request: str) -> str:
        """Give the expert a request, with all the information that is needed to do it."""
        return _run(expert, request)

    def ask_checker(request: str) -> str:
        """Have a result checked. The request must have the task and the result."""
        return _run(checker, request)

    prompt = (
        f"You are a supervisor. {MISSION[kind]} You have an expert and a checker. Pass the work to "
        "them, one request at a time, and then give the user the final answer yourself."
    )
    tools = [StructuredTool.from_function(tool) for tool in (ask_expert, ask_checker)]
    return _run(create_agent(chat, tools, name="supervisor", system_prompt=prompt), question)


class _Draft(TypedDict, total=False):
    """The state of the review loop."""

    question: str
    draft: str
    feedback: str
    drafts: int


def review(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """An author and a reviewer: the draft goes round until it is approved, three times at most."""
    chat = _chat(endpoint)
    expert = _expert(chat, kind, "author")

    def author(state: _Draft) -> _Draft:
        request = state["question"]
        if state.get("feedback"):
            request += f"\n\nYour last draft:\n{state['draft']}\n\nFeedback:\n{state['feedback']}"
        return {"draft": _run(expert, request), "drafts": state.get("drafts", 0) + 1}

    def reviewer(state: _Draft) -> _Draft:
        prompt = (
            f"{MISSION[kind]} You review what the author hands in, and give constructive feedback. "
            "Respond with APPROVE when it is right."
        )
        text = f"Request:\n{state['question']}\n\nThe author's answer:\n{state['draft']}"
        reply = chat.invoke([SystemMessage(prompt), HumanMessage(text)])
        return {"feedback": str(reply.text)}

    def route(state: _Draft) -> str:
        approved = re.search(r"\bAPPROVED?\b", state["feedback"]) is not None
        return END if approved or state["drafts"] >= MAX_DRAFTS else "author"

    graph = StateGraph(_Draft)
    graph.add_node("author", author)
    graph.add_node("reviewer", reviewer)
    graph.add_edge(START, "author")
    graph.add_edge("author", "reviewer")
    graph.add_conditional_edges("reviewer", route, ["author", END])
    start: Any = {"question": question}
    final = graph.compile(name="review").invoke(start, {"recursion_limit": MAX_STEPS})
    return str(final["draft"])


def _chat(endpoint: Endpoint) -> ChatOpenAI:
    return ChatOpenAI(
        model=endpoint.model,
        base_url=endpoint.base_url,
        api_key=SecretStr(endpoint.api_key),
        temperature=endpoint.temperature,
        max_completion_tokens=endpoint.max_tokens,
        seed=endpoint.seed,
        timeout=endpoint.timeout,
        use_responses_api=False,
        max_retries=0,
    )


def _expert(chat: ChatOpenAI, kind: Kind, name: str) -> Any:
    tools = [StructuredTool.from_function(tool) for tool in tools_for(kind)]
    # Small models ask for the same thing again and again.
    limit: Any = ToolCallLimitMiddleware(run_limit=MAX_TOOL_CALLS, exit_behavior="continue")
    return create_agent(chat, tools, name=name, system_prompt=EXPERT[kind], middleware=[limit])


def _speaker(chat: ChatOpenAI, name: str, prompt: str) -> Any:
    def speak(state: MessagesState) -> dict[str, Any]:
        reply = chat.invoke([SystemMessage(prompt), HumanMessage(_conversation(state))])
        reply.name = name
        return {"messages": [reply]}

    return speak


def _worker(agent: Any, name: str) -> Any:
    def work(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(_run(agent, _conversation(state)), name=name)]}

    return work


def _conversation(state: MessagesState) -> str:
    """What was said so far, as one text: a model would go on with an assistant's last message."""
    return "\n\n".join(
        f"{message.name}: {message.text}" if message.name else str(message.text)
        for message in state["messages"]
    )


def _run(agent: Any, question: str) -> str:
    start = {"messages": [HumanMessage(question)]}
    final = agent.invoke(start, {"recursion_limit": MAX_STEPS})
    return str(final["messages"][-1].text)
