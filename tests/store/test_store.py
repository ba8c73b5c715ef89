"""Traces and verdicts on disk."""

from __future__ import annotations

import json
import os
import stat
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agentracer
from agentracer.errors import FormatError, StoreError, TraceNotFound
from agentracer.recorder import RunRecorder
from agentracer.redaction import Redactor
from agentracer.store import Store, journal, new_trace_id
from agentracer.store.fold import LOST, fold, parse_lines, read_events
from agentracer.store.journal import Journal
from agentracer.verdict import Provenance, Verdict


def record_a_run(steps=3):
    with agentracer.record("add", ground_truth="4", metadata={"k": 1}) as run:
        recorder = run.recorder
        reads = [recorder.message("user", "2+2?")]
        for number in range(steps):
            recorder.agent("adder", system_prompt="You add.")
            step = recorder.begin_step("adder", reads=reads)
            calls = [{"id": f"c{number}", "name": "add", "arguments": {"a": 2, "b": 2}}]
            recorder.end_step(step, content=f"answer {number}", tool_calls=calls)
            recorder.tool_call(step, id=f"c{number}", result="5", ended_at=time.time())
            reads.append(recorder.message("assistant", f"answer {number}"))
        run.fail("5 is not 4")
    return run


def test_what_was_recorded_is_read_back():
    trace = record_a_run().trace
    assert [step.content for step in trace.steps] == ["answer 0", "answer 1", "answer 2"]
    assert trace.steps[1].tool_calls[0].arguments == {"a": 2, "b": 2}
    assert trace.steps[1].tool_calls[0].result == "5"
    assert [m.content for m in trace.observed.reads(1)] == ["2+2?", "answer 0"]
    assert trace.ground_truth.answer == "4"
    assert trace.outcome.success is False
    assert trace.outcome.error.message == "5 is not 4"
    assert trace.agents[0].system_prompt == "You add."
    assert trace.task == "add"
    assert trace.metadata == {"k": 1}
    assert trace.dropped == {}
    assert trace.replayable


def test_traces_are_private_and_never_committed_by_accident(home):
    record_a_run()
    (path,) = (home / "traces").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (home / ".gitignore").read_text() == "*\n"


def test_a_trace_is_on_disk_while_the_run_goes_on():
    with agentracer.record("slow") as run:
        step = run.recorder.begin_step("a")
        run.recorder.end_step(step, content="half way")
        seen = Store().load(run.id)
    assert seen.steps[0].content == "half way"
    assert seen.outcome.ending == "unfinished"


def test_list_and_lookup_by_any_unique_part_of_an_id():
    first, second = record_a_run().id, record_a_run().id
    store = Store()
    assert store.ids() == [second, first]
    assert store.resolve("latest") == second
    assert store.resolve(first[-8:]) == first
    with pytest.raises(TraceNotFound, match="2 trace ids begin or end with"):
        store.resolve("2")
    with pytest.raises(TraceNotFound, match="agentracer list"):
        store.resolve("nothing")
    rows = list(store.summaries())
    assert [(row.id, row.steps, row.success, row.task) for row in rows] == [
        (second, 3, False, "add"),
        (first, 3, False, "add"),
    ]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", ".hidden", "a\x00b"])
def test_no_id_reaches_outside_the_store(name):
    store = Store()
    with pytest.raises(TraceNotFound):
        store.load(name)
    with pytest.raises(TraceNotFound):
        store.save_verdict(verdict_on(name))


def verdict_on(trace_id):
    return Verdict(
        trace_id=trace_id, agent="a", step=0, provenance=Provenance(model="m", method="x")
    )


def test_a_verdict_is_kept_beside_its_trace():
    run = record_a_run()
    store = Store()
    assert store.load_verdict(run.id) is None
    store.save_verdict(verdict_on(run.id))
    assert store.load_verdict(run.id) == verdict_on(run.id)
    (store.home / "verdicts" / f"{run.id}.json").write_text("{}")
    with pytest.raises(FormatError, match="not a verdict"):
        store.load_verdict(run.id)


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="AGENTRACER_HOME"):
        Store(tmp_path / "file").journal("x")


