"""Spans of real emitters, and of hand-written ones, become the run that really took place.

A LangGraph team of three (the solver is a `create_agent` with a tool, `check` is plain code) runs
on a fake model that notes every prompt. `data/otel_traceloop.json` and `data/otel_autogen.json`
are recordings, cut to the attributes that matter: a LangGraph team under
opentelemetry-instrumentation-langchain 0.62.4, and an AutoGen 0.7.5 round-robin team under
openinference-instrumentation-autogen-agentchat 0.1.22 with -openai 0.1.66 beside it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentracer.errors import FormatError
from agentracer.formats import otel
from agentracer.formats.source import Source

DATA = Path(__file__).parent / "data"
TASK = "Compute (3+4)*10"


# -- OTLP by hand


def any_value(value):
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {"stringValue": value}


def pairs(attributes):
    return [{"key": key, "value": any_value(value)} for key, value in (attributes or {}).items()]


def make(number, attributes, *, parent=None, name="", start=None, events=(), error=None, trace=1):
    """A span as OTLP JSON: `number` is its id, and its start unless given."""
    start = number if start is None else start
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        **({"parentSpanId": f"{parent:016x}"} if parent else {}),
        "name": name,
        "startTimeUnixNano": str(start * 10**9),
        "endTimeUnixNano": str(100 * 10**9 - number),
        "attributes": pairs(attributes),
        "events": [
            {"name": n, "timeUnixNano": str(start * 10**9 + i), "attributes": pairs(a)}
            for i, (n, a) in enumerate(events)
        ],
        "status": {"code": 2, "message": error} if error else {},
    }


def document(*spans, scope="test"):
    return {"resourceSpans": [{"scopeSpans": [{"scope": {"name": scope}, "spans": list(spans)}]}]}


def from_sdk(spans):
    """What an OTLP exporter would write of spans of the SDK."""
    scopes = {}
    for span in spans:
        data = {
            "traceId": f"{span.context.trace_id:032x}",
            "spanId": f"{span.context.span_id:016x}",
            "name": span.name,
            "startTimeUnixNano": str(span.start_time),
            "endTimeUnixNano": str(span.end_time),
            "attributes": pairs(span.attributes),
            "status": {
                "code": span.status.status_code.value,
                "message": span.status.description or "",
            },
            "events": [
                {
                    "name": e.name,
                    "timeUnixNano": str(e.timestamp),
                    "attributes": pairs(e.attributes),
                }
                for e in span.events
            ],
        }
        if span.parent:
            data["parentSpanId"] = f"{span.parent.span_id:016x}"
        scopes.setdefault(span.instrumentation_scope.name, []).append(data)
    groups = [{"scope": {"name": name}, "spans": found} for name, found in scopes.items()]
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": groups}]}


# -- a team


def answer_of(messages):
    """The fake model: a function of its prompt; returns text and tool calls."""
    said = [str(m["content"]) for m in messages]
    if "planner" in said[0]:
        return "PLAN: a=3 b=5", []
    if "reporter" in said[0]:
        return f"ANSWER: {said[-1].removeprefix('SUM=')}", []
    if messages[-1]["role"] == "tool":
        return f"SUM={said[-1]}", []
    return "", [{"name": "add", "args": {"a": 3, "b": 5}, "id": "call_add"}]


def make_team(prompts, *, fail=False):
    """A compiled graph; every prompt that its model is sent is appended to `prompts`."""
    from langchain.agents import create_agent
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, SystemMessage, convert_to_openai_messages
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool
    from langchain_core.utils.function_calling import convert_to_openai_tool
    from langgraph.graph import END, START, MessagesState, StateGraph

    class FakeChat(BaseChatModel):
        @property
        def _llm_type(self):
            return "fake"

        def bind_tools(self, tools, **kwargs):
            return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            sent = convert_to_openai_messages(messages)
            prompts.append(sent)
            text, calls = answer_of(sent)
            if fail and "reporter" in sent[0]["content"]:
                raise ValueError("model down")
            usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
            message = AIMessage(content=text, tool_calls=calls, usage_metadata=usage)
            return ChatResult(generations=[ChatGeneration(message=message)])

    @tool
    def add(a: int, b: int) -> str:
        """Add two integers."""
        return str(a + b)

    model = FakeChat()

    def planner(state):
        return {"messages": [model.invoke([SystemMessage("You are planner."), *state["messages"]])]}

    def check(state):
        return {"messages": [AIMessage("checked: looks fine", name="check")]}

    def reporter(state):
        told = [SystemMessage("You are reporter."), *state["messages"][:-1]]
        return {"messages": [model.invoke(told)]}

    graph = StateGraph(MessagesState)
    graph.add_node("planner", planner)
    graph.add_node(
        "solver", create_agent(model, tools=[add], system_prompt="You are solver.", name="solver")
    )
    graph.add_node("check", check)
    graph.add_node("reporter", reporter)
    for edge in ((START, "planner"), ("planner", "solver"), ("solver", "check"),
                 ("check", "reporter"), ("reporter", END)):  # fmt: skip
        graph.add_edge(*edge)
    return graph.compile()


def run_openinference(*, fail=False):
    """OTLP of one run under OpenInference, and the prompts that the model was sent."""
    langchain = pytest.importorskip("openinference.instrumentation.langchain")
    pytest.importorskip("langchain")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider, prompts = InMemorySpanExporter(), TracerProvider(), []
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = langchain.LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        make_team(prompts, fail=fail).invoke({"messages": [("user", TASK)]})
    except ValueError:
        assert fail
    finally:
        instrumentor.uninstrument()
    return from_sdk(exporter.get_finished_spans()), prompts


def run_langsmith(target):
    """Called in a process of its own: LangSmith's exporter takes the global provider only."""
    from opentelemetry import trace as api
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider, prompts = InMemorySpanExporter(), TracerProvider(), []
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    api.set_tracer_provider(provider)
    make_team(prompts).invoke({"messages": [("user", TASK)]})
    from langchain_core.tracers.langchain import wait_for_all_tracers
    from langsmith.run_trees import get_cached_client

    wait_for_all_tracers()
    get_cached_client().flush()
    data = {"otlp": from_sdk(exporter.get_finished_spans()), "prompts": prompts}
    Path(target).write_text(json.dumps(data), encoding="utf-8")


