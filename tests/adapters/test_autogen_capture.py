"""What is captured of AutoGen runs, and that the host never notices."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat", reason="needs the extra [autogen]")
pytest.importorskip("autogen_ext.models.openai", reason="needs the extra [autogen]")

from autogen_agentchat.agents import BaseChatAgent, MessageFilterAgent, UserProxyAgent
from autogen_agentchat.agents._message_filter_agent import MessageFilterConfig, PerSourceFilter
from autogen_agentchat.base import ChatAgent, Response, Team
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat, Swarm
from autogen_core import (
    CancellationToken,
    FunctionCall,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    message_handler,
)
from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage, UserMessage
from autogen_core.tools import BaseTool, ToolResult, Workbench
from autogen_ext.models.cache import ChatCompletionCache
from autogen_ext.models.replay import ReplayChatCompletionClient
from pydantic import BaseModel

import agentracer
from agentracer import _guard
from agentracer._guard import swallowed
from agentracer.adapters.autogen import convert
from agentracer.lab.testbed.server import ApiError, ChatReply, ScriptedCall
from agentracer.recorder import RunRecorder
from agentracer.store import Store
from tests.adapters import autogen_teams as teams
from tests.adapters.arithmetic import (
    TASK,
    arithmetic_world,
    assert_reads_match_server,
    is_right,
)


@pytest.fixture(autouse=True)
def nothing_swallowed(captured, request):
    before = swallowed()
    yield
    if "breaks_us" not in request.fixturenames:
        assert swallowed() == before


@pytest.fixture
def breaks_us(monkeypatch):
    """For tests in which something of ours fails: counts start anew, and are forgotten."""
    monkeypatch.setattr(_guard, "_counts", type(_guard._counts)())
    monkeypatch.setattr(_guard, "_first", {})
    monkeypatch.setattr(_guard, "_reported", 0)


@pytest.fixture
def world():
    with arithmetic_world(teams.TeamModel()) as world:
        yield world


class Scripted:
    """Says one thing after another to a conversation, by how often it has spoken in it."""

    def __init__(self, *replies: Any) -> None:
        self.replies = replies

    def reply(self, request):
        turn = sum(message["role"] == "assistant" for message in request.messages)
        reply = self.replies[min(turn, len(self.replies) - 1)]
        if isinstance(reply, Exception):
            raise reply
        return reply


def run_once(system: Any, task: Any = TASK) -> Any:
    return asyncio.run(system.run(task=task))


def recorded(system, task: Any = TASK):
    with agentracer.record() as run:
        run_once(system, task)
    return run.trace


def latest():
    return Store().load("latest")


def told(trace):
    return [(step.agent, step.kind, step.content) for step in trace.steps]


# -- runs


def test_without_a_record_block_each_top_level_run_is_a_trace_of_its_own(world):
    for build in (teams.round_robin, teams.nested, teams.team_as_tool):
        run_once(build(world))
        trace = latest()
        assert trace.task == TASK
        assert trace.observed.framework == "autogen"
        assert trace.outcome.ending == "finished"
        assert "ANSWER: 80" in trace.outcome.answer
    assert len(Store().ids()) == 3


def test_all_runs_inside_a_record_block_are_one_trace(world):
    with agentracer.record() as run:
        run_once(teams.round_robin(world))
        run_once(teams.agent(world, "reporter"), "SUM=3")
    assert len(Store().ids()) == 1
    assert [step.agent for step in run.trace.steps] == [
        *("planner", "solver", "solver", "reporter"),
        "reporter",
    ]


def test_a_lone_agent_is_a_run_however_it_is_called(world):
    agent = teams.agent(world, "reporter")
    message = TextMessage(content="SUM=3", source="user")

    async def scenario():
        await agent.run(task="SUM=3")
        async for _ in agent.run_stream(task=message):
            pass
        await agent.on_messages([message], CancellationToken())

    asyncio.run(scenario())
    traces = [Store().load(trace_id) for trace_id in Store().ids()]
    assert [trace.task for trace in traces] == ["SUM=3"] * 3
    assert [trace.outcome.answer for trace in traces] == ["ANSWER: 30 TERMINATE"] * 3
    assert [step.attributes["path"] for trace in traces for step in trace.steps] == ["reporter"] * 3


def test_the_result_given_to_the_check_is_the_teams_own(world):
    results = []
    with agentracer.record(check=lambda result: results.append(result) or True):
        result = run_once(teams.round_robin(world))
    assert results == [result]


def test_a_stream_gives_what_it_gave_before_and_is_a_finished_run(world):
    async def kinds():
        return [type(item) async for item in teams.streamed(world).run_stream(task=TASK)]

    with_us = asyncio.run(kinds())
    assert latest().outcome.ending == "finished"
    assert_reads_match_server(latest(), world)
    agentracer.uninstrument()
    assert asyncio.run(kinds()) == with_us


def test_leaving_a_stream_early_is_no_failure(world):
    async def scenario():
        async for _ in teams.round_robin(world).run_stream(task=TASK):
            break

    asyncio.run(scenario())
    assert latest().outcome.ending == "abandoned"
    assert latest().outcome.success is None


def test_a_cancelled_run_ends_as_cancelled_and_the_caller_sees_the_cancellation(world):
    class Slow:
        def reply(self, request):
            token.cancel()
            return ChatReply("too late")

    world.server.model, token = Slow(), CancellationToken()
    team = teams.round_robin(world)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(team.run(task=TASK, cancellation_token=token))
    assert latest().outcome.ending == "cancelled"
    assert latest().steps[0].error is None


def test_two_teams_at_once_stay_apart(world):
    async def scenario():
        await asyncio.gather(
            teams.selector(world).run(task="first"), teams.nested(world).run(task="second")
        )

    asyncio.run(scenario())
    traces = {trace.task: trace for trace in map(Store().load, Store().ids())}
    assert "SelectorGroupChatManager" in traces["first"].observed.agent_names
    assert traces["second"].observed.agent_names == ("planner", "solver", "reporter")


@pytest.mark.slow
def test_50_concurrent_runs_stay_apart(world):
    model = teams.client(world)

    async def one(number):
        team = teams.members(world, model_client=model)
        async with agentracer.record() as run:
            await RoundRobinGroupChat(team, termination_condition=teams.done()).run(
                task=f"task {number}"
            )
        return run.trace

    async def scenario():
        return await asyncio.gather(*(one(number) for number in range(50)))

    for number, trace in enumerate(asyncio.run(scenario())):
        assert trace.task == f"task {number}"
        assert [step.agent for step in trace.steps] == ["planner", "solver", "solver", "reporter"]
        for step in trace.steps:
            assert f"task {number}" in [m.content for m in trace.observed.reads(step)]


def test_teams_on_a_runtime_of_the_users_own_are_captured(world):
    async def scenario():
        runtime = SingleThreadedAgentRuntime()
        runtime.start()
        built = [
            RoundRobinGroupChat(
                teams.members(world), termination_condition=teams.done(), runtime=runtime
            )
            for _ in range(2)
        ]
        await asyncio.gather(*(team.run(task=f"task {n}") for n, team in enumerate(built)))
        await runtime.stop()

    asyncio.run(scenario())
    traces = [Store().load(trace_id) for trace_id in Store().ids()]
    assert {trace.task for trace in traces} == {"task 0", "task 1"}
    for trace in traces:
        assert [step.agent for step in trace.steps] == ["planner", "solver", "solver", "reporter"]
        assert trace.steps[0].attributes["path"] == "RoundRobinGroupChat/planner"
        assert trace.task in str(trace.observed.reads(0))


def test_a_team_that_ran_before_instrument_is_captured_from_then_on(world):
    agentracer.uninstrument()

    async def scenario():
        team = teams.round_robin(world)
        await team.run(task=TASK)
        await team.reset()
        agentracer.instrument("autogen")
        await team.run(task=TASK)

    asyncio.run(scenario())
    assert len(latest().steps) == 4


def test_a_hand_over_to_a_human_outside_waits_for_them(world):
    world.server.model = Scripted(ChatReply(None, (ScriptedCall("transfer_to_human", {}),)))
    planner = teams.agent(world, "planner", handoffs=["human"])
    from autogen_agentchat.conditions import HandoffTermination

    team = Swarm([planner], termination_condition=HandoffTermination("human"))
    trace = recorded(team)
    assert trace.outcome.ending == "interrupted"
    assert trace.steps[0].to == "human"


# -- steps and agents


def test_every_step_says_who_what_and_with_what(world):
    trace = recorded(teams.round_robin(world))
    assert told(trace) == [
        ("planner", "llm", "PLAN: a=3 b=5"),
        ("solver", "llm", ""),
        ("solver", "llm", "SUM=8"),
        ("reporter", "llm", "ANSWER: 80 TERMINATE"),
    ]
    call = trace.steps[1].tool_calls[0]
    assert (call.name, call.arguments, call.result) == ("add", {"a": 3, "b": 5}, "8")
    assert call.started_at <= call.ended_at
    assert trace.steps[1].model.name == "scripted"
    assert trace.steps[1].model.tools == ("add",)
    assert trace.steps[0].usage.input_tokens > 0
    assert trace.metadata["stop_reason"] == "Text 'TERMINATE' mentioned"
    solver = trace.agents[1]
    assert (solver.name, solver.role, solver.system_prompt) == (
        "solver",
        "the solver",
        "You are solver.",
    )
    assert solver.tools[0].name == "add"
    assert "a" in solver.tools[0].parameters["properties"]


PATHS = {
    "SelectorGroupChat": (teams.selector, "SelectorGroupChat/SelectorGroupChatManager"),
    "MagenticOneGroupChat": (teams.magentic, "MagenticOneGroupChat/MagenticOneOrchestrator"),
    "SocietyOfMindAgent": (teams.society, "RoundRobinGroupChat/society/RoundRobinGroupChat/solver"),
    "nested teams": (teams.nested, "outer/inner/planner"),
    "AgentTool": (teams.agents_as_tools, "RoundRobinGroupChat/supervisor/planner"),
    "TeamTool": (teams.team_as_tool, "supervisor/RoundRobinGroupChat/planner"),
}


@pytest.mark.parametrize(("build", "path"), PATHS.values(), ids=PATHS)
def test_a_place_is_the_same_in_every_run(build, path, world):
    first, second = (recorded(build(world)) for _ in range(2))
    places = [step.attributes["path"] for step in first.steps]
    assert path in places
    assert places == [step.attributes["path"] for step in second.steps]


def test_an_agent_called_as_a_tool_knows_the_step_it_runs_in(world):
    trace = recorded(teams.team_as_tool(world))
    supervisor = trace.steps[0]
    assert supervisor.tool_calls[0].name == "team"
    assert {step.parent for step in trace.steps if step.agent != "supervisor"} == {0}
    assert trace.steps[-1].parent is None


def test_a_team_that_a_plain_function_starts_in_its_thread_runs_inside_the_call(world):
    def team(task: str) -> str:
        """Solve it."""
        result = asyncio.run(teams.round_robin(world).run(task=task))
        return str(result.messages[-1].to_text())

    trace = recorded(teams.agent(world, "supervisor", tools=[team], max_tool_iterations=9))
    call = trace.steps[0].tool_calls[0]
    inner = [step for step in trace.steps if step.agent != "supervisor"]
    assert {step.agent for step in inner} == {"planner", "solver", "reporter"}
    places = {(step.parent, step.attributes["inside_call"]) for step in inner}
    assert places == {(0, call.id)}
    assert len(Store().ids()) == 1


def test_handoffs_say_to_whom(world):
    trace = recorded(teams.swarm(world))
    assert [step.to for step in trace.steps] == ["solver", None, "reporter", None]


def test_system_messages_are_recorded_as_the_client_joins_them(world):
    team = teams.members(world)
    team[0]._system_messages = [
        *team[0]._system_messages,
        type(team[0]._system_messages[0])(content="Be brief.  \n"),
    ]
    trace = recorded(team[0])
    assert_reads_match_server(trace, world)
    assert trace.observed.reads(0)[0].content == "You are planner.\nBe brief."


def test_names_are_put_in_front_where_the_client_does_so(world):
    model = teams.client(world)
    model._add_name_prefixes = True
    trace = recorded(teams.agent(world, "planner", model_client=model))
    assert_reads_match_server(trace, world)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_structured_output_is_recorded_as_its_json(world):
    class Plan(BaseModel):
        b: int

    world.server.model = Scripted(ChatReply('{"b": 4}'))
    model = teams.client(world, structured_output=True)
    agent = teams.agent(world, "planner", model_client=model, output_content_type=Plan)
    trace = recorded(agent)
    assert told(trace) == [("planner", "llm", '{"b": 4}')]
    assert trace.outcome.answer == '{"b": 4}'
    assert trace.steps[0].model.parameters["json_output"] == "Plan"


class Echo(BaseChatAgent):
    """An agent of plain code."""

    produced_message_types = (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        text = f"heard {len(messages)}"
        return Response(chat_message=TextMessage(content=text, source=self.name))

    async def on_reset(self, cancellation_token):
        pass


def test_agents_without_a_model_are_steps_too(world):
    human = UserProxyAgent("human", input_func=lambda prompt: "SUM=2")
    team = [Echo("echo", "an echo"), human, teams.agent(world, "reporter")]
    trace = recorded(RoundRobinGroupChat(team, termination_condition=teams.done()))
    assert told(trace) == [
        ("echo", "node", "heard 1"),
        ("human", "message", "SUM=2"),
        ("reporter", "llm", "ANSWER: 20 TERMINATE"),
    ]
    assert [m.content for m in trace.observed.reads(0)] == [TASK]
    assert trace.agents[0].role == "an echo"


@pytest.mark.parametrize("task", [TASK, TextMessage(content=TASK, source="user"), None])
def test_a_lone_agent_without_a_model_reads_what_it_was_given(task, world):
    trace = recorded(Echo("echo", "an echo"), task)
    assert [m.content for m in trace.observed.reads(0)] == ([TASK] if task else [])


def test_a_human_who_cannot_be_asked_is_one_failed_step(world):
    def gone(prompt):
        raise EOFError("nobody there")

    with pytest.raises(RuntimeError):
        run_once(UserProxyAgent("human", input_func=gone))
    (step,) = latest().steps
    assert "nobody there" in step.tool_calls[0].error.message


def test_what_an_agent_makes_of_its_models_words_is_a_step_of_its_own(world):
    class Loud(teams.AssistantAgent):
        async def on_messages_stream(self, messages, cancellation_token):
            async for item in super().on_messages_stream(messages, cancellation_token):
                if isinstance(item, Response):
                    item.chat_message.content = item.chat_message.content.lower() + "!"
                yield item

    loud = Loud("planner", teams.client(world), system_message="You are planner.")
    assert told(recorded(loud)) == [
        ("planner", "llm", "PLAN: a=3 b=5"),
        ("planner", "node", "plan: a=3 b=5!"),
    ]


def test_a_filtered_agent_acts_under_its_own_name(world):
    inner = teams.agent(world, "planner")
    keep = MessageFilterConfig(
        per_source=[PerSourceFilter(source="user", position="last", count=1)]
    )
    trace = recorded(MessageFilterAgent("filter", inner, keep))
    assert [(s.agent, s.attributes["path"]) for s in trace.steps] == [("planner", "filter/planner")]


# -- errors


def add(a: int, b: int) -> int:
    """Add."""
    if b == 0:
        raise ZeroDivisionError("no zeros")
    return a + b


@pytest.mark.parametrize(
    ("request_", "kind", "complaint"),
    [
        (ScriptedCall("add", {"a": 1, "b": 0}), "ZeroDivisionError", "no zeros"),
        (ScriptedCall("add", {"a": "x"}), "ValidationError", "validation error"),
        (ScriptedCall("add", "{not json"), "ToolError", "Error: Expecting"),
        (ScriptedCall("subtract", {"a": 1}), "ToolError", "'subtract' not found"),
    ],
)
def test_a_tool_error_is_an_error_of_the_call_only(request_, kind, complaint, world):
    world.server.model = Scripted(ChatReply(None, (request_,)), ChatReply("sorry"))
    agent = teams.agent(world, "solver", tools=[add], reflect_on_tool_use=True)
    trace = recorded(agent)
    call = trace.steps[0].tool_calls[0]
    assert call.error.type == kind
    assert complaint in call.error.message
    assert call.error.message == trace.observed.reads(1)[-1].content
    assert trace.steps[0].error is None
    assert trace.outcome.answer == "sorry"


@pytest.mark.parametrize("build", [teams.round_robin, teams.nested, teams.society])
def test_a_model_error_keeps_its_type_and_message(build, world):
    world.server.model = Scripted(ApiError(500, "the model is down"))
    with pytest.raises(RuntimeError, match="InternalServerError"):
        run_once(build(world))
    trace = latest()
    assert len(trace.steps) == 1
    assert trace.steps[0].error.type == "InternalServerError"
    assert "the model is down" in trace.steps[0].error.message
    assert trace.outcome.ending == "raised"
    assert trace.outcome.success is False
    assert trace.outcome.error.type == "RuntimeError"


def test_a_streamed_model_error_keeps_its_type(world):
    world.server.model = Scripted(ApiError(429, "slow down"))
    with pytest.raises(RuntimeError):
        run_once(teams.streamed(world))
    assert latest().steps[0].error.type == "RateLimitError"


def test_an_error_in_an_agents_own_code_is_a_step_with_that_error(world):
    class Broken(Echo):
        async def on_messages(self, messages, cancellation_token):
            raise KeyError("mine")

    with pytest.raises(RuntimeError):
        run_once(RoundRobinGroupChat([Broken("broken", "broken")]))
    step = latest().steps[0]
    assert (step.agent, step.kind, step.error.type) == ("broken", "node", "KeyError")


# -- other clients, tools and systems


def test_clients_that_are_no_http_clients_are_captured(world):
    agent = teams.agent(world, "planner", model_client=ReplayChatCompletionClient(["one"]))
    assert told(recorded(agent)) == [("planner", "llm", "one")]


def test_a_client_that_is_defined_later_or_wraps_another_is_one_step(world):
    class Inner(ReplayChatCompletionClient):
        async def create(self, messages, **kwargs):
            usage = RequestUsage(prompt_tokens=1, completion_tokens=1)
            return CreateResult(finish_reason="stop", content="mine", usage=usage, cached=False)

    class Outer(Inner):
        async def create(self, messages, **kwargs):
            return await super().create(messages, **kwargs)

    for model in (Inner(["unused"]), Outer(["unused"])):
        trace = recorded(teams.agent(world, "planner", model_client=model))
        assert told(trace) == [("planner", "llm", "mine")]
    cache = ChatCompletionCache(teams.client(world))
    trace = recorded(teams.agent(world, "planner", model_client=cache))
    assert [step.model.name for step in trace.steps] == ["scripted"]
    assert_reads_match_server(trace, world)


class Shelf(Workbench):
    """A workbench of the user's own."""

    async def list_tools(self):
        return [{"name": "look", "description": "looks", "parameters": {"type": "object"}}]

    async def call_tool(self, name, arguments=None, cancellation_token=None, call_id=None):
        return ToolResult(name=name, result=[{"type": "TextResultContent", "content": "a book"}])

    async def start(self): ...
    async def stop(self): ...
    async def reset(self): ...
    async def save_state(self): ...
    async def load_state(self, state): ...


