"""The testbed's teams in CAMEL 0.2.90, for any OpenAI-compatible endpoint.

    pipeline   a Workforce in PIPELINE mode: one task to plan, one to do all steps, one to report
    hub        a Workforce in AUTO_DECOMPOSE mode: a coordinator and a task agent direct the workers
    review     two ChatAgents that talk to each other

Workers, coordinator and tasks have fixed ids, since CAMEL writes them into its prompts. Nothing
here knows of capture.
"""

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
from camel.societies.workforce import Workforce
from camel.societies.workforce.workforce import WorkforceMode
from camel.tasks import Task
from camel.toolkits import FunctionTool
from camel.types import ModelPlatformType

from agentracer.lab.testbed import workforce
from agentracer.lab.testbed.problems import Domain, Problem
from agentracer.lab.testbed.rosters import Agent, Roster, in_duty

__all__ = ["CamelTeam"]

MAX_TURNS = 120


def _not_about_context_windows(record: logging.LogRecord) -> bool:
    """CAMEL warns about the unknown model on the root logger, once for every agent."""
    return "context window size not defined" not in record.getMessage()


class CamelTeam:
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
        camel.logger.set_log_level("CRITICAL")  # type: ignore[no-untyped-call]
        logging.getLogger().addFilter(_not_about_context_windows)
        for name in ("camel", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._domain, self._roster = domain, roster
        # The model keeps connections that belong to a loop, so all runs share one.
        self._loop = asyncio.new_event_loop()
        self._model = ModelFactory.create(
            model_platform=ModelPlatformType.OPENAI_COMPATIBLE_MODEL,
            model_type=model,
            url=base_url,
            api_key=api_key,
            token_counter=StubTokenCounter(),  # the default one downloads a file
            max_retries=0,
        )

    def solve(self, problem: Problem) -> str:
        """Give the team a task; returns its answer, or "" when it gave none."""
        run = {"pipeline": self._in_line, "hub": self._by_manager, "review": self._in_review}
        with contextlib.redirect_stdout(io.StringIO()):  # CAMEL prints what its workers say
            text = run[self._roster.topology](problem)
        return self._domain.answer_in(text) or ""

    def _agent(self, agent: Agent) -> ChatAgent:
        works = agent.duty in ("worker", "author")
        tools: list[Any] = [FunctionTool(tool) for tool in self._domain.tools] if works else []
        return ChatAgent(
            agent.prompt, model=self._model, tools=tools or None, agent_id=agent.name.lower()
        )

    def _in_line(self, problem: Problem) -> str:
        built = self._workforce(WorkforceMode.PIPELINE)
        contents = (f"{workforce.PLAN}.\n{problem.question}", workforce.WORK, workforce.REPORT)
        before: list[str] = []
        for number, content in enumerate(contents):
            built.pipeline_add(content, task_id=f"task-{number}", dependencies=list(before))
            before.append(f"task-{number}")
        built.pipeline_build()
        return self._process(built, problem)

    def _by_manager(self, problem: Problem) -> str:
        built = self._workforce(WorkforceMode.AUTO_DECOMPOSE)
        return self._process(built, problem)

    def _process(self, built: Workforce, problem: Problem) -> str:
        task = Task(content=problem.question, id="task")
        return str(self._loop.run_until_complete(built.process_task_async(task)).result)

    def _workforce(self, mode: WorkforceMode) -> Workforce:
        built = Workforce(
            f"a team that {self._domain.mission}",
            coordinator_agent=ChatAgent("You coordinate.", model=self._model),
            task_agent=ChatAgent("You split tasks and judge results.", model=self._model),
            default_model=self._model,
            graceful_shutdown_timeout=0.0,
            mode=mode,
        )
        what = {"worker": "works out steps", "planner": "plans", "reporter": "reports"}
        for agent in self._members():
            built.add_single_agent_worker(
                f"{agent.name}, who {what[agent.duty]}", worker=self._agent(agent)
            )
        return built

    def _members(self) -> list[Agent]:
        """The workers: in a hub the task agent plans and checks, and the checker reports."""
        if self._roster.topology == "pipeline":
            return list(self._roster.agents)
        reporter = in_duty(self._domain, self._roster.agent("checker").name, "reporter")
        return [*(a for a in self._roster.agents if a.duty == "worker"), reporter]

    def _in_review(self, problem: Problem) -> str:
        author, checker = (self._agent(agent) for agent in self._roster.agents)
        message = problem.question
        context = f"The task: {problem.question}\n\n"
        for _ in range(MAX_TURNS):
            message = str(author.step(message).msg.content)
            if self._domain.answer_in(message) is not None:
                return message
            message = str(checker.step(context + message).msg.content)
            context = ""
        return ""
