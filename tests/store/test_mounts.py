"""A store on a disk that is really full, or really read-only: small mounts, which need root."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

import agentracer
from agentracer.store import Store
from agentracer.store.disk_errors import reset_disk_errors


def mount(*arguments: str) -> str:
    """Mount something; return why it cannot be mounted, empty where it is."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        return "mounting needs root"
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else ""


@contextmanager
def mounted(folder, *arguments: str):
    folder.mkdir(exist_ok=True)
    reason = mount(*arguments, str(folder))
    if reason:
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(autouse=True)
def _fresh_reports():
    reset_disk_errors()
    yield
    reset_disk_errors()


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A disk of 64 KiB with a store on it."""
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64k", "tmpfs") as disk:
        monkeypatch.setenv("AGENTRACER_HOME", str(disk / "store"))
        yield Store()


@pytest.fixture
def read_only_store(tmp_path, monkeypatch):
    """A store with one failed run, mounted so that it can only be read."""
    folder = tmp_path / "store"
    monkeypatch.setenv("AGENTRACER_HOME", str(folder))
    record_run()
    with mounted(folder, "--bind", str(folder)):
        reason = mount("-o", "remount,ro,bind", str(folder))
        if reason:
            pytest.skip(reason)
        yield folder


def record_run(content: str = "answer"):
    with agentracer.record("task") as run:
        run.recorder.end_step(run.recorder.begin_step("writer"), content=content)
        run.fail("wrong")
    return run


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from agentracer.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


class TestFullDisk:
    def test_every_run_goes_on_and_has_its_trace_and_one_message_says_why(self, small_disk, caplog):
        with caplog.at_level(logging.WARNING):
            runs = [record_run("x" * 5_000) for _ in range(20)]
        assert [run.trace.steps[0].content for run in runs] == ["x" * 5_000] * 20
        assert [run.trace.outcome.success for run in runs] == [False] * 20
        messages = [record.message for record in caplog.records]
        assert len(messages) == 1
        assert "No space left on device" in messages[0]
        assert "AGENTRACER_HOME" in messages[0]

    def test_every_file_is_a_whole_run_or_listed_as_unfinished(self, small_disk):
        runs = [record_run("x" * 5_000) for _ in range(20)]
        done = cli("list", "--json")
        listed = {entry["id"]: entry["ending"] for entry in json.loads(done.stdout)}
        files = {path.stem for path in (small_disk.home / "traces").iterdir()}
        assert set(listed) == files  # nothing is left out
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        whole = [name for name, ending in listed.items() if ending == "finished"]
        assert 0 < len(whole) < len(runs)
        for name in whole:
            assert small_disk.load(name).steps[0].content == "x" * 5_000

    def test_how_many_runs_are_lost_is_said_at_the_end(self, small_disk):
        code = (
            "import agentracer\n"
            "for _ in range(20):\n"
            "    with agentracer.record('t') as run:\n"
            "        step = run.recorder.begin_step('a')\n"
            "        run.recorder.end_step(step, content='x' * 5000)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        endings = [summary.ending for summary in small_disk.summaries()]
        lost = 20 - endings.count("finished")
        assert 0 < lost < 20
        assert done.stderr.count("cannot be written (No space left on device)") == 1
        assert f"{lost} runs were not written" in done.stderr

    def test_verdict_report_and_export_are_given_where_they_can_be(self, small_disk, tmp_path):
        run = record_run("small")
        for _ in range(20):
            record_run("x" * 5_000)
        filler = small_disk.home / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(b"x" * 100_000)
        done = cli("attribute", run.id)
        assert done.returncode == 0
        assert "step 0 (writer)" in done.stdout
        assert "note: " in done.stderr
        assert "the verdict cannot be saved (No space left on device)" in done.stderr
        page = tmp_path / "run.html"
        assert cli("report", run.id, "-o", str(page)).returncode == 0
        assert page.stat().st_size > 10_000
        assert json.loads(cli("export", run.id).stdout)["id"] == run.id


class TestReadOnlyStore:
    def test_attribute_prints_the_verdict_and_a_note_that_it_is_not_kept(self, read_only_store):
        done = cli("attribute", "latest")
        assert done.returncode == 0
        assert "step 0 (writer)" in done.stdout
        assert "the verdict cannot be saved (Read-only file system)" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("command", [["list"], ["show"], ["export"], ["doctor"]])
    def test_what_only_reads_works_without_a_word(self, read_only_store, command):
        done = cli(*command)
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        assert "error" not in done.stderr

    def test_a_report_is_written_elsewhere(self, read_only_store, tmp_path):
        page = tmp_path / "run.html"
        done = cli("report", "latest", "-o", str(page))
        assert done.returncode == 0
        assert page.stat().st_size > 10_000

    def test_a_report_that_cannot_be_written_names_the_file(self, read_only_store):
        done = cli("report", "latest", "-o", str(read_only_store / "run.html"))
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "run.html" in done.stderr
        assert "tmp: Read-only file system" in done.stderr

    def test_delete_names_the_file_that_it_cannot_delete(self, read_only_store):
        done = cli("delete", "latest")
        assert done.returncode == 2
        assert "cannot be deleted (Read-only file system)" in done.stderr
        assert list((read_only_store / "traces").iterdir())

    def test_a_run_goes_on_with_one_message(self, read_only_store, caplog):
        with caplog.at_level(logging.WARNING):
            runs = [record_run() for _ in range(3)]
        assert [run.trace.steps[0].content for run in runs] == ["answer"] * 3
        assert len([r for r in caplog.records if "Read-only file system" in r.message]) == 1
