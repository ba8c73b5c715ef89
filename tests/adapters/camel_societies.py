"""The arithmetic world as CAMEL systems: what the tests of that adapter build and run."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import camel.logger
from camel.agents import ChatAgent
from camel.messages import BaseMessage
from camel.models import ModelFactory
from camel.models.stub_model import StubTokenCounter
from camel.societies import RolePlaying
from camel.societies.workforce import Workforce
from camel.societies.workforce.workforce import WorkforceMode
from camel.tasks import Task
from camel.toolkits import FunctionTool
from camel.types import ModelPlatformType
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI

from agentracer.lab.testbed.server import ChatReply, ChatRequest, text_of
from tests.adapters.arithmetic import (
    ADVICE,
    RIGHT_PLAN,
    TASK,
    WRONG_PLAN,
    ArithmeticModel,
    World,
    arithmetic_world,
    role_of,
)

camel.logger.set_log_level("CRITICAL")
logging.getLogger("camel").setLevel(logging.CRITICAL)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # clients outlive the loops of process_task

SUBTASKS = ("Write the plan PLANTASK", "Compute the sum SUMTASK", "Report it REPORTTASK")
ROLES = {"PLANTASK": "planner", "SUMTASK": "solver", "REPORTTASK": "reporter"}


class CamelModel(ArithmeticModel):
    """Also decomposes, assigns and judges as a Workforce asks, and plays both roles."""

    def reply(self, request: ChatRequest) -> ChatReply:
        last = text_of(request.messages[-1])
        if "RULES OF USER" in request.system.upper():
            return self._instruct(request.system, last)
        if "RULES OF ASSISTANT" in request.system.upper():
            return self._assist(request, last)
        if role_of(request) is None:
            return self._run_team(last)
        reply = super().reply(request)
        if reply.content is not None and '"failed"' in last + _asked(request):
            return ChatReply(json.dumps({"content": reply.content, "failed": False}))
        return reply

    def _solve(self, request: ChatRequest, text: str, handover: Sequence[str]) -> ChatReply:
        last = request.messages[-1]
        if last["role"] == "tool" and not text_of(last).strip().lstrip("-").isdigit():
            return ChatReply("no sum: the tool failed")
        return super()._solve(request, text, handover)

    def _run_team(self, last: str) -> ChatReply:
        if "assign multiple tasks" in last:
            return ChatReply(json.dumps({"assignments": _assignments(last)}))
        if "quality_score" in last:
            return ChatReply(json.dumps({"reasoning": "good", "issues": [], "quality_score": 95}))
        if "Error Message" in last:
            return ChatReply(json.dumps({"reasoning": "bad", "issues": [], **RECOVERY}))
        tasks = "".join(f"<task>{task}</task>" for task in SUBTASKS)
        return ChatReply(f"<tasks>{tasks}</tasks>")

    def _instruct(self, system: str, last: str) -> ChatReply:
        if "ANSWER:" in last:
            return ChatReply("CAMEL_TASK_DONE")
        if sums := re.findall(r"SUM=\d+", last):
            return ChatReply(f"Instruction: multiply {sums[-1]} by 10")
        right = ADVICE in system or not self.errs()
        return ChatReply(f"Instruction: {RIGHT_PLAN if right else WRONG_PLAN}")

    def _assist(self, request: ChatRequest, last: str) -> ChatReply:
        if "multiply" in last:
            number = int(re.findall(r"SUM=(\d+)", last)[-1])
            return ChatReply(f"Solution: ANSWER: {number * 10} Next request.")
        if request.messages[-1]["role"] == "tool":
            return ChatReply(f"Solution: SUM={last} Next request.")
        if "PLAN:" not in last:
            said = re.findall(r"ANSWER: \S+", "\n".join(map(text_of, request.messages)))
            return ChatReply(f"Solution: {said[-1]} Next request.")
        return self._solve(request, last, ())


RECOVERY = {"recovery_strategy": "retry", "modified_task_content": None}


def _asked(request: ChatRequest) -> str:
    return "".join(text_of(m) for m in request.messages if m["role"] == "user")


def _assignments(prompt: str) -> list[dict[str, Any]]:
    workers = {name: i for i, name in re.findall(r"<(\S+)>:<the (\w+)>", prompt)}
    tasks = re.findall(r"Task ID: (\S+)\nContent: (.*)", prompt)
    found, before = [], []
    for identity, content in tasks:
        role = next((role for word, role in ROLES.items() if word in content), "planner")
        found.append(
            {"task_id": identity, "assignee_id": workers[role], "dependencies": list(before)}
        )
        before = [identity]
    return found


@contextmanager
def camel_world(model: Any = None) -> Iterator[World]:
    with (
        arithmetic_world(model or CamelModel()) as world,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        yield world


def model(world: World, **config: Any) -> Any:
    # A plain HTTP server needs no certificates, and loading them takes longer than a whole run.
    options: Any = {"base_url": world.url, "api_key": "none", "max_retries": 0}
    return ModelFactory.create(
        model_platform=ModelPlatformType.OPENAI_COMPATIBLE_MODEL,
        model_type="scripted",
        url=world.url,
        api_key="none",
        token_counter=StubTokenCounter(),  # the default one downloads a file
        model_config_dict=config,
        client=OpenAI(http_client=DefaultHttpxClient(verify=False), **options),
        async_client=AsyncOpenAI(http_client=DefaultAsyncHttpxClient(verify=False), **options),
    )


def tool(world: World) -> FunctionTool:
    def add(a: int, b: int) -> str:
        """Add two integers.

        Args:
            a: the first
            b: the second
        """
        return world.add(a, b)

    return FunctionTool(add)


def agent(world: World, name: str, tools: Sequence[Any] = (), **config: Any) -> ChatAgent:
    return ChatAgent(
        f"You are {name}.",
        model=model(world, **config),
        tools=list(tools) or None,
        stream_accumulate=False,
    )


def team(world: World, **config: Any) -> dict[str, ChatAgent]:
    return {
        "planner": agent(world, "planner", **config),
        "solver": agent(world, "solver", [tool(world)], **config),
        "reporter": agent(world, "reporter", **config),
    }


# -- systems: built once per run, and run to an answer


@dataclass(frozen=True)
class Construct:
    """One kind of system: how to build it, how to run it, and who does what in it."""

    build: Callable[[World], Any]
    run: Callable[[Any], Any]
    planner: str = "planner"
    solver: str = "solver"
    right_plan: str = RIGHT_PLAN
    right_sum: str = "SUM=7"

    def once(self, world: World) -> Any:
        return self.run(self.build(world))


def structured(text: str) -> str:
    """Text as a worker of a Workforce has to write it."""
    return json.dumps({"content": text, "failed": False})


def run_chain(agents: dict[str, ChatAgent]) -> str:
    message: Any = TASK
    for member in agents.values():
        message = member.step(message).msg
    return str(message.content)


def run_chain_async(agents: dict[str, ChatAgent]) -> str:
    async def scenario() -> str:
        message: Any = TASK
        for member in agents.values():
            message = (await member.astep(message)).msg
        return str(message.content)

    return asyncio.run(scenario())


def run_streams(agents: dict[str, ChatAgent]) -> str:
    text = TASK
    for member in agents.values():
        text = "".join(part.msg.content for part in member.step(text) if part.msgs)
    return text


def run_streams_async(agents: dict[str, ChatAgent]) -> str:
    async def scenario() -> str:
        text = TASK
        for member in agents.values():
            response = await member.astep(text)
            text = "".join([part.msg.content async for part in response if part.msgs])
        return text

    return asyncio.run(scenario())


def role_playing(world: World, kind: type[RolePlaying] = RolePlaying) -> RolePlaying:
    return kind(
        "adder",
        "asker",
        task_prompt=TASK,
        with_task_specify=False,
        assistant_agent_kwargs={"model": model(world), "tools": [tool(world)]},
        user_agent_kwargs={"model": model(world)},
    )


def run_role_playing(society: RolePlaying) -> str:
    message, said = society.init_chat(), []
    for _ in range(6):
        assistant, user = society.step(message)
        if assistant.msgs:
            said.append(assistant.msg.content)
        if not user.msgs or "TASK_DONE" in user.msg.content:
            break
        message = assistant.msg
    return " ".join(text for text in said if "ANSWER" in text)


def run_role_playing_async(society: RolePlaying) -> str:
    async def scenario() -> str:
        message, said = await society.ainit_chat(), []
        for _ in range(6):
            assistant, user = await society.astep(message)
            if assistant.msgs:
                said.append(assistant.msg.content)
            if not user.msgs or "TASK_DONE" in user.msg.content:
                break
            message = assistant.msg
        return " ".join(text for text in said if "ANSWER" in text)

    return asyncio.run(scenario())


class OwlStyle(RolePlaying):
    """As OWL's `OwlRolePlaying`: makes its agents itself and overrides `step` without `super`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user_agent = ChatAgent(
            BaseMessage.make_user_message("asker", f"RULES OF USER: ask for {self.task_prompt}."),
            **kwargs["user_agent_kwargs"],
        )
        self.assistant_agent = ChatAgent(
            BaseMessage.make_assistant_message("adder", "RULES OF ASSISTANT: answer."),
            **kwargs["assistant_agent_kwargs"],
        )

    def step(self, assistant_msg: Any) -> Any:
        user = self.user_agent.step(assistant_msg)
        instruction = BaseMessage.make_user_message(
            "asker", f"{user.msg.content}\n\nAuxiliary information: {self.task_prompt}"
        )
        assistant = self.assistant_agent.step(instruction)
        return assistant, user


