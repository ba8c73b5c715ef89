"""`load_any` finds the reader that a file or folder needs, and other modules can add one."""

import json

import pytest

from agentracer import formats
from agentracer.errors import FormatError
from agentracer.formats import Reader, load_any, native, register
from agentracer.trace import Observed, Trace

TRACE = Trace(id="ours", observed=Observed(task="t"))
LOG = {"question": "q", "history": [{"role": "human", "content": "q"}]}


@pytest.fixture
def journal_reader(monkeypatch):
    monkeypatch.setattr(formats, "readers", list(formats.readers))
    reader = Reader("journal", (".jsonl",), lambda _: True, lambda source: [TRACE, TRACE])
    register(reader)
    return reader


def test_both_formats_are_recognised_whatever_the_file_is_called(tmp_path):
    native.dump(TRACE, tmp_path / "a.json")
    (tmp_path / "b.txt").write_text(json.dumps(LOG))
    assert load_any(tmp_path / "a.json") == [TRACE]
    assert load_any(str(tmp_path / "b.txt"))[0].task == "q"


def test_a_folder_may_mix_formats_and_is_read_in_numeric_order(tmp_path):
    native.dump(TRACE, tmp_path / "10.json")
    (tmp_path / "9.json").write_text(json.dumps(LOG))
    (tmp_path / "notes.md").write_text("not a trace")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "1.json").write_text("{")
    assert [trace.task for trace in load_any(tmp_path)] == ["q", "t"]


def test_a_broken_file_in_a_folder_is_an_error(tmp_path):
    native.dump(TRACE, tmp_path / "1.json")
    (tmp_path / "2.json").write_text('{"a": 1}')
    with pytest.raises(FormatError, match=r"2\.json"):
        load_any(tmp_path)


@pytest.mark.parametrize(
    ("content", "seen"),
    [('{"a": 1, "b": 2}', "its fields are 'a', 'b'"), ("{}", "empty"), ("[1]", "a list")],
)
def test_an_unknown_format_says_what_was_seen_and_what_is_known(content, seen, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(FormatError) as caught:
        load_any(path)
    assert seen in caught.value.problem
    assert "Who&When log" in caught.value.remedy
    assert caught.value.source == path


def test_a_path_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(FormatError, match="No such file"):
        load_any(tmp_path / "nowhere.json")


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(FormatError, match=r"no \.json or \.jsonl"):
        load_any(tmp_path)


def test_a_registered_reader_reads_its_files_alone_and_in_folders(journal_reader, tmp_path):
    (tmp_path / "run.jsonl").write_text("not parsed as JSON by anybody")
    native.dump(TRACE, tmp_path / "a.json")
    assert load_any(tmp_path / "run.jsonl") == [TRACE, TRACE]
    assert len(load_any(tmp_path)) == 3


def test_registering_a_name_again_replaces_the_reader(journal_reader):
    register(journal_reader)
    assert [reader.name for reader in formats.readers].count("journal") == 1


def test_a_reader_can_claim_a_whole_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(formats, "readers", list(formats.readers))
    is_store = lambda source: (source.path / "STORE").exists()  # noqa: E731
    register(Reader("store", ("/",), is_store, lambda source: [TRACE]))
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(FormatError):
        load_any(tmp_path)
    (tmp_path / "STORE").touch()
    assert load_any(tmp_path) == [TRACE]
