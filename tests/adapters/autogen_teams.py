"""The arithmetic team as an AutoGen team of every kind, and a model that can manage each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from autogen_agentchat.agents import AssistantAgent, SocietyOfMindAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_ext.models.openai import OpenAIChatCompletionClient

from agentracer.lab.testbed.server import ChatReply, ChatRequest, text_of
from tests.adapters.arithmetic import ArithmeticModel, World, next_speaker, role_of

MODEL_INFO: Any = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": False,
    "family": "unknown",
}


class TeamModel(ArithmeticModel):
    """Also selects speakers, keeps Magentic-One's ledgers, and calls agents as tools."""

    def reply(self, request: ChatRequest) -> ChatReply:
        text = "\n".join(text_of(message) for message in request.messages)
        role = role_of(request)
        if role == "planner" and (plans := re.findall(r"PLAN: a=\d+ b=\d+", text)):
            return ChatReply(plans[-1])
        if role is not None:
            return super().reply(request)
        if "pure JSON format" in text:
            return ChatReply(_ledger(text))
        if "role play game" in text:
            return ChatReply(next_speaker(text))
        if "You are checker" in request.system:
            return ChatReply("AGAIN" if text.count("SUM=") < 2 else "FINE")
        said = re.findall(r"ANSWER: \S+|SUM=\d+", text)
        return ChatReply(said[-1] if said else "nothing yet")


def _ledger(text: str) -> str:
    def entry(answer: Any) -> dict[str, Any]:
        return {"answer": answer, "reason": "r"}

    return json.dumps(
        {
            "is_request_satisfied": entry("ANSWER: " in text),
            "is_progress_being_made": entry(True),
            "is_in_loop": entry(False),
            "instruction_or_question": entry("go on"),
            "next_speaker": entry(next_speaker(text)),
        }
    )


def client(world: World, **info: Any) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model="scripted",
        api_key="none",
        base_url=world.url,
        max_retries=0,
        model_info={**MODEL_INFO, **info},
    )


def agent(world: World, name: str, **settings: Any) -> AssistantAgent:
    model = settings.pop("model_client", None) or client(world)
    settings.setdefault("description", f"the {name}")
    return AssistantAgent(name, model, system_message=f"You are {name}.", **settings)


def members(world: World, **settings: Any) -> list[AssistantAgent]:
    settings = {"model_client": client(world), **settings}
    return [
        agent(world, "planner", **settings),
        agent(world, "solver", tools=[world.add], reflect_on_tool_use=True, **settings),
        agent(world, "reporter", **settings),
    ]


def model_of(team: list[AssistantAgent]) -> Any:
    """One client for all: making one takes most of the time of a test."""
    return team[0]._model_client


def done() -> Any:
    return TextMentionTermination("TERMINATE", sources=["reporter", "supervisor"])


def round_robin(world: World) -> Any:
    return RoundRobinGroupChat(members(world), termination_condition=done())


def streamed(world: World) -> Any:
    return RoundRobinGroupChat(
        members(world, model_client_stream=True), termination_condition=done()
    )


def selector(world: World) -> Any:
    team = members(world)
    return SelectorGroupChat(team, model_client=model_of(team), termination_condition=done())


def swarm(world: World) -> Any:
    model = client(world)
    team = [
        agent(world, "planner", handoffs=["solver"], model_client=model),
        agent(
            world,
            "solver",
            tools=[world.add],
            handoffs=["reporter"],
            max_tool_iterations=3,
            model_client=model,
        ),
        agent(world, "reporter", model_client=model),
    ]
    return Swarm(team, termination_condition=done(), max_turns=20)


def graph(world: World) -> Any:
    planner, solver, reporter = team = members(world)
    builder = DiGraphBuilder().add_node(planner).add_node(solver).add_node(reporter)
    builder.add_edge(planner, solver).add_edge(solver, reporter)
    return GraphFlow(team, graph=builder.build())


def fan_out(world: World) -> Any:
    planner, solver, reporter = members(world)
    critic = agent(world, "critic", model_client=model_of([planner]))
    builder = DiGraphBuilder()
    for node in (planner, solver, critic, reporter):
        builder.add_node(node)
    builder.add_edge(planner, solver).add_edge(planner, critic)
    builder.add_edge(solver, reporter).add_edge(critic, reporter)
    return GraphFlow([planner, solver, critic, reporter], graph=builder.build())


def loop(world: World) -> Any:
    planner, solver, reporter = members(world)
    checker = agent(world, "checker", model_client=model_of([planner]))
    builder = DiGraphBuilder()
    for node in (planner, solver, checker, reporter):
        builder.add_node(node)
    builder.add_edge(planner, solver).add_edge(solver, checker)
    builder.add_edge(checker, planner, condition="AGAIN", activation_group="again")
    builder.add_edge(checker, reporter, condition="FINE")
    builder.set_entry_point(planner)
    return GraphFlow(
        [planner, solver, checker, reporter],
        graph=builder.build(),
        termination_condition=MaxMessageTermination(20),
    )


def magentic(world: World) -> Any:
    team = members(world)
    return MagenticOneGroupChat(team, model_client=model_of(team), max_turns=10)


def society(world: World) -> Any:
    planner, solver, reporter = members(world)
    inner = RoundRobinGroupChat([planner, solver], max_turns=2)
    society = SocietyOfMindAgent(
        "society", inner, model_of([planner]), response_prompt="Say the SUM."
    )
    return RoundRobinGroupChat([society, reporter], termination_condition=done())


def nested(world: World) -> Any:
    planner, solver, reporter = members(world)
    inner = RoundRobinGroupChat([planner, solver], name="inner", max_turns=2)
    return RoundRobinGroupChat([inner, reporter], name="outer", termination_condition=done())


def agents_as_tools(world: World) -> Any:
    team = members(world)
    supervisor = agent(
        world,
        "supervisor",
        tools=[AgentTool(member) for member in team],
        max_tool_iterations=9,
        model_client=model_of(team),
    )
    return RoundRobinGroupChat([supervisor], termination_condition=done())


def agents_as_tools_twice(world: World) -> Any:
    department = agents_as_tools(world)._participants[0]
    tool = AgentTool(department)
    return agent(world, "supervisor", tools=[tool], max_tool_iterations=9)


def team_as_tool(world: World) -> Any:
    tool = TeamTool(round_robin(world), "team", "solves it", return_value_as_last_message=True)
    return agent(world, "supervisor", tools=[tool], max_tool_iterations=9)


CONSTRUCTS: dict[str, Callable[[World], Any]] = {
    "RoundRobinGroupChat": round_robin,
    "RoundRobinGroupChat, streaming": streamed,
    "SelectorGroupChat": selector,
    "Swarm": swarm,
    "GraphFlow": graph,
    "GraphFlow with fan-out": fan_out,
    "MagenticOneGroupChat": magentic,
    "SocietyOfMindAgent": society,
    "nested teams": nested,
    "AgentTool": agents_as_tools,
    "AgentTool, nested twice": agents_as_tools_twice,
    "TeamTool of a lone agent": team_as_tool,
}
