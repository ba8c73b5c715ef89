"""A report on a club's members: a LangGraph of a researcher with a tool, an analyst, a writer."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
pytest.importorskip("langchain_openai", reason="needs the extra [demo]")

from langchain.agents import create_agent
from langchain_core.messages import SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph

from agentracer.lab.testbed.server import ChatReply, ModelServer, ScriptedCall
from tests.natural_apps.prose import App, ProseModel, assert_found

TASK = "How did the membership of the rowing club develop last year? Two sentences for the board."
REGISTER = "Register of the rowing club: 480 members on 1 January, 420 on 31 December; 31 joined."


def researcher(reading):
    if not reading.results:
        return ChatReply(None, (ScriptedCall("look_up", {"query": "members of the rowing club"}),))
    return "At the start of the year the club had 480 members. At its end it had 420."


def analyst(reading):
    before, after = re.search(r"had (\d+) members.* it had (\d+)", reading.text, re.DOTALL).groups()
    share = 15 if reading.mistaken else 100 * (int(before) - int(after)) / int(before)
    return f"Compared with {before} members, {after} is a decline of {share:g} percent."


def writer(reading):
    share = re.findall(r"decline of ([\d.]+) percent", reading.text)[-1]
    return (
        f"Dear board, over the year our membership shrank by {share} percent. "
        "Thirty-one people joined, but more of them left."
    )


def editor(reading):
    letter = re.findall(r"Dear board.*", reading.text)[-1]
    return letter.replace("more of them", "more")


@pytest.fixture
def app(captured):
    model = ProseModel(
        {
            "You are the researcher": researcher,
            "You are the analyst": analyst,
            "You are the writer": writer,
            "You are the editor": editor,
        }
    )
    with ModelServer(model) as server:
        chat = ChatOpenAI(model="prose", base_url=server.base_url, api_key="none", max_retries=0)

        def look_up(query: str) -> str:
            """Search the club's papers."""
            return REGISTER

        def speaker(prompt):
            system = SystemMessage(prompt)
            return lambda state: {"messages": [chat.invoke([system, *state["messages"]])]}

        graph = StateGraph(MessagesState)
        prompt = "You are the researcher of the club. State what the papers say."
        graph.add_node("researcher", create_agent(chat, [look_up], system_prompt=prompt))
        graph.add_node("analyst", speaker("You are the analyst. Compare the figures."))
        graph.add_node("writer", speaker("You are the writer. Write two sentences."))
        graph.add_node("editor", speaker("You are the editor. Return the final letter."))
        graph.add_edge(START, "researcher")
        graph.add_edge("researcher", "analyst")
        graph.add_edge("analyst", "writer")
        graph.add_edge("writer", "editor")
        graph.add_edge("editor", END)
        team = graph.compile()
        yield App(
            model,
            run=lambda: team.invoke({"messages": [("user", TASK)]}),
            check=lambda state: "12.5 percent" in state["messages"][-1].text,
            agent="analyst",
            wrong="15 percent",
            right="12.5 percent",
        )


def test_the_right_text_proves_the_analysts_step(app):
    trace = app.recorded()
    assert_found(app.find_with_the_right_text(trace), trace, app.planted(trace))


def test_a_reference_run_leads_to_the_analysts_step(app):
    trace = app.recorded()
    assert_found(app.find_with_a_reference(trace), trace, app.planted(trace))
