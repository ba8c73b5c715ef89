"""What is recorded of calls of the `openai` client, beyond the contract."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="needs `pip install openai`")

import openai
from pydantic import BaseModel

import agentracer
from agentracer._guard import swallowed
from agentracer.adapters.clients import runs
from agentracer.errors import AgentracerError
from agentracer.store import Store
from tests.adapters.model_server import Reply, model_server


@pytest.fixture(autouse=True)
def nothing_swallowed(captured):
    before = swallowed()
    runs._opened.set(None)  # what an earlier test opened outside of a block
    yield
    assert swallowed() == before


@pytest.fixture
def server():
    with model_server(lambda body: Reply("fine")) as server:
        yield server


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=2)


def ask(client, text="hello", **given):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="m", messages=messages, **given)


def test_a_retried_request_is_one_step(client, server):
    states = iter([500, 429, 200])
    server.script = lambda body: Reply("fine", status=next(states))
    with agentracer.record() as run:
        assert ask(client).choices[0].message.content == "fine"
    assert len(server.requests) == 3
    assert [step.content for step in run.trace.steps] == ["fine"]


def test_an_error_status_is_the_error_of_the_step_and_is_raised_unchanged(client, server):
    server.script = lambda body: Reply(status=400)
    with agentracer.record() as run, pytest.raises(openai.BadRequestError):
        ask(client)
    (step,) = run.trace.steps
    assert step.error.type == "BadRequestError"


def test_a_stream_that_breaks_off_keeps_the_text_before_that(client, server):
    server.script = lambda body: Reply("one two three four five", cut=700)
    heard = []
    with agentracer.record() as run:
        stream = ask(client, stream=True)
        with pytest.raises(Exception, match=r"peer closed|Connection error"):
            heard.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    (step,) = run.trace.steps
    assert step.error.type == "RemoteProtocolError"  # as the HTTP library calls it
    assert "one two three four five".startswith(step.content)
    assert step.content.startswith("".join(heard))


def test_a_stream_that_its_reader_leaves_keeps_the_text_before_that(client, server):
    server.script = lambda body: Reply("one two three four five")
    with agentracer.record() as run, ask(client, stream=True) as stream:
        next(iter(stream))
    (step,) = run.trace.steps
    assert step.error is None
    assert "one two three four five".startswith(step.content)
    assert step.attributes.get("ending") != "unfinished"


def test_bytes_that_are_compressed_are_read(client, server, monkeypatch):
    from tests.adapters import model_server as module

    def send(self, text, *, status=200, kind="application/json", promised=None):
        data = gzip.compress(text.encode())
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    monkeypatch.setattr(module._Handler, "_send", send)
    with agentracer.record() as run:
        ask(client)
        assert list(ask(client, stream=True))
    assert [step.content for step in run.trace.steps] == ["fine", "fine"]


def test_raw_and_streamed_raw_responses_are_what_they_were(client, server):
    with agentracer.record() as run:
        raw = client.chat.completions.with_raw_response.create(
            model="m", messages=[{"role": "user", "content": "a"}]
        )
        assert raw.headers["content-type"] == "application/json"
        assert raw.parse().choices[0].message.content == "fine"
        with client.chat.completions.with_streaming_response.create(
            model="m", messages=[{"role": "user", "content": "b"}]
        ) as response:
            assert json.loads(b"".join(response.iter_bytes()))["object"] == "chat.completion"
    assert [step.content for step in run.trace.steps] == ["fine", "fine"]


def test_structured_output_is_recorded_and_parsed_again_in_a_replay(client, server):
    class Answer(BaseModel):
        number: int

    server.script = lambda body: Reply('{"number": 4}')

    def team():
        parsed = client.chat.completions.parse(
            model="m", messages=[{"role": "user", "content": "two and two"}], response_format=Answer
        )
        other = client.responses.parse(model="m", input="two and two", text_format=Answer)
        return parsed.choices[0].message.parsed, other.output_parsed

    with agentracer.record() as run:
        run.result = team()
    server.requests.clear()
    from agentracer.replay import rerun

    results = []
    rerun(run.trace, lambda: results.append(team()))
    assert results == [(Answer(number=4), Answer(number=4))]
    assert server.requests == []


def test_what_the_provider_keeps_of_a_conversation_is_read(client, server):
    with agentracer.record() as run:
        first = client.responses.create(model="m", input="the code is 4711")
        client.responses.create(model="m", input="and now?", previous_response_id=first.id)
    steps = run.trace.steps
    read = [m.content for m in run.trace.observed.reads(steps[1])]
    assert read == ["the code is 4711", "fine", "and now?"]


def test_results_of_tools_that_nothing_decorates_come_from_the_next_prompt(client, server):
    server.script = lambda body: (
        Reply("done") if "tool_call_id" in json.dumps(body) else Reply("", [("c9", "f", {"x": 1})])
    )
    with agentracer.record() as run:
        message = ask(client, tools=[]).choices[0].message
        client.chat.completions.create(
            model="m",
            messages=[
                {"role": "user", "content": "hello"},
                message,
                {"role": "tool", "tool_call_id": "c9", "content": "the result"},
            ],
        )
    call = run.trace.steps[0].tool_calls[0]
    assert (call.name, call.arguments, call.result) == ("f", {"x": 1}, "the result")


def test_a_tool_that_raises_is_recorded_and_its_error_is_the_programs(client):
    @agentracer.tool
    def divide(a, b):
        return a / b

    with agentracer.record() as run, pytest.raises(ZeroDivisionError):
        divide(1, 0)
    (step,) = run.trace.steps
    assert step.kind == "tool"
    assert step.tool_calls[0].error.type == "ZeroDivisionError"


def test_decorated_functions_stay_what_they_are_outside_of_runs():
    @agentracer.tool(name="other")
    def f(a: int, *, b: int = 2) -> int:
        """Add."""
        return a + b

    @agentracer.agent("someone")
    async def g(a):
        return a

    assert f(1) == 3
    assert (f.__name__, f.__doc__) == ("f", "Add.")
    assert asyncio.run(g(4)) == 4
    assert asyncio.iscoroutinefunction(g)


@pytest.mark.parametrize("name", ["", 3, None])
def test_an_agent_without_a_name_is_refused(name):
    with pytest.raises(TypeError, match="no name"):
        agentracer.agent(name)


def test_generators_are_refused_with_a_remedy():
    def generate():
        yield 1

    with pytest.raises(TypeError, match=r"around the calls"):
        agentracer.agent("a")(generate)
    with pytest.raises(TypeError, match="returns its result"):
        agentracer.tool(generate)


def test_blocks_are_nested_and_the_innermost_counts(client):
    with agentracer.record() as run:
        with agentracer.agent("outer"):
            ask(client)
            with agentracer.agent("inner"):
                ask(client)
            ask(client)
        ask(client)
    agents = [step.agent for step in run.trace.steps]
    assert agents == [
        *("outer", "inner", "outer"),
        "test_blocks_are_nested_and_the_innermost_counts",
    ]


def test_calls_that_run_at_once_keep_their_agents(client, server):
    barrier = threading.Barrier(4, timeout=20)

    def script(body):
        barrier.wait()
        return Reply(body["messages"][0]["content"])

    server.script = script

    def work(name):
        with agentracer.agent(name):
            return ask(client, name).choices[0].message.content

    with agentracer.record() as run, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, "abcd")) == list("abcd")
    assert sorted((s.agent, s.content) for s in run.trace.steps) == [(c, c) for c in "abcd"]


def test_a_helper_is_not_taken_for_an_agent(client):
    class ModelClient:
        name = "gpt"

        def chat(self, text):
            return ask(client, text)

    def call_llm(text):
        return ModelClient().chat(text)

    def researcher():
        return call_llm("find")

    with agentracer.record() as run:
        researcher()
        [call_llm(text) for text in ["x"]]
    assert [step.agent for step in run.trace.steps] == [
        "researcher",
        "test_a_helper_is_not_taken_for_an_agent",
    ]


def test_a_node_of_langgraph_that_uses_the_client_acts_in_the_graphs_run(client, server):
    graph = pytest.importorskip("langgraph.graph", reason="needs the extra [langgraph]")
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="m", base_url=f"{server.url}/v1", api_key="none")

    def draft(state: dict) -> dict:
        return {"text": ask(client, "draft").choices[0].message.content}

    def review(state: dict) -> dict:
        return {"text": model.invoke("review").content}

    builder = graph.StateGraph(dict)
    builder.add_node("writer", draft)
    builder.add_node("critic", review)
    builder.add_edge(graph.START, "writer")
    builder.add_edge("writer", "critic")
    builder.add_edge("critic", graph.END)
    with agentracer.record() as run:
        builder.compile().invoke({"text": ""})
    assert [(step.agent, step.kind) for step in run.trace.steps] == [
        ("writer", "llm"),
        ("critic", "llm"),
    ]
    known = set(_ids())
    builder.compile().invoke({"text": ""})
    (new,) = set(_ids()) - known
    assert [step.agent for step in Store().load(new).steps] == ["writer", "critic"]


def test_a_judges_own_calls_are_not_a_step(server):
    def script(body):
        return Reply('{"reasoning": "r", "step": "0"}')

    server.script = script
    with agentracer.record() as run:
        run.recorder.end_step(run.recorder.begin_step("a"), content="x")
        run.recorder.end_step(run.recorder.begin_step("b"), content="y")
        with contextlib.suppress(AgentracerError):  # what it makes of this server is not the point
            agentracer.Tracer(f"openai:m@{server.url}/v1?context=8192").attribute(run.trace)
    assert len(run.trace.steps) == 2
    assert server.requests


def test_without_a_record_block_a_task_is_a_run_of_its_own(client, server):
    asynchronous = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none")
    known = set(_ids())

    async def request(text):
        for _ in range(2):
            await asynchronous.chat.completions.create(
                model="m", messages=[{"role": "user", "content": text}]
            )

    async def main():
        await asyncio.gather(request("one"), request("two"))
        await asynchronous.close()

    asyncio.run(main())
    traces = [Store().load(name) for name in set(_ids()) - known]
    assert sorted(trace.observed.task for trace in traces) == ["one", "two"]
    assert all(len(t.steps) == 2 and t.outcome.answer == "fine" for t in traces)


def test_a_task_that_fails_without_a_record_block_is_a_failed_run(client):
    known = set(_ids())

    async def main():
        await asyncio.to_thread(ask, client, "one")
        ask(client, "two")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())
    traces = [Store().load(name) for name in set(_ids()) - known]
    by_task = {trace.observed.task: trace for trace in traces}
    assert by_task["two"].outcome.success is False
    assert by_task["two"].outcome.error.type == "ValueError"


def _ids():
    agentracer.flush()
    return Store().ids()


@pytest.mark.parametrize("raises", [False, True])
def test_a_script_with_one_more_line_is_captured(server, tmp_path, raises):
    script = f"""
        import agentracer; agentracer.instrument("openai")
        import openai
        client = openai.OpenAI(base_url="{server.url}/v1", api_key="none")

        def planner(task):
            return client.chat.completions.create(
                model="m", messages=[{{"role": "user", "content": task}}]
            ).choices[0].message.content

        def writer(plan):
            return client.responses.create(model="m", input=plan).output_text

        print(writer(planner("write")))
        {'raise ValueError("late")' if raises else ""}
    """
    path = tmp_path / "app.py"
    path.write_text(textwrap.dedent(script))
    home = tmp_path / "home"
    environment = {**os.environ, "AGENTRACER_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout) == (int(raises), "fine\n"), done.stderr
    assert ("ValueError" in done.stderr) is raises
    (trace,) = [Store(home).load(name) for name in Store(home).ids()]
    assert [(s.agent, s.content) for s in trace.steps] == [("planner", "fine"), ("writer", "fine")]
    assert trace.observed.task == "write"
    assert trace.outcome.success is (False if raises else None)


def test_uninstrument_puts_the_clients_own_functions_back():
    from openai import _base_client as base

    agentracer.uninstrument()
    names = ["request", "_process_response"]
    before = [vars(c)[n] for c in (base.SyncAPIClient, base.AsyncAPIClient) for n in names]
    agentracer.instrument("openai")
    inside = [vars(c)[n] for c in (base.SyncAPIClient, base.AsyncAPIClient) for n in names]
    agentracer.uninstrument()
    after = [vars(c)[n] for c in (base.SyncAPIClient, base.AsyncAPIClient) for n in names]
    assert all(a is b for a, b in zip(before, after, strict=True))
    assert not any(a is b for a, b in zip(before, inside, strict=True))


def test_advice_for_an_unknown_agent_names_those_that_are_known(client):
    from agentracer.adapters.openai import adapter

    with agentracer.record():
        ask(client)
    with pytest.raises(ValueError, match="test_advice_for_an_unknown_agent"):
        adapter.advise(None, "nobody at all", "text")


def test_the_files_of_the_adapter_import_no_client():
    code = "import sys, agentracer; agentracer.agent; agentracer.tool; agentracer.instrument();"
    code += "print([m for m in ('openai', 'anthropic', 'httpx', 'httpx2') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
    assert Path(sys.executable).exists()


def test_a_lesson_reaches_a_system_that_is_a_function(client, server):
    from agentracer.evolution.strategies.advice import AddLesson
    from agentracer.evolution.team import Task

    def team(task):
        with agentracer.agent("writer"):
            return ask(client, task).choices[0].message.content

    with agentracer.record():
        team("one")
    lesson = AddLesson(id="1", agent="writer", says="", why="", evidence=(), text="Be brief.")
    retract = lesson.put(team, Task("t", "two", None))
    team("two")
    retract()
    team("three")
    prompts = [[m["content"] for m in request["messages"]] for request in server.requests]
    assert prompts == [["one"], ["Be brief.", "two"], ["three"]]


def test_what_a_check_asks_a_model_is_no_part_of_any_run(client):
    known = set(_ids())

    def is_right(result):
        return "fine" in ask(client, f"is {result} right?").choices[0].message.content

    with agentracer.record(check=is_right) as run:
        run.result = ask(client, "hello").choices[0].message.content
    assert run.trace.outcome.success is True
    assert len(run.trace.steps) == 1
    assert set(_ids()) - known == {run.id}


def test_a_thread_that_serves_requests_begins_a_run_after_a_pause(client, monkeypatch):
    known = set(_ids())

    def serve():
        ask(client, "one")
        ask(client, "one again")
        monkeypatch.setattr(runs, "_IDLE_SECONDS", -1.0)
        ask(client, "two")

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    traces = [Store().load(name) for name in set(_ids()) - known]
    assert sorted(len(trace.steps) for trace in traces) == [1, 2]
    assert {trace.outcome.ending for trace in traces} == {"finished"}


@pytest.mark.parametrize("first", ["ours", "theirs", "left behind"])
def test_other_tools_that_observe_the_client_do_not_hide_its_calls(client, server, first):
    module = pytest.importorskip(
        "openinference.instrumentation.openai", reason="needs the extra [bench]"
    )
    trace_sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra [bench]")
    asynchronous = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none")
    observer = module.OpenAIInstrumentor()

    async def ask_async():
        messages = [{"role": "user", "content": "hello"}]
        async with asynchronous:
            await asynchronous.chat.completions.create(model="m", messages=messages)

    try:
        if first != "ours":
            agentracer.uninstrument()
        observer.instrument(tracer_provider=trace_sdk.TracerProvider())
        if first == "left behind":
            observer.uninstrument()
        agentracer.instrument("openai")
        with agentracer.record() as run:
            ask(client)
            asyncio.run(ask_async())
        assert [step.content for step in run.trace.steps] == ["fine", "fine"]
        from agentracer.replay import rerun

        server.requests.clear()
        again = rerun(run.trace, lambda: ask(client), on_divergence="report")
        assert server.requests == []
        agentracer.uninstrument()
        with agentracer.record() as later:
            ask(client)
        assert len(later.trace.steps) == 0
        assert again.steps[0].content == "fine"
    finally:
        if first != "left behind":
            observer.uninstrument()
        for cls in (openai.OpenAI, openai.AsyncOpenAI):
            if "request" in vars(cls):
                del cls.request