def test_a_workbench_of_the_users_own_is_captured(world):
    look = ChatReply(None, (ScriptedCall("look", {"at": "shelf"}),))
    world.server.model = Scripted(look, ChatReply("seen"))
    trace = recorded(teams.agent(world, "finder", workbench=Shelf(), reflect_on_tool_use=True))
    call = trace.steps[0].tool_calls[0]
    assert (call.name, call.arguments, call.result) == ("look", {"at": "shelf"}, "a book")
    assert trace.agents[0].tools[0].description == "looks"


def test_a_tool_that_no_model_asked_for_is_a_step(world):
    from autogen_core.tools import FunctionTool

    tool = FunctionTool(add, "adds")

    class Direct(Echo):
        async def on_messages(self, messages, cancellation_token):
            await tool.run_json({"a": 1, "b": 2}, cancellation_token)
            return await super().on_messages(messages, cancellation_token)

    trace = recorded(Direct("direct", "calls a tool"))
    assert [step.kind for step in trace.steps] == ["tool", "node"]
    assert trace.steps[0].tool_calls[0].result == 3


def test_a_system_on_the_core_is_recorded_inside_a_record_block(world):
    model = teams.client(world)

    class Speaker(RoutedAgent):
        @message_handler
        async def on_text(self, message: TextMessage, ctx: Any) -> TextMessage:
            prompt = [UserMessage(content=message.content, source="user")]
            result = await model.create(prompt)
            return TextMessage(content=result.content, source="speaker")

    async def scenario():
        from autogen_core import AgentId

        runtime = SingleThreadedAgentRuntime()
        await Speaker.register(runtime, "speaker", lambda: Speaker("speaks"))
        async with agentracer.record() as run:
            runtime.start()
            message = TextMessage(content="SUM=1", source="user")
            await runtime.send_message(message, AgentId("speaker", "default"))
            await runtime.stop()
        return run.trace

    assert told(asyncio.run(scenario())) == [("speaker", "llm", "SUM=1")]


