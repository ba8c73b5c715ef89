"""The arithmetic team as a LangGraph system of every kind."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from tests.adapters.arithmetic import TASK, World

ASK = {"messages": [("user", TASK)]}


def model(world: World) -> ChatOpenAI:
    return ChatOpenAI(model="scripted", base_url=world.url, api_key="none", max_retries=0)


def agent(world: World, name: str, tools: Any = ()) -> Any:
    return create_agent(model(world), list(tools), system_prompt=f"You are {name}.", name=name)


def speaker(world: World, name: str, *, is_async: bool = False) -> Callable[..., Any]:
    system, llm = SystemMessage(f"You are {name}."), model(world)

    def speak(state: Any) -> Any:
        return {"messages": [llm.invoke([system, *state["messages"]])]}

    async def speak_async(state: Any) -> Any:
        return {"messages": [await llm.ainvoke([system, *state["messages"]])]}

    return speak_async if is_async else speak


def pipeline(world: World, *, is_async: bool = False) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("planner", speaker(world, "planner", is_async=is_async))
    graph.add_node("solver", agent(world, "solver", [world.add]))
    graph.add_node("reporter", speaker(world, "reporter", is_async=is_async))
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "solver")
    graph.add_edge("solver", "reporter")
    graph.add_edge("reporter", END)
    return graph.compile()


def nested(world: World) -> Any:
    outer = StateGraph(MessagesState)
    outer.add_node("team", pipeline(world))
    outer.add_edge(START, "team")
    outer.add_edge("team", END)
    return outer.compile()


def supervisor(world: World) -> Any:
    workers = [
        agent(world, "planner"),
        agent(world, "solver", [world.add]),
        agent(world, "reporter"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create_supervisor(
            workers, model=model(world), prompt="You are supervisor."
        ).compile()


def swarm(world: World) -> Any:
    planner = agent(world, "planner", [create_handoff_tool(agent_name="solver")])
    solver = agent(world, "solver", [world.add, create_handoff_tool(agent_name="reporter")])
    members = [planner, solver, agent(world, "reporter")]
    return create_swarm(members, default_active_agent="planner").compile()


def functional(world: World) -> Any:
    speak = {name: speaker(world, name) for name in ("planner", "reporter")}
    solver = agent(world, "solver", [world.add])

    @task
    def planner(messages: Any) -> Any:
        return speak["planner"]({"messages": messages})["messages"]

    @task
    def reporter(messages: Any) -> Any:
        return speak["reporter"]({"messages": messages})["messages"]

    @entrypoint()
    def team(inputs: Any) -> Any:
        messages = [*inputs["messages"]]
        messages += planner(messages).result()
        messages = solver.invoke({"messages": messages})["messages"]
        return {"messages": [*messages, *reporter(messages).result()]}

    return team


def as_tool(member: Any, name: str) -> Any:
    """A tool that asks an agent or a graph."""

    @tool(name, description=f"Ask the {name}.")
    def ask(task: str) -> str:
        return str(member.invoke({"messages": [("user", task)]})["messages"][-1].text)

    return ask


def agents_as_tools(world: World) -> Any:
    members = {
        "planner": agent(world, "planner"),
        "solver": agent(world, "solver", [world.add]),
        "reporter": agent(world, "reporter"),
    }
    return agent(world, "supervisor", [as_tool(member, name) for name, member in members.items()])


def agents_as_tools_in_a_node(world: World) -> Any:
    supervisor = agents_as_tools(world)

    def research(state: Any) -> Any:
        return {"messages": supervisor.invoke(state)["messages"][-1:]}

    graph = StateGraph(MessagesState)
    graph.add_node("research", research)
    graph.add_edge(START, "research")
    graph.add_edge("research", END)
    return graph.compile()


def agents_as_tools_twice(world: World) -> Any:
    return agent(world, "supervisor", [as_tool(agents_as_tools(world), "department")])


def graph_as_tool(world: World) -> Any:
    return agent(world, "supervisor", [as_tool(pipeline(world), "team")])


CONSTRUCTS = {
    "StateGraph with create_agent": pipeline,
    "nested subgraphs": nested,
    "supervisor": supervisor,
    "swarm": swarm,
    "functional API": functional,
    "agents as tools": agents_as_tools,
    "agents as tools, inside a plain node": agents_as_tools_in_a_node,
    "agents as tools, nested twice": agents_as_tools_twice,
    "graph as a tool": graph_as_tool,
}

UNLISTED = (
    functional,
    agents_as_tools,
    agents_as_tools_in_a_node,
    agents_as_tools_twice,
    graph_as_tool,
)
"""Systems whose agents are called in code, so that the compiled graph does not name them."""
