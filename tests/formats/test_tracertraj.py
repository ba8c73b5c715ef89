"""TracerTraj rows, public and broken ones."""

import json

import pytest

from agentracer.errors import FormatError, MissingExtra
from agentracer.formats import tracertraj

ROW = {
    "question_ID": "q-1",
    "question": "What is 2 + 2?",
    "ground_truth": "4",
    "history": [
        {"role": "assistant", "name": "Alice", "content": "I plan."},
        {"role": "assistant", "name": "Bob", "content": "5"},
    ],
    "mistake_agent": "Bob",
    "mistake_step": "1",
    "mistake_reason": "2 + 2 is 4",
}


def test_a_public_row_becomes_a_failed_trace_with_its_label():
    trace = tracertraj.trace_of(ROW)
    assert [(s.agent, s.content) for s in trace.steps] == [("Alice", "I plan."), ("Bob", "5")]
    assert (trace.labels[0].agent, trace.labels[0].step) == ("Bob", 1)
    assert trace.outcome.success is False
    assert trace.ground_truth.answer == "4"
    assert trace.task == "What is 2 + 2?"


def test_the_label_is_not_in_what_attribution_sees():
    one = tracertraj.trace_of(ROW)
    other = tracertraj.trace_of({**ROW, "mistake_step": "0", "mistake_agent": "Alice"})
    assert one.observed == other.observed
    assert one.id == other.id


@pytest.mark.parametrize("step", [1, 1.0, " 1 ", "1.0"])
def test_a_step_may_be_a_number_or_text(step):
    assert tracertraj.trace_of({**ROW, "mistake_step": step}).labels[0].step == 1


def test_a_history_may_be_json_text_and_speakers_in_the_role():
    history = json.dumps([{"role": "Alice", "content": "x"}, {"role": "Bob", "content": [1]}])
    trace = tracertraj.trace_of({**ROW, "history": history})
    assert [(s.agent, s.content) for s in trace.steps] == [("Alice", "x"), ("Bob", "[1]")]


def test_a_row_without_a_label_is_fine():
    row = {k: v for k, v in ROW.items() if not k.startswith("mistake")}
    assert tracertraj.trace_of(row).labels == ()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("question", None, "question"),
        ("history", [], "history"),
        ("history", ["x"], "history[0]"),
        ("history", [{"content": "x"}], "who spoke"),
        ("mistake_step", "7", "history of 2"),
        ("mistake_step", "-1", "expected agent and step"),
        ("mistake_agent", " ", "expected agent and step"),
        ("trace", {"observed": 1, "id": "x"}, "observed"),
    ],
)
def test_a_broken_row_is_refused_with_its_place(tmp_path, field, value, said):
    path = tracertraj.write_jsonl(tmp_path / "broken.jsonl", [ROW, {**ROW, field: value}])
    with pytest.raises(FormatError) as caught:
        tracertraj.load(path)
    assert said in str(caught.value)
    assert "broken.jsonl" in str(caught.value)


def test_lines_that_are_no_objects_are_refused(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text(json.dumps(ROW) + "\n[1]\n")
    with pytest.raises(FormatError, match="object"):
        tracertraj.load(path)


def test_rows_are_told_from_other_json_lines():
    assert tracertraj.is_tracertraj(json.dumps(ROW))
    assert not tracertraj.is_tracertraj('{"e": "run"}')
    assert not tracertraj.is_tracertraj("no json")
    assert not tracertraj.is_tracertraj("")


def test_parquet_goes_there_and_back_or_says_what_is_missing(tmp_path):
    path = tmp_path / "rows.parquet"
    written = tracertraj.write_parquet(path, [ROW])
    if written is None:
        path.write_bytes(b"PAR1....PAR1")
        with pytest.raises(MissingExtra, match="pip install"):
            tracertraj.load(path)
    else:
        assert list(tracertraj.read_rows(path)) == [ROW]
        path.write_bytes(b"PAR1 is all there is")
        with pytest.raises(FormatError, match="parquet"):
            tracertraj.load(path)
