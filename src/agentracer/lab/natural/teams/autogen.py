"""AutoGen: a selector group chat, a round robin with a critic, and Magentic-One."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import (
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
)
from autogen_ext.models.openai import OpenAIChatCompletionClient

from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.tasks import Kind
from agentracer.lab.natural.teams.prompts import EXPERT, MISSION
from agentracer.lab.natural.tools import tools_for

__all__ = ["magentic_one", "round_robin", "selector"]

MAX_MESSAGES = 12
MAX_TURNS = 6
_MODEL_INFO: Any = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": False,
    "family": "unknown",
}


def selector(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """Planner, expert and writer; the model chooses who speaks next."""

    def build(client: Any) -> Any:
        planner = AssistantAgent(
            "planner",
            client,
            description="Breaks the task down. Should be the first one to speak.",
            system_message=f"You are a planning agent. {MISSION[kind]} Break the task down into a "
            "few small steps and hand them to the expert. You only plan, you do not do the steps.",
        )
        writer = AssistantAgent(
            "writer",
            client,
            description="Writes the final answer when the expert is done.",
            system_message="Write the final answer for the user from the results so far, complete "
            "and in the form that was asked for. End with TERMINATE.",
        )
        stop = TextMentionTermination("TERMINATE", sources=["writer"])
        return SelectorGroupChat(
            [planner, _expert(client, kind), writer],
            model_client=client,
            termination_condition=stop | MaxMessageTermination(MAX_MESSAGES),
        )

    messages = _run(endpoint, build, question)
    return _text(messages[-1]).replace("TERMINATE", "").strip()


def round_robin(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """An expert and a critic in turn, until the critic approves."""

    def build(client: Any) -> Any:
        critic = AssistantAgent(
            "critic",
            client,
            system_message="Provide constructive feedback. Respond with 'APPROVE' when your "
            "feedback is addressed and the answer is right.",
        )
        stop = TextMentionTermination("APPROVE", sources=["critic"])
        return RoundRobinGroupChat(
            [_expert(client, kind), critic],
            termination_condition=stop | MaxMessageTermination(MAX_MESSAGES),
        )

    messages = _run(endpoint, build, question)
    drafts = [message for message in messages if message.source == "expert"]
    return _text(drafts[-1]) if drafts else ""


def magentic_one(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """An orchestrator with a ledger, who directs an expert and a checker."""

    def build(client: Any) -> Any:
        checker = AssistantAgent(
            "checker",
            client,
            description="Checks results for mistakes.",
            system_message="Check the last result for mistakes. Say what is wrong, or that it is "
            "correct.",
        )
        return MagenticOneGroupChat(
            [_expert(client, kind), checker],
            model_client=client,
            max_turns=MAX_TURNS,
            max_stalls=1,
        )

    return _text(_run(endpoint, build, question)[-1])


def _expert(client: Any, kind: Kind) -> AssistantAgent:
    return AssistantAgent(
        "expert",
        client,
        description=f"Does the work, with tools. {MISSION[kind]}",
        system_message=EXPERT[kind],
        tools=list(tools_for(kind)),
        max_tool_iterations=4,
        reflect_on_tool_use=True,
    )


def _run(endpoint: Endpoint, build: Callable[[Any], Any], question: str) -> list[Any]:
    for name in ("autogen_core", "autogen_agentchat"):
        logging.getLogger(name).setLevel(logging.ERROR)
    options: dict[str, Any] = {} if endpoint.seed is None else {"seed": endpoint.seed}

    async def run() -> list[Any]:
        client = OpenAIChatCompletionClient(
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            temperature=endpoint.temperature,
            max_tokens=endpoint.max_tokens,
            timeout=endpoint.timeout,
            max_retries=0,
            model_info=_MODEL_INFO,
            **options,
        )
        try:
            result = await build(client).run(task=question)
        finally:
            await client.close()
        return list(result.messages)

    return asyncio.run(run())


def _text(message: Any) -> str:
    return str(getattr(message, "content", ""))
