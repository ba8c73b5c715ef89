"""What is listed, deleted and pruned, and what one broken file costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

import agentracer
from agentracer.cli import cli
from agentracer.errors import StoreError
from agentracer.formats import load_any
from agentracer.store import Store


def run_cli(*arguments):
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def runs(home):
    """A failed run, a successful one and one that nobody judged, oldest first."""
    made = {}
    for number, (name, agent) in enumerate(
        [("failed", "writer"), ("succeeded", "editor"), ("unknown", "critic")]
    ):
        with agentracer.record(f"task {number}") as run:
            step = run.recorder.begin_step(agent)
            run.recorder.end_step(step, content=f"the {name} text" + " padding" * 200 * number)
            if name != "unknown":
                (run.fail if name == "failed" else run.succeed)()
        made[name] = run.id
    return made


def listed(*options):
    result = run_cli("list", "--json", *options)
    assert result.exit_code == 0, result.output
    return [entry["id"] for entry in json.loads(result.stdout)]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), ["unknown", "succeeded", "failed"]),
        (("--outcome", "succeeded"), ["succeeded"]),
        (("--outcome", "unknown"), ["unknown"]),
        (("--failed",), ["failed"]),
        (("--agent", "editor"), ["succeeded"]),
        (("--agent", "nobody"), []),
        (("--text", "THE FAILED"), ["failed"]),
        (("--framework", "langgraph"), []),
        (("--since", "1h"), ["unknown", "succeeded", "failed"]),
        (("--since", "0s"), []),
        (("--sort", "size"), ["unknown", "succeeded", "failed"]),
        (("--sort", "size", "-n", "1"), ["unknown"]),
    ],
)
def test_list_filters_and_sorts(runs, options, names):
    assert listed(*options) == [runs[name] for name in names]


def test_list_shows_sizes(runs):
    size = Store().journal_path(runs["failed"]).stat().st_size
    assert f"{size} B" in run_cli("list").stdout


def test_an_agent_in_the_middle_of_a_long_journal_is_found(home):
    with agentracer.record("long") as run:
        for name in ["first"] * 3 + ["hidden"] + ["last"] * 3:
            step = run.recorder.begin_step(name)
            run.recorder.end_step(step, content="x" * 40_000)
    assert listed("--agent", "hidden") == [run.id]


def test_delete_removes_the_trace_and_its_verdict(runs):
    store = Store()
    store.save_verdict(agentracer.Tracer().attribute(store.load(runs["failed"])))
    result = run_cli("delete", runs["failed"])
    assert result.exit_code == 0
    assert runs["failed"] not in store.ids()
    assert store.load_verdict(runs["failed"]) is None
    assert len(store.ids()) == 2


def test_delete_takes_several_ids_and_names_those_that_are_not_there(runs):
    result = run_cli("delete", runs["failed"], "nothing-like-it", runs["unknown"])
    assert result.exit_code == 3
    assert "nothing-like-it" in result.stderr
    assert Store().ids() == [runs["succeeded"]]


def test_delete_of_unknown_ids_alone_is_bad_input(runs):
    assert run_cli("delete", "nothing-like-it").exit_code == 2
    assert len(Store().ids()) == 3


def test_prune_only_lists_until_it_is_told_to_delete(runs):
    result = run_cli("prune", "--older-than", "0s")
    assert result.exit_code == 0
    assert all(trace_id in result.stdout for trace_id in runs.values())
    assert "nothing was deleted" in result.stderr
    assert len(Store().ids()) == 3
    run_cli("prune", "--older-than", "0s", "--keep-failed", "--yes")
    assert Store().ids() == [runs["failed"]]


def test_prune_takes_what_fits_every_option(runs):
    result = run_cli("prune", "--older-than", "30d", "--larger-than", "1B")
    assert "0 traces" in result.stderr
    result = run_cli("prune", "--larger-than", "1kB")
    assert result.stdout.split()[0] == runs["unknown"]
    assert runs["failed"] not in result.stdout


def test_prune_keeps_a_run_that_still_goes_on(home):
    with agentracer.record("now") as run:
        assert run_cli("prune", "--larger-than", "1B", "--yes").exit_code == 0
        assert Store().ids() == [run.id]
    path = Store().journal_path(run.id)
    assert run_cli("prune", "--larger-than", "1B", "--yes").exit_code == 0
    assert not path.exists()


def test_prune_removes_an_unfinished_run_that_nothing_has_written_to_for_an_hour(home):
    with agentracer.record("then") as run:
        path = Store().journal_path(run.id)
        old = time.time() - 7_200
        os.utime(path, (old, old))
        run_cli("prune", "--larger-than", "1B", "--yes")
        assert not path.exists()


@pytest.mark.parametrize("options", [(), ("--older-than", "soon"), ("--larger-than", "3 apples")])
def test_prune_without_a_measure_is_a_usage_error(home, options):
    assert run_cli("prune", *options).exit_code == 2


def test_a_broken_file_in_the_store_is_named_and_the_others_are_listed(runs):
    path = Store().journal_path("20261130T120000000000-00000000")
    path.write_bytes(b"")
    result = run_cli("list")
    assert result.exit_code == 3
    assert str(path) in result.stderr
    assert all(trace_id in result.stdout for trace_id in runs.values())


def test_a_broken_file_in_a_folder_costs_only_itself(runs, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    store = Store()
    for name in ("failed", "succeeded"):
        store.load(runs[name])
        (folder / f"{name}.jsonl").write_bytes(store.journal_path(runs[name]).read_bytes())
    (folder / "broken.json").write_text("{")
    result = run_cli("attribute", str(folder), "--json")
    assert result.exit_code == 3
    assert "broken.json" in result.stderr
    assert len(json.loads(result.stdout)) == 2
    problems = []
    assert len(load_any(folder, problems)) == 2
    assert len(problems) == 1


def test_attribute_gives_the_verdict_where_it_cannot_be_saved(runs, monkeypatch):
    def refuse(self, verdict):
        raise StoreError("verdicts: the verdict cannot be saved (Read-only file system)")

    monkeypatch.setattr(Store, "save_verdict", refuse)
    result = run_cli("attribute", runs["failed"])
    assert result.exit_code == 0
    assert "writer" in result.stdout
    assert "note: verdicts: the verdict cannot be saved" in result.stderr


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_attribute_works_on_a_folder_that_is_read_only(runs, home):
    Store().home.chmod(0o500)
    try:
        command = [sys.executable, "-m", "agentracer", "attribute", runs["failed"]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        Store().home.chmod(0o700)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
