"""The testbed's teams as real AutoGen group chats (autogen-agentchat 0.7), for any endpoint.

    pipeline, hub   a `SelectorGroupChat` whose next speaker plain code reads off the last message
    review          a `RoundRobinGroupChat` of author and reviewer

A team is built anew for every run, with one model client for all of them: making a client takes
longer than a run. The client belongs to an event loop, so a team object keeps one of its own.
Capture is added from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

from agentracer.lab.testbed.problems import Domain, Problem
from agentracer.lab.testbed.rosters import Agent, Roster

__all__ = ["AutoGenTeam"]

MAX_MESSAGES = 300
_MODEL_INFO: Any = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": False,
    "family": "unknown",
}


class AutoGenTeam:
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
        for name in ("autogen_core", "autogen_agentchat"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._domain, self._roster = domain, roster
        self._loop = asyncio.new_event_loop()
        self._client = OpenAIChatCompletionClient(
            model=model,
            base_url=base_url,
            api_key=api_key,
            max_retries=0,
            model_info=_MODEL_INFO,
        )

    def solve(self, problem: Problem) -> str:
        """Give the team a task; returns its answer, or "" when it gave none."""
        result = self._loop.run_until_complete(self._build().run(task=problem.question))
        answers = (self._domain.answer_in(_text(m)) for m in reversed(result.messages))
        return next((answer for answer in answers if answer is not None), "")

    def close(self) -> None:
        """Close the connections and the loop."""
        with contextlib.suppress(Exception):
            self._loop.run_until_complete(self._client.close())
        self._loop.close()

    def _build(self) -> Any:
        agents: list[Any] = [self._agent(agent) for agent in self._roster.agents]
        speaks_last = {"pipeline": "reporter", "hub": "manager", "review": "author"}
        last = next(a for a in self._roster.agents if a.duty == speaks_last[self._roster.topology])
        ends = TextMentionTermination("FINAL ANSWER:", sources=[last.name])
        stop = ends | MaxMessageTermination(MAX_MESSAGES)
        if self._roster.topology == "review":
            return RoundRobinGroupChat(agents, termination_condition=stop)
        following = self._in_line if self._roster.topology == "pipeline" else self._by_manager
        return SelectorGroupChat(
            agents,
            model_client=self._client,
            selector_func=following(),
            termination_condition=stop,
            allow_repeated_speaker=True,
        )

    def _agent(self, agent: Agent) -> AssistantAgent:
        works = agent.duty in ("worker", "author")
        return AssistantAgent(
            agent.name,
            self._client,
            description=f"the {agent.duty}",
            system_message=agent.prompt,
            tools=list(self._domain.tools) if works else None,
            max_tool_iterations=8 if works else 1,
        )

    def _in_line(self) -> Callable[[Sequence[Any]], str | None]:
        planner, worker, reporter = (agent.name for agent in self._roster.agents)

        def following(messages: Sequence[Any]) -> str | None:
            last = messages[-1]
            if last.source == planner:
                return worker
            if last.source == worker:
                return reporter if "ALL DONE" in _text(last) else worker
            return planner

        return following

    def _by_manager(self) -> Callable[[Sequence[Any]], str | None]:
        manager = self._roster.agent("manager").name
        names = [agent.name for agent in self._roster.agents]

        def following(messages: Sequence[Any]) -> str | None:
            last = messages[-1]
            if last.source != manager:
                return manager
            named = re.findall(r"^NEXT: (\S+)", _text(last), re.MULTILINE)
            return named[-1] if named and named[-1] in names else manager

        return following


def _text(message: Any) -> str:
    return str(getattr(message, "content", ""))
