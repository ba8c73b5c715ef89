"""Tool calls that a model writes as text become calls, and calls become text for the model."""

from __future__ import annotations

import json

import pytest
from tests.lab.natural.plain_model import PlainModel

from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.natural.systems import SYSTEMS, run_once
from agentracer.lab.natural.tasks import load_tasks
from agentracer.lab.natural.text_tools import request_as_text, response_with_calls, text_tools
from agentracer.lab.testbed.server import ModelServer
from agentracer.store import Store

CALCULATE = {
    "type": "function",
    "function": {
        "name": "calculate",
        "description": "Calculate an expression.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}},
    },
}
CALL = {"name": "calculate", "arguments": {"expression": "3 * 4"}}


def call(number=0, arguments='{"expression": "3 * 4"}'):
    function = {"name": "calculate", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


def request(*messages, tools=(CALCULATE,)):
    return {"model": "m", "messages": list(messages), "tools": list(tools), "tool_choice": "auto"}


def replied(content, *messages, tools=(CALCULATE,)):
    choice = {"index": 0, "message": {"role": "assistant", "content": content}}
    response = {"id": "r", "choices": [{**choice, "finish_reason": "stop"}]}
    return response_with_calls(response, request(*messages, tools=tools))["choices"][0]


def test_tools_are_described_in_the_system_message_and_not_sent():
    sent = request_as_text(
        request({"role": "system", "content": "Be brief."}, {"role": "user", "content": "3 * 4?"})
    )
    assert set(sent) == {"model", "messages"}
    system, user = sent["messages"]
    assert system["content"].startswith("Be brief.")
    assert "calculate(expression): Calculate an expression." in system["content"]
    assert user == {"role": "user", "content": "3 * 4?"}
    assert request_as_text(request({"role": "user", "content": "Hi"}))["messages"][0]["role"] == (
        "system"
    )


def test_a_request_without_tools_only_gets_its_roles_in_turn():
    sent = request_as_text(
        request(
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "text", "text": "two"}]},
            tools=(),
        )
    )
    assert sent["messages"] == [{"role": "user", "content": "one\n\ntwo"}]


def test_earlier_calls_and_results_are_text_that_names_the_tool():
    sent = request_as_text(
        request(
            {"role": "user", "content": "3 * 4?"},
            {"role": "assistant", "content": None, "tool_calls": [call()]},
            {"role": "tool", "tool_call_id": "call_0", "content": "12"},
        )
    )
    _, _, asked, result = sent["messages"]
    assert json.loads(asked["content"]) == CALL
    assert result["role"] == "user"
    assert result["content"].startswith("Result of calculate:\n12")


@pytest.mark.parametrize(
    ("text", "before"),
    [
        (json.dumps(CALL), None),
        (f"```json\n{json.dumps(CALL, indent=2)}\n```", None),
        (f"I will calculate.\n{json.dumps(CALL)}\nThe result is 13.", "I will calculate."),
        (f"<tool_call>{json.dumps(CALL)}</tool_call>", None),
        (f"A set {{1, 2}} first.\n```json\n{json.dumps(CALL)}", "A set {1, 2} first."),
    ],
)
def test_an_object_that_names_a_tool_is_a_call_of_it(text, before):
    choice = replied(text)
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == before
    assert [c["function"]["name"] for c in choice["message"]["tool_calls"]] == ["calculate"]
    arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == CALL["arguments"]


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 12.",
        '{"name": "search", "arguments": {}}',
        '{"name": "calculate", "arguments": "3 * 4"}',
        '{"name": "calculate", "arguments": {',
    ],
)
def test_everything_else_stays_text(text):
    choice = replied(text)
    assert choice["message"] == {"role": "assistant", "content": text}
    assert replied(json.dumps(CALL), tools=())["message"]["content"] == json.dumps(CALL)


def test_ids_count_the_calls_of_the_conversation():
    earlier = {"role": "assistant", "content": "", "tool_calls": [call(0), call(1)]}
    assert replied(json.dumps(CALL), earlier)["message"]["tool_calls"][0]["id"] == "call_2"


def test_a_team_uses_its_tools_through_the_proxy(tmp_path):
    pytest.importorskip("openai")

    class WritesCalls(PlainModel):
        def text(self, request):
            has_result = "Result of calculate" in str(request.messages)
            return "The answer is 5." if has_result else json.dumps(CALL)

    model = WritesCalls("")
    with (
        ModelServer(model) as server,
        text_tools(Endpoint(server.base_url, "plain", max_tokens=50)) as endpoint,
    ):
        task = load_tasks()["word-cat-food"]
        trace = run_once(SYSTEMS["python-functions"], task, endpoint, Store(tmp_path))
    tools = [c.name for step in trace.steps for c in step.tool_calls if c.name == "calculate"]
    assert tools == ["calculate"]
    assert all("tools" not in request.body for request in model.requests)
    assert {request.body["max_tokens"] for request in model.requests} == {50}


def test_streams_and_servers_that_do_not_answer_are_refused_with_a_reason(tmp_path):
    openai = pytest.importorskip("openai")
    with text_tools(Endpoint("http://127.0.0.1:9/v1", "none")) as endpoint:
        client = openai.OpenAI(base_url=endpoint.base_url, api_key="none", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="streamed requests"):
            client.chat.completions.create(model="m", messages=[], stream=True)
        with pytest.raises(openai.InternalServerError, match="does not answer"):
            client.chat.completions.create(model="m", messages=[])
