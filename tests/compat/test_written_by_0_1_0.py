"""What release 0.1.0 wrote is read, and means the same."""

from __future__ import annotations

import gzip
import importlib
import json
import shutil
import tarfile
from pathlib import Path

import pytest

import agentracer
from agentracer.attribution import Tracer
from agentracer.errors import CollectionMismatch
from agentracer.evolution import LessonStore
from agentracer.formats import load_any
from agentracer.replay import find_decisive
from agentracer.store import Store
from agentracer.verdict import Verdict

pytest.importorskip("langgraph")

from tests.compat import team

DATA = Path(__file__).parent / "data" / "0.1.0"
VERSION = "0.1.0"


@pytest.fixture(scope="module")
def index():
    return json.loads((DATA / "index.json").read_text())


@pytest.fixture
def store(home):
    unpack("store", home)
    return Store(home)


@pytest.fixture
def evolved(home):
    unpack("evolution", home)
    return Store(home)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.json"
    path.write_bytes(gzip.decompress((DATA / "model.json.gz").read_bytes()))
    return path


def unpack(name, folder):
    with tarfile.open(DATA / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")


def pretend_to_be(version, monkeypatch, *modules):
    """Searches and evolutions are only continued by the version that began them."""
    for module in modules:
        monkeypatch.setattr(importlib.import_module(module), "__version__", version)


def contents(trace):
    return [(step.agent, step.content) for step in trace.steps]


FAILED = [
    ("planner", "PLAN: add 3 and 5, then times 10."),
    ("solver", ""),
    ("solver", "The sum is 8."),
    ("reporter", "ANSWER: 80"),
]


def test_a_failed_run_is_read(store, index):
    trace = store.load(index["failed"])
    assert trace.task == "Compute (3+4)*10."
    assert trace.observed.framework == "langgraph"
    assert trace.outcome.success is False
    assert trace.outcome.ending == "finished"
    assert [(agent, content or "") for agent, content in contents(trace)] == FAILED
    (call,) = trace.steps[1].tool_calls
    assert (call.name, call.arguments, call.result) == ("add", {"a": 3, "b": 5}, "8")
    assert trace.steps[0].usage.input_tokens == 39
    assert not trace.dropped


def test_an_unfinished_run_is_read(store, index):
    trace = store.load(index["unfinished"])
    assert trace.outcome.ending == "unfinished"
    assert trace.outcome.success is None
    assert len(trace.steps) == 4


def test_a_forked_run_names_its_parent(store, index):
    parent, child = store.load(index["forked_parent"]), store.load(index["forked_child"])
    assert child.parent == parent.id
    assert (len(parent.steps), parent.outcome.success) == (4, False)
    assert contents(child)[-1] == ("reporter", "ANSWER: 80")


def test_the_list_of_runs_is_read(store, index):
    summaries = {summary.id: summary for summary in store.summaries()}
    assert len(summaries) == 12
    assert summaries[index["failed"]].success is False
    assert summaries[index["succeeded"]].success is True
    assert summaries[index["unfinished"]].ending == "unfinished"
    replays = [summary for summary in summaries.values() if summary.replay_of]
    assert [replay.replay_of for replay in replays].count(index["verified"]) == 2
    assert store.resolve("latest") == index["unfinished"]


def test_a_verdict_of_the_embedded_tracer_is_read(store, index):
    verdict = store.load_verdict(index["failed"])
    assert (verdict.agent, verdict.step, verdict.abstained) == ("planner", 0, False)
    assert len(verdict.candidates) == 4
    assert 0 < verdict.confidence < 1
    assert not verdict.calibrated
    assert verdict.provenance.model == "embedded"
    assert verdict.provenance.versions["agentracer"] == VERSION


def test_a_verdict_of_a_judge_is_read_with_what_it_cost(store, index):
    verdict = store.load_verdict(index["judged"])
    assert (verdict.agent, verdict.step) == ("planner", 0)
    assert verdict.reason == "The plan adds the wrong number."
    assert verdict.candidates[0].evidence[0].quote == "PLAN: add"
    assert verdict.provenance.method == "all-at-once"
    usage = verdict.provenance.usage
    assert usage.model_calls == 1
    assert (usage.input_tokens, usage.output_tokens) == (385, 30)
    assert usage.seconds > 0


def test_a_verified_verdict_is_read(store, index):
    verdict = store.load_verdict(index["verified"])
    assert (verdict.agent, verdict.step) == ("planner", 0)
    proof = verdict.verification
    assert (proof.status, proof.flips, proof.replays) == ("confirmed", 1, 1)
    assert (proof.control_flips, proof.control_replays) == (0, 1)
    assert [store.load(trace).outcome.success for trace in proof.traces] == [True, False]


def test_its_page_can_be_made(store, index, tmp_path):
    from agentracer.report import html, replays

    trace, verdict = store.load(index["verified"]), store.load_verdict(index["verified"])
    beside = replays.load_replays(trace, verdict, store)
    assert len(beside) == 2
    page = html.write(tmp_path / "page.html", trace, verdict, beside)
    assert "PLAN: add 2 and 5" in page.read_text()


def test_an_interrupted_search_is_continued(store, index, captured, monkeypatch):
    pretend_to_be(VERSION, monkeypatch, "agentracer.replay.counterfactual")
    trace = store.load(index["interrupted_search"])
    with team.served_team() as graph:
        search = find_decisive(trace, team.system(graph, trace.task, store), team.oracle)
    assert (search.usage.resumed, search.usage.replays) == (2, 0)
    assert (search.verdict.agent, search.verdict.step) == ("planner", 0)
    assert search.verdict.verification.status == "confirmed"


def test_a_search_of_another_version_begins_anew(store, index, captured, monkeypatch):
    pretend_to_be("99.0", monkeypatch, "agentracer.replay.counterfactual")
    trace = store.load(index["interrupted_search"])
    with team.served_team() as graph:
        search = find_decisive(trace, team.system(graph, trace.task, store), team.oracle)
    assert (search.usage.resumed, search.usage.replays) == (0, 2)


def test_lessons_are_read(evolved, index):
    (lesson,) = LessonStore.of(evolved)
    assert [lesson.to_json()] == index["lessons"]
    assert (lesson.agent, lesson.state, lesson.wins) == ("planner", "kept", 2)
    assert lesson.used == index["lessons"][0]["used"] >= 3
    assert "PLAN: add 2 and 4, then times 10." in lesson.text
    assert evolved.load(lesson.trace).task == lesson.task


def test_an_interrupted_evolution_is_continued(evolved, captured, monkeypatch):
    pretend_to_be(VERSION, monkeypatch, "agentracer.evolution.loop")
    with team.served_team() as graph:
        report = agentracer.evolve(
            **team.evolve_options(graph), store=evolved, session="interrupted"
        )
    assert report.resumed > 0
    written = json.loads((DATA / "report.json").read_text())
    assert report.final.hits == written["final"]["successes"]
    assert [round_.success.hits for round_ in report.rounds] == [
        round_["success"]["successes"] for round_ in written["rounds"]
    ]


def test_the_page_of_an_evolution_can_be_made():
    from agentracer.report import evolution

    page = evolution.render(json.loads((DATA / "report.json").read_text()))
    assert "with this step corrected 1 of 1 replays succeed" in page


def test_a_data_set_is_read_with_its_labels(tmp_path):
    unpack("collected", tmp_path)
    traces = load_any(tmp_path / "train.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert len(traces) == len(rows) == 14
    for trace, row in zip(traces, rows, strict=True):
        (label,) = trace.labels
        assert (label.agent, label.step) == (row["mistake_agent"], int(row["mistake_step"]))
        assert trace.task == row["question"]
        assert len(trace.steps) == len(row["history"])


def test_verdicts_on_a_data_set_are_read():
    data = json.loads(gzip.decompress((DATA / "verdicts.json.gz").read_bytes()))
    verdicts = [Verdict.model_validate(item) for item in data]
    assert len(verdicts) == 14
    for verdict, item in zip(verdicts, data, strict=True):
        assert (verdict.agent, verdict.step) == (item["agent"], item["step"])
        assert list(verdict.likely_steps) == item["likely_steps"]
        assert verdict.calibrated == item["calibrated"]
        assert [c.probability for c in verdict.candidates] == [
            c["probability"] for c in item["candidates"]
        ]
    assert any(verdict.likely_steps for verdict in verdicts)


def test_a_finished_collection_is_not_run_again(tmp_path, monkeypatch):
    module = collect_module()
    pretend_to_be(VERSION, monkeypatch, module.__name__)
    unpack("collected", tmp_path)
    before = (tmp_path / "train.jsonl").read_bytes()
    ran = []
    collected = module.collect(
        "sums", "langgraph", n=16, out=tmp_path, workers=0, progress=lambda *item: ran.append(item)
    )
    assert not ran
    assert collected.labelled == 16
    assert (tmp_path / "train.jsonl").read_bytes() == before


def test_a_collection_of_another_version_is_refused(tmp_path, monkeypatch):
    module = collect_module()
    pretend_to_be("99.0", monkeypatch, module.__name__)
    unpack("collected", tmp_path)
    with pytest.raises(CollectionMismatch, match=r"0\.1\.0"):
        module.collect("sums", "langgraph", n=16, out=tmp_path, workers=0)


def collect_module():
    return importlib.import_module("agentracer.lab.collect")


def test_an_adapted_model_attributes(model, store, index):
    verdict = Tracer(f"embedded:{model}").attribute(store.load(index["failed"]))
    assert verdict.agent in {"planner", "solver", "reporter"}
    shutil.copy(model, model.with_name("same.json"))
    again = Tracer(f"embedded:{model.with_name('same.json')}").attribute(
        store.load(index["failed"])
    )
    assert again.candidates == verdict.candidates


def test_an_exported_trace_is_read(store, index):
    (trace,) = load_any(DATA / "export.json")
    assert trace == store.load(index["failed"])


def test_an_exported_atif_trajectory_is_read(index):
    (trace,) = load_any(DATA / "export.atif.json")
    assert trace.task == "Compute (3+4)*10."
    agents = [(agent, content) for agent, content in contents(trace) if content]
    assert agents == [(agent, content) for agent, content in FAILED if content]


def test_the_event_of_a_verdict_has_the_attributes_that_it_had(store, index):
    otel = pytest.importorskip("opentelemetry.sdk.trace")
    from agentracer.formats.otel.export import emit_verdict

    written = json.loads((DATA / "event.json").read_text())
    trace, verdict = store.load(index["failed"]), store.load_verdict(index["failed"])
    with otel.TracerProvider().get_tracer("compat").start_as_current_span("run") as span:
        emit_verdict(verdict, trace)
    (event,) = span.events
    assert event.name == written["name"]
    now = dict(event.attributes)
    assert {name: now.get(name) for name in written["attributes"]} == written["attributes"]
