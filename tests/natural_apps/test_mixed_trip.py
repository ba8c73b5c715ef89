"""A trip: a LangGraph agent asks another as a tool, and plain Python adds up the prices."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
pytest.importorskip("langchain_openai", reason="needs the extra [demo]")

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph

from agentracer.adapters import functions
from agentracer.lab.testbed.server import ChatReply, ModelServer, ScriptedCall
from tests.natural_apps.prose import App, ProseModel, assert_found

TASK = "What do the train to Bergen on Friday and two nights in the harbour hotel cost together?"
TIMETABLE = "Friday: leaves 8.25. Second class EUR 59.90, first class EUR 112.00."


def planner(reading):
    if not reading.results:
        question = {"question": "How much is a second-class ticket to Bergen on Friday?"}
        return ChatReply(None, (ScriptedCall("ask_train_desk", question),))
    fare = re.findall(r"EUR ([\d.]+\d)", reading.results[-1])[-1]
    return f"The ticket is EUR {fare}. The harbour hotel takes EUR 120.00 for two nights."


def train_desk(reading):
    if not reading.results:
        return ChatReply(None, (ScriptedCall("timetable", {"day": "Friday"}),))
    fare = "95.90" if reading.mistaken else "59.90"
    return f"On Friday a second-class ticket to Bergen is EUR {fare}, and the train leaves at 8.25."


def writer(reading):
    total = re.findall(r"sum of EUR ([\d.]+\d)", reading.text)[-1]
    return f"Together they cost EUR {total}. Have a good trip!"


def add_up(text):
    prices = [float(price) for price in re.findall(r"EUR ([\d.]+\d)", text)]
    return f"That makes a sum of EUR {sum(prices):.2f}."


@pytest.fixture
def app(captured):
    model = ProseModel(
        {
            "You plan trips": planner,
            "You sell train tickets": train_desk,
            "You write to travellers": writer,
        }
    )
    with ModelServer(model) as server:
        chat = ChatOpenAI(model="prose", base_url=server.base_url, api_key="none", max_retries=0)

        def timetable(day: str) -> str:
            """Show the trains of a day."""
            return TIMETABLE

        desk = create_agent(
            chat, [timetable], system_prompt="You sell train tickets.", name="train_desk"
        )

        @tool
        def ask_train_desk(question: str) -> str:
            """Ask the train desk."""
            return desk.invoke({"messages": [("user", question)]})["messages"][-1].text

        plan = create_agent(
            chat, [ask_train_desk], system_prompt="You plan trips.", name="trip_planner"
        )
        letters = create_agent(chat, [], system_prompt="You write to travellers.", name="writer")

        def cashier(state):
            return {"messages": [functions.act("cashier", add_up, state["messages"][-1].text)]}

        graph = StateGraph(MessagesState)
        graph.add_node("trip_planner", plan)
        graph.add_node("cashier", cashier)
        graph.add_node("writer", letters)
        graph.add_edge(START, "trip_planner")
        graph.add_edge("trip_planner", "cashier")
        graph.add_edge("cashier", "writer")
        graph.add_edge("writer", END)
        team = graph.compile()
        yield App(
            model,
            run=lambda: team.invoke({"messages": [("user", TASK)]}),
            check=lambda state: "EUR 179.90" in state["messages"][-1].text,
            agent="train_desk",
            wrong="EUR 95.90",
            right="EUR 59.90",
        )


def test_the_right_text_proves_the_step_inside_the_tool(app):
    trace = app.recorded()
    step = app.planted(trace)
    assert trace.steps[step].parent == 0
    assert_found(app.find_with_the_right_text(trace), trace, step)


def test_a_reference_run_leads_to_the_step_inside_and_not_to_the_planners_call(app):
    trace = app.recorded()
    assert_found(app.find_with_a_reference(trace), trace, app.planted(trace))
