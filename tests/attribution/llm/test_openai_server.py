"""The openai backend against servers on loopback that misbehave in every way they do."""

import asyncio
import json
import logging
import time

import pytest

pytest.importorskip("openai", reason="needs the extra [openai]")

from agentracer.attribution import Tracer
from agentracer.errors import BackendError, UnknownModel

from .fakes import LABEL, answer, trace_of
from .servers import Scripted, fails, says, serving

TRACE = trace_of("Ask.", "It is 42, I am sure.", "Thanks.")


def asked(body):
    return LABEL.findall(body["messages"][1]["content"])


def blame(position=1, **fields):
    def script(body):
        read = len(body["messages"][1]["content"]) // 4
        return says(answer("Solver", asked(body)[position], **fields), tokens=(read, 9))

    return script


def tracer(server, **options):
    settings = {"timeout": 5, "retries": 1} | options
    return Tracer(server.spec(), **settings)


def test_a_server_attributes_a_run():
    with serving(blame(quote="It is 42")) as server:
        verdict = tracer(server, seed=5).attribute(TRACE)
    assert (verdict.agent, verdict.step) == ("Solver", 1)
    assert verdict.candidates[0].evidence[0].quote == "It is 42"
    body = server.asked[0]
    read = len(body["messages"][1]["content"]) // 4
    assert (verdict.provenance.usage.input_tokens, verdict.provenance.usage.output_tokens) == (
        read,
        9,
    )
    assert (body["temperature"], body["seed"], body["model"]) == (0, 5, "m")
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["step"]["enum"] == asked(body)


def test_the_context_length_of_the_server_is_heeded():
    with serving(blame(0), about={"max_model_len": 2_500}) as server:
        verdict = tracer(server).attribute(trace_of(*["word " * 400] * 12))
    assert "overlapping windows" in " ".join(verdict.notes)
    assert len(server.asked) > 3


def counts_by_word(field, answer):
    return lambda body: answer(body[field].split())


LLAMA_CPP = {
    "/props": lambda _: {"default_generation_settings": {"n_ctx": 2_500}},
    "/tokenize": counts_by_word("content", lambda words: {"tokens": list(range(len(words)))}),
}
SGLANG = {
    "/get_server_info": lambda _: {"context_length": 32_768, "max_total_num_tokens": 2_500},
    "/tokenize": counts_by_word("prompt", lambda words: {"count": len(words)}),
}
OLLAMA = {
    "/api/show": lambda body: {"parameters": "num_ctx  2500", "model_info": {"x": body["model"]}},
    "/api/ps": lambda _: {"models": []},
}
OLLAMA_RUNNING = {
    **OLLAMA,
    "/api/ps": lambda _: {"models": [{"model": "m", "context_length": 1_700}]},
}


@pytest.mark.parametrize(
    ("owner", "paths", "context", "counted"),
    [
        ("llamacpp", LLAMA_CPP, 2_500, "server"),
        ("us", LLAMA_CPP, 2_500, "server"),
        ("sglang", SGLANG, 2_500, "server"),
        ("library", OLLAMA, 2_500, "estimate"),
        ("library", OLLAMA_RUNNING, 1_700, "estimate"),
        ("us", {}, None, "estimate"),
    ],
)
def test_each_server_is_asked_for_its_context_in_its_own_way(owner, paths, context, counted):
    with serving(blame(), about={"owned_by": owner}, paths=paths) as server:
        judge = tracer(server)
        model = judge.backend.model
        assert model.context_length == context
        assert model.versions["token_count"] == counted
        # Without a tokenizer a token is taken for three bytes, never too few.
        assert model.count_tokens("one two three four") == (4 if counted == "server" else 6)
        verdict = judge.attribute(TRACE)
    assert verdict.step == 1
    said = "context length is unknown" in " ".join(verdict.notes)
    assert said == (context is None)


def test_what_a_model_was_trained_with_is_not_what_the_server_was_started_with():
    about = {"owned_by": "llamacpp", "meta": {"n_ctx_train": 32_768}}
    with serving(blame(), about=about) as server:
        assert tracer(server).backend.model.context_length is None


def test_an_unknown_context_length_is_said():
    with serving(blame()) as server:
        assert "context length is unknown" in tracer(server).attribute(TRACE).notes[0]
        spec = server.spec(context=9_000)
        assert Tracer(spec, timeout=5).attribute(TRACE).notes == ()


