"""Collecting natural runs follows a plan, resumes, and writes the same rows again."""

from __future__ import annotations

import itertools
import json

import pytest
from tests.lab.natural.plain_model import PlainModel

from agentracer.errors import CollectionMismatch
from agentracer.lab.natural.collection import collect_natural, plan_runs, server_version
from agentracer.lab.natural.endpoint import Endpoint
from agentracer.lab.testbed.server import ModelServer

pytest.importorskip("openai")

TASKS = ("word-cat-food", "word-library-fine")


def first(n, **settings):
    runs = itertools.islice(plan_runs(**settings), n)
    return [(run.index, run.system.name, run.task.id, run.seed) for run in runs]


def test_the_plan_depends_on_its_settings_alone_and_takes_each_pair_once_before_any_twice():
    settings = {"systems": (), "tasks": ("plan", *TASKS), "seed": 3}
    runs = first(400, **settings)
    assert runs == first(400, **settings)
    assert runs != first(400, **{**settings, "seed": 4})
    pairs = [(system, task) for _, system, task, _ in runs]
    count = len(set(pairs))
    assert 4 * 20 < count < 400
    assert len(set(pairs[:count])) == count


@pytest.mark.parametrize(
    ("systems", "tasks", "message"),
    [
        (("nothing",), (), "unknown system 'nothing'"),
        ((), ("nothing",), "unknown task 'nothing'"),
        (("langgraph-review",), ("word",), "none of these systems"),
    ],
)
def test_unknown_names_are_refused(systems, tasks, message):
    with pytest.raises(ValueError, match=message):
        plan_runs(systems, tasks, 0)


def test_a_collection_keeps_successes_and_failures_and_resumes(tmp_path):
    model = PlainModel("The answer is 5.")
    with ModelServer(model) as server:
        endpoint = Endpoint(server.base_url, "plain")
        settings = {"systems": ("python-functions",), "tasks": TASKS, "out": tmp_path}
        collect_natural(endpoint, n=1, **settings)
        asked = len(model.requests)
        outcomes = collect_natural(endpoint, n=2, **settings)
        assert outcomes == {"success": 1, "failure": 1}
        assert len(model.requests) == 2 * asked
        before = (tmp_path / "natural.jsonl").read_bytes()
        collect_natural(endpoint, n=2, **settings)
        assert (tmp_path / "natural.jsonl").read_bytes() == before
        assert len(model.requests) == 2 * asked
        with pytest.raises(CollectionMismatch):
            collect_natural(endpoint, n=2, seed=1, **settings)
    rows = [json.loads(line) for line in before.splitlines()]
    assert {row["question_ID"] for row in rows} == {f"natural/{task}" for task in TASKS}
    assert {row["seed"] for row in rows} == {request.body["seed"] for request in model.requests}
    assert {(row["model"], row["server"], row["mistake_step"]) for row in rows} == {
        ("plain", "unknown", None)
    }
    assert [len(row["history"]) for row in rows] == [3, 3]


def test_a_server_that_does_not_answer_is_said():
    with pytest.raises(ConnectionError, match="does not answer"):
        server_version(Endpoint("http://127.0.0.1:9/v1", "none"))