def test_where_no_disk_can_be_written_a_run_is_kept_in_memory(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with agentracer.record("t", store=Store(tmp_path / "file")) as run:
        run.recorder.end_step(run.recorder.begin_step("a"), content="still here")
    assert run.trace.steps[0].content == "still here"
    assert "kept in memory only" in caplog.text


def test_a_trace_made_elsewhere_can_be_kept_and_keeps_everything():
    trace = record_a_run().trace
    imported = trace.model_copy(update={"id": "otel:1", "replayable": False})
    store = Store()
    kept = store.load(store.add(imported))
    assert kept.observed == trace.observed
    assert (kept.ground_truth, kept.labels, kept.replayable) == (trace.ground_truth, (), False)
    assert kept.metadata["imported_id"] == "otel:1"
    assert store.add(imported) == kept.id


# -- damage


def lines_of_a_run(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("lines"))
    trace_id = new_trace_id()
    recorder = RunRecorder(
        store.journal(trace_id), Redactor(b"s"), trace_id=trace_id, header={"task": "t"}
    )
    reads = [recorder.message("user", "hello")]
    for number in range(4):
        recorder.agent(f"a{number % 2}")
        step = recorder.begin_step(
            f"a{number % 2}", reads=reads, parent=number - 1 if number else None
        )
        recorder.end_step(step, content=str(number), tool_calls=[{"id": f"{number}", "name": "f"}])
        reads.append(recorder.message("assistant", str(number)))
    recorder.finish({"success": False})
    return (store.home / "traces" / f"{trace_id}.jsonl").read_bytes().splitlines()


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    return lines_of_a_run(tmp_path_factory)


@given(data=st.data())
@settings(max_examples=200)
def test_any_lines_but_the_first_may_be_lost(lines, data):
    kept = [line for line in lines[1:] if data.draw(st.booleans())]
    events, torn = parse_lines([lines[0], *kept])
    trace = fold(events, torn=torn)
    assert [step.index for step in trace.steps] == list(range(len(trace.steps)))
    for step in trace.steps:
        trace.observed.reads(step)


@given(cut=st.integers(1, 200), data=st.data())
def test_a_torn_line_costs_only_itself(lines, cut, data):
    at = data.draw(st.integers(1, len(lines) - 1))
    damaged = [*lines]
    damaged[at] = damaged[at][:-cut]
    events, torn = parse_lines(damaged)
    trace = fold(events, torn=torn)
    assert trace.dropped.get("torn", 0) == bool(damaged[at].strip())


def test_what_is_lost_is_marked_and_counted(lines):
    kept = [line for line in lines if b'"e":"message"' not in line and b'"index":2' not in line]
    trace = fold(parse_lines(kept)[0])
    assert trace.steps[2].agent == LOST
    assert trace.observed.reads(1)[0].role == LOST
    assert trace.dropped["message"] >= 1
    assert trace.dropped["step"] == 1


def test_a_journal_without_its_first_line_is_an_error_that_says_so(lines, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n".join(lines[1:]))
    with pytest.raises(FormatError, match="does not say which run"):
        fold(read_events(path)[0], source=path)


def test_what_a_failing_disk_did_not_take_is_written_in_order_once_it_can(tmp_path, monkeypatch):
    log = Journal(tmp_path / "j.jsonl")
    log.append(b'{"e":"run","id":"x"}')
    real = os.write

    def half(file, data):
        real(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    log.append(b'{"e":"step","index":0,"step":{"agent":"a"}}')
    assert len(log.memory_lines()) == 2
    monkeypatch.setattr(os, "write", real)
    log.append(b'{"e":"step","index":1,"step":{"agent":"b"}}')
    log.close()
    assert log.dropped == {}
    events, torn = read_events(log.path)
    assert ([event["e"] for event in events], torn) == (["run", "step", "step"], 0)
    assert log.memory_lines() is None


# -- a slow disk


def test_a_disk_that_stalls_does_not_stall_the_host(tmp_path, monkeypatch):
    log = Journal(tmp_path / "j.jsonl")
    real, stalled = os.write, threading.Event()

    def slow(file, data):
        stalled.wait(0.3)
        return real(file, data)

    monkeypatch.setattr(os, "write", slow)
    log.append(b'{"n":0}')  # notices that the disk is slow
    started = time.perf_counter()
    for number in range(1, 200):
        log.append(json.dumps({"n": number}).encode())
    assert time.perf_counter() - started < 0.1
    stalled.set()
    log.close(timeout=10)
    assert [event["n"] for event in read_events(log.path)[0]] == list(range(200))


def test_the_backlog_is_bounded_and_counts_what_it_drops(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "BACKLOG_LINES", 10)
    log = Journal(tmp_path / "j.jsonl")
    real, stalled = os.write, threading.Event()

    def stuck(file, data):
        stalled.wait(0.2)
        return real(file, data)

    monkeypatch.setattr(os, "write", stuck)
    for number in range(100):
        log.append(json.dumps({"n": number}).encode())
    stalled.set()
    log.close(timeout=10)
    written = len(read_events(log.path)[0])
    assert written + log.dropped["queue"] == 100
    assert log.dropped["queue"] > 50


def test_after_the_disk_has_caught_up_lines_are_written_directly_again(tmp_path, monkeypatch):
    log = Journal(tmp_path / "j.jsonl")
    real = os.write
    monkeypatch.setattr(os, "write", lambda f, d: time.sleep(0.06) or real(f, d))
    log.append(b"{}")
    monkeypatch.setattr(os, "write", real)
    time.sleep(0.2)
    log.append(b'{"n":1}')
    assert len(log.path.read_bytes().splitlines()) == 2
    log.close()
