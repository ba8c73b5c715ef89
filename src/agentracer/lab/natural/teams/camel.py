"""CAMEL: a Workforce, and two agents that play roles."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
from typing import Any

os.environ.setdefault("CAMEL_LOGGING_DISABLED", "true")

import camel.logger
from camel.agents import ChatAgent
from camel.models import ModelFactory
from camel.models.stub_model import StubTokenCounter
from camel.societies import RolePlaying
from camel.societies.workforce import Workforce
from camel.tasks import Task as CamelTask
from camel.toolkits import FunctionTool
from camel.types import ModelPlatformType

from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.tasks import Kind
from agentracer.lab.natural.teams.prompts import EXPERT, MISSION
from agentracer.lab.natural.tools import tools_for

__all__ = ["role_playing", "workforce"]

MAX_TURNS = 5
_ROLES: dict[Kind, tuple[str, str]] = {
    "word": ("Mathematics Tutor", "Parent"),
    "code": ("Python Programmer", "Project Manager"),
    "document": ("Librarian", "Visitor"),
    "plan": ("Planning Assistant", "Customer"),
}


def workforce(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """A coordinator and a task agent, who direct an expert with tools and a writer."""
    _quiet()
    model = _model(endpoint)
    team = Workforce(
        MISSION[kind],
        coordinator_agent=ChatAgent("You coordinate the team.", model=model),
        task_agent=ChatAgent("You split tasks and put results together.", model=model),
        default_model=model,
        graceful_shutdown_timeout=0.0,
    )
    expert = ChatAgent(EXPERT[kind], model=model, tools=_tools(kind), agent_id="expert")
    writer = ChatAgent(
        "You write complete final answers from the results of others.",
        model=model,
        agent_id="writer",
    )
    team.add_single_agent_worker("Expert who does the work with tools", worker=expert)
    team.add_single_agent_worker("Writer who puts the final answer together", worker=writer)
    task = CamelTask(content=question, id="task")
    with contextlib.redirect_stdout(io.StringIO()):  # CAMEL prints what its workers say
        return str(asyncio.run(team.process_task_async(task)).result)


def role_playing(endpoint: Endpoint, kind: Kind, question: str) -> str:
    """An assistant with tools, instructed by a user who is played by a model as well."""
    _quiet()
    model = _model(endpoint)
    assistant_role, user_role = _ROLES[kind]
    session = RolePlaying(
        assistant_role,
        user_role,
        task_prompt=question,
        with_task_specify=False,
        assistant_agent_kwargs={"model": model, "tools": _tools(kind)},
        user_agent_kwargs={"model": model},
    )
    message, answer = session.init_chat(), ""
    for _ in range(MAX_TURNS):
        assistant, user = session.step(message)
        if user.msgs and "CAMEL_TASK_DONE" in user.msg.content:
            break
        if assistant.terminated or user.terminated or not assistant.msgs:
            break
        message = assistant.msg
        answer = str(message.content)
    return answer


def _quiet() -> None:
    camel.logger.set_log_level("CRITICAL")  # type: ignore[no-untyped-call]
    logging.getLogger().addFilter(_not_about_context_windows)
    for name in ("camel", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _not_about_context_windows(record: logging.LogRecord) -> bool:
    """CAMEL warns about an unknown model on the root logger, once for every agent."""
    return "context window size not defined" not in record.getMessage()


def _tools(kind: Kind) -> list[Any]:
    return [FunctionTool(tool) for tool in tools_for(kind)]


def _model(endpoint: Endpoint) -> Any:
    options: dict[str, Any] = {
        "temperature": endpoint.temperature,
        "max_tokens": endpoint.max_tokens,
    }
    if endpoint.seed is not None:
        options["seed"] = endpoint.seed
    return ModelFactory.create(
        model_platform=ModelPlatformType.OPENAI_COMPATIBLE_MODEL,
        model_type=endpoint.model,
        model_config_dict=options,
        url=endpoint.base_url,
        api_key=endpoint.api_key,
        timeout=endpoint.timeout,
        token_counter=StubTokenCounter(),  # the default one downloads a file
        max_retries=0,
    )