@pytest.mark.parametrize("name", ["response_format", "seed", "temperature"])
def test_a_parameter_that_the_server_does_not_know_is_left_out_for_good(name):
    def script(body):
        if name in body:
            return fails(400, f"Unrecognized request argument: {name}")
        return blame()(body)

    with serving(script) as server:
        judge = tracer(server)
        assert judge.attribute(TRACE).step == 1
        verdict = judge.attribute(TRACE)
    assert len(server.asked) == 3
    assert verdict.provenance.versions["server_without"] == name


def test_max_tokens_gives_way_to_its_newer_name():
    def script(body):
        if "max_tokens" in body:
            return fails(400, "Use 'max_completion_tokens' instead of max_tokens.")
        assert body["max_completion_tokens"] > 0
        return blame()(body)

    with serving(script) as server:
        assert tracer(server).attribute(TRACE).step == 1


def test_a_context_error_leads_to_windows():
    def script(body):
        size = len(body["messages"][1]["content"])
        if size > 12_000:
            return fails(400, "This model's maximum context length is 3000 tokens.")
        return blame(0)(body)

    with serving(script) as server:
        verdict = tracer(server).attribute(trace_of(*["word " * 300] * 12))
    assert "overlapping windows" in " ".join(verdict.notes)


def test_a_server_that_cuts_prompts_without_a_word_is_found_out():
    long = trace_of(*["word " * 300] * 12)
    with serving(lambda _: says("{}", tokens=(100, 1))) as server, pytest.raises(BackendError) as e:
        tracer(server).attribute(long)
    assert "read only 100 tokens" in str(e.value)


def test_reasoning_in_a_field_of_its_own_is_read():
    def script(body):
        return says(answer("Solver", asked(body)[1]), reasoning_content="hm")

    with serving(script) as server:
        assert tracer(server).attribute(TRACE).step == 1


def test_a_model_that_cannot_be_constrained_is_parsed():
    with serving(lambda b: says(f"Sure!\n{answer('solver', asked(b)[1])}\nBye")) as server:
        verdict = tracer(server).attribute(TRACE)
    assert (verdict.agent, verdict.step) == ("Solver", 1)


@pytest.mark.parametrize("text", ["no idea", "", None, '{"step": 1}', "\x00" * 50])
def test_unusable_text_is_an_abstention_after_one_more_try(text):
    with serving(lambda _: says(text)) as server:
        verdict = tracer(server).attribute(TRACE)
    assert verdict.abstained
    assert "twice" in verdict.abstain_reason
    assert len(server.asked) == 2


