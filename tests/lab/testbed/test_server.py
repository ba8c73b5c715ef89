"""The scripted model server, seen through the real OpenAI client."""

import http.client
import json
import threading

import openai
import pytest

from agentracer.lab.testbed.server import (
    ApiError,
    ChatReply,
    ChatRequest,
    ModelServer,
    ScriptedCall,
)

TEXT = "Hello there,\n\n  two  spaces and a tail. "
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
ASK = [{"role": "user", "content": "hi"}]


class Parrot:
    """Says TEXT; calls every tool it is given; fails on request."""

    def reply(self, request: ChatRequest) -> ChatReply:
        last = request.messages[-1]["content"]
        if last == "limit":
            raise ApiError(429, "slow down", kind="rate_limit_error")
        if last == "crash":
            raise KeyError("boom")
        calls = tuple(ScriptedCall(n, {"a": 1, "note": "x" * 90}) for n in request.tool_names)
        return ChatReply(content=None if calls else TEXT, tool_calls=calls)


@pytest.fixture
def server():
    with ModelServer(Parrot()) as running:
        yield running


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as connected:
        yield connected


def post(server, data, path="/v1/chat/completions", headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", int(server.base_url.split(":")[2][:-3]))
    connection.request("POST", path, body=data, headers=headers or {})
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    return response.status, body


def test_lists_its_model(client):
    assert [model.id for model in client.models.list()] == ["scripted"]


def test_answers_with_text_and_usage(client):
    done = client.chat.completions.create(model="m", messages=ASK)
    assert done.choices[0].message.content == TEXT
    assert done.choices[0].finish_reason == "stop"
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 0


def test_answers_with_tool_calls(client):
    done = client.chat.completions.create(model="m", messages=ASK, tools=TOOLS)
    (call,) = done.choices[0].message.tool_calls
    assert done.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)["a"]) == ("add", 1)


def test_a_stream_adds_up_to_the_same_text(client):
    chunks = list(client.chat.completions.create(model="m", messages=ASK, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks) > 5
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_ends_with_usage_when_that_is_asked_for(client):
    chunks = list(
        client.chat.completions.create(
            model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0


def test_a_streamed_tool_call_adds_up_to_the_same_call(client):
    whole = client.chat.completions.create(model="m", messages=ASK, tools=TOOLS)
    with client.chat.completions.stream(model="m", messages=ASK, tools=TOOLS) as stream:
        streamed = stream.get_final_completion()
    (expected,) = whole.choices[0].message.tool_calls
    (call,) = streamed.choices[0].message.tool_calls
    assert (call.id, call.function.name) == (expected.id, expected.function.name)
    assert call.function.arguments == expected.function.arguments
    assert streamed.choices[0].finish_reason == "tool_calls"


def test_equal_requests_get_equal_answers(client):
    first, second = (client.chat.completions.create(model="m", messages=ASK) for _ in range(2))
    assert first.model_dump_json() == second.model_dump_json()


def test_logs_requests_with_their_replies(server, client):
    list(client.chat.completions.create(model="m", messages=ASK, stream=True))
    (exchange,) = server.exchanges
    assert exchange.body["messages"] == ASK
    assert exchange.reply["choices"][0]["message"]["content"] == TEXT
    server.clear()
    assert server.exchanges == ()


def test_answers_many_threads_at_once(server, client):
    def ask():
        client.chat.completions.create(model="m", messages=ASK)

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [exchange.status for exchange in server.exchanges] == [200] * 24


def test_an_error_of_the_model_arrives_as_its_openai_exception(client):
    with pytest.raises(openai.RateLimitError, match="slow down"):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "limit"}])


def test_a_crash_of_the_model_arrives_as_a_server_error_without_a_traceback(client):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "crash"}])
    assert "boom" in str(caught.value)
    assert "Traceback" not in str(caught.value)


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"{}",
        {"model": "m"},
        {"model": "m", "messages": []},
        {"model": "m", "messages": "hi"},
        {"model": "m", "messages": [1]},
        {"model": 1, "messages": ASK},
        {"model": "m", "messages": [{"role": "wizard", "content": "x"}]},
        {"model": "m", "messages": [{"role": ["user"], "content": "x"}]},
        {"model": "m", "messages": [{"role": "user", "content": 7}]},
        {"model": "m", "messages": [{"role": "assistant", "tool_calls": [1]}]},
        {"model": "m", "messages": [{"role": "tool", "content": "3", "tool_call_id": "c1"}]},
        {"model": "m", "messages": ASK, "tools": [{"function": {}}]},
        {"model": "m", "messages": ASK, "tools": 3},
        {"model": "m", "messages": ASK, "n": 2},
        {"model": "m", "messages": ASK, "stream": "yes"},
        {"model": "m", "messages": ASK, "stream": True, "stream_options": [1]},
    ],
)
def test_a_malformed_request_is_a_400_with_an_openai_error(server, body):
    status, answer = post(server, body if isinstance(body, bytes) else json.dumps(body))
    assert status == 400
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in answer["error"]["message"]


def test_a_tool_result_for_a_known_call_is_accepted(server):
    messages = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "3", "tool_call_id": "c1"},
    ]
    assert post(server, json.dumps({"model": "m", "messages": messages}))[0] == 200


def test_an_unknown_path_is_a_404(server):
    assert post(server, b"{}", path="/v1/embeddings")[0] == 404


def test_a_body_of_unknown_or_monstrous_size_is_refused_unread(server):
    assert post(server, b"{}", headers={"Content-Length": "99999999999"})[0] == 413
    assert post(server, iter([b"{}"]), headers={"Transfer-Encoding": "chunked"})[0] == 411


def test_closing_ends_kept_alive_connections():
    with ModelServer(Parrot()) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server._http.server_port)
        connection.request("GET", "/v1/models")
        assert connection.getresponse().read()
    assert connection.sock.recv(1) == b""
    connection.close()
