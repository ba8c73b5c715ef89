"""Full, read-only and removed disks: the run goes on, and nothing partial is read as whole."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys

import pytest

import agentracer
from agentracer.errors import FormatError, StoreError
from agentracer.store import Store
from agentracer.store.disk_errors import reset_disk_errors


@pytest.fixture(autouse=True)
def _fresh_reports():
    reset_disk_errors()
    yield
    reset_disk_errors()


@pytest.fixture
def full_disk(monkeypatch):
    """The disk takes `full_disk.free` bytes more, then fails as a full one does."""
    real = os.write

    class Disk:
        free = 0

        def write(self, file, data):
            if self.free <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = real(file, data[: self.free])
            self.free -= taken
            return taken

    disk = Disk()
    monkeypatch.setattr(os, "write", disk.write)
    return disk


def record_run(store, content="answer"):
    with agentracer.record("task", store=store) as run:
        index = run.recorder.begin_step("writer")
        run.recorder.end_step(index, content=content)
        run.fail("wrong")
    return run


@pytest.mark.parametrize("free", [0, 1, 50, 200, 400, 600])
def test_the_trace_comes_from_memory_where_the_disk_failed(home, full_disk, free):
    store = Store()
    store.salt()
    full_disk.free = free
    run = record_run(store)
    assert [step.content for step in run.trace.steps] == ["answer"]
    assert run.trace.outcome.success is False
    assert run.trace.dropped == {}


def test_a_file_that_the_disk_cut_off_is_never_read_as_a_finished_run(home, full_disk):
    store = Store()
    store.salt()
    for free in range(40, 700, 40):
        full_disk.free = free
        run = record_run(store)
        if run.recorder.sink.memory_lines() is None:
            continue
        summaries = [summary for summary in store.summaries() if summary.id == run.id]
        assert all(summary.ending == "unfinished" for summary in summaries)
        if summaries:
            assert store.load(run.id).outcome.ending == "unfinished"


def test_an_empty_file_is_not_left_behind(home, full_disk):
    store = Store()
    store.salt()
    record_run(store)
    assert store.ids() == []


def test_many_runs_on_a_full_disk_give_one_message(home, full_disk, caplog):
    store = Store()
    store.salt()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            record_run(store)
    lines = [record.message for record in caplog.records if "cannot be written" in record.message]
    assert len(lines) == 1
    assert "No space left on device" in lines[0]
    assert "remedy" in lines[0]


def test_how_many_runs_are_lost_is_said_when_the_program_ends(tmp_path):
    code = """
import agentracer, errno, os
from agentracer.store import Store
Store().salt()
def full(file, data):
    raise OSError(errno.ENOSPC, "No space left on device")
os.write = full
for _ in range(3):
    with agentracer.record("t"):
        pass
"""
    environment = {**os.environ, "AGENTRACER_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr.count("cannot be written") == 1
    assert "3 runs were not written" in done.stderr


def test_a_disk_that_has_space_again_takes_the_whole_run(home, full_disk, monkeypatch):
    monkeypatch.setattr("agentracer.store.journal.RETRY_SECONDS", 0.0)
    store = Store()
    store.salt()
    full_disk.free = 100
    with agentracer.record("task", store=store) as run:
        run.recorder.end_step(run.recorder.begin_step("a"), content="one")
        full_disk.free = 10**6
        run.recorder.end_step(run.recorder.begin_step("b"), content="two")
    loaded = store.load(run.id)
    assert [step.content for step in loaded.steps] == ["one", "two"]
    assert loaded.outcome.ending == "finished"
    assert loaded.dropped == {}


def test_a_folder_that_is_removed_while_the_run_goes_on_leaves_the_trace_in_memory(
    tmp_path, caplog
):
    store = Store(tmp_path / "home")
    with agentracer.record("task", store=store) as run:
        run.recorder.end_step(run.recorder.begin_step("a"), content="one")
        shutil.rmtree(store.home)
        run.recorder.end_step(run.recorder.begin_step("b"), content="two")
    assert [step.content for step in run.trace.steps] == ["one", "two"]
    assert "the folder was removed" in caplog.text


def test_a_verdict_that_cannot_be_saved_is_a_store_error(home, monkeypatch):
    run = record_run(Store())
    verdict = agentracer.Tracer().attribute(run.trace)
    (run._store.home / "verdicts").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be saved"):
        Store().save_verdict(verdict)


def test_an_empty_journal_says_that_it_is_empty_and_how_to_remove_it(home):
    store = Store()
    (store.home / "traces").mkdir(parents=True)
    path = store.home / "traces" / "20261130T120000000000-00000000.jsonl"
    path.write_bytes(b"")
    with pytest.raises(FormatError, match=r"the file is empty.*\n.*agentracer delete 20261130"):
        store.load(path.stem)


def test_files_that_cannot_be_read_are_named_and_cost_only_themselves(home):
    store = Store()
    runs = [record_run(store) for _ in range(2)]
    broken = store.home / "traces" / "20261130T120000000000-00000000.jsonl"
    broken.write_bytes(b"no journal")
    problems = []
    assert {summary.id for summary in store.summaries(problems)} == {run.id for run in runs}
    assert len(problems) == 1
    assert str(broken) in problems[0]