def owl_style(world: World) -> RolePlaying:
    return role_playing(world, OwlStyle)


def workforce(world: World, mode: Any = WorkforceMode.AUTO_DECOMPOSE, **options: Any) -> Workforce:
    built = Workforce(
        "team",
        coordinator_agent=ChatAgent("Coordinate.", model=model(world)),
        task_agent=ChatAgent("Decompose.", model=model(world)),
        default_model=model(world),
        graceful_shutdown_timeout=0.1,
        mode=mode,
        **options,
    )
    for name, member in team(world).items():
        built.add_single_agent_worker(f"the {name}", worker=member)
    return built


def pipeline(world: World) -> Workforce:
    built = workforce(world, WorkforceMode.PIPELINE)
    for text in SUBTASKS:
        built.pipeline_add(text)
    return built.pipeline_build()


def run_workforce(built: Workforce) -> str:
    return str(built.process_task(Task(content=TASK)).result)


def run_workforce_async(built: Workforce) -> str:
    return str(asyncio.run(built.process_task_async(Task(content=TASK))).result)


def run_workforce_inside_a_loop(built: Workforce) -> str:
    async def scenario() -> str:
        return run_workforce(built)

    return asyncio.run(scenario())


def streaming_team(world: World) -> dict[str, ChatAgent]:
    return team(world, stream=True, stream_options={"include_usage": True})


