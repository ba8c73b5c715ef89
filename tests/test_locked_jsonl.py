"""Journals that one writer holds: locked, resumable, tolerant of a line that was cut off."""

from __future__ import annotations

import stat

import pytest

from agentracer.errors import CollectionMismatch, StoreError
from agentracer.locked_jsonl import LockedJsonl, last_attempt


def test_what_was_appended_is_read_again(tmp_path):
    path = tmp_path / "folder" / "journal.jsonl"
    with LockedJsonl(path, in_use="busy") as journal:
        journal.append({"e": "run", "text": "naïve \ud83d"})
    with LockedJsonl(path, in_use="busy") as journal:
        journal.append({"e": "end"})
        assert journal.read() == [{"e": "run", "text": "naïve \ud83d"}, {"e": "end"}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_that_was_cut_off_is_skipped_and_spoils_none_after_it(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"n":1}\n[2]\nnot json\n{"n":')
    with LockedJsonl(path, in_use="busy") as journal:
        journal.append({"n": 3})
        journal.append({"n": 4})
        assert journal.read() == [{"n": 1}, {"n": 3}, {"n": 4}]


def test_a_second_writer_is_refused_until_the_first_closes(tmp_path):
    path = tmp_path / "journal.jsonl"
    with (
        LockedJsonl(path, in_use="busy"),
        pytest.raises(CollectionMismatch, match=r"journal\.jsonl: busy"),
    ):
        LockedJsonl(path, in_use="busy")
    LockedJsonl(path, in_use="busy").close()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(StoreError, match="folder"):
        LockedJsonl(tmp_path / "folder" / "journal.jsonl", in_use="busy")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([{"e": "begin", "search": {"a": 1}}], []),
        ([{"e": "begin", "search": {"a": 1}}, {"e": "run"}], [{"e": "run"}]),
        ([{"e": "begin", "search": {"a": 1}}, {"e": "end"}], None),
        ([{"e": "begin", "search": {"a": 2}}, {"e": "run"}], None),
        ([{"e": "begin", "search": {"a": 1}}, {"e": "begin", "search": {"a": 1}}], []),
    ],
)
def test_only_the_last_attempt_of_the_same_settings_is_resumed(events, expected):
    assert last_attempt(events, "search", {"a": 1}) == expected