def test_a_bare_model_call_outside_of_a_record_block_is_no_run(world):
    prompt = [UserMessage(content="SUM=1", source="user")]
    asyncio.run(teams.client(world).create(prompt))
    assert Store().ids() == []


# -- the host first


def every_attribute():
    pending, seen = [Team, ChatAgent, ChatCompletionClient, Workbench, BaseTool], {}
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        seen[cls] = {name: value for name, value in vars(cls).items() if "abc" not in name}
    return seen


def test_uninstrument_leaves_the_classes_identical(world):
    agentracer.uninstrument()
    before = every_attribute()
    agentracer.instrument("autogen")
    assert every_attribute() != before

    class Later(Echo):
        async def on_messages(self, messages, cancellation_token):
            return await super().on_messages(messages, cancellation_token)

    run_once(RoundRobinGroupChat([Later("later", "defined late")], max_turns=1))
    agentracer.uninstrument()
    after = every_attribute()
    later = after.pop(Later)
    later.pop("__subclasshook__", None)  # `typing` sets that of protocols from Python 3.13 on
    assert after == before
    assert not any(hasattr(value, "__wrapped__") for value in later.values())
    assert all(after[cls][name] is value for cls in before for name, value in before[cls].items())


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (RunRecorder, "begin_step"),
        (RunRecorder, "end_step"),
        (RunRecorder, "message"),
        (RunRecorder, "tool_call"),
        (RunRecorder, "agent"),
        (convert, "task_text"),
        (convert, "final_message"),
        (convert, "model_parameters"),
    ],
)
@pytest.mark.parametrize("build", [teams.streamed, teams.swarm, teams.magentic])
def test_a_failure_of_ours_does_not_reach_the_host(
    place, name, build, world, monkeypatch, caplog, breaks_us
):
    def fail(*args, **kwargs):
        raise OSError("ours")

    monkeypatch.setattr(place, name, fail)
    with caplog.at_level(logging.WARNING, "agentracer"):
        result = run_once(build(world))
        _guard.report_swallowed()
    assert "80" in str(result)
    assert world.tool_runs == [(3, 5)]
    warnings = [r.getMessage() for r in caplog.records if r.name == "agentracer"]
    assert len(warnings) == 1
    assert "internal error(s) were swallowed" in warnings[0]