# -- checks


def sent(messages):
    """OpenAI messages, as far as they are compared."""
    return [
        (
            m["role"],
            m.get("content") or "",
            [
                (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"]))
                for c in m.get("tool_calls") or ()
            ],
            m.get("tool_call_id"),
        )
        for m in messages
    ]


def read_by(trace, step):
    return [
        (m.role, m.content, [(c.id, c.name, c.arguments) for c in m.tool_calls], m.tool_call_id)
        for m in trace.observed.reads(step)
    ]


def check_team(trace, prompts):
    assert [(s.agent, s.kind) for s in trace.steps] == [
        ("planner", "llm"), ("solver", "llm"), ("solver", "llm"), ("check", "node"),
        ("reporter", "llm"),
    ]  # fmt: skip
    calls = [s for s in trace.steps if s.kind == "llm"]
    assert [read_by(trace, step) for step in calls] == [sent(prompt) for prompt in prompts]
    assert [s.content for s in trace.steps] == [
        "PLAN: a=3 b=5", "", "SUM=8", "checked: looks fine", "ANSWER: 8",
    ]  # fmt: skip
    [call] = [call for step in trace.steps for call in step.tool_calls]
    assert (call.id, call.name, call.arguments, call.result) == (
        "call_add", "add", {"a": 3, "b": 5}, "8",
    )  # fmt: skip
    assert trace.steps[1].tool_calls == (call,)
    assert call.started_at >= trace.steps[1].started_at
    assert trace.task == TASK
    assert (trace.outcome.answer, trace.outcome.success) == ("ANSWER: 8", None)
    assert not trace.replayable
    prompts_of = {agent.name: agent.system_prompt for agent in trace.agents}
    assert prompts_of["solver"] == "You are solver."
    [solver] = [agent for agent in trace.agents if agent.name == "solver"]
    assert [t.name for t in solver.tools] == ["add"]
    assert solver.tools[0].parameters["required"] == ["a", "b"]
    assert {(s.usage.input_tokens, s.usage.output_tokens) for s in calls} == {(7, 3)}


class TestRealEmitters:
    def test_openinference_on_langgraph(self):
        data, prompts = run_openinference()
        [trace] = otel.traces_of(data)
        check_team(trace, prompts)

    def test_openinference_failure(self):
        data, _ = run_openinference(fail=True)
        [trace] = otel.traces_of(data)
        assert trace.outcome.success is False
        assert trace.outcome.ending == "raised"
        last = trace.steps[-1]
        assert (last.agent, last.error.type, last.error.message) == (
            "reporter", "ValueError", "model down",
        )  # fmt: skip
        assert "Traceback" in last.error.traceback

    def test_langsmith_on_langgraph(self, tmp_path):
        pytest.importorskip("langsmith")
        pytest.importorskip("langchain")
        pytest.importorskip("opentelemetry.sdk")
        target = tmp_path / "spans.json"
        environment = os.environ | {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_OTEL_ENABLED": "true",
            "LANGSMITH_OTEL_ONLY": "true",
            "LANGSMITH_API_KEY": "none",
            "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",
        }
        code = f"import test_otel; test_otel.run_langsmith({str(target)!r})"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=Path(__file__).parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        data = json.loads(target.read_text(encoding="utf-8"))
        [trace] = otel.traces_of(data["otlp"])
        check_team(trace, data["prompts"])

    @pytest.mark.parametrize("name", ["traceloop", "autogen"])
    def test_recorded(self, name):
        [trace] = otel.read(DATA / f"otel_{name}.json")
        # AutoGen speaks to the model of others as users, LangGraph as assistants.
        others = "user" if name == "autogen" else "assistant"
        assert [(s.agent, s.kind, s.content) for s in trace.steps] == [
            ("planner", "llm", "PLAN: a=3 b=5"), ("solver", "llm", ""), ("solver", "llm", "SUM=8"),
            ("reporter", "llm", "ANSWER: 80 TERMINATE"),
        ]  # fmt: skip
        [call] = [call for step in trace.steps for call in step.tool_calls]
        assert (call.name, call.id, call.arguments, call.result) == (
            "add", "call_2_0", {"a": 3, "b": 5}, "8",
        )  # fmt: skip
        asked = ("call_2_0", "add", {"a": 3, "b": 5})
        assert read_by(trace, 2) == [
            ("system", "You are solver.", [], None),
            ("user", TASK, [], None),
            (others, "PLAN: a=3 b=5", [], None),
            ("assistant", "", [asked], None),
            ("tool", "8", [], "call_2_0"),
        ]
        assert (trace.task, trace.outcome.answer) == (TASK, "ANSWER: 80 TERMINATE")
        assert trace.metadata["service"] == "team"


# -- conventions


def genai(structured):
    """A current GenAI span tree; attribute values as JSON text or as structures."""
    put = (lambda value: value) if structured else json.dumps
    question = {"role": "user", "parts": [{"type": "text", "content": TASK}]}
    call = {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 3, "b": 5}}
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    return document(
        make(1, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "solver",
                 "gen_ai.agent.description": "solves", "gen_ai.conversation.id": "talk"}),
        make(2, chat | {
            "gen_ai.request.temperature": 0.5,
            "gen_ai.usage.input_tokens": 11,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.system_instructions": put([{"type": "text", "content": "Be exact."}]),
            "gen_ai.input.messages": put([question]),
            "gen_ai.output.messages": put([{"role": "assistant", "finish_reason": "tool_call",
                "parts": [{"type": "reasoning", "content": "hm"}, call]}]),
            "gen_ai.tool.definitions": put([{"type": "function", "name": "add",
                                             "description": "adds", "parameters": {}}]),
        }, parent=1),
        make(3, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add",
                 "gen_ai.tool.call.id": "c1", "gen_ai.tool.call.result": put({"sum": 8})},
             parent=1),
        make(4, chat | {
            "gen_ai.input.messages": put([
                question,
                {"role": "assistant", "parts": [call]},
                {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1",
                                            "result": {"sum": 8}}]},
            ]),
            "gen_ai.output.messages": put([{"role": "assistant",
                                            "parts": [{"type": "text", "content": "8"}]}]),
        }, parent=1),
    )  # fmt: skip