BROKEN = {
    "html": Scripted(b"<html>502 Bad Gateway</html>", kind="text/html"),
    "garbage": Scripted(b"\xff\xfe{{{{"),
    "empty": Scripted(b""),
    "another shape": Scripted(b'{"choices": []}'),
    "a list": Scripted(b"[]"),
    "no message": Scripted(b'{"choices": [{"text": "hi"}]}'),
    "content of another type": Scripted(b'{"choices": [{"message": {"content": {}}}]}'),
    "half a body": Scripted(b'{"choices": [', promised=5_000),
    "429": fails(429, "slow down", retry_after="0.1"),
    "500": fails(500, "boom"),
    "503 in html": Scripted(b"<h1>no</h1>", 503, "text/html"),
    "hangs": Scripted(b"{}", delay=60),
    "drips": Scripted(b"{" * 1_000, drip=0.05),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_server_is_an_error_after_the_stated_tries_and_in_time(case):
    started = time.perf_counter()
    with serving(lambda _: BROKEN[case]) as server, pytest.raises(BackendError) as caught:
        tracer(server, timeout=1, retries=1).attribute(TRACE)
    assert "2 tries" in str(caught.value)
    assert server.url in str(caught.value)
    assert len(server.asked) == 2
    assert time.perf_counter() - started < 15


@pytest.mark.parametrize("case", BROKEN)
def test_a_server_that_recovers_costs_a_retry(case):
    answers = iter([BROKEN[case]])
    with serving(lambda body: next(answers, None) or blame()(body)) as server:
        assert tracer(server, timeout=2, retries=1).attribute(TRACE).step == 1


def test_a_refusal_is_not_tried_again():
    with serving(lambda _: fails(401, "bad key")) as server, pytest.raises(BackendError) as caught:
        tracer(server, retries=3).attribute(TRACE)
    assert "401" in str(caught.value)
    assert len(server.asked) == 1


def test_nobody_there():
    with pytest.raises(BackendError, match="cannot be reached"):
        Tracer("openai:m@http://127.0.0.1:9/v1", timeout=2, retries=0).attribute(TRACE)


def test_keys_go_into_the_header_and_nowhere_else(monkeypatch, caplog):
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("AGENTRACER_API_KEY", key)
    with caplog.at_level(logging.DEBUG):
        with serving(blame()) as server:
            verdict = tracer(server).attribute(TRACE)
        with (
            serving(lambda _: fails(401, f"wrong key {key}")) as bad,
            pytest.raises(BackendError) as caught,
        ):
            tracer(bad).attribute(TRACE)
    assert server.headers[0]["authorization" if "authorization" in server.headers[0] else
                             "Authorization"] == f"Bearer {key}"  # fmt: skip
    assert key not in verdict.model_dump_json()
    assert key not in caplog.text
    assert key not in str(caught.value)


def test_the_key_of_openai_is_not_sent_to_others(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-official-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with serving(blame()) as server:
        tracer(server).attribute(TRACE)
    assert "sk-official" not in json.dumps(server.headers)


SPECS = {
    "": "names no model",
    "m": "names no server",
    "m@http://user:pw@host/v1": "user name or password",
    "@http://host/v1": "not MODEL@URL",
    "m@http://host/v1?colour=red": "unknown settings colour",
    "m@http://host/v1?context=many": "not a positive integer",
    "m@http://host/v1?format=xml": "not an answer format",
}


@pytest.mark.parametrize("argument", SPECS)
def test_a_spec_that_makes_no_sense_is_refused(argument, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UnknownModel, match=SPECS[argument]):
        Tracer(f"openai:{argument}")


def test_one_bad_run_of_many_costs_only_itself():
    def script(body):
        if "poison" in body["messages"][1]["content"]:
            return fails(500, "boom")
        return blame()(body)

    traces = [trace_of("Ask.", f"It is {i}.", id=str(i)) for i in range(12)]
    traces[3] = trace_of("Ask.", "poison", id="3")
    seen = []
    with serving(script) as server:
        judge = tracer(server, retries=0, concurrency=4)
        results = list(judge.attribute_many(traces, progress=lambda *at: seen.append(at)))
    assert sorted(one.index for one in results) == list(range(12))
    failed = [one for one in results if one.error]
    assert [one.trace.id for one in failed] == ["3"]
    assert all(one.verdict.step == 1 for one in results if one.verdict)
    assert seen == [(i, 12) for i in range(1, 13)]


def test_requests_run_side_by_side_up_to_the_limit():
    import threading

    lock, running, most = threading.Lock(), 0, 0

    def script(body):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.2)
        with lock:
            running -= 1
        return blame()(body)

    with serving(script) as server:
        list(tracer(server, concurrency=3).attribute_many([TRACE] * 9))
    assert most == 3


def test_results_come_as_they_are_ready():
    def script(body):
        slow = "slow" in body["messages"][1]["content"]
        return Scripted(blame()(body).body, delay=1.5 if slow else 0)

    traces = [trace_of("slow", "x", id="slow"), *(trace_of("a", "b", id=str(i)) for i in range(3))]
    with serving(script) as server:
        order = [one.trace.id for one in tracer(server).attribute_many(traces)]
    assert order[-1] == "slow"


def test_many_asynchronously_and_from_within_an_event_loop():
    async def main(judge):
        inside = judge.attribute(TRACE)  # blocking, but it must work
        return inside, [one async for one in judge.aattribute_many([TRACE] * 3)]

    with serving(blame()) as server:
        inside, results = asyncio.run(main(tracer(server)))
    assert inside.step == 1
    assert [one.verdict.step for one in results] == [1, 1, 1]


def test_samples_are_requests_with_seeds_of_their_own():
    with serving(blame()) as server:
        verdict = tracer(server, samples=3, seed=10).attribute(TRACE)
    assert sorted(body["seed"] for body in server.asked) == [10, 11, 12]
    assert verdict.confidence == 1.0
    assert verdict.provenance.usage.model_calls == 3


def test_a_tagged_checkpoint_behind_vllm_is_constrained_by_a_regex():
    def script(body):
        return says(f"<think>x</think><answer>Solver|{asked(body)[1]}</answer>")

    with serving(script, about={"owned_by": "vllm", "max_model_len": 9_000}) as server:
        verdict = Tracer(server.spec(format="tagged"), timeout=5).attribute(TRACE)
    assert verdict.step == 1
    assert "<think>" in server.asked[0]["structured_outputs"]["regex"]
