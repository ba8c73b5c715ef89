"""Secrets never reach the disk, and everything else does."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentracer
from agentracer.redaction import Redactor

redactor = Redactor(b"0123456789abcdef")

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nx9=\n-----END RSA PRIVATE KEY-----"
SECRETS = {
    "OpenAI key": "sk-proj-Ab12Cd34Ef56Gh78Ij90",
    "Anthropic key": "sk-ant-api03-Ab12Cd34Ef56",
    "AWS key id": "AKIAIOSFODNN7EXAMPLE",
    "GitHub token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "GitHub fine-grained token": "github_pat_11ABCDEFG0123456789_abcdefghij",
    "GitLab token": "glpat-Ab12Cd34Ef56Gh78Ij90",
    "Google key": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "Slack token": "xoxb-123456789012-abcdefABCDEF",
    "Hugging Face token": "hf_AbCdEfGhIjKlMnOpQrStUvWx",
    "PyPI token": "pypi-AgEIcHlwaS5vcmcCJDA1234567890",
    "npm token": "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "Stripe key": "sk_live_abcdefghijklmnop",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "PEM block": PEM,
}
IN_CONTEXT = {
    "bearer header": ("Authorization: Bearer abc123def456ghi", "abc123def456ghi"),
    "basic header": ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
    "env line": ("export DB_PASSWORD=hunter2hunter2", "hunter2hunter2"),
    "quoted env line": ("OPENAI_API_KEY='not a known shape'", "not a known shape"),
    "bare KEY line": ("KEY=abcd1234", "abcd1234"),
    "yaml": ('CLIENT_SECRET: "s3cr3t value"', "s3cr3t value"),
    "json in text": ('{"api_key": "whatever-it-is"}', "whatever-it-is"),
    "url": ("postgres://user:pa55word@db/x", "pa55word"),
    "api key header": ("X-Api-Key: 0a1b2c3d4e", "0a1b2c3d4e"),
}
HARMLESS = [
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "the bearer of good news, and basic arithmetic.",
    "sk-learn-compatible estimators, risk-averse task-lists",
    "key = value; the token count is 512; password reset page",
    "https://example.com/a:b?c=d@e",
    "PRIMARY KEY (id), FOREIGN KEY (x)",
    "a tokenizer has 150000 tokens: see TOKENS.md",
    "eyJ is how base64 of a brace begins",
    '{"key": "value", "monkey": "business"}',
]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_known_shapes_are_replaced_wherever_they_stand(secret):
    for text in (secret, f"use {secret}, please", f'"{secret}"', f"({secret})\n"):
        assert secret not in redactor.text(text)
        assert "[redacted:" in redactor.text(text)


@pytest.mark.parametrize(("text", "secret"), IN_CONTEXT.values(), ids=IN_CONTEXT)
def test_what_stands_where_secrets_stand_is_replaced(text, secret):
    redacted = redactor.text(text)
    assert secret not in redacted
    assert redacted.split("[redacted:")[0] == text.split(secret)[0], "only the secret goes"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_left_alone(text):
    assert redactor.text(text) == text


def test_equal_secrets_stay_linkable_and_different_ones_apart():
    one, two, other = (redactor.text(f"x sk-proj-{n * 8}") for n in ("ab1", "ab1", "cd2"))
    assert one == two != other


def test_without_the_salt_the_hash_says_nothing():
    secret = "KEY=hunter2hunter2"
    assert redactor.text(secret) != Redactor(b"another salt").text(secret)


def test_redacting_twice_changes_nothing():
    for text in [*SECRETS.values(), *(text for text, _ in IN_CONTEXT.values())]:
        assert redactor.text(redactor.text(text)) == redactor.text(text)


def test_fields_whose_name_says_secret_are_withheld_whole():
    assert redactor.field("API-Key", "anything at all").startswith("[redacted:field:")
    assert redactor.field("keyboard", "anything at all") == "anything at all"


def test_when_redaction_fails_the_text_is_withheld(monkeypatch):
    monkeypatch.setattr(Redactor, "_replace", lambda *_: 1 / 0)
    assert redactor.text("KEY=abc") == "[agentracer: withheld, redaction failed]"


def test_a_secret_across_a_cut_does_not_leak_its_half():
    small = Redactor(b"salt", limit=1_000)
    secret = "sk-ant-" + "a1" * 20
    for offset in (700, 740, 749, 750):
        text = "x " * (offset // 2) + secret + " y" * 40_000
        assert "a1a1a1" not in small.text(text)
        assert "of" in small.text(text)


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_stays_encodable(text):
    redactor.text(text).encode()


@pytest.mark.parametrize(
    "piece",
    ["sk-", "KEY", "eyJ", "-----BEGIN ", "pypi-", "://a:", '"secret": "', "bearer ", "KEY ",
     "PASSWORD=", "eyJaaaaaaaaaa.", "xoxb-", "sk-ant-", "A" * 80 + "KEY"],
)  # fmt: skip
@pytest.mark.timing
def test_hostile_text_takes_linear_time(piece):
    started = time.perf_counter()
    Redactor(b"salt", limit=10**7).text(piece * (400_000 // len(piece)))
    assert time.perf_counter() - started < 2


def test_no_secret_is_anywhere_in_the_store(home):
    everything = [*SECRETS.values(), *(secret for _, secret in IN_CONTEXT.values())]
    texts = [*SECRETS.values(), *(text for text, _ in IN_CONTEXT.values())]
    with agentracer.record(task="\n".join(texts), ground_truth=texts, metadata={"x": texts}) as run:
        recorder = run.recorder
        for text in texts:
            reads = [recorder.message("user", text), recorder.message("tool", [{"text": text}])]
            recorder.agent(f"a {text}", system_prompt=text, tools=[{"name": text}])
            step = recorder.begin_step(f"a {text}", reads=reads, model={"parameters": {"k": text}})
            recorder.end_step(step, content=text, error={"type": "E", "message": text})
            recorder.tool_call(
                step, id=text, name="t", arguments={"x": [text]}, result=text.encode()
            )
        run.fail("because of " + "\n".join(texts))
    written = "\n".join(path.read_text() for path in Path(home).rglob("*.jsonl"))
    decoded = written.encode().decode("unicode_escape", errors="replace")
    leaks = [secret for secret in everything if secret in written or secret in decoded]
    assert leaks == []
    assert len(run.trace.steps) == len(texts)
    assert re.search(r"\[redacted:openai-key:[0-9a-f]{8}\]", written)