class TestConventions:
    @pytest.mark.parametrize("structured", [False, True])
    def test_genai_current(self, structured):
        [trace] = otel.traces_of(genai(structured))
        first, _ = trace.steps
        assert (first.agent, first.content, first.attributes["reasoning"]) == ("solver", "", "hm")
        assert first.tool_calls[0].result == {"sum": 8}
        assert first.tool_calls[0].started_at == 3.0
        assert first.model.parameters == {"temperature": 0.5}
        assert first.model.tools == ("add",)
        assert (first.usage.input_tokens, first.usage.output_tokens) == (11, 4)
        assert [m.role for m in trace.observed.reads(0)] == ["system", "user"]
        answered = trace.observed.reads(1)[-1]
        assert (answered.role, answered.content, answered.tool_call_id) == (
            "tool", '{"sum": 8}', "c1",
        )  # fmt: skip
        assert trace.agents[0].role == "solves"
        assert trace.agents[0].tools[0].description == "adds"
        assert (trace.task, trace.outcome.answer) == (TASK, "8")
        assert trace.metadata["session"] == "talk"
        assert first.attributes["otel"]["span_id"] == f"{2:016x}"

    def test_indexed_prompts(self):
        """The names of 2023, which older Traceloop packages still write."""
        [trace] = otel.traces_of(document(make(1, {
            "llm.request.type": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "Be exact.",
            "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": TASK,
            **{f"gen_ai.prompt.{n}.content": str(n) for n in range(2, 12)},
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.tool_calls.0.id": "c1",
            "gen_ai.completion.0.tool_calls.0.name": "add",
            "gen_ai.completion.0.tool_calls.0.arguments": '{"a": 3}',
            "gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": 6,
            "llm.request.functions.0.name": "add",
            "llm.request.functions.0.parameters": '{"type": "object"}',
            "traceloop.association.properties.langgraph_node": "solver",
        })))  # fmt: skip
        [step] = trace.steps
        assert step.agent == "solver"
        read = [m.content for m in trace.observed.reads(0)]
        assert read == ["Be exact.", TASK, *map(str, range(2, 12))]  # 10 comes after 9
        assert (step.tool_calls[0].id, step.tool_calls[0].arguments) == ("c1", {"a": 3})
        assert (step.usage.input_tokens, step.usage.output_tokens) == (5, 6)
        assert trace.agents[0].tools[0].parameters == {"type": "object"}

    def test_message_events(self):
        """One event per message: attributes of span events, or one attribute with all of it."""
        choice = {"role": "assistant", "content": '{"json": "stays text"}'}
        [trace] = otel.traces_of(document(make(
            1, {"gen_ai.operation.name": "chat", "gen_ai.system": "openai"},
            events=[
                ("gen_ai.system.message", {"content": "Be exact."}),
                ("gen_ai.user.message", {"gen_ai.event.content": json.dumps({"content": TASK})}),
                ("gen_ai.assistant.message", {"tool_calls": json.dumps(
                    [{"id": "c1", "type": "function",
                      "function": {"name": "add", "arguments": '{"a": 1}'}}])}),
                ("gen_ai.tool.message", {"id": "c1", "content": "8"}),
                ("gen_ai.choice", {"index": 0, "message": json.dumps(choice)}),
                ("gen_ai.choice", {"index": 1, "message": json.dumps({"content": "other"})}),
            ])))  # fmt: skip
        assert read_by(trace, 0) == [
            ("system", "Be exact.", [], None),
            ("user", TASK, [], None),
            ("assistant", "", [("c1", "add", {"a": 1})], None),
            ("tool", "8", [], "c1"),
        ]
        assert trace.steps[0].content == '{"json": "stays text"}'

    def test_events_as_log_records(self):
        """Newer instrumentors put the events into logs, next to the spans or in another line."""
        log = {
            "traceId": f"{1:032x}", "spanId": f"{1:016x}", "timeUnixNano": "5",
            "eventName": "gen_ai.choice",
            "body": any_value({"index": 0, "message": {"role": "assistant", "content": "8"}}),
        }  # fmt: skip
        logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}
        [trace] = otel.traces_of([document(make(1, {"gen_ai.operation.name": "chat"})), logs])
        assert trace.steps[0].content == "8"

    def test_openinference_contents(self):
        prefix = "llm.input_messages.0.message"
        [trace] = otel.traces_of(document(make(1, {
            "openinference.span.kind": "LLM",
            "agent.name": "seer",
            f"{prefix}.role": "user",
            f"{prefix}.contents.0.message_content.type": "text",
            f"{prefix}.contents.0.message_content.text": "what is this?",
            f"{prefix}.contents.1.message_content.type": "image",
            f"{prefix}.contents.1.message_content.image.image.url": "http://x/y.png",
            "llm.output_messages.0.message.content": "a cat",
        })))  # fmt: skip
        [message] = trace.observed.reads(0)
        assert (trace.steps[0].agent, message.content) == ("seer", "what is this?")
        assert message.parts[0]["image"] == {"image": {"url": "http://x/y.png"}}
        assert trace.steps[0].content == "a cat"

    def test_openinference_leaves_empty_arguments_out(self):
        call = "llm.output_messages.0.message.tool_calls.0.tool_call"
        names = {f"{call}.id": "c", f"{call}.function.name": "transfer"}
        span = make(1, {"openinference.span.kind": "LLM"} | names)
        [trace] = otel.traces_of(document(span))
        assert trace.steps[0].tool_calls[0].arguments == {}

    def test_anthropic_blocks(self):
        said = {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "calling"},
            {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}}],
            "tool_calls": [{"id": "t1", "name": "add", "args": {"a": 1}}]}  # fmt: skip
        asked = {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t0",
             "content": [{"type": "text", "text": "9"}]}]}  # fmt: skip
        [trace] = otel.traces_of(document(make(1, {
            "gen_ai.operation.name": "chat",
            "gen_ai.prompt": json.dumps({"messages": [asked]}),
            "gen_ai.completion": json.dumps(said),
        })))  # fmt: skip
        [step] = trace.steps
        assert [call.id for call in step.tool_calls] == ["t1"]  # listed twice, made once
        assert (step.content, step.attributes["reasoning"]) == ("calling", "hm")
        assert read_by(trace, 0) == [("tool", "9", [], "t0")]


