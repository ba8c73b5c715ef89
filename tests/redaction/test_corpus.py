"""Secrets in every notation are replaced, and texts that only look like secrets stay."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from agentracer.encoding import to_json
from agentracer.redaction import Redactor
from agentracer.redaction.names import Sensitivity, sensitivity
from agentracer.redaction.tokens import token_rules

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from secret_corpus import look_alikes, secret_cases

redactor = Redactor(b"0123456789abcdef")
HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


def leaked(text: str, secret: str) -> bool:
    """Whether 12 characters in a row of a secret, after its public prefix, are left."""
    private = secret[8:] if len(secret) > 24 else secret
    return any(private[i : i + 12] in text for i in range(max(1, len(private) - 11)))


def test_the_corpus_is_as_large_as_it_says():
    cases = list(secret_cases())
    assert len({case.secret for case in cases}) >= 300
    assert len({case.kind for case in cases}) >= 60
    assert len({case.carrier for case in cases}) >= 12
    assert len({text for _, text in look_alikes()}) >= 300


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_secret_of_the_corpus_is_left(seed):
    left = [
        (case.kind, case.carrier, redactor.text(case.text))
        for case in secret_cases(seed)
        if leaked(redactor.text(case.text), case.secret)
    ]
    assert left == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_look_alike_of_the_corpus_is_changed(seed):
    changed = [text for _, text in look_alikes(seed) if redactor.text(text) != text]
    assert changed == []


def test_redacting_the_corpus_twice_changes_nothing_more():
    for case in secret_cases():
        once = redactor.text(case.text)
        assert redactor.text(once) == once


@pytest.mark.parametrize(
    "name",
    ["token", "pwd", "passphrase", "access_key", "api_secret", "account_key", "openai_api_key",
     "X-Amz-Security-Token", "Authorization", "Set-Cookie", "dbPassword", "AWS_SECRET_ACCESS_KEY"],
)  # fmt: skip
def test_a_tool_argument_whose_name_says_secret_is_replaced(name):
    value = "hunter2-hunter2-hunter2"
    assert value not in json.dumps(to_json({name: value}, field=redactor.field))
    assert value not in json.dumps(to_json({name: [value, value]}, field=redactor.field))


_OTHER_NAMES = """page_token nextPageToken max_tokens key author sort_key monkey tokenizer passenger
password_policy api_key_env token_count primary_key signature_help"""


@pytest.mark.parametrize("name", _OTHER_NAMES.split())
def test_other_names_are_no_names_of_secrets(name):
    assert sensitivity(name) is Sensitivity.NONE


def test_headers_given_as_pairs_and_variables_given_by_name_and_value_are_read():
    headers = to_json([("X-Api-Key", HEX), ("Accept", "*/*")], field=redactor.field)
    assert HEX not in json.dumps(headers)
    assert headers[1] == ["Accept", "*/*"]
    variables = to_json([{"name": "DB_PASSWORD", "value": HEX}], field=redactor.field)
    assert HEX not in json.dumps(variables)


def test_text_as_bytes_is_redacted_before_it_is_encoded():
    encoded = to_json(f"password={HEX}".encode(), text=redactor.text)
    assert encoded["$bytes"] == to_json(redactor.text(f"password={HEX}").encode())["$bytes"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"GET /s?q=cats&api_key={HEX}&page=2", ("q=cats", "&page=2")),
        (f"db-cli --password={HEX} -h db", ("--password=", " -h db")),
        (f"db:\n  password: {HEX}\n  port: 5", ("  password: ", "\n  port: 5")),
        (
            json.dumps({"body": json.dumps({"password": HEX, "user": "u"})}),
            ('\\"user\\": \\"u\\"',),
        ),
        (f"Authorization: Token {HEX}\nHost: x", ("Authorization: Token ", "\nHost: x")),
        (f"Server=db;AccountKey={HEX}==;Encrypt=true", ("Server=db;", ";Encrypt=true")),
    ],
)
def test_only_the_secret_goes(text, kept):
    redacted = redactor.text(text)
    assert HEX[:8] not in redacted
    for part in kept:
        assert part in redacted


def test_rules_name_their_source_and_count_what_was_left_out():
    sources = {rule.source for rule in token_rules()}
    assert sources == {"agentracer", "gitleaks"}
    assert all(len(word) >= 3 for rule in token_rules() for word in rule.keywords)