def test_a_host_that_raises_raises_the_same_with_and_without_us(world):
    world.server.model = Scripted(ApiError(400, "bad request"))
    texts = []
    for instrumented in (True, False):
        if not instrumented:
            agentracer.uninstrument()
        with pytest.raises(RuntimeError) as raised:
            run_once(teams.round_robin(world))
        texts.append(str(raised.value).partition("\n")[0])
    assert texts[0] == texts[1]


def test_a_check_judges_the_run(world):
    with agentracer.record(check=is_right) as run:
        run_once(teams.round_robin(world))
    assert run.trace.outcome.success is False


def test_parallel_tool_calls_of_one_step_keep_their_results(world):
    calls = tuple(ScriptedCall("add", {"a": n, "b": 1}) for n in range(3))
    world.server.model = Scripted(ChatReply("adding", calls), ChatReply("done"))
    trace = recorded(teams.agent(world, "solver", tools=[add], reflect_on_tool_use=True))
    assert [call.result for call in trace.steps[0].tool_calls] == ["1", "2", "3"]
    assert trace.steps[0].content == "adding"


def test_reasoning_and_cut_answers_are_noted(world):
    result = CreateResult(
        finish_reason="length",
        content="so",
        thought="hmm",
        usage=RequestUsage(prompt_tokens=1, completion_tokens=2),
        cached=False,
    )
    trace = recorded(
        teams.agent(world, "planner", model_client=ReplayChatCompletionClient([result]))
    )
    attributes = trace.steps[0].attributes
    assert (attributes["reasoning"], attributes["finish_reason"]) == ("hmm", "length")


def test_arguments_that_are_no_object_stay_text():
    call = FunctionCall(id="1", name="say", arguments='"hello"')
    assert convert.call_fields(call)["arguments"] == '"hello"'