class TestAgents:
    @pytest.mark.parametrize(
        ("metadata", "name"),
        [
            ({"langgraph_node": "planner"}, "planner"),
            # A prebuilt agent's inner nodes say what happens, not who acts.
            ({"langgraph_node": "model", "lc_agent_name": "solver",
              "langgraph_checkpoint_ns": "team:1|model:2"}, "solver"),
            ({"langgraph_node": "agent", "langgraph_checkpoint_ns": "boss:1|agent:2"}, "boss"),
            # The name handed down to a node with a name of its own says nothing about it.
            ({"langgraph_node": "critic", "lc_agent_name": "solver"}, "critic"),
            ({"langgraph_node": "model"}, "root"),
            ({}, "root"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("emitter", ["openinference", "langsmith", "traceloop"])
    def test_langgraph_metadata(self, emitter, metadata, name):
        prefixes = {
            "langsmith": "langsmith.metadata.",
            "traceloop": "traceloop.association.properties.",
        }
        carried = {"metadata": json.dumps(metadata)}
        if emitter in prefixes:
            carried = {prefixes[emitter] + key: value for key, value in metadata.items()}
        spans = make(1, {}, name="root"), chat(2, "8", parent=1, also=carried)
        [trace] = otel.traces_of(document(*spans))
        assert trace.steps[0].agent == name

    @pytest.mark.parametrize(
        "attributes",
        [
            {"openinference.span.kind": "AGENT", "agent.name": "a"},
            {"openinference.span.kind": "AGENT", "graph.node.id": "a"},
            {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"},
        ],
    )
    def test_enclosing_agent(self, attributes):
        spans = agent(1, "team"), make(2, attributes, parent=1), chat(3, "8", parent=2)
        [trace] = otel.traces_of(document(*spans))
        assert trace.steps[0].agent == "a"

    def test_a_function_with_agent_in_its_name(self):
        """OpenInference marks such LangChain runs as agents, for instance a router of a swarm."""
        router = {
            "openinference.span.kind": "AGENT",
            "metadata": json.dumps({"langgraph_node": "__start__"}),
            "output.value": "planner",
        }
        spans = make(1, router, name="route_to_active_agent"), chat(2, "8")
        [trace] = otel.traces_of(document(*spans))
        assert [step.content for step in trace.steps] == ["8"]

    def test_nobody_is_named(self):
        [trace] = otel.traces_of(document(chat(1, "8")))
        assert trace.steps[0].agent == "agent"


# -- the run


def chat(number, text="", calls=(), prompt=(), **more):
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json.dumps(list(prompt)),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "content": text, "tool_calls": list(calls)}]
        ),
    }
    return make(number, attributes | more.pop("also", {}), **more)


