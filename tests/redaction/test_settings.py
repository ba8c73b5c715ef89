"""What users add to the rules, and that a mistake in it withholds instead of leaking."""

from __future__ import annotations

import logging

import pytest

import agentracer
from agentracer.errors import FormatError
from agentracer.redaction import RedactionSettings, Redactor, load_settings
from agentracer.store import Store

SALT = b"0123456789abcdef"


def test_own_patterns_and_fields_are_replaced_and_exempt_fields_are_not():
    settings = RedactionSettings(
        patterns={"employee": r"EMP-[0-9]{6}", "case": r"case (?P<secret>[A-Z]{4})"},
        secret_fields=("badge-number",),
        exempt_fields=("session_token",),
    )
    redactor = Redactor(SALT, settings=settings)
    assert "EMP-123456" not in redactor.text("see EMP-123456")
    assert redactor.text("case ABCD closed").startswith("case [redacted:case:")
    assert redactor.field("badgeNumber", "17").startswith("[redacted:field:")
    assert "17" not in redactor.text("badge_number: 17x4")
    assert redactor.field("session_token", "abc123def456") == "abc123def456"
    assert redactor.text("session_token=abc123def456") == "session_token=abc123def456"


def test_an_exempt_field_still_hides_keys_of_a_known_shape():
    redactor = Redactor(SALT, settings=RedactionSettings(exempt_fields=("token",)))
    key = "gh" + "p_" + "a1" * 18
    assert key not in redactor.field("token", key)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "does not compile"),
        ("x*", "matches the empty text"),
        ("(a+)+b", "more than linear time"),
        ("(?:[a-z]+[0-9]*)*x", "more than linear time"),
        (r"\s+$x", "more than linear time"),
    ],
)
def test_a_pattern_that_cannot_be_trusted_is_refused(pattern, problem):
    with pytest.raises(FormatError, match=problem):
        RedactionSettings(patterns={"mine": pattern})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("patterns = 3", "patterns is a table"),
        ("exempt_fields = ['*']", "is no field name"),
        ("exempt = ['a']", "unknown field"),
        ("[patterns", "cannot be read"),
        ("secret_fields = ['a']\nexempt_fields = ['A']", "both secret and exempt"),
    ],
)
def test_a_file_that_cannot_be_used_names_itself(tmp_path, text, problem):
    path = tmp_path / "redaction.toml"
    path.write_text(text)
    with pytest.raises(FormatError, match=problem) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)


def test_a_broken_file_withholds_all_text_and_says_so(home, caplog):
    store = Store()
    store.salt()
    (store.home / "redaction.toml").write_text("[patterns]\nx = '('")
    with caplog.at_level(logging.WARNING), agentracer.record(task="a question of ours") as run:
        index = run.recorder.begin_step("writer")
        run.recorder.end_step(index, content="what the model answered")
    written = next(store.home.glob("traces/*.jsonl")).read_text()
    assert "a question of ours" not in written
    assert "what the model answered" not in written
    assert "withheld" in written
    assert "redaction.toml" in caplog.text
