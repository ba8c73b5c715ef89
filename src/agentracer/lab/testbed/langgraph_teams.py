"""The testbed's teams as real LangGraph graphs, for any OpenAI-compatible endpoint.

Planners, checkers, reporters and managers are plain function nodes; agents with tools are a
`create_agent`. Who is next is decided by plain code that reads the lines which the prompts ask for.
Capture is added from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import SecretStr

from agentracer.lab.testbed.problems import Domain, Problem
from agentracer.lab.testbed.rosters import Agent, Roster

__all__ = ["LangGraphTeam"]

MAX_STEPS = 200


class LangGraphTeam:
    """See `agentracer.lab.testbed.systems.BuiltTeam`.

    Args:
        domain: what the team works on.
        roster: who is in it.
        base_url: the endpoint, `/v1` included.
        model: the name of the model there.
        api_key: the key; local servers take any text.
    """

    def __init__(
        self, domain: Domain, roster: Roster, base_url: str, model: str, api_key: str
    ) -> None:
        self._domain, self._roster = domain, roster
        self._chat = ChatOpenAI(
            model=model,
            base_url=base_url,
            api_key=SecretStr(api_key),
            use_responses_api=False,
            max_retries=0,
        )
        self._tools = [StructuredTool.from_function(tool) for tool in domain.tools]
        build = {"pipeline": self._pipeline, "hub": self._hub, "review": self._review}
        graph = StateGraph(MessagesState)
        build[roster.topology](graph)
        self.graph = graph.compile(name=f"{domain.name}_{roster.topology}")

    def solve(self, problem: Problem) -> str:
        """Give the team a task; returns its answer, or "" when it gave none."""
        start: Any = {"messages": [HumanMessage(problem.question)]}
        final = self.graph.invoke(start, {"recursion_limit": MAX_STEPS})
        answers = (self._domain.answer_in(str(m.text)) for m in reversed(final["messages"]))
        return next((answer for answer in answers if answer is not None), "")

    def _pipeline(self, graph: Any) -> None:
        planner, worker, reporter = self._roster.agents
        for agent in self._roster.agents:
            graph.add_node(agent.name, self._node(agent))
        graph.add_edge(START, planner.name)
        graph.add_edge(planner.name, worker.name)
        graph.add_conditional_edges(
            worker.name,
            lambda state: reporter.name if "ALL DONE" in _last(state) else worker.name,
            [worker.name, reporter.name],
        )
        graph.add_edge(reporter.name, END)

    def _hub(self, graph: Any) -> None:
        manager = self._roster.agent("manager").name
        others = [agent.name for agent in self._roster.agents if agent.name != manager]

        def following(state: MessagesState) -> str:
            named = re.findall(r"^NEXT: (\S+)", _last(state), re.MULTILINE)
            return named[-1] if named and named[-1] in others else END

        for agent in self._roster.agents:
            graph.add_node(agent.name, self._node(agent))
        graph.add_edge(START, manager)
        graph.add_conditional_edges(manager, following, [*others, END])
        for name in others:
            graph.add_edge(name, manager)

    def _review(self, graph: Any) -> None:
        author, checker = self._roster.agents
        graph.add_node(author.name, self._node(author))
        graph.add_node(checker.name, self._node(checker))
        graph.add_edge(START, author.name)
        graph.add_conditional_edges(
            author.name,
            lambda state: END if "FINAL ANSWER:" in _last(state) else checker.name,
            [checker.name, END],
        )
        graph.add_edge(checker.name, author.name)

    def _node(self, agent: Agent) -> Any:
        if agent.duty in ("worker", "author"):
            return create_agent(
                self._chat, self._tools, system_prompt=agent.prompt, name=agent.name
            )
        return self._speaker(agent)

    def _speaker(self, agent: Agent) -> Callable[[MessagesState], dict[str, list[AIMessage]]]:
        def speak(state: MessagesState) -> dict[str, list[AIMessage]]:
            reply = self._chat.invoke([SystemMessage(agent.prompt), *state["messages"]])
            reply.name = agent.name  # the others have to see who speaks
            return {"messages": [reply]}

        return speak


def _last(state: MessagesState) -> str:
    return str(state["messages"][-1].text)