def tool(number, name, **more):
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    return make(number, attributes | more.pop("also", {}), **more)


def agent(number, name, **more):
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    return make(number, attributes | more.pop("also", {}), **more)


class TestRun:
    def test_nested_call_is_one_step(self):
        outer = chat(2, "8", parent=1, also={"gen_ai.usage.input_tokens": 9})
        wrapper = make(3, {}, parent=2, name="http")
        inner = chat(4, "8", parent=3, prompt=[{"role": "user", "content": "hi"}])
        [trace] = otel.traces_of(document(agent(1, "a"), outer, wrapper, inner))
        [step] = trace.steps
        assert step.attributes["otel"]["span_id"] == f"{4:016x}"
        assert (step.usage.input_tokens, len(trace.observed.reads(0))) == (9, 1)

    def test_inner_span_without_content(self):
        inner = make(3, {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}, parent=2)
        [trace] = otel.traces_of(document(agent(1, "a"), chat(2, "8", parent=1), inner))
        assert [(s.content, s.model.name) for s in trace.steps] == [("8", "m")]

    def test_calls_beside_each_other(self):
        data = document(agent(1, "a"), chat(2, "8", parent=1))
        data["resourceSpans"] += document(chat(3, "8", parent=1), scope="other")["resourceSpans"]
        [trace] = otel.traces_of(data)
        assert len(trace.steps) == 1

    def test_same_words_twice_are_two_steps(self):
        [trace] = otel.traces_of(document(chat(2, "8"), chat(3, "8")))
        assert len(trace.steps) == 2

    def test_retries_are_steps(self):
        spans = chat(1, "8"), chat(2, "", parent=1, error="busy"), chat(3, "8", parent=1)
        [trace] = otel.traces_of(document(*spans))
        assert [(s.content, s.error and s.error.message) for s in trace.steps] == [
            ("", "busy"), ("8", None),
        ]  # fmt: skip

    def test_tools_by_order(self):
        """Without ids the n-th run of a tool answers the n-th call of it, unless arguments tell."""
        asked = [{"name": "add", "args": {"n": n}} for n in (1, 2)]
        runs = [tool(n, "add", parent=1, also={"gen_ai.tool.call.result": str(n)}) for n in (3, 4)]
        [trace] = otel.traces_of(document(agent(1, "a"), chat(2, "", asked, parent=1), *runs))
        assert [call.result for call in trace.steps[0].tool_calls] == ["3", "4"]
        for run, n in zip(runs, (2, 1), strict=True):
            run["attributes"] += pairs({"gen_ai.tool.call.arguments": json.dumps({"n": n})})
        [trace] = otel.traces_of(document(agent(1, "a"), chat(2, "", asked, parent=1), *runs))
        assert [call.result for call in trace.steps[0].tool_calls] == ["4", "3"]

    def test_tool_nobody_asked_for(self):
        lookup = tool(3, "lookup", parent=1, error="timeout")
        [trace] = otel.traces_of(document(agent(1, "a"), chat(2, "8", parent=1), lookup))
        assert [(s.kind, s.agent) for s in trace.steps] == [("llm", "a"), ("tool", "a")]
        assert trace.steps[1].tool_calls[0].error.message == "timeout"
        assert trace.steps[1].error is None

    def test_result_only_in_the_next_prompt(self):
        answered = [{"role": "tool", "tool_call_id": "c", "content": "8"}]
        asked = [{"id": "c", "name": "add", "args": {}}]
        [trace] = otel.traces_of(document(chat(1, "", asked), chat(2, "done", prompt=answered)))
        assert trace.steps[0].tool_calls[0].result == "8"

    def test_agent_called_as_a_tool(self):
        spans = (
            agent(1, "boss"),
            chat(2, "", [{"id": "c", "name": "ask", "args": {}}], parent=1),
            tool(3, "ask", parent=1, also={"gen_ai.tool.call.id": "c"}),
            agent(4, "expert", parent=3),
            chat(5, "42", parent=4),
        )
        [trace] = otel.traces_of(document(*spans))
        assert [(s.agent, s.parent) for s in trace.steps] == [("boss", None), ("expert", 0)]

    def test_remote_agent_without_model_calls(self):
        said = {"gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "hi"}])}
        [trace] = otel.traces_of(document(agent(1, "far", also=said)))
        assert [(s.agent, s.kind, s.content) for s in trace.steps] == [("far", "message", "hi")]

    def test_many_traces_and_error(self):
        root = make(1, {"input.value": "x"}, error="boom", trace=7)
        spans = chat(2, "8", trace=9), root, chat(3, "9", parent=1, trace=7)
        first, second = otel.traces_of(document(*spans))
        assert (first.id, first.outcome.success) == (f"otel-{7:032x}", False)
        assert (second.outcome.success, second.task) == (None, "")

    def test_turns_that_link_to_each_other(self):
        """AutoGen without a team's root span: every turn is a trace, linked to the one before."""
        spans = [chat(n, f"turn {n}", trace=n) for n in range(1, 5)]
        for n in (2, 4):
            spans[n - 1]["links"] = [{"traceId": f"{n - 1:032x}", "spanId": f"{n - 1:016x}"}]
        spans[0]["links"] = [{"traceId": f"{99:032x}", "spanId": f"{1:016x}"}]
        first, second = otel.traces_of(document(*spans))
        assert [s.content for s in first.steps] == ["turn 1", "turn 2"]
        assert [s.content for s in second.steps] == ["turn 3", "turn 4"]
        assert (first.id, second.id) == (f"otel-{1:032x}", f"otel-{3:032x}")
        assert first.steps[1].attributes["otel"]["trace_id"] == f"{2:032x}"

    def test_agents_described_in_another_trace(self):
        made = make(1, {"gen_ai.operation.name": "create_agent", "gen_ai.agent.name": "a",
                        "gen_ai.agent.description": "adds"}, trace=5)  # fmt: skip
        [trace] = otel.traces_of(document(made, agent(2, "a"), chat(3, "8", parent=2)))
        assert trace.agents[0].role == "adds"

    def test_parent_cycle(self):
        spans = make(1, {}, parent=2), make(2, {}, parent=1), chat(3, "8", parent=2)
        [trace] = otel.traces_of(document(*spans))
        assert len(trace.steps) == 1

    def test_prompts_share_their_beginnings(self):
        talk = [{"role": "user", "content": str(n)} for n in range(40)]
        spans = [chat(n, str(n), prompt=talk[:n]) for n in range(1, 41)]
        [trace] = otel.traces_of(document(*spans))
        assert (len(trace.observed.contexts), len(trace.observed.messages)) == (40, 40)
        assert [m.content for m in trace.observed.reads(39)] == [str(n) for n in range(40)]


# -- files


class TestFiles:
    def write(self, tmp_path, text, name="spans.jsonl"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    def test_one_request_per_line(self, tmp_path):
        lines = [json.dumps(document(s)) for s in (agent(1, "a"), chat(2, "8", parent=1))]
        for name in ("spans.jsonl", "spans.json"):
            path = self.write(tmp_path, "\n".join(lines) + "\n", name)
            assert otel.accepts(Source(path))
            assert [s.agent for t in otel.read(path) for s in t.steps] == ["a"]

    def test_piped_in(self):
        lines = [json.dumps(document(chat(n, "8", trace=n))) for n in (1, 2)]
        source = Source(Path("-"), "\n".join(lines).encode())
        assert otel.accepts(source)
        assert len(otel.traces_in(source)) == 2

    def test_pretty_list_and_snake_case(self, tmp_path):
        text = json.dumps([document(chat(1, "8"))], indent=2)
        for old, new in (("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans"),
                         ("traceId", "trace_id"), ("spanId", "span_id"),
                         ("stringValue", "string_value")):  # fmt: skip
            text = text.replace(old, new)
        path = self.write(tmp_path, text, "spans.json")
        assert otel.accepts(Source(path))
        assert otel.read(path)[0].steps[0].content == "8"

    def test_base64_ids(self):
        span = chat(1, "8") | {"traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "7uGbfsPBsXM="}
        [trace] = otel.traces_of(document(span))
        assert trace.id == "otel-5b8efff798038103d269b633813fc60c"

    def test_repeated_export(self):
        [trace] = otel.traces_of([document(chat(1, "8")), document(chat(1, "8"))])
        assert len(trace.steps) == 1

    def test_others_are_not_accepted(self, tmp_path):
        log = {"question": "resourceSpans", "history": []}
        assert not otel.accepts(Source(self.write(tmp_path, json.dumps(log), "log.json")))
        assert not otel.accepts(Source(self.write(tmp_path, '{"event": 1}\n')))

    @pytest.mark.parametrize(
        ("data", "place"),
        [
            ({"spans": []}, None),
            ({"resourceSpans": {}}, "resourceSpans"),
            (document("span"), "resourceSpans[0].scopeSpans[0].spans[0]"),
            (document({"spanId": "1"}), "resourceSpans[0].scopeSpans[0].spans[0].traceId"),
            (
                document(make(1, {}) | {"startTimeUnixNano": "soon"}),
                "resourceSpans[0].scopeSpans[0].spans[0].startTimeUnixNano",
            ),
            (
                document(make(1, {}) | {"attributes": [{"value": {}}]}),
                "resourceSpans[0].scopeSpans[0].spans[0].attributes[0]",
            ),
        ],
    )
    def test_broken(self, data, place, tmp_path):
        path = self.write(tmp_path, json.dumps(data), "spans.json")
        with pytest.raises(FormatError) as caught:
            otel.read(path)
        assert (caught.value.place, caught.value.source) == (place, path)
        assert caught.value.remedy

    def test_torn_line(self, tmp_path):
        line = json.dumps(document(chat(1, "8")))
        path = self.write(tmp_path, f"{line}\n{line[:50]}\n")
        with pytest.raises(FormatError, match="line 2"):
            otel.read(path)

    def test_nothing_of_agents(self):
        with pytest.raises(FormatError, match="none of the 1 spans"):
            otel.traces_of(document(make(1, {"http.method": "GET"})))

    def test_content_not_captured_is_said(self):
        [trace] = otel.traces_of(document(make(1, {"gen_ai.operation.name": "chat"})))
        assert trace.metadata["content_captured"] is False

    def test_too_large(self, tmp_path, monkeypatch):
        monkeypatch.setattr("agentracer.formats.source.MAX_BYTES", 10)
        with pytest.raises(FormatError, match="more than 10"):
            otel.read(self.write(tmp_path, json.dumps(document(chat(1, "8")))))


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "type",
                    "content",
                    "parts",
                    "tool_calls",
                    "messages",
                    "lc",
                    "kwargs",
                    "id",
                    "data",
                    "function",
                    "name",
                    "arguments",
                    "message",
                    "inputs",
                    "tool_call_id",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                [
                    "gen_ai.input.messages",
                    "gen_ai.output.messages",
                    "gen_ai.prompt",
                    "metadata",
                    "gen_ai.completion",
                    "input.value",
                    "output.value",
                    "gen_ai.tool.call.arguments",
                    "gen_ai.tool.call.result",
                    "gen_ai.tool.definitions",
                    "gen_ai.agent.name",
                    "llm.input_messages.0.message.content",
                    "llm.input_messages.0.message",
                    "llm.invocation_parameters",
                    "gen_ai.usage.input_tokens",
                ]
            ),
            json_data | json_data.map(json.dumps),
            max_size=5,
        ),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.sampled_from(["chat", "execute_tool", "invoke_agent", "chain"]), min_size=4),
)
def test_whatever_attributes_hold(attributes, kinds):
    """Values of any shape end in a trace or in a FormatError, never in another exception."""
    spans = [
        make(n + 1, found | {"gen_ai.operation.name": kinds[n]}, parent=n)
        for n, found in enumerate(attributes)
    ]
    try:
        traces = otel.traces_of(json.loads(json.dumps(document(*spans))))
    except FormatError:
        return
    for trace in traces:
        assert trace.steps
        trace.to_json()
