"""An exhibition: a LangGraph whose nodes are a nested AutoGen team and a CAMEL agent."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from types import SimpleNamespace
from typing import TypedDict

import pytest

pytest.importorskip("langgraph", reason="needs the extra [langgraph]")
pytest.importorskip("autogen_ext.models.openai", reason="needs the extra [autogen]")
pytest.importorskip("camel", reason="needs the extra [camel]")

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from camel.agents import ChatAgent
from langgraph.graph import END, START, StateGraph

from agentracer.lab.testbed.server import ModelServer
from tests.adapters.autogen_teams import client
from tests.adapters.camel_societies import model as camel_model
from tests.natural_apps.prose import App, ProseModel, assert_found

TASK = "Write the label for the painting by Elin Strand: title, year, how long she worked on it."
CATALOGUE = "'The Quay in Winter'. Begun in 1891, finished in 1894. Oil on canvas."


class State(TypedDict):
    notes: str
    label: str


def archivist(reading):
    began = 1881 if reading.mistaken else 1891
    return f"Strand began 'The Quay in Winter' in {began} and finished it in 1894."


def historian(reading):
    began, ended = re.findall(r"in (\d{4}) and finished it in (\d{4})", reading.text)[-1]
    return f"So she worked on the picture for {int(ended) - int(began)} years."


def curator(reading):
    years = re.findall(r"for (\d+) years", reading.text)[-1]
    return f"For the label: 'The Quay in Winter', 1894, painted over {years} years."


def label_writer(reading):
    years = re.findall(r"over (\d+) years", reading.text)[-1]
    return f"Elin Strand, The Quay in Winter, 1894. The painter returned to it for {years} years."


@pytest.fixture
def app(captured):
    model = ProseModel(
        {
            "You keep the archive": archivist,
            "You are the historian": historian,
            "You are the curator": curator,
            "You write labels": label_writer,
        }
    )
    with ModelServer(model) as server, contextlib.redirect_stdout(io.StringIO()):
        where = SimpleNamespace(url=server.base_url)

        def research(state):
            models = client(where)  # it belongs to the event loop of this run

            def member(name, prompt):
                return AssistantAgent(name, models, system_message=prompt, description=prompt)

            scholars = RoundRobinGroupChat(
                [
                    member("archivist", "You keep the archive."),
                    member("historian", "You are the historian."),
                ],
                name="scholars",
                max_turns=2,
            )
            museum = RoundRobinGroupChat(
                [scholars, member("curator", "You are the curator.")], name="museum", max_turns=2
            )
            result = asyncio.run(museum.run(task=f"{TASK} The catalogue says: {CATALOGUE}"))
            return {"notes": result.messages[-1].content}

        def write(state):
            agent = ChatAgent("You write labels.", model=camel_model(where), agent_id="writer")
            return {"label": agent.step(state["notes"]).msg.content}

        graph = StateGraph(State)
        graph.add_node("research", research)
        graph.add_node("write", write)
        graph.add_edge(START, "research")
        graph.add_edge("research", "write")
        graph.add_edge("write", END)
        team = graph.compile()
        yield App(
            model,
            run=lambda: team.invoke({"notes": ""}),
            check=lambda state: "for 3 years" in state["label"],
            agent="archivist",
            wrong="in 1881",
            right="in 1891",
        )


def test_the_run_is_one_trace_of_three_frameworks(app):
    trace = app.recorded()
    assert [step.agent for step in trace.steps if step.kind == "llm"][:3] == [
        "archivist",
        "historian",
        "curator",
    ]
    assert "for 13 years" in trace.steps[-1].content or "for 13 years" in trace.steps[-2].content


def test_the_right_text_proves_the_step_of_the_inner_team(app):
    trace = app.recorded()
    assert_found(app.find_with_the_right_text(trace), trace, app.planted(trace))


def test_a_reference_run_leads_to_the_step_of_the_inner_team(app):
    trace = app.recorded()
    assert_found(app.find_with_a_reference(trace), trace, app.planted(trace))