def as_tool(member: ChatAgent, name: str) -> FunctionTool:
    def ask(task: str) -> str:
        """Ask another agent.

        Args:
            task: what it is to do
        """
        return str(member.step(task).msg.content)

    ask.__name__ = name
    return FunctionTool(ask)


def agents_as_tools(world: World) -> ChatAgent:
    tools = [as_tool(member, name) for name, member in team(world).items()]
    return agent(world, "supervisor", tools)


def agents_as_tools_twice(world: World) -> ChatAgent:
    return agent(world, "supervisor", [as_tool(agents_as_tools(world), "department")])


def run_alone(supervisor: ChatAgent) -> str:
    return str(supervisor.step(TASK).msg.content)


def run_alone_async(supervisor: ChatAgent) -> str:
    async def scenario() -> str:
        return str((await supervisor.astep(TASK)).msg.content)

    return asyncio.run(scenario())


_PLAYED = {
    "planner": "asker",
    "solver": "adder",
    "right_plan": f"Instruction: {RIGHT_PLAN}",
    "right_sum": "Solution: SUM=7 Next request.",
}
_STAFFED = {
    "planner": "the planner",
    "solver": "the solver",
    "right_plan": structured(RIGHT_PLAN),
    "right_sum": structured("SUM=7"),
}

CONSTRUCTS = {
    "chain of ChatAgents": Construct(team, run_chain),
    "chain, async": Construct(team, run_chain_async),
    "streaming": Construct(streaming_team, run_streams),
    "streaming, async": Construct(streaming_team, run_streams_async),
    "agents as tools": Construct(agents_as_tools, run_alone),
    "agents as tools, async": Construct(agents_as_tools, run_alone_async),
    "agents as tools, nested twice": Construct(agents_as_tools_twice, run_alone),
    "RolePlaying": Construct(role_playing, run_role_playing, **_PLAYED),
    "RolePlaying, async": Construct(role_playing, run_role_playing_async, **_PLAYED),
    "OwlRolePlaying-style subclass": Construct(owl_style, run_role_playing, **_PLAYED),
    "Workforce AUTO_DECOMPOSE": Construct(workforce, run_workforce, **_STAFFED),
    "Workforce, async": Construct(workforce, run_workforce_async, **_STAFFED),
    "Workforce PIPELINE": Construct(pipeline, run_workforce, **_STAFFED),
    # In AUTO_DECOMPOSE mode, CAMEL itself waits for ever for the loop that it blocks.
    "Workforce PIPELINE, called in a loop": Construct(
        pipeline, run_workforce_inside_a_loop, **_STAFFED
    ),
}
