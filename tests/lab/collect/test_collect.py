"""A collection is reproducible, can be killed, and writes what its schema says."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import agentracer
from agentracer.errors import MissingExtra
from agentracer.formats import tracertraj
from agentracer.lab.collect import JOURNAL, CollectionMismatch, audit, collect
from agentracer.lab.collect.card import trivial_rules
from agentracer.lab.collect.dataset import write
from agentracer.lab.collect.engines import ENGINES
from agentracer.lab.collect.journal import ItemJournal
from agentracer.lab.collect.plan import items, resolve
from agentracer.lab.testbed.systems import DOMAINS, FRAMEWORKS

pytest.importorskip("langgraph")
pytestmark = pytest.mark.slow
N = 12


@pytest.fixture(scope="module", autouse=True)
def leave_no_hooks():
    yield
    agentracer.uninstrument()


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return collect(["math", "qa"], "langgraph", n=N, out=folder, seed=5, workers=0)


def data_of(folder):
    names = ("train.jsonl", "test.jsonl", "undecided.jsonl", "README.md")
    return {name: (folder / name).read_bytes() for name in names}


def rows_of(result):
    return [row for name in ("train", "test") for row in read(result.folder / f"{name}.jsonl")]


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_failures_are_labelled_and_agree_with_what_was_planted(collected):
    assert collected.labelled >= N // 3
    assert not collected.outcomes.get("broken")
    assert collected.audited == collected.agreeing > 0


def test_rows_have_the_public_schema_and_a_whole_trace(collected):
    for row in rows_of(collected):
        assert tuple(row)[:7] == tracertraj.PUBLIC_FIELDS
        step = int(row["mistake_step"])
        assert row["history"][step]["name"] == row["mistake_agent"]
        assert {"role", "name", "content"} == set(row["history"][step])
        assert row["verification"]["replays"] > 0
        trace = tracertraj.trace_of(row)
        assert trace.labels[0].step == step
        assert trace.labels[0].agent == row["mistake_agent"]
        assert trace.outcome.success is False
        assert trace.ground_truth.answer == row["ground_truth"]
        assert not trace.replayable
        if row["origin"] == "natural":
            assert row["verification"]["status"] == "confirmed"
            assert row["mistake_kind"]
        else:
            assert row["operator"]


def test_injected_and_natural_failures_are_told_apart(collected):
    origins = Counter(row["origin"] for row in rows_of(collected))
    assert origins["natural"] > 0
    assert set(origins) <= {"natural", "injected"}


def test_nothing_of_this_process_is_in_the_data(collected):
    text = b"".join(data_of(collected.folder).values()).decode()
    assert "started_at" not in text
    assert "/tmp/" not in text
    assert "127.0.0.1" not in text


def test_the_public_fields_alone_are_read_too(collected, tmp_path):
    rows = [{k: row[k] for k in tracertraj.PUBLIC_FIELDS} for row in rows_of(collected)]
    path = tracertraj.write_jsonl(tmp_path / "public.jsonl", rows)
    assert tracertraj.is_tracertraj(path.read_text())
    for row, trace in zip(rows, tracertraj.load(path), strict=True):
        assert trace.labels[0].step == int(row["mistake_step"])
        assert [step.agent for step in trace.steps] == [e["name"] for e in row["history"]]


def test_failures_without_a_decisive_step_have_no_label(collected):
    for row in read(collected.folder / "undecided.jsonl"):
        assert row["mistake_step"] is None
        trace = tracertraj.trace_of(row)
        assert trace.labels == ()
        assert trace.outcome.success is False


def test_an_audit_replays_the_labels_and_agrees(collected):
    found = audit(collected.folder, every=3)
    assert found.labels >= 2
    assert found.agreeing == found.labels, found.disagreements


def test_the_card_counts_what_is_there(collected):
    card = (collected.folder / "README.md").read_text()
    rows = rows_of(collected)
    assert f"{len(rows)} rows" in card
    assert "step: first" in card
    assert card.startswith("---\n")
    rules = trivial_rules(rows)
    assert all(0 <= share <= 1 for share in rules.values())


def test_a_second_run_does_nothing_again_and_gives_the_same(collected):
    before = data_of(collected.folder)
    done = []
    collect(
        ["math", "qa"], "langgraph", n=N, out=collected.folder, seed=5, workers=0,
        progress=lambda *a: done.append(a),
    )  # fmt: skip
    assert done == []
    assert data_of(collected.folder) == before


def test_a_larger_plan_begins_with_the_smaller_one():
    few, many = (list(items(DOMAINS, FRAMEWORKS, n, 3)) for n in (20, 200))
    assert many[:20] == few
    systems = Counter((item.domain, item.framework, item.topology) for item in many)
    assert len(systems) == 27
    assert many[0] != next(items(DOMAINS, FRAMEWORKS, 1, 4))


def test_an_item_is_always_the_same_run():
    for item in items(["math", "qa"], ["langgraph"], 6, 1):
        assert resolve(item, None)[1] == resolve(item, None)[1]


def test_other_settings_are_not_mixed_into_a_folder(collected):
    with pytest.raises(CollectionMismatch, match="another collection"):
        collect("math", "langgraph", n=1, out=collected.folder, seed=5, workers=0)


def test_two_processes_cannot_collect_into_one_folder(tmp_path):
    path = tmp_path / "journal.jsonl"
    with (
        ItemJournal(path, {}),
        pytest.raises(CollectionMismatch, match="another process"),
    ):
        ItemJournal(path, {})


def test_a_torn_last_line_is_done_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    with ItemJournal(path, {"seed": 1}) as journal:
        journal.add({"index": 0, "outcome": "success"})
    with path.open("ab") as file:
        file.write(b'{"index": 1, "outc')
    with ItemJournal(path, {"seed": 1}) as journal:
        assert list(journal.finished) == [0]
        journal.add({"index": 1, "outcome": "success"})
    with ItemJournal(path, {"seed": 1}) as journal:
        assert sorted(journal.finished) == [0, 1]


def test_equal_rows_are_kept_once_whatever_the_order_of_the_results(collected, tmp_path):
    rows = rows_of(collected)
    results = [
        {
            "index": i,
            "outcome": "failure",
            "truth": int(r["mistake_step"]),
            "rows": [r],
            **systems(r),
        }
        for i, r in enumerate([*rows, rows[0]])
    ]
    one = write(tmp_path / "one", results, {})
    other = write(tmp_path / "other", results[::-1], {})
    assert one.duplicates == 1
    assert one.labelled == len(rows)
    assert data_of(tmp_path / "one") == data_of(tmp_path / "other")
    assert other.rows == one.rows


def systems(row):
    return {key: row[key] for key in ("domain", "framework", "topology")}


@pytest.mark.parametrize(
    ("what", "settings"),
    [
        ("domain", {"domain": "chess", "framework": "langgraph"}),
        ("framework", {"domain": "math", "framework": "crew"}),
        ("engine", {"domain": "math", "framework": "langgraph", "engine": "dask"}),
    ],
)
def test_unknown_names_are_refused_before_anything_is_done(what, settings, tmp_path):
    with pytest.raises(ValueError, match=f"unknown {what}"):
        collect(**settings, n=1, out=tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_ray_is_missed_with_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(MissingExtra, match=r"\[ray\]"):
        list(ENGINES["ray"]([], None, 1))


def test_ray_makes_the_same_data_as_processes(tmp_path):
    pytest.importorskip("ray", reason="needs the extra [ray]")
    for engine in ("ray", "local"):
        collect("math", "langgraph", n=6, out=tmp_path / engine, engine=engine, workers=1)
    assert data_of(tmp_path / "ray") == data_of(tmp_path / "local")


def test_a_program_that_processes_cannot_import_is_told_what_to_do(tmp_path):
    program = (
        "import sys\n"
        "from agentracer.lab.collect import collect\n"
        "collect('math', 'langgraph', n=2, out=sys.argv[1], workers=1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-", str(tmp_path / "out")],
        input=program,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert "WorkerLost" in done.stderr
    assert "workers=0" in done.stderr


SCRIPT = """
import sys
from agentracer.lab.collect import collect
if __name__ == "__main__":
    collect(["math", "qa"], "langgraph", n=%d, out=sys.argv[1], seed=5, workers=int(sys.argv[2]))
"""


def start(folder, workers, script):
    return subprocess.Popen([sys.executable, script, str(folder), str(workers)])


def finished(folder):
    journal = folder / JOURNAL
    return journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0


def test_a_killed_collection_goes_on_and_gives_the_same_data(collected, tmp_path):
    script = tmp_path / "collecting.py"
    script.write_text(SCRIPT % N)
    folder = tmp_path / "killed"
    process = start(folder, 2, script)
    deadline = time.monotonic() + 120
    while finished(folder) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = (folder / JOURNAL).read_bytes()
    before = finished(folder)
    assert before >= 2
    assert start(folder, 1, script).wait(180) == 0
    journal = (folder / JOURNAL).read_bytes()
    assert journal.startswith(kept)
    done = [json.loads(line) for line in journal.splitlines()[1:]]
    assert sorted(item["index"] for item in done) == list(range(N))
    assert data_of(folder) == data_of(collected.folder)
